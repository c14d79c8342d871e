#!/usr/bin/env bash
# Builds all that the tests need and runs every test. Arguments go to `cargo test`.
#
# The same packages and profile in each call, so that cargo compiles a dependency once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/ci/environment.sh
. tests/ci/environment.sh
tests/ci/tools.sh
plugins/build.sh
# End-to-end tests run the binary that users run; `cargo test` alone does not build it for them.
cargo build --workspace --locked
cargo test --workspace --locked --no-fail-fast "$@"
