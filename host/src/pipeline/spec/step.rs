//! What `[[step]]` says.

use std::path::PathBuf;

use super::EventTimeSpec;
use crate::pipeline::config::Config;
use crate::pipeline::document::{Document, Placed};
use crate::pipeline::text::Text;
use crate::pipeline::unit::{ByteSize, DurationUs};

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
    /// What the step calls.
    pub fn call(&self) -> &PluginCall {
        match self {
            Self::Transform(transform) => &transform.call,
            Self::Aggregate(aggregate) => &aggregate.call,
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
