//! A run that is asked to stop finishes what it is at; one that was stopped against its will, and is overtaken meanwhile, does no harm.

use weir_tests::broker::{eventually, shared};
use weir_tests::checker::Isolation;
use weir_tests::kill::{Ending, Run};

use crate::support::{PATIENCE, Passing, Trial, copy};

const ROWS: i64 = 20_000;
/// Epochs of some milliseconds, one after the other: a signal meets one of them more likely than a pause between two.
const RUNNING: &str = "trigger = \"asap\"\nlimits = { max_records = 100 }";
const FINISHING: &str = "trigger = \"available-now\"";

/// A run in the middle of its work.
fn running(trial: &Trial) -> Run {
    let run = trial.passing(Passing { state: "state", settings: RUNNING, ..Passing::default() }).start(None).unwrap();
    eventually("some epochs", || (trial.progress("state").len() >= 3).then_some(()));
    run
}

fn all() -> Vec<i64> {
    (0..ROWS).collect()
}

fn finishes_its_epoch(what: &str, signal: i32) {
    let trial = Trial::new(what);
    trial.send_numbers(0..ROWS);
    let run = running(&trial);
    run.signal(signal).unwrap();
    assert_eq!(run.wait(PATIENCE).unwrap(), Ending::Finished);
    let delivered = trial.numbers();
    assert!(delivered.len() < all().len(), "it was asked in the middle");
    assert_eq!(trial.read_at(&shared().bootstrap(), "out", Isolation::Uncommitted).len(), delivered.len(), "nothing was begun and not finished");
    let told: u64 = trial.progress("state").iter().map(|epoch| epoch["numInputRows"].as_u64().unwrap()).sum();
    assert_eq!(told, delivered.len() as u64, "every epoch was told of");
    trial.passing(Passing { state: "state", settings: FINISHING, ..Passing::default() }).finish(PATIENCE).unwrap();
    assert_eq!(trial.numbers(), all());
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
    let zombie = running(&trial);
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
