//! What a transaction comes to when something breaks: another process, the broker, an answer.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::mocking::MockCluster;
use weir::sink::kafka::{KafkaTransaction, KafkaTransactionOptions, OutputTopic};
use weir::sink::{Transaction as _, TransactionError};
use weir::source::Positions;
use weir_tests::broker::{Broker, eventually};

use crate::support::*;
use crate::transaction::{commit, encoded, marker};

#[test]
fn a_second_process_fences_the_first_and_ends_its_transaction() {
    let output = Topic::new(1);
    let options = output.transaction_options();
    let mut first = KafkaTransaction::new(options.clone()).unwrap();
    first.fence(PATIENCE).unwrap();
    first.begin().unwrap();
    first.send(&output.name, encoded(["of the first"])).unwrap();
    first.flush(PATIENCE).unwrap();

    let mut second = KafkaTransaction::new(options).unwrap();
    second.fence(PATIENCE).unwrap();
    assert_eq!(second.marker(PATIENCE).unwrap(), None);
    second.begin().unwrap();
    second.send(&output.name, encoded(["of the second"])).unwrap();
    commit(&mut second, &marker(1), &Positions::new(), PATIENCE).unwrap();

    let error = commit(&mut first, &marker(1), &Positions::new(), PATIENCE).unwrap_err();
    assert!(matches!(error, TransactionError::Fenced { .. }), "{error}");
    assert_eq!(output.values(), ["of the second"]);
}

/// A child that does not outlive its test, not even stopped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_process_that_was_paused_wakes_up_fenced() {
    let output = Topic::new(1);
    let options = output.transaction_options();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "transaction_faults::the_process_that_is_paused", "--ignored", "--nocapture"])
        .env("WEIR_TEST_TRANSACTION", [&options.brokers, &options.pipeline, &output.name].map(String::as_str).join(" "))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.ends_with("the transaction is open")), "the child has not come so far");
    let signal = |name: &str| assert!(Command::new("kill").args([format!("-{name}"), child.0.id().to_string()]).status().unwrap().success());
    signal("STOP");

    let mut successor = KafkaTransaction::new(options).unwrap();
    successor.fence(PATIENCE).unwrap();
    assert_eq!((successor.marker(PATIENCE).unwrap(), output.values()), (None, vec![]));
    signal("CONT");
    child.0.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    let answer = lines.find(|line| line.starts_with("commit: ")).unwrap();
    assert!(answer.starts_with("commit: Err(Fenced"), "{answer}");
    child.0.wait().unwrap();
    assert_eq!((successor.marker(PATIENCE).unwrap(), output.values()), (None, vec![]));
}

/// Run by the test above, in a process of its own.
#[test]
#[ignore = "the child of a_process_that_was_paused_wakes_up_fenced"]
fn the_process_that_is_paused() {
    let Ok(arguments) = std::env::var("WEIR_TEST_TRANSACTION") else { return };
    let [brokers, pipeline, topic] = arguments.split(' ').collect::<Vec<_>>()[..] else { panic!("{arguments}") };
    let mut transaction = KafkaTransaction::new(options_for(brokers, pipeline, topic)).unwrap();
    transaction.fence(PATIENCE).unwrap();
    transaction.begin().unwrap();
    transaction.send(topic, encoded(["of the zombie"])).unwrap();
    transaction.flush(PATIENCE).unwrap();
    println!("the transaction is open");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    println!("commit: {:?}", commit(&mut transaction, &marker(1), &Positions::new(), PATIENCE));
}

fn options_for(brokers: &str, pipeline: &str, topic: &str) -> KafkaTransactionOptions {
    KafkaTransactionOptions {
        pipeline: pipeline.into(),
        brokers: brokers.into(),
        topics: vec![OutputTopic { name: topic.into(), create: None, keyed: true }],
        marker_topic: topic.into(),
        with_positions: true,
        timeout: Duration::from_secs(60),
        properties: vec![],
    }
}

#[test]
fn a_transaction_that_outlived_its_timeout_is_fenced() {
    let output = Topic::new(1);
    let options = KafkaTransactionOptions { timeout: Duration::from_secs(1), ..output.transaction_options() };
    let mut transaction = KafkaTransaction::new(options).unwrap();
    transaction.fence(PATIENCE).unwrap();
    transaction.begin().unwrap();
    transaction.send(&output.name, encoded(["late"])).unwrap();
    transaction.flush(PATIENCE).unwrap();
    let reader = client(output.broker);
    eventually("the broker has aborted it", || {
        let (_, stable_end) = reader.fetch_watermarks(&output.name, 0, PATIENCE).unwrap();
        (stable_end > 0).then_some(())
    });
    let error = commit(&mut transaction, &marker(1), &Positions::new(), PATIENCE).unwrap_err();
    assert!(matches!(error, TransactionError::Fenced { .. }), "{error}");
    // And a new start finds everything as it was.
    transaction.fence(PATIENCE).unwrap();
    assert_eq!((transaction.marker(PATIENCE).unwrap(), output.values()), (None, vec![]));
}

#[test]
fn a_producer_with_an_open_transaction_goes_without_delay() {
    let output = Topic::new(1);
    let mut transaction = output.transaction();
    transaction.fence(PATIENCE).unwrap();
    transaction.begin().unwrap();
    transaction.send(&output.name, encoded((0..1_000).map(|i| i.to_string()))).unwrap();
    let began = Instant::now();
    transaction.fence(PATIENCE).unwrap();
    println!("a new producer in place of one with an open transaction: {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    transaction.begin().unwrap();
    commit(&mut transaction, &marker(1), &Positions::new(), PATIENCE).unwrap();
    assert_eq!(output.values(), Vec::<String>::new());
}

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
