//! Rows in, rows out, chunk by chunk and side by side: the plugin decides for each row, the host keeps track of where it came from.

use anyhow::Context as _;
use rayon::prelude::*;

use super::{Busy, EpochTime, RejectedRows};
use crate::failpoint;
use crate::plugin;
use crate::rows::Chunk;

/// A step that calls a transform.
pub struct Transform {
    /// The opened function.
    pub function: plugin::Transform,
}

/// What a transform made of an epoch's rows.
#[derive(Debug, Default)]
pub struct Transformed {
    /// The rows, in the order of their chunks; chunks without rows are left out.
    pub chunks: Vec<Chunk>,
    /// The rows that the plugin rejected.
    pub rejected: Vec<RejectedRows>,
    /// Microseconds of all threads together.
    pub busy_us: u64,
}

impl Transform {
    /// Runs every chunk through the plugin.
    ///
    /// # Errors
    /// The first chunk, in order, that failed twice.
    pub fn run(&self, time: &EpochTime, chunks: Vec<Chunk>) -> anyhow::Result<Transformed> {
        let context = time.context();
        let busy = Busy::default();
        let done: Vec<_> = chunks.into_par_iter().map(|chunk| busy.with(|| self.run_chunk(&context, chunk))).collect();
        let mut all = Transformed { busy_us: busy.take_us(), ..Transformed::default() };
        for one in done {
            let (chunk, rejected) = one?;
            all.chunks.extend(chunk.filter(|chunk| chunk.rows.num_rows() > 0));
            all.rejected.extend(rejected);
        }
        Ok(all)
    }

    fn run_chunk(&self, context: &plugin::Context, chunk: Chunk) -> anyhow::Result<(Option<Chunk>, Option<RejectedRows>)> {
        let transformed = self.function.run(context, &chunk.rows).with_context(|| chunk_name(&chunk))?;
        failpoint::hit(failpoint::PLUGIN_CALLED);
        let origin = match &transformed.origin {
            None => chunk.origin.clone(),
            Some(rows) => chunk.origin.take(rows),
        };
        let rejected = (!transformed.rejected.is_empty()).then_some(RejectedRows { chunk, rejections: transformed.rejected });
        Ok((Some(Chunk { rows: transformed.rows, origin }), rejected))
    }
}

/// Which rows a chunk holds, for an error.
pub(super) fn chunk_name(chunk: &Chunk) -> String {
    let rows = chunk.rows.num_rows();
    match (super::place_of(&chunk.origin, 0), super::place_of(&chunk.origin, rows.saturating_sub(1))) {
        (Some(first), Some(last)) => format!("{rows} rows of `{}/{}`, offsets {} to {}", first.topic, first.partition, first.offset, last.offset),
        _ => format!("{rows} rows that an aggregate made"),
    }
}
