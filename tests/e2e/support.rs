//! A pipeline with topics and a folder of its own, and the binary to run it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use weir_tests::broker::{block_on, shared};
use weir_tests::checker::{Isolation, read_topic};
use weir_tests::kill::binary;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// `user` and `n` of the last minute, summed by user.
pub(crate) struct Trial {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) name: String,
}

impl Trial {
    pub(crate) fn new(what: &str) -> Self {
        let folder = tempfile::Builder::new().prefix(&format!("weir-{what}-")).tempdir().unwrap();
        let name = folder.path().file_name().unwrap().to_string_lossy().into_owned();
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", shared().bootstrap()).create().unwrap();
        let topic = format!("{name}.in");
        block_on(admin.create_topics(&[NewTopic::new(&topic, 1, TopicReplication::Fixed(1))], &AdminOptions::new())).unwrap();
        Self { folder, name }
    }

    /// Writes the pipeline, to keep its state in `state`.
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

    /// Sends values to the input.
    pub(crate) fn send(&self, values: &[Option<&[u8]>]) {
        let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", shared().bootstrap()).create().unwrap();
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
        let stored = read_topic(&shared().bootstrap(), &format!("{}.{what}", self.name), Isolation::Committed).unwrap();
        stored.iter().map(|record| serde_json::from_slice(record.value.as_deref().unwrap()).unwrap()).collect()
    }
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
