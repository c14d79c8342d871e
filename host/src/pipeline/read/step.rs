//! Reads `[[step]]`.

use toml::de::DeValue;

use super::source::event_time;
use super::{NAME, call_limits, columns, distinct, name};
use crate::pipeline::config::{Config, Node};
use crate::pipeline::cursor::{Expect, Reader, Table, Value, expect};
use crate::pipeline::document::Placed;
use crate::pipeline::problem::Code;
use crate::pipeline::spec::{
    AddedSpec, AggregateSpec, CallLimits, DedupeSpec, GapSpec, HistorySpec, Operation, OutputMode, Past, PluginCall, PluginRef, STD_PLUGIN, StepSpec,
    TransformSpec, WindowSpec,
};
use crate::pipeline::text::Text;
use crate::pipeline::unit::{DurationUs, Interval, UnitError};

/// Keys of `[[step]]` that later versions will have.
const LATER: &[&str] = &["join", "process"];
/// Keys that only an aggregate has.
const OF_AGGREGATES: [&str; 5] = ["key", "window", "output_mode", "ttl", "allowed_lateness"];

const INPUT: Expect = expect("the `id` of a source or step, or a list of them", "\"events\"");
const LATE: Expect = expect("the `id` of a sink whose `input` is this step", "\"late-rows\"");
const FUNCTION: Expect = expect("the name of a function of the plugin", "\"clean\"");
const SIZE: Expect = expect("a duration above zero", "\"1 minute\"");

pub(super) fn step(reader: &mut Reader<'_>, mut table: Table<'_>, limits: CallLimits) -> Option<StepSpec> {
    let id = table.required(reader, "id", NAME, |reader, value| name(reader, &value));
    let inputs = table.required(reader, "input", INPUT, inputs);
    let operation =
        table.one_of(reader, &["transform", "aggregate", "dedupe", "history"], LATER, "transform = { plugin = \"clean.wasm\", function = \"clean\" }");
    let operation = match operation {
        Some(("transform", value)) => transform(reader, &mut table, &value, limits),
        Some(("dedupe", value)) => dedupe(reader, &mut table, &value),
        Some(("history", value)) => history(reader, &mut table, &value),
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
    let late = table.optional(reader, "late", |reader, value| reader.plain(&value, LATE));
    table.finish(reader, LATER);
    let (operation, late) = (operation?, late?);
    if let (Operation::Transform(_) | Operation::History(_), Some(late)) = (&operation, &late) {
        let what = "`late` does not go with `transform` or `history`, which know no late rows";
        reader.error(Code::Conflict, late.span, what, "it beside `aggregate` or `dedupe`", "remove `late`, or move it to the step with the window");
        return None;
    }
    Some(StepSpec { id: id?, inputs: inputs?, operation, event_time: event_time?, late })
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
    let sound = nothing_of_aggregates(reader, step, "transform");
    let call = call(reader, value, limits, true)?;
    sound.then_some(Operation::Transform(TransformSpec { call }))
}

/// `{ key, within_watermark }`
fn dedupe(reader: &mut Reader<'_>, step: &mut Table<'_>, value: &Value<'_>) -> Option<Operation> {
    let sound = nothing_of_aggregates(reader, step, "dedupe");
    let mut table = reader.table(value, expect("a table", "{ key = [\"event_id\"] }"))?;
    let key = table.or(reader, "key", Vec::new(), columns);
    let within_watermark = table.or(reader, "within_watermark", false, |reader, value| reader.boolean(&value));
    table.finish(reader, &[]);
    let spec = DedupeSpec { key: key?, within_watermark: within_watermark?, place: value.key_span };
    sound.then_some(Operation::Dedupe(spec))
}

/// `{ key, size, add }`
fn history(reader: &mut Reader<'_>, step: &mut Table<'_>, value: &Value<'_>) -> Option<Operation> {
    const ADD: Expect = expect("a table of new columns", "{ before = \"lag(avg_ms, 1)\", z = \"zscore(avg_ms)\" }");
    let sound = nothing_of_aggregates(reader, step, "history");
    let mut table = reader.table(value, expect("a table", "{ key = [\"endpoint\"], size = 10, add = { z = \"zscore(avg_ms)\" } }"))?;
    let key = table.or(reader, "key", Vec::new(), columns);
    let size =
        table.or(reader, "size", 10, |reader, value| u32::try_from(reader.integer(&value, expect("a whole number from 1 to 1000", "10"), 1..=1_000)?).ok());
    let add = table.required(reader, "add", ADD, |reader, value| {
        let columns: Vec<Option<AddedSpec>> = reader.table(&value, ADD)?.each().map(|(name, value)| added(reader, name, &value)).collect();
        columns.into_iter().collect::<Option<Vec<_>>>()
    });
    table.finish(reader, &[]);
    let (key, size, add) = (key?, size?, add?);
    for added in &add {
        if let Past::Lag(rows) = added.what
            && rows > size
        {
            let what = format!("`{}` looks {rows} rows back, and the history holds {size}", added.name);
            reader.error(Code::BadValue, added.name.span, what, format!("at most {size}"), "look less far back, or make `size` larger");
            return None;
        }
    }
    sound.then_some(Operation::History(HistorySpec { key, size, add, place: value.key_span }))
}

/// `"zscore(column)"`, `"lag(column, rows)"`
fn added(reader: &mut Reader<'_>, name: Placed<String>, value: &Value<'_>) -> Option<AddedSpec> {
    const WHAT: Expect = expect("`lag(column, rows)`, or `mean`, `stddev`, `min`, `max` or `zscore` of a column", "\"zscore(avg_ms)\"");
    let parsed = reader.parsed(value, WHAT, |text| {
        let inner = text.trim().split_once('(').and_then(|(function, rest)| Some((function.trim(), rest.strip_suffix(')')?)));
        let Some((function, arguments)) = inner else { return Err("it is no function of a column".to_owned()) };
        let (column, rows) = arguments.split_once(',').map_or((arguments.trim(), None), |(column, rows)| (column.trim(), Some(rows.trim())));
        let what = match (function, rows) {
            ("lag", Some(rows)) => Past::Lag(rows.parse().ok().filter(|rows| *rows > 0).ok_or("it does not say how many rows back")?),
            ("mean", None) => Past::Mean,
            ("stddev", None) => Past::Stddev,
            ("min", None) => Past::Min,
            ("max", None) => Past::Max,
            ("zscore", None) => Past::Zscore,
            _ => return Err(format!("there is no `{function}` of so many arguments")),
        };
        Ok((what, column.to_owned()))
    })?;
    let (what, column) = parsed.value;
    Some(AddedSpec { name, what, of: Placed::new(column, parsed.span) })
}

fn nothing_of_aggregates(reader: &mut Reader<'_>, step: &mut Table<'_>, operation: &str) -> bool {
    let mut sound = true;
    for key in OF_AGGREGATES {
        if let Some(value) = step.take(key) {
            let what = format!("`{key}` does not go with `{operation}`");
            reader.error(Code::Conflict, value.key_span, what, "it beside `aggregate`", format!("remove `{key}`, or make the aggregate a step of its own"));
            sound = false;
        }
    }
    sound
}

fn aggregate(reader: &mut Reader<'_>, step: &mut Table<'_>, value: &Value<'_>, limits: CallLimits) -> Option<Operation> {
    let key = step.or(reader, "key", Vec::new(), columns);
    let (window, place) = match step.take("window") {
        Some(value) => (window(reader, &value).map(Some), value.key_span),
        None if step.has_slip_of("window") => (None, value.key_span),
        None => (Some(None), value.key_span),
    };
    let ttl = step.optional(reader, "ttl", |reader, value| duration(reader, &value));
    let allowed_lateness = step.optional(reader, "allowed_lateness", |reader, value| duration(reader, &value));
    let default = Placed::new(OutputMode::Append, value.key_span);
    let output_mode = step.or(reader, "output_mode", default, |reader, value| {
        let words = [("append", OutputMode::Append), ("update", OutputMode::Update), ("complete", OutputMode::Complete)];
        let mode = reader.choice(&value, expect("`append`, `update` or `complete`", "\"append\""), &words, &[])?;
        Some(Placed::new(mode, value.span()))
    });
    let calls = match value.elements() {
        None => call(reader, value, limits, false).map(|call| vec![call]),
        Some(elements) => calls(reader, value, &elements, limits),
    };
    let (window, ttl, allowed_lateness) = (window?, ttl?, allowed_lateness?);
    if let (Some(_), Some(ttl)) = (&window, &ttl) {
        let what = "`ttl` does not go with `window`";
        reader.error(Code::Conflict, ttl.span, what, "it on an aggregate without a window", "remove `ttl`: the watermark closes windows");
        return None;
    }
    Some(Operation::Aggregate(AggregateSpec { key: key?, window, place, calls: calls?, output_mode: output_mode?, ttl, allowed_lateness }))
}

/// `[{ plugin, .. }, { plugin, .. }]`
fn calls(reader: &mut Reader<'_>, value: &Value<'_>, elements: &[Value<'_>], limits: CallLimits) -> Option<Vec<PluginCall>> {
    if elements.is_empty() {
        reader.error(
            Code::BadValue,
            value.span(),
            "`aggregate` is empty",
            "a table, or a list of them",
            "write `aggregate = { plugin = \"std\", config = { n = \"count(*)\" } }`",
        );
        return None;
    }
    // All of them, so that one run shows what is wrong with each.
    let read: Vec<Option<PluginCall>> = elements.iter().map(|element| call(reader, element, limits, false)).collect();
    read.into_iter().collect()
}

/// `{ tumbling, offset }`, `{ sliding, every, offset }` or `{ session }`
fn window(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<WindowSpec> {
    let mut table = reader.table(value, expect("a table", "{ tumbling = \"1 minute\" }"))?;
    let kind = table.one_of(reader, &["tumbling", "sliding", "session"], &[], "tumbling = \"1 minute\"");
    let spec = match kind {
        Some(("session", value)) => gap(reader, &value).map(WindowSpec::Session),
        Some((kind, size)) => regular(reader, &mut table, kind == "sliding", &size, value),
        None => {
            // What belongs to some window is not unknown while nobody can tell which one this is.
            ["every", "offset"].into_iter().for_each(|key| drop(table.take(key)));
            None
        }
    };
    table.finish(reader, &[]);
    spec
}

/// Windows that begin at regular moments. T-2: a slide longer than the window would leave rows in none, and an offset of a whole slide or more is a slip; Spark
/// takes either sign.
fn regular(reader: &mut Reader<'_>, table: &mut Table<'_>, sliding: bool, size: &Value<'_>, window: &Value<'_>) -> Option<WindowSpec> {
    let size = duration(reader, size);
    let every = match sliding {
        true => table.required(reader, "every", SIZE, |reader, value| duration(reader, &value)),
        false => size.clone(),
    };
    let zero = Placed::new(0, window.span());
    let offset =
        table.or(reader, "offset", zero, |reader, value| reader.parsed(&value, expect("a duration, which may be negative", "\"15 seconds\""), signed_us));
    let (size, every, offset) = (size?, every?, offset?);
    if every.us() > size.us() {
        let what = "`every` is longer than the window, so that some rows would be in none";
        reader.error(Code::BadValue, every.span, what, format!("at most {}", size.value), "make it shorter, or the window longer");
        return None;
    }
    if offset.abs() >= every.us() {
        let (what, advice) = match sliding {
            true => ("`offset` is not smaller than `every`", "take whole slides off it"),
            false => ("`offset` is not smaller than the window", "take whole windows off it"),
        };
        reader.error(Code::BadValue, offset.span, what, format!("less than {}", every.value), advice);
        return None;
    }
    Some(WindowSpec::Regular { size: size.value, every: every.value, offset_us: offset.value })
}

/// `"30 minutes"`, or `{ gap = "column" }`
fn gap(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<GapSpec> {
    const COLUMN: Expect = expect("a column with each row's gap", "\"gap\"");
    let Some(mut table) = value.as_table() else {
        let gap = reader.parsed(value, expect("a duration above zero", "\"5 minutes\""), |text| match Interval::parse(text) {
            Ok(gap) if gap.is_zero() => Err("it is zero".to_owned()),
            other => other.map_err(|error| error.to_string()),
        });
        return gap.map(|gap| GapSpec::Fixed(gap.value));
    };
    let column = table.required(reader, "gap", COLUMN, |reader, value| reader.plain(&value, COLUMN));
    table.finish(reader, &[]);
    Some(GapSpec::Column(column?))
}

fn duration(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Placed<DurationUs>> {
    reader.parsed(value, SIZE, |text| match DurationUs::parse_fixed(text) {
        Ok(size) if size.us() == 0 => Err("it is zero".to_owned()),
        other => other.map_err(|error| error.to_string()),
    })
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
