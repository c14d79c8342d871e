//! What a finished child process has used, by the operating system's own accounting.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// What a process has used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    pub(crate) peak_bytes: u64,
}

/// Runs a command to its end.
pub(crate) fn measure(command: &mut Command) -> anyhow::Result<Usage> {
    let began = Instant::now();
    let child = command.spawn().with_context(|| format!("start {command:?}"))?;
    wait(child, began)
}

/// Waits for a child that began at `began`.
pub(crate) fn wait(child: Child, began: Instant) -> anyhow::Result<Usage> {
    let pid = i32::try_from(child.id())?;
    let mut status = 0;
    // SAFETY: a plain struct of numbers, for which zeros are valid.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the child is ours and not waited for; both pointers are to locals.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut used) };
    ensure!(waited == pid && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the process ended with status {status}");
    let time = |time: libc::timeval| Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs());
    Ok(Usage { cpu: time(used.ru_utime) + time(used.ru_stime), wall: began.elapsed(), peak_bytes: used.ru_maxrss.unsigned_abs() * 1024 })
}
