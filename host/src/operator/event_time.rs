//! Reads the event time of rows where it is declared: for the watermark, and to reject what is further ahead than any clock can be wrong.

use arrow_array::BooleanArray;
use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;

use super::RejectedRows;
use crate::plugin::Rejection;
use crate::rows::{Chunk, Origin};
use crate::source::Partition;
use crate::time::EventTime;

/// The code of a row that is further ahead of the epoch's clock than `max_future`.
pub const FUTURE: &str = "future-event-time";

/// Where event time is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// The column of microseconds.
    pub column: usize,
    /// How far ahead of the epoch's clock a row may be, in microseconds: one bad clock must not close every window.
    pub max_future_us: i64,
}

/// What rows say of event time.
#[derive(Debug, Default)]
pub struct Observed {
    /// The rows that stay; none: all were too far ahead.
    pub chunk: Option<Chunk>,
    /// The rows that are too far ahead.
    pub rejected: Option<RejectedRows>,
    /// The newest event, and the partition it is of.
    pub newest: Option<(Partition, EventTime)>,
    /// Over all rows with a time.
    pub times: Times,
    /// How many rows have no event time: they are in no window. Users lose hours over these.
    pub null_rows: u64,
}

/// Oldest, newest and mean of event times.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Times {
    /// The oldest, in microseconds.
    pub min_us: Option<i64>,
    /// The newest, in microseconds.
    pub max_us: Option<i64>,
    /// The sum, in microseconds.
    sum_us: i128,
    /// How many.
    pub count: u64,
}

impl Times {
    fn add(&mut self, time_us: i64) {
        self.min_us = Some(self.min_us.map_or(time_us, |min| min.min(time_us)));
        self.max_us = Some(self.max_us.map_or(time_us, |max| max.max(time_us)));
        self.sum_us += i128::from(time_us);
        self.count += 1;
    }

    /// The mean, in microseconds; none of nothing.
    #[must_use]
    pub fn mean_us(&self) -> Option<i64> {
        let count = i128::from(self.count);
        (count > 0).then(|| i64::try_from(self.sum_us.div_euclid(count)).ok()).flatten()
    }

    /// These and those.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            min_us: self.min_us.into_iter().chain(other.min_us).min(),
            max_us: self.max_us.into_iter().chain(other.max_us).max(),
            sum_us: self.sum_us + other.sum_us,
            count: self.count + other.count,
        }
    }
}

impl Declared {
    /// Reads the event times of a chunk's rows.
    ///
    /// # Errors
    /// When the column is not one of timestamps: the plan checks this.
    pub fn observe(&self, chunk: Chunk, clock: EventTime) -> anyhow::Result<Observed> {
        let mut observed = Observed::default();
        let limit_us = clock.0.saturating_add(self.max_future_us);
        let column = chunk.rows.columns().get(self.column).and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        let times = column.ok_or_else(|| anyhow::anyhow!("column {} holds no event times", self.column))?;
        let mut future = Vec::new();
        for (row, time) in times.iter().enumerate() {
            match time {
                None => observed.null_rows += 1,
                Some(time_us) if time_us > limit_us => future.push((row, time_us)),
                Some(time_us) => observed.times.add(time_us),
            }
        }
        if let (Some(newest_us), Origin::Records { records, .. }) = (observed.times.max_us, &chunk.origin) {
            observed.newest = Some((records.partition.clone(), EventTime(newest_us)));
        }
        if future.is_empty() {
            observed.chunk = Some(chunk);
        } else {
            observed.split(chunk, &future, clock)?;
        }
        Ok(observed)
    }
}

impl Observed {
    /// Takes the rows of `future` out of a chunk.
    fn split(&mut self, chunk: Chunk, future: &[(usize, i64)], clock: EventTime) -> anyhow::Result<()> {
        let mut keep = vec![true; chunk.rows.num_rows()];
        for (row, _) in future {
            if let Some(keep) = keep.get_mut(*row) {
                *keep = false;
            }
        }
        let rows: Vec<u32> = keep.iter().zip(0..).filter_map(|(keep, row)| keep.then_some(row)).collect();
        let kept = Chunk { rows: arrow_select::filter::filter_record_batch(&chunk.rows, &BooleanArray::from(keep))?, origin: chunk.origin.take(&rows) };
        let rejections = future.iter().map(|(row, time_us)| Rejection {
            row: u32::try_from(*row).unwrap_or(u32::MAX),
            code: FUTURE.to_owned(),
            reason: format!("event time {} is further ahead of the epoch's clock, {clock}, than `max_future` allows", EventTime(*time_us)),
        });
        self.rejected = Some(RejectedRows { rejections: rejections.collect(), chunk });
        self.chunk = (!rows.is_empty()).then_some(kept);
        Ok(())
    }
}
