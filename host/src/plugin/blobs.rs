//! Byte strings laid end to end, as states travel.

/// Byte strings laid end to end: string i is `data[offsets[i]..offsets[i + 1]]`. The same layout as `blobs` of the contract, so that it goes to a guest as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blobs {
    /// One more than there are strings; the first is 0, none falls, the last is the length of `data`.
    pub offsets: Vec<u32>,
    /// The strings, end to end.
    pub data: Vec<u8>,
}

impl Blobs {
    /// No strings, with room for `count` of them and `bytes` in all.
    #[must_use]
    pub fn with_capacity(count: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(count + 1);
        offsets.push(0);
        Self { offsets, data: Vec::with_capacity(bytes) }
    }

    /// Adds a string. Together they must stay below 2^31 bytes, which is checked before they go to a guest.
    pub fn push(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
        self.offsets.push(u32::try_from(self.data.len()).unwrap_or(u32::MAX));
    }

    /// String `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let &[from, to] = self.offsets.get(index..index.checked_add(2)?)? else { return None };
        self.data.get(from as usize..to as usize)
    }

    /// How many strings there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there is no string.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The strings in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.offsets.windows(2).filter_map(|pair| match pair {
            &[from, to] => self.data.get(from as usize..to as usize),
            _ => None,
        })
    }

    /// Without the strings, keeping the room.
    pub fn clear(&mut self) {
        self.offsets.truncate(1);
        self.data.clear();
    }
}

impl Default for Blobs {
    fn default() -> Self {
        Self::with_capacity(0, 0)
    }
}
