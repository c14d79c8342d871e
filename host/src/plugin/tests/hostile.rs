//! Every way in which a guest can misbehave, by name.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::guest::{ANSWER, Act, Byte, Bytes, Guest, Item, List, Text, Word, column, computed, field, opened, passed, rejection, transformed};
use super::{CONTEXT, ENGINE, batch, limits, open, run};
use crate::plugin::{Aggregate, Blobs, Limits, OpenError, PluginError};

/// A transform that reads nothing, computes `x` and passes `name`.
fn computing(data_type: &'static str, nullable: bool, run: Act) -> Guest {
    Guest::transform(opened(&[], vec![computed("x", data_type, nullable), passed("name", 1)]), run)
}

/// A transform that passes `name`.
fn passing(run: Act) -> Guest {
    Guest::transform(opened(&[], vec![passed("name", 1)]), run)
}

fn code(text: &str) -> Act {
    Act::Code(text.to_owned())
}

/// The sentence that a broken answer comes to.
fn complaint(guest: &Guest) -> String {
    match run(guest) {
        Err(PluginError::BadOutput { place, what, .. }) => format!("{place}: {what}"),
        other => panic!("expected a broken contract, got {other:?}"),
    }
}

/// The sentence that an answer of `run` comes to, of a guest that computes `x`.
fn column_complaint(data_type: &'static str, nullable: bool, data: &[u8], offsets: &[u32], validity: &[u8]) -> String {
    complaint(&computing(data_type, nullable, transformed(vec![column(data, offsets, validity)], None, vec![])))
}

#[test]
fn a_trap_is_an_error_with_the_frames_that_led_to_it() {
    let guest = passing(code("(call $deep)")).with_extra("(func $deep (result i32) (call $deeper)) (func $deeper (result i32) unreachable)");
    match run(&guest) {
        Err(error @ PluginError::Trap { .. }) => {
            let text = error.to_string();
            assert!(text.starts_with("`run` of plugin `hostile` (") && text.contains("function `f`, trapped: wasm trap: wasm `unreachable`"), "{text}");
            assert!(text.lines().skip(1).all(|frame| frame.starts_with("    ")), "{text}");
            let PluginError::Trap { backtrace, .. } = error else { unreachable!() };
            assert!(backtrace.contains("deeper") && backtrace.lines().count() == 3, "{backtrace}");
            assert_eq!(text.lines().count(), 4, "the sentence and the frames: {text}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn endless_recursion_is_a_trap() {
    let guest = passing(code("(call $again)")).with_extra("(func $again (result i32) (i32.add (call $again) (i32.const 1)))");
    assert!(matches!(run(&guest), Err(PluginError::Trap { reason, .. }) if reason.contains("stack")));
}

#[test]
fn an_access_out_of_bounds_is_a_trap() {
    assert!(matches!(run(&passing(code("(i32.load (i32.const -8))"))), Err(PluginError::Trap { reason, .. }) if reason.contains("out of bounds")));
}

#[test]
fn an_endless_loop_passes_its_deadline() {
    let began = Instant::now();
    let error = run(&passing(code("(loop $l (br $l)) (i32.const 0)"))).unwrap_err();
    assert!(matches!(error, PluginError::Deadline { cpu, .. } if cpu > Duration::from_millis(100)), "{error}");
    assert!(began.elapsed() < Duration::from_secs(20), "two tries of 100 ms of CPU took {:?}", began.elapsed());
}

#[test]
fn the_wall_ends_a_call_that_the_cpu_does_not() {
    let limits = Limits { call_cpu: Duration::from_secs(60), call_wall: Duration::from_millis(50), ..limits() };
    let error = open(&passing(code("(loop $l (br $l)) (i32.const 0)")), &limits).run(&CONTEXT, &batch()).unwrap_err();
    assert!(matches!(error, PluginError::Deadline { wall, .. } if wall > Duration::from_millis(50)), "{error}");
}

#[test]
fn an_endless_start_function_passes_its_deadline_when_the_plugin_is_loaded() {
    // The limits of loading are the defaults: five seconds of CPU. A trap stands for it here.
    let guest = passing(transformed(vec![], None, vec![])).with_extra("(func $start unreachable) (start $start)");
    let error = ENGINE.load_bytes("start.wasm", &guest.build()).unwrap_err().to_string();
    assert!(error.contains("`instantiate` of plugin `start.wasm`") && error.contains("trapped"), "{error}");
}

#[test]
fn a_memory_bomb_hits_the_cap_and_can_not_talk_its_way_out() {
    // It asks for a page at a time and would answer well when it gets none.
    let answer = transformed(vec![], None, vec![]);
    let guest = passing(code("(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (i32.const 0)"));
    match run(&guest).unwrap_err() {
        PluginError::MemoryCap { wanted_bytes, allowed_bytes, .. } => assert_eq!((wanted_bytes, allowed_bytes), ((4 << 20) + (64 << 10), 4 << 20)),
        other => panic!("{other}"),
    }
    run(&passing(answer)).unwrap();
}

#[test]
fn a_memory_that_begins_beyond_the_cap_is_refused_when_it_is_opened() {
    let guest = passing(transformed(vec![], None, vec![])).with_pages(65);
    let plugin = ENGINE.load_bytes("large.wasm", &guest.build()).unwrap();
    let error = plugin.open_transform("f", &Value::Null, &batch().schema(), &limits()).unwrap_err();
    assert!(matches!(error, OpenError::Failed(PluginError::MemoryCap { .. })), "{error}");
}

#[test]
fn an_answer_beyond_the_output_cap_is_refused() {
    let store = |offset: u32, value: u32| format!("(i32.store offset={offset} (i32.const {ANSWER}) (i32.const {value}))");
    // One column, at the address that the answer begins with, of 400 KB.
    let text = [store(0, 0), store(4, 600), store(8, 1), store(12, 0), store(24, 0), store(28, 0)].concat();
    let column = "(i32.store (i32.const 600) (i32.const 0)) (i32.store (i32.const 604) (i32.const 400000))";
    let guest = computing("binary", false, code(&format!("{text} {column} (i32.const {ANSWER})")));
    let text = complaint(&guest);
    assert!(text.starts_with("the answer: it is larger than the ") && text.ends_with(" bytes that are allowed"), "{text}");
}

#[test]
fn rows_repeated_beyond_the_output_cap_are_refused() {
    // A row of 3 + 4 bytes, 900 times: 6,300 bytes a column.
    let limits = Limits { output_factor: 1, output_bytes: 7_000, ..limits() };
    let run = || transformed(vec![], Some(&[2; 900]), vec![]);
    assert_eq!(open(&passing(run()), &limits).run(&CONTEXT, &batch()).unwrap().rows.num_rows(), 900);
    let twice = Guest::transform(opened(&[], vec![passed("name", 1), passed("again", 1)]), run());
    match open(&twice, &limits).run(&CONTEXT, &batch()) {
        Err(PluginError::BadOutput { place, what, .. }) => {
            assert!(place == "`origin`" && what.starts_with("the rows that it repeats are 12600 bytes; allowed are 70"), "{place}: {what}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("12,600 bytes came out"),
    }
}

#[test]
fn too_few_and_too_many_columns_are_refused() {
    assert_eq!(complaint(&computing("int64", false, transformed(vec![], None, vec![]))), "the columns: there are 0, expected 1");
    let two = transformed(vec![column(&[0; 24], &[], &[]), column(&[0; 24], &[], &[])], None, vec![]);
    assert_eq!(complaint(&computing("int64", false, two)), "the columns: there are 2, expected 1");
}

#[test]
fn data_of_another_length_than_the_rows_is_refused() {
    assert_eq!(column_complaint("int64", false, &[0; 16], &[], &[]), "column `x`: its data has 16 bytes, expected 24 for 3 rows");
    assert_eq!(column_complaint("float64", false, &[0; 25], &[], &[]), "column `x`: its data has 25 bytes, expected 24 for 3 rows");
    assert_eq!(column_complaint("timestamp", false, &[], &[], &[]), "column `x`: its data has 0 bytes, expected 24 for 3 rows");
    assert_eq!(column_complaint("boolean", false, &[0; 3], &[], &[]), "column `x`: its data has 3 bytes, expected 1 for 3 rows");
    assert_eq!(column_complaint("boolean", false, &[0b1111], &[], &[]), "column `x`: its data has bits set past row 3");
    assert_eq!(column_complaint("int64", false, &[0; 24], &[0], &[]), "column `x`: it has 4 bytes of offsets, expected none");
}

#[test]
fn offsets_that_do_not_fit_their_data_are_refused() {
    let complaint = |offsets: &[u32]| column_complaint("utf8", false, b"abc", offsets, &[]);
    assert_eq!(complaint(&[]), "column `x`: there are 0 bytes of offsets, expected 16 for 3");
    assert_eq!(complaint(&[0, 1, 3]), "column `x`: there are 12 bytes of offsets, expected 16 for 3");
    assert_eq!(complaint(&[1, 1, 2, 3]), "column `x`: the first offset is not 0");
    assert_eq!(complaint(&[0, 2, 1, 3]), "column `x`: an offset falls");
    assert_eq!(complaint(&[0, 1, 2, 4]), "column `x`: the last offset is not 3, the length of the data");
    assert_eq!(complaint(&[0, 1, 2, 2]), "column `x`: the last offset is not 3, the length of the data");
    assert_eq!(complaint(&[0, 0x8000_0000, 0x8000_0000, 3]), "column `x`: an offset falls");
    assert!(run(&computing("binary", false, transformed(vec![column(b"abc", &[0, 1, 1, 3], &[])], None, vec![]))).is_ok());
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    assert!(column_complaint("utf8", false, b"a\xffc", &[0, 1, 2, 3], &[]).starts_with("column `x`: it is not UTF-8"));
    assert!(column_complaint("json", false, b"a\xffc", &[0, 1, 2, 3], &[]).starts_with("column `x`: it is not UTF-8"));
    // An offset within a character.
    assert!(column_complaint("utf8", false, "aé".as_bytes(), &[0, 2, 2, 3], &[]).starts_with("column `x`: it is not UTF-8"));
}

#[test]
fn a_bitmap_of_another_length_and_a_null_where_none_may_be_are_refused() {
    let three = [0_u8; 24];
    assert_eq!(column_complaint("int64", true, &three, &[], &[1, 1]), "column `x`: its validity has 2 bytes, expected 1 for 3 rows");
    assert_eq!(column_complaint("int64", true, &three, &[], &[0xff]), "column `x`: its validity has bits set past row 3");
    assert_eq!(column_complaint("int64", false, &three, &[], &[7]), "column `x`: it has a validity bitmap and is not nullable");
    assert!(run(&computing("int64", true, transformed(vec![column(&three, &[], &[5])], None, vec![]))).is_ok());
}

#[test]
fn an_origin_that_falls_or_leaves_the_input_is_refused() {
    let complaint = |origin: &[u32]| complaint(&passing(transformed(vec![], Some(origin), vec![])));
    assert_eq!(complaint(&[1, 0]), "`origin`: it falls");
    assert_eq!(complaint(&[0, 3]), "`origin`: it names row 3 of an input of 3");
    assert_eq!(complaint(&[u32::MAX]), "`origin`: it names row 4294967295 of an input of 3");
    let torn = Act::Answer(vec![Byte(0), List(vec![]), Byte(1), Bytes(vec![0; 6]), List(vec![])]);
    assert_eq!(super::hostile::complaint(&passing(torn)), "`origin`: it has 6 bytes, which is not a number of u32s");
}

#[test]
fn rejections_that_contradict_the_origin_are_refused() {
    let complaint = |origin: Option<&[u32]>, rows: &[u32]| complaint(&passing(transformed(vec![], origin, rows.iter().map(|row| rejection(*row)).collect())));
    assert_eq!(complaint(None, &[0]), "`rejected`: there are rejected rows, and no `origin`");
    assert_eq!(complaint(Some(&[0, 1]), &[3]), "`rejected`: it names row 3 of an input of 3");
    assert_eq!(complaint(Some(&[0, 1]), &[1]), "`rejected`: row 1 is rejected and comes out as well");
    assert_eq!(complaint(Some(&[0]), &[2, 1, 2]), "`rejected`: row 2 is rejected twice");
    let done = run(&passing(transformed(vec![], Some(&[0]), vec![rejection(2), rejection(1)]))).unwrap();
    assert_eq!(done.rejected.iter().map(|rejection| rejection.row).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn pointers_out_of_bounds_and_unknown_cases_break_the_contract() {
    let far = Act::Answer(vec![Byte(0), Word(0x7fff_0000), Word(1), Byte(0), Word(0), Word(0), Word(0), Word(0)]);
    assert!(complaint(&passing(far)).starts_with("the answer: "));
    assert!(complaint(&passing(Act::Answer(vec![Byte(9), Word(0), Word(0), Word(0), Word(0), Word(0), Word(0), Word(0)]))).starts_with("the answer: "));
    assert!(complaint(&passing(code("(i32.const 0x7fffffff)"))).starts_with("the answer: "));
}

#[test]
fn a_run_error_is_a_refusal_in_the_guests_own_words() {
    let error = run(&passing(Act::Answer(vec![Byte(1), Text("no such campaign")]))).unwrap_err();
    assert!(matches!(error, PluginError::Refused { ref reason, .. } if reason == "no such campaign"), "{error}");
    assert_eq!(error.code(), "refused");
}

#[test]
fn a_guest_that_fails_once_is_called_again_on_a_fresh_instance() {
    // Its second call traps: a leak in the runtime, as it were. The third is made on another instance, which knows nothing of the first two.
    let answer = "(i32.store (i32.const 512) (i32.const 0)) (i32.store (i32.const 516) (i32.const 0)) (i32.store (i32.const 520) (i32.const 0))
        (i32.store (i32.const 524) (i32.const 0)) (i32.store (i32.const 536) (i32.const 0)) (i32.store (i32.const 540) (i32.const 0)) (i32.const 512)";
    let count = "(global.set $calls (i32.add (global.get $calls) (i32.const 1))) (if (i32.gt_u (global.get $calls) (i32.const 1)) (then unreachable))";
    let transform = open(&passing(code(&format!("{count} {answer}"))).with_extra("(global $calls (mut i32) (i32.const 0))"), &limits());
    for _ in 0..3 {
        assert_eq!(transform.run(&CONTEXT, &batch()).unwrap().rows.num_rows(), 3);
    }
    let stats = transform.stats();
    assert_eq!((stats.calls, stats.retries, stats.failures, stats.instances), (3, 2, 0, 3));
}

#[test]
fn a_call_that_fails_twice_is_given_up_and_no_instance_that_failed_is_called_again() {
    for run in [code("unreachable"), Act::Answer(vec![Byte(1), Text("not today")]), transformed(vec![column(&[], &[], &[])], None, vec![])] {
        let transform = open(&passing(run), &limits());
        for calls in 1..=3 {
            transform.run(&CONTEXT, &batch()).unwrap_err();
            let stats = transform.stats();
            assert_eq!((stats.calls, stats.retries, stats.failures, stats.instances), (calls, calls, calls, 2 * calls));
        }
    }
}

#[test]
fn an_instance_whose_memory_grew_past_the_mark_is_not_used_again() {
    let answer = "(i32.store (i32.const 512) (i32.const 0)) (i32.store (i32.const 520) (i32.const 0))
        (i32.store (i32.const 524) (i32.const 0)) (i32.store (i32.const 540) (i32.const 0)) (i32.const 512)";
    let guest = passing(code(&format!("(drop (memory.grow (i32.const 10))) {answer}")));
    let transform = open(&guest, &Limits { recycle_memory_bytes: 2 << 20, ..limits() });
    // It begins with 512 KiB and grows by 640 KiB a call: past 2 MiB at the third.
    for _ in 0..6 {
        transform.run(&CONTEXT, &batch()).unwrap();
    }
    let stats = transform.stats();
    assert_eq!((stats.recycled, stats.instances, stats.retries), (2, 2, 0));
}

#[test]
fn opening_refuses_columns_that_are_not_there_names_that_are_there_twice_and_types_that_are_unknown() {
    let refusal = |opened: Vec<Item>| {
        let plugin = ENGINE.load_bytes("hostile.wasm", &Guest::transform(opened, code("unreachable")).build()).unwrap();
        match plugin.open_transform("f", &Value::Null, &batch().schema(), &limits()).unwrap_err() {
            OpenError::Failed(PluginError::BadOutput { place, what, .. }) => format!("{place}: {what}"),
            other => panic!("{other}"),
        }
    };
    assert_eq!(refusal(opened(&[0, 3], vec![])), "`reads`: it names column 3 of an input of 3");
    assert_eq!(refusal(opened(&[], vec![passed("y", 3)])), "output column `y`: it passes column 3 of an input of 3");
    assert_eq!(refusal(opened(&[], vec![passed("y", 0), computed("y", "int64", true)])), "the output schema: it has the column `y` twice");
    assert_eq!(
        refusal(opened(&[], vec![computed("y", "decimal", true)])),
        "output column `y`: its type is `decimal`; expected one of boolean, int64, float64, timestamp, utf8, binary, json"
    );
}

#[test]
fn opening_passes_on_what_the_guest_has_against_it() {
    let refusal = |answer: Vec<Item>| {
        let guest = passing(code("unreachable")).with("open", Act::Answer(answer));
        let plugin = ENGINE.load_bytes("hostile.wasm", &guest.build()).unwrap();
        plugin.open_transform("f", &Value::Null, &batch().schema(), &limits()).unwrap_err().to_string()
    };
    assert_eq!(refusal(vec![Byte(1), Byte(0)]), "plugin `hostile` has no transform `f`; it has `f`");
    assert_eq!(refusal(vec![Byte(1), Byte(1), Text("/prefix"), Text("expected text")]), "expected text, at `/prefix` of the config");
    assert_eq!(refusal(vec![Byte(1), Byte(2), Text("there is no column `cost`")]), "the input does not fit: there is no column `cost`");
    let plugin = ENGINE.load_bytes("hostile.wasm", &passing(code("unreachable")).build()).unwrap();
    let unknown = plugin.open_transform("g", &Value::Null, &batch().schema(), &limits()).unwrap_err();
    assert_eq!(unknown.to_string(), "plugin `hostile` has no transform `g`; it has `f`");
    let other_interface = plugin.open_aggregate("f", &Value::Null, &batch().schema(), &limits()).unwrap_err();
    assert_eq!(other_interface.to_string(), "plugin `hostile` has no aggregate `f`; it has none");
}

/// What `open` answers in an aggregate that makes no column.
fn aggregate_opened(output: Vec<Vec<Item>>) -> Vec<Item> {
    vec![List(vec![]), List(output), Word(3), Text("shape"), Byte(1)]
}

fn open_aggregate(guest: &Guest) -> Aggregate {
    let plugin = ENGINE.load_bytes("hostile.wasm", &guest.build()).unwrap();
    plugin.open_aggregate("f", &Value::Null, &batch().schema(), &limits()).unwrap()
}

fn states(states: &[&str]) -> Blobs {
    let mut blobs = Blobs::default();
    states.iter().for_each(|state| blobs.push(state.as_bytes()));
    blobs
}

#[test]
fn an_aggregate_must_answer_as_many_states_and_rows_as_there_are_groups() {
    let aggregate = open_aggregate(&Guest::aggregate(aggregate_opened(vec![])));
    assert_eq!((aggregate.state_identity().version, aggregate.state_identity().shape.as_str()), (3, "shape"));
    assert_eq!(aggregate.accumulate(&CONTEXT, &batch(), &[0, 1, 1], 2).unwrap(), states(&["", ""]));
    // It merges to as many as it was given, so only one for each group is right.
    assert_eq!(aggregate.merge(&states(&["a", "bc"]), &[0, 1], 2).unwrap(), states(&["a", "bc"]));
    let error = aggregate.merge(&states(&["a", "bc"]), &[0, 0], 1).unwrap_err().to_string();
    assert!(error.ends_with("broke the contract: the states: there are 12 bytes of offsets, expected 8 for 1"), "{error}");
    assert_eq!(aggregate.finish(&CONTEXT, &states(&["a", "b"])).unwrap().num_rows(), 2);
}

#[test]
fn an_aggregate_that_finishes_other_columns_than_it_opened_is_refused() {
    let aggregate = open_aggregate(&Guest::aggregate(aggregate_opened(vec![field("n", "int64", false)])));
    let error = aggregate.finish(&CONTEXT, &states(&["a"])).unwrap_err().to_string();
    assert!(error.ends_with("broke the contract: the columns: there are 0, expected 1"), "{error}");
    let three = Act::Answer(vec![Byte(0), Word(3), List(vec![column(&[0; 24], &[], &[])])]);
    let aggregate = open_aggregate(&Guest::aggregate(aggregate_opened(vec![field("n", "int64", false)])).with("finish", three));
    let error = aggregate.finish(&CONTEXT, &states(&["a"])).unwrap_err().to_string();
    assert!(error.ends_with("broke the contract: the rows: there are 3, expected 1"), "{error}");
}

#[test]
fn states_that_a_caller_gives_with_the_wrong_number_of_groups_are_the_hosts_fault() {
    let aggregate = open_aggregate(&Guest::aggregate(aggregate_opened(vec![])));
    assert!(matches!(aggregate.merge(&states(&["a"]), &[0, 1], 2), Err(PluginError::Host { .. })));
    assert!(matches!(aggregate.accumulate(&CONTEXT, &batch(), &[0], 1), Err(PluginError::Host { .. })));
    assert_eq!(aggregate.stats().retries, 0);
}
