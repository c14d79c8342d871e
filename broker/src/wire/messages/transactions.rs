//! Producer ids and transactions.

use crate::wire::messages::groups::PartitionErrors;
use crate::wire::{ErrorCode, wire};

wire! {
    struct InitProducerIdRequest {
        transactional_id: Option<String>,
        transaction_timeout_ms: i32,
        producer_id: i64 [3..] = -1,
        producer_epoch: i16 [3..] = -1,
    }

    struct InitProducerIdResponse {
        throttle_time_ms: i32,
        error: ErrorCode,
        producer_id: i64 = -1,
        producer_epoch: i16 = -1,
    }

    struct AddPartitionsToTxnRequest {
        transactional_id: String,
        producer_id: i64,
        producer_epoch: i16,
        topics: Vec<TransactionTopic>,
    }

    struct TransactionTopic {
        name: String,
        partitions: Vec<i32>,
    }

    struct AddPartitionsToTxnResponse {
        throttle_time_ms: i32,
        topics: Vec<PartitionErrors>,
    }

    struct AddOffsetsToTxnRequest {
        transactional_id: String,
        producer_id: i64,
        producer_epoch: i16,
        group_id: String,
    }

    struct AddOffsetsToTxnResponse {
        throttle_time_ms: i32,
        error: ErrorCode,
    }

    struct TxnOffsetCommitRequest {
        transactional_id: String,
        group_id: String,
        producer_id: i64,
        producer_epoch: i16,
        generation_id: i32 [3..] = -1,
        member_id: String [3..],
        group_instance_id: Option<String> [3..],
        topics: Vec<TxnOffsetCommitTopic>,
    }

    struct TxnOffsetCommitTopic {
        name: String,
        partitions: Vec<TxnOffsetCommitPartition>,
    }

    struct TxnOffsetCommitPartition {
        index: i32,
        offset: i64,
        leader_epoch: i32 [2..] = -1,
        metadata: Option<String>,
    }

    struct TxnOffsetCommitResponse {
        throttle_time_ms: i32,
        topics: Vec<PartitionErrors>,
    }

    struct EndTxnRequest {
        transactional_id: String,
        producer_id: i64,
        producer_epoch: i16,
        committed: bool,
    }

    struct EndTxnResponse {
        throttle_time_ms: i32,
        error: ErrorCode,
    }

    struct ListTransactionsRequest {
        states: Vec<String>,
        producer_ids: Vec<i64>,
        duration_ms: i64 [1..] = -1,
    }

    struct ListTransactionsResponse {
        throttle_time_ms: i32,
        error: ErrorCode,
        unknown_states: Vec<String>,
        transactions: Vec<ListedTransaction>,
    }

    struct ListedTransaction {
        transactional_id: String,
        producer_id: i64,
        state: String,
    }

    struct DescribeTransactionsRequest {
        transactional_ids: Vec<String>,
    }

    struct DescribeTransactionsResponse {
        throttle_time_ms: i32,
        transactions: Vec<DescribedTransaction>,
    }

    struct DescribedTransaction {
        error: ErrorCode,
        transactional_id: String,
        state: String,
        timeout_ms: i32,
        start_time_ms: i64,
        producer_id: i64,
        producer_epoch: i16,
        topics: Vec<TransactionTopic>,
    }

    struct DescribeProducersRequest {
        topics: Vec<TransactionTopic>,
    }

    struct DescribeProducersResponse {
        throttle_time_ms: i32,
        topics: Vec<DescribedProducersTopic>,
    }

    struct DescribedProducersTopic {
        name: String,
        partitions: Vec<DescribedProducers>,
    }

    struct DescribedProducers {
        index: i32,
        error: ErrorCode,
        error_message: Option<String>,
        producers: Vec<ActiveProducer>,
    }

    struct ActiveProducer {
        producer_id: i64,
        producer_epoch: i32,
        last_sequence: i32,
        last_timestamp: i64,
        coordinator_epoch: i32,
        current_txn_start_offset: i64,
    }
}
