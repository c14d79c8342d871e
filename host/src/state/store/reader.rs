//! What a step reads of the database.

use std::fmt;
use std::sync::Arc;

use anyhow::Context;
use rocksdb::{ColumnFamily, DBRawIterator, ReadOptions};

use super::{Store, database};
use crate::state::StateError;
use crate::state::shard::{Shard, WINDOW_INDEX};
use crate::state::windows::{Window, parse_index_key};

/// Reads the states of one step.
#[derive(Clone)]
pub(in crate::state) struct StepReader {
    store: Arc<Store>,
    family: Arc<str>,
}

impl StepReader {
    /// A reader of `step`, which the store was opened with.
    pub(in crate::state) fn new(store: &Arc<Store>, step: &str) -> Result<Self, StateError> {
        let reader = Self { store: Arc::clone(store), family: database::family(step).into() };
        reader.family()?;
        Ok(reader)
    }

    /// The values of `keys`, which are sorted.
    pub(in crate::state) fn multi_get<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k [u8], IntoIter: ExactSizeIterator>,
    ) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        self.store.refuse_if_poisoned()?;
        let keys = keys.into_iter();
        if keys.len() == 0 {
            return Ok(Vec::new());
        }
        let found = self.store.db.batched_multi_get_cf(self.family()?, keys, true);
        let found = found.into_iter().map(|value| value.map(|value| value.map(|value| value.to_vec())));
        Ok(found.collect::<Result<_, _>>().with_context(|| format!("read states of `{}`", self.family))?)
    }

    /// The states with keys in `from..to`, in order.
    pub(in crate::state) fn iterate(&self, from: &[u8], to: Vec<u8>) -> Result<DBRawIterator<'_>, StateError> {
        self.store.refuse_if_poisoned()?;
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(to);
        // What is read in order is read once: it should not drive out what is read again.
        options.fill_cache(false);
        let mut states = self.store.db.raw_iterator_cf_opt(self.family()?, options);
        states.seek(from);
        Ok(states)
    }

    /// The records of all windows.
    pub(in crate::state) fn windows(&self) -> Result<Vec<(Shard, i64, Window)>, StateError> {
        let mut records = self.iterate(&WINDOW_INDEX.to_be_bytes(), vec![0xFF; 13])?;
        let mut windows = Vec::new();
        while let Some((key, value)) = records.item() {
            let (shard, end_us) =
                parse_index_key(key).with_context(|| format!("damaged window record in `{}`: its key has {} bytes", self.family, key.len()))?;
            let window = Window::decode(value).with_context(|| format!("damaged record of the window that ends at {end_us} us in `{}`", self.family))?;
            windows.push((shard, end_us, window));
            records.next();
        }
        records.status().with_context(|| format!("read the windows of `{}`", self.family))?;
        Ok(windows)
    }

    fn family(&self) -> anyhow::Result<&ColumnFamily> {
        self.store.db.cf_handle(&self.family).with_context(|| format!("no states of `{}`: state was not opened with that step", self.family))
    }
}

impl fmt::Debug for StepReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StepReader").field(&self.family).finish()
    }
}
