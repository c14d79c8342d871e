//! What the end-to-end tests stand on: a real broker, a count of its own of what went in and came out, and a hand that kills the host.

pub mod broker;
pub mod checker;
pub mod kill;
