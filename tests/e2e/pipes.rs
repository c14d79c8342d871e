//! `weir .. | head -1`: a reader that has seen enough ends a verb quietly, and costs nothing.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use weir_tests::broker::eventually;
use weir_tests::kill::binary;

use crate::support::{Trial, run, stderr};

/// What a shell reports of a program that SIGPIPE has ended.
const ENDED_BY_SIGPIPE: i32 = 128 + libc::SIGPIPE;

const CONSOLE: &str = r#"
name = "NAME"
trigger = "TRIGGER"
limits = { max_records = 1 }
state_dir = "state"

[[source]]
id = "events"
kafka = { brokers = "BROKERS", topics = ["NAME.in"] }
format = "json"
schema = { n = "int64" }

[[sink]]
input = "events"
console = {}
"#;

const MEMORY: &str = r#"
name = "NAME"
[[source]]
id = "events"
memory = {}
format = "json"
schema = { n = "int64" }
[[sink]]
input = "events"
memory = {}
"#;

/// The numbers in tables of one column.
fn shown(lines: &[String]) -> Vec<i64> {
    lines.iter().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|')?.trim().parse().ok()).collect()
}

#[test]
fn a_pipeline_whose_table_nobody_reads_stops_and_shows_the_rest_at_its_next_start() {
    let trial = Trial::new("head");
    let pipeline = trial.document("console.toml", &CONSOLE.replace("TRIGGER", "asap"));
    let mut child = Command::new(binary().unwrap()).arg("run").arg(pipeline).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    trial.send_numbers(0..1);
    let mut lines = Vec::new();
    while shown(&lines).is_empty() {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "it ended before it had shown anything");
        lines.push(line.trim_end().to_owned());
    }
    drop(reader);
    trial.send_numbers(1..4);
    eventually("the end of the run", || child.try_wait().unwrap());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(ENDED_BY_SIGPIPE), "{}", stderr(&output));
    assert!(stderr(&output).contains("nobody reads standard output any more; stopping"), "{}", stderr(&output));

    let rest = run(&trial.document("console.toml", &CONSOLE.replace("TRIGGER", "available-now")));
    assert!(rest.status.success(), "{}", stderr(&rest));
    lines.extend(String::from_utf8(rest.stdout).unwrap().lines().map(str::to_owned));
    assert_eq!(shown(&lines), [0, 1, 2, 3]);
}

#[test]
fn verbs_that_nobody_listens_to_end_as_other_programs_do() {
    let folder = tempfile::tempdir().unwrap();
    let (pipeline, fixture) = (folder.path().join("p.toml"), folder.path().join("f.jsonl"));
    std::fs::write(&pipeline, MEMORY).unwrap();
    std::fs::write(&fixture, "{\"input\": {\"events\": [{\"n\": 1}]}}\n").unwrap();
    let (pipeline, fixture) = (pipeline.to_str().unwrap(), fixture.to_str().unwrap());
    for args in [["test", pipeline, fixture].as_slice(), &["check", pipeline], &["plugin", "inspect", "std"]] {
        // Nobody has read a byte, so the first one that is written finds that out.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(binary().unwrap()).args(args).stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), stderr(&output).contains("panicked")), (Some(ENDED_BY_SIGPIPE), false), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn a_refusal_that_nobody_reads_is_a_refusal() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = Command::new(binary().unwrap()).args(["check", "no-such-file.toml"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(1));
}
