//! TAXII 2.1. Sections cited are those of the OASIS Standard of 10 June 2021.

pub mod client;
mod media;
mod query;
mod registry;
mod resource;
pub mod server;

pub use media::{STIX_21, TAXII_21};
pub use registry::{Caller, Registry};
