//! Catching up on a topic that has been filled before: the ad-events pipeline, and the floor.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use weir_tests::kill::binary;

use crate::usage::{Usage, measure};

pub(crate) fn run(brokers: &str, records: u64) -> anyhow::Result<serde_json::Value> {
    let topic = format!("catch-up-{}", std::process::id());
    let count = records.to_string();
    let generate = ["generate", "ad-events", "--brokers", brokers, "--topic", &topic, "--rate", "0", "--count", &count, "--start", "2025-12-16T02:00:00"];
    measure(Command::new(binary()?).args(generate).stderr(Stdio::null()))?;
    let folder = tempfile::tempdir()?;
    let mut rounds = Vec::new();
    for round in 0..3 {
        let pipeline = write_pipeline(folder.path(), &format!("{topic}-{round}"), brokers, &topic)?;
        let weir = measure(Command::new(binary()?).args(["--log", "warn", "run"]).arg(&pipeline))?;
        let floor = measure(Command::new(std::env::current_exe()?).args(["floor", brokers, &topic]).stdout(Stdio::null()))?;
        rounds.push((weir, floor));
    }
    rounds.sort_by_key(|(weir, _)| weir.cpu);
    let (weir, floor) = *rounds.get(1).context("three rounds")?;
    println!("\ncatching up on {records} ad events, median of three rounds   CPU us/record   records/s   peak MB");
    print("weir, exactly once", &weir, records);
    print("native floor: no Wasm, no state, no transaction", &floor, records);
    println!("ratio of CPU: {:.2}", weir.cpu.as_secs_f64() / floor.cpu.as_secs_f64());
    let stages = stages(&folder.path().join("state-1").join("progress.jsonl"))?;
    let whole: u64 = stages.values().sum();
    println!("\nstage, of the driver's time");
    for (stage, us) in &stages {
        println!("  {stage:<10} {:5.1} %", *us as f64 * 100.0 / whole.max(1) as f64);
    }
    Ok(serde_json::json!({ "weir": json(&weir, records), "floor": json(&floor, records), "stage_us": stages }))
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

/// Microseconds by stage over all epochs.
fn stages(progress: &Path) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut stages: BTreeMap<String, u64> = BTreeMap::new();
    for line in std::fs::read_to_string(progress)?.lines() {
        let epoch: serde_json::Value = serde_json::from_str(line)?;
        for (stage, us) in epoch.pointer("/weir/stageUs").and_then(serde_json::Value::as_object).into_iter().flatten() {
            *stages.entry(stage.clone()).or_default() += us.as_u64().unwrap_or(0);
        }
    }
    Ok(stages)
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
