//! Steps 3 and 4 for rows that need no others: as soon as a run of records has been read it is decoded and goes through the transforms behind its source, while the
//! source reads on. So the bytes of an epoch and the rows made of them are never in memory all at once, and a chunk stays in the cache from one transform to the next.
//! Steps that bring rows together, the aggregates, and all that stands behind them come afterwards, in the driver.
//!
//! ```text
//!  source ─► run ─► decode ─► event time ─► transform ─► transform ─┐
//!         ─► run ─► decode ─► event time ─► transform ─► transform ─┴─► in the order of (partition, offset)
//! ```

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;

use super::clock::CpuWatch;
use super::graph::{EventTimeNode, Graph, Node, Operator, SourceNode, StepNode};
use super::letters;
use crate::operator::EpochTime;
use crate::operator::decode::Decoder;
use crate::operator::event_time::{Declared, Times};
use crate::rows::Chunk;
use crate::sink::dead_letter::DeadLetter;
use crate::source::{Cut, Offset, OffsetRange, Partition, Records, SourceError};
use crate::time::EventTime;

/// What has come of rows so far: of a run of records, of a source, of an epoch.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// The rows of the nodes that somebody waits for.
    pub(super) rows: BTreeMap<Node, Vec<Chunk>>,
    /// What was refused.
    pub(super) letters: Vec<DeadLetter>,
    /// The newest event of each partition, by declaration of event time.
    pub(super) newest: BTreeMap<usize, BTreeMap<Partition, EventTime>>,
    /// Over all event times.
    pub(super) times: Times,
    /// Rows without an event time.
    pub(super) null_event_time_rows: u64,
    /// Records read.
    pub(super) input_rows: u64,
    /// CPU time of decoding, in microseconds.
    pub(super) decode_us: u64,
    /// What each step did, by its number.
    pub(super) steps: BTreeMap<usize, StepWork>,
}

/// What a step did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StepWork {
    /// Rows that went in.
    pub(super) input_rows: u64,
    /// Rows that came out.
    pub(super) output_rows: u64,
    /// CPU time of all threads, in microseconds.
    pub(super) busy_us: u64,
}

/// The lanes behind one source.
struct Lanes<'a> {
    time: &'a EpochTime,
    source: usize,
    id: &'a str,
    decoder: &'a Decoder,
    steps: &'a [StepNode],
    event_times: &'a [EventTimeNode],
    routes: &'a Routes,
}

/// Which way rows go.
#[derive(Debug)]
pub(super) struct Routes {
    /// By step: whether it runs in the lanes: a transform, behind sources and such transforms alone.
    in_lanes: Vec<bool>,
    /// The nodes whose rows somebody waits for who is not in the lanes, and how many do.
    waiting: BTreeMap<Node, usize>,
}

impl Routes {
    /// The routes of a graph; `tapped`: somebody looks at the rows of every node.
    pub(super) fn new(graph: &Graph, tapped: bool) -> Self {
        let mut in_lanes: Vec<bool> = Vec::with_capacity(graph.steps.len());
        for step in &graph.steps {
            let behind_lanes = step.inputs.iter().all(|input| match input {
                Node::Source(_) => true,
                Node::Step(number) => in_lanes.get(*number).copied().unwrap_or(false),
                Node::Late(_) => false,
            });
            in_lanes.push(behind_lanes && matches!(step.operator, Operator::Transform(_)));
        }
        let mut waiting = BTreeMap::new();
        let later = graph.steps.iter().zip(&in_lanes).filter(|(_, in_lanes)| !**in_lanes).flat_map(|(step, _)| &step.inputs);
        for node in later.copied().chain(graph.sinks.iter().map(|sink| sink.input)) {
            *waiting.entry(node).or_default() += 1;
        }
        if tapped {
            let all = (0..graph.sources.len()).map(Node::Source).chain((0..graph.steps.len()).map(Node::Step));
            for node in all {
                waiting.entry(node).or_default();
            }
        }
        Self { in_lanes, waiting }
    }

    /// Whether a step runs in the lanes.
    pub(super) fn in_lanes(&self, step: usize) -> bool {
        self.in_lanes.get(step).copied().unwrap_or(false)
    }

    /// How many wait for the rows of each node.
    pub(super) fn waiting(&self) -> &BTreeMap<Node, usize> {
        &self.waiting
    }
}

/// Reads the ranges of source number `number` and sends what comes through its lanes.
///
/// # Errors
/// The source's, or that of the first run, in order, that failed.
pub(super) fn read(graph: &mut Graph, routes: &Routes, number: usize, ranges: &[OffsetRange], time: &EpochTime) -> Result<Passed, SourceError> {
    let Graph { sources, steps, event_times, .. } = graph;
    let Some(SourceNode { id, source, decoder }) = sources.get_mut(number) else { return Ok(Passed::default()) };
    let lanes = Lanes { time, source: number, id, decoder, steps, event_times, routes };
    let (done, failed) = (Mutex::new(BTreeMap::new()), AtomicBool::new(false));
    let read = rayon::in_place_scope(|scope| {
        source.read_each(ranges, Cut::default(), &mut |records| {
            let (lanes, done, failed) = (&lanes, &done, &failed);
            scope.spawn(move |_| {
                if failed.load(Ordering::Relaxed) {
                    return; // nothing of the epoch will be used
                }
                let place = (records.partition.clone(), records.offsets.first().copied().map(Offset));
                let passed = lanes.run(records);
                failed.fetch_or(passed.is_err(), Ordering::Relaxed);
                done.lock().unwrap_or_else(PoisonError::into_inner).insert(place, passed);
            });
        })
    });
    read?;
    let mut all = Passed::default();
    for passed in done.into_inner().unwrap_or_else(PoisonError::into_inner).into_values() {
        all.add(passed?);
    }
    Ok(all)
}

impl Lanes<'_> {
    fn run(&self, records: Arc<Records>) -> anyhow::Result<Passed> {
        let mut passed = Passed { input_rows: records.len() as u64, ..Passed::default() };
        let watch = CpuWatch::start();
        let decoded = self.decoder.decode(self.source, records).with_context(|| format!("source `{}`, epoch {}", self.id, self.time.epoch))?;
        passed.decode_us = watch.us();
        passed.letters.extend(decoded.rejected.into_iter().map(|rejected| letters::of_record(self.id, self.time.epoch, rejected)));
        if decoded.chunk.rows.num_rows() > 0 {
            self.flow(Node::Source(self.source), self.id, decoded.chunk, &mut passed)?;
        }
        Ok(passed)
    }

    /// Rows have come out of a node: each transform that waits for them takes them on, and then what waits for its rows.
    fn flow(&self, node: Node, id: &str, chunk: Chunk, passed: &mut Passed) -> anyhow::Result<()> {
        let Some(chunk) = passed.observe(self.event_times, node, id, chunk, self.time)? else { return Ok(()) };
        for (number, step) in self.steps.iter().enumerate() {
            let Operator::Transform(transform) = &step.operator else { continue };
            if !self.routes.in_lanes(number) || !step.inputs.contains(&node) {
                continue;
            }
            let watch = CpuWatch::start();
            let input_rows = chunk.rows.num_rows() as u64;
            let done = transform.run_chunk(&self.time.context(), chunk.clone());
            let (out, rejected) = done.with_context(|| format!("step `{}`, epoch {}", step.id, self.time.epoch))?;
            if let Some(rejected) = rejected {
                passed.letters.extend(letters::of_rows(&step.id, step.digest.as_deref(), self.time.epoch, &rejected)?);
            }
            let output_rows = out.as_ref().map_or(0, |out| out.rows.num_rows() as u64);
            passed.steps.entry(number).or_default().add(StepWork { input_rows, output_rows, busy_us: watch.us() });
            if let Some(out) = out {
                self.flow(Node::Step(number), &step.id, out, passed)?;
            }
        }
        if self.routes.waiting.contains_key(&node) {
            passed.rows.entry(node).or_default().push(chunk);
        }
        Ok(())
    }
}

impl Passed {
    /// Reads the event time of a node's rows, where it is declared; none: no row is left.
    pub(super) fn observe(&mut self, event_times: &[EventTimeNode], node: Node, id: &str, chunk: Chunk, time: &EpochTime) -> anyhow::Result<Option<Chunk>> {
        let declared = event_times.iter().enumerate().find(|(_, declared)| declared.node == node);
        let Some((number, EventTimeNode { declared, .. })) = declared else { return Ok(Some(chunk)) };
        let observed = Declared::observe(declared, chunk, time.clock).with_context(|| format!("event time of `{id}`"))?;
        if let Some(rows) = &observed.rejected {
            self.letters.extend(letters::of_rows(id, None, time.epoch, rows)?);
        }
        self.null_event_time_rows += observed.null_rows;
        self.times = self.times.and(observed.times);
        let newest = self.newest.entry(number).or_default();
        if let Some((partition, event)) = observed.newest {
            let known = newest.entry(partition).or_insert(event);
            *known = (*known).max(event);
        }
        Ok(observed.chunk)
    }

    /// What has come of further rows, behind these.
    pub(super) fn add(&mut self, other: Self) {
        for (node, chunks) in other.rows {
            self.rows.entry(node).or_default().extend(chunks);
        }
        self.letters.extend(other.letters);
        for (number, newest) in other.newest {
            let known = self.newest.entry(number).or_default();
            for (partition, event) in newest {
                let known = known.entry(partition).or_insert(event);
                *known = (*known).max(event);
            }
        }
        self.times = self.times.and(other.times);
        self.null_event_time_rows += other.null_event_time_rows;
        self.input_rows += other.input_rows;
        self.decode_us += other.decode_us;
        for (number, work) in other.steps {
            self.steps.entry(number).or_default().add(work);
        }
    }
}

impl StepWork {
    /// Adds what was done besides.
    pub(super) fn add(&mut self, other: Self) {
        self.input_rows += other.input_rows;
        self.output_rows += other.output_rows;
        self.busy_us += other.busy_us;
    }
}
