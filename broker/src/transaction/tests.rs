#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::group::offsets::CommittedOffset;

const MINUTE: Duration = Duration::from_secs(60);

fn coordinator() -> (Coordinator, Now) {
    (Coordinator::new(3, Duration::from_millis(5)), Now::read())
}

fn later(now: Now, by: Duration) -> Now {
    Now { at: now.at + by, ms: now.ms + by.as_millis() as i64 }
}

fn place(partition: i32) -> TopicPartition {
    TopicPartition { topic: "t".into(), partition }
}

/// An owner with an open transaction of partition 0.
fn open() -> (Coordinator, Producer, Now) {
    let (mut coordinator, now) = coordinator();
    let owner = coordinator.init("id", MINUTE, None, now).unwrap();
    coordinator.work("id", owner, now).unwrap().partitions.insert(place(0));
    (coordinator, owner, now)
}

#[test]
fn between_a_commit_and_its_markers_nothing_else_begins() {
    let (mut coordinator, owner, now) = open();
    coordinator.end("id", owner, true, now).unwrap();
    assert!(coordinator.take_due(now.at).is_empty());
    assert_eq!(coordinator.work("id", owner, now).err(), Some(ErrorCode::ConcurrentTransactions));
    assert_eq!(coordinator.init("id", MINUTE, None, now), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(coordinator.end("id", owner, true, now), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(coordinator.end("id", owner, false, now), Err(ErrorCode::InvalidTxnState));
    let due = coordinator.take_due(later(now, Duration::from_millis(5)).at);
    assert_eq!((due.len(), due[0].is_commit, due[0].work.partitions.len()), (1, true, 1));
    // The same answer again, and no other.
    assert_eq!(coordinator.end("id", owner, true, now), Ok(()));
    assert_eq!(coordinator.end("id", owner, false, now), Err(ErrorCode::InvalidTxnState));
    assert!(coordinator.work("id", owner, now).is_ok());
}

#[test]
fn a_new_owner_of_an_open_transaction_aborts_it_and_comes_again() {
    let (mut coordinator, owner, now) = open();
    assert_eq!(coordinator.init("id", MINUTE, None, now), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(coordinator.end("id", owner, true, now), Err(ErrorCode::ProducerFenced));
    let soon = later(now, Duration::from_millis(5));
    let due = coordinator.take_due(soon.at);
    assert_eq!((due[0].is_commit, due[0].producer), (false, Producer { epoch: 1, ..owner }));
    assert_eq!(coordinator.init("id", MINUTE, None, soon), Ok(Producer { epoch: 2, ..owner }));
}

/// Regression: a record that came after the transaction's end opened one that nobody would ever end.
#[test]
fn what_comes_after_the_end_is_refused() {
    let (mut coordinator, owner, now) = open();
    coordinator.end("id", owner, true, now).unwrap();
    assert_eq!(coordinator.open_work("id", owner).err(), Some(ErrorCode::InvalidTxnState));
    coordinator.take_due(later(now, Duration::from_millis(5)).at);
    assert_eq!(coordinator.open_work("id", owner).err(), Some(ErrorCode::InvalidTxnState));
    let next = coordinator.init("id", MINUTE, None, now).unwrap();
    assert_eq!(coordinator.open_work("id", owner).err(), Some(ErrorCode::InvalidProducerEpoch));
    assert_eq!(coordinator.open_work("id", next).err(), Some(ErrorCode::InvalidTxnState));
    assert_eq!(coordinator.open_work("id", Producer { id: 77, epoch: 0 }).err(), Some(ErrorCode::InvalidProducerIdMapping));
    assert_eq!(coordinator.open_work("other", next).err(), Some(ErrorCode::InvalidProducerIdMapping));
}

#[test]
fn an_abandoned_transaction_is_aborted_after_its_timeout_and_its_owner_fenced() {
    let (mut coordinator, owner, now) = open();
    coordinator.expire(later(now, MINUTE / 2));
    assert!(coordinator.open_work("id", owner).is_ok());
    let over = later(now, MINUTE);
    coordinator.expire(over);
    assert!(!coordinator.take_due(later(over, Duration::from_millis(5)).at)[0].is_commit);
    assert_eq!(coordinator.end("id", owner, true, over), Err(ErrorCode::ProducerFenced));
}

#[test]
fn timeouts_and_ids_that_make_no_sense_are_refused() {
    let (mut coordinator, now) = coordinator();
    assert_eq!(coordinator.init("id", Duration::from_millis(900_001), None, now), Err(ErrorCode::InvalidTransactionTimeout));
    assert_eq!(coordinator.init("id", Duration::ZERO, None, now), Err(ErrorCode::InvalidTransactionTimeout));
    assert_eq!(coordinator.init("", MINUTE, None, now), Err(ErrorCode::InvalidRequest));
    assert!(coordinator.init("id", Duration::from_millis(900_000), None, now).is_ok());
    let stranger = Producer { id: 5, epoch: 9 };
    assert_eq!(coordinator.init("id", MINUTE, Some(stranger), now), Err(ErrorCode::ProducerFenced));
}

#[test]
fn offsets_are_pending_until_the_transaction_has_ended() {
    let (mut coordinator, owner, now) = open();
    let offset = CommittedOffset::new(1, -1, None).unwrap();
    coordinator.work("id", owner, now).unwrap().offsets.entry("g".into()).or_default().insert(place(0), offset);
    assert!(coordinator.is_pending("g", &place(0)) && !coordinator.is_pending("g", &place(1)) && !coordinator.is_pending("h", &place(0)));
    coordinator.end("id", owner, true, now).unwrap();
    assert!(coordinator.is_pending("g", &place(0)));
    coordinator.take_due(later(now, Duration::from_millis(5)).at);
    assert!(!coordinator.is_pending("g", &place(0)));
}

#[test]
fn the_epoch_never_runs_out() {
    let (mut coordinator, now) = coordinator();
    let first = coordinator.init("id", MINUTE, None, now).unwrap();
    for _ in 0..LAST_EPOCH {
        coordinator.init("id", MINUTE, None, now).unwrap();
    }
    let renewed = coordinator.init("id", MINUTE, None, now).unwrap();
    assert!(renewed.id != first.id && renewed.epoch == 0, "{renewed:?}");
}

#[test]
fn when_there_are_too_many_ids_an_idle_one_goes_and_an_open_one_never() {
    let (mut coordinator, owner, now) = open();
    for (number, id) in ["b", "c", "d", "e"].into_iter().enumerate() {
        coordinator.init(id, MINUTE, None, later(now, Duration::from_secs(1 + number as u64))).unwrap();
    }
    assert_eq!(coordinator.iter().count(), 3);
    assert!(coordinator.get("b").is_none() && coordinator.open_work("id", owner).is_ok());
    for id in ["d", "e"] {
        let owner = coordinator.get(id).unwrap().producer;
        coordinator.work(id, owner, now).unwrap();
    }
    assert_eq!(coordinator.init("f", MINUTE, None, now), Err(ErrorCode::PolicyViolation));
}
