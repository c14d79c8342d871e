//! A walk over the records of a batch that is not compressed: offsets by time, and keys that must not be null. Nothing is copied; a record that lies ends the walk.

/// What a walk shows of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i64,
    pub(crate) has_key: bool,
}

/// The records, as far as they can be read.
pub(crate) fn walk(records: &[u8]) -> impl Iterator<Item = Record> + '_ {
    let mut rest = records;
    std::iter::from_fn(move || next(&mut rest))
}

fn next(rest: &mut &[u8]) -> Option<Record> {
    let length = usize::try_from(varint(rest)?).ok()?;
    let (mut record, after) = rest.split_at_checked(length)?;
    *rest = after;
    let (_attributes, fields) = record.split_first()?;
    record = fields;
    Some(Record { timestamp_delta: varint(&mut record)?, offset_delta: varint(&mut record)?, has_key: varint(&mut record)? >= 0 })
}

/// A zigzag integer of at most ten bytes.
fn varint(from: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}
