//! Record batches: the header that a broker reads and patches. Records inside stay as they are; only [`records`] looks at them, where a check asks for it.
//!
//! ```text
//! 0 base offset │ 8 length │ 12 leader epoch │ 16 magic │ 17 crc │ 21 attributes │ 23 last delta │ 27 base time │ 35 max time │ 43 producer │ 51 epoch │ 53 sequence │ 57 count │ 61 ..
//!                            └ not covered by the crc ┘          └ covered ..
//! ```

mod compression;
mod marker;
pub(crate) mod records;

use bytes::{Bytes, BytesMut};
use crc::{CRC_32_ISCSI, Crc, Table};

pub(crate) use marker::marker;

use crate::wire::ErrorCode;

/// What the header of a batch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) count: i32,
}

/// A batch that may be appended: its own memory, its header checked.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) header: Header,
    data: BytesMut,
}

const HEADER_BYTES: usize = 61;
const LENGTH_END: usize = 12;
const CRC_AT: usize = 17;
const CRC_END: usize = 21;
const MAX_TIMESTAMP_AT: usize = 35;

const COMPRESSION: i16 = 0b0111;
const LOG_APPEND_TIME: i16 = 0b1000;
const TRANSACTIONAL: i16 = 0b1_0000;
const CONTROL: i16 = 0b10_0000;

/// The last codec that exists.
const ZSTD: i16 = 4;

impl Header {
    /// Reads the header of `data`, which must be one batch and nothing else.
    pub(crate) fn parse(data: &[u8]) -> Result<Self, ErrorCode> {
        let header: &[u8; HEADER_BYTES] = data.first_chunk().ok_or(ErrorCode::CorruptMessage)?;
        let length = i32::from_be_bytes(at(header, 8));
        let [magic] = at(header, 16);
        if magic != 2 || usize::try_from(length).ok().and_then(|length| length.checked_add(LENGTH_END)) != Some(data.len()) {
            return Err(ErrorCode::InvalidRecord);
        }
        Ok(Self {
            attributes: i16::from_be_bytes(at(header, CRC_END)),
            last_offset_delta: i32::from_be_bytes(at(header, 23)),
            base_timestamp: i64::from_be_bytes(at(header, 27)),
            max_timestamp: i64::from_be_bytes(at(header, MAX_TIMESTAMP_AT)),
            producer_id: i64::from_be_bytes(at(header, 43)),
            producer_epoch: i16::from_be_bytes(at(header, 51)),
            base_sequence: i32::from_be_bytes(at(header, 53)),
            count: i32::from_be_bytes(at(header, 57)),
        })
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.attributes & COMPRESSION != 0
    }

    pub(crate) fn is_zstd(&self) -> bool {
        self.attributes & COMPRESSION == ZSTD
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether all records have the time of their arrival, which is the batch's largest.
    pub(crate) fn has_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// The sequence of the last record; sequences go round after `i32::MAX`.
    pub(crate) fn last_sequence(&self) -> i32 {
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }

    /// What Apache Kafka refuses before it looks at topic and producer.
    fn check(&self) -> Result<(), ErrorCode> {
        let counts_agree = self.count > 0 && self.last_offset_delta == self.count - 1;
        let producer_agrees = if self.producer_id >= 0 { self.producer_epoch >= 0 && self.base_sequence >= 0 } else { !self.is_transactional() };
        let codec_exists = self.attributes & COMPRESSION <= ZSTD;
        let is_of_a_client = self.attributes & CONTROL == 0;
        if counts_agree && producer_agrees && codec_exists && is_of_a_client { Ok(()) } else { Err(ErrorCode::InvalidRecord) }
    }
}

impl Batch {
    /// Its records, opened if they are compressed. None: they can't be, or come to more than 16 MiB.
    pub(crate) fn opened_records(&self) -> Option<std::borrow::Cow<'_, [u8]>> {
        compression::open(self.header.attributes & COMPRESSION, self.records())
    }

    /// Takes a copy of a batch that a client has sent: what is kept must not keep the whole request alive.
    pub(crate) fn of_client(data: &Bytes) -> Result<Self, ErrorCode> {
        let header = Header::parse(data)?;
        let covered = data.get(CRC_END..).unwrap_or_default();
        let sum = data.get(CRC_AT..CRC_END).unwrap_or_default();
        if checksum(covered).to_be_bytes() != sum {
            return Err(ErrorCode::CorruptMessage);
        }
        header.check()?;
        Ok(Self { header, data: BytesMut::from(&data[..]) })
    }

    /// The records, as they are, possibly compressed.
    pub(crate) fn records(&self) -> &[u8] {
        self.data.get(HEADER_BYTES..).unwrap_or_default()
    }

    /// Gives all records the time of their arrival.
    pub(crate) fn stamp(&mut self, now_ms: i64) {
        self.header.attributes |= LOG_APPEND_TIME;
        self.header.max_timestamp = now_ms;
        self.put(CRC_END, &self.header.attributes.to_be_bytes());
        self.put(MAX_TIMESTAMP_AT, &now_ms.to_be_bytes());
        let sum = checksum(self.data.get(CRC_END..).unwrap_or_default());
        self.put(CRC_AT, &sum.to_be_bytes());
    }

    /// The bytes to keep, with the place in the log and the leader's epoch, which is always 0. The checksum covers neither.
    pub(crate) fn placed_at(mut self, base_offset: i64) -> Bytes {
        self.put(0, &base_offset.to_be_bytes());
        self.put(LENGTH_END, &0i32.to_be_bytes());
        self.data.freeze()
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.data.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

/// The sum that batches carry: CRC-32C.
fn checksum(bytes: &[u8]) -> u32 {
    // Sixteen tables: three times the speed of one.
    static CRC_32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
    CRC_32C.checksum(bytes)
}

/// The bytes of a field.
fn at<const N: usize>(header: &[u8; HEADER_BYTES], offset: usize) -> [u8; N] {
    header.get(offset..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

#[cfg(test)]
pub(crate) mod tests;
