//! What every database must do.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use besa_intel::account::{Role, Scope, fresh_token, hash_password, read_token, verify_password};
use besa_intel::object::Role as LinkRole;
use besa_intel::{
    Access, AuditEntry, NewCollection, PageQuery, Store, StoreError, Time, User, Verdict, VersionFilter,
    VersionKey,
};

use crate::support::{AUTHOR, OTHER, add, campaign, collection, now, time, uuid, verdicts, walk};

pub(crate) type Case = (&'static str, fn(&dyn Store));

pub(crate) const CASES: [Case; 13] = [
    ("verdicts", verdicts_of_versions),
    ("bytes", bytes_are_kept),
    ("pages", pages_equal_a_slow_twin),
    ("date_added", date_added_rises),
    ("lookups", lookups),
    ("directory", directory),
    ("concurrent", concurrent_writers),
    ("hostile", hostile_objects),
    ("bounded", answers_are_bounded),
    ("growth", what_is_sent_again_takes_no_room),
    ("origin", what_binds_an_object_is_kept),
    ("ledger", what_a_reader_was_shown_is_numbered_without_gaps),
    ("retention", old_entries_are_cut_and_the_log_says_so),
];

fn verdicts_of_versions(store: &dyn Store) {
    use Verdict::{Added, Conflict, Known, Refused};
    let by = |who: &str| format!(r#","created_by_ref":"{who}""#);
    let revoked = |who: &str| format!(r#","created_by_ref":"{who}","revoked":true"#);
    let (v1, v2, v3, v4) = (
        "2021-01-01T00:00:00.000Z",
        "2022-01-01T00:00:00.000Z",
        "2023-01-01T00:00:00.000Z",
        "2024-01-01T00:00:00.000Z",
    );
    let steps: Vec<(&str, String, Verdict)> = vec![
        ("new", campaign(1, v2, &by(AUTHOR)), Added),
        ("again", campaign(1, v2, &by(AUTHOR)), Known),
        (
            "a default written out is no change",
            campaign(1, v2, &format!("{},\"revoked\":false", by(AUTHOR))),
            Known,
        ),
        (
            "the same instant in other words",
            campaign(1, "2022-01-01T00:00:00.000000Z", &by(AUTHOR)),
            Conflict,
        ),
        ("other content", campaign(1, v2, &format!("{},\"description\":\"x\"", by(AUTHOR))), Conflict),
        ("an older version later", campaign(1, v1, &by(AUTHOR)), Added),
        ("another's version", campaign(1, v3, &by(OTHER)), Refused),
        ("nobody's version", campaign(1, v3, ""), Refused),
        ("another's revocation", campaign(1, v3, &revoked(OTHER)), Refused),
        ("revocation", campaign(1, v3, &revoked(AUTHOR)), Added),
        ("after revocation", campaign(1, v4, &by(AUTHOR)), Refused),
        (
            "created changed",
            campaign(1, "2020-06-01T00:00:00.000Z", &by(AUTHOR)).replace("2020-01-01", "2020-02-01"),
            Refused,
        ),
        ("invalid", campaign(2, "2019-01-01T00:00:00.000Z", ""), Refused),
        ("no object", "17".to_owned(), Refused),
        ("good after bad", campaign(3, v1, ""), Added),
    ];
    let feed = collection(store, "feed");
    let objects: Vec<String> = steps.iter().map(|(_, object, _)| object.clone()).collect();
    let receipt = add(store, now(), Some(feed), &objects);
    let outcomes = receipt.outcomes.clone().unwrap();
    for ((what, _, expected), outcome) in steps.iter().zip(&outcomes) {
        assert_eq!(outcome.verdict, *expected, "{what}: {}", outcome.message);
        assert!(outcome.is_success() || !outcome.message.is_empty(), "{what}: a reason is given");
    }
    assert_eq!(store.request(&receipt.request).unwrap().unwrap(), receipt);
    assert_eq!(store.conflicts(0, 10).unwrap().len(), 2);
    let id = format!("campaign--{}", uuid(1));
    assert_eq!(store.versions(&id).unwrap().len(), 3);
    assert!(store.object(&id, None).unwrap().unwrap().revoked);
    assert_eq!(store.object(&id, Some(time("2021-01-01T00:00:00Z"))).unwrap().unwrap().version, v1);
    // A second sender of the same content is remembered.
    let seq = store.object(&id, Some(time(v2))).unwrap().unwrap().seq;
    assert_eq!(store.arrivals(seq).unwrap().len(), 0, "the first sender sent it twice");
    let again = besa_intel::prepare_all(campaign(1, v2, &by(AUTHOR)).as_bytes()).unwrap();
    store.add_objects(besa_intel::Batch::new("second", now(), Some(feed), again)).unwrap();
    assert_eq!(store.arrivals(seq).unwrap()[0].0, "second");
    // A revocation that comes after later versions is the last word all the same.
    let late = [campaign(9, v4, ""), campaign(9, v2, r#","revoked":true"#)];
    assert_eq!(verdicts(&add(store, now(), Some(feed), &late)), [Added, Added]);
    let query = PageQuery { ids: vec![format!("campaign--{}", uuid(9))], ..PageQuery::default() };
    assert!(walk(store, feed, &query)[0].raw.contains("revoked"));
}

fn bytes_are_kept(store: &dyn Store) {
    let feed = collection(store, "feed");
    let odd = r#"{ "x_n":1.0E+2,"type":"campaign" , "spec_version":"2.1","id":"campaign--0000000c-0000-4000-8000-00000000000c",
        "created":"2020-01-01T00:00:00.000Z","modified":"2020-01-01T00:00:00.000000Z","name":"\u00e9é\/","x_big":123456789012345678901234567890}"#;
    let sco = r#"{"type":"ipv4-addr","id":"ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4","value":"198.51.100.3"}"#;
    let objects = [odd.to_owned(), sco.to_owned()];
    let receipt = add(store, now(), Some(feed), &objects);
    assert_eq!(verdicts(&receipt), [Verdict::Added, Verdict::Added]);
    let raws: Vec<String> =
        walk(store, feed, &PageQuery::default()).into_iter().map(|entry| entry.raw).collect();
    assert_eq!(raws, objects);
    let stored = store.since(0, 10).unwrap();
    assert_eq!((stored[0].who.as_str(), stored[0].received), ("tester", 1_767_225_600_500_000));
    assert_eq!(stored[0].request, receipt.request);
    // An object without timestamps: one version, named by when it came.
    assert_eq!(
        verdicts(&add(store, time("2027-01-01T00:00:00Z"), Some(feed), &[sco.to_owned()])),
        [Verdict::Known]
    );
    let manifest = PageQuery { content: false, types: vec!["ipv4-addr".to_owned()], ..PageQuery::default() };
    let entry = &walk(store, feed, &manifest)[0];
    assert_eq!(entry.version, "2026-01-01T00:00:00.500000Z");
    let exact =
        VersionFilter { exact: vec![VersionKey::of(time(&entry.version))], ..VersionFilter::default() };
    assert_eq!(walk(store, feed, &PageQuery { versions: exact, ..PageQuery::default() }).len(), 1);
}

/// Filters and pages against a full scan.
fn pages_equal_a_slow_twin(store: &dyn Store) {
    let feed = collection(store, "feed");
    let other = collection(store, "other");
    let mut random = Random(7);
    for round in 0..30 {
        let objects: Vec<String> = (0..random.below(20)).map(|_| random_object(&mut random)).collect();
        let at = time(&format!("2026-01-{:02}T00:00:00Z", 1 + (round * 7) % 28));
        add(store, at, Some(if round % 5 == 4 { other } else { feed }), &objects);
        if round % 6 == 5 {
            let id = format!("campaign--{}", uuid(random.below(12)));
            let some = [VersionFilter::last(), VersionFilter::all()];
            store.unlist(feed, &id, &some[random.below(2) as usize], None, None).unwrap();
        }
    }
    let all = PageQuery { versions: VersionFilter::all(), specs: Some(vec![20, 21]), ..PageQuery::default() };
    let everything = walk(store, feed, &all);
    assert!(everything.len() > 60, "{}", everything.len());
    assert!(everything.windows(2).all(|pair| pair[0].seq < pair[1].seq && pair[0].added < pair[1].added));
    for _ in 0..300 {
        let query = random_query(&mut random, &everything);
        let expected = slowly(&everything, &query);
        let found: Vec<u64> = walk(store, feed, &query).iter().map(|entry| entry.seq).collect();
        assert_eq!(found, expected, "{query:?}");
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn random_object(random: &mut Random) -> String {
    let number = random.below(12);
    let modified = format!("202{}-01-01T00:00:00.000Z", random.below(6));
    match random.below(4) {
        0 => campaign(number, &modified, "").replace("campaign", "tool"),
        1 => campaign(number, &modified, "").replace(r#""spec_version":"2.1","#, r#""spec_version":"2.0","#),
        _ => campaign(number, &modified, ""),
    }
}

fn random_query(random: &mut Random, all: &[besa_intel::Entry]) -> PageQuery {
    let mut query = PageQuery { limit: 1 + random.below(9) as usize, ..PageQuery::default() };
    if random.below(3) == 0 {
        query.types = vec![["campaign", "tool", "grouping"][random.below(3) as usize].to_owned()];
    }
    if random.below(3) == 0 {
        query.ids = (0..3).map(|_| format!("campaign--{}", uuid(random.below(14)))).collect();
    }
    if random.below(3) == 0 {
        let nanos = i128::from(all[random.below(all.len() as u64) as usize].added) * 1_000;
        query.added_after = Time::from_unix_nanos(nanos);
    }
    query.specs = match random.below(3) {
        0 => Some(vec![20]),
        1 => Some(vec![20, 21]),
        _ => None,
    };
    let exact = vec![VersionKey::of(time(&format!("202{}-01-01T00:00:00Z", random.below(6))))];
    query.versions = match random.below(5) {
        0 => VersionFilter::all(),
        1 => VersionFilter { first: true, ..VersionFilter::default() },
        2 => VersionFilter { exact, last: random.below(2) == 0, ..VersionFilter::default() },
        _ => VersionFilter::last(),
    };
    query
}

fn slowly(all: &[besa_intel::Entry], query: &PageQuery) -> Vec<u64> {
    let value = |raw: &str| serde_json::from_str::<serde_json::Value>(raw).unwrap();
    let text = |value: &serde_json::Value, key: &str| value[key].as_str().unwrap().to_owned();
    let mut versions: BTreeMap<(String, i64), Vec<String>> = BTreeMap::new();
    for entry in all {
        let object = value(&entry.raw);
        versions.entry((text(&object, "id"), entry.spec)).or_default().push(text(&object, "modified"));
    }
    let keep = |entry: &&besa_intel::Entry| {
        let object = value(&entry.raw);
        let (id, modified) = (text(&object, "id"), text(&object, "modified"));
        let siblings = &versions[&(id.clone(), entry.spec)];
        let key = VersionKey::of(time(&modified));
        let wanted = &query.versions;
        let version = wanted.all
            || wanted.last && siblings.iter().max() == Some(&modified)
            || wanted.first && siblings.iter().min() == Some(&modified)
            || wanted.exact.contains(&key);
        let spec = match &query.specs {
            Some(specs) => specs.contains(&entry.spec),
            None => entry.spec == 21 || !versions.contains_key(&(id.clone(), 21)),
        };
        let added = query.added_after.is_none_or(|time| entry.added > besa_intel::micros(time));
        let id_fits = query.ids.is_empty() || query.ids.contains(&id);
        let type_fits = query.types.is_empty() || query.types.contains(&text(&object, "type"));
        version && spec && added && id_fits && type_fits
    };
    all.iter().filter(keep).map(|entry| entry.seq).collect()
}

fn date_added_rises(store: &dyn Store) {
    let feed = collection(store, "feed");
    for (round, at) in
        ["2026-06-01T00:00:00Z", "2025-01-01T00:00:00Z", "2026-06-01T00:00:00.000001Z"].iter().enumerate()
    {
        let objects: Vec<String> =
            (0..5).map(|n| campaign(round as u64 * 10 + n, "2024-01-01T00:00:00.000Z", "")).collect();
        add(store, time(at), Some(feed), &objects);
    }
    let entries = walk(store, feed, &PageQuery { limit: 4, ..PageQuery::default() });
    assert_eq!(entries.len(), 15);
    assert!(entries.windows(2).all(|pair| pair[0].added < pair[1].added));
    // Polling by the time of the last object seen loses nothing, wherever the page was cut.
    for cut in &entries {
        let nanos = i128::from(cut.added) * 1_000;
        let query = PageQuery { added_after: Time::from_unix_nanos(nanos), ..PageQuery::default() };
        let rest = entries.iter().filter(|entry| entry.seq > cut.seq).count();
        assert_eq!(walk(store, feed, &query).len(), rest);
    }
}

fn lookups(store: &dyn Store) {
    let relationship = format!(
        r#"{{"type":"relationship","spec_version":"2.1","id":"relationship--{}","created":"2020-01-01T00:00:00.000Z","modified":"2020-01-01T00:00:00.000Z","relationship_type":"uses","source_ref":"campaign--{}","target_ref":"tool--{}","created_by_ref":"{AUTHOR}"}}"#,
        uuid(50),
        uuid(1),
        uuid(2)
    );
    let indicator = format!(
        r#"{{"type":"indicator","spec_version":"2.1","id":"indicator--{}","created":"2020-01-01T00:00:00.000Z","modified":"2020-01-01T00:00:00.000Z","pattern":"[domain-name:value = 'Evil.example'] AND [file:hashes.MD5 = 'D41D8CD98F00B204E9800998ECF8427E']","pattern_type":"stix","valid_from":"2020-01-01T00:00:00Z","object_marking_refs":["{}"],"name":"Wiper of Homeland Justice"}}"#,
        uuid(51),
        besa_stix::marking::TLP_2_GREEN
    );
    let objects = [
        campaign(1, "2021-01-01T00:00:00.000Z", r#","description":"Homeland wiper""#),
        relationship,
        indicator,
    ];
    let receipt = add(store, now(), None, &objects);
    assert_eq!(receipt.failures(), 0, "{receipt:?}");
    let ids =
        |found: Vec<besa_intel::Stored>| found.iter().map(|one| one.id[..8].to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(store.by_type("campaign", 0, 9).unwrap()), ["campaign"]);
    assert_eq!(ids(store.by_observable("evil[.]EXAMPLE", 0, 9).unwrap()), ["indicato"]);
    assert_eq!(ids(store.by_observable("d41d8cd98f00b204e9800998ecf8427e", 0, 9).unwrap()), ["indicato"]);
    let campaign_id = format!("campaign--{}", uuid(1));
    assert_eq!(ids(store.by_reference(&campaign_id, Some(LinkRole::Source), 0, 9).unwrap()), ["relation"]);
    assert_eq!(ids(store.by_reference(&campaign_id, Some(LinkRole::Target), 0, 9).unwrap()), [""; 0]);
    assert_eq!(ids(store.by_reference(AUTHOR, Some(LinkRole::Creator), 0, 9).unwrap()), ["relation"]);
    assert_eq!(ids(store.by_reference(besa_stix::marking::TLP_2_GREEN, None, 0, 9).unwrap()), ["indicato"]);
    assert_eq!(ids(store.search("WIPER homeland", 0, 9).unwrap()), ["campaign", "indicato"]);
    assert_eq!(ids(store.search("wiper justice", 0, 9).unwrap()), ["indicato"]);
    assert_eq!(ids(store.search("nothing", 0, 9).unwrap()), [""; 0]);
    assert_eq!(store.since(1, 1).unwrap()[0].seq, 2);
}

fn directory(store: &dyn Store) {
    let epoch = store.epoch().unwrap();
    let hash = hash_password("correct horse battery").unwrap();
    assert!(hash.starts_with("$argon2id$") && verify_password("correct horse battery", &hash));
    assert!(!verify_password("correct horse", &hash) && hash_password("short").is_err());
    let user = User {
        name: "ana".into(),
        role: Role::Reader,
        password: Some(hash),
        certificate: None,
        disabled: false,
        member: None,
    };
    store.add_user(&user).unwrap();
    assert!(matches!(store.add_user(&user), Err(StoreError::Exists(_))));
    assert!(store.add_user(&User { name: "a/b".into(), ..user.clone() }).is_err());
    for (member, role) in [(OTHER, Role::Analyst), ("malware--1", Role::Reader), ("", Role::Reader)] {
        let odd = User { name: "odd".into(), role, member: Some(member.into()), ..user.clone() };
        assert!(matches!(store.add_user(&odd), Err(StoreError::Input(_))), "{member} {role:?}");
    }
    let new =
        NewCollection { alias: Some("feed".into()), root: "trust-1".into(), ..NewCollection::titled("Feed") };
    let made = store.add_collection(&new, now()).unwrap();
    assert!(matches!(store.add_collection(&new, now()), Err(StoreError::Exists(_))));
    assert!(store.add_collection(&NewCollection { root: "taxii2".into(), ..new.clone() }, now()).is_err());
    store.set_access(made.key, "ana", Access::parse("ro").unwrap()).unwrap();
    assert!(matches!(store.set_access(made.key, "bob", Access::default()), Err(StoreError::Missing(_))));
    // Who stands for a member reads or writes.
    let ally = User { name: "ally".into(), member: Some(OTHER.into()), ..user.clone() };
    store.add_user(&ally).unwrap();
    let both = Access::parse("rw").unwrap();
    assert!(matches!(store.set_access(made.key, "ally", both), Err(StoreError::Input(_))));
    store.set_access(made.key, "ally", Access::parse("wo").unwrap()).unwrap();
    assert_eq!(store.directory().unwrap().users[0], ally);
    store.remove_user("ally").unwrap();
    store.set_access(made.key, "ana", both).unwrap();
    let turned = User { member: Some(besa_intel::MEMBER_PUBLIC.into()), ..user.clone() };
    assert!(matches!(store.update_user(&turned), Err(StoreError::Input(_))));
    store.set_access(made.key, "ana", Access::parse("ro").unwrap()).unwrap();
    let token = fresh_token().unwrap();
    store.add_token(&token.record("ana", "feed", Scope::Read, Some(made.key), None, now())).unwrap();
    let seen = store.directory().unwrap();
    assert!(seen.epoch > epoch);
    assert_eq!(
        (seen.roots, seen.collections, seen.users),
        (vec!["api".to_owned(), "trust-1".into()], vec![made.clone()], vec![user.clone()])
    );
    assert_eq!(seen.access, [(made.key, "ana".to_owned(), Access { read: true, write: false })]);
    assert_eq!(read_token(&token.text).unwrap(), (seen.tokens[0].id.clone(), seen.tokens[0].hash.clone()));
    store.remove_token(&token.id).unwrap();
    store.update_user(&User { disabled: true, ..user }).unwrap();
    assert!(store.directory().unwrap().users[0].disabled);
    store.remove_user("ana").unwrap();
    let seen = store.directory().unwrap();
    assert!(seen.users.is_empty() && seen.tokens.is_empty() && seen.access.is_empty());
    let entry = AuditEntry { at: 1, actor: "ana".into(), action: "GET\0".into(), ..AuditEntry::default() };
    store.audit(vec![entry]).unwrap();
    assert_eq!(store.audit_log(0, 10).unwrap()[0].1.action, "GET\u{fffd}");
    store.set_cursor("peer", "1").unwrap();
    store.set_cursor("peer", "2").unwrap();
    assert_eq!(store.cursor("peer").unwrap().as_deref(), Some("2"));
    store.check().unwrap();
}

/// A reader that follows the commit numbers meets every object of many writers exactly once.
fn concurrent_writers(store: &dyn Store) {
    const WRITERS: u64 = 8;
    const ROUNDS: u64 = 12;
    let feed = collection(store, "feed");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut query = PageQuery { limit: 7, ..PageQuery::default() };
            let mut seen = Vec::new();
            loop {
                let finished = done.load(Ordering::SeqCst);
                let page = store.page(feed, &query).unwrap();
                query.after = page.entries.last().map_or(query.after, |entry| entry.seq);
                seen.extend(page.entries.iter().map(|entry| entry.raw.clone()));
                if finished && page.entries.is_empty() {
                    return seen;
                }
            }
        });
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let number = writer * 1_000 + round * 2;
                        let objects =
                            [number, number + 1].map(|n| campaign(n, "2024-01-01T00:00:00.000Z", ""));
                        assert_eq!(add(store, now(), Some(feed), &objects).failures(), 0);
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::SeqCst);
        let mut seen = reader.join().unwrap();
        assert_eq!(seen.len() as u64, WRITERS * ROUNDS * 2);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len() as u64, WRITERS * ROUNDS * 2);
    });
}

/// Whatever is sent, the batch is answered and the reader is unharmed.
fn hostile_objects(store: &dyn Store) {
    let feed = collection(store, "feed");
    let good =
        campaign(1, "2024-01-01T00:00:00.000Z", r#","x_a":"\u0000","description":"\u0000 \ud83d\ude00""#);
    let objects = [
        good.clone(),
        campaign(2, "2024-01-01T00:00:00.000Z", r#","x_a":{"x_b":"\ud800"}"#),
        campaign(3, "9999-12-31T23:59:59.999Z", ""),
        campaign(
            4,
            "2024-01-01T00:00:00.000Z",
            &format!(r#","x_a":{}1{}"#, "[".repeat(5_000), "]".repeat(5_000)),
        ),
        r#"{"id":17,"type":"campaign"}"#.to_owned(),
        r#"{"type":"url","id":"url--c1477287-23ac-5971-a010-5c287877fa60","value":"a\u0000b"}"#.to_owned(),
        "null".to_owned(),
        campaign(5, "2024-01-01T00:00:00.000Z", r#","name":"twice""#),
    ];
    let receipt = add(store, now(), Some(feed), &objects);
    let outcomes = receipt.outcomes.as_ref().unwrap();
    assert!(outcomes[0].is_success() && outcomes[2].is_success(), "{outcomes:?}");
    assert!([1, 3, 4, 6, 7].iter().all(|at| !outcomes[*at].is_success()), "{outcomes:?}");
    assert_eq!(walk(store, feed, &PageQuery::default())[0].raw, good);
    store.search("a", 0, 1).unwrap();
    store.search("\0 ud83d", 0, 1).unwrap();
    assert!(store.object("campaign--\0", None).unwrap().is_none());
}

/// Large objects make short pages and lists, never large ones; nothing is lost between them.
fn answers_are_bounded(store: &dyn Store) {
    let feed = collection(store, "feed");
    let padding = format!(r#","description":"{}""#, "x".repeat(900_000));
    for number in 0..12 {
        let object = campaign(number, "2024-01-01T00:00:00.000Z", &padding);
        assert_eq!(add(store, now(), Some(feed), &[object]).failures(), 0);
    }
    let page = store.page(feed, &PageQuery::default()).unwrap();
    assert!((1..=5).contains(&page.entries.len()) && page.more, "{}", page.entries.len());
    let whole = walk(store, feed, &PageQuery::default());
    assert_eq!(whole.len(), 12);
    assert!(whole.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    assert_eq!(walk(store, feed, &PageQuery { content: false, ..PageQuery::default() }).len(), 12);
    let mut after = 0;
    let mut seen = 0;
    loop {
        let part = store.since(after, 1_000).unwrap();
        assert!(part.len() <= 5);
        let Some(last) = part.last() else { break };
        (after, seen) = (last.seq, seen + part.len());
    }
    assert_eq!(seen, 12);
    assert!(store.search("campaign", 0, 1_000).unwrap().len() <= 5);
    // Versions are given back many at a time, so their texts are bounded too.
    let long = format!("2024-01-01T00:00:00.{}Z", "0".repeat(100));
    assert_eq!(verdicts(&add(store, now(), Some(feed), &[campaign(20, &long, "")])), [Verdict::Refused]);
}

fn what_is_sent_again_takes_no_room(store: &dyn Store) {
    let feed = collection(store, "feed");
    let v1 = "2024-01-01T00:00:00.000Z";
    let send = |who: &str, object: String| {
        let prepared = besa_intel::prepare_all(object.as_bytes()).unwrap();
        store.add_objects(besa_intel::Batch::new(who, now(), Some(feed), prepared)).unwrap()
    };
    for who in ["a", "a", "b", "b", "a", "c"] {
        send(who, campaign(1, v1, ""));
    }
    let seq = store.object(&format!("campaign--{}", uuid(1)), None).unwrap().unwrap().seq;
    let later: Vec<String> = store.arrivals(seq).unwrap().into_iter().map(|(who, _)| who).collect();
    assert_eq!(later, ["b", "c"], "each other sender once");
    for n in 0..30 {
        let receipt = send("a", campaign(1, v1, &format!(r#","description":"{n}""#)));
        assert_eq!(verdicts(&receipt), [Verdict::Conflict]);
    }
    assert_eq!(store.conflicts(0, 1_000).unwrap().len(), 8);
}

/// Who sent an object first, and every marking under which another's was sent, stand with it.
fn what_binds_an_object_is_kept(store: &dyn Store) {
    use besa_intel::{Batch, Origin, Sender};
    let v1 = "2024-01-01T00:00:00.000Z";
    let marking = |number: u64| format!("marking-definition--{}", uuid(number));
    let send = |who: &str, from: Sender, under: &[u64], object: &str| {
        let prepared = besa_intel::prepare_all(object.as_bytes()).unwrap();
        let origin = Origin { from, under: under.iter().map(|number| marking(*number)).collect() };
        let release = Some(format!("release of {who}"));
        store.add_objects(Batch { origin, release, ..Batch::new(who, now(), None, prepared) })
    };
    let member = |id: &str| Sender::Member(id.to_owned());
    let origin =
        |number: u64| store.object(&format!("campaign--{}", uuid(number)), None).unwrap().unwrap().origin;
    // Ours first: what comes back under something binds nothing.
    send("us", Sender::Here, &[], &campaign(1, v1, "")).unwrap();
    send("a", member(AUTHOR), &[9], &campaign(1, v1, "")).unwrap();
    assert_eq!(origin(1), Origin::default());
    // Another's first: all who sent it bind it, and it stays another's.
    send("a", member(AUTHOR), &[9], &campaign(2, v1, "")).unwrap();
    let before = store.last_commit().unwrap();
    send("a", member(AUTHOR), &[9], &campaign(2, v1, "")).unwrap();
    assert_eq!(store.last_commit().unwrap(), before, "nothing new");
    send("b", member(OTHER), &[8, 9], &campaign(2, v1, "")).unwrap();
    assert!(store.last_commit().unwrap() > before, "followers of the commits have to look again");
    send("us", Sender::Here, &[], &campaign(2, v1, "")).unwrap();
    assert_eq!(origin(2), Origin { from: member(AUTHOR), under: vec![marking(8), marking(9)] });
    let held = store.object(&format!("campaign--{}", uuid(2)), None).unwrap().unwrap();
    assert_eq!(held.release.as_deref(), Some("release of a"));
    assert_eq!(store.by_reference(&marking(8), None, 0, 10).unwrap().len(), 0, "no reference of its own");
    send("feed", Sender::Outside, &[], &campaign(3, v1, "")).unwrap();
    assert_eq!(origin(3).from, Sender::Outside);
    // What another may not write over is not lost, since they may not be told.
    let forged = campaign(1, "2025-01-01T00:00:00.000Z", &format!(r#","created_by_ref":"{OTHER}""#));
    assert_eq!(send("b", member(OTHER), &[], &forged).unwrap().failures(), 1);
    assert_eq!(store.conflicts(0, 10).unwrap()[0].raw, forged);
    for odd in [member("nobody"), member("malware--00000000-0000-4000-8000-000000000001")] {
        assert!(matches!(send("x", odd, &[], &campaign(4, v1, "")), Err(StoreError::Input(_))));
    }
}

/// A ledger's rows are numbered without gaps, their times rise, two who advance it do not mix; and a
/// change is followed to everything that hangs on it, by references and by ids in texts.
fn what_a_reader_was_shown_is_numbered_without_gaps(store: &dyn Store) {
    use besa_intel::{Ledger, RowsOf, Shown, micros};
    let v1 = "2024-01-01T00:00:00.000Z";
    let feed = collection(store, "feed");
    let id = |number: u64| format!("campaign--{}", uuid(number));
    let text =
        |number: u64, about: u64| campaign(number, v1, &format!(r#","description":"see {}""#, id(about)));
    // 1 names 2, 2 names 3, 3 comes later; 4 stands alone.
    add(store, now(), Some(feed), &[text(1, 2), text(2, 3), campaign(4, v1, "")]);
    let before = store.last_commit().unwrap();
    add(store, now(), Some(feed), &[campaign(3, v1, "")]);
    let after = store.last_commit().unwrap();
    let numbers = |from: u64, most: usize| {
        let found = store.affected(feed, from, after, most).unwrap();
        found.map(|found| found.into_iter().map(|(_, object)| object).collect::<Vec<u64>>())
    };
    let seq = |number: u64| store.object(&id(number), None).unwrap().unwrap().seq;
    assert_eq!(numbers(before, 100), Some(vec![seq(1), seq(2), seq(3)]));
    assert_eq!(numbers(after, 100), Some(vec![]));
    assert_eq!(numbers(before, 2), None, "more than was asked for");
    assert_eq!(store.listings(feed, 0, after, 2).unwrap().len(), 2);
    assert_eq!(store.listed(feed, &[seq(4), 99_999, seq(1)]).unwrap().len(), 2);
    let reader = store.ledger(feed, OTHER).unwrap();
    let row = |number: u64, digest: u8| Shown {
        number: 0,
        object: seq(number),
        digest: [digest; 32],
        id: id(number),
        object_type: "campaign".to_owned(),
        version: (VersionKey::of(time(v1)), v1.to_owned()),
        spec: 21,
        revoked: false,
        added: 0,
    };
    let moved = Ledger { mark: "m".into(), seen: after, added: micros(now()), ..reader.clone() };
    assert!(store.advance_ledger(&reader, &moved, vec![row(1, 1), row(4, 4), row(1, 1)]).unwrap());
    assert!(!store.advance_ledger(&reader, &moved, vec![row(2, 2)]).unwrap(), "another was faster");
    let held = store.ledger(feed, OTHER).unwrap();
    assert_eq!((held.last, held.seen, held.mark.as_str()), (2, after, "m"));
    // The clock was set back.
    let earlier = Ledger { added: 5, walk: Some((3, after)), again_at: Some(7), ..held.clone() };
    assert!(store.advance_ledger(&held, &earlier, vec![row(3, 3)]).unwrap());
    let held = store.ledger(feed, OTHER).unwrap();
    assert_eq!((held.walk, held.again_at, held.last), (Some((3, after)), Some(7), 3));
    let rows = store.ledger_rows(&held, &RowsOf::Everything, 0, 10).unwrap();
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(rows.windows(2).all(|pair| pair[0].added < pair[1].added));
    assert_eq!(store.ledger_rows(&held, &RowsOf::Id(&id(4)), 0, 10).unwrap(), rows[1..2]);
    assert_eq!(store.ledger_rows(&held, &RowsOf::Type("campaign"), 1, 1).unwrap(), rows[1..2]);
    for (at, number) in [(now(), 1), (Time::from_unix(0, 0), 0), (time("2999-01-01T00:00:00Z"), 3)] {
        assert_eq!(store.ledger_until(&held, at).unwrap(), number, "{at}");
    }
    assert_eq!(store.ledger(feed, AUTHOR).unwrap().last, 0, "each reader has one of its own");
}

fn old_entries_are_cut_and_the_log_says_so(store: &dyn Store) {
    use besa_intel::{Keep, micros};
    let feed = collection(store, "feed");
    let at = |day: u32| time(&format!("2026-{:02}-{:02}T00:00:00Z", 1 + day / 28, 1 + day % 28));
    let entry =
        |day: u32| AuditEntry { at: micros(at(day)), action: format!("day {day}"), ..AuditEntry::default() };
    // The clock was set back on day 5.
    store.audit([0, 1, 2, 9, 3, 4, 50, 51].map(entry).to_vec()).unwrap();
    let old = add(store, at(0), Some(feed), &[campaign(1, "2024-01-01T00:00:00.000Z", "")]);
    let useless = add(store, at(1), Some(feed), &["17".to_owned()]);
    let young = add(store, at(60), Some(feed), &["18".to_owned()]);
    let keep = Keep { audit_days: Some(40), status_days: 31 };
    let tidied = store.tidy(&keep, at(61)).unwrap();
    assert_eq!((tidied.audit, tidied.statuses), (6, 2));
    let log: Vec<AuditEntry> = store.audit_log(0, 100).unwrap().into_iter().map(|(_, entry)| entry).collect();
    let actions: Vec<&str> = log.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["day 50", "day 51", "audit cut"]);
    assert!(log[2].target.contains("2026-01-01T") && log[2].outcome.starts_with("6 "), "{log:?}");
    // Where an object came from stays known; what brought nothing goes.
    let receipt = store.request(&old.request).unwrap().unwrap();
    assert_eq!((receipt.total, receipt.outcomes), (1, None));
    assert_eq!(store.versions(&format!("campaign--{}", uuid(1))).unwrap()[0].request, old.request);
    assert!(store.request(&useless.request).unwrap().is_none());
    assert!(store.request(&young.request).unwrap().unwrap().outcomes.is_some());
    assert_eq!(store.tidy(&keep, at(61)).unwrap(), besa_intel::Tidied::default());
    assert_eq!(store.tidy(&Keep { audit_days: None, ..keep }, at(300)).unwrap().audit, 0);
}
