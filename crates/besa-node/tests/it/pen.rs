//! What a member signs, honest or not, and the indicators of which the tests are made.

use besa_alliance::entry::{Audience, Content, Entry, Envelope, Release, released_object};
use besa_alliance::keys::SecretKey;
use besa_alliance::member::{Digest, MemberId};
use besa_server::now;
use besa_stix::marking::TLP_2_GREEN;

/// A member that writes its log by hand.
pub(crate) struct Pen {
    pub(crate) member: MemberId,
    pub(crate) alliance: Digest,
    pub(crate) audience: Audience,
    pub(crate) key: SecretKey,
    /// The last entry that it stands by.
    pub(crate) last: Option<Entry>,
}

impl Pen {
    /// Signs a release that follows the last entry with any key, and does not go on from it.
    pub(crate) fn draft(&self, objects: &[&str], key: &SecretKey) -> Entry {
        let mut lines: Vec<_> = objects.iter().map(|text| released_object(text).unwrap()).collect();
        lines.sort_unstable();
        let envelope = Envelope {
            created_by_ref: self.member.clone(),
            alliance: self.alliance,
            charter: 0,
            audience: self.audience.clone(),
            object_marking_refs: vec![TLP_2_GREEN.to_owned()],
            sequence: self.last.as_ref().map_or(1, |last| last.sequence() + 1),
            previous: self.last.as_ref().map(|last| last.digest),
        };
        Entry::sign(now(), envelope, Content::Release(Release { objects: lines }), key).unwrap()
    }

    /// Signs a release, and goes on from there.
    pub(crate) fn next(&mut self, objects: &[&str]) -> Entry {
        let entry = self.draft(objects, &self.key);
        self.last = Some(entry.clone());
        entry
    }
}

/// The identity of a member.
pub(crate) fn id(member: u8) -> MemberId {
    MemberId::parse(&format!("identity--00000000-0000-4000-8000-0000000000{member:02x}")).unwrap()
}

pub(crate) fn indicator_id(number: u32) -> String {
    format!("indicator--00000000-0000-4000-8000-{number:012x}")
}

/// An indicator of a member, marked TLP:GREEN.
pub(crate) fn indicator(creator: u8, number: u32, pattern: &str) -> String {
    let text = serde_json::json!({
        "type": "indicator", "spec_version": "2.1", "id": indicator_id(number),
        "created_by_ref": id(creator), "created": "2026-09-21T00:00:00.000Z",
        "modified": "2026-09-21T00:00:00.000Z", "revoked": false,
        "indicator_types": ["malicious-activity"], "pattern": pattern, "pattern_type": "stix",
        "valid_from": "2026-09-21T00:00:00Z", "object_marking_refs": [TLP_2_GREEN],
    });
    text.to_string()
}

/// A pattern that hits nobody.
pub(crate) fn domain(number: u32) -> String {
    format!("[domain-name:value = 'c2-{number}.evil-example.com']")
}
