//! Config: JSON text to the author's own type. An error says where, as a JSON pointer, so the host can name the key in the pipeline's file.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::wire::OpenError;

/// The config of a function that takes none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Reads a config; nothing and `null` are an empty object.
pub(crate) fn parse<C: DeserializeOwned>(json: &str) -> Result<C, OpenError> {
    let json = match json.trim() {
        "" | "null" => "{}",
        json => json,
    };
    let mut reader = serde_json::Deserializer::from_str(json);
    let config = serde_path_to_error::deserialize(&mut reader).map_err(|error| OpenError::config(pointer(error.path()), message(error.inner())))?;
    reader.end().map_err(|error| OpenError::config("", message(&error)))?;
    Ok(config)
}

/// The path as RFC 6901 writes it.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } | Segment::Enum { variant: key } => format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Unknown => pointer,
    })
}

/// The message without the line and column of a text that nobody sees: the host made it from the pipeline's file.
fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) if error.line() > 0 => text[..end].to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(default)]
        columns: Vec<String>,
        #[serde(default)]
        digits: i32,
    }

    #[test]
    fn an_error_names_its_place_as_a_json_pointer() {
        let error = |json| parse::<Sample>(json).unwrap_err();
        assert_eq!(error(r#"{"columns":["a",1]}"#), OpenError::config("/columns/1", "invalid type: integer `1`, expected a string"));
        assert_eq!(error(r#"{"digits":"x"}"#), OpenError::config("/digits", "invalid type: string \"x\", expected i32"));
        assert_eq!(error(r#"{"digit":1}"#), OpenError::config("/digit", "unknown field `digit`, expected `columns` or `digits`"));
        assert_eq!(error(r#"{} x"#), OpenError::config("", "trailing characters"));
    }

    #[test]
    fn no_config_is_an_empty_one() {
        assert_eq!(parse::<Sample>(""), Ok(Sample { columns: Vec::new(), digits: 0 }));
        assert_eq!(parse::<NoConfig>("null"), Ok(NoConfig {}));
        assert_eq!(parse::<NoConfig>(r#"{"a":1}"#), Err(OpenError::config("/a", "unknown field `a`, there are no fields")));
    }
}
