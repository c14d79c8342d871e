//! Keys of outgoing records: of one column its text (the bytes, if it is binary), of several a JSON array.

use anyhow::Context;
use arrow_array::RecordBatch;

use super::Encoded;
use super::json_out::value::View;

/// The keys of rows. Reusable: `encode_key` appends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedKeys {
    /// The text of each key; empty where it is null.
    pub keys: Encoded,
    /// True: the row has no key.
    pub nulls: Vec<bool>,
}

/// Appends the key of each row. A null in a single column is a null key; among several it is an element. Equal keys have equal bytes, and
/// different ones different bytes.
///
/// # Errors
/// If there is no such column, or JSON can't say its type.
pub fn encode_key(rows: &RecordBatch, columns: &[usize], out: &mut EncodedKeys) -> anyhow::Result<()> {
    let views = columns
        .iter()
        .map(|column| View::of(rows, *column).with_context(|| format!("key column {column} is none of the {} columns, or has no text", rows.num_columns())))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for row in 0..rows.num_rows() {
        let mut is_null = false;
        match views.as_slice() {
            [only] if only.is_null(row) => is_null = true,
            [only] => only.write_key(row, &mut out.keys.data),
            several => write_array(several, row, &mut out.keys.data),
        }
        out.keys.end_row();
        out.nulls.push(is_null);
    }
    Ok(())
}

impl EncodedKeys {
    /// The key of a row; `None` if it has none.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        if self.nulls.get(row).copied().unwrap_or(true) { None } else { self.keys.get(row) }
    }

    /// Forgets the keys and keeps the memory.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.nulls.clear();
    }
}

fn write_array(views: &[View<'_>], row: usize, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, view) in views.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if view.is_null(row) {
            out.extend_from_slice(b"null");
        } else {
            view.write_key_element(row, out);
        }
    }
    out.push(b']');
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    fn keys(columns: Vec<ArrayRef>) -> Vec<Option<String>> {
        let names = ["a", "b", "c"];
        let numbers: Vec<usize> = (0..columns.len()).collect();
        let rows = RecordBatch::try_from_iter(names.into_iter().zip(columns)).unwrap();
        let mut out = EncodedKeys::default();
        encode_key(&rows, &numbers, &mut out).unwrap();
        (0..rows.num_rows()).map(|row| out.get(row).map(|key| String::from_utf8(key.to_vec()).unwrap())).collect()
    }

    fn some(keys: &[&str]) -> Vec<Option<String>> {
        keys.iter().map(|key| Some((*key).to_owned())).collect()
    }

    #[test]
    fn the_key_of_one_column_is_its_plain_text() {
        assert_eq!(keys(vec![Arc::new(StringArray::from(vec!["a\"b", ""]))]), some(&["a\"b", ""]));
        assert_eq!(keys(vec![Arc::new(Int64Array::from(vec![i64::MIN, 7]))]), some(&["-9223372036854775808", "7"]));
        assert_eq!(keys(vec![Arc::new(Float64Array::from(vec![0.1, -0.0, f64::NAN, f64::NEG_INFINITY]))]), some(&["0.1", "-0.0", "NaN", "-Infinity"]));
        assert_eq!(keys(vec![Arc::new(BooleanArray::from(vec![true, false]))]), some(&["true", "false"]));
        assert_eq!(keys(vec![Arc::new(TimestampMicrosecondArray::from(vec![0, i64::MAX]))]), some(&["1970-01-01T00:00:00.000000Z", "9223372036854775807"]));
    }

    #[test]
    fn a_null_in_the_only_column_is_a_null_key() {
        assert_eq!(keys(vec![Arc::new(StringArray::from(vec![None, Some("x"), None]))]), [None, Some("x".to_owned()), None]);
    }

    #[test]
    fn the_key_of_a_binary_column_is_its_bytes() {
        let rows = RecordBatch::try_from_iter([("a", Arc::new(BinaryArray::from_vec(vec![b"\xff\x00"])) as ArrayRef)]).unwrap();
        let mut out = EncodedKeys::default();
        encode_key(&rows, &[0], &mut out).unwrap();
        assert_eq!(out.get(0), Some(b"\xff\x00".as_slice()));
    }

    #[test]
    fn the_key_of_several_columns_is_an_array_in_which_different_values_look_different() {
        let times = TimestampMicrosecondArray::from(vec![Some(1), Some(i64::MIN), None]);
        let names = StringArray::from(vec![Some("a\"\n"), None, Some("null")]);
        let numbers = Float64Array::from(vec![f64::INFINITY, f64::NAN, 1e20]);
        assert_eq!(
            keys(vec![Arc::new(times), Arc::new(names), Arc::new(numbers)]),
            some(&[r#"["1970-01-01T00:00:00.000001Z","a\"\n","Infinity"]"#, r#"[-9223372036854775808,null,"NaN"]"#, r#"[null,"null",1e20]"#,])
        );
    }

    #[test]
    fn a_column_that_is_not_there_is_an_error_and_no_panic() {
        let rows = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
        assert!(encode_key(&rows, &[1], &mut EncodedKeys::default()).is_err());
    }
}
