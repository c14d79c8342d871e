//! Variance and what is like it. The states are sums of powers in twice the precision of a double: they add up to the same whatever the cuts were, where a running mean
//! and its squares would show them.

use weir_guest::{Columns, Groups, Rows, RunError};

use super::{Cells, try_with, with};
use crate::codec::{Reader, Torn, write_unsigned};
use crate::double_double::DoubleDouble;
use crate::function::Function;
use crate::output::Output;
use crate::value::Input;

/// Sums of the first powers of a column.
pub(crate) struct Moments {
    degree: usize,
    cells: Vec<Sums<4>>,
}

/// Sums over two columns: x, y, x², y², xy.
pub(crate) struct Comoments(Vec<Sums<5>>);

/// How many, and sums.
#[derive(Clone, Copy)]
struct Sums<const N: usize> {
    count: u64,
    sums: [DoubleDouble; N],
}

impl<const N: usize> Sums<N> {
    const NONE: Self = Self { count: 0, sums: [DoubleDouble::ZERO; N] };

    fn read(state: &mut Reader<'_>, used: usize) -> Result<Self, Torn> {
        let mut read = Self { count: state.unsigned()?, ..Self::NONE };
        if read.count > 0 {
            for sum in read.sums.iter_mut().take(used) {
                *sum = DoubleDouble { high: f64::from_le_bytes(state.eight()?), low: f64::from_le_bytes(state.eight()?) };
            }
        }
        Ok(read)
    }

    fn write(&self, used: usize, bytes: &mut Vec<u8>) {
        write_unsigned(self.count, bytes);
        if self.count > 0 {
            self.sums.iter().take(used).for_each(|sum| bytes.extend_from_slice([sum.high.to_le_bytes(), sum.low.to_le_bytes()].as_flattened()));
        }
    }

    fn merge(&mut self, other: &Self) -> Option<()> {
        self.count = self.count.checked_add(other.count)?;
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, more)| *sum = *sum + *more);
        Some(())
    }

    /// The sum of products of deviations, of the sum of products and the two sums. What is within the rounding of the sums is 0: values that are all equal do not vary.
    fn deviation(&self, products: DoubleDouble, x: DoubleDouble, y: DoubleDouble) -> DoubleDouble {
        let count = self.count as f64;
        let deviation = products - x * y / count;
        let rounding = products.to_f64().abs() * count * f64::EPSILON * f64::EPSILON;
        if deviation.to_f64().abs() <= rounding { DoubleDouble::ZERO } else { deviation }
    }
}

impl Moments {
    pub(crate) fn new(degree: u8, groups: usize) -> Self {
        Self { degree: usize::from(degree), cells: vec![Sums::NONE; groups] }
    }
}

impl Comoments {
    pub(crate) fn new(groups: usize) -> Self {
        Self(vec![Sums::NONE; groups])
    }
}

impl Sums<4> {
    #[inline]
    fn add(&mut self, value: f64, degree: usize) {
        self.count += 1;
        let mut power = DoubleDouble::from(value);
        for (number, sum) in self.sums.iter_mut().take(degree).enumerate() {
            if number > 0 {
                power = power * value;
            }
            *sum = *sum + power;
        }
    }

    /// Values as Spark's: null of nothing, and of the sample forms of one value.
    fn value(&self, function: Function) -> Option<f64> {
        let count = self.count as f64;
        let [first, second, third, fourth] = self.sums;
        if self.count == 0 {
            return None;
        }
        let squares = self.deviation(second, first, first);
        let variance = |over: f64| (over > 0.0).then(|| (squares / over).to_f64().max(0.0));
        if squares.to_f64() == 0.0 && matches!(function, Function::Skewness | Function::Kurtosis) {
            return None;
        }
        let mean = first / count;
        match function {
            Function::Variance => variance(count - 1.0).map(|variance| self.nan_or(variance)),
            Function::VarPop => variance(count).map(|variance| self.nan_or(variance)),
            Function::Stddev => variance(count - 1.0).map(|variance| self.nan_or(variance.sqrt())),
            Function::StddevPop => variance(count).map(|variance| self.nan_or(variance.sqrt())),
            Function::Skewness => {
                let cubes = third - mean * second * 3.0 + mean * mean * first * 2.0;
                let squares = squares.to_f64();
                Some(count.sqrt() * cubes.to_f64() / (squares * squares * squares).sqrt())
            }
            Function::Kurtosis => {
                let fourths = fourth - mean * third * 4.0 + mean * mean * second * 6.0 - mean * mean * mean * first * 3.0;
                let squares = squares.to_f64();
                Some(count * fourths.to_f64() / (squares * squares) - 3.0)
            }
            _ => None,
        }
    }

    /// `max` above drops NaN.
    fn nan_or(&self, value: f64) -> f64 {
        if self.sums.iter().take(2).all(|sum| sum.to_f64().is_finite()) { value } else { f64::NAN }
    }
}

impl Sums<5> {
    #[inline]
    fn add(&mut self, x: f64, y: f64) {
        self.count += 1;
        let (x, y) = (DoubleDouble::from(x), DoubleDouble::from(y));
        for (sum, more) in self.sums.iter_mut().zip([x, y, x * x, y * y, x * y]) {
            *sum = *sum + more;
        }
    }

    fn value(&self, function: Function) -> Option<f64> {
        let count = self.count as f64;
        let [x, y, xx, yy, xy] = self.sums;
        let together = self.deviation(xy, x, y).to_f64();
        match function {
            Function::CovarPop => (self.count > 0).then_some(together / count),
            _ if self.count < 2 => None,
            Function::CovarSamp => Some(together / (count - 1.0)),
            _ => {
                let spread = (self.deviation(xx, x, x).to_f64() * self.deviation(yy, y, y).to_f64()).sqrt();
                (spread != 0.0).then(|| together / spread)
            }
        }
    }
}

impl<'a> Cells<'a> for Moments {
    fn add_rows(&mut self, inputs: &[Input], rows: &Rows<'a>, groups: Groups<'_>) {
        let Some(values) = inputs.first().map(|input| input.values(rows)) else { return };
        for (row, group) in groups.iter().enumerate() {
            if let Some(value) = values.float(row) {
                with(&mut self.cells, group, |sums| sums.add(value, self.degree));
            }
        }
    }

    fn add_state(&mut self, group: usize, state: &mut Reader<'a>) -> Result<(), Torn> {
        let more = Sums::read(state, self.degree)?;
        try_with(&mut self.cells, group, |sums| sums.merge(&more))
    }

    fn write(&mut self, group: usize, bytes: &mut Vec<u8>) {
        self.cells.get(group).unwrap_or(&Sums::NONE).write(self.degree, bytes);
    }

    fn fill(&mut self, output: &Output, out: &mut Columns) -> Result<(), RunError> {
        self.cells.iter().for_each(|sums| output.made.push_float(sums.value(output.expression.function), out));
        Ok(())
    }
}

impl<'a> Cells<'a> for Comoments {
    /// As in Spark, a row in which one of the two is null does not count.
    fn add_rows(&mut self, inputs: &[Input], rows: &Rows<'a>, groups: Groups<'_>) {
        let [x, y] = inputs else { return };
        let (x, y) = (x.values(rows), y.values(rows));
        for (row, group) in groups.iter().enumerate() {
            if let (Some(x), Some(y)) = (x.float(row), y.float(row)) {
                with(&mut self.0, group, |sums| sums.add(x, y));
            }
        }
    }

    fn add_state(&mut self, group: usize, state: &mut Reader<'a>) -> Result<(), Torn> {
        let more = Sums::read(state, 5)?;
        try_with(&mut self.0, group, |sums| sums.merge(&more))
    }

    fn write(&mut self, group: usize, bytes: &mut Vec<u8>) {
        self.0.get(group).unwrap_or(&Sums::NONE).write(5, bytes);
    }

    fn fill(&mut self, output: &Output, out: &mut Columns) -> Result<(), RunError> {
        self.0.iter().for_each(|sums| output.made.push_float(sums.value(output.expression.function), out));
        Ok(())
    }
}
