//! What Spark 4 answers, function by function: inputs batch by batch, each batch a state, and the row after each.

use super::*;

const SCHEMA: &[(&str, &str)] = &[("v", "int64?"), ("x", "float64?"), ("y", "float64?"), ("s", "utf8?"), ("b", "boolean?")];

fn open(config: &str) -> AggregateTest {
    testing::aggregate::<Std>(SCHEMA, config).unwrap()
}

/// The row after each batch.
fn after_each(config: &str, batches: &[Value]) -> Vec<Value> {
    let test = open(config);
    (1..=batches.len()).map(|count| test.run(&batches[..count]).unwrap()).collect()
}

/// A batch of values of `v`.
fn vs(values: &[Option<i64>]) -> Value {
    values.iter().map(|v| json!({ "v": v })).collect()
}

#[test]
fn first_and_last_keep_nulls_unless_told_otherwise() {
    let config = r#"{ "f": "first(v)", "l": "last(v)", "fi": "first(v, ignore_nulls)", "li": "last(v, ignore_nulls)", "any": "any_value(v)" }"#;
    let rows = after_each(config, &[vs(&[None, Some(1), Some(2)]), vs(&[Some(3)]), vs(&[None])]);
    assert_eq!(rows[0], json!({ "f": null, "l": 2, "fi": 1, "li": 2, "any": null }));
    assert_eq!(rows[1], json!({ "f": null, "l": 3, "fi": 1, "li": 3, "any": null }));
    assert_eq!(rows[2], json!({ "f": null, "l": null, "fi": 1, "li": 3, "any": null }));
    assert_eq!(open(config).order(), weir_guest::Order::Arrival);
}

#[test]
fn lists_keep_the_order_of_arrival_and_sets_each_value_once_and_neither_keeps_nulls() {
    let config = r#"{ "list": "collect_list(v)", "set": "collect_set(v)" }"#;
    let rows = after_each(config, &[vs(&[None]), vs(&[Some(3), Some(1), None, Some(3)]), vs(&[Some(2), Some(1)])]);
    assert_eq!(rows[0], json!({ "list": [], "set": [] }));
    assert_eq!(rows[1], json!({ "list": [3, 1, 3], "set": [1, 3] }));
    assert_eq!(rows[2], json!({ "list": [3, 1, 3, 2, 1], "set": [1, 2, 3] }));
}

#[test]
fn stddev_and_variance_of_one_value_are_null_and_those_of_the_population_zero() {
    let config = r#"{ "ss": "stddev(v)", "sp": "stddev_pop(v)", "vs": "var_samp(v)", "vp": "var_pop(v)" }"#;
    assert_eq!(after_each(config, &[vs(&[None])])[0], json!({ "ss": null, "sp": null, "vs": null, "vp": null }));
    assert_eq!(after_each(config, &[vs(&[Some(5)])])[0], json!({ "ss": null, "sp": 0.0, "vs": null, "vp": 0.0 }));
    let three = vs(&[Some(1), Some(2), Some(6)]);
    assert_eq!(after_each(config, &[three])[0], json!({ "ss": 2.6457513110645907, "sp": 2.160246899469287, "vs": 7.0, "vp": 4.666666666666667 }));
    let two = after_each(config, &[vs(&[Some(1), Some(3)]), vs(&[Some(3)])]);
    assert_eq!(two[0], json!({ "ss": std::f64::consts::SQRT_2, "sp": 1.0, "vs": 2.0, "vp": 1.0 }));
    assert_eq!(two[1], json!({ "ss": 1.1547005383792515, "sp": 0.9428090415820634, "vs": 1.3333333333333333, "vp": 0.8888888888888888 }));
}

#[test]
fn the_variance_of_equal_values_is_zero_and_of_far_values_exact() {
    let of = |values: &[f64]| {
        let batches: Vec<_> = values.iter().map(|x| json!([{ "x": x }])).collect();
        open(r#"{ "v": "variance(x)", "k": "kurtosis(x)", "c": "corr(x, x)" }"#).run(&batches).unwrap()
    };
    assert_eq!(of(&[0.1; 1000]), json!({ "v": 0.0, "k": null, "c": null }));
    assert_eq!(of(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0])["v"], json!(30.0));
}

#[test]
fn extra_functions_answer_as_spark() {
    let config = r#"{ "min_by": "min_by(s, x)", "max_by": "max_by(s, x)", "ba": "bool_and(b)", "bo": "bool_or(b)", "n": "count_if(b)", "sk": "skewness(x)", "ku": "kurtosis(x)",
        "corr": "corr(x, y)", "cs": "covar_samp(x, y)", "cp": "covar_pop(x, y)" }"#;
    let first = json!([{ "s": "p", "x": 2.0, "y": 1.0, "b": true }, { "s": "q", "x": 5.0, "y": 3.0, "b": true }]);
    let second = json!([{ "s": "r", "x": 9.0, "y": 2.0, "b": false }, { "s": "t", "x": null, "y": 2.0 }]);
    let rows = after_each(config, &[first, second]);
    let expected = json!({ "min_by": "p", "max_by": "q", "ba": true, "bo": true, "n": 2, "sk": 0.0, "ku": -2.0, "corr": 1.0, "cs": 3.0, "cp": 1.5 });
    assert_eq!(rows[0], expected);
    assert_eq!((&rows[1]["min_by"], &rows[1]["max_by"], &rows[1]["ba"], &rows[1]["n"]), (&json!("p"), &json!("r"), &json!(false), &json!(2)));
    let spark = [("sk", 0.17280054407865017), ("ku", -1.4999999999999996), ("corr", 0.4271210980886246), ("cs", 1.5), ("cp", 1.0)];
    for (name, value) in spark {
        assert!((rows[1][name].as_f64().unwrap() / value - 1.0).abs() < 1e-12, "{name}: {}", rows[1][name]);
    }
    let one = json!([{ "s": "u", "x": 1.0, "y": 1.0, "b": false }]);
    let expected = json!({ "min_by": "u", "max_by": "u", "ba": false, "bo": false, "n": 0, "sk": null, "ku": null, "corr": null, "cs": null, "cp": 0.0 });
    assert_eq!(after_each(config, &[one])[0], expected);
    let none = json!([{ "s": null, "x": null, "y": 1.0 }]);
    let expected = json!({ "min_by": null, "max_by": null, "ba": null, "bo": null, "n": 0, "sk": null, "ku": null, "corr": null, "cs": null, "cp": null });
    assert_eq!(after_each(config, &[none])[0], expected);
}

#[test]
fn of_equal_extremes_the_last_row_counts() {
    let rows = json!([{ "s": "a", "x": 1.0 }, { "s": "b", "x": 1.0 }, { "s": null, "x": -0.0 }, { "s": "c", "x": 0.0 }]);
    assert_eq!(open(r#"{ "max": "max_by(s, x)", "min": "min_by(s, x)" }"#).run(&[rows]).unwrap(), json!({ "max": "b", "min": "c" }));
    assert_eq!(open(r#"{ "min": "min_by(s, x)" }"#).run(&[json!([{ "s": null, "x": 1.0 }])]).unwrap(), json!({ "min": null }));
}

#[test]
fn a_try_sum_that_left_the_range_stays_null() {
    let rows = after_each(r#"{ "s": "try_sum(v)" }"#, &[vs(&[Some(i64::MAX - 1)]), vs(&[Some(2)]), vs(&[Some(-5)])]);
    assert_eq!(rows, [json!({ "s": i64::MAX - 1 }), json!({ "s": null }), json!({ "s": null })]);
    assert_eq!(after_each(r#"{ "s": "try_sum(v)" }"#, &[vs(&[None])]), [json!({ "s": null })]);
}

#[test]
fn distinct_counts_are_exact_and_skip_rows_with_nulls() {
    let config = r#"{ "v": "count(distinct v)", "s": "count(distinct s)", "vs": "count(distinct v, s)", "x": "count(distinct x)", "sum": "sum(distinct v)", "avg": "avg(distinct v)" }"#;
    let input = json!([{ "v": 1, "s": "a", "x": 0.0 }, { "v": 1, "s": "b", "x": -0.0 }, { "v": 2, "s": null, "x": "NaN" }, { "v": null, "s": "a", "x": "NaN" }, { "v": 1, "s": "a" }]);
    assert_eq!(open(config).run(&[input]).unwrap(), json!({ "v": 2, "s": 2, "vs": 2, "x": 2, "sum": 3, "avg": 1.5 }));
    assert_eq!(open(config).run(&[json!([{}])]).unwrap(), json!({ "v": 0, "s": 0, "vs": 0, "x": 0, "sum": null, "avg": null }));
}

#[test]
fn approximate_distinct_counts_are_those_of_spark() {
    let of = |values: &[i64]| {
        let config = r#"{ "n": "approx_count_distinct(v)" }"#;
        open(config).run(&values.iter().map(|v| vs(&[Some(*v), None])).collect::<Vec<_>>()).unwrap()["n"].clone()
    };
    assert_eq!((of(&[-5, 0]), of(&[-3, 10]), of(&[1, 2]), of(&[])), (json!(1), json!(1), json!(2), json!(0)));
    assert_eq!(of(&(0..500).collect::<Vec<_>>()), json!(484));
    assert_eq!(of(&(0..1000).collect::<Vec<_>>()), json!(1026));
}

#[test]
fn percentiles_of_few_values_are_exact_and_of_many_within_their_error() {
    let config = r#"{ "p": "approx_percentile(v, 0, 0.25, 0.5, 0.99, 1)", "m": "approx_percentile(x, 0.5)" }"#;
    let ten: Value = (1..=10).map(|v| json!({ "v": v, "x": f64::from(v) / 2.0 })).collect();
    assert_eq!(open(config).run(&[ten]).unwrap(), json!({ "p": [1, 3, 5, 10, 10], "m": 2.5 }));
    assert_eq!(open(config).run(&[json!([{}])]).unwrap(), json!({ "p": null, "m": null }));
    let many: Value = (-50_000..50_000).map(|v| json!({ "v": v, "x": v })).collect();
    let made = open(config).run(&[many]).unwrap();
    let made: Vec<f64> = made["p"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
    for (made, exact) in made.into_iter().zip([-50_000.0, -25_001.0, -1.0, 48_999.0, 49_999.0_f64]) {
        assert!(made.abs() <= exact.abs() && made.abs() >= exact.abs() * (1.0 - 1.0 / 256.0) - 1.0, "{made} for {exact}");
    }
}

#[test]
fn what_a_limit_leaves_out_is_said() {
    let lists = open(r#"{ "list": "collect_list(v, 2)", "set": "collect_set(v, 2)" }"#);
    let output = [("list", "json"), ("list_left_out", "int64"), ("set", "json"), ("set_left_out", "boolean")];
    assert_eq!(lists.output(), output.map(|(name, ty)| (name.to_owned(), ty.to_owned())));
    let some = lists.run(&[vs(&[Some(5), None]), vs(&[Some(5)])]).unwrap();
    assert_eq!(some, json!({ "list": [5, 5], "list_left_out": 0, "set": [5], "set_left_out": false }));
    let more = lists.run(&[vs(&[Some(5), Some(7)]), vs(&[Some(1), Some(5)])]).unwrap();
    assert_eq!(more, json!({ "list": [5, 7], "list_left_out": 2, "set": [1, 5], "set_left_out": true }));

    let strict = open(r#"{ "list": "collect_list(v, 2, error)" }"#);
    assert_eq!(strict.run(&[vs(&[Some(5), Some(7)])]).unwrap(), json!({ "list": [5, 7] }));
    let error = strict.run(&[vs(&[Some(5), Some(7)]), vs(&[Some(9)])]).unwrap_err();
    assert_eq!(error, "output column `list`: `collect_list(v, 2, error)` has 1 values more than its limit of 2; without `error` they would be left out");
    let error = open(r#"{ "set": "collect_set(v, 1, error)" }"#).run(&[vs(&[Some(5), Some(7)])]).unwrap_err();
    assert_eq!(error, "output column `set`: `collect_set(v, 1, error)` has more different values than its limit of 1; without `error` they would be left out");
}

#[test]
fn a_large_set_is_as_long_as_its_values_and_merges_to_the_same_bytes() {
    let test = open(r#"{ "n": "count(distinct v)" }"#);
    let states: Vec<_> = (0..8).map(|part| test.accumulate(&vs(&(0..1000).map(|v| Some(v * 8 + part)).collect::<Vec<_>>())).unwrap()).collect();
    let merged = test.merge(&states).unwrap();
    assert!(merged.len() <= 8 * 8000 + 3, "{}", merged.len());
    assert_eq!(merged, test.accumulate(&vs(&(0..8000).map(Some).collect::<Vec<_>>())).unwrap());
}

#[test]
fn a_column_in_backticks_may_have_any_name() {
    let test =
        testing::aggregate::<Std>(&[("a, b", "int64"), ("*", "int64?")], r#"{ "m": "max(`a, b`)", "n": "count(`*`)", "d": "count(distinct `a, b`, `*`)" }"#)
            .unwrap();
    assert_eq!(test.run(&[json!([{ "a, b": 2, "*": null }, { "a, b": 1, "*": 3 }])]).unwrap(), json!({ "m": 2, "n": 1, "d": 1 }));
}
