//! The least and the greatest value.

use weir_guest::{Columns, Groups, Rows, RunError, Timestamp, Type};

use super::{Cells, each, each_number, with};
use crate::accumulator::End;
use crate::codec::{Reader, Torn, write_unsigned};
use crate::numbers::{float_to_key, key_to_float};
use crate::output::Output;
use crate::value::{Input, Value};

/// `min(x)` and `max(x)` of types whose values are numbers, as numbers of the same order; `bool_and(x)` and `bool_or(x)`.
pub(crate) struct Extremes {
    end: End,
    ty: Type,
    cells: Vec<Option<i64>>,
}

/// `min(x)` and `max(x)` of `utf8` and `binary`, by bytes.
pub(crate) struct BytesExtremes<'a> {
    end: End,
    ty: Type,
    cells: Vec<Option<&'a [u8]>>,
}

impl Extremes {
    pub(crate) fn new(end: End, ty: Type, groups: usize) -> Self {
        Self { end, ty, cells: vec![None; groups] }
    }
}

impl BytesExtremes<'_> {
    pub(crate) fn new(end: End, ty: Type, groups: usize) -> Self {
        Self { end, ty, cells: vec![None; groups] }
    }
}

impl<'a> Cells<'a> for Extremes {
    fn add_rows(&mut self, inputs: &[Input], rows: &Rows<'a>, groups: Groups<'_>) {
        let cells = &mut self.cells;
        match inputs.first() {
            Some(Input::Int(column)) => each_number(rows.column(*column), groups, cells, further(self.end, |value: i64| value)),
            Some(Input::Float(column)) => each_number(rows.column(*column), groups, cells, further(self.end, float_to_key)),
            Some(Input::Time(column)) => each_number(rows.column(*column), groups, cells, further(self.end, |time: Timestamp| time.0)),
            Some(Input::Boolean(column)) => each(rows.column(*column).iter(), groups, cells, further(self.end, i64::from)),
            // An accumulator's kind and input are made together.
            _ => {}
        }
    }

    fn add_state(&mut self, group: usize, state: &mut Reader<'a>) -> Result<(), Torn> {
        let key = match (self.ty, state.byte()?) {
            (_, 0) => return Ok(()),
            (Type::Boolean, byte @ 1..=2) => i64::from(byte) - 1,
            (Type::Float64, 1) => float_to_key(f64::from_le_bytes(state.eight()?)),
            (Type::Int64 | Type::Timestamp, 1) => i64::from_le_bytes(state.eight()?),
            _ => return Err(Torn),
        };
        with(&mut self.cells, group, |cell| further(self.end, |key: i64| key)(cell, key));
        Ok(())
    }

    fn write(&mut self, group: usize, bytes: &mut Vec<u8>) {
        match (self.ty, self.cells.get(group).copied().flatten()) {
            (_, None) => bytes.push(0),
            (Type::Boolean, Some(key)) => bytes.push(key as u8 + 1),
            (ty, Some(key)) => {
                let value = if ty == Type::Float64 { key_to_float(key).to_le_bytes() } else { key.to_le_bytes() };
                bytes.push(1);
                bytes.extend_from_slice(&value);
            }
        }
    }

    fn fill(&mut self, output: &Output, out: &mut Columns) -> Result<(), RunError> {
        Ok(self.cells.iter().try_for_each(|cell| output.made.push(cell.map(Value::Number), out))?)
    }
}

impl<'a> Cells<'a> for BytesExtremes<'a> {
    fn add_rows(&mut self, inputs: &[Input], rows: &Rows<'a>, groups: Groups<'_>) {
        let cells = &mut self.cells;
        match inputs.first() {
            Some(Input::Text(column)) => each(rows.column(*column).iter(), groups, cells, further(self.end, |text: &'a str| text.as_bytes())),
            Some(Input::Binary(column)) => each(rows.column(*column).iter(), groups, cells, further(self.end, |bytes: &'a [u8]| bytes)),
            _ => {}
        }
    }

    fn add_state(&mut self, group: usize, state: &mut Reader<'a>) -> Result<(), Torn> {
        let Some(length) = state.unsigned()?.checked_sub(1) else { return Ok(()) };
        let bytes = state.bytes(usize::try_from(length).map_err(|_| Torn)?)?;
        if self.ty != Type::Binary {
            str::from_utf8(bytes).map_err(|_| Torn)?;
        }
        with(&mut self.cells, group, |cell| further(self.end, |bytes: &'a [u8]| bytes)(cell, bytes));
        Ok(())
    }

    fn write(&mut self, group: usize, bytes: &mut Vec<u8>) {
        let value = self.cells.get(group).copied().flatten();
        write_unsigned(value.map_or(0, |value| value.len() as u64 + 1), bytes);
        bytes.extend_from_slice(value.unwrap_or_default());
    }

    fn fill(&mut self, output: &Output, out: &mut Columns) -> Result<(), RunError> {
        Ok(self.cells.iter().try_for_each(|cell| output.made.push(cell.map(Value::Bytes), out))?)
    }
}

/// Moves a cell towards an end.
#[inline]
fn further<V, K: Ord + Copy>(end: End, key: impl Fn(V) -> K) -> impl Fn(&mut Option<K>, V) {
    move |cell, value| {
        let key = key(value);
        *cell = Some(match (*cell, end) {
            (None, _) => key,
            (Some(other), End::Least) => other.min(key),
            (Some(other), End::Greatest) => other.max(key),
        });
    }
}
