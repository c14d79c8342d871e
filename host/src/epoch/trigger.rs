//! When an epoch begins. Pure: the clock and what is known of the sources come in, a decision comes out.

use std::time::Duration;

use super::limits::Pace;

/// What starts an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// At the multiples of an interval since 1970 (B-2). An epoch that takes longer is followed at once by the next; ticks that were missed are not made up for.
    Every {
        /// The interval now.
        interval: Duration,
        /// Within what it follows what epochs take; none: it stays.
        adaptive: Option<Adaptive>,
    },
    /// As soon as there is something to do.
    Asap,
    /// One epoch within the limits, then stop.
    Once,
    /// Everything that is there at the start, in as many epochs as the limits ask for, then stop.
    AvailableNow,
}

/// Within what an interval follows what epochs take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adaptive {
    /// The shortest.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
}

/// What the driver knows when it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock, since 1970.
    pub now: Duration,
    /// When the last epoch began, or the last time that a tick had nothing to do; none: nothing yet.
    pub last: Option<Duration>,
    /// How many epochs this run has made.
    pub epochs: u64,
    /// There are records to read, within the frozen ends when the trigger freezes them.
    pub records: bool,
    /// There are records, but none that a rate lets through yet.
    pub held_back: bool,
    /// The watermark has moved past the one that the last epoch used, and a step with state asks for an epoch without records (W-9, B-4).
    pub watermark_moved: bool,
}

/// When the last epoch began and ended, since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    /// Its begin.
    pub begin: Duration,
    /// Its end.
    pub end: Duration,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Make an epoch.
    Run,
    /// Nothing to do for at most this long; `until_tick`: not even when records come.
    Wait {
        /// How long.
        at_most: Duration,
        /// Records that arrive do not end the wait.
        until_tick: bool,
    },
    /// This run is complete.
    Finish,
}

/// How long an idle pipeline sleeps between two looks, when nothing wakes it. Longer, and new partitions and idle ones are noticed late; shorter, and an idle
/// pipeline costs CPU.
const IDLE_LOOK: Duration = Duration::from_millis(500);
/// How long records that a rate holds back wait for the next look. Longer, and the rate comes in lumps; shorter, and epochs are of single records.
const HELD_BACK_LOOK: Duration = Duration::from_millis(50);
/// What stands for the interval where there is none: so much work is an epoch of a pipeline that falls behind.
const NOMINAL_INTERVAL: Duration = Duration::from_secs(1);

impl Adaptive {
    /// What people who write this by hand for Spark choose: an epoch a second when there is little to do, and none that is waited for longer than a minute.
    pub const DEFAULT: Self = Self { min: Duration::from_secs(1), max: Duration::from_secs(60) };

    /// The interval after an epoch that took so long: twice as long when it was longer than one and a half intervals, half as long when it was shorter than half.
    fn after(self, interval: Duration, processing: Duration) -> Duration {
        let next = match () {
            () if processing * 2 > interval * 3 => interval.saturating_mul(2),
            () if processing * 2 < interval => interval / 2,
            () => interval,
        };
        next.clamp(self.min, self.max.max(self.min))
    }
}

impl Trigger {
    /// What to do at this moment.
    #[must_use]
    pub fn decide(self, at: Moment) -> Decision {
        let work = at.records || at.watermark_moved;
        match self {
            Self::Asap | Self::AvailableNow if work => Decision::Run,
            Self::Asap | Self::AvailableNow if at.held_back => Decision::Wait { at_most: HELD_BACK_LOOK, until_tick: true },
            Self::Asap => Decision::Wait { at_most: IDLE_LOOK, until_tick: false },
            Self::Once if at.epochs == 0 && at.records => Decision::Run,
            // Spark runs no epoch without records after `once` (B-1).
            Self::Once => Decision::Finish,
            Self::AvailableNow => Decision::Finish,
            Self::Every { interval, .. } => Self::tick(interval, at, work),
        }
    }

    /// The interval that rates are made into epochs by.
    #[must_use]
    pub fn interval(self) -> Duration {
        match self {
            Self::Every { interval, .. } => interval,
            Self::Asap | Self::Once | Self::AvailableNow => NOMINAL_INTERVAL,
        }
    }

    /// The trigger after an epoch with records that took so long. One without says nothing of the load.
    #[must_use]
    pub fn after(self, processing: Duration) -> Self {
        match self {
            Self::Every { interval, adaptive: Some(adaptive) } => Self::Every { interval: adaptive.after(interval, processing), adaptive: Some(adaptive) },
            other => other,
        }
    }

    /// How long and how fast the epoch is that would begin now; `rate`: what the pipeline can take.
    #[must_use]
    pub fn pace(self, now: Duration, last: Option<Duration>, rate: Option<f64>) -> Pace {
        let interval = self.interval();
        let at_least_one = matches!(self, Self::Every { .. });
        // Ticks come no more often than their interval, so each of them may stand for a whole one.
        let elapsed = if at_least_one { interval } else { last.map_or(interval, |last| now.saturating_sub(last).min(interval)) };
        Pace { rate, work_seconds: interval.as_secs_f64(), elapsed_seconds: elapsed.as_secs_f64(), at_least_one }
    }

    /// How long after it was due an epoch begins, because the one before took so long: it was due at the tick after the last begin. Without an interval none is ever
    /// late.
    #[must_use]
    pub fn scheduling_delay(self, begin: Duration, last: Option<Last>) -> Duration {
        let (Self::Every { interval, .. }, Some(last)) = (self, last) else { return Duration::ZERO };
        let interval = interval.as_nanos().max(1);
        let due = (last.begin.as_nanos() / interval + 1) * interval;
        if last.end.as_nanos() <= due {
            return Duration::ZERO; // it waited for its tick, or for records
        }
        Duration::from_nanos(u64::try_from(begin.as_nanos().saturating_sub(due)).unwrap_or(u64::MAX))
    }

    fn tick(interval: Duration, at: Moment, work: bool) -> Decision {
        let (now, interval) = (at.now.as_micros(), interval.as_micros().max(1));
        let due = at.last.is_none_or(|last| last.as_micros() / interval < now / interval);
        if due && work {
            return Decision::Run;
        }
        let to_tick = interval - now % interval;
        let at_most = Duration::from_micros(u64::try_from(to_tick).unwrap_or(u64::MAX));
        // A tick that finds nothing is over: what comes after it waits for the next one.
        Decision::Wait { at_most, until_tick: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY_10S: Trigger = Trigger::Every { interval: Duration::from_secs(10), adaptive: None };

    fn at(now_ms: u64, last_ms: Option<u64>, records: bool) -> Moment {
        Moment {
            now: Duration::from_millis(now_ms),
            last: last_ms.map(Duration::from_millis),
            epochs: u64::from(last_ms.is_some()),
            records,
            held_back: false,
            watermark_moved: false,
        }
    }

    fn wait(ms: u64) -> Decision {
        Decision::Wait { at_most: Duration::from_millis(ms), until_tick: true }
    }

    #[test]
    fn the_first_epoch_of_an_interval_trigger_does_not_wait() {
        assert_eq!(EVERY_10S.decide(at(12_345, None, true)), Decision::Run);
    }

    #[test]
    fn ticks_lie_on_multiples_of_the_interval() {
        assert_eq!(EVERY_10S.decide(at(13_000, Some(12_345), true)), wait(7_000));
        assert_eq!(EVERY_10S.decide(at(20_000, Some(12_345), true)), Decision::Run);
        assert_eq!(EVERY_10S.decide(at(20_001, Some(20_000), true)), wait(9_999));
    }

    #[test]
    fn an_epoch_that_overran_is_followed_at_once_by_one_and_not_by_all_that_were_missed() {
        assert_eq!(EVERY_10S.decide(at(47_000, Some(10_000), true)), Decision::Run);
        assert_eq!(EVERY_10S.decide(at(47_500, Some(47_000), true)), wait(2_500));
    }

    #[test]
    fn a_tick_without_work_passes() {
        assert_eq!(EVERY_10S.decide(at(20_000, Some(12_345), false)), wait(10_000));
    }

    #[test]
    fn asap_runs_whenever_there_is_work() {
        assert_eq!(Trigger::Asap.decide(at(1, Some(1), true)), Decision::Run);
        assert_eq!(Trigger::Asap.decide(Moment { watermark_moved: true, ..at(1, Some(1), false) }), Decision::Run);
        assert_eq!(Trigger::Asap.decide(at(1, Some(1), false)), Decision::Wait { at_most: IDLE_LOOK, until_tick: false });
    }

    #[test]
    fn once_makes_one_epoch_and_none_without_records() {
        assert_eq!(Trigger::Once.decide(at(1, None, true)), Decision::Run);
        assert_eq!(Trigger::Once.decide(Moment { watermark_moved: true, ..at(1, Some(1), true) }), Decision::Finish);
        assert_eq!(Trigger::Once.decide(at(1, None, false)), Decision::Finish);
    }

    #[test]
    fn available_now_ends_after_a_last_epoch_for_the_watermark() {
        assert_eq!(Trigger::AvailableNow.decide(at(1, Some(1), true)), Decision::Run);
        assert_eq!(Trigger::AvailableNow.decide(Moment { watermark_moved: true, ..at(1, Some(1), false) }), Decision::Run);
        assert_eq!(Trigger::AvailableNow.decide(at(1, Some(1), false)), Decision::Finish);
    }

    #[test]
    fn records_that_a_rate_holds_back_end_no_run_and_are_waited_for_not_polled() {
        let held_back = Moment { held_back: true, ..at(1, Some(1), false) };
        assert_eq!([Trigger::AvailableNow, Trigger::Asap].map(|trigger| trigger.decide(held_back)), [wait(50), wait(50)]);
    }

    #[test]
    fn an_epoch_is_late_by_what_the_one_before_overran() {
        let [ms_12, ms_20, ms_29, ms_47] = [12_345, 20_000, 29_500, 47_000].map(Duration::from_millis);
        let delay = |begin, last: Option<(Duration, Duration)>| EVERY_10S.scheduling_delay(begin, last.map(|(begin, end)| Last { begin, end })).as_millis();
        assert_eq!(delay(ms_20, None), 0);
        assert_eq!(delay(ms_20, Some((ms_12, ms_12))), 0);
        assert_eq!(delay(ms_47, Some((ms_12, ms_20))), 0, "it waited for records");
        assert_eq!(delay(ms_29, Some((ms_12, ms_29))), 9_500);
        assert_eq!(delay(ms_47, Some((ms_20, ms_47))), 17_000);
        assert_eq!(Trigger::Asap.scheduling_delay(ms_47, Some(Last { begin: ms_20, end: ms_47 })), Duration::ZERO);
    }

    #[test]
    fn a_fixed_rate_lets_through_what_an_interval_or_the_time_since_the_last_epoch_stands_for() {
        let ms = Duration::from_millis;
        let tick = EVERY_10S.pace(ms(20_000), Some(ms(12_345)), Some(7.0));
        assert_eq!(tick, Pace { rate: Some(7.0), work_seconds: 10.0, elapsed_seconds: 10.0, at_least_one: true });
        let elapsed = |now, last: Option<u64>| Trigger::Asap.pace(ms(now), last.map(ms), None).elapsed_seconds;
        assert_eq!([elapsed(500, None), elapsed(500, Some(250)), elapsed(90_000, Some(250))], [1.0, 0.25, 1.0]);
        assert!(!Trigger::AvailableNow.pace(ms(500), None, None).at_least_one);
    }

    #[test]
    fn an_adaptive_interval_follows_what_epochs_take() {
        let adaptive = Some(Adaptive { min: Duration::from_secs(2), max: Duration::from_secs(30) });
        let after = |seconds, processing_ms| {
            let trigger = Trigger::Every { interval: Duration::from_secs(seconds), adaptive };
            trigger.after(Duration::from_millis(processing_ms)).interval().as_secs_f64()
        };
        let cases = [
            (10, 15_000, 10.0), // exactly one and a half: it stays
            (10, 15_001, 20.0),
            (20, 90_000, 30.0), // not beyond the longest
            (30, 90_000, 30.0),
            (10, 5_000, 10.0), // exactly half: it stays
            (10, 4_999, 5.0),
            (3, 10, 2.0), // not below the shortest
            (2, 10, 2.0),
        ];
        for (interval, processing, expected) in cases {
            assert_eq!(after(interval, processing), expected, "{interval} s, {processing} ms");
        }
        assert_eq!(EVERY_10S.after(Duration::from_secs(90)), EVERY_10S);
        assert_eq!(Trigger::Asap.after(Duration::from_secs(90)), Trigger::Asap);
    }

    #[test]
    fn a_load_that_needs_four_times_the_interval_is_reached_in_two_epochs_and_left_in_two() {
        let mut trigger = Trigger::Every { interval: Duration::from_secs(1), adaptive: Some(Adaptive::DEFAULT) };
        let mut intervals = |processing: f64| {
            trigger = trigger.after(Duration::from_secs_f64(processing));
            trigger.interval().as_secs()
        };
        assert_eq!([3.5, 3.5, 3.5, 0.2, 0.2, 0.2].map(&mut intervals), [2, 4, 4, 2, 1, 1]);
    }
}
