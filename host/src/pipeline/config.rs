//! Owns a plugin's config: the TOML that stands at `config`, kept in the order of the document and with the place of every key, because a plugin names its
//! columns by it and refuses it by JSON pointer. It leaves as JSON text.

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use super::document::{Placed, Span};
use super::text::Text;

/// A plugin's config.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub(super) root: Placed<Node>,
}

/// A value of a config. A date is text, as JSON has none.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(Text),
    List(Vec<Placed<Node>>),
    Table(Vec<(Placed<String>, Placed<Node>)>),
}

impl Config {
    /// What a step without `config` hands over: `{}`.
    pub fn empty(span: Span) -> Self {
        Self { root: Placed::new(Node::Table(Vec::new()), span) }
    }

    /// JSON in the order of the document. It holds what came from the environment: for the plugin only.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Exposed(&self.root.value))
    }

    /// What the plugin says, without the values from the environment that it may quote.
    pub(super) fn hidden_in(&self, message: &str) -> String {
        hidden_in(&self.root, message.to_owned())
    }

    /// The place of the key that a JSON pointer (RFC 6901) names; of the deepest that is there when it names a missing one.
    pub fn place(&self, pointer: &str) -> Span {
        let mut node = &self.root;
        let mut span = self.root.span;
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            let step = match &node.value {
                Node::Table(entries) => entries.iter().find(|(key, _)| key.value == token).map(|(key, value)| (key.span, value)),
                Node::List(elements) => token.parse().ok().and_then(|i: usize| elements.get(i)).map(|element| (element.span, element)),
                _ => None,
            };
            let Some((key_span, value)) = step else { break };
            (span, node) = (key_span, value);
        }
        span
    }
}

fn hidden_in(node: &Node, message: String) -> String {
    match node {
        Node::Text(text) => text.hidden_in(&message),
        Node::List(elements) => elements.iter().fold(message, |message, element| hidden_in(element, message)),
        Node::Table(entries) => entries.iter().fold(message, |message, (_, value)| hidden_in(value, message)),
        Node::Boolean(_) | Node::Integer(_) | Node::Float(_) => message,
    }
}

/// A node on its way to its plugin, the one reader that may see what came from the environment.
struct Exposed<'a>(&'a Node);

impl Serialize for Exposed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Node::Boolean(value) => serializer.serialize_bool(*value),
            Node::Integer(value) => serializer.serialize_i64(*value),
            Node::Float(value) => serializer.serialize_f64(*value),
            Node::Text(text) => serializer.serialize_str(text.expose()),
            Node::List(elements) => {
                let mut list = serializer.serialize_seq(Some(elements.len()))?;
                for element in elements {
                    list.serialize_element(&Exposed(element))?;
                }
                list.end()
            }
            Node::Table(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(&key.value, &Exposed(value))?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn at<T>(value: T, start: usize) -> Placed<T> {
        Placed::new(value, Span { start, end: start + 1 })
    }

    fn config() -> Config {
        let inner = Node::List(vec![at(Node::Integer(1), 30), at(Node::Float(1.5), 40)]);
        let entries = vec![(at("z/y".to_owned(), 10), at(inner, 20)), (at("a".to_owned(), 50), at(Node::Text(Text::plain("b")), 60))];
        Config { root: at(Node::Table(entries), 1) }
    }

    #[test]
    fn json_keeps_the_order_of_the_document() {
        assert_eq!(config().to_json().unwrap(), r#"{"z/y":[1,1.5],"a":"b"}"#);
        assert_eq!(Config::empty(Span::WHOLE).to_json().unwrap(), "{}");
    }

    #[test]
    fn a_pointer_finds_the_key_or_the_nearest_above_it() {
        let starts: Vec<usize> = ["", "/a", "/z~1y", "/z~1y/1", "/z~1y/7", "/none/at/all"].iter().map(|pointer| config().place(pointer).start).collect();
        assert_eq!(starts, [1, 50, 10, 40, 10, 1]);
    }
}
