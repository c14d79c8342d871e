//! What the input's schema and `clean` make of a record, written down a second time.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde_json::Value;

use super::Group;

/// An event that fits the schema.
pub(super) struct Event {
    pub(super) time_us: i64,
    pub(super) revenue: Option<f64>,
    user: String,
    key: [String; 3],
}

/// What `clean` does with an event.
pub(super) enum Fate {
    /// It goes on to the aggregate.
    Counted,
    /// It is filtered out: a robot's.
    Dropped,
    /// It becomes a dead letter: nobody pays to be shown an advertisement.
    Rejected,
}

impl Event {
    /// `None` is a record for the dead letters.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let record: Value = serde_json::from_slice(value).ok()?;
        let text = |name: &str| record.get(name).and_then(Value::as_str);
        text("event_id")?;
        text("campaign_id")?;
        let revenue = match record.get("revenue") {
            None | Some(Value::Null) => None,
            Some(number) => Some(number.as_f64()?),
        };
        if !matches!(record.get("device"), None | Some(Value::Null | Value::String(_))) {
            return None;
        }
        Some(Self {
            time_us: time_us(text("timestamp")?)?,
            revenue,
            user: text("user_id")?.to_owned(),
            key: [text("event_type")?.to_owned(), text("country")?.to_owned(), text("ad_format")?.to_owned()],
        })
    }

    pub(super) fn fate(&self) -> Fate {
        if self.user.starts_with("BOT") {
            Fate::Dropped
        } else if self.revenue.is_some_and(|revenue| revenue < 0.0) {
            Fate::Rejected
        } else {
            Fate::Counted
        }
    }

    pub(super) fn group(&self, window_us: i64) -> Group {
        Group { window_start_us: self.time_us - self.time_us.rem_euclid(window_us), key: self.key.clone() }
    }
}

/// ISO-8601, in UTC where there is no zone, as microseconds since 1970.
pub(super) fn time_us(text: &str) -> Option<i64> {
    let time = text.parse::<Timestamp>().or_else(|_| text.parse::<DateTime>().and_then(|time| Offset::UTC.to_timestamp(time)));
    time.ok().map(Timestamp::as_microsecond)
}
