//! From a document to a running pipeline: reads the file, opens the plugins, and puts the plan together with real sources, sinks and state. Everything is checked
//! before anything is touched, so what is refused leaves no trace.

mod assemble;
mod bench;
mod opener;
pub mod outline;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::epoch::clock::Clock;
use crate::epoch::driver::{Driver, Parts, Tap};
use crate::epoch::limits::Limits;
use crate::epoch::recovery::Start;
use crate::epoch::trigger::Trigger;
use crate::observe::board::Publisher;
use crate::observe::progress::ProgressLog;
use crate::pipeline::{self, Checked, Document, EpochLimits, Origin, Plan, Refused, Topics};
use crate::plugin::Engine;

pub use assemble::Ports;
pub use bench::FixtureBench;
pub use opener::{OpenedPlugin, PluginOpener};

/// A plan with its plugins opened.
pub type OpenedPlan = Plan<OpenedPlugin<crate::plugin::Transform>, OpenedPlugin<crate::plugin::Aggregate>>;

/// Reads and checks a pipeline document; `${env:..}` comes from the environment.
///
/// # Errors
/// The file can't be read, or what is wrong with it, as text with file, line and column.
pub fn read(file: &Path) -> anyhow::Result<Checked> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(|| format!("read the pipeline `{name}`"))?;
    let document = Document::new(name, text);
    let spec = pipeline::parse(&document, &|name| std::env::var(name).ok())?;
    for source in &spec.sources {
        if let Origin::Kafka(kafka) = &source.origin
            && let Topics::Pattern(pattern) = &kafka.topics
        {
            let place = document.place(pattern.span);
            anyhow::bail!("{place}: not yet: a source that follows a `pattern` comes with a later version: expected `topics`; list them");
        }
    }
    Ok(pipeline::check(spec)?)
}

/// Opens the plugins of a pipeline and plans it. Nothing but plugin files is touched.
///
/// # Errors
/// What is wrong, with file, line and column.
pub fn open(checked: &Checked, engine: &Engine) -> Result<OpenedPlan, Refused> {
    pipeline::plan(checked, &mut PluginOpener::new(engine, &checked.spec().document))
}

/// What a pipeline is launched with.
pub struct Surroundings {
    /// The time.
    pub clock: Box<dyn Clock>,
    /// What the operator asked for.
    pub start: Start,
    /// Where sources and sinks lead: to what the document names, or into the program.
    pub ports: Ports,
    /// Where the state lives.
    pub state_dir: PathBuf,
    /// In place of the document's trigger.
    pub trigger: Option<Trigger>,
    /// Sees the rows of each step.
    pub tap: Option<Tap>,
    /// Where it tells of itself.
    pub publisher: Option<Publisher>,
}

/// Puts a pipeline together. Its state folder is locked from here on; output topics that may be made are made.
///
/// # Errors
/// The state folder is in use or another pipeline's; a topic is missing; a setting is refused.
pub fn launch(plan: OpenedPlan, surroundings: Surroundings) -> anyhow::Result<Driver> {
    let Surroundings { clock, start, ports, state_dir, trigger, tap, publisher } = surroundings;
    let EpochLimits { max_epoch_bytes, max_records, max_rate_per_partition, backpressure } = plan.limits;
    let limits = Limits { max_epoch_bytes: max_epoch_bytes.bytes(), max_records, max_rate_per_partition };
    let (name, max_rejected, trigger) = (plan.name.clone(), plan.max_rejected, trigger.unwrap_or(plan.trigger));
    let assembled = assemble::assemble(plan, &ports, &state_dir).with_context(|| format!("pipeline `{name}`"))?;
    Ok(Driver::new(Parts {
        name,
        graph: assembled.graph,
        transaction: assembled.transaction,
        store: assembled.store,
        trigger,
        limits,
        backpressure,
        max_rejected: Box::new(move |rejected, rows| max_rejected.allows(rejected, rows)),
        clock,
        progress: ProgressLog::open(Some(&state_dir))?.publishing(publisher),
        start,
        tap,
    }))
}
