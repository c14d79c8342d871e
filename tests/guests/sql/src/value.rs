//! Values, and where they are read from.

use std::cmp::Ordering;

use weir_guest::{Column, Input, OpenError, Rows, Timestamp};

/// A value of SQL.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    /// Microseconds since 1970.
    Time(i64),
}

/// A column that an expression names.
#[derive(Debug)]
pub(crate) struct Reader {
    name: String,
    column: Typed,
}

#[derive(Debug)]
enum Typed {
    Int(Column<i64>),
    Float(Column<f64>),
    Bool(Column<bool>),
    Text(Column<str>),
    Time(Column<Timestamp>),
}

/// Readers of these columns, each once.
pub(crate) fn readers(input: &mut Input<'_>, mut names: Vec<String>) -> Result<Vec<Reader>, OpenError> {
    names.sort();
    names.dedup();
    let readers = names.into_iter().map(|name| {
        let data_type = input.field(&name)?.data_type.clone();
        let column = match data_type.as_str() {
            "int64" => Typed::Int(input.read(&name)?),
            "float64" => Typed::Float(input.read(&name)?),
            "boolean" => Typed::Bool(input.read(&name)?),
            "timestamp" => Typed::Time(input.read(&name)?),
            _ => Typed::Text(input.read(&name)?),
        };
        Ok(Reader { name, column })
    });
    readers.collect()
}

/// The value of a column in a row.
pub(crate) fn get(readers: &[Reader], rows: &Rows<'_>, name: &str, row: usize) -> Value {
    let Some(reader) = readers.iter().find(|reader| reader.name == name) else { return Value::Null };
    let value = match &reader.column {
        Typed::Int(column) => rows.get(*column, row).map(Value::Int),
        Typed::Float(column) => rows.get(*column, row).map(Value::Float),
        Typed::Bool(column) => rows.get(*column, row).map(Value::Bool),
        Typed::Text(column) => rows.get(*column, row).map(|text| Value::Text(text.to_owned())),
        Typed::Time(column) => rows.get(*column, row).map(|time| Value::Time(time.0)),
    };
    value.unwrap_or(Value::Null)
}

impl Value {
    /// How two values compare; none: one of them is null, or they are of kinds that do not.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) | (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            _ => Some(self.number()?.total_cmp(&other.number()?)),
        }
    }

    /// As a double.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "what SQL does, too")]
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }
}
