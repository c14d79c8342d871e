//! `weir generate`: fills a topic with a made-up stream, at the pace of the clock or as fast as the broker takes it. What the records say is
//! [`weir::generate`]'s; this file owns the pace and the ending.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use signal_hook::consts::{SIGINT, SIGTERM};

use weir::generate::{AdEvents, Kind, Record, Shape, Share};

pub(super) use self::kafka::Topic;

mod kafka;

/// `weir generate STREAM`
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    #[command(subcommand)]
    stream: Stream,
}

/// The streams that can be made.
#[derive(Debug, Subcommand)]
enum Stream {
    /// Impressions, clicks and conversions of advertisements, as JSON, keyed by user.
    ///
    /// A record's Kafka timestamp is the moment of sending, so that a topic's retention does not take records whose event time is long past. Ctrl-C ends the
    /// stream and prints what was sent.
    AdEvents(AdEventsArgs),
}

#[derive(Debug, Args)]
struct AdEventsArgs {
    /// Brokers to send to, as `host:port,..`.
    #[arg(long)]
    brokers: String,
    /// Topic to send to; it is made when it is missing.
    #[arg(long)]
    topic: String,
    /// How many partitions the topic gets when it is made.
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// Records a second; 0 is as fast as the broker takes them, with the event times of 82 a second.
    #[arg(long, default_value_t = USUAL_RATE, value_parser = not_negative)]
    rate: f64,
    /// How far an event time may lie behind the event clock.
    #[arg(long, default_value = "10s", value_parser = duration)]
    jitter: Duration,
    /// How many events are late.
    #[arg(long, default_value = "1%", value_parser = share)]
    late: Share,
    /// A late event lies between this and four times this behind the event clock. Take more than the watermark's delay, the window and the jitter together.
    #[arg(long, default_value = "3m", value_parser = duration)]
    late_by: Duration,
    /// How many records can't be decoded: cut JSON, wrong types, nulls where none may be.
    #[arg(long, default_value = "0.1%", value_parser = share)]
    bad: Share,
    /// Stop after this many records.
    #[arg(long)]
    count: Option<u64>,
    /// Equal seeds, starts, rates and speeds make equal records.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the event clock starts, such as `2025-12-16T02:00:00`; now, or with `--rate 0` so that it ends now.
    #[arg(long, value_parser = timestamp)]
    start: Option<Timestamp>,
    /// Seconds that the event clock goes on in a second.
    #[arg(long, default_value_t = 1.0, value_parser = not_negative)]
    speed: f64,
}

/// What the ad-event systems of the documentation see on an ordinary day.
const USUAL_RATE: f64 = 82.0;

/// How often a paced stream looks at the clock at least; also how long Ctrl-C may wait.
const LOOK: Duration = Duration::from_millis(100);

/// A fast stream comes in bursts, so often: shorter waits are no waits to librdkafka's client, which rounds them down and keeps a core busy.
const TICK: Duration = Duration::from_millis(2);

/// Runs the verb.
pub(crate) fn run(args: GenerateArgs) -> anyhow::Result<()> {
    match args.stream {
        Stream::AdEvents(args) => ad_events(&args),
    }
}

fn ad_events(args: &AdEventsArgs) -> anyhow::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("take SIGINT and SIGTERM")?;
    }
    let mut events = AdEvents::new(shape(args, today())?);
    let pace = Pace { rate: args.rate, count: args.count };
    // Whoever sets a pace wants records when they are due; without one, large batches.
    let linger = if args.rate > 0.0 { Duration::ZERO } else { Duration::from_millis(5) };
    let mut topic = Topic::open(&args.brokers, &args.topic, args.partitions, linger)?;
    let start = now();
    let sent = send(&mut events, &mut topic, pace, &stop)?;
    let failed = topic.close()?;
    super::output::say(sent.summary(&args.topic, start.elapsed()))?;
    match failed {
        None => Ok(()),
        Some(failed) => bail!("{} of them were not delivered, the first because of: {}", failed.records, failed.first),
    }
}

/// How fast a stream goes, and how far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Records a second; 0: as fast as the broker takes them.
    pub(super) rate: f64,
    /// After how many records it ends.
    pub(super) count: Option<u64>,
}

/// Sends a stream to a topic until it ends or is told to.
pub(super) fn send(events: &mut AdEvents, topic: &mut Topic, pace: Pace, stop: &AtomicBool) -> anyhow::Result<Sent> {
    let (start, mut sent, mut record) = (now(), Sent::default(), Record::default());
    while !stop.load(Ordering::Relaxed) && pace.count.is_none_or(|count| sent.records < count) {
        if pace.rate > 0.0 {
            let due = start + Duration::try_from_secs_f64(sent.records as f64 / pace.rate).unwrap_or(Duration::MAX);
            let wait = due.saturating_duration_since(now());
            if !wait.is_zero() {
                pause(wait.clamp(TICK, LOOK));
                topic.serve(Duration::ZERO);
                continue;
            }
        }
        sent.add(events.next(&mut record));
        topic.send(&record, stop)?;
    }
    Ok(sent)
}

fn shape(args: &AdEventsArgs, now: Timestamp) -> anyhow::Result<Shape> {
    let step_us = 1e6 * args.speed / if args.rate > 0.0 { args.rate } else { USUAL_RATE };
    let start_us = match (args.start, args.rate > 0.0, args.count) {
        (Some(start), ..) => start.as_microsecond(),
        (None, true, _) => now.as_microsecond(),
        (None, false, Some(count)) => now.as_microsecond() - (count as f64 * step_us) as i64,
        (None, false, None) => bail!("`--rate 0` runs past the present: say where it starts with `--start` or how much there is with `--count`"),
    };
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).context("a duration of more than 500,000 years");
    Ok(Shape { seed: args.seed, start_us, step_us, jitter_us: micros(args.jitter)?, late: args.late, late_by_us: micros(args.late_by)?, bad: args.bad })
}

/// What was sent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sent {
    /// All of it.
    pub(super) records: u64,
    /// How many of them are late.
    pub(super) late: u64,
    /// How many of them can't be decoded.
    pub(super) bad: u64,
}

impl Sent {
    fn add(&mut self, kind: Kind) {
        self.records += 1;
        match kind {
            Kind::InTime => {}
            Kind::Late => self.late += 1,
            Kind::Bad => self.bad += 1,
        }
    }

    fn summary(&self, topic: &str, took: Duration) -> String {
        let Self { records, late, bad } = self;
        let rate = *records as f64 / took.as_secs_f64().max(1e-3);
        format!("sent {records} records to `{topic}` in {:.1} s ({rate:.0} a second), {late} of them late and {bad} bad", took.as_secs_f64())
    }
}

#[expect(clippy::disallowed_methods, reason = "the pace of a generated stream is the wall clock's")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the pace of a generated stream is the wall clock's")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[expect(clippy::disallowed_methods, reason = "a generated stream starts now unless it is told when")]
fn today() -> Timestamp {
    Timestamp::now()
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|_| "expected a duration such as `10s` or `1 minute`".to_owned())?;
    Duration::try_from(duration).map_err(|_| "expected a duration that is not negative".to_owned())
}

fn share(text: &str) -> Result<Share, String> {
    let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number.trim_end(), 0.01));
    let fraction = number.parse::<f64>().ok().map(|number| number * unit);
    fraction.and_then(Share::of).ok_or_else(|| "expected a share such as `1%` or `0.01`, between nothing and everything".to_owned())
}

fn not_negative(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0).ok_or_else(|| "expected a number that is not negative".to_owned())
}

fn timestamp(text: &str) -> Result<Timestamp, String> {
    text.parse::<Timestamp>()
        .or_else(|_| text.parse::<DateTime>().and_then(|time| Offset::UTC.to_timestamp(time)))
        .map_err(|_| "expected a time such as `2025-12-16T02:00:00` (UTC) or `2025-12-16T02:00:00+09:00`".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        generate: GenerateArgs,
    }

    fn args(more: &[&str]) -> AdEventsArgs {
        let all = ["weir", "ad-events", "--brokers", "localhost:9092", "--topic", "ads"].iter().chain(more);
        let Stream::AdEvents(args) = Cli::try_parse_from(all).unwrap_or_else(|error| panic!("{error}")).generate.stream;
        args
    }

    const NOW: Timestamp = Timestamp::constant(1_765_850_648, 0);

    #[test]
    fn a_paced_stream_starts_now_and_goes_on_with_the_clock() {
        let shape = shape(&args(&["--rate", "50", "--speed", "2", "--jitter", "1 minute", "--late", "0.5%"]), NOW).unwrap();
        assert_eq!((shape.start_us, shape.step_us, shape.jitter_us), (1_765_850_648_000_000, 40_000.0, 60_000_000));
        assert_eq!(shape.late, Share::of(0.005).unwrap());
    }

    #[test]
    fn a_stream_without_pace_ends_now_so_that_no_row_is_from_the_future() {
        let shape = shape(&args(&["--rate", "0", "--count", "8200"]), NOW).unwrap();
        assert_eq!(shape.start_us, 1_765_850_648_000_000 - 100_000_000);
    }

    #[test]
    fn a_stream_without_pace_start_or_count_is_refused() {
        let refusal = super::shape(&args(&["--rate", "0"]), NOW).unwrap_err().to_string();
        assert!(refusal.contains("--start") && refusal.contains("--count"), "{refusal}");
    }

    #[test]
    fn a_start_without_a_zone_is_utc() {
        assert_eq!(timestamp("2025-12-16T02:04:08").unwrap(), NOW);
        assert_eq!(timestamp("2025-12-16T11:04:08+09:00").unwrap(), NOW);
    }

    #[test]
    fn a_share_is_a_percentage_or_a_fraction_and_never_more_than_everything() {
        assert_eq!(share("1%"), share("0.01"));
        assert!(["101%", "-1%", "some", "%"].iter().all(|text| share(text).is_err()));
    }
}
