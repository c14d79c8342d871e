//! Dashboards and alerts name metrics by hand: each must be one that the documentation promises.

use std::collections::BTreeSet;

use crate::tree::{Finding, Tree};

const PAGE: &str = "docs/control.md";
/// What Prometheus adds to the name of a histogram.
const SERIES: [&str; 3] = ["_bucket", "_sum", "_count"];

pub(crate) fn unknown_metrics(tree: &Tree) -> Vec<Finding> {
    // Without the page there are no metrics to be wrong about; that it is there is the links' affair.
    let Some(page) = tree.files.iter().find(|file| file.path == PAGE) else { return Vec::new() };
    let known: BTreeSet<&str> = page.lines().flat_map(|(_, line)| metrics(line)).collect();
    let is_known = |name: &str| known.contains(name) || SERIES.iter().any(|series| name.strip_suffix(series).is_some_and(|name| known.contains(name)));
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.starts_with("packaging/") && [".json", ".yaml"].iter().any(|end| file.path.ends_with(end))) {
        for (line, text) in file.lines() {
            let unknown = metrics(text).into_iter().filter(|name| !is_known(name));
            findings.extend(unknown.map(|name| file.finding(line, format!("`{name}` is no metric that `{PAGE}` names"))));
        }
    }
    findings
}

/// What looks like a metric of ours: `weir_` and more, as a word of its own.
fn metrics(line: &str) -> Vec<&str> {
    let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.strip_prefix("weir_").is_some_and(|rest| !rest.is_empty() && !rest.bytes().any(|b| b.is_ascii_uppercase()))).collect()
}

#[cfg(test)]
mod tests {
    use crate::tree::File;

    use super::*;

    fn unknown_in(packaged: &str) -> Vec<usize> {
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        let page = "| `weir_lag_records` | how far behind |\n| `weir_epoch_seconds` | a histogram |\n";
        let tree = Tree { files: vec![file(PAGE, page), file("packaging/rules.yaml", packaged)], paths: Vec::new() };
        unknown_metrics(&tree).iter().map(|finding| finding.place().0).collect()
    }

    #[test]
    fn a_metric_that_no_page_names_is_found() {
        assert_eq!(unknown_in("expr: sum(weir_lag_records{pipeline=\"a\"}) > 1\nexpr: weir_lag > 1\n"), [2]);
    }

    #[test]
    fn a_histogram_is_known_by_its_series() {
        assert_eq!(unknown_in("rate(weir_epoch_seconds_bucket[5m])\nweir_epoch_seconds_sum / weir_epoch_seconds_count\nweir_lag_records_total\n"), [3]);
    }
}
