//! What groups have read: committed, fetched, deleted.

use std::collections::BTreeMap;

use super::distinct;
use crate::clock::Now;
use crate::group::offsets::CommittedOffset;
use crate::group::{Claim, Group};
use crate::node::Node;
use crate::topic::TopicPartition;
use crate::wire::ErrorCode;
use crate::wire::messages::*;

/// The first version that asks for several groups at a time.
const MANY_GROUPS_SINCE: i16 = 8;

pub(super) fn commit(node: &mut Node, request: OffsetCommitRequest, now: Now) -> OffsetCommitResponse {
    let claim = Claim { member_id: &request.member_id, instance_id: request.group_instance_id.as_deref(), generation: request.generation_id };
    let allowed = may_commit(node, &request.group_id, claim, false).and_then(|()| has_room(node, request.topics.iter().map(|topic| topic.partitions.len())));
    if let Some(group) = node.groups.get_mut(&request.group_id).filter(|_| allowed.is_ok()) {
        group.seen(&request.member_id, now.at);
    }
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            let offset = CommittedOffset::new(partition.offset, partition.leader_epoch, partition.metadata);
            let place = TopicPartition { topic: topic.name.clone(), partition: partition.index };
            let outcome = allowed.and_then(|()| commit_one(node, &request.group_id, place, offset?));
            PartitionError { index: partition.index, error: ErrorCode::of(&outcome) }
        });
        PartitionErrors { partitions: partitions.collect(), name: topic.name.clone() }
    });
    let topics = topics.collect();
    node.forget_unused_groups();
    OffsetCommitResponse { topics, ..OffsetCommitResponse::default() }
}

pub(super) fn fetch(node: &Node, request: OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
    if version < MANY_GROUPS_SINCE {
        let topics = fetch_group(node, &request.group_id, request.topics, request.require_stable);
        return OffsetFetchResponse { topics, ..OffsetFetchResponse::default() };
    }
    let groups = distinct(request.groups, |group| group.group_id.clone()).map(|group| FetchedGroupOffsets {
        topics: fetch_group(node, &group.group_id, group.topics, request.require_stable),
        group_id: group.group_id,
        ..FetchedGroupOffsets::default()
    });
    OffsetFetchResponse { groups: groups.collect(), ..OffsetFetchResponse::default() }
}

pub(super) fn delete(node: &mut Node, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let Some(group) = node.groups.get_mut(&request.group_id) else {
        return OffsetDeleteResponse { error: ErrorCode::GroupIdNotFound, ..OffsetDeleteResponse::default() };
    };
    let topics = request.topics.into_iter().map(|topic| {
        let error = if group.reads(&topic.name) { ErrorCode::GroupSubscribedToTopic } else { ErrorCode::None };
        let partitions = topic.partitions.into_iter().map(|partition| {
            if error == ErrorCode::None {
                group.offsets.remove(&TopicPartition { topic: topic.name.clone(), partition: partition.index });
            }
            PartitionError { index: partition.index, error }
        });
        PartitionErrors { partitions: partitions.collect(), name: topic.name.clone() }
    });
    let topics = topics.collect();
    node.forget_unused_groups();
    OffsetDeleteResponse { topics, ..OffsetDeleteResponse::default() }
}

/// Whether the sender may commit for the group. A group that is not there is one without members.
pub(super) fn may_commit(node: &mut Node, group_id: &str, claim: Claim<'_>, is_transactional: bool) -> Result<(), ErrorCode> {
    match node.groups.get(group_id) {
        Some(group) => group.may_commit(claim, is_transactional),
        None if claim.generation < 0 => node.group_mut(group_id).map(|_| ()),
        None => Err(ErrorCode::IllegalGeneration),
    }
}

pub(super) fn has_room(node: &Node, counts: impl Iterator<Item = usize>) -> Result<(), ErrorCode> {
    if node.has_room_for_offsets(counts.sum()) { Ok(()) } else { Err(ErrorCode::PolicyViolation) }
}

fn commit_one(node: &mut Node, group_id: &str, place: TopicPartition, offset: CommittedOffset) -> Result<(), ErrorCode> {
    node.topics.log(&place.topic, place.partition)?;
    node.group_mut(group_id)?.offsets.insert(place, offset);
    Ok(())
}

fn fetch_group(node: &Node, group_id: &str, asked: Option<Vec<OffsetFetchTopic>>, require_stable: bool) -> Vec<FetchedOffsets> {
    let group = node.groups.get(group_id);
    let asked = asked.unwrap_or_else(|| group.map(all_topics).unwrap_or_default());
    let topics = distinct(asked, |topic| topic.name.clone()).map(|topic| {
        let partitions = distinct(topic.partitions, |index| *index).map(|index| {
            let place = TopicPartition { topic: topic.name.clone(), partition: index };
            if require_stable && node.transactions.is_pending(group_id, &place) {
                return FetchedOffset { index, error: ErrorCode::UnstableOffsetCommit, ..FetchedOffset::default() };
            }
            match group.and_then(|group| group.offsets.get(&place)) {
                Some(committed) => FetchedOffset {
                    index,
                    offset: committed.offset,
                    leader_epoch: committed.leader_epoch,
                    metadata: Some(committed.metadata().to_owned()),
                    ..FetchedOffset::default()
                },
                None => FetchedOffset { index, ..FetchedOffset::default() },
            }
        });
        FetchedOffsets { partitions: partitions.collect(), name: topic.name.clone() }
    });
    topics.collect()
}

/// Every partition that the group has an offset of.
fn all_topics(group: &Group) -> Vec<OffsetFetchTopic> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for place in group.offsets.keys() {
        topics.entry(&place.topic).or_default().push(place.partition);
    }
    topics.into_iter().map(|(name, partitions)| OffsetFetchTopic { name: name.to_owned(), partitions }).collect()
}
