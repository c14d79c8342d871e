//! A clock for pipelines that are fed from memory.

use std::time::Duration;

use weir::epoch::clock::Clock;

/// Stands still in the year 2100: after every event of a test, so that none is too far ahead.
#[derive(Debug, Clone, Copy)]
pub struct Far;

impl Clock for Far {
    fn now(&self) -> Duration {
        Duration::from_secs(4_102_444_800)
    }

    fn pause(&self, _: Duration) {}

    fn stopping(&self) -> bool {
        false
    }
}
