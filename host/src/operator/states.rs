//! The states of one step: opened after recovery, changed by an epoch, and committed or thrown away with it.

use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::Context as _;

use crate::observe::progress::StateOperator;
use crate::state::{Delta, StateError, StepState, Store};

/// How much memory the hot groups of a step may take. More would not fit beside an epoch in the memory that the whole process is to stay in; less, and a pipeline with
/// many groups reads them from the database in every epoch, at 3 us each.
const CACHE_BYTES: usize = 64 << 20;
/// The same for large segments: they are read when they are merged, soon after they were written or much later, so that a larger cache would seldom be of use.
const LARGE_CACHE_BYTES: usize = 16 << 20;

/// Under which name the large segments of a step's states are stored. No id has this sign.
#[must_use]
pub fn large_segments_of(step: &str) -> String {
    format!("{step}#large")
}

/// The states of a step.
#[derive(Debug)]
pub struct StepStates {
    step: String,
    store: Arc<Store>,
    /// Opened after recovery: before it, the state on disk may be an epoch behind.
    state: Option<StepState>,
    /// Whether there are large segments, and they, opened likewise.
    with_large: bool,
    large: Option<StepState>,
}

impl StepStates {
    /// The states of `step`, not yet opened; `with_large`: segments of them may lie by themselves.
    #[must_use]
    pub fn new(step: String, store: Arc<Store>, with_large: bool) -> Self {
        Self { step, store, state: None, with_large, large: None }
    }

    /// Opens the states, after recovery, or again when an epoch was applied behind their back.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn open(&mut self) -> Result<(), StateError> {
        self.state = Some(StepState::open(&self.store, &self.step, CACHE_BYTES)?);
        if self.with_large {
            self.large = Some(StepState::open(&self.store, &large_segments_of(&self.step), LARGE_CACHE_BYTES)?);
        }
        Ok(())
    }

    /// What the epoch changes, for its PREPARED record, by the name that it is stored under.
    pub fn deltas(&self) -> impl Iterator<Item = (String, Delta)> {
        let states = self.state.iter().map(|state| (self.step.clone(), state.delta()));
        states.chain(self.large.iter().map(|large| (large_segments_of(&self.step), large.delta())))
    }

    /// The store has applied the epoch's changes.
    pub fn commit(&mut self) {
        self.state.iter_mut().chain(&mut self.large).for_each(StepState::applied);
    }

    /// The epoch is thrown away.
    pub fn abort(&mut self) {
        self.state.iter_mut().chain(&mut self.large).for_each(StepState::abort);
    }

    /// The groups that lie at these ends, with what the epoch has made of them: number and encoded key of each, for a look from outside.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn groups(&self, ends_us: RangeInclusive<i64>) -> anyhow::Result<Vec<(i64, Vec<u8>)>> {
        let mut groups = Vec::new();
        for shard in self.state.iter().flat_map(StepState::shards) {
            let mut scan = shard.scan(ends_us.clone())?;
            while let Some(group) = scan.advance()? {
                groups.push((group.end_us, group.group_key.to_vec()));
            }
        }
        Ok(groups)
    }

    pub(super) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(super) fn opened(&mut self) -> anyhow::Result<&mut StepState> {
        self.state.as_mut().context("the states are not open: this is a defect")
    }

    /// The states, and the large segments of them.
    pub(super) fn opened_with_large(&mut self) -> anyhow::Result<(&mut StepState, &mut StepState)> {
        self.state.as_mut().zip(self.large.as_mut()).context("the states are not open: this is a defect")
    }

    /// What they come to after the epoch, counting the groups that lie at these ends.
    pub(super) fn describe(&self, operator: &mut StateOperator, ends_us: RangeInclusive<i64>) {
        let Some(state) = &self.state else { return };
        let (totals, changes) = (state.totals(ends_us.clone()), state.changes(ends_us));
        operator.operator_name.clone_from(&self.step);
        operator.num_rows_updated = changes.updated;
        operator.num_rows_removed = changes.removed;
        operator.num_rows_total = totals.groups + changes.added - changes.removed;
        operator.memory_used_bytes = totals.cache_bytes + changes.pending_bytes;
        operator.num_shuffle_partitions = u64::from(self.store.shards().get());
        operator.num_state_store_instances = 1;
    }
}
