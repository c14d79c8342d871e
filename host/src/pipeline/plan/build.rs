//! Walks the graph once, in the order of the data, and makes the plan. A node that fails leaves a gap, and what is behind a gap is passed over, so that each
//! problem is said once.

use arrow_schema::SchemaRef;

use super::{
    EventTime, Gap, Node, Opener, Plan, PlannedAggregate, PlannedDedupe, PlannedHistory, PlannedKafkaSink, PlannedOperation, PlannedSink, PlannedSource,
    PlannedStep, PlannedTarget, PlannedTopic, PlannedWindow, RowTime, columns, failure,
};
use crate::pipeline::check::{Checked, delivery};
use crate::pipeline::document::Span;
use crate::pipeline::problem::{Code, Problem, Refused};
use crate::pipeline::spec::{
    AggregateSpec, DedupeSpec, EventTimeSpec, GapSpec, HistorySpec, KafkaSink, KafkaTopic, Operation, OutputMode, Past, PipelineSpec, SinkSpec, SourceSpec,
    StepSpec, Target, TransformSpec, WindowSpec,
};
use crate::pipeline::unit::DurationUs;

pub(super) struct Builder<'a, O: Opener> {
    checked: &'a Checked,
    opener: &'a mut O,
    problems: Vec<Problem>,
    /// What comes out of each source, and of each step in the order of the document.
    source_rows: Vec<Option<Rows>>,
    step_rows: Vec<Option<Rows>>,
    /// What comes too late for a step, likewise.
    late_rows: Vec<Option<Rows>>,
}

/// What comes out of a node.
#[derive(Clone)]
struct Rows {
    schema: SchemaRef,
    time: Time,
    /// The longest delay of the watermarks that follow these rows; none: none does.
    delay: Option<DurationUs>,
}

/// When rows happened, as far as their columns say.
#[derive(Clone, PartialEq)]
enum Time {
    /// Nothing has declared it.
    Undeclared,
    /// This column says it.
    Column(RowTime),
    /// It was declared, but a step did not pass the column on.
    Lost { column: String, step: String },
}

/// The window's end stands second in an aggregate's rows.
const OF_AGGREGATE: Time = Time::Column(RowTime { column: 1, is_window_end: true });

impl<'a, O: Opener> Builder<'a, O> {
    pub(super) fn new(checked: &'a Checked, opener: &'a mut O) -> Self {
        let step_rows = vec![None; checked.spec.steps.len()];
        let late_rows = step_rows.clone();
        Self { checked, opener, problems: Vec::new(), source_rows: Vec::new(), step_rows, late_rows }
    }

    pub(super) fn build(mut self) -> Result<Plan<O::Transform, O::Aggregate>, Refused> {
        let spec = &self.checked.spec;
        let mut sources = Vec::new();
        for source in &spec.sources {
            let (planned, rows) = self.source(source).unzip();
            self.source_rows.push(rows);
            sources.extend(planned);
        }
        let mut steps = Vec::new();
        for &position in &self.checked.graph.order {
            let (planned, rows) = self.step(position).unzip();
            if let Some(slot) = self.step_rows.get_mut(position) {
                *slot = rows;
            }
            steps.extend(planned);
        }
        let sinks: Vec<PlannedSink> = spec.sinks.iter().zip(&self.checked.graph.sink_inputs).filter_map(|(sink, input)| self.sink(sink, *input)).collect();
        if !self.problems.is_empty() {
            return Err(Refused::new(&spec.document, self.problems));
        }
        Ok(Plan {
            name: spec.name.value.clone(),
            trigger: spec.trigger,
            limits: spec.limits,
            max_rejected: spec.max_rejected,
            watermark_policy: spec.watermark_policy,
            no_data_epochs: spec.no_data_epochs,
            sources,
            steps,
            sinks,
            dead_letters: spec.dead_letters.as_ref().and_then(|topic| planned_topic(spec, topic)),
        })
    }

    fn source(&mut self, source: &SourceSpec) -> Option<(PlannedSource, Rows)> {
        let schema = columns::of_source(source, &mut self.problems)?;
        let of = format!("the source `{}`", source.id);
        let event_time = match &source.event_time {
            Some(declared) => Some(self.declared(declared, &schema, &of)?),
            None => None,
        };
        let rows = Rows { schema: schema.clone(), time: event_time.map_or(Time::Undeclared, Time::declared), delay: event_time.and_then(delay) };
        let planned = PlannedSource {
            id: source.id.value.clone(),
            origin: source.origin.clone(),
            format: source.format.clone(),
            metadata: source.metadata.clone(),
            schema,
            event_time,
        };
        Some((planned, rows))
    }

    fn step(&mut self, position: usize) -> Option<(Step<O>, Rows)> {
        let step = self.checked.spec.steps.get(position)?;
        let nodes = self.checked.graph.step_inputs.get(position)?;
        let input = self.united(step, nodes)?;
        let watermark_delay = input.delay;
        let (operation, rows, event_time) = match &step.operation {
            Operation::Transform(transform) => self.transform(step, transform, &input)?,
            Operation::Aggregate(aggregate) => self.aggregate(step, aggregate, &input)?,
            Operation::Dedupe(dedupe) => self.dedupe(step, dedupe, &input)?,
            Operation::History(history) => self.history(step, history, &input)?,
        };
        let late_schema = match &step.late {
            None => None,
            Some(late) => {
                let windowed = matches!(&operation, PlannedOperation::Aggregate(aggregate) if aggregate.window.has_edges());
                Some(columns::of_late(&input.schema, windowed, late, &mut self.problems)?)
            }
        };
        if let Some(place) = self.late_rows.get_mut(position) {
            *place = late_schema.clone().map(|schema| Rows { schema, ..input.clone() });
        }
        let planned = PlannedStep {
            id: step.id.value.clone(),
            inputs: nodes.iter().map(|node| self.in_plan(*node)).collect(),
            input_schema: input.schema,
            operation,
            schema: rows.schema.clone(),
            event_time,
            late_schema,
            watermark_delay,
        };
        Some((planned, rows))
    }

    /// The rows of all inputs together.
    fn united(&mut self, step: &StepSpec, nodes: &[Node]) -> Option<Rows> {
        let inputs: Vec<Rows> = nodes.iter().map(|node| self.rows(*node).cloned()).collect::<Option<_>>()?;
        let (first, others) = inputs.split_first()?;
        if others.is_empty() {
            return Some(first.clone());
        }
        let named: Vec<(&str, SchemaRef, Span)> = step.inputs.iter().zip(&inputs).map(|(id, rows)| (id.as_str(), rows.schema.clone(), id.span)).collect();
        let schema = columns::of_union(&named, &mut self.problems)?;
        if let Some((id, _)) = step.inputs.iter().zip(&inputs).find(|(_, rows)| rows.time != first.time) {
            let what = format!("`{}` and `{id}` have not the same event time", named.first()?.0);
            let expected = "one column that says when the rows of every input happened";
            self.problems.push(Problem::error(Code::EventTime, id.span, what, expected, "declare `event_time` on the same column for each of them"));
            return None;
        }
        Some(Rows { schema, time: first.time.clone(), delay: inputs.iter().filter_map(|rows| rows.delay).max() })
    }

    fn transform(&mut self, step: &StepSpec, transform: &TransformSpec, input: &Rows) -> Option<Made<O>> {
        let opened = match self.opener.open_transform(&step.id, transform, &input.schema) {
            Ok(opened) => opened,
            Err(failure) => {
                self.problems.push(failure::problem(failure, "transform", &transform.call, step));
                return None;
            }
        };
        let of = format!("the output of the step `{}`", step.id);
        let event_time = match &step.event_time {
            Some(declared) => Some(self.declared(declared, &opened.output, &of)?),
            None => None,
        };
        let time = match (event_time, &input.time) {
            (Some(declared), _) => Time::declared(declared),
            (None, Time::Column(time)) => match opened.passed.iter().position(|passed| *passed == Some(time.column)) {
                Some(column) => Time::Column(RowTime { column, ..*time }),
                None => Time::Lost { column: input.schema.fields().get(time.column)?.name().clone(), step: step.id.value.clone() },
            },
            (None, lost_or_undeclared) => lost_or_undeclared.clone(),
        };
        let delay = event_time.and_then(delay).or(input.delay);
        Some((PlannedOperation::Transform(opened.plugin), Rows { schema: opened.output, time, delay }, event_time))
    }

    fn aggregate(&mut self, step: &StepSpec, aggregate: &AggregateSpec, input: &Rows) -> Option<Made<O>> {
        let of = format!("the input of the step `{}`", step.id);
        // Every key is looked for before the first failure counts, so that one run shows all that are missing.
        let key: Vec<Option<usize>> = aggregate.key.iter().map(|name| columns::find(&input.schema, name, &of, &mut self.problems)).collect();
        let key = key.into_iter().collect::<Option<Vec<usize>>>();
        let window = self.window(step, aggregate, key.as_deref().unwrap_or_default(), input);
        let (key, window) = (key?, window?);
        let (mut plugins, mut made) = (Vec::new(), Vec::new());
        for call in &aggregate.calls {
            match self.opener.open_aggregate(&step.id, call, &input.schema) {
                Ok(opened) => {
                    made.extend(opened.output.fields().iter().map(|field| (field.clone(), call.config.place(""))));
                    plugins.push(opened.plugin);
                }
                Err(failure) => self.problems.push(failure::problem(failure, "aggregate", call, step)),
            }
        }
        if plugins.len() < aggregate.calls.len() {
            return None;
        }
        let schema = columns::of_aggregate(aggregate.window.is_some(), &input.schema, &key, &aggregate.key, &made, &mut self.problems)?;
        let time = match window {
            PlannedWindow::Regular { .. } | PlannedWindow::Session { .. } => OF_AGGREGATE,
            PlannedWindow::Moment { time } => match key.iter().position(|column| *column == time.column) {
                Some(column) => Time::Column(RowTime { column, ..time }),
                None => Time::Undeclared,
            },
            PlannedWindow::Running { .. } => Time::Undeclared,
        };
        let planned = PlannedAggregate {
            plugins,
            key,
            window,
            output_mode: aggregate.output_mode.value,
            allowed_lateness: aggregate.allowed_lateness.as_ref().map(|lateness| lateness.value),
        };
        Some((PlannedOperation::Aggregate(planned), Rows { schema, time, delay: input.delay }, None))
    }

    /// How rows are grouped beside the key.
    fn window(&mut self, step: &StepSpec, aggregate: &AggregateSpec, key: &[usize], input: &Rows) -> Option<PlannedWindow> {
        match &aggregate.window {
            Some(WindowSpec::Regular { size, every, offset_us }) => {
                let time = self.window_time(aggregate, &input.time)?;
                Some(PlannedWindow::Regular { size: *size, every: *every, offset_us: *offset_us, time })
            }
            Some(WindowSpec::Session(gap)) => {
                let gap = match gap {
                    GapSpec::Fixed(gap) => Some(Gap::Fixed(*gap)),
                    GapSpec::Column(name) => {
                        let of = format!("the input of the step `{}`", step.id);
                        columns::find_gap(&input.schema, name, &of, &mut self.problems).map(Gap::Column)
                    }
                };
                let time = self.window_time(aggregate, &input.time);
                Some(PlannedWindow::Session { gap: gap?, time: time? })
            }
            None => self.without_window(step, aggregate, key, input),
        }
    }

    /// Groups without a window: the watermark passes them if the event time is in their key, and otherwise they stay (O-1, 0.8).
    fn without_window(&mut self, step: &StepSpec, aggregate: &AggregateSpec, key: &[usize], input: &Rows) -> Option<PlannedWindow> {
        let mode = &aggregate.output_mode;
        if let (Time::Column(time), Some(_), None) = (&input.time, input.delay, &aggregate.ttl)
            && key.contains(&time.column)
        {
            return Some(PlannedWindow::Moment { time: *time });
        }
        if mode.value == OutputMode::Append {
            let what = format!("`{}` appends a group when it is closed, but without a window, or the event time in its key, none ever is", step.id);
            let advice = "add `window = { tumbling = \"1 minute\" }` and an `event_time` with a watermark, or set `output_mode = \"update\"`";
            self.problems.push(Problem::error(Code::OutputMode, mode.span, what, "`update` or `complete` for groups without a window", advice));
            return None;
        }
        Some(PlannedWindow::Running { ttl: aggregate.ttl.as_ref().map(|ttl| ttl.value) })
    }

    /// D-1: without a key all columns are one.
    fn dedupe(&mut self, step: &StepSpec, dedupe: &DedupeSpec, input: &Rows) -> Option<Made<O>> {
        let of = format!("the input of the step `{}`", step.id);
        let named: Vec<Option<usize>> = dedupe.key.iter().map(|name| columns::find(&input.schema, name, &of, &mut self.problems)).collect();
        let key = match named.is_empty() {
            true => (0..input.schema.fields().len()).collect(),
            false => named.into_iter().collect::<Option<Vec<usize>>>()?,
        };
        let event_time = match &step.event_time {
            Some(declared) => Some(self.declared(declared, &input.schema, &of)?),
            None => None,
        };
        let time = match input.time {
            Time::Column(time) if input.delay.is_some() => Some(time),
            _ => None,
        };
        if dedupe.within_watermark && time.is_none() {
            self.lost_time(dedupe.place, &input.time);
            return None;
        }
        let rows =
            Rows { time: event_time.map_or_else(|| input.time.clone(), Time::declared), delay: event_time.and_then(delay).or(input.delay), ..input.clone() };
        Some((PlannedOperation::Dedupe(PlannedDedupe { key, time, within_watermark: dedupe.within_watermark }), rows, event_time))
    }

    fn history(&mut self, step: &StepSpec, history: &HistorySpec, input: &Rows) -> Option<Made<O>> {
        let of = format!("the input of the step `{}`", step.id);
        let key: Vec<Option<usize>> = history.key.iter().map(|name| columns::find(&input.schema, name, &of, &mut self.problems)).collect();
        let add: Vec<Option<(Past, usize)>> =
            history.add.iter().map(|added| Some((added.what, columns::find_number(&input.schema, &added.of, &of, &mut self.problems)?))).collect();
        let (key, add) = (key.into_iter().collect::<Option<Vec<_>>>()?, add.into_iter().collect::<Option<Vec<_>>>()?);
        let schema = columns::of_history(&input.schema, history, &add, &mut self.problems)?;
        let rows = Rows { schema, ..input.clone() };
        Some((PlannedOperation::History(PlannedHistory { key, size: history.size, add }), rows, None))
    }

    fn window_time(&mut self, aggregate: &AggregateSpec, time: &Time) -> Option<RowTime> {
        if let Time::Column(time) = time {
            return Some(*time);
        }
        self.lost_time(aggregate.place, time);
        None
    }

    fn lost_time(&mut self, place: Span, time: &Time) {
        let (what, advice) = match time {
            Time::Column(_) | Time::Undeclared => {
                ("no event time is declared for the rows of this window".to_owned(), "declare `event_time` on the source".to_owned())
            }
            Time::Lost { column, step } => {
                let advice =
                    format!("let `{step}` pass `{column}` on as it is; if it makes the column anew, move `event_time` from where it is declared to `{step}`");
                (format!("the event time `{column}` is lost in the step `{step}`, which does not pass it on"), advice)
            }
        };
        self.problems.push(Problem::error(Code::EventTime, place, what, "a column with the time at which things happened", advice));
    }

    fn declared(&mut self, declared: &EventTimeSpec, schema: &SchemaRef, of: &str) -> Option<EventTime> {
        let column = columns::find_timestamp(schema, &declared.column, of, &mut self.problems)?;
        Some(EventTime { column, watermark: declared.watermark, max_future: declared.max_future })
    }

    fn sink(&mut self, sink: &SinkSpec, input: Node) -> Option<PlannedSink> {
        let schema = self.rows(input)?.schema.clone();
        let target = match &sink.target {
            Target::Kafka(kafka) => PlannedTarget::Kafka(self.kafka_sink(sink, kafka, &schema)?),
            Target::Console(console) => PlannedTarget::Console(*console),
            Target::Memory => PlannedTarget::Memory,
        };
        Some(PlannedSink { id: sink.id.value.clone(), input: self.in_plan(input), schema, target })
    }

    fn kafka_sink(&mut self, sink: &SinkSpec, kafka: &KafkaSink, schema: &SchemaRef) -> Option<PlannedKafkaSink> {
        let of = format!("`{}`", sink.input);
        let problems = &mut self.problems;
        let key: Vec<Option<usize>> = kafka.key.iter().map(|name| columns::find(schema, name, &of, problems)).collect();
        let headers: Vec<Option<(String, usize)>> =
            kafka.headers.iter().map(|(header, name)| Some((header.clone(), columns::find(schema, name, &of, problems)?))).collect();
        let timestamp = match &kafka.timestamp {
            Some(name) => Some(columns::find_timestamp(schema, name, &of, problems)?),
            None => None,
        };
        Some(PlannedKafkaSink {
            topic: planned_topic(&self.checked.spec, &kafka.topic)?,
            key: key.into_iter().collect::<Option<_>>()?,
            partitioner: kafka.partitioner,
            timestamp,
            headers: headers.into_iter().collect::<Option<_>>()?,
        })
    }

    /// None behind a gap.
    fn rows(&self, node: Node) -> Option<&Rows> {
        match node {
            Node::Source(source) => self.source_rows.get(source)?.as_ref(),
            Node::Step(step) => self.step_rows.get(step)?.as_ref(),
            Node::Late(step) => self.late_rows.get(step)?.as_ref(),
        }
    }

    /// A node of the document as the plan counts it.
    fn in_plan(&self, node: Node) -> Node {
        match node {
            Node::Source(_) => node,
            Node::Step(step) => Node::Step(self.place_in_plan(step)),
            Node::Late(step) => Node::Late(self.place_in_plan(step)),
        }
    }

    fn place_in_plan(&self, step: usize) -> usize {
        self.checked.graph.order.iter().take_while(|ordered| **ordered != step).count()
    }
}

type Step<O> = PlannedStep<<O as Opener>::Transform, <O as Opener>::Aggregate>;
/// What a step does, gives and declares.
type Made<O> = (PlannedOperation<<O as Opener>::Transform, <O as Opener>::Aggregate>, Rows, Option<EventTime>);

fn delay(event_time: EventTime) -> Option<DurationUs> {
    event_time.watermark.map(|watermark| watermark.delay)
}

impl Time {
    fn declared(event_time: EventTime) -> Self {
        Self::Column(RowTime { column: event_time.column, is_window_end: false })
    }
}

/// `check` has refused a topic without brokers.
fn planned_topic(spec: &PipelineSpec, topic: &KafkaTopic) -> Option<PlannedTopic> {
    let brokers = delivery::brokers(spec, topic)?.clone();
    Some(PlannedTopic { brokers, topic: topic.topic.value.clone(), create: topic.create, properties: topic.properties.clone() })
}
