//! The line. The commit protocol says which step comes next, and this does it: one loop, one epoch at a time. It names the traits of every stage and none of the
//! libraries behind them; what is decided, is decided by pure functions next door.
//!
//! ```text
//!  Wait ── trigger fires ─► Stage: 1 PLAN  2 READ  3 DECODE  4 STEPS  5 STAGE ─► Prepare: 6 ─► Mark, Commit: 7 ─► Forward: 8 ─► Wait
//! ```

mod facts;
mod forward;
mod make;
mod pace;
mod report;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use super::clock::{Clock, Lap, Stopwatch};
use super::commit::{Action, Attempt, Failure, Outcome, Part, Protocol, Purpose, Stop};
use super::graph::Graph;
use super::limits::Limits;
use super::plan::Plan;
use super::rate::{Estimator, Gains};
use super::recovery::{CommitPoint, Start};
use super::stage::{Refused, Staged};
use super::trigger::{Last, Trigger};
use crate::failpoint;
use crate::observe::progress::ProgressLog;
use crate::operator::event_time::Times;
use crate::rows::Chunk;
use crate::sink::{Marker, Transaction, TransactionError};
use crate::source::Positions;
use crate::state::{EpochRecord, Prepared, StateError, Store};
use crate::time::watermark::Tracker;

/// How long a call to the broker may take before its outcome is unknown.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the driver rests before it asks a broker again that has not answered.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How often a commit without an answer is called again before a new producer asks for its outcome.
const COMMIT_CALLS: u32 = 3;

/// What a pipeline runs with.
pub struct Parts {
    /// Its name.
    pub name: String,
    /// Sources, steps and sinks.
    pub graph: Graph,
    /// The transaction that is the commit point, when Kafka is in the pipeline.
    pub transaction: Option<Box<dyn Transaction>>,
    /// The state folder, locked.
    pub store: Arc<Store>,
    /// When epochs begin.
    pub trigger: Trigger,
    /// How much an epoch reads.
    pub limits: Limits,
    /// How it is fitted to what the pipeline can take; none: it is not.
    pub backpressure: Option<Gains>,
    /// How many rows of an epoch may be refused: rejected, read -> allowed.
    pub max_rejected: Box<dyn Fn(u64, u64) -> bool + Send>,
    /// The time.
    pub clock: Box<dyn Clock>,
    /// Where progress goes.
    pub progress: ProgressLog,
    /// What the operator asked for.
    pub start: Start,
    /// Sees the rows of each step and sink, for fixtures.
    pub tap: Option<Tap>,
}

/// Sees the rows of each step by its id.
pub type Tap = Box<dyn FnMut(&str, &[Chunk]) + Send>;

/// Drives a pipeline.
pub struct Driver {
    parts: Parts,
    protocol: Protocol,
    /// What the last epoch left: COMMITTED, as far as the next one needs it.
    committed: Option<EpochRecord>,
    trackers: Vec<Tracker>,
    /// The epoch that is being made, until it is forwarded or thrown away.
    made: Option<Made>,
    /// The record that has been prepared.
    prepared: Option<Arc<Prepared>>,
    /// The plan of the epoch that is due, or that is made again.
    planned: Option<Plan>,
    /// Records that the broker has refused in the epoch that is made again.
    refused: Refused,
    /// The ends past which an `available-now` run does not read, by source.
    frozen: Option<Vec<Positions>>,
    run: Run,
}

/// What this run of the process has seen.
struct Run {
    id: String,
    epochs: u64,
    last: Option<Last>,
    estimator: Option<Estimator>,
    last_report: Option<Duration>,
    last_commit: Duration,
    transaction_since: Option<Stopwatch>,
    commit_calls: u32,
    source_waits: u64,
    /// Why the brokers turn the pipeline away: the run is over.
    denied: Option<String>,
}

/// What an epoch has come to, up to its commit point.
pub(super) struct Made {
    plan: Plan,
    staged: Staged,
    trackers: Vec<Tracker>,
    stats: Stats,
    begun: Duration,
    watch: Stopwatch,
}

/// What is told of an epoch.
#[derive(Debug, Default)]
pub(super) struct Stats {
    input_rows: Vec<u64>,
    late_rows: u64,
    null_event_time_rows: u64,
    times: Times,
    stage_us: std::collections::BTreeMap<&'static str, u64>,
    cpu_us: std::collections::BTreeMap<&'static str, u64>,
    operators: Vec<crate::observe::progress::StateOperator>,
    steps: Vec<crate::observe::progress::StepProgress>,
}

impl Stats {
    fn took(&mut self, stage: &'static str, lap: Lap) {
        *self.stage_us.entry(stage).or_default() += lap.wall_us;
        *self.cpu_us.entry(stage).or_default() += lap.cpu_us;
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Asked to stop.
    Stopped,
    /// The trigger has nothing more to do.
    Finished,
    /// Nothing to do now (only with [`Until::Idle`]).
    Idle,
    /// The marker was written again, or found.
    Restored(String),
}

/// How long to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until asked to stop, or the trigger is done.
    Done,
    /// Until there is nothing to do.
    Idle,
}

impl Driver {
    /// A pipeline that is about to start.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let point = if parts.transaction.is_some() { CommitPoint::Transaction } else { CommitPoint::Prepared };
        let protocol = Protocol::new(point, parts.start);
        let run = Run {
            id: uuid::Uuid::new_v4().to_string(),
            epochs: 0,
            last: None,
            estimator: parts.backpressure.map(Estimator::new),
            last_report: None,
            last_commit: parts.clock.now(),
            transaction_since: None,
            commit_calls: 0,
            source_waits: 0,
            denied: None,
        };
        let trackers = parts.graph.event_times.iter().filter_map(|declared| declared.rule).map(Tracker::new).collect();
        let (committed, made, prepared, planned) = (None, None, None, None);
        Self { parts, protocol, committed, trackers, made, prepared, planned, refused: Refused::default(), frozen: None, run }
    }

    /// Runs the pipeline. May be called again after `Idle` and `Finished`.
    ///
    /// # Errors
    /// Why the pipeline stopped by itself. Nothing of the epoch that was being made has been delivered.
    pub fn run(&mut self, until: Until) -> anyhow::Result<Ended> {
        let ended = self.drive(until);
        if ended.is_err() && matches!(self.protocol.action(), Action::Stage(_) | Action::Mark(_)) {
            // A courtesy to readers of the topics: otherwise they wait until the transaction's timeout.
            self.abort_transaction();
        }
        ended
    }

    fn drive(&mut self, until: Until) -> anyhow::Result<Ended> {
        loop {
            let action = self.protocol.action().clone();
            let mut watch = Stopwatch::start();
            let outcome = match &action {
                Action::Lock => Outcome::Done, // the store that this was made with is locked
                Action::Peek | Action::Ask => self.facts()?,
                Action::Fence => self.fence(),
                Action::DeleteStaged { .. } => Outcome::Done, // no sink stages files yet
                Action::DropPrepared { .. } => self.durable(Store::drop_prepared),
                Action::WriteFirst(lineage) => self.write_first(*lineage)?,
                Action::Wait { .. } => match self.wait(until)? {
                    wait::Waited::Outcome(outcome) => outcome,
                    wait::Waited::Ended(ended) => return Ok(ended),
                },
                Action::Stage(draft) => self.make(*draft)?,
                Action::Prepare(draft) => self.prepare(*draft)?,
                Action::Abort(_) => self.abort()?,
                Action::Mark(purpose) => self.mark(purpose)?,
                Action::Commit(purpose) => self.commit(purpose),
                Action::Forward(part, identity) => self.forward(*part, identity)?,
                Action::Stop(Stop::Asked) => return Ok(Ended::Stopped),
                Action::Stop(Stop::Restored(marker)) => return Ok(Ended::Restored(marker.to_string())),
                Action::Stop(Stop::Failed(failure)) => return Err(self.failed(failure.clone())),
            };
            if let Some(reason) = self.run.denied.take() {
                anyhow::bail!("pipeline `{}`: the Kafka client of its transactions: {reason}", self.parts.name);
            }
            passed(&action, &outcome);
            self.note(&action, watch.lap());
            if outcome == Outcome::NoAnswer {
                if self.parts.clock.stopping() && matches!(self.protocol.action(), Action::Peek | Action::Fence | Action::Ask | Action::Forward(..)) {
                    return Ok(Ended::Stopped);
                }
                self.parts.clock.pause(RETRY_PAUSE);
            }
            self.protocol.observe(outcome)?;
        }
    }

    /// Takes a new producer. What is in memory may be of an epoch that never happened, so the next wait puts it back to what is stored.
    fn fence(&mut self) -> Outcome {
        self.run.transaction_since = None;
        self.committed = None;
        self.with_transaction(|transaction| transaction.fence(CALL_TIMEOUT))
    }

    /// Puts the marker into the transaction: it is open for an epoch, whose rows the brokers have by then, and begun here for any other purpose.
    fn mark(&mut self, purpose: &Purpose) -> anyhow::Result<Outcome> {
        if let Purpose::Epoch { .. } = purpose
            && let Some(outcome) = self.flush()?
        {
            return Ok(outcome);
        }
        let positions = self.shown_positions(purpose);
        let marker = purpose.marker();
        let marker = Marker { epoch: marker.epoch().0, identity: marker.to_string() };
        let begin = !matches!(purpose, Purpose::Epoch { .. });
        self.run.commit_calls = 0;
        Ok(self.with_transaction(|transaction| {
            if begin {
                transaction.begin()?;
            }
            transaction.mark(&marker, &positions, CALL_TIMEOUT)
        }))
    }

    /// Commits: here the epoch happens.
    fn commit(&mut self, purpose: &Purpose) -> Outcome {
        self.run.commit_calls += 1;
        let outcome = match self.with_transaction(|transaction| transaction.commit(CALL_TIMEOUT)) {
            Outcome::NoAnswer if self.run.commit_calls < COMMIT_CALLS => Outcome::Retriable,
            other => other,
        };
        if outcome == Outcome::Done {
            self.run.transaction_since = None;
            self.run.last_commit = self.parts.clock.now();
            tracing::debug!(marker = %purpose.marker(), "committed");
        }
        outcome
    }

    /// Throws the epoch away that was being made: its plan stays, so that it is made again as it was.
    fn abort(&mut self) -> anyhow::Result<Outcome> {
        let outcome = self.abort_transaction();
        self.forget()?;
        Ok(outcome)
    }

    fn abort_transaction(&mut self) -> Outcome {
        if self.run.transaction_since.is_none() {
            return Outcome::Done;
        }
        let outcome = self.with_transaction(|transaction| transaction.abort(CALL_TIMEOUT));
        if outcome == Outcome::Done {
            self.run.transaction_since = None;
        }
        outcome
    }

    /// Calls the broker, in the protocol's words.
    fn with_transaction(&mut self, call: impl FnOnce(&mut dyn Transaction) -> Result<(), TransactionError>) -> Outcome {
        let Some(transaction) = self.parts.transaction.as_deref_mut() else { return Outcome::Done };
        match call(transaction) {
            Ok(()) => Outcome::Done,
            Err(error) => self.answer(&error),
        }
    }

    fn answer(&mut self, error: &TransactionError) -> Outcome {
        match error {
            TransactionError::Denied { reason } => {
                self.run.denied = Some(reason.clone());
                // Nothing more is said to these brokers, not even a courtesy.
                self.run.transaction_since = None;
                Outcome::NoAnswer
            }
            TransactionError::Fenced { .. } => Outcome::Fenced { transaction_age: self.run.transaction_since.map(|since| since.elapsed()) },
            TransactionError::MustAbort { reason } if matches!(self.protocol.action(), Action::Stage(_) | Action::Mark(_)) => {
                tracing::warn!(reason, "the transaction must be aborted; the epoch is made again");
                Outcome::GivenUp
            }
            TransactionError::MustAbort { reason } | TransactionError::Retriable { reason } | TransactionError::Failed { reason } => {
                tracing::warn!(reason, during = self.protocol.action().name(), "no answer from the broker; asking again");
                Outcome::NoAnswer
            }
        }
    }

    /// Notes how long a step behind the making of an epoch took.
    fn note(&mut self, action: &Action, took: Lap) {
        let stage = match action {
            Action::Mark(_) | Action::Commit(_) => "commit",
            Action::Forward(..) => "forward",
            _ => return,
        };
        if let Some(made) = &mut self.made {
            made.stats.took(stage, took);
        }
    }

    /// A durable write: one that fails is never tried again.
    fn durable(&self, write: impl FnOnce(&Store) -> Result<(), StateError>) -> Outcome {
        match write(&self.parts.store) {
            Ok(()) => Outcome::Done,
            Err(error) => {
                tracing::error!(error = format!("{:#}", anyhow::Error::from(error)), during = self.protocol.action().name(), "a durable write failed");
                Outcome::WriteFailed
            }
        }
    }

    fn failed(&self, failure: Failure) -> anyhow::Error {
        anyhow::Error::from(failure).context(format!("pipeline `{}`", self.parts.name))
    }

    /// The progress of the last epochs.
    #[must_use]
    pub fn progress(&self) -> &ProgressLog {
        &self.parts.progress
    }

    /// The watermark after the last epoch; none: no event time is declared.
    #[must_use]
    pub fn watermark(&self) -> Option<crate::time::Watermark> {
        super::plan::global(self.parts.graph.watermark_policy, &self.trackers)
    }

    /// The steps, for a look at what they keep.
    pub fn steps(&mut self) -> impl Iterator<Item = &mut super::graph::StepNode> {
        self.parts.graph.steps.iter_mut()
    }
}

/// Passes the failpoint behind a step of the protocol.
fn passed(action: &Action, outcome: &Outcome) {
    let point = match (action, outcome) {
        (Action::Lock, _) => failpoint::LOCKED,
        (Action::Fence, Outcome::Done) => failpoint::FENCED,
        (Action::Commit(Purpose::Begin(_)), Outcome::Done) => failpoint::FIRST_MARKED,
        (Action::WriteFirst(_), Outcome::Done) => failpoint::FIRST_WRITTEN,
        (Action::DropPrepared { .. }, Outcome::Done) => failpoint::DISCARDED,
        (Action::Prepare(_), _) => failpoint::PREPARED,
        (Action::Mark(Purpose::Epoch { .. }), Outcome::Done) => failpoint::MARKED,
        (Action::Commit(Purpose::Epoch { .. }), Outcome::Done) => failpoint::COMMITTED,
        (Action::Forward(Part::Apply, _), _) => failpoint::APPLIED,
        (Action::Forward(Part::Finish, _), _) => failpoint::FORWARDED,
        _ => return,
    };
    failpoint::hit(point);
}

/// A fresh attempt: unpredictable, so that no two tries in any two processes share one.
fn fresh_attempt() -> anyhow::Result<Attempt> {
    Ok(Attempt(getrandom::u64().map_err(|error| anyhow::anyhow!("no random number from the system: {error}"))?))
}
