//! Harness.

pub mod commit_model;
