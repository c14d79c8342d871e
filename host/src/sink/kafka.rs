//! Rows to Kafka, inside one transaction an epoch. The transaction carries the rows of every sink of the cluster, the source's positions and the epoch's marker,
//! so that all of it is seen or none. It knows nothing of epochs but a number and a text.

mod error;
mod group;
mod producer;
mod served;
mod topics;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;

use self::group::Group;
use self::producer::{Flushed, Producer};
use crate::sink::{Encoded, Marker, Transaction, TransactionError, Undeliverable};
use crate::source::kafka::now;
use crate::source::{Offset, Partition, Positions};

/// What the transactions of a pipeline are made of.
#[derive(Debug, Clone)]
pub struct KafkaTransactionOptions {
    /// The pipeline's name: its transactional id is `weir.<pipeline>`, its positions are in the group of the same name, its marker in `weir-epoch.<pipeline>`.
    pub pipeline: String,
    /// The brokers to begin with, `host:port,..`.
    pub brokers: String,
    /// The topics that rows are sent to, those of the dead letters included.
    pub topics: Vec<OutputTopic>,
    /// The topic whose partition 0 carries the marker: the first output topic, or, of a pipeline without one, the first source topic.
    pub marker_topic: String,
    /// Whether the source reads from the same cluster, so that its positions join the transaction.
    pub with_positions: bool,
    /// How long a transaction may be open before the broker aborts it and fences the producer; librdkafka's limit is 900 seconds.
    pub timeout: Duration,
    /// Settings for librdkafka.
    pub properties: Vec<(String, String)>,
}

/// A topic that rows are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputTopic {
    /// Its name.
    pub name: String,
    /// How to make it when it does not exist; none: that it does not exist is an error.
    pub create: Option<CreateTopic>,
    /// Whether its records have keys: a compacted topic takes no others.
    pub keyed: bool,
}

/// How a topic is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreateTopic {
    /// How many partitions; none: the broker's default.
    pub partitions: Option<i32>,
    /// How many replicas; none: the broker's default.
    pub replication: Option<i32>,
}

/// The transactions of one pipeline on one cluster.
pub struct KafkaTransaction {
    options: KafkaTransactionOptions,
    producer: Option<Producer>,
    batching: Batching,
    /// The largest batch that every output topic takes, as far as is known.
    max_batch_bytes: u32,
    /// How long [`Transaction::fence`] was given.
    patience: Duration,
}

/// How records are put together for the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Batching {
    /// Many in one batch.
    Full,
    /// Each alone. A broker that refuses a batch does not always say for which record; refused alone, it is clear.
    Single,
}

/// How long a transaction may be open by default. Longer leaves more room for a slow epoch; shorter lets readers of the output go on sooner after a crash.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// The largest batch. Larger ones cost the topics' default limit of 1 MiB; smaller ones compress worse and cost more requests.
const MAX_BATCH_BYTES: u32 = 1_000_000;

impl KafkaTransaction {
    /// Checks the settings. Nothing is asked of the brokers yet.
    pub fn new(options: KafkaTransactionOptions) -> anyhow::Result<Self> {
        Producer::check(&options).with_context(|| format!("Kafka output of pipeline `{}`", options.pipeline))?;
        Ok(Self { options, producer: None, batching: Batching::Full, max_batch_bytes: MAX_BATCH_BYTES, patience: Duration::ZERO })
    }

    /// Makes the output topics that are missing and may be made; one that is missing and may not is an error, and so is one that would refuse every record. Learns how
    /// large their batches may be.
    pub fn ensure_topics(&mut self, timeout: Duration) -> anyhow::Result<()> {
        if self.options.topics.is_empty() {
            return Ok(());
        }
        let deadline = now() + timeout;
        topics::ensure(&self.options, deadline)?;
        let Some(settings) = topics::settings(&self.options, deadline) else { return Ok(()) };
        if let Some(topic) = settings.compacted.iter().find(|topic| !topic.keyed) {
            anyhow::bail!(
                "output topic `{}` at `{}` is compacted (`cleanup.policy=compact`) and takes no record without a key, but what is written to it has none: \
                 give the sink a `key` (dead letters have none), or set the topic's `cleanup.policy` to `delete`",
                topic.name,
                self.options.brokers
            );
        }
        if let Some(bytes) = settings.max_batch_bytes {
            self.max_batch_bytes = bytes.min(MAX_BATCH_BYTES);
        }
        Ok(())
    }

    /// The id of the cluster; an error when the brokers do not answer, or turn the client away.
    pub fn cluster_id(&self, timeout: Duration) -> anyhow::Result<String> {
        topics::cluster_id(&self.options, timeout)
    }

    fn read_marker(&self, isolation: &str, timeout: Duration) -> Result<Option<String>, TransactionError> {
        let group = marker_group(&self.options.pipeline);
        let found = group::committed(&self.options, &group, isolation, &marker_partition(&self.options), timeout)?;
        Ok(found.map(|(_, metadata)| metadata))
    }

    fn producer(&mut self) -> Result<&mut Producer, TransactionError> {
        self.producer.as_mut().ok_or_else(|| TransactionError::Failed { reason: "there is no producer yet: `fence` comes first".to_owned() })
    }
}

impl Transaction for KafkaTransaction {
    fn fence(&mut self, timeout: Duration) -> Result<(), TransactionError> {
        // IMPORTANT: the old producer goes first. Its late answers would otherwise count for the new one.
        self.producer = None;
        self.patience = timeout;
        let producer =
            Producer::new(&self.options, self.batching, self.max_batch_bytes).map_err(|error| TransactionError::Failed { reason: format!("{error:#}") })?;
        producer.init(timeout)?;
        self.producer = Some(producer);
        Ok(())
    }

    fn peek_marker(&mut self, timeout: Duration) -> Result<Option<String>, TransactionError> {
        self.read_marker("read_uncommitted", timeout)
    }

    fn marker(&mut self, timeout: Duration) -> Result<Option<String>, TransactionError> {
        self.read_marker("read_committed", timeout)
    }

    fn untouched(&mut self, timeout: Duration) -> Result<bool, TransactionError> {
        topics::all_empty(&self.options, timeout)
    }

    fn begin(&mut self) -> Result<(), TransactionError> {
        if self.producer()?.batching() != self.batching {
            self.fence(self.patience)?;
        }
        self.producer()?.begin()
    }

    fn send(&mut self, topic: &str, records: Encoded) -> Result<usize, TransactionError> {
        self.producer()?.send(topic, &records)
    }

    fn flush(&mut self, timeout: Duration) -> Result<Vec<Undeliverable>, TransactionError> {
        let flushed = self.producer()?.flush(timeout)?;
        match flushed {
            Flushed::Delivered => Ok(Vec::new()),
            Flushed::Refused(records) => Ok(records),
            Flushed::Unclear { records, code } => {
                self.batching = Batching::Single;
                let reason = format!("{records} records were refused ({code}), perhaps because of others in their batch; the next attempt sends each alone");
                Err(TransactionError::MustAbort { reason })
            }
        }
    }

    fn mark(&mut self, marker: &Marker, positions: &Positions, timeout: Duration) -> Result<(), TransactionError> {
        let deadline = now() + timeout;
        let positions_group = self.options.with_positions.then(|| positions_group(&self.options.pipeline)).filter(|_| !positions.is_empty());
        let marker_group = marker_group(&self.options.pipeline);
        let marker_at = marker_partition(&self.options);
        let producer = self.producer()?;
        if let Some(group) = positions_group {
            producer.add_offsets(&Group::new(&group)?, positions, "", deadline)?;
        }
        let epoch = Offset(i64::try_from(marker.epoch).unwrap_or(i64::MAX));
        producer.add_offsets(&Group::new(&marker_group)?, &BTreeMap::from([(marker_at, epoch)]), &marker.identity, deadline)
    }

    fn commit(&mut self, timeout: Duration) -> Result<(), TransactionError> {
        self.producer()?.commit(timeout)?;
        self.batching = Batching::Full;
        Ok(())
    }

    fn abort(&mut self, timeout: Duration) -> Result<(), TransactionError> {
        self.producer()?.abort(timeout)
    }
}

/// The transactional id of a pipeline, and the group of its positions.
fn positions_group(pipeline: &str) -> String {
    format!("weir.{pipeline}")
}

fn marker_group(pipeline: &str) -> String {
    format!("weir-epoch.{pipeline}")
}

fn marker_partition(options: &KafkaTransactionOptions) -> Partition {
    Partition { topic: options.marker_topic.as_str().into(), number: 0 }
}
