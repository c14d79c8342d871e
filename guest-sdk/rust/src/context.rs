//! The only time and place that a plugin sees.

use crate::types::Timestamp;
use crate::wire;

/// The time and place of a call: the same for every call of an epoch, also when the epoch is made again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Context {
    /// The number of the epoch.
    pub epoch: u64,
    /// When the epoch began.
    pub now: Timestamp,
    /// The event-time watermark that the epoch works with; none: there is none yet.
    pub watermark: Option<Timestamp>,
}

impl From<wire::Context> for Context {
    fn from(context: wire::Context) -> Self {
        Self { epoch: context.epoch, now: Timestamp(context.now), watermark: context.watermark.map(Timestamp) }
    }
}
