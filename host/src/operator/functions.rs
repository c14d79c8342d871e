//! Several aggregates of one step, as one: rows are grouped once, each function folds them, and a group's state is theirs end to end. Of a single function nothing is
//! added: its states and its identity are as it made them.

use std::sync::Arc;

use anyhow::Context as _;
use arrow_array::RecordBatch;
use arrow_schema::{Fields, Schema, SchemaRef};

use crate::plugin::{self, Blobs, Context, Order, StateIdentity, Stats};

/// The functions of a step.
#[derive(Debug)]
pub struct Functions {
    all: Vec<plugin::Aggregate>,
    reads: Vec<usize>,
    identity: StateIdentity,
}

/// A length in front of each function's part of a state.
const LENGTH_BYTES: usize = 4;

impl Functions {
    /// These functions, in the order of their columns.
    ///
    /// # Errors
    /// There is none.
    pub fn new(all: Vec<plugin::Aggregate>) -> anyhow::Result<Self> {
        let mut reads: Vec<usize> = all.iter().flat_map(plugin::Aggregate::reads).copied().collect();
        reads.sort_unstable();
        reads.dedup();
        let identity = match all.as_slice() {
            [] => anyhow::bail!("an aggregate without a function: this is a defect"),
            [only] => only.state_identity().clone(),
            several => StateIdentity { version: 0, shape: shape(several)? },
        };
        Ok(Self { all, reads, identity })
    }

    /// The input columns that one of them reads.
    #[must_use]
    pub fn reads(&self) -> &[usize] {
        &self.reads
    }

    /// What the bytes of a state are.
    #[must_use]
    pub fn state_identity(&self) -> &StateIdentity {
        &self.identity
    }

    /// In which order states are to be merged: as they arrived, if one of them asks for that.
    #[must_use]
    pub fn order(&self) -> Order {
        if self.all.iter().any(|function| function.order() == Order::Arrival) { Order::Arrival } else { Order::Any }
    }

    /// What they have cost so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.all.iter().fold(Stats::default(), |all, function| all.and(&function.stats()))
    }

    /// As [`plugin::Aggregate::accumulate`].
    ///
    /// # Errors
    /// What the first one says that fails.
    pub fn accumulate(&self, context: &Context, input: &RecordBatch, group: &[u32], groups: u32) -> anyhow::Result<Blobs> {
        self.each(|function, _| Ok(function.accumulate(context, input, group, groups)?), &[])
    }

    /// As [`plugin::Aggregate::merge`].
    ///
    /// # Errors
    /// What the first one says that fails; a state that is not of these functions.
    pub fn merge(&self, states: &Blobs, group: &[u32], groups: u32) -> anyhow::Result<Blobs> {
        match self.all.as_slice() {
            [only] => Ok(only.merge(states, group, groups)?),
            _ => self.each(|function, states| Ok(function.merge(states, group, groups)?), &self.parts(states)?),
        }
    }

    /// As [`plugin::Aggregate::finish`]: the columns of all.
    ///
    /// # Errors
    /// Likewise.
    pub fn finish(&self, context: &Context, states: &Blobs) -> anyhow::Result<RecordBatch> {
        if let [only] = self.all.as_slice() {
            return Ok(only.finish(context, states)?);
        }
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (function, states) in self.all.iter().zip(self.parts(states)?) {
            let finished = function.finish(context, &states)?;
            fields.extend(finished.schema().fields().iter().cloned());
            columns.extend(finished.columns().iter().cloned());
        }
        let schema: SchemaRef = Arc::new(Schema::new(Fields::from(fields)));
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(states.len()));
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }

    /// As [`plugin::Aggregate::migrate`]; of several functions each its part.
    ///
    /// # Errors
    /// Likewise; or the states are of another number of functions.
    pub fn migrate(&self, stored: &StateIdentity, states: &Blobs) -> anyhow::Result<Blobs> {
        if let [only] = self.all.as_slice() {
            return Ok(only.migrate(stored, states)?);
        }
        let before: Vec<(u32, String)> = serde_json::from_str(&stored.shape).context("the stored states are of a single aggregate")?;
        anyhow::ensure!(before.len() == self.all.len(), "the stored states are of {} aggregates, and there are {}", before.len(), self.all.len());
        let parts = self.parts(states)?;
        let migrated = self.all.iter().zip(before).zip(parts).map(|((function, (version, shape)), states)| {
            let before = StateIdentity { version, shape };
            if *function.state_identity() == before { Ok(states) } else { Ok(function.migrate(&before, &states)?) }
        });
        Ok(joined(&migrated.collect::<anyhow::Result<Vec<_>>>()?))
    }

    /// What each function makes, of its part of the states if there are any, put end to end.
    fn each(&self, make: impl Fn(&plugin::Aggregate, &Blobs) -> anyhow::Result<Blobs>, parts: &[Blobs]) -> anyhow::Result<Blobs> {
        let none = Blobs::default();
        if let [only] = self.all.as_slice() {
            return make(only, &none);
        }
        let made = self.all.iter().enumerate().map(|(number, function)| make(function, parts.get(number).unwrap_or(&none)));
        Ok(joined(&made.collect::<anyhow::Result<Vec<_>>>()?))
    }

    /// The states of each function.
    fn parts(&self, states: &Blobs) -> anyhow::Result<Vec<Blobs>> {
        let mut parts: Vec<Blobs> = self.all.iter().map(|_| Blobs::with_capacity(states.len(), 0)).collect();
        for mut state in states.iter() {
            for part in &mut parts {
                let cut = state.split_first_chunk::<LENGTH_BYTES>().and_then(|(length, rest)| rest.split_at_checked(u32::from_be_bytes(*length) as usize));
                let (bytes, rest) = cut.context("damaged group state: it is not of these aggregates")?;
                part.push(bytes);
                state = rest;
            }
        }
        Ok(parts)
    }
}

/// State i of each, end to end.
fn joined(parts: &[Blobs]) -> Blobs {
    let count = parts.first().map_or(0, Blobs::len);
    let mut states = Blobs::with_capacity(count, parts.iter().map(|part| part.data.len() + count * LENGTH_BYTES).sum());
    let mut state = Vec::new();
    for i in 0..count {
        state.clear();
        for part in parts {
            let bytes = part.get(i).unwrap_or_default();
            // A state is below 2^31 bytes, as all states of a call together are.
            state.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            state.extend_from_slice(bytes);
        }
        states.push(&state);
    }
    states
}

/// The identities of several functions as one text.
fn shape(functions: &[plugin::Aggregate]) -> anyhow::Result<String> {
    let identities = functions.iter().map(|function| (function.state_identity().version, function.state_identity().shape.as_str()));
    Ok(serde_json::to_string(&identities.collect::<Vec<_>>())?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn states_are_put_end_to_end_in_the_order_of_the_functions() {
        let of = |states: &[&[u8]]| {
            let mut blobs = Blobs::default();
            states.iter().for_each(|state| blobs.push(state));
            blobs
        };
        let joined = joined(&[of(&[b"a", b""]), of(&[b"bc", b"d"])]);
        assert_eq!(joined.iter().collect::<Vec<_>>(), [b"\0\0\0\x01a\0\0\0\x02bc".as_slice(), b"\0\0\0\0\0\0\0\x01d"]);
    }
}
