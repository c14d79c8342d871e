//! Where a group lies: which shard it belongs to, and the key of its state. Both are pinned (FORMAT.md): a group that was looked for in another shard, or
//! under another key, would be a group that starts anew.

use xxhash_rust::xxh3::xxh3_64;

use super::keys::{Keys, from_ordered_i64, ordered_i64};

/// The end of what has no window: a running aggregate is one window that never ends.
pub const NEVER_US: i64 = i64::MAX;

/// In the place of a shard: the records that say what each shard's windows hold.
pub(super) const WINDOW_INDEX: u16 = u16::MAX;

/// A part of a step's groups, by hash of the group key: the unit of parallelism. One group key is in the same shard in every window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(pub u16);

/// How many shards a pipeline has. Fixed when its state folder is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardCount(u16);

/// The key of one group's state, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateKey<'a> {
    /// The group's shard.
    pub shard: Shard,
    /// The end of the window or pane, exclusive, in microseconds since 1970-01-01T00:00:00Z; `NEVER_US`: there is no window.
    pub end_us: i64,
    /// The encoded group key.
    pub group_key: &'a [u8],
}

impl ShardCount {
    /// Enough for every core of a large machine, few enough that a small epoch does not pay for them.
    pub const DEFAULT: Self = Self(64);

    /// At most this many: beyond it a shard would hold next to nothing, and its number must stay below `WINDOW_INDEX`.
    pub const MAX: u16 = 4_096;

    /// `count` shards, if that is between 1 and `MAX`.
    #[must_use]
    pub fn new(count: u16) -> Option<Self> {
        (1..=Self::MAX).contains(&count).then_some(Self(count))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }

    /// The shard of a group key: XXH3 (64 bits, seed 0) times the number of shards, the upper 64 of 128 bits. So a shard owns one run of hashes, and halving
    /// every run doubles the shards without moving a group between two others.
    #[must_use]
    pub fn shard_of(self, group_key: &[u8]) -> Shard {
        Shard(((u128::from(xxh3_64(group_key)) * u128::from(self.0)) >> 64) as u16)
    }

    /// All shards, in order.
    pub fn shards(self) -> impl ExactSizeIterator<Item = Shard> {
        (0..self.0).map(Shard)
    }
}

impl Default for ShardCount {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl<'a> StateKey<'a> {
    /// Takes a state's key apart; none when it is too short to be one.
    #[must_use]
    pub fn parse(key: &'a [u8]) -> Option<Self> {
        let (shard, rest) = key.split_first_chunk()?;
        let (end, group_key) = rest.split_first_chunk()?;
        Some(Self { shard: Shard(u16::from_be_bytes(*shard)), end_us: from_ordered_i64(*end), group_key })
    }

    /// Appends the key's bytes: shard (big-endian), end (big-endian, sign bit flipped), group key. So the groups of a window lie together, and windows by
    /// end.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_prefix(self.shard, self.end_us, out);
        out.extend_from_slice(self.group_key);
    }
}

impl Keys {
    /// Appends the key of a group's state.
    pub fn push_state_key(&mut self, key: &StateKey<'_>) {
        self.push_with(|bytes| key.write(bytes));
    }
}

/// The first key that a group of `shard` with this end, or a later one, can have.
pub(super) fn lower_bound(shard: Shard, end_us: i64) -> Vec<u8> {
    let mut bound = Vec::with_capacity(10);
    write_prefix(shard, end_us, &mut bound);
    bound
}

/// Above every key that a group of `shard` with this end, or an earlier one, can have; at most the first key of the next shard.
pub(super) fn upper_bound(shard: Shard, end_us: i64) -> Vec<u8> {
    match end_us.checked_add(1) {
        Some(next) => lower_bound(shard, next),
        None => shard.0.saturating_add(1).to_be_bytes().to_vec(),
    }
}

fn write_prefix(shard: Shard, end_us: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&shard.0.to_be_bytes());
    out.extend_from_slice(&ordered_i64(end_us));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    /// A change here moves groups to other shards: it is a change of the format.
    #[test]
    fn the_shard_of_a_key_is_pinned() {
        let shards = |count| ["", "a", "US", "\u{1}click\0\u{1}", "campaign-17"].map(|key| ShardCount::new(count).unwrap().shard_of(key.as_bytes()).0);
        // Two values of the hash's reference.
        assert_eq!([xxh3_64(b""), xxh3_64(b"a")], [0x2d06_8005_38d3_94c2, 0xe6c6_32b6_1e96_4e1f]);
        assert_eq!(shards(64), PINNED_64);
        assert_eq!(shards(1), [0; 5]);
        // Twice the shards: every shard is cut in two.
        assert_eq!(shards(128).map(|shard| shard / 2), PINNED_64);
    }

    const PINNED_64: [u16; 5] = [11, 57, 4, 29, 7];

    #[test]
    fn keys_of_a_shard_are_in_order_of_window_end_and_then_of_group() {
        let mut keys = Vec::new();
        for end_us in [i64::MIN, -1, 0, 1, 60_000_000, NEVER_US] {
            for group_key in [b"a".as_slice(), b"b"] {
                let key = StateKey { shard: Shard(7), end_us, group_key };
                let mut bytes = Vec::new();
                key.write(&mut bytes);
                assert_eq!(StateKey::parse(&bytes), Some(key));
                assert!(lower_bound(Shard(7), end_us) <= bytes && bytes < upper_bound(Shard(7), end_us));
                keys.push(bytes);
            }
        }
        assert!(keys.is_sorted());
        assert_eq!(keys[4], b"\x00\x07\x80\0\0\0\0\0\0\0a", "shard, end 0, group key");
        assert_eq!(StateKey::parse(&keys[0][..9]), None);
        assert_eq!(upper_bound(Shard(7), NEVER_US), [0, 8]);
    }

    #[test]
    fn shards_are_refused_beyond_their_bounds_and_equally_large() {
        assert_eq!(ShardCount::new(0), None);
        assert_eq!(ShardCount::new(ShardCount::MAX + 1), None);
        let mut sizes = [0; 64];
        for i in 0..64_000 {
            sizes[usize::from(ShardCount::DEFAULT.shard_of(format!("key-{i}").as_bytes()).0)] += 1;
        }
        assert!(sizes.iter().all(|size| (800..1_200).contains(size)), "{sizes:?}");
    }
}
