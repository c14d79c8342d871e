#!/bin/sh
# Builds the plugins below this folder for wasm and puts each beside its pipeline: plugins/ad-events -> plugins/ad-events/ad_events.wasm. `std` is not among them: it
# is part of `weir`, whose build makes it. So are the tests' guests in Rust: tests/guests/burn -> tests/guests/burn/burn.wasm. Usage: plugins/build.sh [NAME ..]; the target folder is CARGO_TARGET_DIR, or target/.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../target}
if [ $# -eq 0 ]; then
    for manifest in "$here"/*/Cargo.toml "$here"/../tests/guests/*/Cargo.toml; do
        name=$(basename "$(dirname "$manifest")")
        if [ "$name" != std ]; then set -- "$@" "$name"; fi
    done
fi

for name in "$@"; do
    file=$(echo "$name" | tr - _).wasm
    folder=plugins/$name
    if [ ! -d "$here/../$folder" ]; then folder=tests/guests/$name; fi
    "$here/../guest-sdk/rust/wasm-cargo.sh" build --quiet --manifest-path "$here/../$folder/Cargo.toml" --profile guest --target-dir "$target"
    # A new file under the name, never half of one: a running pipeline may watch it.
    cp "$target/wasm32-unknown-unknown/guest/weir_plugin_$file" "$here/../$folder/$file.new"
    mv "$here/../$folder/$file.new" "$here/../$folder/$file"
    echo "$folder/$file"
done
