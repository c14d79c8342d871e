//! Between Arrow and the contract. What a type is called on both sides is here; `lower` borrows Arrow's buffers for the guest, `lift` makes arrays of what a guest
//! answers and believes none of it.

pub(super) mod lift;
pub(super) mod lower;

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, TimeUnit};

use super::bindings::FieldIn;
use super::error::OpenError;

/// The key of a field's metadata that tells `json` from `utf8`, which Arrow stores alike.
pub const TYPE_KEY: &str = "weir.type";

/// The value of that key.
pub const JSON: &str = "json";

const UTC: &str = "UTC";

// The contract's numbers are little-endian, and Arrow's are the machine's.
#[cfg(target_endian = "big")]
compile_error!("plugins take little-endian buffers, which this machine's Arrow arrays are not");

/// What the contract calls the type of a field; none: it has no word for it.
#[must_use]
pub fn data_type_text(field: &Field) -> Option<&'static str> {
    match field.data_type() {
        DataType::Boolean => Some("boolean"),
        DataType::Int64 => Some("int64"),
        DataType::Float64 => Some("float64"),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == UTC => Some("timestamp"),
        DataType::Utf8 if field.metadata().get(TYPE_KEY).is_some_and(|name| name == JSON) => Some(JSON),
        DataType::Utf8 => Some("utf8"),
        DataType::Binary => Some("binary"),
        _ => None,
    }
}

/// The field of a type that the contract calls `text`; none: it has no such type.
#[must_use]
pub fn field(name: &str, text: &str, nullable: bool) -> Option<Field> {
    let data_type = match text {
        "boolean" => DataType::Boolean,
        "int64" => DataType::Int64,
        "float64" => DataType::Float64,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        "utf8" | JSON => DataType::Utf8,
        "binary" => DataType::Binary,
        _ => return None,
    };
    let field = Field::new(name, data_type, nullable);
    Some(if text == JSON { field.with_metadata(HashMap::from([(TYPE_KEY.to_owned(), JSON.to_owned())])) } else { field })
}

/// A schema as guests see it.
pub(super) fn schema<'a>(schema: &'a Schema) -> Result<Vec<FieldIn<'a>>, OpenError> {
    let field = |field: &'a Arc<Field>| match data_type_text(field) {
        Some(data_type) => Ok(FieldIn { name: field.name(), data_type, nullable: field.is_nullable() }),
        None => Err(OpenError::Unsupported { column: field.name().clone(), data_type: field.data_type().to_string() }),
    };
    schema.fields().iter().map(field).collect()
}

/// The bits of a bitmap's last byte that no row has.
fn unused_bits(rows: usize) -> u8 {
    if rows.is_multiple_of(8) { 0 } else { 0xff << (rows % 8) }
}
