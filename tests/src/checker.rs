//! Counts what went into the ad-events pipeline and what came out, and says where they differ. It shares no code with the host: it reads the topics and the
//! progress file as any outsider could, and has its own idea of what a good event, a window and a late row are.
//!
//! What it holds the pipeline to, for every window and key:
//!
//! - delivered + late = input by its own count, and no row is late that came less than the watermark's delay behind the newest of its partition (L-5);
//! - no row counts twice for a reader of committed records;
//! - dead letters are exactly the records that can't be decoded and the rows that `clean` rejects.
//!
//! How many rows are late in all comes from the host's progress file; where a kill took a line of it, that total becomes a lower bound, and each window's own
//! bound still holds.

mod event;
mod kafka;
mod progress;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde_json::Value;

use self::event::{Event, Fate};
pub use self::kafka::{Isolation, read_topic};
use self::progress::Progress;

/// What the pipeline under test promises.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// How long its watermark waits, in microseconds.
    pub delay_us: i64,
    /// The size of its tumbling windows, in microseconds.
    pub window_us: i64,
    /// When its aggregate gives rows.
    pub mode: Mode,
}

/// When an aggregate gives rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A group's row whenever it has changed: the last one counts.
    Update,
    /// A group's row once, when its window has closed.
    Append,
}

/// A record as a topic keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its value; `None` is Kafka's null.
    pub value: Option<Vec<u8>>,
}

/// All that there is to look at. Records of a partition are in offset order.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The events.
    pub input: Vec<Stored>,
    /// The aggregate's rows, for a reader of committed records.
    pub output: Vec<Stored>,
    /// The same with the rows of aborted transactions.
    pub output_uncommitted: Vec<Stored>,
    /// The dead letters, for a reader of committed records.
    pub dead_letters: Vec<Stored>,
    /// The text of `progress.jsonl`.
    pub progress: String,
}

/// Where to find the evidence.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The cluster of all topics.
    pub brokers: &'a str,
    /// The topic of the events.
    pub input: &'a str,
    /// The topic of the aggregate's rows.
    pub output: &'a str,
    /// The topic of the dead letters.
    pub dead_letters: &'a str,
    /// The folder of the pipeline's state.
    pub state_dir: &'a Path,
}

/// A group of the aggregate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// Where its window begins, in microseconds since 1970.
    pub window_start_us: i64,
    /// Event type, country and format.
    pub key: [String; 3],
}

/// What was counted, and what is wrong.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Records of the input.
    pub input_records: u64,
    /// Events that should be counted in a window, or be late.
    pub counted: u64,
    /// Events that `clean` drops.
    pub dropped: u64,
    /// Records that can't be decoded and rows that `clean` rejects.
    pub dead: u64,
    /// Events that the output's last rows count.
    pub delivered: u64,
    /// Late rows by the host's word.
    pub late: u64,
    /// Whether the progress file tells of every input record; without that `late` is a lower bound.
    pub progress_is_whole: bool,
    /// Groups of the input.
    pub groups: u64,
    /// Rows of the output.
    pub output_rows: u64,
    /// Rows that a reader of uncommitted records sees on top of them.
    pub aborted_rows: u64,
    /// Rows that repeat what was delivered before, for a reader of uncommitted records.
    pub doubled_uncommitted: u64,
    /// Everything that must not be.
    pub faults: Vec<Fault>,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Fewer rows than the input has, and lateness does not explain it: a row is lost, or was called late wrongly.
    Missing {
        /// Where.
        group: Group,
        /// Rows of the input.
        input: u64,
        /// Rows that the output counts.
        delivered: u64,
        /// Rows that came so far behind their partition that they may be late.
        may_be_late: u64,
    },
    /// More rows than the input has.
    TooMany {
        /// Where.
        group: Group,
        /// Rows of the input.
        input: u64,
        /// Rows that the output counts.
        delivered: u64,
    },
    /// A committed row that says nothing new: in update mode its count has not grown, in append mode its group was there before.
    Doubled {
        /// Where.
        group: Group,
        /// The output's partition.
        partition: i32,
        /// The row's offset.
        offset: i64,
    },
    /// All rows of the group are there, but their revenue is not.
    WrongRevenue {
        /// Where.
        group: Group,
        /// The column.
        column: &'static str,
        /// By the checker's own sum.
        expected: Option<f64>,
        /// In the output.
        found: Option<f64>,
    },
    /// A row of a window that can't have closed yet.
    Early {
        /// Where.
        group: Group,
    },
    /// The rows that are missing are not as many as the host calls late.
    LateTotal {
        /// Input less delivered, over all groups that are due.
        missing: u64,
        /// What the progress file adds up to.
        late: u64,
        /// Whether the progress file tells of every input record.
        whole: bool,
    },
    /// A record that should have become a dead letter and did not.
    DeadLetterMissing {
        /// The input's partition.
        partition: i32,
        /// The record's offset.
        offset: i64,
    },
    /// More than one dead letter of a record.
    DeadLetterDoubled {
        /// The input's partition.
        partition: i32,
        /// The record's offset.
        offset: i64,
    },
    /// A dead letter of a good record, or of none.
    DeadLetterUnexpected {
        /// The dead letter as it is.
        letter: String,
    },
    /// A row of the output that is not one of this pipeline.
    Unreadable {
        /// The output's partition.
        partition: i32,
        /// The row's offset.
        offset: i64,
    },
    /// A record that two epochs say they have read.
    ReadTwice {
        /// The input's partition.
        partition: i32,
        /// The record's offset.
        offset: i64,
    },
    /// A watermark below that of an earlier epoch.
    WatermarkWentBack {
        /// The epoch.
        epoch: u64,
    },
}

impl Report {
    /// Fails with the whole report in words if there is a fault.
    ///
    /// # Errors
    /// Every fault, the first hundred of them by name.
    pub fn into_result(self) -> anyhow::Result<Self> {
        if self.faults.is_empty() { Ok(self) } else { Err(anyhow::anyhow!("{self}")) }
    }
}

/// Reads the topics and the progress file, and checks them.
///
/// # Errors
/// When something can't be read. What is wrong with what was read is in the report.
pub fn check_places(places: &Places<'_>, rules: &Rules) -> anyhow::Result<Report> {
    let read = |topic, isolation| read_topic(places.brokers, topic, isolation);
    let evidence = Evidence {
        input: read(places.input, Isolation::Committed)?,
        output: read(places.output, Isolation::Committed)?,
        output_uncommitted: read(places.output, Isolation::Uncommitted)?,
        dead_letters: read(places.dead_letters, Isolation::Committed)?,
        progress: progress::read(places.state_dir)?,
    };
    Ok(check(&evidence, rules))
}

/// Checks what was read.
#[must_use]
pub fn check(evidence: &Evidence, rules: &Rules) -> Report {
    let input = Input::count(&evidence.input, rules);
    let output = Output::count(&evidence.output, rules.mode);
    let uncommitted = Output::count(&evidence.output_uncommitted, rules.mode);
    let progress = Progress::parse(&evidence.progress);
    let coverage = progress.coverage(&evidence.input);
    let mut report = Report {
        input_records: evidence.input.len() as u64,
        counted: input.groups.values().map(|group| group.rows).sum(),
        dropped: input.dropped,
        dead: input.dead.len() as u64,
        delivered: output.groups.values().map(|row| row.count).sum(),
        late: progress.late_rows(),
        progress_is_whole: coverage.whole,
        groups: input.groups.len() as u64,
        output_rows: evidence.output.len() as u64,
        aborted_rows: (evidence.output_uncommitted.len() as u64).saturating_sub(evidence.output.len() as u64),
        doubled_uncommitted: uncommitted.faults.iter().filter(|fault| matches!(fault, Fault::Doubled { .. })).count() as u64,
        faults: output.faults.clone(),
    };
    report.faults.extend(progress.steps_back().map(|epoch| Fault::WatermarkWentBack { epoch }));
    report.faults.extend(coverage.read_twice.iter().map(|(partition, offset)| Fault::ReadTwice { partition: *partition, offset: *offset }));
    compare_groups(&mut report, &input, &output, &progress, rules);
    compare_dead_letters(&mut report, &input.dead, &evidence.dead_letters);
    report
}

/// The checker's own count of the input.
#[derive(Default)]
struct Input {
    groups: BTreeMap<Group, Counted>,
    dropped: u64,
    /// Partition and offset of what must become a dead letter.
    dead: BTreeSet<(i32, i64)>,
    /// The newest event of each partition.
    newest_us: BTreeMap<i32, i64>,
}

#[derive(Default)]
struct Counted {
    rows: u64,
    may_be_late: u64,
    with_revenue: u64,
    revenue: f64,
}

impl Input {
    fn count(records: &[Stored], rules: &Rules) -> Self {
        let mut input = Self::default();
        for record in records {
            let Some(event) = record.value.as_deref().and_then(Event::decode) else {
                input.dead.insert((record.partition, record.offset));
                continue;
            };
            // A window is closed, at the worst, when the newest event before this one in its own partition has passed its end by the delay: the watermark is the
            // minimum over the partitions, and it moves between epochs only.
            let newest = input.newest_us.get(&record.partition).copied();
            let group = event.group(rules.window_us);
            match event.fate() {
                Fate::Dropped => input.dropped += 1,
                Fate::Rejected => {
                    input.dead.insert((record.partition, record.offset));
                }
                Fate::Counted => {
                    let window_end_us = group.window_start_us + rules.window_us;
                    let counted = input.groups.entry(group).or_default();
                    counted.rows += 1;
                    counted.may_be_late += u64::from(newest.is_some_and(|newest| window_end_us <= newest - rules.delay_us));
                    counted.with_revenue += u64::from(event.revenue.is_some());
                    counted.revenue += event.revenue.unwrap_or(0.0);
                }
            }
            input.newest_us.insert(record.partition, newest.map_or(event.time_us, |newest| newest.max(event.time_us)));
        }
        input
    }

    /// No watermark can be above this.
    fn highest_watermark_us(&self, rules: &Rules) -> i64 {
        self.newest_us.values().max().map_or(0, |newest| newest - rules.delay_us)
    }
}

/// What the output says in the end.
#[derive(Default)]
struct Output {
    groups: BTreeMap<Group, Row>,
    faults: Vec<Fault>,
}

struct Row {
    count: u64,
    total_revenue: Option<f64>,
    avg_revenue: Option<f64>,
}

impl Output {
    fn count(records: &[Stored], mode: Mode) -> Self {
        let mut output = Self::default();
        for record in records {
            let Some((group, row)) = record.value.as_deref().and_then(output_row) else {
                output.faults.push(Fault::Unreadable { partition: record.partition, offset: record.offset });
                continue;
            };
            // An update comes from at least one new row, so a count that has not grown was delivered before.
            let doubled = output.groups.get(&group).is_some_and(|before| mode == Mode::Append || row.count <= before.count);
            if doubled {
                output.faults.push(Fault::Doubled { group: group.clone(), partition: record.partition, offset: record.offset });
            }
            output.groups.insert(group, row);
        }
        output
    }
}

fn output_row(value: &[u8]) -> Option<(Group, Row)> {
    let row: Value = serde_json::from_slice(value).ok()?;
    let text = |name: &str| row.get(name).and_then(Value::as_str);
    let number = |name: &str| row.get(name).and_then(Value::as_f64);
    let key = [text("event_type")?.to_owned(), text("country")?.to_owned(), text("ad_format")?.to_owned()];
    let group = Group { window_start_us: event::time_us(text("window_start")?)?, key };
    let row = Row { count: row.get("event_count")?.as_u64()?, total_revenue: number("total_revenue"), avg_revenue: number("avg_revenue") };
    Some((group, row))
}

fn compare_groups(report: &mut Report, input: &Input, output: &Output, progress: &Progress, rules: &Rules) {
    let mut missing = 0;
    for (group, counted) in &input.groups {
        let window_end_us = group.window_start_us + rules.window_us;
        let row = output.groups.get(group);
        let due = rules.mode == Mode::Update || progress.watermark_us().is_some_and(|watermark| window_end_us <= watermark);
        if !due && row.is_none() {
            continue;
        }
        if rules.mode == Mode::Append && row.is_some() && window_end_us > input.highest_watermark_us(rules) {
            report.faults.push(Fault::Early { group: group.clone() });
        }
        let delivered = row.map_or(0, |row| row.count);
        let (input, may_be_late) = (counted.rows, counted.may_be_late);
        missing += input.saturating_sub(delivered);
        if delivered > input {
            report.faults.push(Fault::TooMany { group: group.clone(), input, delivered });
        } else if input - delivered > may_be_late {
            report.faults.push(Fault::Missing { group: group.clone(), input, delivered, may_be_late });
        } else if let Some(row) = row.filter(|row| row.count == input) {
            compare_revenue(report, group, counted, row);
        }
    }
    for (group, row) in output.groups.iter().filter(|(group, _)| !input.groups.contains_key(*group)) {
        report.faults.push(Fault::TooMany { group: group.clone(), input: 0, delivered: row.count });
    }
    let (late, whole) = (report.late, report.progress_is_whole);
    if late > missing || (whole && late < missing) {
        report.faults.push(Fault::LateTotal { missing, late, whole });
    }
}

fn compare_revenue(report: &mut Report, group: &Group, counted: &Counted, row: &Row) {
    let total = (counted.with_revenue > 0).then_some(counted.revenue);
    let average = total.map(|total| total / counted.with_revenue as f64);
    for (column, expected, found) in [("total_revenue", total, row.total_revenue), ("avg_revenue", average, row.avg_revenue)] {
        let same = match (expected, found) {
            (None, None) => true,
            // The pipeline rounds to four digits, and adds in another order.
            (Some(expected), Some(found)) => (expected - found).abs() <= 0.000_051 + expected.abs() * 1e-9,
            _ => false,
        };
        if !same {
            report.faults.push(Fault::WrongRevenue { group: group.clone(), column, expected, found });
        }
    }
}

fn compare_dead_letters(report: &mut Report, expected: &BTreeSet<(i32, i64)>, letters: &[Stored]) {
    let mut found = BTreeSet::new();
    for letter in letters {
        let value = letter.value.as_deref().unwrap_or_default();
        match letter_place(value).filter(|place| expected.contains(place)) {
            None => report.faults.push(Fault::DeadLetterUnexpected { letter: String::from_utf8_lossy(value).into_owned() }),
            Some(place) if found.insert(place) => {}
            Some((partition, offset)) => report.faults.push(Fault::DeadLetterDoubled { partition, offset }),
        }
    }
    report.faults.extend(expected.difference(&found).map(|(partition, offset)| Fault::DeadLetterMissing { partition: *partition, offset: *offset }));
}

fn letter_place(value: &[u8]) -> Option<(i32, i64)> {
    let letter: Value = serde_json::from_slice(value).ok()?;
    let source = letter.get("source")?;
    Some((i32::try_from(source.get("partition")?.as_i64()?).ok()?, source.get("offset")?.as_i64()?))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.progress_is_whole { "" } else { " at least" };
        writeln!(
            f,
            "{} records in: {} to count, {} dropped, {} dead. {} groups; {} rows out count {}, and{whole} {} are late.",
            self.input_records, self.counted, self.dropped, self.dead, self.groups, self.output_rows, self.delivered, self.late
        )?;
        writeln!(f, "{} rows of aborted transactions; a reader of uncommitted records sees {} doubled.", self.aborted_rows, self.doubled_uncommitted)?;
        writeln!(f, "{} faults", self.faults.len())?;
        for fault in self.faults.iter().take(100) {
            writeln!(f, "  {fault}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.window_start_us) {
            Ok(start) => write!(f, "{start} {}", self.key.join("/")),
            Err(_) => write!(f, "{} {}", self.window_start_us, self.key.join("/")),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { group, input, delivered, may_be_late } => {
                write!(f, "{group}: {} of {input} rows are missing, and only {may_be_late} of them may be late", input - delivered)
            }
            Self::TooMany { group, input, delivered } => write!(f, "{group}: {delivered} rows delivered of {input}"),
            Self::Doubled { group, partition, offset } => write!(f, "{group}: the row at {partition}/{offset} repeats what was delivered before"),
            Self::WrongRevenue { group, column, expected, found } => write!(f, "{group}: `{column}` is {found:?} and should be {expected:?}"),
            Self::Early { group } => write!(f, "{group}: was delivered before its window can have closed"),
            Self::LateTotal { missing, late, whole: true } => write!(f, "{missing} rows are missing, but {late} are late"),
            Self::LateTotal { missing, late, whole: false } => write!(f, "{missing} rows are missing, but at least {late} are late"),
            Self::DeadLetterMissing { partition, offset } => write!(f, "the record at {partition}/{offset} has no dead letter"),
            Self::DeadLetterDoubled { partition, offset } => write!(f, "the record at {partition}/{offset} has more than one dead letter"),
            Self::DeadLetterUnexpected { letter } => write!(f, "a dead letter of a good record: {letter}"),
            Self::Unreadable { partition, offset } => write!(f, "the row at {partition}/{offset} of the output can't be read"),
            Self::ReadTwice { partition, offset } => write!(f, "two epochs have read the record at {partition}/{offset}"),
            Self::WatermarkWentBack { epoch } => write!(f, "the watermark of epoch {epoch} is below that of an earlier one"),
        }
    }
}

#[cfg(test)]
mod tests;
