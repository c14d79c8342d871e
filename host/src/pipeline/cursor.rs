//! Owns the walk over the TOML tree: a table that knows which of its keys were asked for, values that know their path and place, and the checks of type and
//! form that every key shares. It knows no key by name. What does not fit is noted in the `Reader` and the walk goes on, so that one run shows many problems.

use std::fmt;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{Document, Placed, Span, listed};
use super::problem::{Code, Problem, closest};
use super::text::{Text, Unreplaced};

/// What the walk carries: where text comes from, where problems go.
pub(super) struct Reader<'d> {
    pub(super) document: &'d Document,
    env: &'d dyn Fn(&str) -> Option<String>,
    pub(super) problems: Vec<Problem>,
}

/// A table of the document. Ask for its keys, then `finish` it: what was not asked for is unknown.
pub(super) struct Table<'a> {
    /// As in `source.kafka`; empty at the top.
    path: String,
    pub(super) span: Span,
    entries: &'a DeTable<'a>,
    asked: Vec<&'static str>,
    missing: Vec<(&'static str, Expect)>,
}

/// A value of the document.
pub(super) struct Value<'a> {
    /// As in `source.kafka.topics`.
    pub(super) path: String,
    /// The key alone, as TOML writes it.
    key: String,
    /// Of the key, or of the value itself in a list.
    pub(super) key_span: Span,
    node: &'a Spanned<DeValue<'a>>,
}

/// What a key takes, in words and as an example in TOML, for messages.
#[derive(Clone, Copy)]
pub(super) struct Expect {
    pub(super) what: &'static str,
    pub(super) example: &'static str,
}

/// What a parse function is: it notes why it gives nothing.
pub(super) type Parse<T> = fn(&mut Reader<'_>, Value<'_>) -> Option<T>;

/// Shorthand, because every key has one.
pub(super) const fn expect(what: &'static str, example: &'static str) -> Expect {
    Expect { what, example }
}

impl<'a> Table<'a> {
    pub(super) fn root(entries: &'a DeTable<'a>) -> Self {
        Self { path: String::new(), span: Span::WHOLE, entries, asked: Vec::new(), missing: Vec::new() }
    }

    /// The value of a key, if it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.asked.push(key);
        let (written, node) = self.entries.get_key_value(key)?;
        Some(Value { path: self.path_of(key), key: key.to_owned(), key_span: written.span().into(), node })
    }

    /// Where a key stands, if it is there; it still has to be asked for.
    pub(super) fn place(&self, key: &str) -> Option<Span> {
        self.entries.get_key_value(key).map(|(written, _)| written.span().into())
    }

    /// A key that must be there. None: a problem is noted.
    pub(super) fn required<T>(&mut self, reader: &mut Reader<'_>, key: &'static str, expected: Expect, parse: Parse<T>) -> Option<T> {
        match self.take(key) {
            Some(value) => parse(reader, value),
            None => {
                self.missing.push((key, expected));
                None
            }
        }
    }

    /// A key that may be left out. Outer none: a problem is noted; inner none: it is not there.
    pub(super) fn optional<T>(&mut self, reader: &mut Reader<'_>, key: &'static str, parse: Parse<T>) -> Option<Option<T>> {
        match self.take(key) {
            Some(value) => parse(reader, value).map(Some),
            None => Some(None),
        }
    }

    /// A key with a default. None: a problem is noted.
    pub(super) fn or<T>(&mut self, reader: &mut Reader<'_>, key: &'static str, default: T, parse: Parse<T>) -> Option<T> {
        self.optional(reader, key, parse).map(|value| value.unwrap_or(default))
    }

    /// Notes every key that nobody asked for, and every required one that is not there. `later` names what other versions of the language have here.
    pub(super) fn finish(mut self, reader: &mut Reader<'_>, later: &[&str]) {
        let at = self.place_name();
        for (written, _) in self.in_order() {
            let key = written.get_ref().as_ref();
            if self.asked.contains(&key) {
                continue;
            }
            let expected = if self.asked.is_empty() { "no keys".to_owned() } else { listed(self.asked.iter().copied(), "or") };
            if later.contains(&key) {
                let what = format!("not yet: `{key}` in {at} comes with a later version");
                reader.error(Code::NotYet, written.span().into(), what, expected, "remove it");
                continue;
            }
            let meant = closest(key, self.asked.iter().copied());
            self.missing.retain(|(missing, _)| Some(*missing) != meant);
            let advice = meant.map_or_else(|| "remove it".to_owned(), |meant| format!("did you mean `{meant}`?"));
            reader.error(Code::UnknownKey, written.span().into(), format!("unknown key `{key}` in {at}"), expected, advice);
        }
        for (key, expected) in &self.missing {
            reader.error(Code::MissingKey, self.span, format!("`{key}` is missing in {at}"), expected.what, format!("add `{key} = {}`", expected.example));
        }
    }

    /// Whether a key that nobody has asked for so far is probably a slip for `key`, which `finish` will say.
    pub(super) fn has_slip_of(&self, key: &str) -> bool {
        self.entries.keys().map(|written| written.get_ref().as_ref()).any(|written: &str| !self.asked.contains(&written) && closest(written, [key]).is_some())
    }

    /// Of keys that exclude each other, the one that is there. None: a problem is noted.
    pub(super) fn one_of(&mut self, reader: &mut Reader<'_>, keys: &[&'static str], later: &[&str], example: &str) -> Option<(&'static str, Value<'a>)> {
        let mut found: Vec<(&'static str, Value<'a>)> = keys.iter().filter_map(|key| Some((*key, self.take(key)?))).collect();
        let expected = format!("one of {}", listed(keys.iter().copied(), "or"));
        let at = self.place_name();
        match found.len() {
            0 => {
                // A word of a later version, or a slip, is reported as that by `finish`.
                let explained = keys.iter().any(|key| self.has_slip_of(key)) || later.iter().any(|key| self.place(key).is_some());
                if !explained {
                    reader.error(
                        Code::MissingKey,
                        self.span,
                        format!("{at} says none of {}", listed(keys.iter().copied(), "and")),
                        expected,
                        format!("add `{example}`"),
                    );
                }
                None
            }
            1 => found.pop(),
            _ => {
                let (names, last) = (found.iter().map(|(key, _)| *key).collect::<Vec<_>>(), found.pop()?.1);
                reader.error(Code::Conflict, last.key_span, format!("{at} has {}", listed(names, "and")), expected, "keep one, remove the rest");
                None
            }
        }
    }

    /// All keys and values in the order of the document, for tables whose keys are names of the user's.
    pub(super) fn each(&self) -> impl Iterator<Item = (Placed<String>, Value<'a>)> {
        let path = self.path.clone();
        self.in_order().into_iter().map(move |(key, node)| {
            let name = key.get_ref().to_string();
            let value = Value { path: format!("{path}.{name}"), key: toml_key(&name), key_span: key.span().into(), node };
            (Placed::new(name, key.span().into()), value)
        })
    }

    /// Where the table is, in words.
    pub(super) fn place_name(&self) -> String {
        if self.path.is_empty() { "the pipeline".to_owned() } else { format!("`{}`", self.path) }
    }

    /// The parser keeps tables sorted by name; the document's order is that of the places.
    fn in_order(&self) -> Vec<(&'a Spanned<toml::de::DeString<'a>>, &'a Spanned<DeValue<'a>>)> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl<'a> Value<'a> {
    pub(super) fn span(&self) -> Span {
        self.node.span().into()
    }

    pub(super) fn get(&self) -> &'a DeValue<'a> {
        self.node.get_ref()
    }

    /// The elements of a list, each with the list's path; none when it is no list.
    pub(super) fn elements(&self) -> Option<Vec<Value<'a>>> {
        let elements = self.get().as_array()?;
        Some(elements.iter().map(|node| Value { path: self.path.clone(), key: self.key.clone(), key_span: node.span().into(), node }).collect())
    }

    /// The value as a table; none when it is none.
    pub(super) fn as_table(&self) -> Option<Table<'a>> {
        let entries = self.get().as_table()?;
        // A `[header]` has no braces to point at, and a table made of dotted keys has no place of its own.
        let span = if self.node.span().is_empty() { self.key_span } else { self.span() };
        Some(Table { path: self.path.clone(), span, entries, asked: Vec::new(), missing: Vec::new() })
    }
}

impl<'d> Reader<'d> {
    pub(super) fn new(document: &'d Document, env: &'d dyn Fn(&str) -> Option<String>) -> Self {
        Self { document, env, problems: Vec::new() }
    }

    /// Notes an error.
    pub(super) fn error(&mut self, code: Code, span: Span, what: impl fmt::Display, expected: impl fmt::Display, advice: impl fmt::Display) {
        self.problems.push(Problem::error(code, span, what, expected, advice));
    }

    /// Notes that a value has the wrong TOML type.
    pub(super) fn wrong_type(&mut self, value: &Value<'_>, expected: Expect) {
        let advice = format!("write `{} = {}`", value.key, expected.example);
        self.error(Code::WrongType, value.span(), format!("`{}` is {}", value.path, type_name(value.get())), expected.what, advice);
    }

    /// Notes that a text says nothing known. `reason` may quote the text, so it is left out when that came from the environment.
    pub(super) fn bad_value(&mut self, value: &Value<'_>, text: &Text, reason: &str, expected: Expect) {
        let reason = if reason.is_empty() || text.is_secret() { String::new() } else { format!(" ({reason})") };
        let advice = format!("write `{} = {}`", value.key, expected.example);
        self.error(Code::BadValue, value.span(), format!("`{}` is `{text}`{reason}", value.path), expected.what, advice);
    }

    /// A table.
    pub(super) fn table<'a>(&mut self, value: &Value<'a>, expected: Expect) -> Option<Table<'a>> {
        let table = value.as_table();
        if table.is_none() {
            self.wrong_type(value, expected);
        }
        table
    }

    /// A string, with its variables replaced.
    pub(super) fn text(&mut self, value: &Value<'_>, expected: Expect) -> Option<Placed<Text>> {
        let Some(written) = value.get().as_str() else {
            self.wrong_type(value, expected);
            return None;
        };
        self.replace(value, written)
    }

    /// A string that is shown in logs and metrics, and so can't come from the environment.
    pub(super) fn plain(&mut self, value: &Value<'_>, expected: Expect) -> Option<Placed<String>> {
        let text = self.text(value, expected)?;
        if text.is_secret() {
            let what = format!("`{}` takes nothing from the environment, because it is shown in logs and metrics", value.path);
            self.error(Code::Environment, text.span, what, expected.what, format!("write `{} = {}`", value.key, expected.example));
            return None;
        }
        if text.expose().is_empty() {
            self.bad_value(value, &text, "it is empty", expected);
            return None;
        }
        Some(Placed::new(text.expose().to_owned(), text.span))
    }

    /// A string that stands for something else.
    pub(super) fn parsed<T>(&mut self, value: &Value<'_>, expected: Expect, parse: impl Fn(&str) -> Result<T, String>) -> Option<Placed<T>> {
        let text = self.text(value, expected)?;
        match parse(text.expose()) {
            Ok(parsed) => Some(Placed::new(parsed, text.span)),
            Err(reason) => {
                self.bad_value(value, &text, &reason, expected);
                None
            }
        }
    }

    /// A string that a type reads by itself.
    pub(super) fn typed<T: FromStr<Err: fmt::Display>>(&mut self, value: &Value<'_>, expected: Expect) -> Option<Placed<T>> {
        self.parsed(value, expected, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, value: &Value<'_>, expected: Expect, words: &[(&str, T)], later: &[&str]) -> Option<T> {
        let text = self.text(value, expected)?;
        if let Some((_, choice)) = words.iter().find(|(word, _)| *word == text.expose()) {
            return Some(*choice);
        }
        let known = || words.iter().map(|(word, _)| *word);
        if later.contains(&text.expose()) {
            let what = format!("not yet: `{}` is `{text}`, which comes with a later version", value.path);
            self.error(Code::NotYet, text.span, what, expected.what, format!("write `{} = {}`", value.key, expected.example));
            return None;
        }
        let meant = if text.is_secret() { None } else { closest(text.expose(), known()) };
        let advice = meant.map_or_else(|| format!("write `{} = {}`", value.key, expected.example), |meant| format!("did you mean `{meant}`?"));
        self.error(Code::BadValue, text.span, format!("`{}` is `{text}`", value.path), expected.what, advice);
        None
    }

    /// A whole number within bounds.
    /// `true` or `false`.
    pub(super) fn boolean(&mut self, value: &Value<'_>) -> Option<bool> {
        if let DeValue::Boolean(flag) = value.get() {
            return Some(*flag);
        }
        self.wrong_type(value, expect("`true` or `false`", "true"));
        None
    }

    pub(super) fn integer(&mut self, value: &Value<'_>, expected: Expect, bounds: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let Some(integer) = value.get().as_integer() else {
            self.wrong_type(value, expected);
            return None;
        };
        let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|number| bounds.contains(number));
        if number.is_none() {
            let text = Text::plain(integer.to_string());
            self.bad_value(value, &text, "", expected);
        }
        number
    }

    /// A number that is not negative, with decimals or without.
    pub(super) fn number(&mut self, value: &Value<'_>, expected: Expect) -> Option<f64> {
        let (text, number) = match value.get() {
            DeValue::Integer(number) => (number.to_string(), i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number as f64)),
            DeValue::Float(number) => (number.to_string(), number.as_str().parse::<f64>().ok()),
            _ => {
                self.wrong_type(value, expected);
                return None;
            }
        };
        let number = number.filter(|number| number.is_finite() && *number >= 0.0);
        if number.is_none() {
            self.bad_value(value, &Text::plain(text), "", expected);
        }
        number
    }

    /// A list, each element read by `each`. None: a problem is noted.
    pub(super) fn list<T>(&mut self, value: &Value<'_>, expected: Expect, each: impl Fn(&mut Self, &Value<'_>) -> Option<T>) -> Option<Vec<T>> {
        let Some(elements) = value.elements() else {
            self.wrong_type(value, expected);
            return None;
        };
        let read: Vec<Option<T>> = elements.iter().map(|element| each(self, element)).collect();
        read.into_iter().collect()
    }

    /// A string with its variables replaced, of any origin.
    pub(super) fn replace(&mut self, value: &Value<'_>, written: &str) -> Option<Placed<Text>> {
        let unreplaced = match Text::replace(written, self.env) {
            Ok(text) => return Some(Placed::new(text, value.span())),
            Err(unreplaced) => unreplaced,
        };
        match unreplaced {
            Unreplaced::Unset { name, piece } => {
                let what = format!("environment variable `{name}` in `{}` is not set", value.path);
                self.error(Code::Environment, self.piece(value, &piece), what, "a value for it", format!("export `{name}`, or write the value"));
            }
            Unreplaced::Malformed { piece } => {
                let what = format!("`{piece}` in `{}` can't be replaced", value.path);
                let advice = "name a variable, or write `$${` for a literal `${`";
                self.error(Code::Environment, self.piece(value, &piece), what, "`${env:NAME}`", advice);
            }
        }
        None
    }

    /// The place of a piece of a string; of the whole string where escapes hide the piece.
    fn piece(&self, value: &Value<'_>, piece: &str) -> Span {
        let whole = value.span();
        let found = self.document.text().get(whole.start..whole.end).and_then(|written| written.find(piece));
        found.map_or(whole, |at| Span { start: whole.start + at, end: whole.start + at + piece.len() })
    }
}

fn toml_key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if bare { name.to_owned() } else { format!("{name:?}") }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
