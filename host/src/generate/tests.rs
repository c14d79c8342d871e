#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::disallowed_methods, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::DateTime;
use serde_json::Value;

use super::*;

fn shape() -> Shape {
    Shape {
        seed: 7,
        start_us: 1_765_850_648_000_000,
        step_us: 1_000.0,
        jitter_us: 10_000_000,
        late: Share::of(0.01).unwrap(),
        late_by_us: 180_000_000,
        bad: Share::of(0.001).unwrap(),
    }
}

fn records(shape: Shape, count: usize) -> Vec<(Kind, Record)> {
    let mut events = AdEvents::new(shape);
    (0..count)
        .map(|_| {
            let mut record = Record::default();
            (events.next(&mut record), record)
        })
        .collect()
}

fn json(record: &Record) -> Option<Value> {
    serde_json::from_slice(&record.value).ok()
}

fn time_us(event: &Value) -> i64 {
    let time: DateTime = event["timestamp"].as_str().unwrap().parse().unwrap();
    Offset::UTC.to_timestamp(time).unwrap().as_microsecond()
}

#[test]
fn a_record_has_the_nine_fields_in_order_and_nothing_else() {
    let quiet = Shape { bad: Share(0), ..shape() };
    let texts = records(quiet, 100).into_iter().map(|(_, record)| String::from_utf8(record.value).unwrap());
    let text = texts.into_iter().find(|text| text.contains(r#""device":"Android","event_type":"click","revenue":0."#)).unwrap();
    let start = text.find(r#","user_id":"#).unwrap();
    let mut names = text.split(['{', ',']).filter_map(|field| field.split_once(':')).map(|(name, _)| name.trim_matches('"'));
    assert_eq!(
        names.by_ref().take(9).collect::<Vec<_>>(),
        ["event_id", "timestamp", "user_id", "campaign_id", "ad_format", "country", "device", "event_type", "revenue"]
    );
    assert_eq!(names.next(), None);
    // `{"event_id":"E1765818248891151","timestamp":"2025-12-16T02:04:08.891156"`
    assert_eq!(start, 72, "{text}");
}

#[test]
fn equal_seeds_make_equal_streams_and_other_seeds_other_ones() {
    assert_eq!(records(shape(), 1_000), records(shape(), 1_000));
    assert_ne!(records(shape(), 10), records(Shape { seed: 8, ..shape() }, 10));
}

#[test]
fn an_in_time_record_is_within_the_jitter_and_a_late_one_beyond_the_bound() {
    let shape = shape();
    for (number, (kind, record)) in records(shape.clone(), 50_000).into_iter().enumerate() {
        let behind = |event: &Value| shape.start_us + 1_000 * number as i64 - time_us(event);
        match kind {
            Kind::InTime => assert!((0..=10_000_000).contains(&behind(&json(&record).unwrap()))),
            Kind::Late => assert!((180_000_000..=720_000_000).contains(&behind(&json(&record).unwrap()))),
            Kind::Bad => {}
        }
    }
}

#[test]
fn shares_come_out_as_asked_and_the_rest_is_plausible() {
    let count = 200_000;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut see = |what: &str| *seen.entry(what.to_owned()).or_default() += 1;
    for (kind, record) in records(shape(), count) {
        see(&format!("{kind:?}"));
        let Some(event) = json(&record).filter(|_| kind != Kind::Bad) else { continue };
        see(event["event_type"].as_str().unwrap());
        see(match event.get("device") {
            None => "device missing",
            Some(Value::Null) => "device null",
            Some(_) => "device",
        });
        assert_eq!(event["revenue"].is_null(), event["event_type"] == "impression");
        if event["revenue"].as_f64().is_some_and(|revenue| revenue < 0.0) {
            see("negative");
        }
        if event["user_id"].as_str().unwrap().starts_with("BOT") {
            see("bot");
        }
        assert_eq!(event["user_id"].as_str().unwrap().as_bytes(), record.key);
    }
    let per_million = |what: &str| seen[what] * 1_000_000 / count;
    assert!((9_000..11_000).contains(&per_million("Late")), "{seen:?}");
    assert!((800..1_200).contains(&per_million("Bad")), "{seen:?}");
    assert!((780_000..810_000).contains(&per_million("impression")), "{seen:?}");
    assert!((9_000..11_000).contains(&per_million("bot")), "{seen:?}");
    assert!(["click", "conversion", "device null", "device missing", "negative"].iter().all(|what| seen[*what] > 0), "{seen:?}");
}

#[test]
fn no_bad_record_fits_the_schema() {
    let fits = |event: &Value| {
        let texts = ["event_id", "timestamp", "user_id", "campaign_id", "ad_format", "country", "event_type"];
        texts.iter().all(|name| event[*name].is_string())
            && event["timestamp"].as_str().is_some_and(|time| time.parse::<DateTime>().is_ok())
            && (event["revenue"].is_null() || event["revenue"].is_number())
    };
    let (bad, good): (Vec<_>, Vec<_>) = records(Shape { bad: Share::of(0.5).unwrap(), ..shape() }, 4_000).into_iter().partition(|(kind, _)| *kind == Kind::Bad);
    assert!(bad.iter().all(|(_, record)| !json(record).is_some_and(|event| fits(&event))));
    assert!(good.iter().all(|(_, record)| json(record).is_some_and(|event| fits(&event))));
    assert!(bad.iter().any(|(_, record)| json(record).is_none()) && bad.iter().any(|(_, record)| json(record).is_some()));
}

#[test]
fn ids_are_unique_also_when_the_clock_stands_still() {
    let ids: BTreeSet<String> = records(Shape { step_us: 0.0, bad: Share(0), ..shape() }, 5_000)
        .iter()
        .map(|(_, record)| json(record).unwrap()["event_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 5_000);
}

#[test]
fn a_decimal_is_as_short_as_its_value_allows() {
    let text = |number| {
        let mut out = Vec::new();
        decimal(&mut out, number);
        String::from_utf8(out).unwrap()
    };
    assert_eq!([165, 5_000, -120_000, 1_234_567, 10].map(text), ["0.0165", "0.5", "-12.0", "123.4567", "0.001"]);
}

#[test]
fn a_share_is_between_nothing_and_everything() {
    assert_eq!(Share::of(0.001), Some(Share(1_000)));
    assert_eq!([Share::of(-0.1), Share::of(1.1), Share::of(f64::NAN)], [None; 3]);
}
