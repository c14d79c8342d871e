//! The transaction as a process sees it: the marker, the commit, the abort, and the answers that may be missing.

use weir::epoch::commit::{Checksum, Draft, Marker, Outcome, Purpose};
use weir::epoch::recovery::CommitPoint;

use super::Luck::{self, Bad, Good};
use super::Turn;
use crate::commit_model::files::FileName;
use crate::commit_model::setup::Rule;
use crate::commit_model::world::{End, Process, Transaction, World};

impl Turn<'_> {
    pub(super) fn mark(&mut self, purpose: Purpose) {
        if self.is_fenced() {
            return self.tell("is fenced", Good, self.fenced(), |_| None);
        }
        let first_is_faked = self.leaves_out(Rule::FirstMarker) && matches!(purpose, Purpose::Begin(_));
        let apart = self.leaves_out(Rule::MarkerInTransaction);
        let state = self.world.disks[self.folder].state;
        match purpose {
            Purpose::Epoch { identity, .. } => {
                self.tell("is in", Good, Outcome::Done, move |world| {
                    world.broker.carries = (!apart).then_some(Marker::Epoch(identity));
                    None
                });
                self.tell("the epoch is given up", Bad, Outcome::GivenUp, |_| None);
                self.tell("has no answer", Bad, Outcome::NoAnswer, |_| None);
            }
            _ if first_is_faked => self.tell("is left out", Good, Outcome::Done, |_| None),
            Purpose::Begin(_) | Purpose::Renew(_) | Purpose::Restore(_) => {
                if self.world.broker.transaction == Transaction::None {
                    self.tell("is in, alone", Good, Outcome::Done, move |world| {
                        world.broker.begin(state, state, Some(purpose.marker()));
                        None
                    });
                }
            }
        }
    }

    pub(super) fn commit(&mut self, process: &Process, purpose: Purpose) {
        if self.leaves_out(Rule::FirstMarker) && matches!(purpose, Purpose::Begin(_)) {
            return self.tell("is left out", Good, Outcome::Done, |_| None);
        }
        let committed = !self.is_fenced() && self.world.broker.last == Some(End::Commit);
        if process.called {
            self.commit_answer(committed, purpose);
        } else if self.is_fenced() {
            self.tell("is fenced", Good, self.fenced(), |_| None);
        } else {
            self.call(if process.repeated { "is called again" } else { "is called" }, End::Commit);
            if process.repeated {
                self.no_answer("is not called again", Good);
            }
        }
    }

    fn commit_answer(&mut self, committed: bool, purpose: Purpose) {
        let apart = self.leaves_out(Rule::MarkerInTransaction);
        if committed {
            self.tell("is answered", Good, Outcome::Done, move |world| {
                if apart {
                    world.broker.marker = Some(purpose.marker());
                    world.readers.marker = Some(purpose.marker());
                }
                None
            });
        } else if self.is_fenced() {
            self.tell("is fenced", Good, self.fenced(), |_| None);
        }
        let luck = if committed || self.world.broker.wire.is_some() { Bad } else { Good };
        self.no_answer("has no answer", luck);
        let slot = self.slot;
        self.tell("may be called again", luck, Outcome::Retriable, move |world| {
            if let Some(process) = &mut world.processes[slot] {
                process.repeated = true;
            }
            None
        });
    }

    fn no_answer(&mut self, what: &'static str, luck: Luck) {
        let slot = self.slot;
        let taken_for_aborted = self.leaves_out(Rule::AskWhenUnknown);
        self.tell(what, luck, Outcome::NoAnswer, move |world| {
            if let Some(process) = &mut world.processes[slot] {
                process.taken_for_aborted = taken_for_aborted;
            }
            None
        });
    }

    pub(super) fn abort(&mut self, process: &Process, draft: Draft) {
        let name = FileName::of(&draft.identity(Checksum(0)));
        let delete = move |world: &mut World| {
            world.delete_staged(|staged| staged == name);
            None
        };
        if self.setup.point != CommitPoint::Transaction {
            return self.tell("is done", Good, Outcome::Done, delete);
        }
        let aborted = !self.is_fenced() && self.world.broker.last == Some(End::Abort);
        if process.called && aborted {
            self.tell("is answered", Good, Outcome::Done, delete);
        } else if self.is_fenced() {
            self.tell("is fenced", Good, self.fenced(), |_| None);
        } else if !process.called {
            return self.call("is called", End::Abort);
        }
        if process.called {
            let outcome = if self.leaves_out(Rule::FreshProducerAfterAbort) { Outcome::Done } else { Outcome::NoAnswer };
            let luck = if !self.is_fenced() && self.world.broker.wire.is_some() { Bad } else { Good };
            self.tell("has no answer", luck, outcome, |_| None);
        }
    }

    fn call(&mut self, what: &'static str, end: End) {
        let late_commit = self.setup.late_commit;
        self.push(what, Good, |world, slot| {
            let broker = &mut world.broker;
            if broker.transaction == Transaction::Open {
                broker.late |= late_commit && broker.wire == Some(End::Commit);
                broker.wire = Some(end);
            }
            if let Some(process) = &mut world.processes[slot] {
                process.called = true;
            }
            None
        });
    }
}
