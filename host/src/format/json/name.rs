//! Which column does a field belong to? Producers write the fields of every record in the same order, so the order of the record before is
//! tried first: one masked comparison. Any other name is looked up.

use std::cmp::Ordering;

use super::cursor::{Broken, Cursor};
use crate::format::block::BLOCK;

/// The names of a schema's columns.
#[derive(Debug)]
pub(super) struct Names {
    /// By column.
    spelled: Vec<Spelled>,
    /// Sorted by length and bytes.
    sorted: Vec<(Box<str>, usize)>,
}

/// The order in which fields came last.
#[derive(Debug)]
pub(super) struct Order {
    /// By column, the column that came after it; the last is the one that came first.
    next: Vec<usize>,
    /// The column that came before this place.
    last: usize,
    scratch: Vec<u8>,
}

/// `"name":` as producers spell it, its first block as a number.
#[derive(Debug)]
struct Spelled {
    head: u128,
    mask: u128,
    tail: Box<[u8]>,
    len: usize,
}

impl Names {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut sorted: Vec<(Box<str>, usize)> = Vec::new();
        let mut spelled = Vec::new();
        for (column, name) in names.enumerate() {
            sorted.push((name.into(), column));
            spelled.push(Spelled::new(name));
        }
        sorted.sort_by(|(a, _), (b, _)| by_length(a.as_bytes(), b.as_bytes()));
        Self { spelled, sorted }
    }

    /// The order of the schema: what is expected of the first record.
    pub(super) fn order(&self) -> Order {
        let columns = self.spelled.len();
        Order { next: (1..=columns).chain([0]).collect(), last: columns, scratch: Vec::new() }
    }

    /// Reads a name and the colon after it, and says which column it names.
    #[inline]
    pub(super) fn read(&self, cursor: &mut Cursor<'_>, order: &mut Order) -> Result<Option<usize>, Broken> {
        if let Some(column) = order.next.get(order.last).copied()
            && let Some(spelled) = self.spelled.get(column)
            && spelled.is_at(cursor)
        {
            cursor.advance(spelled.len);
            order.last = column;
            return Ok(Some(column));
        }
        self.look_up(cursor, order)
    }

    #[inline(never)]
    fn look_up(&self, cursor: &mut Cursor<'_>, order: &mut Order) -> Result<Option<usize>, Broken> {
        cursor.expect(b'"', "a name in `\"`")?;
        let column = cursor.borrow_text(&mut order.scratch)?.and_then(|name| self.column(name));
        cursor.skip_space();
        cursor.expect(b':', "`:` after the name")?;
        if let Some(column) = column {
            if let Some(next) = order.next.get_mut(order.last) {
                *next = column;
            }
            order.last = column;
        }
        Ok(column)
    }

    fn column(&self, name: &[u8]) -> Option<usize> {
        let place = self.sorted.binary_search_by(|(other, _)| by_length(other.as_bytes(), name)).ok()?;
        self.sorted.get(place).map(|(_, column)| *column)
    }
}

impl Order {
    /// A record begins.
    #[inline]
    pub(super) fn restart(&mut self) {
        self.last = self.next.len().wrapping_sub(1);
    }
}

impl Spelled {
    fn new(name: &str) -> Self {
        // The shortest spelling: a name that JSON must escape is escaped here as well, or it could match across the fields of a record.
        let mut text = Vec::new();
        crate::format::json_out::write_text(name.as_bytes(), 0, name.len(), &mut text);
        text.push(b':');
        let mut head = [0; BLOCK];
        let mut mask = [0; BLOCK];
        for ((head, mask), byte) in head.iter_mut().zip(&mut mask).zip(&text) {
            (*head, *mask) = (*byte, 0xff);
        }
        let tail = text.get(BLOCK..).unwrap_or_default().into();
        Self { head: u128::from_le_bytes(head), mask: u128::from_le_bytes(mask), tail, len: text.len() }
    }

    /// True if the record goes on with this. A block may reach beyond the record, but no name that does is followed by a value.
    #[inline]
    fn is_at(&self, cursor: &Cursor<'_>) -> bool {
        (u128::from_le_bytes(cursor.block()) ^ self.head) & self.mask == 0
            && (self.tail.is_empty() || cursor.rest().get(BLOCK..).is_some_and(|rest| rest.starts_with(&self.tail)))
    }
}

fn by_length(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}
