//! What an event costs from Kafka to Kafka, next to a native floor in the same run, and how late a row is: on an Apache Kafka of its own, and on the embedded broker in
//! a process of its own; and what windows cost beside each other, without a broker. `WEIR_BENCH_RECORDS` (5,000,000) events; a table on standard output, and `bench.json` in the target folder. Arguments choose brokers and
//! parts: `cargo bench .. --bench line -- apache latency`. Ratios within a run are what to quote: a machine's other work moves both sides.

#![allow(clippy::disallowed_methods, reason = "a benchmark lives by the clock")]

mod catch_up;
mod floor;
mod latency;
mod usage;
mod windows;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use weir_tests::broker::shared;
use weir_tests::kill::binary;

/// What the embedded broker keeps: more than the events of a run.
const RETENTION_BYTES: &str = "2147483648";

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [part, brokers, topic] = args.as_slice()
        && part == "floor"
    {
        return floor::run(brokers, topic);
    }
    let known = ["apache", "embedded", "catch-up", "latency", "windows"];
    if let Some(unknown) = args.iter().find(|arg| !known.contains(&arg.as_str())) {
        anyhow::bail!("`{unknown}` is no part of this benchmark: {}", known.join(", "));
    }
    let wanted = |one: &str, other: &str| args.iter().any(|arg| arg == one) || !args.iter().any(|arg| arg == other);
    let records: u64 = std::env::var("WEIR_BENCH_RECORDS").map_or(Ok(5_000_000), |text| text.parse()).context("`WEIR_BENCH_RECORDS`")?;
    let parts = |brokers: &str| -> anyhow::Result<serde_json::Value> {
        let caught_up = wanted("catch-up", "latency").then(|| catch_up::run(brokers, records)).transpose()?;
        let latency = wanted("latency", "catch-up").then(|| latency::run(brokers)).transpose()?;
        Ok(serde_json::json!({ "catch_up": caught_up, "latency": latency }))
    };
    let mut report = serde_json::Map::from_iter([("records".to_owned(), records.into())]);
    if args.is_empty() || args.iter().any(|arg| arg == "windows") {
        println!("\nWindows, without a broker");
        report.insert("windows".to_owned(), windows::run()?);
    }
    if args == ["windows"] {
        return write(&report);
    }
    if wanted("embedded", "apache") {
        println!("\nOn the embedded broker, in a process of its own");
        let broker = Embedded::start()?;
        report.insert("embedded".to_owned(), parts(&broker.address)?);
    }
    if wanted("apache", "embedded") {
        println!("\nOn Apache Kafka");
        // SAFETY: nothing else runs in this process yet.
        unsafe { std::env::set_var("KAFKA_JAVA", "-XX:TieredStopAtLevel=4") };
        report.insert("apache".to_owned(), parts(&shared().bootstrap())?);
    }
    write(&report)
}

fn write(report: &serde_json::Map<String, serde_json::Value>) -> anyhow::Result<()> {
    let file = binary()?.with_file_name("bench.json");
    std::fs::write(&file, serde_json::to_string_pretty(&report)?).with_context(|| format!("write `{}`", file.display()))?;
    println!("\nas JSON: {}", file.display());
    Ok(())
}

/// The embedded broker, until it is dropped.
struct Embedded {
    process: Child,
    address: String,
}

impl Embedded {
    fn start() -> anyhow::Result<Self> {
        let serve = ["--log", "warn", "broker", "--listen", "127.0.0.1:0", "--retention-bytes", RETENTION_BYTES];
        let mut process = Command::new(binary()?).args(serve).stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        BufReader::new(process.stdout.take().context("the broker's output")?).read_line(&mut address)?;
        Ok(Self { process, address: address.trim().to_owned() })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).ok();
    }
}
