//! Base64 of RFC 4648, section 4: the standard alphabet, padded. How binary values stand in JSON.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What a byte that is no digit decodes to.
const NO_DIGIT: u8 = 0xff;

#[expect(clippy::indexing_slicing, reason = "a constant: the compiler itself runs into a wrong index")]
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < ALPHABET.len() {
        values[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

/// The text of `bytes`.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    write(bytes, &mut out);
    out.into_iter().map(char::from).collect()
}

/// Appends the text of `bytes`.
pub(super) fn write(bytes: &[u8], out: &mut Vec<u8>) {
    let (triples, rest) = bytes.as_chunks::<3>();
    for triple in triples {
        out.extend_from_slice(&quad(*triple));
    }
    match rest {
        [a] => {
            let [first, second, ..] = quad([*a, 0, 0]);
            out.extend_from_slice(&[first, second, b'=', b'=']);
        }
        [a, b] => {
            let [first, second, third, _] = quad([*a, *b, 0]);
            out.extend_from_slice(&[first, second, third, b'=']);
        }
        _ => {}
    }
}

/// Appends the bytes of `text`. False if it is no base64; what was appended by then means nothing. One value has one text: unpadded text and bits left
/// over at its end are refused.
pub(super) fn decode(text: &[u8], out: &mut Vec<u8>) -> bool {
    let (quads, []) = text.as_chunks::<4>() else { return false };
    let Some((last, whole)) = quads.split_last() else { return true };
    for quad in whole {
        let Some(bytes) = triple(*quad) else { return false };
        out.extend_from_slice(&bytes);
    }
    let (digits, padding) = match last {
        [a, b, b'=', b'='] => ([*a, *b, b'A', b'A'], 2),
        [a, b, c, b'='] => ([*a, *b, *c, b'A'], 1),
        all => (*all, 0),
    };
    match (triple(digits), padding) {
        (Some(bytes), 0) => out.extend_from_slice(&bytes),
        (Some([a, b, 0]), 1) => out.extend_from_slice(&[a, b]),
        (Some([a, 0, 0]), 2) => out.push(a),
        _ => return false,
    }
    true
}

fn quad(bytes: [u8; 3]) -> [u8; 4] {
    let [a, b, c] = bytes.map(u32::from);
    let bits = a << 16 | b << 8 | c;
    [bits >> 18, bits >> 12, bits >> 6, bits].map(digit)
}

fn digit(bits: u32) -> u8 {
    #[expect(clippy::indexing_slicing, reason = "six bits are below 64")]
    ALPHABET[(bits & 0x3f) as usize]
}

fn triple(digits: [u8; 4]) -> Option<[u8; 3]> {
    #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
    let values = digits.map(|digit| VALUES[usize::from(digit)]);
    if values.contains(&NO_DIGIT) {
        return None;
    }
    let [a, b, c, d] = values.map(u32::from);
    let [_, bytes @ ..] = (a << 18 | b << 12 | c << 6 | d).to_be_bytes();
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(text, &mut out).then_some(out)
    }

    #[test]
    fn the_vectors_of_the_rfc_hold() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy")] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decoded(text.as_bytes()).unwrap(), bytes.as_bytes());
        }
        assert_eq!(encode(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn text_that_is_not_the_text_of_any_bytes_is_refused() {
        for text in ["Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm9v====", "Z===", "====", "Zg==Zg==", "-_-_", "Zm 9", "Zm9v\n"] {
            assert_eq!(decoded(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(decoded(encode(&bytes).as_bytes()).unwrap(), bytes);
        }
    }
}
