//! Topics that change while they are used.

use rdkafka::admin::{AdminOptions, NewPartitions};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::BaseRecord;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use weir_tests::broker::{block_on, eventually};

use super::support::*;

#[test]
fn records_that_are_deleted_move_the_beginning() {
    let topic = topic(1, &[]);
    produce(&topic, 0..100);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(60)).unwrap();
    block_on(admin().delete_records(&list, &AdminOptions::new())).unwrap();
    let client = of_group(&unique("group"), &[]);
    assert_eq!(client.fetch_watermarks(&topic, 0, PATIENCE).unwrap(), (60, 100));
    assert_eq!(values(&topic).len(), 40);
}

#[test]
fn a_deleted_topic_takes_the_offsets_of_its_groups_along() {
    let (topic, group) = (topic(1, &[]), unique("group"));
    produce(&topic, 0..10);
    of_group(&group, &[]).commit(&offsets(&topic, 7, "seven"), CommitMode::Sync).unwrap();
    assert_eq!(committed(&topic, &group), Some((7, "seven".into())));
    block_on(admin().delete_topics(&[&topic], &AdminOptions::new())).unwrap();
    eventually("the topic is gone", || partitions_of(&topic).is_none().then_some(()));
    make(&topic, 1, &[]);
    eventually("the offset is gone", || committed(&topic, &group).is_none().then_some(()));
    produce(&topic, 100..103);
    assert_eq!(values(&topic), ["100", "101", "102"]);
    assert_eq!(of_group(&group, &[]).fetch_watermarks(&topic, 0, PATIENCE).unwrap(), (0, 3));
}

#[test]
fn a_reader_of_a_topic_that_is_made_again_goes_on_at_its_beginning() {
    let topic = topic(1, &[]);
    produce(&topic, 0..10);
    let settings = [("topic.metadata.refresh.interval.ms", "200"), ("auto.offset.reset", "earliest"), ("allow.auto.create.topics", "false")];
    let reader = reader(&topic, 0, Offset::Beginning, &settings);
    assert_eq!(read_to_end(&reader).len(), 10);
    block_on(admin().delete_topics(&[&topic], &AdminOptions::new())).unwrap();
    eventually("the reader is told", || match reader.poll(PATIENCE) {
        Some(Err(error)) => (error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition)).then_some(()),
        _ => None,
    });
    make(&topic, 1, &[]);
    produce(&topic, 100..103);
    let first = eventually("the reader goes on", || reader.poll(PATIENCE).and_then(Result::ok).map(|message| message.offset()));
    assert_eq!(first, 0);
}

#[test]
fn partitions_can_become_more_and_are_used() {
    let topic = topic(2, &[]);
    let sender = sender(&[("topic.metadata.refresh.interval.ms", "300")]);
    send(&sender, &topic, "before");
    assert!(reports(&sender)[0].is_ok());
    let grow = |count| block_on(admin().create_partitions([&NewPartitions::new(&topic, count)], &AdminOptions::new())).unwrap().remove(0);
    assert_eq!(grow(1).unwrap_err().1, RDKafkaErrorCode::InvalidPartitions);
    grow(4).unwrap();
    eventually("the new partitions are known", || partitions_of(&topic).filter(|count| *count == 4));
    eventually("the producer writes to a new partition", || {
        let record = BaseRecord::<(), _>::to(&topic).partition(3).payload("v");
        sender.send(record).is_ok().then(|| reports(&sender)).filter(|reports| reports[0].is_ok())
    });
    assert_eq!(read_to_end(&reader(&topic, 3, Offset::Beginning, &[])).len(), 1);
}
