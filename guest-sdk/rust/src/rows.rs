//! Rows as a plugin reads them: borrowed from the buffers that the host sent, checked once when they come.

use std::marker::PhantomData;

use crate::types::Type;
use crate::types::layout::{Layout, Number, Values, bit};
use crate::wire;

/// An input column that the plan asked for. Made by `read` of a plan, used on the rows of a call.
pub struct Column<T: ?Sized> {
    index: usize,
    of: PhantomData<fn(&T)>,
}

/// The rows of one call.
#[derive(Debug)]
pub struct Rows<'a> {
    count: usize,
    columns: Vec<(Values<'a>, &'a [u8])>,
}

/// One column of the rows of a call. Copies are free; for a loop over all rows it is faster than [`Rows::get`].
pub struct View<'a, T: Layout + ?Sized> {
    count: usize,
    values: T::Values<'a>,
    validity: &'a [u8],
}

/// The group of each row, or of each state.
#[derive(Debug, Clone, Copy)]
pub struct Groups<'a> {
    numbers: &'a [[u8; 4]],
    count: usize,
}

impl<T: ?Sized> Column<T> {
    pub(crate) fn new(index: usize) -> Self {
        Self { index, of: PhantomData }
    }
}

// Derived, these would ask the same of `T`.
impl<T: ?Sized> Clone for Column<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: ?Sized> Copy for Column<T> {}
impl<T: ?Sized> std::fmt::Debug for Column<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Column({})", self.index)
    }
}

impl<'a> Rows<'a> {
    /// Rows that came with the columns `types`.
    pub(crate) fn new(rows: &'a wire::Rows, types: &[Type]) -> Result<Self, String> {
        let count = rows.count as usize;
        if rows.columns.len() != types.len() {
            return Err(format!("{} columns came where {} were asked for", rows.columns.len(), types.len()));
        }
        let columns = rows.columns.iter().zip(types).enumerate();
        let columns = columns.map(|(number, (column, ty))| {
            let validity = column.validity.as_slice();
            let values = values(column, *ty, count).filter(|_| validity.is_empty() || validity.len() == count.div_ceil(8));
            Ok((values.ok_or_else(|| format!("column {number} came with buffers that do not hold {count} values of type `{ty}`"))?, validity))
        });
        Ok(Self { count, columns: columns.collect::<Result<_, String>>()? })
    }

    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The value of a column in row `row`; none: it is null.
    ///
    /// # Panics
    /// If the column was made by another plan.
    #[must_use]
    #[inline]
    pub fn get<T: Layout + ?Sized>(&self, column: Column<T>, row: usize) -> Option<T::Value<'a>> {
        self.column(column).get(row)
    }

    /// A whole column.
    ///
    /// # Panics
    /// If the column was made by another plan.
    #[must_use]
    #[inline]
    pub fn column<T: Layout + ?Sized>(&self, column: Column<T>) -> View<'a, T> {
        let view = self.columns.get(column.index).and_then(|(values, validity)| Some(View { count: self.count, values: T::of(values)?, validity }));
        #[expect(clippy::expect_used, reason = "as with an index into a slice: the plan that made the handle is the one that these rows were checked against")]
        view.expect("a column is read from the rows of the function whose plan made it")
    }
}

impl<T: Layout + ?Sized> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: Layout + ?Sized> Copy for View<'_, T> {}

impl<'a, T: Layout + ?Sized> View<'a, T> {
    /// The value of row `row`; none: it is null, or there is no such row.
    #[must_use]
    #[inline]
    pub fn get(self, row: usize) -> Option<T::Value<'a>> {
        if self.is_valid(row) { T::get(self.values, row) } else { None }
    }

    /// Whether row `row` has a value.
    #[must_use]
    #[inline]
    pub fn is_valid(self, row: usize) -> bool {
        self.validity.is_empty() || bit(self.validity, row) == Some(true)
    }

    /// Whether a null is possible: false promises that every row has a value.
    #[must_use]
    pub fn has_nulls(self) -> bool {
        !self.validity.is_empty()
    }

    /// Every row's value, in order.
    #[inline]
    pub fn iter(self) -> impl ExactSizeIterator<Item = Option<T::Value<'a>>> {
        (0..self.count).map(move |row| self.get(row))
    }
}

impl<'a, T: Number> View<'a, T> {
    /// Every row's number without a look at nulls: what a null row holds has no meaning. Together with [`View::has_nulls`] this is the fastest loop there is.
    #[inline]
    pub fn numbers(self) -> impl ExactSizeIterator<Item = T> + 'a {
        self.values.iter().map(|bytes| T::from_bytes(*bytes))
    }
}

impl<'a> Groups<'a> {
    /// Group numbers of `rows` rows or states; each is below `count`.
    pub(crate) fn new(numbers: &'a [u8], rows: usize, count: u32) -> Result<Self, String> {
        match numbers.as_chunks::<4>() {
            (numbers, []) if numbers.len() == rows => {
                let highest = numbers.iter().map(|number| u32::from_le_bytes(*number)).max();
                if highest >= Some(count) && rows > 0 {
                    return Err(format!("group numbers reach {} where there are {count} groups", highest.unwrap_or_default()));
                }
                Ok(Self { numbers, count: count as usize })
            }
            _ => Err(format!("group numbers are {} bytes for {rows} rows; they are four bytes each", numbers.len())),
        }
    }

    /// How many groups.
    #[must_use]
    pub fn count(self) -> usize {
        self.count
    }

    /// The group of each row, or of each state, in order; always below [`Self::count`].
    #[inline]
    pub fn iter(self) -> impl ExactSizeIterator<Item = usize> {
        self.numbers.iter().map(|number| u32::from_le_bytes(*number) as usize)
    }
}

/// The values of a column, if its buffers hold `count` of them.
fn values(column: &wire::Column, ty: Type, count: usize) -> Option<Values<'_>> {
    match ty {
        Type::Int64 | Type::Float64 | Type::Timestamp => match column.data.as_chunks::<8>() {
            (numbers, []) if numbers.len() == count => Some(Values::Numbers(numbers)),
            _ => None,
        },
        Type::Boolean => (column.data.len() == count.div_ceil(8)).then_some(Values::Bits(&column.data)),
        Type::Binary => Some(Values::Bytes(&column.data, offsets(&column.offsets, count, column.data.len())?)),
        Type::Utf8 | Type::Json => {
            let text = str::from_utf8(&column.data).ok()?;
            let offsets = offsets(&column.offsets, count, text.len())?;
            offsets.iter().all(|offset| text.is_char_boundary(u32::from_le_bytes(*offset) as usize)).then_some(Values::Text(text, offsets))
        }
    }
}

/// The offsets of `count` byte strings in `length` bytes, if they are that.
pub(crate) fn offsets(bytes: &[u8], count: usize, length: usize) -> Option<&[[u8; 4]]> {
    let (offsets, []) = bytes.as_chunks::<4>() else { return None };
    let number = |offset: &[u8; 4]| u32::from_le_bytes(*offset) as usize;
    let rising = offsets.iter().zip(offsets.iter().skip(1)).fold(true, |rising, (a, b)| rising & (number(a) <= number(b)));
    (offsets.len() == count + 1 && rising && offsets.first().map(number) == Some(0) && offsets.last().map(number) == Some(length)).then_some(offsets)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::types::{Any, Json, Timestamp};

    fn u32s(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn one(count: u32, data: &[u8], offsets: &[u32], validity: &[u8]) -> wire::Rows {
        wire::Rows { count, columns: vec![wire::Column { data: data.to_vec(), offsets: u32s(offsets), validity: validity.to_vec() }] }
    }

    #[test]
    fn every_type_is_read_as_the_contract_lays_it_out() {
        let number = one(2, &[1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255], &[], &[]);
        let rows = |ty| Rows::new(&number, &[ty]).unwrap();
        assert_eq!(rows(Type::Int64).column(Column::<i64>::new(0)).iter().collect::<Vec<_>>(), [Some(1), Some(-1)]);
        assert_eq!(rows(Type::Int64).column(Column::<i64>::new(0)).numbers().collect::<Vec<_>>(), [1, -1]);
        assert_eq!(rows(Type::Timestamp).get(Column::<Timestamp>::new(0), 1), Some(Timestamp(-1)));
        assert!(rows(Type::Float64).get(Column::<f64>::new(0), 1).unwrap().is_nan());

        let text = one(3, "aé".as_bytes(), &[0, 1, 1, 3], &[0b101]);
        let rows = |ty| Rows::new(&text, &[ty]).unwrap();
        assert_eq!(rows(Type::Utf8).column(Column::<str>::new(0)).iter().collect::<Vec<_>>(), [Some("a"), None, Some("é")]);
        assert_eq!(rows(Type::Json).get(Column::<Json>::new(0), 2), Some("é"));
        assert_eq!(rows(Type::Binary).get(Column::<[u8]>::new(0), 2), Some("é".as_bytes()));
        assert_eq!(rows(Type::Utf8).column(Column::<Any>::new(0)).iter().collect::<Vec<_>>(), [Some(()), None, Some(())]);

        let bits = one(9, &[0b0000_0010, 1], &[], &[0xff, 0]);
        let booleans = Rows::new(&bits, &[Type::Boolean]).unwrap();
        let values: Vec<_> = booleans.column(Column::<bool>::new(0)).iter().collect();
        assert_eq!((values[0], values[1], values[8]), (Some(false), Some(true), None));
        assert_eq!(booleans.get(Column::<bool>::new(0), 9), None);
    }

    #[test]
    fn buffers_that_do_not_hold_the_rows_are_refused() {
        let refused = |rows: wire::Rows, ty| assert!(Rows::new(&rows, &[ty]).is_err(), "{rows:?} as {ty}");
        refused(one(2, &[0; 15], &[], &[]), Type::Int64);
        refused(one(2, &[0; 24], &[], &[]), Type::Float64);
        refused(one(9, &[0; 1], &[], &[]), Type::Boolean);
        refused(one(9, &[0; 72], &[], &[0xff]), Type::Timestamp);
        refused(one(1, b"ab", &[0, 1], &[]), Type::Utf8);
        refused(one(2, b"ab", &[0, 2], &[]), Type::Utf8);
        refused(one(2, b"ab", &[1, 1, 2], &[]), Type::Binary);
        refused(one(2, b"ab", &[0, 3, 2], &[]), Type::Binary);
        refused(one(1, &[0xff], &[0, 1], &[]), Type::Utf8);
        refused(one(2, "é".as_bytes(), &[0, 1, 2], &[]), Type::Utf8);
        assert!(Rows::new(&one(0, &[], &[0], &[]), &[Type::Utf8]).is_ok());
        assert!(Rows::new(&one(1, &[0; 8], &[], &[]), &[]).is_err());
    }

    #[test]
    fn group_numbers_beyond_the_groups_are_refused() {
        assert_eq!(Groups::new(&u32s(&[0, 2, 1]), 3, 3).unwrap().iter().collect::<Vec<_>>(), [0, 2, 1]);
        assert!(Groups::new(&u32s(&[0, 3, 1]), 3, 3).is_err());
        assert!(Groups::new(&u32s(&[0, 1]), 3, 3).is_err());
        assert!(Groups::new(&[0; 5], 1, 3).is_err());
        assert!(Groups::new(&[], 0, 0).is_ok());
    }
}
