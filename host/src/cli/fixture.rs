//! `weir test`: runs a pipeline on fixtures, without a broker.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use weir::fixture;
use weir::launch::{self, FixtureBench};

use super::output::say;

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// The pipeline.
    #[arg(value_name = "PIPELINE")]
    pipeline: PathBuf,
    /// Fixtures: JSON Lines, one epoch a line.
    #[arg(value_name = "FIXTURE", required = true)]
    fixtures: Vec<PathBuf>,
    /// Write what comes out into the fixtures, in place of what is expected. Read the difference before you commit it.
    #[arg(long, conflicts_with = "json")]
    bless: bool,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let checked = launch::read(&args.pipeline)?;
    let engine = super::engine()?;
    let sinks: Vec<String> = checked.seen().map(|(_, seen)| seen.to_owned()).collect();
    let mut results = Vec::new();
    for file in &args.fixtures {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).with_context(|| format!("read the fixture `{name}`"))?;
        let mut bench = FixtureBench::new(&checked, launch::open(&checked, &engine)?)?;
        if args.bless {
            let blessed = fixture::bless(&name, &text, &sinks, &mut bench)?;
            std::fs::write(file, blessed).with_context(|| format!("write the fixture `{name}`"))?;
            say(format_args!("{name}: blessed"))?;
            continue;
        }
        let differences = fixture::check(&name, &fixture::parse(&name, &text)?, &mut bench)?;
        if !args.json {
            say(if differences.is_empty() { format!("{name}: ok") } else { differences.join("\n") })?;
        }
        results.push((name, differences));
    }
    let failed = results.iter().filter(|(_, differences)| !differences.is_empty()).count();
    let passed = results.len() - failed;
    if args.json {
        let fixtures = results.iter().map(|(file, differences)| json!({ "file": file, "ok": differences.is_empty(), "differences": differences }));
        let fixtures: Vec<_> = fixtures.collect();
        say(serde_json::to_string_pretty(&json!({ "ok": failed == 0, "passed": passed, "failed": failed, "fixtures": fixtures }))?)?;
    } else if !args.bless {
        say(format_args!("{passed} passed, {failed} failed"))?;
    }
    Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
