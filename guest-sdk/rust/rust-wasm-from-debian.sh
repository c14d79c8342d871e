#!/bin/bash
# Makes a Rust toolchain for wasm32-unknown-unknown in the folder PREFIX, out of Debian's packages (bookworm's `rust-web`) and nothing else, for machines that reach
# Debian's archive but not rustup's. Nothing outside PREFIX is touched; about a minute and 1.3 GB. Usage: rust-wasm-from-debian.sh PREFIX
set -euo pipefail

prefix=$(realpath -m "${1:?usage: rust-wasm-from-debian.sh PREFIX}")
usr=$prefix/usr
libraries=$usr/lib/$(uname -m)-linux-gnu
standard_library=$usr/lib/rustlib/wasm32-unknown-unknown/lib

mkdir -p "$prefix/debs" "$prefix/bin"
# Two builds may want it at the same time.
exec 9>"$prefix/lock"
flock 9
if [ -e "$standard_library" ]; then exit 0; fi

echo "making a Rust toolchain for wasm32-unknown-unknown in $prefix" >&2
cd "$prefix/debs"
apt-get download -q rustc-web cargo-web libstd-rust-web-1.96 libstd-rust-web-dev rust-web-src \
    libllvm22 libgit2-1.5 libhttp-parser2.9 libmbedcrypto7 libmbedx509-1 libmbedtls14 lld-19 libllvm19
for package in *.deb; do dpkg -x "$package" "$prefix"; done

for tool in rustc cargo rustdoc; do
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} exec %s/bin/%s "$@"\n' "$libraries" "$usr" "$tool" >"$prefix/bin/$tool"
done
printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s/lib/llvm-19/bin/wasm-ld "$@"\n' "$libraries" "$usr" >"$prefix/bin/wasm-ld"
chmod +x "$prefix"/bin/*

# Debian ships the standard library's sources but not its build for this target. One crate that is thrown away makes cargo build it; with bitcode, or guests that use
# link-time optimisation can't be linked.
seed=$(mktemp -d)
trap 'rm -rf "$seed"' EXIT
mkdir "$seed/src"
: >"$seed/src/lib.rs"
printf '[package]\nname = "seed"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n[profile.release]\npanic = "abort"\n' >"$seed/Cargo.toml"
(
    cd "$seed"
    unset CARGO_TARGET_DIR
    RUSTC=$prefix/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$prefix/bin/wasm-ld \
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=-Cembed-bitcode=yes \
        "$prefix/bin/cargo" build -q --release --target wasm32-unknown-unknown -Zbuild-std=std,panic_abort
)
rm "$seed"/target/wasm32-unknown-unknown/release/deps/libseed-*
mkdir -p "$standard_library.new"
cp "$seed"/target/wasm32-unknown-unknown/release/deps/*.rlib "$standard_library.new/"
# IMPORTANT: the folder appears whole or not at all; its presence is what says that the toolchain is ready.
mv "$standard_library.new" "$standard_library"
