//! Made-up rows at a steady rate, as Spark's `rate` source: `timestamp` and `value`, from 0. For trying things out and for load: a pipeline that needs nothing else.
//!
//! A row is a function of its number: `value` is the number, and `timestamp` the moment at which it is due. So a range that is read twice gives the same rows, also after
//! a restart: the moment of the first row is part of the partitions' name (`rows@2026-11-21T13:50:00.000000Z/0`), and comes back with the positions. Row n is in
//! partition n modulo their number.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::runs::Runs;
use super::{Cut, Now, Offer, Offset, OffsetRange, Partition, Positions, Records, Source, SourceError};
use crate::format::timestamp;

/// How many rows come, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Rows a second, once it is in full swing.
    pub rows_per_second: u32,
    /// Seconds that it takes to get there: each has a step more than the one before.
    pub ramp_up_seconds: u32,
}

/// What a source is made with.
#[derive(Debug, Clone)]
pub struct RateOptions {
    /// The source's id.
    pub id: String,
    /// How many rows come, and when.
    pub schedule: Schedule,
    /// Into how many partitions.
    pub partitions: u32,
}

/// A source of made-up rows.
pub struct RateSource {
    options: RateOptions,
    now: Now,
    origin: Option<Start>,
    positions: Positions,
    /// How many rows there were when it was last asked.
    offered: u64,
}

/// The moment of the first row, and the name that holds it.
#[derive(Debug, Clone)]
struct Start {
    at_us: i64,
    topic: Arc<str>,
}

/// A row as JSON: `{"timestamp":"2026-11-21T13:50:00.000000Z","value":12345}`.
const ROW_BYTES: u32 = 60;
const SECOND_US: u64 = 1_000_000;

impl Schedule {
    /// How many rows are due before the second that begins so long after the first row. In the ramp they grow by a step a second: 0, 1, 3, 6 .. steps.
    fn before(self, second: u64) -> u64 {
        let (rows, ramp) = (u128::from(self.rows_per_second), u128::from(self.ramp_up_seconds));
        let ramped = u128::from(second).min(ramp);
        let rows = rows * ramped * (ramped + 1) / (2 * (ramp + 1)) + rows * (u128::from(second) - ramped);
        u64::try_from(rows).unwrap_or(u64::MAX)
    }

    /// How many rows are due so long after the first one.
    fn due(self, elapsed_us: u64) -> u64 {
        let (second, rest) = (elapsed_us / SECOND_US, elapsed_us % SECOND_US);
        let (before, after) = (self.before(second), self.before(second + 1));
        before + ((rest + 1) * (after - before)).div_ceil(SECOND_US)
    }

    /// When a row is due, in microseconds after the first second began.
    fn due_us(self, row: u64) -> u64 {
        let (mut low, mut high) = (0, u64::from(self.ramp_up_seconds) + row / u64::from(self.rows_per_second.max(1)) + 1);
        // The last second before which no more than `row` rows are due.
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.before(middle) <= row { low = middle } else { high = middle - 1 }
        }
        let (before, after) = (self.before(low), self.before(low + 1));
        low * SECOND_US + (row - before) * SECOND_US / (after - before).max(1)
    }
}

impl RateSource {
    /// A source whose rows are due by this clock.
    #[must_use]
    pub fn new(options: RateOptions, now: Now) -> Self {
        Self { options, now, origin: None, positions: Positions::new(), offered: 0 }
    }

    fn start(&mut self) -> Start {
        let id = &self.options.id;
        let begin = || Start::new(id, i64::try_from((self.now)().as_micros()).unwrap_or(i64::MAX));
        self.origin.get_or_insert_with(begin).clone()
    }

    /// How many rows are due now.
    fn due(&self, start: &Start) -> u64 {
        let now_us = i64::try_from((self.now)().as_micros()).unwrap_or(i64::MAX);
        // A clock that was set back stands still here.
        u64::try_from(now_us - start.at_us).map_or(0, |elapsed_us| self.options.schedule.due(elapsed_us))
    }

    /// Number `offset` of a partition among all rows.
    fn row(&self, partition: i32, offset: i64) -> u64 {
        u64::try_from(offset).unwrap_or(0).saturating_mul(u64::from(self.options.partitions)) + u64::try_from(partition).unwrap_or(0)
    }
}

impl Start {
    fn new(id: &str, at_us: i64) -> Self {
        let mut name = format!("{id}@").into_bytes();
        // A clock beyond the year 9999 makes rows that no reader takes anyway.
        let written = timestamp::write_iso(at_us, &mut name);
        debug_assert!(written);
        Self { at_us, topic: String::from_utf8_lossy(&name).into() }
    }

    /// From the name of a partition that was stored.
    fn of(topic: &Arc<str>) -> Option<Self> {
        let (_, at) = topic.rsplit_once('@')?;
        Some(Self { at_us: timestamp::parse_iso(at.as_bytes())?, topic: Arc::clone(topic) })
    }
}

impl Source for RateSource {
    fn seek(&mut self, positions: &Positions) -> Result<(), SourceError> {
        if let Some(partition) = positions.keys().next() {
            let (id, count) = (&self.options.id, self.options.partitions);
            let start = Start::of(&partition.topic)
                .with_context(|| format!("source `{id}`: `{partition}` is no partition of a rate source: give the source a new id"))?;
            if positions.len() != count as usize {
                let stored = positions.len();
                let error =
                    anyhow::anyhow!("source `{id}`: it began with {stored} partitions, and has {count} now: take `num_partitions` back, or give it a new id");
                return Err(error.into());
            }
            self.origin = Some(start);
        }
        self.positions.clone_from(positions);
        Ok(())
    }

    fn offer(&mut self) -> Result<Vec<Offer>, SourceError> {
        let start = self.start();
        let count = u64::from(self.options.partitions);
        self.offered = self.due(&start);
        let offers = (0..self.options.partitions).map(|number| {
            let rows = (self.offered + count - 1 - u64::from(number)) / count;
            let partition = Partition { topic: Arc::clone(&start.topic), number: i32::try_from(number).unwrap_or(i32::MAX) };
            let position = self.positions.get(&partition).copied().unwrap_or_default();
            let end = Offset(i64::try_from(rows).unwrap_or(i64::MAX)).max(position);
            Offer { partition, position, end, confirmed: true, mean_record_bytes: ROW_BYTES }
        });
        Ok(offers.collect())
    }

    fn read_each(&mut self, ranges: &[OffsetRange], cut: Cut, each: &mut dyn FnMut(Arc<Records>)) -> Result<(), SourceError> {
        let start = self.start();
        let mut value = Vec::with_capacity(ROW_BYTES as usize);
        for range in ranges {
            let mut runs = Runs::new(&range.partition, cut, each);
            for offset in range.from.0..range.to.0 {
                let row = self.row(range.partition.number, offset);
                let due_us = start.at_us.saturating_add(i64::try_from(self.options.schedule.due_us(row)).unwrap_or(i64::MAX));
                value.clear();
                value.extend_from_slice(b"{\"timestamp\":\"");
                if !timestamp::write_iso(due_us, &mut value) {
                    return Err(anyhow::anyhow!("source `{}`: row {row} is due after the year 9999", self.options.id).into());
                }
                value.extend_from_slice(format!("\",\"value\":{row}}}").as_bytes());
                runs.push(offset, due_us.div_euclid(1_000), Some(&value));
            }
            runs.finish();
            self.positions.insert(range.partition.clone(), range.to);
        }
        Ok(())
    }

    fn wait(&mut self, timeout: Duration) {
        let start = self.start();
        if self.due(&start) > self.offered {
            return;
        }
        let due_us = start.at_us.saturating_add(i64::try_from(self.options.schedule.due_us(self.offered)).unwrap_or(i64::MAX));
        let until = Duration::from_micros(u64::try_from(due_us).unwrap_or(0)).saturating_sub((self.now)());
        // Nothing wakes it: what it waits for is the time.
        std::thread::park_timeout(until.min(timeout));
    }

    fn description(&self) -> String {
        let Schedule { rows_per_second, ramp_up_seconds } = self.options.schedule;
        format!("RateStreamV2[rowsPerSecond={rows_per_second}, rampUpTimeSeconds={ramp_up_seconds}, numPartitions={}]", self.options.partitions)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A source of 10 rows a second in two partitions, and its clock in milliseconds.
    fn source(schedule: Schedule) -> (RateSource, Arc<AtomicU64>) {
        let clock = Arc::new(AtomicU64::new(1_765_850_400_000));
        let now = Arc::clone(&clock);
        let options = RateOptions { id: "rows".to_owned(), schedule, partitions: 2 };
        (RateSource::new(options, Box::new(move || Duration::from_millis(now.load(Ordering::Relaxed)))), clock)
    }

    const TEN: Schedule = Schedule { rows_per_second: 10, ramp_up_seconds: 0 };

    fn all(source: &mut RateSource) -> Vec<String> {
        let offers = source.offer().unwrap();
        let ranges: Vec<_> = offers
            .into_iter()
            .map(|offer| OffsetRange { partition: offer.partition, from: offer.position, to: offer.end })
            .filter(|range| range.from < range.to)
            .collect();
        let runs = source.read(&ranges, Cut { records: 3, bytes: 1 << 10 }).unwrap();
        assert!(runs.iter().all(|run| run.len() <= 3));
        let text = |run: &Arc<Records>| (0..run.len()).map(|i| String::from_utf8(run.values.get(i).unwrap().to_vec()).unwrap()).collect::<Vec<_>>();
        runs.iter().flat_map(text).collect()
    }

    #[test]
    fn a_ramp_has_the_rows_that_sparks_has() {
        let ramp = Schedule { rows_per_second: 10, ramp_up_seconds: 4 };
        assert_eq!((0..=6).map(|second| ramp.before(second)).collect::<Vec<_>>(), [0, 2, 6, 12, 20, 30, 40]);
        assert_eq!((0..=3).map(|second| TEN.before(second)).collect::<Vec<_>>(), [0, 10, 20, 30]);
    }

    #[test]
    fn rows_are_due_evenly_within_their_second_and_counted_as_they_fall_due() {
        for schedule in [TEN, Schedule { rows_per_second: 7, ramp_up_seconds: 5 }, Schedule { rows_per_second: 1, ramp_up_seconds: 9 }] {
            let due: Vec<u64> = (0..200).map(|row| schedule.due_us(row)).collect();
            assert!(due.is_sorted(), "{due:?}");
            for (row, due_us) in (0..).zip(&due) {
                assert!(schedule.due(*due_us) > row, "row {row} is due at {due_us}");
                assert!(*due_us == 0 || schedule.due(due_us - 1) <= row, "row {row} is not due before {due_us}");
            }
        }
        assert_eq!((0..4).map(|row| TEN.due_us(row)).collect::<Vec<_>>(), [0, 100_000, 200_000, 300_000]);
    }

    #[test]
    fn rows_come_when_they_are_due_each_in_one_partition() {
        let (mut source, clock) = source(TEN);
        assert_eq!(all(&mut source), [r#"{"timestamp":"2025-12-16T02:00:00.000000Z","value":0}"#]);
        clock.fetch_add(350, Ordering::Relaxed);
        let mut rows = all(&mut source);
        rows.sort();
        assert_eq!(
            rows,
            [1, 2, 3].map(|row| format!(r#"{{"timestamp":"2025-12-16T02:00:00.{row}00000Z","value":{row}}}"#)),
            "0 was read before, and 4 is due in 50 ms"
        );
        assert_eq!(all(&mut source), Vec::<String>::new());
    }

    #[test]
    fn a_range_gives_the_same_rows_again_also_after_a_restart_at_another_time() {
        let (mut first, clock) = source(TEN);
        first.seek(&Positions::new()).unwrap();
        let begin: Positions = first.offer().unwrap().into_iter().map(|offer| (offer.partition, offer.position)).collect();
        clock.fetch_add(2_000, Ordering::Relaxed);
        let rows = all(&mut first);
        first.seek(&begin).unwrap();
        assert_eq!(all(&mut first), rows);

        let (mut second, later) = source(TEN);
        later.store(clock.load(Ordering::Relaxed), Ordering::Relaxed);
        second.seek(&begin).unwrap();
        assert_eq!(all(&mut second), rows);
    }

    #[test]
    fn positions_of_another_number_of_partitions_are_refused() {
        let (mut source, _) = source(TEN);
        let one = Positions::from([(Partition { topic: "rows@2025-12-16T02:00:00.000000Z".into(), number: 0 }, Offset(7))]);
        let said = source.seek(&one).unwrap_err().to_string();
        assert_eq!(said, "source `rows`: it began with 1 partitions, and has 2 now: take `num_partitions` back, or give it a new id");
        let foreign = Positions::from([(Partition { topic: "clicks".into(), number: 0 }, Offset(7))]);
        assert!(source.seek(&foreign).unwrap_err().to_string().contains("no partition of a rate source"));
    }

    #[test]
    fn a_clock_that_was_set_back_offers_nothing_and_takes_nothing_back() {
        let (mut source, clock) = source(TEN);
        clock.fetch_add(1_000, Ordering::Relaxed);
        source.offer().unwrap();
        clock.fetch_add(1_000, Ordering::Relaxed);
        assert_eq!(all(&mut source).len(), 11);
        clock.fetch_sub(1_500, Ordering::Relaxed);
        assert!(all(&mut source).is_empty());
    }
}
