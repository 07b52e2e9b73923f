//! Any bytes as what an archive's files hold: layouts, manifest versions, pages, index runs. What is
//! accepted comes back the same, and every key of a run is found.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Err(difference) = besa_archive::probe::decode_all(data) {
        panic!("{difference}");
    }
});
