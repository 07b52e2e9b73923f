//! What leaves by each exit, against the release policy written a second time.
//!
//! Random graphs of objects with random markings are put into two nodes: one holds everything, the other
//! only what the reader may see. The reader asks both by real HTTP. What the first gives is what the
//! oracle (`besa-alliance/tests/it/oracle.py`) lets out, byte by byte; and every answer of the two, bodies
//! and headers, errors and statuses of what it posts, is the same.
//!
//! `BESA_RELEASE_CASES` sets how many graphs (40 unless told), `BESA_POLICY_SEED` where to start.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use besa_alliance::policy::{Exit, Party, Recipient, Settings};
use besa_exchange::release::{Gate, Terms};
use besa_intel::account::{Role, Scope, fresh_token};
use besa_intel::{
    Access, Batch, Collection, NewCollection, Origin, Sender, Store, Time, User, Verdict, prepare_all,
};
use besa_server::{Options, Running, start};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::graphs::{Case, NOW, Thing, case};
use crate::support::{TAXII, rounds};

/// A node, and what it lets out.
struct Outlet {
    running: Running,
    store: Arc<dyn Store>,
    gate: Arc<Gate>,
    agent: ureq::Agent,
    _folder: tempfile::TempDir,
}

/// An answer without what differs from one answer to the next.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Outlet {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(besa_intel::open_sqlite(&folder.path().join("x")).unwrap());
        let gate = Arc::new(Gate::shut());
        // One moment for all: answers show times of receipt.
        let clock = || Time::parse(NOW).unwrap();
        let options = Options { gate: Arc::clone(&gate), clock, ..Options::loopback(0) };
        let running = start(Arc::clone(&store), options).unwrap();
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        Self { running, store, gate, agent, _folder: folder }
    }

    /// A collection that may be read, one that may be written to, and the tokens of those who do.
    fn desk(&self, number: u64, member: &str) -> Desk {
        let titled = |kind: &str| NewCollection {
            id: Some(format!(
                "00000000-0000-4000-8{}-{number:012x}",
                if kind == "feed" { "000" } else { "001" }
            )),
            ..NewCollection::titled(kind)
        };
        let now = Time::parse(NOW).unwrap();
        let feed = self.store.add_collection(&titled("feed"), now).unwrap();
        let inbox = self.store.add_collection(&titled("inbox"), now).unwrap();
        let name = format!("ally{number}");
        let (password, certificate, disabled) = (None, None, false);
        let (role, member) = (Role::Contributor, Some(member.to_owned()));
        self.store
            .add_user(&User { name: name.clone(), role, password, certificate, disabled, member })
            .unwrap();
        self.store.set_access(feed.key, &name, Access::parse("ro").unwrap()).unwrap();
        self.store.set_access(inbox.key, &name, Access::parse("wo").unwrap()).unwrap();
        let token = fresh_token().unwrap();
        self.store.add_token(&token.record(&name, "t", Scope::ReadWrite, None, None, now)).unwrap();
        Desk { feed, inbox, token: token.text }
    }

    /// Puts things in, in their order; gives those that the store took.
    fn fill(&self, feed: &Collection, things: &[Thing]) -> Vec<Thing> {
        let mut taken = Vec::new();
        for thing in things {
            let from = thing.from.as_ref().map(|member| Sender::Member(member.as_str().to_owned()));
            let origin = Origin { from: from.unwrap_or_default(), under: thing.under.clone() };
            let Ok(prepared) = prepare_all(thing.raw.as_bytes()) else { continue };
            let batch =
                Batch { origin, ..Batch::new("x", Time::parse(NOW).unwrap(), Some(feed.key), prepared) };
            let receipt = self.store.add_objects(batch).unwrap();
            if receipt.outcomes.unwrap().iter().any(|one| one.verdict == Verdict::Added) {
                taken.push(thing.clone());
            }
        }
        for thing in &mut taken {
            let newest = self.store.object(&thing.id, None).unwrap().unwrap();
            thing.newest = newest.raw == thing.raw;
        }
        taken
    }

    fn ask(&self, method: &str, token: &str, path: &str, body: Option<&str>) -> Said {
        let base = self.running.url().trim_end_matches("/taxii2/").to_owned();
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{base}{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("accept", TAXII)
            .header("content-type", TAXII);
        let mut response = match body {
            Some(body) => self.agent.run(request.body(body.to_owned()).unwrap()),
            None => self.agent.run(request.body(()).unwrap()),
        }
        .unwrap();
        let mut headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .filter(|(name, _)| *name != "date")
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        headers.sort();
        let status = response.status().as_u16();
        let mut body = response.body_mut().with_config().limit(1 << 28).read_to_string().unwrap();
        if status >= 400 || method == "POST" {
            let mut value: Value = serde_json::from_str(&body).unwrap();
            for id in ["error_id", "id"] {
                value.as_object_mut().unwrap().shift_remove(id);
            }
            body = value.to_string();
        }
        Said { status, headers, body }
    }
}

struct Desk {
    feed: Collection,
    inbox: Collection,
    token: String,
}

struct Oracle(Child, BufReader<std::process::ChildStdout>);

impl Oracle {
    fn start() -> Option<Self> {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../besa-alliance/tests/it/oracle.py");
        let spawned =
            Command::new("python3").arg(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut child) = spawned else {
            eprintln!("skipped: there is no python3");
            return None;
        };
        let out = BufReader::new(child.stdout.take().unwrap());
        Some(Self(child, out))
    }

    fn ask(&mut self, case: &Case) -> Vec<Option<String>> {
        writeln!(self.0.stdin.as_mut().unwrap(), "{}", case.line()).unwrap();
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn terms(case: &Case) -> Terms {
    let settings = Settings { unmarked: case.unmarked, ..Settings::default() };
    Terms::new(case.releaser.clone(), case.membership.clone(), settings)
}

#[derive(serde::Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    more: bool,
    next: Option<String>,
    #[serde(borrow, default)]
    objects: Vec<&'a RawValue>,
}

/// Every object of a collection, page by page; no page is larger than asked for, none comes twice.
fn walk(node: &Outlet, desk: &Desk, limit: usize) -> Vec<String> {
    let (mut found, mut next) = (Vec::new(), String::new());
    for _ in 0..1_000 {
        let path = format!(
            "/api/collections/{}/objects/?match[version]=all&match[spec_version]=2.0,2.1&limit={limit}{next}",
            desk.feed.id
        );
        let said = node.ask("GET", &desk.token, &path, None);
        assert_eq!(said.status, 200, "{}", said.body);
        let page: Envelope<'_> = serde_json::from_str(&said.body).unwrap();
        assert!(page.objects.len() <= limit);
        found.extend(page.objects.iter().map(|raw| raw.get().to_owned()));
        match page.next {
            Some(token) if page.more => next = format!("&next={token}"),
            _ => return found,
        }
    }
    panic!("the pages never end");
}

/// What a reader may ask about a case.
fn requests(case: &Case, desk: &Desk) -> Vec<String> {
    let objects = format!("/api/collections/{}/objects/", desk.feed.id);
    let mut all: Vec<String> = [
        "?limit=1",
        "?limit=2&next=c1",
        "?limit=3&next=c2",
        "?next=c3e7",
        "?match[version]=first",
        "?match[version]=all&match[spec_version]=2.0,2.1",
        "?match[type]=indicator,report",
        "?match[type]=marking-definition&match[version]=all",
        "?added_after=2026-06-01T00:00:00Z",
        "?added_after=2026-06-01T00:00:00.000002Z&limit=2",
        "?added_after=2999-01-01T00:00:00Z",
        "?match[version]=2026-02-01T00:00:00.000Z",
        "?limit=0",
    ]
    .iter()
    .map(|query| format!("{objects}{query}"))
    .collect();
    all.push(objects.replace("/objects/", "/manifest/") + "?match[version]=all");
    all.push(objects.replace("/objects/", "/manifest/") + "?limit=2");
    all.push(objects.replace("/objects/", "/"));
    all.push("/api/collections/".to_owned());
    let ids: BTreeSet<&String> = case.things.iter().map(|thing| &thing.id).collect();
    for id in ids {
        all.push(format!("{objects}{id}/?match[version]=all"));
        all.push(format!("{objects}{id}/versions/"));
        all.push(format!("{objects}?match[id]={id},malware--00000000-0000-4000-8000-000000000001"));
    }
    all
}

#[test]
fn what_a_reader_gets_is_what_the_policy_lets_out_and_shows_nothing_else() {
    let Some(mut oracle) = Oracle::start() else { return };
    let (cases, seed) = (rounds("BESA_RELEASE_CASES", 40), rounds("BESA_POLICY_SEED", 1));
    let (whole, sparse) = (Outlet::start(), Outlet::start());
    let mut counts = [0u64; 3];
    for number in seed..seed + cases {
        let mut case = case(number);
        case.exit = Exit::Taxii;
        for node in [&whole, &sparse] {
            node.gate.set(Some(terms(&case)));
        }
        let recipient = case.recipient.as_str().to_owned();
        let (desk, other) = (whole.desk(number, &recipient), sparse.desk(number, &recipient));
        let all = std::mem::take(&mut case.things);
        case.things = whole.fill(&desk.feed, &all);
        let expected = oracle.ask(&case);
        let shown: Vec<String> = expected.iter().flatten().cloned().collect();
        for (thing, text) in case.things.iter().zip(&expected) {
            counts[text.as_ref().map_or(0, |text| 1 + usize::from(*text != thing.raw))] += 1;
        }
        assert_eq!(walk(&whole, &desk, 2), shown, "seed {number}: to {recipient}");
        assert_eq!(walk(&whole, &desk, 1_000), shown, "seed {number}: in one page");
        // The other node never held what is hidden.
        let visible: Vec<Thing> = case
            .things
            .iter()
            .zip(&expected)
            .filter(|(_, text)| text.is_some())
            .map(|(thing, _)| thing.clone())
            .collect();
        sparse.fill(&other.feed, &visible);
        assert_eq!(walk(&sparse, &other, 2), shown, "seed {number}: without the hidden");
        for path in requests(&case, &desk) {
            let (one, two) =
                (whole.ask("GET", &desk.token, &path, None), sparse.ask("GET", &other.token, &path, None));
            let names = |said: &Said| said.body.replace(&format!("{number:012x}"), "");
            assert_eq!(
                (&one.status, &one.headers, names(&one)),
                (&two.status, &two.headers, names(&two)),
                "seed {number}: {path}"
            );
        }
        writes(&case, (&whole, &desk), (&sparse, &other), number);
        exits(&mut case, &whole, &mut oracle, number);
    }
    eprintln!("{cases} graphs: withheld {}, whole {}, redacted {}", counts[0], counts[1], counts[2]);
    assert!(counts.iter().all(|count| *count > cases / 4), "{counts:?}");
}

/// What is posted under ids that are held, and are not, is answered alike; nothing can be deleted.
fn writes(case: &Case, one: (&Outlet, &Desk), two: (&Outlet, &Desk), number: u64) {
    for thing in case.things.iter().filter(|thing| !thing.id.starts_with("marking-definition")) {
        let Ok(mut object) = serde_json::from_str::<Value>(&thing.raw) else { continue };
        object["x_other"] = "other content".into();
        let body = format!("{{\"objects\":[{object},{{\"type\":\"tool\"}}]}}");
        let said = [one, two].map(|(node, desk)| {
            let path = format!("/api/collections/{}/objects/", desk.inbox.id);
            let delete = format!("/api/collections/{}/objects/{}/", desk.feed.id, thing.id);
            (
                node.ask("POST", &desk.token, &path, Some(&body)),
                node.ask("DELETE", &desk.token, &delete, None),
            )
        });
        assert_eq!(said[0], said[1], "seed {number}: {}", thing.id);
        assert_eq!((said[0].0.status, said[0].1.status), (202, 403), "{said:?}");
    }
}

/// The other exits, by the function that they all go through.
fn exits(case: &mut Case, node: &Outlet, oracle: &mut Oracle, number: u64) {
    let stored = |thing: &Thing| {
        let versions = node.store.versions(&thing.id).unwrap();
        versions.into_iter().find(|one| one.raw == thing.raw).unwrap()
    };
    // Only of what has not been sent again meanwhile, by the posts of the test.
    let objects: Vec<_> = case.things.iter().map(stored).collect();
    for exit in Exit::ALL {
        case.exit = exit;
        let expected: Vec<String> = oracle.ask(case).into_iter().flatten().collect();
        let party = Party::Outside(case.recipient.clone());
        let now = Time::parse(NOW).unwrap();
        let released = node.gate.release(node.store.as_ref(), &party, exit, objects.clone(), now).unwrap();
        let texts: Vec<&str> = released.iter().map(|one| one.get().json()).collect();
        assert_eq!(texts, expected, "seed {number}: by {}", exit.as_str());
    }
}

/// What becomes visible later comes then, with the next number; what may go no longer is gone, and
/// without a charter everything is.
#[test]
fn what_changes_is_followed() {
    let node = Outlet::start();
    let mut case = case(3);
    let ally = "identity--00000000-0000-4000-8000-000000000001";
    case.recipient = Recipient::Member(besa_alliance::member::MemberId::parse(ally).unwrap());
    node.gate.set(Some(terms(&case)));
    let desk = node.desk(1, ally);
    let green = besa_stix::marking::TLP_2_GREEN;
    let red = besa_stix::marking::TLP_2_RED;
    let id = |number: u64| format!("campaign--00000000-0000-4000-8000-{number:012x}");
    let object = |number: u64, modified: &str, marking: &str, text: &str| {
        format!(
            r#"{{"type":"campaign","spec_version":"2.1","id":"{}","created":"2020-01-01T00:00:00.000Z","modified":"{modified}","name":"c","description":"{text}","object_marking_refs":["{marking}"]}}"#,
            id(number)
        )
    };
    let put = |raw: &str| {
        let prepared = prepare_all(raw.as_bytes()).unwrap();
        let batch = Batch::new("x", Time::parse(NOW).unwrap(), Some(desk.feed.key), prepared);
        assert_eq!(node.store.add_objects(batch).unwrap().failures(), 0);
    };
    let (v1, v2) = ("2021-01-01T00:00:00.000Z", "2022-01-01T00:00:00.000Z");
    let naming = object(1, v1, green, &format!("see {}", id(2)));
    put(&naming);
    put(&object(9, v1, red, "secret"));
    let first = walk(&node, &desk, 10);
    assert_eq!(first.len(), 1);
    assert!(first[0].contains("besa-redacted") && !first[0].contains("see campaign"), "{}", first[0]);
    // What it names comes: it goes whole from now on, after what was there.
    put(&object(2, v1, green, "named"));
    let second = walk(&node, &desk, 10);
    assert_eq!(second, [naming.clone(), object(2, v1, green, "named")]);
    let after = format!("/api/collections/{}/objects/?next=c1&match[version]=all", desk.feed.id);
    assert!(node.ask("GET", &desk.token, &after, None).body.contains("see campaign"));
    // A new version raises the marking: both versions are gone, and what names it is cut again.
    put(&object(2, v2, red, "named"));
    assert_eq!(walk(&node, &desk, 10), first);
    // Taken out of the collection by the node's own people.
    put(&object(4, v1, green, "d"));
    assert_eq!(walk(&node, &desk, 10).len(), 2);
    node.store.unlist(desk.feed.key, &id(4), &besa_intel::VersionFilter::all(), None, None).unwrap();
    assert_eq!(walk(&node, &desk, 10), first);
    // The member is removed from the charter; then there is none.
    let one = serde_json::json!({"members": [{"identity_ref": ally, "state": "removed"}]});
    let removed = serde_json::from_value(one).unwrap();
    node.gate.set(Some(Terms::new(case.releaser.clone(), removed, Settings::default())));
    assert_eq!(walk(&node, &desk, 10), Vec::<String>::new());
    node.gate.set(None);
    let objects = format!("/api/collections/{}/objects/", desk.feed.id);
    assert_eq!(node.ask("GET", &desk.token, &objects, None).status, 403);
    node.gate.set(Some(terms(&case)));
    assert_eq!(walk(&node, &desk, 10), first);
}
