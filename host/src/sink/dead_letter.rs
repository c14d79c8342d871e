//! What could not be delivered, and why: a record that could not be decoded, or a row that a step, the host or the broker refused. One JSON object each.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// How much of a value is kept: more would not fit into a record of the dead-letter topic together with its reason.
const MAX_VALUE_BYTES: usize = 512 << 10;

/// Something that was not delivered.
#[derive(Debug, Clone, Serialize)]
pub struct DeadLetter {
    /// What it is.
    pub kind: Kind,
    /// A short word for metrics and for finding alike letters, such as `negative-revenue`.
    pub code: String,
    /// What is wrong with it, for a person.
    pub reason: String,
    /// The source, step or sink that refused it.
    pub step: String,
    /// The digest of the plugin that refused it, when one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// The epoch in which it was refused.
    pub epoch: u64,
    /// Where it came from, when that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Place>,
    /// What it held.
    #[serde(flatten)]
    pub content: Content,
}

/// What a dead letter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A record that could not be decoded.
    Record,
    /// A row that was refused.
    Row,
}

/// A record's place in its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// The record's timestamp in milliseconds since 1970-01-01T00:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp_ms: Option<i64>,
}

/// What a dead letter held.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// A row, as it was at the step.
    Row {
        /// The row as JSON.
        row: Box<serde_json::value::RawValue>,
    },
    /// A value, as it came.
    Value(Value),
    /// Kafka's null.
    Null {
        /// Always null.
        value: (),
    },
}

/// A value as it came: as text when it is UTF-8, otherwise in base64; cut when it is long, with the whole one's length and hash.
#[derive(Debug, Clone, Serialize)]
pub struct Value {
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_sha256: Option<String>,
}

impl Content {
    /// A row, given as JSON text.
    ///
    /// # Errors
    /// When the text is no JSON.
    pub fn row(json: String) -> Result<Self, serde_json::Error> {
        Ok(Self::Row { row: serde_json::value::RawValue::from_string(json)? })
    }

    /// A record's value.
    #[must_use]
    pub fn value(bytes: Option<&[u8]>) -> Self {
        let Some(bytes) = bytes else { return Self::Null { value: () } };
        let kept = bytes.get(..MAX_VALUE_BYTES).unwrap_or(bytes);
        let cut = kept.len() < bytes.len();
        let text = match std::str::from_utf8(kept) {
            Ok(text) => Some(text.to_owned()),
            // A cut may fall into a character; what is before it is still text.
            Err(error) if cut && error.error_len().is_none() => kept.get(..error.valid_up_to()).map(|kept| String::from_utf8_lossy(kept).into_owned()),
            Err(_) => None,
        };
        Self::Value(Value {
            value_base64: text.is_none().then(|| crate::format::base64::encode(kept)),
            value: text,
            value_bytes: cut.then_some(bytes.len()),
            value_sha256: cut.then(|| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()),
        })
    }
}

impl DeadLetter {
    /// The letter as JSON.
    ///
    /// # Errors
    /// None that can come up: every field is text or a number.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn letter(content: Content) -> serde_json::Value {
        let place = Place { topic: "t".into(), partition: 3, offset: 17, timestamp_ms: None };
        let letter = DeadLetter {
            kind: Kind::Record,
            code: "json-syntax".into(),
            reason: "why".into(),
            step: "events".into(),
            plugin: None,
            epoch: 7,
            source: Some(place),
            content,
        };
        serde_json::from_slice(&letter.to_json().unwrap()).unwrap()
    }

    #[test]
    fn a_record_is_kept_as_it_came_with_its_place() {
        let expected = serde_json::json!({"kind": "record", "code": "json-syntax", "reason": "why", "step": "events", "epoch": 7,
            "source": {"topic": "t", "partition": 3, "offset": 17}, "value": "{oops"});
        assert_eq!(letter(Content::value(Some(b"{oops"))), expected);
    }

    #[test]
    fn bytes_that_are_no_text_come_in_base64_and_null_as_null() {
        assert_eq!(letter(Content::value(Some(&[0xff, 0x00])))["value_base64"], "/wA=");
        assert_eq!(letter(Content::value(None)).get("value"), Some(&serde_json::Value::Null));
    }

    #[test]
    fn a_long_value_is_cut_and_named_by_length_and_hash() {
        let long = letter(Content::value(Some("ä".repeat(300_000).as_bytes())));
        assert_eq!(long["value"].as_str().unwrap().len(), MAX_VALUE_BYTES);
        assert_eq!(long["value_bytes"], 600_000);
        assert_eq!(long["value_sha256"].as_str().unwrap().len(), 64);
    }

    #[test]
    fn a_row_is_json_inside_the_letter() {
        assert_eq!(letter(Content::row(r#"{"a":1}"#.into()).unwrap())["row"], serde_json::json!({"a": 1}));
    }
}
