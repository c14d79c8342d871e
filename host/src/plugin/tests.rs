//! What guests can do to the host, and what the host makes of it.

mod guest;
mod honest;
mod hostile;
mod loading;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arrow_array::{Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use serde_json::Value;

use self::guest::Guest;
use super::{Context, Engine, Limits, PluginError, Transform, Transformed};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(None).unwrap());

const CONTEXT: Context = Context { epoch: 7, now_us: 1_000_000, watermark_us: None };

/// Limits that a test does not wait for.
fn limits() -> Limits {
    Limits { call_cpu: Duration::from_millis(100), call_wall: Duration::from_secs(20), memory_bytes: 4 << 20, output_bytes: 64 << 10, ..Limits::default() }
}

/// Three rows: `id`, `name` with a null, `price`.
fn batch() -> RecordBatch {
    let schema =
        Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("name", DataType::Utf8, true), Field::new("price", DataType::Float64, false)]);
    let names = StringArray::from(vec![Some("a"), None, Some("ccc")]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from(vec![1, 2, 3])), Arc::new(names), Arc::new(Float64Array::from(vec![0.5, -1.0, 2.5]))])
        .unwrap()
}

fn open(guest: &Guest, limits: &Limits) -> Transform {
    let plugin = ENGINE.load_bytes("hostile.wasm", &guest.build()).unwrap();
    plugin.open_transform("f", &Value::Null, &batch().schema(), limits).unwrap()
}

fn run(guest: &Guest) -> Result<Transformed, PluginError> {
    open(guest, &limits()).run(&CONTEXT, &batch())
}
