//! Offsets that are committed in a transaction: together with its records, and by nobody whom the group does not know.

use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;
use rdkafka::{Offset, TopicPartitionList};
use weir_tests::broker::eventually;

use super::support::*;

fn error_of(outcome: Result<(), KafkaError>) -> (RDKafkaErrorCode, bool) {
    match outcome {
        Err(KafkaError::Transaction(error)) => (error.code(), error.txn_requires_abort()),
        other => panic!("{other:?}"),
    }
}

/// Two groups, as a pipeline has them: one for the positions, one for the mark.
#[test]
fn offsets_of_two_groups_are_committed_or_aborted_with_the_records() {
    let (topic, positions, marks) = (topic(1, &[]), unique("positions"), unique("marks"));
    let sender = transactional(&unique("id"));
    let (of_positions, of_marks) = (of_group(&positions, &[]), of_group(&marks, &[]));
    let send_all = |round: i64| {
        sender.begin_transaction().unwrap();
        send(&sender, &topic, &round.to_string());
        let (metadata, mark) = (format!("round {round}"), round << 40);
        sender.send_offsets_to_transaction(&offsets(&topic, round, ""), &of_positions.group_metadata().unwrap(), PATIENCE).unwrap();
        sender.send_offsets_to_transaction(&offsets(&topic, mark, &metadata), &of_marks.group_metadata().unwrap(), PATIENCE).unwrap();
    };
    send_all(1);
    sender.commit_transaction(PATIENCE).unwrap();
    send_all(2);
    sender.abort_transaction(PATIENCE).unwrap();
    assert_eq!(committed(&topic, &positions), Some((1, String::new())));
    assert_eq!(committed(&topic, &marks), Some((1 << 40, "round 1".into())));
    send_all(3);
    sender.commit_transaction(PATIENCE).unwrap();
    assert_eq!(committed(&topic, &marks), Some((3 << 40, "round 3".into())));
    eventually("both rounds are seen", || (values(&topic) == ["1", "3"]).then_some(()));
}

#[test]
fn a_transaction_of_offsets_alone_is_one() {
    let (topic, group) = (topic(1, &[]), unique("group"));
    let sender = transactional(&unique("id"));
    let metadata = of_group(&group, &[]).group_metadata().unwrap();
    for round in 1..=3 {
        sender.begin_transaction().unwrap();
        sender.send_offsets_to_transaction(&offsets(&topic, round, ""), &metadata, PATIENCE).unwrap();
        sender.commit_transaction(PATIENCE).unwrap();
    }
    assert_eq!(committed(&topic, &group), Some((3, String::new())));
}

#[test]
fn an_offset_that_is_pending_is_waited_for_by_those_who_read_what_is_committed() {
    let (topic, group) = (topic(1, &[]), unique("group"));
    of_group(&group, &[]).commit(&offsets(&topic, 1, ""), CommitMode::Sync).unwrap();
    let sender = transactional(&unique("id"));
    sender.begin_transaction().unwrap();
    sender.send_offsets_to_transaction(&offsets(&topic, 2, ""), &of_group(&group, &[]).group_metadata().unwrap(), PATIENCE).unwrap();

    let ask = |settings: &[(&str, &str)], timeout| {
        let mut list = TopicPartitionList::new();
        list.add_partition(&topic, 0);
        of_group(&group, settings).committed_offsets(list, timeout).map(|found| found.elements()[0].offset())
    };
    let began = Instant::now();
    assert!(ask(&[], Duration::from_secs(1)).is_err());
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    assert_eq!(ask(&[("isolation.level", "read_uncommitted")], PATIENCE), Ok(Offset::Offset(1)));
    sender.commit_transaction(PATIENCE).unwrap();
    assert_eq!(ask(&[], PATIENCE), Ok(Offset::Offset(2)));
}

#[test]
fn metadata_that_is_too_long_spoils_the_transaction_and_not_the_producer() {
    let (topic, group) = (topic(1, &[]), unique("group"));
    let sender = transactional(&unique("id"));
    let metadata = of_group(&group, &[]).group_metadata().unwrap();
    sender.begin_transaction().unwrap();
    let outcome = sender.send_offsets_to_transaction(&offsets(&topic, 1, &"m".repeat(4_097)), &metadata, PATIENCE);
    assert_eq!(error_of(outcome), (RDKafkaErrorCode::OffsetMetadataTooLarge, true));
    sender.abort_transaction(PATIENCE).unwrap();
    sender.begin_transaction().unwrap();
    sender.send_offsets_to_transaction(&offsets(&topic, 1, &"m".repeat(4_096)), &metadata, PATIENCE).unwrap();
    sender.commit_transaction(PATIENCE).unwrap();
    assert_eq!(committed(&topic, &group), Some((1, "m".repeat(4_096))));
    let error = of_group(&group, &[]).commit(&offsets(&topic, 2, &"m".repeat(4_097)), CommitMode::Sync).unwrap_err();
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::OffsetMetadataTooLarge));
}

#[test]
fn offsets_of_a_member_that_was_replaced_are_refused() {
    let (topic, group) = (topic(1, &[]), unique("group"));
    let member = |instance: &str| {
        let settings = [("group.instance.id", instance), ("session.timeout.ms", "6000"), ("auto.offset.reset", "earliest")];
        let member = of_group(&group, &settings);
        member.subscribe(&[&topic]).unwrap();
        eventually("the member has its partition", || {
            drop(member.poll(Duration::from_millis(100)));
            (member.assignment().unwrap().count() == 1).then_some(())
        });
        member
    };
    let first = member("a");
    let stale = first.group_metadata().unwrap();
    let second = member("a");
    let sender = transactional(&unique("id"));
    sender.begin_transaction().unwrap();
    let outcome = sender.send_offsets_to_transaction(&offsets(&topic, 1, ""), &stale, PATIENCE);
    assert_eq!(error_of(outcome), (RDKafkaErrorCode::FencedInstanceId, true));
    sender.abort_transaction(PATIENCE).unwrap();
    sender.begin_transaction().unwrap();
    sender.send_offsets_to_transaction(&offsets(&topic, 2, ""), &second.group_metadata().unwrap(), PATIENCE).unwrap();
    sender.commit_transaction(PATIENCE).unwrap();
    assert_eq!(committed(&topic, &group), Some((2, String::new())));
}

/// It is the transactional id that fences here, and not the group.
#[test]
fn offsets_of_somebody_who_is_no_member_are_taken_while_the_group_has_members() {
    let (topic, group) = (topic(1, &[]), unique("group"));
    let member = of_group(&group, &[("auto.offset.reset", "earliest")]);
    member.subscribe(&[&topic]).unwrap();
    eventually("the member has its partition", || {
        drop(member.poll(Duration::from_millis(100)));
        (member.assignment().unwrap().count() == 1).then_some(())
    });
    let sender = transactional(&unique("id"));
    sender.begin_transaction().unwrap();
    sender.send_offsets_to_transaction(&offsets(&topic, 5, ""), &of_group(&group, &[]).group_metadata().unwrap(), PATIENCE).unwrap();
    sender.commit_transaction(PATIENCE).unwrap();
    assert_eq!(committed(&topic, &group), Some((5, String::new())));
    // A commit without a transaction is not.
    let error = of_group(&group, &[]).commit(&offsets(&topic, 6, ""), CommitMode::Sync).unwrap_err();
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::UnknownMemberId));
}

#[test]
fn offsets_of_an_older_generation_are_refused() {
    let (topic, group) = (topic(2, &[]), unique("group"));
    let join = || {
        let member = of_group(&group, &[("auto.offset.reset", "earliest"), ("heartbeat.interval.ms", "100"), ("session.timeout.ms", "6000")]);
        member.subscribe(&[&topic]).unwrap();
        member
    };
    let first = join();
    eventually("the first has both partitions", || {
        drop(first.poll(Duration::from_millis(50)));
        (first.assignment().unwrap().count() == 2).then_some(())
    });
    let stale = first.group_metadata().unwrap();
    let second = join();
    eventually("each has one", || {
        drop(first.poll(Duration::from_millis(50)));
        drop(second.poll(Duration::from_millis(50)));
        (first.assignment().unwrap().count() == 1 && second.assignment().unwrap().count() == 1).then_some(())
    });
    let sender = transactional(&unique("id"));
    sender.begin_transaction().unwrap();
    let outcome = sender.send_offsets_to_transaction(&offsets(&topic, 1, ""), &stale, PATIENCE);
    assert_eq!(error_of(outcome), (RDKafkaErrorCode::IllegalGeneration, true));
    sender.abort_transaction(PATIENCE).unwrap();
}
