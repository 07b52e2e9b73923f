//! Any bytes as evidence: recognised, unpacked, framed, decoded, every value looked at.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = besa_evidence::decode_any(data);
});
