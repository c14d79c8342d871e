#!/bin/sh
# Builds the guest: build.sh OUT [SOURCE], with the first of these that is there: clang-19 or clang with lld, or Zig's (`pip install ziglang`). No C library, no WASI.
set -eu

out=${1:?usage: build.sh OUT [SOURCE]}
source=${2:-filter.c}
cd "$(dirname -- "$0")/" && here=$(pwd) && cd - >/dev/null
flags="-O2 -mbulk-memory -ffreestanding -nostdlib -I$here -I$here/libc -Wall -Wextra -Wno-unused-parameter -Wl,--no-entry -Wl,--strip-debug"
sources="$here/$source $here/libc/libc.c $here/bindings/transformer.c $here/bindings/transformer_component_type.o"

for clang in clang-19 clang; do
    version=${clang#clang}
    if command -v "$clang" >/dev/null && { command -v "wasm-ld$version" || command -v wasm-ld; } >/dev/null; then
        exec "$clang" --target=wasm32 $flags -o "$out" $sources
    fi
done
if python3 -c 'import ziglang' 2>/dev/null; then
    exec python3 -m ziglang cc -target wasm32-freestanding $flags -o "$out" $sources
fi
echo "no C compiler for wasm: install \`clang-19\` and \`lld-19\` (or \`clang\` and \`lld\`), or run \`pip install ziglang\`" >&2
exit 1
