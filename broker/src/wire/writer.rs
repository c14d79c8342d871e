//! Writes answers: small fields into a buffer, batches as they are.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut as _, Bytes, BytesMut};

/// An answer that is being written.
#[derive(Debug)]
pub(crate) struct Writer {
    version: i16,
    flexible: bool,
    /// The first part, which begins with the frame's length, as soon as there is a second one.
    head: Option<BytesMut>,
    parts: VecDeque<Bytes>,
    buffer: BytesMut,
}

/// An answer with its length in front, ready for the socket.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    parts: VecDeque<Bytes>,
}

/// Below this, a copy is cheaper than one more part: a part costs an entry in the list of the system call.
const MIN_SHARED: usize = 1024;

impl Writer {
    pub(crate) fn new(version: i16, flexible: bool) -> Self {
        let mut buffer = BytesMut::with_capacity(256);
        buffer.put_i32(0);
        Self { version, flexible, head: None, parts: VecDeque::new(), buffer }
    }

    pub(crate) fn version(&self) -> i16 {
        self.version
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Writes bytes that somebody else keeps, too.
    pub(crate) fn share(&mut self, bytes: &Bytes) {
        if bytes.len() < MIN_SHARED {
            return self.bytes(bytes);
        }
        let before = self.buffer.split();
        if self.head.is_none() {
            self.head = Some(before);
        } else if !before.is_empty() {
            self.parts.push_back(before.freeze());
        }
        self.parts.push_back(bytes.clone());
    }

    pub(crate) fn length(&mut self, length: Option<usize>) {
        if self.flexible {
            self.unsigned(length.map_or(0, |length| length + 1));
        } else {
            self.buffer.put_i32(length.map_or(-1, |length| i32::try_from(length).unwrap_or(i32::MAX)));
        }
    }

    pub(crate) fn string(&mut self, text: Option<&str>) {
        // A text that was read is never longer than this, and our own are short.
        let text = text.map(|text| text.get(..text.len().min(i16::MAX as usize)).unwrap_or_default());
        if self.flexible {
            self.unsigned(text.map_or(0, |text| text.len() + 1));
        } else {
            self.buffer.put_i16(text.map_or(-1, |text| text.len() as i16));
        }
        self.bytes(text.unwrap_or_default().as_bytes());
    }

    /// No tagged fields, said in the way of such messages.
    pub(crate) fn tags(&mut self) {
        if self.flexible {
            self.buffer.put_u8(0);
        }
    }

    /// The answer with its length.
    pub(crate) fn finish(mut self) -> Frame {
        let mut head = match self.head.take() {
            Some(head) => {
                self.parts.push_back(self.buffer.freeze());
                head
            }
            None => self.buffer,
        };
        let length = head.len() + self.parts.iter().map(Bytes::len).sum::<usize>() - size_of::<i32>();
        if let Some(place) = head.first_chunk_mut() {
            *place = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        }
        self.parts.push_front(head.freeze());
        Frame { parts: self.parts }
    }

    fn unsigned(&mut self, value: usize) {
        let mut value = value;
        while value >= 0x80 {
            self.buffer.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.put_u8(value as u8);
    }
}

impl Buf for Frame {
    fn remaining(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    fn has_remaining(&self) -> bool {
        self.parts.iter().any(|part| !part.is_empty())
    }

    fn chunk(&self) -> &[u8] {
        self.parts.iter().find(|part| !part.is_empty()).map_or(&[], |part| part)
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let parts = self.parts.iter().filter(|part| !part.is_empty());
        into.iter_mut().zip(parts).map(|(slice, part)| *slice = IoSlice::new(part)).count()
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.parts.front_mut() {
            if count < first.len() {
                return first.advance(count);
            }
            count -= first.len();
            self.parts.pop_front();
        }
    }
}
