//! Poison defence.
