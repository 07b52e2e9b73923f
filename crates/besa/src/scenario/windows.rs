//! Windows events as their providers write them: Sysmon 14, Security auditing, Service Control
//! Manager, PowerShell, Exchange. Field names and their order were taken from real records.

use md5::Md5;
use sha2::{Digest, Sha256};

use super::calendar::Time;
use super::estate::Host;
use super::rng::Rng;

/// One event before a sink gives it a record number.
#[derive(Clone, Debug)]
pub(super) struct WindowsRecord {
    pub(super) channel: &'static str,
    pub(super) provider: &'static str,
    pub(super) provider_guid: Option<&'static str>,
    pub(super) event_id: u16,
    pub(super) version: u8,
    pub(super) level: u8,
    pub(super) task: u16,
    pub(super) opcode: u8,
    pub(super) keywords: u64,
    pub(super) time: Time,
    pub(super) computer: String,
    pub(super) user_sid: Option<String>,
    /// Process and thread of the provider.
    pub(super) execution: (u32, u32),
    /// Name of the element within `UserData`; `None` for `EventData`.
    pub(super) user_data: Option<&'static str>,
    /// Empty names are `Data` elements without a name.
    pub(super) data: Vec<(&'static str, String)>,
}

pub(super) const SYSMON: &str = "Microsoft-Windows-Sysmon/Operational";
pub(super) const POWERSHELL: &str = "Microsoft-Windows-PowerShell/Operational";
pub(super) const EXCHANGE: &str = "MSExchange Management";
const SYSTEM_SID: &str = "S-1-5-18";

fn record(host: &Host, time: Time, event_id: u16, data: Vec<(&'static str, String)>) -> WindowsRecord {
    WindowsRecord {
        channel: SYSMON,
        provider: "Microsoft-Windows-Sysmon",
        provider_guid: Some("5770385F-C22A-43E0-BF4C-06F5698FFBD9"),
        event_id,
        version: 5,
        level: 4,
        task: event_id,
        opcode: 0,
        keywords: 0x8000_0000_0000_0000,
        time,
        computer: host.fqdn.clone(),
        user_sid: Some(SYSTEM_SID.into()),
        execution: (2_724, 3_880),
        user_data: None,
        data,
    }
}

/// A process as Sysmon 1 describes it.
#[derive(Clone, Debug, Default)]
pub(super) struct Process {
    pub(super) image: String,
    pub(super) command_line: String,
    pub(super) parent: String,
    pub(super) parent_command_line: String,
    pub(super) user: String,
    pub(super) parent_user: String,
    pub(super) company: &'static str,
    pub(super) description: &'static str,
    pub(super) original_name: &'static str,
    /// Published hashes; empty for hashes made up from the image's path.
    pub(super) hashes: &'static str,
}

fn directory(path: &str) -> &str {
    path.rsplit_once('\\').map_or("C:\\", |(directory, _)| directory)
}

/// `MD5=…[,SHA256=…]` of a file that has no published hash: the hash of its path.
fn hashes_of(host: &Host, path: &str) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let path = path.to_ascii_lowercase();
    let md5 = hex(&Md5::digest(&path));
    if host.md5_only {
        format!("MD5={md5}")
    } else {
        format!("MD5={md5},SHA256={}", hex(&Sha256::digest(&path)))
    }
}

/// Sysmon 1.
pub(super) fn process(rng: &mut Rng, host: &Host, time: Time, process: &Process) -> WindowsRecord {
    let raised = ["\\adm.", "\\Administrator", "IIS APPPOOL"].iter().any(|part| process.user.contains(part));
    let integrity = match () {
        () if process.user.contains("SYSTEM") => "System",
        () if raised => "High",
        () => "Medium",
    };
    let or_path = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let hashes =
        if process.hashes.is_empty() { hashes_of(host, &process.image) } else { process.hashes.to_owned() };
    let data = vec![
        ("RuleName", "-".into()),
        ("UtcTime", time.sysmon()),
        ("ProcessGuid", rng.guid()),
        ("ProcessId", (rng.between(150, 4_000) * 4).to_string()),
        ("Image", process.image.clone()),
        ("FileVersion", or_path(if process.company.is_empty() { "" } else { "10.0.17763.1" })),
        ("Description", or_path(process.description)),
        ("Product", or_path(process.description)),
        ("Company", or_path(process.company)),
        ("OriginalFileName", or_path(process.original_name)),
        ("CommandLine", process.command_line.clone()),
        ("CurrentDirectory", format!("{}\\", directory(&process.image))),
        ("User", process.user.clone()),
        ("LogonGuid", rng.guid()),
        ("LogonId", format!("{:#x}", rng.between(0x3e7, 0x0fff_ffff))),
        ("TerminalSessionId", if integrity == "Medium" { "1" } else { "0" }.into()),
        ("IntegrityLevel", integrity.into()),
        ("Hashes", hashes),
        ("ParentProcessGuid", rng.guid()),
        ("ParentProcessId", (rng.between(150, 4_000) * 4).to_string()),
        ("ParentImage", process.parent.clone()),
        ("ParentCommandLine", process.parent_command_line.clone()),
        (
            "ParentUser",
            if process.parent_user.is_empty() { &process.user } else { &process.parent_user }.clone(),
        ),
    ];
    record(host, time, 1, data)
}

/// A connection as Sysmon 3 describes it.
pub(super) struct Connection<'a> {
    pub(super) image: &'a str,
    pub(super) user: &'a str,
    pub(super) to: &'a str,
    pub(super) to_name: &'a str,
    pub(super) port: u16,
}

/// Sysmon 3.
pub(super) fn connection(
    rng: &mut Rng,
    host: &Host,
    time: Time,
    connection: &Connection<'_>,
) -> WindowsRecord {
    let v6 = connection.to.contains(':').to_string();
    let data = vec![
        ("RuleName", "-".into()),
        ("UtcTime", time.sysmon()),
        ("ProcessGuid", rng.guid()),
        ("ProcessId", (rng.between(150, 4_000) * 4).to_string()),
        ("Image", connection.image.into()),
        ("User", connection.user.into()),
        ("Protocol", "tcp".into()),
        ("Initiated", "true".into()),
        ("SourceIsIpv6", "false".into()),
        ("SourceIp", host.ip.clone()),
        ("SourceHostname", host.fqdn.clone()),
        ("SourcePort", rng.between(49_152, 65_535).to_string()),
        ("SourcePortName", "-".into()),
        ("DestinationIsIpv6", v6),
        ("DestinationIp", connection.to.into()),
        ("DestinationHostname", connection.to_name.into()),
        ("DestinationPort", connection.port.to_string()),
        ("DestinationPortName", if connection.port == 443 { "https" } else { "-" }.into()),
    ];
    record(host, time, 3, data)
}

/// Sysmon 6: a driver was loaded.
pub(super) fn driver(host: &Host, time: Time, path: &str, hashes: &str, signature: &str) -> WindowsRecord {
    let hashes = if hashes.is_empty() { hashes_of(host, path) } else { hashes.into() };
    let data = vec![
        ("RuleName", "-".into()),
        ("UtcTime", time.sysmon()),
        ("ImageLoaded", path.into()),
        ("Hashes", hashes),
        ("Signed", "true".into()),
        ("Signature", signature.into()),
        ("SignatureStatus", "Valid".into()),
    ];
    WindowsRecord { version: 4, ..record(host, time, 6, data) }
}

/// An image as Sysmon 7 describes it.
pub(super) struct Image<'a> {
    pub(super) process: &'a str,
    pub(super) path: &'a str,
    pub(super) hashes: &'a str,
    /// Signer, or empty for unsigned.
    pub(super) signature: &'a str,
    pub(super) status: &'a str,
    pub(super) user: &'a str,
}

/// Sysmon 7.
pub(super) fn image_load(rng: &mut Rng, host: &Host, time: Time, image: &Image<'_>) -> WindowsRecord {
    let hashes = if image.hashes.is_empty() { hashes_of(host, image.path) } else { image.hashes.into() };
    let data = vec![
        ("RuleName", "-".into()),
        ("UtcTime", time.sysmon()),
        ("ProcessGuid", rng.guid()),
        ("ProcessId", (rng.between(150, 4_000) * 4).to_string()),
        ("Image", image.process.into()),
        ("ImageLoaded", image.path.into()),
        ("FileVersion", "-".into()),
        ("Description", "-".into()),
        ("Product", "-".into()),
        ("Company", "-".into()),
        ("OriginalFileName", "-".into()),
        ("Hashes", hashes),
        ("Signed", (!image.signature.is_empty()).to_string()),
        ("Signature", if image.signature.is_empty() { "-" } else { image.signature }.into()),
        ("SignatureStatus", image.status.into()),
        ("User", image.user.into()),
    ];
    WindowsRecord { version: 3, ..record(host, time, 7, data) }
}

/// Sysmon 10: a process was opened.
pub(super) fn process_access(
    rng: &mut Rng,
    host: &Host,
    time: Time,
    source: &str,
    target: &str,
    access: &str,
) -> WindowsRecord {
    let data = vec![
        ("RuleName", "-".into()),
        ("UtcTime", time.sysmon()),
        ("SourceProcessGUID", rng.guid()),
        ("SourceProcessId", (rng.between(150, 4_000) * 4).to_string()),
        ("SourceThreadId", (rng.between(150, 4_000) * 4).to_string()),
        ("SourceImage", source.into()),
        ("TargetProcessGUID", rng.guid()),
        ("TargetProcessId", "712".into()),
        ("TargetImage", target.into()),
        ("GrantedAccess", access.into()),
        (
            "CallTrace",
            "C:\\Windows\\SYSTEM32\\ntdll.dll+9fc24|C:\\Windows\\System32\\KERNELBASE.dll+20d1e".into(),
        ),
        ("SourceUser", "NT AUTHORITY\\SYSTEM".into()),
        ("TargetUser", "NT AUTHORITY\\SYSTEM".into()),
    ];
    WindowsRecord { version: 3, ..record(host, time, 10, data) }
}

/// Sysmon 11: a file was created.
pub(super) fn file_created(
    rng: &mut Rng,
    host: &Host,
    time: Time,
    image: &str,
    path: &str,
    user: &str,
) -> WindowsRecord {
    let data = vec![
        ("RuleName", "-".into()),
        ("UtcTime", time.sysmon()),
        ("ProcessGuid", rng.guid()),
        ("ProcessId", (rng.between(150, 4_000) * 4).to_string()),
        ("Image", image.into()),
        ("TargetFilename", path.into()),
        ("CreationUtcTime", time.sysmon()),
        ("User", user.into()),
    ];
    WindowsRecord { version: 2, ..record(host, time, 11, data) }
}

/// Sysmon 23: a file was deleted and kept, with its hashes.
pub(super) fn file_deleted(
    rng: &mut Rng,
    host: &Host,
    time: Time,
    image: &str,
    path: &str,
    hashes: &str,
    user: &str,
) -> WindowsRecord {
    let data = vec![
        ("RuleName", "-".into()),
        ("UtcTime", time.sysmon()),
        ("ProcessGuid", rng.guid()),
        ("ProcessId", (rng.between(150, 4_000) * 4).to_string()),
        ("User", user.into()),
        ("Image", image.into()),
        ("TargetFilename", path.into()),
        ("Hashes", if hashes.is_empty() { hashes_of(host, path) } else { hashes.into() }),
        ("IsExecutable", "false".into()),
        ("Archived", "true".into()),
    ];
    record(host, time, 23, data)
}

/// Sysmon 13: a registry value was set.
pub(super) fn registry_set(
    rng: &mut Rng,
    host: &Host,
    time: Time,
    image: &str,
    value: &str,
    details: &str,
    user: &str,
) -> WindowsRecord {
    let data = vec![
        ("RuleName", "-".into()),
        ("EventType", "SetValue".into()),
        ("UtcTime", time.sysmon()),
        ("ProcessGuid", rng.guid()),
        ("ProcessId", (rng.between(150, 4_000) * 4).to_string()),
        ("Image", image.into()),
        ("TargetObject", value.into()),
        ("Details", details.into()),
        ("User", user.into()),
    ];
    WindowsRecord { version: 2, ..record(host, time, 13, data) }
}

/// Sysmon 22: a name was resolved.
pub(super) fn dns_query(
    rng: &mut Rng,
    host: &Host,
    time: Time,
    image: &str,
    name: &str,
    answer: &str,
    user: &str,
) -> WindowsRecord {
    let data = vec![
        ("RuleName", "-".into()),
        ("UtcTime", time.sysmon()),
        ("ProcessGuid", rng.guid()),
        ("ProcessId", (rng.between(150, 4_000) * 4).to_string()),
        ("QueryName", name.into()),
        ("QueryStatus", "0".into()),
        ("QueryResults", format!("::ffff:{answer};")),
        ("Image", image.into()),
        ("User", user.into()),
    ];
    record(host, time, 22, data)
}

/// A record of Security auditing.
pub(super) fn security(
    host: &Host,
    time: Time,
    event_id: u16,
    task: u16,
    data: Vec<(&'static str, String)>,
) -> WindowsRecord {
    WindowsRecord {
        channel: "Security",
        provider: "Microsoft-Windows-Security-Auditing",
        provider_guid: Some("54849625-5478-4994-A5BA-3E3B0328C30D"),
        version: match event_id {
            4_624 | 4_688 => 2,
            4_656 | 5_140 => 1,
            _ => 0,
        },
        level: 0,
        task,
        keywords: if event_id == 4_625 { 0x8010_0000_0000_0000 } else { 0x8020_0000_0000_0000 },
        user_sid: None,
        execution: (708, 4_312),
        ..record(host, time, event_id, data)
    }
}

/// Who logs on, how and from where.
pub(super) struct Logon<'a> {
    pub(super) sid: &'a str,
    pub(super) user: &'a str,
    pub(super) domain: &'a str,
    pub(super) kind: u8,
    pub(super) from_ip: &'a str,
    pub(super) from_name: &'a str,
}

/// Security 4624.
pub(super) fn logon(rng: &mut Rng, host: &Host, time: Time, logon: &Logon<'_>) -> WindowsRecord {
    let (process, package) = match logon.kind {
        2 | 10 | 11 => ("User32 ", "Negotiate"),
        5 => ("Advapi  ", "Negotiate"),
        _ if rng.chance(0.3) => ("NtLmSsp ", "NTLM"),
        _ => ("Kerberos", "Kerberos"),
    };
    let interactive = matches!(logon.kind, 2 | 5 | 10 | 11);
    let subject = if interactive {
        ["S-1-5-18".to_owned(), format!("{}$", host.name.to_uppercase()), logon.domain.into(), "0x3e7".into()]
    } else {
        ["S-1-0-0".into(), "-".into(), "-".into(), "0x0".into()]
    };
    let [subject_sid, subject_user, subject_domain, subject_logon] = subject;
    let data = vec![
        ("SubjectUserSid", subject_sid),
        ("SubjectUserName", subject_user),
        ("SubjectDomainName", subject_domain),
        ("SubjectLogonId", subject_logon),
        ("TargetUserSid", logon.sid.into()),
        ("TargetUserName", logon.user.into()),
        ("TargetDomainName", logon.domain.into()),
        ("TargetLogonId", format!("{:#x}", rng.between(0x1_0000, 0x0fff_ffff))),
        ("LogonType", logon.kind.to_string()),
        ("LogonProcessName", process.into()),
        ("AuthenticationPackageName", package.into()),
        ("WorkstationName", logon.from_name.into()),
        (
            "LogonGuid",
            if package == "NTLM" {
                format!("{{{}}}", "00000000-0000-0000-0000-000000000000")
            } else {
                rng.guid()
            },
        ),
        ("TransmittedServices", "-".into()),
        ("LmPackageName", if package == "NTLM" { "NTLM V2" } else { "-" }.into()),
        ("KeyLength", if package == "NTLM" { "128" } else { "0" }.into()),
        ("ProcessId", if interactive { "0x4f8" } else { "0x0" }.into()),
        ("ProcessName", if interactive { "C:\\Windows\\System32\\svchost.exe" } else { "-" }.into()),
        ("IpAddress", logon.from_ip.into()),
        ("IpPort", if logon.from_ip == "-" { "-".into() } else { rng.between(49_152, 65_535).to_string() }),
        ("ImpersonationLevel", "%%1833".into()),
        ("RestrictedAdminMode", "-".into()),
        ("TargetOutboundUserName", "-".into()),
        ("TargetOutboundDomainName", "-".into()),
        ("VirtualAccount", "%%1843".into()),
        ("TargetLinkedLogonId", "0x0".into()),
        ("ElevatedToken", "%%1842".into()),
    ];
    security(host, time, 4_624, 12_544, data)
}

/// Security 5145: a file of a share was asked for.
pub(super) fn share_access(
    rng: &mut Rng,
    host: &Host,
    time: Time,
    logon: &Logon<'_>,
    share: (&str, &str),
    file: &str,
    write: bool,
) -> WindowsRecord {
    let data = vec![
        ("SubjectUserSid", logon.sid.into()),
        ("SubjectUserName", logon.user.into()),
        ("SubjectDomainName", logon.domain.into()),
        ("SubjectLogonId", format!("{:#x}", rng.between(0x1_0000, 0x0fff_ffff))),
        ("ObjectType", "File".into()),
        ("IpAddress", logon.from_ip.into()),
        ("IpPort", rng.between(49_152, 65_535).to_string()),
        ("ShareName", format!("\\\\*\\{}", share.0)),
        ("ShareLocalPath", format!("\\??\\{}", share.1)),
        ("RelativeTargetName", file.into()),
        ("AccessMask", if write { "0x2" } else { "0x1" }.into()),
        ("AccessList", if write { "%%4417\r\n\t\t\t\t" } else { "%%4416\r\n\t\t\t\t" }.into()),
        ("AccessReason", "-".into()),
    ];
    security(host, time, 5_145, 12_811, data)
}

/// A record of the System log by the Service Control Manager.
pub(super) fn service_control(
    host: &Host,
    time: Time,
    event_id: u16,
    user_sid: &str,
    data: Vec<(&'static str, String)>,
) -> WindowsRecord {
    WindowsRecord {
        channel: "System",
        provider: "Service Control Manager",
        provider_guid: Some("555908D1-A6D7-4695-8E1E-26931D2012F4"),
        version: 0,
        task: 0,
        keywords: 0x8080_0000_0000_0000,
        user_sid: (!user_sid.is_empty()).then(|| user_sid.to_owned()),
        execution: (664, 5_220),
        ..record(host, time, event_id, data)
    }
}

/// System 7045: a service was installed.
pub(super) fn service_installed(
    host: &Host,
    time: Time,
    name: &str,
    path: &str,
    driver: bool,
    user_sid: &str,
) -> WindowsRecord {
    let data = vec![
        ("ServiceName", name.into()),
        ("ImagePath", path.into()),
        ("ServiceType", if driver { "kernel mode driver" } else { "user mode service" }.into()),
        ("StartType", "demand start".into()),
        ("AccountName", if driver { "" } else { "LocalSystem" }.into()),
    ];
    service_control(host, time, 7_045, user_sid, data)
}

/// Security 1102 and System 104: a log was cleared.
pub(super) fn log_cleared(
    host: &Host,
    time: Time,
    log: &str,
    sid: &str,
    user: &str,
    domain: &str,
) -> WindowsRecord {
    let of_security = log == "Security";
    let data = if of_security {
        vec![
            ("SubjectUserSid", sid.into()),
            ("SubjectUserName", user.into()),
            ("SubjectDomainName", domain.into()),
            ("SubjectLogonId", "0x2b41f7".into()),
        ]
    } else {
        vec![
            ("SubjectUserName", user.into()),
            ("SubjectDomainName", domain.into()),
            ("Channel", log.into()),
            ("BackupPath", String::new()),
        ]
    };
    WindowsRecord {
        channel: if of_security { "Security" } else { "System" },
        provider: "Microsoft-Windows-Eventlog",
        provider_guid: Some("FC65DDD8-D6EF-4962-83D5-6E5CFE9CE148"),
        version: 0,
        task: 104,
        keywords: if of_security { 0x4020_0000_0000_0000 } else { 0x8000_0000_0000_0000 },
        user_sid: (!of_security).then(|| sid.to_owned()),
        execution: (1_148, 6_400),
        user_data: Some("LogFileCleared"),
        ..record(host, time, if of_security { 1_102 } else { 104 }, data)
    }
}

/// PowerShell 4104: a script block.
pub(super) fn script_block(
    rng: &mut Rng,
    host: &Host,
    time: Time,
    text: &str,
    path: &str,
    user_sid: &str,
) -> WindowsRecord {
    let id = rng.guid().trim_matches(['{', '}']).to_lowercase();
    let data = vec![
        ("MessageNumber", "1".into()),
        ("MessageTotal", "1".into()),
        ("ScriptBlockText", text.into()),
        ("ScriptBlockId", id),
        ("Path", path.into()),
    ];
    WindowsRecord {
        channel: POWERSHELL,
        provider: "Microsoft-Windows-PowerShell",
        provider_guid: Some("A0C1853B-5C40-4B15-8766-3CF1C58F985A"),
        version: 1,
        level: 5,
        task: 2,
        opcode: 15,
        keywords: 0,
        user_sid: Some(user_sid.into()),
        execution: (7_312, 9_040),
        ..record(host, time, 4_104, data)
    }
}

/// MSExchange Management 1: a cmdlet succeeded. The data have no names.
pub(super) fn exchange_cmdlet(
    rng: &mut Rng,
    host: &Host,
    time: Time,
    cmdlet: (&str, &str),
    user: &str,
    sid: &str,
) -> WindowsRecord {
    let process = rng.between(900, 4_000) * 4;
    let data = [
        cmdlet.0,
        cmdlet.1,
        user,
        sid,
        sid,
        "ServerRemoteHost-EMS",
        &format!("{process} w3wp#MSExchangePowerShellAppPool"),
        "",
        &rng.between(10, 90).to_string(),
        &format!("00:00:0{}.{:07}", rng.below(4), rng.below(10_000_000)),
        "View Entire Forest: 'False', Default Scope: ''",
        "",
        "",
        "",
        "",
        "",
    ];
    WindowsRecord {
        channel: EXCHANGE,
        provider: "MSExchange CmdletLogs",
        provider_guid: None,
        version: 0,
        task: 1,
        keywords: 0x0080_0000_0000_0000,
        user_sid: None,
        execution: (0, 0),
        ..record(host, time, 1, data.map(|value| ("", value.to_owned())).into())
    }
}
