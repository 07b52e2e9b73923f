//! The archive through its public interface.

mod crash;
mod keeping;
mod rebuilding;
mod sifting;
mod support;
mod threads;
