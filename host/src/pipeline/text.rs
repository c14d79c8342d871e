//! Owns text that may come from the environment: `${env:NAME}` is replaced once, when the document is read, and the value is never printed again. The
//! environment itself comes in as a closure.

use std::fmt;

/// Text of a document. Shown as it was written, with `${env:NAME}` in place of the value, in `Display`, in `Debug` and so in every message.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text {
    written: String,
    /// What it stands for, when that is not what was written.
    replaced: Option<String>,
    /// Each `${env:NAME}` and its value.
    secrets: Vec<(String, String)>,
}

/// Why the variables of a text can't be replaced, with the piece of the text that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unreplaced {
    /// The variable is not set.
    Unset { name: String, piece: String },
    /// `${` that is not followed by `env:NAME}`.
    Malformed { piece: String },
}

impl Text {
    /// Text without variables.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { written: text.into(), replaced: None, secrets: Vec::new() }
    }

    /// Replaces each `${env:NAME}`; `$${` stands for `${`.
    pub(super) fn replace(written: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Unreplaced> {
        if !written.contains("${") {
            return Ok(Self::plain(written));
        }
        let mut value = String::new();
        let mut secrets = Vec::new();
        let mut rest = written;
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            if let Some(escaped) = before.strip_suffix('$') {
                value.push_str(escaped);
                value.push_str("${");
                rest = from.get(2..).unwrap_or_default();
                continue;
            }
            value.push_str(before);
            let (piece, after) = from.split_at(from.find('}').map_or(from.len(), |end| end + 1));
            let name = piece.strip_prefix("${env:").and_then(|name| name.strip_suffix('}')).filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| Unreplaced::Malformed { piece: piece.to_owned() })?;
            let secret = env(name).ok_or_else(|| Unreplaced::Unset { name: name.to_owned(), piece: piece.to_owned() })?;
            value.push_str(&secret);
            secrets.push((piece.to_owned(), secret));
            rest = after;
        }
        value.push_str(rest);
        Ok(Self { written: written.to_owned(), replaced: Some(value), secrets })
    }

    /// The value itself, for whoever uses it. Never for a log, a metric or an error.
    pub fn expose(&self) -> &str {
        self.replaced.as_deref().unwrap_or(&self.written)
    }

    /// Whether a part of it came from the environment.
    pub fn is_secret(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// What somebody else says, who has seen the value, with `${env:NAME}` in place of each value in it.
    pub(super) fn hidden_in(&self, message: &str) -> String {
        let secrets = self.secrets.iter().filter(|(_, secret)| !secret.is_empty());
        secrets.fold(message.to_owned(), |message, (piece, secret)| message.replace(secret.as_str(), piece))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.written, f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        (name == "PASSWORD").then(|| "hunter2".to_owned())
    }

    #[test]
    fn a_value_from_the_environment_is_never_printed() {
        let text = Text::replace("user:${env:PASSWORD}@host", &env).unwrap();
        assert_eq!(text.expose(), "user:hunter2@host");
        assert!(text.is_secret());
        assert_eq!(format!("{text} {text:?} {text:#?}"), "user:${env:PASSWORD}@host \"user:${env:PASSWORD}@host\" \"user:${env:PASSWORD}@host\"");
    }

    #[test]
    fn what_others_say_of_a_value_is_shown_without_it() {
        let text = Text::replace("user:${env:PASSWORD}", &env).unwrap();
        assert_eq!(text.hidden_in("`hunter2` is too short, not `user:hunter2`"), "`${env:PASSWORD}` is too short, not `user:${env:PASSWORD}`");
        assert_eq!(Text::replace("${env:EMPTY}", &|_| Some(String::new())).unwrap().hidden_in("as it is"), "as it is");
    }

    #[test]
    fn a_doubled_dollar_is_a_literal_one() {
        assert_eq!(Text::replace("a$${env:PASSWORD}b", &env).unwrap().expose(), "a${env:PASSWORD}b");
        assert_eq!(Text::replace("price $5 {x}", &env).unwrap().expose(), "price $5 {x}");
    }

    #[test]
    fn what_can_not_be_replaced_is_named() {
        let unset = Unreplaced::Unset { name: "NOPE".to_owned(), piece: "${env:NOPE}".to_owned() };
        assert_eq!(Text::replace("x ${env:NOPE} y", &env).unwrap_err(), unset);
        for malformed in ["${evn:PASSWORD}", "${env:}", "${env:PASSWORD"] {
            assert_eq!(Text::replace(malformed, &env).unwrap_err(), Unreplaced::Malformed { piece: malformed.to_owned() });
        }
    }
}
