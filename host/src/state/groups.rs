//! The groups of one step, shard by shard. Shards share nothing, so each can be worked on by another thread; a shard reads through what the epoch has
//! changed, then through its cache of committed states, then from the database. It writes nothing: an epoch's changes leave as a [`Delta`], and become
//! committed by [`StepState::applied`] after the database has taken that delta, or vanish by [`StepState::abort`].

use std::hash::{BuildHasher, RandomState};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::StateError;
use super::cache::{Cache, Inserted};
use super::delta::{Delta, Op};
use super::keys::Keys;
use super::pending::Pending;
use super::scan::{Scan, open_part};
use super::shard::{Shard, StateKey, lower_bound, upper_bound};
use super::store::{StepReader, Store};
use super::windows::Windows;

/// The groups of a stateful step.
#[derive(Debug)]
pub struct StepState {
    shards: Vec<ShardState>,
}

/// The groups of one shard of a step. Keys are whole state keys of this shard (`Keys::push_state_key`).
#[derive(Debug)]
pub struct ShardState {
    shard: Shard,
    reader: StepReader,
    /// Keys come from users: without a secret in the hash they could all be made to collide.
    seed: u64,
    pending: Pending,
    cache: Cache,
    windows: Windows,
    /// Windows that end at or before it are closed by the epoch.
    closed_us: Option<i64>,
}

/// States that were looked up, in the order of the keys, in one buffer that is used again.
#[derive(Debug, Clone, Default)]
pub struct States {
    bytes: Vec<u8>,
    spans: Vec<Option<Range<usize>>>,
}

/// What a step holds, committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateTotals {
    /// Groups in all windows.
    pub groups: u64,
    /// Bytes of their keys and states, as they are stored, before compression.
    pub bytes: u64,
    /// Bytes of memory that the cache has now.
    pub cache_bytes: u64,
}

/// What the running epoch has done to a step so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EpochChanges {
    /// Groups that get another state.
    pub updated: u64,
    /// How many of these are new.
    pub added: u64,
    /// Groups that go, with their windows or alone.
    pub removed: u64,
    /// Bytes of memory that the changes have now.
    pub pending_bytes: u64,
}

impl StepState {
    /// The groups of `step`, which the store was opened with. Of hot groups at most `cache_bytes` are kept in memory.
    ///
    /// IMPORTANT: after recovery. A PREPARED that is applied later would not be seen.
    pub fn open(store: &Arc<Store>, step: &str, cache_bytes: usize) -> Result<Self, StateError> {
        let count = store.shards();
        let seed = RandomState::new().hash_one(step);
        let mut shards = Vec::with_capacity(usize::from(count.get()));
        for shard in count.shards() {
            shards.push(ShardState {
                shard,
                reader: StepReader::new(store, step)?,
                seed,
                pending: Pending::default(),
                cache: Cache::new(cache_bytes / usize::from(count.get())),
                windows: Windows::default(),
                closed_us: None,
            });
        }
        for (shard, end_us, window) in StepReader::new(store, step)?.windows()? {
            let state = shards
                .get_mut(usize::from(shard.0))
                .with_context(|| format!("damaged state of step `{step}`: a window in shard {}, expected shards below {}", shard.0, count.get()))?;
            state.windows.load(end_us, window);
        }
        Ok(Self { shards })
    }

    /// The shards, to be worked on side by side; shard `n` is the `n`th.
    pub fn shards_mut(&mut self) -> &mut [ShardState] {
        &mut self.shards
    }

    /// The shards.
    #[must_use]
    pub fn shards(&self) -> &[ShardState] {
        &self.shards
    }

    /// What the epoch changes, for its PREPARED record.
    #[must_use]
    pub fn delta(&self) -> Delta {
        let mut delta = Delta::new();
        self.shards.iter().for_each(|shard| shard.delta(&mut delta));
        delta
    }

    /// The store has applied the epoch: its changes are committed states now.
    pub fn applied(&mut self) {
        self.shards.iter_mut().for_each(ShardState::applied);
    }

    /// The epoch is thrown away.
    pub fn abort(&mut self) {
        self.shards.iter_mut().for_each(ShardState::abort);
    }

    /// What is committed at these ends.
    #[must_use]
    pub fn totals(&self, ends_us: RangeInclusive<i64>) -> StateTotals {
        self.shards.iter().fold(StateTotals::default(), |total, shard| {
            let committed = shard.windows.total(ends_us.clone());
            StateTotals {
                groups: total.groups + committed.groups,
                bytes: total.bytes + committed.bytes,
                cache_bytes: total.cache_bytes + shard.cache.bytes() as u64,
            }
        })
    }

    /// What the running epoch has changed at these ends.
    #[must_use]
    pub fn changes(&self, ends_us: RangeInclusive<i64>) -> EpochChanges {
        self.shards.iter().fold(EpochChanges::default(), |total, shard| {
            let mut changes = total;
            changes.pending_bytes += shard.pending.bytes() as u64;
            changes.removed += shard.closed_us.map_or(0, |closed_us| shard.windows.total(*ends_us.start()..=closed_us.min(*ends_us.end())).groups);
            let counted = |key| StateKey::parse(key).is_some_and(|key| ends_us.contains(&key.end_us));
            for change in shard.pending.iter().filter(|change| counted(change.key)) {
                match (change.value, change.committed_len) {
                    (Some(_), committed_len) => {
                        changes.updated += 1;
                        changes.added += u64::from(committed_len.is_none());
                    }
                    (None, Some(_)) => changes.removed += 1,
                    (None, None) => {}
                }
            }
            changes
        })
    }
}

impl ShardState {
    /// Which shard this is.
    #[must_use]
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// The ends at which there are groups, committed or changed by the epoch, in order.
    #[must_use]
    pub fn ends(&self) -> Vec<i64> {
        let changed = self.pending.iter().filter_map(|change| StateKey::parse(change.key)).map(|key| key.end_us);
        let all: std::collections::BTreeSet<i64> = self.windows.ends().chain(changed).collect();
        all.into_iter().collect()
    }

    /// Looks up the states of `keys`: `found` gets one for each key, in their order.
    pub fn get_many(&mut self, keys: &Keys, found: &mut States) -> Result<(), StateError> {
        found.clear();
        let mut misses = Vec::new();
        for (i, key) in keys.iter().enumerate() {
            let end_us = self.end_of(key)?;
            let hash = self.hash(key);
            if let Some(changed) = self.pending.get(hash, key) {
                found.push(changed);
            } else if self.is_closed(end_us) {
                found.push(None);
            } else if let Some(value) = self.cache.get(hash, key) {
                found.push(Some(value));
            } else {
                found.push(None);
                if self.windows.may_be_stored(end_us) {
                    misses.push((key, i));
                }
            }
        }
        // The database goes down its levels once for keys that are near each other.
        misses.sort_unstable();
        let values = self.reader.multi_get(misses.iter().map(|(key, _)| *key))?;
        for ((key, i), value) in misses.into_iter().zip(values) {
            if let Some(value) = value {
                found.set(i, &value);
                self.remember(key, &value)?;
            }
        }
        Ok(())
    }

    /// Gives a group a state.
    pub fn put(&mut self, key: &[u8], state: &[u8]) -> Result<(), StateError> {
        self.change(key, Some(state))
    }

    /// Removes a group.
    pub fn delete(&mut self, key: &[u8]) -> Result<(), StateError> {
        self.change(key, None)
    }

    /// Removes every group whose window ends at or before `up_to_us`, in this epoch's changes and in what is committed. Emit them first (`scan`).
    pub fn close(&mut self, up_to_us: i64) {
        if self.is_closed(up_to_us) {
            return;
        }
        self.closed_us = Some(up_to_us);
        self.pending.retain(|key| StateKey::parse(key).is_some_and(|key| key.end_us > up_to_us));
    }

    /// The groups whose windows end within `ends_us`, as the epoch has made them: `i64::MIN..=E` are those that E closes, `i64::MIN..=i64::MAX` all.
    pub fn scan(&self, ends_us: RangeInclusive<i64>) -> Result<Scan<'_>, StateError> {
        let Some(open) = open_part(&ends_us, self.closed_us) else {
            return Ok(Scan::new(None, Vec::new()));
        };
        let (from, to) = (lower_bound(self.shard, *open.start()), upper_bound(self.shard, *open.end()));
        let changed = self.pending.sorted(&from, &to);
        let stored = self.windows.any_within(*open.start(), *open.end()).then(|| self.reader.iterate(&from, to)).transpose()?;
        Ok(Scan::new(stored, changed))
    }

    /// Adds to `delta` what the epoch changes in this shard, sorted.
    pub fn delta(&self, delta: &mut Delta) {
        // IMPORTANT: the range first; a change behind it can only be of a window that is still open.
        if let Some(closed_us) = self.closed_us {
            self.windows.close(self.shard, closed_us, delta);
        }
        for change in self.pending.sorted(&lower_bound(self.shard, i64::MIN), &upper_bound(self.shard, i64::MAX)) {
            match (change.value, change.committed_len) {
                (Some(value), _) => delta.push(Op::Put { key: change.key, value }),
                (None, Some(_)) => delta.push(Op::Delete { key: change.key }),
                (None, None) => {}
            }
        }
        self.windows.record(self.shard, &self.pending, delta);
    }

    /// The store has applied the epoch: its changes are committed states now, and hot.
    pub fn applied(&mut self) {
        let closed_us = self.closed_us.take();
        if let Some(closed_us) = closed_us
            && self.windows.forget(closed_us) > 0
        {
            self.cache.retain(|key| StateKey::parse(key).is_some_and(|key| key.end_us > closed_us));
        }
        let pending = std::mem::take(&mut self.pending);
        for change in pending.iter() {
            let Some(StateKey { end_us, .. }) = StateKey::parse(change.key) else { continue };
            self.windows.commit(end_us, &change);
            match change.value {
                Some(value) => self.cache_committed(change.hash, end_us, change.key, value),
                None if self.cache.remove(change.hash, change.key) => self.windows.uncached(end_us),
                None => {}
            }
        }
        self.windows.settle();
        self.pending = pending;
        self.pending.clear();
    }

    /// The epoch is thrown away.
    pub fn abort(&mut self) {
        self.pending.clear();
        self.closed_us = None;
    }

    fn change(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        let end_us = self.end_of(key)?;
        if self.is_closed(end_us) {
            return Err(anyhow!("a group of the window that ends at {end_us} us was changed after the epoch had closed that window").into());
        }
        let hash = self.hash(key);
        if !self.pending.change_again(hash, key, value) {
            let committed_len = self.committed_len(hash, end_us, key)?;
            self.pending.change(hash, key, value, committed_len);
        }
        Ok(())
    }

    /// The length of a committed state. Who changes a group has just read it, so it is in the cache, unless the cache is smaller than what was read at once.
    fn committed_len(&mut self, hash: u64, end_us: i64, key: &[u8]) -> Result<Option<usize>, StateError> {
        if let Some(value) = self.cache.get(hash, key) {
            return Ok(Some(value.len()));
        }
        if !self.windows.may_be_stored(end_us) {
            return Ok(None);
        }
        Ok(self.reader.multi_get([key])?.into_iter().flatten().next().map(|value| value.len()))
    }

    fn remember(&mut self, key: &[u8], value: &[u8]) -> Result<(), StateError> {
        let end_us = self.end_of(key)?;
        self.cache_committed(self.hash(key), end_us, key, value);
        Ok(())
    }

    fn cache_committed(&mut self, hash: u64, end_us: i64, key: &[u8], value: &[u8]) {
        let windows = &mut self.windows;
        let inserted = self.cache.insert(hash, key, value, |evicted| {
            if let Some(evicted) = StateKey::parse(evicted) {
                windows.uncached(evicted.end_us);
            }
        });
        if inserted == Inserted::New {
            windows.cached(end_us);
        }
    }

    fn is_closed(&self, end_us: i64) -> bool {
        self.closed_us.is_some_and(|closed_us| end_us <= closed_us)
    }

    fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.seed)
    }

    /// The window's end in a key, which must be one of this shard.
    fn end_of(&self, key: &[u8]) -> Result<i64, StateError> {
        match StateKey::parse(key) {
            Some(key) if key.shard == self.shard => Ok(key.end_us),
            _ => Err(anyhow!("a key of {} bytes is no state key of shard {}", key.len(), self.shard.0).into()),
        }
    }
}

impl States {
    /// No states.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// State `i`; none when the group has none.
    #[must_use]
    pub fn get(&self, i: usize) -> Option<&[u8]> {
        self.bytes.get(self.spans.get(i)?.clone()?)
    }

    /// All states, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&[u8]>> {
        self.spans.iter().map(|span| self.bytes.get(span.clone()?))
    }

    /// How many were looked up.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    fn push(&mut self, state: Option<&[u8]>) {
        let span = state.map(|state| self.append(state));
        self.spans.push(span);
    }

    fn set(&mut self, i: usize, state: &[u8]) {
        let span = self.append(state);
        if let Some(place) = self.spans.get_mut(i) {
            *place = Some(span);
        }
    }

    fn append(&mut self, state: &[u8]) -> Range<usize> {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(state);
        from..self.bytes.len()
    }
}

#[cfg(test)]
mod tests;
