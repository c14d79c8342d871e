#!/bin/sh
# cargo for guests: `wasm-cargo.sh build -p my-plugin --profile guest` is `cargo build .. --target wasm32-unknown-unknown`, with whatever can build for that target
# here: the toolchain in use; else that toolchain after `rustup target add`; else one made of Debian's packages, once, and kept between builds.
#
#   WEIR_WASM_TOOLCHAIN       where that last toolchain is, or is to be; default: ~/.cache/weir/rust-wasm
#   WEIR_WASM_TOOLCHAIN_ONLY  when set, only that one will do
set -eu

target=wasm32-unknown-unknown
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
prefix=${WEIR_WASM_TOOLCHAIN:-${XDG_CACHE_HOME:-$HOME/.cache}/weir/rust-wasm}

# In a build script, cargo has told us how it builds for the host; a guest is another build. The jobserver (CARGO_MAKEFLAGS) stays: the cores are shared.
unset CARGO_ENCODED_RUSTFLAGS RUSTFLAGS CARGO_BUILD_RUSTFLAGS RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER
# IMPORTANT: the outer cargo holds the lock of its target folder until the build script ends, so a nested one that used the same folder would wait for ever.
# `--target-dir` in the arguments goes before this.
if [ -n "${OUT_DIR:-}" ]; then export CARGO_TARGET_DIR="$OUT_DIR/guests"; fi
# Not as an argument: behind a `--` among the others it would be the compiler's.
export CARGO_BUILD_TARGET="$target"
# Vectors of 128 bits: wasmtime has them on every machine that it compiles for.
: "${CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=-Ctarget-feature=+simd128}"
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS

# Whether the compiler $1 is there and has a standard library for the target.
has_target() {
    for library in "$("$1" --print sysroot 2>/dev/null)/lib/rustlib/$target/lib"/libstd-*.rlib; do
        [ -e "$library" ] && return 0
    done
    return 1
}

rustc=${RUSTC:-rustc}
if [ -z "${WEIR_WASM_TOOLCHAIN_ONLY:-}" ]; then
    if has_target "$rustc" || { command -v rustup >/dev/null && rustup target add "$target" >&2 && has_target "$rustc"; }; then
        exec "${CARGO:-cargo}" "$@"
    fi
fi

if ! has_target "$prefix/bin/rustc"; then
    if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
        echo "nothing here compiles Rust for $target: run \`rustup target add $target\` (https://rustup.rs)" >&2
        exit 1
    fi
    "$here/rust-wasm-from-debian.sh" "$prefix" >&2
fi
export RUSTC="$prefix/bin/rustc" CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$prefix/bin/wasm-ld"
exec "$prefix/bin/cargo" "$@"
