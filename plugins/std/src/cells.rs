//! The values of one accumulator for all groups of a call, densely: a module for each family. All loops over rows are here, and all bytes of the state.

use weir_guest::{Columns, Groups, Rows, RunError, Type};

use crate::accumulator::Kind;
use crate::codec::{Reader, Torn};
use crate::output::Output;
use crate::value::Input;

mod counts;
mod edges;
mod extremes;
mod histograms;
mod lists;
mod moments;
mod registers;
mod sets;
mod sums;

/// One value a group. What is longer than a few bytes is borrowed from the rows or the states of the call.
pub(crate) trait Cells<'a> {
    /// Adds every row to its group.
    fn add_rows(&mut self, inputs: &[Input], rows: &Rows<'a>, groups: Groups<'_>);

    /// Adds what the next field of a state holds to a group.
    ///
    /// # Errors
    /// These are not the bytes of such a field.
    fn add_state(&mut self, group: usize, state: &mut Reader<'a>) -> Result<(), Torn>;

    /// Writes the field of a group's state.
    fn write(&mut self, group: usize, bytes: &mut Vec<u8>);

    /// Makes one value a group of an output column.
    ///
    /// # Errors
    /// A group has no such value.
    fn fill(&mut self, output: &Output, out: &mut Columns) -> Result<(), RunError>;
}

/// The cells of `groups` groups.
pub(crate) fn cells<'a>(kind: &Kind, groups: usize) -> Box<dyn Cells<'a> + 'a> {
    match kind {
        Kind::Count => Box::new(counts::Counts::new(groups)),
        Kind::CountIf => Box::new(counts::CountsOfTrue::new(groups)),
        Kind::Sum(Type::Float64) => Box::new(sums::FloatSums::new(groups)),
        Kind::Sum(_) => Box::new(sums::IntSums::new(groups)),
        Kind::RunningSum(_) => Box::new(sums::RunningSums::new(groups)),
        Kind::Extreme(end, ty @ (Type::Utf8 | Type::Binary | Type::Json)) => Box::new(extremes::BytesExtremes::new(*end, *ty, groups)),
        Kind::Extreme(end, ty) => Box::new(extremes::Extremes::new(*end, *ty, groups)),
        Kind::Edge(edge, ty) => Box::new(edges::Edges::new(*edge, *ty, groups)),
        Kind::Beside(end, ty, by) => Box::new(edges::Besides::new(*end, *ty, *by, groups)),
        Kind::List(ty, limit) => Box::new(lists::Lists::new(*ty, *limit, groups)),
        Kind::Set(types, limit) => match types.as_slice() {
            [ty] => Box::new(sets::Sets::new(*ty, *limit, groups)),
            types => Box::new(sets::Combinations::new(types.to_vec(), groups)),
        },
        Kind::Moments(degree) => Box::new(moments::Moments::new(*degree, groups)),
        Kind::Comoments => Box::new(moments::Comoments::new(groups)),
        Kind::Registers(ty) => Box::new(registers::Registers::new(*ty, groups)),
        Kind::Histogram(ty) => Box::new(histograms::Histograms::new(*ty, groups)),
    }
}

/// Does something to the cell of a group; groups are checked when a call begins.
#[inline]
fn with<C>(cells: &mut [C], group: usize, change: impl FnOnce(&mut C)) {
    if let Some(cell) = cells.get_mut(group) {
        change(cell);
    }
}

/// Does something fallible to the cell of a group.
#[inline]
fn try_with<C>(cells: &mut [C], group: usize, change: impl FnOnce(&mut C) -> Option<()>) -> Result<(), Torn> {
    cells.get_mut(group).and_then(change).ok_or(Torn)
}

/// Adds each value that is not null to the cell of its row's group.
#[inline]
fn each<C, V>(values: impl Iterator<Item = Option<V>>, groups: Groups<'_>, cells: &mut [C], add: impl Fn(&mut C, V)) {
    for (value, group) in values.zip(groups.iter()) {
        if let Some(value) = value {
            with(cells, group, |cell| add(cell, value));
        }
    }
}

/// The same for numbers, without a look at nulls where there are none.
#[inline]
fn each_number<C, N: weir_guest::Number>(column: weir_guest::View<'_, N>, groups: Groups<'_>, cells: &mut [C], add: impl Fn(&mut C, N)) {
    if column.has_nulls() {
        return each(column.iter(), groups, cells, add);
    }
    for (value, group) in column.numbers().zip(groups.iter()) {
        with(cells, group, |cell| add(cell, value));
    }
}
