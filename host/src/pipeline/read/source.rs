//! Reads `[[source]]`, and `event_time`, which a step may have as well.

use std::collections::HashSet;

use toml::de::DeValue;

use super::{COLUMN, NAME, column, name, positive, properties, unknown_word};
use crate::pipeline::cursor::{Expect, Reader, Table, Value, expect};
use crate::pipeline::document::Placed;
use crate::pipeline::problem::Code;
use crate::pipeline::property::Side;
use crate::pipeline::schema::{ColumnType, Declared, KafkaColumn, TimestampForm};
use crate::pipeline::spec::{
    ColumnSpec, EventTimeSpec, KafkaSource, MetadataColumn, OnBadField, OnDataLoss, Origin, RateSource, SocketSource, SourceFormat, SourceSpec, StartingOffset,
    StartingOffsets, TopicOffsets, Topics, WatermarkBy, WatermarkSpec,
};
use crate::pipeline::unit::DurationUs;

/// Keys of `[[source]]` that later versions will have.
const LATER: &[&str] = &["file"];

/// Partitions are this quiet before the others go on without them: longer than the pauses of a healthy producer, shorter than anyone wants to wait.
const DEFAULT_IDLE: DurationUs = DurationUs::from_secs(30);
/// An hour is also how far ahead Kafka itself lets a record's time be.
const DEFAULT_MAX_FUTURE: DurationUs = DurationUs::from_secs(3600);

pub(super) const BROKERS: Expect = expect("`host:port`, several with commas", "\"localhost:9092\"");
const HOST: Expect = expect("a server's name or address", "\"localhost\"");
const PORT: Expect = expect("a port from 1 to 65535", "9999");
const FORMAT: Expect = expect("`json` or `raw`", "\"json\"");
const DELAY: Expect = expect("a delay", "\"1 minute\"");
const OFFSETS: Expect = expect("`earliest`, `latest`, or a table of topics with their partitions", "{ events = { \"0\" = 23, \"1\" = \"latest\" } }");

pub(super) fn source(reader: &mut Reader<'_>, mut table: Table<'_>) -> Option<SourceSpec> {
    let id = table.required(reader, "id", NAME, |reader, value| name(reader, &value));
    let origin = table.one_of(reader, &["kafka", "rate", "socket", "memory"], LATER, "kafka = { brokers = \"localhost:9092\", topics = [\"events\"] }");
    let format = match &origin {
        Some(("rate", value)) => rate_format(reader, &mut table, value),
        _ => format(reader, &mut table),
    };
    let origin = origin.and_then(|(kind, value)| match kind {
        "rate" => rate(reader, &value),
        "socket" => socket(reader, &value),
        "memory" => memory(reader, &value),
        _ => kafka(reader, &value),
    });
    let metadata = table.or(reader, "metadata", Vec::new(), metadata);
    let event_time = table.optional(reader, "event_time", event_time);
    table.finish(reader, LATER);
    Some(SourceSpec { id: id?, origin: origin?, format: format?, metadata: metadata?, event_time: event_time? })
}

fn memory(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Origin> {
    reader.table(value, expect("an empty table", "{}"))?.finish(reader, &[]);
    Some(Origin::Memory)
}

/// `{ rows_per_second = 1, num_partitions = 1, ramp_up_time = "0s" }`, as Spark's.
fn rate(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Origin> {
    let mut table = reader.table(value, expect("a table, which may be empty", "{ rows_per_second = 10 }"))?;
    let rows = table.or(reader, "rows_per_second", 1, |reader, value| {
        u32::try_from(reader.integer(&value, expect("a whole number from 1 to 10000000", "10"), 1..=10_000_000)?).ok()
    });
    let partitions = table
        .or(reader, "num_partitions", 1, |reader, value| u32::try_from(reader.integer(&value, expect("a whole number from 1 to 1024", "4"), 1..=1_024)?).ok());
    let ramp = table.or(reader, "ramp_up_time", 0, |reader, value| {
        let seconds = |text: &str| match text.parse::<DurationUs>() {
            Ok(time) if time.us() % 1_000_000 != 0 => Err("it is not whole seconds".to_owned()),
            Ok(time) => u32::try_from(time.us() / 1_000_000).map_err(|_| "it is too large".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        Some(reader.parsed(&value, expect("a duration of whole seconds", "\"30s\""), seconds)?.value)
    });
    table.finish(reader, &[]);
    Some(Origin::Rate(RateSource { rows_per_second: rows?, num_partitions: partitions?, ramp_up_seconds: ramp? }))
}

/// The columns that made-up rows have: nothing is left to be declared.
fn rate_format(reader: &mut Reader<'_>, source: &mut Table<'_>, rate: &Value<'_>) -> Option<SourceFormat> {
    let mut sound = true;
    for key in ["format", "schema", "on_bad_field"] {
        if let Some(value) = source.take(key) {
            let what = format!("`{key}` does not go with `rate`");
            reader.error(Code::Conflict, value.key_span, what, "the columns `timestamp` and `value` that every such row has", format!("remove `{key}`"));
            sound = false;
        }
    }
    let column = |name: &str, column_type| ColumnSpec { name: Placed::new(name.to_owned(), rate.span()), declared: Declared { column_type, nullable: false } };
    let schema = vec![column("timestamp", ColumnType::Timestamp(TimestampForm::Iso8601)), column("value", ColumnType::Int64)];
    sound.then_some(SourceFormat::Json { schema, on_bad_field: OnBadField::Reject })
}

/// `{ host, port }`
fn socket(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Origin> {
    let mut table = reader.table(value, expect("a table", "{ host = \"localhost\", port = 9999 }"))?;
    let host = table.required(reader, "host", HOST, |reader, value| reader.plain(&value, HOST));
    let port = table.required(reader, "port", PORT, |reader, value| u16::try_from(reader.integer(&value, PORT, 1..=i64::from(u16::MAX))?).ok());
    table.finish(reader, &[]);
    Some(Origin::Socket(SocketSource { host: host?, port: port?, span: value.key_span }))
}

fn kafka(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Origin> {
    let mut table = reader.table(value, expect("a table", "{ brokers = \"localhost:9092\", topics = [\"events\"] }"))?;
    let brokers = table.required(reader, "brokers", BROKERS, |reader, value| reader.text(&value, BROKERS));
    let topics = table.one_of(reader, &["topics", "pattern"], &[], "topics = [\"events\"]");
    let topics = topics.and_then(|(key, value)| if key == "pattern" { pattern(reader, &value) } else { named_topics(reader, &value) });
    let starting_offsets = table.or(reader, "starting_offsets", StartingOffsets::All(StartingOffset::Earliest), starting_offsets);
    let on_data_loss = table.or(reader, "on_data_loss", OnDataLoss::Fail, |reader, value| {
        reader.choice(&value, expect("`fail` or `skip`", "\"fail\""), &[("fail", OnDataLoss::Fail), ("skip", OnDataLoss::Skip)], &[])
    });
    let properties = table.or(reader, "properties", Vec::new(), |reader, value| properties(reader, value, Side::Source));
    table.finish(reader, &[]);
    let (topics, starting_offsets) = (topics?, starting_offsets?);
    started_topics_are_read(reader, &topics, &starting_offsets)?;
    Some(Origin::Kafka(KafkaSource { brokers: brokers?, topics, starting_offsets, on_data_loss: on_data_loss?, properties: properties? }))
}

fn pattern(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Topics> {
    // librdkafka takes a name that begins with `^` for a pattern, and any other for a topic.
    let expected = expect("a regular expression that begins with `^`", "\"^ad-.*\"");
    let pattern = reader.text(value, expected)?;
    if !pattern.expose().starts_with('^') {
        reader.bad_value(value, &pattern, "", expected);
        return None;
    }
    Some(Topics::Pattern(pattern))
}

fn named_topics(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Topics> {
    let expected = expect("a list of topics", "[\"events\"]");
    let topics = reader.list(value, expected, |reader, element| {
        let topic = reader.text(element, expected)?;
        if topic.expose().is_empty() || topic.expose().starts_with('^') {
            reader.bad_value(element, &topic, "a pattern stands at `pattern`", expected);
            return None;
        }
        Some(topic)
    })?;
    if topics.is_empty() {
        reader.error(Code::BadValue, value.span(), format!("`{}` is empty", value.path), "at least one topic", "write `topics = [\"events\"]`");
        return None;
    }
    Some(Topics::Named(topics))
}

fn starting_offsets(reader: &mut Reader<'_>, value: Value<'_>) -> Option<StartingOffsets> {
    let Some(table) = value.as_table() else {
        if value.get().is_str() {
            return offset_word(reader, &value, OFFSETS).map(StartingOffsets::All);
        }
        reader.wrong_type(&value, OFFSETS);
        return None;
    };
    let mut by_topic = Vec::new();
    for (topic, partitions) in table.each() {
        let partitions = reader.table(&partitions, expect("a table of partitions", "{ \"0\" = 23, \"1\" = \"latest\" }"))?;
        let offsets: Vec<Option<_>> = partitions.each().map(|(partition, offset)| partition_offset(reader, &partition, &offset)).collect();
        by_topic.push(TopicOffsets { topic, partitions: offsets.into_iter().collect::<Option<_>>()? });
    }
    Some(StartingOffsets::PerPartition(by_topic))
}

fn partition_offset(reader: &mut Reader<'_>, partition: &Placed<String>, offset: &Value<'_>) -> Option<(i32, StartingOffset)> {
    let Some(number) = partition.parse::<i32>().ok().filter(|number| *number >= 0) else {
        reader.error(Code::BadValue, partition.span, format!("`{partition}` is no partition"), "a partition's number", "write `\"0\" = 23`");
        return None;
    };
    let expected = expect("an offset, `earliest` or `latest`", "23");
    let start = match offset.get() {
        DeValue::Integer(_) => StartingOffset::At(reader.integer(offset, expected, 0..=i64::MAX)?),
        DeValue::String(_) => offset_word(reader, offset, expected)?,
        _ => {
            reader.wrong_type(offset, expected);
            return None;
        }
    };
    Some((number, start))
}

fn offset_word(reader: &mut Reader<'_>, value: &Value<'_>, expected: Expect) -> Option<StartingOffset> {
    reader.choice(value, expected, &[("earliest", StartingOffset::Earliest), ("latest", StartingOffset::Latest)], &[])
}

/// A topic of `starting_offsets` that is not read is a slip that would start its partitions elsewhere.
fn started_topics_are_read(reader: &mut Reader<'_>, topics: &Topics, starting_offsets: &StartingOffsets) -> Option<()> {
    let (Topics::Named(topics), StartingOffsets::PerPartition(by_topic)) = (topics, starting_offsets) else { return Some(()) };
    let stranger = by_topic.iter().find(|start| !topics.iter().any(|read| read.expose() == start.topic.value));
    let Some(TopicOffsets { topic, .. }) = stranger else { return Some(()) };
    let shown: Vec<String> = topics.iter().map(|topic| topic.to_string()).collect();
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    unknown_word(reader, topic, format!("`starting_offsets` names the topic `{topic}`, which is not read"), &shown);
    None
}

/// `format` and what depends on it.
fn format(reader: &mut Reader<'_>, table: &mut Table<'_>) -> Option<SourceFormat> {
    let places = ["schema", "on_bad_field", "metadata"].map(|key| (key, table.place(key)));
    let raw = table.required(reader, "format", FORMAT, |reader, value| reader.choice(&value, FORMAT, &[("json", false), ("raw", true)], &["csv", "avro"]));
    let on_bad_field = table.or(reader, "on_bad_field", OnBadField::Reject, |reader, value| {
        reader.choice(&value, expect("`reject` or `null`", "\"reject\""), &[("reject", OnBadField::Reject), ("null", OnBadField::Null)], &[])
    });
    let expected = expect("the columns of `json` and their types", "{ id = \"utf8\", at = \"timestamp\" }");
    // Only `json` needs a schema; where the format is unknown, its absence is no second problem.
    let schema = if raw == Some(false) { table.required(reader, "schema", expected, schema).map(Some) } else { table.optional(reader, "schema", schema) };
    if !raw? {
        return Some(SourceFormat::Json { schema: schema??, on_bad_field: on_bad_field? });
    }
    let mut sound = true;
    for (key, place) in places {
        if let Some(span) = place {
            let expected = "Kafka's own columns: `key`, `value`, `topic`, `partition`, `offset`, `timestamp` and `headers`";
            reader.error(Code::Conflict, span, format!("`{key}` does not go with `format = \"raw\"`"), expected, format!("remove `{key}`"));
            sound = false;
        }
    }
    sound.then_some(SourceFormat::Raw)
}

fn schema(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Vec<ColumnSpec>> {
    let table = reader.table(&value, expect("a table of columns", "{ id = \"utf8\", at = \"timestamp\" }"))?;
    let expected = expect(
        "`boolean`, `int64`, `float64`, `timestamp`, `timestamp(s)`, `timestamp(ms)`, `timestamp(us)`, `timestamp(ns)`, `utf8`, `binary` or `json`, with `?` if it may be null",
        "\"utf8\"",
    );
    let read: Vec<Option<ColumnSpec>> = table.each().map(|(name, value)| Some(ColumnSpec { name, declared: reader.typed(&value, expected)?.value })).collect();
    let columns: Vec<ColumnSpec> = read.into_iter().collect::<Option<_>>()?;
    if columns.is_empty() {
        reader.error(Code::BadValue, value.span(), format!("`{}` is empty", value.path), "at least one column", "write `schema = { id = \"utf8\" }`");
        return None;
    }
    Some(columns)
}

/// `["offset"]`, or `{ kafka_offset = "offset" }` for other names.
fn metadata(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Vec<MetadataColumn>> {
    let expected = expect("a list of Kafka's columns, or a table of names and columns", "[\"partition\", \"offset\"]");
    let written: Vec<(Placed<String>, Placed<String>)> = match value.as_table() {
        Some(_) => super::named_columns(reader, value, expected)?,
        None => reader.list(&value, expected, |reader, element| reader.plain(element, COLUMN))?.into_iter().map(|name| (name.clone(), name)).collect(),
    };
    let mut seen = HashSet::new();
    let mut columns = Vec::new();
    for (name, column) in written {
        // The value is what `format` reads; it is a column of `raw` only.
        let known = KafkaColumn::ALL.into_iter().filter(|known| *known != KafkaColumn::Value);
        let Some(found) = known.clone().find(|known| known.as_str() == column.value) else {
            unknown_word(reader, &column, format!("`metadata` has no `{column}`"), &known.map(KafkaColumn::as_str).collect::<Vec<_>>());
            return None;
        };
        if !seen.insert(name.value.clone()) {
            reader.error(Code::DuplicateName, name.span, format!("`{name}` is named twice"), "each name once", "remove one");
            return None;
        }
        columns.push(MetadataColumn { name, column: found });
    }
    Some(columns)
}

pub(super) fn event_time(reader: &mut Reader<'_>, value: Value<'_>) -> Option<EventTimeSpec> {
    let mut table = reader.table(&value, expect("a table", "{ column = \"timestamp\", watermark = \"1 minute\" }"))?;
    let column = table.required(reader, "column", COLUMN, column);
    let watermark = table.optional(reader, "watermark", watermark);
    let max_future = table.or(reader, "max_future", DEFAULT_MAX_FUTURE, |reader, value| Some(reader.typed(&value, expect("a duration", "\"1h\""))?.value));
    table.finish(reader, &[]);
    Some(EventTimeSpec { column: column?, watermark: watermark?, max_future: max_future?, span: value.key_span })
}

/// `"1 minute"`, or `{ delay = "1 minute", by = "partition", idle = "30s" }`.
fn watermark(reader: &mut Reader<'_>, value: Value<'_>) -> Option<WatermarkSpec> {
    let Some(mut table) = value.as_table() else {
        let delay = reader.typed(&value, DELAY)?.value;
        return Some(WatermarkSpec { delay, by: WatermarkBy::Partition { idle: DEFAULT_IDLE } });
    };
    let idle_span = table.place("idle");
    let delay = table.required(reader, "delay", DELAY, |reader, value| reader.typed::<DurationUs>(&value, DELAY));
    let by_source = table.or(reader, "by", false, |reader, value| {
        reader.choice(&value, expect("`partition` or `source`", "\"partition\""), &[("partition", false), ("source", true)], &[])
    });
    let idle =
        table.or(reader, "idle", Placed::new(DEFAULT_IDLE, value.span()), |reader, value| positive(reader, &value, expect("a duration above zero", "\"30s\"")));
    table.finish(reader, &[]);
    let (delay, by_source, idle) = (delay?.value, by_source?, idle?.value);
    match (by_source, idle_span) {
        (true, Some(span)) => {
            let what = "`idle` does not go with `by = \"source\"`, which has one watermark for all partitions";
            reader.error(Code::Conflict, span, what, "`idle` beside `by = \"partition\"`", "remove `idle`");
            None
        }
        (true, None) => Some(WatermarkSpec { delay, by: WatermarkBy::Source }),
        (false, _) => Some(WatermarkSpec { delay, by: WatermarkBy::Partition { idle } }),
    }
}
