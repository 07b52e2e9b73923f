//! Writing event logs, for scenarios and tests that must run without foreign evidence.
//!
//! Records are built as Windows builds them: an outer template for each provider and channel
//! holds the `System` section, its last value is a fragment with the event's own template
//! (`<Data Name="…">` with one string value each), and a chunk defines each name and template
//! where it first needs it.

use std::collections::HashMap;
use std::io::{self, Seek, SeekFrom, Write};

use super::binxml::{ATTRIBUTE, CLOSE_EMPTY, CLOSE_START, END, END_OF_STREAM, FRAGMENT_HEADER, INSTANCE};
use super::binxml::{NO_DEPENDENCY, OPEN, OPTIONAL, SUBSTITUTION, VALUE, name_hash};
use super::chunk::{CHUNK_HEADER_LEN, CHUNK_MAGIC, RECORD_HEADER_LEN, RECORD_MAGIC, crc32, header_crc32};
use super::{CHUNK_LEN, FILE_HEADER_LEN, MAGIC};

/// One event to be written.
#[derive(Clone, Copy, Debug)]
pub struct EvtxRecord<'a> {
    /// `System/Channel`, such as `Security`.
    pub channel: &'a str,
    /// `System/Provider/@Name`.
    pub provider: &'a str,
    /// `System/Provider/@Guid` as 16 bytes in the order of \[MS-DTYP\] 2.3.4, if the provider
    /// has one.
    pub provider_guid: Option<[u8; 16]>,
    /// `System/EventID`.
    pub event_id: u16,
    /// `System/Version`.
    pub version: u8,
    /// `System/Level`, 0 to 5.
    pub level: u8,
    /// `System/Task`.
    pub task: u16,
    /// `System/Opcode`.
    pub opcode: u8,
    /// `System/Keywords`, a bit set.
    pub keywords: u64,
    /// `System/EventRecordID`.
    pub record_id: u64,
    /// `System/TimeCreated/@SystemTime` as `FILETIME`: 100 ns since 1601-01-01.
    pub filetime: u64,
    /// `System/Computer`.
    pub computer: &'a str,
    /// `System/Execution/@ProcessID`.
    pub process_id: u32,
    /// `System/Execution/@ThreadID`.
    pub thread_id: u32,
    /// `System/Security/@UserID`: a binary SID (\[MS-DTYP\] 2.4.2.2), if there is one.
    pub user_sid: Option<&'a [u8]>,
    /// `EventData`.
    pub data: EventData<'a>,
}

/// What an event carries of its own.
#[derive(Clone, Copy, Debug)]
pub enum EventData<'a> {
    /// `<Data Name="name">value</Data>` for each pair.
    Named(&'a [(&'a str, &'a str)]),
    /// `<Data>value</Data>` for each string, as providers without a manifest write.
    Unnamed(&'a [&'a str]),
}

/// Writes one log file chunk by chunk; holds one chunk in memory. [`EvtxWriter::finish`] makes
/// the file whole.
#[derive(Debug)]
pub struct EvtxWriter<W: Write + Seek> {
    out: W,
    chunk: Chunk,
    chunks: u16,
    /// Records written so far: the number of the next, from 1, is one more.
    records: u64,
    next_record_id: u64,
}

/// A chunk under construction.
#[derive(Debug)]
struct Chunk {
    /// From the chunk's start.
    bytes: Vec<u8>,
    first: Option<(u64, u64)>,
    last: (u64, u64),
    last_record_at: usize,
    /// Offset of each name.
    names: HashMap<String, u32>,
    /// Offset and id of each template.
    templates: HashMap<Key, (u32, u32)>,
}

/// What makes a template one of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    System { channel: String, provider: String, guid: Option<[u8; 16]> },
    Named { provider: String, event_id: u16, names: Vec<String> },
    Unnamed,
}

const NAME_BUCKETS_AT: usize = 128;
const NAME_BUCKETS: usize = 64;
const TEMPLATE_BUCKETS_AT: usize = 384;
const TEMPLATE_BUCKETS: usize = 32;
const NAMESPACE: &str = "http://schemas.microsoft.com/win/2004/08/events/event";

impl<W: Write + Seek> EvtxWriter<W> {
    /// Starts a file at the current position of `out`, which must be its beginning.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&[0; FILE_HEADER_LEN])?;
        Ok(Self { out, chunk: Chunk::new(), chunks: 0, records: 0, next_record_id: 1 })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Those of the output, and `InvalidInput` for a record that does not fit into a chunk (64
    /// KiB with its templates), or past 65,535 chunks.
    pub fn write(&mut self, record: &EvtxRecord<'_>) -> io::Result<()> {
        self.records += 1;
        if !self.chunk.try_add(record, self.records) {
            self.flush_chunk()?;
            if !self.chunk.try_add(record, self.records) {
                self.records -= 1;
                let id = record.record_id;
                return Err(invalid(format!("record `{id}` does not fit into a chunk, shorten its values")));
            }
        }
        self.next_record_id = self.next_record_id.max(record.record_id.saturating_add(1));
        Ok(())
    }

    /// Writes the last chunk and the file header, and gives the output back.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<W> {
        if self.chunk.first.is_some() || self.chunks == 0 {
            self.flush_chunk()?;
        }
        let mut header = Vec::with_capacity(FILE_HEADER_LEN);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&0_u64.to_le_bytes());
        header.extend_from_slice(&u64::from(self.chunks.saturating_sub(1)).to_le_bytes());
        header.extend_from_slice(&self.next_record_id.to_le_bytes());
        header.extend_from_slice(&128_u32.to_le_bytes());
        // Version 3.1, length of the header, number of chunks.
        for number in [1, 3, 4096, self.chunks] {
            header.extend_from_slice(&number.to_le_bytes());
        }
        header.resize(120, 0);
        let checksum = crc32(&[&header]);
        header.extend_from_slice(&0_u32.to_le_bytes());
        header.extend_from_slice(&checksum.to_le_bytes());
        header.resize(FILE_HEADER_LEN, 0);
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&header)?;
        self.out.seek(SeekFrom::End(0))?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn flush_chunk(&mut self) -> io::Result<()> {
        let chunks = self.chunks.checked_add(1);
        self.chunks = chunks.ok_or_else(|| invalid("the log has 65,535 chunks, start another".into()))?;
        let chunk = std::mem::replace(&mut self.chunk, Chunk::new());
        self.out.write_all(&chunk.finish())
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

/// A value of a value table.
struct Value<'a> {
    value_type: u8,
    bytes: &'a [u8],
}

impl Chunk {
    fn new() -> Self {
        let mut bytes = Vec::with_capacity(CHUNK_LEN);
        bytes.resize(CHUNK_HEADER_LEN, 0);
        Self {
            bytes,
            first: None,
            last: (0, 0),
            last_record_at: 0,
            names: HashMap::new(),
            templates: HashMap::new(),
        }
    }

    /// Adds a record, or leaves the chunk as it was if the record does not fit.
    fn try_add(&mut self, record: &EvtxRecord<'_>, number: u64) -> bool {
        let start = self.bytes.len();
        let buckets = self.bytes.get(..CHUNK_HEADER_LEN).map(<[u8]>::to_vec).unwrap_or_default();
        let fits = self.record(record).is_some() && self.bytes.len() <= CHUNK_LEN;
        if fits {
            self.first.get_or_insert((number, record.record_id));
            self.last = (number, record.record_id);
            self.last_record_at = start;
        } else {
            self.bytes.truncate(start);
            self.patch(0, &buckets);
            self.names.retain(|_, at| (*at as usize) < start);
            self.templates.retain(|_, (at, _)| (*at as usize) < start);
        }
        fits
    }

    fn record(&mut self, record: &EvtxRecord<'_>) -> Option<()> {
        let start = self.bytes.len();
        self.put(RECORD_MAGIC);
        self.put(&[0; 4]);
        self.put(&record.record_id.to_le_bytes());
        self.put(&record.filetime.to_le_bytes());
        debug_assert_eq!(self.bytes.len() - start, RECORD_HEADER_LEN, "the header has a fixed length");
        self.system(record)?;
        self.put(&[END_OF_STREAM]);
        while !self.bytes.len().is_multiple_of(4) {
            self.put(&[0]);
        }
        let len = u32::try_from(self.bytes.len() + 4 - start).ok()?.to_le_bytes();
        self.put(&len);
        self.patch(start + 4, &len);
        Some(())
    }

    /// The outer instance. Its last value, the event's own data, is written behind the others
    /// and its length put in afterwards.
    fn system(&mut self, record: &EvtxRecord<'_>) -> Option<()> {
        let key = Key::System {
            channel: record.channel.to_owned(),
            provider: record.provider.to_owned(),
            guid: record.provider_guid,
        };
        self.instance(&key, |chunk| chunk.system_definition(record));
        let computer = utf16(record.computer);
        let values = [
            Value { value_type: 0x04, bytes: &[record.level] },
            Value { value_type: 0x04, bytes: &[record.opcode] },
            Value { value_type: 0x06, bytes: &record.task.to_le_bytes() },
            Value { value_type: 0x06, bytes: &record.event_id.to_le_bytes() },
            Value { value_type: 0x00, bytes: &[] },
            Value { value_type: 0x15, bytes: &record.keywords.to_le_bytes() },
            Value { value_type: 0x11, bytes: &record.filetime.to_le_bytes() },
            Value { value_type: 0x00, bytes: &[] },
            Value { value_type: 0x08, bytes: &record.process_id.to_le_bytes() },
            Value { value_type: 0x08, bytes: &record.thread_id.to_le_bytes() },
            Value { value_type: 0x0A, bytes: &record.record_id.to_le_bytes() },
            Value { value_type: 0x04, bytes: &[record.version] },
            match record.user_sid {
                Some(sid) => Value { value_type: 0x13, bytes: sid },
                None => Value { value_type: 0x00, bytes: &[] },
            },
            Value { value_type: 0x01, bytes: &computer },
            Value { value_type: 0x21, bytes: &[] },
        ];
        let last_len_at = self.values(&values)?;
        let start = self.bytes.len();
        self.event_data(record)?;
        let len = u16::try_from(self.bytes.len() - start).ok()?;
        self.patch(last_len_at, &len.to_le_bytes());
        Some(())
    }

    fn event_data(&mut self, record: &EvtxRecord<'_>) -> Option<()> {
        match record.data {
            EventData::Named(pairs) => {
                let names = pairs.iter().map(|(name, _)| (*name).to_owned()).collect();
                let key =
                    Key::Named { provider: record.provider.to_owned(), event_id: record.event_id, names };
                self.instance(&key, |chunk| chunk.data_definition(pairs.iter().map(|(name, _)| Some(*name))));
                let texts: Vec<Vec<u8>> = pairs.iter().map(|(_, value)| utf16(value)).collect();
                let values: Vec<Value<'_>> =
                    texts.iter().map(|text| Value { value_type: 0x01, bytes: text }).collect();
                self.values(&values)?;
            }
            EventData::Unnamed(strings) => {
                self.instance(&Key::Unnamed, |chunk| chunk.data_definition([None].into_iter()));
                let joined: Vec<u8> = strings.iter().flat_map(|text| utf16(&format!("{text}\0"))).collect();
                self.values(&[Value { value_type: 0x81, bytes: &joined }])?;
            }
        }
        self.put(&[END_OF_STREAM]);
        Some(())
    }

    /// Writes the value table; tells where the length of the last value stands.
    fn values(&mut self, values: &[Value<'_>]) -> Option<usize> {
        self.put(&u32::try_from(values.len()).ok()?.to_le_bytes());
        for value in values {
            self.put(&u16::try_from(value.bytes.len()).ok()?.to_le_bytes());
            self.put(&[value.value_type, 0]);
        }
        let last_len_at = self.bytes.len().checked_sub(4);
        for value in values {
            self.put(value.bytes);
        }
        last_len_at
    }

    /// A template instance up to its value table, with the definition where this chunk has none
    /// yet.
    fn instance(&mut self, key: &Key, define: impl FnOnce(&mut Self)) {
        self.put(&[FRAGMENT_HEADER, 1, 1, 0, INSTANCE, 1]);
        if let Some((at, id)) = self.templates.get(key).copied() {
            self.put(&id.to_le_bytes());
            self.put(&at.to_le_bytes());
            return;
        }
        let guid = guid_of(key);
        let id = guid.first_chunk().copied().map(u32::from_le_bytes).unwrap_or_default();
        let at = self.position() + 8;
        self.put(&id.to_le_bytes());
        self.put(&at.to_le_bytes());
        let next = self.chain(TEMPLATE_BUCKETS_AT, id as usize % TEMPLATE_BUCKETS, at);
        self.put(&next);
        self.put(&guid);
        let len_at = self.bytes.len();
        self.put(&[0; 4]);
        self.put(&[FRAGMENT_HEADER, 1, 1, 0]);
        define(self);
        self.put(&[END_OF_STREAM]);
        self.patch_len(len_at);
        self.templates.insert(key.clone(), (at, id));
    }

    /// The `System` section. Slots as in [`Chunk::system`].
    fn system_definition(&mut self, record: &EvtxRecord<'_>) {
        let event = self.open("Event", NO_DEPENDENCY, &[("xmlns", Text::Literal(NAMESPACE))]);
        self.put(&[CLOSE_START]);
        let system = self.open("System", NO_DEPENDENCY, &[]);
        self.put(&[CLOSE_START]);
        let guid = record.provider_guid.map(|guid| braced(&guid));
        let mut provider = vec![("Name", Text::Literal(record.provider))];
        provider.extend(guid.as_deref().map(|guid| ("Guid", Text::Literal(guid))));
        self.empty_element("Provider", &provider);
        self.element("EventID", Text::Slot(3, 0x06), &[("Qualifiers", Text::Slot(4, 0x06))]);
        self.element("Version", Text::Slot(11, 0x04), &[]);
        self.element("Level", Text::Slot(0, 0x04), &[]);
        self.element("Task", Text::Slot(2, 0x06), &[]);
        self.element("Opcode", Text::Slot(1, 0x04), &[]);
        self.element("Keywords", Text::Slot(5, 0x15), &[]);
        self.empty_element("TimeCreated", &[("SystemTime", Text::Slot(6, 0x11))]);
        self.element("EventRecordID", Text::Slot(10, 0x0A), &[]);
        self.empty_element("Correlation", &[("ActivityID", Text::Slot(7, 0x0F))]);
        self.empty_element(
            "Execution",
            &[("ProcessID", Text::Slot(8, 0x08)), ("ThreadID", Text::Slot(9, 0x08))],
        );
        self.element("Channel", Text::Literal(record.channel), &[]);
        self.element("Computer", Text::Slot(13, 0x01), &[]);
        self.empty_element("Security", &[("UserID", Text::Slot(12, 0x13))]);
        self.close(system);
        self.text(Text::Slot(14, 0x21));
        self.close(event);
    }

    /// `EventData` with one `Data` for each name, its slot being the position.
    fn data_definition<'n>(&mut self, names: impl Iterator<Item = Option<&'n str>>) {
        let data = self.open("EventData", NO_DEPENDENCY, &[]);
        self.put(&[CLOSE_START]);
        for (slot, name) in (0_u16..).zip(names) {
            let attributes = name.map(|name| ("Name", Text::Literal(name)));
            let len_at = self.open("Data", NO_DEPENDENCY, attributes.as_slice());
            self.put(&[CLOSE_START, SUBSTITUTION]);
            self.put(&slot.to_le_bytes());
            self.put(&[if name.is_some() { 0x01 } else { 0x81 }]);
            self.close(len_at);
        }
        self.close(data);
    }

    /// An element with text, which depends on the slot of its text, if that is one.
    fn element(&mut self, name: &str, content: Text<'_>, attributes: &[(&str, Text<'_>)]) {
        let dependency = if let Text::Slot(slot, _) = content { slot } else { NO_DEPENDENCY };
        let len_at = self.open(name, dependency, attributes);
        self.put(&[CLOSE_START]);
        self.text(content);
        self.close(len_at);
    }

    fn empty_element(&mut self, name: &str, attributes: &[(&str, Text<'_>)]) {
        let len_at = self.open(name, NO_DEPENDENCY, attributes);
        self.put(&[CLOSE_EMPTY]);
        self.patch_len(len_at);
    }

    /// A start tag without its closing token; tells where the element's length stands.
    fn open(&mut self, name: &str, dependency: u16, attributes: &[(&str, Text<'_>)]) -> usize {
        let more = if attributes.is_empty() { 0 } else { 0x40 };
        self.put(&[OPEN | more]);
        self.put(&dependency.to_le_bytes());
        let len_at = self.bytes.len();
        self.put(&[0; 4]);
        self.name(name);
        if let Some((last, _)) = attributes.len().checked_sub(1).zip(attributes.first()) {
            let list_at = self.bytes.len();
            self.put(&[0; 4]);
            for (index, (name, value)) in attributes.iter().enumerate() {
                self.put(&[ATTRIBUTE | if index < last { 0x40 } else { 0 }]);
                self.name(name);
                self.text(*value);
            }
            self.patch_len(list_at);
        }
        len_at
    }

    fn close(&mut self, len_at: usize) {
        self.put(&[END]);
        self.patch_len(len_at);
    }

    fn text(&mut self, text: Text<'_>) {
        match text {
            Text::Literal(text) => {
                let units = utf16(text);
                self.put(&[VALUE, 0x01]);
                self.put(&units_of(&units));
                self.put(&units);
            }
            Text::Slot(slot, value_type) => {
                self.put(&[OPTIONAL]);
                self.put(&slot.to_le_bytes());
                self.put(&[value_type]);
            }
        }
    }

    /// A reference to a name, which follows in place if this chunk does not have it yet.
    fn name(&mut self, name: &str) {
        if let Some(at) = self.names.get(name).copied() {
            self.put(&at.to_le_bytes());
            return;
        }
        let at = self.position() + 4;
        self.put(&at.to_le_bytes());
        let hash = name_hash(name.encode_utf16());
        let next = self.chain(NAME_BUCKETS_AT, usize::from(hash) % NAME_BUCKETS, at);
        self.put(&next);
        self.put(&hash.to_le_bytes());
        let units = utf16(name);
        self.put(&units_of(&units));
        self.put(&units);
        self.put(&[0; 2]);
        self.names.insert(name.to_owned(), at);
    }

    /// Makes `at` the first of a bucket; tells what was first before.
    fn chain(&mut self, buckets_at: usize, bucket: usize, at: u32) -> [u8; 4] {
        let place = buckets_at + 4 * bucket;
        let before = self.bytes.get(place..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
        self.patch(place, &at.to_le_bytes());
        before
    }

    fn position(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn patch(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len())) {
            place.copy_from_slice(bytes);
        }
    }

    /// Puts in at `len_at` how many bytes follow that length.
    fn patch_len(&mut self, len_at: usize) {
        let len = u32::try_from(self.bytes.len() - len_at - 4).unwrap_or(u32::MAX);
        self.patch(len_at, &len.to_le_bytes());
    }

    fn finish(mut self) -> Vec<u8> {
        let free = self.position();
        let (first_number, first_id) = self.first.unwrap_or((1, 1));
        let (last_number, last_id) = self.last;
        let records_crc32 = crc32(&[self.bytes.get(CHUNK_HEADER_LEN..).unwrap_or_default()]);
        self.patch(0, CHUNK_MAGIC);
        for (at, number) in [(8, first_number), (16, last_number), (24, first_id), (32, last_id)] {
            self.patch(at, &number.to_le_bytes());
        }
        let last_record_at = u32::try_from(self.last_record_at).unwrap_or_default();
        for (at, number) in [(40, 128), (44, last_record_at), (48, free), (52, records_crc32)] {
            self.patch(at, &number.to_le_bytes());
        }
        let checksum = header_crc32(&self.bytes);
        self.patch(124, &checksum.to_le_bytes());
        self.bytes.resize(CHUNK_LEN, 0);
        self.bytes
    }
}

#[derive(Clone, Copy)]
enum Text<'a> {
    Literal(&'a str),
    /// An optional substitution of a slot and its type.
    Slot(u16, u8),
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Number of UTF-16 units in `bytes`; names and literals are far shorter than 65,536.
fn units_of(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len() / 2).unwrap_or(u16::MAX).to_le_bytes()
}

/// A GUID made of the key's content, so that equal templates bear equal ids in every file.
fn guid_of(key: &Key) -> [u8; 16] {
    let text = format!("{key:?}");
    let mut state = 0x6C62_272E_07BB_0142_62B8_2175_6295_C58D_u128;
    for byte in text.bytes() {
        // FNV-1a.
        state = (state ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013B);
    }
    state.to_le_bytes()
}

fn braced(guid: &[u8; 16]) -> String {
    let mut text = Vec::new();
    super::value::render(0x0F, guid, &mut text);
    String::from_utf8(text).unwrap_or_default()
}
