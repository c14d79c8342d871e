//! Owns the pipeline document: from its text to the graph that runs, in three steps that each give another type.
//!
//! ```text
//! Document ─ parse ─► PipelineSpec ─ check ─► problems ─ plan ─► Plan
//!  text                what it says           of the graph       what runs: order, schemas, column numbers, opened plugins
//! ```
//!
//! It does no I/O, reads no clock and is not async: the text comes in, environment values come through a closure, plugins are opened by the caller's `Opener`.
//! Everything it refuses is a `Problem` with its place, what was expected and what to do.

mod check;
mod config;
mod cursor;
mod document;
mod graph;
mod plan;
mod problem;
mod property;
mod read;
mod schema;
mod spec;
mod text;
mod unit;

pub use check::{Checked, check, check_names};
pub use config::Config;
pub use document::{Document, Placed, Span};
pub use plan::*;
pub use problem::{Code, Finding, Problem, Refused, Severity};
pub use read::parse;
pub use schema::{ColumnType, Declared, KafkaColumn, TimestampForm, type_text};
pub use spec::*;
pub use text::Text;
pub use unit::{ByteSize, DurationUs, Interval, ShareMillionths, UnitError};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]
mod tests;
