//! What the end-to-end tests stand on: a real broker, a count of its own of what went in and came out, a hand that kills the host, and a model of the commit protocol.

pub mod broker;
pub mod checker;
pub mod clock;
pub mod commit_model;
pub mod kill;
