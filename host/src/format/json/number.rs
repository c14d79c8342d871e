//! Numbers of JSON: integers exactly, floats to the nearest. Short ones on the way, the others from their literal.

use super::cursor::{Broken, Cursor};

/// What a number is to a column of integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Integer {
    Fits(i64),
    /// It has a fraction other than zero.
    Fraction,
    /// An integer beyond 64 bits.
    TooLarge,
}

/// More digits than 64 bits hold: 18 nines still fit.
const MAX_SHORT_DIGITS: usize = 18;

/// Up to 2^53 every integer is a double, and so is every power of ten up to 10^22: one division of two exact numbers rounds once, to the nearest.
const MAX_EXACT_MANTISSA: u64 = 1 << f64::MANTISSA_DIGITS;
const POWERS_OF_TEN: [f64; 23] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22];

/// Reads the number here. `1.0` and `1e3` are integers.
#[inline]
pub(super) fn integer(cursor: &mut Cursor<'_>) -> Result<Integer, Broken> {
    if let Some(short) = short(cursor.rest(), false) {
        cursor.advance(short.len);
        let magnitude = short.digits as i64;
        return Ok(Integer::Fits(if short.negative { magnitude.wrapping_neg() } else { magnitude }));
    }
    cursor.number().map(integer_of)
}

/// Reads the number here; `None` if it is beyond the range of doubles.
#[inline]
pub(super) fn float(cursor: &mut Cursor<'_>) -> Result<Option<f64>, Broken> {
    if let Some(short) = short(cursor.rest(), true)
        && short.digits <= MAX_EXACT_MANTISSA
        && let Some(scale) = POWERS_OF_TEN.get(short.decimals)
    {
        cursor.advance(short.len);
        let magnitude = short.digits as f64 / scale;
        return Ok(Some(if short.negative { -magnitude } else { magnitude }));
    }
    let literal = cursor.number()?;
    let float = std::str::from_utf8(literal).ok().and_then(|text| text.parse::<f64>().ok());
    Ok(float.filter(|float| float.is_finite()))
}

/// A number without exponent and with few digits.
struct Short {
    negative: bool,
    /// All digits, those after the point included.
    digits: u64,
    /// How many of them are after the point.
    decimals: usize,
    /// Bytes of its literal.
    len: usize,
}

/// The number that `text` begins with, if it is short.
#[inline]
fn short(text: &[u8], fraction: bool) -> Option<Short> {
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (mut digits, whole) = digits(unsigned, 0);
    let leading_zero = whole > 1 && unsigned.first() == Some(&b'0');
    let mut rest = unsigned.get(whole..)?;
    let mut decimals = 0;
    if fraction && let [b'.', after @ ..] = rest {
        (digits, decimals) = self::digits(after, digits);
        rest = after.get(decimals..)?;
        if decimals == 0 {
            return None;
        }
    }
    let short = (1..=MAX_SHORT_DIGITS).contains(&whole.wrapping_add(decimals)) && whole > 0;
    if !short || leading_zero || matches!(rest, [b'.' | b'e' | b'E', ..]) {
        return None;
    }
    Some(Short { negative, digits, decimals, len: text.len().wrapping_sub(rest.len()) })
}

/// Appends the decimal digits that `text` begins with to a number: the number, which means nothing beyond 19 digits, and how many there are.
#[inline]
fn digits(text: &[u8], number: u64) -> (u64, usize) {
    let mut number = number;
    let mut count = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(digit.into());
        count += 1;
    }
    (number, count)
}

/// What the literal of a number is, exactly: `1.50e1` is 15.
#[cold]
fn integer_of(literal: &[u8]) -> Integer {
    let negative = literal.first() == Some(&b'-');
    let mut parts = literal.splitn(2, |byte| matches!(byte, b'e' | b'E'));
    let mantissa = parts.next().unwrap_or_default();
    let exponent = parts.next().map_or(0, exponent_of);
    let decimals = mantissa.iter().rev().position(|byte| *byte == b'.').unwrap_or(0);
    let mut magnitude: i128 = 0;
    // Zeros are held back until a digit follows them: those at the end belong to the exponent.
    let mut zeros = 0u32;
    let mut significant = 0u64;
    for digit in mantissa.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0') {
        if digit == 0 {
            zeros = zeros.saturating_add(u32::from(significant > 0));
            continue;
        }
        significant += u64::from(zeros) + 1;
        if significant <= 19 {
            magnitude = magnitude * 10i128.pow(zeros + 1) + i128::from(digit);
        }
        zeros = 0;
    }
    let exponent = exponent.saturating_sub(decimals as i64).saturating_add(zeros.into());
    match u32::try_from(exponent) {
        _ if significant == 0 => Integer::Fits(0),
        Err(_) if exponent < 0 => Integer::Fraction,
        Ok(exponent) if significant + u64::from(exponent) <= 19 => {
            let magnitude = magnitude * 10i128.pow(exponent);
            i64::try_from(if negative { -magnitude } else { magnitude }).map_or(Integer::TooLarge, Integer::Fits)
        }
        _ => Integer::TooLarge,
    }
}

/// The exponent after the `e`, as far as it matters.
fn exponent_of(text: &[u8]) -> i64 {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let magnitude = digits.iter().fold(0i64, |number, byte| number.saturating_mul(10).saturating_add((byte - b'0').into()));
    if negative { -magnitude } else { magnitude }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_integer(text: &str) -> Option<Integer> {
        let mut cursor = Cursor::new(text.as_bytes(), text.len());
        let integer = integer(&mut cursor).ok()?;
        cursor.rest().is_empty().then_some(integer)
    }

    fn read_float(text: &str) -> Option<f64> {
        let mut cursor = Cursor::new(text.as_bytes(), text.len());
        let float = float(&mut cursor).ok()??;
        cursor.rest().is_empty().then_some(float)
    }

    #[test]
    fn a_number_is_an_integer_by_its_value_and_not_by_its_spelling() {
        let cases = [
            ("0", Integer::Fits(0)),
            ("-0", Integer::Fits(0)),
            ("-0.0e7", Integer::Fits(0)),
            ("0e99999999999999999999", Integer::Fits(0)),
            ("1.0", Integer::Fits(1)),
            ("1e3", Integer::Fits(1000)),
            ("-1.50E+1", Integer::Fits(-15)),
            ("1200e-2", Integer::Fits(12)),
            ("1200e-3", Integer::Fraction),
            ("1.5", Integer::Fraction),
            ("0.1", Integer::Fraction),
            ("1e-99999999999999999999", Integer::Fraction),
            ("1e99999999999999999999", Integer::TooLarge),
            ("1e18", Integer::Fits(1_000_000_000_000_000_000)),
            ("1e19", Integer::TooLarge),
            ("999999999999999999", Integer::Fits(999_999_999_999_999_999)),
            ("9223372036854775807", Integer::Fits(i64::MAX)),
            ("9223372036854775807.000", Integer::Fits(i64::MAX)),
            ("9223372036854775808", Integer::TooLarge),
            ("-9223372036854775808", Integer::Fits(i64::MIN)),
            ("-9223372036854775809", Integer::TooLarge),
            ("92233720368547758070e-1", Integer::Fits(i64::MAX)),
            ("12345678901234567890123", Integer::TooLarge),
            ("12345678901234567890.5", Integer::Fraction),
        ];
        for (text, expected) in cases {
            assert_eq!(read_integer(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_json_does_not_spell_as_a_number_is_none() {
        for text in ["", "-", "+1", "01", "-01", "00", "1.", ".5", "1e", "1e+", "1.e1", "0x1", "1_000", "NaN", "Infinity", "- 1", "00.5", "-.5"] {
            assert_eq!(read_integer(text), None, "{text}");
            assert_eq!(read_float(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_beyond_the_doubles_is_none_and_one_below_them_is_zero() {
        assert_eq!(read_float("1e400"), None);
        assert_eq!(read_float("-1e309"), None);
        assert_eq!(read_float("1e-400"), Some(0.0));
        assert!(read_float("-0").unwrap().is_sign_negative());
    }

    proptest! {
        #[test]
        fn every_float_is_the_nearest(text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,2})?") {
            prop_assert_eq!(read_float(&text).unwrap().to_bits(), text.parse::<f64>().unwrap().to_bits());
        }

        #[test]
        fn every_double_comes_back(float in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO) {
            prop_assert_eq!(read_float(&format!("{float:?}")).unwrap().to_bits(), float.to_bits());
        }

        #[test]
        fn every_integer_comes_back_however_it_is_scaled(integer: i64, shift in 0usize..30) {
            prop_assert_eq!(read_integer(&integer.to_string()), Some(Integer::Fits(integer)));
            prop_assert_eq!(read_integer(&format!("{integer}{}e-{shift}", "0".repeat(shift))), Some(Integer::Fits(integer)));
            prop_assert_eq!(read_integer(&format!("{integer}.{}", "0".repeat(shift + 1))), Some(Integer::Fits(integer)));
        }
    }
}
