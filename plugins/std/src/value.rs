//! One value of a column of any type: how it is read from rows, how it is ordered, how it lies in a state and how it stands in JSON.

use std::fmt::Write as _;

use weir_guest::{Any, Column, Input as Columns, Json, OpenError, Rows, Timestamp, Type, View};

use crate::codec::{Reader, Torn, write_unsigned};
use crate::numbers::{float_to_key, key_to_float};

/// A value, borrowed from the rows or the states of a call. Of values of one type, the order is the type's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Value<'a> {
    /// `boolean`, `int64`, `timestamp`, and `float64` as a number of the same order.
    Number(i64),
    /// `utf8`, `binary` and `json`.
    Bytes(&'a [u8]),
}

/// A column that values are read from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Input {
    /// Whether there is a value.
    Any(Column<Any>),
    /// `boolean`
    Boolean(Column<bool>),
    /// `int64`
    Int(Column<i64>),
    /// `float64`
    Float(Column<f64>),
    /// `timestamp`
    Time(Column<Timestamp>),
    /// `utf8`
    Text(Column<str>),
    /// `binary`
    Binary(Column<[u8]>),
    /// `json`
    Json(Column<Json>),
}

/// The values of an [`Input`] in the rows of a call.
#[derive(Clone, Copy)]
pub(crate) enum Values<'a> {
    Any(View<'a, Any>),
    Boolean(View<'a, bool>),
    Int(View<'a, i64>),
    Float(View<'a, f64>),
    Time(View<'a, Timestamp>),
    Text(View<'a, str>),
    Binary(View<'a, [u8]>),
    Json(View<'a, Json>),
}

impl Input {
    /// Asks for a column of this type.
    pub(crate) fn read(column: &str, ty: Type, columns: &mut Columns<'_>) -> Result<Self, OpenError> {
        Ok(match ty {
            Type::Boolean => Self::Boolean(columns.read(column)?),
            Type::Int64 => Self::Int(columns.read(column)?),
            Type::Float64 => Self::Float(columns.read(column)?),
            Type::Timestamp => Self::Time(columns.read(column)?),
            Type::Utf8 => Self::Text(columns.read(column)?),
            Type::Binary => Self::Binary(columns.read(column)?),
            Type::Json => Self::Json(columns.read(column)?),
        })
    }

    /// Its values.
    pub(crate) fn values<'a>(self, rows: &Rows<'a>) -> Values<'a> {
        match self {
            Self::Any(column) => Values::Any(rows.column(column)),
            Self::Boolean(column) => Values::Boolean(rows.column(column)),
            Self::Int(column) => Values::Int(rows.column(column)),
            Self::Float(column) => Values::Float(rows.column(column)),
            Self::Time(column) => Values::Time(rows.column(column)),
            Self::Text(column) => Values::Text(rows.column(column)),
            Self::Binary(column) => Values::Binary(rows.column(column)),
            Self::Json(column) => Values::Json(rows.column(column)),
        }
    }
}

impl<'a> Values<'a> {
    /// The value of a row; none: it is null.
    #[inline]
    pub(crate) fn get(self, row: usize) -> Option<Value<'a>> {
        match self {
            Self::Any(view) => view.get(row).map(|()| Value::Number(0)),
            Self::Boolean(view) => view.get(row).map(|value| Value::Number(i64::from(value))),
            Self::Int(view) => view.get(row).map(Value::Number),
            Self::Float(view) => view.get(row).map(|value| Value::Number(float_to_key(value))),
            Self::Time(view) => view.get(row).map(|time| Value::Number(time.0)),
            Self::Text(view) => view.get(row).map(|text| Value::Bytes(text.as_bytes())),
            Self::Binary(view) => view.get(row).map(Value::Bytes),
            Self::Json(view) => view.get(row).map(|text| Value::Bytes(text.as_bytes())),
        }
    }

    /// The value of a row as a double; none: it is null, or no number.
    #[inline]
    pub(crate) fn float(self, row: usize) -> Option<f64> {
        match self {
            Self::Int(view) => view.get(row).map(|value| value as f64),
            Self::Float(view) => view.get(row),
            _ => None,
        }
    }
}

impl<'a> Value<'a> {
    /// The value that stands for all that are equal to it: of the two zeros of `float64`, 0.0.
    #[inline]
    pub(crate) fn normal(self, ty: Type) -> Self {
        match self {
            Self::Number(NEGATIVE_ZERO) if ty == Type::Float64 => Self::Number(0),
            other => other,
        }
    }

    /// Reads a value of this type from a state.
    pub(crate) fn read(ty: Type, state: &mut Reader<'a>) -> Result<Self, Torn> {
        Ok(match ty {
            Type::Boolean => match state.byte()? {
                byte @ 0..=1 => Self::Number(i64::from(byte)),
                _ => return Err(Torn),
            },
            Type::Int64 | Type::Timestamp => Self::Number(i64::from_le_bytes(state.eight()?)),
            Type::Float64 => Self::Number(float_to_key(f64::from_le_bytes(state.eight()?))),
            Type::Utf8 | Type::Binary | Type::Json => Self::Bytes(state.string()?),
        })
    }

    /// Writes what [`Self::read`] reads.
    #[inline]
    pub(crate) fn write(self, ty: Type, bytes: &mut Vec<u8>) {
        match self {
            Self::Number(number) if ty == Type::Boolean => bytes.push(number as u8),
            Self::Number(key) if ty == Type::Float64 => bytes.extend_from_slice(&key_to_float(key).to_le_bytes()),
            Self::Number(number) => bytes.extend_from_slice(&number.to_le_bytes()),
            Self::Bytes(string) => {
                write_unsigned(string.len() as u64, bytes);
                bytes.extend_from_slice(string);
            }
        }
    }

    /// Writes the value as the JSON sink does, but for numbers that JSON has not: NaN and the infinities are strings here.
    pub(crate) fn write_json(self, ty: Type, json: &mut String) -> Result<(), Torn> {
        match (ty, self) {
            (Type::Boolean, Self::Number(number)) => json.push_str(if number == 0 { "false" } else { "true" }),
            (Type::Float64, Self::Number(key)) => match key_to_float(key) {
                nan if nan.is_nan() => json.push_str("\"NaN\""),
                infinite if infinite.is_infinite() => json.push_str(if infinite > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" }),
                finite => json.push_str(&serde_json::to_string(&finite).map_err(|_| Torn)?),
            },
            (Type::Timestamp, Self::Number(time)) => match jiff::Timestamp::from_microsecond(time) {
                Ok(time) => write!(json, "\"{time:.6}\"").map_err(|_| Torn)?,
                Err(_) => json.push_str("null"),
            },
            (_, Self::Number(number)) => write!(json, "{number}").map_err(|_| Torn)?,
            (Type::Json, Self::Bytes(text)) => json.push_str(str::from_utf8(text).map_err(|_| Torn)?),
            (Type::Binary, Self::Bytes(bytes)) => write_base64(bytes, json),
            (_, Self::Bytes(text)) => json.push_str(&serde_json::to_string(str::from_utf8(text).map_err(|_| Torn)?).map_err(|_| Torn)?),
        }
        Ok(())
    }
}

/// The key of -0.0.
const NEGATIVE_ZERO: i64 = -1;

/// Appends the standard base64 of RFC 4648, with padding, in quotes.
fn write_base64(bytes: &[u8], json: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    json.push('"');
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let sextet = group >> (18 - 6 * digit) & 63;
            json.push(if digit <= chunk.len() { DIGITS.get(sextet as usize).map_or('=', |digit| char::from(*digit)) } else { '=' });
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn json(value: Value<'_>, ty: Type) -> String {
        let mut json = String::new();
        value.write_json(ty, &mut json).unwrap();
        json
    }

    #[test]
    fn the_key_of_the_negative_zero_is_known() {
        assert_eq!(float_to_key(-0.0), NEGATIVE_ZERO);
        assert_eq!(Value::Number(float_to_key(-0.0)).normal(Type::Float64), Value::Number(float_to_key(0.0)));
        assert_eq!(Value::Number(-1).normal(Type::Int64), Value::Number(-1));
    }

    #[test]
    fn each_type_is_json_as_sinks_write_it() {
        assert_eq!(json(Value::Number(1), Type::Boolean), "true");
        assert_eq!(json(Value::Number(i64::MIN), Type::Int64), "-9223372036854775808");
        assert_eq!(json(Value::Number(float_to_key(0.1)), Type::Float64), "0.1");
        assert_eq!(json(Value::Number(float_to_key(f64::NEG_INFINITY)), Type::Float64), "\"-Infinity\"");
        assert_eq!(json(Value::Number(float_to_key(f64::NAN)), Type::Float64), "\"NaN\"");
        assert_eq!(json(Value::Number(1_500_000), Type::Timestamp), "\"1970-01-01T00:00:01.500000Z\"");
        assert_eq!(json(Value::Number(i64::MAX), Type::Timestamp), "null");
        assert_eq!(json(Value::Bytes("a\"é".as_bytes()), Type::Utf8), "\"a\\\"é\"");
        assert_eq!(json(Value::Bytes(b"{\"a\":1}"), Type::Json), "{\"a\":1}");
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(json(Value::Bytes(bytes.as_bytes()), Type::Binary), format!("\"{text}\""));
        }
        assert!(Value::Bytes(&[0xff]).write_json(Type::Utf8, &mut String::new()).is_err());
    }
}
