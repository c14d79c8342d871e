//! Places where a test can kill the process, as a power cut would. `WEIR_FAILPOINT=prepared:2` kills it with SIGKILL when it passes `prepared` for the second time.
//!
//! [`hit`] does something only in builds of the `dev` profile, which are those of tests (`build.rs` sets `cfg(failpoints)` there); a released binary has no
//! failpoints. A name stands at one place in the source.

/// The state folder is locked, nothing is asked yet.
pub const LOCKED: &str = "locked";
/// `init_transactions` is answered: older producers are fenced.
pub const FENCED: &str = "fenced";
/// The marker of epoch 0 is committed; COMMITTED(0) is not written.
pub const FIRST_MARKED: &str = "first-marked";
/// COMMITTED(0) is written.
pub const FIRST_WRITTEN: &str = "first-written";
/// A PREPARED record that never happened is deleted; the epoch is not made again yet.
pub const DISCARDED: &str = "discarded";
/// An epoch's offsets, clock and watermarks are fixed; nothing is read.
pub const PLANNED: &str = "planned";
/// All records of an epoch are read, none is decoded.
pub const READ: &str = "read";
/// A plugin has answered for one chunk.
pub const PLUGIN_CALLED: &str = "plugin-called";
/// The last step is done; no sink has seen a row.
pub const STEPS_DONE: &str = "steps-done";
/// Some rows are sent inside the open transaction, others not.
pub const ROWS_SENT: &str = "rows-sent";
/// Every sink has its rows, and the broker has acknowledged them.
pub const STAGED: &str = "staged";
/// PREPARED is durable.
pub const PREPARED: &str = "prepared";
/// Offsets and marker are in the transaction; its commit is not asked for.
pub const MARKED: &str = "marked";
/// The transaction is committed; the state folder does not know.
pub const COMMITTED: &str = "committed";
/// State and COMMITTED are written.
pub const APPLIED: &str = "applied";
/// FORWARDED is written: the epoch is over.
pub const FORWARDED: &str = "forwarded";
/// The epoch's line is in the progress file.
pub const TOLD: &str = "told";

/// All of them, in the order in which a start passes them.
pub const ALL: &[&str] = &[
    LOCKED,
    FENCED,
    FIRST_MARKED,
    FIRST_WRITTEN,
    DISCARDED,
    PLANNED,
    READ,
    PLUGIN_CALLED,
    STEPS_DONE,
    ROWS_SENT,
    STAGED,
    PREPARED,
    MARKED,
    COMMITTED,
    APPLIED,
    FORWARDED,
    TOLD,
];

/// Passes the point `name`.
#[cfg(not(failpoints))]
#[inline]
pub fn hit(_name: &str) {}

/// Passes the point `name`, or does not survive it.
#[cfg(failpoints)]
#[inline]
pub fn hit(name: &str) {
    if let Some(armed) = armed::ARMED.as_ref() {
        armed.hit(name);
    }
}

#[cfg(failpoints)]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// What `WEIR_FAILPOINT` asks for; read once.
    pub(super) static ARMED: LazyLock<Option<Armed>> = LazyLock::new(|| std::env::var("WEIR_FAILPOINT").ok().map(|spec| Armed::parse(&spec)));

    pub(super) struct Armed {
        name: String,
        passes_left: AtomicU64,
    }

    impl Armed {
        fn parse(spec: &str) -> Self {
            let (name, count) = spec.split_once(':').unwrap_or((spec, "1"));
            Self { name: name.to_owned(), passes_left: AtomicU64::new(count.parse().unwrap_or(1)) }
        }

        pub(super) fn hit(&self, name: &str) {
            if self.name == name && self.passes_left.fetch_sub(1, Ordering::Relaxed) == 1 {
                die();
            }
        }
    }

    /// No destructor runs and no buffer is flushed.
    fn die() -> ! {
        // SAFETY: `kill` and `getpid` take and return plain numbers.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        // The signal ends every thread; until it does, this one must not go past the point.
        loop {
            std::thread::park();
        }
    }
}

#[cfg(all(test, failpoints))]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus};

    use super::*;

    /// Runs [`passes_two_points`] in a process of its own and says how far it came.
    fn run(failpoint: &str) -> (ExitStatus, usize) {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "failpoint::tests::passes_two_points", "--nocapture"]).env("WEIR_FAILPOINT", failpoint);
        let output = child.output().unwrap();
        (output.status, String::from_utf8_lossy(&output.stdout).matches("passed staged").count())
    }

    #[test]
    fn passes_two_points() {
        for _ in 0..3 {
            hit(PLANNED);
            hit(STAGED);
            println!("passed staged");
        }
    }

    #[test]
    fn a_process_dies_by_sigkill_when_it_passes_the_point_for_the_nth_time() {
        for (failpoint, passed) in [("staged:1", 0), ("staged:3", 2), ("planned:2", 1), ("staged", 0)] {
            let (status, times) = run(failpoint);
            assert_eq!((status.signal(), times), (Some(libc::SIGKILL), passed), "{failpoint}");
        }
    }

    #[test]
    fn a_process_survives_points_that_it_was_not_asked_to_die_at() {
        for failpoint in ["staged:4", "committed:1", ""] {
            let (status, times) = run(failpoint);
            assert!(status.success() && times == 3, "{failpoint}: {status}");
        }
    }

    #[test]
    fn no_two_points_share_a_name() {
        assert_eq!(ALL.iter().collect::<std::collections::BTreeSet<_>>().len(), ALL.len());
    }
}
