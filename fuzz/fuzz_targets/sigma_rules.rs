//! Any bytes as a file of Sigma rules.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = besa_sigma::parse("fuzz.yml", data, &besa_sigma::Placeholders::default());
});
