//! The demo's screen: on a terminal a table that is drawn again in its place, elsewhere plain lines.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use terminal_size::{Height, Width, terminal_size};

use weir::observe::board::Totals;
use weir::observe::progress::SourceProgress;

use super::windows::{Row, Windows};

const HEADER: &str = "window  event       country  format          events  avg revenue  total revenue";
/// Lines of a screen that are no rows: the header, the status, one behind each of three windows, and those that stood there before.
const OTHER_LINES: usize = 11;
/// On a screen of fewer lines three windows would scroll away, and what has scrolled can't be drawn over: there is one.
const LINES_OF_THREE: usize = 12;

/// Where the demo draws.
pub(super) struct Screen {
    terminal: bool,
    /// How many lines stand there from the last time.
    drawn: usize,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { terminal: std::io::stdout().is_terminal(), drawn: 0 }
    }

    /// Whether it draws in place.
    pub(super) fn in_place(&self) -> bool {
        self.terminal
    }

    /// The windows and the status.
    pub(super) fn draw(&mut self, windows: &Windows, totals: &Totals) -> anyhow::Result<()> {
        if !self.terminal {
            return self.lines(windows, totals);
        }
        let (width, height) = terminal_size().map_or((100, 30), |(Width(width), Height(height))| (usize::from(width), usize::from(height)));
        let rows = (height.saturating_sub(OTHER_LINES) / 3).clamp(1, 6);
        let shown = if height < LINES_OF_THREE { 1 } else { 3 };
        let mut lines = vec![format!("\x1b[2m{}\x1b[0m", cut(HEADER, width))];
        for (groups, top) in windows.top(rows).into_iter().take(shown) {
            lines.extend(top.iter().map(|row| cut(&text(row), width)));
            let more = groups.saturating_sub(top.len());
            lines.push(if more > 0 { format!("\x1b[2m{}\x1b[0m", cut(&format!("        and {more} groups more"), width)) } else { String::new() });
        }
        lines.extend([String::new(), format!("\x1b[1m{}\x1b[0m", cut(&status(totals), width))]);
        let mut screen = if self.drawn > 0 { format!("\x1b[{}A\x1b[J", self.drawn) } else { String::new() };
        lines.iter().for_each(|line| {
            screen.push_str(line);
            screen.push('\n');
        });
        self.drawn = lines.len();
        weir::sink::console::print(screen.as_bytes())?;
        Ok(())
    }

    /// An epoch on a pipe: its status, and the newest window's first rows.
    fn lines(&mut self, windows: &Windows, totals: &Totals) -> anyhow::Result<()> {
        let mut lines = format!("{}\n", status(totals));
        for row in windows.top(3).first().map(|(_, rows)| rows.as_slice()).unwrap_or_default() {
            writeln!(lines, "  {}", text(row))?;
        }
        weir::sink::console::print(lines.as_bytes())?;
        Ok(())
    }
}

fn status(totals: &Totals) -> String {
    let Some(last) = &totals.last else { return "no epoch yet".to_owned() };
    let (epoch, rate, late, rejected) = (last.batch_id, last.input_rows_per_second.unwrap_or_default(), totals.late_rows, totals.rejected_rows());
    let watermark = last.weir.watermark_after.as_deref().and_then(time_of_day).unwrap_or("-");
    let lag: u64 = last.sources.iter().flat_map(SourceProgress::lag).map(|(.., lag)| lag).sum();
    format!("epoch {epoch} | {rate:.0} records/s | watermark {watermark} | lag {lag} | late {late} | rejected {rejected}")
}

fn text(row: &Row) -> String {
    let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.4}"));
    let Row { window_start, event_type, country, ad_format, event_count, avg_revenue, total_revenue } = row;
    let start = time_of_day(window_start).and_then(|time| time.get(..5)).unwrap_or(window_start);
    format!("{start:<6}  {event_type:<10}  {country:<7}  {ad_format:<14}  {event_count:>6}  {:>11}  {:>13}", number(*avg_revenue), number(*total_revenue))
}

/// `02:04:08` of `2025-12-16T02:04:08.891Z`.
fn time_of_day(timestamp: &str) -> Option<&str> {
    timestamp.split_once(['T', ' '])?.1.get(..8)
}

fn cut(line: &str, width: usize) -> String {
    line.chars().take(width).collect()
}
