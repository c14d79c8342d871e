//! Weir: a stream host. Kafka in, event-time windows, Kafka out, exactly once; everything that is about the user's data is a WebAssembly component.
//!
//! The modules in the order of the data: a [`pipeline`] document becomes a plan; a [`source`] gives records; a [`format`] makes [`rows`] of them;
//! an [`operator`] calls a [`plugin`] and keeps [`state`] by event [`time`]; a [`sink`] takes what comes out; [`epoch`] is the line that drives all of it.

pub mod control;
pub mod epoch;
pub mod failpoint;
pub mod fixture;
pub mod format;
pub mod generate;
pub mod launch;
pub mod observe;
pub mod operator;
pub mod pipeline;
pub mod plugin;
pub mod rows;
pub mod sink;
pub mod source;
pub mod starter;
pub mod state;
pub mod time;
