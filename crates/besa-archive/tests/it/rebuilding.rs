//! What goes in comes out: every event, to the byte.

use besa_archive::{Archive, Window};
use besa_event::LogSources;
use proptest::prelude::*;

use crate::support::{DAY, Made, add, batch, dictionary, scan, shown};

fn check(made: &[Made]) {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("archive").display().to_string();
    let (dictionary, sources) = (dictionary(), LogSources::new());
    let (first, second) = made.split_at(made.len() / 2);
    let batches = [("a.log", first), ("b.log", second)]
        .map(|(origin, made)| batch(origin, made, &dictionary, &sources));
    let mut expected: Vec<String> = batches
        .iter()
        .flat_map(|batch| batch.events().map(|event| shown(event, &dictionary, &sources)))
        .collect();
    expected.sort();
    let receipt = add(&url, &batches, &dictionary, &sources);
    assert_eq!(receipt.events, made.len() as u64);
    let archive = Archive::open(&url).unwrap();
    let (found, report) = scan(&archive, Window::default(), &dictionary);
    assert_eq!(report.defects, []);
    assert_eq!(found, expected);
    let verified = archive.verify(None, &|| false).unwrap();
    assert_eq!((verified.events, verified.defects), (receipt.events, vec![]));
}

pub(crate) fn made() -> impl Strategy<Value = Made> {
    let name =
        prop::sample::select(vec!["Image", "image", "NewProcessName", "method", "", "besa_time", "Ünï", "x"]);
    let value = prop_oneof![
        prop::sample::select(vec![
            &b"cmd.exe"[..],
            b"C:\\\\Windows",
            b"\\u0041\\/",
            b"\xff\xfe",
            b"a\nb\"",
            b"",
            b"7"
        ])
        .prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    let fields = prop::collection::vec((name.prop_map(str::to_owned), any::<u8>(), value), 0..6);
    let time = prop::option::of(-3 * DAY..3 * DAY);
    (time, any::<u8>(), "[a-c]{0,2}", fields, any::<bool>())
        .prop_map(|(time, class, host, fields, raw)| Made { time, class, host, fields, raw })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_events_come_back(made in prop::collection::vec(made(), 0..40)) {
        check(&made);
    }
}

#[test]
fn thousands_of_names_and_records_without_a_common_layout_come_back() {
    let field = |n: u32| (format!("name{n}"), (n % 6) as u8, n.to_string().into_bytes());
    let wide: Vec<Made> = (0..3_000)
        .map(|n| Made {
            time: Some(i64::from(n)),
            fields: vec![field(n), field(n), field(n + 1)],
            raw: true,
            ..Made::default()
        })
        .collect();
    check(&wide);
}
