//! The commit protocol: which step of an epoch, of a start or of a renewal comes next. This module owns the order of the
//! steps; it may not do one. The driver is a loop that cannot get the order wrong: perform [`Protocol::action`], tell the
//! outcome to [`Protocol::observe`].
//!
//! ```text
//!  start    Lock ─► Peek ─► Fence ─► Ask ─┬─► Forward ─────────────────────────► Wait    the marker is PREPARED
//!                             ▲           ├─► DeleteStaged ─► DropPrepared ────► Wait    it is COMMITTED
//!                             │           └─► Mark ─► Commit ─► WriteFirst ────► Wait    a new life
//!                             │
//!                             └── no answer to Stage, Mark, Commit or Abort: take a new producer and ask
//!
//!  epoch    Wait ─► Stage ─► Prepare ─► Mark ─► Commit ─► Forward: apply, publish, list, deliver, finish ─► Wait
//!             ▲        └── given up ──────┘       ⟲ while retriable, and then Fence before the next transaction
//!             └── Abort ◄──────┘
//!
//!  renewal  Wait ─► Mark ─► Commit ─► Wait
//! ```
//!
//! Without Kafka there is nothing to fence, to mark or to commit: PREPARED is the commit point, and Prepare leads to Forward.
//!
//! Dropping a protocol after any step is what a SIGKILL does; the next start puts it right. `tests/src/commit_model.rs` visits every state that processes,
//! kills, lost answers and copies of the folder can bring about, with this code in each process.

mod identity;
mod step;

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::recovery::{self, CommitPoint, Decision, Prepared, Refusal, Start};

pub use identity::{Attempt, Checksum, Identity, Lineage, Malformed, Marker};
pub use step::{Action, Draft, Outcome, Part, Purpose};

/// The protocol of one pipeline in one process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Protocol {
    point: CommitPoint,
    start: Start,
    /// A commit was called more than once. IMPORTANT: the first call may still be under way, and would commit whatever
    /// transaction this producer has open when it arrives, so the producer may not begin another.
    producer_is_spent: bool,
    next: Action,
}

/// Why there is no next step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// As asked.
    Asked,
    /// `--assume` has written this marker, or found it.
    Restored(Marker),
    /// With an error for the operator.
    Failed(Failure),
}

/// Why a pipeline stops by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
pub enum Failure {
    /// The marker and the state folder do not belong together.
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
    /// Another process runs on the folder.
    #[error("the state folder, or the output folder, is locked by another process: stop that one, or give this pipeline its own `state_dir`")]
    Held,
    /// Both causes look alike to a client, so both are said.
    #[error(
        "fenced while about to {during}: either a second process runs this pipeline, or the transaction{} was older than its \
         `transaction.timeout.ms`; stop the second process, or make epochs smaller or the timeout larger, and start again: \
         the next start decides by the marker",
        Age(*transaction_age)
    )]
    Fenced {
        /// The step.
        during: &'static str,
        /// How long the transaction had been open, if one was.
        transaction_age: Option<Duration>,
    },
    /// What is on disk is not known any more, so nothing is tried again.
    #[error(
        "a durable write failed while about to {during}: the pipeline has stopped and does not try again; mend the disk and \
         start again: the next start decides by what is there"
    )]
    Poisoned {
        /// The step.
        during: &'static str,
    },
}

/// An outcome that does not belong to the action: the driver has left a step out or told one twice.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{outcome}` is no outcome of the step to {action}: this is a defect of the driver")]
pub struct OutOfTurn {
    action: &'static str,
    outcome: String,
}

impl Protocol {
    /// A process that has just started.
    #[must_use]
    pub const fn new(point: CommitPoint, start: Start) -> Self {
        Self { point, start, producer_is_spent: false, next: Action::Lock }
    }

    /// The step to take now.
    #[must_use]
    pub const fn action(&self) -> &Action {
        &self.next
    }

    /// Takes in what came of the step, and turns to the next.
    ///
    /// # Errors
    /// The outcome is not one of this action's; nothing has changed then.
    pub fn observe(&mut self, outcome: Outcome) -> Result<(), OutOfTurn> {
        let next = match outcome {
            Outcome::WriteFailed if self.next.writes() => failed(Failure::Poisoned { during: self.next.name() }),
            Outcome::Fenced { transaction_age } if self.uses_producer() => failed(Failure::Fenced { during: self.next.name(), transaction_age }),
            Outcome::NoAnswer => self.without_answer().ok_or_else(|| self.out_of_turn(&outcome))?,
            _ => self.after(&outcome).ok_or_else(|| self.out_of_turn(&outcome))?,
        };
        match (&self.next, &outcome) {
            (Action::Commit(_), Outcome::Retriable) => self.producer_is_spent = true,
            (Action::Fence, Outcome::Done) => self.producer_is_spent = false,
            _ => {}
        }
        self.next = next;
        Ok(())
    }

    /// The table of the protocol: what follows an action that had this outcome.
    fn after(&self, outcome: &Outcome) -> Option<Action> {
        let transaction = self.point == CommitPoint::Transaction;
        Some(match (&self.next, outcome) {
            // Start. IMPORTANT: nothing that was read before the fence is final.
            (Action::Lock, Outcome::Done) if transaction => Action::Peek,
            (Action::Lock, Outcome::Done) => Action::Ask,
            (Action::Lock, Outcome::Held) => failed(Failure::Held),
            (Action::Peek, Outcome::Facts(facts)) => match recovery::peek(self.start, facts) {
                Ok(()) => Action::Fence,
                Err(refusal) => failed(refusal.into()),
            },
            (Action::Fence, Outcome::Done) => Action::Ask,
            (Action::Ask, Outcome::Facts(facts)) => match recovery::decide(self.point, self.start, facts) {
                Ok(decision) => self.carry_out(decision),
                Err(refusal) => failed(refusal.into()),
            },
            (Action::DeleteStaged { committed, .. }, Outcome::Done) => Action::DropPrepared { committed: *committed },
            (Action::DropPrepared { committed }, Outcome::Done) => self.rest(*committed),
            (Action::WriteFirst(lineage), Outcome::Done) => self.rest(Marker::Genesis(*lineage)),

            // An epoch.
            (Action::Wait { committed }, Outcome::EpochDue(attempt)) => Action::Stage(Draft { base: *committed, attempt: *attempt }),
            (Action::Wait { committed }, Outcome::RenewalDue) if transaction => Action::Mark(Purpose::Renew(*committed)),
            (Action::Wait { .. }, Outcome::StopAsked) => Action::Stop(Stop::Asked),
            (Action::Stage(draft), Outcome::Done) => Action::Prepare(*draft),
            (Action::Prepare(draft), Outcome::Prepared(checksum)) => {
                let identity = draft.identity(*checksum);
                if transaction { Action::Mark(Purpose::Epoch { identity, base: draft.base }) } else { Action::Forward(Part::Apply, identity) }
            }
            (Action::Mark(purpose), Outcome::Done) => Action::Commit(*purpose),
            (Action::Commit(purpose), Outcome::Done) => self.committed(*purpose),
            (Action::Commit(purpose), Outcome::Retriable) => Action::Commit(*purpose),
            (Action::Forward(part, identity), Outcome::Done) => match part.next() {
                Some(part) => Action::Forward(part, *identity),
                None => self.rest(Marker::Epoch(*identity)),
            },

            // Made again: only before the commit was called.
            (Action::Stage(draft), Outcome::GivenUp) => Action::Abort(*draft),
            (Action::Mark(Purpose::Epoch { identity, base }), Outcome::GivenUp) => Action::Abort(Draft { base: *base, attempt: identity.attempt }),
            (Action::Mark(_), Outcome::GivenUp) => Action::Fence,
            (Action::Abort(draft), Outcome::Done) => self.rest(draft.base),
            _ => return None,
        })
    }

    /// UNKNOWN: what the broker has made of the last call can only be asked behind a fence.
    fn without_answer(&self) -> Option<Action> {
        match &self.next {
            Action::Stage(_) | Action::Abort(_) | Action::Mark(_) | Action::Commit(_) if self.uses_producer() => Some(Action::Fence),
            // These can be repeated. COMMITTED(0) waits for the sources that say where they begin.
            again @ (Action::Peek | Action::Fence | Action::Ask | Action::WriteFirst(_) | Action::Forward(Part::Deliver, _)) => Some(again.clone()),
            _ => None,
        }
    }

    fn carry_out(&self, decision: Decision) -> Action {
        match decision {
            Decision::Forward(identity) => Action::Forward(Part::Apply, identity),
            Decision::Resume { committed, discard } => match discard {
                Prepared::Absent => self.rest(committed),
                Prepared::Torn => Action::DropPrepared { committed },
                Prepared::Valid { identity, .. } => Action::DeleteStaged { discarded: identity, committed },
            },
            Decision::Begin(lineage) => Action::Mark(Purpose::Begin(lineage)),
            Decision::Adopt(lineage) => Action::WriteFirst(lineage),
            Decision::Restore(marker) => Action::Mark(Purpose::Restore(marker)),
            Decision::Restored(marker) => Action::Stop(Stop::Restored(marker)),
        }
    }

    const fn committed(&self, purpose: Purpose) -> Action {
        match purpose {
            Purpose::Begin(lineage) => Action::WriteFirst(lineage),
            Purpose::Epoch { identity, .. } => Action::Forward(Part::Apply, identity),
            Purpose::Renew(marker) => self.rest(marker),
            Purpose::Restore(marker) => Action::Stop(Stop::Restored(marker)),
        }
    }

    const fn rest(&self, committed: Marker) -> Action {
        if self.producer_is_spent { Action::Fence } else { Action::Wait { committed } }
    }

    fn uses_producer(&self) -> bool {
        self.point == CommitPoint::Transaction && matches!(self.next, Action::Fence | Action::Stage(_) | Action::Abort(_) | Action::Mark(_) | Action::Commit(_))
    }

    fn out_of_turn(&self, outcome: &Outcome) -> OutOfTurn {
        OutOfTurn { action: self.next.name(), outcome: format!("{outcome:?}") }
    }
}

const fn failed(failure: Failure) -> Action {
    Action::Stop(Stop::Failed(failure))
}

/// The age of a transaction in a message.
struct Age(Option<Duration>);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(age) => write!(f, " (open for {:.1} s)", age.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests;
