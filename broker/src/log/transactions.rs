//! Which transactions are open in a partition, and which offsets belong to aborted ones.

use std::collections::BTreeMap;

/// Transactions of a partition, open and aborted.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    /// Producer, and the first offset of its open transaction.
    open: BTreeMap<i64, i64>,
    /// In the order in which they ended.
    aborted: Vec<Aborted>,
}

/// A transaction whose records nobody is to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer_id: i64,
    pub(crate) first: i64,
    /// The offset of its marker.
    pub(crate) last: i64,
}

impl Transactions {
    pub(crate) fn is_open(&self, producer_id: i64) -> bool {
        self.open.contains_key(&producer_id)
    }

    pub(crate) fn first_open_offset(&self) -> Option<i64> {
        self.open.values().copied().min()
    }

    pub(crate) fn open_offset(&self, producer_id: i64) -> Option<i64> {
        self.open.get(&producer_id).copied()
    }

    /// A transactional batch was appended.
    pub(crate) fn open(&mut self, producer_id: i64, offset: i64) {
        self.open.entry(producer_id).or_insert(offset);
    }

    /// A marker was appended; a transaction that wrote nothing here leaves nothing.
    pub(crate) fn end(&mut self, producer_id: i64, is_commit: bool, marker: i64) {
        if let Some(first) = self.open.remove(&producer_id)
            && !is_commit
        {
            self.aborted.push(Aborted { producer_id, first, last: marker });
        }
    }

    /// The aborted ones that have records in `[from, to)`, with those that began before.
    pub(crate) fn aborted_within(&self, from: i64, to: i64) -> impl Iterator<Item = &Aborted> {
        // Their markers are in order: a reader at the end of a long log skips those before it at once.
        let first = self.aborted.partition_point(|aborted| aborted.last < from);
        self.aborted.iter().skip(first).filter(move |aborted| aborted.first < to)
    }

    /// What lies below the log's start is of no use any more.
    pub(crate) fn forget_below(&mut self, start: i64) {
        let gone = self.aborted.partition_point(|aborted| aborted.last < start);
        self.aborted.drain(..gone);
    }
}
