//! What a JSON record is, told from which paths it has and never from a mapping file.
//!
//! The catalogue gives paths roles (`Channel`, `EventId`, a time of some rank); a record's shape
//! is the first whose roles it filled:
//!
//! | shape | told by | log source |
//! |---|---|---|
//! | Windows event (EVTX dump, winlogbeat, NXLog, Sentinel, Velociraptor) | an event id with a channel or provider | as for EVTX |
//! | Suricata EVE | `event_type` with `flow_id` or what only EVE has | suricata/type |
//! | Zeek | `_path`, `@stream`, or `uid` with `id.orig_h` | zeek/log |
//! | cloud and service audit logs | see [`cloud`] | aws/cloudtrail, azure/signinlogs, m365/audit … |
//! | auditd, OpenCanary, Kubernetes … | see [`cloud`] | linux/auditd … |
//! | other ECS | `event.category`, `host.os.*` | product and category |
//!
//! A record that is none of them is an event without log source: rules that ask for one do not
//! apply to it, indicators and keywords do.

use std::collections::HashMap;
use std::ops::Range;

use besa_event::{
    Batch, EventTime, Field, FieldId, Head, LogSource, LogSourceId, Span, ValueKind, Zone, json_unescape,
};
use foldhash::quality::RandomState;

pub(crate) use self::catalogue::SECOND_NAMES;
pub(super) use self::catalogue::{INNER, ROLES, Role, Scope};
use super::record::{Record, Source};
use crate::context::Context;
use crate::eve;

mod catalogue;
mod cloud;
mod ecs;
mod zeek;

/// What a record is, with what its log source depends on.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Windows,
    Suricata,
    Zeek(&'static str),
    /// A row of [`cloud::CLASSES`].
    Row(usize),
    Ecs,
    Unknown,
}

/// Log sources that were met, so that nothing is built twice.
#[derive(Debug, Default)]
pub(super) struct Classes {
    rows: Vec<Option<LogSourceId>>,
    by_key: HashMap<Vec<u8>, LogSourceId, RandomState>,
    key: Vec<u8>,
    /// Address of the log sources that this holds for.
    sources: usize,
    canonical: Option<[Option<FieldId>; 4]>,
    /// Second names of the record, each with the path that may give it.
    judged: Vec<(FieldId, Option<u32>)>,
}

/// Keys remembered; a stranger's event ids can make any number.
const KEYS_MAX: usize = 8_192;

impl Classes {
    pub(super) fn begin_block(&mut self, context: &Context<'_>) {
        let sources = std::ptr::from_ref(context.sources).addr();
        if self.sources != sources {
            *self = Self { sources, ..Self::default() };
        }
        self.canonical = Some(
            ["Channel", "Provider_Name", "EventID", "Computer"]
                .map(|name| context.dictionary.lookup(name.as_bytes())),
        );
    }
}

/// Closes the event whose fields are in the batch.
pub(super) fn finish(
    context: &Context<'_>,
    block: &[u8],
    range: Range<usize>,
    number: u64,
    record: &Record,
    classes: &mut Classes,
    batch: &mut Batch,
) {
    let shape = shape_of(block, record);
    let logsource = logsource(context, block, shape, record, classes);
    if matches!(shape, Shape::Windows) {
        name_as_evtx(block, record, classes, batch);
    }
    add_second_names(scope_of(shape), record, classes, batch);
    let time = time_of(block, record);
    let host = HOSTS.iter().find(|role| record.has(**role));
    let host = host.map_or(Span::default(), |role| plain_span(block, record, *role, batch));
    let raw = Span::new(range);
    batch.end_event(context.dictionary, context.sources, Head { raw, host, time, record: number, logsource });
}

fn shape_of(block: &[u8], record: &Record) -> Shape {
    // An `id` is anybody's; beside a channel it is an event's.
    let has_source = record.has_any(&[Role::Channel, Role::Provider]);
    if (record.has(Role::EventId) && has_source) || record.has_all(&[Role::EventCode, Role::Channel]) {
        return Shape::Windows;
    }
    if eve::is_eve(record.text(block, Role::EventTypeEve), record.has_any(&[Role::EveOnly, Role::EveFlow])) {
        return Shape::Suricata;
    }
    if let Some(log) = zeek::log(block, record) {
        return Shape::Zeek(log);
    }
    if let Some(row) = cloud::row(block, record) {
        return Shape::Row(row);
    }
    if record.has_any(&[Role::EcsCategory, Role::EcsOs, Role::EcsPlatform]) {
        return Shape::Ecs;
    }
    Shape::Unknown
}

fn scope_of(shape: Shape) -> Option<Scope> {
    match shape {
        Shape::Windows => Some(Scope::Windows),
        Shape::Zeek(_) => Some(Scope::Zeek),
        Shape::Row(row) => cloud::CLASSES.get(row).map(|class| class.scope),
        _ => None,
    }
}

fn logsource(
    context: &Context<'_>,
    block: &[u8],
    shape: Shape,
    record: &Record,
    classes: &mut Classes,
) -> LogSourceId {
    let key = &mut classes.key;
    key.clear();
    match shape {
        Shape::Unknown => return LogSourceId::default(),
        Shape::Row(row) => {
            classes.rows.resize(cloud::CLASSES.len(), None);
            let class = || cloud::CLASSES.get(row).map_or_else(LogSource::default, cloud::Class::source);
            return match classes.rows.get_mut(row) {
                Some(id) => *id.get_or_insert_with(|| context.sources.intern(class())),
                None => LogSourceId::default(),
            };
        }
        Shape::Zeek("") => {
            key.push(b'z');
            record.append_text(block, Role::ZeekPath, key);
        }
        Shape::Zeek(log) => {
            key.push(b'z');
            key.extend_from_slice(log.as_bytes());
        }
        Shape::Suricata => {
            key.push(b's');
            record.append_text(block, Role::EventTypeEve, key);
        }
        Shape::Windows => {
            key.push(b'w');
            for role in [Role::Channel, Role::Provider] {
                record.append_text(block, role, key);
                key.push(0);
            }
            let id = if record.has(Role::EventId) { Role::EventId } else { Role::EventCode };
            record.append_text(block, id, key);
        }
        Shape::Ecs => {
            key.push(b'e');
            for role in [Role::EcsOs, Role::EcsPlatform, Role::EcsCategory, Role::EcsType, Role::EcsAction] {
                record.append_text(block, role, key);
                key.push(0);
            }
        }
    }
    if let Some(id) = classes.by_key.get(key.as_slice()) {
        return *id;
    }
    let id = class_of_key(context, key);
    if classes.by_key.len() >= KEYS_MAX {
        classes.by_key.clear();
    }
    classes.by_key.insert(key.clone(), id);
    id
}

/// Builds the class for a key that was not met before.
fn class_of_key(context: &Context<'_>, key: &[u8]) -> LogSourceId {
    let (kind, rest) = key.split_first().unwrap_or((&0, &[]));
    let text = String::from_utf8_lossy(rest);
    let parts: Vec<&str> = text.split('\0').collect();
    match (kind, parts.as_slice()) {
        (b'w', [channel, provider, id, ..]) => context.sources.windows(channel, provider, id),
        (b'z', [log, ..]) => context.sources.intern(zeek::class(log)),
        (b's', [event_type, ..]) => context.sources.intern(eve::class(event_type)),
        (b'e', [os, platform, category, kind, action, ..]) => {
            context.sources.intern(ecs::class(os, platform, category, kind, action))
        }
        _ => LogSourceId::default(),
    }
}

/// Gives a Windows event the four names that rules ask for, wherever its shape keeps them.
fn name_as_evtx(block: &[u8], record: &Record, classes: &Classes, batch: &mut Batch) {
    let id = if record.has(Role::EventId) { Role::EventId } else { Role::EventCode };
    let host = HOSTS.iter().copied().find(|role| record.has(*role)).unwrap_or(Role::None);
    let names = classes.canonical.unwrap_or_default();
    for (name, role) in names.into_iter().zip([Role::Channel, Role::Provider, id, host]) {
        if let (Some(name), Some(slot)) = (name, record.slot(role))
            && !batch.open_fields().iter().any(|field| field.name == name)
        {
            let span = match slot.source {
                Source::Block => Span::new(slot.start..slot.end),
                Source::Embedded => batch.append(record.bytes(block, slot)),
            };
            batch.push_field(name, slot.kind, span);
        }
    }
}

/// Adds the second names that hold for the record and that it has no field of. An array's values
/// all get the second name; of several paths that would give it, the first does.
fn add_second_names(scope: Option<Scope>, record: &Record, classes: &mut Classes, batch: &mut Batch) {
    classes.judged.clear();
    for second in &record.second_names {
        if second.scope != Scope::Any && Some(second.scope) != scope {
            continue;
        }
        // Judged once for each name, before the first is added; there are few of them.
        let judged = classes.judged.iter().find(|(name, _)| *name == second.name);
        let giver = judged.map(|(_, path)| *path).unwrap_or_else(|| {
            let is_it = |field: &Field| field.name == second.name && field.kind != ValueKind::Node;
            let giver = (!batch.open_fields().iter().any(is_it)).then_some(second.path);
            classes.judged.push((second.name, giver));
            giver
        });
        if giver == Some(second.path) {
            batch.push_field(second.name, second.kind, second.span);
        }
    }
}

/// A role's text without escape sequences.
fn plain_span(block: &[u8], record: &Record, role: Role, batch: &mut Batch) -> Span {
    match record.slot(role) {
        None => Span::default(),
        Some(slot) if slot.kind == ValueKind::JsonText => {
            let bytes = record.bytes(block, slot);
            batch.append_with(|out| json_unescape(bytes, out))
        }
        Some(slot) if slot.source == Source::Embedded => batch.append(record.bytes(block, slot)),
        Some(slot) => Span::new(slot.start..slot.end),
    }
}

/// Hosts from the one that the record speaks of to the one that passed it on.
const HOSTS: [Role; 5] = [Role::Computer, Role::Host, Role::HostName, Role::Collector, Role::NodeId];

/// Times from the one that the source stated to the one at which it was taken in.
const TIMES: [Role; 10] = [
    Role::TimeCreated,
    Role::UtcTime,
    Role::AtTimestamp,
    Role::EventTime,
    Role::Time,
    Role::Ts,
    Role::Timestamp,
    Role::TimeOfService,
    Role::TimeStage,
    Role::TimeIngested,
];

fn time_of(block: &[u8], record: &Record) -> Option<EventTime> {
    let stated = TIMES.iter().filter(|role| record.has(**role)).find_map(|role| {
        let slot = record.slot(*role)?;
        let mut time = parse_time(record.bytes(block, slot), slot.kind)?;
        // Sysmon's `UtcTime` states its zone in its name.
        if *role == Role::UtcTime {
            time.zone = Zone::Stated;
        }
        Some(time)
    });
    // Laurel's `ID` is auditd's own: seconds, a colon, a serial number.
    stated.or_else(|| {
        let mut id = record.text(block, Role::EventCode).split(|byte| *byte == b':');
        let (time, _serial) = (id.next()?, id.next()?);
        EventTime::parse_unix(time)
    })
}

fn parse_time(text: &[u8], kind: ValueKind) -> Option<EventTime> {
    if kind == ValueKind::Number {
        return EventTime::parse_unix(text);
    }
    // `\/Date(1657879872123)\/`, as PowerShell 5 writes dates.
    if text.contains(&b'D')
        && let Some(at) = memchr::memmem::find(text, b"/Date(")
    {
        let digits = text.get(at + 6..)?;
        let len = digits.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'-').count();
        return EventTime::parse_unix(digits.get(..len)?);
    }
    EventTime::parse_iso(text).or_else(|| EventTime::parse_unix(text))
}
