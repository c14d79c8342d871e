//! Everything that is refused, and what is said. Each case is the document of the tests with a change; the message stands here as a person sees it.

use super::*;

/// A document that is refused: what is wrong with it, how it is made, what is said.
struct Case {
    wrong: &'static str,
    document: Made,
    says: &'static str,
}

enum Made {
    /// The tests' document with these texts replaced.
    By(&'static [(&'static str, &'static str)]),
    /// This text.
    Of(&'static str),
}

#[test]
fn every_refusal_says_where_what_was_expected_and_what_to_do() {
    let mut unlike = String::new();
    for case in CASES {
        let document = match case.document {
            Made::By(changes) => changed(changes),
            Made::Of(text) => text.to_owned(),
        };
        let says = planned(&document).map(|_| "nothing".to_owned()).unwrap_or_else(|refused| refused.to_string());
        if says.trim_end() != case.says.trim() {
            unlike.push_str(&format!("=== {}\n{says}\n", case.wrong));
        }
    }
    assert!(unlike.is_empty(), "these say something else:\n{unlike}");
}

#[test]
fn two_pipelines_of_one_name_are_refused_with_both_places() {
    let specs = ["a/pipeline.toml", "b/pipeline.toml"].map(|file| {
        parse(
            &Document::new(
                file,
                format!(
                    "
{DOCUMENT}"
                ),
            ),
            &env,
        )
        .unwrap()
    });
    let says = check_names(&specs).unwrap_err().to_string();
    let expected = r#"
b/pipeline.toml:2:8: the pipeline `clicks` has the name of the one at a/pipeline.toml:2:8: expected a name of its own for every pipeline, because offsets, transactions and state go by it; change one of the names
   |
 2 | name = "clicks"
   |        ^^^^^^^^
"#;
    assert_eq!(says, expected.trim_start());
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    // The document
    Case {
        wrong: "text that is not TOML",
        document: Made::By(&[(r#"topics = ["clicks"] }"#, r#"topics = ["clicks" }"#)]),
        says: r#"
pipeline.toml:5:58: not TOML, missing comma between array elements: expected `,`; correct the line; https://toml.io has the rules
   |
 5 | kafka = { brokers = "localhost:9092", topics = ["clicks" }
   |                                                          ^
"#,
    },
    Case {
        wrong: "a key twice",
        document: Made::By(&[(r#"format = "json""#, r#"format = "json"
format = "raw""#)]),
        says: r#"
pipeline.toml:7:1: not TOML, duplicate key: expected valid TOML; correct the line; https://toml.io has the rules
   |
 7 | format = "raw"
   | ^^^^^^
"#,
    },
    Case {
        wrong: "a missing name",
        document: Made::By(&[(r#"name = "clicks"
"#, "")]),
        says: r#"
pipeline.toml:1:1: `name` is missing in the pipeline: expected the pipeline's name; add `name = "ad-events"`
"#,
    },
    Case {
        wrong: "a name that no topic, group or folder can have",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "click stats""#)]),
        says: r#"
pipeline.toml:1:8: `name` is `click stats` (it has a ` `): expected letters, digits, `-`, `_` and `.`; write `name = "events"`
   |
 1 | name = "click stats"
   |        ^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a name from the environment",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "${env:NAME}""#)]),
        says: r#"
pipeline.toml:1:8: `name` takes nothing from the environment, because it is shown in logs and metrics: expected letters, digits, `-`, `_` and `.`; write `name = "events"`
   |
 1 | name = "${env:NAME}"
   |        ^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "an unknown key at the top",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
triger = "asap""#)]),
        says: r#"
pipeline.toml:2:1: unknown key `triger` in the pipeline: expected `name`, `trigger`, `state_dir`, `limits`, `max_rejected`, `weight`, `watermark_policy`, `no_data_epochs`, `control`, `plugin_limits`, `source`, `step`, `sink` or `dead_letters`; did you mean `trigger`?
   |
 2 | triger = "asap"
   | ^^^^^^
"#,
    },
    Case {
        wrong: "a key of a later version",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
delivery = "at-least-once""#)]),
        says: r#"
pipeline.toml:2:1: not yet: `delivery` in the pipeline comes with a later version: expected `name`, `trigger`, `state_dir`, `limits`, `max_rejected`, `weight`, `watermark_policy`, `no_data_epochs`, `control`, `plugin_limits`, `source`, `step`, `sink` or `dead_letters`; remove it
   |
 2 | delivery = "at-least-once"
   | ^^^^^^^^
"#,
    },
    Case {
        wrong: "an unknown word",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
trigger = "avalable-now""#)]),
        says: r#"
pipeline.toml:2:11: `trigger` is `avalable-now`: expected `{ every = "10s" }`, `asap`, `once` or `available-now`; did you mean `available-now`?
   |
 2 | trigger = "avalable-now"
   |           ^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a trigger of the wrong type",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
trigger = 10"#)]),
        says: r#"
pipeline.toml:2:11: `trigger` is an integer: expected `{ every = "10s" }`, `asap`, `once` or `available-now`; write `trigger = { every = "10s" }`
   |
 2 | trigger = 10
   |           ^^
"#,
    },
    Case {
        wrong: "a duration that is none",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
trigger = { every = "10 sek" }"#)]),
        says: r#"
pipeline.toml:2:21: `trigger.every` is `10 sek` (unknown unit `sek`): expected a duration above zero; write `every = "10s"`
   |
 2 | trigger = { every = "10 sek" }
   |                     ^^^^^^^^
"#,
    },
    Case {
        wrong: "a duration of nothing",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
trigger = { every = "0s" }"#)]),
        says: r#"
pipeline.toml:2:21: `trigger.every` is `0s` (it is zero): expected a duration above zero; write `every = "10s"`
   |
 2 | trigger = { every = "0s" }
   |                     ^^^^
"#,
    },
    Case {
        wrong: "an interval that its own bounds leave out",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
trigger = { every = "90s", adaptive = { min = "2s" } }"#)]),
        says: r#"
pipeline.toml:2:21: `every` (90s) is not within `adaptive`, where the interval begins: expected an interval from `min` to `max` (unless given, 1s and 60s); change `every`, or the bounds
   |
 2 | trigger = { every = "90s", adaptive = { min = "2s" } }
   |                     ^^^^^
"#,
    },
    Case {
        wrong: "bounds of an interval that are swapped",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
trigger = { every = "10s", adaptive = { min = "2m", max = "1s" } }"#)]),
        says: r#"
pipeline.toml:2:39: `min` is longer than `max`: expected `min` of at most `max` (unless given, 1s and 60s); lower `min` or raise `max`
   |
 2 | trigger = { every = "10s", adaptive = { min = "2m", max = "1s" } }
   |                                       ^^^^^^^^^^^^^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "an interval that is switched to adaptive",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
trigger = { every = "10s", adaptive = true }"#)]),
        says: r#"
pipeline.toml:2:39: `trigger.adaptive` is a boolean: expected a table; write `adaptive = { min = "1s", max = "60s" }`
   |
 2 | trigger = { every = "10s", adaptive = true }
   |                                       ^^^^
"#,
    },
    Case {
        wrong: "a bound of nothing",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
trigger = { every = "10s", adaptive = { min = "0s" } }"#)]),
        says: r#"
pipeline.toml:2:47: `trigger.adaptive.min` is `0s` (it is zero): expected a duration above zero; write `min = "1s"`
   |
 2 | trigger = { every = "10s", adaptive = { min = "0s" } }
   |                                               ^^^^
"#,
    },
    Case {
        wrong: "a size without a unit",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
limits = { max_epoch_bytes = "64" }"#)]),
        says: r#"
pipeline.toml:2:30: `limits.max_epoch_bytes` is `64` (the unit is missing): expected a size above zero; write `max_epoch_bytes = "64MB"`
   |
 2 | limits = { max_epoch_bytes = "64" }
   |                              ^^^^
"#,
    },
    Case {
        wrong: "an address without a port",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
control = { listen = "localhost" }"#)]),
        says: r#"
pipeline.toml:2:22: `control.listen` is `localhost` (it has no host, or no port): expected an address to listen at, `HOST:PORT`; write `listen = "127.0.0.1:7070"`
   |
 2 | control = { listen = "localhost" }
   |                      ^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a control API that listens nowhere",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
control = { token = "x" }"#)]),
        says: r#"
pipeline.toml:2:11: `listen` is missing in `control`: expected an address to listen at, `HOST:PORT`; add `listen = "127.0.0.1:7070"`
   |
 2 | control = { token = "x" }
   |           ^^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "an empty token",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
control = { listen = "localhost:7070", token = "" }"#)]),
        says: r#"
pipeline.toml:2:48: `control.token` is `` (it is empty): expected a secret; write `token = "${env:WEIR_TOKEN}"`
   |
 2 | control = { listen = "localhost:7070", token = "" }
   |                                                ^^
"#,
    },
    Case {
        wrong: "a weight of nothing",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
weight = 0"#)]),
        says: r#"
pipeline.toml:2:10: `weight` is `0`: expected a whole number from 1 to 100; write `weight = 2`
   |
 2 | weight = 0
   |          ^
"#,
    },
    Case {
        wrong: "an unknown limit",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
limits = { max_rate = 100 }"#)]),
        says: r#"
pipeline.toml:2:12: unknown key `max_rate` in `limits`: expected `max_epoch_bytes`, `max_records`, `max_rate_per_partition` or `backpressure`; remove it
   |
 2 | limits = { max_rate = 100 }
   |            ^^^^^^^^
"#,
    },
    Case {
        wrong: "a rate of nothing",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
limits = { max_rate_per_partition = 0 }"#)]),
        says: r#"
pipeline.toml:2:37: `limits.max_rate_per_partition` is `0`: expected records a second, a whole number above zero; write `max_rate_per_partition = 1000`
   |
 2 | limits = { max_rate_per_partition = 0 }
   |                                     ^
"#,
    },
    Case {
        wrong: "an unknown kind of backpressure",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
limits = { backpressure = "pdi" }"#)]),
        says: r#"
pipeline.toml:2:27: `limits.backpressure` is `pdi`: expected `pid`, or `{ pid = { .. } }` with what differs; did you mean `pid`?
   |
 2 | limits = { backpressure = "pdi" }
   |                           ^^^^^
"#,
    },
    Case {
        wrong: "backpressure that is switched on",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
limits = { backpressure = true }"#)]),
        says: r#"
pipeline.toml:2:27: `limits.backpressure` is a boolean: expected `pid`, or `{ pid = { .. } }` with what differs; write `backpressure = "pid"`
   |
 2 | limits = { backpressure = true }
   |                           ^^^^
"#,
    },
    Case {
        wrong: "backpressure without a kind",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
limits = { backpressure = { min_rate = 100 } }"#)]),
        says: r#"
pipeline.toml:2:27: `pid` is missing in `limits.backpressure`: expected a table; add `pid = { min_rate = 100 }`
   |
 2 | limits = { backpressure = { min_rate = 100 } }
   |                           ^^^^^^^^^^^^^^^^^^

pipeline.toml:2:29: unknown key `min_rate` in `limits.backpressure`: expected `pid`; remove it
   |
 2 | limits = { backpressure = { min_rate = 100 } }
   |                             ^^^^^^^^
"#,
    },
    Case {
        wrong: "a negative gain",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
limits = { backpressure = { pid = { integral = -0.2 } } }"#)]),
        says: r#"
pipeline.toml:2:48: `limits.backpressure.pid.integral` is `-0.2`: expected a number that is not negative; write `integral = 0.2`
   |
 2 | limits = { backpressure = { pid = { integral = -0.2 } } }
   |                                                ^^^^
"#,
    },
    Case {
        wrong: "a gain that is no number",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
limits = { backpressure = { pid = { integral = "0.2" } } }"#)]),
        says: r#"
pipeline.toml:2:48: `limits.backpressure.pid.integral` is a string: expected a number that is not negative; write `integral = 0.2`
   |
 2 | limits = { backpressure = { pid = { integral = "0.2" } } }
   |                                                ^^^^^
"#,
    },
    Case {
        wrong: "a gain under Spark's misspelt name",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
limits = { backpressure = { pid = { derived = 0.1 } } }"#)]),
        says: r#"
pipeline.toml:2:37: unknown key `derived` in `limits.backpressure.pid`: expected `proportional`, `integral`, `derivative`, `min_rate` or `initial_rate`; remove it
   |
 2 | limits = { backpressure = { pid = { derived = 0.1 } } }
   |                                     ^^^^^^^
"#,
    },
    Case {
        wrong: "a share above the whole",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
max_rejected = "110%""#)]),
        says: r#"
pipeline.toml:2:16: `max_rejected` is `110%` (it is too large): expected a share of an epoch's rows; write `max_rejected = "1%"`
   |
 2 | max_rejected = "110%"
   |                ^^^^^^
"#,
    },
    Case {
        wrong: "a number out of bounds",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
max_rejected = { at_least_rows = -1 }"#)]),
        says: "
pipeline.toml:2:34: `max_rejected.at_least_rows` is `-1`: expected a whole number; write `at_least_rows = 100`
   |
 2 | max_rejected = { at_least_rows = -1 }
   |                                  ^^
",
    },
    Case {
        wrong: "a call that may compute for longer than it may take",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
plugin_limits = { cpu = "60s" }"#)]),
        says: r#"
pipeline.toml:2:17: `wall` (30s) is shorter than `cpu` (1min), and so would always come first: expected `wall` of at least `cpu`; raise `wall` or lower `cpu`
   |
 2 | plugin_limits = { cpu = "60s" }
   |                 ^^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "one table where several belong",
        document: Made::By(&[("[[sink]]", "[sink]")]),
        says: "
pipeline.toml:22:2: `sink` is not a list of tables: expected `[[sink]]` once for each sink; write `[[sink]]`
    |
 22 | [sink]
    |  ^^^^
",
    },
    Case {
        wrong: "no source and no sink",
        document: Made::Of(r#"name = "clicks"
"#),
        says: r#"
pipeline.toml:1:1: the pipeline has no source: expected at least one `[[source]]`; add one

pipeline.toml:1:1: the pipeline has no sink: expected at least one `[[sink]]`; add one; `input = ".."` and `console = {}` show rows in the terminal
"#,
    },
    // Sources
    Case {
        wrong: "an unknown key, with a suggestion; what it was meant for is not missing as well",
        document: Made::By(&[("brokers = ", "broker = ")]),
        says: r#"
pipeline.toml:5:11: unknown key `broker` in `source.kafka`: expected `brokers`, `topics`, `pattern`, `starting_offsets`, `on_data_loss` or `properties`; did you mean `brokers`?
   |
 5 | kafka = { broker = "localhost:9092", topics = ["clicks"] }
   |           ^^^^^^
"#,
    },
    Case {
        wrong: "an unknown key that is like none",
        document: Made::By(&[("brokers = ", r#"colour = "red", brokers = "#)]),
        says: r#"
pipeline.toml:5:11: unknown key `colour` in `source.kafka`: expected `brokers`, `topics`, `pattern`, `starting_offsets`, `on_data_loss` or `properties`; remove it
   |
 5 | kafka = { colour = "red", brokers = "localhost:9092", topics = ["clicks"] }
   |           ^^^^^^
"#,
    },
    Case {
        wrong: "a missing key",
        document: Made::By(&[(r#"brokers = "localhost:9092", "#, "")]),
        says: r#"
pipeline.toml:5:9: `brokers` is missing in `source.kafka`: expected `host:port`, several with commas; add `brokers = "localhost:9092"`
   |
 5 | kafka = { topics = ["clicks"] }
   |         ^^^^^^^^^^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a value of the wrong type",
        document: Made::By(&[(r#"topics = ["clicks"]"#, r#"topics = "clicks""#)]),
        says: r#"
pipeline.toml:5:48: `source.kafka.topics` is a string: expected a list of topics; write `topics = ["events"]`
   |
 5 | kafka = { brokers = "localhost:9092", topics = "clicks" }
   |                                                ^^^^^^^^
"#,
    },
    Case {
        wrong: "topics and a pattern",
        document: Made::By(&[(r#"topics = ["clicks"]"#, r#"topics = ["clicks"], pattern = "^c""#)]),
        says: r#"
pipeline.toml:5:60: `source.kafka` has `topics` and `pattern`: expected one of `topics` or `pattern`; keep one, remove the rest
   |
 5 | kafka = { brokers = "localhost:9092", topics = ["clicks"], pattern = "^c" }
   |                                                            ^^^^^^^
"#,
    },
    Case {
        wrong: "no topic at all",
        document: Made::By(&[(r#", topics = ["clicks"]"#, "")]),
        says: r#"
pipeline.toml:5:9: `source.kafka` says none of `topics` and `pattern`: expected one of `topics` or `pattern`; add `topics = ["events"]`
   |
 5 | kafka = { brokers = "localhost:9092" }
   |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a source of no kind",
        document: Made::By(&[(r#"kafka = { brokers = "localhost:9092", topics = ["clicks"] }
"#, "")]),
        says: r#"
pipeline.toml:3:1: `source` says none of `kafka`, `rate`, `socket` and `memory`: expected one of `kafka`, `rate`, `socket` or `memory`; add `kafka = { brokers = "localhost:9092", topics = ["events"] }`
   |
 3 | [[source]]
   | ^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a rate with a format and a schema of its own",
        document: Made::By(&[
            (r#"kafka = { brokers = "localhost:9092", topics = ["clicks"] }"#, r#"rate = { rows_per_second = 10 }"#),
            (r#"kafka = { topic = "stats", key = ["window_start", "country"] }"#, r#"console = {}"#),
        ]),
        says: r#"
pipeline.toml:6:1: `format` does not go with `rate`: expected the columns `timestamp` and `value` that every such row has; remove `format`
   |
 6 | format = "json"
   | ^^^^^^

pipeline.toml:7:1: `schema` does not go with `rate`: expected the columns `timestamp` and `value` that every such row has; remove `schema`
   |
 7 | schema = { at = "timestamp", user = "utf8", country = "utf8?", cost = "float64" }
   | ^^^^^^
"#,
    },
    Case {
        wrong: "rates of made-up rows that can not be",
        document: Made::By(&[
            (r#"kafka = { brokers = "localhost:9092", topics = ["clicks"] }"#, r#"rate = { rows_per_second = 0, num_partitions = 2000, ramp_up_time = "1500ms" }"#),
            (r#"format = "json"
schema = { at = "timestamp", user = "utf8", country = "utf8?", cost = "float64" }
event_time = { column = "at", watermark = "1 minute" }"#, r#"event_time = { column = "timestamp", watermark = "1 minute" }"#),
            (r#"kafka = { topic = "stats", key = ["window_start", "country"] }"#, r#"console = {}"#),
        ]),
        says: r#"
pipeline.toml:5:28: `source.rate.rows_per_second` is `0`: expected a whole number from 1 to 10000000; write `rows_per_second = 10`
   |
 5 | rate = { rows_per_second = 0, num_partitions = 2000, ramp_up_time = "1500ms" }
   |                            ^

pipeline.toml:5:48: `source.rate.num_partitions` is `2000`: expected a whole number from 1 to 1024; write `num_partitions = 4`
   |
 5 | rate = { rows_per_second = 0, num_partitions = 2000, ramp_up_time = "1500ms" }
   |                                                ^^^^

pipeline.toml:5:69: `source.rate.ramp_up_time` is `1500ms` (it is not whole seconds): expected a duration of whole seconds; write `ramp_up_time = "30s"`
   |
 5 | rate = { rows_per_second = 0, num_partitions = 2000, ramp_up_time = "1500ms" }
   |                                                                     ^^^^^^^^
"#,
    },
    Case {
        wrong: "a rate under Spark's name of its option",
        document: Made::By(&[
            (r#"kafka = { brokers = "localhost:9092", topics = ["clicks"] }"#, r#"rate = { rowsPerSecond = 10 }"#),
            (r#"format = "json"
schema = { at = "timestamp", user = "utf8", country = "utf8?", cost = "float64" }
event_time = { column = "at", watermark = "1 minute" }"#, r#"event_time = { column = "timestamp", watermark = "1 minute" }"#),
            (r#"kafka = { topic = "stats", key = ["window_start", "country"] }"#, r#"console = {}"#),
        ]),
        says: r#"
pipeline.toml:5:10: unknown key `rowsPerSecond` in `source.rate`: expected `rows_per_second`, `num_partitions` or `ramp_up_time`; did you mean `rows_per_second`?
   |
 5 | rate = { rowsPerSecond = 10 }
   |          ^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a socket without a port",
        document: Made::By(&[
            (r#"kafka = { brokers = "localhost:9092", topics = ["clicks"] }"#, r#"socket = { host = "localhost" }"#),
            (r#"kafka = { topic = "stats", key = ["window_start", "country"] }"#, r#"console = {}"#),
        ]),
        says: r#"
pipeline.toml:5:10: `port` is missing in `source.socket`: expected a port from 1 to 65535; add `port = 9999`
   |
 5 | socket = { host = "localhost" }
   |          ^^^^^^^^^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a socket with a port that there is not",
        document: Made::By(&[
            (r#"kafka = { brokers = "localhost:9092", topics = ["clicks"] }"#, r#"socket = { host = "", port = 70000 }"#),
            (r#"kafka = { topic = "stats", key = ["window_start", "country"] }"#, r#"console = {}"#),
        ]),
        says: r#"
pipeline.toml:5:19: `source.socket.host` is `` (it is empty): expected a server's name or address; write `host = "localhost"`
   |
 5 | socket = { host = "", port = 70000 }
   |                   ^^

pipeline.toml:5:30: `source.socket.port` is `70000`: expected a port from 1 to 65535; write `port = 9999`
   |
 5 | socket = { host = "", port = 70000 }
   |                              ^^^^^
"#,
    },
    Case {
        wrong: "a socket that is read to its end",
        document: Made::By(&[
            (r#"name = "clicks""#, r#"name = "clicks"
trigger = "available-now""#),
            (r#"kafka = { brokers = "localhost:9092", topics = ["clicks"] }"#, r#"socket = { host = "localhost", port = 9999 }"#),
            (r#"kafka = { topic = "stats", key = ["window_start", "country"] }"#, r#"console = {}"#),
        ]),
        says: r#"
pipeline.toml:6:1: the socket `events` has no end that is known at the start, which `once` and `available-now` stop at: expected `trigger = "asap"` or `{ every = "10s" }`; change `trigger`
   |
 6 | socket = { host = "localhost", port = 9999 }
   | ^^^^^^
"#,
    },
    Case {
        wrong: "a socket that is read once",
        document: Made::By(&[
            (r#"name = "clicks""#, r#"name = "clicks"
trigger = "once""#),
            (r#"kafka = { brokers = "localhost:9092", topics = ["clicks"] }"#, r#"socket = { host = "localhost", port = 9999 }"#),
            (r#"kafka = { topic = "stats", key = ["window_start", "country"] }"#, r#"console = {}"#),
        ]),
        says: r#"
pipeline.toml:6:1: the socket `events` has no end that is known at the start, which `once` and `available-now` stop at: expected `trigger = "asap"` or `{ every = "10s" }`; change `trigger`
   |
 6 | socket = { host = "localhost", port = 9999 }
   | ^^^^^^
"#,
    },
    Case {
        wrong: "a kind of source that comes later",
        document: Made::By(&[(r#"kafka = { brokers = "localhost:9092", topics = ["clicks"] }"#, r#"file = { path = "clicks.json" }"#)]),
        says: r#"
pipeline.toml:5:1: not yet: `file` in `source` comes with a later version: expected `id`, `kafka`, `rate`, `socket`, `memory`, `format`, `on_bad_field`, `schema`, `metadata` or `event_time`; remove it
   |
 5 | file = { path = "clicks.json" }
   | ^^^^
"#,
    },
    Case {
        wrong: "a setting of the client that is Weir's",
        document: Made::By(&[(r#"topics = ["clicks"]"#, r#"topics = ["clicks"], properties = { "group.id" = "mine", "enable.auto.commit" = true }"#)]),
        says: r#"
pipeline.toml:5:75: `group.id` can't be set, because it is the pipeline's name, under which its offsets are kept: expected a setting that is left to you; change `name`
   |
 5 | ...= { brokers = "localhost:9092", topics = ["clicks"], properties = { "group.id" = "mine", "enable.auto.commit" = true } }
   |                                                                        ^^^^^^^^^^

pipeline.toml:5:96: `enable.auto.commit` can't be set, because offsets are committed with the rows they stand for, never on a timer: expected a setting that is left to you; remove it
   |
 5 | ...= { brokers = "localhost:9092", topics = ["clicks"], properties = { "group.id" = "mine", "enable.auto.commit" = true } }
   |                                                                                             ^^^^^^^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a setting that does nothing on this side",
        document: Made::By(&[(r#"topics = ["clicks"]"#, r#"topics = ["clicks"], properties = { "linger.ms" = 5 }"#)]),
        says: r#"
pipeline.toml:5:75: `linger.ms` can't be set, because it does nothing on a source: expected a setting that is left to you; move it to the sink
   |
 5 | kafka = { brokers = "localhost:9092", topics = ["clicks"], properties = { "linger.ms" = 5 } }
   |                                                                           ^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a setting with an unknown value",
        document: Made::By(&[(r#"topics = ["clicks"]"#, r#"topics = ["clicks"], properties = { "isolation.level" = "committed" }"#)]),
        says: r#"
pipeline.toml:5:95: `source.kafka.properties.isolation.level` is `committed`: expected `read_committed` or `read_uncommitted`; write `"isolation.level" = "read_committed"`
   |
 5 | kafka = { brokers = "localhost:9092", topics = ["clicks"], properties = { "isolation.level" = "committed" } }
   |                                                                                               ^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "offsets of a topic that is not read",
        document: Made::By(&[(r#"topics = ["clicks"]"#, r#"topics = ["clicks"], starting_offsets = { click = { "0" = 23 } }"#)]),
        says: r#"
pipeline.toml:5:81: `starting_offsets` names the topic `click`, which is not read: expected `clicks`; did you mean `clicks`?
   |
 5 | kafka = { brokers = "localhost:9092", topics = ["clicks"], starting_offsets = { click = { "0" = 23 } } }
   |                                                                                 ^^^^^
"#,
    },
    Case {
        wrong: "an offset that is none",
        document: Made::By(&[(r#"topics = ["clicks"]"#, r#"topics = ["clicks"], starting_offsets = { clicks = { "0" = "newest" } }"#)]),
        says: r#"
pipeline.toml:5:98: `source.kafka.starting_offsets.clicks.0` is `newest`: expected an offset, `earliest` or `latest`; write `0 = 23`
   |
 5 | kafka = { brokers = "localhost:9092", topics = ["clicks"], starting_offsets = { clicks = { "0" = "newest" } } }
   |                                                                                                  ^^^^^^^^
"#,
    },
    Case {
        wrong: "a format that comes later",
        document: Made::By(&[(r#"format = "json""#, r#"format = "csv""#)]),
        says: r#"
pipeline.toml:6:10: not yet: `source.format` is `csv`, which comes with a later version: expected `json` or `raw`; write `format = "json"`
   |
 6 | format = "csv"
   |          ^^^^^
"#,
    },
    Case {
        wrong: "json without a schema",
        document: Made::By(&[(r#"schema = { at = "timestamp", user = "utf8", country = "utf8?", cost = "float64" }
"#, "")]),
        says: r#"
pipeline.toml:3:1: `schema` is missing in `source`: expected the columns of `json` and their types; add `schema = { id = "utf8", at = "timestamp" }`
   |
 3 | [[source]]
   | ^^^^^^^^^^
"#,
    },
    Case {
        wrong: "raw with a schema",
        document: Made::By(&[(r#"format = "json""#, r#"format = "raw""#)]),
        says: r#"
pipeline.toml:7:1: `schema` does not go with `format = "raw"`: expected Kafka's own columns: `key`, `value`, `topic`, `partition`, `offset`, `timestamp` and `headers`; remove `schema`
   |
 7 | schema = { at = "timestamp", user = "utf8", country = "utf8?", cost = "float64" }
   | ^^^^^^
"#,
    },
    Case {
        wrong: "a type under another system's name",
        document: Made::By(&[(r#""utf8?""#, r#""string""#)]),
        says: r#"
pipeline.toml:7:55: `source.schema.country` is `string` (`utf8` is its name here): expected `boolean`, `int64`, `float64`, `timestamp`, `timestamp(s)`, `timestamp(ms)`, `timestamp(us)`, `timestamp(ns)`, `utf8`, `binary` or `json`, with `?` if it may be null; write `country = "utf8"`
   |
 7 | schema = { at = "timestamp", user = "utf8", country = "string", cost = "float64" }
   |                                                       ^^^^^^^^
"#,
    },
    Case {
        wrong: "metadata under a name that is taken",
        document: Made::By(&[(r#"cost = "float64" }"#, r#"offset = "int64" }
metadata = ["offset"]"#)]),
        says: r#"
pipeline.toml:8:13: `metadata` adds a column `offset`, which the schema has already: expected another name for it; write `metadata = { kafka_offset = "offset" }`
   |
 8 | metadata = ["offset"]
   |             ^^^^^^^^
"#,
    },
    Case {
        wrong: "metadata that Kafka has not",
        document: Made::By(&[(r#"format = "json""#, r#"format = "json"
metadata = ["offsets"]"#)]),
        says: r#"
pipeline.toml:7:13: `metadata` has no `offsets`: expected `key`, `topic`, `partition`, `offset`, `timestamp` or `headers`; did you mean `offset`?
   |
 7 | metadata = ["offsets"]
   |             ^^^^^^^^^
"#,
    },
    Case {
        wrong: "a variable that is not set",
        document: Made::By(&[(r#""localhost:9092""#, r#""${env:BROKERS}""#)]),
        says: r#"
pipeline.toml:5:22: environment variable `BROKERS` in `source.kafka.brokers` is not set: expected a value for it; export `BROKERS`, or write the value
   |
 5 | kafka = { brokers = "${env:BROKERS}", topics = ["clicks"] }
   |                      ^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a variable that is misspelt",
        document: Made::By(&[(r#""localhost:9092""#, r#""${BROKERS}:9092""#)]),
        says: r#"
pipeline.toml:5:22: `${BROKERS}` in `source.kafka.brokers` can't be replaced: expected `${env:NAME}`; name a variable, or write `$${` for a literal `${`
   |
 5 | kafka = { brokers = "${BROKERS}:9092", topics = ["clicks"] }
   |                      ^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a wrong value from the environment, which is not shown",
        document: Made::By(&[(r#"watermark = "1 minute""#, r#"watermark = "${env:SECRET}""#)]),
        says: r#"
pipeline.toml:8:43: `source.event_time.watermark` is `${env:SECRET}`: expected a delay; write `watermark = "1 minute"`
   |
 8 | event_time = { column = "at", watermark = "${env:SECRET}" }
   |                                           ^^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "an idle time that has nothing to do",
        document: Made::By(&[(r#"watermark = "1 minute""#, r#"watermark = { delay = "1 minute", by = "source", idle = "5s" }"#)]),
        says: r#"
pipeline.toml:8:80: `idle` does not go with `by = "source"`, which has one watermark for all partitions: expected `idle` beside `by = "partition"`; remove `idle`
   |
 8 | event_time = { column = "at", watermark = { delay = "1 minute", by = "source", idle = "5s" } }
   |                                                                                ^^^^
"#,
    },
    Case {
        wrong: "a negative delay",
        document: Made::By(&[(r#"watermark = "1 minute""#, r#"watermark = "-1 minute""#)]),
        says: r#"
pipeline.toml:8:43: `source.event_time.watermark` is `-1 minute` (it is negative): expected a delay; write `watermark = "1 minute"`
   |
 8 | event_time = { column = "at", watermark = "-1 minute" }
   |                                           ^^^^^^^^^^^
"#,
    },
    // Steps
    Case {
        wrong: "a step that does nothing",
        document: Made::By(&[("transform = { plugin", "transfrom = { plugin")]),
        says: r#"
pipeline.toml:13:1: unknown key `transfrom` in `step`: expected `id`, `input`, `transform`, `aggregate`, `dedupe`, `history`, `key`, `window`, `output_mode`, `ttl`, `allowed_lateness`, `event_time` or `late`; did you mean `transform`?
    |
 13 | transfrom = { plugin = "clean.wasm", function = "clean", config = { drop = { prefix = "BOT" } } }
    | ^^^^^^^^^
"#,
    },
    Case {
        wrong: "a step that does two things",
        document: Made::By(&[(r#"window = { tumbling = "1 minute" }
"#, r#"window = { tumbling = "1 minute" }
transform = { plugin = "clean.wasm", function = "clean" }
"#)]),
        says: r#"
pipeline.toml:21:1: `step` has `transform` and `aggregate`: expected one of `transform`, `aggregate`, `dedupe` or `history`; keep one, remove the rest
    |
 21 | aggregate = { plugin = "std", config = { clicks = "count(*)" } }
    | ^^^^^^^^^
"#,
    },
    Case {
        wrong: "a key of aggregates on a transform",
        document: Made::By(&[(r#"input = "events""#, r#"input = "events"
key = ["user"]"#)]),
        says: r#"
pipeline.toml:13:1: `key` does not go with `transform`: expected it beside `aggregate`; remove `key`, or make the aggregate a step of its own
    |
 13 | key = ["user"]
    | ^^^
"#,
    },
    Case {
        wrong: "an operation that comes later",
        document: Made::By(&[(r#"transform = { plugin = "clean.wasm", function = "clean", config = { drop = { prefix = "BOT" } } }"#, r#"join = { key = ["user"] }"#)]),
        says: r#"
pipeline.toml:13:1: not yet: `join` in `step` comes with a later version: expected `id`, `input`, `transform`, `aggregate`, `dedupe`, `history`, `key`, `window`, `output_mode`, `ttl`, `allowed_lateness`, `event_time` or `late`; remove it
    |
 13 | join = { key = ["user"] }
    | ^^^^
"#,
    },
    Case {
        wrong: "a deduplication with a window",
        document: Made::By(&[(r#"transform = { plugin = "clean.wasm", function = "clean", config = { drop = { prefix = "BOT" } } }"#, r#"dedupe = { key = ["user"], within_watermark = 1 }
window = { tumbling = "1 minute" }"#)]),
        says: r#"
pipeline.toml:13:47: `step.dedupe.within_watermark` is an integer: expected `true` or `false`; write `within_watermark = true`
    |
 13 | dedupe = { key = ["user"], within_watermark = 1 }
    |                                               ^

pipeline.toml:14:1: `window` does not go with `dedupe`: expected it beside `aggregate`; remove `window`, or make the aggregate a step of its own
    |
 14 | window = { tumbling = "1 minute" }
    | ^^^^^^
"#,
    },
    Case {
        wrong: "a slide longer than its window",
        document: Made::By(&[(r#"{ tumbling = "1 minute" }"#, r#"{ sliding = "10s", every = "1 minute" }"#)]),
        says: r#"
pipeline.toml:19:37: `every` is longer than the window, so that some rows would be in none: expected at most 10s; make it shorter, or the window longer
    |
 19 | window = { sliding = "10s", every = "1 minute" }
    |                                     ^^^^^^^^^^
"#,
    },
    Case {
        wrong: "an offset of a whole slide",
        document: Made::By(&[(r#"{ tumbling = "1 minute" }"#, r#"{ sliding = "1 minute", every = "10s", offset = "10s" }"#)]),
        says: r#"
pipeline.toml:19:58: `offset` is not smaller than `every`: expected less than 10s; take whole slides off it
    |
 19 | window = { sliding = "1 minute", every = "10s", offset = "10s" }
    |                                                          ^^^^^
"#,
    },
    Case {
        wrong: "a sliding window without its slide",
        document: Made::By(&[(r#"{ tumbling = "1 minute" }"#, r#"{ sliding = "1 minute" }"#)]),
        says: r#"
pipeline.toml:19:10: `every` is missing in `step.window`: expected a duration above zero; add `every = "1 minute"`
    |
 19 | window = { sliding = "1 minute" }
    |          ^^^^^^^^^^^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "two kinds of window",
        document: Made::By(&[(r#"{ tumbling = "1 minute" }"#, r#"{ tumbling = "1 minute", session = "1 minute" }"#)]),
        says: r#"
pipeline.toml:19:35: `step.window` has `tumbling` and `session`: expected one of `tumbling`, `sliding` or `session`; keep one, remove the rest
    |
 19 | window = { tumbling = "1 minute", session = "1 minute" }
    |                                   ^^^^^^^
"#,
    },
    Case {
        wrong: "sessions in update mode without a key",
        document: Made::By(&[(r#"window = { tumbling = "1 minute" }"#, r#"window = { session = "1 minute" }
output_mode = "update""#)]),
        says: r#"
pipeline.toml:20:15: `by_country` gives the sessions that an epoch changes, but sessions that grow together would have to be taken back: expected `append` or `complete` for a session window; set `output_mode = "append"`, which gives a session once, when it is closed
    |
 20 | output_mode = "update"
    |               ^^^^^^^^
"#,
    },
    Case {
        wrong: "sessions without a key",
        document: Made::By(&[(r#"window = { tumbling = "1 minute" }"#, r#"window = { session = "1 minute" }"#), (r#"key = ["country"]
"#, "")]),
        says: r#"
pipeline.toml:18:1: the sessions of `by_country` have no key, so that rows of everyone would be one session: expected at least one column beside the session; add `key = ["user_id"]`, or make a key of a constant in a step before
    |
 18 | window = { session = "1 minute" }
    | ^^^^^^
"#,
    },
    Case {
        wrong: "a gap that is no column of gaps",
        document: Made::By(&[(r#"window = { tumbling = "1 minute" }"#, r#"window = { session = { gap = "at" } }"#)]),
        says: r#"
pipeline.toml:19:30: the column `at` of the input of the step `by_country` is timestamp: expected `utf8` with a duration such as `5 minutes`, or `int64` with milliseconds; make it in a step before, or name another column
    |
 19 | window = { session = { gap = "at" } }
    |                              ^^^^
"#,
    },
    Case {
        wrong: "keys within a watermark that is not there",
        document: Made::By(&[(r#"transform = { plugin = "clean.wasm", function = "clean", config = { drop = { prefix = "BOT" } } }"#, r#"dedupe = { key = ["user"], within_watermark = true }"#), (r#", watermark = "1 minute""#, "")]),
        says: r#"
pipeline.toml:13:1: `clean` forgets keys when the watermark has passed them, but its input has no watermark: expected a watermark above; add `event_time = { column = "timestamp", watermark = "1 minute" }` to the source, or remove `within_watermark`
    |
 13 | dedupe = { key = ["user"], within_watermark = true }
    | ^^^^^^

pipeline.toml:20:1: `by_country` appends a window when it is closed, but the `event_time` at pipeline.toml:8:1 has no watermark, so none ever is: expected a watermark; add `watermark = "1 minute"` there, or set `output_mode = "update"` here
    |
 20 | aggregate = { plugin = "std", config = { clicks = "count(*)" } }
    | ^^^^^^^^^
"#,
    },
    Case {
        wrong: "late rows for a sink that is not there",
        document: Made::By(&[(r#"window = { tumbling = "1 minute" }"#, r#"window = { tumbling = "1 minute" }
late = "by_countri-kafka""#)]),
        says: r#"
pipeline.toml:20:8: no sink has the id `by_countri-kafka`: expected a sink for late rows; did you mean `by_country-kafka`?
    |
 20 | late = "by_countri-kafka"
    |        ^^^^^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "late rows for the sink of another step",
        document: Made::By(&[(r#"window = { tumbling = "1 minute" }"#, r#"window = { tumbling = "1 minute" }
late = "clean-console""#), (r#"[[sink]]"#, r#"[[sink]]
input = "clean"
console = {}

[[sink]]"#)]),
        says: r#"
pipeline.toml:20:8: the sink `clean-console` is to take the late rows of `by_country`, but its `input` is another: expected a sink whose `input` is this step; write `input = "by_country"` there, or make a sink of its own for late rows
    |
 20 | late = "clean-console"
    |        ^^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "late rows of a transform",
        document: Made::By(&[(r#"input = "events""#, r#"input = "events"
late = "by_country-kafka""#)]),
        says: r#"
pipeline.toml:13:8: `late` does not go with `transform` or `history`, which know no late rows: expected it beside `aggregate` or `dedupe`; remove `late`, or move it to the step with the window
    |
 13 | late = "by_country-kafka"
    |        ^^^^^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a watermark policy that is none",
        document: Made::By(&[(r#"name = "clicks""#, r#"name = "clicks"
watermark_policy = "avg"
no_data_epochs = "no""#)]),
        says: r#"
pipeline.toml:2:20: `watermark_policy` is `avg`: expected `min` or `max`; write `watermark_policy = "min"`
   |
 2 | watermark_policy = "avg"
   |                    ^^^^^

pipeline.toml:3:18: `no_data_epochs` is a string: expected `true` or `false`; write `no_data_epochs = true`
   |
 3 | no_data_epochs = "no"
   |                  ^^^^
"#,
    },
    Case {
        wrong: "an allowed lateness in append mode",
        document: Made::By(&[(r#"window = { tumbling = "1 minute" }"#, r#"window = { tumbling = "1 minute" }
allowed_lateness = "5 minutes""#)]),
        says: r#"
pipeline.toml:20:20: `allowed_lateness` lets late rows give a window's row again, which `by_country` does not: expected a window in update mode; set `output_mode = "update"` beside a window, or make the delay of the watermark longer
    |
 20 | allowed_lateness = "5 minutes"
    |                    ^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "an aggregate of nothing",
        document: Made::By(&[(r#"aggregate = { plugin = "std", config = { clicks = "count(*)" } }"#, r#"aggregate = []"#)]),
        says: r#"
pipeline.toml:20:13: `aggregate` is empty: expected a table, or a list of them; write `aggregate = { plugin = "std", config = { n = "count(*)" } }`
    |
 20 | aggregate = []
    |             ^^
"#,
    },
    Case {
        wrong: "two aggregates with a column of one name",
        document: Made::By(&[(r#"aggregate = { plugin = "std", config = { clicks = "count(*)" } }"#, r#"aggregate = [{ plugin = "std", config = { clicks = "count(*)" } }, { plugin = "std", config = { clicks = "sum(cost)" } }]"#)]),
        says: r#"
pipeline.toml:20:86: the aggregate makes a column `clicks`, which stands for the window, a key or another one already: expected names of their own for all columns; name it otherwise in `config`
    |
 20 | ...ggregate = [{ plugin = "std", config = { clicks = "count(*)" } }, { plugin = "std", config = { clicks = "sum(cost)" } }]
    |                                                                                        ^^^^^^
"#,
    },
    Case {
        wrong: "a history of rows that are not closed windows",
        document: Made::By(&[(r#"transform = { plugin = "clean.wasm", function = "clean", config = { drop = { prefix = "BOT" } } }"#, r#"history = { key = ["country"], add = { before = "lag(cost, 1)" } }"#)]),
        says: r#"
pipeline.toml:13:1: the history `clean` is not of closed windows, so that rows could still come between those it has seen: expected rows that come once, in the order of their windows; make its input an aggregate with a window and `output_mode = "append"`
    |
 13 | history = { key = ["country"], add = { before = "lag(cost, 1)" } }
    | ^^^^^^^
"#,
    },
    Case {
        wrong: "a history that looks further back than it holds, of functions that are none",
        document: Made::By(&[(r#"transform = { plugin = "clean.wasm", function = "clean", config = { drop = { prefix = "BOT" } } }"#, r#"history = { key = ["country"], size = 2, add = { a = "lag(cost, 3)" } }"#), (r#"[[sink]]"#, r#"[[step]]
id = "more"
input = "by_country"
history = { size = 0, add = { a = "median(cost)", b = "lag(cost)", c = "cost" } }

[[sink]]"#)]),
        says: r#"
pipeline.toml:13:50: `a` looks 3 rows back, and the history holds 2: expected at most 2; look less far back, or make `size` larger
    |
 13 | history = { key = ["country"], size = 2, add = { a = "lag(cost, 3)" } }
    |                                                  ^

pipeline.toml:25:20: `step.history.size` is `0`: expected a whole number from 1 to 1000; write `size = 10`
    |
 25 | history = { size = 0, add = { a = "median(cost)", b = "lag(cost)", c = "cost" } }
    |                    ^

pipeline.toml:25:35: `step.history.add.a` is `median(cost)` (there is no `median` of so many arguments): expected `lag(column, rows)`, or `mean`, `stddev`, `min`, `max` or `zscore` of a column; write `a = "zscore(avg_ms)"`
    |
 25 | history = { size = 0, add = { a = "median(cost)", b = "lag(cost)", c = "cost" } }
    |                                   ^^^^^^^^^^^^^^

pipeline.toml:25:55: `step.history.add.b` is `lag(cost)` (there is no `lag` of so many arguments): expected `lag(column, rows)`, or `mean`, `stddev`, `min`, `max` or `zscore` of a column; write `b = "zscore(avg_ms)"`
    |
 25 | history = { size = 0, add = { a = "median(cost)", b = "lag(cost)", c = "cost" } }
    |                                                       ^^^^^^^^^^^

pipeline.toml:25:72: `step.history.add.c` is `cost` (it is no function of a column): expected `lag(column, rows)`, or `mean`, `stddev`, `min`, `max` or `zscore` of a column; write `c = "zscore(avg_ms)"`
    |
 25 | history = { size = 0, add = { a = "median(cost)", b = "lag(cost)", c = "cost" } }
    |                                                                        ^^^^^^
"#,
    },
    Case {
        wrong: "a history of a text, and of a column that is there",
        document: Made::By(&[(r#"[[sink]]
input = "by_country""#, r#"[[step]]
id = "more"
input = "by_country"
history = { key = ["land"], add = { z = "zscore(country)" } }

[[step]]
id = "again"
input = "by_country"
history = { key = ["country"], add = { clicks = "mean(clicks)" } }

[[sink]]
input = "again""#)]),
        says: r#"
pipeline.toml:25:20: the input of the step `more` has no column `land`: expected `window_start`, `window_end`, `country` or `clicks`; name one of these
    |
 25 | history = { key = ["land"], add = { z = "zscore(country)" } }
    |                    ^^^^^^

pipeline.toml:25:41: the column `country` of the input of the step `more` is utf8: expected `int64` or `float64`; make a number of it in a step before, or name another column
    |
 25 | history = { key = ["land"], add = { z = "zscore(country)" } }
    |                                         ^^^^^^^^^^^^^^^^^

pipeline.toml:30:40: the history adds a column `clicks`, which is there already: expected another name for it; rename it
    |
 30 | history = { key = ["country"], add = { clicks = "mean(clicks)" } }
    |                                        ^^^^^^
"#,
    },
    Case {
        wrong: "a gap that is no duration",
        document: Made::By(&[(r#"{ tumbling = "1 minute" }"#, r#"{ session = { gap = 5, offset = "1s" } }"#)]),
        says: r#"
pipeline.toml:19:30: `step.window.session.gap` is an integer: expected a column with each row's gap; write `gap = "gap"`
    |
 19 | window = { session = { gap = 5, offset = "1s" } }
    |                              ^

pipeline.toml:19:33: unknown key `offset` in `step.window.session`: expected `gap`; remove it
    |
 19 | window = { session = { gap = 5, offset = "1s" } }
    |                                 ^^^^^^
"#,
    },
    Case {
        wrong: "groups without a window in append mode",
        document: Made::By(&[(r#"window = { tumbling = "1 minute" }
"#, "")]),
        says: r#"
pipeline.toml:19:1: `by_country` appends a group when it is closed, but without a window, or the event time in its key, none ever is: expected `update` or `complete` for groups without a window; add `window = { tumbling = "1 minute" }` and an `event_time` with a watermark, or set `output_mode = "update"`
    |
 19 | aggregate = { plugin = "std", config = { clicks = "count(*)" } }
    | ^^^^^^^^^
"#,
    },
    Case {
        wrong: "a ttl beside a window",
        document: Made::By(&[(r#"window = { tumbling = "1 minute" }"#, r#"window = { tumbling = "1 minute" }
ttl = "1 day""#)]),
        says: r#"
pipeline.toml:20:7: `ttl` does not go with `window`: expected it on an aggregate without a window; remove `ttl`: the watermark closes windows
    |
 20 | ttl = "1 day"
    |       ^^^^^^^
"#,
    },
    Case {
        wrong: "a window without a fixed length",
        document: Made::By(&[(r#"tumbling = "1 minute""#, r#"tumbling = "1 month""#)]),
        says: r#"
pipeline.toml:19:23: `step.window.tumbling` is `1 month` (months and years have no fixed length): expected a duration above zero; write `tumbling = "1 minute"`
    |
 19 | window = { tumbling = "1 month" }
    |                       ^^^^^^^^^
"#,
    },
    Case {
        wrong: "an offset of a whole window",
        document: Made::By(&[(r#"tumbling = "1 minute""#, r#"tumbling = "1 minute", offset = "-60s""#)]),
        says: r#"
pipeline.toml:19:44: `offset` is not smaller than the window: expected less than 1min; take whole windows off it
    |
 19 | window = { tumbling = "1 minute", offset = "-60s" }
    |                                            ^^^^^^
"#,
    },
    Case {
        wrong: "an output mode that there is not",
        document: Made::By(&[("window = {", r#"output_mode = "compleet"
window = {"#)]),
        says: r#"
pipeline.toml:19:15: `step.output_mode` is `compleet`: expected `append`, `update` or `complete`; did you mean `complete`?
    |
 19 | output_mode = "compleet"
    |               ^^^^^^^^^^
"#,
    },
    Case {
        wrong: "complete mode for rows that are not aggregated",
        document: Made::By(&[("transform = {", r#"output_mode = "complete"
transform = {"#)]),
        says: r#"
pipeline.toml:13:1: `output_mode` does not go with `transform`: expected it beside `aggregate`; remove `output_mode`, or make the aggregate a step of its own
    |
 13 | output_mode = "complete"
    | ^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a key column named twice",
        document: Made::By(&[(r#"key = ["country"]"#, r#"key = ["country", "country"]"#)]),
        says: r#"
pipeline.toml:18:19: `country` is named twice: expected each name once; remove one
    |
 18 | key = ["country", "country"]
    |                   ^^^^^^^^^
"#,
    },
    Case {
        wrong: "a transform without a function",
        document: Made::By(&[(r#"function = "clean", "#, "")]),
        says: r#"
pipeline.toml:13:13: `function` is missing in `step.transform`: expected the name of a function of the plugin; add `function = "clean"`
    |
 13 | transform = { plugin = "clean.wasm", config = { drop = { prefix = "BOT" } } }
    |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "grants, which come later",
        document: Made::By(&[(r#"function = "clean", "#, r#"function = "clean", grants = ["clock"], "#)]),
        says: r#"
pipeline.toml:13:58: not yet: `grants` in `step.transform` comes with a later version: expected `plugin`, `function`, `config` or `limits`; remove it
    |
 13 | transform = { plugin = "clean.wasm", function = "clean", grants = ["clock"], config = { drop = { prefix = "BOT" } } }
    |                                                          ^^^^^^
"#,
    },
    // Sinks
    Case {
        wrong: "a sink of no kind",
        document: Made::By(&[(r#"kafka = { topic = "stats", key = ["window_start", "country"] }"#, r#"format = "json""#)]),
        says: "
pipeline.toml:22:1: `sink` says none of `kafka`, `console` and `memory`: expected one of `kafka`, `console` or `memory`; add `console = {}`
    |
 22 | [[sink]]
    | ^^^^^^^^
",
    },
    Case {
        wrong: "a console that shows no rows",
        document: Made::By(&[(r#"kafka = { topic = "stats", key = ["window_start", "country"] }"#, r#"console = { num_rows = 0 }"#)]),
        says: r#"
pipeline.toml:24:24: `sink.console.num_rows` is `0`: expected a whole number above zero; write `num_rows = 20`
    |
 24 | console = { num_rows = 0 }
    |                        ^
"#,
    },
    Case {
        wrong: "a console under another name of its option",
        document: Made::By(&[(r#"kafka = { topic = "stats", key = ["window_start", "country"] }"#, r#"console = { numRows = 5 }"#)]),
        says: r#"
pipeline.toml:24:13: unknown key `numRows` in `sink.console`: expected `num_rows` or `truncate`; did you mean `num_rows`?
    |
 24 | console = { numRows = 5 }
    |             ^^^^^^^
"#,
    },
    Case {
        wrong: "a console that cuts at a word",
        document: Made::By(&[(r#"kafka = { topic = "stats", key = ["window_start", "country"] }"#, r#"console = { truncate = "long" }"#)]),
        says: r#"
pipeline.toml:24:24: `sink.console.truncate` is a string: expected `true`, `false`, or how many characters are shown; write `truncate = true`
    |
 24 | console = { truncate = "long" }
    |                        ^^^^^^
"#,
    },
    Case {
        wrong: "a format of the console",
        document: Made::By(&[(r#"kafka = { topic = "stats", key = ["window_start", "country"] }"#, r#"console = {}
format = "json""#)]),
        says: r#"
pipeline.toml:25:1: `format` does not go with `console` or `memory`, which show rows as they are: expected it beside `kafka`; remove `format`
    |
 25 | format = "json"
    | ^^^^^^
"#,
    },
    Case {
        wrong: "an unknown partitioner",
        document: Made::By(&[(r#"topic = "stats""#, r#"topic = "stats", partitioner = "murmur2-random""#)]),
        says: r#"
pipeline.toml:24:42: `sink.kafka.partitioner` is `murmur2-random`: expected `murmur2_random`, `murmur2`, `consistent_random`, `consistent`, `fnv1a_random` or `fnv1a`; did you mean `murmur2_random`?
    |
 24 | kafka = { topic = "stats", partitioner = "murmur2-random", key = ["window_start", "country"] }
    |                                          ^^^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a topic without copies",
        document: Made::By(&[(r#"topic = "stats""#, r#"topic = "stats", create = { partitions = 4, replication = 0 }"#)]),
        says: r#"
pipeline.toml:24:69: `sink.kafka.create.replication` is `0`: expected a whole number above zero; write `replication = 1`
    |
 24 | kafka = { topic = "stats", create = { partitions = 4, replication = 0 }, key = ["window_start", "country"] }
    |                                                                     ^
"#,
    },
    Case {
        wrong: "the partitioner as a setting",
        document: Made::By(&[(r#"topic = "stats""#, r#"topic = "stats", properties = { partitioner = "random", acks = 1 }"#)]),
        says: r#"
pipeline.toml:24:43: `partitioner` can't be set, because `partitioner` beside `topic` says it: expected a setting that is left to you; write it there
    |
 24 | kafka = { topic = "stats", properties = { partitioner = "random", acks = 1 }, key = ["window_start", "country"] }
    |                                           ^^^^^^^^^^^

pipeline.toml:24:67: `acks` can't be set, because transactions need `all`: expected a setting that is left to you; remove it
    |
 24 | kafka = { topic = "stats", properties = { partitioner = "random", acks = 1 }, key = ["window_start", "country"] }
    |                                                                   ^^^^
"#,
    },
    Case {
        wrong: "dead letters that go nowhere",
        document: Made::By(&[("[[sink]]", r#"[dead_letters]
kfka = { topic = "dead" }

[[sink]]"#)]),
        says: r#"
pipeline.toml:23:1: unknown key `kfka` in `dead_letters`: expected `kafka`; did you mean `kafka`?
    |
 23 | kfka = { topic = "dead" }
    | ^^^^
"#,
    },
    // The graph
    Case {
        wrong: "two things of one name",
        document: Made::By(&[
            (r#"id = "by_country""#, r#"id = "clean""#),
            (r#"input = "by_country""#, r#"input = "clean""#),
        ]),
        says: r#"
pipeline.toml:16:6: the step `clean` has the name of the step at pipeline.toml:11:6: expected a name of its own for every source, step and sink; give this step another `id`
    |
 16 | id = "clean"
    |      ^^^^^^^
"#,
    },
    Case {
        wrong: "an unknown step",
        document: Made::By(&[(r#"input = "by_country""#, r#"input = "by_contry""#)]),
        says: r#"
pipeline.toml:23:9: no source or step has the id `by_contry`: expected `by_country`, `clean` or `events`; did you mean `by_country`?
    |
 23 | input = "by_contry"
    |         ^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "rows from a sink",
        document: Made::By(&[(r#"input = "clean""#, r#"input = "by_country-kafka""#)]),
        says: r#"
pipeline.toml:17:9: `by_country-kafka` is a sink, which gives no rows: expected `by_country`, `clean` or `events`; name one of these
    |
 17 | input = "by_country-kafka"
    |         ^^^^^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "steps that feed themselves",
        document: Made::By(&[(r#"input = "events""#, r#"input = ["events", "by_country"]"#)]),
        says: r#"
pipeline.toml:12:10: steps feed themselves: `by_country` -> `clean` -> `by_country`: expected rows that flow from the sources to the sinks; take one `input` of these out
    |
 12 | input = ["events", "by_country"]
    |          ^^^^^^^^
"#,
    },
    Case {
        wrong: "a sink that writes the pipeline's own source",
        document: Made::By(&[(r#"topic = "stats""#, r#"topic = "clicks""#)]),
        says: r#"
pipeline.toml:24:19: the sink writes the topic `clicks`, which the source `events` reads: expected another topic, or the pipeline would feed itself without end; change one of the topics
    |
 24 | kafka = { topic = "clicks", key = ["window_start", "country"] }
    |                   ^^^^^^^^
"#,
    },
    Case {
        wrong: "dead letters that come back",
        document: Made::By(&[("[[sink]]", r#"[dead_letters]
kafka = { topic = "clicks", brokers = "LOCALHOST:9092" }

[[sink]]"#)]),
        says: r#"
pipeline.toml:23:19: the dead letters go to the topic `clicks`, which the source `events` reads: expected another topic, or the pipeline would feed itself without end; change one of the topics
    |
 23 | kafka = { topic = "clicks", brokers = "LOCALHOST:9092" }
    |                   ^^^^^^^^
"#,
    },
    Case {
        wrong: "a topic without brokers",
        document: Made::By(&[(r#"kafka = { brokers = "localhost:9092", topics = ["clicks"] }"#, "memory = {}")]),
        says: r#"
pipeline.toml:24:1: the topic `stats` has no `brokers`, and there is not one cluster of the sources to take them from: expected the brokers of its cluster; add `brokers = "localhost:9092"`
    |
 24 | kafka = { topic = "stats", key = ["window_start", "country"] }
    | ^^^^^
"#,
    },
    Case {
        wrong: "topics of two clusters",
        document: Made::By(&[("[[sink]]", r#"[dead_letters]
kafka = { topic = "dead", brokers = "other:9092" }

[[sink]]"#)]),
        says: r#"
pipeline.toml:23:1: not yet: topics of two clusters (the other is at pipeline.toml:27:1) in one pipeline come with a later version: expected the same `brokers` for every sink and the dead letters; make a pipeline for each cluster
    |
 23 | kafka = { topic = "dead", brokers = "other:9092" }
    | ^^^^^
"#,
    },
    Case {
        wrong: "two sinks that would be called the same",
        document: Made::By(&[("[[sink]]", r#"[[sink]]
input = "by_country"
kafka = { topic = "more" }

[[sink]]"#)]),
        says: r#"
pipeline.toml:28:1: the sink `by_country-kafka` has the name of the sink at pipeline.toml:24:1: expected a name of its own for every source, step and sink; give this sink another `id`
    |
 28 | kafka = { topic = "stats", key = ["window_start", "country"] }
    | ^^^^^
"#,
    },
    Case {
        wrong: "a topic whose brokers could be either of two",
        document: Made::By(&[(r#"[[step]]
id = "clean""#, r#"[[source]]
id = "more"
kafka = { brokers = "other:9092", topics = ["more"] }
format = "raw"

[[step]]
id = "clean""#)]),
        says: r#"
pipeline.toml:29:1: the topic `stats` has no `brokers`, and there is not one cluster of the sources to take them from: expected the brokers of its cluster; add `brokers = "localhost:9092"`
    |
 29 | kafka = { topic = "stats", key = ["window_start", "country"] }
    | ^^^^^
"#,
    },
    // Time
    Case {
        wrong: "a window without an event time",
        document: Made::By(&[(r#"event_time = { column = "at", watermark = "1 minute" }
"#, "")]),
        says: r#"
pipeline.toml:18:1: the window of `by_country` has no event time, as nothing declares one for the rows of `events`: expected a column with the time at which things happened; add `event_time = { column = "timestamp", watermark = "1 minute" }` to the source, or to the step that makes the column
    |
 18 | window = { tumbling = "1 minute" }
    | ^^^^^^
"#,
    },
    Case {
        wrong: "append without a watermark",
        document: Made::By(&[(r#", watermark = "1 minute""#, "")]),
        says: r#"
pipeline.toml:20:1: `by_country` appends a window when it is closed, but the `event_time` at pipeline.toml:8:1 has no watermark, so none ever is: expected a watermark; add `watermark = "1 minute"` there, or set `output_mode = "update"` here
    |
 20 | aggregate = { plugin = "std", config = { clicks = "count(*)" } }
    | ^^^^^^^^^
"#,
    },
    Case {
        wrong: "an event time declared twice",
        document: Made::By(&[(r#"config = { drop = { prefix = "BOT" } } }"#, r#"config = { drop = { prefix = "BOT" } } }
event_time = { column = "at", watermark = "1 minute" }"#)]),
        says: r#"
pipeline.toml:14:1: `event_time` is declared a second time, after `events`: expected one declaration on the way from a source to a window; keep the one where the column gets its final value, remove the other
    |
 14 | event_time = { column = "at", watermark = "1 minute" }
    | ^^^^^^^^^^
"#,
    },
    Case {
        wrong: "an event time on an aggregate",
        document: Made::By(&[(r#"config = { clicks = "count(*)" } }"#, r#"config = { clicks = "count(*)" } }
event_time = { column = "window_end" }"#)]),
        says: r#"
pipeline.toml:21:1: an aggregate declares `event_time`: expected none, because the event time of its rows is `window_end`; remove it
    |
 21 | event_time = { column = "window_end" }
    | ^^^^^^^^^^
"#,
    },
    Case {
        wrong: "an event time above an aggregate",
        document: Made::By(&[("[[sink]]", r#"[[step]]
id = "late"
input = "by_country"
transform = { plugin = "clean.wasm", function = "clean" }
event_time = { column = "window_end", watermark = "1s" }

[[sink]]"#)]),
        says: r#"
pipeline.toml:26:1: `event_time` is declared after the aggregate `by_country`: expected none, because the event time of an aggregate's rows is `window_end`, under the watermark that closed the window; remove it
    |
 26 | event_time = { column = "window_end", watermark = "1s" }
    | ^^^^^^^^^^
"#,
    },
    Case {
        wrong: "an aggregate of rows that come again",
        document: Made::By(&[
            ("window = {", r#"output_mode = "update"
window = {"#),
            ("[[sink]]", r#"[[step]]
id = "by_hour"
input = "by_country"
window = { tumbling = "1h" }
aggregate = { plugin = "std", config = { n = "sum(clicks)" } }

[[sink]]"#),
        ]),
        says: r#"
pipeline.toml:26:1: an aggregate of the aggregate `by_country`, which gives a window's row again in each epoch that changes it: expected each row once; set `output_mode = "append"` on `by_country`
    |
 26 | window = { tumbling = "1h" }
    | ^^^^^^
"#,
    },
    Case {
        wrong: "an aggregate of an aggregate in complete mode",
        document: Made::By(&[
            ("window = {", r#"output_mode = "complete"
window = {"#),
            ("[[sink]]", r#"[[step]]
id = "by_hour"
input = "by_country"
window = { tumbling = "1h" }
aggregate = { plugin = "std", config = { n = "sum(clicks)" } }

[[sink]]"#),
        ]),
        says: r#"
pipeline.toml:26:1: an aggregate of the aggregate `by_country`, which gives a window's row again in each epoch: expected each row once; set `output_mode = "append"` on `by_country`
    |
 26 | window = { tumbling = "1h" }
    | ^^^^^^
"#,
    },
    Case {
        wrong: "an event time that a transform loses",
        document: Made::By(&[(r#"function = "clean""#, r#"function = "parse""#)]),
        says: r#"
pipeline.toml:19:1: the event time `at` is lost in the step `clean`, which does not pass it on: expected a column with the time at which things happened; let `clean` pass `at` on as it is; if it makes the column anew, move `event_time` from where it is declared to `clean`
    |
 19 | window = { tumbling = "1 minute" }
    | ^^^^^^
"#,
    },
    Case {
        wrong: "a union of two event times",
        document: Made::By(&[
            (r#"[[step]]
id = "clean""#, r#"[[step]]
id = "parse"
input = "events"
transform = { plugin = "clean.wasm", function = "parse" }

[[step]]
id = "clean""#),
            (r#"input = "events"
transform = { plugin = "clean.wasm", function = "clean""#, r#"input = ["events", "parse"]
transform = { plugin = "clean.wasm", function = "clean""#),
        ]),
        says: r#"
pipeline.toml:17:20: `events` and `parse` have not the same event time: expected one column that says when the rows of every input happened; declare `event_time` on the same column for each of them
    |
 17 | input = ["events", "parse"]
    |                    ^^^^^^^
"#,
    },
    // Columns
    Case {
        wrong: "an unknown column of a source",
        document: Made::By(&[(r#"column = "at""#, r#"column = "att""#)]),
        says: r#"
pipeline.toml:8:25: the source `events` has no column `att`: expected `at`, `user`, `country` or `cost`; did you mean `at`?
   |
 8 | event_time = { column = "att", watermark = "1 minute" }
   |                         ^^^^^
"#,
    },
    Case {
        wrong: "an event time that is no moment",
        document: Made::By(&[(r#"column = "at""#, r#"column = "cost""#)]),
        says: r#"
pipeline.toml:8:25: the column `cost` of the source `events` is float64: expected a `timestamp`; declare it as `timestamp`, `timestamp(ms)` or alike where it is made, or name another column
   |
 8 | event_time = { column = "cost", watermark = "1 minute" }
   |                         ^^^^^^
"#,
    },
    Case {
        wrong: "an unknown column of a key",
        document: Made::By(&[(r#"key = ["country"]"#, r#"key = ["contry", "shoe_size"]"#)]),
        says: r#"
pipeline.toml:18:8: the input of the step `by_country` has no column `contry`: expected `at`, `user`, `country` or `cost`; did you mean `country`?
    |
 18 | key = ["contry", "shoe_size"]
    |        ^^^^^^^^

pipeline.toml:18:18: the input of the step `by_country` has no column `shoe_size`: expected `at`, `user`, `country` or `cost`; name one of these
    |
 18 | key = ["contry", "shoe_size"]
    |                  ^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a key that is the window already",
        document: Made::By(&[
            (r#"key = ["country"]"#, r#"key = ["country"]
"#),
            (r#"input = "by_country"
kafka"#, r#"input = "by_hour"
kafka"#),
            ("[[sink]]", r#"[[step]]
id = "by_hour"
input = "by_country"
key = ["window_start"]
window = { tumbling = "1h" }
aggregate = { plugin = "std", config = { n = "sum(clicks)" } }

[[sink]]"#),
        ]),
        says: r#"
pipeline.toml:26:8: the key `window_start` has the name of a column of the window: expected a key besides the window; remove it, or rename the column in a step before
    |
 26 | key = ["window_start"]
    |        ^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a result with the name of a key",
        document: Made::By(&[(r#"clicks = "count(*)""#, r#"country = "count(*)""#)]),
        says: r#"
pipeline.toml:20:31: the aggregate makes a column `country`, which stands for the window, a key or another one already: expected names of their own for all columns; name it otherwise in `config`
    |
 20 | aggregate = { plugin = "std", config = { country = "count(*)" } }
    |                               ^^^^^^
"#,
    },
    Case {
        wrong: "an unknown column of a sink",
        document: Made::By(&[(r#""window_start", "country""#, r#""window", "country""#)]),
        says: r#"
pipeline.toml:24:35: `by_country` has no column `window`: expected `window_start`, `window_end`, `country` or `clicks`; name one of these
    |
 24 | kafka = { topic = "stats", key = ["window", "country"] }
    |                                   ^^^^^^^^
"#,
    },
    Case {
        wrong: "a record's time that is no moment",
        document: Made::By(&[(r#"topic = "stats""#, r#"topic = "stats", timestamp = "clicks""#)]),
        says: r#"
pipeline.toml:24:40: the column `clicks` of `by_country` is float64: expected a `timestamp`; declare it as `timestamp`, `timestamp(ms)` or alike where it is made, or name another column
    |
 24 | kafka = { topic = "stats", timestamp = "clicks", key = ["window_start", "country"] }
    |                                        ^^^^^^^^
"#,
    },
    Case {
        wrong: "a union of different columns",
        document: Made::By(&[
            (r#"input = "events""#, r#"input = ["events", "raw"]"#),
            (r#"[[step]]
id = "clean""#, r#"[[source]]
id = "raw"
kafka = { brokers = "localhost:9092", topics = ["other"] }
format = "raw"
event_time = { column = "timestamp", watermark = "1 minute" }

[[step]]
id = "clean""#),
        ]),
        says: r#"
pipeline.toml:18:20: `events` and `raw` can't be united (at timestamp, user utf8, country utf8, cost float64 against key binary, value binary, topic utf8, partition int64, offset int64, timestamp timestamp, headers json): expected the same columns and types in the same order; make them alike in a step before
    |
 18 | input = ["events", "raw"]
    |                    ^^^^^
"#,
    },
    // Plugins
    Case {
        wrong: "a missing plugin file",
        document: Made::By(&[(r#""clean.wasm""#, r#""missing.wasm""#)]),
        says: r#"
pipeline.toml:13:24: the plugin file `missing.wasm` is not there: expected a WebAssembly component, with a path from the folder of this document; build it, or correct `plugin`
    |
 13 | transform = { plugin = "missing.wasm", function = "clean", config = { drop = { prefix = "BOT" } } }
    |                        ^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a file that is no plugin",
        document: Made::By(&[(r#""clean.wasm""#, r#""text.wasm""#)]),
        says: r#"
pipeline.toml:13:24: `text.wasm` can't serve as a plugin here, because it is neither a WebAssembly component nor a core module: expected a component that exports `weir:plugin/transform` of this host's version; build it with the guest SDK of this version
    |
 13 | transform = { plugin = "text.wasm", function = "clean", config = { drop = { prefix = "BOT" } } }
    |                        ^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a component that exports nothing of ours",
        document: Made::By(&[(r#""clean.wasm""#, r#""foreign.wasm""#)]),
        says: r#"
pipeline.toml:13:24: `foreign.wasm` can't serve as a plugin here, because it exports nothing of `weir:plugin`: expected a component that exports `weir:plugin/transform` of this host's version; build it with the guest SDK of this version
    |
 13 | transform = { plugin = "foreign.wasm", function = "clean", config = { drop = { prefix = "BOT" } } }
    |                        ^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a component of another version",
        document: Made::By(&[(r#""clean.wasm""#, r#""newer.wasm""#)]),
        says: r#"
pipeline.toml:13:24: `newer.wasm` can't serve as a plugin here, because it exports `weir:plugin/transform@0.2.0`, and this host has 0.1.0: expected a component that exports `weir:plugin/transform` of this host's version; build it with the guest SDK of this version
    |
 13 | transform = { plugin = "newer.wasm", function = "clean", config = { drop = { prefix = "BOT" } } }
    |                        ^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "an unknown function",
        document: Made::By(&[(r#"function = "clean""#, r#"function = "cleen""#)]),
        says: r#"
pipeline.toml:13:49: `clean.wasm` has no transform `cleen`: expected `clean`, `parse` or `text_only`; did you mean `clean`?
    |
 13 | transform = { plugin = "clean.wasm", function = "cleen", config = { drop = { prefix = "BOT" } } }
    |                                                 ^^^^^^^
"#,
    },
    Case {
        wrong: "a plugin with several functions, and none named",
        document: Made::By(&[(r#"plugin = "std""#, r#"plugin = "many.wasm""#)]),
        says: r#"
pipeline.toml:20:24: `many.wasm` has not exactly one aggregate, so the step must say which: expected `first` or `last`; add `function`
    |
 20 | aggregate = { plugin = "many.wasm", config = { clicks = "count(*)" } }
    |                        ^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "a config that the plugin refuses, at the key",
        document: Made::By(&[(r#"prefix = "BOT""#, r#"prefix = """#)]),
        says: r#"
pipeline.toml:13:78: `clean.wasm` refuses `/drop/prefix` of `config` (the prefix is empty): expected a config that the plugin takes; correct the value
    |
 13 | transform = { plugin = "clean.wasm", function = "clean", config = { drop = { prefix = "" } } }
    |                                                                              ^^^^^^
"#,
    },
    Case {
        wrong: "a config that lacks something, at the nearest key",
        document: Made::By(&[(r#"drop = { prefix = "BOT" }"#, "drop = {}")]),
        says: r#"
pipeline.toml:13:69: `clean.wasm` refuses `/drop/prefix` of `config` (`prefix` is missing): expected a config that the plugin takes; correct the value
    |
 13 | transform = { plugin = "clean.wasm", function = "clean", config = { drop = {} } }
    |                                                                     ^^^^
"#,
    },
    Case {
        wrong: "a config from the environment, which the plugin quotes",
        document: Made::By(&[(r#"prefix = "BOT""#, r#"prefix = "${env:SECRET}""#)]),
        says: r#"
pipeline.toml:13:78: `clean.wasm` refuses `/drop/prefix` of `config` (the prefix `${env:SECRET}` is in small letters): expected a config that the plugin takes; correct the value
    |
 13 | transform = { plugin = "clean.wasm", function = "clean", config = { drop = { prefix = "${env:SECRET}" } } }
    |                                                                              ^^^^^^
"#,
    },
    Case {
        wrong: "a plugin from the environment, which the loader quotes",
        document: Made::By(&[(r#""clean.wasm""#, r#""${env:SECRET}.wasm""#)]),
        says: r#"
pipeline.toml:13:24: `${env:SECRET}.wasm` can't serve as a plugin here, because `dir/${env:SECRET}.wasm` is empty: expected a component that exports `weir:plugin/transform` of this host's version; build it with the guest SDK of this version
    |
 13 | transform = { plugin = "${env:SECRET}.wasm", function = "clean", config = { drop = { prefix = "BOT" } } }
    |                        ^^^^^^^^^^^^^^^^^^^^
"#,
    },
    Case {
        wrong: "columns that the plugin refuses",
        document: Made::By(&[(r#"function = "clean""#, r#"function = "text_only""#)]),
        says: r#"
pipeline.toml:12:9: `clean.wasm` refuses the columns of its input (`cost` must be utf8): expected the columns that it reads; change `input`, or make the columns in a step before
    |
 12 | input = "events"
    |         ^^^^^^^^
"#,
    },
    Case {
        wrong: "a plugin that fails while it is opened",
        document: Made::By(&[(r#""clean.wasm""#, r#""trap.wasm""#)]),
        says: r#"
pipeline.toml:13:24: `trap.wasm` can't be opened (it trapped: unreachable): expected a plugin that opens; try it alone with `weir plugin test`
    |
 13 | transform = { plugin = "trap.wasm", function = "clean", config = { drop = { prefix = "BOT" } } }
    |                        ^^^^^^^^^^^
"#,
    },
];
