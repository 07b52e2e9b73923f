//! Files of intelligence from the disk; what they hold, the detector tells by their content.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use flate2::read::MultiGzDecoder;

use super::knowledge::files_below;

/// Reads each file that the paths name, those of a folder sorted by path, one at a time, since a
/// feed may have gigabytes.
///
/// # Errors
/// A file that cannot be read: indicators that are silently missing would be worse than no hunt.
pub(super) fn each_file(
    paths: &[PathBuf],
    take: &mut dyn FnMut(&str, Vec<u8>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for path in paths {
        let named = || format!("intelligence `{}`", path.display());
        if !fs::metadata(path).with_context(named)?.is_dir() {
            take(&path.display().to_string(), read(path).with_context(named)?)?;
            continue;
        }
        let mut failure = None;
        let files = files_below(path, &[], &mut |folder, error| {
            failure.get_or_insert_with(|| format!("intelligence `{}`: {error}", folder.display()));
        });
        if let Some(failure) = failure {
            anyhow::bail!(failure);
        }
        for file in files {
            let named = || format!("intelligence `{}`", file.display());
            take(&file.display().to_string(), read(&file).with_context(named)?)?;
        }
    }
    Ok(())
}

/// A larger feed is refused; split it.
const DECOMPRESSED_LEN_BYTES_MAX: u64 = 4 << 30;

/// The file's bytes, decompressed if it is gzip.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = fs::read(path)?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut text = Vec::new();
    MultiGzDecoder::new(bytes.as_slice()).take(DECOMPRESSED_LEN_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > DECOMPRESSED_LEN_BYTES_MAX {
        bail!("has more than {DECOMPRESSED_LEN_BYTES_MAX} bytes when decompressed; split it");
    }
    Ok(text)
}
