//! Kafka's records as they are: Spark's columns, so that a parser is an ordinary transform.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};

use super::{TYPE_KEY, Values, base64, json_out};

/// A run of records of one partition.
#[derive(Debug, Clone, Copy)]
pub struct RawRecords<'a> {
    /// Their keys, null where a record has none. None: no record has one.
    pub keys: Option<Values<'a>>,
    /// Their values; null where a record has none (a tombstone).
    pub values: Values<'a>,
    /// The topic of all of them.
    pub topic: &'a str,
    /// The partition of all of them.
    pub partition: i32,
    /// Kafka's offset of each.
    pub offsets: &'a [i64],
    /// The timestamp of each, in milliseconds since 1970-01-01T00:00:00Z. Kafka's -1, for none, is a millisecond like any other here, as in Spark.
    pub timestamps_ms: &'a [i64],
    /// The headers of each as text of [`write_headers`], null where there are none. None: no record has any.
    pub headers: Option<Values<'a>>,
}

/// The schema of raw rows: `key` binary?, `value` binary?, `topic` utf8, `partition` int64, `offset` int64, `timestamp` timestamp, `headers` json?.
#[must_use]
pub fn columns() -> Schema {
    let json = HashMap::from([(TYPE_KEY.to_owned(), "json".to_owned())]);
    Schema::new(vec![
        Field::new("key", DataType::Binary, true),
        Field::new("value", DataType::Binary, true),
        Field::new("topic", DataType::Utf8, false),
        Field::new("partition", DataType::Int64, false),
        Field::new("offset", DataType::Int64, false),
        Field::new("timestamp", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        Field::new("headers", DataType::Utf8, true).with_metadata(json),
    ])
}

/// The rows of a run, in the schema of [`columns`].
///
/// # Errors
/// If the lists of the run differ in length or hold more than 2 GiB.
pub fn rows(records: &RawRecords<'_>) -> Result<RecordBatch, ArrowError> {
    let count = records.values.len();
    let arrays: Vec<ArrayRef> = vec![
        records.keys.map_or_else(|| Ok(BinaryArray::new_null(count)), binary).map(Arc::new)?,
        Arc::new(binary(records.values)?),
        Arc::new(StringArray::new_repeated(records.topic, count)),
        Arc::new(Int64Array::from_value(records.partition.into(), count)),
        Arc::new(Int64Array::from(records.offsets.to_vec())),
        Arc::new(TimestampMicrosecondArray::from_iter_values(records.timestamps_ms.iter().map(|ms| ms.saturating_mul(1000))).with_timezone("UTC")),
        records.headers.map_or_else(|| Ok(StringArray::new_null(count)), text).map(Arc::new)?,
    ];
    let schema: SchemaRef = Arc::new(columns());
    RecordBatch::try_new_with_options(schema, arrays, &RecordBatchOptions::new().with_row_count(Some(count)))
}

/// Appends the headers of one record as the text of a `json` value: `[{"key":"trace","value":"Zm9v"}]`, in order, the values base64 or null.
pub fn write_headers<'a>(headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>, out: &mut Vec<u8>) {
    let start = out.len();
    for (key, value) in headers {
        out.extend_from_slice(b",{\"key\":");
        json_out::write_text(key.as_bytes(), 0, key.len(), out);
        out.extend_from_slice(b",\"value\":");
        match value {
            Some(bytes) => {
                out.push(b'"');
                base64::write(bytes, out);
                out.push(b'"');
            }
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
    }
    match out.get_mut(start) {
        Some(comma) => *comma = b'[',
        None => out.push(b'['),
    }
    out.push(b']');
}

fn binary(values: Values<'_>) -> Result<BinaryArray, ArrowError> {
    let (offsets, nulls) = blobs(values)?;
    BinaryArray::try_new(offsets, values.data.into(), nulls)
}

fn text(values: Values<'_>) -> Result<StringArray, ArrowError> {
    let (offsets, nulls) = blobs(values)?;
    StringArray::try_new(offsets, values.data.into(), nulls)
}

/// The offsets and nulls of an Arrow array.
fn blobs(values: Values<'_>) -> Result<(OffsetBuffer<i32>, Option<NullBuffer>), ArrowError> {
    let first = values.offsets.is_empty().then_some(0);
    let offsets = first.into_iter().chain(values.offsets.iter().copied());
    let offsets = offsets.map(i32::try_from).collect::<Result<Vec<_>, _>>();
    let offsets = offsets.map_err(|_| ArrowError::OffsetOverflowError(values.data.len()))?;
    if !offsets.is_sorted() {
        return Err(ArrowError::InvalidArgumentError("the offsets of a run of records go back".into()));
    }
    let nulls = values.nulls.map(|nulls| nulls.iter().map(|null| !null).collect::<NullBuffer>());
    Ok((OffsetBuffer::new(ScalarBuffer::from(offsets)), nulls))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;

    use super::*;
    use crate::format::row_json;

    fn values<'a>(data: &'a [u8], offsets: &'a [u32], nulls: Option<&'a [bool]>) -> Values<'a> {
        Values { data, offsets, nulls }
    }

    fn two_records() -> RawRecords<'static> {
        RawRecords {
            keys: Some(values(b"k1", &[0, 2, 2], Some(&[false, true]))),
            values: values(b"v\xff", &[0, 0, 2], Some(&[true, false])),
            topic: "ad-events",
            partition: 3,
            offsets: &[7, 9],
            timestamps_ms: &[0, 1],
            headers: Some(values(b"[]", &[0, 0, 2], Some(&[true, false]))),
        }
    }

    #[test]
    fn a_run_of_records_has_the_columns_that_spark_has() {
        let rows = rows(&two_records()).unwrap();
        assert_eq!(rows.schema().as_ref(), &columns());
        assert_eq!(row_json(&rows, 0), r#"{"key":"azE=","topic":"ad-events","partition":3,"offset":7,"timestamp":"1970-01-01T00:00:00.000000Z"}"#);
        assert_eq!(
            row_json(&rows, 1),
            r#"{"value":"dv8=","topic":"ad-events","partition":3,"offset":9,"timestamp":"1970-01-01T00:00:00.001000Z","headers":[]}"#
        );
        assert!(rows.column(1).as_binary::<i32>().is_null(0), "a tombstone stays a null and is not an empty value");
    }

    #[test]
    fn no_records_make_no_rows() {
        let none = values(b"", &[], None);
        let rows = rows(&RawRecords { keys: None, values: none, topic: "t", partition: 0, offsets: &[], timestamps_ms: &[], headers: None }).unwrap();
        assert_eq!(rows.num_rows(), 0);
    }

    #[test]
    fn lists_of_different_lengths_are_an_error_and_no_panic() {
        let good = two_records();
        for bad in [
            RawRecords { offsets: &[7], ..good },
            RawRecords { timestamps_ms: &[], ..good },
            RawRecords { keys: Some(values(b"", &[0, 0], None)), ..good },
            RawRecords { keys: Some(values(b"k1", &[0, 2, 2], Some(&[false]))), ..good },
            RawRecords { values: values(b"v", &[0, 0, 2], None), ..good },
            RawRecords { values: values(b"v", &[0, 1, 0], None), ..good },
            RawRecords { headers: Some(values(b"\xff", &[0, 0, 1], None)), ..good },
        ] {
            assert!(rows(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn headers_are_an_array_in_their_order_with_doubles_and_nulls_kept() {
        let mut out = Vec::new();
        write_headers([("a\"", Some(b"\xff".as_slice())), ("a\"", None)].into_iter(), &mut out);
        assert_eq!(out, br#"[{"key":"a\"","value":"/w=="},{"key":"a\"","value":null}]"#);
        out.clear();
        write_headers(std::iter::empty(), &mut out);
        assert_eq!(out, b"[]");
    }
}
