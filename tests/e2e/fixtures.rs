//! Every fixture beside a pipeline holds.

use std::path::{Path, PathBuf};

use crate::support::weir;

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

/// A pipeline `x.toml` is tried on `fixtures/x*.jsonl`, and `pipeline.toml` on those that belong to no other.
#[test]
fn every_pipeline_does_what_its_fixtures_say() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let mut tried = 0;
    for folder in std::fs::read_dir(&plugins).unwrap().map(|entry| entry.unwrap().path()) {
        let pipelines = files(&folder, "toml").into_iter().filter(|file| !file.ends_with("Cargo.toml")).collect::<Vec<_>>();
        let stem = |file: &Path| file.file_stem().unwrap().to_string_lossy().into_owned();
        for fixture in files(&folder.join("fixtures"), "jsonl") {
            let own = pipelines.iter().find(|pipeline| stem(pipeline) != "pipeline" && stem(&fixture).starts_with(&stem(pipeline)));
            let pipeline = own.unwrap_or_else(|| pipelines.iter().find(|pipeline| stem(pipeline) == "pipeline").unwrap());
            let output = weir(&["--log", "error", "test", pipeline.to_str().unwrap(), fixture.to_str().unwrap()]);
            assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            tried += 1;
        }
    }
    assert!(tried > 0, "no fixture below `{}`", plugins.display());
}

#[test]
fn a_fixture_that_does_not_hold_fails_with_the_rows_that_differ() {
    let folder = tempfile::tempdir().unwrap();
    let (pipeline, fixture) = (folder.path().join("p.toml"), folder.path().join("f.jsonl"));
    let document = "name = \"p\"\n[[source]]\nid = \"s\"\nmemory = {}\nformat = \"json\"\nschema = { n = \"int64\" }\n[[sink]]\ninput = \"s\"\nmemory = {}\n";
    std::fs::write(&pipeline, document).unwrap();
    std::fs::write(&fixture, "{\"input\": {\"s\": [{\"n\": 1}]}, \"output\": {\"s\": [{\"n\": 2}]}}\n").unwrap();
    let output = weir(&["--log", "error", "test", pipeline.to_str().unwrap(), fixture.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("output of `s`:\n    - {\"n\":2}\n    + {\"n\":1}\n0 passed, 1 failed"), "{text}");
}

/// Rows of a source, of a transform behind two sources, of an aggregate, and of a transform behind that, each with more than one reader.
#[test]
fn rows_reach_every_reader_wherever_their_step_runs() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/ad-events/ad_events.wasm");
    let schema = "schema = { at = \"timestamp\", user_id = \"utf8\", revenue = \"float64?\" }";
    let time = "event_time = { column = \"at\", watermark = \"1 minute\" }";
    let source = |id: &str| format!("[[source]]\nid = \"{id}\"\nmemory = {{}}\nformat = \"json\"\n{schema}\n{time}\n");
    let transform = |id: &str, input: &str, function: &str, config: &str| {
        format!("[[step]]\nid = \"{id}\"\ninput = {input}\ntransform = {{ plugin = \"{}\", function = \"{function}\", config = {config} }}\n", plugin.display())
    };
    let aggregate = "key = [\"user_id\"]\nwindow = { tumbling = \"1 minute\" }\noutput_mode = \"update\"\naggregate = { plugin = \"std\", config = { total = \"sum(revenue)\" } }\n";
    let sink = |input: &str| format!("[[sink]]\ninput = \"{input}\"\nmemory = {{}}\n");
    let document = [
        "name = \"readers\"\n".to_owned(),
        source("web"),
        source("app"),
        transform("clean", "[\"web\", \"app\"]", "clean", "{ drop_prefix = \"BOT\" }"),
        format!("[[step]]\nid = \"by_user\"\ninput = \"clean\"\n{aggregate}"),
        transform("rounded", "\"by_user\"", "round", "{ digits = 1 }"),
        ["web", "clean", "by_user", "rounded"].map(sink).concat(),
    ];
    let (pipeline, fixture) = (folder.path().join("p.toml"), folder.path().join("f.jsonl"));
    std::fs::write(&pipeline, document.concat()).unwrap();
    let row =
        |second: u32, user: &str, revenue: f64| serde_json::json!({ "at": format!("2025-12-16T02:04:{second:02}Z"), "user_id": user, "revenue": revenue });
    let made = |revenue: f64| serde_json::json!([{ "window_start": "2025-12-16T02:04:00.000000Z", "window_end": "2025-12-16T02:05:00.000000Z", "user_id": "U1", "total": revenue }]);
    let stamped = |second: u32, user: &str, revenue: f64| serde_json::json!({ "at": format!("2025-12-16T02:04:{second:02}.000000Z"), "user_id": user, "revenue": revenue });
    let line = serde_json::json!({
        "input": { "web": [row(1, "U1", 0.25), row(2, "BOT7", 1.0), row(3, "U1", -1.0)], "app": [row(4, "U1", 2.0)] },
        "output": {
            "web": [stamped(1, "U1", 0.25), stamped(2, "BOT7", 1.0), stamped(3, "U1", -1.0)],
            "clean": [stamped(1, "U1", 0.25), stamped(4, "U1", 2.0)],
            "by_user": made(2.25),
            "rounded": made(2.3),
        },
        "rejected": [{ "code": "negative-revenue", "step": "clean" }],
    });
    std::fs::write(&fixture, format!("{line}\n")).unwrap();
    let output = weir(&["--log", "error", "test", pipeline.to_str().unwrap(), fixture.to_str().unwrap()]);
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}
