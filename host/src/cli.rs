//! The command line: clap structs and one file a verb. A verb gathers what the modules need and calls them; it decides nothing that would be worth a test.

mod check;
mod fixture;
mod generate;
mod output;
mod plugin;
mod recover;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use weir::observe::telemetry::{self, LogFormat};
use weir::plugin::Engine;

/// A stream host: Kafka in, event-time windows in WebAssembly, Kafka out, exactly once.
#[derive(Debug, Parser)]
#[command(name = "weir", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What is logged to standard error: a level, or targets with levels such as `weir=debug,plugin=warn`.
    #[arg(long, global = true, env = "WEIR_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    /// How log lines look.
    #[arg(long, global = true, env = "WEIR_LOG_FORMAT", default_value = "text", value_enum)]
    log_format: Lines,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a pipeline.
    Run(run::RunArgs),
    /// Say what is wrong with a pipeline, without running it. Exits with 1 when it can't run.
    Check(check::CheckArgs),
    /// Run a pipeline on fixtures, without a broker, and compare. Exits with 1 when something differs.
    Test(fixture::TestArgs),
    /// Look at plugins.
    #[command(subcommand)]
    Plugin(plugin::PluginVerb),
    /// Write the marker of a pipeline again whose offsets the broker has forgotten.
    Recover(recover::RecoverArgs),
    /// Fill a topic with made-up events.
    Generate(generate::GenerateArgs),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Lines {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Runs the verb.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let format = match cli.log_format {
        Lines::Text => LogFormat::Text,
        Lines::Json => LogFormat::Json,
    };
    let done = telemetry::start(format, &cli.log).and_then(|()| match cli.verb {
        Verb::Run(args) => run::run(args),
        Verb::Check(args) => check::run(&args),
        Verb::Test(args) => fixture::run(&args),
        Verb::Plugin(verb) => plugin::run(&verb),
        Verb::Recover(args) => recover::run(&args),
        Verb::Generate(args) => generate::run(args).map(|()| ExitCode::SUCCESS),
    });
    done.unwrap_or_else(|error| output::failed(&error))
}

/// The plugin engine, with its cache of compiled code in the user's cache folder.
fn engine() -> anyhow::Result<Engine> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from).or_else(home);
    Engine::new(cache.map(|cache| cache.join("weir").join("compiled"))).context("start the plugin engine")
}
