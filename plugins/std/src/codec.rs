//! Reading and writing the fields of a state.

/// The rest of a state's bytes.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

/// A state that is not what the shape says.
#[derive(Debug)]
pub(crate) struct Torn;

impl From<Torn> for String {
    fn from(_: Torn) -> Self {
        "a state ends early or has a field that no accumulator writes".to_owned()
    }
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, Torn> {
        let (first, rest) = self.0.split_first().ok_or(Torn)?;
        self.0 = rest;
        Ok(*first)
    }

    #[inline]
    pub(crate) fn eight(&mut self) -> Result<[u8; 8], Torn> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Torn)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Torn> {
        let (first, rest) = self.0.split_at_checked(length).ok_or(Torn)?;
        self.0 = rest;
        Ok(first)
    }

    /// Bytes behind their length.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<&'a [u8], Torn> {
        let length = self.unsigned()?;
        self.bytes(usize::try_from(length).map_err(|_| Torn)?)
    }

    #[inline]
    pub(crate) fn unsigned(&mut self) -> Result<u64, Torn> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Torn)
    }

    pub(crate) fn signed(&mut self) -> Result<i128, Torn> {
        let mut zigzag = 0;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            zigzag |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((zigzag >> 1) as i128 ^ -((zigzag & 1) as i128));
            }
        }
        Err(Torn)
    }
}

#[inline]
pub(crate) fn write_unsigned(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

pub(crate) fn write_signed(value: i128, bytes: &mut Vec<u8>) {
    let mut zigzag = (value << 1 ^ value >> 127) as u128;
    while zigzag >= 0x80 {
        bytes.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    bytes.push(zigzag as u8);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back_as_they_were_written(unsigned in any::<u64>(), signed in any::<i128>(), small in -64_i128..64) {
            let mut bytes = Vec::new();
            write_unsigned(unsigned, &mut bytes);
            write_signed(signed, &mut bytes);
            let before = bytes.len();
            write_signed(small, &mut bytes);
            prop_assert_eq!(bytes.len() - before, 1);
            let mut reader = Reader(&bytes);
            prop_assert_eq!(reader.unsigned().unwrap(), unsigned);
            prop_assert_eq!(reader.signed().unwrap(), signed);
            prop_assert_eq!(reader.signed().unwrap(), small);
            prop_assert!(reader.byte().is_err());
        }

        #[test]
        fn no_bytes_make_a_reader_panic(bytes in any::<Vec<u8>>()) {
            let mut reader = Reader(&bytes);
            while reader.unsigned().is_ok() && reader.signed().is_ok() && reader.eight().is_ok() {}
        }
    }
}
