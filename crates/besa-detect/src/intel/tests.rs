//! Cases as data: intelligence as text, events as fields, what has to be met.

use besa_event::observable::ObservableKind;
use besa_event::{Batch, Dictionary, EventTime, Head, LogSource, LogSources, ValueKind};
use proptest::prelude::*;

use super::*;

struct Bench {
    intel: Intel,
    matcher: IntelMatcher,
    dictionary: Dictionary,
    sources: LogSources,
    scratch: IntelScratch,
    refusals: Vec<Refusal>,
}

impl Bench {
    fn new(files: &[&str]) -> Self {
        let mut intel = Intel::default();
        let mut refusals = Vec::new();
        for (number, file) in files.iter().enumerate() {
            refusals.extend(intel.load(&format!("file{number}"), file.as_bytes()).refusals);
        }
        let mut names = Dictionary::builder();
        let (matcher, refused) = IntelMatcher::compile(intel.clone(), &mut names);
        refusals.extend(refused);
        let dictionary = names.build();
        Self {
            intel,
            matcher,
            dictionary,
            sources: LogSources::new(),
            scratch: IntelScratch::default(),
            refusals,
        }
    }

    /// One event; `class` is `channel/event id`, or `product/service/category`.
    fn batch(&self, class: &str, time: &str, raw: &str, fields: &[(&str, &str)]) -> Batch {
        let logsource = match class.rsplit_once('#') {
            Some((channel, id)) => self.sources.windows(channel, "", id),
            None => {
                let parts: Vec<&str> = class.split('/').chain(["", "", ""]).take(3).collect();
                let list = |part: &str| if part.is_empty() { Vec::new() } else { vec![part.to_owned()] };
                self.sources.intern(LogSource {
                    product: list(parts[0]).pop(),
                    services: list(parts[1]),
                    categories: list(parts[2]),
                })
            }
        };
        let mut batch = Batch::default();
        let raw = batch.append(raw.as_bytes());
        for (name, value) in fields {
            let name_span = batch.append(name.as_bytes());
            let id = match self.dictionary.lookup(name.as_bytes()) {
                Some(id) => id,
                None => batch.local_name(name_span),
            };
            // Escaped, as a JSON reader leaves it.
            let value = batch.append_with(|out| besa_event::json_escape(value.as_bytes(), out));
            batch.push_field(id, ValueKind::JsonText, value);
        }
        let head = Head {
            raw,
            time: EventTime::parse_iso(time.as_bytes()),
            record: 1,
            logsource,
            ..Head::default()
        };
        batch.end_event(&self.dictionary, &self.sources, head);
        batch
    }

    /// What the event meets, after the slow twin was asked too.
    fn matches(&mut self, batch: &Batch) -> Vec<IntelMatch> {
        let event = batch.event(0);
        let mut found = Vec::new();
        // Twice: the second time from the memo.
        for _ in 0..2 {
            found.clear();
            self.matcher.matches(event, &self.dictionary, &self.sources, &mut self.scratch, &mut found);
        }
        let slow = reference::matches(&self.intel, event, &self.dictionary, &self.sources);
        let fast: Vec<IntelRef> = found.iter().map(|found| found.what).collect();
        assert_eq!(fast, slow.into_iter().collect::<Vec<_>>(), "fast and slow matcher differ on {batch:?}");
        assert!(found.iter().all(|found| !found.matched.is_empty()));
        found
    }

    fn names(&mut self, batch: &Batch) -> Vec<String> {
        self.matches(batch).iter().map(|found| self.matcher.info(found.what).title).collect()
    }
}

fn check(intel: &str, class: &str, fields: &[(&str, &str)], expected: &[&str]) {
    let mut bench = Bench::new(&[intel]);
    let batch = bench.batch(class, "2022-07-15T10:00:00Z", "", fields);
    assert_eq!(bench.names(&batch), expected, "{intel} {fields:?} {:?}", bench.refusals);
}

fn bundle(patterns: &[(&str, &str)]) -> String {
    let objects: Vec<String> = patterns
        .iter()
        .enumerate()
        .map(|(number, (name, pattern))| {
            serde_json::json!({
                "type": "indicator", "spec_version": "2.1",
                "id": format!("indicator--00000000-0000-4000-8000-{number:012}"),
                "created": "2022-01-01T00:00:00.000Z", "modified": "2022-01-01T00:00:00.000Z",
                "name": name, "pattern": pattern, "pattern_type": "stix", "valid_from": "2022-01-01T00:00:00Z",
            })
            .to_string()
        })
        .collect();
    format!(r#"{{"type":"bundle","id":"bundle--1","objects":[{}]}}"#, objects.join(","))
}

fn check_pattern(pattern: &str, class: &str, fields: &[(&str, &str)], expected: bool) {
    let expected: &[&str] = if expected { &["it"] } else { &[] };
    check(&bundle(&[("it", pattern)]), class, fields, expected);
}

const PROCESS: &str = "Microsoft-Windows-Sysmon/Operational#1";

#[test]
fn values_are_met_where_they_can_stand() {
    let domain = "evil.example";
    check(domain, PROCESS, &[("CommandLine", "curl HTTP://cdn.EVIL.example/x")], &[domain]);
    check(domain, "x", &[("some_field", "a@evil.example")], &[domain]);
    check(domain, "x", &[("some_field", "notevil.example evil.example.org")], &[]);
    check("sub.evil.example", "x", &[("some_field", "evil.example")], &[]);
    check("*.evil.example", "x", &[("QueryName", "evil.example.")], &[domain]);
    check(
        "hxxps://evil[.]example/a?b#c",
        "x",
        &[("m", "GET http://evil.example/a?b HTTP/1.1")],
        &["evil.example/a?b"],
    );
    check("http://evil.example/a", "x", &[("m", "see http://evil.example/a?id=1.")], &["evil.example/a"]);
    check("http://evil.example/a", "x", &[("m", "http://evil.example/A http://evil.example/ab")], &[]);
    check(
        "http://evil.example/a?x=1",
        "zeek/http",
        &[("host", "EVIL.example"), ("uri", "/a?x=1")],
        &["evil.example/a?x=1"],
    );
    check(
        "evil.example/a?x=1",
        "",
        &[("cs-host", "evil.example"), ("cs-uri-stem", "/a"), ("cs-uri-query", "x=1")],
        &["evil.example/a?x=1"],
    );
    check("10.1.2.3", "x", &[("DestinationIp", "::ffff:10.1.2.3")], &["10.1.2.3"]);
    check("10.1.2.3", "x", &[("FileVersion", "10.1.2.3")], &[]);
    check(
        "10.0.0.0/8\n10.1.0.0/16\n10.2.0.0/16",
        "x",
        &[("m", "from 10.1.2.3:80")],
        &["10.0.0.0/8", "10.1.0.0/16"],
    );
    check("2001:db8::/32", "x", &[("m", "to [2001:DB8:1::7]:443")], &["2001:db8::/32"]);
    check(
        "d41d8cd98f00b204e9800998ecf8427e",
        PROCESS,
        &[("Hashes", "SHA1=x,MD5=D41D8CD98F00B204E9800998ECF8427E")],
        &["d41d8cd98f00b204e9800998ecf8427e"],
    );
    check(
        "d41d8cd98f00b204e9800998ecf8427e",
        PROCESS,
        &[("Hashes", "IMPHASH=D41D8CD98F00B204E9800998ECF8427E")],
        &[],
    );
    check(
        "goxml.exe",
        PROCESS,
        &[("Image", r"C:\x\GoXml.EXE"), ("ParentImage", r"C:\x\a.exe")],
        &["goxml.exe"],
    );
    check("goxml.exe", PROCESS, &[("CommandLine", r#"cmd /c "C:\a b\GoXml.exe" -x"#)], &["goxml.exe"]);
    check("goxml.exe", "x", &[("TargetFilename", r"C:\x\goxml.exe.bak")], &[]);
    check(
        r"C:\ProgramData\a.exe",
        "x",
        &[("TargetFilename", r"c:\programdata\A.exe")],
        &["c:/programdata/a.exe"],
    );
    check(r"%ProgramData%\a.exe", "x", &[("Image", r"D:\ProgramData\a.exe")], &["/programdata/a.exe"]);
    check("/tmp/.x/a", "linux", &[("exe", "/tmp/.x/a")], &["/tmp/.x/a"]);
    check("/tmp/.x/a", "linux", &[("exe", "/home/tmp/.x/a")], &[]);
    check(
        r"HKLM\SYSTEM\CurrentControlSet\Services\RawDisk3",
        "x",
        &[("TargetObject", r"HKLM\System\CurrentControlSet\Services\RawDisk3\ImagePath")],
        &[r"hklm\system\currentcontrolset\services\rawdisk3"],
    );
    check(
        r"HKCU\Control Panel\Desktop",
        "x",
        &[("TargetObject", r"HKU\S-1-5-21-1-2-3-500\Control Panel\Desktop\Wallpaper")],
        &[r"hkcu\control panel\desktop"],
    );
    check(
        "type,value\nmutex,Global\\AbC\nnamed pipe,\\\\.\\pipe\\Evil",
        "x",
        &[("MutexName", "AbC"), ("PipeName", r"\evil")],
        &["AbC", "evil"],
    );
    check("type,value\nmutex,AbC", "x", &[("MutexName", "abc"), ("other", "AbC")], &[]);
    check("a.b@evil.example", "x", &[("m", "from=<A.B@evil.example>")], &["a.b@evil.example"]);
}

#[test]
fn raw_text_is_scanned_where_there_are_no_fields() {
    let mut bench = Bench::new(&["evil.example\n10.0.0.1"]);
    let batch = bench.batch("", "", "Jul 15 kernel: DROP SRC=10.0.0.1 (www.evil.example)", &[]);
    let found = bench.matches(&batch);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].matched[0].0, "raw");
}

#[test]
fn an_indicator_is_met_once_and_every_source_speaks() {
    let stix = bundle(&[(
        "two hashes",
        "[file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e' OR file:hashes.'SHA-1' = 'da39a3ee5e6b4b0d3255bfef95601890afd80709']",
    )]);
    let list = "d41d8cd98f00b204e9800998ecf8427e\nD41D8CD98F00B204E9800998ECF8427E\n";
    let mut bench = Bench::new(&[list, &stix, list]);
    let hashes = "MD5=D41D8CD98F00B204E9800998ECF8427E,SHA1=DA39A3EE5E6B4B0D3255BFEF95601890AFD80709";
    let batch = bench.batch(PROCESS, "2021-01-01T00:00:00Z", "", &[("Hashes", hashes), ("Other", hashes)]);
    let found = bench.matches(&batch);
    let origins: Vec<_> = found.iter().map(|found| bench.matcher.info(found.what).origin).collect();
    assert_eq!(origins, ["file0", "file1", "file2"]);
    let matched: Vec<_> =
        found[1].matched.iter().map(|(field, value)| (field.as_str(), value.as_str())).collect();
    assert_eq!(matched, [("Hashes", hashes), ("indicator.valid_from", "2022-01-01T00:00:00Z")]);
    let info = bench.matcher.info(found[1].what);
    assert_eq!(info.intel_ref.as_deref(), Some("indicator--00000000-0000-4000-8000-000000000000"));
    assert_eq!(info.id, info.intel_ref.unwrap());
}

#[test]
fn patterns_are_evaluated_exactly() {
    let command = [
        ("CommandLine", "vssadmin.exe delete shadows /all /quiet"),
        ("Image", r"C:\Windows\System32\vssadmin.exe"),
    ];
    check_pattern(
        "[process:command_line LIKE '%vssadmin%delete shadows%/all%/quiet%']",
        PROCESS,
        &command,
        true,
    );
    check_pattern("[process:command_line LIKE '%VSSADMIN%']", PROCESS, &command, false);
    check_pattern(
        "[process:command_line MATCHES '(?i)VSSADMIN\\\\.exe\\\\s+delete']",
        PROCESS,
        &command,
        true,
    );
    check_pattern("[process:command_line NOT LIKE '%wmic%']", PROCESS, &command, true);
    check_pattern("[process:command_line NOT LIKE '%vssadmin%']", PROCESS, &command, false);
    check_pattern(
        "[process:image_ref.name = 'vssadmin.exe' AND process:image_ref.parent_directory_ref.path = 'C:\\\\Windows\\\\System32']",
        PROCESS,
        &command,
        true,
    );
    check_pattern(
        "[file:name = 'vssadmin.exe' AND file:parent_directory_ref.path = 'C:\\\\Temp']",
        PROCESS,
        &command,
        false,
    );
    check_pattern(
        "[process:parent_ref.image_ref.name = 'w3wp.exe']",
        PROCESS,
        &[("Image", "a"), ("ParentImage", r"C:\x\w3wp.exe")],
        true,
    );
    check_pattern(
        "[process:pid = 420]",
        "Security#4688",
        &[("NewProcessId", "0x1a4"), ("NewProcessName", r"C:\a.exe")],
        true,
    );
    check_pattern("[EXISTS process:parent_ref]", PROCESS, &command, false);
    check_pattern("[process:x_unheard_of = 1]", PROCESS, &command, false);
    let set = "Microsoft-Windows-Sysmon/Operational#13";
    let wallpaper = [
        ("TargetObject", r"HKU\S-1-5-21-1-2-3-500\Control Panel\Desktop\Wallpaper"),
        ("Details", r"C:\a\goxml.jpg"),
    ];
    check_pattern(
        "[windows-registry-key:key = 'HKEY_CURRENT_USER\\\\Control Panel\\\\Desktop' AND windows-registry-key:values[*].name = 'Wallpaper']",
        set,
        &wallpaper,
        true,
    );
    check_pattern(
        "[windows-registry-key:key LIKE 'HKEY_USERS\\\\S-1-5-21-%\\\\Control Panel\\\\Desktop' AND windows-registry-key:values[0].data LIKE '%goxml%']",
        set,
        &wallpaper,
        true,
    );
    check_pattern("[windows-registry-key:values[1].name = 'Wallpaper']", set, &wallpaper, false);
    check_pattern(
        "[process:extensions.'windows-service-ext'.service_name = 'RawDisk3']",
        "System#7045",
        &[("ServiceName", "RawDisk3"), ("ImagePath", r"C:\x\rwdsk.sys")],
        true,
    );
    let connection = [
        ("SourceIp", "10.0.0.5"),
        ("DestinationIp", "144.76.6.34"),
        ("DestinationPort", "443"),
        ("Protocol", "TCP"),
    ];
    let network = "Microsoft-Windows-Sysmon/Operational#3";
    check_pattern(
        "[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '144.76.6.34' AND network-traffic:dst_port = 443]",
        network,
        &connection,
        true,
    );
    check_pattern(
        "[network-traffic:dst_ref.value = '144.76.6.34' AND network-traffic:src_ref.value = '144.76.6.34']",
        network,
        &connection,
        false,
    );
    check_pattern(
        "[network-traffic:protocols[*] = 'tcp' AND network-traffic:dst_ref.value ISSUBSET '144.76.0.0/16']",
        network,
        &connection,
        true,
    );
    check_pattern("[ipv4-addr:value ISSUBSET '144.76.0.0/16']", network, &connection, true);
    check_pattern(
        "[domain-name:value = 'a.example' AND domain-name:resolves_to_refs[*].value = '10.0.0.9']",
        "Microsoft-Windows-Sysmon/Operational#22",
        &[("QueryName", "a.example"), ("QueryResults", "type:  5 b.example;::ffff:10.0.0.9;")],
        true,
    );
    check_pattern("[url:value LIKE 'http://%/a.php%']", "", &[("url", "http://x.example/a.php?1")], true);
    check_pattern("[user-account:account_login = 'eve']", PROCESS, &[("User", r"CORP\eve")], true);
    check_pattern(
        "[process:command_line LIKE '%New-MailboxSearch%']",
        "Microsoft-Windows-PowerShell/Operational#4104",
        &[("ScriptBlockText", "New-MailboxSearch -Name a")],
        true,
    );
    let started = "[process:image_ref.name = 'vssadmin.exe'] START t'2022-07-15T10:00:00Z' STOP t'2022-07-15T10:00:01Z'";
    check_pattern(started, PROCESS, &command, true);
    check_pattern(
        "[process:image_ref.name = 'vssadmin.exe'] START t'2022-07-15T10:00:01Z' STOP t'2023-01-01T00:00:00Z'",
        PROCESS,
        &command,
        false,
    );
    // The Kelvin sign is `K` in NFC, which LIKE looks at.
    check_pattern("[process:command_line LIKE '%Kill%']", PROCESS, &[("CommandLine", "\u{212a}ill")], true);
}

#[test]
fn parts_of_a_pattern_are_brought_together() {
    let pattern = "([process:image_ref.name = 'a.exe'] FOLLOWEDBY [process:image_ref.name = 'b.exe']) WITHIN 10 SECONDS";
    let mut bench = Bench::new(&[&bundle(&[("chain", pattern)])]);
    let batch = bench.batch(PROCESS, "2022-07-15T10:00:00Z", "", &[("Image", r"C:\b.exe")]);
    let found = bench.matches(&batch);
    assert_eq!(found[0].what, IntelRef::PatternPart { pattern: 0, part: 1 });
    assert!(bench.matcher.needs_several(0));
    let run = |hits: &[(u16, i64)]| {
        let mut state = bench.matcher.state(0).unwrap();
        let mut out = Vec::new();
        for (id, (part, second)) in (0..).zip(hits) {
            state.push(PartHit { part: *part, time: second * 1_000_000_000, id }, &mut out);
        }
        state.finish(&mut out);
        (out.into_iter().map(|binding| binding.parts).collect::<Vec<_>>(), state.dropped())
    };
    assert_eq!(run(&[(0, 0), (1, 9)]), (vec![vec![(0, 0), (1, 1)]], 0));
    assert_eq!(run(&[(0, 0), (1, 10)]), (vec![], 0));
    assert_eq!(run(&[(1, 0), (0, 5), (1, 50), (0, 100), (1, 101)]).0, [[(0, 3), (1, 4)]]);
    assert_eq!(run(&[(0, 0), (0, 1), (1, 2), (1, 3)]).0.len(), 2);
    // Far more than a buffer holds, and still nothing is lost: the window lets go of the old.
    let many: Vec<(u16, i64)> = (0..5_000).map(|at| (u16::from(at % 20 == 1), at * 5)).collect();
    let (bindings, dropped) = run(&many);
    assert_eq!((bindings.len(), dropped), (250, 0));
}

#[test]
fn a_full_buffer_is_counted() {
    let mut bench = Bench::new(&[&bundle(&[("pair", "[process:pid = 1] AND [process:pid = 2]")])]);
    let batch = bench.batch(PROCESS, "", "", &[("ProcessId", "1")]);
    assert_eq!(bench.matches(&batch).len(), 1);
    let mut state = bench.matcher.state(0).unwrap();
    let mut out = Vec::new();
    for id in 0..3_000 {
        state.push(PartHit { part: 0, time: 0, id }, &mut out);
    }
    assert!(out.is_empty() && state.dropped() >= 3_000 - PARTS_MAX as u64);
    state.push(PartHit { part: 1, time: 1, id: 9_999 }, &mut out);
    state.finish(&mut out);
    assert_eq!(out.len(), 1);
}

fn check_load(text: &str, format: Format, values: usize, reasons: &[&str]) {
    let mut intel = Intel::default();
    let loaded = intel.load("f", text.as_bytes());
    let refusals: Vec<String> = loaded.refusals.iter().map(ToString::to_string).collect();
    assert_eq!(
        (loaded.format, loaded.values, loaded.refused),
        (format, values, reasons.len()),
        "{text} {refusals:?}"
    );
    for (refusal, reason) in refusals.iter().zip(reasons) {
        assert!(refusal.contains(reason), "`{refusal}` lacks `{reason}`");
    }
}

#[test]
fn lists_and_columns() {
    check_load(
        "# c\n\n1.2.3.4 # bad\n evil[.]example \n0.0.0.0 ads.example\nnonsense\n",
        Format::List,
        3,
        &["f:6: `nonsense`"],
    );
    check_load(
        "da39a3ee5e6b4b0d3255bfef95601890afd80709  a.exe\n1.2.3.4:80\nhttp://a.example/x,y\nevil file.exe\n",
        Format::List,
        4,
        &[],
    );
    check_load(
        "indicator,type\nevil.example,domain\n1.2.3.4,IPv4\nx,yara\n\"a\"\"b\",mutex\n",
        Format::Csv,
        3,
        &["f:4: values of type `yara`"],
    );
    check_load(
        "uuid,event_id,category,type,value,comment,to_ids,date\nu,1,N,ip-dst|port,1.2.3.4|80,\"a\nb\",1,2\nu,1,N,domain,evil.example,,0,2\n",
        Format::Csv,
        1,
        &["f:4: it is not marked"],
    );
    check_load(
        "# id,dateadded,url,tags\n\"1\",\"2024-01-01\",\"http://evil.example/a,b\",\"x\"\n",
        Format::Csv,
        1,
        &[],
    );
    check_load("first;second\n1;evil.example\n2;bad.example\n", Format::Csv, 2, &["f:1:"]);
    check_load("ioc\nhttp://evil.example/a,b\n", Format::Csv, 1, &[]);
    check_load(
        "md5,sha256,note\nd41d8cd98f00b204e9800998ecf8427e,,x\n,,\n",
        Format::Csv,
        1,
        &["f:3: its value columns are empty"],
    );
    check_load("\u{feff}1.2.3.4\r\n", Format::List, 1, &[]);
    let mut intel = Intel::default();
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("evil.example".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert_eq!(intel.load("f", &utf16).values, 1);
    let loaded = intel.load("f", b"1.2.3.4\n\xff\xfe\xff.example\nevil.example\n");
    assert_eq!((loaded.values, loaded.refused), (2, 1));
}

#[test]
fn misp() {
    let attribute = |kind: &str, value: &str, flag: &str| {
        format!(
            r#"{{"uuid":"a-{kind}","type":"{kind}","value":{},"to_ids":{flag}}}"#,
            serde_json::json!(value)
        )
    };
    let attributes = [
        attribute("ip-dst|port", "1.2.3.4|443", "true"),
        attribute("domain|ip", "evil.example|5.6.7.8", "\"1\""),
        attribute("filename|md5", "a.exe|d41d8cd98f00b204e9800998ecf8427e", "true"),
        attribute("regkey|value", r"HKLM\Software\X|y", "true"),
        attribute("comment", "words", "false"),
        attribute("yara", "rule x {}", "true"),
        attribute("md5", "short", "true"),
        r#"{"type":7}"#.to_owned(),
        r#"{"type":"domain","value":"gone.example","to_ids":true,"deleted":true}"#.to_owned(),
    ];
    let event = format!(
        r#"{{"Event":{{"uuid":"e-1","info":"Campaign","threat_level_id":"1","Orgc":{{"name":"CERT"}},"Tag":[{{"name":"tlp:clear"}},{{"name":"misp-galaxy:mitre-attack-pattern=\"Data Destruction - T1485\""}}],"Attribute":[{}],"Object":[{{"Attribute":[{}]}}]}}}}"#,
        attributes.join(","),
        attribute("mutex", "AbC", "1"),
    );
    let reasons = ["e-1 attribute 8", "type `yara`", "`short` is no md5", "1 attributes are not marked"];
    check_load(&event, Format::Misp, 6, &reasons);
    let twice =
        [reasons[0], reasons[0], reasons[1], reasons[2], reasons[3], reasons[1], reasons[2], reasons[3]];
    check_load(&format!(r#"{{"response":[{event},{event}]}}"#), Format::Misp, 12, &twice);
    check_load(
        r#"{"response":{"Attribute":[{"type":"domain","value":"evil.example"}]}}"#,
        Format::Misp,
        1,
        &[],
    );

    let mut bench = Bench::new(&[&event]);
    let batch = bench.batch("x", "", "", &[("m", "to www.evil.example")]);
    let found = bench.matches(&batch);
    let info = bench.matcher.info(found[0].what);
    assert_eq!(
        (info.title.as_str(), info.author.as_str(), info.id.as_str()),
        ("Campaign", "CERT", "evil.example")
    );
    assert_eq!(info.level, besa_sigma::Level::High);
    assert_eq!(info.tags, ["tlp:clear", "attack.t1485"]);
    assert_eq!(info.intel_ref.as_deref(), Some("e-1"));
}

#[test]
fn stix() {
    let indicator = |id: u32, extra: &str| {
        format!(
            r#"{{"type":"indicator","spec_version":"2.1","id":"indicator--00000000-0000-4000-8000-{id:012}","created":"2022-01-01T00:00:00.000Z","created_by_ref":"identity--00000000-0000-4000-8000-000000000001","valid_from":"2022-01-01T00:00:00Z",{extra}}}"#
        )
    };
    let domain = |name: &str| format!(r#""pattern_type":"stix","pattern":"[domain-name:value = '{name}']""#);
    let objects = [
        r#"{"type":"identity","spec_version":"2.1","id":"identity--00000000-0000-4000-8000-000000000001","created":"2022-01-01T00:00:00.000Z","modified":"2022-01-01T00:00:00.000Z","name":"CERT"}"#.to_owned(),
        r#"{"type":"domain-name","id":"domain-name--00000000-0000-4000-8000-000000000001","value":"harmless.example"}"#.to_owned(),
        r#"{"type":"attack-pattern","spec_version":"2.1","id":"attack-pattern--00000000-0000-4000-8000-000000000001","created":"2022-01-01T00:00:00.000Z","modified":"2022-01-01T00:00:00.000Z","name":"x","external_references":[{"source_name":"mitre-attack","external_id":"T1485"}]}"#.to_owned(),
        r#"{"type":"relationship","spec_version":"2.1","id":"relationship--00000000-0000-4000-8000-000000000001","created":"2022-01-01T00:00:00.000Z","modified":"2022-01-01T00:00:00.000Z","relationship_type":"indicates","source_ref":"indicator--00000000-0000-4000-8000-000000000001","target_ref":"attack-pattern--00000000-0000-4000-8000-000000000001"}"#.to_owned(),
        indicator(1, &format!(r#""modified":"2022-01-01T00:00:00.000Z",{}"#, domain("old.example"))),
        indicator(1, &format!(r#""modified":"2022-02-01T00:00:00.000Z","confidence":90,"name":"new",{}"#, domain("new.example"))),
        indicator(2, &format!(r#""modified":"2022-01-01T00:00:00.000Z","revoked":true,{}"#, domain("revoked.example"))),
        indicator(3, r#""modified":"2022-01-01T00:00:00.000Z","pattern_type":"yara","pattern":"rule x {}""#),
        indicator(4, r#""modified":"2022-01-01T00:00:00.000Z","pattern_type":"sigma","pattern":"title: x""#),
        indicator(5, r#""modified":"2022-01-01T00:00:00.000Z","pattern_type":"stix","pattern":"[file:name = ""#),
        indicator(6, r#""modified":"2022-01-01T00:00:00.000Z","pattern_type":"stix","pattern":"[artifact:mime_type = 'x']""#),
    ];
    let text = format!(r#"{{"type":"bundle","id":"bundle--1","objects":[{}]}}"#, objects.join(","));
    check_load(
        &text,
        Format::Stix,
        1,
        &["it is revoked", "`yara`", "indicator--00000000-0000-4000-8000-000000000005"],
    );
    let mut bench = Bench::new(&[&text]);
    assert_eq!(bench.intel.sigma[0].text, "title: x");
    assert!(
        bench
            .refusals
            .iter()
            .any(|refusal| refusal.reason.contains("no log source yields `artifact:mime_type`"))
    );
    let batch = bench.batch(
        "x",
        "2022-07-01T00:00:00Z",
        "",
        &[("m", "harmless.example old.example new.example revoked.example")],
    );
    let found = bench.matches(&batch);
    assert_eq!(found.len(), 1);
    let info = bench.matcher.info(found[0].what);
    assert_eq!(
        (info.title.as_str(), info.author.as_str(), info.level),
        ("new", "CERT", besa_sigma::Level::High)
    );
    assert_eq!(info.tags, ["attack.t1485"]);
}

#[test]
fn hostile_lists_are_read_in_bounded_time() {
    let mut intel = Intel::default();
    let lines: String = (0..200_000).map(|n| format!("junk {n}\n")).collect();
    let loaded = intel.load("f", lines.as_bytes());
    assert_eq!((loaded.values, loaded.refused, loaded.refusals.len()), (0, 200_000, 1_000));
    let same = "evil.example\n".repeat(100_000);
    assert_eq!(intel.load("f", same.as_bytes()).values, 100_000);
    let cell = format!("type,value\ndomain,\"{}\n", "x".repeat(1 << 20));
    assert_eq!(intel.load("f", cell.as_bytes()).refused, 1);
    let quotes = format!("type,value\n{}domain,evil.example\n", "domain,\"x\n".repeat(50_000));
    assert_eq!(intel.load("f", quotes.as_bytes()).values, 1);
    for bad in ["{", "[", "{}", "[1,2]", "{\"Event\":7}", "{\"response\":[[[[[[[]]]]]]]}", "\u{0}\u{0}"] {
        assert_eq!(intel.load("f", bad.as_bytes()).values, 0, "{bad}");
    }
    let nested = format!("{{\"response\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(intel.load("f", nested.as_bytes()).values, 0);
    let (matcher, _) = IntelMatcher::compile(intel, &mut Dictionary::builder());
    assert_eq!(matcher.values(), 100_001);
}

#[test]
fn the_replay_bundle_loads_whole() {
    let shared = std::env::var("BESA_SHARED")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").into());
    let path = format!("{shared}/scenario/homeland_justice_replay_bundle.json");
    let Ok(bytes) = std::fs::read(&path) else {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: no foreign vectors at {path}");
        }
        return;
    };
    let mut intel = Intel::default();
    let loaded = intel.load("bundle", &bytes);
    assert_eq!((loaded.refusals.as_slice(), loaded.values, loaded.patterns), (&[][..], 44, 6));
    let (_, refused) = IntelMatcher::compile(intel, &mut Dictionary::builder());
    assert_eq!(refused, []);
}

/// Whatever a pattern of plain values matches by the standard is among what its indicators meet.
#[test]
fn indicators_meet_at_least_what_their_patterns_match() {
    let patterns = [
        "[file:name = 'a.exe']",
        "[file:name IN ('a.exe', 'b c.exe')]",
        "[domain-name:value = 'www.evil.example']",
        "[url:value = 'http://evil.example/a']",
        "[ipv4-addr:value = '10.0.0.1']",
        "[ipv4-addr:value ISSUBSET '10.0.0.0/8']",
        "[ipv6-addr:value = '2001:db8::1']",
        "[email-addr:value = 'a@evil.example']",
        "[mutex:name = 'Global\\\\AbC']",
        "[windows-registry-key:key = 'HKEY_LOCAL_MACHINE\\\\Software\\\\X']",
        "[file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e']",
    ];
    let values = [
        "a.exe",
        r"C:\a.exe",
        r#""C:\x\b c.exe" -k"#,
        "www.evil.example",
        "http://evil.example/a",
        "10.0.0.1",
        "::ffff:10.0.0.1",
        "fe80::1;10.0.0.1;2001:db8::1",
        "2001:DB8:0::1",
        "<a@evil.example>",
        r"Global\AbC",
        r"HKLM\Software\X",
        r"HKLM\Software\X\y",
        "MD5=D41D8CD98F00B204E9800998ECF8427E",
        "d41d8cd98f00b204e9800998ecf8427e",
    ];
    let mut bench = Bench::new(&[&bundle(&patterns.map(|pattern| (pattern, pattern)))]);
    assert_eq!((bench.intel.patterns(), bench.refusals.as_slice()), (0, &[][..]));
    // The names are interned already, so this changes nothing in the bench's dictionary.
    let observer = bench.matcher.observer().clone();
    let mut met = 0;
    for field in mapping::fields() {
        for value in values {
            for class in [
                PROCESS,
                "Microsoft-Windows-Sysmon/Operational#7",
                "Microsoft-Windows-Sysmon/Operational#11",
                "Microsoft-Windows-Sysmon/Operational#13",
                "Microsoft-Windows-Sysmon/Operational#12",
                "x",
            ] {
                let batch = bench.batch(class, "2022-07-15T10:00:00Z", "", &[(field, value)]);
                let names = bench.names(&batch);
                let held = keys_of(&observer, batch.event(0));
                let event = batch.event(0);
                let objects = mapping::objects_of(&bench.sources.get(event.logsource()));
                let graph = graph::EventGraph { event, dictionary: &bench.dictionary, objects: &objects };
                for pattern in patterns {
                    let parsed = besa_stix::pattern::Pattern::parse(pattern).unwrap();
                    let expr = parsed.comparison_exprs()[0];
                    let leaf = besa_stix::pattern::CompiledComparison::new(expr).unwrap();
                    if leaf.matches(&graph).unwrap() {
                        met += 1;
                        let needed = simple::required(expr).unwrap();
                        assert!(needed.iter().any(|key| holds(&held, key)), "{pattern} {field} {value}");
                        assert!(
                            names.iter().any(|name| name == pattern),
                            "{pattern} {class} {field} {value} {names:?}"
                        );
                    }
                }
            }
        }
    }
    assert!(met > 100, "{met}");
}

/// Every key that an index holds for an event.
fn keys_of(observer: &Observer, event: besa_event::Event<'_>) -> Vec<(ObservableKind, Vec<u8>)> {
    let mut keys = Vec::new();
    let mut scratch = ObserverScratch::default();
    observer.keys(event, &mut scratch, &mut |kind, key| keys.push((kind, key.to_vec())));
    keys
}

/// Whether a key, or for a network an address in it, is among them.
fn holds(held: &[(ObservableKind, Vec<u8>)], (kind, key): &(ObservableKind, Vec<u8>)) -> bool {
    held.iter().any(|(of, bytes)| reference::meets(*kind, key, *of, bytes))
}

#[test]
fn what_patterns_need_of_an_event() {
    let needs = |pattern: &str| {
        let bench = Bench::new(&[&bundle(&[("it", pattern)])]);
        let needs: Vec<PatternNeed> = bench.matcher.pattern_needs().collect();
        let shown = needs.into_iter().map(|need| {
            let keys =
                need.any_of?.into_iter().map(|(kind, key)| besa_event::observable::display(kind, &key));
            Some(keys.collect::<Vec<_>>())
        });
        shown.collect::<Vec<_>>()
    };
    let some = |keys: &[&str]| Some(keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>());
    assert_eq!(needs("[domain-name:value = 'evil.example']"), []);
    assert_eq!(needs("[process:command_line LIKE '%evil%']"), [None]);
    assert_eq!(
        needs("[file:name IN ('A.exe', 'b.exe') AND file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e']"),
        [some(&["d41d8cd98f00b204e9800998ecf8427e"])]
    );
    assert_eq!(
        needs(
            "[file:name = 'A.exe' AND process:pid > 4] FOLLOWEDBY [file:name = 'b.exe' OR process:pid = 4]"
        ),
        [some(&["a.exe"]), None]
    );
    assert_eq!(
        needs("[ipv4-addr:value ISSUBSET '10.0.0.0/8'] AND [file:name != 'b.exe']"),
        [some(&["10.0.0.0/8"]), None]
    );
}

#[test]
fn indicators_are_listed_as_they_are_reported() {
    let stix = bundle(&[("two", "[file:name = 'a.exe' OR domain-name:value = 'evil.example']")]);
    let bench = Bench::new(&["evil.example\nEVIL.example\n10.0.0.0/8\n", &stix]);
    let listed: Vec<_> = bench
        .matcher
        .indicators()
        .map(|value| (value.what, value.kind, besa_event::observable::display(value.kind, value.bytes)))
        .collect();
    let entry = |number, kind, text: &str| (IntelRef::Indicator(number), kind, text.to_owned());
    use ObservableKind::{Domain, FileName, Network};
    assert_eq!(
        listed,
        [
            entry(0, Domain, "evil.example"),
            entry(2, Network, "10.0.0.0/8"),
            entry(3, FileName, "a.exe"),
            entry(3, Domain, "evil.example"),
        ]
    );
}

fn some<T: Clone + std::fmt::Debug + 'static>(from: &'static [T]) -> impl Strategy<Value = T> {
    proptest::sample::select(from)
}

const PATHS: &[&str] = &[
    "process:command_line",
    "process:image_ref.name",
    "process:parent_ref.command_line",
    "file:name",
    "file:parent_directory_ref.path",
    "file:hashes.MD5",
    "network-traffic:dst_ref.value",
    "network-traffic:protocols[*]",
    "domain-name:value",
    "url:value",
    "windows-registry-key:key",
    "windows-registry-key:values[*].data",
    "user-account:account_login",
];
const OPERATIONS: &[&str] = &[
    "= 'cmd.exe'",
    "!= 'cmd.exe'",
    "NOT = 'cmd.exe'",
    "LIKE '%evil%'",
    "LIKE 'HKEY_LOCAL_MACHINE%Run_'",
    "MATCHES 'cmd\\\\.(exe|com)'",
    "MATCHES '(?i)EVIL[.]example'",
    "IN ('10.0.0.1', 'evil.example')",
    "NOT IN ('tcp')",
    "ISSUBSET '10.0.0.0/8'",
    "> 'd'",
    "= 'HKEY_LOCAL_MACHINE\\\\Software\\\\Run1'",
    "= 'Évil'",
];
const NAMES: &[&str] = &[
    "Image",
    "CommandLine",
    "ParentCommandLine",
    "ParentImage",
    "TargetFilename",
    "Hashes",
    "DestinationIp",
    "Protocol",
    "QueryName",
    "url",
    "TargetObject",
    "Details",
    "User",
    "unlisted",
    "Data",
    "ScriptBlockText",
    "host",
    "uri",
    "answers",
];
const VALUES: &[&str] = &[
    r"C:\Windows\cmd.exe",
    "cmd.exe /c evil",
    "10.0.0.1",
    "EVIL.example",
    "http://evil.example/a?b",
    r"HKLM\Software\Run1\x",
    r"HKU\S-1-5-21-1-2-3-4\Software\Run1\x",
    "tcp",
    "evil.example",
    "MD5=d41d8cd98f00b204e9800998ecf8427e",
    "Évil",
    "E\u{301}vil",
    "",
    "-",
    "evil.example.; 10.0.0.7 -x \"y\"",
    "/a?b",
    r"CORP\cmd.exe",
];
const LIST: &str = "evil.example\n10.0.0.0/8\n10.0.0.1\nhttp://evil.example/a\ncmd.exe\nC:\\Windows\\cmd.exe\nHKLM\\Software\\Run1\nevil.example\nd41d8cd98f00b204e9800998ecf8427e\n";
const CLASSES: &[&str] = &[
    PROCESS,
    "Microsoft-Windows-Sysmon/Operational#3",
    "Microsoft-Windows-Sysmon/Operational#11",
    "Microsoft-Windows-Sysmon/Operational#13",
    "zeek/http",
    "",
];

/// Two users in one event are two accounts: no account has both names.
#[test]
fn comparisons_joined_by_and_are_about_one_object() {
    let class = "Microsoft-Windows-Sysmon/Operational#1";
    let other = "[user-account:account_login != 'a' AND user-account:account_login = 'a']";
    let same = "[user-account:account_login != 'b' AND user-account:account_login = 'a']";
    let intel = bundle(&[("other", other), ("same", same)]);
    check(&intel, class, &[("User", r"CORP\a"), ("User", r"CORP\c")], &["same"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// The fast matcher equals the slow twin (`Bench::matches` compares them).
    #[test]
    fn fast_equals_slow(
        tests in prop::collection::vec((some(PATHS), some(OPERATIONS), some(&["AND", "OR"]), some(PATHS), some(OPERATIONS)), 1..8),
        events in prop::collection::vec((some(CLASSES), prop::collection::vec((some(NAMES), some(VALUES)), 0..6)), 1..6),
    ) {
        let patterns: Vec<String> = tests
            .iter()
            .map(|(path, operation, join, other, second)| format!("[{path} {operation} {join} {other} {second}]"))
            .collect();
        let named: Vec<(&str, &str)> = patterns.iter().map(|pattern| (pattern.as_str(), pattern.as_str())).collect();
        let mut bench = Bench::new(&[&bundle(&named), LIST]);
        for (class, fields) in &events {
            let batch = bench.batch(class, "2022-07-15T10:00:00Z", "evil.example", fields);
            bench.matches(&batch);
        }
    }

    /// No bytes make loading panic.
    #[test]
    fn any_bytes_load(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[\\[\\]{}\",:;#a-z0-9./\\\\|\n-]{0,200}") {
        let mut intel = Intel::default();
        intel.load("f", &bytes);
        intel.load("f", text.as_bytes());
        let (matcher, _) = IntelMatcher::compile(intel, &mut Dictionary::builder());
        prop_assert!(matcher.resident_bytes() > 0);
    }
}
