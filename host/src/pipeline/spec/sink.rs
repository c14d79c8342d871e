//! What `[[sink]]` and `[dead_letters]` say.

use crate::pipeline::document::{Placed, Span};
use crate::pipeline::text::Text;

/// `[[sink]]`
#[derive(Debug, Clone)]
pub struct SinkSpec {
    /// Its name; `<input>-kafka`, `<input>-console` or `<input>-memory` when the document gives none.
    pub id: Placed<String>,
    /// The step or source whose rows it takes.
    pub input: Placed<String>,
    /// Where they go.
    pub target: Target,
}

/// Where a sink's rows go.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a pipeline has a handful of them, and no hot path moves one")]
pub enum Target {
    /// A topic, one JSON object a row.
    Kafka(KafkaSink),
    /// The terminal, as a table.
    Console(ConsoleSink),
    /// A list that a test reads.
    Memory,
}

/// `console` of a sink.
#[derive(Debug, Clone, Copy)]
pub struct ConsoleSink {
    /// How many rows of an epoch are shown.
    pub num_rows: u32,
    /// How many characters of a value are shown; none: all.
    pub truncate: Option<u32>,
    /// Of the whole table.
    pub span: Span,
}

/// `kafka` of a sink.
#[derive(Debug, Clone)]
pub struct KafkaSink {
    /// The topic and its cluster.
    pub topic: KafkaTopic,
    /// The columns of the record's key; none: no key.
    pub key: Vec<Placed<String>>,
    /// How the key chooses the partition.
    pub partitioner: Partitioner,
    /// The column that is the record's time; none: the client's clock.
    pub timestamp: Option<Placed<String>>,
    /// Header names and the columns they take.
    pub headers: Vec<(String, Placed<String>)>,
}

/// A topic that is written.
#[derive(Debug, Clone)]
pub struct KafkaTopic {
    /// Its name.
    pub topic: Placed<Text>,
    /// Its cluster; none: that of the sources, when they have one.
    pub brokers: Option<Placed<Text>>,
    /// How it is made when it is missing; none: it must be there.
    pub create: Option<CreateTopic>,
    /// Further settings of the client.
    pub properties: Vec<(String, Text)>,
    /// Of the whole table.
    pub span: Span,
}

/// How a topic is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreateTopic {
    /// How many partitions.
    pub partitions: i32,
    /// How many copies of each.
    pub replication: i32,
}

/// How a key chooses its partition: the names are librdkafka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitioner {
    /// What Java clients do: the default, so that keyed topics can be joined with theirs.
    Murmur2Random,
    /// The same, but all null keys to one partition.
    Murmur2,
    /// CRC32; null and empty keys anywhere.
    ConsistentRandom,
    /// CRC32; null and empty keys to one partition.
    Consistent,
    /// FNV-1a; null keys anywhere: Sarama's.
    Fnv1aRandom,
    /// FNV-1a; null keys to one partition.
    Fnv1a,
}

impl Partitioner {
    /// librdkafka's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Murmur2Random => "murmur2_random",
            Self::Murmur2 => "murmur2",
            Self::ConsistentRandom => "consistent_random",
            Self::Consistent => "consistent",
            Self::Fnv1aRandom => "fnv1a_random",
            Self::Fnv1a => "fnv1a",
        }
    }
}
