//! Owns the graph that runs: sources, steps and sinks in the order of the data, with the columns of each as Arrow schemas and every column name made into a
//! position. Plugins are opened by the caller's `Opener`, so nothing here touches a file.
//!
//! Event time goes through the graph by column: a source or step declares it, a transform keeps it when it passes the column on, and the rows of an aggregate
//! have `window_end`.

mod build;
mod columns;
mod failure;

use arrow_schema::{Schema, SchemaRef};

pub use super::graph::Node;

use super::check::Checked;
use super::problem::Refused;
use super::spec::{
    ConsoleSink, CreateTopic, EpochLimits, MaxRejected, MetadataColumn, Origin, OutputMode, Partitioner, Past, PluginCall, SourceFormat, TransformSpec,
    WatermarkPolicy, WatermarkSpec,
};
use super::text::Text;
use super::unit::{DurationUs, Interval};
use crate::epoch::trigger::Trigger;

/// The column where an aggregate's window begins.
pub const WINDOW_START: &str = "window_start";
/// The column where an aggregate's window ends, which is not in it.
pub const WINDOW_END: &str = "window_end";
/// The column of a late row with the watermark that it is late by.
pub const WATERMARK: &str = "watermark";
/// The column of a late row that says how far its event time is behind that watermark, in milliseconds.
pub const LATENESS: &str = "lateness_ms";

/// Opens the functions that steps name.
pub trait Opener {
    /// A transform that is ready to run.
    type Transform;
    /// An aggregate that is ready to run.
    type Aggregate;

    /// Opens the transform of a step on its input's columns.
    fn open_transform(&mut self, step: &str, spec: &TransformSpec, input: &Schema) -> Result<OpenedTransform<Self::Transform>, OpenFailure>;

    /// Opens the aggregate of a step on its input's columns.
    fn open_aggregate(&mut self, step: &str, call: &PluginCall, input: &Schema) -> Result<OpenedAggregate<Self::Aggregate>, OpenFailure>;
}

/// A transform, and what comes out of it.
#[derive(Debug)]
pub struct OpenedTransform<T> {
    /// What runs.
    pub plugin: T,
    /// The columns of its output, all of them.
    pub output: SchemaRef,
    /// For each column of the output, the input column that it is, untouched; none for a computed one.
    pub passed: Vec<Option<usize>>,
}

/// An aggregate, and what its `finish` makes.
#[derive(Debug)]
pub struct OpenedAggregate<A> {
    /// What runs.
    pub plugin: A,
    /// The columns that come after the window and the keys.
    pub output: SchemaRef,
}

/// Why a step's function can't be opened. Texts are shown; a value from the environment that one quotes is taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenFailure {
    /// There is no such file.
    MissingFile,
    /// The file is no component, exports nothing that a step can use, or speaks another version of the contract.
    NotOurs {
        /// Which of these, as in "it exports `weir:plugin/transform@0.2.0`, and this host has 0.1.0".
        reason: String,
    },
    /// The plugin has no function of that name, or several and the step names none.
    UnknownFunction {
        /// What it has.
        available: Vec<String>,
    },
    /// The plugin refuses its config.
    Config {
        /// The JSON pointer (RFC 6901) of what is wrong.
        pointer: String,
        /// What is wrong.
        message: String,
    },
    /// The plugin refuses its input's columns.
    Input {
        /// What it needs.
        message: String,
    },
    /// Something else, such as a trap or a limit.
    Other {
        /// What happened.
        message: String,
    },
}

/// What runs.
#[derive(Debug)]
pub struct Plan<T, A> {
    /// The group and transactional ids come from it.
    pub name: String,
    /// When epochs begin.
    pub trigger: Trigger,
    /// What an epoch may hold.
    pub limits: EpochLimits,
    /// When an epoch has too many rejected rows.
    pub max_rejected: MaxRejected,
    /// How the watermarks of several declarations become one.
    pub watermark_policy: WatermarkPolicy,
    /// Whether epochs without records close windows.
    pub no_data_epochs: bool,
    /// As in the document.
    pub sources: Vec<PlannedSource>,
    /// Each after its inputs.
    pub steps: Vec<PlannedStep<T, A>>,
    /// As in the document.
    pub sinks: Vec<PlannedSink>,
    /// Where rows go that can't go on; none: a file in the state folder.
    pub dead_letters: Option<PlannedTopic>,
}

/// A source that runs.
#[derive(Debug)]
pub struct PlannedSource {
    /// Its name.
    pub id: String,
    /// Where rows come from.
    pub origin: Origin,
    /// How they are written.
    pub format: SourceFormat,
    /// Kafka's columns that stand at the end of the schema.
    pub metadata: Vec<MetadataColumn>,
    /// The columns of its rows.
    pub schema: SchemaRef,
    /// What it declares.
    pub event_time: Option<EventTime>,
}

/// A declared event time: here the watermark is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTime {
    /// The column, of the rows that come out here.
    pub column: usize,
    /// How the watermark follows it.
    pub watermark: Option<WatermarkSpec>,
    /// A row further ahead of the epoch's clock than this is rejected.
    pub max_future: DurationUs,
}

/// A step that runs.
#[derive(Debug)]
pub struct PlannedStep<T, A> {
    /// Its name.
    pub id: String,
    /// Whose rows it takes. Steps are counted as in the plan, not as in the document.
    pub inputs: Vec<Node>,
    /// The columns of the rows it takes.
    pub input_schema: SchemaRef,
    /// What it does.
    pub operation: PlannedOperation<T, A>,
    /// The columns of the rows it gives.
    pub schema: SchemaRef,
    /// What it declares.
    pub event_time: Option<EventTime>,
    /// The columns of the rows that come too late for it, if somebody takes them.
    pub late_schema: Option<SchemaRef>,
    /// The longest delay of the watermarks that its input has; none: it has none.
    pub watermark_delay: Option<DurationUs>,
}

/// What a step does.
#[derive(Debug)]
pub enum PlannedOperation<T, A> {
    /// Rows in, rows out.
    Transform(T),
    /// Rows in, one row for each window and key out.
    Aggregate(PlannedAggregate<A>),
    /// Rows in, the first of each key out.
    Dedupe(PlannedDedupe),
    /// Rows of closed windows in, the same with what came before out.
    History(PlannedHistory),
}

/// A history that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedHistory {
    /// The columns whose values have a history of their own.
    pub key: Vec<usize>,
    /// How many rows it holds.
    pub size: u32,
    /// What is added, and of which column.
    pub add: Vec<(Past, usize)>,
}

/// A deduplication that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedDedupe {
    /// The columns whose values are not to come twice.
    pub key: Vec<usize>,
    /// When its rows happened; none: nothing says so.
    pub time: Option<RowTime>,
    /// Whether a key is forgotten when the watermark has passed its first row by the delay.
    pub within_watermark: bool,
}

/// How the rows of an aggregate are grouped, beside its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlannedWindow {
    /// [k * every + offset, k * every + offset + size).
    Regular {
        /// Above zero.
        size: DurationUs,
        /// Above zero, at most the size.
        every: DurationUs,
        /// Smaller than `every`.
        offset_us: i64,
        /// What places a row.
        time: RowTime,
    },
    /// Until no row has come for a gap.
    Session {
        /// How long.
        gap: Gap,
        /// What places a row.
        time: RowTime,
    },
    /// The key holds the event time itself, so that the watermark passes groups as it passes rows.
    Moment {
        /// The column, which is one of the key.
        time: RowTime,
    },
    /// One group for each key, for ever, or until nothing has come for so long.
    Running {
        /// How long.
        ttl: Option<DurationUs>,
    },
}

impl PlannedWindow {
    /// Whether rows come with the window's start and end.
    pub fn has_edges(&self) -> bool {
        matches!(self, Self::Regular { .. } | Self::Session { .. })
    }
}

/// How long after a row its session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// So long.
    Fixed(Interval),
    /// As this column says: a duration as text, or milliseconds.
    Column(usize),
}

/// An aggregate that runs. Its rows are `window_start` and `window_end` if it has windows, the keys, and what `finish` makes.
#[derive(Debug)]
pub struct PlannedAggregate<A> {
    /// What folds the rows.
    pub plugins: Vec<A>,
    /// The columns of its input that make the group within its window.
    pub key: Vec<usize>,
    /// The window.
    pub window: PlannedWindow,
    /// When a group's row comes out.
    pub output_mode: OutputMode,
    /// How far watermarks are turned back for this step.
    pub allowed_lateness: Option<DurationUs>,
}

/// The column that says when a row happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowTime {
    /// Of the rows at hand.
    pub column: usize,
    /// Whether it is the end of a window: then a row belongs where the end less a microsecond belongs (T-3), and it is late by its end (L-1).
    pub is_window_end: bool,
}

/// A sink that runs.
#[derive(Debug)]
pub struct PlannedSink {
    /// Its name.
    pub id: String,
    /// Whose rows it takes.
    pub input: Node,
    /// Their columns.
    pub schema: SchemaRef,
    /// Where they go.
    pub target: PlannedTarget,
}

/// Where a sink's rows go.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a pipeline has a handful of them, and no hot path moves one")]
pub enum PlannedTarget {
    /// A topic.
    Kafka(PlannedKafkaSink),
    /// The terminal.
    Console(ConsoleSink),
    /// A list that a test reads.
    Memory,
}

/// A Kafka sink that runs.
#[derive(Debug)]
pub struct PlannedKafkaSink {
    /// The topic and its cluster.
    pub topic: PlannedTopic,
    /// The columns of the record's key; none: no key.
    pub key: Vec<usize>,
    /// How the key chooses the partition.
    pub partitioner: Partitioner,
    /// The column that is the record's time.
    pub timestamp: Option<usize>,
    /// Header names and the columns they take.
    pub headers: Vec<(String, usize)>,
}

/// A topic that is written, with its cluster.
#[derive(Debug)]
pub struct PlannedTopic {
    /// Its cluster.
    pub brokers: Text,
    /// Its name.
    pub topic: Text,
    /// How it is made when it is missing.
    pub create: Option<CreateTopic>,
    /// Further settings of the client.
    pub properties: Vec<(String, Text)>,
}

/// Resolves every column and opens every plugin. The error holds everything that was found; steps behind one that failed are not looked at.
pub fn plan<O: Opener>(checked: &Checked, opener: &mut O) -> Result<Plan<O::Transform, O::Aggregate>, Refused> {
    build::Builder::new(checked, opener).build()
}
