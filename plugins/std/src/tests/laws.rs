//! The laws of states: no cut and no bracketing shows, for every function; bytes that no accumulator wrote are an error and never a panic.

use proptest::prelude::*;

use super::*;

/// Functions whose states may be merged in any order.
const OF_ANY_ORDER: &str = r#"{ "distinct_n": "count(distinct n)", "distinct_x": "count(distinct x)", "distinct_s": "count(distinct s)", "distinct_b": "count(distinct b)",
    "pairs": "count(distinct s, n)", "sum_once": "sum(distinct n)", "avg_once": "avg(distinct x)", "try_once": "try_sum(distinct n)", "set": "collect_set(s)",
    "set_n": "collect_set(n)", "few": "collect_set(n, 2)", "few_texts": "collect_set(s, 2)", "hll_n": "approx_count_distinct(n)", "hll_s": "approx_count_distinct(s)",
    "p": "approx_percentile(x, 0, 0.5, 0.9, 1)", "median": "approx_percentile(n, 0.5)", "true": "count_if(b)", "all": "bool_and(b)", "any": "bool_or(b)",
    "stddev": "stddev(x)", "stddev_pop": "stddev_pop(n)", "variance": "variance(x)", "var_pop": "var_pop(x)", "try_x": "try_sum(x)",
    "covar_samp": "covar_samp(x, t2)", "covar_pop": "covar_pop(x, t2)" }"#;

/// Functions for which the order of arrival matters.
const OF_ARRIVAL: &str = r#"{ "first": "first(s)", "last": "last(s)", "first_value": "first(n, ignore_nulls)", "last_value": "last(x, ignore_nulls)", "any": "any_value(t)",
    "list": "collect_list(s)", "list_x": "collect_list(x)", "some": "collect_list(n, 3)", "min_by": "min_by(s, x)", "max_by": "max_by(n, s)", "earliest": "min_by(j, t)",
    "try_sum": "try_sum(n)", "try_big": "try_sum(big)" }"#;

const SCHEMA: &[(&str, &str)] = &[
    ("n", "int64?"),
    ("x", "float64?"),
    ("t", "timestamp?"),
    ("s", "utf8?"),
    ("b", "boolean?"),
    ("j", "json?"),
    ("t2", "int64?"),
    ("big", "int64?"),
    ("id", "utf8"),
];

fn open(config: &str) -> AggregateTest {
    testing::aggregate::<Std>(SCHEMA, config).unwrap()
}

fn value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![any::<i64>().prop_map(|n| n / 1_000_000), -3_i64..3];
    let double = prop_oneof![-1e9..1e9, Just(0.1), Just(1e-9), Just(-0.0)];
    let or_null = |strategy: BoxedStrategy<Value>| prop_oneof![4 => strategy, 1 => Just(Value::Null)];
    (
        or_null(number.prop_map(Value::from).boxed()),
        or_null(double.prop_map(Value::from).boxed()),
        or_null((-5_i64..5).prop_map(Value::from).boxed()),
        or_null("[a-cé]{0,3}".prop_map(Value::from).boxed()),
        or_null(any::<bool>().prop_map(Value::from).boxed()),
        or_null((0..9).prop_map(|n| json!([n, { "a": n }])).boxed()),
        or_null(prop_oneof![Just(i64::MAX / 2), Just(i64::MIN / 2), -9_i64..9].prop_map(Value::from).boxed()),
    )
        .prop_map(|(n, x, t, s, b, j, big)| json!({ "n": n, "x": x, "t": t, "s": s, "b": b, "j": j, "t2": t, "big": big, "id": "i" }))
}

fn values(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Value>> {
    proptest::collection::vec(value(), count)
}

/// Equal, floats but for their last bits.
fn assert_alike(straight: &Value, other: &Value) {
    for (name, value) in straight.as_object().unwrap() {
        match (value.as_f64(), other[name].as_f64()) {
            (Some(a), Some(b)) => assert!((a - b).abs() <= 1e-12 * a.abs().max(b.abs()), "{name}: {a} and {b}"),
            _ => assert_eq!(*value, other[name], "{name}"),
        }
    }
}

/// Merges neighbours, two or three at a time, until one is left: some bracketing.
fn merge_in_bites(test: &AggregateTest, mut states: Vec<Vec<u8>>, bites: &[usize]) -> Vec<u8> {
    let mut bites = bites.iter().copied().cycle();
    while states.len() > 1 {
        let bite = bites.next().unwrap();
        let from = bite % (states.len() - 1);
        let to = (from + 2 + bite % 2).min(states.len());
        let merged = test.merge(&states[from..to]).unwrap();
        states.splice(from..to, [merged]);
    }
    states.pop().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_cut_into_chunks_shows(input in values(0..10)) {
        for config in [EVERYTHING, OF_ANY_ORDER, OF_ARRIVAL] {
            open(config).assert_cuts_do_not_show(&Value::Array(input.clone())).unwrap();
        }
    }

    #[test]
    fn states_merge_in_any_order(input in values(1..12), turn in 0_usize..12) {
        for config in [EVERYTHING, OF_ANY_ORDER] {
            let test = open(config);
            prop_assert_eq!(test.order(), weir_guest::Order::Any);
            let mut states: Vec<_> = input.iter().map(|row| test.accumulate(&json!([row])).unwrap()).collect();
            let straight = test.finish(&test.merge(&states).unwrap()).unwrap();
            states.rotate_left(turn % input.len());
            states.reverse();
            assert_alike(&straight, &test.finish(&test.merge(&states).unwrap()).unwrap());
        }
    }

    #[test]
    fn neighbours_merge_in_any_bites(input in values(1..40), bites in proptest::collection::vec(0_usize..40, 1..20)) {
        for config in [OF_ANY_ORDER, OF_ARRIVAL] {
            let test = open(config);
            let whole = test.finish(&test.accumulate(&Value::Array(input.clone())).unwrap()).unwrap();
            let states: Vec<_> = input.iter().map(|row| test.accumulate(&json!([row])).unwrap()).collect();
            assert_alike(&whole, &test.finish(&merge_in_bites(&test, states, &bites)).unwrap());
        }
    }

    #[test]
    fn a_merge_of_one_state_is_that_state(input in values(1..12)) {
        for config in [EVERYTHING, OF_ANY_ORDER, OF_ARRIVAL] {
            let test = open(config);
            let state = test.accumulate(&Value::Array(input.clone())).unwrap();
            prop_assert_eq!(test.merge(std::slice::from_ref(&state)).unwrap(), state);
        }
    }

    /// Any of these calls may succeed: bytes can be another state by chance. None may panic.
    #[test]
    fn no_bytes_make_it_panic(input in values(1..6), changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), noise in any::<Vec<u8>>()) {
        // JSON is the host's to check, and the test kit takes nothing else.
        for config in [EVERYTHING, OF_ANY_ORDER, &OF_ARRIVAL.replace("(j, t)", "(s, t)")] {
            let test = open(config);
            let state = test.accumulate(&Value::Array(input.clone())).unwrap();
            let mut torn = state.clone();
            for (place, byte) in &changes {
                let place = place.index(torn.len());
                torn[place] = *byte;
            }
            for bytes in [torn, noise.clone()] {
                drop(test.merge(&[state.clone(), bytes.clone(), bytes.clone()]));
                drop(test.finish(&bytes));
            }
        }
    }
}

#[test]
fn states_that_end_early_or_late_are_refused() {
    let rows = json!([{ "n": 1, "x": 3.0, "s": "q", "b": true, "t": 1, "j": [], "t2": 1, "big": 1, "id": "i" }, { "n": 2, "x": 1.0, "s": "long enough", "t2": 7, "id": "i" }]);
    for config in [OF_ANY_ORDER, OF_ARRIVAL] {
        let test = open(config);
        let state = test.accumulate(&rows).unwrap();
        for length in 0..state.len() {
            assert!(test.finish(&state[..length]).is_err(), "{length} of {} bytes", state.len());
        }
        assert!(test.finish(&[state, vec![0]].concat()).is_err());
    }
}
