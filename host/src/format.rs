//! Bytes to Arrow and back: the only place that knows what a record looks like on the wire.
//!
//! Owns JSON in and out, Kafka's raw columns and the text of timestamps, keys and binary values. Pure functions over
//! memory: no Kafka, no clock, no windows, no plugins. A record that does not fit is a result ([`BadRecord`]), not an error.

pub mod base64;
mod block;
pub mod json;
pub mod json_out;
pub mod key;
pub mod raw;
pub mod timestamp;

use arrow_array::RecordBatch;
use arrow_schema::Field;

pub use json::{JsonDecoder, OnBadField};
pub use json_out::{JsonEncoder, Lossy, row_json};
pub use key::{EncodedKeys, encode_key};

/// Key of a field's metadata that names the Weir type where Arrow has none of its own: `json` is `Utf8` with this set to `json`.
pub const TYPE_KEY: &str = "weir.type";

/// Key of a timestamp field's metadata: the unit of the integers that may stand for it, `s`, `ms`, `us` or `ns`.
pub const UNIT_KEY: &str = "weir.unit";

/// The values of a run of records, end to end: record `i` is `data[offsets[i]..offsets[i + 1]]`.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// The bytes of all records.
    pub data: &'a [u8],
    /// One more than there are records; of no records, one or none.
    pub offsets: &'a [u32],
    /// True: the record has no value (a tombstone). None: every record has one.
    pub nulls: Option<&'a [bool]>,
}

/// What a run of records became.
#[derive(Debug)]
pub struct Decoded {
    /// The rows, in the order of their records.
    pub rows: RecordBatch,
    /// The record of each row. None: every record made a row.
    pub kept: Option<Vec<u32>>,
    /// The records that made no row, in order.
    pub rejected: Vec<BadRecord>,
}

/// A record that made no row, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// Its number in the run.
    pub record: u32,
    /// The reason as one word, for metrics: a constant of [`json::code`].
    pub code: &'static str,
    /// The column that it does not fit, where it is about one.
    pub column: Option<String>,
    /// The reason as a sentence: what was expected, what came.
    pub reason: String,
}

/// Encoded rows, end to end: row `i` is `data[offsets[i]..offsets[i + 1]]`. Reusable: an encoder appends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The bytes of all rows.
    pub data: Vec<u8>,
    /// One more than there are rows; the first is 0.
    pub offsets: Vec<u32>,
}

impl<'a> Values<'a> {
    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// True if there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a record; `None` if it is null or there is no such record.
    #[must_use]
    pub fn get(&self, record: usize) -> Option<&'a [u8]> {
        if self.is_null(record) {
            return None;
        }
        self.data.get(self.range(record)?)
    }

    /// Where a record lies in `data`.
    fn range(&self, record: usize) -> Option<std::ops::Range<usize>> {
        match self.offsets.get(record..)? {
            [from, to, ..] => Some(*from as usize..*to as usize),
            _ => None,
        }
    }

    fn is_null(&self, record: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.get(record).copied().unwrap_or(false))
    }
}

impl Default for Encoded {
    fn default() -> Self {
        Self { data: Vec::new(), offsets: vec![0] }
    }
}

impl Encoded {
    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// True if there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of a row; `None` if there is no such row.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        match self.offsets.get(row..)? {
            [from, to, ..] => self.data.get(*from as usize..*to as usize),
            _ => None,
        }
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.data.clear();
        self.offsets.clear();
        self.offsets.push(0);
    }

    /// Ends the row whose bytes were appended to `data`.
    fn end_row(&mut self) {
        #[expect(clippy::expect_used, reason = "rows are encoded by the chunk, whose bytes are bounded a thousand times lower")]
        let end = u32::try_from(self.data.len()).expect("the rows of one call are below 4 GiB of text");
        self.offsets.push(end);
    }
}

/// True for a field whose text is a JSON value.
fn is_json(field: &Field) -> bool {
    field.metadata().get(TYPE_KEY).is_some_and(|name| name == "json")
}
