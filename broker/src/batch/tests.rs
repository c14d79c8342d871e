#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use bytes::BufMut as _;

use super::*;

/// A batch as a client sends it: each record is a time and a key.
pub(crate) fn client_batch(producer: (i64, i16, i32), attributes: i16, records: &[(i64, Option<&str>)]) -> Bytes {
    let base = records[0].0;
    let mut covered = BytesMut::new();
    covered.put_i16(attributes);
    covered.put_i32(records.len() as i32 - 1);
    covered.put_i64(base);
    covered.put_i64(records.iter().map(|record| record.0).max().unwrap());
    covered.put_i64(producer.0);
    covered.put_i16(producer.1);
    covered.put_i32(producer.2);
    covered.put_i32(records.len() as i32);
    for (index, (time, key)) in records.iter().enumerate() {
        let mut body = vec![0];
        zigzag(&mut body, time - base);
        zigzag(&mut body, index as i64);
        zigzag(&mut body, key.map_or(-1, |key| key.len() as i64));
        body.extend_from_slice(key.unwrap_or_default().as_bytes());
        zigzag(&mut body, 1);
        body.extend_from_slice(b"v\0");
        let mut record = Vec::new();
        zigzag(&mut record, body.len() as i64);
        covered.extend_from_slice(&record);
        covered.extend_from_slice(&body);
    }
    let mut data = BytesMut::new();
    data.put_i64(0);
    data.put_i32(9 + covered.len() as i32);
    data.put_i32(-1);
    data.put_i8(2);
    data.put_u32(checksum(&covered));
    data.extend_from_slice(&covered);
    data.freeze()
}

/// One record of a producer without an id.
pub(crate) fn plain(time: i64) -> Batch {
    Batch::of_client(&client_batch((-1, -1, -1), 0, &[(time, None)])).unwrap()
}

/// One record of a producer, in a transaction or not.
pub(crate) fn sequenced(producer: i64, epoch: i16, sequence: i32, in_transaction: bool) -> Batch {
    let attributes = if in_transaction { TRANSACTIONAL } else { 0 };
    Batch::of_client(&client_batch((producer, epoch, sequence), attributes, &[(1_000, None)])).unwrap()
}

fn zigzag(into: &mut Vec<u8>, value: i64) {
    let mut value = ((value << 1) ^ (value >> 63)) as u64;
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

#[test]
fn a_batch_keeps_its_checksum_wherever_it_is_placed() {
    let batch = Batch::of_client(&client_batch((7, 1, 5), 0, &[(1_000, None), (900, Some("k"))])).unwrap();
    assert_eq!((batch.header.count, batch.header.max_timestamp, batch.header.last_sequence()), (2, 1_000, 6));
    let placed = batch.placed_at(42);
    assert_eq!(placed[..8], 42i64.to_be_bytes());
    assert!(Batch::of_client(&placed).is_ok());
}

#[test]
fn a_stamped_batch_has_the_time_of_its_arrival_and_a_new_checksum() {
    let mut batch = plain(1_000);
    batch.stamp(9_999);
    let again = Batch::of_client(&batch.placed_at(0)).unwrap();
    assert!(again.header.has_append_time());
    assert_eq!(again.header.max_timestamp, 9_999);
}

#[test]
fn a_marker_is_a_batch_of_one_control_record() {
    let data = marker(7, 3, true, 1_000).placed_at(0);
    assert_eq!(checksum(&data[CRC_END..]).to_be_bytes(), data[CRC_AT..CRC_END]);
    let header = Header::parse(&data).unwrap();
    assert_eq!((header.producer_id, header.producer_epoch, header.count), (7, 3, 1));
    assert_eq!(records::walk(&data[HEADER_BYTES..]).count(), 1);
    // A client must not send one.
    assert_eq!(Batch::of_client(&data).unwrap_err(), ErrorCode::InvalidRecord);
}

#[test]
fn a_batch_that_lies_is_refused() {
    let good = client_batch((7, 1, 5), 0, &[(1_000, None)]);
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = BytesMut::from(&good[..]);
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        let sum = checksum(&bad[CRC_END..]);
        bad[CRC_AT..CRC_END].copy_from_slice(&sum.to_be_bytes());
        Batch::of_client(&bad.freeze()).err()
    };
    assert_eq!(with(0, &[]), None);
    assert_eq!(with(16, &[1]), Some(ErrorCode::InvalidRecord), "an old format");
    assert_eq!(with(8, &i32::MAX.to_be_bytes()), Some(ErrorCode::InvalidRecord), "a length beyond the end");
    assert_eq!(with(57, &2i32.to_be_bytes()), Some(ErrorCode::InvalidRecord), "more records than offsets");
    assert_eq!(with(53, &(-1i32).to_be_bytes()), Some(ErrorCode::InvalidRecord), "a producer without a sequence");
    assert_eq!(with(21, &5i16.to_be_bytes()), Some(ErrorCode::InvalidRecord), "a codec that does not exist");
    let mut torn = BytesMut::from(&good[..]);
    torn[61] ^= 1;
    assert_eq!(Batch::of_client(&torn.freeze()).unwrap_err(), ErrorCode::CorruptMessage);
    assert_eq!(Batch::of_client(&good.slice(..60)).unwrap_err(), ErrorCode::CorruptMessage);
}

#[test]
fn a_walk_shows_times_offsets_and_null_keys_and_ends_where_a_record_lies() {
    let batch = Batch::of_client(&client_batch((-1, -1, -1), 0, &[(1_000, Some("")), (1_200, None), (900, Some("k"))])).unwrap();
    let seen: Vec<_> = records::walk(batch.records()).map(|record| (record.timestamp_delta, record.offset_delta, record.has_key)).collect();
    assert_eq!(seen, [(0, 0, true), (200, 1, false), (-100, 2, true)]);
    assert_eq!(records::walk(&batch.records()[..9]).count(), 1);
    assert_eq!(records::walk(&[0x7e, 0, 0]).count(), 0);
    assert_eq!(records::walk(&[0xff; 30]).count(), 0);
}
