//! The outline as a drawing in text: rows flow down; where they go to several readers the drawing branches, and a reader of several is drawn below the last of them.

use std::fmt;

use super::{ColumnOutline, GroupsOutline, Outline, SinkOutline, StepOutline};

/// How wide a drawing is, at least as far as lists can be broken.
const WIDTH: usize = 120;

impl fmt::Display for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut drawing = Drawing { outline: self, text: String::new(), drawn: Vec::new() };
        drawing.facts("", &[("trigger", self.trigger.clone()), ("limits", self.limits.join(", ")), ("state", self.state_dir.clone())]);
        for source in &self.sources {
            drawing.text.push('\n');
            drawing.source(&source.id);
        }
        drawing.text.push('\n');
        drawing.sink("", "", &self.dead_letters);
        write!(f, "pipeline `{}`\n{}", self.name, drawing.text)
    }
}

struct Drawing<'a> {
    outline: &'a Outline,
    text: String,
    /// Sources and steps that are in it.
    drawn: Vec<&'a str>,
}

/// What reads the rows of a node.
enum Reader<'a> {
    Step(&'a StepOutline),
    Sink(&'a SinkOutline),
}

impl<'a> Drawing<'a> {
    fn source(&mut self, id: &'a str) {
        let Some(source) = self.outline.sources.iter().find(|source| source.id == id) else { return };
        self.drawn.push(id);
        self.line("", &format!("source `{id}`: {}", source.reads));
        let rail = self.rail(id);
        let mut facts = vec![("format", source.format.clone()), ("schema", schema(&source.schema))];
        facts.extend(source.event_time.clone().map(|event_time| ("event time", event_time)));
        self.facts(rail, &facts);
        self.readers("", id);
    }

    fn step(&mut self, indent: &str, step: &'a StepOutline, above: &[ColumnOutline]) {
        let title = match (&step.plugin, &step.function) {
            (Some(plugin), Some(function)) => {
                format!("step `{}`: {} `{function}` of {} {}, sha256 {:.12}", step.id, step.kind, plugin.name, plugin.version, plugin.digest)
            }
            _ => format!("step `{}`: {}", step.id, step.kind),
        };
        self.line(indent, &title);
        let mut facts = Vec::new();
        for (function, plugin) in &step.beside {
            facts.push(("and", format!("`{function}` of {} {}, sha256 {:.12}", plugin.name, plugin.version, plugin.digest)));
        }
        if step.inputs.len() > 1 {
            facts.push(("inputs", step.inputs.join(", ")));
        }
        facts.push(("reads", if step.reads.is_empty() { "no column, only how many rows there are".to_owned() } else { step.reads.join(", ") }));
        if let Some(groups) = &step.groups {
            facts.push(("window", groups.window.clone().unwrap_or_else(|| "none".to_owned())));
            facts.push(("key", if groups.key.is_empty() { "none".to_owned() } else { groups.key.join(", ") }));
            facts.push(("output", groups.output_mode.to_owned()));
            let GroupsOutline { shards, state_version, forgotten, .. } = groups;
            facts.push(("state", format!("{shards} shards, version {state_version} of the plugin's bytes; {forgotten}")));
        } else if let Some(seen) = &step.seen {
            facts.push(("key", seen.key.join(", ")));
            facts.push(("state", seen.forgotten.clone()));
        } else {
            facts.push(("state", "none".to_owned()));
        }
        facts.push(("schema", if step.schema == above { "that of its input".to_owned() } else { schema(&step.schema) }));
        facts.extend(step.event_time.clone().map(|event_time| ("event time", event_time)));
        let rail = format!("{indent}{}", self.rail(&step.id));
        self.facts(&rail, &facts);
        self.readers(indent, &step.id);
    }

    fn sink(&mut self, first: &str, indent: &str, sink: &SinkOutline) {
        let title = match (&sink.input, sink.late) {
            (Some(_), false) => format!("sink `{}`", sink.id),
            (Some(input), true) => format!("sink `{}` of what comes too late for `{input}`", sink.id),
            (None, _) => sink.id.clone(),
        };
        self.line(first, &format!("{title}: {}", sink.writes));
        self.facts(indent, &[("promises", format!("{}: {}", sink.guarantee, sink.why))]);
    }

    /// What reads a node's rows, below it.
    fn readers(&mut self, indent: &str, id: &'a str) {
        let outline = self.outline;
        let steps = outline.steps.iter().filter(|step| step.inputs.iter().any(|input| input == id)).map(Reader::Step);
        let sinks = outline.sinks.iter().filter(|sink| sink.input.as_deref() == Some(id)).map(Reader::Sink);
        let readers: Vec<Reader<'_>> = steps.chain(sinks).collect();
        let schema = self.schema_of(id);
        match readers.as_slice() {
            [] => {}
            [Reader::Step(step)] if self.is_due(step, id) => {
                self.text.push_str(&format!("{indent}▼\n"));
                self.drawn.push(&step.id);
                self.step(indent, step, schema);
            }
            [Reader::Sink(sink)] => {
                self.text.push_str(&format!("{indent}▼\n"));
                self.sink(indent, indent, sink);
            }
            _ => {
                for (i, reader) in readers.iter().enumerate() {
                    let last = i + 1 == readers.len();
                    let (branch, below) = if last { ("└─► ", "    ") } else { ("├─► ", "│   ") };
                    let (branch, below) = (format!("{indent}{branch}"), format!("{indent}{below}"));
                    match reader {
                        Reader::Sink(sink) => self.sink(&branch, &below, sink),
                        Reader::Step(step) if self.is_due(step, id) => {
                            let from = self.text.len();
                            self.drawn.push(&step.id);
                            self.step(&below, step, schema);
                            // The first line of the step carries the branch.
                            self.text.replace_range(from..from + below.len(), &branch);
                        }
                        Reader::Step(step) => self.line(&branch, &format!("step `{}`, which has more inputs and is drawn below", step.id)),
                    }
                }
            }
        }
    }

    /// Whether this is the input under which a step is drawn: the last one that the drawing comes to.
    fn is_due(&self, step: &StepOutline, from: &str) -> bool {
        let seen = |input: &String| input == from || self.drawn.contains(&input.as_str());
        !self.drawn.contains(&step.id.as_str()) && step.inputs.iter().all(seen)
    }

    fn schema_of(&self, id: &str) -> &'a [ColumnOutline] {
        let sources = self.outline.sources.iter().map(|source| (&source.id, &source.schema));
        let steps = self.outline.steps.iter().map(|step| (&step.id, &step.schema));
        sources.chain(steps).find(|(name, _)| *name == id).map_or(&[], |(_, schema)| schema)
    }

    /// The line along which rows flow on from a node, if any do.
    fn rail(&self, id: &str) -> &'static str {
        let read = self.outline.steps.iter().flat_map(|step| &step.inputs).chain(self.outline.sinks.iter().filter_map(|sink| sink.input.as_ref()));
        if read.into_iter().any(|input| input == id) { "│" } else { "" }
    }

    fn line(&mut self, indent: &str, text: &str) {
        self.text.push_str(indent);
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// Names and values below a title; lists are broken at commas.
    fn facts(&mut self, rail: &str, facts: &[(&str, String)]) {
        for (name, value) in facts {
            let mut line = format!("{rail}  {name:<11}");
            let start = line.chars().count();
            let mut width = start;
            for (i, part) in value.split_inclusive(", ").enumerate() {
                let length = part.chars().count();
                if i > 0 && width + length > WIDTH {
                    line.truncate(line.trim_end().len());
                    line.push('\n');
                    line.push_str(rail);
                    line.push_str(&" ".repeat(start - rail.chars().count()));
                    width = start;
                }
                line.push_str(part);
                width += length;
            }
            self.text.push_str(line.trim_end());
            self.text.push('\n');
        }
    }
}

fn schema(columns: &[ColumnOutline]) -> String {
    let column = |column: &ColumnOutline| format!("{} {}{}", column.name, column.column_type, if column.nullable { "?" } else { "" });
    columns.iter().map(column).collect::<Vec<_>>().join(", ")
}
