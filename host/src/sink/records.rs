//! Rows as records of a topic: the value is the row as JSON, the key is made of columns.

use anyhow::Context as _;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;
use rayon::prelude::*;

use super::Encoded;
use crate::epoch::clock::Busy;
use crate::format::{self, EncodedKeys, JsonEncoder, Lossy};
use crate::rows::Chunk;
use crate::source::Bytes;

/// How the rows of one sink become records.
#[derive(Debug)]
pub struct RecordEncoder {
    /// Where they go.
    pub topic: String,
    /// Writes the values.
    pub values: JsonEncoder,
    /// The columns of the key; none: no key.
    pub key: Vec<usize>,
    /// The column that is the record's timestamp; none: now.
    pub timestamp: Option<usize>,
    /// Header names and the columns they take.
    pub headers: Vec<(String, usize)>,
}

impl RecordEncoder {
    /// The records of an epoch's rows, a batch a chunk, in order, and what could not be written exactly. The work is counted in `busy`.
    ///
    /// # Errors
    /// When a column that the sink names is not there: the plan checks this.
    pub fn encode(&self, chunks: &[Chunk], busy: &Busy) -> anyhow::Result<(Vec<Encoded>, Lossy)> {
        let encoded: Vec<_> = chunks.par_iter().map(|chunk| busy.with(|| self.encode_chunk(&chunk.rows))).collect();
        let (mut batches, mut lossy) = (Vec::with_capacity(encoded.len()), Lossy::default());
        for one in encoded {
            let (batch, lost) = one.with_context(|| format!("encode records of topic `{}`", self.topic))?;
            batches.push(batch);
            lossy += lost;
        }
        Ok((batches, lossy))
    }

    fn encode_chunk(&self, rows: &RecordBatch) -> anyhow::Result<(Encoded, Lossy)> {
        let mut values = format::Encoded::default();
        let lossy = self.values.encode(rows, &mut values);
        let keys = (!self.key.is_empty()).then(|| texts(rows, &self.key)).transpose()?;
        let timestamps_ms = self.timestamp.map(|column| timestamps(rows, column)).transpose()?;
        let headers = self.headers.iter().map(|(name, column)| Ok((name.clone(), texts(rows, &[*column])?))).collect::<anyhow::Result<_>>()?;
        let values = Bytes { data: values.data, offsets: values.offsets, missing: Vec::new() };
        Ok((Encoded { keys, values, timestamps_ms, headers }, lossy))
    }
}

/// The text of columns: of one its value, of several a JSON array.
fn texts(rows: &RecordBatch, columns: &[usize]) -> anyhow::Result<Bytes> {
    let mut encoded = EncodedKeys::default();
    format::encode_key(rows, columns, &mut encoded)?;
    Ok(Bytes { data: encoded.keys.data, offsets: encoded.keys.offsets, missing: encoded.nulls })
}

fn timestamps(rows: &RecordBatch, column: usize) -> anyhow::Result<Vec<i64>> {
    let times = rows.columns().get(column).and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    let times = times.with_context(|| format!("column {column} holds no timestamps"))?;
    Ok(times.iter().map(|time| time.map_or(-1, |time| time.div_euclid(1_000))).collect())
}
