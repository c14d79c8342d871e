//! Fixtures: what a pipeline is expected to do, one epoch a line, without a broker. This module owns the file's form, the comparison and the diff; the pipeline itself
//! runs on the memory source, like any other, behind [`Bench`].
//!
//! ```json
//! {"input": {"events": [{"user": "a"}, "{broken"]}, "now": "2025-12-16T02:05:00Z",
//!  "output": {"by_user": [{"user": "a", "n": 1}]}, "late": 0, "rejected": [{"code": "json-syntax"}], "watermark": "2025-12-16T02:04:00Z"}
//! ```
//! Everything but `input` may be left out and is then not checked. An input row is an object, or a string that is taken as it is; rows of several partitions stand under
//! their numbers. `output` is by step or by sink; its rows compare as sets, floats within 1e-9. A rejected row is compared in the fields that are given.

mod compare;

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use compare::differences;

/// One line of a fixture: an epoch, and the epochs without records that follow it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// By source.
    pub input: BTreeMap<String, Input>,
    /// The epoch's clock, ISO-8601; otherwise the newest event so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    /// By step or sink, the rows that come out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<BTreeMap<String, Vec<Value>>>,
    /// How many rows are late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<u64>,
    /// The dead letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Vec<Value>>,
    /// The watermark afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<String>,
}

/// The input of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Input {
    /// Rows of partition 0.
    Rows(Vec<Value>),
    /// Rows by partition.
    Partitions(BTreeMap<String, Vec<Value>>),
}

/// What came out of a line.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Came {
    /// By step and by sink, the rows.
    pub output: BTreeMap<String, Vec<Value>>,
    /// Late rows.
    pub late: u64,
    /// Dead letters.
    pub rejected: Vec<Value>,
    /// The watermark afterwards; none: the pipeline has none.
    pub watermark: Option<String>,
}

/// Something that runs a line.
pub trait Bench {
    /// Feeds the records, by source and partition, at the given clock, and runs every epoch that follows from them.
    ///
    /// # Errors
    /// When the pipeline stops.
    fn run(&mut self, records: &[Record], now: Option<&str>) -> anyhow::Result<Came>;
}

/// A record to feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The source.
    pub source: String,
    /// The partition.
    pub partition: i32,
    /// The value; none: Kafka's null.
    pub value: Option<Vec<u8>>,
}

/// Reads a fixture. Empty lines and lines that begin with `#` are skipped.
///
/// # Errors
/// The line and column of what can't be read.
pub fn parse(name: &str, text: &str) -> anyhow::Result<Vec<(usize, Line)>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    lines
        .map(|(i, line)| {
            let parsed = serde_json::from_str(line);
            parsed.map(|parsed| (i + 1, parsed)).map_err(|error| {
                let what = error.to_string();
                let what = what.split(" at line").next().unwrap_or(&what);
                anyhow::anyhow!(
                    "{name}:{}:{}: {what}; a line is {{\"input\": {{\"SOURCE\": [..]}}, \"output\": {{\"STEP\": [..]}}, ..}}",
                    i + 1,
                    error.column()
                )
            })
        })
        .collect()
}

/// Runs a fixture; the differences of each line that has any, as text.
///
/// # Errors
/// When the pipeline stops; the message names the line.
pub fn check(name: &str, lines: &[(usize, Line)], bench: &mut dyn Bench) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for (number, line) in lines {
        let came = bench.run(&line.records()?, line.now.as_deref()).with_context(|| format!("{name}:{number}"))?;
        let differences = differences(line, &came);
        if !differences.is_empty() {
            found.push(format!("{name}:{number}: {} in this epoch\n{}", counted(differences.len()), differences.join("\n")));
        }
    }
    Ok(found)
}

/// The fixture's text with what came out in place of what was expected. A line keeps the keys that it has; one that expects nothing yet gets them all.
///
/// # Errors
/// When the pipeline stops.
pub fn bless(name: &str, text: &str, sinks: &[String], bench: &mut dyn Bench) -> anyhow::Result<String> {
    let mut lines: BTreeMap<usize, Line> = parse(name, text)?.into_iter().collect();
    for (number, line) in &mut lines {
        let came = bench.run(&line.records()?, line.now.as_deref()).with_context(|| format!("{name}:{number}"))?;
        line.accept(came, sinks);
    }
    let mut blessed = String::new();
    for (i, original) in text.lines().enumerate() {
        match lines.get(&(i + 1)) {
            Some(line) => blessed.push_str(&serde_json::to_string(line)?),
            None => blessed.push_str(original),
        }
        blessed.push('\n');
    }
    Ok(blessed)
}

impl Line {
    fn records(&self) -> anyhow::Result<Vec<Record>> {
        let mut records = Vec::new();
        for (source, input) in &self.input {
            let partitions: Vec<(&str, &[Value])> = match input {
                Input::Rows(rows) => vec![("0", rows)],
                Input::Partitions(partitions) => partitions.iter().map(|(number, rows)| (number.as_str(), rows.as_slice())).collect(),
            };
            for (number, rows) in partitions {
                let partition = number.parse().with_context(|| format!("input `{source}`: `{number}` is no partition: expected a number such as \"0\""))?;
                records.extend(rows.iter().map(|row| Record { source: source.clone(), partition, value: bytes(row) }));
            }
        }
        Ok(records)
    }

    fn accept(&mut self, came: Came, sinks: &[String]) {
        let silent = self.output.is_none() && self.late.is_none() && self.rejected.is_none() && self.watermark.is_none();
        if let Some(output) = &mut self.output {
            for (name, rows) in output {
                *rows = came.output.get(name).cloned().unwrap_or_default();
            }
        } else if silent {
            self.output = Some(sinks.iter().map(|sink| (sink.clone(), came.output.get(sink).cloned().unwrap_or_default())).collect());
        }
        if self.late.is_some() || silent {
            self.late = Some(came.late);
        }
        if self.rejected.is_some() || (silent && !came.rejected.is_empty()) {
            let mut rejected = came.rejected;
            // The digest changes with every build of the plugin.
            rejected.iter_mut().filter_map(Value::as_object_mut).for_each(|letter| drop(letter.remove("plugin")));
            self.rejected = Some(rejected);
        }
        if self.watermark.is_some() || silent {
            self.watermark = came.watermark;
        }
    }
}

fn bytes(row: &Value) -> Option<Vec<u8>> {
    match row {
        Value::Null => None,
        Value::String(text) => Some(text.clone().into_bytes()),
        other => Some(other.to_string().into_bytes()),
    }
}

fn counted(differences: usize) -> String {
    match differences {
        1 => "1 difference".to_owned(),
        n => format!("{n} differences"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    /// Counts the records of each line and gives the count back as a row.
    struct Counter;

    impl Bench for Counter {
        fn run(&mut self, records: &[Record], _now: Option<&str>) -> anyhow::Result<Came> {
            let rows = vec![serde_json::json!({"n": records.len()})];
            Ok(Came { output: BTreeMap::from([("count".to_owned(), rows)]), watermark: Some("2025-01-01T00:00:00.000Z".into()), ..Came::default() })
        }
    }

    #[test]
    fn a_fixture_that_holds_is_silent_and_one_that_does_not_shows_a_diff() {
        let text = "# two lines\n{\"input\": {\"s\": [{}, \"x\"]}, \"output\": {\"count\": [{\"n\": 2}]}}\n{\"input\": {\"s\": {\"1\": [{}]}}, \"output\": {\"count\": [{\"n\": 2}]}}\n";
        let lines = parse("f.jsonl", text).unwrap();
        let found = check("f.jsonl", &lines, &mut Counter).unwrap();
        assert_eq!(found, ["f.jsonl:3: 1 difference in this epoch\n  output of `count`:\n    - {\"n\":2}\n    + {\"n\":1}"]);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        let error = parse("f.jsonl", "\n{\"input\": {}, \"outputs\": {}}").unwrap_err().to_string();
        assert!(error.starts_with("f.jsonl:2:23: unknown field `outputs`, expected one of `input`"), "{error}");
    }

    #[test]
    fn blessing_fills_what_a_line_expects_and_all_of_one_that_expects_nothing() {
        let text = "# kept\n{\"input\":{\"s\":[{}]},\"output\":{\"count\":[]}}\n{\"input\":{}}\n";
        let blessed = bless("f", text, &["count".to_owned()], &mut Counter).unwrap();
        let expected = "# kept\n{\"input\":{\"s\":[{}]},\"output\":{\"count\":[{\"n\":1}]}}\n\
                        {\"input\":{},\"output\":{\"count\":[{\"n\":0}]},\"late\":0,\"watermark\":\"2025-01-01T00:00:00.000Z\"}\n";
        assert_eq!(blessed, expected);
        assert!(check("f", &parse("f", &blessed).unwrap(), &mut Counter).unwrap().is_empty());
    }

    #[test]
    fn a_partition_that_is_no_number_is_refused() {
        let lines = parse("f", "{\"input\": {\"s\": {\"one\": [{}]}}}").unwrap();
        let error = check("f", &lines, &mut Counter).unwrap_err();
        assert_eq!(format!("{error:#}").split(": ").next(), Some("input `s`"));
    }
}
