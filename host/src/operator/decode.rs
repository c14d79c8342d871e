//! Records to rows, run by run and side by side. A record that does not fit is a dead letter; the others go on.

use std::sync::Arc;

use anyhow::Context as _;
use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::SchemaRef;
use rayon::prelude::*;

use crate::format::raw::{self, RawRecords};
use crate::format::{BadRecord, JsonDecoder};
use crate::rows::{Chunk, Origin};
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
    /// The records that made no row, by run.
    pub rejected: Vec<(Arc<Records>, Vec<BadRecord>)>,
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
            let (chunk, records, rejected) = one?;
            all.chunks.extend((chunk.rows.num_rows() > 0).then_some(chunk));
            if !rejected.is_empty() {
                all.rejected.push((records, rejected));
            }
        }
        Ok(all)
    }

    fn decode_run(&self, source: usize, records: Arc<Records>) -> anyhow::Result<(Chunk, Arc<Records>, Vec<BadRecord>)> {
        let whole = |rows| (rows, None, Vec::new());
        let (rows, kept, rejected) = match self {
            Self::Raw { schema } => whole(raw_rows(&records)?.with_schema(Arc::clone(schema))?),
            Self::Json { decoder, metadata, schema } => {
                let decoded = decoder.decode(&records.values.as_values());
                let rows = if metadata.is_empty() { decoded.rows } else { with_metadata(&records, decoded.rows, decoded.kept.as_deref(), metadata, schema)? };
                (rows, decoded.kept, decoded.rejected)
            }
        };
        let origin = Origin::Records { source, records: Arc::clone(&records), index: kept.map(Into::into) };
        Ok((Chunk { rows, origin }, records, rejected))
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
