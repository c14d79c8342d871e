//! What a user sees of the binary: fixtures that hold, input that is wrong, starts that are refused. Against a real broker where Kafka has a part in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods, reason = "tests")]

mod bad_input;
mod clusters;
mod control;
mod demo;
mod fixtures;
mod formats;
mod pipelines;
mod pipes;
mod plugins;
mod refusals;
mod renewal;
mod sasl;
mod signals;
mod support;
mod triggers;
mod verbs;
