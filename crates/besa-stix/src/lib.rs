//! besa-stix
pub mod pattern;
pub mod time;
