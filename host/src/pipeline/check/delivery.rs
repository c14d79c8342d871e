//! The rules of delivery: which cluster a topic is on, no pipeline that feeds itself, and what the sinks promise.

use crate::epoch::trigger::Trigger;
use crate::pipeline::document::{Span, listed};
use crate::pipeline::graph::{Graph, Node};
use crate::pipeline::problem::{Code, Problem};
use crate::pipeline::spec::{AggregateSpec, KafkaSink, KafkaSource, KafkaTopic, Operation, Origin, OutputMode, PipelineSpec, Target, Topics};
use crate::pipeline::text::Text;

/// Characters that mean something in a regular expression: what stands before the first of them is in every name that it matches.
const PATTERN_SIGNS: [char; 12] = ['.', '*', '+', '?', '[', ']', '(', ')', '{', '}', '|', '\\'];

pub(super) fn check(spec: &PipelineSpec, graph: &Graph, problems: &mut Vec<Problem>) {
    for (writes, topic) in written(spec) {
        match brokers(spec, topic) {
            Some(brokers) => feeds_itself(spec, topic, brokers, writes, problems),
            None => {
                let what = format!("the topic `{}` has no `brokers`, and there is not one cluster of the sources to take them from", topic.topic);
                problems.push(Problem::error(Code::MissingKey, topic.span, what, "the brokers of its cluster", "add `brokers = \"localhost:9092\"`"));
            }
        }
    }
    one_cluster(spec, problems);
    narrow_keys(spec, graph, problems);
    promises(spec, problems);
}

/// A topic's brokers: its own, else those of the sources when they are on one cluster.
pub(in crate::pipeline) fn brokers<'a>(spec: &'a PipelineSpec, topic: &'a KafkaTopic) -> Option<&'a Text> {
    if let Some(own) = &topic.brokers {
        return Some(&own.value);
    }
    let mut clusters = spec.sources.iter().filter_map(|source| Some(&kafka_source(&source.origin)?.brokers.value));
    let first = clusters.next()?;
    clusters.all(|other| same_cluster(first, other)).then_some(first)
}

/// Every topic that the pipeline writes, and who writes it.
fn written(spec: &PipelineSpec) -> impl Iterator<Item = (&'static str, &KafkaTopic)> {
    let sinks = spec.sinks.iter().filter_map(|sink| Some(("the sink writes", &kafka_of(&sink.target)?.topic)));
    sinks.chain(spec.dead_letters.iter().map(|topic| ("the dead letters go to", topic)))
}

/// One producer and one transaction carry all that an epoch writes, so they reach one cluster.
fn one_cluster(spec: &PipelineSpec, problems: &mut Vec<Problem>) {
    let mut topics = written(spec).filter_map(|(_, topic)| Some((topic.span, brokers(spec, topic)?)));
    let Some((first_span, first)) = topics.next() else { return };
    if let Some((span, _)) = topics.find(|(_, brokers)| !same_cluster(first, brokers)) {
        let what = format!("not yet: topics of two clusters (the other is at {}) in one pipeline come with a later version", spec.document.place(first_span));
        problems.push(Problem::error(Code::NotYet, span, what, "the same `brokers` for every sink and the dead letters", "make a pipeline for each cluster"));
    }
}

fn feeds_itself(spec: &PipelineSpec, topic: &KafkaTopic, brokers: &Text, writes: &str, problems: &mut Vec<Problem>) {
    for source in &spec.sources {
        let Some(kafka) = kafka_source(&source.origin).filter(|kafka| same_cluster(&kafka.brokers, brokers)) else { continue };
        let name = topic.topic.expose();
        match &kafka.topics {
            Topics::Named(topics) if topics.iter().any(|read| read.expose() == name) => {
                let what = format!("{writes} the topic `{}`, which the source `{}` reads", topic.topic, source.id);
                let expected = "another topic, or the pipeline would feed itself without end";
                problems.push(Problem::error(Code::Loop, topic.topic.span, what, expected, "change one of the topics"));
            }
            Topics::Pattern(pattern) if may_match(pattern.expose(), name) => {
                let what = format!("{writes} the topic `{}`, which the pattern `{pattern}` of the source `{}` may match", topic.topic, source.id);
                let follows = "then the pipeline would feed itself without end";
                problems.push(Problem::warning(Code::Loop, topic.topic.span, what, follows, "give the topic a name that the pattern can't match"));
            }
            Topics::Named(_) | Topics::Pattern(_) => {}
        }
    }
}

/// Whether a name begins as every name that the pattern matches does. Only librdkafka can tell more.
fn may_match(pattern: &str, name: &str) -> bool {
    let pattern = pattern.trim_start_matches('^');
    let end = pattern.find(PATTERN_SIGNS).unwrap_or(pattern.len());
    let (literal, signs) = pattern.split_at(end);
    // `ab*` and `ab?` match `a` as well, and `ab|c` matches `c`.
    if signs.contains('|') {
        return true;
    }
    let optional = signs.starts_with(['*', '?', '{']);
    let fixed = if optional { literal.char_indices().next_back().map_or("", |(last, _)| literal.split_at(last).0) } else { literal.trim_end_matches('$') };
    name.starts_with(fixed)
}

/// In update and complete mode a window's row comes out again and again under the record's key: a key that several groups share makes consumers overwrite one with another.
fn narrow_keys(spec: &PipelineSpec, graph: &Graph, problems: &mut Vec<Problem>) {
    for (sink, input) in spec.sinks.iter().zip(&graph.sink_inputs) {
        let Some(kafka) = kafka_of(&sink.target) else { continue };
        let Some((id, aggregate)) = nearest_aggregate(spec, graph, *input) else { continue };
        let mode = match aggregate.output_mode.value {
            OutputMode::Append => continue,
            OutputMode::Update => "update",
            OutputMode::Complete => "complete",
        };
        let has = |column: &str| kafka.key.iter().any(|key| key.value == column);
        let window = (aggregate.window.is_some() && !has("window_start") && !has("window_end")).then_some("window_start");
        let missing: Vec<&str> = window.into_iter().chain(aggregate.key.iter().map(|key| key.as_str()).filter(|key| !has(key))).collect();
        if !missing.is_empty() {
            let what = format!("the key of the topic `{}` lacks {} of `{id}`, which is in {mode} mode", kafka.topic.topic, listed(missing, "and"));
            let follows = "rows of different groups would overwrite each other in a compacted topic or a table made of it";
            problems.push(Problem::warning(Code::NarrowKey, key_span(kafka), what, follows, "add them to `key`"));
        }
    }
}

/// The aggregate whose rows a node gives, through transforms, which keep columns by their names more often than not.
fn nearest_aggregate<'a>(spec: &'a PipelineSpec, graph: &Graph, node: Node) -> Option<(&'a str, &'a AggregateSpec)> {
    let Node::Step(step) = node else { return None };
    let step = spec.steps.get(step)?;
    match &step.operation {
        Operation::Aggregate(aggregate) => Some((step.id.as_str(), aggregate)),
        Operation::Transform(_) | Operation::Dedupe(_) | Operation::History(_) => {
            graph.inputs(node).iter().find_map(|input| nearest_aggregate(spec, graph, *input))
        }
    }
}

fn promises(spec: &PipelineSpec, problems: &mut Vec<Problem>) {
    for sink in &spec.sinks {
        if let Target::Console(console) = &sink.target {
            let follows = "after a crash it may show an epoch's rows again";
            problems.push(Problem::note(Code::Delivery, console.span, "the console is at-least-once", follows));
        }
    }
    for source in &spec.sources {
        if let Origin::Socket(socket) = &source.origin {
            at_most_once(spec, source.id.as_str(), socket.span, problems);
        }
    }
    let kafka_in = spec.sources.iter().any(|source| kafka_source(&source.origin).is_some());
    let kafka_out = spec.dead_letters.is_some() || spec.sinks.iter().any(|sink| kafka_of(&sink.target).is_some());
    if !kafka_in && !kafka_out {
        let follows = "a second process on a copy of the state folder can't be held off, and would deliver every row again";
        problems.push(Problem::warning(
            Code::Delivery,
            spec.name.span,
            "the pipeline has neither Kafka nor files",
            follows,
            "keep one copy of the state folder",
        ));
    }
}

/// A socket can't be asked again, and never says that there is no more.
fn at_most_once(spec: &PipelineSpec, id: &str, span: Span, problems: &mut Vec<Problem>) {
    let what = format!("the socket `{id}` is at-most-once, because a socket can't be asked again");
    let follows = "lines that no epoch has committed when the process ends, and those that are sent while none runs, are lost";
    problems.push(Problem::warning(Code::Delivery, span, what, follows, "read rows that matter from Kafka"));
    if matches!(spec.trigger, Trigger::Once | Trigger::AvailableNow) {
        let what = format!("the socket `{id}` has no end that is known at the start, which `once` and `available-now` stop at");
        problems.push(Problem::error(Code::Conflict, span, what, "`trigger = \"asap\"` or `{ every = \"10s\" }`", "change `trigger`"));
    }
}

fn kafka_of(target: &Target) -> Option<&KafkaSink> {
    match target {
        Target::Kafka(kafka) => Some(kafka),
        Target::Console(_) | Target::Memory => None,
    }
}

fn kafka_source(origin: &Origin) -> Option<&KafkaSource> {
    match origin {
        Origin::Kafka(kafka) => Some(kafka),
        Origin::Rate(_) | Origin::Socket(_) | Origin::Memory => None,
    }
}

fn key_span(kafka: &KafkaSink) -> Span {
    kafka.key.first().map_or(kafka.topic.span, |first| first.span)
}

/// Whether two lists of brokers are written alike, in any order. Only the brokers themselves could tell more.
fn same_cluster(a: &Text, b: &Text) -> bool {
    let brokers = |text: &Text| {
        let mut brokers: Vec<String> = text.expose().split(',').map(|broker| broker.trim().to_ascii_lowercase()).collect();
        brokers.sort();
        brokers
    };
    brokers(a) == brokers(b)
}
