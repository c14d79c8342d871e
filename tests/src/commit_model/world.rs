//! The world around the protocol: processes, state folders, broker, receiver, operator. This module owns what a state of
//! the world is and what may never be true in one; it may not let anything happen.

use weir::epoch::Epoch;
use weir::epoch::commit::{Action, Attempt, Checksum, Identity, Lineage, Marker, Protocol};
use weir::epoch::recovery::{CommitPoint, Facts, Folder, Prepared, Start};

use super::files::File;
use super::setup::{Second, Setup};

/// Everything that there is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) processes: [Option<Process>; 2],
    pub(super) disks: [Disk; 2],
    pub(super) broker: Broker,
    pub(super) receiver: Receiver,
    pub(super) readers: Readers,
    pub(super) copy: CopyState,
    pub(super) lineages: u8,
    pub(super) kills: u8,
    pub(super) expiries: u8,
    pub(super) disk_errors: u8,
    pub(super) files: [Option<File>; 4],
}

/// The contents of source rows in their order: a bit each, X or Y, behind a leading 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Rows(u8);

/// A running process: the real protocol, and what a driver has in memory.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) protocol: Protocol,
    pub(super) start: Start,
    /// A request is sent and not answered.
    pub(super) called: bool,
    /// A commit was called again, and this is still the same producer.
    pub(super) repeated: bool,
    /// The epoch that is being made: the state before and after.
    pub(super) planned: (Rows, Rows),
    /// Only when a rule is left out: attempts so far; a fence that is still owed; an answer that was made up.
    pub(super) tries: u8,
    pub(super) owes_fence: bool,
    pub(super) taken_for_aborted: bool,
}

/// A state folder.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Disk {
    pub(super) lineage: Option<Lineage>,
    pub(super) locked_by: Option<usize>,
    pub(super) state: Rows,
    pub(super) committed: Option<Marker>,
    /// FORWARDED names COMMITTED.
    pub(super) forwarded: bool,
    pub(super) prepared: Option<Record>,
}

/// A PREPARED record.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Record {
    pub(super) identity: Identity,
    pub(super) base: Marker,
    pub(super) before: Rows,
    pub(super) after: Rows,
    pub(super) torn: bool,
}

/// The broker, for one transactional id, and the wire to it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Broker {
    /// The process whose producer is not fenced.
    pub(super) owner: Option<usize>,
    pub(super) transaction: Transaction,
    pub(super) before: Rows,
    pub(super) after: Rows,
    pub(super) carries: Option<Marker>,
    /// Partitions whose control record is not written yet.
    pub(super) unwritten: u8,
    /// What became of the owner's last transaction.
    pub(super) last: Option<End>,
    /// EndTxn on the wire.
    pub(super) wire: Option<End>,
    /// An older EndTxn(commit) is still on the wire.
    pub(super) late: bool,
    pub(super) marker: Option<Marker>,
    pub(super) expired: bool,
    /// Somebody has written rows to the sinks.
    pub(super) touched: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Transaction {
    None,
    Open,
    Committing,
    Aborting,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum End {
    Commit,
    Abort,
}

/// Random attempts begin here; no other number in a world is as large.
pub(super) const FIRST_ATTEMPT: u64 = 1 << 63;

/// The bits of [`Broker::unwritten`].
pub(super) const SECOND_SINK: u8 = 1;
/// The partition of the group's offsets, where the marker is.
pub(super) const OFFSETS: u8 = 2;

/// What read_committed readers have: the truth that everything else must agree with.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Readers {
    pub(super) rows: Rows,
    pub(super) marker: Option<Marker>,
}

/// The receiver of the outbox and the wire to it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Receiver {
    pub(super) wire: [Option<Message>; 2],
    /// A bit for each epoch, by lineage.
    pub(super) tokens: [u8; 4],
    /// Rows taken, and their contents.
    pub(super) taken: u8,
    pub(super) contents: u8,
}

/// The outbox of an epoch on its way.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Message {
    pub(super) lineage: u8,
    pub(super) epoch: u8,
    pub(super) before: Rows,
    pub(super) after: Rows,
}

/// How far the operator is with the second folder.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum CopyState {
    Nothing,
    StoreOnly,
    RecordOnly,
    Done,
}

impl World {
    /// Nobody runs, and there is nothing anywhere.
    pub(super) fn new() -> Self {
        Self {
            processes: [None, None],
            disks: [Disk::new(), Disk::new()],
            broker: Broker {
                owner: None,
                transaction: Transaction::None,
                before: Rows::NONE,
                after: Rows::NONE,
                carries: None,
                unwritten: 0,
                last: None,
                wire: None,
                late: false,
                marker: None,
                expired: false,
                touched: false,
            },
            receiver: Receiver { wire: [None, None], tokens: [0; 4], taken: 0, contents: 0 },
            readers: Readers { rows: Rows::NONE, marker: None },
            copy: CopyState::Nothing,
            lineages: 0,
            kills: 0,
            expiries: 0,
            disk_errors: 0,
            files: [None; 4],
        }
    }

    pub(super) fn lock(&mut self, folder: usize, slot: usize) {
        let disk = &mut self.disks[folder];
        disk.locked_by = Some(slot);
        if disk.lineage.is_none() {
            self.lineages += 1;
            disk.lineage = Some(lineage(self.lineages));
        }
    }

    /// The last epoch is forwarded, in some folder.
    pub(super) fn is_finished(&self, setup: &Setup) -> bool {
        self.disks.iter().any(|disk| disk.forwarded && disk.committed.is_some_and(|marker| marker.epoch().0 == setup.epochs))
    }

    /// The folder that may go on: it has, or can roll forward to, what the readers have.
    pub(super) fn is_rightful(&self, setup: &Setup, folder: usize) -> bool {
        let disk = &self.disks[folder];
        if setup.point != CommitPoint::Transaction {
            return folder == 0;
        }
        let Some(truth) = self.readers.marker else { return false };
        disk.committed == Some(truth)
            || disk.prepared.is_some_and(|record| {
                let own = Marker::Epoch(record.identity);
                !record.torn && own == truth && (disk.committed == Some(own) || disk.committed == Some(record.base))
            })
            || (disk.committed.is_none() && disk.lineage.map(Marker::Genesis) == Some(truth))
    }

    /// Somebody can still finish: with one folder always, with two while one is rightful.
    pub(super) fn must_be_able_to_finish(&self, setup: &Setup) -> bool {
        matches!(setup.second, Second::None | Second::SameFolder | Second::Reset)
            || (0..2).any(|folder| self.disks[folder].lineage.is_some() && self.is_rightful(setup, folder))
    }

    /// The smallest number that no identity uses: as good as a random one, and there are fewer different worlds.
    pub(super) fn fresh_attempt(&self) -> Attempt {
        let used = |attempt: &u64| self.markers().any(|marker| matches!(marker, Marker::Epoch(identity) if identity.attempt.0 == *attempt));
        Attempt((FIRST_ATTEMPT..).find(|attempt| !used(attempt)).unwrap_or(0))
    }

    fn markers(&self) -> impl Iterator<Item = Marker> + '_ {
        let on_disk = self.disks.iter().flat_map(|disk| {
            let record = disk.prepared.map(|record| [Marker::Epoch(record.identity), record.base]);
            disk.committed.into_iter().chain(record.into_iter().flatten())
        });
        let at_broker = [self.broker.carries, self.broker.marker, self.readers.marker].into_iter().flatten();
        let in_memory = self.processes.iter().flatten().filter_map(|process| process.protocol.action().marker());
        on_disk.chain(at_broker).chain(in_memory)
    }

    /// Takes away differences that can't matter any more, so that equal situations are equal worlds.
    pub(super) fn forget_what_cannot_matter(&mut self, setup: &Setup) {
        if self.broker.transaction == Transaction::None {
            (self.broker.before, self.broker.after, self.broker.carries) = (Rows::NONE, Rows::NONE, None);
        }
        let owner = self.broker.owner.and_then(|slot| self.processes[slot].as_ref());
        if !owner.is_some_and(|process| process.called || (process.repeated && matches!(process.protocol.action(), Action::Commit(_)))) {
            self.broker.last = None;
        }
        if setup.second != Second::TornCopy && setup.without.is_none() {
            for disk in &mut self.disks {
                if let (Some(record), Some(committed), true) = (&mut disk.prepared, disk.committed, disk.forwarded)
                    && Marker::Epoch(record.identity) == committed
                {
                    record.base = Marker::Genesis(record.identity.lineage);
                    (record.before, record.after) = (Rows::NONE, Rows::NONE);
                }
            }
        }
        self.forget_files();
        if self.receiver.wire[0].is_none() {
            self.receiver.wire.swap(0, 1);
        }
    }
}

impl Process {
    pub(super) fn new(setup: &Setup, start: Start) -> Self {
        Self {
            protocol: Protocol::new(setup.point, start),
            start,
            called: false,
            repeated: false,
            planned: (Rows::NONE, Rows::NONE),
            tries: 0,
            owes_fence: false,
            taken_for_aborted: false,
        }
    }
}

impl Disk {
    pub(super) const fn new() -> Self {
        Self { lineage: None, locked_by: None, state: Rows::NONE, committed: None, forwarded: false, prepared: None }
    }

    pub(super) fn is_new(&self) -> bool {
        self.committed.is_none() && self.prepared.is_none()
    }

    /// What a process reads of it.
    pub(super) fn facts(&self, marker: Option<Marker>, sinks_untouched: bool, lineage: Lineage) -> Facts {
        let forwarded = match self.committed {
            Some(Marker::Epoch(identity)) if self.forwarded => Some(identity),
            _ => None,
        };
        let prepared = match self.prepared {
            None => Prepared::Absent,
            Some(record) if record.torn => Prepared::Torn,
            Some(record) => Prepared::Valid { identity: record.identity, base: record.base },
        };
        Facts { marker, folder: Folder { lineage, committed: self.committed, prepared, forwarded }, sinks_untouched }
    }
}

impl Broker {
    pub(super) fn begin(&mut self, before: Rows, after: Rows, carries: Option<Marker>) {
        (self.transaction, self.before, self.after, self.carries) = (Transaction::Open, before, after, carries);
        self.last = None;
    }

    pub(super) fn abort(&mut self, setup: &Setup) {
        self.end(setup, End::Abort);
        self.wire = None;
    }

    pub(super) fn end(&mut self, setup: &Setup, end: End) {
        self.transaction = if end == End::Commit { Transaction::Committing } else { Transaction::Aborting };
        self.last = Some(end);
        self.unwritten = if setup.two_sinks { OFFSETS | SECOND_SINK } else { OFFSETS };
    }
}

impl Rows {
    pub(super) const NONE: Self = Self(1);

    pub(super) const fn count(self) -> u32 {
        7 - self.0.leading_zeros()
    }

    pub(super) fn with(self, rows: u32, content: u8) -> Self {
        (0..rows).fold(self, |all, _| Self(all.0 << 1 | content))
    }

    /// The content of row `index`.
    pub(super) const fn content(self, index: u32) -> u8 {
        self.0 >> (self.count() - 1 - index) & 1
    }

    pub(super) const fn is_prefix_of(self, other: Self) -> bool {
        self.count() <= other.count() && other.0 >> (other.count() - self.count()) == self.0
    }

    /// The checksum of a record: of its content only, so that two attempts may well agree in it.
    pub(super) fn checksum(before: Self, after: Self) -> Checksum {
        Checksum(u64::from(before.0) << 8 | u64::from(after.0))
    }
}

/// The marker that a step is about, wherever it has one.
pub(super) trait Names {
    fn marker(&self) -> Option<Marker>;
}

impl Names for Action {
    fn marker(&self) -> Option<Marker> {
        match self {
            Self::DropPrepared { committed } | Self::Wait { committed } | Self::DeleteStaged { committed, .. } => Some(*committed),
            Self::Stage(draft) | Self::Prepare(draft) | Self::Abort(draft) => {
                // The attempt counts from the moment that it is drawn; its checksum does not matter here.
                Some(Marker::Epoch(draft.identity(Checksum(0))))
            }
            Self::Mark(purpose) | Self::Commit(purpose) => Some(purpose.marker()),
            Self::Forward(_, identity) => Some(Marker::Epoch(*identity)),
            Self::Lock | Self::Peek | Self::Fence | Self::Ask | Self::WriteFirst(_) | Self::Stop(_) => None,
        }
    }
}

/// Lineage number `n` of a world.
pub(super) const fn lineage(n: u8) -> Lineage {
    Lineage::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n])
}

/// Its number.
pub(super) const fn number(lineage: Lineage) -> u8 {
    lineage.as_bytes()[15]
}

/// The number of an epoch, which is small here.
pub(super) fn small(epoch: Epoch) -> u8 {
    u8::try_from(epoch.0).unwrap_or(u8::MAX)
}
