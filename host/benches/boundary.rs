//! What it costs to call a plugin: nanoseconds a row, by stage, over chunks as the host cuts them. `cargo bench --bench boundary`.
//!
//! *in* is laying out the arguments and taking an instance, *guest* the call with both copies, *out* the checks and the batch that is made of the answer. A guest
//! that answers at once, with the same rows in and out, shows what of *guest* is the boundary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a benchmark may stop at once")]

#[path = "../src/plugin/tests/guest.rs"]
#[allow(dead_code, reason = "the hostile ones stay at home")]
mod guest;

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::Schema;
use serde_json::{Value, json};
use weir::plugin::{Context, Engine, Limits, Plugin, Stats, field};

use self::guest::{Act, Guest, computed, opened, passed};

const ROUNDS: usize = 31;
const CALLS: usize = 500;
const CONTEXT: Context = Context { epoch: 1, now_us: 0, watermark_us: None };

fn main() {
    // Also run by `cargo test --benches`, where nobody waits for numbers.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 1 };
    let engine = Engine::new(None).unwrap();
    println!("{:<58}{:>6}{:>8}{:>8}{:>8}{:>8}", "ns a row, best of the rounds", "rows", "in", "guest", "out", "sum");
    for rows in [100, 1_000, 10_000] {
        let events = events(rows);
        transform(&engine, rounds, "call that reads and passes nothing", &nothing(), &events);
        transform(&engine, rounds, "filter that reads a float64 and keeps all 9 columns", &filter(true), &events);
        transform(&engine, rounds, "the same columns read, nothing looked at, all kept", &filter(false), &events);
        transform(&engine, rounds, "echo of float64, timestamp and two texts", &echo(), &events);
        aggregate(&engine.std().unwrap(), rounds, "count(*) of 20 groups", &json!({ "n": "count(*)" }), &events);
        aggregate(
            &engine.std().unwrap(),
            rounds,
            "count(*), sum, avg of a float64, 20 groups",
            &json!({ "n": "count(*)", "s": "sum(revenue)", "a": "avg(revenue)" }),
            &events,
        );
    }
}

fn transform(engine: &Engine, rounds: usize, name: &str, guest: &Guest, events: &RecordBatch) {
    let plugin = engine.load_bytes("bench.wasm", &guest.build()).unwrap();
    let limits = Limits { memory_bytes: 1 << 30, ..Limits::default() };
    let transform = plugin.open_transform("f", &Value::Null, &events.schema(), &limits).unwrap();
    let call = || drop(transform.run(&CONTEXT, events).unwrap());
    report(name, events.num_rows(), rounds, call, || transform.stats());
}

fn aggregate(plugin: &Plugin, rounds: usize, name: &str, config: &Value, events: &RecordBatch) {
    let function = &plugin.functions()[0].name;
    let aggregate = plugin.open_aggregate(function, config, &events.schema(), &Limits::default()).unwrap();
    let group: Vec<u32> = (0..events.num_rows()).map(|row| u32::try_from(row % 20).unwrap()).collect();
    let call = || drop(aggregate.accumulate(&CONTEXT, events, &group, 20).unwrap());
    report(name, events.num_rows(), rounds, call, || aggregate.stats());
}

fn report(name: &str, rows: usize, rounds: usize, call: impl Fn(), stats: impl Fn() -> Stats) {
    let per_row = |time: Duration| time.as_secs_f64() * 1e9 / (CALLS * rows) as f64;
    let mut stages: [Vec<f64>; 3] = Default::default();
    for round in 0..=rounds {
        let before = stats();
        (0..CALLS).for_each(|_| call());
        let after = stats();
        let times = [after.time_in - before.time_in, after.time_guest - before.time_guest, after.time_out - before.time_out];
        if round > 0 {
            stages.iter_mut().zip(times).for_each(|(stage, time)| stage.push(per_row(time)));
        }
    }
    // The best round, because what others do on the machine only ever adds.
    let [a, b, c] = stages.map(|stage| stage.into_iter().fold(f64::INFINITY, f64::min));
    println!("{name:<58}{rows:>6}{a:>8.2}{b:>8.2}{c:>8.2}{:>8.2}", a + b + c);
}

/// Ad events: nine columns, six of them text.
fn events(rows: usize) -> RecordBatch {
    let texts = |length: usize| -> ArrayRef { Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("{row:0length$}")))) };
    let numbers = |row: usize| i64::try_from(row).unwrap();
    let columns: [(&str, &str, ArrayRef); 9] = [
        ("event_id", "utf8", texts(16)),
        ("timestamp", "timestamp", Arc::new(TimestampMicrosecondArray::from_iter_values((0..rows).map(numbers)).with_timezone("UTC"))),
        ("user_id", "utf8", texts(8)),
        ("campaign_id", "utf8", texts(8)),
        ("ad_format", "utf8", texts(6)),
        ("country", "utf8", texts(2)),
        ("device", "utf8", texts(7)),
        ("clicks", "int64", Arc::new(Int64Array::from_iter_values((0..rows).map(numbers)))),
        // A pattern that a branch predictor has to work for: two of three are kept.
        (
            "revenue",
            "float64",
            Arc::new(Float64Array::from_iter_values((0..rows).map(|row| f64::from(u32::try_from(row * 2_654_435_761 % 300).unwrap()) - 100.0))),
        ),
    ];
    let schema = Schema::new(columns.iter().map(|(name, data_type, _)| field(name, data_type, false).unwrap()).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, _, array)| array).collect()).unwrap()
}

const NAMES: [&str; 9] = ["event_id", "timestamp", "user_id", "campaign_id", "ad_format", "country", "device", "clicks", "revenue"];

/// An answer without origin, of what lies at `$columns`.
const ALL: &str =
    "(i32.store (i32.const 512) (i32.const 0)) (i32.store (i32.const 524) (i32.const 0)) (i32.store (i32.const 540) (i32.const 0)) (i32.const 512)";

fn nothing() -> Guest {
    Guest::transform(opened(&[], vec![]), Act::Code(format!("(i32.store (i32.const 520) (i32.const 0)) {ALL}"))).with_pages(64)
}

fn echo() -> Guest {
    let names = [("revenue", "float64"), ("timestamp", "timestamp"), ("event_id", "utf8"), ("campaign_id", "utf8")];
    let columns = names.iter().map(|(name, data_type)| computed(name, data_type, false)).collect();
    let code = format!("(i32.store (i32.const 516) (local.get $columns)) (i32.store (i32.const 520) (local.get $columns_len)) {ALL}");
    Guest::transform(opened(&[8, 1, 0, 3], columns), Act::Code(code)).with_pages(64)
}

/// Keeps the rows whose revenue is above 0, or all of them without a look.
fn filter(looks: bool) -> Guest {
    let columns = NAMES.iter().zip(0..).map(|(name, input)| passed(name, input)).collect();
    let code = if looks {
        "(local $from i32) (local $to i32)
        (local.set $from (i32.load (local.get $columns)))
        (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
        (local.set $to (local.get $at))
        (block $done (loop $next
          (br_if $done (i32.eq (local.get $n) (local.get $count)))
          (i32.store (local.get $to) (local.get $n))
          (local.set $to (i32.add (local.get $to) (i32.shl (f64.gt (f64.load (local.get $from)) (f64.const 0)) (i32.const 2))))
          (local.set $from (i32.add (local.get $from) (i32.const 8)))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br $next)))
        (i32.store (i32.const 512) (i32.const 0)) (i32.store (i32.const 520) (i32.const 0)) (i32.store (i32.const 540) (i32.const 0))
        (i32.store (i32.const 524) (i32.const 1)) (i32.store (i32.const 528) (local.get $at))
        (i32.store (i32.const 532) (i32.sub (local.get $to) (local.get $at))) (i32.const 512)"
            .to_owned()
    } else {
        format!("(i32.store (i32.const 520) (i32.const 0)) {ALL}")
    };
    Guest::transform(opened(&[8], columns), Act::Code(code)).with_pages(64)
}
