//! States as bytes: those that the host sends, borrowed and checked once, and those that a call makes.

use crate::rows::offsets;
use crate::wire;

/// The states of a call.
#[derive(Debug, Clone, Copy)]
pub struct States<'a> {
    offsets: &'a [[u8; 4]],
    data: &'a [u8],
}

/// States on their way out, one after the other.
#[derive(Debug)]
pub struct NewStates {
    offsets: Vec<[u8; 4]>,
    data: Vec<u8>,
}

impl<'a> States<'a> {
    pub(crate) fn new(states: &'a wire::Blobs) -> Result<Self, String> {
        let count = (states.offsets.len() / 4).saturating_sub(1);
        let offsets = offsets(&states.offsets, count, states.data.len()).ok_or("states came with offsets that do not fit their bytes")?;
        Ok(Self { offsets, data: &states.data })
    }

    /// How many states.
    #[must_use]
    pub fn len(self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Every state, in order.
    #[inline]
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a [u8]> {
        let offset = |offset: &[u8; 4]| u32::from_le_bytes(*offset) as usize;
        let ends = self.offsets.iter().skip(1);
        // The range was checked when the states came.
        self.offsets.iter().zip(ends).map(move |(from, to)| self.data.get(offset(from)..offset(to)).unwrap_or_default())
    }
}

impl NewStates {
    pub(crate) fn new(count: usize) -> Self {
        let mut offsets = Vec::with_capacity(count + 1);
        offsets.push([0; 4]);
        Self { offsets, data: Vec::with_capacity(count * 16) }
    }

    /// Adds a state.
    pub fn push(&mut self, state: &[u8]) {
        self.push_with(|bytes| bytes.extend_from_slice(state));
    }

    /// Adds a state that `write` appends to the bytes that are there already, and does nothing else to them.
    #[inline]
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.data);
        self.offsets.push((self.data.len() as u32).to_le_bytes());
    }

    pub(crate) fn finish(self, count: usize) -> Result<wire::Blobs, String> {
        if self.offsets.len() != count + 1 {
            return Err(format!("the function made {} states for {count} groups", self.offsets.len() - 1));
        }
        if i32::try_from(self.data.len()).is_err() {
            return Err(format!("the function made {} bytes of states in one call; the limit is 2 GiB", self.data.len()));
        }
        Ok(wire::Blobs { offsets: self.offsets.into_flattened(), data: self.data })
    }
}
