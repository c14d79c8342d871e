//! ISO-8601 in UTC to microseconds since 1970 and back, for tests; a calendar library would be part of every plugin.

const DAY: i64 = 86_400_000_000;

/// Reads `2024-01-31T12:30:00Z`, with up to six decimals.
pub(super) fn read(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = three(date, '-')?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let [hour, minute, second] = three(clock, ':')?;
    let micros = if fraction.is_empty() { 0 } else { format!("{fraction:0<6}").parse().ok().filter(|_| fraction.len() <= 6)? };
    Some(days(year, month, day) * DAY + ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros)
}

/// Writes a time, with decimals if it has any.
pub(super) fn write(time: i64) -> String {
    let (day, rest) = (time.div_euclid(DAY), time.rem_euclid(DAY));
    let (year, month, day) = date(day);
    let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
    let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}{fraction}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn three(text: &str, separator: char) -> Option<[i64; 3]> {
    let numbers = text.split(separator).map(|number| number.parse().ok()).collect::<Option<Vec<_>>>()?;
    numbers.try_into().ok()
}

/// Days since 1970 of a date; years begin in March, so that the leap day is the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month < 3);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - 719_468
}

/// The date of a day: the first guess is at most a year off.
fn date(day: i64) -> (i64, i64, i64) {
    let mut year = 1970 + day.div_euclid(366);
    while days(year + 1, 1, 1) <= day {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| days(year, *month, 1) <= day).unwrap_or(1);
    (year, month, day - days(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_was_written() {
        for (text, time) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2024-02-29T23:59:59.999999Z", 1_709_251_199_999_999),
            ("1969-12-31T23:59:59Z", -1_000_000),
            ("2000-03-01T00:00:00Z", 951_868_800_000_000),
        ] {
            assert_eq!((read(text), write(time)), (Some(time), text.to_owned()));
        }
        assert_eq!(read("2024-01-01T00:00:00.5Z"), read("2024-01-01T00:00:00.500000Z"));
        assert_eq!(read("2024-01-01"), None);
    }

    #[test]
    fn every_day_of_a_thousand_years_comes_back() {
        for day in -200_000..200_000 {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }
}
