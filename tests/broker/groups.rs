//! Members of a group share its partitions, and find out when one comes or goes.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::admin::AdminOptions;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use weir_tests::broker::{block_on, eventually};

use super::support::*;

fn join(topic: &str, group: &str, settings: &[(&str, &str)]) -> BaseConsumer {
    let common = [("auto.offset.reset", "earliest"), ("heartbeat.interval.ms", "100"), ("session.timeout.ms", "6000")];
    let member = of_group(group, &[&common, settings].concat());
    member.subscribe(&[topic]).unwrap();
    member
}

fn poll(member: &BaseConsumer) -> Option<KafkaError> {
    member.poll(Duration::from_millis(50)).and_then(Result::err)
}

fn assigned(member: &BaseConsumer) -> Vec<i32> {
    let mut partitions: Vec<_> = member.assignment().unwrap().elements().iter().map(|element| element.partition()).collect();
    partitions.sort_unstable();
    partitions
}

/// Polls all members until each has so many partitions.
fn settle(members: &[&BaseConsumer], counts: &[usize]) {
    eventually("the partitions are shared", || {
        members.iter().for_each(|member| drop(poll(member)));
        let now: Vec<_> = members.iter().map(|member| assigned(member).len()).collect();
        (now == counts).then_some(())
    });
}

#[test]
fn members_share_the_partitions_and_those_who_stay_take_over() {
    for strategy in ["range", "cooperative-sticky"] {
        let (topic, group) = (topic(4, &[]), unique("group"));
        let settings = [("partition.assignment.strategy", strategy)];
        let first = join(&topic, &group, &settings);
        settle(&[&first], &[4]);
        let second = join(&topic, &group, &settings);
        settle(&[&first, &second], &[2, 2]);
        assert!(assigned(&first).iter().all(|partition| !assigned(&second).contains(partition)), "{strategy}");
        drop(second);
        settle(&[&first], &[4]);
    }
}

#[test]
fn a_group_goes_on_where_it_has_committed() {
    let (topic, group) = (topic(1, &[]), unique("group"));
    produce(&topic, 0..10);
    let first = join(&topic, &group, &[]);
    settle(&[&first], &[1]);
    first.commit(&offsets(&topic, 6, ""), CommitMode::Sync).unwrap();
    drop(first);
    let second = join(&topic, &group, &[]);
    let value =
        eventually("the second reads", || second.poll(Duration::from_millis(100)).and_then(Result::ok).map(|message| rdkafka::Message::offset(&message)));
    assert_eq!(value, 6);
}

#[test]
fn members_that_have_no_strategy_in_common_are_not_in_one_group() {
    let (topic, group) = (topic(2, &[]), unique("group"));
    let first = join(&topic, &group, &[("partition.assignment.strategy", "range")]);
    settle(&[&first], &[2]);
    let second = join(&topic, &group, &[("partition.assignment.strategy", "cooperative-sticky")]);
    let error = eventually("the second is refused", || poll(&second));
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::InconsistentGroupProtocol));
    settle(&[&first], &[2]);
}

#[test]
fn a_static_member_that_comes_back_disturbs_nobody() {
    let (topic, group) = (topic(4, &[]), unique("group"));
    let (a, b) = ([("group.instance.id", "a")], [("group.instance.id", "b")]);
    let first = join(&topic, &group, &a);
    let second = join(&topic, &group, &b);
    settle(&[&first, &second], &[2, 2]);
    let (of_first, of_second) = (assigned(&first), assigned(&second));
    drop(second);
    let began = Instant::now();
    let again = join(&topic, &group, &b);
    settle(&[&again], &[2]);
    // Long before its session is over.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!((assigned(&first), assigned(&again)), (of_first, of_second));
}

#[test]
fn a_second_live_instance_fences_the_first() {
    let (topic, group) = (topic(1, &[]), unique("group"));
    let first = join(&topic, &group, &[("group.instance.id", "a")]);
    settle(&[&first], &[1]);
    let second = join(&topic, &group, &[("group.instance.id", "a")]);
    settle(&[&second], &[1]);
    eventually("the first is fenced", || {
        drop(poll(&first));
        first.client().fatal_error().filter(|(code, _)| *code == RDKafkaErrorCode::FencedInstanceId)
    });
    settle(&[&second], &[1]);
}

#[test]
fn a_static_member_that_stays_away_loses_its_partitions_when_its_session_ends() {
    let (topic, group) = (topic(2, &[]), unique("group"));
    let short = |instance| [("group.instance.id", instance), ("session.timeout.ms", "1500")];
    let first = join(&topic, &group, &short("a"));
    let second = join(&topic, &group, &short("b"));
    settle(&[&first, &second], &[1, 1]);
    drop(second);
    let began = Instant::now();
    settle(&[&first], &[2]);
    assert!(began.elapsed() > Duration::from_secs(1), "it was not given the time: {:?}", began.elapsed());
}

#[test]
fn groups_can_be_seen_and_deleted_once_they_are_empty() {
    let (topic, group) = (topic(1, &[]), unique("group"));
    let member = join(&topic, &group, &[("client.id", "its-client")]);
    settle(&[&member], &[1]);
    member.commit(&offsets(&topic, 3, ""), CommitMode::Sync).unwrap();
    let client = of_group(&unique("other"), &[]);
    let list = client.fetch_group_list(Some(&group), PATIENCE).unwrap();
    let found = &list.groups()[0];
    assert_eq!((found.name(), found.state(), found.protocol_type(), found.members().len()), (group.as_str(), "Stable", "consumer", 1));
    assert_eq!((found.members()[0].client_id(), found.members()[0].client_host()), ("its-client", "/127.0.0.1"));
    let delete = |name: &str| block_on(admin().delete_groups(&[name], &AdminOptions::new())).unwrap().remove(0).map_err(|(_, code)| code);
    assert_eq!(delete(&group), Err(RDKafkaErrorCode::NonEmptyGroup));
    drop(member);
    eventually("the group is empty and deleted", || delete(&group).ok());
    assert_eq!(committed(&topic, &group), None);
    assert_eq!(delete(&unique("no-such")), Err(RDKafkaErrorCode::GroupIdNotFound));
}

#[test]
fn a_group_without_members_takes_offsets_from_anybody() {
    let (topic, group) = (topic(1, &[]), unique("group"));
    of_group(&group, &[]).commit(&offsets(&topic, 1, "one"), CommitMode::Sync).unwrap();
    of_group(&group, &[]).commit(&offsets(&topic, 2, "two"), CommitMode::Sync).unwrap();
    assert_eq!(committed(&topic, &group), Some((2, "two".into())));
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("no-such-topic", 0, rdkafka::Offset::Offset(1)).unwrap();
    let error = of_group(&group, &[]).commit(&list, CommitMode::Sync).unwrap_err();
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::UnknownTopicOrPartition));
}
