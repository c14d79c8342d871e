//! Reads `[[step]]`.

use toml::de::DeValue;

use super::source::event_time;
use super::{NAME, call_limits, columns, distinct, name};
use crate::pipeline::config::{Config, Node};
use crate::pipeline::cursor::{Expect, Reader, Table, Value, expect};
use crate::pipeline::document::Placed;
use crate::pipeline::problem::Code;
use crate::pipeline::spec::{AggregateSpec, CallLimits, Operation, OutputMode, PluginCall, PluginRef, STD_PLUGIN, StepSpec, TransformSpec, WindowSpec};
use crate::pipeline::text::Text;
use crate::pipeline::unit::{DurationUs, UnitError};

/// Keys of `[[step]]` that later versions will have.
const LATER: &[&str] = &["late", "ttl", "dedupe", "join", "process"];
/// Keys that only an aggregate has.
const OF_AGGREGATES: [&str; 3] = ["key", "window", "output_mode"];

const INPUT: Expect = expect("the `id` of a source or step, or a list of them", "\"events\"");
const FUNCTION: Expect = expect("the name of a function of the plugin", "\"clean\"");
const SIZE: Expect = expect("a duration above zero", "\"1 minute\"");

pub(super) fn step(reader: &mut Reader<'_>, mut table: Table<'_>, limits: CallLimits) -> Option<StepSpec> {
    let id = table.required(reader, "id", NAME, |reader, value| name(reader, &value));
    let inputs = table.required(reader, "input", INPUT, inputs);
    let operation = table.one_of(reader, &["transform", "aggregate"], LATER, "transform = { plugin = \"clean.wasm\", function = \"clean\" }");
    let operation = match operation {
        Some(("transform", value)) => transform(reader, &mut table, &value, limits),
        Some((_, value)) => aggregate(reader, &mut table, &value, limits),
        None => {
            // What belongs to an aggregate is not unknown while nobody can tell whether this is one.
            for key in OF_AGGREGATES {
                table.take(key);
            }
            None
        }
    };
    let event_time = table.optional(reader, "event_time", event_time);
    table.finish(reader, LATER);
    Some(StepSpec { id: id?, inputs: inputs?, operation: operation?, event_time: event_time? })
}

fn inputs(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Vec<Placed<String>>> {
    let names = match value.get() {
        DeValue::Array(_) => reader.list(&value, INPUT, |reader, element| reader.plain(element, INPUT))?,
        _ => vec![reader.plain(&value, INPUT)?],
    };
    if names.is_empty() {
        reader.error(Code::BadValue, value.span(), format!("`{}` is empty", value.path), INPUT.what, "write `input = \"events\"`");
        return None;
    }
    distinct(reader, &names).then_some(names)
}

fn transform(reader: &mut Reader<'_>, step: &mut Table<'_>, value: &Value<'_>, limits: CallLimits) -> Option<Operation> {
    let mut sound = true;
    for key in OF_AGGREGATES {
        if let Some(value) = step.take(key) {
            let what = format!("`{key}` does not go with `transform`");
            reader.error(Code::Conflict, value.key_span, what, "it beside `aggregate`", format!("remove `{key}`, or make the aggregate a step of its own"));
            sound = false;
        }
    }
    let call = call(reader, value, limits, true)?;
    sound.then_some(Operation::Transform(TransformSpec { call }))
}

fn aggregate(reader: &mut Reader<'_>, step: &mut Table<'_>, value: &Value<'_>, limits: CallLimits) -> Option<Operation> {
    let key = step.or(reader, "key", Vec::new(), columns);
    let window = match step.take("window") {
        Some(value) => window(reader, &value),
        None if step.has_slip_of("window") => None,
        None => {
            let what = "not yet: an aggregate without `window`, which keeps every group for ever, comes with a later version";
            reader.error(Code::NotYet, value.key_span, what, "a window over event time", "add `window = { tumbling = \"1 minute\" }`");
            None
        }
    };
    let default = Placed::new(OutputMode::Append, value.key_span);
    let output_mode = step.or(reader, "output_mode", default, |reader, value| {
        let words = [("append", OutputMode::Append), ("update", OutputMode::Update), ("complete", OutputMode::Complete)];
        let mode = reader.choice(&value, expect("`append`, `update` or `complete`", "\"append\""), &words, &[])?;
        Some(Placed::new(mode, value.span()))
    });
    let call = call(reader, value, limits, false);
    Some(Operation::Aggregate(AggregateSpec { key: key?, window: window?, call: call?, output_mode: output_mode? }))
}

fn window(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Placed<WindowSpec>> {
    let mut table = reader.table(value, expect("a table", "{ tumbling = \"1 minute\" }"))?;
    let later = ["sliding", "every", "session"];
    let kind = table.one_of(reader, &["tumbling"], &later, "tumbling = \"1 minute\"");
    let size = kind.and_then(|(_, value)| {
        reader.parsed(&value, SIZE, |text| match DurationUs::parse_fixed(text) {
            Ok(size) if size.us() == 0 => Err("it is zero".to_owned()),
            other => other.map_err(|error| error.to_string()),
        })
    });
    let zero = Placed::new(0, value.span());
    let offset =
        table.or(reader, "offset", zero, |reader, value| reader.parsed(&value, expect("a duration, which may be negative", "\"15 seconds\""), signed_us));
    table.finish(reader, &later);
    let (size, offset) = (size?, offset?);
    // T-2, as Spark has it: an offset of a whole window or more is a slip. Either sign is allowed.
    if offset.abs() >= size.us() {
        let what = "`offset` is not smaller than the window";
        reader.error(Code::BadValue, offset.span, what, format!("less than {}", size.value), "take whole windows off it");
        return None;
    }
    Some(Placed::new(WindowSpec { size: size.value, offset_us: offset.value }, value.key_span))
}

fn signed_us(text: &str) -> Result<i64, String> {
    let (sign, text) = text.trim().strip_prefix('-').map_or((1, text), |text| (-1, text));
    DurationUs::parse_fixed(text).map(|duration| sign * duration.us()).map_err(|error: UnitError| error.to_string())
}

/// `{ plugin, function, config, limits }`
fn call(reader: &mut Reader<'_>, value: &Value<'_>, base: CallLimits, function_required: bool) -> Option<PluginCall> {
    let mut table = reader.table(value, expect("a table", "{ plugin = \"clean.wasm\", function = \"clean\" }"))?;
    let plugin = expect("`std`, or a plugin's file", "\"clean.wasm\"");
    let plugin = table.required(reader, "plugin", plugin, |reader, value| plugin_ref(reader, &value));
    let function = if function_required {
        table.required(reader, "function", FUNCTION, |reader, value| reader.plain(&value, FUNCTION)).map(Some)
    } else {
        table.optional(reader, "function", |reader, value| reader.plain(&value, FUNCTION))
    };
    let config = table.or(reader, "config", Config::empty(value.key_span), config);
    let limits = match table.take("limits") {
        Some(value) => call_limits(reader, &value, base),
        None => Some(base),
    };
    table.finish(reader, &["grants"]);
    Some(PluginCall { plugin: plugin?, function: function?, config: config?, limits: limits? })
}

fn plugin_ref(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Placed<PluginRef>> {
    let expected = expect("`std`, or a plugin's file", "\"clean.wasm\"");
    let text = reader.text(value, expected)?;
    match text.expose() {
        "" => {
            reader.bad_value(value, &text, "it is empty", expected);
            None
        }
        "self" => {
            let what = "not yet: a component that brings its own pipeline comes with a later version";
            reader.error(Code::NotYet, text.span, what, expected.what, "name the component's file");
            None
        }
        STD_PLUGIN => Some(Placed::new(PluginRef::Std, text.span)),
        _ => Some(Placed::new(PluginRef::File(text.value), text.span)),
    }
}

fn config(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Config> {
    reader.table(&value, expect("a table", "{ digits = 4 }"))?;
    Some(Config { root: node(reader, &value)? })
}

fn node(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Placed<Node>> {
    let node = match value.get() {
        DeValue::Boolean(flag) => Node::Boolean(*flag),
        DeValue::Integer(_) => Node::Integer(reader.integer(value, expect("a whole number of 64 bits", "1"), i64::MIN..=i64::MAX)?),
        DeValue::Float(number) => match number.as_str().parse::<f64>().ok().filter(|number| number.is_finite()) {
            Some(number) => Node::Float(number),
            None => {
                reader.error(Code::BadValue, value.span(), format!("`{}` is {number}, which JSON can't say", value.path), "a finite number", "write a string");
                return None;
            }
        },
        DeValue::String(written) => Node::Text(reader.replace(value, written)?.value),
        DeValue::Datetime(date) => Node::Text(Text::plain(date.to_string())),
        DeValue::Array(_) => {
            let elements: Vec<Option<_>> = value.elements()?.iter().map(|element| node(reader, element)).collect();
            Node::List(elements.into_iter().collect::<Option<_>>()?)
        }
        DeValue::Table(_) => {
            let entries: Vec<Option<_>> = value.as_table()?.each().map(|(key, value)| Some((key, node(reader, &value)?))).collect();
            Node::Table(entries.into_iter().collect::<Option<_>>()?)
        }
    };
    // The root is placed by `config`, an entry by its key, an element of a list by itself.
    Some(Placed::new(node, value.key_span))
}
