//! One partition on its way in: what has been fetched of it, how far it has been read, and how far it is known to reach.
//!
//! ```text
//!      next            reached                end
//! ───────┼────────────────┼────────────────────┼──►
//!  read  │ held: fetched, │ in librdkafka's    │ not there yet,
//!        │ not yet read   │ queue, or not yet  │ as far as is known
//!        │                │ fetched            │
//! ```
//!
//! `reached` moves with records and with the partition-EOF event. The event is what carries it over a gap that nothing follows: compacted records, aborted ones,
//! the markers of transactions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

use super::client::{Consumer, Queue, Wake};
use super::message::{Message, Runs, take_batch};
use crate::source::{Offer, Offset, Partition};

/// The reader of one partition.
pub(super) struct Reader {
    partition: Partition,
    /// Fetched and not yet read, at most one batch: what a plan left over, or what an offer found.
    held: VecDeque<Message>,
    queue: Queue,
    /// Where it begins when no position names it.
    start: Offset,
    next: Offset,
    reached: Offset,
    end: Offset,
    confirmed: Option<Confirmed>,
    /// A question about the end that is on its way, and `reached` when it was asked.
    asked: Option<Confirmed>,
    shrunk: bool,
    record_bytes: u32,
}

/// The broker has said, or is asked, that `end` is the end.
#[derive(Debug, Clone, Copy)]
struct Confirmed {
    end: Offset,
    at: Instant,
}

/// What stands in the way of reading on.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The broker has nothing at the position.
    OutOfRange,
    /// Offsets have started again.
    Restarted {
        /// One that should have been passed long ago.
        found: Offset,
    },
    /// The broker does not know the partition: it may be gone, or just have moved.
    Unknown,
    /// Reading on would pass over records in silence, or is not allowed.
    Refused(String),
}

/// How far [`Reader::read`] has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The planned end is reached.
    Done,
    /// Some records were read, and more are to come.
    Some,
    /// Nothing has arrived.
    Nothing,
}

impl Reader {
    /// A reader of `partition` that begins at `start`, in a partition that ends at `end`. It is to be assigned afterwards.
    pub(super) fn new(client: &Arc<Consumer>, wake: &Arc<Wake>, partition: Partition, start: Offset, end: Offset) -> anyhow::Result<Self> {
        let mut queue = Queue::of_partition(client, &partition)?;
        queue.wakes(wake);
        let confirmed = Some(Confirmed { end, at: Instant::now() });
        Ok(Self {
            partition,
            held: VecDeque::new(),
            queue,
            start,
            next: start,
            reached: start,
            end: end.max(start),
            confirmed,
            asked: None,
            shrunk: false,
            record_bytes: 0,
        })
    }

    /// Where it begins when no position names it.
    pub(super) fn start(&self) -> Offset {
        self.start
    }

    /// The next offset to read.
    pub(super) fn next(&self) -> Offset {
        self.next
    }

    /// The next offset to fetch.
    pub(super) fn reached(&self) -> Offset {
        self.reached
    }

    /// Mean bytes of a value; 0: not known.
    pub(super) fn record_bytes(&self) -> u32 {
        self.record_bytes
    }

    /// Puts the position to `at` and drops what is held. The fetcher is to be restarted there.
    pub(super) fn move_to(&mut self, at: Offset) {
        self.held.clear();
        self.next = at;
        self.reached = at;
        self.end = self.end.max(at);
        self.asked = None;
    }

    /// Goes on at `at` because what is before it is lost; what is held is read first. The fetcher is to be restarted there.
    pub(super) fn pass_to(&mut self, at: Offset) {
        self.reached = at;
        self.end = self.end.max(at);
        if self.held.is_empty() {
            self.next = at;
        }
    }

    /// Begins again in a log that was made anew and reaches from `low` to `high`. The fetcher is to be restarted there.
    pub(super) fn begin_again(&mut self, low: Offset, high: Offset) {
        self.move_to(low);
        self.start = low;
        self.end = high.max(low);
        self.shrunk = false;
        self.confirmed = None;
    }

    /// Takes what has arrived when nothing is held, so that an offer can tell of it.
    pub(super) fn look(&mut self) -> Result<bool, Trouble> {
        Ok(self.held.is_empty() && self.take()?)
    }

    /// Reads up to `to`, as far as records have arrived.
    pub(super) fn read(&mut self, to: Offset, runs: &mut Runs) -> Result<Progress, Trouble> {
        let mut progress = Progress::Nothing;
        loop {
            let mut bytes = 0;
            let mut records = 0_u32;
            while self.held.front().is_some_and(|message| message.offset() < to.0) {
                let Some(message) = self.held.pop_front() else { break };
                bytes += runs.push(&message);
                records += 1;
                self.next = Offset(message.offset() + 1);
            }
            self.observe(bytes, records);
            if self.reached >= to {
                self.next = to;
                return Ok(Progress::Done);
            }
            if !self.take()? {
                return Ok(progress);
            }
            progress = Progress::Some;
        }
    }

    /// What there is to read.
    pub(super) fn offer(&self, valid_for: Duration) -> Offer {
        Offer {
            partition: self.partition.clone(),
            position: self.next,
            end: self.end,
            confirmed: self.confirmed.is_some_and(|confirmed| confirmed.end == self.end && confirmed.at.elapsed() < valid_for),
            mean_record_bytes: self.record_bytes,
        }
    }

    /// More may have arrived than what is known: everything that is known has been fetched, and it was a full batch.
    pub(super) fn may_reach_further(&self) -> bool {
        !self.held.is_empty() && self.reached == self.end && self.confirmed.is_none_or(|confirmed| confirmed.end < self.end)
    }

    /// The broker is asked for the end.
    pub(super) fn end_asked(&mut self) {
        self.asked = Some(Confirmed { end: self.reached, at: Instant::now() });
    }

    /// The broker's answer.
    pub(super) fn end_told(&mut self, end: Offset) -> Result<(), Trouble> {
        let Some(asked) = self.asked.take() else { return Ok(()) };
        if end < asked.end {
            // NOTE: a leader that has just been elected may tell an old end. Told twice, it is true.
            if std::mem::replace(&mut self.shrunk, true) {
                return Err(Trouble::Restarted { found: end });
            }
            return Ok(());
        }
        self.shrunk = false;
        self.end = self.end.max(end);
        self.confirmed = Some(Confirmed { end, at: asked.at });
        Ok(())
    }

    /// Takes one batch from the queue. True: there was something.
    fn take(&mut self) -> Result<bool, Trouble> {
        let (held, reached, confirmed) = (&mut self.held, &mut self.reached, &mut self.confirmed);
        let mut trouble = None;
        let taken = take_batch(&self.queue, |message| {
            let offset = message.offset();
            match message.error() {
                // IMPORTANT: nothing is taken over after a hole. The fetcher is restarted at `reached`, which fetches what follows again.
                _ if matches!(trouble, Some(Trouble::OutOfRange | Trouble::Restarted { .. } | Trouble::Refused(_))) => {}
                None if offset < reached.0 => trouble = Some(Trouble::Restarted { found: Offset(offset) }),
                None => {
                    *reached = Offset(offset + 1);
                    held.push_back(message);
                }
                Some(RDKafkaErrorCode::PartitionEOF) if offset < reached.0 => trouble = Some(Trouble::Restarted { found: Offset(offset) }),
                Some(RDKafkaErrorCode::PartitionEOF) => {
                    *reached = Offset(offset);
                    *confirmed = Some(Confirmed { end: *reached, at: Instant::now() });
                }
                Some(code) => trouble = judge(code, || message.error_text()).or(trouble.take()),
            }
        });
        self.end = self.end.max(self.reached);
        if self.record_bytes == 0 {
            let bytes = self.held.iter().map(|message| message.value().map_or(0, <[u8]>::len)).sum();
            self.observe(bytes, u32::try_from(self.held.len()).unwrap_or(u32::MAX));
        }
        trouble.map_or(Ok(taken > 0), Err)
    }

    /// Lets the mean follow the last reads: a quarter of the new, three quarters of the old.
    fn observe(&mut self, bytes: usize, records: u32) {
        let Some(mean) = u32::try_from(bytes).unwrap_or(u32::MAX).checked_div(records) else { return };
        self.record_bytes = if self.record_bytes == 0 { mean } else { self.record_bytes / 4 * 3 + mean / 4 }.max(1);
    }
}

/// What an error of a partition means for reading it; none: it passes by itself.
fn judge(code: RDKafkaErrorCode, text: impl Fn() -> String) -> Option<Trouble> {
    use RDKafkaErrorCode as Code;
    match code {
        Code::AutoOffsetReset | Code::OffsetOutOfRange => Some(Trouble::OutOfRange),
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId => Some(Trouble::Unknown),
        Code::BadMessage
        | Code::BadCompression
        | Code::InvalidMessage
        | Code::InvalidMessageSize
        | Code::MessageSizeTooLarge
        | Code::UnsupportedFeature
        | Code::NotImplemented
        | Code::TopicAuthorizationFailed
        | Code::Fatal => Some(Trouble::Refused(text())),
        _ => None,
    }
}
