//! besa-detect
