//! One record an epoch, in the shape and with the names of Spark's `StreamingQueryProgress`, so that dashboards move over unchanged; what Spark has no word for
//! stands under `weir`. Empty maps and rates that are no number are left out, map keys are sorted, rates have one decimal.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::board::Publisher;
use crate::epoch::limits::Bound;
use crate::sink::dead_letter::DeadLetter;

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
    /// Under Spark's names: `numDroppedDuplicateRows` of a deduplication.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom_metrics: BTreeMap<&'static str, u64>,
}

/// A source.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceProgress {
    /// Its id in the document.
    pub id: String,
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

impl SourceProgress {
    /// Records that were there and that the epoch has not read, by topic and partition.
    pub fn lag(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.latest_offset.iter().flat_map(|(topic, partitions)| {
            partitions.iter().filter_map(|(partition, latest)| {
                let end = self.end_offset.get(topic)?.get(partition)?;
                Some((topic.as_str(), partition.as_str(), u64::try_from(latest - end).unwrap_or_default()))
            })
        })
    }
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
    /// What held the epoch back.
    #[serde(flatten)]
    pub pace: PaceProgress,
    /// The watermark after the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watermark_after: Option<String>,
    /// Partitions that are idle, as `topic/number`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub idle_partitions: Vec<String>,
    /// The newest event time of each partition, as `topic/number`, by the source or step that declares the event time: what holds its watermark back is the oldest of
    /// them that is not idle.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub newest_event_times: BTreeMap<String, BTreeMap<String, String>>,
    /// Microseconds by stage, as the epoch waited for it. Decoding, and transforms behind a source, happen while it reads.
    pub stage_us: BTreeMap<&'static str, u64>,
    /// CPU time by stage, in microseconds, of the threads that worked on it; steps have their own. The threads of librdkafka and RocksDB are not in it.
    pub cpu_us: BTreeMap<&'static str, u64>,
    /// Every step, in the order of the data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepProgress>,
    /// The epoch was cut short after its commit, and this is told from its record by the start that carried it out: there are no durations.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recovered: bool,
    /// Which plugin made the rows of each step: the digest.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub plugins: BTreeMap<String, String>,
}

/// What held an epoch back.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaceProgress {
    /// The limit that made the epoch smaller than what was there; of several the tightest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound_by: Option<Bound>,
    /// Every limit that held, whether it bound or not.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<Bound, LimitProgress>,
    /// Milliseconds from when the epoch was due to its begin, because the one before took so long.
    pub scheduling_delay_ms: u64,
    /// Milliseconds of the trigger's interval while the epoch ran; an adaptive trigger changes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger_interval_ms: Option<u64>,
}

/// A limit, and what it came to in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitProgress {
    /// Its value in its own unit: bytes, records, or records a second.
    pub limit: u64,
    /// How many records it would have allowed the epoch by itself.
    pub records: u64,
}

/// A step, and what its plugin cost.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepProgress {
    /// The step's id.
    pub id: String,
    /// Rows that went in.
    pub num_input_rows: u64,
    /// Rows that came out.
    pub num_output_rows: u64,
    /// CPU time of all threads together, in microseconds.
    pub busy_us: u64,
    /// Of these, laying out arguments for the plugin.
    pub into_plugin_us: u64,
    /// Of these, in the plugin.
    pub in_plugin_us: u64,
    /// Of these, checking what it answered and making rows of it.
    pub out_of_plugin_us: u64,
    /// Plugin calls.
    pub plugin_calls: u64,
    /// Of these, calls that failed once and were tried again.
    pub plugin_retries: u64,
}

/// The last records in memory, and all of them in a file.
#[derive(Debug)]
pub struct ProgressLog {
    recent: VecDeque<Progress>,
    file: Option<File>,
    /// The lineage and number of the last epoch that is told of.
    last: Option<Told>,
    /// Who else is told.
    publisher: Option<Publisher>,
}

/// What is looked at in the last line of an earlier run.
#[derive(Debug, Deserialize)]
struct Told {
    id: String,
    #[serde(rename = "batchId")]
    batch_id: u64,
}

impl ProgressLog {
    /// A log that appends to `progress.jsonl` in the state folder, if one is given.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub fn open(state_dir: Option<&Path>) -> anyhow::Result<Self> {
        let mut log = Self { recent: VecDeque::with_capacity(RECENT), file: None, last: None, publisher: None };
        if let Some(folder) = state_dir {
            let path = folder.join("progress.jsonl");
            let open = File::options().create(true).read(true).append(true).open(&path);
            let (file, last) = open.and_then(mend).with_context(|| format!("open `{}`", path.display()))?;
            (log.file, log.last) = (Some(file), last);
        }
        Ok(log)
    }

    /// The same, which also tells whoever looks at a board.
    #[must_use]
    pub fn publishing(self, publisher: Option<Publisher>) -> Self {
        Self { publisher, ..self }
    }

    /// Shows dead letters to whoever looks, the last of them.
    pub fn rejected(&self, letters: &[DeadLetter]) {
        if let Some(publisher) = self.publisher.as_ref().filter(|_| !letters.is_empty()) {
            let text = |letter: &DeadLetter| letter.to_json().map_or_else(|error| error.to_string(), |json| String::from_utf8_lossy(&json).into_owned());
            publisher.rejected(letters.iter().map(text));
        }
    }

    /// Whether an epoch is the last that is told of.
    #[must_use]
    pub fn tells_of(&self, lineage: &str, epoch: u64) -> bool {
        self.last.as_ref().is_some_and(|last| last.id == lineage && last.batch_id == epoch)
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn push(&mut self, progress: Progress) -> anyhow::Result<()> {
        if self.file.is_some() || self.publisher.is_some() {
            let mut line = serde_json::to_string(&progress)?;
            if let Some(publisher) = &self.publisher {
                publisher.epoch(&progress, &line);
            }
            line.push('\n');
            if let Some(file) = &mut self.file {
                file.write_all(line.as_bytes()).context("append to `progress.jsonl`")?;
            }
        }
        self.last = Some(Told { id: progress.id.clone(), batch_id: progress.batch_id });
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

/// Cuts off a last line that a crash has torn, and says what the last whole one tells of.
fn mend(mut file: File) -> std::io::Result<(File, Option<Told>)> {
    let len = file.metadata()?.len();
    // NOTE: a line is a few kilobytes; one that is longer than this is not found, and its epoch is told of twice.
    let from = len.saturating_sub(1 << 20);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if whole < tail.len() {
        file.set_len(from + whole as u64)?;
    }
    let last = tail.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
    Ok((file, last.and_then(|line| serde_json::from_slice(line).ok())))
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

    fn told(epoch: u64) -> Progress {
        let sink = SinkProgress { description: String::new(), num_output_rows: 0 };
        Progress {
            id: "lineage".into(),
            run_id: String::new(),
            name: String::new(),
            timestamp: String::new(),
            batch_id: epoch,
            batch_duration: 0,
            num_input_rows: 0,
            input_rows_per_second: None,
            processed_rows_per_second: None,
            duration_ms: BTreeMap::new(),
            event_time: BTreeMap::new(),
            state_operators: Vec::new(),
            sources: Vec::new(),
            sink,
            weir: Own::default(),
        }
    }

    #[test]
    fn a_torn_last_line_is_cut_and_the_last_whole_one_is_known_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = ProgressLog::open(Some(folder.path())).unwrap();
        assert!(!log.tells_of("lineage", 1));
        log.push(told(1)).unwrap();
        log.push(told(2)).unwrap();
        let file = folder.path().join("progress.jsonl");
        let whole = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() - 7]).unwrap();
        let mut log = ProgressLog::open(Some(folder.path())).unwrap();
        assert!(log.tells_of("lineage", 1) && !log.tells_of("lineage", 2) && !log.tells_of("another", 1));
        log.push(told(2)).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), whole);
        assert!(ProgressLog::open(Some(folder.path())).unwrap().tells_of("lineage", 2));
    }

    #[test]
    fn rates_have_one_decimal_and_none_stands_for_no_time() {
        assert_eq!(rate(1_000, 3_000), Some(333.3));
        assert_eq!(rate(5, 0), None);
    }
}
