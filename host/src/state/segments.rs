//! A group's state as a list of segments, and when they are merged. Pure: the plugin merges, this says which.
//!
//! A group that changes gets a segment of level 0 behind the ones it has. Eight of one level become one of the next, as in an LSM tree, so a byte of state is
//! merged again only about `log8(size)` times, however large the group grows. Levels never rise from the front to the back:
//!
//! ```text
//! 2  1 1 1 1 1 1 1  0 0 0 0 0 0 0   and one more 0
//!    └────────── one merge ──────────┘
//! 2 2
//! ```

use super::varint;

/// So many segments of one level become one of the next. Fewer: a large state is merged more often; more: an emission merges more segments.
pub const FAN_IN: usize = 8;

/// The number under which a state identity (a plugin's state version and shape) is known in one state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityId(pub u32);

/// One piece of a group's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// 0: partial states of one epoch; one more for each merge of a full level.
    pub level: u8,
    /// What the plugin made.
    pub bytes: &'a [u8],
}

/// A group's state as it is stored: the identity of its bytes, and its segments, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments<'a> {
    identity: IdentityId,
    rest: &'a [u8],
}

/// A group's state on its way to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentsBuf {
    bytes: Vec<u8>,
}

/// The segments to merge: all from `from` on, into one of `level`, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merge {
    /// The number of the first segment that is merged; all after it are, too.
    pub from: usize,
    /// The level of the segment that comes of it.
    pub level: u8,
}

/// Bytes that are not a group's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("damaged group state: expected an identity and whole segments in {len} bytes")]
pub struct MalformedSegments {
    /// How many bytes there were.
    pub len: usize,
}

impl<'a> Segments<'a> {
    /// Reads a stored state; the segments are checked here, so that `iter` has nothing left to refuse.
    pub fn parse(stored: &'a [u8]) -> Result<Self, MalformedSegments> {
        let malformed = MalformedSegments { len: stored.len() };
        let mut rest = stored;
        let identity = varint::read(&mut rest).and_then(|id| u32::try_from(id).ok()).ok_or(malformed)?;
        let segments = Self { identity: IdentityId(identity), rest };
        while !rest.is_empty() {
            rest = read_segment(rest).ok_or(malformed)?.1;
        }
        Ok(segments)
    }

    /// Whose bytes they are.
    #[must_use]
    pub fn identity(&self) -> IdentityId {
        self.identity
    }

    /// The segments, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Segment<'a>> + use<'a> {
        let mut rest = self.rest;
        std::iter::from_fn(move || {
            let (segment, after) = read_segment(rest)?;
            rest = after;
            Some(segment)
        })
    }
}

impl SegmentsBuf {
    /// No segment yet.
    #[must_use]
    pub fn new(identity: IdentityId) -> Self {
        let mut bytes = Vec::new();
        varint::write(u64::from(identity.0), &mut bytes);
        Self { bytes }
    }

    /// Starts again, keeps the memory.
    pub fn reset(&mut self, identity: IdentityId) {
        self.bytes.clear();
        varint::write(u64::from(identity.0), &mut self.bytes);
    }

    /// Appends a segment.
    pub fn push(&mut self, segment: Segment<'_>) {
        self.bytes.push(segment.level);
        varint::write_bytes(segment.bytes, &mut self.bytes);
    }

    /// The state as it is stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What to merge, given the levels of a group's segments, the oldest first; none: no level is full. One merge takes what it would carry over into the next
/// level.
#[must_use]
pub fn due(levels: &[u8]) -> Option<Merge> {
    let mut level = *levels.last()?;
    let mut from = levels.len();
    let mut carried = 0;
    loop {
        let run = levels.iter().take(from).rev().take_while(|&&other| other == level).count();
        if run + carried < FAN_IN {
            break;
        }
        from -= run;
        // A level 255 would be a state of 8^255 epochs.
        level = level.saturating_add(1);
        carried = 1;
    }
    (carried > 0).then_some(Merge { from, level })
}

fn read_segment(mut from: &[u8]) -> Option<(Segment<'_>, &[u8])> {
    let (&level, rest) = from.split_first()?;
    from = rest;
    let bytes = varint::read_bytes(&mut from)?;
    Some((Segment { level, bytes }, from))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn apply(levels: &mut Vec<u8>, merge: Merge) -> usize {
        let merged = levels.len() - merge.from;
        levels.truncate(merge.from);
        levels.push(merge.level);
        merged
    }

    /// A change here is a change of the format.
    #[test]
    fn the_bytes_of_a_state_are_pinned() {
        let mut state = SegmentsBuf::new(IdentityId(300));
        state.push(Segment { level: 1, bytes: b"old" });
        state.push(Segment { level: 0, bytes: b"" });
        assert_eq!(state.as_bytes(), b"\xac\x02\x01\x03old\x00\x00");
    }

    #[test]
    fn seven_segments_of_a_level_wait_and_the_eighth_merges_them() {
        assert_eq!(due(&[]), None);
        assert_eq!(due(&[0; 7]), None);
        assert_eq!(due(&[0; 8]), Some(Merge { from: 0, level: 1 }));
        assert_eq!(due(&[1, 0, 0, 0, 0, 0, 0, 0, 0]), Some(Merge { from: 1, level: 1 }));
    }

    #[test]
    fn a_merge_that_fills_the_next_level_takes_that_level_along() {
        let mut levels = vec![3, 2];
        levels.extend([1; 7]);
        levels.extend([0; 8]);
        assert_eq!(due(&levels), Some(Merge { from: 2, level: 2 }));
    }

    #[test]
    fn a_state_of_4096_epochs_was_merged_four_times_a_segment_and_is_one_segment() {
        let (mut levels, mut merged) = (Vec::new(), 0);
        for _ in 0..4_096 {
            levels.push(0);
            if let Some(merge) = due(&levels) {
                merged += apply(&mut levels, merge);
            }
            assert!(levels.is_sorted_by(|a, b| a >= b), "{levels:?}");
            assert!(levels.len() <= 7 * 4, "{levels:?}");
        }
        assert_eq!(levels, [4]);
        // Every epoch's segment once, and what was carried along: less than a sixth more.
        assert!(merged < 4_096 * 7 / 6, "{merged}");
    }

    proptest! {
        #[test]
        fn a_stored_state_reads_back_and_a_cut_one_is_refused_or_shorter(
            id in any::<u32>(),
            segments in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..200)), 0..10),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut buf = SegmentsBuf::new(IdentityId(id));
            for (level, bytes) in &segments {
                buf.push(Segment { level: *level, bytes });
            }
            let stored = Segments::parse(buf.as_bytes()).unwrap();
            prop_assert_eq!(stored.identity(), IdentityId(id));
            prop_assert_eq!(stored.iter().map(|segment| (segment.level, segment.bytes.to_vec())).collect::<Vec<_>>(), segments.clone());
            let cut = &buf.as_bytes()[..cut.index(buf.as_bytes().len())];
            if let Ok(shorter) = Segments::parse(cut) {
                prop_assert!(shorter.iter().count() < segments.len());
            }
        }
    }
}
