//! Timestamps as text: ISO-8601 to microseconds since 1970-01-01T00:00:00Z and back.
//!
//! The usual shapes are read and written by hand, because a timestamp stands in almost every record; jiff reads the rest of ISO-8601.
//! Years 0001 to 9999: what every reader of the output understands.

/// The first microsecond of the year 0001.
pub const MIN_MICROS: i64 = -62_135_596_800_000_000;

/// The last microsecond of the year 9999.
pub const MAX_MICROS: i64 = 253_402_300_799_999_999;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
const MICROS_PER_DAY: i64 = 24 * 60 * MICROS_PER_MINUTE;

/// True if the timestamp lies in the years 0001 to 9999.
#[must_use]
pub fn in_range(micros: i64) -> bool {
    (MIN_MICROS..=MAX_MICROS).contains(&micros)
}

/// Reads an ISO-8601 timestamp: a date, or date and time with `T` or a space between them. Without a zone it is UTC, a date alone is its
/// midnight, digits beyond microseconds (up to nine) are cut off. `None` if it is none or lies outside the years 0001 to 9999.
#[must_use]
pub fn parse_iso(text: &[u8]) -> Option<i64> {
    parse_usual(text).or_else(|| parse_unusual(text)).filter(|micros| in_range(*micros))
}

/// Writes `2025-12-16T02:04:00.000000Z`. False, and nothing written, if it lies outside the years 0001 to 9999.
#[must_use = "nothing is written when it is false"]
pub fn write_iso(micros: i64, out: &mut Vec<u8>) -> bool {
    if !in_range(micros) {
        return false;
    }
    let (year, month, day) = date_of(micros.div_euclid(MICROS_PER_DAY));
    let of_day = micros.rem_euclid(MICROS_PER_DAY);
    let (second_of_day, fraction) = ((of_day / MICROS_PER_SECOND) as u32, (of_day % MICROS_PER_SECOND) as u32);
    let [y0, y1] = two_digits(year / 100);
    let [y2, y3] = two_digits(year % 100);
    let [m0, m1] = two_digits(month);
    let [d0, d1] = two_digits(day);
    let [h0, h1] = two_digits(second_of_day / 3600);
    let [i0, i1] = two_digits(second_of_day / 60 % 60);
    let [s0, s1] = two_digits(second_of_day % 60);
    let [f0, f1] = two_digits(fraction / 10_000);
    let [f2, f3] = two_digits(fraction / 100 % 100);
    let [f4, f5] = two_digits(fraction % 100);
    out.extend_from_slice(&[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', i0, i1, b':', s0, s1, b'.', f0, f1, f2, f3, f4, f5, b'Z']);
    true
}

/// `YYYY-MM-DD`, and after `T` or a space `HH:MM` or `HH:MM:SS` or `HH:MM:SS.f{1,9}`, and after a time `Z`, `+HH`, `+HHMM` or `+HH:MM`.
fn parse_usual(text: &[u8]) -> Option<i64> {
    let (century, rest) = text.split_first_chunk()?;
    let (rest_of_date, rest) = rest.split_first_chunk()?;
    let [year, month, day] = three_pairs(rest_of_date, b'-')?;
    let midnight = days_of(pair(century)? * 100 + year, month, day)?.wrapping_mul(MICROS_PER_DAY);
    let [b'T' | b' ', rest @ ..] = rest else {
        return rest.is_empty().then_some(midnight);
    };
    let (time, zone) = parse_time(rest)?;
    // Days of four-digit years, a time below a day and an offset below a day stay far from the ends of 64 bits.
    Some(midnight.wrapping_add(time).wrapping_sub(parse_offset(zone)?))
}

/// The microseconds of a time of day, and the text after it.
fn parse_time(text: &[u8]) -> Option<(i64, &[u8])> {
    if let Some((seconds, rest)) = text.split_first_chunk()
        && let Some([hour, minute, second]) = three_pairs(seconds, b':')
    {
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let micros = i64::from((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND;
        return match rest {
            [b'.', rest @ ..] => parse_fraction(rest).map(|(fraction, rest)| (micros + fraction, rest)),
            _ => Some((micros, rest)),
        };
    }
    let ([h0, h1, b':', m0, m1], rest) = text.split_first_chunk()? else { return None };
    let (hour, minute) = (pair(&[*h0, *h1])?, pair(&[*m0, *m1])?);
    (hour < 24 && minute < 60 && !matches!(rest, [b':' | b'.', ..])).then_some((i64::from(hour * 60 + minute) * MICROS_PER_MINUTE, rest))
}

/// One to nine digits after the point, as microseconds; the seventh and later are cut off.
fn parse_fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let mut micros = 0;
    let mut unit = MICROS_PER_SECOND;
    let mut digits = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        digits += 1;
        unit /= 10;
        micros += unit * i64::from(digit);
    }
    (1..=9).contains(&digits).then(|| (micros, text.get(digits..).unwrap_or_default()))
}

/// Microseconds east of UTC. No zone is UTC.
fn parse_offset(zone: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match zone {
        [] | [b'Z'] => return Some(0),
        [sign, h0, h1] => (sign, [*h0, *h1], *b"00"),
        [sign, h0, h1, m0, m1] | [sign, h0, h1, b':', m0, m1] => (sign, [*h0, *h1], [*m0, *m1]),
        _ => return None,
    };
    let (hours, minutes) = (pair(&hours)?, pair(&minutes)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let micros = i64::from(hours * 60 + minutes) * MICROS_PER_MINUTE;
    match sign {
        b'+' => Some(micros),
        b'-' => Some(-micros),
        _ => None,
    }
}

/// The rest of ISO-8601: basic format, a comma before the fraction, leap seconds, six-digit years.
#[cold]
fn parse_unusual(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let timestamp = match text.parse::<jiff::Timestamp>() {
        Ok(timestamp) => timestamp,
        Err(_) => text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp(),
    };
    // Not `as_microsecond`, which would round times before 1970 towards zero and so to a later microsecond.
    i64::try_from(timestamp.as_nanosecond().div_euclid(1000)).ok()
}

/// Two digits.
#[inline]
fn pair(text: &[u8; 2]) -> Option<u32> {
    let [tens, ones] = text.map(|byte| u32::from(byte.wrapping_sub(b'0')));
    (tens < 10 && ones < 10).then_some(tens * 10 + ones)
}

/// `12:34:56` as three numbers, all eight bytes at once.
#[inline]
fn three_pairs(text: &[u8; 8], separator: u8) -> Option<[u32; 3]> {
    // What a byte may be above its template before bit 7 shows it: 9 for a digit, 0 for a separator.
    const ROOM: u64 = u64::from_le_bytes([0x76, 0x76, 0x7f, 0x76, 0x76, 0x7f, 0x76, 0x76]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let digits = u64::from_le_bytes(*text) ^ u64::from_le_bytes([b'0', b'0', separator, b'0', b'0', separator, b'0', b'0']);
    // A byte that carries into its neighbour has bit 7 itself, so it is refused whatever the neighbour shows.
    if (digits | digits.wrapping_add(ROOM)) & HIGH != 0 {
        return None;
    }
    let [first, _, _, second, _, _, third, _] = digits.wrapping_mul(10).wrapping_add(digits >> 8).to_le_bytes();
    Some([first.into(), second.into(), third.into()])
}

#[inline]
fn two_digits(number: u32) -> [u8; 2] {
    [b'0'.wrapping_add((number / 10) as u8), b'0'.wrapping_add((number % 10) as u8)]
}

/// Days since 1970-01-01 of a date of the Gregorian calendar. Years begin in March here, so that the leap day is the last of its year.
#[inline]
fn days_of(year: u32, month: u32, day: u32) -> Option<i64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let month_days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if year == 0 || day == 0 || day > month_days {
        return None;
    }
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day;
    Some(i64::from(days) - 719_469)
}

/// Year, month and day of a day of the years 0001 to 9999.
#[inline]
fn date_of(days_since_1970: i64) -> (u32, u32, u32) {
    const DAYS_PER_ERA: u32 = 146_097;
    // From 0000-03-01, so never negative.
    let days = (days_since_1970 + 719_468) as u32;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (year_of_era * 365 + year_of_era / 4 - year_of_era / 100);
    let month = (day_of_year * 5 + 2) / 153;
    let day = day_of_year - (month * 153 + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year_of_era + carry, month, day)
}

#[cfg(test)]
mod tests;
