//! What a call may take.

use std::time::Duration;

/// What a call may take, and an instance hold. A call that passes one of them fails; nothing is cut silently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// CPU time of the calling thread in one call.
    pub call_cpu: Duration,
    /// Time on the wall in one call. Longer than the CPU time, so that a busy machine is not taken for a bad plugin.
    pub call_wall: Duration,
    /// Linear memory of an instance.
    pub memory_bytes: usize,
    /// What a call may answer with: this many times the bytes it got ..
    pub output_factor: usize,
    /// .. and this many bytes more.
    pub output_bytes: usize,
    /// An instance that holds more than this after a call is thrown away, because linear memory never shrinks and some language runtimes leak. An instance that
    /// begins beyond half of it is left until it has doubled.
    pub recycle_memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call_cpu: Duration::from_secs(5),
            call_wall: Duration::from_secs(30),
            memory_bytes: 256 << 20,
            output_factor: 16,
            output_bytes: 16 << 20,
            recycle_memory_bytes: 64 << 20,
        }
    }
}

impl Limits {
    /// How many bytes a call may answer that got `input` bytes.
    pub(super) fn output(&self, input: usize) -> usize {
        input.saturating_mul(self.output_factor).saturating_add(self.output_bytes)
    }
}
