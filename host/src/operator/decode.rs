//! Records to rows, run by run and side by side. A record that does not fit is a dead letter; the others go on.

use std::sync::Arc;

use anyhow::Context as _;
use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::SchemaRef;
use rayon::prelude::*;

use crate::format::raw::{self, RawRecords};
use crate::format::{BadRecord, JsonDecoder};
use crate::operator::place_of;
use crate::rows::{Chunk, Origin};
use crate::sink::dead_letter::{Content, Place};
use crate::source::Records;

/// How the records of a source become rows.
#[derive(Debug)]
pub enum Decoder {
    /// One JSON object a record, with columns of Kafka's added: the number of each in `raw` input.
    Json {
        /// The declared columns.
        decoder: JsonDecoder,
        /// The added ones.
        metadata: Vec<usize>,
        /// All of them.
        schema: SchemaRef,
    },
    /// Kafka's own columns.
    Raw {
        /// What they are called here.
        schema: SchemaRef,
    },
}

/// What became of an epoch's records.
#[derive(Debug, Default)]
pub struct DecodedRecords {
    /// The rows, a chunk a run, in order; runs without rows are left out.
    pub chunks: Vec<Chunk>,
    /// The records that made no row.
    pub rejected: Vec<RejectedRecord>,
}

/// A record that made no row: it goes to the dead letters.
#[derive(Debug)]
pub struct RejectedRecord {
    /// Where it came from.
    pub place: Option<Place>,
    /// What is wrong with it.
    pub bad: BadRecord,
    /// The value as it came, as far as a dead letter keeps it.
    pub content: Content,
}

impl Decoder {
    /// Decodes the runs of source number `source`.
    ///
    /// # Errors
    /// When a run is too large for Arrow, which the cut into chunks keeps from happening.
    pub fn decode(&self, source: usize, runs: Vec<Arc<Records>>) -> anyhow::Result<DecodedRecords> {
        let done: Vec<_> = runs.into_par_iter().map(|run| self.decode_run(source, run)).collect();
        let mut all = DecodedRecords::default();
        for one in done {
            let (chunk, rejected) = one?;
            all.chunks.extend((chunk.rows.num_rows() > 0).then_some(chunk));
            all.rejected.extend(rejected);
        }
        Ok(all)
    }

    fn decode_run(&self, source: usize, records: Arc<Records>) -> anyhow::Result<(Chunk, Vec<RejectedRecord>)> {
        let whole = |rows| (rows, None, Vec::new());
        let (rows, kept, rejected) = match self {
            Self::Raw { schema } => whole(raw_rows(&records)?.with_schema(Arc::clone(schema))?),
            Self::Json { decoder, metadata, schema } => {
                let decoded = decoder.decode(&records.values.as_values());
                let rows = if metadata.is_empty() { decoded.rows } else { with_metadata(&records, decoded.rows, decoded.kept.as_deref(), metadata, schema)? };
                (rows, decoded.kept, decoded.rejected)
            }
        };
        let content: Vec<_> = rejected.iter().map(|bad: &BadRecord| Content::value(records.values.get(bad.record as usize))).collect();
        // IMPORTANT: what has become columns is not kept a second time as bytes; an epoch would take half as much memory again.
        let records = Arc::new(Arc::unwrap_or_clone(records).without_contents());
        let whole = Origin::Records { source, records: Arc::clone(&records), index: None };
        let letter = |(bad, content): (BadRecord, Content)| RejectedRecord { place: place_of(&whole, bad.record as usize), bad, content };
        let rejected = rejected.into_iter().zip(content).map(letter).collect();
        Ok((Chunk { rows, origin: Origin::Records { source, records, index: kept.map(Into::into) } }, rejected))
    }
}

/// The declared columns, and those of Kafka's that were asked for, of the records that made a row.
fn with_metadata(records: &Records, rows: RecordBatch, kept: Option<&[u32]>, metadata: &[usize], schema: &SchemaRef) -> anyhow::Result<RecordBatch> {
    let mut added = raw_rows(records)?.project(metadata)?;
    if let Some(kept) = kept {
        added = arrow_select::take::take_record_batch(&added, &UInt32Array::from(kept.to_vec()))?;
    }
    let columns = rows.columns().iter().chain(added.columns()).cloned().collect();
    RecordBatch::try_new(Arc::clone(schema), columns).context("add Kafka's columns")
}

fn raw_rows(records: &Records) -> anyhow::Result<RecordBatch> {
    let raw = RawRecords {
        keys: records.keys.as_ref().map(|keys| keys.as_values()),
        values: records.values.as_values(),
        topic: &records.partition.topic,
        partition: records.partition.number,
        offsets: &records.offsets,
        timestamps_ms: &records.timestamps_ms,
        headers: records.headers.as_ref().map(|headers| headers.as_values()),
    };
    Ok(raw::rows(&raw)?)
}
