//! Any bytes as text: the fast scanners give what their byte-by-byte twins give, and the sieve lets
//! through whatever meets one of its values.
#![no_main]

use besa_event::observable::{ObservableKind as Kind, normalise, scan, scan_scalar};
use besa_event::sieve::{Sieve, Words, is_met};
use besa_simd::tokens::{find, find_scalar};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (mut fast, mut slow) = (Vec::new(), Vec::new());
    find(data, &mut |candidate| fast.push(candidate));
    find_scalar(data, &mut |candidate| slow.push(candidate));
    fast.sort_unstable();
    slow.sort_unstable();
    assert_eq!(fast, slow);
    let (fast, slow) = (places(|emit| scan(data, emit)), places(|emit| scan_scalar(data, emit)));
    assert_eq!(fast, slow);
    check_sieve(data, &slow);
});

type Token = (*const u8, usize, Kind);

fn places<'t>(scan: impl FnOnce(&mut dyn FnMut(Kind, &'t [u8]))) -> Vec<Token> {
    let mut all = Vec::new();
    scan(&mut |kind, token: &[u8]| all.push((token.as_ptr(), token.len(), kind)));
    all.sort_unstable();
    all
}

/// What stands before the first zero byte are the values, and also text.
fn check_sieve(text: &[u8], all: &[Token]) {
    let head = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let values = values_of(head);
    let mut sieve = Sieve::new(values.len(), [0x1234_5678_9abc_def1, 0xfedc_ba98_7654_3211]);
    values.iter().for_each(|(kind, value)| sieve.add(*kind, value));
    sieve.freeze();
    let through = places(|emit| sieve.scan(text, &mut Words::default(), emit));
    assert!(through.iter().all(|token| all.binary_search(token).is_ok()), "no token went through");
    for token @ (start, len, kind) in all {
        let at = start.addr() - text.as_ptr().addr();
        let mut normal = Vec::new();
        let Some(kind) = normalise(*kind, &text[at..at + len], &mut normal) else { continue };
        let is_met = values.iter().any(|(of, value)| is_met((*of, value), kind, &normal));
        assert!(!is_met || through.binary_search(token).is_ok(), "held back: {:?}", &text[at..at + len]);
    }
}

/// The tokens of a text; of domains those above too, of addresses networks.
fn values_of(text: &[u8]) -> Vec<(Kind, Vec<u8>)> {
    const VALUES_MAX: usize = 64;
    let mut values = Vec::new();
    scan(text, &mut |kind, token| {
        let mut value = Vec::new();
        let Some(kind) = normalise(kind, token, &mut value) else { return };
        if values.len() >= VALUES_MAX {
            return;
        }
        match (kind, &*value) {
            (Kind::Domain, _) => {
                let above = value.iter().position(|byte| *byte == b'.').map(|at| &value[at + 1..]);
                let is_domain = |above: &&[u8]| normalise(kind, above, &mut Vec::new()) == Some(kind);
                values.extend(above.filter(is_domain).map(|above| (kind, above.to_vec())));
            }
            (Kind::Ipv4, [a, b, c, d]) => {
                let prefix = 33_u32.saturating_sub(u32::from(d % 32)).clamp(1, 32);
                let address = u32::from_be_bytes([*a, *b, *c, *d]) & u32::MAX << (32 - prefix);
                let [a, b, c, d] = address.to_be_bytes();
                values.push((Kind::Network, vec![4, prefix as u8, a, b, c, d]));
            }
            _ => {}
        }
        // Some values only above or around the text's own.
        if !text.len().is_multiple_of(2) {
            values.push((kind, value));
        }
    });
    values
}
