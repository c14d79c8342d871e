//! Runs the `weir` binary as an operator would, and kills it: at random moments, or at a failpoint where it kills itself. It knows the command line and nothing
//! of what runs behind it.

use std::fs::File;
use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use weir::generate::Random;

/// A pipeline that is run again and again.
#[derive(Debug)]
pub struct Host {
    binary: PathBuf,
    pipeline: PathBuf,
    log: PathBuf,
}

/// A run that has not ended. Dropping it kills it.
#[derive(Debug)]
pub struct Run {
    child: Child,
    log: PathBuf,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself and in order.
    Finished,
    /// By SIGKILL, from outside or at a failpoint.
    Killed,
}

/// A failpoint and which pass of it is the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// One of `weir::failpoint::ALL`.
    pub point: &'static str,
    /// 1 is the first time that the run passes it.
    pub pass: u32,
}

impl Host {
    /// The pipeline of the file `pipeline`, run by the binary that `WEIR_BIN` names, or that was built beside the test.
    ///
    /// # Errors
    /// When there is no such binary.
    pub fn new(pipeline: &Path) -> anyhow::Result<Self> {
        Ok(Self::with_binary(binary()?, pipeline))
    }

    /// The same with another binary.
    #[must_use]
    pub fn with_binary(binary: PathBuf, pipeline: &Path) -> Self {
        Self { binary, pipeline: pipeline.to_owned(), log: pipeline.with_extension("log") }
    }

    /// Starts `weir run`, to die at `death` if that is given. All runs write to one log beside the pipeline's file.
    ///
    /// # Errors
    /// When the process can't be started.
    pub fn start(&self, death: Option<Death>) -> anyhow::Result<Run> {
        let mut command = Command::new(&self.binary);
        command.arg("run").arg(&self.pipeline);
        match death {
            Some(Death { point, pass }) => command.env("WEIR_FAILPOINT", format!("{point}:{pass}")),
            None => command.env_remove("WEIR_FAILPOINT"),
        };
        Run::start(command, &self.log)
    }

    /// Runs until the failpoint.
    ///
    /// # Errors
    /// When the run ends in another way: then it never came to the point, or survived it.
    pub fn die_at(&self, death: Death, patience: Duration) -> anyhow::Result<()> {
        let run = self.start(Some(death))?;
        match run.wait(patience).with_context(|| format!("wait for death at `{}`", death.point))? {
            Ending::Killed => Ok(()),
            Ending::Finished => bail!("the run never passed `{}` for the {}. time", death.point, death.pass),
        }
    }

    /// Kills `kills` runs, each after a random part of `alive`.
    ///
    /// # Errors
    /// When a run fails, or finishes before its time: then the input is too short for this many kills.
    pub fn kill_at_random(&self, random: &mut Random, kills: u32, alive: Range<Duration>) -> anyhow::Result<()> {
        let spread = u64::try_from((alive.end - alive.start).as_micros())?;
        for kill in 1..=kills {
            let time = alive.start + Duration::from_micros(random.below(spread));
            match self.start(None)?.kill_after(time)? {
                Ending::Killed => {}
                Ending::Finished => bail!("the pipeline finished before kill {kill} of {kills}: give it more input"),
            }
        }
        Ok(())
    }

    /// Lets the pipeline finish in its own time.
    ///
    /// # Errors
    /// When it fails, or takes longer than `patience`.
    pub fn finish(&self, patience: Duration) -> anyhow::Result<()> {
        let ending = self.start(None)?.wait(patience)?;
        ensure!(ending == Ending::Finished, "somebody else killed the last run");
        Ok(())
    }
}

impl Run {
    /// Starts another command; what it says goes to `log`.
    ///
    /// # Errors
    /// When the process can't be started.
    pub fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let file = File::options().create(true).append(true).open(log).with_context(|| format!("open `{}`", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("start `{}`", command.get_program().display()))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When the run fails, with the end of its log; when it takes longer than `patience`.
    pub fn wait(mut self, patience: Duration) -> anyhow::Result<Ending> {
        match self.ended_within(patience)? {
            Some(status) => self.ending(status),
            None => bail!("the run has not ended within {patience:?}; the end of its log:\n{}", tail(&self.log)),
        }
    }

    /// Kills the run after `time`, unless it ends before.
    ///
    /// # Errors
    /// When the run fails before its time, with the end of its log.
    pub fn kill_after(mut self, time: Duration) -> anyhow::Result<Ending> {
        let status = match self.ended_within(time)? {
            Some(status) => status,
            None => {
                self.child.kill().context("kill the run")?;
                self.child.wait().context("wait for the killed run")?
            }
        };
        self.ending(status)
    }

    /// The process, to be looked at in `/proc`.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it goes on for `time`.
    ///
    /// # Errors
    /// When the process can't be asked.
    pub fn lives_for(&mut self, time: Duration) -> anyhow::Result<bool> {
        Ok(self.ended_within(time)?.is_none())
    }

    /// Sends a signal such as `libc::SIGTERM` or `libc::SIGSTOP`.
    ///
    /// # Errors
    /// When the process does not take it.
    pub fn signal(&self, signal: i32) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id())?;
        // SAFETY: `kill` takes two numbers; the child is not waited for yet, so that its id is still its own.
        let result = unsafe { libc::kill(pid, signal) };
        ensure!(result == 0, "signal {signal} to process {pid}: {}", std::io::Error::last_os_error());
        Ok(())
    }

    fn ended_within(&mut self, time: Duration) -> anyhow::Result<Option<ExitStatus>> {
        let deadline = now() + time;
        loop {
            let status = self.child.try_wait().context("wait for the run")?;
            let left = deadline.saturating_duration_since(now());
            if status.is_some() || left.is_zero() {
                return Ok(status);
            }
            pause(left.min(Duration::from_millis(5)));
        }
    }

    fn ending(&self, status: ExitStatus) -> anyhow::Result<Ending> {
        match (status.success(), status.signal()) {
            (true, _) => Ok(Ending::Finished),
            (false, Some(libc::SIGKILL)) => Ok(Ending::Killed),
            _ => bail!("the run failed with {status}; the end of its log:\n{}", tail(&self.log)),
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // A run that has ended is not there to be killed: nothing to do about that, nor about anything else here.
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}

/// The `weir` binary: what `WEIR_BIN` names, or the one in the folder above the test's own executable.
///
/// # Errors
/// When there is none.
pub fn binary() -> anyhow::Result<PathBuf> {
    let binary = match std::env::var_os("WEIR_BIN") {
        Some(binary) => PathBuf::from(binary),
        None => {
            let test = std::env::current_exe().context("find the test's executable")?;
            test.ancestors().nth(2).with_context(|| format!("`{}` is not in a target folder", test.display()))?.join("weir")
        }
    };
    ensure!(binary.is_file(), "no `{}`: build it with `cargo build -p weir`, or name another one in `WEIR_BIN`", binary.display());
    Ok(binary)
}

/// The last lines of a log, as much of it as helps.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(40)).map(|line| format!("  {line}\n")).collect()
}

#[expect(clippy::disallowed_methods, reason = "another process lives by the wall clock")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "std can't wait for a process with a deadline")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A stand-in for `weir` that runs `script`.
    fn host(script: &str) -> (tempfile::TempDir, Host) {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("weir");
        std::fs::write(&binary, format!("#!/bin/sh\n[ \"$1\" = run ] || exit 9\n{script}\n")).unwrap();
        std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
        let host = Host::with_binary(binary, &folder.path().join("pipeline.toml"));
        (folder, host)
    }

    #[test]
    fn a_failpoint_is_reached_or_the_run_says_that_it_was_not() {
        let (_folder, host) = host(r#"[ "$WEIR_FAILPOINT" = staged:2 ] && kill -9 $$; exit 0"#);
        host.die_at(Death { point: "staged", pass: 2 }, PATIENCE).unwrap();
        let missed = host.die_at(Death { point: "staged", pass: 3 }, PATIENCE).unwrap_err().to_string();
        assert_eq!(missed, "the run never passed `staged` for the 3. time");
        host.finish(PATIENCE).unwrap();
    }

    #[test]
    fn random_kills_are_as_many_as_asked_and_a_pipeline_that_finishes_before_says_so() {
        let (folder, endless) = host(r#"echo start >> "$2.starts"; exec sleep 60"#);
        endless.kill_at_random(&mut Random::new(1), 4, Duration::from_millis(50)..Duration::from_millis(100)).unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("pipeline.toml.starts")).unwrap().lines().count(), 4);
        let (_folder, short) = host("exit 0");
        let error = short.kill_at_random(&mut Random::new(1), 4, PATIENCE..2 * PATIENCE).unwrap_err().to_string();
        assert_eq!(error, "the pipeline finished before kill 1 of 4: give it more input");
    }

    #[test]
    fn a_run_that_fails_shows_the_end_of_its_log() {
        let (_folder, host) = host("echo 'the state is locked' >&2; exit 3");
        let error = host.finish(PATIENCE).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("the state is locked"), "{error}");
    }

    #[test]
    fn a_run_that_hangs_is_given_up_and_killed() {
        let (folder, host) = host(r#"echo $$ > "$2.pid"; exec sleep 60"#);
        let error = host.finish(Duration::from_millis(300)).unwrap_err().to_string();
        assert!(error.contains("has not ended within 300ms"), "{error}");
        let pid = std::fs::read_to_string(folder.path().join("pipeline.toml.pid")).unwrap();
        assert!(!Path::new("/proc").join(pid.trim()).exists());
    }

    #[test]
    fn a_signal_reaches_the_run() {
        let (folder, host) = host(r#"trap 'exit 0' TERM; touch "$2.ready"; while :; do sleep 0.05; done"#);
        let run = host.start(None).unwrap();
        while !folder.path().join("pipeline.toml.ready").exists() {
            pause(Duration::from_millis(5));
        }
        run.signal(libc::SIGTERM).unwrap();
        assert_eq!(run.wait(PATIENCE).unwrap(), Ending::Finished);
    }
}
