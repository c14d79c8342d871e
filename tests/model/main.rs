//! The commit protocol under every interleaving: `cargo test --test model -- --nocapture` prints what was visited.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use weir_tests::commit_model::{Report, Setup, Verdict, explore, pipelines, rules};

/// Far above what any run needs: who comes here has grown by accident.
const MOST_STATES: usize = 4_000_000;

#[test]
fn no_interleaving_of_kills_lost_answers_and_copies_loses_or_doubles_a_row() {
    let runs = pipelines();
    let reports = explore_all(&runs.iter().map(|(_, setup)| *setup).collect::<Vec<_>>());
    let mut broken = Vec::new();
    let mut table = format!("{:34}{:12}{:>8}{:>6}{:>6}{:>10}{:>11}{:>8}\n", "pipeline", "second", "epochs", "rows", "kills", "states", "steps", "s");
    for ((name, setup), (report, seconds)) in runs.iter().zip(&reports) {
        table += &format!(
            "{name:34}{:12}{:>8}{:>6}{:>6}{:>10}{:>11}{seconds:>8.1}\n",
            format!("{:?}", setup.second),
            setup.epochs,
            setup.rows,
            setup.kills,
            report.states,
            report.steps,
        );
        if let Some((promise, trace)) = verdict(report) {
            broken.push(format!("{name}, {:?}: {promise}\n{trace}", setup.second));
        }
    }
    println!("{table}");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_rule_is_needed() {
    let runs = rules();
    let reports = explore_all(&runs.iter().map(|(_, setup, _)| *setup).collect::<Vec<_>>());
    let mut wrong = Vec::new();
    let mut table = format!("{:26}{:12}{:>9}  without it\n", "rule", "second", "states");
    for ((rule, setup, expected), (report, _)) in runs.iter().zip(&reports) {
        let (promise, trace) = verdict(report).unwrap_or(("nothing is broken", String::new()));
        let (rule, second) = (format!("{rule:?}"), format!("{:?}", setup.second));
        table += &format!("{rule:26}{second:12}{:>9}  {promise}\n", report.states);
        if !promise.starts_with(expected) {
            wrong.push(format!("without {rule}: expected `{expected}`, found `{promise}`\n{trace}"));
        }
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What went wrong and the shortest way to it.
fn verdict(report: &Report) -> Option<(&'static str, String)> {
    let (promise, trace) = match &report.verdict {
        Verdict::Holds => return None,
        Verdict::Broken(promise, trace) => (*promise, trace.as_slice()),
        Verdict::Stuck(trace) => ("stuck: the last epoch can't be finished any more", trace.as_slice()),
        Verdict::Unfinished => ("unfinished: more states than allowed", [].as_slice()),
    };
    Some((promise, trace.iter().map(|step| format!("      {step}\n")).collect()))
}

/// Explores the runs, as many at once as there are cores.
fn explore_all(setups: &[Setup]) -> Vec<(Report, f64)> {
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((index, setup)) = setups.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
                    let begin = Instant::now();
                    let report = explore(setup, MOST_STATES);
                    reports.lock().unwrap().push((index, (report, begin.elapsed().as_secs_f64())));
                }
            });
        }
    });
    let mut reports = reports.into_inner().unwrap();
    reports.sort_by_key(|(index, _)| *index);
    reports.into_iter().map(|(_, report)| report).collect()
}
