//! What is asked, and which handler answers. One module for each family of requests; they read a request, ask or change the [`Node`](crate::node::Node), and write
//! the answer. Only joining, syncing and fetching wait for anything.

mod configs;
mod fetch;
mod group_offsets;
mod groups;
mod metadata;
mod offsets;
mod produce;
mod topics;
mod transactions;

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::clock::Now;
use crate::group::Client;
use crate::server::Shared;
use crate::wire::messages::*;
use crate::wire::{Api, ErrorCode, Frame, Malformed, Reader, Request, Wire as _, Writer};

/// A request whose header was read.
#[derive(Debug)]
struct Call {
    api: Api,
    version: i16,
    correlation: i32,
    body: Reader,
}

/// Answers a request; none: its client wants no answer.
pub(crate) async fn answer(shared: &Shared, client: &mut Client, request: Bytes) -> Result<Option<Frame>, Malformed> {
    let (call, client_id) = match Call::of(request)? {
        Ok(call) => call,
        Err(refusal) => return Ok(Some(refusal)),
    };
    if client.id != client_id {
        client.id = client_id;
    }
    let now = Now::read();
    match call.api {
        Api::Produce => return produce(shared, call, now),
        Api::Fetch => {
            let (call, request) = call.read::<FetchRequest>()?;
            let response = fetch::fetch(shared, request, now).await;
            Ok(call.frame::<FetchRequest>(&response))
        }
        Api::JoinGroup => {
            let (call, request) = call.read::<JoinGroupRequest>()?;
            let receiver = groups::join(&mut shared.node(), request, call.version, client, now);
            let gone = || JoinGroupResponse { error: ErrorCode::UnknownMemberId, ..JoinGroupResponse::default() };
            Ok(call.frame::<JoinGroupRequest>(&receiver.await.unwrap_or_else(|_| gone())))
        }
        Api::SyncGroup => {
            let (call, request) = call.read::<SyncGroupRequest>()?;
            let receiver = groups::sync(&mut shared.node(), request, now);
            let gone = || SyncGroupResponse { error: ErrorCode::RebalanceInProgress, ..SyncGroupResponse::default() };
            Ok(call.frame::<SyncGroupRequest>(&receiver.await.unwrap_or_else(|_| gone())))
        }
        Api::EndTxn => call.with(|request, version| {
            let response = transactions::end(&mut shared.node(), request, version, now);
            shared.changed();
            response
        }),
        Api::InitProducerId => call.with(|request, _| {
            let response = transactions::init_producer_id(&mut shared.node(), request, now);
            shared.changed();
            response
        }),
        _ => answer_at_once(shared, client, call, now),
    }
    .map(Some)
}

/// Requests that neither wait nor let others go on.
fn answer_at_once(shared: &Shared, client: &Client, call: Call, now: Now) -> Result<Frame, Malformed> {
    let mut node = shared.node();
    let node = &mut *node;
    match call.api {
        Api::ApiVersions => call.with(|_: ApiVersionsRequest, _| versions(ErrorCode::None)),
        Api::Metadata => call.with(|request, version| metadata::metadata(node, request, version, client)),
        Api::FindCoordinator => call.with(|request, version| metadata::find_coordinator(request, version, client)),
        Api::DescribeCluster => call.with(|_: DescribeClusterRequest, _| metadata::describe_cluster(node, client)),
        Api::ListOffsets => call.with(|request, _| offsets::list(node, request)),
        Api::OffsetForLeaderEpoch => call.with(|request, _| offsets::of_leader_epoch(node, request)),
        Api::CreateTopics => call.with(|request, version| topics::create(node, request, version)),
        Api::DeleteTopics => call.with(|request, version| topics::delete(node, request, version)),
        Api::CreatePartitions => call.with(|request, _| topics::grow(node, request)),
        Api::DeleteRecords => call.with(|request, _| topics::delete_records(node, request)),
        Api::DescribeConfigs => call.with(|request, _| configs::describe(node, request)),
        Api::AlterConfigs => call.with(|request, _| configs::alter(node, request)),
        Api::IncrementalAlterConfigs => call.with(|request, _| configs::alter_incrementally(node, request)),
        Api::Heartbeat => call.with(|request, _| groups::heartbeat(node, request, now)),
        Api::LeaveGroup => call.with(|request, version| groups::leave(node, request, version, now)),
        Api::ConsumerGroupHeartbeat => call.with(|_: ConsumerGroupHeartbeatRequest, _| groups::no_new_protocol()),
        Api::ListGroups => call.with(|request, _| groups::list(node, request)),
        Api::DescribeGroups => call.with(|request, _| groups::describe(node, request)),
        Api::DeleteGroups => call.with(|request, _| groups::delete(node, request)),
        Api::OffsetCommit => call.with(|request, _| group_offsets::commit(node, request, now)),
        Api::OffsetFetch => call.with(|request, version| group_offsets::fetch(node, request, version)),
        Api::OffsetDelete => call.with(|request, _| group_offsets::delete(node, request)),
        Api::AddPartitionsToTxn => call.with(|request, version| transactions::add_partitions(node, request, version, now)),
        Api::AddOffsetsToTxn => call.with(|request, version| transactions::add_offsets(node, request, version, now)),
        Api::TxnOffsetCommit => call.with(|request, _| transactions::commit_offsets(node, request)),
        Api::ListTransactions => call.with(|request, _| transactions::list(node, request, now)),
        Api::DescribeTransactions => call.with(|request, _| transactions::describe(node, request)),
        Api::DescribeProducers => call.with(|request, _| transactions::describe_producers(node, request)),
        Api::Produce | Api::Fetch | Api::JoinGroup | Api::SyncGroup | Api::EndTxn | Api::InitProducerId => Err(Malformed("it is answered elsewhere")),
    }
}

/// A producer that wants no answer is told of an error by a closed connection, as Apache Kafka does.
fn produce(shared: &Shared, call: Call, now: Now) -> Result<Option<Frame>, Malformed> {
    let (call, request) = call.read::<ProduceRequest>()?;
    let wants_answer = request.acks != 0;
    let response = produce::produce(&mut shared.node(), request, call.version, now);
    shared.changed();
    if wants_answer {
        return Ok(Some(call.frame::<ProduceRequest>(&response)));
    }
    let failed = response.topics.iter().flat_map(|topic| &topic.partitions).any(|partition| partition.error != ErrorCode::None);
    if failed { Err(Malformed("its records can't be taken, and it wants no answer")) } else { Ok(None) }
}

fn versions(error: ErrorCode) -> ApiVersionsResponse {
    let version = |api: &Api| ApiVersion { key: api.key(), min_version: *api.versions().start(), max_version: *api.versions().end() };
    ApiVersionsResponse { error, apis: Api::ALL.iter().map(version).collect(), ..ApiVersionsResponse::default() }
}

impl Call {
    /// Reads the header, and the client's name. A question for the versions that is newer than this broker is answered in the oldest one: so a client finds out.
    fn of(request: Bytes) -> Result<Result<(Self, String), Frame>, Malformed> {
        let mut start = Reader::new(request.clone(), 0, false);
        let (key, version, correlation) = (i16::read(&mut start)?, i16::read(&mut start)?, i32::read(&mut start)?);
        let api = Api::from_key(key).ok_or(Malformed("there is no such request here"))?;
        if !api.versions().contains(&version) {
            if api != Api::ApiVersions {
                return Err(Malformed("this version is not spoken here"));
            }
            let call = Self { api, version: 0, correlation, body: Reader::new(Bytes::new(), 0, false) };
            return Ok(Err(call.frame::<ApiVersionsRequest>(&versions(ErrorCode::UnsupportedVersion))));
        }
        let is_flexible = api.is_flexible(version);
        // The client's name has the old form in every version; tags follow in the new ones.
        let client_id = Option::<String>::read(&mut start)?.unwrap_or_default();
        let mut body = Reader::new(start.rest(), version, is_flexible);
        body.tags()?;
        Ok(Ok((Self { api, version, correlation, body }, client_id)))
    }

    fn read<R: Request>(mut self) -> Result<(Self, R), Malformed> {
        let request = R::read(&mut self.body)?;
        Ok((self, request))
    }

    fn with<R: Request>(self, answer: impl FnOnce(R, i16) -> R::Response) -> Result<Frame, Malformed> {
        let (call, request) = self.read::<R>()?;
        let response = answer(request, call.version);
        Ok(call.frame::<R>(&response))
    }

    fn frame<R: Request>(&self, response: &R::Response) -> Frame {
        let is_flexible = self.api.is_flexible(self.version);
        let mut writer = Writer::new(self.version, is_flexible);
        self.correlation.write(&mut writer);
        // A client reads this answer before it knows what the broker speaks: its header never changes.
        if self.api != Api::ApiVersions {
            writer.tags();
        }
        response.write(&mut writer);
        writer.finish()
    }
}

/// What was asked for, once each: asking for the same thing a million times must not make a million answers.
fn distinct<T, K: Ord>(items: Vec<T>, key: impl Fn(&T) -> K) -> impl Iterator<Item = T> {
    let mut seen = BTreeSet::new();
    items.into_iter().filter(move |item| seen.insert(key(item)))
}

#[cfg(test)]
mod tests;
