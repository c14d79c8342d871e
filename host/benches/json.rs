//! What a record of JSON costs, in and out, beside serde_json into and out of a struct, in the same run: `cargo bench --profile dev --bench json`.
//!
//! The cases take turns, so that whatever else the machine does falls on all of them, and it is the thread's CPU time that counts. Medians are printed.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a benchmark: it may stop with a panic")]

use std::hint::black_box;
use std::time::Duration;

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use serde::{Deserialize, Serialize};
use weir::format::{Encoded, JsonDecoder, JsonEncoder, OnBadField, Values};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RECORDS: usize = 1000;
const ROUNDS: usize = 41;
const RUNS_PER_ROUND: usize = 20;

/// One way to do the work on a chunk of `RECORDS`.
type Case<'a> = (&'static str, Box<dyn FnMut() + 'a>);

#[derive(Debug, Serialize, Deserialize)]
struct AdEvent<'a> {
    event_id: &'a str,
    timestamp: &'a str,
    user_id: &'a str,
    campaign_id: &'a str,
    ad_format: &'a str,
    country: &'a str,
    device: Option<&'a str>,
    event_type: &'a str,
    revenue: Option<f64>,
}

fn main() {
    let (data, offsets) = chunk();
    let values = Values { data: &data, offsets: &offsets, nulls: None };
    let schema = schema();
    let decoder = JsonDecoder::new(&schema, OnBadField::Reject).expect("a good schema");
    let encoder = JsonEncoder::new(&schema, &(0..schema.fields().len()).collect::<Vec<_>>()).expect("a good schema");
    let rows = decoder.decode(&values).rows;
    let events: Vec<AdEvent<'_>> = records(&values).map(parse).collect();
    let (mut encoded, mut text) = (Encoded::default(), Vec::new());
    println!("chunks of {RECORDS} records of {} bytes", data.len() / RECORDS);
    measure(vec![
        ("decode: to Arrow", Box::new(|| drop(black_box(decoder.decode(black_box(&values)))))),
        (
            "decode: serde_json to structs",
            Box::new(|| {
                for record in records(black_box(&values)) {
                    black_box(parse(record));
                }
            }),
        ),
        (
            "encode: from Arrow",
            Box::new(|| {
                encoded.clear();
                black_box(encoder.encode(black_box(&rows), &mut encoded));
            }),
        ),
        (
            "encode: serde_json from structs",
            Box::new(|| {
                text.clear();
                for event in black_box(&events) {
                    serde_json::to_writer(&mut text, event).expect("memory takes all");
                }
                black_box(&text);
            }),
        ),
    ]);
}

fn measure(mut cases: Vec<Case<'_>>) {
    let mut nanos = vec![Vec::new(); cases.len()];
    for _ in 0..ROUNDS {
        for ((_, run), nanos) in cases.iter_mut().zip(&mut nanos) {
            let start = cpu_time();
            for _ in 0..RUNS_PER_ROUND {
                run();
            }
            nanos.push((cpu_time() - start).as_nanos() as f64 / (RUNS_PER_ROUND * RECORDS) as f64);
        }
    }
    for ((name, _), nanos) in cases.iter().zip(&mut nanos) {
        nanos.sort_by(f64::total_cmp);
        println!("{name:<34} {:6.1} ns/record  (fastest {:.1})", nanos[ROUNDS / 2], nanos[0]);
    }
}

/// What this thread has computed so far.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec` that lives through the call.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "the clock of the thread can be read");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn parse(record: &[u8]) -> AdEvent<'_> {
    serde_json::from_slice(record).expect("a good record")
}

fn records<'a>(values: &Values<'a>) -> impl Iterator<Item = &'a [u8]> {
    (0..values.len()).filter_map(|record| values.get(record))
}

fn schema() -> Schema {
    let field = |(name, kind, nullable)| Field::new(name, kind, nullable);
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
    Schema::new(
        [
            ("event_id", DataType::Utf8, false),
            ("timestamp", timestamp, false),
            ("user_id", DataType::Utf8, false),
            ("campaign_id", DataType::Utf8, false),
            ("ad_format", DataType::Utf8, false),
            ("country", DataType::Utf8, false),
            ("device", DataType::Utf8, true),
            ("event_type", DataType::Utf8, false),
            ("revenue", DataType::Float64, true),
        ]
        .map(field)
        .to_vec(),
    )
}

/// Ad events as the generator of the demo makes them.
fn chunk() -> (Vec<u8>, Vec<u32>) {
    let mut data = Vec::new();
    let mut offsets = vec![0];
    for number in 0..RECORDS {
        let pick = |choices: &[&'static str], salt: usize| choices[number.wrapping_mul(2_654_435_761).wrapping_add(salt * 97) / 7 % choices.len()];
        let record = format!(
            r#"{{"event_id":"E17658182488{:05}","timestamp":"2025-12-16T02:{:02}:{:02}.{:06}","user_id":"U{:05}","campaign_id":"C{:03}","ad_format":"{}","country":"{}","device":"{}","event_type":"{}","revenue":{}}}"#,
            number * 37 % 100_000,
            number / 60 % 60,
            number % 60,
            number * 7919 % 1_000_000,
            number * 7907 % 100_000,
            number % 50,
            pick(&["banner", "video", "native", "rewarded_video", "interstitial"], 1),
            pick(&["UK", "US", "DE", "FR", "JP", "BR"], 2),
            pick(&["Android", "iOS", "Desktop", "Tablet"], 3),
            pick(&["impression", "click", "view", "conversion"], 4),
            (number * 7 % 500) as f64 / 10_000.0,
        );
        data.extend_from_slice(record.as_bytes());
        offsets.push(data.len() as u32);
    }
    (data, offsets)
}
