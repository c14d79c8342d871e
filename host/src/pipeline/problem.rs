//! Owns what is said about a document: problems as values, and how they read. Finding them is the work of the other files.

use std::fmt;

use serde::Serialize;

use super::document::{Document, Span};

/// One thing to say about a document: what is wrong, what was expected, what to do, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether the pipeline may run.
    pub severity: Severity,
    /// The kind of problem, for programs.
    pub code: Code,
    /// Where.
    pub span: Span,
    /// What is wrong, what was expected and what to do: `what: expected; advice`.
    pub message: String,
}

/// How bad a problem is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The pipeline is refused.
    Error,
    /// The pipeline runs, but probably not as meant.
    Warning,
    /// Worth knowing.
    Note,
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The text is not TOML.
    Syntax,
    /// A key that is not known where it stands.
    UnknownKey,
    /// A required key is absent.
    MissingKey,
    /// A value of the wrong TOML type.
    WrongType,
    /// A value of the right type that says nothing known.
    BadValue,
    /// Keys or values that exclude each other.
    Conflict,
    /// Part of the language, but not of this version.
    NotYet,
    /// A setting of the Kafka client that Weir makes itself.
    OwnedProperty,
    /// `${env:NAME}` that can't be replaced.
    Environment,
    /// Two things with one name.
    DuplicateName,
    /// An `input` that names nothing.
    UnknownInput,
    /// A column that is not there.
    UnknownColumn,
    /// A column of a type that does not serve.
    ColumnType,
    /// Steps that feed themselves.
    Cycle,
    /// Something that nothing reads.
    Unused,
    /// A sink that feeds its own pipeline's source.
    Loop,
    /// Event time or watermark is missing, lost or declared twice.
    EventTime,
    /// The output mode does not go with the step.
    OutputMode,
    /// A topic's key is less than what makes its rows unique.
    NarrowKey,
    /// What the delivery does not promise.
    Delivery,
    /// A plugin's file is missing or is none.
    Plugin,
    /// The plugin has no such function.
    UnknownFunction,
    /// The plugin refuses its config.
    PluginConfig,
    /// The plugin refuses its input.
    PluginInput,
}

/// A problem as programs see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `error`, `warning` or `note`.
    pub severity: &'static str,
    /// The kind of problem.
    pub code: &'static str,
    /// The document.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1, in characters.
    pub column: usize,
    /// What is wrong, what was expected and what to do.
    pub message: String,
}

/// A document that can't run, with everything that was found: the error to show to a person.
#[derive(Debug, Clone)]
pub struct Refused {
    document: Document,
    problems: Vec<Problem>,
}

impl Problem {
    /// An error. All three texts are needed: what is wrong, what was expected, what to do.
    pub fn error(code: Code, span: Span, what: impl fmt::Display, expected: impl fmt::Display, advice: impl fmt::Display) -> Self {
        Self { severity: Severity::Error, code, span, message: format!("{what}: expected {expected}; {advice}") }
    }

    /// A warning: what is so, what follows, what to do.
    pub fn warning(code: Code, span: Span, what: impl fmt::Display, follows: impl fmt::Display, advice: impl fmt::Display) -> Self {
        Self { severity: Severity::Warning, code, span, message: format!("{what}: {follows}; {advice}") }
    }

    /// A note: what is so, and what follows.
    pub fn note(code: Code, span: Span, what: impl fmt::Display, follows: impl fmt::Display) -> Self {
        Self { severity: Severity::Note, code, span, message: format!("{what}: {follows}") }
    }

    /// For programs.
    pub fn finding(&self, document: &Document) -> Finding {
        let (line, column) = document.position(self.span);
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        Finding { severity, code: self.code.as_str(), file: document.file().to_owned(), line, column, message: self.message.clone() }
    }

    /// `file:line:column: message`, and below it the line with a caret.
    pub fn render(&self, document: &Document) -> String {
        let severity = match self.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
            Severity::Note => "note: ",
        };
        format!("{}: {severity}{}\n{}", document.place(self.span), self.message, document.excerpt(self.span))
    }
}

impl Refused {
    /// The problems of `document`, in its order.
    pub fn new(document: &Document, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.severity, problem.span.start));
        Self { document: document.clone(), problems }
    }

    /// What was found, the worst first and then in the document's order.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The same for programs.
    pub fn findings(&self) -> Vec<Finding> {
        self.problems.iter().map(|problem| problem.finding(&self.document)).collect()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&problem.render(&self.document))?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

impl Code {
    /// The code as programs see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::UnknownKey => "unknown-key",
            Self::MissingKey => "missing-key",
            Self::WrongType => "wrong-type",
            Self::BadValue => "bad-value",
            Self::Conflict => "conflict",
            Self::NotYet => "not-yet",
            Self::OwnedProperty => "owned-property",
            Self::Environment => "environment",
            Self::DuplicateName => "duplicate-name",
            Self::UnknownInput => "unknown-input",
            Self::UnknownColumn => "unknown-column",
            Self::ColumnType => "column-type",
            Self::Cycle => "cycle",
            Self::Unused => "unused",
            Self::Loop => "loop",
            Self::EventTime => "event-time",
            Self::OutputMode => "output-mode",
            Self::NarrowKey => "narrow-key",
            Self::Delivery => "delivery",
            Self::Plugin => "plugin",
            Self::UnknownFunction => "unknown-function",
            Self::PluginConfig => "plugin-config",
            Self::PluginInput => "plugin-input",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word of `candidates` that was probably meant.
pub(super) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong: `topcs` finds `topics`, `brokers` does not find `format`.
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word.to_lowercase(), candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?" when something is close enough, else `otherwise`.
pub(super) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>, otherwise: impl Into<String>) -> String {
    closest(word, candidates).map_or_else(|| otherwise.into(), |candidate| format!("did you mean `{candidate}`?"))
}
