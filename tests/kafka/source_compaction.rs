//! A source reads what compaction has left. The embedded broker compacts nothing.

use rdkafka::producer::{BaseRecord, Producer as _};
use weir::source::{Cut, Source as _};
use weir_tests::broker::eventually;

use super::support::*;

#[test]
fn a_compacted_partition_is_read_across_its_holes() {
    let settings = [("cleanup.policy", "compact"), ("segment.ms", "200"), ("min.cleanable.dirty.ratio", "0.01"), ("max.compaction.lag.ms", "200")];
    let topic = Topic::with(1, &settings);
    let producer = producer(topic.broker, &[]);
    let send = |value: i64| {
        let (key, value) = ((value % 10).to_string(), value.to_string());
        producer.send(BaseRecord::to(&topic.name).partition(0).key(&key).payload(&value)).map_err(|(error, _)| error).unwrap();
    };
    (0..1_000).for_each(send);
    producer.flush(PATIENCE).unwrap();
    // Each further record may close the segment before it.
    let end = eventually("the log is compacted", || {
        send(1_000);
        producer.flush(PATIENCE).unwrap();
        let records = topic.records();
        (records.len() < 500).then(|| records.last().unwrap().1 + 1)
    });
    let mut source = topic.source();
    let offers = source.offer().unwrap();
    assert!(offers[0].end.0 >= end);
    for to in [1, 500, 999, end] {
        let there: Vec<_> = topic.records().into_iter().map(|(_, offset, _)| offset).filter(|offset| *offset < to).collect();
        let found = offsets(&source.read(&[range(topic.partition(0), 0, to)], Cut::default()).unwrap());
        // The cleaner may go on while we look.
        assert!(found.len() < 500 && there.iter().all(|offset| found.contains(offset)), "0..{to}");
    }
}
