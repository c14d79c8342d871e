//! The rules of event time: every window has one, declared once above it, and append mode has a watermark that closes it.

use crate::pipeline::document::Placed;
use crate::pipeline::graph::{Graph, Node};
use crate::pipeline::problem::{Code, Problem};
use crate::pipeline::spec::{AggregateSpec, DedupeSpec, EventTimeSpec, HistorySpec, Operation, OutputMode, PipelineSpec, WindowSpec};
use crate::pipeline::unit::DurationUs;

pub(super) fn check(spec: &PipelineSpec, graph: &Graph, problems: &mut Vec<Problem>) {
    for (i, step) in spec.steps.iter().enumerate() {
        let node = Node::Step(i);
        if let Some(event_time) = &step.event_time {
            declared_once(spec, graph, node, event_time, problems);
        }
        match &step.operation {
            Operation::Transform(_) => {}
            Operation::Aggregate(aggregate) => {
                if let Some(WindowSpec::Session(_)) = &aggregate.window {
                    session(&step.id, aggregate, problems);
                }
                match &aggregate.window {
                    Some(_) => window_has_time(spec, graph, node, &step.id, aggregate, problems),
                    None => groups_have_end(spec, graph, node, &step.id, aggregate, problems),
                }
                if let Some(lateness) = &aggregate.allowed_lateness {
                    again_in_update_mode(&step.id, aggregate, lateness, problems);
                }
                each_row_once_above(spec, graph, node, aggregate, problems);
            }
            Operation::Dedupe(dedupe) => dedupe_has_end(spec, graph, node, &step.id, dedupe, problems),
            Operation::History(history) => rows_are_closed(spec, graph, node, &step.id, history, problems),
        }
    }
}

/// W-11, and what was measured of it: Spark lets a second watermark start and then fails, or never emits. Here it is refused at once.
fn declared_once(spec: &PipelineSpec, graph: &Graph, node: Node, event_time: &EventTimeSpec, problems: &mut Vec<Problem>) {
    let mut refuse = |what: String, expected: &str, advice: &str| problems.push(Problem::error(Code::EventTime, event_time.span, what, expected, advice));
    if aggregate_of(spec, node).is_some() {
        refuse("an aggregate declares `event_time`".to_owned(), "none, because the event time of its rows is `window_end`", "remove it");
        return;
    }
    let above = graph.above(node);
    if let Some(aggregate) = above.iter().find(|above| aggregate_of(spec, **above).is_some()) {
        let what = format!("`event_time` is declared after the aggregate `{}`", id_of(spec, *aggregate));
        refuse(what, "none, because the event time of an aggregate's rows is `window_end`, under the watermark that closed the window", "remove it");
    } else if let Some(first) = above.iter().find(|above| event_time_of(spec, **above).is_some()) {
        let what = format!("`event_time` is declared a second time, after `{}`", id_of(spec, *first));
        refuse(what, "one declaration on the way from a source to a window", "keep the one where the column gets its final value, remove the other");
    }
}

/// F-1: a window that is kept past its end gives its row again, which only update mode does.
fn again_in_update_mode(id: &str, aggregate: &AggregateSpec, lateness: &Placed<DurationUs>, problems: &mut Vec<Problem>) {
    if aggregate.output_mode.value != OutputMode::Update || aggregate.window.is_none() {
        let what = format!("`allowed_lateness` lets late rows give a window's row again, which `{id}` does not");
        let advice = "set `output_mode = \"update\"` beside a window, or make the delay of the watermark longer";
        problems.push(Problem::error(Code::OutputMode, lateness.span, what, "a window in update mode", advice));
    }
}

/// T-8
fn session(id: &str, aggregate: &AggregateSpec, problems: &mut Vec<Problem>) {
    if aggregate.output_mode.value == OutputMode::Update {
        let what = format!("`{id}` gives the sessions that an epoch changes, but sessions that grow together would have to be taken back");
        let advice = "set `output_mode = \"append\"`, which gives a session once, when it is closed";
        problems.push(Problem::error(Code::OutputMode, aggregate.output_mode.span, what, "`append` or `complete` for a session window", advice));
    }
    if aggregate.key.is_empty() {
        let what = format!("the sessions of `{id}` have no key, so that rows of everyone would be one session");
        let advice = "add `key = [\"user_id\"]`, or make a key of a constant in a step before";
        problems.push(Problem::error(Code::OutputMode, aggregate.place, what, "at least one column beside the session", advice));
    }
}

/// D-1, D-2: keys within the watermark need one; other keys are said to stay.
fn dedupe_has_end(spec: &PipelineSpec, graph: &Graph, node: Node, id: &str, dedupe: &DedupeSpec, problems: &mut Vec<Problem>) {
    let watermark = declarations(spec, graph, node).iter().any(|(_, event_time)| event_time.is_some_and(|event_time| event_time.watermark.is_some()));
    if dedupe.within_watermark && !watermark {
        let what = format!("`{id}` forgets keys when the watermark has passed them, but its input has no watermark");
        let advice = "add `event_time = { column = \"timestamp\", watermark = \"1 minute\" }` to the source, or remove `within_watermark`";
        problems.push(Problem::error(Code::EventTime, dedupe.place, what, "a watermark above", advice));
    } else if !dedupe.within_watermark && !dedupe.key.is_empty() && !passes(spec, graph, node, &dedupe.key) {
        let what = format!("`{id}` remembers every key for ever");
        let advice = "set `within_watermark = true`, or add the event time to the key, if duplicates have the same";
        problems.push(Problem::warning(Code::EventTime, dedupe.place, what, "its state grows with the number of keys", advice));
    }
}

/// 0.2: only closed windows have an order that nothing changes afterwards.
fn rows_are_closed(spec: &PipelineSpec, graph: &Graph, node: Node, id: &str, history: &HistorySpec, problems: &mut Vec<Problem>) {
    let above = graph.above(node).into_iter().filter_map(|above| aggregate_of(spec, above));
    let closed = |aggregate: &AggregateSpec| aggregate.window.is_some() && aggregate.output_mode.value == OutputMode::Append;
    let above: Vec<&AggregateSpec> = above.collect();
    if above.is_empty() || !above.iter().all(|aggregate| closed(aggregate)) {
        let what = format!("the history `{id}` is not of closed windows, so that rows could still come between those it has seen");
        let advice = "make its input an aggregate with a window and `output_mode = \"append\"`";
        problems.push(Problem::error(Code::OutputMode, history.place, what, "rows that come once, in the order of their windows", advice));
    }
}

/// 0.8: groups without a window grow for ever.
fn groups_have_end(spec: &PipelineSpec, graph: &Graph, node: Node, id: &str, aggregate: &AggregateSpec, problems: &mut Vec<Problem>) {
    if aggregate.ttl.is_none() && !aggregate.key.is_empty() && aggregate.output_mode.value != OutputMode::Append && !passes(spec, graph, node, &aggregate.key) {
        let what = format!("`{id}` keeps every group for ever");
        let advice = "add `ttl = \"1 day\"`, or a window";
        problems.push(Problem::warning(Code::EventTime, aggregate.place, what, "its state grows with the number of keys", advice));
    }
}

/// Whether the watermark passes keys, as one of their columns is the event time.
fn passes(spec: &PipelineSpec, graph: &Graph, node: Node, key: &[Placed<String>]) -> bool {
    let declarations = declarations(spec, graph, node);
    let timed = declarations.iter().filter_map(|(_, event_time)| event_time.filter(|event_time| event_time.watermark.is_some()));
    timed.into_iter().any(|event_time| key.iter().any(|column| column.value == event_time.column.value || column.value == "window_end"))
}

fn window_has_time(spec: &PipelineSpec, graph: &Graph, node: Node, id: &str, aggregate: &AggregateSpec, problems: &mut Vec<Problem>) {
    let declarations = declarations(spec, graph, node);
    if let Some((origin, _)) = declarations.iter().find(|(_, event_time)| event_time.is_none()) {
        let what = format!("the window of `{id}` has no event time, as nothing declares one for the rows of `{}`", id_of(spec, *origin));
        let advice = "add `event_time = { column = \"timestamp\", watermark = \"1 minute\" }` to the source, or to the step that makes the column";
        problems.push(Problem::error(Code::EventTime, aggregate.place, what, "a column with the time at which things happened", advice));
        return;
    }
    // W-10: one watermark among united inputs judges the rows of all.
    let watermark = declarations.iter().any(|(_, event_time)| event_time.is_some_and(|event_time| event_time.watermark.is_some()));
    let open = declarations.iter().find_map(|(_, event_time)| event_time.filter(|_| !watermark));
    let open = open.map(|open| spec.document.place(open.span));
    match (aggregate.output_mode.value, open) {
        // L-4: with or without a watermark.
        (OutputMode::Complete, _) => {
            let what = format!("`{id}` keeps every window for ever, and gives all of them again in each epoch");
            let follows = "state, epochs and output grow with the number of windows; `update` gives what changed, and forgets what is closed";
            problems.push(Problem::note(Code::OutputMode, aggregate.output_mode.span, what, follows));
        }
        (_, None) => {}
        // O-1
        (OutputMode::Append, Some(place)) => {
            let what = format!("`{id}` appends a window when it is closed, but the `event_time` at {place} has no watermark, so none ever is");
            let advice = "add `watermark = \"1 minute\"` there, or set `output_mode = \"update\"` here";
            problems.push(Problem::error(Code::OutputMode, aggregate.output_mode.span, what, "a watermark", advice));
        }
        // O-2
        (OutputMode::Update, Some(place)) => {
            let what = format!("the `event_time` at {place} has no watermark");
            let advice = "add `watermark = \"1 minute\"` there";
            problems.push(Problem::warning(Code::EventTime, aggregate.place, what, format!("`{id}` keeps every window for ever"), advice));
        }
    }
}

/// O-5: a row that comes out again would be counted again.
fn each_row_once_above(spec: &PipelineSpec, graph: &Graph, node: Node, aggregate: &AggregateSpec, problems: &mut Vec<Problem>) {
    let repeats = |above: &AggregateSpec| match above.output_mode.value {
        OutputMode::Append => None,
        OutputMode::Update => Some("in each epoch that changes it"),
        OutputMode::Complete => Some("in each epoch"),
    };
    let repeated = graph.above(node).into_iter().find_map(|above| Some((above, aggregate_of(spec, above).and_then(repeats)?)));
    if let Some((above, when)) = repeated {
        let what = format!("an aggregate of the aggregate `{}`, which gives a window's row again {when}", id_of(spec, above));
        let advice = format!("set `output_mode = \"append\"` on `{}`", id_of(spec, above));
        problems.push(Problem::error(Code::OutputMode, aggregate.place, what, "each row once", advice));
    }
}

/// What declares the time of the rows that reach a node: on every way up the first declaration, or none with the source where the way ends.
fn declarations<'a>(spec: &'a PipelineSpec, graph: &Graph, node: Node) -> Vec<(Node, Option<&'a EventTimeSpec>)> {
    let mut found = Vec::new();
    for input in graph.inputs(node) {
        match (event_time_of(spec, *input), input) {
            (Some(event_time), _) => found.push((*input, Some(event_time))),
            (None, Node::Source(_)) => found.push((*input, None)),
            (None, Node::Step(_) | Node::Late(_)) => found.extend(declarations(spec, graph, *input)),
        }
    }
    found
}

fn aggregate_of(spec: &PipelineSpec, node: Node) -> Option<&AggregateSpec> {
    match node {
        Node::Step(step) => match &spec.steps.get(step)?.operation {
            Operation::Aggregate(aggregate) => Some(aggregate),
            Operation::Transform(_) | Operation::Dedupe(_) | Operation::History(_) => None,
        },
        Node::Source(_) | Node::Late(_) => None,
    }
}

fn event_time_of(spec: &PipelineSpec, node: Node) -> Option<&EventTimeSpec> {
    match node {
        Node::Source(source) => spec.sources.get(source)?.event_time.as_ref(),
        Node::Step(step) | Node::Late(step) => spec.steps.get(step)?.event_time.as_ref(),
    }
}

fn id_of(spec: &PipelineSpec, node: Node) -> &str {
    let id: Option<&Placed<String>> = match node {
        Node::Source(source) => spec.sources.get(source).map(|source| &source.id),
        Node::Step(step) | Node::Late(step) => spec.steps.get(step).map(|step| &step.id),
    };
    id.map_or("", |id| id.as_str())
}
