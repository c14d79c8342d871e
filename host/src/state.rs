//! All that a pipeline has on disk: the states of its groups, and the records of the commit protocol, in one RocksDB database in one locked folder. This
//! module alone names rocksdb. It knows nothing of WebAssembly or Kafka: states are bytes, identities are text, a partition is a name.
//!
//! ```text
//!  operator ─► StepState ─► ShardState ── get ──► pending (this epoch) ► cache (committed, hot) ► database
//!                               │
//!                               └─ delta ─► Prepared ─► Store::prepare ─► (commit point) ─► Store::apply ─► StepState::applied
//! ```
//!
//! What an epoch changes lies in `pending` until it is applied, and nowhere else: to throw an epoch away is to drop that. [FORMAT.md](FORMAT.md) has every
//! byte on disk.

use std::path::PathBuf;

/// The version of RocksDB, which keeps the states.
pub const ROCKSDB_VERSION: &str = env!("WEIR_ROCKSDB_VERSION");

mod cache;
mod delta;
mod groups;
mod keys;
mod pending;
mod prepared;
mod scan;
mod segments;
mod shard;
mod store;
mod varint;
mod windows;

pub use delta::{Delta, Op};
pub use groups::{EpochChanges, ShardState, StateTotals, States, StepState};
pub use keys::{KeyEncoder, Keys, MalformedKey};
pub use prepared::{ClockRecord, Damage, EpochCounts, EpochRecord, EventTimeRecord, OutboxPart, PartitionRecord, Prepared, SourceRecord, StagedFile};
pub use scan::{Group, Scan};
pub use segments::{FAN_IN, IdentityId, MalformedSegments, Merge, Segment, Segments, SegmentsBuf, due};
pub use shard::{NEVER_US, Shard, ShardCount, StateKey};
pub use store::{Committed, Folder, FoundPrepared, Remaining, StateIdentity, Store, StoreConfig};

/// Why state could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process has the folder.
    #[error("state folder `{folder}` is in use by {holder}: stop that process, or give this pipeline its own `state_dir`")]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// `process 123`, if it has said so.
        holder: String,
    },
    /// The folder was written by another version of the format.
    #[error(
        "state folder `{folder}` has format `{found}`, expected `{expected}`: run the version of weir that made it, or start a new folder with `state_dir`"
    )]
    OtherFormat {
        /// The folder.
        folder: PathBuf,
        /// What the folder says.
        found: String,
        /// What this program writes.
        expected: &'static str,
    },
    /// The folder belongs to another pipeline.
    #[error("state folder `{folder}` belongs to pipeline `{found}`, not to `{expected}`: give each pipeline its own `state_dir`")]
    OtherPipeline {
        /// The folder.
        folder: PathBuf,
        /// Whose it is.
        found: String,
        /// Who asked.
        expected: String,
    },
    /// A write that had to be durable failed, now or before. What is on disk is not known; nothing is read or written any more.
    #[error("state folder `{folder}`: could not {during}: {reason}; the pipeline stops and does not try again: mend the disk and start it again")]
    Poisoned {
        /// The folder.
        folder: PathBuf,
        /// The write that failed.
        during: String,
        /// What the database said.
        reason: String,
    },
    /// Anything that the caller does not choose by.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}
