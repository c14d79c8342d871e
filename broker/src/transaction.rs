//! The coordinator of transactions: who owns a transactional id, what its transaction touches, how it ends. Pure; the markers are written by [`crate::node`].
//!
//! ```text
//!            add partitions or offsets            end                   markers written
//!   Empty ───────────────────────────► Ongoing ────────► Ending ──────────────────────────► Complete ──► Ongoing ..
//!                                         │ timeout, or a new producer: aborted with the next epoch ▲
//!                                         └──────────────────────────────► Ending ──────────────────┘
//! ```
//!
//! While it is ending nothing can be added to it: `CONCURRENT_TRANSACTIONS`, try again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::clock::Now;
use crate::group::offsets::Offsets;
use crate::topic::TopicPartition;
use crate::wire::ErrorCode;

/// All transactional ids, and the next producer's id.
#[derive(Debug)]
pub(crate) struct Coordinator {
    by_id: HashMap<String, Transaction>,
    next_producer_id: i64,
    max_ids: usize,
    marker_delay: Duration,
}

/// A transactional id.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) producer: Producer,
    pub(crate) timeout: Duration,
    state: State,
    last_used: Instant,
}

/// Who may write under a transactional id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

#[derive(Debug)]
enum State {
    Empty,
    Ongoing(Work),
    Ending { is_commit: bool, work: Work, markers_due: Instant },
    Complete { is_commit: bool },
}

/// What a transaction touches.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) began: Now,
    pub(crate) partitions: BTreeSet<TopicPartition>,
    /// By group. A group without offsets was announced, and none have come yet.
    pub(crate) offsets: BTreeMap<String, Offsets>,
}

/// A transaction that has ended, and whose markers are to be written.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) producer: Producer,
    pub(crate) is_commit: bool,
    pub(crate) work: Work,
}

/// The longest timeout that Apache Kafka allows by default.
const MAX_TIMEOUT: Duration = Duration::from_secs(900);

/// Beyond this epoch a producer gets a new id: the last one is kept for the fence.
const LAST_EPOCH: i16 = i16::MAX - 1;

impl Coordinator {
    pub(crate) fn new(max_ids: usize, marker_delay: Duration) -> Self {
        Self { by_id: HashMap::new(), next_producer_id: 1_000, max_ids, marker_delay }
    }

    /// An id for a producer that wants no transactions.
    pub(crate) fn fresh_producer(&mut self) -> Producer {
        let id = self.next_producer_id;
        self.next_producer_id += 1;
        Producer { id, epoch: 0 }
    }

    /// Makes somebody the owner of a transactional id. An open transaction is aborted first, and the caller must come again. `known` is what a producer that goes on
    /// after an error believes to be.
    pub(crate) fn init(&mut self, id: &str, timeout: Duration, known: Option<Producer>, now: Now) -> Result<Producer, ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        if timeout.is_zero() || timeout > MAX_TIMEOUT {
            return Err(ErrorCode::InvalidTransactionTimeout);
        }
        if !self.by_id.contains_key(id) {
            self.make_room()?;
            let producer = self.fresh_producer();
            self.by_id.insert(id.to_owned(), Transaction { producer, timeout, state: State::Empty, last_used: now.at });
            return Ok(producer);
        }
        let (fresh, marker_delay) = (self.next_producer_id, self.marker_delay);
        let transaction = self.by_id.get_mut(id).ok_or(ErrorCode::InvalidProducerIdMapping)?;
        if known.is_some_and(|known| known != transaction.producer) {
            return Err(ErrorCode::ProducerFenced);
        }
        match transaction.state {
            State::Ending { .. } => return Err(ErrorCode::ConcurrentTransactions),
            State::Ongoing(_) => {
                transaction.fence(now, marker_delay);
                return Err(ErrorCode::ConcurrentTransactions);
            }
            State::Empty | State::Complete { .. } => {}
        }
        if transaction.producer.epoch >= LAST_EPOCH {
            transaction.producer = Producer { id: fresh, epoch: 0 };
            self.next_producer_id += 1;
        } else {
            transaction.producer.epoch += 1;
        }
        (transaction.timeout, transaction.last_used, transaction.state) = (timeout, now.at, State::Empty);
        Ok(transaction.producer)
    }

    /// The transaction's work, to add something to it; it begins with the first thing that is added.
    pub(crate) fn work(&mut self, id: &str, producer: Producer, now: Now) -> Result<&mut Work, ErrorCode> {
        let transaction = self.of_producer(id, producer)?;
        transaction.last_used = now.at;
        match transaction.state {
            State::Ending { .. } => return Err(ErrorCode::ConcurrentTransactions),
            State::Ongoing(_) => {}
            State::Empty | State::Complete { .. } => {
                transaction.state = State::Ongoing(Work { began: now, partitions: BTreeSet::new(), offsets: BTreeMap::new() });
            }
        }
        match &mut transaction.state {
            State::Ongoing(work) => Ok(work),
            _ => Err(ErrorCode::InvalidTxnState),
        }
    }

    /// The work of the transaction that is open, to write in it. What comes late, after its end, is refused: without this a record that was sent again would land
    /// outside of any transaction, and hold all readers.
    pub(crate) fn open_work(&mut self, id: &str, producer: Producer) -> Result<&mut Work, ErrorCode> {
        let transaction = self.of_producer(id, producer).map_err(|error| match error {
            ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
            error => error,
        })?;
        match &mut transaction.state {
            State::Ongoing(work) => Ok(work),
            _ => Err(ErrorCode::InvalidTxnState),
        }
    }

    /// Ends the transaction; the markers follow when [`Coordinator::take_due`] gives it. The same answer again for one that has ended in this way.
    pub(crate) fn end(&mut self, id: &str, producer: Producer, is_commit: bool, now: Now) -> Result<(), ErrorCode> {
        let marker_delay = self.marker_delay;
        let transaction = self.of_producer(id, producer)?;
        transaction.last_used = now.at;
        match &transaction.state {
            State::Ongoing(_) => {
                transaction.end(is_commit, now, marker_delay);
                Ok(())
            }
            State::Ending { is_commit: ending, .. } if *ending == is_commit => Err(ErrorCode::ConcurrentTransactions),
            State::Complete { is_commit: ended } if *ended == is_commit => Ok(()),
            State::Empty | State::Ending { .. } | State::Complete { .. } => Err(ErrorCode::InvalidTxnState),
        }
    }

    /// Aborts what has been open for too long. Its producer is fenced: it does not know.
    pub(crate) fn expire(&mut self, now: Now) {
        for transaction in self.by_id.values_mut() {
            if matches!(&transaction.state, State::Ongoing(work) if now.at.saturating_duration_since(work.began.at) >= transaction.timeout) {
                transaction.fence(now, self.marker_delay);
            }
        }
    }

    /// What has ended and is to be marked now. From here on its producer can begin anew.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Ended> {
        let mut due = Vec::new();
        for transaction in self.by_id.values_mut() {
            if matches!(&transaction.state, State::Ending { markers_due, .. } if *markers_due <= now)
                && let State::Ending { is_commit, work, .. } = std::mem::replace(&mut transaction.state, State::Empty)
            {
                transaction.state = State::Complete { is_commit };
                due.push(Ended { producer: transaction.producer, is_commit, work });
            }
        }
        due
    }

    /// Whether an offset of the group is being changed by a transaction whose end is not known yet.
    pub(crate) fn is_pending(&self, group: &str, partition: &TopicPartition) -> bool {
        self.all_work().any(|work| work.offsets.get(group).is_some_and(|offsets| offsets.contains_key(partition)))
    }

    /// Offsets that are pending, of all groups.
    pub(crate) fn count_pending(&self) -> usize {
        self.all_work().flat_map(|work| work.offsets.values()).map(Offsets::len).sum()
    }

    /// Partitions that open transactions have touched, counted for each of them.
    pub(crate) fn count_touched(&self) -> usize {
        self.all_work().map(|work| work.partitions.len()).sum()
    }

    /// Forgets a topic that was deleted.
    pub(crate) fn forget_topic(&mut self, topic: &str) {
        for transaction in self.by_id.values_mut() {
            if let State::Ongoing(work) | State::Ending { work, .. } = &mut transaction.state {
                work.partitions.retain(|partition| partition.topic != topic);
                work.offsets.values_mut().for_each(|offsets| offsets.retain(|partition, _| partition.topic != topic));
            }
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Transaction> {
        self.by_id.get(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Transaction)> {
        self.by_id.iter().map(|(id, transaction)| (id.as_str(), transaction))
    }

    fn all_work(&self) -> impl Iterator<Item = &Work> {
        self.by_id.values().filter_map(Transaction::work)
    }

    fn of_producer(&mut self, id: &str, producer: Producer) -> Result<&mut Transaction, ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let transaction = self.by_id.get_mut(id).filter(|known| known.producer.id == producer.id).ok_or(ErrorCode::InvalidProducerIdMapping)?;
        if transaction.producer.epoch == producer.epoch { Ok(transaction) } else { Err(ErrorCode::ProducerFenced) }
    }

    /// Forgets the id that was not used for the longest time, if there is no room for another.
    fn make_room(&mut self) -> Result<(), ErrorCode> {
        if self.by_id.len() < self.max_ids {
            return Ok(());
        }
        let idle = self.by_id.iter().filter(|(_, transaction)| transaction.work().is_none()).min_by_key(|(_, transaction)| transaction.last_used);
        let id = idle.map(|(id, _)| id.clone()).ok_or(ErrorCode::PolicyViolation)?;
        self.by_id.remove(&id);
        Ok(())
    }
}

impl Transaction {
    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            State::Empty => "Empty",
            State::Ongoing(_) => "Ongoing",
            State::Ending { is_commit: true, .. } => "PrepareCommit",
            State::Ending { is_commit: false, .. } => "PrepareAbort",
            State::Complete { is_commit: true } => "CompleteCommit",
            State::Complete { is_commit: false } => "CompleteAbort",
        }
    }

    /// What is undecided.
    pub(crate) fn work(&self) -> Option<&Work> {
        match &self.state {
            State::Ongoing(work) | State::Ending { work, .. } => Some(work),
            State::Empty | State::Complete { .. } => None,
        }
    }

    /// Aborts with the next epoch, so that its producer can write no more.
    fn fence(&mut self, now: Now, marker_delay: Duration) {
        self.producer.epoch = self.producer.epoch.saturating_add(1);
        self.end(false, now, marker_delay);
    }

    fn end(&mut self, is_commit: bool, now: Now, marker_delay: Duration) {
        if let State::Ongoing(work) = std::mem::replace(&mut self.state, State::Empty) {
            self.state = State::Ending { is_commit, work, markers_due: now.at + marker_delay };
        }
    }
}

#[cfg(test)]
mod tests;
