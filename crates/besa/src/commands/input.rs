//! Small inputs that are read whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context as _, bail};

/// Bytes read of one input at most.
const INPUT_LEN_BYTES_MAX: u64 = 1 << 30;

/// The bytes of a file, or of standard input for `-`.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let named = || format!("cannot read `{}`", path.display());
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        io::stdin().lock().take(INPUT_LEN_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(named)?;
    } else {
        let file = File::open(path).with_context(named)?;
        file.take(INPUT_LEN_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(named)?;
    }
    if bytes.len() as u64 > INPUT_LEN_BYTES_MAX {
        bail!("`{}` has more than {INPUT_LEN_BYTES_MAX} bytes; split it", path.display());
    }
    Ok(bytes)
}
