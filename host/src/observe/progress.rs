//! One record an epoch, in the shape and with the names of Spark's `StreamingQueryProgress`, so that dashboards move over unchanged; what Spark has no word for
//! stands under `weir`. Empty maps and rates that are no number are left out, map keys are sorted, rates have one decimal.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::epoch::limits::Bound;

/// How many records are kept in memory, as `spark.sql.streaming.numRecentProgressUpdates`.
const RECENT: usize = 100;

/// What an epoch did.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The lineage of the state folder: the same across restarts.
    pub id: String,
    /// Fresh for each start of the process.
    pub run_id: String,
    /// The pipeline.
    pub name: String,
    /// When the epoch began, ISO-8601 in UTC with milliseconds.
    pub timestamp: String,
    /// The epoch.
    pub batch_id: u64,
    /// Milliseconds from its begin to its end.
    pub batch_duration: u64,
    /// Records read.
    pub num_input_rows: u64,
    /// Records read over the time since the epoch before began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_rows_per_second: Option<f64>,
    /// Records read over the epoch's duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processed_rows_per_second: Option<f64>,
    /// Milliseconds by stage, in Spark's words.
    pub duration_ms: BTreeMap<&'static str, u64>,
    /// Oldest, newest and mean event time, and the watermark that the epoch worked with.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub event_time: BTreeMap<&'static str, String>,
    /// Every step with state.
    pub state_operators: Vec<StateOperator>,
    /// Every source.
    pub sources: Vec<SourceProgress>,
    /// What went out.
    pub sink: SinkProgress,
    /// What Spark has no word for.
    pub weir: Own,
}

/// A step with state.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateOperator {
    /// The step's id.
    pub operator_name: String,
    /// Groups in the state.
    pub num_rows_total: u64,
    /// Groups that the epoch wrote.
    pub num_rows_updated: u64,
    /// Milliseconds of grouping, merging and emitting.
    pub all_updates_time_ms: u64,
    /// Groups that the epoch closed.
    pub num_rows_removed: u64,
    /// Milliseconds of closing.
    pub all_removals_time_ms: u64,
    /// Milliseconds of writing the state.
    pub commit_time_ms: u64,
    /// Bytes of groups that are held in memory.
    pub memory_used_bytes: u64,
    /// Late groups, as Spark counts them (L-3); rows are counted in `weir.lateRows`.
    pub num_rows_dropped_by_watermark: u64,
    /// Shards.
    pub num_shuffle_partitions: u64,
    /// Stores.
    pub num_state_store_instances: u64,
}

/// A source.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceProgress {
    /// Such as `KafkaV2[Subscribe[ad-events]]`.
    pub description: String,
    /// Where the epoch began, by topic and partition.
    pub start_offset: Offsets,
    /// Where it ended.
    pub end_offset: Offsets,
    /// What was there.
    pub latest_offset: Offsets,
    /// Records read.
    pub num_input_rows: u64,
    /// As in the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_rows_per_second: Option<f64>,
    /// As in the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processed_rows_per_second: Option<f64>,
    /// `minOffsetsBehindLatest`, `maxOffsetsBehindLatest`, `avgOffsetsBehindLatest`, as text.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<&'static str, String>,
}

/// By topic, then by partition, the next offset (C-3).
pub type Offsets = BTreeMap<String, BTreeMap<String, i64>>;

/// What went out.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SinkProgress {
    /// The sinks, by name.
    pub description: String,
    /// Rows over all sinks, without dead letters.
    pub num_output_rows: u64,
}

/// What Spark has no word for.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Own {
    /// Which try of this epoch was committed, in hexadecimal.
    pub attempt: String,
    /// Rows behind the watermark, each once a window.
    pub late_rows: u64,
    /// Rows without an event time: they are in no window.
    pub null_event_time_rows: u64,
    /// Dead letters, by code.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rejected: BTreeMap<String, u64>,
    /// NaN and infinities that were written as null.
    pub lossy_values: u64,
    /// The limit that made the epoch smaller than what was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound_by: Option<Bound>,
    /// The watermark after the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watermark_after: Option<String>,
    /// Partitions that are idle, as `topic/number`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub idle_partitions: Vec<String>,
    /// Microseconds by stage.
    pub stage_us: BTreeMap<&'static str, u64>,
    /// Which plugin made the rows of each step: the digest.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub plugins: BTreeMap<String, String>,
}

/// The last records in memory, and all of them in a file.
#[derive(Debug)]
pub struct ProgressLog {
    recent: VecDeque<Progress>,
    file: Option<File>,
}

impl ProgressLog {
    /// A log that appends to `progress.jsonl` in the state folder, if one is given.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub fn open(state_dir: Option<&Path>) -> anyhow::Result<Self> {
        let open = |folder: &Path| {
            let path = folder.join("progress.jsonl");
            File::options().create(true).append(true).open(&path).with_context(|| format!("open `{}`", path.display()))
        };
        Ok(Self { recent: VecDeque::with_capacity(RECENT), file: state_dir.map(open).transpose()? })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn push(&mut self, progress: Progress) -> anyhow::Result<()> {
        if let Some(file) = &mut self.file {
            let mut line = serde_json::to_vec(&progress)?;
            line.push(b'\n');
            file.write_all(&line).context("append to `progress.jsonl`")?;
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(progress);
        Ok(())
    }

    /// The last records, oldest first; at most 100.
    #[must_use]
    pub fn recent(&self) -> &VecDeque<Progress> {
        &self.recent
    }
}

/// A rate with one decimal, half up; none when there is no time to divide by.
#[must_use]
pub fn rate(rows: u64, millis: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = rows as f64 * 1_000.0 / millis as f64;
    (millis > 0 && rate.is_finite()).then(|| (rate * 10.0).round() / 10.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn rates_have_one_decimal_and_none_stands_for_no_time() {
        assert_eq!(rate(1_000, 3_000), Some(333.3));
        assert_eq!(rate(5, 0), None);
    }
}
