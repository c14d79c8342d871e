//! Data types and where their values lie in a column's buffers. Knows the layout and nothing else; the rest of the crate reads and writes values through
//! [`DataType`].

use std::fmt;

pub(crate) mod layout;

/// A data type of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `boolean`
    Boolean,
    /// `int64`
    Int64,
    /// `float64`
    Float64,
    /// `timestamp`
    Timestamp,
    /// `utf8`
    Utf8,
    /// `binary`
    Binary,
    /// `json`
    Json,
}

impl Type {
    /// Every type, in the contract's order.
    pub const ALL: [Self; 7] = [Self::Boolean, Self::Int64, Self::Float64, Self::Timestamp, Self::Utf8, Self::Binary, Self::Json];

    /// What the contract and the pipelines call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Timestamp => "timestamp",
            Self::Utf8 => "utf8",
            Self::Binary => "binary",
            Self::Json => "json",
        }
    }

    /// The type of that name; none: a newer host has a type that this SDK does not know.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ty| ty.name() == name)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A point in time, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// Marks a column of JSON: its values are texts, each one JSON value.
#[derive(Debug)]
pub enum Json {}

/// Marks a column of any type, of which only nulls are looked at.
#[derive(Debug)]
pub enum Any {}

/// A Rust type that stands for a data type: `i64`, `f64`, `bool`, [`Timestamp`], `str`, `[u8]`, [`Json`].
pub trait DataType: layout::Layout {
    /// The data type.
    const TYPE: Type;
}

impl DataType for bool {
    const TYPE: Type = Type::Boolean;
}
impl DataType for i64 {
    const TYPE: Type = Type::Int64;
}
impl DataType for f64 {
    const TYPE: Type = Type::Float64;
}
impl DataType for Timestamp {
    const TYPE: Type = Type::Timestamp;
}
impl DataType for str {
    const TYPE: Type = Type::Utf8;
}
impl DataType for [u8] {
    const TYPE: Type = Type::Binary;
}
impl DataType for Json {
    const TYPE: Type = Type::Json;
}
