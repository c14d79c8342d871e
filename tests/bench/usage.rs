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

/// The CPU time that a running process has used so far, by `/proc/PID/stat` (clock ticks of user and system time, proc(5)).
pub(crate) fn cpu_of(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(')').context("a process's name in parentheses")?.1;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<_, _>>()?;
    // SAFETY: asks for a constant.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}
