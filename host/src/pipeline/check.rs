//! Owns the rules of the graph that need no plugin: who feeds whom, which way time goes, what delivery promises. What breaks one is refused; what is only
//! unwise is said. Columns are the work of `plan.rs`.

pub(super) mod delivery;
mod time;

use super::document::Span;
use super::graph::{Graph, Node};
use super::problem::{Code, Problem, Refused, Severity};
use super::spec::PipelineSpec;

/// A document whose graph is sound.
#[derive(Debug, Clone)]
pub struct Checked {
    pub(super) spec: PipelineSpec,
    pub(super) graph: Graph,
    findings: Vec<Problem>,
}

/// Checks the graph of a document.
pub fn check(spec: PipelineSpec) -> Result<Checked, Refused> {
    let mut problems = Vec::new();
    both_ends(&spec, &mut problems);
    let Some(graph) = Graph::resolve(&spec, &mut problems) else {
        return Err(Refused::new(&spec.document, problems));
    };
    unused(&spec, &graph, &mut problems);
    time::check(&spec, &graph, &mut problems);
    delivery::check(&spec, &graph, &mut problems);
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        // Warnings can wait for a document that could run.
        problems.retain(|problem| problem.severity == Severity::Error);
        return Err(Refused::new(&spec.document, problems));
    }
    Ok(Checked { spec, graph, findings: problems })
}

/// Checks that no two pipelines of one process have the same name, because the group, the transactions and the state of one would be the other's.
pub fn check_names<'a>(specs: impl IntoIterator<Item = &'a PipelineSpec>) -> Result<(), Refused> {
    let mut seen: Vec<&PipelineSpec> = Vec::new();
    for spec in specs {
        if let Some(first) = seen.iter().find(|first| first.name.value == spec.name.value) {
            let what = format!("the pipeline `{}` has the name of the one at {}", spec.name, first.document.place(first.name.span));
            let expected = "a name of its own for every pipeline, because offsets, transactions and state go by it";
            let problem = Problem::error(Code::DuplicateName, spec.name.span, what, expected, "change one of the names");
            return Err(Refused::new(&spec.document, vec![problem]));
        }
        seen.push(spec);
    }
    Ok(())
}

impl Checked {
    /// Each sink, and the name under which a bench sees its rows: that of its input, or its own for late rows.
    pub fn seen(&self) -> impl Iterator<Item = (&str, &str)> {
        self.spec.sinks.iter().zip(&self.graph.sink_inputs).map(|(sink, input)| match input {
            Node::Late(_) => (sink.id.as_str(), sink.id.as_str()),
            Node::Source(_) | Node::Step(_) => (sink.id.as_str(), sink.input.as_str()),
        })
    }

    /// What the document says.
    pub fn spec(&self) -> &PipelineSpec {
        &self.spec
    }

    /// Warnings and notes, to be shown before the pipeline runs.
    pub fn findings(&self) -> &[Problem] {
        &self.findings
    }
}

fn both_ends(spec: &PipelineSpec, problems: &mut Vec<Problem>) {
    if spec.sources.is_empty() {
        problems.push(Problem::error(Code::MissingKey, Span::WHOLE, "the pipeline has no source", "at least one `[[source]]`", "add one"));
    }
    if spec.sinks.is_empty() {
        let advice = "add one; `input = \"..\"` and `console = {}` show rows in the terminal";
        problems.push(Problem::error(Code::MissingKey, Span::WHOLE, "the pipeline has no sink", "at least one `[[sink]]`", advice));
    }
}

fn unused(spec: &PipelineSpec, graph: &Graph, problems: &mut Vec<Problem>) {
    let sources = spec.sources.iter().enumerate().map(|(i, source)| ("source", Node::Source(i), &source.id));
    let steps = spec.steps.iter().enumerate().map(|(i, step)| ("step", Node::Step(i), &step.id));
    for (kind, node, id) in sources.chain(steps) {
        if !graph.is_read(node) {
            let what = format!("nothing reads the {kind} `{id}`");
            problems.push(Problem::warning(Code::Unused, id.span, what, "its work is done for nothing", "name it as an `input`, or remove it"));
        }
    }
}
