//! `weir broker`: the embedded broker in a process of its own.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use weir_broker::{Broker, Config};

#[derive(Debug, Args)]
pub(crate) struct BrokerArgs {
    /// Where to listen; port 0 takes a free one. The address is printed to standard output.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    listen: String,
    /// Bytes of records that all topics keep together; beyond it the oldest are dropped.
    #[arg(long, value_name = "BYTES", default_value_t = Config::default().retention_bytes)]
    retention_bytes: u64,
    /// Partitions of a topic that is made without saying how many.
    #[arg(long, value_name = "COUNT", default_value_t = Config::default().default_partitions)]
    partitions: i32,
    /// Refuse topics that do not exist, instead of making them.
    #[arg(long)]
    no_auto_create: bool,
}

pub(super) fn run(args: BrokerArgs) -> anyhow::Result<ExitCode> {
    let listen = args.listen.clone();
    let config = Config {
        listen: args.listen,
        retention_bytes: args.retention_bytes,
        default_partitions: args.partitions,
        auto_create_topics: !args.no_auto_create,
        ..Config::default()
    };
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("take SIGINT and SIGTERM")?;
    let broker = Broker::bind(config).with_context(|| format!("listen at `{listen}`; another address goes with `--listen`"))?.spawn()?;
    tracing::info!("everything is kept in memory and lost at the end: this broker is for demos and tests");
    super::output::say(broker.address())?;
    signals.forever().next();
    broker.shutdown();
    Ok(ExitCode::SUCCESS)
}
