//! How late a row is: from the input record's timestamp to a read_committed reader, at 5,000 records a second, `asap`, a transform alone, exactly once.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use weir_tests::kill::binary;

use crate::usage::cpu_of;

const RATE: &str = "5000";
/// Rows before the measurement begins.
const WARM_UP: usize = 50_000;
const ROWS: usize = 100_000;

pub(crate) fn run(brokers: &str) -> anyhow::Result<serde_json::Value> {
    let name = format!("latency-{}", std::process::id());
    let folder = tempfile::tempdir()?;
    let pipeline = folder.path().join("pipeline.toml");
    std::fs::write(&pipeline, document(&name, brokers))?;
    let generate = ["generate", "ad-events", "--brokers", brokers, "--topic", &format!("{name}.in"), "--rate", RATE, "--bad", "0%"];
    let mut traffic = Command::new(binary()?).args(generate).spawn()?;
    std::thread::sleep(Duration::from_secs(2));
    let mut weir = Command::new(binary()?).args(["--log", "warn", "run"]).arg(&pipeline).spawn()?;
    let measured = read(brokers, &format!("{name}.out"));
    traffic.kill()?;
    traffic.wait()?;
    let idle = idle(weir.id());
    weir.kill()?;
    weir.wait()?;
    let (mut millis, idle) = (measured?, idle?);
    millis.sort_unstable();
    let at = |share: f64| millis.get(((millis.len() - 1) as f64 * share) as usize).copied().unwrap_or_default();
    println!("\nlatency at {RATE} records/s, `asap`, exactly once: p50 {} ms, p99 {} ms, worst {} ms of {} rows", at(0.5), at(0.99), at(1.0), millis.len());
    println!("idle: {:.2} % of a core", idle * 100.0);
    Ok(serde_json::json!({ "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0), "rows": millis.len(), "idle_share_of_a_core": idle }))
}

/// The share of a core that a pipeline uses to which nothing comes.
fn idle(pid: u32) -> anyhow::Result<f64> {
    std::thread::sleep(Duration::from_secs(3));
    let (began, before) = (Instant::now(), cpu_of(pid)?);
    std::thread::sleep(Duration::from_secs(20));
    Ok((cpu_of(pid)? - before).as_secs_f64() / began.elapsed().as_secs_f64())
}

fn document(name: &str, brokers: &str) -> String {
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/ad-events/ad_events.wasm");
    format!(
        r#"
name = "{name}"
trigger = "asap"
state_dir = "state"

[[source]]
id = "events"
kafka = {{ brokers = "{brokers}", topics = ["{name}.in"], starting_offsets = "latest" }}
format = "json"
metadata = {{ kafka_time = "timestamp" }}
schema = {{ event_id = "utf8", timestamp = "timestamp", user_id = "utf8", campaign_id = "utf8", ad_format = "utf8", country = "utf8", device = "utf8?", event_type = "utf8", revenue = "float64?" }}

[[step]]
id = "clean"
input = "events"
transform = {{ plugin = "{plugin}", function = "clean", config = {{ drop_prefix = "BOT" }} }}

[[sink]]
input = "clean"
kafka = {{ topic = "{name}.out", timestamp = "kafka_time", create = {{ partitions = 4, replication = 1 }} }}
"#,
        plugin = plugin.display()
    )
}

/// Milliseconds from each row's timestamp, which is its input record's, to its arrival here.
fn read(brokers: &str, topic: &str) -> anyhow::Result<Vec<u64>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "latency").set("isolation.level", "read_committed").set("auto.offset.reset", "earliest");
    config.set("fetch.wait.max.ms", "5").set("topic.metadata.refresh.interval.ms", "1000").set("allow.auto.create.topics", "false");
    let reader: BaseConsumer = config.create()?;
    reader.subscribe(&[topic])?;
    let (mut millis, mut seen) = (Vec::with_capacity(ROWS), 0);
    let deadline = Instant::now() + Duration::from_secs(90);
    while millis.len() < ROWS {
        anyhow::ensure!(Instant::now() < deadline, "{seen} rows came within 90 s, {} were to come", WARM_UP + ROWS);
        let Some(Ok(row)) = reader.poll(Duration::from_millis(100)) else { continue };
        seen += 1;
        if seen > WARM_UP {
            let sent = row.timestamp().to_millis().context("a row without timestamp")?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
            millis.push(u64::try_from(now)?.saturating_sub(sent.unsigned_abs()));
        }
    }
    Ok(millis)
}
