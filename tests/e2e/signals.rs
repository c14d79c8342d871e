//! A run that is asked to stop finishes what it is at; one that was stopped against its will, and is overtaken meanwhile, does no harm.

use std::time::Duration;

use weir_tests::broker::{Broker, eventually};
use weir_tests::checker::Isolation;
use weir_tests::kill::Ending;

use crate::support::{PATIENCE, Passing, Trial, copy, numbers, second};

const ROWS: i64 = 20_000;
/// Epochs of some milliseconds, one after the other, for longer than a test needs.
const RUNNING: &str = "trigger = \"asap\"\nlimits = { max_records = 100 }";
const FINISHING: &str = "trigger = \"available-now\"";

fn all() -> Vec<i64> {
    (0..ROWS).collect()
}

fn finishes_its_epoch(what: &str, signal: i32) {
    let trial = Trial::new(what);
    trial.send_numbers(0..ROWS);
    // A cluster that can be silenced without harm to other tests: its silence holds the run in the middle of an epoch.
    let sink = format!(", brokers = \"{}\"", second().bootstrap());
    let passing = Passing { state: "state", sink: &sink, ..Passing::default() };
    let mut run = trial.passing(Passing { settings: RUNNING, ..passing }).start(None).unwrap();
    eventually("some epochs", || (trial.progress("state").len() >= 3).then_some(()));
    {
        let _silence = Silence::of(second());
        assert!(run.lives_for(Duration::from_millis(100)).unwrap());
        run.signal(signal).unwrap();
        assert!(run.lives_for(Duration::from_millis(300)).unwrap(), "the epoch is not finished");
    }
    assert_eq!(run.wait(PATIENCE).unwrap(), Ending::Finished);
    let read = |isolation| numbers(&trial.read_at(&second().bootstrap(), "out", isolation));
    let delivered = read(Isolation::Committed);
    assert!(delivered.len() < all().len(), "it was asked in the middle");
    assert_eq!(read(Isolation::Uncommitted), delivered, "nothing was begun and not finished");
    let told: u64 = trial.progress("state").iter().map(|epoch| epoch["numInputRows"].as_u64().unwrap()).sum();
    assert_eq!(told, delivered.len() as u64, "every epoch was told of");
    trial.passing(Passing { settings: FINISHING, ..passing }).finish(PATIENCE).unwrap();
    assert_eq!(read(Isolation::Committed), all());
}

/// A broker that does not answer, until this is dropped.
struct Silence<'a>(&'a Broker);

impl<'a> Silence<'a> {
    fn of(broker: &'a Broker) -> Self {
        broker.signal("STOP").unwrap();
        Self(broker)
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        self.0.signal("CONT").unwrap();
    }
}

#[test]
fn sigterm_finishes_the_epoch_and_the_next_start_goes_on_behind_it() {
    finishes_its_epoch("sigterm", libc::SIGTERM);
}

#[test]
fn sigint_does_the_same() {
    finishes_its_epoch("sigint", libc::SIGINT);
}

#[test]
fn a_stopped_process_that_was_overtaken_by_a_copy_wakes_up_fenced_and_doubles_nothing() {
    let trial = Trial::new("zombie");
    trial.send_numbers(0..ROWS);
    let zombie = trial.passing(Passing { state: "state", settings: RUNNING, ..Passing::default() }).start(None).unwrap();
    eventually("some epochs", || (trial.progress("state").len() >= 3).then_some(()));
    zombie.signal(libc::SIGSTOP).unwrap();
    copy(&trial.folder.path().join("state"), &trial.folder.path().join("copied"));
    trial.passing(Passing { state: "copied", settings: FINISHING, ..Passing::default() }).finish(PATIENCE).unwrap();
    assert_eq!(trial.numbers(), all());
    zombie.signal(libc::SIGCONT).unwrap();
    let error = format!("{:#}", zombie.wait(PATIENCE).unwrap_err());
    assert!(error.contains("the run failed with exit status: 1"), "{error}");
    assert!(error.contains("fenced") && error.contains("a second process runs this pipeline"), "{error}");
    assert!(error.contains("the transaction (open for ") && error.contains("older than its `transaction.timeout.ms`"), "{error}");
    assert_eq!(trial.numbers(), all(), "nothing twice");
}
