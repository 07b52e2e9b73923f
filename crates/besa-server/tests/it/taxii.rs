//! Every endpoint, parameter, header and error.

use crate::support::{Node, TAXII, campaign, envelope, id};

const V1: &str = "2021-01-01T00:00:00.000Z";
const V2: &str = "2022-01-01T00:00:00.000000Z";

#[test]
fn resources_and_their_rights() {
    let node = Node::start();
    let discovery = node.get("writer", "/taxii2/").json();
    assert_eq!(discovery["api_roots"], serde_json::json!(["/api/"]));
    assert_eq!(discovery["default"], "/api/");
    assert_eq!(node.get("boss", "/taxii2/").json()["api_roots"], serde_json::json!(["/api/", "/secret/"]));
    let root = node.get("writer", "/api/").json();
    assert_eq!(root["versions"], serde_json::json!([TAXII]));
    assert_eq!(root["max_content_length"], 32 << 20);
    let list = node.get("writer", "/api/collections/").json();
    let rights: Vec<_> = list["collections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (&c["alias"], &c["can_read"], &c["can_write"]))
        .collect();
    assert_eq!(
        format!("{rights:?}"),
        r#"[(String("feed"), Bool(true), Bool(true)), (String("inbox"), Bool(false), Bool(true))]"#
    );
    let (feed, hidden) = (&node.feed.id, &node.hidden.id);
    assert_eq!(node.get("writer", "/api/collections/feed/").json()["id"], feed.as_str());
    // A role limits what was granted.
    assert_eq!(node.get("reader", &format!("/api/collections/{feed}/")).json()["can_write"], false);
    for (method, user, path, status) in [
        ("GET", "", "/taxii2/", 401),
        ("GET", "nobody", "/taxii2/", 401),
        ("GET", "writer", "/taxii2", 200),
        ("HEAD", "writer", "/taxii2/", 200),
        ("POST", "writer", "/taxii2/", 405),
        ("PUT", "writer", "/api/collections/feed/objects/", 405),
        ("DELETE", "writer", "/api/collections/feed/manifest/", 405),
        ("GET", "writer", "/nowhere/", 404),
        ("GET", "writer", "/secret/", 404),
        ("GET", "writer", "/secret/collections/", 404),
        ("GET", "writer", &format!("/secret/collections/{hidden}/objects/"), 404),
        ("GET", "writer", &format!("/api/collections/{hidden}/"), 404),
        ("GET", "writer", "/api/collections/feed/nonsense/", 404),
        ("GET", "writer", "/api/collections/inbox/objects/", 403),
        ("GET", "writer", "/api/collections/inbox/manifest/", 403),
        ("DELETE", "reader", &format!("/api/collections/feed/objects/{}/", id(1)), 403),
        ("GET", "writer", "/api/collections/feed/objects/%zz/", 404),
        ("GET", "writer", "/api/status/nothing/", 404),
        ("GET", "writer", &format!("/api/collections/feed/objects/{}/", id(1)), 404),
        ("GET", "writer", &format!("/api/collections/feed/objects/{}/versions/", id(1)), 404),
        ("DELETE", "writer", &format!("/api/collections/feed/objects/{}/", id(1)), 404),
    ] {
        let answer = node.send(method, user, path, &[("accept", TAXII)], None);
        assert_eq!(answer.status, status, "{method} {path} by `{user}`: {}", answer.body);
        assert_eq!(answer.header("content-type"), TAXII, "{method} {path}");
        if status >= 400 {
            let error = answer.json();
            assert!(error["title"].is_string() && error["error_id"].is_string(), "{error}");
            assert_eq!(error["http_status"], status.to_string());
        }
        assert_eq!(status == 401, answer.headers.contains_key("www-authenticate"));
        assert_eq!(status == 405, answer.headers.contains_key("allow"));
    }
    assert!(node.send("HEAD", "writer", "/taxii2/", &[], None).body.is_empty());
}

#[test]
fn media_types_and_parameters() {
    let node = Node::start();
    let objects = "/api/collections/feed/objects/";
    for (accept, status) in
        [(TAXII, 200), ("*/*", 200), ("application/json", 406), ("application/taxii+json;version=2.0", 406)]
    {
        assert_eq!(
            node.send("GET", "writer", "/taxii2/", &[("accept", accept)], None).status,
            status,
            "{accept}"
        );
    }
    assert_eq!(node.send("GET", "writer", "/taxii2/", &[], None).status, 200);
    let body = envelope(&[campaign(1, V1)]);
    for (content_type, status) in [
        ("application/json", 415),
        ("application/taxii+json", 202),
        ("application/taxii+json;version=9", 415),
    ] {
        let headers = [("accept", TAXII), ("content-type", content_type)];
        assert_eq!(
            node.send("POST", "writer", objects, &headers, Some(&body)).status,
            status,
            "{content_type}"
        );
    }
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("\"x\"", 422),
        ("[]", 422),
        ("{}", 422),
        (r#"{"objects":{}}"#, 422),
        (r#"{"objects":[]}"#, 422),
        (r#"{"objects":[17,null,{}]}"#, 202),
        (r#"{"objects":[1],"objects":[2]}"#, 422),
    ] {
        assert_eq!(node.post("writer", objects, body).status, status, "{body}");
    }
    assert_eq!(node.post("reader", objects, &body).status, 403);
    for (query, status) in [
        ("limit=0", 400),
        ("limit=-1", 400),
        ("limit=x", 400),
        ("limit=", 400),
        ("limit=99999999999999999999999", 200),
        ("next=", 400),
        ("next=c", 400),
        ("next=c0", 200),
        ("next=cffffffffffffffff", 200),
        ("next=zzz", 400),
        ("added_after=2020-01-01T00:00:00Z", 200),
        ("added_after=yesterday", 400),
        ("added_after=9999-12-31T23:59:59Z", 200),
        ("match[version]=all", 200),
        ("match%5Bversion%5D=first,last", 200),
        ("match[version]=never", 400),
        ("match[type]=", 400),
        ("match[type]=%00", 200),
        ("match[id]=%ff", 400),
        ("match[spec_version]=9.9", 200),
        ("unknown=1&&", 200),
    ] {
        let answer = node.get("writer", &format!("{objects}?{query}"));
        assert_eq!(answer.status, status, "{query}: {}", answer.body);
    }
    let many = vec!["x"; 201].join(",");
    assert_eq!(node.get("writer", &format!("{objects}?match[type]={many}")).status, 400);
}

#[test]
fn objects_there_and_back() {
    let node = Node::start();
    let objects = format!("/api/collections/{}/objects/", node.feed.id);
    let mut sent: Vec<String> = (0..5).map(|n| campaign(n, V1)).collect();
    sent.push(campaign(2, V2));
    sent.push(campaign(9, "2019-01-01T00:00:00.000Z"));
    let answer = node.post("writer", &objects, &envelope(&sent));
    assert_eq!(answer.status, 202);
    let status = answer.json();
    assert_eq!((&status["status"], &status["total_count"]), (&"complete".into(), &7.into()));
    assert_eq!(
        (&status["success_count"], &status["failure_count"], &status["pending_count"]),
        (&6.into(), &1.into(), &0.into())
    );
    assert_eq!(status["failures"][0]["id"], id(9));
    assert!(status["failures"][0]["message"].as_str().unwrap().contains("modified"));
    let path = format!("/api/status/{}/", status["id"].as_str().unwrap());
    assert_eq!(node.get("writer", &path).json(), status);
    assert_eq!(node.get("boss", &path).status, 200);
    assert_eq!(node.get("reader", &path).status, 404);
    // Page by page, each object's bytes as they were sent.
    let mut query = "limit=2".to_owned();
    let mut found = Vec::new();
    loop {
        let page = node.get("writer", &format!("{objects}?{query}"));
        assert!(page.header("x-taxii-date-added-first") <= page.header("x-taxii-date-added-last"));
        let raw: Raw = serde_json::from_str(&page.body).unwrap();
        found.extend(raw.objects.iter().map(|object| object.get().to_owned()));
        match (raw.more, raw.next) {
            (true, Some(next)) => query = format!("limit=2&next={next}"),
            (false, None) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(found, [0, 1, 3, 4, 5].map(|at: usize| sent[at].clone()));
    // An incremental poll by time.
    let last = node.get("writer", &format!("{objects}?limit=3"));
    let after = last.header("x-taxii-date-added-last");
    assert_eq!(
        node.get("writer", &format!("{objects}?added_after={after}")).json()["objects"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(node.get("writer", &format!("{objects}?added_after=2999-01-01T00:00:00Z")).body, "{}");
    let count = |query: &str| {
        node.get("writer", &format!("{objects}?{query}")).json()["objects"].as_array().map_or(0, Vec::len)
    };
    for (query, expected) in [
        ("match[version]=all", 6),
        ("match[version]=first", 5),
        ("match[version]=2022-01-01T00:00:00Z", 1),
        ("match[version]=2022-01-01T00:00:00Z,first", 6),
        ("match[type]=campaign,tool", 5),
        ("match[type]=tool", 0),
        ("match[spec_version]=2.0", 0),
        ("match[spec_version]=2.1", 5),
        (&format!("match[id]={},{}", id(1), id(2)), 2),
        (&format!("match[id]={}&match[type]=tool", id(1)), 0),
    ] {
        assert_eq!(count(query), expected, "{query}");
    }
    let one = format!("{objects}{}/", id(2));
    assert_eq!(node.get("writer", &one).json()["objects"].as_array().unwrap().len(), 1);
    assert_eq!(
        node.get("writer", &format!("{one}?match[version]=all")).json()["objects"].as_array().unwrap().len(),
        2
    );
    let versions = node.get("writer", &format!("{one}versions/")).json();
    assert_eq!(versions["versions"], serde_json::json!([V1, V2]));
    let manifest = node.get("writer", &format!("/api/collections/feed/manifest/?match[id]={}", id(2))).json();
    assert_eq!(manifest["objects"][0]["version"], V2);
    assert_eq!(manifest["objects"][0]["media_type"], "application/stix+json;version=2.1");
    // Deleting: the latest version unless told otherwise; the store itself keeps everything.
    assert_eq!(node.send("DELETE", "writer", &one, &[("accept", TAXII)], None).status, 200);
    assert_eq!(node.get("writer", &format!("{one}versions/")).json()["versions"], serde_json::json!([V1]));
    assert_eq!(node.send("DELETE", "writer", &format!("{one}?match[version]=all"), &[], None).status, 200);
    assert_eq!(node.get("writer", &one).status, 404);
    assert_eq!(node.store.versions(&id(2)).unwrap().len(), 2);
    // Every access and change is in the log.
    let seen = |action: &str, outcome: &str| {
        let log = node.store.audit_log(0, 10_000).unwrap();
        log.iter()
            .filter(|(_, entry)| {
                entry.actor == "writer" && entry.action == action && entry.outcome == outcome
            })
            .count()
    };
    assert_eq!((seen("POST", "202"), seen("DELETE", "200")), (1, 2));
    node.store.audit(Vec::new()).unwrap();
    assert!(seen("GET", "200") > 10 && seen("GET", "404") > 0);
}

#[derive(serde::Deserialize)]
struct Raw<'a> {
    more: bool,
    next: Option<String>,
    #[serde(borrow)]
    objects: Vec<&'a serde_json::value::RawValue>,
}
