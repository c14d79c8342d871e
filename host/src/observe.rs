//! What can be seen of a pipeline from outside: progress records, and the log.

pub mod progress;
pub mod telemetry;
