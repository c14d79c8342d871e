//! The engine: what all plugins of a process share. It owns the compiler, the instance slots, the ticker that interrupts guests, and the cache of compiled code.

pub(super) mod config;

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;

use anyhow::Context as _;
use wasmtime::component::{Component, Linker};
use wasmtime::{Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::cache::Cache;
use super::digest::Digest;
use super::error::LoadError;
use super::instance::Guest;
use super::load::{self, Form, Plugin};
use super::log;
use super::ticker::Ticker;

/// How many instances may live at once, over all plugins, for each thread of the machine: a step needs one for each thread that calls it. Each reserves 4 GiB of
/// address space (not of memory), of which a process has 128 TiB.
const INSTANCES_PER_THREAD: usize = 32;

/// Core modules of a component: its own, and up to four that wit-component adds.
const CORE_INSTANCES_PER_INSTANCE: u32 = 5;

/// What is kept of an instance's memory when its slot is given to the next one. Less, and a fresh instance pays a page fault for each page it touches; more, and
/// idle slots hold memory.
const KEPT_BYTES: usize = 4 << 20;

/// What all plugins share: one a process. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) linker: Linker<Guest>,
    pub(super) cache: Option<Cache>,
    pub(super) ticker: Arc<Ticker>,
    standard: OnceLock<Plugin>,
}

/// The embedded plugin, and the machine code that the build made of it.
const STD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/std.wasm"));
const STD_CODE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/std.cwasm"));

impl Engine {
    /// An engine that keeps compiled code in the folder `cache`, or nowhere.
    pub fn new(cache: Option<PathBuf>) -> anyhow::Result<Self> {
        let wasmtime = wasmtime_engine()?;
        let ticker = Ticker::start(&wasmtime)?;
        let mut linker = Linker::new(&wasmtime);
        log::add_to_linker(&mut linker).map_err(anyhow::Error::from).context("define the imports of plugins")?;
        let cache = cache.and_then(|folder| Cache::open(&folder, &wasmtime));
        Ok(Self { shared: Arc::new(Shared { wasmtime, linker, cache, ticker, standard: OnceLock::new() }) })
    }

    /// The plugin in a file: a component, or a core module that carries a component type.
    pub fn load(&self, file: &Path) -> Result<Plugin, LoadError> {
        let bytes = std::fs::read(file).map_err(|source| LoadError::Read { file: file.display().to_string(), source })?;
        self.load_bytes(&file.display().to_string(), &bytes)
    }

    /// The plugin in `bytes`, which errors call `name`.
    pub fn load_bytes(&self, name: &str, bytes: &[u8]) -> Result<Plugin, LoadError> {
        load::load(&self.shared, name, bytes)
    }

    /// The plugin that is part of this program: the common aggregates.
    pub fn std(&self) -> Result<Plugin, LoadError> {
        if let Some(plugin) = self.shared.standard.get() {
            return Ok(plugin.clone());
        }
        // SAFETY: the code was made by this program's own build, and can't be changed without changing the program.
        let compiled = unsafe { Component::deserialize(&self.shared.wasmtime, STD_CODE) };
        let plugin = match compiled {
            Ok(component) => load::describe(&self.shared, "std", Form::Component, Digest::of(STD), &component)?,
            // The machine that built this program has CPU features that this one has not.
            Err(_) => self.load_bytes("std", STD)?,
        };
        Ok(self.shared.standard.get_or_init(|| plugin).clone())
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("cache", &self.shared.cache).finish_non_exhaustive()
    }
}

/// Slots for instances are reserved ahead, because making and dropping mappings does not scale over threads. A machine that will not reserve that much address
/// space gets instances as they come.
fn wasmtime_engine() -> anyhow::Result<wasmtime::Engine> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let instances = u32::try_from(threads.saturating_mul(INSTANCES_PER_THREAD).clamp(256, 4_096)).unwrap_or(256);
    let mut slots = PoolingAllocationConfig::new();
    slots
        .total_component_instances(instances)
        .total_core_instances(instances * CORE_INSTANCES_PER_INSTANCE)
        .total_memories(instances)
        .total_tables(instances * CORE_INSTANCES_PER_INSTANCE)
        .linear_memory_keep_resident(KEPT_BYTES)
        .table_keep_resident(KEPT_BYTES / 64)
        .pagemap_scan(Enabled::Auto);
    let mut pooling = config::config();
    pooling.allocation_strategy(InstanceAllocationStrategy::Pooling(slots));
    wasmtime::Engine::new(&pooling)
        .or_else(|error| {
            tracing::warn!(%error, "no address space for a pool of plugin instances: they are made one by one, which is slower");
            wasmtime::Engine::new(&config::config())
        })
        .map_err(anyhow::Error::from)
        .context("start the WebAssembly engine")
}
