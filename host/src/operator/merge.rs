//! The second half of an aggregation: many states a group become one, in calls of bounded size.

use super::functions::Functions;
use crate::plugin::Blobs;

/// Bytes of states in one merge call: more leave the L2 cache and cost up to five times as much.
const CALL_BYTES: usize = 256 << 10;

/// Merges the states of each group into one, in the order in which they stand. Groups with one state cost nothing.
///
/// # Errors
/// What the plugin's `merge` says, or a group that has grown past `max_state_bytes`.
pub(super) fn merge_all(function: &Functions, groups: Vec<Vec<&[u8]>>, max_state_bytes: usize) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut merged: Vec<Vec<u8>> = vec![Vec::new(); groups.len()];
    let mut call = Call::default();
    for (group, states) in groups.iter().enumerate() {
        if let [only] = states.as_slice() {
            store(&mut merged, group, only, max_state_bytes)?;
            continue;
        }
        for state in states {
            call.push(group, state);
            if call.states.data.len() >= CALL_BYTES {
                // The group may go on in the next call: what it has come to so far is its first state there.
                call.run(function, &mut merged, max_state_bytes)?;
                call.push(group, merged.get(group).map(Vec::as_slice).unwrap_or_default());
            }
        }
    }
    call.run(function, &mut merged, max_state_bytes)?;
    Ok(merged)
}

/// The states of one merge call.
#[derive(Default)]
struct Call {
    states: Blobs,
    /// For each state, the number of its group within the call.
    numbers: Vec<u32>,
    /// The groups of the call.
    groups: Vec<usize>,
}

impl Call {
    fn push(&mut self, group: usize, state: &[u8]) {
        if self.groups.last() != Some(&group) {
            self.groups.push(group);
        }
        self.numbers.push(u32::try_from(self.groups.len() - 1).unwrap_or(u32::MAX));
        self.states.push(state);
    }

    fn run(&mut self, function: &Functions, merged: &mut [Vec<u8>], max_state_bytes: usize) -> anyhow::Result<()> {
        let call = std::mem::take(self);
        if let [group] = call.groups.as_slice()
            && call.numbers.len() == 1
        {
            return store(merged, *group, call.states.get(0).unwrap_or_default(), max_state_bytes);
        }
        if call.groups.is_empty() {
            return Ok(());
        }
        let done = function.merge(&call.states, &call.numbers, u32::try_from(call.groups.len())?)?;
        for (i, group) in call.groups.iter().enumerate() {
            store(merged, *group, done.get(i).unwrap_or_default(), max_state_bytes)?;
        }
        Ok(())
    }
}

fn store(merged: &mut [Vec<u8>], group: usize, state: &[u8], max_state_bytes: usize) -> anyhow::Result<()> {
    anyhow::ensure!(
        state.len() <= max_state_bytes,
        "the state of one group has grown to {} bytes, more than the {max_state_bytes} that one may have: aggregate in two steps (key by group and value first)",
        state.len()
    );
    if let Some(place) = merged.get_mut(group) {
        place.clear();
        place.extend_from_slice(state);
    }
    Ok(())
}
