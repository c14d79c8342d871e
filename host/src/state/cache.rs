//! Hot groups of one shard in memory, bounded in bytes. It holds committed states only, the same bytes as the database has, so any entry can be dropped at
//! any time. It knows neither epochs nor the database; whoever owns it keeps it in step with what was committed.
//!
//! Which entry goes is decided by a clock: a hand goes round over the entries, spares those that were read since it last passed, and drops the first that was
//! not. That is close to least-recently-used and costs one bit a read instead of a list that every read relinks.

use hashbrown::HashTable;

/// What an entry costs beside its key and value: its slot, its place in the hash table (5 bytes, at most 8 of 7 taken after growth) and the allocator's
/// header.
const ENTRY_OVERHEAD_BYTES: usize = size_of::<Option<Slot>>() + 24;

/// Committed states of hot groups.
#[derive(Debug)]
pub(super) struct Cache {
    /// Numbers of slots, by hash of the key.
    table: HashTable<u32>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    hand: usize,
    bytes: usize,
    bound_bytes: usize,
}

/// What became of an insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inserted {
    /// The key is new here.
    New,
    /// The key was here with another value.
    Replaced,
    /// Key and value alone are larger than the bound: neither is here now.
    TooLarge,
}

#[derive(Debug)]
struct Slot {
    hash: u64,
    /// Read since the hand last passed.
    hot: bool,
    key_len: usize,
    /// Key, then value: one allocation.
    entry: Box<[u8]>,
}

impl Slot {
    fn key(&self) -> &[u8] {
        self.entry.get(..self.key_len).unwrap_or_default()
    }

    fn value(&self) -> &[u8] {
        self.entry.get(self.key_len..).unwrap_or_default()
    }

    fn cost(&self) -> usize {
        self.entry.len() + ENTRY_OVERHEAD_BYTES
    }
}

impl Cache {
    /// An empty cache that never holds more than `bound_bytes`.
    pub(super) fn new(bound_bytes: usize) -> Self {
        Self { table: HashTable::new(), slots: Vec::new(), free: Vec::new(), hand: 0, bytes: 0, bound_bytes }
    }

    /// The value of a key. `hash` is the same function of the key in every call.
    pub(super) fn get(&mut self, hash: u64, key: &[u8]) -> Option<&[u8]> {
        let number = *self.table.find(hash, |&number| has_key(&self.slots, number, key))?;
        let slot = self.slots.get_mut(number as usize)?.as_mut()?;
        slot.hot = true;
        Some(slot.value())
    }

    /// Sets the value of a key, and makes room for it: `evicted` gets the key of every entry that had to go.
    pub(super) fn insert(&mut self, hash: u64, key: &[u8], value: &[u8], mut evicted: impl FnMut(&[u8])) -> Inserted {
        let cost = key.len() + value.len() + ENTRY_OVERHEAD_BYTES;
        if cost > self.bound_bytes {
            if self.remove(hash, key) {
                evicted(key);
            }
            return Inserted::TooLarge;
        }
        let replaced = self.overwrite(hash, key, value);
        if !replaced {
            let slot = Slot { hash, hot: false, key_len: key.len(), entry: joined(key, value) };
            // IMPORTANT: room first, so that the hand never meets, and drops, the entry it makes room for.
            self.make_room(self.bound_bytes - cost, &mut evicted);
            self.add(slot);
        } else if self.bytes > self.bound_bytes {
            self.make_room(self.bound_bytes, &mut |gone: &[u8]| evicted(gone));
        }
        if replaced { Inserted::Replaced } else { Inserted::New }
    }

    /// Forgets a key; whether it was here.
    pub(super) fn remove(&mut self, hash: u64, key: &[u8]) -> bool {
        let Ok(found) = self.table.find_entry(hash, |&number| has_key(&self.slots, number, key)) else {
            return false;
        };
        let (number, _) = found.remove();
        self.release(number);
        true
    }

    /// Forgets every key that `keep` refuses.
    pub(super) fn retain(&mut self, keep: impl Fn(&[u8]) -> bool) {
        for number in 0..self.slots.len() {
            let gone = self.slots.get(number).and_then(Option::as_ref).filter(|slot| !keep(slot.key())).map(|slot| slot.hash);
            if let Some(hash) = gone {
                self.drop_slot(hash, number as u32);
            }
        }
    }

    /// What the entries cost, keys and bookkeeping included; never above the bound.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The keys of all entries.
    #[cfg(test)]
    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.table.iter().filter_map(|&number| self.slots.get(number as usize)?.as_ref()).map(Slot::key)
    }

    /// Puts another value in the place of the one of `key`, in the same memory if it is as long; whether the key is here.
    fn overwrite(&mut self, hash: u64, key: &[u8], value: &[u8]) -> bool {
        let Some(&number) = self.table.find(hash, |&number| has_key(&self.slots, number, key)) else {
            return false;
        };
        let Some(slot) = self.slots.get_mut(number as usize).and_then(Option::as_mut) else {
            return false;
        };
        slot.hot = true;
        let before = slot.cost();
        match slot.entry.get_mut(slot.key_len..) {
            Some(old) if old.len() == value.len() => old.copy_from_slice(value),
            _ => slot.entry = joined(key, value),
        }
        self.bytes = self.bytes - before + slot.cost();
        true
    }

    fn add(&mut self, slot: Slot) {
        self.bytes += slot.cost();
        let hash = slot.hash;
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // A shard's bound would have to be 300 GB for more.
            (self.slots.len() - 1) as u32
        });
        if let Some(place) = self.slots.get_mut(number as usize) {
            *place = Some(slot);
        }
        let slots = &self.slots;
        let hash_of = |&number: &u32| slots.get(number as usize).and_then(Option::as_ref).map_or(0, |slot| slot.hash);
        self.table.insert_unique(hash, number, hash_of);
    }

    /// Turns the hand until at most `bytes` are left.
    fn make_room(&mut self, bytes: usize, evicted: &mut impl FnMut(&[u8])) {
        while self.bytes > bytes {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let number = self.hand;
            self.hand += 1;
            let Some(slot) = self.slots.get_mut(number).and_then(Option::as_mut) else { continue };
            if std::mem::take(&mut slot.hot) {
                continue;
            }
            evicted(slot.key());
            let hash = slot.hash;
            self.drop_slot(hash, number as u32);
        }
    }

    fn drop_slot(&mut self, hash: u64, number: u32) {
        if let Ok(found) = self.table.find_entry(hash, |&other| other == number) {
            found.remove();
        }
        self.release(number);
    }

    fn release(&mut self, number: u32) {
        if let Some(slot) = self.slots.get_mut(number as usize).and_then(Option::take) {
            self.bytes -= slot.cost();
            self.free.push(number);
        }
    }
}

fn has_key(slots: &[Option<Slot>], number: u32, key: &[u8]) -> bool {
    slots.get(number as usize).and_then(Option::as_ref).is_some_and(|slot| slot.key() == key)
}

fn joined(key: &[u8], value: &[u8]) -> Box<[u8]> {
    [key, value].concat().into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    fn cost(key: &[u8], value: &[u8]) -> usize {
        key.len() + value.len() + ENTRY_OVERHEAD_BYTES
    }

    fn insert(cache: &mut Cache, key: &[u8], value: &[u8]) -> (Inserted, Vec<Vec<u8>>) {
        let mut evicted = Vec::new();
        let inserted = cache.insert(xxh3_64(key), key, value, |key| evicted.push(key.to_vec()));
        (inserted, evicted)
    }

    #[test]
    fn an_entry_that_was_read_outlives_one_that_was_not() {
        let mut cache = Cache::new(3 * cost(b"a", b"1"));
        for key in [b"a", b"b", b"c"] {
            assert_eq!(insert(&mut cache, key, b"1"), (Inserted::New, vec![]));
        }
        assert_eq!(cache.bytes(), 3 * cost(b"a", b"1"), "full to the byte");
        assert_eq!(cache.get(xxh3_64(b"a"), b"a"), Some(b"1".as_slice()));
        assert_eq!(insert(&mut cache, b"d", b"1"), (Inserted::New, vec![b"b".to_vec()]));
        assert_eq!(insert(&mut cache, b"e", b"1"), (Inserted::New, vec![b"c".to_vec()]));
        assert_eq!(insert(&mut cache, b"f", b"1"), (Inserted::New, vec![b"a".to_vec()]), "not read again: no longer spared");
    }

    #[test]
    fn a_value_larger_than_the_whole_cache_is_not_kept_and_not_left_stale() {
        let mut cache = Cache::new(cost(b"key", b"1234"));
        insert(&mut cache, b"key", b"1234");
        assert_eq!(insert(&mut cache, b"key", b"12345"), (Inserted::TooLarge, vec![b"key".to_vec()]));
        assert_eq!(cache.get(xxh3_64(b"key"), b"key"), None);
        assert_eq!(cache.bytes(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        /// Against a map that forgets exactly the keys that the cache says it dropped. All keys collide in one of two hashes, too.
        #[test]
        fn the_cache_never_lies_and_its_bytes_are_counted_exactly(
            bound in 0..1_500_usize,
            collide in any::<bool>(),
            ops in prop::collection::vec((0..4_u8, 0..12_u8, 0..200_usize), 0..200),
        ) {
            let mut cache = Cache::new(bound);
            let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
            let hash = |key: &[u8]| if collide { u64::from(key[0] % 2) } else { xxh3_64(key) };
            for (op, key, len) in ops {
                let key = vec![key; 1 + usize::from(key)];
                match op {
                    0 | 1 => {
                        let value = vec![len as u8; len];
                        let mut evicted = Vec::new();
                        let inserted = cache.insert(hash(&key), &key, &value, |key| evicted.push(key.to_vec()));
                        let before = model.contains_key(&key);
                        for gone in &evicted {
                            prop_assert!(model.remove(gone).is_some(), "evicted what was not there");
                        }
                        prop_assert_eq!(inserted, match () {
                            () if cost(&key, &value) > bound => Inserted::TooLarge,
                            () if before => Inserted::Replaced,
                            () => Inserted::New,
                        });
                        if inserted != Inserted::TooLarge && !(inserted == Inserted::Replaced && evicted.contains(&key)) {
                            model.insert(key, value);
                        }
                    }
                    2 => prop_assert_eq!(cache.remove(hash(&key), &key), model.remove(&key).is_some()),
                    _ => {
                        cache.retain(|other| other[0] % 3 != key[0] % 3);
                        model.retain(|other, _| other[0] % 3 != key[0] % 3);
                    }
                }
                prop_assert!(cache.keys().count() == model.len() && cache.keys().all(|key| model.contains_key(key)));
                prop_assert_eq!(cache.bytes(), model.iter().map(|(key, value)| cost(key, value)).sum::<usize>());
                prop_assert!(cache.bytes() <= bound);
                // Reading marks entries as hot, so only some are read.
                for (key, value) in model.iter().filter(|(key, _)| key[0] % 2 == 0) {
                    prop_assert_eq!(cache.get(hash(key), key), Some(value.as_slice()));
                }
            }
        }
    }
}
