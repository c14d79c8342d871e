//! What a verb says to whoever called it. A reader that has seen enough closes the pipe, as `head` does; the verb then ends quietly, as any other program does.

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use weir::sink::{DeliveryError, console};

/// What a shell reports of a program that SIGPIPE has ended. Rust's runtime ignores the signal, because it would also end a program that writes to a socket.
const ENDED_BY_SIGPIPE: u8 = 128 + 13;

/// Prints a line to standard output.
pub(super) fn say(line: impl Display) -> Result<(), DeliveryError> {
    console::print(format!("{line}\n").as_bytes())
}

/// Prints a line to standard error. When nobody reads that, there is nobody to be told.
pub(super) fn complain(line: impl Display) {
    writeln!(std::io::stderr(), "{line}").ok();
}

/// What a verb ends with that has failed: a word why, unless it is only that nobody reads on.
pub(super) fn failed(error: &anyhow::Error) -> ExitCode {
    if let Some(DeliveryError::Gone { .. }) = error.downcast_ref() {
        return ExitCode::from(ENDED_BY_SIGPIPE);
    }
    complain(described(error));
    ExitCode::FAILURE
}

/// An error for a person: causes behind colons; a refused document is its own text.
pub(super) fn described(error: &anyhow::Error) -> String {
    match error.downcast_ref::<weir::pipeline::Refused>() {
        Some(refused) => refused.to_string(),
        None => format!("error: {error:#}"),
    }
}
