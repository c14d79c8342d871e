//! What a sound document becomes, and with `refusals.rs` what is said of the others.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};

use super::*;
use crate::epoch::trigger::Trigger;

mod refusals;
mod sound;

/// The document that the tests change.
const DOCUMENT: &str = r#"name = "clicks"

[[source]]
id = "events"
kafka = { brokers = "localhost:9092", topics = ["clicks"] }
format = "json"
schema = { at = "timestamp", user = "utf8", country = "utf8?", cost = "float64" }
event_time = { column = "at", watermark = "1 minute" }

[[step]]
id = "clean"
input = "events"
transform = { plugin = "clean.wasm", function = "clean", config = { drop = { prefix = "BOT" } } }

[[step]]
id = "by_country"
input = "clean"
key = ["country"]
window = { tumbling = "1 minute" }
aggregate = { plugin = "std", config = { clicks = "count(*)" } }

[[sink]]
input = "by_country"
kafka = { topic = "stats", key = ["window_start", "country"] }
"#;

/// Plugins that are only their names: a transform gives its input, an aggregate a number for each key of its config.
struct Plugins;

impl Opener for Plugins {
    type Transform = String;
    type Aggregate = String;

    fn open_transform(&mut self, step: &str, spec: &TransformSpec, input: &Schema) -> Result<OpenedTransform<String>, OpenFailure> {
        let file = match &spec.call.plugin.value {
            PluginRef::Std => "std",
            PluginRef::File(path) => path.expose(),
        };
        let config = spec.call.config.to_json().unwrap();
        let count = input.fields().len();
        let passed = match (file, spec.call.function.as_ref().unwrap().as_str()) {
            ("missing.wasm", _) => return Err(OpenFailure::MissingFile),
            ("text.wasm", _) => return Err(OpenFailure::NotOurs { reason: "it is neither a WebAssembly component nor a core module".to_owned() }),
            ("foreign.wasm", _) => return Err(OpenFailure::NotOurs { reason: "it exports nothing of `weir:plugin`".to_owned() }),
            ("newer.wasm", _) => {
                return Err(OpenFailure::NotOurs { reason: "it exports `weir:plugin/transform@0.2.0`, and this host has 0.1.0".to_owned() });
            }
            ("hunter2.wasm", _) => return Err(OpenFailure::NotOurs { reason: "`dir/hunter2.wasm` is empty".to_owned() }),
            ("trap.wasm", _) => return Err(OpenFailure::Other { message: "it trapped: unreachable".to_owned() }),
            (_, "text_only") => return Err(OpenFailure::Input { message: "`cost` must be utf8".to_owned() }),
            _ if config.contains(r#""prefix":"""#) => {
                return Err(OpenFailure::Config { pointer: "/drop/prefix".to_owned(), message: "the prefix is empty".to_owned() });
            }
            _ if config.contains("hunter2") => {
                return Err(OpenFailure::Config { pointer: "/drop/prefix".to_owned(), message: "the prefix `hunter2` is in small letters".to_owned() });
            }
            _ if config.contains(r#""drop":{}"#) => {
                return Err(OpenFailure::Config { pointer: "/drop/prefix".to_owned(), message: "`prefix` is missing".to_owned() });
            }
            (_, "clean") => (0..count).map(Some).collect(),
            (_, "parse") => vec![None; count],
            _ => return Err(OpenFailure::UnknownFunction { available: vec!["clean".to_owned(), "parse".to_owned(), "text_only".to_owned()] }),
        };
        Ok(OpenedTransform { plugin: step.to_owned(), output: Arc::new(input.clone()), passed })
    }

    fn open_aggregate(&mut self, step: &str, call: &PluginCall, _: &Schema) -> Result<OpenedAggregate<String>, OpenFailure> {
        if call.plugin.value != PluginRef::Std {
            return Err(OpenFailure::UnknownFunction { available: vec!["first".to_owned(), "last".to_owned()] });
        }
        let config: serde_json::Value = serde_json::from_str(&call.config.to_json().unwrap()).unwrap();
        let fields: Vec<Field> = config.as_object().unwrap().keys().map(|name| Field::new(name, DataType::Float64, true)).collect();
        Ok(OpenedAggregate { plugin: step.to_owned(), output: Arc::new(Schema::new(fields)) })
    }
}

/// `DOCUMENT` with each of these texts, which stand in it once, replaced.
fn changed(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(DOCUMENT.to_owned(), |text, (old, new)| {
        assert_eq!(text.matches(old).count(), 1, "`{old}` must stand once in\n{text}");
        text.replace(old, new)
    })
}

fn env(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some("hunter2".to_owned()),
        "NAME" => Some("clicks".to_owned()),
        _ => None,
    }
}

fn checked(text: &str) -> Result<Checked, Refused> {
    check(parse(&Document::new("pipeline.toml", text), &env)?)
}

fn planned(text: &str) -> Result<Plan<String, String>, Refused> {
    plan(&checked(text)?, &mut Plugins)
}
