//! Owns the list of librdkafka settings that `properties` may not set, with the reason for each: they are what exactly-once stands on, or another key says it.

/// (setting, what sets it, what to do).
const OWNED: &[(&str, &str, &str)] = &[
    ("bootstrap.servers", "`brokers` says it", "write `brokers`"),
    ("metadata.broker.list", "`brokers` says it", "write `brokers`"),
    ("group.id", "it is the pipeline's name, under which its offsets are kept", "change `name`"),
    ("group.instance.id", "partitions are assigned by the pipeline itself, not by a group", "remove it"),
    ("group.protocol", "partitions are assigned by the pipeline itself, not by a group", "remove it"),
    ("group.remote.assignor", "partitions are assigned by the pipeline itself, not by a group", "remove it"),
    ("partition.assignment.strategy", "partitions are assigned by the pipeline itself, not by a group", "remove it"),
    ("enable.auto.commit", "offsets are committed with the rows they stand for, never on a timer", "remove it"),
    ("auto.commit.interval.ms", "offsets are committed with the rows they stand for, never on a timer", "remove it"),
    ("auto.commit.enable", "offsets are committed with the rows they stand for, never on a timer", "remove it"),
    ("enable.auto.offset.store", "offsets are committed with the rows they stand for, never on a timer", "remove it"),
    ("auto.offset.reset", "a silent jump would lose rows", "write `starting_offsets` and `on_data_loss`"),
    ("enable.partition.eof", "it is how a source knows that an epoch's range is complete", "remove it"),
    ("fetch.queue.backoff.ms", "at its default of a second a full queue would stall the source", "remove it"),
    ("transactional.id", "it is the pipeline's name, and fences a second process", "change `name`"),
    ("transaction.timeout.ms", "the commit protocol stands on it", "remove it"),
    ("enable.idempotence", "transactions need it", "remove it"),
    ("acks", "transactions need `all`", "remove it"),
    ("request.required.acks", "transactions need `all`", "remove it"),
    ("max.in.flight.requests.per.connection", "transactions keep the order only up to 5", "remove it"),
    ("max.in.flight", "transactions keep the order only up to 5", "remove it"),
    ("enable.gapless.guarantee", "a row that can't be sent goes to the dead letters", "remove it"),
    ("partitioner", "`partitioner` beside `topic` says it", "write it there"),
    ("delivery.report.only.error", "a row counts as sent only when its report says so", "remove it"),
];

/// Settings that go with one side only, with that side.
const ONE_SIDED: &[(&str, Side)] = &[
    (ISOLATION_LEVEL, Side::Source),
    ("fetch.min.bytes", Side::Source),
    ("fetch.wait.max.ms", Side::Source),
    ("queued.min.messages", Side::Source),
    ("compression.type", Side::Sink),
    ("compression.codec", Side::Sink),
    ("linger.ms", Side::Sink),
    ("batch.size", Side::Sink),
];

/// The one setting of sources that decides which rows there are: by default, and in `read_committed`, only those of committed transactions.
pub(super) const ISOLATION_LEVEL: &str = "isolation.level";
pub(super) const READ_COMMITTED: &str = "read_committed";
pub(super) const READ_UNCOMMITTED: &str = "read_uncommitted";

/// Which client a setting is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Sink,
}

/// Why a setting is refused, and what to do.
pub(super) fn refusal(name: &str, side: Side) -> Option<(&'static str, &'static str)> {
    let name = name.to_ascii_lowercase();
    if let Some((_, reason, advice)) = OWNED.iter().find(|(owned, ..)| *owned == name) {
        return Some((reason, advice));
    }
    let (_, its_side) = ONE_SIDED.iter().find(|(setting, _)| *setting == name)?;
    match (side, its_side) {
        (Side::Source, Side::Sink) => Some(("it does nothing on a source", "move it to the sink")),
        (Side::Sink, Side::Source) => Some(("it does nothing on a sink", "move it to the source")),
        _ => None,
    }
}
