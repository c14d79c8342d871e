//! Numbers of about 106 bits, as the unevaluated sum of two doubles (Dekker, Knuth).

use std::ops::{Add, Div, Mul, Sub};

/// `high + low`, with `low` below half a unit of the last place of `high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DoubleDouble {
    pub(crate) high: f64,
    pub(crate) low: f64,
}

impl DoubleDouble {
    pub(crate) const ZERO: Self = Self { high: 0.0, low: 0.0 };

    pub(crate) fn to_f64(self) -> f64 {
        self.high + self.low
    }
}

impl From<f64> for DoubleDouble {
    fn from(high: f64) -> Self {
        Self { high, low: 0.0 }
    }
}

impl Add for DoubleDouble {
    type Output = Self;

    #[inline]
    fn add(self, other: Self) -> Self {
        let (high, lost) = two_sum(self.high, other.high);
        let (low, lost_low) = two_sum(self.low, other.low);
        let (high, lost) = quick_two_sum(high, lost + low);
        let (high, low) = quick_two_sum(high, lost + lost_low);
        Self { high, low }
    }
}

impl Sub for DoubleDouble {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + Self { high: -other.high, low: -other.low }
    }
}

impl Mul for DoubleDouble {
    type Output = Self;

    #[inline]
    fn mul(self, other: Self) -> Self {
        let (high, lost) = two_product(self.high, other.high);
        let (high, low) = quick_two_sum(high, lost + (self.high * other.low + self.low * other.high));
        Self { high, low }
    }
}

impl Mul<f64> for DoubleDouble {
    type Output = Self;

    #[inline]
    fn mul(self, other: f64) -> Self {
        self * Self::from(other)
    }
}

impl Div<f64> for DoubleDouble {
    type Output = Self;

    fn div(self, other: f64) -> Self {
        let first = self.high / other;
        let rest = self - Self::from(first) * other;
        let (high, low) = quick_two_sum(first, rest.high / other);
        Self { high, low }
    }
}

/// A sum and what rounding took from it.
#[inline]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let from_b = sum - a;
    (sum, (a - (sum - from_b)) + (b - from_b))
}

/// The same where `a` is not smaller than `b`.
#[inline]
fn quick_two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, b - (sum - a))
}

/// A product and what rounding took from it. Wasm has no fused multiplication, so the factors are split in halves.
#[inline]
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    let ((a, a_low), (b, b_low)) = (split(a), split(b));
    (product, ((a * b - product) + a * b_low + a_low * b) + a_low * b_low)
}

#[inline]
fn split(a: f64) -> (f64, f64) {
    const HALF: f64 = ((1_u64 << 27) + 1) as f64;
    let scaled = HALF * a;
    let high = scaled - (scaled - a);
    (high, a - high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_double_has_no_room_for_stays() {
        let tiny = DoubleDouble::from(1e-20);
        assert_eq!((DoubleDouble::from(1.0) + tiny - DoubleDouble::from(1.0)).to_f64(), 1e-20);
        let square = DoubleDouble::from(1.0 + f64::EPSILON) * DoubleDouble::from(1.0 + f64::EPSILON);
        assert_eq!((square - DoubleDouble::from(1.0) - DoubleDouble::from(2.0 * f64::EPSILON)).to_f64(), f64::EPSILON * f64::EPSILON);
        let third = DoubleDouble::from(1.0) / 3.0;
        assert!((third * 3.0 - DoubleDouble::from(1.0)).to_f64().abs() < 1e-31);
    }
}
