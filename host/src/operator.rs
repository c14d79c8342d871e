//! What a step does with the rows of an epoch: plugin calls around grouping, late rows and state. Operators know event time, plugins and state; they never see
//! Kafka, and nothing of what they decide is visible before the epoch is committed.

pub mod aggregate;
pub mod decode;
pub mod event_time;
mod group;
mod merge;
pub mod transform;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::epoch::clock::Stopwatch;
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
    /// The epoch as a plugin sees it.
    #[must_use]
    pub fn context(&self) -> Context {
        let watermark_us = self.eviction.filter(|watermark| watermark.0 > 0).map(|watermark| watermark.as_event_time().0);
        Context { epoch: self.epoch, now_us: self.clock.0, watermark_us }
    }
}

/// How long the threads of a step have worked together: its share of an epoch, where the driver's clock only sees how long it waited for them.
#[derive(Debug, Default)]
pub(crate) struct Busy(AtomicU64);

impl Busy {
    /// Does a piece of work and counts it.
    fn with<T>(&self, work: impl FnOnce() -> T) -> T {
        let watch = Stopwatch::start();
        let done = work();
        self.0.fetch_add(u64::try_from(watch.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        done
    }

    /// Microseconds since the last call.
    fn take_us(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed) / 1_000
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
