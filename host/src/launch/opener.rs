//! Opens the functions that a pipeline's steps name, each plugin file once.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use arrow_schema::Schema;

use crate::pipeline::{CallLimits, Document, OpenFailure, OpenedAggregate, OpenedTransform, Opener, PluginCall, PluginRef, TransformSpec};
use crate::plugin::{self, Engine, Interface, Limits, LoadError, OpenError, Plugin};

/// An opened function and the digest of its plugin.
#[derive(Debug)]
pub struct OpenedPlugin<F> {
    /// The function.
    pub function: F,
    /// The plugin's SHA-256, in hexadecimal.
    pub digest: String,
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it calls the function.
    pub function_name: String,
}

/// Opens plugins from files.
pub struct PluginOpener<'a> {
    engine: &'a Engine,
    document: &'a Document,
    loaded: HashMap<Option<PathBuf>, Plugin>,
}

impl<'a> PluginOpener<'a> {
    /// An opener for the steps of a document; relative paths are beside it.
    #[must_use]
    pub fn new(engine: &'a Engine, document: &'a Document) -> Self {
        Self { engine, document, loaded: HashMap::new() }
    }

    fn load(&mut self, plugin: &PluginRef) -> Result<Plugin, OpenFailure> {
        let file = plugin.path(self.document);
        if let Some(plugin) = self.loaded.get(&file) {
            return Ok(plugin.clone());
        }
        let loaded = match &file {
            None => self.engine.std(),
            Some(file) => self.engine.load(file),
        };
        let plugin = loaded.map_err(|error| match error {
            LoadError::Read { source, .. } if source.kind() == ErrorKind::NotFound => OpenFailure::MissingFile,
            other => OpenFailure::NotOurs { reason: other.to_string() },
        })?;
        self.loaded.insert(file, plugin.clone());
        Ok(plugin)
    }
}

impl<F> OpenedPlugin<F> {
    fn new(plugin: &Plugin, function_name: String, function: F) -> Self {
        let description = plugin.description();
        Self { function, digest: plugin.digest().to_string(), name: description.name.clone(), version: description.version.clone(), function_name }
    }
}

impl Opener for PluginOpener<'_> {
    type Transform = OpenedPlugin<plugin::Transform>;
    type Aggregate = OpenedPlugin<plugin::Aggregate>;

    fn open_transform(&mut self, _step: &str, spec: &TransformSpec, input: &Schema) -> Result<OpenedTransform<Self::Transform>, OpenFailure> {
        let plugin = self.load(&spec.call.plugin.value)?;
        let function = function(&plugin, &spec.call, Interface::Transform)?;
        let opened = plugin
            .open_transform(&function, &config(&spec.call)?, input, &limits(&spec.call.limits))
            .map_err(|error| failure(&plugin, Interface::Transform, error))?;
        let (output, passed) = (opened.output().clone(), opened.passed().collect());
        Ok(OpenedTransform { plugin: OpenedPlugin::new(&plugin, function, opened), output, passed })
    }

    fn open_aggregate(&mut self, _step: &str, call: &PluginCall, input: &Schema) -> Result<OpenedAggregate<Self::Aggregate>, OpenFailure> {
        let plugin = self.load(&call.plugin.value)?;
        let function = function(&plugin, call, Interface::Aggregate)?;
        let opened =
            plugin.open_aggregate(&function, &config(call)?, input, &limits(&call.limits)).map_err(|error| failure(&plugin, Interface::Aggregate, error))?;
        let output = opened.output().clone();
        Ok(OpenedAggregate { plugin: OpenedPlugin::new(&plugin, function, opened), output })
    }
}

/// The function that a step names, or the only one there is.
fn function(plugin: &Plugin, call: &PluginCall, interface: Interface) -> Result<String, OpenFailure> {
    if let Some(function) = &call.function {
        return Ok(function.value.clone());
    }
    let available = available(plugin, interface);
    match available.as_slice() {
        [only] => Ok(only.clone()),
        _ => Err(OpenFailure::UnknownFunction { available }),
    }
}

fn available(plugin: &Plugin, interface: Interface) -> Vec<String> {
    plugin.functions().iter().filter(|function| function.interface == interface).map(|function| function.name.clone()).collect()
}

fn config(call: &PluginCall) -> Result<serde_json::Value, OpenFailure> {
    let parsed = call.config.to_json().and_then(|text| serde_json::from_str(&text));
    parsed.map_err(|error| OpenFailure::Config { pointer: String::new(), message: format!("it can't be written as JSON: {error}") })
}

fn limits(limits: &CallLimits) -> Limits {
    let duration = |us: i64| Duration::from_micros(u64::try_from(us).unwrap_or(0));
    Limits {
        call_cpu: duration(limits.cpu.us()),
        call_wall: duration(limits.wall.us()),
        memory_bytes: usize::try_from(limits.memory.bytes()).unwrap_or(usize::MAX),
        ..Limits::default()
    }
}

fn failure(plugin: &Plugin, interface: Interface, error: OpenError) -> OpenFailure {
    match error {
        OpenError::UnknownFunction { .. } => OpenFailure::UnknownFunction { available: available(plugin, interface) },
        OpenError::Config { pointer, message } => OpenFailure::Config { pointer, message },
        OpenError::Input { message } => OpenFailure::Input { message },
        other => OpenFailure::Other { message: other.to_string() },
    }
}
