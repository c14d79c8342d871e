//! A pipeline on a bench: the memory source in place of every source, the clock of the fixture, a state folder that vanishes. The line itself is the one that runs
//! everywhere.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use arrow_schema::Field;
use serde_json::Value;

use super::{OpenedPlan, Ports, Surroundings, launch};
use crate::epoch::clock::Clock;
use crate::epoch::driver::{Driver, Until};
use crate::epoch::recovery::Start;
use crate::epoch::trigger::Trigger;
use crate::fixture::{Bench, Came, Record};
use crate::format::row_json;
use crate::pipeline::Checked;
use crate::rows::Chunk;
use crate::sink::letter_file;
use crate::source::memory::Feed;

/// A pipeline that fixtures run on.
pub struct FixtureBench {
    driver: Driver,
    feeds: BTreeMap<String, Feed>,
    /// The event-time column of each source that declares one: the clock follows it where a line gives none.
    event_times: BTreeMap<String, Field>,
    seen: Arc<Mutex<Seen>>,
    clock: FixtureClock,
    sinks: Vec<(String, String)>,
    letters: usize,
    told: u64,
    folder: Folder,
}

/// What the steps gave in the running line, and the newest event of all.
#[derive(Debug, Default)]
struct Seen {
    rows: BTreeMap<String, Vec<Value>>,
}

/// A clock that is set.
#[derive(Debug, Clone, Default)]
struct FixtureClock {
    now: Arc<Mutex<Duration>>,
}

/// A folder that is removed with its owner.
#[derive(Debug)]
struct Folder(PathBuf);

impl FixtureBench {
    /// A bench for a pipeline that has been opened for it.
    ///
    /// # Errors
    /// When no folder can be made for the state.
    pub fn new(checked: &Checked, mut plan: OpenedPlan) -> anyhow::Result<Self> {
        // The fixture's clock stands still within a line: a rate would hold its rows back for ever.
        plan.limits = plan.limits.without_rates();
        let folder = Folder::new()?;
        let feeds: BTreeMap<String, Feed> = plan.sources.iter().map(|source| (source.id.clone(), Feed::new(&source.id))).collect();
        let declared =
            |source: &crate::pipeline::PlannedSource| Some((source.id.clone(), source.schema.fields().get(source.event_time?.column)?.as_ref().clone()));
        let event_times = plan.sources.iter().filter_map(declared).collect();
        let collected = plan.sinks.iter().map(|sink| (sink.id.clone(), crate::sink::memory::Collected::default())).collect();
        let sinks = checked.seen().map(|(sink, seen)| (sink.to_owned(), seen.to_owned())).collect();
        let (seen, clock) = (Arc::new(Mutex::new(Seen::default())), FixtureClock::default());
        let noted = Arc::clone(&seen);
        let surroundings = Surroundings {
            clock: Box::new(clock.clone()),
            start: Start::Ordinary,
            ports: Ports { feeds: feeds.clone(), collected },
            state_dir: folder.0.clone(),
            trigger: Some(Trigger::Asap),
            tap: Some(Box::new(move |id, chunks| noted.lock().unwrap_or_else(PoisonError::into_inner).take(id, chunks))),
            publisher: None,
        };
        let driver = launch(plan, surroundings)?;
        Ok(Self { driver, feeds, event_times, seen, clock, sinks, letters: 0, told: 0, folder })
    }

    fn letters(&mut self) -> anyhow::Result<Vec<Value>> {
        let file = self.folder.0.join(letter_file::FILE_NAME);
        let text = if file.exists() { std::fs::read_to_string(&file)? } else { String::new() };
        let letters: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let new = letters.get(self.letters..).unwrap_or_default().to_vec();
        self.letters = letters.len();
        Ok(new)
    }
}

impl Bench for FixtureBench {
    fn run(&mut self, records: &[Record], now: Option<&str>) -> anyhow::Result<Came> {
        if let Some(now) = now {
            let moment: jiff::Timestamp = now.parse().with_context(|| format!("`now`: `{now}` is no time: expected one such as 2025-12-16T02:05:00Z"))?;
            self.clock.set(moment.as_microsecond());
        } else if let Some(newest) = records.iter().filter_map(|record| event_time(self.event_times.get(&record.source)?, record)).max() {
            self.clock.advance(newest);
        }
        for record in records {
            let known = || self.feeds.keys().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
            let feed = self.feeds.get(&record.source).with_context(|| format!("input: there is no source `{}`; there is {}", record.source, known()))?;
            feed.push(record.partition, record.value.clone(), -1);
        }
        self.driver.run(Until::Idle)?;
        let mut output = std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner).rows);
        for (sink, input) in &self.sinks {
            let rows = output.get(input).cloned().unwrap_or_default();
            output.insert(sink.clone(), rows);
        }
        let told = self.driver.progress().recent().iter().filter(|progress| progress.batch_id > self.told);
        let late = told.clone().map(|progress| progress.weir.late_rows).sum();
        let last = told.map(|progress| progress.batch_id).max();
        self.told = last.unwrap_or(self.told);
        Ok(Came { output, late, rejected: self.letters()?, watermark: self.driver.watermark().map(|watermark| watermark.to_string()) })
    }
}

impl Seen {
    fn take(&mut self, id: &str, chunks: &[Chunk]) {
        let rows = self.rows.entry(id.to_owned()).or_default();
        for chunk in chunks {
            rows.extend((0..chunk.rows.num_rows()).filter_map(|row| serde_json::from_str::<Value>(&row_json(&chunk.rows, row)).ok()));
        }
    }
}

/// The event time of a record, as the source's decoder will read it.
fn event_time(field: &Field, record: &Record) -> Option<i64> {
    let row: Value = serde_json::from_slice(record.value.as_deref()?).ok()?;
    match row.get(field.name())? {
        Value::String(text) => crate::format::timestamp::parse_iso(text.as_bytes()),
        Value::Number(number) => {
            let per_second = match field.metadata().get(crate::format::UNIT_KEY).map(String::as_str) {
                Some("s") => 1,
                Some("ms") => 1_000,
                Some("ns") => 1_000_000_000,
                _ => 1_000_000,
            };
            i64::try_from(i128::from(number.as_i64()?) * 1_000_000 / per_second).ok()
        }
        _ => None,
    }
}

impl FixtureClock {
    fn set(&self, moment_us: i64) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Duration::from_micros(u64::try_from(moment_us).unwrap_or(0));
    }

    fn advance(&self, moment_us: i64) {
        let moment = Duration::from_micros(u64::try_from(moment_us).unwrap_or(0));
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = (*now).max(moment);
    }
}

impl Clock for FixtureClock {
    fn now(&self) -> Duration {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pause(&self, _at_most: Duration) {}

    fn stopping(&self) -> bool {
        false
    }
}

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("weir-fixture-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).with_context(|| format!("make the folder `{}`", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "the state folder of a fixture is left behind");
        }
    }
}
