//! The server over real sockets.

#![expect(clippy::print_stderr, reason = "tests say what they skip and where they are")]

mod access;
mod client;
mod foreign;
mod hostile;
mod killed;
mod support;
mod taxii;
