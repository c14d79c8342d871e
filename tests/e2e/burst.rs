//! A campaign: a pipeline that can take 1,000 records a second gets 5,000 for half a minute, instead of the usual 500. It holds them back and stays as it is; what came
//! is worked off afterwards, and nothing is lost.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use serde_json::{Value, json};
use weir::plugin::{Engine, Limits};
use weir_tests::broker::shared;
use weir_tests::checker::{Isolation, read_topic};
use weir_tests::kill::{Ending, Run, binary};

use crate::support::{PATIENCE, Trial};

/// Records a second: on an ordinary day, in a campaign, and what the pipeline can take while its machine is shared.
const USUAL: u32 = 500;
const CAMPAIGN: u32 = 5_000;
const CAPACITY: u32 = 1_000;

const USUAL_SECONDS: u32 = 5;
const CAMPAIGN_SECONDS: u32 = 30;
/// How long the pipeline works on at its capacity when the campaign is over; then it has the machine to itself, so that the rest of 120,000 records does not take two
/// minutes.
const AFTER_SECONDS: u32 = 3;

/// How much longer than the trigger's interval an epoch may take.
const MAX_INTERVALS: u64 = 3;
const INTERVAL_MS: u64 = 1_000;

/// What the process may grow by: the client's queue, which is empty on an ordinary day and full when there is a backlog, and what an allocator keeps. The backlog itself
/// is more than three times as much.
const MAX_GROWTH_BYTES: u64 = 48 << 20;
/// So large is a record.
const RECORD_BYTES: usize = 1_200;

fn burn() -> PathBuf {
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/burn/burn.wasm");
    assert!(plugin.is_file(), "no `{}`: build the plugins with `make plugins`", plugin.display());
    plugin
}

/// How many rounds of the plugin a row may take, so that one thread of this machine does `CAPACITY` rows a second.
fn rounds_per_row() -> u64 {
    let rows = Schema::new(vec![Field::new("id", DataType::Int64, false)]);
    let plugin = Engine::new(None).unwrap().load(&burn()).unwrap();
    let rounds = 2_000_000;
    let transform = plugin.open_transform("burn", &json!({ "rounds_per_row": rounds, "until_us": i64::MAX }), &rows, &Limits::default()).unwrap();
    let batch = RecordBatch::try_new(rows.into(), vec![std::sync::Arc::new(Int64Array::from_iter_values(0..10))]).unwrap();
    let context = weir::plugin::Context { epoch: 1, now_us: 0, watermark_us: None };
    // The fastest of several: what was slower was disturbed.
    let took = (0..5).map(|_| {
        let begin = Instant::now();
        transform.run(&context, &batch).unwrap();
        begin.elapsed() / 10
    });
    let a_row = took.min().unwrap().as_secs_f64();
    (rounds as f64 / a_row / f64::from(CAPACITY)) as u64
}

/// Writes the pipeline: its plugin takes its time until `until`.
fn pipeline(trial: &Trial, until: SystemTime) -> PathBuf {
    let (name, brokers, plugin) = (&trial.name, shared().bootstrap(), burn());
    let until_us = until.duration_since(UNIX_EPOCH).unwrap().as_micros();
    let document = format!(
        r#"
name = "{name}"
trigger = {{ every = "{INTERVAL_MS}ms" }}
state_dir = "state"
limits = {{ backpressure = "pid" }}

[[source]]
id = "events"
kafka = {{ brokers = "{brokers}", topics = ["{name}.in"] }}
format = "json"
schema = {{ id = "int64", pad = "utf8" }}

[[step]]
id = "slow"
input = "events"
transform = {{ plugin = "{plugin}", function = "burn", config = {{ rounds_per_row = {rounds}, until_us = {until_us} }} }}

[[sink]]
input = "slow"
kafka = {{ topic = "{name}.out", key = ["id"], create = {{ partitions = 1, replication = 1 }} }}
"#,
        plugin = plugin.display(),
        rounds = rounds_per_row(),
    );
    let file = trial.folder.path().join("pipeline.toml");
    std::fs::write(&file, document).unwrap();
    file
}

/// Sends numbered records at a steady rate.
struct Load {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
    sent: u64,
    pad: String,
}

impl Load {
    fn new(trial: &Trial) -> Self {
        let producer = ClientConfig::new().set("bootstrap.servers", shared().bootstrap()).set("linger.ms", "5").create().unwrap();
        Self { producer, topic: format!("{}.in", trial.name), sent: 0, pad: "x".repeat(RECORD_BYTES) }
    }

    /// So many records a second, for so long; `look` is called ten times a second.
    fn send(&mut self, per_second: u32, seconds: u32, mut look: impl FnMut()) {
        let (begin, first) = (Instant::now(), self.sent);
        for tick in 1..=seconds * 100 {
            let due = first + u64::from(per_second) * u64::from(tick) / 100;
            while self.sent < due {
                let value = format!(r#"{{"id":{},"pad":"{}"}}"#, self.sent, self.pad);
                self.producer.send(BaseRecord::<(), _>::to(&self.topic).partition(0).payload(&value)).map_err(|(error, _)| error).unwrap();
                self.sent += 1;
            }
            if tick % 10 == 0 {
                look();
            }
            std::thread::sleep((Duration::from_millis(10) * tick).saturating_sub(begin.elapsed()));
        }
        self.producer.flush(PATIENCE).unwrap();
    }
}

/// The memory that a process has in RAM.
fn resident_bytes(run: &Run) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// The lines of the progress file, without one that is being written.
fn epochs(trial: &Trial) -> Vec<Value> {
    let text = std::fs::read_to_string(trial.folder.path().join("state/progress.jsonl")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Records that an epoch has left behind.
fn behind(epoch: &Value) -> u64 {
    epoch["sources"][0]["metrics"]["maxOffsetsBehindLatest"].as_str().unwrap().parse().unwrap()
}

fn rows(epochs: &[Value]) -> u64 {
    epochs.iter().map(|epoch| epoch["numInputRows"].as_u64().unwrap()).sum()
}

#[test]
fn a_burst_beyond_the_capacity_is_held_back_and_worked_off_and_nothing_of_it_is_lost() {
    let trial = Trial::new("burst");
    let alone = SystemTime::now() + Duration::from_secs(u64::from(USUAL_SECONDS + CAMPAIGN_SECONDS + AFTER_SECONDS));
    let file = pipeline(&trial, alone);
    let mut command = Command::new(binary().unwrap());
    // One thread, so that the capacity is the same on every machine.
    command.arg("run").arg(&file).env("RAYON_NUM_THREADS", "1");
    let run = Run::start(command, &file.with_extension("log")).unwrap();

    let mut load = Load::new(&trial);
    load.send(USUAL, USUAL_SECONDS, || {});
    let (usual, mut most) = (resident_bytes(&run), 0);
    load.send(CAMPAIGN, CAMPAIGN_SECONDS, || most = most.max(resident_bytes(&run)));
    let at_the_end = epochs(&trial);
    load.send(USUAL, AFTER_SECONDS, || most = most.max(resident_bytes(&run)));

    let deadline = Instant::now() + PATIENCE;
    while rows(&epochs(&trial)) < load.sent {
        assert!(Instant::now() < deadline, "{} of {} records read within {PATIENCE:?}", rows(&epochs(&trial)), load.sent);
        most = most.max(resident_bytes(&run));
        std::thread::sleep(Duration::from_millis(50));
    }
    run.signal(libc::SIGTERM).unwrap();
    assert_eq!(run.wait(PATIENCE).unwrap(), Ending::Finished);

    let epochs = epochs(&trial);
    let longest = epochs.iter().map(|epoch| epoch["batchDuration"].as_u64().unwrap()).max().unwrap();
    let backlog = at_the_end.last().map(behind).unwrap();
    println!(
        "{} records in {} epochs, the longest of {longest} ms; {backlog} records behind when the campaign ended; {} MB, at most {} MB",
        load.sent,
        epochs.len(),
        usual >> 20,
        most >> 20
    );
    assert!(longest <= MAX_INTERVALS * INTERVAL_MS, "an epoch took {longest} ms");
    let held_back = at_the_end.iter().filter(|epoch| epoch["weir"]["boundBy"] == "backpressure").count();
    assert!(held_back > 0 && backlog > u64::from(CAMPAIGN), "the campaign was not more than the pipeline could take: {backlog} records behind");
    assert!(most < usual + MAX_GROWTH_BYTES, "the process grew from {usual} to {most} bytes");
    assert_eq!((rows(&epochs), epochs.last().map(behind)), (load.sent, Some(0)));

    let came = read_topic(&shared().bootstrap(), &format!("{}.out", trial.name), Isolation::Committed).unwrap();
    let id = |value: &[u8]| serde_json::from_slice::<Value>(value).unwrap()["id"].as_u64().unwrap();
    let mut ids: Vec<u64> = came.iter().map(|record| id(record.value.as_deref().unwrap())).collect();
    ids.sort_unstable();
    assert!(ids.iter().copied().eq(0..load.sent), "{} records came out of {}", ids.len(), load.sent);
}
