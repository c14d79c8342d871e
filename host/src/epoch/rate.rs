//! How many records a second the pipeline can take: Spark's PID estimator (rules P-1 to P-3). Pure: what an epoch took comes in, a rate comes out; the limits make an
//! epoch's size of it (P-4). What it has learnt is not kept over a restart: one epoch teaches it again.

use std::time::Duration;

/// How an estimator reacts, under Spark's names and with its defaults (P-3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gains {
    /// Of the difference between the last rate and what the epoch came to. Larger: a change of load is followed at once, and so is every hiccup.
    pub proportional: f64,
    /// Of the records that wait because epochs began late. Larger: a backlog of epochs is worked off sooner; 0: never.
    pub integral: f64,
    /// Of the change of the difference. Larger: it reacts before the load has changed, and to noise.
    pub derivative: f64,
    /// Records a second that are always let through. Smaller, and a pipeline that had one bad epoch takes long to find out that the next would be better.
    pub min_rate: u64,
    /// Records a second until the first estimate; none: only the other limits hold then.
    pub initial_rate: Option<u64>,
}

/// What an epoch took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// When it ended, since 1970.
    pub at: Duration,
    /// Records that it read.
    pub records: u64,
    /// From its begin to its end.
    pub processing: Duration,
    /// From when it was due to its begin.
    pub scheduling_delay: Duration,
    /// The trigger's interval while it ran.
    pub interval: Duration,
}

/// A PID controller over the rates of epochs: it steers the rate that is let in to the rate that comes out.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimator {
    gains: Gains,
    last: Option<Last>,
    rate: Option<f64>,
}

/// What the next epoch is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Last {
    at: Duration,
    rate: f64,
    error: f64,
}

impl Gains {
    /// Spark's (P-3).
    pub const DEFAULT: Self = Self { proportional: 1.0, integral: 0.2, derivative: 0.0, min_rate: 100, initial_rate: None };
}

impl Estimator {
    /// An estimator that has seen nothing.
    #[must_use]
    pub fn new(gains: Gains) -> Self {
        Self { gains, last: None, rate: None }
    }

    /// Records a second that the next epoch should be made for; none: there is no estimate yet (P-4).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate is no count")]
    pub fn rate(&self) -> Option<f64> {
        self.rate.or(self.gains.initial_rate.map(|rate| rate as f64))
    }

    /// Learns from an epoch, and gives the new estimate, if the epoch says anything (P-1, P-2).
    #[expect(clippy::cast_precision_loss, reason = "a rate is no count")]
    pub fn learn(&mut self, epoch: Finished) -> Option<f64> {
        let (processing, interval) = (epoch.processing.as_secs_f64(), epoch.interval.as_secs_f64());
        if epoch.records == 0 || processing <= 0.0 || interval <= 0.0 || self.last.is_some_and(|last| epoch.at <= last.at) {
            return None; // P-1
        }
        let out = epoch.records as f64 / processing;
        let Some(last) = self.last else {
            self.last = Some(Last { at: epoch.at, rate: out, error: 0.0 });
            return None;
        };
        let error = last.rate - out;
        // Records that would have gone through had the epoch begun when it was due, a second.
        let waiting = epoch.scheduling_delay.as_secs_f64() * out / interval;
        let change = (error - last.error) / (epoch.at - last.at).as_secs_f64();
        let Gains { proportional, integral, derivative, min_rate, .. } = self.gains;
        let rate = (last.rate - proportional * error - integral * waiting - derivative * change).max(min_rate as f64);
        self.last = Some(Last { at: epoch.at, rate, error });
        self.rate = Some(rate);
        self.rate
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    const ONES: Gains = Gains { proportional: 1.0, integral: 1.0, derivative: 0.0, min_rate: 10, initial_rate: None };

    /// An epoch of an interval of 20 ms.
    fn epoch(at_ms: u64, records: u64, processing_ms: u64, scheduling_ms: u64) -> Finished {
        let [at, processing, scheduling_delay] = [at_ms, processing_ms, scheduling_ms].map(Duration::from_millis);
        Finished { at, records, processing, scheduling_delay, interval: Duration::from_millis(20) }
    }

    fn learnt(gains: Gains, epochs: impl IntoIterator<Item = Finished>) -> Vec<Option<f64>> {
        let mut estimator = Estimator::new(gains);
        epochs.into_iter().map(|epoch| estimator.learn(epoch).map(|rate| (rate * 1e6).round() / 1e6)).collect()
    }

    #[test]
    fn the_first_epoch_gives_no_estimate_and_the_second_its_rate() {
        assert_eq!(learnt(ONES, [epoch(0, 10, 10, 0), epoch(10, 10, 10, 0)]), [None, Some(1_000.0)]);
    }

    #[test]
    fn without_time_between_two_epochs_nothing_is_learnt() {
        assert_eq!(learnt(ONES, [epoch(0, 10, 10, 0), epoch(10, 10, 10, 0), epoch(10, 10, 10, 0)]), [None, Some(1_000.0), None]);
    }

    #[test]
    fn an_epoch_without_records_or_without_duration_says_nothing() {
        let mut estimator = Estimator::new(ONES);
        assert_eq!([epoch(0, 10, 10, 0), epoch(10, 0, 10, 0), epoch(20, 10, 0, 0)].map(|epoch| estimator.learn(epoch)), [None, None, None]);
        assert_eq!(estimator.learn(epoch(30, 20, 10, 0)), Some(2_000.0), "the empty epochs count neither as the first nor as a rate");
    }

    #[test]
    fn the_estimate_never_falls_below_the_smallest_rate() {
        let gains = Gains { min_rate: 5, ..ONES };
        let rates = learnt(gains, (0..50).map(|i| epoch(i * 20, 1, 20, 100)));
        assert_eq!(rates[0], None);
        assert!(rates[1..].iter().all(|rate| *rate == Some(5.0)), "{rates:?}");
    }

    #[test]
    fn without_delay_the_estimate_is_the_speed_of_processing_as_it_grows_and_as_it_shrinks() {
        for counts in [(1..=50).map(|x| x * 20).collect::<Vec<u64>>(), (1..=50).rev().map(|x| x * 20).collect()] {
            let rates = learnt(ONES, (0..).zip(&counts).map(|(i, count)| epoch(i * 20, *count, 20, 0)));
            let speeds: Vec<Option<f64>> = counts.iter().map(|count| Some(*count as f64 * 50.0)).collect();
            assert_eq!(rates[0], None);
            assert_eq!(rates[1..], speeds[1..]);
        }
    }

    #[test]
    fn with_epochs_that_begin_late_the_estimate_stays_below_the_speed_of_processing() {
        let counts: Vec<u64> = (0..50).map(|i| 100 + (i * 7919) % 900).collect();
        let rates = learnt(ONES, (0..).zip(&counts).map(|(i, count)| epoch(i * 20, *count, 20, 10)));
        for (rate, count) in rates.iter().zip(&counts).skip(1) {
            assert!(rate.unwrap() < *count as f64 * 50.0, "{rates:?}");
        }
    }

    #[test]
    fn the_change_of_the_error_counts_by_time() {
        let gains = Gains { derivative: 0.01, ..ONES };
        // The second epoch is 500 a second faster than the first: the error goes from 0 to -500 within 20 ms.
        assert_eq!(learnt(gains, [epoch(0, 10, 20, 0), epoch(20, 20, 20, 0)]), [None, Some(1_000.0 + 0.01 * 500.0 / 0.02)]);
    }

    #[test]
    fn a_burst_beyond_the_capacity_settles_where_the_pipeline_keeps_up() {
        // A tick a second; 1,000 records a second can be taken, and an epoch costs 50 ms besides.
        let mut estimator = Estimator::new(Gains::DEFAULT);
        let (mut due, mut end, mut allowed) = (0.0_f64, 0.0_f64, 500.0_f64);
        for _ in 0..30_u32 {
            let begin = end.max(due);
            let processing = allowed / 1_000.0 + 0.05;
            end = begin + processing;
            let [at, processing, scheduling_delay] = [end, processing, begin - due].map(Duration::from_secs_f64);
            estimator.learn(Finished { at, records: allowed as u64, processing, scheduling_delay, interval: Duration::from_secs(1) });
            allowed = estimator.rate().unwrap_or(allowed);
            assert!(allowed < 1_000.0, "{allowed}");
            due = begin.floor() + 1.0;
        }
        assert!((900.0..=960.0).contains(&allowed), "{allowed}");
    }

    #[test]
    fn before_the_first_estimate_the_initial_rate_holds() {
        let mut estimator = Estimator::new(Gains { initial_rate: Some(700), ..ONES });
        assert_eq!(estimator.rate(), Some(700.0));
        estimator.learn(epoch(0, 10, 10, 0));
        assert_eq!(estimator.rate(), Some(700.0));
        estimator.learn(epoch(20, 10, 10, 0));
        assert_eq!(estimator.rate(), Some(1_000.0));
    }
}
