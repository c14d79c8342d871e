//! `weir check`: says what is wrong with pipelines, their plugins included.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use weir::launch;
use weir::pipeline;

use super::output::{complain, described, say};

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Pipelines; several are also checked against each other.
    #[arg(value_name = "FILE", required = true)]
    pipelines: Vec<PathBuf>,
}

pub(super) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let engine = super::engine()?;
    let (mut specs, mut refused) = (Vec::new(), false);
    for file in &args.pipelines {
        let checked = launch::read(file).and_then(|checked| Ok((launch::open(&checked, &engine)?, checked)));
        match checked {
            Err(error) => {
                complain(described(&error));
                refused = true;
            }
            Ok((plan, checked)) => {
                for finding in checked.findings() {
                    complain(finding.render(&checked.spec().document));
                }
                let (sources, steps, sinks) = (plan.sources.len(), plan.steps.len(), plan.sinks.len());
                say(format_args!("{}: pipeline `{}`: {sources} sources, {steps} steps, {sinks} sinks", file.display(), plan.name))?;
                specs.push(checked.spec().clone());
            }
        }
    }
    if let Err(error) = pipeline::check_names(&specs) {
        complain(error);
        refused = true;
    }
    Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
