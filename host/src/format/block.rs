//! Text in blocks of 16 bytes: how far does a string run until a byte that JSON treats specially, and short copies without a call to `memcpy`.

/// The unit of scans and short copies.
pub(super) const BLOCK: usize = 16;

/// The block at `at`. Past the end of the text it is filled with zeros, which end every run.
#[inline]
pub(super) fn block(text: &[u8], at: usize) -> [u8; BLOCK] {
    match text.get(at..).and_then(<[u8]>::first_chunk) {
        Some(block) => *block,
        None => padded(text.get(at..).unwrap_or_default()),
    }
}

/// How many bytes come before the first `"`, `\` or control character: [`BLOCK`] if there is none.
///
/// All sixteen at once, in two ordinary registers: SSE2 is 3 % faster here and needs `unsafe`.
#[inline]
pub(super) fn plain_run(block: &[u8; BLOCK]) -> usize {
    const ONES: u128 = u128::MAX / 0xff;
    const HIGH: u128 = ONES * 0x80;
    let bytes = u128::from_le_bytes(*block);
    // Bit 7 of each byte that is below the limit. A borrow can mark more, but only bytes after a true one, and the first is what counts.
    let below = |bytes: u128, limit: u8| bytes.wrapping_sub(ONES * u128::from(limit)) & !bytes;
    let quote = below(bytes ^ (ONES * u128::from(b'"')), 1);
    let escape = below(bytes ^ (ONES * u128::from(b'\\')), 1);
    let control = below(bytes, 0x20);
    ((quote | escape | control) & HIGH).trailing_zeros() as usize / 8
}

/// Appends `text[from..from + len]`, a block at a time: for short pieces of a longer text.
#[inline]
pub(super) fn append(out: &mut Vec<u8>, text: &[u8], from: usize, len: usize) {
    let end = out.len().wrapping_add(len);
    let mut copied = 0;
    while copied < len {
        out.extend_from_slice(&block(text, from.wrapping_add(copied)));
        copied = copied.wrapping_add(BLOCK);
    }
    out.truncate(end);
}

#[cold]
fn padded(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    for (to, from) in block.iter_mut().zip(rest) {
        *to = *from;
    }
    block
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_run_ends_at_every_byte_that_a_json_string_escapes_and_at_no_other() {
        for byte in 0..=255u8 {
            for place in 0..BLOCK {
                let mut block = [b'a'; BLOCK];
                block[place] = byte;
                let stops = byte < 0x20 || byte == b'"' || byte == b'\\';
                let expected = if stops { place } else { BLOCK };
                assert_eq!(plain_run(&block), expected, "byte {byte} at {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_run_is_what_a_look_at_each_byte_says(block in proptest::array::uniform16(prop_oneof![4 => any::<u8>(), 1 => 0x1du8..0x24, 1 => 0x5au8..0x5e])) {
            let slow = block.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\')).unwrap_or(BLOCK);
            prop_assert_eq!(plain_run(&block), slow);
        }

        #[test]
        fn a_piece_is_appended_whole_wherever_it_lies(text in proptest::collection::vec(any::<u8>(), 0..80), cut in 0usize..80, len in 0usize..80) {
            let from = cut.min(text.len());
            let len = len.min(text.len() - from);
            let mut out = b"before".to_vec();
            append(&mut out, &text, from, len);
            prop_assert_eq!(&out[..6], b"before");
            prop_assert_eq!(&out[6..], &text[from..from + len]);
        }
    }
}
