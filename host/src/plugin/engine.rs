//! The engine: what all plugins of a process share. It owns the compiler, the instance slots, the ticker that interrupts guests, and the cache of compiled code.

pub(super) mod config;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use wasmtime::component::Linker;
use wasmtime::{Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::cache::Cache;
use super::error::LoadError;
use super::instance::Guest;
use super::load::{self, Plugin};
use super::log;

/// How often a running guest is looked at. A deadline is exact to this much; each look costs a guest about a microsecond.
const TICK: Duration = Duration::from_millis(5);

/// How many instances may live at once, over all plugins. Each reserves 4 GiB of address space (not of memory), so ten times as many would come near the
/// 128 TiB that a process has.
const INSTANCES: u32 = 2_000;

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
    standard: OnceLock<Plugin>,
}

impl Engine {
    /// An engine that keeps compiled code in the folder `cache`, or nowhere.
    pub fn new(cache: Option<PathBuf>) -> anyhow::Result<Self> {
        let wasmtime = wasmtime_engine()?;
        start_ticker(&wasmtime)?;
        let mut linker = Linker::new(&wasmtime);
        log::add_to_linker(&mut linker).map_err(anyhow::Error::from).context("define the imports of plugins")?;
        let cache = cache.and_then(|folder| Cache::open(&folder, &wasmtime));
        Ok(Self { shared: Arc::new(Shared { wasmtime, linker, cache, standard: OnceLock::new() }) })
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
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("cache", &self.shared.cache).finish_non_exhaustive()
    }
}

/// Slots for instances are reserved ahead, because making and dropping mappings does not scale over threads. A machine that will not reserve that much address
/// space gets instances as they come.
fn wasmtime_engine() -> anyhow::Result<wasmtime::Engine> {
    let mut slots = PoolingAllocationConfig::new();
    slots
        .total_component_instances(INSTANCES)
        .total_core_instances(INSTANCES)
        .total_memories(INSTANCES)
        .total_tables(INSTANCES)
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

/// Moves the engine's epoch, at which running guests look up. The thread ends with the engine.
fn start_ticker(engine: &wasmtime::Engine) -> anyhow::Result<()> {
    let engine = engine.weak();
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            // Held while asleep, it would keep the engine alive.
            drop(engine);
            thread::park_timeout(TICK);
        }
    };
    thread::Builder::new().name("plugin-ticker".to_owned()).spawn(tick).context("start the thread that interrupts plugins")?;
    Ok(())
}
