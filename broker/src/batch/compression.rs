//! Opens compressed records, where a check has to see them. What is stored and sent stays as the client made it.

use std::borrow::Cow;
use std::io::Read;

/// The most that the records of a batch may come to. A batch is bounded when it is received, but its records could come to a thousand times as much.
const OPENED_BYTES: usize = 16 << 20;

/// What the Java client puts in front of snappy's blocks; librdkafka takes both forms.
const SNAPPY_BLOCKS: &[u8] = b"\x82SNAPPY\0";
/// That, and two version numbers.
const SNAPPY_HEADER_BYTES: usize = 16;

/// The records of a batch whose codec has this number (0 to 4: none, gzip, snappy, lz4, zstd). None: they can't be opened, or come to more than is allowed.
pub(super) fn open(codec: i16, records: &[u8]) -> Option<Cow<'_, [u8]>> {
    match codec {
        0 => Some(Cow::Borrowed(records)),
        1 => read(flate2::read::GzDecoder::new(records)),
        2 => snappy(records).map(Cow::Owned),
        3 => read(lz4_flex::frame::FrameDecoder::new(records)),
        4 => read(ruzstd::decoding::StreamingDecoder::new(records).ok()?),
        _ => None,
    }
}

fn read(opened: impl Read) -> Option<Cow<'static, [u8]>> {
    let mut records = Vec::new();
    opened.take(OPENED_BYTES as u64 + 1).read_to_end(&mut records).ok()?;
    (records.len() <= OPENED_BYTES).then_some(Cow::Owned(records))
}

fn snappy(records: &[u8]) -> Option<Vec<u8>> {
    if !records.starts_with(SNAPPY_BLOCKS) {
        return snappy_block(records, OPENED_BYTES);
    }
    let (mut opened, mut rest) = (Vec::new(), records.get(SNAPPY_HEADER_BYTES..)?);
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (block, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        opened.extend(snappy_block(block, OPENED_BYTES - opened.len())?);
        rest = after;
    }
    Some(opened)
}

fn snappy_block(block: &[u8], at_most: usize) -> Option<Vec<u8>> {
    // Asked first, because a decoder makes room for what the block says it holds.
    (snap::raw::decompress_len(block).ok()? <= at_most).then(|| snap::raw::Decoder::new().decompress_vec(block).ok())?
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn lz4(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_comes_to_more_than_is_allowed_is_not_opened() {
        assert_eq!(open(3, &lz4(b"records")).unwrap().as_ref(), b"records");
        assert_eq!(open(3, &lz4(&vec![0; OPENED_BYTES])).unwrap().len(), OPENED_BYTES);
        assert!(open(3, &lz4(&vec![0; OPENED_BYTES + 1])).is_none());
        // A length of 2 GB, and nothing behind it.
        assert!(open(2, &[0xff, 0xff, 0xff, 0xff, 0x07]).is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_a_codec_panic(codec in -1_i16..6, bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            drop(open(codec, &bytes));
        }
    }
}
