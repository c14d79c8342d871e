//! What was refused on the way, as dead letters.

use crate::format::row_json;
use crate::operator::decode::RejectedRecord;
use crate::operator::{RejectedRows, place_of};
use crate::sink::dead_letter::{Content, DeadLetter, Kind};

/// The letter of a record that could not be decoded.
pub(super) fn of_record(source: &str, epoch: u64, RejectedRecord { place, bad, content }: RejectedRecord) -> DeadLetter {
    DeadLetter { kind: Kind::Record, code: bad.code.to_owned(), reason: bad.reason, step: source.to_owned(), plugin: None, epoch, source: place, content }
}

/// The letters of rows that a step refused; `plugin` is the digest of the one that did.
pub(super) fn of_rows(step: &str, plugin: Option<&str>, epoch: u64, rows: &RejectedRows) -> anyhow::Result<Vec<DeadLetter>> {
    let letters = rows.rejections.iter().map(|rejection| {
        let row = rejection.row as usize;
        Ok(DeadLetter {
            kind: Kind::Row,
            code: rejection.code.clone(),
            reason: rejection.reason.clone(),
            step: step.to_owned(),
            plugin: plugin.map(str::to_owned),
            epoch,
            source: place_of(&rows.chunk.origin, row),
            content: Content::row(row_json(&rows.chunk.rows, row))?,
        })
    });
    letters.collect()
}
