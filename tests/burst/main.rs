//! A campaign: ten times the usual load, five times what the pipeline can take, for half a minute. Backpressure keeps epochs short and memory flat, the backlog waits in
//! Kafka, and afterwards it is worked off with no record lost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;
use weir_tests::broker::{Broker, Kind, block_on};
use weir_tests::checker::{Isolation, read_topic};
use weir_tests::kill::{Ending, Host};

/// Records a second, and for how long.
const USUAL: (u64, Duration) = (500, Duration::from_secs(12));
const CAMPAIGN: (u64, Duration) = (5_000, Duration::from_secs(30));
const AFTER: (u64, Duration) = (500, Duration::from_secs(12));
/// What the pipeline can take, records a second, until the last phase is over. Then its plugin costs nothing any more: at this rate the backlog would take minutes.
const CAPACITY: u64 = 1_000;
const INTERVAL: Duration = Duration::from_secs(2);
/// What a record has besides its number: with it the backlog, 150 MB, would be seen in the process's memory.
const PADDING: usize = 1_000;
/// What memory may grow by over the usual load: less than a tenth of the backlog could be.
const GROWTH_BYTES: u64 = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_campaign_beyond_the_capacity_leaves_epochs_short_and_memory_flat_and_is_worked_off_without_loss() {
    let broker = Broker::start_of(Kind::Embedded).unwrap();
    let brokers = broker.bootstrap();
    create_topics(&brokers, &["sample", "measured", "clicks", "counted"]);
    let folder = tempfile::Builder::new().prefix("weir-burst-").tempdir().unwrap();
    let folder = folder.path();
    let rounds_per_row = rounds_in(Duration::from_secs(1), folder, &brokers) / CAPACITY;
    let phases = [USUAL, CAMPAIGN, AFTER];
    let slow_for: Duration = phases.iter().map(|(_, time)| *time).sum();
    let (until, trigger) = (SystemTime::now() + slow_for, format!("{{ every = \"{} s\" }}", INTERVAL.as_secs()));
    let pipeline = Pipeline { folder, brokers: &brokers, name: "burst", trigger: &trigger, input: "clicks", output: "counted", rounds_per_row, until };

    let mut run = pipeline.host().start(None).unwrap();
    let to = brokers.clone();
    let sending = thread::spawn(move || phases.iter().fold(0, |sent, (rate, time)| send(&to, "clicks", sent, *rate, *time)));
    let began = Instant::now();
    let mut memory = Vec::new();
    let drained = loop {
        memory.push((began.elapsed(), resident_bytes(run.pid())));
        let read: u64 = epochs(folder, "burst").iter().map(|epoch| epoch["numInputRows"].as_u64().unwrap()).sum();
        if sending.is_finished() && read >= phases.iter().map(|(rate, time)| rate * time.as_secs()).sum() {
            break began.elapsed();
        }
        assert!(began.elapsed() < slow_for + PATIENCE, "only {read} records are read after {:?}", began.elapsed());
        assert!(run.lives_for(Duration::from_millis(250)).unwrap(), "the pipeline has ended: {}", fs::read_to_string(folder.join("burst.log")).unwrap());
    };
    let sent = sending.join().unwrap();
    run.signal(libc::SIGTERM).unwrap();
    assert_eq!(run.wait(PATIENCE).unwrap(), Ending::Finished);

    let delivered: Vec<i64> = read_topic(&brokers, "counted", Isolation::Committed).unwrap().iter().map(number).collect();
    assert_eq!(delivered.len() as u64, sent);
    assert!(delivered.iter().zip(0..).all(|(found, expected)| *found == expected), "each once and in order");

    let epochs = epochs(folder, "burst");
    let longest = epochs.iter().map(|epoch| epoch["batchDuration"].as_u64().unwrap()).max().unwrap();
    let held_back = epochs.iter().filter(|epoch| epoch["weir"]["boundBy"] == "backpressure").count();
    let lag = |epoch: &Value| epoch["sources"][0]["metrics"]["maxOffsetsBehindLatest"].as_str().map_or(0, |lag| lag.parse::<u64>().unwrap());
    let (most, last) = (epochs.iter().map(lag).max().unwrap(), lag(epochs.last().unwrap()));
    let usual = memory.iter().filter(|(at, _)| *at < USUAL.1).map(|(_, bytes)| *bytes).max().unwrap();
    let peak = memory.iter().map(|(_, bytes)| *bytes).max().unwrap();
    println!(
        "{sent} records, {} epochs, {held_back} held back, the longest {longest} ms; lag at most {most}, drained after {drained:?}; memory {} MB, at most {} MB",
        epochs.len(),
        usual >> 20,
        peak >> 20
    );
    assert!(longest <= 3 * INTERVAL.as_millis() as u64, "an epoch took {longest} ms");
    assert!(peak < usual + GROWTH_BYTES, "memory grew from {} MB to {} MB", usual >> 20, peak >> 20);
    assert!(held_back > 5 && most > 80_000, "it was no campaign: {held_back} epochs were held back, lag was at most {most}");
    assert_eq!(last, 0, "the lag is worked off");
}

/// Passes records on through a plugin that takes its time for each: it counts so far, until `until`.
struct Pipeline<'a> {
    folder: &'a Path,
    brokers: &'a str,
    name: &'a str,
    trigger: &'a str,
    input: &'a str,
    output: &'a str,
    rounds_per_row: u64,
    until: SystemTime,
}

impl Pipeline<'_> {
    fn host(&self) -> Host {
        let Self { folder, brokers, name, trigger, input, output, rounds_per_row, until } = self;
        let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/burn/burn.wasm");
        assert!(plugin.is_file(), "no `{}`: build it with plugins/build.sh", plugin.display());
        let (plugin, until_us) = (plugin.display(), until.duration_since(UNIX_EPOCH).unwrap().as_micros());
        let document = format!(
            r#"
name = "{name}"
trigger = {trigger}
state_dir = "{name}"
limits = {{ max_epoch_bytes = "16MB", max_records = 20_000, backpressure = "pid" }}

[[source]]
id = "clicks"
kafka = {{ brokers = "{brokers}", topics = ["{input}"] }}
format = "json"
schema = {{ n = "int64" }}

[[step]]
id = "slow"
input = "clicks"
transform = {{ plugin = "{plugin}", function = "burn", config = {{ rounds_per_row = {rounds_per_row}, until_us = {until_us} }} }}

[[sink]]
input = "slow"
kafka = {{ topic = "{output}" }}
"#
        );
        let file = folder.join(format!("{name}.toml"));
        fs::write(&file, document).unwrap();
        Host::new(&file).unwrap()
    }
}

/// How far a pipeline counts in this time, on this machine as busy as it is: measured, all cores and all that is not counting included.
fn rounds_in(time: Duration, folder: &Path, brokers: &str) -> u64 {
    const ROUNDS: u64 = 1_000_000;
    let until = SystemTime::now() + PATIENCE;
    let records = send(brokers, "sample", 0, 1_000, Duration::from_secs(1));
    let pipeline =
        Pipeline { folder, brokers, name: "measure", trigger: "\"available-now\"", input: "sample", output: "measured", rounds_per_row: ROUNDS, until };
    pipeline.host().finish(PATIENCE).unwrap();
    let took_ms: u64 = epochs(folder, "measure").iter().map(|epoch| epoch["batchDuration"].as_u64().unwrap()).sum();
    u64::try_from(u128::from(ROUNDS * records) * time.as_millis() / u128::from(took_ms)).unwrap()
}

/// Sends records to a topic at this rate for this time, numbered from `first` on; gives the next number.
fn send(brokers: &str, topic: &str, first: u64, rate: u64, time: Duration) -> u64 {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", brokers).set("linger.ms", "5").create().unwrap();
    let padding = "x".repeat(PADDING);
    let (began, total) = (Instant::now(), rate * time.as_secs());
    let mut sent = 0;
    while sent < total {
        let due = ((began.elapsed().as_secs_f64() * rate as f64) as u64).min(total);
        for n in sent..due {
            let value = format!("{{\"n\":{},\"padding\":\"{padding}\"}}", first + n);
            producer.send(BaseRecord::<(), _>::to(topic).partition(0).payload(&value)).map_err(|(error, _)| error).unwrap();
        }
        sent = due;
        producer.poll(Duration::ZERO);
        thread::sleep(Duration::from_millis(10));
    }
    producer.flush(PATIENCE).unwrap();
    assert!(began.elapsed() < time + time / 2, "this machine does not send {rate} records a second: {:?} for {time:?}", began.elapsed());
    first + sent
}

fn create_topics(brokers: &str, names: &[&str]) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let topics: Vec<_> = names.iter().map(|name| NewTopic::new(name, 1, TopicReplication::Fixed(1))).collect();
    for created in block_on(admin.create_topics(&topics, &AdminOptions::new())).unwrap() {
        created.unwrap();
    }
}

/// What the pipeline tells of its epochs.
fn epochs(folder: &Path, pipeline: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.join(pipeline).join("progress.jsonl")).unwrap_or_default();
    // The last line may be under way.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(record: &weir_tests::checker::Stored) -> i64 {
    serde_json::from_slice::<Value>(record.value.as_deref().unwrap()).unwrap()["n"].as_i64().unwrap()
}

/// What a process has in memory, by `/proc/PID/statm` (pages, proc(5)).
fn resident_bytes(pid: u32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    let pages: u64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    // SAFETY: asks for a constant.
    pages * u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap()
}
