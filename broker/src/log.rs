//! One partition: its batches in memory, from the log's start to its end, with what must be known of their producers. Pure: it is told the time.
//!
//! ```text
//!   start                        last stable offset          end
//!   ├── batch ── batch ── batch ──┼── batch of an open ── batch ┤
//!   dropped by retention          └ transaction; whoever reads only what is committed stops here
//! ```

mod producers;
mod transactions;

use std::collections::VecDeque;

use bytes::Bytes;

pub(crate) use producers::Producers;
pub(crate) use transactions::Transactions;

use crate::batch::{Batch, marker, records};
use crate::wire::ErrorCode;

/// The batches of a partition.
#[derive(Debug, Default)]
pub(crate) struct Log {
    batches: VecDeque<Kept>,
    start: i64,
    end: i64,
    bytes: u64,
    pub(crate) producers: Producers,
    pub(crate) transactions: Transactions,
}

/// What came of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It has this offset now.
    At(i64),
    /// It had been appended before, with this offset.
    Before(i64),
}

/// What a read found.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Found {
    pub(crate) batches: Vec<Bytes>,
    pub(crate) bytes: usize,
    /// The offset after the last batch.
    pub(crate) next: i64,
}

/// How much a reader may get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadLimit {
    /// Batches that begin here or later are not for this reader.
    pub(crate) until: i64,
    pub(crate) max_bytes: usize,
    /// Whether the first batch is given even if it is larger, so that a reader never stands still.
    pub(crate) at_least_one: bool,
}

/// A record's place and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimedOffset {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
}

#[derive(Debug)]
struct Kept {
    base: i64,
    last: i64,
    base_timestamp: i64,
    max_timestamp: i64,
    is_compressed: bool,
    has_append_time: bool,
    data: Bytes,
}

/// What a batch costs besides its bytes. Without it, a log of small batches would take twice the memory that it is allowed.
const BATCH_OVERHEAD: u64 = size_of::<Kept>() as u64 + 32;

/// Where the records of a batch begin.
const RECORDS_AT: usize = 61;

impl Log {
    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    pub(crate) fn end(&self) -> i64 {
        self.end
    }

    /// Bytes kept, with what a batch costs besides its own.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Up to where nothing is undecided.
    pub(crate) fn last_stable_offset(&self) -> i64 {
        self.transactions.first_open_offset().map_or(self.end, |first| first.clamp(self.start, self.end))
    }

    /// Appends a client's batch, if its producer may.
    pub(crate) fn append(&mut self, batch: Batch) -> Result<Appended, ErrorCode> {
        let header = batch.header;
        if header.producer_id < 0 {
            return Ok(Appended::At(self.push(batch)));
        }
        if let Some(offset) = self.producers.check(&header)? {
            return Ok(Appended::Before(offset));
        }
        if !header.is_transactional() && self.transactions.is_open(header.producer_id) {
            return Err(ErrorCode::InvalidTxnState);
        }
        let offset = self.push(batch);
        self.producers.appended(&header, offset);
        if header.is_transactional() {
            self.transactions.open(header.producer_id, offset);
        }
        let transactions = &self.transactions;
        self.producers.forget_idle(|producer_id| transactions.is_open(producer_id));
        Ok(Appended::At(offset))
    }

    /// Ends a producer's transaction here.
    pub(crate) fn end_transaction(&mut self, producer_id: i64, producer_epoch: i16, is_commit: bool, now_ms: i64) {
        let offset = self.push(marker(producer_id, producer_epoch, is_commit, now_ms));
        self.transactions.end(producer_id, is_commit, offset);
        self.producers.marked(producer_id, producer_epoch, now_ms);
    }

    /// Whole batches from the one that holds `from`; a client skips what comes before.
    pub(crate) fn read(&self, from: i64, limit: ReadLimit) -> Found {
        let mut found = Found { next: from, ..Found::default() };
        let first = self.batches.partition_point(|batch| batch.last < from);
        for batch in self.batches.range(first..).take_while(|batch| batch.base < limit.until) {
            let fits = found.bytes.saturating_add(batch.data.len()) <= limit.max_bytes;
            let is_needed = limit.at_least_one && found.batches.is_empty();
            if !(fits || is_needed) {
                break;
            }
            found.bytes += batch.data.len();
            found.next = batch.last + 1;
            found.batches.push(batch.data.clone());
        }
        found
    }

    /// The first record of this time or later. In a compressed batch it is the batch's first one: no record of that time is missed.
    pub(crate) fn offset_at(&self, timestamp: i64) -> Option<TimedOffset> {
        let batches = self.batches.iter().filter(|batch| batch.max_timestamp >= timestamp);
        batches.flat_map(|batch| batch.records(self.start)).find(|record| record.timestamp >= timestamp)
    }

    /// The first record of the largest time.
    pub(crate) fn latest_timestamp(&self) -> Option<TimedOffset> {
        let largest = self.batches.iter().map(|batch| batch.max_timestamp).max()?;
        self.offset_at(largest)
    }

    /// Deletes the records below `offset`, batch by batch, and says how many bytes that were.
    pub(crate) fn delete_below(&mut self, offset: i64) -> u64 {
        let before = self.bytes;
        self.start = self.start.max(offset.min(self.end));
        while self.batches.front().is_some_and(|batch| batch.last < self.start) {
            self.drop_front();
        }
        self.transactions.forget_below(self.start);
        before - self.bytes
    }

    /// Drops the oldest batches until no more than `max_bytes` are kept, and says how many bytes that were.
    pub(crate) fn shrink_to(&mut self, max_bytes: u64) -> u64 {
        let before = self.bytes;
        while self.bytes > max_bytes && self.drop_front() {}
        if self.bytes < before {
            self.transactions.forget_below(self.start);
        }
        before - self.bytes
    }

    fn drop_front(&mut self) -> bool {
        let Some(batch) = self.batches.pop_front() else { return false };
        self.bytes -= batch.cost();
        self.start = self.start.max(batch.last + 1);
        true
    }

    fn push(&mut self, batch: Batch) -> i64 {
        let (header, base) = (batch.header, self.end);
        let kept = Kept {
            base,
            last: base + i64::from(header.last_offset_delta),
            base_timestamp: header.base_timestamp,
            max_timestamp: header.max_timestamp,
            is_compressed: header.is_compressed(),
            has_append_time: header.has_append_time(),
            data: batch.placed_at(base),
        };
        self.bytes += kept.cost();
        self.end = kept.last + 1;
        self.batches.push_back(kept);
        base
    }
}

impl Kept {
    fn cost(&self) -> u64 {
        self.data.len() as u64 + BATCH_OVERHEAD
    }

    /// Places and times of the records from `start` on; of what can't be read, the first place with the largest time.
    fn records(&self, start: i64) -> impl Iterator<Item = TimedOffset> + '_ {
        let readable = !self.is_compressed && !self.has_append_time;
        let records = if readable { self.data.get(RECORDS_AT..).unwrap_or_default() } else { &[] };
        let walked = records::walk(records).map(|record| TimedOffset {
            offset: self.base.saturating_add(record.offset_delta).min(self.last),
            timestamp: self.base_timestamp.saturating_add(record.timestamp_delta),
        });
        let as_a_whole = TimedOffset { offset: self.base.max(start), timestamp: self.max_timestamp };
        walked.filter(move |record| record.offset >= start).chain((!readable).then_some(as_a_whole))
    }
}

#[cfg(test)]
mod tests;
