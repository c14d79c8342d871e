//! Rows that came too late, for the sink that takes them: as they were at the step, with the window that they came too late for, the watermark, and how far they are
//! behind it.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow_schema::SchemaRef;

use crate::rows::Chunk;
use crate::time::Watermark;
use crate::time::window::Window;

/// Makes late rows of rows.
#[derive(Debug)]
pub(super) struct LateRows {
    /// Their columns.
    pub(super) schema: SchemaRef,
    /// The column of event times.
    pub(super) time: usize,
    /// Whether they have the edges of a window.
    pub(super) windowed: bool,
}

impl LateRows {
    /// The late ones of several chunks' rows, which are counted through all chunks, each with its window.
    pub(super) fn of(&self, chunks: &[Chunk], late: &[(u32, Window)], watermark: Watermark) -> anyhow::Result<Vec<Chunk>> {
        let (mut made, mut rest, mut before) = (Vec::new(), late, 0);
        for chunk in chunks {
            let end = before + u32::try_from(chunk.rows.num_rows())?;
            let (mine, after) = rest.split_at(rest.partition_point(|(row, _)| *row < end));
            if !mine.is_empty() {
                let rows: Vec<u32> = mine.iter().map(|(row, _)| row - before).collect();
                made.push(self.chunk(chunk, rows, mine, watermark)?);
            }
            (rest, before) = (after, end);
        }
        Ok(made)
    }

    fn chunk(&self, chunk: &Chunk, rows: Vec<u32>, late: &[(u32, Window)], watermark: Watermark) -> anyhow::Result<Chunk> {
        let origin = chunk.origin.take(&rows);
        let taken = arrow_select::take::take_record_batch(&chunk.rows, &UInt32Array::from(rows))?;
        let times = taken.columns().get(self.time).and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        let times = times.ok_or_else(|| anyhow::anyhow!("column {} holds no event times", self.time))?;
        let watermark_us = watermark.as_event_time().0;
        let lateness: Int64Array = times.iter().map(|time| Some(watermark_us.saturating_sub(time.unwrap_or(watermark_us)).div_euclid(1_000))).collect();
        let moments = |moments: Vec<i64>| Arc::new(TimestampMicrosecondArray::from(moments).with_timezone("UTC")) as ArrayRef;
        let mut columns = taken.columns().to_vec();
        if self.windowed {
            columns.push(moments(late.iter().map(|(_, window)| window.start.0).collect()));
            columns.push(moments(late.iter().map(|(_, window)| window.end.0).collect()));
        }
        columns.push(moments(vec![watermark_us; late.len()]));
        columns.push(Arc::new(lateness));
        Ok(Chunk { rows: RecordBatch::try_new(Arc::clone(&self.schema), columns)?, origin })
    }
}
