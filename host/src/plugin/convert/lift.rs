//! Guest to Arrow. Nothing that a guest answers is believed: every count, offset, bitmap and text is checked before an array is made of it. A buffer that wasmtime
//! happened to put at an aligned address becomes Arrow's without a copy.

use std::sync::Arc;

use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};

use super::super::bindings::{BlobsOut, ColumnOut, FieldOut, Rejection, RowsOut};
use super::super::blobs::Blobs;
use super::super::error::Malformed;
use super::field;

/// A field of a type that the host knows.
pub(in super::super) fn output_field(out: &FieldOut) -> Result<Field, Malformed> {
    field(&out.name, &out.data_type, out.nullable).ok_or_else(|| {
        let what = format!("its type is `{}`; expected one of boolean, int64, float64, timestamp, utf8, binary, json", out.data_type);
        Malformed::new(format!("output column `{}`", out.name), what)
    })
}

/// A schema whose names are unique.
pub(in super::super) fn output_schema(fields: Vec<Field>) -> Result<SchemaRef, Malformed> {
    let mut names: Vec<_> = fields.iter().map(Field::name).collect();
    names.sort_unstable();
    let twice = names.windows(2).find(|pair| pair.first() == pair.last()).and_then(<[_]>::first);
    match twice {
        Some(name) => Err(Malformed::new("the output schema", format!("it has the column `{name}` twice"))),
        None => Ok(Arc::new(Schema::new(fields))),
    }
}

/// The columns that a function reads, as indices into an input of `columns`.
pub(in super::super) fn reads(reads: &[u32], columns: usize) -> Result<Vec<usize>, Malformed> {
    let index = |&read: &u32| match usize::try_from(read) {
        Ok(index) if index < columns => Ok(index),
        _ => Err(Malformed::new("`reads`", format!("it names column {read} of an input of {columns}"))),
    };
    reads.iter().map(index).collect()
}

/// Rows of a schema, as many as `expected`.
pub(in super::super) fn rows(schema: &SchemaRef, out: RowsOut, expected: usize) -> Result<RecordBatch, Malformed> {
    if out.count as usize != expected {
        return Err(Malformed::new("the rows", format!("there are {}, expected {expected}", out.count)));
    }
    let arrays = columns(schema.fields(), out.columns, expected)?;
    batch(schema, arrays, expected)
}

/// Arrays of as many columns as there are fields, of `rows` values each.
pub(in super::super) fn columns(fields: &[FieldRef], out: Vec<ColumnOut>, rows: usize) -> Result<Vec<ArrayRef>, Malformed> {
    if out.len() != fields.len() {
        return Err(Malformed::new("the columns", format!("there are {}, expected {}", out.len(), fields.len())));
    }
    let array = |(field, out): (&FieldRef, _)| column(field, out, rows).map_err(|what| Malformed::new(format!("column `{}`", field.name()), what));
    fields.iter().zip(out).map(array).collect()
}

/// A batch of arrays that have the schema's types and `rows` values each.
pub(in super::super) fn batch(schema: &SchemaRef, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, Malformed> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options).map_err(|error| Malformed::new("the rows", error.to_string()))
}

/// States, as many as `expected`.
pub(in super::super) fn blobs(out: BlobsOut, expected: usize) -> Result<Blobs, Malformed> {
    let offsets = u32s(&out.offsets);
    check_offsets(&offsets, out.offsets.len(), expected, out.data.len()).map_err(|what| Malformed::new("the states", what))?;
    Ok(Blobs { offsets, data: out.data })
}

/// Which input row each output row comes from: rows of an input of `rows`, never falling.
pub(in super::super) fn origin(bytes: &[u8], rows: usize) -> Result<Vec<u32>, Malformed> {
    let malformed = |what| Err(Malformed::new("`origin`", what));
    if !bytes.len().is_multiple_of(4) {
        return malformed(format!("it has {} bytes, which is not a number of u32s", bytes.len()));
    }
    let origin = u32s(bytes);
    if !origin.is_sorted() {
        return malformed("it falls".to_owned());
    }
    match origin.last() {
        Some(&last) if last as usize >= rows => malformed(format!("it names row {last} of an input of {rows}")),
        _ => Ok(origin),
    }
}

/// The rejections in the order of their rows: each row once, in an input of `rows`, and none that comes out.
pub(in super::super) fn rejections(mut rejected: Vec<Rejection>, origin: Option<&[u32]>, rows: usize) -> Result<Vec<Rejection>, Malformed> {
    let malformed = |what| Err(Malformed::new("`rejected`", what));
    let Some(origin) = origin else {
        return if rejected.is_empty() { Ok(rejected) } else { malformed("there are rejected rows, and no `origin`".to_owned()) };
    };
    rejected.sort_by_key(|rejection| rejection.row);
    for rejection in &rejected {
        if rejection.row as usize >= rows {
            return malformed(format!("it names row {} of an input of {rows}", rejection.row));
        }
        if origin.binary_search(&rejection.row).is_ok() {
            return malformed(format!("row {} is rejected and comes out as well", rejection.row));
        }
    }
    match rejected.windows(2).find_map(|pair| match pair {
        [a, b] if a.row == b.row => Some(a.row),
        _ => None,
    }) {
        Some(row) => malformed(format!("row {row} is rejected twice")),
        None => Ok(rejected),
    }
}

fn column(field: &Field, out: ColumnOut, rows: usize) -> Result<ArrayRef, String> {
    let nulls = nulls(field, out.validity, rows)?;
    let is_text = matches!(field.data_type(), DataType::Utf8 | DataType::Binary);
    if !is_text && !out.offsets.is_empty() {
        return Err(format!("it has {} bytes of offsets, expected none", out.offsets.len()));
    }
    Ok(match field.data_type() {
        DataType::Boolean => Arc::new(BooleanArray::new(bits("data", out.data, rows)?, nulls)),
        DataType::Int64 => Arc::new(numbers::<Int64Type>(out.data, rows, nulls)?),
        DataType::Float64 => Arc::new(numbers::<Float64Type>(out.data, rows, nulls)?),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => {
            Arc::new(numbers::<TimestampMicrosecondType>(out.data, rows, nulls)?.with_timezone(Arc::clone(zone)))
        }
        DataType::Utf8 => {
            let offsets = offsets(out.offsets, rows, out.data.len())?;
            Arc::new(StringArray::try_new(offsets, Buffer::from_vec(out.data), nulls).map_err(|error| format!("it is not UTF-8: {error}"))?)
        }
        DataType::Binary => {
            let offsets = offsets(out.offsets, rows, out.data.len())?;
            Arc::new(BinaryArray::try_new(offsets, Buffer::from_vec(out.data), nulls).map_err(|error| error.to_string())?)
        }
        other => return Err(format!("the type {other} is not one of the contract")),
    })
}

fn nulls(field: &Field, validity: Vec<u8>, rows: usize) -> Result<Option<NullBuffer>, String> {
    if validity.is_empty() {
        return Ok(None);
    }
    if !field.is_nullable() {
        return Err("it has a validity bitmap and is not nullable".to_owned());
    }
    let nulls = NullBuffer::new(bits("validity", validity, rows)?);
    Ok(Some(nulls).filter(|nulls| nulls.null_count() > 0))
}

fn bits(name: &str, bytes: Vec<u8>, rows: usize) -> Result<BooleanBuffer, String> {
    if bytes.len() != rows.div_ceil(8) {
        return Err(format!("its {name} has {} bytes, expected {} for {rows} rows", bytes.len(), rows.div_ceil(8)));
    }
    if bytes.last().is_some_and(|last| last & super::unused_bits(rows) != 0) {
        return Err(format!("its {name} has bits set past row {rows}"));
    }
    Ok(BooleanBuffer::new(Buffer::from_vec(bytes), 0, rows))
}

fn numbers<T: ArrowPrimitiveType>(data: Vec<u8>, rows: usize, nulls: Option<NullBuffer>) -> Result<PrimitiveArray<T>, String> {
    let expected = rows.saturating_mul(size_of::<T::Native>());
    if data.len() != expected {
        return Err(format!("its data has {} bytes, expected {expected} for {rows} rows", data.len()));
    }
    let values = ScalarBuffer::new(aligned::<T::Native>(data), 0, rows);
    PrimitiveArray::try_new(values, nulls).map_err(|error| error.to_string())
}

fn offsets(bytes: Vec<u8>, rows: usize, data: usize) -> Result<OffsetBuffer<i32>, String> {
    let len = bytes.len();
    let buffer = aligned::<i32>(bytes);
    let offsets: &[i32] = buffer.typed_data();
    // Numbers from 2^31 on are negative here, so that they fall.
    check_offsets(offsets, len, rows, data)?;
    Ok(OffsetBuffer::new(ScalarBuffer::new(buffer, 0, rows + 1)))
}

/// Offsets of `count` strings in `data` bytes.
fn check_offsets<N: TryInto<usize> + Copy + PartialOrd + Default>(offsets: &[N], bytes: usize, count: usize, data: usize) -> Result<(), String> {
    if Some(bytes) != count.checked_add(1).and_then(|offsets| offsets.checked_mul(4)) {
        return Err(format!("there are {bytes} bytes of offsets, expected {} for {count}", (count.saturating_add(1)).saturating_mul(4)));
    }
    if i32::try_from(data).is_err() {
        return Err(format!("there are {data} bytes of data, which is not below 2^31"));
    }
    if offsets.first().is_none_or(|first| *first != N::default()) {
        return Err("the first offset is not 0".to_owned());
    }
    if !offsets.is_sorted() {
        return Err("an offset falls".to_owned());
    }
    match offsets.last().map(|last| (*last).try_into()) {
        Some(Ok(last)) if last == data => Ok(()),
        _ => Err(format!("the last offset is not {data}, the length of the data")),
    }
}

fn u32s(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
}

/// The bytes where numbers of type `N` may lie. Allocators align what is larger than a few words, so this hardly ever copies.
fn aligned<N>(bytes: Vec<u8>) -> Buffer {
    let buffer = Buffer::from_vec(bytes);
    if buffer.as_ptr().cast::<N>().is_aligned() { buffer } else { Buffer::from(buffer.as_slice()) }
}
