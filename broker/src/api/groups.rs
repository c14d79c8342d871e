//! Groups: joining, syncing, staying, leaving; and what an administrator sees and does.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::distinct;
use crate::clock::Now;
use crate::config::Config;
use crate::group::{Claim, Client, Group, Join, Member};
use crate::node::Node;
use crate::wire::ErrorCode;
use crate::wire::messages::*;

/// The first version whose clients come again with the id that they are given.
const KNOWN_ID_SINCE: i16 = 4;
/// The first version in which a leader can be told that there is nothing to assign.
const SKIP_SINCE: i16 = 9;
/// The first version that lets several members leave at a time.
const MANY_LEAVE_SINCE: i16 = 3;

/// Apache Kafka's default.
const MAX_SESSION_TIMEOUT: Duration = Duration::from_secs(30 * 60);

pub(super) fn join(node: &mut Node, request: JoinGroupRequest, version: i16, client: &Client, now: Now) -> oneshot::Receiver<JoinGroupResponse> {
    let (reply, receiver) = oneshot::channel();
    let (group_id, member_id) = (request.group_id.clone(), request.member_id.clone());
    match checked(node, request, version, client).and_then(|join| Ok((node.group_mut(&group_id)?, join))) {
        Ok((group, join)) => group.join(join, reply, now.at),
        // The receiver is right here: it can't have gone.
        Err(error) => drop(reply.send(JoinGroupResponse { error, member_id, ..JoinGroupResponse::default() })),
    }
    receiver
}

pub(super) fn sync(node: &mut Node, request: SyncGroupRequest, now: Now) -> oneshot::Receiver<SyncGroupResponse> {
    let (reply, receiver) = oneshot::channel();
    let claim = Claim { member_id: &request.member_id, instance_id: request.group_instance_id.as_deref(), generation: request.generation_id };
    let protocol = (request.protocol_type.as_deref(), request.protocol_name.as_deref());
    // The request must not stay in memory for a few bytes of it.
    let assignments = request.assignments.iter().map(|assigned| (assigned.member_id.clone(), Bytes::copy_from_slice(&assigned.assignment)));
    let error = match node.groups.get_mut(&request.group_id) {
        None => ErrorCode::UnknownMemberId,
        Some(_) if request.assignments.iter().any(|assigned| assigned.assignment.len() > Config::MAX_MEMBER_BYTES) => ErrorCode::PolicyViolation,
        Some(group) => {
            group.sync(claim, protocol, assignments.collect(), reply, now.at);
            return receiver;
        }
    };
    drop(reply.send(SyncGroupResponse { error, ..SyncGroupResponse::default() }));
    receiver
}

pub(super) fn heartbeat(node: &mut Node, request: HeartbeatRequest, now: Now) -> HeartbeatResponse {
    let claim = Claim { member_id: &request.member_id, instance_id: request.group_instance_id.as_deref(), generation: request.generation_id };
    let outcome = node.groups.get_mut(&request.group_id).map_or(Err(ErrorCode::UnknownMemberId), |group| group.heartbeat(claim, now.at));
    HeartbeatResponse { error: ErrorCode::of(&outcome), ..HeartbeatResponse::default() }
}

pub(super) fn leave(node: &mut Node, request: LeaveGroupRequest, version: i16, now: Now) -> LeaveGroupResponse {
    let mut leave_one = |member_id: &str, instance: Option<&str>| {
        let group = node.groups.get_mut(&request.group_id).ok_or(ErrorCode::UnknownMemberId);
        ErrorCode::of(&group.and_then(|group| group.leave(member_id, instance, now.at)))
    };
    if version < MANY_LEAVE_SINCE {
        let error = leave_one(&request.member_id, None);
        return LeaveGroupResponse { error, ..LeaveGroupResponse::default() };
    }
    let members = request.members.into_iter().map(|member| LeftMember {
        error: leave_one(&member.member_id, member.group_instance_id.as_deref()),
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
    });
    LeaveGroupResponse { members: members.collect(), ..LeaveGroupResponse::default() }
}

/// What Apache Kafka answers when it is configured for the classic protocol alone.
pub(super) fn no_new_protocol() -> ConsumerGroupHeartbeatResponse {
    let why = "groups speak the classic protocol here: set group.protocol=classic";
    ConsumerGroupHeartbeatResponse { error: ErrorCode::UnsupportedVersion, error_message: Some(why.to_owned()), ..ConsumerGroupHeartbeatResponse::default() }
}

pub(super) fn list(node: &Node, request: ListGroupsRequest) -> ListGroupsResponse {
    const CLASSIC: &str = "classic";
    let has = |filter: &[String], name: &str| filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
    let groups = node.groups.iter().filter(|(_, group)| has(&request.states, group.state_name()) && has(&request.types, CLASSIC));
    let listed = groups.map(|(id, group)| ListedGroup {
        group_id: id.clone(),
        protocol_type: group.protocol_type().to_owned(),
        state: group.state_name().to_owned(),
        kind: CLASSIC.to_owned(),
    });
    ListGroupsResponse { groups: listed.collect(), ..ListGroupsResponse::default() }
}

pub(super) fn describe(node: &Node, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let groups = distinct(request.groups, String::clone).map(|id| match node.groups.get(&id) {
        Some(group) => described(id, group),
        None => DescribedGroup { group_id: id, state: "Dead".to_owned(), ..DescribedGroup::default() },
    });
    DescribeGroupsResponse { groups: groups.collect(), ..DescribeGroupsResponse::default() }
}

pub(super) fn delete(node: &mut Node, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let results = request.groups.into_iter().map(|group_id| {
        let error = match node.groups.get(&group_id) {
            None => ErrorCode::GroupIdNotFound,
            Some(group) if group.has_members() => ErrorCode::NonEmptyGroup,
            Some(_) => {
                node.groups.remove(&group_id);
                ErrorCode::None
            }
        };
        DeletedGroup { group_id, error }
    });
    DeleteGroupsResponse { results: results.collect(), ..DeleteGroupsResponse::default() }
}

/// What the request alone and the bounds of the broker say about a join.
fn checked(node: &mut Node, request: JoinGroupRequest, version: i16, client: &Client) -> Result<Join, ErrorCode> {
    let milliseconds = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let session_timeout = milliseconds(request.session_timeout_ms);
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    if !(node.config.min_session_timeout..=MAX_SESSION_TIMEOUT).contains(&session_timeout) {
        return Err(ErrorCode::InvalidSessionTimeout);
    }
    let said: usize = request.protocols.iter().map(|protocol| protocol.name.len() + protocol.metadata.len() + size_of::<JoinProtocol>()).sum();
    if said > Config::MAX_MEMBER_BYTES {
        return Err(ErrorCode::PolicyViolation);
    }
    if request.member_id.is_empty() && !node.has_room_for_a_member() {
        return Err(ErrorCode::GroupMaxSizeReached);
    }
    let rebalance_timeout = if request.rebalance_timeout_ms < 0 { session_timeout } else { milliseconds(request.rebalance_timeout_ms) };
    Ok(Join {
        fresh_id: node.fresh_member_id(request.group_instance_id.as_ref().unwrap_or(&client.id)),
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        protocol_type: request.protocol_type,
        protocols: request.protocols.into_iter().map(|protocol| (protocol.name, Bytes::copy_from_slice(&protocol.metadata))).collect(),
        session_timeout,
        rebalance_timeout,
        client: client.clone(),
        must_know_its_id: version >= KNOWN_ID_SINCE,
        can_skip_assignment: version >= SKIP_SINCE,
        initial_delay: node.config.initial_rebalance_delay,
    })
}

fn described(group_id: String, group: &Group) -> DescribedGroup {
    let member = |(id, member): (&str, &Member)| DescribedMember {
        member_id: id.to_owned(),
        group_instance_id: member.instance_id.clone(),
        client_id: member.client.id.clone(),
        client_host: format!("/{}", member.client.address.ip()),
        metadata: member.metadata(group.protocol()),
        assignment: member.assignment.clone(),
    };
    DescribedGroup {
        group_id,
        state: group.state_name().to_owned(),
        protocol_type: group.protocol_type().to_owned(),
        protocol: group.protocol().to_owned(),
        members: group.members().map(member).collect(),
        ..DescribedGroup::default()
    }
}
