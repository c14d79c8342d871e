//! One value of a column as text. Objects and keys write the same values, so they share this.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_buffer::{BooleanBuffer, NullBuffer};

use super::{Lossy, write_text};
use crate::format::{base64, is_json, json, timestamp};

/// A column by its type.
#[derive(Debug)]
pub(in crate::format) struct View<'a> {
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
}

#[derive(Debug)]
enum Values<'a> {
    Boolean(&'a BooleanBuffer),
    Int64(&'a [i64]),
    Float64(&'a [f64]),
    Timestamp(&'a [i64]),
    Utf8(Texts<'a>),
    Json(Texts<'a>),
    Binary(Texts<'a>),
}

/// Byte strings end to end: string i is `data[offsets[i]..offsets[i + 1]]`.
#[derive(Debug)]
struct Texts<'a> {
    data: &'a [u8],
    offsets: &'a [i32],
}

impl<'a> View<'a> {
    /// `None` if there is no such column, or JSON can't say its type.
    pub(in crate::format) fn of(rows: &'a RecordBatch, column: usize) -> Option<Self> {
        let array = rows.columns().get(column)?;
        let values = if let Some(array) = array.as_string_opt::<i32>() {
            let texts = Texts { data: array.value_data(), offsets: array.value_offsets() };
            let is_json = rows.schema_ref().fields().get(column).is_some_and(|field| is_json(field));
            if is_json { Values::Json(texts) } else { Values::Utf8(texts) }
        } else if let Some(array) = array.as_primitive_opt::<TimestampMicrosecondType>() {
            Values::Timestamp(array.values())
        } else if let Some(array) = array.as_primitive_opt::<Int64Type>() {
            Values::Int64(array.values())
        } else if let Some(array) = array.as_primitive_opt::<Float64Type>() {
            Values::Float64(array.values())
        } else if let Some(array) = array.as_boolean_opt() {
            Values::Boolean(array.values())
        } else {
            let array = array.as_binary_opt::<i32>()?;
            Values::Binary(Texts { data: array.value_data(), offsets: array.value_offsets() })
        };
        Some(Self { nulls: array.nulls(), values })
    }

    #[inline]
    pub(in crate::format) fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    /// Appends a value that is not null as JSON. What JSON can't say is null, and counted.
    #[inline]
    pub(in crate::format) fn write_json(&self, row: usize, out: &mut Vec<u8>, lossy: &mut Lossy) {
        match &self.values {
            Values::Utf8(texts) => {
                let (from, len) = texts.range(row);
                write_text(texts.data, from, len, out);
            }
            Values::Timestamp(values) => {
                let start = out.len();
                out.push(b'"');
                if timestamp::write_iso(value(values, row), out) {
                    out.push(b'"');
                } else {
                    out.truncate(start);
                    out.extend_from_slice(b"null");
                    lossy.bad_timestamps += 1;
                }
            }
            Values::Int64(values) => out.extend_from_slice(itoa::Buffer::new().format(value(values, row)).as_bytes()),
            Values::Float64(values) => match value(values, row) {
                float if float.is_finite() => out.extend_from_slice(ryu::Buffer::new().format_finite(float).as_bytes()),
                _ => {
                    out.extend_from_slice(b"null");
                    lossy.non_finite += 1;
                }
            },
            Values::Boolean(values) => out.extend_from_slice(word(values.value(row))),
            Values::Json(texts) => write_raw(texts.get(row), out, lossy),
            Values::Binary(texts) => {
                out.push(b'"');
                base64::write(texts.get(row), out);
                out.push(b'"');
            }
        }
    }

    /// Appends a value that is not null as an element of a key. Unlike in a row two values never look the same: what JSON has no number for is
    /// a string, a timestamp that has no text its microseconds.
    pub(in crate::format) fn write_key_element(&self, row: usize, out: &mut Vec<u8>) {
        match &self.values {
            Values::Float64(values) if !value(values, row).is_finite() => {
                out.push(b'"');
                self.write_key(row, out);
                out.push(b'"');
            }
            Values::Timestamp(values) if !timestamp::in_range(value(values, row)) => self.write_key(row, out),
            _ => self.write_json(row, out, &mut Lossy::default()),
        }
    }

    /// Appends a value that is not null as a key of its own: its plain text, or its bytes.
    pub(in crate::format) fn write_key(&self, row: usize, out: &mut Vec<u8>) {
        match &self.values {
            Values::Utf8(texts) | Values::Json(texts) | Values::Binary(texts) => out.extend_from_slice(texts.get(row)),
            Values::Timestamp(values) => {
                let micros = value(values, row);
                if !timestamp::write_iso(micros, out) {
                    out.extend_from_slice(itoa::Buffer::new().format(micros).as_bytes());
                }
            }
            Values::Int64(values) => out.extend_from_slice(itoa::Buffer::new().format(value(values, row)).as_bytes()),
            Values::Float64(values) => match value(values, row) {
                float if float.is_finite() => out.extend_from_slice(ryu::Buffer::new().format_finite(float).as_bytes()),
                float if float.is_nan() => out.extend_from_slice(b"NaN"),
                float => out.extend_from_slice(if float > 0.0 { b"Infinity" } else { b"-Infinity" }),
            },
            Values::Boolean(values) => out.extend_from_slice(word(values.value(row))),
        }
    }
}

impl<'a> Texts<'a> {
    /// Where a string begins, and its length.
    #[inline]
    fn range(&self, row: usize) -> (usize, usize) {
        match self.offsets.get(row..) {
            Some([from, to, ..]) => (*from as usize, (*to as usize).wrapping_sub(*from as usize)),
            _ => (0, 0),
        }
    }

    fn get(&self, row: usize) -> &'a [u8] {
        let (from, len) = self.range(row);
        self.data.get(from..from + len).unwrap_or_default()
    }
}

/// A value of a row that is there.
#[inline]
fn value<T: Copy + Default>(values: &[T], row: usize) -> T {
    values.get(row).copied().unwrap_or_default()
}

fn word(value: bool) -> &'static [u8] {
    if value { b"true" } else { b"false" }
}

/// Appends text that should be JSON as it is, in one line.
fn write_raw(text: &[u8], out: &mut Vec<u8>, lossy: &mut Lossy) {
    if !json::is_value(text) {
        // A plugin's mistake must not break the record around it.
        lossy.bad_json += 1;
        return write_text(text, 0, text.len(), out);
    }
    let start = out.len();
    out.extend_from_slice(text);
    // Line ends can stand between tokens only, where a space means the same; a file of rows has one a line.
    if memchr::memchr2(b'\n', b'\r', text).is_some() {
        out.iter_mut().skip(start).filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    }
}
