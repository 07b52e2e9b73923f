//! The only unsafe code: masks over blocks of bytes, each with its scalar twin.

pub mod gate;
pub mod json;
pub mod tokens;
