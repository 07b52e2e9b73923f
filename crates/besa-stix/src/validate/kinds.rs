//! Kinds of values: what a property may hold, and why a value is refused.

use serde_json::{Map, Value};

use super::catalogue::{EXTENSION_TYPES, PREDEFINED_EXTENSIONS};
use crate::encoding::decode_hex;
use crate::id::split_id;
use crate::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    Boolean,
    Integer(i64, i64),
    Number(f64, f64),
    Time,
    AnyRef,
    RefTo(&'static [&'static str]),
    /// To any type but these.
    RefNotTo(&'static [&'static str]),
    List(&'static Kind),
    Dictionary,
    Hashes,
    Hex,
    Enum(&'static [&'static str]),
    KillChainPhase,
    ExternalReference,
    Extensions,
    Language,
    LanguageContents,
    RelationshipType,
    RegistryValue,
    Email,
    Uri,
    Ipv4,
    Ipv6,
    Mac,
    Charset,
    Cpe,
}

/// Reports `(path, message)` for each fault of a value.
pub(super) type Report<'a> = &'a mut dyn FnMut(String, String);

impl Kind {
    pub(super) fn check(self, value: &Value, path: &str, report: Report<'_>) {
        match self {
            Self::List(of) => match value.as_array() {
                Some(list) => {
                    for (index, value) in list.iter().enumerate() {
                        of.check(value, &format!("{path}.[{index}]"), report);
                    }
                }
                None => report(path.to_owned(), "it must be a list".to_owned()),
            },
            Self::Hashes => with_object(value, path, report, check_hashes),
            Self::ExternalReference => with_object(value, path, report, check_external_reference),
            Self::Extensions => with_object(value, path, report, check_extensions),
            Self::LanguageContents => with_object(value, path, report, check_language_contents),
            Self::KillChainPhase => with_object(value, path, report, |phase, path, report| {
                for required in ["kill_chain_name", "phase_name"] {
                    if phase.get(required).and_then(Value::as_str).is_none() {
                        report(
                            path.to_owned(),
                            format!("a kill chain phase needs the text `{required}` (section 2.11)"),
                        );
                    }
                }
            }),
            Self::RegistryValue => with_object(value, path, report, check_registry_value),
            _ => {
                if let Some(message) = self.fault(value) {
                    report(path.to_owned(), message);
                }
            }
        }
    }

    /// The fault of a value without parts.
    fn fault(self, value: &Value) -> Option<String> {
        match self {
            Self::Boolean => (!value.is_boolean()).then(|| "it must be true or false".to_owned()),
            Self::Dictionary => (!value.is_object()).then(|| "it must be a dictionary".to_owned()),
            Self::Integer(low, high) => {
                let fits = value.as_i64().is_some_and(|number| (low..=high).contains(&number))
                    || (high == i64::MAX && value.is_u64());
                (!fits).then(|| format!("it must be an integer from {low} to {high}"))
            }
            Self::Number(low, high) => {
                let fits = value.as_f64().is_some_and(|number| (low..=high).contains(&number));
                (!fits).then(|| format!("it must be a number from {low} to {high}"))
            }
            _ => match value.as_str() {
                Some(text) => self.text_fault(text),
                None => Some("it must be text".to_owned()),
            },
        }
    }

    fn text_fault(self, text: &str) -> Option<String> {
        let unless =
            |fits: bool, wanted: &str| (!fits).then(|| format!("`{}` is no {wanted}", shorten(text)));
        match self {
            Self::Time => Instant::parse(text).err().map(|error| error.to_string()),
            Self::AnyRef => reference_fault(text, |_| true, "any type"),
            Self::RefTo(types) => reference_fault(text, |found| types.contains(&found), &types.join(" or ")),
            Self::RefNotTo(types) => {
                reference_fault(text, |found| !types.contains(&found), "a type allowed here")
            }
            Self::Hex => {
                unless(decode_hex(text).is_some(), "even number of hexadecimal digits (section 2.8)")
            }
            Self::Enum(values) => {
                unless(values.contains(&text), &format!("value of this enumeration: {}", values.join(", ")))
            }
            Self::Language => unless(is_language(text), "RFC 5646 language tag"),
            Self::RelationshipType => unless(
                !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')),
                "relationship type: a-z, 0-9 and hyphens only (section 5.1)",
            ),
            Self::Email => unless(is_email(text), "e-mail address without display name (RFC 5322)"),
            Self::Uri => unless(is_uri(text), "URI (RFC 3986)"),
            Self::Ipv4 => {
                unless(is_network::<std::net::Ipv4Addr>(text, 32), "IPv4 address or network in CIDR form")
            }
            Self::Ipv6 => {
                unless(is_network::<std::net::Ipv6Addr>(text, 128), "IPv6 address or network in CIDR form")
            }
            Self::Mac => {
                unless(is_mac(text), "MAC address of six colon-separated lower-case pairs (section 6.10)")
            }
            Self::Charset => unless(is_charset(text), "character set of the IANA registry"),
            Self::Cpe => {
                unless(text.starts_with("cpe:2.3:") && text.split(':').count() >= 13, "CPE 2.3 name")
            }
            _ => None,
        }
    }
}

fn with_object(
    value: &Value,
    path: &str,
    report: Report<'_>,
    check: fn(&Map<String, Value>, &str, Report<'_>),
) {
    match value.as_object() {
        Some(object) => check(object, path, report),
        None => report(path.to_owned(), "it must be a dictionary".to_owned()),
    }
}

fn reference_fault(text: &str, allowed: impl Fn(&str) -> bool, wanted: &str) -> Option<String> {
    match split_id(text) {
        None => Some(format!("`{}` is no identifier (section 2.9)", shorten(text))),
        Some((found, _)) => (!allowed(found)).then(|| format!("it refers to a `{found}`, not to {wanted}")),
    }
}

/// Keys (section 2.7) and the length of hashes whose algorithm is known.
fn check_hashes(hashes: &Map<String, Value>, path: &str, report: Report<'_>) {
    for (algorithm, hash) in hashes {
        let name = (3..=250).contains(&algorithm.len())
            && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !name {
            let message = format!(
                "`{}` is no hash algorithm: 3 to 250 letters, digits, `-`, `_` (section 2.7)",
                shorten(algorithm)
            );
            report(path.to_owned(), message);
        }
        let digits = match algorithm.as_str() {
            "MD5" => 32,
            "SHA-1" => 40,
            "SHA-256" | "SHA3-256" => 64,
            "SHA-512" | "SHA3-512" => 128,
            _ => 0,
        };
        let fits = match hash.as_str() {
            Some(hash) if digits > 0 => {
                hash.len() == digits && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
            }
            Some(_) => true,
            None => false,
        };
        if !fits {
            report(
                format!("{path}.{algorithm}"),
                format!("it is no {algorithm} hash ({digits} hexadecimal digits)"),
            );
        }
    }
}

fn check_external_reference(reference: &Map<String, Value>, path: &str, report: Report<'_>) {
    let text = |key: &str| reference.get(key).and_then(Value::as_str);
    let Some(source) = text("source_name") else {
        report(path.to_owned(), "an external reference needs `source_name` (section 2.5)".to_owned());
        return;
    };
    if !["description", "url", "external_id"].iter().any(|key| reference.contains_key(*key)) {
        report(
            path.to_owned(),
            "it needs one of `description`, `url`, `external_id` (section 2.5)".to_owned(),
        );
    }
    if let Some(hashes) = reference.get("hashes") {
        Kind::Hashes.check(hashes, &format!("{path}.hashes"), report);
    }
    let external_id = text("external_id");
    match source {
        "cve" if !external_id.is_some_and(is_cve) => {
            report(path.to_owned(), "a CVE is written CVE-YYYY-NNNN (section 4.19)".to_owned());
        }
        "capec" if !external_id.is_some_and(|id| numbered(id, "CAPEC-")) => {
            report(path.to_owned(), "a CAPEC entry is written CAPEC-NNN (section 4.1)".to_owned());
        }
        _ if source.eq_ignore_ascii_case("cve") && source != "cve" => {
            report(path.to_owned(), "`source_name` of a CVE is `cve` (section 4.19)".to_owned());
        }
        _ => {}
    }
}

fn check_extensions(extensions: &Map<String, Value>, path: &str, report: Report<'_>) {
    for (key, extension) in extensions {
        let path = format!("{path}.{key}");
        let defined = split_id(key).is_some_and(|(object_type, _)| object_type == "extension-definition");
        let named = key.strip_suffix("-ext").is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        });
        if !defined && !named && !PREDEFINED_EXTENSIONS.contains(&key.as_str()) {
            report(
                path.clone(),
                "the key is neither an extension-definition's id nor a predefined extension (section 7.3)"
                    .to_owned(),
            );
        }
        match extension.get("extension_type") {
            _ if !extension.is_object() => {
                report(path, "an extension must be a dictionary (section 3.2)".to_owned());
            }
            None if defined => report(path, "it needs `extension_type` (section 7.3)".to_owned()),
            Some(value) => {
                Kind::Enum(EXTENSION_TYPES).check(value, &format!("{path}.extension_type"), report);
            }
            None => {}
        }
    }
}

fn check_language_contents(contents: &Map<String, Value>, path: &str, report: Report<'_>) {
    for (language, content) in contents {
        Kind::Language.check(&Value::String(language.clone()), path, report);
        if !content.is_object() {
            report(format!("{path}.{language}"), "it must be a dictionary (section 7.1)".to_owned());
        }
    }
}

fn check_registry_value(value: &Map<String, Value>, path: &str, report: Report<'_>) {
    const DATA_TYPES: &[&str] = &[
        "REG_NONE",
        "REG_SZ",
        "REG_EXPAND_SZ",
        "REG_BINARY",
        "REG_DWORD",
        "REG_DWORD_BIG_ENDIAN",
        "REG_DWORD_LITTLE_ENDIAN",
        "REG_LINK",
        "REG_MULTI_SZ",
        "REG_RESOURCE_LIST",
        "REG_FULL_RESOURCE_DESCRIPTION",
        "REG_RESOURCE_REQUIREMENTS_LIST",
        "REG_QWORD",
        "REG_INVALID_TYPE",
    ];
    if !["name", "data", "data_type"].iter().any(|key| value.contains_key(*key)) {
        report(path.to_owned(), "it needs one of `name`, `data`, `data_type` (section 6.17)".to_owned());
    }
    if let Some(data_type) = value.get("data_type") {
        Kind::Enum(DATA_TYPES).check(data_type, &format!("{path}.data_type"), report);
    }
}

fn is_cve(id: &str) -> bool {
    let number = id.strip_prefix("CVE-").and_then(|rest| rest.split_once('-'));
    number.is_some_and(|(year, number)| {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        year.len() == 4 && digits(year) && number.len() >= 4 && digits(number)
    })
}

fn numbered(id: &str, prefix: &str) -> bool {
    id.strip_prefix(prefix)
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Well-formed (RFC 5646 section 2.1), and a two-letter language is one of ISO 639-1.
fn is_language(tag: &str) -> bool {
    const TWO_LETTERS: &str = "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik in io is it iu iw ja ji jv jw ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mo mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu";
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default().to_ascii_lowercase();
    let known = match language.len() {
        1 => matches!(language.as_str(), "i" | "x") && tag.len() > 2,
        2 => TWO_LETTERS.split(' ').any(|known| known == language),
        3..=8 => language.bytes().all(|byte| byte.is_ascii_lowercase()),
        _ => false,
    };
    known
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

fn is_email(text: &str) -> bool {
    let plain = !text.chars().any(|letter| letter.is_whitespace() || matches!(letter, '<' | '>' | ','));
    plain && text.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

fn is_uri(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
            && !rest.is_empty()
            && !rest.chars().any(|letter| letter.is_control() || letter == ' ')
    })
}

fn is_network<A: std::str::FromStr>(text: &str, width: u32) -> bool {
    let (address, prefix) =
        text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let prefix_fits = prefix.is_none_or(|prefix| {
        let plain = prefix == "0" || !prefix.starts_with(['0', '+']);
        plain && prefix.parse::<u32>().is_ok_and(|prefix| prefix <= width)
    });
    address.parse::<A>().is_ok() && prefix_fits
}

fn is_mac(text: &str) -> bool {
    let pair =
        |pair: &str| pair.len() == 2 && pair.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    text.split(':').count() == 6 && text.split(':').all(pair)
}

/// By the families of names in the registry; a name outside them is not registered.
fn is_charset(name: &str) -> bool {
    const FAMILIES: &str = "adobe amiga ansi ascii bocu big5 brf bs_ bs_viewdata cesu cp csa csn dec din ds_ dk e13b ebcdic ecma es es2 euc extended_unix fi fr gb gbk gost greek hp hz ibm ies iec inis invariant iso it jis jus koi ks_ ksc l1 l2 l3 l4 l5 l6 l8 l10 latin macintosh microsoft mnem mnemonic ms_ msz msdos nats nc_ nf_ no ns_ osd pc8 pt ptcp r8 roman8 scsu sen se shift_jis sjis t.61 tis tscii uk unicode unknown us utf ventura videotex viqr viscii windows yu";
    let name = name.to_ascii_lowercase();
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:()+".contains(&byte));
    letters && FAMILIES.split(' ').any(|family| name.starts_with(family))
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}
