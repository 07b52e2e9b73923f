"""What taxii2-client and stix2 do with a node: discovery, push, pull, filters, pages, deletion."""

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

direct = Collection(root.url + "collections/" + feed_id + "/", user=user, password=password)
assert direct.title == "Feed"
assert ApiRoot(root.url, user=user, password=password).title
print("all good")
