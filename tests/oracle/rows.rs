//! Rows in the form of the cases: into the sources, and out of the last step.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use weir::format::timestamp::parse_iso;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array as _, RecordBatch};
use arrow_schema::DataType;

use crate::document::{Scale, Translated};

/// How the last step's rows are shown.
pub(crate) struct Shown {
    window: Option<&'static str>,
    scales: BTreeMap<String, Scale>,
}

/// A row of a case as a record.
pub(crate) fn fed(row: &Value, schema: &BTreeMap<String, String>) -> String {
    let mut fed = Map::new();
    for (name, of) in schema {
        let value = &row[name];
        match (of.as_str(), value) {
            (_, Value::Null) => {}
            ("double" | "float", Value::String(text)) => drop(fed.insert(format!("{name}__text"), json!(text.replace("Infinity", "inf")))),
            ("double" | "float", number) => drop(fed.insert(format!("{name}__text"), json!(number.to_string()))),
            ("binary", Value::String(text)) => drop(fed.insert(name.clone(), json!(text.trim_start_matches("base64:")))),
            (decimal, Value::String(text)) if decimal.starts_with("decimal") => {
                drop(fed.insert(name.clone(), json!(text.replace('.', "").parse::<i64>().unwrap_or_default())))
            }
            _ => drop(fed.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(fed).to_string()
}

/// Microseconds since 1970.
pub(crate) fn microseconds(text: &str) -> i64 {
    parse_iso(text.as_bytes()).unwrap_or(i64::MIN)
}

impl Shown {
    pub(crate) fn of(translated: &Translated) -> Self {
        Self { window: translated.window, scales: translated.scales.clone() }
    }

    pub(crate) fn of_batch(&self, batch: &RecordBatch) -> Vec<Value> {
        (0..batch.num_rows()).map(|row| self.row(batch, row)).collect()
    }

    fn row(&self, batch: &RecordBatch, row: usize) -> Value {
        let mut shown = Map::new();
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let value = if column.is_null(row) { Value::Null } else { value(column.as_ref(), row, self.scales.get(field.name())) };
            match (self.window, field.name().as_str()) {
                (Some(window), "window_start") => shown.entry(window).or_insert_with(|| json!({}))["start"] = value,
                (Some(window), "window_end") => shown.entry(window).or_insert_with(|| json!({}))["end"] = value,
                (_, name) => drop(shown.insert(name.to_owned(), value)),
            }
        }
        Value::Object(shown)
    }
}

fn value(column: &dyn arrow_array::Array, row: usize, scale: Option<&Scale>) -> Value {
    match column.data_type() {
        DataType::Int64 => {
            let value = column.as_primitive::<Int64Type>().value(row);
            scale.map_or_else(|| json!(value), |scale| json!(decimal(value.into(), scale.digits)))
        }
        DataType::Float64 => {
            let value = column.as_primitive::<Float64Type>().value(row);
            match scale {
                #[expect(clippy::cast_possible_truncation, reason = "as Spark rounds, half up")]
                Some(scale) => json!(decimal((value * 10_f64.powi((scale.of_result - scale.digits).cast_signed())).round() as i128, scale.of_result)),
                None if value.is_nan() => json!("NaN"),
                None if value.is_infinite() => json!(if value > 0.0 { "Infinity" } else { "-Infinity" }),
                None => json!(value),
            }
        }
        DataType::Boolean => json!(column.as_boolean().value(row)),
        DataType::Timestamp(..) => json!(weir::time::EventTime(column.as_primitive::<TimestampMicrosecondType>().value(row)).to_string()),
        DataType::Utf8 => {
            let text = column.as_string::<i32>().value(row);
            // Nested values are JSON here.
            serde_json::from_str::<Value>(text).ok().filter(Value::is_array).unwrap_or_else(|| json!(text))
        }
        DataType::Binary => json!(format!("base64:{}", base64(column.as_binary::<i32>().value(row)))),
        other => json!(format!("a {other}")),
    }
}

fn decimal(value: i128, digits: u32) -> String {
    let (sign, value, unit) = (if value < 0 { "-" } else { "" }, value.unsigned_abs(), 10_u128.pow(digits));
    if digits == 0 { format!("{sign}{value}") } else { format!("{sign}{}.{:0width$}", value / unit, value % unit, width = digits as usize) }
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = (bits >> (18 - 6 * i) & 63) as usize;
            text.push(if i > chunk.len() { '=' } else { char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[digit]) });
        }
    }
    text
}

/// Whether two lists have the same rows, in any order.
pub(crate) fn same(case: &Value, spark: &[Value], ours: &[Value]) -> Result<(), String> {
    let functions = functions(case);
    let mut left: Vec<&Value> = ours.iter().collect();
    for row in spark {
        let Some(found) = left.iter().position(|candidate| alike(row, candidate, &functions)) else {
            let shown = |rows: &[Value]| rows.iter().map(Value::to_string).collect::<Vec<_>>().join(" ");
            return Err(format!("no row {row}; ours: {}", shown(ours)));
        };
        left.swap_remove(found);
    }
    if left.is_empty() { Ok(()) } else { Err(format!("{} rows more than Spark's {}, such as {}", left.len(), spark.len(), left[0])) }
}

/// Which function makes each column.
fn functions(case: &Value) -> BTreeMap<String, String> {
    let query = &case["query"];
    let sources = query["sources"].as_object().into_iter().flat_map(|sources| sources.values()).filter_map(|source| source["pipeline"].as_array()).flatten();
    let operations = sources.chain(query["pipeline"].as_array().into_iter().flatten());
    let aggregates = operations.filter_map(|op| op["aggs"].as_array()).flatten();
    aggregates.filter_map(|aggregate| Some((aggregate["as"].as_str()?.to_owned(), aggregate["fn"].as_str()?.to_owned()))).collect()
}

fn alike(spark: &Value, ours: &Value, functions: &BTreeMap<String, String>) -> bool {
    let (Some(spark), Some(ours)) = (spark.as_object(), ours.as_object()) else { return false };
    let names: std::collections::BTreeSet<&String> = spark.keys().chain(ours.keys()).collect();
    names.into_iter().all(|name| {
        let (a, b) = (spark.get(name).unwrap_or(&Value::Null), ours.get(name).unwrap_or(&Value::Null));
        match functions.get(name).map_or("", String::as_str) {
            "collect_set" => sorted(a) == sorted(b),
            "approx_count_distinct" => near(a, b, 0.15, 1.0),
            "avg" | "skewness" | "kurtosis" | "corr" => near(a, b, 1e-9, 0.0) || a == b,
            // Float sums are compensated here, so the last bits are better than Spark's.
            "sum" => a == b || (a.is_f64() && near(a, b, 1e-12, 0.0)) || equal_numbers(a, b),
            function if function.starts_with("stddev") || function.starts_with("var") || function.starts_with("covar") => near(a, b, 1e-9, 0.0) || a == b,
            _ => a == b || equal_numbers(a, b),
        }
    })
}

fn sorted(value: &Value) -> Vec<String> {
    let mut all: Vec<String> = value.as_array().into_iter().flatten().map(Value::to_string).collect();
    all.sort();
    all
}

fn near(a: &Value, b: &Value, relative: f64, absolute: f64) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= (a.abs().max(b.abs()) * relative).max(absolute),
        _ => a == b,
    }
}

/// `1` and `1.0` are one number.
fn equal_numbers(a: &Value, b: &Value) -> bool {
    matches!((a, b), (Value::Number(a), Value::Number(b)) if (a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64())
}
