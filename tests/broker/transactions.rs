//! A transaction is seen as a whole or not at all, and only its owner can end it.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;
use rdkafka::{Message as _, Offset};
use weir_tests::broker::eventually;

use super::support::*;

const READ_UNCOMMITTED: [(&str, &str); 1] = [("isolation.level", "read_uncommitted")];

fn transaction(sender: &Sender, topic: &str, values: &[&str], is_commit: bool) {
    sender.begin_transaction().unwrap();
    values.iter().for_each(|value| send(sender, topic, value));
    assert!(reports(sender).iter().all(Result::is_ok));
    if is_commit { sender.commit_transaction(PATIENCE) } else { sender.abort_transaction(PATIENCE) }.unwrap();
}

fn code_of(error: &KafkaError) -> (RDKafkaErrorCode, bool, bool) {
    match error {
        KafkaError::Transaction(error) => (error.code(), error.is_fatal(), error.txn_requires_abort()),
        other => panic!("{other:?}"),
    }
}

/// Where the last record that can be read ends.
fn end(topic: &str, settings: &[(&str, &str)]) -> i64 {
    of_group(&unique("group"), settings).fetch_watermarks(topic, 0, PATIENCE).unwrap().1
}

#[test]
fn what_was_aborted_is_never_seen_and_what_was_committed_always_is() {
    let topic = topic(1, &[]);
    let sender = transactional(&unique("id"));
    // One right after the other: the markers of the one before may not be written yet.
    for round in 0..20 {
        transaction(&sender, &topic, &[&format!("committed {round}")], true);
        transaction(&sender, &topic, &[&format!("aborted {round}")], false);
    }
    let expected: Vec<_> = (0..20).map(|round| format!("committed {round}")).collect();
    eventually("all markers are there", || (values(&topic).len() == 20).then_some(()));
    assert_eq!(values(&topic), expected);
    let all = texts(&read_to_end(&reader(&topic, 0, Offset::Beginning, &READ_UNCOMMITTED)));
    assert_eq!(all.iter().filter(|value| value.starts_with("aborted")).count(), 20);
}

#[test]
fn readers_of_committed_records_stop_at_the_first_open_transaction() {
    let topic = topic(1, &[]);
    produce(&topic, 0..1);
    let sender = transactional(&unique("id"));
    sender.begin_transaction().unwrap();
    send(&sender, &topic, "open");
    send(&sender, &topic, "open");
    assert!(reports(&sender).iter().all(Result::is_ok));
    assert_eq!((end(&topic, &[]), end(&topic, &READ_UNCOMMITTED)), (1, 3));
    assert_eq!(values(&topic), ["0"]);
    sender.commit_transaction(PATIENCE).unwrap();
    eventually("the marker is there", || (end(&topic, &[]) == 4).then_some(()));
    assert_eq!(values(&topic), ["0", "open", "open"]);
}

#[test]
fn a_reader_that_begins_within_an_aborted_transaction_gets_nothing_of_it() {
    let topic = topic(1, &[]);
    let sender = transactional(&unique("id"));
    transaction(&sender, &topic, &["a", "b", "c", "d"], false);
    eventually("the marker is there", || (end(&topic, &[]) == 5).then_some(()));
    let reader = reader(&topic, 0, Offset::Offset(2), &[]);
    assert_eq!(read_to_end(&reader).len(), 0);
    // The end is reached all the same.
    assert_eq!(reader.position().unwrap().elements()[0].offset(), Offset::Offset(5));
    produce(&topic, 7..8);
    assert_eq!(next(&reader).unwrap().offset(), 5);
}

#[test]
fn a_second_owner_fences_the_first_and_aborts_its_transaction() {
    let (topic, id) = (topic(1, &[]), unique("id"));
    let zombie = transactional(&id);
    zombie.begin_transaction().unwrap();
    send(&zombie, &topic, "of the zombie");
    assert!(reports(&zombie)[0].is_ok());

    let began = Instant::now();
    let owner = transactional(&id);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    transaction(&owner, &topic, &["of the owner"], true);

    let (code, is_fatal, _) = code_of(&zombie.commit_transaction(PATIENCE).unwrap_err());
    assert!(is_fatal && code == RDKafkaErrorCode::Fenced, "{code:?}");
    eventually("the owner's record is there", || (values(&topic) == ["of the owner"]).then_some(()));
}

/// Its records may have been on the way when it was fenced: they must not land outside of any transaction.
#[test]
fn a_zombie_that_writes_is_fenced() {
    let (topic, id) = (topic(1, &[]), unique("id"));
    let zombie = transactional(&id);
    zombie.begin_transaction().unwrap();
    send(&zombie, &topic, "first");
    assert!(reports(&zombie)[0].is_ok());
    drop(transactional(&id));
    send(&zombie, &topic, "second");
    let report = reports(&zombie).remove(0);
    assert!(matches!(report, Err(RDKafkaErrorCode::Fenced | RDKafkaErrorCode::InvalidProducerEpoch | RDKafkaErrorCode::ProducerFenced)), "{report:?}");
    assert_eq!(zombie.client().fatal_error().map(|(code, _)| code), Some(RDKafkaErrorCode::Fenced));
    eventually("the abort is there", || (end(&topic, &[]) == end(&topic, &READ_UNCOMMITTED)).then_some(()));
    assert_eq!(values(&topic), Vec::<String>::new());
}

#[test]
fn an_abandoned_transaction_is_aborted_and_its_owner_fenced() {
    let topic = topic(1, &[]);
    let sender = sender(&[("transactional.id", &unique("id")), ("transaction.timeout.ms", "1000")]);
    sender.init_transactions(PATIENCE).unwrap();
    sender.begin_transaction().unwrap();
    send(&sender, &topic, "abandoned");
    assert!(reports(&sender)[0].is_ok());
    eventually("the broker has aborted it", || (end(&topic, &[]) == 2).then_some(()));
    assert_eq!(values(&topic), Vec::<String>::new());
    let (code, is_fatal, _) = code_of(&sender.commit_transaction(PATIENCE).unwrap_err());
    assert!(is_fatal && code == RDKafkaErrorCode::Fenced, "{code:?}");
}

#[test]
fn a_timeout_beyond_fifteen_minutes_is_refused() {
    let sender = sender(&[("transactional.id", &unique("id")), ("transaction.timeout.ms", "1000000"), ("message.timeout.ms", "900000")]);
    let (code, is_fatal, _) = code_of(&sender.init_transactions(PATIENCE).unwrap_err());
    assert!(is_fatal && code == RDKafkaErrorCode::InvalidTransactionTimeout, "{code:?}");
}

#[test]
fn transactions_of_several_partitions_end_in_all_of_them() {
    let topic = topic(3, &[]);
    let sender = transactional(&unique("id"));
    for is_commit in [true, false, true] {
        sender.begin_transaction().unwrap();
        for partition in 0..3 {
            let record = rdkafka::producer::BaseRecord::<(), _>::to(&topic).partition(partition).payload("v");
            sender.send(record).map_err(|(error, _)| error).unwrap();
        }
        if is_commit { sender.commit_transaction(PATIENCE) } else { sender.abort_transaction(PATIENCE) }.unwrap();
    }
    for partition in 0..3 {
        eventually("two of three are seen", || (read_to_end(&reader(&topic, partition, Offset::Beginning, &[])).len() == 2).then_some(()));
    }
}

#[test]
fn an_idempotent_producer_without_transactions_is_not_held_by_those_of_others() {
    let topic = topic(1, &[]);
    let sender = transactional(&unique("id"));
    sender.begin_transaction().unwrap();
    send(&sender, &topic, "open");
    assert!(reports(&sender)[0].is_ok());
    let other = self::sender(&[("enable.idempotence", "true")]);
    send(&other, &topic, "free");
    assert_eq!(reports(&other), [Ok((0, 1))]);
    sender.abort_transaction(PATIENCE).unwrap();
    eventually("the free one is seen", || (values(&topic) == ["free"]).then_some(()));
}
