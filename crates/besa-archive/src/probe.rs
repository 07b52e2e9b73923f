//! Any bytes as what an archive's files hold: for fuzzing, and of no other use.
//!
//! Whatever the bytes are, decoding ends, allocates no more than they allow, and what it accepts it
//! gives back the same: a layout or manifest version encoded again is equal, a run searched for all
//! of its keys shows each of them.

use crate::codec::layout::Layout;
use crate::codec::page::{Coding, Page, Texts, read_ints};
use crate::index::{Asked, Run};
use crate::manifest::codec::Version;

/// Rows that a page is said to have; a real row group has no more.
const ROWS: usize = 1 << 10;

/// Decodes bytes as each kind of content in turn.
///
/// # Errors
/// What came back otherwise than it was accepted.
pub fn decode_all(bytes: &[u8]) -> Result<(), &'static str> {
    layout(bytes)?;
    version(bytes)?;
    pages(bytes);
    run(bytes)
}

fn layout(bytes: &[u8]) -> Result<(), &'static str> {
    let Some(layout) = Layout::decode(bytes) else { return Ok(()) };
    let mut again = Vec::new();
    layout.encode(&mut again);
    if Layout::decode(&again) == Some(layout) { Ok(()) } else { Err("a layout came back otherwise") }
}

fn version(bytes: &[u8]) -> Result<(), &'static str> {
    // Few strangers' bytes are zstd; the text is what there is to be read.
    let packed = zstd::bulk::compress(bytes, 1).unwrap_or_default();
    for bytes in [bytes, &packed] {
        let Ok(version) = Version::decode(bytes) else { continue };
        let again = version.encode().map_err(|_| "a version that was read cannot be written")?;
        if Version::decode(&again) != Ok(version) {
            return Err("a version came back otherwise");
        }
    }
    Ok(())
}

fn pages(bytes: &[u8]) {
    let chunk = &mut &*bytes;
    while !chunk.is_empty() && Page::take(chunk).is_some() {}
    let _ = read_ints(bytes, ROWS);
    let (head, rest) = bytes.split_at(bytes.len() / 2);
    for coding in [Coding::Dictionary, Coding::DeltaLength] {
        let mut texts = Texts::default();
        let _ = texts.read_dictionary(head.to_vec(), ROWS);
        let _ = texts.read_data(rest.to_vec(), ROWS, coding);
    }
}

fn run(bytes: &[u8]) -> Result<(), &'static str> {
    // A run with these bytes for its blocks, its directory whole.
    for bytes in [bytes.to_vec(), crate::index::with_directory(bytes)] {
        let len = bytes.len() as u64;
        let Ok(run) = Run::open(bytes::Bytes::from(bytes), len) else { continue };
        let mut keys = Vec::new();
        if run.each_key(&mut |key| keys.push(key)).is_err() {
            continue;
        }
        let asked = Asked::of_keys(keys.clone());
        let mut seen = 0;
        let found = run.search_keys(&asked, &mut |_, _, _| seen += 1);
        if found.is_ok_and(|found| found.keys != keys.len() as u64 || seen < keys.len()) {
            return Err("a key of a run was not found");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode_all(&bytes), Ok(()));
        }
    }

    /// A block as it is written gets through to the search.
    #[test]
    fn a_block_is_reached() {
        let mut written = Vec::new();
        let mut writer = crate::index::RunWriter::new(&mut written, vec![64]);
        (0..40).for_each(|key| writer.push(key * key * 1_000, &[key as u32]).unwrap());
        writer.finish(&[]).unwrap();
        // The block lies in front; its length stands in the directory.
        let run = Run::open(bytes::Bytes::from(written.clone()), written.len() as u64).unwrap();
        let block = &written[..run.block_len(0)];
        let probed = bytes::Bytes::from(crate::index::with_directory(block));
        let len = probed.len() as u64;
        let mut keys = 0;
        Run::open(probed, len).unwrap().each_key(&mut |_| keys += 1).unwrap();
        assert_eq!(keys, 40);
        assert_eq!(decode_all(block), Ok(()));
    }
}
