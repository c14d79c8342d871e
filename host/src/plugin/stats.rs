//! What an opened function has cost so far. Counted per call, with four readings of the clock, so it is always on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What an opened function has cost since it was opened, over all its instances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Calls that were served, with a value or an error. A call that was tried twice is one.
    pub calls: u64,
    /// Calls that failed once and were tried again.
    pub retries: u64,
    /// Calls that failed twice.
    pub failures: u64,
    /// Instances that were made.
    pub instances: u64,
    /// Instances that were given up because their memory had grown too far.
    pub recycled: u64,
    /// Bytes that went into guests.
    pub bytes_in: u64,
    /// Bytes that came out of guests.
    pub bytes_out: u64,
    /// Time spent laying out arguments and finding an instance.
    pub time_in: Duration,
    /// Time spent in calls: the guest, and the copies in and out of its memory (about 0.02 ns a byte each way).
    pub time_guest: Duration,
    /// Time spent checking answers and making batches of them.
    pub time_out: Duration,
}

impl Stats {
    /// These and those.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            retries: self.retries + other.retries,
            failures: self.failures + other.failures,
            instances: self.instances + other.instances,
            recycled: self.recycled + other.recycled,
            bytes_in: self.bytes_in + other.bytes_in,
            bytes_out: self.bytes_out + other.bytes_out,
            time_in: self.time_in + other.time_in,
            time_guest: self.time_guest + other.time_guest,
            time_out: self.time_out + other.time_out,
        }
    }

    /// What has come since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let time = |now: Duration, before: Duration| now.saturating_sub(before);
        Self {
            calls: self.calls.saturating_sub(before.calls),
            retries: self.retries.saturating_sub(before.retries),
            failures: self.failures.saturating_sub(before.failures),
            instances: self.instances.saturating_sub(before.instances),
            recycled: self.recycled.saturating_sub(before.recycled),
            bytes_in: self.bytes_in.saturating_sub(before.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(before.bytes_out),
            time_in: time(self.time_in, before.time_in),
            time_guest: time(self.time_guest, before.time_guest),
            time_out: time(self.time_out, before.time_out),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    calls: AtomicU64,
    retries: AtomicU64,
    failures: AtomicU64,
    instances: AtomicU64,
    recycled: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    nanos_in: AtomicU64,
    nanos_guest: AtomicU64,
    nanos_out: AtomicU64,
}

/// When the stages of a call began and ended.
pub(super) struct Stages {
    pub(super) began: Instant,
    pub(super) entered: Instant,
    pub(super) left: Instant,
    pub(super) ended: Instant,
}

impl Counters {
    pub(super) fn served(&self, stages: &Stages, bytes_in: usize, bytes_out: usize) {
        add(&self.calls, 1);
        add(&self.bytes_in, bytes_in as u64);
        add(&self.bytes_out, bytes_out as u64);
        add(&self.nanos_in, nanos(stages.began, stages.entered));
        add(&self.nanos_out, nanos(stages.left, stages.ended));
    }

    /// Counted also for a call that fails.
    pub(super) fn in_guest(&self, entered: Instant, left: Instant) {
        add(&self.nanos_guest, nanos(entered, left));
    }

    pub(super) fn retried(&self) {
        add(&self.retries, 1);
    }

    pub(super) fn failed(&self) {
        add(&self.calls, 1);
        add(&self.failures, 1);
    }

    pub(super) fn instance_made(&self) {
        add(&self.instances, 1);
    }

    pub(super) fn instance_recycled(&self) {
        add(&self.recycled, 1);
    }

    pub(super) fn snapshot(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            calls: read(&self.calls),
            retries: read(&self.retries),
            failures: read(&self.failures),
            instances: read(&self.instances),
            recycled: read(&self.recycled),
            bytes_in: read(&self.bytes_in),
            bytes_out: read(&self.bytes_out),
            time_in: Duration::from_nanos(read(&self.nanos_in)),
            time_guest: Duration::from_nanos(read(&self.nanos_guest)),
            time_out: Duration::from_nanos(read(&self.nanos_out)),
        }
    }
}

fn add(counter: &AtomicU64, value: u64) {
    counter.fetch_add(value, Ordering::Relaxed);
}

fn nanos(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_nanos()).unwrap_or(u64::MAX)
}
