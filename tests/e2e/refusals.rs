//! Starts that would lose or double rows are refused, and say why.

use std::process::Command;

use weir_tests::broker::eventually;
use weir_tests::kill::{Host, binary};

use crate::support::{PATIENCE, Trial, run, stderr, weir};

const ROW: &[u8] = br#"{"user":"a","n":1,"at":"2025-12-16T02:04:08"}"#;

fn copy(from: &std::path::Path, to: &std::path::Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

#[test]
fn the_same_state_folder_is_refused_to_a_second_process() {
    let trial = Trial::new("lock");
    trial.send(&[Some(ROW)]);
    let pipeline = trial.pipeline("asap", "state");
    let first = Host::new(&pipeline).unwrap().start(None).unwrap();
    eventually("the first row", || (!trial.read("out").is_empty()).then_some(()));
    let second = run(&pipeline);
    assert_eq!(second.status.code(), Some(1));
    let text = stderr(&second);
    assert!(text.contains("is in use by process") && text.contains("stop that process, or give this pipeline its own `state_dir`"), "{text}");
    first.signal(libc::SIGTERM).unwrap();
    first.wait(PATIENCE).unwrap();
}

#[test]
fn another_state_folder_of_the_same_name_is_refused_by_its_lineage() {
    let trial = Trial::new("lineage");
    trial.send(&[Some(ROW)]);
    assert!(run(&trial.pipeline("available-now", "state")).status.success());
    let other = run(&trial.pipeline("available-now", "other"));
    assert_eq!(other.status.code(), Some(1));
    let text = stderr(&other);
    assert!(text.contains("lineage") && text.contains("--new"), "{text}");
    assert_eq!(trial.read("out").len(), 1, "nothing was delivered again");
}

#[test]
fn of_two_copies_of_a_state_folder_the_older_process_is_fenced_and_says_so() {
    let trial = Trial::new("copy");
    trial.send(&[Some(ROW)]);
    assert!(run(&trial.pipeline("available-now", "state")).status.success());
    copy(&trial.folder.path().join("state"), &trial.folder.path().join("copied"));
    let first = Host::new(&trial.pipeline("asap", "state")).unwrap().start(None).unwrap();
    trial.send(&[Some(ROW)]);
    eventually("a row of the first process", || (trial.read("out").len() == 2).then_some(()));
    // The copy is an epoch behind: it is refused, before it could fence anybody.
    let behind = run(&trial.pipeline("available-now", "copied"));
    assert_eq!(behind.status.code(), Some(1), "{}", stderr(&behind));
    // A copy of now is as good as the original: whoever starts later wins.
    copy(&trial.folder.path().join("state"), &trial.folder.path().join("current"));
    let second = run(&trial.pipeline("available-now", "current"));
    assert!(second.status.success(), "{}", stderr(&second));
    trial.send(&[Some(ROW)]);
    let error = format!("{:#}", first.wait(PATIENCE).unwrap_err());
    assert!(error.contains("fenced") && error.contains("a second process runs this pipeline"), "{error}");
}

#[test]
fn an_unknown_plugin_file_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = folder.path().join("p.toml");
    let document = "name = \"p\"\n[[source]]\nid = \"s\"\nmemory = {}\nformat = \"json\"\nschema = { n = \"int64\" }\n[[step]]\nid = \"t\"\ninput = \"s\"\n\
                    transform = { plugin = \"gone.wasm\", function = \"f\" }\n[[sink]]\ninput = \"t\"\nmemory = {}\n";
    std::fs::write(&pipeline, document).unwrap();
    let output = weir(&["check", pipeline.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("p.toml:10:24:") && text.contains("gone.wasm"), "{text}");
}

#[test]
fn a_secret_from_the_environment_is_in_no_output() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = folder.path().join("p.toml");
    let document = "name = \"p\"\n[[source]]\nid = \"s\"\nkafka = { brokers = \"127.0.0.1:1\", topics = [\"t\"], properties = { \"sasl.pasword\" = \"${env:WEIR_TEST_SECRET}\" } }\n\
                    format = \"raw\"\n[[sink]]\ninput = \"s\"\nconsole = {}\n";
    std::fs::write(&pipeline, document).unwrap();
    let output = Command::new(binary().unwrap()).args(["--log", "trace", "run"]).arg(&pipeline).env("WEIR_TEST_SECRET", "hunter2").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("sasl.pasword") && !text.contains("hunter2"), "{text}");
}
