//! How the values of each type lie in a column's buffers. Public in name only: [`DataType`](super::DataType) is sealed by it.

use super::{Any, Json, Timestamp};

/// The values of a column, checked when the rows came: every offset is in range and, in text, between two characters.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// Eight bytes a value.
    Numbers(&'a [[u8; 8]]),
    /// One bit a value.
    Bits(&'a [u8]),
    /// Text, and one offset more than there are values.
    Text(&'a str, &'a [[u8; 4]]),
    /// Bytes, and one offset more than there are values.
    Bytes(&'a [u8], &'a [[u8; 4]]),
}

/// Values on their way out.
#[derive(Debug)]
pub enum NewValues {
    /// Eight bytes a value.
    Numbers(Vec<[u8; 8]>),
    /// One bit a value, and how many there are.
    Bits(Vec<u8>, usize),
    /// Bytes end to end, and where each value ends.
    Bytes(Vec<u8>, Vec<[u8; 4]>),
}

impl NewValues {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Bits(_, count) => *count,
            Self::Bytes(_, ends) => ends.len().saturating_sub(1),
        }
    }
}

/// How values of a type are found among [`Values`] and added to [`NewValues`].
pub trait Layout {
    /// A value.
    type Value<'a>: Copy;
    /// The buffers of a column of this type.
    type Values<'a>: Copy;

    /// The buffers, if they are of this type's layout.
    fn of<'a>(values: &Values<'a>) -> Option<Self::Values<'a>>;
    /// The value of a row, which may be of no meaning if the row is null; none past the end.
    fn get<'a>(values: Self::Values<'a>, row: usize) -> Option<Self::Value<'a>>;
    /// Adds a value, or, for a null, what takes its place.
    fn push(values: &mut NewValues, value: Option<Self::Value<'_>>);
}

/// A type of which each value is eight bytes.
pub trait Number: for<'a> Layout<Value<'a> = Self, Values<'a> = &'a [[u8; 8]]> + Copy + 'static {
    /// The value of these bytes.
    fn from_bytes(bytes: [u8; 8]) -> Self;
    /// The bytes of this value.
    fn to_bytes(self) -> [u8; 8];
}

/// Whether bit `row` is set.
#[must_use]
pub(crate) fn bit(bits: &[u8], row: usize) -> Option<bool> {
    bits.get(row / 8).map(|byte| byte >> (row % 8) & 1 == 1)
}

/// Adds bit number `row`, the last one.
pub(crate) fn push_bit(bits: &mut Vec<u8>, row: usize, value: bool) {
    if row.is_multiple_of(8) {
        bits.push(0);
    }
    if let Some(byte) = bits.last_mut() {
        *byte |= u8::from(value) << (row % 8);
    }
}

fn range(offsets: &[[u8; 4]], row: usize) -> Option<(usize, usize)> {
    let [from, to] = offsets.get(row..row + 2)?.first_chunk::<2>()?;
    Some((u32::from_le_bytes(*from) as usize, u32::from_le_bytes(*to) as usize))
}

fn push_bytes(values: &mut NewValues, value: &[u8]) {
    if let NewValues::Bytes(data, ends) = values {
        data.extend_from_slice(value);
        // The contract holds a column below 2^31 bytes; `finish` of the column refuses a longer one.
        ends.push((data.len() as u32).to_le_bytes());
    }
}

macro_rules! number {
    ($type:ty, $from:expr, $to:expr) => {
        impl Number for $type {
            #[inline]
            fn from_bytes(bytes: [u8; 8]) -> $type {
                $from(bytes)
            }

            #[inline]
            fn to_bytes(self) -> [u8; 8] {
                $to(self)
            }
        }

        impl Layout for $type {
            type Value<'a> = $type;
            type Values<'a> = &'a [[u8; 8]];

            #[inline]
            fn of<'a>(values: &Values<'a>) -> Option<Self::Values<'a>> {
                match values {
                    Values::Numbers(numbers) => Some(numbers),
                    _ => None,
                }
            }

            #[inline]
            fn get<'a>(values: Self::Values<'a>, row: usize) -> Option<Self::Value<'a>> {
                values.get(row).map(|bytes| <$type>::from_bytes(*bytes))
            }

            #[inline]
            fn push(values: &mut NewValues, value: Option<$type>) {
                if let NewValues::Numbers(numbers) = values {
                    numbers.push(value.map_or([0; 8], <$type>::to_bytes));
                }
            }
        }
    };
}
number!(i64, i64::from_le_bytes, i64::to_le_bytes);
number!(f64, f64::from_le_bytes, f64::to_le_bytes);
number!(Timestamp, |bytes| Timestamp(i64::from_le_bytes(bytes)), |time: Timestamp| time.0.to_le_bytes());

macro_rules! text {
    ($type:ty) => {
        impl Layout for $type {
            type Value<'a> = &'a str;
            type Values<'a> = (&'a str, &'a [[u8; 4]]);

            #[inline]
            fn of<'a>(values: &Values<'a>) -> Option<Self::Values<'a>> {
                match values {
                    Values::Text(text, offsets) => Some((text, offsets)),
                    _ => None,
                }
            }

            #[inline]
            fn get<'a>((text, offsets): Self::Values<'a>, row: usize) -> Option<&'a str> {
                let (from, to) = range(offsets, row)?;
                text.get(from..to)
            }

            #[inline]
            fn push(values: &mut NewValues, value: Option<&str>) {
                push_bytes(values, value.unwrap_or_default().as_bytes());
            }
        }
    };
}
text!(str);
text!(Json);

impl Layout for [u8] {
    type Value<'a> = &'a [u8];
    type Values<'a> = (&'a [u8], &'a [[u8; 4]]);

    #[inline]
    fn of<'a>(values: &Values<'a>) -> Option<Self::Values<'a>> {
        match values {
            Values::Bytes(bytes, offsets) => Some((bytes, offsets)),
            _ => None,
        }
    }

    #[inline]
    fn get<'a>((bytes, offsets): Self::Values<'a>, row: usize) -> Option<&'a [u8]> {
        let (from, to) = range(offsets, row)?;
        bytes.get(from..to)
    }

    #[inline]
    fn push(values: &mut NewValues, value: Option<&[u8]>) {
        push_bytes(values, value.unwrap_or_default());
    }
}

impl Layout for bool {
    type Value<'a> = bool;
    type Values<'a> = &'a [u8];

    #[inline]
    fn of<'a>(values: &Values<'a>) -> Option<Self::Values<'a>> {
        match values {
            Values::Bits(bits) => Some(bits),
            _ => None,
        }
    }

    #[inline]
    fn get<'a>(values: Self::Values<'a>, row: usize) -> Option<Self::Value<'a>> {
        bit(values, row)
    }

    #[inline]
    fn push(values: &mut NewValues, value: Option<bool>) {
        if let NewValues::Bits(bits, count) = values {
            push_bit(bits, *count, value.unwrap_or_default());
            *count += 1;
        }
    }
}

impl Layout for Any {
    type Value<'a> = ();
    type Values<'a> = ();

    #[inline]
    fn of<'a>(_: &Values<'a>) -> Option<()> {
        Some(())
    }

    #[inline]
    fn get<'a>((): Self::Values<'a>, _: usize) -> Option<Self::Value<'a>> {
        Some(())
    }

    #[inline]
    fn push(_: &mut NewValues, _: Option<()>) {}
}
