//! The rows that the demo's reader has seen, by window.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// How many of the newest windows are kept.
const WINDOWS: usize = 3;

/// A row of the output topic.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Row {
    pub(super) window_start: String,
    pub(super) event_type: String,
    pub(super) country: String,
    pub(super) ad_format: String,
    pub(super) event_count: u64,
    pub(super) avg_revenue: Option<f64>,
    pub(super) total_revenue: Option<f64>,
}

/// The newest windows: a row stands for its window and key until a newer one comes.
#[derive(Debug, Default)]
pub(super) struct Windows {
    rows: BTreeMap<String, BTreeMap<(String, String, String), Row>>,
    /// The starts of all windows that have been seen, the ones that are no longer kept too: a late row must not make a new one of them. A window of a minute of
    /// event time is one entry, ten a minute of the demo.
    seen: BTreeSet<String>,
    /// Rows that have come in all.
    pub(super) delivered: u64,
}

impl Windows {
    /// Takes in a record of the output topic.
    pub(super) fn take(&mut self, record: &[u8]) -> anyhow::Result<()> {
        let row: Row = serde_json::from_slice(record)?;
        self.delivered += 1;
        self.seen.insert(row.window_start.clone());
        let window = self.rows.entry(row.window_start.clone()).or_default();
        window.insert((row.event_type.clone(), row.country.clone(), row.ad_format.clone()), row);
        while self.rows.len() > WINDOWS {
            self.rows.pop_first();
        }
        Ok(())
    }

    /// How many windows have been seen.
    pub(super) fn count(&self) -> usize {
        self.seen.len()
    }

    /// The newest windows, newest first, each with its number of groups and its `top` rows with the most revenue.
    pub(super) fn top(&self, top: usize) -> Vec<(usize, Vec<&Row>)> {
        let window = |groups: &'_ BTreeMap<_, Row>| groups.len();
        let newest = self.rows.values().rev().map(|groups| {
            let mut rows: Vec<&Row> = groups.values().collect();
            let by_revenue = |row: &Row| row.total_revenue.unwrap_or(f64::NEG_INFINITY);
            rows.sort_by(|a, b| by_revenue(b).total_cmp(&by_revenue(a)).then(b.event_count.cmp(&a.event_count)));
            rows.truncate(top);
            (window(groups), rows)
        });
        newest.collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn record(minute: u32, country: &str, count: u64) -> Vec<u8> {
        format!(
            r#"{{"window_start":"2025-12-16T02:{minute:02}:00Z","window_end":"","event_type":"click","country":"{country}","ad_format":"banner","event_count":{count},"avg_revenue":null,"total_revenue":0.5}}"#
        )
        .into_bytes()
    }

    #[test]
    fn a_newer_row_takes_the_place_of_its_group_and_the_oldest_windows_go() {
        let mut windows = Windows::default();
        for (minute, country, count) in [(0, "UK", 1), (1, "UK", 2), (2, "UK", 3), (3, "UK", 4), (3, "US", 9), (3, "UK", 7)] {
            windows.take(&record(minute, country, count)).unwrap();
        }
        let top = windows.top(1);
        assert_eq!(top.iter().map(|(groups, rows)| (*groups, rows[0].event_count)).collect::<Vec<_>>(), [(2, 9), (1, 3), (1, 2)]);
        assert_eq!((windows.count(), windows.delivered), (4, 6));
    }

    #[test]
    fn a_row_of_a_window_that_is_no_longer_shown_is_no_new_window() {
        let mut windows = Windows::default();
        for minute in [0, 1, 2, 3, 0, 0] {
            windows.take(&record(minute, "UK", 1)).unwrap();
        }
        assert_eq!(windows.count(), 4);
    }
}
