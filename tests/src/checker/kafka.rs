//! Reads a whole topic, with a plain client.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use super::Stored;

/// Which records a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Those of committed transactions, up to the first open one.
    Committed,
    /// Also those of aborted and open ones.
    Uncommitted,
}

/// How long a broker may be silent before the reader gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every record of the topic, by partition and offset; none if there is no such topic.
///
/// # Errors
/// When the broker does not answer.
pub fn read_topic(brokers: &str, topic: &str, isolation: Isolation) -> anyhow::Result<Vec<Stored>> {
    let level = match isolation {
        Isolation::Committed => "read_committed",
        Isolation::Uncommitted => "read_uncommitted",
    };
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "weir-checker")
        .set("isolation.level", level)
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("fetch.queue.backoff.ms", "5")
        .set("allow.auto.create.topics", "false")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).with_context(|| format!("ask `{brokers}` about `{topic}`"))?;
    let partitions: Vec<i32> = metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|partition| partition.id()).collect();
    let mut assignment = TopicPartitionList::new();
    for partition in &partitions {
        assignment.add_partition_offset(topic, *partition, Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;
    let mut records: BTreeMap<i32, Vec<Stored>> = BTreeMap::new();
    let mut open = partitions.len();
    while open > 0 {
        match consumer.poll(PATIENCE) {
            None => bail!("`{topic}` has been silent for {PATIENCE:?} before its end"),
            // The end comes after the last record that this reader may see, also behind markers and aborted records.
            Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(error)) => return Err(error).with_context(|| format!("read `{topic}`")),
            Some(Ok(message)) => records.entry(message.partition()).or_default().push(Stored {
                partition: message.partition(),
                offset: message.offset(),
                value: message.payload().map(<[u8]>::to_vec),
            }),
        }
    }
    Ok(records.into_values().flatten().collect())
}
