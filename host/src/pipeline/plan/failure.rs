//! What a plugin or its loader says against a step, put into the document's words and at the place of the key to change.

use super::OpenFailure;
use crate::pipeline::document::listed;
use crate::pipeline::problem::{Code, Problem, did_you_mean};
use crate::pipeline::spec::{PluginCall, PluginRef, StepSpec};

pub(super) fn problem(failure: OpenFailure, interface: &str, call: &PluginCall, step: &StepSpec) -> Problem {
    let (plugin, plugin_span) = (name(&call.plugin), call.plugin.span);
    // The plugin has seen its config and the loader the path, with what came from the environment.
    let hidden = |message: &str| {
        let message = call.config.hidden_in(message);
        match &call.plugin.value {
            PluginRef::Std => message,
            PluginRef::File(path) => path.hidden_in(&message),
        }
    };
    match failure {
        OpenFailure::MissingFile => {
            let expected = "a WebAssembly component, with a path from the folder of this document";
            Problem::error(Code::Plugin, plugin_span, format!("the plugin file {plugin} is not there"), expected, "build it, or correct `plugin`")
        }
        OpenFailure::NotOurs { reason } => {
            let expected = format!("a component that exports `weir:plugin/{interface}` of this host's version");
            Problem::error(
                Code::Plugin,
                plugin_span,
                format!("{plugin} can't serve as a plugin here, because {}", hidden(&reason)),
                expected,
                "build it with the guest SDK of this version",
            )
        }
        OpenFailure::UnknownFunction { available } => unknown_function(call, interface, &available),
        OpenFailure::Config { pointer, message } => {
            let at = if pointer.is_empty() { "`config`".to_owned() } else { format!("`{pointer}` of `config`") };
            let expected = "a config that the plugin takes";
            Problem::error(
                Code::PluginConfig,
                call.config.place(&pointer),
                format!("{plugin} refuses {at} ({})", hidden(&message)),
                expected,
                "correct the value",
            )
        }
        OpenFailure::Input { message } => {
            let span = step.inputs.first().map_or(plugin_span, |input| input.span);
            let what = format!("{plugin} refuses the columns of its input ({})", hidden(&message));
            Problem::error(Code::PluginInput, span, what, "the columns that it reads", "change `input`, or make the columns in a step before")
        }
        OpenFailure::Other { message } => {
            let what = format!("{plugin} can't be opened ({})", hidden(&message));
            Problem::error(Code::Plugin, plugin_span, what, "a plugin that opens", "try it alone with `weir plugin test`")
        }
    }
}

fn unknown_function(call: &PluginCall, interface: &str, available: &[String]) -> Problem {
    let plugin = name(&call.plugin);
    let known = || available.iter().map(String::as_str);
    let expected = if available.is_empty() { format!("a plugin with functions of `{interface}`") } else { listed(known(), "or") };
    match &call.function {
        Some(function) => {
            let what = format!("{plugin} has no {interface} `{function}`");
            Problem::error(Code::UnknownFunction, function.span, what, expected, did_you_mean(function, known(), "name one of these"))
        }
        None => {
            let what = format!("{plugin} has not exactly one {interface}, so the step must say which");
            Problem::error(Code::UnknownFunction, call.plugin.span, what, expected, "add `function`")
        }
    }
}

/// As it was written, so that nothing from the environment shows.
fn name(plugin: &PluginRef) -> String {
    match plugin {
        PluginRef::Std => "`std`".to_owned(),
        PluginRef::File(path) => format!("`{path}`"),
    }
}
