//! The command line: clap structs and one file a verb. A verb gathers what the modules need and calls them; it decides nothing that would be worth a test.

mod broker;
mod check;
mod demo;
mod fixture;
mod generate;
mod init;
mod output;
mod plan;
mod plugin;
mod processes;
mod recover;
mod run;
mod shell;
mod versions;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use weir::observe::telemetry::{self, LogFormat};
use weir::plugin::Engine;

/// A stream host: Kafka in, event-time windows in WebAssembly, Kafka out, exactly once.
#[derive(Debug, Parser)]
#[command(name = "weir", version, long_version = versions::all(), after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What is logged to standard error: a level, or targets with levels such as `weir=debug,plugin=warn`; `info`, and `warn` for the demo.
    #[arg(long, global = true, env = "WEIR_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// How log lines look.
    #[arg(long, global = true, env = "WEIR_LOG_FORMAT", default_value = "text", value_enum)]
    log_format: Lines,
    #[command(subcommand)]
    verb: Verb,
}

/// What scripts look at.
const EXIT_CODES: &str = "\
Exit codes:
  0    done, or stopped as asked
  1    an error, a pipeline that is refused, or a fixture that differs; standard error says why
  2    a wrong command line
  128  and the signal's number: ended at once by a second signal";

#[derive(Debug, Subcommand)]
enum Verb {
    /// See it work: a broker, made-up ad events and a pipeline in this process, and its windows as they come out.
    Demo(demo::DemoArgs),
    /// Run pipelines.
    Run(run::RunArgs),
    /// List the pipelines that run.
    Ps(processes::PsArgs),
    /// Show what pipelines do: rows, lag, watermark, steps, the last epoch.
    Status(processes::StatusArgs),
    /// Ask a pipeline to finish its epoch and stop, and wait until it has.
    Stop(processes::StopArgs),
    /// Write a small pipeline with its plugin, a fixture and a README into a folder, to begin with.
    Init(init::InitArgs),
    /// Say what is wrong with a pipeline, without running it. Exits with 1 when it can't run.
    Check(check::CheckArgs),
    /// Draw what would run, without running it: steps with their plugins, columns and state, and what each sink promises. Exits with 1 when it can't run.
    Plan(plan::PlanArgs),
    /// Run a pipeline on fixtures, without a broker, and compare. Exits with 1 when something differs.
    Test(fixture::TestArgs),
    /// Look at plugins.
    #[command(subcommand)]
    Plugin(plugin::PluginVerb),
    /// Write the marker of a pipeline again whose offsets the broker has forgotten.
    Recover(recover::RecoverArgs),
    /// Fill a topic with made-up events.
    Generate(generate::GenerateArgs),
    /// Serve a Kafka broker in memory, for demos and tests: one node, no disk, no replication. Everything is lost when it ends.
    Broker(broker::BrokerArgs),
    /// Print what makes a shell complete `weir`: `weir completions bash > ~/.local/share/bash-completion/completions/weir`.
    Completions(shell::CompletionsArgs),
    /// Print the manual page, or write one for each verb into a folder.
    Man(shell::ManArgs),
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
    let usual = if matches!(cli.verb, Verb::Demo(_)) { "warn" } else { "info" };
    let done = telemetry::start(format, cli.log.as_deref().unwrap_or(usual)).and_then(|()| match cli.verb {
        Verb::Run(args) => run::run(args),
        Verb::Ps(args) => processes::ps(&args),
        Verb::Status(args) => processes::status(&args),
        Verb::Stop(args) => processes::stop(&args),
        Verb::Demo(args) => demo::run(&args),
        Verb::Broker(args) => broker::run(args),
        Verb::Check(args) => check::run(&args),
        Verb::Init(args) => init::run(&args),
        Verb::Plan(args) => plan::run(&args),
        Verb::Test(args) => fixture::run(&args),
        Verb::Plugin(verb) => plugin::run(&verb),
        Verb::Recover(args) => recover::run(&args),
        Verb::Generate(args) => generate::run(args).map(|()| ExitCode::SUCCESS),
        Verb::Completions(args) => shell::completions(&args),
        Verb::Man(args) => shell::man(&args),
    });
    done.unwrap_or_else(|error| output::failed(&error))
}

/// The plugin engine, with its cache of compiled code in the user's cache folder.
fn engine() -> anyhow::Result<Engine> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from).or_else(home);
    Engine::new(cache.map(|cache| cache.join("weir").join("compiled"))).context("start the plugin engine")
}
