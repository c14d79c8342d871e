#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow_schema::Field;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::format::{TYPE_KEY, base64, timestamp};

/// A column of each type, each value possibly null.
type Row = (Option<bool>, Option<i64>, Option<f64>, Option<i64>, Option<String>, Option<Vec<u8>>);

fn batch(rows: &[Row]) -> RecordBatch {
    let columns: [ArrayRef; 6] = [
        Arc::new(rows.iter().map(|row| row.0).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.3).collect::<TimestampMicrosecondArray>()),
        Arc::new(rows.iter().map(|row| row.4.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.5.clone()).collect::<BinaryArray>()),
    ];
    let names = ["flag", "count", "ratio", "at", "na\"me", "blob"];
    RecordBatch::try_from_iter_with_nullable(names.into_iter().zip(columns).map(|(name, column)| (name, column, true))).unwrap()
}

fn encode(rows: &RecordBatch) -> (Vec<String>, Lossy) {
    let columns: Vec<usize> = (0..rows.num_columns()).collect();
    let mut out = Encoded::default();
    let lossy = JsonEncoder::new(&rows.schema(), &columns).unwrap().encode(rows, &mut out);
    assert_eq!(out.len(), rows.num_rows());
    ((0..out.len()).map(|row| String::from_utf8(out.get(row).unwrap().to_vec()).unwrap()).collect(), lossy)
}

fn json_column(values: Vec<Option<&str>>) -> RecordBatch {
    let metadata = HashMap::from([(TYPE_KEY.to_owned(), "json".to_owned())]);
    let schema = Schema::new(vec![Field::new("j", DataType::Utf8, true).with_metadata(metadata)]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(StringArray::from(values))]).unwrap()
}

#[test]
fn a_row_is_one_object_without_its_nulls() {
    let rows = batch(&[
        (Some(true), Some(i64::MIN), Some(0.0165), Some(1_765_850_640_000_000), Some("x".to_owned()), Some(b"\xff".to_vec())),
        (None, Some(7), None, None, None, None),
        (None, None, None, None, None, None),
    ]);
    let expected =
        [r#"{"flag":true,"count":-9223372036854775808,"ratio":0.0165,"at":"2025-12-16T02:04:00.000000Z","na\"me":"x","blob":"/w=="}"#, r#"{"count":7}"#, "{}"];
    assert_eq!(encode(&rows), (expected.map(str::to_owned).to_vec(), Lossy::default()));
}

#[test]
fn an_encoder_writes_the_columns_it_is_told_in_that_order_and_appends() {
    let rows = batch(&[(Some(false), Some(1), Some(2.0), None, None, None)]);
    let mut out = Encoded::default();
    JsonEncoder::new(&rows.schema(), &[2, 0]).unwrap().encode(&rows, &mut out);
    JsonEncoder::new(&rows.schema(), &[]).unwrap().encode(&rows, &mut out);
    assert_eq!(out, Encoded { data: br#"{"ratio":2.0,"flag":false}{}"#.to_vec(), offsets: vec![0, 26, 28] });
    out.clear();
    assert_eq!(out, Encoded::default());
}

#[test]
fn what_json_has_no_number_for_is_null_and_counted() {
    let rows = batch(&[
        (None, None, Some(f64::NAN), Some(i64::MAX), None, None),
        (None, None, Some(f64::INFINITY), Some(timestamp::MAX_MICROS), None, None),
        (None, None, Some(f64::NEG_INFINITY), None, None, None),
    ]);
    let (text, lossy) = encode(&rows);
    assert_eq!(text, [r#"{"ratio":null,"at":null}"#, r#"{"ratio":null,"at":"9999-12-31T23:59:59.999999Z"}"#, r#"{"ratio":null}"#]);
    assert_eq!(lossy, Lossy { non_finite: 3, bad_timestamps: 1, bad_json: 0 });
}

#[test]
fn floats_are_the_shortest_text_that_reads_back_the_same() {
    let floats = [0.1, 1e16, 1e22, 5e-324, f64::MAX, -0.0, 1.0, 123_456.789];
    let rows = batch(&floats.map(|float| (None, None, Some(float), None, None, None)));
    let (text, _) = encode(&rows);
    assert_eq!(text[..3], [r#"{"ratio":0.1}"#, r#"{"ratio":1e16}"#, r#"{"ratio":1e22}"#]);
    for (text, float) in text.iter().zip(floats) {
        let number = text.strip_prefix(r#"{"ratio":"#).and_then(|text| text.strip_suffix('}')).unwrap();
        assert_eq!(number.parse::<f64>().unwrap().to_bits(), float.to_bits(), "{text}");
    }
}

#[test]
fn json_values_stand_as_they_are_in_one_line() {
    let rows = json_column(vec![Some("{\"a\" :1.50}"), Some("[1,\r\n  2]"), None, Some("null"), Some(" \"\\n\" ")]);
    let expected = [r#"{"j":{"a" :1.50}}"#, "{\"j\":[1,    2]}", "{}", r#"{"j":null}"#, "{\"j\": \"\\n\" }"];
    assert_eq!(encode(&rows), (expected.map(str::to_owned).to_vec(), Lossy::default()));
}

#[test]
fn a_json_value_that_is_no_json_becomes_a_string_and_is_counted() {
    let rows = json_column(vec![Some("{\"a\":"), Some(""), Some("1}, {\"forged\":2"), Some("NaN")]);
    let (text, lossy) = encode(&rows);
    assert_eq!(text, [r#"{"j":"{\"a\":"}"#, r#"{"j":""}"#, r#"{"j":"1}, {\"forged\":2"}"#, r#"{"j":"NaN"}"#]);
    assert_eq!(lossy, Lossy { bad_json: 4, ..Lossy::default() });
}

#[test]
fn a_column_that_json_cannot_say_is_refused_before_any_row() {
    let schema = Schema::new(vec![Field::new("d", DataType::Date32, true)]);
    let refused = |columns: &[usize]| JsonEncoder::new(&schema, columns).unwrap_err().to_string();
    assert_eq!(refused(&[0]), "column `d` has type `Date32`, which can't be written as JSON");
    assert_eq!(refused(&[1]), "there is no column 1: the rows have 1");
}

#[test]
fn a_slice_of_rows_is_written_like_rows_of_its_own() {
    let all: Vec<Row> = (0..20)
        .map(|row| (Some(row % 3 == 0), (row % 4 > 0).then_some(row), Some(0.5), Some(row), Some(format!("row {row}")), Some(vec![row as u8])))
        .collect();
    let rows = batch(&all);
    let (whole, _) = encode(&rows);
    assert_eq!(encode(&rows.slice(9, 7)).0, whole[9..16]);
    assert_eq!(row_json(&rows, 11), whole[11]);
    assert_eq!(row_json(&rows, 20), "{}");
}

/// What serde_json must find in the text of a row.
fn expected(row: &Row) -> Value {
    let members = [
        ("flag", row.0.map(Value::from)),
        ("count", row.1.map(Value::from)),
        ("ratio", row.2.map(Value::from)),
        ("at", row.3.map(|at| jiff::Timestamp::from_microsecond(at).map(|at| format!("{at:.6}")).unwrap().into())),
        ("na\"me", row.4.clone().map(Value::from)),
        ("blob", row.5.as_ref().map(|blob| base64::encode(blob).into())),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<serde_json::Map<_, _>>().into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn serde_json_finds_in_the_text_what_was_in_the_rows(rows in prop::collection::vec(any_row(), 0..6)) {
        let (text, lossy) = encode(&batch(&rows));
        prop_assert!(lossy.is_none());
        for (text, row) in text.iter().zip(&rows) {
            let mut found: Value = serde_json::from_str(text).unwrap();
            // serde_json may read a float one bit off; what we wrote is compared as text.
            if let (Some(ratio), Some(found)) = (row.2, found.get_mut("ratio")) {
                let written = text.split_once("\"ratio\":").unwrap().1.split([',', '}']).next().unwrap();
                prop_assert_eq!(written.parse::<f64>().unwrap().to_bits(), ratio.to_bits());
                *found = ratio.into();
            }
            prop_assert_eq!(found, expected(row), "{}", text);
        }
    }

    #[test]
    fn what_is_written_is_decoded_to_the_same_rows(rows in prop::collection::vec(any_row(), 0..6)) {
        let rows = batch(&rows);
        let columns: Vec<usize> = (0..rows.num_columns()).collect();
        let mut out = Encoded::default();
        JsonEncoder::new(&rows.schema(), &columns).unwrap().encode(&rows, &mut out);
        let decoder = crate::format::JsonDecoder::new(&rows.schema(), crate::format::OnBadField::Reject).unwrap();
        let decoded = decoder.decode(&crate::format::Values { data: &out.data, offsets: &out.offsets, nulls: None });
        prop_assert_eq!(decoded.rejected, []);
        prop_assert_eq!(decoded.rows, rows);
    }

    #[test]
    fn strings_are_escaped_as_serde_json_does(text in "[\\x00-\\x7f]{0,40}|\\PC{0,40}") {
        let mut out = Vec::new();
        write_text(text.as_bytes(), 0, text.len(), &mut out);
        prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
    }
}

fn any_row() -> impl Strategy<Value = Row> {
    let float = any::<f64>().prop_filter("finite", |float| float.is_finite());
    // jiff's instants end 26 hours before the year 9999 does.
    let micros = timestamp::MIN_MICROS..timestamp::MAX_MICROS - 100_000_000_000;
    (any::<Option<bool>>(), any::<Option<i64>>(), prop::option::of(float), prop::option::of(micros), any::<Option<String>>(), any::<Option<Vec<u8>>>())
}
