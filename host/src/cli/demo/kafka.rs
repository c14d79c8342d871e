//! What a reader of the demo's output topic sees: committed rows, and no others.

use std::time::Duration;

use anyhow::Context as _;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message as _};

/// A reader of one topic.
pub(super) struct Reader(BaseConsumer<Quiet>);

/// Says nothing: that the topic is not there yet is no news, and what is wrong with the broker the pipeline says.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Quiet {}

impl Reader {
    pub(super) fn new(brokers: &str, topic: &str) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("group.id", "demo-reader").set("isolation.level", "read_committed");
        config.set("auto.offset.reset", "earliest").set("topic.metadata.refresh.interval.ms", "500");
        let consumer: BaseConsumer<Quiet> = config.create_with_context(Quiet).context("make a Kafka client")?;
        consumer.subscribe(&[topic]).with_context(|| format!("read `{topic}`"))?;
        Ok(Self(consumer))
    }

    /// The next record, if one comes within `time`. A topic that is not there yet has none.
    pub(super) fn next(&self, time: Duration) -> Option<Vec<u8>> {
        self.0.poll(time)?.ok()?.payload().map(<[u8]>::to_vec)
    }
}
