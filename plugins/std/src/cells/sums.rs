//! Sums and averages of numbers.

use weir_guest::{Columns, Groups, Rows, RunError};

use super::{Cells, each_number, try_with};
use crate::codec::{Reader, Torn, write_signed, write_unsigned};
use crate::function::Function;
use crate::numbers::{FloatSum, IntSum, RunningSum};
use crate::output::{Made, Output};
use crate::value::Input;

/// `sum(x)` and `avg(x)` of `int64`
pub(crate) struct IntSums(Vec<IntSum>);

/// `sum(x)` and `avg(x)` of `float64`
pub(crate) struct FloatSums(Vec<FloatSum>);

/// `try_sum(x)` of `int64`
pub(crate) struct RunningSums(Vec<RunningSum>);

impl IntSums {
    pub(crate) fn new(groups: usize) -> Self {
        Self(vec![IntSum::default(); groups])
    }
}

impl FloatSums {
    pub(crate) fn new(groups: usize) -> Self {
        Self(vec![FloatSum::default(); groups])
    }
}

impl RunningSums {
    pub(crate) fn new(groups: usize) -> Self {
        Self(vec![RunningSum::default(); groups])
    }
}

impl<'a> Cells<'a> for IntSums {
    fn add_rows(&mut self, inputs: &[Input], rows: &Rows<'a>, groups: Groups<'_>) {
        if let Some(Input::Int(column)) = inputs.first() {
            each_number(rows.column(*column), groups, &mut self.0, |sum, value| {
                sum.count += 1;
                sum.sum += i128::from(value);
            });
        }
    }

    fn add_state(&mut self, group: usize, state: &mut Reader<'a>) -> Result<(), Torn> {
        let count = state.unsigned()?;
        let more = if count == 0 { 0 } else { state.signed()? };
        try_with(&mut self.0, group, |sum| {
            *sum = IntSum { count: sum.count.checked_add(count)?, sum: sum.sum.checked_add(more)? };
            Some(())
        })
    }

    fn write(&mut self, group: usize, bytes: &mut Vec<u8>) {
        let IntSum { count, sum } = self.0.get(group).copied().unwrap_or_default();
        write_unsigned(count, bytes);
        if count > 0 {
            write_signed(sum, bytes);
        }
    }

    fn fill(&mut self, output: &Output, out: &mut Columns) -> Result<(), RunError> {
        match (output.made, output.expression.function) {
            (Made::Float(column), Function::Avg) => out.extend(column, self.0.iter().map(|sum| sum.average())),
            (Made::Int(column), _) => {
                for sum in &self.0 {
                    out.push(column, int_sum(*sum, output)?);
                }
            }
            // An output's column and its accumulator are made together.
            _ => {}
        }
        Ok(())
    }
}

/// A sum as `int64`; none: of no values.
///
/// # Errors
/// It does not fit.
pub(super) fn int_sum(sum: IntSum, output: &Output) -> Result<Option<i64>, RunError> {
    match i64::try_from(sum.sum) {
        Ok(fits) => Ok((sum.count > 0).then_some(fits)),
        Err(_) if output.expression.function == Function::TrySum => Ok(None),
        Err(_) => Err(output.error(format_args!("is {}, which does not fit `int64`; `try_sum` would be null", sum.sum))),
    }
}

impl<'a> Cells<'a> for FloatSums {
    fn add_rows(&mut self, inputs: &[Input], rows: &Rows<'a>, groups: Groups<'_>) {
        if let Some(Input::Float(column)) = inputs.first() {
            each_number(rows.column(*column), groups, &mut self.0, |sum, value| sum.add(value, 1));
        }
    }

    fn add_state(&mut self, group: usize, state: &mut Reader<'a>) -> Result<(), Torn> {
        let count = state.unsigned()?;
        if count == 0 {
            return Ok(());
        }
        let more = FloatSum { count, sum: f64::from_le_bytes(state.eight()?), lost: f64::from_le_bytes(state.eight()?) };
        try_with(&mut self.0, group, |sum| {
            sum.count.checked_add(count)?;
            sum.merge(more);
            Some(())
        })
    }

    fn write(&mut self, group: usize, bytes: &mut Vec<u8>) {
        let FloatSum { count, sum, lost } = self.0.get(group).copied().unwrap_or_default();
        write_unsigned(count, bytes);
        if count > 0 {
            bytes.extend_from_slice([sum.to_le_bytes(), lost.to_le_bytes()].as_flattened());
        }
    }

    fn fill(&mut self, output: &Output, out: &mut Columns) -> Result<(), RunError> {
        match (output.made, output.expression.function) {
            (Made::Float(column), Function::Avg) => out.extend(column, self.0.iter().map(|sum| sum.average())),
            (Made::Float(column), _) => out.extend(column, self.0.iter().map(|sum| sum.total())),
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Cells<'a> for RunningSums {
    fn add_rows(&mut self, inputs: &[Input], rows: &Rows<'a>, groups: Groups<'_>) {
        if let Some(Input::Int(column)) = inputs.first() {
            each_number(rows.column(*column), groups, &mut self.0, |sum, value| sum.add(value));
        }
    }

    fn add_state(&mut self, group: usize, state: &mut Reader<'a>) -> Result<(), Torn> {
        let count = state.unsigned()?;
        if count == 0 {
            return Ok(());
        }
        let more = RunningSum { count, sum: state.signed()?, least: state.signed()?, greatest: state.signed()? };
        try_with(&mut self.0, group, |sum| {
            *sum = sum.then(more)?;
            Some(())
        })
    }

    fn write(&mut self, group: usize, bytes: &mut Vec<u8>) {
        let RunningSum { count, sum, least, greatest } = self.0.get(group).copied().unwrap_or_default();
        write_unsigned(count, bytes);
        if count > 0 {
            [sum, least, greatest].into_iter().for_each(|sum| write_signed(sum, bytes));
        }
    }

    fn fill(&mut self, output: &Output, out: &mut Columns) -> Result<(), RunError> {
        if let Made::Int(column) = output.made {
            out.extend(column, self.0.iter().map(|sum| sum.total()));
        }
        Ok(())
    }
}
