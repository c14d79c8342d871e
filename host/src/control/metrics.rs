//! The board's totals as Prometheus reads them (text format 0.0.4). `docs/control.md` names every metric, and a test holds the two together.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use crate::observe::board::{State, Totals};
use crate::observe::progress::Progress;

/// What the process takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Process {
    cpu_seconds: f64,
    resident_bytes: u64,
}

/// What this process has taken so far.
pub(super) fn process() -> Process {
    // SAFETY: a struct of numbers, all zero is one of its values.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a struct of ours.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let pages = std::fs::read_to_string("/proc/self/statm").ok().and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    // SAFETY: the call only reads a constant of the system.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    Process { cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime), resident_bytes: pages.unwrap_or_default() * page }
}

/// Every metric.
pub(super) fn text(pipelines: &[(String, State, Totals)], process: &Process) -> String {
    let mut page = Page::default();
    page.add("weir_process_cpu_seconds_total", "counter", "CPU time of the process.", &[], process.cpu_seconds);
    page.add("weir_process_resident_bytes", "gauge", "Resident memory of the process.", &[], process.resident_bytes);
    for (name, state, totals) in pipelines {
        let mut pipeline = Pipeline { page: &mut page, name };
        pipeline.totals(*state, totals);
        if let Some(last) = &totals.last {
            pipeline.last(last);
        }
    }
    page.finish()
}

/// Metrics by name: the lines of one stand together.
#[derive(Default)]
struct Page {
    metrics: BTreeMap<&'static str, String>,
}

impl Page {
    fn add(&mut self, name: &'static str, kind: &str, help: &str, labels: &[(&str, &str)], value: impl Display) {
        let text = self.metrics.entry(name).or_insert_with(|| format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        self::line(text, name, labels, value);
    }

    /// The seconds of something as a summary without quantiles.
    fn summary(&mut self, name: &'static str, help: &str, labels: &[(&str, &str)], sum: f64, count: u64) {
        let text = self.metrics.entry(name).or_insert_with(|| format!("# HELP {name} {help}\n# TYPE {name} summary\n"));
        self::line(text, &format!("{name}_sum"), labels, sum);
        self::line(text, &format!("{name}_count"), labels, count);
    }

    fn finish(self) -> String {
        self.metrics.into_values().collect()
    }
}

fn line(text: &mut String, name: &str, labels: &[(&str, &str)], value: impl Display) {
    let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escape(value))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    // Writing to a string does not fail.
    writeln!(text, "{name}{labels} {value}").ok();
}

struct Pipeline<'a> {
    page: &'a mut Page,
    name: &'a str,
}

impl Pipeline<'_> {
    fn add(&mut self, name: &'static str, kind: &str, help: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels = [&[("pipeline", self.name)], labels].concat();
        self.page.add(name, kind, help, &labels, value);
    }

    fn count(&mut self, name: &'static str, help: &str, labels: &[(&str, &str)], value: impl Display) {
        self.add(name, "counter", help, labels, value);
    }

    fn gauge(&mut self, name: &'static str, help: &str, labels: &[(&str, &str)], value: impl Display) {
        self.add(name, "gauge", help, labels, value);
    }

    fn totals(&mut self, state: State, totals: &Totals) {
        self.gauge("weir_pipeline_running", "1 while the pipeline starts or runs.", &[], u8::from(matches!(state, State::Starting | State::Running)));
        self.page.summary("weir_epoch_seconds", "Epochs, and how long they took.", &[("pipeline", self.name)], totals.seconds, totals.epochs);
        for (stage, seconds) in &totals.stage_seconds {
            self.count("weir_stage_seconds_total", "Seconds that epochs waited for a stage.", &[("stage", stage)], seconds);
        }
        self.count("weir_input_rows_total", "Records read.", &[], totals.input_rows);
        self.count("weir_output_rows_total", "Rows written, dead letters not counted.", &[], totals.output_rows);
        self.count("weir_late_rows_total", "Rows whose window was closed.", &[], totals.late_rows);
        self.count("weir_null_event_time_rows_total", "Rows without an event time.", &[], totals.null_event_time_rows);
        for (code, count) in &totals.rejected {
            self.count("weir_rejected_rows_total", "Dead letters by code.", &[("code", code)], count);
        }
        for (limit, count) in &totals.bound {
            self.count("weir_limit_bound_total", "Epochs that a limit has made smaller.", &[("limit", limit)], count);
        }
        for (step, total) in &totals.steps {
            let step = [("step", step.as_str())];
            self.count("weir_step_input_rows_total", "Rows into a step.", &step, total.input_rows);
            self.count("weir_step_output_rows_total", "Rows out of a step.", &step, total.output_rows);
            self.count("weir_step_cpu_seconds_total", "CPU time of a step, its plugin included.", &step, total.seconds);
            self.count("weir_plugin_calls_total", "Calls of a step's plugin.", &step, total.plugin_calls);
            self.count("weir_plugin_retries_total", "Calls that failed once and were made again.", &step, total.plugin_retries);
            self.count("weir_plugin_cpu_seconds_total", "CPU time in a step's plugin.", &step, total.plugin_seconds);
        }
    }

    /// What the last epoch said.
    fn last(&mut self, last: &Progress) {
        self.gauge("weir_epoch", "The last epoch.", &[], last.batch_id);
        let ended = seconds_of(&last.timestamp).unwrap_or_default();
        self.gauge("weir_last_epoch_timestamp_seconds", "When the last epoch began.", &[], ended);
        for source in &last.sources {
            for (topic, partition, lag) in source.lag() {
                let labels = [("source", source.id.as_str()), ("topic", topic), ("partition", partition)];
                self.gauge("weir_lag_records", "Records that were there and are not read.", &labels, lag);
            }
        }
        if let Some(watermark) = last.weir.watermark_after.as_deref().and_then(seconds_of) {
            self.gauge("weir_watermark_timestamp_seconds", "The watermark.", &[], watermark);
            self.gauge("weir_watermark_delay_seconds", "How far the watermark was behind the clock when the last epoch began.", &[], ended - watermark);
        }
        let newest = last.weir.newest_event_times.iter().flat_map(|(by, partitions)| partitions.iter().map(move |(partition, newest)| (by, partition, newest)));
        for (declared_by, partition, newest) in newest {
            let (topic, number) = partition.rsplit_once('/').unwrap_or((partition, ""));
            let labels = [("declared_by", declared_by.as_str()), ("topic", topic), ("partition", number)];
            if let Some(seconds) = seconds_of(newest) {
                self.gauge("weir_newest_event_timestamp_seconds", "The newest event time of a partition.", &labels, seconds);
            }
        }
        self.gauge("weir_idle_partitions", "Partitions that the watermark does not wait for.", &[], last.weir.idle_partitions.len());
        for state in &last.state_operators {
            let step = [("step", state.operator_name.as_str())];
            self.gauge("weir_state_groups", "Groups in the state of a step.", &step, state.num_rows_total);
            self.gauge("weir_state_memory_bytes", "Bytes of a step's groups in memory.", &step, state.memory_used_bytes);
        }
        for (limit, value) in &last.weir.pace.limits {
            self.gauge("weir_limit", "A limit on epochs, in its unit: bytes, records, records a second.", &[("limit", limit.name())], value.limit);
        }
    }
}

/// Seconds since 1970 of an ISO-8601 time.
fn seconds_of(text: &str) -> Option<f64> {
    Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond() as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_made_is_what_the_documentation_names() {
        let named = |text: &str, before: &str, after: &str| -> BTreeSet<String> {
            let names = text.split(before).skip(1).filter_map(|rest| rest.split_once(after)).map(|(name, _)| format!("weir_{name}"));
            names.filter(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')).collect()
        };
        let (product, _) = include_str!("metrics.rs").split_once("#[cfg(test)]").unwrap_or_default();
        assert_eq!(named(product, "\"weir_", "\""), named(include_str!("../../../docs/control.md"), "| `weir_", "`"));
    }

    #[test]
    fn labels_are_escaped_and_the_lines_of_a_metric_stand_together() {
        let totals = Totals { rejected: BTreeMap::from([("a\"b\\c\n".to_owned(), 3)]), ..Totals::default() };
        let text = text(&[("p".to_owned(), State::Running, totals.clone()), ("q".to_owned(), State::Failed, totals)], &Process::default());
        assert!(text.contains("weir_rejected_rows_total{pipeline=\"p\",code=\"a\\\"b\\\\c\\n\"} 3\nweir_rejected_rows_total{pipeline=\"q\""), "{text}");
        assert!(text.contains("weir_pipeline_running{pipeline=\"p\"} 1\nweir_pipeline_running{pipeline=\"q\"} 0\n"), "{text}");
        assert_eq!(text.matches("# TYPE weir_pipeline_running gauge").count(), 1);
    }
}
