//! `weir plugin`: looks at plugins.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use weir::plugin::{Form, Interface};

use super::output::say;

#[derive(Debug, Subcommand)]
pub(crate) enum PluginVerb {
    /// Say what a plugin is and what it offers.
    Inspect(InspectArgs),
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The plugin: a component, or a core module that carries a component type; `std` is the embedded one.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
}

pub(super) fn run(verb: &PluginVerb) -> anyhow::Result<ExitCode> {
    match verb {
        PluginVerb::Inspect(args) => inspect(args),
    }
}

fn inspect(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    let engine = super::engine()?;
    let plugin = if args.file.as_os_str() == "std" { engine.std()? } else { engine.load(&args.file)? };
    let description = plugin.description();
    say(format_args!("{} {}\n  {}", description.name, description.version, description.doc))?;
    say(format_args!("  digest  {}", plugin.digest()))?;
    let form = match plugin.form() {
        Form::Component => "component",
        Form::Module => "core module, made a component when it is loaded",
    };
    say(format_args!("  form    {form}"))?;
    for function in plugin.functions() {
        let interface = match function.interface {
            Interface::Transform => "transform",
            Interface::Aggregate => "aggregate",
        };
        say(format_args!("\n{interface} `{}`\n  {}", function.name, function.doc))?;
        if !function.config_schema.is_empty() {
            say(format_args!("  config  {}", function.config_schema))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
