//! Owns the quantities of a document: durations, byte sizes, shares. Each is a newtype with its unit in the name, read from text and exact.

use std::fmt;
use std::str::FromStr;

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;

/// Singular words, with what they count in microseconds. Months and years are Spark's for delays: 31 days, and 12 of those (W-7).
const DURATION_UNITS: &[(&[&str], i64)] = &[
    (&["us", "microsecond"], 1),
    (&["ms", "millisecond"], 1_000),
    (&["s", "sec", "second"], SECOND_US),
    (&["m", "min", "minute"], MINUTE_US),
    (&["h", "hour"], HOUR_US),
    (&["d", "day"], DAY_US),
    (&["w", "week"], 7 * DAY_US),
    (&["month"], MONTH_US),
    (&["year"], YEAR_US),
];
const MONTH_US: i64 = 31 * DAY_US;
const YEAR_US: i64 = 12 * MONTH_US;

const BYTE_UNITS: &[(&str, u64)] = &[
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// A length of time that is not negative, in microseconds: `"10s"`, `"1 minute"`, `"500ms"`, `"1 hour 30 minutes"`, and Spark's interval words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DurationUs(i64);

/// A length of time that may have months, which are as long as the calendar makes them: `"1 month"`, `"1 year 2 days"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// Months; a year is twelve.
    pub months: u32,
    /// What comes after them, in microseconds; not negative.
    pub rest_us: i64,
}

/// A number of bytes: `"64MB"` is 64,000,000, `"16MiB"` is 16 * 1,048,576.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// A part of a whole, in millionths: `"1%"`, `"0.05%"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareMillionths(u32);

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Nothing, or no number where one must be.
    #[error("a number is missing")]
    NoNumber,
    /// A number without a unit.
    #[error("the unit is missing")]
    NoUnit,
    /// A word that is no unit.
    #[error("unknown unit `{0}`")]
    UnknownUnit(String),
    /// Less than nothing.
    #[error("it is negative")]
    Negative,
    /// More than the type holds, or more than all.
    #[error("it is too large")]
    TooLarge,
    /// Digits below the smallest unit.
    #[error("it is finer than {0}")]
    TooFine(&'static str),
    /// Months and years where every one must be as long as the next.
    #[error("months and years have no fixed length")]
    Calendar,
}

impl DurationUs {
    /// So many microseconds; none when negative.
    pub fn from_us(us: i64) -> Option<Self> {
        (us >= 0).then_some(Self(us))
    }

    /// So many seconds.
    pub const fn from_secs(secs: u32) -> Self {
        Self(secs as i64 * SECOND_US)
    }

    /// In microseconds.
    pub fn us(self) -> i64 {
        self.0
    }

    /// As the standard library has it.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0.unsigned_abs())
    }

    /// For windows and offsets: as `parse`, but months and years are refused.
    pub fn parse_fixed(text: &str) -> Result<Self, UnitError> {
        parse_duration(text, false)
    }
}

impl Interval {
    /// Reads an interval: as a duration, but months and years stay what they are, and are whole.
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        let (mut months, mut rest_us) = (0_i128, 0_i128);
        parse_terms(text, |number, unit_us| {
            let (total, unit) = if unit_us >= MONTH_US { (&mut months, i128::from(unit_us / MONTH_US)) } else { (&mut rest_us, i128::from(unit_us)) };
            let finest = if unit_us >= MONTH_US { "a month" } else { "a microsecond" };
            *total = total.checked_add(number.times(unit).ok_or(UnitError::TooFine(finest))?).ok_or(UnitError::TooLarge)?;
            Ok(())
        })?;
        let months = u32::try_from(months).map_err(|_| UnitError::TooLarge)?;
        Ok(Self { months, rest_us: i64::try_from(rest_us).map_err(|_| UnitError::TooLarge)? })
    }

    /// Whether it is of no length.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.months == 0 && self.rest_us == 0
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.months, self.rest_us) {
            (0, rest_us) => DurationUs(rest_us).fmt(f),
            (months, 0) => write!(f, "{months} months"),
            (months, rest_us) => write!(f, "{months} months {}", DurationUs(rest_us)),
        }
    }
}

impl ByteSize {
    /// So many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl ShareMillionths {
    /// So many millionths; none above the whole.
    pub const fn new(millionths: u32) -> Option<Self> {
        if millionths <= 1_000_000 { Some(Self(millionths)) } else { None }
    }

    /// In millionths.
    pub fn millionths(self) -> u32 {
        self.0
    }
}

impl FromStr for DurationUs {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse_duration(text, true)
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, rest) = take_number(text.trim())?;
        let unit = rest.trim();
        if unit.is_empty() {
            return Err(UnitError::NoUnit);
        }
        let (_, factor) = BYTE_UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name)).ok_or_else(|| UnitError::UnknownUnit(unit.to_owned()))?;
        let bytes = number.times(i128::from(*factor)).ok_or(UnitError::TooFine("a byte"))?;
        u64::try_from(bytes).map(Self).map_err(|_| UnitError::TooLarge)
    }
}

impl FromStr for ShareMillionths {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, rest) = take_number(text.trim())?;
        match rest.trim() {
            "%" => {}
            "" => return Err(UnitError::NoUnit),
            other => return Err(UnitError::UnknownUnit(other.to_owned())),
        }
        let millionths = number.times(10_000).ok_or(UnitError::TooFine("a millionth"))?;
        u32::try_from(millionths).ok().and_then(Self::new).ok_or(UnitError::TooLarge)
    }
}

impl fmt::Display for DurationUs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(DAY_US, "d"), (HOUR_US, "h"), (MINUTE_US, "min"), (SECOND_US, "s"), (1_000, "ms"), (1, "us")];
        let (size, unit) = units.into_iter().find(|(size, _)| self.0 != 0 && self.0 % size == 0).unwrap_or((SECOND_US, "s"));
        write!(f, "{}{unit}", self.0 / size)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 30, "GiB"), (1_000_000_000, "GB"), (1 << 20, "MiB"), (1_000_000, "MB"), (1 << 10, "KiB"), (1_000, "kB")];
        let (size, unit) = units.into_iter().find(|(size, _)| self.0 != 0 && self.0.is_multiple_of(*size)).unwrap_or((1, "B"));
        write!(f, "{}{unit}", self.0 / size)
    }
}

impl fmt::Display for ShareMillionths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 10_000.0)
    }
}

/// A decimal number as it was written: `digits` without the point, of which `decimals` stood after it.
struct Decimal {
    digits: i128,
    decimals: u32,
}

impl Decimal {
    /// The product, when it is whole.
    fn times(&self, factor: i128) -> Option<i128> {
        let product = self.digits.checked_mul(factor)?;
        let divisor = 10_i128.checked_pow(self.decimals)?;
        (product % divisor == 0).then(|| product / divisor)
    }
}

fn parse_duration(text: &str, calendar: bool) -> Result<DurationUs, UnitError> {
    let mut total_us = 0_i128;
    parse_terms(text, |number, unit_us| {
        if !calendar && unit_us >= MONTH_US {
            return Err(UnitError::Calendar);
        }
        let part_us = number.times(i128::from(unit_us)).ok_or(UnitError::TooFine("a microsecond"))?;
        total_us = total_us.checked_add(part_us).ok_or(UnitError::TooLarge)?;
        Ok(())
    })?;
    i64::try_from(total_us).map(DurationUs).map_err(|_| UnitError::TooLarge)
}

/// Gives each number with what its unit is in microseconds.
fn parse_terms(text: &str, mut each: impl FnMut(Decimal, i64) -> Result<(), UnitError>) -> Result<(), UnitError> {
    let mut rest = text.trim();
    // Spark writes `interval 1 minute`, too.
    rest = rest.strip_prefix("interval ").unwrap_or(rest).trim_start();
    loop {
        let (number, after) = take_number(rest)?;
        let after = after.trim_start();
        let word_end = after.find(|c: char| !c.is_alphabetic() && c != 'µ').unwrap_or(after.len());
        let (word, next) = after.split_at(word_end);
        if word.is_empty() {
            return Err(UnitError::NoUnit);
        }
        each(number, duration_unit(word).ok_or_else(|| UnitError::UnknownUnit(word.to_owned()))?)?;
        rest = next.trim_start();
        if rest.is_empty() {
            return Ok(());
        }
    }
}

fn duration_unit(word: &str) -> Option<i64> {
    let word = word.to_lowercase();
    let singular = if word.len() > 3 { word.strip_suffix('s').unwrap_or(&word) } else { &word };
    DURATION_UNITS.iter().find(|(names, _)| names.contains(&singular)).map(|(_, us)| *us)
}

fn take_number(text: &str) -> Result<(Decimal, &str), UnitError> {
    if text.starts_with('-') {
        return Err(UnitError::Negative);
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || number.ends_with('.') {
        return Err(UnitError::NoNumber);
    }
    // 18 digits times the largest unit stay far below the 38 that `i128` holds.
    if number.len() > 18 {
        return Err(UnitError::TooLarge);
    }
    let digits = format!("{whole}{fraction}").parse().map_err(|_| UnitError::NoNumber)?;
    let decimals = u32::try_from(fraction.len()).map_err(|_| UnitError::TooLarge)?;
    Ok((Decimal { digits, decimals }, rest))
}

#[cfg(test)]
mod tests;
