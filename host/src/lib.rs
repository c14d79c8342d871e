//! Weir.

pub mod epoch;
