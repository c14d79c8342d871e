//! What a transaction comes to when something breaks: another process, the broker, an answer.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use weir::sink::kafka::{KafkaTransaction, KafkaTransactionOptions, OutputTopic};
use weir::sink::{Transaction as _, TransactionError};
use weir::source::Positions;
use weir_tests::broker::eventually;

use super::support::*;
use super::transaction::{commit, encoded, marker};

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
        .args(["--exact", &test_name(module_path!(), "the_process_that_is_paused"), "--ignored", "--nocapture"])
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

pub(crate) fn options_for(brokers: &str, pipeline: &str, topic: &str) -> KafkaTransactionOptions {
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
