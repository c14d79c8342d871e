//! Arrow to guest. A column goes as three borrowed slices: no element is touched. Only what Arrow allows and the contract does not is laid out anew: bitmaps that
//! begin within a byte or have bits past their end, and offsets that do not begin at 0.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, ByteArrayType, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, GenericByteArray, RecordBatch};
use arrow_buffer::{BooleanBuffer, OffsetBuffer, ToByteSlice};
use arrow_schema::{DataType, Schema, TimeUnit};

use super::super::bindings::{BlobsIn, ColumnIn};
use super::super::blobs::Blobs;

/// The buffers of a column, in the contract's layout.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Lowered<'a> {
    data: Cow<'a, [u8]>,
    offsets: Cow<'a, [u8]>,
    validity: Cow<'a, [u8]>,
}

impl Lowered<'_> {
    /// As the call takes it.
    pub(in super::super) fn column(&self) -> ColumnIn<'_> {
        ColumnIn { data: &self.data, offsets: &self.offsets, validity: &self.validity }
    }

    /// How many bytes it is.
    pub(in super::super) fn bytes(&self) -> usize {
        self.data.len() + self.offsets.len() + self.validity.len()
    }
}

/// The columns `reads` of a batch that has the columns of `schema`; otherwise what is wrong with the batch, which is the caller's fault and not the guest's.
pub(in super::super) fn columns<'a>(batch: &'a RecordBatch, schema: &Schema, reads: &[usize]) -> Result<Vec<Lowered<'a>>, String> {
    let lowered = |&index: &usize| {
        let field = schema.fields().get(index).ok_or_else(|| format!("there is no column {index}"))?;
        let fits = |array: &&ArrayRef| array.data_type() == field.data_type() && (field.is_nullable() || array.null_count() == 0);
        let array = batch.columns().get(index).filter(fits);
        let lowered = array.and_then(|array| column(array.as_ref()));
        lowered.ok_or_else(|| format!("column {index} of the input is not the `{}` of type {} that was opened", field.name(), field.data_type()))
    };
    reads.iter().map(lowered).collect()
}

/// A column, if its type is one of the contract's.
pub(in super::super) fn column(array: &dyn Array) -> Option<Lowered<'_>> {
    let mut lowered = match array.data_type() {
        DataType::Boolean => Lowered { data: bits(array.as_boolean_opt()?.values()), ..Lowered::default() },
        DataType::Int64 => numbers::<Int64Type>(array)?,
        DataType::Float64 => numbers::<Float64Type>(array)?,
        DataType::Timestamp(TimeUnit::Microsecond, _) => numbers::<TimestampMicrosecondType>(array)?,
        DataType::Utf8 => strings(array.as_string_opt()?)?,
        DataType::Binary => strings(array.as_binary_opt()?)?,
        _ => return None,
    };
    if let Some(nulls) = array.nulls().filter(|nulls| nulls.null_count() > 0) {
        lowered.validity = bits(nulls.inner());
    }
    Some(lowered)
}

/// Strings for a call; none: they are longer than the contract allows.
pub(in super::super) fn blobs(blobs: &Blobs) -> Option<BlobsIn<'_>> {
    i32::try_from(blobs.data.len()).ok()?;
    Some(BlobsIn { offsets: u32s(&blobs.offsets), data: &blobs.data })
}

/// Numbers for a call.
pub(in super::super) fn u32s(numbers: &[u32]) -> &[u8] {
    numbers.to_byte_slice()
}

fn numbers<T: ArrowPrimitiveType>(array: &dyn Array) -> Option<Lowered<'_>> {
    Some(Lowered { data: Cow::Borrowed(array.as_primitive_opt::<T>()?.values().inner().as_slice()), ..Lowered::default() })
}

fn strings<T: ByteArrayType<Offset = i32>>(array: &GenericByteArray<T>) -> Option<Lowered<'_>> {
    let offsets = array.offsets();
    let (from, to) = (*offsets.inner().first()?, *offsets.inner().last()?);
    let data = array.values().as_slice().get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)?;
    Some(Lowered { data: Cow::Borrowed(data), offsets: from_zero(offsets, from), ..Lowered::default() })
}

/// The offsets, the first of which is `first`, counted from there.
fn from_zero(offsets: &OffsetBuffer<i32>, first: i32) -> Cow<'_, [u8]> {
    if first == 0 {
        return Cow::Borrowed(offsets.inner().inner().as_slice());
    }
    Cow::Owned(offsets.iter().map(|offset| (offset - first).to_le_bytes()).collect::<Vec<_>>().into_flattened())
}

/// The bits from the first of a byte on, none set past the end.
fn bits(bits: &BooleanBuffer) -> Cow<'_, [u8]> {
    let bytes = bits.len().div_ceil(8);
    let unused = super::unused_bits(bits.len());
    let from = bits.offset() / 8;
    if bits.offset().is_multiple_of(8)
        && let Some(whole) = bits.values().get(from..from + bytes)
        && whole.last().is_none_or(|last| last & unused == 0)
    {
        return Cow::Borrowed(whole);
    }
    let mut shifted = bits.sliced().as_slice().to_vec();
    shifted.truncate(bytes);
    if let Some(last) = shifted.last_mut() {
        *last &= !unused;
    }
    Cow::Owned(shifted)
}
