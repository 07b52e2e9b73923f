//! Evidence to spans: GB/s and events/s on one core, beside a plain read of the same bytes and
//! beside what others make of them, in the same run.
//!
//! ```text
//! cargo bench -p besa-evidence                      all, on the shared corpora if they are there
//! cargo bench -p besa-evidence -- json/named        one of them
//! cargo test  -p besa-evidence --benches            each once, on a little generated evidence
//! ```
//!
//! `named` keeps the fields that Sigma's rules for Windows ask for, as a hunt does; `everything`
//! keeps all. Blocks are in memory before time is taken: reading and unpacking are not decoding.

#![allow(clippy::print_stderr, reason = "what was measured on, and the plain figures, go there")]

use std::hint::black_box;
use std::io::Cursor;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use besa_event::{Batch, Block, Dictionary, Keep, LogSources};
use besa_evidence::evtx::{EventData, EvtxRecord, EvtxWriter};
use besa_evidence::{Context, Decoder, Format, Item, Limits, decode, walk, walk_reader};
use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};

/// Fields of SigmaHQ's rules for Windows.
const FIELDS: &str = "
    Image CommandLine OriginalFileName TargetObject TargetFilename ParentImage EventID Details
    ScriptBlockText ImageLoaded SourceImage Description ParentCommandLine Provider_Name TargetImage
    ImagePath Product PipeName Initiated Data Hashes ProcessName Payload GrantedAccess QueryName
    ServiceFileName ContextInfo DestinationIp ObjectName DestinationPort DestinationHostname
    ServiceName IntegrityLevel User FileName Company CallTrace FileNameBuffer IpAddress CLIENT
    RelativeTargetName SubjectUserName TargetUserName ObjectType AccessList LogonType Signed
    ModifyingApplication ShareName CurrentDirectory Path ApplicationPath AccessMask NewValue
    ProcessNameBuffer RequestedPolicy EventType AttributeLDAPDisplayName SignatureStatus Application
    LogonProcessName Contents AttributeValue Protocol ObjectClass SourceFilename RemoteName
    TargetName WorkstationName Status SubjectUserSid TaskName ParentUser AuthenticationPackageName
    SubjectAccountName LogonId StartFunction FileVersion Signature Configuration SearchFilter
    PackageSourceUri TargetUserSid ObjectValueName SamAccountName SourcePort NewName Destination
    ComputerName SourceParentImage StartModule Hash LocalName Action ObjectServer DestPort
    OldUacValue NewUacValue TicketEncryptionType AuditPolicyChanges SubcategoryGuid PrivilegeList
    TemplateContent NewTemplateContent SourceCommandLine State OldValue ImageName PackageFullName
    UserName ClientAddress IsatapRouter Binary Channel TargetServerName AllowedToDelegateTo
    Workstation TaskContentNew ObjectDN TaskContent SubjectLogonId Properties Service SidHistory
    FilterName CertThumbprint SourceIp PasswordLastSet Computer PreviousCreationUtcTime
    CreationUtcTime TargetLogonId Type TargetParentProcessId StartAddress Device Address Value
    Feature_Name Reason SourceName Name AppID DistinguishedName Flags HasFullTrust CallingProcess
    ErrorCode ProcessPath ServerName SigningUsed AppName ExceptionCode Message Level PackagePath
    Operation Provider Query PossibleCause SidList Caption AccountName ProcessId HiveName DeviceName
    Origin TargetInfo ClassName DeviceDescription LayerRTID ServiceStartType ServiceType SubStatus
    PreAuthType AuditSourceName TicketOptions ServicePrincipalNames DestAddress SourceAddress
    FilterOrigin AdditionalInfo NewTargetUserName SubjectDomainName Keywords ProviderContextName
    TargetSid ClientProcessId ParentProcessId TargetOutboundUserName IpPort KeyLength
    ImpersonationLevel SourceHostname SourceUser EncryptionUsed
";

/// Evidence past this is left out: enough to be far beyond any cache.
const BYTES_MAX: usize = 96 << 20;

fn main() {
    // `cargo test --benches` passes no `--bench`: then each runs once.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    json(&mut criterion, &Evidence::of("json", is_test));
    evtx(&mut criterion, &Evidence::of("evtx", is_test));
    criterion.final_summary();
}

fn json(criterion: &mut Criterion, evidence: &Evidence) {
    let mut group = evidence.group(criterion, "json");
    plain_read(&mut group, evidence);
    group.bench_function("named", |b| b.iter(evidence.decoding(Keep::Named, Decoder::new())));
    group.bench_function("everything", |b| b.iter(evidence.decoding(Keep::Everything, Decoder::new())));
    group.bench_function("named, byte by byte", |b| {
        b.iter(evidence.decoding(Keep::Named, Decoder::byte_by_byte()));
    });
    group.bench_function("serde_json::Value", |b| {
        b.iter(|| {
            for block in &evidence.blocks {
                for line in block.bytes.split(|byte| *byte == b'\n') {
                    let _ = black_box(serde_json::from_slice::<serde_json::Value>(line));
                }
            }
        });
    });
    group.finish();
}

fn evtx(criterion: &mut Criterion, evidence: &Evidence) {
    let mut group = evidence.group(criterion, "evtx");
    plain_read(&mut group, evidence);
    group.bench_function("named", |b| b.iter(evidence.decoding(Keep::Named, Decoder::new())));
    group.bench_function("everything", |b| b.iter(evidence.decoding(Keep::Everything, Decoder::new())));
    group.bench_function("crate evtx, JSON text", |b| {
        b.iter(|| {
            for file in &evidence.files {
                let settings = evtx::ParserSettings::new().num_threads(1).indent(false);
                let Ok(parser) = evtx::EvtxParser::from_read_seek(Cursor::new(file.as_slice())) else {
                    continue;
                };
                for record in parser.with_configuration(settings).records_json() {
                    let _ = black_box(record);
                }
            }
        });
    });
    group.finish();
}

/// Every word of the bytes, once: what memory gives.
fn plain_read(group: &mut BenchmarkGroup<'_, WallTime>, evidence: &Evidence) {
    group.bench_function("plain read", |b| {
        b.iter(|| {
            let sum = |bytes: &[u8]| {
                let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word));
                words.fold(0, u64::wrapping_add)
            };
            let blocks = evidence.blocks.iter().map(|block| sum(&block.bytes));
            black_box(blocks.fold(0, u64::wrapping_add))
        });
    });
}

/// Blocks of one format.
struct Evidence {
    blocks: Vec<Block<Format>>,
    /// Whole files, where the format's blocks are no files of their own.
    files: Vec<Vec<u8>>,
    events: u64,
    bytes: u64,
}

impl Evidence {
    /// The shared corpora of a format, or generated evidence.
    fn of(format: &str, is_test: bool) -> Self {
        let mut evidence = Self { blocks: Vec::new(), files: Vec::new(), events: 0, bytes: 0 };
        let corpora: &[&str] = match format {
            "json" => &["otrf-security-datasets"],
            _ => &["evtx-attack-samples", "sigma-regression"],
        };
        let paths: Vec<PathBuf> = corpora.iter().filter_map(|name| corpus(name)).collect();
        if is_test || paths.is_empty() {
            evidence.generate(format, if is_test { 50 } else { 50_000 });
        } else {
            evidence.read(format, &paths);
        }
        let started = Instant::now();
        evidence.events = evidence.decoding(Keep::Named, Decoder::new())();
        let (events, bytes) = (evidence.events, evidence.bytes);
        eprintln!("{format}: {events} events in {bytes} bytes, first pass {:?}", started.elapsed());
        assert!(events > 0, "there is evidence in every format");
        evidence
    }

    fn read(&mut self, format: &str, paths: &[PathBuf]) {
        let _ = walk(paths, &Limits::default(), &mut Vec::new, &mut |item| self.take(format, item));
        if format == "evtx" {
            paths.iter().for_each(|path| self.read_files(path));
        }
    }

    fn read_files(&mut self, path: &std::path::Path) {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                self.read_files(&path);
            } else if path.extension().is_some_and(|extension| extension == "evtx") {
                self.files.extend(std::fs::read(path));
            }
        }
    }

    fn generate(&mut self, format: &str, events: u64) {
        let bytes = if format == "json" { generated_json(events) } else { generated_evtx(events) };
        let limits = Limits::default();
        let mut sink = |item| self.take(format, item);
        let _ = walk_reader("generated", &mut bytes.as_slice(), &limits, &mut Vec::new, &mut sink);
        self.files.push(bytes);
    }

    fn take(&mut self, format: &str, item: Item) -> std::ops::ControlFlow<()> {
        if let Item::Block(block) = item
            && block.format.name() == format
            && self.bytes < BYTES_MAX as u64
        {
            self.bytes += block.bytes.len() as u64;
            self.blocks.push(block);
        }
        std::ops::ControlFlow::Continue(())
    }

    fn group<'c>(&self, criterion: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::ElementsAndBytes { elements: self.events, bytes: self.bytes });
        group
    }

    /// Decodes every block; returns how many events there were.
    fn decoding(&self, keep: Keep, mut decoder: Decoder) -> impl FnMut() -> u64 + use<> {
        let mut names = Dictionary::builder();
        FIELDS.split_whitespace().for_each(|name| {
            names.intern(name);
        });
        let (dictionary, sources) = (names.build(), LogSources::new());
        // The decoder takes a block's bytes and gives them back with the next block.
        let mut blocks = self.blocks.clone();
        let mut batch = Batch::default();
        move || {
            let limits = Limits::default();
            let (dictionary, sources) = (&dictionary, &sources);
            let context = Context { dictionary, sources, keep, reference: None, carve: false, limits };
            let mut events = 0;
            for block in &mut blocks {
                let bytes = std::mem::take(&mut block.bytes);
                let lent =
                    Block { bytes, format: block.format.clone(), origin: block.origin.clone(), ..*block };
                decode(&context, &mut decoder, lent, &mut batch);
                events += batch.len() as u64;
                block.bytes = std::mem::take(&mut batch.bytes);
            }
            black_box(events)
        }
    }
}

fn corpus(name: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let shared = std::env::var_os("BESA_SHARED").map_or_else(beside, PathBuf::from);
    Some(shared.join("corpora").join(name)).filter(|path| path.is_dir())
}

/// Sysmon's process creations as NXLog writes them.
fn generated_json(events: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for number in 0..events {
        let minute = number / 60 % 60;
        let second = number % 60;
        let record = serde_json::json!({
            "EventTime": format!("2024-05-01 10:{minute:02}:{second:02}"),
            "UtcTime": format!("2024-05-01 08:{minute:02}:{second:02}.{:03}", number % 1_000),
            "Hostname": format!("ws{:02}.example.org", number % 40),
            "Channel": "Microsoft-Windows-Sysmon/Operational",
            "SourceName": "Microsoft-Windows-Sysmon",
            "EventID": 1,
            "RecordNumber": number,
            "Keywords": -9_223_372_036_854_775_808_i64,
            "Image": format!("C:\\Program Files\\Tool {}\\tool.exe", number % 97),
            "CommandLine": format!("\"C:\\Program Files\\tool.exe\" --in \"C:\\Data\\{number}.csv\" --verbose"),
            "ParentImage": "C:\\Windows\\explorer.exe",
            "User": "EXAMPLE\\alice",
            "Hashes": format!("SHA1={number:040X},MD5={number:032X}"),
            "Message": format!("Process Create:\r\nProcessId: {number}\r\nUser: EXAMPLE\\alice\r\n").repeat(12),
            "tags": ["generated"],
        });
        out.extend_from_slice(record.to_string().as_bytes());
        out.push(b'\n');
    }
    out
}

fn generated_evtx(events: u64) -> Vec<u8> {
    let mut writer = EvtxWriter::new(Cursor::new(Vec::new())).expect("memory can be written");
    for record_id in 1..=events {
        let command = format!("\"C:\\Program Files\\tool.exe\" --in C:\\Data\\{record_id}.csv");
        let named = [
            ("Image", "C:\\Program Files\\tool.exe"),
            ("CommandLine", command.as_str()),
            ("ParentImage", "C:\\Windows\\explorer.exe"),
            ("User", "EXAMPLE\\alice"),
        ];
        let record = EvtxRecord {
            channel: "Microsoft-Windows-Sysmon/Operational",
            provider: "Microsoft-Windows-Sysmon",
            provider_guid: None,
            event_id: 1,
            version: 5,
            level: 4,
            task: 1,
            opcode: 0,
            keywords: 1 << 63,
            record_id,
            filetime: 133_000_000_000_000_000 + record_id,
            computer: "ws01.example.org",
            process_id: 4,
            thread_id: 8,
            user_sid: None,
            data: EventData::Named(&named),
        };
        writer.write(&record).expect("memory can be written");
    }
    writer.finish().expect("memory can be written").into_inner()
}
