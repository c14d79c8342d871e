//! The database of a pipeline and the records of the commit protocol in it. It does what it is told, in one durable write each, and decides nothing: which
//! record follows which is the protocol's affair.
//!
//! Every write here is synced before it returns. The first that fails poisons the store: what is on disk is not known then, so nothing is read or written any
//! more, and the next start finds out.

mod database;
mod folder;
mod reader;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, anyhow};
use rocksdb::{DB, WriteBatch, WriteOptions};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::StateError;
use super::delta::Op;
use super::prepared::{Damage, EpochRecord, Prepared};
use super::segments::IdentityId;
use super::shard::ShardCount;
use folder::FolderLock;
pub(super) use reader::StepReader;

const FOLDER: &str = "folder";
const PREPARED: &str = "prepared";
const COMMITTED: &str = "committed";
const FORWARDED: &str = "forwarded";
const IDENTITIES: &str = "state-identities";

/// What a store is opened for.
#[derive(Debug, Clone, Copy)]
pub struct StoreConfig<'a> {
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// For a new folder; an old one keeps what it has.
    pub shards: ShardCount,
    /// The ids of the stateful steps.
    pub steps: &'a [&'a str],
}

/// The state of one pipeline, and the lock on its folder, until it is dropped.
#[derive(Debug)]
pub struct Store {
    // IMPORTANT: before the lock, so that it is closed before another process may open it.
    db: DB,
    path: PathBuf,
    lineage: Uuid,
    shards: ShardCount,
    /// By their numbers.
    identities: Mutex<Vec<StateIdentity>>,
    poison: OnceLock<Poison>,
    _lock: FolderLock,
}

/// The records of the commit protocol, as they are on disk.
#[derive(Debug)]
pub struct Folder {
    /// Made with the folder.
    pub lineage: Uuid,
    /// COMMITTED: the epoch that the states are at; none: not even the beginning.
    pub committed: Option<Committed>,
    /// PREPARED: what the last epoch that got so far has decided.
    pub prepared: FoundPrepared,
    /// FORWARDED: the identity of the last epoch with nothing left to do.
    pub forwarded: Option<String>,
}

/// The last epoch that has been applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Committed {
    /// `lineage/epoch/attempt/checksum`, or `lineage/0` in the beginning.
    pub identity: String,
    /// What it decided: the next epoch begins there.
    pub record: EpochRecord,
}

/// The PREPARED record as it was found.
#[derive(Debug)]
pub enum FoundPrepared {
    /// There is none.
    Absent,
    /// Something is there, and it is not what was written.
    Damaged(Damage),
    /// As it was written.
    Whole(Box<Prepared>),
}

/// What is left to do for an epoch once its states are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remaining {
    /// Nothing: no file, no manifest, no outbox. FORWARDED is written with COMMITTED, which saves a sync.
    Nothing,
    /// `forwarded` will be called when it is done.
    Parts,
}

/// What a plugin says about the bytes of its states; states of two identities are not merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateIdentity {
    /// Rises when the meaning of the bytes changes.
    pub version: u32,
    /// What else the bytes depend on.
    pub shape: String,
}

/// What is written when a folder is made, and never again.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Made {
    pipeline: String,
    lineage: String,
    shards: u16,
}

#[derive(Debug)]
struct Poison {
    during: String,
    reason: String,
}

impl Store {
    /// Locks the folder and opens what is in it; makes both if there is nothing.
    pub fn open(path: &Path, config: &StoreConfig<'_>) -> Result<Self, StateError> {
        let lock = FolderLock::take(path)?;
        folder::check_format(path)?;
        let db = database::open(&path.join("db"), config.steps).with_context(|| format!("open state at `{}`", path.display()))?;
        let mut store = Self {
            db,
            path: path.to_owned(),
            lineage: Uuid::new_v4(),
            shards: config.shards,
            identities: Mutex::default(),
            poison: OnceLock::new(),
            _lock: lock,
        };
        store.recognise(config.pipeline)?;
        store.identities = Mutex::new(store.record(IDENTITIES)?.unwrap_or_default());
        Ok(store)
    }

    /// The folder's life: a UUID, made with it.
    #[must_use]
    pub fn lineage(&self) -> Uuid {
        self.lineage
    }

    /// How many shards every step of the pipeline has.
    #[must_use]
    pub fn shards(&self) -> ShardCount {
        self.shards
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The records of the commit protocol.
    pub fn read(&self) -> Result<Folder, StateError> {
        let prepared = match self.bytes(PREPARED)?.map(Prepared::decode) {
            None => FoundPrepared::Absent,
            Some(Err(damage)) => FoundPrepared::Damaged(damage),
            Some(Ok(prepared)) => FoundPrepared::Whole(Box::new(prepared)),
        };
        Ok(Folder { lineage: self.lineage, committed: self.record(COMMITTED)?, prepared, forwarded: self.record(FORWARDED)? })
    }

    /// COMMITTED(0): a life begins, at the positions of `record`, so that `latest` does not move with a restart (C-3). It has nothing to forward.
    pub fn begin(&self, record: &EpochRecord) -> Result<(), StateError> {
        let committed = Committed { identity: format!("{}/0", self.lineage), record: record.clone() };
        self.put("begin a lineage", COMMITTED, &json(&committed)?)
    }

    /// PREPARED, in place of the one before.
    pub fn prepare(&self, prepared: &Prepared) -> Result<(), StateError> {
        self.put(&format!("prepare epoch {}", prepared.record().epoch), PREPARED, prepared.as_bytes())
    }

    /// The epoch's states and COMMITTED, in one write. Again and again if need be: values are absolute.
    pub fn apply(&self, prepared: &Prepared, remaining: Remaining) -> Result<(), StateError> {
        let epoch = prepared.record().epoch;
        let mut batch = WriteBatch::default();
        for (step, ops) in prepared.deltas() {
            let family = self
                .db
                .cf_handle(&database::family(step))
                .with_context(|| format!("epoch {epoch} has states of step `{step}`, which state was not opened with"))?;
            for op in ops {
                match op {
                    Op::Put { key, value } => batch.put_cf(family, key, value),
                    Op::Delete { key } => batch.delete_cf(family, key),
                    Op::DeleteRange { from, to } => batch.delete_range_cf(family, from, to),
                }
            }
        }
        let committed = Committed { identity: prepared.identity(), record: prepared.record().clone() };
        batch.put(COMMITTED, json(&committed)?);
        if remaining == Remaining::Nothing {
            batch.put(FORWARDED, json(&committed.identity)?);
        }
        self.write(&format!("apply epoch {epoch}"), batch)
    }

    /// FORWARDED: nothing is left to do for this epoch.
    pub fn forwarded(&self, identity: &str) -> Result<(), StateError> {
        self.put(&format!("record that `{identity}` is forwarded"), FORWARDED, &json(&identity)?)
    }

    /// Forgets PREPARED: its epoch has not happened.
    pub fn drop_prepared(&self) -> Result<(), StateError> {
        let mut batch = WriteBatch::default();
        batch.delete(PREPARED);
        self.write("drop the prepared epoch", batch)
    }

    /// The number of a state identity; a new one is durable before it is returned, so no state names one that is not there.
    pub fn intern(&self, identity: &StateIdentity) -> Result<IdentityId, StateError> {
        let mut known = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
        let number = match known.iter().position(|other| other == identity) {
            Some(number) => number,
            None => {
                let mut with_new = known.clone();
                with_new.push(identity.clone());
                self.put("write a state identity", IDENTITIES, &json(&with_new)?)?;
                *known = with_new;
                known.len() - 1
            }
        };
        Ok(IdentityId(u32::try_from(number).context("more than 2^32 state identities")?))
    }

    /// The state identity with this number.
    #[must_use]
    pub fn identity(&self, id: IdentityId) -> Option<StateIdentity> {
        let known = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id.0 as usize).cloned()
    }

    /// Reads what the folder was made for, or writes it into a new one.
    fn recognise(&mut self, pipeline: &str) -> Result<(), StateError> {
        let path = self.path.display();
        let Some(made) = self.record::<Made>(FOLDER)? else {
            if self.bytes(COMMITTED)?.is_some() || self.bytes(PREPARED)?.is_some() {
                return Err(anyhow!("state folder `{path}` has epochs but not the record `{FOLDER}`: it is damaged; restore a whole copy").into());
            }
            let made = Made { pipeline: pipeline.to_owned(), lineage: self.lineage.to_string(), shards: self.shards.get() };
            return self.put("make the state folder", FOLDER, &json(&made)?);
        };
        if made.pipeline != pipeline {
            return Err(StateError::OtherPipeline { folder: self.path.clone(), found: made.pipeline, expected: pipeline.to_owned() });
        }
        let Made { lineage, shards, .. } = made;
        let read_lineage = Uuid::parse_str(&lineage).with_context(|| format!("state folder `{path}`: `{lineage}` is not a lineage: expected a UUID"))?;
        let read_shards = ShardCount::new(shards).with_context(|| format!("state folder `{path}`: {shards} shards, expected 1 to {}", ShardCount::MAX))?;
        (self.lineage, self.shards) = (read_lineage, read_shards);
        Ok(())
    }

    fn record<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StateError> {
        let Some(bytes) = self.bytes(key)? else { return Ok(None) };
        Ok(Some(
            serde_json::from_slice(&bytes).with_context(|| format!("record `{key}` of state folder `{}`: expected this format's JSON", self.path.display()))?,
        ))
    }

    fn bytes(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.refuse_if_poisoned()?;
        Ok(self.db.get(key).with_context(|| format!("read record `{key}` of state folder `{}`", self.path.display()))?)
    }

    fn put(&self, during: &str, key: &str, value: &[u8]) -> Result<(), StateError> {
        let mut batch = WriteBatch::default();
        batch.put(key, value);
        self.write(during, batch)
    }

    /// The one place that writes: durable when it returns, or never again.
    fn write(&self, during: &str, batch: WriteBatch) -> Result<(), StateError> {
        self.refuse_if_poisoned()?;
        let mut options = WriteOptions::default();
        options.set_sync(true);
        // Deltas are sorted: each key is looked for beside the one before.
        options.set_memtable_insert_hint_per_batch(true);
        let Err(error) = self.db.write_opt(batch, &options) else { return Ok(()) };
        // Of two threads that fail at once the first is remembered; that is enough to refuse.
        self.poison.get_or_init(|| Poison { during: during.to_owned(), reason: error.to_string() });
        self.refuse_if_poisoned()
    }

    fn refuse_if_poisoned(&self) -> Result<(), StateError> {
        match self.poison.get() {
            None => Ok(()),
            Some(Poison { during, reason }) => Err(StateError::Poisoned { folder: self.path.clone(), during: during.clone(), reason: reason.clone() }),
        }
    }
}

fn json(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    serde_json::to_vec(value).context("write a state record as JSON")
}

#[cfg(test)]
mod tests;
