//! A pipeline with topics and a folder of its own, and the binary to run it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use weir_tests::broker::{Broker, block_on, shared};
use weir_tests::checker::{Isolation, read_topic};
use weir_tests::kill::{Host, binary};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Topics and a folder of its own.
pub(crate) struct Trial {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) name: String,
}

impl Trial {
    pub(crate) fn new(what: &str) -> Self {
        let folder = tempfile::Builder::new().prefix(&format!("weir-{what}-")).tempdir().unwrap();
        let name = folder.path().file_name().unwrap().to_string_lossy().into_owned();
        let trial = Self { folder, name };
        trial.create("in", &[]);
        trial
    }

    /// Makes one of the pipeline's topics, with these settings.
    pub(crate) fn create(&self, what: &str, settings: &[(&str, &str)]) {
        let topic = format!("{}.{what}", self.name);
        let new = settings.iter().fold(NewTopic::new(&topic, 1, TopicReplication::Fixed(1)), |new, (name, value)| new.set(name, value));
        block_on(admin().create_topics(&[new], &AdminOptions::new())).unwrap();
    }

    /// Writes a document, in which NAME stands for the pipeline's name and BROKERS for those of the shared broker.
    pub(crate) fn document(&self, file: &str, text: &str) -> PathBuf {
        let file = self.folder.path().join(file);
        std::fs::write(&file, text.replace("NAME", &self.name).replace("BROKERS", &shared().bootstrap())).unwrap();
        file
    }

    /// Writes a pipeline that passes numbers on, one after the other.
    pub(crate) fn passing(&self, Passing { state, settings, source, sink }: Passing<'_>) -> Host {
        let text = r#"
name = "NAME"
state_dir = "STATE"
SETTINGS

[[source]]
id = "events"
kafka = { brokers = "BROKERS", topics = ["NAME.in"] SOURCE }
format = "json"
schema = { n = "int64" }

[[sink]]
input = "events"
kafka = { topic = "NAME.out", create = { partitions = 1, replication = 1 } SINK }
"#;
        let text = text.replace("STATE", state).replace("SETTINGS", settings).replace("SOURCE", source).replace("SINK", sink);
        Host::new(&self.document("passing.toml", &text)).unwrap()
    }

    /// Writes a pipeline that sums `n` of a minute by `user`, to keep its state in `state`.
    pub(crate) fn pipeline(&self, trigger: &str, state: &str) -> PathBuf {
        let (name, brokers) = (&self.name, shared().bootstrap());
        let document = format!(
            r#"
name = "{name}"
trigger = "{trigger}"
state_dir = "{state}"

[[source]]
id = "events"
kafka = {{ brokers = "{brokers}", topics = ["{name}.in"] }}
format = "json"
schema = {{ user = "utf8", n = "int64?", at = "timestamp" }}
event_time = {{ column = "at", watermark = "1 minute" }}

[[step]]
id = "by_user"
input = "events"
key = ["user"]
window = {{ tumbling = "1 minute" }}
output_mode = "update"
aggregate = {{ plugin = "std", config = {{ rows = "count(*)", total = "sum(n)" }} }}

[[sink]]
input = "by_user"
kafka = {{ topic = "{name}.out", key = ["window_start", "user"], create = {{ partitions = 1, replication = 1 }} }}

[dead_letters]
kafka = {{ topic = "{name}.dead", create = {{ partitions = 1, replication = 1 }} }}
"#
        );
        let file = self.folder.path().join(format!("{state}-{trigger}.toml"));
        std::fs::write(&file, document).unwrap();
        file
    }

    /// Sends numbers to the input of a [`Passing`].
    pub(crate) fn send_numbers(&self, numbers: Range<i64>) {
        let values: Vec<String> = numbers.map(|n| format!("{{\"n\":{n}}}")).collect();
        self.send(&values.iter().map(|value| Some(value.as_bytes())).collect::<Vec<_>>());
    }

    /// Sends values to the input.
    pub(crate) fn send(&self, values: &[Option<&[u8]>]) {
        let producer = producer();
        let topic = format!("{}.in", self.name);
        for value in values {
            let mut record = BaseRecord::<[u8], [u8]>::to(&topic).partition(0);
            record.payload = *value;
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// The values of one of the pipeline's topics, read_committed, as JSON.
    pub(crate) fn read(&self, what: &str) -> Vec<serde_json::Value> {
        self.read_at(&shared().bootstrap(), what, Isolation::Committed)
    }

    /// The same on another broker, or of another isolation.
    pub(crate) fn read_at(&self, brokers: &str, what: &str, isolation: Isolation) -> Vec<serde_json::Value> {
        let stored = read_topic(brokers, &format!("{}.{what}", self.name), isolation).unwrap();
        stored.iter().map(|record| serde_json::from_slice(record.value.as_deref().unwrap()).unwrap()).collect()
    }

    /// The numbers that a [`Passing`] has delivered, in their order.
    pub(crate) fn numbers(&self) -> Vec<i64> {
        numbers(&self.read("out"))
    }

    /// What the pipeline tells of its epochs.
    pub(crate) fn progress(&self, state: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.folder.path().join(state).join("progress.jsonl")).unwrap_or_default();
        // The last line may be under way.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// What is particular about a pipeline that passes numbers on.
#[derive(Clone, Copy, Default)]
pub(crate) struct Passing<'a> {
    /// The state folder.
    pub(crate) state: &'a str,
    /// Settings of the pipeline.
    pub(crate) settings: &'a str,
    /// More keys of the source's `kafka`, each behind a comma.
    pub(crate) source: &'a str,
    /// More keys of the sink's `kafka`.
    pub(crate) sink: &'a str,
}

/// The column `n` of rows.
pub(crate) fn numbers(rows: &[serde_json::Value]) -> Vec<i64> {
    rows.iter().map(|row| row["n"].as_i64().unwrap()).collect()
}

/// What a group has committed for partition 0 of a topic: the offset, and the text beside it.
pub(crate) fn committed(brokers: &str, group: &str, topic: &str) -> Option<(i64, String)> {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, 0);
    let found = consumer.committed_offsets(list, PATIENCE).unwrap();
    match found.elements()[0].offset() {
        Offset::Offset(offset) => Some((offset, found.elements()[0].metadata().to_owned())),
        _ => None,
    }
}

/// A producer of the shared broker.
pub(crate) fn producer() -> BaseProducer {
    ClientConfig::new().set("bootstrap.servers", shared().bootstrap()).create().unwrap()
}

/// An administrator of the shared broker.
pub(crate) fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", shared().bootstrap()).create().unwrap()
}

/// Another cluster, for tests with two of them.
pub(crate) fn second() -> &'static Broker {
    static SECOND: LazyLock<Broker> = LazyLock::new(|| Broker::start().unwrap_or_else(|error| panic!("{error:#}")));
    &SECOND
}

/// Copies a folder, with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// Runs `weir` to its end.
pub(crate) fn weir(args: &[&str]) -> Output {
    Command::new(binary().unwrap()).args(args).output().unwrap()
}

pub(crate) fn run(pipeline: &Path) -> Output {
    weir(&["run", pipeline.to_str().unwrap()])
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
