//! The first row of each key goes on, the others are dropped and counted (D-1, D-2). What was seen is remembered until the watermark passes it, if it can:
//!
//! ```text
//!  event time in the key    at that time, key                        goes when E passes it
//!  within the watermark     never, key -> when it is forgotten;      goes when E passes the first row's time by the delay
//!                           then, key -> nothing
//!  neither                  never, key                               stays
//! ```

use std::collections::HashMap;
use std::ops::Range;

use arrow_array::BooleanArray;
use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;
use arrow_schema::SchemaRef;
use rayon::prelude::*;

use super::EpochTime;
use super::late::LateRows;
use super::states::StepStates;
use crate::epoch::clock::{Busy, Stopwatch};
use crate::observe::progress::StateOperator;
use crate::rows::Chunk;
use crate::source::Bytes;
use crate::state::{KeyEncoder, Keys, NEVER_US, ShardState, StateKey, States, Store};
use crate::time::EventTime;
use crate::time::window::Window;

/// A step that lets no key pass twice.
pub struct Dedupe {
    /// The keys that were seen.
    pub states: StepStates,
    encoder: KeyEncoder,
    time: Option<usize>,
    until: Until,
    late: Option<LateRows>,
    busy: Busy,
}

/// What a deduplication is made with.
pub struct DedupeParts {
    /// The step's id: its keys are stored under it.
    pub id: String,
    /// The rows that come in, and go out.
    pub input: SchemaRef,
    /// The columns whose values are not to come twice.
    pub key: Vec<usize>,
    /// The column of event times, if a watermark follows it.
    pub time: Option<usize>,
    /// How long keys are remembered.
    pub until: Until,
    /// The columns of late rows, if somebody takes them.
    pub late: Option<SchemaRef>,
    /// Where.
    pub store: std::sync::Arc<Store>,
}

/// How long a key is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until E passes the event time that is in the key.
    Passed,
    /// Until E passes the event time of its first row and so many microseconds more.
    Delayed(i64),
    /// For ever.
    Never,
}

/// What a deduplication made of an epoch's rows.
#[derive(Debug)]
pub struct Deduped {
    /// The rows that go on.
    pub chunks: Vec<Chunk>,
    /// Rows that came too late to tell.
    pub late_rows: u64,
    /// Those rows, for the sink that takes them.
    pub late: Vec<Chunk>,
    /// For the progress record.
    pub operator: StateOperator,
    /// Microseconds of all threads together.
    pub busy_us: u64,
}

/// A row on its way to the shard of its key.
#[derive(Debug, Clone, Copy)]
struct Candidate<'a> {
    chunk: usize,
    row: usize,
    /// Where the key lies, or is forgotten.
    end_us: i64,
    key: &'a [u8],
}

/// A row that is compared with others is in none.
const NO_WINDOW: Window = Window { start: EventTime(0), end: EventTime(0) };

/// The keys and times of a chunk's rows.
struct Read {
    keys: Bytes,
    /// None: late.
    ends_us: Vec<Option<i64>>,
}

impl Dedupe {
    /// A step over the keys in a store.
    ///
    /// # Errors
    /// When a key column has a type that can't be a key.
    pub fn new(parts: DedupeParts) -> anyhow::Result<Self> {
        let DedupeParts { id, input, key, time, until, late, store } = parts;
        let late = late.zip(time).map(|(schema, time)| LateRows { schema, time, windowed: false });
        Ok(Self { states: StepStates::new(id, store, false), encoder: KeyEncoder::new(&input, &key)?, time, until, late, busy: Busy::default() })
    }

    /// Whether an epoch without records is to be made once the watermark has moved: for any watermark, as Spark does it (B-4).
    #[must_use]
    pub fn asks(&self) -> bool {
        self.time.is_some()
    }

    /// Runs an epoch's rows, the first of each key in the order of their partitions and offsets. What it changes is pending until it is committed.
    ///
    /// # Errors
    /// What the store says.
    pub fn run(&mut self, time: &EpochTime, chunks: Vec<Chunk>) -> anyhow::Result<Deduped> {
        let mut watch = Stopwatch::start();
        let read: Vec<Read> = chunks.par_iter().map(|chunk| self.busy.with(|| self.read(time, chunk))).collect::<anyhow::Result<_>>()?;
        let count = self.states.store().shards();
        let mut by_shard: Vec<Vec<Candidate<'_>>> = count.shards().map(|_| Vec::new()).collect();
        let mut late = Vec::new();
        let mut number = 0;
        for (chunk, read) in read.iter().enumerate() {
            for (row, end_us) in read.ends_us.iter().enumerate() {
                let key = read.keys.get(row).unwrap_or_default();
                match (end_us, by_shard.get_mut(usize::from(count.shard_of(key).0))) {
                    (Some(end_us), Some(shard)) => shard.push(Candidate { chunk, row, end_us: *end_us, key }),
                    _ => late.push((number, NO_WINDOW)),
                }
                number += 1;
            }
        }
        let late_rows = late.len() as u64;
        let late = match (&self.late, time.late) {
            (Some(rows), Some(watermark)) => rows.of(&chunks, &late, watermark)?,
            _ => Vec::new(),
        };
        let candidates: u64 = by_shard.iter().map(|rows| rows.len() as u64).sum();
        let (until, busy) = (self.until, &self.busy);
        let closed_us = time.eviction.map(|eviction| eviction.as_event_time().0);
        let shards = self.states.opened()?.shards_mut();
        let first: Vec<_> = shards.par_iter_mut().zip(by_shard).map(|(shard, rows)| busy.with(|| first_of(until, shard, &rows, closed_us))).collect();
        let mut keep: Vec<Vec<bool>> = chunks.iter().map(|chunk| vec![false; chunk.rows.num_rows()]).collect();
        let mut kept = 0;
        for (chunk, row) in first.into_iter().collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten() {
            if let Some(keep) = keep.get_mut(chunk).and_then(|rows| rows.get_mut(row)) {
                *keep = true;
                kept += 1;
            }
        }
        let chunks = chunks.into_iter().zip(keep).filter_map(|(chunk, keep)| filtered(chunk, keep).transpose()).collect::<anyhow::Result<_>>()?;
        let mut operator = StateOperator::default();
        self.states.describe(&mut operator, self.counted());
        operator.num_rows_dropped_by_watermark = late_rows;
        operator.all_updates_time_ms = watch.lap_us() / 1_000;
        operator.custom_metrics.insert("numDroppedDuplicateRows", candidates - kept);
        Ok(Deduped { chunks, late, late_rows, operator, busy_us: self.busy.take_us() })
    }

    /// Where each key lies once, and nothing else.
    fn counted(&self) -> std::ops::RangeInclusive<i64> {
        match self.until {
            Until::Delayed(_) => NEVER_US..=NEVER_US,
            Until::Passed | Until::Never => i64::MIN..=NEVER_US,
        }
    }

    fn read(&self, time: &EpochTime, chunk: &Chunk) -> anyhow::Result<Read> {
        let mut keys = Keys::new();
        self.encoder.encode(&chunk.rows, &mut keys)?;
        let mut owned = Bytes::new();
        keys.iter().for_each(|key| owned.push(Some(key)));
        let Some(column) = self.time else { return Ok(Read { keys: owned, ends_us: vec![Some(NEVER_US); chunk.rows.num_rows()] }) };
        let times = chunk.rows.columns().get(column).and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        let times = times.ok_or_else(|| anyhow::anyhow!("column {column} holds no event times"))?;
        // A row without a time is never late; its key is never forgotten, or as if it were of 1970 (findings, D-1 and D-2).
        let end = |time_us: Option<i64>| {
            let late = time.late.zip(time_us).is_some_and(|(late, time_us)| late.has_passed(EventTime(time_us)));
            (!late).then(|| match self.until {
                Until::Passed => time_us.unwrap_or(NEVER_US),
                Until::Delayed(delay_us) => time_us.unwrap_or(0).saturating_add(delay_us).min(NEVER_US - 1),
                Until::Never => NEVER_US,
            })
        };
        Ok(Read { keys: owned, ends_us: times.iter().map(end).collect() })
    }
}

/// The first row of each key that is not known, which is known from now on; then what E has passed is forgotten.
fn first_of(until: Until, shard: &mut ShardState, rows: &[Candidate<'_>], closed_us: Option<i64>) -> anyhow::Result<Vec<(usize, usize)>> {
    let mut first: HashMap<&[u8], usize> = HashMap::with_capacity(rows.len());
    for (number, row) in rows.iter().enumerate() {
        first.entry(row.key).or_insert(number);
    }
    let mut first: Vec<usize> = first.into_values().collect();
    first.sort_unstable();
    let first: Vec<&Candidate<'_>> = first.into_iter().filter_map(|number| rows.get(number)).collect();
    let at = |row: &Candidate<'_>| if let Until::Delayed(_) = until { NEVER_US } else { row.end_us };
    let (keys, known) = look_up(shard, first.iter().map(|row| (at(row), row.key)))?;
    let mut new = Vec::new();
    for ((row, place), known) in first.into_iter().zip(keys.iter()).zip(known.iter()) {
        if known.is_some() {
            continue;
        }
        new.push((row.chunk, row.row));
        if let Until::Delayed(_) = until {
            shard.put(place, &row.end_us.to_be_bytes())?;
            let mut index = Keys::new();
            index.push_state_key(&StateKey { shard: shard.shard(), end_us: row.end_us, group_key: row.key });
            shard.put(index.get(0).unwrap_or_default(), &[])?;
        } else {
            shard.put(place, &[])?;
        }
    }
    if let Some(closed_us) = closed_us {
        forget(until, shard, closed_us)?;
    }
    Ok(new)
}

fn forget(until: Until, shard: &mut ShardState, closed_us: i64) -> anyhow::Result<()> {
    if let Until::Delayed(_) = until {
        let mut passed = Keys::new();
        let mut scan = shard.scan(i64::MIN..=closed_us)?;
        while let Some(group) = scan.advance()? {
            passed.push_state_key(&StateKey { shard: shard.shard(), end_us: NEVER_US, group_key: group.group_key });
        }
        drop(scan);
        passed.iter().try_for_each(|key| shard.delete(key))?;
    }
    shard.close(closed_us);
    Ok(())
}

fn look_up<'k>(shard: &mut ShardState, places: impl Iterator<Item = (i64, &'k [u8])>) -> anyhow::Result<(Keys, States)> {
    let (mut keys, mut known) = (Keys::new(), States::new());
    for (end_us, group_key) in places {
        keys.push_state_key(&StateKey { shard: shard.shard(), end_us, group_key });
    }
    shard.get_many(&keys, &mut known)?;
    Ok((keys, known))
}

/// The rows of a chunk that are kept; none: no row.
fn filtered(chunk: Chunk, keep: Vec<bool>) -> anyhow::Result<Option<Chunk>> {
    let all = Range { start: 0_u32, end: u32::try_from(keep.len())? };
    let rows: Vec<u32> = all.zip(&keep).filter_map(|(row, keep)| keep.then_some(row)).collect();
    if rows.len() == keep.len() || rows.is_empty() {
        return Ok((!rows.is_empty()).then_some(chunk));
    }
    let origin = chunk.origin.take(&rows);
    Ok(Some(Chunk { rows: arrow_select::filter::filter_record_batch(&chunk.rows, &BooleanArray::from(keep))?, origin }))
}
