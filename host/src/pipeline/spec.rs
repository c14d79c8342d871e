//! Owns what a pipeline document says: one type for each of its tables, defaults filled in, units resolved, every name with its place. It is made by `parse` alone;
//! what runs is another type, in `plan.rs`.

mod sink;
mod source;
mod step;

use std::path::PathBuf;

pub use sink::*;
pub use source::*;
pub use step::*;

use super::document::{Document, Placed};
use super::text::Text;
use super::unit::{ByteSize, ShareMillionths};
use crate::epoch::rate::Gains;
use crate::epoch::trigger::Trigger;

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
    /// How the watermarks of several declarations become the pipeline's.
    pub watermark_policy: WatermarkPolicy,
    /// Whether an epoch without records is made so that windows close that the watermark has passed since the last one (B-4).
    pub no_data_epochs: bool,
    /// `[[source]]`, in order.
    pub sources: Vec<SourceSpec>,
    /// `[[step]]`, in order.
    pub steps: Vec<StepSpec>,
    /// `[[sink]]`, in order.
    pub sinks: Vec<SinkSpec>,
    /// Where rows go that can't go on; none: a file in the state folder.
    pub dead_letters: Option<KafkaTopic>,
    /// Its share of the cores beside other pipelines of the process.
    pub weight: u32,
    /// Where the page and the control API are to be found; none: at the user's socket alone.
    pub control: Option<ControlSpec>,
}

/// `control = { listen = "127.0.0.1:7070", token = "${env:TOKEN}" }`
#[derive(Debug, Clone)]
pub struct ControlSpec {
    /// `host:port`.
    pub listen: Placed<String>,
    /// What must be shown there; none: nothing.
    pub token: Option<Text>,
}

/// What an epoch may hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochLimits {
    /// Larger: more memory, and more to do again after a crash. Smaller: more commits for the same rows.
    pub max_epoch_bytes: ByteSize,
    /// In records; none: no such limit.
    pub max_records: Option<u64>,
    /// In records a second of each partition; none: no such limit.
    pub max_rate_per_partition: Option<u64>,
    /// How epochs are fitted to what the pipeline can take; none: they are not.
    pub backpressure: Option<Gains>,
}

/// `max_rejected = "1%"`, or `{ share = "1%", at_least_rows = 100 }`: an epoch with more rejected rows than both allow stops the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxRejected {
    /// Of the rows of the epoch.
    pub share: ShareMillionths,
    /// So many are allowed however small the epoch is.
    pub at_least_rows: u64,
}

impl PipelineSpec {
    /// Where the state lives. Like `Text::expose`, it may hold what came from the environment.
    pub fn state_dir(&self) -> PathBuf {
        match &self.state_dir {
            Some(path) => self.document.beside(path.expose()),
            None => self.document.beside(format!("var/{}", self.name.value)),
        }
    }
}

impl EpochLimits {
    /// 64 MB: about a second of work for one core, and small beside the memory of any machine that runs this.
    pub const DEFAULT: Self = Self { max_epoch_bytes: ByteSize::from_bytes(64_000_000), max_records: None, max_rate_per_partition: None, backpressure: None };

    /// Without those of records a second, for where there is no time.
    #[must_use]
    pub fn without_rates(self) -> Self {
        Self { max_rate_per_partition: None, backpressure: None, ..self }
    }
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
