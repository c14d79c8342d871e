use super::*;

fn us(text: &str) -> Result<i64, UnitError> {
    text.parse().map(DurationUs::us)
}

#[test]
fn durations_are_read_as_people_and_spark_write_them() {
    let read = [
        ("10s", 10_000_000),
        ("1 minute", 60_000_000),
        ("30 seconds", 30_000_000),
        ("500ms", 500_000),
        ("1h", 3_600_000_000),
        ("2 days", 172_800_000_000),
        ("1 week", 604_800_000_000),
        ("5m", 300_000_000),
        ("15 mins", 900_000_000),
        ("700us", 700),
        ("1.5 seconds", 1_500_000),
        ("1 hour 30 minutes", 5_400_000_000),
        ("1h30m", 5_400_000_000),
        ("interval 10 Seconds", 10_000_000),
        ("0 seconds", 0),
        // W-7, as Spark was seen to do it: a month is 31 days.
        ("2 years 5 months 3 days", (29 * 31 + 3) * 86_400_000_000),
    ];
    for (text, expected) in read {
        assert_eq!(us(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_duration_is_said() {
    use UnitError::{NoNumber, NoUnit, TooFine, TooLarge, UnknownUnit};
    let refused = [
        ("", NoNumber),
        ("soon", NoNumber),
        (".5s", NoNumber),
        ("5.s", NoNumber),
        ("1.2.3s", NoNumber),
        ("10", NoUnit),
        ("10 parsecs", UnknownUnit("parsecs".to_owned())),
        ("10s and more", NoNumber),
        ("-10s", UnitError::Negative),
        ("0.1us", TooFine("a microsecond")),
        ("300000 years", TooLarge),
        ("9999999999999999999s", TooLarge),
    ];
    for (text, error) in refused {
        assert_eq!(us(text), Err(error), "{text}");
    }
}

#[test]
fn a_window_takes_no_months() {
    assert_eq!(DurationUs::parse_fixed("1 month"), Err(UnitError::Calendar));
    assert_eq!(DurationUs::parse_fixed("4 weeks").map(DurationUs::us), Ok(2_419_200_000_000));
}

#[test]
fn sizes_are_decimal_unless_they_say_i() {
    let bytes = |text: &str| text.parse().map(ByteSize::bytes);
    assert_eq!(bytes("64MB"), Ok(64_000_000));
    assert_eq!(bytes("16 MiB"), Ok(16 << 20));
    assert_eq!(bytes("1.5kb"), Ok(1_500));
    assert_eq!(bytes("12b"), Ok(12));
    assert_eq!(bytes("64"), Err(UnitError::NoUnit));
    assert_eq!(bytes("64 mega"), Err(UnitError::UnknownUnit("mega".to_owned())));
    assert_eq!(bytes("0.5b"), Err(UnitError::TooFine("a byte")));
    assert_eq!(bytes("99999999999TB"), Err(UnitError::TooLarge));
}

#[test]
fn shares_are_exact_and_at_most_the_whole() {
    let millionths = |text: &str| text.parse().map(ShareMillionths::millionths);
    assert_eq!(millionths("1%"), Ok(10_000));
    assert_eq!(millionths("0.0001 %"), Ok(1));
    assert_eq!(millionths("100%"), Ok(1_000_000));
    assert_eq!(millionths("100.1%"), Err(UnitError::TooLarge));
    assert_eq!(millionths("0.00001%"), Err(UnitError::TooFine("a millionth")));
    assert_eq!(millionths("0.01"), Err(UnitError::NoUnit));
}

#[test]
fn quantities_are_shown_in_their_largest_whole_unit() {
    let duration = |text: &str| text.parse::<DurationUs>().map(|duration| duration.to_string());
    let size = |text: &str| text.parse::<ByteSize>().map(|size| size.to_string());
    assert_eq!(["90 s", "60s", "2 days", "1500us", "0s"].map(duration), ["90s", "1min", "2d", "1500us", "0s"].map(|text| Ok(text.to_owned())));
    assert_eq!(["64MB", "256MiB", "1500b", "12b"].map(size), ["64MB", "256MiB", "1500B", "12B"].map(|text| Ok(text.to_owned())));
    assert_eq!("0.5%".parse::<ShareMillionths>().map(|share| share.to_string()), Ok("0.5%".to_owned()));
}
