#!/usr/bin/env bash
# From a fresh machine with Rust, git and make to a pipeline that runs: installs what the build lacks, builds, and starts the demo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/ci/environment.sh
. tests/ci/environment.sh
tests/ci/tools.sh --install --demo
target=${CARGO_TARGET_DIR:-target}
echo "Building. The first time this compiles RocksDB, librdkafka and wasmtime: some twenty minutes on two cores." >&2
cargo build --workspace --locked
plugins/build.sh ad-events >/dev/null
exec "$target/debug/weir" demo "$@"
