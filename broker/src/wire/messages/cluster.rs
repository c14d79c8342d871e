//! Who is there and what it can do: versions, metadata, coordinators, configs.

use uuid::Uuid;

use crate::wire::{ErrorCode, wire};

wire! {
    struct ApiVersionsRequest {
        client_software_name: String [3..],
        client_software_version: String [3..],
    }

    struct ApiVersionsResponse {
        error: ErrorCode,
        apis: Vec<ApiVersion>,
        throttle_time_ms: i32 [1..],
    }

    struct ApiVersion {
        key: i16,
        min_version: i16,
        max_version: i16,
    }

    struct MetadataRequest {
        topics: Option<Vec<MetadataTopic>>,
        allow_auto_topic_creation: bool [4..] = true,
        include_cluster_authorized_operations: bool [8..=10],
        include_topic_authorized_operations: bool [8..],
    }

    struct MetadataTopic {
        id: Uuid [10..],
        name: Option<String>,
    }

    struct MetadataResponse {
        throttle_time_ms: i32 [3..],
        brokers: Vec<MetadataBroker>,
        cluster_id: Option<String> [2..],
        controller_id: i32 [1..] = -1,
        topics: Vec<TopicMetadata>,
        cluster_authorized_operations: i32 [8..=10] = i32::MIN,
    }

    struct MetadataBroker {
        node_id: i32,
        host: String,
        port: i32,
        rack: Option<String> [1..],
    }

    struct TopicMetadata {
        error: ErrorCode,
        name: Option<String>,
        id: Uuid [10..],
        is_internal: bool [1..],
        partitions: Vec<PartitionMetadata>,
        authorized_operations: i32 [8..] = i32::MIN,
    }

    struct PartitionMetadata {
        error: ErrorCode,
        index: i32,
        leader_id: i32,
        leader_epoch: i32 [7..] = -1,
        replica_nodes: Vec<i32>,
        isr_nodes: Vec<i32>,
        offline_replicas: Vec<i32> [5..],
    }

    struct FindCoordinatorRequest {
        key: String [..=3],
        key_type: i8 [1..],
        keys: Vec<String> [4..],
    }

    struct FindCoordinatorResponse {
        throttle_time_ms: i32 [1..],
        error: ErrorCode [..=3],
        error_message: Option<String> [1..=3],
        node_id: i32 [..=3] = -1,
        host: String [..=3],
        port: i32 [..=3] = -1,
        coordinators: Vec<Coordinator> [4..],
    }

    struct Coordinator {
        key: String,
        node_id: i32 = -1,
        host: String,
        port: i32 = -1,
        error: ErrorCode,
        error_message: Option<String>,
    }

    struct DescribeClusterRequest {
        include_authorized_operations: bool,
        endpoint_type: i8 [1..] = 1,
    }

    struct DescribeClusterResponse {
        throttle_time_ms: i32,
        error: ErrorCode,
        error_message: Option<String>,
        endpoint_type: i8 [1..] = 1,
        cluster_id: String,
        controller_id: i32 = -1,
        brokers: Vec<ClusterBroker>,
        authorized_operations: i32 = i32::MIN,
    }

    struct ClusterBroker {
        node_id: i32,
        host: String,
        port: i32,
        rack: Option<String>,
    }

    struct DescribeConfigsRequest {
        resources: Vec<ConfigResource>,
        include_synonyms: bool,
        include_documentation: bool [3..],
    }

    struct ConfigResource {
        kind: i8,
        name: String,
        keys: Option<Vec<String>>,
    }

    struct DescribeConfigsResponse {
        throttle_time_ms: i32,
        results: Vec<DescribedConfigs>,
    }

    struct DescribedConfigs {
        error: ErrorCode,
        error_message: Option<String>,
        kind: i8,
        name: String,
        configs: Vec<DescribedConfig>,
    }

    struct DescribedConfig {
        name: String,
        value: Option<String>,
        read_only: bool,
        source: i8 = -1,
        is_sensitive: bool,
        synonyms: Vec<ConfigSynonym>,
        value_type: i8 [3..],
        documentation: Option<String> [3..],
    }

    struct ConfigSynonym {
        name: String,
        value: Option<String>,
        source: i8,
    }

    struct AlterConfigsRequest {
        resources: Vec<AlteredResource>,
        validate_only: bool,
    }

    struct AlteredResource {
        kind: i8,
        name: String,
        configs: Vec<NamedValue>,
    }

    struct NamedValue {
        name: String,
        value: Option<String>,
    }

    struct AlterConfigsResponse {
        throttle_time_ms: i32,
        results: Vec<AlterConfigsResult>,
    }

    struct AlterConfigsResult {
        error: ErrorCode,
        error_message: Option<String>,
        kind: i8,
        name: String,
    }

    struct IncrementalAlterConfigsRequest {
        resources: Vec<IncrementallyAlteredResource>,
        validate_only: bool,
    }

    struct IncrementallyAlteredResource {
        kind: i8,
        name: String,
        changes: Vec<ConfigChange>,
    }

    struct ConfigChange {
        name: String,
        operation: i8,
        value: Option<String>,
    }

    struct IncrementalAlterConfigsResponse {
        throttle_time_ms: i32,
        results: Vec<AlterConfigsResult>,
    }
}
