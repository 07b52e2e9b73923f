//! Apache and nginx: access logs in the common and combined formats, and error logs.
//!
//! ```text
//! [vhost[:port] ]client ident user [time] "request" status bytes[ "referer" "user agent"[ more…]]
//! [Fri Sep 09 10:42:29.902022 2011] [core:error] [pid 35708:tid 432] [client 72.15.99.187] message
//! 2022/07/15 10:11:12 [error] 1234#0: *1 message, client: …, server: …, request: "…", host: "…"
//! ```
//! Access lines are of category `webserver` and of the services `apache` and `nginx` both, since
//! the formats are the same. Fields have the W3C extended format's names, as Sigma's taxonomy
//! does. SigmaHQ's rules ask `cs-uri-query` for paths as well as for queries, so that field has
//! two values: the query, and the whole URI. Fields behind the user agent are `extra`; one that
//! holds addresses is `x-forwarded-for` as well, a number is `time-taken`.
//!
//! Apache writes `"`, `\` and unprintable bytes as `\"`, `\\` and `\xhh` (nginx the latter
//! alone); values are decoded, `_raw` is not.

use besa_event::{Batch, EventTime};
use memchr::{memmem, memrchr};

use crate::context::{Context, Position};
use crate::text::{
    Class, Classes, Learnt, Lines, Sink, backslash_decode, is_digits, is_ip, is_number, most_lines, names,
    quoted, split_at_byte, split_at_text, time, word,
};

const CLASSES: &[Class] = &[
    Class { product: "", services: &["apache", "nginx"], categories: &["webserver"] },
    Class { product: "", services: &["apache"], categories: &[] },
    Class { product: "", services: &["nginx"], categories: &[] },
];
const ACCESS: usize = 0;
const APACHE_ERROR: usize = 1;
const NGINX_ERROR: usize = 2;

names! {
    client = "c-ip",
    user = "cs-username",
    method = "cs-method",
    uri = "cs-uri",
    stem = "cs-uri-stem",
    query = "cs-uri-query",
    version = "cs-version",
    status = "sc-status",
    bytes = "sc-bytes",
    referer = "cs-referer",
    agent = "cs-user-agent",
    host = "cs-host",
    request = "request",
    forwarded = "x-forwarded-for",
    taken = "time-taken",
    extra = "extra",
    message = "message",
    severity = "severity",
    module = "module",
    pid = "pid",
    tid = "tid",
    server = "server",
}

/// Whether most lines are access or error lines.
pub(crate) fn recognise(sample: &[u8]) -> bool {
    most_lines(sample, |line| {
        access(line).is_some() || apache_error(line).is_some() || nginx_error(line).is_some()
    })
}

/// Decodes whole lines.
pub(crate) fn decode(context: &Context<'_>, position: Position, bytes: &[u8], batch: &mut Batch) {
    let mut sink = Sink::new(context, bytes, batch);
    let mut decoder = Decoder::new(&mut sink);
    for (number, line) in Lines::new(bytes, position.first_record) {
        let learnt = decoder.line(&mut sink, line).unwrap_or_else(|| {
            sink.push(decoder.names.message, line);
            Learnt::default()
        });
        sink.end(number, line, &learnt);
    }
}

/// Reads web server lines, also for readers of logs that carry them.
#[derive(Debug)]
pub(crate) struct Decoder {
    names: Names,
    classes: Classes<'static>,
}

impl Decoder {
    pub(crate) fn new(sink: &mut Sink<'_>) -> Self {
        Self { names: Names::new(sink), classes: Classes::new(CLASSES) }
    }

    /// Adds a line's fields; adds nothing when the line is none of a web server.
    pub(crate) fn line<'l>(&mut self, sink: &mut Sink<'_>, line: &'l [u8]) -> Option<Learnt<'l>> {
        if let Some(access) = access(line) {
            Some(self.access(sink, &access))
        } else if let Some(error) = apache_error(line) {
            Some(self.apache_error(sink, &error))
        } else {
            nginx_error(line).map(|error| self.nginx_error(sink, &error))
        }
    }

    fn access<'l>(&mut self, sink: &mut Sink<'_>, access: &Access<'l>) -> Learnt<'l> {
        let names = self.names;
        push_present(sink, names.host, access.vhost);
        push_present(sink, names.client, access.client);
        push_present(sink, names.user, access.user);
        self.request(sink, access.request);
        push_number_present(sink, names.status, access.status);
        push_number_present(sink, names.bytes, access.bytes);
        self.trailing(sink, access.trailing);
        Learnt { time: access.time, host: access.vhost, class: self.classes.id(sink.context, ACCESS) }
    }

    /// RFC 9112 section 3; what is no request line (TLS sent to a plain port) is kept whole.
    fn request(&self, sink: &mut Sink<'_>, request: &[u8]) {
        let names = self.names;
        let Some((method, target, version)) = split_request(request) else {
            return push_present(sink, names.request, request);
        };
        push(sink, names.method, method);
        push(sink, names.uri, target);
        let path = match split_at_text(target, b"://") {
            Some((scheme, rest)) if !scheme.contains(&b'/') && !scheme.contains(&b'?') => {
                let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
                let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, b""));
                push_present(sink, names.host, authority);
                path
            }
            _ => target,
        };
        let (stem, query) =
            split_at_byte(path, b'?').map_or((path, None), |(stem, query)| (stem, Some(query)));
        push(sink, names.stem, stem);
        if let Some(query) = query {
            push(sink, names.query, query);
        }
        push(sink, names.query, target);
        push_present(sink, names.version, version);
    }

    fn trailing(&self, sink: &mut Sink<'_>, trailing: &[u8]) {
        let mut rest = trailing.trim_ascii();
        let mut index = 0;
        while !rest.is_empty() {
            let (value, is_quoted, after) = match quoted(rest) {
                Some((inside, after)) => (inside, true, after),
                None => {
                    let (value, after) = word(rest);
                    (value, false, after)
                }
            };
            rest = after.trim_ascii_start();
            match index {
                0 if is_quoted => push_present(sink, self.names.referer, value),
                1 if is_quoted => push_present(sink, self.names.agent, value),
                _ => self.extra(sink, value),
            }
            index += 1;
        }
    }

    fn extra(&self, sink: &mut Sink<'_>, value: &[u8]) {
        push_present(sink, self.names.extra, value);
        let first = value.split(|b| *b == b',').next().unwrap_or_default();
        if is_ip(first.trim_ascii()) {
            push_present(sink, self.names.forwarded, value);
        } else if is_number(value) {
            sink.push_number(self.names.taken, value);
        }
    }

    fn apache_error<'l>(&mut self, sink: &mut Sink<'_>, error: &ApacheError<'l>) -> Learnt<'l> {
        let names = self.names;
        let mut rest = error.rest;
        while let Some((inside, after)) = bracketed(rest) {
            if let Some(pid) = inside.strip_prefix(b"pid ") {
                let (pid, tid) = split_at_text(pid, b":tid ").unwrap_or((pid, b""));
                sink.push_number(names.pid, pid);
                push_number_present(sink, names.tid, tid);
            } else if let Some(client) = inside.strip_prefix(b"client ") {
                push_present(sink, names.client, without_port(client));
            } else if let Some(client) = inside.strip_prefix(b"remote ") {
                push_present(sink, names.client, without_port(client));
            } else if is_level(inside) {
                let (module, level) = split_at_byte(inside, b':').unwrap_or((b"", inside));
                push_present(sink, names.module, module);
                push_present(sink, names.severity, level);
            } else {
                break;
            }
            rest = after.trim_ascii_start();
        }
        sink.push(names.message, rest);
        Learnt { time: error.time, host: b"", class: self.classes.id(sink.context, APACHE_ERROR) }
    }

    fn nginx_error<'l>(&mut self, sink: &mut Sink<'_>, error: &NginxError<'l>) -> Learnt<'l> {
        let names = self.names;
        sink.push(names.severity, error.level);
        sink.push_number(names.pid, error.pid);
        sink.push_number(names.tid, error.tid);
        sink.push(names.message, error.message);
        let labelled = |label: &[u8]| split_at_text(error.message, label).map(|(_, rest)| rest);
        let bare = |rest| split_at_byte(rest, b',').map_or(rest, |(value, _)| value);
        if let Some(client) = labelled(b", client: ") {
            sink.push(names.client, bare(client));
        }
        if let Some(server) = labelled(b", server: ") {
            push_present(sink, names.server, bare(server));
        }
        if let Some((request, _)) = labelled(b", request: ").and_then(quoted) {
            self.request(sink, request);
        }
        if let Some((host, _)) = labelled(b", host: ").and_then(quoted) {
            push_present(sink, names.host, host);
        }
        if let Some((referer, _)) = labelled(b", referrer: ").and_then(quoted) {
            push_present(sink, names.referer, referer);
        }
        Learnt { time: error.time, host: b"", class: self.classes.id(sink.context, NGINX_ERROR) }
    }
}

struct Access<'a> {
    vhost: &'a [u8],
    client: &'a [u8],
    user: &'a [u8],
    time: Option<EventTime>,
    request: &'a [u8],
    status: &'a [u8],
    bytes: &'a [u8],
    trailing: &'a [u8],
}

fn access(line: &[u8]) -> Option<Access<'_>> {
    let (who, rest) = split_at_text(line, b" [")?;
    let (stamp, rest) = split_at_byte(rest, b']')?;
    let stamp = time::common_log(stamp).filter(|stamp| stamp.rest.is_empty())?;
    let (request, rest) = quoted(rest.trim_ascii_start())?;
    let (status, rest) = word(rest.trim_ascii_start());
    let (bytes, trailing) = word(rest);
    let status_fits = status == b"-" || (status.len() == 3 && is_digits(status));
    if !status_fits || !(is_digits(bytes) || matches!(bytes, b"-" | b"")) {
        return None;
    }
    let (vhost, client, user) = split_who(who)?;
    Some(Access { vhost, client, user, time: stamp.time, request, status, bytes, trailing })
}

/// `[vhost[:port] ]client ident user`; a user name may hold spaces, and the ident is hardly ever
/// anything but `-`.
fn split_who(who: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (first, rest) = word(who);
    let (second, tail) = word(rest);
    if first.is_empty() || second.is_empty() || tail.is_empty() {
        return None;
    }
    let (vhost, client, rest) =
        if is_ip(second) { (without_port(first), second, tail) } else { (&b""[..], first, rest) };
    let (ident, user) = word(rest);
    let fits = !user.is_empty() && (ident == b"-" || !user.contains(&b' '));
    fits.then_some((vhost, client, user))
}

/// Method, target and version (empty for HTTP/0.9).
fn split_request(request: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (method, rest) = split_at_byte(request, b' ')?;
    let is_token = |b: &u8| b.is_ascii_alphabetic() || matches!(b, b'-' | b'_');
    if method.is_empty() || method.len() > 32 || !method.iter().all(is_token) {
        return None;
    }
    let version_at =
        memrchr(b' ', rest).filter(|at| rest.get(at + 1..).is_some_and(|v| v.starts_with(b"HTTP/")));
    let (target, version) = match version_at.and_then(|at| rest.split_at_checked(at)) {
        Some((target, version)) => (target, version.trim_ascii_start()),
        None => (rest, &b""[..]),
    };
    (!target.is_empty()).then_some((method, target, version))
}

struct ApacheError<'a> {
    time: Option<EventTime>,
    rest: &'a [u8],
}

fn apache_error(line: &[u8]) -> Option<ApacheError<'_>> {
    let (stamp, rest) = bracketed(line)?;
    let stamp = time::weekday_first(stamp).filter(|stamp| stamp.rest.is_empty())?;
    let rest = rest.trim_ascii_start();
    bracketed(rest).filter(|(inside, _)| is_level(inside))?;
    Some(ApacheError { time: stamp.time, rest })
}

/// `error`, `core:error`, `:error`, `ssl:trace3`.
fn is_level(inside: &[u8]) -> bool {
    const LEVELS: &[&[u8]] = &[b"emerg", b"alert", b"crit", b"error", b"warn", b"notice", b"info", b"debug"];
    let level = inside.rsplit(|b| *b == b':').next().unwrap_or_default();
    LEVELS.contains(&level) || level.starts_with(b"trace")
}

struct NginxError<'a> {
    time: Option<EventTime>,
    level: &'a [u8],
    pid: &'a [u8],
    tid: &'a [u8],
    message: &'a [u8],
}

fn nginx_error(line: &[u8]) -> Option<NginxError<'_>> {
    let (stamp, rest) = line.split_at_checked(19)?;
    let slashes = stamp.get(4) == Some(&b'/') && stamp.get(10) == Some(&b' ');
    let time = slashes.then(|| EventTime::parse_iso(stamp)).flatten()?;
    let (level, rest) = bracketed(rest.trim_ascii_start()).filter(|(inside, _)| is_level(inside))?;
    let (pid, rest) = split_at_byte(rest.trim_ascii_start(), b'#')?;
    let (tid, message) = split_at_byte(rest, b':')?;
    let message = message.trim_ascii_start();
    (is_digits(pid) && is_digits(tid)).then_some(NginxError { time: Some(time), level, pid, tid, message })
}

fn bracketed(text: &[u8]) -> Option<(&[u8], &[u8])> {
    split_at_byte(text.strip_prefix(b"[")?, b']')
}

/// `1.2.3.4:56`, `[::1]:56` and `www.example.org:80` without the port.
fn without_port(host: &[u8]) -> &[u8] {
    if let Some((inside, _)) = bracketed(host) {
        return inside;
    }
    match memrchr(b':', host).and_then(|at| host.split_at_checked(at)) {
        Some((name, port)) if is_digits(port.get(1..).unwrap_or_default()) && !is_ip(host) => name,
        _ => host,
    }
}

fn push(sink: &mut Sink<'_>, name: Option<besa_event::FieldId>, value: &[u8]) {
    sink.push_escaped(name, b'\\', value, |value, out| {
        backslash_decode(value, out, true, |escaped| match escaped {
            b'"' | b'\\' => Some(escaped),
            b'n' => Some(b'\n'),
            b't' => Some(b'\t'),
            b'r' => Some(b'\r'),
            _ => None,
        });
    });
}

fn push_present(sink: &mut Sink<'_>, name: Option<besa_event::FieldId>, value: &[u8]) {
    if !value.is_empty() && value != b"-" {
        push(sink, name, value);
    }
}

fn push_number_present(sink: &mut Sink<'_>, name: Option<besa_event::FieldId>, value: &[u8]) {
    if !value.is_empty() && value != b"-" {
        sink.push_number(name, value);
    }
}

/// Whether a message could be a line of this format; cheaper than trying.
pub(crate) fn is_likely(message: &[u8]) -> bool {
    message.starts_with(b"[") || memmem::find(message, b" [").is_some()
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
    fn access_lines() {
        check(
            &[
                r#"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326"#,
                r#"2001:db8::1 - - [15/Jul/2022:10:11:12 +0000] "GET /a?q=1&r=2 HTTP/1.1" 404 - "http://example.org/\"x\"" "curl/7.\x41" "203.0.113.7, 10.0.0.1" 0.005"#,
                r#"www.example.org:80 203.0.113.7 - user name [15/Jul/2022:10:11:12 +0000] "POST http://h.example/p?x HTTP/1.1" 302 0 "-" "-""#,
                r#"203.0.113.7 - - [15/Jul/2022:10:11:12 +0000] "\x16\x03\x01" 400 166 "-" "-""#,
                r#"203.0.113.7 - - [15/Jul/2022:10:11:12 +0000] "" 400 0 "-" "torn"#,
                "free text",
            ],
            &expect![[r#"
                1 2000-10-10T20:55:36Z stated host= /apache,nginx/webserver
                  c-ip=127.0.0.1
                  cs-username=frank
                  cs-method=GET
                  cs-uri=/apache_pb.gif
                  cs-uri-stem=/apache_pb.gif
                  cs-uri-query=/apache_pb.gif
                  cs-version=HTTP/1.0
                  sc-status=#200
                  sc-bytes=#2326
                  c-uri=/apache_pb.gif
                2 2022-07-15T10:11:12Z stated host= /apache,nginx/webserver
                  c-ip=2001:db8::1
                  cs-method=GET
                  cs-uri=/a?q=1&r=2
                  cs-uri-stem=/a
                  cs-uri-query=q=1&r=2
                  cs-uri-query=/a?q=1&r=2
                  cs-version=HTTP/1.1
                  sc-status=#404
                  cs-referer=http://example.org/\"x\"
                  cs-user-agent=curl/7.A
                  extra=203.0.113.7, 10.0.0.1
                  x-forwarded-for=203.0.113.7, 10.0.0.1
                  extra=0.005
                  time-taken=#0.005
                  c-useragent=curl/7.A
                  c-uri=/a
                3 2022-07-15T10:11:12Z stated host=www.example.org /apache,nginx/webserver
                  cs-host=www.example.org
                  c-ip=203.0.113.7
                  cs-username=user name
                  cs-method=POST
                  cs-uri=http://h.example/p?x
                  cs-host=h.example
                  cs-uri-stem=/p
                  cs-uri-query=x
                  cs-uri-query=http://h.example/p?x
                  cs-version=HTTP/1.1
                  sc-status=#302
                  sc-bytes=#0
                  c-uri=/p
                4 2022-07-15T10:11:12Z stated host= /apache,nginx/webserver
                  c-ip=203.0.113.7
                  request=\u{16}\u{3}\u{1}
                  sc-status=#400
                  sc-bytes=#166
                5 2022-07-15T10:11:12Z stated host= /apache,nginx/webserver
                  c-ip=203.0.113.7
                  sc-status=#400
                  sc-bytes=#0
                  cs-user-agent=torn
                  c-useragent=torn
                6 - host= //
                  message=free text
            "#]],
        );
    }

    #[test]
    fn error_lines() {
        check(
            &[
                "[Fri Sep 09 10:42:29.902022 2011] [core:error] [pid 35708:tid 4328636416] [client 72.15.99.187:4711] File does not exist: /usr/local/apache2/htdocs/favicon.ico",
                "[Wed Oct 11 14:32:52 2000] [error] [client 127.0.0.1] client denied",
                r#"2022/07/15 10:11:12 [error] 1234#0: *1 open() "/x" failed (2: No such file), client: 203.0.113.7, server: example.org, request: "GET /x?a=1 HTTP/1.1", host: "www.example.org""#,
            ],
            &expect![[r#"
                1 2011-09-09T10:42:29.902022Z assumed host= /apache/
                  module=core
                  severity=error
                  pid=#35708
                  tid=#4328636416
                  c-ip=72.15.99.187
                  message=File does not exist: /usr/local/apache2/htdocs/favicon.ico
                2 2000-10-11T14:32:52Z assumed host= /apache/
                  severity=error
                  c-ip=127.0.0.1
                  message=client denied
                3 2022-07-15T10:11:12Z assumed host= /nginx/
                  severity=error
                  pid=#1234
                  tid=#0
                  message=*1 open() \"/x\" failed (2: No such file), client: 203.0.113.7, server: example.org, request: \"GET /x?a=1 HTTP/1.1\", host: \"www.example.org\"
                  c-ip=203.0.113.7
                  server=example.org
                  cs-method=GET
                  cs-uri=/x?a=1
                  cs-uri-stem=/x
                  cs-uri-query=a=1
                  cs-uri-query=/x?a=1
                  cs-version=HTTP/1.1
                  cs-host=www.example.org
            "#]],
        );
    }
}
