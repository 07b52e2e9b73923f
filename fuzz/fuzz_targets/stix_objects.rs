//! Any bytes as STIX objects and observations.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = besa_stix::bundle::read_objects(data);
    let _ = besa_stix::observation::read_observations(data);
    let _ = besa_stix::canonical::canonical_text(data);
});
