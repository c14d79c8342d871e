//! Catching up on a topic that has been filled before: the ad-events pipeline, and the floor.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use weir_tests::kill::binary;

use crate::usage::{Usage, measure};

pub(crate) fn run(brokers: &str, records: u64) -> anyhow::Result<serde_json::Value> {
    let topic = format!("catch-up-{}", std::process::id());
    generate(brokers, &topic, records)?;
    let folder = tempfile::tempdir()?;
    let mut rounds = Vec::new();
    for round in 0..3 {
        let pipeline = write_pipeline(folder.path(), &format!("{topic}-{round}"), brokers, &topic)?;
        let weir = catch_up(&pipeline)?;
        let floor = measure(Command::new(std::env::current_exe()?).args(["floor", brokers, &topic]).stdout(Stdio::null()))?;
        rounds.push((round, weir, floor));
    }
    rounds.sort_by_key(|(_, weir, _)| weir.cpu);
    let (round, weir, floor) = *rounds.get(1).context("three rounds")?;
    println!("\ncatching up on {records} ad events, median of three rounds   CPU us/record   records/s   peak MB");
    print("weir, exactly once", &weir, records);
    print("native floor: no Wasm, no state, no transaction", &floor, records);
    println!("ratio of CPU: {:.2}", weir.cpu.as_secs_f64() / floor.cpu.as_secs_f64());
    let fifth = format!("{topic}-fifth");
    generate(brokers, &fifth, records / 5)?;
    let small = catch_up(&write_pipeline(folder.path(), &format!("{fifth}-3"), brokers, &fifth)?)?;
    let [peak, peak_of_fifth] = [weir.peak_bytes, small.peak_bytes].map(|bytes| bytes as f64 / 1e6);
    println!("peak MB with a fifth of the backlog: {peak_of_fifth:.0}; with all of it: {peak:.0}");
    let mut stages = stages(&folder.path().join(format!("state-{round}")).join("progress.jsonl"))?;
    let whole = weir.cpu.as_secs_f64() * 1e6;
    let known: f64 = stages.iter().map(|(_, us)| us).sum();
    stages.push(("librdkafka, RocksDB, start", (whole - known).max(0.0)));
    println!("\nstage, of the process's CPU");
    for (stage, us) in &stages {
        println!("  {stage:<26} {:5.1} %", us * 100.0 / whole);
    }
    let shares: BTreeMap<_, _> = stages.iter().map(|(stage, us)| (*stage, us / whole)).collect();
    Ok(serde_json::json!({ "weir": json(&weir, records), "floor": json(&floor, records), "fifth": json(&small, records / 5), "shares": shares }))
}

fn generate(brokers: &str, topic: &str, records: u64) -> anyhow::Result<()> {
    let count = records.to_string();
    let generate = ["generate", "ad-events", "--brokers", brokers, "--topic", topic, "--rate", "0", "--count", &count, "--start", "2025-12-16T02:00:00"];
    measure(Command::new(binary()?).args(generate).stderr(Stdio::null()))?;
    Ok(())
}

fn catch_up(pipeline: &Path) -> anyhow::Result<Usage> {
    measure(Command::new(binary()?).args(["--log", "warn", "run"]).arg(pipeline))
}

fn write_pipeline(folder: &Path, name: &str, brokers: &str, topic: &str) -> anyhow::Result<std::path::PathBuf> {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/ad-events");
    let document = std::fs::read_to_string(plugins.join("pipeline.toml"))?;
    let round = name.rsplit('-').next().unwrap_or_default();
    let changes = [
        ("name = \"ad-events\"", format!("name = \"{name}\"")),
        ("trigger = { every = \"10s\" }", "trigger = \"available-now\"".to_owned()),
        ("state_dir = \"var/ad-events\"", format!("state_dir = \"state-{round}\"")),
        ("localhost:9092", brokers.to_owned()),
        ("topics = [\"ad-events\"]", format!("topics = [\"{topic}\"]")),
        ("\"ad_events.wasm\"", format!("\"{}\"", plugins.join("ad_events.wasm").display())),
        ("topic = \"ad-stats\"", format!("topic = \"{name}.out\"")),
        ("topic = \"ad-events.dead\"", format!("topic = \"{name}.dead\"")),
        ("[[sink]]\ninput = \"rounded\"\nconsole = {}\n", String::new()),
    ];
    let mut changed = document;
    for (from, to) in changes {
        anyhow::ensure!(changed.contains(from), "the ad-events pipeline has no `{from}` any more: change this benchmark, too");
        changed = changed.replace(from, &to);
    }
    let file = folder.join(format!("{name}.toml"));
    std::fs::write(&file, changed)?;
    Ok(file)
}

/// CPU microseconds by stage over all epochs, in the order of the line.
fn stages(progress: &Path) -> anyhow::Result<Vec<(&'static str, f64)>> {
    let (mut stages, mut steps): (BTreeMap<String, f64>, [f64; 4]) = (BTreeMap::new(), [0.0; 4]);
    for line in std::fs::read_to_string(progress)?.lines() {
        let epoch: serde_json::Value = serde_json::from_str(line)?;
        for (stage, us) in epoch.pointer("/weir/cpuUs").and_then(serde_json::Value::as_object).into_iter().flatten() {
            *stages.entry(stage.clone()).or_default() += us.as_f64().unwrap_or(0.0);
        }
        for step in epoch.pointer("/weir/steps").and_then(serde_json::Value::as_array).into_iter().flatten() {
            let us = |key: &str| step.get(key).and_then(serde_json::Value::as_f64).unwrap_or(0.0);
            let plugin = [us("intoPluginUs"), us("inPluginUs"), us("outOfPluginUs")];
            let around = us("busyUs") - plugin.iter().sum::<f64>();
            for (sum, part) in steps.iter_mut().zip([plugin[0], plugin[1], plugin[2], around]) {
                *sum += part;
            }
        }
    }
    let mut stage = |name| (name, stages.remove(name).unwrap_or_default());
    let [into, guests, out, around] = steps;
    let steps = [("into guests", into), ("guests", guests), ("out of guests", out), ("group and merge", around)];
    let mut all = vec![stage("read"), stage("decode")];
    all.extend(steps);
    all.extend(["state", "encode", "produce", "prepare", "commit", "forward"].map(stage));
    Ok(all)
}

fn print(what: &str, usage: &Usage, records: u64) {
    let records = records as f64;
    let (cpu, rate) = (usage.cpu.as_secs_f64() * 1e6 / records, records / usage.wall.as_secs_f64());
    println!("{what:<57} {cpu:>14.2} {rate:>11.0} {:>9.0}", usage.peak_bytes as f64 / 1e6);
}

fn json(usage: &Usage, records: u64) -> serde_json::Value {
    let records = records as f64;
    serde_json::json!({
        "cpu_us_per_record": usage.cpu.as_secs_f64() * 1e6 / records,
        "records_per_second": records / usage.wall.as_secs_f64(),
        "peak_bytes": usage.peak_bytes,
    })
}
