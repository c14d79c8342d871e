//! What is known of the pipelines of this process, for whoever looks: state, progress, totals, samples of dead letters. A pipeline writes here and never waits; what a
//! slow reader has not seen is gone for it, because everything here has a bound.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::progress::Progress;
use crate::epoch::clock::Stop;

/// Progress records that are kept of each pipeline, as `spark.sql.streaming.numRecentProgressUpdates`.
const RECENT: usize = 100;
/// Dead letters that are kept of each pipeline.
const SAMPLES: usize = 20;
/// Bytes of a dead letter that are kept.
const SAMPLE_BYTES: usize = 2_000;

/// The pipelines of a process.
#[derive(Debug, Default)]
pub struct Board {
    pipelines: Mutex<Vec<Entry>>,
    changed: Condvar,
}

/// Where a pipeline is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Opening plugins, asking brokers.
    Starting,
    /// Making epochs, or waiting for one to be due.
    Running,
    /// Stopped as asked.
    Stopped,
    /// Its trigger has nothing more to do.
    Finished,
    /// Ended with an error.
    Failed,
}

/// What stays the same of a pipeline while it runs.
#[derive(Debug, Clone, Serialize)]
pub struct About {
    /// Its name.
    pub name: String,
    /// Its document.
    pub file: String,
    /// Its share of the cores beside other pipelines of the process.
    pub weight: u32,
    /// What runs, as `weir plan --json` says it.
    pub outline: serde_json::Value,
}

/// What is told of a pipeline.
#[derive(Debug, Clone, Serialize)]
pub struct Seen {
    /// What stays the same.
    #[serde(flatten)]
    pub about: About,
    /// Where it is.
    pub state: State,
    /// Why it failed.
    pub error: Option<String>,
    /// The last epoch that it told of.
    pub epoch: Option<u64>,
    /// The last dead letters, oldest first, each as it was delivered, cut to 2,000 bytes.
    pub rejected_samples: VecDeque<String>,
}

/// What the epochs of this run of a pipeline add up to, and what the last one said.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Epochs.
    pub epochs: u64,
    /// Seconds of them.
    pub seconds: f64,
    /// Seconds by stage.
    pub stage_seconds: BTreeMap<&'static str, f64>,
    /// Records read.
    pub input_rows: u64,
    /// Rows written.
    pub output_rows: u64,
    /// Late rows.
    pub late_rows: u64,
    /// Rows without an event time.
    pub null_event_time_rows: u64,
    /// Dead letters by code.
    pub rejected: BTreeMap<String, u64>,
    /// Epochs that a limit has made smaller, by limit.
    pub bound: BTreeMap<String, u64>,
    /// By step: plugin calls, calls that were tried again, seconds in the plugin, seconds in all.
    pub steps: BTreeMap<String, StepTotals>,
    /// The last record.
    pub last: Option<Progress>,
}

/// What a step adds up to.
#[derive(Debug, Clone, Copy, Default)]
pub struct StepTotals {
    /// Rows that went in.
    pub input_rows: u64,
    /// Rows that came out.
    pub output_rows: u64,
    /// Plugin calls.
    pub plugin_calls: u64,
    /// Calls that failed once.
    pub plugin_retries: u64,
    /// CPU seconds in the plugin.
    pub plugin_seconds: f64,
    /// CPU seconds of the step.
    pub seconds: f64,
}

#[derive(Debug)]
struct Entry {
    seen: Seen,
    stop: Stop,
    totals: Totals,
    /// With the number of the change that each came with.
    recent: VecDeque<(u64, Arc<str>)>,
    /// The number of the last change of anything but the recent records.
    changed: u64,
}

/// What has changed since a reader looked last.
#[derive(Debug, Default)]
pub struct News {
    /// The number to ask with the next time.
    pub version: u64,
    /// Whether the list of pipelines has changed.
    pub pipelines: bool,
    /// New records: the pipeline and the record's JSON, in order.
    pub progress: Vec<(String, Arc<str>)>,
}

/// A pipeline's hand on the board.
#[derive(Debug, Clone)]
pub struct Publisher {
    board: Arc<Board>,
    number: usize,
}

impl Board {
    /// Puts a pipeline on the board; `stop` is what asks it to stop.
    #[must_use]
    pub fn add(self: &Arc<Self>, about: About, stop: Stop) -> Publisher {
        let mut pipelines = self.lock();
        let changed = version(&pipelines) + 1;
        let seen = Seen { about, state: State::Starting, error: None, epoch: None, rejected_samples: VecDeque::new() };
        pipelines.push(Entry { seen, stop, totals: Totals::default(), recent: VecDeque::new(), changed });
        self.changed.notify_all();
        Publisher { board: Arc::clone(self), number: pipelines.len() - 1 }
    }

    /// Every pipeline, in the order in which they were named.
    #[must_use]
    pub fn pipelines(&self) -> Vec<Seen> {
        self.lock().iter().map(|entry| entry.seen.clone()).collect()
    }

    /// Name, state and totals of every pipeline.
    #[must_use]
    pub fn totals(&self) -> Vec<(String, State, Totals)> {
        self.lock().iter().map(|entry| (entry.seen.about.name.clone(), entry.seen.state, entry.totals.clone())).collect()
    }

    /// The last records of a pipeline as JSON, oldest first; none: there is no such pipeline.
    #[must_use]
    pub fn progress(&self, name: &str) -> Option<Vec<Arc<str>>> {
        let pipelines = self.lock();
        let entry = pipelines.iter().find(|entry| entry.seen.about.name == name)?;
        Some(entry.recent.iter().map(|(_, line)| Arc::clone(line)).collect())
    }

    /// Asks a pipeline to finish its epoch and stop; false: there is no such pipeline.
    #[must_use]
    pub fn stop(&self, name: &str) -> bool {
        self.lock().iter().find(|entry| entry.seen.about.name == name).map(|entry| entry.stop.ask()).is_some()
    }

    /// What has changed since `version`; waits up to `time` for something.
    #[must_use]
    pub fn news(&self, version_seen: u64, time: Duration) -> News {
        let pipelines = self.lock();
        let waited = self.changed.wait_timeout_while(pipelines, time, |pipelines| version(pipelines) <= version_seen);
        let (pipelines, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let mut progress: Vec<(u64, String, Arc<str>)> = Vec::new();
        for entry in pipelines.iter() {
            let new = entry.recent.iter().filter(|(number, _)| *number > version_seen);
            progress.extend(new.map(|(number, line)| (*number, entry.seen.about.name.clone(), Arc::clone(line))));
        }
        progress.sort_by_key(|(number, ..)| *number);
        News {
            version: version(&pipelines),
            pipelines: pipelines.iter().any(|entry| entry.changed > version_seen),
            progress: progress.into_iter().map(|(_, name, line)| (name, line)).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of the last change.
fn version(pipelines: &[Entry]) -> u64 {
    pipelines.iter().map(|entry| entry.recent.back().map_or(0, |(number, _)| *number).max(entry.changed)).max().unwrap_or_default()
}

impl Publisher {
    /// Tells where the pipeline is.
    pub fn state(&self, state: State, error: Option<String>) {
        self.change(|entry, number| {
            (entry.seen.state, entry.seen.error, entry.changed) = (state, error, number);
        });
    }

    /// Tells of an epoch; `line` is its record as JSON.
    pub(super) fn epoch(&self, progress: &Progress, line: &str) {
        self.change(|entry, number| {
            entry.seen.epoch = Some(progress.batch_id);
            entry.totals.add(progress);
            if entry.recent.len() == RECENT {
                entry.recent.pop_front();
            }
            entry.recent.push_back((number, line.into()));
        });
    }

    /// Shows the last of some dead letters, each as JSON.
    pub(super) fn rejected(&self, letters: impl DoubleEndedIterator<Item = String>) {
        let letters: Vec<String> = letters.rev().take(SAMPLES).map(cut).collect();
        self.change(|entry, number| {
            entry.seen.rejected_samples.extend(letters.into_iter().rev());
            let surplus = entry.seen.rejected_samples.len().saturating_sub(SAMPLES);
            entry.seen.rejected_samples.drain(..surplus);
            entry.changed = number;
        });
    }

    fn change(&self, change: impl FnOnce(&mut Entry, u64)) {
        let mut pipelines = self.board.lock();
        let number = version(&pipelines) + 1;
        if let Some(entry) = pipelines.get_mut(self.number) {
            change(entry, number);
        }
        self.board.changed.notify_all();
    }
}

impl Totals {
    /// Dead letters of all codes.
    #[must_use]
    pub fn rejected_rows(&self) -> u64 {
        self.rejected.values().sum()
    }

    fn add(&mut self, progress: &Progress) {
        let seconds = |us: u64| Duration::from_micros(us).as_secs_f64();
        self.epochs += 1;
        self.seconds += Duration::from_millis(progress.batch_duration).as_secs_f64();
        self.input_rows += progress.num_input_rows;
        self.output_rows += progress.sink.num_output_rows;
        self.late_rows += progress.weir.late_rows;
        self.null_event_time_rows += progress.weir.null_event_time_rows;
        for (stage, us) in &progress.weir.stage_us {
            *self.stage_seconds.entry(stage).or_default() += seconds(*us);
        }
        for (code, count) in &progress.weir.rejected {
            *self.rejected.entry(code.clone()).or_default() += count;
        }
        if let Some(limit) = progress.weir.pace.bound_by {
            *self.bound.entry(limit.name().to_owned()).or_default() += 1;
        }
        for step in &progress.weir.steps {
            let total = self.steps.entry(step.id.clone()).or_default();
            total.input_rows += step.num_input_rows;
            total.output_rows += step.num_output_rows;
            total.plugin_calls += step.plugin_calls;
            total.plugin_retries += step.plugin_retries;
            total.plugin_seconds += seconds(step.in_plugin_us);
            total.seconds += seconds(step.busy_us);
        }
        self.last = Some(progress.clone());
    }
}

fn cut(mut text: String) -> String {
    if text.len() > SAMPLE_BYTES {
        text.truncate((0..=SAMPLE_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default());
        text.push('…');
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn board() -> (Arc<Board>, Publisher, Stop) {
        let (board, stop) = (Arc::new(Board::default()), Stop::default());
        let about = About { name: "p".to_owned(), file: "p.toml".to_owned(), weight: 1, outline: serde_json::Value::Null };
        let publisher = board.add(about, stop.clone());
        (board, publisher, stop)
    }

    #[test]
    fn a_reader_is_told_of_each_change_once() {
        let (board, publisher, _) = board();
        let news = board.news(0, Duration::ZERO);
        assert!(news.pipelines && news.progress.is_empty());
        publisher.state(State::Running, None);
        let later = board.news(news.version, Duration::ZERO);
        assert!(later.pipelines && later.version > news.version);
        assert!(!board.news(later.version, Duration::ZERO).pipelines);
        assert_eq!(board.pipelines()[0].state, State::Running);
    }

    #[test]
    fn samples_are_the_last_twenty_and_no_longer_than_their_bound() {
        let (board, publisher, _) = board();
        publisher.rejected((0..50).map(|i| format!("{i}{}", "é".repeat(2_000))));
        let samples = &board.pipelines()[0].rejected_samples;
        assert_eq!(samples.len(), SAMPLES);
        assert!(samples[0].starts_with("30") && samples[19].starts_with("49") && samples.iter().all(|sample| sample.len() <= SAMPLE_BYTES + 3));
    }

    #[test]
    fn stopping_asks_the_pipeline_that_is_named() {
        use crate::epoch::clock::{Clock as _, SystemClock};
        let (board, _, stop) = board();
        assert!(!board.stop("another") && board.stop("p"));
        assert!(SystemClock::new(stop).stopping());
    }
}
