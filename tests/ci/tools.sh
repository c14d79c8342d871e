#!/usr/bin/env bash
# tools.sh [--install] [--demo]: what does this machine lack to build and test, or, with --demo, to build alone? Without --install it says so in one command to
# copy, and fails; with it, it installs (Debian 12 or later; as root, or with sudo).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/ci/environment.sh
. tests/ci/environment.sh

install=0 demo=0
for option in "$@"; do
    case $option in
        --install) install=1 ;;
        --demo) demo=1 ;;
        *) echo "tools.sh: no option \`$option\`" >&2 && exit 2 ;;
    esac
done

missing=()
need() { # PACKAGE COMMAND ..: the package, unless the command succeeds
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}
some_file() { # FILE ..: whether one of them is there
    local file
    for file in "$@"; do if [ -e "$file" ]; then return 0; fi; done
    return 1
}
compiles() { echo "#include <$1>" | gcc -E - >/dev/null 2>&1; }

# librdkafka and RocksDB are C and C++; bindgen reads their headers with libclang.
need gcc command -v gcc
need g++ command -v g++
need make command -v make
need pkg-config command -v pkg-config
need libssl-dev compiles openssl/ssl.h
need zlib1g-dev compiles zlib.h
need libclang-dev some_file /usr/lib/llvm-*/lib/libclang.so* /usr/lib/*/libclang*.so* "${LIBCLANG_PATH:-/nonexistent}"/libclang*.so*
if [ "$demo" = 0 ]; then
    # Plugins in C.
    need clang-19 command -v clang-19
    need lld-19 some_file /usr/bin/wasm-ld-19 /usr/lib/llvm-19/bin/wasm-ld
    # The tests' broker is Apache Kafka, from Maven's jars.
    need default-jdk-headless command -v java
    need maven command -v mvn
    # Its certificate.
    need openssl command -v openssl
    # The page is tested in a browser.
    need nodejs command -v node
    need npm command -v npm
    need chromium some_file /usr/bin/chromium /usr/bin/chromium-browser /usr/bin/google-chrome
fi

rust=0
cargo --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1 || rust=1
if [ "$rust" = 1 ]; then
    need curl command -v curl
    need ca-certificates some_file /etc/ssl/certs/ca-certificates.crt
fi

if [ ${#missing[@]} -eq 0 ] && [ "$rust" = 0 ]; then exit 0; fi

root=()
if [ "$(id -u)" != 0 ]; then root=(sudo); fi
command=("${root[@]}" apt-get install -y --no-install-recommends "${missing[@]}")
channel=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
rustup="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --component rustfmt,clippy --default-toolchain $channel"
if command -v rustup >/dev/null; then rustup="rustup toolchain install $channel --profile minimal --component rustfmt,clippy"; fi

if [ "$install" = 0 ]; then
    echo "This machine lacks tools. \`make tools\` installs them, and so does:" >&2
    if [ ${#missing[@]} -gt 0 ]; then echo "  ${command[*]}" >&2; fi
    if [ "$rust" = 1 ]; then echo "  $rustup" >&2; fi
    exit 1
fi

if [ ${#missing[@]} -gt 0 ]; then
    if ! command -v apt-get >/dev/null; then
        echo "no apt-get here: install the like of ${missing[*]}" >&2
        exit 1
    fi
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        echo "not root, and no sudo here: let somebody who may run: apt-get install -y --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    "${root[@]}" apt-get update -q
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
fi
if [ "$rust" = 1 ]; then sh -c "$rustup"; fi
