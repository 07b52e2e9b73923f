//! auditd records (`/var/log/audit/audit.log`), one event a record line.
//!
//! ```text
//! node=web1 type=SYSCALL msg=audit(1364481363.243:24287): arch=c000003e syscall=2 … exe="/bin/cat" key="sshd"␝ARCH=x86_64 SYSCALL=open AUID="unset"
//! ```
//! The format is that of `auparse(3)` and of the audit project's message dictionary: values in
//! double quotes are text; where the text holds odd bytes the value stands unquoted as
//! hexadecimal digits, and only the field's name tells. `msg='…'` of user-space records holds
//! further fields. Behind byte 0x1d stand the names that the daemon looked up itself
//! (`log_format = ENRICHED`).
//!
//! Beyond the record's own fields:
//! - `audit_serial`: records of one serial are one action;
//! - `SYSCALL` by name where the record has but the number (x86-64 and aarch64);
//! - `saddr_fam`, `laddr`, `lport`, `path` of an undecoded `saddr`;
//! - a `SYSCALL` record of an exec is of category `process_creation` too, with `CommandLine` and
//!   `CurrentDirectory` from the `EXECVE` and `CWD` records of its serial that follow. A group
//!   that is split by a block's end loses these two; the records themselves are whole.

use std::net::Ipv6Addr;

use besa_event::{Batch, EventTime, LogSourceId};
use memchr::{memchr, memchr2, memrchr};

use crate::context::{Context, Position};
use crate::text::{
    Class, Learnt, Lines, Sink, hex_decode, hex_digit, is_digits, most_lines, names, split_at_byte,
};

mod syscalls;

const CLASS: Class = Class { product: "linux", services: &["auditd"], categories: &[] };
const EXEC_CLASS: Class =
    Class { product: "linux", services: &["auditd"], categories: &["process_creation"] };

/// How far behind a `SYSCALL` record its companions are looked for; a longer group has hundreds
/// of `PATH` records, which come last.
const COMPANIONS_MAX: usize = 8;

/// Fields whose unquoted values are hexadecimal text (audit's field dictionary, "encoded").
const ENCODED: &[&[u8]] = &[
    b"acct",
    b"cmd",
    b"comm",
    b"cwd",
    b"data",
    b"dir",
    b"exe",
    b"file",
    b"grp",
    b"key",
    b"name",
    b"new-disk",
    b"ocomm",
    b"old-disk",
    b"path",
    b"proctitle",
    b"sw",
    b"vm",
    b"watch",
];

/// Kernel record types that are seen as numbers, in kernel logs (`linux/audit.h`).
const TYPES: &[(&[u8], &str)] = &[
    (b"1100", "USER_AUTH"),
    (b"1101", "USER_ACCT"),
    (b"1105", "USER_START"),
    (b"1106", "USER_END"),
    (b"1112", "USER_LOGIN"),
    (b"1130", "SERVICE_START"),
    (b"1131", "SERVICE_STOP"),
    (b"1300", "SYSCALL"),
    (b"1302", "PATH"),
    (b"1305", "CONFIG_CHANGE"),
    (b"1306", "SOCKADDR"),
    (b"1307", "CWD"),
    (b"1309", "EXECVE"),
    (b"1325", "NETFILTER_CFG"),
    (b"1326", "SECCOMP"),
    (b"1327", "PROCTITLE"),
    (b"1400", "AVC"),
    (b"1701", "ANOM_ABEND"),
];

names! {
    kind = "type",
    node = "node",
    serial = "audit_serial",
    syscall = "SYSCALL",
    seresult = "seresult",
    seperms = "seperms",
    family = "saddr_fam",
    laddr = "laddr",
    lport = "lport",
    path = "path",
    command_line = "CommandLine",
    current_directory = "CurrentDirectory",
}

/// Whether most lines are audit records.
pub(crate) fn recognise(sample: &[u8]) -> bool {
    Lines::new(sample, 1).any(|(_, line)| shape(line).is_some())
        && most_lines(sample, |line| shape(line).is_some() || is_divider(line))
}

/// Decodes whole lines.
pub(crate) fn decode(context: &Context<'_>, position: Position, bytes: &[u8], batch: &mut Batch) {
    let mut sink = Sink::new(context, bytes, batch);
    let decoder = Decoder::new(&mut sink);
    let mut lines = Lines::new(bytes, position.first_record);
    while let Some((number, line)) = lines.next() {
        if is_divider(line) {
            continue;
        }
        let mut learnt = Learnt { class: decoder.class, ..Learnt::default() };
        if let Some(record) = shape(line) {
            learnt = decoder.record(&mut sink, &record);
            if learnt.class == decoder.exec_class {
                decoder.companions(&mut sink, &record, lines.clone());
            }
        } else {
            sink.defect(number, "not an audit record (torn line)".to_owned());
        }
        sink.end(number, line, &learnt);
    }
}

/// Reads audit records, also for readers of logs that carry them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoder {
    names: Names,
    class: LogSourceId,
    exec_class: LogSourceId,
}

/// An audit record's outer parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    node: &'a [u8],
    kind: &'a [u8],
    /// Seconds since 1970 with milliseconds.
    seconds: &'a [u8],
    serial: &'a [u8],
    body: &'a [u8],
}

/// What `ausearch` writes between records: `----` and `time->Thu Mar 28 14:36:03 2013`.
fn is_divider(line: &[u8]) -> bool {
    line == b"----" || line.starts_with(b"time->")
}

/// Splits `[node=N ]type=T [msg=]audit(SECONDS:SERIAL): BODY`.
pub(crate) fn shape(line: &[u8]) -> Option<Record<'_>> {
    let line = line.trim_ascii_start();
    let (node, line) = match line.strip_prefix(b"node=") {
        Some(rest) => split_at_byte(rest, b' ')?,
        None => (&b""[..], line),
    };
    let (kind, rest) = split_at_byte(line.strip_prefix(b"type=")?, b' ')?;
    let rest = rest.strip_prefix(b"msg=").unwrap_or(rest).strip_prefix(b"audit(")?;
    let (stamp, body) = split_at_byte(rest, b')')?;
    let (seconds, serial) = split_at_byte(stamp, b':')?;
    if !is_digits(serial) || kind.is_empty() {
        return None;
    }
    Some(Record { node, kind, seconds, serial, body: body.strip_prefix(b":").unwrap_or(body) })
}

/// Splits what journald makes of a record: `SERVICE_START pid=1 uid=0 …`.
pub(crate) fn journal_shape(message: &[u8]) -> Option<Record<'_>> {
    let (kind, body) = split_at_byte(message, b' ')?;
    let fits =
        kind.len() >= 3 && kind.iter().all(|b| b.is_ascii_uppercase() || *b == b'_' || b.is_ascii_digit());
    fits.then_some(Record { node: b"", kind, seconds: b"", serial: b"", body })
}

impl Decoder {
    pub(crate) fn new(sink: &mut Sink<'_>) -> Self {
        Self {
            names: Names::new(sink),
            class: CLASS.intern(sink.context),
            exec_class: EXEC_CLASS.intern(sink.context),
        }
    }

    /// Adds a record's fields.
    pub(crate) fn record<'r>(&self, sink: &mut Sink<'_>, record: &Record<'r>) -> Learnt<'r> {
        sink.push(self.names.kind, record.kind);
        if let Some((_, name)) = TYPES.iter().find(|(number, _)| *number == record.kind) {
            sink.push(self.names.kind, name.as_bytes());
        }
        if !record.node.is_empty() {
            sink.push(self.names.node, record.node);
        }
        if !record.serial.is_empty() {
            sink.push_number(self.names.serial, record.serial);
        }
        let exec = self.body(sink, record);
        Learnt {
            time: EventTime::parse_unix(record.seconds),
            host: record.node,
            class: if exec { self.exec_class } else { self.class },
        }
    }

    /// Adds the fields of a record's body; tells whether it is a system call that ran a program.
    fn body(&self, sink: &mut Sink<'_>, record: &Record<'_>) -> bool {
        let execve = matches!(record.kind, b"EXECVE" | b"1309");
        let (mut arch, mut exec, mut failed) = (&b""[..], false, false);
        let enriched = memchr(0x1d, record.body).is_some();
        let mut rest = record.body;
        self.permissions(sink, record.body);
        while let Some(pair) = next_pair(&mut rest) {
            match pair.key {
                b"arch" => arch = pair.value,
                b"success" => failed = pair.value == b"no",
                b"syscall" => {
                    let name = syscalls::name(arch, pair.value).unwrap_or_default();
                    exec |= name.starts_with("execve");
                    // Enriched records bring the name themselves.
                    if !enriched && !name.is_empty() {
                        sink.push(self.names.syscall, name.as_bytes());
                    }
                }
                _ => {}
            }
            exec |= pair.key == b"SYSCALL" && pair.value.starts_with(b"execve");
            self.pair(sink, &pair, execve);
            if pair.key == b"saddr" && !enriched {
                self.socket_address(sink, pair.value);
            }
            if matches!(pair.opener, b'\'' | b'{') {
                let mut inner = pair.value;
                while let Some(pair) = next_pair(&mut inner) {
                    self.pair(sink, &pair, false);
                }
            }
        }
        exec && !failed && matches!(record.kind, b"SYSCALL" | b"1300")
    }

    fn pair(&self, sink: &mut Sink<'_>, pair: &Pair<'_>, execve: bool) {
        // `a1[0]`, `a1[1]` are the pieces of one long argument.
        let key = pair.key.split(|b| *b == b'[').next().unwrap_or(pair.key);
        let name = sink.name(key);
        if !(pair.opener == 0 && is_encoded(key, execve) && is_hex(pair.value)) {
            let value = if pair.opener == b'{' { pair.value.trim_ascii() } else { pair.value };
            sink.push(name, value);
        } else if key == b"key" {
            keys(sink, name, pair.value);
        } else {
            sink.push_decoded(name, |out| decode_text(pair.value, out));
        }
    }

    /// `avc:  denied  { read write } for …` of SELinux.
    fn permissions(&self, sink: &mut Sink<'_>, body: &[u8]) {
        let Some(rest) = body.trim_ascii_start().strip_prefix(b"avc:") else { return };
        let (result, rest) = crate::text::word(rest.trim_ascii_start());
        sink.push(self.names.seresult, result);
        if let Some((permissions, _)) = rest.strip_prefix(b"{").and_then(|rest| split_at_byte(rest, b'}')) {
            for permission in permissions.split(|b| *b == b' ').filter(|permission| !permission.is_empty()) {
                sink.push(self.names.seperms, permission);
            }
        }
    }

    /// `struct sockaddr` in hexadecimal: family in host order, port in network order.
    fn socket_address(&self, sink: &mut Sink<'_>, digits: &[u8]) {
        let mut bytes = [0_u8; 28];
        let mut len = 0;
        for (slot, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = pair else { return };
            let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low)) else { return };
            *slot = high << 4 | low;
            len += 1;
        }
        match bytes.get(..len).unwrap_or_default() {
            [2, 0, port_high, port_low, a, b, c, d, ..] => {
                sink.push(self.names.family, b"inet");
                sink.push_decoded(self.names.laddr, |out| write_to(out, format_args!("{a}.{b}.{c}.{d}")));
                self.port(sink, *port_high, *port_low);
            }
            [10, 0, port_high, port_low, _, _, _, _, address @ ..] if address.len() >= 16 => {
                let address: [u8; 16] = address.get(..16).and_then(|a| a.try_into().ok()).unwrap_or_default();
                sink.push(self.names.family, b"inet6");
                sink.push_decoded(self.names.laddr, |out| {
                    write_to(out, format_args!("{}", Ipv6Addr::from(address)));
                });
                self.port(sink, *port_high, *port_low);
            }
            [1, 0, ..] => {
                sink.push(self.names.family, b"local");
                sink.push_decoded(self.names.path, |out| {
                    let start = out.len();
                    hex_decode(digits.get(4..).unwrap_or_default(), out);
                    // An abstract socket's name starts with NUL; otherwise NUL ends the path.
                    let path = out.get(start..).unwrap_or_default();
                    let end = path.iter().skip(1).position(|b| *b == 0).map_or(path.len(), |at| at + 1);
                    out.truncate(start + end);
                });
            }
            _ => {}
        }
    }

    fn port(&self, sink: &mut Sink<'_>, high: u8, low: u8) {
        let port = u16::from_be_bytes([high, low]);
        sink.push_decoded(self.names.lport, |out| write_to(out, format_args!("{port}")));
    }

    /// Adds what the records behind an exec's `SYSCALL` record say of the new process.
    fn companions(&self, sink: &mut Sink<'_>, record: &Record<'_>, lines: Lines<'_>) {
        for (_, line) in lines.take(COMPANIONS_MAX) {
            let Some(other) = shape(line) else { return };
            if (other.serial, other.seconds, other.node) != (record.serial, record.seconds, record.node) {
                return;
            }
            match other.kind {
                b"EXECVE" => sink.push_decoded(self.names.command_line, |out| command_line(other.body, out)),
                b"CWD" => self.renamed(sink, b"cwd", other.body),
                _ => {}
            }
        }
    }

    fn renamed(&self, sink: &mut Sink<'_>, key: &[u8], mut body: &[u8]) {
        while let Some(pair) = next_pair(&mut body) {
            if pair.key == key && pair.opener == 0 && is_hex(pair.value) {
                sink.push_decoded(self.names.current_directory, |out| decode_text(pair.value, out));
            } else if pair.key == key {
                sink.push(self.names.current_directory, pair.value);
            }
        }
    }
}

/// The arguments of an `EXECVE` record, joined by spaces.
fn command_line(mut body: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    while let Some(pair) = next_pair(&mut body) {
        if !is_argument(pair.key) {
            continue;
        }
        let piece = memchr(b'[', pair.key).is_some() && !pair.key.ends_with(b"[0]");
        if out.len() > start && !piece {
            out.push(b' ');
        }
        if pair.opener == 0 && is_hex(pair.value) {
            decode_text(pair.value, out);
        } else {
            out.extend_from_slice(pair.value);
        }
    }
}

/// Keys of several rules are joined by byte 1.
fn keys(sink: &mut Sink<'_>, name: Option<besa_event::FieldId>, digits: &[u8]) {
    let mut rest = digits;
    while !rest.is_empty() {
        let count = rest.chunks_exact(2).position(|pair| pair == b"01").unwrap_or(rest.len() / 2);
        let (one, after) = rest.split_at_checked(count * 2).unwrap_or((rest, b""));
        sink.push_decoded(name, |out| hex_decode(one, out));
        rest = after.get(2..).unwrap_or_default();
    }
}

#[derive(Clone, Copy, Debug)]
struct Pair<'a> {
    key: &'a [u8],
    value: &'a [u8],
    /// `"`, `'` or `{` if the value stood in such, else 0.
    opener: u8,
}

/// Takes the next `key=value` from the front, skipping words without `=`.
fn next_pair<'a>(rest: &mut &'a [u8]) -> Option<Pair<'a>> {
    loop {
        let text = trim_separators(rest);
        let at = text.iter().position(|b| matches!(b, b' ' | b'=' | 0x1d))?;
        let (key, after) = text.split_at_checked(at)?;
        let (separator, after) = after.split_first()?;
        *rest = after;
        if *separator == b'=' && !key.is_empty() {
            let key = key.strip_prefix(b"(").unwrap_or(key);
            let (opener, value, after) = value(after);
            *rest = after;
            return Some(Pair { key, value, opener });
        }
    }
}

fn trim_separators(text: &[u8]) -> &[u8] {
    let count = text.iter().take_while(|b| matches!(b, b' ' | 0x1d | b',')).count();
    text.get(count..).unwrap_or_default()
}

fn value(text: &[u8]) -> (u8, &[u8], &[u8]) {
    let opener = text.first().copied().unwrap_or(0);
    let inside = text.get(1..).unwrap_or_default();
    let end = match opener {
        b'"' => memchr(b'"', inside),
        // The text inside may hold apostrophes; it is the last thing before the lookups.
        b'\'' => {
            memrchr(b'\'', inside.get(..memchr(0x1d, inside).unwrap_or(inside.len())).unwrap_or_default())
        }
        b'{' => memchr(b'}', inside),
        _ => {
            let end = memchr2(b' ', 0x1d, text).unwrap_or(text.len());
            let (value, after) = text.split_at_checked(end).unwrap_or((text, b""));
            let value = value.strip_suffix(b",").unwrap_or(value);
            let unbalanced = value.ends_with(b")") && !value.contains(&b'(');
            let value = if unbalanced { value.strip_suffix(b")").unwrap_or(value) } else { value };
            return (0, value, after);
        }
    };
    let end = end.unwrap_or(inside.len());
    let (value, after) = inside.split_at_checked(end).unwrap_or((inside, b""));
    (opener, value, after.get(1..).unwrap_or_default())
}

fn is_encoded(key: &[u8], execve: bool) -> bool {
    ENCODED.contains(&key) || (execve && is_argument(key))
}

/// `a0`, `a17`, `a1[0]`, but not `a1_len`.
fn is_argument(key: &[u8]) -> bool {
    let Some(rest) = key.strip_prefix(b"a") else { return false };
    let number = rest.split(|b| *b == b'[').next().unwrap_or_default();
    is_digits(number)
}

fn is_hex(value: &[u8]) -> bool {
    value.len() >= 2
        && value.len().is_multiple_of(2)
        && value.iter().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'))
}

/// Appends decoded text, with NUL between arguments as a space.
fn decode_text(digits: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    hex_decode(digits, out);
    while out.len() > start && out.last() == Some(&0) {
        out.pop();
    }
    for byte in out.iter_mut().skip(start).filter(|byte| **byte == 0) {
        *byte = b' ';
    }
}

fn write_to(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector cannot fail.
    let _ = std::io::Write::write_fmt(out, text);
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::text::testing::printed;

    fn check(lines: &[&str], expected: &Expect) {
        expected.assert_eq(&printed(lines.join("\n").as_bytes(), decode));
    }

    #[test]
    fn an_exec_is_a_process_creation_with_its_companions() {
        check(
            &[
                r#"type=SYSCALL msg=audit(1364481363.243:24287): arch=c000003e syscall=59 success=yes exit=0 a0=7fffd19c5592 pid=3538 auid=4294967295 comm="cat" exe="/bin/cat" key=70736864016578"#,
                r#"type=EXECVE msg=audit(1364481363.243:24287): argc=3 a0="cat" a1=2F746D702F6120622E747874 a2="x""#,
                r#"type=CWD msg=audit(1364481363.243:24287):  cwd="/home/shadowman""#,
                r#"type=PATH msg=audit(1364481363.243:24287): item=0 name=2F746D702F6120622E747874 inode=409248 nametype=NORMAL"#,
                "type=PROCTITLE msg=audit(1364481363.243:24287): proctitle=636174002F746D702F6100",
                "node=web1 type=SYSCALL msg=audit(1364481363.244:24288): arch=c00000b7 syscall=279 success=yes exe=\"/usr/bin/ecasound\" key=(null)\x1dARCH=aarch64 SYSCALL=memfd_create UID=\"root\"",
                r#"type=SYSCALL msg=audit(1364481363.245:24289): arch=c000003e syscall=59 success=no exe="/bin/sh""#,
            ],
            &expect![[r#"
                1 2013-03-28T14:36:03.243Z stated host= linux/auditd/process_creation
                  type=SYSCALL
                  audit_serial=#24287
                  arch=c000003e
                  SYSCALL=execve
                  syscall=59
                  success=yes
                  exit=0
                  a0=7fffd19c5592
                  pid=3538
                  auid=4294967295
                  comm=cat
                  exe=/bin/cat
                  key=pshd
                  key=ex
                  CommandLine=cat /tmp/a b.txt x
                  CurrentDirectory=/home/shadowman
                  Image=/bin/cat
                2 2013-03-28T14:36:03.243Z stated host= linux/auditd/
                  type=EXECVE
                  audit_serial=#24287
                  argc=3
                  a0=cat
                  a1=/tmp/a b.txt
                  a2=x
                3 2013-03-28T14:36:03.243Z stated host= linux/auditd/
                  type=CWD
                  audit_serial=#24287
                  cwd=/home/shadowman
                4 2013-03-28T14:36:03.243Z stated host= linux/auditd/
                  type=PATH
                  audit_serial=#24287
                  item=0
                  name=/tmp/a b.txt
                  inode=409248
                  nametype=NORMAL
                5 2013-03-28T14:36:03.243Z stated host= linux/auditd/
                  type=PROCTITLE
                  audit_serial=#24287
                  proctitle=cat /tmp/a
                  CommandLine=cat /tmp/a
                6 2013-03-28T14:36:03.244Z stated host=web1 linux/auditd/
                  type=SYSCALL
                  node=web1
                  audit_serial=#24288
                  arch=c00000b7
                  syscall=279
                  success=yes
                  exe=/usr/bin/ecasound
                  key=(null)
                  ARCH=aarch64
                  SYSCALL=memfd_create
                  UID=root
                  Image=/usr/bin/ecasound
                7 2013-03-28T14:36:03.245Z stated host= linux/auditd/
                  type=SYSCALL
                  audit_serial=#24289
                  arch=c000003e
                  SYSCALL=execve
                  syscall=59
                  success=no
                  exe=/bin/sh
                  Image=/bin/sh
            "#]],
        );
    }

    #[test]
    fn user_space_and_other_records() {
        check(
            &[
                r#"type=USER_CMD msg=audit(1500000000.001:5): pid=1 uid=1000 msg='cwd="/root" cmd=6C73202D6C terminal=pts/0 res=success'"#,
                r#"type=USER_LOGIN msg=audit(1500000000.001:6): user pid=1 msg='op=login acct="it's" hostname=? addr=203.0.113.7, res=failed)'"#,
                "type=SOCKADDR msg=audit(1500000000.001:7): saddr=02000050CB0071070000000000000000",
                "type=SOCKADDR msg=audit(1500000000.001:8): saddr=0A0001BB0000000020010DB800000000000000000000000100000000",
                "type=SOCKADDR msg=audit(1500000000.001:9): saddr=01002F72756E2F612E736F636B0000\x1dSADDR={ saddr_fam=local path=/run/a.sock }",
                r#"type=AVC msg=audit(1500000000.001:10): avc:  denied  { read write } for  pid=1 comm="httpd" tclass=file"#,
                r#"type=EXECVE msg=audit(1500000000.001:11): argc=2 a0="sh" a1_len=6 a1[0]="abc" a1[1]=646566"#,
                "----",
                "time->Thu Mar 28 14:36:03 2013",
                "type=SYSCALL msg=audit(15000",
            ],
            &expect![[r#"
                1 2017-07-14T02:40:00.001Z stated host= linux/auditd/
                  type=USER_CMD
                  audit_serial=#5
                  pid=1
                  uid=1000
                  msg=cwd=\"/root\" cmd=6C73202D6C terminal=pts/0 res=success
                  cwd=/root
                  cmd=ls -l
                  terminal=pts/0
                  res=success
                2 2017-07-14T02:40:00.001Z stated host= linux/auditd/
                  type=USER_LOGIN
                  audit_serial=#6
                  pid=1
                  msg=op=login acct=\"it\'s\" hostname=? addr=203.0.113.7, res=failed)
                  op=login
                  acct=it\'s
                  hostname=?
                  addr=203.0.113.7
                  res=failed
                3 2017-07-14T02:40:00.001Z stated host= linux/auditd/
                  type=SOCKADDR
                  audit_serial=#7
                  saddr=02000050CB0071070000000000000000
                  saddr_fam=inet
                  laddr=203.0.113.7
                  lport=80
                4 2017-07-14T02:40:00.001Z stated host= linux/auditd/
                  type=SOCKADDR
                  audit_serial=#8
                  saddr=0A0001BB0000000020010DB800000000000000000000000100000000
                  saddr_fam=inet6
                  laddr=2001:db8::1
                  lport=443
                5 2017-07-14T02:40:00.001Z stated host= linux/auditd/
                  type=SOCKADDR
                  audit_serial=#9
                  saddr=01002F72756E2F612E736F636B0000
                  SADDR=saddr_fam=local path=/run/a.sock
                  saddr_fam=local
                  path=/run/a.sock
                6 2017-07-14T02:40:00.001Z stated host= linux/auditd/
                  type=AVC
                  audit_serial=#10
                  seresult=denied
                  seperms=read
                  seperms=write
                  pid=1
                  comm=httpd
                  tclass=file
                7 2017-07-14T02:40:00.001Z stated host= linux/auditd/
                  type=EXECVE
                  audit_serial=#11
                  argc=2
                  a0=sh
                  a1_len=6
                  a1=abc
                  a1=def
                10 - host= linux/auditd/
                t record 10: not an audit record (torn line)
            "#]],
        );
    }
}
