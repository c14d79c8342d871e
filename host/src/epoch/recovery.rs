//! What a start of a pipeline does, decided from the marker and the facts of its state folder. This module owns the rules
//! of recovery and the words of its refusals; it may not read anything itself.
//!
//! A refusal delivers nothing and deletes nothing, so that whoever was wrong, the operator or the disk, can still be set right.

mod refusal;

use std::fmt;

use super::Epoch;
use super::commit::{Identity, Lineage, Marker};

pub use refusal::Refusal;

/// Where the epochs of a pipeline become fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommitPoint {
    /// A Kafka transaction, of the sinks' cluster or else of the source's: it carries the marker.
    Transaction,
    /// No Kafka, but a file sink: the PREPARED record. The last line of the manifest is the marker.
    Manifest,
    /// Neither: the PREPARED record alone. Nothing can hold off a second copy of the state folder.
    Prepared,
}

/// What the operator asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// `weir run`
    Ordinary,
    /// `weir run --new`: a new state folder may begin a new life, although rows were delivered before.
    New,
    /// `weir recover --assume`: write the marker that has expired, then stop.
    Assume(Verdict),
}

/// What the operator found in the output about the epoch in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The rows of the PREPARED epoch are there.
    Committed,
    /// They are not.
    Aborted,
}

/// All that a decision depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Facts {
    /// The marker as the commit point has it; of a manifest the last line; nothing without either.
    pub marker: Option<Marker>,
    /// The state folder.
    pub folder: Folder,
    /// Every output partition ends at offset 0 and there is no manifest. Asked only about a new folder without a marker.
    pub sinks_untouched: bool,
}

/// The facts of a state folder, all read under its lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Folder {
    /// Made with the folder.
    pub lineage: Lineage,
    /// COMMITTED: the epoch that the state is at; nothing before COMMITTED(0).
    pub committed: Option<Marker>,
    /// PREPARED: what the last epoch that got so far decided.
    pub prepared: Prepared,
    /// FORWARDED: the last epoch with nothing left to do.
    pub forwarded: Option<Identity>,
}

/// The PREPARED record as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prepared {
    /// There is none.
    Absent,
    /// Its checksum is wrong: writing it was cut short, so its commit was never asked for.
    Torn,
    /// Whole.
    Valid {
        /// Its own name.
        identity: Identity,
        /// The COMMITTED that it was made on.
        base: Marker,
    },
}

/// What a start does next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// PREPARED has happened: roll it forward.
    Forward(Identity),
    /// COMMITTED is the last epoch; go on after it.
    Resume {
        /// The last epoch.
        committed: Marker,
        /// What never happened: its staged files go first, then the record.
        discard: Prepared,
    },
    /// A new life: commit `lineage/0`, then write COMMITTED(0).
    Begin(Lineage),
    /// The new life has its marker: write COMMITTED(0).
    Adopt(Lineage),
    /// `--assume`: commit this marker again, then stop.
    Restore(Marker),
    /// `--assume`: the marker is there already.
    Restored(Marker),
}

/// The look before the fence: what will be refused whatever comes is refused before a healthy process is fenced.
///
/// NOTE: a marker that has just been replaced may still be read here. Epochs only grow, so that refuses nobody wrongly but a
/// new life in its first moment, which may start once more.
///
/// # Errors
/// The marker is of a foreign lineage, or of an epoch beyond PREPARED; or `--assume` finds a marker.
pub fn peek(start: Start, facts: &Facts) -> Result<(), Box<Refusal>> {
    let folder = &facts.folder;
    match facts.marker {
        None => Ok(()),
        Some(marker) if let Start::Assume(verdict) = start => Err(Box::new(Refusal::MarkerPresent { marker, assumed: folder.assumed(verdict)? })),
        Some(_) if facts.may_begin(start) => Ok(()),
        Some(marker) if marker.lineage() != folder.lineage => Err(folder.foreign(marker)),
        Some(marker) if marker.epoch() > folder.last_epoch() => Err(folder.differs(marker)),
        Some(_) => Ok(()),
    }
}

/// The decision after the fence, when an answer about the marker is final.
///
/// # Errors
/// The marker and the folder do not belong together, or the folder is not of one moment.
pub fn decide(point: CommitPoint, start: Start, facts: &Facts) -> Result<Decision, Box<Refusal>> {
    match (point, start) {
        (CommitPoint::Transaction, Start::Assume(verdict)) => by_word(verdict, facts),
        (_, Start::Assume(_)) => refuse(Refusal::NoTransaction),
        (CommitPoint::Transaction, _) => by_marker(start, facts),
        (CommitPoint::Manifest, _) => by_manifest(facts),
        (CommitPoint::Prepared, _) => by_folder(&facts.folder),
    }
}

impl Facts {
    /// A new life may begin in a new folder, if nobody has rows of an older one or the operator says that it may.
    ///
    /// NOTE: not even then in a lineage that has a marker, because its tokens and file names are used up.
    fn may_begin(&self, start: Start) -> bool {
        self.folder.is_new()
            && match self.marker {
                None => self.sinks_untouched || start == Start::New,
                Some(marker) => start == Start::New && marker.lineage() != self.folder.lineage,
            }
    }
}

impl Folder {
    /// Nothing of a past: neither COMMITTED nor PREPARED, whole or torn.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.committed.is_none() && self.prepared == Prepared::Absent
    }

    /// Nothing is left to do for COMMITTED. The beginning has nothing to forward.
    fn is_forwarded(&self, committed: Marker) -> bool {
        match committed {
            Marker::Genesis(_) => true,
            Marker::Epoch(identity) => self.forwarded == Some(identity),
        }
    }

    fn last(&self) -> Option<Marker> {
        match self.prepared {
            Prepared::Valid { identity, .. } if identity.epoch > self.committed_epoch() => Some(Marker::Epoch(identity)),
            _ => self.committed,
        }
    }

    fn last_epoch(&self) -> Epoch {
        self.last().map_or(Epoch(0), |marker| marker.epoch())
    }

    fn committed_epoch(&self) -> Epoch {
        self.committed.map_or(Epoch(0), |marker| marker.epoch())
    }

    /// PREPARED is rolled forward, unless that is done.
    ///
    /// IMPORTANT: only onto the state that it was made on, or onto itself; any other COMMITTED is of another moment.
    fn forward(&self, identity: Identity, base: Marker) -> Result<Decision, Box<Refusal>> {
        let own = Marker::Epoch(identity);
        match self.committed {
            Some(committed) if committed == own && self.is_forwarded(own) => Ok(Decision::Resume { committed, discard: Prepared::Absent }),
            Some(committed) if committed == own || committed == base => Ok(Decision::Forward(identity)),
            committed => refuse(Refusal::NotOneMoment { identity, base, committed }),
        }
    }

    /// On from COMMITTED; a PREPARED beside it never happened.
    fn resume(&self, committed: Marker) -> Result<Decision, Box<Refusal>> {
        if self.is_forwarded(committed) {
            Ok(Decision::Resume { committed, discard: self.prepared })
        } else {
            refuse(Refusal::NotForwarded { committed, prepared: self.prepared })
        }
    }

    /// The marker that the operator's word stands for.
    fn assumed(&self, verdict: Verdict) -> Result<Marker, Box<Refusal>> {
        let Some(committed) = self.committed else {
            return Err(Box::new(Refusal::NothingCommitted { lineage: self.lineage, prepared: self.prepared }));
        };
        match (verdict, self.prepared) {
            (Verdict::Aborted, _) => Ok(committed),
            (Verdict::Committed, Prepared::Valid { identity, base }) => {
                self.forward(identity, base)?;
                Ok(Marker::Epoch(identity))
            }
            (Verdict::Committed, prepared) => Err(Box::new(Refusal::NothingPrepared { committed, prepared })),
        }
    }

    fn foreign(&self, marker: Marker) -> Box<Refusal> {
        let lineage = self.lineage;
        Box::new(if self.is_new() { Refusal::NewFolder { marker, lineage } } else { Refusal::Foreign { marker, lineage } })
    }

    /// A marker that is equal to nothing in the folder, in the words that fit.
    fn differs(&self, marker: Marker) -> Box<Refusal> {
        if marker.lineage() != self.lineage {
            return self.foreign(marker);
        }
        Box::new(if marker.epoch() > self.last_epoch() {
            Refusal::Overtaken { marker, last: self.last() }
        } else {
            Refusal::Differs { marker, committed: self.committed, prepared: self.prepared }
        })
    }
}

impl fmt::Display for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("nothing"),
            Self::Torn => f.write_str("a torn record"),
            Self::Valid { identity, .. } => write!(f, "`{identity}`"),
        }
    }
}

fn by_marker(start: Start, facts: &Facts) -> Result<Decision, Box<Refusal>> {
    let folder = &facts.folder;
    match (facts.marker, folder.prepared) {
        (Some(marker), Prepared::Valid { identity, base }) if marker == Marker::Epoch(identity) => folder.forward(identity, base),
        (Some(marker), _) if folder.committed == Some(marker) => folder.resume(marker),
        (Some(marker), _) if folder.committed.is_none() && marker == Marker::Genesis(folder.lineage) => Ok(Decision::Adopt(folder.lineage)),
        _ if facts.may_begin(start) => Ok(Decision::Begin(folder.lineage)),
        (Some(marker), _) => Err(folder.differs(marker)),
        (None, _) if folder.is_new() => refuse(Refusal::SinksTouched { lineage: folder.lineage }),
        (None, prepared) => refuse(Refusal::MarkerMissing { committed: folder.committed, prepared }),
    }
}

/// `--assume`: the operator's word stands for the marker that is gone, never for one that is there.
fn by_word(verdict: Verdict, facts: &Facts) -> Result<Decision, Box<Refusal>> {
    let assumed = facts.folder.assumed(verdict)?;
    match facts.marker {
        None => Ok(Decision::Restore(assumed)),
        Some(marker) if marker == assumed => Ok(Decision::Restored(marker)),
        Some(marker) => refuse(Refusal::MarkerPresent { marker, assumed }),
    }
}

/// Without Kafka and with a file sink: the folder decides, if it is the one that the manifest was written from.
fn by_manifest(facts: &Facts) -> Result<Decision, Box<Refusal>> {
    let folder = &facts.folder;
    match facts.marker {
        Some(marker) if folder.is_new() => refuse(Refusal::OutputInUse { marker, lineage: folder.lineage }),
        None if folder.is_new() => by_folder(folder),
        // Epoch 1 writes the first line.
        listed => {
            let marker = listed.unwrap_or(Marker::Genesis(folder.lineage));
            let known = match folder.prepared {
                Prepared::Valid { identity, base } => [Some(Marker::Epoch(identity)), Some(base), folder.committed],
                Prepared::Absent | Prepared::Torn => [None, None, folder.committed],
            };
            if known.contains(&Some(marker)) { by_folder(folder) } else { Err(folder.differs(marker)) }
        }
    }
}

/// PREPARED is the commit point: if it is whole, it has happened.
fn by_folder(folder: &Folder) -> Result<Decision, Box<Refusal>> {
    match (folder.prepared, folder.committed) {
        (Prepared::Valid { identity, base }, _) => folder.forward(identity, base),
        (_, Some(committed)) => folder.resume(committed),
        (_, None) => Ok(Decision::Adopt(folder.lineage)),
    }
}

fn refuse(refusal: Refusal) -> Result<Decision, Box<Refusal>> {
    Err(Box::new(refusal))
}

#[cfg(test)]
mod tests;
