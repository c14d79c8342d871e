# Sourced by the other scripts: where Rust is, and which one.

# rustup puts itself here, and into the PATH of the next login only.
if ! command -v cargo >/dev/null && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
fi

# A machine that can't download the pinned toolchain may have one that will do.
if command -v cargo >/dev/null && [ -z "${RUSTUP_TOOLCHAIN:-}" ] && ! cargo --version >/dev/null 2>&1; then
    version=$(RUSTUP_TOOLCHAIN=stable rustc --version 2>/dev/null | cut -d' ' -f2 || true)
    if [ -n "$version" ] && [ "$(printf '1.95\n%s\n' "$version" | sort -V | head -n 1)" = 1.95 ]; then
        echo "rust-toolchain.toml asks for another toolchain than this machine has; going on with stable, which is $version" >&2
        export RUSTUP_TOOLCHAIN=stable
    fi
fi
