//! What a call makes: columns, and for a transform a verdict on every row. A plugin fills them; whether they fit together is said at the end of the call, by name.

use crate::plan::{Computed, NewField};
use crate::types::layout::{Layout, NewValues, Number, push_bit};
use crate::types::{DataType, Type};
use crate::wire;

/// The columns that a call makes, by the handles of its plan.
#[derive(Debug)]
pub struct Columns {
    columns: Vec<NewColumn>,
}

/// The output of a transform's call: a verdict for each row, and the columns made.
///
/// A row that is kept comes out, one that is kept twice comes out twice, one that is not mentioned is dropped. Rows are mentioned in their order. Every column made
/// gets one value for each row kept.
#[derive(Debug)]
pub struct Output {
    columns: Columns,
    kept: Kept,
    rejected: Vec<Rejection>,
    /// The first verdict that can't be.
    wrong: Option<String>,
    rows: u32,
}

/// A row that goes to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Its number in the call.
    pub row: u32,
    /// A short word for metrics, such as `negative-revenue`.
    pub code: String,
    /// What is wrong, for a person.
    pub reason: String,
}

/// What a transform's call made, as it crosses the boundary.
#[derive(Debug)]
pub(crate) struct Made {
    /// In the order of handles.
    pub(crate) columns: Vec<wire::Column>,
    /// None: every row comes out once.
    pub(crate) origin: Option<wire::U32s>,
    pub(crate) rejected: Vec<Rejection>,
}

/// The rows that come out. A transform that keeps every row writes no list of them.
#[derive(Debug)]
enum Kept {
    /// The first so many rows, each once.
    First(u32),
    Listed(Vec<[u8; 4]>),
}

#[derive(Debug)]
struct NewColumn {
    field: NewField,
    values: NewValues,
    /// Empty until there is a null.
    validity: Vec<u8>,
    count: usize,
}

impl Columns {
    /// Columns of these fields, in the order of their handles, for about `rows` rows.
    pub(crate) fn new(fields: &[NewField], rows: usize) -> Self {
        Self { columns: fields.iter().map(|field| NewColumn::new(field.clone(), rows)).collect() }
    }

    /// Adds a value, or a null, to a column.
    ///
    /// # Panics
    /// If the column was made by another plan.
    #[inline]
    pub fn push<'v, T: DataType + ?Sized>(&mut self, column: Computed<T>, value: impl Into<Option<T::Value<'v>>>) {
        self.column(column).push::<T>(value.into());
    }

    /// Adds a value, or a null, for each row.
    ///
    /// # Panics
    /// If the column was made by another plan.
    #[inline]
    pub fn extend<'v, T: DataType + ?Sized>(&mut self, column: Computed<T>, values: impl IntoIterator<Item = Option<T::Value<'v>>>) {
        let column = self.column(column);
        for value in values {
            column.push::<T>(value);
        }
    }

    /// Adds numbers, none of them null: the fastest way to fill a column.
    ///
    /// # Panics
    /// If the column was made by another plan.
    #[inline]
    pub fn extend_numbers<T: DataType + Number>(&mut self, column: Computed<T>, values: impl IntoIterator<Item = T>) {
        let column = self.column(column);
        let before = column.values.len();
        if let NewValues::Numbers(numbers) = &mut column.values {
            numbers.extend(values.into_iter().map(T::to_bytes));
        }
        let added = column.values.len() - before;
        if !column.validity.is_empty() {
            for row in column.count..column.count + added {
                push_bit(&mut column.validity, row, true);
            }
        }
        column.count += added;
    }

    /// The columns as they cross the boundary, in the order of handles.
    pub(crate) fn finish(self, rows: usize) -> Result<Vec<wire::Column>, String> {
        self.columns.into_iter().map(|column| column.finish(rows)).collect()
    }

    #[inline]
    fn column<T: ?Sized>(&mut self, column: Computed<T>) -> &mut NewColumn {
        #[expect(clippy::expect_used, reason = "as with an index into a slice: the plan that made the handle is the one that these columns were made from")]
        self.columns.get_mut(column.index).expect("a column is filled in a call of the function whose plan made it")
    }
}

impl Output {
    pub(crate) fn new(fields: &[NewField], rows: u32) -> Self {
        Self { columns: Columns::new(fields, rows as usize), kept: Kept::First(0), rejected: Vec::new(), wrong: None, rows }
    }

    /// Row `row` comes out (once more).
    #[inline]
    pub fn keep(&mut self, row: usize) {
        match &mut self.kept {
            Kept::First(count) if row == *count as usize && *count < self.rows => *count += 1,
            _ => self.list(row),
        }
    }

    /// Every row comes out once: the columns made have a value for each row of the input. Costs nothing; no other verdict goes with it.
    pub fn keep_all(&mut self) {
        if self.kept.len() > 0 {
            self.wrong.get_or_insert_with(|| "`keep_all` came after a row was kept".to_owned());
        }
        self.kept = Kept::First(self.rows);
    }

    /// Row `row` can't be processed: it goes to the dead letters with a short word for metrics, such as `negative-revenue`, and with what is wrong, for a person.
    pub fn reject(&mut self, row: usize, code: impl Into<String>, reason: impl Into<String>) {
        self.rejected.push(Rejection { row: row as u32, code: code.into(), reason: reason.into() });
    }

    /// Adds the value, or the null, of a column for the next row.
    ///
    /// # Panics
    /// If the column was made by another plan.
    #[inline]
    pub fn push<'v, T: DataType + ?Sized>(&mut self, column: Computed<T>, value: impl Into<Option<T::Value<'v>>>) {
        self.columns.push(column, value);
    }

    /// The columns that are made.
    pub fn columns(&mut self) -> &mut Columns {
        &mut self.columns
    }

    pub(crate) fn finish(self) -> Result<Made, String> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        let columns = self.columns.finish(self.kept.len())?;
        let origin = match self.kept {
            Kept::First(count) if count == self.rows && self.rejected.is_empty() => None,
            kept => Some(kept.into_list()),
        };
        if let Some(rejection) =
            self.rejected.iter().find(|rejection| rejection.row >= self.rows || origin.as_ref().is_some_and(|origin| lists(origin, rejection.row)))
        {
            let why = if rejection.row >= self.rows { "there is no such row" } else { "it was kept as well" };
            return Err(format!("row {} was rejected, but {why}", rejection.row));
        }
        Ok(Made { columns, origin: origin.map(Vec::into_flattened), rejected: self.rejected })
    }

    #[cold]
    fn list_first(&mut self) {
        if let Kept::First(count) = self.kept {
            let mut list = Vec::with_capacity(self.rows as usize);
            list.extend((0..count).map(u32::to_le_bytes));
            self.kept = Kept::Listed(list);
        }
    }

    fn list(&mut self, row: usize) {
        self.list_first();
        if let Kept::Listed(list) = &mut self.kept {
            let last = list.last().map_or(0, |row| u32::from_le_bytes(*row) as usize);
            if row < last || row >= self.rows as usize {
                self.wrong.get_or_insert_with(|| format!("row {row} was kept after row {last} of {} rows", self.rows));
            }
            list.push((row as u32).to_le_bytes());
        }
    }
}

impl Kept {
    fn len(&self) -> usize {
        match self {
            Self::First(count) => *count as usize,
            Self::Listed(list) => list.len(),
        }
    }

    fn into_list(self) -> Vec<[u8; 4]> {
        match self {
            Self::First(count) => (0..count).map(u32::to_le_bytes).collect(),
            Self::Listed(list) => list,
        }
    }
}

impl NewColumn {
    fn new(field: NewField, rows: usize) -> Self {
        let values = match field.ty {
            Type::Int64 | Type::Float64 | Type::Timestamp => NewValues::Numbers(Vec::with_capacity(rows)),
            Type::Boolean => NewValues::Bits(Vec::with_capacity(rows.div_ceil(8)), 0),
            Type::Utf8 | Type::Binary | Type::Json => {
                let mut offsets = Vec::with_capacity(rows + 1);
                offsets.push([0; 4]);
                NewValues::Bytes(Vec::new(), offsets)
            }
        };
        Self { field, values, validity: Vec::new(), count: 0 }
    }

    #[inline]
    fn push<T: Layout + ?Sized>(&mut self, value: Option<T::Value<'_>>) {
        if value.is_none() && self.validity.is_empty() {
            self.first_null();
        }
        if value.is_none() || !self.validity.is_empty() {
            push_bit(&mut self.validity, self.count, value.is_some());
        }
        T::push(&mut self.values, value);
        self.count += 1;
    }

    /// Every row so far had a value.
    #[cold]
    fn first_null(&mut self) {
        self.validity = vec![0xff; self.count / 8];
        if !self.count.is_multiple_of(8) {
            self.validity.push((1 << (self.count % 8)) - 1);
        }
    }

    fn finish(self, rows: usize) -> Result<wire::Column, String> {
        let name = &self.field.name;
        if self.count != rows {
            return Err(format!("column `{name}` got {} values for {rows} rows", self.count));
        }
        if !self.field.nullable && !self.validity.is_empty() {
            return Err(format!("column `{name}` got a null, but its plan said that it never holds one"));
        }
        let (data, offsets) = match self.values {
            NewValues::Numbers(numbers) => (numbers.into_flattened(), Vec::new()),
            NewValues::Bits(bits, _) => (bits, Vec::new()),
            NewValues::Bytes(data, offsets) => (data, offsets.into_flattened()),
        };
        if i32::try_from(data.len()).is_err() {
            return Err(format!("column `{name}` got {} bytes in one call; the limit is 2 GiB", data.len()));
        }
        Ok(wire::Column { data, offsets, validity: self.validity })
    }
}

/// Whether a rising list has that row.
fn lists(origin: &[[u8; 4]], row: u32) -> bool {
    origin.binary_search_by_key(&row, |listed| u32::from_le_bytes(*listed)).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn kept(rows: u32, keep: &[usize]) -> Result<Option<Vec<usize>>, String> {
        let mut out = Output::new(&[], rows);
        keep.iter().for_each(|row| out.keep(*row));
        let origin = out.finish()?.origin;
        Ok(origin.map(|origin| origin.as_chunks::<4>().0.iter().map(|row| u32::from_le_bytes(*row) as usize).collect()))
    }

    fn field(ty: Type, nullable: bool) -> NewField {
        NewField { name: "made".to_owned(), ty, nullable }
    }

    #[test]
    fn rows_are_listed_unless_each_comes_out_once() {
        assert_eq!(kept(3, &[0, 1, 2]), Ok(None));
        assert_eq!(kept(0, &[]), Ok(None));
        assert_eq!(kept(3, &[]), Ok(Some(vec![])));
        assert_eq!(kept(3, &[0, 1]), Ok(Some(vec![0, 1])));
        assert_eq!(kept(3, &[0, 2]), Ok(Some(vec![0, 2])));
        assert_eq!(kept(3, &[1, 2]), Ok(Some(vec![1, 2])));
        assert_eq!(kept(3, &[0, 1, 1, 2]), Ok(Some(vec![0, 1, 1, 2])));
        assert_eq!(kept(2, &[0, 1, 1]), Ok(Some(vec![0, 1, 1])));
    }

    #[test]
    fn verdicts_that_can_not_be_are_named() {
        assert_eq!(kept(3, &[1, 0]), Err("row 0 was kept after row 1 of 3 rows".to_owned()));
        assert_eq!(kept(3, &[3]), Err("row 3 was kept after row 0 of 3 rows".to_owned()));
        let rejected = |row: usize| {
            let mut out = Output::new(&[], 3);
            out.keep(1);
            out.reject(row, "code", "reason");
            out.finish().map(|made| made.rejected.len())
        };
        assert_eq!(rejected(1), Err("row 1 was rejected, but it was kept as well".to_owned()));
        assert_eq!(rejected(3), Err("row 3 was rejected, but there is no such row".to_owned()));
        assert_eq!(rejected(2), Ok(1));
        let mut out = Output::new(&[], 3);
        out.keep(0);
        out.keep_all();
        assert_eq!(out.finish().unwrap_err(), "`keep_all` came after a row was kept");
    }

    #[test]
    fn a_column_without_a_value_for_each_row_is_named() {
        let mut out = Output::new(&[field(Type::Int64, true)], 2);
        out.keep(0);
        out.keep(1);
        out.push(Computed::<i64>::new(0), 1);
        assert_eq!(out.finish().unwrap_err(), "column `made` got 1 values for 2 rows");
        let mut columns = Columns::new(&[field(Type::Utf8, false)], 1);
        columns.push(Computed::<str>::new(0), None);
        assert_eq!(columns.finish(1).unwrap_err(), "column `made` got a null, but its plan said that it never holds one");
    }

    #[test]
    fn validity_begins_with_the_first_null_and_covers_the_rows_before_it() {
        for before in 0..20 {
            let mut columns = Columns::new(&[field(Type::Int64, true)], 0);
            columns.extend_numbers(Computed::<i64>::new(0), vec![7; before]);
            columns.push(Computed::<i64>::new(0), None);
            columns.extend_numbers(Computed::<i64>::new(0), [8, 9]);
            let made = columns.finish(before + 3).unwrap().remove(0);
            let bits: Vec<_> = (0..before + 3).map(|row| made.validity[row / 8] >> (row % 8) & 1 == 1).collect();
            let expected: Vec<_> = (0..before + 3).map(|row| row != before).collect();
            assert_eq!(bits, expected);
            assert_eq!(made.validity.len(), (before + 3).div_ceil(8));
            assert_eq!(made.data.len(), 8 * (before + 3));
        }
    }
}
