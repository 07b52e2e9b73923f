//! Suricata EVE: JSON lines, each with an `event_type`.
//!
//! ```text
//! {"timestamp":"2024-01-01T00:00:00.123456+0000","flow_id":1,"event_type":"http",
//!  "src_ip":"10.0.0.1","dest_ip":"10.0.0.2","http":{"hostname":"example.org","url":"/x"}}
//!    ─▶ suricata/http/proxy, fields event_type, src_ip, http.hostname, http.url …
//! ```
//!
//! The JSON decoder reads the records; here is what tells them from other JSON and what they
//! are in Sigma's terms. Names of rules (`dst_ip`, `cs-host`, `query`) are given to the fields
//! by the log source's aliases.

use besa_event::LogSource;

/// Values of `event_type` (Suricata 8, "EVE JSON format").
const EVENT_TYPES: &[&str] = &[
    "alert",
    "anomaly",
    "arp",
    "bittorrent_dht",
    "dcerpc",
    "dhcp",
    "dnp3",
    "dns",
    "doh2",
    "drop",
    "enip",
    "fileinfo",
    "flow",
    "frame",
    "ftp",
    "ftp_data",
    "http",
    "http2",
    "ike",
    "ikev2",
    "krb5",
    "ldap",
    "mdns",
    "metadata",
    "modbus",
    "mqtt",
    "netflow",
    "nfs",
    "packetinfo",
    "pgsql",
    "pop3",
    "quic",
    "rdp",
    "rfb",
    "sip",
    "smb",
    "smtp",
    "snmp",
    "ssh",
    "stats",
    "telnet",
    "tftp",
    "tls",
    "websocket",
];

/// Whether a record is Suricata's, by its `event_type` and whether it has a field that no other
/// product has.
pub(crate) fn is_eve(event_type: &[u8], has_own_field: bool) -> bool {
    has_own_field && EVENT_TYPES.iter().any(|known| known.as_bytes() == event_type)
}

/// The class of an event type: it is the service, and the categories are those of Sigma's
/// taxonomy for network logs.
pub(crate) fn class(event_type: &str) -> LogSource {
    let categories: &[&str] = match event_type {
        "flow" | "netflow" => &["firewall", "network_connection"],
        "http" | "http2" => &["proxy", "webserver"],
        "dns" => &["dns"],
        "alert" => &["ids"],
        _ => &[],
    };
    LogSource::new("suricata", &[event_type], categories)
}
