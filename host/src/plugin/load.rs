//! From a file to a plugin: making a component of a core module, refusing what is no plugin with a sentence that says why, and asking it what it offers.

use std::sync::Arc;
use std::time::Instant;

use arrow_schema::Schema;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre};
use wit_component::ComponentEncoder;

use super::aggregate::Aggregate;
use super::bindings::{self, AggregateExports, Description, Exports, PluginExports, TransformExports};
use super::digest::Digest;
use super::engine::Shared;
use super::error::{LoadError, OpenError, PluginError, Site};
use super::instance::{Guest, Instance};
use super::limits::Limits;
use super::log::Log;
use super::ticker::Ticker;
use super::transform::Transform;

/// What core modules that were built for WASI preview 1 get instead of it: no files, no environment, a clock that counts calls.
pub(super) const PREVIEW1: &str = include_str!("preview1.wat");

const PREVIEW1_MODULE: &str = "wasi_snapshot_preview1";

/// A loaded plugin. Cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    inner: Arc<Inner>,
}

struct Inner {
    digest: Digest,
    form: Form,
    description: Description,
    functions: Vec<Function>,
    component: InstancePre<Guest>,
    log: Arc<Log>,
    ticker: Arc<Ticker>,
}

/// What a plugin's file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A component.
    Component,
    /// A core module, made a component when it was loaded.
    Module,
}

/// The interface that a function belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interface {
    /// Rows in, rows out.
    Transform,
    /// Rows in, one row for each group out.
    Aggregate,
}

/// One thing that a step of a pipeline can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// What it is.
    pub interface: Interface,
    /// Its name.
    pub name: String,
    /// What it does, in a line.
    pub doc: String,
    /// A JSON Schema of its config; empty: it takes none.
    pub config_schema: String,
}

impl Plugin {
    /// The SHA-256 of its file.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.inner.digest
    }

    /// What it says of itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.inner.description
    }

    /// What its file is.
    #[must_use]
    pub fn form(&self) -> Form {
        self.inner.form
    }

    /// What can be opened.
    #[must_use]
    pub fn functions(&self) -> &[Function] {
        &self.inner.functions
    }

    /// How many of its log lines were left out, because they came too fast.
    #[must_use]
    pub fn log_lines_left_out(&self) -> u64 {
        self.inner.log.left_out()
    }

    /// Opens a transform on rows of `input`.
    pub fn open_transform(&self, function: &str, config: &serde_json::Value, input: &Schema, limits: &Limits) -> Result<Transform, OpenError> {
        Transform::open(self, function, config, input, limits)
    }

    /// Opens an aggregate on rows of `input`.
    pub fn open_aggregate(&self, function: &str, config: &serde_json::Value, input: &Schema, limits: &Limits) -> Result<Aggregate, OpenError> {
        Aggregate::open(self, function, config, input, limits)
    }

    pub(super) fn instance(&self, limits: &Limits, site: impl Fn() -> Site) -> Result<Instance, PluginError> {
        Instance::new(&self.inner.component, limits, &self.inner.ticker, &self.inner.log, site)
    }

    /// Whether it has a function of this name in the interface `E`.
    pub(super) fn offers<E: Exports>(&self, function: &str) -> Result<(), OpenError> {
        let found = self.functions_of::<E>().any(|offered| offered.name == function);
        if found { Ok(()) } else { Err(self.unknown_function::<E>(function)) }
    }

    pub(super) fn unknown_function<E: Exports>(&self, function: &str) -> OpenError {
        let names: Vec<_> = self.functions_of::<E>().map(|offered| format!("`{}`", offered.name)).collect();
        let available = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        OpenError::UnknownFunction { plugin: self.description().name.clone(), interface: E::NOUN, function: function.to_owned(), available }
    }

    fn functions_of<E: Exports>(&self) -> impl Iterator<Item = &Function> {
        self.functions().iter().filter(|function| function.interface.noun() == E::NOUN)
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("name", &self.inner.description.name).field("digest", &self.inner.digest).finish_non_exhaustive()
    }
}

impl Interface {
    /// What a function of it is called: `transform` or `aggregate`.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Transform => TransformExports::NOUN,
            Self::Aggregate => AggregateExports::NOUN,
        }
    }
}

/// The plugin in `bytes`, which messages call `file`.
pub(super) fn load(engine: &Shared, file: &str, bytes: &[u8]) -> Result<Plugin, LoadError> {
    let form = form(bytes).ok_or_else(|| LoadError::NotWasm { file: file.to_owned() })?;
    let digest = Digest::of(bytes);
    let kept = engine.cache.as_ref().and_then(|cache| cache.load(&engine.wasmtime, &digest));
    let component = match kept {
        Some(component) => component,
        None => compile(engine, file, form, bytes, &digest)?,
    };
    describe(engine, file, form, digest, &component)
}

/// The plugin in a component, which messages call `file`.
pub(super) fn describe(engine: &Shared, file: &str, form: Form, digest: Digest, component: &Component) -> Result<Plugin, LoadError> {
    let exports = check_names(engine, file, component)?;
    let component = engine.linker.instantiate_pre(component).map_err(|error| signature(file, bindings::LOG, &error))?;
    let mut describing = Describing::new(file, digest, &component, &engine.ticker)?;
    let description = describing.description()?;
    let mut functions = Vec::new();
    if exports.transform {
        functions.extend(describing.functions::<TransformExports>(Interface::Transform)?);
    }
    if exports.aggregate {
        functions.extend(describing.functions::<AggregateExports>(Interface::Aggregate)?);
    }
    let log = Arc::new(Log::new(description.name.clone()));
    Ok(Plugin { inner: Arc::new(Inner { digest, form, description, functions, component, log, ticker: Arc::clone(&engine.ticker) }) })
}

/// What the first eight bytes say: the magic number, a version, and the layer.
fn form(bytes: &[u8]) -> Option<Form> {
    match bytes.first_chunk::<8>()? {
        b"\0asm\x01\0\0\0" => Some(Form::Module),
        b"\0asm\x0d\0\x01\0" => Some(Form::Component),
        _ => None,
    }
}

fn compile(engine: &Shared, file: &str, form: Form, bytes: &[u8], digest: &Digest) -> Result<Component, LoadError> {
    let component = match form {
        Form::Component => Component::from_binary(&engine.wasmtime, bytes),
        Form::Module => Component::from_binary(&engine.wasmtime, &componentize(file, bytes)?),
    };
    let component = component.map_err(|error| LoadError::Compile { file: file.to_owned(), reason: format!("{error:#}") })?;
    if let Some(cache) = &engine.cache {
        cache.store(digest, &component);
    }
    Ok(component)
}

/// A component of a core module. What it imports of WASI preview 1 is answered inside the component, so that it asks the host for nothing.
fn componentize(file: &str, module: &[u8]) -> Result<Vec<u8>, LoadError> {
    let failed = |reason: String| LoadError::Componentize { file: file.to_owned(), reason };
    let (described, _) = wit_component::metadata::decode(module).map_err(|error| failed(format!("{error:#}")))?;
    if described.is_none() {
        return Err(LoadError::NoComponentType { file: file.to_owned() });
    }
    let preview1 = wat::parse_str(PREVIEW1).map_err(|error| failed(error.to_string()))?;
    let mut encoder = ComponentEncoder::default();
    let mut encode = || encoder.validate(true).module(module)?.adapter(PREVIEW1_MODULE, &preview1)?.encode();
    encode().map_err(|error| failed(format!("{error:#}")))
}

/// Which of our interfaces a component exports.
struct Exported {
    transform: bool,
    aggregate: bool,
}

/// Sees by their names that the exports are ours and the imports are there.
fn check_names(engine: &Shared, file: &str, component: &Component) -> Result<Exported, LoadError> {
    let ty = component.component_type();
    let exports: Vec<&str> = ty.exports(&engine.wasmtime).map(|(name, _)| name).collect();
    let imports: Vec<&str> = ty.imports(&engine.wasmtime).filter(|(_, import)| !is_types_only(engine, &import.ty)).map(|(name, _)| name).collect();
    if let Some(found) = exports.iter().chain(&imports).find(|name| is_other_version(name)) {
        let expected = format!("{}@{}", bindings::PACKAGE, bindings::VERSION);
        return Err(LoadError::Version { file: file.to_owned(), found: (*found).to_owned(), expected });
    }
    let has = |interface: &str| component.get_export_index(None, interface).is_some();
    let exported = Exported { transform: has(TransformExports::NAME), aggregate: has(AggregateExports::NAME) };
    if !has(bindings::PLUGIN) || !(exported.transform || exported.aggregate) {
        let expected = if has(bindings::PLUGIN) { format!("{}` or `{}", TransformExports::NAME, AggregateExports::NAME) } else { bindings::PLUGIN.to_owned() };
        return Err(LoadError::NoInterface { file: file.to_owned(), exports: list(&exports), expected });
    }
    let foreign: Vec<&str> = imports.into_iter().filter(|name| interface_of(name) != interface_of(bindings::LOG)).collect();
    if !foreign.is_empty() {
        return Err(LoadError::Imports { file: file.to_owned(), imports: list(&foreign), allowed: bindings::LOG.to_owned() });
    }
    Ok(exported)
}

/// Whether an import needs nothing of the host, as the interfaces that only name types.
fn is_types_only(engine: &Shared, import: &ComponentItem) -> bool {
    match import {
        ComponentItem::Type(_) => true,
        ComponentItem::ComponentInstance(instance) => instance.exports(&engine.wasmtime).all(|(_, export)| matches!(export.ty, ComponentItem::Type(_))),
        _ => false,
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with(bindings::PACKAGE) && name.as_bytes().get(bindings::PACKAGE.len()) == Some(&b'/')
}

/// An interface's name without its version.
fn interface_of(name: &str) -> &str {
    name.rsplit_once('@').map_or(name, |(interface, _version)| interface)
}

/// Whether it is an interface of ours, of a version whose types may differ: until 1.0, another minor version.
fn is_other_version(name: &str) -> bool {
    fn series(version: &str) -> Option<&str> {
        version.rsplit_once('.').map(|(series, _patch)| series)
    }
    is_ours(name) && name.rsplit_once('@').and_then(|(_, version)| series(version)) != series(bindings::VERSION)
}

fn list(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// An instance that is asked what the plugin is, and then dropped.
struct Describing<'a> {
    file: &'a str,
    digest: Digest,
    limits: Limits,
    instance: Instance,
}

impl<'a> Describing<'a> {
    fn new(file: &'a str, digest: Digest, component: &InstancePre<Guest>, ticker: &Arc<Ticker>) -> Result<Self, LoadError> {
        let limits = Limits::default();
        let log = Arc::new(Log::new(file.to_owned()));
        let site = || site(file, digest, "instantiate");
        match Instance::new(component, &limits, ticker, &log, site) {
            Ok(instance) => Ok(Self { file, digest, limits, instance }),
            Err(source) => Err(LoadError::Failed { file: file.to_owned(), source }),
        }
    }

    fn description(&mut self) -> Result<Description, LoadError> {
        let exports = self.instance.find(PluginExports::find).map_err(|error| signature(self.file, bindings::PLUGIN, &error))?;
        self.call("describe", |store| exports.describe.call(store, ()))
    }

    fn functions<E: Exports>(&mut self, interface: Interface) -> Result<Vec<Function>, LoadError> {
        let exports = self.instance.find(E::find).map_err(|error| signature(self.file, E::NAME, &error))?;
        let functions = self.call("functions", |store| exports.functions().call(store, ()))?;
        Ok(functions.into_iter().map(|doc| Function { interface, name: doc.name, doc: doc.doc, config_schema: doc.config_schema }).collect())
    }

    fn call<R>(&mut self, call: &'static str, run: impl FnOnce(&mut wasmtime::Store<Guest>) -> wasmtime::Result<R>) -> Result<R, LoadError> {
        let answer = self.instance.call(Instant::now(), self.limits.output(0), || site(self.file, self.digest, call), run);
        answer.map_err(|source| LoadError::Failed { file: self.file.to_owned(), source })
    }
}

fn signature(file: &str, interface: &str, error: &wasmtime::Error) -> LoadError {
    LoadError::Signature { file: file.to_owned(), interface: interface.to_owned(), reason: format!("{error:#}") }
}

fn site(file: &str, digest: Digest, call: &'static str) -> Site {
    Site { plugin: file.to_owned(), digest, function: String::new(), call }
}
