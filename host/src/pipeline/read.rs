//! Owns the way from text to `spec.rs`: the top of the document here, its tables in the files below. What each key takes stands once, where it is read.

mod sink;
mod source;
mod step;

use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::cursor::{Expect, Parse, Reader, Table, Value, expect};
use super::document::{Document, Placed, Span, listed};
use super::problem::{Code, Problem, Refused, did_you_mean};
use super::property::{self, Side};
use super::spec::{CallLimits, ControlSpec, EpochLimits, KafkaTopic, MaxRejected, PipelineSpec, SinkSpec, SourceSpec, StepSpec, WatermarkPolicy};
use super::text::Text;
use super::unit::{ByteSize, DurationUs, ShareMillionths};
use crate::epoch::rate::Gains;
use crate::epoch::trigger::{Adaptive, Trigger};

/// Keys of the top that later versions will have.
const LATER: &[&str] = &["delivery", "on_poison_group", "probation"];

const NAME: Expect = expect("letters, digits, `-`, `_` and `.`", "\"events\"");
const COLUMN: Expect = expect("a column's name", "\"timestamp\"");

/// Reads a document. `env` gives the value of an environment variable. The error holds everything that was found.
pub fn parse(document: &Document, env: &dyn Fn(&str) -> Option<String>) -> Result<PipelineSpec, Refused> {
    let tree = match DeTable::parse(document.text()) {
        Ok(tree) => tree,
        Err(error) => return Err(Refused::new(document, vec![syntax(document, &error)])),
    };
    let mut reader = Reader::new(document, env);
    let spec = pipeline(&mut reader, Table::root(tree.get_ref()));
    match spec {
        Some(spec) if reader.problems.is_empty() => Ok(spec),
        _ => Err(Refused::new(document, reader.problems)),
    }
}

fn syntax(document: &Document, error: &toml::de::Error) -> Problem {
    let (what, expected) = error.message().split_once(", expected ").unwrap_or((error.message(), "valid TOML"));
    let end = document.text().len();
    let span = error.span().map_or(Span { start: end, end }, Span::from);
    Problem::error(Code::Syntax, span, format!("not TOML, {what}"), expected, "correct the line; https://toml.io has the rules")
}

fn pipeline(reader: &mut Reader<'_>, mut table: Table<'_>) -> Option<PipelineSpec> {
    let expected = expect("the pipeline's name", "\"ad-events\"");
    let name = table.required(reader, "name", expected, |reader, value| name(reader, &value));
    let trigger = table.or(reader, "trigger", Trigger::Asap, trigger);
    let state_dir = table.optional(reader, "state_dir", |reader, value| reader.text(&value, expect("a folder", "\"var/ad-events\"")));
    let limits = table.or(reader, "limits", EpochLimits::DEFAULT, epoch_limits);
    let max_rejected = table.or(reader, "max_rejected", MaxRejected::DEFAULT, max_rejected);
    let weight =
        table.or(reader, "weight", 1, |reader, value| u32::try_from(reader.integer(&value, expect("a whole number from 1 to 100", "2"), 1..=100)?).ok());
    let watermark_policy = table.or(reader, "watermark_policy", WatermarkPolicy::Min, |reader, value| {
        let words = [("min", WatermarkPolicy::Min), ("max", WatermarkPolicy::Max)];
        reader.choice(&value, expect("`min` or `max`", "\"min\""), &words, &[])
    });
    let no_data_epochs = table.or(reader, "no_data_epochs", true, |reader, value| reader.boolean(&value));
    let control = table.optional(reader, "control", control);
    let call_limits = match table.take("plugin_limits") {
        Some(value) => call_limits(reader, &value, CallLimits::DEFAULT),
        None => Some(CallLimits::DEFAULT),
    };
    let sources = tables(reader, &mut table, "source", source::source);
    // A wrong `plugin_limits` is noted; steps are read all the same, for their own problems.
    let base = call_limits.unwrap_or(CallLimits::DEFAULT);
    let steps = tables(reader, &mut table, "step", |reader, table| step::step(reader, table, base));
    let sinks = tables(reader, &mut table, "sink", sink::sink);
    let dead_letters = table.optional(reader, "dead_letters", sink::dead_letters);
    table.finish(reader, LATER);
    call_limits?;
    let (sources, steps, sinks): (Vec<SourceSpec>, Vec<StepSpec>, Vec<SinkSpec>) = (sources?, steps?, sinks?);
    let dead_letters: Option<KafkaTopic> = dead_letters?;
    Some(PipelineSpec {
        document: reader.document.clone(),
        name: name?,
        trigger: trigger?,
        state_dir: state_dir?,
        limits: limits?,
        max_rejected: max_rejected?,
        watermark_policy: watermark_policy?,
        no_data_epochs: no_data_epochs?,
        sources,
        steps,
        sinks,
        dead_letters,
        weight: weight?,
        control: control?,
    })
}

/// `{ listen, token }`
fn control(reader: &mut Reader<'_>, value: Value<'_>) -> Option<ControlSpec> {
    const LISTEN: Expect = expect("an address to listen at, `HOST:PORT`", "\"127.0.0.1:7070\"");
    let mut table = reader.table(&value, expect("a table", "{ listen = \"127.0.0.1:7070\" }"))?;
    let listen = table.required(reader, "listen", LISTEN, |reader, value| {
        reader.parsed(&value, LISTEN, |text| match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
            _ => Err("it has no host, or no port".to_owned()),
        })
    });
    let token = table.optional(reader, "token", |reader, value| {
        let token = reader.text(&value, expect("a secret", "\"${env:WEIR_TOKEN}\""))?;
        if token.expose().is_empty() {
            reader.bad_value(&value, &token, "it is empty", expect("a secret", "\"${env:WEIR_TOKEN}\""));
            return None;
        }
        Some(token.value)
    });
    table.finish(reader, &[]);
    Some(ControlSpec { listen: listen?, token: token? })
}

/// `[[key]]`, as often as it stands there.
fn tables<T>(reader: &mut Reader<'_>, top: &mut Table<'_>, key: &'static str, mut each: impl FnMut(&mut Reader<'_>, Table<'_>) -> Option<T>) -> Option<Vec<T>> {
    let Some(value) = top.take(key) else { return Some(Vec::new()) };
    let Some(elements) = value.elements() else {
        let advice = format!("write `[[{key}]]`");
        reader.error(Code::WrongType, value.key_span, format!("`{key}` is not a list of tables"), format!("`[[{key}]]` once for each {key}"), advice);
        return None;
    };
    let expected = expect("a table", "{ .. }");
    let read: Vec<Option<T>> = elements.iter().map(|element| reader.table(element, expected).and_then(|table| each(reader, table))).collect();
    read.into_iter().collect()
}

fn trigger(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Trigger> {
    const WORDS: &[(&str, Trigger)] = &[("asap", Trigger::Asap), ("once", Trigger::Once), ("available-now", Trigger::AvailableNow)];
    let expected = expect("`{ every = \"10s\" }`, `asap`, `once` or `available-now`", "{ every = \"10s\" }");
    let Some(mut table) = value.as_table() else {
        return match value.get() {
            DeValue::String(_) => reader.choice(&value, expected, WORDS, &[]),
            _ => {
                reader.wrong_type(&value, expected);
                None
            }
        };
    };
    let every =
        table.required(reader, "every", expect("a duration", "\"10s\""), |reader, value| positive(reader, &value, expect("a duration above zero", "\"10s\"")));
    let adaptive = table.optional(reader, "adaptive", adaptive);
    table.finish(reader, &[]);
    let (every, adaptive) = (every?, adaptive?);
    let interval = every.to_std();
    if let Some(Adaptive { min, max }) = adaptive
        && !(min..=max).contains(&interval)
    {
        let what = format!("`every` ({}) is not within `adaptive`, where the interval begins", every.value);
        reader.error(Code::Conflict, every.span, what, "an interval from `min` to `max` (unless given, 1s and 60s)", "change `every`, or the bounds");
        return None;
    }
    Some(Trigger::Every { interval, adaptive })
}

/// `{ min = "1s", max = "60s" }`; either may be left out.
fn adaptive(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Adaptive> {
    let mut table = reader.table(&value, expect("a table", "{ min = \"1s\", max = \"60s\" }"))?;
    let bound: Parse<Duration> = |reader, value| Some(positive(reader, &value, expect("a duration above zero", "\"1s\""))?.to_std());
    let min = table.or(reader, "min", Adaptive::DEFAULT.min, bound);
    let max = table.or(reader, "max", Adaptive::DEFAULT.max, bound);
    table.finish(reader, &[]);
    let (min, max) = (min?, max?);
    if min > max {
        reader.error(
            Code::Conflict,
            value.span(),
            "`min` is longer than `max`",
            "`min` of at most `max` (unless given, 1s and 60s)",
            "lower `min` or raise `max`",
        );
        return None;
    }
    Some(Adaptive { min, max })
}

fn epoch_limits(reader: &mut Reader<'_>, value: Value<'_>) -> Option<EpochLimits> {
    let mut table = reader.table(&value, expect("a table", "{ max_epoch_bytes = \"64MB\" }"))?;
    let bytes = table
        .or(reader, "max_epoch_bytes", EpochLimits::DEFAULT.max_epoch_bytes, |reader, value| size(reader, &value, expect("a size above zero", "\"64MB\"")));
    let records = table.optional(reader, "max_records", |reader, value| {
        let number = reader.integer(&value, expect("a whole number above zero", "100000"), 1..=i64::MAX)?;
        Some(number.unsigned_abs())
    });
    let rate = table.optional(reader, "max_rate_per_partition", |reader, value| per_second(reader, &value));
    let backpressure = table.optional(reader, "backpressure", backpressure);
    table.finish(reader, &[]);
    Some(EpochLimits { max_epoch_bytes: bytes?, max_records: records?, max_rate_per_partition: rate?, backpressure: backpressure? })
}

/// `"pid"`, or `{ pid = { min_rate = 100 } }`: Spark's names, and its defaults (P-3).
fn backpressure(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Gains> {
    let expected = expect("`pid`, or `{ pid = { .. } }` with what differs", "\"pid\"");
    if value.get().is_str() {
        return reader.choice(&value, expected, &[("pid", Gains::DEFAULT)], &[]);
    }
    let mut table = reader.table(&value, expected)?;
    let gains = table.required(reader, "pid", expect("a table", "{ min_rate = 100 }"), gains);
    table.finish(reader, &[]);
    gains
}

fn gains(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Gains> {
    let mut table = reader.table(&value, expect("a table", "{ min_rate = 100 }"))?;
    let gain: Parse<f64> = |reader, value| reader.number(&value, expect("a number that is not negative", "0.2"));
    let proportional = table.or(reader, "proportional", Gains::DEFAULT.proportional, gain);
    let integral = table.or(reader, "integral", Gains::DEFAULT.integral, gain);
    let derivative = table.or(reader, "derivative", Gains::DEFAULT.derivative, gain);
    let min_rate = table.or(reader, "min_rate", Gains::DEFAULT.min_rate, |reader, value| per_second(reader, &value));
    let initial_rate = table.optional(reader, "initial_rate", |reader, value| per_second(reader, &value));
    table.finish(reader, &[]);
    Some(Gains { proportional: proportional?, integral: integral?, derivative: derivative?, min_rate: min_rate?, initial_rate: initial_rate? })
}

fn per_second(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<u64> {
    reader.integer(value, expect("records a second, a whole number above zero", "1000"), 1..=i64::MAX).map(i64::unsigned_abs)
}

fn max_rejected(reader: &mut Reader<'_>, value: Value<'_>) -> Option<MaxRejected> {
    let expected = expect("a share of an epoch's rows", "\"1%\"");
    let share = |reader: &mut Reader<'_>, value: Value<'_>| {
        reader.typed::<ShareMillionths>(&value, expect("a share of an epoch's rows", "\"1%\"")).map(|share| share.value)
    };
    let Some(mut table) = value.as_table() else {
        if value.get().is_str() {
            return share(reader, value).map(|share| MaxRejected { share, ..MaxRejected::DEFAULT });
        }
        reader.wrong_type(&value, expected);
        return None;
    };
    let share = table.or(reader, "share", MaxRejected::DEFAULT.share, share);
    let rows = table.or(reader, "at_least_rows", MaxRejected::DEFAULT.at_least_rows, |reader, value| {
        reader.integer(&value, expect("a whole number", "100"), 0..=i64::MAX).map(i64::unsigned_abs)
    });
    table.finish(reader, &[]);
    Some(MaxRejected { share: share?, at_least_rows: rows? })
}

/// `plugin_limits`, and `limits` of a call, which says only what differs.
fn call_limits(reader: &mut Reader<'_>, value: &Value<'_>, base: CallLimits) -> Option<CallLimits> {
    let mut table = reader.table(value, expect("a table", "{ cpu = \"5s\", wall = \"30s\", memory = \"256MB\" }"))?;
    let time: Parse<DurationUs> = |reader, value| positive(reader, &value, expect("a duration above zero", "\"5s\"")).map(|time| time.value);
    let cpu = table.or(reader, "cpu", base.cpu, time);
    let wall = table.or(reader, "wall", base.wall, time);
    let memory = table.or(reader, "memory", base.memory, |reader, value| size(reader, &value, expect("a size above zero", "\"256MB\"")));
    table.finish(reader, &["output"]);
    let limits = CallLimits { cpu: cpu?, wall: wall?, memory: memory? };
    if limits.wall < limits.cpu {
        let what = format!("`wall` ({}) is shorter than `cpu` ({}), and so would always come first", limits.wall, limits.cpu);
        reader.error(Code::Conflict, value.span(), what, "`wall` of at least `cpu`", "raise `wall` or lower `cpu`");
        return None;
    }
    Some(limits)
}

/// The name of a pipeline, source, step or sink.
fn name(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Placed<String>> {
    let name = reader.plain(value, NAME)?;
    let stranger = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.".contains(*c));
    // `.` and `..` are folders to a file system, and Kafka refuses them as names, too.
    let reason = match stranger {
        Some(c) => format!("it has a `{c}`"),
        None if name.chars().all(|c| c == '.') => "it is a folder's name".to_owned(),
        None if name.len() > 200 => "it is longer than 200 characters".to_owned(),
        None => return Some(name),
    };
    reader.bad_value(value, &Text::plain(name.value), &reason, NAME);
    None
}

fn column(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Placed<String>> {
    reader.plain(&value, COLUMN)
}

fn columns(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Vec<Placed<String>>> {
    let names = reader.list(&value, expect("a list of columns", "[\"country\"]"), |reader, element| reader.plain(element, COLUMN))?;
    distinct(reader, &names).then_some(names)
}

/// Notes a name that stands twice in a list.
fn distinct(reader: &mut Reader<'_>, names: &[Placed<String>]) -> bool {
    let twice = names.iter().enumerate().find(|(i, name)| names.iter().take(*i).any(|other| other.value == name.value));
    if let Some((_, name)) = twice {
        reader.error(Code::DuplicateName, name.span, format!("`{name}` is named twice"), "each name once", "remove one");
    }
    twice.is_none()
}

fn positive(reader: &mut Reader<'_>, value: &Value<'_>, expected: Expect) -> Option<Placed<DurationUs>> {
    reader.parsed(value, expected, |text| match text.parse::<DurationUs>() {
        Ok(duration) if duration.us() == 0 => Err("it is zero".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.to_string()),
    })
}

fn size(reader: &mut Reader<'_>, value: &Value<'_>, expected: Expect) -> Option<ByteSize> {
    let size = reader.parsed(value, expected, |text| match text.parse::<ByteSize>() {
        Ok(size) if size.bytes() == 0 => Err("it is zero".to_owned()),
        Ok(size) => Ok(size),
        Err(error) => Err(error.to_string()),
    })?;
    Some(size.value)
}

/// `properties`: names and values of librdkafka's, except what Weir sets itself.
fn properties(reader: &mut Reader<'_>, value: Value<'_>, side: Side) -> Option<Vec<(String, Text)>> {
    let table = reader.table(&value, expect("a table of librdkafka settings", "{ \"client.id\" = \"weir\" }"))?;
    let mut read = Vec::new();
    let mut sound = true;
    for (name, value) in table.each() {
        if let Some((reason, advice)) = property::refusal(&name, side) {
            reader.error(Code::OwnedProperty, name.span, format!("`{name}` can't be set, because {reason}"), "a setting that is left to you", advice);
            sound = false;
            continue;
        }
        match property_text(reader, &name, &value) {
            Some(text) => read.push((name.value, text)),
            None => sound = false,
        }
    }
    sound.then_some(read)
}

/// A client's setting: librdkafka takes all of them as text.
fn property_text(reader: &mut Reader<'_>, name: &str, value: &Value<'_>) -> Option<Text> {
    if name == property::ISOLATION_LEVEL {
        let levels = [property::READ_COMMITTED, property::READ_UNCOMMITTED];
        let level = reader.choice(value, expect("`read_committed` or `read_uncommitted`", "\"read_committed\""), &levels.map(|level| (level, level)), &[])?;
        return Some(Text::plain(level));
    }
    match value.get() {
        DeValue::Integer(number) => Some(Text::plain(number.to_string())),
        DeValue::Float(number) => Some(Text::plain(number.to_string())),
        DeValue::Boolean(flag) => Some(Text::plain(flag.to_string())),
        _ => reader.text(value, expect("a string, a number or a boolean", "\"lz4\"")).map(|text| text.value),
    }
}

/// A table of columns under names of the user's, such as headers.
fn named_columns(reader: &mut Reader<'_>, value: Value<'_>, expected: Expect) -> Option<Vec<(Placed<String>, Placed<String>)>> {
    let table = reader.table(&value, expected)?;
    let read: Vec<Option<_>> = table.each().map(|(name, value)| Some((name, reader.plain(&value, COLUMN)?))).collect();
    read.into_iter().collect()
}

/// "did you mean" among words that are not keys.
fn unknown_word(reader: &mut Reader<'_>, word: &Placed<String>, what: String, known: &[&str]) {
    let advice = did_you_mean(word, known.iter().copied(), "write one of these");
    reader.error(Code::BadValue, word.span, what, listed(known.iter().copied(), "or"), advice);
}
