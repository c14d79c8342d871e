#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::batch::tests::{plain, sequenced};
use crate::group::offsets::CommittedOffset;
use crate::topic::TopicPartition;

fn node(config: Config) -> Node {
    Node::new(config)
}

fn append(node: &mut Node, topic: &str, count: usize) {
    for _ in 0..count {
        node.change_log(topic, 0, |log| log.append(plain(1))).unwrap();
    }
}

/// What one record costs.
fn cost() -> u64 {
    let mut node = node(Config::default());
    node.create_on_demand("t").unwrap();
    append(&mut node, "t", 1);
    node.kept_bytes()
}

#[test]
fn the_largest_partition_gives_when_all_together_are_too_large() {
    let mut node = node(Config { retention_bytes: cost() * 10, ..Config::default() });
    node.create_on_demand("quiet").unwrap();
    node.create_on_demand("busy").unwrap();
    append(&mut node, "quiet", 3);
    append(&mut node, "busy", 100);
    assert_eq!((node.kept_bytes(), node.dropped_bytes()), (cost() * 10, cost() * 93));
    assert_eq!((node.topics.log("quiet", 0).unwrap().start(), node.topics.log("busy", 0).unwrap().start()), (0, 93));
}

#[test]
fn a_topics_own_limit_comes_before_the_partitions_and_the_brokers_limit_holds_in_any_case() {
    let mut node = node(Config { retention_bytes: cost() * 10, partition_retention_bytes: Some(cost() * 4), ..Config::default() });
    for (name, limit) in [("default", None), ("small", Some(cost() * 2)), ("unlimited", Some(u64::MAX >> 1))] {
        let settings = Settings::of(limit.map(|limit| ("retention.bytes".to_owned(), Some(limit.to_string())))).unwrap();
        node.topics.create(name, 1, settings).unwrap();
        append(&mut node, name, 20);
    }
    let bytes = |name| node.topics.log(name, 0).unwrap().bytes() / cost();
    assert_eq!((bytes("small"), bytes("default") + bytes("small") + bytes("unlimited")), (2, 10));
}

#[test]
fn the_count_of_bytes_is_right_whatever_is_deleted() {
    let mut node = node(Config::default());
    node.create_on_demand("a").unwrap();
    node.create_on_demand("b").unwrap();
    append(&mut node, "a", 10);
    append(&mut node, "b", 10);
    node.change_log("a", 0, |log| Ok(log.delete_below(4))).unwrap();
    assert_eq!(node.kept_bytes(), cost() * 16);
    node.delete_topic("b").unwrap();
    assert_eq!(node.kept_bytes(), cost() * 6);
    node.delete_topic("a").unwrap();
    assert_eq!(node.kept_bytes(), 0);
}

#[test]
fn a_deleted_topic_leaves_neither_offsets_nor_parts_of_transactions() {
    let mut node = node(Config::default());
    let now = Now::read();
    node.create_on_demand("a").unwrap();
    let place = TopicPartition { topic: "a".into(), partition: 0 };
    let offset = || CommittedOffset::new(1, -1, None).unwrap();
    node.group_mut("g").unwrap().offsets.insert(place.clone(), offset());
    let owner = node.transactions.init("id", std::time::Duration::from_secs(60), None, now).unwrap();
    let work = node.transactions.work("id", owner, now).unwrap();
    work.partitions.insert(place.clone());
    work.offsets.entry("h".into()).or_default().insert(place, offset());
    node.delete_topic("a").unwrap();
    assert!(node.groups.is_empty());
    // A new topic of the same name gets nothing of the old one's end.
    node.create_on_demand("a").unwrap();
    node.transactions.end("id", owner, true, now).unwrap();
    node.finish_transactions(now);
    assert_eq!(node.topics.log("a", 0).unwrap().end(), 0);
    assert!(node.groups.is_empty());
}

#[test]
fn a_transaction_ends_in_all_that_it_touched() {
    let mut node = node(Config::default());
    let now = Now::read();
    node.create_on_demand("a").unwrap();
    let place = |partition| TopicPartition { topic: "a".into(), partition };
    for is_commit in [false, true] {
        let owner = node.transactions.init("id", std::time::Duration::from_secs(60), None, now).unwrap();
        let work = node.transactions.work("id", owner, now).unwrap();
        work.partitions.extend([place(0), place(1)]);
        work.offsets.entry("g".into()).or_default().insert(place(0), CommittedOffset::new(7, -1, None).unwrap());
        node.change_log("a", 0, |log| log.append(sequenced(owner.id, owner.epoch, 0, true))).unwrap();
        node.transactions.end("id", owner, is_commit, now).unwrap();
        assert!(node.finish_transactions(now));
        assert_eq!(node.groups.contains_key("g"), is_commit);
    }
    let aborted = node.topics.log("a", 0).unwrap().transactions.aborted_within(0, 9).count();
    assert_eq!((node.topics.log("a", 0).unwrap().end(), node.topics.log("a", 1).unwrap().end(), aborted), (4, 2, 1));
}

#[test]
fn groups_members_and_offsets_are_counted() {
    let mut node = node(Config { max_groups: 2, max_offsets: 3, ..Config::default() });
    node.group_mut("a").unwrap();
    node.group_mut("b").unwrap();
    assert_eq!(node.group_mut("c").err(), Some(ErrorCode::PolicyViolation));
    assert!(node.group_mut("b").is_ok());
    node.forget_unused_groups();
    assert!(node.group_mut("c").is_ok());
    assert!(node.has_room_for_offsets(3) && !node.has_room_for_offsets(4));
}
