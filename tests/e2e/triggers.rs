//! When epochs begin and a run ends, and where the first one begins.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use weir_tests::broker::eventually;
use weir_tests::kill::Ending;

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

#[test]
fn epochs_of_an_interval_begin_at_its_multiples_and_not_in_between() {
    let trial = Trial::new("every");
    trial.send_numbers(0..1);
    let host = trial.passing(Passing { state: "state", settings: "trigger = { every = \"1s\" }", ..Passing::default() });
    // The first epoch waits for no tick: it comes late in a second, so that an interval counted from it would be seen.
    while !(300..400).contains(&phase()) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let run = host.start(None).unwrap();
    let mut sent = 1;
    // No tick is without work.
    eventually("four epochs", || {
        trial.send_numbers(sent..sent + 1);
        sent += 1;
        std::thread::sleep(Duration::from_millis(100));
        (trial.progress("state").len() >= 4).then_some(())
    });
    run.signal(libc::SIGTERM).unwrap();
    assert_eq!(run.wait(PATIENCE).unwrap(), Ending::Finished);
    let begun: Vec<i64> =
        trial.progress("state").iter().map(|epoch| epoch["timestamp"].as_str().unwrap().parse::<Timestamp>().unwrap().as_millisecond()).collect();
    assert!(begun.windows(2).all(|pair| pair[0] / 1_000 < pair[1] / 1_000), "one epoch a tick: {begun:?}");
    assert!(begun.iter().skip(1).all(|begun| begun % 1_000 < 500), "at the tick: {begun:?}");
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
