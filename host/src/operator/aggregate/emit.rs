//! States to rows: window, keys, and what the plugin's `finish` makes.

use std::sync::Arc;

use anyhow::Context as _;
use arrow_array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use rayon::prelude::*;

use super::{Aggregate, Emitted};
use crate::operator::EpochTime;
use crate::plugin::Blobs;
use crate::rows::{Chunk, Origin};
use crate::time::EventTime;
use crate::time::window::Window;

/// States of one `finish` call.
const CALL_STATES: usize = 1_000;
/// Bytes of one `finish` call; a single larger state is a call of its own.
const CALL_BYTES: usize = 256 << 10;

impl Aggregate {
    /// The rows of the emitted groups, in their order.
    pub(super) fn emit(&self, time: &EpochTime, emitted: Vec<Emitted>) -> anyhow::Result<Vec<Chunk>> {
        let context = time.context();
        let chunks: Vec<_> = calls(&emitted).into_par_iter().map(|groups| self.busy.with(|| self.finish(&context, groups))).collect();
        chunks.into_iter().collect()
    }

    fn finish(&self, context: &crate::plugin::Context, groups: &[Emitted]) -> anyhow::Result<Chunk> {
        let mut states = Blobs::default();
        groups.iter().for_each(|group| states.push(&group.state));
        let finished = self.function.finish(context, &states)?;
        let edge = |edge: fn(&Window) -> EventTime| {
            let edges: Vec<i64> = groups.iter().map(|group| edge(&group.window).0).collect();
            Arc::new(TimestampMicrosecondArray::from(edges).with_timezone("UTC")) as ArrayRef
        };
        let mut columns = match self.grouping.placing.has_windows() {
            true => vec![edge(|window| window.start), edge(|window| window.end)],
            false => Vec::new(),
        };
        columns.extend(self.grouping.encoder.decode(groups.iter().map(|group| group.key.as_slice()))?);
        columns.extend(finished.columns().iter().cloned());
        let rows = RecordBatch::try_new(Arc::clone(&self.output), columns).context("put window, keys and aggregates together")?;
        Ok(Chunk { rows, origin: Origin::Made })
    }
}

/// Cuts the groups into calls.
fn calls(mut emitted: &[Emitted]) -> Vec<&[Emitted]> {
    let mut calls = Vec::new();
    while !emitted.is_empty() {
        let mut bytes = 0;
        let fits = emitted.iter().take(CALL_STATES).take_while(|group| {
            bytes += group.state.len();
            bytes <= CALL_BYTES
        });
        let (call, rest) = emitted.split_at(fits.count().max(1).min(emitted.len()));
        calls.push(call);
        emitted = rest;
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_cut_by_states_and_bytes_and_a_large_state_is_a_call_of_its_own() {
        let group = |bytes: usize| Emitted { window: Window { start: EventTime(0), end: EventTime(0) }, key: Vec::new(), state: vec![0; bytes] };
        let mut emitted: Vec<_> = (0..1_500).map(|_| group(8)).collect();
        emitted.push(group(CALL_BYTES + 1));
        emitted.push(group(1));
        let sizes: Vec<_> = calls(&emitted).iter().map(|call| call.len()).collect();
        assert_eq!(sizes, [1_000, 500, 1, 1]);
    }
}
