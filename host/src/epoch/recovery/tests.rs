#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]

use super::*;
use crate::epoch::commit::{Attempt, Checksum};

const OURS: Lineage = Lineage::from_bytes([0xaa; 16]);
const THEIRS: Lineage = Lineage::from_bytes([0xbb; 16]);

fn identity(epoch: u64, attempt: u64) -> Identity {
    Identity { lineage: OURS, epoch: Epoch(epoch), attempt: Attempt(attempt), checksum: Checksum(epoch) }
}

fn marker(epoch: u64, attempt: u64) -> Marker {
    Marker::Epoch(identity(epoch, attempt))
}

fn valid(epoch: u64, attempt: u64, base: Marker) -> Prepared {
    Prepared::Valid { identity: identity(epoch, attempt), base }
}

/// A folder that has committed and forwarded epoch 4.
fn at_four(prepared: Prepared) -> Folder {
    Folder { lineage: OURS, committed: Some(marker(4, 1)), prepared, forwarded: Some(identity(4, 1)) }
}

fn new_folder() -> Folder {
    Folder { lineage: OURS, committed: None, prepared: Prepared::Absent, forwarded: None }
}

fn facts(marker: Option<Marker>, folder: Folder) -> Facts {
    Facts { marker, folder, sinks_untouched: false }
}

fn run(facts: &Facts) -> Result<Decision, Box<Refusal>> {
    decide(CommitPoint::Transaction, Start::Ordinary, facts)
}

fn assume(verdict: Verdict, facts: &Facts) -> Result<Decision, Box<Refusal>> {
    decide(CommitPoint::Transaction, Start::Assume(verdict), facts)
}

fn words(result: Result<impl fmt::Debug, Box<Refusal>>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_marker_that_is_prepared_rolls_it_forward() {
    let folder = at_four(valid(5, 7, marker(4, 1)));
    assert_eq!(run(&facts(Some(marker(5, 7)), folder)), Ok(Decision::Forward(identity(5, 7))));
}

#[test]
fn a_committed_epoch_that_is_not_forwarded_is_rolled_forward_again() {
    let folder = Folder { lineage: OURS, committed: Some(marker(5, 7)), prepared: valid(5, 7, marker(4, 1)), forwarded: Some(identity(4, 1)) };
    assert_eq!(run(&facts(Some(marker(5, 7)), folder)), Ok(Decision::Forward(identity(5, 7))));
}

#[test]
fn a_forwarded_epoch_is_not_delivered_again() {
    let folder = Folder { forwarded: Some(identity(4, 1)), ..at_four(valid(4, 1, marker(3, 1))) };
    let resume = Decision::Resume { committed: marker(4, 1), discard: Prepared::Absent };
    assert_eq!(run(&facts(Some(marker(4, 1)), folder)), Ok(resume));
}

#[test]
fn a_prepared_epoch_that_did_not_commit_is_discarded() {
    for discard in [Prepared::Absent, Prepared::Torn, valid(5, 7, marker(4, 1))] {
        let resume = Decision::Resume { committed: marker(4, 1), discard };
        assert_eq!(run(&facts(Some(marker(4, 1)), at_four(discard))), Ok(resume));
    }
}

#[test]
fn another_attempt_of_the_same_epoch_is_not_ours() {
    let other = facts(Some(marker(5, 8)), at_four(valid(5, 7, marker(4, 1))));
    assert!(matches!(*run(&other).unwrap_err(), Refusal::Differs { .. }));
}

#[test]
fn a_new_folder_begins_when_nobody_has_rows_or_the_operator_says_so() {
    let mut untouched = facts(None, new_folder());
    untouched.sinks_untouched = true;
    assert_eq!(run(&untouched), Ok(Decision::Begin(OURS)));
    assert_eq!(decide(CommitPoint::Transaction, Start::New, &facts(None, new_folder())), Ok(Decision::Begin(OURS)));
    let foreign = facts(Some(Marker::Genesis(THEIRS)), new_folder());
    assert_eq!(peek(Start::New, &foreign), Ok(()));
    assert_eq!(decide(CommitPoint::Transaction, Start::New, &foreign), Ok(Decision::Begin(OURS)));
}

#[test]
fn a_new_life_does_not_begin_twice_in_one_lineage() {
    let overtaken = facts(Some(marker(3, 1)), new_folder());
    assert!(matches!(*peek(Start::New, &overtaken).unwrap_err(), Refusal::Overtaken { .. }));
    assert!(decide(CommitPoint::Transaction, Start::New, &overtaken).is_err());
}

#[test]
fn the_first_marker_without_committed_is_adopted() {
    assert_eq!(run(&facts(Some(Marker::Genesis(OURS)), new_folder())), Ok(Decision::Adopt(OURS)));
}

#[test]
fn the_beginning_needs_no_forwarded() {
    let folder = Folder { committed: Some(Marker::Genesis(OURS)), ..new_folder() };
    let resume = Decision::Resume { committed: Marker::Genesis(OURS), discard: Prepared::Absent };
    assert_eq!(run(&facts(Some(Marker::Genesis(OURS)), folder)), Ok(resume));
}

#[test]
fn the_look_before_the_fence_lets_everything_pass_that_may_still_turn_out_well() {
    let folder = at_four(valid(5, 7, marker(4, 1)));
    for marker in [None, Some(marker(4, 1)), Some(marker(5, 7)), Some(marker(5, 8)), Some(Marker::Genesis(OURS))] {
        assert_eq!(peek(Start::Ordinary, &facts(marker, folder.clone())), Ok(()));
    }
    assert!(peek(Start::Ordinary, &facts(Some(marker(6, 1)), folder.clone())).is_err());
    assert!(peek(Start::Ordinary, &facts(Some(marker(5, 7)), at_four(Prepared::Torn))).is_err());
    assert!(peek(Start::New, &facts(Some(Marker::Genesis(THEIRS)), folder)).is_err());
}

#[test]
fn an_assumption_writes_the_marker_that_is_gone() {
    let gone = facts(None, at_four(valid(5, 7, marker(4, 1))));
    assert_eq!(assume(Verdict::Committed, &gone), Ok(Decision::Restore(marker(5, 7))));
    assert_eq!(assume(Verdict::Aborted, &gone), Ok(Decision::Restore(marker(4, 1))));
    let back = facts(Some(marker(5, 7)), at_four(valid(5, 7, marker(4, 1))));
    assert_eq!(assume(Verdict::Committed, &back), Ok(Decision::Restored(marker(5, 7))));
}

#[test]
fn without_kafka_a_whole_prepared_has_happened() {
    let decide = |point, marker, folder| decide(point, Start::Ordinary, &facts(marker, folder));
    for (point, listed) in [(CommitPoint::Prepared, None), (CommitPoint::Manifest, Some(marker(4, 1)))] {
        assert_eq!(decide(point, listed, at_four(valid(5, 7, marker(4, 1)))), Ok(Decision::Forward(identity(5, 7))));
        let resume = Decision::Resume { committed: marker(4, 1), discard: Prepared::Torn };
        assert_eq!(decide(point, listed, at_four(Prepared::Torn)), Ok(resume));
        assert_eq!(decide(point, None, new_folder()), Ok(Decision::Adopt(OURS)));
    }
}

#[test]
fn a_manifest_must_end_with_committed_prepared_or_its_base() {
    let decide = |marker, folder| decide(CommitPoint::Manifest, Start::Ordinary, &facts(marker, folder));
    let applied = Folder { committed: Some(marker(5, 7)), prepared: valid(5, 7, marker(4, 1)), forwarded: Some(identity(4, 1)), ..new_folder() };
    for listed in [marker(4, 1), marker(5, 7)] {
        assert_eq!(decide(Some(listed), applied.clone()), Ok(Decision::Forward(identity(5, 7))));
    }
    for listed in [None, Some(marker(3, 1)), Some(marker(6, 1)), Some(Marker::Genesis(THEIRS))] {
        assert!(decide(listed, applied.clone()).is_err(), "{listed:?}");
    }
    let first = Folder { committed: Some(Marker::Genesis(OURS)), ..new_folder() };
    let resume = Decision::Resume { committed: Marker::Genesis(OURS), discard: Prepared::Absent };
    assert_eq!(decide(None, first), Ok(resume));
}

const OUR_UUID: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";
const THEIR_UUID: &str = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb";
const FOUR: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa/4/0000000000000001/0000000000000004";
const FIVE: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa/5/0000000000000007/0000000000000005";

#[test]
fn a_foreign_marker_is_refused_in_words() {
    let foreign = facts(Some(Marker::Genesis(THEIRS)), at_four(Prepared::Absent));
    let text = format!(
        "the pipeline's marker is `{THEIR_UUID}/0`, but the state folder belongs to lineage `{OUR_UUID}`: start it with the \
         state folder of lineage `{THEIR_UUID}`, or with an empty one and `weir run --new` (every row is then delivered again)"
    );
    assert_eq!(words(run(&foreign)), text);
    assert_eq!(words(peek(Start::Ordinary, &foreign)), text);
}

#[test]
fn a_new_folder_of_an_old_pipeline_is_refused_in_words() {
    let lost = facts(Some(Marker::Genesis(THEIRS)), new_folder());
    assert_eq!(
        words(run(&lost)),
        format!(
            "the pipeline's marker is `{THEIR_UUID}/0`, but the state folder is new (lineage `{OUR_UUID}`, nothing committed): \
             bring back the state folder of lineage `{THEIR_UUID}`, or begin a new life with `weir run --new` (every row is \
             then delivered again)"
        )
    );
}

#[test]
fn a_new_folder_with_touched_sinks_is_refused_in_words() {
    assert_eq!(
        words(run(&facts(None, new_folder()))),
        format!(
            "there is no marker and the state folder is new (lineage `{OUR_UUID}`, nothing committed), but the sinks have been \
             written to: a marker expires 7 days after the last run; if this pipeline ran before, bring back its state folder \
             and run `weir recover --assume`; if it did not, begin with `weir run --new`"
        )
    );
}

#[test]
fn a_missing_marker_is_refused_in_words() {
    assert_eq!(
        words(run(&facts(None, at_four(valid(5, 7, marker(4, 1)))))),
        format!(
            "there is no marker, but the state folder has committed `{FOUR}` and prepared `{FIVE}`: markers expire 7 days after \
             the last run; look into the output for the rows of the prepared epoch and run `weir recover --assume committed` if \
             they are there, `weir recover --assume aborted` if they are not"
        )
    );
}

#[test]
fn an_overtaken_folder_is_refused_in_words() {
    let overtaken = facts(Some(marker(5, 7)), at_four(Prepared::Torn));
    let text = format!(
        "the pipeline's marker is `{FIVE}`, but the state folder ends at `{FOUR}`: another copy of this folder has gone on; \
         start from that copy; if it is lost, use an empty state folder and `weir run --new` (every row is then delivered again)"
    );
    assert_eq!(words(run(&overtaken)), text);
    assert_eq!(words(peek(Start::Ordinary, &overtaken)), text);
}

#[test]
fn a_marker_that_names_neither_record_is_refused_in_words() {
    let back = facts(Some(Marker::Genesis(OURS)), at_four(Prepared::Absent));
    assert_eq!(
        words(run(&back)),
        format!(
            "the pipeline's marker is `{OUR_UUID}/0`, but the state folder has committed `{FOUR}` and prepared nothing: another \
             copy of this folder has gone on, or the marker was set back; start from the folder whose epoch the marker names; \
             if it is lost, use an empty state folder and `weir run --new` (every row is then delivered again)"
        )
    );
}

#[test]
fn a_record_on_another_base_is_refused_in_words() {
    let base = Marker::Genesis(OURS);
    assert_eq!(
        words(run(&facts(Some(marker(5, 7)), at_four(valid(5, 7, base))))),
        format!(
            "the PREPARED record `{FIVE}` was made on `{OUR_UUID}/0`, but the state folder has committed `{FOUR}`: its files \
             are not of one moment; restore all of the state folder from one snapshot"
        )
    );
}

#[test]
fn a_committed_epoch_without_its_record_is_refused_in_words() {
    let half = Folder { forwarded: None, ..at_four(Prepared::Torn) };
    assert_eq!(
        words(run(&facts(Some(marker(4, 1)), half))),
        format!(
            "the state folder has committed `{FOUR}`, which is not FORWARDED, but prepared a torn record: what was left to \
             deliver is lost, its files are not of one moment; restore all of the state folder from one snapshot"
        )
    );
}

#[test]
fn an_assumption_against_a_marker_is_refused_in_words() {
    let there = facts(Some(marker(4, 1)), at_four(valid(5, 7, marker(4, 1))));
    let text = format!(
        "`--assume` would write the marker `{FIVE}`, but the marker is there and is `{FOUR}`: nothing has to be assumed; run \
         `weir run`, which decides by it"
    );
    assert_eq!(words(assume(Verdict::Committed, &there)), text);
    assert_eq!(words(peek(Start::Assume(Verdict::Committed), &there)), text);
}

#[test]
fn an_assumption_without_an_epoch_in_doubt_is_refused_in_words() {
    assert_eq!(
        words(assume(Verdict::Committed, &facts(None, at_four(Prepared::Torn)))),
        format!(
            "`--assume committed` needs a whole PREPARED record, but the state folder has prepared a torn record and committed \
             `{FOUR}`: no commit was asked for after that; run `weir recover --assume aborted`"
        )
    );
}

#[test]
fn an_assumption_about_an_empty_folder_is_refused_in_words() {
    assert_eq!(
        words(assume(Verdict::Aborted, &facts(None, new_folder()))),
        format!(
            "`weir recover --assume` needs a state folder with a past, but this one (lineage `{OUR_UUID}`) has committed nothing \
             and prepared nothing: bring back the right state folder, or begin with `weir run`"
        )
    );
}

#[test]
fn an_assumption_without_kafka_is_refused_in_words() {
    let start = Start::Assume(Verdict::Aborted);
    assert_eq!(
        words(decide(CommitPoint::Manifest, start, &facts(None, at_four(Prepared::Absent)))),
        "`weir recover --assume` writes a marker into Kafka, but this pipeline has no Kafka: its PREPARED record is the commit \
         point; run `weir run`"
    );
}

#[test]
fn an_output_folder_in_use_is_refused_in_words() {
    let used = facts(Some(Marker::Genesis(THEIRS)), new_folder());
    assert_eq!(
        words(decide(CommitPoint::Manifest, Start::New, &used)),
        format!(
            "the manifest of the output folder ends with `{THEIR_UUID}/0`, but the state folder is new (lineage `{OUR_UUID}`, \
             nothing committed): bring back the state folder of lineage `{THEIR_UUID}`, or give the file sink an empty output \
             folder"
        )
    );
}
