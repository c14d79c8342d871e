//! What came before: the last rows of each key, in the order of their windows, and what they say of the one at hand (0.2). It is a process over closed windows, which
//! come once and in order; the row at hand is not among those before it.

use std::sync::Arc;

use anyhow::Context as _;
use arrow_array::builder::{Float64Builder, Int64Builder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use rayon::prelude::*;

use super::states::StepStates;
use crate::epoch::clock::{Busy, Stopwatch};
use crate::observe::progress::StateOperator;
use crate::pipeline::Past;
use crate::rows::Chunk;
use crate::source::Bytes;
use crate::state::{KeyEncoder, Keys, NEVER_US, ShardState, StateKey, States, Store};

/// A step that remembers the last rows of each key.
pub struct History {
    /// They.
    pub states: StepStates,
    encoder: KeyEncoder,
    size: usize,
    add: Vec<(Past, usize)>,
    /// The columns of numbers that are remembered, each once.
    columns: Vec<usize>,
    output: SchemaRef,
    busy: Busy,
}

/// What a history is made with.
pub struct HistoryParts {
    /// The step's id: its rows are stored under it.
    pub id: String,
    /// The rows that come in.
    pub input: SchemaRef,
    /// The columns whose values have a history of their own.
    pub key: Vec<usize>,
    /// How many rows it holds.
    pub size: usize,
    /// What is added, and of which column.
    pub add: Vec<(Past, usize)>,
    /// The rows that go out.
    pub output: SchemaRef,
    /// Where.
    pub store: Arc<Store>,
}

/// What a history made of an epoch's rows.
#[derive(Debug)]
pub struct Remembered {
    /// The rows, each with what came before.
    pub chunks: Vec<Chunk>,
    /// For the progress record.
    pub operator: StateOperator,
    /// Microseconds of all threads together.
    pub busy_us: u64,
}

/// A number of a row, as 64 bits of its type; none: null.
type Number = Option<u64>;

/// Of one row, the numbers of the columns that are remembered.
type Numbers = Vec<Number>;

/// In a stored row, a number: whether there is one, and its bits.
const NUMBER_BYTES: usize = 9;

/// A row on its way to the shard of its key.
struct Passing<'a> {
    row: usize,
    key: &'a [u8],
}

impl History {
    /// A step over the rows in a store.
    ///
    /// # Errors
    /// When a key column has a type that can't be a key.
    pub fn new(parts: HistoryParts) -> anyhow::Result<Self> {
        let HistoryParts { id, input, key, size, add, output, store } = parts;
        let mut columns: Vec<usize> = add.iter().map(|(_, column)| *column).collect();
        columns.sort_unstable();
        columns.dedup();
        let encoder = KeyEncoder::new(&input, &key)?;
        Ok(Self { states: StepStates::new(id, store, false), encoder, size, add, columns, output, busy: Busy::default() })
    }

    /// Runs an epoch's rows, which come in the order of their windows. What it changes is pending until it is committed.
    ///
    /// # Errors
    /// What the store says; rows that were remembered of other columns.
    pub fn run(&mut self, chunks: &[Chunk]) -> anyhow::Result<Remembered> {
        let mut watch = Stopwatch::start();
        let mut keys = Bytes::new();
        let mut numbers: Vec<Numbers> = Vec::new();
        for chunk in chunks {
            let mut encoded = Keys::new();
            self.encoder.encode(&chunk.rows, &mut encoded)?;
            encoded.iter().for_each(|key| keys.push(Some(key)));
            numbers.extend(self.numbers(&chunk.rows)?);
        }
        let count = self.states.store().shards();
        let mut by_shard: Vec<Vec<Passing<'_>>> = count.shards().map(|_| Vec::new()).collect();
        for row in 0..numbers.len() {
            let key = keys.get(row).unwrap_or_default();
            by_shard.get_mut(usize::from(count.shard_of(key).0)).context("a shard beyond the last: this is a defect")?.push(Passing { row, key });
        }
        let (size, busy, numbers) = (self.size, &self.busy, &numbers);
        let shards = self.states.opened()?.shards_mut();
        let before: Vec<_> = shards.par_iter_mut().zip(by_shard).map(|(shard, rows)| busy.with(|| before(shard, &rows, numbers, size))).collect();
        let mut past: Vec<Vec<Numbers>> = vec![Vec::new(); numbers.len()];
        for (row, before) in before.into_iter().collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten() {
            if let Some(place) = past.get_mut(row) {
                *place = before;
            }
        }
        let (mut made, mut from) = (Vec::with_capacity(chunks.len()), 0);
        for chunk in chunks {
            let rows = from..from + chunk.rows.num_rows();
            let (own, past) = (numbers.get(rows.clone()).unwrap_or_default(), past.get(rows.clone()).unwrap_or_default());
            made.push(Chunk { rows: self.with(&chunk.rows, own, past)?, origin: chunk.origin.clone() });
            from = rows.end;
        }
        let mut operator = StateOperator::default();
        self.states.describe(&mut operator, i64::MIN..=NEVER_US);
        operator.all_updates_time_ms = watch.lap_us() / 1_000;
        Ok(Remembered { chunks: made, operator, busy_us: self.busy.take_us() })
    }

    /// The numbers of each row that are remembered.
    fn numbers(&self, rows: &RecordBatch) -> anyhow::Result<Vec<Numbers>> {
        let mut numbers: Vec<Numbers> = vec![Vec::with_capacity(self.columns.len()); rows.num_rows()];
        for column in &self.columns {
            let array = rows.columns().get(*column).with_context(|| format!("there is no column {column}"))?;
            let bits: Vec<Number> = match array.data_type() {
                DataType::Int64 => array.as_primitive::<Int64Type>().iter().map(|value| value.map(i64::cast_unsigned)).collect(),
                DataType::Float64 => array.as_primitive::<Float64Type>().iter().map(|value| value.map(f64::to_bits)).collect(),
                other => anyhow::bail!("column {column} holds {other}, and no numbers"),
            };
            numbers.iter_mut().zip(bits).for_each(|(row, number)| row.push(number));
        }
        Ok(numbers)
    }

    /// Rows with what their past says.
    fn with(&self, rows: &RecordBatch, own: &[Numbers], past: &[Vec<Numbers>]) -> anyhow::Result<RecordBatch> {
        let mut columns = rows.columns().to_vec();
        for (what, column) in &self.add {
            let place = self.columns.iter().position(|known| known == column).context("a column that is not remembered: this is a defect")?;
            let at = |row: &Numbers| row.get(place).copied().flatten();
            let each = own.iter().zip(past).map(|(own, past)| (at(own), past.iter().map(at).collect::<Vec<Number>>()));
            let whole = rows.columns().get(*column).is_some_and(|array| *array.data_type() == DataType::Int64);
            columns.push(if whole { whole_numbers(*what, each) } else { doubles(*what, each.map(|(own, past)| (own.map(f64::from_bits), floats(&past)))) });
        }
        RecordBatch::try_new(Arc::clone(&self.output), columns).context("put the rows and their history together")
    }
}

/// What the past of whole numbers says: lag, min and max are whole numbers, too.
fn whole_numbers(what: Past, each: impl Iterator<Item = (Number, Vec<Number>)>) -> ArrayRef {
    let mut builder = Int64Builder::new();
    #[expect(clippy::cast_precision_loss, reason = "means and deviations are doubles")]
    let double = |number: u64| number.cast_signed() as f64;
    match what {
        Past::Lag(rows) => each.for_each(|(_, past)| builder.append_option(lag(&past, rows).map(u64::cast_signed))),
        Past::Min => each.for_each(|(_, past)| builder.append_option(past.into_iter().flatten().map(u64::cast_signed).min())),
        Past::Max => each.for_each(|(_, past)| builder.append_option(past.into_iter().flatten().map(u64::cast_signed).max())),
        Past::Mean | Past::Stddev | Past::Zscore => {
            return doubles(what, each.map(|(own, past)| (own.map(double), past.into_iter().map(|number| number.map(double)).collect())));
        }
    }
    Arc::new(builder.finish())
}

fn floats(past: &[Number]) -> Vec<Option<f64>> {
    past.iter().map(|number| number.map(f64::from_bits)).collect()
}

fn doubles(what: Past, each: impl Iterator<Item = (Option<f64>, Vec<Option<f64>>)>) -> ArrayRef {
    let mut builder = Float64Builder::new();
    each.for_each(|(own, past)| {
        let there = || past.iter().copied().flatten();
        builder.append_option(match what {
            Past::Lag(rows) => lag(&past, rows),
            Past::Min => there().min_by(f64::total_cmp),
            Past::Max => there().max_by(f64::total_cmp),
            Past::Mean => mean(there()),
            Past::Stddev => stddev(there()),
            // Undefined without a deviation: nothing is unusual where all was the same.
            Past::Zscore => {
                own.zip(mean(there())).zip(stddev(there()).filter(|deviation| *deviation > 0.0)).map(|((own, mean), deviation)| (own - mean) / deviation)
            }
        });
    });
    Arc::new(builder.finish())
}

fn lag<T: Copy>(past: &[Option<T>], rows: u32) -> Option<T> {
    past.get(past.len().checked_sub(rows as usize)?).copied().flatten()
}

#[expect(clippy::cast_precision_loss, reason = "a history holds at most a thousand")]
fn mean(values: impl Iterator<Item = f64> + Clone) -> Option<f64> {
    let count = values.clone().count();
    (count > 0).then(|| values.sum::<f64>() / count as f64)
}

/// Of the sample, in two passes, so that it loses no digits to a large mean.
#[expect(clippy::cast_precision_loss, reason = "a history holds at most a thousand")]
fn stddev(values: impl Iterator<Item = f64> + Clone) -> Option<f64> {
    let (mean, count) = (mean(values.clone())?, values.clone().count());
    (count > 1).then(|| (values.map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1) as f64).sqrt())
}

/// Of each row, the rows of its key before it; then these rows are remembered, the last ones of each key.
fn before(shard: &mut ShardState, rows: &[Passing<'_>], numbers: &[Numbers], size: usize) -> anyhow::Result<Vec<(usize, Vec<Numbers>)>> {
    let width = numbers.first().map_or(0, Vec::len);
    let mut keys: Vec<&[u8]> = rows.iter().map(|row| row.key).collect();
    keys.sort_unstable();
    keys.dedup();
    let (mut places, mut stored) = (Keys::new(), States::new());
    keys.iter().for_each(|key| places.push_state_key(&StateKey { shard: shard.shard(), end_us: NEVER_US, group_key: key }));
    shard.get_many(&places, &mut stored)?;
    let mut known: Vec<Vec<Numbers>> = stored.iter().map(|stored| parse(stored.unwrap_or_default(), width)).collect::<anyhow::Result<_>>()?;
    let mut found = Vec::with_capacity(rows.len());
    for Passing { row, key } in rows {
        let own = numbers.get(*row).context("a row without numbers: this is a defect")?;
        let past = keys.binary_search(key).ok().and_then(|key| known.get_mut(key)).context("a key that was not looked up: this is a defect")?;
        found.push((*row, past.clone()));
        past.push(own.clone());
        let over = past.len().saturating_sub(size);
        past.drain(..over);
    }
    for (place, past) in places.iter().zip(&known) {
        shard.put(place, &bytes(past))?;
    }
    Ok(found)
}

/// Rows as they are stored: how many numbers a row has, and then each number.
fn bytes(rows: &[Numbers]) -> Vec<u8> {
    let width = rows.first().map_or(0, Vec::len);
    let mut bytes = vec![u8::try_from(width).unwrap_or(u8::MAX)];
    for number in rows.iter().flatten() {
        bytes.push(u8::from(number.is_some()));
        bytes.extend_from_slice(&number.unwrap_or_default().to_be_bytes());
    }
    bytes
}

fn parse(stored: &[u8], width: usize) -> anyhow::Result<Vec<Numbers>> {
    let Some((stored_width, numbers)) = stored.split_first() else { return Ok(Vec::new()) };
    anyhow::ensure!(
        usize::from(*stored_width) == width && width > 0,
        "the rows that are remembered have {stored_width} numbers each, and the history needs {width}: take its columns back, or give the step a new id"
    );
    let number = |bytes: &[u8]| {
        let (there, bits) = bytes.split_first()?;
        (*there == 1).then(|| bits.try_into().ok().map(u64::from_be_bytes)).flatten()
    };
    let numbers: Vec<Number> = numbers.chunks(NUMBER_BYTES).map(number).collect();
    Ok(numbers.chunks(width).map(<[Number]>::to_vec).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_zscore_needs_two_values_that_differ() {
        let of = |past: &[f64]| {
            let each = std::iter::once((Some(4.0), past.iter().copied().map(Some).collect()));
            let array = doubles(Past::Zscore, each);
            array.as_primitive::<Float64Type>().iter().next().unwrap()
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[1.0]), None);
        assert_eq!(of(&[2.0, 2.0]), None, "all the same: no deviation");
        assert_eq!(of(&[1.0, 3.0]), Some((4.0 - 2.0) / 2.0_f64.sqrt()));
    }

    #[test]
    fn rows_come_back_as_they_were_remembered_and_other_columns_are_refused() {
        let rows = vec![vec![Some(1), None], vec![Some(u64::MAX), Some(0)]];
        assert_eq!(parse(&bytes(&rows), 2).unwrap(), rows);
        assert_eq!(parse(&[], 2).unwrap(), Vec::<Numbers>::new());
        let refused = parse(&bytes(&rows), 3).unwrap_err().to_string();
        assert_eq!(refused, "the rows that are remembered have 2 numbers each, and the history needs 3: take its columns back, or give the step a new id");
    }
}
