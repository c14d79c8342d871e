//! Values in order of arrival: `collect_list(x)`. A state is concatenation: the values of one, then those of the next, up to the limit; so it costs no more than its bytes.

use weir_guest::{Columns, Groups, Rows, RunError, Type};

use super::{Cells, try_with, with};
use crate::codec::{Reader, Torn, write_unsigned};
use crate::expression::Rest;
use crate::output::{Made, Output};
use crate::value::{Input, Value};

pub(crate) struct Lists<'a> {
    ty: Type,
    /// How many values are kept.
    limit: u64,
    cells: Vec<List<'a>>,
}

/// The first values, and how many there were.
#[derive(Default, Clone)]
struct List<'a> {
    total: u64,
    kept: Vec<Value<'a>>,
}

impl Lists<'_> {
    pub(crate) fn new(ty: Type, limit: Option<u32>, groups: usize) -> Self {
        Self { ty, limit: limit.map_or(u64::MAX, u64::from), cells: vec![List::default(); groups] }
    }
}

impl List<'_> {
    fn left_out(&self) -> u64 {
        self.total - self.kept.len() as u64
    }
}

impl<'a> Cells<'a> for Lists<'a> {
    fn add_rows(&mut self, inputs: &[Input], rows: &Rows<'a>, groups: Groups<'_>) {
        let Some(values) = inputs.first().map(|input| input.values(rows)) else { return };
        let limit = self.limit;
        for (row, group) in groups.iter().enumerate() {
            let Some(value) = values.get(row) else { continue };
            with(&mut self.cells, group, |list| {
                list.total += 1;
                if (list.kept.len() as u64) < limit {
                    list.kept.push(value);
                }
            });
        }
    }

    fn add_state(&mut self, group: usize, state: &mut Reader<'a>) -> Result<(), Torn> {
        let total = state.unsigned()?;
        let (ty, limit) = (self.ty, self.limit);
        try_with(&mut self.cells, group, |list| {
            list.total = list.total.checked_add(total)?;
            for _ in 0..total.min(limit) {
                let value = Value::read(ty, state).ok()?;
                if (list.kept.len() as u64) < limit {
                    list.kept.push(value);
                }
            }
            Some(())
        })
    }

    fn write(&mut self, group: usize, bytes: &mut Vec<u8>) {
        let Some(list) = self.cells.get(group) else { return write_unsigned(0, bytes) };
        write_unsigned(list.total, bytes);
        list.kept.iter().for_each(|value| value.write(self.ty, bytes));
    }

    fn fill(&mut self, output: &Output, out: &mut Columns) -> Result<(), RunError> {
        for list in &self.cells {
            if let (Rest::Limit(limit), more @ 1..) = (&output.expression.rest, list.left_out())
                && limit.strict
            {
                return Err(output.error(format_args!("has {more} values more than its limit of {}; without `error` they would be left out", limit.values)));
            }
            push_json(&list.kept, self.ty, output, out)?;
            if let Some(Made::Int(column)) = output.left_out {
                out.push(column, i64::try_from(list.left_out()).unwrap_or(i64::MAX));
            }
        }
        Ok(())
    }
}

/// Values as a JSON array.
pub(super) fn push_json(values: &[Value<'_>], ty: Type, output: &Output, out: &mut Columns) -> Result<(), Torn> {
    let mut json = String::from("[");
    for (number, value) in values.iter().enumerate() {
        if number > 0 {
            json.push(',');
        }
        value.write_json(ty, &mut json)?;
    }
    json.push(']');
    output.made.push(Some(Value::Bytes(json.as_bytes())), out)
}
