//! Steps 1 to 6: an epoch is made, staged and prepared. Until its commit nothing of it can be seen, and all of it can be thrown away.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;

use super::{Driver, Made, Stats};
use crate::epoch::clock::Stopwatch;
use crate::epoch::commit::{Checksum, Draft, Outcome};
use crate::epoch::graph::{Node, Operator};
use crate::epoch::lanes::{self, Passed, Routes, StepWork};
use crate::epoch::letters;
use crate::epoch::plan::{self, Plan};
use crate::epoch::stage::{self, StageError};
use crate::failpoint;
use crate::observe::progress::StepProgress;
use crate::plugin;
use crate::rows::Chunk;
use crate::source::{Partition, SourceError};
use crate::state::{Delta, OutboxPart, Prepared};
use crate::time::EventTime;

/// Rows on their way through the graph.
struct Flow<'a> {
    plan: &'a Plan,
    routes: Routes,
    /// How many readers of each node's rows are still to come.
    readers: BTreeMap<Node, usize>,
    passed: Passed,
    stats: Stats,
    watch: Stopwatch,
    /// What each step's plugin had cost before.
    plugins_before: Vec<plugin::Stats>,
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
        let mut flow = self.flow(&plan);
        for source in 0..self.parts.graph.sources.len() {
            match self.read(source, &mut flow) {
                Ok(()) => {}
                Err(SourceError::Unreachable { source_id, reason }) => {
                    tracing::warn!(source = source_id, reason, epoch = plan.time.epoch, "the source stopped answering; the epoch is made again");
                    return Ok(Outcome::GivenUp);
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.tap_lanes(&flow);
        for step in (0..self.parts.graph.steps.len()).filter(|step| !flow.routes.in_lanes(*step)).collect::<Vec<_>>() {
            self.step(step, &mut flow)?; // 4 STEPS
        }
        failpoint::hit(failpoint::STEPS_DONE);
        let input_rows = flow.stats.input_rows.iter().sum();
        let first = flow.passed.letters.first().map(|first| format!("the first, at `{}`: {}: {}", first.step, first.code, first.reason));
        self.check_rejected(plan.time.epoch, flow.passed.letters.len() as u64, input_rows, first)?;
        let steps = self.steps_done(&flow);
        let Flow { passed: Passed { rows, letters, newest, times, null_event_time_rows, decode_us, .. }, mut stats, mut watch, .. } = flow;
        (stats.steps, stats.times, stats.null_event_time_rows) = (steps, times, null_event_time_rows);
        stats.cpu_us.insert("decode", decode_us);
        stats.cpu_us.remove("steps"); // they have their own
        self.parts.progress.rejected(&letters);
        let own_rejected = letters.len() as u64;
        let transaction = self.parts.transaction.as_deref_mut();
        let staged = stage::stage(&self.parts.graph, plan.time.epoch, &rows, letters, &self.refused, transaction); // 5 STAGE
        let staged = match staged {
            Ok(staged) => staged,
            Err(StageError::Failed(error)) => return Err(error),
            Err(StageError::Transaction(error)) => return Ok(self.answer(&error)),
        };
        stats.took("encode", staged.encoding);
        stats.took("produce", watch.lap() - staged.encoding);
        // What the brokers refused in earlier tries of this epoch counts, too, when this try has nothing new to refuse.
        let rejected = staged.rejected.values().sum::<u64>();
        let by_broker = rejected.saturating_sub(own_rejected);
        let codes = || staged.rejected.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        self.check_rejected(plan.time.epoch, rejected, input_rows, (by_broker > 0).then(|| format!("{by_broker} of them by the broker: {}", codes())))?;
        let trackers = self.advance(&plan, &newest);
        failpoint::hit(failpoint::STAGED);
        tracing::trace!(epoch = plan.time.epoch, attempt = %draft.attempt, "staged");
        self.made = Some(Made { plan, staged, trackers, stats, begun, watch: whole });
        Ok(Outcome::Done)
    }

    /// Waits until the brokers have every record of the epoch; an outcome, if that ends this try. Called behind PREPARE, so that the brokers and the disk work at
    /// the same time.
    pub(super) fn flush(&mut self) -> anyhow::Result<Option<Outcome>> {
        let (Some(transaction), Some(made)) = (self.parts.transaction.as_deref_mut(), &self.made) else { return Ok(None) };
        let undeliverable = match transaction.flush(super::CALL_TIMEOUT) {
            Ok(undeliverable) if undeliverable.is_empty() => return Ok(None),
            Ok(undeliverable) => undeliverable,
            Err(error) => return Ok(Some(self.answer(&error))),
        };
        let (epoch, staged, input_rows) = (made.plan.time.epoch, &made.staged, made.stats.input_rows.iter().sum());
        let (refused, codes) = (staged.refuse(&undeliverable, &mut self.refused), codes(&undeliverable));
        anyhow::ensure!(refused > 0, "the broker refuses {} records again that were to be dead letters: {codes}", undeliverable.len());
        let by_broker = undeliverable.len() as u64;
        let rejected = staged.rejected.values().sum::<u64>() + by_broker;
        self.check_rejected(epoch, rejected, input_rows, Some(format!("{by_broker} of them by the broker: {codes}")))?;
        tracing::warn!(refused, codes, "the broker does not take some records; the epoch is made again without them");
        Ok(Some(Outcome::GivenUp))
    }

    /// Steps 2 and 3, READ and DECODE, for one source, and step 4 for the transforms behind it.
    fn read(&mut self, number: usize, flow: &mut Flow<'_>) -> Result<(), SourceError> {
        let Some(source) = flow.plan.sources.get(number) else { return Ok(()) };
        let ranges: Vec<_> = source.ranges.iter().filter(|range| range.from < range.to).cloned().collect();
        let read = lanes::read(&mut self.parts.graph, &flow.routes, number, &ranges, &flow.plan.time)?;
        flow.stats.took("read", flow.watch.lap());
        failpoint::hit(failpoint::READ);
        flow.stats.input_rows.push(read.input_rows);
        flow.passed.add(read);
        Ok(())
    }

    /// Shows the rows of the nodes that have come out of the lanes.
    fn tap_lanes(&mut self, flow: &Flow<'_>) {
        let Some(tap) = &mut self.parts.tap else { return };
        let sources = (0..self.parts.graph.sources.len()).map(Node::Source);
        let steps = (0..self.parts.graph.steps.len()).filter(|step| flow.routes.in_lanes(*step)).map(Node::Step);
        for node in sources.chain(steps) {
            tap(self.parts.graph.id_of(node), flow.passed.rows.get(&node).map(Vec::as_slice).unwrap_or_default());
        }
    }

    /// Step 4 for a step that brings rows together, or stands behind one.
    fn step(&mut self, number: usize, flow: &mut Flow<'_>) -> anyhow::Result<()> {
        let time = &flow.plan.time;
        let Some(step) = self.parts.graph.steps.get_mut(number) else { return Ok(()) };
        let input: Vec<Chunk> = step.inputs.clone().into_iter().flat_map(|input| flow.take(input)).collect();
        let place = || format!("step `{}`, epoch {}", step.id, time.epoch);
        let input_rows = rows_of(&input);
        let (chunks, late, rejected, busy_us) = match &mut step.operator {
            Operator::Transform(transform) => {
                let done = transform.run(time, input).with_context(place)?;
                (done.chunks, Vec::new(), done.rejected, done.busy_us)
            }
            Operator::Aggregate(aggregate) => {
                let done = aggregate.run(time, &input).with_context(place)?;
                flow.stats.late_rows += done.late_rows;
                flow.stats.operators.push(done.operator);
                (done.chunks, done.late, Vec::new(), done.busy_us)
            }
            Operator::History(history) => {
                let done = history.run(&input).with_context(place)?;
                flow.stats.operators.push(done.operator);
                (done.chunks, Vec::new(), Vec::new(), done.busy_us)
            }
            Operator::Dedupe(dedupe) => {
                let done = dedupe.run(time, input).with_context(place)?;
                flow.stats.late_rows += done.late_rows;
                flow.stats.operators.push(done.operator);
                (done.chunks, done.late, Vec::new(), done.busy_us)
            }
        };
        for rows in rejected {
            flow.passed.letters.extend(letters::of_rows(&step.id, step.digest.as_deref(), time.epoch, &rows)?);
        }
        flow.passed.steps.entry(number).or_default().add(StepWork { input_rows, output_rows: rows_of(&chunks), busy_us });
        let (node, id) = (Node::Step(number), step.id.clone());
        let mut rows = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            rows.extend(flow.passed.observe(&self.parts.graph.event_times, node, &id, chunk, time)?);
        }
        if let Some(tap) = &mut self.parts.tap {
            tap(&id, &rows);
            let of_late = self.parts.graph.sinks.iter().filter(|sink| sink.input == Node::Late(number));
            of_late.for_each(|sink| tap(&sink.id, &late));
        }
        flow.passed.rows.insert(node, rows);
        flow.passed.rows.insert(Node::Late(number), late);
        flow.stats.took("steps", flow.watch.lap());
        Ok(())
    }

    /// An epoch before its first row.
    fn flow<'a>(&self, plan: &'a Plan) -> Flow<'a> {
        let graph = &self.parts.graph;
        let routes = Routes::new(graph, self.parts.tap.is_some());
        let readers = routes.waiting().clone();
        let plugins_before = graph.steps.iter().map(|step| step.operator.plugin_stats()).collect();
        Flow { plan, routes, readers, passed: Passed::default(), stats: Stats::default(), watch: Stopwatch::start(), plugins_before }
    }

    /// What each step did, and what its plugin cost.
    fn steps_done(&self, flow: &Flow<'_>) -> Vec<StepProgress> {
        let steps = self.parts.graph.steps.iter().enumerate().zip(&flow.plugins_before).map(|((number, step), before)| {
            let work = flow.passed.steps.get(&number).copied().unwrap_or_default();
            let plugin = step.operator.plugin_stats().since(before);
            StepProgress {
                id: step.id.clone(),
                num_input_rows: work.input_rows,
                num_output_rows: work.output_rows,
                busy_us: work.busy_us,
                into_plugin_us: micros(plugin.time_in),
                in_plugin_us: micros(plugin.time_guest),
                out_of_plugin_us: micros(plugin.time_out),
                plugin_calls: plugin.calls,
                plugin_retries: plugin.retries,
            }
        });
        steps.collect()
    }

    /// Too many refused rows are no accident: the pipeline stops before it empties a topic into the dead letters.
    fn check_rejected(&self, epoch: u64, rejected: u64, rows: u64, example: Option<String>) -> anyhow::Result<()> {
        let Some(example) = example.filter(|_| !(self.parts.max_rejected)(rejected, rows)) else { return Ok(()) };
        anyhow::bail!(
            "epoch {epoch}: {rejected} of {rows} rows were rejected, more than `max_rejected` allows; {example}; nothing of the epoch was delivered: \
             mend what writes the input or the step, or raise `max_rejected`"
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
            if let Some(states) = step.operator.states() {
                deltas.extend(states.deltas());
            }
        }
        let record = super::report::record(&self.parts.graph, made, &draft);
        let outbox: Vec<_> = made.staged.outbox.iter().map(|(sink, bytes)| OutboxPart { sink, bytes }).collect();
        let prepared = Arc::new(Prepared::new(record, &deltas, &outbox)?);
        made.stats.took("state", watch.lap());
        let outcome = self.durable(|store| store.prepare(&prepared));
        if let Some(made) = &mut self.made {
            made.stats.took("prepare", watch.lap());
        }
        let checksum = Checksum(prepared.checksum());
        self.prepared = Some(prepared);
        Ok(if outcome == Outcome::Done { Outcome::Prepared(checksum) } else { outcome })
    }
}

impl Flow<'_> {
    /// The rows of a node for one step; the last reader takes them. Sinks come after all steps and find what is left to them.
    fn take(&mut self, node: Node) -> Vec<Chunk> {
        let readers = self.readers.entry(node).or_insert(1);
        *readers = readers.saturating_sub(1);
        if *readers == 0 { self.passed.rows.remove(&node).unwrap_or_default() } else { self.passed.rows.get(&node).cloned().unwrap_or_default() }
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
