//! Harness.

pub mod broker;
pub mod commit_model;
