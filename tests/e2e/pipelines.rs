//! The pipelines of `plugins/`, as they stand there, on Kafka: what they give is what their fixtures say, epoch by epoch.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Trial, run, stderr};

/// A pipeline of `plugins/` with topics of its own, to be run on what there is.
fn own(trial: &Trial, folder: &str, file: &str, source: &str) -> PathBuf {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins").join(folder);
    let text = std::fs::read_to_string(plugins.join(file)).unwrap();
    let lines = text.lines().map(|line| match line {
        line if line.starts_with("name =") => format!("name = \"NAME-{}\"", file.trim_end_matches(".toml")),
        line if line.starts_with("trigger =") => "trigger = \"available-now\"".to_owned(),
        line if line.contains("topics = [") => format!("kafka = {{ brokers = \"BROKERS\", topics = [\"NAME.{source}\"] }}"),
        line => line
            .replace("topic = \"", "topic = \"NAME.")
            .replace("partitions = 4", "partitions = 1")
            .replace("plugin = \"user_events.wasm\"", &format!("plugin = \"{}\"", plugins.join("user_events.wasm").display())),
    });
    trial.document(file, &lines.collect::<Vec<_>>().join("\n"))
}

/// The lines of a fixture: input rows, and what comes out by name.
fn fixture(folder: &str, file: &str) -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins").join(folder).join("fixtures").join(file);
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs the pipeline on each line of a fixture; afterwards each of these topics holds the rows of these outputs, each row once.
fn gives_what_its_fixture_says(trial: &Trial, pipeline: &Path, lines: &[Value], outputs: &[(&str, &str)]) {
    for line in lines {
        let rows: Vec<String> = line["input"].as_object().unwrap().values().flat_map(|rows| rows.as_array().unwrap()).map(Value::to_string).collect();
        trial.send(&rows.iter().map(|row| Some(row.as_bytes())).collect::<Vec<_>>());
        let output = run(pipeline);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    for (output, topic) in outputs {
        let mut expected: Vec<String> = lines.iter().flat_map(|line| line["output"][output].as_array().unwrap()).map(Value::to_string).collect();
        let mut found: Vec<String> = trial.read(topic).iter().map(Value::to_string).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{topic}");
        assert!(!found.is_empty(), "{topic}");
    }
}

#[test]
fn sliding_windows_of_ad_clicks_come_out_once_each() {
    let trial = Trial::new("ad-performance");
    let pipeline = own(&trial, "ad-performance", "pipeline.toml", "in");
    gives_what_its_fixture_says(&trial, &pipeline, &fixture("ad-performance", "sliding.jsonl"), &[("by_campaign", "ad-performance")]);
}

#[test]
fn late_user_events_go_to_a_topic_from_which_another_pipeline_finds_who_sends_too_many() {
    let trial = Trial::new("user-events");
    let pipeline = own(&trial, "user-events", "pipeline.toml", "in");
    let lines = fixture("user-events", "activity.jsonl");
    gives_what_its_fixture_says(&trial, &pipeline, &lines, &[("activity", "user-activity"), ("late-events", "user-events.late")]);
    // Of a user who goes on like this.
    let late = own(&trial, "user-events", "late.toml", "user-events.late");
    let row = |id: u32| format!("{{\"event_id\":\"x{id}\",\"timestamp\":\"2025-12-16T02:04:20Z\",\"user_id\":\"u9\",\"action\":\"click\"}}");
    let rows: Vec<String> = (0..6).map(row).collect();
    trial.send(&rows.iter().map(|row| Some(row.as_bytes())).collect::<Vec<_>>());
    for pipeline in [&pipeline, &late] {
        let output = run(pipeline);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let suspects = trial.read("user-events.suspects");
    assert_eq!(suspects.len(), 1, "{suspects:?}");
    assert_eq!((&suspects[0]["user_id"], &suspects[0]["late_events"]), (&"u9".into(), &6.into()));
}
