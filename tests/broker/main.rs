//! What a Kafka broker promises its clients, tried with librdkafka on Apache Kafka and on the embedded broker: the same checks, so that the two can't drift. Where they
//! differ, Apache Kafka is right.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods, reason = "tests")]

#[path = "."]
mod apache {
    const KIND: weir_tests::broker::Kind = weir_tests::broker::Kind::Apache;

    mod support;

    mod admin;
    mod groups;
    mod records;
    mod topics;
    mod transaction_offsets;
    mod transactions;
}

#[allow(clippy::duplicate_mod, reason = "the same promises of the other broker")]
#[path = "."]
mod embedded {
    const KIND: weir_tests::broker::Kind = weir_tests::broker::Kind::Embedded;

    mod support;

    mod admin;
    mod groups;
    mod records;
    mod topics;
    mod transaction_offsets;
    mod transactions;

    /// What Apache Kafka has no need to promise.
    mod bounds;
}
