//! What a source does when the topics change under it.

use std::collections::BTreeMap;
use std::time::Duration;

use weir::source::kafka::{KafkaSource, KafkaSourceOptions, OnDataLoss, StartingOffsets};
use weir::source::{Cut, Offset, Source as _, SourceError};

use super::support::*;

fn skipping(topic: &Topic<'_>) -> KafkaSource {
    KafkaSource::new(KafkaSourceOptions { on_data_loss: OnDataLoss::Skip, ..topic.source_options() }).unwrap()
}

fn loss_of(source: &mut KafkaSource, what: &str) -> (String, i64, String) {
    match error_of(source, what) {
        SourceError::DataLoss { partition, position, reason, .. } => (partition, position.0, reason),
        error => panic!("{error}"),
    }
}

#[test]
fn a_topic_that_does_not_exist_is_named() {
    let mut topic = Topic::new(1);
    topic.name = "no-such-topic".into();
    let error = format!("{:#}", topic.source().offer().unwrap_err());
    assert!(error.contains("`no-such-topic`") && error.contains("does not exist"), "{error}");
}

#[test]
fn new_partitions_are_found_within_seconds_and_begin_at_their_first_record() {
    let topic = Topic::new(1);
    let mut source = KafkaSource::new(KafkaSourceOptions { starting_offsets: StartingOffsets::Latest, ..topic.source_options() }).unwrap();
    topic.produce(0, 0..3);
    assert_eq!(source.offer().unwrap()[0].position, Offset(3));
    topic.grow_to(3);
    topic.produce(2, 0..10);
    let offers = offers_when(&mut source, "the new partitions are offered", |offers| offers.len() == 3);
    assert_eq!(offers.iter().map(|offer| offer.position.0).collect::<Vec<_>>(), [3, 0, 0]);
    assert_eq!(read_numbers(&mut source, 10), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_partition_that_was_first_seen_in_a_thrown_away_epoch_begins_where_it_began() {
    let topic = Topic::new(1);
    topic.produce(0, 0..5);
    let mut source = topic.source();
    assert_eq!(read_numbers(&mut source, 5).len(), 5);
    topic.grow_to(2);
    topic.produce(1, 0..10);
    assert_eq!(read_numbers(&mut source, 10), (0..10).collect::<Vec<_>>());
    source.seek(&position(topic.partition(0), 5)).unwrap();
    assert_eq!(source.offer().unwrap().iter().map(|offer| offer.position.0).collect::<Vec<_>>(), [5, 0]);
    assert_eq!(read_numbers(&mut source, 10), (0..10).collect::<Vec<_>>());
}

#[test]
fn records_that_were_deleted_before_they_were_read_stop_the_pipeline() {
    let topic = Topic::new(1);
    topic.produce(0, 0..100);
    topic.delete_records_below(60);
    let mut source = topic.source();
    source.seek(&position(topic.partition(0), 40)).unwrap();
    let (partition, position, reason) = loss_of(&mut source, "the loss is seen");
    assert_eq!((partition, position), (topic.partition(0).to_string(), 40));
    assert!(reason.contains("earliest record has offset 60"), "{reason}");
    // And it stays a loss.
    loss_of(&mut source, "the loss is still one");
    assert!(matches!(source.read(&[range(topic.partition(0), 60, 100)], Cut::default()), Err(SourceError::DataLoss { .. })));
}

#[test]
fn records_that_were_deleted_are_skipped_when_the_pipeline_says_so() {
    let topic = Topic::new(1);
    topic.produce(0, 0..100);
    topic.delete_records_below(60);
    let mut source = skipping(&topic);
    source.seek(&position(topic.partition(0), 40)).unwrap();
    let offers = source.offer().unwrap();
    assert_eq!((offers[0].position, offers[0].end), (Offset(60), Offset(100)));
    assert_eq!(numbers(&source.read(&ranges(&offers), Cut::default()).unwrap()), (60..100).collect::<Vec<_>>());
}

/// Retention overtakes a pipeline that has planned its epoch, and whose records were not fetched yet.
#[test]
fn records_that_are_deleted_between_plan_and_read_are_a_loss() {
    for on_data_loss in [OnDataLoss::Fail, OnDataLoss::Skip] {
        let topic = Topic::new(1);
        topic.produce(0, 0..100);
        let mut source = KafkaSource::new(KafkaSourceOptions { on_data_loss, ..topic.source_options() }).unwrap();
        source.offer().unwrap();
        topic.delete_records_below(60);
        // A plan that goes back makes the source fetch again.
        let read = source.read(&[range(topic.partition(0), 10, 90)], Cut::default());
        match (on_data_loss, read) {
            (OnDataLoss::Fail, Err(SourceError::DataLoss { position, .. })) => assert_eq!(position, Offset(10)),
            (OnDataLoss::Skip, Ok(records)) => {
                assert_eq!(numbers(&records), (60..90).collect::<Vec<_>>());
                assert_eq!(source.offer().unwrap()[0].position, Offset(90));
            }
            (_, read) => panic!("{on_data_loss:?}: {read:?}"),
        }
    }
}

#[test]
fn a_deleted_topic_is_a_loss() {
    let topic = Topic::new(2);
    topic.produce(0, 0..10);
    let mut source = topic.source();
    assert_eq!(read_numbers(&mut source, 10).len(), 10);
    topic.delete();
    let (partition, position, reason) = loss_of(&mut source, "the loss is seen");
    assert_eq!((partition, position), (topic.partition(0).to_string(), 10));
    assert!(reason.contains("deleted"), "{reason}");
}

#[test]
fn a_topic_that_was_made_again_is_a_loss_even_when_it_is_longer_than_before() {
    let topic = Topic::new(1);
    topic.produce(0, 0..10);
    let mut source = topic.source();
    assert_eq!(read_numbers(&mut source, 10).len(), 10);
    topic.delete();
    topic.make(1, &[]);
    topic.produce(0, 100..150);
    // The source has asked for neither topic nor offsets since.
    let (partition, _, reason) = loss_of(&mut source, "the loss is seen");
    assert_eq!(partition, topic.partition(0).to_string());
    assert!(reason.contains("deleted and made again") || reason.contains("topic was deleted"), "{reason}");
}

#[test]
fn a_topic_that_was_made_again_is_read_from_its_first_record_when_the_pipeline_says_so() {
    let topic = Topic::new(1);
    topic.produce(0, 0..10);
    let mut source = skipping(&topic);
    assert_eq!(read_numbers(&mut source, 10).len(), 10);
    topic.delete();
    topic.make(2, &[]);
    topic.produce(1, 100..150);
    offers_when(&mut source, "both partitions are offered anew", |offers| {
        offers.iter().map(|offer| (offer.position.0, offer.end.0)).collect::<Vec<_>>() == [(0, 0), (0, 50)]
    });
    assert_eq!(read_numbers(&mut source, 50), (100..150).collect::<Vec<_>>());
}

#[test]
fn a_position_beyond_the_end_is_a_loss() {
    let topic = Topic::new(1);
    topic.produce(0, 0..10);
    let mut source = topic.source();
    source.seek(&position(topic.partition(0), 11)).unwrap();
    let (_, position_lost, reason) = loss_of(&mut source, "the loss is seen");
    assert_eq!(position_lost, 11);
    assert!(reason.contains("ends at offset 10"), "{reason}");

    let mut source = skipping(&topic);
    source.seek(&position(topic.partition(0), 11)).unwrap();
    assert_eq!(source.offer().unwrap()[0].position, Offset(0));
    assert_eq!(read_numbers(&mut source, 10).len(), 10);
}

#[test]
fn an_end_counts_as_confirmed_only_for_a_while() {
    let topic = Topic::new(2);
    topic.produce(0, 0..1);
    let mut source = topic.source();
    assert_eq!(read_numbers(&mut source, 1).len(), 1);
    offers_when(&mut source, "both ends are confirmed", |offers| offers.iter().all(|offer| offer.confirmed));
    // New records are not confirmed to be the end, but what follows their arrival is.
    topic.produce(1, 0..1);
    let offers = offers_when(&mut source, "the record is there", |offers| offers[1].end.0 == 1);
    assert_eq!(offers[0].end, Offset(1));
    offers_when(&mut source, "the new end is confirmed", |offers| offers[1].confirmed);
}

#[test]
fn several_topics_are_read_and_one_that_is_missing_is_named() {
    let (one, two) = (Topic::new(1), Topic::new(2));
    one.produce(0, 0..3);
    two.produce(1, 3..6);
    let mut options = one.source_options();
    options.topics.push(two.name.clone());
    let mut source = KafkaSource::new(options.clone()).unwrap();
    assert_eq!(source.description(), format!("KafkaV2[Subscribe[{}, {}]]", one.name, two.name));
    assert_eq!(read_numbers(&mut source, 6), (0..6).collect::<Vec<_>>());
    options.topics.push("missing-one".into());
    let error = format!("{:#}", KafkaSource::new(options).unwrap().offer().unwrap_err());
    assert!(error.contains("`missing-one`"), "{error}");
}

#[test]
fn a_topic_of_many_partitions_is_read() {
    let topic = Topic::new(40);
    for partition in [0, 17, 39] {
        topic.produce(partition, i64::from(partition) * 10..i64::from(partition) * 10 + 5);
    }
    let mut source = topic.source();
    assert_eq!(source.offer().unwrap().len(), 40);
    assert_eq!(read_numbers(&mut source, 15), [0, 1, 2, 3, 4, 170, 171, 172, 173, 174, 390, 391, 392, 393, 394]);
    source.wait(Duration::ZERO);
    let positions: BTreeMap<_, _> = source.offer().unwrap().into_iter().map(|offer| (offer.partition.number, offer.position.0)).collect();
    assert_eq!((positions[&17], positions[&18]), (5, 0));
}
