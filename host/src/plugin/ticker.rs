//! What interrupts guests: a thread that moves the engine's epoch, at which running guests look up and judge their deadline. Where no guest runs it sleeps, because two
//! hundred looks a second are most of what an idle process would use.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use anyhow::Context as _;

/// How often a running guest is looked at. A deadline is exact to this much; each look costs a guest about a microsecond.
const TICK: Duration = Duration::from_millis(5);
/// After so many ticks without a guest the ticker sleeps. Fewer, and a busy pipeline wakes it for every chunk.
const IDLE_TICKS: u32 = 40;
/// How long it sleeps at a time: so long the thread may outlive its engine.
const SLEEP: Duration = Duration::from_secs(1);

/// The ticker of an engine.
#[derive(Debug, Default)]
pub(super) struct Ticker {
    running: AtomicUsize,
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

/// A guest runs for as long as this lives.
pub(super) struct Running<'a>(&'a Ticker);

impl Ticker {
    /// Starts the ticker of an engine; the thread ends with it.
    pub(super) fn start(engine: &wasmtime::Engine) -> anyhow::Result<Arc<Self>> {
        let (engine, ticker) = (engine.weak(), Arc::new(Self::default()));
        let own = Arc::clone(&ticker);
        let tick = move || {
            let mut idle = 0;
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                // Held while asleep, it would keep the engine alive.
                drop(engine);
                idle = if own.running.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
                if idle < IDLE_TICKS { thread::park_timeout(TICK) } else { own.sleep() }
            }
        };
        let thread = thread::Builder::new().name("plugin-ticker".to_owned()).spawn(tick).context("start the thread that interrupts plugins")?;
        // Set once, here.
        ticker.thread.get_or_init(|| thread.thread().clone());
        Ok(ticker)
    }

    /// A guest is about to run.
    pub(super) fn guest(&self) -> Running<'_> {
        self.running.fetch_add(1, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst)
            && self.asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
        Running(self)
    }

    /// IMPORTANT: says that it sleeps before it looks a last time; a guest says that it runs before it looks whether the ticker sleeps. So one of them sees the other.
    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        if self.running.load(Ordering::SeqCst) == 0 {
            thread::park_timeout(SLEEP);
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}
