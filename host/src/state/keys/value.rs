//! Single values as bytes in order, and back.

pub(super) const NULL: u8 = 0x00;
pub(super) const PRESENT: u8 = 0x01;
pub(super) const END_OF_BYTES: [u8; 2] = [0x00, 0x01];
const ESCAPED_ZERO: [u8; 2] = [0x00, 0xFF];
const SIGN: u64 = 1 << 63;
/// The one NaN that keys know.
pub(super) const NAN: u64 = 0x7ff8_0000_0000_0000;

/// `value` so that the order of the bytes is the order of the numbers.
pub(in crate::state) fn ordered_i64(value: i64) -> [u8; 8] {
    (value as u64 ^ SIGN).to_be_bytes()
}

/// The number that `ordered_i64` made these bytes of.
pub(in crate::state) fn from_ordered_i64(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ SIGN) as i64
}

/// The same for a double: negative ones with all bits flipped, so that the greater in size comes first; all NaN are one and above infinity, -0.0 is 0.0.
pub(super) fn ordered_f64(value: f64) -> [u8; 8] {
    // -0.0 + 0.0 is 0.0; every other number stays what it is.
    let bits = if value.is_nan() { NAN } else { (value + 0.0).to_bits() };
    let ordered = if bits & SIGN == 0 { bits ^ SIGN } else { !bits };
    ordered.to_be_bytes()
}

/// The double that `ordered_f64` made these bytes of, or would have.
pub(super) fn from_ordered_f64(bytes: [u8; 8]) -> f64 {
    let ordered = u64::from_be_bytes(bytes);
    f64::from_bits(if ordered & SIGN == 0 { !ordered } else { ordered ^ SIGN })
}

/// Appends text or bytes that have a zero byte, without the end mark.
#[cold]
pub(super) fn write_escaped(value: &[u8], out: &mut Vec<u8>) {
    for (i, run) in value.split(|&byte| byte == 0).enumerate() {
        if i > 0 {
            out.extend_from_slice(&ESCAPED_ZERO);
        }
        out.extend_from_slice(run);
    }
}

/// Takes escaped bytes off the front of `key`, through their end mark.
pub(super) fn read_escaped<'a: 'b, 'b>(key: &mut &'a [u8], unescaped: &'b mut Vec<u8>) -> Result<&'b [u8], &'static str> {
    const UNTERMINATED: &str = "00 01 at the end of text or bytes";
    unescaped.clear();
    loop {
        let zero = key.iter().position(|&byte| byte == 0).ok_or(UNTERMINATED)?;
        let (run, rest) = key.split_at_checked(zero).ok_or(UNTERMINATED)?;
        *key = rest;
        match take::<2>(key) {
            // Most values have no zero byte and need no copy.
            Some(END_OF_BYTES) if unescaped.is_empty() => return Ok(run),
            Some(END_OF_BYTES) => {
                unescaped.extend_from_slice(run);
                return Ok(unescaped);
            }
            Some(ESCAPED_ZERO) => {
                unescaped.extend_from_slice(run);
                unescaped.push(0);
            }
            _ => return Err(UNTERMINATED),
        }
    }
}

/// Takes `N` bytes off the front.
pub(super) fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*head)
}
