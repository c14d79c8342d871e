//! Sessions. A row is at first a session of its own; those of a key that touch are one (T-4). Sessions lie at their ends, as windows do, under the key with the
//! session's start behind it; and at the end that never comes lies, under the key alone, where the key's sessions are:
//!
//! ```text
//!  end, key + start ─► the state of a session        what closes is one run of these
//!  never, key       ─► start, end; start, end; ..    what a new row may touch
//! ```

use std::collections::BTreeMap;

use anyhow::Context as _;

use super::OutputMode;
use super::fold::{Arrival, Emitted, Pieces, ShardWork, get};
use super::shelf::Shelf;
use crate::operator::group::Groups;
use crate::plugin::Order;
use crate::state::{Keys, NEVER_US};
use crate::time::EventTime;
use crate::time::window::Window;

const START_BYTES: usize = 8;

/// Sessions of a key that have grown into one.
struct Run<'a> {
    key: &'a [u8],
    window: Window,
    parts: Vec<Part<'a>>,
}

/// A session that is stored, or that an epoch's rows bring: its state then.
#[derive(Clone, Copy)]
struct Part<'a> {
    window: Window,
    new: Option<&'a [u8]>,
}

/// Gives each row the number of its group: of its own (start, end, key) if the states are to be merged in their order, and otherwise of the session that it is in
/// among the rows at hand, which are fewer.
pub(crate) fn number(groups: &mut Groups, windows: &[Window], keys: &Keys, order: Order) -> Vec<u32> {
    let mut session: Vec<Window> = windows.to_vec();
    if order == Order::Any {
        let mut rows: Vec<Row<'_>> = keys.iter().zip(windows).enumerate().map(|(row, (key, window))| (key, *window, row)).collect();
        rows.sort_unstable();
        for run in touching(&rows) {
            let end = run.iter().map(|(_, window, _)| window.end).max();
            let start = run.first().map(|(_, window, _)| window.start);
            for (row, (start, end)) in run.iter().filter_map(|(_, _, row)| Some((*row, start.zip(end)?))) {
                if let Some(session) = session.get_mut(row) {
                    *session = Window { start, end };
                }
            }
        }
    }
    session.iter().zip(keys.iter()).map(|(window, key)| groups.number(window.end, &join(key, window.start))).collect()
}

/// The key that a session lies under.
fn join(key: &[u8], start: EventTime) -> Vec<u8> {
    [key, start.0.to_be_bytes().as_slice()].concat()
}

/// Takes the key of a session apart.
pub(crate) fn split(key: &[u8]) -> (&[u8], EventTime) {
    match key.split_last_chunk::<START_BYTES>() {
        Some((key, start)) => (key, EventTime(i64::from_be_bytes(*start))),
        None => (key, EventTime(i64::MIN)),
    }
}

/// A row: its key, the session that it is by itself, its number.
type Row<'a> = (&'a [u8], Window, usize);

/// Cuts sorted rows where neither the key nor a session goes on.
fn touching<'r, 'a>(rows: &'r [Row<'a>]) -> Vec<&'r [Row<'a>]> {
    let (mut runs, mut from, mut end) = (Vec::new(), 0, EventTime(i64::MIN));
    for (i, (key, window, _)) in rows.iter().enumerate() {
        let goes_on = i > from && rows.get(from).is_some_and(|(first, ..)| first == key) && window.start <= end;
        if !goes_on && i > from {
            runs.push(rows.get(from..i).unwrap_or_default());
            from = i;
        }
        end = if goes_on { end.max(window.end) } else { window.end };
    }
    runs.push(rows.get(from..).unwrap_or_default());
    runs
}

impl ShardWork<'_> {
    pub(super) fn run_sessions(&self, shard: &mut Shelf<'_>, arrived: Vec<Arrival<'_>>) -> anyhow::Result<Vec<Emitted>> {
        let mut new: BTreeMap<&[u8], Vec<Part<'_>>> = BTreeMap::new();
        for Arrival { end, key, state } in arrived {
            let (key, start) = split(key);
            new.entry(key).or_default().push(Part { window: Window { start, end }, new: Some(state) });
        }
        self.grow(shard, new)?;
        let to_us = match (self.mode, self.closes_to()) {
            (OutputMode::Complete, _) => NEVER_US - 1,
            (_, Some(to_us)) => to_us,
            (_, None) => return Ok(Vec::new()),
        };
        let (places, stored): (Vec<_>, Vec<Pieces>) = self.scan(shard, to_us)?.into_iter().unzip();
        let merged = self.merged(&stored)?;
        let emitted = places.iter().zip(merged).map(|((end, key), state)| {
            let (key, start) = split(key);
            Emitted { window: Window { start, end: *end }, key: key.to_vec(), state }
        });
        let emitted = emitted.collect();
        if let Some(to_us) = self.closes_to() {
            self.forget(shard, places.iter().map(|(_, key)| split(key).0), to_us)?;
            shard.close(to_us);
        }
        Ok(emitted)
    }

    /// Lets an epoch's sessions grow together with those that are stored.
    fn grow(&self, shard: &mut Shelf<'_>, mut new: BTreeMap<&[u8], Vec<Part<'_>>>) -> anyhow::Result<()> {
        let (index, known) = get(shard.groups, new.keys().map(|key| (EventTime(NEVER_US), *key)))?;
        let mut runs = Vec::new();
        let mut lists = Vec::new();
        for ((key, parts), known) in new.iter_mut().zip(known.iter()) {
            parts.extend(windows(known.unwrap_or_default())?.into_iter().map(|window| Part { window, new: None }));
            // Of equal starts the stored one is first, then by their ends, and as they arrived.
            parts.sort_by_key(|part| (part.window.start, part.new.is_some(), part.window.end));
            let of_key = together(key, parts);
            lists.push(of_key.iter().map(|run| run.window).collect::<Vec<_>>());
            runs.extend(of_key.into_iter().filter(|run| run.parts.iter().any(|part| part.new.is_some())));
        }
        self.put_runs(shard, &runs)?;
        for (place, list) in index.iter().zip(lists) {
            shard.groups.put(place, &bytes(&list))?;
        }
        Ok(())
    }

    fn put_runs(&self, shard: &mut Shelf<'_>, runs: &[Run<'_>]) -> anyhow::Result<()> {
        let stored: Vec<(EventTime, Vec<u8>)> =
            runs.iter().flat_map(|run| run.stored().map(|part| (part.window.end, join(run.key, part.window.start)))).collect();
        let (old, states) = get(shard.groups, stored.iter().map(|(end, key)| (*end, key.as_slice())))?;
        let mut old = old.iter().zip(states.iter());
        // Of each run: its pieces, in order; and its new states in one.
        let (mut pieces, mut fresh): (Vec<Pieces>, Vec<Vec<&[u8]>>) = (Vec::new(), Vec::new());
        for run in runs {
            let mut of_run = Pieces::new();
            let appended = run.is_appended_to();
            for part in &run.parts {
                match part.new {
                    Some(_) if appended => {}
                    Some(state) => of_run.push((0, state.to_vec())),
                    None => {
                        let (place, state) = old.next().context("a session is missing that was looked up: this is a defect")?;
                        of_run.extend(self.pieces(shard, place, state)?);
                        shard.groups.delete(place)?;
                    }
                }
            }
            pieces.push(of_run);
            fresh.push(if appended { run.parts.iter().filter_map(|part| part.new).collect() } else { Vec::new() });
        }
        let fresh = crate::operator::merge::merge_all(self.function, fresh, self.max_state_bytes)?;
        let whole: Vec<Pieces> = runs.iter().zip(&pieces).map(|(run, pieces)| if run.is_appended_to() { Pieces::new() } else { pieces.clone() }).collect();
        let whole = self.merged(&whole)?;
        for (((run, pieces), fresh), whole) in runs.iter().zip(pieces).zip(fresh).zip(whole) {
            let key = join(run.key, run.window.start);
            let (place, _) = get(shard.groups, std::iter::once((run.window.end, key.as_slice())))?;
            let place = place.get(0).unwrap_or_default();
            match run.is_appended_to() {
                true => self.store_pieces(shard.groups, place, &self.grown(pieces, fresh)?)?,
                false => self.store_whole(shard.groups, place, &whole)?,
            }
        }
        Ok(())
    }

    /// Takes closed sessions off the lists of their keys.
    fn forget<'k>(&self, shard: &mut Shelf<'_>, keys: impl Iterator<Item = &'k [u8]>, to_us: i64) -> anyhow::Result<()> {
        let keys: std::collections::BTreeSet<&[u8]> = keys.collect();
        let (places, known) = get(shard.groups, keys.into_iter().map(|key| (EventTime(NEVER_US), key)))?;
        for (place, known) in places.iter().zip(known.iter()) {
            let mut open = windows(known.unwrap_or_default())?;
            open.retain(|window| window.end.0 > to_us);
            match open.is_empty() {
                true => shard.groups.delete(place)?,
                false => shard.groups.put(place, &bytes(&open))?,
            }
        }
        Ok(())
    }
}

impl Run<'_> {
    fn stored(&self) -> impl Iterator<Item = &Part<'_>> {
        self.parts.iter().filter(|part| part.new.is_none())
    }

    /// Whether its new states only follow one that is stored, so that it grows by a segment and is not read.
    fn is_appended_to(&self) -> bool {
        self.stored().count() == 1 && self.parts.first().is_some_and(|first| first.new.is_none())
    }
}

/// Sorted parts of a key, run by run: what starts at or before the end of a run belongs to it (T-4).
fn together<'a>(key: &'a [u8], parts: &[Part<'a>]) -> Vec<Run<'a>> {
    let mut runs: Vec<Run<'a>> = Vec::new();
    for part in parts {
        match runs.last_mut() {
            Some(run) if part.window.start <= run.window.end => {
                run.window.end = run.window.end.max(part.window.end);
                run.parts.push(*part);
            }
            _ => runs.push(Run { key, window: part.window, parts: vec![*part] }),
        }
    }
    runs
}

/// A list of sessions as it is stored.
fn bytes(windows: &[Window]) -> Vec<u8> {
    windows.iter().flat_map(|window| [window.start.0.to_be_bytes(), window.end.0.to_be_bytes()]).flatten().collect()
}

fn windows(bytes: &[u8]) -> anyhow::Result<Vec<Window>> {
    let (windows, []) = bytes.as_chunks::<{ 2 * START_BYTES }>() else {
        anyhow::bail!("damaged state: a list of sessions has {} bytes, expected a multiple of {}", bytes.len(), 2 * START_BYTES)
    };
    let edge = |bytes: &[u8]| EventTime(bytes.try_into().map_or(0, i64::from_be_bytes));
    Ok(windows.iter().map(|window| window.split_at(START_BYTES)).map(|(start, end)| Window { start: edge(start), end: edge(end) }).collect())
}
