//! What can be seen of a pipeline from outside: progress records, the board that the control API shows, and the log.

pub mod board;
pub mod progress;
pub mod telemetry;
