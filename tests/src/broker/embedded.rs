//! The embedded broker, in this process.

use std::time::Duration;

use weir_broker::{Broker, Config, RunningBroker};

/// As Apache Kafka is configured for the tests, so that both promise the same.
pub(super) fn start() -> anyhow::Result<RunningBroker> {
    let config = Config {
        listen: "127.0.0.1:0".into(),
        auto_create_topics: false,
        min_session_timeout: Duration::from_millis(500),
        initial_rebalance_delay: Duration::ZERO,
        // Apache Kafka answers a commit before its markers are written, and clients must bear it.
        marker_delay: Duration::from_millis(5),
        ..Config::default()
    };
    Ok(Broker::bind(config)?.spawn()?)
}
