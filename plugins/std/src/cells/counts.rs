//! How many rows, or rows with a value, or with a true one.

use weir_guest::{Columns, Groups, Rows, RunError};

use super::{Cells, try_with, with};
use crate::codec::{Reader, Torn, write_unsigned};
use crate::output::{Made, Output};
use crate::value::Input;

/// `count(*)` and `count(x)`
pub(crate) struct Counts(Vec<u64>);

/// `count_if(x)`
pub(crate) struct CountsOfTrue(Counts);

impl Counts {
    pub(crate) fn new(groups: usize) -> Self {
        Self(vec![0; groups])
    }
}

impl CountsOfTrue {
    pub(crate) fn new(groups: usize) -> Self {
        Self(Counts::new(groups))
    }
}

impl<'a> Cells<'a> for Counts {
    fn add_rows(&mut self, inputs: &[Input], rows: &Rows<'a>, groups: Groups<'_>) {
        match inputs.first() {
            Some(Input::Any(column)) => {
                let column = rows.column(*column);
                for (row, group) in groups.iter().enumerate() {
                    with(&mut self.0, group, |count| *count += u64::from(column.is_valid(row)));
                }
            }
            _ => groups.iter().for_each(|group| with(&mut self.0, group, |count| *count += 1)),
        }
    }

    fn add_state(&mut self, group: usize, state: &mut Reader<'a>) -> Result<(), Torn> {
        let more = state.unsigned()?;
        try_with(&mut self.0, group, |count| {
            *count = count.checked_add(more)?;
            Some(())
        })
    }

    fn write(&mut self, group: usize, bytes: &mut Vec<u8>) {
        write_unsigned(self.0.get(group).copied().unwrap_or_default(), bytes);
    }

    fn fill(&mut self, output: &Output, out: &mut Columns) -> Result<(), RunError> {
        if let Made::Int(column) = output.made {
            out.extend_numbers(column, self.0.iter().map(|count| *count as i64));
        }
        Ok(())
    }
}

impl<'a> Cells<'a> for CountsOfTrue {
    fn add_rows(&mut self, inputs: &[Input], rows: &Rows<'a>, groups: Groups<'_>) {
        if let Some(Input::Boolean(column)) = inputs.first() {
            super::each(rows.column(*column).iter(), groups, &mut self.0.0, |count, value| *count += u64::from(value));
        }
    }

    fn add_state(&mut self, group: usize, state: &mut Reader<'a>) -> Result<(), Torn> {
        self.0.add_state(group, state)
    }

    fn write(&mut self, group: usize, bytes: &mut Vec<u8>) {
        self.0.write(group, bytes);
    }

    fn fill(&mut self, output: &Output, out: &mut Columns) -> Result<(), RunError> {
        self.0.fill(output, out)
    }
}
