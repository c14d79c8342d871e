//! The PREPARED record: all that an epoch has decided, in one run of bytes under one checksum, which is also the last part of the epoch's identity. This file
//! makes and reads those bytes (FORMAT.md, "PREPARED"); it never touches a disk, and no byte that it reads can make it panic.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::delta::{self, Delta, Op};
use super::varint;
use crate::time::Watermark;
use crate::time::watermark::PartitionClock;

const MAGIC: &[u8; 8] = b"weirPREP";
const CHECKSUM_LEN: usize = 8;

/// What an epoch has decided, but for its rows and states. COMMITTED keeps it: it is where the next epoch begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRecord {
    /// The life of the pipeline that the epoch belongs to: the state folder's UUID, as text.
    pub lineage: String,
    /// The epoch's number, from 1 on; 0: the beginning.
    pub epoch: u64,
    /// Which try of the epoch this is: a random number, 16 hexadecimal digits in text.
    #[serde(with = "hex")]
    pub attempt: u64,
    /// The identity of the COMMITTED that the epoch was made on; empty in the beginning.
    pub base: String,
    /// The epoch's clock, in microseconds since 1970-01-01T00:00:00Z.
    pub clock_us: i64,
    /// E: windows that end at or before it are closed by this epoch (W-8). None: event time is declared nowhere.
    pub eviction_watermark_ms: Option<i64>,
    /// L: rows whose window ends at or before it are late in this epoch (W-8).
    pub late_watermark_ms: Option<i64>,
    /// What was read, by source id.
    pub sources: BTreeMap<String, SourceRecord>,
    /// How far event time has come, by the id of the source or step that declares it.
    pub event_times: BTreeMap<String, EventTimeRecord>,
    /// The SHA-256 of the plugin of each step, by step id.
    pub plugins: BTreeMap<String, String>,
    /// Files that are written under temporary names, to be renamed after the commit point.
    pub staged_files: Vec<StagedFile>,
    /// What the epoch counted: its progress record is told from this when a crash came before it was written.
    pub counts: EpochCounts,
}

/// What an epoch counted. Rows read are the source's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochCounts {
    /// Rows that went to sinks, dead letters not counted.
    pub output_rows: u64,
    /// Rows behind the watermark, each once a window.
    pub late_rows: u64,
    /// Rows without an event time.
    pub null_event_time_rows: u64,
    /// Values that could not be written exactly.
    pub lossy_values: u64,
    /// Dead letters, by code.
    pub rejected: BTreeMap<String, u64>,
}

/// What an epoch read of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRecord {
    /// How many records were read: fewer than offsets, because logs have gaps.
    pub rows: u64,
    /// By partition, as `topic/number`. Every partition that the source knows is here, also when nothing was read of it.
    pub partitions: BTreeMap<String, PartitionRecord>,
}

/// A partition after an epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionRecord {
    /// The first offset that the epoch read.
    pub from: i64,
    /// The offset after the last: where the next epoch begins.
    pub to: i64,
}

/// A declaration of event time after an epoch. All of it is kept, by partition, so that a restart forgets none (unlike W-13).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventTimeRecord {
    /// The watermark, in milliseconds.
    pub watermark: Watermark,
    /// What is known of each partition, by `topic/number`.
    pub partitions: BTreeMap<String, PartitionClock>,
}

/// A file that is to be renamed, both names relative to the sink's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StagedFile {
    /// The sink.
    pub sink: String,
    /// The temporary name, under which it lies.
    pub staged: String,
    /// The name that it gets.
    pub published: String,
    /// How many rows it has.
    pub rows: u64,
}

/// Encoded rows for a sink that can neither stage nor join the transaction; delivered after the commit point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxPart<'a> {
    /// The sink.
    pub sink: &'a str,
    /// What to deliver, as the sink encoded it.
    pub bytes: &'a [u8],
}

/// A whole PREPARED record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    record: EpochRecord,
    bytes: Vec<u8>,
    /// Where each step's delta lies in the bytes.
    deltas: Vec<(String, Range<usize>)>,
    /// Where each part of the outbox lies.
    outbox: Vec<(String, Range<usize>)>,
    checksum: u64,
}

/// Bytes that are not a whole PREPARED record: torn by a crash, or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("damaged PREPARED record of {len} bytes: expected {expected}")]
pub struct Damage {
    /// How many bytes there are.
    pub len: usize,
    /// What should have been there.
    pub expected: &'static str,
}

impl EpochRecord {
    /// The beginning of a lineage: nothing read, nothing decided.
    #[must_use]
    pub fn beginning(lineage: String) -> Self {
        Self {
            lineage,
            epoch: 0,
            attempt: 0,
            base: String::new(),
            clock_us: 0,
            eviction_watermark_ms: None,
            late_watermark_ms: None,
            sources: BTreeMap::new(),
            event_times: BTreeMap::new(),
            plugins: BTreeMap::new(),
            staged_files: Vec::new(),
            counts: EpochCounts::default(),
        }
    }
}

impl Prepared {
    /// Makes the record of an epoch. Deltas are by step id; the parts of the outbox keep their order.
    pub fn new(record: EpochRecord, deltas: &BTreeMap<String, Delta>, outbox: &[OutboxPart<'_>]) -> anyhow::Result<Self> {
        let header = serde_json::to_vec(&record).with_context(|| format!("write the header of epoch {} as JSON", record.epoch))?;
        let body: usize = deltas.values().map(|delta| delta.as_bytes().len()).chain(outbox.iter().map(|part| part.bytes.len())).sum();
        // Names and lengths take some more; growing once at the end would copy it all.
        let mut bytes = Vec::with_capacity(header.len() + body + 64 * (deltas.len() + outbox.len() + 1));
        bytes.extend_from_slice(MAGIC);
        varint::write_bytes(&header, &mut bytes);
        let deltas = write_parts(deltas.iter().map(|(step, delta)| (step.as_str(), delta.as_bytes())), &mut bytes);
        let outbox = write_parts(outbox.iter().map(|part| (part.sink, part.bytes)), &mut bytes);
        let checksum = xxh3_64(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        Ok(Self { record, bytes, deltas, outbox, checksum })
    }

    /// Reads a record. What it accepts is whole: every delta can be applied.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, Damage> {
        let damage = |expected| Damage { len: bytes.len(), expected };
        let (covered, checksum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(damage("at least a checksum"))?;
        let checksum = u64::from_le_bytes(*checksum);
        if xxh3_64(covered) != checksum {
            return Err(damage("the bytes that its checksum was made of"));
        }
        let mut rest = covered.strip_prefix(MAGIC).ok_or(damage("`weirPREP` at the beginning"))?;
        let header = varint::read_bytes(&mut rest).ok_or(damage("a header"))?;
        let record = serde_json::from_slice(header).map_err(|_| damage("a header of this format"))?;
        let deltas = read_parts(&mut rest, covered.len()).ok_or(damage("a delta for each step"))?;
        let outbox = read_parts(&mut rest, covered.len()).ok_or(damage("the parts of an outbox"))?;
        if !rest.is_empty() {
            return Err(damage("nothing after the outbox"));
        }
        for (_, range) in &deltas {
            if delta::ops(slice(&bytes, range)).any(|op| op.is_none()) {
                return Err(damage("whole changes in every delta"));
            }
        }
        Ok(Self { record, deltas, outbox, checksum, bytes })
    }

    /// The epoch's identity: `lineage/epoch/attempt/checksum`.
    #[must_use]
    pub fn identity(&self) -> String {
        let EpochRecord { lineage, epoch, attempt, .. } = &self.record;
        format!("{lineage}/{epoch}/{attempt:016x}/{:016x}", self.checksum)
    }

    /// What the epoch decided.
    #[must_use]
    pub fn record(&self) -> &EpochRecord {
        &self.record
    }

    /// XXH3 (64 bits) over everything before it.
    #[must_use]
    pub fn checksum(&self) -> u64 {
        self.checksum
    }

    /// The parts of the outbox, in the order in which they are delivered.
    pub fn outbox(&self) -> impl ExactSizeIterator<Item = OutboxPart<'_>> {
        self.outbox.iter().map(|(sink, range)| OutboxPart { sink, bytes: slice(&self.bytes, range) })
    }

    /// The changes of each step's state.
    pub(super) fn deltas(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = Op<'_>>)> {
        // Every change was read when the record was, or made by `Delta`.
        self.deltas.iter().map(|(step, range)| (step.as_str(), delta::ops(slice(&self.bytes, range)).flatten()))
    }

    /// The record as it is stored.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Appends how many parts there are, then name and bytes of each; says where the bytes lie.
fn write_parts<'a>(parts: impl ExactSizeIterator<Item = (&'a str, &'a [u8])>, out: &mut Vec<u8>) -> Vec<(String, Range<usize>)> {
    varint::write(parts.len() as u64, out);
    parts
        .map(|(name, bytes)| {
            varint::write_bytes(name.as_bytes(), out);
            varint::write_bytes(bytes, out);
            (name.to_owned(), out.len() - bytes.len()..out.len())
        })
        .collect()
}

/// Takes parts off the front of `rest`, the end of the first `end` bytes of the record.
fn read_parts(rest: &mut &[u8], end: usize) -> Option<Vec<(String, Range<usize>)>> {
    let count = varint::read(rest)?;
    // NOTE: no capacity by `count`: a number is not to be believed before its parts are there.
    let mut parts = Vec::new();
    for _ in 0..count {
        let name = std::str::from_utf8(varint::read_bytes(rest)?).ok()?.to_owned();
        let len = varint::read_bytes(rest)?.len();
        let to = end.checked_sub(rest.len())?;
        parts.push((name, to.checked_sub(len)?..to));
    }
    Some(parts)
}

fn slice<'a>(bytes: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    bytes.get(range.clone()).unwrap_or_default()
}

/// 64 bits as 16 hexadecimal digits: JSON numbers are exact to 53 bits in many readers.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{value:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = digits.then(|| u64::from_str_radix(&text, 16).ok()).flatten();
        value.ok_or_else(|| de::Error::custom(format!("`{text}` is not an attempt: expected 16 hexadecimal digits")))
    }
}

#[cfg(test)]
mod tests;
