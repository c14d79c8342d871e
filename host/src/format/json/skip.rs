//! Past a value that nobody takes apart: a field without a column, a misfit, a `json` value. Its grammar is checked all the same.
//!
//! Nothing recurses: a record of a million brackets costs their first hundred.

use super::code;
use super::cursor::{Broken, Cursor};

/// How deep a record may nest, its own braces included: what serde_json, the reader of most Rust programs, still takes. Bits of a `u128`.
const MAX_DEPTH: u32 = 127;

impl Cursor<'_> {
    /// Goes over the value here, whatever it is. The place is its first byte.
    pub(super) fn skip_value(&mut self) -> Result<(), Broken> {
        let mut open = Open::default();
        loop {
            self.skip_space();
            let begun = match self.peek() {
                Some(b'{') => self.begin(&mut open, Container::Object)?,
                Some(b'[') => self.begin(&mut open, Container::Array)?,
                _ => {
                    self.skip_scalar()?;
                    false
                }
            };
            if !begun && self.end(&mut open)? {
                return Ok(());
            }
        }
    }

    fn skip_scalar(&mut self) -> Result<(), Broken> {
        match self.peek() {
            Some(b'"') => {
                self.advance(1);
                self.skip_text()
            }
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| ()),
            _ if self.word("true") || self.word("false") || self.word("null") => Ok(()),
            _ => Err(self.broken("a value")),
        }
    }

    /// Goes into a container, to its first value. False if it has none and is behind.
    fn begin(&mut self, open: &mut Open, container: Container) -> Result<bool, Broken> {
        if !open.push(container) {
            return Err(self.broken_by(code::TOO_DEEP, "at most 127 levels of nesting"));
        }
        self.advance(1);
        self.skip_space();
        if self.eat(container.close()) {
            open.pop();
            return Ok(false);
        }
        self.skip_name_of(container)?;
        Ok(true)
    }

    /// A value is behind: goes to the next one of its container, out of those that end here. True when no container is left.
    fn end(&mut self, open: &mut Open) -> Result<bool, Broken> {
        while let Some(container) = open.last() {
            self.skip_space();
            if self.eat(b',') {
                self.skip_space();
                self.skip_name_of(container)?;
                return Ok(false);
            }
            if !self.eat(container.close()) {
                return Err(self.broken(container.expected()));
            }
            open.pop();
        }
        Ok(true)
    }

    fn skip_name_of(&mut self, container: Container) -> Result<(), Broken> {
        if container == Container::Array {
            return Ok(());
        }
        self.expect(b'"', "a name in `\"`")?;
        self.skip_text()?;
        self.skip_space();
        self.expect(b':', "`:` after the name")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

impl Container {
    fn close(self) -> u8 {
        match self {
            Self::Array => b']',
            Self::Object => b'}',
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Array => "`,` or `]`",
            Self::Object => "`,` or `}`",
        }
    }
}

/// The containers around a place, the innermost in the lowest bit; a set bit is an object.
#[derive(Debug, Default)]
struct Open {
    bits: u128,
    depth: u32,
}

impl Open {
    /// False if there is no room. The record's own braces are one level.
    fn push(&mut self, container: Container) -> bool {
        if self.depth + 1 >= MAX_DEPTH {
            return false;
        }
        self.bits = self.bits << 1 | u128::from(container == Container::Object);
        self.depth += 1;
        true
    }

    fn pop(&mut self) {
        self.bits >>= 1;
        self.depth = self.depth.saturating_sub(1);
    }

    fn last(&self) -> Option<Container> {
        let innermost = if self.bits & 1 == 1 { Container::Object } else { Container::Array };
        (self.depth > 0).then_some(innermost)
    }
}
