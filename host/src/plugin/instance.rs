//! One guest at work: its store, its limits, and what became of a call that did not end well. An instance that failed in any way is never called again.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{Instance as Component, InstancePre};
use wasmtime::{PoolConcurrencyLimitError, ResourceLimiter, Store, Trap, UpdateDeadline, WasmBacktrace};

use super::error::{PluginError, Site};
use super::limits::Limits;
use super::log::Log;
use super::ticker::Ticker;

/// Table entries of an instance, eight bytes each: what the largest known language runtimes need, several times over.
const TABLE_ELEMENTS: usize = 1_000_000;

/// What wasmtime keeps for a guest on our behalf.
pub(super) struct Guest {
    limits: Limits,
    memory: Memory,
    clock: CallClock,
    log: Arc<Log>,
}

impl Guest {
    pub(super) fn log(&self) -> &Log {
        &self.log
    }
}

/// A guest and its store.
pub(super) struct Instance {
    store: Store<Guest>,
    component: Component,
    ticker: Arc<Ticker>,
}

impl Instance {
    /// A fresh instance. Its start functions run under the limits of a call.
    pub(super) fn new(pre: &InstancePre<Guest>, limits: &Limits, ticker: &Arc<Ticker>, log: &Arc<Log>, site: impl Fn() -> Site) -> Result<Self, PluginError> {
        let guest = Guest { limits: *limits, memory: Memory::default(), clock: CallClock::started(Instant::now()), log: Arc::clone(log) };
        let mut store = Store::new(pre.engine(), guest);
        store.limiter(|guest| guest);
        store.epoch_deadline_callback(|mut store| {
            let guest = store.data_mut();
            guest.clock.check(&guest.limits)?;
            Ok(UpdateDeadline::Continue(1))
        });
        store.set_hostcall_fuel(limits.output(0));
        store.set_epoch_deadline(1);
        let running = ticker.guest();
        let instantiated = pre.instantiate(&mut store);
        drop(running);
        match instantiated {
            Ok(component) => Ok(Self { store, component, ticker: Arc::clone(ticker) }),
            Err(error) => Err(failure(&error, limits, site()).unwrap_or_else(|site| PluginError::Host { site, reason: root(&error) })),
        }
    }

    /// Makes a call under the limits. `now` is the time; the guest may answer with `output_bytes`.
    pub(super) fn call<R>(
        &mut self,
        now: Instant,
        output_bytes: usize,
        site: impl FnOnce() -> Site,
        call: impl FnOnce(&mut Store<Guest>) -> wasmtime::Result<R>,
    ) -> Result<R, PluginError> {
        self.store.set_hostcall_fuel(output_bytes);
        self.store.set_epoch_deadline(1);
        self.store.data_mut().clock = CallClock::started(now);
        let running = self.ticker.guest();
        let answer = call(&mut self.store);
        drop(running);
        answer.map_err(|error| {
            let limits = self.store.data().limits;
            failure(&error, &limits, site()).unwrap_or_else(|site| bad_answer(&error, output_bytes, site))
        })
    }

    /// What its exports are.
    pub(super) fn find<E>(&mut self, find: impl FnOnce(&mut Store<Guest>, Component) -> wasmtime::Result<E>) -> wasmtime::Result<E> {
        find(&mut self.store, self.component)
    }

    /// How much linear memory it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().memory.bytes
    }
}

/// The linear memories of an instance, in sum.
#[derive(Default)]
struct Memory {
    bytes: usize,
    before_growth: usize,
}

#[derive(Debug)]
struct MemoryCapReached {
    wanted_bytes: usize,
}

impl ResourceLimiter for Guest {
    /// IMPORTANT: an error, not `Ok(false)`, so that the guest can't turn the cap into an answer of its own.
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let wanted_bytes = self.memory.bytes.saturating_sub(current).saturating_add(desired);
        if wanted_bytes > self.limits.memory_bytes {
            return Err(MemoryCapReached { wanted_bytes }.into());
        }
        self.memory.before_growth = std::mem::replace(&mut self.memory.bytes, wanted_bytes);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory.bytes = self.memory.before_growth;
        Ok(())
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}

/// How long the call under way has taken. The thread's CPU clock is a system call, so it is first read at the first tick: a call may have a tick more than it is
/// allowed, and a short call reads nothing.
struct CallClock {
    started: Instant,
    cpu_at_first_tick: Option<Duration>,
}

#[derive(Debug)]
struct DeadlinePassed {
    cpu: Duration,
    wall: Duration,
}

impl CallClock {
    fn started(now: Instant) -> Self {
        Self { started: now, cpu_at_first_tick: None }
    }

    fn check(&mut self, limits: &Limits) -> Result<(), DeadlinePassed> {
        let now = thread_cpu();
        let cpu = now.saturating_sub(*self.cpu_at_first_tick.get_or_insert(now));
        let wall = self.started.elapsed();
        if cpu > limits.call_cpu || wall > limits.call_wall { Err(DeadlinePassed { cpu, wall }) } else { Ok(()) }
    }
}

fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec` that lives through the call.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    debug_assert_eq!(status, 0, "every thread has a CPU clock");
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// What a failed call or instantiation is, if the guest trapped or a limit was passed; otherwise the site, given back.
fn failure(error: &wasmtime::Error, limits: &Limits, site: Site) -> Result<PluginError, Box<Site>> {
    let site = Box::new(site);
    if let Some(&DeadlinePassed { cpu, wall }) = error.downcast_ref() {
        return Ok(PluginError::Deadline { site, cpu, wall, call_cpu: limits.call_cpu, call_wall: limits.call_wall });
    }
    if let Some(&MemoryCapReached { wanted_bytes }) = error.downcast_ref() {
        return Ok(PluginError::MemoryCap { site, wanted_bytes, allowed_bytes: limits.memory_bytes });
    }
    if let Some(limit) = error.downcast_ref::<PoolConcurrencyLimitError>() {
        return Ok(PluginError::Host { site, reason: limit.to_string() });
    }
    match error.downcast_ref::<Trap>() {
        Some(trap) => {
            let backtrace = error.downcast_ref::<WasmBacktrace>().map(backtrace).unwrap_or_default();
            Ok(PluginError::Trap { site, reason: trap.to_string(), backtrace })
        }
        None => Err(site),
    }
}

/// The guest came back, but what it left can't be read: a pointer out of bounds, text that is not UTF-8, or more than it may answer.
fn bad_answer(error: &wasmtime::Error, output_bytes: usize, site: Box<Site>) -> PluginError {
    let cause = root(error);
    // NOTE: wasmtime has no type for this error; a test sees to it that the words stay these.
    let what = if cause.contains("fuel allocated for hostcalls") { format!("it is larger than the {output_bytes} bytes that are allowed") } else { cause };
    PluginError::BadOutput { site, place: "the answer".to_owned(), what }
}

fn root(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}

/// The frames with demangled names, without wasmtime's heading.
fn backtrace(trace: &WasmBacktrace) -> String {
    let text = trace.to_string();
    text.lines().skip(1).map(str::trim).collect::<Vec<_>>().join("\n")
}

impl fmt::Display for MemoryCapReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the memory cap was reached at {} bytes", self.wanted_bytes)
    }
}

impl std::error::Error for MemoryCapReached {}

impl fmt::Display for DeadlinePassed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the deadline passed after {:?}", self.wall)
    }
}

impl std::error::Error for DeadlinePassed {}
