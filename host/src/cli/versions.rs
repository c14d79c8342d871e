//! What `weir --version` says: of Weir, and of what it stands on.

use std::sync::LazyLock;

use weir::{plugin, source, state};

/// A line for each.
pub(super) fn all() -> &'static str {
    static ALL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "{}\nplugin contract weir:plugin@{}\nwasmtime {}\nlibrdkafka {}\nRocksDB {}",
            env!("CARGO_PKG_VERSION"),
            plugin::CONTRACT_VERSION,
            plugin::WASMTIME_VERSION,
            source::kafka::client_version(),
            state::ROCKSDB_VERSION
        )
    });
    &ALL
}
