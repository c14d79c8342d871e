//! Clients and topics of the checks.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, OwnedMessage};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Message as _, Offset, TopicPartitionList};
use weir_tests::broker::{Broker, block_on, eventually, shared_of};

use super::KIND;

/// How long a call may take that is expected to be answered.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A producer that keeps what became of its records.
pub(crate) type Sender = ThreadedProducer<Reports>;

/// Partition and offset of each record, or why it has none.
#[derive(Default)]
pub(crate) struct Reports(Mutex<Vec<Result<(i32, i64), RDKafkaErrorCode>>>);

impl ClientContext for Reports {}

impl ProducerContext<NoCustomPartitioner> for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        let report = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap()),
        };
        self.0.lock().unwrap().push(report);
    }
}

pub(crate) fn broker() -> &'static Broker {
    shared_of(KIND)
}

/// A name that no other check has.
pub(crate) fn unique(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn config(settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker().bootstrap()).set("topic.metadata.propagation.max.ms", "3000").set("fetch.queue.backoff.ms", "5");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config
}

/// A topic of one's own.
pub(crate) fn topic(partitions: i32, settings: &[(&str, &str)]) -> String {
    let name = unique("topic");
    make(&name, partitions, settings);
    name
}

/// Makes a topic, and waits until everybody knows it.
pub(crate) fn make(name: &str, partitions: i32, settings: &[(&str, &str)]) {
    let mut new = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    for (key, value) in settings {
        new = new.set(key, value);
    }
    eventually("the topic can be made", || {
        let results = block_on(admin().create_topics([&new], &AdminOptions::new())).unwrap();
        results.iter().all(Result::is_ok).then_some(())
    });
    eventually("the topic is known", || partitions_of(name).filter(|count| *count == partitions));
}

/// How many partitions a topic has; none: it is not there.
pub(crate) fn partitions_of(name: &str) -> Option<i32> {
    let client: BaseConsumer = config(&[]).create().unwrap();
    let metadata = client.fetch_metadata(Some(name), PATIENCE).unwrap();
    let topic = metadata.topics().first().filter(|topic| topic.error().is_none())?;
    Some(i32::try_from(topic.partitions().len()).unwrap()).filter(|count| *count > 0)
}

pub(crate) fn admin() -> AdminClient<DefaultClientContext> {
    config(&[]).create().unwrap()
}

pub(crate) fn sender(settings: &[(&str, &str)]) -> Sender {
    config(settings).create_with_context(Reports::default()).unwrap()
}

/// A transactional producer, ready to begin.
pub(crate) fn transactional(id: &str) -> Sender {
    let sender = sender(&[("transactional.id", id)]);
    sender.init_transactions(PATIENCE).unwrap();
    sender
}

/// Sends a record to partition 0, and does not wait.
pub(crate) fn send(sender: &Sender, topic: &str, value: &str) {
    sender.send(BaseRecord::<(), _>::to(topic).partition(0).payload(value)).map_err(|(error, _)| error).unwrap();
}

/// Waits for all records that were sent, and says what became of them.
pub(crate) fn reports(sender: &Sender) -> Vec<Result<(i32, i64), RDKafkaErrorCode>> {
    sender.flush(PATIENCE).unwrap();
    std::mem::take(&mut *sender.context().0.lock().unwrap())
}

/// Sends records to partition 0, each with its number as the value, and waits until they are there.
pub(crate) fn produce(topic: &str, numbers: std::ops::Range<i64>) {
    let sender = sender(&[]);
    numbers.for_each(|number| send(&sender, topic, &number.to_string()));
    assert!(reports(&sender).iter().all(Result::is_ok));
}

/// A consumer that reads a partition from `offset` on.
pub(crate) fn reader(topic: &str, partition: i32, offset: Offset, settings: &[(&str, &str)]) -> BaseConsumer {
    let group = unique("reader");
    let mut config = config(&[("group.id", &group), ("enable.auto.commit", "false"), ("enable.partition.eof", "true"), ("auto.offset.reset", "error")]);
    for (key, value) in settings {
        config.set(*key, *value);
    }
    let reader: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, offset).unwrap();
    reader.assign(&list).unwrap();
    reader
}

/// What a partition holds for this reader, up to its end.
pub(crate) fn read_to_end(reader: &BaseConsumer) -> Vec<OwnedMessage> {
    let mut messages = Vec::new();
    loop {
        match reader.poll(PATIENCE).expect("an answer within the time") {
            Ok(message) => messages.push(message.detach()),
            Err(KafkaError::PartitionEOF(_)) => return messages,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The next record.
pub(crate) fn next(reader: &BaseConsumer) -> Result<BorrowedMessage<'_>, KafkaError> {
    reader.poll(PATIENCE).expect("an answer within the time")
}

/// The committed values of partition 0.
pub(crate) fn values(topic: &str) -> Vec<String> {
    texts(&read_to_end(&reader(topic, 0, Offset::Beginning, &[])))
}

pub(crate) fn texts(messages: &[OwnedMessage]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8(message.payload().unwrap_or(b"(null)").to_vec()).unwrap()).collect()
}

/// A member of no group, which commits and asks for a group.
pub(crate) fn of_group(group: &str, settings: &[(&str, &str)]) -> BaseConsumer {
    let mut config = config(settings);
    config.set("group.id", group).set("enable.auto.commit", "false").create().unwrap()
}

pub(crate) fn offsets(topic: &str, offset: i64, metadata: &str) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
    list.find_partition(topic, 0).unwrap().set_metadata(metadata);
    list
}

/// Offset and metadata that a group has committed for partition 0, with pending transactions waited for.
pub(crate) fn committed(topic: &str, group: &str) -> Option<(i64, String)> {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, 0);
    let found = of_group(group, &[]).committed_offsets(list, PATIENCE).unwrap();
    let element = &found.elements()[0];
    match element.offset() {
        Offset::Offset(offset) => Some((offset, element.metadata().to_owned())),
        _ => None,
    }
}
