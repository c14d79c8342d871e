//! Compiled code, kept by digest: compiling a Python guest takes eight seconds, loading its code 60 ms.
//!
//! A file is a SHA-256 and the code that it is of, under `<folder>/<what the code depends on>/<digest of the plugin>.cwasm`. It is written under another name and
//! renamed. Code that is damaged, cut short or of another wasmtime is compiled again.

use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::digest::Digest;

/// A folder of compiled code.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The folder, made if it has to be; none, with a warning, if it can't be or is not ours alone to write.
    pub(super) fn open(folder: &Path, engine: &Engine) -> Option<Self> {
        let folder = folder.join(dependencies(engine));
        match private_folder(&folder) {
            Ok(()) => Some(Self { folder }),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "compiled plugins are not kept: their folder can't be used");
                None
            }
        }
    }

    /// The code of a plugin, if it is here and whole.
    pub(super) fn load(&self, engine: &Engine, plugin: &Digest) -> Option<Component> {
        let file = self.file(plugin);
        let bytes = fs::read(&file).ok()?;
        let (sum, code) = bytes.split_first_chunk::<32>()?;
        if Sha256::digest(code).as_slice() != sum {
            tracing::warn!(file = %file.display(), "compiled code is damaged: it is compiled again");
            return None;
        }
        // SAFETY: machine code from a file is as trustworthy as who could write the file. `private_folder` saw that only this user can write the folder, and whoever
        // is this user needs no damaged code to run code as this user. The sum finds damage that nobody meant; wasmtime refuses code of another version,
        // configuration or CPU.
        let component = unsafe { Component::deserialize(engine, code) };
        component.inspect_err(|error| tracing::debug!(file = %file.display(), %error, "compiled code is of another engine: it is compiled again")).ok()
    }

    /// Keeps the code of a plugin. That it can't be kept costs time and nothing else.
    pub(super) fn store(&self, plugin: &Digest, component: &Component) {
        let file = self.file(plugin);
        let written = component.serialize().map_err(io::Error::other).and_then(|code| write(&file, &code));
        if let Err(error) = written {
            tracing::warn!(file = %file.display(), %error, "compiled code could not be kept");
        }
    }

    /// Where the code of a plugin is.
    pub(super) fn file(&self, plugin: &Digest) -> PathBuf {
        self.folder.join(format!("{plugin}.cwasm"))
    }
}

/// What compiled code depends on beside the plugin: wasmtime, its settings, and how this program makes components of modules.
fn dependencies(engine: &Engine) -> String {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    super::load::PREVIEW1.hash(&mut hasher);
    Digest::from_bytes(hasher.0.finalize().into()).short()
}

/// `Hash` into a digest that is the same in every build.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let metadata = fs::metadata(folder)?;
    // SAFETY: it takes nothing, touches nothing and can't fail.
    let user = unsafe { libc::geteuid() };
    if metadata.uid() != user || metadata.mode() & 0o022 != 0 {
        return Err(io::Error::other("others can write it; expected a folder of this user with mode 0700"));
    }
    Ok(())
}

fn write(file: &Path, code: &[u8]) -> io::Result<()> {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let unique = format!("{}.{}.tmp", std::process::id(), WRITTEN.fetch_add(1, Ordering::Relaxed));
    let unfinished = file.with_extension(unique);
    let write = || {
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        out.write_all(&Sha256::digest(code))?;
        out.write_all(code)?;
        fs::rename(&unfinished, file)
    };
    write().inspect_err(|_| drop(fs::remove_file(&unfinished)))
}
