//! What a sound document becomes, and what is said of it although it may run.

use super::*;
use crate::epoch::rate::Gains;
use crate::epoch::trigger::Adaptive;

/// The columns of a schema, `?` at those that may be null.
fn columns(schema: &Schema) -> String {
    let text = |field: &Arc<Field>| format!("{} {}{}", field.name(), schema::type_text(field), if field.is_nullable() { "?" } else { "" });
    schema.fields().iter().map(text).collect::<Vec<_>>().join(", ")
}

/// Warnings and notes as they are shown, without their excerpts.
fn findings(text: &str) -> String {
    let checked = checked(text).unwrap();
    let first_line = |problem: &Problem| problem.render(&checked.spec().document).lines().next().unwrap().to_owned();
    checked.findings().iter().map(first_line).collect::<Vec<_>>().join("\n")
}

fn spec(text: &str) -> PipelineSpec {
    parse(&Document::new("jobs/pipeline.toml", text), &env).unwrap()
}

#[test]
fn columns_and_event_time_go_from_source_to_sink() {
    let plan = planned(DOCUMENT).unwrap();
    assert_eq!(columns(&plan.sources[0].schema), "at timestamp, user utf8, country utf8?, cost float64");
    let watermark = WatermarkSpec { delay: DurationUs::from_secs(60), by: WatermarkBy::Partition { idle: DurationUs::from_secs(30) } };
    assert_eq!(plan.sources[0].event_time, Some(EventTime { column: 0, watermark: Some(watermark), max_future: DurationUs::from_secs(3600) }));

    let [clean, by_country] = plan.steps.as_slice() else { panic!("two steps") };
    assert_eq!((clean.id.as_str(), clean.inputs.as_slice()), ("clean", [Node::Source(0)].as_slice()));
    assert_eq!((by_country.id.as_str(), by_country.inputs.as_slice()), ("by_country", [Node::Step(0)].as_slice()));
    assert_eq!(columns(&by_country.schema), "window_start timestamp, window_end timestamp, country utf8?, clicks float64?");
    let PlannedOperation::Aggregate(aggregate) = &by_country.operation else { panic!("an aggregate") };
    assert_eq!(aggregate.key, [2]);
    let (size, every) = (DurationUs::from_secs(60), DurationUs::from_secs(60));
    assert_eq!(aggregate.window, PlannedWindow::Regular { size, every, offset_us: 0, time: RowTime { column: 0, is_window_end: false } });
    assert_eq!(aggregate.output_mode, OutputMode::Append);

    let PlannedTarget::Kafka(sink) = &plan.sinks[0].target else { panic!("a topic") };
    assert_eq!((plan.sinks[0].id.as_str(), plan.sinks[0].input, sink.key.as_slice()), ("by_country-kafka", Node::Step(1), [0, 2].as_slice()));
    assert_eq!((sink.topic.brokers.expose(), sink.topic.topic.expose(), sink.partitioner), ("localhost:9092", "stats", Partitioner::Murmur2Random));
}

#[test]
fn steps_run_after_their_inputs_wherever_they_stand() {
    let text = changed(&[
        ("input = \"clean\"", "input = \"late\""),
        ("[[sink]]", "[[step]]\nid = \"late\"\ninput = [\"clean\", \"events\"]\ntransform = { plugin = \"clean.wasm\", function = \"clean\" }\n\n[[sink]]"),
    ]);
    let plan = planned(&text).unwrap();
    let order: Vec<(&str, &[Node])> = plan.steps.iter().map(|step| (step.id.as_str(), step.inputs.as_slice())).collect();
    assert_eq!(order, [("clean", [Node::Source(0)].as_slice()), ("late", &[Node::Step(0), Node::Source(0)]), ("by_country", &[Node::Step(1)])]);
    assert_eq!(plan.sinks[0].input, Node::Step(2));
}

#[test]
fn a_step_that_makes_the_event_time_declares_it() {
    let text = changed(&[
        ("event_time = { column = \"at\", watermark = \"1 minute\" }\n", ""),
        (
            "function = \"clean\", config = { drop = { prefix = \"BOT\" } } }",
            "function = \"parse\" }\nevent_time = { column = \"at\", watermark = { delay = \"5s\", by = \"source\" } }",
        ),
    ]);
    let plan = planned(&text).unwrap();
    assert_eq!(plan.steps[0].event_time.unwrap().watermark, Some(WatermarkSpec { delay: DurationUs::from_secs(5), by: WatermarkBy::Source }));
    assert_eq!(plan.sources[0].event_time, None);
}

#[test]
fn a_window_of_windows_goes_by_the_end_of_the_first() {
    let text = changed(&[
        (
            "[[sink]]\ninput = \"by_country\"",
            "[[step]]\nid = \"by_hour\"\ninput = \"by_country\"\nwindow = { tumbling = \"1h\", offset = \"-15 minutes\" }\naggregate = { plugin = \"std\", config = { total = \"sum(clicks)\" } }\n\n[[sink]]\ninput = \"by_hour\"",
        ),
        ("\"window_start\", \"country\"", "\"window_start\""),
    ]);
    let plan = planned(&text).unwrap();
    let PlannedOperation::Aggregate(by_hour) = &plan.steps[2].operation else { panic!("an aggregate") };
    let PlannedWindow::Regular { time, offset_us, .. } = by_hour.window else { panic!("a window") };
    assert_eq!((time, offset_us), (RowTime { column: 1, is_window_end: true }, -900_000_000));
    assert_eq!(columns(&plan.steps[2].schema), "window_start timestamp, window_end timestamp, total float64?");
}

#[test]
fn a_union_may_be_null_where_one_of_its_inputs_may() {
    let source = "[[source]]\nid = \"more\"\nmemory = {}\nformat = \"json\"\n\
        schema = { at = \"timestamp(ms)\", user = \"utf8?\", country = \"utf8\", cost = \"float64\" }\nevent_time = { column = \"at\" }\n\n";
    let text = changed(&[("[[step]]\nid = \"clean\"\ninput = \"events\"", &format!("{source}[[step]]\nid = \"clean\"\ninput = [\"events\", \"more\"]"))]);
    let text = text.replace("window = {", "output_mode = \"update\"\nwindow = {");
    assert_eq!(columns(&planned(&text).unwrap().steps[0].input_schema), "at timestamp, user utf8?, country utf8?, cost float64");
}

#[test]
fn a_cluster_is_the_same_however_its_brokers_are_ordered() {
    let more = "[[source]]\nid = \"more\"\nkafka = { brokers = \"b:2, a:1\", topics = [\"more\"] }\nformat = \"raw\"\n\n[[step]]\nid = \"clean\"";
    let text = changed(&[("localhost:9092", "a:1,b:2"), ("[[step]]\nid = \"clean\"", more)]);
    let PlannedTarget::Kafka(sink) = &planned(&text).unwrap().sinks[0].target else { panic!("a topic") };
    assert_eq!(sink.topic.brokers.expose(), "a:1,b:2");
}

#[test]
fn raw_rows_are_kafkas_columns() {
    let text = changed(&[
        ("format = \"json\"\nschema = { at = \"timestamp\", user = \"utf8\", country = \"utf8?\", cost = \"float64\" }", "format = \"raw\""),
        ("column = \"at\"", "column = \"timestamp\""),
        ("key = [\"country\"]", "key = [\"topic\"]"),
        ("\"window_start\", \"country\"", "\"window_start\", \"topic\""),
    ]);
    let plan = planned(&text).unwrap();
    assert_eq!(columns(&plan.sources[0].schema), "key binary?, value binary?, topic utf8, partition int64, offset int64, timestamp timestamp, headers json?");
}

#[test]
fn metadata_comes_after_the_declared_columns_under_any_name() {
    let text = changed(&[("format = \"json\"", "format = \"json\"\nmetadata = { part = \"partition\", kafka_time = \"timestamp\" }")]);
    assert_eq!(columns(&planned(&text).unwrap().sources[0].schema), "at timestamp, user utf8, country utf8?, cost float64, part int64, kafka_time timestamp");
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let spec = spec(
        "name = \"a\"\n[[source]]\nid = \"s\"\nkafka = { brokers = \"b:1\", pattern = \"^t\" }\nformat = \"raw\"\n[[sink]]\ninput = \"s\"\nconsole = {}\n",
    );
    assert_eq!(spec.trigger, Trigger::Asap);
    assert_eq!(spec.state_dir(), std::path::Path::new("jobs/var/a"));
    assert_eq!((spec.limits.max_epoch_bytes.bytes(), spec.limits.max_records), (64_000_000, None));
    assert_eq!((spec.limits.max_rate_per_partition, spec.limits.backpressure), (None, None));
    assert_eq!((spec.max_rejected.share.millionths(), spec.max_rejected.at_least_rows), (10_000, 100));
    let Origin::Kafka(kafka) = &spec.sources[0].origin else { panic!("Kafka") };
    assert_eq!((&kafka.starting_offsets, kafka.on_data_loss), (&StartingOffsets::All(StartingOffset::Earliest), OnDataLoss::Fail));
    assert!(spec.dead_letters.is_none());
}

#[test]
fn everything_that_can_be_said_is_read() {
    let spec = spec(include_str!("everything.toml"));
    let [interval, min, max] = [10, 2, 30].map(std::time::Duration::from_secs);
    assert_eq!(spec.trigger, Trigger::Every { interval, adaptive: Some(Adaptive { min, max }) });
    assert_eq!(spec.state_dir(), std::path::Path::new("/var/lib/hunter2"));
    assert_eq!((spec.limits.max_epoch_bytes.bytes(), spec.limits.max_records), (16 << 20, Some(1_000)));
    let gains = Gains { proportional: 2.0, integral: 0.1, derivative: 0.05, min_rate: 10, initial_rate: Some(200) };
    assert_eq!((spec.limits.max_rate_per_partition, spec.limits.backpressure), (Some(500), Some(gains)));
    assert_eq!((spec.max_rejected.share.millionths(), spec.max_rejected.at_least_rows), (5_000, 7));
    let Origin::Kafka(kafka) = &spec.sources[0].origin else { panic!("Kafka") };
    let StartingOffsets::PerPartition(by_topic) = &kafka.starting_offsets else { panic!("by partition") };
    assert_eq!((by_topic[0].topic.as_str(), &by_topic[0].partitions), ("clicks", &vec![(0, StartingOffset::At(23)), (1, StartingOffset::Latest)]));
    assert_eq!(kafka.on_data_loss, OnDataLoss::Skip);
    let properties: Vec<(&str, &str)> = kafka.properties.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(
        properties,
        [("sasl.password", "hunter2"), ("isolation.level", "read_uncommitted"), ("fetch.min.bytes", "1"), ("socket.keepalive.enable", "true")]
    );
    let SourceFormat::Json { schema, on_bad_field } = &spec.sources[0].format else { panic!("json") };
    // The order is the document's, which is not that of the alphabet.
    assert_eq!(schema.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["z", "at", "flag", "n", "blob", "doc"]);
    assert_eq!((*on_bad_field, schema[1].declared.column_type), (OnBadField::Null, ColumnType::Timestamp(TimestampForm::Milliseconds)));
    let Operation::Aggregate(aggregate) = &spec.steps[0].operation else { panic!("an aggregate") };
    assert_eq!(aggregate.calls[0].config.to_json().unwrap(), r#"{"z":"count(*)","a":[1,2.5,true,{"deep":"hunter2"}],"day":"2026-01-31"}"#);
    assert_eq!((aggregate.calls[0].limits.cpu, aggregate.calls[0].limits.wall), (DurationUs::from_secs(1), DurationUs::from_secs(20)));
    let Target::Kafka(sink) = &spec.sinks[0].target else { panic!("a topic") };
    assert_eq!((sink.partitioner, sink.timestamp.as_deref().map(String::as_str)), (Partitioner::Consistent, Some("window_end")));
    assert_eq!((sink.headers[0].0.as_str(), sink.headers[0].1.as_str()), ("x-key", "n"));
    assert_eq!(sink.topic.create, Some(CreateTopic { partitions: 4, replication: 3 }));
    assert_eq!(spec.dead_letters.unwrap().brokers.unwrap().expose(), "b:1");
}

#[test]
fn nothing_from_the_environment_is_ever_printed() {
    let checked = check(spec(include_str!("everything.toml"))).unwrap();
    let mut shown = format!("{checked:?}{checked:#?}");
    for finding in checked.findings() {
        shown.push_str(&finding.render(&checked.spec().document));
    }
    let plan = plan(&checked, &mut Plugins).unwrap();
    shown.push_str(&format!("{plan:?}"));
    assert!(shown.contains("${env:SECRET}"));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn the_share_and_the_floor_must_both_be_passed_to_stop() {
    let limit = MaxRejected::DEFAULT;
    let allowed: Vec<bool> =
        [(100, 100), (101, 101), (101, 10_099), (101, 10_100), (u64::MAX, u64::MAX)].iter().map(|(rejected, rows)| limit.allows(*rejected, *rows)).collect();
    assert_eq!(allowed, [true, false, false, true, false]);
}

#[test]
fn the_example_of_ad_events_is_sound() {
    let text = include_str!("../../../../plugins/ad-events/pipeline.toml");
    let document = Document::new("plugins/ad-events/pipeline.toml", text);
    let checked = check(parse(&document, &env).unwrap()).unwrap();
    let said: Vec<(Severity, Code)> = checked.findings().iter().map(|problem| (problem.severity, problem.code)).collect();
    assert_eq!(said, [(Severity::Note, Code::Delivery)], "only the console's note");
    let PluginRef::File(_) = &checked.spec().steps[0].operation.calls()[0].plugin.value else { panic!("a file") };
    assert_eq!(checked.spec().steps[0].operation.calls()[0].plugin.path(&document).unwrap(), std::path::Path::new("plugins/ad-events/ad_events.wasm"));
}

#[test]
fn made_up_rows_have_a_timestamp_and_a_value_and_need_no_format() {
    let document = "name = \"a\"\n[[source]]\nid = \"s\"\nrate = { rows_per_second = 10, num_partitions = 4, ramp_up_time = \"1 minute\" }\n\
                    event_time = { column = \"timestamp\", watermark = \"1s\" }\n[[sink]]\ninput = \"s\"\n\
                    console = { num_rows = 5, truncate = false }\n";
    let plan = planned(document).unwrap();
    let Origin::Rate(rate) = plan.sources[0].origin else { panic!("a rate") };
    assert_eq!(rate, RateSource { rows_per_second: 10, num_partitions: 4, ramp_up_seconds: 60 });
    let columns: Vec<&str> = plan.sources[0].schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(columns, ["timestamp", "value"]);
    let PlannedTarget::Console(console) = plan.sinks[0].target else { panic!("a console") };
    assert_eq!((console.num_rows, console.truncate), (5, None));
    let narrow = planned(&document.replace("num_rows = 5, truncate = false", "truncate = 30")).unwrap();
    let PlannedTarget::Console(console) = narrow.sinks[0].target else { panic!("a console") };
    assert_eq!((console.num_rows, console.truncate), (20, Some(30)));
}

#[test]
fn what_is_unwise_is_said_and_runs() {
    let memory = changed(&[
        ("kafka = { brokers = \"localhost:9092\", topics = [\"clicks\"] }", "memory = {}"),
        ("kafka = { topic = \"stats\", key = [\"window_start\", \"country\"] }", "console = {}"),
    ]);
    assert_eq!(
        findings(&memory),
        "pipeline.toml:24:1: note: the console is at-least-once: after a crash it may show an epoch's rows again\n\
         pipeline.toml:1:8: warning: the pipeline has neither Kafka nor files: a second process on a copy of the state folder can't be held off, and would deliver every row \
         again; keep one copy of the state folder"
    );

    let socket = changed(&[
        ("kafka = { brokers = \"localhost:9092\", topics = [\"clicks\"] }", "socket = { host = \"localhost\", port = 9999 }"),
        ("kafka = { topic = \"stats\",", "kafka = { topic = \"stats\", brokers = \"b:1\","),
    ]);
    assert_eq!(
        findings(&socket),
        "pipeline.toml:5:1: warning: the socket `events` is at-most-once, because a socket can't be asked again: lines that no epoch has committed when the process ends, and \
         those that are sent while none runs, are lost; read rows that matter from Kafka"
    );

    let no_watermark = changed(&[(", watermark = \"1 minute\"", ""), ("window = {", "output_mode = \"update\"\nwindow = {")]);
    assert_eq!(
        findings(&no_watermark),
        "pipeline.toml:20:1: warning: the `event_time` at pipeline.toml:8:1 has no watermark: `by_country` keeps every window for ever; add `watermark = \"1 minute\"` there"
    );

    let complete = changed(&[("window = {", "output_mode = \"complete\"\nwindow = {"), ("[\"window_start\", \"country\"]", "[\"country\"]")]);
    assert_eq!(
        findings(&complete),
        "pipeline.toml:19:15: note: `by_country` keeps every window for ever, and gives all of them again in each epoch: state, epochs and output grow with the number of \
         windows; `update` gives what changed, and forgets what is closed\n\
         pipeline.toml:25:35: warning: the key of the topic `stats` lacks `window_start` of `by_country`, which is in complete mode: rows of different groups would overwrite \
         each other in a compacted topic or a table made of it; add them to `key`"
    );

    let narrow = changed(&[
        ("window = {", "output_mode = \"update\"\nwindow = {"),
        (
            "[[sink]]\ninput = \"by_country\"",
            "[[step]]\nid = \"same\"\ninput = \"by_country\"\ntransform = { plugin = \"clean.wasm\", function = \"clean\" }\n\n[[sink]]\ninput = \"same\"",
        ),
        ("key = [\"window_start\", \"country\"]", "key = [\"clicks\"]"),
    ]);
    assert_eq!(
        findings(&narrow),
        "pipeline.toml:30:35: warning: the key of the topic `stats` lacks `window_start` and `country` of `by_country`, which is in update mode: rows of different groups would \
         overwrite each other in a compacted topic or a table made of it; add them to `key`"
    );

    let running = changed(&[("window = { tumbling = \"1 minute\" }", "output_mode = \"update\""), ("[\"window_start\", \"country\"]", "[\"country\"]")]);
    assert_eq!(
        findings(&running),
        "pipeline.toml:20:1: warning: `by_country` keeps every group for ever: its state grows with the number of keys; add `ttl = \"1 day\"`, or a window"
    );
    let with_ttl = running.replace("output_mode = \"update\"", "output_mode = \"update\"\nttl = \"1 day\"");
    assert_eq!(findings(&with_ttl), "");
    let by_time = running.replace("key = [\"country\"]\n", "key = [\"country\", \"at\"]\n").replace("key = [\"country\"] }", "key = [\"country\", \"at\"] }");
    assert_eq!(findings(&by_time), "", "the watermark passes its groups");

    let clean = "transform = { plugin = \"clean.wasm\", function = \"clean\", config = { drop = { prefix = \"BOT\" } } }";
    let deduped = changed(&[(clean, "dedupe = { key = [\"user\"] }")]);
    assert_eq!(
        findings(&deduped),
        "pipeline.toml:13:1: warning: `clean` remembers every key for ever: its state grows with the number of keys; set `within_watermark = true`, or add the event time to \
         the key, if duplicates have the same"
    );
    assert_eq!(findings(&deduped.replace("[\"user\"] }", "[\"user\", \"at\"] }")), "");

    let unused = changed(&[("input = \"clean\"", "input = \"events\"")]);
    assert_eq!(
        findings(&unused),
        "pipeline.toml:11:6: warning: nothing reads the step `clean`: its work is done for nothing; name it as an `input`, or remove it"
    );

    let pattern = changed(&[("topics = [\"clicks\"]", "pattern = \"^sta.*\"")]);
    assert_eq!(
        findings(&pattern),
        "pipeline.toml:24:19: warning: the sink writes the topic `stats`, which the pattern `^sta.*` of the source `events` may match: then the pipeline would feed itself \
         without end; give the topic a name that the pattern can't match"
    );
    assert_eq!(findings(&changed(&[("topics = [\"clicks\"]", "pattern = \"^clicks-.*\"")])), "");
}
