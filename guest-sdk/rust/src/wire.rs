//! Rows, states and errors as they cross the boundary: the types of the interfaces `table` and `call`, field for field, so that the generated bindings use them as
//! they are. Nothing is decided here. A plugin's author meets only [`OpenError`] and [`Field`]; the rest is for a host of one's own, as the test kit is.

/// A column: Arrow's three buffers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Column {
    /// The values, little-endian, as the data type says.
    pub data: Vec<u8>,
    /// Where each value of `utf8`, `binary` and `json` begins in `data`, as u32, and where the last one ends; empty for other types.
    pub offsets: Vec<u8>,
    /// One bit a row, set where there is a value; empty: every row has one.
    pub validity: Vec<u8>,
}

/// Rows, in columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// How many rows.
    pub count: u32,
    /// The columns.
    pub columns: Vec<Column>,
}

/// Byte strings laid end to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blobs {
    /// Where each string begins in `data`, as little-endian u32, and where the last one ends.
    pub offsets: Vec<u8>,
    /// The bytes.
    pub data: Vec<u8>,
}

/// Unsigned 32-bit numbers, little-endian, four bytes each.
pub type U32s = Vec<u8>;

/// The columns of a table, in order.
pub type Schema = Vec<Field>;

/// One column of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The column's name.
    pub name: String,
    /// Its data type, such as `float64`; of a newer host it may be one that this SDK does not know.
    pub data_type: String,
    /// False: the column never holds a null.
    pub nullable: bool,
}

/// What a pipeline's step can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it does, in a line.
    pub doc: String,
    /// A JSON Schema of its config; empty: it takes none.
    pub config_schema: String,
}

/// Why a function can't be opened. The host shows it with the pipeline's file, the step and the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenError {
    /// The plugin has no such function.
    UnknownFunction,
    /// The config is wrong.
    Config(ConfigError),
    /// The input has not the columns that the function needs: which, and of what type.
    Input(String),
}

/// What is wrong in a config, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The place, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
}

impl OpenError {
    /// The config is wrong at `pointer`, such as `/columns/0`.
    #[must_use]
    pub fn config(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Config(ConfigError { pointer: pointer.into(), message: message.into() })
    }

    /// The input is not what the function needs.
    #[must_use]
    pub fn input(message: impl Into<String>) -> Self {
        Self::Input(message.into())
    }
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownFunction => f.write_str("no such function"),
            Self::Config(error) if error.pointer.is_empty() => write!(f, "config: {}", error.message),
            Self::Config(error) => write!(f, "config at `{}`: {}", error.pointer, error.message),
            Self::Input(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for OpenError {}

/// Why a call can't be served.
pub type RunError = String;

/// The time and place of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The epoch.
    pub epoch: u64,
    /// When the epoch began, in microseconds since 1970.
    pub now: i64,
    /// The event-time watermark, in microseconds since 1970.
    pub watermark: Option<i64>,
}
