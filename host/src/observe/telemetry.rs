//! The log: structured lines on standard error, and the last of them for who looks at the page. Plugins' lines come under the target `plugin`.

use std::collections::VecDeque;
use std::fmt::{Debug, Write as _};
use std::sync::{Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

/// Lines that are kept.
const RECENT: usize = 200;
/// Bytes of a line that are kept.
const LINE_BYTES: usize = 2_000;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The last lines, each with its number.
static LINES: Mutex<VecDeque<(u64, String)>> = Mutex::new(VecDeque::new());

/// Starts logging for the process. `filter` is a level or a list of targets with levels, as `RUST_LOG` takes them.
///
/// # Errors
/// When the filter can't be read, or logging has been started before.
pub fn start(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| anyhow::anyhow!("`--log {filter}`: {error}; give a level such as `info`, or `weir=debug,plugin=warn`"))?;
    let registry = tracing_subscriber::registry().with(filter).with(Keep);
    let lines = fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => registry.with(lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    }
    .map_err(|error| anyhow::anyhow!("start logging: {error}"))
}

/// The last lines behind the one with this number, each as `{ time, level, target, message }`; the first has number 1. At most 200 are kept.
#[must_use]
pub fn recent(after: u64) -> Vec<(u64, String)> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().filter(|(number, _)| *number > after).cloned().collect()
}

/// Keeps the last lines.
struct Keep;

impl<S: Subscriber> Layer<S> for Keep {
    #[expect(clippy::disallowed_methods, reason = "a log line tells the time")]
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Words::default();
        event.record(&mut text);
        let time = jiff::Timestamp::now().to_string();
        let (level, target) = (event.metadata().level().as_str(), event.metadata().target());
        let line = serde_json::json!({ "time": time, "level": level, "target": target, "message": text.0 }).to_string();
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        let number = lines.back().map_or(1, |(number, _)| number + 1);
        if lines.len() == RECENT {
            lines.pop_front();
        }
        lines.push_back((number, line));
    }
}

/// A line's message and fields as text.
#[derive(Default)]
struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.0.len() > LINE_BYTES {
            return;
        }
        let space = if self.0.is_empty() { "" } else { " " };
        // Writing to a string does not fail.
        match field.name() {
            "message" => write!(self.0, "{space}{value:?}"),
            name => write!(self.0, "{space}{name}={value:?}"),
        }
        .ok();
    }
}
