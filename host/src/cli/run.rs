//! `weir run`: runs a pipeline until it is done or told to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use weir::epoch::clock::{Stop, SystemClock};
use weir::epoch::driver::{Ended, Until};
use weir::epoch::recovery::Start;
use weir::launch::{self, Ports, Surroundings};

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The pipeline.
    #[arg(value_name = "FILE")]
    pipeline: PathBuf,
    /// Begin a new life although rows have been delivered before: for a state folder that was lost. Everything from the starting offsets on is delivered again.
    #[arg(long)]
    new: bool,
}

pub(super) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let checked = launch::read(&args.pipeline)?;
    for finding in checked.findings() {
        super::output::complain(finding.render(&checked.spec().document));
    }
    let engine = super::engine()?;
    let plan = launch::open(&checked, &engine)?;
    let stop = stop_on_signals()?;
    let surroundings = Surroundings {
        clock: Box::new(SystemClock::new(stop)),
        start: if args.new { Start::New } else { Start::Ordinary },
        ports: Ports::default(),
        state_dir: checked.spec().state_dir(),
        trigger: None,
        tap: None,
    };
    let mut driver = launch::launch(plan, surroundings)?;
    tracing::info!(pipeline = %checked.spec().name, state_dir = %checked.spec().state_dir().display(), "running");
    match driver.run(Until::Done)? {
        Ended::Stopped => tracing::info!("stopped"),
        Ended::Finished => tracing::info!("finished: there is nothing more to do"),
        Ended::Idle | Ended::Restored(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// SIGINT and SIGTERM ask the pipeline to finish its epoch and stop; a second one ends the process at once.
fn stop_on_signals() -> anyhow::Result<Stop> {
    let stop = Stop::default();
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("take SIGINT and SIGTERM")?;
    let asked = stop.clone();
    let listen = move || {
        for (count, signal) in signals.forever().enumerate() {
            if count > 0 {
                // IMPORTANT: no destructor, no flush: the next start finds what a kill leaves, and knows what to do with it.
                std::process::exit(128 + signal);
            }
            tracing::info!("finishing the epoch; once more ends the process at once");
            asked.ask();
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(listen).context("start the thread that hears signals")?;
    Ok(stop)
}
