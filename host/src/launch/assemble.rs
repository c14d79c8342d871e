//! A plan becomes the graph that runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::{OpenedPlan, OpenedPlugin};
use crate::epoch::clock::{Clock as _, SystemClock};
use crate::epoch::graph::{EventTimeNode, Graph, Letters, Node, Operator, SinkNode, SourceNode, StepNode, Target};
use crate::format::{JsonDecoder, JsonEncoder, OnBadField};
use crate::operator::aggregate::{Aggregate, AggregateParts, OutputMode};
use crate::operator::decode::Decoder;
use crate::operator::dedupe::{Dedupe, DedupeParts, Until};
use crate::operator::event_time::Declared;
use crate::operator::functions::Functions;
use crate::operator::history::{History, HistoryParts};
use crate::operator::placing::{Gap, Placing, RowTime};
use crate::operator::states::large_segments_of;
use crate::operator::transform::Transform;
use crate::pipeline::{
    self, KafkaColumn, Origin, PlannedHistory, PlannedKafkaSink, PlannedOperation, PlannedSink, PlannedSource, PlannedStep, PlannedTarget, PlannedTopic,
    PlannedWindow, SourceFormat,
};
use crate::plugin::Order;
use crate::sink::Transaction;
use crate::sink::console::Console;
use crate::sink::kafka::{CreateTopic, DEFAULT_TIMEOUT, KafkaTransaction, KafkaTransactionOptions, OutputTopic};
use crate::sink::letter_file::LetterFile;
use crate::sink::memory::Collected;
use crate::sink::records::RecordEncoder;
use crate::source::kafka::{KafkaSource, KafkaSourceOptions};
use crate::source::memory::Feed;
use crate::source::rate::{RateOptions, RateSource, Schedule};
use crate::source::socket::{SocketOptions, SocketSource};
use crate::source::{Now, Offset, Partition, Source};
use crate::state::{ShardCount, Store, StoreConfig};
use crate::time::watermark::{By, Policy, Rule};
use crate::time::window::Windows;

/// How long the brokers have to answer before a pipeline is said not to reach them.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How large the state of one group may be: what a plugin can still merge within its memory.
const MAX_STATE_BYTES: usize = 16 << 20;

/// Where sources and sinks lead.
#[derive(Debug, Clone, Default)]
pub struct Ports {
    /// Sources that are fed by the program, by id, in place of what the document names; all of them when there is one.
    pub feeds: BTreeMap<String, Feed>,
    /// Collects the rows of memory sinks, by id, and of every sink when there are feeds.
    pub collected: BTreeMap<String, Collected>,
}

/// A graph with its state and its commit point.
pub(super) struct Assembled {
    pub(super) graph: Graph,
    pub(super) transaction: Option<Box<dyn Transaction>>,
    pub(super) store: Arc<Store>,
}

/// Builds everything that a plan names.
pub(super) fn assemble(plan: OpenedPlan, ports: &Ports, state_dir: &Path) -> anyhow::Result<Assembled> {
    let kafka = Cluster::of(&plan, ports)?;
    let stateful: Vec<String> = plan.steps.iter().flat_map(stores_of).collect();
    let stateful: Vec<&str> = stateful.iter().map(String::as_str).collect();
    let store = Arc::new(Store::open(state_dir, &StoreConfig { pipeline: &plan.name, shards: ShardCount::DEFAULT, steps: &stateful })?);
    let event_times = event_times(&plan)?;
    let dead_letters = match &plan.dead_letters {
        Some(topic) if ports.feeds.is_empty() => Letters::Topic(topic.topic.expose().into()),
        _ => Letters::File(LetterFile::new(state_dir)),
    };
    let watermark_policy = match plan.watermark_policy {
        pipeline::WatermarkPolicy::Min => Policy::Min,
        pipeline::WatermarkPolicy::Max => Policy::Max,
    };
    let no_data_epochs = plan.no_data_epochs;
    let sources = plan.sources.iter().map(|source| source_node(source, &plan.name, ports)).collect::<anyhow::Result<_>>()?;
    let sinks = plan.sinks.iter().map(|sink| sink_node(sink, ports)).collect::<anyhow::Result<_>>()?;
    let steps = plan.steps.into_iter().map(|step| step_node(step, &store)).collect::<anyhow::Result<_>>()?;
    let transaction = kafka.map(Cluster::transaction).transpose()?;
    Ok(Assembled { graph: Graph { sources, steps, sinks, dead_letters, event_times, watermark_policy, no_data_epochs }, transaction, store })
}

fn node(node: pipeline::Node) -> Node {
    match node {
        pipeline::Node::Source(number) => Node::Source(number),
        pipeline::Node::Step(number) => Node::Step(number),
        pipeline::Node::Late(number) => Node::Late(number),
    }
}

fn source_node(source: &PlannedSource, pipeline: &str, ports: &Ports) -> anyhow::Result<SourceNode> {
    let metadata: Vec<usize> = source.metadata.iter().filter_map(|added| KafkaColumn::ALL.iter().position(|column| *column == added.column)).collect();
    let decoder = match &source.format {
        SourceFormat::Raw => Decoder::Raw { schema: Arc::clone(&source.schema) },
        SourceFormat::Json { schema, on_bad_field } => {
            let on_bad_field = match on_bad_field {
                pipeline::OnBadField::Reject => OnBadField::Reject,
                pipeline::OnBadField::Null => OnBadField::Null,
            };
            let declared: Vec<usize> = (0..schema.len()).collect();
            let decoder = JsonDecoder::new(&source.schema.project(&declared)?, on_bad_field)?;
            Decoder::Json { decoder, metadata, schema: Arc::clone(&source.schema) }
        }
    };
    let wants = |column: KafkaColumn| matches!(source.format, SourceFormat::Raw) || source.metadata.iter().any(|added| added.column == column);
    let opened: Box<dyn Source> = match (ports.feeds.get(&source.id), &source.origin) {
        (Some(feed), _) => Box::new(feed.source()),
        (None, Origin::Memory) => Box::new(Feed::new(&source.id).source()),
        (None, Origin::Rate(rate)) => Box::new(RateSource::new(
            RateOptions {
                id: source.id.clone(),
                schedule: Schedule { rows_per_second: rate.rows_per_second, ramp_up_seconds: rate.ramp_up_seconds },
                partitions: rate.num_partitions,
            },
            now(),
        )),
        (None, Origin::Socket(socket)) => {
            let options = SocketOptions { id: source.id.clone(), host: socket.host.value.clone(), port: socket.port };
            Box::new(SocketSource::new(options, now()))
        }
        (None, Origin::Kafka(kafka)) => Box::new(KafkaSource::new(KafkaSourceOptions {
            id: source.id.clone(),
            brokers: kafka.brokers.value.expose().to_owned(),
            topics: named(&kafka.topics),
            starting_offsets: starting_offsets(&kafka.starting_offsets),
            on_data_loss: match kafka.on_data_loss {
                pipeline::OnDataLoss::Fail => crate::source::kafka::OnDataLoss::Fail,
                pipeline::OnDataLoss::Skip => crate::source::kafka::OnDataLoss::Skip,
            },
            want_keys: wants(KafkaColumn::Key),
            want_headers: wants(KafkaColumn::Headers),
            properties: exposed(&kafka.properties),
            group: format!("weir.{pipeline}"),
        })?),
    };
    Ok(SourceNode { id: source.id.clone(), source: opened, decoder })
}

/// The clock of sources whose records are made of time.
fn now() -> Now {
    let clock = SystemClock::default();
    Box::new(move || clock.now())
}

fn named(topics: &pipeline::Topics) -> Vec<String> {
    match topics {
        pipeline::Topics::Named(topics) => topics.iter().map(|topic| topic.value.expose().to_owned()).collect(),
        // `launch::read` refuses patterns until the source can follow them.
        pipeline::Topics::Pattern(_) => Vec::new(),
    }
}

fn starting_offsets(offsets: &pipeline::StartingOffsets) -> crate::source::kafka::StartingOffsets {
    use crate::source::kafka::{StartingOffset as To, StartingOffsets as All};
    use pipeline::StartingOffset as From;
    match offsets {
        pipeline::StartingOffsets::All(From::Earliest | From::At(_)) => All::Earliest,
        pipeline::StartingOffsets::All(From::Latest) => All::Latest,
        pipeline::StartingOffsets::PerPartition(topics) => {
            let partitions = topics.iter().flat_map(|of| of.partitions.iter().map(move |(number, offset)| (&of.topic.value, *number, *offset)));
            let start = |offset: From| match offset {
                From::Earliest => To::Earliest,
                From::Latest => To::Latest,
                From::At(offset) => To::At(Offset(offset)),
            };
            All::PerPartition(partitions.map(|(topic, number, offset)| (Partition { topic: topic.as_str().into(), number }, start(offset))).collect())
        }
    }
}

fn exposed(properties: &[(String, pipeline::Text)]) -> Vec<(String, String)> {
    properties.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect()
}

fn step_node(
    step: PlannedStep<OpenedPlugin<crate::plugin::Transform>, OpenedPlugin<crate::plugin::Aggregate>>,
    store: &Arc<Store>,
) -> anyhow::Result<StepNode> {
    let inputs = step.inputs.iter().map(|input| node(*input)).collect();
    let (operator, digest) = match step.operation {
        PlannedOperation::Transform(opened) => (Operator::Transform(Box::new(Transform { function: opened.function })), Some(opened.digest)),
        PlannedOperation::Aggregate(planned) => {
            let digest = planned.plugins.iter().map(|plugin| plugin.digest.as_str()).collect::<Vec<_>>().join("+");
            let function = Functions::new(planned.plugins.into_iter().map(|plugin| plugin.function).collect())?;
            let parts = AggregateParts {
                placing: placing(planned.window, function.order()).with_context(|| format!("step `{}`: a window needs a length", step.id))?,
                id: step.id.clone(),
                function,
                input: step.input_schema,
                key: planned.key,
                watermarked: step.watermark_delay.is_some(),
                allowed_lateness_us: planned.allowed_lateness.map_or(0, pipeline::DurationUs::us),
                mode: match planned.output_mode {
                    pipeline::OutputMode::Append => OutputMode::Append,
                    pipeline::OutputMode::Update => OutputMode::Update,
                    pipeline::OutputMode::Complete => OutputMode::Complete,
                },
                output: step.schema,
                late: step.late_schema,
                max_state_bytes: MAX_STATE_BYTES,
                store: Arc::clone(store),
            };
            (Operator::Aggregate(Box::new(Aggregate::new(parts).with_context(|| format!("step `{}`", step.id))?)), Some(digest))
        }
        PlannedOperation::History(planned) => {
            let PlannedHistory { key, size, add } = planned;
            let (input, output, store) = (step.input_schema, step.schema, Arc::clone(store));
            let parts = HistoryParts { id: step.id.clone(), input, key, size: size as usize, add, output, store };
            (Operator::History(Box::new(History::new(parts).with_context(|| format!("step `{}`", step.id))?)), None)
        }
        PlannedOperation::Dedupe(planned) => {
            let until = match (planned.time, step.watermark_delay) {
                (Some(_), Some(delay)) if planned.within_watermark => Until::Delayed(delay.us()),
                (Some(time), _) if planned.key.contains(&time.column) => Until::Passed,
                _ => Until::Never,
            };
            let time = planned.time.map(|time| time.column);
            let parts =
                DedupeParts { id: step.id.clone(), input: step.input_schema, key: planned.key, time, until, late: step.late_schema, store: Arc::clone(store) };
            (Operator::Dedupe(Box::new(Dedupe::new(parts).with_context(|| format!("step `{}`", step.id))?)), None)
        }
    };
    Ok(StepNode { id: step.id, inputs, operator, digest })
}

/// The names under which a step stores what it keeps.
fn stores_of<T, A>(step: &PlannedStep<T, A>) -> Vec<String> {
    match &step.operation {
        PlannedOperation::Transform(_) => Vec::new(),
        PlannedOperation::Aggregate(_) => vec![step.id.clone(), large_segments_of(&step.id)],
        PlannedOperation::Dedupe(_) | PlannedOperation::History(_) => vec![step.id.clone()],
    }
}

/// How a step finds the window of a row. Sliding windows come in panes unless the order of arrival counts, which panes would mix up.
fn placing(window: PlannedWindow, order: Order) -> Option<Placing> {
    let row_time = |time: pipeline::RowTime| RowTime { column: time.column, is_window_end: time.is_window_end };
    Some(match window {
        PlannedWindow::Regular { size, every, offset_us, time } => {
            let windows = Windows::sliding(size.us(), every.us(), offset_us)?;
            match order {
                Order::Any if !windows.tumble() => Placing::Panes(windows, row_time(time)),
                Order::Any | Order::Arrival => Placing::Windows(windows, row_time(time)),
            }
        }
        PlannedWindow::Session { gap: pipeline::Gap::Fixed(gap), time } => Placing::Sessions(Gap::Fixed(gap), row_time(time)),
        PlannedWindow::Session { gap: pipeline::Gap::Column(column), time } => Placing::Sessions(Gap::Column(column), row_time(time)),
        PlannedWindow::Moment { time } => Placing::Moments(row_time(time)),
        PlannedWindow::Running { ttl } => Placing::Running { ttl_us: ttl.map(pipeline::DurationUs::us) },
    })
}

fn sink_node(sink: &PlannedSink, ports: &Ports) -> anyhow::Result<SinkNode> {
    let target = match (ports.collected.get(&sink.id), &sink.target) {
        (Some(collected), _) => Target::Outbox(Box::new(collected.sink())),
        (None, PlannedTarget::Memory) => Target::Outbox(Box::new(Collected::default().sink())),
        (None, PlannedTarget::Console(console)) => {
            let truncate = console.truncate.map(|characters| characters as usize);
            Target::Outbox(Box::new(Console { num_rows: console.num_rows as usize, truncate }))
        }
        (None, PlannedTarget::Kafka(kafka)) => Target::Records(Box::new(record_encoder(sink, kafka)?)),
    };
    Ok(SinkNode { id: sink.id.clone(), input: node(sink.input), target })
}

fn record_encoder(sink: &PlannedSink, kafka: &PlannedKafkaSink) -> anyhow::Result<RecordEncoder> {
    let columns: Vec<usize> = (0..sink.schema.fields().len()).collect();
    Ok(RecordEncoder {
        topic: kafka.topic.topic.expose().to_owned(),
        values: JsonEncoder::new(&sink.schema, &columns).with_context(|| format!("sink `{}`", sink.id))?,
        key: kafka.key.clone(),
        timestamp: kafka.timestamp,
        headers: kafka.headers.clone(),
    })
}

/// Where event time is declared, and from which sources its rows come.
fn event_times(plan: &OpenedPlan) -> anyhow::Result<Vec<EventTimeNode>> {
    let of_sources = plan.sources.iter().enumerate().map(|(number, source)| (Node::Source(number), source.event_time));
    let of_steps = plan.steps.iter().enumerate().map(|(number, step)| (Node::Step(number), step.event_time));
    let declared = of_sources.chain(of_steps).filter_map(|(node, event_time)| Some((node, event_time?)));
    let nodes = declared.map(|(node, event_time)| {
        let rule = event_time.watermark.map(|watermark| Rule {
            delay_us: watermark.delay.us(),
            by: match watermark.by {
                pipeline::WatermarkBy::Partition { idle } => By::Partition { idle_us: idle.us() },
                pipeline::WatermarkBy::Source => By::Source,
            },
        });
        let mut sources = Vec::new();
        sources_of(plan, node, &mut sources);
        Ok(EventTimeNode { node, declared: Declared { column: event_time.column, max_future_us: event_time.max_future.us() }, rule, sources })
    });
    nodes.collect()
}

fn sources_of(plan: &OpenedPlan, of: Node, sources: &mut Vec<usize>) {
    match of {
        Node::Source(number) if !sources.contains(&number) => sources.push(number),
        Node::Source(_) => {}
        Node::Step(number) | Node::Late(number) => {
            plan.steps.get(number).iter().flat_map(|step| &step.inputs).for_each(|input| sources_of(plan, node(*input), sources))
        }
    }
}

/// The cluster whose transactions are the commit point.
struct Cluster(KafkaTransactionOptions);

impl Cluster {
    /// Of the sinks and dead letters, or else of the source; none without Kafka.
    fn of(plan: &OpenedPlan, ports: &Ports) -> anyhow::Result<Option<Self>> {
        if !ports.feeds.is_empty() {
            return Ok(None);
        }
        // Each with whether its records have keys. Dead letters have none.
        let outputs: Vec<(&PlannedTopic, bool)> = plan
            .sinks
            .iter()
            .filter_map(|sink| match &sink.target {
                PlannedTarget::Kafka(kafka) => Some((&kafka.topic, !kafka.key.is_empty())),
                _ => None,
            })
            .chain(plan.dead_letters.iter().map(|topic| (topic, false)))
            .collect();
        let source = plan.sources.iter().find_map(|source| match &source.origin {
            Origin::Kafka(kafka) => Some(kafka),
            Origin::Rate(_) | Origin::Socket(_) | Origin::Memory => None,
        });
        let (brokers, marker_topic, properties) = match (outputs.first(), source) {
            (Some((output, _)), _) => (output.brokers.expose(), output.topic.expose().to_owned(), exposed(&output.properties)),
            (None, Some(source)) => {
                let topic = named(&source.topics).into_iter().next().context("the source names no topic")?;
                (source.brokers.value.expose(), topic, exposed(&source.properties))
            }
            (None, None) => return Ok(None),
        };
        let topics = outputs.iter().map(|(output, keyed)| OutputTopic {
            name: output.topic.expose().to_owned(),
            create: output.create.map(|create| CreateTopic { partitions: Some(create.partitions), replication: Some(create.replication) }),
            keyed: *keyed,
        });
        let mut options = KafkaTransactionOptions {
            pipeline: plan.name.clone(),
            brokers: brokers.to_owned(),
            topics: topics.collect(),
            marker_topic,
            with_positions: false,
            timeout: DEFAULT_TIMEOUT,
            properties,
        };
        options.with_positions = match source {
            Some(source) if source.brokers.value.expose() == options.brokers => true,
            Some(source) => same_cluster(&options, source.brokers.value.expose(), exposed(&source.properties))?,
            None => false,
        };
        Ok(Some(Self(options)))
    }

    fn transaction(self) -> anyhow::Result<Box<dyn Transaction>> {
        let mut transaction = KafkaTransaction::new(self.0)?;
        transaction.ensure_topics(START_TIMEOUT)?;
        Ok(Box::new(transaction))
    }
}

/// Whether these brokers are of the sinks' cluster: the same brokers may go by two names.
fn same_cluster(sinks: &KafkaTransactionOptions, brokers: &str, properties: Vec<(String, String)>) -> anyhow::Result<bool> {
    let sources = KafkaTransactionOptions { brokers: brokers.to_owned(), properties, topics: Vec::new(), ..sinks.clone() };
    let id = |options: KafkaTransactionOptions| -> anyhow::Result<String> { KafkaTransaction::new(options)?.cluster_id(START_TIMEOUT) };
    Ok(id(sources).context("sources")? == id(sinks.clone()).context("sinks")?)
}
