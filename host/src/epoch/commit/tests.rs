#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]

use super::*;
use crate::epoch::Epoch;
use crate::epoch::recovery::{Facts, Folder, Verdict};

const LINEAGE: Lineage = Lineage::from_bytes([0xaa; 16]);
const FIRST: Marker = Marker::Genesis(LINEAGE);

/// A folder at COMMITTED(0), with or without a prepared epoch 1.
fn facts(marker: Option<Marker>, committed: Option<Marker>, prepared: Prepared) -> Outcome {
    let folder = Folder { lineage: LINEAGE, committed, prepared, forwarded: None };
    Outcome::Facts(Box::new(Facts { marker, folder, sinks_untouched: true }))
}

fn epoch_one() -> Identity {
    Identity { lineage: LINEAGE, epoch: Epoch(1), attempt: Attempt(7), checksum: Checksum(9) }
}

fn prepared() -> Prepared {
    Prepared::Valid { identity: epoch_one(), base: FIRST }
}

/// Tells the outcomes one after another and lists the actions in between.
fn told(protocol: &mut Protocol, outcomes: impl IntoIterator<Item = Outcome>) -> Vec<&'static str> {
    let mut actions = vec![protocol.action().name()];
    for outcome in outcomes {
        protocol.observe(outcome).unwrap();
        actions.push(protocol.action().name());
    }
    actions
}

/// A process that waits for epoch 1.
fn waiting(point: CommitPoint) -> Protocol {
    let mut protocol = Protocol::new(point, Start::Ordinary);
    let read = || facts((point == CommitPoint::Transaction).then_some(FIRST), Some(FIRST), Prepared::Absent);
    match point {
        CommitPoint::Transaction => told(&mut protocol, [Outcome::Done, read(), Outcome::Done, read()]),
        CommitPoint::Manifest | CommitPoint::Prepared => told(&mut protocol, [Outcome::Done, read()]),
    };
    assert_eq!(*protocol.action(), Action::Wait { committed: FIRST });
    protocol
}

/// A process whose first commit is called.
fn committing() -> Protocol {
    let mut protocol = waiting(CommitPoint::Transaction);
    told(&mut protocol, [Outcome::EpochDue(Attempt(7)), Outcome::Done, Outcome::Prepared(Checksum(9)), Outcome::Done]);
    assert_eq!(*protocol.action(), Action::Commit(Purpose::Epoch { identity: epoch_one(), base: FIRST }));
    protocol
}

fn failure(protocol: &Protocol) -> String {
    match protocol.action() {
        Action::Stop(Stop::Failed(failure)) => failure.to_string(),
        action => panic!("not stopped: {action:?}"),
    }
}

#[test]
fn a_new_life_commits_its_marker_before_anything_else() {
    let mut protocol = Protocol::new(CommitPoint::Transaction, Start::Ordinary);
    let new = || facts(None, None, Prepared::Absent);
    assert_eq!(
        told(&mut protocol, [Outcome::Done, new(), Outcome::Done, new(), Outcome::Done, Outcome::Done, Outcome::Done]),
        [
            "lock the state folder",
            "read the marker before the fence",
            "fence other producers",
            "read the marker",
            "put the marker into the transaction",
            "commit the transaction",
            "write COMMITTED(0)",
            "wait for the trigger",
        ]
    );
}

#[test]
fn an_epoch_is_prepared_before_its_commit_and_forwarded_before_the_next() {
    let mut protocol = waiting(CommitPoint::Transaction);
    let mut outcomes = vec![Outcome::EpochDue(Attempt(7)), Outcome::Done, Outcome::Prepared(Checksum(9))];
    outcomes.extend(std::iter::repeat_n(Outcome::Done, 7));
    assert_eq!(
        told(&mut protocol, outcomes),
        [
            "wait for the trigger",
            "stage an epoch",
            "write the PREPARED record",
            "put the marker into the transaction",
            "commit the transaction",
            "apply the state",
            "publish the files",
            "write the manifest",
            "deliver the outbox",
            "write FORWARDED",
            "wait for the trigger",
        ]
    );
    assert_eq!(*protocol.action(), Action::Wait { committed: Marker::Epoch(epoch_one()) });
}

#[test]
fn without_kafka_prepared_is_the_commit_point() {
    for point in [CommitPoint::Prepared, CommitPoint::Manifest] {
        let mut protocol = waiting(point);
        let outcomes = [Outcome::EpochDue(Attempt(7)), Outcome::Done, Outcome::Prepared(Checksum(9))];
        let actions = told(&mut protocol, outcomes);
        assert_eq!(actions, ["wait for the trigger", "stage an epoch", "write the PREPARED record", "apply the state"]);
        assert!(waiting(point).observe(Outcome::RenewalDue).is_err());
    }
}

#[test]
fn a_commit_without_an_answer_is_asked_for_behind_a_fence() {
    let mut protocol = committing();
    let outcomes = [Outcome::NoAnswer, Outcome::Done, facts(Some(Marker::Epoch(epoch_one())), Some(FIRST), prepared())];
    let actions = told(&mut protocol, outcomes);
    assert_eq!(actions[1..], ["fence other producers", "read the marker", "apply the state"]);

    let mut protocol = committing();
    let outcomes = [Outcome::NoAnswer, Outcome::Done, facts(Some(FIRST), Some(FIRST), prepared()), Outcome::Done, Outcome::Done];
    let actions = told(&mut protocol, outcomes);
    assert_eq!(actions[3..], ["delete staged files", "drop the PREPARED record", "wait for the trigger"]);
}

#[test]
fn a_torn_record_is_dropped() {
    let mut protocol = Protocol::new(CommitPoint::Transaction, Start::Ordinary);
    let torn = || facts(Some(FIRST), Some(FIRST), Prepared::Torn);
    told(&mut protocol, [Outcome::Done, torn(), Outcome::Done, torn()]);
    assert_eq!(*protocol.action(), Action::DropPrepared { committed: FIRST });
}

#[test]
fn a_new_life_waits_for_sources_that_do_not_say_where_they_begin() {
    let mut protocol = Protocol::new(CommitPoint::Transaction, Start::Ordinary);
    let adopted = || facts(Some(FIRST), None, Prepared::Absent);
    told(&mut protocol, [Outcome::Done, adopted(), Outcome::Done, adopted(), Outcome::NoAnswer]);
    assert_eq!(*protocol.action(), Action::WriteFirst(LINEAGE));
}

#[test]
fn a_commit_that_was_called_again_costs_the_producer() {
    let mut protocol = committing();
    let mut outcomes = vec![Outcome::Retriable, Outcome::Retriable];
    outcomes.extend(std::iter::repeat_n(Outcome::Done, 6));
    let actions = told(&mut protocol, outcomes);
    assert_eq!(actions[..4], ["commit the transaction", "commit the transaction", "commit the transaction", "apply the state"]);
    assert_eq!(actions[7..], ["write FORWARDED", "fence other producers"]);
}

#[test]
fn an_abort_without_an_answer_costs_the_producer() {
    let mut protocol = waiting(CommitPoint::Transaction);
    let actions = told(&mut protocol, [Outcome::EpochDue(Attempt(7)), Outcome::GivenUp, Outcome::NoAnswer]);
    assert_eq!(actions[1..], ["stage an epoch", "abort an epoch", "fence other producers"]);
}

#[test]
fn an_epoch_that_is_given_up_is_made_again_on_the_same_base() {
    let mut protocol = waiting(CommitPoint::Transaction);
    told(&mut protocol, [Outcome::EpochDue(Attempt(7)), Outcome::Done, Outcome::Prepared(Checksum(9)), Outcome::GivenUp]);
    assert_eq!(*protocol.action(), Action::Abort(Draft { base: FIRST, attempt: Attempt(7) }));
    told(&mut protocol, [Outcome::Done, Outcome::EpochDue(Attempt(8))]);
    assert_eq!(*protocol.action(), Action::Stage(Draft { base: FIRST, attempt: Attempt(8) }));
}

#[test]
fn a_renewal_commits_the_marker_of_the_last_epoch() {
    let mut protocol = committing();
    told(&mut protocol, std::iter::repeat_n(Outcome::Done, 6));
    let last = Marker::Epoch(epoch_one());
    protocol.observe(Outcome::RenewalDue).unwrap();
    assert_eq!(*protocol.action(), Action::Mark(Purpose::Renew(last)));
    told(&mut protocol, [Outcome::Done, Outcome::Done]);
    assert_eq!(*protocol.action(), Action::Wait { committed: last });
}

#[test]
fn an_assumption_only_writes_the_marker() {
    let mut protocol = Protocol::new(CommitPoint::Transaction, Start::Assume(Verdict::Committed));
    let gone = || facts(None, Some(FIRST), prepared());
    told(&mut protocol, [Outcome::Done, gone(), Outcome::Done, gone(), Outcome::Done, Outcome::NoAnswer, Outcome::Done]);
    assert_eq!(*protocol.action(), Action::Ask);
    told(&mut protocol, [gone(), Outcome::Done, Outcome::Done]);
    assert_eq!(*protocol.action(), Action::Stop(Stop::Restored(Marker::Epoch(epoch_one()))));
}

#[test]
fn a_start_that_is_refused_fences_nobody() {
    let mut protocol = Protocol::new(CommitPoint::Transaction, Start::Ordinary);
    let beyond = facts(Some(Marker::Epoch(epoch_one())), Some(FIRST), Prepared::Absent);
    assert_eq!(told(&mut protocol, [Outcome::Done, beyond]), ["lock the state folder", "read the marker before the fence", "stop"]);
    assert!(failure(&protocol).contains("another copy of this folder has gone on"));
}

#[test]
fn a_failed_write_poisons_the_pipeline_for_good() {
    let mut protocol = waiting(CommitPoint::Transaction);
    told(&mut protocol, [Outcome::EpochDue(Attempt(7)), Outcome::Done, Outcome::WriteFailed]);
    assert_eq!(
        failure(&protocol),
        "a durable write failed while about to write the PREPARED record: the pipeline has stopped and does not try again; mend \
         the disk and start again: the next start decides by what is there"
    );
    for outcome in [Outcome::Done, Outcome::Prepared(Checksum(9)), Outcome::WriteFailed, Outcome::NoAnswer] {
        assert!(protocol.observe(outcome).is_err());
    }
}

#[test]
fn a_fenced_pipeline_says_both_causes_and_the_age() {
    let mut protocol = committing();
    protocol.observe(Outcome::Fenced { transaction_age: Some(Duration::from_millis(63_250)) }).unwrap();
    assert_eq!(
        failure(&protocol),
        "fenced while about to commit the transaction: either a second process runs this pipeline, or the transaction (open for \
         63.2 s) was older than its `transaction.timeout.ms`; stop the second process, or make epochs smaller or the timeout \
         larger, and start again: the next start decides by the marker"
    );
}

#[test]
fn a_held_folder_is_left_alone() {
    let mut protocol = Protocol::new(CommitPoint::Transaction, Start::Ordinary);
    protocol.observe(Outcome::Held).unwrap();
    assert_eq!(
        failure(&protocol),
        "the state folder, or the output folder, is locked by another process: stop that one, or give this pipeline its own \
         `state_dir`"
    );
}

#[test]
fn an_outcome_out_of_turn_changes_nothing() {
    let mut protocol = committing();
    let before = protocol.clone();
    for outcome in [Outcome::GivenUp, Outcome::Held, Outcome::WriteFailed, Outcome::StopAsked, Outcome::EpochDue(Attempt(1))] {
        protocol.observe(outcome).unwrap_err();
    }
    let error = protocol.observe(Outcome::Prepared(Checksum(1))).unwrap_err();
    assert_eq!(error.to_string(), "`Prepared(0000000000000001)` is no outcome of the step to commit the transaction: this is a defect of the driver");
    assert_eq!(protocol, before);
}
