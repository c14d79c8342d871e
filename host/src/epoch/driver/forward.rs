//! Step 8, FORWARD: what has been committed is carried out. Every part may be repeated, and is, when a start finds an epoch that was cut short after its commit.

use std::sync::Arc;

use anyhow::Context as _;

use super::Driver;
use crate::epoch::commit::{Identity, Outcome, Part};
use crate::epoch::graph::{Letters, Target};
use crate::epoch::stage::LETTERS;
use crate::sink::{DeliveryError, Token};
use crate::state::{FoundPrepared, Prepared, Remaining};

impl Driver {
    /// Does one part.
    pub(super) fn forward(&mut self, part: Part, identity: &Identity) -> anyhow::Result<Outcome> {
        let prepared = self.prepared()?;
        anyhow::ensure!(prepared.identity() == identity.to_string(), "the PREPARED record is of {}, not of {identity}: this is a defect", prepared.identity());
        match part {
            Part::Apply => {
                let remaining = if prepared.outbox().len() == 0 { Remaining::Nothing } else { Remaining::Parts };
                let outcome = self.durable(|store| store.apply(&prepared, remaining));
                if outcome == Outcome::Done {
                    self.applied();
                }
                Ok(outcome)
            }
            Part::Publish | Part::List => Ok(Outcome::Done), // no sink stages files yet
            Part::Deliver => self.deliver(&prepared, identity),
            Part::Finish => {
                let forwarded = identity.to_string();
                // Where nothing was left to do, it was written together with COMMITTED.
                let outcome = if prepared.outbox().len() == 0 { Outcome::Done } else { self.durable(|store| store.forwarded(&forwarded)) };
                if outcome == Outcome::Done {
                    self.finished(&prepared)?;
                }
                Ok(outcome)
            }
        }
    }

    /// The record that is rolled forward: the one just made, or the one that a start has found.
    fn prepared(&mut self) -> anyhow::Result<Arc<Prepared>> {
        if let Some(prepared) = &self.prepared {
            return Ok(Arc::clone(prepared));
        }
        let found = Arc::new(self.found()?);
        self.prepared = Some(Arc::clone(&found));
        Ok(found)
    }

    fn found(&self) -> anyhow::Result<Prepared> {
        match self.parts.store.read().context("read PREPARED")?.prepared {
            FoundPrepared::Whole(prepared) => Ok(*prepared),
            other => anyhow::bail!("a PREPARED record is to be rolled forward, but there is {other:?}: this is a defect"),
        }
    }

    /// The state is the epoch's now, also in memory.
    fn applied(&mut self) {
        for step in &mut self.parts.graph.steps {
            if let Some(states) = step.operator.states() {
                states.commit();
            }
        }
    }

    fn deliver(&mut self, prepared: &Prepared, identity: &Identity) -> anyhow::Result<Outcome> {
        for (number, part) in (0..).zip(prepared.outbox()) {
            let token = Token { pipeline: self.parts.name.clone(), lineage: identity.lineage.to_string(), epoch: identity.epoch.0, part: number };
            let delivered = match (part.sink, &self.parts.graph.dead_letters) {
                (LETTERS, Letters::File(file)) => file.deliver(&token, part.bytes).map_err(DeliveryError::from),
                (id, _) => match self.parts.graph.sinks.iter_mut().find(|sink| sink.id == id).map(|sink| &mut sink.target) {
                    Some(Target::Outbox(outbox)) => outbox.deliver(&token, part.bytes),
                    _ => Err(anyhow::anyhow!("the pipeline has no such sink any more; put it back until the epoch is delivered").into()),
                },
            };
            match delivered {
                Ok(()) => {}
                Err(gone @ DeliveryError::Gone { .. }) => {
                    tracing::info!(sink = part.sink, epoch = identity.epoch.0, "{gone}; stopping: the epoch is committed, and the next start delivers it");
                    return Err(gone.into());
                }
                Err(DeliveryError::Failed(error)) => {
                    tracing::warn!(sink = part.sink, epoch = identity.epoch.0, error = format!("{error:#}"), "delivery failed; trying again");
                    return Ok(Outcome::NoAnswer);
                }
            }
        }
        Ok(Outcome::Done)
    }

    /// The epoch is over.
    fn finished(&mut self, prepared: &Prepared) -> anyhow::Result<()> {
        self.planned = None;
        self.refused = crate::epoch::stage::Refused::default();
        self.committed = Some(prepared.record().clone());
        self.prepared = None;
        match self.made.take() {
            Some(made) => {
                self.run.epochs += 1;
                self.trackers.clone_from(&made.trackers);
                self.report(made, prepared)
            }
            None => {
                tracing::info!(epoch = prepared.record().epoch, "rolled forward an epoch that was cut short after its commit");
                self.committed = None; // the next wait puts everything in its place, and tells of the epoch
                Ok(())
            }
        }
    }
}
