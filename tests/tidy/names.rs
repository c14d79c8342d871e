//! Who may name whom: the table of ARCHITECTURE.md.

use crate::tree::{File, Finding, Tree};

/// A foreign crate lives in few modules: those that exist to hide it.
struct Hidden {
    crates: &'static [&'static str],
    may: fn(&str) -> bool,
    why: &'static str,
}

const CRATES: [Hidden; 6] = [
    Hidden {
        crates: &["wasmtime", "wasmtime_environ", "wit_component", "wit_parser"],
        may: |module| starts(module, "plugin"),
        why: "only `plugin` knows Wasm",
    },
    Hidden { crates: &["rocksdb"], may: |module| starts(module, "state"), why: "only `state` knows RocksDB" },
    Hidden {
        crates: &["rdkafka", "rdkafka_sys"],
        may: |module| module.split('/').any(|part| part == "kafka"),
        why: "only modules called `kafka` know Kafka's client",
    },
    Hidden { crates: &["toml"], may: |module| starts(module, "pipeline"), why: "only `pipeline` reads TOML" },
    Hidden {
        crates: &["clap", "clap_complete", "clap_mangen"],
        may: |module| starts(module, "cli") || module == "main",
        why: "only the command line parses arguments",
    },
    Hidden {
        crates: &["tokio", "axum", "hyper", "reqwest"],
        may: |module| ["control", "sink/clickhouse", "sink/webhook"].iter().any(|may| starts(module, may)),
        why: "the hot path is synchronous: only the control plane and sinks over HTTP are not",
    },
];

/// A module that must not know another.
const MODULES: [(&str, &[&str], &str); 4] = [
    ("source", &["plugin", "operator", "state", "sink", "time::window", "epoch"], "a source knows neither windows nor plugins"),
    ("sink", &["plugin", "operator", "state", "time::window", "epoch::driver"], "a sink knows neither windows nor plugins"),
    ("state", &["plugin", "operator", "source::kafka", "sink"], "the state knows neither Wasm nor Kafka"),
    ("time", &["source::kafka", "sink", "state", "plugin", "operator", "epoch", "pipeline"], "time is arithmetic"),
];

/// Modules that decide and never act.
const PURE: [&str; 7] = ["time", "epoch/trigger", "epoch/rate", "epoch/limits", "epoch/commit", "epoch/recovery", "pipeline"];

/// What acting looks like.
const ACTS: [&str; 11] =
    ["std::fs", "File::", "std::net", "std::process", "std::thread", "std::env", "SystemTime", "Instant", "async fn", "async move", ".await"];

pub(crate) fn foreign_crates(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, module) in host(tree) {
        for Hidden { crates, may, why } in CRATES {
            if may(&module) {
                continue;
            }
            for (line, code) in file.code() {
                findings.extend(crates.iter().filter(|name| names(code, name)).map(|name| file.finding(line, format!("names `{name}`: {why}"))));
            }
        }
    }
    for (file, module) in sources(tree, "broker/src/") {
        let serves = ["server", "api", "group"].iter().any(|may| starts(&module, may));
        for (line, code) in file.code() {
            let weir = names(code, "weir").then(|| file.finding(line, "names `weir`: the broker is one that knows nothing of its clients"));
            let tokio = (!serves && names(code, "tokio")).then(|| file.finding(line, "names `tokio`: only what answers requests waits for anything"));
            findings.extend(weir.into_iter().chain(tokio));
        }
    }
    for file in tree.rust().filter(|file| file.path.starts_with("tests/src/checker")) {
        let lines = file.code().filter(|(_, code)| names(code, "weir"));
        findings.extend(lines.map(|(line, _)| file.finding(line, "names `weir`: the checker shares no code with what it checks")));
    }
    findings
}

pub(crate) fn foreign_modules(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, module) in host(tree).filter(|(file, _)| !file.is_test()) {
        let product = file.code().take_while(|(_, code)| !code.starts_with("#[cfg(test)]"));
        for (line, code) in product {
            if starts(&module, "plugin") && named_modules(code).any(|named| named != "plugin" && !named.starts_with("plugin::")) {
                findings.push(file.finding(line, "names another module of the host: `plugin` is to become a crate of its own"));
            }
            for (_, others, why) in MODULES.iter().filter(|(who, ..)| starts(&module, who)) {
                let other = others.iter().find(|other| named_modules(code).any(|named| named == **other || named.starts_with(&format!("{other}::"))));
                findings.extend(other.map(|other| file.finding(line, format!("names `crate::{other}`: {why}"))));
            }
        }
    }
    findings
}

pub(crate) fn impure_decisions(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let pure = host(tree).filter(|(file, module)| !file.is_test() && PURE.iter().any(|pure| starts(module, pure)));
    for (file, _) in pure {
        let product = file.code().take_while(|(_, code)| !code.starts_with("#[cfg(test)]"));
        for (line, code) in product {
            let act = ACTS.iter().find(|act| within_words(code, act));
            findings.extend(act.map(|act| file.finding(line, format!("`{act}`: this module decides; time, randomness and what was read come in as values"))));
        }
    }
    findings
}

/// The host's sources with their modules: `host/src/sink/kafka/error.rs` is `sink/kafka/error`.
fn host(tree: &Tree) -> impl Iterator<Item = (&File, String)> {
    sources(tree, "host/src/")
}

fn sources<'a>(tree: &'a Tree, folder: &'a str) -> impl Iterator<Item = (&'a File, String)> {
    tree.rust().filter_map(move |file| Some((file, file.path.strip_prefix(folder)?.strip_suffix(".rs")?.to_owned())))
}

fn starts(module: &str, with: &str) -> bool {
    module.strip_prefix(with).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether code names a crate: `rdkafka::` or `use rdkafka;`, but not `crate::sink::rdkafka` or `my_rdkafka::`.
fn names(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        let outer =
            !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '"' || c == '`') && (!before.ends_with("::") || before.ends_with(" ::"));
        outer && (after.starts_with("::") || (before.trim_end().ends_with("use") && after.starts_with([';', ' '])))
    })
}

/// `crate::a::b::C` and `crate::{a::b, c}` name `a::b::C`, `a::b` and `c`.
fn named_modules(code: &str) -> impl Iterator<Item = &str> {
    code.match_indices("crate::").filter(|(at, _)| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_')).flat_map(|(at, found)| {
        let rest = &code[at + found.len()..];
        let (list, end) = match rest.strip_prefix('{') {
            Some(list) => (list, '}'),
            None => (rest, ';'),
        };
        let list = list.split(end).next().unwrap_or(list);
        let single = end == ';';
        list.split(',').take(if single { 1 } else { usize::MAX }).map(|name| {
            let name = name.trim();
            name.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).next().unwrap_or(name)
        })
    })
}

fn within_words(code: &str, what: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(what).any(|(at, _)| {
        let closed = what.ends_with(|c: char| !word(c)) || !code[at + what.len()..].starts_with(word);
        closed && (what.starts_with(|c: char| !word(c)) || !code[..at].ends_with(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.place().0).collect()
    }

    #[test]
    fn a_crate_in_a_module_that_is_not_its_own_is_found() {
        let text = "// rdkafka::in_a_comment\nuse rdkafka::Message;\nlet my_rdkafka::x = crate::sink::rdkafka::y;\n";
        assert_eq!(lines(&foreign_crates(&Tree::of("host/src/epoch/driver.rs", text))), [2]);
        assert_eq!(lines(&foreign_crates(&Tree::of("host/src/sink/kafka/error.rs", text))), []);
        assert_eq!(lines(&foreign_crates(&Tree::of("host/src/sink/kafkaesque.rs", text))), [2]);
        assert_eq!(lines(&foreign_crates(&Tree::of("host/src/state/store.rs", "use wasmtime;\nlet db = rocksdb::DB::open();\n"))), [1]);
        assert_eq!(lines(&foreign_crates(&Tree::of("broker/src/log/x.rs", "use tokio::sync;\nuse weir::time;\nuse weir_broker::Config;\n"))), [1, 2]);
        assert_eq!(lines(&foreign_crates(&Tree::of("broker/src/server.rs", "use tokio::sync;\n"))), []);
        assert_eq!(lines(&foreign_crates(&Tree::of("tests/src/checker/event.rs", "use weir::time::EventTime;\nuse weir_tests::x;\n"))), [1]);
    }

    #[test]
    fn a_module_that_must_not_be_known_is_found_in_every_way_to_name_it() {
        let text = "use crate::plugin::Engine;\nuse crate::{rows::Chunk, plugin};\nfn f(e: &crate::plugin::Engine) {}\nuse crate::rows::plugin;\n#[cfg(test)]\nuse crate::plugin;\n";
        assert_eq!(lines(&foreign_modules(&Tree::of("host/src/state/store.rs", text))), [1, 2, 3]);
        assert_eq!(lines(&foreign_modules(&Tree::of("host/src/plugin/load.rs", text))), [2, 4]);
        assert_eq!(lines(&foreign_modules(&Tree::of("host/src/operator.rs", text))), []);
    }

    #[test]
    fn a_clock_or_a_file_in_a_deciding_module_is_found() {
        let text = "let t = Instant::now();\nlet profile = 1; // Instant\nuse std::fs;\nstruct InstantTea;\n";
        assert_eq!(lines(&impure_decisions(&Tree::of("host/src/epoch/commit/step.rs", text))), [1, 3]);
        assert_eq!(lines(&impure_decisions(&Tree::of("host/src/epoch/driver.rs", text))), []);
    }
}
