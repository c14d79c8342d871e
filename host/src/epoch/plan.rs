//! What an epoch is, before any of it is read: its ranges, its clock, its watermarks. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::limits::{self, Bound, Cut, Limits, Pace};
use crate::operator::EpochTime;
use crate::source::{Offer, OffsetRange, Partition, Positions};
use crate::time::watermark::{Policy, Rest, Seen, Tracker};
use crate::time::{EventTime, Watermark};

/// What an epoch is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The clock and the watermarks that every step works with.
    pub time: EpochTime,
    /// For each source, in the order of the pipeline.
    pub sources: Vec<SourcePlan>,
    /// What rates were made into records by.
    pub pace: Pace,
    /// How long after it was due the epoch begins.
    pub scheduling_delay: Duration,
}

/// What an epoch reads of one source.
#[derive(Debug, Clone, Default)]
pub struct SourcePlan {
    /// For every partition that the source offers, the range to read; it may be empty.
    pub ranges: Vec<OffsetRange>,
    /// What was offered.
    pub offers: Vec<Offer>,
    /// Records that each limit would have allowed by itself.
    pub allowed: BTreeMap<Bound, u64>,
    /// The limit that bound.
    pub bound: Option<Bound>,
    /// The ends past which this run does not read.
    pub frozen: Option<Positions>,
}

impl SourcePlan {
    /// Cuts what a source offers to its share of the epoch's limits.
    fn new(offers: Vec<Offer>, frozen: Option<Positions>, limits: &Limits, pace: &Pace) -> Self {
        let Cut { ranges, allowed, bound } = limits::cut(&offers, frozen.as_ref(), limits, pace);
        Self { ranges, offers, allowed, bound, frozen }
    }

    /// Whether there is anything to read.
    #[must_use]
    pub fn has_records(&self) -> bool {
        self.ranges.iter().any(|range| range.from < range.to)
    }

    /// Whether there is something to read, but a rate lets none of it through yet.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.bound.is_some() && !self.has_records()
    }

    /// Where reading goes on after the epoch.
    #[must_use]
    pub fn after(&self) -> Positions {
        self.ranges.iter().map(|range| (range.partition.clone(), range.to)).collect()
    }

    /// What the epoch leaves unread in each partition.
    #[must_use]
    pub fn rests(&self) -> BTreeMap<Partition, Rest> {
        let rest = |(offer, range): (&Offer, &OffsetRange)| {
            let frozen = self.frozen.as_ref().map(|frozen| frozen.get(&offer.partition).copied().unwrap_or(offer.position));
            let rest = match frozen {
                Some(frozen) if range.to >= frozen => Rest::Finished,
                _ if range.to < offer.end => Rest::More,
                _ if offer.confirmed => Rest::Nothing,
                _ => Rest::Unknown,
            };
            (offer.partition.clone(), rest)
        };
        self.offers.iter().zip(&self.ranges).map(rest).collect()
    }
}

/// Cuts what the sources offer. The limits are for an epoch: each source gets an even share of its bytes and records, and a share by lag of an estimated rate.
#[must_use]
pub fn sources(offers: Vec<Vec<Offer>>, frozen: Option<&[Positions]>, limits: &Limits, pace: &Pace) -> Vec<SourcePlan> {
    let count = u64::try_from(offers.len()).unwrap_or(1).max(1);
    let limits =
        Limits { max_epoch_bytes: (limits.max_epoch_bytes / count).max(1), max_records: limits.max_records.map(|records| (records / count).max(1)), ..*limits };
    let frozen = |source: usize| frozen.and_then(|frozen| frozen.get(source));
    let lags: Vec<u64> = offers.iter().enumerate().map(|(source, offers)| limits::lag(offers, frozen(source))).collect();
    let total: u64 = lags.iter().sum();
    let cut = offers.into_iter().zip(lags).enumerate().map(|(source, (offers, lag))| {
        #[expect(clippy::cast_precision_loss, reason = "a rate is no count")]
        let rate = pace.rate.map(|rate| rate * lag as f64 / total.max(1) as f64);
        SourcePlan::new(offers, frozen(source).cloned(), &limits, &Pace { rate, ..*pace })
    });
    cut.collect()
}

/// The limit that bound, over all sources: the tightest of those that bound one of them.
#[must_use]
pub fn bound(sources: &[SourcePlan]) -> Option<Bound> {
    let allowed = |bound: &Bound| sources.iter().filter_map(|source| source.allowed.get(bound)).sum::<u64>();
    sources.iter().filter_map(|source| source.bound).min_by_key(allowed)
}

/// The watermark over all declarations. None when event time is declared nowhere.
#[must_use]
pub fn global(policy: Policy, trackers: &[Tracker]) -> Option<Watermark> {
    policy.over(trackers.iter().map(Tracker::watermark))
}

/// A tracker after an epoch that saw these events in the partitions of these sources.
#[must_use]
pub fn advance(tracker: &Tracker, sources: &[&SourcePlan], newest: &BTreeMap<Partition, EventTime>, clock: EventTime) -> Tracker {
    let rests = sources.iter().flat_map(|source| source.rests());
    let seen = rests.map(|(partition, rest)| {
        let newest_event = newest.get(&partition).copied();
        (partition, Seen { newest_event, rest })
    });
    tracker.after(&seen.collect(), clock)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::source::Offset;

    fn partition(number: i32) -> Partition {
        Partition { topic: "t".into(), number }
    }

    fn offer(number: i32, end: i64, confirmed: bool) -> Offer {
        Offer { partition: partition(number), position: Offset(0), end: Offset(end), confirmed, mean_record_bytes: 1 }
    }

    const LIMITS: Limits = Limits { max_epoch_bytes: 100, max_records: None, max_rate_per_partition: None };
    const PACE: Pace = Pace { rate: None, work_seconds: 1.0, elapsed_seconds: 1.0, at_least_one: true };

    #[test]
    fn what_an_epoch_leaves_unread_is_told_apart() {
        let plan = SourcePlan::new(vec![offer(0, 1_000, true), offer(1, 0, true), offer(2, 0, false)], None, &LIMITS, &PACE);
        let rests: Vec<_> = plan.rests().into_values().collect();
        assert_eq!(rests, [Rest::More, Rest::Nothing, Rest::Unknown]);
    }

    #[test]
    fn a_partition_is_finished_when_the_frozen_end_is_read() {
        let frozen = Positions::from([(partition(0), Offset(40)), (partition(1), Offset(0))]);
        let plan = SourcePlan::new(vec![offer(0, 1_000, true), offer(1, 7, true)], Some(frozen), &LIMITS, &PACE);
        let rests: Vec<_> = plan.rests().into_values().collect();
        assert_eq!(rests, [Rest::Finished, Rest::Finished]);
        assert_eq!(plan.after().get(&partition(0)), Some(&Offset(40)));
    }

    #[test]
    fn sources_share_the_limits_of_the_epoch() {
        let plans = sources(vec![vec![offer(0, 1_000, true)], vec![offer(0, 5, true)]], None, &LIMITS, &PACE);
        let spans: Vec<u64> = plans.iter().map(|plan| plan.ranges.first().unwrap().span()).collect();
        assert_eq!(spans, [50, 5]);
        assert_eq!(bound(&plans), Some(Bound::MaxEpochBytes));
    }

    #[test]
    fn sources_share_an_estimated_rate_by_their_lag() {
        let pace = Pace { rate: Some(40.0), ..PACE };
        let plans = sources(vec![vec![offer(0, 300, true)], vec![offer(0, 60, true), offer(1, 40, true)]], None, &LIMITS, &pace);
        let spans: Vec<u64> = plans.iter().flat_map(|plan| &plan.ranges).map(OffsetRange::span).collect();
        assert_eq!(spans, [30, 6, 4]);
        assert_eq!(bound(&plans), Some(Bound::Backpressure));
    }

    #[test]
    fn what_a_rate_holds_back_is_not_the_same_as_nothing() {
        let limits = Limits { max_rate_per_partition: Some(1), ..LIMITS };
        let pace = Pace { elapsed_seconds: 0.5, at_least_one: false, ..PACE };
        let plans = sources(vec![vec![offer(0, 300, true)], vec![offer(0, 0, true)]], None, &limits, &pace);
        assert_eq!(plans.iter().map(|plan| (plan.has_records(), plan.is_held_back())).collect::<Vec<_>>(), [(false, true), (false, false)]);
    }

    #[test]
    fn the_slowest_declaration_decides_and_an_unseen_one_counts_as_zero() {
        use crate::time::watermark::{By, Rule};
        let rule = Rule { delay_us: 0, by: By::Source };
        let seen = BTreeMap::from([(partition(0), Seen { newest_event: Some(EventTime(9_000_000)), rest: Rest::Nothing })]);
        let moved = Tracker::new(rule).after(&seen, EventTime(0));
        assert_eq!(global(Policy::Min, &[]), None);
        assert_eq!(global(Policy::Min, std::slice::from_ref(&moved)), Some(Watermark(9_000)));
        assert_eq!(global(Policy::Min, &[moved.clone(), Tracker::new(rule)]), Some(Watermark(0)));
        assert_eq!(global(Policy::Max, &[moved, Tracker::new(rule)]), Some(Watermark(9_000)));
    }
}
