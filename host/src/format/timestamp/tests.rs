#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

/// 2025-12-16T02:04:08Z.
const SECOND: i64 = 1_765_850_648_000_000;

fn iso(micros: i64) -> String {
    let mut out = Vec::new();
    assert!(write_iso(micros, &mut out), "{micros} is in range");
    String::from_utf8(out).unwrap()
}

#[test]
fn every_shape_of_iso_8601_is_read() {
    let midnight = 1_765_843_200_000_000;
    let cases = [
        ("2025-12-16T02:04:08.891156", SECOND + 891_156),
        ("2025-12-16T02:04:08.891156Z", SECOND + 891_156),
        ("2025-12-16 02:04:08", SECOND),
        ("2025-12-16T02:04:08.5", SECOND + 500_000),
        ("2025-12-16T02:04:08.000001", SECOND + 1),
        ("2025-12-16T02:04:08.123456789Z", SECOND + 123_456),
        ("2025-12-16T02:04:08.999999999", SECOND + 999_999),
        ("2025-12-16T02:04", SECOND - 8_000_000),
        ("2025-12-16T02:04Z", SECOND - 8_000_000),
        ("2025-12-16", midnight),
        ("2025-12-16T03:04:08+01:00", SECOND),
        ("2025-12-16T03:04:08+0100", SECOND),
        ("2025-12-16T03:04:08+01", SECOND),
        ("2025-12-15T20:34:08.25-05:30", SECOND + 250_000),
        ("2025-12-16T02:04:08-00:00", SECOND),
        // By way of jiff.
        ("2025-12-16T02:04:08,5", SECOND + 500_000),
        ("20251216T020408Z", SECOND),
        ("20251216T020408", SECOND),
        ("20251216", midnight),
        ("2025-12-16t02:04:08z", SECOND),
        ("2025-12-16T02:03:60Z", SECOND - 9_000_000),
        ("+002025-12-16T02:04:08Z", SECOND),
        // Around the edges of calendar and range.
        ("1970-01-01", 0),
        ("1969-12-31T23:59:59.9999999", -1),
        ("1969-12-31T23:59:59,9999999Z", -1),
        ("2000-02-29", 951_782_400_000_000),
        ("0001-01-01T00:00:00Z", MIN_MICROS),
        ("9999-12-31T23:59:59.999999Z", MAX_MICROS),
        ("0000-12-31T23:30:00-01:00", MIN_MICROS + 30 * 60_000_000),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_iso(text.as_bytes()), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_timestamp_is_refused() {
    let cases = [
        "",
        "now",
        "2025",
        "2025-12",
        "2025-13-01",
        "2025-00-01",
        "2025-12-32",
        "2025-12-00",
        "2025-02-29",
        "1900-02-29",
        "2025-12-16T",
        "2025-12-16 ",
        "2025-12-16T24:00:00",
        "2025-12-16T02:60:00",
        "2025-12-16T02:04:61",
        "2025-12-16T02:04:08.",
        "2025-12-16T02:04:08.1234567890",
        "2025-12-16T02:04:08+",
        "2025-12-16T02:04:08+1",
        "2025-12-16T02:04:08+26:00",
        "2025-12-16T02:04:08*01:00",
        "2025-12-16T02:04:08Zx",
        "2025-12-16X02:04:08",
        "2025-12-16T02:04:",
        "2025-12-16T02:04.5",
        "2025/12/16",
        "20a5-12-16",
        "2025-12-16T0\u{fa}:04:08",
        " 2025-12-16",
        "2025-12-16 02:04:08 ",
        "1765850648",
        "0000-12-31",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "+010000-01-01T00:00:00Z",
        "-000001-01-01",
    ];
    for text in cases {
        assert_eq!(parse_iso(text.as_bytes()), None, "{text}");
    }
    assert_eq!(parse_iso(b"2025-12-16T02:04:0\xff"), None);
}

#[test]
fn a_timestamp_is_written_in_utc_with_microseconds() {
    assert_eq!(iso(SECOND - 8_000_000), "2025-12-16T02:04:00.000000Z");
    assert_eq!(iso(SECOND + 7), "2025-12-16T02:04:08.000007Z");
    assert_eq!(iso(-1), "1969-12-31T23:59:59.999999Z");
    assert_eq!(iso(MIN_MICROS), "0001-01-01T00:00:00.000000Z");
    assert_eq!(iso(MAX_MICROS), "9999-12-31T23:59:59.999999Z");
}

#[test]
fn a_timestamp_outside_the_years_1_to_9999_is_not_written() {
    for micros in [MIN_MICROS - 1, MAX_MICROS + 1, i64::MIN, i64::MAX] {
        let mut out = Vec::new();
        assert!(!write_iso(micros, &mut out));
        assert!(out.is_empty());
    }
}

#[test]
fn every_day_of_ten_thousand_years_is_the_day_that_jiff_says() {
    let mut date = jiff::civil::date(1, 1, 1);
    for day in MIN_MICROS / MICROS_PER_DAY..=MAX_MICROS / MICROS_PER_DAY {
        let (year, month, of_month) = date_of(day);
        assert_eq!((year as i16, month as i8, of_month as i8), (date.year(), date.month(), date.day()));
        assert_eq!(days_of(year, month, of_month), Some(day));
        date = date.tomorrow().unwrap_or(date);
    }
}

/// What jiff's own civil time and offsets make of a text: the reference.
fn by_jiff(text: &str) -> Option<i64> {
    parse_unusual(text.as_bytes()).filter(|micros| in_range(*micros))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_written_is_read_again_and_jiff_agrees(micros in MIN_MICROS..=MAX_MICROS) {
        let text = iso(micros);
        prop_assert_eq!(parse_iso(text.as_bytes()), Some(micros));
        // jiff's instants end 26 hours before the year does.
        if let Ok(timestamp) = jiff::Timestamp::from_microsecond(micros) {
            prop_assert_eq!(text.parse::<jiff::Timestamp>().unwrap(), timestamp);
        }
    }

    #[test]
    fn the_usual_shapes_are_read_as_jiff_reads_them(text in "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-5][0-9](:[0-6][0-9](\\.[0-9]{1,10})?)?(Z|[+-][0-2][0-9](:?[0-6][0-9])?)?)?") {
        // jiff refuses a year 0 only by range; the hand-written part leaves it to jiff.
        if let Some(micros) = parse_usual(text.as_bytes()) {
            prop_assert_eq!(Some(micros).filter(|micros| in_range(*micros)), by_jiff(&text), "{}", text);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..40)) {
        prop_assert!(parse_iso(&text).is_none_or(in_range));
    }
}
