//! `approx_percentile(x, ..)`: which values there were and how often, exactly while there are few different ones, and rounded after that. Unlike a t-digest or KLL, the
//! state of some rows and the state of others make exactly the state of all of them, so that no cut and no order of merges shows.
//!
//! A rounded value keeps the sign, the exponent and the first [`BITS`] bits of a double, so that it is at most 1/256 nearer to zero than the value; whole numbers up to 512 stay as
//! they are.

use weir_guest::{Columns, Groups, Rows, RunError, Type};

use super::lists::push_json;
use super::{Cells, try_with, with};
use crate::codec::{Reader, Torn, write_unsigned};
use crate::expression::Rest;
use crate::numbers::{float_to_key, key_to_float};
use crate::output::{Made, Output};
use crate::value::{Input, Value};

/// How many different values are kept as they are.
const EXACT: usize = 1024;
/// How many bits of the fraction a rounded value keeps.
const BITS: u32 = 8;
/// How many are taken off.
const CUT: u32 = 52 - BITS;

pub(crate) struct Histograms {
    ty: Type,
    cells: Vec<Histogram>,
}

/// Values with how often they were there; sorted and different after [`Histogram::settle`], and then at most one of the two is not empty.
#[derive(Default, Clone)]
struct Histogram {
    /// As they are.
    exact: Vec<(i64, u64)>,
    /// As numbers of their rounded forms.
    rounded: Vec<(i64, u64)>,
}

impl Histograms {
    pub(crate) fn new(ty: Type, groups: usize) -> Self {
        Self { ty, cells: vec![Histogram::default(); groups] }
    }
}

impl Histogram {
    fn settle(&mut self, ty: Type) {
        combine(&mut self.exact);
        if self.exact.len() > EXACT || !self.rounded.is_empty() {
            self.rounded.extend(self.exact.drain(..).map(|(value, times)| (round(value, ty), times)));
            combine(&mut self.rounded);
        }
    }

    /// The values at these parts of the way from the least to the greatest: of n values, number ⌈part · n⌉, as in Spark. None: there is none.
    fn percentile(&self, part: f64, ty: Type) -> Option<i64> {
        let values = if self.rounded.is_empty() { &self.exact } else { &self.rounded };
        let total = values.iter().fold(0_u64, |total, (_, times)| total.saturating_add(*times));
        let mut left = ((part * total as f64).ceil() as u64).clamp(1, total.max(1));
        for (value, times) in values {
            match left.checked_sub(*times) {
                Some(more @ 1..) => left = more,
                _ => return Some(if self.rounded.is_empty() { *value } else { restore(*value, ty) }),
            }
        }
        None
    }
}

/// Sorts, and makes one of equal values.
fn combine(values: &mut Vec<(i64, u64)>) {
    values.sort();
    values.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 = kept.1.saturating_add(next.1);
        }
        same
    });
}

/// The number of a value's rounded form: they follow one another as the values do.
fn round(value: i64, ty: Type) -> i64 {
    let key = if ty == Type::Int64 { float_to_key(value as f64) } else { value };
    key >> CUT
}

/// The value of least magnitude with that rounded form.
fn restore(number: i64, ty: Type) -> i64 {
    let key = if number < 0 { number << CUT | ((1 << CUT) - 1) } else { number << CUT };
    if ty == Type::Int64 { key_to_float(key) as i64 } else { key }
}

impl<'a> Cells<'a> for Histograms {
    fn add_rows(&mut self, inputs: &[Input], rows: &Rows<'a>, groups: Groups<'_>) {
        let Some(values) = inputs.first().map(|input| input.values(rows)) else { return };
        for (row, group) in groups.iter().enumerate() {
            if let Some(Value::Number(value)) = values.get(row).map(|value| value.normal(self.ty)) {
                with(&mut self.cells, group, |histogram| histogram.exact.push((value, 1)));
            }
        }
    }

    fn add_state(&mut self, group: usize, state: &mut Reader<'a>) -> Result<(), Torn> {
        let header = state.unsigned()?;
        let ty = self.ty;
        try_with(&mut self.cells, group, |histogram| {
            let mut number = 0_i64;
            for _ in 0..header >> 1 {
                if header & 1 == 0 {
                    let Value::Number(value) = Value::read(ty, state).ok()? else { return None };
                    histogram.exact.push((value, state.unsigned().ok()?));
                } else {
                    number = number.checked_add(i64::try_from(state.signed().ok()?).ok()?).filter(|number| (-(1 << 20)..1 << 20).contains(number))?;
                    histogram.rounded.push((number, state.unsigned().ok()?));
                }
            }
            Some(())
        })
    }

    fn write(&mut self, group: usize, bytes: &mut Vec<u8>) {
        let Some(histogram) = self.cells.get_mut(group) else { return write_unsigned(0, bytes) };
        histogram.settle(self.ty);
        if histogram.rounded.is_empty() {
            write_unsigned((histogram.exact.len() as u64) << 1, bytes);
            for (value, times) in &histogram.exact {
                Value::Number(*value).write(self.ty, bytes);
                write_unsigned(*times, bytes);
            }
            return;
        }
        write_unsigned((histogram.rounded.len() as u64) << 1 | 1, bytes);
        let mut before = 0;
        for (number, times) in &histogram.rounded {
            crate::codec::write_signed(i128::from(number - before), bytes);
            write_unsigned(*times, bytes);
            before = *number;
        }
    }

    fn fill(&mut self, output: &Output, out: &mut Columns) -> Result<(), RunError> {
        let Rest::Percentages(parts) = &output.expression.rest else { return Ok(()) };
        for histogram in &mut self.cells {
            histogram.settle(self.ty);
            let values: Vec<_> = parts.iter().filter_map(|part| histogram.percentile(*part, self.ty).map(Value::Number)).collect();
            match (output.made, values.as_slice()) {
                (Made::Json(_), [_, ..]) => push_json(&values, self.ty, output, out)?,
                (made, values) => made.push(values.first().copied(), out)?,
            }
        }
        Ok(())
    }
}
