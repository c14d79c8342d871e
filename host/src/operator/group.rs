//! The first half of an aggregation: rows of a run of chunks find their window and their group, late rows leave, and the plugin folds what is left into one fresh
//! state a group. Runs are folded side by side; only states go on from here, not rows.

use std::ops::Range;

use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array as _, BooleanArray, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::EpochTime;
use super::aggregate::Grouping;
use crate::plugin::{self, Blobs};
use crate::rows::Chunk;
use crate::source::Bytes;
use crate::state::Keys;
use crate::time::EventTime;

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
    /// How many rows were late.
    pub(super) late_rows: u64,
    /// How many groups had late rows: Spark's count (L-3).
    pub(super) late_groups: u64,
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
pub(super) fn fold(grouping: &Grouping, function: &plugin::Aggregate, time: &EpochTime, chunks: &[Chunk]) -> anyhow::Result<Partial> {
    let Some(first) = chunks.first() else { return Ok(Partial::default()) };
    let rows = match chunks {
        [one] => one.rows.clone(),
        many => concat(grouping, many, &first.rows)?,
    };
    let mut partial = Partial::default();
    let rows = grouping.without_late(time, rows, &mut partial)?;
    let count = rows.num_rows();
    if count == 0 {
        return Ok(partial);
    }
    let (mut groups, mut numbers) = (Groups::new(), Vec::with_capacity(count));
    let mut keys = Keys::new();
    grouping.encoder.encode(&rows, &mut keys)?;
    // Neighbours are mostly in the same window, and a division costs more than two comparisons.
    let mut window = grouping.window.ending_at(EventTime(i64::MIN));
    for (time, key) in grouping.times(&rows)?.values().iter().zip(keys.iter()) {
        let time = EventTime(time - grouping.time_shift_us);
        if !window.contains(time) {
            window = grouping.window.ending_at(grouping.window.end_of(time));
        }
        numbers.push(groups.number(window.end, key));
    }
    let length = u32::try_from(groups.len())?;
    partial.states = function.accumulate(&time.context(), &rows, &numbers, length)?;
    partial.groups = groups;
    Ok(partial)
}

/// The rows of several chunks as one table. Columns that nobody here reads are left empty, which costs nothing.
fn concat(grouping: &Grouping, chunks: &[Chunk], first: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let schema = first.schema();
    let rows = chunks.iter().map(|chunk| chunk.rows.num_rows()).sum();
    let columns = (0..schema.fields().len()).map(|column| {
        if grouping.needs.get(column).copied().unwrap_or(false) {
            let arrays: Vec<_> = chunks.iter().map(|chunk| chunk.rows.column(column).as_ref()).collect();
            arrow_select::concat::concat(&arrays)
        } else {
            Ok(arrow_array::new_null_array(&arrow_schema::DataType::Null, rows))
        }
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, column)| field.as_ref().clone().with_data_type(column.data_type().clone()).with_nullable(true))
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(std::sync::Arc::new(arrow_schema::Schema::new(fields)), columns, &options)?)
}

fn same_partition(a: &Chunk, b: &Chunk) -> bool {
    match (a.origin.record(0), b.origin.record(0)) {
        (Some((a, _)), Some((b, _))) => a.partition == b.partition,
        (a, b) => a.is_none() && b.is_none(),
    }
}

impl Grouping {
    /// The event times of rows.
    fn times<'a>(&self, rows: &'a RecordBatch) -> anyhow::Result<&'a TimestampMicrosecondArray> {
        let column = rows.columns().get(self.time).and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        column.ok_or_else(|| anyhow::anyhow!("column {} holds no event times", self.time))
    }

    /// The end of the window that a time falls into.
    fn window_end(&self, time_us: i64) -> EventTime {
        self.window.end_of(EventTime(time_us - self.time_shift_us))
    }

    /// The rows whose window is still open (L-1, L-2). Rows without an event time are in no window (T-1); they were counted where the event time is declared.
    fn without_late(&self, time: &EpochTime, rows: RecordBatch, partial: &mut Partial) -> anyhow::Result<RecordBatch> {
        let times = self.times(&rows)?;
        let is_late = |time_us: i64| time.late.is_some_and(|late| late.has_passed(self.window_end(time_us)));
        // Lateness rises with age: when the oldest row is not late, none is.
        let oldest = times.values().iter().min();
        if times.null_count() == 0 && !oldest.is_some_and(|oldest| is_late(*oldest)) {
            return Ok(rows);
        }
        let late: BooleanArray = times.iter().map(|time| Some(time.is_some_and(is_late))).collect();
        let open: BooleanArray = times.iter().map(|time| Some(time.is_some_and(|time| !is_late(time)))).collect();
        partial.late_rows = u64::try_from(late.true_count())?;
        if partial.late_rows > 0 {
            let late = arrow_select::filter::filter_record_batch(&rows, &late)?;
            let (mut keys, mut groups) = (Keys::new(), Groups::new());
            self.encoder.encode(&late, &mut keys)?;
            for (time, key) in self.times(&late)?.values().iter().zip(keys.iter()) {
                groups.number(self.window_end(*time), key);
            }
            partial.late_groups = u64::try_from(groups.len())?;
        }
        Ok(arrow_select::filter::filter_record_batch(&rows, &open)?)
    }
}

impl Groups {
    fn new() -> Self {
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
    fn number(&mut self, end: EventTime, key: &[u8]) -> u32 {
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
