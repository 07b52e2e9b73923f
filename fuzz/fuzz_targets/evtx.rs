//! A sound event log with bytes of the fuzzer's choice written over it: reaches behind the checks
//! of magic numbers that random bytes never pass.
#![no_main]

use std::io::Cursor;
use std::sync::LazyLock;

use besa_evidence::evtx::{EventData, EvtxRecord, EvtxWriter};

static LOG: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut writer = EvtxWriter::new(Cursor::new(Vec::new())).expect("memory can be written");
    for record_id in 1..=20 {
        let named = [("Image", "C:\\Windows\\System32\\cmd.exe"), ("CommandLine", "cmd /c whoami")];
        let data = if record_id % 2 == 0 { EventData::Named(&named) } else { EventData::Unnamed(&["a", "b"]) };
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
            computer: "ws01",
            process_id: 4,
            thread_id: 8,
            user_sid: None,
            data,
        };
        writer.write(&record).expect("memory can be written");
    }
    writer.finish().expect("memory can be written").into_inner()
});

// Each six bytes: where (three), how far it goes (one), what (two).
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut log = LOG.clone();
    for edit in data.chunks_exact(6) {
        let at = usize::from(edit[0]) << 16 | usize::from(edit[1]) << 8 | usize::from(edit[2]);
        let at = at % log.len();
        let end = (at + usize::from(edit[3] % 16)).min(log.len());
        for (place, byte) in log[at..end].iter_mut().zip(edit[4..].iter().cycle()) {
            *place = *byte;
        }
    }
    let _ = besa_evidence::decode_any(&log);
});
