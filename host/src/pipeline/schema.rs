//! Owns the types that a document can name and what they are in Arrow, the columns of `raw` input, and Kafka's columns that `metadata` adds.
//!
//! | text | Arrow |
//! |---|---|
//! | `boolean`, `int64`, `float64`, `utf8`, `binary` | the type of that name |
//! | `timestamp` | `Timestamp(Microsecond, "UTC")` |
//! | `timestamp(s)`, `(ms)`, `(us)`, `(ns)` | the same, with the field's metadata `weir.unit` = `s`, `ms`, `us`, `ns` |
//! | `json` | `Utf8` with the field's metadata `weir.type` = `json` |

use std::collections::HashMap;
use std::str::FromStr;

use arrow_schema::{DataType, Field, TimeUnit};

use super::problem::did_you_mean;

/// The key of a field's metadata that holds the plugin contract's name of a type that Arrow has not.
pub(super) const TYPE_KEY: &str = "weir.type";
/// The key of a timestamp's metadata that holds the unit of the integers it is written as.
const UNIT_KEY: &str = "weir.unit";

/// The type of a declared column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// True or false.
    Boolean,
    /// A signed whole number of 64 bits.
    Int64,
    /// A double.
    Float64,
    /// A moment, in microseconds since 1970 in UTC.
    Timestamp(TimestampForm),
    /// Text.
    Utf8,
    /// Bytes.
    Binary,
    /// Any JSON value, as text.
    Json,
}

/// How a moment is written in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampForm {
    /// `timestamp`: ISO-8601 text; without a zone it is UTC.
    Iso8601,
    /// `timestamp(s)`: a whole number of seconds since 1970.
    Seconds,
    /// `timestamp(ms)`: of milliseconds.
    Milliseconds,
    /// `timestamp(us)`: of microseconds.
    Microseconds,
    /// `timestamp(ns)`: of nanoseconds; what is below a microsecond is cut off.
    Nanoseconds,
}

/// A declared type, `?` at its end for a column that may hold nulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declared {
    /// The type.
    pub column_type: ColumnType,
    /// Whether a null is allowed.
    pub nullable: bool,
}

/// Kafka's columns: all of them, with `value`, are the input of format `raw`; `metadata` adds some to another format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaColumn {
    /// The record's key, null when it has none.
    Key,
    /// The record's value, null for a tombstone.
    Value,
    /// The topic it was read from.
    Topic,
    /// The partition it was read from.
    Partition,
    /// Its offset there.
    Offset,
    /// Its time, as the producer or the broker set it.
    Timestamp,
    /// Its headers: a JSON array of `{"key": .., "value": ..}` in their order, the values in base64, or null. Null when there are none.
    Headers,
}

const TYPES: &[(&str, ColumnType)] = &[
    ("boolean", ColumnType::Boolean),
    ("int64", ColumnType::Int64),
    ("float64", ColumnType::Float64),
    ("timestamp", ColumnType::Timestamp(TimestampForm::Iso8601)),
    ("timestamp(s)", ColumnType::Timestamp(TimestampForm::Seconds)),
    ("timestamp(ms)", ColumnType::Timestamp(TimestampForm::Milliseconds)),
    ("timestamp(us)", ColumnType::Timestamp(TimestampForm::Microseconds)),
    ("timestamp(ns)", ColumnType::Timestamp(TimestampForm::Nanoseconds)),
    ("utf8", ColumnType::Utf8),
    ("binary", ColumnType::Binary),
    ("json", ColumnType::Json),
];

/// What other systems call them.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("string", "utf8"),
    ("text", "utf8"),
    ("varchar", "utf8"),
    ("int", "int64"),
    ("int32", "int64"),
    ("integer", "int64"),
    ("long", "int64"),
    ("bigint", "int64"),
    ("float", "float64"),
    ("double", "float64"),
    ("real", "float64"),
    ("bool", "boolean"),
    ("bytes", "binary"),
    ("datetime", "timestamp"),
    ("timestamp_ms", "timestamp(ms)"),
    ("struct", "json"),
    ("map", "json"),
    ("array", "json"),
];

impl ColumnType {
    /// The type as a document writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Timestamp(TimestampForm::Iso8601) => "timestamp",
            Self::Timestamp(TimestampForm::Seconds) => "timestamp(s)",
            Self::Timestamp(TimestampForm::Milliseconds) => "timestamp(ms)",
            Self::Timestamp(TimestampForm::Microseconds) => "timestamp(us)",
            Self::Timestamp(TimestampForm::Nanoseconds) => "timestamp(ns)",
            Self::Utf8 => "utf8",
            Self::Binary => "binary",
            Self::Json => "json",
        }
    }

    /// The field of a column.
    pub fn field(self, name: &str, nullable: bool) -> Field {
        let data_type = match self {
            Self::Boolean => DataType::Boolean,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Timestamp(_) => timestamp(),
            Self::Utf8 | Self::Json => DataType::Utf8,
            Self::Binary => DataType::Binary,
        };
        let mark = match self {
            Self::Json => (TYPE_KEY, "json"),
            Self::Timestamp(TimestampForm::Seconds) => (UNIT_KEY, "s"),
            Self::Timestamp(TimestampForm::Milliseconds) => (UNIT_KEY, "ms"),
            Self::Timestamp(TimestampForm::Microseconds) => (UNIT_KEY, "us"),
            Self::Timestamp(TimestampForm::Nanoseconds) => (UNIT_KEY, "ns"),
            _ => return Field::new(name, data_type, nullable),
        };
        Field::new(name, data_type, nullable).with_metadata(HashMap::from([(mark.0.to_owned(), mark.1.to_owned())]))
    }
}

impl KafkaColumn {
    /// All of them, in the order of `raw` input.
    pub const ALL: [Self; 7] = [Self::Key, Self::Value, Self::Topic, Self::Partition, Self::Offset, Self::Timestamp, Self::Headers];

    /// Its name as a column and in `metadata`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value => "value",
            Self::Topic => "topic",
            Self::Partition => "partition",
            Self::Offset => "offset",
            Self::Timestamp => "timestamp",
            Self::Headers => "headers",
        }
    }

    /// The column, under any name.
    pub fn field(self, name: &str) -> Field {
        match self {
            Self::Key | Self::Value => ColumnType::Binary.field(name, true),
            Self::Topic => ColumnType::Utf8.field(name, false),
            Self::Partition | Self::Offset => ColumnType::Int64.field(name, false),
            Self::Timestamp => ColumnType::Timestamp(TimestampForm::Iso8601).field(name, false),
            Self::Headers => ColumnType::Json.field(name, true),
        }
    }
}

impl FromStr for Declared {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, nullable) = text.strip_suffix('?').map_or((text, false), |name| (name, true));
        if let Some((_, column_type)) = TYPES.iter().find(|(known, _)| *known == name) {
            return Ok(Self { column_type: *column_type, nullable });
        }
        let other = OTHER_NAMES.iter().find(|(other, _)| name.eq_ignore_ascii_case(other)).map(|(_, known)| format!("`{known}` is its name here"));
        Err(other.unwrap_or_else(|| did_you_mean(name, TYPES.iter().map(|(known, _)| *known), "no such type")))
    }
}

/// The one type of moments.
pub(super) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The type of a field in a document's words, for messages.
pub fn type_text(field: &Field) -> String {
    if let Some(own) = field.metadata().get(TYPE_KEY) {
        return own.clone();
    }
    match field.data_type() {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int64 => "int64".to_owned(),
        DataType::Float64 => "float64".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Utf8 => "utf8".to_owned(),
        DataType::Binary => "binary".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_as_it_is_written() {
        for (text, column_type) in TYPES {
            assert_eq!(column_type.as_str(), *text);
            assert_eq!(text.parse(), Ok(Declared { column_type: *column_type, nullable: false }));
            assert_eq!(format!("{text}?").parse(), Ok(Declared { column_type: *column_type, nullable: true }));
        }
    }

    #[test]
    fn the_names_of_other_systems_lead_to_ours() {
        assert_eq!("String".parse::<Declared>(), Err("`utf8` is its name here".to_owned()));
        assert_eq!("bigint?".parse::<Declared>(), Err("`int64` is its name here".to_owned()));
        assert_eq!("timestmp".parse::<Declared>(), Err("did you mean `timestamp`?".to_owned()));
        assert_eq!("decimal".parse::<Declared>(), Err("no such type".to_owned()));
        assert!(OTHER_NAMES.iter().all(|(_, ours)| ours.parse::<Declared>().is_ok()));
    }

    #[test]
    fn json_is_text_with_a_mark() {
        let field = ColumnType::Json.field("a", true);
        assert_eq!((field.data_type(), type_text(&field).as_str()), (&DataType::Utf8, "json"));
        assert_eq!(type_text(&ColumnType::Utf8.field("a", true)), "utf8");
    }

    #[test]
    fn a_moment_carries_the_unit_it_is_written_in() {
        let unit = |text: &str| text.parse::<Declared>().unwrap().column_type.field("at", false).metadata().get(UNIT_KEY).cloned();
        assert_eq!(["timestamp", "timestamp(ms)"].map(unit), [None, Some("ms".to_owned())]);
        assert_eq!(KafkaColumn::Timestamp.field("at").metadata().get(UNIT_KEY), None);
    }
}
