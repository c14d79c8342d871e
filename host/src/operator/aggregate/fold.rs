//! One shard of an epoch: partial states meet what is stored, windows close, and what is to be emitted is handed out.

use std::collections::BTreeMap;

use anyhow::Context as _;

use super::shelf::Shelf;
use super::{OutputMode, stored_identity};
use crate::operator::EpochTime;
use crate::operator::functions::Functions;
use crate::operator::merge::merge_all;
use crate::operator::placing::Placing;
use crate::plugin::{self, Blobs};
use crate::state::{IdentityId, Keys, Segment, SegmentsBuf, ShardState, StateKey, States, Store, due};
use crate::time::EventTime;
use crate::time::window::Window;

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
    pub(super) window: Window,
    pub(super) key: Vec<u8>,
    pub(super) state: Vec<u8>,
}

/// What every shard of an epoch works with.
pub(super) struct ShardWork<'a> {
    pub(super) function: &'a Functions,
    pub(super) placing: Placing,
    /// Whether all rows are of one group.
    pub(super) keyless: bool,
    pub(super) mode: OutputMode,
    pub(super) time: EpochTime,
    pub(super) identity: IdentityId,
    pub(super) store: &'a Store,
    pub(super) max_state_bytes: usize,
}

/// A group's state in the identity of the running plugin: levels and bytes, the oldest first.
pub(super) type Pieces = Vec<(u8, Vec<u8>)>;

/// An end and a key.
pub(super) type Place = (EventTime, Vec<u8>);

/// Groups that an epoch touches, by end and key, each with its new states in order.
pub(super) type Touched<'a> = BTreeMap<(EventTime, &'a [u8]), Vec<&'a [u8]>>;

impl ShardWork<'_> {
    /// Merges what arrived, closes what E has passed, and says what is emitted.
    pub(super) fn run(&self, shard: &mut Shelf<'_>, arrived: Vec<Arrival<'_>>) -> anyhow::Result<Vec<Emitted>> {
        match self.placing {
            Placing::Sessions(..) => return self.run_sessions(shard, arrived),
            Placing::Running { ttl_us: None } if self.keyless && arrived.is_empty() => return self.run_untouched(shard),
            Placing::Windows(..) | Placing::Panes(..) | Placing::Moments(_) | Placing::Running { .. } => {}
        }
        let mut groups = Touched::new();
        for arrival in arrived {
            groups.entry((arrival.end, arrival.key)).or_default().push(arrival.state);
        }
        match self.placing {
            Placing::Panes(windows, _) => self.run_panes(shard, groups, windows),
            Placing::Running { ttl_us: Some(ttl_us) } => self.run_with_ttl(shard, groups, ttl_us),
            _ => self.run_windows(shard, groups),
        }
    }

    /// E in microseconds; none: nothing is ever closed, which is how complete mode works (O-3).
    pub(super) fn closes_to(&self) -> Option<i64> {
        let eviction = self.time.eviction.filter(|_| self.mode != OutputMode::Complete)?;
        Some(eviction.as_event_time().0)
    }

    /// A state for each window and key.
    fn run_windows(&self, shard: &mut Shelf<'_>, groups: Touched<'_>) -> anyhow::Result<Vec<Emitted>> {
        let emitted = match self.mode {
            OutputMode::Update => self.update(shard, groups)?,
            OutputMode::Append => {
                self.append(shard, groups)?;
                self.closes_to().map(|to_us| self.stored(shard, to_us)).transpose()?.unwrap_or_default()
            }
            OutputMode::Complete => {
                self.update(shard, groups)?;
                self.stored(shard, i64::MAX)?
            }
        };
        if let Some(closed_us) = self.closes_to() {
            shard.close(closed_us); // O-2: in update mode silently
        }
        Ok(emitted)
    }

    /// The window whose state ends there.
    fn window(&self, end: EventTime) -> Window {
        match self.placing {
            Placing::Windows(windows, _) | Placing::Panes(windows, _) => windows.ending_at(end),
            _ => Window { start: end, end },
        }
    }

    /// Update: every touched group is merged whole, because its row comes out; so it is stored whole, too.
    pub(super) fn update(&self, shard: &mut Shelf<'_>, groups: Touched<'_>) -> anyhow::Result<Vec<Emitted>> {
        let (keys, stored) = self.look_up(shard, &groups)?;
        let pieces = keys.iter().zip(stored.iter()).map(|(place, state)| self.pieces(shard, place, state)).collect::<anyhow::Result<Vec<Pieces>>>()?;
        let states = groups.values().zip(&pieces).map(|(new, old)| old.iter().map(|(_, bytes)| bytes.as_slice()).chain(new.iter().copied()).collect());
        let merged = merge_all(self.function, states.collect(), self.max_state_bytes)?;
        for ((state, place), before) in merged.iter().zip(keys.iter()).zip(stored.iter()) {
            self.replace(shard, place, before, state)?;
        }
        let emitted = groups.into_keys().zip(merged).map(|((end, key), state)| Emitted { window: self.window(end), key: key.to_vec(), state });
        Ok(emitted.collect())
    }

    /// Append: a touched group gets one segment more; only full levels are merged, so that a large state is read once, when it is emitted.
    pub(super) fn append(&self, shard: &mut Shelf<'_>, groups: Touched<'_>) -> anyhow::Result<()> {
        let (keys, stored) = self.look_up(shard, &groups)?;
        let fresh = merge_all(self.function, groups.values().cloned().collect(), self.max_state_bytes)?;
        for ((state, fresh), place) in stored.iter().zip(fresh).zip(keys.iter()) {
            self.add(shard, place, state, fresh)?;
        }
        Ok(())
    }

    /// A state with one segment more.
    pub(super) fn grown(&self, mut pieces: Pieces, fresh: Vec<u8>) -> anyhow::Result<Pieces> {
        pieces.push((0, fresh));
        let levels: Vec<u8> = pieces.iter().map(|(level, _)| *level).collect();
        if let Some(merge) = due(&levels) {
            let tail = pieces.split_off(merge.from);
            let merged = self.merged(&[tail])?;
            pieces.extend(merged.into_iter().map(|bytes| (merge.level, bytes)));
        }
        Ok(pieces)
    }

    /// Each state in one piece.
    pub(super) fn merged(&self, states: &[Pieces]) -> anyhow::Result<Vec<Vec<u8>>> {
        let states = states.iter().map(|pieces| pieces.iter().map(|(_, bytes)| bytes.as_slice()).collect());
        merge_all(self.function, states.collect(), self.max_state_bytes)
    }

    /// The groups whose windows end at or before `to_us`, with what this epoch has added to them: those that E closes, or all.
    pub(super) fn stored(&self, shard: &mut Shelf<'_>, to_us: i64) -> anyhow::Result<Vec<Emitted>> {
        let (places, stored): (Vec<_>, Vec<_>) = self.scan(shard, to_us)?.into_iter().unzip();
        let merged = self.merged(&stored)?;
        Ok(places.into_iter().zip(merged).map(|((end, key), state)| Emitted { window: self.window(end), key, state }).collect())
    }

    /// What lies at ends up to `to_us`, in order: end, key, and state in pieces.
    pub(super) fn scan(&self, shard: &mut Shelf<'_>, to_us: i64) -> anyhow::Result<Vec<(Place, Pieces)>> {
        // What lies by itself is fetched afterwards: the scan has the groups in its hands.
        let (mut found, mut elsewhere) = (Vec::new(), Vec::new());
        let mut scan = shard.groups.scan(i64::MIN..=to_us)?;
        while let Some(group) = scan.advance()? {
            let place = (EventTime(group.end_us), group.group_key.to_vec());
            match self.pieces_here(group.state)? {
                Some(pieces) => found.push((place, pieces)),
                None => {
                    elsewhere.push((found.len(), group.state.to_vec()));
                    found.push((place, Pieces::new()));
                }
            }
        }
        drop(scan);
        for (number, list) in elsewhere {
            let Some(((end, key), pieces)) = found.get_mut(number) else { continue };
            let mut place = Keys::new();
            place.push_state_key(&StateKey { shard: shard.groups.shard(), end_us: end.0, group_key: key });
            *pieces = self.pieces(shard, place.get(0).unwrap_or_default(), Some(&list))?;
        }
        Ok(found)
    }

    fn look_up(&self, shard: &mut Shelf<'_>, groups: &Touched<'_>) -> anyhow::Result<(Keys, States)> {
        get(shard.groups, groups.keys().copied())
    }

    pub(super) fn store_whole(&self, shard: &mut ShardState, place: &[u8], state: &[u8]) -> anyhow::Result<()> {
        let mut buffer = SegmentsBuf::new(self.identity);
        buffer.push(Segment { level: 0, bytes: state });
        Ok(shard.put(place, buffer.as_bytes())?)
    }

    pub(super) fn store_pieces(&self, shard: &mut ShardState, place: &[u8], pieces: &Pieces) -> anyhow::Result<()> {
        let mut buffer = SegmentsBuf::new(self.identity);
        pieces.iter().for_each(|(level, bytes)| buffer.push(Segment { level: *level, bytes }));
        Ok(shard.put(place, buffer.as_bytes())?)
    }

    /// Pieces of states as the running plugin has them: migrated when another identity made them.
    pub(super) fn migrated(&self, identity: IdentityId, pieces: Pieces) -> anyhow::Result<Pieces> {
        if identity == self.identity {
            return Ok(pieces);
        }
        let of = self.store.identity(identity).context("a stored state names an identity that the folder does not have: it is damaged")?;
        let mut states = Blobs::default();
        pieces.iter().for_each(|(_, bytes)| states.push(bytes));
        let migrated = self.function.migrate(&plugin::StateIdentity { version: of.version, shape: of.shape.clone() }, &states).with_context(|| {
            let ours = stored_identity(self.function.state_identity());
            format!(
                "stored states are of version {} (`{}`), the plugin's of version {} (`{}`): take the plugin or the config back, or give the step a new id",
                of.version, of.shape, ours.version, ours.shape
            )
        })?;
        Ok(pieces.iter().zip(migrated.iter()).map(|((level, _), bytes)| (*level, bytes.to_vec())).collect())
    }
}

/// What is stored for groups, and the keys that it lies under.
pub(super) fn get<'k>(shard: &mut ShardState, groups: impl Iterator<Item = (EventTime, &'k [u8])>) -> anyhow::Result<(Keys, States)> {
    let (mut keys, mut stored) = (Keys::new(), States::new());
    for (end, key) in groups {
        keys.push_state_key(&StateKey { shard: shard.shard(), end_us: end.0, group_key: key });
    }
    shard.get_many(&keys, &mut stored)?;
    Ok((keys, stored))
}
