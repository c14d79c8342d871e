//! What this broker can be asked, and in which versions.
//!
//! The oldest versions are those of Apache Kafka 4; the newest stop before topic ids, share groups and the second transaction protocol. Group management is the
//! classic protocol. A client that wants the new one (`group.protocol=consumer`) is told that it is not spoken, and fails at once: if `ConsumerGroupHeartbeat` were not
//! in the list, librdkafka would look for another coordinator for ever, and deliver nothing.

use std::ops::RangeInclusive;

use super::Wire;
use super::messages::*;

/// A message that asks for another.
pub(crate) trait Request: Wire {
    type Response: Wire;
}

/// No version has compact lengths and tags.
const NEVER: i16 = i16::MAX;

macro_rules! apis {
    ($($key:literal $name:ident $versions:expr, flexible from $flexible:expr, $request:ident => $response:ident;)*) => {
        /// A kind of request.
        #[expect(clippy::enum_variant_names, reason = "`ApiVersions` is the protocol's name")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Api { $($name),* }

        impl Api {
            pub(crate) const ALL: &[Api] = &[$(Api::$name),*];

            pub(crate) fn from_key(key: i16) -> Option<Self> {
                match key {
                    $($key => Some(Self::$name),)*
                    _ => None,
                }
            }

            pub(crate) fn key(self) -> i16 {
                match self { $(Self::$name => $key),* }
            }

            pub(crate) fn versions(self) -> RangeInclusive<i16> {
                match self { $(Self::$name => $versions),* }
            }

            /// Whether messages of this version have compact lengths and tags.
            pub(crate) fn is_flexible(self, version: i16) -> bool {
                version >= match self { $(Self::$name => $flexible),* }
            }
        }

        $(impl Request for $request {
            type Response = $response;
        })*

        /// Calls something with each kind of request.
        #[cfg(test)]
        pub(crate) fn for_each(visit: &mut impl crate::wire::tests::Visit) {
            $(visit.visit::<$request>(Api::$name);)*
        }
    };
}

apis! {
    0 Produce 3..=11, flexible from 9, ProduceRequest => ProduceResponse;
    1 Fetch 4..=12, flexible from 12, FetchRequest => FetchResponse;
    2 ListOffsets 1..=8, flexible from 6, ListOffsetsRequest => ListOffsetsResponse;
    3 Metadata 0..=12, flexible from 9, MetadataRequest => MetadataResponse;
    8 OffsetCommit 2..=9, flexible from 8, OffsetCommitRequest => OffsetCommitResponse;
    9 OffsetFetch 1..=8, flexible from 6, OffsetFetchRequest => OffsetFetchResponse;
    10 FindCoordinator 0..=4, flexible from 3, FindCoordinatorRequest => FindCoordinatorResponse;
    11 JoinGroup 0..=9, flexible from 6, JoinGroupRequest => JoinGroupResponse;
    12 Heartbeat 0..=4, flexible from 4, HeartbeatRequest => HeartbeatResponse;
    13 LeaveGroup 0..=5, flexible from 4, LeaveGroupRequest => LeaveGroupResponse;
    14 SyncGroup 0..=5, flexible from 4, SyncGroupRequest => SyncGroupResponse;
    15 DescribeGroups 0..=5, flexible from 5, DescribeGroupsRequest => DescribeGroupsResponse;
    16 ListGroups 0..=5, flexible from 3, ListGroupsRequest => ListGroupsResponse;
    18 ApiVersions 0..=3, flexible from 3, ApiVersionsRequest => ApiVersionsResponse;
    19 CreateTopics 2..=7, flexible from 5, CreateTopicsRequest => CreateTopicsResponse;
    20 DeleteTopics 1..=6, flexible from 4, DeleteTopicsRequest => DeleteTopicsResponse;
    21 DeleteRecords 0..=2, flexible from 2, DeleteRecordsRequest => DeleteRecordsResponse;
    22 InitProducerId 0..=4, flexible from 2, InitProducerIdRequest => InitProducerIdResponse;
    23 OffsetForLeaderEpoch 2..=4, flexible from 4, OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse;
    24 AddPartitionsToTxn 0..=3, flexible from 3, AddPartitionsToTxnRequest => AddPartitionsToTxnResponse;
    25 AddOffsetsToTxn 0..=3, flexible from 3, AddOffsetsToTxnRequest => AddOffsetsToTxnResponse;
    26 EndTxn 0..=3, flexible from 3, EndTxnRequest => EndTxnResponse;
    28 TxnOffsetCommit 0..=3, flexible from 3, TxnOffsetCommitRequest => TxnOffsetCommitResponse;
    32 DescribeConfigs 1..=4, flexible from 4, DescribeConfigsRequest => DescribeConfigsResponse;
    33 AlterConfigs 0..=2, flexible from 2, AlterConfigsRequest => AlterConfigsResponse;
    37 CreatePartitions 0..=3, flexible from 2, CreatePartitionsRequest => CreatePartitionsResponse;
    42 DeleteGroups 0..=2, flexible from 2, DeleteGroupsRequest => DeleteGroupsResponse;
    44 IncrementalAlterConfigs 0..=1, flexible from 1, IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse;
    47 OffsetDelete 0..=0, flexible from NEVER, OffsetDeleteRequest => OffsetDeleteResponse;
    60 DescribeCluster 0..=1, flexible from 0, DescribeClusterRequest => DescribeClusterResponse;
    61 DescribeProducers 0..=0, flexible from 0, DescribeProducersRequest => DescribeProducersResponse;
    65 DescribeTransactions 0..=0, flexible from 0, DescribeTransactionsRequest => DescribeTransactionsResponse;
    66 ListTransactions 0..=1, flexible from 0, ListTransactionsRequest => ListTransactionsResponse;
    68 ConsumerGroupHeartbeat 0..=1, flexible from 0, ConsumerGroupHeartbeatRequest => ConsumerGroupHeartbeatResponse;
}
