//! Builds the embedded plugin `std`: a component, and the machine code that wasmtime makes of it, compiled now so that a start does not wait for it. And the plugin that
//! `weir init` writes, as a file.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use wit_component::ComponentEncoder;

#[path = "src/plugin/engine/config.rs"]
mod config;

/// What the embedded plugin is made of, seen from this folder.
const SOURCES: [&str; 7] =
    ["../plugins/std", "../plugins/starter/src", "../guest-sdk/rust", "../wit", "../Cargo.toml", "../Cargo.lock", "src/plugin/engine/config.rs"];

fn main() -> Result<()> {
    println!("cargo::rustc-check-cfg=cfg(failpoints)");
    // Failpoints are for tests: what users install has none.
    if env::var("PROFILE")? == "debug" {
        println!("cargo::rustc-cfg=failpoints");
    }
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    for variable in ["WEIR_WASM_TOOLCHAIN", "WEIR_WASM_TOOLCHAIN_ONLY"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    // What `weir --version` says.
    let lock = fs::read_to_string("../Cargo.lock").context("read `Cargo.lock`")?;
    println!("cargo::rustc-env=WEIR_WASMTIME_VERSION={}", locked(&lock, "wasmtime")?);
    let rocksdb = locked(&lock, "librocksdb-sys")?;
    println!("cargo::rustc-env=WEIR_ROCKSDB_VERSION={}", rocksdb.split_once('+').map_or(rocksdb, |(_, bundled)| bundled));
    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);
    let guests = build_guests(out)?;
    let component = componentize(&fs::read(guests.join("weir_plugin_std.wasm"))?).context("make a component of the plugin `std`")?;
    fs::copy(guests.join("weir_plugin_starter.wasm"), out.join("starter.wasm"))?;
    fs::write(out.join("std.cwasm"), compile(&component).context("compile the plugin `std`")?)?;
    fs::write(out.join("std.wasm"), component)?;
    Ok(())
}

/// Builds the core modules, in a target folder of its own: the outer cargo holds the lock of the other one. Gives the folder where they are.
fn build_guests(out: &Path) -> Result<std::path::PathBuf> {
    let manifest = fs::canonicalize("../plugins/std/Cargo.toml")?;
    let target = out.join("guests");
    let mut cargo = Command::new("../guest-sdk/rust/wasm-cargo.sh");
    cargo
        .args(["build", "-p", "weir-plugin-std", "-p", "weir-plugin-starter", "--profile", "guest"])
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target);
    let status = cargo.status().context("run `guest-sdk/rust/wasm-cargo.sh`")?;
    ensure!(status.success(), "the plugins `std` and `starter` could not be built for wasm32-unknown-unknown: see above");
    Ok(target.join("wasm32-unknown-unknown/guest"))
}

/// The version of a package in a lock file.
fn locked<'a>(lock: &'a str, package: &str) -> Result<&'a str> {
    let name = format!("name = \"{package}\"");
    let after = lock.lines().skip_while(|line| *line != name).nth(1).and_then(|line| line.strip_prefix("version = \""));
    after.and_then(|line| line.strip_suffix('"')).with_context(|| format!("`Cargo.lock` has no `{package}`"))
}

fn componentize(module: &[u8]) -> Result<Vec<u8>> {
    ComponentEncoder::default().validate(true).module(module)?.encode()
}

fn compile(component: &[u8]) -> Result<Vec<u8>> {
    let mut config = config::config();
    let target = env::var("TARGET")?;
    // Only for another machine: naming the target leaves out what this machine's CPU has beyond the least that the target promises.
    if target != env::var("HOST")? {
        config.target(&target)?;
    }
    Ok(wasmtime::Engine::new(&config)?.precompile_component(component)?)
}
