//! Where a log begins and ends, and where a time is.

use crate::log::{Log, TimedOffset};
use crate::node::Node;
use crate::wire::ErrorCode;
use crate::wire::messages::*;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
/// What is on the broker itself, and not in a remote store: here that is everything.
const EARLIEST_LOCAL: i64 = -4;

const READ_COMMITTED: i8 = 1;

/// There was only ever one leader.
const LEADER_EPOCH: i32 = 0;

pub(super) fn list(node: &Node, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let is_committed = request.isolation_level == READ_COMMITTED;
    let listed = |topic: &str, partition: &ListOffsetsPartition| {
        let found = check_epoch(partition.current_leader_epoch).and_then(|()| node.topics.log(topic, partition.index));
        match found.map(|log| find(log, partition.timestamp, is_committed)) {
            Ok(Some(found)) => {
                ListedOffset { index: partition.index, timestamp: found.timestamp, offset: found.offset, leader_epoch: LEADER_EPOCH, ..ListedOffset::default() }
            }
            Ok(None) => ListedOffset { index: partition.index, ..ListedOffset::default() },
            Err(error) => ListedOffset { index: partition.index, error, ..ListedOffset::default() },
        }
    };
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| listed(&topic.name, partition)).collect();
        ListedOffsetsTopic { name: topic.name, partitions }
    });
    ListOffsetsResponse { topics: topics.collect(), ..ListOffsetsResponse::default() }
}

pub(super) fn of_leader_epoch(node: &Node, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let ended = |topic: &str, partition: &OffsetForLeaderPartition| {
        let log = check_epoch(partition.current_leader_epoch).and_then(|()| node.topics.log(topic, partition.index));
        match log {
            Ok(log) if partition.leader_epoch == LEADER_EPOCH => {
                EpochEnd { index: partition.index, leader_epoch: LEADER_EPOCH, end_offset: log.end(), ..EpochEnd::default() }
            }
            Ok(_) => EpochEnd { index: partition.index, ..EpochEnd::default() },
            Err(error) => EpochEnd { index: partition.index, error, ..EpochEnd::default() },
        }
    };
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| ended(&topic.name, partition)).collect();
        EpochEndTopic { name: topic.name, partitions }
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..OffsetForLeaderEpochResponse::default() }
}

fn find(log: &Log, timestamp: i64, is_committed: bool) -> Option<TimedOffset> {
    let end = if is_committed { log.last_stable_offset() } else { log.end() };
    match timestamp {
        LATEST => Some(TimedOffset { offset: end, timestamp: -1 }),
        EARLIEST | EARLIEST_LOCAL => Some(TimedOffset { offset: log.start(), timestamp: -1 }),
        MAX_TIMESTAMP => log.latest_timestamp(),
        time => log.offset_at(time).filter(|found| found.offset < end),
    }
}

fn check_epoch(current: i32) -> Result<(), ErrorCode> {
    if current > LEADER_EPOCH { Err(ErrorCode::UnknownLeaderEpoch) } else { Ok(()) }
}
