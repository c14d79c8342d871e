//! A transaction is seen as a whole or not at all, and every record keeps what it was sent with.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseRecord, Producer as _};
use rdkafka::{Message as _, Offset as ListOffset, TopicPartitionList};
use weir::sink::kafka::{CreateTopic, KafkaTransaction, KafkaTransactionOptions, OutputTopic};
use weir::sink::{Encoded, Marker, Transaction as _, TransactionError};
use weir::source::{Bytes, Offset, Positions};

use super::support::*;

pub(crate) fn encoded(values: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Encoded {
    let mut bytes = Bytes::new();
    values.into_iter().for_each(|value| bytes.push(Some(value.as_ref())));
    Encoded { values: bytes, ..Encoded::default() }
}

pub(crate) fn marker(epoch: u64) -> Marker {
    Marker { epoch, identity: format!("lineage/{epoch}/attempt/checksum") }
}

/// Marks and commits, as an epoch does.
pub(crate) fn commit(transaction: &mut KafkaTransaction, marker: &Marker, positions: &Positions, timeout: Duration) -> Result<(), TransactionError> {
    transaction.mark(marker, positions, timeout)?;
    transaction.commit(timeout)
}

#[test]
fn a_commit_shows_rows_positions_and_marker_together() {
    let (input, output) = (Topic::new(2), Topic::new(2));
    let options = output.transaction_options();
    let mut transaction = KafkaTransaction::new(options.clone()).unwrap();
    transaction.fence(PATIENCE).unwrap();
    assert_eq!(transaction.marker(PATIENCE).unwrap(), None);
    assert!(transaction.untouched(PATIENCE).unwrap());

    transaction.begin().unwrap();
    assert_eq!(transaction.send(&output.name, encoded(["a", "b"])).unwrap(), 0);
    assert_eq!(transaction.send(&output.name, encoded(["c"])).unwrap(), 1);
    assert_eq!(transaction.flush(PATIENCE).unwrap(), []);
    assert_eq!(output.values(), Vec::<String>::new());
    assert!(!transaction.untouched(PATIENCE).unwrap(), "records of an open transaction count");
    let positions = Positions::from([(input.partition(0), Offset(7)), (input.partition(1), Offset(9))]);
    commit(&mut transaction, &marker(1), &positions, PATIENCE).unwrap();

    assert_eq!(transaction.marker(PATIENCE).unwrap(), Some(marker(1).identity));
    let mut values = output.values();
    values.sort();
    assert_eq!(values, ["a", "b", "c"]);
    let group = format!("weir.{}", options.pipeline);
    assert_eq!((committed(&input, &group, 0), committed(&input, &group, 1)), (Some(7), Some(9)));
    assert_eq!(committed(&output, &format!("weir-epoch.{}", options.pipeline), 0), Some(1));
}

#[test]
fn an_abort_shows_nothing_and_the_next_transaction_is_whole() {
    let (input, output) = (Topic::new(1), Topic::new(1));
    let options = output.transaction_options();
    let mut transaction = KafkaTransaction::new(options.clone()).unwrap();
    transaction.fence(PATIENCE).unwrap();
    transaction.begin().unwrap();
    transaction.send(&output.name, encoded(["lost"])).unwrap();
    transaction.abort(PATIENCE).unwrap();
    assert_eq!((output.values(), transaction.marker(PATIENCE).unwrap()), (vec![], None));
    assert_eq!(committed(&input, &format!("weir.{}", options.pipeline), 0), None);

    transaction.begin().unwrap();
    transaction.send(&output.name, encoded(["kept"])).unwrap();
    commit(&mut transaction, &marker(2), &position(input.partition(0), 3), PATIENCE).unwrap();
    assert_eq!((output.values(), transaction.marker(PATIENCE).unwrap()), (vec!["kept".to_owned()], Some(marker(2).identity)));
}

#[test]
fn an_epoch_without_rows_or_positions_has_its_marker() {
    let output = Topic::new(1);
    let mut transaction = output.transaction();
    transaction.fence(PATIENCE).unwrap();
    for epoch in [0, 1, 5] {
        transaction.begin().unwrap();
        commit(&mut transaction, &marker(epoch), &Positions::new(), PATIENCE).unwrap();
        assert_eq!(transaction.marker(PATIENCE).unwrap(), Some(marker(epoch).identity));
    }
    assert!(transaction.untouched(PATIENCE).unwrap(), "a marker is no row");
}

#[test]
fn positions_of_another_cluster_stay_out_of_the_transaction() {
    let (input, output) = (Topic::new(1), Topic::new(1));
    let options = KafkaTransactionOptions { with_positions: false, ..output.transaction_options() };
    let mut transaction = KafkaTransaction::new(options.clone()).unwrap();
    transaction.fence(PATIENCE).unwrap();
    transaction.begin().unwrap();
    commit(&mut transaction, &marker(1), &position(input.partition(0), 3), PATIENCE).unwrap();
    assert_eq!(committed(&input, &format!("weir.{}", options.pipeline), 0), None);
}

/// A row to send: key, value, and hours from now.
type Row = (Option<&'static str>, Vec<u8>, i64);

/// Makes attempts, each without what was refused before, until one has nothing refused: as an epoch does. Gives the numbers of the refused rows.
fn refused(transaction: &mut KafkaTransaction, topic: &Topic<'_>, rows: &[Row]) -> BTreeMap<usize, String> {
    let now_ms = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let mut refused = BTreeMap::new();
    for _ in 0..10 {
        let left: Vec<_> = (0..rows.len()).filter(|row| !refused.contains_key(row)).collect();
        let (mut keys, mut records) = (Bytes::new(), Encoded { timestamps_ms: Some(vec![]), ..Encoded::default() });
        records.values = Bytes::new();
        for (key, value, hours) in left.iter().map(|row| &rows[*row]) {
            keys.push(key.map(str::as_bytes));
            records.values.push(Some(value));
            records.timestamps_ms.as_mut().unwrap().push(now_ms + hours * 3_600_000);
        }
        records.keys = Some(keys);
        transaction.begin().unwrap();
        assert_eq!(transaction.send(&topic.name, records).unwrap(), 0);
        let flushed = transaction.flush(PATIENCE);
        transaction.abort(PATIENCE).unwrap();
        match flushed {
            Ok(found) if found.is_empty() => return refused,
            Ok(found) => refused.extend(found.into_iter().map(|found| (left[found.record], found.code))),
            Err(TransactionError::MustAbort { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("{refused:?}, and still more");
}

fn found<const N: usize>(refused: [(usize, &str); N]) -> BTreeMap<usize, String> {
    refused.into_iter().map(|(row, code)| (row, code.to_owned())).collect()
}

#[test]
fn records_that_the_broker_never_takes_are_named_and_no_others() {
    let output = Topic::new(1);
    let mut transaction = output.transaction();
    transaction.fence(PATIENCE).unwrap();

    let fine = || (Some("k"), b"fine".to_vec(), 0);
    let large = || (Some("k"), vec![b'x'; 1_200_000], 0);
    let future = |hours| (Some("k"), b"early".to_vec(), hours);
    assert_eq!(refused(&mut transaction, &output, &[fine(), large(), fine()]), found([(1, "MessageSizeTooLarge")]));
    assert_eq!(refused(&mut transaction, &output, &[fine(), future(2), fine()]), found([(1, "InvalidTimestamp")]));
    let rows = [fine(), future(2), fine(), future(3), large(), fine()];
    assert_eq!(refused(&mut transaction, &output, &rows), found([(1, "InvalidTimestamp"), (3, "InvalidTimestamp"), (4, "MessageSizeTooLarge")]));

    // The producer is as good as before.
    transaction.begin().unwrap();
    transaction.send(&output.name, encoded(["good"])).unwrap();
    commit(&mut transaction, &marker(1), &Positions::new(), PATIENCE).unwrap();
    assert_eq!(output.values(), ["good"]);
}

#[test]
fn a_null_key_into_a_compacted_topic_is_named() {
    let output = Topic::with(1, &[("cleanup.policy", "compact")]);
    let mut transaction = output.transaction();
    transaction.fence(PATIENCE).unwrap();
    let row = |key| (key, b"v".to_vec(), 0);
    let rows = [row(Some("a")), row(None), row(Some("b")), row(None)];
    assert_eq!(refused(&mut transaction, &output, &rows), found([(1, "InvalidRecord"), (3, "InvalidRecord")]));
}

#[test]
fn a_topic_with_a_smaller_limit_refuses_only_what_is_larger() {
    let output = Topic::with(1, &[("max.message.bytes", "20000")]);
    // What doesn't compress: each small enough, all together far too large for one batch.
    let mut state = 1_u32;
    let mut noise = |size: usize| -> Vec<u8> {
        (0..size)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            })
            .collect()
    };
    let mut rows: Vec<_> = (0..100).map(|_| (Some("k"), noise(2_000), 0)).collect();
    // It knows the limit, and makes its batches small enough; it doesn't, and finds out.
    for knows in [true, false] {
        let mut transaction = output.transaction();
        if knows {
            transaction.ensure_topics(PATIENCE).unwrap();
        }
        transaction.fence(PATIENCE).unwrap();
        transaction.begin().unwrap();
        transaction.send(&output.name, encoded(rows.iter().map(|(_, value, _)| value))).unwrap();
        assert_eq!(transaction.flush(PATIENCE).is_ok(), knows);
        transaction.abort(PATIENCE).unwrap();
        rows[40].1 = noise(50_000);
        assert_eq!(refused(&mut transaction, &output, &rows), found([(40, "MessageSizeTooLarge")]));
        rows[40].1 = noise(2_000);
    }
}

#[test]
fn keys_values_headers_and_timestamps_arrive_as_they_were_sent() {
    let output = Topic::new(1);
    let mut transaction = output.transaction();
    transaction.fence(PATIENCE).unwrap();
    transaction.begin().unwrap();
    let (mut keys, mut values) = (Bytes::new(), Bytes::new());
    [Some(&b"k"[..]), Some(b""), None].into_iter().for_each(|key| keys.push(key));
    [Some(&b"v"[..]), None, Some(b"")].into_iter().for_each(|value| values.push(value));
    let mut codes = Bytes::new();
    [Some(&b"late"[..]), None, Some(b"")].into_iter().for_each(|code| codes.push(code));
    let headers = vec![("code".to_owned(), codes.clone()), ("again".to_owned(), codes)];
    let timestamps_ms = Some(vec![1_700_000_000_000, 1_700_000_000_001, 1_700_000_000_002]);
    transaction.send(&output.name, Encoded { keys: Some(keys), values, timestamps_ms, headers }).unwrap();
    commit(&mut transaction, &marker(1), &Positions::new(), PATIENCE).unwrap();

    let consumer: BaseConsumer = config(output.broker).set("group.id", unique("reader")).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&output.name, 0, ListOffset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let expected = [(Some(&b"k"[..]), Some(&b"v"[..])), (Some(b""), None), (None, Some(b""))];
    for (i, (key, value)) in expected.into_iter().enumerate() {
        let message = consumer.poll(PATIENCE).unwrap().unwrap();
        assert_eq!((message.key(), message.payload(), message.timestamp().to_millis()), (key, value, Some(1_700_000_000_000 + i as i64)));
        use rdkafka::message::Headers as _;
        let headers: Vec<_> = message.headers().unwrap().iter().map(|header| (header.key, header.value)).collect();
        let code = [Some(&b"late"[..]), None, Some(b"")][i];
        assert_eq!(headers, [("code", code), ("again", code)]);
    }
}

/// Where Java's `Utils.murmur2` puts keys; the hashes are those of Kafka's own unit test.
#[test]
fn a_key_goes_where_a_java_client_would_send_it() {
    let hashes: [(&str, i32); 6] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ];
    let output = Topic::new(7);
    let mut transaction = output.transaction();
    transaction.fence(PATIENCE).unwrap();
    transaction.begin().unwrap();
    let mut keys = Bytes::new();
    hashes.iter().for_each(|(key, _)| keys.push(Some(key.as_bytes())));
    transaction.send(&output.name, Encoded { keys: Some(keys), ..encoded(hashes.iter().map(|(key, _)| key)) }).unwrap();
    commit(&mut transaction, &marker(1), &Positions::new(), PATIENCE).unwrap();
    let found: BTreeMap<_, _> = output.records().into_iter().map(|(partition, _, value)| (value, partition)).collect();
    let wanted: BTreeMap<_, _> = hashes.iter().map(|(key, hash)| ((*key).to_owned(), (hash & 0x7fff_ffff) % 7)).collect();
    assert_eq!(found, wanted);
}

#[test]
fn a_missing_topic_is_named_and_one_that_may_be_made_is_made() {
    let mut output = Topic::new(1);
    output.name = unique("to-make");
    let options = output.transaction_options();
    let error = format!("{:#}", KafkaTransaction::new(options.clone()).unwrap().ensure_topics(PATIENCE).unwrap_err());
    assert!(error.contains(&format!("`{}` does not exist", output.name)) && error.contains("create = {"), "{error}");

    let create = Some(CreateTopic { partitions: Some(3), replication: Some(1) });
    let options = KafkaTransactionOptions { topics: vec![OutputTopic { name: output.name.clone(), create, keyed: true }], ..options };
    let mut transaction = KafkaTransaction::new(options).unwrap();
    assert!(transaction.untouched(PATIENCE).unwrap(), "a topic that does not exist is untouched");
    transaction.ensure_topics(PATIENCE).unwrap();
    assert_eq!(output.partitions(), Some(3));
    transaction.ensure_topics(PATIENCE).unwrap();

    let create = Some(CreateTopic { partitions: None, replication: Some(3) });
    let options =
        KafkaTransactionOptions { topics: vec![OutputTopic { name: unique("too-many-replicas"), create, keyed: true }], ..output.transaction_options() };
    let error = format!("{:#}", KafkaTransaction::new(options).unwrap().ensure_topics(PATIENCE).unwrap_err());
    assert!(error.contains("can't be made") && error.contains("eplication"), "{error}");
}

#[test]
fn both_ends_of_a_pipeline_know_the_same_cluster() {
    let topic = Topic::new(1);
    let id = topic.source().cluster_id(PATIENCE);
    assert!(id.is_some());
    assert_eq!(topic.transaction().cluster_id(PATIENCE).ok(), id);
}

#[test]
fn an_unknown_setting_of_an_output_is_named_without_its_value() {
    let topic = Topic::new(1);
    let options = KafkaTransactionOptions { properties: vec![("sasl.pasword".into(), "hunter2".into())], ..topic.transaction_options() };
    let error = format!("{:#}", KafkaTransaction::new(options).err().unwrap());
    assert!(error.contains("`sasl.pasword`") && !error.contains("hunter2"), "{error}");
}

#[test]
fn a_marker_that_does_not_fit_is_an_abort() {
    let output = Topic::new(1);
    let mut transaction = output.transaction();
    transaction.fence(PATIENCE).unwrap();
    transaction.begin().unwrap();
    let too_long = Marker { epoch: 1, identity: "x".repeat(4_097) };
    let error = commit(&mut transaction, &too_long, &Positions::new(), PATIENCE).unwrap_err();
    assert!(matches!(error, TransactionError::MustAbort { .. }), "{error}");
    transaction.abort(PATIENCE).unwrap();
    transaction.begin().unwrap();
    commit(&mut transaction, &marker(1), &Positions::new(), PATIENCE).unwrap();
}

#[test]
fn sends_wait_while_the_queue_is_full_and_lose_nothing() {
    let output = Topic::new(1);
    let properties = vec![("queue.buffering.max.messages".to_owned(), "100".to_owned())];
    let mut transaction = KafkaTransaction::new(KafkaTransactionOptions { properties, ..output.transaction_options() }).unwrap();
    transaction.fence(PATIENCE).unwrap();
    transaction.begin().unwrap();
    transaction.send(&output.name, encoded((0..10_000).map(|i| i.to_string()))).unwrap();
    commit(&mut transaction, &marker(1), &Positions::new(), PATIENCE).unwrap();
    assert_eq!(output.values().len(), 10_000);
}

/// The rows of another producer are in the same topic, and stay there.
#[test]
fn rows_of_others_are_left_alone() {
    let output = Topic::new(1);
    let other = producer(output.broker, &[]);
    other.send(BaseRecord::<(), _>::to(&output.name).partition(0).payload("theirs")).map_err(|(error, _)| error).unwrap();
    other.flush(PATIENCE).unwrap();
    let mut transaction = output.transaction();
    assert!(!transaction.untouched(PATIENCE).unwrap());
    transaction.fence(PATIENCE).unwrap();
    transaction.begin().unwrap();
    transaction.send(&output.name, encoded(["ours"])).unwrap();
    transaction.abort(PATIENCE).unwrap();
    assert_eq!(output.values(), ["theirs"]);
}
