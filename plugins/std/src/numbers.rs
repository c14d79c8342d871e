//! Sums that do not depend on the order of their terms, and an order of doubles without gaps.

/// The sum of `int64` values, exact.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct IntSum {
    pub(crate) count: u64,
    /// 2^64 values of 64 bits fit.
    pub(crate) sum: i128,
}

/// The sum of `float64` values with what rounding took from it (Neumaier).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct FloatSum {
    pub(crate) count: u64,
    pub(crate) sum: f64,
    pub(crate) lost: f64,
}

/// The sum of `int64` values in their order, and how far it went on the way: a sum that ever left the range has no value, whatever came afterwards. Of parts in their
/// order it is what it is of the whole, wherever the cuts were.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct RunningSum {
    pub(crate) count: u64,
    pub(crate) sum: i128,
    /// At most 0, where every sum begins.
    pub(crate) least: i128,
    /// At least 0.
    pub(crate) greatest: i128,
}

impl RunningSum {
    #[inline]
    pub(crate) fn add(&mut self, value: i64) {
        self.count += 1;
        self.sum += i128::from(value);
        self.least = self.least.min(self.sum);
        self.greatest = self.greatest.max(self.sum);
    }

    /// The sum of these values and then of the others; none: it is no sum that values have.
    pub(crate) fn then(self, other: Self) -> Option<Self> {
        Some(Self {
            count: self.count.checked_add(other.count)?,
            sum: self.sum.checked_add(other.sum)?,
            least: self.least.min(self.sum.checked_add(other.least)?),
            greatest: self.greatest.max(self.sum.checked_add(other.greatest)?),
        })
    }

    pub(crate) fn total(self) -> Option<i64> {
        let stayed = self.least >= i128::from(i64::MIN) && self.greatest <= i128::from(i64::MAX);
        i64::try_from(self.sum).ok().filter(|_| stayed && self.count > 0)
    }
}

impl IntSum {
    pub(crate) fn average(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }
}

impl FloatSum {
    /// Adds a term that stands for `count` values.
    #[inline]
    pub(crate) fn add(&mut self, term: f64, count: u64) {
        // Knuth's two-sum: the rounding error without a branch on which term is larger.
        let sum = self.sum + term;
        let from_term = sum - self.sum;
        self.lost += (self.sum - (sum - from_term)) + (term - from_term);
        self.sum = sum;
        self.count += count;
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.add(other.sum, other.count);
        self.lost += other.lost;
    }

    pub(crate) fn total(self) -> Option<f64> {
        // Of an infinite sum or NaN, the error is NaN and means nothing.
        let total = if self.sum.is_finite() { self.sum + self.lost } else { self.sum };
        (self.count > 0).then_some(total)
    }

    pub(crate) fn average(self) -> Option<f64> {
        self.total().map(|total| total / self.count as f64)
    }
}

/// A number that is ordered as the double is: -0.0 before 0.0, NaN (there is one) after all.
#[inline]
pub(crate) fn float_to_key(value: f64) -> i64 {
    let bits = if value.is_nan() { f64::NAN } else { value }.to_bits() as i64;
    bits ^ i64::MAX & bits >> 63
}

pub(crate) fn key_to_float(key: i64) -> f64 {
    f64::from_bits((key ^ i64::MAX & key >> 63) as u64)
}
