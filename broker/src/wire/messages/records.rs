//! Produce, Fetch, and where offsets are.

use bytes::Bytes;

use crate::wire::{ErrorCode, Records, wire};

wire! {
    struct ProduceRequest {
        transactional_id: Option<String>,
        acks: i16,
        timeout_ms: i32,
        topics: Vec<ProduceTopic>,
    }

    struct ProduceTopic {
        name: String,
        partitions: Vec<ProducePartition>,
    }

    struct ProducePartition {
        index: i32,
        records: Option<Bytes>,
    }

    struct ProduceResponse {
        topics: Vec<ProducedTopic>,
        throttle_time_ms: i32,
    }

    struct ProducedTopic {
        name: String,
        partitions: Vec<ProducedPartition>,
    }

    struct ProducedPartition {
        index: i32,
        error: ErrorCode,
        base_offset: i64 = -1,
        log_append_time_ms: i64 = -1,
        log_start_offset: i64 [5..] = -1,
        record_errors: Vec<RecordError> [8..],
        error_message: Option<String> [8..],
    }

    struct RecordError {
        index: i32,
        message: Option<String>,
    }

    struct FetchRequest {
        replica_id: i32 = -1,
        max_wait_ms: i32,
        min_bytes: i32,
        max_bytes: i32,
        isolation_level: i8,
        session_id: i32 [7..],
        session_epoch: i32 [7..] = -1,
        topics: Vec<FetchTopic>,
        forgotten_topics: Vec<ForgottenTopic> [7..],
        rack_id: String [11..],
    }

    struct FetchTopic {
        name: String,
        partitions: Vec<FetchPartition>,
    }

    struct FetchPartition {
        index: i32,
        current_leader_epoch: i32 [9..] = -1,
        fetch_offset: i64,
        last_fetched_epoch: i32 [12..] = -1,
        log_start_offset: i64 [5..] = -1,
        max_bytes: i32,
    }

    struct ForgottenTopic {
        name: String,
        partitions: Vec<i32>,
    }

    struct FetchResponse {
        throttle_time_ms: i32,
        error: ErrorCode [7..],
        session_id: i32 [7..],
        topics: Vec<FetchedTopic>,
    }

    struct FetchedTopic {
        name: String,
        partitions: Vec<FetchedPartition>,
    }

    struct FetchedPartition {
        index: i32,
        error: ErrorCode,
        high_watermark: i64 = -1,
        last_stable_offset: i64 = -1,
        log_start_offset: i64 [5..] = -1,
        aborted_transactions: Option<Vec<AbortedTransaction>>,
        preferred_read_replica: i32 [11..] = -1,
        records: Records,
    }

    struct AbortedTransaction {
        producer_id: i64,
        first_offset: i64,
    }

    struct ListOffsetsRequest {
        replica_id: i32 = -1,
        isolation_level: i8 [2..],
        topics: Vec<ListOffsetsTopic>,
    }

    struct ListOffsetsTopic {
        name: String,
        partitions: Vec<ListOffsetsPartition>,
    }

    struct ListOffsetsPartition {
        index: i32,
        current_leader_epoch: i32 [4..] = -1,
        timestamp: i64,
    }

    struct ListOffsetsResponse {
        throttle_time_ms: i32 [2..],
        topics: Vec<ListedOffsetsTopic>,
    }

    struct ListedOffsetsTopic {
        name: String,
        partitions: Vec<ListedOffset>,
    }

    struct ListedOffset {
        index: i32,
        error: ErrorCode,
        timestamp: i64 = -1,
        offset: i64 = -1,
        leader_epoch: i32 [4..] = -1,
    }

    struct OffsetForLeaderEpochRequest {
        replica_id: i32 [3..] = -2,
        topics: Vec<OffsetForLeaderTopic>,
    }

    struct OffsetForLeaderTopic {
        name: String,
        partitions: Vec<OffsetForLeaderPartition>,
    }

    struct OffsetForLeaderPartition {
        index: i32,
        current_leader_epoch: i32 = -1,
        leader_epoch: i32,
    }

    struct OffsetForLeaderEpochResponse {
        throttle_time_ms: i32,
        topics: Vec<EpochEndTopic>,
    }

    struct EpochEndTopic {
        name: String,
        partitions: Vec<EpochEnd>,
    }

    struct EpochEnd {
        error: ErrorCode,
        index: i32,
        leader_epoch: i32 = -1,
        end_offset: i64 = -1,
    }
}
