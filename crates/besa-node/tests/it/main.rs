//! Nodes of an alliance on loopback: real servers, real stores, real signatures.

mod exchange;
mod malice;
mod partition;
mod pen;
mod support;
mod trouble;
mod wire;
