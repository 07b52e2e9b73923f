//! Nodes of an alliance on loopback: real servers, real stores, real signatures.

mod exchange;
mod malice;
mod partition;
mod support;
mod trouble;
