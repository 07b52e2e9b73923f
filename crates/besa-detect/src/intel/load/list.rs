//! Lists of plain values, and what a plain value is.
//!
//! One value a line; blank lines and what follows ` #` are skipped. Also read: hosts files
//! (`0.0.0.0 evil.example`), sums (`<hash>  <file>`), `*.evil.example`, `||evil.example^`, defanged
//! spellings.

use besa_event::observable::{self, ObservableKind, is_domain, is_registry_key, parse_address, refang};

use super::{Description, Loading, Place};

pub(super) fn load(loading: &mut Loading<'_>, bytes: &[u8]) {
    let record = loading.record(&Description { each: true, ..Description::default() });
    loading.run(record);
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let Ok(line) = std::str::from_utf8(line) else {
            loading.refuse(Place::Line(number), "the line is not UTF-8");
            continue;
        };
        let value = without_comment(line).trim();
        if value.is_empty() {
            continue;
        }
        if let Err(reason) = add(loading, value) {
            loading.refuse(Place::Line(number), reason);
        }
    }
}

fn without_comment(line: &str) -> &str {
    let line = line.trim_start();
    if line.starts_with(['#', ';', '!']) || line.starts_with("//") {
        return "";
    }
    line.find(" #").or_else(|| line.find("\t#")).map_or(line, |at| &line[..at])
}

/// Adds a value of unstated kind.
pub(super) fn add(loading: &mut Loading<'_>, value: &str) -> Result<(), String> {
    let refanged = refang(value.trim_matches(['"', '\'']));
    match detect(&refanged) {
        Some((kind, text)) => loading.value(kind, text),
        None => Err(format!(
            "`{}` is of no kind that can be told; put it in a CSV list with a type column",
            super::cut(value)
        )),
    }
}

/// What a plain value is, and the part of it that counts.
pub(super) fn detect(text: &str) -> Option<(ObservableKind, &str)> {
    use ObservableKind as Kind;
    if text.contains("://") && !text.contains(char::is_whitespace) {
        return Some((Kind::Url, text));
    }
    if is_registry_key(text.as_bytes()) {
        return Some((Kind::RegistryKey, text));
    }
    if is_path(text) {
        return Some((Kind::FilePath, text));
    }
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    if matches!(first, "0.0.0.0" | "127.0.0.1" | "::" | "::1") && !rest.trim().is_empty() {
        // A hosts file; the address is where the name is sent to.
        return rest
            .split_whitespace()
            .next()
            .filter(|name| is_domain(name.as_bytes()))
            .map(|name| (Kind::Domain, name));
    }
    if first.bytes().all(|byte| byte.is_ascii_hexdigit())
        && let Some(kind) = Kind::of_hash_digits(first.len())
    {
        return Some((kind, first));
    }
    if !rest.is_empty() {
        let name = observable::file_name(text.as_bytes()).len() == text.len() && has_file_extension(text);
        return name.then_some((Kind::FileName, text));
    }
    if parse_address(text.as_bytes()).is_some() {
        return Some((Kind::Ipv4, text));
    }
    if let Some((address, prefix)) = text.split_once('/')
        && parse_address(address.as_bytes()).is_some()
        && prefix.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Some((Kind::Network, text));
    }
    if text.contains('@') {
        return Some((Kind::Email, text));
    }
    host(text)
}

fn host(text: &str) -> Option<(ObservableKind, &str)> {
    use ObservableKind as Kind;
    let bare = text.strip_prefix("||").map_or(text, |rest| rest.strip_suffix('^').unwrap_or(rest));
    let bare = bare.strip_prefix("*.").or_else(|| bare.strip_prefix('.')).unwrap_or(bare);
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    if let Some((name, port)) = bare.split_once(':')
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        let address = parse_address(name.as_bytes()).map(|_| Kind::Ipv4);
        return address.or(is_domain(name.as_bytes()).then_some(Kind::Domain)).map(|kind| (kind, name));
    }
    if bare.contains(['/', '?']) {
        let host = observable::url_host(bare.as_bytes());
        return (is_domain(host) || parse_address(host).is_some()).then_some((Kind::Url, bare));
    }
    if !is_domain(bare.as_bytes()) {
        return None;
    }
    Some(if has_file_extension(bare) { (Kind::FileName, bare) } else { (Kind::Domain, bare) })
}

fn is_path(text: &str) -> bool {
    let drive = matches!(text.as_bytes(), [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic());
    let rooted = text.starts_with('/') && !text.starts_with("//");
    drive || rooted || text.starts_with('\\') || (text.starts_with('%') && text.contains(['\\', '/']))
}

/// Endings of file names that look like domains. Those that are top-level domains as well (`com`,
/// `zip`, `sh`, `py`, `pl`, `rs`, `so`, `ps`, `app`, `mov`) are left to the domains, but for `zip`.
const EXTENSIONS: &[&str] = &[
    "7z", "asp", "aspx", "ashx", "asmx", "bat", "bin", "bmp", "cab", "cfg", "chm", "class", "cmd", "conf",
    "cpl", "csv", "dat", "db", "dll", "doc", "docm", "docx", "dotm", "drv", "dump", "elf", "exe", "gif",
    "gz", "hta", "htm", "html", "img", "inf", "ini", "iso", "jar", "jpeg", "jpg", "js", "jse", "jsp", "jspx",
    "json", "lnk", "log", "lua", "msi", "msp", "ocx", "odt", "pdb", "pdf", "php", "pif", "png", "ppt",
    "pptm", "pptx", "ps1", "psd1", "psm1", "rar", "rtf", "scr", "sct", "sys", "tar", "tmp", "txt", "vbe",
    "vbs", "vhd", "vhdx", "war", "wsf", "wsh", "xla", "xlam", "xll", "xls", "xlsb", "xlsm", "xlsx", "xml",
    "yaml", "yml", "zip",
];

fn has_file_extension(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}
