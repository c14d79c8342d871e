//! Owns what a pipeline document says: one type for each of its tables, defaults filled in, units resolved, every name with its place. It is made by `parse` alone;
//! what runs is another type, in `plan.rs`.

use std::path::PathBuf;

use super::config::Config;
use super::document::{Document, Placed, Span};
use super::schema::{Declared, KafkaColumn};
use super::text::Text;
use super::unit::{ByteSize, DurationUs, ShareMillionths};

/// The embedded plugin's name.
pub const STD_PLUGIN: &str = "std";

/// A pipeline.
#[derive(Debug, Clone)]
pub struct PipelineSpec {
    /// The text it was read from, for messages and for paths beside it.
    pub document: Document,
    /// Letters, digits, `-`, `_`, `.`: the group and transactional ids come from it.
    pub name: Placed<String>,
    /// When epochs begin.
    pub trigger: Trigger,
    /// Where the state lives, if not in `var/<name>` beside the document.
    pub state_dir: Option<Placed<Text>>,
    /// What an epoch may hold.
    pub limits: EpochLimits,
    /// When an epoch has too many rejected rows.
    pub max_rejected: MaxRejected,
    /// `[[source]]`, in order.
    pub sources: Vec<SourceSpec>,
    /// `[[step]]`, in order.
    pub steps: Vec<StepSpec>,
    /// `[[sink]]`, in order.
    pub sinks: Vec<SinkSpec>,
    /// Where rows go that can't go on; none: a file in the state folder.
    pub dead_letters: Option<KafkaTopic>,
}

/// When epochs begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// `{ every = "10s" }`: at multiples of the interval.
    Every(DurationUs),
    /// As soon as the last one ends and there is data.
    Asap,
    /// One epoch within the limits, then stop.
    Once,
    /// Epochs until everything that was there at the start is read, then stop.
    AvailableNow,
}

/// What an epoch may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochLimits {
    /// Larger: more memory, and more to do again after a crash. Smaller: more commits for the same rows.
    pub max_epoch_bytes: ByteSize,
    /// In records; none: no such limit.
    pub max_records: Option<u64>,
}

/// `max_rejected = "1%"`, or `{ share = "1%", at_least_rows = 100 }`: an epoch with more rejected rows than both allow stops the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxRejected {
    /// Of the rows of the epoch.
    pub share: ShareMillionths,
    /// So many are allowed however small the epoch is.
    pub at_least_rows: u64,
}

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
    /// Rows that a test pushes.
    Memory,
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
    PerPartition(Vec<(Placed<String>, Vec<(i32, StartingOffset)>)>),
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

/// `[[step]]`
#[derive(Debug, Clone)]
pub struct StepSpec {
    /// Its name.
    pub id: Placed<String>,
    /// Sources and steps whose rows it takes; several: their union.
    pub inputs: Vec<Placed<String>>,
    /// What it does.
    pub operation: Operation,
    /// Which column of its output is the event time, for a step that makes it.
    pub event_time: Option<EventTimeSpec>,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Rows in, rows out.
    Transform(TransformSpec),
    /// Rows in, one row for each window and key out.
    Aggregate(AggregateSpec),
}

/// `transform`
#[derive(Debug, Clone)]
pub struct TransformSpec {
    /// What is called; it always names its function.
    pub call: PluginCall,
}

/// `key`, `window`, `aggregate` and `output_mode`
#[derive(Debug, Clone)]
pub struct AggregateSpec {
    /// The columns that make the group within its window.
    pub key: Vec<Placed<String>>,
    /// The window.
    pub window: Placed<WindowSpec>,
    /// What folds the rows.
    pub call: PluginCall,
    /// When a group's row comes out.
    pub output_mode: Placed<OutputMode>,
}

/// A tumbling window: [k * size + offset, (k + 1) * size + offset).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSpec {
    /// Above zero.
    pub size: DurationUs,
    /// Smaller than the size; it may be negative.
    pub offset_us: i64,
}

/// When a group's row comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputMode {
    /// Once, when its window is closed.
    Append,
    /// In each epoch that changes it.
    Update,
}

/// A function of a plugin, and how it is called.
#[derive(Debug, Clone)]
pub struct PluginCall {
    /// Whose function.
    pub plugin: Placed<PluginRef>,
    /// Which; none: the only one that the plugin has.
    pub function: Option<Placed<String>>,
    /// What it is opened with.
    pub config: Config,
    /// What a call may use.
    pub limits: CallLimits,
}

/// Whose function a step calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginRef {
    /// The embedded plugin `std`.
    Std,
    /// A file; relative paths start at the document's folder.
    File(Text),
}

/// What one call of a plugin may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Of the calling thread.
    pub cpu: DurationUs,
    /// Of the clock on the wall: a call that waits for a busy machine.
    pub wall: DurationUs,
    /// Of an instance.
    pub memory: ByteSize,
}

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
pub enum Target {
    /// A topic, one JSON object a row.
    Kafka(KafkaSink),
    /// The terminal, as a table.
    Console(Span),
    /// A list that a test reads.
    Memory,
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

impl PipelineSpec {
    /// Where the state lives.
    pub fn state_dir(&self) -> PathBuf {
        match &self.state_dir {
            Some(path) => self.document.beside(path.expose()),
            None => self.document.beside(format!("var/{}", self.name.value)),
        }
    }
}

impl EpochLimits {
    /// 64 MB: about a second of work for one core, and small beside the memory of any machine that runs this.
    pub const DEFAULT: Self = Self { max_epoch_bytes: ByteSize::from_bytes(64_000_000), max_records: None };
}

impl MaxRejected {
    /// 1 %, and 100 rows, so that one bad record in a quiet minute stops nothing.
    pub const DEFAULT: Self = match ShareMillionths::new(10_000) {
        Some(share) => Self { share, at_least_rows: 100 },
        None => panic!("1 % is a share"),
    };

    /// Whether an epoch of `rows` may have so many `rejected`.
    pub fn allows(&self, rejected: u64, rows: u64) -> bool {
        rejected <= self.at_least_rows || u128::from(rejected) * 1_000_000 <= u128::from(rows) * u128::from(self.share.millionths())
    }
}

impl CallLimits {
    /// Far above what a chunk of a thousand rows takes, and still soon enough for a person who waits.
    pub const DEFAULT: Self =
        Self { cpu: DurationUs::from_secs(5), wall: DurationUs::from_secs(30), memory: ByteSize::from_bytes(256 << 20) };
}

impl Operation {
    /// What the step calls.
    pub fn call(&self) -> &PluginCall {
        match self {
            Self::Transform(transform) => &transform.call,
            Self::Aggregate(aggregate) => &aggregate.call,
        }
    }
}

impl PluginRef {
    /// The plugin's file; none for the embedded one.
    pub fn path(&self, document: &Document) -> Option<PathBuf> {
        match self {
            Self::Std => None,
            Self::File(path) => Some(document.beside(path.expose())),
        }
    }
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
