//! Transforms: rows in, rows out. The guest gets the columns that it reads and answers with the columns that it computes; the others never cross the boundary,
//! but are taken from the input by the rows that came out.

use std::sync::Arc;
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow_buffer::BooleanBufferBuilder;
use arrow_schema::{DataType, FieldRef, Schema, SchemaRef};
use arrow_select::filter::{FilterBuilder, FilterPredicate};

use super::bindings::{ColumnIn, Context, OutputColumn, Rejection, RowsIn, TransformExports, TransformOpened, TransformedOut};
use super::convert::{lift, lower};
use super::error::{Malformed, OpenError, PluginError};
use super::limits::Limits;
use super::load::Plugin;
use super::pool::{Pool, Weigh};
use super::stats::Stats;

/// An opened transform. Any number of threads may run it at once; each gets an instance of its own.
pub struct Transform {
    pool: Pool<TransformExports>,
    reads: Vec<usize>,
    columns: Vec<Column>,
    computed: Vec<FieldRef>,
    output: SchemaRef,
}

/// Where a column of the output comes from.
enum Column {
    Computed,
    Passed { input: usize },
}

/// What became of a batch.
#[derive(Debug, Clone)]
pub struct Transformed {
    /// The rows that came out.
    pub rows: RecordBatch,
    /// The input row that each came from, never falling; none: each input row came out once.
    pub origin: Option<Vec<u32>>,
    /// The rows that can't be processed, in order. None of them is in `rows`.
    pub rejected: Vec<Rejection>,
}

impl Transform {
    pub(super) fn open(plugin: &Plugin, function: &str, config: &serde_json::Value, input: &Schema, limits: &Limits) -> Result<Self, OpenError> {
        let pool = Pool::<TransformExports>::open(plugin, function, config, input, limits)?;
        let (reads, columns, output) = plan(pool.opened(), input).map_err(|malformed| malformed.at(pool.site("open")))?;
        let computed =
            columns.iter().zip(output.fields()).filter(|(column, _)| matches!(column, Column::Computed)).map(|(_, field)| Arc::clone(field)).collect();
        Ok(Self { pool, reads, columns, computed, output })
    }

    /// The columns that come out.
    #[must_use]
    pub fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// The input columns that the guest gets, by index; the others stay on the host.
    #[must_use]
    pub fn reads(&self) -> &[usize] {
        &self.reads
    }

    /// For each column that comes out, the input column that it is, untouched; none for a computed one.
    pub fn passed(&self) -> impl Iterator<Item = Option<usize>> {
        self.columns.iter().map(Column::input)
    }

    /// What it has cost so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.pool.stats()
    }

    /// Transforms rows that have the columns it was opened on.
    pub fn run(&self, context: &Context, input: &RecordBatch) -> Result<Transformed, PluginError> {
        let began = Instant::now();
        let host_error = |reason: String| self.pool.host_error("run", reason);
        let count = u32::try_from(input.num_rows()).map_err(|_| host_error(format!("{} rows are more than a call takes", input.num_rows())))?;
        let lowered = lower::columns(input, self.pool.input(), &self.reads).map_err(host_error)?;
        let columns: Vec<ColumnIn<'_>> = lowered.iter().map(lower::Lowered::column).collect();
        let rows = RowsIn { count, columns: &columns };
        let bytes_in = lowered.iter().map(lower::Lowered::bytes).sum();
        self.pool.call("run", began, bytes_in, |exports, store| exports.run.call(store, (*context, rows)), |answer| self.check(input, answer))
    }

    fn check(&self, input: &RecordBatch, answer: TransformedOut) -> Result<Transformed, Malformed> {
        let rows_in = input.num_rows();
        let origin = answer.origin.map(|bytes| lift::origin(&bytes, rows_in)).transpose()?;
        let rejected = lift::rejections(answer.rejected, origin.as_deref(), rows_in)?;
        let rows_out = origin.as_ref().map_or(rows_in, Vec::len);
        let mut computed = lift::columns(&self.computed, answer.computed, rows_out)?.into_iter();
        let passed = Passed::new(input, origin.as_deref());
        passed.check_size(self.columns.iter().filter_map(Column::input), self.pool.limits())?;
        let array = |column: &Column| match column {
            Column::Computed => computed.next().ok_or_else(|| Malformed::new("the columns", "there are too few")),
            Column::Passed { input } => passed.column(*input),
        };
        let arrays = self.columns.iter().map(array).collect::<Result<Vec<_>, _>>()?;
        Ok(Transformed { rows: lift::batch(&self.output, arrays, rows_out)?, origin, rejected })
    }
}

impl Column {
    fn input(&self) -> Option<usize> {
        match self {
            Self::Computed => None,
            Self::Passed { input } => Some(*input),
        }
    }
}

impl Weigh for TransformedOut {
    fn bytes(&self) -> usize {
        let columns: usize = self.computed.iter().map(Weigh::bytes).sum();
        let rejected: usize = self.rejected.iter().map(|rejection| 4 + rejection.code.len() + rejection.reason.len()).sum();
        columns + self.origin.as_ref().map_or(0, Vec::len) + rejected
    }
}

impl std::fmt::Debug for Transform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transform").field("site", &self.pool.site("run")).field("output", &self.output).finish_non_exhaustive()
    }
}

/// What `open` answered, checked against the input.
fn plan(opened: &TransformOpened, input: &Schema) -> Result<(Vec<usize>, Vec<Column>, SchemaRef), Malformed> {
    let reads = lift::reads(&opened.reads, input.fields().len())?;
    let column = |column: &OutputColumn| match column {
        OutputColumn::Computed(field) => Ok((lift::output_field(field)?, Column::Computed)),
        OutputColumn::Passed(passed) => {
            let index = passed.input as usize;
            let field = input.fields().get(index).ok_or_else(|| {
                let what = format!("it passes column {index} of an input of {}", input.fields().len());
                Malformed::new(format!("output column `{}`", passed.name), what)
            })?;
            Ok((field.as_ref().clone().with_name(&passed.name), Column::Passed { input: index }))
        }
    };
    let (fields, columns) = opened.output.iter().map(column).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    Ok((reads, columns, lift::output_schema(fields)?))
}

/// The input rows that come out.
struct Passed<'a> {
    input: &'a RecordBatch,
    rows: PassedRows,
}

enum PassedRows {
    All,
    /// One after the other, so nothing is copied.
    Run {
        first: usize,
        len: usize,
    },
    /// Some of them in their order: neighbours are copied together.
    Some(FilterPredicate),
    /// In any order, and perhaps more than once.
    Any(UInt32Array),
}

impl<'a> Passed<'a> {
    fn new(input: &'a RecordBatch, origin: Option<&[u32]>) -> Self {
        let rows = match origin {
            None => PassedRows::All,
            Some(origin) => {
                let once = origin.is_sorted_by(|a, b| a < b);
                match (origin.first(), origin.last()) {
                    (Some(&first), Some(&last)) if once && (last - first) as usize + 1 == origin.len() => {
                        PassedRows::Run { first: first as usize, len: origin.len() }
                    }
                    _ if once => PassedRows::Some(predicate(origin, input.num_rows())),
                    _ => PassedRows::Any(UInt32Array::from(origin.to_vec())),
                }
            }
        };
        Self { input, rows }
    }

    /// A guest can name a row many times and so make the host copy it many times: that is output as well, and has the same bound.
    fn check_size(&self, columns: impl Iterator<Item = usize>, limits: &Limits) -> Result<(), Malformed> {
        let PassedRows::Any(rows) = &self.rows else { return Ok(()) };
        let (mut bytes_in, mut bytes_out) = (0_usize, 0_usize);
        for array in columns.filter_map(|column| self.input.columns().get(column)) {
            bytes_in = bytes_in.saturating_add(lower::column(array).map_or(0, |lowered| lowered.bytes()));
            bytes_out = bytes_out.saturating_add(taken_bytes(array, rows));
        }
        let allowed = limits.output(bytes_in).min(i32::MAX as usize);
        if bytes_out <= allowed {
            return Ok(());
        }
        Err(Malformed::new("`origin`", format!("the rows that it repeats are {bytes_out} bytes; allowed are {allowed}")))
    }

    fn column(&self, index: usize) -> Result<ArrayRef, Malformed> {
        let malformed = |what: String| Malformed::new(format!("passed column {index}"), what);
        let array = self.input.columns().get(index).ok_or_else(|| malformed("the input has fewer".to_owned()))?;
        match &self.rows {
            PassedRows::All => Ok(Arc::clone(array)),
            PassedRows::Run { first, len } => Ok(array.slice(*first, *len)),
            PassedRows::Some(predicate) => predicate.filter(array).map_err(|error| malformed(error.to_string())),
            PassedRows::Any(rows) => arrow_select::take::take(array, rows, None).map_err(|error| malformed(error.to_string())),
        }
    }
}

/// Which of `count` rows are in `origin`, which is sorted.
fn predicate(origin: &[u32], count: usize) -> FilterPredicate {
    let mut kept = BooleanBufferBuilder::new(count);
    kept.append_n(count, false);
    origin.iter().for_each(|row| kept.set_bit(*row as usize, true));
    FilterBuilder::new(&BooleanArray::new(kept.finish(), None)).optimize().build()
}

/// How many bytes the values of `rows` are.
fn taken_bytes(array: &ArrayRef, rows: &UInt32Array) -> usize {
    let of_texts = |offsets: &[i32]| -> usize {
        let length = |row: &u32| match offsets.get(*row as usize..).and_then(<[i32]>::first_chunk) {
            Some([from, to]) => usize::try_from(to - from).unwrap_or(0),
            None => 0,
        };
        rows.values().iter().map(|row| size_of::<i32>() + length(row)).sum()
    };
    match array.data_type() {
        DataType::Utf8 => of_texts(array.as_string::<i32>().value_offsets()),
        DataType::Binary => of_texts(array.as_binary::<i32>().value_offsets()),
        _ => rows.len().saturating_mul(size_of::<i64>()),
    }
}
