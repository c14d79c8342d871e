//! The host's own account of its epochs, as far as kills have left it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use super::{Stored, event};

/// The epochs that the file tells of. Of an epoch with several lines the last counts.
pub(super) struct Progress {
    epochs: BTreeMap<u64, Epoch>,
}

struct Epoch {
    late_rows: u64,
    watermark_us: Option<i64>,
    /// Partition, first offset, offset after the last.
    ranges: Vec<(i32, i64, i64)>,
}

/// Which input records the epochs say they have read.
pub(super) struct Coverage {
    /// Every record, so that what the epochs add up to is all there is.
    pub(super) whole: bool,
    /// Partition and offset of records that more than one epoch has read.
    pub(super) read_twice: Vec<(i32, i64)>,
}

/// The text of the progress file; empty if the pipeline did not live to write one.
pub(super) fn read(state_dir: &Path) -> anyhow::Result<String> {
    let path = state_dir.join("progress.jsonl");
    match std::fs::read(&path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("read `{}`", path.display())),
    }
}

impl Progress {
    /// A line that a kill has cut is left out: [`Progress::coverage`] then finds the hole.
    pub(super) fn parse(text: &str) -> Self {
        Self { epochs: text.lines().filter_map(epoch).collect() }
    }

    pub(super) fn late_rows(&self) -> u64 {
        self.epochs.values().map(|epoch| epoch.late_rows).sum()
    }

    /// The watermark that the last epoch worked with.
    pub(super) fn watermark_us(&self) -> Option<i64> {
        self.epochs.values().filter_map(|epoch| epoch.watermark_us).max()
    }

    /// Epochs whose watermark is below that of an earlier one.
    pub(super) fn steps_back(&self) -> impl Iterator<Item = u64> {
        let mut highest = i64::MIN;
        self.epochs.iter().filter_map(move |(number, epoch)| {
            let watermark = epoch.watermark_us?;
            let back = watermark < highest;
            highest = highest.max(watermark);
            back.then_some(*number)
        })
    }

    pub(super) fn coverage(&self, input: &[Stored]) -> Coverage {
        let mut by_partition: BTreeMap<i32, BTreeMap<i64, i64>> = BTreeMap::new();
        let mut coverage = Coverage { whole: true, read_twice: Vec::new() };
        for (partition, from, to) in self.epochs.values().flat_map(|epoch| &epoch.ranges).filter(|(_, from, to)| from < to) {
            let ranges = by_partition.entry(*partition).or_default();
            let overlaps = ranges.range(..to).next_back().is_some_and(|(_, end)| end > from);
            if overlaps {
                coverage.read_twice.push((*partition, *from));
            }
            ranges.insert(*from, *to);
        }
        coverage.whole = input.iter().all(|record| {
            let ranges = by_partition.get(&record.partition);
            ranges.and_then(|ranges| ranges.range(..=record.offset).next_back()).is_some_and(|(_, to)| record.offset < *to)
        });
        coverage
    }
}

fn epoch(line: &str) -> Option<(u64, Epoch)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let watermark = line.pointer("/eventTime/watermark").and_then(Value::as_str);
    let sources = line.get("sources").and_then(Value::as_array).into_iter().flatten();
    let epoch = Epoch {
        late_rows: line.pointer("/weir/lateRows")?.as_u64()?,
        watermark_us: watermark.and_then(event::time_us),
        ranges: sources.flat_map(ranges).collect(),
    };
    Some((line.get("batchId")?.as_u64()?, epoch))
}

/// `{"startOffset": {"topic": {"0": 12}}, "endOffset": {"topic": {"0": 34}}}`
fn ranges(source: &Value) -> Vec<(i32, i64, i64)> {
    let topics = source.get("endOffset").and_then(Value::as_object).into_iter().flatten();
    let mut ranges = Vec::new();
    for (topic, partitions) in topics {
        for (partition, to) in partitions.as_object().into_iter().flatten() {
            let from = source.get("startOffset").and_then(|start| start.get(topic)?.get(partition)?.as_i64()).unwrap_or(0);
            if let (Ok(partition), Some(to)) = (partition.parse(), to.as_i64()) {
                ranges.push((partition, from, to));
            }
        }
    }
    ranges
}
