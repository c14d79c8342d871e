//! `weir plugin`: looks at plugins.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use weir::plugin::{Form, Plugin};

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
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(verb: &PluginVerb) -> anyhow::Result<ExitCode> {
    match verb {
        PluginVerb::Inspect(args) => inspect(args),
    }
}

fn inspect(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    let engine = super::engine()?;
    let plugin = if args.file.as_os_str() == "std" { engine.std()? } else { engine.load(&args.file)? };
    if args.json {
        say(serde_json::to_string_pretty(&as_json(&plugin))?)?;
    } else {
        describe(&plugin)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(plugin: &Plugin) -> anyhow::Result<()> {
    let description = plugin.description();
    say(format_args!("{} {}", description.name, description.version))?;
    for line in description.doc.lines() {
        say(format_args!("{}", format!("  {line}").trim_end()))?;
    }
    say(format_args!("  digest  {}", plugin.digest()))?;
    let form = match plugin.form() {
        Form::Component => "component",
        Form::Module => "core module, made a component when it is loaded",
    };
    say(format_args!("  form    {form}"))?;
    for function in plugin.functions() {
        say(format_args!("\n{} `{}`\n  {}", function.interface.noun(), function.name, function.doc))?;
        if !function.config_schema.is_empty() {
            say(format_args!("  config  {}", function.config_schema))?;
        }
    }
    Ok(())
}

fn as_json(plugin: &Plugin) -> Value {
    let description = plugin.description();
    let functions = plugin.functions().iter().map(|function| {
        // A schema that is no JSON is the plugin's own affair: it stands there as text.
        let schema = serde_json::from_str(&function.config_schema).unwrap_or_else(|_| Value::from(function.config_schema.as_str()));
        json!({ "kind": function.interface.noun(), "name": function.name, "doc": function.doc, "config_schema": schema })
    });
    json!({
        "name": description.name,
        "version": description.version,
        "doc": description.doc,
        "digest": plugin.digest().to_string(),
        "form": match plugin.form() {
            Form::Component => "component",
            Form::Module => "module",
        },
        "functions": functions.collect::<Vec<_>>(),
    })
}
