//! Speed of what a relay does: signatures checked, and releases of 100 objects verified and hashed.
//! `cargo bench -p besa-alliance`; figures per element.

use std::collections::BTreeSet;
use std::hint::black_box;

use besa_alliance::entry::{Audience, Content, Entry, Envelope, Release, released_object};
use besa_alliance::keys::{PublicKey, SecretKey};
use besa_alliance::member::{Digest, MemberId};
use besa_stix::time::Instant;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const OBJECTS: usize = 100;

fn object(number: usize) -> String {
    format!(
        r#"{{"type":"indicator","spec_version":"2.1","id":"indicator--00000000-0000-4000-8000-{number:012x}","created_by_ref":"identity--00000000-0000-4000-8000-000000000001","created":"2026-09-21T00:00:00.000Z","modified":"2026-09-21T00:00:00.000Z","name":"C2 address {number}","description":"{}","pattern":"[ipv4-addr:value = '198.51.100.{}' OR domain-name:value = 'c2-{number}.example.com']","pattern_type":"stix","valid_from":"2026-09-21T00:00:00Z","labels":["malicious-activity"],"confidence":80}}"#,
        "Seen as the address to which the web shell of the intrusion reports. ".repeat(6),
        number % 256
    )
}

fn bench(c: &mut Criterion) {
    let key = SecretKey::from_seed(&[1; 32]);
    let public = PublicKey::new(&key.id()).unwrap();
    let member = MemberId::parse("identity--00000000-0000-4000-8000-000000000001").unwrap();
    let texts: Vec<_> = (0..OBJECTS).map(object).collect();
    let objects: BTreeSet<_> = texts.iter().map(|text| released_object(text).unwrap()).collect();
    let envelope = Envelope {
        created_by_ref: member,
        alliance: Digest::from_bytes([0; 32]),
        charter: 0,
        audience: Audience::Charter,
        object_marking_refs: vec![besa_stix::marking::TLP_2_GREEN.to_owned()],
        sequence: 1,
        previous: None,
    };
    let content = Content::Release(Release { objects: objects.into_iter().collect() });
    let entry = Entry::sign(Instant::from_unix(0, 0), envelope, content, &key).unwrap();
    let text = entry.text();
    let mut group = c.benchmark_group("alliance");
    group.sample_size(20);
    group.bench_function("signature", |b| b.iter(|| black_box(&entry).is_signed_by(black_box(&public))));
    group.throughput(Throughput::Elements(OBJECTS as u64));
    group.bench_function("relay_release_of_100", |b| {
        b.iter(|| {
            let entry = Entry::parse(black_box(&text)).unwrap();
            assert!(entry.is_signed_by(&public));
            for text in &texts {
                entry.check_object(black_box(text), |_| true).unwrap();
            }
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
