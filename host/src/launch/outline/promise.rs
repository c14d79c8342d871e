//! What a sink promises, and why.

use super::Guarantee;
use crate::launch::OpenedPlan;
use crate::pipeline::{Node, Origin, PlannedSink, PlannedTarget, PlannedTopic};

/// Of a sink.
pub(super) fn of_sink(plan: &OpenedPlan, sink: &PlannedSink) -> (Guarantee, String) {
    let sources = sources_of(plan, sink.input);
    let (guarantee, why) = match &sink.target {
        PlannedTarget::Kafka(kafka) => topic(plan, &kafka.topic),
        PlannedTarget::Console(_) => {
            (Guarantee::AtLeastOnce, "a terminal can't tell whether it has shown an epoch, so after a crash it may show it again".to_owned())
        }
        PlannedTarget::Memory => (Guarantee::ExactlyOnce, "it drops an epoch that it has seen".to_owned()),
    };
    lossy(plan, &sources)
        .map_or((guarantee, why.clone()), |id| (Guarantee::AtMostOnce, format!("the socket `{id}` can't be asked again; of what was read, {why}")))
}

/// Of the dead letters.
pub(super) fn of_letters(plan: &OpenedPlan) -> (Guarantee, String) {
    match &plan.dead_letters {
        Some(letters) => topic(plan, letters),
        None => (Guarantee::ExactlyOnce, "an epoch's letters are appended once, by its number".to_owned()),
    }
}

fn topic(plan: &OpenedPlan, topic: &PlannedTopic) -> (Guarantee, String) {
    let kafka = plan.sources.iter().filter_map(|source| match &source.origin {
        Origin::Kafka(kafka) => Some(kafka),
        Origin::Rate(_) | Origin::Socket(_) | Origin::Memory => None,
    });
    let (mut any, mut same) = (false, true);
    for source in kafka {
        any = true;
        same &= source.brokers.value.expose() == topic.brokers.expose();
    }
    let with = if any && same { "the source's offsets and the epoch's marker" } else { "the epoch's marker" };
    (Guarantee::ExactlyOnce, format!("its rows, {with} are one transaction; for readers with read_committed"))
}

/// The first source that can't be asked again.
fn lossy<'a>(plan: &'a OpenedPlan, sources: &[usize]) -> Option<&'a str> {
    let sources = sources.iter().filter_map(|source| plan.sources.get(*source));
    sources.into_iter().find(|source| matches!(source.origin, Origin::Socket(_))).map(|source| source.id.as_str())
}

/// The sources that a node's rows come from.
fn sources_of(plan: &OpenedPlan, node: Node) -> Vec<usize> {
    match node {
        Node::Source(source) => vec![source],
        Node::Step(step) | Node::Late(step) => plan.steps.get(step).iter().flat_map(|step| &step.inputs).flat_map(|input| sources_of(plan, *input)).collect(),
    }
}
