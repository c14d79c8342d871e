//! Starts that would lose or double rows are refused, and say why.

use std::process::Command;

use weir_tests::broker::{eventually, shared};
use weir_tests::kill::{Host, binary};

use crate::support::{PATIENCE, Passing, Trial, copy, run, stderr, weir};

const ROW: &[u8] = br#"{"user":"a","n":1,"at":"2025-12-16T02:04:08"}"#;

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
fn a_compacted_topic_is_refused_to_a_sink_without_a_key() {
    let trial = Trial::new("compacted");
    trial.create("out", &[("cleanup.policy", "delete,compact")]);
    trial.send_numbers(0..1);
    let passing = Passing { state: "state", settings: "trigger = \"available-now\"", ..Passing::default() };
    let host = trial.passing(passing);
    let error = format!("{:#}", host.finish(PATIENCE).unwrap_err());
    let expected =
        format!("output topic `{}.out` at `{}` is compacted (`cleanup.policy=compact`) and takes no record without a key", trial.name, shared().bootstrap());
    assert!(error.contains("exit status: 1") && error.contains(&expected) && error.contains("give the sink a `key`"), "{error}");
    trial.passing(Passing { sink: ", key = [\"n\"]", ..passing }).finish(PATIENCE).unwrap();
    assert_eq!(trial.numbers(), [0]);
}

#[test]
fn a_row_without_the_key_that_a_compacted_topic_wants_is_a_dead_letter_and_many_stop_the_pipeline() {
    let trial = Trial::new("keyless");
    trial.create("out", &[("cleanup.policy", "compact")]);
    let document = r#"
name = "NAME"
trigger = "available-now"
max_rejected = { share = "40%", at_least_rows = 3 }
[[source]]
id = "events"
kafka = { brokers = "BROKERS", topics = ["NAME.in"] }
format = "json"
schema = { n = "int64", user = "utf8?" }
[[sink]]
input = "events"
kafka = { topic = "NAME.out", key = ["user"] }
[dead_letters]
kafka = { topic = "NAME.dead", create = { partitions = 1, replication = 1 } }
"#;
    let pipeline = trial.document("keyless.toml", document);
    let (keyed, keyless) = (Some(br#"{"n":1,"user":"a"}"#.as_slice()), Some(br#"{"n":2}"#.as_slice()));
    trial.send(&[keyed, keyless, keyed, keyed, keyless]);
    let output = run(&pipeline);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(trial.read("out").len(), 3);
    let letters = trial.read("dead");
    let places: Vec<_> = letters.iter().map(|letter| (letter["code"].as_str().unwrap(), letter["source"]["offset"].as_i64().unwrap())).collect();
    assert_eq!(places, [("InvalidRecord", 1), ("InvalidRecord", 4)]);

    trial.send(&[keyed, keyless, keyless, keyless, keyless]);
    let output = run(&pipeline);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(text.contains("epoch 2: 4 of 5 rows were rejected, more than `max_rejected` allows; 4 of them by the broker: InvalidRecord"), "{text}");
    assert_eq!((trial.read("out").len(), trial.read("dead").len()), (3, 2), "nothing of the epoch");
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
