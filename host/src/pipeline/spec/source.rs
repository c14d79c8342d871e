//! What `[[source]]` says, and `event_time`.

use crate::pipeline::document::{Placed, Span};
use crate::pipeline::schema::{Declared, KafkaColumn};
use crate::pipeline::text::Text;
use crate::pipeline::unit::DurationUs;

/// `[[source]]`
#[derive(Debug, Clone)]
pub struct SourceSpec {
    /// Its name.
    pub id: Placed<String>,
    /// Where rows come from.
    pub origin: Origin,
    /// How they are written.
    pub format: SourceFormat,
    /// Kafka's columns that are added after the declared ones.
    pub metadata: Vec<MetadataColumn>,
    /// Which column is the event time.
    pub event_time: Option<EventTimeSpec>,
}

/// Where a source's rows come from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// Topics of a Kafka cluster.
    Kafka(KafkaSource),
    /// Made-up rows at a steady rate.
    Rate(RateSource),
    /// Lines from a TCP server.
    Socket(SocketSource),
    /// Rows that a test pushes.
    Memory,
}

/// `rate` of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateSource {
    /// How many, once it is in full swing.
    pub rows_per_second: u32,
    /// Into how many partitions.
    pub num_partitions: u32,
    /// How long it takes to get there.
    pub ramp_up_seconds: u32,
}

/// `socket` of a source.
#[derive(Debug, Clone)]
pub struct SocketSource {
    /// The server's name or address.
    pub host: Placed<String>,
    /// The server's port.
    pub port: u16,
    /// Of the whole table.
    pub span: Span,
}

/// `kafka` of a source.
#[derive(Debug, Clone)]
pub struct KafkaSource {
    /// `host:port`, several with commas.
    pub brokers: Placed<Text>,
    /// Which topics.
    pub topics: Topics,
    /// Where a partition starts that has no committed offset.
    pub starting_offsets: StartingOffsets,
    /// What to do when offsets that are still to be read are gone.
    pub on_data_loss: OnDataLoss,
    /// Further settings of the client.
    pub properties: Vec<(String, Text)>,
}

/// Which topics a source reads.
#[derive(Debug, Clone)]
pub enum Topics {
    /// These.
    Named(Vec<Placed<Text>>),
    /// All whose name matches this regular expression, which begins with `^`.
    Pattern(Placed<Text>),
}

/// Where partitions start that have no committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartingOffsets {
    /// All of them at the same end.
    All(StartingOffset),
    /// By topic and partition; a partition that is not listed starts at the earliest offset.
    PerPartition(Vec<TopicOffsets>),
}

/// Where the partitions of a topic start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicOffsets {
    /// The topic's name.
    pub topic: Placed<String>,
    /// Partitions with their starts.
    pub partitions: Vec<(i32, StartingOffset)>,
}

/// Where one partition starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartingOffset {
    /// At the oldest record.
    Earliest,
    /// After the newest record.
    Latest,
    /// At this offset.
    At(i64),
}

/// What to do when offsets that are still to be read are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDataLoss {
    /// Stop the pipeline.
    Fail,
    /// Go on after the gap, and count it.
    Skip,
}

/// How a source's records become rows.
#[derive(Debug, Clone)]
pub enum SourceFormat {
    /// One JSON object a record.
    Json {
        /// The declared columns, in order.
        schema: Vec<ColumnSpec>,
        /// What a field does that does not fit its column.
        on_bad_field: OnBadField,
    },
    /// Kafka's own columns.
    Raw,
}

/// `name = "type"` of a schema.
#[derive(Debug, Clone)]
pub struct ColumnSpec {
    /// The column's name.
    pub name: Placed<String>,
    /// Its type.
    pub declared: Declared,
}

/// What a field does that does not fit its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBadField {
    /// The record goes to the dead letters.
    Reject,
    /// The field is null where the column allows it; elsewhere the record is rejected.
    Null,
}

/// A column of Kafka's, under its own name or another.
#[derive(Debug, Clone)]
pub struct MetadataColumn {
    /// What it is called in the rows.
    pub name: Placed<String>,
    /// What it holds.
    pub column: KafkaColumn,
}

/// `event_time`
#[derive(Debug, Clone)]
pub struct EventTimeSpec {
    /// The column.
    pub column: Placed<String>,
    /// How the watermark follows it; none: there is none, and no window ever closes.
    pub watermark: Option<WatermarkSpec>,
    /// A row further ahead of the epoch's clock than this is rejected.
    pub max_future: DurationUs,
    /// Of the whole table.
    pub span: Span,
}

/// `watermark`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatermarkSpec {
    /// How far it stays behind the newest event time.
    pub delay: DurationUs,
    /// Over what it is taken.
    pub by: WatermarkBy,
}

/// How the watermarks of several declarations become the pipeline's (W-3, W-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatermarkPolicy {
    /// The smallest: no input's rows are late because another is ahead.
    Min,
    /// The largest: an input that falls behind holds nothing back, and its rows may be late.
    Max,
}

/// Over what a watermark is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatermarkBy {
    /// The minimum over the partitions; one without rows for so long leaves it.
    Partition {
        /// How long.
        idle: DurationUs,
    },
    /// The maximum over all rows, as in Spark.
    Source,
}
