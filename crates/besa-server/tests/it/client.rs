//! Our client against our server, and against a server with quirks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use besa_alliance::policy::Inside;
use besa_exchange::taxii::client::{Client, ClientError, Login, Trust};
use besa_intel::{NewCollection, PageQuery, Store};
use besa_server::now;

use crate::support::{Node, PASSWORD, campaign, envelope};

const V1: &str = "2021-01-01T00:00:00.000Z";

fn client(user: &str) -> Client {
    let login = Login::Basic { user: user.to_owned(), password: PASSWORD.to_owned() };
    Client::new(&login, &Trust::default()).unwrap()
}

#[test]
fn pull_and_push_between_nodes() {
    let (there, here) = (Node::start(), Node::start());
    let client = client("writer");
    let found = client.discover(&there.running.url()).unwrap();
    let remote = client.collections(&found.api_roots[0]).unwrap();
    let feed = remote.iter().find(|found| found.alias.as_deref() == Some("feed")).unwrap();
    let objects: Vec<String> = (0..2_500).map(|n| campaign(n, V1)).collect();
    there.post("writer", "/api/collections/feed/objects/", &envelope(&objects));
    let store = here.store.as_ref();
    let pull = || client.pull(store, &feed.url, Some(here.feed.key), &now).unwrap();
    let first = pull();
    assert_eq!((first.pages, first.received, first.added), (3, 2_500, 2_500));
    let again = pull();
    assert_eq!(again.added, 0);
    there.post("writer", "/api/collections/feed/objects/", &envelope(&[campaign(9_999, V1)]));
    assert_eq!(pull().added, 1);
    // What was pulled goes on to a third collection, once.
    let third = there.store.add_collection(&NewCollection::titled("third"), now()).unwrap();
    let boss = self::client("boss");
    let url = feed.url.replace(&feed.id, &third.id);
    let pushed = boss.push_new(store, here.feed.key, &url, &Inside::by_the_operator()).unwrap();
    assert_eq!((pushed.sent, pushed.taken), (2_501, 2_501));
    assert_eq!(boss.push_new(store, here.feed.key, &url, &Inside::by_the_operator()).unwrap().sent, 0);
    let refused = client.push(&url, &Inside::by_the_operator().texts([campaign(1, V1)]));
    assert!(matches!(refused, Err(ClientError::Status { status: 404, .. })), "{refused:?}");
    let query = PageQuery { content: false, ..PageQuery::default() };
    let copied = there.store.page(third.key, &query).unwrap();
    assert_eq!(copied.entries.len(), 1_000);
}

/// `more` without `next`, a numeric `next`, a first 503, a bad object, an empty page, no version in
/// the media type.
#[test]
fn a_server_with_quirks() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let pages = [
            ("503 Later", "retry-after: 0\r\n", "busy".to_owned()),
            (
                "200 OK",
                "x-taxii-date-added-last: 2026-01-01T00:00:01Z\r\n",
                format!(r#"{{"more":true,"objects":[{},{{"id":1}}]}}"#, campaign(1, V1)),
            ),
            ("200 OK", "", r#"{"more":true,"next":17}"#.to_owned()),
            (
                "200 OK",
                "x-taxii-date-added-last: 2026-01-01T00:00:02.5Z\r\n",
                format!(r#"{{"type":"bundle","id":"bundle--1","objects":[{}]}}"#, campaign(2, V1)),
            ),
        ];
        let mut asked = Vec::new();
        for (status, headers, body) in pages {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            asked.push(lines.next().unwrap().unwrap());
            while !lines.next().unwrap().unwrap().is_empty() {}
            let length = body.len();
            write!(stream, "HTTP/1.1 {status}\r\n{headers}content-type: application/taxii+json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").unwrap();
            stream.shutdown(std::net::Shutdown::Write).ok();
            stream.read_to_end(&mut Vec::new()).ok();
        }
        asked
    });
    let folder = tempfile::tempdir().unwrap();
    let store = besa_intel::open_sqlite(&folder.path().join("x")).unwrap();
    let client = Client::new(&Login::None, &Trust::default()).unwrap();
    let pulled = client.pull(&store, &format!("http://{address}/api/collections/1"), None, &now).unwrap();
    assert_eq!((pulled.pages, pulled.added, pulled.failures.len()), (3, 2, 1));
    let asked = server.join().unwrap();
    assert!(
        asked[2].contains("added_after=2026-01-01T00%3A00%3A01Z") && !asked[2].contains("next="),
        "{asked:?}"
    );
    assert!(asked[3].contains("next=17"), "{asked:?}");
    let cursor = store.cursor(&format!("pull http://{address}/api/collections/1/objects/ 0")).unwrap();
    assert_eq!(cursor.as_deref(), Some("2026-01-01T00:00:01.500000Z"));
}

/// A server that names an API root elsewhere does not get our password sent there.
#[test]
fn credentials_stay_where_they_belong() {
    let asked_of = |listener: TcpListener, body: String| {
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> =
                lines.by_ref().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            let length = body.len();
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: application/taxii+json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").unwrap();
            head.join("\n").to_ascii_lowercase()
        })
    };
    let (ours, theirs) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("http://{}/taxii2/", ours.local_addr().unwrap());
    let root = format!("http://{}/api/", theirs.local_addr().unwrap());
    let first = asked_of(ours, format!(r#"{{"title":"x","api_roots":["{root}"]}}"#));
    let second = asked_of(theirs, "{}".to_owned());
    let client = client("writer");
    assert_eq!(client.discover(&url).unwrap().api_roots, std::slice::from_ref(&root));
    assert!(client.collections(&root).unwrap().is_empty());
    assert!(first.join().unwrap().contains("authorization: basic"));
    assert!(!second.join().unwrap().contains("authorization"));
}

/// An authority that is not trusted is told at once, not tried again for half a minute.
#[test]
fn a_wrong_certificate_is_no_passing_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let identity = besa_server::tls::Identity::own(folder.path(), &["localhost".to_owned()]).unwrap();
    let node =
        Node::start_with(besa_server::Options { tls: Some(identity), ..besa_server::Options::loopback(0) });
    let started = std::time::Instant::now();
    let url = format!("https://localhost:{}/taxii2/", node.running.address().port());
    let refused = client("writer").discover(&url);
    assert!(matches!(refused, Err(ClientError::Tls(_))), "{refused:?}");
    // The pauses between six tries alone take longer.
    assert!(started.elapsed() < std::time::Duration::from_secs(15));
}
