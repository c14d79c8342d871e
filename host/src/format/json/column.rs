//! One column while it is read: the values so far, straight in Arrow's buffers, and the rule for what its type takes.

use std::sync::Arc;

use anyhow::{Context, bail};
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, TimeUnit};

use super::code;
use super::cursor::{Broken, Cursor, Text};
use super::number::{self, Integer};
use crate::format::{UNIT_KEY, base64, is_json, timestamp};

/// What a column takes. Made once from the schema.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Boolean,
    Int64,
    Float64,
    Timestamp { unit: Option<Unit>, zone: Option<Arc<str>> },
    Utf8,
    Json,
    Binary,
}

/// The unit of integers that stand for timestamps.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

/// What became of a value. All but `Value` leave a null in the column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Taken {
    Value,
    Null,
    Misfit(Misfit),
}

/// Why a value does not fit its column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Misfit {
    pub(super) code: &'static str,
    pub(super) expected: &'static str,
}

#[derive(Debug)]
pub(super) struct Column {
    values: Values,
    /// The rows that are null, ascending: few, as a rule, and so easily taken back.
    nulls: Vec<u32>,
    rows: u32,
}

#[derive(Debug)]
enum Values {
    Boolean(Vec<bool>),
    Int64(Vec<i64>),
    Float64(Vec<f64>),
    Timestamp { micros: Vec<i64>, unit: Option<Unit>, zone: Option<Arc<str>>, scratch: Vec<u8> },
    Utf8(Texts),
    Json(Texts),
    Binary { texts: Texts, scratch: Vec<u8> },
}

/// Byte strings end to end.
#[derive(Debug)]
struct Texts {
    data: Vec<u8>,
    offsets: Vec<i32>,
}

impl Kind {
    pub(super) fn of(field: &Field) -> anyhow::Result<Self> {
        Ok(match field.data_type() {
            DataType::Boolean => Self::Boolean,
            DataType::Int64 => Self::Int64,
            DataType::Float64 => Self::Float64,
            DataType::Timestamp(TimeUnit::Microsecond, zone) => Self::Timestamp { unit: Unit::of(field)?, zone: zone.clone() },
            DataType::Utf8 if is_json(field) => Self::Json,
            DataType::Utf8 => Self::Utf8,
            DataType::Binary => Self::Binary,
            other => bail!("column `{}` has type `{other}`, which JSON can't be read into", field.name()),
        })
    }
}

impl Unit {
    fn of(field: &Field) -> anyhow::Result<Option<Self>> {
        let Some(name) = field.metadata().get(UNIT_KEY) else { return Ok(None) };
        let unit = match name.as_str() {
            "s" => Some(Self::Seconds),
            "ms" => Some(Self::Millis),
            "us" => Some(Self::Micros),
            "ns" => Some(Self::Nanos),
            _ => None,
        };
        unit.map(Some).with_context(|| format!("column `{}` has unit `{name}`; expected `s`, `ms`, `us` or `ns`", field.name()))
    }

    /// `None` if it lies outside the years 0001 to 9999.
    fn micros(self, count: i64) -> Option<i64> {
        let micros = match self {
            Self::Seconds => count.checked_mul(1_000_000)?,
            Self::Millis => count.checked_mul(1000)?,
            Self::Micros => count,
            Self::Nanos => count.div_euclid(1000),
        };
        timestamp::in_range(micros).then_some(micros)
    }
}

impl Column {
    /// Empty, with room for `rows` values and for `bytes` of text.
    pub(super) fn new(kind: &Kind, rows: usize, bytes: usize) -> Self {
        let texts = || Texts::with_capacity(rows, bytes);
        let values = match kind {
            Kind::Boolean => Values::Boolean(Vec::with_capacity(rows)),
            Kind::Int64 => Values::Int64(Vec::with_capacity(rows)),
            Kind::Float64 => Values::Float64(Vec::with_capacity(rows)),
            Kind::Timestamp { unit, zone } => Values::Timestamp { micros: Vec::with_capacity(rows), unit: *unit, zone: zone.clone(), scratch: Vec::new() },
            Kind::Utf8 => Values::Utf8(texts()),
            Kind::Json => Values::Json(texts()),
            Kind::Binary => Values::Binary { texts: texts(), scratch: Vec::new() },
        };
        Self { values, nulls: Vec::new(), rows: 0 }
    }

    #[inline]
    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    /// Takes the value at the cursor as the next row, and goes past it. After `Broken` the column may hold half a row: `truncate` it.
    #[inline]
    pub(super) fn take(&mut self, cursor: &mut Cursor<'_>) -> Result<Taken, Broken> {
        let taken = self.values.take(cursor)?;
        if !matches!(taken, Taken::Value) {
            self.push_null();
            return Ok(taken);
        }
        self.rows = self.rows.wrapping_add(1);
        Ok(taken)
    }

    #[cold]
    pub(super) fn push_null(&mut self) {
        self.nulls.push(self.rows);
        self.rows += 1;
        match &mut self.values {
            Values::Boolean(values) => values.push(false),
            Values::Int64(values) | Values::Timestamp { micros: values, .. } => values.push(0),
            Values::Float64(values) => values.push(0.0),
            Values::Utf8(texts) | Values::Json(texts) | Values::Binary { texts, .. } => texts.push_nothing(),
        }
    }

    /// Takes rows back until there are `rows`.
    #[cold]
    pub(super) fn truncate(&mut self, rows: u32) {
        let len = rows as usize;
        match &mut self.values {
            Values::Boolean(values) => values.truncate(len),
            Values::Int64(values) | Values::Timestamp { micros: values, .. } => values.truncate(len),
            Values::Float64(values) => values.truncate(len),
            Values::Utf8(texts) | Values::Json(texts) | Values::Binary { texts, .. } => texts.truncate(len),
        }
        while self.nulls.pop_if(|null| *null >= rows).is_some() {}
        self.rows = rows;
    }

    pub(super) fn finish(self) -> ArrayRef {
        let nulls = self.null_buffer();
        match self.values {
            Values::Boolean(values) => Arc::new(BooleanArray::new(values.into(), nulls)),
            Values::Int64(values) => Arc::new(Int64Array::new(values.into(), nulls)),
            Values::Float64(values) => Arc::new(Float64Array::new(values.into(), nulls)),
            Values::Timestamp { micros, zone, .. } => Arc::new(TimestampMicrosecondArray::new(micros.into(), nulls).with_timezone_opt(zone)),
            Values::Utf8(texts) | Values::Json(texts) => {
                let (offsets, data) = texts.finish();
                Arc::new(StringArray::new(offsets, data, nulls))
            }
            Values::Binary { texts, .. } => {
                let (offsets, data) = texts.finish();
                Arc::new(BinaryArray::new(offsets, data, nulls))
            }
        }
    }

    fn null_buffer(&self) -> Option<NullBuffer> {
        if self.nulls.is_empty() {
            return None;
        }
        let mut bits = BooleanBufferBuilder::new(self.rows as usize);
        bits.append_n(self.rows as usize, true);
        for null in &self.nulls {
            bits.set_bit(*null as usize, false);
        }
        Some(NullBuffer::new(bits.finish()))
    }
}

impl Values {
    #[inline]
    fn take(&mut self, cursor: &mut Cursor<'_>) -> Result<Taken, Broken> {
        cursor.skip_space();
        let first = cursor.peek();
        match (self, first) {
            (Self::Utf8(texts), Some(b'"')) => {
                cursor.advance(1);
                if cursor.text(&mut texts.data)? == Text::LoneSurrogate {
                    texts.drop_last();
                    return Ok(Taken::Misfit(Misfit { code: code::NOT_UTF8, expected: "text without half a surrogate pair" }));
                }
                texts.end();
            }
            (Self::Timestamp { micros, scratch, .. }, Some(b'"')) => {
                cursor.advance(1);
                match cursor.borrow_text(scratch)?.and_then(timestamp::parse_iso) {
                    Some(timestamp) => micros.push(timestamp),
                    None => return Ok(Taken::Misfit(Misfit { code: code::BAD_FORMAT, expected: "a timestamp of ISO-8601 in the years 0001 to 9999" })),
                }
            }
            (Self::Float64(values), Some(b'-' | b'0'..=b'9')) => match number::float(cursor)? {
                Some(value) => values.push(value),
                None => return Ok(Taken::Misfit(Misfit { code: code::OUT_OF_RANGE, expected: "a number that a 64-bit float can hold" })),
            },
            (Self::Int64(values), Some(b'-' | b'0'..=b'9')) => match number::integer(cursor)? {
                Integer::Fits(value) => values.push(value),
                Integer::Fraction => return Ok(Taken::Misfit(Misfit { code: code::WRONG_TYPE, expected: "an integer" })),
                Integer::TooLarge => return Ok(Taken::Misfit(Misfit { code: code::OUT_OF_RANGE, expected: "an integer of 64 bits" })),
            },
            (values, _) => return values.take_rest(cursor, first),
        }
        Ok(Taken::Value)
    }

    /// The kinds and values that are rare.
    #[inline(never)]
    fn take_rest(&mut self, cursor: &mut Cursor<'_>, first: Option<u8>) -> Result<Taken, Broken> {
        if cursor.word("null") {
            return Ok(Taken::Null);
        }
        match (&mut *self, first) {
            (Self::Boolean(values), Some(b't' | b'f')) => {
                let from = cursor.at();
                cursor.skip_value()?;
                values.push(cursor.since(from) == b"true");
            }
            (Self::Json(texts), _) => {
                let from = cursor.at();
                cursor.skip_value()?;
                texts.data.extend_from_slice(cursor.since(from));
                texts.end();
            }
            (Self::Binary { texts, scratch }, Some(b'"')) => {
                cursor.advance(1);
                let text = cursor.borrow_text(scratch)?;
                if !text.is_some_and(|text| base64::decode(text, &mut texts.data)) {
                    texts.drop_last();
                    return Ok(Taken::Misfit(Misfit { code: code::BAD_FORMAT, expected: "base64 of the standard alphabet, padded" }));
                }
                texts.end();
            }
            (Self::Timestamp { micros, unit: Some(unit), .. }, Some(b'-' | b'0'..=b'9')) => match number::integer(cursor)? {
                Integer::Fits(count) => match unit.micros(count) {
                    Some(timestamp) => micros.push(timestamp),
                    None => return Ok(Taken::Misfit(Misfit { code: code::OUT_OF_RANGE, expected: "a timestamp in the years 0001 to 9999" })),
                },
                Integer::Fraction => return Ok(Taken::Misfit(Misfit { code: code::WRONG_TYPE, expected: "an integer timestamp" })),
                Integer::TooLarge => return Ok(Taken::Misfit(Misfit { code: code::OUT_OF_RANGE, expected: "a timestamp in the years 0001 to 9999" })),
            },
            _ => {
                cursor.skip_value()?;
                return Ok(Taken::Misfit(Misfit { code: code::WRONG_TYPE, expected: self.expected() }));
            }
        }
        Ok(Taken::Value)
    }

    fn expected(&self) -> &'static str {
        match self {
            Self::Boolean(_) => "`true` or `false`",
            Self::Int64(_) => "an integer",
            Self::Float64(_) => "a number",
            Self::Timestamp { unit: None, .. } => "a timestamp of ISO-8601 (for an integer declare `timestamp(ms)`, or another unit)",
            Self::Timestamp { unit: Some(_), .. } => "a timestamp of ISO-8601 or an integer",
            Self::Utf8(_) => "a string",
            Self::Json(_) => "a value",
            Self::Binary { .. } => "a string of base64",
        }
    }
}

impl Texts {
    fn with_capacity(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { data: Vec::with_capacity(bytes), offsets }
    }

    /// Ends the string whose bytes were appended to `data`.
    #[inline]
    fn end(&mut self) {
        // No string is longer than its spelling, and a chunk is below 2 GiB (`json.rs` sees to it).
        self.offsets.push(self.data.len() as i32);
    }

    fn push_nothing(&mut self) {
        self.offsets.extend(self.offsets.last().copied());
    }

    /// Takes back the bytes of a string that was not ended.
    fn drop_last(&mut self) {
        self.data.truncate(self.offsets.last().map_or(0, |end| *end as usize));
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.drop_last();
    }

    fn finish(self) -> (OffsetBuffer<i32>, Buffer) {
        (OffsetBuffer::new(ScalarBuffer::from(self.offsets)), Buffer::from_vec(self.data))
    }
}
