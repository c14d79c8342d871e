//! The names of epochs, as they stand in the PREPARED record, in the marker, in file names and in messages. This module
//! owns their text; it makes none of them up: lineages and attempts are random numbers that come in from outside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::epoch::Epoch;

/// One try to make one epoch, by one process. An identity names one PREPARED record, not only a number:
/// its text is `lineage/epoch/attempt/checksum`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The life of the pipeline that the epoch belongs to.
    pub lineage: Lineage,
    /// The number of the epoch, from 1 on.
    pub epoch: Epoch,
    /// Which try this was.
    pub attempt: Attempt,
    /// Over the whole PREPARED record.
    pub checksum: Checksum,
}

/// What the commit point says was committed last. Its text is `lineage/0`, or an identity.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Marker {
    /// A life has begun and no epoch of it is committed.
    Genesis(Lineage),
    /// This epoch is the last one that is committed.
    Epoch(Identity),
}

/// One life of a pipeline: a UUID, made when its state folder is created.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lineage([u8; 16]);

/// A fresh random number for every try of an epoch in every process: 16 hexadecimal digits.
///
/// NOTE: a counter is not enough. Two copies of a state folder count alike, and then one takes the other's commit for its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attempt(pub u64);

/// A checksum over a whole PREPARED record: 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum(pub u64);

/// A text that is not the name it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not {expected}")]
pub struct Malformed {
    expected: &'static str,
    text: String,
}

impl Marker {
    /// The life that the marker belongs to.
    #[must_use]
    pub const fn lineage(&self) -> Lineage {
        match self {
            Self::Genesis(lineage) => *lineage,
            Self::Epoch(identity) => identity.lineage,
        }
    }

    /// The last committed epoch; 0 in the beginning.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        match self {
            Self::Genesis(_) => Epoch(0),
            Self::Epoch(identity) => identity.epoch,
        }
    }
}

impl Lineage {
    /// The lineage of these 16 bytes of a UUID.
    #[must_use]
    pub const fn from_bytes(uuid: [u8; 16]) -> Self {
        Self(uuid)
    }

    /// The bytes of the UUID.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.lineage, self.epoch, self.attempt, self.checksum)
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Genesis(lineage) => write!(f, "{lineage}/0"),
            Self::Epoch(identity) => identity.fmt(f),
        }
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Identity {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        parse_identity(text).ok_or_else(|| Malformed { expected: "the identity of an epoch: expected `lineage/epoch/attempt/checksum`", text: text.to_owned() })
    }
}

impl FromStr for Marker {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let marker = match text.strip_suffix("/0") {
            Some(lineage) => parse_lineage(lineage).map(Self::Genesis),
            None => parse_identity(text).map(Self::Epoch),
        };
        marker
            .ok_or_else(|| Malformed { expected: "the marker of a pipeline: expected `lineage/0` or `lineage/epoch/attempt/checksum`", text: text.to_owned() })
    }
}

impl FromStr for Lineage {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        parse_lineage(text).ok_or_else(|| Malformed { expected: "a lineage: expected a UUID in lower case", text: text.to_owned() })
    }
}

impl FromStr for Attempt {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        parse_hex(text, 16).map(Self).ok_or_else(|| Malformed { expected: "an attempt: expected 16 hexadecimal digits", text: text.to_owned() })
    }
}

impl FromStr for Checksum {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        parse_hex(text, 16).map(Self).ok_or_else(|| Malformed { expected: "a checksum: expected 16 hexadecimal digits", text: text.to_owned() })
    }
}

macro_rules! text_in_serde_and_debug {
    ($($name:ty),+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // NOTE: owned, because a reader of JSON can only lend text that has no escapes.
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )+};
}

text_in_serde_and_debug!(Identity, Marker, Lineage, Attempt, Checksum);

fn parse_identity(text: &str) -> Option<Identity> {
    let mut parts = text.split('/');
    let identity = Identity {
        lineage: parse_lineage(parts.next()?)?,
        epoch: parse_epoch(parts.next()?)?,
        attempt: Attempt(parse_hex(parts.next()?, 16)?),
        checksum: Checksum(parse_hex(parts.next()?, 16)?),
    };
    parts.next().is_none().then_some(identity)
}

fn parse_lineage(text: &str) -> Option<Lineage> {
    let mut parts = text.split('-');
    let mut uuid = 0_u128;
    for digits in [8, 4, 4, 4, 12] {
        uuid = uuid << (4 * digits) | u128::from(parse_hex(parts.next()?, digits)?);
    }
    parts.next().is_none().then_some(Lineage(uuid.to_be_bytes()))
}

/// One text for each value, so that equal texts and equal values are the same thing: no sign, no leading zero, never 0.
fn parse_epoch(text: &str) -> Option<Epoch> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    canonical.then(|| text.parse().ok()).flatten().map(Epoch)
}

fn parse_hex(text: &str, digits: usize) -> Option<u64> {
    let canonical = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    canonical.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]
mod tests {
    use super::*;

    const LINEAGE: &str = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";
    const IDENTITY: &str = "6ba7b810-9dad-41d1-80b4-00c04fd430c8/42/00000000000000ff/fedcba9876543210";

    #[test]
    fn names_come_back_from_their_text() {
        assert_eq!(LINEAGE.parse::<Lineage>().unwrap().to_string(), LINEAGE);
        assert_eq!(IDENTITY.parse::<Identity>().unwrap().to_string(), IDENTITY);
        assert_eq!(IDENTITY.parse::<Marker>().unwrap(), Marker::Epoch(IDENTITY.parse().unwrap()));
        let genesis = format!("{LINEAGE}/0");
        assert_eq!(genesis.parse::<Marker>().unwrap(), Marker::Genesis(LINEAGE.parse().unwrap()));
        assert_eq!(genesis.parse::<Marker>().unwrap().to_string(), genesis);
        let identity: Identity = IDENTITY.parse().unwrap();
        assert_eq!((identity.epoch, identity.attempt, identity.checksum), (Epoch(42), Attempt(255), Checksum(0xfedc_ba98_7654_3210)));
        assert_eq!(identity.lineage.as_bytes()[..4], [0x6b, 0xa7, 0xb8, 0x10]);
    }

    #[test]
    fn a_marker_knows_its_lineage_and_epoch() {
        let genesis: Marker = format!("{LINEAGE}/0").parse().unwrap();
        let later: Marker = IDENTITY.parse().unwrap();
        assert_eq!(genesis.lineage(), later.lineage());
        assert_eq!((genesis.epoch(), later.epoch()), (Epoch(0), Epoch(42)));
        assert_eq!(genesis.epoch().next(), Epoch(1));
    }

    #[test]
    fn text_with_a_second_spelling_is_refused() {
        let wrong = |from: &str, to: &str| IDENTITY.replacen(from, to, 1).parse::<Identity>().unwrap_err();
        wrong("6ba7", "6BA7");
        wrong("-9dad", "9-dad");
        wrong("/42", "/042");
        wrong("/42", "/+42");
        wrong("/42", "/0");
        wrong("/42", "/");
        wrong("/42", "/99999999999999999999");
        wrong("00ff", "0ff");
        wrong("00ff", "+0ff");
        wrong("fedc", "fedg");
        wrong("/42", "");
        wrong("3210", "3210/");
        LINEAGE.parse::<Marker>().unwrap_err();
        format!("{LINEAGE}/1").parse::<Marker>().unwrap_err();
        format!("{LINEAGE}-00/0").parse::<Marker>().unwrap_err();
    }

    #[test]
    fn a_malformed_name_says_what_was_expected() {
        assert_eq!(
            "x/0".parse::<Marker>().unwrap_err().to_string(),
            "`x/0` is not the marker of a pipeline: expected `lineage/0` or `lineage/epoch/attempt/checksum`"
        );
        assert_eq!("7".parse::<Attempt>().unwrap_err().to_string(), "`7` is not an attempt: expected 16 hexadecimal digits");
    }

    #[test]
    fn records_hold_names_as_text() {
        let marker: Marker = IDENTITY.parse().unwrap();
        assert_eq!(serde_json::to_string(&marker).unwrap(), format!("\"{IDENTITY}\""));
        assert_eq!(serde_json::from_str::<Marker>(&format!("\"{IDENTITY}\"")).unwrap(), marker);
        assert!(serde_json::from_str::<Attempt>("12").is_err());
        assert_eq!(serde_json::to_string(&Epoch(7)).unwrap(), "7");
    }
}
