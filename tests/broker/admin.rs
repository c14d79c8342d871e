//! What an administrator asks for is done, or refused with the reason.

use rdkafka::admin::{AdminOptions, AlterConfig, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode;
use weir_tests::broker::{block_on, eventually};

use super::support::*;

fn create(new: NewTopic<'_>, options: &AdminOptions) -> Result<(), RDKafkaErrorCode> {
    block_on(admin().create_topics([&new], options)).unwrap().remove(0).map(drop).map_err(|(_, code)| code)
}

fn setting(topic: &str, name: &str) -> (String, bool) {
    let described = block_on(admin().describe_configs([&ResourceSpecifier::Topic(topic)], &AdminOptions::new())).unwrap().remove(0).unwrap();
    let entry = described.get(name).unwrap();
    (entry.value.clone().unwrap(), entry.source == ConfigSource::DynamicTopic)
}

#[test]
fn a_topic_that_can_not_be_made_is_refused_with_the_reason() {
    let existing = topic(1, &[]);
    let name = unique("new");
    let fixed = TopicReplication::Fixed;
    let plain = AdminOptions::new();
    for (new, expected) in [
        (NewTopic::new(&existing, 1, fixed(1)), RDKafkaErrorCode::TopicAlreadyExists),
        (NewTopic::new(&name, 1, fixed(3)), RDKafkaErrorCode::InvalidReplicationFactor),
        (NewTopic::new("not/a/name", 1, fixed(1)), RDKafkaErrorCode::InvalidTopic),
        (NewTopic::new(&name, 1, fixed(1)).set("no.such.setting", "1"), RDKafkaErrorCode::InvalidConfig),
        (NewTopic::new(&name, 1, fixed(1)).set("segment.bytes", "1000"), RDKafkaErrorCode::InvalidConfig),
        (NewTopic::new(&name, 1, fixed(1)).set("max.message.bytes", "many"), RDKafkaErrorCode::InvalidConfig),
        (NewTopic::new(&name, 0, fixed(1)), RDKafkaErrorCode::InvalidPartitions),
    ] {
        assert_eq!(create(new, &plain), Err(expected));
    }
    assert_eq!(partitions_of(&name), None);
}

#[test]
fn a_topic_can_be_tried_before_it_is_made_and_have_the_brokers_defaults() {
    let name = unique("new");
    create(NewTopic::new(&name, 2, TopicReplication::Fixed(1)), &AdminOptions::new().validate_only(true)).unwrap();
    assert_eq!(partitions_of(&name), None);
    create(NewTopic::new(&name, -1, TopicReplication::Fixed(-1)), &AdminOptions::new()).unwrap();
    assert_eq!(eventually("the topic is there", || partitions_of(&name)), 4);
}

#[test]
fn a_topic_that_is_not_there_is_not_made_by_asking() {
    let name = unique("never");
    assert_eq!(partitions_of(&name), None);
    let client = of_group(&unique("group"), &[("allow.auto.create.topics", "true")]);
    let metadata = client.fetch_metadata(Some(&name), PATIENCE).unwrap();
    assert!(metadata.topics()[0].error().is_some());
}

#[test]
fn settings_are_shown_with_their_defaults_and_can_be_changed() {
    let name = topic(1, &[("max.message.bytes", "5000")]);
    assert_eq!(setting(&name, "max.message.bytes"), ("5000".into(), true));
    for (key, default) in [
        ("cleanup.policy", "delete"),
        ("compression.type", "producer"),
        ("message.timestamp.type", "CreateTime"),
        ("message.timestamp.after.max.ms", "3600000"),
        ("retention.ms", "604800000"),
        ("retention.bytes", "-1"),
        ("segment.bytes", "1073741824"),
        ("min.insync.replicas", "1"),
        ("max.compaction.lag.ms", "9223372036854775807"),
    ] {
        assert_eq!(setting(&name, key), (default.into(), false), "{key}");
    }
    let alter = |key: &str, value: &str| {
        let change = AlterConfig::new(ResourceSpecifier::Topic(&name)).set(key, value);
        block_on(admin().alter_configs([&change], &AdminOptions::new())).unwrap().remove(0).map(drop).map_err(|(_, code)| code)
    };
    alter("retention.ms", "12345").unwrap();
    assert_eq!(eventually("the change is seen", || Some(setting(&name, "retention.ms")).filter(|found| found.1)).0, "12345");
    // All settings are replaced by what is said.
    assert_eq!(setting(&name, "max.message.bytes"), ("1048588".into(), false));
    let sender = sender(&[]);
    send(&sender, &name, &"x".repeat(6_000));
    assert!(reports(&sender)[0].is_ok());
    // The client's library says nothing of the error.
    alter("retention.ms", "soon").unwrap();
    assert_eq!(setting(&name, "retention.ms"), ("12345".into(), true));
}

#[test]
fn a_topic_that_is_not_there_can_not_be_deleted() {
    let results = block_on(admin().delete_topics(&[&unique("no-such")], &AdminOptions::new())).unwrap();
    assert_eq!(results[0].as_ref().unwrap_err().1, RDKafkaErrorCode::UnknownTopicOrPartition);
}

#[test]
fn all_topics_are_listed() {
    let names = [topic(1, &[]), topic(3, &[])];
    let client = of_group(&unique("group"), &[]);
    let metadata = client.fetch_metadata(None, PATIENCE).unwrap();
    for (name, count) in names.iter().zip([1, 3]) {
        let found = metadata.topics().iter().find(|topic| topic.name() == name).unwrap();
        assert_eq!(found.partitions().len(), count);
        assert!(found.partitions().iter().all(|partition| partition.leader() == 1));
    }
}
