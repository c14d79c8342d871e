//! What `[[step]]` says.

use std::path::PathBuf;

use super::EventTimeSpec;
use crate::pipeline::config::Config;
use crate::pipeline::document::{Document, Placed, Span};
use crate::pipeline::text::Text;
use crate::pipeline::unit::{ByteSize, DurationUs, Interval};

/// The embedded plugin's name.
pub const STD_PLUGIN: &str = "std";

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
    /// The sink that takes the rows which come too late; none: they are counted, and no more.
    pub late: Option<Placed<String>>,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Rows in, rows out.
    Transform(TransformSpec),
    /// Rows in, one row for each window and key out.
    Aggregate(AggregateSpec),
    /// Rows in, the first of each key out.
    Dedupe(DedupeSpec),
    /// Rows of closed windows in, the same with what came before out.
    History(HistorySpec),
}

/// `transform`
#[derive(Debug, Clone)]
pub struct TransformSpec {
    /// What is called; it always names its function.
    pub call: PluginCall,
}

/// `key`, `window`, `aggregate`, `output_mode` and `ttl`
#[derive(Debug, Clone)]
pub struct AggregateSpec {
    /// The columns that make the group within its window.
    pub key: Vec<Placed<String>>,
    /// The window; none: one group for each key, for ever.
    pub window: Option<WindowSpec>,
    /// Where the document says how rows are grouped: `window`, or `aggregate` where there is none.
    pub place: Span,
    /// What folds the rows; several share the groups, and put their columns side by side.
    pub calls: Vec<PluginCall>,
    /// When a group's row comes out.
    pub output_mode: Placed<OutputMode>,
    /// How long a group without a window is kept after its last row, by the epoch's clock.
    pub ttl: Option<Placed<DurationUs>>,
    /// How much longer than to its end a window is kept, so that late rows bring its row again.
    pub allowed_lateness: Option<Placed<DurationUs>>,
}

/// How moments fall into windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowSpec {
    /// [k * every + offset, k * every + offset + size). Tumbling: `every` is the size.
    Regular {
        /// Above zero.
        size: DurationUs,
        /// From one beginning to the next: above zero, at most the size.
        every: DurationUs,
        /// Smaller than `every`; it may be negative.
        offset_us: i64,
    },
    /// From the first of a run of rows, none of which is further from the next than its gap, to the last one's end.
    Session(GapSpec),
}

/// How long after a row its session goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GapSpec {
    /// So long after each row.
    Fixed(Interval),
    /// As long as this column says.
    Column(Placed<String>),
}

/// `history`
#[derive(Debug, Clone)]
pub struct HistorySpec {
    /// The columns whose values have a history of their own.
    pub key: Vec<Placed<String>>,
    /// How many rows before the one at hand it holds; at least 1.
    pub size: u32,
    /// The columns that are added, in order.
    pub add: Vec<AddedSpec>,
    /// Where `history` stands.
    pub place: Span,
}

/// A column that a history adds.
#[derive(Debug, Clone)]
pub struct AddedSpec {
    /// Its name.
    pub name: Placed<String>,
    /// What it holds.
    pub what: Past,
    /// Of which column; numbers.
    pub of: Placed<String>,
}

/// What a history says of the rows before the one at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// The value so many rows ago.
    Lag(u32),
    /// Of the values that are not null.
    Mean,
    /// Of the sample; null of fewer than two.
    Stddev,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// By how many standard deviations the row at hand is off the mean; null where the deviation is, or is zero.
    Zscore,
}

/// `dedupe`
#[derive(Debug, Clone)]
pub struct DedupeSpec {
    /// The columns whose values are not to come twice; none: all columns.
    pub key: Vec<Placed<String>>,
    /// Whether a key is forgotten when the watermark has passed its first row by the watermark's delay.
    pub within_watermark: bool,
    /// Where `dedupe` stands.
    pub place: Span,
}

/// When a group's row comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputMode {
    /// Once, when its window is closed.
    Append,
    /// In each epoch that changes it.
    Update,
    /// In each epoch, with all others.
    Complete,
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

impl CallLimits {
    /// Far above what a chunk of a thousand rows takes, and still soon enough for a person who waits.
    pub const DEFAULT: Self = Self { cpu: DurationUs::from_secs(5), wall: DurationUs::from_secs(30), memory: ByteSize::from_bytes(256 << 20) };
}

impl Operation {
    /// What the step calls; nothing: the host does it.
    pub fn calls(&self) -> &[PluginCall] {
        match self {
            Self::Transform(transform) => std::slice::from_ref(&transform.call),
            Self::Aggregate(aggregate) => &aggregate.calls,
            Self::Dedupe(_) | Self::History(_) => &[],
        }
    }
}

impl PluginRef {
    /// The plugin's file; none for the embedded one. Like `Text::expose`, it may hold what came from the environment.
    pub fn path(&self, document: &Document) -> Option<PathBuf> {
        match self {
            Self::Std => None,
            Self::File(path) => Some(document.beside(path.expose())),
        }
    }
}
