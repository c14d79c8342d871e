//! Which windows a moment is in, and which pieces of them are shared.

use super::EventTime;

/// Windows of one length that begin at regular moments. Tumbling: each begins where the one before ends, so a moment is in one. Sliding: they begin more often than
/// that, and overlap.
///
/// ```text
///  size 5, every 2      |─────────|           w1
///                           |─────────|       w2
///                               |─────────|   w3
///  edges                |   |   | | | | | |   a pane lies between two neighbouring edges: all its moments are in the same windows
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Length in microseconds; positive.
    size_us: i64,
    /// From one beginning to the next, in microseconds; positive, at most the length.
    every_us: i64,
    /// Where windows begin, modulo `every_us`.
    offset_us: i64,
}

/// A window, or a pane: `start` is in it, `end` is not.
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

/// All sums saturate: moments so near the ends of the calendar that their window has no edge fall into the last one that has.
impl Windows {
    /// Windows of `size_us` microseconds, one beginning every `every_us`, at `offset_us` modulo that. None unless 0 < `every_us` <= `size_us` (T-2).
    #[must_use]
    pub fn sliding(size_us: i64, every_us: i64, offset_us: i64) -> Option<Self> {
        (0 < every_us && every_us <= size_us).then(|| Self { size_us, every_us, offset_us: offset_us.rem_euclid(every_us) })
    }

    /// Windows of `size_us` microseconds that begin at `offset_us` modulo that. None unless the size is positive.
    #[must_use]
    pub fn tumbling(size_us: i64, offset_us: i64) -> Option<Self> {
        Self::sliding(size_us, size_us, offset_us)
    }

    /// Whether each moment is in exactly one.
    #[must_use]
    pub fn tumble(self) -> bool {
        self.size_us == self.every_us
    }

    /// The window that ends at `end`.
    #[must_use]
    pub fn ending_at(self, end: EventTime) -> Window {
        Window { start: EventTime(end.0.saturating_sub(self.size_us)), end }
    }

    /// The end of the first window that `time` is in, the one that closes first.
    #[must_use]
    pub fn first_end_of(self, time: EventTime) -> EventTime {
        let into = self.into(time.0.wrapping_sub(self.size_us));
        EventTime(time.0.saturating_sub(into).saturating_add(self.every_us))
    }

    /// The end of the last window that `time` is in, the one that closes last.
    #[must_use]
    pub fn last_end_of(self, time: EventTime) -> EventTime {
        EventTime(self.last_start_of(time).0.saturating_add(self.size_us))
    }

    /// The ends of all windows that `time` is in (T-1), the first to close first.
    pub fn ends_of(self, time: EventTime) -> impl Iterator<Item = EventTime> {
        let last = self.last_end_of(time);
        let next = move |end: &EventTime| end.0.checked_add(self.every_us).map(EventTime).filter(|end| *end <= last);
        std::iter::successors(Some(self.first_end_of(time)), next)
    }

    /// The pane that `time` is in.
    #[must_use]
    pub fn pane_of(self, time: EventTime) -> Window {
        let (start, end) = (self.last_start_of(time).0, self.first_end_of(time).0);
        let start_of_next = start.saturating_add(self.every_us);
        Window { start: EventTime(start.max(end.saturating_sub(self.every_us))), end: EventTime(end.min(start_of_next)) }
    }

    /// The panes that end at or before this moment are in no window that ends after `time`.
    #[must_use]
    pub fn done_at(self, time: EventTime) -> EventTime {
        let last_done = self.last_start_of(EventTime(time.0.saturating_sub(self.size_us)));
        EventTime(last_done.0.saturating_add(self.every_us))
    }

    fn last_start_of(self, time: EventTime) -> EventTime {
        EventTime(time.0.saturating_sub(self.into(time.0)))
    }

    /// How far a moment is past the last beginning of a window.
    fn into(self, time_us: i64) -> i64 {
        time_us.wrapping_sub(self.offset_us).rem_euclid(self.every_us)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn window(size_us: i64, offset_us: i64, time_us: i64) -> (i64, i64) {
        let tumbling = Windows::tumbling(size_us, offset_us).unwrap();
        let end = tumbling.first_end_of(EventTime(time_us));
        assert_eq!(tumbling.last_end_of(EventTime(time_us)), end);
        let window = tumbling.ending_at(end);
        assert_eq!(tumbling.pane_of(EventTime(time_us)), window, "a tumbling window is its own pane");
        (window.start.0, window.end.0)
    }

    fn ends(size_us: i64, every_us: i64, offset_us: i64, time_us: i64) -> Vec<i64> {
        Windows::sliding(size_us, every_us, offset_us).unwrap().ends_of(EventTime(time_us)).map(|end| end.0).collect()
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
    fn a_window_needs_a_length_and_a_slide_no_longer_than_it() {
        assert_eq!(Windows::tumbling(0, 0), None);
        assert_eq!(Windows::tumbling(-1, 0), None);
        assert_eq!(Windows::sliding(5, 0, 0), None);
        assert_eq!(Windows::sliding(5, 6, 0), None);
    }

    #[test]
    fn a_moment_is_in_every_sliding_window_over_it() {
        assert_eq!(ends(60, 10, 0, 0), [10, 20, 30, 40, 50, 60]);
        assert_eq!(ends(60, 10, 0, 9), [10, 20, 30, 40, 50, 60]);
        assert_eq!(ends(60, 10, 3, 2), [3, 13, 23, 33, 43, 53]);
        // A slide that does not divide the size: three windows over some moments, two over others.
        assert_eq!(ends(5, 2, 0, 4), [5, 7, 9]);
        assert_eq!(ends(5, 2, 0, 5), [7, 9]);
        assert_eq!(ends(5, 2, 0, -1), [1, 3]);
    }

    proptest::proptest! {
        #[test]
        fn every_moment_is_in_its_window(size in 1_i64..1_000_000_000, offset in -1_000_000_i64..1_000_000, time in -4_000_000_000_000_000_i64..4_000_000_000_000_000) {
            let (start, end) = window(size, offset, time);
            proptest::prop_assert!(start <= time && time < end);
            proptest::prop_assert_eq!(end - start, size);
            proptest::prop_assert_eq!((start - offset).rem_euclid(size), 0);
        }

        /// The definition, T-1: all k for which k * every + offset <= time < k * every + offset + size.
        #[test]
        fn the_windows_of_a_moment_are_those_of_the_definition(every in 1_i64..50, more in 0_i64..100, offset in -60_i64..60, time in -200_i64..200) {
            let size = every + more;
            let by_definition: Vec<i64> = (-400..400_i64).map(|k| k * every + offset.rem_euclid(every)).filter(|start| *start <= time && time < start + size).map(|start| start + size).collect();
            proptest::prop_assert_eq!(ends(size, every, offset, time), by_definition);
        }

        #[test]
        fn all_moments_of_a_pane_are_in_the_same_windows_and_the_next_is_not(every in 1_i64..50, more in 0_i64..100, offset in -60_i64..60, time in -200_i64..200) {
            let size = every + more;
            let windows = Windows::sliding(size, every, offset).unwrap();
            let pane = windows.pane_of(EventTime(time));
            proptest::prop_assert!(pane.contains(EventTime(time)));
            let mine = ends(size, every, offset, time);
            for moment in pane.start.0..pane.end.0 {
                proptest::prop_assert_eq!(&ends(size, every, offset, moment), &mine);
                proptest::prop_assert_eq!(windows.pane_of(EventTime(moment)), pane);
            }
            proptest::prop_assert_ne!(&ends(size, every, offset, pane.end.0), &mine);
            // What is done is exactly what no open window needs.
            let last = *mine.last().unwrap();
            proptest::prop_assert!(windows.done_at(EventTime(last)) >= pane.end);
            proptest::prop_assert!(windows.done_at(EventTime(last - 1)) < pane.end);
        }
    }
}
