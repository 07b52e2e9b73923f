//! Objects and batches for tests.

use besa_intel::{
    Batch, CollectionKey, NewCollection, PageQuery, Receipt, Store, Time, Verdict, prepare_all,
};

pub(crate) fn time(text: &str) -> Time {
    Time::parse(text).unwrap()
}

pub(crate) fn now() -> Time {
    time("2026-01-01T00:00:00.5Z")
}

/// A UUID (version 4) from a number.
pub(crate) fn uuid(number: u64) -> String {
    format!("{:08x}-0000-4000-8000-{:012x}", number >> 48, number & 0xffff_ffff_ffff)
}

pub(crate) const AUTHOR: &str = "identity--0000000a-0000-4000-8000-00000000000a";
pub(crate) const OTHER: &str = "identity--0000000b-0000-4000-8000-00000000000b";

/// A campaign with a version and further properties (each with a leading comma).
pub(crate) fn campaign(number: u64, modified: &str, more: &str) -> String {
    format!(
        r#"{{"type":"campaign","spec_version":"2.1","id":"campaign--{}","created":"2020-01-01T00:00:00.000Z","modified":"{modified}","name":"c{number}"{more}}}"#,
        uuid(number)
    )
}

pub(crate) fn collection(store: &dyn Store, title: &str) -> CollectionKey {
    store.add_collection(&NewCollection::titled(title), now()).unwrap().key
}

pub(crate) fn add(store: &dyn Store, at: Time, to: Option<CollectionKey>, objects: &[String]) -> Receipt {
    let text = format!(r#"{{"objects":[{}]}}"#, objects.join(","));
    let prepared = prepare_all(text.as_bytes()).unwrap();
    store.add_objects(Batch::new("tester", at, to, prepared)).unwrap()
}

pub(crate) fn verdicts(receipt: &Receipt) -> Vec<Verdict> {
    receipt.outcomes.as_ref().unwrap().iter().map(|outcome| outcome.verdict).collect()
}

/// Every entry of a collection, page by page.
pub(crate) fn walk(store: &dyn Store, of: CollectionKey, query: &PageQuery) -> Vec<besa_intel::Entry> {
    let mut query = query.clone();
    let mut found = Vec::new();
    for _ in 0..10_000 {
        let page = store.page(of, &query).unwrap();
        assert!(page.entries.len() <= query.limit);
        found.extend(page.entries);
        if !page.more {
            return found;
        }
        assert!(page.next > query.after, "a page must go forward");
        query.after = page.next;
    }
    panic!("the pages never end");
}
