//! Sliding windows, put together of panes. A row is folded once, into its pane; a window's state is the merge of its panes', made when the window comes out and not
//! kept. What is closed is known by the watermarks alone: L has passed the windows that are out, so a late row that still counts for others never brings one back.

use std::collections::{BTreeMap, BTreeSet};

use super::OutputMode;
use super::fold::{Emitted, Pieces, Place, ShardWork, Touched, get};
use super::shelf::Shelf;
use crate::time::EventTime;
use crate::time::window::Windows;

impl ShardWork<'_> {
    pub(super) fn run_panes(&self, shard: &mut Shelf<'_>, groups: Touched<'_>, windows: Windows) -> anyhow::Result<Vec<Emitted>> {
        let emitted = match self.mode {
            OutputMode::Append => {
                self.append(shard, groups)?;
                match self.closes_to() {
                    Some(to_us) => self.windows_to(shard, windows, to_us)?,
                    None => Vec::new(),
                }
            }
            OutputMode::Update => {
                let touched: BTreeSet<Place> = groups.keys().flat_map(|(pane, key)| self.open(windows, *pane).map(|end| (end, key.to_vec()))).collect();
                self.update(shard, groups)?;
                self.windows_at(shard, windows, touched)?
            }
            OutputMode::Complete => {
                self.update(shard, groups)?;
                self.windows_to(shard, windows, i64::MAX)?
            }
        };
        if let Some(to_us) = self.closes_to() {
            shard.close(windows.done_at(EventTime(to_us)).0);
        }
        Ok(emitted)
    }

    /// The ends of the windows over a pane that L has not passed.
    fn open(&self, windows: Windows, pane_end: EventTime) -> impl Iterator<Item = EventTime> {
        let late = self.time.late;
        windows.ends_of(EventTime(pane_end.0.saturating_sub(1))).filter(move |end| !late.is_some_and(|late| late.has_passed(*end)))
    }

    /// The windows that are not out yet and end at or before `to_us`.
    fn windows_to(&self, shard: &mut Shelf<'_>, windows: Windows, to_us: i64) -> anyhow::Result<Vec<Emitted>> {
        let (places, pieces): (Vec<_>, Vec<Pieces>) = self.scan(shard, to_us)?.into_iter().unzip();
        let mut of_windows: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
        for (number, (pane, key)) in places.iter().enumerate() {
            for end in self.open(windows, *pane).take_while(|end| end.0 <= to_us) {
                of_windows.entry((end, key.clone())).or_default().push(number);
            }
        }
        self.put_together(windows, of_windows, &pieces)
    }

    /// These windows, whole.
    fn windows_at(&self, shard: &mut Shelf<'_>, windows: Windows, touched: BTreeSet<Place>) -> anyhow::Result<Vec<Emitted>> {
        let mut panes: BTreeSet<Place> = BTreeSet::new();
        for (end, key) in &touched {
            panes.extend(panes_of(windows, *end).map(|pane| (pane, key.clone())));
        }
        let (keys, stored) = get(shard.groups, panes.iter().map(|(end, key)| (*end, key.as_slice())))?;
        let (mut pieces, mut numbers): (Vec<Pieces>, BTreeMap<&Place, usize>) = (Vec::new(), BTreeMap::new());
        for ((pane, place), state) in panes.iter().zip(keys.iter()).zip(stored.iter()).filter(|(_, state)| state.is_some()) {
            numbers.insert(pane, pieces.len());
            pieces.push(self.pieces(shard, place, state)?);
        }
        let of_window = |(end, key): Place| {
            let found = panes_of(windows, end).filter_map(|pane| numbers.get(&(pane, key.clone())).copied()).collect();
            ((end, key), found)
        };
        self.put_together(windows, touched.into_iter().map(of_window).collect(), &pieces)
    }

    fn put_together(&self, windows: Windows, of_windows: BTreeMap<Place, Vec<usize>>, panes: &[Pieces]) -> anyhow::Result<Vec<Emitted>> {
        // A pane is in several windows: it is brought into one piece once.
        let panes = self.merged(panes)?;
        let states = of_windows.values().map(|numbers| numbers.iter().filter_map(|number| panes.get(*number)).map(Vec::as_slice).collect());
        let merged = crate::operator::merge::merge_all(self.function, states.collect(), self.max_state_bytes)?;
        let emitted = of_windows.into_keys().zip(merged).map(|((end, key), state)| Emitted { window: windows.ending_at(end), key, state });
        Ok(emitted.collect())
    }
}

/// The ends of the panes of the window that ends at `end`, in order.
fn panes_of(windows: Windows, end: EventTime) -> impl Iterator<Item = EventTime> {
    let first = windows.pane_of(windows.ending_at(end).start).end;
    std::iter::successors(Some(first), move |pane| (*pane < end).then(|| windows.pane_of(*pane).end))
}
