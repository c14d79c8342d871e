#!/bin/sh
# Builds every plugin below this folder for wasm and puts it beside its pipeline: plugins/ad-events -> plugins/ad-events/ad_events.wasm. The `std` plugin is not
# among them: it is part of `weir`, whose build makes it. Usage: plugins/build.sh [NAME ..]; the target folder is CARGO_TARGET_DIR, or target/.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
out=${CARGO_TARGET_DIR:-$here/../target}/wasm32-unknown-unknown/guest
cd "$here"
if [ $# -eq 0 ]; then set -- $(for manifest in */Cargo.toml; do dirname "$manifest"; done | grep -v '^std$'); fi

for name in "$@"; do
    file=$(echo "$name" | tr - _).wasm
    ../guest-sdk/rust/wasm-cargo.sh build --quiet --profile guest -p "weir-plugin-$name"
    # A new file under the name, never half of one: a running pipeline may watch it.
    cp "$out/weir_plugin_$file" "$name/.$file.new"
    mv "$name/.$file.new" "$name/$file"
    echo "plugins/$name/$file"
done
