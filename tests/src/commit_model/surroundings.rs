//! What happens around the processes: wire, broker, receiver, operator. This module owns their behaviour and the promises
//! that are checked where rows become visible; it knows nothing of the protocol.

use weir::epoch::commit::Marker;
use weir::epoch::recovery::CommitPoint;

use super::process::Step;
use super::setup::{Outbox, Rule, Second, Setup};
use super::world::{CopyState, Disk, End, Message, OFFSETS, Rows, SECOND_SINK, Transaction, World, number};

/// All that can happen without a process.
pub(super) fn steps(setup: &Setup, world: &World, out: &mut Vec<Step>) {
    let mut around = Around { setup, world, out };
    around.wire();
    around.broker();
    around.receiver();
    around.operator();
}

/// Where the receiver keeps the tokens of a message's lineage.
pub(super) fn token_row(setup: &Setup, message: Message) -> usize {
    if setup.without == Some(Rule::LineageInToken) { 0 } else { usize::from(message.lineage) }
}

struct Around<'a> {
    setup: &'a Setup,
    world: &'a World,
    out: &'a mut Vec<Step>,
}

impl Around<'_> {
    fn wire(&mut self) {
        let setup = self.setup;
        let broker = &self.world.broker;
        if let Some(end) = broker.wire {
            let what = if end == End::Commit { "EndTxn(commit) arrives" } else { "EndTxn(abort) arrives" };
            self.push("broker", what, false, |world| {
                world.broker.wire = None;
                end_transaction(setup, world, end)
            });
            self.push("broker", "EndTxn is lost", true, |world| {
                world.broker.wire = None;
                None
            });
        }
        if broker.late && broker.wire.is_none() {
            self.push("broker", "an older EndTxn(commit) of the same producer arrives", true, |world| {
                world.broker.late = false;
                end_transaction(setup, world, End::Commit)
            });
        }
    }

    fn broker(&mut self) {
        let setup = self.setup;
        let broker = &self.world.broker;
        if broker.transaction == Transaction::Open {
            self.push("broker", "the transaction times out", true, |world| {
                world.broker.abort(setup);
                world.broker.owner = None;
                world.broker.late = false;
                None
            });
        }
        for (partition, what) in [(OFFSETS, "the marker's control record is written"), (SECOND_SINK, "a sink's control record is written")] {
            if broker.unwritten & partition != 0 {
                self.push("broker", what, false, |world| {
                    write_control_record(world, partition);
                    None
                });
            }
        }
        if broker.marker.is_some() && self.world.expiries < setup.expiries {
            self.push("broker", "the marker expires", true, |world| {
                world.broker.marker = None;
                world.broker.expired = true;
                world.expiries += 1;
                None
            });
        }
    }

    fn receiver(&mut self) {
        let setup = self.setup;
        let wire = self.world.receiver.wire;
        for (slot, message) in wire.iter().enumerate() {
            let Some(message) = *message else { continue };
            if slot == 1 && wire[0] == wire[1] {
                continue;
            }
            self.push("receiver", "the outbox arrives", false, |world| {
                world.receiver.wire[slot] = None;
                accept(setup, world, message)
            });
            self.push("receiver", "the outbox is lost", true, |world| {
                world.receiver.wire[slot] = None;
                None
            });
        }
    }

    fn operator(&mut self) {
        let first = &self.world.disks[0];
        if first.lineage.is_none() {
            return;
        }
        let store = |world: &mut World| {
            let prepared = world.disks[1].prepared;
            world.disks[1] = Disk { locked_by: None, prepared, ..world.disks[0].clone() };
        };
        let record = |world: &mut World| world.disks[1].prepared = world.disks[0].prepared;
        match (self.setup.second, self.world.copy) {
            (Second::Copy, CopyState::Nothing) => self.copy("copies the state folder", CopyState::Done, |world| {
                store(world);
                record(world);
            }),
            (Second::TornCopy, CopyState::Nothing) => {
                self.copy("copies the store", CopyState::StoreOnly, store);
                self.copy("copies PREPARED", CopyState::RecordOnly, record);
            }
            (Second::TornCopy, CopyState::StoreOnly) => self.copy("copies PREPARED", CopyState::Done, record),
            (Second::TornCopy, CopyState::RecordOnly) => self.copy("copies the store", CopyState::Done, store),
            (Second::Reset, CopyState::Nothing) if self.world.processes[0].is_none() => {
                self.copy("deletes the folder, to begin anew", CopyState::Done, |world| world.disks[0] = Disk::new());
            }
            _ => {}
        }
    }

    fn copy(&mut self, what: &'static str, done: CopyState, effect: impl FnOnce(&mut World)) {
        self.push("operator", what, true, |world| {
            effect(world);
            world.copy = done;
            None
        });
    }

    fn push(&mut self, who: &'static str, what: &'static str, fault: bool, effect: impl FnOnce(&mut World) -> Option<&'static str>) {
        let mut world = self.world.clone();
        let violation = effect(&mut world);
        world.forget_what_cannot_matter(self.setup);
        self.out.push(Step { world, who, what: ("", what), fault, violation });
    }
}

/// The broker decides: from a commit on, readers will see the rows. They must have been made on exactly what readers have.
fn end_transaction(setup: &Setup, world: &mut World, end: End) -> Option<&'static str> {
    let broker = &mut world.broker;
    if broker.transaction != Transaction::Open {
        return None;
    }
    broker.end(setup, end);
    if end == End::Abort {
        return None;
    }
    let readers = &mut world.readers;
    let (before, after, carries) = (broker.before, broker.after, broker.carries);
    if before == after && carries.is_some() && carries == readers.marker {
        return None;
    }
    if let Some(Marker::Genesis(new)) = carries
        && setup.second == Second::Reset
        && readers.marker.is_some_and(|marker| marker.lineage() != new)
    {
        // The operator has said in words that every row comes again.
        readers.rows = Rows::NONE;
        (world.receiver.taken, world.receiver.contents) = (0, 0);
    }
    let violation = if before.count() < readers.rows.count() {
        Some("Kafka: rows delivered twice")
    } else if before.count() > readers.rows.count() {
        Some("Kafka: rows lost")
    } else if before != readers.rows {
        Some("Kafka: rows made from a state that was never delivered")
    } else if carries.is_none() && setup.without != Some(Rule::MarkerInTransaction) {
        Some("Kafka: rows committed without their marker")
    } else {
        None
    };
    readers.rows = after;
    readers.marker = carries.or(readers.marker);
    violation
}

fn write_control_record(world: &mut World, partition: u8) {
    let broker = &mut world.broker;
    broker.unwritten &= !partition;
    if partition == OFFSETS
        && broker.transaction == Transaction::Committing
        && let Some(marker) = broker.carries
    {
        broker.marker = Some(marker);
        broker.expired = false;
    }
    if broker.unwritten == 0 {
        broker.transaction = Transaction::None;
    }
}

/// The receiver takes an outbox: no row twice if it knows tokens, no row with two contents, none that is not committed.
fn accept(setup: &Setup, world: &mut World, message: Message) -> Option<&'static str> {
    let dedup = setup.outbox == Outbox::Dedup;
    let receiver = &mut world.receiver;
    let tokens = &mut receiver.tokens[token_row(setup, message)];
    let seen = *tokens & 1 << message.epoch != 0;
    *tokens |= 1 << message.epoch;
    let living = world.readers.marker.is_none_or(|marker| number(marker.lineage()) == message.lineage);
    if (setup.second == Second::Reset && !living) || (seen && dedup) {
        return None;
    }
    for row in message.before.count()..message.after.count() {
        let content = message.after.content(row);
        if receiver.taken & 1 << row != 0 {
            if dedup {
                return Some("outbox: a row reached a deduplicating receiver twice");
            }
            if receiver.contents >> row & 1 != content {
                return Some("outbox: a row delivered with two contents");
            }
        }
        receiver.taken |= 1 << row;
        receiver.contents = receiver.contents & !(1 << row) | content << row;
    }
    let committed = setup.point != CommitPoint::Transaction || message.after.is_prefix_of(world.readers.rows);
    (!committed).then_some("outbox: rows of an epoch that was not committed")
}
