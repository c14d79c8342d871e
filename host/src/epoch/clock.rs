//! The tick source: the only place that reads a clock, sleeps, or hears of signals. Everything else is told what time it is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::time::EventTime;

/// Lets a thread rest that serves people, whose patience is the measure.
#[expect(clippy::disallowed_methods, reason = "this is the tick source")]
pub fn rest(time: Duration) {
    std::thread::sleep(time);
}

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

/// Measures how much CPU this thread has used. What other threads do meanwhile, and what is only waited for, does not count.
#[derive(Debug, Clone, Copy)]
pub struct CpuWatch {
    since: Duration,
}

/// The CPU time that several threads have used on one thing: its share of an epoch, where the driver's clock only sees how long it waited for them.
#[derive(Debug, Default)]
pub struct Busy(AtomicU64);

impl Busy {
    /// Does a piece of work and counts it.
    pub fn with<T>(&self, work: impl FnOnce() -> T) -> T {
        let watch = CpuWatch::start();
        let done = work();
        self.0.fetch_add(watch.us(), Ordering::Relaxed);
        done
    }

    /// Microseconds since the last call.
    #[must_use]
    pub fn take_us(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// Measures how long things take.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch {
    since: Instant,
    cpu: CpuWatch,
}

/// How long something took, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lap {
    /// On the wall.
    pub wall_us: u64,
    /// Of CPU, by the thread that measured.
    pub cpu_us: u64,
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
        Self { since: Instant::now(), cpu: CpuWatch::start() }
    }

    /// How long it has run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// How long it has run, in microseconds; it starts again.
    pub fn lap_us(&mut self) -> u64 {
        self.lap().wall_us
    }

    /// How long it has run, and how much of that in this thread; it starts again.
    pub fn lap(&mut self) -> Lap {
        let lap = Lap { wall_us: u64::try_from(self.elapsed().as_micros()).unwrap_or(u64::MAX), cpu_us: self.cpu.us() };
        *self = Self::start();
        lap
    }
}

impl std::ops::AddAssign for Lap {
    fn add_assign(&mut self, other: Self) {
        self.wall_us += other.wall_us;
        self.cpu_us += other.cpu_us;
    }
}

impl std::ops::Sub for Lap {
    type Output = Self;

    fn sub(self, part: Self) -> Self {
        Self { wall_us: self.wall_us.saturating_sub(part.wall_us), cpu_us: self.cpu_us.saturating_sub(part.cpu_us) }
    }
}

impl CpuWatch {
    /// Starts.
    #[must_use]
    pub fn start() -> Self {
        Self { since: thread_cpu() }
    }

    /// The CPU time since then, in microseconds.
    #[must_use]
    pub fn us(&self) -> u64 {
        u64::try_from(thread_cpu().saturating_sub(self.since).as_micros()).unwrap_or(u64::MAX)
    }
}

/// The CPU time of this thread (clock_gettime(2)).
fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours to write, and the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A time since 1970 as an epoch's clock.
#[must_use]
pub fn event_time(since_1970: Duration) -> EventTime {
    EventTime(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
}
