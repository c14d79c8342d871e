//! What time it is. The rest of the broker is told.

use std::time::{Duration, Instant, SystemTime};

/// A moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// For timeouts.
    pub(crate) at: Instant,
    /// Since the epoch, for records.
    pub(crate) ms: i64,
}

impl Now {
    #[expect(clippy::disallowed_methods, reason = "the only place that asks for the time")]
    pub(crate) fn read() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { at: Instant::now(), ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX) }
    }
}
