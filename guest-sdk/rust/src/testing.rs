//! Tests without wasm: opens a function and runs it on rows given as JSON, as the host would. For `#[cfg(test)]` code, so a mistake in a test's rows is a panic that
//! says where.
//!
//! Columns are written as in a pipeline's `schema`: a name and a type, with `?` if it may be null. A timestamp is ISO-8601 text in UTC or a number of microseconds
//! (and comes out as text), binary is text, NaN and the infinities are `"NaN"`, `"Infinity"` and `"-Infinity"`.

mod json;
mod time;

use serde_json::{Map, Value};

use crate::aggregate::{AggregateEntry, ColumnarAggregate, OpenAggregate};
use crate::context::Context;
use crate::output::Rejection;
use crate::plan::{Order, OutputColumn, StateIdentity};
use crate::transform::{OpenTransform, Transform, TransformEntry, Transformed};
use crate::wire::{Blobs, Field, OpenError, Rows, RunError};

/// An opened transform.
pub struct TransformTest {
    opened: OpenTransform,
    schema: Vec<Field>,
}

/// What a transform made of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The rows that came out, as JSON objects; nulls are written.
    pub rows: Vec<Value>,
    /// The rows that went to the dead letters.
    pub rejected: Vec<Rejection>,
    /// Whether the transform sent no list of rows, because every row came out once.
    pub all_kept: bool,
}

/// An opened aggregate.
pub struct AggregateTest {
    opened: OpenAggregate,
    schema: Vec<Field>,
}

/// Opens a transform on an input with these columns; `config` is JSON.
///
/// # Errors
/// What `open` says.
pub fn transform<T: Transform>(schema: &[(&str, &str)], config: impl std::fmt::Display) -> Result<TransformTest, OpenError> {
    let schema = json::schema(schema);
    let opened = TransformEntry::open(&[TransformEntry::of::<T>()], T::NAME, &config.to_string(), &schema)?;
    Ok(TransformTest { opened, schema })
}

/// Opens an aggregate on an input with these columns; `config` is JSON.
///
/// # Errors
/// What `open` says.
pub fn aggregate<A: ColumnarAggregate>(schema: &[(&str, &str)], config: impl std::fmt::Display) -> Result<AggregateTest, OpenError> {
    let schema = json::schema(schema);
    let opened = AggregateEntry::open(&[AggregateEntry::of::<A>()], A::NAME, &config.to_string(), &schema)?;
    Ok(AggregateTest { opened, schema })
}

impl TransformTest {
    /// The output's columns: name and type, with `?` if it may be null.
    #[must_use]
    pub fn output(&self) -> Vec<(String, String)> {
        self.fields().iter().map(json::described).collect()
    }

    /// Runs the transform on a JSON array of rows.
    ///
    /// # Errors
    /// What `run` says.
    pub fn run(&self, rows: &Value) -> Result<Outcome, RunError> {
        self.run_at(&Context::default(), rows)
    }

    /// Runs the transform at some time.
    ///
    /// # Errors
    /// What `run` says.
    pub fn run_at(&self, context: &Context, rows: &Value) -> Result<Outcome, RunError> {
        let input = json::rows(rows, &self.schema);
        let Transformed { computed, origin, rejected } = self.opened.run(context, &chosen(&input, &self.opened.reads))?;
        let all_kept = origin.is_none();
        let origin: Vec<usize> = origin.map_or_else(|| (0..input.count as usize).collect(), |origin| json::numbers(&origin));
        let mut computed = computed.iter();
        let columns = self.opened.output.iter().zip(self.fields()).map(|(column, field)| match column {
            OutputColumn::Computed(..) => {
                let made = computed.next().map(|column| json::values(column, &field, origin.len())).unwrap_or_default();
                (field.name, made)
            }
            OutputColumn::Passed { input: place, .. } => {
                let values = input.columns.get(*place as usize).map(|column| json::values(column, &field, input.count as usize)).unwrap_or_default();
                (field.name, origin.iter().filter_map(|row| values.get(*row).cloned()).collect())
            }
        });
        Ok(Outcome { rows: objects(columns.collect(), origin.len()), rejected, all_kept })
    }

    fn fields(&self) -> Vec<Field> {
        let fields = self.opened.output.iter().filter_map(|column| match column {
            OutputColumn::Computed(field, _) => Some(field.to_wire()),
            OutputColumn::Passed { name, input } => self.schema.get(*input as usize).map(|field| Field { name: name.clone(), ..field.clone() }),
        });
        fields.collect()
    }
}

impl AggregateTest {
    /// The output's columns: name and type, with `?` if it may be null.
    #[must_use]
    pub fn output(&self) -> Vec<(String, String)> {
        self.opened.fields.iter().map(|field| json::described(&field.to_wire())).collect()
    }

    /// The names of the columns that are sent.
    #[must_use]
    pub fn reads(&self) -> Vec<&str> {
        self.opened.reads.iter().filter_map(|place| self.schema.get(*place as usize)).map(|field| field.name.as_str()).collect()
    }

    /// What the bytes of the states are.
    #[must_use]
    pub fn state(&self) -> &StateIdentity {
        &self.opened.state
    }

    /// In which order it wants the states of a group.
    #[must_use]
    pub fn order(&self) -> Order {
        self.opened.order
    }

    /// The row that comes of chunks of rows of one group: accumulated chunk by chunk, merged all at once, finished.
    ///
    /// # Errors
    /// What the aggregate says.
    pub fn run(&self, chunks: &[Value]) -> Result<Value, RunError> {
        let states = chunks.iter().map(|rows| self.accumulate(rows)).collect::<Result<Vec<_>, _>>()?;
        self.finish(&self.merge(&states)?)
    }

    /// The state of rows of one group.
    ///
    /// # Errors
    /// What the aggregate says.
    pub fn accumulate(&self, rows: &Value) -> Result<Vec<u8>, RunError> {
        let count = rows.as_array().map_or(0, Vec::len);
        Ok(self.accumulate_groups(rows, &vec![0; count], 1)?.pop().unwrap_or_default())
    }

    /// The states of rows of several groups: row i belongs to group `group[i]`, below `groups`.
    ///
    /// # Errors
    /// What the aggregate says.
    pub fn accumulate_groups(&self, rows: &Value, group: &[u32], groups: u32) -> Result<Vec<Vec<u8>>, RunError> {
        let input = json::rows(rows, &self.schema);
        let group: Vec<_> = group.iter().map(|group| group.to_le_bytes()).collect();
        let made = self.opened.accumulate(&Context::default(), &chosen(&input, &self.opened.reads), group.as_flattened(), groups)?;
        Ok(json::byte_strings(&made))
    }

    /// One state of several.
    ///
    /// # Errors
    /// What the aggregate says.
    pub fn merge(&self, states: &[Vec<u8>]) -> Result<Vec<u8>, RunError> {
        let made = self.opened.merge(&json::blobs(states), &vec![0; 4 * states.len()], 1)?;
        Ok(json::byte_strings(&made).pop().unwrap_or_default())
    }

    /// The row of a state.
    ///
    /// # Errors
    /// What the aggregate says.
    pub fn finish(&self, state: &[u8]) -> Result<Value, RunError> {
        let rows = self.opened.finish(&Context::default(), &json::blobs(&[state.to_vec()]))?;
        let columns = self.opened.fields.iter().zip(&rows.columns).map(|(field, column)| {
            let field = field.to_wire();
            let values = json::values(column, &field, rows.count as usize);
            (field.name, values)
        });
        Ok(objects(columns.collect(), 1).pop().unwrap_or_default())
    }

    /// A state of another identity as this aggregate would have it.
    ///
    /// # Errors
    /// What the aggregate says.
    pub fn migrate(&self, stored: &StateIdentity, state: &[u8]) -> Result<Vec<u8>, RunError> {
        let made: Blobs = self.opened.migrate(stored, &json::blobs(&[state.to_vec()]))?;
        Ok(json::byte_strings(&made).pop().unwrap_or_default())
    }

    /// Checks that it does not matter how rows are cut into states, nor in which bites these are merged: every cut into two and into three, merged from the left,
    /// from the right and all at once. Numbers may differ by one part in 10^12. The time it takes grows with the cube of the rows: a dozen are plenty.
    ///
    /// # Panics
    /// With the cut that shows.
    ///
    /// # Errors
    /// What the aggregate says.
    pub fn assert_cuts_do_not_show(&self, rows: &Value) -> Result<(), RunError> {
        let all = rows.as_array().map_or(&[][..], Vec::as_slice);
        let whole = self.finish(&self.accumulate(rows)?)?;
        for (first, second) in (1..all.len()).flat_map(|first| (first..all.len()).map(move |second| (first, second))) {
            let parts = [all.get(..first), all.get(first..second), all.get(second..)];
            let parts = parts.into_iter().flatten().filter(|part| !part.is_empty());
            let states = parts.map(|part| self.accumulate(&Value::Array(part.to_vec()))).collect::<Result<Vec<_>, _>>()?;
            for (merged, how) in
                [(self.merge(&states)?, "at once"), (self.merge_from_left(&states)?, "from the left"), (self.merge_from_right(&states)?, "from the right")]
            {
                let made = self.finish(&merged)?;
                assert!(json::alike(&whole, &made), "cut before rows {first} and {second}, merged {how}: {made}, but without a cut: {whole}");
            }
        }
        Ok(())
    }

    fn merge_from_left(&self, states: &[Vec<u8>]) -> Result<Vec<u8>, RunError> {
        let merged = states.iter().cloned().map(Ok).reduce(|left, right| self.merge(&[left?, right?]));
        merged.unwrap_or_else(|| self.merge(&[]))
    }

    fn merge_from_right(&self, states: &[Vec<u8>]) -> Result<Vec<u8>, RunError> {
        let merged = states.iter().rev().cloned().map(Ok).reduce(|right, left| self.merge(&[left?, right?]));
        merged.unwrap_or_else(|| self.merge(&[]))
    }
}

/// The columns that a function asked for.
fn chosen(input: &Rows, reads: &[u32]) -> Rows {
    Rows { count: input.count, columns: reads.iter().filter_map(|place| input.columns.get(*place as usize).cloned()).collect() }
}

/// Columns as rows.
fn objects(columns: Vec<(String, Vec<Value>)>, count: usize) -> Vec<Value> {
    let mut rows = vec![Map::new(); count];
    for (name, values) in columns {
        for (row, value) in rows.iter_mut().zip(values) {
            row.insert(name.clone(), value);
        }
    }
    rows.into_iter().map(Value::Object).collect()
}
