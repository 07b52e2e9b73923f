//! What is put among the everyday: the attack on Albania as published, the same cluster at a
//! second member, and, at all three, lookalikes that good rules leave alone.
//!
//! What happened, in which order and with which files is from the published facts
//! ([`super::chronicle`]). Hosts, accounts, addresses, minutes and the names of unnamed tools are
//! invented. Hashes are published ones or none.

use super::benign;
use super::calendar::Time;
use super::estate::{Host, Member, User};
use super::rng::Rng;
use super::text::{Request, syslog, zeek_line};
use super::windows::{self, Image, Logon, Process, WindowsRecord};

/// One event for one stream.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) time: Time,
    pub(super) entry: Entry,
    pub(super) mark: Option<Mark>,
}

/// What a stream writes.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Windows(Box<WindowsRecord>),
    Line(String),
}

/// Why an event was put there.
#[derive(Clone, Debug)]
pub(super) enum Mark {
    /// A step of the attack, and the rules of ours that must find this event.
    Step { id: &'static str, rules: &'static [&'static str] },
    /// A lookalike that no rule of ours may find.
    Trap { why: &'static str },
}

/// A step of the attack.
pub(super) struct Step {
    pub(super) id: &'static str,
    pub(super) member: &'static str,
    /// ATT&CK ids of version 18, as the campaign C0038 was published with.
    pub(super) techniques: &'static [&'static str],
    pub(super) text: &'static str,
    /// Keys of [`super::facts::SOURCES`].
    pub(super) sources: &'static [&'static str],
}

const fn step(
    id: &'static str,
    member: &'static str,
    techniques: &'static [&'static str],
    text: &'static str,
    sources: &'static [&'static str],
) -> Step {
    Step { id, member, techniques, text, sources }
}

/// Every step, in order.
pub(super) const STEPS: &[Step] = &[
    step(
        "al-exploit",
        "albania",
        &["T1190"],
        "The public SharePoint server is exploited through CVE-2019-0604.",
        &["mitre", "cisa"],
    ),
    step(
        "al-webshell",
        "albania",
        &["T1505.003"],
        "Web shells pickers.aspx and error4.aspx are written to the layouts folder.",
        &["mitre", "cisa"],
    ),
    step(
        "al-webshell-use",
        "albania",
        &["T1505.003", "T1059.003"],
        "The web shells are called, and shells start under the SharePoint worker.",
        &["mitre", "ms"],
    ),
    step(
        "al-clientbin",
        "albania",
        &["T1505.003", "T1105"],
        "ClientBin.aspx and its assembly App_Web_bckwssht.dll arrive in July 2021, when access was consolidated.",
        &["mitre", "mena"],
    ),
    step(
        "al-mail-role",
        "albania",
        &["T1098.002", "T1078"],
        "An account of the attackers' own gets the role ApplicationImpersonation.",
        &["mitre", "ms"],
    ),
    step(
        "al-mail-search",
        "albania",
        &["T1087.003", "T1059.001", "T1114.002"],
        "Mailboxes are searched with New-MailboxSearch and recipients listed with Get-Recipient.",
        &["mitre", "cisa"],
    ),
    step(
        "al-mail-exfiltration",
        "albania",
        &["T1114.002", "T1041"],
        "Mail leaves by large HTTP POST requests to Exchange, October 2021 to January 2022.",
        &["mitre", "cisa", "sp21"],
    ),
    step(
        "al-lateral-rdp",
        "albania",
        &["T1021.001", "T1078.001"],
        "The built-in administrator moves from host to host by RDP, May and June 2022.",
        &["mitre", "ms"],
    ),
    step(
        "al-scan",
        "albania",
        &["T1046"],
        "Advanced Port Scanner runs on the SharePoint server.",
        &["mitre", "cisa"],
    ),
    step(
        "al-lateral-impacket",
        "albania",
        &["T1021.002", "T1047"],
        "Impacket installs services and runs commands on other hosts.",
        &["mitre", "ms"],
    ),
    step(
        "al-credentials",
        "albania",
        &["T1003.001", "T1134.001"],
        "LSASS memory is read and a token taken over.",
        &["mitre", "cisa"],
    ),
    step(
        "al-defender",
        "albania",
        &["T1562.001", "T1047"],
        "Microsoft Defender is turned off by tool, registry and WMI.",
        &["mitre", "mena"],
    ),
    step(
        "al-spread",
        "albania",
        &["T1570", "T1547.001"],
        "On 15 July 2022 Mellona.exe on the print server copies encryptor and batch file to a list of machines.",
        &["mitre", "cisa", "mena"],
    ),
    step(
        "al-encrypt",
        "albania",
        &["T1486", "T1490", "T1489", "T1491.001"],
        "GoXml.exe encrypts; shadow copies are deleted, programs killed, the wallpaper changed.",
        &["mitre", "mena", "kaspersky"],
    ),
    step(
        "al-logs",
        "albania",
        &["T1562.002"],
        "Event logs are cleared on the print server.",
        &["mitre", "ms"],
    ),
    step(
        "al-wipe",
        "albania",
        &["T1561.002"],
        "A ZeroCleare version, cl.exe with the driver rwdsk.sys, wipes disks.",
        &["mitre", "mena", "checkpoint24"],
    ),
    step(
        "b-webshell",
        "ally-b",
        &["T1505.003"],
        "The same web shell at a second member, November 2021.",
        &["itpro", "securityweek"],
    ),
    step(
        "b-mail",
        "ally-b",
        &["T1114.002", "T1087.003", "T1098.002"],
        "Mail is searched and taken until May 2022 through the same address.",
        &["itpro", "securityweek"],
    ),
    step(
        "b-cleanup",
        "ally-b",
        &["T1070.004"],
        "The web shell is deleted (invented); Sysmon keeps its hash, one published for Albania whose file name is recalled.",
        &["mena"],
    ),
];

/// Correlation rules that must fire, by member.
pub(super) const CORRELATIONS: &[(&str, &str)] = &[
    ("albania", "sharepoint_exploit_then_shell"),
    ("albania", "sharepoint_page_then_shell"),
    ("albania", "exchange_mailbox_search_burst"),
    ("albania", "exchange_recipient_enumeration"),
    ("albania", "exchange_ews_post_volume"),
    ("albania", "rdp_builtin_administrator_fan_out"),
    ("albania", "taskkill_loop"),
    ("albania", "roadsweep_spread"),
    ("ally-b", "sharepoint_page_then_shell"),
    ("ally-b", "exchange_mailbox_search_burst"),
    ("ally-b", "exchange_recipient_enumeration"),
];

/// The attackers' addresses: invented, from the range TEST-NET-3.
pub(super) const ENTRY_ADDRESS: &str = "203.0.113.45";
pub(super) const MAIL_ADDRESS: &str = "203.0.113.77";

const LAYOUTS: &str =
    "C:\\Program Files\\Common Files\\microsoft shared\\Web Server Extensions\\15\\TEMPLATE\\LAYOUTS";
const STAGING: &str = "C:\\ProgramData\\Microsoft\\Windows";
const W3WP: &str = "c:\\windows\\system32\\inetsrv\\w3wp.exe";
const CMD: &str = "C:\\Windows\\System32\\cmd.exe";
const POOL_USER: &str = "IIS APPPOOL\\SharePoint - 80";
const SYSTEM_USER: &str = "NT AUTHORITY\\SYSTEM";
const MAKER: &str = "Microsoft Corporation";
const CURL: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/90.0.4430.85 Safari/537.36";

// Published hashes. The names of GoXml.exe (SHA-256), Mellona.exe, disable_defender.exe,
// App_Web_bckwssht.dll and pickers.aspx for them are recalled, those of the others were read.
const GOXML_HASHES: &str = "MD5=BBE983DBA3BF319621B447618548B740,SHA256=F116ACC6508843F59E59FB5A8D643370DCE82F492A217764521F46A856CC4CB5";
const CL_HASHES: &str = "MD5=7B71764236F244AE971742EE1BC6B098,SHA256=E1204EBBD8F15DBF5F2E41DDDC5337E3182FC4DAF75B05ACC948B8B965480CA0";
const RWDSK_HASHES: &str = "MD5=8F6E7653807EBB57ECC549CEF991D505,SHA256=3C9DC8ADA56ADF9CEBFC501A2D3946680DCB0534A137E2E27A7FCB5994CD9DE6";
const MELLONA_HASH: &str = "MD5=78562BA0069D4235F28EFD01E3F32A82";
const DISABLE_DEFENDER_HASH: &str = "MD5=60AFB1E62AC61424A542B8C7B4D2CF01";
const APP_WEB_HASH: &str = "MD5=E9B6ECBF0783FA9D6981BBA76D949C94";
const PICKERS_HASH: &str = "MD5=8F766DEA3AFD410EBCD5DF5994A3C571";

/// What is put among a member's everyday, by stream, in order of time.
pub(super) fn of(member: &Member, seed: u64) -> Vec<(&'static str, Item)> {
    let mut story =
        Story { rng: Rng::new(seed, &format!("{}/story", member.key)), member, items: Vec::new() };
    match member.key {
        "albania" => story.albania(),
        "ally-b" => story.ally_b(),
        _ => {}
    }
    story.lookalikes();
    story.items.sort_by_key(|(_, item)| item.time);
    story.items
}

/// A moment with the odd milliseconds that machines have.
fn at(day: (i64, i64, i64), clock: (i64, i64, i64)) -> Time {
    let odd_ms = (day.1 * 331 + day.2 * 131 + clock.0 * 37 + clock.1 * 61 + clock.2 * 97) % 997;
    Time::at(day, clock).plus_ms(odd_ms)
}

struct Story<'a> {
    rng: Rng,
    member: &'a Member,
    items: Vec<(&'static str, Item)>,
}

impl Story<'_> {
    fn albania(&mut self) {
        self.exploit();
        self.webshell_use();
        self.consolidate();
        self.mail((2021, 10, 14), "al-mail-role", "al-mail-search");
        self.exfiltrate_albania();
        self.move_laterally();
        self.harvest();
        self.turn_defender_off();
        self.spread_and_encrypt();
        self.clear_logs();
        self.wipe();
        self.defensive_shutdown();
    }

    fn ally_b(&mut self) {
        let time = at((2021, 11, 9), (21, 17, 44));
        self.write_page(time, "pickers.aspx", "b-webshell");
        for (day, second) in
            [((2021, 11, 9), 50), ((2021, 12, 2), 11), ((2022, 2, 17), 29), ((2022, 4, 21), 5)]
        {
            let time = at(day, (21, 18, second));
            self.call_webshell(time, "pickers.aspx", "b-webshell");
            self.worker_shell(time.plus_ms(640), "whoami", "b-webshell");
        }
        self.mail((2021, 11, 23), "b-mail", "b-mail");
        for (day, megabytes) in
            [((2021, 11, 24), 81), ((2022, 1, 13), 118), ((2022, 3, 3), 96), ((2022, 5, 12), 143)]
        {
            self.post_mail(at(day, (22, 41, 9)), megabytes * 1_000_000 + 211_873, "b-mail");
        }
        let (host, path) = (self.member.server("sharepoint01"), format!("{LAYOUTS}\\pickers.aspx"));
        let time = at((2022, 5, 19), (22, 3, 31));
        let record = windows::file_deleted(&mut self.rng, &host, time, CMD, &path, PICKERS_HASH, POOL_USER);
        self.windows("sharepoint01/sysmon", record, "b-cleanup", &[]);
    }

    // ---- Adding ---------------------------------------------------------------------------

    fn add(&mut self, stream: &'static str, time: Time, entry: Entry, mark: Mark) {
        self.items.push((stream, Item { time, entry, mark: Some(mark) }));
    }

    fn windows(
        &mut self,
        stream: &'static str,
        record: WindowsRecord,
        id: &'static str,
        rules: &'static [&'static str],
    ) {
        self.add(stream, record.time, Entry::Windows(Box::new(record)), Mark::Step { id, rules });
    }

    /// A request in the web server's log and, where the border sees it in the clear, in Zeek's.
    fn request(
        &mut self,
        stream: &'static str,
        time: Time,
        request: &Request,
        id: &'static str,
        rules: &'static [&'static str],
    ) {
        self.add(stream, time, Entry::Line(request.iis(time)), Mark::Step { id, rules });
        if request.port == 80 {
            let line =
                Request { server: self.member.public_ip.into(), ..request.clone() }.zeek(&mut self.rng, time);
            self.add("zeek/http", time, Entry::Line(line), Mark::Step { id, rules });
        }
    }

    fn trap(&mut self, stream: &'static str, time: Time, entry: Entry, why: &'static str) {
        self.add(stream, time, entry, Mark::Trap { why });
    }

    fn administrator(&self) -> (String, String) {
        (format!("{}-500", self.member.sid), format!("{}\\Administrator", self.member.netbios))
    }

    // ---- May 2021: in ---------------------------------------------------------------------

    fn sharepoint(&self, method: &'static str, stem: &str, query: &str, status: u16) -> Request {
        Request {
            method,
            host: format!("portal.{}", self.member.domain),
            stem: stem.into(),
            query: query.into(),
            client: ENTRY_ADDRESS.into(),
            server: self.member.server("sharepoint01").ip,
            port: 80,
            agent: CURL.into(),
            status,
            sent_bytes: 14_211,
            received_bytes: 9_804,
            took_ms: 412,
            ..Request::default()
        }
    }

    fn exploit(&mut self) {
        let query = "PickerDialogType=Microsoft.SharePoint.WebControls.ItemPickerDialog,+Microsoft.SharePoint,\
                     +Version=15.0.0.0,+Culture=neutral,+PublicKeyToken=71e9bce111e9429c";
        for (second, status) in [(7, 500), (31, 500), (52, 200)] {
            let time = at((2021, 5, 8), (20, 41, second));
            let request = self.sharepoint("POST", "/_layouts/15/Picker.aspx", query, status);
            self.request("sharepoint01/iis", time, &request, "al-exploit", &["web_sharepoint_cve_2019_0604"]);
        }
        let time = at((2021, 5, 8), (20, 41, 53));
        self.worker_shell(time, "whoami", "al-exploit");
        self.write_page(time.plus_ms(38_000), "pickers.aspx", "al-webshell");
        self.write_page(time.plus_ms(86_400_000), "error4.aspx", "al-webshell");
        self.worker_shell(time.plus_ms(95_000), "ipconfig /all", "al-webshell-use");
    }

    /// A shell under the worker of the SharePoint pool.
    fn worker_shell(&mut self, time: Time, command: &str, id: &'static str) {
        let host = self.member.server("sharepoint01");
        let process = Process {
            image: CMD.into(),
            command_line: format!("\"cmd.exe\" /c {command}"),
            parent: W3WP.into(),
            parent_command_line: benign::POOL.into(),
            user: POOL_USER.into(),
            company: MAKER,
            description: "Windows Command Processor",
            original_name: "Cmd.Exe",
            ..Process::default()
        };
        let record = windows::process(&mut self.rng, &host, time, &process);
        self.windows("sharepoint01/sysmon", record, id, &["proc_creation_win_sharepoint_worker_shell"]);
    }

    fn write_page(&mut self, time: Time, name: &str, id: &'static str) {
        let host = self.member.server("sharepoint01");
        let path = format!("{LAYOUTS}\\{name}");
        let record = windows::file_created(&mut self.rng, &host, time, W3WP, &path, POOL_USER);
        let rules = &["file_event_win_homeland_justice_webshell", "file_event_win_sharepoint_layouts_page"];
        self.windows("sharepoint01/sysmon", record, id, rules);
    }

    fn call_webshell(&mut self, time: Time, name: &str, id: &'static str) {
        let request = self.sharepoint("POST", &format!("/_layouts/15/{name}"), "", 200);
        self.request("sharepoint01/iis", time, &request, id, &["web_sharepoint_homeland_justice_webshell"]);
    }

    fn webshell_use(&mut self) {
        let calls = [
            ((2021, 5, 9), (21, 2, 14), "pickers.aspx", "whoami /all"),
            ((2021, 5, 9), (21, 6, 40), "pickers.aspx", "net group \"Domain Admins\" /domain"),
            ((2021, 5, 11), (19, 44, 3), "error4.aspx", "nltest /dclist:"),
            ((2021, 5, 27), (22, 15, 58), "error4.aspx", "tasklist /v"),
            ((2021, 6, 16), (20, 33, 21), "pickers.aspx", "dir C:\\inetpub"),
            ((2021, 7, 20), (21, 50, 37), "pickers.aspx", "sc qc SPTimerV4"),
            ((2021, 9, 14), (20, 9, 12), "ClientBin.aspx", "net view /domain"),
            ((2021, 12, 8), (21, 27, 46), "ClientBin.aspx", "quser"),
            ((2022, 3, 22), (20, 58, 5), "ClientBin.aspx", "nltest /domain_trusts"),
            ((2022, 5, 10), (19, 12, 33), "ClientBin.aspx", "net group \"Domain Computers\" /domain"),
        ];
        for (day, clock, page, command) in calls {
            let time = at(day, clock);
            self.call_webshell(time, page, "al-webshell-use");
            self.worker_shell(time.plus_ms(730), command, "al-webshell-use");
        }
    }

    // ---- July 2021: consolidated ------------------------------------------------------------

    fn consolidate(&mut self) {
        let time = at((2021, 7, 20), (21, 52, 10));
        self.write_page(time, "ClientBin.aspx", "al-clientbin");
        let host = self.member.server("sharepoint01");
        let path = "C:\\inetpub\\wwwroot\\wss\\VirtualDirectories\\80\\bin\\App_Web_bckwssht.dll";
        let record = windows::file_created(&mut self.rng, &host, time.plus_ms(4_100), W3WP, path, POOL_USER);
        self.windows("sharepoint01/sysmon", record, "al-clientbin", &["file_event_win_app_web_bckwssht"]);
        let image = Image {
            process: W3WP,
            path,
            hashes: APP_WEB_HASH,
            signature: "",
            status: "Unavailable",
            user: POOL_USER,
        };
        let record = windows::image_load(&mut self.rng, &host, time.plus_ms(9_250), &image);
        self.windows("sharepoint01/sysmon", record, "al-clientbin", &["image_load_win_app_web_bckwssht"]);
    }

    // ---- Mail -------------------------------------------------------------------------------

    fn mail(&mut self, day: (i64, i64, i64), role: &'static str, search: &'static str) {
        let host = self.member.server("exchange01");
        let thief = &self.member.users[7];
        let (sid, account) =
            (self.member.user_sid(thief), format!("{}/Users/{}", self.member.domain, thief.name));
        let start = at(day, (19, 30, 11));
        let cmdlet = |story: &mut Self, after_s: i64, cmdlet: (&str, &str), id, rules| {
            let time = start.plus_ms(after_s * 1_000 + 417);
            let record = windows::exchange_cmdlet(&mut story.rng, &host, time, cmdlet, &account, &sid);
            story.windows("exchange01/management", record, id, rules);
        };
        let group = format!("-Identity \"Discovery Management\" -Member \"{}\"", thief.name);
        cmdlet(self, 0, ("Add-RoleGroupMember", &group), role, &["win_exchange_powerful_role_group"]);
        cmdlet(
            self,
            75,
            (
                "New-Mailbox",
                "-Name \"svc.mailsync\" -UserPrincipalName \"svc.mailsync\" -Password \"System.Security.SecureString\"",
            ),
            role,
            &[],
        );
        let assign = "-Name \"mailsync\" -Role \"ApplicationImpersonation\" -User \"svc.mailsync\"";
        cmdlet(
            self,
            140,
            ("New-ManagementRoleAssignment", assign),
            role,
            &["win_exchange_application_impersonation"],
        );
        for n in 0..28 {
            let list =
                format!("-ResultSize \"Unlimited\" -Filter \"Alias -like '{}*'\"", char::from(b'a' + n % 26));
            cmdlet(self, 200 + i64::from(n) * 11, ("Get-Recipient", &list), search, &[]);
        }
        for (n, query) in ["administrator", "password", "ministry", "vpn", "police"].iter().enumerate() {
            let arguments = format!(
                "-Name \"sync{n}\" -TargetMailbox \"svc.mailsync\" -SearchQuery \"{query}\" -EstimateOnly \"False\""
            );
            cmdlet(
                self,
                900 + n as i64 * 420,
                ("New-MailboxSearch", &arguments),
                search,
                &["win_exchange_new_mailbox_search"],
            );
        }
        let text =
            "New-ManagementRoleAssignment -Name mailsync -Role ApplicationImpersonation -User svc.mailsync";
        let record = windows::script_block(&mut self.rng, &host, start.plus_ms(139_800), text, "", &sid);
        self.windows("exchange01/powershell", record, role, &["posh_ps_exchange_application_impersonation"]);
        let text = "New-MailboxSearch -Name sync0 -TargetMailbox svc.mailsync -SearchQuery administrator";
        let record = windows::script_block(&mut self.rng, &host, start.plus_ms(899_700), text, "", &sid);
        self.windows("exchange01/powershell", record, search, &["posh_ps_exchange_new_mailbox_search"]);
    }

    fn exchange_post(&self, received_bytes: u64, sent_bytes: u64) -> Request {
        Request {
            method: "POST",
            host: format!("mail.{}", self.member.domain),
            stem: "/EWS/Exchange.asmx".into(),
            user: format!("{}\\svc.mailsync", self.member.netbios),
            client: MAIL_ADDRESS.into(),
            server: self.member.server("exchange01").ip,
            port: 443,
            agent: "ExchangeServicesClient/15.00.0913.015".into(),
            status: 200,
            sent_bytes,
            received_bytes,
            took_ms: 190_000,
            ..Request::default()
        }
    }

    /// One large POST, and its connection at the border.
    fn post_mail(&mut self, time: Time, bytes: u64, id: &'static str) {
        let request = self.exchange_post(bytes, 2_954);
        self.request("exchange01/iis", time, &request, id, &["web_exchange_large_post"]);
        let rest = benign::conn_rest("tcp", "ssl", 190.4, (bytes + bytes / 40, 61_220), true);
        let line = zeek_line(&mut self.rng, time, (MAIL_ADDRESS, self.member.public_ip, 443), &rest);
        self.add("zeek/conn", time, Entry::Line(line), Mark::Step { id, rules: &[] });
    }

    fn exfiltrate_albania(&mut self) {
        let sessions = [
            ((2021, 10, 15), 74),
            ((2021, 10, 22), 92),
            ((2021, 10, 29), 131),
            ((2021, 11, 12), 88),
            ((2021, 11, 26), 157),
            ((2021, 12, 3), 109),
            ((2021, 12, 17), 70),
            ((2022, 1, 7), 124),
            ((2022, 1, 14), 99),
            ((2022, 1, 21), 146),
        ];
        for (day, megabytes) in sessions {
            self.post_mail(at(day, (20, 14, 37)), megabytes * 1_000_000 + 48_331, "al-mail-exfiltration");
        }
        // In smaller pieces: only their sum tells.
        for n in 0..9 {
            let time = at((2022, 1, 28), (21, 3, 10)).plus_ms(n * 281_000);
            let request = self.exchange_post(44_120_000 + 7_913 * n as u64, 2_954);
            self.request("exchange01/iis", time, &request, "al-mail-exfiltration", &[]);
        }
        for day in [(2021, 11, 5), (2021, 12, 10)] {
            let request = self.exchange_post(4_710, 88_402_117);
            let time = at(day, (20, 48, 2));
            self.request(
                "exchange01/iis",
                time,
                &request,
                "al-mail-exfiltration",
                &["web_exchange_ews_bulk_download"],
            );
        }
    }

    // ---- May and June 2022: wider -------------------------------------------------------------

    fn rdp(&mut self, stream: &'static str, host: &str, from: &str, time: Time, id: &'static str) {
        let (sid, _) = self.administrator();
        let (host, from) = (self.member.server(host), self.member.server(from));
        let logon = Logon {
            sid: &sid,
            user: "Administrator",
            domain: self.member.netbios,
            kind: 10,
            from_ip: &from.ip,
            from_name: &from.name,
        };
        let record = windows::logon(&mut self.rng, &host, time, &logon);
        self.windows(stream, record, id, &["win_security_rdp_builtin_administrator"]);
    }

    fn move_laterally(&mut self) {
        let day = |minute| at((2022, 5, 17), (20, minute, 26));
        self.rdp("exchange01/security", "exchange01", "sharepoint01", day(4), "al-lateral-rdp");
        self.rdp("dc01/forwarded", "dc01", "sharepoint01", day(19), "al-lateral-rdp");
        self.rdp("printsrv01/security", "printsrv01", "sharepoint01", day(42), "al-lateral-rdp");
        self.rdp(
            "printsrv01/security",
            "printsrv01",
            "dc01",
            at((2022, 6, 9), (21, 35, 2)),
            "al-lateral-rdp",
        );
        self.scan();
        self.impacket();
    }

    fn scan(&mut self) {
        let host = self.member.server("sharepoint01");
        let image = "C:\\Users\\Administrator\\AppData\\Local\\Temp\\2\\Advanced Port Scanner 2\\advanced_port_scanner.exe";
        let process = Process {
            image: image.into(),
            command_line: format!("\"{image}\" /portable"),
            parent: "C:\\Windows\\explorer.exe".into(),
            parent_command_line: "C:\\Windows\\explorer.exe".into(),
            user: self.administrator().1,
            company: "Famatech Corp.",
            description: "Advanced Port Scanner",
            original_name: "advanced_port_scanner.exe",
            ..Process::default()
        };
        let record = windows::process(&mut self.rng, &host, at((2022, 5, 17), (20, 51, 8)), &process);
        self.windows("sharepoint01/sysmon", record, "al-scan", &["proc_creation_win_advanced_port_scanner"]);
    }

    fn impacket(&mut self) {
        let (sid, account) = self.administrator();
        let printer = self.member.server("printsrv01");
        let commands = ["cd ", "whoami", "hostname", "dir C:\\Users"];
        for (n, command) in commands.iter().enumerate() {
            let path = format!(
                "%COMSPEC% /Q /c echo {command} ^> \\\\127.0.0.1\\C$\\__output 2^>^&1 > %TEMP%\\execute.bat & %COMSPEC% /Q /c %TEMP%\\execute.bat & del %TEMP%\\execute.bat"
            );
            let time = at((2022, 5, 24), (20, 31, 5)).plus_ms(n as i64 * 14_300);
            let record = windows::service_installed(&printer, time, "BTOBTO", &path, false, &sid);
            self.windows(
                "printsrv01/system",
                record,
                "al-lateral-impacket",
                &["win_system_service_impacket_exec"],
            );
        }
        let time = at((2022, 6, 2), (20, 7, 51));
        let record =
            windows::service_installed(&printer, time, "KvQz", "%systemroot%\\hRtWqZpL.exe", false, &sid);
        self.windows(
            "printsrv01/system",
            record,
            "al-lateral-impacket",
            &["win_system_service_admin_share_upload"],
        );
        let files = self.member.files_server.clone();
        for (n, command) in ["whoami", "cd \\\\", "tasklist /svc"].iter().enumerate() {
            let process = Process {
                image: CMD.into(),
                command_line: format!(
                    "cmd.exe /Q /c {command} 1> \\\\127.0.0.1\\ADMIN$\\__1654803{:03}.77 2>&1",
                    100 + n
                ),
                parent: "C:\\Windows\\System32\\wbem\\WmiPrvSE.exe".into(),
                parent_command_line: "C:\\Windows\\system32\\wbem\\wmiprvse.exe -secured -Embedding".into(),
                user: account.clone(),
                company: MAKER,
                original_name: "Cmd.Exe",
                ..Process::default()
            };
            let time = at((2022, 6, 9), (21, 51, 44)).plus_ms(n as i64 * 9_120);
            let record = windows::process(&mut self.rng, &files, time, &process);
            self.windows(
                "forwarded",
                record,
                "al-lateral-impacket",
                &["proc_creation_win_impacket_semi_interactive_shell"],
            );
        }
    }

    fn harvest(&mut self) {
        let host = self.member.server("sharepoint01");
        let time = at((2022, 5, 11), (19, 20, 3));
        let tool = "C:\\inetpub\\temp\\tk.exe";
        let mut process = Process {
            image: CMD.into(),
            command_line: "cmd.exe".into(),
            parent: tool.into(),
            parent_command_line: "tk.exe cmd.exe".into(),
            user: SYSTEM_USER.into(),
            parent_user: POOL_USER.into(),
            company: MAKER,
            original_name: "Cmd.Exe",
            ..Process::default()
        };
        let record = windows::process(&mut self.rng, &host, time, &process);
        self.windows(
            "sharepoint01/sysmon",
            record,
            "al-credentials",
            &["proc_creation_win_app_pool_to_system"],
        );

        process.image = "C:\\Windows\\System32\\rundll32.exe".into();
        process.original_name = "RUNDLL32.EXE";
        process.command_line =
            "rundll32.exe C:\\Windows\\System32\\comsvcs.dll, MiniDump 712 C:\\Windows\\Temp\\s.dmp full"
                .into();
        process.parent = CMD.into();
        process.parent_command_line = "cmd.exe".into();
        process.parent_user = SYSTEM_USER.into();
        let record = windows::process(&mut self.rng, &host, time.plus_ms(131_000), &process);
        self.windows(
            "sharepoint01/sysmon",
            record,
            "al-credentials",
            &["proc_creation_win_lsass_dump_comsvcs_procdump"],
        );

        let mimikatz = "C:\\Windows\\Temp\\m64.exe";
        process.image = mimikatz.into();
        process.command_line = "m64.exe privilege::debug sekurlsa::logonpasswords exit".into();
        process.company = "";
        process.original_name = "";
        let time = at((2022, 6, 14), (20, 18, 30));
        let record = windows::process(&mut self.rng, &host, time, &process);
        self.windows(
            "sharepoint01/sysmon",
            record,
            "al-credentials",
            &["proc_creation_win_mimikatz_commands"],
        );
        let lsass = "C:\\Windows\\System32\\lsass.exe";
        let record =
            windows::process_access(&mut self.rng, &host, time.plus_ms(310), mimikatz, lsass, "0x1010");
        self.windows(
            "sharepoint01/sysmon",
            record,
            "al-credentials",
            &["proc_access_win_lsass_from_writable_folder"],
        );
    }

    // ---- 15 July 2022: destruction ---------------------------------------------------------

    fn by_shell(&self, image: &str, command_line: &str, parent_command_line: &str) -> Process {
        let of_windows = image.starts_with("C:\\Windows\\");
        Process {
            company: if of_windows { MAKER } else { "" },
            original_name: match image.rsplit('\\').next() {
                Some("vssadmin.exe") => "VSSADMIN.EXE",
                Some("rundll32.exe") => "RUNDLL32.EXE",
                Some("taskkill.exe") => "taskkill.exe",
                Some("WMIC.exe") => "wmic.exe",
                _ => "",
            },
            image: image.into(),
            command_line: command_line.into(),
            parent: CMD.into(),
            parent_command_line: parent_command_line.into(),
            user: self.administrator().1,
            ..Process::default()
        }
    }

    fn turn_defender_off(&mut self) {
        let time = at((2022, 7, 15), (4, 58, 12));
        self.rdp("printsrv01/security", "printsrv01", "dc01", time, "al-spread");
        let host = self.member.server("printsrv01");
        let tool = format!("{STAGING}\\disable_defender.exe");
        let mut process = self.by_shell(&tool, "disable_defender.exe", "\"C:\\Windows\\system32\\cmd.exe\"");
        process.hashes = DISABLE_DEFENDER_HASH;
        let record = windows::process(&mut self.rng, &host, time.plus_ms(184_000), &process);
        let rules =
            &["proc_creation_win_disable_defender_tool", "proc_creation_win_programdata_microsoft_windows"];
        self.windows("printsrv01/sysmon", record, "al-defender", rules);
        for (n, value) in
            ["DisableAntiSpyware", "Real-Time Protection\\DisableRealtimeMonitoring"].iter().enumerate()
        {
            let value = format!("HKLM\\SOFTWARE\\Policies\\Microsoft\\Windows Defender\\{value}");
            let time = time.plus_ms(185_100 + n as i64 * 40);
            let details = "DWORD (0x00000001)";
            let account = self.administrator().1;
            let record = windows::registry_set(&mut self.rng, &host, time, &tool, &value, details, &account);
            self.windows("printsrv01/sysmon", record, "al-defender", &["registry_set_defender_disabled"]);
        }
        let command = "wmic /namespace:\\\\root\\Microsoft\\Windows\\Defender path MSFT_MpPreference call Add ExclusionPath=\"C:\\ProgramData\"";
        let process = self.by_shell("C:\\Windows\\System32\\wbem\\WMIC.exe", command, "cmd.exe");
        let record = windows::process(&mut self.rng, &host, time.plus_ms(221_000), &process);
        self.windows(
            "printsrv01/sysmon",
            record,
            "al-defender",
            &["proc_creation_win_defender_weakened_by_wmi"],
        );
    }

    /// The machines on the spreader's list: 13 clients and the file server, under a tenth of all.
    fn targets(&self) -> Vec<Host> {
        let mut hosts: Vec<Host> = self.member.clients.iter().skip(4).step_by(14).take(13).cloned().collect();
        hosts.push(Host { md5_only: false, ..self.member.files_server.clone() });
        hosts
    }

    fn spread_and_encrypt(&mut self) {
        let printer = self.member.server("printsrv01");
        let start = at((2022, 7, 15), (5, 10, 2));
        let mut process =
            self.by_shell(&format!("{STAGING}\\Mellona.exe"), "Mellona.exe list.txt", "cmd.exe");
        process.hashes = MELLONA_HASH;
        let record = windows::process(&mut self.rng, &printer, start, &process);
        let rules = &["proc_creation_win_mellona", "proc_creation_win_programdata_microsoft_windows"];
        self.windows("printsrv01/sysmon", record, "al-spread", rules);
        for (n, host) in self.targets().iter().enumerate() {
            let time = start.plus_ms(6_000 + n as i64 * 7_340);
            self.copy_to(&printer, host, time);
            self.encrypt(host, time.plus_ms(61_000));
        }
        self.kill_loop(start.plus_ms(171_000));
        self.mutex(start.plus_ms(176_500));
    }

    fn copy_to(&mut self, printer: &Host, host: &Host, time: Time) {
        let (sid, _) = self.administrator();
        for (n, name) in ["GoXml.exe", "win.bat", "goxml.jpg"].iter().enumerate() {
            let time = time.plus_ms(n as i64 * 210);
            let logon = Logon {
                sid: &sid,
                user: "Administrator",
                domain: self.member.netbios,
                kind: 3,
                from_ip: &printer.ip,
                from_name: &printer.name,
            };
            let file = format!("ProgramData\\Microsoft\\Windows\\{name}");
            let record =
                windows::share_access(&mut self.rng, host, time, &logon, ("C$", "C:\\"), &file, true);
            self.windows("forwarded", record, "al-spread", &["win_security_share_encryptor_copied"]);
            let path = format!("{STAGING}\\{name}");
            let record =
                windows::file_created(&mut self.rng, host, time.plus_ms(30), "System", &path, SYSTEM_USER);
            self.windows("forwarded", record, "al-spread", &["file_event_win_roadsweep_staging"]);
        }
        let path = format!("{STAGING}\\Start Menu\\Programs\\StartUp\\win.bat");
        let record =
            windows::file_created(&mut self.rng, host, time.plus_ms(900), "System", &path, SYSTEM_USER);
        self.windows("forwarded", record, "al-spread", &["file_event_win_startup_batch"]);
    }

    fn encrypt(&mut self, host: &Host, time: Time) {
        let batch = format!("C:\\Windows\\system32\\cmd.exe /c {STAGING}\\win.bat");
        let image = format!("{STAGING}\\GoXml.exe");
        let mut process = self.by_shell(&image, &format!("{image} 1 2 3 4 5 6 7"), &batch);
        process.hashes = GOXML_HASHES;
        let record = windows::process(&mut self.rng, host, time, &process);
        let rules = &[
            "proc_creation_win_roadsweep_goxml",
            "proc_creation_win_roadsweep_arguments",
            "proc_creation_win_programdata_microsoft_windows",
        ];
        self.windows("forwarded", record, "al-encrypt", rules);
        let signed = Image {
            process: &image,
            path: &image,
            hashes: GOXML_HASHES,
            signature: "Kuwait Telecommunications Company KSC",
            status: "Revoked",
            user: &process.user,
        };
        let record = windows::image_load(&mut self.rng, host, time.plus_ms(12), &signed);
        self.windows(
            "forwarded",
            record,
            "al-encrypt",
            &["image_load_win_kuwait_telecommunications_signature"],
        );

        let vssadmin = self.by_shell(
            "C:\\Windows\\System32\\vssadmin.exe",
            "vssadmin.exe delete shadows /all /quiet",
            &format!("C:\\Windows\\System32\\cmd.exe /c vssadmin.exe delete shadows /all /quiet & {image}"),
        );
        let record = windows::process(&mut self.rng, host, time.plus_ms(1_900), &vssadmin);
        self.windows("forwarded", record, "al-encrypt", &["proc_creation_win_shadow_copies_deleted_quietly"]);

        let value = format!("HKU\\{}\\Control Panel\\Desktop\\Wallpaper", self.administrator().0);
        let picture = format!("{STAGING}\\goxml.jpg");
        let reg = "C:\\Windows\\System32\\reg.exe";
        let record = windows::registry_set(
            &mut self.rng,
            host,
            time.plus_ms(2_600),
            reg,
            &value,
            &picture,
            &process.user,
        );
        self.windows("forwarded", record, "al-encrypt", &["registry_set_wallpaper_goxml"]);
        let refresh = self.by_shell(
            "C:\\Windows\\System32\\rundll32.exe",
            "RUNDLL32.EXE user32.dll,UpdatePerUserSystemParameters",
            &batch,
        );
        let record = windows::process(&mut self.rng, host, time.plus_ms(2_900), &refresh);
        self.windows("forwarded", record, "al-encrypt", &["proc_creation_win_wallpaper_refreshed_by_batch"]);
    }

    /// `bb.bat`: a loop of forced kills (one of two published readings).
    fn kill_loop(&mut self, time: Time) {
        let host = Host { md5_only: false, ..self.member.files_server.clone() };
        let names = [
            "sqlservr",
            "sqlwriter",
            "outlook",
            "excel",
            "winword",
            "msaccess",
            "oracle",
            "tomcat",
            "mysqld",
            "veeam",
            "vmwp",
            "w3wp",
            "store",
            "ntrtscan",
        ];
        for (n, name) in names.iter().enumerate() {
            let command = format!("taskkill /F /IM {name}.exe");
            let process = self.by_shell(
                "C:\\Windows\\System32\\taskkill.exe",
                &command,
                &format!("cmd.exe /c {STAGING}\\bb.bat"),
            );
            let record = windows::process(&mut self.rng, &host, time.plus_ms(n as i64 * 340), &process);
            self.windows("forwarded", record, "al-encrypt", &[]);
        }
    }

    fn mutex(&mut self, time: Time) {
        let host = self.member.files_server.clone();
        let (sid, _) = self.administrator();
        let name = "\\BaseNamedObjects\\abcdefghijklmnoklmnopqrstuvwxyz01234567890abcdefghijklmnopqrstuvwxyz01234567890";
        let data = vec![
            ("SubjectUserSid", sid),
            ("SubjectUserName", "Administrator".into()),
            ("SubjectDomainName", self.member.netbios.into()),
            ("SubjectLogonId", "0x3e7f10".into()),
            ("ObjectServer", "Security".into()),
            ("ObjectType", "Mutant".into()),
            ("ObjectName", name.into()),
            ("HandleId", "0x1a4".into()),
            ("TransactionId", "{00000000-0000-0000-0000-000000000000}".into()),
            ("AccessList", "%%1537\r\n\t\t\t\t".into()),
            ("AccessReason", "-".into()),
            ("AccessMask", "0x1f0001".into()),
            ("PrivilegeList", "-".into()),
            ("RestrictedSidCount", "0".into()),
            ("ProcessId", "0x2f4c".into()),
            ("ProcessName", format!("{STAGING}\\GoXml.exe")),
            ("ResourceAttributes", "-".into()),
        ];
        let record = windows::security(&host, time, 4_656, 12_804, data);
        self.windows("forwarded", record, "al-encrypt", &["win_security_roadsweep_mutex"]);
    }

    fn clear_logs(&mut self) {
        let host = self.member.server("printsrv01");
        let (sid, _) = self.administrator();
        let time = at((2022, 7, 15), (5, 31, 40));
        let record =
            windows::log_cleared(&host, time, "Security", &sid, "Administrator", self.member.netbios);
        self.windows("printsrv01/security", record, "al-logs", &["win_security_event_log_cleared"]);
        let record = windows::log_cleared(
            &host,
            time.plus_ms(2_400),
            "Application",
            &sid,
            "Administrator",
            self.member.netbios,
        );
        self.windows("printsrv01/system", record, "al-logs", &["win_system_event_log_cleared"]);
    }

    fn wipe(&mut self) {
        let hosts: Vec<Host> = self.targets().into_iter().step_by(4).collect();
        let (sid, account) = self.administrator();
        for (n, host) in hosts.iter().enumerate() {
            let time = at((2022, 7, 15), (9, 34, 18)).plus_ms(n as i64 * 93_000);
            let folder = "C:\\ProgramData\\Microsoft\\Windows\\Templates";
            let driver = format!("{folder}\\rwdsk.sys");
            let record = windows::file_created(&mut self.rng, host, time, "System", &driver, &account);
            self.windows("forwarded", record, "al-wipe", &["file_event_win_rawdisk_rwdsk"]);
            let image = format!("{folder}\\cl.exe");
            let mut process = self.by_shell(&image, &image, "cmd.exe");
            process.hashes = CL_HASHES;
            let record = windows::process(&mut self.rng, host, time.plus_ms(1_200), &process);
            self.windows("forwarded", record, "al-wipe", &["proc_creation_win_cl_outside_visual_studio"]);
            let record =
                windows::service_installed(host, time.plus_ms(1_650), "RawDisk3", &driver, true, &sid);
            self.windows("forwarded", record, "al-wipe", &["win_system_service_rawdisk3"]);
            let record =
                windows::driver(host, time.plus_ms(1_800), &driver, RWDSK_HASHES, "EldoS Corporation");
            self.windows("forwarded", record, "al-wipe", &["driver_load_win_rawdisk_rwdsk"]);
        }
    }

    // ---- What good rules leave alone ---------------------------------------------------------

    /// 17 July 2022: the defenders close public services themselves. Part of the outage, no attack.
    fn defensive_shutdown(&mut self) {
        let why = "services closed by the defenders themselves";
        let host = format!("vpngw01.{}", self.member.domain);
        for (minute, service) in [(0, "portal"), (1, "mail"), (2, "e-services"), (4, "registry")] {
            let time = at((2022, 7, 17), (7, minute, 20));
            let line = syslog(
                time,
                &host,
                "change-control",
                811,
                &format!("service {service} closed by order of the agency, ticket CR-2022-0717"),
            );
            self.trap("gateway", time, Entry::Line(line), why);
        }
        let printer = self.member.server("printsrv01");
        let time = at((2022, 7, 17), (7, 9, 55));
        let record = windows::service_control(
            &printer,
            time,
            7_036,
            "",
            vec![("param1", "Print Spooler".into()), ("param2", "stopped".into())],
        );
        self.trap("printsrv01/system", time, Entry::Windows(Box::new(record)), why);
    }

    fn lookalikes(&mut self) {
        self.legal_hold();
        self.shadow_copies_listed();
        self.people_picked();
        self.scanner();
        self.named_administrators();
    }

    fn legal_hold(&mut self) {
        let host = self.member.server("exchange01");
        let (account, sid) =
            (format!("{}/Admins/adm.legal", self.member.domain), format!("{}-5010", self.member.sid));
        for (day, name) in [
            ((2021, 9, 6), "hold-tender-118"),
            ((2022, 2, 8), "hold-audit-2021"),
            ((2022, 6, 21), "hold-court-77"),
        ] {
            let time = at(day, (8, 22, 41));
            let arguments = format!(
                "-Name \"{name}\" -InPlaceHoldEnabled \"True\" -SourceMailboxes \"{}\"",
                self.member.users[31].name
            );
            let record = windows::exchange_cmdlet(
                &mut self.rng,
                &host,
                time,
                ("New-MailboxSearch", &arguments),
                &account,
                &sid,
            );
            self.trap(
                "exchange01/management",
                time,
                Entry::Windows(Box::new(record)),
                "litigation hold by the legal department",
            );
        }
    }

    fn shadow_copies_listed(&mut self) {
        let host = self.member.server("printsrv01");
        for (day, command) in [
            ((2021, 8, 17), "vssadmin list shadows"),
            ((2022, 3, 15), "vssadmin resize shadowstorage /for=C: /on=C: /maxsize=20GB"),
        ] {
            let time = at(day, (9, 4, 19));
            let mut process = self.by_shell(
                "C:\\Windows\\System32\\vssadmin.exe",
                command,
                "\"C:\\Windows\\system32\\cmd.exe\"",
            );
            process.user = format!("{}\\adm.{}", self.member.netbios, self.member.first_names[0]);
            let record = windows::process(&mut self.rng, &host, time, &process);
            self.trap(
                "printsrv01/sysmon",
                time,
                Entry::Windows(Box::new(record)),
                "an administrator looks at shadow copies",
            );
        }
    }

    fn people_picked(&mut self) {
        let user: &User = &self.member.users[12];
        let client = &self.member.clients[user.rid as usize % self.member.clients.len()];
        let time = at((2021, 11, 17), (10, 36, 8));
        let request = Request {
            user: format!("{}\\{}", self.member.netbios, user.name),
            client: client.ip.clone(),
            ..self.sharepoint(
                "POST",
                "/sites/budget/_layouts/15/Picker.aspx",
                "PickerDialogType=Microsoft.SharePoint.WebControls.ItemPickerDialog,+Microsoft.SharePoint",
                200,
            )
        };
        self.trap(
            "sharepoint01/iis",
            time,
            Entry::Line(request.iis(time)),
            "a signed-in user edits an external data column",
        );
    }

    fn scanner(&mut self) {
        for (n, page) in ["pickers.aspx", "error4.aspx", "ClientBin.aspx"].iter().enumerate() {
            let time = at((2022, 7, 6), (3, 11, 30)).plus_ms(n as i64 * 1_000);
            let request = Request {
                client: "198.51.100.211".into(),
                agent: "Mozilla/5.0 (compatible; assessment scanner)".into(),
                ..self.sharepoint("GET", &format!("/_layouts/15/{page}"), "", 404)
            };
            self.trap(
                "sharepoint01/iis",
                time,
                Entry::Line(request.iis(time)),
                "a scanner asks for a web shell that is not there",
            );
        }
    }

    fn named_administrators(&mut self) {
        let host = self.member.server("printsrv01");
        let client = &self.member.clients[0];
        let sid = format!("{}-5001", self.member.sid);
        let name = format!("adm.{}", self.member.first_names[0]);
        for day in [(2021, 10, 5), (2022, 2, 22), (2022, 5, 31)] {
            let time = at(day, (7, 48, 3));
            let logon = Logon {
                sid: &sid,
                user: &name,
                domain: self.member.netbios,
                kind: 10,
                from_ip: &client.ip,
                from_name: &client.name,
            };
            let record = windows::logon(&mut self.rng, &host, time, &logon);
            self.trap(
                "printsrv01/security",
                time,
                Entry::Windows(Box::new(record)),
                "an administrator's named account by RDP",
            );
        }
    }
}
