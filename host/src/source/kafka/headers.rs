//! Record headers as JSON: `{"key": .., "value": ..}`. A value is text when it is valid UTF-8, base64 when it is not, and null when it is null.

/// Appends one header to `json`.
pub(super) fn write(json: &mut Vec<u8>, key: &str, value: Option<&[u8]>) {
    json.extend_from_slice(b"{\"key\":");
    write_text(json, key);
    json.extend_from_slice(b",\"value\":");
    match value.map(|value| (value, std::str::from_utf8(value))) {
        None => json.extend_from_slice(b"null"),
        Some((_, Ok(text))) => write_text(json, text),
        Some((bytes, Err(_))) => {
            json.push(b'"');
            write_base64(json, bytes);
            json.push(b'"');
        }
    }
    json.push(b'}');
}

fn write_text(json: &mut Vec<u8>, text: &str) {
    json.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}

/// Base64 of RFC 4648 with padding.
fn write_base64(json: &mut Vec<u8>, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for three in bytes.chunks(3) {
        let bits = three.iter().enumerate().fold(0_u32, |bits, (i, byte)| bits | u32::from(*byte) << (16 - 8 * i));
        for i in 0..4 {
            let letter = ALPHABET.get((bits >> (18 - 6 * i)) as usize & 63).copied().unwrap_or(b'=');
            json.push(if i <= three.len() { letter } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn header(key: &str, value: Option<&[u8]>) -> String {
        let mut json = Vec::new();
        write(&mut json, key, value);
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn a_header_is_text_base64_or_null() {
        assert_eq!(header("trace", Some("ä\"\\\n".as_bytes())), r#"{"key":"trace","value":"ä\"\\\n"}"#);
        assert_eq!(header("raw", Some(&[0xff])), r#"{"key":"raw","value":"/w=="}"#);
        assert_eq!(header("raw", Some(&[0xff, 0xfe])), r#"{"key":"raw","value":"//4="}"#);
        assert_eq!(header("raw", Some(&[0xff, 0xfe, 0xfd])), r#"{"key":"raw","value":"//79"}"#);
        assert_eq!(header("empty", Some(b"")), r#"{"key":"empty","value":""}"#);
        assert_eq!(header("null", None), r#"{"key":"null","value":null}"#);
    }
}
