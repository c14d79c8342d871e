//! Owns who feeds whom: names made into positions, and the order in which steps run. It knows nothing of columns or time.

use std::collections::BTreeMap;

use super::document::{Placed, listed};
use super::problem::{Code, Problem, did_you_mean};
use super::spec::PipelineSpec;

/// What rows come from: a source, or a step, by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// Of `sources`.
    Source(usize),
    /// Of `steps`.
    Step(usize),
    /// The rows that come too late for one of `steps`.
    Late(usize),
}

/// A graph without loops in which every input exists.
#[derive(Debug, Clone)]
pub(super) struct Graph {
    /// For each step, its inputs in their order.
    pub(super) step_inputs: Vec<Vec<Node>>,
    /// For each sink, its input.
    pub(super) sink_inputs: Vec<Node>,
    /// Positions of steps, each after its inputs; otherwise as in the document.
    pub(super) order: Vec<usize>,
}

impl Graph {
    /// Notes ids that stand twice, inputs that are not there, and loops.
    pub(super) fn resolve(spec: &PipelineSpec, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        unique_ids(spec, problems);
        if problems.len() > before {
            // An input that names two things would be followed to the wrong one.
            return None;
        }
        let nodes = nodes(spec);
        let mut find = |input: &Placed<String>| {
            let node = nodes.get(input.as_str()).copied();
            if node.is_none() {
                problems.push(unknown_input(spec, input, &nodes));
            }
            node
        };
        let step_inputs: Vec<Option<Vec<Node>>> =
            spec.steps.iter().map(|step| step.inputs.iter().map(&mut find).collect::<Vec<_>>().into_iter().collect()).collect();
        let sink_inputs: Vec<Option<Node>> = spec.sinks.iter().map(|sink| find(&sink.input)).collect();
        let step_inputs: Vec<Vec<Node>> = step_inputs.into_iter().collect::<Option<_>>()?;
        let mut sink_inputs: Vec<Node> = sink_inputs.into_iter().collect::<Option<_>>()?;
        late_sinks(spec, &mut sink_inputs, problems);
        let order = order(spec, &step_inputs, problems);
        (problems.len() == before).then_some(Self { step_inputs, sink_inputs, order })
    }

    /// The inputs of a node.
    pub(super) fn inputs(&self, node: Node) -> &[Node] {
        match node {
            Node::Source(_) => &[],
            Node::Step(step) | Node::Late(step) => self.step_inputs.get(step).map_or(&[], Vec::as_slice),
        }
    }

    /// All nodes that a node's rows have come through, itself not among them.
    pub(super) fn above(&self, node: Node) -> Vec<Node> {
        let mut found: Vec<Node> = Vec::new();
        let mut open = self.inputs(node).to_vec();
        while let Some(next) = open.pop() {
            if !found.contains(&next) {
                found.push(next);
                open.extend(self.inputs(next));
            }
        }
        found.sort();
        found
    }

    /// Whether anything reads a node.
    pub(super) fn is_read(&self, node: Node) -> bool {
        self.step_inputs.iter().flatten().chain(&self.sink_inputs).any(|input| *input == node)
    }
}

/// A sink that a step names as `late` takes the step's late rows in place of its rows.
fn late_sinks(spec: &PipelineSpec, sink_inputs: &mut [Node], problems: &mut Vec<Problem>) {
    for (number, step) in spec.steps.iter().enumerate() {
        let Some(late) = &step.late else { continue };
        let sink = spec.sinks.iter().position(|sink| sink.id.value == late.value);
        match sink.and_then(|sink| sink_inputs.get_mut(sink)) {
            Some(input) if *input == Node::Step(number) => *input = Node::Late(number),
            Some(_) => {
                let what = format!("the sink `{late}` is to take the late rows of `{}`, but its `input` is another", step.id);
                let advice = format!("write `input = \"{}\"` there, or make a sink of its own for late rows", step.id);
                problems.push(Problem::error(Code::UnknownInput, late.span, what, "a sink whose `input` is this step", advice));
            }
            None => {
                let known = spec.sinks.iter().map(|sink| sink.id.as_str());
                let advice = did_you_mean(late, known, "add `[[sink]]` with this `id`, and this step as its `input`");
                problems.push(Problem::error(Code::UnknownInput, late.span, format!("no sink has the id `{late}`"), "a sink for late rows", advice));
            }
        }
    }
}

fn nodes(spec: &PipelineSpec) -> BTreeMap<&str, Node> {
    let sources = spec.sources.iter().enumerate().map(|(i, source)| (source.id.as_str(), Node::Source(i)));
    let steps = spec.steps.iter().enumerate().map(|(i, step)| (step.id.as_str(), Node::Step(i)));
    sources.chain(steps).collect()
}

fn unique_ids(spec: &PipelineSpec, problems: &mut Vec<Problem>) {
    let sources = spec.sources.iter().map(|source| ("source", &source.id));
    let steps = spec.steps.iter().map(|step| ("step", &step.id));
    let sinks = spec.sinks.iter().map(|sink| ("sink", &sink.id));
    let mut seen: BTreeMap<&str, (&str, &Placed<String>)> = BTreeMap::new();
    for (kind, id) in sources.chain(steps).chain(sinks) {
        if let Some((other, first)) = seen.get(id.as_str()) {
            let what = format!("the {kind} `{id}` has the name of the {other} at {}", spec.document.place(first.span));
            let advice = format!("give this {kind} another `id`");
            problems.push(Problem::error(Code::DuplicateName, id.span, what, "a name of its own for every source, step and sink", advice));
        } else {
            seen.insert(id.as_str(), (kind, id));
        }
    }
}

fn unknown_input(spec: &PipelineSpec, input: &Placed<String>, nodes: &BTreeMap<&str, Node>) -> Problem {
    let is_sink = spec.sinks.iter().any(|sink| sink.id.value == input.value);
    let what = if is_sink { format!("`{input}` is a sink, which gives no rows") } else { format!("no source or step has the id `{input}`") };
    let known = nodes.keys().copied();
    let expected = if nodes.is_empty() { "a source".to_owned() } else { listed(known.clone(), "or") };
    Problem::error(Code::UnknownInput, input.span, what, expected, did_you_mean(input, known, "name one of these"))
}

/// Kahn's algorithm, always taking the first step of the document that is ready.
fn order(spec: &PipelineSpec, inputs: &[Vec<Node>], problems: &mut Vec<Problem>) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::new();
    loop {
        let ready = |inputs: &[Node]| inputs.iter().all(|input| matches!(input, Node::Source(_)) || matches!(input, Node::Step(step) if order.contains(step)));
        let next = inputs.iter().enumerate().find(|(step, inputs)| !order.contains(step) && ready(inputs));
        let Some((step, _)) = next else { break };
        order.push(step);
    }
    if let Some(first) = (0..inputs.len()).find(|step| !order.contains(step)) {
        problems.extend(cycle(spec, inputs, &order, first));
    }
    order
}

/// Of the steps that never become ready, one loop in words: each of them has another of them as its input, so going up must come round.
fn cycle(spec: &PipelineSpec, inputs: &[Vec<Node>], ordered: &[usize], first: usize) -> Option<Problem> {
    let mut path = vec![first];
    let start = loop {
        let above = inputs.get(*path.last()?)?.iter().find_map(|input| match input {
            Node::Step(step) if !ordered.contains(step) => Some(*step),
            _ => None,
        })?;
        match path.iter().position(|step| *step == above) {
            Some(start) => break start,
            None => path.push(above),
        }
    };
    // Upwards was the way of finding; rows flow the other way.
    let mut ring: Vec<&str> = path.get(start..)?.iter().rev().filter_map(|step| Some(spec.steps.get(*step)?.id.as_str())).collect();
    ring.push(ring.first()?);
    let step = spec.steps.get(*path.get(start)?)?;
    let what = format!("steps feed themselves: {}", ring.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" -> "));
    Some(Problem::error(Code::Cycle, step.inputs.first()?.span, what, "rows that flow from the sources to the sinks", "take one `input` of these out"))
}
