//! What a step does with the rows of an epoch: plugin calls around grouping, late rows and state. Operators know event time, plugins and state; they never see
//! Kafka, and nothing of what they decide is visible before the epoch is committed.

pub mod aggregate;
pub mod decode;
pub mod dedupe;
pub mod event_time;
pub mod functions;
mod group;
pub mod history;
mod late;
mod merge;
pub mod placing;
pub mod states;
pub mod transform;

use crate::plugin::{Context, Rejection};
use crate::rows::{Chunk, Origin};
use crate::time::{EventTime, Watermark};

/// What every step of an epoch works with; fixed when the epoch is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochTime {
    /// The epoch's number.
    pub epoch: u64,
    /// The epoch's clock: the only "now" there is.
    pub clock: EventTime,
    /// E(N): what is not newer is closed (W-8). None: the pipeline declares no event time.
    pub eviction: Option<Watermark>,
    /// L(N) = E(N-1): what is not newer is late (W-8).
    pub late: Option<Watermark>,
}

impl EpochTime {
    /// The epoch for a step that keeps windows so much longer: its watermarks are that far behind.
    #[must_use]
    fn turned_back(&self, by_us: i64) -> Self {
        let back = |watermark: Option<Watermark>| watermark.map(|watermark| Watermark(watermark.0.saturating_sub(by_us / 1_000).max(0)));
        Self { eviction: back(self.eviction), late: back(self.late), ..*self }
    }

    /// The epoch as a plugin sees it.
    #[must_use]
    pub fn context(&self) -> Context {
        let watermark_us = self.eviction.filter(|watermark| watermark.0 > 0).map(|watermark| watermark.as_event_time().0);
        Context { epoch: self.epoch, now_us: self.clock.0, watermark_us }
    }
}

/// Rows that a step refused, with the reasons: they go to the dead letters.
#[derive(Debug, Clone)]
pub struct RejectedRows {
    /// The step's input rows; `rejections` name them by number.
    pub chunk: Chunk,
    /// Which rows, and why.
    pub rejections: Vec<Rejection>,
}

/// Where row `row` of a chunk comes from, as far as it is known.
#[must_use]
pub fn place_of(origin: &Origin, row: usize) -> Option<crate::sink::dead_letter::Place> {
    let (records, record) = origin.record(row)?;
    Some(crate::sink::dead_letter::Place {
        topic: records.partition.topic.to_string(),
        partition: records.partition.number,
        offset: records.offsets.get(record).copied()?,
        timestamp_ms: records.timestamps_ms.get(record).copied().filter(|timestamp| *timestamp >= 0),
    })
}
