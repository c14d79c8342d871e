//! Why a start is refused, in words for the operator: both values and what to do. This module owns the texts; the rules are
//! in `recovery.rs`.

use std::fmt;

use thiserror::Error;

use super::Prepared;
use crate::epoch::commit::{Identity, Lineage, Marker};

/// Why a start goes no further. Each says both values and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
pub enum Refusal {
    /// The marker is of another life.
    #[error(
        "the pipeline's marker is `{marker}`, but the state folder belongs to lineage `{lineage}`: start it with the state \
         folder of lineage `{}`, or with an empty one and `weir run --new` (every row is then delivered again)",
        marker.lineage()
    )]
    Foreign {
        /// As it was read.
        marker: Marker,
        /// The folder's.
        lineage: Lineage,
    },
    /// The folder is new, the pipeline is not.
    #[error(
        "the pipeline's marker is `{marker}`, but the state folder is new (lineage `{lineage}`, nothing committed): bring back \
         the state folder of lineage `{}`, or begin a new life with `weir run --new` (every row is then delivered again)",
        marker.lineage()
    )]
    NewFolder {
        /// As it was read.
        marker: Marker,
        /// The folder's.
        lineage: Lineage,
    },
    /// The folder is new and there is no marker, yet somebody wrote to the sinks.
    #[error(
        "there is no marker and the state folder is new (lineage `{lineage}`, nothing committed), but the sinks have been \
         written to: a marker expires 7 days after the last run; if this pipeline ran before, bring back its state folder and \
         run `weir recover --assume`; if it did not, begin with `weir run --new`"
    )]
    SinksTouched {
        /// The folder's.
        lineage: Lineage,
    },
    /// The folder has a past and the marker is gone.
    #[error(
        "there is no marker, but the state folder has committed {} and prepared {prepared}: markers expire 7 days after the \
         last run; look into the output for the rows of the prepared epoch and run `weir recover --assume committed` if they \
         are there, `weir recover --assume aborted` if they are not",
        Known(*committed)
    )]
    MarkerMissing {
        /// The folder's COMMITTED.
        committed: Option<Marker>,
        /// The folder's PREPARED.
        prepared: Prepared,
    },
    /// Another copy of the folder went on.
    #[error(
        "the pipeline's marker is `{marker}`, but the state folder ends at {}: another copy of this folder has gone on; start \
         from that copy; if it is lost, use an empty state folder and `weir run --new` (every row is then delivered again)",
        Known(*last)
    )]
    Overtaken {
        /// As it was read.
        marker: Marker,
        /// The last epoch that the folder knows of.
        last: Option<Marker>,
    },
    /// The marker is of this life and names neither of the folder's two records.
    #[error(
        "the pipeline's marker is `{marker}`, but the state folder has committed {} and prepared {prepared}: another copy of \
         this folder has gone on, or the marker was set back; start from the folder whose epoch the marker names; if it is \
         lost, use an empty state folder and `weir run --new` (every row is then delivered again)",
        Known(*committed)
    )]
    Differs {
        /// As it was read.
        marker: Marker,
        /// The folder's COMMITTED.
        committed: Option<Marker>,
        /// The folder's PREPARED.
        prepared: Prepared,
    },
    /// PREPARED was made on a COMMITTED that the folder does not have.
    #[error(
        "the PREPARED record `{identity}` was made on `{base}`, but the state folder has committed {}: its files are not of \
         one moment; restore all of the state folder from one snapshot",
        Known(*committed)
    )]
    NotOneMoment {
        /// The folder's PREPARED.
        identity: Identity,
        /// Its base.
        base: Marker,
        /// The folder's COMMITTED.
        committed: Option<Marker>,
    },
    /// The files and the outbox of COMMITTED may not be out, and the record that holds them is gone.
    #[error(
        "the state folder has committed `{committed}`, which is not FORWARDED, but prepared {prepared}: what was left to \
         deliver is lost, its files are not of one moment; restore all of the state folder from one snapshot"
    )]
    NotForwarded {
        /// The folder's COMMITTED.
        committed: Marker,
        /// The folder's PREPARED.
        prepared: Prepared,
    },
    /// A marker that `--assume` would replace.
    #[error(
        "`--assume` would write the marker `{assumed}`, but the marker is there and is `{marker}`: nothing has to be assumed; \
         run `weir run`, which decides by it"
    )]
    MarkerPresent {
        /// As it was read.
        marker: Marker,
        /// What the operator's words mean.
        assumed: Marker,
    },
    /// `--assume committed` without an epoch in doubt.
    #[error(
        "`--assume committed` needs a whole PREPARED record, but the state folder has prepared {prepared} and committed \
         `{committed}`: no commit was asked for after that; run `weir recover --assume aborted`"
    )]
    NothingPrepared {
        /// The folder's COMMITTED.
        committed: Marker,
        /// The folder's PREPARED.
        prepared: Prepared,
    },
    /// `--assume` on a folder without a past.
    #[error(
        "`weir recover --assume` needs a state folder with a past, but this one (lineage `{lineage}`) has committed nothing and \
         prepared {prepared}: bring back the right state folder, or begin with `weir run`"
    )]
    NothingCommitted {
        /// The folder's.
        lineage: Lineage,
        /// The folder's PREPARED.
        prepared: Prepared,
    },
    /// `--assume` without Kafka.
    #[error(
        "`weir recover --assume` writes a marker into Kafka, but this pipeline has no Kafka: its PREPARED record is the commit \
         point; run `weir run`"
    )]
    NoTransaction,
    /// The output folder belongs to somebody else.
    #[error(
        "the manifest of the output folder ends with `{marker}`, but the state folder is new (lineage `{lineage}`, nothing \
         committed): bring back the state folder of lineage `{}`, or give the file sink an empty output folder",
        marker.lineage()
    )]
    OutputInUse {
        /// The last line of the manifest.
        marker: Marker,
        /// The folder's.
        lineage: Lineage,
    },
}

/// COMMITTED in a message.
struct Known(Option<Marker>);

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("nothing"),
            Some(marker) => write!(f, "`{marker}`"),
        }
    }
}
