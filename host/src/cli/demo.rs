//! `weir demo`: the embedded broker, the generator of ad events and a pipeline between two of its topics, in this process and a folder that vanishes. There is no
//! special path: source and sink speak Kafka's protocol to the broker, and what is shown is what a read_committed reader of the output topic sees.

mod kafka;
mod screen;
mod windows;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use weir::control;
use weir::epoch::clock::{Clock as _, Stop, Stopwatch, SystemClock};
use weir::epoch::recovery::Start;
use weir::generate::{AdEvents, Shape, Share};
use weir::launch;
use weir::observe::board::{Board, Totals};
use weir_broker::{Broker, Config};

use self::kafka::Reader;
use self::screen::Screen;
use self::windows::Windows;
use super::generate::{self, Pace, Sent, Topic};
use super::output::say;
use super::run::{self, Job};

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// End after so many seconds; otherwise Ctrl-C ends it.
    #[arg(long, env = "DEMO_SECONDS")]
    seconds: Option<u64>,
    /// Where the page is to be found; port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7070")]
    listen: String,
    /// Where the pipeline's plugin is, `ad_events.wasm`.
    #[arg(long, value_name = "DIR", default_value = "plugins/ad-events")]
    plugins: PathBuf,
}

const PIPELINE: &str = include_str!("demo/pipeline.toml");
/// Records a second.
const RATE: f64 = 500.0;
/// Seconds of event time in a second: a window of a minute closes every six seconds.
const SPEED: f64 = 10.0;
/// How long before now the events begin.
const PAST: Duration = Duration::from_secs(3_600);
/// How long the pipeline may take at the end to read what has been sent.
const DRAIN: Duration = Duration::from_secs(20);
/// How long a reader waits for a record at a time.
const LOOK: Duration = Duration::from_millis(100);
/// How often the screen is drawn at most.
const DRAWN_EVERY: Duration = Duration::from_millis(500);

pub(super) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let plugin = plugin(&args.plugins)?;
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&asked)).context("take SIGINT and SIGTERM")?;
    }
    let broker = Broker::bind(Config { listen: "127.0.0.1:0".into(), ..Config::default() }).context("listen at a free port")?.spawn()?;
    let brokers = broker.address().to_string();
    let folder = tempfile::Builder::new().prefix("weir-demo-").tempdir().context("make a folder for the state")?;
    let document = folder.path().join("pipeline.toml");
    std::fs::write(&document, PIPELINE.replace("BROKERS", &brokers).replace("PLUGIN", &plugin)).context("write the demo's pipeline")?;

    let clock = SystemClock::default();
    let events = AdEvents::new(shape(clock.now())?);
    let topic = Topic::open(&brokers, "ad-events", 4, Duration::ZERO)?;
    let (generator, end_of_stream) = generate(events, topic)?;
    let board = Arc::new(Board::default());
    let (_socket, page) = control::serve(&board, Some((args.listen.clone(), None))).with_context(|| format!("the demo's page, `--listen {}`", args.listen))?;
    let (pipeline, stop) = pipeline(&document, &board)?;
    let end = args.seconds.map_or_else(|| "Ctrl-C ends it.".to_owned(), |seconds| format!("It ends after {seconds} s."));
    say(format_args!("A Kafka broker in memory at {brokers}, {RATE:.0} made-up ad events a second, and"))?;
    say(format_args!("a pipeline that counts them by the minute of their event time, in UTC, which"))?;
    say(format_args!("began an hour ago and runs {SPEED:.0} times as fast as the clock. Rows appear when"))?;
    say(format_args!("they are committed, those with most revenue first. {end}\n"))?;

    if let Some(page) = page {
        say(format_args!("The page: http://{page}\n"))?;
    }
    let reader = Reader::new(&brokers, "ad-stats")?;
    let mut show = Show { board, reader, screen: Screen::new(), windows: Windows::default(), totals: Totals::default(), drawn: None };
    let began = Stopwatch::start();
    let over = || asked.load(Ordering::Relaxed) || args.seconds.is_some_and(|seconds| began.elapsed() >= Duration::from_secs(seconds));
    while !over() && !pipeline.is_finished() && !generator.is_finished() {
        show.step()?;
    }
    end_of_stream.store(true, Ordering::Relaxed);
    let sent = joined(generator, "the generator")?;
    let drain = Stopwatch::start();
    while !pipeline.is_finished() && show.totals.input_rows < sent.records && drain.elapsed() < DRAIN {
        show.step()?;
    }
    stop.ask();
    joined(pipeline, "the pipeline")?;
    show.rest()?;
    summary(&sent, &show, began.elapsed())?;
    // IMPORTANT: the last client goes before the broker does.
    drop(show);
    broker.shutdown();
    Ok(ExitCode::SUCCESS)
}

/// What is on the screen, and where it comes from.
struct Show {
    board: Arc<Board>,
    reader: Reader,
    screen: Screen,
    windows: Windows,
    totals: Totals,
    /// Since it was drawn last.
    drawn: Option<Stopwatch>,
}

impl Show {
    /// Looks for news, and shows them.
    fn step(&mut self) -> anyhow::Result<()> {
        let before = self.totals.epochs;
        self.look();
        if let Some(record) = self.reader.next(LOOK) {
            self.windows.take(&record)?;
            // What has come with it is there already.
            while let Some(record) = self.reader.next(Duration::ZERO) {
                self.windows.take(&record)?;
            }
        }
        let due = self.screen.in_place() && self.drawn.is_none_or(|drawn| drawn.elapsed() >= DRAWN_EVERY);
        if due || (self.totals.epochs > before && !self.screen.in_place()) {
            self.drawn = Some(Stopwatch::start());
            self.screen.draw(&self.windows, &self.totals)?;
        }
        Ok(())
    }

    fn look(&mut self) {
        if let Some((_, _, totals)) = self.board.totals().pop() {
            self.totals = totals;
        }
    }

    /// What has come since: all rows that were written, as far as they come soon.
    fn rest(&mut self) -> anyhow::Result<()> {
        let waited = Stopwatch::start();
        self.look();
        while self.windows.delivered < self.totals.output_rows && waited.elapsed() < DRAIN {
            if let Some(record) = self.reader.next(LOOK) {
                self.windows.take(&record)?;
            }
        }
        if self.screen.in_place() { self.screen.draw(&self.windows, &self.totals) } else { Ok(()) }
    }
}

/// The plugin's file, as a document may name it.
fn plugin(folder: &Path) -> anyhow::Result<String> {
    let file = folder.join("ad_events.wasm");
    let file = std::fs::canonicalize(&file).with_context(|| {
        format!("find the demo's plugin `{}`: run `make demo` in a checkout of Weir, which builds it, or say where it is with `--plugins DIR`", file.display())
    })?;
    file.into_os_string().into_string().map_err(|path| anyhow::anyhow!("the path {} is no UTF-8: a pipeline can't name it", path.display()))
}

fn shape(now: Duration) -> anyhow::Result<Shape> {
    let share = |fraction| Share::of(fraction).context("a share");
    let start_us = i64::try_from(now.saturating_sub(PAST).as_micros())?;
    Ok(Shape { seed: 1, start_us, step_us: 1e6 * SPEED / RATE, jitter_us: 10_000_000, late: share(0.01)?, late_by_us: 180_000_000, bad: share(0.001)? })
}

/// Sends events until it is told to end.
fn generate(mut events: AdEvents, mut topic: Topic) -> anyhow::Result<(JoinHandle<anyhow::Result<Sent>>, Arc<AtomicBool>)> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let work = move || {
        let sent = generate::send(&mut events, &mut topic, Pace { rate: RATE, count: None }, &stopped)?;
        match topic.close()? {
            None => Ok(sent),
            Some(failed) => bail!("{} records were not delivered, the first because of: {}", failed.records, failed.first),
        }
    };
    let thread = std::thread::Builder::new().name("generator".to_owned()).spawn(work).context("start the generator's thread")?;
    Ok((thread, stop))
}

/// Runs the pipeline until it is told to stop.
fn pipeline(document: &Path, board: &Arc<Board>) -> anyhow::Result<(JoinHandle<anyhow::Result<()>>, Stop)> {
    let job = Job::open(document, &launch::read(document)?, &super::engine()?, board, Start::Ordinary)?;
    let stop = job.stop.clone();
    let thread = std::thread::Builder::new().name("demo".to_owned()).spawn(|| run::drive(job)).context("start the pipeline's thread")?;
    Ok((thread, stop))
}

fn joined<T>(thread: JoinHandle<anyhow::Result<T>>, what: &str) -> anyhow::Result<T> {
    thread.join().map_err(|_| anyhow::anyhow!("{what} panicked: this is a defect"))?.context(what.to_owned())
}

fn summary(sent: &Sent, show: &Show, took: Duration) -> anyhow::Result<()> {
    let (totals, windows) = (&show.totals, &show.windows);
    let weir = std::env::current_exe().map_or_else(|_| "weir".to_owned(), |path| path.display().to_string());
    say(format_args!("\nIn {:.0} s and {} epochs, exactly once:", took.as_secs_f64(), totals.epochs))?;
    say(format_args!("  read       {:>8} of {} records sent", totals.input_rows, sent.records))?;
    say(format_args!("  delivered  {:>8} rows of {} one-minute windows, to the topic `ad-stats`", windows.delivered, windows.count()))?;
    say(format_args!("  rejected   {:>8} records, each with its reason in the topic `ad-events.dead`", totals.rejected_rows()))?;
    say(format_args!("  late       {:>8} records: their windows were closed", totals.late_rows))?;
    say("\nWhat to try next:")?;
    say(format_args!("  {weir} plan plugins/ad-events/pipeline.toml"))?;
    say(format_args!("  {weir} test plugins/ad-events/pipeline.toml plugins/ad-events/fixtures/*.jsonl"))?;
    say(format_args!("  {weir} init my-pipeline && cat my-pipeline/README.md"))?;
    Ok(())
}
