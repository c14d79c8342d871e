//! Event time: windows and watermarks, as pure arithmetic. Nothing here reads a clock or does I/O; rules are numbered as in the reference of streaming semantics
//! that ARCHITECTURE.md describes (`W-` watermarks, `L-` lateness, `T-` windows).

use std::fmt;

use serde::{Deserialize, Serialize};

pub mod watermark;
pub mod window;

/// A moment, in microseconds since 1970-01-01T00:00:00Z: the time of an event, a window's edge, an epoch's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventTime(pub i64);

/// A watermark, in milliseconds since 1970-01-01T00:00:00Z. It starts at 0, is never negative and never moves back (W-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watermark(pub i64);

impl Watermark {
    /// Whether something that ends at `end` is behind the watermark: late, or closed. The comparison is `<=`, in microseconds (L-1).
    #[must_use]
    pub fn has_passed(self, end: EventTime) -> bool {
        end.0 <= self.as_event_time().0
    }

    /// The watermark as a moment.
    #[must_use]
    pub fn as_event_time(self) -> EventTime {
        EventTime(self.0.saturating_mul(1_000))
    }
}

impl fmt::Display for EventTime {
    /// ISO-8601 in UTC with microseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(moment) => write!(f, "{moment:.6}"),
            Err(_) => write!(f, "{} us", self.0),
        }
    }
}

impl fmt::Display for Watermark {
    /// ISO-8601 in UTC with milliseconds, as Spark's progress shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(moment) => write!(f, "{moment:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}
