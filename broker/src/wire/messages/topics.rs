//! Making and removing topics, partitions and records.

use uuid::Uuid;

use crate::wire::messages::cluster::NamedValue;
use crate::wire::{ErrorCode, wire};

wire! {
    struct CreateTopicsRequest {
        topics: Vec<NewTopic>,
        timeout_ms: i32,
        validate_only: bool,
    }

    struct NewTopic {
        name: String,
        num_partitions: i32,
        replication_factor: i16,
        assignments: Vec<ReplicaAssignment>,
        configs: Vec<NamedValue>,
    }

    struct ReplicaAssignment {
        partition: i32,
        broker_ids: Vec<i32>,
    }

    struct CreateTopicsResponse {
        throttle_time_ms: i32,
        topics: Vec<CreatedTopic>,
    }

    struct CreatedTopic {
        name: String,
        id: Uuid [7..],
        error: ErrorCode,
        error_message: Option<String>,
        num_partitions: i32 [5..] = -1,
        replication_factor: i16 [5..] = -1,
        configs: Option<Vec<CreatedConfig>> [5..],
    }

    struct CreatedConfig {
        name: String,
        value: Option<String>,
        read_only: bool,
        source: i8 = -1,
        is_sensitive: bool,
    }

    struct DeleteTopicsRequest {
        topics: Vec<DeletedTopicName> [6..],
        names: Vec<String> [..=5],
        timeout_ms: i32,
    }

    struct DeletedTopicName {
        name: Option<String>,
        id: Uuid,
    }

    struct DeleteTopicsResponse {
        throttle_time_ms: i32,
        topics: Vec<DeletedTopic>,
    }

    struct DeletedTopic {
        name: Option<String>,
        id: Uuid [6..],
        error: ErrorCode,
        error_message: Option<String> [5..],
    }

    struct CreatePartitionsRequest {
        topics: Vec<GrownTopic>,
        timeout_ms: i32,
        validate_only: bool,
    }

    struct GrownTopic {
        name: String,
        count: i32,
        assignments: Option<Vec<PartitionAssignment>>,
    }

    struct PartitionAssignment {
        broker_ids: Vec<i32>,
    }

    struct CreatePartitionsResponse {
        throttle_time_ms: i32,
        topics: Vec<GrownTopicResult>,
    }

    struct GrownTopicResult {
        name: String,
        error: ErrorCode,
        error_message: Option<String>,
    }

    struct DeleteRecordsRequest {
        topics: Vec<DeleteRecordsTopic>,
        timeout_ms: i32,
    }

    struct DeleteRecordsTopic {
        name: String,
        partitions: Vec<DeleteRecordsPartition>,
    }

    struct DeleteRecordsPartition {
        index: i32,
        offset: i64,
    }

    struct DeleteRecordsResponse {
        throttle_time_ms: i32,
        topics: Vec<DeletedRecordsTopic>,
    }

    struct DeletedRecordsTopic {
        name: String,
        partitions: Vec<DeletedRecords>,
    }

    struct DeletedRecords {
        index: i32,
        low_watermark: i64 = -1,
        error: ErrorCode,
    }
}
