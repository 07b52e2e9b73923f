//! ATT&CK ids in tags, alike across versions of ATT&CK.
//!
//! Rules written before April 2026 say `attack.t1562.001`, later ones
//! `attack.t1685`: one technique. [`canonical`] gives the newer id, so that
//! findings of old and new rules, and facts of old and new reports, fall
//! together. Tags themselves are kept as written.
//!
//! Source of the table: the `revoked-by` relationships of ATT&CK 19.2
//! (Enterprise). The rules of SigmaHQ at commit 8eaafff carry the new ids of
//! every v19 row but `T1684.*`, `T1685.003` and `T1688`.

/// Revoked technique and the one that replaced it, ascending.
const REVOKED: [(&str, &str); 18] = [
    ("T1070.001", "T1685.005"), // v19: Clear Windows Event Logs
    ("T1070.002", "T1685.006"), // v19: Clear Linux or Mac System Logs
    ("T1562", "T1685"),         // v19: Impair Defenses
    ("T1562.001", "T1685"),     // v19: Disable or Modify Tools
    ("T1562.002", "T1685.001"), // v19: Disable Windows Event Logging
    ("T1562.003", "T1690"),     // v19: Impair Command History Logging
    ("T1562.004", "T1686"),     // v19: Disable or Modify System Firewall
    ("T1562.006", "T1685"),     // v19: Indicator Blocking
    ("T1562.007", "T1686.001"), // v19: Disable or Modify Cloud Firewall
    ("T1562.008", "T1685.002"), // v19: Disable or Modify Cloud Logs
    ("T1562.009", "T1688"),     // v19: Safe Mode Boot
    ("T1562.010", "T1689"),     // v19: Downgrade Attack
    ("T1562.011", "T1685.003"), // v19: Spoof Security Alerting
    ("T1562.012", "T1685.004"), // v19: Disable or Modify Linux Audit System
    ("T1562.013", "T1686.002"), // v19: Disable or Modify Network Device Firewall
    ("T1574.002", "T1574.001"), // v17: DLL Side-Loading
    ("T1656", "T1684.001"),     // v19: Impersonation
    ("T1672", "T1684.002"),     // v19: Email Spoofing
];

/// A tactic of ATT&CK Enterprise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tactic {
    /// Such as `TA0008`.
    pub id: &'static str,
    /// As in the matrix' URLs, such as `lateral-movement`.
    pub short_name: &'static str,
}

/// In the order of the matrix. `TA0005` stands twice: v19 renamed Defense
/// Evasion to Stealth and moved a part of it to Defense Impairment, so an old
/// tag cannot be mapped to one new tactic and keeps its own name.
const TACTICS: [Tactic; 16] = [
    tactic("TA0043", "reconnaissance"),
    tactic("TA0042", "resource-development"),
    tactic("TA0001", "initial-access"),
    tactic("TA0002", "execution"),
    tactic("TA0003", "persistence"),
    tactic("TA0004", "privilege-escalation"),
    tactic("TA0005", "stealth"),
    tactic("TA0005", "defense-evasion"),
    tactic("TA0112", "defense-impairment"),
    tactic("TA0006", "credential-access"),
    tactic("TA0007", "discovery"),
    tactic("TA0008", "lateral-movement"),
    tactic("TA0009", "collection"),
    tactic("TA0011", "command-and-control"),
    tactic("TA0010", "exfiltration"),
    tactic("TA0040", "impact"),
];

const fn tactic(id: &'static str, short_name: &'static str) -> Tactic {
    Tactic { id, short_name }
}

/// What a tag in the `attack` namespace means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AttackTag {
    /// A technique or sub-technique, the canonical id: `T1059.001`.
    Technique(String),
    /// A tactic.
    Tactic(Tactic),
    /// A group, such as `G0049`.
    Group(String),
    /// Software, such as `S0154`.
    Software(String),
}

/// Reads a rule's tag: `attack.t1059.001`, `attack.defense_evasion`,
/// `attack.g0049`. `None` for other namespaces and unknown words.
#[must_use]
pub fn parse_tag(tag: &str) -> Option<AttackTag> {
    let tag = tag.trim().to_ascii_lowercase();
    let word = tag.strip_prefix("attack.")?;
    if let Some(id) = canonical(word) {
        return Some(AttackTag::Technique(id));
    }
    let numbered = |prefix: char| word.strip_prefix(prefix).is_some_and(|digits| are_digits(digits, 4));
    if numbered('g') {
        return Some(AttackTag::Group(word.to_ascii_uppercase()));
    }
    if numbered('s') {
        return Some(AttackTag::Software(word.to_ascii_uppercase()));
    }
    let word = word.replace('_', "-");
    TACTICS
        .into_iter()
        .find(|tactic| tactic.short_name == word || tactic.id.eq_ignore_ascii_case(&word))
        .map(AttackTag::Tactic)
}

/// The canonical ids of the techniques in a rule's tags, each once, in the
/// order of the tags.
#[must_use]
pub fn techniques<'a>(tags: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for tag in tags {
        if let Some(AttackTag::Technique(id)) = parse_tag(tag)
            && !out.contains(&id)
        {
            out.push(id);
        }
    }
    out
}

/// A technique's id in capitals, replaced by its successor when ATT&CK revoked
/// it. `None` when the text is no technique id (`T` and four digits, for a
/// sub-technique a point and three more).
#[must_use]
pub fn canonical(id: &str) -> Option<String> {
    let id = id.trim().to_ascii_uppercase();
    let digits = id.strip_prefix('T')?;
    let valid = match digits.split_once('.') {
        None => are_digits(digits, 4),
        Some((technique, sub)) => are_digits(technique, 4) && are_digits(sub, 3),
    };
    if !valid {
        return None;
    }
    let successor = REVOKED
        .binary_search_by_key(&id.as_str(), |(revoked, _)| revoked)
        .ok()
        .and_then(|at| REVOKED.get(at));
    Some(successor.map_or(id, |(_, successor)| (*successor).to_owned()))
}

fn are_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_its_successors_are_final() {
        assert!(REVOKED.is_sorted_by_key(|(revoked, _)| revoked));
        for (revoked, successor) in REVOKED {
            assert_eq!(canonical(revoked).as_deref(), Some(successor));
            assert_eq!(canonical(successor).as_deref(), Some(successor), "{revoked}");
        }
    }

    #[test]
    fn tags_are_read() {
        fn check(tag: &str, expected: &str) {
            let shown = match parse_tag(tag) {
                None => "none".to_owned(),
                Some(AttackTag::Tactic(tactic)) => format!("{} {}", tactic.id, tactic.short_name),
                Some(AttackTag::Technique(id) | AttackTag::Group(id) | AttackTag::Software(id)) => id,
            };
            assert_eq!(shown, expected, "{tag}");
        }
        check("attack.t1059.001", "T1059.001");
        check("attack.T1562.001", "T1685");
        check("attack.t1685", "T1685");
        check("attack.defense_evasion", "TA0005 defense-evasion");
        check("attack.stealth", "TA0005 stealth");
        check("attack.ta0112", "TA0112 defense-impairment");
        check("attack.g0049", "G0049");
        check("attack.s0154", "S0154");
        check("attack.t10590", "none");
        check("cve.2021-44228", "none");
        check("t1059", "none");
    }

    #[test]
    fn old_and_new_tags_of_one_technique_are_one() {
        let tags = ["attack.t1562.001", "attack.impact", "attack.t1685"];
        assert_eq!(techniques(tags), ["T1685"]);
    }
}
