//! What an epoch does to one step's part of the database, as bytes: the same bytes that stand in PREPARED and that are applied. Values are absolute, so
//! applying a delta twice is applying it once.

use super::varint;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const DELETE_RANGE: u8 = 3;

/// Changes of one step's state, to be made in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    bytes: Vec<u8>,
}

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// The key has this value now.
    Put {
        /// The key.
        key: &'a [u8],
        /// The whole value.
        value: &'a [u8],
    },
    /// The key has no value now.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// No key in `from..to` has a value now.
    DeleteRange {
        /// The first key.
        from: &'a [u8],
        /// The key after the last.
        to: &'a [u8],
    },
}

impl Delta {
    /// No change.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a change after the others.
    pub fn push(&mut self, op: Op<'_>) {
        let (kind, first, second) = match op {
            Op::Put { key, value } => (PUT, key, Some(value)),
            Op::Delete { key } => (DELETE, key, None),
            Op::DeleteRange { from, to } => (DELETE_RANGE, from, Some(to)),
        };
        self.bytes.push(kind);
        varint::write_bytes(first, &mut self.bytes);
        if let Some(second) = second {
            varint::write_bytes(second, &mut self.bytes);
        }
    }

    /// The changes as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The changes, in order.
    #[cfg(test)]
    pub(super) fn ops(&self) -> impl Iterator<Item = Option<Op<'_>>> {
        ops(&self.bytes)
    }

    /// Whether there is no change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// The changes in `bytes`; a none, which is the last, where the bytes are no change.
pub(super) fn ops(mut bytes: &[u8]) -> impl Iterator<Item = Option<Op<'_>>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let op = read(&mut bytes);
        if op.is_none() {
            bytes = &[];
        }
        Some(op)
    })
}

fn read<'a>(from: &mut &'a [u8]) -> Option<Op<'a>> {
    let (&kind, rest) = from.split_first()?;
    *from = rest;
    let first = varint::read_bytes(from)?;
    Some(match kind {
        PUT => Op::Put { key: first, value: varint::read_bytes(from)? },
        DELETE => Op::Delete { key: first },
        DELETE_RANGE => Op::DeleteRange { from: first, to: varint::read_bytes(from)? },
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn changes_read_back_in_their_order_and_a_cut_one_is_seen() {
        let all =
            [Op::DeleteRange { from: b"a", to: b"c" }, Op::Put { key: b"a", value: &[7; 300] }, Op::Delete { key: b"" }, Op::Put { key: b"b", value: b"" }];
        let mut delta = Delta::new();
        all.into_iter().for_each(|op| delta.push(op));
        assert_eq!(delta.ops().collect::<Vec<_>>(), all.map(Some));
        let cut = &delta.as_bytes()[..delta.as_bytes().len() - 1];
        assert_eq!(ops(cut).last(), Some(None));
        assert_eq!(ops(&[9, 0]).collect::<Vec<_>>(), [None]);
    }
}
