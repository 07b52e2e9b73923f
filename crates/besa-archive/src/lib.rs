//! The event history and its index of observables; searched again for every new indicator.
