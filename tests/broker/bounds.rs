//! The embedded broker keeps within its memory, and says no to what it does not know.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, Message as _, Offset};
use weir_broker::{Broker, Config, RunningBroker};
use weir_tests::broker::eventually;

use super::support::*;

fn start(config: Config) -> RunningBroker {
    Broker::bind(Config { listen: "127.0.0.1:0".into(), ..config }).unwrap().spawn().unwrap()
}

fn client(broker: &RunningBroker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.address().to_string()).set("group.id", unique("group"));
    config
}

fn fill(broker: &RunningBroker, topic: &str, megabytes: usize) {
    let producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext> = client(broker).set("linger.ms", "5").create().unwrap();
    let value = vec![7u8; 10_000];
    for _ in 0..megabytes * 100 {
        while producer.send(BaseRecord::<(), _>::to(topic).partition(0).payload(&value)).is_err() {
            producer.flush(PATIENCE).unwrap();
        }
    }
    producer.flush(PATIENCE).unwrap();
}

#[test]
fn the_oldest_records_of_the_largest_partition_are_dropped_and_a_small_topic_is_spared() {
    let broker = start(Config { retention_bytes: 20 << 20, ..Config::default() });
    fill(&broker, "quiet", 1);
    fill(&broker, "busy", 60);
    let stats = broker.stats();
    assert!(stats.kept_bytes <= 20 << 20 && stats.dropped_bytes > 35 << 20, "{stats:?}");
    let consumer: rdkafka::consumer::BaseConsumer = client(&broker).create().unwrap();
    let (start, end) = consumer.fetch_watermarks("busy", 0, PATIENCE).unwrap();
    assert!(start > 3_500 && end == 6_000, "{start}..{end}");
    assert_eq!(consumer.fetch_watermarks("quiet", 0, PATIENCE).unwrap(), (0, 100));
    // What is left can be read.
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset("busy", 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    assert_eq!(next(&consumer).unwrap().offset(), start);
}

#[test]
fn a_topics_own_limit_holds() {
    let broker = start(Config { partition_retention_bytes: Some(2 << 20), ..Config::default() });
    fill(&broker, "limited", 10);
    assert!(broker.stats().kept_bytes <= 2 << 20, "{:?}", broker.stats());
}

#[test]
fn a_topic_is_made_when_it_is_asked_for() {
    let broker = start(Config::default());
    fill(&broker, "on-demand", 1);
    let consumer: rdkafka::consumer::BaseConsumer = client(&broker).create().unwrap();
    assert_eq!(consumer.fetch_metadata(Some("on-demand"), PATIENCE).unwrap().topics()[0].partitions().len(), 4);
}

/// Rather than to deliver nothing without a word.
#[test]
fn a_consumer_of_the_new_group_protocol_fails_at_once() {
    let broker = start(Config::default());
    fill(&broker, "topic", 1);
    let consumer: rdkafka::consumer::BaseConsumer = client(&broker).set("group.protocol", "consumer").set("auto.offset.reset", "earliest").create().unwrap();
    consumer.subscribe(&["topic"]).unwrap();
    let began = Instant::now();
    let error = eventually("it fails", || consumer.poll(Duration::from_millis(100)).map(|polled| polled.map(|_| "a record").unwrap_err()));
    assert!(began.elapsed() < Duration::from_secs(10), "{error}: {:?}", began.elapsed());
}

#[test]
fn two_brokers_are_two_clusters() {
    let [one, two] = [start(Config::default()), start(Config::default())].map(|broker| {
        let consumer: rdkafka::consumer::BaseConsumer = client(&broker).create().unwrap();
        (consumer.client().fetch_cluster_id(PATIENCE), broker)
    });
    assert!(one.0.is_some() && one.0 != two.0, "{:?}", one.0);
}

#[test]
fn a_broker_that_is_shut_down_closes_its_port_and_a_new_one_is_empty() {
    let broker = start(Config::default());
    let address = broker.address();
    fill(&broker, "gone", 1);
    broker.shutdown();
    assert!(std::net::TcpStream::connect(address).is_err());
    let again = Broker::bind(Config { listen: address.to_string(), auto_create_topics: false, ..Config::default() }).unwrap().spawn().unwrap();
    let consumer: rdkafka::consumer::BaseConsumer = client(&again).create().unwrap();
    assert_eq!(consumer.fetch_metadata(None, PATIENCE).unwrap().topics().len(), 0);
}
