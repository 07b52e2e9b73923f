//! An event as the objects of one STIX observation, read where they stand.

use std::borrow::Cow;
use std::net::IpAddr;

use besa_event::observable::{self, is_domain, parse_address};
use besa_event::{Dictionary, Event, ValueKind};
use besa_stix::pattern::{ObjectGraph, Step, Value};

use super::mapping::{Object, Part, Row, Source};

/// One event seen through the tables of [`super::mapping`].
pub(crate) struct EventGraph<'a> {
    pub(crate) event: Event<'a>,
    pub(crate) dictionary: &'a Dictionary,
    /// What events of its class hold.
    pub(crate) objects: &'a [&'static Object],
}

type See<'s> = dyn FnMut(Value<'_>) -> bool + 's;

impl ObjectGraph for EventGraph<'_> {
    fn any_object(&self, object_type: &str, see: &mut dyn FnMut(usize) -> bool) -> bool {
        let mut places = self.objects.iter().enumerate();
        places.any(|(place, object)| object.object_type == object_type && self.exists(object) && see(place))
    }

    fn any_value(&self, object: usize, steps: &[Step], see: &mut See<'_>) -> bool {
        self.objects.get(object).is_some_and(|object| self.walk(object, steps, see))
    }
}

impl EventGraph<'_> {
    fn exists(&self, object: &Object) -> bool {
        object.rows.iter().any(|row| self.row_exists(row))
    }

    fn row_exists(&self, row: &Row) -> bool {
        match &row.source {
            Source::Fields(fields, part) => self.any_part(fields, *part, &mut |_| true),
            Source::Objects(objects) => objects.iter().any(|object| self.exists(object)),
        }
    }

    fn walk(&self, object: &Object, steps: &[Step], see: &mut See<'_>) -> bool {
        let Some((Step::Property(name), rest)) = steps.split_first() else { return false };
        if name == "type" && rest.is_empty() && !object.object_type.is_empty() {
            return see(Value::String(object.object_type));
        }
        let mut rows = object.rows.iter().filter(|row| row.property == name);
        rows.any(|row| match (row.list, rest.split_first()) {
            (true, None) => self.row_exists(row) && see(Value::Composite),
            (true, Some((Step::Index(index), rest))) => self.element(row, Some(*index), rest, see),
            (true, Some((Step::AnyIndex, rest))) => self.element(row, None, rest, see),
            (true, Some((Step::Property(_), _))) => {
                self.is_reference_list(row) && self.element(row, None, rest, see)
            }
            (false, _) => self.element(row, None, rest, see),
        })
    }

    /// `to_refs.value`, without an index, reads as `to_refs[*].value` does in practice.
    fn is_reference_list(&self, row: &Row) -> bool {
        row.property.ends_with("_refs")
    }

    /// One element of a list, any of it, or the value of a row that is no list.
    fn element(&self, row: &Row, index: Option<u64>, rest: &[Step], see: &mut See<'_>) -> bool {
        match &row.source {
            Source::Fields(..) if !rest.is_empty() => false,
            Source::Fields(fields, part) => {
                let mut place = 0;
                self.any_part(fields, *part, &mut |value| {
                    place += 1;
                    index.is_none_or(|index| index + 1 == place) && see(value)
                })
            }
            Source::Objects(objects) => {
                let there = objects.iter().filter(|object| self.exists(object));
                let mut places =
                    (0_u64..).zip(there).filter(|(place, _)| index.is_none_or(|index| index == *place));
                places.any(
                    |(_, object)| {
                        if rest.is_empty() { see(Value::Composite) } else { self.walk(object, rest, see) }
                    },
                )
            }
        }
    }

    /// Shows every value of a property.
    pub(crate) fn each_part(&self, fields: &[&str], part: Part, see: &mut dyn FnMut(Value<'_>)) {
        self.any_part(fields, part, &mut |value| {
            see(value);
            false
        });
    }

    /// Offers the parts of the first field that has any.
    fn any_part(&self, fields: &[&str], part: Part, see: &mut See<'_>) -> bool {
        for name in fields {
            let Some(id) = self.dictionary.lookup(name.as_bytes()) else { continue };
            let mut any = false;
            for value in self.event.all(id) {
                if matches!(value.kind, ValueKind::Null | ValueKind::Node) {
                    continue;
                }
                let text = value.display();
                if matches!(&*text, "" | "-") {
                    continue;
                }
                let stop = parts(&text, part, &mut |value| {
                    any = true;
                    see(value)
                });
                if stop {
                    return true;
                }
            }
            if any {
                return false;
            }
        }
        false
    }
}

fn parts(text: &str, part: Part, see: &mut See<'_>) -> bool {
    match part {
        Part::Whole => see(Value::String(text)),
        Part::Name => see_text(file_name(text), see),
        Part::Directory => directory(text).is_some_and(|directory| see(Value::String(directory))),
        Part::Integer => integer(text).is_some_and(|number| see(Value::Integer(number))),
        Part::Hash(algorithm) => {
            hash(text, algorithm).is_some_and(|hash| see(Value::String(&hash.to_ascii_lowercase())))
        }
        Part::Digits => {
            let digits: String = text.chars().filter(|letter| *letter != ':').collect();
            see_text(&digits.to_ascii_lowercase(), see)
        }
        Part::Ipv4 => parse_address(text.as_bytes()).is_some_and(|address| see_address(address, true, see)),
        Part::Ipv6 => parse_address(text.as_bytes()).is_some_and(|address| see_address(address, false, see)),
        Part::Ipv4List => addresses(text).any(|address| see_address(address, true, see)),
        Part::Ipv6List => addresses(text).any(|address| see_address(address, false, see)),
        Part::Domain => {
            let name = text.strip_suffix('.').unwrap_or(text);
            is_domain(name.as_bytes()) && see(Value::String(name))
        }
        Part::Url => text.contains("://") && see(Value::String(text)),
        Part::Email => {
            let inside = text.rsplit_once('<').map_or(text, |(_, inside)| inside.trim_end_matches('>'));
            inside.contains('@') && see(Value::String(inside))
        }
        Part::Account => see_text(text.rsplit('\\').next().unwrap_or_default(), see),
        Part::Lower => see(Value::String(&text.to_lowercase())),
        Part::RegistryKey => registry_forms(text).iter().any(|key| see(Value::String(key))),
        Part::RegistryParent => text
            .rsplit_once('\\')
            .is_some_and(|(parent, _)| registry_forms(parent).iter().any(|key| see(Value::String(key)))),
        Part::RegistryValue => text.rsplit_once('\\').is_some_and(|(_, value)| see_text(value, see)),
    }
}

fn see_text(text: &str, see: &mut See<'_>) -> bool {
    !text.is_empty() && see(Value::String(text))
}

fn see_address(address: IpAddr, v4: bool, see: &mut See<'_>) -> bool {
    address.is_ipv4() == v4 && see(Value::String(&address.to_string()))
}

/// Sysmon's `QueryResults`: `type:  5 alias.example;::ffff:10.0.0.1;`.
fn addresses(text: &str) -> impl Iterator<Item = IpAddr> {
    text.split([';', ',', ' ']).filter_map(|part| parse_address(part.as_bytes()))
}

fn file_name(path: &str) -> &str {
    let inside =
        path.trim_ascii_start().strip_prefix('"').and_then(|rest| rest.split('"').next()).unwrap_or(path);
    let bytes = observable::file_name(inside.as_bytes()).len();
    inside.get(inside.len() - bytes..).unwrap_or_default()
}

fn directory(path: &str) -> Option<&str> {
    let at = path.rfind(['\\', '/'])?;
    let path = &path[..at];
    (!path.is_empty()).then_some(path)
}

fn integer(text: &str) -> Option<i128> {
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => i128::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// One algorithm's digits out of Sysmon's list; a value without a name tells by its length.
fn hash<'t>(text: &'t str, algorithm: &str) -> Option<&'t str> {
    let mut listed = text.split([',', ';', '|']).map(str::trim);
    listed.find_map(|item| match item.split_once(['=', ':']) {
        Some((name, digits)) => {
            let name = name.trim();
            let same =
                name.eq_ignore_ascii_case(algorithm) || name.replace('-', "").eq_ignore_ascii_case(algorithm);
            same.then_some(digits.trim())
        }
        None => {
            let by_length = matches!(
                (item.len(), algorithm),
                (32, "MD5") | (40, "SHA1") | (64, "SHA256") | (128, "SHA512")
            );
            (by_length && item.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(item)
        }
    })
}

const HIVES: &[(&str, &str)] = &[
    ("HKLM", "HKEY_LOCAL_MACHINE"),
    ("HKCU", "HKEY_CURRENT_USER"),
    ("HKU", "HKEY_USERS"),
    ("HKCR", "HKEY_CLASSES_ROOT"),
    (r"\REGISTRY\MACHINE", "HKEY_LOCAL_MACHINE"),
    (r"\REGISTRY\USER", "HKEY_USERS"),
    (r"REGISTRY\MACHINE", "HKEY_LOCAL_MACHINE"),
    ("HKEY_LOCAL_MACHINE", "HKEY_LOCAL_MACHINE"),
    ("HKEY_CURRENT_USER", "HKEY_CURRENT_USER"),
    ("HKEY_USERS", "HKEY_USERS"),
    ("HKEY_CLASSES_ROOT", "HKEY_CLASSES_ROOT"),
];

/// The key with its hive spelt out; a user's key also as the current user's.
fn registry_forms(key: &str) -> Vec<Cow<'_, str>> {
    let hive = HIVES.iter().find_map(|(written, spelt)| {
        let rest = key.get(written.len()..).filter(|rest| rest.is_empty() || rest.starts_with('\\'))?;
        key.get(..written.len())?.eq_ignore_ascii_case(written).then_some((*spelt, rest))
    });
    let Some((hive, rest)) = hive else { return vec![Cow::Borrowed(key)] };
    let mut forms = vec![Cow::Owned(format!("{hive}{rest}"))];
    if hive == "HKEY_USERS"
        && let Some((sid, below)) = rest.strip_prefix('\\').and_then(|rest| rest.split_once('\\'))
        && sid.len() > 9
        && sid.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("S-1-5-21-"))
    {
        let classes = sid.to_ascii_lowercase().ends_with("_classes");
        let middle = if classes { r"Software\Classes\" } else { "" };
        forms.push(Cow::Owned(format!(r"HKEY_CURRENT_USER\{middle}{below}")));
    }
    forms
}
