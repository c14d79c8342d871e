//! Group keys as bytes whose order is the order of the values. The encoding is ours and never changes (FORMAT.md, "Group key"), because keys outlive the
//! program that wrote them. This file knows columns and bytes; it knows nothing of windows, shards or the database.
//!
//! Columns follow each other, each self-delimiting, so no key is a prefix of another and no separator is needed:
//!
//! ```text
//! null             00
//! boolean          01  00 or 01
//! int64, timestamp 01  8 bytes, big-endian, sign bit flipped
//! float64          01  8 bytes, big-endian; negative: all bits flipped, else: sign bit flipped; -0.0 is 0.0, every NaN is one and the greatest
//! utf8, binary     01  the bytes, each 00 as 00 FF, then 00 01
//! ```

mod value;

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, FieldRef, Schema, TimeUnit};

use value::{END_OF_BYTES, NULL, PRESENT, from_ordered_f64, ordered_f64, read_escaped, take, write_escaped};
pub(super) use value::{from_ordered_i64, ordered_i64};

/// Turns the key columns of a batch into bytes, and back.
#[derive(Debug, Clone)]
pub struct KeyEncoder {
    columns: Vec<Column>,
}

/// Byte strings end to end, in one buffer that is used again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    bytes: Vec<u8>,
    /// Where each key ends; it begins where the one before ends.
    ends: Vec<usize>,
}

/// Bytes that no encoder wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("damaged group key at column `{column}`: expected {expected}")]
pub struct MalformedKey {
    /// The key column.
    pub column: String,
    /// What should have been there.
    pub expected: &'static str,
}

#[derive(Debug, Clone)]
struct Column {
    index: usize,
    field: FieldRef,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Boolean,
    Int64,
    Float64,
    Timestamp,
    Utf8,
    Binary,
}

impl KeyEncoder {
    /// An encoder of these columns of `schema`, in this order. `json` columns are `Utf8` here: they are equal when their text is.
    pub fn new(schema: &Schema, columns: &[usize]) -> anyhow::Result<Self> {
        let columns = columns.iter().map(|&index| {
            let field = schema
                .fields()
                .get(index)
                .ok_or_else(|| anyhow::anyhow!("key column number {index} does not exist: the rows have {} columns", schema.fields().len()))?;
            let kind = match field.data_type() {
                DataType::Boolean => Kind::Boolean,
                DataType::Int64 => Kind::Int64,
                DataType::Float64 => Kind::Float64,
                DataType::Timestamp(TimeUnit::Microsecond, _) => Kind::Timestamp,
                DataType::Utf8 => Kind::Utf8,
                DataType::Binary => Kind::Binary,
                other => {
                    anyhow::bail!("column `{}` of type {other} can't be a key: expected boolean, int64, float64, timestamp, utf8, binary or json", field.name())
                }
            };
            Ok(Column { index, field: Arc::clone(field), kind })
        });
        Ok(Self { columns: columns.collect::<anyhow::Result<_>>()? })
    }

    /// The key columns, as `decode` gives them.
    pub fn fields(&self) -> impl Iterator<Item = &FieldRef> {
        self.columns.iter().map(|column| &column.field)
    }

    /// Appends the key of every row of `batch`.
    pub fn encode(&self, batch: &RecordBatch, keys: &mut Keys) -> anyhow::Result<()> {
        let columns = self.columns.iter().map(|column| column.values(batch)).collect::<anyhow::Result<Vec<_>>>()?;
        keys.bytes.reserve(columns.iter().map(|column| column.encoded_bound(batch.num_rows())).sum());
        keys.ends.reserve(batch.num_rows());
        for row in 0..batch.num_rows() {
            for column in &columns {
                column.write(row, &mut keys.bytes);
            }
            keys.ends.push(keys.bytes.len());
        }
        Ok(())
    }

    /// The columns of these keys, one row a key.
    pub fn decode<'k>(&self, keys: impl IntoIterator<Item = &'k [u8]>) -> Result<Vec<ArrayRef>, MalformedKey> {
        let mut builders: Vec<Builder> = self.columns.iter().map(Builder::new).collect();
        let mut unescaped = Vec::new();
        for mut key in keys {
            for (column, builder) in self.columns.iter().zip(&mut builders) {
                builder.read(&mut key, &mut unescaped).map_err(|expected| MalformedKey { column: column.field.name().clone(), expected })?;
            }
            if !key.is_empty() {
                let column = self.columns.last().map_or_else(String::new, |column| column.field.name().clone());
                return Err(MalformedKey { column, expected: "the end of the key" });
            }
        }
        Ok(builders.into_iter().zip(&self.columns).map(|(builder, column)| builder.finish(&column.field)).collect())
    }
}

impl Keys {
    /// No keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the keys, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Appends one key.
    pub fn push(&mut self, key: &[u8]) {
        self.push_with(|bytes| bytes.extend_from_slice(key));
    }

    /// Appends the key that `write` appends to the buffer.
    pub(super) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Key `i`.
    #[must_use]
    pub fn get(&self, i: usize) -> Option<&[u8]> {
        let start = i.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.bytes.get(start..*self.ends.get(i)?)
    }

    /// All keys, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let (key, after) = rest.split_at_checked(end - start).unwrap_or((rest, &[]));
            rest = after;
            start = end;
            key
        })
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

impl<'k> FromIterator<&'k [u8]> for Keys {
    fn from_iter<I: IntoIterator<Item = &'k [u8]>>(from: I) -> Self {
        let mut keys = Self::new();
        from.into_iter().for_each(|key| keys.push(key));
        keys
    }
}

/// A key column of one batch.
struct Values<'a> {
    nulls: Option<&'a NullBuffer>,
    typed: Typed<'a>,
}

enum Typed<'a> {
    Boolean(&'a BooleanArray),
    Int64(&'a [i64]),
    Float64(&'a [f64]),
    /// Text or bytes; `plain`: no value has a zero byte, so that nothing needs an escape.
    Bytes {
        data: &'a [u8],
        offsets: &'a [i32],
        plain: bool,
    },
}

impl Column {
    fn values<'a>(&self, batch: &'a RecordBatch) -> anyhow::Result<Values<'a>> {
        let array = batch.columns().get(self.index).filter(|array| array.data_type() == self.field.data_type()).ok_or_else(|| {
            anyhow::anyhow!("key column `{}` is not column number {} of type {} in these rows", self.field.name(), self.index, self.field.data_type())
        })?;
        let typed = match self.kind {
            Kind::Boolean => Typed::Boolean(array.as_boolean()),
            Kind::Int64 => Typed::Int64(array.as_primitive::<Int64Type>().values()),
            Kind::Float64 => Typed::Float64(array.as_primitive::<Float64Type>().values()),
            Kind::Timestamp => Typed::Int64(array.as_primitive::<TimestampMicrosecondType>().values()),
            Kind::Utf8 => Typed::bytes(array.as_string::<i32>().value_data(), array.as_string::<i32>().value_offsets()),
            Kind::Binary => Typed::bytes(array.as_binary::<i32>().value_data(), array.as_binary::<i32>().value_offsets()),
        };
        Ok(Values { nulls: array.nulls(), typed })
    }
}

impl<'a> Typed<'a> {
    fn bytes(data: &'a [u8], offsets: &'a [i32]) -> Self {
        // A slice of an array still has the data of the whole.
        let used = offsets.first().zip(offsets.last()).and_then(|(&from, &to)| data.get(from as usize..to as usize)).unwrap_or_default();
        Self::Bytes { data, offsets, plain: !used.contains(&0) }
    }
}

impl Values<'_> {
    /// Room for the keys of `rows` rows, unless there are zero bytes to escape.
    fn encoded_bound(&self, rows: usize) -> usize {
        match self.typed {
            Typed::Boolean(_) => 2 * rows,
            Typed::Int64(_) | Typed::Float64(_) => 9 * rows,
            Typed::Bytes { offsets, .. } => {
                let used = offsets.first().zip(offsets.last()).map_or(0, |(from, to)| to.abs_diff(*from) as usize);
                used + 3 * rows
            }
        }
    }

    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "`row` is below the row count of the batch that the slices come from, and Arrow has checked offsets against data"
    )]
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            out.push(NULL);
            return;
        }
        out.push(PRESENT);
        match self.typed {
            Typed::Bytes { data, offsets, plain } => {
                let value = &data[offsets[row] as usize..offsets[row + 1] as usize];
                if plain {
                    out.extend_from_slice(value);
                } else {
                    write_escaped(value, out);
                }
                out.extend_from_slice(&END_OF_BYTES);
            }
            Typed::Int64(values) => out.extend_from_slice(&ordered_i64(values[row])),
            Typed::Float64(values) => out.extend_from_slice(&ordered_f64(values[row])),
            Typed::Boolean(values) => out.push(u8::from(values.value(row))),
        }
    }
}

/// A key column on its way back.
enum Builder {
    Boolean(BooleanBuilder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Utf8(StringBuilder),
    Binary(BinaryBuilder),
}

impl Builder {
    fn new(column: &Column) -> Self {
        match column.kind {
            Kind::Boolean => Self::Boolean(BooleanBuilder::new()),
            Kind::Int64 | Kind::Timestamp => Self::Int64(Int64Builder::new()),
            Kind::Float64 => Self::Float64(Float64Builder::new()),
            Kind::Utf8 => Self::Utf8(StringBuilder::new()),
            Kind::Binary => Self::Binary(BinaryBuilder::new()),
        }
    }

    /// Takes one value off the front of `key`, or says what should have been there.
    fn read(&mut self, key: &mut &[u8], unescaped: &mut Vec<u8>) -> Result<(), &'static str> {
        let present = match take::<1>(key) {
            Some([NULL]) => false,
            Some([PRESENT]) => true,
            _ => return Err("00 for null or 01 for a value"),
        };
        match self {
            Self::Boolean(builder) if present => builder.append_value(match take::<1>(key) {
                Some([0]) => false,
                Some([1]) => true,
                _ => return Err("00 for false or 01 for true"),
            }),
            Self::Int64(builder) if present => builder.append_value(from_ordered_i64(take(key).ok_or("8 bytes")?)),
            Self::Float64(builder) if present => builder.append_value(from_ordered_f64(take(key).ok_or("8 bytes")?)),
            Self::Utf8(builder) if present => {
                let value = read_escaped(key, unescaped)?;
                builder.append_value(std::str::from_utf8(value).map_err(|_| "UTF-8 text")?);
            }
            Self::Binary(builder) if present => builder.append_value(read_escaped(key, unescaped)?),
            Self::Boolean(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::Utf8(builder) => builder.append_null(),
            Self::Binary(builder) => builder.append_null(),
        }
        Ok(())
    }

    fn finish(self, field: &FieldRef) -> ArrayRef {
        match self {
            Self::Boolean(mut builder) => Arc::new(builder.finish()),
            Self::Float64(mut builder) => Arc::new(builder.finish()),
            Self::Utf8(mut builder) => Arc::new(builder.finish()),
            Self::Binary(mut builder) => Arc::new(builder.finish()),
            Self::Int64(mut builder) => match field.data_type() {
                DataType::Timestamp(_, zone) => {
                    let values: PrimitiveArray<TimestampMicrosecondType> = builder.finish().reinterpret_cast();
                    Arc::new(values.with_timezone_opt(zone.clone()))
                }
                _ => Arc::new(builder.finish()),
            },
        }
    }
}

#[cfg(test)]
mod tests;
