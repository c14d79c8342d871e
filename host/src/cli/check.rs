//! `weir check`: says what is wrong with pipelines, their plugins included.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use weir::launch;
use weir::pipeline::{self, Checked, Finding, Refused};
use weir::plugin::Engine;

use super::output::{complain, described, say};

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Pipelines; several are also checked against each other.
    #[arg(value_name = "FILE", required = true)]
    pipelines: Vec<PathBuf>,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let engine = super::engine()?;
    let results: Vec<_> = args.pipelines.iter().map(|file| (file, check(file, &engine))).collect();
    let specs = results.iter().filter_map(|(_, result)| Some(result.as_ref().ok()?.0.spec()));
    let names = pipeline::check_names(specs);
    let sound = names.is_ok() && results.iter().all(|(_, result)| result.is_ok());
    if args.json {
        let pipelines: Vec<Value> = results.iter().map(|(file, result)| as_json(file, result)).collect();
        let together = names.as_ref().err().map(Refused::findings).unwrap_or_default();
        say(serde_json::to_string_pretty(&json!({ "ok": sound, "pipelines": pipelines, "findings": together }))?)?;
    } else {
        for (file, result) in &results {
            match result {
                Ok((checked, summary)) => {
                    checked.findings().iter().for_each(|finding| complain(finding.render(&checked.spec().document)));
                    say(format_args!("{}: {summary}", file.display()))?;
                }
                Err(error) => complain(described(error)),
            }
        }
        if let Err(error) = &names {
            complain(error);
        }
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A pipeline that can run, and what it is in a few words.
fn check(file: &Path, engine: &Engine) -> anyhow::Result<(Checked, String)> {
    let checked = launch::read(file)?;
    let plan = launch::open(&checked, engine)?;
    let summary = format!("pipeline `{}`: {} sources, {} steps, {} sinks", plan.name, plan.sources.len(), plan.steps.len(), plan.sinks.len());
    Ok((checked, summary))
}

fn as_json(file: &Path, result: &anyhow::Result<(Checked, String)>) -> Value {
    let file = file.display().to_string();
    match result {
        Ok((checked, _)) => {
            let spec = checked.spec();
            let findings: Vec<Finding> = checked.findings().iter().map(|finding| finding.finding(&spec.document)).collect();
            let counts = json!({ "sources": spec.sources.len(), "steps": spec.steps.len(), "sinks": spec.sinks.len() });
            json!({ "file": file, "ok": true, "name": spec.name.value, "counts": counts, "findings": findings })
        }
        Err(error) => match error.downcast_ref::<Refused>() {
            Some(refused) => json!({ "file": file, "ok": false, "findings": refused.findings() }),
            None => json!({ "file": file, "ok": false, "findings": [], "error": format!("{error:#}") }),
        },
    }
}
