//! The values of one accumulator for all groups of a call, densely. All loops over rows are here, and all bytes of the state.

use weir_guest::{Any, Groups, Rows, Timestamp, Type, View};

use crate::accumulator::{End, Input, Kind};
use crate::codec::{Reader, Torn, write_signed, write_unsigned};
use crate::numbers::{FloatSum, IntSum, float_to_key, key_to_float};

/// One value a group. Text is borrowed from the rows or the states of the call.
pub(crate) enum Cells<'a> {
    Counts(Vec<u64>),
    IntSums(Vec<IntSum>),
    FloatSums(Vec<FloatSum>),
    /// Values of a type other than text, as numbers of the same order.
    Extremes(End, Type, Vec<Option<i64>>),
    TextExtremes(End, Vec<Option<&'a str>>),
}

impl<'a> Cells<'a> {
    pub(crate) fn new(kind: Kind, groups: usize) -> Self {
        match kind {
            Kind::Count => Self::Counts(vec![0; groups]),
            Kind::IntSum => Self::IntSums(vec![IntSum::default(); groups]),
            Kind::FloatSum => Self::FloatSums(vec![FloatSum::default(); groups]),
            Kind::Extreme(end, Type::Utf8) => Self::TextExtremes(end, vec![None; groups]),
            Kind::Extreme(end, ty) => Self::Extremes(end, ty, vec![None; groups]),
        }
    }

    /// Adds every row to its group.
    pub(crate) fn add_rows(&mut self, input: Input, rows: &Rows<'a>, groups: Groups<'_>) {
        match (self, input) {
            (Self::Counts(counts), Input::Rows) => groups.iter().for_each(|group| with(counts, group, |count| *count += 1)),
            (Self::Counts(counts), Input::Any(column)) => count_values(rows.column(column), groups, counts),
            (Self::IntSums(sums), Input::Int(column)) => each_number(rows.column(column), groups, sums, |sum, value| {
                sum.count += 1;
                sum.sum += i128::from(value);
            }),
            (Self::FloatSums(sums), Input::Float(column)) => each_number(rows.column(column), groups, sums, |sum, value| sum.add(value, 1)),
            (Self::Extremes(end, _, cells), Input::Int(column)) => each_number(rows.column(column), groups, cells, further(*end, |value: i64| value)),
            (Self::Extremes(end, _, cells), Input::Float(column)) => each_number(rows.column(column), groups, cells, further(*end, float_to_key)),
            (Self::Extremes(end, _, cells), Input::Time(column)) => each_number(rows.column(column), groups, cells, further(*end, |time: Timestamp| time.0)),
            (Self::Extremes(end, _, cells), Input::Boolean(column)) => each(rows.column(column).iter(), groups, cells, further(*end, i64::from)),
            (Self::TextExtremes(end, cells), Input::Text(column)) => each(rows.column(column).iter(), groups, cells, further(*end, |text: &'a str| text)),
            // An accumulator's kind and input are made together.
            _ => {}
        }
    }

    /// Adds what the next field of a state holds to a group.
    pub(crate) fn add_state(&mut self, group: usize, state: &mut Reader<'a>) -> Result<(), Torn> {
        match self {
            Self::Counts(counts) => {
                let more = state.unsigned()?;
                with(counts, group, |count| *count += more);
            }
            Self::IntSums(sums) => {
                let count = state.unsigned()?;
                let more = if count == 0 { 0 } else { state.signed()? };
                with(sums, group, |sum| {
                    sum.count += count;
                    sum.sum += more;
                });
            }
            Self::FloatSums(sums) => {
                let count = state.unsigned()?;
                if count > 0 {
                    let more = FloatSum { count, sum: f64::from_le_bytes(state.eight()?), lost: f64::from_le_bytes(state.eight()?) };
                    with(sums, group, |sum| sum.merge(more));
                }
            }
            Self::Extremes(end, ty, cells) => {
                if let Some(key) = read_key(*ty, state)? {
                    with(cells, group, |cell| further(*end, |key: i64| key)(cell, key));
                }
            }
            Self::TextExtremes(end, cells) => {
                if let Some(length) = state.unsigned()?.checked_sub(1) {
                    let text = str::from_utf8(state.bytes(usize::try_from(length).map_err(|_| Torn)?)?).map_err(|_| Torn)?;
                    with(cells, group, |cell| further(*end, |text: &'a str| text)(cell, text));
                }
            }
        }
        Ok(())
    }

    /// Writes the field of a group's state.
    pub(crate) fn write(&self, group: usize, bytes: &mut Vec<u8>) {
        match self {
            Self::Counts(counts) => write_unsigned(counts.get(group).copied().unwrap_or_default(), bytes),
            Self::IntSums(sums) => {
                let IntSum { count, sum } = sums.get(group).copied().unwrap_or_default();
                write_unsigned(count, bytes);
                if count > 0 {
                    write_signed(sum, bytes);
                }
            }
            Self::FloatSums(sums) => {
                let FloatSum { count, sum, lost } = sums.get(group).copied().unwrap_or_default();
                write_unsigned(count, bytes);
                if count > 0 {
                    bytes.extend_from_slice([sum.to_le_bytes(), lost.to_le_bytes()].as_flattened());
                }
            }
            Self::Extremes(_, ty, cells) => write_key(*ty, cells.get(group).copied().flatten(), bytes),
            Self::TextExtremes(_, cells) => {
                let text = cells.get(group).copied().flatten();
                write_unsigned(text.map_or(0, |text| text.len() as u64 + 1), bytes);
                bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
            }
        }
    }
}

/// Does something to the cell of a group; groups are checked when a call begins.
#[inline]
fn with<C>(cells: &mut [C], group: usize, change: impl FnOnce(&mut C)) {
    if let Some(cell) = cells.get_mut(group) {
        change(cell);
    }
}

fn count_values(column: View<'_, Any>, groups: Groups<'_>, counts: &mut [u64]) {
    for (row, group) in groups.iter().enumerate() {
        with(counts, group, |count| *count += u64::from(column.is_valid(row)));
    }
}

#[inline]
fn each<C, V>(values: impl Iterator<Item = Option<V>>, groups: Groups<'_>, cells: &mut [C], add: impl Fn(&mut C, V)) {
    for (value, group) in values.zip(groups.iter()) {
        if let Some(value) = value {
            with(cells, group, |cell| add(cell, value));
        }
    }
}

#[inline]
fn each_number<C, N: weir_guest::Number>(column: View<'_, N>, groups: Groups<'_>, cells: &mut [C], add: impl Fn(&mut C, N)) {
    if column.has_nulls() {
        return each(column.iter(), groups, cells, add);
    }
    for (value, group) in column.numbers().zip(groups.iter()) {
        with(cells, group, |cell| add(cell, value));
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

fn read_key(ty: Type, state: &mut Reader<'_>) -> Result<Option<i64>, Torn> {
    match (ty, state.byte()?) {
        (_, 0) => Ok(None),
        (Type::Boolean, byte @ 1..=2) => Ok(Some(i64::from(byte) - 1)),
        (Type::Float64, 1) => Ok(Some(float_to_key(f64::from_le_bytes(state.eight()?)))),
        (Type::Int64 | Type::Timestamp, 1) => Ok(Some(i64::from_le_bytes(state.eight()?))),
        _ => Err(Torn),
    }
}

fn write_key(ty: Type, key: Option<i64>, bytes: &mut Vec<u8>) {
    match (ty, key) {
        (_, None) => bytes.push(0),
        (Type::Boolean, Some(key)) => bytes.push(key as u8 + 1),
        (Type::Float64, Some(key)) => {
            bytes.push(1);
            bytes.extend_from_slice(&key_to_float(key).to_le_bytes());
        }
        (_, Some(key)) => {
            bytes.push(1);
            bytes.extend_from_slice(&key.to_le_bytes());
        }
    }
}
