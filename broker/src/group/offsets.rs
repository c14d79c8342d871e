//! What a group has committed.

use std::collections::BTreeMap;

use crate::topic::TopicPartition;
use crate::wire::ErrorCode;

/// Committed offsets by partition.
pub(crate) type Offsets = BTreeMap<TopicPartition, CommittedOffset>;

/// An offset with what its client wrote beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    metadata: String,
}

/// The longest metadata that Apache Kafka takes by default.
const MAX_METADATA_BYTES: usize = 4096;

impl CommittedOffset {
    pub(crate) fn new(offset: i64, leader_epoch: i32, metadata: Option<String>) -> Result<Self, ErrorCode> {
        let metadata = metadata.unwrap_or_default();
        if metadata.len() > MAX_METADATA_BYTES {
            return Err(ErrorCode::OffsetMetadataTooLarge);
        }
        Ok(Self { offset, leader_epoch, metadata })
    }

    pub(crate) fn metadata(&self) -> &str {
        &self.metadata
    }
}
