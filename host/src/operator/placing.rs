//! Which window each row belongs to, and which rows are late for theirs. The rules are those of `time`; here they meet columns.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array as _, RecordBatch, TimestampMicrosecondArray};

use super::EpochTime;
use crate::pipeline::Interval;
use crate::time::window::{Window, Windows};
use crate::time::{EventTime, Watermark};

/// How rows find the window of their group.
#[derive(Debug, Clone, Copy)]
pub enum Placing {
    /// One state for each window: windows that tumble, or sliding ones of an aggregate that depends on the order of arrival, whose rows count once in each.
    Windows(Windows, RowTime),
    /// One state for each pane, of which sliding windows are put together when they come out.
    Panes(Windows, RowTime),
    /// One state for each session.
    Sessions(Gap, RowTime),
    /// The event time is in the key: a group is one moment, and the watermark passes it there (L-1).
    Moments(RowTime),
    /// Groups without a time.
    Running {
        /// How long a group is kept after its last row, in microseconds of the epoch's clock; none: for ever.
        ttl_us: Option<i64>,
    },
}

/// Where rows say when they happened.
#[derive(Debug, Clone, Copy)]
pub struct RowTime {
    /// The column.
    pub column: usize,
    /// Whether it is the end of an earlier window, which is no moment of it: the last microsecond before stands for it (T-3).
    pub is_window_end: bool,
}

/// How long after a row its session goes on.
#[derive(Debug, Clone, Copy)]
pub enum Gap {
    /// So long.
    Fixed(Interval),
    /// As this column says: an interval as text, or milliseconds.
    Column(usize),
}

/// Rows with a window for each.
#[derive(Debug)]
pub(super) struct Placed {
    /// The rows, by number in the input; none: all of them, in their order.
    pub(super) rows: Option<Vec<u32>>,
    /// For each, the window (or pane, or the row's own part of a session), as far as there is one: state is kept by its end.
    pub(super) windows: Vec<Window>,
    /// Rows that are late, each with the window for which it is.
    pub(super) late: Vec<(u32, Window)>,
}

/// The window of what has none.
const NEVER: Window = Window { start: EventTime(i64::MIN), end: EventTime(crate::state::NEVER_US) };

impl Placing {
    /// The columns that are looked at here.
    pub(super) fn reads(&self) -> impl Iterator<Item = usize> {
        let (time, gap) = match self {
            Self::Windows(_, time) | Self::Panes(_, time) | Self::Moments(time) | Self::Sessions(Gap::Fixed(_), time) => (Some(time.column), None),
            Self::Sessions(Gap::Column(gap), time) => (Some(time.column), Some(*gap)),
            Self::Running { .. } => (None, None),
        };
        time.into_iter().chain(gap)
    }

    /// The column of event times.
    pub(super) fn time(&self) -> Option<usize> {
        self.reads().next()
    }

    /// Whether its rows have `window_start` and `window_end`.
    pub(super) fn has_windows(&self) -> bool {
        matches!(self, Self::Windows(..) | Self::Panes(..) | Self::Sessions(..))
    }

    /// Places rows, and tells the late ones from the others (L-1, L-2).
    pub(super) fn place(&self, time: &EpochTime, rows: &RecordBatch) -> anyhow::Result<Placed> {
        match self {
            Self::Windows(windows, at) if windows.tumble() => pieces(*windows, *at, time.late, rows),
            Self::Panes(windows, at) => pieces(*windows, *at, time.late, rows),
            Self::Windows(windows, at) => copies(*windows, *at, time.late, rows),
            Self::Sessions(gap, at) => spans(*gap, *at, time.late, rows),
            Self::Moments(at) => moments(*at, time.late, rows),
            Self::Running { .. } => Ok(Placed::all(vec![NEVER; rows.num_rows()])),
        }
    }
}

impl RowTime {
    fn times<'a>(&self, rows: &'a RecordBatch) -> anyhow::Result<&'a TimestampMicrosecondArray> {
        let column = rows.columns().get(self.column).and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        column.ok_or_else(|| anyhow::anyhow!("column {} holds no event times", self.column))
    }

    fn moment(&self, time_us: i64) -> EventTime {
        EventTime(time_us.saturating_sub(i64::from(self.is_window_end)))
    }
}

impl Placed {
    fn all(windows: Vec<Window>) -> Self {
        Self { rows: None, windows, late: Vec::new() }
    }

    fn none() -> Self {
        Self { rows: Some(Vec::new()), ..Self::all(Vec::new()) }
    }

    fn push(&mut self, row: u32, window: Window) {
        self.rows.get_or_insert_default().push(row);
        self.windows.push(window);
    }
}

/// Each row in its pane; a tumbling window is its own. A row is late for those of its windows that L has passed, and left out if these are all.
fn pieces(windows: Windows, at: RowTime, late: Option<Watermark>, rows: &RecordBatch) -> anyhow::Result<Placed> {
    let times = at.times(rows)?;
    // Neighbours are mostly in the same pane, and a division costs more than two comparisons.
    let mut pane = Window { start: EventTime(0), end: EventTime(0) };
    let mut pane_of = |moment: EventTime| {
        if !pane.contains(moment) {
            pane = windows.pane_of(moment);
        }
        pane
    };
    // Lateness rises with age: when the oldest row is not late, none is.
    let oldest = times.iter().flatten().min().map(|oldest| windows.first_end_of(at.moment(oldest)));
    let judge = late.filter(|late| oldest.is_some_and(|first| late.has_passed(first)));
    if times.null_count() == 0 && judge.is_none() {
        return Ok(Placed::all(times.values().iter().map(|time| pane_of(at.moment(*time))).collect()));
    }
    let mut placed = Placed::none();
    for (row, time) in (0_u32..).zip(times.iter()) {
        let Some(moment) = time.map(|time| at.moment(time)) else {
            continue; // T-1; it was counted where the event time is declared
        };
        if let Some(late) = judge {
            let passed = windows.ends_of(moment).take_while(|end| late.has_passed(*end));
            placed.late.extend(passed.map(|end| (row, windows.ending_at(end))));
            if late.has_passed(windows.last_end_of(moment)) {
                continue;
            }
        }
        placed.push(row, pane_of(moment));
    }
    Ok(placed)
}

/// Each row once for each of its windows.
fn copies(windows: Windows, at: RowTime, late: Option<Watermark>, rows: &RecordBatch) -> anyhow::Result<Placed> {
    let mut placed = Placed::none();
    for (row, time) in (0_u32..).zip(at.times(rows)?.iter()) {
        let Some(moment) = time.map(|time| at.moment(time)) else {
            continue;
        };
        for end in windows.ends_of(moment) {
            let window = windows.ending_at(end);
            match late.is_some_and(|late| late.has_passed(end)) {
                true => placed.late.push((row, window)),
                false => placed.push(row, window),
            }
        }
    }
    Ok(placed)
}

/// Each row in a session of its own, which the row's gap ends; a row is judged by that alone, whatever session would have taken it in (T-4, T-5, T-6).
fn spans(gap: Gap, at: RowTime, late: Option<Watermark>, rows: &RecordBatch) -> anyhow::Result<Placed> {
    let mut placed = Placed::none();
    let gaps = gap.of(rows)?;
    for ((row, time), gap) in (0_u32..).zip(at.times(rows)?.iter()).zip(gaps) {
        let (Some(start), Some(gap)) = (time.map(|time| at.moment(time)), gap.filter(|gap| !gap.is_zero())) else {
            continue;
        };
        let window = Window { start, end: after(start, gap) };
        match late.is_some_and(|late| late.has_passed(window.end)) {
            true => placed.late.push((row, window)),
            false => placed.push(row, window),
        }
    }
    Ok(placed)
}

/// The moment an interval later: its months by the calendar, in UTC, and then the rest, as Spark adds intervals.
fn after(start: EventTime, gap: Interval) -> EventTime {
    let by_calendar = |start: EventTime| {
        let moment = jiff::Timestamp::from_microsecond(start.0).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
        let later = moment.checked_add(jiff::Span::new().try_months(i64::from(gap.months)).ok()?).ok()?;
        Some(EventTime(later.timestamp().as_microsecond()))
    };
    let months_later = if gap.months == 0 { start } else { by_calendar(start).unwrap_or(EventTime(i64::MAX)) };
    EventTime(months_later.0.saturating_add(gap.rest_us))
}

/// Each row at its moment. One without is never late, and its group never closed, as Spark has it for a null in a key.
fn moments(at: RowTime, late: Option<Watermark>, rows: &RecordBatch) -> anyhow::Result<Placed> {
    let mut placed = Placed::none();
    for (row, time) in (0_u32..).zip(at.times(rows)?.iter()) {
        let window = time.map_or(NEVER, |time| Window { start: EventTime(time), end: EventTime(time) });
        match time.is_some() && late.is_some_and(|late| late.has_passed(window.end)) {
            true => placed.late.push((row, window)),
            false => placed.push(row, window),
        }
    }
    Ok(placed)
}

impl Gap {
    /// The gap of each row; none: null, negative, or not an interval.
    fn of(self, rows: &RecordBatch) -> anyhow::Result<Box<dyn Iterator<Item = Option<Interval>> + '_>> {
        let column = match self {
            Self::Fixed(gap) => return Ok(Box::new(std::iter::repeat_n(Some(gap), rows.num_rows()))),
            Self::Column(column) => rows.columns().get(column).ok_or_else(|| anyhow::anyhow!("there is no column {column} of gaps"))?,
        };
        if let Some(millis) = column.as_primitive_opt::<Int64Type>() {
            let of = |millis: i64| millis.checked_mul(1_000).filter(|us| *us >= 0).map(|rest_us| Interval { months: 0, rest_us });
            return Ok(Box::new(millis.iter().map(move |millis| of(millis?))));
        }
        let text = column.as_string_opt::<i32>().ok_or_else(|| anyhow::anyhow!("a column of gaps holds {}", column.data_type()))?;
        // Gaps repeat: most streams have a handful of them.
        let mut last: Option<(&str, Option<Interval>)> = None;
        Ok(Box::new(text.iter().map(move |text| {
            let text = text?;
            match last {
                Some((known, gap)) if known == text => gap,
                _ => last.insert((text, Interval::parse(text).ok())).1,
            }
        })))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn months_are_as_long_as_the_calendar_makes_them() {
        let at = |text: &str| EventTime(text.parse::<jiff::Timestamp>().unwrap().as_microsecond());
        for (start, gap, end) in [
            ("2024-01-31T12:00:00Z", "1 month", "2024-02-29T12:00:00Z"),
            ("2024-02-01T00:00:00Z", "1 month", "2024-03-01T00:00:00Z"),
            ("2023-12-15T00:00:00Z", "1 year 1 day", "2024-12-16T00:00:00Z"),
            ("2024-01-01T00:00:00Z", "90 seconds", "2024-01-01T00:01:30Z"),
        ] {
            assert_eq!(after(at(start), Interval::parse(gap).unwrap()), at(end), "{start} and {gap}");
        }
    }
}
