//! The vocabulary between protocol and driver: what is to be done, and what came of it. This module owns the words; the
//! order is in `commit.rs`.

use std::time::Duration;

use super::Stop;
use super::identity::{Attempt, Checksum, Identity, Lineage, Marker};
use crate::epoch::Epoch;
use crate::epoch::recovery::Facts;

/// One step for the driver. Each is done, and durable where it writes, before its outcome is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Lock the state folder, and with [`CommitPoint::Manifest`] the output folder too; make a lineage if it has none.
    Lock,
    /// Read the marker as it stands, and the folder.
    ///
    /// IMPORTANT: read_uncommitted. A read_committed read waits for the open transaction of a process that was killed, until
    /// its timeout; only the fence that comes next ends it.
    Peek,
    /// Take a new producer and call `init_transactions`: others are fenced, their open transaction ends.
    Fence,
    /// Read the marker (read_committed) or the manifest's last line, and the folder.
    Ask,
    /// Delete the staged files of an attempt that never happened. What is not there is deleted.
    DeleteStaged {
        /// The attempt, as its PREPARED record names it.
        discarded: Identity,
        /// The epoch to go on from.
        committed: Marker,
    },
    /// Delete the PREPARED record.
    DropPrepared {
        /// The epoch to go on from.
        committed: Marker,
    },
    /// Write COMMITTED(0).
    WriteFirst(Lineage),
    /// Wait for the trigger, for the day's renewal, or for the request to stop.
    Wait {
        /// The last epoch.
        committed: Marker,
    },
    /// Begin a transaction, plan and make the epoch, and stage its rows in every sink.
    Stage(Draft),
    /// Write the PREPARED record.
    Prepare(Draft),
    /// Abort the transaction, and delete what this attempt has staged.
    Abort(Draft),
    /// Put the marker and the source offsets into the transaction. It is open for an epoch; for any other purpose begin one.
    Mark(Purpose),
    /// Commit the transaction, for the first time or again.
    Commit(Purpose),
    /// A part of FORWARD. Each can be repeated.
    Forward(Part, Identity),
    /// The end. Nothing that is observed after it counts.
    Stop(Stop),
}

/// An epoch that is being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Draft {
    /// The COMMITTED that it is made on.
    pub base: Marker,
    /// Which try it is.
    pub attempt: Attempt,
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// `lineage/0` before epoch 1.
    Begin(Lineage),
    /// An epoch.
    Epoch {
        /// Its PREPARED record.
        identity: Identity,
        /// The COMMITTED that it was made on.
        base: Marker,
    },
    /// The marker of the last epoch once more, because brokers forget the offsets of a group without members.
    Renew(Marker),
    /// The marker that the operator vouches for.
    Restore(Marker),
}

/// The parts of FORWARD, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The state delta and COMMITTED, in one write batch.
    Apply,
    /// Rename the staged files, unless the final name is there; fsync the folder.
    Publish,
    /// Cut a torn last line of the manifest and append the epoch's, unless it is listed; fsync.
    List,
    /// Deliver the outbox under the epoch's token.
    Deliver,
    /// Write FORWARDED.
    Finish,
}

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is done; a commit or an abort has been answered.
    Done,
    /// `Lock`: somebody else holds the folder.
    Held,
    /// `Peek`, `Ask`: what was read.
    Facts(Box<Facts>),
    /// `Wait`: an epoch is due. The attempt is a fresh random number.
    EpochDue(Attempt),
    /// `Wait`: the marker and the offsets are a day old.
    RenewalDue,
    /// `Wait`: the pipeline is asked to stop.
    StopAsked,
    /// `Prepare`: the record is durable and has this checksum.
    Prepared(Checksum),
    /// `Stage`, `Mark`: this attempt is given up; the epoch is made again.
    GivenUp,
    /// `Commit`: no answer yet, and the client says that the call may be repeated.
    Retriable,
    /// Nobody knows whether it has happened. For a commit also the driver's decision not to repeat it any more.
    NoAnswer,
    /// Another producer has taken over, or the broker has ended the transaction.
    Fenced {
        /// How long the transaction had been open, if one was.
        transaction_age: Option<Duration>,
    },
    /// A durable write has failed.
    WriteFailed,
}

impl Action {
    /// What it does, for logs and messages: `about to ...`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Lock => "lock the state folder",
            Self::Peek => "read the marker before the fence",
            Self::Fence => "fence other producers",
            Self::Ask => "read the marker",
            Self::DeleteStaged { .. } => "delete staged files",
            Self::DropPrepared { .. } => "drop the PREPARED record",
            Self::WriteFirst(_) => "write COMMITTED(0)",
            Self::Wait { .. } => "wait for the trigger",
            Self::Stage(_) => "stage an epoch",
            Self::Prepare(_) => "write the PREPARED record",
            Self::Abort(_) => "abort an epoch",
            Self::Mark(_) => "put the marker into the transaction",
            Self::Commit(_) => "commit the transaction",
            Self::Forward(Part::Apply, _) => "apply the state",
            Self::Forward(Part::Publish, _) => "publish the files",
            Self::Forward(Part::List, _) => "write the manifest",
            Self::Forward(Part::Deliver, _) => "deliver the outbox",
            Self::Forward(Part::Finish, _) => "write FORWARDED",
            Self::Stop(_) => "stop",
        }
    }

    /// A durable write is part of it.
    pub(super) const fn writes(&self) -> bool {
        match self {
            Self::Lock | Self::DeleteStaged { .. } | Self::DropPrepared { .. } | Self::WriteFirst(_) | Self::Stage(_) | Self::Prepare(_) | Self::Abort(_) => {
                true
            }
            Self::Forward(part, _) => !matches!(part, Part::Deliver),
            Self::Peek | Self::Fence | Self::Ask | Self::Wait { .. } | Self::Mark(_) | Self::Commit(_) | Self::Stop(_) => false,
        }
    }
}

impl Draft {
    /// The life that the epoch belongs to.
    #[must_use]
    pub const fn lineage(&self) -> Lineage {
        self.base.lineage()
    }

    /// Its number.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.base.epoch().next()
    }

    /// Its name, once its record has a checksum.
    #[must_use]
    pub const fn identity(&self, checksum: Checksum) -> Identity {
        Identity { lineage: self.lineage(), epoch: self.epoch(), attempt: self.attempt, checksum }
    }
}

impl Purpose {
    /// The marker that the transaction carries.
    #[must_use]
    pub const fn marker(&self) -> Marker {
        match self {
            Self::Begin(lineage) => Marker::Genesis(*lineage),
            Self::Epoch { identity, .. } => Marker::Epoch(*identity),
            Self::Renew(marker) | Self::Restore(marker) => *marker,
        }
    }
}

impl Part {
    pub(super) const fn next(self) -> Option<Self> {
        match self {
            Self::Apply => Some(Self::Publish),
            Self::Publish => Some(Self::List),
            Self::List => Some(Self::Deliver),
            Self::Deliver => Some(Self::Finish),
            Self::Finish => None,
        }
    }
}
