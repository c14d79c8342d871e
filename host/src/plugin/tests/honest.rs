//! Guests that keep the contract: what goes in comes out, and the context gets there.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{Schema, SchemaRef};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::guest::{Act, Guest, computed, opened, passed};
use super::{CONTEXT, ENGINE, batch, limits, open};
use crate::plugin::{Context, Interface, Limits, OpenError, Order, PluginError, Transform, data_type_text, field};

const TYPES: [&str; 7] = ["boolean", "int64", "float64", "timestamp", "utf8", "binary", "json"];

/// Answers the columns that it got: a list of columns is the same on the way in and out.
const ECHO: &str = "(i32.store (i32.const 512) (i32.const 0))
    (i32.store (i32.const 516) (local.get $columns)) (i32.store (i32.const 520) (local.get $columns_len))
    (i32.store (i32.const 524) (i32.const 0)) (i32.store (i32.const 540) (i32.const 0)) (i32.const 512)";

/// A nullable column of each type.
fn all_types() -> SchemaRef {
    Arc::new(Schema::new(TYPES.map(|name| field(name, name, true).unwrap()).to_vec()))
}

fn echo() -> Transform {
    let columns = TYPES.map(|name| computed(name, name, true)).to_vec();
    let guest = Guest::transform(opened(&[0, 1, 2, 3, 4, 5, 6], columns), Act::Code(ECHO.to_owned()));
    let plugin = ENGINE.load_bytes("echo.wasm", &guest.build()).unwrap();
    plugin.open_transform("f", &Value::Null, &all_types(), &Limits::default()).unwrap()
}

type Row = (Option<bool>, Option<i64>, Option<f64>, Option<i64>, Option<String>, Option<Vec<u8>>, Option<String>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        option::of(any::<bool>()),
        option::of(any::<i64>()),
        option::of(-1e9..1e9),
        option::of(any::<i64>()),
        option::of(".{0,5}"),
        option::of(vec(any::<u8>(), 0..5)),
        option::of("[0-9]{1,3}"),
    );
    vec(row, 0..40)
}

fn table(rows: &[Row]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.0).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.3).collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
        Arc::new(rows.iter().map(|row| row.4.as_deref()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.5.as_deref()).collect::<BinaryArray>()),
        Arc::new(rows.iter().map(|row| row.6.as_deref()).collect::<StringArray>()),
    ];
    RecordBatch::try_new(all_types(), columns).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Also of slices, whose bitmaps begin within a byte and whose offsets do not begin at 0.
    #[test]
    fn every_type_goes_through_a_guest_and_comes_back_as_it_was(rows in rows(), from in 0_usize..40, len in 0_usize..40) {
        let table = table(&rows);
        let from = from.min(table.num_rows());
        let slice = table.slice(from, len.min(table.num_rows() - from));
        let done = echo_once(&slice);
        prop_assert_eq!(done.num_rows(), slice.num_rows());
        for (got, sent) in done.columns().iter().zip(slice.columns()) {
            prop_assert_eq!(got, sent);
        }
    }
}

fn echo_once(rows: &RecordBatch) -> RecordBatch {
    use std::sync::LazyLock;
    static ECHO: LazyLock<Transform> = LazyLock::new(echo);
    let done = ECHO.run(&CONTEXT, rows).unwrap();
    assert!(done.origin.is_none() && done.rejected.is_empty());
    done.rows
}

#[test]
fn the_words_of_the_contract_and_arrows_types_are_each_others_inverse() {
    for name in TYPES {
        assert_eq!(data_type_text(&field("x", name, true).unwrap()), Some(name));
    }
    assert!(field("x", "decimal", true).is_none());
    let other = arrow_schema::Field::new("x", arrow_schema::DataType::Int32, true);
    assert_eq!(data_type_text(&other), None);
    let local = arrow_schema::DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, None);
    assert_eq!(data_type_text(&arrow_schema::Field::new("x", local, true)), None);
}

/// Keeps the rows whose `id` is odd, and computes `now` + `epoch` + the watermark for each of them.
fn odd() -> Guest {
    let code = "(local $i i32) (local $out i32) (local $ids i32)
        (local.set $ids (i32.load (local.get $columns)))
        (local.set $at (i32.const 4096)) (local.set $out (i32.const 8192))
        (block $done (loop $next
          (br_if $done (i32.eq (local.get $i) (local.get $count)))
          (if (i32.and (i32.const 1) (i32.load (i32.add (local.get $ids) (i32.shl (local.get $i) (i32.const 3)))))
            (then
              (i32.store (i32.add (local.get $at) (i32.shl (local.get $n) (i32.const 2))) (local.get $i))
              (i64.store (i32.add (local.get $out) (i32.shl (local.get $n) (i32.const 3)))
                (i64.add (i64.add (local.get $epoch) (local.get $now)) (i64.mul (i64.extend_i32_u (local.get $has_watermark)) (local.get $watermark))))
              (local.set $n (i32.add (local.get $n) (i32.const 1)))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br $next)))
        (i32.store (i32.const 512) (i32.const 0))
        (i32.store (i32.const 516) (i32.const 600)) (i32.store (i32.const 520) (i32.const 1))
        (i32.store (i32.const 600) (local.get $out)) (i32.store (i32.const 604) (i32.shl (local.get $n) (i32.const 3)))
        (i32.store (i32.const 524) (i32.const 1)) (i32.store (i32.const 528) (local.get $at)) (i32.store (i32.const 532) (i32.shl (local.get $n) (i32.const 2)))
        (i32.store (i32.const 540) (i32.const 0)) (i32.const 512)";
    Guest::transform(opened(&[0], vec![passed("label", 1), computed("time", "int64", false)]), Act::Code(code.to_owned()))
}

#[test]
fn a_filter_drops_rows_by_origin_and_passed_columns_follow() {
    let transform = open(&odd(), &limits());
    let names: Vec<_> = transform.output().fields().iter().map(|field| (field.name().clone(), field.is_nullable())).collect();
    assert_eq!(names, [("label".to_owned(), true), ("time".to_owned(), false)]);
    assert_eq!(transform.reads(), [0]);
    let context = Context { epoch: 1, now_us: 20, watermark_us: Some(300) };
    let done = transform.run(&context, &batch()).unwrap();
    assert_eq!(done.origin.as_deref(), Some([0, 2].as_slice()));
    let labels: Vec<_> = done.rows.column(0).as_string::<i32>().iter().collect();
    assert_eq!(labels, [Some("a"), Some("ccc")]);
    assert_eq!(done.rows.column(1).as_primitive::<Int64Type>().values().as_ref(), [321, 321]);
    let done = transform.run(&Context { watermark_us: None, ..context }, &batch()).unwrap();
    assert_eq!(done.rows.column(1).as_primitive::<Int64Type>().value(0), 21);
}

#[test]
fn rows_that_come_out_one_after_the_other_are_not_copied() {
    let transform = open(&odd(), &limits());
    let third = batch().slice(2, 1);
    let done = transform.run(&CONTEXT, &third).unwrap();
    let (sent, got) = (third.column(1).as_string::<i32>(), done.rows.column(0).as_string::<i32>());
    assert_eq!(sent.values().as_ptr(), got.values().as_ptr());
}

#[test]
fn no_rows_are_rows_too() {
    let transform = open(&odd(), &limits());
    assert_eq!(transform.run(&CONTEXT, &batch().slice(0, 0)).unwrap().rows.num_rows(), 0);
    assert_eq!(echo_once(&table(&[])).num_rows(), 0);
}

#[test]
fn many_threads_run_one_transform_each_on_an_instance_of_its_own() {
    let transform = open(&odd(), &limits());
    let barrier = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..200 {
                    assert_eq!(transform.run(&CONTEXT, &batch()).unwrap().rows.num_rows(), 2);
                }
            });
        }
    });
    let stats = transform.stats();
    assert_eq!((stats.calls, stats.retries), (1_600, 0));
    assert!((1..=8).contains(&stats.instances), "{stats:?}");
    assert_eq!((stats.bytes_in, stats.bytes_out), (1_600 * 24, 1_600 * (2 * 8 + 2 * 4)));
}

#[test]
fn columns_that_are_not_those_that_were_opened_are_the_callers_fault() {
    let transform = open(&odd(), &limits());
    let other = table(&[]);
    match transform.run(&CONTEXT, &other).unwrap_err() {
        PluginError::Host { reason, .. } => assert_eq!(reason, "column 0 of the input is not the `id` of type Int64 that was opened"),
        error => panic!("{error}"),
    }
    assert_eq!(transform.stats().retries, 0);
}

#[test]
fn an_input_type_that_the_contract_has_no_word_for_is_refused_by_name() {
    let plugin = ENGINE.load_bytes("odd.wasm", &odd().build()).unwrap();
    let schema = Schema::new(vec![arrow_schema::Field::new("small", arrow_schema::DataType::Int32, false)]);
    let error = plugin.open_transform("f", &Value::Null, &schema, &limits()).unwrap_err();
    assert!(matches!(error, OpenError::Unsupported { ref column, .. } if column == "small"), "{error}");
}

#[test]
fn the_embedded_plugin_counts_and_sums() {
    let plugin = ENGINE.std().unwrap();
    assert_eq!(plugin.description().name, "std");
    assert_eq!(plugin.digest(), ENGINE.std().unwrap().digest());
    let function = plugin.functions().iter().find(|function| function.interface == Interface::Aggregate).unwrap();
    let config = json!({ "n": "count(*)", "names": "count(name)", "total": "sum(price)" });
    let aggregate = plugin.open_aggregate(&function.name, &config, &batch().schema(), &Limits::default()).unwrap();
    assert_eq!(aggregate.order(), Order::Any);
    let first = aggregate.accumulate(&CONTEXT, &batch(), &[0, 1, 0], 2).unwrap();
    let second = aggregate.accumulate(&CONTEXT, &batch().slice(1, 2), &[0, 0], 1).unwrap();
    let mut states = first.clone();
    second.iter().for_each(|state| states.push(state));
    let merged = aggregate.merge(&states, &[0, 1, 1], 2).unwrap();
    let rows = aggregate.finish(&CONTEXT, &merged).unwrap();
    assert_eq!(rows.schema(), *aggregate.output());
    assert_eq!(rows["n"].as_primitive::<Int64Type>().values().as_ref(), [2, 3]);
    assert_eq!(rows["names"].as_primitive::<Int64Type>().values().as_ref(), [2, 1]);
    assert_eq!(rows["total"].as_primitive::<arrow_array::types::Float64Type>().values().as_ref(), [3.0, 0.5]);
    assert_eq!(aggregate.migrate(aggregate.state_identity(), &merged).unwrap(), merged);
    assert_eq!(rows["n"].null_count(), 0);
}
