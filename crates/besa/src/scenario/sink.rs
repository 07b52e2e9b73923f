//! Files of evidence in the formats of the tools that write them.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use besa_evidence::evtx::{EventData, EvtxRecord, EvtxWriter};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};

use super::attack::Entry;
use super::calendar::{Day, Time};
use super::text::{self, ZeekLog};
use super::windows::WindowsRecord;

/// How a stream is written.
#[derive(Clone, Copy)]
pub(super) enum Format {
    /// One channel of one host, as the host keeps it.
    Evtx,
    /// Forwarded Windows events as winlogbeat 7 writes them, one file a month.
    Winlogbeat,
    /// IIS, W3C extended, one file a month.
    Iis,
    /// Zeek, tab separated, one folder a month.
    Zeek(&'static ZeekLog),
    /// Web proxy, comma separated, one file a month.
    Proxy,
    /// RFC 5424, one file a month.
    Syslog,
}

impl Format {
    /// Path below the member's folder in the month of `day`.
    pub(super) fn path(self, stream: &str, channel: &str, day: Day) -> String {
        let month = day.month();
        let host = stream.split('/').next().unwrap_or(stream);
        match self {
            Self::Evtx => format!("{host}/{}.evtx", channel.replace('/', "%4")),
            Self::Winlogbeat => format!("{host}/winlogbeat-{month}.json.gz"),
            Self::Iis => format!("{host}/W3SVC1/u_ex{}.log", month.replace('-', "").split_off(2)),
            Self::Zeek(log) => format!("zeek/{month}/{}.log.gz", log.path),
            Self::Proxy => format!("proxy/access-{month}.csv.gz"),
            Self::Syslog => format!("{host}/messages-{month}.log"),
        }
    }

    /// The moment as this format can tell it.
    pub(super) fn precision(self, time: Time) -> Time {
        match self {
            Self::Iis | Self::Proxy => time.whole_second(),
            Self::Winlogbeat => time.whole_millisecond(),
            Self::Evtx | Self::Zeek(_) | Self::Syslog => time,
        }
    }
}

/// One open file.
pub(super) struct Sink {
    format: Format,
    out: Out,
    records: u64,
    lines: u64,
    first_record_id: u64,
    path: PathBuf,
    last: Time,
}

enum Out {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
    Evtx(Box<EvtxWriter<BufWriter<File>>>),
}

/// Where an event ended up in its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Record number (`EventRecordID`) of Windows events, else the line number, from 1.
    pub(super) record: u64,
}

impl Sink {
    /// Creates the file and its folders, and writes what heads it.
    pub(super) fn create(
        root: &Path,
        relative: &str,
        format: Format,
        first_record_id: u64,
        time: Time,
    ) -> io::Result<Self> {
        let path = root.join(relative);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = BufWriter::new(File::create(&path)?);
        let out = match format {
            Format::Evtx => Out::Evtx(Box::new(EvtxWriter::new(file)?)),
            _ if relative.ends_with(".gz") => Out::Gzip(Box::new(GzEncoder::new(file, Compression::new(6)))),
            _ => Out::Plain(file),
        };
        let mut sink = Self { format, out, records: 0, lines: 0, first_record_id, path, last: time };
        sink.head(time)?;
        Ok(sink)
    }

    fn head(&mut self, time: Time) -> io::Result<()> {
        match self.format {
            Format::Iis => {
                self.line("#Software: Microsoft Internet Information Services 10.0")?;
                self.line("#Version: 1.0")?;
                self.line(&format!("#Date: {} {}", time.date(), time.time_of_day()))?;
                self.line(&format!("#Fields: {}", text::IIS_FIELDS))
            }
            Format::Proxy => self.line(text::PROXY_COLUMNS),
            Format::Zeek(log) => {
                let tabs = |words: &str| words.split_whitespace().collect::<Vec<_>>().join("\t");
                let (id, types) = text::ZEEK_ID;
                self.line("#separator \\x09")?;
                self.line("#set_separator\t,")?;
                self.line("#empty_field\t(empty)")?;
                self.line("#unset_field\t-")?;
                self.line(&format!("#path\t{}", log.path))?;
                self.line(&format!("#open\t{}", zeek_stamp(time)))?;
                self.line(&format!("#fields\t{}\t{}", tabs(id), tabs(log.fields)))?;
                self.line(&format!("#types\t{}\t{}", tabs(types), tabs(log.types)))
            }
            Format::Evtx | Format::Winlogbeat | Format::Syslog => Ok(()),
        }
    }

    /// Writes one event.
    pub(super) fn write(&mut self, time: Time, entry: &Entry) -> io::Result<Place> {
        let id = self.first_record_id + self.records;
        self.records += 1;
        self.last = time;
        let record = match entry {
            Entry::Windows(record) => {
                match &mut self.out {
                    Out::Evtx(writer) => write_evtx(writer, record, id)?,
                    _ => self.line(&winlogbeat(record, id).to_string())?,
                }
                id
            }
            Entry::Line(line) => {
                self.line(line)?;
                self.lines
            }
        };
        Ok(Place { record })
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        self.lines += 1;
        let out: &mut dyn Write = match &mut self.out {
            Out::Plain(out) => out,
            Out::Gzip(out) => out,
            Out::Evtx(_) => return Ok(()),
        };
        out.write_all(line.as_bytes())?;
        out.write_all(if matches!(self.format, Format::Iis) { b"\r\n" } else { b"\n" })
    }

    /// Closes the file. Returns its length in bytes.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        if matches!(self.format, Format::Zeek(_)) {
            let stamp = zeek_stamp(self.last);
            self.line(&format!("#close\t{stamp}"))?;
        }
        match self.out {
            Out::Plain(mut out) => out.flush()?,
            Out::Gzip(out) => out.finish()?.flush()?,
            Out::Evtx(writer) => writer.finish()?.flush()?,
        }
        Ok(fs::metadata(&self.path)?.len())
    }
}

fn zeek_stamp(time: Time) -> String {
    format!("{}-{}", time.date(), time.time_of_day().replace(':', "-"))
}

/// The record in the host's own log. What Windows writes as `UserData` (a cleared log) becomes
/// `EventData` here, the only form that the writer has.
fn write_evtx(
    writer: &mut EvtxWriter<BufWriter<File>>,
    record: &WindowsRecord,
    record_id: u64,
) -> io::Result<()> {
    let named: Vec<(&str, &str)> = record.data.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let unnamed: Vec<&str> = record.data.iter().map(|(_, value)| value.as_str()).collect();
    let has_names = record.data.iter().any(|(name, _)| !name.is_empty());
    let user_sid = record.user_sid.as_deref().and_then(binary_sid);
    writer.write(&EvtxRecord {
        channel: record.channel,
        provider: record.provider,
        provider_guid: record.provider_guid.and_then(binary_guid),
        event_id: record.event_id,
        version: record.version,
        level: record.level,
        task: record.task,
        opcode: record.opcode,
        keywords: record.keywords,
        record_id,
        filetime: record.time.filetime(),
        computer: &record.computer,
        process_id: record.execution.0,
        thread_id: record.execution.1,
        user_sid: user_sid.as_deref(),
        data: if has_names { EventData::Named(&named) } else { EventData::Unnamed(&unnamed) },
    })
}

/// A SID as [MS-DTYP] 2.4.2.2 lays it out: revision, count, authority (big endian), the rest
/// (little endian).
fn binary_sid(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.strip_prefix("S-1-")?.split('-').map(str::parse::<u32>);
    let authority = parts.next()?.ok()?;
    let rest: Vec<u32> = parts.collect::<Result<_, _>>().ok()?;
    let mut sid = vec![1, u8::try_from(rest.len()).ok()?, 0, 0];
    sid.extend(authority.to_be_bytes());
    sid.extend(rest.iter().flat_map(|part| part.to_le_bytes()));
    Some(sid)
}

/// A GUID as [MS-DTYP] 2.3.4 lays it out: the first three groups little endian.
fn binary_guid(text: &str) -> Option<[u8; 16]> {
    let hex: String = text.chars().filter(|digit| *digit != '-').collect();
    let bytes = u128::from_str_radix(&hex, 16).ok()?.to_be_bytes();
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    Some(ORDER.map(|at| bytes[at]))
}

/// The record as winlogbeat 7 writes it, without the rendered message.
fn winlogbeat(record: &WindowsRecord, id: u64) -> Value {
    let mut winlog = Map::new();
    let mut put = |name: &str, value: Value| winlog.insert(name.to_owned(), value);
    put("api", "wineventlog".into());
    put("channel", record.channel.into());
    put("computer_name", record.computer.clone().into());
    put("event_id", record.event_id.into());
    put("record_id", id.into());
    put("provider_name", record.provider.into());
    if let Some(guid) = record.provider_guid {
        put("provider_guid", format!("{{{guid}}}").to_lowercase().into());
    }
    put("opcode", if record.opcode == 15 { "On create calls" } else { "Info" }.into());
    put("task", record.task.to_string().into());
    put("keywords", json!([keyword(record.keywords)]));
    put("version", record.version.into());
    put("process", json!({"pid": record.execution.0, "thread": {"id": record.execution.1}}));
    if let Some(sid) = &record.user_sid {
        put("user", json!({"identifier": sid}));
    }
    let data: Map<String, Value> = record
        .data
        .iter()
        .enumerate()
        .map(|(n, (name, value))| {
            let name = if name.is_empty() { format!("param{}", n + 1) } else { (*name).to_owned() };
            (name, value.clone().into())
        })
        .collect();
    put(if record.user_data.is_some() { "user_data" } else { "event_data" }, data.into());
    let host = record.computer.split('.').next().unwrap_or_default();
    json!({
        "@timestamp": record.time.rfc3339_ms(),
        "agent": {"type": "winlogbeat", "version": "7.17.4", "hostname": host},
        "ecs": {"version": "1.12.0"},
        "event": {"kind": "event", "code": record.event_id.to_string(), "provider": record.provider},
        "host": {"name": record.computer},
        "log": {"level": level_name(record.level)},
        "winlog": winlog,
    })
}

fn keyword(keywords: u64) -> &'static str {
    match keywords >> 48 & 0xff {
        0x10 => "Audit Failure",
        0x20 => "Audit Success",
        0x80 => "Classic",
        _ => "None",
    }
}

fn level_name(level: u8) -> &'static str {
    match level {
        1 => "critical",
        2 => "error",
        3 => "warning",
        _ => "information",
    }
}
