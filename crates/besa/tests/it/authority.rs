//! The ceremony of three members with the real binary and nothing but files: keys, charter,
//! signatures, keys that change, releases; and what must be refused on the way.

use std::collections::BTreeSet;

use besa_alliance::entry::{Audience, Content, Entry, Envelope, Release, released_object};
use besa_alliance::keys::SecretKey;
use besa_alliance::member::{Digest, MemberId};
use besa_stix::marking::TLP_2_GREEN;
use besa_stix::time::Instant;
use serde_json::{Value, json};

use crate::desk::{Desk, PASSPHRASE, SIGN, id, spec};

#[test]
fn authority_ceremony_of_three() {
    let desk = Desk::new();
    let (mut authorities, mut nodes) = (Vec::new(), Vec::new());
    for number in 1..=3 {
        let (authority, node) = (format!("a{number}"), format!("n{number}"));
        let args = ["authority", "keygen", "--out", &authority, "--passphrase-stdin", "--json"];
        let made = desk.good(PASSPHRASE, &args).json();
        assert_eq!(desk.good("", &["authority", "show", &authority, "--json"]).json(), made);
        authorities.push(made["public_key"].as_str().unwrap().to_owned());
        nodes.push(desk.node_key(&node));
        for file in [&authority, &node] {
            owner_only(&desk, file);
        }
    }
    desk.put("spec", spec(&authorities, &nodes));
    let made = desk.good("", &["charter", "new", "spec", "--out", "draft"]);
    // Each signs its copy; one of them by way of standard output.
    desk.sign("draft", "a1", "from-1");
    let args = [&SIGN[..], &["draft", "--key", "a2", "--passphrase-stdin"]].concat();
    let printed = desk.good(PASSPHRASE, &args);
    desk.put("from-2", printed.out);
    desk.sign("draft", "a3", "from-3");
    desk.good("", &["charter", "merge", "from-1", "from-2", "--out", "two"]);
    assert_eq!(desk.reason(&["charter", "verify", "two"]), "bad-charter", "one has not accepted");
    desk.good("", &["charter", "merge", "two", "from-3", "--out", "c0"]);
    let shown = desk.good("", &["charter", "show", "c0", "--json"]).json();
    let fingerprint = shown["fingerprint"].as_str().unwrap();
    assert!(made.out.contains(fingerprint), "signing changes no fingerprint: {}", made.out);
    assert!(shown["members"].as_array().unwrap().iter().all(|member| member["signed"] == true), "{shown}");
    assert_eq!(
        (&shown["limits"]["objects_per_entry"], &shown["limits"]["answer_seconds"]),
        (&json!(10), &json!(3600))
    );
    let valid = desk.good("", &["charter", "verify", "c0", "--pin", fingerprint, "--json"]).json();
    assert_eq!((&valid["valid"], &valid["pinned"]), (&json!(true), &json!(true)), "{valid}");
    assert_eq!(valid["charters"][0]["signers"].as_array().unwrap().len(), 3, "{valid}");
    let unpinned = desk.good("", &["charter", "verify", "c0"]);
    assert!(unpinned.err.contains("not pinned"), "{}", unpinned.err);
}

#[cfg(unix)]
fn owner_only(desk: &Desk, file: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(desk.path(file)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{file}");
}

#[cfg(not(unix))]
fn owner_only(_: &Desk, _: &str) {}

#[test]
fn authority_keys_are_kept() {
    let desk = Desk::founded();
    let sign = |stdin: &str, args: &[&str]| {
        desk.run(stdin, &[&SIGN[..], args, &["--key", "a1", "--passphrase-stdin"]].concat())
    };
    for (stdin, args, said) in [
        ("wrong horse battery staple", &["draft0", "--out", "x"][..], "the passphrase is wrong"),
        ("", &["draft0", "--out", "x"], "there is no passphrase"),
        (PASSPHRASE, &["draft0", "--out", "c0"], "`c0` is there; give --force"),
        (PASSPHRASE, &["spec", "--out", "x"], "`spec`"),
        (PASSPHRASE, &["nowhere", "--out", "x"], "cannot read `nowhere`"),
    ] {
        let ended = sign(stdin, args);
        assert_eq!(ended.code, 2, "{said}");
        assert!(ended.err.contains(said), "{said}: {}", ended.err);
        assert!(!desk.path("x").exists(), "{said}");
    }
    let before = desk.text("a1");
    let keygen = ["authority", "keygen", "--passphrase-stdin", "--out"];
    for (stdin, out) in [(PASSPHRASE, "a1"), ("short", "new")] {
        assert_eq!(desk.run(stdin, &[&keygen[..], &[out]].concat()).code, 2, "{out}");
    }
    assert_eq!((desk.text("a1"), desk.path("new").exists()), (before, false));
    // Told to, it replaces; nothing is left beside.
    assert_eq!(sign(PASSPHRASE, &["draft0", "--out", "c0", "--force"]).code, 0);
    let left = std::fs::read_dir(desk.path("")).unwrap();
    assert!(!left.into_iter().any(|one| one.unwrap().file_name().to_string_lossy().starts_with(".besa")));
    // A key file that was altered does not open.
    desk.put(
        "a1",
        desk.text("a1").replace(&desk.cheap_key("b", 9), "").replace("\"passes\": 1", "\"passes\": 2"),
    );
    assert!(sign(PASSPHRASE, &["draft0"]).err.contains("the file was altered"));
}

#[test]
fn authority_altered_charters_are_refused() {
    let desk = Desk::founded();
    let good = desk.text("c0");
    for (from, to, reason) in [
        ("Allies", "Foes", "malformed"),
        ("\"charter_signatures\":2", "\"charter_signatures\":3", "malformed"),
        ("\"ed25519\":\"", "\"ed25519\":\"0", "malformed"),
        ("\"sequence\":0", "\"sequence\":0,\"sequence\":0", "malformed"),
        ("\"name\":\"Allies\"", "\"name\":\"Allies\",\"more\":1", "malformed"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        desk.put("bad", bad);
        assert_eq!(desk.reason(&["charter", "verify", "bad"]), reason, "{to}");
        assert_eq!(desk.run("", &["charter", "merge", "c0", "bad", "--out", "merged"]).code, 2, "{to}");
    }
    // A signature of the right form that is wrong must not push the right one out.
    let mut forged: Value = serde_json::from_str(&good).unwrap();
    forged["signatures"][0]["ed25519"] = forged["signatures"][1]["ed25519"].clone();
    desk.put("bad", forged);
    assert_eq!(desk.reason(&["charter", "verify", "bad"]), "bad-charter");
    let merged = desk.run("", &["charter", "merge", "c0", "bad", "--out", "merged"]);
    assert!(merged.code == 2 && merged.err.contains("is wrong"), "{}", merged.err);
    assert!(!desk.path("merged").exists());
    // Another alliance of the same members is another alliance.
    desk.good("", &["charter", "new", "spec", "--out", "other", "--at", "2026-10-02T00:00:00Z"]);
    desk.sign_all("other", &["a1", "a2", "a3"], "o0");
    let pin =
        desk.good("", &["charter", "show", "c0", "--json"]).json()["sha256"].as_str().unwrap().to_owned();
    assert_eq!(desk.reason(&["charter", "verify", "o0", "--pin", &pin]), "other-alliance");
    assert_eq!(desk.reason(&["charter", "verify", "c0", "o0"]), "other-alliance");
    assert_eq!(desk.run("", &["charter", "merge", "c0", "o0", "--out", "merged"]).code, 2);
    for args in [&["charter", "verify", "nowhere"][..], &["charter", "verify", "c0", "--pin", "12"]] {
        assert_eq!(desk.run("", args).code, 2, "{args:?}");
    }
}

#[test]
fn authority_specifications_are_read_strictly() {
    let desk = Desk::founded();
    let good: Value = serde_json::from_str(&desk.text("spec")).unwrap();
    let wrong = |change: &dyn Fn(&mut Value)| {
        let mut spec = good.clone();
        change(&mut spec);
        spec.to_string()
    };
    for (spec, said) in [
        (wrong(&|spec| spec["quorums"] = json!({})), "`quorums` is no part"),
        (wrong(&|spec| spec["quorum"] = Value::Null), "`quorum` is no JSON object"),
        (wrong(&|spec| spec["quorum"]["charter_signatures"] = json!(1)), "a quorum of 1"),
        (wrong(&|spec| spec["limits"]["objects"] = json!(1)), "unknown field `objects`"),
        (wrong(&|spec| spec["members"][0]["role"] = json!([])), "unknown field `role`"),
        (wrong(&|spec| spec["members"][1] = spec["members"][0].clone()), "twice"),
        (wrong(&|spec| spec["members"][0]["node_keys"][0]["valid_from"] = json!("soon")), "`valid_from`"),
        (wrong(&|spec| spec["members"][0]["authority_key"] = json!("00")), "00"),
        (r#"{"name":"a","name":"b"}"#.to_owned(), "spec"),
        ("[]".to_owned(), "no JSON object"),
    ] {
        desk.put("bad-spec", spec);
        let ended = desk.run("", &["charter", "new", "bad-spec", "--out", "x"]);
        assert!(ended.code == 2 && ended.err.contains(said), "{said}: {}", ended.err);
        assert!(!desk.path("x").exists(), "{said}");
    }
}

#[test]
fn authority_and_node_keys_change() {
    let desk = Desk::founded();
    // Member 1 gets a new authority key and member 2 a new node key; member 3 gives up a role.
    let (authority, node) = (desk.cheap_key("a1-new", 11), desk.node_key("n2-new"));
    let changes = json!({ "members": [
        { "identity_ref": id(1), "authority_key": authority },
        { "identity_ref": id(2), "node_keys": [
            { "node_key": node, "valid_from": "2026-10-02", "valid_until": "2030-01-01T00:00:00Z" },
        ] },
        { "identity_ref": id(3), "roles": ["witness"], "nation": null },
    ] });
    let drafted = desk.amend("c0", &changes, "draft1", "2026-10-02T00:00:00Z");
    assert_eq!(drafted.code, 0, "{}", drafted.err);
    assert!(drafted.err.contains("CSIRT 1 with the key it has in this one"), "{}", drafted.err);
    let verify = ["charter", "verify", "c1", "c0"];
    for (keys, reason) in [
        (&["a2", "a3"][..], "bad-charter"),
        (&["a1-new", "a3"], "no-quorum"),
        (&["a1", "a1-new"], "no-quorum"),
    ] {
        desk.put("c1", "");
        std::fs::remove_file(desk.path("c1")).unwrap();
        keys.iter().for_each(|key| drop(std::fs::remove_file(desk.path(&format!("draft1.by-{key}")))));
        desk.sign_all("draft1", keys, "c1");
        assert_eq!(desk.reason(&verify), reason, "{keys:?}");
    }
    desk.good("", &["charter", "merge", "c1", "draft1.by-a3", "--out", "c1", "--force"]);
    let valid = desk.good("", &[&verify[..], &["--json"]].concat()).json();
    assert_eq!(valid["charters"][1]["signers"], json!([id(1), id(3)]), "{valid}");
    assert_eq!(desk.reason(&["charter", "verify", "c1"]), "bad-charter", "the first is not there");
    let third = &desk.good("", &["charter", "show", "c1", "--json"]).json()["members"][2];
    assert_eq!((&third["nation"], &third["roles"]), (&Value::Null, &json!(["witness"])), "{third}");
    // The old key speaks for nobody now, the new one does.
    let changes = json!({ "members": [{ "identity_ref": id(3), "state": "removed" }] });
    assert_eq!(desk.amend("c1", &changes, "draft2", "2026-10-03T00:00:00Z").code, 0);
    desk.sign_all("draft2", &["a1", "a2"], "c2-old");
    assert_eq!(desk.reason(&["charter", "verify", "c0", "c1", "c2-old"]), "no-quorum");
    desk.sign("c2-old", "a1-new", "c2");
    desk.good("", &["charter", "verify", "c0", "c1", "c2"]);
    // One removed for good is not taken back; a member is not left out.
    let back = json!({ "members": [{ "identity_ref": id(3), "state": "active" }] });
    let ended = desk.amend("c2", &back, "draft3", "2026-10-04T00:00:00Z");
    assert!(ended.code == 2 && ended.err.contains("removed for good"), "{}", ended.err);
}

#[test]
fn authority_check_of_a_release() {
    let desk = Desk::founded();
    let check = ["charter", "check-release", "release", "objects", "--at", "2026-10-20T00:00:00Z", "--json"];
    let checked = |charters: &[&str]| {
        let ended = desk.run("", &[&check[..], &["--charter"], charters].concat());
        let shown = ended.json();
        let reason = |finding: &Value| finding["reason"].as_str().unwrap_or("valid").to_owned();
        let mut reasons = vec![reason(&shown["entry"])];
        reasons.extend(shown["objects"].as_array().unwrap().iter().map(reason));
        (ended.code, reasons.join(" "))
    };
    let (mine, also_mine, theirs) = (object(1, 1, "a"), object(1, 2, "b"), object(2, 3, "c"));
    release(&desk, "n1", 1, &[&mine, &also_mine]);
    for (objects, outcome) in [
        (vec![&mine, &also_mine], (0, "valid valid valid")),
        (vec![&also_mine, &mine], (0, "valid valid valid")),
        (vec![&mine], (1, "valid valid missing")),
        (vec![&mine, &object(1, 2, "x")], (1, "valid valid altered")),
        (vec![&mine, &also_mine, &theirs], (1, "valid valid valid not-released")),
    ] {
        let objects: Vec<Value> =
            objects.into_iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        desk.put("objects", json!(objects));
        assert_eq!(checked(&["c0"]), (outcome.0, outcome.1.to_owned()));
    }
    let text =
        ["charter", "check-release", "release", "objects", "--charter", "c0", "--at", "2026-10-20T00:00:00Z"];
    assert!(desk.run("", &text).out.contains("not valid: entry 1 of a log of CSIRT 1"));
    desk.put("objects", format!("[{mine},{also_mine}]"));
    // Another member's key, and another member's object.
    release(&desk, "n2", 1, &[&mine, &also_mine]);
    assert_eq!(checked(&["c0"]), (1, "foreign-key valid valid".to_owned()));
    desk.put("objects", &theirs);
    release(&desk, "n1", 1, &[&theirs]);
    assert_eq!(checked(&["c0"]), (1, "valid wrong-creator".to_owned()));
    // Its authority revokes the key as compromised, and certifies another: a statement, no charter.
    desk.put("objects", &mine);
    release(&desk, "n1", 1, &[&mine]);
    let (old, new) = (key_of(&desk, "n1").id(), desk.node_key("n1-new"));
    desk.put(
        "keys",
        json!({
            "identity_ref": id(1),
            "certified": [{ "node_key": new, "valid_from": "2026-10-05", "valid_until": "2030-01-01" }],
            "revocations": [{ "node_key": old, "revoked_from": "2026-10-05", "compromised": true }],
        }),
    );
    let at = "2026-10-05T00:00:00Z";
    desk.good("", &["authority", "statement", "keys", "--charter", "c0", "--out", "drafted", "--at", at]);
    assert_eq!(checked(&["c0"]).0, 0);
    desk.sign("drafted", "a2", "forged");
    assert_eq!(desk.reason(&["charter", "verify", "c0", "forged"]), "bad-signature");
    desk.sign("drafted", "a1", "statement");
    assert!(desk.good("", &["charter", "show", "statement"]).out.contains("compromised true"));
    assert_eq!(checked(&["statement", "c0"]), (1, "revoked-key valid".to_owned()));
    release(&desk, "n1-new", 1, &[&mine]);
    assert_eq!(checked(&["statement", "c0"]), (0, "valid valid".to_owned()));
    assert_eq!(checked(&["c0"]), (1, "foreign-key valid".to_owned()));
    // An entry is its node's to sign, and never an authority's.
    let args = [&SIGN[..], &["release", "--key", "a1", "--passphrase-stdin"]].concat();
    let ended = desk.run(PASSPHRASE, &args);
    assert!(ended.code == 2 && ended.err.contains("one signature"), "{}", ended.err);
}

/// Whether an object may go to a member is asked of the signed charter, its groups included.
#[test]
fn authority_groups_and_what_may_go_to_them() {
    let desk = Desk::founded();
    let changes = json!({"groups": {"north": [id(2), id(1)], "south": [id(3)]}});
    assert_eq!(desk.amend("c0", &changes, "draft1", "2026-10-02T00:00:00Z").code, 0);
    desk.sign_all("draft1", &["a1", "a2"], "c1");
    let shown = desk.good("", &["charter", "show", "c1"]).out;
    assert!(shown.contains("group        north: CSIRT 1, CSIRT 2"), "{shown}");

    let audience = json!({
        "type": "marking-definition", "spec_version": "2.1", "created": "2026-10-01T00:00:00.000Z",
        "id": "marking-definition--00000000-0000-4000-8000-0000000000aa",
        "extensions": {"extension-definition--f036aa16-4b04-4030-b803-722d6213aa7f": {
            "extension_type": "property-extension", "groups": ["north"],
        }},
    });
    let mut tool: Value = serde_json::from_str(&object(1, 7, "x")).unwrap();
    let tlp = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003";
    tool["object_marking_refs"] = json!([tlp, audience["id"]]);
    desk.put(
        "objects",
        json!({"type": "bundle", "id": "bundle--00000000-0000-4000-8000-0000000000bb",
        "objects": [tool, audience]}),
    );
    let explain = |to: usize, charters: &[&str]| {
        let (to, me) = (id(to), id(1));
        let args = ["release", "explain", "objects", "--json", "--to", &to, "--as", &me, "--charter"];
        let ended = desk.run("", &[&args[..], charters].concat());
        let first: Option<Value> = ended.out.lines().next().map(|line| serde_json::from_str(line).unwrap());
        (ended.code, first.map(|first| first["released"] == true))
    };
    assert_eq!(explain(2, &["c1", "c0"]), (0, Some(true)));
    assert_eq!(explain(3, &["c1", "c0"]), (1, Some(false)), "in no group of the audience");
    assert_eq!(explain(2, &["c0"]), (1, Some(false)), "the charter before has no groups");
    assert_eq!(explain(2, &["c0", "draft1"]), (2, None), "nobody has signed it");
    // The next charter takes a group away.
    assert_eq!(
        desk.amend("c1", &json!({"groups": {"south": null}}), "draft2", "2026-10-03T00:00:00Z").code,
        0
    );
    let left = desk.good("", &["charter", "show", "draft2", "--json"]).json();
    assert_eq!(left["groups"], json!([{"group": "north", "group_refs": [id(1), id(2)]}]));
}

fn object(creator: usize, number: u32, value: &str) -> String {
    json!({
        "type": "note", "spec_version": "2.1", "id": format!("note--00000000-0000-4000-8000-{number:012x}"),
        "created_by_ref": id(creator), "created": "2026-09-21T00:00:00.000Z",
        "modified": "2026-09-21T00:00:00.000Z", "content": value, "object_refs": [id(creator)],
    })
    .to_string()
}

fn key_of(desk: &Desk, file: &str) -> SecretKey {
    SecretKey::from_node_file(&desk.text(file)).unwrap()
}

/// A member's first release to all, as its node makes it, in the file `release`.
fn release(desk: &Desk, key: &str, member: usize, objects: &[&str]) {
    let shown = desk.good("", &["charter", "show", "c0", "--json"]).json();
    let objects: BTreeSet<_> = objects.iter().map(|text| released_object(text).unwrap()).collect();
    let envelope = Envelope {
        created_by_ref: MemberId::parse(&id(member)).unwrap(),
        alliance: Digest::parse(shown["sha256"].as_str().unwrap()).unwrap(),
        charter: 0,
        audience: Audience::Charter,
        object_marking_refs: vec![TLP_2_GREEN.to_owned()],
        sequence: 1,
        previous: None,
    };
    let content = Content::Release(Release { objects: objects.into_iter().collect() });
    let made = Instant::parse("2026-10-10T00:00:00Z").unwrap();
    let entry = Entry::sign(made, envelope, content, &key_of(desk, key)).unwrap();
    desk.put("release", entry.text());
}
