"""What taxii2-client and stix2 do with a node: discovery, push, pull, filters, pages, deletion."""

import json
import sys
import warnings

import stix2
from stix2 import TAXIICollectionSink, TAXIICollectionSource, TAXIICollectionStore, Filter
from taxii2client.v21 import ApiRoot, Collection, Server, as_pages

warnings.simplefilter("ignore")
url, user, password, feed_id = sys.argv[1:]

server = Server(url, user=user, password=password)
assert server.title == "Besa" and server.default.url.endswith("/api/")
root = server.api_roots[0]
assert root.title and root.versions == ["application/taxii+json;version=2.1"] and root.max_content_length > 0
feed = next(c for c in root.collections if c.id == feed_id)
assert feed.can_read and feed.can_write and feed.alias == "feed" and feed.media_types
inbox = next(c for c in root.collections if c.alias == "inbox")
assert inbox.can_write and not inbox.can_read
assert feed.get_objects() == {}

author = stix2.Identity(name="CSIRT", identity_class="organization")
indicators = [
    stix2.Indicator(name=f"i{n}", pattern=f"[domain-name:value = 'a{n}.example']", pattern_type="stix", created_by_ref=author)
    for n in range(25)
]
status = feed.add_objects({"objects": [__import__("json").loads(o.serialize()) for o in [author] + indicators]})
assert status.status == "complete" and status.success_count == 26 and status.failure_count == 0
again = root.get_status(status.id)
assert again.total_count == 26 and len(again.successes) == 26
bad = feed.add_objects({"objects": [{"type": "indicator", "id": "indicator--1"}]})
assert bad.failure_count == 1 and bad.failures[0]["message"]

pages = list(as_pages(feed.get_objects, per_request=10))
assert [len(p["objects"]) for p in pages] == [10, 10, 6], pages
assert [len(p["objects"]) for p in as_pages(feed.get_objects, per_request=10, type="indicator")] == [10, 10, 5]
manifest = [m for p in as_pages(feed.get_manifest, per_request=7) for m in p["objects"]]
assert len(manifest) == 26 and manifest[0]["id"] == author.id
after = manifest[20]["date_added"]
assert len(feed.get_objects(added_after=after)["objects"]) == 5
assert len([o for p in as_pages(feed.get_objects, per_request=2, added_after=after) for o in p["objects"]]) == 5

one = indicators[3]
newer = one.new_version(name="renamed")
store = TAXIICollectionStore(feed)
store.add(newer)
store.add([stix2.Bundle(stix2.IPv4Address(value="198.51.100.3"))])
assert store.get(one.id).name == "renamed"
versions = feed.object_versions(one.id)["versions"]
assert len(versions) == 2, versions
assert len(store.all_versions(one.id)) == 2
assert len(feed.get_object(one.id, version="all")["objects"]) == 2
assert feed.get_object(one.id, version=one.modified)["objects"][0]["name"] == "i3"
assert len(store.query([Filter("type", "=", "indicator")])) == 25
assert len(store.query([Filter("name", "=", "i7")])) == 1
assert TAXIICollectionSource(feed).get("indicator--00000000-0000-4000-8000-000000000000") is None
revoked = newer.revoke()
TAXIICollectionSink(feed).add(revoked)
assert store.get(one.id).revoked
late = feed.add_objects({"objects": [dict(__import__("json").loads(one.serialize()), modified="2999-01-01T00:00:00.000Z")]})
assert late.failure_count == 1 and "revoked" in late.failures[0]["message"]

feed.delete_object(indicators[5].id)
assert store.get(indicators[5].id) is None
inbox.add_objects({"objects": [__import__("json").loads(author.serialize())]})

# What medallion's own tests ask of a server, by their names: each status and body.
import json
import requests

basic = (user, password)
taxii = {"Accept": "application/taxii+json;version=2.1"}
base = root.url
of_feed = base + "collections/" + feed_id + "/"
objects_url = of_feed + "objects/"


def ask(path, expected=200, method="get", auth=basic, headers=taxii, **more):
    answer = requests.request(method, path, auth=auth, headers=headers, **more)
    assert answer.status_code == expected, (method, path, answer.status_code, answer.text)
    assert answer.headers["Content-Type"] == "application/taxii+json;version=2.1"
    body = answer.json() if answer.text else {}
    if expected >= 400:
        assert body["title"] and body["http_status"] == str(expected), body
    return body, answer.headers


ask(url, 401, auth=None)
ask(url, 401, auth=(user, "wrong password"))
ask(url, 406, headers={"Accept": "application/json"})
ask(url, 406, headers={"Accept": "application/taxii+json;version=2.0"})
for accept in ["application/taxii+json;version=2.1", "application/taxii+json", "*/*"]:
    ask(url, headers={"Accept": accept})
assert ask(base)[0]["max_content_length"] > 0
ask(base + "nonsense/", 404)
ask(url.replace("/taxii2/", "/nowhere/collections/"), 404)
assert {c["id"] for c in ask(base + "collections/")[0]["collections"]} == {feed.id, inbox.id}
ask(base + "collections/11111111-1111-4111-8111-111111111111/", 404)
ask(base + "collections/" + inbox.id + "/objects/", 403)
ask(base + "collections/" + inbox.id + "/manifest/", 403)
ask(base + "status/11111111-1111-4111-8111-111111111111/", 404)
ask(objects_url + "indicator--11111111-1111-4111-8111-111111111111/", 404)
ask(objects_url + "indicator--11111111-1111-4111-8111-111111111111/versions/", 404)
ask(objects_url, 405, method="put", json={})
ask(of_feed + "manifest/", 405, method="post", json={})
with_type = dict(taxii, **{"Content-Type": "application/taxii+json;version=2.1"})
ask(objects_url, 415, method="post", headers=dict(taxii, **{"Content-Type": "application/json"}), data="{}")
for text, status in [("{}", 422), ('{"objects": []}', 422), ('{"objects": {}}', 422), ("[]", 422), ("{", 400)]:
    ask(objects_url, status, method="post", headers=with_type, data=text)
for query, status in [("limit=0", 400), ("limit=a", 400), ("next=?", 400), ("added_after=x", 400), ("match[version]=x", 400)]:
    ask(objects_url + "?" + query, status)

# Pages: headers, `more`, `next`; each object once, in the order of `date_added`.
seen, following = [], ""
while True:
    page, headers = ask(objects_url + "?limit=4&match[version]=all" + following)
    seen += [(o["id"], o.get("modified")) for o in page["objects"]]
    assert headers["X-TAXII-Date-Added-First"] <= headers["X-TAXII-Date-Added-Last"]
    assert ("next" in page) == page["more"]
    if not page["more"]:
        break
    following = "&next=" + page["next"]
assert len(seen) == len(set(seen))
listed = []
for page in as_pages(feed.get_manifest, per_request=4, version="all"):
    listed += page["objects"]
assert [m["id"] for m in listed] == [i for i, _ in seen]
assert [m["date_added"] for m in listed] == sorted(m["date_added"] for m in listed)
cut = listed[10]["date_added"]
assert len(ask(objects_url + "?match[version]=all&added_after=" + cut)[0]["objects"]) == len(seen) - 11
assert ask(objects_url + "?added_after=" + listed[-1]["date_added"])[0] == {}

# Versions of one object: first, last, one, several; the same by python-stix2's store with filters.
three = base + "collections/" + feed_id + "/objects/" + one.id + "/"
names = lambda query: sorted(o["name"] for o in ask(three + query)[0]["objects"])
assert names("?match[version]=first") == ["i3"]
assert names("?match[version]=last") == names("") == ["renamed"]
assert len(names("?match[version]=all")) == 3
written = ask(three + "versions/")[0]["versions"]
assert len(written) == 3 and names("?match[version]=" + ",".join(written[:2])) == ["i3", "renamed"]
assert names("?match[version]=all&match[spec_version]=2.1") == names("?match[version]=all")
assert ask(three + "?match[spec_version]=2.0")[0] == {}
source = TAXIICollectionSource(feed)
assert len(source.all_versions(one.id)) == 3
query = [Filter("type", "=", "indicator"), Filter("created_by_ref", "=", author.id), Filter("name", "in", ["i1", "i2"])]
assert sorted(o.name for o in source.query(query)) == ["i1", "i2"]
assert [o.id for o in store.query([Filter("id", "=", indicators[8].id)])] == [indicators[8].id]
assert [o.id for o in store.query([Filter("id", "=", one.id), Filter("version", "=", "first")])] == [one.id]
assert len(store.query([Filter("added_after", "=", cut), Filter("type", "=", "indicator")])) >= 5
assert len(store.creator_of(store.get(indicators[8].id)).id) == len(author.id)
related = stix2.Relationship(indicators[8], "related-to", indicators[9])
custom = TAXIICollectionStore(feed, allow_custom=True)
campaign = stix2.Campaign(name="c", x_custom="\u00e7", allow_custom=True)
custom.add([related, campaign])
assert custom.get(campaign.id).x_custom == "\u00e7"
assert [r.id for r in store.relationships(indicators[8])] == [related.id]
assert [o.id for o in store.related_to(indicators[8])] == [indicators[9].id]

# Deleting one version, then all; a second time it is not there.
ask(three + "?match[version]=first", method="delete")
assert len(ask(three + "versions/")[0]["versions"]) == 2
ask(three + "?match[version]=all", method="delete")
ask(three, 404)
ask(three, 404, method="delete")

direct = Collection(root.url + "collections/" + feed_id + "/", user=user, password=password)
assert direct.title == "Feed"
assert ApiRoot(root.url, user=user, password=password).title
print("all good")
