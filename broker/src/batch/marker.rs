//! The control batch that ends a transaction in a partition.

use bytes::{BufMut as _, BytesMut};

use super::{Batch, CONTROL, Header, TRANSACTIONAL, checksum};

/// Commit or abort of a producer's transaction, as one control record.
pub(crate) fn marker(producer_id: i64, producer_epoch: i16, is_commit: bool, now_ms: i64) -> Batch {
    let header = Header {
        attributes: TRANSACTIONAL | CONTROL,
        last_offset_delta: 0,
        base_timestamp: now_ms,
        max_timestamp: now_ms,
        producer_id,
        producer_epoch,
        base_sequence: -1,
        count: 1,
    };
    let covered = covered(&header, &control_record(is_commit));
    let mut data = BytesMut::with_capacity(21 + covered.len());
    data.put_i64(0);
    data.put_i32((9 + covered.len()) as i32);
    data.put_i32(0);
    data.put_i8(2);
    data.put_u32(checksum(&covered));
    data.extend_from_slice(&covered);
    Batch { header, data }
}

/// Lengths of records are zigzag: a length of n is the byte 2n, below 64.
fn control_record(is_commit: bool) -> BytesMut {
    const KEY_BYTES: u8 = 4;
    const VALUE_BYTES: u8 = 6;
    let mut body = BytesMut::new();
    // Attributes, and no distance to the batch's time and offset.
    body.extend_from_slice(&[0, 0, 0]);
    body.put_u8(KEY_BYTES << 1);
    body.put_i16(0);
    body.put_i16(i16::from(is_commit));
    body.put_u8(VALUE_BYTES << 1);
    body.put_i16(0);
    // The coordinator's epoch: there was only ever one.
    body.put_i32(0);
    // No headers.
    body.put_u8(0);
    let mut record = BytesMut::new();
    record.put_u8((body.len() as u8) << 1);
    record.extend_from_slice(&body);
    record
}

fn covered(header: &Header, record: &[u8]) -> BytesMut {
    let mut covered = BytesMut::new();
    covered.put_i16(header.attributes);
    covered.put_i32(header.last_offset_delta);
    covered.put_i64(header.base_timestamp);
    covered.put_i64(header.max_timestamp);
    covered.put_i64(header.producer_id);
    covered.put_i16(header.producer_epoch);
    covered.put_i32(header.base_sequence);
    covered.put_i32(header.count);
    covered.extend_from_slice(record);
    covered
}
