#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use serde_json::json;

use super::*;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const UPDATE: Rules = Rules { delay_us: MINUTE, window_us: MINUTE, mode: Mode::Update };
const APPEND: Rules = Rules { mode: Mode::Append, ..UPDATE };

fn stored(partition: i32, offset: i64, value: &Value) -> Stored {
    Stored { partition, offset, value: Some(value.to_string().into_bytes()) }
}

fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap().to_string()
}

/// A click of `revenue` at `seconds`.
fn click(partition: i32, offset: i64, seconds: i64, user: &str, revenue: f64) -> Stored {
    let event = json!({"event_id": "E1", "timestamp": time(seconds).trim_end_matches('Z'), "user_id": user, "campaign_id": "C001", "ad_format": "banner",
        "country": "UK", "device": null, "event_type": "click", "revenue": revenue});
    stored(partition, offset, &event)
}

/// A row of the output for the window that begins at `seconds`.
fn row(offset: i64, seconds: i64, count: u64, revenue: f64) -> Stored {
    let row = json!({"window_start": time(seconds), "window_end": time(seconds + 60), "event_type": "click", "country": "UK", "ad_format": "banner",
        "event_count": count, "avg_revenue": revenue / count as f64, "total_revenue": revenue});
    stored(0, offset, &row)
}

fn letter(offset: i64, partition: i32, of: i64) -> Stored {
    stored(0, offset, &json!({"kind": "row", "code": "any", "source": {"topic": "ads", "partition": partition, "offset": of}}))
}

/// An epoch that read `[from, to)` of partition 0 and all ten of partition 1 with it when it is the first.
fn epoch(number: u64, from: i64, to: i64, late: u64, watermark_s: i64) -> String {
    let other = if number == 1 { [0, 10] } else { [10, 10] };
    json!({"batchId": number, "eventTime": {"watermark": time(watermark_s)}, "weir": {"lateRows": late}, "sources": [
        {"startOffset": {"ads": {"0": from, "1": other[0]}}, "endOffset": {"ads": {"0": to, "1": other[1]}}}]})
    .to_string()
        + "\n"
}

/// Two partitions. The first one's events: five in the first minute, one of a robot, one rejected, one broken; four minutes later two; then one for the first
/// minute, which is late. The second one's: ten in the first minute. The second epoch is the late row's; the third has no data and closes the first minute.
fn good() -> Evidence {
    let mut input: Vec<_> = (0..5).map(|i| click(0, i, i, "U1", 0.5)).collect();
    input.push(click(0, 5, 5, "BOT1", 0.5));
    input.push(click(0, 6, 6, "U1", -0.5));
    input.push(Stored { partition: 0, offset: 7, value: Some(b"{oops".to_vec()) });
    input.extend([click(0, 8, 240, "U1", 1.0), click(0, 9, 241, "U1", 1.0), click(0, 10, 7, "U1", 0.5)]);
    input.extend((0..10).map(|i| click(1, i, i, "U2", 0.25)));
    let output = vec![row(0, 0, 9, 3.5), row(1, 0, 15, 5.0), row(2, 240, 2, 2.0)];
    Evidence {
        input,
        output_uncommitted: output.clone(),
        output,
        dead_letters: vec![letter(0, 0, 7), letter(1, 0, 6)],
        progress: epoch(1, 0, 10, 0, 0) + &epoch(2, 10, 11, 1, 180) + &epoch(3, 11, 11, 0, 181),
    }
}

/// The same with the output of append mode: the first minute once, the other one not yet.
fn good_append() -> Evidence {
    let output = vec![row(0, 0, 15, 5.0)];
    Evidence { output_uncommitted: output.clone(), output, ..good() }
}

fn first() -> Group {
    Group { window_start_us: 0, key: ["click".into(), "UK".into(), "banner".into()] }
}

fn faults(rules: Rules, spoil: impl FnOnce(&mut Evidence)) -> Vec<Fault> {
    let mut evidence = if rules.mode == Mode::Append { good_append() } else { good() };
    spoil(&mut evidence);
    check(&evidence, &rules).faults
}

#[test]
fn a_faithful_run_has_no_faults_and_every_event_is_accounted_for() {
    for (evidence, rules) in [(good(), UPDATE), (good_append(), APPEND)] {
        let report = check(&evidence, &rules).into_result().unwrap();
        assert_eq!((report.input_records, report.counted, report.dropped, report.dead, report.late), (21, 18, 1, 2, 1));
        assert!(report.progress_is_whole);
    }
    assert_eq!(check(&good(), &UPDATE).delivered, 17);
}

#[test]
fn a_lost_row_is_missed() {
    // Fifteen rows were counted; one of them is gone, and lateness explains only the one that is late already.
    let lost = faults(UPDATE, |evidence| evidence.output[1] = row(1, 0, 14, 4.5));
    assert_eq!(lost, [Fault::Missing { group: first(), input: 16, delivered: 14, may_be_late: 1 }, Fault::LateTotal { missing: 2, late: 1, whole: true }]);
    let lost = faults(UPDATE, |evidence| evidence.output.truncate(2));
    assert!(matches!(lost.as_slice(), [Fault::Missing { delivered: 0, input: 2, .. }, Fault::LateTotal { .. }]), "{lost:?}");
}

#[test]
fn a_row_that_is_late_by_its_time_but_was_not_counted_as_late_is_missed() {
    let lost = faults(UPDATE, |evidence| evidence.progress = evidence.progress.replace(r#""lateRows":1"#, r#""lateRows":0"#));
    assert_eq!(lost, [Fault::LateTotal { missing: 1, late: 0, whole: true }]);
}

#[test]
fn a_row_that_was_called_late_within_the_delay_is_found_although_the_totals_agree() {
    let late = faults(UPDATE, |evidence| {
        evidence.output[2] = row(2, 240, 1, 1.0);
        evidence.progress = evidence.progress.replace(r#""lateRows":1"#, r#""lateRows":2"#);
    });
    assert!(matches!(late.as_slice(), [Fault::Missing { input: 2, delivered: 1, may_be_late: 0, .. }]), "{late:?}");
}

#[test]
fn a_row_exactly_as_late_as_the_delay_allows_may_be_late_and_one_second_less_may_not() {
    // The first minute ends at 60 s; the delay is 60 s: closed when an event of 120 s came before in the partition.
    for (newest, may_be_late) in [(120, 1), (119, 0)] {
        let input = [click(0, 0, newest, "U1", 0.5), click(0, 1, 59, "U1", 0.5)];
        let counted = Input::count(&input, &UPDATE);
        assert_eq!(counted.groups[&first()].may_be_late, may_be_late, "{newest}");
    }
}

#[test]
fn another_partition_makes_no_row_late() {
    let counted = Input::count(&[click(0, 0, 600, "U1", 0.5), click(1, 0, 1, "U2", 0.5)], &UPDATE);
    assert_eq!(counted.groups[&first()].may_be_late, 0);
}

#[test]
fn an_epoch_that_was_delivered_twice_is_found_by_committed_readers_and_only_told_of_for_uncommitted_ones() {
    let twice = |records: &mut Vec<Stored>| records.insert(2, row(2, 0, 15, 5.0));
    let doubled = faults(UPDATE, |evidence| twice(&mut evidence.output));
    assert_eq!(doubled, [Fault::Doubled { group: first(), partition: 0, offset: 2 }]);
    let mut evidence = good();
    twice(&mut evidence.output_uncommitted);
    let report = check(&evidence, &UPDATE).into_result().unwrap();
    assert_eq!((report.aborted_rows, report.doubled_uncommitted), (1, 1));
}

#[test]
fn rows_that_were_counted_twice_are_found() {
    let counted = faults(UPDATE, |evidence| evidence.output.push(row(3, 240, 4, 4.0)));
    assert!(matches!(counted.as_slice(), [Fault::TooMany { input: 2, delivered: 4, .. }]), "{counted:?}");
    let invented = faults(UPDATE, |evidence| evidence.output.push(row(3, 600, 1, 1.0)));
    assert!(matches!(invented.as_slice(), [Fault::TooMany { input: 0, delivered: 1, .. }]), "{invented:?}");
}

#[test]
fn in_append_mode_a_group_comes_once() {
    let again = faults(APPEND, |evidence| evidence.output.push(row(1, 0, 15, 5.0)));
    assert_eq!(again, [Fault::Doubled { group: first(), partition: 0, offset: 1 }]);
    let in_pieces = faults(APPEND, |evidence| evidence.output = vec![row(0, 0, 9, 3.5), row(1, 0, 15, 5.0)]);
    assert_eq!(in_pieces, [Fault::Doubled { group: first(), partition: 0, offset: 1 }]);
}

#[test]
fn in_append_mode_a_closed_window_must_be_there_and_an_open_one_must_not() {
    let lost = faults(APPEND, |evidence| evidence.output.clear());
    assert!(matches!(lost.as_slice(), [Fault::Missing { input: 16, delivered: 0, .. }, Fault::LateTotal { .. }]), "{lost:?}");
    let early = faults(APPEND, |evidence| evidence.output.push(row(1, 240, 2, 2.0)));
    assert!(matches!(early.as_slice(), [Fault::Early { .. }]), "{early:?}");
}

#[test]
fn a_wrong_sum_is_found_where_no_row_is_late() {
    let wrong = faults(UPDATE, |evidence| evidence.output[2] = row(2, 240, 2, 2.01));
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong.iter().all(|fault| matches!(fault, Fault::WrongRevenue { .. })));
    assert_eq!(faults(UPDATE, |evidence| evidence.output[2] = row(2, 240, 2, 2.000_04)), []);
}

#[test]
fn dead_letters_are_exactly_what_could_not_go_on() {
    assert_eq!(faults(UPDATE, |evidence| drop(evidence.dead_letters.pop())), [Fault::DeadLetterMissing { partition: 0, offset: 6 }]);
    let again = faults(UPDATE, |evidence| evidence.dead_letters.push(letter(2, 0, 7)));
    assert_eq!(again, [Fault::DeadLetterDoubled { partition: 0, offset: 7 }]);
    let robot = faults(UPDATE, |evidence| evidence.dead_letters.push(letter(2, 0, 5)));
    assert!(matches!(robot.as_slice(), [Fault::DeadLetterUnexpected { .. }]), "{robot:?}");
}

#[test]
fn where_a_kill_took_a_line_of_progress_the_late_rows_are_a_lower_bound_and_no_window_may_lose_more() {
    let torn = |evidence: &mut Evidence| evidence.progress = epoch(1, 0, 10, 0, 0) + "{\"batchId\":2,\"weir\":{\"la";
    assert_eq!(faults(UPDATE, torn), []);
    let lost = faults(UPDATE, |evidence| {
        torn(evidence);
        evidence.output[1] = row(1, 0, 14, 4.5);
    });
    assert!(matches!(lost.as_slice(), [Fault::Missing { .. }]), "{lost:?}");
}

#[test]
fn two_epochs_that_read_the_same_records_and_a_watermark_that_goes_back_are_found() {
    let twice = faults(UPDATE, |evidence| evidence.progress = epoch(1, 0, 10, 0, 0) + &epoch(2, 9, 11, 1, 180));
    assert_eq!(twice, [Fault::ReadTwice { partition: 0, offset: 9 }]);
    let back = faults(UPDATE, |evidence| evidence.progress += &epoch(4, 11, 11, 0, 170));
    assert_eq!(back, [Fault::WatermarkWentBack { epoch: 4 }]);
}

#[test]
fn a_report_says_in_words_where_and_what() {
    let mut evidence = good();
    evidence.output[1] = row(1, 0, 14, 4.5);
    let words = check(&evidence, &UPDATE).into_result().unwrap_err().to_string();
    assert!(words.contains("1970-01-01T00:00:00Z click/UK/banner: 2 of 16 rows are missing, and only 1 of them may be late"), "{words}");
}
