//! Rows on their way through an epoch. A chunk is a run of rows with the proof of where they come from, so that whatever a step does with them, a row that is
//! rejected can still name its topic, partition and offset.

use std::sync::Arc;

use arrow_array::RecordBatch;

use crate::source::Records;

/// A run of rows of one partition, in offset order, or of rows that an aggregate made.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The rows.
    pub rows: RecordBatch,
    /// Where they come from.
    pub origin: Origin,
}

/// Where the rows of a chunk come from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// From records of a source: row i comes from record `index[i]`, or from record i when there is no index.
    Records {
        /// The source, by its place in the plan.
        source: usize,
        /// The records, which live as long as rows of them do.
        records: Arc<Records>,
        /// The record of each row; it never falls.
        index: Option<Arc<[u32]>>,
    },
    /// An aggregate made them: they have windows and keys, and no record.
    Made,
}

impl Origin {
    /// The origin of rows that come from rows `rows` of these.
    #[must_use]
    pub fn take(&self, rows: &[u32]) -> Self {
        match self {
            Self::Made => Self::Made,
            Self::Records { source, records, index } => Self::Records {
                source: *source,
                records: Arc::clone(records),
                index: Some(match index {
                    None => rows.into(),
                    Some(index) => rows.iter().filter_map(|row| index.get(*row as usize).copied()).collect(),
                }),
            },
        }
    }

    /// The number of the record that row `row` comes from, and the records it is in.
    #[must_use]
    pub fn record(&self, row: usize) -> Option<(&Records, usize)> {
        match self {
            Self::Made => None,
            Self::Records { records, index, .. } => {
                let record = index.as_ref().map_or(Some(row), |index| index.get(row).map(|record| *record as usize))?;
                (record < records.len()).then_some((records.as_ref(), record))
            }
        }
    }
}
