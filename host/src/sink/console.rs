//! The terminal: a table an epoch, in the form of Spark's console sink. It can't deduplicate, so after a crash between delivery and its note an epoch may be shown twice.

use std::io::{self, Write as _};

use super::{DeliveryError, Outbox, Token};
use crate::format::row_json;
use crate::rows::Chunk;

/// How many rows of an epoch are shown.
const SHOWN_ROWS: usize = 20;
/// How many characters of a value are shown.
const SHOWN_CHARS: usize = 20;

/// Prints rows to standard output.
#[derive(Debug, Default)]
pub struct Console;

impl Outbox for Console {
    fn encode(&self, epoch: u64, chunks: &[Chunk]) -> anyhow::Result<Vec<u8>> {
        let rows: usize = chunks.iter().map(|chunk| chunk.rows.num_rows()).sum();
        let Some(first) = chunks.first().filter(|_| rows > 0) else { return Ok(Vec::new()) };
        let names: Vec<String> = first.rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let mut table = vec![names.clone()];
        for (chunk, row) in chunks.iter().flat_map(|chunk| (0..chunk.rows.num_rows()).map(move |row| (chunk, row))).take(SHOWN_ROWS) {
            let values: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&row_json(&chunk.rows, row))?;
            table.push(names.iter().map(|name| cell(values.get(name))).collect());
        }
        let mut text = format!("-------------------------------------------\nBatch: {epoch}\n-------------------------------------------\n");
        draw(&table, &mut text);
        if rows > SHOWN_ROWS {
            text.push_str(&format!("only showing top {SHOWN_ROWS} of {rows} rows\n"));
        }
        Ok(text.into_bytes())
    }

    fn deliver(&mut self, _token: &Token, part: &[u8]) -> Result<(), DeliveryError> {
        print(part)
    }

    fn description(&self) -> String {
        "console".to_owned()
    }

    fn deduplicates(&self) -> bool {
        false
    }
}

/// Writes to standard output, and waits until it is out.
///
/// # Errors
/// [`DeliveryError::Gone`] when whoever read it has closed it, as `head` does when it has seen enough.
pub fn print(text: &[u8]) -> Result<(), DeliveryError> {
    let mut out = io::stdout().lock();
    out.write_all(text).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => DeliveryError::Gone { receiver: "standard output" },
        _ => DeliveryError::Failed(anyhow::Error::from(error).context("write to standard output")),
    })
}

fn cell(value: Option<&serde_json::Value>) -> String {
    let text = match value {
        None | Some(serde_json::Value::Null) => "NULL".to_owned(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    if text.chars().count() <= SHOWN_CHARS || is_time(&text) {
        return text;
    }
    text.chars().take(SHOWN_CHARS - 3).chain("...".chars()).collect()
}

/// A timestamp as the JSON format writes it is never cut: its end tells windows apart.
fn is_time(text: &str) -> bool {
    text.len() == 27 && text.ends_with('Z')
}

fn draw(table: &[Vec<String>], text: &mut String) {
    let columns = table.first().map_or(0, Vec::len);
    let width = |column: usize| table.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let rule: String = widths.iter().map(|width| format!("+{}", "-".repeat(*width))).chain(["+\n".to_owned()]).collect();
    text.push_str(&rule);
    for (i, row) in table.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(&format!("|{cell:>width$}"));
        }
        text.push_str("|\n");
        if i == 0 {
            text.push_str(&rule);
        }
    }
    text.push_str(&rule);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, RecordBatch, StringArray};
    use arrow_schema::{DataType, Field, Schema};

    use super::*;
    use crate::rows::Origin;

    fn chunk(rows: i64) -> Chunk {
        let schema = Schema::new(vec![Field::new("name", DataType::Utf8, true), Field::new("n", DataType::Int64, false)]);
        let names: StringArray = (0..rows).map(|i| (i > 0).then(|| format!("row {i} with a rather long name"))).collect();
        let rows = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(names), Arc::new(Int64Array::from_iter_values(0..rows))]).unwrap();
        Chunk { rows, origin: Origin::Made }
    }

    #[test]
    fn rows_are_a_table_as_spark_prints_it() {
        let text = String::from_utf8(Console.encode(7, &[chunk(2)]).unwrap()).unwrap();
        let expected = "\
-------------------------------------------
Batch: 7
-------------------------------------------
+--------------------+-+
|                name|n|
+--------------------+-+
|                NULL|0|
|row 1 with a rath...|1|
+--------------------+-+
";
        assert_eq!(text, expected);
    }

    #[test]
    fn no_more_than_twenty_rows_are_shown() {
        let text = String::from_utf8(Console.encode(1, &[chunk(15), chunk(15)]).unwrap()).unwrap();
        assert!(text.ends_with("only showing top 20 of 30 rows\n"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with('|')).count(), 21);
    }

    #[test]
    fn an_epoch_without_rows_prints_nothing() {
        assert!(Console.encode(1, &[]).unwrap().is_empty());
    }
}
