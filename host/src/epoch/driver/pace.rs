//! How fast epochs are: what the trigger and the estimator of rates are told, and what is told of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Driver, Made};
use crate::epoch::limits::{Bound, Limits, Pace};
use crate::epoch::plan::{self, Plan};
use crate::epoch::rate::{Estimator, Finished};
use crate::epoch::trigger::Trigger;
use crate::observe::progress::{LimitProgress, PaceProgress};

impl Driver {
    /// How long and how fast an epoch is that begins now.
    pub(super) fn pace(&self, now: Duration) -> Pace {
        let rate = self.run.estimator.as_ref().and_then(Estimator::rate);
        self.parts.trigger.pace(now, self.run.last.map(|last| last.begin), rate)
    }

    /// An epoch is over: the next one is fitted to what it took. Gives what is told of it.
    pub(super) fn paced(&mut self, made: &Made, records: u64, processing: Duration) -> PaceProgress {
        let at = self.parts.clock.now();
        let (scheduling_delay, interval) = (made.plan.scheduling_delay, self.parts.trigger.interval());
        if let Some(last) = &mut self.run.last {
            last.end = at;
        }
        if let Some(estimator) = &mut self.run.estimator {
            estimator.learn(Finished { at, records, processing, scheduling_delay, interval });
        }
        if records > 0 {
            self.parts.trigger = self.parts.trigger.after(processing);
            let next = self.parts.trigger.interval();
            if next != interval {
                tracing::info!(
                    from_ms = millis(interval),
                    to_ms = millis(next),
                    took_ms = millis(processing),
                    "the trigger's interval follows what epochs take"
                );
            }
        }
        let every = matches!(self.parts.trigger, Trigger::Every { .. });
        PaceProgress {
            bound_by: plan::bound(&made.plan.sources),
            limits: limits(&self.parts.limits, &made.plan),
            scheduling_delay_ms: millis(scheduling_delay),
            trigger_interval_ms: every.then(|| millis(interval)),
        }
    }
}

/// Every limit that held for an epoch with records.
fn limits(limits: &Limits, plan: &Plan) -> BTreeMap<Bound, LimitProgress> {
    let mut told: BTreeMap<Bound, LimitProgress> = BTreeMap::new();
    for source in plan.sources.iter().filter(|source| source.has_records()) {
        for (bound, records) in &source.allowed {
            let limit = match bound {
                Bound::MaxRatePerPartition => limits.max_rate_per_partition,
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate for people")]
                Bound::Backpressure => plan.pace.rate.map(|rate| rate.round() as u64),
                Bound::MaxRecords => limits.max_records,
                Bound::MaxEpochBytes => Some(limits.max_epoch_bytes),
            };
            let told = told.entry(*bound).or_insert(LimitProgress { limit: limit.unwrap_or_default(), records: 0 });
            told.records = told.records.saturating_add(*records);
        }
    }
    told
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
