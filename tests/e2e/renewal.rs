//! An idle pipeline keeps the broker from forgetting it. A day is long, so the clock is the test's own; everything else is real.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::admin::AdminOptions;
use weir::epoch::clock::{Clock, Stop, SystemClock};
use weir::epoch::driver::{Ended, Until};
use weir::epoch::recovery::Start;
use weir::launch::{self, Ports, Surroundings};
use weir::plugin::Engine;
use weir_tests::broker::{block_on, eventually, shared};

use crate::support::{PATIENCE, Passing, Trial, admin, committed};

/// The machine's clock, and how far it is put forward.
#[derive(Clone)]
struct Ahead {
    clock: SystemClock,
    by: Arc<Mutex<Duration>>,
}

impl Clock for Ahead {
    fn now(&self) -> Duration {
        self.clock.now() + *self.by.lock().unwrap()
    }

    fn pause(&self, at_most: Duration) {
        self.clock.pause(at_most);
    }

    fn stopping(&self) -> bool {
        false
    }
}

#[test]
fn an_idle_pipeline_writes_marker_and_offsets_again_once_a_day() {
    let trial = Trial::new("renewal");
    trial.send_numbers(0..3);
    let passing = Passing { state: "state", settings: "trigger = \"asap\"", ..Passing::default() };
    let host = trial.passing(passing);
    let checked = launch::read(&trial.folder.path().join("passing.toml")).unwrap();
    let plan = launch::open(&checked, &Engine::new(None).unwrap()).unwrap();
    let clock = Ahead { clock: SystemClock::new(Stop::default()), by: Arc::default() };
    let surroundings = Surroundings {
        clock: Box::new(clock.clone()),
        start: Start::Ordinary,
        ports: Ports::default(),
        state_dir: checked.spec().state_dir(),
        trigger: None,
        tap: None,
        publisher: None,
    };
    let mut driver = launch::launch(plan, surroundings).unwrap();
    let mut idle = || assert_eq!(driver.run(Until::Idle).unwrap(), Ended::Idle);
    eventually("the rows", || {
        idle();
        (trial.numbers().len() == 3).then_some(())
    });

    let (brokers, marker_group, positions_group) = (shared().bootstrap(), format!("weir-epoch.{}", trial.name), format!("weir.{}", trial.name));
    let marker = || committed(&brokers, &marker_group, &format!("{}.out", trial.name));
    let positions = || committed(&brokers, &positions_group, &format!("{}.in", trial.name));
    let before = (marker(), positions());
    assert!(before.0.is_some() && before.1.as_ref().is_some_and(|(offset, _)| *offset == 3), "{before:?}");
    // What brokers do after `offsets.retention.minutes`.
    for deleted in block_on(admin().delete_groups(&[&marker_group, &positions_group], &AdminOptions::new())).unwrap() {
        deleted.unwrap();
    }
    *clock.by.lock().unwrap() = Duration::from_hours(24) - Duration::from_mins(5);
    idle();
    assert_eq!((marker(), positions()), (None, None), "not before the day is over");
    *clock.by.lock().unwrap() = Duration::from_hours(24);
    idle();
    assert_eq!((marker(), positions()), before);

    assert_eq!(trial.numbers(), [0, 1, 2], "nothing is delivered by that");
    assert_eq!(trial.progress("state").len(), 1, "and it is no epoch");
    drop(driver);
    trial.send_numbers(3..4);
    let run = host.start(None).unwrap();
    eventually("a row of the next start", || (trial.numbers() == [0, 1, 2, 3]).then_some(()));
    run.signal(libc::SIGTERM).unwrap();
    run.wait(PATIENCE).unwrap();
}
