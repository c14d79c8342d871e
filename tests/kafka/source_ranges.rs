//! A source reads exactly the ranges it is told.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _};
use weir::source::kafka::{KafkaSource, StartingOffset, StartingOffsets};
use weir::source::{Cut, Offset, Source as _};
use weir_tests::broker::eventually;

use super::support::*;

#[test]
fn what_is_offered_is_read_in_order_by_partition() {
    let topic = Topic::new(3);
    for partition in 0..3 {
        topic.produce(partition, 0..100);
    }
    let mut source = topic.source();
    let offers = source.offer().unwrap();
    let ends: Vec<_> = offers.iter().map(|offer| (offer.partition.number, offer.position.0, offer.end.0, offer.confirmed)).collect();
    assert_eq!(ends, [(0, 0, 100, true), (1, 0, 100, true), (2, 0, 100, true)]);
    let records = source.read(&ranges(&offers), Cut { records: 30, bytes: 1 << 20 }).unwrap();
    let runs: Vec<_> = records.iter().map(|run| (run.partition.number, run.offsets[0], run.len())).collect();
    assert_eq!(runs[..4], [(0, 0, 30), (0, 30, 30), (0, 60, 30), (0, 90, 10)]);
    assert_eq!(numbers(&records), [(0..100).collect::<Vec<_>>(), (0..100).collect(), (0..100).collect()].concat());
    assert_eq!(ranges(&source.offer().unwrap()), []);
}

#[test]
fn runs_are_cut_by_bytes_and_a_larger_record_is_alone() {
    let topic = Topic::new(1);
    let producer = producer(topic.broker, &[]);
    for size in [10, 10, 100, 10] {
        producer.send(BaseRecord::<(), _>::to(&topic.name).partition(0).payload(&"x".repeat(size))).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let mut source = topic.source();
    let offers = source.offer().unwrap();
    let records = source.read(&ranges(&offers), Cut { records: 1_000, bytes: 25 }).unwrap();
    assert_eq!(records.iter().map(|run| run.len()).collect::<Vec<_>>(), [2, 1, 1]);
}

#[test]
fn a_plan_that_ends_in_the_middle_is_kept_to_and_the_rest_comes_next() {
    let topic = Topic::new(1);
    topic.produce(0, 0..5_000);
    let mut source = topic.source();
    source.offer().unwrap();
    let mut at = 0;
    for to in [1, 2, 1_700, 1_701, 5_000] {
        let records = source.read(&[range(topic.partition(0), at, to)], Cut::default()).unwrap();
        assert_eq!(numbers(&records), (at..to).collect::<Vec<_>>());
        at = to;
    }
}

#[test]
fn a_partition_whose_plan_has_ended_waits_while_the_others_go_on() {
    let topic = Topic::new(2);
    topic.produce(0, 0..3_000);
    topic.produce(1, 0..3_000);
    let mut source = topic.source();
    source.offer().unwrap();
    let records = source.read(&[range(topic.partition(0), 0, 10), range(topic.partition(1), 0, 3_000)], Cut::default()).unwrap();
    assert_eq!(records.iter().filter(|run| run.partition.number == 0).map(|run| run.len()).sum::<usize>(), 10);
    assert_eq!(records.iter().filter(|run| run.partition.number == 1).map(|run| run.len()).sum::<usize>(), 3_000);
    let offers = source.offer().unwrap();
    assert_eq!((offers[0].position, offers[0].end), (Offset(10), Offset(3_000)));
    assert_eq!(numbers(&source.read(&ranges(&offers), Cut::default()).unwrap()), (10..3_000).collect::<Vec<_>>());
}

#[test]
fn an_epoch_that_was_thrown_away_is_read_again() {
    let topic = Topic::new(2);
    topic.produce(0, 0..2_000);
    topic.produce(1, 0..10);
    let mut source = topic.source();
    let planned = ranges(&source.offer().unwrap());
    let first = source.read(&planned, Cut::default()).unwrap();
    source.seek(&BTreeMap::new()).unwrap();
    assert_eq!(ranges(&source.offer().unwrap()), planned);
    assert_eq!(source.read(&planned, Cut::default()).unwrap(), first);
    source.seek(&position(topic.partition(0), 1_500)).unwrap();
    let again = source.read(&[range(topic.partition(0), 1_500, 1_600)], Cut::default()).unwrap();
    assert_eq!(numbers(&again), (1_500..1_600).collect::<Vec<_>>());
}

#[test]
fn a_read_goes_where_the_plan_says_without_being_told_to_seek() {
    let topic = Topic::new(1);
    topic.produce(0, 0..2_000);
    let mut source = topic.source();
    source.offer().unwrap();
    for (from, to) in [(1_000, 1_100), (3, 900), (1_999, 2_000), (0, 2_000)] {
        let records = source.read(&[range(topic.partition(0), from, to)], Cut::default()).unwrap();
        assert_eq!(numbers(&records), (from..to).collect::<Vec<_>>());
    }
}

#[test]
fn a_pipeline_goes_on_from_its_positions() {
    let topic = Topic::new(2);
    topic.produce(0, 0..100);
    topic.produce(1, 0..100);
    let mut source = topic.source();
    source.seek(&BTreeMap::from([(topic.partition(0), Offset(40)), (topic.partition(1), Offset(100))])).unwrap();
    let offers = source.offer().unwrap();
    assert_eq!(offers.iter().map(|offer| offer.position.0).collect::<Vec<_>>(), [40, 100]);
    assert_eq!(numbers(&source.read(&ranges(&offers), Cut::default()).unwrap()), (40..100).collect::<Vec<_>>());
}

#[test]
fn a_new_pipeline_begins_where_it_is_told() {
    let topic = Topic::new(3);
    for partition in 0..3 {
        topic.produce(partition, 0..10);
    }
    let positions = |starting_offsets| {
        let mut source = KafkaSource::new(weir::source::kafka::KafkaSourceOptions { starting_offsets, ..topic.source_options() }).unwrap();
        source.offer().unwrap().iter().map(|offer| offer.position.0).collect::<Vec<_>>()
    };
    assert_eq!(positions(StartingOffsets::Earliest), [0, 0, 0]);
    assert_eq!(positions(StartingOffsets::Latest), [10, 10, 10]);
    let each = BTreeMap::from([(topic.partition(0), StartingOffset::At(Offset(4))), (topic.partition(1), StartingOffset::Latest)]);
    assert_eq!(positions(StartingOffsets::PerPartition(each)), [4, 10, 0]);
}

#[test]
fn markers_of_transactions_are_gaps_that_a_plan_passes() {
    let topic = Topic::new(1);
    let producer = transactional(topic.broker);
    for i in 0..5 {
        producer.begin_transaction().unwrap();
        topic.produce_in(&producer, 0, i * 10..i * 10 + 10);
        producer.commit_transaction(PATIENCE).unwrap();
    }
    let mut source = topic.source();
    // Ten records and a marker, five times.
    let offers = offers_when(&mut source, "all markers are there", |offers| offers[0].end.0 == 55);
    let records = source.read(&ranges(&offers), Cut::default()).unwrap();
    assert_eq!(numbers(&records), (0..50).collect::<Vec<_>>());
    assert!(offsets(&records).contains(&11) && !offsets(&records).contains(&10));
    assert_eq!(source.offer().unwrap()[0].position, Offset(55));
}

#[test]
fn a_plan_may_end_at_before_or_after_any_gap() {
    let topic = Topic::new(1);
    let producer = transactional(topic.broker);
    // 0..10 committed, marker 10, 11..21 aborted, marker 21, 22..32 committed, marker 32, 33..43 aborted, marker 43.
    for i in 0..4 {
        producer.begin_transaction().unwrap();
        topic.produce_in(&producer, 0, 11 * i..11 * i + 10);
        if i % 2 == 0 { producer.commit_transaction(PATIENCE).unwrap() } else { producer.abort_transaction(PATIENCE).unwrap() }
    }
    let mut source = topic.source();
    offers_when(&mut source, "all markers are there", |offers| offers[0].end.0 == 44);
    let there: Vec<_> = (0..10).chain(22..32).collect();
    for to in 0..=44 {
        let records = source.read(&[range(topic.partition(0), 0, to)], Cut::default()).unwrap();
        assert_eq!(offsets(&records), there.iter().copied().filter(|offset| *offset < to).collect::<Vec<_>>(), "0..{to}");
        // From there to the end, the consumer going on where it is: the rest, across gaps at both ends.
        let records = source.read(&[range(topic.partition(0), to, 44)], Cut::default()).unwrap();
        assert_eq!(offsets(&records), there.iter().copied().filter(|offset| *offset >= to).collect::<Vec<_>>(), "{to}..44");
    }
}

#[test]
fn a_start_in_the_middle_of_an_aborted_transaction_delivers_nothing_of_it() {
    let topic = Topic::new(1);
    let producer = transactional(topic.broker);
    producer.begin_transaction().unwrap();
    topic.produce_in(&producer, 0, 0..100);
    // An abort drops what is still in the producer's queue.
    producer.flush(PATIENCE).unwrap();
    producer.abort_transaction(PATIENCE).unwrap();
    // Until the marker is written, the committed log ends before the transaction, and a position within it lies beyond the end.
    let client = client(topic.broker);
    eventually("the marker is there", || (client.fetch_watermarks(&topic.name, 0, PATIENCE).unwrap().1 == 101).then_some(()));
    let mut source = topic.source();
    source.seek(&position(topic.partition(0), 50)).unwrap();
    let offers = offers_when(&mut source, "the marker is there", |offers| offers[0].end.0 == 101);
    assert_eq!(offers[0].position, Offset(50));
    assert_eq!(source.read(&ranges(&offers), Cut::default()).unwrap(), []);
    assert_eq!(source.offer().unwrap()[0].position, Offset(101));
    topic.produce(0, 7..8);
    assert_eq!(read_numbers(&mut source, 1), [7]);
}

#[test]
fn an_open_transaction_is_not_offered_and_its_commit_is_noticed_at_once() {
    let topic = Topic::new(1);
    topic.produce(0, 0..5);
    let mut source = topic.source();
    assert_eq!(read_numbers(&mut source, 5), [0, 1, 2, 3, 4]);
    let producer = transactional(topic.broker);
    producer.begin_transaction().unwrap();
    topic.produce_in(&producer, 0, 5..10);
    topic.produce(0, 10..15);
    // The broker has confirmed the end again, with the transaction open.
    for _ in 0..5 {
        source.wait(Duration::from_secs(1));
        assert_eq!(source.offer().unwrap()[0].end, Offset(5));
    }
    producer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(read_numbers(&mut source, 10), (5..15).collect::<Vec<_>>());
}

#[test]
fn keys_headers_and_timestamps_come_when_they_are_wanted() {
    let topic = Topic::new(1);
    let producer = producer(topic.broker, &[]);
    let headers = OwnedHeaders::new()
        .insert(Header { key: "trace", value: Some("a\"b") })
        .insert(Header { key: "raw", value: Some(&[0xff_u8, 0x00][..]) })
        .insert(Header::<&str> { key: "none", value: None });
    producer
        .send(BaseRecord::to(&topic.name).partition(0).key("k").payload("v").timestamp(1_700_000_000_000).headers(headers))
        .map_err(|(error, _)| error)
        .unwrap();
    producer.send(BaseRecord::<str, str>::to(&topic.name).partition(0).key("")).map_err(|(error, _)| error).unwrap();
    producer.send(BaseRecord::<str, str>::to(&topic.name).partition(0).payload("")).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();

    let mut source = KafkaSource::new(weir::source::kafka::KafkaSourceOptions { want_keys: true, want_headers: true, ..topic.source_options() }).unwrap();
    let planned = ranges(&source.offer().unwrap());
    let records = source.read(&planned, Cut::default()).unwrap();
    let (keys, headers) = (records[0].keys.as_ref().unwrap(), records[0].headers.as_ref().unwrap());
    assert_eq!((0..3).map(|i| keys.get(i)).collect::<Vec<_>>(), [Some(&b"k"[..]), Some(b""), None]);
    assert_eq!((0..3).map(|i| records[0].values.get(i)).collect::<Vec<_>>(), [Some(&b"v"[..]), None, Some(b"")]);
    let expected = r#"[{"key":"trace","value":"a\"b"},{"key":"raw","value":"/wA="},{"key":"none","value":null}]"#;
    assert_eq!(headers.get(0), Some(expected.as_bytes()));
    assert_eq!(headers.get(1), None);
    assert_eq!(records[0].timestamps_ms[0], 1_700_000_000_000);

    let mut source = topic.source();
    let records = {
        source.offer().unwrap();
        source.read(&planned, Cut::default()).unwrap()
    };
    assert_eq!((&records[0].keys, &records[0].headers), (&None, &None));
}
