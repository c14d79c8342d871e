//! Owns the text of a pipeline document and the places in it: spans, lines, columns, and the excerpt with a caret that an error shows. It knows nothing of what the
//! text means.

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Lines longer than this many characters are shown cut around the caret, so that the caret stays below what it points at on an ordinary terminal.
const EXCERPT_CHARS: usize = 120;

/// The file as it was read: its name, for messages and for paths beside it, and its text. Cheap to clone.
#[derive(Clone)]
pub struct Document {
    file: Arc<str>,
    text: Arc<str>,
}

/// A range of bytes of the document. The empty span stands for the document as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// A value and the place it was written at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl Document {
    /// `file` is shown as it is in messages; relative paths of the document start at its folder.
    pub fn new(file: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { file: file.into(), text: text.into() }
    }

    /// The file's name as it was given.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A path that the document names: relative ones start at the folder of the file.
    pub fn beside(&self, path: impl AsRef<Path>) -> PathBuf {
        Path::new(self.file()).parent().unwrap_or(Path::new("")).join(path)
    }

    /// `file:line:column` of the span's start, both counted from 1, columns in characters.
    pub fn place(&self, span: Span) -> String {
        let (line, column) = self.position(span);
        format!("{}:{line}:{column}", self.file)
    }

    /// Line and column of the span's start, both counted from 1, columns in characters.
    pub fn position(&self, span: Span) -> (usize, usize) {
        let line = self.line_of(span);
        (line.number, line.before.chars().count() + 1)
    }

    /// The line that the span starts in, with a caret below every character of the span; nothing for the document as a whole.
    pub(super) fn excerpt(&self, span: Span) -> String {
        if span.is_whole() {
            return String::new();
        }
        let line = self.line_of(span);
        let column = line.before.chars().count();
        let width = self.text.get(span.start..span.end).and_then(|marked| marked.lines().next()).map_or(1, |marked| marked.chars().count().max(1));
        let (shown, column, width) = cut(line.text, column, width);
        let number = line.number.to_string();
        let gutter = " ".repeat(number.len());
        // Tabs stay tabs below the line, so that the caret stands where the terminal puts the character.
        let indent: String = shown.chars().take(column).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        format!(" {gutter} |\n {number} | {shown}\n {gutter} | {indent}{}\n", "^".repeat(width))
    }

    fn line_of(&self, span: Span) -> Line<'_> {
        let mut start = span.start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let (before, after) = self.text.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = after.find('\n').map_or(self.text.len(), |newline| start + newline);
        Line {
            number: before.matches('\n').count() + 1,
            text: self.text.get(line_start..line_end).unwrap_or_default().trim_end_matches('\r'),
            before: before.get(line_start..).unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Span {
    /// The document as a whole: it has a place (line 1) but no excerpt.
    pub const WHOLE: Self = Self { start: 0, end: 0 };

    fn is_whole(self) -> bool {
        self == Self::WHOLE
    }
}

impl From<std::ops::Range<usize>> for Span {
    fn from(range: std::ops::Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

impl<T> Placed<T> {
    /// `value`, written at `span`.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl<T> Deref for Placed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Display> fmt::Display for Placed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// "`a`, `b` or `c`": words in backticks, with `joint` before the last.
pub(super) fn listed<'a>(words: impl IntoIterator<Item = &'a str>, joint: &str) -> String {
    let mut quoted: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match quoted.pop() {
        None => String::new(),
        Some(last) if quoted.is_empty() => last,
        Some(last) => format!("{} {joint} {last}", quoted.join(", ")),
    }
}

struct Line<'a> {
    number: usize,
    text: &'a str,
    before: &'a str,
}

/// The part of a long line around the caret, with the caret's new column and width.
fn cut(line: &str, column: usize, width: usize) -> (String, usize, usize) {
    let total = line.chars().count();
    if total <= EXCERPT_CHARS {
        return (line.to_owned(), column, width.min(total.saturating_sub(column)).max(1));
    }
    let from = column.saturating_sub(EXCERPT_CHARS / 2).min(total - EXCERPT_CHARS);
    let kept: String = line.chars().skip(from).take(EXCERPT_CHARS).collect();
    let head = if from > 0 { "..." } else { "" };
    let tail = if from + EXCERPT_CHARS < total { "..." } else { "" };
    let width = width.min((from + EXCERPT_CHARS).saturating_sub(column)).max(1);
    (format!("{head}{kept}{tail}"), column - from + head.len(), width)
}
