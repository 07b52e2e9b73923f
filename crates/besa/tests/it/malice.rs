//! A member that cheats, against nodes that are processes of their own. It was set up like the others
//! and has a valid token and a valid node key; what it likes it posts by hand, as raw TAXII requests.
//!
//! What must happen to each lie: it is refused with the documented reason in the status of the request,
//! it stands in the audit log, nothing of it is in use, and where the cheat's own signature proves it,
//! the proof is at the third member. Poison is no lie: it is taken, and kept from use.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use besa_alliance::entry::{Audience, Entry};
use besa_alliance::keys::SecretKey;
use besa_alliance::member::Digest;
use besa_alliance::proof::{Proof, ProofContents};
use besa_alliance::signed::Kind;
use besa_node::places::{ACCEPTED, QUARANTINE, SENT, inbox, outbox};
use besa_server::now;
use serde_json::{Value, json};

use crate::nodes::{Nodes, until};
use crate::pen::{Pen, domain, id, indicator, indicator_id};
use crate::wire::Way;

const TAXII: &str = "application/taxii+json;version=2.1";
const VICTIM: u8 = 1;
const CHEAT: u8 = 2;
const THIRD: u8 = 3;

/// The cheating member at the node of another.
struct Cheat {
    port: u16,
    token: String,
}

impl Cheat {
    fn at(nodes: &Nodes, host: u8) -> Self {
        Self { port: nodes.port(host), token: nodes.tokens[&(CHEAT, host)].clone() }
    }

    /// One request over one connection: status code and body.
    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let (token, length) = (&self.token, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Accept: {TAXII}\r\nContent-Type: {TAXII}\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).unwrap();
        answer(stream)
    }

    fn post_to(&self, collection: &str, texts: &[String]) -> (u16, Value) {
        let path = format!("/api/collections/{collection}/objects/");
        self.ask("POST", &path, &format!("{{\"objects\":[{}]}}", texts.join(",")))
    }

    /// Posts into the cheat's inbox: the names of the reasons why things were refused.
    #[track_caller]
    fn post(&self, texts: &[String]) -> Vec<String> {
        let (code, status) = self.post_to(&inbox(&id(CHEAT)), texts);
        assert_eq!((code, &status["status"]), (202, &json!("complete")), "{status}");
        let resource = format!("/api/status/{}/", status["id"].as_str().unwrap());
        assert_eq!(self.ask("GET", &resource, "").1["failures"], status["failures"]);
        let failures = status["failures"].as_array().cloned().unwrap_or_default();
        let name =
            |failure: &Value| failure["message"].as_str().unwrap().split(':').next().unwrap().to_owned();
        failures.iter().map(name).collect()
    }

    /// What lies ready for the cheat.
    fn fetched(&self) -> Vec<Value> {
        let path = format!("/api/collections/{}/objects/", outbox(&id(CHEAT)));
        let (code, page) = self.ask("GET", &path, "");
        assert_eq!((code, &page["more"]), (200, &json!(false)), "{page}");
        page["objects"].as_array().cloned().unwrap_or_default()
    }
}

fn answer(mut stream: TcpStream) -> (u16, Value) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, serde_json::from_str(body).unwrap_or_else(|_| panic!("{text}")))
}

/// The alliance with all nodes running but the cheat's, and the cheat's pen.
fn founded(limits: &Value) -> (Nodes, Pen) {
    let assets = json!({ "domains": ["csirt-1.example.al"] });
    let mut nodes = Nodes::founded(&json!({ "limits": limits }), &assets);
    nodes.serve(VICTIM);
    nodes.serve(THIRD);
    let shown = nodes.desk.good("", &["charter", "show", "c0", "--json"]).json();
    let pen = Pen {
        member: id(CHEAT),
        alliance: Digest::parse(shown["sha256"].as_str().unwrap()).unwrap(),
        audience: Audience::Charter,
        key: key_of(&nodes, "n2"),
        last: None,
    };
    (nodes, pen)
}

fn key_of(nodes: &Nodes, file: &str) -> SecretKey {
    SecretKey::from_node_file(&nodes.desk.text(file)).unwrap()
}

/// A pen of the same member and key for another log, or another story.
fn other(pen: &Pen, nodes: &Nodes, audience: Audience) -> Pen {
    Pen { member: pen.member.clone(), alliance: pen.alliance, audience, key: key_of(nodes, "n2"), last: None }
}

/// What is proved against whom, as a member sees it.
fn proofs(nodes: &Nodes, member: u8) -> BTreeSet<(String, String)> {
    let status = nodes.status(member);
    let proofs = status["proofs"].as_array().unwrap().iter();
    proofs.map(|proof| (proof["breach"].as_str().unwrap().to_owned(), proof["accused"].to_string())).collect()
}

fn proved(breaches: &[&str]) -> BTreeSet<(String, String)> {
    breaches.iter().map(|breach| ((*breach).to_owned(), json!([id(CHEAT)]).to_string())).collect()
}

/// The names of all reasons for which the audit log says that something of the cheat was refused.
fn audited(nodes: &Nodes, member: u8) -> BTreeSet<String> {
    let log = nodes.good(member, "", &["audit", "--json", "--actor", id(CHEAT).as_str()]).out;
    let entries = crate::json_lines(&log).into_iter().filter(|entry| entry["action"] == "refuse");
    entries.map(|entry| entry["outcome"].as_str().unwrap().split(':').next().unwrap().to_owned()).collect()
}

fn ids(objects: &[Value]) -> BTreeSet<&str> {
    objects.iter().map(|object| object["id"].as_str().unwrap()).collect()
}

#[test]
fn every_lie_is_refused_recorded_and_proved() {
    let (nodes, mut pen) = founded(&json!({ "objects_per_entry": 5 }));
    let cheat = Cheat::at(&nodes, VICTIM);
    let (one, two) = (indicator(CHEAT, 1, &domain(1)), indicator(CHEAT, 2, &domain(2)));
    let first = pen.next(&[&one]);
    let none: [&str; 0] = [];
    assert_eq!(cheat.post(&[first.text(), one.clone()]), none, "the truth is taken");
    until("it is used", || ids(&nodes.listed(VICTIM, ACCEPTED)).contains(&*indicator_id(1)));

    // Replay: taken for what it is, and nothing is done twice.
    assert_eq!(cheat.post(&[first.text(), one.clone()]), none);
    assert_eq!(cheat.post(std::slice::from_ref(&one)), none);

    // Its own object altered after it was signed.
    let second = pen.next(&[&two]);
    assert_eq!(cheat.post(&[second.text(), indicator(CHEAT, 2, &domain(666))]), ["altered"]);
    // Nothing signed says so.
    assert_eq!(cheat.post(&[indicator(CHEAT, 3, &domain(3))]), ["not-released"]);

    // The creator forged: of an object, and of an entry.
    let stolen = indicator(THIRD, 4, &domain(4));
    assert_eq!(cheat.post(&[pen.next(&[&stolen]).text(), stolen]), ["wrong-creator"]);
    let mut forger = other(&pen, &nodes, Audience::Charter);
    forger.member = id(THIRD);
    assert_eq!(cheat.post(&[forger.next(&[&one]).text()]), ["foreign-key"]);
    let signed = pen.draft(&[&one], &pen.key).text();
    let at = signed.find("\"ed25519\":\"").unwrap() + 11;
    let digit = if signed.as_bytes()[at] == b'0' { "1" } else { "0" };
    assert_eq!(cheat.post(&[format!("{}{digit}{}", &signed[..at], &signed[at + 1..])]), ["bad-signature"]);

    // The log forked, rewritten from its beginning, and gone on with from a history that never was.
    let three = indicator(CHEAT, 5, &domain(5));
    let mut rewritten = other(&pen, &nodes, Audience::Charter);
    let story: Vec<Entry> = (0..4).map(|_| rewritten.next(&[&three])).collect();
    for entry in &story {
        assert_eq!(cheat.post(&[entry.text(), three.clone()]), ["fork", "not-released"]);
    }
    // A hole in it.
    let mut ahead = other(&pen, &nodes, Audience::Charter);
    ahead.last.clone_from(&pen.last);
    ahead.next(&[&one]);
    assert_eq!(cheat.post(&[ahead.next(&[&one]).text()]), ["gap"]);

    // Another alliance; a release for others; more than the charter allows.
    let mut elsewhere = other(&pen, &nodes, Audience::Charter);
    elsewhere.alliance = Digest::from_bytes([7; 32]);
    assert_eq!(cheat.post(&[elsewhere.next(&[&one]).text()]), ["other-alliance"]);
    let mut aside = other(&pen, &nodes, Audience::Members([id(THIRD)].into()));
    assert_eq!(cheat.post(&[aside.next(&[&one]).text()]), ["not-for-us"]);
    let many: Vec<String> = (100..106).map(|number| indicator(CHEAT, number, &domain(number))).collect();
    let oversized = pen.draft(&many.iter().map(String::as_str).collect::<Vec<_>>(), &pen.key).text();
    assert_eq!(
        cheat.post(&[&[oversized], &many[..]].concat()),
        [&["over-limit"], &["not-released"; 6][..]].concat()
    );

    // A charter of its own: the alliance without the third, and an alliance with nobody else.
    let changes = json!({ "members": [{ "identity_ref": id(THIRD), "state": "removed" }] });
    assert_eq!(nodes.desk.amend("c0", &changes, "coup", "2026-10-02T00:00:00Z").code, 0);
    nodes.desk.sign("coup", "a2", "coup-signed");
    assert_eq!(cheat.post(&[nodes.desk.text("coup-signed")]), ["no-quorum"]);
    let mut alone: Value = serde_json::from_str(&nodes.desk.text("spec")).unwrap();
    alone["members"].as_array_mut().unwrap().retain(|member| member["identity_ref"] == id(CHEAT).as_str());
    alone["quorum"] = json!({ "charter_signatures": 1, "witness_signatures": 0, "block_confirmations": 1 });
    nodes.desk.put("alone", alone);
    nodes.desk.good("", &["charter", "new", "alone", "--out", "own"]);
    nodes.desk.sign("own", "a2", "own-signed");
    assert_eq!(cheat.post(&[nodes.desk.text("own-signed")]), ["other-alliance"]);

    // An accusation of somebody else with evidence of its own making.
    let evidence = vec![story[0].json(), first.json()];
    let (breach, disputed_object) = ("fork".to_owned(), None);
    let accusation =
        ProofContents { alliance: pen.alliance, breach, accused: vec![id(THIRD)], evidence, disputed_object };
    let accusation = Proof::unsigned(Kind::Proof, now(), accusation).unwrap();
    assert_eq!(cheat.post(&[accusation.text()]), ["no-proof"]);

    doors_that_are_shut(&cheat);

    // The honest log goes on, and of all the rest nothing is there.
    let last = indicator(CHEAT, 6, &domain(6));
    assert_eq!(cheat.post(&[pen.next(&[&last]).text(), last]), none);
    until("it is used", || ids(&nodes.listed(VICTIM, ACCEPTED)).contains(&*indicator_id(6)));
    let held = nodes.listed(VICTIM, &inbox(&id(CHEAT)));
    let indicators: BTreeSet<_> = ids(&held).into_iter().filter(|id| id.starts_with("indicator")).collect();
    assert_eq!(indicators, BTreeSet::from([&*indicator_id(1), &*indicator_id(6)]));
    assert_eq!(held.iter().filter(|object| object["type"] == "besa-release").count(), 4);
    let sent = nodes.listed(VICTIM, SENT);
    let receipts: Vec<_> = sent.iter().filter(|object| object["type"] == "besa-receipt").collect();
    assert_eq!(receipts.len(), 4, "one for each release, whatever was repeated");
    let results: Vec<_> = receipts.iter().map(|receipt| receipt["results"][0]["reason"].clone()).collect();
    assert_eq!(results, [Value::Null, "altered".into(), "wrong-creator".into(), Value::Null]);
    for member in [VICTIM, THIRD] {
        assert_eq!(nodes.status(member)["charter"], 0);
    }
    let reasons = "altered bad-signature foreign-key fork gap no-proof no-quorum not-for-us not-released \
                   other-alliance over-limit wrong-creator";
    assert_eq!(audited(&nodes, VICTIM), reasons.split_whitespace().map(str::to_owned).collect());
    let provable = proved(&["wrong-creator", "fork", "over-limit"]);
    assert_eq!(proofs(&nodes, VICTIM), provable);
    until("the third has the proofs", || proofs(&nodes, THIRD) == provable);
}

/// Requests that the cheat's token does not cover, and one that is too large.
fn doors_that_are_shut(cheat: &Cheat) {
    let texts = [indicator(CHEAT, 7, &domain(7))];
    for collection in [&inbox(&id(THIRD)), &outbox(&id(CHEAT)), ACCEPTED, SENT] {
        assert_eq!(
            cheat.post_to(collection, &texts).0,
            if collection == outbox(&id(CHEAT)) { 403 } else { 404 }
        );
    }
    for collection in [&inbox(&id(THIRD)), &outbox(&id(THIRD)), ACCEPTED, QUARANTINE, SENT] {
        assert_eq!(cheat.ask("GET", &format!("/api/collections/{collection}/objects/"), "").0, 404);
    }
    let (_, seen) = cheat.ask("GET", "/api/collections/", "");
    let aliases: Vec<_> = seen["collections"].as_array().unwrap().iter().map(|one| &one["alias"]).collect();
    let own = ["from", "to", "relay"].map(|place| json!(inbox(&id(CHEAT)).replacen("from", place, 1)));
    assert_eq!(aliases, own.each_ref());
    let mine = format!("/api/collections/{}/objects/", inbox(&id(CHEAT)));
    assert_eq!(cheat.ask("GET", &mine, "").0, 403, "what it brought it does not read again");
    let mut stream = TcpStream::connect(("127.0.0.1", cheat.port)).unwrap();
    let head = format!(
        "POST {mine} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
         Accept: {TAXII}\r\nContent-Type: {TAXII}\r\nContent-Length: 999999999999\r\n\r\n{{\"objects\":[",
        cheat.token
    );
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(answer(stream).0, 413);
}

/// The cheat has what the third released before the victim has it, and comes first with an altered copy.
#[test]
fn an_altered_copy_that_comes_first_spoils_nothing() {
    let (nodes, _) = founded(&json!({}));
    for pair in [(VICTIM, THIRD), (THIRD, VICTIM)] {
        nodes.wires[&pair].set(Way::Apart);
    }
    nodes.import(THIRD, 1);
    let release = nodes.release(THIRD, 1);
    let source = Cheat::at(&nodes, THIRD);
    until("the third has it ready for the cheat", || ids(&source.fetched()).contains(&*release));
    let entry = source.fetched().into_iter().find(|object| object["id"] == *release).unwrap().to_string();
    let cheat = Cheat::at(&nodes, VICTIM);
    assert_eq!(cheat.post(&[entry, indicator(THIRD, 1, &domain(666))]), ["altered"]);
    for pair in [(VICTIM, THIRD), (THIRD, VICTIM)] {
        nodes.wires[&pair].set(Way::Whole);
    }
    until("the true one is used", || {
        let accepted = nodes.listed(VICTIM, ACCEPTED);
        accepted.iter().any(|object| object["id"] == indicator_id(1) && object["pattern"] == domain(1))
    });
    assert_eq!(audited(&nodes, VICTIM), BTreeSet::from(["altered".to_owned()]));
    assert_eq!(proofs(&nodes, VICTIM), proved(&[]), "nothing signed says who altered it");
}

#[test]
fn poison_is_kept_from_use() {
    let (nodes, mut pen) = founded(&json!({}));
    let cheat = Cheat::at(&nodes, VICTIM);
    let alternatives: Vec<_> = (0..2_000).map(|number| format!("file:name = 'evil-{number}.exe'")).collect();
    let poison = [
        ("allow-list", "[ipv4-addr:value = '8.8.8.8']".to_owned()),
        ("own-asset", "[domain-name:value = 'portal.csirt-1.example.al']".to_owned()),
        ("unspecific", "[file:name = 'cl.exe']".to_owned()),
        ("unspecific", "[process:command_line MATCHES '(.*.*)*x']".to_owned()),
        ("costly", format!("[{}]", alternatives.join(" OR "))),
        ("costly", "[file:name = 'evil.exe'] REPEATS 100000 TIMES".to_owned()),
    ];
    let numbered = |number: usize| u32::try_from(number).unwrap() + 1;
    let mut texts: Vec<String> =
        poison.iter().enumerate().map(|(at, (_, pattern))| indicator(CHEAT, numbered(at), pattern)).collect();
    let good = numbered(poison.len());
    texts.push(indicator(CHEAT, good, &domain(9)));
    let entry = pen.next(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let none: [&str; 0] = [];
    assert_eq!(cheat.post(&[&[entry.text()], &texts[..]].concat()), none, "it is what was signed");
    let receipt = || cheat.fetched().into_iter().find(|object| object["type"] == "besa-receipt");
    until("the receipt is there", || receipt().is_some());
    let listed = nodes.good(VICTIM, "", &["alliance", "quarantine", "list", "--json"]).out;
    let quarantined: Vec<_> = crate::json_lines(&listed)
        .into_iter()
        .map(|one| {
            (one["id"].as_str().unwrap().to_owned(), one["reasons"][0]["check"].as_str().unwrap().to_owned())
        })
        .collect();
    let reasons: Vec<_> = poison
        .iter()
        .enumerate()
        .map(|(at, (why, _))| (indicator_id(numbered(at)), (*why).to_owned()))
        .collect();
    assert_eq!(quarantined, reasons);
    // Its sender gets it in writing, by the check alone.
    let receipt = receipt().unwrap();
    let told = receipt["results"].as_array().unwrap().iter().map(|one| {
        (one["object_ref"].as_str().unwrap().to_owned(), one["reason"].as_str().unwrap().to_owned())
    });
    assert_eq!(told.collect::<Vec<_>>(), reasons);

    // A pattern that no machine can hold is no valid STIX, and does not get in.
    let explodes = indicator(CHEAT, 99, "[process:command_line MATCHES '((a{1000}){1000}){1000}']");
    assert_eq!(cheat.post(&[pen.next(&[&explodes]).text(), explodes]), ["`pattern`"]);
    assert!(!ids(&nodes.listed(VICTIM, &inbox(&id(CHEAT)))).contains(&*indicator_id(99)));

    // The rest hits nothing, until an analyst says otherwise.
    let question = |name: &str| format!("{{\"_path\":\"dns\",\"ts\":1,\"query\":\"{name}\"}}\n");
    let names = ["portal.csirt-1.example.al", "c2-9.evil-example.com"];
    nodes.desk.put("later.log", names.map(question).concat());
    let hits = || {
        let hunted =
            nodes.desk.run("", &["hunt", "-q", "-f", "jsonl", "--allies", &nodes.data(VICTIM), "later.log"]);
        let numbers = (1..=good).filter(|number| hunted.out.contains(&indicator_id(*number)));
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(hits(), [good]);
    let word = ["alliance", "quarantine", "release", &indicator_id(2), "--why", "an exercise"];
    nodes.good(VICTIM, "", &word);
    until("the analyst's word is done", || nodes.listed(VICTIM, ACCEPTED).len() == 2);
    assert_eq!(hits(), [2, good]);
}

#[test]
fn a_flood_is_refused_and_proved() {
    let (nodes, mut pen) = founded(&json!({ "entries_per_hour": 3 }));
    let cheat = Cheat::at(&nodes, VICTIM);
    for number in 1..=3 {
        let object = indicator(CHEAT, number, &domain(number));
        assert!(cheat.post(&[pen.next(&[&object]).text(), object]).is_empty());
    }
    for number in 4..20 {
        let object = indicator(CHEAT, number, &domain(number));
        assert_eq!(
            cheat.post(&[pen.draft(&[&object], &pen.key).text(), object]),
            ["over-limit", "not-released"]
        );
    }
    assert_eq!(nodes.listed(VICTIM, &inbox(&id(CHEAT))).len(), 6);
    assert_eq!(audited(&nodes, VICTIM), ["over-limit", "not-released"].map(str::to_owned).into());
    until("the third has the proof", || proofs(&nodes, THIRD) == proved(&["over-limit"]));
    let proofs = nodes.listed(VICTIM, SENT).iter().filter(|object| object["type"] == "besa-proof").count();
    assert_eq!(proofs, 1, "a flood makes no flood of proofs");
}

/// Its key is good and its token is, too; but the others have agreed that it is a member no more.
#[test]
fn a_removed_members_key_says_nothing() {
    let (nodes, mut pen) = founded(&json!({}));
    let one = indicator(CHEAT, 1, &domain(1));
    let first = pen.next(&[&one]);
    for host in [VICTIM, THIRD] {
        assert!(Cheat::at(&nodes, host).post(&[first.text(), one.clone()]).is_empty());
    }
    let changes = json!({ "members": [{ "identity_ref": id(CHEAT), "state": "removed" }] });
    let at = now().to_millis_text();
    assert_eq!(nodes.desk.amend("c0", &changes, "draft1", &at).code, 0);
    nodes.desk.sign_all("draft1", &["a1", "a3"], "c1");
    let file = nodes.path("c1");
    nodes.good(VICTIM, "", &["alliance", "update", file.to_str().unwrap()]);
    // The third has it from the victim's node, not from its people.
    until("the charter has spread", || nodes.status(THIRD)["charter"] == 1);
    let two = indicator(CHEAT, 2, &domain(2));
    let second = pen.next(&[&two]);
    for host in [VICTIM, THIRD] {
        let refused = Cheat::at(&nodes, host).post(&[second.text(), two.clone()]);
        assert_eq!(refused, ["not-active", "not-released"]);
        assert_eq!(audited(&nodes, host), ["not-active", "not-released"].map(str::to_owned).into());
        assert!(!ids(&nodes.listed(host, &inbox(&id(CHEAT)))).contains(&*indicator_id(2)));
    }
    // Nor is it told anything more.
    nodes.import(VICTIM, 3);
    nodes.release(VICTIM, 3);
    until("the third has it", || ids(&nodes.listed(THIRD, ACCEPTED)).contains(&*indicator_id(3)));
    for host in [VICTIM, THIRD] {
        assert!(!ids(&Cheat::at(&nodes, host).fetched()).contains(&*indicator_id(3)));
    }
}

/// Its people have revoked the key; whoever stole it signs on.
#[test]
fn a_revoked_key_says_nothing() {
    let (nodes, mut pen) = founded(&json!({}));
    let cheat = Cheat::at(&nodes, VICTIM);
    let objects: Vec<String> = (1..=3).map(|number| indicator(CHEAT, number, &domain(number))).collect();
    let first = pen.next(&[&objects[0]]);
    let second = pen.next(&[&objects[1]]);
    assert!(cheat.post(&[first.text(), objects[0].clone(), second.text(), objects[1].clone()]).is_empty());
    until("both are used", || nodes.listed(VICTIM, ACCEPTED).len() == 2);
    let head = json!({ "head_log": first.log(), "head_sequence": 1, "head_sha256": first.digest });
    let revocation = json!({
        "node_key": pen.key.id(), "revoked_from": now().to_millis_text(), "compromised": true, "heads": [head],
    });
    nodes.desk.put("revocation", json!({ "identity_ref": id(CHEAT), "revocations": [revocation] }));
    nodes.desk.good("", &["authority", "statement", "revocation", "--charter", "c0", "--out", "statement"]);
    nodes.desk.sign("statement", "a2", "statement-signed");
    let file = nodes.path("statement-signed");
    nodes.good(VICTIM, "", &["alliance", "update", file.to_str().unwrap()]);
    until("what came after the head is out of use", || {
        ids(&nodes.listed(VICTIM, ACCEPTED)) == BTreeSet::from([&*indicator_id(1)])
    });
    assert_eq!(
        cheat.post(&[pen.next(&[&objects[2]]).text(), objects[2].clone()]),
        ["revoked-key", "not-released"]
    );
    assert_eq!(audited(&nodes, VICTIM), ["revoked-key", "not-released"].map(str::to_owned).into());
}
