//! The published facts that the replay is made from, in our own words, each with its sources; and
//! where to look next, by technique.
//!
//! Where sources conflict, the note says so. Historical: for replay and tests, not for blocking.

/// How a source was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checked {
    /// Its own text was read.
    Primary,
    /// Read as quoted by another.
    Secondary,
    /// From memory, not read again; check before use.
    Recalled,
}

/// A text that facts rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Short name, as in [`Fact::sources`].
    pub key: &'static str,
    /// Address, or what it is where there is none.
    pub place: &'static str,
    /// How it was checked.
    pub checked: Checked,
}

/// How exactly a date is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// To the hour.
    Hour,
    /// To the day.
    Day,
    /// To the month; the day is the first.
    Month,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// `YYYY-MM-DD`.
    pub from: &'static str,
    /// Last day, where it lasted.
    pub to: Option<&'static str>,
    /// How exactly the dates are known.
    pub precision: Precision,
    /// What happened.
    pub text: &'static str,
    /// What to keep in mind, conflicts of sources above all; may be empty.
    pub note: &'static str,
    /// ATT&CK ids as of version 18.
    pub techniques: &'static [&'static str],
    /// Keys of [`SOURCES`].
    pub sources: &'static [&'static str],
    /// The best check that one of the sources had.
    pub checked: Checked,
}

/// What happened, in order of time.
#[must_use]
pub fn chronicle() -> &'static [Fact] {
    CHRONICLE
}

/// Advice on where to look next, once a technique was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextStep {
    /// ATT&CK ids that call for it, of any version.
    pub techniques: &'static [&'static str],
    /// Where to look, and for what.
    pub look: &'static str,
    /// Why it is worth it.
    pub why: &'static str,
}

/// Where to look next after these techniques (`T1190`, `t1505.003`, `attack.t1486`: any spelling),
/// in the order of an attack. A sub-technique also calls for its technique's advice.
#[must_use]
pub fn next_steps<S: AsRef<str>>(techniques: &[S]) -> Vec<&'static NextStep> {
    let found: Vec<String> = techniques
        .iter()
        .map(|technique| {
            let id = technique.as_ref().to_ascii_uppercase();
            id.strip_prefix("ATTACK.").map_or(id.clone(), str::to_owned)
        })
        .collect();
    let calls = |wanted: &str| {
        found
            .iter()
            .any(|id| id == wanted || id.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.')))
    };
    NEXT_STEPS.iter().filter(|step| step.techniques.iter().any(|id| calls(id))).collect()
}

const CHRONICLE: &[Fact] = &[
    Fact {
        from: "2021-05-01",
        to: None,
        precision: Precision::Month,
        text: "An internet-facing SharePoint server is broken into through CVE-2019-0604, about 14 months before the destruction; web shells are planted. The patch was two years old.",
        note: "",
        techniques: &["T1190", "T1505.003"],
        sources: &["mitre", "itpro", "securityweek", "cisa"],
        checked: Checked::Primary,
    },
    Fact {
        from: "2021-07-01",
        to: None,
        precision: Precision::Month,
        text: "Access is consolidated through a misconfigured service.",
        note: "",
        techniques: &[],
        sources: &["securityweek", "itpro"],
        checked: Checked::Primary,
    },
    Fact {
        from: "2021-10-01",
        to: Some("2022-01-31"),
        precision: Precision::Month,
        text: "E-mail is taken from the network, by HTTP POST to Exchange servers.",
        note: "Volumes of 70 to 160 MB per session are reported in the press.",
        techniques: &["T1114.002", "T1041", "T1098.002", "T1087.003"],
        sources: &["securityweek", "itpro", "mitre"],
        checked: Checked::Primary,
    },
    Fact {
        from: "2021-11-01",
        to: Some("2022-05-31"),
        precision: Precision::Month,
        text: "The same cluster takes mail from organisations in other states.",
        note: "This is the sighting across allies that a hunt back in time should find.",
        techniques: &[],
        sources: &["itpro", "securityweek"],
        checked: Checked::Primary,
    },
    Fact {
        from: "2022-05-01",
        to: Some("2022-06-30"),
        precision: Precision::Month,
        text: "Lateral movement, reconnaissance and credential harvesting in government networks.",
        note: "",
        techniques: &[
            "T1021.001",
            "T1021.002",
            "T1046",
            "T1003.001",
            "T1078",
            "T1078.001",
            "T1134.001",
            "T1588.002",
        ],
        sources: &["cyberwire", "mitre"],
        checked: Checked::Primary,
    },
    Fact {
        from: "2022-06-01",
        to: None,
        precision: Precision::Month,
        text: "The site and profiles of \"HomeLand Justice\" are set up.",
        note: "Exact day unknown.",
        techniques: &["T1585.001"],
        sources: &["cyberwire"],
        checked: Checked::Primary,
    },
    Fact {
        from: "2022-07-15",
        to: None,
        precision: Precision::Day,
        text: "Destruction: from a print server reached by RDP, Mellona.exe spreads the encryptor GoXml.exe and win.bat to a list of machines; when defenders respond, a ZeroCleare version (cl.exe with rwdsk.sys) wipes disks.",
        note: "Under a tenth of the environment was hit (Microsoft); some reports date the attack 17 July, which is the public notice.",
        techniques: &["T1570", "T1486", "T1561.002", "T1562.001", "T1562.002", "T1490", "T1489", "T1491.001"],
        sources: &["mitre", "cyberwire", "mena", "seed"],
        checked: Checked::Primary,
    },
    Fact {
        from: "2022-07-17",
        to: None,
        precision: Precision::Day,
        text: "The agency AKSHI closes online public services and government sites for a time, in answer to the attack.",
        note: "Part of the outage was this shutdown, not damage. One dossier dates it 18 July.",
        techniques: &[],
        sources: &["cyberfreakz"],
        checked: Checked::Primary,
    },
    Fact {
        from: "2022-07-18",
        to: None,
        precision: Precision::Day,
        text: "HomeLand Justice claims the attack.",
        note: "Another dossier says 21 July.",
        techniques: &[],
        sources: &["hl18"],
        checked: Checked::Primary,
    },
    Fact {
        from: "2022-07-19",
        to: None,
        precision: Precision::Day,
        text: "A sample of the wiper is uploaded from Albania to a public malware repository; the encryptor follows.",
        note: "",
        techniques: &[],
        sources: &["cyberfreakz", "securityweek_m"],
        checked: Checked::Primary,
    },
    Fact {
        from: "2022-08-04",
        to: None,
        precision: Precision::Day,
        text: "Mandiant publishes ROADSWEEP, CHIMNEYSWEEP and ZEROCLEAR, with moderate confidence that actors supporting Iran are responsible.",
        note: "",
        techniques: &[],
        sources: &["securityweek_m", "iranintl", "mitre"],
        checked: Checked::Primary,
    },
    Fact {
        from: "2022-09-01",
        to: Some("2022-12-31"),
        precision: Precision::Month,
        text: "A hunt-forward mission of the US Cyber National Mission Force works in Albania until December; its findings are handed over.",
        note: "",
        techniques: &[],
        sources: &["cnmf"],
        checked: Checked::Secondary,
    },
    Fact {
        from: "2022-09-07",
        to: None,
        precision: Precision::Day,
        text: "The prime minister speaks of indisputable evidence of a state-sponsored attack, says it was shared with allies, and breaks off diplomatic relations with Iran.",
        note: "",
        techniques: &[],
        sources: &["rama", "tass", "eutoday"],
        checked: Checked::Primary,
    },
    Fact {
        from: "2022-09-07",
        to: None,
        precision: Precision::Day,
        text: "The United States and the United Kingdom attribute the attack to Iran and condemn it.",
        note: "",
        techniques: &[],
        sources: &["iranintl", "itpro"],
        checked: Checked::Primary,
    },
    Fact {
        from: "2022-09-08",
        to: None,
        precision: Precision::Day,
        text: "The North Atlantic Council declares solidarity, acknowledges the attributions by Albania and other Allies, and offers support.",
        note: "The alliance acknowledges; it does not attribute.",
        techniques: &[],
        sources: &["nac", "worldbulletin", "eutoday", "seed"],
        checked: Checked::Primary,
    },
    Fact {
        from: "2022-09-08",
        to: None,
        precision: Precision::Day,
        text: "Microsoft publishes with high confidence in Iranian state sponsorship, and tells four clusters apart: access and exfiltration, exfiltration, probing, encryption and wiping.",
        note: "",
        techniques: &[],
        sources: &["technoidhost", "securityweek", "ms"],
        checked: Checked::Primary,
    },
    Fact {
        from: "2022-09-09",
        to: None,
        precision: Precision::Day,
        text: "The US Treasury sanctions the Iranian intelligence ministry and its minister.",
        note: "",
        techniques: &[],
        sources: &["ansa", "ofac"],
        checked: Checked::Primary,
    },
    Fact {
        from: "2022-09-09",
        to: Some("2022-09-13"),
        precision: Precision::Hour,
        text: "A second attack hits police systems, the border system TIMS among them; crossings are registered by hand for days.",
        note: "",
        techniques: &[],
        sources: &["ap", "news1mk", "ansa"],
        checked: Checked::Primary,
    },
    Fact {
        from: "2022-09-10",
        to: None,
        precision: Precision::Day,
        text: "Samples of the second wave: another mutex, key and argument; the wiper is signed with a leaked certificate and carries its driver inside.",
        note: "",
        techniques: &[],
        sources: &["kaspersky"],
        checked: Checked::Secondary,
    },
    Fact {
        from: "2022-09-21",
        to: None,
        precision: Precision::Day,
        text: "CISA and FBI publish advisory AA22-264A.",
        note: "ATT&CK cites 23 September; press and number say 21.",
        techniques: &[],
        sources: &["meritalk", "cisa", "mitre"],
        checked: Checked::Primary,
    },
    Fact {
        from: "2022-09-21",
        to: None,
        precision: Precision::Day,
        text: "Senior NATO officials meet the defence minister in Tirana about further support.",
        note: "",
        techniques: &[],
        sources: &["nato21"],
        checked: Checked::Primary,
    },
];

/// The texts.
pub const SOURCES: &[Source] = &[
    Source { key: "seed", place: "news report of 8 September 2022", checked: Checked::Primary },
    Source { key: "mitre", place: "https://attack.mitre.org/campaigns/C0038", checked: Checked::Primary },
    Source {
        key: "cisa",
        place: "https://www.cisa.gov/news-events/cybersecurity-advisories/aa22-264a",
        checked: Checked::Secondary,
    },
    Source {
        key: "ms",
        place: "https://www.microsoft.com/en-us/security/blog/2022/09/08/microsoft-investigates-iranian-attacks-against-the-albanian-government/",
        checked: Checked::Secondary,
    },
    Source {
        key: "kaspersky",
        place: "https://securelist.com/ransomware-and-wiper-signed-with-stolen-certificates/108350/",
        checked: Checked::Secondary,
    },
    Source {
        key: "checkpoint24",
        place: "https://research.checkpoint.com/2024/bad-karma-no-justice-void-manticore-destructive-activities-in-israel/",
        checked: Checked::Secondary,
    },
    Source {
        key: "cyberwire",
        place: "https://thecyberwire.com/podcasts/cisa-cybersecurity-alerts/31/transcript",
        checked: Checked::Primary,
    },
    Source {
        key: "itpro",
        place: "https://www.itpro.com/security/cyber-warfare/369033/microsoft-iranian-hackers-breached-albanian-government-more-than-a-year-before-main-hack",
        checked: Checked::Primary,
    },
    Source {
        key: "securityweek",
        place: "https://www.securityweek.com/microsoft-multiple-iranian-groups-conducted-cyberattack-albanian-government/",
        checked: Checked::Primary,
    },
    Source {
        key: "securityweek_m",
        place: "https://www.securityweek.com/disruptive-cyberattacks-nato-member-albania-linked-iran/",
        checked: Checked::Primary,
    },
    Source {
        key: "technoidhost",
        place: "https://technoidhost.com/hacking/microsofts-dart-team-manages-to-find-the-source-of-recent-cyberattacks-in-albania/23551/",
        checked: Checked::Primary,
    },
    Source {
        key: "cyberfreakz",
        place: "https://news.cyberfreakz.com/iranian-hackers-likely-behind-disruptive-cyberattacks-against-albanian-government/",
        checked: Checked::Primary,
    },
    Source {
        key: "meritalk",
        place: "https://cdn.meritalk.com/articles/cisa-fbi-reveal-iranian-hackers-infiltrated-albanian-networks-over-a-year-before-attack/",
        checked: Checked::Primary,
    },
    Source {
        key: "rama",
        place: "https://www.jpost.com/breaking-news/article-716539",
        checked: Checked::Primary,
    },
    Source { key: "tass", place: "https://tass.com/world/1504445", checked: Checked::Primary },
    Source {
        key: "nac",
        place: "https://tiranapost.net/lajme-nga-bota/nato-reagon-per-nderprerjen-e-marredhenieve-diplomatike-me-iranin-i518151",
        checked: Checked::Primary,
    },
    Source {
        key: "eutoday",
        place: "https://eutoday.net/nato-chiefs-condemn-irans-malicious-cyber-activities-against-albania/",
        checked: Checked::Primary,
    },
    Source {
        key: "worldbulletin",
        place: "https://www.worldbulletin.net/europe/nato-condemns-cyberattack-on-albania-h214546.html",
        checked: Checked::Primary,
    },
    Source {
        key: "iranintl",
        place: "https://d156axqdhqxfu.cloudfront.net/en/202209084499",
        checked: Checked::Primary,
    },
    Source {
        key: "ansa",
        place: "https://newsrnd.com/amp/2022-09-10-tirana--from-iran-a-new-cyberattack--now-a-border-police.rJ3fz4qgj.html",
        checked: Checked::Primary,
    },
    Source {
        key: "ap",
        place: "https://www.ajc.com/news/nation-world/albania-reports-2nd-cyberattack-by-iran-on-border-systems/HIZYHARBSZCNJGLCFM5SSE5CGA/",
        checked: Checked::Primary,
    },
    Source { key: "news1mk", place: "https://news1.mk/?p=94504", checked: Checked::Primary },
    Source {
        key: "nato21",
        place: "https://ju-regigraduate.org/nato-reaffirms-support-for-albania-following-cyber-attacks/",
        checked: Checked::Primary,
    },
    Source {
        key: "ofac",
        place: "https://home.treasury.gov/news/press-releases/jy0941",
        checked: Checked::Secondary,
    },
    Source {
        key: "cnmf",
        place: "https://www.cybercom.mil/Media/News/Article/3337717/",
        checked: Checked::Secondary,
    },
    Source {
        key: "diella",
        place: "research dossier citing Balkan Insight of 28 September and 3 October 2022",
        checked: Checked::Primary,
    },
    Source {
        key: "mena",
        place: "https://github.com/DashTX707/mena-detection-library",
        checked: Checked::Primary,
    },
    Source { key: "handala", place: "indicator tables citing AA22-264A", checked: Checked::Primary },
    Source {
        key: "emlucia",
        place: "YARA rule APT_ZeroCleare_87211_00387, public on GitHub",
        checked: Checked::Primary,
    },
    Source { key: "hl18", place: "article that sums up AA22-264A", checked: Checked::Primary },
    Source { key: "sp21", place: "Albanian report on incidents of e-Albania", checked: Checked::Primary },
];

const NEXT_STEPS: &[NextStep] = &[
    NextStep {
        techniques: &["T1190"],
        look: "Every file that the web server's worker wrote since the first request, and every other server with the same software and patch level.",
        why: "The way in is open until patched, and others may have used it too.",
    },
    NextStep {
        techniques: &["T1505"],
        look: "The same page name, size and hash on all web servers; requests that name pages which only one client ever asked for; the addresses behind them in proxy, firewall and mail logs back to the oldest record.",
        why: "Web shells come in groups and outlive the repair of the hole.",
    },
    NextStep {
        techniques: &["T1098", "T1078"],
        look: "All role assignments and group memberships of Exchange and the directory, with who made them and when; accounts made in the same days.",
        why: "Rights given to an account survive a change of passwords.",
    },
    NextStep {
        techniques: &["T1087", "T1114"],
        look: "Mailbox audit logs of the searched mailboxes, EWS and IIS logs by bytes and client, connections of the mail server at the border in the same hours.",
        why: "What was searched tells what they wanted; volumes tell what they got.",
    },
    NextStep {
        techniques: &["T1041"],
        look: "Other members' border logs for the same addresses, before and after.",
        why: "The same address takes from more than one victim.",
    },
    NextStep {
        techniques: &["T1046", "T1018"],
        look: "Firewall and flow logs for the scanning host: which hosts answered, and which it then logged on to.",
        why: "The list of answers is the list of next victims.",
    },
    NextStep {
        techniques: &["T1021"],
        look: "All logons of the same account, and all from the same host, on every machine for 30 days before; service installations and scheduled tasks there.",
        why: "Lateral movement leaves its pair of traces on source and target.",
    },
    NextStep {
        techniques: &["T1047", "T1569", "T1543", "T1547"],
        look: "Services, tasks, WMI subscriptions and start folders on all hosts that the account reached.",
        why: "Execution is often left as persistence.",
    },
    NextStep {
        techniques: &["T1003"],
        look: "Which accounts had sessions on the host at that time: their passwords and tickets are known to the attackers. Reset those of services and the directory's krbtgt twice.",
        why: "Stolen credentials make every later find incomplete.",
    },
    NextStep {
        techniques: &["T1134"],
        look: "Children of the process that held the token, and the tool's hash everywhere.",
        why: "Custom tools are rare, so their hash is a good thread.",
    },
    NextStep {
        techniques: &["T1562", "T1685"],
        look: "Hosts whose protection went silent in the same hour; exclusions set by policy or WMI.",
        why: "Silence comes before the blow.",
    },
    NextStep {
        techniques: &["T1570"],
        look: "The source host's files, its list of targets, its logons; all hosts to which it opened SMB within the hour.",
        why: "The spreader holds the list of victims.",
    },
    NextStep {
        techniques: &["T1486", "T1490", "T1489", "T1491"],
        look: "Isolate the hosts; keep one powered on for memory; look for the spreader and its logon; check backups offline before use.",
        why: "Encryption may be a screen: the wiper came hours later.",
    },
    NextStep {
        techniques: &["T1561"],
        look: "Drivers loaded and services installed in the same hours on all hosts; block the driver by hash and signer; secure images of disks not yet wiped.",
        why: "The driver is the wiper's weakest place.",
    },
    NextStep {
        techniques: &["T1070"],
        look: "Forwarded copies of the cleared logs, border logs, file system journals.",
        why: "What was cleared at one place stands in another.",
    },
];
