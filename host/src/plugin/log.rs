//! The one thing that a plugin may ask of its host: a line in the log. Lines are let through at a bounded rate, so that a plugin that logs each row can't drown
//! the others; what is left out is counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::Level;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, WasmStr};

use super::bindings::LOG;
use super::instance::Guest;

/// Lines of one plugin in a second. More would let a plugin that logs each row fill a disk; fewer would cut a start-up report.
const LINES_PER_SECOND: u32 = 100;

/// A longer line is cut here.
const LINE_BYTES: usize = 8 << 10;

#[expect(dead_code, reason = "only guests make them")]
#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
enum LogLevel {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

/// The log of one plugin, over all its instances.
pub(super) struct Log {
    plugin: String,
    window: Mutex<Window>,
    left_out: AtomicU64,
}

impl Log {
    pub(super) fn new(plugin: String) -> Self {
        Self { plugin, window: Mutex::new(Window::new(Instant::now())), left_out: AtomicU64::new(0) }
    }

    /// How many lines were left out so far.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    fn write(&self, level: LogLevel, message: &str) {
        if !level.enabled() {
            return;
        }
        let admitted = self.window.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now());
        let Some(left_out_before) = admitted else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if left_out_before > 0 {
            tracing::warn!(target: "plugin", plugin = self.plugin, "{left_out_before} lines were left out: a plugin may log {LINES_PER_SECOND} a second");
        }
        level.emit(&self.plugin, cut(message));
    }
}

impl LogLevel {
    /// Whether anybody listens: lines that nobody sees do not count against the rate.
    fn enabled(self) -> bool {
        match self {
            Self::Trace => tracing::enabled!(target: "plugin", Level::TRACE),
            Self::Debug => tracing::enabled!(target: "plugin", Level::DEBUG),
            Self::Info => tracing::enabled!(target: "plugin", Level::INFO),
            Self::Warn => tracing::enabled!(target: "plugin", Level::WARN),
            Self::Error => tracing::enabled!(target: "plugin", Level::ERROR),
        }
    }

    fn emit(self, plugin: &str, message: &str) {
        match self {
            Self::Trace => tracing::trace!(target: "plugin", plugin, "{message}"),
            Self::Debug => tracing::debug!(target: "plugin", plugin, "{message}"),
            Self::Info => tracing::info!(target: "plugin", plugin, "{message}"),
            Self::Warn => tracing::warn!(target: "plugin", plugin, "{message}"),
            Self::Error => tracing::error!(target: "plugin", plugin, "{message}"),
        }
    }
}

/// The lines of the current second.
#[derive(Debug)]
pub(super) struct Window {
    since: Instant,
    lines: u32,
    left_out: u64,
}

impl Window {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, lines: 0, left_out: 0 }
    }

    /// Whether a line may be written at `now`, and then how many were left out since the last one.
    pub(super) fn admit(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            self.since = now;
            self.lines = 0;
        }
        if self.lines == LINES_PER_SECOND {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// Gives guests the interface `log`.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.instance(LOG)?.func_wrap("write", |store: StoreContextMut<'_, Guest>, (level, message): (LogLevel, WasmStr)| {
        store.data().log().write(level, &message.to_str(&store)?);
        Ok(())
    })
}

fn cut(message: &str) -> &str {
    message.get(..message.floor_char_boundary(LINE_BYTES)).unwrap_or(message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_second_later_lines_come_again_and_say_how_many_were_left_out() {
        let start = Instant::now();
        let mut window = Window::new(start);
        for _ in 0..LINES_PER_SECOND {
            assert_eq!(window.admit(start), Some(0));
        }
        assert_eq!(window.admit(start), None);
        assert_eq!(window.admit(start + Duration::from_millis(999)), None);
        assert_eq!(window.admit(start + Duration::from_millis(1_000)), Some(2));
        assert_eq!(window.admit(start + Duration::from_millis(1_001)), Some(0));
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let long = "é".repeat(LINE_BYTES);
        assert_eq!(cut(&long).len(), LINE_BYTES);
        let odd = format!("x{long}");
        assert_eq!(cut(&odd).len(), LINE_BYTES - 1);
        assert_eq!(cut("short"), "short");
    }
}
