//! Lines of text logs: IIS (W3C extended), Zeek (TSV), web proxy (CSV), syslog (RFC 5424).

use super::calendar::Time;
use super::rng::Rng;

/// `#Fields` of the IIS logs, in the order of [`Request::iis`].
pub(super) const IIS_FIELDS: &str = "date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip \
     cs(User-Agent) cs(Referer) sc-status sc-substatus sc-win32-status sc-bytes cs-bytes time-taken";

/// Columns of the proxy log, in the order of [`Request::proxy`].
pub(super) const PROXY_COLUMNS: &str = "date,time,c-ip,cs-username,cs-method,cs-uri-scheme,cs-host,cs-uri-path,\
     cs-uri-query,sc-status,sc-bytes,cs-bytes,time-taken,cs-user-agent";

/// Fields of a Zeek log with their types; after `ts`, `uid` and the connection's four.
pub(super) struct ZeekLog {
    pub(super) path: &'static str,
    pub(super) fields: &'static str,
    pub(super) types: &'static str,
}

pub(super) const ZEEK_ID: (&str, &str) =
    ("ts uid id.orig_h id.orig_p id.resp_h id.resp_p", "time string addr port addr port");

pub(super) const ZEEK_CONN: ZeekLog = ZeekLog {
    path: "conn",
    fields: "proto service duration orig_bytes resp_bytes conn_state local_orig local_resp missed_bytes \
             history orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes tunnel_parents",
    types: "enum string interval count count string bool bool count string count count count count set[string]",
};

pub(super) const ZEEK_HTTP: ZeekLog = ZeekLog {
    path: "http",
    fields: "trans_depth method host uri referrer version user_agent origin request_body_len \
             response_body_len status_code status_msg info_code info_msg tags username password proxied \
             orig_fuids orig_filenames orig_mime_types resp_fuids resp_filenames resp_mime_types",
    types: "count string string string string string string string count count count string count string \
            set[enum] string string set[string] vector[string] vector[string] vector[string] \
            vector[string] vector[string] vector[string]",
};

pub(super) const ZEEK_DNS: ZeekLog = ZeekLog {
    path: "dns",
    fields: "proto trans_id rtt query qclass qclass_name qtype qtype_name rcode rcode_name AA TC RD RA Z \
             answers TTLs rejected",
    types: "enum count interval string count string count string count string bool bool bool bool count \
            vector[string] vector[interval] bool",
};

/// One HTTP request, as any of the logs may tell it.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) host: String,
    pub(super) stem: String,
    pub(super) query: String,
    pub(super) user: String,
    pub(super) client: String,
    pub(super) server: String,
    pub(super) port: u16,
    pub(super) agent: String,
    pub(super) referer: String,
    pub(super) status: u16,
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
    pub(super) took_ms: u64,
}

impl Request {
    /// A line of IIS.
    pub(super) fn iis(&self, time: Time) -> String {
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.replace(' ', "+") };
        format!(
            "{} {} {} {} {} {} {} {} {} {} {} {} 0 0 {} {} {}",
            time.date(),
            time.time_of_day(),
            self.server,
            self.method,
            or_dash(&self.stem),
            or_dash(&self.query),
            self.port,
            or_dash(&self.user),
            self.client,
            or_dash(&self.agent),
            or_dash(&self.referer),
            self.status,
            self.sent_bytes,
            self.received_bytes,
            self.took_ms
        )
    }

    /// A line of the web proxy.
    pub(super) fn proxy(&self, time: Time) -> String {
        format!(
            "{},{},{},{},{},{},{},{},{},{},{},{},{},\"{}\"",
            time.date(),
            time.time_of_day(),
            self.client,
            self.user,
            self.method,
            if self.port == 443 { "https" } else { "http" },
            self.host,
            self.stem,
            self.query,
            self.status,
            self.sent_bytes,
            self.received_bytes,
            self.took_ms,
            self.agent
        )
    }

    /// A line of Zeek's http log.
    pub(super) fn zeek(&self, rng: &mut Rng, time: Time) -> String {
        let uri =
            if self.query.is_empty() { self.stem.clone() } else { format!("{}?{}", self.stem, self.query) };
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let message = match self.status {
            200 => "OK",
            302 => "Found",
            304 => "Not Modified",
            401 => "Unauthorized",
            404 => "Not Found",
            _ => "-",
        };
        zeek_line(
            rng,
            time,
            (&self.client, &self.server, self.port),
            &format!(
                "1\t{}\t{}\t{uri}\t{}\t1.1\t{}\t-\t{}\t{}\t{}\t{message}\t-\t-\t(empty)\t-\t-\t-\t-\t-\t-\t-\t-\t-",
                self.method,
                or_dash(&self.host),
                or_dash(&self.referer),
                or_dash(&self.agent),
                self.received_bytes,
                self.sent_bytes,
                self.status
            ),
        )
    }
}

/// A line of a Zeek log: time, uid, connection (client, server, port of the server) and the rest.
pub(super) fn zeek_line(
    rng: &mut Rng,
    time: Time,
    (client, server, port): (&str, &str, u16),
    rest: &str,
) -> String {
    let uid = rng.base62(17);
    let from = rng.between(49_152, 65_535);
    format!("{}\tC{uid}\t{client}\t{from}\t{server}\t{port}\t{rest}", time.zeek())
}

/// A line of syslog.
pub(super) fn syslog(time: Time, host: &str, program: &str, pid: u64, message: &str) -> String {
    format!("<38>1 {} {host} {program} {pid} - - {message}", time.rfc3339())
}
