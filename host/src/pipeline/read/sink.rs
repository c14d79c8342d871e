//! Reads `[[sink]]` and `[dead_letters]`.

use toml::de::DeValue;

use super::source::BROKERS;
use super::{column, columns, name, named_columns, properties};
use crate::pipeline::cursor::{Expect, Reader, Table, Value, expect};
use crate::pipeline::document::Placed;
use crate::pipeline::problem::Code;
use crate::pipeline::property::Side;
use crate::pipeline::spec::{ConsoleSink, CreateTopic, KafkaSink, KafkaTopic, Partitioner, SinkSpec, Target};

/// Rows of an epoch, and characters of a value, that a console shows: Spark's.
const CONSOLE_ROWS: u32 = 20;
const CONSOLE_CHARS: u32 = 20;

/// Keys of `[[sink]]` that later versions will have.
const LATER: &[&str] = &["file", "clickhouse", "webhook"];

const INPUT: Expect = expect("the `id` of a source or step", "\"by_country\"");
const TOPIC: Expect = expect("a topic's name", "\"ad-stats\"");
const PARTITIONER: Expect = expect("`murmur2_random`, `murmur2`, `consistent_random`, `consistent`, `fnv1a_random` or `fnv1a`", "\"murmur2_random\"");
const PARTITIONERS: [(&str, Partitioner); 6] = {
    use Partitioner::{Consistent, ConsistentRandom, Fnv1a, Fnv1aRandom, Murmur2, Murmur2Random};
    [
        (Murmur2Random.as_str(), Murmur2Random),
        (Murmur2.as_str(), Murmur2),
        (ConsistentRandom.as_str(), ConsistentRandom),
        (Consistent.as_str(), Consistent),
        (Fnv1aRandom.as_str(), Fnv1aRandom),
        (Fnv1a.as_str(), Fnv1a),
    ]
};

pub(super) fn sink(reader: &mut Reader<'_>, mut table: Table<'_>) -> Option<SinkSpec> {
    let input = table.required(reader, "input", INPUT, |reader, value| reader.plain(&value, INPUT));
    let id = table.optional(reader, "id", |reader, value| name(reader, &value));
    let target = table.one_of(reader, &["kafka", "console", "memory"], LATER, "console = {}");
    let target = target.and_then(|(kind, value)| Some((kind, value.key_span, target_of(reader, kind, &value)?)));
    let format_place = table.place("format");
    let format = table.or(reader, "format", (), |reader, value| reader.choice(&value, expect("`json`", "\"json\""), &[("json", ())], &["csv", "avro", "raw"]));
    table.finish(reader, LATER);
    let (kind, span, target) = target?;
    if let (Target::Console(_) | Target::Memory, Some(place)) = (&target, format_place) {
        reader.error(
            Code::Conflict,
            place,
            "`format` does not go with `console` or `memory`, which show rows as they are",
            "it beside `kafka`",
            "remove `format`",
        );
        return None;
    }
    format?;
    let input = input?;
    let id = id?.unwrap_or_else(|| Placed::new(format!("{input}-{kind}"), span));
    Some(SinkSpec { id, input, target })
}

fn target_of(reader: &mut Reader<'_>, kind: &str, value: &Value<'_>) -> Option<Target> {
    if kind == "kafka" {
        return kafka(reader, value).map(Target::Kafka);
    }
    if kind == "console" {
        return console(reader, value).map(Target::Console);
    }
    reader.table(value, expect("an empty table", "{}"))?.finish(reader, &[]);
    Some(Target::Memory)
}

/// `{ num_rows = 20, truncate = true }`, as Spark's.
fn console(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<ConsoleSink> {
    let mut table = reader.table(value, expect("a table, which may be empty", "{}"))?;
    let num_rows = table.or(reader, "num_rows", CONSOLE_ROWS, |reader, value| count(reader, &value, expect("a whole number above zero", "20")));
    let truncate = table.or(reader, "truncate", Some(CONSOLE_CHARS), |reader, value| match value.get() {
        DeValue::Boolean(truncate) => Some(truncate.then_some(CONSOLE_CHARS)),
        _ => count(reader, &value, expect("`true`, `false`, or how many characters are shown", "true")).map(Some),
    });
    table.finish(reader, &[]);
    Some(ConsoleSink { num_rows: num_rows?, truncate: truncate?, span: value.key_span })
}

fn count(reader: &mut Reader<'_>, value: &Value<'_>, expected: Expect) -> Option<u32> {
    u32::try_from(reader.integer(value, expected, 1..=i64::from(u32::MAX))?).ok()
}

fn kafka(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<KafkaSink> {
    let mut table = reader.table(value, expect("a table", "{ topic = \"ad-stats\", key = [\"country\"] }"))?;
    let key = table.or(reader, "key", Vec::new(), columns);
    let partitioner = table.or(reader, "partitioner", Partitioner::Murmur2Random, |reader, value| reader.choice(&value, PARTITIONER, &PARTITIONERS, &[]));
    let timestamp = table.optional(reader, "timestamp", column);
    let headers = table
        .or(reader, "headers", Vec::new(), |reader, value| named_columns(reader, value, expect("a table of headers and columns", "{ trace = \"trace_id\" }")));
    let topic = topic(reader, table, value);
    let headers = headers?.into_iter().map(|(header, column)| (header.value, column)).collect();
    Some(KafkaSink { topic: topic?, key: key?, partitioner: partitioner?, timestamp: timestamp?, headers })
}

/// The topic's own keys, and the end of its table.
fn topic(reader: &mut Reader<'_>, mut table: Table<'_>, value: &Value<'_>) -> Option<KafkaTopic> {
    let topic = table.required(reader, "topic", TOPIC, |reader, value| {
        let topic = reader.text(&value, TOPIC)?;
        if topic.expose().is_empty() {
            reader.bad_value(&value, &topic, "it is empty", TOPIC);
            return None;
        }
        Some(topic)
    });
    let brokers = table.optional(reader, "brokers", |reader, value| reader.text(&value, BROKERS));
    let create = table.optional(reader, "create", create);
    let properties = table.or(reader, "properties", Vec::new(), |reader, value| properties(reader, value, Side::Sink));
    table.finish(reader, &[]);
    Some(KafkaTopic { topic: topic?, brokers: brokers?, create: create?, properties: properties?, span: value.key_span })
}

fn create(reader: &mut Reader<'_>, value: Value<'_>) -> Option<CreateTopic> {
    let mut table = reader.table(&value, expect("a table", "{ partitions = 4, replication = 1 }"))?;
    let count = expect("a whole number above zero", "1");
    let partitions =
        table.required(reader, "partitions", count, |reader, value| reader.integer(&value, expect("a whole number above zero", "4"), 1..=i64::from(i32::MAX)));
    let replication =
        table.required(reader, "replication", count, |reader, value| reader.integer(&value, expect("a whole number above zero", "1"), 1..=i64::from(i16::MAX)));
    table.finish(reader, &["config"]);
    Some(CreateTopic { partitions: i32::try_from(partitions?).ok()?, replication: i32::try_from(replication?).ok()? })
}

pub(super) fn dead_letters(reader: &mut Reader<'_>, value: Value<'_>) -> Option<KafkaTopic> {
    let mut table = reader.table(&value, expect("a table", "{ kafka = { topic = \"dead\" } }"))?;
    let kafka = table.one_of(reader, &["kafka"], LATER, "kafka = { topic = \"ad-events.dead\" }");
    let target = kafka.and_then(|(_, value)| {
        let table = reader.table(&value, expect("a table", "{ topic = \"ad-events.dead\" }"))?;
        topic(reader, table, &value)
    });
    table.finish(reader, LATER);
    target
}
