//! Where rows go. A sink takes an epoch's rows without showing them: into the open transaction, or, when it can do neither transactions nor staged files, into the
//! epoch's outbox, which is delivered after the commit point. It knows nothing of windows, plugins or state.

pub mod console;
pub mod dead_letter;
pub mod kafka;
pub mod letter_file;
pub mod memory;
pub mod records;

use std::time::Duration;

use crate::rows::Chunk;
use crate::source::{Bytes, Positions};

/// Records for one topic, encoded.
#[derive(Debug, Clone, Default)]
pub struct Encoded {
    /// The keys; empty when the sink has none.
    pub keys: Option<Bytes>,
    /// The values.
    pub values: Bytes,
    /// The records' timestamps in milliseconds; none, or -1: now, by the client.
    pub timestamps_ms: Option<Vec<i64>>,
    /// The headers: a name, and its value in each record.
    pub headers: Vec<(String, Bytes)>,
}

/// A record that the broker will never take: too large, a timestamp out of its range, a null key for a compacted topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undeliverable {
    /// The `send` call it belongs to, by the number that the call returned.
    pub batch: usize,
    /// The record's number in that batch.
    pub record: usize,
    /// The broker's word for it, such as `MessageSizeTooLarge`: the dead letter's code.
    pub code: String,
}

/// What a transaction call came to. Each is a case that the commit protocol answers differently.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// Another producer has the transactional id, or the transaction outlived its timeout. Final.
    #[error("fenced: {reason}")]
    Fenced {
        /// What the client says.
        reason: String,
    },
    /// The call may be made again: nothing is known to have happened or to have failed.
    #[error("no answer yet: {reason}")]
    Retriable {
        /// What the client says.
        reason: String,
    },
    /// The transaction must be aborted; the producer is still good.
    #[error("the transaction must be aborted: {reason}")]
    MustAbort {
        /// What the client says.
        reason: String,
    },
    /// The producer is of no use any more; whether a commit happened is unknown until a new one has asked.
    #[error("the producer failed: {reason}")]
    Failed {
        /// What the client says.
        reason: String,
    },
    /// The brokers turn the client away, which waiting does not mend: the pipeline stops. Whether a commit happened is unknown until the next start has asked.
    #[error("{reason}")]
    Denied {
        /// Why, and what to do.
        reason: String,
    },
}

/// The one transaction at a time that is an epoch's commit point: one producer and one transaction a pipeline, however many sinks the cluster has.
pub trait Transaction: Send {
    /// A new producer; fences every older one of this pipeline and ends its open transaction (`init_transactions`). Blocks until the broker has answered or
    /// `timeout` has passed.
    fn fence(&mut self, timeout: Duration) -> Result<(), TransactionError>;

    /// The marker's metadata text as it stands, read_uncommitted. Not final: it is asked before the fence, where a read_committed answer would wait for the
    /// transaction of a process that died with its marker in it, until that times out.
    fn peek_marker(&mut self, timeout: Duration) -> Result<Option<String>, TransactionError>;

    /// The marker's metadata text, read_committed; none: the group has no offset there.
    fn marker(&mut self, timeout: Duration) -> Result<Option<String>, TransactionError>;

    /// Whether every output topic is empty or missing (end offset 0), the dead letters' included.
    fn untouched(&mut self, timeout: Duration) -> Result<bool, TransactionError>;

    /// Opens a transaction.
    fn begin(&mut self) -> Result<(), TransactionError>;

    /// Sends records inside it; blocks while the client's queue is full. Returns the batch's number within the transaction.
    fn send(&mut self, topic: &str, records: Encoded) -> Result<usize, TransactionError>;

    /// Waits until every record is acknowledged or has failed for good.
    fn flush(&mut self, timeout: Duration) -> Result<Vec<Undeliverable>, TransactionError>;

    /// Puts marker and positions into the transaction. May be called again after `Retriable`.
    fn mark(&mut self, marker: &Marker, positions: &Positions, timeout: Duration) -> Result<(), TransactionError>;

    /// Commits the transaction, for the first time or, after `Retriable`, again. `Retriable` and `Failed` leave the outcome unknown.
    fn commit(&mut self, timeout: Duration) -> Result<(), TransactionError>;

    /// Aborts the open transaction.
    fn abort(&mut self, timeout: Duration) -> Result<(), TransactionError>;
}

/// What a committed epoch leaves in the group `weir-epoch.<pipeline>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The epoch, as the offset.
    pub epoch: u64,
    /// The identity, as the metadata.
    pub identity: String,
}

/// A sink without transactions: its encoded rows are kept with the epoch and delivered after the commit point.
pub trait Outbox: Send {
    /// The rows of an epoch as one part of its outbox. Empty: nothing to deliver.
    ///
    /// # Errors
    /// When a row can't be encoded.
    fn encode(&self, epoch: u64, chunks: &[Chunk]) -> anyhow::Result<Vec<u8>>;

    /// Delivers a part. Called again with the same token when it is not known whether an earlier call arrived.
    ///
    /// # Errors
    /// When the receiver did not take it.
    fn deliver(&mut self, token: &Token, part: &[u8]) -> Result<(), DeliveryError>;

    /// A name for progress and logs.
    fn description(&self) -> String;

    /// Whether the receiver drops a token that it has seen: exactly-once; otherwise at-least-once.
    fn deduplicates(&self) -> bool;
}

/// Why a receiver did not take a part of an outbox.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// It takes nothing more in the life of this process: the run is over, and the next start delivers the part.
    #[error("nobody reads {receiver} any more")]
    Gone {
        /// Who.
        receiver: &'static str,
    },
    /// It may take it when it is asked again.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// What a receiver deduplicates by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token {
    /// The pipeline's name.
    pub pipeline: String,
    /// The lineage of its state folder: without it a pipeline that was started anew would repeat old tokens, and its rows would be dropped.
    pub lineage: String,
    /// The epoch.
    pub epoch: u64,
    /// The part within the epoch's outbox.
    pub part: u32,
}
