#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]

use std::cmp::Ordering;

use arrow_array::{BinaryArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow_schema::Field;
use proptest::prelude::*;

use super::value::NAN;
use super::*;

/// One value of each type that a key can have.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    boolean: Option<bool>,
    int64: Option<i64>,
    float64: Option<f64>,
    timestamp: Option<i64>,
    utf8: Option<String>,
    binary: Option<Vec<u8>>,
}

impl Row {
    /// The order that the bytes must have: nulls first, numbers by value with NaN last, text and bytes by byte.
    fn order(&self, other: &Self) -> Ordering {
        let float = |value: Option<f64>| value.map(|value| (value.is_nan(), if value.is_nan() { 0.0 } else { value + 0.0 }));
        (self.boolean.cmp(&other.boolean))
            .then(self.int64.cmp(&other.int64))
            .then(float(self.float64).partial_cmp(&float(other.float64)).unwrap())
            .then(self.timestamp.cmp(&other.timestamp))
            .then(self.utf8.cmp(&other.utf8))
            .then(self.binary.cmp(&other.binary))
    }
}

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("boolean", DataType::Boolean, true),
        Field::new("int64", DataType::Int64, true),
        Field::new("float64", DataType::Float64, true),
        Field::new("timestamp", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("utf8", DataType::Utf8, true),
        Field::new("binary", DataType::Binary, true),
    ])
}

fn batch(rows: &[Row]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.boolean).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|row| row.int64).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.float64).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.timestamp).collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
        Arc::new(rows.iter().map(|row| row.utf8.as_deref()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.binary.as_deref()).collect::<BinaryArray>()),
    ];
    RecordBatch::try_new(Arc::new(schema()), columns).unwrap()
}

fn encoder() -> KeyEncoder {
    KeyEncoder::new(&schema(), &[0, 1, 2, 3, 4, 5]).unwrap()
}

fn encode(rows: &[Row]) -> Keys {
    let mut keys = Keys::new();
    encoder().encode(&batch(rows), &mut keys).unwrap();
    keys
}

/// Values that meet: small domains, with the edges of each type.
fn row() -> impl Strategy<Value = Row> {
    let int64 = || prop::option::of(prop_oneof![Just(i64::MIN), Just(-1), Just(0), Just(1), Just(i64::MAX), any::<i64>()]);
    let float64 = prop::option::of(prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(f64::NAN),
        Just(-f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::MIN_POSITIVE),
        -1.0..1.0,
        any::<f64>(),
    ]);
    let bytes = prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(0xFF), Just(b'a')], 0..5);
    let utf8 = prop::option::of(prop_oneof!["[\0\u{1}a]{0,4}", "\\PC{0,3}"]);
    (prop::option::of(any::<bool>()), int64(), float64, int64(), utf8, prop::option::of(bytes))
        .prop_map(|(boolean, int64, float64, timestamp, utf8, binary)| Row { boolean, int64, float64, timestamp, utf8, binary })
}

/// A pair that is often equal in its first columns, so that the later ones decide.
fn pair() -> impl Strategy<Value = (Row, Row)> {
    (row(), row(), 0..7_usize).prop_map(|(a, mut b, same)| {
        if same > 0 {
            b.boolean = a.boolean;
        }
        if same > 1 {
            b.int64 = a.int64;
        }
        if same > 2 {
            b.float64 = a.float64;
        }
        if same > 3 {
            b.timestamp = a.timestamp;
        }
        if same > 4 {
            b.utf8.clone_from(&a.utf8);
        }
        if same > 5 {
            b.binary.clone_from(&a.binary);
        }
        (a, b)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_order_of_the_bytes_is_the_order_of_the_values((a, b) in pair()) {
        let keys = encode(&[a.clone(), b.clone()]);
        prop_assert_eq!(keys.get(0).unwrap().cmp(keys.get(1).unwrap()), a.order(&b));
    }

    #[test]
    fn no_key_is_a_prefix_of_another((a, b) in pair()) {
        let keys = encode(&[a.clone(), b.clone()]);
        prop_assert_eq!(keys.get(0).unwrap().starts_with(keys.get(1).unwrap()), a.order(&b).is_eq());
    }

    #[test]
    fn a_key_decodes_to_what_it_was_made_of(rows in prop::collection::vec(row(), 0..8)) {
        let keys = encode(&rows);
        let columns = encoder().decode(keys.iter()).unwrap();
        // What Spark groups as one value comes back as that value.
        let grouped: Vec<Row> = rows.into_iter().map(|mut row| {
            row.float64 = row.float64.map(|value| if value.is_nan() { f64::from_bits(NAN) } else { value + 0.0 });
            row
        }).collect();
        let expected = batch(&grouped);
        for (column, expected) in columns.iter().zip(expected.columns()) {
            prop_assert_eq!(column.data_type(), expected.data_type());
            prop_assert_eq!(column.to_data(), expected.to_data());
        }
    }

    #[test]
    fn any_bytes_decode_or_are_refused_without_a_panic(bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(0xFF), any::<u8>()], 0..64)) {
        let encoder = encoder();
        if let Ok(columns) = encoder.decode([bytes.as_slice()]) {
            prop_assert!(columns.iter().all(|column| column.len() == 1));
        }
    }

    #[test]
    fn a_cut_key_is_refused(row in row(), cut in any::<prop::sample::Index>()) {
        let keys = encode(&[row]);
        let key = keys.get(0).unwrap();
        prop_assert!(encoder().decode([&key[..cut.index(key.len())]]).is_err());
    }
}

/// The bytes themselves: a change here is a change of the format, and makes every state folder unreadable.
#[test]
fn the_encoding_is_pinned() {
    let rows = [
        Row { boolean: Some(true), int64: Some(-2), float64: Some(1.5), timestamp: Some(0), utf8: Some("a\0b".into()), binary: Some(vec![0xFF]) },
        Row { boolean: None, int64: None, float64: Some(f64::NAN), timestamp: Some(1), utf8: Some(String::new()), binary: None },
        Row { boolean: Some(false), int64: Some(1), float64: Some(-0.0), timestamp: None, utf8: None, binary: Some(vec![]) },
    ];
    let hex: Vec<String> = encode(&rows).iter().map(|key| key.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
    assert_eq!(
        hex,
        [
            "0101017ffffffffffffffe01bff8000000000000018000000000000000016100ff62000101ff0001",
            "000001fff80000000000000180000000000000010100010 0".replace(' ', "").as_str(),
            "01000180000000000000010180000000000000000000010001",
        ]
    );
}

#[test]
fn a_slice_of_a_batch_gives_the_same_keys_as_the_whole() {
    let rows: Vec<Row> = (0..10)
        .map(|i| Row {
            boolean: Some(i % 2 == 0),
            int64: (i % 3 != 0).then_some(i),
            float64: Some(i as f64),
            timestamp: Some(i),
            // One zero byte in the first half: the second half is then written without escapes.
            utf8: Some(if i < 5 { "x\0y".into() } else { format!("k{i}") }),
            binary: Some(vec![i as u8; 3]),
        })
        .collect();
    let whole = encode(&rows);
    let mut sliced = Keys::new();
    encoder().encode(&batch(&rows).slice(0, 4), &mut sliced).unwrap();
    encoder().encode(&batch(&rows).slice(4, 6), &mut sliced).unwrap();
    assert_eq!(whole, sliced);
}

#[test]
fn no_key_column_at_all_is_one_group_with_the_empty_key() {
    let encoder = KeyEncoder::new(&schema(), &[]).unwrap();
    let mut keys = Keys::new();
    let row = Row { boolean: None, int64: None, float64: None, timestamp: None, utf8: None, binary: None };
    encoder.encode(&batch(&[row.clone(), row]), &mut keys).unwrap();
    assert_eq!(keys.iter().collect::<Vec<_>>(), [b"", b""]);
    assert!(encoder.decode([b"".as_slice()]).unwrap().is_empty());
    assert!(encoder.decode([b"x".as_slice()]).is_err());
}

#[test]
fn a_column_of_another_type_is_refused_with_its_name() {
    let schema = Schema::new(vec![Field::new("when", DataType::Date32, true)]);
    let error = KeyEncoder::new(&schema, &[0]).unwrap_err().to_string();
    assert_eq!(error, "column `when` of type Date32 can't be a key: expected boolean, int64, float64, timestamp, utf8, binary or json");
    let other = RecordBatch::try_new(Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)])), vec![Arc::new(Int64Array::from(vec![1]))]).unwrap();
    let error = encoder().encode(&other, &mut Keys::new()).unwrap_err().to_string();
    assert_eq!(error, "key column `boolean` is not column number 0 of type Boolean in these rows");
}

#[test]
#[ignore = "a measurement; run with --ignored --nocapture on an idle machine"]
fn nanoseconds_a_row_of_three_short_text_columns() {
    let names = ["event_type", "country", "ad_format"];
    let schema = Schema::new(names.map(|name| Field::new(name, DataType::Utf8, false)).to_vec());
    let column = |values: [&str; 4]| -> ArrayRef { Arc::new((0..1_000).map(|i| Some(values[i * 7 % 4])).collect::<StringArray>()) };
    let columns =
        vec![column(["click", "view", "impression", "conversion"]), column(["DE", "US", "FR", "BR"]), column(["banner", "video", "native", "interstitial"])];
    let batch = RecordBatch::try_new(Arc::new(schema.clone()), columns).unwrap();
    let encoder = KeyEncoder::new(&schema, &[0, 1, 2]).unwrap();
    let mut keys = Keys::new();
    let (mut encode_ns, mut decode_ns) = (f64::MAX, f64::MAX);
    for _ in 0..200 {
        let start = std::time::Instant::now();
        for _ in 0..20 {
            keys.clear();
            encoder.encode(std::hint::black_box(&batch), &mut keys).unwrap();
        }
        encode_ns = encode_ns.min(start.elapsed().as_nanos() as f64 / 20e3);
        let start = std::time::Instant::now();
        std::hint::black_box(encoder.decode(keys.iter()).unwrap());
        decode_ns = decode_ns.min(start.elapsed().as_nanos() as f64 / 1e3);
    }
    println!("encode {encode_ns:.1} ns a row, decode {decode_ns:.1} ns a row");
}
