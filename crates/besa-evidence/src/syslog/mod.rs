//! Syslog: RFC 3164 as devices write it, RFC 5424, and what travels inside.
//!
//! ```text
//! <34>Oct 11 22:14:15 mymachine su[12]: 'su root' failed for lonvick on /dev/pts/8
//! 2022-07-15T10:11:12.123456+02:00 web1 sshd[811]: Accepted publickey for root
//! <165>1 2003-10-11T22:14:15.003Z host evntslog - ID47 [exampleSDID@32473 iut="3"] An event
//! <189>29: *Mar  1 18:46:11.123: %SYS-5-CONFIG_I: Configured from console by vty2
//! ```
//! Fields: `facility`, `severity` (their names), `hostname`, `appname` and `program`, `procid`,
//! `msgid`, `message`; structured data as `sd-id.param`. Programs whose messages have fields add
//! them: sudo, sshd's peer, netfilter, FortiGate. A message that is CEF, LEEF, an audit record, a
//! web server's line or an event of Sysmon for Linux is read as such and keeps the host.
//!
//! The class follows from the program: product `linux` with services as SigmaHQ names them, or
//! the vendor whose mark the message bears. Vendors' rules are keywords over the same stream, so
//! a vendor's class has all its services.
//!
//! RFC 3164 states no year; see [`Context::reference`]. Octet-counted framing is not read. Free
//! text (continuation lines) is an event of class linux with nothing but its `message`.

use besa_event::{Batch, EventTime, LogSourceId};

use crate::context::{Context, Position};
use crate::text::{
    Class, Classes, Learnt, Lines, Sink, backslash_decode, is_digits, most_lines, names, quoted,
    split_at_byte, split_at_text, time, word,
};
use crate::{auditd, cef, leef, weblog};

mod message;
mod sysmon;

pub(crate) use self::message::SECOND_NAMES;

const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];
const SEVERITIES: &[&str] = &["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

const CLASSES: &[Class] = &[
    Class { product: "linux", services: &["syslog"], categories: &[] },
    Class { product: "linux", services: &["sshd", "auth", "syslog"], categories: &[] },
    Class { product: "linux", services: &["sudo", "auth", "syslog"], categories: &[] },
    Class { product: "linux", services: &["auth", "syslog"], categories: &[] },
    Class { product: "linux", services: &["cron", "syslog"], categories: &[] },
    Class { product: "linux", services: &["clamav", "syslog"], categories: &[] },
    Class { product: "linux", services: &["vsftpd", "syslog"], categories: &[] },
    Class { product: "linux", services: &["guacamole", "syslog"], categories: &[] },
    Class { product: "linux", services: &["auditd", "syslog"], categories: &[] },
    Class { product: "linux", services: &["iptables", "syslog"], categories: &["firewall"] },
    Class { product: "cisco", services: &["aaa", "bgp", "ldp", "syslog"], categories: &[] },
    Class { product: "cisco", services: &["aaa", "bgp", "ldp", "syslog"], categories: &["firewall"] },
    Class { product: "juniper", services: &["bgp", "ldp", "syslog"], categories: &[] },
    Class { product: "huawei", services: &["bgp", "ldp", "syslog"], categories: &[] },
    Class { product: "fortigate", services: &["event"], categories: &[] },
    Class { product: "fortigate", services: &["traffic"], categories: &["firewall"] },
    Class { product: "fortigate", services: &[], categories: &[] },
];
const SYSLOG: usize = 0;
const SSHD: usize = 1;
const SUDO: usize = 2;
const AUTH: usize = 3;
const CRON: usize = 4;
const CLAMAV: usize = 5;
const VSFTPD: usize = 6;
const GUACAMOLE: usize = 7;
const AUDIT: usize = 8;
const NETFILTER: usize = 9;
const CISCO: usize = 10;
const CISCO_ASA: usize = 11;
const JUNIPER: usize = 12;
const HUAWEI: usize = 13;
const FORTIGATE_EVENT: usize = 14;
const FORTIGATE_TRAFFIC: usize = 15;
const FORTIGATE: usize = 16;

/// Programs whose class is not plain syslog; names without folder, `(pam_…)` and `-session`.
const PROGRAMS: &[(&[u8], usize)] = &[
    (b"sshd", SSHD),
    (b"sudo", SUDO),
    (b"su", AUTH),
    (b"login", AUTH),
    (b"systemd-logind", AUTH),
    (b"elogind", AUTH),
    (b"polkitd", AUTH),
    (b"pkexec", AUTH),
    (b"doas", AUTH),
    (b"passwd", AUTH),
    (b"chpasswd", AUTH),
    (b"chage", AUTH),
    (b"chfn", AUTH),
    (b"chsh", AUTH),
    (b"gpasswd", AUTH),
    (b"useradd", AUTH),
    (b"adduser", AUTH),
    (b"usermod", AUTH),
    (b"userdel", AUTH),
    (b"groupadd", AUTH),
    (b"groupmod", AUTH),
    (b"groupdel", AUTH),
    (b"newgrp", AUTH),
    (b"vipw", AUTH),
    (b"gdm", AUTH),
    (b"gdm-password]", AUTH),
    (b"lightdm", AUTH),
    (b"unix_chkpwd", AUTH),
    (b"pam_unix", AUTH),
    (b"cron", CRON),
    (b"crond", CRON),
    (b"crontab", CRON),
    (b"anacron", CRON),
    (b"atd", CRON),
    (b"clamd", CLAMAV),
    (b"freshclam", CLAMAV),
    (b"clamav", CLAMAV),
    (b"clamscan", CLAMAV),
    (b"clamdscan", CLAMAV),
    (b"clamonacc", CLAMAV),
    (b"clamav-milter", CLAMAV),
    (b"vsftpd", VSFTPD),
    (b"guacd", GUACAMOLE),
    (b"guacamole", GUACAMOLE),
    (b"audit", AUDIT),
    (b"auditd", AUDIT),
    (b"audispd", AUDIT),
    (b"audisp-syslog", AUDIT),
    (b"audisp-remote", AUDIT),
    (b"rpd", JUNIPER),
    (b"mgd", JUNIPER),
    (b"/kernel", JUNIPER),
    (b"tcp_auth_ok", JUNIPER),
    (b"RT_FLOW", JUNIPER),
];

names! {
    facility = "facility",
    severity = "severity",
    hostname = "hostname",
    appname = "appname",
    program = "program",
    procid = "procid",
    msgid = "msgid",
    message = "message",
}

/// Whether most lines are syslog's.
pub(crate) fn recognise(sample: &[u8]) -> bool {
    most_lines(sample, |line| {
        message::is_fortigate(line) || header(line, None).is_some_and(|header| header.is_strict)
    })
}

/// Decodes whole lines.
pub(crate) fn decode(context: &Context<'_>, position: Position, bytes: &[u8], batch: &mut Batch) {
    let mut sink = Sink::new(context, bytes, batch);
    let mut decoder = Decoder::new(&mut sink);
    for (number, line) in Lines::new(bytes, position.first_record) {
        let learnt = decoder.line(&mut sink, line);
        sink.end(number, line, &learnt);
    }
}

/// Reads syslog lines and what they carry.
#[derive(Debug)]
pub(crate) struct Decoder<'b> {
    names: Names,
    classes: Classes<'static>,
    audit: auditd::Decoder,
    cef: cef::Decoder<'b>,
    leef: leef::Decoder<'b>,
    web: weblog::Decoder,
    sysmon: sysmon::Decoder,
    message: message::Names,
}

impl<'b> Decoder<'b> {
    pub(crate) fn new(sink: &mut Sink<'_>) -> Self {
        Self {
            names: Names::new(sink),
            classes: Classes::new(CLASSES),
            audit: auditd::Decoder::new(sink),
            cef: cef::Decoder::new(sink),
            leef: leef::Decoder::new(sink),
            web: weblog::Decoder::new(sink),
            sysmon: sysmon::Decoder::default(),
            message: message::names_of(sink),
        }
    }

    /// Adds the fields of a line.
    pub(crate) fn line(&mut self, sink: &mut Sink<'_>, line: &'b [u8]) -> Learnt<'b> {
        if message::is_fortigate(line) {
            return self.fortigate(sink, line, Learnt::default());
        }
        let Some(header) = header(line, sink.context.reference) else {
            sink.push(self.names.message, line);
            return Learnt { class: self.classes.id(sink.context, SYSLOG), ..Learnt::default() };
        };
        self.head_fields(sink, &header);
        let outer = Learnt { time: header.time, host: header.host, class: LogSourceId::default() };
        match self.content(sink, &header, outer) {
            // The sender's time is nearer to the event than the relay's; its host is not.
            Some(inner) => Learnt {
                time: inner.time.or(outer.time),
                host: if outer.host.is_empty() { inner.host } else { outer.host },
                class: inner.class,
            },
            None => outer,
        }
    }

    /// Adds the fields of a text that is CEF or LEEF from its first byte.
    pub(crate) fn carried(&mut self, sink: &mut Sink<'_>, text: &'b [u8]) -> Option<Learnt<'b>> {
        if text.starts_with(b"CEF:") {
            self.cef.record(sink, text)
        } else if text.starts_with(b"LEEF:") {
            self.leef.record(sink, text)
        } else {
            None
        }
    }

    fn head_fields(&self, sink: &mut Sink<'_>, header: &Header<'_>) {
        let names = self.names;
        if let Some(priority) = header.priority {
            let facility = FACILITIES.get(usize::from(priority / 8)).copied().unwrap_or_default();
            let severity = SEVERITIES.get(usize::from(priority % 8)).copied().unwrap_or_default();
            sink.push(names.facility, facility.as_bytes());
            sink.push(names.severity, severity.as_bytes());
        }
        let fields = [
            (names.hostname, header.host),
            (names.appname, header.app),
            (names.program, header.app),
            (names.procid, header.pid),
            (names.msgid, header.msgid),
        ];
        for (name, value) in fields {
            if !value.is_empty() {
                sink.push(name, value);
            }
        }
        structured_data(sink, header.data);
        sink.push(names.message, header.message);
    }

    /// Adds the fields of the message.
    fn content(&mut self, sink: &mut Sink<'_>, header: &Header<'b>, outer: Learnt<'b>) -> Option<Learnt<'b>> {
        let text = header.message;
        if let Some(learnt) = self.carried(sink, text) {
            return Some(learnt);
        }
        if message::is_fortigate(text) {
            return Some(self.fortigate(sink, text, outer));
        }
        let program = program_name(header.app);
        let row = class_row(program, text);
        match row {
            SUDO => self.message.sudo(sink, text),
            SSHD => self.message.sshd(sink, text),
            _ => {}
        }
        if row == AUDIT || program == b"kernel" || program.is_empty() {
            let record = message::audit_text(text).and_then(auditd::shape);
            let record =
                record.or_else(|| (program == b"audit").then(|| auditd::journal_shape(text)).flatten());
            if let Some(record) = record {
                let learnt = self.audit.record(sink, &record);
                return Some(Learnt { class: self.classes.id(sink.context, AUDIT), ..learnt });
            }
        }
        if program == b"sysmon"
            && let Some(learnt) = self.sysmon.event(sink, text)
        {
            return Some(learnt);
        }
        if is_web_server(program)
            && weblog::is_likely(text)
            && let Some(learnt) = self.web.line(sink, text)
        {
            return Some(learnt);
        }
        let netfilter = row == SYSLOG && self.message.netfilter(sink, text);
        let row = if netfilter { NETFILTER } else { row };
        Some(Learnt { class: self.classes.id(sink.context, row), ..outer })
    }

    fn fortigate(&mut self, sink: &mut Sink<'_>, text: &'b [u8], outer: Learnt<'b>) -> Learnt<'b> {
        let found = self.message.fortigate(sink, text);
        let row = match found.kind {
            b"event" => FORTIGATE_EVENT,
            b"traffic" => FORTIGATE_TRAFFIC,
            _ => FORTIGATE,
        };
        Learnt {
            time: found.time.or(outer.time),
            host: if outer.host.is_empty() { found.device } else { outer.host },
            class: self.classes.id(sink.context, row),
        }
    }
}

/// `/usr/sbin/cron`, `su(pam_unix)`, `sshd-session` as the program they are; `/kernel` is
/// Juniper's and stays.
fn program_name(app: &[u8]) -> &[u8] {
    let name = app.split(|b| *b == b'(').next().filter(|name| !name.is_empty()).unwrap_or(app);
    let name = match name.rsplit(|b| *b == b'/').next() {
        Some(last) if name != b"/kernel" && name.starts_with(b"/") => last,
        _ => name,
    };
    if matches!(name, b"sshd-session" | b"sshd-auth") { b"sshd" } else { name }
}

fn class_row(program: &[u8], text: &[u8]) -> usize {
    let program_row =
        PROGRAMS.iter().find(|(known, _)| known.eq_ignore_ascii_case(program)).map(|(_, row)| *row);
    if let Some(row) = program_row {
        return row;
    }
    if let Some(mark) = text.strip_prefix(b"%") {
        return vendor_row(mark);
    }
    // Vendors' marks may stand behind a tag or a second time.
    let head = text.get(..text.len().min(160)).unwrap_or_default();
    match split_at_text(head, b": %") {
        Some((_, mark)) => vendor_row(mark),
        None if program.starts_with(b"%") => vendor_row(program.get(1..).unwrap_or_default()),
        None => SYSLOG,
    }
}

/// `%ASA-6-302013:` and `%SYS-5-CONFIG_I:` are Cisco's, `%%01BGP/3/AUTH_FAILED(l)` is Huawei's.
fn vendor_row(mark: &[u8]) -> usize {
    if matches!(mark, [b'%', b'0'..=b'9', b'0'..=b'9', ..]) {
        return HUAWEI;
    }
    let facility = mark.split(|b| *b == b':' || *b == b' ').next().unwrap_or_default();
    let mut parts = facility.split(|b| *b == b'-');
    let first = parts.next().unwrap_or_default();
    let is_upper = |part: &[u8]| {
        !part.is_empty() && part.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_')
    };
    let has_level = parts.any(|part| matches!(part, [b'0'..=b'7']));
    match first {
        b"ASA" | b"FTD" | b"PIX" | b"FWSM" if has_level => CISCO_ASA,
        _ if is_upper(first) && has_level => CISCO,
        _ => SYSLOG,
    }
}

fn is_web_server(program: &[u8]) -> bool {
    matches!(program, b"nginx" | b"apache" | b"apache2" | b"httpd")
}

/// A line taken apart.
#[derive(Clone, Copy, Debug, Default)]
struct Header<'a> {
    priority: Option<u8>,
    time: Option<EventTime>,
    host: &'a [u8],
    app: &'a [u8],
    pid: &'a [u8],
    msgid: &'a [u8],
    /// Structured data with its brackets.
    data: &'a [u8],
    message: &'a [u8],
    /// Whether nothing else looks like this.
    is_strict: bool,
}

/// Takes a line apart; `None` for free text.
fn header(line: &[u8], reference: Option<(i64, u32)>) -> Option<Header<'_>> {
    let (priority, rest) = match priority(line) {
        Some((priority, rest)) => (Some(priority), rest),
        None => (None, line),
    };
    if priority.is_some()
        && let Some(header) = rfc5424(rest)
    {
        return Some(Header { priority, ..header });
    }
    legacy(rest, priority, reference)
}

/// RFC 5424 section 6.2.1; RFC 3164 section 4.1.1.
fn priority(line: &[u8]) -> Option<(u8, &[u8])> {
    let inside = line.strip_prefix(b"<")?;
    let (digits, _) = split_at_byte(inside.get(..inside.len().min(4))?, b'>')?;
    if !is_digits(digits) {
        return None;
    }
    let value = std::str::from_utf8(digits).ok()?.parse::<u8>().ok().filter(|value| *value <= 191)?;
    Some((value, line.get(digits.len() + 2..)?))
}

fn rfc5424(text: &[u8]) -> Option<Header<'_>> {
    let (version, rest) = split_at_byte(text, b' ')?;
    if version.len() > 2 || !is_digits(version) {
        return None;
    }
    let (stamp, rest) = word(rest);
    let time = if stamp == b"-" { None } else { Some(EventTime::parse_iso(stamp)?) };
    let (host, rest) = word(rest);
    let (app, rest) = word(rest);
    let (pid, rest) = word(rest);
    let (msgid, rest) = word(rest);
    let (data, rest) = match rest.strip_prefix(b"-") {
        Some(rest) => (&b""[..], rest),
        None => rest.split_at_checked(data_len(rest)).unwrap_or((b"", rest)),
    };
    let message = rest.strip_prefix(b" ").unwrap_or(rest);
    let message = message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message);
    let present = |part| if part == b"-" { &b""[..] } else { part };
    Some(Header {
        priority: None,
        time,
        host: present(host),
        app: present(app),
        pid: present(pid),
        msgid: present(msgid),
        data,
        message,
        is_strict: true,
    })
}

/// Length of the structured data elements at the front.
fn data_len(text: &[u8]) -> usize {
    let mut rest = text;
    while let Some(inside) = rest.strip_prefix(b"[") {
        let mut at = inside;
        loop {
            let Some(found) = at.iter().position(|b| matches!(b, b'"' | b']')) else { return 0 };
            let (_, from) = at.split_at_checked(found).unwrap_or((b"", b""));
            if let Some(after) = from.strip_prefix(b"]") {
                rest = after;
                break;
            }
            at = quoted(from).map_or(&b""[..], |(_, after)| after);
        }
    }
    text.len() - rest.len()
}

/// RFC 5424 section 6.3: `[id name="value" …]…`, with `\"`, `\\` and `\]`.
fn structured_data(sink: &mut Sink<'_>, data: &[u8]) {
    let mut rest = data;
    while let Some(inside) = rest.strip_prefix(b"[") {
        let end = inside.iter().position(|b| matches!(b, b' ' | b']')).unwrap_or(inside.len());
        let (id, mut params) = inside.split_at_checked(end).unwrap_or((inside, b""));
        while let Some((name, after)) = split_at_byte(params.trim_ascii_start(), b'=') {
            if name.contains(&b']') {
                break;
            }
            let Some((value, after)) = quoted(after) else { break };
            let field = sink.dotted_name(id, name);
            sink.push_escaped(field, b'\\', value, |value, out| {
                backslash_decode(value, out, false, |escaped| {
                    matches!(escaped, b'"' | b'\\' | b']').then_some(escaped)
                });
            });
            params = after;
        }
        rest = match split_at_byte(params, b']') {
            Some((_, after)) => after,
            None => b"",
        };
    }
}

/// RFC 3164 and everything that was sent before and after it.
fn legacy(text: &[u8], priority: Option<u8>, reference: Option<(i64, u32)>) -> Option<Header<'_>> {
    let has_priority = priority.is_some();
    let mut header = Header { priority, is_strict: true, ..Header::default() };
    let Some((stamp, is_iso, before)) = stamped(text, has_priority, reference) else {
        if !has_priority {
            return None;
        }
        tagged(&mut header, text.trim_ascii_start());
        return Some(header);
    };
    header.time = stamp.time;
    header.host = before;
    let rest = match stamp.rest.strip_prefix(b":") {
        Some(rest) => rest.trim_ascii_start(),
        None => {
            let rest = stamp.rest.trim_ascii_start();
            let (first, after) = word(rest);
            let no_host =
                first.ends_with(b":") || first.ends_with(b"]") || rest.starts_with(b"%") || is_carried(rest);
            if no_host || message::is_fortigate(rest) || rest.starts_with(b"last message repeated ") {
                rest
            } else {
                header.host = first;
                after.strip_prefix(b": ").unwrap_or(after)
            }
        }
    };
    tagged(&mut header, rest);
    // Logs of all kinds start with an ISO time; only a program's tag tells that it is syslog.
    let is_syslog = !is_iso || has_priority || !header.app.is_empty() || is_carried(rest);
    is_syslog.then_some(header)
}

/// The time at the front, behind what Cisco's IOS writes before it: a sequence number, the
/// host, another number, `*` or `.` for a clock that is not set.
fn stamped(
    text: &[u8],
    has_priority: bool,
    reference: Option<(i64, u32)>,
) -> Option<(time::Stamp<'_>, bool, &[u8])> {
    let mut rest = text.trim_ascii_start();
    let mut host: &[u8] = b"";
    for _ in 0..4 {
        let bare = rest.strip_prefix(b"*").or_else(|| rest.strip_prefix(b".")).unwrap_or(rest);
        if let Some(stamp) = time::rfc3164(bare, reference) {
            return Some((stamp, false, host));
        }
        if let Some(stamp) = time::iso_front(bare, has_priority) {
            return Some((stamp, true, host));
        }
        let (first, after) = word(rest);
        let before_colon = first.strip_suffix(b":")?;
        if !is_digits(before_colon) {
            if !has_priority {
                return None;
            }
            host = before_colon;
        }
        rest = after;
    }
    None
}

/// Splits `program[pid]: message`; without such a tag everything is message.
fn tagged<'a>(header: &mut Header<'a>, text: &'a [u8]) {
    header.message = text;
    if is_carried(text) || text.starts_with(b"%") {
        return;
    }
    let in_name = |b: &u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'/' | b'-' | b'(' | b')' | b'@' | b'+')
    };
    let count = text.iter().take(96).take_while(|b| in_name(b)).count();
    let Some((app, rest)) = text.split_at_checked(count) else { return };
    let (pid, rest) = match rest.strip_prefix(b"[").and_then(|rest| split_at_byte(rest, b']')) {
        Some((pid, rest)) if pid.len() <= 20 && !pid.is_empty() => (pid, rest),
        _ => (&b""[..], rest),
    };
    // gdm writes `gdm-password][12]:`.
    let Some(message) = rest.strip_prefix(b":").filter(|_| !app.is_empty()) else { return };
    if !message.is_empty() && !message.starts_with(b" ") && pid.is_empty() {
        return;
    }
    header.app = app;
    header.pid = pid;
    header.message = message.strip_prefix(b" ").unwrap_or(message);
}

fn is_carried(text: &[u8]) -> bool {
    text.starts_with(b"CEF:") || text.starts_with(b"LEEF:")
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
    fn headers() {
        check(
            &[
                "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
                "<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!",
                "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
                r#"<165>1 2003-10-11T22:14:15.003Z m.example.com evntslog - ID47 [sd@32473 iut="3" app="a\"l\]"][p@1 class="high"] An event"#,
                "<0>1 - - - - - -",
                "Jul 15 10:11:12 last message repeated 2 times",
                "2022-07-15T10:11:12Z INFO no program here",
                "    at some.stack.Trace(line 5)",
                "<999>no priority",
                "<30>dnsmasq[12]: started",
            ],
            &expect![[r#"
                1 2022-10-11T22:14:15Z assumed-year host=mymachine linux/auth,syslog/
                  facility=auth
                  severity=crit
                  hostname=mymachine
                  appname=su
                  program=su
                  message=\'su root\' failed for lonvick on /dev/pts/8
                2 2022-02-05T17:32:18Z assumed-year host=10.0.0.99 linux/syslog/
                  facility=user
                  severity=notice
                  hostname=10.0.0.99
                  message=Use the BFG!
                3 2003-08-24T12:14:15.000003Z stated host=192.0.2.1 linux/syslog/
                  facility=local4
                  severity=notice
                  hostname=192.0.2.1
                  appname=myproc
                  program=myproc
                  procid=8710
                  message=%% It\'s time to make the do-nuts.
                4 2003-10-11T22:14:15.003Z stated host=m.example.com linux/syslog/
                  facility=local4
                  severity=notice
                  hostname=m.example.com
                  appname=evntslog
                  program=evntslog
                  msgid=ID47
                  sd@32473.iut=3
                  sd@32473.app=a\"l]
                  p@1.class=high
                  message=An event
                5 - host= linux/syslog/
                  facility=kern
                  severity=emerg
                  message=
                6 2022-07-15T10:11:12Z assumed-year host= linux/syslog/
                  message=last message repeated 2 times
                7 - host= linux/syslog/
                  message=2022-07-15T10:11:12Z INFO no program here
                8 - host= linux/syslog/
                  message=    at some.stack.Trace(line 5)
                9 - host= linux/syslog/
                  message=<999>no priority
                10 - host= linux/syslog/
                  facility=daemon
                  severity=info
                  appname=dnsmasq
                  program=dnsmasq
                  procid=12
                  message=started
            "#]],
        );
    }

    #[test]
    fn programs() {
        check(
            &[
                "2022-07-15T10:11:12.123456+02:00 web1 sshd[811]: Failed password for invalid user a from 1.1.1.1 from 203.0.113.7 port 4711 ssh2",
                "Jul 15 10:11:12 web1 sudo:      bob : TTY=pts/0 ; PWD=/home/bob ; USER=#-1 ; COMMAND=/usr/bin/id -u ; x",
                "Jul 15 10:11:12 web1 CRON[12]: (root) REPLACE (root)",
                "Jul 15 10:11:12 web1 /usr/sbin/cron[12]: (CRON) INFO",
                "Jul 15 10:11:12 web1 kernel: [12.5] [UFW BLOCK] IN=eth0 OUT= SRC=203.0.113.7 DST=198.51.100.1 LEN=40 PROTO=TCP SPT=4711 DPT=22 SYN",
                r#"Jul 15 10:11:12 web1 kernel: [12.5] audit: type=1400 audit(1364481363.243:24287): apparmor="DENIED" name="/etc/shadow""#,
                r#"Jul 15 10:11:12 web1 audispd: node=web2 type=CWD msg=audit(1364481363.243:24287): cwd="/root""#,
                r#"Jul 15 10:11:12 web1 audit[1]: SERVICE_STOP pid=1 uid=0 msg='unit=firewalld comm="systemd" res=success'"#,
                r#"<14>1 2022-07-15T10:11:12Z web1 sysmon 9 - - <Event><System><Provider Name="Linux-Sysmon" Guid="{x}"/><EventID>1</EventID><TimeCreated SystemTime="2022-07-15T10:11:12.5Z"/><Computer>web1</Computer></System><EventData><Data Name="Image">/bin/sh</Data><Data Name="CommandLine">sh -c &quot;a &amp;&amp; b&#33;&quot;</Data></EventData></Event>"#,
            ],
            &expect![[r#"
                1 2022-07-15T08:11:12.123456Z stated host=web1 linux/sshd,auth,syslog/
                  hostname=web1
                  appname=sshd
                  program=sshd
                  procid=811
                  message=Failed password for invalid user a from 1.1.1.1 from 203.0.113.7 port 4711 ssh2
                  src_ip=203.0.113.7
                  src_port=#4711
                2 2022-07-15T10:11:12Z assumed-year host=web1 linux/sudo,auth,syslog/
                  hostname=web1
                  appname=sudo
                  program=sudo
                  message=     bob : TTY=pts/0 ; PWD=/home/bob ; USER=#-1 ; COMMAND=/usr/bin/id -u ; x
                  TTY=pts/0
                  PWD=/home/bob
                  USER=#-1
                  COMMAND=/usr/bin/id -u ; x
                3 2022-07-15T10:11:12Z assumed-year host=web1 linux/cron,syslog/
                  hostname=web1
                  appname=CRON
                  program=CRON
                  procid=12
                  message=(root) REPLACE (root)
                4 2022-07-15T10:11:12Z assumed-year host=web1 linux/cron,syslog/
                  hostname=web1
                  appname=/usr/sbin/cron
                  program=/usr/sbin/cron
                  procid=12
                  message=(CRON) INFO
                5 2022-07-15T10:11:12Z assumed-year host=web1 linux/iptables,syslog/firewall
                  hostname=web1
                  appname=kernel
                  program=kernel
                  message=[12.5] [UFW BLOCK] IN=eth0 OUT= SRC=203.0.113.7 DST=198.51.100.1 LEN=40 PROTO=TCP SPT=4711 DPT=22 SYN
                  IN=eth0
                  SRC=203.0.113.7
                  src_ip=203.0.113.7
                  DST=198.51.100.1
                  dst_ip=198.51.100.1
                  LEN=40
                  PROTO=TCP
                  SPT=4711
                  src_port=4711
                  DPT=22
                  dst_port=22
                6 2013-03-28T14:36:03.243Z stated host=web1 linux/auditd,syslog/
                  hostname=web1
                  appname=kernel
                  program=kernel
                  message=[12.5] audit: type=1400 audit(1364481363.243:24287): apparmor=\"DENIED\" name=\"/etc/shadow\"
                  type=1400
                  type=AVC
                  audit_serial=#24287
                  apparmor=DENIED
                  name=/etc/shadow
                7 2013-03-28T14:36:03.243Z stated host=web1 linux/auditd,syslog/
                  hostname=web1
                  appname=audispd
                  program=audispd
                  message=node=web2 type=CWD msg=audit(1364481363.243:24287): cwd=\"/root\"
                  type=CWD
                  node=web2
                  audit_serial=#24287
                  cwd=/root
                8 2022-07-15T10:11:12Z assumed-year host=web1 linux/auditd,syslog/
                  hostname=web1
                  appname=audit
                  program=audit
                  procid=1
                  message=SERVICE_STOP pid=1 uid=0 msg=\'unit=firewalld comm=\"systemd\" res=success\'
                  type=SERVICE_STOP
                  pid=1
                  uid=0
                  msg=unit=firewalld comm=\"systemd\" res=success
                  unit=firewalld
                  comm=systemd
                  res=success
                9 2022-07-15T10:11:12.500Z stated host=web1 linux/sysmon/process_creation
                  facility=user
                  severity=info
                  hostname=web1
                  appname=sysmon
                  program=sysmon
                  procid=9
                  message=<Event><System><Provider Name=\"Linux-Sysmon\" Guid=\"{x}\"/><EventID>1</EventID><TimeCreated SystemTime=\"2022-07-15T10:11:12.5Z\"/><Computer>web1</Computer></System><EventData><Data Name=\"Image\">/bin/sh</Data><Data Name=\"CommandLine\">sh -c &quot;a &amp;&amp; b&#33;&quot;</Data></EventData></Event>
                  EventID=1
                  Provider_Name=Linux-Sysmon
                  Channel=Linux-Sysmon/Operational
                  Computer=web1
                  Image=/bin/sh
                  CommandLine=sh -c \"a && b!\"
            "#]],
        );
    }

    #[test]
    fn devices_and_carried_formats() {
        check(
            &[
                "<189>29: *Mar  1 18:46:11.123: %SYS-5-CONFIG_I: Configured from console by vty2 (10.34.195.36)",
                "<189>123: rtr1: 000124: Oct 11 22:14:15.123 UTC: %PARSER-5-CFGLOG_LOGGEDCMD: User:bob  logged command:no logging",
                "<166>Oct 11 2022 22:14:15 fw01 : %ASA-6-302013: Built inbound TCP connection",
                "<187>Oct 11 2022 22:14:15 CE1 %%01BGP/3/BGP_AUTH_FAILED(l)[3]: failed :179",
                "Oct 11 22:14:15 mx1 rpd[77]: tcp_auth_ok: Packet from 10.0.0.1:179 missing MD5 digest",
                "<30>Sep 19 08:26:10 host CEF:0|Security|threatmanager|1.0|100|worm|10|src=10.0.0.1 rt=Sep 19 2022 08:26:09",
                r#"<30>Oct 11 22:14:15 proxy1 nginx: 203.0.113.7 - - [15/Jul/2022:10:11:12 +0000] "GET /a HTTP/1.1" 200 5"#,
                r#"date=2019-05-10 time=11:37:47 logid="0100044547" type="event" devname="fg 1" action="Add" cfgpath="user.local" srcip=10.0.0.1"#,
            ],
            &expect![[r#"
                1 2022-03-01T18:46:11.123Z assumed-year host= cisco/aaa,bgp,ldp,syslog/
                  facility=local7
                  severity=notice
                  message=%SYS-5-CONFIG_I: Configured from console by vty2 (10.34.195.36)
                2 2022-10-11T22:14:15.123Z assumed-year host=rtr1 cisco/aaa,bgp,ldp,syslog/
                  facility=local7
                  severity=notice
                  hostname=rtr1
                  message=%PARSER-5-CFGLOG_LOGGEDCMD: User:bob  logged command:no logging
                3 2022-10-11T22:14:15Z assumed host=fw01 cisco/aaa,bgp,ldp,syslog/firewall
                  facility=local4
                  severity=info
                  hostname=fw01
                  message=%ASA-6-302013: Built inbound TCP connection
                4 2022-10-11T22:14:15Z assumed host=CE1 huawei/bgp,ldp,syslog/
                  facility=local7
                  severity=err
                  hostname=CE1
                  message=%%01BGP/3/BGP_AUTH_FAILED(l)[3]: failed :179
                5 2022-10-11T22:14:15Z assumed-year host=mx1 juniper/bgp,ldp,syslog/
                  hostname=mx1
                  appname=rpd
                  program=rpd
                  procid=77
                  message=tcp_auth_ok: Packet from 10.0.0.1:179 missing MD5 digest
                6 2022-09-19T08:26:09Z assumed host=host //
                  facility=daemon
                  severity=info
                  hostname=host
                  message=CEF:0|Security|threatmanager|1.0|100|worm|10|src=10.0.0.1 rt=Sep 19 2022 08:26:09
                  deviceVendor=Security
                  deviceProduct=threatmanager
                  deviceVersion=1.0
                  deviceEventClassId=100
                  name=worm
                  severity=10
                  src=10.0.0.1
                  rt=Sep 19 2022 08:26:09
                7 2022-07-15T10:11:12Z stated host=proxy1 /apache,nginx/webserver
                  facility=daemon
                  severity=info
                  hostname=proxy1
                  appname=nginx
                  program=nginx
                  message=203.0.113.7 - - [15/Jul/2022:10:11:12 +0000] \"GET /a HTTP/1.1\" 200 5
                  c-ip=203.0.113.7
                  cs-method=GET
                  cs-uri=/a
                  cs-uri-stem=/a
                  cs-uri-query=/a
                  cs-version=HTTP/1.1
                  sc-status=#200
                  sc-bytes=#5
                  c-uri=/a
                8 2019-05-10T11:37:47Z assumed host=fg 1 fortigate/event/
                  date=2019-05-10
                  time=11:37:47
                  logid=0100044547
                  type=event
                  devname=fg 1
                  action=Add
                  cfgpath=user.local
                  srcip=10.0.0.1
                  src_ip=10.0.0.1
            "#]],
        );
    }
}
