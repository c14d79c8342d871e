//! JSON in: a run of records to rows of a declared schema, in one pass from the bytes into Arrow's buffers.
//!
//! Every rule of what fits a column lives in `json/column.rs`, the grammar in `json/cursor.rs`; here are the record and the run. A field that
//! nobody reads is decoded all the same: whether a record is rejected must not depend on who looks at it.
//!
//! Own code and not a library, because this is the hottest loop of the host: 130 ns for an ad event of 209 bytes, where sonic-rs through serde into the same
//! buffers took 330 and serde_json 410 (`benches/json.rs`), and because a megabyte of `[` in a field that nobody declared overflows sonic-rs's stack.

mod column;
mod cursor;
mod name;
mod number;
mod skip;

use std::sync::Arc;

use anyhow::bail;
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};

use self::column::{Column, Kind, Misfit, Taken};
use self::cursor::{Broken, Cursor};
use self::name::{Names, Order};
use super::{BadRecord, Decoded, Values};

/// Why records are rejected, as one word.
pub mod code {
    /// The value is empty, or nothing but white space.
    pub const EMPTY_VALUE: &str = "empty-value";
    /// The record has no value (a tombstone).
    pub const NULL_VALUE: &str = "null-value";
    /// The record is not UTF-8, or a string of it escapes half a surrogate pair.
    pub const NOT_UTF8: &str = "not-utf8";
    /// The record is not JSON.
    pub const JSON_SYNTAX: &str = "json-syntax";
    /// The record is JSON, and nests deeper than is read.
    pub const TOO_DEEP: &str = "too-deep";
    /// The record is a JSON value other than an object.
    pub const NOT_AN_OBJECT: &str = "not-an-object";
    /// A value is of another type than its column.
    pub const WRONG_TYPE: &str = "wrong-type";
    /// A string is not the timestamp or base64 that its column takes.
    pub const BAD_FORMAT: &str = "bad-format";
    /// A number or timestamp is beyond what its column holds.
    pub const OUT_OF_RANGE: &str = "out-of-range";
    /// A required column is missing.
    pub const MISSING_COLUMN: &str = "missing-column";
    /// A required column is null.
    pub const NULL_COLUMN: &str = "null-column";
}

/// What becomes of a field that does not fit its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBadField {
    /// The record is rejected.
    #[default]
    Reject,
    /// The field is null; if the column is required, the record is rejected.
    Null,
}

/// Reads records of JSON into rows of one schema. Shared by threads.
#[derive(Debug)]
pub struct JsonDecoder {
    schema: SchemaRef,
    kinds: Vec<Kind>,
    names: Names,
    on_bad_field: OnBadField,
}

/// Rows while they are read.
struct Rows<'d> {
    decoder: &'d JsonDecoder,
    columns: Vec<Column>,
    /// How many rows are whole.
    rows: u32,
    order: Order,
    /// Fields of this record that do not fit, by column.
    bad: Vec<BadField>,
}

/// A field that does not fit, and where its value lies in the record.
struct BadField {
    column: usize,
    misfit: Misfit,
    value: std::ops::Range<usize>,
}

/// Why a record makes no row.
enum Refusal {
    Broken,
    BadField,
    NoObject { found: &'static str },
    Empty,
}

impl JsonDecoder {
    /// A decoder for rows of `schema`.
    ///
    /// # Errors
    /// For a column type that JSON can't be read into, an unknown unit of timestamps, and a name that stands twice.
    pub fn new(schema: &Schema, on_bad_field: OnBadField) -> anyhow::Result<Self> {
        let mut names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        names.sort_unstable();
        if let Some([name, _]) = names.array_windows().find(|[a, b]| a == b) {
            bail!("column `{name}` is declared twice");
        }
        let kinds = schema.fields().iter().map(|field| Kind::of(field)).collect::<anyhow::Result<_>>()?;
        let names = Names::new(schema.fields().iter().map(|field| field.name().as_str()));
        Ok(Self { schema: Arc::new(schema.clone()), kinds, names, on_bad_field })
    }

    /// The schema of the rows.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Decodes a run of records, each for itself: a bad one has no effect on the others.
    #[must_use]
    pub fn decode(&self, values: &Values<'_>) -> Decoded {
        // Nearly every chunk is UTF-8 as a whole, and then so is every string between two quotes of it.
        let is_utf8 = std::str::from_utf8(values.data).is_ok();
        let mut rows = Rows::new(self, values);
        let mut rejected = Vec::new();
        for record in 0..values.len() {
            let bad = match values.range(record) {
                _ if values.is_null(record) => Err(reject(code::NULL_VALUE, "the record has no value".into())),
                // The offsets of Arrow's text columns end there; a chunk is some 256 KB.
                Some(range) if range.end > i32::MAX as usize => Err(reject(code::OUT_OF_RANGE, "the record lies beyond 2 GiB of its chunk".into())),
                Some(range) => rows.read(values.data, range, is_utf8),
                None => Err(reject(code::EMPTY_VALUE, "the value is empty".into())),
            };
            if let Err(bad) = bad {
                rejected.push(BadRecord { record: record as u32, ..bad });
            }
        }
        let kept = (!rejected.is_empty()).then(|| kept(values.len(), &rejected));
        Decoded { rows: rows.finish(), kept, rejected }
    }
}

impl<'d> Rows<'d> {
    fn new(decoder: &'d JsonDecoder, values: &Values<'_>) -> Self {
        // Text is at most the data; which column it will be in nobody knows, so each gets its share and grows at most a few times.
        let bytes = values.data.len() / decoder.kinds.len().max(1);
        let columns = decoder.kinds.iter().map(|kind| Column::new(kind, values.len(), bytes)).collect();
        Self { decoder, columns, rows: 0, order: decoder.names.order(), bad: Vec::new() }
    }

    /// Reads one record: a row more, or the reason why not.
    fn read(&mut self, data: &[u8], range: std::ops::Range<usize>, is_utf8: bool) -> Result<(), BadRecord> {
        let record = data.get(range.clone()).unwrap_or_default();
        if !is_utf8 && let Err(error) = std::str::from_utf8(record) {
            return Err(reject(code::NOT_UTF8, format!("not UTF-8 from byte {}", error.valid_up_to())));
        }
        let mut cursor = Cursor::new(data.get(range.start..).unwrap_or_default(), record.len());
        self.record(&mut cursor).map_err(|refusal| {
            for column in &mut self.columns {
                column.truncate(self.rows);
            }
            self.explain(refusal, record, &cursor)
        })
    }

    #[inline]
    fn record(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
        cursor.skip_space();
        if !cursor.eat(b'{') {
            return Err(no_object(cursor));
        }
        self.order.restart();
        self.bad.clear();
        let taken = self.fields(cursor).map_err(|Broken| Refusal::Broken)?;
        if taken < self.columns.len() {
            self.fill();
        }
        if !self.bad.is_empty() {
            return Err(Refusal::BadField);
        }
        self.rows = self.rows.wrapping_add(1);
        Ok(())
    }

    /// Reads the fields of the object whose brace is behind, up to the record's end: how many columns got a value.
    #[inline]
    fn fields(&mut self, cursor: &mut Cursor<'_>) -> Result<usize, Broken> {
        let mut taken = 0usize;
        cursor.skip_space();
        if !cursor.eat(b'}') {
            loop {
                match self.decoder.names.read(cursor, &mut self.order)? {
                    Some(column) => taken = taken.wrapping_add(usize::from(self.field(column, cursor)?)),
                    None => cursor.skip_value()?,
                }
                cursor.skip_space();
                if !cursor.eat(b',') {
                    break;
                }
                cursor.skip_space();
            }
            cursor.expect(b'}', "`,` or `}`")?;
        }
        cursor.skip_space();
        if cursor.peek().is_some() {
            return Err(cursor.broken("nothing after the record"));
        }
        Ok(taken)
    }

    /// Reads the value of a column. False if this record had one for it already: the last counts, and only the last is judged.
    #[inline]
    fn field(&mut self, index: usize, cursor: &mut Cursor<'_>) -> Result<bool, Broken> {
        #[expect(clippy::indexing_slicing, reason = "names and columns are made from the same schema")]
        let column = &mut self.columns[index];
        let first = column.rows() == self.rows;
        if !first {
            column.truncate(self.rows);
            self.bad.retain(|bad| bad.column != index);
        }
        let from = cursor.at();
        let taken = column.take(cursor)?;
        if !matches!(taken, Taken::Value) {
            self.judge(index, taken, from..cursor.at());
        }
        Ok(first)
    }

    /// Notes a field that makes its record bad.
    #[cold]
    fn judge(&mut self, column: usize, taken: Taken, value: std::ops::Range<usize>) {
        let nullable = self.decoder.schema.fields().get(column).is_some_and(|field| field.is_nullable());
        let misfit = match taken {
            Taken::Misfit(misfit) if !nullable || self.decoder.on_bad_field == OnBadField::Reject => misfit,
            Taken::Null if !nullable => Misfit { code: code::NULL_COLUMN, expected: "a value, as the column is required" },
            _ => return,
        };
        self.bad.push(BadField { column, misfit, value });
    }

    /// Gives the columns that the record did not name their null.
    #[inline(never)]
    fn fill(&mut self) {
        for (index, (column, field)) in self.columns.iter_mut().zip(self.decoder.schema.fields()).enumerate() {
            if column.rows() > self.rows {
                continue;
            }
            column.push_null();
            if !field.is_nullable() {
                let misfit = Misfit { code: code::MISSING_COLUMN, expected: "a value, as the column is required" };
                self.bad.push(BadField { column: index, misfit, value: 0..0 });
            }
        }
    }

    #[cold]
    fn explain(&self, refusal: Refusal, record: &[u8], cursor: &Cursor<'_>) -> BadRecord {
        match (refusal, cursor.fault(), self.bad.first()) {
            (Refusal::Empty, ..) => reject(code::EMPTY_VALUE, "the value is empty".into()),
            (Refusal::NoObject { found }, ..) => reject(code::NOT_AN_OBJECT, format!("expected an object, got {found}: `{}`", excerpt(record))),
            (Refusal::BadField, _, Some(bad)) => self.explain_field(bad, record),
            (_, Some(fault), _) => {
                let found = match excerpt(record.get(fault.at..).unwrap_or_default()) {
                    nothing if nothing.is_empty() => "the end of the record".to_owned(),
                    text => format!("`{text}`"),
                };
                reject(fault.code, format!("not JSON at byte {}: expected {}, got {found}", fault.at, fault.expected))
            }
            _ => reject(code::JSON_SYNTAX, "not JSON".into()),
        }
    }

    fn explain_field(&self, bad: &BadField, record: &[u8]) -> BadRecord {
        let name = self.decoder.schema.fields().get(bad.column).map(|field| field.name().clone()).unwrap_or_default();
        let found = match bad.misfit.code {
            code::MISSING_COLUMN => "got no such field".to_owned(),
            _ => format!("got `{}`", excerpt(record.get(bad.value.clone()).unwrap_or_default().trim_ascii())),
        };
        let reason = format!("column `{name}`: expected {}, {found}", bad.misfit.expected);
        BadRecord { column: Some(name), ..reject(bad.misfit.code, reason) }
    }

    fn finish(self) -> RecordBatch {
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows as usize));
        let columns = self.columns.into_iter().map(Column::finish).collect();
        #[expect(clippy::expect_used, reason = "every row gives every column one value, of the field's type, and a required one no null")]
        RecordBatch::try_new_with_options(Arc::clone(&self.decoder.schema), columns, &options).expect("columns fit the schema they were made from")
    }
}

/// True if the text is one value of JSON.
pub(super) fn is_value(text: &[u8]) -> bool {
    let mut cursor = Cursor::new(text, text.len());
    cursor.skip_value().is_ok() && {
        cursor.skip_space();
        cursor.rest().is_empty()
    }
}

/// The record does not begin with a brace.
#[cold]
fn no_object(cursor: &mut Cursor<'_>) -> Refusal {
    let found = match cursor.peek() {
        None => return Refusal::Empty,
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b'-' | b'0'..=b'9') => "a number",
        Some(b't' | b'f' | b'n') if ["true", "false", "null"].iter().any(|word| cursor.rest().starts_with(word.as_bytes())) => "a bare word",
        Some(_) => {
            cursor.broken("`{`");
            return Refusal::Broken;
        }
    };
    Refusal::NoObject { found }
}

#[cold]
fn reject(code: &'static str, reason: String) -> BadRecord {
    BadRecord { record: 0, code, column: None, reason }
}

/// The beginning of a text, for a sentence.
fn excerpt(text: &[u8]) -> String {
    const MAX_CHARS: usize = 80;
    // Enough bytes for that many characters, cut before the last one that may be torn.
    let text = String::from_utf8_lossy(text.get(..MAX_CHARS * 4).unwrap_or(text));
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.into_owned(),
    }
}

/// The records that are not rejected.
#[cold]
fn kept(records: usize, rejected: &[BadRecord]) -> Vec<u32> {
    let mut rejected = rejected.iter().map(|bad| bad.record).peekable();
    (0..records as u32).filter(|record| rejected.next_if_eq(record).is_none()).collect()
}

#[cfg(test)]
mod tests;
