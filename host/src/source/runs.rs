//! Cuts the records of a partition into runs, for the sources that make them one by one.

use std::sync::Arc;

use super::{Cut, Partition, Records};

/// The runs of one partition; each is handed over when it is complete.
pub(super) struct Runs<'a> {
    cut: Cut,
    open: Records,
    each: &'a mut dyn FnMut(Arc<Records>),
}

impl<'a> Runs<'a> {
    /// The runs of a partition, without keys and headers.
    pub(super) fn new(partition: &Partition, cut: Cut, each: &'a mut dyn FnMut(Arc<Records>)) -> Self {
        Self { cut, open: Records::new(partition.clone(), false, false), each }
    }

    /// The next record.
    pub(super) fn push(&mut self, offset: i64, timestamp_ms: i64, value: Option<&[u8]>) {
        let bytes = self.open.values.data.len() + value.map_or(0, <[u8]>::len);
        if !self.open.is_empty() && (self.open.len() >= self.cut.records || bytes > self.cut.bytes) {
            self.hand_over();
        }
        self.open.offsets.push(offset);
        self.open.timestamps_ms.push(timestamp_ms);
        self.open.values.push(value);
    }

    /// The last record has come.
    pub(super) fn finish(mut self) {
        if !self.open.is_empty() {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let next = Records::new(self.open.partition.clone(), false, false);
        (self.each)(Arc::new(std::mem::replace(&mut self.open, next)));
    }
}
