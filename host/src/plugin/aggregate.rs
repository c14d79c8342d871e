//! Aggregates: rows to states, states to a state, states to rows. States are bytes that only the guest understands.

use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};

use super::bindings::{AggregateExports, AggregateOpened, BlobsIn, BlobsOut, ColumnIn, ColumnOut, Context, Order, RowsIn, RowsOut, StateIdentity};
use super::blobs::Blobs;
use super::convert::{lift, lower};
use super::error::{Malformed, OpenError, PluginError};
use super::limits::Limits;
use super::load::Plugin;
use super::pool::{Pool, Weigh};
use super::stats::Stats;

/// An opened aggregate. Any number of threads may use it at once; each gets an instance of its own.
pub struct Aggregate {
    pool: Pool<AggregateExports>,
    reads: Vec<usize>,
    output: SchemaRef,
}

impl Aggregate {
    pub(super) fn open(plugin: &Plugin, function: &str, config: &serde_json::Value, input: &Schema, limits: &Limits) -> Result<Self, OpenError> {
        let pool = Pool::<AggregateExports>::open(plugin, function, config, input, limits)?;
        let (reads, output) = plan(pool.opened(), input).map_err(|malformed| malformed.at(pool.site("open")))?;
        Ok(Self { pool, reads, output })
    }

    /// The input columns that `accumulate` gets, by index.
    #[must_use]
    pub fn reads(&self) -> &[usize] {
        &self.reads
    }

    /// The columns that `finish` makes.
    #[must_use]
    pub fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// What the bytes of its states are.
    #[must_use]
    pub fn state_identity(&self) -> &StateIdentity {
        &self.pool.opened().state
    }

    /// In which order `merge` wants the states of a group.
    #[must_use]
    pub fn order(&self) -> Order {
        self.pool.opened().order
    }

    /// What it has cost so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.pool.stats()
    }

    /// A state for each of `groups` groups, of the rows at hand alone: row i belongs to group `group[i]`, and each group has a row. `input` has all the columns
    /// that it was opened on; only those of [`reads`](Self::reads) are sent.
    pub fn accumulate(&self, context: &Context, input: &RecordBatch, group: &[u32], groups: u32) -> Result<Blobs, PluginError> {
        let began = Instant::now();
        let host_error = |reason: String| self.pool.host_error("accumulate", reason);
        let count = u32::try_from(input.num_rows()).map_err(|_| host_error(format!("{} rows are more than a call takes", input.num_rows())))?;
        if group.len() != input.num_rows() {
            return Err(host_error(format!("{} rows were given with {} group numbers", input.num_rows(), group.len())));
        }
        let lowered = lower::columns(input, self.pool.input(), &self.reads).map_err(host_error)?;
        let columns: Vec<ColumnIn<'_>> = lowered.iter().map(lower::Lowered::column).collect();
        let rows = RowsIn { count, columns: &columns };
        let group = lower::u32s(group);
        let bytes_in = lowered.iter().map(lower::Lowered::bytes).sum::<usize>() + group.len();
        self.pool.call(
            "accumulate",
            began,
            bytes_in,
            |exports, store| exports.accumulate.call(store, (*context, rows, group, groups)),
            |answer| lift::blobs(answer, groups as usize),
        )
    }

    /// A state for each of `groups` groups, of several: state i belongs to group `group[i]`, in the order that [`order`](Self::order) asks for, and each group
    /// has a state.
    pub fn merge(&self, states: &Blobs, group: &[u32], groups: u32) -> Result<Blobs, PluginError> {
        let began = Instant::now();
        if group.len() != states.len() {
            return Err(self.pool.host_error("merge", format!("{} states were given with {} group numbers", states.len(), group.len())));
        }
        let states = self.lower("merge", states)?;
        let group = lower::u32s(group);
        self.pool.call(
            "merge",
            began,
            states.bytes() + group.len(),
            |exports, store| exports.merge.call(store, (states, group, groups)),
            |answer| lift::blobs(answer, groups as usize),
        )
    }

    /// A row for each state.
    pub fn finish(&self, context: &Context, states: &Blobs) -> Result<RecordBatch, PluginError> {
        let began = Instant::now();
        let count = states.len();
        let states = self.lower("finish", states)?;
        self.pool.call(
            "finish",
            began,
            states.bytes(),
            |exports, store| exports.finish.call(store, (*context, states)),
            |answer| lift::rows(&self.output, answer, count),
        )
    }

    /// The same states, stored under another identity, as this aggregate would have them.
    pub fn migrate(&self, stored: &StateIdentity, states: &Blobs) -> Result<Blobs, PluginError> {
        let began = Instant::now();
        let count = states.len();
        let states = self.lower("migrate", states)?;
        self.pool.call("migrate", began, states.bytes(), |exports, store| exports.migrate.call(store, (stored, states)), |answer| lift::blobs(answer, count))
    }

    fn lower<'a>(&self, call: &'static str, states: &'a Blobs) -> Result<BlobsIn<'a>, PluginError> {
        lower::blobs(states).ok_or_else(|| self.pool.host_error(call, format!("{} bytes of states are more than a call takes", states.data.len())))
    }
}

impl std::fmt::Debug for Aggregate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Aggregate").field("site", &self.pool.site("accumulate")).field("output", &self.output).finish_non_exhaustive()
    }
}

impl BlobsIn<'_> {
    fn bytes(&self) -> usize {
        self.offsets.len() + self.data.len()
    }
}

impl Weigh for BlobsOut {
    fn bytes(&self) -> usize {
        self.offsets.len() + self.data.len()
    }
}

impl Weigh for ColumnOut {
    fn bytes(&self) -> usize {
        self.data.len() + self.offsets.len() + self.validity.len()
    }
}

impl Weigh for RowsOut {
    fn bytes(&self) -> usize {
        self.columns.iter().map(Weigh::bytes).sum()
    }
}

/// What `open` answered, checked against the input.
fn plan(opened: &AggregateOpened, input: &Schema) -> Result<(Vec<usize>, SchemaRef), Malformed> {
    let reads = lift::reads(&opened.reads, input.fields().len())?;
    let fields = opened.output.iter().map(lift::output_field).collect::<Result<Vec<_>, _>>()?;
    Ok((reads, lift::output_schema(fields)?))
}
