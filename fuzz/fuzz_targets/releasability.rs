//! Any bytes as an object that asks to leave, and as one that comes in.
#![no_main]

use std::collections::BTreeMap;

use besa_alliance::intake::{Arrivals, Assets, Intake, Limits};
use besa_alliance::member::MemberId;
use besa_alliance::policy::{Exit, Held, Membership, Policy, Recipient, Settings};
use besa_stix::marking::Tlp;
use besa_stix::time::Instant;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = Assets::read(data);
    let _ = serde_json::from_slice::<Membership>(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let now = Instant::from_unix(1_780_000_000, 0);
    let assets = Assets::default();
    let intake = Intake { assets: &assets, limits: Limits::default(), now, checker: None, decisions: &[] };
    let _ = intake.check(text, Arrivals::default());
    let Ok(holder) = MemberId::parse("identity--00000000-0000-4000-8000-000000000000") else { return };
    let held: Vec<Held<'_>> = text.lines().map(Held::here).collect();
    let policy = Policy {
        releaser: &holder,
        recipient: &Recipient::Public,
        exit: Exit::Taxii,
        membership: &Membership::default(),
        catalogue: &BTreeMap::new(),
        now,
        settings: Settings { unmarked: Tlp::Clear, reach_max: 1_000 },
    };
    let _ = policy.decide_all(&held);
});
