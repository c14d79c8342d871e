//! What one shard holds, by window: how many groups and bytes, committed, and how many of the groups are in the cache. Counted exactly, for three uses:
//! progress says it, a window without groups is closed without touching the database, and a window whose groups are all in the cache needs no look at the
//! database to know that a group is new. That last one is what makes the first epochs of a window cheap, when every group is new.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::RangeInclusive;

use super::delta::{Delta, Op};
use super::keys::{from_ordered_i64, ordered_i64};
use super::pending::{Changed, Pending};
use super::shard::{Shard, StateKey, WINDOW_INDEX, lower_bound, upper_bound};
use super::varint;

/// The windows of one shard, by end. A window without groups is not here.
#[derive(Debug, Default)]
pub(super) struct Windows {
    by_end_us: BTreeMap<i64, Window>,
}

/// What one window holds in one shard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) groups: u64,
    /// Of keys and values.
    pub(super) bytes: u64,
    /// How many of the groups are in the cache.
    pub(super) cached: u64,
}

impl Windows {
    /// Takes in a window as it was stored.
    pub(super) fn load(&mut self, end_us: i64, window: Window) {
        self.by_end_us.insert(end_us, window);
    }

    /// Whether the database may have a group of this window that the cache does not.
    pub(super) fn may_be_stored(&self, end_us: i64) -> bool {
        self.by_end_us.get(&end_us).is_some_and(|window| window.cached < window.groups)
    }

    /// Whether any of these windows has a committed group.
    pub(super) fn any_within(&self, from_us: i64, to_us: i64) -> bool {
        from_us <= to_us && self.by_end_us.range(from_us..=to_us).next().is_some()
    }

    /// The ends of the windows.
    pub(super) fn ends(&self) -> impl Iterator<Item = i64> {
        self.by_end_us.keys().copied()
    }

    /// The committed groups and bytes of the windows that end within a range.
    pub(super) fn total(&self, ends_us: RangeInclusive<i64>) -> Window {
        if ends_us.is_empty() {
            return Window::default();
        }
        self.by_end_us.range(ends_us).fold(Window::default(), |total, (_, window)| Window {
            groups: total.groups + window.groups,
            bytes: total.bytes + window.bytes,
            cached: total.cached + window.cached,
        })
    }

    /// A group of this window has come into the cache.
    pub(super) fn cached(&mut self, end_us: i64) {
        if let Some(window) = self.by_end_us.get_mut(&end_us) {
            window.cached += 1;
        }
    }

    /// A group of this window has left the cache.
    pub(super) fn uncached(&mut self, end_us: i64) {
        if let Some(window) = self.by_end_us.get_mut(&end_us) {
            window.cached = window.cached.saturating_sub(1);
        }
    }

    /// Forgets the windows that end at or before `up_to_us`; how many of their groups are in the cache.
    pub(super) fn forget(&mut self, up_to_us: i64) -> u64 {
        let cached = self.total(i64::MIN..=up_to_us).cached;
        self.by_end_us.retain(|&end_us, _| end_us > up_to_us);
        cached
    }

    /// Takes in a committed change. A window that has lost its last group stays until `settle`.
    pub(super) fn commit(&mut self, end_us: i64, change: &Changed<'_>) {
        self.by_end_us.entry(end_us).or_default().take(change);
    }

    /// Forgets windows without groups.
    pub(super) fn settle(&mut self) {
        self.by_end_us.retain(|_, window| window.groups > 0);
    }

    /// Adds to a delta what closing does: one range of groups, and each window's record. The range goes from the first to the last window that is there, so
    /// the ranges of one closing after another never overlap.
    pub(super) fn close(&self, shard: Shard, up_to_us: i64, delta: &mut Delta) {
        let mut closed = self.by_end_us.range(..=up_to_us).map(|(&end_us, _)| end_us);
        let Some(first) = closed.next() else { return };
        let last = closed.next_back().unwrap_or(first);
        delta.push(Op::DeleteRange { from: &lower_bound(shard, first), to: &upper_bound(shard, last) });
        for (&end_us, _) in self.by_end_us.range(..=up_to_us) {
            delta.push(Op::Delete { key: &index_key(shard, end_us) });
        }
    }

    /// Adds to a delta the records of the windows that `pending` changes. States of one size leave the record as it is, and it is not written again.
    pub(super) fn record(&self, shard: Shard, pending: &Pending, delta: &mut Delta) {
        let mut changed: BTreeMap<i64, Window> = BTreeMap::new();
        for change in pending.iter() {
            let Some(StateKey { end_us, .. }) = StateKey::parse(change.key) else { continue };
            let window = match changed.entry(end_us) {
                Entry::Occupied(window) => window.into_mut(),
                Entry::Vacant(place) => place.insert(self.by_end_us.get(&end_us).copied().unwrap_or_default()),
            };
            window.take(&change);
        }
        for (end_us, window) in changed {
            let before = self.by_end_us.get(&end_us).copied().unwrap_or_default();
            let key = index_key(shard, end_us);
            match (window.groups, before.groups) {
                (0, 0) => {}
                (0, _) => delta.push(Op::Delete { key: &key }),
                _ if (window.groups, window.bytes) == (before.groups, before.bytes) => {}
                _ => delta.push(Op::Put { key: &key, value: &window.encode() }),
            }
        }
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, Window)> {
        self.by_end_us.iter().map(|(&end_us, &window)| (end_us, window))
    }
}

impl Window {
    /// Reads a stored window; none of its groups is cached.
    pub(super) fn decode(mut stored: &[u8]) -> Option<Self> {
        let (groups, bytes) = (varint::read(&mut stored)?, varint::read(&mut stored)?);
        stored.is_empty().then_some(Self { groups, bytes, cached: 0 })
    }

    fn encode(self) -> Vec<u8> {
        let mut stored = Vec::new();
        varint::write(self.groups, &mut stored);
        varint::write(self.bytes, &mut stored);
        stored
    }

    fn take(&mut self, change: &Changed<'_>) {
        if let Some(len) = change.committed_len {
            self.groups = self.groups.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub((change.key.len() + len) as u64);
        }
        if let Some(value) = change.value {
            self.groups += 1;
            self.bytes += (change.key.len() + value.len()) as u64;
        }
    }
}

/// The key of a window's record: `WINDOW_INDEX`, then shard and end as in the keys of its groups.
fn index_key(shard: Shard, end_us: i64) -> Vec<u8> {
    [WINDOW_INDEX.to_be_bytes().as_slice(), &shard.0.to_be_bytes(), &ordered_i64(end_us)].concat()
}

/// Takes the key of a window's record apart.
pub(super) fn parse_index_key(key: &[u8]) -> Option<(Shard, i64)> {
    let (shard, end) = key.strip_prefix(&WINDOW_INDEX.to_be_bytes())?.split_first_chunk::<2>()?;
    Some((Shard(u16::from_be_bytes(*shard)), from_ordered_i64(end.try_into().ok()?)))
}
