//! What recovery is decided on: the marker and the state folder; and what is put right before the next epoch.

use anyhow::Context as _;

use super::{CALL_TIMEOUT, Driver};
use crate::epoch::commit::{Action, Lineage, Marker, Outcome, Purpose};
use crate::epoch::plan::SourcePlan;
use crate::epoch::recovery::{Facts, Folder, Prepared};
use crate::source::{Offset, Partition, Positions, SourceError};
use crate::state::{EpochRecord, FoundPrepared, PartitionRecord, SourceRecord};
use crate::time::watermark::{PartitionClock, Tracker};

use std::collections::BTreeMap;

impl Driver {
    /// Reads the marker and the folder.
    pub(super) fn facts(&mut self) -> anyhow::Result<Outcome> {
        let folder = self.folder()?;
        let peeking = matches!(self.protocol.action(), Action::Peek);
        let marker = self.parts.transaction.as_deref_mut().map(|transaction| match peeking {
            true => transaction.peek_marker(CALL_TIMEOUT),
            false => transaction.marker(CALL_TIMEOUT),
        });
        let marker = match marker {
            None => None,
            Some(Err(error)) => return Ok(self.answer(&error)),
            Some(Ok(text)) => text,
        };
        let marker: Option<Marker> = marker.map(|text| text.parse()).transpose().with_context(|| {
            format!("the marker in group `weir-epoch.{}` was not written by this program: another program commits offsets to that group", self.parts.name)
        })?;
        // Asked only where it matters: a folder without a past and without a marker.
        let sinks_untouched = if marker.is_none() && folder.is_new() {
            match self.parts.transaction.as_deref_mut().map(|transaction| transaction.untouched(CALL_TIMEOUT)) {
                None => true,
                Some(Ok(untouched)) => untouched,
                Some(Err(error)) => return Ok(self.answer(&error)),
            }
        } else {
            false
        };
        tracing::debug!(?marker, ?folder, sinks_untouched, during = self.protocol.action().name(), "read");
        Ok(Outcome::Facts(Box::new(Facts { marker, folder, sinks_untouched })))
    }

    /// The state folder in the protocol's terms.
    fn folder(&self) -> anyhow::Result<Folder> {
        let folder = self.parts.store.read().context("read the state folder")?;
        let prepared = match folder.prepared {
            FoundPrepared::Absent => Prepared::Absent,
            FoundPrepared::Damaged(damage) => {
                tracing::warn!(%damage, "the last epoch was cut short while it was written down; it never happened");
                Prepared::Torn
            }
            FoundPrepared::Whole(prepared) => Prepared::Valid { identity: prepared.identity().parse()?, base: prepared.record().base.parse()? },
        };
        Ok(Folder {
            lineage: folder.lineage.to_string().parse()?,
            committed: folder.committed.map(|committed| committed.identity.parse()).transpose()?,
            prepared,
            forwarded: folder.forwarded.map(|identity| identity.parse()).transpose()?,
        })
    }

    /// COMMITTED(0): the positions where the pipeline begins are resolved once, here, so that `latest` does not move with a restart.
    pub(super) fn write_first(&mut self, lineage: Lineage) -> anyhow::Result<Outcome> {
        let mut record = EpochRecord::beginning(lineage.to_string());
        for node in &mut self.parts.graph.sources {
            let offers = node.source.seek(&Positions::new()).and_then(|()| node.source.offer());
            let offers = match offers {
                Ok(offers) => offers,
                Err(SourceError::Unreachable { source_id, reason }) => {
                    tracing::warn!(source = source_id, reason, "the source can't be reached; waiting for it");
                    return Ok(Outcome::NoAnswer);
                }
                Err(error) => return Err(error.into()),
            };
            let partitions = offers.iter().map(|offer| (offer.partition.to_string(), PartitionRecord { from: offer.position.0, to: offer.position.0 }));
            record.sources.insert(node.id.clone(), SourceRecord { rows: 0, partitions: partitions.collect() });
        }
        Ok(self.durable(|store| store.begin(&record)))
    }

    /// Puts everything where the last committed epoch has left it: what was being made is forgotten, sources go on from COMMITTED.
    pub(super) fn settle(&mut self) -> anyhow::Result<()> {
        if !matches!(self.protocol.action(), Action::Wait { .. }) || (self.committed.is_some() && self.made.is_none()) {
            return Ok(());
        }
        self.forget()
    }

    /// Forgets the epoch that was being made; its plan stays, if it is to be made again.
    pub(super) fn forget(&mut self) -> anyhow::Result<()> {
        self.prepared = None;
        let in_memory = self.made.take().is_some();
        for step in &mut self.parts.graph.steps {
            match step.operator.states() {
                None => {}
                Some(states) if in_memory => states.abort(),
                // A start, or an epoch that was rolled forward behind the back of what is in memory.
                Some(states) => states.open()?,
            }
        }
        let committed = self.parts.store.read().context("read COMMITTED")?.committed;
        let record = committed.context("COMMITTED is gone: this is a defect")?.record;
        self.restore_trackers(&record)?;
        self.retell(&record)?;
        self.committed = Some(record);
        let positions = self.positions();
        for node in &mut self.parts.graph.sources {
            node.source.seek(positions.get(&node.id).unwrap_or(&Positions::new()))?;
        }
        Ok(())
    }

    /// Where each source goes on, by its id.
    pub(super) fn positions(&self) -> BTreeMap<String, Positions> {
        let sources = self.committed.iter().flat_map(|record| &record.sources);
        let positions = sources.map(|(id, source)| {
            let partitions = source.partitions.iter().filter_map(|(name, at)| Some((parse_partition(name)?, Offset(at.to))));
            (id.clone(), partitions.collect())
        });
        positions.collect()
    }

    /// What the cluster is shown of them, for lag tools: after the epoch that is committed, or where things stand.
    pub(super) fn shown_positions(&self, purpose: &Purpose) -> Positions {
        let stored = self.positions();
        let shown =
            self.parts.graph.sources.iter().enumerate().filter(|(_, node)| node.source.has_topics()).filter_map(|(number, node)| match (purpose, &self.made) {
                (Purpose::Epoch { .. }, Some(made)) => made.plan.sources.get(number).map(SourcePlan::after),
                _ => stored.get(&node.id).cloned(),
            });
        shown.flatten().collect()
    }

    fn restore_trackers(&mut self, record: &EpochRecord) -> anyhow::Result<()> {
        let declared = self.parts.graph.event_times.iter().filter_map(|declared| declared.rule.map(|rule| (declared, rule)));
        let mut trackers = Vec::new();
        for (declared, rule) in declared {
            let id = self.parts.graph.id_of(declared.node);
            let Some(stored) = record.event_times.get(id) else {
                trackers.push(Tracker::new(rule));
                continue;
            };
            let partitions: anyhow::Result<BTreeMap<Partition, PartitionClock>> = stored
                .partitions
                .iter()
                .map(|(name, clock)| Ok((parse_partition(name).with_context(|| format!("`{name}` is no partition"))?, (*clock).into())))
                .collect();
            trackers.push(Tracker::restore(rule, partitions?, stored.watermark));
        }
        self.trackers = trackers;
        Ok(())
    }
}

/// `topic/number`, as records name partitions.
fn parse_partition(name: &str) -> Option<Partition> {
    let (topic, number) = name.rsplit_once('/')?;
    Some(Partition { topic: topic.into(), number: number.parse().ok()? })
}
