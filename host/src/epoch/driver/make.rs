//! Steps 1 to 6: an epoch is made, staged and prepared. Until its commit nothing of it can be seen, and all of it can be thrown away.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;

use super::{Driver, Made, Stats};
use crate::epoch::clock::Stopwatch;
use crate::epoch::commit::{Checksum, Draft, Outcome};
use crate::epoch::graph::{Graph, Node, Operator};
use crate::epoch::plan::{self, Plan};
use crate::epoch::stage::{self, StageError};
use crate::failpoint;
use crate::format::row_json;
use crate::observe::progress::StepProgress;
use crate::operator::decode::RejectedRecord;
use crate::operator::{EpochTime, RejectedRows, place_of};
use crate::rows::Chunk;
use crate::sink::dead_letter::{Content, DeadLetter, Kind};
use crate::source::{Cut, Partition, SourceError};
use crate::state::{Delta, OutboxPart, Prepared};
use crate::time::EventTime;

/// Rows on their way through the graph.
struct Flow<'a> {
    time: &'a EpochTime,
    /// The rows of each node that still has readers.
    rows: BTreeMap<Node, Vec<Chunk>>,
    /// How many readers of each node are still to come.
    readers: BTreeMap<Node, usize>,
    letters: Vec<DeadLetter>,
    /// The newest event of each partition, by declaration of event time.
    newest: BTreeMap<usize, BTreeMap<Partition, EventTime>>,
    stats: Stats,
    watch: Stopwatch,
}

impl Driver {
    /// Makes the epoch that is due.
    pub(super) fn make(&mut self, draft: Draft) -> anyhow::Result<Outcome> {
        let begun = self.parts.clock.now();
        let whole = Stopwatch::start();
        let Some(plan) = self.planned.clone() else { anyhow::bail!("an epoch is due and has no plan: this is a defect") }; // 1 PLAN
        let begin = self.with_transaction(|transaction| transaction.begin());
        if begin != Outcome::Done {
            return Ok(begin);
        }
        failpoint::hit(failpoint::PLANNED);
        self.run.transaction_since = self.parts.transaction.is_some().then(Stopwatch::start);
        let mut flow = Flow::new(&plan.time, &self.parts.graph);
        for source in 0..self.parts.graph.sources.len() {
            match self.read(source, &plan, &mut flow) {
                Ok(()) => {}
                Err(SourceError::Unreachable { source_id, reason }) => {
                    tracing::warn!(source = source_id, reason, epoch = plan.time.epoch, "the source stopped answering; the epoch is made again");
                    return Ok(Outcome::GivenUp);
                }
                Err(error) => return Err(error.into()),
            }
        }
        for step in 0..self.parts.graph.steps.len() {
            self.step(step, &mut flow)?; // 4 STEPS
        }
        failpoint::hit(failpoint::STEPS_DONE);
        self.check_rejected(&flow)?;
        let Flow { rows, letters, newest, mut stats, mut watch, .. } = flow;
        let transaction = self.parts.transaction.as_deref_mut();
        let staged = stage::stage(&self.parts.graph, plan.time.epoch, &rows, letters, &self.refused, transaction); // 5 STAGE
        let staged = match staged {
            Ok(staged) => staged,
            Err(StageError::Failed(error)) => return Err(error),
            Err(StageError::Transaction(error)) => return Ok(self.answer(&error)),
        };
        match self.parts.transaction.as_deref_mut().map_or(Ok(Vec::new()), |transaction| transaction.flush(super::CALL_TIMEOUT)) {
            Ok(undeliverable) if undeliverable.is_empty() => {}
            Ok(undeliverable) => {
                let refused = staged.refuse(&undeliverable, &mut self.refused);
                anyhow::ensure!(
                    refused > 0,
                    "the broker refuses {} records again that were to be dead letters: {}",
                    undeliverable.len(),
                    codes(&undeliverable)
                );
                tracing::warn!(refused, codes = codes(&undeliverable), "the broker does not take some records; the epoch is made again without them");
                return Ok(Outcome::GivenUp);
            }
            Err(error) => return Ok(self.answer(&error)),
        }
        stats.stage_us.insert("encode", staged.encode_us);
        stats.stage_us.insert("produce", watch.lap_us().saturating_sub(staged.encode_us));
        let trackers = self.advance(&plan, &newest);
        failpoint::hit(failpoint::STAGED);
        tracing::trace!(epoch = plan.time.epoch, attempt = %draft.attempt, "staged");
        self.made = Some(Made { plan, staged, trackers, stats, begun, watch: whole });
        Ok(Outcome::Done)
    }

    /// Steps 2 and 3, READ and DECODE, for one source.
    fn read(&mut self, number: usize, plan: &Plan, flow: &mut Flow<'_>) -> Result<(), SourceError> {
        let Some((node, ranges)) = self.parts.graph.sources.get_mut(number).zip(plan.sources.get(number)) else { return Ok(()) };
        let ranges: Vec<_> = ranges.ranges.iter().filter(|range| range.from < range.to).cloned().collect();
        let records = node.source.read(&ranges, Cut::default())?; // 2 READ
        flow.stats.input_rows.push(records.iter().map(|run| run.len() as u64).sum());
        *flow.stats.stage_us.entry("read").or_default() += flow.watch.lap_us();
        failpoint::hit(failpoint::READ);
        let decoded = node.decoder.decode(number, records)?; // 3 DECODE
        let id = node.id.clone();
        flow.letters.extend(decoded.rejected.into_iter().map(|rejected| record_letter(&id, flow.time.epoch, rejected)));
        *flow.stats.stage_us.entry("decode").or_default() += flow.watch.lap_us();
        self.output(Node::Source(number), &id, decoded.chunks, flow)?;
        Ok(())
    }

    /// Step 4 for one step of the pipeline.
    fn step(&mut self, number: usize, flow: &mut Flow<'_>) -> anyhow::Result<()> {
        let Some(step) = self.parts.graph.steps.get_mut(number) else { return Ok(()) };
        let input: Vec<Chunk> = step.inputs.iter().flat_map(|input| flow.take(*input)).collect();
        let place = || format!("step `{}`, epoch {}", step.id, flow.time.epoch);
        let (input_rows, before) = (rows_of(&input), step.operator.plugin_stats());
        let (chunks, rejected, busy_us) = match &mut step.operator {
            Operator::Transform(transform) => {
                let done = transform.run(flow.time, input).with_context(place)?;
                (done.chunks, done.rejected, done.busy_us)
            }
            Operator::Aggregate(aggregate) => {
                let done = aggregate.run(flow.time, &input).with_context(place)?;
                flow.stats.late_rows += done.late_rows;
                flow.stats.operators.push(done.operator);
                (done.chunks, Vec::new(), done.busy_us)
            }
        };
        let (id, digest) = (step.id.clone(), step.digest.clone());
        for rows in rejected {
            flow.letters.extend(row_letters(&id, Some(&digest), flow.time.epoch, &rows)?);
        }
        let duration_us = flow.watch.lap_us();
        *flow.stats.stage_us.entry("steps").or_default() += duration_us;
        let plugin = step.operator.plugin_stats().since(&before);
        flow.stats.steps.push(StepProgress {
            id: id.clone(),
            num_input_rows: input_rows,
            num_output_rows: rows_of(&chunks),
            duration_us,
            busy_us,
            into_plugin_us: micros(plugin.time_in),
            in_plugin_us: micros(plugin.time_guest),
            out_of_plugin_us: micros(plugin.time_out),
            plugin_calls: plugin.calls,
            plugin_retries: plugin.retries,
        });
        self.output(Node::Step(number), &id, chunks, flow)
    }

    /// The rows of a node: their event time is read where it is declared, and they wait for their readers.
    fn output(&mut self, node: Node, id: &str, mut chunks: Vec<Chunk>, flow: &mut Flow<'_>) -> anyhow::Result<()> {
        if let Some((number, declared)) = self.parts.graph.event_time_at(node) {
            let observed = declared.declared.observe(chunks, flow.time.clock).with_context(|| format!("event time of `{id}`"))?;
            for rows in &observed.rejected {
                flow.letters.extend(row_letters(id, None, flow.time.epoch, rows)?);
            }
            flow.stats.null_event_time_rows += observed.null_rows;
            flow.stats.times = flow.stats.times.and(observed.times);
            flow.newest.insert(number, observed.newest);
            chunks = observed.chunks;
        }
        if let Some(tap) = &mut self.parts.tap {
            tap(id, &chunks);
        }
        if flow.readers.get(&node).is_some_and(|readers| *readers > 0) {
            flow.rows.insert(node, chunks);
        }
        Ok(())
    }

    /// Too many refused rows are no accident: the pipeline stops before it empties a topic into the dead letters.
    fn check_rejected(&self, flow: &Flow<'_>) -> anyhow::Result<()> {
        let (rejected, rows) = (flow.letters.len() as u64, flow.stats.input_rows.iter().sum());
        let Some(first) = flow.letters.first().filter(|_| !(self.parts.max_rejected)(rejected, rows)) else { return Ok(()) };
        anyhow::bail!(
            "epoch {}: {rejected} of {rows} rows were rejected, more than `max_rejected` allows; the first, at `{}`: {}: {}; nothing of the epoch was delivered: \
             mend what writes the input or the step, or raise `max_rejected`",
            flow.time.epoch,
            first.step,
            first.code,
            first.reason
        )
    }

    /// The watermarks after the epoch.
    fn advance(&self, plan: &Plan, newest: &BTreeMap<usize, BTreeMap<Partition, EventTime>>) -> Vec<crate::time::watermark::Tracker> {
        let none = BTreeMap::new();
        let declared = self.parts.graph.event_times.iter().enumerate().filter(|(_, declared)| declared.rule.is_some());
        let advanced = declared.zip(&self.trackers).map(|((number, declared), tracker)| {
            let sources: Vec<_> = declared.sources.iter().filter_map(|source| plan.sources.get(*source)).collect();
            plan::advance(tracker, &sources, newest.get(&number).unwrap_or(&none), plan.time.clock)
        });
        advanced.collect()
    }

    /// Step 6, PREPARE: one durable record of all that the epoch decided.
    pub(super) fn prepare(&mut self, draft: Draft) -> anyhow::Result<Outcome> {
        let Some(made) = &mut self.made else { anyhow::bail!("nothing was made to be prepared: this is a defect") };
        let mut watch = Stopwatch::start();
        let mut deltas: BTreeMap<String, Delta> = BTreeMap::new();
        for step in &mut self.parts.graph.steps {
            if let Operator::Aggregate(aggregate) = &mut step.operator {
                deltas.insert(step.id.clone(), aggregate.delta());
            }
        }
        let record = super::report::record(&self.parts.graph, made, &draft);
        let outbox: Vec<_> = made.staged.outbox.iter().map(|(sink, bytes)| OutboxPart { sink, bytes }).collect();
        let prepared = Arc::new(Prepared::new(record, &deltas, &outbox)?);
        made.stats.stage_us.insert("state", watch.lap_us());
        let outcome = self.durable(|store| store.prepare(&prepared));
        if let Some(made) = &mut self.made {
            made.stats.stage_us.insert("prepare", watch.lap_us());
        }
        let checksum = Checksum(prepared.checksum());
        self.prepared = Some(prepared);
        Ok(if outcome == Outcome::Done { Outcome::Prepared(checksum) } else { outcome })
    }
}

impl<'a> Flow<'a> {
    fn new(time: &'a EpochTime, graph: &Graph) -> Self {
        let nodes = (0..graph.sources.len()).map(Node::Source).chain((0..graph.steps.len()).map(Node::Step));
        let readers = nodes.map(|node| (node, graph.readers(node))).collect();
        let (rows, letters, newest) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        Self { time, rows, readers, letters, newest, stats: Stats::default(), watch: Stopwatch::start() }
    }

    /// The rows of a node for one step; the last reader takes them. Sinks come after all steps and find what is left to them.
    fn take(&mut self, node: Node) -> Vec<Chunk> {
        let readers = self.readers.entry(node).or_insert(1);
        *readers = readers.saturating_sub(1);
        if *readers == 0 { self.rows.remove(&node).unwrap_or_default() } else { self.rows.get(&node).cloned().unwrap_or_default() }
    }
}

fn rows_of(chunks: &[Chunk]) -> u64 {
    chunks.iter().map(|chunk| chunk.rows.num_rows() as u64).sum()
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn codes(undeliverable: &[crate::sink::Undeliverable]) -> String {
    let codes: std::collections::BTreeSet<&str> = undeliverable.iter().map(|record| record.code.as_str()).collect();
    codes.into_iter().collect::<Vec<_>>().join(", ")
}

fn record_letter(source: &str, epoch: u64, RejectedRecord { place, bad, content }: RejectedRecord) -> DeadLetter {
    DeadLetter { kind: Kind::Record, code: bad.code.to_owned(), reason: bad.reason, step: source.to_owned(), plugin: None, epoch, source: place, content }
}

fn row_letters(step: &str, plugin: Option<&str>, epoch: u64, rows: &RejectedRows) -> anyhow::Result<Vec<DeadLetter>> {
    let letters = rows.rejections.iter().map(|rejection| {
        let row = rejection.row as usize;
        Ok(DeadLetter {
            kind: Kind::Row,
            code: rejection.code.clone(),
            reason: rejection.reason.clone(),
            step: step.to_owned(),
            plugin: plugin.map(str::to_owned),
            epoch,
            source: place_of(&rows.chunk.origin, row),
            content: Content::row(row_json(&rows.chunk.rows, row))?,
        })
    });
    letters.collect()
}
