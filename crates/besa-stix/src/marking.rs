//! Traffic Light Protocol markings by their fixed ids: TLP 1 (section 7.2.1.4) and TLP 2.0 (the OASIS
//! extension-definition for TLP 2.0, where AMBER+STRICT exists).
//!
//! TLP 1 WHITE and TLP 2.0 CLEAR mean the same. TLP 1 AMBER allowed what 2.0 AMBER allows (need to
//! know, in the organisation and its clients).

/// How far something may be passed on; greater is stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tlp {
    /// No limit (TLP 1: WHITE).
    Clear,
    /// Within the community.
    Green,
    /// Within the organisation and its clients, need to know.
    Amber,
    /// Within the organisation only.
    AmberStrict,
    /// For the named recipients only.
    Red,
}

/// A fixed marking-definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlpMarking {
    /// Its id.
    pub id: &'static str,
    /// What it means.
    pub level: Tlp,
    /// Its name as written, e.g. `TLP:AMBER+STRICT`.
    pub name: &'static str,
    /// 1 or 2.
    pub version: u8,
    /// The value of `definition.tlp` (version 1) or `tlp_2_0` (version 2).
    pub value: &'static str,
}

/// The id of the extension-definition of TLP 2.0.
pub const TLP_2_EXTENSION: &str = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d";
/// `created` of all TLP 1 marking-definitions.
pub const TLP_1_CREATED: &str = "2017-01-20T00:00:00.000Z";
/// `created` of all TLP 2.0 marking-definitions.
pub const TLP_2_CREATED: &str = "2022-10-01T00:00:00.000Z";

/// TLP 2.0 CLEAR.
pub const TLP_2_CLEAR: &str = "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487";
/// TLP 2.0 GREEN.
pub const TLP_2_GREEN: &str = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb";
/// TLP 2.0 AMBER.
pub const TLP_2_AMBER: &str = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421";
/// TLP 2.0 AMBER+STRICT.
pub const TLP_2_AMBER_STRICT: &str = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003";
/// TLP 2.0 RED.
pub const TLP_2_RED: &str = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1";
/// TLP 1 WHITE.
pub const TLP_1_WHITE: &str = "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9";
/// TLP 1 GREEN.
pub const TLP_1_GREEN: &str = "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da";
/// TLP 1 AMBER.
pub const TLP_1_AMBER: &str = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82";
/// TLP 1 RED.
pub const TLP_1_RED: &str = "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed";

/// All of them.
pub const TLP_MARKINGS: [TlpMarking; 9] = [
    TlpMarking { id: TLP_1_WHITE, level: Tlp::Clear, name: "TLP:WHITE", version: 1, value: "white" },
    TlpMarking { id: TLP_1_GREEN, level: Tlp::Green, name: "TLP:GREEN", version: 1, value: "green" },
    TlpMarking { id: TLP_1_AMBER, level: Tlp::Amber, name: "TLP:AMBER", version: 1, value: "amber" },
    TlpMarking { id: TLP_1_RED, level: Tlp::Red, name: "TLP:RED", version: 1, value: "red" },
    TlpMarking { id: TLP_2_CLEAR, level: Tlp::Clear, name: "TLP:CLEAR", version: 2, value: "clear" },
    TlpMarking { id: TLP_2_GREEN, level: Tlp::Green, name: "TLP:GREEN", version: 2, value: "green" },
    TlpMarking { id: TLP_2_AMBER, level: Tlp::Amber, name: "TLP:AMBER", version: 2, value: "amber" },
    TlpMarking {
        id: TLP_2_AMBER_STRICT,
        level: Tlp::AmberStrict,
        name: "TLP:AMBER+STRICT",
        version: 2,
        value: "amber+strict",
    },
    TlpMarking { id: TLP_2_RED, level: Tlp::Red, name: "TLP:RED", version: 2, value: "red" },
];

/// The TLP marking with an id; `None` says only that it is no TLP marking, not that anything is allowed.
pub fn tlp_marking(id: &str) -> Option<&'static TlpMarking> {
    TLP_MARKINGS.iter().find(|marking| marking.id.eq_ignore_ascii_case(id))
}
