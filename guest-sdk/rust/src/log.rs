//! Lines for the host's log, under the plugin's name. The host limits their rate and counts the rest. In native tests they go to standard error.

use std::fmt;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For the author.
    Debug,
    /// For the operator.
    Info,
    /// Something is odd, and went on.
    Warn,
    /// Something failed.
    Error,
}

/// Writes a line: `log::write(Level::Warn, format_args!("{count} rows without a country"))`.
pub fn write(level: Level, line: fmt::Arguments<'_>) {
    #[cfg(target_family = "wasm")]
    {
        use crate::bindings::plugin::weir::plugin::log::{self, Level as Wire};
        let level = match level {
            Level::Trace => Wire::Trace,
            Level::Debug => Wire::Debug,
            Level::Info => Wire::Info,
            Level::Warn => Wire::Warn,
            Level::Error => Wire::Error,
        };
        log::write(level, &line.to_string());
    }
    #[cfg(not(target_family = "wasm"))]
    eprintln!("{level:?}: {line}");
}

/// Writes a line at a level, with the arguments of `format!`: `log!(Warn, "{count} rows without a country")`.
#[macro_export]
macro_rules! log {
    ($level:ident, $($line:tt)+) => {
        $crate::log::write($crate::log::Level::$level, ::core::format_args!($($line)+))
    };
}
