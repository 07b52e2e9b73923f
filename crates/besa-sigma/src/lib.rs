//! besa-sigma
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod rule;

pub use rule::*;

pub use ipnet::IpNet;

/// limits
pub mod limits {}
/// attack
pub mod attack {}
