//! The contract in Rust: the types of `wit/` as wasmtime lowers and lifts them, and the exported functions that take them. Written by hand and not generated,
//! because what goes in is borrowed (a column is three slices of an Arrow array), which generated bindings do not do inside records. That the types are those of
//! the contract is checked when an instance is made, by `Func::typed`.

use std::marker::PhantomData;

use wasmtime::component::{ComponentExportIndex, ComponentNamedList, ComponentType, Func, Instance, Lift, Lower, TypedFunc};
use wasmtime::{Result, Store};

use super::instance::Guest;

/// The contract that this host serves.
pub(super) const PACKAGE: &str = "weir:plugin";
/// Its version.
pub const VERSION: &str = "0.1.0";
/// The interface that every plugin exports.
pub(super) const PLUGIN: &str = "weir:plugin/plugin@0.1.0";
/// The one interface that a plugin may import.
pub(super) const LOG: &str = "weir:plugin/log@0.1.0";

/// What a plugin says of itself.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its own version, as in semver.org.
    pub version: String,
    /// What it is for.
    pub doc: String,
    /// A whole pipeline as TOML, if the plugin brings its own.
    pub pipeline: Option<String>,
}

/// The only time and place that a plugin sees: the same for every call of an epoch, also when the epoch is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lower)]
#[component(record)]
pub struct Context {
    /// The epoch's number.
    pub epoch: u64,
    /// When the epoch began, in microseconds since 1970-01-01T00:00:00Z.
    #[component(name = "now")]
    pub now_us: i64,
    /// The event-time watermark that the epoch works with, in microseconds.
    #[component(name = "watermark")]
    pub watermark_us: Option<i64>,
}

/// A row that can't be processed: it goes to the dead letters, the others go on.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Rejection {
    /// The row of the input.
    pub row: u32,
    /// A short word for metrics.
    pub code: String,
    /// What is wrong with the row, for a person.
    pub reason: String,
}

/// What the bytes of a state are. Stored with them; two that differ in anything are made one by `migrate`, or do not fit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, ComponentType, Lift, Lower)]
#[component(record)]
pub struct StateIdentity {
    /// Rises when the meaning of the bytes changes.
    pub version: u32,
    /// What else the bytes depend on.
    pub shape: String,
}

/// In which order the states of a group are given to `merge`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum Order {
    /// Any: the result does not depend on it.
    #[component(name = "any")]
    Any,
    /// As their rows arrived.
    #[component(name = "arrival")]
    Arrival,
}

/// One thing that can be opened.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct FunctionDoc {
    pub(super) name: String,
    pub(super) doc: String,
    #[component(name = "config-schema")]
    pub(super) config_schema: String,
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(super) struct FieldIn<'a> {
    pub(super) name: &'a str,
    #[component(name = "data-type")]
    pub(super) data_type: &'a str,
    pub(super) nullable: bool,
}

#[derive(PartialEq, ComponentType, Lift)]
#[component(record)]
pub(super) struct FieldOut {
    pub(super) name: String,
    #[component(name = "data-type")]
    pub(super) data_type: String,
    pub(super) nullable: bool,
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(super) struct ColumnIn<'a> {
    pub(super) data: &'a [u8],
    pub(super) offsets: &'a [u8],
    pub(super) validity: &'a [u8],
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct ColumnOut {
    pub(super) data: Vec<u8>,
    pub(super) offsets: Vec<u8>,
    pub(super) validity: Vec<u8>,
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(super) struct RowsIn<'a> {
    pub(super) count: u32,
    pub(super) columns: &'a [ColumnIn<'a>],
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct RowsOut {
    pub(super) count: u32,
    pub(super) columns: Vec<ColumnOut>,
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(super) struct BlobsIn<'a> {
    pub(super) offsets: &'a [u8],
    pub(super) data: &'a [u8],
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct BlobsOut {
    pub(super) offsets: Vec<u8>,
    pub(super) data: Vec<u8>,
}

#[derive(PartialEq, ComponentType, Lift)]
#[component(variant)]
pub(super) enum OutputColumn {
    #[component(name = "computed")]
    Computed(FieldOut),
    #[component(name = "passed")]
    Passed(PassedColumn),
}

#[derive(PartialEq, ComponentType, Lift)]
#[component(record)]
pub(super) struct PassedColumn {
    pub(super) name: String,
    pub(super) input: u32,
}

#[derive(PartialEq, ComponentType, Lift)]
#[component(record)]
pub(super) struct TransformOpened {
    pub(super) reads: Vec<u32>,
    pub(super) output: Vec<OutputColumn>,
}

#[derive(PartialEq, ComponentType, Lift)]
#[component(record)]
pub(super) struct AggregateOpened {
    pub(super) reads: Vec<u32>,
    pub(super) output: Vec<FieldOut>,
    pub(super) state: StateIdentity,
    pub(super) order: Order,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct TransformedOut {
    pub(super) computed: Vec<ColumnOut>,
    pub(super) origin: Option<Vec<u8>>,
    pub(super) rejected: Vec<Rejection>,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum OpenFailure {
    #[component(name = "unknown-function")]
    UnknownFunction,
    #[component(name = "config")]
    Config(ConfigFailure),
    #[component(name = "input")]
    Input(String),
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct ConfigFailure {
    pub(super) pointer: String,
    pub(super) message: String,
}

/// The parameters of an exported function, by the lifetime of what they borrow.
pub(super) trait Params {
    type With<'a>: ComponentNamedList + Lower;
}

/// An exported function. A `TypedFunc` that was looked up for `'static` borrows can't be called with shorter ones, and looking it up for each call would check its
/// types each time: so they are checked once, when it is found, and the typed function is made for each call.
pub(super) struct Export<P, R> {
    func: Func,
    types: PhantomData<fn(P) -> R>,
}

impl<P: Params, R: Lift + 'static> Export<P, R>
where
    (R,): ComponentNamedList + Lift,
{
    fn find(store: &mut Store<Guest>, instance: Instance, interface: &ComponentExportIndex, name: &str) -> Result<Self> {
        let index = instance.get_export_index(&mut *store, Some(interface), name);
        let func = index.and_then(|index| instance.get_func(&mut *store, index));
        let func = func.ok_or_else(|| wasmtime::format_err!("there is no function `{name}`"))?;
        func.typed::<P::With<'static>, (R,)>(&*store).map_err(|error| error.context(format!("function `{name}`")))?;
        Ok(Self { func, types: PhantomData })
    }

    /// Calls it.
    pub(super) fn call(&self, store: &mut Store<Guest>, params: P::With<'_>) -> Result<R> {
        // SAFETY: `find` checked these types against the function's own. They differ from those in lifetimes alone, which the component's types do not know.
        let typed = unsafe { TypedFunc::<P::With<'_>, (R,)>::new_unchecked(self.func) };
        typed.call(store, params).map(|(result,)| result)
    }
}

pub(super) struct NoParams;
impl Params for NoParams {
    type With<'a> = ();
}

/// Function, config, input.
pub(super) struct OpenParams;
impl Params for OpenParams {
    type With<'a> = (&'a str, &'a str, &'a [FieldIn<'a>]);
}

pub(super) struct RunParams;
impl Params for RunParams {
    type With<'a> = (Context, RowsIn<'a>);
}

pub(super) struct AccumulateParams;
impl Params for AccumulateParams {
    type With<'a> = (Context, RowsIn<'a>, &'a [u8], u32);
}

pub(super) struct MergeParams;
impl Params for MergeParams {
    type With<'a> = (BlobsIn<'a>, &'a [u8], u32);
}

pub(super) struct FinishParams;
impl Params for FinishParams {
    type With<'a> = (Context, BlobsIn<'a>);
}

pub(super) struct MigrateParams;
impl Params for MigrateParams {
    type With<'a> = (&'a StateIdentity, BlobsIn<'a>);
}

/// What every exported function but the descriptive ones answers: a value, or why there is none.
pub(super) type Answer<T> = std::result::Result<T, String>;

/// The interface `plugin`.
pub(super) struct PluginExports {
    pub(super) describe: Export<NoParams, Description>,
}

impl PluginExports {
    pub(super) fn find(store: &mut Store<Guest>, instance: Instance) -> Result<Self> {
        let interface = interface(store, instance, PLUGIN)?;
        Ok(Self { describe: Export::find(store, instance, &interface, "describe")? })
    }
}

/// An interface whose functions are opened before they are called.
pub(super) trait Exports: Sized + Send {
    /// Its name and version.
    const NAME: &'static str;
    /// What a function of it is called in messages.
    const NOUN: &'static str;
    /// What `open` answers.
    type Opened: PartialEq + Lift + Send + Sync + 'static;

    fn find(store: &mut Store<Guest>, instance: Instance) -> Result<Self>;
    fn functions(&self) -> &Export<NoParams, Vec<FunctionDoc>>;
    fn open(&self) -> &Export<OpenParams, std::result::Result<Self::Opened, OpenFailure>>;
}

/// The interface `transform`.
pub(super) struct TransformExports {
    functions: Export<NoParams, Vec<FunctionDoc>>,
    open: Export<OpenParams, std::result::Result<TransformOpened, OpenFailure>>,
    pub(super) run: Export<RunParams, Answer<TransformedOut>>,
}

impl Exports for TransformExports {
    const NAME: &'static str = "weir:plugin/transform@0.1.0";
    const NOUN: &'static str = "transform";
    type Opened = TransformOpened;

    fn find(store: &mut Store<Guest>, instance: Instance) -> Result<Self> {
        let interface = interface(store, instance, Self::NAME)?;
        Ok(Self {
            functions: Export::find(store, instance, &interface, "functions")?,
            open: Export::find(store, instance, &interface, "open")?,
            run: Export::find(store, instance, &interface, "run")?,
        })
    }

    fn functions(&self) -> &Export<NoParams, Vec<FunctionDoc>> {
        &self.functions
    }

    fn open(&self) -> &Export<OpenParams, std::result::Result<TransformOpened, OpenFailure>> {
        &self.open
    }
}

/// The interface `aggregate`.
pub(super) struct AggregateExports {
    functions: Export<NoParams, Vec<FunctionDoc>>,
    open: Export<OpenParams, std::result::Result<AggregateOpened, OpenFailure>>,
    pub(super) accumulate: Export<AccumulateParams, Answer<BlobsOut>>,
    pub(super) merge: Export<MergeParams, Answer<BlobsOut>>,
    pub(super) finish: Export<FinishParams, Answer<RowsOut>>,
    pub(super) migrate: Export<MigrateParams, Answer<BlobsOut>>,
}

impl Exports for AggregateExports {
    const NAME: &'static str = "weir:plugin/aggregate@0.1.0";
    const NOUN: &'static str = "aggregate";
    type Opened = AggregateOpened;

    fn find(store: &mut Store<Guest>, instance: Instance) -> Result<Self> {
        let interface = interface(store, instance, Self::NAME)?;
        Ok(Self {
            functions: Export::find(store, instance, &interface, "functions")?,
            open: Export::find(store, instance, &interface, "open")?,
            accumulate: Export::find(store, instance, &interface, "accumulate")?,
            merge: Export::find(store, instance, &interface, "merge")?,
            finish: Export::find(store, instance, &interface, "finish")?,
            migrate: Export::find(store, instance, &interface, "migrate")?,
        })
    }

    fn functions(&self) -> &Export<NoParams, Vec<FunctionDoc>> {
        &self.functions
    }

    fn open(&self) -> &Export<OpenParams, std::result::Result<AggregateOpened, OpenFailure>> {
        &self.open
    }
}

fn interface(store: &mut Store<Guest>, instance: Instance, name: &str) -> Result<ComponentExportIndex> {
    instance.get_export_index(store, None, name).ok_or_else(|| wasmtime::format_err!("there is no interface `{name}`"))
}
