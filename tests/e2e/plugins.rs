//! Guests that are not made with the SDK, and guests that fail.

use std::path::Path;
use std::process::Command;

use weir_tests::broker::shared;
use weir_tests::checker::Isolation;

use crate::support::{Trial, run, stderr, weir};

/// Builds a guest in C: a source beside `filter.c`.
fn build_c_guest(source: &str, file: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/c-filter/build.sh");
    let output = Command::new(script).arg(file).arg(source).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_filter_in_c_keeps_the_rows_that_its_config_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    build_c_guest("filter.c", &folder.path().join("filter.wasm"));
    let inspected = weir(&["plugin", "inspect", &path("filter.wasm")]);
    let text = String::from_utf8(inspected.stdout).unwrap();
    assert!(text.starts_with("c-filter 0.1.0\n  A filter in C.\n") && text.contains("\ntransform `filter`\n"), "{text}");

    let document = r#"
name = "filtered"
[[source]]
id = "events"
memory = {}
format = "json"
schema = { id = "utf8", revenue = "float64?" }
[[step]]
id = "large"
input = "events"
transform = { plugin = "filter.wasm", function = "filter", config = { column = "revenue", at_least = 0.5 } }
[[sink]]
input = "large"
memory = {}
"#;
    let fixture = r#"{"input": {"events": [{"id": "a", "revenue": 0.5}, {"id": "b", "revenue": 0.49}, {"id": "c"}, {"id": "d", "revenue": 7}]}, "output": {"large": [{"id": "a", "revenue": 0.5}, {"id": "d", "revenue": 7}]}}
{"input": {"events": [{"id": "e", "revenue": -1}]}, "output": {"large": []}}
{"input": {"events": [{"id": "f", "revenue": 1e300}]}, "output": {"large": [{"id": "f", "revenue": 1e300}]}}
"#;
    std::fs::write(path("p.toml"), document).unwrap();
    std::fs::write(path("f.jsonl"), fixture).unwrap();
    let output = weir(&["--log", "error", "test", &path("p.toml"), &path("f.jsonl")]);
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output));

    std::fs::write(path("p.toml"), document.replace("\"revenue\", at_least = 0.5", "\"id\", at_least = 0.5")).unwrap();
    let refused = weir(&["check", &path("p.toml")]);
    let text = stderr(&refused);
    assert!(refused.status.code() == Some(1) && text.contains("`column` must name a column of the input that is `int64` or `float64`"), "{text}");
}

#[test]
fn a_plugin_that_fails_stops_the_pipeline_and_mended_it_goes_on_with_every_row() {
    let trial = Trial::new("faulty");
    trial.send_numbers(0..40);
    let plugin = trial.folder.path().join("filter.wasm");
    let document = r#"
name = "NAME"
trigger = "available-now"
limits = { max_records = 10 }

[[source]]
id = "events"
kafka = { brokers = "BROKERS", topics = ["NAME.in"] }
format = "json"
schema = { n = "int64" }

[[step]]
id = "large"
input = "events"
transform = { plugin = "filter.wasm", function = "filter", config = { column = "n", at_least = 5 } }

[[sink]]
input = "large"
kafka = { topic = "NAME.out", create = { partitions = 1, replication = 1 } }
"#;
    let pipeline = trial.document("faulty.toml", document);
    build_c_guest("faulty.c", &plugin);
    // As often as it is started: nothing is lost, nothing goes past the fault.
    for _ in 0..2 {
        let output = run(&pipeline);
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        let place = format!("step `large`, epoch 2: 10 rows of `{}.in/0`, offsets 10 to 19: `run` of plugin `c-filter` (", trial.name);
        let fault = "function `filter`, trapped: wasm trap: wasm `unreachable` instruction executed\n";
        let frame = |line: &str, name: &str| line.starts_with("    ") && line.ends_with(name);
        assert!(text.contains(&place) && text.contains(fault), "{text}");
        assert!(text.lines().any(|line| frame(line, "!look_at")), "the frame of the fault: {text}");
        assert!(text.lines().any(|line| frame(line, "!exports_weir_plugin_transform_run")), "who called it: {text}");
        assert_eq!(trial.numbers(), (5..10).collect::<Vec<_>>(), "the epochs before it");
        assert_eq!(trial.read_at(&shared().bootstrap(), "out", Isolation::Uncommitted).len(), 5, "nothing of its own");
    }
    build_c_guest("filter.c", &plugin);
    let output = run(&pipeline);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(trial.numbers(), (5..40).collect::<Vec<_>>());
}

/// The sections that tools add to a module, by name.
fn custom_sections(module: &[u8]) -> Vec<String> {
    let mut rest = &module[8..];
    let mut names = Vec::new();
    while !rest.is_empty() {
        let id = rest[0];
        rest = &rest[1..];
        let length = number(&mut rest);
        let mut section = &rest[..length];
        rest = &rest[length..];
        if id == 0 {
            let length = number(&mut section);
            names.push(String::from_utf8(section[..length].to_vec()).unwrap());
        }
    }
    names
}

/// An unsigned LEB128.
fn number(bytes: &mut &[u8]) -> usize {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

#[test]
fn a_plugin_in_rust_keeps_the_names_of_its_functions_for_backtraces() {
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/ad-events/ad_events.wasm");
    let module = std::fs::read(&plugin).unwrap_or_else(|error| panic!("`{}`: {error}: build the plugins with `make plugins`", plugin.display()));
    let sections = custom_sections(&module);
    assert!(sections.iter().any(|name| name == "name") && !sections.iter().any(|name| name.starts_with(".debug")), "{sections:?}");
}
