//! What the Kafka source and the Kafka transaction promise, tried on Apache Kafka and on the embedded broker. A module for each promise, compiled once for each broker,
//! so that `cargo test` names what fails where.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods, reason = "tests")]

#[path = "."]
mod apache {
    const KIND: weir_tests::broker::Kind = weir_tests::broker::Kind::Apache;

    mod support;

    mod source_changes;
    mod source_compaction;
    mod source_outage;
    mod source_ranges;
    mod source_speed;
    mod transaction;
    mod transaction_faults;
    mod transaction_outage;
}

/// Without `source_compaction`: the embedded broker compacts nothing. Without `source_outage` and `transaction_outage`: it is no process that can be paused, and holds
/// nothing over a restart. Without `source_speed`, which is a benchmark.
#[allow(dead_code, clippy::duplicate_mod, reason = "the same promises on the other broker, of which some tests are not for it")]
#[path = "."]
mod embedded {
    const KIND: weir_tests::broker::Kind = weir_tests::broker::Kind::Embedded;

    mod support;

    mod source_changes;
    mod source_ranges;
    mod transaction;
    mod transaction_faults;
}
