//! Who is there: this broker, which leads and coordinates everything, and its topics.

use super::distinct;
use crate::group::Client;
use crate::node::{NODE_ID, Node};
use crate::topic::Topic;
use crate::wire::ErrorCode;
use crate::wire::messages::*;

/// The first version that asks for several coordinators at a time.
const MANY_KEYS_SINCE: i16 = 4;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(super) fn metadata(node: &mut Node, request: MetadataRequest, version: i16, client: &Client) -> MetadataResponse {
    // In the first version no topics meant all of them.
    let asked = request.topics.filter(|topics| version > 0 || !topics.is_empty());
    let topics = match asked {
        Some(asked) => distinct(asked, |topic| (topic.name.clone(), topic.id)).map(|topic| one(node, topic, request.allow_auto_topic_creation)).collect(),
        None => node.topics.iter().map(|(name, topic)| described(name, topic)).collect(),
    };
    MetadataResponse {
        brokers: vec![MetadataBroker { node_id: NODE_ID, host: host(client), port: port(client), ..MetadataBroker::default() }],
        cluster_id: Some(node.cluster_id.clone()),
        controller_id: NODE_ID,
        topics,
        ..MetadataResponse::default()
    }
}

pub(super) fn find_coordinator(request: FindCoordinatorRequest, version: i16, client: &Client) -> FindCoordinatorResponse {
    let error = if [GROUP, TRANSACTION].contains(&request.key_type) { ErrorCode::None } else { ErrorCode::InvalidRequest };
    let (node_id, host, port) = if error == ErrorCode::None { (NODE_ID, host(client), port(client)) } else { (-1, String::new(), -1) };
    if version < MANY_KEYS_SINCE {
        return FindCoordinatorResponse { error, node_id, host, port, ..FindCoordinatorResponse::default() };
    }
    let coordinators = request.keys.into_iter().map(|key| Coordinator { key, node_id, host: host.clone(), port, error, ..Coordinator::default() });
    FindCoordinatorResponse { coordinators: coordinators.collect(), ..FindCoordinatorResponse::default() }
}

pub(super) fn describe_cluster(node: &Node, client: &Client) -> DescribeClusterResponse {
    DescribeClusterResponse {
        cluster_id: node.cluster_id.clone(),
        controller_id: NODE_ID,
        brokers: vec![ClusterBroker { node_id: NODE_ID, host: host(client), port: port(client), ..ClusterBroker::default() }],
        ..DescribeClusterResponse::default()
    }
}

fn one(node: &mut Node, asked: MetadataTopic, may_create: bool) -> TopicMetadata {
    let Some(name) = asked.name.or_else(|| node.topics.name_of(asked.id).map(str::to_owned)) else {
        return TopicMetadata { error: ErrorCode::UnknownTopicId, name: None, id: asked.id, ..TopicMetadata::default() };
    };
    let creates = may_create && node.config.auto_create_topics && node.topics.get(&name).is_none();
    let created = if creates { node.create_on_demand(&name) } else { Ok(()) };
    match (created, node.topics.get(&name)) {
        (Ok(()), Some(topic)) => described(&name, topic),
        (Ok(()), None) => TopicMetadata { error: missing(node, &name), name: Some(name), ..TopicMetadata::default() },
        (Err(error), _) => TopicMetadata { error, name: Some(name), ..TopicMetadata::default() },
    }
}

/// Whether a topic of this name could be there.
fn missing(node: &Node, name: &str) -> ErrorCode {
    match node.topics.may_create(name, 1) {
        Err(ErrorCode::InvalidTopic) => ErrorCode::InvalidTopic,
        _ => ErrorCode::UnknownTopicOrPartition,
    }
}

fn described(name: &str, topic: &Topic) -> TopicMetadata {
    let partition = |index: usize| PartitionMetadata {
        index: i32::try_from(index).unwrap_or(i32::MAX),
        leader_id: NODE_ID,
        leader_epoch: 0,
        replica_nodes: vec![NODE_ID],
        isr_nodes: vec![NODE_ID],
        ..PartitionMetadata::default()
    };
    TopicMetadata { name: Some(name.to_owned()), id: topic.id, partitions: (0..topic.partitions.len()).map(partition).collect(), ..TopicMetadata::default() }
}

fn host(client: &Client) -> String {
    client.reached.ip().to_string()
}

fn port(client: &Client) -> i32 {
    client.reached.port().into()
}
