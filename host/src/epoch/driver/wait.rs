//! Between epochs: looks at what the sources have, asks the trigger, and waits.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Driver, Ended, Until, fresh_attempt};
use crate::epoch::clock::event_time;
use crate::epoch::commit::Outcome;
use crate::epoch::plan::{self, Plan, SourcePlan};
use crate::epoch::trigger::{Decision, Last, Moment, Trigger};
use crate::operator::EpochTime;
use crate::source::{Positions, SourceError};
use crate::time::EventTime;

/// Brokers forget the offsets of a group without members after seven days (`offsets.retention.minutes`); a day leaves time for a weekend.
const RENEWAL: Duration = Duration::from_hours(24);
/// How long a pipeline with several sources sleeps on one of them before it looks at the next.
const TURN: Duration = Duration::from_millis(10);

/// What a wait came to.
pub(super) enum Waited {
    /// For the protocol.
    Outcome(Outcome),
    /// For the caller of `run`.
    Ended(Ended),
}

impl Driver {
    /// Waits until an epoch is due, or the run is over.
    pub(super) fn wait(&mut self, until: Until) -> anyhow::Result<Waited> {
        self.settle()?;
        loop {
            if self.parts.clock.stopping() {
                return Ok(Waited::Outcome(Outcome::StopAsked));
            }
            if self.parts.transaction.is_some() && self.parts.clock.now().saturating_sub(self.run.last_commit) >= RENEWAL {
                return Ok(Waited::Outcome(Outcome::RenewalDue));
            }
            if self.planned.is_some() {
                return Ok(Waited::Outcome(Outcome::EpochDue(fresh_attempt()?)));
            }
            let Some(sources) = self.look()? else { continue };
            self.grow_idle(&sources);
            let moment = Moment {
                now: self.parts.clock.now(),
                last: self.run.last.map(|last| last.begin),
                epochs: self.run.epochs,
                records: sources.iter().any(SourcePlan::has_records),
                held_back: sources.iter().any(SourcePlan::is_held_back),
                watermark_moved: self.watermark_moved(),
            };
            match self.parts.trigger.decide(moment) {
                Decision::Run => {
                    self.planned = Some(self.plan(sources, moment.now));
                    self.run.last = Some(Last { begin: moment.now, end: moment.now });
                }
                Decision::Finish => return Ok(Waited::Ended(Ended::Finished)),
                Decision::Wait { .. } if until == Until::Idle => return Ok(Waited::Ended(Ended::Idle)),
                Decision::Wait { at_most, until_tick: true } => self.parts.clock.pause(at_most),
                Decision::Wait { at_most, until_tick: false } => self.wait_for_records(at_most),
            }
        }
    }

    /// Step 1, PLAN: the ranges that the limits allow, and the clock and watermarks that hold for the whole epoch.
    fn plan(&self, sources: Vec<SourcePlan>, now: Duration) -> Plan {
        let before = self.committed.as_ref();
        let time = EpochTime {
            epoch: before.map_or(0, |record| record.epoch) + 1,
            clock: self.clock(),
            eviction: self.watermark(),
            // L(N) = E(N-1); nothing is late in the first epoch but what is behind 0 (W-5, W-8).
            late: self.watermark().map(|_| before.and_then(|record| record.eviction_watermark_ms).map_or_else(Default::default, crate::time::Watermark)),
        };
        Plan { time, sources, pace: self.pace(now), scheduling_delay: self.parts.trigger.scheduling_delay(now, self.run.last) }
    }

    /// What every source has to read; none while one of them can't be reached.
    fn look(&mut self) -> anyhow::Result<Option<Vec<SourcePlan>>> {
        let count = self.parts.graph.sources.len();
        let mut offers = Vec::with_capacity(count);
        for node in &mut self.parts.graph.sources {
            match node.source.offer() {
                Ok(offer) => offers.push(offer),
                Err(SourceError::Unreachable { source_id, reason }) => {
                    if self.run.source_waits.is_multiple_of(20) {
                        tracing::warn!(source = source_id, reason, "the source can't be reached; waiting for it");
                    }
                    self.run.source_waits += 1;
                    self.parts.clock.pause(super::RETRY_PAUSE);
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.run.source_waits = 0;
        if self.parts.trigger == Trigger::AvailableNow && self.frozen.is_none() {
            let ends = |offers: &Vec<crate::source::Offer>| offers.iter().map(|offer| (offer.partition.clone(), offer.end)).collect::<Positions>();
            self.frozen = Some(offers.iter().map(ends).collect());
        }
        Ok(Some(plan::sources(offers, self.frozen.as_deref(), &self.parts.limits, &self.pace(self.parts.clock.now()))))
    }

    /// Partitions grow idle between epochs, too: where some have fallen silent and nothing comes in any more, no epoch would notice (F-2). What follows is in the
    /// record of the next epoch; until then a restart begins to wait again.
    fn grow_idle(&mut self, sources: &[SourcePlan]) {
        if sources.iter().any(SourcePlan::has_records) {
            return; // the epoch that reads them will see
        }
        let clock = self.clock();
        let declared = self.parts.graph.event_times.iter().filter(|declared| declared.rule.is_some());
        for (declared, tracker) in declared.zip(&mut self.trackers) {
            let sources: Vec<_> = declared.sources.iter().filter_map(|source| sources.get(*source)).collect();
            *tracker = plan::advance(tracker, &sources, &BTreeMap::new(), clock);
        }
    }

    /// The clock of an epoch that is planned now; it never turns back.
    fn clock(&self) -> EventTime {
        let before = self.committed.as_ref().map_or(i64::MIN, |record| record.clock_us);
        EventTime(event_time(self.parts.clock.now()).0.max(before))
    }

    /// Whether an epoch without records would close windows: the watermark has moved past the one that the last epoch used (B-4).
    fn watermark_moved(&self) -> bool {
        let used = self.committed.as_ref().and_then(|record| record.eviction_watermark_ms).unwrap_or(0);
        self.parts.graph.asks_for_epochs() && self.watermark().is_some_and(|now| now.0 > used)
    }

    fn wait_for_records(&mut self, at_most: Duration) {
        match self.parts.graph.sources.as_mut_slice() {
            [] => self.parts.clock.pause(at_most),
            [only] => only.source.wait(at_most),
            several => several.iter_mut().for_each(|node| node.source.wait(TURN.min(at_most))),
        }
    }
}
