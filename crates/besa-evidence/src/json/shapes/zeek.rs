//! Zeek's logs as JSON: by `_path` (`@stream` at Corelight's sensors), or by the fields that
//! only one log has, since Zeek's own JSON writer names no log.

use besa_event::LogSource;

use super::super::record::Record;
use super::Role;

/// Fields that tell a log. The first that a record has decides, so a log whose fields appear in
/// others stands behind them.
const TELLING: &[(Role, &str)] = &[
    (Role::ZeekConn, "conn"),
    (Role::ZeekDns, "dns"),
    (Role::ZeekSmbFiles, "smb_files"),
    (Role::ZeekSmbMapping, "smb_mapping"),
    (Role::ZeekDceRpc, "dce_rpc"),
    (Role::ZeekKerberos, "kerberos"),
    (Role::ZeekRdp, "rdp"),
    (Role::ZeekX509, "x509"),
    (Role::ZeekSsh, "ssh"),
    (Role::ZeekNtlm, "ntlm"),
    (Role::ZeekSmtp, "smtp"),
    (Role::ZeekFtp, "ftp"),
    (Role::ZeekHttp, "http"),
    (Role::ZeekSsl, "ssl"),
    (Role::ZeekNotice, "notice"),
    (Role::ZeekFiles, "files"),
];

/// The log that a record is of; empty if the record names it itself. `None`: not Zeek's.
pub(super) fn log(block: &[u8], record: &Record) -> Option<&'static str> {
    if record.has(Role::ZeekPath) && record.has_any(&[Role::Ts, Role::AtTimestamp, Role::ZeekSensor]) {
        return is_name(record.text(block, Role::ZeekPath)).then_some("");
    }
    let is_connection = record.has_all(&[Role::Uid, Role::OriginHost, Role::Ts]);
    let is_file = record.has(Role::Ts) && record.has_any(&[Role::ZeekX509, Role::ZeekFiles]);
    if !is_connection && !is_file {
        return None;
    }
    // `action` is many products' word; only its values are smb_files' own.
    if record.text(block, Role::Action).starts_with(b"SMB::") {
        return Some("smb_files");
    }
    let log = TELLING.iter().find(|(role, _)| record.has(*role)).map(|(_, log)| *log);
    Some(log.unwrap_or("unknown"))
}

fn is_name(log: &[u8]) -> bool {
    !log.is_empty()
        && log.len() <= 64
        && log.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte))
}

/// The same classes as for Zeek's own TSV.
pub(super) fn class(log: &str) -> LogSource {
    crate::zeek::class_of(log.to_ascii_lowercase().as_bytes())
}
