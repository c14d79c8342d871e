//! Write Weir plugins in Rust.
//!
//! A plugin is a crate with a few functions and one [`register!`](register!):
//!
//! - a [`Transform`] takes rows and gives rows: filter, map, flat map, parse;
//! - an [`Aggregate`] folds rows into one row a group; [`ColumnarAggregate`] does so for all groups of a call at a time.
//!
//! ```no_run
//! use weir_guest::{Column, Context, NoConfig, OpenError, Output, Rows, RunError, Transform, TransformPlan};
//!
//! struct Paid { revenue: Column<f64> }
//!
//! impl Transform for Paid {
//!     const NAME: &'static str = "paid";
//!     const DOC: &'static str = "Keeps rows that brought money.";
//!     type Config = NoConfig;
//!
//!     fn open(_: NoConfig, plan: &mut TransformPlan) -> Result<Self, OpenError> {
//!         plan.pass_all();
//!         Ok(Self { revenue: plan.input.read("revenue")? })
//!     }
//!
//!     fn run(&self, _: &Context, rows: &Rows, out: &mut Output) -> Result<(), RunError> {
//!         for (row, revenue) in rows.column(self.revenue).iter().enumerate() {
//!             if revenue > Some(0.0) {
//!                 out.keep(row);
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! weir_guest::register! { name: "shop", doc: "What a shop needs.", transforms: [Paid] }
//! ```
//!
//! With this in its `Cargo.toml`, `cargo build --release --target wasm32-unknown-unknown` makes the plugin, which Weir takes as it is, and `cargo test` tests it
//! natively, with `testing`.
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//!
//! [profile.release]
//! lto = "fat"
//! codegen-units = 1
//! panic = "abort"
//! strip = "debuginfo" # without the names of functions (`true`) the backtrace of a trap says nothing
//! ```
//!
//! Columns cross the boundary as a few buffers, and only those that a plan reads or makes cross at all: a filter that passes everything on costs a list of row
//! numbers, and a transform that keeps every row does not even send that.

pub mod log;
pub mod register;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod wire;

mod aggregate;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod bindings;
mod config;
mod context;
#[cfg(target_family = "wasm")]
mod exports;
mod output;
mod plan;
mod rows;
mod states;
mod transform;
mod types;

pub use aggregate::{Aggregate, ColumnarAggregate};
pub use config::NoConfig;
pub use context::Context;
pub use output::{Columns, Output, Rejection};
pub use plan::{AggregatePlan, Computed, Input, Order, StateIdentity, TransformPlan};
pub use rows::{Column, Groups, Rows, View};
pub use states::{NewStates, States};
pub use transform::Transform;
pub use types::layout::Number;
pub use types::{Any, DataType, Json, Timestamp, Type};
pub use wire::{Field, OpenError, RunError};
