//! Columns by name: finding them, checking their types, and putting schemas together. What is wrong is noted with the place of the name.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::{LATENESS, WATERMARK, WINDOW_END, WINDOW_START};
use crate::pipeline::document::{Placed, Span, listed};
use crate::pipeline::problem::{Code, Problem, did_you_mean};
use crate::pipeline::schema::{ColumnType, KafkaColumn, TimestampForm, timestamp, type_text};
use crate::pipeline::spec::{HistorySpec, Past, SourceFormat, SourceSpec};

/// The position of a named column.
pub(super) fn find(schema: &Schema, name: &Placed<String>, of: &str, problems: &mut Vec<Problem>) -> Option<usize> {
    let found = schema.fields().iter().position(|field| field.name() == &name.value);
    if found.is_none() {
        let known = || schema.fields().iter().map(|field| field.name().as_str());
        let expected = if schema.fields().is_empty() { "no column, as there is none".to_owned() } else { listed(known(), "or") };
        let advice = did_you_mean(name, known(), "name one of these");
        problems.push(Problem::error(Code::UnknownColumn, name.span, format!("{of} has no column `{name}`"), expected, advice));
    }
    found
}

/// The position of a named column of moments.
pub(super) fn find_timestamp(schema: &Schema, name: &Placed<String>, of: &str, problems: &mut Vec<Problem>) -> Option<usize> {
    let position = find(schema, name, of, problems)?;
    let field = schema.fields().get(position)?;
    if *field.data_type() != timestamp() {
        let what = format!("the column `{name}` of {of} is {}", type_text(field));
        let advice = "declare it as `timestamp`, `timestamp(ms)` or alike where it is made, or name another column";
        problems.push(Problem::error(Code::ColumnType, name.span, what, "a `timestamp`", advice));
        return None;
    }
    Some(position)
}

/// The position of a named column of numbers.
pub(super) fn find_number(schema: &Schema, name: &Placed<String>, of: &str, problems: &mut Vec<Problem>) -> Option<usize> {
    let position = find(schema, name, of, problems)?;
    let field = schema.fields().get(position)?;
    if !matches!(field.data_type(), DataType::Int64 | DataType::Float64) {
        let what = format!("the column `{name}` of {of} is {}", type_text(field));
        problems.push(Problem::error(
            Code::ColumnType,
            name.span,
            what,
            "`int64` or `float64`",
            "make a number of it in a step before, or name another column",
        ));
        return None;
    }
    Some(position)
}

/// The columns of a history: those of its input, then what is added.
pub(super) fn of_history(input: &Schema, history: &HistorySpec, add: &[(Past, usize)], problems: &mut Vec<Problem>) -> Option<SchemaRef> {
    let mut fields: Vec<Arc<Field>> = input.fields().iter().cloned().collect();
    for (added, (what, of)) in history.add.iter().zip(add) {
        if fields.iter().any(|field| field.name() == &added.name.value) {
            let what = format!("the history adds a column `{}`, which is there already", added.name);
            problems.push(Problem::error(Code::DuplicateName, added.name.span, what, "another name for it", "rename it"));
            return None;
        }
        let column_type = match (what, input.fields().get(*of)?.data_type()) {
            (Past::Lag(_) | Past::Min | Past::Max, DataType::Int64) => ColumnType::Int64,
            _ => ColumnType::Float64,
        };
        fields.push(Arc::new(column_type.field(&added.name, true)));
    }
    Some(Arc::new(Schema::new(fields)))
}

/// The position of a named column of gaps: durations as text, or milliseconds.
pub(super) fn find_gap(schema: &Schema, name: &Placed<String>, of: &str, problems: &mut Vec<Problem>) -> Option<usize> {
    let position = find(schema, name, of, problems)?;
    let field = schema.fields().get(position)?;
    if !matches!(field.data_type(), DataType::Utf8 | DataType::Int64) {
        let what = format!("the column `{name}` of {of} is {}", type_text(field));
        let advice = "make it in a step before, or name another column";
        problems.push(Problem::error(Code::ColumnType, name.span, what, "`utf8` with a duration such as `5 minutes`, or `int64` with milliseconds", advice));
        return None;
    }
    Some(position)
}

/// The columns of a source: the declared ones or those of `raw`, then the metadata.
pub(super) fn of_source(source: &SourceSpec, problems: &mut Vec<Problem>) -> Option<SchemaRef> {
    let mut fields: Vec<Field> = match &source.format {
        SourceFormat::Json { schema, .. } => schema.iter().map(|column| column.declared.column_type.field(&column.name, column.declared.nullable)).collect(),
        SourceFormat::Raw => KafkaColumn::ALL.into_iter().map(|column| column.field(column.as_str())).collect(),
    };
    let declared = fields.len();
    for metadata in &source.metadata {
        if fields.iter().take(declared).any(|field| field.name() == &metadata.name.value) {
            let what = format!("`metadata` adds a column `{}`, which the schema has already", metadata.name);
            let advice = format!("write `metadata = {{ kafka_{} = \"{}\" }}`", metadata.column.as_str(), metadata.column.as_str());
            problems.push(Problem::error(Code::DuplicateName, metadata.name.span, what, "another name for it", advice));
            return None;
        }
        fields.push(metadata.column.field(&metadata.name));
    }
    Some(Arc::new(Schema::new(fields)))
}

/// The columns of a union: the same names and types in the same order; a column may be null when it may be in any input.
pub(super) fn of_union(inputs: &[(&str, SchemaRef, Span)], problems: &mut Vec<Problem>) -> Option<SchemaRef> {
    let ((first_id, first, _), others) = inputs.split_first()?;
    let mut fields: Vec<Field> = first.fields().iter().map(|field| field.as_ref().clone()).collect();
    for (id, schema, span) in others {
        let alike = |(a, b): (&Field, &Arc<Field>)| a.name() == b.name() && type_text(a) == type_text(b);
        if schema.fields().len() != fields.len() || !fields.iter().zip(schema.fields()).all(alike) {
            let what = format!("`{first_id}` and `{id}` can't be united ({} against {})", columns_text(first), columns_text(schema));
            problems.push(Problem::error(Code::ColumnType, *span, what, "the same columns and types in the same order", "make them alike in a step before"));
            return None;
        }
        fields = fields
            .into_iter()
            .zip(schema.fields())
            .map(|(field, other)| {
                let nullable = field.is_nullable() || other.is_nullable();
                field.with_nullable(nullable)
            })
            .collect();
    }
    Some(Arc::new(Schema::new(fields)))
}

/// The columns of an aggregate: the window if it has one, the keys, and what `finish` makes.
pub(super) fn of_aggregate(
    windowed: bool,
    input: &Schema,
    key: &[usize],
    key_names: &[Placed<String>],
    made: &[(Arc<Field>, Span)],
    problems: &mut Vec<Problem>,
) -> Option<SchemaRef> {
    let window = [WINDOW_START, WINDOW_END].map(|name| Arc::new(ColumnType::Timestamp(TimestampForm::Iso8601).field(name, false)));
    let mut fields: Vec<Arc<Field>> = if windowed { window.to_vec() } else { Vec::new() };
    let edges = fields.len();
    for (position, name) in key.iter().zip(key_names) {
        if fields.iter().take(edges).any(|field| field.name() == &name.value) {
            let what = format!("the key `{name}` has the name of a column of the window");
            problems.push(Problem::error(Code::DuplicateName, name.span, what, "a key besides the window", "remove it, or rename the column in a step before"));
            return None;
        }
        fields.push(input.fields().get(*position)?.clone());
    }
    for (field, config) in made {
        if fields.iter().any(|known| known.name() == field.name()) {
            let what = format!("the aggregate makes a column `{}`, which stands for the window, a key or another one already", field.name());
            problems.push(Problem::error(Code::DuplicateName, *config, what, "names of their own for all columns", "name it otherwise in `config`"));
            return None;
        }
        fields.push(field.clone());
    }
    Some(Arc::new(Schema::new(fields)))
}

/// The columns of rows that came too late: as they were, then the window that they came too late for, the watermark, and how far they are behind it.
pub(super) fn of_late(input: &Schema, windowed: bool, late: &Placed<String>, problems: &mut Vec<Problem>) -> Option<SchemaRef> {
    let moment = |name: &str| ColumnType::Timestamp(TimestampForm::Iso8601).field(name, false);
    let mut added = if windowed { vec![moment(WINDOW_START), moment(WINDOW_END)] } else { Vec::new() };
    added.extend([moment(WATERMARK), ColumnType::Int64.field(LATENESS, false)]);
    if let Some(twice) = added.iter().find(|added| input.fields().iter().any(|field| field.name() == added.name())) {
        let what = format!("late rows get a column `{}`, which they have already", twice.name());
        problems.push(Problem::error(Code::DuplicateName, late.span, what, "rows without such a column", "rename it in a step before"));
        return None;
    }
    let fields = input.fields().iter().cloned().chain(added.into_iter().map(Arc::new));
    Some(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

fn columns_text(schema: &Schema) -> String {
    schema.fields().iter().map(|field| format!("{} {}", field.name(), type_text(field))).collect::<Vec<_>>().join(", ")
}
