//! Records come back as they were sent, or are refused with the reason.

use std::time::{SystemTime, UNIX_EPOCH};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers as _, OwnedHeaders, Timestamp};
use rdkafka::producer::BaseRecord;
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::support::*;

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[test]
fn records_of_every_codec_come_back() {
    let topic = topic(1, &[]);
    let mut expected = Vec::new();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let sender = sender(&[("compression.type", codec), ("linger.ms", "20")]);
        for number in 0..500 {
            let value = format!("{codec} {number} {}", "x".repeat(100));
            send(&sender, &topic, &value);
            expected.push(value);
        }
        assert!(reports(&sender).iter().all(Result::is_ok), "{codec}");
    }
    assert_eq!(values(&topic), expected);
}

#[test]
fn a_record_of_900_kilobytes_comes_back() {
    let topic = topic(1, &[]);
    let sender = sender(&[]);
    let large = "y".repeat(900_000);
    send(&sender, &topic, &large);
    assert!(reports(&sender)[0].is_ok());
    assert_eq!(values(&topic), [large]);
}

#[test]
fn keys_headers_and_null_values_are_kept_exactly() {
    let topic = topic(1, &[]);
    let sender = sender(&[]);
    let headers = OwnedHeaders::new()
        .insert(Header { key: "a", value: Some("1") })
        .insert(Header { key: "a", value: Some("") })
        .insert(Header { key: "", value: None::<&str> });
    let to = || BaseRecord::<str, str>::to(&topic).partition(0);
    for record in [to().key("k").headers(headers), to().key("").payload(""), to().payload("v"), to()] {
        sender.send(record).map_err(|(error, _)| error).unwrap();
    }
    assert!(reports(&sender).iter().all(Result::is_ok));
    let messages = read_to_end(&reader(&topic, 0, Offset::Beginning, &[]));
    let seen: Vec<_> = messages.iter().map(|message| (message.key(), message.payload())).collect();
    let empty: &[u8] = b"";
    assert_eq!(seen, [(Some(&b"k"[..]), None), (Some(empty), Some(empty)), (None, Some(b"v")), (None, None)]);
    let headers: Vec<_> = messages[0].headers().unwrap().iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect();
    assert_eq!(headers, [("a".to_owned(), Some(b"1".to_vec())), ("a".to_owned(), Some(vec![])), (String::new(), None)]);
}

#[test]
fn sixty_thousand_records_of_an_idempotent_producer_are_kept_in_order() {
    let topic = topic(1, &[]);
    let sender = sender(&[("enable.idempotence", "true"), ("linger.ms", "2"), ("batch.num.messages", "500")]);
    for number in 0..60_000 {
        send(&sender, &topic, &number.to_string());
    }
    // Two threads take the reports, so they come in any order.
    let mut offsets: Vec<_> = reports(&sender).into_iter().map(|report| report.unwrap().1).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (0..60_000).collect::<Vec<_>>());
    assert!(values(&topic).into_iter().eq((0..60_000).map(|number| number.to_string())));
}

#[test]
fn a_record_that_is_larger_than_the_topic_allows_is_refused() {
    let topic = topic(1, &[]);
    let sender = sender(&[("message.max.bytes", "3000000")]);
    send(&sender, &topic, &"z".repeat(1_200_000));
    assert_eq!(reports(&sender), [Err(RDKafkaErrorCode::MessageSizeTooLarge)]);
    send(&sender, &topic, "small");
    assert_eq!(reports(&sender), [Ok((0, 0))]);
}

#[test]
fn a_record_from_the_future_is_refused_and_one_from_the_past_is_not() {
    let topic = topic(1, &[]);
    let sender = sender(&[]);
    for (ahead_ms, expected) in [(7_200_000, Err(RDKafkaErrorCode::InvalidTimestamp)), (3_000_000, Ok((0, 0))), (-400 * 86_400_000, Ok((0, 1)))] {
        let record = BaseRecord::<(), _>::to(&topic).partition(0).payload("v").timestamp(now_ms() + ahead_ms);
        sender.send(record).map_err(|(error, _)| error).unwrap();
        assert_eq!(reports(&sender), [expected], "{ahead_ms} ms ahead");
    }
}

#[test]
fn a_topic_can_give_records_the_time_of_their_arrival() {
    for codec in ["none", "lz4"] {
        let topic = topic(1, &[("message.timestamp.type", "LogAppendTime")]);
        let sender = sender(&[("compression.type", codec)]);
        let before = now_ms();
        // Even one from the future.
        let record = BaseRecord::<(), _>::to(&topic).partition(0).payload("v").timestamp(before + 9_999_999);
        sender.send(record).map_err(|(error, _)| error).unwrap();
        assert_eq!(reports(&sender), [Ok((0, 0))]);
        let message = read_to_end(&reader(&topic, 0, Offset::Beginning, &[("check.crcs", "true")])).remove(0);
        match message.timestamp() {
            Timestamp::LogAppendTime(time) => assert!((before..before + 60_000).contains(&time), "{time} is not soon after {before}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_null_key_into_a_compacted_topic_is_refused_however_records_are_compressed() {
    // Long enough that compressing pays: otherwise librdkafka sends records as they are.
    let value = "value ".repeat(50);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = topic(1, &[("cleanup.policy", "compact")]);
        let sender = sender(&[("compression.type", codec)]);
        send(&sender, &topic, &value);
        assert_eq!(reports(&sender), [Err(RDKafkaErrorCode::InvalidRecord)], "{codec}");
        sender.send(BaseRecord::to(&topic).partition(0).key("k").payload(&value)).map_err(|(error, _)| error).unwrap();
        assert_eq!(reports(&sender), [Ok((0, 0))], "{codec}");
    }
}

#[test]
fn offsets_are_found_by_time() {
    let topic = topic(1, &[]);
    let sender = sender(&[("linger.ms", "50")]);
    let base = now_ms() - 1_000_000;
    for number in 0..100 {
        let value = number.to_string();
        let record = BaseRecord::<(), _>::to(&topic).partition(0).payload(&value).timestamp(base + number * 1_000);
        sender.send(record).map_err(|(error, _)| error).unwrap();
    }
    assert!(reports(&sender).iter().all(Result::is_ok));
    let client = of_group(&unique("group"), &[]);
    let at = |time: i64| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, Offset::Offset(time)).unwrap();
        client.offsets_for_times(list, PATIENCE).unwrap().elements()[0].offset()
    };
    assert_eq!((at(0), at(base + 41_500), at(base + 42_000)), (Offset::Offset(0), Offset::Offset(42), Offset::Offset(42)));
    assert_eq!(at(base + 1_000_000), Offset::End, "nothing is that new");
}

#[test]
fn a_reader_begins_where_it_is_told() {
    let topic = topic(1, &[]);
    produce(&topic, 0..100);
    let from = |offset| texts(&read_to_end(&reader(&topic, 0, offset, &[]))).first().cloned();
    assert_eq!((from(Offset::Beginning), from(Offset::Offset(42)), from(Offset::OffsetTail(3))), (Some("0".into()), Some("42".into()), Some("97".into())));
    assert_eq!(from(Offset::End), None);
    let reader = reader(&topic, 0, Offset::Beginning, &[]);
    assert_eq!(read_to_end(&reader).len(), 100);
    reader.seek(&topic, 0, Offset::Offset(90), PATIENCE).unwrap();
    assert_eq!(read_to_end(&reader).len(), 10);
}

#[test]
fn an_offset_that_is_not_there_is_an_error_or_begins_anew() {
    let topic = topic(1, &[]);
    produce(&topic, 0..10);
    let strict = reader(&topic, 0, Offset::Offset(11), &[]);
    match next(&strict).err() {
        Some(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset)) => {}
        other => panic!("{other:?}"),
    }
    let lenient = reader(&topic, 0, Offset::Offset(11), &[("auto.offset.reset", "earliest")]);
    assert_eq!(next(&lenient).unwrap().offset(), 0);
}

#[test]
fn a_reader_at_the_end_gets_the_next_record_at_once() {
    let topic = topic(1, &[]);
    let reader = reader(&topic, 0, Offset::Beginning, &[("fetch.wait.max.ms", "10000")]);
    assert_eq!(read_to_end(&reader).len(), 0);
    let began = std::time::Instant::now();
    produce(&topic, 0..1);
    assert_eq!(next(&reader).unwrap().offset(), 0);
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}
