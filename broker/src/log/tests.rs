#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::batch::tests::{client_batch, plain, sequenced};

fn read_all(log: &Log, from: i64, until: i64) -> usize {
    log.read(from, ReadLimit { until, max_bytes: usize::MAX, at_least_one: true }).batches.len()
}

#[test]
fn a_batch_that_is_sent_again_gets_the_offset_that_it_has() {
    let mut log = Log::default();
    assert_eq!(log.append(sequenced(1, 0, 0, false)), Ok(Appended::At(0)));
    assert_eq!(log.append(sequenced(1, 0, 1, false)), Ok(Appended::At(1)));
    assert_eq!(log.append(sequenced(1, 0, 0, false)), Ok(Appended::Before(0)));
    assert_eq!((log.end(), read_all(&log, 0, i64::MAX)), (2, 2));
}

#[test]
fn a_batch_that_skips_a_sequence_is_refused() {
    let mut log = Log::default();
    log.append(sequenced(1, 0, 0, false)).unwrap();
    assert_eq!(log.append(sequenced(1, 0, 2, false)), Err(ErrorCode::OutOfOrderSequence));
    assert_eq!(log.append(sequenced(1, 1, 1, false)), Err(ErrorCode::OutOfOrderSequence), "a new epoch begins with 0");
    assert_eq!(log.append(sequenced(1, 1, 0, false)), Ok(Appended::At(1)));
    assert_eq!(log.append(sequenced(1, 0, 1, false)), Err(ErrorCode::InvalidProducerEpoch));
}

#[test]
fn sequences_go_round_after_the_largest_one() {
    let mut log = Log::default();
    log.append(sequenced(1, 0, i32::MAX, false)).unwrap();
    assert_eq!(log.append(sequenced(1, 0, 0, false)), Ok(Appended::At(1)));
}

/// Regression: the window of sequences outlived the epoch that a marker had ended, and the first batch of the next producer was taken for a duplicate: lost.
#[test]
fn a_marker_with_a_new_epoch_begins_the_sequences_anew() {
    let mut log = Log::default();
    log.append(sequenced(1, 0, 0, true)).unwrap();
    log.end_transaction(1, 1, false, 1_000);
    assert_eq!(log.append(sequenced(1, 1, 0, true)), Ok(Appended::At(2)));
    assert_eq!(log.append(sequenced(1, 0, 1, true)), Err(ErrorCode::InvalidProducerEpoch));
}

#[test]
fn the_last_stable_offset_waits_for_the_oldest_open_transaction() {
    let mut log = Log::default();
    log.append(plain(1)).unwrap();
    log.append(sequenced(1, 0, 0, true)).unwrap();
    log.append(sequenced(2, 0, 0, true)).unwrap();
    assert_eq!((log.last_stable_offset(), log.end()), (1, 3));
    log.end_transaction(1, 0, false, 1_000);
    assert_eq!(log.last_stable_offset(), 2);
    assert_eq!(read_all(&log, 0, log.last_stable_offset()), 2);
    log.end_transaction(2, 0, true, 1_000);
    assert_eq!(log.last_stable_offset(), 5);
    // Also to a reader that begins in its middle, and not to one behind it.
    let aborted = |from, to| log.transactions.aborted_within(from, to).map(|aborted| aborted.first).collect::<Vec<_>>();
    assert_eq!((aborted(0, 5), aborted(2, 5), aborted(0, 1), aborted(4, 5)), (vec![1], vec![1], vec![], vec![]));
}

#[test]
fn a_producer_with_an_open_transaction_writes_nothing_outside_of_it() {
    let mut log = Log::default();
    log.append(sequenced(1, 0, 0, true)).unwrap();
    assert_eq!(log.append(sequenced(1, 0, 1, false)), Err(ErrorCode::InvalidTxnState));
}

#[test]
fn a_read_gives_whole_batches_up_to_its_limit_and_one_at_least() {
    let mut log = Log::default();
    for _ in 0..4 {
        log.append(plain(1)).unwrap();
    }
    let size = log.read(0, ReadLimit { until: 1, max_bytes: usize::MAX, at_least_one: false }).bytes;
    let read = |from, max_bytes, at_least_one| {
        let found = log.read(from, ReadLimit { until: i64::MAX, max_bytes, at_least_one });
        (found.batches.len(), found.next)
    };
    assert_eq!(read(1, 2 * size, false), (2, 3));
    assert_eq!(read(1, 2 * size - 1, false), (1, 2));
    assert_eq!(read(1, size - 1, false), (0, 1));
    assert_eq!(read(1, size - 1, true), (1, 2));
    assert_eq!(read(4, usize::MAX, true), (0, 4));
}

#[test]
fn retention_drops_the_oldest_batches_and_moves_the_start() {
    let mut log = Log::default();
    for _ in 0..10 {
        log.append(plain(1)).unwrap();
    }
    let each = log.bytes() / 10;
    assert_eq!(log.shrink_to(each * 4 + 1), each * 6);
    assert_eq!((log.start(), log.end(), log.bytes()), (6, 10, each * 4));
    log.shrink_to(0);
    assert_eq!((log.start(), log.end(), log.bytes(), log.last_stable_offset()), (10, 10, 0, 10));
}

#[test]
fn an_open_transaction_whose_records_are_dropped_holds_readers_at_the_start_and_no_earlier() {
    let mut log = Log::default();
    log.append(sequenced(1, 0, 0, true)).unwrap();
    log.append(plain(1)).unwrap();
    log.delete_below(1);
    assert_eq!((log.start(), log.last_stable_offset()), (1, 1));
    log.end_transaction(1, 0, false, 1_000);
    assert_eq!(log.last_stable_offset(), 3);
}

#[test]
fn records_are_deleted_within_a_batch_by_moving_the_start_alone() {
    let mut log = Log::default();
    log.append(Batch::of_client(&client_batch((-1, -1, -1), 0, &[(10, None), (20, None), (30, None)])).unwrap()).unwrap();
    assert_eq!(log.delete_below(2), 0);
    assert_eq!((log.start(), read_all(&log, 2, i64::MAX)), (2, 1));
    assert_eq!(log.offset_at(5), Some(TimedOffset { offset: 2, timestamp: 30 }), "what was deleted is not found by its time");
    assert_eq!(log.delete_below(99), log_cost(&log));
    assert_eq!((log.start(), log.end()), (3, 3));
}

fn log_cost(_: &Log) -> u64 {
    let mut log = Log::default();
    log.append(Batch::of_client(&client_batch((-1, -1, -1), 0, &[(10, None), (20, None), (30, None)])).unwrap()).unwrap();
    log.bytes()
}

#[test]
fn offsets_are_found_by_time_to_the_record() {
    let mut log = Log::default();
    log.append(plain(100)).unwrap();
    log.append(Batch::of_client(&client_batch((-1, -1, -1), 0, &[(200, None), (400, None), (300, None)])).unwrap()).unwrap();
    let at = |time| log.offset_at(time).map(|found| (found.offset, found.timestamp));
    assert_eq!((at(0), at(101), at(201), at(401)), (Some((0, 100)), Some((1, 200)), Some((2, 400)), None));
    assert_eq!(log.latest_timestamp(), Some(TimedOffset { offset: 2, timestamp: 400 }));
}

#[test]
fn of_a_compressed_batch_the_first_offset_is_given_so_that_nothing_is_missed() {
    let mut log = Log::default();
    log.append(plain(100)).unwrap();
    log.append(Batch::of_client(&client_batch((-1, -1, -1), 1, &[(200, None), (400, None)])).unwrap()).unwrap();
    assert_eq!(log.offset_at(300), Some(TimedOffset { offset: 1, timestamp: 400 }));
}
