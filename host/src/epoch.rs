//! The line.
pub mod trigger;
