//! What a transaction comes to when the broker is away or does not answer. Each test stops or pauses a broker of its own: one that holds its data over a restart.

use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use weir::sink::kafka::KafkaTransaction;
use weir::sink::{Transaction as _, TransactionError};
use weir::source::Positions;
use weir_tests::broker::Broker;

use super::support::*;
use super::transaction::{commit, encoded, marker};
use super::transaction_faults::options_for;

#[test]
fn a_producer_goes_without_delay_while_the_broker_is_away() {
    let broker = Broker::start().unwrap();
    let output = Topic::on(&broker, 1, &[]);
    let mut transaction = output.transaction();
    let began = Instant::now();
    transaction.fence(PATIENCE).unwrap();
    println!("first producer on a fresh broker: {:?}", began.elapsed());
    transaction.begin().unwrap();
    transaction.send(&output.name, encoded((0..1_000).map(|i| i.to_string()))).unwrap();
    broker.stop().unwrap();
    transaction.send(&output.name, encoded((0..1_000).map(|i| i.to_string()))).unwrap();
    let began = Instant::now();
    drop(transaction);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_commit_whose_marker_got_no_answer_is_aborted_and_made_again() {
    let broker = Broker::start().unwrap();
    let output = Topic::on(&broker, 1, &[]);
    let mut transaction = output.transaction();
    transaction.fence(PATIENCE).unwrap();
    transaction.begin().unwrap();
    transaction.send(&output.name, encoded(["row"])).unwrap();
    transaction.flush(PATIENCE).unwrap();
    broker.signal("STOP").unwrap();
    let began = Instant::now();
    let error = commit(&mut transaction, &marker(1), &Positions::new(), Duration::from_secs(1)).unwrap_err();
    // The marker was not acknowledged: nothing is committed.
    assert!(matches!(error, TransactionError::MustAbort { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    broker.signal("CONT").unwrap();
    transaction.abort(PATIENCE).unwrap();

    transaction.begin().unwrap();
    transaction.send(&output.name, encoded(["row again"])).unwrap();
    commit(&mut transaction, &marker(1), &Positions::new(), PATIENCE).unwrap();
    assert_eq!((output.values(), transaction.marker(PATIENCE).unwrap()), (vec!["row again".to_owned()], Some(marker(1).identity)));
}

#[test]
fn an_open_transaction_survives_a_restart_of_the_broker() {
    let broker = Broker::start().unwrap();
    let output = Topic::on(&broker, 1, &[]);
    let mut transaction = output.transaction();
    transaction.fence(PATIENCE).unwrap();
    transaction.begin().unwrap();
    transaction.send(&output.name, encoded(["before"])).unwrap();
    transaction.flush(PATIENCE).unwrap();
    broker.stop().unwrap();
    broker.start_again().unwrap();
    transaction.send(&output.name, encoded(["after"])).unwrap();
    commit(&mut transaction, &marker(1), &Positions::new(), PATIENCE).unwrap();
    assert_eq!((output.values(), transaction.marker(PATIENCE).unwrap()), (vec!["before".to_owned(), "after".into()], Some(marker(1).identity)));
}

#[test]
fn questions_to_a_broker_that_is_away_can_be_asked_again() {
    let broker = Broker::start().unwrap();
    let output = Topic::on(&broker, 1, &[]);
    let mut transaction = output.transaction();
    broker.stop().unwrap();
    let short = Duration::from_millis(300);
    assert!(matches!(transaction.marker(short), Err(TransactionError::Retriable { .. })));
    assert!(matches!(transaction.untouched(short), Err(TransactionError::Retriable { .. })));
    assert!(matches!(transaction.fence(short), Err(TransactionError::Retriable { .. })));
    broker.start_again().unwrap();
    assert_eq!(transaction.marker(PATIENCE).unwrap(), None);
    assert!(transaction.untouched(PATIENCE).unwrap());
    transaction.fence(PATIENCE).unwrap();
}

/// The real broker can't be made to lose just this answer.
#[test]
fn a_slow_answer_to_the_commit_is_unknown_until_it_is_asked_for_again() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("out", 1, 1).unwrap();
    let mut transaction = KafkaTransaction::new(options_for(&cluster.bootstrap_servers(), "p", "out")).unwrap();
    transaction.fence(PATIENCE).unwrap();
    transaction.begin().unwrap();
    transaction.send("out", encoded(["row"])).unwrap();
    transaction.flush(PATIENCE).unwrap();
    transaction.mark(&marker(1), &Positions::new(), PATIENCE).unwrap();
    cluster.broker_round_trip_time(1, Duration::from_secs(1)).unwrap();
    let error = transaction.commit(Duration::from_millis(200)).unwrap_err();
    assert!(matches!(error, TransactionError::Retriable { .. }), "{error}");
    cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
    transaction.commit(PATIENCE).unwrap();
    transaction.begin().unwrap();
    transaction.abort(PATIENCE).unwrap();
}
