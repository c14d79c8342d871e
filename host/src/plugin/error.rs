//! What can go wrong with a plugin. A caller chooses by the variant: whether rows are to blame, whether the plugin is, or the host itself.

use std::fmt;
use std::io;
use std::time::Duration;

use super::digest::Digest;

/// Where a call went wrong. The caller adds the step and the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The plugin's name.
    pub plugin: String,
    /// Its digest.
    pub digest: Digest,
    /// The opened function; empty while a plugin is loaded.
    pub function: String,
    /// The call of the contract, such as `run` or `merge`.
    pub call: &'static str,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` of plugin `{}` ({})", self.call, self.plugin, self.digest.short())?;
        if self.function.is_empty() { Ok(()) } else { write!(f, ", function `{}`,", self.function) }
    }
}

/// Why a call failed, twice: each was tried once more on a fresh instance.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PluginError {
    /// The guest trapped: a panic, an abort, an access out of bounds.
    #[error("{site} trapped: {reason}{}", Frames(backtrace))]
    Trap {
        /// Where.
        site: Box<Site>,
        /// The trap.
        reason: String,
        /// The guest's frames, a line each, innermost first.
        backtrace: String,
    },
    /// The call took too long.
    #[error("{site} passed its deadline after {cpu:.1?} of CPU time and {wall:.1?} in all; allowed are {call_cpu:?} and {call_wall:?}")]
    Deadline {
        /// Where.
        site: Box<Site>,
        /// CPU time that it took.
        cpu: Duration,
        /// Wall time that it took.
        wall: Duration,
        /// The CPU time that was allowed.
        call_cpu: Duration,
        /// The wall time that was allowed.
        call_wall: Duration,
    },
    /// The guest asked for more memory than an instance may hold.
    #[error("{site} asked for {wanted_bytes} bytes of memory; allowed are {allowed_bytes}")]
    MemoryCap {
        /// Where.
        site: Box<Site>,
        /// What it would have held.
        wanted_bytes: usize,
        /// What was allowed.
        allowed_bytes: usize,
    },
    /// The guest broke the contract.
    #[error("{site} broke the contract: {place}: {what}")]
    BadOutput {
        /// Where.
        site: Box<Site>,
        /// The part of the answer.
        place: String,
        /// What is wrong with it, and what was expected.
        what: String,
    },
    /// The guest says that it can't serve the call.
    #[error("{site} refused: {reason}")]
    Refused {
        /// Where.
        site: Box<Site>,
        /// The guest's `run-error`.
        reason: String,
    },
    /// Not the plugin's fault, and no row's: there is no slot for another instance, or the caller gave other columns than it had opened. Nothing is won by
    /// looking for the rows to blame.
    #[error("{site} could not be called: {reason}")]
    Host {
        /// Where.
        site: Box<Site>,
        /// Why.
        reason: String,
    },
}

impl PluginError {
    /// A short word for metrics and dead letters.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Trap { .. } => "trap",
            Self::Deadline { .. } => "deadline",
            Self::MemoryCap { .. } => "memory-cap",
            Self::BadOutput { .. } => "bad-output",
            Self::Refused { .. } => "refused",
            Self::Host { .. } => "host",
        }
    }

    /// Where it happened.
    #[must_use]
    pub fn site(&self) -> &Site {
        match self {
            Self::Trap { site, .. }
            | Self::Deadline { site, .. }
            | Self::MemoryCap { site, .. }
            | Self::BadOutput { site, .. }
            | Self::Refused { site, .. }
            | Self::Host { site, .. } => site,
        }
    }
}

/// A guest's frames behind the sentence that says what it did, a line each.
struct Frames<'a>(&'a str);

impl fmt::Display for Frames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lines().try_for_each(|frame| write!(f, "\n    {frame}"))
    }
}

/// A part of an answer that breaks the contract.
#[derive(Debug)]
pub(super) struct Malformed {
    /// The part, such as "column `price`".
    pub(super) place: String,
    /// What it is, and what it should be.
    pub(super) what: String,
}

impl Malformed {
    pub(super) fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }

    pub(super) fn at(self, site: Site) -> PluginError {
        PluginError::BadOutput { site: Box::new(site), place: self.place, what: self.what }
    }
}

/// Why a function can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The plugin has no such function.
    #[error("plugin `{plugin}` has no {interface} `{function}`; it has {available}")]
    UnknownFunction {
        /// The plugin's name.
        plugin: String,
        /// `transform` or `aggregate`.
        interface: &'static str,
        /// What was asked for.
        function: String,
        /// What there is.
        available: String,
    },
    /// The config is wrong.
    #[error("{message}, at {} of the config", config_place(pointer))]
    Config {
        /// Where: a JSON pointer (RFC 6901).
        pointer: String,
        /// The guest's words.
        message: String,
    },
    /// The input has not the columns that the function needs.
    #[error("the input does not fit: {message}")]
    Input {
        /// The guest's words.
        message: String,
    },
    /// A column has a type that the contract has no word for.
    #[error("column `{column}` has the type `{data_type}`, which plugins do not take; expected one of boolean, int64, float64, timestamp, utf8, binary, json")]
    Unsupported {
        /// The column.
        column: String,
        /// Its type.
        data_type: String,
    },
    /// The guest failed, or its answer breaks the contract.
    #[error(transparent)]
    Failed(#[from] PluginError),
}

fn config_place(pointer: &str) -> String {
    if pointer.is_empty() { "the root".to_owned() } else { format!("`{pointer}`") }
}

/// Why a file can't be loaded as a plugin.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file can't be read.
    #[error("read plugin `{file}`: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The bytes are no WebAssembly.
    #[error("`{file}` is not WebAssembly: expected a component, or a core module that carries a component type")]
    NotWasm {
        /// The file.
        file: String,
    },
    /// A core module that says nothing of interfaces.
    #[error("`{file}` is a core module without a component type: build it with a plugin SDK, or embed the world with `wasm-tools component embed`")]
    NoComponentType {
        /// The file.
        file: String,
    },
    /// The core module can't be made a component.
    #[error("`{file}` is a core module that can't be made a component: {reason}")]
    Componentize {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// The compiler refuses it.
    #[error("compile `{file}`: {reason}")]
    Compile {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// A component, but no plugin.
    #[error("`{file}` is not a plugin: it exports {exports}; expected `{expected}`")]
    NoInterface {
        /// The file.
        file: String,
        /// What it exports.
        exports: String,
        /// What was looked for.
        expected: String,
    },
    /// A plugin of another version of the contract.
    #[error("`{file}` speaks `{found}`, this host `{expected}`: build the plugin again with an SDK of that version")]
    Version {
        /// The file.
        file: String,
        /// The interface that it names.
        found: String,
        /// The package that is served.
        expected: String,
    },
    /// It asks for what no plugin gets.
    #[error("`{file}` imports {imports}; a plugin may import `{allowed}` and nothing else")]
    Imports {
        /// The file.
        file: String,
        /// What it asks for.
        imports: String,
        /// What there is.
        allowed: String,
    },
    /// An interface with the right name and other functions.
    #[error("`{file}` has another `{interface}` than the contract: {reason}")]
    Signature {
        /// The file.
        file: String,
        /// The interface.
        interface: String,
        /// What differs.
        reason: String,
    },
    /// It does not say what it is.
    #[error("load `{file}`: {source}")]
    Failed {
        /// The file.
        file: String,
        /// What went wrong.
        source: PluginError,
    },
}
