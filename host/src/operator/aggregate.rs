//! Rows in, one row a window and key out. Runs of rows are folded side by side into fresh partial states; states, not rows, go to the shards of their keys; each shard
//! merges them with what it has stored, closes what the watermark has passed, and says what is to be emitted; `finish` makes rows of that.
//!
//! ```text
//!  chunks ─► late rows out ─► window, key ─► accumulate ─► partial states ─┬─► shard 0: merge with stored ─► put ─► emit ─┐
//!            (group.rs)                                                     └─► shard n: ...                              ─┴─► finish ─► rows
//! ```

mod emit;
mod fold;

use std::sync::Arc;

use anyhow::Context as _;
use arrow_schema::SchemaRef;
use rayon::prelude::*;

use super::EpochTime;
use super::group::{self, Partial};
use crate::epoch::clock::{Busy, Stopwatch};
use crate::observe::progress::StateOperator;
use crate::plugin::{self, StateIdentity};
use crate::rows::Chunk;
use crate::state::{Delta, IdentityId, KeyEncoder, StateError, StepState, Store};
use crate::time::window::Tumbling;

use fold::{Emitted, ShardWork};

/// How much memory the hot groups of a step may take. More would not fit beside an epoch in the memory that the whole process is to stay in; less, and a pipeline with
/// many groups reads them from the database in every epoch, at 3 us each.
const CACHE_BYTES: usize = 64 << 20;

/// When a group's row comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputMode {
    /// Once, when the watermark has passed its window's end (O-1).
    Append,
    /// In every epoch that changes it (O-2).
    Update,
    /// In every epoch; nothing is late, and nothing is ever closed (O-3, L-4).
    Complete,
}

/// How rows find their group.
#[derive(Debug)]
pub(super) struct Grouping {
    /// The column of event times.
    pub(super) time: usize,
    /// What is taken off a time before it is placed: the end of a window is no moment of it, so the last microsecond before stands for it (T-3).
    pub(super) time_shift_us: i64,
    /// The windows.
    pub(super) window: Tumbling,
    /// Makes bytes of the key columns, and columns of bytes.
    pub(super) encoder: KeyEncoder,
    /// The input columns that are looked at, here or by the plugin.
    pub(super) needs: Vec<bool>,
}

/// A step that calls an aggregate.
pub struct Aggregate {
    id: String,
    function: plugin::Aggregate,
    grouping: Grouping,
    mode: OutputMode,
    output: SchemaRef,
    max_state_bytes: usize,
    store: Arc<Store>,
    /// Opened after recovery: before it, the state on disk may be an epoch behind.
    state: Option<StepState>,
    identity: IdentityId,
    busy: Busy,
}

/// What an aggregate is made with.
pub struct AggregateParts {
    /// The step's id: its states are stored under it.
    pub id: String,
    /// The opened function.
    pub function: plugin::Aggregate,
    /// The rows that come in.
    pub input: SchemaRef,
    /// The columns of the key, by number.
    pub key: Vec<usize>,
    /// The column of event times.
    pub time: usize,
    /// Whether that is the end of an earlier window.
    pub time_is_window_end: bool,
    /// The windows.
    pub window: Tumbling,
    /// When rows come out.
    pub mode: OutputMode,
    /// The rows that go out: window, keys, what `finish` makes.
    pub output: SchemaRef,
    /// How large one group's state may be.
    pub max_state_bytes: usize,
    /// Where the states are.
    pub store: Arc<Store>,
}

/// What an aggregate made of an epoch's rows.
#[derive(Debug)]
pub struct Aggregated {
    /// The rows, in the order of their windows' ends, then keys.
    pub chunks: Vec<Chunk>,
    /// Rows that came too late for their window.
    pub late_rows: u64,
    /// For the progress record.
    pub operator: StateOperator,
    /// Microseconds of all threads together.
    pub busy_us: u64,
}

impl Aggregate {
    /// A step over the states in a store.
    ///
    /// # Errors
    /// When a key column has a type that can't be a key, or the state's identity can't be written.
    pub fn new(parts: AggregateParts) -> anyhow::Result<Self> {
        let AggregateParts { id, function, input, key, time, time_is_window_end, window, mode, output, max_state_bytes, store } = parts;
        let encoder = KeyEncoder::new(&input, &key)?;
        let mut needs = vec![false; input.fields().len()];
        for column in key.iter().chain(function.reads()).chain([&time]) {
            *needs.get_mut(*column).with_context(|| format!("there is no column {column}"))? = true;
        }
        let identity = store.intern(&stored_identity(function.state_identity()))?;
        let grouping = Grouping { time, time_shift_us: i64::from(time_is_window_end), window, encoder, needs };
        Ok(Self { id, function, grouping, mode, output, max_state_bytes, store, state: None, identity, busy: Busy::default() })
    }

    /// Runs an epoch's rows. What it changes is pending until [`Aggregate::commit`] or [`Aggregate::abort`].
    ///
    /// # Errors
    /// What the plugin says after a second try, or the store.
    pub fn run(&mut self, time: &EpochTime, chunks: &[Chunk]) -> anyhow::Result<Aggregated> {
        let time = &match self.mode {
            OutputMode::Complete => EpochTime { late: None, ..*time }, // L-4
            OutputMode::Append | OutputMode::Update => *time,
        };
        let mut watch = Stopwatch::start();
        let reads: Vec<usize> = self.grouping.needs.iter().enumerate().filter_map(|(column, needed)| needed.then_some(column)).collect();
        let units = group::units(chunks, &reads);
        let folded: Vec<anyhow::Result<Partial>> = units
            .into_par_iter()
            .map(|unit| {
                let chunks = chunks.get(unit).unwrap_or_default();
                let named = || chunks.first().map_or_else(String::new, super::transform::chunk_name);
                self.busy.with(|| group::fold(&self.grouping, &self.function, time, chunks)).with_context(named)
            })
            .collect();
        let partials: Vec<Partial> = folded.into_iter().collect::<anyhow::Result<_>>()?;
        let emitted = self.merge_shards(time, &partials)?;
        let mut operator = StateOperator { all_updates_time_ms: watch.lap_us() / 1_000, ..StateOperator::default() };
        let chunks = self.emit(time, emitted)?;
        self.describe(&mut operator, &partials);
        operator.all_updates_time_ms += watch.lap_us() / 1_000;
        Ok(Aggregated { chunks, late_rows: partials.iter().map(|partial| partial.late_rows).sum(), operator, busy_us: self.busy.take_us() })
    }

    /// Whether an epoch without records would bring rows, once the watermark has moved (B-4).
    #[must_use]
    pub fn closes(&self) -> bool {
        self.mode != OutputMode::Complete
    }

    /// What the plugin has cost so far.
    #[must_use]
    pub fn stats(&self) -> plugin::Stats {
        self.function.stats()
    }

    /// What the epoch changes, for its PREPARED record.
    #[must_use]
    pub fn delta(&self) -> Delta {
        self.state.as_ref().map(StepState::delta).unwrap_or_default()
    }

    /// The store has applied the epoch's changes.
    pub fn commit(&mut self) {
        if let Some(state) = &mut self.state {
            state.applied();
        }
    }

    /// The epoch is thrown away.
    pub fn abort(&mut self) {
        if let Some(state) = &mut self.state {
            state.abort();
        }
    }

    /// Opens the states, after recovery, or again when an epoch was applied behind their back.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn open(&mut self) -> Result<(), StateError> {
        self.state = Some(StepState::open(&self.store, &self.id, CACHE_BYTES)?);
        Ok(())
    }

    /// Brings the partial states to the shards of their keys and merges them there, shards side by side.
    fn merge_shards(&mut self, time: &EpochTime, partials: &[Partial]) -> anyhow::Result<Vec<Emitted>> {
        let count = self.store.shards();
        let mut arrived: Vec<Vec<fold::Arrival<'_>>> = (0..count.get()).map(|_| Vec::new()).collect();
        for partial in partials {
            for (i, (end, key)) in partial.groups.iter().enumerate() {
                let shard = arrived.get_mut(usize::from(count.shard_of(key).0)).context("a shard beyond the last: this is a defect")?;
                shard.push(fold::Arrival { end, key, state: partial.states.get(i).unwrap_or_default() });
            }
        }
        let state = self.state.as_mut().context("the states are not open: this is a defect")?;
        let busy = &self.busy;
        let work = ShardWork {
            function: &self.function,
            mode: self.mode,
            eviction: time.eviction,
            identity: self.identity,
            store: &self.store,
            max_state_bytes: self.max_state_bytes,
        };
        let emitted: Vec<_> = state.shards_mut().par_iter_mut().zip(arrived).map(|(shard, arrived)| busy.with(|| work.run(shard, arrived))).collect();
        let mut all = Vec::new();
        for shard in emitted {
            all.extend(shard?);
        }
        all.par_sort_unstable_by(|a, b| (a.end, &a.key).cmp(&(b.end, &b.key)));
        Ok(all)
    }

    fn describe(&self, operator: &mut StateOperator, partials: &[Partial]) {
        let Some(state) = &self.state else { return };
        let (totals, changes) = (state.totals(), state.changes());
        operator.operator_name.clone_from(&self.id);
        operator.num_rows_updated = changes.updated;
        operator.num_rows_removed = changes.removed;
        operator.num_rows_total = totals.groups + changes.added - changes.removed;
        operator.memory_used_bytes = totals.cache_bytes + changes.pending_bytes;
        operator.num_rows_dropped_by_watermark = partials.iter().map(|partial| partial.late_groups).sum();
        operator.num_shuffle_partitions = u64::from(self.store.shards().get());
        operator.num_state_store_instances = 1;
    }
}

/// A plugin's state identity as the store keeps it.
fn stored_identity(identity: &StateIdentity) -> crate::state::StateIdentity {
    crate::state::StateIdentity { version: identity.version, shape: identity.shape.clone() }
}
