//! Where records come from. A source offers, for each partition, how far it could be read; the epoch decides how far it will be; the source then reads exactly
//! that range. It knows nothing of formats, windows or plugins, and it never commits anything: positions belong to the epoch.

pub mod kafka;
pub mod memory;
pub mod rate;
mod runs;
pub mod socket;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A position in a partition, as Kafka counts: the number of the next record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub i64);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number, from 0.
    pub number: i32,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

/// The next offset to read, for each partition of a source.
pub type Positions = BTreeMap<Partition, Offset>;

/// A range of a partition: `from` is read, `to` is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetRange {
    /// Which partition.
    pub partition: Partition,
    /// The first offset.
    pub from: Offset,
    /// The offset after the last.
    pub to: Offset,
}

impl OffsetRange {
    /// How many offsets the range spans; at least as many as it has records, because logs have gaps.
    #[must_use]
    pub fn span(&self) -> u64 {
        u64::try_from(self.to.0.saturating_sub(self.from.0)).unwrap_or(0)
    }
}

/// What a source has of one partition at the moment of planning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Which partition.
    pub partition: Partition,
    /// Where reading goes on. Usually the committed position; another one after a loss that the pipeline chose to skip, and the resolved start for a new partition.
    pub position: Offset,
    /// The end that the broker has last told: for read_committed the last stable offset. Never below `position`.
    pub end: Offset,
    /// True: the broker has confirmed, within the source's check interval, that `end` is the end now; only then may an empty partition become idle (F-2).
    pub confirmed: bool,
    /// Mean bytes of a record, as far as it is known: turns a byte limit into an offset limit.
    pub mean_record_bytes: u32,
}

/// Byte strings laid end to end, some of which may be missing: string i is `data[offsets[i]..offsets[i+1]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bytes {
    /// The bytes.
    pub data: Vec<u8>,
    /// One more than there are strings; the first is 0.
    pub offsets: Vec<u32>,
    /// Which strings are missing (Kafka's null, which is not the empty string); empty: none is.
    pub missing: Vec<bool>,
}

/// A run of records of one partition, in offset order.
#[derive(Debug, Clone, PartialEq)]
pub struct Records {
    /// Which partition.
    pub partition: Partition,
    /// The records' offsets; rising, with gaps.
    pub offsets: Vec<i64>,
    /// The records' timestamps, in milliseconds since 1970-01-01T00:00:00Z; -1: none.
    pub timestamps_ms: Vec<i64>,
    /// The values.
    pub values: Bytes,
    /// The keys, when the source was asked for them.
    pub keys: Option<Bytes>,
    /// The headers, one JSON array of `{"key", "value"}` a record, when the source was asked for them.
    pub headers: Option<Bytes>,
}

/// What went wrong at a source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The broker does not answer. The epoch waits, visibly, and tries again.
    #[error("source `{source_id}`: {reason}; waiting for it")]
    Unreachable {
        /// The source's id.
        source_id: String,
        /// What the client says.
        reason: String,
    },
    /// Records that were not read yet are gone.
    #[error(
        "source `{source_id}`: `{partition}` was to be read from offset {position}, but {reason}; nothing was delivered of what is missing: \
         set `on_data_loss = \"skip\"` to go on from what exists"
    )]
    DataLoss {
        /// The source's id.
        source_id: String,
        /// The partition, or the topic.
        partition: String,
        /// Where reading should have gone on.
        position: Offset,
        /// What there is instead.
        reason: String,
    },
    /// Anything that trying again does not mend.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// Tells the time, since 1970; for sources whose records are made of it.
pub type Now = Box<dyn Fn() -> Duration + Send>;

/// A source of records.
pub trait Source: Send {
    /// Sets where each known partition goes on: at the start, and after an epoch was thrown away. Partitions that are not named begin where the source is told
    /// to begin (`starting_offsets` when `positions` is empty, the earliest record when they appeared later).
    fn seek(&mut self, positions: &Positions) -> Result<(), SourceError>;

    /// What there is to read, for every partition.
    fn offer(&mut self) -> Result<Vec<Offer>, SourceError>;

    /// Reads exactly these ranges: every record of them, none beyond. Hands each run over as soon as it is complete, so that work on it begins while the next is
    /// read; the runs of one partition come in order, those of several mixed. After an error, what was handed over is void.
    fn read_each(&mut self, ranges: &[OffsetRange], cut: Cut, each: &mut dyn FnMut(Arc<Records>)) -> Result<(), SourceError>;

    /// The same, all at once, and in the order of `ranges`.
    fn read(&mut self, ranges: &[OffsetRange], cut: Cut) -> Result<Vec<Arc<Records>>, SourceError> {
        let mut runs = Vec::new();
        self.read_each(ranges, cut, &mut |run| runs.push(run))?;
        runs.sort_by_key(|run| ranges.iter().position(|range| range.partition == run.partition));
        Ok(runs)
    }

    /// Waits until something may have changed since the last [`Source::offer`] began, at most `timeout`. Returns at once when it has; what was offered and not
    /// read is nothing new.
    fn wait(&mut self, timeout: Duration);

    /// A name for progress and logs, such as `KafkaV2[Subscribe[ad-events]]`.
    fn description(&self) -> String;

    /// Whether a range can be read again after a crash.
    fn replayable(&self) -> bool {
        true
    }

    /// Whether the cluster can be shown its positions, for lag tools: whether they are of topics.
    fn has_topics(&self) -> bool {
        false
    }
}

/// Where a run of records is cut into chunks: by rows and bytes only, never by time, so that a plugin's input is the same each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// At most this many records.
    pub records: usize,
    /// At most this many bytes of values, unless one record alone is larger.
    pub bytes: usize,
}

impl Default for Cut {
    /// About 1,000 rows or 256 KB, so that a chunk stays in the L2 cache: at 10,000 rows a byte costs three times as much to copy.
    fn default() -> Self {
        Self { records: 1_000, bytes: 256 << 10 }
    }
}

impl Bytes {
    /// An empty run, ready to be appended to.
    #[must_use]
    pub fn new() -> Self {
        Self { data: Vec::new(), offsets: vec![0], missing: Vec::new() }
    }

    /// How many strings there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends one string. The caller keeps a run below 4 GiB by cutting chunks.
    pub fn push(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => {
                self.data.extend_from_slice(bytes);
                if !self.missing.is_empty() {
                    self.missing.push(false);
                }
            }
            None => {
                self.missing.resize(self.len(), false);
                self.missing.push(true);
            }
        }
        self.offsets.push(u32::try_from(self.data.len()).unwrap_or(u32::MAX));
    }

    /// String `i`; none when it is missing or there is no such string.
    #[must_use]
    pub fn get(&self, i: usize) -> Option<&[u8]> {
        if self.missing.get(i).copied().unwrap_or(false) {
            return None;
        }
        let (from, to) = (*self.offsets.get(i)?, *self.offsets.get(i + 1)?);
        self.data.get(from as usize..to as usize)
    }
}

impl Records {
    /// An empty run of `partition`.
    #[must_use]
    pub fn new(partition: Partition, keys: bool, headers: bool) -> Self {
        Self { partition, offsets: Vec::new(), timestamps_ms: Vec::new(), values: Bytes::new(), keys: keys.then(Bytes::new), headers: headers.then(Bytes::new) }
    }

    /// The places of the records alone: partition, offsets, timestamps.
    #[must_use]
    pub fn without_contents(self) -> Self {
        Self { values: Bytes::new(), keys: None, headers: None, ..self }
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }
}
