//! A place in the text of one record, and the grammar of RFC 8259 from there on. Knows no columns.
//!
//! The text is UTF-8 already (`json.rs` has seen to it), so only its structure is checked here.

use super::code;
use crate::format::block::{BLOCK, block, plain_run};

/// The record is no JSON; [`Cursor::fault`] says why. Empty, so that a result of it travels in a register.
#[derive(Debug)]
pub(super) struct Broken;

/// Why a record is no JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) code: &'static str,
    /// Where, as a byte of the record.
    pub(super) at: usize,
    pub(super) expected: &'static str,
}

/// How the text of a string ended up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    Whole,
    /// It has an escaped half of a surrogate pair, which no UTF-8 text can hold; U+FFFD stands in its place.
    LoneSurrogate,
}

#[derive(Debug)]
pub(super) struct Cursor<'a> {
    /// The record and what follows it, so that blocks can be read across its end.
    chunk: &'a [u8],
    record: &'a [u8],
    at: usize,
    fault: Option<Fault>,
}

impl<'a> Cursor<'a> {
    /// At the start of the record that is the first `len` bytes of `chunk`.
    pub(super) fn new(chunk: &'a [u8], len: usize) -> Self {
        Self { chunk, record: chunk.get(..len).unwrap_or_default(), at: 0, fault: None }
    }

    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.record.get(self.at).copied()
    }

    /// What is left of the record.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.record.get(self.at..).unwrap_or_default()
    }

    /// The record from a place to here.
    #[inline]
    pub(super) fn since(&self, from: usize) -> &'a [u8] {
        self.record.get(from..self.at).unwrap_or_default()
    }

    /// The block here, which may reach beyond the record.
    #[inline]
    pub(super) fn block(&self) -> [u8; BLOCK] {
        block(self.chunk, self.at)
    }

    /// Goes over bytes that were seen to be there.
    #[inline]
    pub(super) fn advance(&mut self, bytes: usize) {
        self.at = self.at.wrapping_add(bytes);
    }

    /// Goes over the byte if it is here.
    #[inline]
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.advance(usize::from(here));
        here
    }

    #[inline]
    pub(super) fn skip_space(&mut self) {
        // Compact JSON has none: one comparison then.
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.advance(1);
        }
    }

    #[inline]
    pub(super) fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Broken> {
        if self.eat(byte) { Ok(()) } else { Err(self.broken(expected)) }
    }

    #[cold]
    pub(super) fn broken(&mut self, expected: &'static str) -> Broken {
        self.broken_by(code::JSON_SYNTAX, expected)
    }

    #[cold]
    pub(super) fn broken_by(&mut self, code: &'static str, expected: &'static str) -> Broken {
        self.fault = Some(Fault { code, at: self.at.min(self.record.len()), expected });
        Broken
    }

    /// Why the record is broken.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Appends the text of the string whose opening quote is behind, and goes past its closing quote.
    #[inline]
    pub(super) fn text(&mut self, out: &mut Vec<u8>) -> Result<Text, Broken> {
        let mut text = Text::Whole;
        loop {
            // A block is copied whole and cut to its run: two stores instead of a call to `memcpy`.
            let block = self.block();
            let run = plain_run(&block);
            let end = out.len().wrapping_add(run);
            out.extend_from_slice(&block);
            out.truncate(end);
            self.advance(run);
            match self.peek() {
                Some(b'"') => {
                    self.advance(1);
                    return Ok(text);
                }
                Some(b'\\') => {
                    if self.escape(out)? == Text::LoneSurrogate {
                        text = Text::LoneSurrogate;
                    }
                }
                Some(_) if run == BLOCK => {}
                _ => return Err(self.unended()),
            }
        }
    }

    /// The text of the string whose opening quote is behind: borrowed where nothing is escaped, otherwise put into `scratch`. `None` if it has a lone
    /// surrogate.
    #[inline]
    pub(super) fn borrow_text<'s>(&mut self, scratch: &'s mut Vec<u8>) -> Result<Option<&'s [u8]>, Broken>
    where
        'a: 's,
    {
        let from = self.at;
        if self.skip_run()? {
            let text = self.since(from);
            self.advance(1);
            return Ok(Some(text));
        }
        self.at = from;
        scratch.clear();
        Ok(match self.text(scratch)? {
            Text::Whole => Some(scratch),
            Text::LoneSurrogate => None,
        })
    }

    /// Goes past the closing quote of the string whose opening quote is behind.
    pub(super) fn skip_text(&mut self) -> Result<(), Broken> {
        while !self.skip_run()? {
            self.skip_escape()?;
        }
        self.advance(1);
        Ok(())
    }

    /// Goes to the next quote (true) or backslash (false).
    #[inline]
    fn skip_run(&mut self) -> Result<bool, Broken> {
        loop {
            let run = plain_run(&self.block());
            self.advance(run);
            match self.peek() {
                Some(b'"') => return Ok(true),
                Some(b'\\') => return Ok(false),
                Some(_) if run == BLOCK => {}
                _ => return Err(self.unended()),
            }
        }
    }

    #[cold]
    fn unended(&mut self) -> Broken {
        self.broken(match self.peek() {
            None => "a `\"` at the end of the string",
            Some(_) => "no raw control character in a string",
        })
    }

    /// Appends what the escape here stands for.
    #[inline(never)]
    fn escape(&mut self, out: &mut Vec<u8>) -> Result<Text, Broken> {
        let unit = self.skip_escape()?;
        let char = match unit {
            0xd800..0xdc00 => self.low_surrogate().map(|low| 0x1_0000 + ((u32::from(unit) - 0xd800) << 10 | low)).and_then(char::from_u32),
            _ => char::from_u32(unit.into()),
        };
        out.extend_from_slice(char.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut [0; 4]).as_bytes());
        Ok(if char.is_some() { Text::Whole } else { Text::LoneSurrogate })
    }

    /// The ten bits of the escaped low surrogate here, if there is one; else nothing is read.
    fn low_surrogate(&mut self) -> Option<u32> {
        let low = match self.rest() {
            [b'\\', b'u', hex @ ..] => hex4(hex).filter(|low| (0xdc00..0xe000).contains(low))?,
            _ => return None,
        };
        self.advance(6);
        Some(u32::from(low) - 0xdc00)
    }

    /// Goes over the escape here: what it stands for, as a unit of UTF-16.
    fn skip_escape(&mut self) -> Result<u16, Broken> {
        let (unit, len) = match self.rest() {
            [_, b'"', ..] => (b'"'.into(), 2),
            [_, b'\\', ..] => (b'\\'.into(), 2),
            [_, b'/', ..] => (b'/'.into(), 2),
            [_, b'b', ..] => (8, 2),
            [_, b'f', ..] => (12, 2),
            [_, b'n', ..] => (b'\n'.into(), 2),
            [_, b'r', ..] => (b'\r'.into(), 2),
            [_, b't', ..] => (b'\t'.into(), 2),
            [_, b'u', hex @ ..] if let Some(unit) = hex4(hex) => (unit, 6),
            _ => return Err(self.broken("an escape of JSON after `\\`")),
        };
        self.advance(len);
        Ok(unit)
    }

    /// The literal of the number here.
    pub(super) fn number(&mut self) -> Result<&'a [u8], Broken> {
        let from = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.advance(1);
            if let Some(b'+' | b'-') = self.peek() {
                self.advance(1);
            }
            self.digits()?;
        }
        Ok(self.since(from))
    }

    fn digits(&mut self) -> Result<(), Broken> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Err(self.broken("a digit"));
        }
        self.advance(digits);
        Ok(())
    }

    /// Goes over the word if it is here.
    #[inline]
    pub(super) fn word(&mut self, word: &'static str) -> bool {
        let here = self.rest().starts_with(word.as_bytes());
        self.advance(if here { word.len() } else { 0 });
        here
    }
}

/// Four hexadecimal digits.
fn hex4(text: &[u8]) -> Option<u16> {
    let digits = text.first_chunk::<4>()?;
    digits.iter().try_fold(0, |unit: u16, digit| Some(unit << 4 | char::from(*digit).to_digit(16)? as u16))
}
