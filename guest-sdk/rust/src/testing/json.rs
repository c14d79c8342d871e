//! JSON rows to columns and back.

use serde_json::{Number, Value};

use super::time;
use crate::output::Columns;
use crate::plan::{Computed, NewField};
use crate::rows::{Column as ColumnHandle, Rows as RowsView};
use crate::states::States;
use crate::types::{DataType, Json, Timestamp, Type};
use crate::wire::{Blobs, Column, Field, Rows};

/// A schema as pipelines write it.
pub(super) fn schema(columns: &[(&str, &str)]) -> Vec<Field> {
    let fields = columns.iter().map(|(name, ty)| {
        let (data_type, nullable) = ty.strip_suffix('?').map_or((*ty, false), |ty| (ty, true));
        Field { name: (*name).to_owned(), data_type: data_type.to_owned(), nullable }
    });
    fields.collect()
}

/// A column as pipelines write it.
pub(super) fn described(field: &Field) -> (String, String) {
    (field.name.clone(), format!("{}{}", field.data_type, if field.nullable { "?" } else { "" }))
}

/// A JSON array of objects as columns.
pub(super) fn rows(rows: &Value, schema: &[Field]) -> Rows {
    let Value::Array(rows) = rows else { panic!("rows are a JSON array of objects, not {rows}") };
    for (number, row) in rows.iter().enumerate() {
        let Value::Object(row) = row else { panic!("row {number} is not a JSON object: {row}") };
        if let Some(unknown) = row.keys().find(|key| !schema.iter().any(|field| field.name == **key)) {
            panic!("row {number}: the schema has no column `{unknown}`");
        }
    }
    Rows { count: rows.len() as u32, columns: schema.iter().map(|field| column(rows, field)).collect() }
}

/// The values of a column of `count` rows.
pub(super) fn values(column: &Column, field: &Field, count: usize) -> Vec<Value> {
    let ty = known(field);
    let rows = Rows { count: count as u32, columns: vec![column.clone()] };
    let rows = RowsView::new(&rows, &[ty]).unwrap_or_else(|error| panic!("column `{}`: {error}", field.name));
    fn all<T: DataType + ?Sized>(rows: &RowsView<'_>, value: impl Fn(T::Value<'_>) -> Value) -> Vec<Value> {
        rows.column(ColumnHandle::<T>::new(0)).iter().map(|cell| cell.map_or(Value::Null, &value)).collect()
    }
    match ty {
        Type::Boolean => all::<bool>(&rows, Value::Bool),
        Type::Int64 => all::<i64>(&rows, Value::from),
        Type::Float64 => all::<f64>(&rows, float),
        Type::Timestamp => all::<Timestamp>(&rows, |time| Value::String(time::write(time.0))),
        Type::Utf8 => all::<str>(&rows, |text| Value::String(text.to_owned())),
        Type::Binary => all::<[u8]>(&rows, |bytes| Value::String(String::from_utf8_lossy(bytes).into_owned())),
        Type::Json => all::<Json>(&rows, |text| serde_json::from_str(text).unwrap_or_else(|error| panic!("column `{}`: {error}: {text}", field.name))),
    }
}

/// Byte strings laid end to end.
pub(super) fn blobs(strings: &[Vec<u8>]) -> Blobs {
    let ends = strings.iter().scan(0, |end, string| {
        *end += string.len() as u32;
        Some(*end)
    });
    let offsets: Vec<_> = std::iter::once(0).chain(ends).map(u32::to_le_bytes).collect();
    Blobs { offsets: offsets.into_flattened(), data: strings.concat() }
}

/// Byte strings one by one.
pub(super) fn byte_strings(blobs: &Blobs) -> Vec<Vec<u8>> {
    let states = States::new(blobs).unwrap_or_else(|error| panic!("{error}"));
    states.iter().map(<[u8]>::to_vec).collect()
}

/// Little-endian numbers.
pub(super) fn numbers(bytes: &[u8]) -> Vec<usize> {
    bytes.as_chunks::<4>().0.iter().map(|number| u32::from_le_bytes(*number) as usize).collect()
}

/// Whether values are equal, numbers but for the last bits.
pub(super) fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| alike(value, other))),
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-12 * a.abs().max(b.abs()),
            _ => false,
        },
        _ => a == b,
    }
}

fn column(rows: &[Value], field: &Field) -> Column {
    let ty = known(field);
    let mut columns = Columns::new(&[NewField { name: field.name.clone(), ty, nullable: field.nullable }], rows.len());
    for (number, row) in rows.iter().enumerate() {
        let value = row.get(&field.name).filter(|value| !value.is_null());
        if value.is_none() && !field.nullable {
            panic!("row {number}: column `{}` is null, but its type `{}` has no `?`", field.name, field.data_type);
        }
        push(&mut columns, ty, value)
            .unwrap_or_else(|| panic!("row {number}: column `{}` is `{}`, not {}", field.name, field.data_type, row.get(&field.name).unwrap_or(&Value::Null)));
    }
    let mut made = columns.finish(rows.len()).unwrap_or_else(|error| panic!("{error}"));
    made.pop().unwrap_or_default()
}

/// Adds a value; none: it is of another type.
fn push(columns: &mut Columns, ty: Type, value: Option<&Value>) -> Option<()> {
    fn put<'v, T: DataType + ?Sized>(columns: &mut Columns, value: Option<&'v Value>, read: impl FnOnce(&'v Value) -> Option<T::Value<'v>>) -> Option<()> {
        let value = match value {
            None => None,
            Some(value) => Some(read(value)?),
        };
        columns.push(Computed::<T>::new(0), value);
        Some(())
    }
    match ty {
        Type::Boolean => put::<bool>(columns, value, Value::as_bool),
        Type::Int64 => put::<i64>(columns, value, Value::as_i64),
        Type::Float64 => put::<f64>(columns, value, |value| match value.as_str() {
            None => value.as_f64(),
            Some("NaN") => Some(f64::NAN),
            Some("Infinity") => Some(f64::INFINITY),
            Some("-Infinity") => Some(f64::NEG_INFINITY),
            Some(_) => None,
        }),
        Type::Timestamp => put::<Timestamp>(columns, value, |value| value.as_i64().or_else(|| time::read(value.as_str()?)).map(Timestamp)),
        Type::Utf8 => put::<str>(columns, value, Value::as_str),
        Type::Binary => put::<[u8]>(columns, value, |value| value.as_str().map(str::as_bytes)),
        Type::Json => {
            let text = value.map(Value::to_string);
            columns.push(Computed::<Json>::new(0), text.as_deref());
            Some(())
        }
    }
}

fn float(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => Value::from("NaN"),
        None if value > 0.0 => Value::from("Infinity"),
        None => Value::from("-Infinity"),
    }
}

fn known(field: &Field) -> Type {
    Type::named(&field.data_type).unwrap_or_else(|| panic!("column `{}`: no data type `{}`", field.name, field.data_type))
}
