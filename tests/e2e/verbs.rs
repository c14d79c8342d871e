//! The verbs that look, write and print, and touch no broker.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use weir_tests::kill::binary;

use crate::support::weir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Runs `weir` in a folder, with a value in the environment that must not be seen.
fn weir_in(folder: &Path, args: &[&str]) -> Output {
    Command::new(binary().unwrap()).args(args).current_dir(folder).env("WEIR_TEST_SECRET", "hunter2").output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn said(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stdout)))
}

/// A drawing without what each build of a plugin changes.
fn without_digests(drawing: &str) -> String {
    drawing.lines().map(|line| line.split_once("sha256 ").map_or_else(|| format!("{line}\n"), |(before, _)| format!("{before}sha256 ..\n"))).collect()
}

/// `WEIR_BLESS=1` writes what came in place of what is expected.
#[test]
fn a_plan_is_drawn_as_it_was_approved() {
    let plans = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/plans");
    let pipelines = [
        ("ad-events", "plugins/ad-events/pipeline.toml"),
        ("ad-events-complete", "plugins/ad-events-complete/pipeline.toml"),
        ("starter", "plugins/starter/pipeline.toml"),
        ("branches", "tests/e2e/plans/branches.toml"),
    ];
    for (name, pipeline) in pipelines {
        let drawing = without_digests(&stdout(&weir_in(&root(), &["plan", pipeline])));
        let golden = plans.join(format!("{name}.txt"));
        if std::env::var_os("WEIR_BLESS").is_some() {
            std::fs::write(&golden, &drawing).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap();
        assert!(drawing == expected, "`{name}` is drawn like this now (WEIR_BLESS=1 keeps it):\n{drawing}");
        assert!(!drawing.contains("hunter2"), "{drawing}");
    }
}

#[test]
fn a_plan_as_json_has_the_digests_the_columns_and_the_promises() {
    let plan = said(&weir_in(&root(), &["plan", "--json", "tests/e2e/plans/branches.toml"]));
    assert_eq!(plan["steps"][0]["inputs"], json!(["clicks", "typed"]));
    assert_eq!(plan["steps"][0]["plugin"]["digest"].as_str().unwrap().len(), 64);
    assert_eq!(plan["steps"][1]["groups"]["output_mode"], "complete");
    assert_eq!(plan["steps"][1]["schema"][2], json!({ "name": "users", "type": "int64", "nullable": false }));
    let promises: Vec<&str> = plan["sinks"].as_array().unwrap().iter().map(|sink| sink["guarantee"].as_str().unwrap()).collect();
    assert_eq!(promises, ["exactly-once", "at-most-once", "at-most-once", "exactly-once"]);
    assert!(!plan.to_string().contains("hunter2"));
}

#[test]
fn what_init_writes_passes_check_and_test_as_it_is_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let said = stdout(&weir_in(folder.path(), &["init", "mine"]));
    assert!(said.contains("cd mine") && said.contains("weir test pipeline.toml"), "{said}");
    let mine = folder.path().join("mine");
    assert!(stdout(&weir_in(&mine, &["check", "pipeline.toml"])).contains("pipeline `starter`: 1 sources, 2 steps, 1 sinks"));
    assert!(stdout(&weir_in(&mine, &["--log", "error", "test", "pipeline.toml", "fixtures/visits.jsonl"])).contains("1 passed, 0 failed"));

    let again = weir_in(&mine, &["init"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("nothing is overwritten"));
}

#[test]
fn what_init_writes_runs_without_a_broker() {
    let folder = tempfile::tempdir().unwrap();
    stdout(&weir_in(folder.path(), &["init"]));
    let pipeline = folder.path().join("pipeline.toml");
    let text = std::fs::read_to_string(&pipeline).unwrap().replace("trigger = { every = \"2s\" }", "trigger = \"once\"");
    std::fs::write(&pipeline, text).unwrap();
    let table = stdout(&weir_in(folder.path(), &["--log", "error", "run", "pipeline.toml"]));
    assert!(table.contains("Batch: 1") && table.contains("home"), "{table}");
}

/// The SDK that comes along is what the plugin is built with, so an edit and a build are all that a change takes.
#[test]
fn the_plugin_that_init_writes_can_be_built_from_what_it_writes() {
    let folder = tempfile::tempdir().unwrap();
    stdout(&weir_in(folder.path(), &["init"]));
    let source = folder.path().join("plugin/src/lib.rs");
    let text = std::fs::read_to_string(&source).unwrap();
    std::fs::write(&source, text.replace("seconds > 45.0", "seconds > 0.7")).unwrap();
    // The versions of this repository: what a registry has today is not under test.
    std::fs::copy(root().join("Cargo.lock"), folder.path().join("plugin/Cargo.lock")).unwrap();
    let cargo = root().join("guest-sdk/rust/wasm-cargo.sh");
    let target = folder.path().join("target");
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--release", "--manifest-path"]).arg(folder.path().join("plugin/Cargo.toml")).arg("--target-dir").arg(&target);
    // Of another workspace, whose cargo runs this test.
    let built = build.env_remove("CARGO_TARGET_DIR").output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    std::fs::copy(target.join("wasm32-unknown-unknown/release/starter.wasm"), folder.path().join("starter.wasm")).unwrap();
    let tested = weir_in(folder.path(), &["--log", "error", "test", "pipeline.toml", "fixtures/visits.jsonl"]);
    assert_eq!(tested.status.code(), Some(1), "visits of more than 0.7 seconds are rejected now");
}

#[test]
fn check_says_as_json_what_it_says_to_people() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(root().join("tests/e2e/plans/branches.toml")).unwrap();
    std::fs::write(folder.path().join("good.toml"), &text).unwrap();
    std::fs::write(folder.path().join("bad.toml"), text.replace("topics = [", "topcs = [")).unwrap();

    let good = weir_in(folder.path(), &["check", "--json", "good.toml"]);
    assert_eq!(good.status.code(), Some(0));
    let good = said(&good);
    assert_eq!((&good["ok"], &good["pipelines"][0]["name"]), (&json!(true), &json!("branches")));
    let severities: Vec<&Value> = good["pipelines"][0]["findings"].as_array().unwrap().iter().map(|finding| &finding["severity"]).collect();
    assert!(severities.contains(&&json!("warning")) && severities.contains(&&json!("note")), "{good}");

    let bad = weir_in(folder.path(), &["check", "--json", "bad.toml", "none.toml"]);
    assert_eq!(bad.status.code(), Some(1));
    let bad = said(&bad);
    let finding = &bad["pipelines"][0]["findings"][0];
    assert_eq!((&finding["code"], &finding["line"], &finding["file"]), (&json!("unknown-key"), &json!(9), &json!("bad.toml")));
    assert!(bad["pipelines"][1]["error"].as_str().unwrap().contains("none.toml"), "{bad}");
}

#[test]
fn inspect_and_test_say_as_json_what_they_say_to_people() {
    let std = said(&weir(&["plugin", "inspect", "--json", "std"]));
    assert_eq!((&std["name"], &std["functions"][0]["kind"]), (&json!("std"), &json!("aggregate")));
    let fixture = root().join("plugins/starter/fixtures/visits.jsonl");
    let pipeline = root().join("plugins/starter/pipeline.toml");
    let args = ["--log", "error", "test", "--json", pipeline.to_str().unwrap(), fixture.to_str().unwrap()];
    let tested = said(&weir(&args));
    assert_eq!((&tested["ok"], &tested["passed"], &tested["fixtures"][0]["differences"]), (&json!(true), &json!(1), &json!([])));
}

#[test]
fn the_version_names_what_weir_stands_on() {
    let version = stdout(&weir(&["--version"]));
    for part in ["weir 0.", "plugin contract weir:plugin@0.", "wasmtime 4", "librdkafka 2.", "RocksDB "] {
        assert!(version.lines().any(|line| line.starts_with(part)), "no `{part}` in\n{version}");
    }
}

#[test]
fn every_shell_and_man_know_every_verb() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = stdout(&weir(&["completions", shell]));
        assert!(["check", "plan", "init", "inspect"].iter().all(|verb| script.contains(verb)), "{shell}");
    }
    let page = stdout(&weir(&["man"]));
    assert!(page.starts_with(".ie") && page.contains("Exit codes") && page.contains("weir\\-plan"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    stdout(&weir(&["man", folder.path().to_str().unwrap()]));
    assert!(folder.path().join("weir.1").is_file() && folder.path().join("weir-plan.1").is_file());
}

#[test]
fn a_command_line_that_is_wrong_and_a_pipeline_that_is_end_with_different_codes() {
    assert_eq!(weir(&["plan"]).status.code(), Some(2));
    assert_eq!(weir(&["plan", "none.toml"]).status.code(), Some(1));
    let help = stdout(&weir(&["--help"]));
    assert!(help.contains("Exit codes:"), "{help}");
}
