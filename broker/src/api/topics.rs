//! Making, growing and deleting topics, and deleting records.

use std::collections::HashMap;

use uuid::Uuid;

use super::distinct;
use crate::node::{NODE_ID, Node};
use crate::topic::Settings;
use crate::wire::ErrorCode;
use crate::wire::messages::*;

/// The first version in which -1 stands for the broker's default.
const DEFAULTS_SINCE: i16 = 4;

/// The first version that names topics by their ids, too.
const IDS_SINCE: i16 = 6;

/// Where Apache Kafka's answers say that a setting is a topic's own.
const OF_TOPIC: i8 = 1;

pub(super) fn create(node: &mut Node, request: CreateTopicsRequest, version: i16) -> CreateTopicsResponse {
    let mut times: HashMap<String, usize> = HashMap::new();
    for topic in &request.topics {
        *times.entry(topic.name.clone()).or_default() += 1;
    }
    let topics = distinct(request.topics, |topic| topic.name.clone()).map(|topic| {
        let name = topic.name.clone();
        let outcome = if times.get(&name).is_some_and(|times| *times > 1) {
            Err(ErrorCode::InvalidRequest)
        } else {
            create_one(node, topic, request.validate_only, version)
        };
        outcome.unwrap_or_else(|error| CreatedTopic { name, error, ..CreatedTopic::default() })
    });
    CreateTopicsResponse { topics: topics.collect(), ..CreateTopicsResponse::default() }
}

pub(super) fn delete(node: &mut Node, request: DeleteTopicsRequest, version: i16) -> DeleteTopicsResponse {
    let named = request.names.into_iter().map(|name| DeletedTopicName { name: Some(name), id: Uuid::nil() });
    let asked: Vec<DeletedTopicName> = if version < IDS_SINCE { named.collect() } else { request.topics };
    let topics = asked.into_iter().map(|DeletedTopicName { name, id }| {
        let name = name.or_else(|| node.topics.name_of(id).map(str::to_owned));
        let outcome = match &name {
            Some(name) => {
                let id = node.topics.get(name).map_or(id, |topic| topic.id);
                (node.delete_topic(name), id)
            }
            None => (Err(ErrorCode::UnknownTopicId), id),
        };
        DeletedTopic { name, id: outcome.1, error: ErrorCode::of(&outcome.0), ..DeletedTopic::default() }
    });
    DeleteTopicsResponse { topics: topics.collect(), ..DeleteTopicsResponse::default() }
}

pub(super) fn grow(node: &mut Node, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let outcome = if request.validate_only { node.topics.may_grow(&topic.name, topic.count).map(drop) } else { node.topics.grow(&topic.name, topic.count) };
        GrownTopicResult { name: topic.name, error: ErrorCode::of(&outcome), ..GrownTopicResult::default() }
    });
    CreatePartitionsResponse { topics: topics.collect(), ..CreatePartitionsResponse::default() }
}

pub(super) fn delete_records(node: &mut Node, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| match delete_below(node, &topic.name, &partition) {
            Ok(low_watermark) => DeletedRecords { index: partition.index, low_watermark, ..DeletedRecords::default() },
            Err(error) => DeletedRecords { index: partition.index, error, ..DeletedRecords::default() },
        });
        DeletedRecordsTopic { partitions: partitions.collect(), name: topic.name }
    });
    DeleteRecordsResponse { topics: topics.collect(), ..DeleteRecordsResponse::default() }
}

fn create_one(node: &mut Node, topic: NewTopic, validate_only: bool, version: i16) -> Result<CreatedTopic, ErrorCode> {
    let partitions = partitions_of(node, &topic, version)?;
    let settings = Settings::of(topic.configs.into_iter().map(|config| (config.name, config.value)));
    node.topics.may_create(&topic.name, partitions)?;
    let settings = settings?;
    let configs = settings.iter().map(|(name, value)| CreatedConfig {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source: OF_TOPIC,
        ..CreatedConfig::default()
    });
    let mut created = CreatedTopic {
        name: topic.name.clone(),
        num_partitions: partitions,
        replication_factor: 1,
        configs: Some(configs.collect()),
        ..CreatedTopic::default()
    };
    if !validate_only {
        created.id = node.topics.create(&topic.name, partitions, settings)?.id;
    }
    Ok(created)
}

/// How many partitions are wanted, if they can be had: each on this broker, and once.
fn partitions_of(node: &Node, topic: &NewTopic, version: i16) -> Result<i32, ErrorCode> {
    if !topic.assignments.is_empty() {
        let is_ours = |assignment: &ReplicaAssignment| assignment.broker_ids == [NODE_ID];
        let mut numbers: Vec<i32> = topic.assignments.iter().map(|assignment| assignment.partition).collect();
        numbers.sort_unstable();
        let is_complete = numbers.iter().zip(0..).all(|(number, expected)| *number == expected);
        let is_alone = topic.num_partitions == -1 && topic.replication_factor == -1;
        return match (is_alone, is_complete && topic.assignments.iter().all(is_ours)) {
            (false, _) => Err(ErrorCode::InvalidRequest),
            (true, false) => Err(ErrorCode::InvalidReplicaAssignment),
            (true, true) => i32::try_from(numbers.len()).map_err(|_| ErrorCode::InvalidPartitions),
        };
    }
    let has_defaults = version >= DEFAULTS_SINCE;
    if topic.replication_factor != 1 && !(has_defaults && topic.replication_factor == -1) {
        return Err(ErrorCode::InvalidReplicationFactor);
    }
    Ok(if has_defaults && topic.num_partitions == -1 { node.config.default_partitions } else { topic.num_partitions })
}

fn delete_below(node: &mut Node, topic: &str, partition: &DeleteRecordsPartition) -> Result<i64, ErrorCode> {
    const TO_THE_END: i64 = -1;
    if node.topics.get(topic).is_some_and(|topic| !topic.settings.is_deleted()) {
        return Err(ErrorCode::PolicyViolation);
    }
    node.change_log(topic, partition.index, |log| {
        let offset = if partition.offset == TO_THE_END { log.end() } else { partition.offset };
        if !(0..=log.end()).contains(&offset) {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        log.delete_below(offset);
        Ok(log.start())
    })
}
