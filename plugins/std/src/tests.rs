//! Promises of the whole plugin, through the SDK's test kit.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use serde_json::{Value, json};
use weir_guest::StateIdentity;
use weir_guest::testing::{self, AggregateTest};

use crate::Std;

mod laws;
mod spark;

const SCHEMA: &[(&str, &str)] = &[("n", "int64?"), ("x", "float64?"), ("t", "timestamp?"), ("s", "utf8?"), ("b", "boolean?"), ("j", "json?"), ("id", "utf8")];

/// Config as text, because the order of a JSON value's keys is not that of the text.
const EVERYTHING: &str = r#"{ "rows": "count(*)", "ns": "count(n)", "sum_n": "sum(n)", "avg_n": "avg(n)", "min_n": "min(n)", "max_n": "max(n)",
    "sum_x": "sum(x)", "avg_x": "avg(x)", "min_x": "min(x)", "max_x": "max(x)", "min_t": "min(t)", "max_t": "max(t)",
    "min_s": "min(s)", "max_s": "max(s)", "min_b": "min(b)", "max_b": "max(b)" }"#;

fn open(config: &str) -> AggregateTest {
    testing::aggregate::<Std>(SCHEMA, config).unwrap()
}

fn refused(config: &str) -> String {
    testing::aggregate::<Std>(SCHEMA, config).err().unwrap().to_string()
}

/// Rows with an `id`, which the schema wants.
fn rows(rows: Value) -> Value {
    rows.as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let mut row = row.clone();
            row["id"] = json!("i");
            row
        })
        .collect()
}

fn of(config: &str, input: Value) -> Value {
    open(config).run(&[rows(input)]).unwrap()
}

#[test]
fn columns_come_out_in_the_order_of_the_config_with_their_types() {
    let expected = [("z", "int64"), ("a", "float64?"), ("m", "int64?"), ("f", "float64?"), ("t", "timestamp?"), ("s", "utf8?"), ("b", "boolean?")];
    let output = open(r#"{ "z": "count(n)", "a": "avg(n)", "m": "sum(n)", "f": "sum(x)", "t": "max(t)", "s": "min(s)", "b": "max(b)" }"#).output();
    assert_eq!(output, expected.map(|(name, ty)| (name.to_owned(), ty.to_owned())));
}

#[test]
fn each_column_is_read_once_and_counting_rows_reads_none() {
    assert_eq!(open(r#"{ "a": "sum(x)", "b": "avg(x)", "c": "max(n)", "d": "count(x)" }"#).reads(), ["x", "n"]);
    assert!(open(r#"{ "a": "count(*)", "b": "count(id)" }"#).reads().is_empty());
}

#[test]
fn nulls_are_skipped_and_without_values_only_counts_are_not_null() {
    let none = of(EVERYTHING, json!([{}, {}]));
    for (name, value) in none.as_object().unwrap() {
        let expected = match name.as_str() {
            "rows" => json!(2),
            "ns" => json!(0),
            _ => Value::Null,
        };
        assert_eq!(*value, expected, "{name}");
    }
    let some = of(EVERYTHING, json!([{ "n": 4, "x": 1.0 }, {}, { "n": -1, "s": "b" }, { "s": "ab", "b": true, "t": 5 }]));
    assert_eq!((&some["rows"], &some["ns"], &some["sum_n"], &some["avg_n"]), (&json!(4), &json!(2), &json!(3), &json!(1.5)));
    assert_eq!(
        (&some["min_n"], &some["max_n"], &some["avg_x"], &some["min_s"], &some["max_s"]),
        (&json!(-1), &json!(4), &json!(1.0), &json!("ab"), &json!("b"))
    );
    assert_eq!((&some["min_b"], &some["min_t"]), (&json!(true), &json!("1970-01-01T00:00:00.000005Z")));
}

/// The values of Spark 4.
#[test]
fn doubles_behave_as_sparks() {
    let config = r#"{ "sum": "sum(x)", "avg": "avg(x)", "min": "min(x)", "max": "max(x)", "count": "count(x)" }"#;
    let cases = [
        (json!(["NaN", 1.0]), json!(["NaN", "NaN", 1.0, "NaN", 2])),
        (json!(["Infinity", "-Infinity"]), json!(["NaN", "NaN", "-Infinity", "Infinity", 2])),
        (json!(["Infinity", 2.0]), json!(["Infinity", "Infinity", 2.0, "Infinity", 2])),
        (json!(["NaN", 1.0, "Infinity"]), json!(["NaN", "NaN", 1.0, "NaN", 3])),
        (json!([-0.0, 0.0, 0.5]), json!([0.5, 0.5 / 3.0, -0.0, 0.5, 3])),
    ];
    for (values, expected) in cases {
        let input: Value = values.as_array().unwrap().iter().map(|x| json!({ "x": x })).collect();
        let made = of(config, input);
        assert_eq!(json!([made["sum"], made["avg"], made["min"], made["max"], made["count"]]), expected, "of {values}");
    }
    let zero = of(config, json!([{ "x": -0.0 }]));
    assert!(zero["sum"].as_f64().unwrap().is_sign_positive());
    assert!(zero["max"].as_f64().unwrap().is_sign_negative());
}

#[test]
fn the_sign_of_a_zero_does_not_depend_on_the_order() {
    for input in [json!([{ "x": 0.0 }, { "x": -0.0 }]), json!([{ "x": -0.0 }, { "x": 0.0 }])] {
        let made = of(r#"{ "min": "min(x)", "max": "max(x)" }"#, input);
        assert!(made["min"].as_f64().unwrap().is_sign_negative());
        assert!(made["max"].as_f64().unwrap().is_sign_positive());
    }
}

#[test]
fn a_sum_of_integers_that_does_not_fit_is_an_error_that_names_it() {
    let sum = open(r#"{ "total": "sum(n)" }"#);
    let input = |values: &[i64]| rows(values.iter().map(|n| json!({ "n": n })).collect());
    let error = sum.run(&[input(&[i64::MAX, 1])]).unwrap_err();
    assert_eq!(error, "output column `total`: `sum(n)` is 9223372036854775808, which does not fit `int64`; `try_sum` would be null");
    let error = sum.run(&[input(&[i64::MIN]), input(&[-1])]).unwrap_err();
    assert_eq!(error, "output column `total`: `sum(n)` is -9223372036854775809, which does not fit `int64`; `try_sum` would be null");
    // It may leave the range on its way: whether it does depends on the cut.
    assert_eq!(sum.run(&[input(&[i64::MAX, 1]), input(&[-1])]).unwrap(), json!({ "total": i64::MAX }));
}

#[test]
fn an_average_of_large_integers_is_that_of_their_exact_sum() {
    let values = [9_007_199_254_740_993_i64, 9_007_199_254_740_993, -9_007_199_254_740_992, -9_007_199_254_740_992];
    let input = values.iter().map(|n| json!({ "n": n })).collect();
    assert_eq!(of(r#"{ "avg": "avg(n)" }"#, input), json!({ "avg": 0.5 }));
}

#[test]
fn what_rounding_takes_from_a_sum_is_not_lost() {
    let input = json!([{ "x": 1e16 }, { "x": 1.0 }, { "x": 1.0 }, { "x": -1e16 }]);
    assert_eq!(of(r#"{ "sum": "sum(x)" }"#, input.clone()), json!({ "sum": 2.0 }));
    let chunks: Vec<_> = input.as_array().unwrap().iter().map(|row| rows(json!([row]))).collect();
    assert_eq!(open(r#"{ "sum": "sum(x)" }"#).run(&chunks).unwrap(), json!({ "sum": 2.0 }));
}

#[test]
fn rows_of_many_groups_go_to_their_own() {
    let count = 1_000_u32;
    let input = (0..count).map(|row| json!({ "n": row, "x": f64::from(row), "s": format!("{row:04}") })).collect();
    let test = open(r#"{ "c": "count(*)", "n": "sum(n)", "x": "max(x)", "s": "min(s)" }"#);
    let group: Vec<u32> = (0..count).map(|row| row % 7).collect();
    let states = test.accumulate_groups(&rows(input), &group, 7).unwrap();
    for (group, state) in (0_u32..).zip(&states) {
        let of_group: Vec<u32> = (0..count).filter(|row| row % 7 == group).collect();
        let expected = json!({ "c": of_group.len(), "n": of_group.iter().sum::<u32>(), "x": f64::from(*of_group.last().unwrap()), "s": format!("{group:04}") });
        assert_eq!(test.finish(state).unwrap(), expected);
    }
}

#[test]
fn the_state_of_sum_average_and_count_of_rows_is_small() {
    let test = open(r#"{ "events": "count(*)", "avg": "avg(x)", "total": "sum(x)" }"#);
    assert_eq!(*test.state(), StateIdentity { version: 1, shape: r#"["count(*)","sum:float64(x)"]"#.to_owned() });
    let state = test.accumulate(&rows(json!([{ "x": 1.5 }, { "x": 2.5 }, {}]))).unwrap();
    let mut expected = vec![3, 2];
    expected.extend(4_f64.to_le_bytes());
    expected.extend(0_f64.to_le_bytes());
    assert_eq!(state, expected);
}

#[test]
fn what_is_wrong_in_the_config_is_named_and_the_nearest_suggested() {
    assert_eq!(refused("{}"), "config: no output column: name at least one, such as { \"events\": \"count(*)\" }");
    assert_eq!(refused(r#"{ "a": "count(*)", "m": "average(x)" }"#), "config at `/m`: no function `average`: did you mean `avg`?");
    assert_eq!(refused(r#"{ "m": "Sum(x)" }"#), "config at `/m`: no function `Sum`: did you mean `sum`?");
    let all = refused(r#"{ "m": "xyz(x)" }"#);
    assert!(all.starts_with("config at `/m`: no function `xyz`: there are `count`, `count_if`, `sum`, `try_sum`, `avg`, "), "{all}");
    assert_eq!(refused(r#"{ "m": "median(x)" }"#), "config at `/m`: no function `median`: did you mean `approx_percentile`?");
    assert_eq!(refused(r#"{ "m": "sum(*)" }"#), "config at `/m`: `sum(*)`: only `count` takes `*`, `sum` needs a column");
    assert_eq!(refused(r#"{ "m": "count()" }"#), "config at `/m`: `count()` names no column: write `count(a column)` or `count(*)`");
    assert_eq!(refused(r#"{ "m": "x" }"#), "config at `/m`: `x` is not an expression such as `sum(revenue)` or `count(*)`");
    let refusals = [
        ("sum(n, x)", "`sum(n, x)`: `sum` takes one column, not 2"),
        ("count(*, n)", "`count(*, n)`: `*` stands alone, as in `count(*)`"),
        ("max(distinct n)", "`max(distinct n)`: only `count`, `sum`, `try_sum` and `avg` take `distinct`"),
        ("first(n, true)", "`first(n, true)`: only `ignore_nulls` may follow the column of `first`, not `true`"),
        ("collect_list(n, 0)", "`collect_list(n, 0)`: `0` is no limit: a number of values, at least 1"),
        (
            "collect_set(n, 9, x)",
            "`collect_set(n, 9, x)`: only a limit, and `error`, may follow the column of `collect_set`: `collect_set(x, 100)` or `collect_set(x, 100, error)`",
        ),
        ("approx_percentile(n)", "`approx_percentile(n)`: name one or several parts of one, such as `approx_percentile(latency, 0.5, 0.99)`"),
        ("approx_percentile(n, 99)", "`approx_percentile(n, 99)`: `99` is not between 0 and 1, such as 0.99"),
        ("min_by(s)", "`min_by(s)`: `min_by` takes two columns, not 1"),
        ("min_by()", "`min_by()` names no column: write `min_by(a column, another)`"),
        ("sum(`n)", "`sum(`n)`: a backtick is not closed"),
        ("count(distinct n,)", "`count(distinct n,)`: an argument is missing after the last comma"),
    ];
    for (expression, error) in refusals {
        assert_eq!(refused(&json!({ "m": expression }).to_string()), format!("config at `/m`: {error}"));
    }
    assert_eq!(refused(r#"{ "m": 3 }"#), "config at `/m`: invalid type: integer `3`, expected a string");
    assert_eq!(refused(r#"{ "m": "count(*)", "m": "count(n)" }"#), "config: two output columns are called `m`");
}

#[test]
fn a_column_of_the_wrong_type_is_named_with_the_types_that_would_do() {
    assert_eq!(refused(r#"{ "m": "sum(s)" }"#), "`sum(s)`: column `s` is `utf8`, not `int64` or `float64`");
    assert_eq!(refused(r#"{ "m": "max(j)" }"#), "`max(j)`: column `j` is `json`, not `boolean`, `int64`, `float64`, `timestamp`, `utf8` or `binary`");
    assert_eq!(
        refused(r#"{ "m": "max_by(x, j)" }"#),
        "`max_by(x, j)`: column `j` is `json`, not `boolean`, `int64`, `float64`, `timestamp`, `utf8` or `binary`"
    );
    assert_eq!(refused(r#"{ "m": "corr(s, x)" }"#), "`corr(s, x)`: column `s` is `utf8`, not `int64` or `float64`");
    assert_eq!(refused(r#"{ "m": "bool_and(n)" }"#), "`bool_and(n)`: column `n` is `int64`, not `boolean`");
    assert_eq!(refused(r#"{ "m": "sum(y)" }"#), "no column `y`: the input has `n`, `x`, `t`, `s`, `b`, `j`, `id`");
}

#[test]
fn columns_can_be_renamed_reordered_and_left_out_without_losing_the_state() {
    let before = open(r#"{ "a": "count(*)", "b": "sum(n)", "c": "max(s)", "d": "avg(x)" }"#);
    let state = before.accumulate(&rows(json!([{ "n": 1, "x": 3.0, "s": "q" }]))).unwrap();
    let renamed = open(r#"{ "x": "sum(x)", "s": "max(s)", "n": "avg(n)", "events": "count(*)" }"#);
    assert_eq!(renamed.state(), before.state());
    assert_eq!(renamed.finish(&state).unwrap(), json!({ "events": 1, "n": 1.0, "s": "q", "x": 3.0 }));

    let fewer = open(r#"{ "s": "max(s)", "n": "sum(n)" }"#);
    let migrated = fewer.migrate(before.state(), &state).unwrap();
    assert_eq!(fewer.finish(&migrated).unwrap(), json!({ "n": 1, "s": "q" }));

    let more = open(r#"{ "n": "sum(n)", "least": "min(n)" }"#);
    let error = more.migrate(fewer.state(), &migrated).unwrap_err();
    assert!(error.contains("the config needs `min:int64(n)`, `sum:int64(n)`"), "{error}");
    assert!(fewer.migrate(&StateIdentity { version: 2, ..before.state().clone() }, &state).is_err());
}

#[test]
fn bytes_that_are_no_state_are_refused() {
    let test = open(EVERYTHING);
    let state = test.accumulate(&rows(json!([{ "n": 1, "x": 3.0, "s": "q", "b": true, "t": 1 }]))).unwrap();
    for length in 0..state.len() {
        assert!(test.finish(&state[..length]).is_err(), "{length} of {} bytes", state.len());
    }
    assert!(test.finish(&[state, vec![0]].concat()).is_err());
}

#[test]
fn every_function_is_in_the_documentation() {
    for (file, text) in [("functions.txt", include_str!("functions.txt")), ("docs/std.md", include_str!("../../../docs/std.md"))] {
        for function in crate::function::Function::ALL {
            assert!(text.contains(&format!("{}(", function.name())), "{file} lacks `{}`", function.name());
        }
    }
}
