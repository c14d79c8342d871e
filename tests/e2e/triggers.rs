//! When epochs begin and a run ends, and where the first one begins.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use weir_tests::broker::eventually;
use weir_tests::kill::{Ending, Host, Run};

use crate::support::{PATIENCE, Passing, Trial};

#[test]
fn once_is_one_epoch_within_the_limits_and_then_the_end() {
    let trial = Trial::new("once");
    trial.send_numbers(0..25);
    let host = trial.passing(Passing { state: "state", settings: "trigger = \"once\"\nlimits = { max_records = 10 }", ..Passing::default() });
    for delivered in [10, 20, 25, 25] {
        host.finish(PATIENCE).unwrap();
        assert_eq!(trial.numbers(), (0..delivered).collect::<Vec<_>>());
    }
    assert_eq!(trial.progress("state").len(), 3, "a run without records makes no epoch");
}

#[test]
fn available_now_takes_what_was_there_at_its_start_in_as_many_epochs_as_it_needs() {
    let trial = Trial::new("available");
    trial.send_numbers(0..1_000);
    let settings = "trigger = \"available-now\"\nlimits = { max_records = 20 }";
    let run = trial.passing(Passing { state: "state", settings, ..Passing::default() }).start(None).unwrap();
    eventually("the first epoch", || (!trial.progress("state").is_empty()).then_some(()));
    // What comes now, it leaves to the next run.
    trial.send_numbers(1_000..1_005);
    assert_eq!(run.wait(PATIENCE).unwrap(), Ending::Finished);
    assert_eq!(trial.numbers(), (0..1_000).collect::<Vec<_>>());
    assert_eq!(trial.progress("state").len(), 50);
    trial.passing(Passing { state: "state", settings, ..Passing::default() }).finish(PATIENCE).unwrap();
    assert_eq!(trial.numbers(), (0..1_005).collect::<Vec<_>>());
}

/// Milliseconds since the last full second.
fn phase() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() % 1_000
}

/// Runs a pipeline that ticks every second, so that its first epoch, which waits for no tick, is late in a second: an interval counted from it would be seen. How
/// long a start takes is the machine's affair, so it may need some tries.
fn first_epoch_late_in_a_second(trial: &Trial, host: &Host) -> Run {
    loop {
        let before = trial.progress("state").len();
        let next = i64::try_from(before).unwrap();
        trial.send_numbers(next..next + 1);
        while !(300..400).contains(&phase()) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let run = host.start(None).unwrap();
        eventually("the first epoch", || (trial.progress("state").len() > before).then_some(()));
        if before == 4 || (500..900).contains(&(begun(trial).last().unwrap() % 1_000)) {
            return run;
        }
        run.signal(libc::SIGTERM).unwrap();
        assert_eq!(run.wait(PATIENCE).unwrap(), Ending::Finished);
    }
}

/// When each epoch began, in milliseconds.
fn begun(trial: &Trial) -> Vec<i64> {
    let begun = |epoch: &serde_json::Value| epoch["timestamp"].as_str().unwrap().parse::<Timestamp>().unwrap().as_millisecond();
    trial.progress("state").iter().map(begun).collect()
}

#[test]
fn epochs_of_an_interval_begin_at_its_multiples_and_not_in_between() {
    let trial = Trial::new("every");
    let host = trial.passing(Passing { state: "state", settings: "trigger = { every = \"1s\" }", ..Passing::default() });
    let run = first_epoch_late_in_a_second(&trial, &host);
    let first = begun(&trial).len() - 1;
    let mut sent = i64::try_from(first + 1).unwrap();
    // No tick is without work.
    eventually("three more epochs", || {
        trial.send_numbers(sent..sent + 1);
        sent += 1;
        std::thread::sleep(Duration::from_millis(100));
        (begun(&trial).len() > first + 3).then_some(())
    });
    run.signal(libc::SIGTERM).unwrap();
    assert_eq!(run.wait(PATIENCE).unwrap(), Ending::Finished);
    let begun = begun(&trial).split_off(first);
    assert!(begun.windows(2).all(|pair| pair[0] / 1_000 < pair[1] / 1_000), "one epoch a tick: {begun:?}");
    assert!(begun.iter().skip(1).all(|begun| begun % 1_000 < 400), "at the tick: {begun:?}");
}

#[test]
fn the_latest_offsets_are_resolved_once_so_that_a_restart_misses_nothing() {
    let trial = Trial::new("latest");
    trial.send_numbers(0..3);
    let passing = Passing { state: "state", settings: "trigger = \"available-now\"", source: ", starting_offsets = \"latest\"", ..Passing::default() };
    let host = trial.passing(passing);
    host.finish(PATIENCE).unwrap();
    assert_eq!(trial.numbers(), Vec::<i64>::new(), "they were there before it");
    trial.send_numbers(3..5);
    host.finish(PATIENCE).unwrap();
    assert_eq!(trial.numbers(), [3, 4], "they came while it was down");
}
