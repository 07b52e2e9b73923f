//! How the text formats' tests print events.

use besa_event::{Batch, Dictionary, Keep, LogSources, Origin, ValueKind};

use crate::context::{Context, Limits, Position};

/// Names that rules ask for in every test run.
const WANTED: &[&str] = &[
    "Image",
    "CommandLine",
    "CurrentDirectory",
    "EventID",
    "Channel",
    "Provider_Name",
    "Computer",
    "c-uri",
    "cs-host",
    "cs-uri",
    "cs-uri-query",
    "c-useragent",
    "r-dns",
    "src_ip",
    "dst_ip",
    "dst_port",
    "src_port",
    "action",
    "cfgpath",
];

/// Decodes `input` with `decode` and prints one line an event: record number, time with zone
/// assumption, host, class, then the fields but `_raw`; then the defects. Checks on the way what
/// holds for every text event.
pub(crate) fn printed(
    input: &[u8],
    decode: impl FnOnce(&Context<'_>, Position, &[u8], &mut Batch),
) -> String {
    let mut builder = Dictionary::builder();
    for name in WANTED {
        builder.intern(name);
    }
    let dictionary = builder.build();
    let sources = LogSources::new();
    let context = Context {
        dictionary: &dictionary,
        sources: &sources,
        keep: Keep::Everything,
        reference: Some((2022, 12)),
        carve: true,
        limits: Limits::default(),
    };
    let mut batch = Batch::default();
    batch.reset(Origin::new("t"), 0, Vec::new());
    decode(&context, Position { offset: 0, first_record: 1 }, input, &mut batch);
    batch.bytes = input.to_vec();
    let mut out = String::new();
    for event in batch.events() {
        for field in event.raw_fields() {
            assert_eq!(event.value(field).bytes.len(), field.span.len(), "a span outside of the buffers");
        }
        let class = sources.get(event.logsource());
        let time = event.time().map_or("-".to_owned(), |time| format!("{time} {}", time.zone.name()));
        let parts =
            [class.product.clone().unwrap_or_default(), class.services.join(","), class.categories.join(",")];
        out += &format!("{} {time} host={} {}", event.head().record, event.host(), parts.join("/"));
        let mut raw = false;
        for field in event.fields() {
            let name = event.field_name(&dictionary, field.name);
            assert!(!name.is_empty(), "a field without name in {out}");
            if name == "_raw" {
                assert_eq!(field.value.bytes, event.raw());
                assert!(!event.raw().is_empty());
                raw = true;
                continue;
            }
            let mark = if field.value.kind == ValueKind::Text { "" } else { "#" };
            out += &format!("\n  {name}={mark}{}", field.value.display().escape_debug());
        }
        assert!(raw, "an event without `_raw` in {out}");
        out += "\n";
    }
    for defect in &batch.defects {
        out += &format!("{defect}\n");
    }
    out
}

/// A small generator with a fixed seed (xorshift), so that a failing mutation can be repeated.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % bound.max(1)
    }

    /// Changes a few bytes, cuts, doubles or splices in pieces that formats give meaning to.
    pub(crate) fn mutate(&mut self, bytes: &mut Vec<u8>) {
        const PIECES: &[&[u8]] = &[
            b"\"",
            b"\\",
            b"=",
            b" ",
            b"\n",
            b"\r\n",
            b"\t",
            b"|",
            b",",
            b"[",
            b"]",
            b"\\x",
            b"\x1d",
            b"'",
            b"\0",
            b"#fields\t",
            b"#Fields: ",
            b"msg='",
            b"\xff\xfe",
            b"-",
            b"a0=",
            b"Label=",
            b"<",
            b">",
            b"{",
        ];
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len() + 1);
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => {
                    let end = at + self.below(bytes.len() - at + 1);
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
                2 => {
                    let piece = PIECES[self.below(PIECES.len())];
                    bytes.splice(at..at, piece.iter().copied());
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = u8::try_from(self.below(256)).unwrap_or(0);
                    }
                }
            }
        }
    }
}
