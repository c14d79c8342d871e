//! How far event time has come. A tracker belongs to one `event_time` declaration; it hears of the newest event of each partition in each epoch and says what the
//! watermark is afterwards. By default that is the minimum over the partitions that are not idle (F-2); `by = "source"` is Spark's rule, the maximum over all (W-1, W-2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{EventTime, Watermark};
use crate::source::Partition;

/// Over what a watermark is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The minimum over partitions; one that is idle for `idle_us` leaves it until its next row.
    Partition {
        /// How long a partition must have been empty, and known to be, before it counts as idle.
        idle_us: i64,
    },
    /// The newest event of the whole source.
    Source,
}

/// How the watermarks of several declarations become one (W-3, W-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The smallest: no input's rows are late because another is ahead.
    Min,
    /// The largest: an input that falls behind holds nothing back, and its rows may be late.
    Max,
}

impl Policy {
    /// One watermark of several; a declaration that has seen nothing counts as 0. None of none.
    #[must_use]
    pub fn over(self, watermarks: impl Iterator<Item = Watermark>) -> Option<Watermark> {
        match self {
            Self::Min => watermarks.min(),
            Self::Max => watermarks.max(),
        }
    }
}

/// What a watermark is made of; see [`Tracker`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// How far behind the newest event the watermark stays, in microseconds; not negative (W-7). Fractions of a millisecond count.
    pub delay_us: i64,
    /// Over what it is taken.
    pub by: By,
}

/// What a tracker knows of a partition. Stored with every epoch, so that a restart forgets nothing (unlike W-13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PartitionClock {
    /// The newest event so far, in microseconds.
    pub newest_event_us: Option<i64>,
    /// Since which epoch's clock the partition has been empty without a break, and known to be.
    pub quiet_since_us: Option<i64>,
    /// Whether it is out of the minimum now.
    pub idle: bool,
}

/// What an epoch saw of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The newest event time among the epoch's rows of the partition, after the steps before the declaration; none: it had no row.
    pub newest_event: Option<EventTime>,
    /// What the epoch left unread.
    pub rest: Rest,
}

/// What an epoch left unread in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Records that are known to be there: the partition was limited or paused. It is not idle.
    More,
    /// Nobody knows: no leader, no answer. Such time does not count towards idleness.
    Unknown,
    /// Nothing: the broker has confirmed that the position is the end.
    Nothing,
    /// Nothing, and this run will not look again: the frozen end of an `available-now` run. The partition leaves the minimum at once, for this run.
    Finished,
}

/// A watermark and what it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracker {
    rule: Rule,
    partitions: BTreeMap<Partition, PartitionClock>,
    watermark: Watermark,
}

impl Tracker {
    /// A tracker that has seen nothing.
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        Self { rule, partitions: BTreeMap::new(), watermark: Watermark::default() }
    }

    /// The tracker as an epoch left it.
    #[must_use]
    pub fn restore(rule: Rule, partitions: BTreeMap<Partition, PartitionClock>, watermark: Watermark) -> Self {
        Self { rule, partitions, watermark }
    }

    /// The watermark after the last epoch.
    #[must_use]
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// What is known of each partition.
    #[must_use]
    pub fn partitions(&self) -> &BTreeMap<Partition, PartitionClock> {
        &self.partitions
    }

    /// The watermark of one partition alone; none before its first event.
    #[must_use]
    pub fn of(&self, clock: &PartitionClock) -> Option<Watermark> {
        clock.newest_event_us.map(|newest| self.behind(newest))
    }

    /// The tracker after an epoch whose clock was `clock`. Partitions that are not in `seen` are as they were; new ones join.
    #[must_use]
    pub fn after(&self, seen: &BTreeMap<Partition, Seen>, clock: EventTime) -> Self {
        let mut next = self.clone();
        for (partition, seen) in seen {
            next.partitions.entry(partition.clone()).or_default().observe(*seen, clock, self.rule.by);
        }
        let candidate = match self.rule.by {
            By::Source => next.partitions.values().filter_map(|clock| clock.newest_event_us).max(),
            By::Partition { .. } => next.slowest(seen),
        };
        if let Some(newest) = candidate {
            next.watermark = self.watermark.max(self.behind(newest)); // W-2, W-5
        }
        next
    }

    /// The newest event of the slowest partition that counts. One without any event yet holds the minimum back until it is idle: its first rows may be old.
    fn slowest(&self, seen: &BTreeMap<Partition, Seen>) -> Option<i64> {
        let finished = |partition: &Partition| seen.get(partition).is_some_and(|seen| seen.rest == Rest::Finished);
        let mut awake = self.partitions.iter().filter(|(partition, clock)| !clock.idle && !finished(partition)).peekable();
        if awake.peek().is_some() {
            return awake.map(|(_, clock)| clock.newest_event_us).min().flatten();
        }
        // NOTE: when the last partitions finish together, their own rows still count; otherwise a run of one epoch would never move the watermark.
        let with_rows = seen.iter().filter(|(_, seen)| seen.newest_event.is_some());
        with_rows.filter_map(|(partition, _)| self.partitions.get(partition)?.newest_event_us).min()
    }

    /// The delay behind an event, in whole milliseconds as Spark keeps it.
    fn behind(&self, newest_us: i64) -> Watermark {
        Watermark(newest_us.div_euclid(1_000).saturating_sub(self.rule.delay_us.div_euclid(1_000)).max(0))
    }
}

impl PartitionClock {
    fn observe(&mut self, seen: Seen, clock: EventTime, by: By) {
        if let Some(newest) = seen.newest_event {
            self.newest_event_us = Some(self.newest_event_us.map_or(newest.0, |before| before.max(newest.0)));
        }
        match seen.rest {
            _ if seen.newest_event.is_some() => (self.idle, self.quiet_since_us) = (false, None),
            Rest::More => (self.idle, self.quiet_since_us) = (false, None),
            Rest::Unknown => self.quiet_since_us = None,
            Rest::Nothing | Rest::Finished => {
                let since = *self.quiet_since_us.get_or_insert(clock.0);
                if let By::Partition { idle_us } = by {
                    self.idle |= clock.0.saturating_sub(since) >= idle_us;
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const BY_PARTITION: Rule = Rule { delay_us: 10 * SECOND, by: By::Partition { idle_us: 30 * SECOND } };
    const BY_SOURCE: Rule = Rule { delay_us: 10 * SECOND, by: By::Source };

    fn partition(number: i32) -> Partition {
        Partition { topic: "t".into(), number }
    }

    fn row(second: i64) -> Seen {
        Seen { newest_event: Some(EventTime(second * SECOND)), rest: Rest::Nothing }
    }

    const EMPTY: Seen = Seen { newest_event: None, rest: Rest::Nothing };
    const HELD_BACK: Seen = Seen { newest_event: None, rest: Rest::Unknown };

    fn step(tracker: &Tracker, clock_s: i64, seen: &[Seen]) -> Tracker {
        let seen = seen.iter().enumerate().map(|(i, seen)| (partition(i32::try_from(i).unwrap()), *seen)).collect();
        tracker.after(&seen, EventTime(clock_s * SECOND))
    }

    #[test]
    fn it_follows_the_newest_event_by_the_delay_and_never_moves_back() {
        let tracker = step(&Tracker::new(BY_SOURCE), 0, &[row(25)]);
        assert_eq!(tracker.watermark(), Watermark(15_000));
        assert_eq!(step(&tracker, 0, &[row(12)]).watermark(), Watermark(15_000));
        assert_eq!(step(&tracker, 0, &[EMPTY]).watermark(), Watermark(15_000));
        assert_eq!(step(&tracker, 0, &[row(26)]).watermark(), Watermark(16_000));
    }

    #[test]
    fn it_is_never_negative() {
        assert_eq!(step(&Tracker::new(BY_SOURCE), 0, &[row(3)]).watermark(), Watermark(0));
    }

    #[test]
    fn by_partition_the_slowest_decides_and_by_source_the_fastest() {
        assert_eq!(step(&Tracker::new(BY_PARTITION), 0, &[row(25), row(100)]).watermark(), Watermark(15_000));
        assert_eq!(step(&Tracker::new(BY_SOURCE), 0, &[row(25), row(100)]).watermark(), Watermark(90_000));
    }

    #[test]
    fn a_partition_without_any_event_holds_the_minimum_back_until_it_is_idle() {
        let tracker = step(&Tracker::new(BY_PARTITION), 0, &[row(100), EMPTY]);
        assert_eq!(tracker.watermark(), Watermark(0));
        assert_eq!(step(&tracker, 29, &[row(100), EMPTY]).watermark(), Watermark(0));
        assert_eq!(step(&tracker, 30, &[row(100), EMPTY]).watermark(), Watermark(90_000));
    }

    #[test]
    fn time_during_which_a_partition_is_held_back_does_not_make_it_idle() {
        let tracker = step(&Tracker::new(BY_PARTITION), 0, &[row(100), EMPTY]);
        let tracker = step(&tracker, 29, &[row(100), HELD_BACK]);
        let tracker = step(&tracker, 58, &[row(100), EMPTY]);
        assert_eq!(tracker.watermark(), Watermark(0));
        assert_eq!(step(&tracker, 88, &[row(100), EMPTY]).watermark(), Watermark(90_000));
    }

    #[test]
    fn an_idle_partition_rejoins_with_its_next_row_and_does_not_turn_the_watermark_back() {
        let tracker = step(&Tracker::new(BY_PARTITION), 0, &[row(100), row(20)]);
        let tracker = step(&tracker, 10, &[row(110), EMPTY]);
        let tracker = step(&tracker, 40, &[row(120), EMPTY]);
        assert_eq!(tracker.watermark(), Watermark(110_000));
        let tracker = step(&tracker, 41, &[row(130), row(50)]);
        assert_eq!(tracker.watermark(), Watermark(110_000));
        assert!(!tracker.partitions().get(&partition(1)).unwrap().idle);
    }

    #[test]
    fn when_every_partition_is_idle_it_stands_still() {
        let tracker = step(&Tracker::new(BY_PARTITION), 0, &[row(100), row(50)]);
        let tracker = step(&tracker, 1, &[EMPTY, EMPTY]);
        let tracker = step(&tracker, 60, &[EMPTY, EMPTY]);
        assert_eq!(tracker.watermark(), Watermark(40_000));
    }

    #[test]
    fn an_idle_partition_of_which_records_are_waiting_holds_the_minimum_again() {
        let tracker = step(&Tracker::new(BY_PARTITION), 0, &[row(100), row(20)]);
        let tracker = step(&tracker, 10, &[row(110), EMPTY]);
        let tracker = step(&tracker, 40, &[row(120), EMPTY]);
        let waiting = Seen { newest_event: None, rest: Rest::More };
        assert_eq!(step(&tracker, 41, &[row(500), waiting]).watermark(), Watermark(110_000));
    }

    #[test]
    fn a_partition_at_its_frozen_end_leaves_the_minimum_at_once_and_for_this_run_only() {
        let finished = Seen { rest: Rest::Finished, ..row(50) };
        let tracker = step(&Tracker::new(BY_PARTITION), 0, &[row(100), finished]);
        assert_eq!(tracker.watermark(), Watermark(90_000));
        assert_eq!(step(&tracker, 1, &[row(500), HELD_BACK]).watermark(), Watermark(90_000));
    }

    #[test]
    fn when_all_partitions_finish_together_the_slowest_decides() {
        let finished = |second| Seen { rest: Rest::Finished, ..row(second) };
        assert_eq!(step(&Tracker::new(BY_PARTITION), 0, &[finished(100), finished(50)]).watermark(), Watermark(40_000));
        assert_eq!(step(&Tracker::new(BY_PARTITION), 0, &[finished(100)]).watermark(), Watermark(90_000));
    }

    #[test]
    fn with_one_partition_both_rules_agree() {
        let mut trackers = (Tracker::new(BY_PARTITION), Tracker::new(BY_SOURCE));
        for (clock, seen) in [(0, row(15)), (1, row(9)), (2, EMPTY), (3, row(70)), (50, row(71))] {
            trackers = (step(&trackers.0, clock, &[seen]), step(&trackers.1, clock, &[seen]));
            assert_eq!(trackers.0.watermark(), trackers.1.watermark());
        }
    }

    #[test]
    fn event_times_count_in_whole_milliseconds() {
        let seen = Seen { newest_event: Some(EventTime(20 * SECOND + 1_999)), rest: Rest::Nothing };
        assert_eq!(step(&Tracker::new(BY_SOURCE), 0, &[seen]).watermark(), Watermark(10_001));
    }
}
