//! What would run, as facts: each source, step and sink with what it does, its columns, its plugin, its state and what it promises. Made from a plan whose plugins are
//! open, so nothing is asked of a broker. Values from the environment stay out.

mod draw;
mod promise;

use arrow_schema::{Field, Schema};
use serde::Serialize;

use super::{OpenedPlan, OpenedPlugin};
use crate::epoch::rate::Gains;
use crate::epoch::trigger::Trigger;
use crate::pipeline::{
    ConsoleSink, DurationUs, EpochLimits, EventTime, Gap, Node, Origin, OutputMode, PipelineSpec, PlannedOperation, PlannedSink, PlannedSource, PlannedStep,
    PlannedTarget, PlannedWindow, SourceFormat, Text, Topics, WatermarkBy, type_text,
};
use crate::plugin;
use crate::state::ShardCount;

/// A pipeline that would run.
#[derive(Debug, Clone, Serialize)]
pub struct Outline {
    /// Its name.
    pub name: String,
    /// When epochs begin.
    pub trigger: String,
    /// What an epoch may hold, as `key = value`.
    pub limits: Vec<String>,
    /// Where the state lives, as the document says it.
    pub state_dir: String,
    /// Where rows come from.
    pub sources: Vec<SourceOutline>,
    /// What happens to them, each after its inputs.
    pub steps: Vec<StepOutline>,
    /// Where they go.
    pub sinks: Vec<SinkOutline>,
    /// Where rows go that can't go on.
    pub dead_letters: SinkOutline,
}

/// A source.
#[derive(Debug, Clone, Serialize)]
pub struct SourceOutline {
    /// Its name.
    pub id: String,
    /// Where rows come from.
    pub reads: String,
    /// How they are written.
    pub format: String,
    /// Whether it can be asked again after a crash.
    pub replayable: bool,
    /// The columns of its rows.
    pub schema: Vec<ColumnOutline>,
    /// Which of them is the event time, and how the watermark follows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_time: Option<String>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnOutline {
    /// Its name.
    pub name: String,
    /// Its type, in the document's words.
    #[serde(rename = "type")]
    pub column_type: String,
    /// Whether it may be null.
    pub nullable: bool,
}

/// A step.
#[derive(Debug, Clone, Serialize)]
pub struct StepOutline {
    /// Its name.
    pub id: String,
    /// Whose rows it takes.
    pub inputs: Vec<String>,
    /// `transform`, `aggregate`, `dedupe` or `history`.
    pub kind: &'static str,
    /// The plugin's function; none: the host does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginOutline>,
    /// Further functions of an aggregate that has several, each with its plugin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<(String, PluginOutline)>,
    /// The columns that the plugin is given, or that the host looks at.
    pub reads: Vec<String>,
    /// Of an aggregate: what makes a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<GroupsOutline>,
    /// Of a deduplication or a history: what it has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<SeenOutline>,
    /// The columns of its rows.
    pub schema: Vec<ColumnOutline>,
    /// As of a source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_time: Option<String>,
}

/// The plugin of a step.
#[derive(Debug, Clone, Serialize)]
pub struct PluginOutline {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its file.
    pub digest: String,
}

/// What an aggregate keeps.
#[derive(Debug, Clone, Serialize)]
pub struct GroupsOutline {
    /// The columns that make the group within its window.
    pub key: Vec<String>,
    /// The window; none: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// When a group's row comes out.
    pub output_mode: &'static str,
    /// Into how many shards the groups are divided.
    pub shards: u16,
    /// The plugin's version of a state's bytes.
    pub state_version: u32,
    /// What they depend on besides.
    pub state_shape: String,
    /// When a group is forgotten.
    pub forgotten: String,
}

/// What a deduplication, or a history, remembers.
#[derive(Debug, Clone, Serialize)]
pub struct SeenOutline {
    /// The columns of the key.
    pub key: Vec<String>,
    /// When a key is forgotten.
    pub forgotten: String,
}

/// A sink.
#[derive(Debug, Clone, Serialize)]
pub struct SinkOutline {
    /// Its name.
    pub id: String,
    /// Whose rows it takes; none: those that can't go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Whether it takes the rows that come too late for its input, in place of the input's rows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// Where they go.
    pub writes: String,
    /// What it promises.
    pub guarantee: Guarantee,
    /// Why that, and no more or less.
    pub why: String,
}

/// How often a row counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// Once.
    ExactlyOnce,
    /// Once, or again after a crash.
    AtLeastOnce,
    /// Once, or not at all after a crash.
    AtMostOnce,
}

impl Outline {
    /// What a plan would run. `spec` is the document that it was made from.
    #[must_use]
    pub fn new(plan: &OpenedPlan, spec: &PipelineSpec) -> Self {
        let name_of = |node: Node| name_of(plan, node);
        Self {
            name: plan.name.clone(),
            trigger: trigger(plan.trigger),
            limits: limits(&plan.limits),
            state_dir: spec.state_dir.as_ref().map_or_else(|| format!("var/{}", plan.name), |folder| folder.to_string()),
            sources: plan.sources.iter().map(SourceOutline::new).collect(),
            steps: plan.steps.iter().map(|step| StepOutline::new(step, &name_of, closes(step))).collect(),
            sinks: plan.sinks.iter().map(|sink| SinkOutline::new(plan, sink)).collect(),
            dead_letters: SinkOutline::dead_letters(plan),
        }
    }
}

impl std::fmt::Display for Guarantee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ExactlyOnce => "exactly once",
            Self::AtLeastOnce => "at least once",
            Self::AtMostOnce => "at most once",
        })
    }
}

impl SourceOutline {
    fn new(source: &PlannedSource) -> Self {
        let quoted = |topics: &[_]| topics.iter().map(|topic: &crate::pipeline::Placed<Text>| format!("`{topic}`")).collect::<Vec<_>>().join(", ");
        let reads = match &source.origin {
            Origin::Kafka(kafka) => match &kafka.topics {
                Topics::Named(topics) => format!("Kafka topic{} {} at `{}`", if topics.len() == 1 { "" } else { "s" }, quoted(topics), kafka.brokers),
                Topics::Pattern(pattern) => format!("Kafka topics like `{pattern}` at `{}`", kafka.brokers),
            },
            Origin::Rate(rate) => format!("{} made-up rows a second, partitions: {}", rate.rows_per_second, rate.num_partitions),
            Origin::Socket(socket) => format!("lines from `{}:{}`", socket.host, socket.port),
            Origin::Memory => "rows that a fixture gives".to_owned(),
        };
        let format = match (&source.origin, &source.format) {
            (Origin::Rate(_), _) => "rows",
            (_, SourceFormat::Json { .. }) => "json",
            (_, SourceFormat::Raw) => "raw",
        };
        Self {
            id: source.id.clone(),
            reads,
            format: format.to_owned(),
            replayable: !matches!(source.origin, Origin::Socket(_)),
            schema: columns(&source.schema),
            event_time: source.event_time.map(|event_time| described(event_time, &source.schema)),
        }
    }
}

impl StepOutline {
    fn new(step: &PlannedStep<OpenedPlugin<plugin::Transform>, OpenedPlugin<plugin::Aggregate>>, name_of: &impl Fn(Node) -> String, closes: bool) -> Self {
        let named = |columns: &[usize]| -> Vec<String> { columns.iter().filter_map(|column| name(&step.input_schema, *column)).collect() };
        let called = |opened: &OpenedPlugin<plugin::Transform>| (Some(opened.function_name.clone()), Some(PluginOutline::of(opened)));
        let mut beside = Vec::new();
        let (kind, (function, plugin), reads, groups, seen) = match &step.operation {
            PlannedOperation::Transform(opened) => ("transform", called(opened), named(opened.function.reads()), None, None),
            PlannedOperation::Aggregate(aggregate) => {
                let mut called = aggregate.plugins.iter().map(|plugin| (plugin.function_name.clone(), PluginOutline::of(plugin)));
                let first = called.next().unzip();
                beside.extend(called);
                let identities = aggregate.plugins.iter().map(|plugin| plugin.function.state_identity());
                let state_version = identities.clone().map(|identity| identity.version).max().unwrap_or_default();
                let state_shape = identities.map(|identity| identity.shape.as_str()).collect::<Vec<_>>().join(" + ");
                let mut reads: Vec<usize> = Vec::new();
                for column in aggregate.plugins.iter().flat_map(|plugin| plugin.function.reads()) {
                    if !reads.contains(column) {
                        reads.push(*column);
                    }
                }
                let groups = GroupsOutline {
                    key: named(&aggregate.key),
                    window: window(&aggregate.window, &step.input_schema),
                    output_mode: match aggregate.output_mode {
                        OutputMode::Append => "append",
                        OutputMode::Update => "update",
                        OutputMode::Complete => "complete",
                    },
                    shards: ShardCount::DEFAULT.get(),
                    state_version,
                    state_shape,
                    forgotten: forgotten(&aggregate.window, closes, aggregate.allowed_lateness),
                };
                ("aggregate", first, named(&reads), Some(groups), None)
            }
            PlannedOperation::History(history) => {
                let reads: Vec<usize> = history.key.iter().copied().chain(history.add.iter().map(|(_, column)| *column)).collect();
                let mut names = named(&reads);
                names.dedup();
                let forgotten = format!("the last {} rows of each key; no key is ever forgotten", history.size);
                ("history", (None, None), names, None, Some(SeenOutline { key: named(&history.key), forgotten }))
            }
            PlannedOperation::Dedupe(dedupe) => {
                let forgotten = match (dedupe.time, step.watermark_delay) {
                    (Some(_), Some(delay)) if dedupe.within_watermark => format!("a key is forgotten when the watermark is {delay} past its first row"),
                    (Some(time), _) if dedupe.key.contains(&time.column) => "a key is forgotten when the watermark has passed its event time".to_owned(),
                    _ => "no key is ever forgotten".to_owned(),
                };
                let reads: Vec<usize> =
                    dedupe.key.iter().copied().chain(dedupe.time.map(|time| time.column).filter(|time| !dedupe.key.contains(time))).collect();
                ("dedupe", (None, None), named(&reads), None, Some(SeenOutline { key: named(&dedupe.key), forgotten }))
            }
        };
        Self {
            id: step.id.clone(),
            inputs: step.inputs.iter().map(|node| name_of(*node)).collect(),
            kind,
            function,
            plugin,
            beside,
            reads,
            groups,
            seen,
            schema: columns(&step.schema),
            event_time: step.event_time.map(|event_time| described(event_time, &step.schema)),
        }
    }
}

impl PluginOutline {
    fn of<F>(opened: &OpenedPlugin<F>) -> Self {
        Self { name: opened.name.clone(), version: opened.version.clone(), digest: opened.digest.clone() }
    }
}

impl SinkOutline {
    fn new(plan: &OpenedPlan, sink: &PlannedSink) -> Self {
        let writes = match &sink.target {
            PlannedTarget::Kafka(kafka) => {
                let key: Vec<String> = kafka.key.iter().filter_map(|column| name(&sink.schema, *column)).collect();
                let key = if key.is_empty() { "no key".to_owned() } else { format!("key {}", key.join(", ")) };
                format!("Kafka topic `{}` at `{}`, {key}", kafka.topic.topic, kafka.topic.brokers)
            }
            PlannedTarget::Console(ConsoleSink { num_rows, .. }) => format!("the terminal, {num_rows} rows of an epoch"),
            PlannedTarget::Memory => "a list that a test reads".to_owned(),
        };
        let (guarantee, why) = promise::of_sink(plan, sink);
        let late = matches!(sink.input, Node::Late(_));
        Self { id: sink.id.clone(), input: Some(name_of(plan, sink.input)), late, writes, guarantee, why }
    }

    fn dead_letters(plan: &OpenedPlan) -> Self {
        let writes = match &plan.dead_letters {
            Some(topic) => format!("Kafka topic `{}` at `{}`", topic.topic, topic.brokers),
            None => "a file in the state folder".to_owned(),
        };
        let (guarantee, why) = promise::of_letters(plan);
        Self { id: "dead letters".to_owned(), input: None, late: false, writes, guarantee, why }
    }
}

/// Whether the watermark makes a step forget windows some day.
fn closes(step: &PlannedStep<OpenedPlugin<plugin::Transform>, OpenedPlugin<plugin::Aggregate>>) -> bool {
    let complete = matches!(&step.operation, PlannedOperation::Aggregate(aggregate) if aggregate.output_mode == OutputMode::Complete);
    !complete && step.watermark_delay.is_some()
}

fn name_of(plan: &OpenedPlan, node: Node) -> String {
    let id = match node {
        Node::Source(source) => plan.sources.get(source).map(|source| &source.id),
        Node::Step(step) | Node::Late(step) => plan.steps.get(step).map(|step| &step.id),
    };
    id.cloned().unwrap_or_default()
}

fn name(schema: &Schema, column: usize) -> Option<String> {
    schema.fields().get(column).map(|field| field.name().clone())
}

fn columns(schema: &Schema) -> Vec<ColumnOutline> {
    let column = |field: &Field| ColumnOutline { name: field.name().clone(), column_type: type_text(field), nullable: field.is_nullable() };
    schema.fields().iter().map(|field| column(field)).collect()
}

fn described(event_time: EventTime, schema: &Schema) -> String {
    let column = name(schema, event_time.column).unwrap_or_default();
    let watermark = match event_time.watermark {
        None => "no watermark, so no window closes".to_owned(),
        Some(watermark) => match watermark.by {
            WatermarkBy::Partition { idle } => format!("watermark {} behind the slowest partition that is not idle for {idle}", watermark.delay),
            WatermarkBy::Source => format!("watermark {} behind the newest row", watermark.delay),
        },
    };
    format!("{column}; {watermark}")
}

fn window(window: &PlannedWindow, input: &Schema) -> Option<String> {
    match window {
        PlannedWindow::Regular { size, every, offset_us, .. } => {
            let offset = match offset_us {
                0 => String::new(),
                us => format!(", offset {}{}", if *us < 0 { "-" } else { "" }, duration(us.unsigned_abs())),
            };
            Some(if size == every { format!("tumbling {size}{offset}") } else { format!("sliding {size} every {every}{offset}") })
        }
        PlannedWindow::Session { gap: Gap::Fixed(gap), .. } => Some(format!("session, gap {gap}")),
        PlannedWindow::Session { gap: Gap::Column(column), .. } => Some(format!("session, gap by row from {}", name(input, *column).unwrap_or_default())),
        PlannedWindow::Moment { .. } | PlannedWindow::Running { .. } => None,
    }
}

fn forgotten(window: &PlannedWindow, closes: bool, allowed_lateness: Option<DurationUs>) -> String {
    match window {
        PlannedWindow::Regular { .. } if closes && allowed_lateness.is_some() => {
            format!("a window is forgotten {} after it is closed", allowed_lateness.map_or_else(String::new, |lateness| lateness.to_string()))
        }
        PlannedWindow::Regular { .. } | PlannedWindow::Session { .. } if closes => "a window is forgotten when it is closed".to_owned(),
        PlannedWindow::Regular { .. } | PlannedWindow::Session { .. } => "no window is ever forgotten".to_owned(),
        PlannedWindow::Moment { .. } if closes => "a group is forgotten when the watermark has passed its event time".to_owned(),
        PlannedWindow::Running { ttl: Some(ttl) } => format!("a group is forgotten {ttl} after its last row"),
        PlannedWindow::Moment { .. } | PlannedWindow::Running { ttl: None } => "no group is ever forgotten".to_owned(),
    }
}

fn trigger(trigger: Trigger) -> String {
    let text = |time: std::time::Duration| duration(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    match trigger {
        Trigger::Every { interval, adaptive: None } => format!("every {}", text(interval)),
        Trigger::Every { interval, adaptive: Some(adaptive) } => {
            format!("every {}, adaptive from {} to {}", text(interval), text(adaptive.min), text(adaptive.max))
        }
        Trigger::Asap => "asap".to_owned(),
        Trigger::Once => "once".to_owned(),
        Trigger::AvailableNow => "available-now".to_owned(),
    }
}

fn duration(us: u64) -> String {
    i64::try_from(us).ok().and_then(DurationUs::from_us).map_or_else(|| format!("{us}us"), |duration| duration.to_string())
}

fn limits(limits: &EpochLimits) -> Vec<String> {
    let mut all = vec![format!("max_epoch_bytes {}", limits.max_epoch_bytes)];
    all.extend(limits.max_records.map(|records| format!("max_records {records}")));
    all.extend(limits.max_rate_per_partition.map(|rate| format!("max_rate_per_partition {rate}")));
    all.extend(limits.backpressure.map(|gains| match gains == Gains::DEFAULT {
        true => "backpressure pid".to_owned(),
        false => {
            let Gains { proportional, integral, derivative, min_rate, initial_rate } = gains;
            let initial = initial_rate.map_or_else(String::new, |rate| format!(", initial_rate {rate}"));
            format!("backpressure pid (proportional {proportional}, integral {integral}, derivative {derivative}, min_rate {min_rate}{initial})")
        }
    }));
    all
}
