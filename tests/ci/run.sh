#!/usr/bin/env bash
# run.sh COMMAND ..: checks that this machine has what is needed, and runs the command in the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/ci/environment.sh
. tests/ci/environment.sh
tests/ci/tools.sh
exec "$@"
