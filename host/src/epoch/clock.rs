//! The tick source: the only place that reads a clock, sleeps, or hears of signals. Everything else is told what time it is.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::time::EventTime;

/// A clock that can be waited on.
pub trait Clock: Send {
    /// Now, since 1970.
    fn now(&self) -> Duration;

    /// Waits, but not longer than until the pipeline is asked to stop.
    fn pause(&self, at_most: Duration);

    /// Whether the pipeline is asked to stop.
    fn stopping(&self) -> bool;
}

/// The machine's clock.
#[derive(Debug, Clone, Default)]
pub struct SystemClock {
    stop: Stop,
}

/// A request to stop; clones are the same request.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    asked: Arc<(Mutex<bool>, Condvar)>,
}

/// Measures how long things take.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch {
    since: Instant,
}

impl Stop {
    /// Asks the pipeline to finish its epoch and stop.
    pub fn ask(&self) {
        *self.asked.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.asked.1.notify_all();
    }
}

impl SystemClock {
    /// A clock whose waits end when `stop` is asked.
    #[must_use]
    pub fn new(stop: Stop) -> Self {
        Self { stop }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the tick source")]
    fn now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn pause(&self, at_most: Duration) {
        let asked = self.stop.asked.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whether it was the request or the time that ended the wait, the caller looks for itself.
        drop(self.stop.asked.1.wait_timeout_while(asked, at_most, |asked| !*asked));
    }

    fn stopping(&self) -> bool {
        *self.stop.asked.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stopwatch {
    /// Starts.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the tick source")]
    pub fn start() -> Self {
        Self { since: Instant::now() }
    }

    /// How long it has run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// How long it has run, in microseconds; it starts again.
    pub fn lap_us(&mut self) -> u64 {
        let lap = self.elapsed();
        *self = Self::start();
        u64::try_from(lap.as_micros()).unwrap_or(u64::MAX)
    }
}

/// A time since 1970 as an epoch's clock.
#[must_use]
pub fn event_time(since_1970: Duration) -> EventTime {
    EventTime(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
}
