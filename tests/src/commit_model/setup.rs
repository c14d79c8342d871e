//! What is explored: a pipeline, what it may meet with, and perhaps a rule that is left out.

use weir::epoch::recovery::CommitPoint;

/// What is explored: a pipeline, its bad luck, and perhaps a rule that is left out.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Where epochs become fact.
    pub point: CommitPoint,
    /// A second Kafka sink: its control records are written at another time.
    pub two_sinks: bool,
    /// A file sink: staged and final files, without their manifest.
    pub files: bool,
    /// A sink that is neither in the transaction nor a file.
    pub outbox: Outbox,
    /// What else there is.
    pub second: Second,
    /// Epochs until the world may end.
    pub epochs: u64,
    /// Source rows in all.
    pub rows: u32,
    /// Source rows that an epoch may take.
    pub rows_per_epoch: u32,
    /// SIGKILLs.
    pub kills: u8,
    /// Times that the group's offsets expire.
    pub expiries: u8,
    /// Failed writes of PREPARED.
    pub disk_errors: u8,
    /// Idle pipelines may renew their marker.
    pub renewal: bool,
    /// An EndTxn may arrive in a later transaction of the same producer, as brokers before KIP-890 let it.
    pub late_commit: bool,
    /// A rule that the surroundings do not keep.
    pub without: Option<Rule>,
}

/// A sink outside of the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbox {
    /// None.
    None,
    /// Its receiver knows tokens.
    Dedup,
    /// Its receiver takes what comes: at least once.
    Plain,
}

/// The second process or the second folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Second {
    /// None.
    None,
    /// A second process on the same folder.
    SameFolder,
    /// A second process on a copy, made at any moment; with the first one dead also an older folder, restored.
    Copy,
    /// A copy that takes the store and the PREPARED record at different moments.
    TornCopy,
    /// A second process on an empty folder.
    Empty,
    /// The operator deletes the folder and begins a new life with `--new`.
    Reset,
}

/// Rules to be left out, each at the boundary between protocol and surroundings: the protocol itself is never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A lock is always granted.
    Lock,
    /// The look before the fence sees no marker.
    Peek,
    /// The fence is answered at once, and happens only after the marker has been read.
    FenceBeforeAsking,
    /// The marker is said to be equal to PREPARED, or else to COMMITTED.
    MarkerEquality,
    /// Attempts count from 1 in each process.
    RandomAttempt,
    /// Attempts count, and the checksum is missing from identities.
    AttemptAndChecksum,
    /// After a commit without an answer the marker is said to be COMMITTED's.
    AskWhenUnknown,
    /// The outbox is said to be delivered once it is sent.
    ForwardBeforeNext,
    /// The marker is written by itself, after the commit.
    MarkerInTransaction,
    /// PREPARED is written only after the commit.
    PrepareBeforeCommit,
    /// The outbox is sent when the epoch is staged.
    OutboxAfterCommit,
    /// A torn PREPARED is said to be whole.
    RecordChecksum,
    /// A failed write of PREPARED is said to have worked.
    Poison,
    /// The first marker is said to be committed without being written.
    FirstMarker,
    /// Sinks are said to be untouched.
    UntouchedSinks,
    /// PREPARED's base is said to be COMMITTED.
    Base,
    /// COMMITTED without its PREPARED is said to be FORWARDED.
    ForwardedNeedsRecord,
    /// FORWARDED is forgotten.
    ForwardedMark,
    /// The producer of a repeated commit goes on, though it is said to be a new one.
    FreshProducerAfterRepeat,
    /// An abort without an answer is said to be answered.
    FreshProducerAfterAbort,
    /// Not the named staged file is deleted, but all of the lineage.
    DeleteOnlyNamed,
    /// Tokens carry no lineage.
    LineageInToken,
    /// The state delta is added, not set.
    AbsoluteDelta,
}
