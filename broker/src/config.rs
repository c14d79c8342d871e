//! What a broker may take: every bound, with what goes wrong if it is larger or smaller.

use std::time::Duration;

/// How a broker behaves, and how much it may take of the machine.
///
/// The memory of a broker is at most about `retention_bytes` + `max_bytes_in_flight` + what slow readers hold of batches that were dropped meanwhile (at most
/// `max_fetch_bytes` a connection) + the metadata of groups and transactions, which the counts below bound.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen, as `host:port`; port 0 takes a free one. A client is told to come back to the address that it came to.
    pub listen: String,

    /// Whether a topic is made when a client asks for one that does not exist, as Apache Kafka does by default. A misspelt name then makes a topic.
    pub auto_create_topics: bool,

    /// Partitions of a topic that is made without saying how many.
    pub default_partitions: i32,

    /// Bytes of batches that all topics keep together. Beyond it the largest partition drops its oldest batches. Smaller: a slow reader misses records (`OffsetOutOfRange`).
    pub retention_bytes: u64,

    /// Bytes of batches that a partition keeps; a topic's `retention.bytes` comes before it. None: only `retention_bytes` counts.
    pub partition_retention_bytes: Option<u64>,

    /// A request that says it is longer closes its connection. Smaller than a producer's `message.max.bytes` or `batch.size`: that producer never gets through.
    pub max_request_bytes: usize,

    /// Bytes of requests that are read and answered at the same time. The next ones wait. Never less than `max_request_bytes` counts.
    pub max_bytes_in_flight: usize,

    /// A fetch gives no more than this, whatever the client asks for, except for a single batch that is larger.
    pub max_fetch_bytes: usize,

    /// Time in which a request that has begun must have come in full. Larger: stalled clients hold their part of `max_bytes_in_flight` longer.
    pub request_timeout: Duration,

    /// Connections at a time; further ones are closed at once.
    pub max_connections: usize,

    /// Partitions of all topics together.
    pub max_partitions: usize,

    /// Groups that have members or offsets.
    pub max_groups: usize,

    /// Members of all groups together. Each keeps up to [`Config::MAX_MEMBER_BYTES`] of what it said and was assigned.
    pub max_members: usize,

    /// Offsets that are committed or pending, of all groups together; each keeps up to 4 KiB of a client's metadata. As many partitions may be touched by open
    /// transactions.
    pub max_offsets: usize,

    /// Transactional ids. An idle one is forgotten for a new one when there are so many.
    pub max_transactional_ids: usize,

    /// The shortest session of a group's member. Apache Kafka's default is 6 s; tests want less.
    pub min_session_timeout: Duration,

    /// How long the first member of a group waits for others. Apache Kafka's default is 3 s, which delays every first join.
    pub initial_rebalance_delay: Duration,

    /// How long after the answer to a commit the transaction's markers are written. Apache Kafka needs some milliseconds, in which the next transaction gets
    /// `CONCURRENT_TRANSACTIONS` and its offsets are unstable: tests set this to see how a client takes it. Zero: the markers are written before the answer.
    pub marker_delay: Duration,
}

impl Config {
    /// The longest metadata of a group's member, and the longest assignment of one.
    pub const MAX_MEMBER_BYTES: usize = 64 << 10;
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9092".into(),
            auto_create_topics: true,
            default_partitions: 4,
            retention_bytes: 1 << 30,
            partition_retention_bytes: None,
            max_request_bytes: 100 << 20,
            max_bytes_in_flight: 256 << 20,
            max_fetch_bytes: 55 << 20,
            request_timeout: Duration::from_secs(30),
            max_connections: 1_000,
            max_partitions: 10_000,
            max_groups: 1_000,
            max_members: 1_000,
            max_offsets: 50_000,
            max_transactional_ids: 10_000,
            min_session_timeout: Duration::from_secs(6),
            initial_rebalance_delay: Duration::from_millis(100),
            marker_delay: Duration::ZERO,
        }
    }
}
