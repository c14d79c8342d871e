//! What the Kafka source and the Kafka transaction promise, tried on Apache Kafka. A module for each promise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods, reason = "tests")]

mod support;

mod source_changes;
mod source_outage;
mod source_ranges;
mod source_speed;
mod transaction;
mod transaction_faults;
