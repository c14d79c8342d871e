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
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn plain_run(block: &[u8; BLOCK]) -> usize {
    // SAFETY: SSE2 is part of x86-64.
    unsafe { plain_run_sse2(block) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn plain_run_sse2(block: &[u8; BLOCK]) -> usize {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8};
    let bits = u128::from_le_bytes(*block);
    let bytes = _mm_set_epi64x((bits >> 64) as i64, bits as i64);
    let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
    let escape = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
    let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    let stops = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, escape), control)) as u32;
    // The bit past the block stops every run.
    (stops | 1 << BLOCK).trailing_zeros() as usize
}

/// How many bytes come before the first `"`, `\` or control character: [`BLOCK`] if there is none.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(super) fn plain_run(block: &[u8; BLOCK]) -> usize {
    plain_run_portable(block)
}

/// The same in a register of any machine. A borrow can only mark bytes after a true stop, so the lowest mark is exact.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline]
fn plain_run_portable(block: &[u8; BLOCK]) -> usize {
    const ONES: u128 = u128::MAX / 0xff;
    let bytes = u128::from_le_bytes(*block);
    let below = |bytes: u128, limit: u8| bytes.wrapping_sub(ONES * u128::from(limit)) & !bytes;
    let quote = below(bytes ^ (ONES * u128::from(b'"')), 1);
    let escape = below(bytes ^ (ONES * u128::from(b'\\')), 1);
    let stops = (quote | escape | below(bytes, 0x20)) & (ONES * 0x80);
    stops.trailing_zeros() as usize / 8
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
                assert_eq!(plain_run_portable(&block), expected, "byte {byte} at {place}, portable");
            }
        }
    }

    proptest! {
        #[test]
        fn both_ways_to_measure_a_run_agree(block: [u8; BLOCK]) {
            prop_assert_eq!(plain_run(&block), plain_run_portable(&block));
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
