//! A Kafka broker in memory, for demos and tests: one node, no disk, no replication, nothing that survives its process.
//!
//! ```no_run
//! # fn main() -> std::io::Result<()> {
//! use weir_broker::{Broker, Config};
//!
//! let broker = Broker::bind(Config { listen: "127.0.0.1:0".into(), ..Config::default() })?.spawn()?;
//! println!("bootstrap.servers={}", broker.address());
//! broker.shutdown();
//! # Ok(())
//! # }
//! ```
//!
//! Clients see what they would see of Apache Kafka where exactly-once delivery depends on it: idempotent producers, transactions with fencing, the last stable offset,
//! offsets in transactions, groups with static members. The same checks run on both (`tests/broker`). What is different:
//!
//! - Retention is by bytes alone ([`Config::retention_bytes`]); by time nothing is dropped. Compaction is a setting that refuses null keys, and compacts nothing.
//! - Records that are compressed stay so: a time is found to the batch, not to the record; they are opened only to see their keys, for a compacted topic, up to 16 MiB.
//! - Groups speak the classic protocol. There are no users, no encryption, no quotas.
//!
//! What comes from a client is not trusted: every bound is in [`Config`], and whatever is no request closes its connection.

mod api;
mod batch;
mod clock;
mod config;
mod group;
mod log;
mod node;
mod server;
mod topic;
mod transaction;
mod wire;

pub use config::Config;
pub use server::{Broker, RunningBroker, Stats};
