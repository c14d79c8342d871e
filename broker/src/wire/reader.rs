//! Reads what a stranger has sent. Every length is compared with what is there before anything is allocated by it.

use std::fmt;

use bytes::{Buf as _, Bytes};

/// A message that is not one; the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// What is left of a message.
#[derive(Debug)]
pub(crate) struct Reader {
    rest: Bytes,
    version: i16,
    flexible: bool,
    memory_left: usize,
}

/// Memory that the arrays of one message may take. An element of two bytes on the wire may take a hundred in memory, so the length of the message is no bound. 16 MiB
/// hold a fetch from a hundred thousand partitions; more would let a few connections exhaust a small machine.
const MAX_MEMORY: usize = 16 << 20;

/// What an element costs at least: for a partition's number of four bytes a handler may keep a name beside it.
const MIN_ELEMENT: usize = 64;

impl Reader {
    /// Reads a message of this version. `flexible` messages have compact lengths and tags.
    pub(crate) fn new(message: Bytes, version: i16, flexible: bool) -> Self {
        Self { rest: message, version, flexible, memory_left: MAX_MEMORY }
    }

    pub(crate) fn version(&self) -> i16 {
        self.version
    }

    /// What was not read yet.
    pub(crate) fn rest(self) -> Bytes {
        self.rest
    }

    /// The next bytes, shared with the message.
    pub(crate) fn take(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if length > self.rest.len() {
            return Err(Malformed("it is longer than its bytes"));
        }
        Ok(self.rest.split_to(length))
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let array = *self.rest.first_chunk().ok_or(Malformed("it ends too early"))?;
        self.rest.advance(N);
        Ok(array)
    }

    /// A length of bytes or of an array; none: it is null.
    pub(crate) fn length(&mut self) -> Result<Option<usize>, Malformed> {
        if self.flexible { self.compact_length() } else { signed_length(i32::from_be_bytes(self.array()?)) }
    }

    pub(crate) fn string_length(&mut self) -> Result<Option<usize>, Malformed> {
        let length = if self.flexible { self.compact_length()? } else { signed_length(i16::from_be_bytes(self.array()?).into())? };
        if length.is_some_and(|length| length > i16::MAX as usize) {
            return Err(Malformed("a text is longer than 32767 bytes"));
        }
        Ok(length)
    }

    /// An empty vector with room for as many elements as were announced, if the message can hold them: each takes a byte at least.
    pub(crate) fn room_for<T>(&mut self, count: usize) -> Result<Vec<T>, Malformed> {
        let memory = count.saturating_mul(size_of::<T>().max(MIN_ELEMENT));
        if count > self.rest.len() || memory > self.memory_left {
            return Err(Malformed("it announces more elements than it can hold"));
        }
        self.memory_left -= memory;
        Ok(Vec::with_capacity(count))
    }

    /// Skips the tagged fields, if such messages have them.
    pub(crate) fn tags(&mut self) -> Result<(), Malformed> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.unsigned()? {
            self.unsigned()?;
            let length = self.unsigned()?;
            self.take(length as usize)?;
        }
        Ok(())
    }

    fn compact_length(&mut self) -> Result<Option<usize>, Malformed> {
        Ok(self.unsigned()?.checked_sub(1).map(|length| length as usize))
    }

    /// A variable-length integer of at most 32 bits.
    fn unsigned(&mut self) -> Result<u32, Malformed> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return u32::try_from(value).map_err(|_| Malformed("a length has more than 32 bits"));
            }
        }
        Err(Malformed("a length has more than 5 bytes"))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// -1 is null, every other negative length an error.
fn signed_length(length: i32) -> Result<Option<usize>, Malformed> {
    match usize::try_from(length) {
        Ok(length) => Ok(Some(length)),
        Err(_) if length == -1 => Ok(None),
        Err(_) => Err(Malformed("a length is negative")),
    }
}
