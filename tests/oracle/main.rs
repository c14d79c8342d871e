//! What Apache Spark 4.3 itself answered, against what Weir answers: each case becomes a pipeline and is run epoch by epoch. A case *passes*; or is *meant* to differ, with
//! its reason in docs/spark.md; or is *not yet* there. Which is which stands in `expected.txt`, and a case that comes out otherwise fails the test.
//!
//! `WEIR_ORACLE_CASES` names a folder of further cases, a JSON file each; `WEIR_ORACLE_ONLY` runs the cases whose names hold a text; `WEIR_ORACLE_SHOW` shows their
//! pipelines.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods, reason = "tests")]

mod cuts;
mod document;
mod rows;
mod run;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use run::Ran;

/// What a case is expected to be, in its words.
const PASSES: &str = "passes";
const MEANT: &str = "meant";
const NOT_YET: &str = "not yet";

fn cases() -> Vec<Value> {
    let lines = include_str!("named.jsonl").lines().chain(include_str!("random.jsonl").lines());
    let mut cases: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    if let Some(folder) = std::env::var_os("WEIR_ORACLE_CASES") {
        for file in std::fs::read_dir(folder).expect("the folder of further cases").map(|entry| entry.unwrap().path()) {
            cases.push(serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap());
        }
    }
    if let Ok(only) = std::env::var("WEIR_ORACLE_ONLY") {
        cases.retain(|case| case["name"].as_str().unwrap().contains(&only));
    }
    cases
}

/// `NAME: meant: REASON` and `NAME: not yet: REASON`, a case a line; the others pass.
fn expected() -> BTreeMap<&'static str, (&'static str, &'static str)> {
    let lines = include_str!("expected.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let parsed = lines.map(|line| {
        let mut parts = line.splitn(3, ": ");
        let (name, class, reason) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        (name, ([MEANT, NOT_YET].into_iter().find(|known| *known == class).unwrap_or_else(|| panic!("no class `{class}`")), reason))
    });
    parsed.collect()
}

#[test]
fn every_case_of_spark_passes_or_stands_under_the_reason_why_not() {
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/sql/sql.wasm");
    assert!(plugin.exists(), "`{}` is not there: run `make plugins`", plugin.display());
    let (engine, expected) = (run::engine().unwrap(), expected());
    let (mut table, mut wrong): (BTreeMap<String, BTreeMap<&str, u32>>, Vec<String>) = (BTreeMap::new(), Vec::new());
    for case in cases() {
        let name = case["name"].as_str().unwrap();
        let (class, reason) = expected.get(name).copied().unwrap_or((PASSES, ""));
        let ran = run::run(&engine, &case);
        match (class, &ran) {
            (PASSES, Ran::Passes) | (MEANT, Ran::NotYet(_) | Ran::Differs(_)) | (NOT_YET, Ran::NotYet(_) | Ran::Differs(_)) => {}
            (_, Ran::Passes) => wrong.push(format!("{name}: passes, expected: {class}: {reason}")),
            (_, Ran::Differs(how)) => wrong.push(format!("{name}: differs: {how}")),
            (_, Ran::NotYet(what)) => wrong.push(format!("{name}: not yet: {what}")),
        }
        let kind = name.strip_prefix("random/").map_or_else(|| name.split('-').next().unwrap().to_owned(), |_| "random".to_owned());
        *table.entry(kind).or_default().entry(class).or_default() += 1;
    }
    let classes = [PASSES, MEANT, NOT_YET];
    println!("{:<12}{:>8}{:>8}{:>8}", "cases", classes[0], classes[1], classes[2]);
    let total = |class: &str| table.values().filter_map(|row| row.get(class)).sum::<u32>();
    for (kind, row) in &table {
        let of = |class: &str| row.get(class).copied().unwrap_or_default();
        println!("{kind:<12}{:>8}{:>8}{:>8}", of(PASSES), of(MEANT), of(NOT_YET));
    }
    println!("{:<12}{:>8}{:>8}{:>8}", "all", total(PASSES), total(MEANT), total(NOT_YET));
    for (name, (class, reason)) in expected.iter().filter(|(_, (class, _))| *class == MEANT) {
        println!("{class}: {name}: {reason}");
    }
    assert!(wrong.is_empty(), "{} cases are not what they are expected to be:\n{}", wrong.len(), wrong.join("\n"));
}
