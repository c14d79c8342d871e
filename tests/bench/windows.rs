//! What windows and their state cost: the line that runs everywhere, fed from memory, in this process. The rows that come out are dropped by a filter, so that what is
//! measured is windows and not a sink. CPU is that of the whole process while epochs run, so decoding and
//! the commit of each epoch are in it, on both sides of a ratio.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use weir::epoch::driver::{Driver, Until};
use weir::epoch::recovery::Start;
use weir::epoch::trigger::Trigger;
use weir::launch::{self, Ports, Surroundings};
use weir::pipeline::{self, Document};
use weir::plugin::Engine;
use weir::sink::memory::Collected;
use weir::source::memory::Feed;
use weir_tests::clock::Far;

const START_S: i64 = 1_765_850_400;

/// A pipeline on a feed.
struct Line {
    driver: Driver,
    feed: Feed,
    collected: Collected,
    _folder: tempfile::TempDir,
}

impl Line {
    fn new(step: &str) -> anyhow::Result<Self> {
        let text = format!(
            "name = \"bench\"\nlimits = {{ max_epoch_bytes = \"1GB\" }}\n[[source]]\nid = \"in\"\nmemory = {{}}\nformat = \"json\"\n\
             schema = {{ at = \"timestamp(ms)\", k = \"int64\", u = \"int64\" }}\n\
             event_time = {{ column = \"at\", watermark = \"1 minute\", max_future = \"1000 weeks\" }}\n\
             [[step]]\nid = \"out\"\ninput = \"in\"\n{step}\n\
             [[step]]\nid = \"none\"\ninput = \"out\"\ntransform = {{ plugin = \"{}\", function = \"filter\", config = {{ condition = \"1 = 2\" }} }}\n\
             [[sink]]\nid = \"sink\"\ninput = \"none\"\nmemory = {{}}\n",
            Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/sql/sql.wasm").display()
        );
        let checked = pipeline::check(pipeline::parse(&Document::new("bench.toml", text), &|_| None)?)?;
        let plan = launch::open(&checked, &Engine::new(None)?)?;
        let (feed, collected, folder) = (Feed::new("in"), Collected::default(), tempfile::tempdir()?);
        let surroundings = Surroundings {
            clock: Box::new(Far),
            start: Start::Ordinary,
            ports: Ports { feeds: BTreeMap::from([("in".to_owned(), feed.clone())]), collected: BTreeMap::from([("sink".to_owned(), collected.clone())]) },
            state_dir: folder.path().join("state"),
            trigger: Some(Trigger::Asap),
            tap: None,
            publisher: None,
        };
        Ok(Self { driver: launch::launch(plan, surroundings)?, feed, collected, _folder: folder })
    }

    /// Feeds rows, and runs until they are through: the CPU time.
    fn epoch(&mut self, rows: impl Iterator<Item = (i64, u64, u64)>) -> anyhow::Result<Duration> {
        for (at_ms, k, u) in rows {
            self.feed.push(0, Some(format!("{{\"at\":{},\"k\":{k},\"u\":{u}}}", START_S * 1_000 + at_ms).into_bytes()), -1);
        }
        let before = cpu()?;
        self.driver.run(Until::Idle)?;
        let used = cpu()? - before;
        drop(self.collected.take());
        Ok(used)
    }
}

pub(crate) fn run() -> anyhow::Result<serde_json::Value> {
    Ok(json!({ "sliding": sliding()?, "distinct": distinct()?, "groups": groups()? }))
}

/// Sliding against tumbling, the same rows: ten minutes of them in twenty epochs, 1,000 keys.
fn sliding() -> anyhow::Result<serde_json::Value> {
    const ROWS: u64 = 2_000_000;
    const EPOCHS: u64 = 20;
    let step = |window: &str| {
        format!(
            "key = [\"k\"]\nwindow = {window}\noutput_mode = \"append\"\naggregate = {{ plugin = \"std\", config = {{ n = \"count(*)\", total = \"sum(u)\" }} }}"
        )
    };
    let round = |window: &str| -> anyhow::Result<f64> {
        let mut line = Line::new(&step(window))?;
        let mut used = Duration::ZERO;
        for epoch in 0..EPOCHS {
            let rows = (epoch * ROWS / EPOCHS..(epoch + 1) * ROWS / EPOCHS).map(|row| ((row * 600_000 / ROWS).cast_signed(), scatter(row) % 1_000, row % 97));
            used += line.epoch(rows)?;
        }
        Ok(used.as_secs_f64() * 1e6 / ROWS as f64)
    };
    let (mut tumbling, mut sliding) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        tumbling.push(round("{ tumbling = \"1 minute\" }")?);
        sliding.push(round("{ sliding = \"1 minute\", every = \"10 seconds\" }")?);
    }
    let (tumbling, sliding) = (median(tumbling)?, median(sliding)?);
    println!("1 minute, append, count and sum, CPU us a record: tumbling {tumbling:.3}, sliding by 10 s {sliding:.3}, ratio {:.2}", sliding / tumbling);
    Ok(json!({ "tumbling_us": tumbling, "sliding_us": sliding, "ratio": sliding / tumbling }))
}

/// Exact distinct users: 1 M over 100 groups, in one window that stays open: what a record costs in each tenth of the epochs.
fn distinct() -> anyhow::Result<serde_json::Value> {
    const USERS: u64 = 1_000_000;
    const EPOCHS: u64 = 100;
    let mut line = Line::new(
        "key = [\"k\"]\nwindow = { tumbling = \"1 day\" }\noutput_mode = \"append\"\naggregate = { plugin = \"std\", config = { users = \"count(distinct u)\" } }",
    )?;
    let mut by_tenth = Vec::new();
    for tenth in 0..10 {
        let mut used = Duration::ZERO;
        for epoch in tenth * EPOCHS / 10..(tenth + 1) * EPOCHS / 10 {
            let rows = (epoch * USERS / EPOCHS..(epoch + 1) * USERS / EPOCHS).map(|row| ((row / 100).cast_signed(), scatter(row) % 100, row));
            used += line.epoch(rows)?;
        }
        by_tenth.push(used.as_secs_f64() * 1e6 / (USERS / 10) as f64);
    }
    let shown: Vec<String> = by_tenth.iter().map(|us| format!("{us:.2}")).collect();
    println!("exact distinct, 1 M users over 100 groups in 100 epochs, CPU us a record by tenth: {}", shown.join(" "));
    Ok(json!(by_tenth))
}

/// Epochs that touch 1,000 groups, of 10,000 and of 1,000,000 in all.
fn groups() -> anyhow::Result<serde_json::Value> {
    const TOUCHED: u64 = 1_000;
    const EPOCHS: u64 = 100;
    let round = |all: u64| -> anyhow::Result<(f64, u64)> {
        let mut line = Line::new(
            "key = [\"k\"]\nwindow = { tumbling = \"1 day\" }\noutput_mode = \"update\"\naggregate = { plugin = \"std\", config = { n = \"count(*)\", total = \"sum(u)\" } }",
        )?;
        for part in 0..all.div_ceil(100_000) {
            line.epoch((part * 100_000..all.min((part + 1) * 100_000)).map(|group| (0, group, 1)))?;
        }
        let mut used = Duration::ZERO;
        for epoch in 0..EPOCHS {
            used += line.epoch((0..TOUCHED).map(|touch| (0, scatter(epoch * TOUCHED + touch) % all, 1)))?;
        }
        Ok((used.as_secs_f64() * 1e6 / (TOUCHED * EPOCHS) as f64, resident_bytes()?))
    };
    let (few, _) = round(10_000)?;
    let (many, resident) = round(1_000_000)?;
    println!(
        "epochs of 1,000 touched groups, CPU us a group: of 10,000 {few:.2}, of 1,000,000 {many:.2}, difference {:.2}; resident {} MB",
        many - few,
        resident / 1_000_000
    );
    Ok(json!({ "of_10_000_us": few, "of_1_000_000_us": many, "resident_bytes": resident }))
}

/// Numbers that are far from their neighbours (the finaliser of SplitMix64).
fn scatter(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn median(mut rounds: Vec<f64>) -> anyhow::Result<f64> {
    rounds.sort_by(f64::total_cmp);
    rounds.get(rounds.len() / 2).copied().context("no round")
}

/// The CPU time of this process, in microseconds' steps.
fn cpu() -> anyhow::Result<Duration> {
    // SAFETY: a plain struct of numbers, for which zeros are valid.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a local.
    let asked = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut used) };
    anyhow::ensure!(asked == 0, "getrusage");
    let time = |time: libc::timeval| Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs());
    Ok(time(used.ru_utime) + time(used.ru_stime))
}

/// What the process has in memory now (statm, proc(5)).
fn resident_bytes() -> anyhow::Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split_whitespace().nth(1).context("resident pages")?.parse()?;
    Ok(pages * 4_096)
}
