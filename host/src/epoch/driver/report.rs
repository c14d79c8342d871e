//! What is kept and told of an epoch: the header of its PREPARED record, its progress record and its line in the log.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Driver, Made};
use crate::epoch::commit::Draft;
use crate::epoch::graph::{Graph, SourceNode, Target};
use crate::epoch::plan::SourcePlan;
use crate::failpoint;
use crate::observe::progress::{Offsets, Own, Progress, SinkProgress, SourceProgress, rate};
use crate::source::{Offset, Partition};
use crate::state::{EpochCounts, EpochRecord, EventTimeRecord, PartitionRecord, Prepared, SourceRecord};
use crate::time::Watermark;
use crate::time::watermark::Policy;

/// The header of an epoch's PREPARED record.
pub(super) fn record(graph: &Graph, made: &Made, draft: &Draft) -> EpochRecord {
    let time = &made.plan.time;
    let sources = graph.sources.iter().zip(&made.plan.sources).zip(&made.stats.input_rows).map(|((node, plan), rows)| {
        let partitions = plan.ranges.iter().map(|range| (range.partition.to_string(), PartitionRecord { from: range.from.0, to: range.to.0 }));
        (node.id.clone(), SourceRecord { rows: *rows, partitions: partitions.collect() })
    });
    let declared = graph.event_times.iter().filter(|declared| declared.rule.is_some());
    let event_times = declared.zip(&made.trackers).map(|(declared, tracker)| {
        let partitions = tracker.partitions().iter().map(|(partition, clock)| (partition.to_string(), (*clock).into())).collect();
        (graph.id_of(declared.node).to_owned(), EventTimeRecord { watermark: tracker.watermark(), partitions })
    });
    EpochRecord {
        lineage: draft.lineage().to_string(),
        epoch: draft.epoch().0,
        attempt: draft.attempt.0,
        base: draft.base.to_string(),
        clock_us: time.clock.0,
        eviction_watermark_ms: time.eviction.map(|watermark| watermark.0),
        late_watermark_ms: time.late.map(|watermark| watermark.0),
        sources: sources.collect(),
        event_times: event_times.collect(),
        plugins: graph.steps.iter().filter_map(|step| Some((step.id.clone(), step.digest.clone()?))).collect(),
        counts: EpochCounts {
            output_rows: made.staged.rows,
            late_rows: made.stats.late_rows,
            null_event_time_rows: made.stats.null_event_time_rows,
            lossy_values: made.staged.lossy.non_finite + made.staged.lossy.bad_timestamps + made.staged.lossy.bad_json,
            rejected: made.staged.rejected.clone(),
        },
        ..EpochRecord::beginning(String::new())
    }
}

impl Driver {
    /// Leaves the epoch's progress record and its line in the log.
    pub(super) fn report(&mut self, mut made: Made, prepared: &Prepared) -> anyhow::Result<()> {
        let duration_us = made.watch.lap_us();
        let millis = duration_us.div_ceil(1_000).max(1);
        let since_last = self.run.last_report.map(|last| u64::try_from(made.begun.saturating_sub(last).as_millis()).unwrap_or(u64::MAX));
        self.run.last_report = Some(made.begun);
        let rows: u64 = made.stats.input_rows.iter().sum();
        let pace = self.paced(&made, rows, Duration::from_micros(duration_us));
        let rates = |rows: u64| (since_last.and_then(|since| rate(rows, since)), rate(rows, millis));
        let sources = self.parts.graph.sources.iter().zip(&made.plan.sources).zip(&made.stats.input_rows);
        let sources = sources.map(|((node, plan), rows)| source_progress(node, plan, *rows, rates(*rows)));
        let record = prepared.record();
        let progress = Progress {
            id: record.lineage.clone(),
            run_id: self.run.id.clone(),
            name: self.parts.name.clone(),
            timestamp: crate::time::Watermark(i64::try_from(made.begun.as_millis()).unwrap_or(i64::MAX)).to_string(),
            batch_id: record.epoch,
            batch_duration: millis,
            num_input_rows: rows,
            input_rows_per_second: rates(rows).0,
            processed_rows_per_second: rates(rows).1,
            duration_ms: spark_durations(&made.stats.stage_us, millis),
            event_time: event_time(&made),
            state_operators: std::mem::take(&mut made.stats.operators),
            sources: sources.collect(),
            sink: SinkProgress { description: self.describe_sinks(), num_output_rows: made.staged.rows },
            weir: Own {
                pace,
                stage_us: std::mem::take(&mut made.stats.stage_us),
                cpu_us: std::mem::take(&mut made.stats.cpu_us),
                steps: std::mem::take(&mut made.stats.steps),
                ..Own::of(self.parts.graph.watermark_policy, record)
            },
        };
        tracing::info!(
            epoch = progress.batch_id,
            rows,
            out = progress.sink.num_output_rows,
            late = progress.weir.late_rows,
            rejected = progress.weir.rejected.values().sum::<u64>(),
            millis,
            watermark = progress.weir.watermark_after.as_deref().unwrap_or("none"),
            "epoch"
        );
        self.parts.progress.push(progress)?;
        failpoint::hit(failpoint::TOLD);
        Ok(())
    }

    /// Tells of the committed epoch from its record, if a crash came before its progress was written: then the records of a folder, added up, are all that happened.
    pub(super) fn retell(&mut self, record: &EpochRecord) -> anyhow::Result<()> {
        if record.epoch == 0 || self.parts.progress.tells_of(&record.lineage, record.epoch) {
            return Ok(());
        }
        let sources = self.parts.graph.sources.iter().filter_map(|node| Some((node, record.sources.get(&node.id)?)));
        let sources: Vec<_> = sources.map(|(node, source)| retold_source(node, source)).collect();
        let watermark = |ms: i64| crate::time::Watermark(ms).to_string();
        self.parts.progress.push(Progress {
            id: record.lineage.clone(),
            run_id: self.run.id.clone(),
            name: self.parts.name.clone(),
            timestamp: watermark(record.clock_us.div_euclid(1_000)),
            batch_id: record.epoch,
            batch_duration: 0,
            num_input_rows: sources.iter().map(|source| source.num_input_rows).sum(),
            input_rows_per_second: None,
            processed_rows_per_second: None,
            duration_ms: BTreeMap::new(),
            event_time: record.eviction_watermark_ms.map(|ms| ("watermark", watermark(ms))).into_iter().collect(),
            state_operators: Vec::new(),
            sources,
            sink: SinkProgress { description: self.describe_sinks(), num_output_rows: record.counts.output_rows },
            weir: Own { recovered: true, ..Own::of(self.parts.graph.watermark_policy, record) },
        })
    }

    fn describe_sinks(&self) -> String {
        let sinks = self.parts.graph.sinks.iter().map(|sink| match &sink.target {
            Target::Records(records) => format!("Kafka[{}]", records.topic),
            Target::Outbox(outbox) => outbox.description(),
        });
        sinks.collect::<Vec<_>>().join(", ")
    }
}

impl Graph {
    /// The id of a node.
    #[must_use]
    pub fn id_of(&self, node: super::super::graph::Node) -> &str {
        match node {
            crate::epoch::graph::Node::Source(number) => self.sources.get(number).map_or("", |node| &node.id),
            crate::epoch::graph::Node::Step(number) | crate::epoch::graph::Node::Late(number) => self.steps.get(number).map_or("", |node| &node.id),
        }
    }
}

impl Own {
    /// What the record of an epoch says.
    fn of(policy: Policy, record: &EpochRecord) -> Self {
        let EpochCounts { late_rows, null_event_time_rows, lossy_values, ref rejected, .. } = record.counts;
        let newest = record.event_times.iter().map(|(declared_by, times)| {
            let time = |us: i64| Watermark(us.div_euclid(1_000)).to_string();
            let newest = times.partitions.iter().filter_map(|(partition, clock)| Some((partition.clone(), time(clock.newest_event_us?))));
            (declared_by.clone(), newest.collect())
        });
        let idle = record.event_times.values().flat_map(|times| &times.partitions).filter(|(_, clock)| clock.idle);
        Self {
            attempt: format!("{:016x}", record.attempt),
            late_rows,
            null_event_time_rows,
            rejected: rejected.clone(),
            lossy_values,
            watermark_after: policy.over(record.event_times.values().map(|times| times.watermark)).map(|watermark| watermark.to_string()),
            newest_event_times: newest.collect(),
            idle_partitions: idle.map(|(partition, _)| partition.clone()).collect(),
            plugins: record.plugins.clone(),
            ..Self::default()
        }
    }
}

fn retold_source(node: &SourceNode, source: &SourceRecord) -> SourceProgress {
    let mut ends = [Offsets::new(), Offsets::new()];
    for (name, range) in &source.partitions {
        let (topic, number) = name.rsplit_once('/').unwrap_or((name, ""));
        for (ends, offset) in ends.iter_mut().zip([range.from, range.to]) {
            ends.entry(topic.to_owned()).or_default().insert(number.to_owned(), offset);
        }
    }
    let [start_offset, end_offset] = ends;
    SourceProgress {
        id: node.id.clone(),
        description: node.source.description(),
        start_offset,
        latest_offset: end_offset.clone(),
        end_offset,
        num_input_rows: source.rows,
        input_rows_per_second: None,
        processed_rows_per_second: None,
        metrics: BTreeMap::new(),
    }
}

fn source_progress(node: &SourceNode, plan: &SourcePlan, rows: u64, rates: (Option<f64>, Option<f64>)) -> SourceProgress {
    let behind: Vec<u64> = plan.offers.iter().zip(&plan.ranges).map(|(offer, range)| u64::try_from(offer.end.0 - range.to.0).unwrap_or(0)).collect();
    let mut metrics = BTreeMap::new();
    if let (Some(min), Some(max)) = (behind.iter().min(), behind.iter().max()) {
        #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
        let mean = behind.iter().sum::<u64>() as f64 / behind.len() as f64;
        metrics.insert("avgOffsetsBehindLatest", format!("{mean:.1}"));
        metrics.insert("maxOffsetsBehindLatest", max.to_string());
        metrics.insert("minOffsetsBehindLatest", min.to_string());
    }
    SourceProgress {
        id: node.id.clone(),
        description: node.source.description(),
        start_offset: offsets(plan.ranges.iter().map(|range| (&range.partition, range.from))),
        end_offset: offsets(plan.ranges.iter().map(|range| (&range.partition, range.to))),
        latest_offset: offsets(plan.offers.iter().map(|offer| (&offer.partition, offer.end))),
        num_input_rows: rows,
        input_rows_per_second: rates.0,
        processed_rows_per_second: rates.1,
        metrics,
    }
}

fn offsets<'a>(positions: impl Iterator<Item = (&'a Partition, Offset)>) -> Offsets {
    let mut offsets = Offsets::new();
    for (partition, offset) in positions {
        offsets.entry(partition.topic.to_string()).or_default().insert(partition.number.to_string(), offset.0);
    }
    offsets
}

/// Oldest, newest and mean event time of the epoch, and the watermark that it worked with.
fn event_time(made: &Made) -> BTreeMap<&'static str, String> {
    let times = &made.stats.times;
    let millis = |us: i64| crate::time::Watermark(us.div_euclid(1_000)).to_string();
    let seen = [("avg", times.mean_us()), ("max", times.max_us), ("min", times.min_us)];
    let mut all: BTreeMap<_, _> = seen.into_iter().filter_map(|(name, time)| Some((name, millis(time?)))).collect();
    all.extend(made.plan.time.eviction.map(|watermark| ("watermark", watermark.to_string())));
    all
}

/// Our stages under Spark's names.
fn spark_durations(stage_us: &BTreeMap<&'static str, u64>, whole_ms: u64) -> BTreeMap<&'static str, u64> {
    let sum = |stages: &[&str]| stages.iter().filter_map(|stage| stage_us.get(stage)).sum::<u64>().div_ceil(1_000);
    BTreeMap::from([
        ("getBatch", sum(&["read"])),
        ("addBatch", sum(&["steps", "encode", "produce"])),
        ("walCommit", sum(&["state", "prepare"])),
        ("commitOffsets", sum(&["commit"])),
        ("commitBatch", sum(&["forward"])),
        ("triggerExecution", whole_ms),
    ])
}
