//! Where the states of a shard's groups lie. A group's state is a list of segments, which is written again whenever the group changes; so a segment that has grown large lies
//! by itself, and the list says where. A state then costs the same for each row, however large it is: what an epoch adds is written, and what a merge makes.
//!
//! ```text
//!  groups   end, key       ─► identity; level, bytes; level, bytes; LARGE + level, number ─┐
//!  large    end, key, number ─► bytes                                                     ◄┘
//! ```

use anyhow::Context as _;

use super::fold::{Pieces, ShardWork};
use crate::state::{IdentityId, Keys, Segment, Segments, SegmentsBuf, ShardState, States, due};

/// Segments of so many bytes lie by themselves. Smaller: more keys in the database, each with its cost. Larger: more bytes that are written again and again.
const LARGE_BYTES: usize = 256;
/// Added to the level of a segment that lies by itself.
const LARGE: u8 = 0x80;

/// The groups of a shard, and the large segments of their states.
pub(super) struct Shelf<'a> {
    pub(super) groups: &'a mut ShardState,
    pub(super) large: &'a mut ShardState,
}

/// A segment as the list has it.
enum Held {
    /// Its bytes.
    Here(u8, Vec<u8>),
    /// The number under which it lies by itself.
    Large(u8, u32),
}

impl Held {
    fn level(&self) -> u8 {
        match self {
            Self::Here(level, _) | Self::Large(level, _) => *level,
        }
    }
}

impl Shelf<'_> {
    /// The segments of a stored state, and whose bytes they are.
    fn list(stored: &[u8]) -> anyhow::Result<(IdentityId, Vec<Held>)> {
        let segments = Segments::parse(stored)?;
        let held = segments.iter().map(|Segment { level, bytes }| {
            if level & LARGE == 0 {
                return Ok(Held::Here(level, bytes.to_vec()));
            }
            let number: [u8; 4] = bytes.try_into().context("damaged group state: a large segment without a number")?;
            Ok(Held::Large(level & !LARGE, u32::from_be_bytes(number)))
        });
        Ok((segments.identity(), held.collect::<anyhow::Result<_>>()?))
    }

    /// The segments' bytes.
    fn bytes(&mut self, place: &[u8], held: Vec<Held>) -> anyhow::Result<Pieces> {
        let mut places = Keys::new();
        held.iter().for_each(|segment| {
            if let Held::Large(_, number) = segment {
                places.push(&large_place(place, *number));
            }
        });
        let mut found = States::new();
        if !places.is_empty() {
            self.large.get_many(&places, &mut found)?;
        }
        let mut found = found.iter();
        let bytes = held.into_iter().map(|segment| match segment {
            Held::Here(level, bytes) => Ok((level, bytes)),
            Held::Large(level, number) => {
                let bytes = found.next().flatten().with_context(|| format!("damaged state: segment {number} of a group is not there"))?;
                Ok((level, bytes.to_vec()))
            }
        });
        bytes.collect()
    }

    /// Removes the large segments of a list.
    fn remove(&mut self, place: &[u8], held: &[Held]) -> anyhow::Result<()> {
        for segment in held {
            if let Held::Large(_, number) = segment {
                self.large.delete(&large_place(place, *number))?;
            }
        }
        Ok(())
    }

    /// Stores a list; what has grown large gets a place of its own.
    fn put(&mut self, place: &[u8], identity: IdentityId, held: Vec<Held>) -> anyhow::Result<()> {
        let taken = |segment: &Held| match segment {
            Held::Large(_, number) => Some(*number),
            Held::Here(..) => None,
        };
        let mut next = held.iter().filter_map(taken).max().map_or(0, |last| last.wrapping_add(1));
        let mut list = SegmentsBuf::new(identity);
        for segment in held {
            match segment {
                Held::Here(level, bytes) if bytes.len() >= LARGE_BYTES => {
                    self.large.put(&large_place(place, next), &bytes)?;
                    list.push(Segment { level: level | LARGE, bytes: &next.to_be_bytes() });
                    next = next.wrapping_add(1);
                }
                Held::Here(level, bytes) => list.push(Segment { level, bytes: &bytes }),
                Held::Large(level, number) => list.push(Segment { level: level | LARGE, bytes: &number.to_be_bytes() }),
            }
        }
        Ok(self.groups.put(place, list.as_bytes())?)
    }

    /// Removes every group, and segment, that lies at or before an end.
    pub(super) fn close(&mut self, up_to_us: i64) {
        self.groups.close(up_to_us);
        self.large.close(up_to_us);
    }
}

impl ShardWork<'_> {
    /// A stored state in pieces, in the identity of the running plugin.
    pub(super) fn pieces(&self, shelf: &mut Shelf<'_>, place: &[u8], stored: Option<&[u8]>) -> anyhow::Result<Pieces> {
        let Some(stored) = stored else { return Ok(Pieces::new()) };
        let (identity, held) = Shelf::list(stored)?;
        let pieces = shelf.bytes(place, held)?;
        self.migrated(identity, pieces)
    }

    /// The same of a state of which nothing lies by itself; none: something does.
    pub(super) fn pieces_here(&self, stored: &[u8]) -> anyhow::Result<Option<Pieces>> {
        let segments = Segments::parse(stored)?;
        let mut pieces = Pieces::new();
        for Segment { level, bytes } in segments.iter() {
            if level & LARGE != 0 {
                return Ok(None);
            }
            pieces.push((level, bytes.to_vec()));
        }
        self.migrated(segments.identity(), pieces).map(Some)
    }

    /// Stores a state in one piece, in place of what was stored.
    pub(super) fn replace(&self, shelf: &mut Shelf<'_>, place: &[u8], stored: Option<&[u8]>, state: &[u8]) -> anyhow::Result<()> {
        if let Some(stored) = stored {
            shelf.remove(place, &Shelf::list(stored)?.1)?;
        }
        self.store_whole(shelf.groups, place, state)
    }

    /// Adds a segment to a state. Only full levels are merged, and only what is merged is read.
    pub(super) fn add(&self, shelf: &mut Shelf<'_>, place: &[u8], stored: Option<&[u8]>, fresh: Vec<u8>) -> anyhow::Result<()> {
        let (identity, mut held) = stored.map_or(Ok((self.identity, Vec::new())), Shelf::list)?;
        if identity != self.identity {
            let pieces = self.pieces(shelf, place, stored)?;
            shelf.remove(place, &held)?;
            held = pieces.into_iter().map(|(level, bytes)| Held::Here(level, bytes)).collect();
        }
        held.push(Held::Here(0, fresh));
        let levels: Vec<u8> = held.iter().map(Held::level).collect();
        if let Some(merge) = due(&levels) {
            let tail = held.split_off(merge.from);
            // Their numbers are free as soon as they are merged.
            let numbers: Vec<Held> =
                tail.iter().filter_map(|segment| if let Held::Large(level, number) = segment { Some(Held::Large(*level, *number)) } else { None }).collect();
            let pieces = shelf.bytes(place, tail)?;
            shelf.remove(place, &numbers)?;
            held.extend(self.merged(&[pieces])?.into_iter().map(|bytes| Held::Here(merge.level, bytes)));
        }
        shelf.put(place, self.identity, held)
    }
}

fn large_place(place: &[u8], number: u32) -> Vec<u8> {
    [place, number.to_be_bytes().as_slice()].concat()
}
