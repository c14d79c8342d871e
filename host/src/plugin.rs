//! Plugins: code about the user's data, run as WebAssembly components. This module owns everything between an Arrow batch and a guest: compiling, instances, the
//! limits of a call, the layout of the WIT contract, and the checks without which no byte from a guest is believed. It is the only place that says wasmtime, and
//! it knows nothing of Kafka, state, offsets or any other module of this crate, because it is to become a crate of its own.
//!
//! ```text
//!  file ── load ──► Plugin ── open ──► Transform / Aggregate
//!                                        │  pool: one instance for each thread that calls
//!        RecordBatch ── convert/lower ──►│ call: deadline, memory cap, output cap, once more on a fresh instance
//!        RecordBatch ◄── convert/lift ───│ every count, offset, bitmap and text checked
//! ```
#![expect(clippy::disallowed_methods, reason = "a call has a deadline and a cost, which are the wall clock's; no guest sees that clock")]

/// The version of wasmtime, which runs plugins.
pub const WASMTIME_VERSION: &str = env!("WEIR_WASMTIME_VERSION");

mod aggregate;
mod bindings;
mod blobs;
mod cache;
mod convert;
mod digest;
mod engine;
mod error;
mod instance;
mod limits;
mod load;
mod log;
mod pool;
mod stats;
mod ticker;
mod transform;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests;

pub use aggregate::Aggregate;
pub use bindings::{Context, Description, Order, Rejection, StateIdentity, VERSION as CONTRACT_VERSION};
pub use blobs::Blobs;
pub use convert::{JSON, TYPE_KEY, data_type_text, field};
pub use digest::Digest;
pub use engine::Engine;
pub use error::{LoadError, OpenError, PluginError, Site};
pub use limits::Limits;
pub use load::{Form, Function, Interface, Plugin};
pub use stats::Stats;
pub use transform::{Transform, Transformed};
