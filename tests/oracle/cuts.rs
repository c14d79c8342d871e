//! How rows are cut into epochs, chunks and partitions is nobody's business: the windows that close are the same. And a sliding window made of panes is the one that is
//! made of copies, and the one that is counted by hand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use proptest::prelude::*;
use serde_json::{Value, json};
use weir::epoch::driver::Until;
use weir::epoch::recovery::Start;
use weir::epoch::trigger::Trigger;
use weir::launch::{self, Ports, Surroundings};
use weir::pipeline::{self, Document};
use weir::plugin::Engine;
use weir::rows::Chunk;
use weir::sink::memory::Collected;
use weir::source::memory::Feed;
use weir_tests::clock::Far;

use crate::run;

/// Second, key, number.
type Row = (i64, u8, i64);

const SIZE: i64 = 10;

fn document(window: &str, mode: &str, aggregates: &str) -> String {
    format!(
        "name = \"cuts\"\n[[source]]\nid = \"in\"\nmemory = {{}}\nformat = \"json\"\nschema = {{ at = \"timestamp(s)\", k = \"int64\", v = \"int64\" }}\n\
         event_time = {{ column = \"at\", watermark = {{ delay = \"1 hour\", by = \"source\" }}, max_future = \"1000 weeks\" }}\n\
         [[step]]\nid = \"out\"\ninput = \"in\"\nkey = [\"k\"]\nwindow = {window}\noutput_mode = \"{mode}\"\n\
         aggregate = [{}]\n[[sink]]\nid = \"sink\"\ninput = \"out\"\nmemory = {{}}\n",
        aggregates.split(" | ").map(|config| format!("{{ plugin = \"std\", config = {{ {config} }} }}")).collect::<Vec<_>>().join(", ")
    )
}

/// The rows that come out of epochs, each of partitions with rows; in the order of their text.
fn closed(engine: &Engine, document: &str, epochs: &[Vec<(i32, Row)>]) -> Vec<Value> {
    given(engine, document, epochs, false)
}

/// The same; `restarts`: in a pipeline that ends after each epoch and starts again from its state folder.
fn given(engine: &Engine, document: &str, epochs: &[Vec<(i32, Row)>], restarts: bool) -> Vec<Value> {
    let document = Document::new("cuts.toml", document.to_owned());
    let checked = pipeline::check(pipeline::parse(&document, &|_| None).unwrap()).unwrap();
    let (feed, folder, seen) = (Feed::new("in"), tempfile::tempdir().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let start = || {
        let noted = Arc::clone(&seen);
        let surroundings = Surroundings {
            clock: Box::new(Far),
            start: Start::Ordinary,
            ports: Ports { feeds: BTreeMap::from([("in".to_owned(), feed.clone())]), collected: BTreeMap::from([("sink".to_owned(), Collected::default())]) },
            state_dir: folder.path().join("state"),
            trigger: Some(Trigger::Asap),
            tap: Some(Box::new(move |id: &str, chunks: &[Chunk]| {
                if id == "out" {
                    let rows =
                        chunks.iter().flat_map(|chunk| (0..chunk.rows.num_rows()).map(|row| weir::format::row_json(&chunk.rows, row)).collect::<Vec<_>>());
                    noted.lock().unwrap_or_else(PoisonError::into_inner).extend(rows.map(|row| serde_json::from_str::<Value>(&row).unwrap()));
                }
            })),
            publisher: None,
        };
        launch::launch(launch::open(&checked, engine).unwrap(), surroundings).unwrap()
    };
    let mut driver = start();
    // One row far ahead closes every window at the end.
    let last = vec![(0, (10_000_000, 0, 0))];
    for epoch in epochs.iter().chain([&last]) {
        for (partition, (at, k, v)) in epoch {
            feed.push(*partition, Some(json!({ "at": 1_700_000_000 + at, "k": k, "v": v }).to_string().into_bytes()), -1);
        }
        driver.run(Until::Idle).unwrap();
        if restarts {
            drop(driver);
            driver = start();
        }
    }
    let mut rows = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    rows.sort_by_key(Value::to_string);
    rows
}

/// Cuts rows into epochs, and gives each to one of three partitions.
fn cut(rows: &[Row], cuts: &[(usize, i32)]) -> Vec<Vec<(i32, Row)>> {
    let mut epochs = vec![Vec::new()];
    for (i, row) in rows.iter().enumerate() {
        let (length, partition) = cuts[i % cuts.len()];
        if epochs.last().is_some_and(|epoch: &Vec<_>| epoch.len() >= length) {
            epochs.push(Vec::new());
        }
        epochs.last_mut().unwrap().push((partition, *row));
    }
    epochs
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    proptest::collection::vec((-100_i64..100, 0_u8..3, -50_i64..50), 1..60)
}

fn cuts() -> impl Strategy<Value = Vec<(usize, i32)>> {
    proptest::collection::vec((1_usize..12, 0_i32..3), 1..20)
}

/// Sliding windows by their definition: number and sum of rows by window and key.
fn by_hand(rows: &[Row], every: i64) -> BTreeMap<(i64, u8), (i64, i64)> {
    let mut windows = BTreeMap::new();
    for (at, k, v) in rows {
        let at = 1_700_000_000 + at;
        for start in (at - SIZE + 1..=at).filter(|start| start.rem_euclid(every) == 0) {
            let window: &mut (i64, i64) = windows.entry((start, *k)).or_default();
            *window = (window.0 + 1, window.1 + v);
        }
    }
    windows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn panes_are_copies_are_the_definition_however_rows_are_cut(rows in rows(), cuts in cuts(), every in 1_i64..=SIZE) {
        let engine = run::engine().unwrap();
        let window = format!("{{ sliding = \"{SIZE} s\", every = \"{every} s\" }}");
        let panes = closed(&engine, &document(&window, "append", r#"n = "count(*)", total = "sum(v)""#), &cut(&rows, &cuts));
        // With a function of arrival each window keeps a state of its own.
        let copies = closed(&engine, &document(&window, "append", r#"n = "count(*)", total = "sum(v)", first = "first(v)""#), &cut(&rows, &cuts));
        let without_first = copies.into_iter().map(|mut row| { row.as_object_mut().unwrap().remove("first"); row });
        let mut without_first: Vec<Value> = without_first.collect();
        without_first.sort_by_key(Value::to_string);
        prop_assert_eq!(&panes, &without_first);
        let by_hand = by_hand(&rows, every);
        prop_assert_eq!(panes.len(), by_hand.len());
        for row in &panes {
            let start = weir::format::timestamp::parse_iso(row["window_start"].as_str().unwrap().as_bytes()).unwrap() / 1_000_000;
            let key = u8::try_from(row["k"].as_u64().unwrap()).unwrap();
            prop_assert_eq!(Some(&(row["n"].as_i64().unwrap(), row["total"].as_i64().unwrap())), by_hand.get(&(start, key)));
        }
    }

    #[test]
    fn several_aggregates_of_a_step_give_what_one_with_all_columns_gives(rows in rows(), cuts in cuts(), mode in prop_oneof![Just("append"), Just("update")]) {
        let engine = run::engine().unwrap();
        let window = "{ sliding = \"10 s\", every = \"4 s\" }";
        let one = document(window, mode, r#"n = "count(*)", total = "sum(v)", different = "count(distinct v)", first = "first(v)""#);
        let several = document(window, mode, r#"n = "count(*)", total = "sum(v)" | different = "count(distinct v)" | first = "first(v)""#);
        prop_assert_eq!(closed(&engine, &one, &cut(&rows, &cuts)), closed(&engine, &several, &cut(&rows, &cuts)));
    }

    /// Sets that outgrow the list of their group's segments: those lie by themselves, are merged, and are gone with their window.
    #[test]
    fn large_states_are_the_same_however_rows_are_cut(rows in proptest::collection::vec((0_i64..5, 0_u8..2, 0_i64..100_000), 500..1_500), one in cuts(), other in cuts()) {
        let engine = run::engine().unwrap();
        let document = document("{ sliding = \"10 s\", every = \"5 s\" }", "append", r#"users = "count(distinct v)", least = "min(v)""#);
        let grown: Vec<(usize, i32)> = other.into_iter().map(|(length, partition)| (length * 20, partition)).collect();
        let one: Vec<(usize, i32)> = one.into_iter().map(|(length, partition)| (length * 5, partition)).collect();
        prop_assert_eq!(closed(&engine, &document, &cut(&rows, &one)), closed(&engine, &document, &cut(&rows, &grown)));
    }

    #[test]
    fn a_restart_after_each_epoch_changes_nothing(rows in rows(), cuts in proptest::collection::vec((6_usize..20, 0_i32..3), 1..5), kind in 0_usize..4) {
        let engine = run::engine().unwrap();
        let (window, mode) = [("{ sliding = \"10 s\", every = \"4 s\" }", "append"), ("{ session = \"5 s\" }", "append"), ("{ sliding = \"10 s\", every = \"5 s\" }", "update"), ("{ tumbling = \"10 s\" }", "complete")][kind];
        let document = document(window, mode, r#"n = "count(*)", different = "count(distinct v)" | last = "last(v)", all = "collect_list(v)""#);
        let epochs = cut(&rows, &cuts);
        prop_assert_eq!(given(&engine, &document, &epochs, true), given(&engine, &document, &epochs, false));
    }

    #[test]
    fn sessions_are_the_same_however_rows_are_cut(rows in rows(), one in cuts(), other in cuts()) {
        let engine = run::engine().unwrap();
        let document = document("{ session = \"5 s\" }", "append", r#"n = "count(*)", total = "sum(v)", most = "max(v)""#);
        prop_assert_eq!(closed(&engine, &document, &cut(&rows, &one)), closed(&engine, &document, &cut(&rows, &other)));
    }
}
