//! The first half of an aggregation: rows of a run of chunks find their window and their group, late rows leave, and the plugin folds what is left into one fresh
//! state a group. Runs are folded side by side; only states go on from here, not rows.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_schema::{DataType, Schema};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::EpochTime;
use super::aggregate::{Grouping, sessions};
use super::functions::Functions;
use super::placing::Placing;
use crate::plugin::Blobs;
use crate::rows::Chunk;
use crate::source::Bytes;
use crate::state::Keys;
use crate::time::EventTime;
use crate::time::window::Window;

/// Rows of one accumulate call: enough that partial aggregation pays, few enough that the columns it reads stay in the L2 cache.
const UNIT_ROWS: usize = 16_000;
/// Bytes of one accumulate call, likewise.
const UNIT_BYTES: usize = 256 << 10;

/// The groups of a run of rows, each with its fresh state.
#[derive(Debug, Default)]
pub(super) struct Partial {
    /// The windows and keys; number i has state i.
    pub(super) groups: Groups,
    /// The states.
    pub(super) states: Blobs,
    /// How often a row was late for a window that it is in.
    pub(super) late_rows: u64,
    /// How many groups had late rows: Spark's count (L-3).
    pub(super) late_groups: u64,
    /// The late rows themselves, if somebody takes them.
    pub(super) late: Vec<Chunk>,
}

/// Windows and keys, numbered in the order in which they are first met.
#[derive(Debug, Default)]
pub(super) struct Groups {
    ends: Vec<EventTime>,
    keys: Bytes,
    hashes: Vec<u64>,
    table: HashTable<u32>,
}

/// Cuts an epoch's chunks into runs of one partition for one accumulate call each. By rows and bytes only, so that the runs are the same each time.
pub(super) fn units(chunks: &[Chunk], reads: &[usize]) -> Vec<Range<usize>> {
    let mut units = Vec::new();
    let (mut from, mut rows, mut bytes) = (0, 0, 0);
    for (i, chunk) in chunks.iter().enumerate() {
        let size: usize = reads.iter().filter_map(|column| chunk.rows.columns().get(*column)).map(|column| column.get_array_memory_size()).sum();
        let other = i > from && !chunks.get(from).is_some_and(|first| same_partition(first, chunk));
        if i > from && (other || rows + chunk.rows.num_rows() > UNIT_ROWS || bytes + size > UNIT_BYTES) {
            units.push(from..i);
            (from, rows, bytes) = (i, 0, 0);
        }
        rows += chunk.rows.num_rows();
        bytes += size;
    }
    if from < chunks.len() {
        units.push(from..chunks.len());
    }
    units
}

/// Folds a run of rows.
pub(super) fn fold(grouping: &Grouping, function: &Functions, time: &EpochTime, chunks: &[Chunk]) -> anyhow::Result<Partial> {
    let Some(first) = chunks.first() else { return Ok(Partial::default()) };
    let rows = match chunks {
        [one] => one.rows.clone(),
        many => grouping.concat(many, &first.rows)?,
    };
    let placed = grouping.placing.place(time, &rows)?;
    let mut partial = Partial { late_rows: placed.late.len() as u64, late_groups: grouping.late_groups(&rows, &placed.late)?, ..Partial::default() };
    if let (Some(late), Some(watermark)) = (&grouping.late, time.late) {
        partial.late = late.of(chunks, &placed.late, watermark)?;
    }
    let rows = match placed.rows {
        None => rows,
        Some(numbers) => grouping.take(&rows, numbers)?,
    };
    if rows.num_rows() == 0 {
        return Ok(partial);
    }
    let (mut groups, mut keys) = (Groups::new(), Keys::new());
    grouping.encoder.encode(&rows, &mut keys)?;
    let numbers: Vec<u32> = match grouping.placing {
        Placing::Sessions(..) => sessions::number(&mut groups, &placed.windows, &keys, function.order()),
        _ => placed.windows.iter().zip(keys.iter()).map(|(window, key)| groups.number(window.end, key)).collect(),
    };
    let length = u32::try_from(groups.len())?;
    partial.states = function.accumulate(&time.context(), &rows, &numbers, length)?;
    partial.groups = groups;
    Ok(partial)
}

impl Grouping {
    /// The rows of several chunks as one table. Columns that nobody here reads are left empty, which costs nothing.
    fn concat(&self, chunks: &[Chunk], first: &RecordBatch) -> anyhow::Result<RecordBatch> {
        let rows = chunks.iter().map(|chunk| chunk.rows.num_rows()).sum();
        self.each_needed(first, rows, |column| {
            let arrays: Vec<_> = chunks.iter().map(|chunk| chunk.rows.column(column).as_ref()).collect();
            arrow_select::concat::concat(&arrays)
        })
    }

    /// Rows by number, likewise.
    fn take(&self, rows: &RecordBatch, numbers: Vec<u32>) -> anyhow::Result<RecordBatch> {
        let numbers = UInt32Array::from(numbers);
        self.each_needed(rows, numbers.len(), |column| arrow_select::take::take(rows.column(column), &numbers, None))
    }

    fn each_needed(&self, like: &RecordBatch, rows: usize, make: impl Fn(usize) -> Result<ArrayRef, arrow_schema::ArrowError>) -> anyhow::Result<RecordBatch> {
        let schema = like.schema();
        let columns = (0..schema.fields().len()).map(|column| match self.needs.get(column) {
            Some(true) => make(column),
            _ => Ok(arrow_array::new_null_array(&DataType::Null, rows)),
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let fields: Vec<_> = schema
            .fields()
            .iter()
            .zip(&columns)
            .map(|(field, column)| field.as_ref().clone().with_data_type(column.data_type().clone()).with_nullable(true))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
    }

    /// How many groups the late rows are of (L-3).
    fn late_groups(&self, rows: &RecordBatch, late: &[(u32, Window)]) -> anyhow::Result<u64> {
        if late.is_empty() {
            return Ok(0);
        }
        let (mut keys, mut groups) = (Keys::new(), HashSet::new());
        self.encoder.encode(&self.take(rows, late.iter().map(|(row, _)| *row).collect())?, &mut keys)?;
        groups.extend(late.iter().zip(keys.iter()).map(|((_, window), key)| (*window, key)));
        Ok(groups.len() as u64)
    }
}

fn same_partition(a: &Chunk, b: &Chunk) -> bool {
    match (a.origin.record(0), b.origin.record(0)) {
        (Some((a, _)), Some((b, _))) => a.partition == b.partition,
        (a, b) => a.is_none() && b.is_none(),
    }
}

impl Groups {
    pub(super) fn new() -> Self {
        Self { keys: Bytes::new(), ..Self::default() }
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Window end and key of each group, in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (EventTime, &[u8])> {
        let keys = (0..self.len()).map(|i| self.keys.get(i).unwrap_or_default());
        self.ends.iter().copied().zip(keys)
    }

    /// The number of the group of a window and a key.
    pub(super) fn number(&mut self, end: EventTime, key: &[u8]) -> u32 {
        let hash = xxh3_64_with_seed(key, end.0.cast_unsigned());
        let (ends, keys, hashes) = (&self.ends, &self.keys, &self.hashes);
        let same = |group: &u32| {
            let group = *group as usize;
            ends.get(group) == Some(&end) && keys.get(group) == Some(key)
        };
        if let Some(group) = self.table.find(hash, same) {
            return *group;
        }
        let group = u32::try_from(ends.len()).unwrap_or(u32::MAX);
        let rehash = |group: &u32| hashes.get(*group as usize).copied().unwrap_or_default();
        self.table.insert_unique(hash, group, rehash);
        self.ends.push(end);
        self.keys.push(Some(key));
        self.hashes.push(hash);
        group
    }
}
