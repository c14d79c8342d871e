//! The value of one row of a group: of the first, the last, or the one in which another column has its least or greatest value. Both go by the order of arrival.

use weir_guest::{Columns, Groups, Rows, RunError, Type};

use super::{Cells, with};
use crate::accumulator::{Edge, End};
use crate::codec::{Reader, Torn};
use crate::output::Output;
use crate::value::{Input, Value};

/// `first(x)` and `last(x)`, and `any_value(x)`, which is the first.
pub(crate) struct Edges<'a> {
    edge: Edge,
    ty: Type,
    /// None: there was no row that counts.
    cells: Vec<Option<Option<Value<'a>>>>,
}

/// `min_by(x, y)` and `max_by(x, y)`: `y`, and `x` beside it.
pub(crate) struct Besides<'a> {
    end: End,
    ty: Type,
    by: Type,
    cells: Vec<Option<(Value<'a>, Option<Value<'a>>)>>,
}

impl Edges<'_> {
    pub(crate) fn new(edge: Edge, ty: Type, groups: usize) -> Self {
        Self { edge, ty, cells: vec![None; groups] }
    }
}

impl<'a> Edges<'a> {
    #[inline]
    fn add(&mut self, group: usize, value: Option<Value<'a>>) {
        let Edges { edge, cells, .. } = self;
        with(cells, group, |cell| {
            if (edge.is_last() || cell.is_none()) && (value.is_some() || !edge.ignores_nulls()) {
                *cell = Some(value);
            }
        });
    }
}

impl Besides<'_> {
    pub(crate) fn new(end: End, ty: Type, by: Type, groups: usize) -> Self {
        Self { end, ty, by, cells: vec![None; groups] }
    }
}

impl<'a> Besides<'a> {
    /// Of rows that are equal in `y`, the last one counts, as in Spark.
    #[inline]
    fn add(&mut self, group: usize, by: Value<'a>, value: Option<Value<'a>>) {
        let end = self.end;
        with(&mut self.cells, group, |cell| {
            let stays = cell.is_some_and(|(best, _)| if end == End::Least { best < by } else { best > by });
            if !stays {
                *cell = Some((by, value));
            }
        });
    }
}

impl<'a> Cells<'a> for Edges<'a> {
    fn add_rows(&mut self, inputs: &[Input], rows: &Rows<'a>, groups: Groups<'_>) {
        let Some(values) = inputs.first().map(|input| input.values(rows)) else { return };
        for (row, group) in groups.iter().enumerate() {
            self.add(group, values.get(row));
        }
    }

    fn add_state(&mut self, group: usize, state: &mut Reader<'a>) -> Result<(), Torn> {
        match state.byte()? {
            0 => {}
            1 if !self.edge.ignores_nulls() => self.add(group, None),
            2 => {
                let value = Value::read(self.ty, state)?;
                self.add(group, Some(value));
            }
            _ => return Err(Torn),
        }
        Ok(())
    }

    fn write(&mut self, group: usize, bytes: &mut Vec<u8>) {
        match self.cells.get(group).copied().flatten() {
            None => bytes.push(0),
            Some(None) => bytes.push(1),
            Some(Some(value)) => {
                bytes.push(2);
                value.write(self.ty, bytes);
            }
        }
    }

    fn fill(&mut self, output: &Output, out: &mut Columns) -> Result<(), RunError> {
        Ok(self.cells.iter().try_for_each(|cell| output.made.push(cell.flatten(), out))?)
    }
}

impl<'a> Cells<'a> for Besides<'a> {
    fn add_rows(&mut self, inputs: &[Input], rows: &Rows<'a>, groups: Groups<'_>) {
        let [values, by] = inputs else { return };
        let (values, by) = (values.values(rows), by.values(rows));
        for (row, group) in groups.iter().enumerate() {
            if let Some(by) = by.get(row) {
                self.add(group, by.normal(self.by), values.get(row));
            }
        }
    }

    fn add_state(&mut self, group: usize, state: &mut Reader<'a>) -> Result<(), Torn> {
        let kind = state.byte()?;
        if kind == 0 {
            return Ok(());
        }
        let by = Value::read(self.by, state)?.normal(self.by);
        let value = match kind {
            1 => None,
            2 => Some(Value::read(self.ty, state)?),
            _ => return Err(Torn),
        };
        self.add(group, by, value);
        Ok(())
    }

    fn write(&mut self, group: usize, bytes: &mut Vec<u8>) {
        let Some((by, value)) = self.cells.get(group).copied().flatten() else { return bytes.push(0) };
        bytes.push(if value.is_some() { 2 } else { 1 });
        by.write(self.by, bytes);
        if let Some(value) = value {
            value.write(self.ty, bytes);
        }
    }

    fn fill(&mut self, output: &Output, out: &mut Columns) -> Result<(), RunError> {
        Ok(self.cells.iter().try_for_each(|cell| output.made.push(cell.and_then(|(_, value)| value), out))?)
    }
}
