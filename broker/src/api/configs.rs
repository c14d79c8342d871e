//! Settings of topics, shown and changed; of the broker only shown.

use super::distinct;
use crate::node::{NODE_ID, Node};
use crate::topic::{Setting, Settings, defaults};
use crate::wire::ErrorCode;
use crate::wire::messages::*;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

const OF_TOPIC: i8 = 1;
const STATIC_OF_BROKER: i8 = 4;
const DEFAULT: i8 = 5;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(super) fn describe(node: &Node, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let resources = distinct(request.resources, |resource| (resource.kind, resource.name.clone()));
    let results = resources.map(|resource| {
        let configs = match resource.kind {
            TOPIC => node.topics.get(&resource.name).map(|topic| of_topic(&topic.settings)).ok_or(ErrorCode::UnknownTopicOrPartition),
            BROKER if resource.name.is_empty() || resource.name == NODE_ID.to_string() => Ok(of_broker(node)),
            _ => Err(ErrorCode::InvalidRequest),
        };
        let is_wanted = |config: &DescribedConfig| resource.keys.as_ref().is_none_or(|keys| keys.contains(&config.name));
        DescribedConfigs {
            error: ErrorCode::of(&configs),
            kind: resource.kind,
            name: resource.name,
            configs: configs.unwrap_or_default().into_iter().filter(is_wanted).collect(),
            ..DescribedConfigs::default()
        }
    });
    DescribeConfigsResponse { results: results.collect(), ..DescribeConfigsResponse::default() }
}

/// Replaces all settings of a topic.
pub(super) fn alter(node: &mut Node, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let results = request.resources.into_iter().map(|resource| {
        let values = resource.configs.into_iter().map(|config| (config.name, config.value));
        let changed = Settings::of(values);
        let outcome = replace(node, (resource.kind, &resource.name), |_| changed, request.validate_only);
        result(resource.kind, resource.name, outcome)
    });
    AlterConfigsResponse { results: results.collect(), ..AlterConfigsResponse::default() }
}

/// Changes some.
pub(super) fn alter_incrementally(node: &mut Node, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let results = request.resources.into_iter().map(|resource| {
        let change = |settings: &Settings| {
            let mut settings = settings.clone();
            resource.changes.iter().try_for_each(|change| apply(&mut settings, change)).map(|()| settings)
        };
        let outcome = replace(node, (resource.kind, &resource.name), change, request.validate_only);
        result(resource.kind, resource.name, outcome)
    });
    IncrementalAlterConfigsResponse { results: results.collect(), ..IncrementalAlterConfigsResponse::default() }
}

fn replace(
    node: &mut Node,
    (kind, name): (i8, &str),
    change: impl FnOnce(&Settings) -> Result<Settings, ErrorCode>,
    validate_only: bool,
) -> Result<(), ErrorCode> {
    if kind != TOPIC {
        return Err(ErrorCode::InvalidRequest);
    }
    let topic = node.topics.get_mut(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let settings = change(&topic.settings)?;
    if !validate_only {
        topic.settings = settings;
    }
    Ok(())
}

fn apply(settings: &mut Settings, change: &ConfigChange) -> Result<(), ErrorCode> {
    let value = change.value.as_deref().ok_or(ErrorCode::InvalidConfig);
    match change.operation {
        SET => settings.set(&change.name, value?),
        DELETE => settings.unset(&change.name),
        APPEND => settings.change_list(&change.name, value?, true),
        SUBTRACT => settings.change_list(&change.name, value?, false),
        _ => Err(ErrorCode::InvalidRequest),
    }
}

fn of_topic(settings: &Settings) -> Vec<DescribedConfig> {
    let shown = |setting: &Setting| {
        let own = settings.get(setting.name);
        DescribedConfig {
            name: setting.name.to_owned(),
            value: Some(own.unwrap_or(setting.default).to_owned()),
            source: if own.is_some() { OF_TOPIC } else { DEFAULT },
            value_type: setting.kind.code(),
            ..DescribedConfig::default()
        }
    };
    defaults().iter().map(shown).collect()
}

fn of_broker(node: &Node) -> Vec<DescribedConfig> {
    let config = &node.config;
    let values = [
        ("auto.create.topics.enable", config.auto_create_topics.to_string()),
        ("group.initial.rebalance.delay.ms", config.initial_rebalance_delay.as_millis().to_string()),
        ("group.min.session.timeout.ms", config.min_session_timeout.as_millis().to_string()),
        ("log.retention.bytes", config.partition_retention_bytes.map_or("-1".to_owned(), |bytes| bytes.to_string())),
        ("max.connections", config.max_connections.to_string()),
        ("node.id", NODE_ID.to_string()),
        ("num.partitions", config.default_partitions.to_string()),
        ("socket.request.max.bytes", config.max_request_bytes.to_string()),
    ];
    let shown = |(name, value): (&str, String)| DescribedConfig {
        name: name.to_owned(),
        value: Some(value),
        read_only: true,
        source: STATIC_OF_BROKER,
        ..DescribedConfig::default()
    };
    values.into_iter().map(shown).collect()
}

fn result(kind: i8, name: String, outcome: Result<(), ErrorCode>) -> AlterConfigsResult {
    AlterConfigsResult { error: ErrorCode::of(&outcome), kind, name, ..AlterConfigsResult::default() }
}
