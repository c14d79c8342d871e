//! Which window a moment is in.

use super::EventTime;

/// Tumbling windows: each moment is in exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tumbling {
    /// Length in microseconds; positive.
    size_us: i64,
    /// Where windows start, modulo the length.
    offset_us: i64,
}

/// A window: `start` is in it, `end` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    /// Its first microsecond.
    pub start: EventTime,
    /// The microsecond after its last.
    pub end: EventTime,
}

impl Window {
    /// Whether a moment is in it.
    #[must_use]
    pub fn contains(self, time: EventTime) -> bool {
        self.start <= time && time < self.end
    }
}

impl Tumbling {
    /// Windows of `size_us` microseconds that start at `offset_us` modulo that. None unless the size is positive.
    #[must_use]
    pub fn new(size_us: i64, offset_us: i64) -> Option<Self> {
        (size_us > 0).then(|| Self { size_us, offset_us: offset_us.rem_euclid(size_us) })
    }

    /// Length in microseconds.
    #[must_use]
    pub fn size_us(self) -> i64 {
        self.size_us
    }

    /// The end of the window that `time` is in (T-1). Moments so near the ends of the calendar that the window has no end saturate.
    #[must_use]
    pub fn end_of(self, time: EventTime) -> EventTime {
        let into = time.0.wrapping_sub(self.offset_us).rem_euclid(self.size_us);
        EventTime(time.0.saturating_sub(into).saturating_add(self.size_us))
    }

    /// The window that ends at `end`.
    #[must_use]
    pub fn ending_at(self, end: EventTime) -> Window {
        Window { start: EventTime(end.0.saturating_sub(self.size_us)), end }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn window(size_us: i64, offset_us: i64, time_us: i64) -> (i64, i64) {
        let tumbling = Tumbling::new(size_us, offset_us).unwrap();
        let window = tumbling.ending_at(tumbling.end_of(EventTime(time_us)));
        (window.start.0, window.end.0)
    }

    #[test]
    fn a_window_holds_its_start_and_not_its_end() {
        assert_eq!(window(60, 0, 0), (0, 60));
        assert_eq!(window(60, 0, 59), (0, 60));
        assert_eq!(window(60, 0, 60), (60, 120));
    }

    #[test]
    fn moments_before_1970_have_windows_too() {
        assert_eq!(window(60, 0, -1), (-60, 0));
        assert_eq!(window(60, 0, -60), (-60, 0));
        assert_eq!(window(60, 0, -61), (-120, -60));
    }

    #[test]
    fn an_offset_moves_every_edge_and_may_be_negative() {
        assert_eq!(window(60, 15, 14), (-45, 15));
        assert_eq!(window(60, 15, 15), (15, 75));
        assert_eq!(window(60, -45, 15), (15, 75));
    }

    #[test]
    fn a_window_needs_a_length() {
        assert_eq!(Tumbling::new(0, 0), None);
        assert_eq!(Tumbling::new(-1, 0), None);
    }

    proptest::proptest! {
        #[test]
        fn every_moment_is_in_its_window(size in 1_i64..1_000_000_000, offset in -1_000_000_i64..1_000_000, time in -4_000_000_000_000_000_i64..4_000_000_000_000_000) {
            let (start, end) = window(size, offset, time);
            proptest::prop_assert!(start <= time && time < end);
            proptest::prop_assert_eq!(end - start, size);
            proptest::prop_assert_eq!((start - offset).rem_euclid(size), 0);
        }
    }
}
