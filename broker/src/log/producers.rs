//! What a partition knows of its producers: the epoch that is valid, and the sequences that come next. A batch that is sent again is recognised, one that skips
//! something is refused.

use std::collections::{HashMap, VecDeque};

use crate::batch::Header;
use crate::wire::ErrorCode;

/// The producers that have written to a partition.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    by_id: HashMap<i64, Producer>,
    /// Grows with each batch: who has the smallest number has been idle longest.
    turn: u64,
}

/// One of them, as an administrator sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) epoch: i16,
    pub(crate) last_timestamp: i64,
    /// The newest batches of this epoch; none: the next sequence must be 0.
    recent: VecDeque<Recent>,
    turn: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Recent {
    first_sequence: i32,
    last_sequence: i32,
    offset: i64,
}

/// A producer has at most this many batches on the way, so it can send none of older ones again. The number is the protocol's.
const MAX_RECENT: usize = 5;

/// More producers than this are not remembered; the one that was idle longest goes. Its next batch is taken as it comes, so with a small number duplicates would come
/// through; a large one lets a client fill the memory with producer ids.
const MAX_PRODUCERS: usize = 5_000;

impl Producers {
    /// Whether a batch may be appended; an offset: it is there already.
    pub(crate) fn check(&self, header: &Header) -> Result<Option<i64>, ErrorCode> {
        // Of an unknown producer every sequence is right: retention may have dropped what it wrote before.
        let Some(producer) = self.by_id.get(&header.producer_id) else { return Ok(None) };
        if header.producer_epoch < producer.epoch {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        let (first, last) = (header.base_sequence, header.last_sequence());
        if header.producer_epoch > producer.epoch {
            return if first == 0 { Ok(None) } else { Err(ErrorCode::OutOfOrderSequence) };
        }
        if let Some(same) = producer.recent.iter().find(|recent| recent.first_sequence == first && recent.last_sequence == last) {
            return Ok(Some(same.offset));
        }
        let expected = producer.recent.back().map_or(0, |recent| recent.last_sequence.wrapping_add(1) & i32::MAX);
        if first == expected { Ok(None) } else { Err(ErrorCode::OutOfOrderSequence) }
    }

    /// A batch that was checked is in the log.
    pub(crate) fn appended(&mut self, header: &Header, offset: i64) {
        let producer = self.at_epoch(header.producer_id, header.producer_epoch);
        producer.last_timestamp = header.max_timestamp;
        producer.recent.push_back(Recent { first_sequence: header.base_sequence, last_sequence: header.last_sequence(), offset });
        if producer.recent.len() > MAX_RECENT {
            producer.recent.pop_front();
        }
    }

    /// A transaction was ended with this epoch. A new epoch begins its sequences anew, or the first batch of the next producer would be taken for an old one.
    pub(crate) fn marked(&mut self, producer_id: i64, epoch: i16, now_ms: i64) {
        self.at_epoch(producer_id, epoch).last_timestamp = now_ms;
    }

    /// Forgets the producer that was idle longest, if there are too many.
    pub(crate) fn forget_idle(&mut self, is_busy: impl Fn(i64) -> bool) {
        if self.by_id.len() <= MAX_PRODUCERS {
            return;
        }
        let idle = self.by_id.iter().filter(|(id, _)| !is_busy(**id)).min_by_key(|(_, producer)| producer.turn).map(|(id, _)| *id);
        idle.and_then(|id| self.by_id.remove(&id));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.by_id.iter().map(|(id, producer)| (*id, producer))
    }

    fn at_epoch(&mut self, producer_id: i64, epoch: i16) -> &mut Producer {
        self.turn += 1;
        let producer = self.by_id.entry(producer_id).or_insert_with(|| Producer { epoch, ..Producer::default() });
        if epoch > producer.epoch {
            producer.epoch = epoch;
            producer.recent.clear();
        }
        producer.turn = self.turn;
        producer
    }
}

impl Producer {
    /// Of the newest batch; -1 if there is none.
    pub(crate) fn last_sequence(&self) -> i32 {
        self.recent.back().map_or(-1, |recent| recent.last_sequence)
    }
}
