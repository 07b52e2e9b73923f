//! Any bytes as JSON, lines and array, by vector instructions and byte by byte: same events, same
//! defects.
#![no_main]

use besa_event::Keep;
use besa_evidence::{Limits, decode_twice};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let limits = Limits { record_len_bytes_max: 1 << 20, ..Limits::default() };
    for (before, behind) in [(b"{\"a\":1}\n".as_slice(), b"\n".as_slice()), (b"[{\"a\":1},", b"]")] {
        let text = [before, data, behind].concat();
        if let Err(difference) = decode_twice(&text, Keep::Everything, limits) {
            panic!("{difference}");
        }
    }
});
