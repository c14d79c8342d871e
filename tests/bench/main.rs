//! What an event costs from Kafka to Kafka, next to a native floor in the same run, and how late a row is. `WEIR_BENCH_RECORDS` (5,000,000) events on an Apache Kafka of
//! its own; a table on standard output, and `bench.json` in the target folder. Ratios within a run are what to quote: a machine's other work moves both sides.

#![allow(clippy::disallowed_methods, reason = "a benchmark lives by the clock")]

mod catch_up;
mod floor;
mod latency;
mod usage;

use anyhow::Context as _;
use weir_tests::broker::shared;
use weir_tests::kill::binary;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    if args.next().as_deref() == Some("floor") {
        let (brokers, topic) = (args.next().context("brokers")?, args.next().context("topic")?);
        return floor::run(&brokers, &topic);
    }
    let records: u64 = std::env::var("WEIR_BENCH_RECORDS").map_or(Ok(5_000_000), |text| text.parse()).context("`WEIR_BENCH_RECORDS`")?;
    // SAFETY: nothing else runs in this process yet.
    unsafe { std::env::set_var("KAFKA_JAVA", "-XX:TieredStopAtLevel=4") };
    let brokers = shared().bootstrap();
    let caught_up = catch_up::run(&brokers, records)?;
    let latency = latency::run(&brokers)?;
    let report = serde_json::json!({ "records": records, "catch_up": caught_up, "latency": latency });
    let file = binary()?.with_file_name("bench.json");
    std::fs::write(&file, serde_json::to_string_pretty(&report)?).with_context(|| format!("write `{}`", file.display()))?;
    println!("\nas JSON: {}", file.display());
    Ok(())
}
