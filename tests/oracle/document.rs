//! A case as a pipeline document: the words of Spark's query in Weir's.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// A query that has become a document.
pub(crate) struct Translated {
    pub(crate) text: String,
    /// The step whose rows are the query's.
    pub(crate) last: String,
    /// What Spark calls the window of its rows, if they have one.
    pub(crate) window: Option<&'static str>,
    /// The sources' columns and their Spark types.
    pub(crate) sources: BTreeMap<String, BTreeMap<String, String>>,
    /// Columns of decimals, which are whole numbers of their last digit here: how many digits.
    pub(crate) scales: BTreeMap<String, Scale>,
    /// The aggregates whose windows are kept in panes: step, size and slide, offset, in microseconds.
    pub(crate) panes: Vec<(String, i64, i64, i64)>,
}

/// How a number stands for a decimal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Digits of the column's values.
    pub(crate) digits: u32,
    /// Digits of Spark's result, if it has more.
    pub(crate) of_result: u32,
}

/// Why a case is not translated.
pub(crate) type NotYet = String;

struct Builder {
    steps: u32,
    /// The node whose rows the next operation takes.
    tail: String,
    /// Sources and steps in order, each its table; event times are added to them late.
    nodes: Vec<(String, String)>,
    /// Whether the event time of the tail's rows is declared.
    timed: bool,
    columns: BTreeMap<String, String>,
    window: Option<&'static str>,
    scales: BTreeMap<String, Scale>,
    mode: String,
    panes: Vec<(String, i64, i64, i64)>,
}

const ORDERED: [&str; 10] = ["first", "last", "first_ignore_nulls", "last_ignore_nulls", "collect_list", "min_by", "max_by", "try_sum", "any_value", "mode"];

pub(crate) fn translate(case: &Value) -> Result<Translated, NotYet> {
    let query = &case["query"];
    if query.get("static").is_some() {
        return Err("stream-static joins".to_owned());
    }
    if query["source_kind"] == "json_files" || query["source_kind"] == "from_json" {
        return Err("Spark's JSON reader".to_owned());
    }
    let mut builder = Builder {
        steps: 0,
        tail: String::new(),
        nodes: Vec::new(),
        timed: false,
        columns: BTreeMap::new(),
        window: None,
        scales: BTreeMap::new(),
        mode: query["output_mode"].as_str().unwrap_or("append").to_owned(),
        panes: Vec::new(),
    };
    let sources = query["sources"].as_object().ok_or("no sources")?;
    let (mut tails, mut typed) = (Vec::new(), BTreeMap::new());
    let mut declared = Vec::new();
    for (name, source) in sources {
        let schema = source["schema"].as_object().ok_or("a source without a schema")?;
        let columns: BTreeMap<String, String> = schema.iter().map(|(column, of)| (column.clone(), of.as_str().unwrap_or_default().to_owned())).collect();
        builder.source(name, &columns)?;
        typed.insert(name.clone(), columns);
        let own = source["pipeline"].as_array().cloned().unwrap_or_default();
        let needs_time = query["combine"]["op"] == "union";
        for op in pushed_down(own) {
            builder.operation(&op)?;
        }
        declared.push(builder.timed);
        // Rows of a union have one event time: an input without a watermark still says which column that is (W-10).
        if needs_time && !builder.timed && query["sources"].to_string().contains("\"watermark\"") {
            builder.event_time("ts", None);
        }
        tails.push(builder.tail.clone());
    }
    match query["combine"]["op"].as_str() {
        None => {}
        Some("union") => {
            builder.tail = format!("[{}]", tails.iter().map(|tail| format!("\"{tail}\"")).collect::<Vec<_>>().join(", "));
            builder.timed = declared.iter().any(|timed| *timed);
        }
        Some(other) => return Err(format!("`{other}` of two streams")),
    }
    for op in pushed_down(query["pipeline"].as_array().cloned().unwrap_or_default()) {
        builder.operation(&op)?;
    }
    if builder.mode == "complete" && !builder.text_of_nodes().contains("aggregate =") {
        // Where Spark's query has no aggregation the mode stands on its last step, which then refuses it.
        if let Some((_, node)) = builder.nodes.last_mut() {
            node.push_str("output_mode = \"complete\"\n");
        }
    }
    if builder.tail.starts_with('[') {
        builder.step(&format!("transform = {{ plugin = \"{}\", function = \"add\", config = {{ add = [] }} }}", sql()));
    }
    let last = builder.tail.clone();
    let config = |key: &str| case["config"][key].as_str();
    let mut top = "name = \"oracle\"\n".to_owned();
    if config("spark.sql.streaming.noDataMicroBatches.enabled") == Some("false") {
        top.push_str("no_data_epochs = false\n");
    }
    if let Some(policy) = config("spark.sql.streaming.multipleWatermarkPolicy") {
        top.push_str(&format!("watermark_policy = \"{policy}\"\n"));
    }
    let text = format!("{top}{}[[sink]]\nid = \"out\"\ninput = \"{last}\"\nmemory = {{}}\n", builder.text_of_nodes());
    let Builder { window, scales, panes, .. } = builder;
    Ok(Translated { text, last, window, sources: typed, scales, panes })
}

/// Spark pushes the parts of a filter above `withWatermark` below it that don't use the event time; in Weir it is declared where it is declared, so they stand there.
fn pushed_down(mut operations: Vec<Value>) -> Vec<Value> {
    let mut at = 0;
    while at + 1 < operations.len() {
        if operations[at]["op"] == "watermark" && operations[at + 1]["op"] == "filter" {
            let time = operations[at]["column"].as_str().unwrap_or_default().to_owned();
            let condition = operations[at + 1]["expr"].as_str().unwrap_or_default().to_owned();
            let (above, below): (Vec<&str>, Vec<&str>) =
                condition.split(" AND ").partition(|part| part.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == time));
            let filter = |parts: Vec<&str>| serde_json::json!({ "op": "filter", "expr": parts.join(" AND ") });
            let mut both = Vec::new();
            let watermark = operations[at].clone();
            if !below.is_empty() {
                both.push(filter(below));
            }
            both.push(watermark);
            if !above.is_empty() {
                both.push(filter(above));
            }
            let length = both.len();
            operations.splice(at..at + 2, both);
            at += length;
        } else {
            at += 1;
        }
    }
    operations
}

impl Builder {
    fn text_of_nodes(&self) -> String {
        self.nodes.iter().map(|(_, text)| text.as_str()).collect()
    }

    fn source(&mut self, name: &str, columns: &BTreeMap<String, String>) -> Result<(), NotYet> {
        let mut types = Vec::new();
        for (column, of) in columns {
            types.push(format!("{column} = \"{}?\"", data_type(of)?));
            if let Some(digits) = decimal(of) {
                self.scales.insert(column.clone(), Scale { digits, of_result: digits });
            }
        }
        let text = format!("[[source]]\nid = \"{name}\"\nmemory = {{}}\nformat = \"json\"\nschema = {{ {} }}\n", types.join(", "));
        self.nodes.push((name.to_owned(), text));
        (self.tail, self.timed, self.columns) = (name.to_owned(), false, columns.clone());
        let doubles: Vec<&String> = columns.iter().filter(|(_, of)| matches!(of.as_str(), "double" | "float")).map(|(name, _)| name).collect();
        if !doubles.is_empty() {
            // JSON has no NaN: doubles come as text.
            let add: Vec<String> = doubles.iter().map(|name| format!("[\"{name}\", \"float64\", \"double({name}__text)\"]")).collect();
            let stay = columns.keys().filter(|name| !doubles.contains(name)).map(|name| format!("[\"{name}\", \"{name}\"]")).collect::<Vec<_>>();
            let node = self.nodes.last_mut().ok_or("no source")?;
            for name in &doubles {
                node.1 = node.1.replace(&format!("{name} = \"float64?\""), &format!("{name}__text = \"utf8?\""));
            }
            self.step(&format!(
                "transform = {{ plugin = \"{}\", function = \"add\", config = {{ pass = [{}], add = [{}] }} }}",
                sql(),
                stay.join(", "),
                add.join(", ")
            ));
        }
        Ok(())
    }

    fn step(&mut self, body: &str) {
        self.steps += 1;
        let id = format!("s{}", self.steps);
        let input = if self.tail.starts_with('[') { self.tail.clone() } else { format!("\"{}\"", self.tail) };
        self.nodes.push((id.clone(), format!("[[step]]\nid = \"{id}\"\ninput = {input}\n{body}\n")));
        self.tail = id;
    }

    fn event_time(&mut self, column: &str, delay: Option<&str>) {
        let watermark = delay.map(|delay| format!(", watermark = {{ delay = \"{delay}\", by = \"source\" }}")).unwrap_or_default();
        let line = format!("event_time = {{ column = \"{column}\"{watermark}, max_future = \"1000 weeks\" }}\n");
        if self.tail.starts_with('[') {
            self.step(&format!("transform = {{ plugin = \"{}\", function = \"add\", config = {{ add = [] }} }}", sql()));
        }
        if let Some((_, text)) = self.nodes.iter_mut().find(|(id, _)| *id == self.tail) {
            text.push_str(&line);
        }
        self.timed = true;
    }

    fn operation(&mut self, op: &Value) -> Result<(), NotYet> {
        let text = |key: &str| op[key].as_str().unwrap_or_default().to_owned();
        match op["op"].as_str().unwrap_or_default() {
            "watermark" => {
                let already = self.timed && self.nodes.iter().any(|(id, node)| *id == self.tail && node.contains("event_time ="));
                if already {
                    self.step(&format!("transform = {{ plugin = \"{}\", function = \"add\", config = {{ add = [] }} }}", sql()));
                }
                self.event_time(&text("column"), Some(&text("delay")));
            }
            "filter" => self.step(&format!("transform = {{ plugin = \"{}\", function = \"filter\", config = {{ condition = \"{}\" }} }}", sql(), text("expr"))),
            "select" => self.select(op)?,
            "aggregate" => self.aggregate(op)?,
            "dedupe" => {
                let key: Vec<String> = op["columns"].as_array().into_iter().flatten().filter_map(|c| Some(format!("\"{}\"", c.as_str()?))).collect();
                let key: Vec<String> = key
                    .into_iter()
                    .flat_map(|name| if name == "\"window\"" { vec!["\"window_start\"".to_owned(), "\"window_end\"".to_owned()] } else { vec![name] })
                    .collect();
                let mut config = Vec::new();
                if !key.is_empty() {
                    config.push(format!("key = [{}]", key.join(", ")));
                }
                if op["within_watermark"] == true {
                    config.push("within_watermark = true".to_owned());
                }
                self.step(&format!("dedupe = {{ {} }}", config.join(", ")));
            }
            "distinct" => self.step("dedupe = {}"),
            other => return Err(format!("`{other}`")),
        }
        Ok(())
    }

    fn select(&mut self, op: &Value) -> Result<(), NotYet> {
        let (mut pass, mut add) = (Vec::new(), Vec::new());
        let mut columns = BTreeMap::new();
        for item in op["exprs"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let (expression, name) = item.rsplit_once(" AS ").unwrap_or((item, item));
            let column = match expression {
                "window.end" => "window_end",
                // The window's end goes on, too: the event time of a window's rows is that, whatever is computed of it.
                "window_time(window)" => {
                    add.push(format!("[\"{name}\", \"timestamp\", \"window_time(window_end)\"]"));
                    columns.insert(name.to_owned(), "timestamp".to_owned());
                    pass.push("[\"window_end\", \"window_end\"]".to_owned());
                    continue;
                }
                "window.start" => "window_start",
                other => other,
            };
            if column.chars().all(|c| c.is_alphanumeric() || c == '_') {
                pass.push(format!("[\"{column}\", \"{name}\"]"));
                columns.insert(name.to_owned(), self.columns.get(column).cloned().unwrap_or_else(|| "timestamp".to_owned()));
            } else if expression.contains('*') {
                add.push(format!("[\"{name}\", \"int64\", \"{expression}\"]"));
                columns.insert(name.to_owned(), "bigint".to_owned());
            } else {
                return Err(format!("the expression `{expression}`"));
            }
        }
        self.columns = columns;
        self.step(&format!(
            "transform = {{ plugin = \"{}\", function = \"add\", config = {{ pass = [{}], add = [{}] }} }}",
            sql(),
            pass.join(", "),
            add.join(", ")
        ));
        self.window = None;
        Ok(())
    }

    fn aggregate(&mut self, op: &Value) -> Result<(), NotYet> {
        if op.get("grouping").is_some() || op.get("rollup").is_some() || op.get("cube").is_some() {
            return Err("rollup and cube".to_owned());
        }
        let (mut add, mut made, mut scales) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut keys = Vec::new();
        for key in op["keys"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let (expression, name) = key.rsplit_once(" AS ").unwrap_or((key, key));
            if expression.contains('(') {
                let name = if name == expression { "key_expression" } else { name };
                add.push(format!("[\"{name}\", \"timestamp\", \"{expression}\"]"));
                keys.push(name.to_owned());
            } else {
                keys.push(expression.to_owned());
            }
        }
        let mut columns: BTreeMap<String, String> = keys.iter().map(|key| (key.clone(), self.columns.get(key).cloned().unwrap_or_default())).collect();
        for (number, aggregate) in op["aggs"].as_array().into_iter().flatten().enumerate() {
            let function = aggregate["fn"].as_str().unwrap_or_default();
            let name = aggregate["as"].as_str().unwrap_or_default();
            let arguments: Vec<String> = match (&aggregate["column"], aggregate["args"].as_array()) {
                (Value::String(column), _) => vec![column.clone()],
                (_, Some(arguments)) => arguments.iter().filter_map(|argument| Some(argument.as_str()?.to_owned())).collect(),
                _ => Vec::new(),
            };
            let of = arguments.first().cloned().unwrap_or_default();
            let mut argument = arguments.join(", ");
            if function == "count_if" || argument.contains('>') {
                argument = format!("if{number}");
                add.push(format!("[\"{argument}\", \"boolean\", \"{of}\"]"));
            }
            let expression = match function {
                "count_star" => "count(*)".to_owned(),
                "count_distinct" => format!("count(distinct {argument})"),
                "sum_distinct" => format!("sum(distinct {argument})"),
                "first_ignore_nulls" => format!("first({argument}, ignore_nulls)"),
                "last_ignore_nulls" => format!("last({argument}, ignore_nulls)"),
                "stddev_samp"
                | "var_samp"
                | "stddev_pop"
                | "var_pop"
                | "count"
                | "sum"
                | "try_sum"
                | "avg"
                | "min"
                | "max"
                | "first"
                | "last"
                | "collect_list"
                | "collect_set"
                | "approx_count_distinct"
                | "min_by"
                | "max_by"
                | "bool_and"
                | "bool_or"
                | "count_if"
                | "skewness"
                | "kurtosis"
                | "corr"
                | "covar_samp"
                | "covar_pop"
                | "stddev"
                | "variance"
                | "any_value" => format!("{function}({argument})"),
                other => return Err(format!("the function `{other}`")),
            };
            if let Some(scale) = self.scales.get(&of) {
                let of_result = if function == "avg" { scale.digits + 4 } else { scale.digits };
                if matches!(function, "sum" | "avg" | "min" | "max" | "first" | "last" | "first_ignore_nulls" | "last_ignore_nulls" | "try_sum" | "any_value") {
                    scales.insert(name.to_owned(), Scale { digits: scale.digits, of_result });
                } else if !matches!(function, "count" | "approx_count_distinct" | "count_if") {
                    return Err(format!("`{function}` of a decimal"));
                }
            }
            columns.insert(name.to_owned(), result_type(function, self.columns.get(&of).map_or("", String::as_str)).to_owned());
            made.push(format!("{name} = \"{expression}\""));
        }
        for key in &keys {
            if let Some(scale) = self.scales.get(key) {
                scales.insert(key.clone(), *scale);
            }
        }
        let window = match op.get("window") {
            None | Some(Value::Null) => {
                self.window = None;
                String::new()
            }
            Some(window) => self.windowed(window, &mut add)?,
        };
        if !add.is_empty() {
            self.step(&format!("transform = {{ plugin = \"{}\", function = \"add\", config = {{ add = [{}] }} }}", sql(), add.join(", ")));
        }
        (self.columns, self.scales) = (columns, scales);
        let keys: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
        let mode = &self.mode;
        self.step(&format!(
            "key = [{}]\n{window}output_mode = \"{mode}\"\naggregate = {{ plugin = \"std\", config = {{ {} }} }}",
            keys.join(", "),
            made.join(", ")
        ));
        if let Some(window) = op.get("window").filter(|window| window["type"] == "sliding") {
            let ordered = op["aggs"].as_array().into_iter().flatten().any(|aggregate| ORDERED.contains(&aggregate["fn"].as_str().unwrap_or_default()));
            let us = |key: &str| window[key].as_str().map(microseconds).transpose().map(Option::unwrap_or_default);
            if let (false, Ok(size), Ok(slide), Ok(offset)) = (ordered, us("size"), us("slide"), us("start_offset")) {
                self.panes.push((self.tail.clone(), size, slide, offset));
            }
        }
        Ok(())
    }

    fn windowed(&mut self, window: &Value, add: &mut Vec<String>) -> Result<String, NotYet> {
        let text = |key: &str| window[key].as_str().unwrap_or_default();
        let column = text("column");
        if self.window.is_none() && !self.timed {
            // Spark casts text to a time where a window wants one; here the column is declared as what it is.
            if self.columns.get(column).is_some_and(|of| of == "string") {
                self.nodes.iter_mut().for_each(|(_, node)| *node = node.replace(&format!("{column} = \"utf8?\""), &format!("{column} = \"timestamp?\"")));
            }
            self.event_time(column, None);
        }
        let offset = window["start_offset"].as_str().map(|offset| format!(", offset = \"{offset}\"")).unwrap_or_default();
        let (written, name) = match text("type") {
            "tumbling" => (format!("{{ tumbling = \"{}\"{offset} }}", text("size")), "window"),
            "sliding" => (format!("{{ sliding = \"{}\", every = \"{}\"{offset} }}", text("size"), text("slide")), "window"),
            "session" => match window["gap_expr"].as_str() {
                Some(expression) => {
                    add.push(format!("[\"gap\", \"utf8\", \"{expression}\"]"));
                    ("{ session = { gap = \"gap\" } }".to_owned(), "session_window")
                }
                // What is never longer than nothing can't be written as a gap of the window, but as one of each row.
                None if text("gap").starts_with('-') => {
                    add.push(format!("[\"gap\", \"utf8\", \"'{}'\"]", text("gap")));
                    ("{ session = { gap = \"gap\" } }".to_owned(), "session_window")
                }
                None => (format!("{{ session = \"{}\" }}", text("gap")), "session_window"),
            },
            other => return Err(format!("a window of type `{other}`")),
        };
        self.window = Some(name);
        Ok(format!("window = {written}\n"))
    }
}

fn sql() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/sql/sql.wasm").display().to_string()
}

/// Weir's type for one of Spark's.
fn data_type(of: &str) -> Result<&'static str, NotYet> {
    Ok(match of {
        "string" => "utf8",
        "int" | "bigint" | "smallint" | "tinyint" => "int64",
        "double" | "float" => "float64",
        "boolean" => "boolean",
        "timestamp" | "timestamp_ntz" => "timestamp",
        "binary" => "binary",
        other if decimal(other).is_some_and(|_| !other.contains("38")) => "int64",
        other => return Err(format!("the type `{other}`")),
    })
}

/// The digits behind the point of a decimal type.
fn decimal(of: &str) -> Option<u32> {
    of.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?.1.trim().parse().ok()
}

fn result_type(function: &str, of: &str) -> &'static str {
    match (function, of) {
        ("count_star" | "count" | "count_if" | "approx_count_distinct", _) => "bigint",
        ("sum", "double") | ("avg" | "stddev_samp" | "stddev_pop" | "var_samp" | "var_pop", _) => "double",
        ("min" | "max" | "first" | "last", "string") => "string",
        ("min" | "max" | "first" | "last", "timestamp") => "timestamp",
        _ => "bigint",
    }
}

/// Microseconds of Spark's interval text, as far as panes need it.
fn microseconds(text: &str) -> Result<i64, NotYet> {
    let (negative, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    weir::pipeline::DurationUs::parse_fixed(text).map(|duration| negative * duration.us()).map_err(|error| error.to_string())
}
