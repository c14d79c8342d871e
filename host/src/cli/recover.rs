//! `weir recover`: the way on when the broker has forgotten the marker of a pipeline that was stopped for longer than offsets are kept.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use weir::epoch::clock::{Stop, SystemClock};
use weir::epoch::driver::{Ended, Until};
use weir::epoch::recovery::{Start, Verdict};
use weir::launch::{self, Ports, Surroundings};

#[derive(Debug, Args)]
pub(crate) struct RecoverArgs {
    /// The pipeline.
    #[arg(value_name = "FILE")]
    pipeline: PathBuf,
    /// What you found in the output about the last epoch that was prepared: whether its rows are there.
    #[arg(long, value_enum)]
    assume: Assumed,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Assumed {
    /// Its rows are there.
    Committed,
    /// Its rows are not there.
    Aborted,
}

pub(super) fn run(args: &RecoverArgs) -> anyhow::Result<ExitCode> {
    let checked = launch::read(&args.pipeline)?;
    let plan = launch::open(&checked, &super::engine()?)?;
    let verdict = match args.assume {
        Assumed::Committed => Verdict::Committed,
        Assumed::Aborted => Verdict::Aborted,
    };
    let surroundings = Surroundings {
        clock: Box::new(SystemClock::new(Stop::default())),
        start: Start::Assume(verdict),
        ports: Ports::default(),
        state_dir: checked.spec().state_dir(),
        trigger: None,
        tap: None,
        publisher: None,
    };
    if let Ended::Restored(marker) = launch::launch(plan, surroundings)?.run(Until::Done)? {
        super::output::say(format_args!("the marker is {marker}; `weir run` goes on from there"))?;
    }
    Ok(ExitCode::SUCCESS)
}
