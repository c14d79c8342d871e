//! Rows in, one row a window and key out. Runs of rows are folded side by side into fresh partial states; states, not rows, go to the shards of their keys; each shard
//! merges them with what it has stored, closes what the watermark has passed, and says what is to be emitted; `finish` makes rows of that.
//!
//! ```text
//!  chunks ─► late rows out ─► window, key ─► accumulate ─► partial states ─┬─► shard 0: merge with stored ─► put ─► emit ─┐
//!            (group.rs)                                                     └─► shard n: ...                              ─┴─► finish ─► rows
//! ```

mod emit;
mod fold;
mod panes;
mod running;
pub(super) mod sessions;
mod shelf;

use std::sync::Arc;

use anyhow::Context as _;
use arrow_schema::SchemaRef;
use rayon::prelude::*;

use super::EpochTime;
use super::functions::Functions;
use super::group::{self, Partial};
use super::late::LateRows;
use super::placing::Placing;
use super::states::StepStates;
use crate::epoch::clock::{Busy, Stopwatch};
use crate::observe::progress::StateOperator;
use crate::plugin::{self, StateIdentity};
use crate::rows::Chunk;
use crate::state::{IdentityId, KeyEncoder, NEVER_US, Store};

use fold::{Emitted, ShardWork};
use shelf::Shelf;

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
    /// Which window they belong to.
    pub(super) placing: Placing,
    /// Makes rows for the sink of late ones; none: there is none.
    pub(super) late: Option<LateRows>,
    /// Makes bytes of the key columns, and columns of bytes.
    pub(super) encoder: KeyEncoder,
    /// The input columns that are looked at, here or by the plugin.
    pub(super) needs: Vec<bool>,
}

/// A step that calls an aggregate.
pub struct Aggregate {
    /// The groups.
    pub states: StepStates,
    function: Functions,
    grouping: Grouping,
    mode: OutputMode,
    output: SchemaRef,
    max_state_bytes: usize,
    identity: IdentityId,
    asks: bool,
    allowed_lateness_us: i64,
    busy: Busy,
}

/// What an aggregate is made with.
pub struct AggregateParts {
    /// The step's id: its states are stored under it.
    pub id: String,
    /// The opened function.
    pub function: Functions,
    /// The rows that come in.
    pub input: SchemaRef,
    /// The columns of the key, by number.
    pub key: Vec<usize>,
    /// How a row finds its window.
    pub placing: Placing,
    /// Whether a watermark follows the rows that come in.
    pub watermarked: bool,
    /// How much longer than to its end a window is kept, in microseconds (F-1).
    pub allowed_lateness_us: i64,
    /// When rows come out.
    pub mode: OutputMode,
    /// The rows that go out: window, keys, what `finish` makes.
    pub output: SchemaRef,
    /// The columns of late rows, if somebody takes them.
    pub late: Option<SchemaRef>,
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
    /// How often a row came too late for a window that it is in.
    pub late_rows: u64,
    /// Those rows, each as often, for the sink that takes them.
    pub late: Vec<Chunk>,
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
        let AggregateParts { id, function, input, key, placing, watermarked, allowed_lateness_us, mode, output, late, max_state_bytes, store } = parts;
        let encoder = KeyEncoder::new(&input, &key)?;
        let mut needs = vec![false; input.fields().len()];
        for column in key.iter().chain(function.reads()).copied().chain(placing.reads()) {
            *needs.get_mut(column).with_context(|| format!("there is no column {column}"))? = true;
        }
        let identity = store.intern(&stored_identity(function.state_identity()))?;
        let late = late.zip(placing.time()).map(|(schema, time)| LateRows { schema, time, windowed: placing.has_windows() });
        let grouping = Grouping { placing, late, encoder, needs };
        let asks = watermarked && mode != OutputMode::Complete;
        Ok(Self {
            states: StepStates::new(id, store, true),
            function,
            grouping,
            mode,
            output,
            max_state_bytes,
            identity,
            asks,
            allowed_lateness_us,
            busy: Busy::default(),
        })
    }

    /// Runs an epoch's rows. What it changes is pending until [`Aggregate::commit`] or [`Aggregate::abort`].
    ///
    /// # Errors
    /// What the plugin says after a second try, or the store.
    pub fn run(&mut self, time: &EpochTime, chunks: &[Chunk]) -> anyhow::Result<Aggregated> {
        let time = &time.turned_back(self.allowed_lateness_us);
        let time = &match (self.mode, self.grouping.placing) {
            // L-4, but for sessions, as was measured: they drop late rows in complete mode, too.
            (OutputMode::Complete, Placing::Windows(..) | Placing::Panes(..) | Placing::Moments(..) | Placing::Running { .. }) => {
                EpochTime { late: None, ..*time }
            }
            _ => *time,
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
        let mut partials: Vec<Partial> = folded.into_iter().collect::<anyhow::Result<_>>()?;
        let emitted = self.merge_shards(time, &partials)?;
        let mut operator = StateOperator { all_updates_time_ms: watch.lap_us() / 1_000, ..StateOperator::default() };
        let chunks = self.emit(time, emitted)?;
        let counted = match self.grouping.placing {
            Placing::Sessions(..) => i64::MIN..=NEVER_US - 1, // beyond it is only where each key's sessions are
            _ => i64::MIN..=NEVER_US,
        };
        self.states.describe(&mut operator, counted);
        operator.num_rows_dropped_by_watermark = partials.iter().map(|partial| partial.late_groups).sum();
        operator.all_updates_time_ms += watch.lap_us() / 1_000;
        let late = partials.iter_mut().flat_map(|partial| std::mem::take(&mut partial.late)).collect();
        Ok(Aggregated { chunks, late, late_rows: partials.iter().map(|partial| partial.late_rows).sum(), operator, busy_us: self.busy.take_us() })
    }

    /// Whether an epoch without records is to be made once the watermark has moved (B-4).
    #[must_use]
    pub fn asks(&self) -> bool {
        self.asks
    }

    /// What the plugin has cost so far.
    #[must_use]
    pub fn stats(&self) -> plugin::Stats {
        self.function.stats()
    }

    /// Brings the partial states to the shards of their keys and merges them there, shards side by side.
    fn merge_shards(&mut self, time: &EpochTime, partials: &[Partial]) -> anyhow::Result<Vec<Emitted>> {
        let count = self.states.store().shards();
        let mut arrived: Vec<Vec<fold::Arrival<'_>>> = (0..count.get()).map(|_| Vec::new()).collect();
        for partial in partials {
            for (i, (end, key)) in partial.groups.iter().enumerate() {
                let own_key = match self.grouping.placing {
                    Placing::Sessions(..) => sessions::split(key).0,
                    _ => key,
                };
                let shard = arrived.get_mut(usize::from(count.shard_of(own_key).0)).context("a shard beyond the last: this is a defect")?;
                shard.push(fold::Arrival { end, key, state: partial.states.get(i).unwrap_or_default() });
            }
        }
        let (busy, store) = (&self.busy, Arc::clone(self.states.store()));
        let work = ShardWork {
            function: &self.function,
            placing: self.grouping.placing,
            keyless: self.grouping.encoder.fields().next().is_none(),
            mode: self.mode,
            time: *time,
            identity: self.identity,
            store: &store,
            max_state_bytes: self.max_state_bytes,
        };
        let (state, large) = self.states.opened_with_large()?;
        let shelves = state.shards_mut().par_iter_mut().zip(large.shards_mut()).map(|(groups, large)| Shelf { groups, large });
        let emitted: Vec<_> = shelves.zip(arrived).map(|(mut shelf, arrived)| busy.with(|| work.run(&mut shelf, arrived))).collect();
        let mut all = Vec::new();
        for shard in emitted {
            all.extend(shard?);
        }
        all.par_sort_unstable_by(|a, b| (a.window.end, a.window.start, &a.key).cmp(&(b.window.end, b.window.start, &b.key)));
        Ok(all)
    }
}

/// A plugin's state identity as the store keeps it.
fn stored_identity(identity: &StateIdentity) -> crate::state::StateIdentity {
    crate::state::StateIdentity { version: identity.version, shape: identity.shape.clone() }
}
