//! The graph that runs: sources, steps and sinks, opened, in the order of the data. It is put together once, from a checked plan, and then only driven.

use std::sync::Arc;

use crate::operator::aggregate::Aggregate;
use crate::operator::decode::Decoder;
use crate::operator::dedupe::Dedupe;
use crate::operator::event_time::Declared;
use crate::operator::history::History;
use crate::operator::states::StepStates;
use crate::operator::transform::Transform;
use crate::sink::Outbox;
use crate::sink::records::RecordEncoder;
use crate::source::Source;
use crate::time::watermark::{Policy, Rule};

/// A pipeline, opened.
pub struct Graph {
    /// Where records come from.
    pub sources: Vec<SourceNode>,
    /// What happens to rows; a step stands behind its inputs.
    pub steps: Vec<StepNode>,
    /// Where rows go.
    pub sinks: Vec<SinkNode>,
    /// Where what was refused goes.
    pub dead_letters: Letters,
    /// Where event time is declared.
    pub event_times: Vec<EventTimeNode>,
    /// How the watermarks of several declarations become one.
    pub watermark_policy: Policy,
    /// Whether epochs without records are made at all.
    pub no_data_epochs: bool,
}

/// A producer of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// A source, by number.
    Source(usize),
    /// A step, by number.
    Step(usize),
    /// What comes too late for a step, by number.
    Late(usize),
}

/// A source and how its records become rows.
pub struct SourceNode {
    /// Its id.
    pub id: String,
    /// Where the records come from.
    pub source: Box<dyn Source>,
    /// How they become rows.
    pub decoder: Decoder,
}

/// A step.
pub struct StepNode {
    /// Its id.
    pub id: String,
    /// Whose rows it takes; several: their union, in this order.
    pub inputs: Vec<Node>,
    /// What it does with them.
    pub operator: Operator,
    /// The digest of its plugin, if it has one.
    pub digest: Option<String>,
}

/// What a step does.
pub enum Operator {
    /// Rows in, rows out.
    Transform(Box<Transform>),
    /// Rows in, one row a window and key out.
    Aggregate(Box<Aggregate>),
    /// Rows in, the first of each key out.
    Dedupe(Box<Dedupe>),
    /// Rows of closed windows in, the same with what came before out.
    History(Box<History>),
}

impl Operator {
    /// What the step's plugin has cost so far.
    #[must_use]
    pub fn plugin_stats(&self) -> crate::plugin::Stats {
        match self {
            Self::Transform(transform) => transform.function.stats(),
            Self::Aggregate(aggregate) => aggregate.stats(),
            Self::Dedupe(_) | Self::History(_) => crate::plugin::Stats::default(),
        }
    }

    /// What the step keeps from epoch to epoch.
    pub fn states(&mut self) -> Option<&mut StepStates> {
        match self {
            Self::Transform(_) => None,
            Self::Aggregate(aggregate) => Some(&mut aggregate.states),
            Self::Dedupe(dedupe) => Some(&mut dedupe.states),
            Self::History(history) => Some(&mut history.states),
        }
    }

    /// Whether the step asks for an epoch without records once the watermark has moved (B-4).
    #[must_use]
    pub fn asks(&self) -> bool {
        match self {
            Self::Transform(_) | Self::History(_) => false,
            Self::Aggregate(aggregate) => aggregate.asks(),
            Self::Dedupe(dedupe) => dedupe.asks(),
        }
    }
}

/// A declaration of event time and the watermark that follows from it.
#[derive(Debug, Clone)]
pub struct EventTimeNode {
    /// Whose rows carry it.
    pub node: Node,
    /// The column.
    pub declared: Declared,
    /// How the watermark follows; none: only the column is known, and no window closes.
    pub rule: Option<Rule>,
    /// The sources that the rows come from.
    pub sources: Vec<usize>,
}

/// A sink.
pub struct SinkNode {
    /// Its id.
    pub id: String,
    /// Whose rows it takes.
    pub input: Node,
    /// Where they go.
    pub target: Target,
}

/// Where a sink's rows go.
pub enum Target {
    /// Into the transaction, as records of a topic.
    Records(Box<RecordEncoder>),
    /// Into the outbox.
    Outbox(Box<dyn Outbox>),
}

/// Where dead letters go.
#[derive(Debug)]
pub enum Letters {
    /// Into the transaction, as records of this topic.
    Topic(Arc<str>),
    /// Into a file of the state folder.
    File(crate::sink::letter_file::LetterFile),
}

impl Graph {
    /// The declaration at a node.
    #[must_use]
    pub fn event_time_at(&self, node: Node) -> Option<(usize, &EventTimeNode)> {
        self.event_times.iter().enumerate().find(|(_, declared)| declared.node == node)
    }

    /// How many readers the rows of a node have.
    #[must_use]
    pub fn readers(&self, node: Node) -> usize {
        let steps = self.steps.iter().flat_map(|step| &step.inputs).filter(|input| **input == node).count();
        steps + self.sinks.iter().filter(|sink| sink.input == node).count()
    }

    /// Whether a step asks for epochs without records (B-4).
    #[must_use]
    pub fn asks_for_epochs(&self) -> bool {
        self.no_data_epochs && self.steps.iter().any(|step| step.operator.asks())
    }
}
