//! Media types (section 1.6.8.1) and their negotiation (RFC 9110 section 12.5.1).

/// What every TAXII 2.1 message is.
pub const TAXII_21: &str = "application/taxii+json;version=2.1";
/// What the objects of a manifest are.
pub const STIX_21: &str = "application/stix+json;version=2.1";
/// The same for STIX 2.0.
pub(crate) const STIX_20: &str = "application/stix+json;version=2.0";

/// Whether an `Accept` header takes TAXII 2.1. None at all takes anything.
pub(crate) fn accepts(header: Option<&str>) -> bool {
    header.is_none_or(|header| {
        header.split(',').any(|range| {
            let (kind, parameters) = parse(range);
            let type_fits = matches!(kind.as_str(), "*/*" | "application/*" | "application/taxii+json");
            type_fits && !is_refused(&parameters) && version_fits(&parameters)
        })
    })
}

/// Whether a `Content-Type` header is TAXII 2.1; without a version it means the latest.
pub(crate) fn is_taxii(header: Option<&str>) -> bool {
    header.is_some_and(|header| {
        let (kind, parameters) = parse(header);
        kind == "application/taxii+json" && version_fits(&parameters)
    })
}

/// Whether `q` is zero: "not this one".
fn is_refused(parameters: &[(String, String)]) -> bool {
    parameters
        .iter()
        .any(|(name, value)| name == "q" && value.parse::<f32>().is_ok_and(|quality| quality <= 0.0))
}

fn version_fits(parameters: &[(String, String)]) -> bool {
    parameters.iter().all(|(name, value)| name != "version" || value == "2.1")
}

fn parse(text: &str) -> (String, Vec<(String, String)>) {
    let mut parts = text.split(';');
    let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let parameters = parts
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_owned()));
    (kind, parameters.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiation() {
        for (header, expected) in [
            ("application/taxii+json;version=2.1", true),
            ("application/taxii+json; version=\"2.1\"", true),
            ("Application/TAXII+json", true),
            ("*/*", true),
            ("text/html, application/*;q=0.1", true),
            ("application/taxii+json;version=2.0, application/taxii+json;version=2.1", true),
            ("application/taxii+json;version=2.0", false),
            ("application/taxii+json;version=2.1;q=0", false),
            ("application/json", false),
            ("application/vnd.oasis.taxii+json; version=2.0", false),
            ("", false),
        ] {
            assert_eq!(accepts(Some(header)), expected, "{header}");
        }
        assert!(accepts(None) && !is_taxii(None) && !is_taxii(Some("application/json")));
        assert!(is_taxii(Some("application/taxii+json")));
    }
}
