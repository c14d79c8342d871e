//! The start of a process: the lock, the look, the fence, the question.

use weir::epoch::commit::{Action, Marker, Outcome};
use weir::epoch::recovery::{CommitPoint, Facts, Start, Verdict};

use super::Luck::Good;
use super::{Turn, observe};
use crate::commit_model::setup::{Rule, Second};
use crate::commit_model::world::{CopyState, OFFSETS, Process, Transaction, World, lineage};

impl Turn<'_> {
    pub(super) fn start(&mut self) {
        if self.slot == 1 {
            match self.setup.second {
                Second::None | Second::Reset => return,
                Second::Copy | Second::TornCopy if self.world.copy != CopyState::Done => return,
                _ => {}
            }
        }
        let disk = &self.world.disks[self.folder];
        let reset = self.setup.second == Second::Reset && self.world.copy == CopyState::Done;
        let start = if reset && disk.is_new() { Start::New } else { Start::Ordinary };
        self.start_as("starts", start);

        // The operator looks into the output when everything is quiet.
        let broker = &self.world.broker;
        let quiet = broker.expired && broker.marker.is_none() && broker.transaction == Transaction::None;
        if quiet && disk.locked_by.is_none() && disk.committed.is_some() && self.world.is_rightful(self.setup, self.folder) {
            let prepared = disk.prepared.map(|record| Marker::Epoch(record.identity));
            let verdict = if prepared.is_some() && prepared == self.world.readers.marker { Verdict::Committed } else { Verdict::Aborted };
            self.start_as("starts `weir recover --assume`", Start::Assume(verdict));
        }
    }

    fn start_as(&mut self, what: &'static str, start: Start) {
        let process = Process::new(self.setup, start);
        if self.setup.second == Second::SameFolder || self.setup.point != CommitPoint::Transaction {
            return self.push(what, Good, |world, slot| {
                world.processes[slot] = Some(process);
                None
            });
        }
        // Nobody else can want the lock.
        let (setup, folder) = (self.setup, self.folder);
        self.push(what, Good, |world, slot| {
            world.processes[slot] = Some(process);
            let refused = observe(setup, world, slot, Outcome::Done);
            world.lock(folder, slot);
            refused
        });
    }

    pub(super) fn lock(&mut self) {
        let folder = self.folder;
        if self.world.disks[folder].locked_by.is_some() && !self.leaves_out(Rule::Lock) {
            return self.tell("is held: exits", Good, Outcome::Held, |_| None);
        }
        let slot = self.slot;
        self.tell("locks it", Good, Outcome::Done, |world| {
            world.lock(folder, slot);
            None
        });
    }

    pub(super) fn peek(&mut self, process: &Process) {
        let mut facts = self.facts();
        let disk = &self.world.disks[self.folder];
        let known = disk.prepared.filter(|record| !record.torn).map(|record| record.identity.epoch.0);
        let last = known.max(disk.committed.map(|marker| marker.epoch().0)).unwrap_or(0);
        let hopeless = facts.marker.is_some_and(|marker| marker.lineage() != facts.folder.lineage || marker.epoch().0 > last);
        let begins_anew = process.start == Start::New && disk.is_new();
        if self.leaves_out(Rule::Peek) {
            facts.marker = None;
        }
        let slot = self.slot;
        self.tell("looks", Good, Outcome::Facts(Box::new(facts)), move |world| {
            let goes_on = world.processes[slot].is_some();
            (goes_on && hopeless && !begins_anew).then_some("a start that had to be refused went on to fence a healthy process")
        });
    }

    pub(super) fn fence(&mut self, process: &Process) {
        if self.leaves_out(Rule::FenceBeforeAsking) {
            let slot = self.slot;
            return self.tell("is put off", Good, Outcome::Done, move |world| {
                if let Some(process) = &mut world.processes[slot] {
                    process.owes_fence = true;
                }
                None
            });
        }
        if process.repeated && self.leaves_out(Rule::FreshProducerAfterRepeat) {
            return self.tell("is skipped", Good, Outcome::Done, |_| None);
        }
        let slot = self.slot;
        match self.world.broker.transaction {
            Transaction::Open => self.end_foreign_transaction(),
            Transaction::None => self.tell("others are fenced", Good, Outcome::Done, move |world| {
                take_over(world, slot);
                None
            }),
            Transaction::Committing | Transaction::Aborting => {}
        }
    }

    /// Only when a rule is left out: the decision is made, and now comes the fence.
    pub(super) fn fence_at_last(&mut self) {
        match self.world.broker.transaction {
            Transaction::Open => self.end_foreign_transaction(),
            Transaction::None => self.push("the fence comes late", Good, |world, slot| {
                take_over(world, slot);
                if let Some(process) = &mut world.processes[slot] {
                    process.owes_fence = false;
                }
                None
            }),
            Transaction::Committing | Transaction::Aborting => {}
        }
    }

    fn end_foreign_transaction(&mut self) {
        let setup = self.setup;
        self.push("the open transaction is aborted", Good, |world, _| {
            world.broker.abort(setup);
            world.broker.owner = None;
            world.broker.late = false;
            None
        });
    }

    pub(super) fn ask(&mut self) {
        let broker = &self.world.broker;
        let pending = (broker.transaction == Transaction::Open && broker.carries.is_some()) || broker.unwritten & OFFSETS != 0;
        if self.setup.point == CommitPoint::Transaction && pending {
            return;
        }
        let facts = self.lie_about(self.facts());
        let (folder, slot) = (self.folder, self.slot);
        self.tell("is answered", Good, Outcome::Facts(Box::new(facts)), move |world| {
            let process = world.processes[slot].as_mut()?;
            process.taken_for_aborted = false;
            let disk = &world.disks[folder];
            match process.protocol.action() {
                Action::Forward(..) if disk.forwarded && disk.committed == disk.prepared.map(|record| Marker::Epoch(record.identity)) => {
                    Some("a start delivers a finished epoch again")
                }
                _ => None,
            }
        });
    }

    fn facts(&self) -> Facts {
        let broker = &self.world.broker;
        let disk = &self.world.disks[self.folder];
        let own = disk.lineage.unwrap_or(lineage(0));
        disk.facts(broker.marker, !broker.touched, own)
    }
}

fn take_over(world: &mut World, slot: usize) {
    let broker = &mut world.broker;
    broker.owner = Some(slot);
    (broker.last, broker.wire, broker.late) = (None, None, false);
}
