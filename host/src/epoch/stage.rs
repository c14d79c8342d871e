//! Step 5, STAGE: every sink takes the epoch's rows without showing them. Rows of topics go into the open transaction; the others, encoded, into the outbox; what was
//! refused on the way becomes dead letters, by one of the same two roads.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use xxhash_rust::xxh3::Xxh3Default;

use super::clock::Stopwatch;
use super::graph::{Graph, Letters, Node, Target};
use crate::failpoint;
use crate::format::{Lossy, row_json};
use crate::rows::Chunk;
use crate::sink::dead_letter::{Content, DeadLetter, Kind};
use crate::sink::{Encoded, Transaction, TransactionError, Undeliverable};
use crate::source::Bytes;

/// The part of the outbox that holds dead letters for the file in the state folder.
pub const LETTERS: &str = "dead-letters";

/// A part of an epoch's outbox: a sink's id, or [`LETTERS`], and its rows as the sink has encoded them.
pub type Part = (String, Vec<u8>);

/// Records that the broker has refused in an earlier attempt of the epoch, by content, with the broker's word: they go to the dead letters this time.
#[derive(Debug, Clone, Default)]
pub struct Refused {
    records: BTreeMap<u128, String>,
}

/// What an epoch has staged.
#[derive(Debug, Default)]
pub struct Staged {
    /// The outbox.
    pub outbox: Vec<Part>,
    /// Rows that went to sinks, dead letters not counted.
    pub rows: u64,
    /// Dead letters by code.
    pub rejected: BTreeMap<String, u64>,
    /// What could not be written exactly.
    pub lossy: Lossy,
    /// Microseconds of encoding; the rest of staging is the broker's.
    pub encode_us: u64,
    /// What is in the transaction, to find a refused record again: sink or letters, topic, and the content hash of each record of a batch.
    batches: Vec<Batch>,
}

#[derive(Debug)]
struct Batch {
    number: usize,
    hashes: Vec<u128>,
}

/// Why staging did not end well.
#[derive(Debug)]
pub enum StageError {
    /// The transaction's word.
    Transaction(TransactionError),
    /// Anything else stops the pipeline.
    Failed(anyhow::Error),
}

/// Stages an epoch: the rows of each sink's input, and the dead letters.
pub(super) fn stage(
    graph: &Graph,
    epoch: u64,
    rows: &BTreeMap<Node, Vec<Chunk>>,
    mut letters: Vec<DeadLetter>,
    refused: &Refused,
    mut transaction: Option<&mut (dyn Transaction + 'static)>,
) -> Result<Staged, StageError> {
    let mut staged = Staged::default();
    for sink in &graph.sinks {
        let chunks = rows.get(&sink.input).map(Vec::as_slice).unwrap_or_default();
        staged.rows += chunks.iter().map(|chunk| chunk.rows.num_rows() as u64).sum::<u64>();
        let mut watch = Stopwatch::start();
        match &sink.target {
            Target::Outbox(outbox) => {
                let part = outbox.encode(epoch, chunks).with_context(|| format!("sink `{}`", sink.id))?;
                staged.encode_us += watch.lap_us();
                staged.outbox.extend((!part.is_empty()).then(|| (sink.id.clone(), part)));
            }
            Target::Records(encoder) => {
                let (batches, lossy) = encoder.encode(chunks).with_context(|| format!("sink `{}`", sink.id))?;
                staged.encode_us += watch.lap_us();
                staged.lossy += lossy;
                let transaction = open(&mut transaction)?;
                for (chunk, mut batch) in chunks.iter().zip(batches) {
                    letters.extend(refused.divert(epoch, &sink.id, chunk, &mut batch)?);
                    staged.send(transaction, &encoder.topic, batch)?;
                }
            }
        }
    }
    staged.letters(graph, &letters, &mut transaction)?;
    Ok(staged)
}

/// The transaction of a pipeline with topics to write; the graph has one then.
fn open<'a>(transaction: &'a mut Option<&mut (dyn Transaction + 'static)>) -> Result<&'a mut (dyn Transaction + 'static), StageError> {
    transaction.as_deref_mut().ok_or_else(|| StageError::Failed(anyhow::anyhow!("a topic is written, but there is no transaction: this is a defect")))
}

impl Staged {
    /// What the broker has refused, added to what it had refused before.
    pub(super) fn refuse(&self, undeliverable: &[Undeliverable], refused: &mut Refused) -> usize {
        let found = undeliverable.iter().filter_map(|record| {
            let batch = self.batches.iter().find(|batch| batch.number == record.batch)?;
            Some((*batch.hashes.get(record.record)?, record.code.clone()))
        });
        let before = refused.records.len();
        refused.records.extend(found);
        refused.records.len() - before
    }

    fn send(&mut self, transaction: &mut (dyn Transaction + 'static), topic: &str, batch: Encoded) -> Result<(), StageError> {
        if batch.values.is_empty() {
            return Ok(());
        }
        let hashes = (0..batch.values.len()).map(|record| content_hash(&batch, record)).collect();
        let number = transaction.send(topic, batch)?;
        failpoint::hit(failpoint::ROWS_SENT);
        self.batches.push(Batch { number, hashes });
        Ok(())
    }

    fn letters(&mut self, graph: &Graph, letters: &[DeadLetter], transaction: &mut Option<&mut (dyn Transaction + 'static)>) -> Result<(), StageError> {
        for letter in letters {
            *self.rejected.entry(letter.code.clone()).or_default() += 1;
        }
        if letters.is_empty() {
            return Ok(());
        }
        match &graph.dead_letters {
            Letters::Topic(topic) => {
                let mut values = Bytes::new();
                for letter in letters {
                    values.push(Some(&letter.to_json().context("encode a dead letter")?));
                }
                self.send(open(transaction)?, topic, Encoded { values, ..Encoded::default() })
            }
            Letters::File(_) => {
                let mut part = Vec::new();
                for letter in letters {
                    part.extend(letter.to_json().context("encode a dead letter")?);
                    part.push(b'\n');
                }
                self.outbox.push((LETTERS.to_owned(), part));
                Ok(())
            }
        }
    }
}

impl Refused {
    /// Whether nothing was refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Takes refused records out of a batch; they come back as dead letters.
    fn divert(&self, epoch: u64, sink: &str, chunk: &Chunk, batch: &mut Encoded) -> anyhow::Result<Vec<DeadLetter>> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let refused: BTreeMap<usize, &String> =
            (0..batch.values.len()).filter_map(|record| Some((record, self.records.get(&content_hash(batch, record))?))).collect();
        let letters = refused.iter().map(|(row, code)| {
            Ok(DeadLetter {
                kind: Kind::Row,
                code: (*code).clone(),
                reason: format!("the broker does not take this record: {code}"),
                step: sink.to_owned(),
                plugin: None,
                epoch,
                source: crate::operator::place_of(&chunk.origin, *row),
                content: Content::row(row_json(&chunk.rows, *row))?,
            })
        });
        let letters = letters.collect::<anyhow::Result<_>>()?;
        batch.remove(&refused.keys().copied().collect());
        Ok(letters)
    }
}

impl Encoded {
    /// Takes records out, by number.
    fn remove(&mut self, records: &BTreeSet<usize>) {
        let kept: Vec<usize> = (0..self.values.len()).filter(|record| !records.contains(record)).collect();
        let pick = |bytes: &Bytes| {
            let mut picked = Bytes::new();
            kept.iter().for_each(|record| picked.push(bytes.get(*record)));
            picked
        };
        self.values = pick(&self.values);
        self.keys = self.keys.as_ref().map(pick);
        self.headers = self.headers.iter().map(|(name, values)| (name.clone(), pick(values))).collect();
        self.timestamps_ms = self.timestamps_ms.as_ref().map(|all| kept.iter().filter_map(|record| all.get(*record).copied()).collect());
    }
}

/// Names a record by what it holds, so that it is found again when the epoch is made again.
fn content_hash(batch: &Encoded, record: usize) -> u128 {
    let mut hash = Xxh3Default::new();
    hash.update(batch.keys.as_ref().and_then(|keys| keys.get(record)).unwrap_or_default());
    hash.update(&[0xff]);
    hash.update(batch.values.get(record).unwrap_or_default());
    hash.update(&batch.timestamps_ms.as_ref().and_then(|all| all.get(record).copied()).unwrap_or(-1).to_le_bytes());
    hash.digest128()
}

impl From<TransactionError> for StageError {
    fn from(error: TransactionError) -> Self {
        Self::Transaction(error)
    }
}

impl From<anyhow::Error> for StageError {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn batch(values: &[&str]) -> Encoded {
        let mut bytes = Bytes::new();
        values.iter().for_each(|value| bytes.push(Some(value.as_bytes())));
        Encoded { keys: Some(bytes.clone()), values: bytes, timestamps_ms: Some((0..).take(values.len()).collect()), headers: Vec::new() }
    }

    #[test]
    fn a_refused_record_leaves_its_batch_and_the_others_keep_what_is_theirs() {
        let mut three = batch(&["a", "b", "c"]);
        three.remove(&BTreeSet::from([1]));
        assert_eq!(three.values.get(1), Some(b"c".as_slice()));
        assert_eq!(three.keys.unwrap().len(), 2);
        assert_eq!(three.timestamps_ms.unwrap(), [0, 2]);
    }

    #[test]
    fn a_record_is_known_again_by_its_content() {
        assert_eq!(content_hash(&batch(&["a", "b"]), 1), content_hash(&batch(&["x", "b"]), 1));
        assert_ne!(content_hash(&batch(&["a", "b"]), 0), content_hash(&batch(&["a", "b"]), 1));
    }
}
