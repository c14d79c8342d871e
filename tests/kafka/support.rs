//! Topics, producers and sources of the tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, Message as _, Offset as ListOffset, TopicPartitionList};
use weir::sink::kafka::{KafkaTransaction, KafkaTransactionOptions, OutputTopic};
use weir::source::kafka::{KafkaSource, KafkaSourceOptions, OnDataLoss, StartingOffsets};
use weir::source::{Cut, Offer, Offset, OffsetRange, Partition, Positions, Records, Source, SourceError};
use weir_tests::broker::{Broker, block_on, eventually, shared_of};

use super::KIND;

/// How long a call may take that is expected to be answered.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A topic with a name of its own.
pub(crate) struct Topic<'a> {
    pub(crate) broker: &'a Broker,
    pub(crate) name: String,
}

impl Topic<'static> {
    /// On the shared broker.
    pub(crate) fn new(partitions: i32) -> Self {
        Topic::on(shared_of(KIND), partitions, &[])
    }

    /// On the shared broker, with settings.
    pub(crate) fn with(partitions: i32, settings: &[(&str, &str)]) -> Self {
        Topic::on(shared_of(KIND), partitions, settings)
    }
}

impl<'a> Topic<'a> {
    /// On this broker, with settings.
    pub(crate) fn on(broker: &'a Broker, partitions: i32, settings: &[(&str, &str)]) -> Self {
        let topic = Topic { broker, name: unique("topic") };
        topic.make(partitions, settings);
        topic
    }

    /// Makes it, once more if it was deleted.
    pub(crate) fn make(&self, partitions: i32, settings: &[(&str, &str)]) {
        eventually("the topic can be made", || {
            let mut new = NewTopic::new(&self.name, partitions, TopicReplication::Fixed(1));
            for (key, value) in settings {
                new = new.set(key, value);
            }
            let results = block_on(admin(self.broker).create_topics([&new], &AdminOptions::new())).unwrap();
            results.iter().all(Result::is_ok).then_some(())
        });
        eventually("the topic is known", || self.partitions().filter(|count| *count == partitions));
    }

    /// How many partitions it has; none: it does not exist.
    pub(crate) fn partitions(&self) -> Option<i32> {
        let metadata = client(self.broker).fetch_metadata(Some(&self.name), PATIENCE).unwrap();
        let topic = metadata.topics().first().filter(|topic| topic.error().is_none())?;
        Some(i32::try_from(topic.partitions().len()).unwrap()).filter(|count| *count > 0)
    }

    pub(crate) fn delete(&self) {
        block_on(admin(self.broker).delete_topics(&[&self.name], &AdminOptions::new())).unwrap();
        eventually("the topic is gone", || self.partitions().is_none().then_some(()));
    }

    pub(crate) fn grow_to(&self, partitions: usize) {
        block_on(admin(self.broker).create_partitions([&NewPartitions::new(&self.name, partitions)], &AdminOptions::new())).unwrap();
    }

    /// Deletes the records of partition 0 below `offset`.
    pub(crate) fn delete_records_below(&self, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, 0, ListOffset::Offset(offset)).unwrap();
        block_on(admin(self.broker).delete_records(&list, &AdminOptions::new())).unwrap();
    }

    /// Sends records, each with its number as the value, and waits until they are there.
    pub(crate) fn produce(&self, partition: i32, numbers: std::ops::Range<i64>) {
        let producer = producer(self.broker, &[]);
        for number in numbers {
            producer.send(BaseRecord::<(), _>::to(&self.name).partition(partition).payload(&number.to_string())).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Sends records in a transaction of `producer`, which stays open.
    pub(crate) fn produce_in(&self, producer: &ThreadedProducer<DefaultProducerContext>, partition: i32, numbers: std::ops::Range<i64>) {
        for number in numbers {
            producer.send(BaseRecord::<(), _>::to(&self.name).partition(partition).payload(&number.to_string())).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    pub(crate) fn partition(&self, number: i32) -> Partition {
        Partition { topic: self.name.as_str().into(), number }
    }

    pub(crate) fn source_options(&self) -> KafkaSourceOptions {
        KafkaSourceOptions {
            id: "in".into(),
            brokers: self.broker.bootstrap(),
            topics: vec![self.name.clone()],
            starting_offsets: StartingOffsets::Earliest,
            on_data_loss: OnDataLoss::Fail,
            want_keys: false,
            want_headers: false,
            properties: vec![],
            group: unique("group"),
        }
    }

    pub(crate) fn source(&self) -> KafkaSource {
        KafkaSource::new(self.source_options()).unwrap()
    }

    pub(crate) fn transaction_options(&self) -> KafkaTransactionOptions {
        KafkaTransactionOptions {
            pipeline: unique("pipeline"),
            brokers: self.broker.bootstrap(),
            topics: vec![OutputTopic { name: self.name.clone(), create: None, keyed: true }],
            marker_topic: self.name.clone(),
            with_positions: true,
            timeout: Duration::from_secs(60),
            properties: vec![],
        }
    }

    pub(crate) fn transaction(&self) -> KafkaTransaction {
        KafkaTransaction::new(self.transaction_options()).unwrap()
    }

    /// What a reader sees now: the values of all partitions, committed ones only.
    pub(crate) fn values(&self) -> Vec<String> {
        self.records().into_iter().map(|(_, _, value)| value).collect()
    }

    /// What a reader sees now: partition, offset and value.
    pub(crate) fn records(&self) -> Vec<(i32, i64, String)> {
        let consumer: BaseConsumer =
            config(self.broker).set("group.id", unique("reader")).set("enable.auto.commit", "false").set("enable.partition.eof", "true").create().unwrap();
        let mut list = TopicPartitionList::new();
        let count = self.partitions().unwrap();
        for partition in 0..count {
            list.add_partition_offset(&self.name, partition, ListOffset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let mut ended = 0;
        let mut records = Vec::new();
        while ended < count {
            match consumer.poll(PATIENCE).expect("an answer") {
                Ok(message) => {
                    records.push((message.partition(), message.offset(), String::from_utf8(message.payload().unwrap_or(b"(null)").to_vec()).unwrap()))
                }
                Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => panic!("{error}"),
            }
        }
        records.sort();
        records
    }
}

/// What `cargo test` calls a test of a module, to run it alone in a process.
pub(crate) fn test_name(module: &str, test: &str) -> String {
    format!("{}::{test}", module.split_once("::").expect("a module in a crate").1)
}

/// A name that no other test has.
pub(crate) fn unique(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn config(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap());
    config.set("topic.metadata.propagation.max.ms", "3000");
    config
}

pub(crate) fn producer(broker: &Broker, settings: &[(&str, &str)]) -> ThreadedProducer<DefaultProducerContext> {
    let mut config = config(broker);
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config.create().unwrap()
}

/// A transactional producer, ready to begin.
pub(crate) fn transactional(broker: &Broker) -> ThreadedProducer<DefaultProducerContext> {
    let producer = producer(broker, &[("transactional.id", &unique("other"))]);
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

pub(crate) fn client(broker: &Broker) -> BaseConsumer {
    config(broker).create().unwrap()
}

pub(crate) fn admin(broker: &Broker) -> AdminClient<DefaultClientContext> {
    config(broker).create().unwrap()
}

/// What a group has committed.
pub(crate) fn committed(topic: &Topic<'_>, group: &str, partition: i32) -> Option<i64> {
    let consumer: BaseConsumer = config(topic.broker).set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(&topic.name, partition);
    let found = consumer.committed_offsets(list, PATIENCE).unwrap();
    match found.elements()[0].offset() {
        ListOffset::Offset(offset) => Some(offset),
        _ => None,
    }
}

/// The source's offers, as soon as `wanted` holds for them.
pub(crate) fn offers_when(source: &mut KafkaSource, what: &str, mut wanted: impl FnMut(&[Offer]) -> bool) -> Vec<Offer> {
    eventually(what, || {
        let offers = source.offer().unwrap();
        if wanted(&offers) {
            return Some(offers);
        }
        source.wait(Duration::from_millis(500));
        None
    })
}

/// The error that the source comes to.
pub(crate) fn error_of(source: &mut KafkaSource, what: &str) -> SourceError {
    eventually(what, || match source.offer() {
        Err(error) => Some(error),
        Ok(_) => {
            source.wait(Duration::from_millis(500));
            None
        }
    })
}

pub(crate) fn range(partition: Partition, from: i64, to: i64) -> OffsetRange {
    OffsetRange { partition, from: Offset(from), to: Offset(to) }
}

pub(crate) fn ranges(offers: &[Offer]) -> Vec<OffsetRange> {
    offers.iter().map(|offer| range(offer.partition.clone(), offer.position.0, offer.end.0)).filter(|range| range.span() > 0).collect()
}

pub(crate) fn position(partition: Partition, at: i64) -> Positions {
    BTreeMap::from([(partition, Offset(at))])
}

/// The values, as numbers.
pub(crate) fn numbers(records: &[Arc<Records>]) -> Vec<i64> {
    values(records).iter().map(|value| value.parse().unwrap()).collect()
}

pub(crate) fn values(records: &[Arc<Records>]) -> Vec<String> {
    records.iter().flat_map(|run| (0..run.len()).map(|i| String::from_utf8(run.values.get(i).unwrap().to_vec()).unwrap())).collect()
}

pub(crate) fn offsets(records: &[Arc<Records>]) -> Vec<i64> {
    records.iter().flat_map(|run| run.offsets.iter().copied()).collect()
}

/// Reads until so many records have come.
pub(crate) fn read_numbers(source: &mut KafkaSource, count: usize) -> Vec<i64> {
    let mut all = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while all.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} records", all.len());
        let planned = ranges(&source.offer().unwrap());
        if planned.is_empty() {
            source.wait(Duration::from_millis(500));
        } else {
            all.extend(numbers(&source.read(&planned, Cut::default()).unwrap()));
        }
    }
    all
}
