#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::disallowed_methods, reason = "tests")]

use std::collections::{BTreeMap, HashMap};

use arrow_schema::{DataType, Field, TimeUnit};
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::format::{TYPE_KEY, UNIT_KEY, base64, row_json, timestamp};

const MICROS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

fn field(name: &str, kind: &str) -> Field {
    let (kind, nullable) = kind.strip_suffix('?').map_or((kind, false), |kind| (kind, true));
    let (kind, key, value) = match kind.split_once(' ').unwrap_or((kind, "")) {
        ("boolean", _) => (DataType::Boolean, "", ""),
        ("int64", _) => (DataType::Int64, "", ""),
        ("float64", _) => (DataType::Float64, "", ""),
        ("utf8", _) => (DataType::Utf8, "", ""),
        ("binary", _) => (DataType::Binary, "", ""),
        ("json", _) => (DataType::Utf8, TYPE_KEY, "json"),
        ("timestamp", unit) => (MICROS, UNIT_KEY, unit),
        (other, _) => panic!("no type `{other}`"),
    };
    let metadata = (!value.is_empty()).then(|| (key.to_owned(), value.to_owned()));
    Field::new(name, kind, nullable).with_metadata(HashMap::from_iter(metadata))
}

fn schema(fields: &[(&str, &str)]) -> Schema {
    Schema::new(fields.iter().map(|(name, kind)| field(name, kind)).collect::<Vec<_>>())
}

fn run(decoder: &JsonDecoder, records: &[&[u8]]) -> Decoded {
    let mut offsets = vec![0];
    let mut data = Vec::new();
    for record in records {
        data.extend_from_slice(record);
        offsets.push(data.len() as u32);
    }
    decoder.decode(&Values { data: &data, offsets: &offsets, nulls: None })
}

/// What becomes of one record: its row, or code and reason.
fn one(fields: &[(&str, &str)], record: &[u8]) -> Result<String, (&'static str, String)> {
    one_with(fields, OnBadField::Reject, record)
}

fn one_with(fields: &[(&str, &str)], on_bad_field: OnBadField, record: &[u8]) -> Result<String, (&'static str, String)> {
    let mut decoded = run(&JsonDecoder::new(&schema(fields), on_bad_field).unwrap(), &[record]);
    match decoded.rejected.pop() {
        Some(bad) => {
            assert_eq!((bad.record, decoded.rows.num_rows(), decoded.kept), (0, 0, Some(vec![])));
            Err((bad.code, bad.reason))
        }
        None => {
            assert_eq!((decoded.rows.num_rows(), decoded.kept), (1, None));
            Ok(row_json(&decoded.rows, 0))
        }
    }
}

/// What a column `v` of a type makes of a value: the value as JSON out says it (nothing for null), or the code.
fn value(kind: &str, text: &str) -> Result<String, &'static str> {
    let row = one(&[("v", kind)], format!(r#"{{"v":{text}}}"#).as_bytes()).map_err(|(code, _)| code)?;
    Ok(row.strip_prefix("{\"v\":").and_then(|row| row.strip_suffix('}')).unwrap_or_default().to_owned())
}

#[test]
fn a_type_takes_what_the_rules_say_and_nothing_else() {
    use code::{BAD_FORMAT, JSON_SYNTAX, NOT_UTF8, NULL_COLUMN, OUT_OF_RANGE, WRONG_TYPE};
    let cases: &[(&str, &str, Result<&str, &str>)] = &[
        ("boolean", "true", Ok("true")),
        ("boolean", "false", Ok("false")),
        ("boolean", "1", Err(WRONG_TYPE)),
        ("boolean", "\"true\"", Err(WRONG_TYPE)),
        ("boolean", "tru", Err(JSON_SYNTAX)),
        ("boolean", "truee", Err(JSON_SYNTAX)),
        ("boolean", "TRUE", Err(JSON_SYNTAX)),
        ("int64", "1", Ok("1")),
        ("int64", "1.0", Ok("1")),
        ("int64", "1e3", Ok("1000")),
        ("int64", "-9223372036854775808", Ok("-9223372036854775808")),
        ("int64", "9223372036854775808", Err(OUT_OF_RANGE)),
        ("int64", "1e19", Err(OUT_OF_RANGE)),
        ("int64", "1.5", Err(WRONG_TYPE)),
        ("int64", "\"1\"", Err(WRONG_TYPE)),
        ("int64", "true", Err(WRONG_TYPE)),
        ("int64", "01", Err(JSON_SYNTAX)),
        ("int64", "+1", Err(JSON_SYNTAX)),
        ("int64", "NaN", Err(JSON_SYNTAX)),
        ("float64", "1", Ok("1.0")),
        ("float64", "-0.5e-3", Ok("-0.0005")),
        ("float64", "0.1", Ok("0.1")),
        ("float64", "9007199254740993", Ok("9007199254740992.0")),
        ("float64", "1e400", Err(OUT_OF_RANGE)),
        ("float64", "\"1.5\"", Err(WRONG_TYPE)),
        ("float64", "\"NaN\"", Err(WRONG_TYPE)),
        ("float64", "Infinity", Err(JSON_SYNTAX)),
        ("float64", "1.", Err(JSON_SYNTAX)),
        ("utf8", "\"\"", Ok("\"\"")),
        ("utf8", "\"a longer string than one block of sixteen bytes\"", Ok("\"a longer string than one block of sixteen bytes\"")),
        ("utf8", "\"\u{20ac} \u{1f600}\"", Ok("\"\u{20ac} \u{1f600}\"")),
        ("utf8", r#""\"\\\/\b\f\n\r\t\u0041\u20AC\ud83d\ude00""#, Ok("\"\\\"\\\\/\\b\\f\\n\\r\\tA\u{20ac}\u{1f600}\"")),
        ("utf8", r#""\u0000""#, Ok(r#""\u0000""#)),
        ("utf8", r#""\ud800\udc00\uDBFF\uDFFF\uffff""#, Ok("\"\u{10000}\u{10ffff}\u{ffff}\"")),
        ("utf8", r#""\ud800""#, Err(NOT_UTF8)),
        ("utf8", r#""\ud800\ud800\udc00""#, Err(NOT_UTF8)),
        ("utf8", r#""\udc00\ud800""#, Err(NOT_UTF8)),
        ("utf8", r#""\x41""#, Err(JSON_SYNTAX)),
        ("utf8", r#""\u12g4""#, Err(JSON_SYNTAX)),
        ("utf8", r#""\u+123""#, Err(JSON_SYNTAX)),
        ("utf8", "\"a\nb\"", Err(JSON_SYNTAX)),
        ("utf8", "'a'", Err(JSON_SYNTAX)),
        ("utf8", "1", Err(WRONG_TYPE)),
        ("utf8", "{\"a\":1}", Err(WRONG_TYPE)),
        ("binary", "\"Zm9v\"", Ok("\"Zm9v\"")),
        ("binary", r#""\/w==""#, Ok("\"/w==\"")),
        ("binary", "\"Zm9\"", Err(BAD_FORMAT)),
        ("binary", "\"Zm9vZ===\"", Err(BAD_FORMAT)),
        ("binary", "7", Err(WRONG_TYPE)),
        ("json", "1.50", Ok("1.50")),
        ("json", "[1, {\"a\" :\t[ ]}]", Ok("[1, {\"a\" :\t[ ]}]")),
        ("json", "\n[1,\r\n2]\n", Ok("[1,  2]")),
        ("json", r#""\ud800""#, Ok(r#""\ud800""#)),
        ("json", "false", Ok("false")),
        ("json?", "null", Ok("")),
        ("json", "[1,]", Err(JSON_SYNTAX)),
        ("json", "{1:2}", Err(JSON_SYNTAX)),
        ("json", "{\"a\" 2}", Err(JSON_SYNTAX)),
        ("json", "[1}", Err(JSON_SYNTAX)),
        ("json", "[1 2]", Err(JSON_SYNTAX)),
        ("json", "nul", Err(JSON_SYNTAX)),
        ("timestamp", "\"2025-12-16T02:04:08.891156\"", Ok("\"2025-12-16T02:04:08.891156Z\"")),
        ("timestamp", "\"2025-12-16 02:04:08+01:00\"", Ok("\"2025-12-16T01:04:08.000000Z\"")),
        ("timestamp", r#""2025-12-16\u002002:04:08.1234567""#, Ok("\"2025-12-16T02:04:08.123456Z\"")),
        ("timestamp", "\"2025-12-16\"", Ok("\"2025-12-16T00:00:00.000000Z\"")),
        ("timestamp", "\"yesterday\"", Err(BAD_FORMAT)),
        ("timestamp", r#""\ud800""#, Err(BAD_FORMAT)),
        ("timestamp", "1765850648", Err(WRONG_TYPE)),
        ("timestamp s", "1765850648", Ok("\"2025-12-16T02:04:08.000000Z\"")),
        ("timestamp ms", "1765850648891", Ok("\"2025-12-16T02:04:08.891000Z\"")),
        ("timestamp us", "1765850648891156", Ok("\"2025-12-16T02:04:08.891156Z\"")),
        ("timestamp ns", "1765850648891156999", Ok("\"2025-12-16T02:04:08.891156Z\"")),
        ("timestamp ns", "-1", Ok("\"1969-12-31T23:59:59.999999Z\"")),
        ("timestamp ms", "1.765850648891e12", Ok("\"2025-12-16T02:04:08.891000Z\"")),
        ("timestamp ms", "\"2025-12-16\"", Ok("\"2025-12-16T00:00:00.000000Z\"")),
        ("timestamp ms", "1.5", Err(WRONG_TYPE)),
        ("timestamp s", "1765850648891", Err(OUT_OF_RANGE)),
        ("timestamp s", "9223372036854775807", Err(OUT_OF_RANGE)),
        ("timestamp s", "1e30", Err(OUT_OF_RANGE)),
        ("timestamp ms", "\"1765850648891\"", Err(BAD_FORMAT)),
        ("utf8", "null", Err(NULL_COLUMN)),
        ("int64", "null", Err(NULL_COLUMN)),
        ("json", "null", Err(NULL_COLUMN)),
        ("utf8?", "null", Ok("")),
        ("boolean?", "null", Ok("")),
        ("timestamp?", "null", Ok("")),
    ];
    for (kind, text, expected) in cases {
        assert_eq!(value(kind, text), expected.map(str::to_owned), "{kind} <- {text}");
    }
}

#[test]
fn a_record_that_is_no_object_of_json_is_rejected_with_its_code() {
    use code::{EMPTY_VALUE, JSON_SYNTAX, NOT_AN_OBJECT, NOT_UTF8};
    let cases: &[(&[u8], &str)] = &[
        (b"", EMPTY_VALUE),
        (b" \n", EMPTY_VALUE),
        (b"null", NOT_AN_OBJECT),
        (b"12", NOT_AN_OBJECT),
        (b"\"text\"", NOT_AN_OBJECT),
        (b"[{}]", NOT_AN_OBJECT),
        (b"hello", JSON_SYNTAX),
        (b"\xef\xbb\xbf{}", JSON_SYNTAX),
        (b"{", JSON_SYNTAX),
        (b"{\"v\"", JSON_SYNTAX),
        (b"{\"v\":", JSON_SYNTAX),
        (b"{\"v\":1", JSON_SYNTAX),
        (b"{\"v\":1,", JSON_SYNTAX),
        (b"{\"v\":1,}", JSON_SYNTAX),
        (b"{\"v\":1 \"w\":2}", JSON_SYNTAX),
        (b"{\"w\":\"unended}", JSON_SYNTAX),
        (b"{\"w\":\"unended\\", JSON_SYNTAX),
        (b"{\"v\":1}}", JSON_SYNTAX),
        (b"{\"v\":1} x", JSON_SYNTAX),
        (b"{\"v\":1}{\"v\":2}", JSON_SYNTAX),
        (b"{v:1}", JSON_SYNTAX),
        (b"{\"ignored\":[1,}]}", JSON_SYNTAX),
        (b"{\"ignored\":tru}", JSON_SYNTAX),
        (b"{\"ignored\":\"\\q\"}", JSON_SYNTAX),
        (b"{\"ignored\":\"\xff\"}", NOT_UTF8),
        (b"{\"\xff\":1}", NOT_UTF8),
        (b"{\"ignored\":\"\xed\xa0\x80\"}", NOT_UTF8),
        (b"\xff", NOT_UTF8),
    ];
    for (record, expected) in cases {
        let (code, reason) = one(&[("v", "int64?")], record).unwrap_err();
        assert_eq!(code, *expected, "{:?}: {reason}", String::from_utf8_lossy(record));
    }
}

#[test]
fn a_bad_record_leaves_its_neighbours_alone_and_never_reads_into_them() {
    let decoder = JsonDecoder::new(&schema(&[("s", "utf8"), ("j", "json?")]), OnBadField::Reject).unwrap();
    // Each bad record would be whole, or another one, if it went on into the next.
    let decoded = run(
        &decoder,
        &[
            b"{\"s\":\"good one\"}",
            b"{\"s\":\"open",
            b"{\"s\":\"good two\",\"j\":[2]}",
            b"{\"s\":\"half\",\"j\":[[1],",
            b"2]}",
            b"{\"s\":\"\xff\"}",
            b"{\"s\":\"\xe2\x82",
            b"\xac\"}",
            b"",
            b"{\"j\":1,\"s\":\"good three\"}",
            b"{\"s\"",
        ],
    );
    let codes: Vec<_> = decoded.rejected.iter().map(|bad| (bad.record, bad.code)).collect();
    let expected = [
        (1, "json-syntax"),
        (3, "json-syntax"),
        (4, "not-an-object"),
        (5, "not-utf8"),
        (6, "not-utf8"),
        (7, "not-utf8"),
        (8, "empty-value"),
        (10, "json-syntax"),
    ];
    assert_eq!(codes, expected);
    assert_eq!(decoded.kept, Some(vec![0, 2, 9]));
    let rows: Vec<_> = (0..3).map(|row| row_json(&decoded.rows, row)).collect();
    assert_eq!(rows, [r#"{"s":"good one"}"#, r#"{"s":"good two","j":[2]}"#, r#"{"s":"good three","j":1}"#]);
}

#[test]
fn a_tombstone_is_rejected_and_its_bytes_are_not_looked_at() {
    let decoder = JsonDecoder::new(&schema(&[("v", "int64")]), OnBadField::Reject).unwrap();
    let data = b"{\"v\":1}{\"v\":2}";
    let decoded = decoder.decode(&Values { data, offsets: &[0, 7, 14], nulls: Some(&[true, false]) });
    assert_eq!(decoded.rejected.iter().map(|bad| (bad.record, bad.code)).collect::<Vec<_>>(), [(0, "null-value")]);
    assert_eq!(row_json(&decoded.rows, 0), r#"{"v":2}"#);
}

#[test]
fn offsets_that_lie_outside_the_data_reject_their_records() {
    let decoder = JsonDecoder::new(&schema(&[("v", "int64")]), OnBadField::Reject).unwrap();
    let decoded = decoder.decode(&Values { data: b"{\"v\":1}", offsets: &[0, 7, 99, 3, 4_000_000_000], nulls: Some(&[]) });
    assert_eq!(decoded.rejected.iter().map(|bad| bad.code).collect::<Vec<_>>(), ["empty-value", "empty-value", "out-of-range"]);
    assert_eq!(decoded.kept, Some(vec![0]));
}

#[test]
fn the_order_of_fields_white_space_and_the_spelling_of_names_do_not_matter() {
    let fields = [("first", "int64"), ("a name of more than one block", "utf8?"), ("quote\"d", "int64?"), ("last", "boolean?")];
    let expected = r#"{"first":1,"a name of more than one block":"x","quote\"d":2,"last":true}"#;
    for record in [
        expected.to_owned(),
        r#"{"last":true,"quote\"d":2,"a name of more than one block":"x","first":1}"#.to_owned(),
        r#" { "first" : 1 , "a name of more than one block" : "x" , "quote\"d" : 2 , "last" : true } "#.to_owned(),
        expected.replace([',', ':'], "\t$0\r\n").replace("$0", ",").replacen("first\"\t,", "first\"\t:", 1).replace("block\"\t,", "block\"\t:").replace("d\"\t,", "d\":").replace("last\"\t,", "last\":"),
        r#"{"f\u0069rst":1,"a name of more than one bloc\u006B":"x","quote\u0022d":2,"\u006c\u0061\u0073\u0074":true}"#.to_owned(),
        r#"{"":0,"firs":0,"first ":0,"First":0,"first":1,"a name of more than one blocK":0,"a name of more than one block":"x","quote\"d":2,"last":true,"lastly":[]}"#.to_owned(),
    ] {
        assert_eq!(one(&fields, record.as_bytes()).as_deref(), Ok(expected), "{record}");
    }
}

#[test]
fn a_name_that_json_escapes_is_never_found_across_two_fields() {
    let fields = [("a\":1,\"b", "int64?"), ("b", "int64?")];
    assert_eq!(one(&fields, br#"{"a":1,"b":2}"#).as_deref(), Ok(r#"{"b":2}"#));
    assert_eq!(one(&fields, br#"{"a\":1,\"b":3}"#).as_deref(), Ok(r#"{"a\":1,\"b":3}"#));
}

#[test]
fn a_name_with_half_a_surrogate_pair_is_no_columns_name() {
    assert_eq!(one(&[("\u{fffd}", "int64?")], br#"{"\ud800":7}"#).as_deref(), Ok("{}"));
    assert_eq!(one(&[("\u{fffd}", "int64?")], "{\"\u{fffd}\":7}".as_bytes()).as_deref(), Ok("{\"\u{fffd}\":7}"));
}

#[test]
fn of_duplicate_names_the_last_counts_and_only_the_last_is_judged() {
    let fields = [("v", "int64?"), ("s", "utf8"), ("x", "binary?")];
    let row = |record: &[u8]| one(&fields, record).map_err(|(code, _)| code);
    assert_eq!(row(br#"{"v":1,"s":"first and long","v":2,"s":"b"}"#).as_deref(), Ok(r#"{"v":2,"s":"b"}"#));
    assert_eq!(row(br#"{"v":"bad","s":7,"s":"b","v":2}"#).as_deref(), Ok(r#"{"v":2,"s":"b"}"#));
    assert_eq!(row(br#"{"v":1,"s":"a","v":"bad"}"#), Err("wrong-type"));
    assert_eq!(row(br#"{"v":1,"s":"a","v":null}"#).as_deref(), Ok(r#"{"s":"a"}"#));
    assert_eq!(row(br#"{"s":"a","s":null}"#), Err("null-column"));
    assert_eq!(row(br#"{"s":null,"s":"a"}"#).as_deref(), Ok(r#"{"s":"a"}"#));
    assert_eq!(row(br#"{"x":"Zm9v","x":"Zg==","s":"\ud800","s":"a","s":"b"}"#).as_deref(), Ok(r#"{"s":"b","x":"Zg=="}"#));
    // The syntax of all of them counts.
    assert_eq!(row(br#"{"v":01,"s":"a","v":1}"#), Err("json-syntax"));
}

#[test]
fn what_a_record_leaves_out_is_null_and_a_required_column_rejects_it() {
    let fields = [("a", "int64?"), ("b", "utf8"), ("c", "float64?")];
    assert_eq!(one(&fields, br#"{"b":"x"}"#).as_deref(), Ok(r#"{"b":"x"}"#));
    let missing = "column `b`: expected a value, as the column is required, got no such field";
    assert_eq!(one(&fields, br#"{"a":1}"#), Err(("missing-column", missing.to_owned())));
    assert_eq!(one(&fields, b"{}").unwrap_err().0, "missing-column");
    assert_eq!(one(&[], b"{}").as_deref(), Ok("{}"));
    assert_eq!(one(&[], br#"{"any":[{}]}"#).as_deref(), Ok("{}"));
}

#[test]
fn with_on_bad_field_null_a_misfit_is_null_unless_its_column_is_required() {
    let fields = [("a", "int64?"), ("b", "utf8"), ("c", "timestamp ms?"), ("d", "binary?"), ("e", "utf8?")];
    let row = |record: &[u8]| one_with(&fields, OnBadField::Null, record).map_err(|(code, _)| code);
    let record = br#"{"a":"1","b":"x","c":"soon","d":"!","e":"\ud800"}"#;
    assert_eq!(row(record).as_deref(), Ok(r#"{"b":"x"}"#));
    assert_eq!(row(br#"{"b":7}"#), Err("wrong-type"));
    assert_eq!(row(br#"{"b":null}"#), Err("null-column"));
    assert_eq!(row(br#"{"a":1}"#), Err("missing-column"));
    assert_eq!(row(br#"{"b":"x","a":01}"#), Err("json-syntax"));
}

#[test]
fn a_reason_names_the_column_what_was_expected_and_what_came() {
    let reason = |record: &[u8]| one(&[("revenue", "float64?")], record).unwrap_err().1;
    assert_eq!(reason(br#"{"revenue": "12,5" }"#), "column `revenue`: expected a number, got `\"12,5\"`");
    assert_eq!(reason(br#"{"revenue":1"#), "not JSON at byte 12: expected `,` or `}`, got the end of the record");
    assert_eq!(reason(br#"{"revenue" 1}"#), "not JSON at byte 11: expected `:` after the name, got `1}`");
    assert_eq!(reason(b"[1]"), "expected an object, got an array: `[1]`");
    assert_eq!(reason(b"{\"a\":\"\xff\"}"), "not UTF-8 from byte 6");
    let long = format!(r#"{{"revenue":"{}"}}"#, "\u{20ac}".repeat(1000));
    let cut = reason(long.as_bytes());
    assert_eq!(cut, format!("column `revenue`: expected a number, got `\"{}...`", "\u{20ac}".repeat(79)));
}

#[test]
fn a_megabyte_of_brackets_is_rejected_on_a_small_stack() {
    let brackets = |open: &str| open.repeat(1_000_000 / open.len());
    let records = [
        brackets("["),
        brackets("{\"a\":"),
        format!("{{\"ignored\":{}", brackets("[")),
        format!("{{\"j\":{}", brackets("[")),
        format!("{{\"j\":{}", brackets("{\"a\":")),
        format!("{{\"v\":{}{}}}", brackets("["), brackets("]")),
    ];
    let thread = std::thread::Builder::new()
        .stack_size(128 * 1024)
        .spawn(move || records.map(|record| one(&[("v", "int64?"), ("j", "json?")], record.as_bytes()).unwrap_err().0));
    assert_eq!(thread.unwrap().join().unwrap(), ["not-an-object", "too-deep", "too-deep", "too-deep", "too-deep", "too-deep"]);
}

#[test]
fn a_record_nests_as_deep_as_serde_json_takes_and_no_deeper() {
    let nested = |levels: usize| format!("{{\"j\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    assert!(serde_json::from_str::<serde_json::Value>(&nested(127)).is_ok());
    assert!(one(&[("j", "json")], nested(127).as_bytes()).is_ok());
    assert!(serde_json::from_str::<serde_json::Value>(&nested(128)).is_err());
    assert_eq!(one(&[("j", "json")], nested(128).as_bytes()).unwrap_err().0, "too-deep");
}

#[test]
fn a_large_record_that_is_no_json_is_rejected_at_its_first_byte_or_its_end_and_cheaply() {
    let start = std::time::Instant::now();
    for _ in 0..10 {
        assert_eq!(one(&[("v", "utf8?")], "x".repeat(900_000).as_bytes()).unwrap_err().0, "json-syntax");
        assert_eq!(one(&[("v", "utf8?")], format!("{{\"v\":\"{}", "x".repeat(900_000)).as_bytes()).unwrap_err().0, "json-syntax");
        assert_eq!(one(&[("v", "int64?")], format!("{{\"v\":{}", "9".repeat(900_000)).as_bytes()).unwrap_err().0, "json-syntax");
        assert_eq!(one(&[("v", "int64?")], format!("{{\"v\":{}}}", "9".repeat(900_000)).as_bytes()).unwrap_err().0, "out-of-range");
        assert_eq!(one(&[("v", "int64?")], format!("{{\"v\":{}", "\"\",".repeat(225_000)).as_bytes()).unwrap_err().0, "json-syntax");
    }
    // Five times 9 MB: some 50 ms. Anything quadratic takes hours.
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn a_chunk_of_unended_records_is_linear() {
    // Each scan for the end of a string meets the quote of the next record, not the end of the chunk.
    let decoder = JsonDecoder::new(&schema(&[("v", "utf8")]), OnBadField::Reject).unwrap();
    let start = std::time::Instant::now();
    let records: Vec<&[u8]> = std::iter::repeat_n(b"{\"v\":\"".as_slice(), 1).chain(std::iter::repeat_n(b"{".as_slice(), 200_000)).collect();
    assert_eq!(run(&decoder, &records).rejected.len(), 200_001);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn a_schema_that_json_cannot_fill_is_refused_with_the_column() {
    let refused = |schema: &Schema| JsonDecoder::new(schema, OnBadField::Reject).unwrap_err().to_string();
    assert_eq!(refused(&Schema::new(vec![Field::new("d", DataType::Date32, true)])), "column `d` has type `Date32`, which JSON can't be read into");
    assert_eq!(refused(&schema(&[("a", "int64"), ("b", "int64"), ("a", "utf8")])), "column `a` is declared twice");
    assert_eq!(refused(&schema(&[("t", "timestamp min")])), "column `t` has unit `min`; expected `s`, `ms`, `us` or `ns`");
}

#[test]
fn the_zone_of_a_timestamp_column_stays_as_declared() {
    let schema = Schema::new(vec![Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false)]);
    let decoded = run(&JsonDecoder::new(&schema, OnBadField::Reject).unwrap(), &[br#"{"t":"1970-01-01T00:00:01Z"}"#]);
    assert_eq!(decoded.rows.schema().as_ref(), &schema);
    assert_eq!(row_json(&decoded.rows, 0), r#"{"t":"1970-01-01T00:00:01.000000Z"}"#);
}

#[test]
fn a_decoder_is_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<JsonDecoder>();
}

// The reference: serde_json takes the record apart, and the rules are applied to the text of each value, slowly.

const FIELDS: [(&str, &str); 8] = [
    ("flag", "boolean?"),
    ("count", "int64"),
    ("ratio", "float64?"),
    ("at", "timestamp ms?"),
    ("name", "utf8"),
    ("a rather long name indeed", "utf8?"),
    ("nested", "json?"),
    ("blob", "binary?"),
];

/// The members of the row as JSON out writes them, or the code of the first thing that is wrong.
fn reference(record: &[u8], on_bad_field: OnBadField) -> Result<String, &'static str> {
    let text = std::str::from_utf8(record).map_err(|_| code::NOT_UTF8)?;
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).map_err(|_| code::JSON_SYNTAX)?;
    let mut misfits = Vec::new();
    let mut members = Vec::new();
    for (name, kind) in FIELDS {
        let (kind, nullable) = kind.strip_suffix('?').map_or((kind, false), |kind| (kind, true));
        let value = match fields.get(name).map(|raw| raw.get()) {
            None if nullable => Ok(None),
            None => Err(code::MISSING_COLUMN),
            Some("null") if nullable => Ok(None),
            Some("null") => Err(code::NULL_COLUMN),
            Some(raw) => match reference_value(kind, raw) {
                Err(_) if nullable && on_bad_field == OnBadField::Null => Ok(None),
                other => other.map(Some),
            },
        };
        match value {
            Ok(Some(value)) => members.push(format!("{}:{value}", serde_json::to_string(name).unwrap())),
            Ok(None) => {}
            Err(code) => misfits.push(code),
        }
    }
    if misfits.is_empty() { Ok(format!("{{{}}}", members.join(","))) } else { Err("bad-field") }
}

fn reference_value(kind: &str, raw: &str) -> Result<String, &'static str> {
    let is_number = raw.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let string = || serde_json::from_str::<String>(raw);
    match kind {
        "boolean" if raw == "true" || raw == "false" => Ok(raw.to_owned()),
        "int64" if is_number => reference_integer(raw).map(|integer| integer.to_string()),
        "float64" if is_number => {
            let float: f64 = raw.parse().unwrap();
            if float.is_finite() { Ok(ryu::Buffer::new().format(float).to_owned()) } else { Err(code::OUT_OF_RANGE) }
        }
        "timestamp ms" if is_number => reference_integer(raw)?.checked_mul(1000).and_then(iso).ok_or(code::OUT_OF_RANGE),
        "timestamp ms" if raw.starts_with('"') => string().ok().and_then(|text| timestamp::parse_iso(text.as_bytes())).and_then(iso).ok_or(code::BAD_FORMAT),
        "utf8" if raw.starts_with('"') => string().map(|text| serde_json::to_string(&text).unwrap()).map_err(|_| code::NOT_UTF8),
        "binary" if raw.starts_with('"') => {
            let text = string().map_err(|_| code::BAD_FORMAT)?;
            let mut bytes = Vec::new();
            if base64::decode(text.as_bytes(), &mut bytes) { Ok(format!("\"{}\"", base64::encode(&bytes))) } else { Err(code::BAD_FORMAT) }
        }
        "json" => Ok(raw.replace(['\n', '\r'], " ")),
        _ => Err(code::WRONG_TYPE),
    }
}

fn iso(micros: i64) -> Option<String> {
    let mut out = b"\"".to_vec();
    timestamp::write_iso(micros, &mut out).then(|| String::from_utf8(out).unwrap() + "\"")
}

/// By writing the number out in full.
fn reference_integer(raw: &str) -> Result<i64, &'static str> {
    let lower = raw.to_lowercase();
    let (mantissa, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
    // The numbers of the tests have few digits: a thousand zeros are as good as a million.
    let exponent = exponent.parse::<i128>().unwrap().clamp(-1000, 1000) as i64;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let zeros = "0".repeat(exponent.unsigned_abs() as usize);
    let digits = format!("{zeros}{whole}{fraction}{zeros}");
    let point = (zeros.len() + whole.len()) as i64 + exponent;
    let (whole, fraction) = digits.split_at(point as usize);
    if fraction.contains(|digit| digit != '0') {
        return Err(code::WRONG_TYPE);
    }
    format!("{sign}0{whole}").parse().map_err(|_| code::OUT_OF_RANGE)
}

fn decoded(record: &[u8], on_bad_field: OnBadField) -> Result<String, &'static str> {
    one_with(&FIELDS, on_bad_field, record).map_err(|(code, _)| match code {
        code::EMPTY_VALUE | code::NOT_AN_OBJECT | code::JSON_SYNTAX => code::JSON_SYNTAX,
        code::NOT_UTF8 if std::str::from_utf8(record).is_err() => code::NOT_UTF8,
        code::TOO_DEEP => code::TOO_DEEP,
        _ => "bad-field",
    })
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

fn any_string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[ -!#-\\[\\]-~]{0,20}",
        2 => "[à-ÿ€日本😀]{0,4}",
        1 => prop::sample::select(vec!["\\n", "\\\"", "\\\\", "\\/", "\\b", "\\f", "\\r", "\\t", "\\u0041", "\\u00e9", "\\uD83D\\uDE00", "\\u0000", "\\ud800"]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn any_number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (-1000i64..1000).prop_map(|number| number.to_string()),
        (-1000i64..1000).prop_map(|number| format!("{number}.0")),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?",
        any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(|float| format!("{float:e}")),
        (0u64..4_000_000_000_000).prop_map(|millis| millis.to_string()),
    ]
}

fn any_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => any_string(),
        3 => any_number(),
        2 => prop::sample::select(vec!["true", "false", "null", "null"]).prop_map(str::to_owned),
        2 => (timestamp::MIN_MICROS..timestamp::MAX_MICROS).prop_map(|micros| iso(micros).unwrap()),
        1 => prop::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| format!("\"{}\"", base64::encode(&bytes))),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..4), space())
                .prop_map(|(values, space)| format!("[{space}{}{space}]", values.join(&format!("{space},{space}")))),
            prop::collection::vec(("[a-z]{0,3}", space(), inner), 0..4).prop_map(|members| {
                let members: Vec<_> = members.into_iter().map(|(name, space, value)| format!("{space}\"{name}\"{space}:{space}{value}{space}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// A value that usually fits the column.
fn fitting(kind: &str) -> BoxedStrategy<String> {
    let good = match kind.trim_end_matches('?') {
        "boolean" => prop::sample::select(vec!["true".to_owned(), "false".to_owned()]).boxed(),
        "int64" => prop_oneof![any::<i64>().prop_map(|number| number.to_string()), (0i64..99).prop_map(|number| format!("{number}e2"))].boxed(),
        "float64" => any_number().boxed(),
        "timestamp ms" => prop_oneof![
            (timestamp::MIN_MICROS..timestamp::MAX_MICROS).prop_map(|micros| iso(micros).unwrap()),
            (0u64..4_000_000_000_000).prop_map(|millis| millis.to_string()),
        ]
        .boxed(),
        "utf8" => any_string().boxed(),
        "binary" => prop::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| format!("\"{}\"", base64::encode(&bytes))).boxed(),
        _ => any_value().boxed(),
    };
    prop_oneof![12 => good, 1 => any_value()].boxed()
}

fn any_member() -> BoxedStrategy<(String, String)> {
    let known = prop::sample::select(FIELDS.to_vec()).prop_flat_map(|(name, kind)| {
        let spelled = prop_oneof![5 => Just(format!("\"{name}\"")), 1 => Just(name.replace('a', "\\u0061")).prop_map(|name| format!("\"{name}\""))];
        (spelled, fitting(kind))
    });
    let unknown = (any_string().prop_filter("serde_json reads no such name", |name| !name.contains("\\ud800")), any_value());
    prop_oneof![6 => known, 1 => unknown].boxed()
}

/// Objects that are mostly rows: every column in the schema's order or in any, some left out, some twice, some strangers.
fn any_record() -> impl Strategy<Value = String> {
    let all = FIELDS.map(|(name, kind)| fitting(kind).prop_map(move |value| (format!("\"{name}\""), value))).to_vec();
    let whole = prop_oneof![2 => all.clone().boxed(), 1 => Just(all).prop_flat_map(|all| all).prop_shuffle().boxed()];
    let members = (whole, prop::collection::vec(any_member(), 0..4), any::<prop::sample::Index>(), any::<bool>()).prop_map(|(mut members, more, at, cut)| {
        let at = at.index(members.len());
        if cut {
            members.remove(at);
        }
        members.splice(at..at, more);
        members
    });
    (members, space(), space(), space()).prop_map(|(members, before, between, after)| {
        let members: Vec<_> = members.into_iter().map(|(name, value)| format!("{before}{name}{between}:{after}{value}")).collect();
        format!("{after}{{{}{between}}}{before}", members.join(&format!("{between},")))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn every_object_becomes_the_row_that_the_slow_reference_says(record in any_record(), null: bool) {
        let on_bad_field = if null { OnBadField::Null } else { OnBadField::Reject };
        prop_assert_eq!(decoded(record.as_bytes(), on_bad_field), reference(record.as_bytes(), on_bad_field), "{}", record);
    }

    #[test]
    fn a_chunk_of_records_is_each_record_for_itself(records in prop::collection::vec(any_record(), 0..12), breakage in prop::collection::vec(any::<prop::sample::Index>(), 0..4)) {
        let mut records: Vec<Vec<u8>> = records.into_iter().map(String::into_bytes).collect();
        for index in breakage {
            if !records.is_empty() {
                let record = index.get(&records).clone();
                records.insert(index.index(records.len()), record[..index.index(record.len().max(1)).min(record.len())].to_vec());
            }
        }
        let decoder = JsonDecoder::new(&schema(&FIELDS), OnBadField::Reject).unwrap();
        let chunk = run(&decoder, &records.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let kept = chunk.kept.clone().unwrap_or_else(|| (0..records.len() as u32).collect());
        prop_assert_eq!(kept.len(), chunk.rows.num_rows());
        prop_assert_eq!(kept.len() + chunk.rejected.len(), records.len());
        for (row, record) in kept.iter().enumerate() {
            prop_assert_eq!(one(&FIELDS, &records[*record as usize]), Ok(row_json(&chunk.rows, row)));
        }
        for bad in &chunk.rejected {
            prop_assert_eq!(one(&FIELDS, &records[bad.record as usize]), Err((bad.code, bad.reason.clone())));
        }
    }

    #[test]
    fn a_mutated_record_is_taken_or_rejected_as_the_reference_does(record in any_record(), edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..4)) {
        let mut record = record.into_bytes();
        for (place, byte, kind) in edits {
            let at = place.index(record.len() + 1);
            match kind {
                0 => record.insert(at, b"\"\\{}[]:,0e.-u\x00 "[usize::from(byte) % 15]),
                1 if at < record.len() => drop(record.remove(at)),
                _ if at < record.len() => record[at] = byte,
                _ => {}
            }
        }
        // serde_json refuses half a surrogate pair in a name, which is none of our business.
        prop_assume!(!String::from_utf8_lossy(&record).to_lowercase().contains("\\ud"));
        prop_assert_eq!(decoded(&record, OnBadField::Reject), reference(&record, OnBadField::Reject), "{}", String::from_utf8_lossy(&record));
    }

    #[test]
    fn a_value_is_json_exactly_where_serde_json_says_so(text in "[\\[\\]{}:,\" \\\\u0-9eE.+a-f\\-trulsn]{0,12}") {
        prop_assert_eq!(is_value(text.as_bytes()), serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn no_bytes_make_it_panic(data in prop::collection::vec(any::<u8>(), 0..200), offsets in prop::collection::vec(0u32..220, 0..8), nulls in prop::option::of(prop::collection::vec(any::<bool>(), 0..8))) {
        let decoder = JsonDecoder::new(&schema(&FIELDS), OnBadField::Null).unwrap();
        let decoded = decoder.decode(&Values { data: &data, offsets: &offsets, nulls: nulls.as_deref() });
        prop_assert_eq!(decoded.rows.num_rows() + decoded.rejected.len(), offsets.len().saturating_sub(1));
    }
}
