//! Harness.

pub mod broker;
