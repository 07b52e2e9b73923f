//! One version's file: JSON lines under zstd, with a count at the end so that a part of it is
//! never taken for the whole.

use serde::{Deserialize, Serialize};

use super::Action;

const FORMAT: u32 = 1;
/// Bytes that a version may have when it is unpacked: some millions of files.
const UNPACKED_BYTES_MAX: usize = 1 << 30;
const LEVEL: i32 = 3;

/// A decoded version.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Version {
    pub(crate) header: Header,
    pub(crate) actions: Vec<Action>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    besa_archive: u32,
    pub(crate) version: u64,
    pub(crate) snapshot: bool,
    pub(crate) next_file: u64,
}

#[derive(Serialize, Deserialize)]
struct End {
    end: usize,
}

impl Version {
    pub(crate) fn new(version: u64, snapshot: bool, next_file: u64, actions: Vec<Action>) -> Self {
        Self { header: Header { besa_archive: FORMAT, version, snapshot, next_file }, actions }
    }

    /// The bytes of its file.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, String> {
        let mut text = Vec::new();
        line(&self.header, &mut text)?;
        self.actions.iter().try_for_each(|action| line(action, &mut text))?;
        line(&End { end: self.actions.len() }, &mut text)?;
        zstd::bulk::compress(&text, LEVEL).map_err(|error| error.to_string())
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// A reason when they are not a whole version of a format that is known.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let text = unpack(bytes)?;
        let mut lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let first = lines.next().ok_or("it is empty")?;
        let header: Header = serde_json::from_slice(first).map_err(|error| error.to_string())?;
        if header.besa_archive != FORMAT {
            return Err(format!("format {} is not known", header.besa_archive));
        }
        let mut lines: Vec<&[u8]> = lines.collect();
        let last = lines.pop().ok_or("its end is missing")?;
        let End { end } = serde_json::from_slice(last).map_err(|_| "its end is missing".to_owned())?;
        if end != lines.len() {
            return Err(format!("it has {} entries instead of {end}", lines.len()));
        }
        let actions = lines.into_iter().map(serde_json::from_slice).collect::<Result<_, _>>();
        Ok(Self { header, actions: actions.map_err(|error| error.to_string())? })
    }
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    let limit = UNPACKED_BYTES_MAX as u64 + 1;
    decoder.take(limit).read_to_end(&mut text).map_err(|error| error.to_string())?;
    if text.len() > UNPACKED_BYTES_MAX { Err("it is too large".to_owned()) } else { Ok(text) }
}

fn line(value: &impl Serialize, out: &mut Vec<u8>) -> Result<(), String> {
    serde_json::to_writer(&mut *out, value).map_err(|error| error.to_string())?;
    out.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{FileEntry, FileNumber, Hold};

    #[test]
    fn a_version_comes_back_and_no_part_of_it_does() {
        let actions = vec![
            Action::Add(FileEntry { number: FileNumber(7), path: "data/x".into(), ..FileEntry::default() }),
            Action::Remove { number: FileNumber(3), at: 5 },
            Action::Hold(Hold { case: "2022-07".into(), ..Hold::default() }),
            Action::Release { case: "x".into() },
            Action::Forget { path: "data/y".into() },
        ];
        let version = Version::new(9, false, 8, actions);
        let bytes = version.encode().unwrap();
        assert_eq!(Version::decode(&bytes).as_ref(), Ok(&version));
        for len in 0..bytes.len() {
            assert!(Version::decode(&bytes[..len]).is_err());
        }
        let short = b"{\"besa_archive\":1,\"version\":1,\"snapshot\":true,\"next_file\":0}\n{\"end\":1}\n";
        let reason = Version::decode(&zstd::bulk::compress(short, 1).unwrap()).unwrap_err();
        assert_eq!(reason, "it has 0 entries instead of 1");
    }
}
