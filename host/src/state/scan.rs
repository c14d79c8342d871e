//! A shard's groups in order: what is stored, with what the epoch has changed laid over it.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

use anyhow::Context;
use rocksdb::DBRawIterator;

use super::StateError;
use super::pending::Changed;
use super::shard::StateKey;

/// The groups of one shard whose windows end within a range, in order of window end and then of group key.
pub struct Scan<'a> {
    /// None: none of the windows has a committed group.
    stored: Option<DBRawIterator<'a>>,
    /// The changes of the epoch in the same range, in the same order.
    changed: std::iter::Peekable<std::vec::IntoIter<Changed<'a>>>,
    /// The stored group at hand was given out, or is hidden by a change that was.
    past_stored: bool,
}

/// A group and its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group<'a> {
    /// The end of the group's window.
    pub end_us: i64,
    /// The encoded group key.
    pub group_key: &'a [u8],
    /// The state; `Segments::parse` reads it.
    pub state: &'a [u8],
}

enum Next<'a> {
    Stored,
    Changed { key: &'a [u8], value: &'a [u8] },
    End,
}

impl<'a> Scan<'a> {
    pub(super) fn new(stored: Option<DBRawIterator<'a>>, changed: Vec<Changed<'a>>) -> Self {
        Self { stored, changed: changed.into_iter().peekable(), past_stored: false }
    }

    /// The next group; none after the last. What was given out lives until the next call.
    pub fn advance(&mut self) -> Result<Option<Group<'_>>, StateError> {
        let (key, value) = match self.choose() {
            Next::Changed { key, value } => (key, value),
            Next::Stored => match self.stored.as_ref().and_then(DBRawIterator::item) {
                Some(item) => item,
                None => return Ok(None),
            },
            Next::End => {
                // IMPORTANT: an iterator that failed looks like one that is at its end.
                self.stored.as_ref().map_or(Ok(()), DBRawIterator::status).context("read states in order")?;
                return Ok(None);
            }
        };
        let StateKey { end_us, group_key, .. } =
            StateKey::parse(key).with_context(|| format!("damaged state key of {} bytes: expected shard, end and group key", key.len()))?;
        Ok(Some(Group { end_us, group_key, state: value }))
    }

    /// The lesser of both sides; of equals the change, which hides what is stored.
    fn choose(&mut self) -> Next<'a> {
        loop {
            if std::mem::take(&mut self.past_stored)
                && let Some(stored) = &mut self.stored
            {
                stored.next();
            }
            let stored = self.stored.as_ref().and_then(DBRawIterator::key);
            let order = match (stored, self.changed.peek()) {
                (None, None) => return Next::End,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(stored), Some(changed)) => stored.cmp(changed.key),
            };
            self.past_stored = order.is_le();
            if order.is_lt() {
                return Next::Stored;
            }
            if let Some(Changed { key, value: Some(value), .. }) = self.changed.next() {
                return Next::Changed { key, value };
            }
        }
    }
}

/// The part of `ends_us` that the epoch has not closed.
pub(super) fn open_part(ends_us: &RangeInclusive<i64>, closed_us: Option<i64>) -> Option<RangeInclusive<i64>> {
    let from = match closed_us {
        None => *ends_us.start(),
        Some(closed_us) => closed_us.checked_add(1)?.max(*ends_us.start()),
    };
    (from <= *ends_us.end()).then(|| from..=*ends_us.end())
}
