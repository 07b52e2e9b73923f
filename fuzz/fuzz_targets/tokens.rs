//! Any bytes as text: the fast scanners give what their byte-by-byte twins give.
#![no_main]

use besa_event::observable::{scan, scan_scalar};
use besa_simd::tokens::{find, find_scalar};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (mut fast, mut slow) = (Vec::new(), Vec::new());
    find(data, &mut |candidate| fast.push(candidate));
    find_scalar(data, &mut |candidate| slow.push(candidate));
    fast.sort_unstable();
    slow.sort_unstable();
    assert_eq!(fast, slow);
    let (mut fast, mut slow) = (Vec::new(), Vec::new());
    scan(data, &mut |kind, token| fast.push((token.as_ptr(), token.len(), kind)));
    scan_scalar(data, &mut |kind, token| slow.push((token.as_ptr(), token.len(), kind)));
    fast.sort_unstable();
    slow.sort_unstable();
    assert_eq!(fast, slow);
});
