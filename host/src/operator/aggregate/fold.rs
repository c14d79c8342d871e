//! One shard of an epoch: partial states meet what is stored, windows close, and what is to be emitted is handed out.

use std::collections::BTreeMap;

use anyhow::Context as _;

use super::{OutputMode, stored_identity};
use crate::operator::merge::merge_all;
use crate::plugin::{self, Blobs};
use crate::state::{IdentityId, Keys, Segment, Segments, SegmentsBuf, ShardState, StateKey, States, Store, due};
use crate::time::{EventTime, Watermark};

/// A partial state on its way to its group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) end: EventTime,
    pub(super) key: &'a [u8],
    pub(super) state: &'a [u8],
}

/// A group that is to be emitted, with its whole state.
#[derive(Debug)]
pub(super) struct Emitted {
    pub(super) end: EventTime,
    pub(super) key: Vec<u8>,
    pub(super) state: Vec<u8>,
}

/// What every shard of an epoch works with.
pub(super) struct ShardWork<'a> {
    pub(super) function: &'a plugin::Aggregate,
    pub(super) mode: OutputMode,
    pub(super) eviction: Option<Watermark>,
    pub(super) identity: IdentityId,
    pub(super) store: &'a Store,
    pub(super) max_state_bytes: usize,
}

/// A group's state in the identity of the running plugin: levels and bytes, the oldest first.
type Pieces = Vec<(u8, Vec<u8>)>;

impl ShardWork<'_> {
    /// Merges what arrived, closes what E has passed, and says what is emitted.
    pub(super) fn run(&self, shard: &mut ShardState, arrived: Vec<Arrival<'_>>) -> anyhow::Result<Vec<Emitted>> {
        let mut groups: BTreeMap<(EventTime, &[u8]), Vec<&[u8]>> = BTreeMap::new();
        for arrival in arrived {
            groups.entry((arrival.end, arrival.key)).or_default().push(arrival.state);
        }
        let closed_us = self.eviction.map(|eviction| eviction.as_event_time().0);
        let emitted = match (self.mode, closed_us) {
            (OutputMode::Update, _) => self.update(shard, groups)?,
            (OutputMode::Append, None) => self.append(shard, groups).map(|()| Vec::new())?,
            (OutputMode::Append, Some(closed_us)) => {
                self.append(shard, groups)?;
                self.stored(shard, closed_us)?
            }
            (OutputMode::Complete, _) => {
                self.update(shard, groups)?;
                return self.stored(shard, i64::MAX); // O-3: and nothing is closed
            }
        };
        if let Some(closed_us) = closed_us {
            shard.close(closed_us); // O-2: in update mode silently
        }
        Ok(emitted)
    }

    /// Update: every touched group is merged whole, because its row comes out; so it is stored whole, too.
    fn update(&self, shard: &mut ShardState, groups: BTreeMap<(EventTime, &[u8]), Vec<&[u8]>>) -> anyhow::Result<Vec<Emitted>> {
        let (keys, stored) = self.look_up(shard, &groups)?;
        let pieces = stored.iter().map(|state| self.pieces(state)).collect::<anyhow::Result<Vec<Pieces>>>()?;
        let states = groups.values().zip(&pieces).map(|(new, old)| old.iter().map(|(_, bytes)| bytes.as_slice()).chain(new.iter().copied()).collect());
        let merged = merge_all(self.function, states.collect(), self.max_state_bytes)?;
        for (state, place) in merged.iter().zip(keys.iter()) {
            self.store_whole(shard, place, state)?;
        }
        let emitted = groups.into_keys().zip(merged).map(|((end, key), state)| Emitted { end, key: key.to_vec(), state });
        Ok(emitted.collect())
    }

    /// Append: a touched group gets one segment more; only full levels are merged, so that a large state is read once, when it is emitted.
    fn append(&self, shard: &mut ShardState, groups: BTreeMap<(EventTime, &[u8]), Vec<&[u8]>>) -> anyhow::Result<()> {
        let (keys, stored) = self.look_up(shard, &groups)?;
        let fresh = merge_all(self.function, groups.values().cloned().collect(), self.max_state_bytes)?;
        for ((state, fresh), place) in stored.iter().zip(fresh).zip(keys.iter()) {
            let mut pieces = self.pieces(state)?;
            pieces.push((0, fresh));
            let levels: Vec<u8> = pieces.iter().map(|(level, _)| *level).collect();
            if let Some(merge) = due(&levels) {
                let tail = pieces.split_off(merge.from);
                let merged = merge_all(self.function, vec![tail.iter().map(|(_, bytes)| bytes.as_slice()).collect()], self.max_state_bytes)?;
                pieces.extend(merged.into_iter().map(|bytes| (merge.level, bytes)));
            }
            let mut buffer = SegmentsBuf::new(self.identity);
            pieces.iter().for_each(|(level, bytes)| buffer.push(Segment { level: *level, bytes }));
            shard.put(place, buffer.as_bytes())?;
        }
        Ok(())
    }

    /// The groups whose windows end at or before `to_us`, with what this epoch has added to them: those that E closes, or all.
    fn stored(&self, shard: &ShardState, to_us: i64) -> anyhow::Result<Vec<Emitted>> {
        let mut scan = shard.scan(i64::MIN..=to_us)?;
        let (mut places, mut stored) = (Vec::new(), Vec::new());
        while let Some(group) = scan.advance()? {
            places.push((EventTime(group.end_us), group.group_key.to_vec()));
            stored.push(self.pieces(Some(group.state))?);
        }
        let states = stored.iter().map(|pieces| pieces.iter().map(|(_, bytes)| bytes.as_slice()).collect());
        let merged = merge_all(self.function, states.collect(), self.max_state_bytes)?;
        Ok(places.into_iter().zip(merged).map(|((end, key), state)| Emitted { end, key, state }).collect())
    }

    fn look_up(&self, shard: &mut ShardState, groups: &BTreeMap<(EventTime, &[u8]), Vec<&[u8]>>) -> anyhow::Result<(Keys, States)> {
        let (mut keys, mut stored) = (Keys::new(), States::new());
        for (end, key) in groups.keys() {
            keys.push_state_key(&StateKey { shard: shard.shard(), end_us: end.0, group_key: key });
        }
        shard.get_many(&keys, &mut stored)?;
        Ok((keys, stored))
    }

    fn store_whole(&self, shard: &mut ShardState, place: &[u8], state: &[u8]) -> anyhow::Result<()> {
        let mut buffer = SegmentsBuf::new(self.identity);
        buffer.push(Segment { level: 0, bytes: state });
        Ok(shard.put(place, buffer.as_bytes())?)
    }

    /// A stored state's segments, migrated when another identity made them.
    fn pieces(&self, stored: Option<&[u8]>) -> anyhow::Result<Pieces> {
        let Some(stored) = stored else { return Ok(Vec::new()) };
        let segments = Segments::parse(stored)?;
        if segments.identity() == self.identity {
            return Ok(segments.iter().map(|segment| (segment.level, segment.bytes.to_vec())).collect());
        }
        let of = self.store.identity(segments.identity()).context("a stored state names an identity that the folder does not have: it is damaged")?;
        let mut states = Blobs::default();
        segments.iter().for_each(|segment| states.push(segment.bytes));
        let migrated = self.function.migrate(&plugin::StateIdentity { version: of.version, shape: of.shape.clone() }, &states).with_context(|| {
            let ours = stored_identity(self.function.state_identity());
            format!(
                "stored states are of version {} (`{}`), the plugin's of version {} (`{}`): take the plugin or the config back, or give the step a new id",
                of.version, of.shape, ours.version, ours.shape
            )
        })?;
        Ok(segments.iter().zip(migrated.iter()).map(|(segment, bytes)| (segment.level, bytes.to_vec())).collect())
    }
}
