//! The terminal: a table an epoch, as Spark's console sink draws it. It can't deduplicate, so after a crash between delivery and its note an epoch may be shown twice.

use std::io::{self, Write as _};

use super::{DeliveryError, Outbox, Token};
use crate::format::row_json;
use crate::rows::Chunk;

/// How narrow a column may be, as in Spark.
const MIN_WIDTH: usize = 3;

/// Prints rows to standard output.
#[derive(Debug, Clone, Copy)]
pub struct Console {
    /// How many rows of an epoch are shown.
    pub num_rows: usize,
    /// How many characters of a value are shown; none: all of them, at the left of their column.
    pub truncate: Option<usize>,
}

impl Outbox for Console {
    fn encode(&self, epoch: u64, chunks: &[Chunk]) -> anyhow::Result<Vec<u8>> {
        let rows: usize = chunks.iter().map(|chunk| chunk.rows.num_rows()).sum();
        let Some(first) = chunks.first().filter(|_| rows > 0) else { return Ok(Vec::new()) };
        let names: Vec<String> = first.rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let mut table = vec![names.iter().map(|name| self.cell(name)).collect()];
        for (chunk, row) in chunks.iter().flat_map(|chunk| (0..chunk.rows.num_rows()).map(move |row| (chunk, row))).take(self.num_rows) {
            let values: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&row_json(&chunk.rows, row))?;
            table.push(names.iter().map(|name| self.value(values.get(name))).collect());
        }
        let mut text = format!("-------------------------------------------\nBatch: {epoch}\n-------------------------------------------\n");
        self.draw(&table, &mut text);
        if rows > self.num_rows {
            text.push_str(&format!("only showing top {} of {rows} rows\n", self.num_rows));
        }
        text.push('\n');
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

impl Console {
    fn value(&self, value: Option<&serde_json::Value>) -> String {
        match value {
            None | Some(serde_json::Value::Null) => "NULL".to_owned(),
            // A timestamp as the JSON format writes it is never cut: its end tells windows apart.
            Some(serde_json::Value::String(text)) if text.len() == 27 && text.ends_with('Z') => text.clone(),
            Some(serde_json::Value::String(text)) => self.cell(text),
            Some(other) => self.cell(&other.to_string()),
        }
    }

    /// A text that stays in its cell: cut, and without what would move the cursor or change the terminal.
    fn cell(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        for c in text.chars() {
            if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
        }
        match self.truncate {
            Some(most) if shown.chars().count() > most => match most {
                0..4 => shown.chars().take(most).collect(), // no room for dots
                _ => shown.chars().take(most - 3).chain("...".chars()).collect(),
            },
            _ => shown,
        }
    }

    fn draw(&self, table: &[Vec<String>], text: &mut String) {
        let columns = table.first().map_or(0, Vec::len);
        let width = |column: usize| table.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0).max(MIN_WIDTH);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let rule: String = widths.iter().map(|width| format!("+{}", "-".repeat(*width))).chain(["+\n".to_owned()]).collect();
        text.push_str(&rule);
        for (i, row) in table.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                match self.truncate {
                    Some(_) => text.push_str(&format!("|{cell:>width$}")),
                    None => text.push_str(&format!("|{cell:<width$}")),
                }
            }
            text.push_str("|\n");
            if i == 0 {
                text.push_str(&rule);
            }
        }
        text.push_str(&rule);
    }
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

    const SPARK: Console = Console { num_rows: 20, truncate: Some(20) };

    fn text(console: Console, epoch: u64, chunks: &[Chunk]) -> String {
        String::from_utf8(console.encode(epoch, chunks).unwrap()).unwrap()
    }

    #[test]
    fn rows_are_a_table_as_spark_prints_it() {
        let expected = "\
-------------------------------------------
Batch: 7
-------------------------------------------
+--------------------+---+
|                name|  n|
+--------------------+---+
|                NULL|  0|
|row 1 with a rath...|  1|
+--------------------+---+

";
        assert_eq!(text(SPARK, 7, &[chunk(2)]), expected);
    }

    #[test]
    fn whole_values_stand_at_the_left() {
        let expected = "\
-------------------------------------------
Batch: 7
-------------------------------------------
+-----------------------------+---+
|name                         |n  |
+-----------------------------+---+
|NULL                         |0  |
|row 1 with a rather long name|1  |
+-----------------------------+---+

";
        assert_eq!(text(Console { truncate: None, ..SPARK }, 7, &[chunk(2)]), expected);
    }

    #[test]
    fn no_more_rows_are_shown_than_asked_for() {
        let twenty = text(SPARK, 1, &[chunk(15), chunk(15)]);
        assert!(twenty.ends_with("only showing top 20 of 30 rows\n\n"), "{twenty}");
        assert_eq!(twenty.lines().filter(|line| line.starts_with('|')).count(), 21);
        let two = text(Console { num_rows: 2, ..SPARK }, 1, &[chunk(15)]);
        assert_eq!(two.lines().filter(|line| line.starts_with('|')).count(), 3);
    }

    #[test]
    fn values_can_not_leave_their_cell() {
        let console = Console { truncate: Some(3), ..SPARK };
        assert_eq!(console.cell("abcdef"), "abc");
        assert_eq!(SPARK.cell("a\nb\u{1b}[2J"), "a\\nb\\u{1b}[2J");
        assert_eq!(SPARK.cell("äöü äöü äöü äöü äöü äöü"), "äöü äöü äöü äöü ä...");
    }

    #[test]
    fn an_epoch_without_rows_prints_nothing() {
        assert!(SPARK.encode(1, &[]).unwrap().is_empty());
    }
}
