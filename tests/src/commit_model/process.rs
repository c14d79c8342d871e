//! What a process does: it asks the real protocol for its action, applies that to the world, and tells the outcome. This
//! module owns the effects of actions and the lies about them; which action comes next is never decided here.

mod forward;
mod lies;
mod start;
mod transaction;

use std::time::Duration;

use weir::epoch::commit::{Action, Attempt, Checksum, Draft, Failure, Identity, Marker, Outcome, Part, Stop};
use weir::epoch::recovery::{CommitPoint, Refusal, Start};

use forward::{message, send};

use super::files::FileName;
use super::setup::{Outbox, Rule, Second, Setup};
use super::world::{Disk, Message, OFFSETS, Process, Record, Rows, Transaction, World, number, small};

/// One thing that can happen in a world.
pub(super) struct Step {
    /// What comes of it.
    pub(super) world: World,
    /// Who does it.
    pub(super) who: &'static str,
    /// The action and what happens.
    pub(super) what: (&'static str, &'static str),
    /// Bad luck: the way to the end must not need it.
    pub(super) fault: bool,
    /// The promise that this breaks.
    pub(super) violation: Option<&'static str>,
}

/// All that process `slot` can do next.
pub(super) fn steps(setup: &Setup, world: &World, slot: usize, out: &mut Vec<Step>) {
    let mut turn = Turn { setup, world, slot, folder: folder_of(setup, slot), out };
    match &world.processes[slot] {
        None => turn.start(),
        Some(process) => {
            let action = process.protocol.action();
            turn.kill(action);
            if process.owes_fence && !matches!(action, Action::Ask) {
                turn.fence_at_last();
            } else {
                turn.act(process, action);
            }
        }
    }
}

struct Turn<'a> {
    setup: &'a Setup,
    world: &'a World,
    slot: usize,
    folder: usize,
    out: &'a mut Vec<Step>,
}

/// The way to the end must not need bad luck.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Luck {
    Good,
    Bad,
}
use Luck::{Bad, Good};

impl Turn<'_> {
    fn act(&mut self, process: &Process, action: &Action) {
        match action {
            Action::Lock => self.lock(),
            Action::Peek => self.peek(process),
            Action::Fence => self.fence(process),
            Action::Ask => self.ask(),
            Action::DropPrepared { .. } => self.does("drops it", |disk| disk.prepared = None),
            Action::WriteFirst(lineage) => self.does("writes it", |disk| disk.committed = Some(Marker::Genesis(*lineage))),
            Action::Wait { committed } => self.wait(*committed),
            Action::Prepare(draft) => self.prepare(*draft),
            Action::Mark(purpose) => self.mark(*purpose),
            Action::Commit(purpose) => self.commit(process, *purpose),
            Action::Abort(draft) => self.abort(process, *draft),
            Action::Forward(part, identity) => self.forward(process, *part, *identity),
            Action::DeleteStaged { discarded, .. } => self.delete_staged(*discarded),
            // An epoch is staged as soon as it is due, and a stopped process is gone.
            Action::Stage(_) | Action::Stop(_) => unreachable!("passed at once"),
        }
    }

    /// SIGKILL, with what a write in progress may leave.
    fn kill(&mut self, action: &Action) {
        // Before the fence a process has left no trace, so a kill is the same as not having been started.
        if self.world.kills == self.setup.kills || matches!(action, Action::Lock | Action::Peek) {
            return;
        }
        let folder = self.folder;
        self.push("SIGKILL", Bad, |world, slot| {
            world.kills += 1;
            gone(world, slot);
            None
        });
        if let Action::Prepare(draft) = action {
            let record = Record { torn: true, ..self.record(draft) };
            self.push("SIGKILL in the middle of the record", Bad, |world, slot| {
                world.kills += 1;
                world.disks[folder].prepared = Some(record);
                gone(world, slot);
                None
            });
        }
    }

    fn wait(&mut self, committed: Marker) {
        let idle = committed.epoch().0 >= self.setup.epochs;
        let with_kafka = self.setup.point == CommitPoint::Transaction;
        let broker = &self.world.broker;
        if idle {
            self.tell("stops as asked", Bad, Outcome::StopAsked, |_| None);
        } else if with_kafka && self.is_fenced() {
            let due = Outcome::EpochDue(self.attempt());
            self.tell_both("an epoch is due", due, self.fenced());
        } else if !with_kafka || broker.transaction == Transaction::None {
            self.plan();
        } else if broker.transaction == Transaction::Open {
            // NOTE: cannot be, unless the protocol went on without a fence.
            self.push("an epoch is due", Good, |_, _| Some("Kafka: a transaction was begun inside of another"));
        }
        if self.setup.renewal && with_kafka && self.world.expiries < self.setup.expiries && broker.transaction == Transaction::None {
            self.tell("a renewal is due", Bad, Outcome::RenewalDue, |_| None);
        }
    }

    /// An epoch takes some rows, of content X or Y: made again it may take others.
    fn plan(&mut self) {
        let before = self.world.disks[self.folder].state;
        let most = self.setup.rows_per_epoch.min(self.setup.rows - before.count());
        for (taken, content) in (0..=most).flat_map(|taken| [(taken, 0), (taken, 1)]) {
            if (taken, content) == (0, 1) {
                continue;
            }
            let what = match (taken, content) {
                (0, _) => "an epoch without rows is staged",
                (_, 0) => "an epoch of content X is staged",
                _ => "an epoch of content Y is staged",
            };
            let after = before.with(taken, content);
            self.stage(what, Good, Outcome::Done, before, after);
            if self.tries() < 2 {
                self.stage("an epoch is staged and given up", Bad, Outcome::GivenUp, before, after);
            }
        }
    }

    fn stage(&mut self, what: &'static str, luck: Luck, outcome: Outcome, before: Rows, after: Rows) {
        let due = Outcome::EpochDue(self.attempt());
        let (setup, slot) = (self.setup, self.slot);
        self.push(what, luck, |world, _| {
            if let Some(process) = &mut world.processes[slot] {
                process.planned = (before, after);
                process.tries += u8::from(counts_attempts(setup));
            }
            if setup.point == CommitPoint::Transaction {
                world.broker.begin(before, after, None);
                world.broker.touched |= before != after;
            }
            observe(setup, world, slot, due);
            let Some(Action::Stage(draft)) = world.processes[slot].as_ref().map(|process| process.protocol.action().clone()) else {
                panic!("an epoch that is due is not staged");
            };
            if setup.files && before != after {
                world.stage_file(FileName::of(&draft.identity(Checksum(0))), after);
            }
            if setup.without == Some(Rule::OutboxAfterCommit) {
                send(world, Message { lineage: number(draft.lineage()), epoch: small(draft.epoch()), before, after });
            }
            observe(setup, world, slot, outcome)
        });
    }

    fn delete_staged(&mut self, discarded: Identity) {
        let all = self.leaves_out(Rule::DeleteOnlyNamed);
        let named = FileName::of(&discarded);
        self.tell("deletes them", Good, Outcome::Done, move |world| {
            world.delete_staged(|name| name == named || (all && name.has(discarded.lineage)));
            None
        });
    }

    fn prepare(&mut self, draft: Draft) {
        let record = self.record(&draft);
        let folder = self.folder;
        let checksum = record.identity.checksum;
        let late = self.leaves_out(Rule::PrepareBeforeCommit);
        self.tell("is durable", Good, Outcome::Prepared(checksum), move |world| {
            if !late {
                world.disks[folder].prepared = Some(record);
            }
            None
        });
        if self.world.disk_errors < self.setup.disk_errors {
            let left = [("fails: the old one stays", None), ("fails: it is torn", Some(true)), ("fails, and is there", Some(false))];
            for (what, torn) in left {
                let ignored = self.leaves_out(Rule::Poison);
                let outcome = if ignored { Outcome::Prepared(checksum) } else { Outcome::WriteFailed };
                self.tell(what, Bad, outcome, move |world| {
                    world.disk_errors += 1;
                    if let Some(torn) = torn {
                        world.disks[folder].prepared = Some(Record { torn, ..record });
                    }
                    None
                });
            }
        }
    }

    fn does(&mut self, what: &'static str, effect: impl FnOnce(&mut Disk)) {
        let folder = self.folder;
        self.tell(what, Good, Outcome::Done, move |world| {
            effect(&mut world.disks[folder]);
            None
        });
    }

    /// The outcome is told, and what the action did to the world is applied around it. The effect sees the process after
    /// it has been told.
    fn tell(&mut self, what: &'static str, luck: Luck, outcome: Outcome, effect: impl FnOnce(&mut World) -> Option<&'static str>) {
        let setup = self.setup;
        self.push(what, luck, |world, slot| {
            let refused = observe(setup, world, slot, outcome);
            effect(world).or(refused)
        });
    }

    fn tell_both(&mut self, what: &'static str, first: Outcome, second: Outcome) {
        let setup = self.setup;
        self.push(what, Good, |world, slot| observe(setup, world, slot, first).or_else(|| observe(setup, world, slot, second)));
    }

    fn push(&mut self, what: &'static str, luck: Luck, effect: impl FnOnce(&mut World, usize) -> Option<&'static str>) {
        let mut world = self.world.clone();
        let violation = effect(&mut world, self.slot);
        settle(self.setup, &mut world, self.slot, self.folder);
        world.forget_what_cannot_matter(self.setup);
        let action = self.world.processes[self.slot].as_ref().map_or("", |process| process.protocol.action().name());
        let who = if self.slot == 0 { "A" } else { "B" };
        self.out.push(Step { world, who, what: (action, what), fault: luck == Bad, violation });
    }

    fn record(&self, draft: &Draft) -> Record {
        let planned = self.world.processes[self.slot].as_ref().map(|process| process.planned);
        let (before, after) = planned.unwrap_or((Rows::NONE, Rows::NONE));
        let checksum = Rows::checksum(before, after);
        Record { identity: draft.identity(checksum), base: draft.base, before, after, torn: false }
    }

    fn attempt(&self) -> Attempt {
        if counts_attempts(self.setup) { Attempt(u64::from(self.tries()) + 1) } else { self.world.fresh_attempt() }
    }

    /// How many attempts the process has made, where they are counted.
    fn tries(&self) -> u8 {
        self.world.processes[self.slot].as_ref().map_or(0, |process| process.tries)
    }

    fn is_fenced(&self) -> bool {
        self.world.broker.owner != Some(self.slot)
    }

    fn fenced(&self) -> Outcome {
        Outcome::Fenced { transaction_age: Some(Duration::from_secs(61)) }
    }

    fn leaves_out(&self, rule: Rule) -> bool {
        self.setup.without == Some(rule)
    }
}

/// Tells the protocol an outcome; a process that has stopped is gone. What comes back is a refusal that should not be.
fn observe(setup: &Setup, world: &mut World, slot: usize, outcome: Outcome) -> Option<&'static str> {
    let process = world.processes[slot].as_mut()?;
    let fenced = matches!((process.protocol.action(), &outcome), (Action::Fence, Outcome::Done));
    if let Err(error) = process.protocol.observe(outcome) {
        panic!("{error}");
    }
    process.called = false;
    process.repeated &= !fenced;
    if !matches!(process.protocol.action(), Action::Stage(_) | Action::Prepare(_)) && setup.without != Some(Rule::PrepareBeforeCommit) {
        process.planned = (Rows::NONE, Rows::NONE);
    }
    // An operator may be told that the world has moved on.
    let by_operator = matches!(process.start, Start::Assume(_));
    let Action::Stop(stop) = process.protocol.action().clone() else { return None };
    let violation = match &stop {
        Stop::Failed(Failure::Refused(refusal)) if !by_operator => undue(setup, world, folder_of(setup, slot), refusal),
        _ => None,
    };
    gone(world, slot);
    violation
}

/// Refusals that the rightful folder, or a marker that never expired, must not meet.
fn undue(setup: &Setup, world: &World, folder: usize, refusal: &Refusal) -> Option<&'static str> {
    match refusal {
        // The old marker of a life that has just been ended with `--new`; starting again cures it.
        Refusal::Foreign { .. } if world.broker.unwritten & OFFSETS != 0 => None,
        Refusal::MarkerMissing { .. } | Refusal::SinksTouched { .. } if !world.broker.expired => {
            Some("refused: the marker is missing, although nothing expired")
        }
        Refusal::NotOneMoment { .. } | Refusal::NotForwarded { .. } if setup.second != Second::TornCopy => {
            Some("refused: the folder is said not to be of one moment, although it is")
        }
        Refusal::MarkerMissing { .. } | Refusal::SinksTouched { .. } | Refusal::NotOneMoment { .. } | Refusal::NotForwarded { .. } => None,
        _ if world.is_rightful(setup, folder) => Some("refused: the folder is the rightful one"),
        _ => None,
    }
}

/// Goes through the actions that do nothing here: there is no manifest, and an epoch without rows has no file and no outbox.
fn settle(setup: &Setup, world: &mut World, slot: usize, folder: usize) {
    while let Some(process) = &mut world.processes[slot] {
        let idle = match process.protocol.action() {
            Action::DeleteStaged { .. } => !setup.files,
            Action::Forward(Part::List, _) => true,
            Action::Forward(Part::Publish, identity) => !setup.files || message(&world.disks[folder], *identity).is_none(),
            Action::Forward(Part::Deliver, identity) => {
                setup.outbox == Outbox::None || setup.without == Some(Rule::OutboxAfterCommit) || message(&world.disks[folder], *identity).is_none()
            }
            _ => false,
        };
        if !idle {
            return;
        }
        if let Some(violation) = observe(setup, world, slot, Outcome::Done) {
            unreachable!("{violation}");
        }
    }
}

fn gone(world: &mut World, slot: usize) {
    world.processes[slot] = None;
    for disk in &mut world.disks {
        disk.locked_by = disk.locked_by.filter(|holder| *holder != slot);
    }
    world.broker.owner = world.broker.owner.filter(|owner| *owner != slot);
}

fn counts_attempts(setup: &Setup) -> bool {
    matches!(setup.without, Some(Rule::RandomAttempt | Rule::AttemptAndChecksum))
}

fn folder_of(setup: &Setup, slot: usize) -> usize {
    if setup.second == Second::SameFolder { 0 } else { slot }
}
