//! The folder around the database: who has it, and which format it is in. Both are plain files, so that they can be read before, and whatever, the database
//! is.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};

use crate::state::StateError;

/// The whole content of the file `format`.
const FORMAT: &str = "weir-state 1";

/// A process that was just killed lets its lock go a moment later, and so does one that is between fork and exec with a copy of the open file.
const TRIES: u32 = 20;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(25);

/// The lock on a folder. The operating system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock, and makes the folder if there is none.
    pub(super) fn take(folder: &Path) -> Result<Self, StateError> {
        fs::create_dir_all(folder).with_context(|| format!("make state folder `{}`", folder.display()))?;
        let path = folder.join("lock");
        let context = || format!("lock state folder with `{}`", path.display());
        // NOTE: not truncated: what is in it belongs to whoever has the lock.
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).with_context(context)?;
        let mut tries = 1;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries < TRIES => {}
                Err(TryLockError::WouldBlock) => return Err(StateError::Locked { folder: folder.to_owned(), holder: holder(&mut file) }),
                Err(TryLockError::Error(error)) => return Err(anyhow!(error).context(context()).into()),
            }
            tries += 1;
            rest();
        }
        say_who(&mut file).with_context(context)?;
        Ok(Self { _file: file })
    }
}

#[expect(clippy::disallowed_methods, reason = "std can't wait for a lock with a deadline")]
fn rest() {
    std::thread::sleep(PAUSE);
}

/// Refuses a folder of another format, and marks a new one with this.
pub(super) fn check_format(folder: &Path) -> Result<(), StateError> {
    let path = folder.join("format");
    match fs::read_to_string(&path) {
        Ok(found) if found.trim_end() == FORMAT => Ok(()),
        Ok(found) => Err(StateError::OtherFormat { folder: folder.to_owned(), found: found.trim_end().to_owned(), expected: FORMAT }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if folder.join("db").exists() {
                return Err(anyhow!(
                    "state folder `{}` has a database but no file `format`: it is no state folder of weir, or not a whole copy of one",
                    folder.display()
                )
                .into());
            }
            Ok(write_format(folder, &path).with_context(|| format!("write `{}`", path.display()))?)
        }
        Err(error) => Err(anyhow!(error).context(format!("read `{}`", path.display())).into()),
    }
}

/// IMPORTANT: durable before there is a database, so that there is never one without it.
fn write_format(folder: &Path, path: &Path) -> std::io::Result<()> {
    let temporary = folder.join("format.new");
    let mut file = File::create(&temporary)?;
    writeln!(file, "{FORMAT}")?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

fn say_who(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

/// Who has the lock, as far as they have said so.
fn holder(file: &mut File) -> String {
    let mut said = String::new();
    match file.read_to_string(&mut said).ok().and_then(|_| said.trim_end().parse::<u32>().ok()) {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}
