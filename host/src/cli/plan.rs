//! `weir plan`: draws what would run.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use weir::launch;
use weir::launch::outline::Outline;

use super::output::say;

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The pipeline.
    #[arg(value_name = "FILE")]
    pipeline: PathBuf,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let checked = launch::read(&args.pipeline)?;
    let plan = launch::open(&checked, &super::engine()?)?;
    let outline = Outline::new(&plan, checked.spec());
    if args.json {
        say(serde_json::to_string_pretty(&outline)?)?;
    } else {
        say(outline.to_string().trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}
