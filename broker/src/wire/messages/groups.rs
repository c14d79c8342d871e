//! Groups, their members and their offsets.

use bytes::Bytes;
use uuid::Uuid;

use crate::wire::{ErrorCode, Null, wire};

wire! {
    struct JoinGroupRequest {
        group_id: String,
        session_timeout_ms: i32,
        rebalance_timeout_ms: i32 [1..] = -1,
        member_id: String,
        group_instance_id: Option<String> [5..],
        protocol_type: String,
        protocols: Vec<JoinProtocol>,
        reason: Option<String> [8..],
    }

    struct JoinProtocol {
        name: String,
        metadata: Bytes,
    }

    struct JoinGroupResponse {
        throttle_time_ms: i32 [2..],
        error: ErrorCode,
        generation_id: i32 = -1,
        protocol_type: Option<String> [7..],
        protocol_name: Option<String> = Some(String::new()),
        leader: String,
        skip_assignment: bool [9..],
        member_id: String,
        members: Vec<JoinedMember>,
    }

    struct JoinedMember {
        member_id: String,
        group_instance_id: Option<String> [5..],
        metadata: Bytes,
    }

    struct SyncGroupRequest {
        group_id: String,
        generation_id: i32,
        member_id: String,
        group_instance_id: Option<String> [3..],
        protocol_type: Option<String> [5..],
        protocol_name: Option<String> [5..],
        assignments: Vec<SyncAssignment>,
    }

    struct SyncAssignment {
        member_id: String,
        assignment: Bytes,
    }

    struct SyncGroupResponse {
        throttle_time_ms: i32 [1..],
        error: ErrorCode,
        protocol_type: Option<String> [5..],
        protocol_name: Option<String> [5..],
        assignment: Bytes,
    }

    struct HeartbeatRequest {
        group_id: String,
        generation_id: i32,
        member_id: String,
        group_instance_id: Option<String> [3..],
    }

    struct HeartbeatResponse {
        throttle_time_ms: i32 [1..],
        error: ErrorCode,
    }

    struct LeaveGroupRequest {
        group_id: String,
        member_id: String [..=2],
        members: Vec<LeavingMember> [3..],
    }

    struct LeavingMember {
        member_id: String,
        group_instance_id: Option<String>,
        reason: Option<String> [5..],
    }

    struct LeaveGroupResponse {
        throttle_time_ms: i32 [1..],
        error: ErrorCode,
        members: Vec<LeftMember> [3..],
    }

    struct LeftMember {
        member_id: String,
        group_instance_id: Option<String>,
        error: ErrorCode,
    }

    struct DescribeGroupsRequest {
        groups: Vec<String>,
        include_authorized_operations: bool [3..],
    }

    struct DescribeGroupsResponse {
        throttle_time_ms: i32 [1..],
        groups: Vec<DescribedGroup>,
    }

    struct DescribedGroup {
        error: ErrorCode,
        group_id: String,
        state: String,
        protocol_type: String,
        protocol: String,
        members: Vec<DescribedMember>,
        authorized_operations: i32 [3..] = i32::MIN,
    }

    struct DescribedMember {
        member_id: String,
        group_instance_id: Option<String> [4..],
        client_id: String,
        client_host: String,
        metadata: Bytes,
        assignment: Bytes,
    }

    struct ListGroupsRequest {
        states: Vec<String> [4..],
        types: Vec<String> [5..],
    }

    struct ListGroupsResponse {
        throttle_time_ms: i32 [1..],
        error: ErrorCode,
        groups: Vec<ListedGroup>,
    }

    struct ListedGroup {
        group_id: String,
        protocol_type: String,
        state: String [4..],
        kind: String [5..],
    }

    struct DeleteGroupsRequest {
        groups: Vec<String>,
    }

    struct DeleteGroupsResponse {
        throttle_time_ms: i32,
        results: Vec<DeletedGroup>,
    }

    struct DeletedGroup {
        group_id: String,
        error: ErrorCode,
    }

    struct OffsetCommitRequest {
        group_id: String,
        generation_id: i32 = -1,
        member_id: String,
        group_instance_id: Option<String> [7..],
        retention_time_ms: i64 [..=4] = -1,
        topics: Vec<OffsetCommitTopic>,
    }

    struct OffsetCommitTopic {
        name: String,
        partitions: Vec<OffsetCommitPartition>,
    }

    struct OffsetCommitPartition {
        index: i32,
        offset: i64,
        leader_epoch: i32 [6..] = -1,
        metadata: Option<String>,
    }

    struct OffsetCommitResponse {
        throttle_time_ms: i32 [3..],
        topics: Vec<PartitionErrors>,
    }

    struct PartitionErrors {
        name: String,
        partitions: Vec<PartitionError>,
    }

    struct PartitionError {
        index: i32,
        error: ErrorCode,
    }

    struct OffsetFetchRequest {
        group_id: String [..=7],
        topics: Option<Vec<OffsetFetchTopic>> [..=7],
        groups: Vec<OffsetFetchGroup> [8..],
        require_stable: bool [7..],
    }

    struct OffsetFetchGroup {
        group_id: String,
        topics: Option<Vec<OffsetFetchTopic>>,
    }

    struct OffsetFetchTopic {
        name: String,
        partitions: Vec<i32>,
    }

    struct OffsetFetchResponse {
        throttle_time_ms: i32 [3..],
        topics: Vec<FetchedOffsets> [..=7],
        error: ErrorCode [2..=7],
        groups: Vec<FetchedGroupOffsets> [8..],
    }

    struct FetchedGroupOffsets {
        group_id: String,
        topics: Vec<FetchedOffsets>,
        error: ErrorCode,
    }

    struct FetchedOffsets {
        name: String,
        partitions: Vec<FetchedOffset>,
    }

    struct FetchedOffset {
        index: i32,
        offset: i64 = -1,
        leader_epoch: i32 [5..] = -1,
        metadata: Option<String> = Some(String::new()),
        error: ErrorCode,
    }

    struct OffsetDeleteRequest {
        group_id: String,
        topics: Vec<OffsetDeleteTopic>,
    }

    struct OffsetDeleteTopic {
        name: String,
        partitions: Vec<OffsetDeletePartition>,
    }

    struct OffsetDeletePartition {
        index: i32,
    }

    struct OffsetDeleteResponse {
        error: ErrorCode,
        throttle_time_ms: i32,
        topics: Vec<PartitionErrors>,
    }

    struct ConsumerGroupHeartbeatRequest {
        group_id: String,
        member_id: String,
        member_epoch: i32,
        instance_id: Option<String>,
        rack_id: Option<String>,
        rebalance_timeout_ms: i32 = -1,
        subscribed_topics: Option<Vec<String>>,
        subscribed_pattern: Option<String> [1..],
        server_assignor: Option<String>,
        owned: Option<Vec<OwnedPartitions>>,
    }

    struct OwnedPartitions {
        topic_id: Uuid,
        partitions: Vec<i32>,
    }

    struct ConsumerGroupHeartbeatResponse {
        throttle_time_ms: i32,
        error: ErrorCode,
        error_message: Option<String>,
        member_id: Option<String>,
        member_epoch: i32,
        heartbeat_interval_ms: i32,
        assignment: Null,
    }
}
