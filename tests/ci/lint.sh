#!/usr/bin/env bash
# Formatting and lints; warnings are errors here, and only here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/ci/environment.sh
. tests/ci/environment.sh
tests/ci/tools.sh
cargo fmt --all --check
cargo clippy --workspace --all-targets --locked -- -D warnings
