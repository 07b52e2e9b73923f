//! Walking evidence: paths, containers in them, and what lies inside, framed into blocks.
//!
//! ```text
//! cases/a.zip ─▶ a.zip!logs/x.json.gz ─▶ a.zip!logs/x.json.gz!x.json ─▶ JSON, blocks
//!             └▶ a.zip!dump.pcap      ─▶ defect: packet capture, not read
//! ```
//!
//! One thread walks (another may decompress beside it, see [`pieces`]), in a fixed order (paths as given, folders sorted by name, members as they
//! stand), so the same evidence gives the same blocks in the same sequence. What a member is, its
//! content says; names only tell people where something lay.
//!
//! Bounds (each a named defect, and the rest goes on): nesting of containers, members of one,
//! bytes decompressed from one file, their ratio, length of a record. Memory is the buffers in
//! use, 192 KiB a level of nesting, half a megabyte beside the outermost, and for a zip its directory. A zip inside another container
//! is spooled to a temporary file, because its directory stands at its end.

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use besa_event::{Block, Defect, Origin, Place};

use self::input::{Budget, Count, Counted, Peeked};
use crate::context::{Limits, Position};
use crate::encodings::Utf16Reader;
use crate::format::{Format, Kind};
use crate::frame::{self, Flow, Outlet};
use crate::recognise::{self, Container, Content, SAMPLE_LEN};

mod containers;
mod input;
mod pieces;
pub(crate) mod tar;

/// What walking finds, in the order of the evidence.
#[derive(Debug)]
pub enum Item {
    /// Whole records, ready to decode.
    Block(Block<Format>),
    /// Something that could not be read.
    Defect(Defect),
    /// How much of the input has been read.
    Progress {
        /// Bytes of the files (or the stream) given, as they lie on disk, since the walk began.
        input_bytes: u64,
    },
    /// A file or member is done.
    Done(FileAccount),
}

/// What became of a file or member that is no container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileAccount {
    /// The file or member.
    pub origin: Arc<Origin>,
    /// The format's name; `None` if it was skipped, for which a defect gives the reason unless
    /// it is empty.
    pub format: Option<&'static str>,
    /// Bytes read of it, after decompression and, for UTF-16, as UTF-8.
    pub bytes: u64,
}

/// Walks files, folders (recursively, sorted by name) and standard input (`-`), and hands what
/// it finds to `sink`, which ends the walk by breaking. Buffers for blocks are taken from
/// `recycle`; what it gives may hold anything. A buffer that comes back as long as it was is not
/// cleared before it is filled again.
///
/// A path that cannot be opened is a defect of the whole file. Symbolic links in folders are
/// followed to files but not to folders, so a walk always ends.
pub fn walk(
    paths: &[PathBuf],
    limits: &Limits,
    recycle: &mut dyn FnMut() -> Vec<u8>,
    sink: &mut dyn FnMut(Item) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut walker = Walker::new(limits, recycle, sink);
    for path in paths {
        walker.path(path)?;
    }
    ControlFlow::Continue(())
}

/// As [`walk`], for one stream that is already open; `name` is what its origin is called.
pub fn walk_reader(
    name: &str,
    input: &mut (dyn Read + Send),
    limits: &Limits,
    recycle: &mut dyn FnMut() -> Vec<u8>,
    sink: &mut dyn FnMut(Item) -> ControlFlow<()>,
) -> ControlFlow<()> {
    Walker::new(limits, recycle, sink).stream(&Origin::new(name), input)
}

struct Walker<'a> {
    limits: &'a Limits,
    recycle: &'a mut dyn FnMut() -> Vec<u8>,
    sink: &'a mut dyn FnMut(Item) -> ControlFlow<()>,
    consumed: Count,
    budget: Arc<Budget>,
    sequence: u64,
    /// Whether a stream around this one is being decompressed.
    is_decompressing: bool,
}

/// One stream of bytes on its way to being recognised.
struct Stream<'s> {
    input: &'s mut (dyn Read + Send),
    /// The file itself, where the stream is all of a file on disk.
    file: Option<&'s File>,
    origin: &'s Arc<Origin>,
    /// Containers around it.
    depth: usize,
}

impl<'a> Walker<'a> {
    fn new(
        limits: &'a Limits,
        recycle: &'a mut dyn FnMut() -> Vec<u8>,
        sink: &'a mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> Self {
        let budget = Budget::new(limits);
        let consumed = Count::default();
        Self { limits, recycle, sink, consumed, budget, sequence: 0, is_decompressing: false }
    }

    fn path(&mut self, path: &Path) -> Flow {
        if path.as_os_str() == "-" {
            return self.stream(&Origin::new("-"), &mut io::stdin());
        }
        // The stack holds what is still to be walked, the next one last.
        let mut stack = vec![path.to_path_buf()];
        while let Some(path) = stack.pop() {
            let origin = Origin::new(path.display().to_string());
            match fs::metadata(&path) {
                Err(failure) => self.defect(&origin, format!("cannot be opened: {failure}"))?,
                Ok(metadata) if metadata.is_dir() => self.folder(&path, &origin, &mut stack)?,
                Ok(_) => self.file(&path, &origin)?,
            }
        }
        Flow::Continue(())
    }

    /// Puts the entries of a folder on the stack.
    fn folder(&mut self, path: &Path, origin: &Arc<Origin>, stack: &mut Vec<PathBuf>) -> Flow {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(failure) => return self.defect(origin, format!("folder cannot be read: {failure}")),
        };
        let mut found = Vec::new();
        for entry in entries {
            match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
                Ok(entry) => found.push(entry),
                Err(failure) => self.defect(origin, format!("folder cannot be read further: {failure}"))?,
            }
        }
        found.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
        for (path, kind) in found {
            let is_link_to_file =
                || kind.is_symlink() && fs::metadata(&path).is_ok_and(|found| found.is_file());
            if kind.is_dir() || kind.is_file() || is_link_to_file() {
                stack.push(path);
            } else {
                let origin = Origin::new(path.display().to_string());
                self.defect(&origin, "no regular file, or a link to a folder: not read".to_owned())?;
            }
        }
        Flow::Continue(())
    }

    fn file(&mut self, path: &Path, origin: &Arc<Origin>) -> Flow {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(failure) => return self.defect(origin, format!("cannot be opened: {failure}")),
        };
        self.budget = Budget::new(self.limits);
        let seekable = file.metadata().is_ok_and(|metadata| metadata.is_file()).then_some(&file);
        let mut input = Counted { inner: &file, count: self.consumed.clone() };
        self.content(Stream { input: &mut input, file: seekable, origin, depth: 0 })?;
        self.progress()
    }

    fn stream(&mut self, origin: &Arc<Origin>, input: &mut (dyn Read + Send)) -> Flow {
        self.budget = Budget::new(self.limits);
        let mut input = Counted { inner: input, count: self.consumed.clone() };
        self.content(Stream { input: &mut input, file: None, origin, depth: 0 })?;
        self.progress()
    }

    /// Recognises a stream and sends it where it belongs.
    fn content(&mut self, stream: Stream<'_>) -> Flow {
        let Stream { input, file, origin, depth } = stream;
        let mut input = Peeked::new(input, SAMPLE_LEN);
        match recognise::content(input.head()) {
            Content::Empty => self.empty(origin, &mut input),
            Content::Records(kind) => self.records(origin, kind, &mut input),
            Content::Encoded(order) => {
                let mut text = Utf16Reader::new(&mut input, order);
                let mut text = Peeked::new(&mut text, SAMPLE_LEN);
                let kind = recognise::text(text.head());
                self.records(origin, kind, &mut text)
            }
            Content::Refused(reason) => self.refuse(origin, reason.to_owned()),
            Content::Container(_) if depth >= self.limits.container_depth_max => {
                let max = self.limits.container_depth_max;
                self.refuse(origin, format!("containers are nested deeper than {max}: not read"))
            }
            Content::Container(container) => match container {
                Container::Gz => self.gz(origin, depth, input),
                Container::Zstd => self.zstd(origin, depth, input),
                Container::Zip => self.zip(origin, depth, input, file),
                Container::Tar => self.tar(origin, depth, input),
            },
        }
    }

    fn empty(&mut self, origin: &Arc<Origin>, input: &mut Peeked<'_>) -> Flow {
        // A stream that fails at once looks empty until it is read.
        if let Err(failure) = input.read(&mut [0]) {
            self.defect(origin, frame::describe(&failure))?;
        }
        self.done(origin, None, 0)
    }

    fn records(&mut self, origin: &Arc<Origin>, kind: Kind, input: &mut Peeked<'_>) -> Flow {
        let name = Format(kind.clone()).name();
        let mark = if input.head().starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        input.skip(mark);
        let mut leaf = Leaf { walker: self, origin };
        let bytes = frame::frame(kind, input, mark as u64, &mut leaf)?;
        self.done(origin, Some(name), bytes)
    }

    fn refuse(&mut self, origin: &Arc<Origin>, reason: String) -> Flow {
        self.defect(origin, reason)?;
        self.done(origin, None, 0)
    }

    fn defect(&mut self, origin: &Arc<Origin>, reason: String) -> Flow {
        self.defect_at(origin, Place::Whole, reason)
    }

    fn defect_at(&mut self, origin: &Arc<Origin>, place: Place, reason: String) -> Flow {
        (self.sink)(Item::Defect(Defect { origin: Arc::clone(origin), place, reason }))
    }

    fn done(&mut self, origin: &Arc<Origin>, format: Option<&'static str>, bytes: u64) -> Flow {
        (self.sink)(Item::Done(FileAccount { origin: Arc::clone(origin), format, bytes }))
    }

    fn progress(&mut self) -> Flow {
        (self.sink)(Item::Progress { input_bytes: self.consumed.get() })
    }
}

/// Where the blocks of one stream go.
struct Leaf<'w, 'a> {
    walker: &'w mut Walker<'a>,
    origin: &'w Arc<Origin>,
}

impl Outlet for Leaf<'_, '_> {
    fn limits(&self) -> &Limits {
        self.walker.limits
    }

    fn buffer(&mut self) -> Vec<u8> {
        (self.walker.recycle)()
    }

    fn block(&mut self, kind: &Kind, bytes: Vec<u8>, position: Position) -> Flow {
        let Position { offset, first_record } = position;
        let sequence = self.walker.sequence;
        self.walker.sequence += 1;
        let (origin, format) = (Arc::clone(self.origin), Format(kind.clone()));
        (self.walker.sink)(Item::Block(Block { origin, format, bytes, offset, first_record, sequence }))?;
        self.walker.progress()
    }

    fn defect(&mut self, place: Place, reason: String) -> Flow {
        self.walker.defect_at(self.origin, place, reason)
    }
}
