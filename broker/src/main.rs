//! The embedded broker as a process of its own.

use std::io::Write as _;

use clap::Parser;
use weir_broker::{Broker, Config};

/// A Kafka broker in memory, for demos and tests: one node, no disk, no replication. Everything is lost when it ends.
#[derive(Debug, Parser)]
#[command(name = "weir-broker", version)]
struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    listen: String,

    /// Bytes of records that all topics keep together; beyond it the oldest are dropped
    #[arg(long, value_name = "BYTES", default_value_t = Config::default().retention_bytes)]
    retention_bytes: u64,

    /// Partitions of a topic that is made without saying how many
    #[arg(long, value_name = "COUNT", default_value_t = Config::default().default_partitions)]
    partitions: i32,

    /// Refuse topics that do not exist, instead of making them
    #[arg(long)]
    no_auto_create: bool,
}

fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let broker = Broker::bind(Config {
        listen: arguments.listen,
        retention_bytes: arguments.retention_bytes,
        default_partitions: arguments.partitions,
        auto_create_topics: !arguments.no_auto_create,
        ..Config::default()
    })?;
    tracing::info!("everything is kept in memory and lost at the end: this broker is for demos and tests");
    // The address is for whoever started this with port 0; if nobody reads it, the broker serves all the same.
    drop(writeln!(std::io::stdout(), "{}", broker.address()));
    broker.run()
}
