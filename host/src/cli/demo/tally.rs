//! What the demo knows of its pipeline: the rows that its reader has seen, by window, and what the progress records add up to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

/// How many of the newest windows are kept.
const WINDOWS: usize = 3;

/// A row of the output topic.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Row {
    pub(super) window_start: String,
    pub(super) event_type: String,
    pub(super) country: String,
    pub(super) ad_format: String,
    pub(super) event_count: u64,
    pub(super) avg_revenue: Option<f64>,
    pub(super) total_revenue: Option<f64>,
}

/// The newest windows: a row stands for its window and key until a newer one comes.
#[derive(Debug, Default)]
pub(super) struct Windows {
    rows: BTreeMap<String, BTreeMap<(String, String, String), Row>>,
    /// The starts of all windows that have been seen, the ones that are no longer kept too: a late row must not make a new one of them. A window of a minute of
    /// event time is one entry, ten a minute of the demo.
    seen: BTreeSet<String>,
    /// Rows that have come in all.
    pub(super) delivered: u64,
}

impl Windows {
    /// Takes in a record of the output topic.
    pub(super) fn take(&mut self, record: &[u8]) -> anyhow::Result<()> {
        let row: Row = serde_json::from_slice(record)?;
        self.delivered += 1;
        self.seen.insert(row.window_start.clone());
        let window = self.rows.entry(row.window_start.clone()).or_default();
        window.insert((row.event_type.clone(), row.country.clone(), row.ad_format.clone()), row);
        while self.rows.len() > WINDOWS {
            self.rows.pop_first();
        }
        Ok(())
    }

    /// How many windows have been seen.
    pub(super) fn count(&self) -> usize {
        self.seen.len()
    }

    /// The newest windows, newest first, each with its number of groups and its `top` rows with the most revenue.
    pub(super) fn top(&self, top: usize) -> Vec<(usize, Vec<&Row>)> {
        let window = |groups: &'_ BTreeMap<_, Row>| groups.len();
        let newest = self.rows.values().rev().map(|groups| {
            let mut rows: Vec<&Row> = groups.values().collect();
            let by_revenue = |row: &Row| row.total_revenue.unwrap_or(f64::NEG_INFINITY);
            rows.sort_by(|a, b| by_revenue(b).total_cmp(&by_revenue(a)).then(b.event_count.cmp(&a.event_count)));
            rows.truncate(top);
            (window(groups), rows)
        });
        newest.collect()
    }
}

/// What the progress records say.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) epoch: u64,
    pub(super) read: u64,
    pub(super) written: u64,
    pub(super) late: u64,
    pub(super) rejected: u64,
    pub(super) lag: i64,
    pub(super) rate: f64,
    pub(super) watermark: Option<String>,
}

impl Totals {
    /// Adds an epoch's record.
    fn add(&mut self, progress: &Value) {
        let number = |pointer: &str| progress.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
        self.epoch = number("/batchId");
        self.read += number("/numInputRows");
        self.written += number("/sink/numOutputRows");
        self.late += number("/weir/lateRows");
        let codes = progress.pointer("/weir/rejected").and_then(Value::as_object);
        self.rejected += codes.into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum::<u64>();
        self.rate = progress.pointer("/inputRowsPerSecond").and_then(Value::as_f64).unwrap_or_default();
        self.watermark = progress.pointer("/weir/watermarkAfter").and_then(Value::as_str).map(str::to_owned);
        let sources = progress.pointer("/sources").and_then(Value::as_array);
        self.lag = sources.into_iter().flatten().map(|source| offsets(source, "latestOffset") - offsets(source, "endOffset")).sum();
    }
}

/// The sum of a source's offsets.
fn offsets(source: &Value, which: &str) -> i64 {
    let topics = source.get(which).and_then(Value::as_object).into_iter().flatten();
    topics.filter_map(|(_, partitions)| partitions.as_object()).flatten().filter_map(|(_, offset)| offset.as_i64()).sum()
}

/// Reads `progress.jsonl` as it grows.
#[derive(Debug)]
pub(super) struct ProgressFile {
    path: PathBuf,
    open: Option<BufReader<File>>,
    line: String,
}

impl ProgressFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, open: None, line: String::new() }
    }

    /// Adds what is new; whether anything was.
    pub(super) fn follow(&mut self, totals: &mut Totals) -> anyhow::Result<bool> {
        let mut news = false;
        if self.open.is_none() {
            // Not there yet: the pipeline is still starting.
            self.open = File::open(&self.path).ok().map(BufReader::new);
        }
        let Some(open) = &mut self.open else { return Ok(false) };
        while open.read_line(&mut self.line)? > 0 {
            // A line that has not come whole is read on the next time.
            if self.line.ends_with('\n') {
                totals.add(&serde_json::from_str(&self.line)?);
                self.line.clear();
                news = true;
            }
        }
        Ok(news)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn record(minute: u32, country: &str, count: u64) -> Vec<u8> {
        format!(
            r#"{{"window_start":"2025-12-16T02:{minute:02}:00Z","window_end":"","event_type":"click","country":"{country}","ad_format":"banner","event_count":{count},"avg_revenue":null,"total_revenue":0.5}}"#
        )
        .into_bytes()
    }

    #[test]
    fn a_newer_row_takes_the_place_of_its_group_and_the_oldest_windows_go() {
        let mut windows = Windows::default();
        for (minute, country, count) in [(0, "UK", 1), (1, "UK", 2), (2, "UK", 3), (3, "UK", 4), (3, "US", 9), (3, "UK", 7)] {
            windows.take(&record(minute, country, count)).unwrap();
        }
        let top = windows.top(1);
        assert_eq!(top.iter().map(|(groups, rows)| (*groups, rows[0].event_count)).collect::<Vec<_>>(), [(2, 9), (1, 3), (1, 2)]);
        assert_eq!((windows.count(), windows.delivered), (4, 6));
    }

    #[test]
    fn a_row_of_a_window_that_is_no_longer_shown_is_no_new_window() {
        let mut windows = Windows::default();
        for minute in [0, 1, 2, 3, 0, 0] {
            windows.take(&record(minute, "UK", 1)).unwrap();
        }
        assert_eq!(windows.count(), 4);
    }

    #[test]
    fn a_line_that_is_still_being_written_is_counted_once_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress.jsonl");
        let (mut file, mut totals) = (ProgressFile::new(path.clone()), Totals::default());
        assert!(!file.follow(&mut totals).unwrap());
        let mut written = File::create(&path).unwrap();
        written.write_all(br#"{"batchId":1,"numInputRows":5,"sources":[{"endOffset":{"t":{"0":3}},"latestOffset":{"t":{"0":7}}}],"#).unwrap();
        assert!(!file.follow(&mut totals).unwrap());
        written.write_all(b"\"weir\":{\"lateRows\":2,\"rejected\":{\"a\":1,\"b\":1}}}\n").unwrap();
        assert!(file.follow(&mut totals).unwrap());
        assert_eq!((totals.epoch, totals.read, totals.late, totals.rejected, totals.lag), (1, 5, 2, 2, 4));
    }
}
