//! A source that is fed by the program: fixtures and tests run pipelines on it without a broker.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::runs::Runs;
use super::{Bytes, Cut, Offer, Offset, OffsetRange, Partition, Positions, Records, Source, SourceError};

/// Where records are put in; clones feed the same source.
#[derive(Debug, Clone)]
pub struct Feed {
    topic: Arc<str>,
    logs: Arc<Mutex<BTreeMap<Partition, Log>>>,
}

/// The records of a partition.
#[derive(Debug, Default)]
struct Log {
    records: Vec<Fed>,
    /// Of all values.
    bytes: usize,
}

/// A record that was put in.
#[derive(Debug, Clone)]
struct Fed {
    value: Option<Vec<u8>>,
    timestamp_ms: i64,
}

/// A source that is fed by the program.
#[derive(Debug)]
pub struct MemorySource {
    feed: Feed,
    positions: Positions,
}

impl Feed {
    /// A feed without records and with one partition, 0.
    #[must_use]
    pub fn new(topic: &str) -> Self {
        let feed = Self { topic: topic.into(), logs: Arc::default() };
        feed.partition(0);
        feed
    }

    /// Appends a record; `None` is Kafka's null.
    pub fn push(&self, partition: i32, value: Option<Vec<u8>>, timestamp_ms: i64) {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let log = logs.entry(Partition { topic: Arc::clone(&self.topic), number: partition }).or_default();
        log.bytes += value.as_ref().map_or(0, Vec::len);
        log.records.push(Fed { value, timestamp_ms });
    }

    /// Makes a partition, if it is not there.
    pub fn partition(&self, number: i32) {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.entry(Partition { topic: Arc::clone(&self.topic), number }).or_default();
    }

    /// The source that reads what is put in.
    #[must_use]
    pub fn source(&self) -> MemorySource {
        MemorySource { feed: self.clone(), positions: Positions::new() }
    }
}

impl Source for MemorySource {
    fn seek(&mut self, positions: &Positions) -> Result<(), SourceError> {
        self.positions.clone_from(positions);
        Ok(())
    }

    fn offer(&mut self) -> Result<Vec<Offer>, SourceError> {
        let logs = self.feed.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let offers = logs.iter().map(|(partition, log)| {
            let position = self.positions.get(partition).copied().unwrap_or_default();
            let end = Offset(i64::try_from(log.records.len()).unwrap_or(i64::MAX)).max(position);
            let mean_record_bytes = u32::try_from(log.bytes / log.records.len().max(1)).unwrap_or(u32::MAX);
            Offer { partition: partition.clone(), position, end, confirmed: true, mean_record_bytes }
        });
        Ok(offers.collect())
    }

    fn read_each(&mut self, ranges: &[OffsetRange], cut: Cut, each: &mut dyn FnMut(Arc<Records>)) -> Result<(), SourceError> {
        let logs = self.feed.logs.lock().unwrap_or_else(PoisonError::into_inner);
        for range in ranges {
            let log = logs.get(&range.partition).map(|log| log.records.as_slice()).unwrap_or_default();
            let mut runs = Runs::new(&range.partition, cut, each);
            let place = |offset: Offset| usize::try_from(offset.0).unwrap_or_default().min(log.len());
            for (offset, fed) in (range.from.0..).zip(log.get(place(range.from)..place(range.to)).unwrap_or_default()) {
                runs.push(offset, fed.timestamp_ms, fed.value.as_deref());
            }
            runs.finish();
            self.positions.insert(range.partition.clone(), range.to);
        }
        Ok(())
    }

    fn wait(&mut self, _timeout: Duration) {}

    fn description(&self) -> String {
        format!("Memory[{}]", self.feed.topic)
    }
}

impl Bytes {
    /// As the formats take them.
    #[must_use]
    pub fn as_values(&self) -> crate::format::Values<'_> {
        let nulls = (!self.missing.is_empty()).then_some(self.missing.as_slice());
        crate::format::Values { data: &self.data, offsets: &self.offsets, nulls }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn it_reads_exactly_the_planned_range_in_chunks() {
        let feed = Feed::new("t");
        for i in 0..10 {
            feed.push(0, Some(format!("{i}").into_bytes()), -1);
        }
        let mut source = feed.source();
        let offer = source.offer().unwrap().remove(0);
        assert_eq!((offer.position, offer.end), (Offset(0), Offset(10)));
        let range = OffsetRange { partition: offer.partition, from: Offset(2), to: Offset(7) };
        let runs = source.read(&[range], Cut { records: 2, bytes: 100 }).unwrap();
        let offsets: Vec<_> = runs.iter().map(|run| run.offsets.clone()).collect();
        assert_eq!(offsets, [vec![2, 3], vec![4, 5], vec![6]]);
        assert_eq!(source.offer().unwrap().remove(0).position, Offset(7));
    }
}
