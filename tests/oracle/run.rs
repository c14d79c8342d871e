//! Runs a case on the line that runs everywhere, with the memory source, and compares what comes of each epoch with what Spark answered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use serde_json::Value;
use weir::epoch::driver::{Driver, Until};
use weir::epoch::recovery::Start;
use weir::epoch::trigger::Trigger;
use weir::launch::{self, Ports, Surroundings};
use weir::observe::progress::Progress;
use weir::pipeline::{self, Checked, Document};
use weir::plugin::Engine;
use weir::rows::Chunk;
use weir::sink::memory::Collected;
use weir::source::memory::Feed;
use weir::time::EventTime;
use weir::time::window::Windows;
use weir_tests::clock::Far;

use crate::document::{self, NotYet, Translated};
use crate::rows;

/// What came of a case.
pub(crate) enum Ran {
    Passes,
    Differs(String),
    NotYet(NotYet),
}

struct Bench<'a> {
    engine: &'a Engine,
    checked: Checked,
    translated: &'a Translated,
    feeds: BTreeMap<String, Feed>,
    folder: tempfile::TempDir,
    driver: Option<Driver>,
    /// The rows of the last step, by epoch.
    seen: Arc<Mutex<Vec<Vec<Value>>>>,
    told: u64,
}

/// An epoch of ours.
struct Epoch {
    rows: Vec<Value>,
    progress: Told,
}

struct Told {
    records: u64,
    used: Option<String>,
    after: Option<String>,
    late: u64,
    state_rows: u64,
}

pub(crate) fn run(engine: &Engine, case: &Value) -> Ran {
    let translated = match document::translate(case) {
        Ok(translated) => translated,
        Err(reason) => return Ran::NotYet(reason),
    };
    if std::env::var_os("WEIR_ORACLE_SHOW").is_some() {
        println!("{}", translated.text);
    }
    let refused = case.get("expect_error");
    let mut bench = match Bench::new(engine, &translated) {
        Ok(bench) => bench,
        Err(_) if refused.is_some() => return Ran::Passes,
        Err(error) => return Ran::Differs(format!("refused: {error:#}").lines().take(2).collect::<Vec<_>>().join(" ")),
    };
    match bench.compare(case) {
        // The vector ends before the batch that overflows: what was recorded is the same.
        Ok(()) if refused.is_some_and(|error| error["condition"] == "ARITHMETIC_OVERFLOW") => Ran::Passes,
        Ok(()) if refused.is_some() => Ran::Differs("accepted what Spark refuses".to_owned()),
        Ok(()) => Ran::Passes,
        Err(Stopped::Failed) if refused.is_some() => Ran::Passes,
        Err(Stopped::Failed) => Ran::Differs("the pipeline stopped".to_owned()),
        Err(Stopped::Differs(what)) => Ran::Differs(what),
    }
}

enum Stopped {
    /// The pipeline stopped by itself, in an epoch in which Spark's query failed, or not.
    Failed,
    Differs(String),
}

impl<'a> Bench<'a> {
    fn new(engine: &'a Engine, translated: &'a Translated) -> anyhow::Result<Self> {
        let document = Document::new("oracle.toml", translated.text.clone());
        let checked = pipeline::check(pipeline::parse(&document, &|_| None)?)?;
        let feeds = translated.sources.keys().map(|id| (id.clone(), Feed::new(id))).collect();
        let mut bench = Self { engine, checked, translated, feeds, folder: tempfile::tempdir()?, driver: None, seen: Arc::default(), told: 0 };
        bench.start(Trigger::Asap)?;
        Ok(bench)
    }

    fn start(&mut self, trigger: Trigger) -> anyhow::Result<()> {
        self.driver = None;
        let plan = launch::open(&self.checked, self.engine)?;
        let (seen, last) = (Arc::clone(&self.seen), self.translated.last.clone());
        let rows = rows::Shown::of(self.translated);
        let surroundings = Surroundings {
            clock: Box::new(Far),
            start: Start::Ordinary,
            ports: Ports { feeds: self.feeds.clone(), collected: BTreeMap::from([("out".to_owned(), Collected::default())]) },
            state_dir: self.folder.path().join("state"),
            trigger: Some(trigger),
            tap: Some(Box::new(move |id: &str, chunks: &[Chunk]| {
                if id == last {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(chunks.iter().flat_map(|chunk| rows.of_batch(&chunk.rows)).collect());
                }
            })),
            publisher: None,
        };
        self.driver = Some(launch::launch(plan, surroundings)?);
        Ok(())
    }

    fn feed(&self, input: &Value) -> anyhow::Result<()> {
        let of_source = |id: &str| match input {
            Value::Array(rows) if self.feeds.len() == 1 => rows.clone(),
            other => other[id].as_array().cloned().unwrap_or_default(),
        };
        let empty = self.feeds.keys().all(|id| of_source(id).is_empty());
        for (id, feed) in &self.feeds {
            let schema = self.translated.sources.get(id).context("a source")?;
            for row in of_source(id) {
                feed.push(0, Some(rows::fed(&row, schema).into_bytes()), -1);
            }
        }
        // A batch without rows is made of a record that is none: Spark runs one for it, too.
        if empty {
            self.feeds.values().next().context("a feed")?.push(0, Some(b"no row".to_vec()), -1);
        }
        Ok(())
    }

    /// Runs until nothing is left to do; the epochs that were made.
    fn epochs(&mut self, until: Until) -> Result<Vec<Epoch>, Stopped> {
        let driver = self.driver.as_mut().ok_or(Stopped::Failed)?;
        if let Err(error) = driver.run(until) {
            if std::env::var_os("WEIR_ORACLE_SHOW").is_some() {
                println!("stopped: {error:#}");
            }
            return Err(Stopped::Failed);
        }
        let rows = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        let progress: Vec<Progress> = driver.progress().recent().iter().filter(|progress| progress.batch_id > self.told).cloned().collect();
        self.told = progress.last().map_or(self.told, |progress| progress.batch_id);
        let panes = self.open_windows(progress.last())?;
        let last = progress.len();
        let epochs = rows.into_iter().zip(progress).enumerate().map(|(number, (rows, progress))| {
            let operators = progress.state_operators.iter();
            // Of a sliding window the state holds panes. Which windows they are of is only looked up after the last epoch of a run.
            let state_rows = operators.clone().map(|operator| match panes.get(&operator.operator_name) {
                Some(open) if number + 1 == last => *open,
                Some(_) => u64::MAX,
                None => operator.num_rows_total,
            });
            let told = Told {
                records: progress.num_input_rows,
                used: progress.event_time.get("watermark").cloned(),
                after: progress.weir.watermark_after.clone(),
                late: operators.clone().map(|operator| operator.num_rows_dropped_by_watermark).sum(),
                state_rows: state_rows.fold(0, u64::saturating_add),
            };
            Epoch { rows, progress: told }
        });
        Ok(epochs.collect())
    }

    /// How many windows with keys the stored panes of each step are of that are still to come out.
    fn open_windows(&mut self, progress: Option<&Progress>) -> Result<BTreeMap<String, u64>, Stopped> {
        let used = progress.and_then(|progress| progress.event_time.get("watermark")).map(|text| rows::microseconds(text));
        let complete = self.translated.text.contains("output_mode = \"complete\"");
        let mut open = BTreeMap::new();
        let Some(driver) = &mut self.driver else { return Ok(open) };
        for step in driver.steps() {
            let Some((_, size, every, offset)) = self.translated.panes.iter().find(|(id, ..)| *id == step.id) else { continue };
            let windows = Windows::sliding(*size, *every, *offset).ok_or(Stopped::Failed)?;
            let groups = step.operator.states().map(|states| states.groups(i64::MIN..=i64::MAX)).transpose().map_err(|_| Stopped::Failed)?.unwrap_or_default();
            let mut all = BTreeSet::new();
            for (end_us, key) in groups {
                let ends = windows.ends_of(EventTime(end_us - 1)).filter(|end| complete || used.is_none_or(|used| end.0 > used));
                all.extend(ends.map(|end| (end, key.clone())));
            }
            open.insert(step.id.clone(), all.len() as u64);
        }
        Ok(open)
    }

    fn compare(&mut self, case: &Value) -> Result<(), Stopped> {
        let elements = case["batches"].as_array().cloned().unwrap_or_default();
        let failed = |_: anyhow::Error| Stopped::Failed;
        let triggered = elements.iter().any(|element| element.get("trigger_run").is_some());
        let mut waiting: std::collections::VecDeque<Epoch> = std::collections::VecDeque::new();
        let mut at = 0;
        while let Some(element) = elements.get(at) {
            at += 1;
            if element.get("restart").is_some() {
                self.start(Trigger::Asap).map_err(failed)?;
                continue;
            }
            if element.get("trigger_run").is_some() || element.get("sink_failure").is_some() {
                continue;
            }
            if element["fails"] == true {
                self.feed(&element["input"]).map_err(failed)?;
                self.epochs(Until::Idle)?;
                continue;
            }
            let number = element["batch_id"].as_u64().unwrap_or_default();
            if element["no_data"] != true {
                if let Some(more) = waiting.pop_front() {
                    return Err(Stopped::Differs(format!("an epoch more than Spark before batch {number}, with rows {}", Value::from(more.rows))));
                }
                self.feed(&element["input"]).map_err(failed)?;
                if triggered {
                    self.start(Trigger::Once).map_err(failed)?;
                }
                waiting.extend(self.epochs(if triggered { Until::Done } else { Until::Idle })?);
            } else if triggered {
                self.start(Trigger::AvailableNow).map_err(failed)?;
                waiting.extend(self.epochs(Until::Done)?);
            }
            if element["no_batch_ran"] == true {
                continue;
            }
            let Some(epoch) = waiting.pop_front() else { return Err(Stopped::Differs(format!("batch {number}: no such epoch"))) };
            self.same(case, element, &epoch).map_err(|what| Stopped::Differs(format!("batch {number}: {what}")))?;
        }
        match waiting.pop_front() {
            Some(more) if case.get("expect_error").is_none() => {
                Err(Stopped::Differs(format!("an epoch more than Spark, with rows {}", Value::from(more.rows))))
            }
            _ => Ok(()),
        }
    }

    fn same(&self, case: &Value, batch: &Value, epoch: &Epoch) -> Result<(), String> {
        if (batch["no_data"] == true) != (epoch.progress.records == 0) {
            return Err(format!("no data: {}, ours has {} records", batch["no_data"], epoch.progress.records));
        }
        rows::same(case, batch["output"].as_array().map(Vec::as_slice).unwrap_or_default(), &epoch.rows)?;
        let told = &epoch.progress;
        for (what, spark, ours) in [("watermark used", &batch["watermark_used"], &told.used), ("watermark after", &batch["watermark_after"], &told.after)] {
            let (spark, ours) = (spark.as_str().map(rows::microseconds), ours.as_deref().map(rows::microseconds));
            if spark.is_some() && spark != ours {
                return Err(format!("{what}: Spark {spark:?}, ours {ours:?}"));
            }
        }
        let late = batch["late_dropped"].as_u64().unwrap_or_default();
        if late != told.late {
            return Err(format!("late: Spark {late}, ours {}", told.late));
        }
        let state = batch["state_rows"].as_u64().unwrap_or_default();
        if told.state_rows != u64::MAX && state != told.state_rows {
            return Err(format!("rows of state: Spark {state}, ours {}", told.state_rows));
        }
        Ok(())
    }
}

/// An engine for all cases.
pub(crate) fn engine() -> anyhow::Result<Engine> {
    let cache = std::env::temp_dir().join("weir-oracle-compiled");
    Engine::new(Some(Path::new(&cache).to_owned()))
}
