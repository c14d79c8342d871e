//! Kafka's own columns: beside those of JSON, and as all there is.

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _};
use serde_json::{Value, json};

use crate::support::{PATIENCE, Trial, producer, run, stderr};

/// 2025-12-16T02:04:08.891Z
const SENT_MS: i64 = 1_765_850_648_891;

/// Two records, half a minute apart; only the first has a key and headers.
fn send(trial: &Trial) {
    let producer = producer();
    let topic = format!("{}.in", trial.name);
    let headers = OwnedHeaders::new().insert(Header { key: "trace", value: Some("abc") }).insert(Header { key: "none", value: None::<&str> });
    let first = BaseRecord::to(&topic).key("k").payload(r#"{"n":1}"#).timestamp(SENT_MS).headers(headers);
    let second = BaseRecord::<str, _>::to(&topic).payload(r#"{"n":2}"#).timestamp(SENT_MS + 30_000);
    for record in [first, second] {
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// What Kafka says of the two records.
fn places(trial: &Trial) -> [Value; 2] {
    let topic = format!("{}.in", trial.name);
    [
        json!({
            "topic": topic, "partition": 0, "offset": 0, "timestamp": "2025-12-16T02:04:08.891000Z",
            "headers": [{ "key": "trace", "value": "abc" }, { "key": "none", "value": null }],
        }),
        json!({ "topic": topic, "partition": 0, "offset": 1, "timestamp": "2025-12-16T02:04:38.891000Z" }),
    ]
}

fn with(mut row: Value, more: Value) -> Value {
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    row
}

#[test]
fn the_columns_of_a_record_come_with_those_of_its_json() {
    let trial = Trial::new("metadata");
    send(&trial);
    let document = r#"
name = "NAME"
trigger = "available-now"

[[source]]
id = "events"
kafka = { brokers = "BROKERS", topics = ["NAME.in"] }
format = "json"
schema = { n = "int64" }
metadata = { record_key = "key", topic = "topic", partition = "partition", offset = "offset", timestamp = "timestamp", headers = "headers" }
event_time = { column = "timestamp", watermark = "1 minute" }

[[step]]
id = "counted"
input = "events"
key = ["partition"]
window = { tumbling = "1 minute" }
output_mode = "update"
aggregate = { plugin = "std", config = { rows = "count(*)", newest = "max(timestamp)", last = "max(offset)" } }

[[sink]]
input = "events"
kafka = { topic = "NAME.out", create = { partitions = 1, replication = 1 } }

[[sink]]
input = "counted"
kafka = { topic = "NAME.counts", create = { partitions = 1, replication = 1 } }
"#;
    let output = run(&trial.document("metadata.toml", document));
    assert!(output.status.success(), "{}", stderr(&output));
    let [first, second] = places(&trial);
    // A binary column is base64 in JSON: `aw==` is `k`.
    assert_eq!(trial.read("out"), [with(json!({ "n": 1, "record_key": "aw==" }), first), with(json!({ "n": 2 }), second)]);
    let counted = json!({
        "window_start": "2025-12-16T02:04:00.000000Z", "window_end": "2025-12-16T02:05:00.000000Z",
        "partition": 0, "rows": 2, "newest": "2025-12-16T02:04:38.891000Z", "last": 1,
    });
    assert_eq!(trial.read("counts"), [counted]);
}

#[test]
fn raw_rows_are_the_records_as_they_are() {
    let trial = Trial::new("raw");
    send(&trial);
    let document = r#"
name = "NAME"
trigger = "available-now"

[[source]]
id = "records"
kafka = { brokers = "BROKERS", topics = ["NAME.in"] }
format = "raw"
event_time = { column = "timestamp", watermark = "1 minute" }

[[step]]
id = "counted"
input = "records"
key = ["topic", "partition"]
window = { tumbling = "1 minute" }
output_mode = "update"
aggregate = { plugin = "std", config = { records = "count(*)", keys = "count(key)" } }

[[sink]]
input = "records"
kafka = { topic = "NAME.out", timestamp = "timestamp", create = { partitions = 1, replication = 1 } }

[[sink]]
input = "counted"
kafka = { topic = "NAME.counts", create = { partitions = 1, replication = 1 } }
"#;
    let output = run(&trial.document("raw.toml", document));
    assert!(output.status.success(), "{}", stderr(&output));
    let [first, second] = places(&trial);
    let values = ["eyJuIjoxfQ==", "eyJuIjoyfQ=="];
    assert_eq!(trial.read("out"), [with(json!({ "key": "aw==", "value": values[0] }), first), with(json!({ "value": values[1] }), second)]);
    let counts = trial.read("counts");
    assert_eq!((counts.len(), &counts[0]["records"], &counts[0]["keys"]), (1, &json!(2), &json!(1)), "{counts:?}");
    assert_eq!((&counts[0]["window_start"], &counts[0]["partition"]), (&json!("2025-12-16T02:04:00.000000Z"), &json!(0)));
}
