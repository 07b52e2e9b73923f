//! Any bytes as literals (split at line breaks, the first ones) and text: every level of the gate
//! says what its twin says.
#![no_main]

use besa_simd::gate::Gate;
use besa_simd::json::Level;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((count, rest)) = data.split_first() else { return };
    let mut pieces = rest.splitn(usize::from(count % 70) + 2, |byte| *byte == b'\n').collect::<Vec<_>>();
    let text = pieces.pop().unwrap_or_default();
    for level in Level::ALL {
        let Some(gate) = Gate::at_level(&pieces, level) else { continue };
        let (met, expected) = (gate.meets(text), gate.meets_scalar(text));
        assert_eq!(met.literal, expected.literal, "{level:?}");
        assert!(met.literal || met.is_ascii == expected.is_ascii, "{level:?}");
    }
});
