//! Any text as a STIX pattern; what parses is printed, parsed again and checked.
#![no_main]

use besa_stix::pattern::Pattern;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(pattern) = Pattern::parse(text) else { return };
    let printed = pattern.to_string();
    assert_eq!(Pattern::parse(&printed).as_ref(), Ok(&pattern), "{printed}");
    let _ = pattern.check();
    if let Ok(normal) = pattern.normal_form() {
        assert_eq!(pattern.is_equivalent(&normal), Ok(true), "{normal}");
    }
});
