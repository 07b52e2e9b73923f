//! Runs against the slow twin: every value of every row group compared with what is asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use besa_event::LogSource;
use besa_event::observable::{ObservableKind as Kind, network_key};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::entry::FileNumber;

#[derive(Debug)]
struct Addresses;

impl Observe for Addresses {
    fn version(&self) -> u32 {
        1
    }

    fn ways(&self, _: &LogSource, names: &[&str]) -> Vec<u32> {
        vec![u32::from(names == ["ip"])]
    }

    fn observe(&self, way: u32, text: &[u8], _: &mut Vec<u8>, see: &mut dyn FnMut(Observed<'_>)) {
        see(Observed::Value(if way == 1 { Kind::Ipv4 } else { Kind::Domain }, text));
    }
}

fn indexer() -> FileIndexer {
    FileIndexer::new(Arc::new(Addresses), LogSource::default())
}

fn merged(parts: &[Bytes], keep: &dyn Fn(usize, usize) -> bool) -> Result<Bytes, (usize, IndexError)> {
    let opened: Result<Vec<_>, _> = parts
        .iter()
        .map(|bytes| Run::open(bytes.clone(), bytes.len() as u64).map_err(|error| (0, error)))
        .collect();
    let mut out = Vec::new();
    merge(&opened?, keep, &mut out)?;
    Ok(Bytes::from(out))
}

/// (file, row group, field is an address, value).
type Row = (u8, u8, bool, u32);

fn bytes_of((_, _, address, value): &Row) -> Vec<u8> {
    if *address { value.to_be_bytes().to_vec() } else { format!("host{value}.example").into_bytes() }
}

fn runs_of(rows: &[Row], files: u8) -> Vec<Bytes> {
    (0..files)
        .map(|file| {
            let mut indexer = indexer();
            for row in rows.iter().filter(|row| row.0 == file) {
                {
                    let ways = indexer.ways(&[if row.2 { "ip" } else { "host" }]);
                    indexer.look(row.1, ways);
                }
                indexer.value(&bytes_of(row));
            }
            Bytes::from(indexer.finish(64))
        })
        .collect()
}

fn search(runs: &[Bytes], asked: &Asked) -> BTreeMap<u32, u64> {
    let mut found = BTreeMap::new();
    let mut base = 0;
    for bytes in runs {
        let run = Run::open(bytes.clone(), bytes.len() as u64).unwrap();
        run.search(asked, &mut |file, mask| *found.entry(base + file).or_default() |= mask).unwrap();
        base += run.files();
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn searches_find_what_a_scan_finds(
        rows in prop::collection::vec((0_u8..5, 0_u8..64, any::<bool>(), 0_u32..3_000), 0..3_000),
        values in prop::collection::vec((any::<bool>(), 0_u32..4_000), 0..300),
        networks in prop::collection::vec((18_u8..=32, 0_u32..4_000), 0..3),
    ) {
        let single = runs_of(&rows, 5);
        let whole = merged(&single, &|_, _| true).unwrap();
        let asked_values: Vec<(Kind, Vec<u8>)> = values
            .iter()
            .map(|(address, value)| (if *address { Kind::Ipv4 } else { Kind::Domain }, bytes_of(&(0, 0, *address, *value))))
            .chain(networks.iter().map(|(prefix, value)| {
                let mut key = Vec::new();
                network_key(std::net::Ipv4Addr::from(*value).into(), *prefix, &mut key);
                (Kind::Network, key)
            }))
            .collect();
        let asked = Asked::new(asked_values.iter().map(|(kind, value)| (*kind, value.as_slice())));
        let mut expected: BTreeMap<u32, u64> = BTreeMap::new();
        for row in &rows {
            let in_network = |(prefix, base): &(u8, u32)| row.2 && row.3.checked_shr(32 - u32::from(*prefix)).unwrap_or(0) == base.checked_shr(32 - u32::from(*prefix)).unwrap_or(0);
            if values.contains(&(row.2, row.3)) || networks.iter().any(in_network) {
                *expected.entry(row.0.into()).or_default() |= 1 << row.1;
            }
        }
        prop_assert_eq!(&search(&single, &asked), &expected);
        prop_assert_eq!(&search(std::slice::from_ref(&whole), &asked), &expected);
        // Without the second file, those behind it move up.
        let less = merged(&single, &|run, _| run != 1).unwrap();
        let moved = expected.iter().filter(|(file, _)| **file != 1);
        let moved: BTreeMap<u32, u64> = moved.map(|(file, groups)| (file - u32::from(*file > 1), *groups)).collect();
        prop_assert_eq!(&search(&[less], &asked), &moved);
    }

    #[test]
    fn damage_is_noticed(at in any::<prop::sample::Index>(), bit in 0_u8..8, cut in any::<prop::sample::Index>()) {
        let rows: Vec<Row> = (0..1_500).map(|value| (0, (value % 9) as u8, value % 2 == 0, value)).collect();
        let whole = runs_of(&rows, 1).remove(0);
        let everything = Asked::new([(Kind::Network, &[4, 0, 0, 0, 0, 0][..])]);
        let mut bytes = whole.to_vec();
        bytes[at.index(whole.len())] ^= 1 << bit;
        for damaged in [bytes, whole[..cut.index(whole.len())].to_vec()] {
            let damaged = Bytes::from(damaged);
            let Ok(run) = Run::open(damaged.clone(), damaged.len() as u64) else { continue };
            // Only a block or filter that this search does not read can be damaged unnoticed.
            let mut seen = 0;
            if run.search(&everything, &mut |_, _| seen += 1).is_ok() {
                prop_assert_eq!(seen, 750);
            }
            prop_assert!(merged(std::slice::from_ref(&damaged), &|_, _| true).map_or(true, |merged| merged == whole));
        }
    }
}

/// 320,000 values, few of them often, in 8 files of 16 row groups: what a key costs, and the filter in use.
#[test]
fn sizes_and_filters() {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let parts: Vec<Bytes> = (0..8)
        .map(|_| {
            let mut indexer = indexer();
            for number in 0..40_000_u32 {
                let value = (200_000_f64.powf(next())) as u32;
                if number % 2_500 == 0 {
                    {
                        let ways = indexer.ways(&["host"]);
                        indexer.look((number / 2_500) as u8, ways);
                    }
                }
                indexer.value(&bytes_of(&(0, 0, false, value)));
            }
            Bytes::from(indexer.finish(16))
        })
        .collect();
    let whole = merged(&parts, &|_, _| true).unwrap();
    let run = Run::open(whole.clone(), whole.len() as u64).unwrap();
    let apart: usize = parts.iter().map(Bytes::len).sum();
    let (keys, bytes) = (run.keys(), whole.len() as u64);
    assert!(bytes < apart as u64, "{bytes} bytes, {apart} before");
    assert!(bytes < 8 * keys, "{bytes} bytes for {keys} keys");
    let strangers: Vec<Vec<u8>> = (0..1_000).map(|n| format!("other{n}.example").into_bytes()).collect();
    let asked = Asked::new(strangers.iter().map(|value| (Kind::Domain, value.as_slice())));
    let searched = run.search(&asked, &mut |_, _| panic!("a stranger was found")).unwrap();
    assert!(searched.filters > 0 && searched.blocks < 20, "{searched:?}");
}

/// A run of an older format has other keys: it is refused, whatever it holds.
#[test]
fn a_run_of_an_older_format_is_refused() {
    let mut bytes = runs_of(&[(0, 0, true, 7)], 1)[0].to_vec();
    let last = bytes.len() - 1;
    bytes[last] = b'1';
    let opened = Run::open(Bytes::from(bytes), last as u64 + 1);
    assert!(matches!(opened, Err(IndexError::Older)), "{opened:?}");
}

proptest! {
    /// The run of several files is to the byte the one that their own runs are merged to.
    #[test]
    fn files_share_a_run_as_if_merged(
        rows in prop::collection::vec((0_u8..5, 0_u8..64, any::<bool>(), 0_u32..300), 0..400),
        incomplete in 0_usize..6,
    ) {
        let mut draft = RunDraft::default();
        let mut alone = Vec::new();
        for file in 0..5 {
            let keys = || {
                let mut indexer = indexer();
                for row in rows.iter().filter(|row| row.0 == file) {
                    { let ways = indexer.ways(&[if row.2 { "ip" } else { "host" }]); indexer.look(row.1, ways); }
                    indexer.value(&bytes_of(row));
                }
                if usize::from(file) == incomplete {
                    { let ways = indexer.ways(&["host"]); indexer.look(64, ways); }
                }
                indexer.keys(64)
            };
            let keys_of_it = keys();
            prop_assert!(draft.has_room_for(&keys_of_it));
            draft.add(FileNumber(file.into()), keys_of_it);
            let mut own = RunDraft::default();
            own.add(FileNumber(file.into()), keys());
            alone.push(Bytes::from(own.finish().1));
        }
        let (files, bytes) = draft.finish();
        prop_assert_eq!(files, (0..5).map(FileNumber).collect::<Vec<_>>());
        prop_assert_eq!(Bytes::from(bytes), merged(&alone, &|_, _| true).unwrap());
    }
}
