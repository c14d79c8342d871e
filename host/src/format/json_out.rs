//! JSON out: rows to one object each, without white space.
//!
//! Nulls are left out, timestamps are ISO-8601 in UTC with microseconds, floats the shortest text that reads back the same, binary values
//! base64, and `json` values stand as they are. What JSON can't say is counted ([`Lossy`]), never dropped in silence.

use anyhow::{Context, bail};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema, TimeUnit};

use self::value::View;
use super::Encoded;
use super::block::{BLOCK, append, block, plain_run};

pub(super) mod value;

/// Writes rows of one schema as JSON. Shared by threads.
#[derive(Debug)]
pub struct JsonEncoder {
    members: Vec<Member>,
}

/// What the text of some rows says less exactly than the rows did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lossy {
    /// NaN and infinities, written as null.
    pub non_finite: u64,
    /// Timestamps outside the years 0001 to 9999, written as null.
    pub bad_timestamps: u64,
    /// Values of `json` columns that are no JSON, written as strings.
    pub bad_json: u64,
}

/// A column that is written.
#[derive(Debug)]
struct Member {
    column: usize,
    /// `,"name":`, filled up to whole blocks. The comma of a row's first member becomes its brace.
    prefix: Box<[u8]>,
    prefix_len: usize,
}

impl JsonEncoder {
    /// An encoder for the columns of `schema` that are named by number, in that order.
    ///
    /// # Errors
    /// If there is no such column, or JSON can't say its type.
    pub fn new(schema: &Schema, columns: &[usize]) -> anyhow::Result<Self> {
        let members = columns.iter().map(|column| Member::new(schema, *column)).collect::<anyhow::Result<_>>()?;
        Ok(Self { members })
    }

    /// Appends one object a row. The rows have the schema that the encoder was made for.
    pub fn encode(&self, rows: &RecordBatch, out: &mut Encoded) -> Lossy {
        let views: Vec<(&Member, View<'_>)> = self.members.iter().map(|member| (member, member.view(rows))).collect();
        let mut lossy = Lossy::default();
        out.offsets.reserve(rows.num_rows());
        for row in 0..rows.num_rows() {
            let start = out.data.len();
            for (member, view) in &views {
                if view.is_null(row) {
                    continue;
                }
                append(&mut out.data, &member.prefix, 0, member.prefix_len);
                view.write_json(row, &mut out.data, &mut lossy);
            }
            match out.data.get_mut(start) {
                Some(comma) => *comma = b'{',
                None => out.data.push(b'{'),
            }
            out.data.push(b'}');
            out.end_row();
        }
        lossy
    }
}

impl Member {
    fn new(schema: &Schema, column: usize) -> anyhow::Result<Self> {
        let field = schema.fields().get(column).with_context(|| format!("there is no column {column}: the rows have {}", schema.fields().len()))?;
        match field.data_type() {
            DataType::Boolean | DataType::Int64 | DataType::Float64 | DataType::Utf8 | DataType::Binary => {}
            DataType::Timestamp(TimeUnit::Microsecond, _) => {}
            other => bail!("column `{}` has type `{other}`, which can't be written as JSON", field.name()),
        }
        let mut prefix = vec![b','];
        write_text(field.name().as_bytes(), 0, field.name().len(), &mut prefix);
        prefix.push(b':');
        let prefix_len = prefix.len();
        prefix.resize(prefix_len.next_multiple_of(BLOCK), 0);
        Ok(Self { column, prefix: prefix.into(), prefix_len })
    }

    fn view<'a>(&self, rows: &'a RecordBatch) -> View<'a> {
        #[expect(clippy::expect_used, reason = "`new` has checked the column and its type")]
        View::of(rows, self.column).expect("the rows have the schema that the encoder was made for")
    }
}

/// One row as an object of all its columns: for dead letters, the console and fixtures. Of a row that is not there, `{}`.
#[must_use]
pub fn row_json(rows: &RecordBatch, row: usize) -> String {
    let schema = rows.schema();
    let mut out = Encoded::default();
    if row < rows.num_rows() {
        let columns: Vec<usize> = (0..rows.num_columns()).collect();
        if let Ok(encoder) = JsonEncoder::new(&schema, &columns) {
            encoder.encode(&rows.slice(row, 1), &mut out);
        }
    }
    match String::from_utf8(out.data) {
        Ok(text) if !text.is_empty() => text,
        _ => "{}".to_owned(),
    }
}

impl Lossy {
    /// True if the text says all.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl std::ops::AddAssign for Lossy {
    fn add_assign(&mut self, other: Self) {
        self.non_finite += other.non_finite;
        self.bad_timestamps += other.bad_timestamps;
        self.bad_json += other.bad_json;
    }
}

/// Appends `text[from..from + len]` as a string in quotes, escaped where RFC 8259 asks for it and nowhere else.
#[inline]
pub(super) fn write_text(text: &[u8], from: usize, len: usize, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut at = from;
    let end = from.wrapping_add(len);
    while at < end {
        let block = block(text, at);
        let left = end.wrapping_sub(at);
        let run = plain_run(&block).min(left);
        let whole = out.len().wrapping_add(run);
        out.extend_from_slice(&block);
        out.truncate(whole);
        at = at.wrapping_add(run);
        if run < BLOCK.min(left) {
            write_escape(text.get(at).copied().unwrap_or_default(), out);
            at = at.wrapping_add(1);
        }
    }
    out.push(b'"');
}

#[cold]
fn write_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            #[expect(clippy::indexing_slicing, reason = "half a byte is below 16")]
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests;
