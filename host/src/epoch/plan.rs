//! What an epoch is, before any of it is read: its ranges, its clock, its watermarks. Pure.

use std::collections::BTreeMap;

use super::limits::{self, Bound, Limits};
use crate::operator::EpochTime;
use crate::source::{Offer, OffsetRange, Partition, Positions};
use crate::time::watermark::{Rest, Seen, Tracker};
use crate::time::{EventTime, Watermark};

/// What an epoch is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The clock and the watermarks that every step works with.
    pub time: EpochTime,
    /// For each source, in the order of the pipeline.
    pub sources: Vec<SourcePlan>,
}

/// What an epoch reads of one source.
#[derive(Debug, Clone, Default)]
pub struct SourcePlan {
    /// For every partition that the source offers, the range to read; it may be empty.
    pub ranges: Vec<OffsetRange>,
    /// What was offered.
    pub offers: Vec<Offer>,
    /// The limit that bound.
    pub bound: Option<Bound>,
    /// The ends past which this run does not read.
    pub frozen: Option<Positions>,
}

impl SourcePlan {
    /// Cuts what a source offers. The limits are for an epoch, so each of `sources` sources gets an even share.
    #[must_use]
    pub fn new(offers: Vec<Offer>, frozen: Option<Positions>, limits: &Limits, sources: usize) -> Self {
        let sources = u64::try_from(sources).unwrap_or(1).max(1);
        let share =
            Limits { max_epoch_bytes: (limits.max_epoch_bytes / sources).max(1), max_records: limits.max_records.map(|records| (records / sources).max(1)) };
        let cut = limits::cut(&offers, frozen.as_ref(), &share);
        Self { ranges: cut.ranges, offers, bound: cut.bound, frozen }
    }

    /// Whether there is anything to read.
    #[must_use]
    pub fn has_records(&self) -> bool {
        self.ranges.iter().any(|range| range.from < range.to)
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

/// The watermark over all declarations: the smallest; one that has seen nothing counts as 0 (W-3). None when event time is declared nowhere.
#[must_use]
pub fn global(trackers: &[Tracker]) -> Option<Watermark> {
    trackers.iter().map(Tracker::watermark).min()
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

    const LIMITS: Limits = Limits { max_epoch_bytes: 100, max_records: None };

    #[test]
    fn what_an_epoch_leaves_unread_is_told_apart() {
        let plan = SourcePlan::new(vec![offer(0, 1_000, true), offer(1, 0, true), offer(2, 0, false)], None, &LIMITS, 1);
        let rests: Vec<_> = plan.rests().into_values().collect();
        assert_eq!(rests, [Rest::More, Rest::Nothing, Rest::Unknown]);
    }

    #[test]
    fn a_partition_is_finished_when_the_frozen_end_is_read() {
        let frozen = Positions::from([(partition(0), Offset(40)), (partition(1), Offset(0))]);
        let plan = SourcePlan::new(vec![offer(0, 1_000, true), offer(1, 7, true)], Some(frozen), &LIMITS, 1);
        let rests: Vec<_> = plan.rests().into_values().collect();
        assert_eq!(rests, [Rest::Finished, Rest::Finished]);
        assert_eq!(plan.after().get(&partition(0)), Some(&Offset(40)));
    }

    #[test]
    fn sources_share_the_limits_of_the_epoch() {
        let plan = SourcePlan::new(vec![offer(0, 1_000, true)], None, &LIMITS, 2);
        assert_eq!(plan.ranges.first().unwrap().span(), 50);
    }

    #[test]
    fn the_slowest_declaration_decides_and_an_unseen_one_counts_as_zero() {
        use crate::time::watermark::{By, Rule};
        let rule = Rule { delay_us: 0, by: By::Source };
        let seen = BTreeMap::from([(partition(0), Seen { newest_event: Some(EventTime(9_000_000)), rest: Rest::Nothing })]);
        let moved = Tracker::new(rule).after(&seen, EventTime(0));
        assert_eq!(global(&[]), None);
        assert_eq!(global(std::slice::from_ref(&moved)), Some(Watermark(9_000)));
        assert_eq!(global(&[moved, Tracker::new(rule)]), Some(Watermark(0)));
    }
}
