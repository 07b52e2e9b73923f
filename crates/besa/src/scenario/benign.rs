//! The everyday of a government's network: what people, servers and their administrators do.
//!
//! Every function makes one event of one stream at a given time. Variety comes from people, hosts,
//! documents, sites and paths combined; popular ones come up more often, as they do in life.

use super::calendar::Time;
use super::estate::{Host, Member, User};
use super::rng::Rng;
use super::text::{Request, syslog, zeek_line};
use super::windows::{self, Connection, Image, Logon, Process, WindowsRecord};

const TOPICS: &[&str] = &[
    "budget",
    "agenda",
    "minutes",
    "report",
    "tender",
    "contract",
    "draft",
    "law",
    "decree",
    "survey",
    "plan",
    "invoice",
    "travel",
    "roster",
    "statistics",
    "health",
    "education",
    "transport",
    "energy",
    "customs",
    "cadastre",
    "archive",
    "census",
    "licence",
    "permit",
    "audit",
    "training",
    "procurement",
    "press",
    "annex",
];
const SITES: &[&str] = &[
    "news", "weather", "maps", "portal", "bank", "mail", "shop", "travel", "library", "journal", "sport",
    "video", "cloud", "update", "cdn", "forum", "wiki", "jobs", "health", "music", "metrics", "login",
];
const ZONES: &[&str] = &["example", "example.com", "example.net", "example.org"];
const WINDOWS_MAKER: &str = "Microsoft Corporation";

pub(super) fn agent(rng: &mut Rng) -> String {
    let windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64";
    let version = rng.between(88, 104);
    let chrome = format!(
        "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.{}.{}",
        version * 50 + rng.below(20),
        rng.below(200)
    );
    match rng.weighted(&[45, 20, 15, 10, 10]) {
        0 => format!("{windows}) {chrome} Safari/537.36"),
        1 => format!(
            "{windows}) {chrome} Safari/537.36 Edg/{version}.0.{}.{}",
            rng.below(1_300),
            rng.below(90)
        ),
        2 => format!("{windows}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"),
        3 => format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 15_{} like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
            rng.below(6)
        ),
        _ => format!("Mozilla/5.0 (Linux; Android 11; SM-A{}5F) {chrome} Mobile Safari/537.36", rng.below(9)),
    }
}

fn site(rng: &mut Rng) -> String {
    let number = if rng.chance(0.4) { rng.below(40).to_string() } else { String::new() };
    format!("{}-{}{number}.{}", rng.pick_skewed(TOPICS), rng.pick_skewed(SITES), rng.pick(ZONES))
}

fn document(rng: &mut Rng) -> String {
    let extension = *rng.pick_skewed(&["docx", "xlsx", "pdf", "pptx", "txt", "zip"]);
    format!("{}-{}-{}.{extension}", rng.pick_skewed(TOPICS), rng.pick(TOPICS), rng.between(1, 4_000))
}

fn person<'a>(rng: &mut Rng, member: &'a Member) -> &'a User {
    rng.pick_skewed(&member.users)
}

/// One of the member's few administrators: a named account.
fn administrator<'a>(rng: &mut Rng, member: &'a Member) -> (String, String, &'a Host) {
    let index = rng.below(6) as usize;
    let name = format!("adm.{}", member.first_names[index]);
    (name, format!("{}-{}", member.sid, 5_001 + index), &member.clients[index * 3])
}

// ---- Windows: processes -------------------------------------------------------------------

const EXPLORER: &str = "C:\\Windows\\explorer.exe";
const SVCHOST: &str = "C:\\Windows\\System32\\svchost.exe";
const SERVICES: &str = "C:\\Windows\\System32\\services.exe";
const SYSTEM_USER: &str = "NT AUTHORITY\\SYSTEM";
const SERVICE_GROUPS: &[&str] = &[
    "netsvcs -p -s Schedule",
    "netsvcs -p -s wuauserv",
    "netsvcs -p -s BITS",
    "LocalService -p -s nsi",
    "NetworkService -p -s Dnscache",
    "LocalServiceNetworkRestricted -p -s EventLog",
    "netsvcs -p -s gpsvc",
    "UnistackSvcGroup -s CDPUserSvc",
    "DcomLaunch -p -s LSM",
    "appmodel -p -s StateRepository",
    "wsappx -p -s ClipSVC",
    "netsvcs -p -s UsoSvc",
    "LocalSystemNetworkRestricted -p -s SysMain",
];

fn office(rng: &mut Rng, user: &User) -> Process {
    let (name, description) = *rng.pick_skewed(&[
        ("WINWORD.EXE", "Microsoft Word"),
        ("EXCEL.EXE", "Microsoft Excel"),
        ("OUTLOOK.EXE", "Microsoft Outlook"),
        ("POWERPNT.EXE", "Microsoft PowerPoint"),
    ]);
    let image = format!("C:\\Program Files\\Microsoft Office\\root\\Office16\\{name}");
    let folder = *rng.pick(&["Documents", "Desktop", "Downloads"]);
    let command_line = format!("\"{image}\" /n \"C:\\Users\\{}\\{folder}\\{}\"", user.name, document(rng));
    Process { image, command_line, description, original_name: name, ..by_explorer() }
}

fn by_explorer() -> Process {
    Process {
        parent: EXPLORER.into(),
        parent_command_line: EXPLORER.into(),
        company: WINDOWS_MAKER,
        ..Process::default()
    }
}

fn browser(rng: &mut Rng, user: &User) -> Process {
    let (image, company) = *rng.pick_skewed(&[
        ("C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe", "Google LLC"),
        ("C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe", WINDOWS_MAKER),
        ("C:\\Program Files\\Mozilla Firefox\\firefox.exe", "Mozilla Corporation"),
    ]);
    let kind = *rng.pick(&["renderer", "gpu-process", "utility", "crashpad-handler"]);
    let command_line = format!(
        "\"{image}\" --type={kind} --field-trial-handle={},{},{} --lang=en-US --user-data-dir=C:\\Users\\{}\\AppData\\Local\\Profile{}",
        rng.between(1_000, 3_000),
        rng.next(),
        rng.below(131_072),
        user.name,
        rng.below(3)
    );
    Process {
        image: image.into(),
        command_line,
        parent: image.into(),
        parent_command_line: format!("\"{image}\""),
        company,
        ..Process::default()
    }
}

fn by_services(rng: &mut Rng) -> Process {
    let (image, arguments, description) = match rng.below(4) {
        0 | 1 => (SVCHOST.to_owned(), format!(" -k {}", rng.pick_skewed(SERVICE_GROUPS)), "Host Process"),
        2 => (
            format!(
                "C:\\ProgramData\\Microsoft\\Windows Defender\\Platform\\4.18.2{}.{}-0\\MsMpEng.exe",
                rng.between(100, 210),
                rng.between(4, 9)
            ),
            String::new(),
            "Antimalware Service Executable",
        ),
        _ => ("C:\\Windows\\System32\\spoolsv.exe".to_owned(), String::new(), "Spooler SubSystem App"),
    };
    Process {
        command_line: format!("{image}{arguments}"),
        image,
        parent: SERVICES.into(),
        parent_command_line: SERVICES.into(),
        company: WINDOWS_MAKER,
        description,
        user: SYSTEM_USER.into(),
        ..Process::default()
    }
}

fn by_svchost(rng: &mut Rng) -> Process {
    let system = |name: &str| format!("C:\\Windows\\System32\\{name}");
    let (image, command_line) = match rng.below(8) {
        0 => (system("taskhostw.exe"), "taskhostw.exe {222A245B-E637-4AE9-A93F-A59CA119A75E}".to_owned()),
        1 => (system("wbem\\WmiPrvSE.exe"), format!("{} -secured -Embedding", system("wbem\\wmiprvse.exe"))),
        2 => (system("dllhost.exe"), format!("{} /Processid:{}", system("DllHost.exe"), rng.guid())),
        3 => (
            system("backgroundTaskHost.exe"),
            format!("\"{}\" -ServerName:App.{}.mca", system("backgroundTaskHost.exe"), rng.letters(8)),
        ),
        4 => (system("RuntimeBroker.exe"), format!("{} -Embedding", system("RuntimeBroker.exe"))),
        5 => (
            system("SearchProtocolHost.exe"),
            format!(
                "\"{}\" Global\\UsGthrFltPipeMssGthrPipe{}",
                system("SearchProtocolHost.exe"),
                rng.below(3_000)
            ),
        ),
        6 => (system("gpupdate.exe"), "gpupdate.exe /target:computer".to_owned()),
        _ => (system("sc.exe"), "C:\\Windows\\system32\\sc.exe start w32time task_started".to_owned()),
    };
    Process {
        image,
        command_line,
        parent: SVCHOST.into(),
        parent_command_line: format!("{SVCHOST} -k {}", rng.pick_skewed(SERVICE_GROUPS)),
        company: WINDOWS_MAKER,
        user: SYSTEM_USER.into(),
        ..Process::default()
    }
}

fn small_tool(rng: &mut Rng, member: &Member) -> Process {
    let logon_script = format!("cmd.exe /c \"\\\\{}\\netlogon\\logon.bat\"", member.domain);
    match rng.below(6) {
        0 => Process {
            image: "C:\\Windows\\System32\\cmd.exe".into(),
            command_line: logon_script,
            parent: "C:\\Windows\\System32\\userinit.exe".into(),
            parent_command_line: "C:\\Windows\\system32\\userinit.exe".into(),
            ..by_explorer()
        },
        1 => Process {
            image: "C:\\Windows\\System32\\net.exe".into(),
            command_line: format!(
                "net use {}: \\\\filesrv01\\{}",
                rng.pick(&["H", "P", "S"]),
                rng.pick(TOPICS)
            ),
            parent: "C:\\Windows\\System32\\cmd.exe".into(),
            parent_command_line: logon_script,
            ..by_explorer()
        },
        2 => Process {
            image: "C:\\Windows\\System32\\rundll32.exe".into(),
            command_line: "RUNDLL32.EXE user32.dll,UpdatePerUserSystemParameters ,1 ,True".into(),
            parent: "C:\\Windows\\System32\\cmd.exe".into(),
            parent_command_line: logon_script,
            ..by_explorer()
        },
        3 => Process {
            image: "C:\\Windows\\System32\\notepad.exe".into(),
            command_line: format!("\"C:\\Windows\\system32\\NOTEPAD.EXE\" C:\\Temp\\{}", document(rng)),
            ..by_explorer()
        },
        4 => Process {
            image: "C:\\Program Files\\7-Zip\\7zFM.exe".into(),
            command_line: format!("\"C:\\Program Files\\7-Zip\\7zFM.exe\" \"{}\"", document(rng)),
            company: "Igor Pavlov",
            ..by_explorer()
        },
        _ => Process {
            image: "C:\\Windows\\splwow64.exe".into(),
            command_line: "C:\\Windows\\splwow64.exe 8192".into(),
            parent: "C:\\Program Files\\Adobe\\Acrobat DC\\Acrobat\\AcroRd32.exe".into(),
            parent_command_line: format!("AcroRd32.exe \"{}\"", document(rng)),
            ..by_explorer()
        },
    }
}

fn client_process(rng: &mut Rng, member: &Member, user: &User) -> Process {
    let mut process = match rng.weighted(&[30, 30, 15, 15, 10]) {
        0 => office(rng, user),
        1 => browser(rng, user),
        2 => by_services(rng),
        3 => by_svchost(rng),
        _ => small_tool(rng, member),
    };
    if process.user.is_empty() {
        process.user = format!("{}\\{}", member.netbios, user.name);
    }
    process
}

// ---- Windows: the rest --------------------------------------------------------------------

fn client_connection(rng: &mut Rng, member: &Member, host: &Host, user: &User, time: Time) -> WindowsRecord {
    let name = site(rng);
    let inside = rng.chance(0.4);
    let (to, port) = if inside {
        (
            format!("{}.1.{}", member.network, rng.pick(&[10, 20, 30, 40, 50])),
            *rng.pick(&[445, 443, 88, 389, 135]),
        )
    } else {
        (Member::outside(rng), 443)
    };
    let image = if inside { "System" } else { "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe" };
    let user = format!("{}\\{}", member.netbios, user.name);
    let to_name = if inside { "-" } else { &name };
    windows::connection(rng, host, time, &Connection { image, user: &user, to: &to, to_name, port })
}

fn client_file(rng: &mut Rng, member: &Member, host: &Host, user: &User, time: Time) -> WindowsRecord {
    let account = format!("{}\\{}", member.netbios, user.name);
    let (image, path) = match rng.below(4) {
        0 => (
            "C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE",
            format!("C:\\Users\\{}\\Documents\\~${}", user.name, document(rng)),
        ),
        1 => (
            "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
            format!("C:\\Users\\{}\\Downloads\\{}", user.name, document(rng)),
        ),
        2 => (
            EXPLORER,
            format!(
                "C:\\Users\\{}\\AppData\\Roaming\\Microsoft\\Windows\\Recent\\{}.lnk",
                user.name,
                document(rng)
            ),
        ),
        _ => (
            SVCHOST,
            format!(
                "C:\\Windows\\Prefetch\\{}.EXE-{:08X}.pf",
                rng.letters(7).to_uppercase(),
                rng.next() >> 32
            ),
        ),
    };
    windows::file_created(rng, host, time, image, &path, &account)
}

fn client_registry(rng: &mut Rng, member: &Member, host: &Host, user: &User, time: Time) -> WindowsRecord {
    let sid = member.user_sid(user);
    let (image, value, details) = match rng.below(4) {
        0 => (
            EXPLORER,
            format!(
                "HKU\\{sid}\\Software\\Microsoft\\Windows\\CurrentVersion\\Explorer\\RecentDocs\\.docx\\{}",
                rng.below(50)
            ),
            "Binary Data".to_owned(),
        ),
        1 => (
            EXPLORER,
            format!("HKU\\{sid}\\Control Panel\\Desktop\\Wallpaper"),
            format!("C:\\Windows\\Web\\Wallpaper\\{}\\img{}.jpg", member.netbios, rng.below(20)),
        ),
        2 => (
            SERVICES,
            format!(
                "HKLM\\System\\CurrentControlSet\\Services\\{}\\Start",
                rng.pick(&["BITS", "wuauserv", "TrustedInstaller"])
            ),
            format!("DWORD (0x0000000{})", rng.between(2, 4)),
        ),
        _ => (
            "C:\\ProgramData\\Microsoft\\Windows Defender\\Platform\\4.18.2203.5-0\\MsMpEng.exe",
            "HKLM\\SOFTWARE\\Microsoft\\Windows Defender\\Signature Updates\\SignaturesLastUpdated"
                .to_owned(),
            "Binary Data".to_owned(),
        ),
    };
    let account = format!("{}\\{}", member.netbios, user.name);
    windows::registry_set(rng, host, time, image, &value, &details, &account)
}

fn logon_of(rng: &mut Rng, member: &Member, host: &Host, time: Time) -> WindowsRecord {
    if rng.chance(0.04) {
        let (name, sid, from) = administrator(rng, member);
        let kind = *rng.pick(&[10, 3]);
        let logon = Logon {
            sid: &sid,
            user: &name,
            domain: member.netbios,
            kind,
            from_ip: &from.ip,
            from_name: &from.name,
        };
        return windows::logon(rng, host, time, &logon);
    }
    if rng.chance(0.2) {
        let logon = Logon {
            sid: "S-1-5-18",
            user: "SYSTEM",
            domain: "NT AUTHORITY",
            kind: 5,
            from_ip: "-",
            from_name: "-",
        };
        return windows::logon(rng, host, time, &logon);
    }
    let user = person(rng, member);
    let from = member.client_of(rng, user);
    let sid = member.user_sid(user);
    let local = from.name == host.name;
    let logon = Logon {
        sid: &sid,
        user: &user.name,
        domain: member.netbios,
        kind: if local { 2 } else { 3 },
        from_ip: if local { "127.0.0.1" } else { &from.ip },
        from_name: &from.name,
    };
    windows::logon(rng, host, time, &logon)
}

fn logoff(rng: &mut Rng, member: &Member, host: &Host, time: Time) -> WindowsRecord {
    let user = person(rng, member);
    let data = vec![
        ("TargetUserSid", member.user_sid(user)),
        ("TargetUserName", user.name.clone()),
        ("TargetDomainName", member.netbios.into()),
        ("TargetLogonId", format!("{:#x}", rng.between(0x1_0000, 0x0fff_ffff))),
        ("LogonType", "3".into()),
    ];
    windows::security(host, time, 4_634, 12_545, data)
}

fn audited_process(rng: &mut Rng, member: &Member, host: &Host, time: Time) -> WindowsRecord {
    let process = by_svchost(rng);
    let data = vec![
        ("SubjectUserSid", "S-1-5-18".into()),
        ("SubjectUserName", format!("{}$", host.name.to_uppercase())),
        ("SubjectDomainName", member.netbios.into()),
        ("SubjectLogonId", "0x3e7".into()),
        ("NewProcessId", format!("{:#x}", rng.between(150, 4_000) * 4)),
        ("NewProcessName", process.image),
        ("TokenElevationType", "%%1936".into()),
        ("ProcessId", "0x4f8".into()),
        ("CommandLine", process.command_line),
        ("TargetUserSid", "S-1-0-0".into()),
        ("TargetUserName", "-".into()),
        ("TargetDomainName", "-".into()),
        ("TargetLogonId", "0x0".into()),
        ("ParentProcessName", process.parent),
        ("MandatoryLabel", "S-1-16-16384".into()),
    ];
    windows::security(host, time, 4_688, 13_312, data)
}

fn share_use(rng: &mut Rng, member: &Member, host: &Host, time: Time) -> WindowsRecord {
    let user = person(rng, member);
    let from = member.client_of(rng, user);
    let (share, file) = match rng.below(3) {
        0 => (("IPC$", ""), (*rng.pick(&["spoolss", "srvsvc", "wkssvc", "lsarpc"])).to_owned()),
        1 => (("print$", "C:\\Windows\\system32\\spool\\drivers"), format!("x64\\3\\{}.dll", rng.letters(8))),
        _ => (("Data", "D:\\Data"), format!("{}\\{}", rng.pick(TOPICS), document(rng))),
    };
    let sid = member.user_sid(user);
    let logon = Logon {
        sid: &sid,
        user: &user.name,
        domain: member.netbios,
        kind: 3,
        from_ip: &from.ip,
        from_name: &from.name,
    };
    let write = share.0 == "Data" && rng.chance(0.3);
    windows::share_access(rng, host, time, &logon, share, &file, write)
}

fn security_of(rng: &mut Rng, member: &Member, host: &Host, time: Time, shares: u32) -> WindowsRecord {
    match rng.weighted(&[45, 30, 15, shares]) {
        0 => logon_of(rng, member, host, time),
        1 => logoff(rng, member, host, time),
        2 => audited_process(rng, member, host, time),
        _ => share_use(rng, member, host, time),
    }
}

// ---- Streams: forwarded Windows events ------------------------------------------------------

/// Clients and the file server, forwarded: Sysmon and Security mixed.
pub(super) fn forwarded(rng: &mut Rng, member: &Member, time: Time) -> WindowsRecord {
    let user = person(rng, member);
    let client = member.client_of(rng, user);
    match rng.weighted(&[40, 15, 12, 8, 8, 12, 5]) {
        0 => {
            let process = client_process(rng, member, user);
            windows::process(rng, client, time, &process)
        }
        1 => client_connection(rng, member, client, user, time),
        2 => client_file(rng, member, client, user, time),
        3 => client_registry(rng, member, client, user, time),
        4 => {
            let (name, answer) = (site(rng), Member::outside(rng));
            let account = format!("{}\\{}", member.netbios, user.name);
            let image = "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe";
            windows::dns_query(rng, client, time, image, &name, &answer, &account)
        }
        5 => security_of(rng, member, client, time, 0),
        _ => share_use(rng, member, &member.files_server, time),
    }
}

/// Security of the domain controller.
pub(super) fn domain_controller(rng: &mut Rng, member: &Member, time: Time) -> WindowsRecord {
    let host = member.server("dc01");
    let user = person(rng, member);
    let from = member.client_of(rng, user);
    let address = format!("::ffff:{}", from.ip);
    let data = match rng.weighted(&[25, 35, 15, 25]) {
        0 => (
            4_768,
            vec![
                ("TargetUserName", user.name.clone()),
                ("TargetDomainName", member.domain.to_uppercase()),
                ("TargetSid", member.user_sid(user)),
                ("ServiceName", "krbtgt".into()),
                ("ServiceSid", format!("{}-502", member.sid)),
                ("TicketOptions", "0x40810010".into()),
                ("Status", "0x0".into()),
                ("TicketEncryptionType", "0x12".into()),
                ("PreAuthType", "2".into()),
                ("IpAddress", address),
                ("IpPort", rng.between(49_152, 65_535).to_string()),
                ("CertIssuerName", String::new()),
                ("CertSerialNumber", String::new()),
                ("CertThumbprint", String::new()),
            ],
        ),
        1 => (
            4_769,
            vec![
                ("TargetUserName", format!("{}@{}", user.name, member.domain.to_uppercase())),
                ("TargetDomainName", member.domain.to_uppercase()),
                (
                    "ServiceName",
                    format!(
                        "{}$",
                        rng.pick(&["FILESRV01", "EXCHANGE01", "PRINTSRV01", "SHAREPOINT01", "DC01"])
                    ),
                ),
                ("ServiceSid", format!("{}-{}", member.sid, rng.between(1_001, 1_010))),
                ("TicketOptions", "0x40810000".into()),
                ("TicketEncryptionType", "0x12".into()),
                ("IpAddress", address),
                ("IpPort", rng.between(49_152, 65_535).to_string()),
                ("Status", "0x0".into()),
                ("LogonGuid", rng.guid()),
                ("TransmittedServices", "-".into()),
            ],
        ),
        2 => (
            4_776,
            vec![
                ("PackageName", "MICROSOFT_AUTHENTICATION_PACKAGE_V1_0".into()),
                ("TargetUserName", user.name.clone()),
                ("Workstation", from.name.to_uppercase()),
                ("Status", if rng.chance(0.05) { "0xc000006a" } else { "0x0" }.into()),
            ],
        ),
        _ => return security_of(rng, member, &host, time, 5),
    };
    let task = if data.0 == 4_776 {
        14_336
    } else if data.0 == 4_769 {
        14_337
    } else {
        14_339
    };
    windows::security(&host, time, data.0, task, data.1)
}

// ---- Streams: servers -----------------------------------------------------------------------

const W3WP: &str = "c:\\windows\\system32\\inetsrv\\w3wp.exe";
pub(super) const POOL: &str = "c:\\windows\\system32\\inetsrv\\w3wp.exe -ap \"SharePoint - 80\" -v \"v4.0\" -l \
     \"webengine4.dll\" -a \\\\.\\pipe\\iisipm5c9d2a -h \"C:\\inetpub\\temp\\apppools\\SharePoint - 80\\SharePoint - 80.config\" \
     -w \"\" -m 0 -t 20 -ta 0";

/// Sysmon of the SharePoint server: its workers, ASP.NET compiling pages, its timer, updates.
pub(super) fn sharepoint_sysmon(rng: &mut Rng, member: &Member, time: Time) -> WindowsRecord {
    let host = member.server("sharepoint01");
    let pool_user = "IIS APPPOOL\\SharePoint - 80";
    let folder = format!(
        "C:\\Windows\\Microsoft.NET\\Framework64\\v4.0.30319\\Temporary ASP.NET Files\\root\\{:08x}",
        rng.next() >> 32
    );
    match rng.weighted(&[10, 15, 15, 10, 25, 15, 10]) {
        0 => {
            let process = Process {
                image: W3WP.into(),
                command_line: POOL.into(),
                parent: SVCHOST.into(),
                parent_command_line: format!("{SVCHOST} -k iissvcs"),
                user: pool_user.into(),
                parent_user: SYSTEM_USER.into(),
                company: WINDOWS_MAKER,
                description: "IIS Worker Process",
                original_name: "w3wp.exe",
                ..Process::default()
            };
            windows::process(rng, &host, time, &process)
        }
        1 => {
            let image = "C:\\Windows\\Microsoft.NET\\Framework64\\v4.0.30319\\csc.exe";
            let process = Process {
                image: image.into(),
                command_line: format!(
                    "\"{image}\" /noconfig /fullpaths @\"{folder}\\{}.cmdline\"",
                    rng.letters(8)
                ),
                parent: W3WP.into(),
                parent_command_line: POOL.into(),
                user: pool_user.into(),
                company: WINDOWS_MAKER,
                description: "Visual C# Command Line Compiler",
                original_name: "csc.exe",
                ..Process::default()
            };
            windows::process(rng, &host, time, &process)
        }
        2 => {
            let path = format!("{folder}\\App_Web_{}.dll", rng.letters(8));
            windows::file_created(
                rng,
                &host,
                time,
                "C:\\Windows\\Microsoft.NET\\Framework64\\v4.0.30319\\csc.exe",
                &path,
                pool_user,
            )
        }
        3 => {
            let path = format!("{folder}\\App_Web_{}.dll", rng.letters(8));
            let image = Image {
                process: W3WP,
                path: &path,
                hashes: "",
                signature: "",
                status: "Unavailable",
                user: pool_user,
            };
            windows::image_load(rng, &host, time, &image)
        }
        4 => {
            let process = if rng.chance(0.5) { by_svchost(rng) } else { by_services(rng) };
            windows::process(rng, &host, time, &process)
        }
        5 => {
            let path = format!(
                "C:\\Program Files\\Common Files\\microsoft shared\\Web Server Extensions\\15\\LOGS\\SHAREPOINT01-{}-{:04}.log",
                time.date().replace('-', ""),
                rng.below(2_400)
            );
            windows::file_created(
                rng,
                &host,
                time,
                "C:\\Program Files\\Common Files\\microsoft shared\\Web Server Extensions\\15\\BIN\\OWSTIMER.EXE",
                &path,
                SYSTEM_USER,
            )
        }
        _ => {
            let path = "C:\\Program Files\\Common Files\\microsoft shared\\Web Server Extensions\\15\\BIN\\OWSTIMER.EXE";
            let sql = format!("{}.1.70", member.network);
            let name = format!("sql01.{}", member.domain);
            let user = format!("{}\\svc.spfarm", member.netbios);
            windows::connection(
                rng,
                &host,
                time,
                &Connection { image: path, user: &user, to: &sql, to_name: &name, port: 1_433 },
            )
        }
    }
}

pub(super) fn sharepoint_security(rng: &mut Rng, member: &Member, time: Time) -> WindowsRecord {
    security_of(rng, member, &member.server("sharepoint01"), time, 0)
}

pub(super) fn exchange_security(rng: &mut Rng, member: &Member, time: Time) -> WindowsRecord {
    security_of(rng, member, &member.server("exchange01"), time, 0)
}

pub(super) fn print_security(rng: &mut Rng, member: &Member, time: Time) -> WindowsRecord {
    security_of(rng, member, &member.server("printsrv01"), time, 60)
}

/// Sysmon of the print server.
pub(super) fn print_sysmon(rng: &mut Rng, member: &Member, time: Time) -> WindowsRecord {
    let host = member.server("printsrv01");
    match rng.weighted(&[40, 40, 20]) {
        0 => {
            let path = format!(
                "C:\\Windows\\System32\\spool\\PRINTERS\\{:05}.{}",
                rng.below(100_000),
                rng.pick(&["SPL", "SHD"])
            );
            windows::file_created(rng, &host, time, "C:\\Windows\\System32\\spoolsv.exe", &path, SYSTEM_USER)
        }
        1 => {
            let process = if rng.chance(0.5) { by_svchost(rng) } else { by_services(rng) };
            windows::process(rng, &host, time, &process)
        }
        _ => {
            let printer = format!("{}.9.{}", member.network, rng.between(10, 90));
            let to = Connection {
                image: "C:\\Windows\\System32\\spoolsv.exe",
                user: SYSTEM_USER,
                to: &printer,
                to_name: "-",
                port: 9_100,
            };
            windows::connection(rng, &host, time, &to)
        }
    }
}

/// System log of the print server: services that start and stop, a new one now and then.
pub(super) fn print_system(rng: &mut Rng, member: &Member, time: Time) -> WindowsRecord {
    let host = member.server("printsrv01");
    if rng.chance(0.03) {
        let version = rng.between(90, 104);
        let (name, path) = match rng.below(3) {
            0 => (
                "Google Chrome Elevation Service",
                format!(
                    "\"C:\\Program Files\\Google\\Chrome\\Application\\{version}.0.5060.{}\\elevation_service.exe\"",
                    rng.below(200)
                ),
            ),
            1 => (
                "MozillaMaintenance",
                "\"C:\\Program Files (x86)\\Mozilla Maintenance Service\\maintenanceservice.exe\"".to_owned(),
            ),
            _ => (
                "Microsoft Defender Core Service",
                format!(
                    "C:\\ProgramData\\Microsoft\\Windows Defender\\Platform\\4.18.2{version}.5-0\\MpDefenderCoreService.exe"
                ),
            ),
        };
        return windows::service_installed(&host, time, name, &path, false, "S-1-5-18");
    }
    let service = *rng.pick_skewed(&[
        "Windows Update",
        "Background Intelligent Transfer Service",
        "Print Spooler",
        "WMI Performance Adapter",
        "Software Protection",
        "Windows Modules Installer",
        "Device Setup Manager",
        "Network Setup Service",
    ]);
    let state = *rng.pick(&["running", "stopped"]);
    windows::service_control(
        &host,
        time,
        7_036,
        "",
        vec![("param1", service.into()), ("param2", state.into())],
    )
}

/// Exchange's own record of what administrators and provisioning do.
pub(super) fn exchange_management(rng: &mut Rng, member: &Member, time: Time) -> WindowsRecord {
    let host = member.server("exchange01");
    let user = person(rng, member);
    let topic = *rng.pick(TOPICS);
    let cmdlet = match rng.weighted(&[20, 12, 15, 12, 8, 8, 6, 6, 5, 8]) {
        0 => ("Get-Mailbox", format!("-Identity \"{}\"", user.name)),
        1 => ("Get-Recipient", format!("-Identity \"{}\" -ResultSize \"1\"", user.name)),
        2 => ("Get-MailboxStatistics", format!("-Identity \"{}\"", user.name)),
        3 => (
            "Set-Mailbox",
            format!("-Identity \"{}\" -ProhibitSendQuota \"{} GB\"", user.name, rng.between(2, 50)),
        ),
        4 => ("Add-DistributionGroupMember", format!("-Identity \"{topic}\" -Member \"{}\"", user.name)),
        5 => {
            ("Enable-Mailbox", format!("-Identity \"{}\" -Database \"DB0{}\"", user.name, rng.between(1, 7)))
        }
        6 => ("Set-CASMailbox", format!("-Identity \"{}\" -ActiveSyncEnabled \"False\"", user.name)),
        7 => (
            "New-MoveRequest",
            format!("-Identity \"{}\" -TargetDatabase \"DB0{}\"", user.name, rng.between(1, 7)),
        ),
        8 => (
            "New-ManagementRoleAssignment",
            format!("-Role \"View-Only Recipients\" -SecurityGroup \"Help desk {topic}\""),
        ),
        _ => (
            "Get-MessageTrackingLog",
            format!("-Sender \"{}@{}\" -ResultSize \"500\"", user.name, member.domain),
        ),
    };
    let (name, sid, _) = administrator(rng, member);
    let account = format!("{}/Admins/{name}", member.domain);
    windows::exchange_cmdlet(rng, &host, time, (cmdlet.0, &cmdlet.1), &account, &sid)
}

/// Script blocks of the Exchange server: monitoring and administration.
pub(super) fn exchange_powershell(rng: &mut Rng, member: &Member, time: Time) -> WindowsRecord {
    let host = member.server("exchange01");
    let user = person(rng, member);
    let text = match rng.below(6) {
        0 => "Get-MailboxDatabaseCopyStatus * | Select Name,Status,CopyQueueLength".to_owned(),
        1 => format!(
            "Get-Counter -Counter '\\MSExchangeTransport Queues(_total)\\{}' -SampleInterval {}",
            rng.pick(&["Messages Queued For Delivery", "Submission Queue Length"]),
            rng.between(5, 60)
        ),
        2 => format!(
            "Get-Mailbox -Identity '{}' | Get-MailboxStatistics | Export-Csv C:\\Reports\\{}-{}.csv",
            user.name,
            rng.pick(TOPICS),
            rng.below(900)
        ),
        3 => format!("Get-EventLog -LogName Application -Newest {} -EntryType Error", rng.between(5, 200)),
        4 => "Test-ServiceHealth | Where-Object { -not $_.RequiredServicesRunning }".to_owned(),
        _ => format!(
            "Get-ChildItem 'C:\\inetpub\\logs\\LogFiles\\W3SVC{}' | Where-Object LastWriteTime -lt (Get-Date).AddDays(-{})",
            rng.between(1, 3),
            rng.between(30, 90)
        ),
    };
    let (_, sid, _) = administrator(rng, member);
    let path =
        if rng.chance(0.7) { format!("C:\\Scripts\\{}.ps1", rng.pick_skewed(TOPICS)) } else { String::new() };
    windows::script_block(rng, &host, time, &text, &path, &sid)
}

/// Sysmon of the build server: a compiler whose name a wiper took.
pub(super) fn build_sysmon(rng: &mut Rng, member: &Member, time: Time) -> WindowsRecord {
    let host = member.server("devbuild01");
    let root = *rng.pick(&[
        "C:\\Program Files (x86)\\Microsoft Visual Studio\\2019\\BuildTools\\VC\\Tools\\MSVC\\14.29.30133\\bin\\Hostx64\\x64",
        "D:\\toolsets\\msvc-14.16\\bin",
    ]);
    let (name, description) = *rng.pick_skewed(&[
        ("cl.exe", "Microsoft® C/C++ Compiler Driver"),
        ("link.exe", "Microsoft® Incremental Linker"),
        ("lib.exe", "Microsoft® Library Manager"),
    ]);
    let process = Process {
        image: format!("{root}\\{name}"),
        command_line: format!("\"{root}\\{name}\" /nologo /c /O2 /W4 /Fo\"obj\\{0}.obj\" src\\{0}.cpp", rng.letters(7)),
        parent: "C:\\Program Files (x86)\\Microsoft Visual Studio\\2019\\BuildTools\\MSBuild\\Current\\Bin\\MSBuild.exe".into(),
        parent_command_line: format!("MSBuild.exe {}.sln /m /p:Configuration=Release", rng.pick(TOPICS)),
        user: format!("{}\\svc.build", member.netbios),
        company: WINDOWS_MAKER,
        description,
        original_name: if name == "cl.exe" { "CL.exe" } else { "LINK.EXE" },
        ..Process::default()
    };
    windows::process(rng, &host, time, &process)
}

// ---- Streams: text logs -----------------------------------------------------------------------

fn status(rng: &mut Rng) -> u16 {
    [200, 304, 302, 401, 404, 500][rng.weighted(&[78, 9, 5, 4, 3, 1])]
}

/// Requests to the public SharePoint site.
pub(super) fn sharepoint_request(rng: &mut Rng, member: &Member) -> Request {
    let inside = rng.chance(0.45);
    let user = person(rng, member);
    let client = if inside { member.client_of(rng, user).ip.clone() } else { Member::outside(rng) };
    let (topic, document) = (*rng.pick_skewed(TOPICS), document(rng));
    let (method, stem, query) = match rng.weighted(&[30, 20, 12, 12, 8, 5, 5, 8]) {
        0 => ("GET", format!("/sites/{topic}/Pages/{}.aspx", rng.pick(TOPICS)), String::new()),
        1 => ("GET", format!("/sites/{topic}/Documents/{document}"), String::new()),
        2 => ("GET", "/_layouts/15/start.aspx".into(), String::new()),
        3 => {
            ("GET", format!("/_layouts/15/images/{}.png", rng.pick(TOPICS)), format!("rev={}", rng.below(60)))
        }
        4 => ("POST", format!("/sites/{topic}/_vti_bin/client.svc/ProcessQuery"), String::new()),
        5 if inside => (
            "POST",
            format!("/sites/{topic}/_layouts/15/Picker.aspx"),
            "MultiSelect=True&PickerDialogType=Microsoft.SharePoint.WebControls.PeoplePickerDialog".into(),
        ),
        6 => ("GET", "/_layouts/15/error.aspx".into(), format!("ErrorText={}", rng.below(5_000))),
        _ => ("GET", "/_layouts/15/Upload.aspx".into(), format!("List={}", rng.guid())),
    };
    Request {
        method,
        host: format!("portal.{}", member.domain),
        stem,
        query,
        user: if inside { format!("{}\\{}", member.netbios, user.name) } else { String::new() },
        client,
        server: member.server("sharepoint01").ip,
        port: 80,
        agent: agent(rng),
        referer: if rng.chance(0.6) {
            format!("http://portal.{}/sites/{topic}", member.domain)
        } else {
            String::new()
        },
        status: status(rng),
        sent_bytes: rng.between(300, 400_000),
        received_bytes: rng.between(300, 3_000),
        took_ms: rng.between(3, 900),
    }
}

/// Requests to Exchange: Outlook, telephones, Outlook on the web.
pub(super) fn exchange_request(rng: &mut Rng, member: &Member) -> Request {
    let user = person(rng, member);
    let outside = rng.chance(0.35);
    let client = if outside { Member::outside(rng) } else { member.client_of(rng, user).ip.clone() };
    let attachment = rng.chance(0.01);
    let (method, stem, query, agent) = match rng.weighted(&[35, 20, 15, 15, 10, 5]) {
        0 => (
            "POST",
            "/mapi/emsmdb/".into(),
            format!("MailboxId={:08x}@{}", rng.next() >> 32, member.domain),
            "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.14326; Pro)".into(),
        ),
        1 => (
            "POST",
            "/Microsoft-Server-ActiveSync/default.eas".into(),
            format!("User={}&DeviceId={}&Cmd=Sync", user.name, rng.base62(12)),
            "Apple-iPhone13C2/1902.55".into(),
        ),
        2 => (
            "POST",
            "/EWS/Exchange.asmx".into(),
            String::new(),
            "MacOutlook/16.54 (Intel Mac OS X 10.15.7)".into(),
        ),
        3 => (
            "POST",
            "/owa/service.svc".into(),
            format!(
                "action={}&ID=-{}&AC=1",
                rng.pick(&["GetItem", "FindConversation", "CreateItem", "GetAttachment"]),
                rng.below(900)
            ),
            agent(rng),
        ),
        4 => ("GET", "/owa/".into(), String::new(), agent(rng)),
        _ => (
            "POST",
            "/autodiscover/autodiscover.xml".into(),
            String::new(),
            "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.14326; Pro)".into(),
        ),
    };
    Request {
        method,
        host: format!("mail.{}", member.domain),
        stem,
        query,
        user: format!("{}\\{}", member.netbios, user.name),
        client,
        server: member.server("exchange01").ip,
        port: 443,
        agent,
        referer: String::new(),
        status: status(rng),
        sent_bytes: rng.between(300, 200_000),
        received_bytes: if attachment {
            rng.between(1_000_000, 24_000_000)
        } else {
            rng.between(400, 60_000)
        },
        took_ms: rng.between(3, 2_000),
    }
}

/// What people read on the web, through the proxy.
pub(super) fn proxy_request(rng: &mut Rng, member: &Member) -> Request {
    let user = person(rng, member);
    let secure = rng.chance(0.85);
    let stem = match rng.below(3) {
        0 => "/".to_owned(),
        1 => format!("/{}/{}", rng.pick_skewed(TOPICS), rng.pick(TOPICS)),
        _ => format!("/static/{}.{}", rng.letters(9), rng.pick(&["js", "css", "png", "woff2"])),
    };
    Request {
        method: if secure { "CONNECT" } else { "GET" },
        host: site(rng),
        stem,
        query: if rng.chance(0.2) { format!("id={}", rng.below(90_000)) } else { String::new() },
        user: user.name.clone(),
        client: member.client_of(rng, user).ip.clone(),
        port: if secure { 443 } else { 80 },
        agent: agent(rng),
        status: status(rng),
        sent_bytes: rng.between(300, 900_000),
        received_bytes: rng.between(200, 9_000),
        took_ms: rng.between(3, 3_000),
        ..Request::default()
    }
}

/// The border's connections.
pub(super) fn zeek_conn(rng: &mut Rng, member: &Member, time: Time) -> String {
    let inbound = rng.chance(0.4);
    let user = person(rng, member);
    let outside = Member::outside(rng);
    let (client, server, port) = if inbound {
        (outside, member.public_ip.to_owned(), *rng.pick(&[80, 443, 443, 25]))
    } else {
        (member.client_of(rng, user).ip.clone(), outside, *rng.pick(&[443, 443, 443, 80, 53, 123]))
    };
    let (sent, got) = (rng.between(200, 40_000), rng.between(200, 900_000));
    let (proto, service) = match port {
        53 => ("udp", "dns"),
        123 => ("udp", "ntp"),
        80 => ("tcp", "http"),
        25 => ("tcp", "smtp"),
        _ => ("tcp", "ssl"),
    };
    let rest = conn_rest(proto, service, rng.unit() * 90.0, (sent, got), inbound);
    zeek_line(rng, time, (&client, &server, port), &rest)
}

/// What follows the connection in conn.log.
pub(super) fn conn_rest(
    proto: &str,
    service: &str,
    took_s: f64,
    (sent, got): (u64, u64),
    inbound: bool,
) -> String {
    let local = if inbound { "F\tT" } else { "T\tF" };
    let packets = |bytes: u64| bytes / 1_200 + 4;
    format!(
        "{proto}\t{service}\t{took_s:.6}\t{sent}\t{got}\tSF\t{local}\t0\tShADadfF\t{}\t{}\t{}\t{}\t-",
        packets(sent),
        sent + packets(sent) * 40,
        packets(got),
        got + packets(got) * 40
    )
}

/// Names asked for at the border.
pub(super) fn zeek_dns(rng: &mut Rng, member: &Member, time: Time) -> String {
    let name = site(rng);
    let answer = if rng.chance(0.2) { Member::outside_v6(rng) } else { Member::outside(rng) };
    let (number, kind) = if answer.contains(':') { (28, "AAAA") } else { (1, "A") };
    let missing = rng.chance(0.04);
    let (code, code_name, answers, ttl) = if missing {
        (3, "NXDOMAIN", "-", "-".to_owned())
    } else {
        (0, "NOERROR", answer.as_str(), format!("{}.000000", rng.between(30, 3_600)))
    };
    let rest = format!(
        "udp\t{}\t{:.6}\t{name}\t1\tC_INTERNET\t{number}\t{kind}\t{code}\t{code_name}\tF\tF\tT\tT\t0\t{answers}\t{ttl}\tF",
        rng.below(65_536),
        rng.unit() / 20.0
    );
    let resolver = member.server("dc01").ip;
    zeek_line(rng, time, (&resolver, "192.0.2.53", 53), &rest)
}

/// The Linux gateway for remote work.
pub(super) fn gateway(rng: &mut Rng, member: &Member, time: Time) -> String {
    let user = person(rng, member);
    let host = format!("vpngw01.{}", member.domain);
    let from = Member::outside(rng);
    let port = rng.between(1_024, 65_535);
    let (program, message) = match rng.weighted(&[35, 35, 10, 8, 12]) {
        0 => (
            "openvpn",
            format!("{from}:{port} [{}] Peer Connection Initiated with [AF_INET]{from}:{port}", user.name),
        ),
        1 => (
            "openvpn",
            format!(
                "{}/{from}:{port} SIGTERM[soft,remote-exit] received, client-instance exiting",
                user.name
            ),
        ),
        2 => (
            "sshd",
            format!(
                "Accepted publickey for {} from {}.1.{} port {port} ssh2: ED25519 SHA256:{}",
                rng.pick(&["backup", "ansible"]),
                member.network,
                rng.between(60, 70),
                rng.base62(43)
            ),
        ),
        3 => ("CRON", "(root) CMD (/usr/local/sbin/rotate-tunnels)".to_owned()),
        _ => (
            "kernel",
            format!(
                "[{}.{:06}] nft drop-in: IN=eth0 SRC={from} DST={} PROTO=TCP DPT={}",
                rng.between(1_000, 9_000_000),
                rng.below(1_000_000),
                member.public_ip,
                rng.pick(&[22, 23, 445, 3_389, 8_080])
            ),
        ),
    };
    syslog(time, &host, program, rng.between(400, 32_000), &message)
}
