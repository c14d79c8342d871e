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

/// F-1: what is late by the watermark counts as long as the window is kept, and brings its row again; then it is late.
#[test]
fn a_window_that_is_kept_longer_gives_its_row_again_for_a_late_row() {
    let folder = tempfile::tempdir().unwrap();
    let (pipeline, fixture) = (folder.path().join("p.toml"), folder.path().join("f.jsonl"));
    let document = "name = \"p\"\n[[source]]\nid = \"s\"\nmemory = {}\nformat = \"json\"\nschema = { at = \"timestamp\", n = \"int64\" }\n\
                    event_time = { column = \"at\", watermark = \"10 s\" }\n\
                    [[step]]\nid = \"sums\"\ninput = \"s\"\nwindow = { tumbling = \"1 minute\" }\noutput_mode = \"update\"\nallowed_lateness = \"1 minute\"\n\
                    aggregate = [{ plugin = \"std\", config = { total = \"sum(n)\" } }, { plugin = \"std\", config = { rows = \"count(*)\" } }]\n\
                    [[sink]]\ninput = \"sums\"\nmemory = {}\n";
    std::fs::write(&pipeline, document).unwrap();
    let row = |minute: u32, second: u32, n: i64| serde_json::json!({ "at": format!("2025-12-16T02:{minute:02}:{second:02}Z"), "n": n });
    let sum = |minute: u32, total: i64, rows: i64| {
        let edge = |minute: u32| format!("2025-12-16T02:{minute:02}:00.000000Z");
        serde_json::json!({ "window_start": edge(minute), "window_end": edge(minute + 1), "total": total, "rows": rows })
    };
    let lines = [
        serde_json::json!({ "input": { "s": [row(4, 0, 1), row(5, 30, 2)] }, "output": { "sums": [sum(4, 1, 1), sum(5, 2, 1)] }, "late": 0 }),
        // The watermark is 02:05:20: past the first window's end, but not past what it is kept for.
        serde_json::json!({ "input": { "s": [row(4, 50, 4)] }, "output": { "sums": [sum(4, 5, 2)] }, "late": 0 }),
        serde_json::json!({ "input": { "s": [row(6, 30, 8)] }, "output": { "sums": [sum(6, 8, 1)] }, "late": 0 }),
        serde_json::json!({ "input": { "s": [row(4, 51, 16)] }, "output": { "sums": [] }, "late": 1 }),
    ];
    std::fs::write(&fixture, lines.map(|line| format!("{line}\n")).concat()).unwrap();
    let output = weir(&["--log", "error", "test", pipeline.to_str().unwrap(), fixture.to_str().unwrap()]);
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

/// What users write with `rowsBetween(-3, -1)`, and Spark refuses on streams: a window beside the ones before it, of its key, across epochs.
#[test]
fn a_history_says_of_each_closed_window_what_came_before() {
    let folder = tempfile::tempdir().unwrap();
    let (pipeline, fixture) = (folder.path().join("p.toml"), folder.path().join("f.jsonl"));
    let document = "name = \"p\"\n[[source]]\nid = \"s\"\nmemory = {}\nformat = \"json\"\nschema = { at = \"timestamp\", k = \"utf8\", n = \"int64\" }\n\
                    event_time = { column = \"at\", watermark = \"10 s\" }\n\
                    [[step]]\nid = \"sums\"\ninput = \"s\"\nkey = [\"k\"]\nwindow = { tumbling = \"1 minute\" }\n\
                    aggregate = { plugin = \"std\", config = { total = \"sum(n)\" } }\n\
                    [[step]]\nid = \"seen\"\ninput = \"sums\"\n[step.history]\nkey = [\"k\"]\nsize = 3\n\
                    add = { before = \"lag(total, 1)\", third = \"lag(total, 3)\", usual = \"mean(total)\", most = \"max(total)\", z = \"zscore(total)\" }\n\
                    [[sink]]\ninput = \"seen\"\nmemory = {}\n";
    std::fs::write(&pipeline, document).unwrap();
    let row = |minute: u32, key: &str, n: i64| serde_json::json!({ "at": format!("2025-12-16T02:{minute:02}:00Z"), "k": key, "n": n });
    let made = |minute: u32, key: &str, total: i64, past: serde_json::Value| {
        let edge = |minute: u32| format!("2025-12-16T02:{minute:02}:00.000000Z");
        let mut made = serde_json::json!({ "window_start": edge(minute), "window_end": edge(minute + 1), "k": key, "total": total });
        made.as_object_mut().unwrap().extend(past.as_object().unwrap().clone());
        made
    };
    let nothing = serde_json::json!({});
    let lines = [
        // Two windows of `a` close in one epoch, with one of `b` between them.
        serde_json::json!({ "input": { "s": [row(1, "a", 10), row(2, "a", 14), row(2, "b", 7), row(4, "a", 18)] }, "output": { "seen": [
            made(1, "a", 10, nothing.clone()),
            made(2, "a", 14, serde_json::json!({ "before": 10, "usual": 10.0, "most": 10 })),
            made(2, "b", 7, nothing.clone()),
        ] } }),
        serde_json::json!({ "input": { "s": [row(6, "a", 30), row(8, "a", 1)] }, "output": { "seen": [
            made(4, "a", 18, serde_json::json!({ "before": 14, "usual": 12.0, "most": 14, "z": 6.0 / 8.0_f64.sqrt() })),
            made(6, "a", 30, serde_json::json!({ "before": 18, "third": 10, "usual": 14.0, "most": 18, "z": 4.0 })),
        ] } }),
        // The history holds three: 10 has gone.
        serde_json::json!({ "input": { "s": [row(10, "a", 0)] }, "output": { "seen": [
            made(8, "a", 1, serde_json::json!({ "before": 30, "third": 14, "usual": 62.0 / 3.0, "most": 30, "z": (1.0 - 62.0 / 3.0) / (416.0_f64 / 6.0).sqrt() })),
        ] } }),
    ];
    std::fs::write(&fixture, lines.map(|line| format!("{line}\n")).concat()).unwrap();
    let output = weir(&["--log", "error", "test", pipeline.to_str().unwrap(), fixture.to_str().unwrap()]);
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}
