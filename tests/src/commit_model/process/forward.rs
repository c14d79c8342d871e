//! The parts of FORWARD, and the promises that are checked where state, files and outbox change.

use weir::epoch::commit::{Draft, Identity, Marker, Outcome, Part};
use weir::epoch::recovery::CommitPoint;

use super::Luck::{Bad, Good};
use super::Turn;
use crate::commit_model::files::FileName;
use crate::commit_model::setup::{Outbox, Rule, Setup};
use crate::commit_model::surroundings;
use crate::commit_model::world::{Disk, Message, Process, World, number, small};

impl Turn<'_> {
    pub(super) fn forward(&mut self, process: &Process, part: Part, identity: Identity) {
        let (setup, folder) = (self.setup, self.folder);
        match part {
            Part::Apply => {
                let disk = &self.world.disks[folder];
                if self.leaves_out(Rule::PrepareBeforeCommit) && disk.prepared.is_none_or(|record| record.identity != identity) {
                    let draft = disk.committed.map(|base| Draft { base, attempt: identity.attempt });
                    if let Some(record) = draft.map(|draft| self.record(&draft)) {
                        self.push("PREPARED is written late", Good, |world, _| {
                            world.disks[folder].prepared = Some(record);
                            None
                        });
                    }
                    return;
                }
                self.tell("is written", Good, Outcome::Done, move |world| apply(setup, world, folder, identity));
            }
            Part::Deliver => self.deliver(process, identity),
            Part::Finish => self.tell("is written", Good, Outcome::Done, move |world| finish(setup, world, folder)),
            Part::Publish => {
                let record = self.world.disks[folder].prepared;
                self.tell("is renamed", Good, Outcome::Done, move |world| {
                    record.and_then(|record| world.publish(FileName::of(&record.identity), record.after))
                });
            }
            Part::List => unreachable!("there is no manifest"),
        }
    }

    fn deliver(&mut self, process: &Process, identity: Identity) {
        let Some(message) = message(&self.world.disks[self.folder], identity) else { return };
        let receiver = &self.world.receiver;
        let slot = self.slot;
        if self.leaves_out(Rule::ForwardBeforeNext) {
            return self.tell("is sent", Good, Outcome::Done, move |world| {
                send(world, message);
                None
            });
        }
        if !process.called {
            if receiver.wire.contains(&None) {
                self.push("is sent", Good, |world, _| {
                    send(world, message);
                    if let Some(process) = &mut world.processes[slot] {
                        process.called = true;
                    }
                    None
                });
            }
        } else if !receiver.wire.contains(&Some(message)) {
            if receiver.tokens[surroundings::token_row(self.setup, message)] & 1 << message.epoch == 0 {
                return self.tell("is lost", Good, Outcome::NoAnswer, |_| None);
            }
            self.tell("is answered", Good, Outcome::Done, |_| None);
            self.tell("has no answer", Bad, Outcome::NoAnswer, |_| None);
        }
    }
}

fn apply(setup: &Setup, world: &mut World, folder: usize, identity: Identity) -> Option<&'static str> {
    let disk = &mut world.disks[folder];
    let Some(record) = disk.prepared else { return Some("state: there is no record to apply") };
    let violation = if record.torn {
        Some("state: a torn record was applied")
    } else if disk.state != record.before && disk.state != record.after {
        Some("state: the delta was applied to a state that it was not made on")
    } else if !record.after.is_prefix_of(world.readers.rows) && setup.point == CommitPoint::Transaction {
        Some("state: holds rows that were not delivered so")
    } else if setup.without == Some(Rule::AbsoluteDelta) && disk.state == record.after && record.before != record.after {
        Some("state: the delta was applied twice")
    } else {
        None
    };
    disk.state = record.after;
    disk.forwarded &= disk.committed == Some(Marker::Epoch(identity));
    disk.committed = Some(Marker::Epoch(record.identity));
    violation
}

fn finish(setup: &Setup, world: &mut World, folder: usize) -> Option<&'static str> {
    let disk = &mut world.disks[folder];
    disk.forwarded = true;
    let state = disk.state;
    if setup.point == CommitPoint::Transaction && !state.is_prefix_of(world.readers.rows) {
        return Some("state: differs from what readers see");
    }
    let receiver = &world.receiver;
    let taken = |row: u32| receiver.taken & 1 << row != 0 && receiver.contents >> row & 1 == state.content(row);
    if setup.outbox != Outbox::None && !(0..state.count()).all(taken) {
        return Some("outbox: a finished epoch's rows never reached the receiver, or others did");
    }
    None
}

/// The rows of the epoch for the outbox; none if it has no rows.
pub(super) fn message(disk: &Disk, identity: Identity) -> Option<Message> {
    let record = disk.prepared?;
    let rows = record.before != record.after;
    rows.then(|| Message { lineage: number(identity.lineage), epoch: small(identity.epoch), before: record.before, after: record.after })
}

pub(super) fn send(world: &mut World, message: Message) {
    if message.before != message.after
        && let Some(free) = world.receiver.wire.iter_mut().find(|slot| slot.is_none())
    {
        *free = Some(message);
    }
}
