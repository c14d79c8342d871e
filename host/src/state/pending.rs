//! What an epoch has changed of one shard and has not committed: an overlay over the committed states. Throwing the epoch away is clearing this, and nothing
//! else.

use hashbrown::HashTable;

/// So many bytes, and as many for so many changes, are kept for the next epoch. With more, one large epoch would hold its memory for ever, in every shard of
/// every step; with less, each epoch would ask for it anew.
const KEPT_BYTES: usize = 128 << 10;

/// The changes of an epoch, the last one of each key.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Numbers of changes, by hash of the key.
    table: HashTable<u32>,
    changes: Vec<Change>,
    /// Keys and values end to end; what was replaced stays in it until the epoch ends.
    bytes: Vec<u8>,
}

/// A place in the buffer.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: usize,
    len: usize,
}

#[derive(Debug, Clone, Copy)]
struct Change {
    hash: u64,
    key: Span,
    /// None: deleted.
    value: Option<Span>,
    /// The length of the committed value; none: there is none.
    committed_len: Option<usize>,
}

/// One change, as it is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Changed<'a> {
    pub(super) hash: u64,
    pub(super) key: &'a [u8],
    /// None: deleted.
    pub(super) value: Option<&'a [u8]>,
    pub(super) committed_len: Option<usize>,
}

impl Pending {
    /// What the epoch has made of a key: none: nothing; some none: it was deleted.
    pub(super) fn get(&self, hash: u64, key: &[u8]) -> Option<Option<&[u8]>> {
        let change = self.changes.get(*self.find(hash, key)? as usize)?;
        Some(change.value.map(|value| self.slice(value)))
    }

    /// Changes a key again; false: the epoch has not changed it yet, and nothing has happened.
    pub(super) fn change_again(&mut self, hash: u64, key: &[u8], value: Option<&[u8]>) -> bool {
        let Some(&number) = self.find(hash, key) else { return false };
        let before = self.changes.get(number as usize).and_then(|change| change.value);
        let value = value.map(|value| match before {
            Some(before) if before.len >= value.len() => self.write_over(before, value),
            _ => self.append(value),
        });
        if let Some(change) = self.changes.get_mut(number as usize) {
            change.value = value;
        }
        true
    }

    /// Changes a key for the first time in the epoch.
    pub(super) fn change(&mut self, hash: u64, key: &[u8], value: Option<&[u8]>, committed_len: Option<usize>) {
        let key = self.append(key);
        let value = value.map(|value| self.append(value));
        let number = self.changes.len() as u32;
        self.changes.push(Change { hash, key, value, committed_len });
        let changes = &self.changes;
        self.table.insert_unique(hash, number, |&number| changes.get(number as usize).map_or(0, |change| change.hash));
    }

    /// Forgets the changes of all keys that `keep` refuses.
    pub(super) fn retain(&mut self, keep: impl Fn(&[u8]) -> bool) {
        let bytes = &self.bytes;
        let before = self.changes.len();
        self.changes.retain(|change| keep(slice(bytes, change.key)));
        if self.changes.len() == before {
            return;
        }
        self.table.clear();
        for (number, change) in self.changes.iter().enumerate() {
            let changes = &self.changes;
            self.table.insert_unique(change.hash, number as u32, |&number| changes.get(number as usize).map_or(0, |change| change.hash));
        }
    }

    /// Every change, in the order in which the keys came.
    pub(super) fn iter(&self) -> impl Iterator<Item = Changed<'_>> {
        self.changes.iter().map(|change| self.changed(change))
    }

    /// Every change whose key is in `from..to`, in order of the keys.
    pub(super) fn sorted(&self, from: &[u8], to: &[u8]) -> Vec<Changed<'_>> {
        let mut sorted: Vec<_> = self.iter().filter(|change| from <= change.key && change.key < to).collect();
        sorted.sort_unstable_by_key(|change| change.key);
        sorted
    }

    /// Forgets all changes, and keeps memory for as many as an epoch usually has.
    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.changes.clear();
        self.bytes.clear();
        self.table.shrink_to(KEPT_BYTES / size_of::<Change>(), |_| 0);
        self.changes.shrink_to(KEPT_BYTES / size_of::<Change>());
        self.bytes.shrink_to(KEPT_BYTES);
    }

    /// How many bytes the changes hold.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.changes.len() * (size_of::<Change>() + size_of::<u32>() + 1)
    }

    fn find(&self, hash: u64, key: &[u8]) -> Option<&u32> {
        self.table.find(hash, |&number| self.changes.get(number as usize).is_some_and(|change| self.slice(change.key) == key))
    }

    fn changed(&self, change: &Change) -> Changed<'_> {
        Changed { hash: change.hash, key: self.slice(change.key), value: change.value.map(|value| self.slice(value)), committed_len: change.committed_len }
    }

    fn slice(&self, span: Span) -> &[u8] {
        slice(&self.bytes, span)
    }

    fn append(&mut self, bytes: &[u8]) -> Span {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Span { from, len: bytes.len() }
    }

    fn write_over(&mut self, span: Span, bytes: &[u8]) -> Span {
        let span = Span { from: span.from, len: bytes.len() };
        if let Some(place) = self.bytes.get_mut(span.from..span.from + span.len) {
            place.copy_from_slice(bytes);
        }
        span
    }
}

fn slice(bytes: &[u8], span: Span) -> &[u8] {
    bytes.get(span.from..span.from + span.len).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_last_change_of_a_key_counts_and_what_was_committed_before_the_first_is_kept() {
        let mut pending = Pending::default();
        assert!(!pending.change_again(1, b"key", Some(b"x")), "not yet changed");
        pending.change(1, b"key", Some(b"long enough"), Some(4));
        // Shorter, in the same place; longer, in a new one; deleted; there again.
        for value in [Some(b"short".as_slice()), Some(b"longer than all before"), None, Some(b"back")] {
            assert!(pending.change_again(1, b"key", value));
            assert_eq!(pending.get(1, b"key"), Some(value));
        }
        assert_eq!(pending.get(1, b"other"), None, "the same hash is not the same key");
        let only = Changed { hash: 1, key: b"key", value: Some(b"back"), committed_len: Some(4) };
        assert_eq!(pending.iter().collect::<Vec<_>>(), [only]);
    }

    #[test]
    fn a_large_epoch_gives_its_memory_back() {
        let mut pending = Pending::default();
        for i in 0..50_000_u64 {
            pending.change(i, &i.to_be_bytes(), Some(&[0; 100]), None);
        }
        assert!(pending.bytes() > 5 << 20);
        pending.clear();
        let kept = pending.bytes.capacity() + pending.changes.capacity() * size_of::<Change>() + pending.table.allocation_size();
        assert!(kept <= 3 * KEPT_BYTES, "{kept}");
        assert!(pending.get(7, &7_u64.to_be_bytes()).is_none());
    }
}
