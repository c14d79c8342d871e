//! The host dies, again and again, and a checker that knows nothing of it finds every row counted once. Against a real broker, with the binary that users run.
//!
//! `WEIR_KILLS` is how often the host is killed at random moments, `WEIR_SEED` decides when. On failure the folder with pipeline, log and state is kept and named.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use weir::failpoint::{
    ALL, APPLIED, COMMITTED, DISCARDED, FENCED, FIRST_MARKED, FIRST_WRITTEN, FORWARDED, LOCKED, MARKED, PLANNED, PLUGIN_CALLED, PREPARED, READ, ROWS_SENT,
    STAGED, STEPS_DONE, TOLD,
};
use weir::generate::Random;
use weir_tests::broker::shared;
use weir_tests::checker::{Mode, Places, Report, Rules, check_places};
use weir_tests::kill::{Death, Ending, Host, Run, binary};

const MINUTE_US: i64 = 60_000_000;

/// How long a run may take that is left alone; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long a run may take to come to its failpoint. It fences whatever its predecessor left open; one that waits for the transaction's timeout of 60 s instead, as
/// a read of pending offsets does, is too slow.
const RESTART: Duration = Duration::from_secs(25);

/// A pipeline with topics and a state folder of its own.
struct Trial {
    folder: PathBuf,
    name: String,
    mode: Mode,
}

impl Trial {
    fn new(name: &str, mode: Mode) -> Self {
        let folder = tempfile::Builder::new().prefix(&format!("weir-{name}-")).tempdir().unwrap().keep();
        Self { name: folder.file_name().unwrap().to_string_lossy().into_owned(), folder, mode }
    }

    /// The pipeline, to be run with this trigger from now on.
    fn host(&self, trigger: &str, max_records: u32) -> Host {
        let (name, brokers, mode) = (&self.name, shared().bootstrap(), if self.mode == Mode::Append { "append" } else { "update" });
        let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/ad-events/ad_events.wasm");
        assert!(plugin.is_file(), "no `{}`: build the plugins with `make plugins`", plugin.display());
        let document = format!(
            r#"
name = "{name}"
trigger = "{trigger}"
state_dir = "{state}"
limits = {{ max_records = {max_records} }}

[[source]]
id = "events"
kafka = {{ brokers = "{brokers}", topics = ["{name}.in"] }}
format = "json"
event_time = {{ column = "timestamp", watermark = "1 minute" }}

[source.schema]
event_id = "utf8"
timestamp = "timestamp"
user_id = "utf8"
campaign_id = "utf8"
ad_format = "utf8"
country = "utf8"
device = "utf8?"
event_type = "utf8"
revenue = "float64?"

[[step]]
id = "clean"
input = "events"
transform = {{ plugin = "{plugin}", function = "clean", config = {{ drop_prefix = "BOT" }} }}

[[step]]
id = "by_format"
input = "clean"
key = ["event_type", "country", "ad_format"]
window = {{ tumbling = "1 minute" }}
output_mode = "{mode}"

[step.aggregate]
plugin = "std"
config = {{ event_count = "count(*)", avg_revenue = "avg(revenue)", total_revenue = "sum(revenue)" }}

[[sink]]
input = "by_format"
format = "json"

[sink.kafka]
topic = "{name}.out"
key = ["window_start", "event_type", "country", "ad_format"]
create = {{ partitions = 4, replication = 1 }}

[dead_letters]
kafka = {{ topic = "{name}.dead", create = {{ partitions = 4, replication = 1 }} }}
"#,
            state = self.state_dir().display(),
            plugin = plugin.display(),
        );
        let file = self.folder.join("pipeline.toml");
        std::fs::write(&file, document).unwrap();
        Host::new(&file).unwrap()
    }

    /// Sends events of a day long past to the pipeline's input.
    fn generate(&self, options: &[&str]) -> Run {
        let mut command = Command::new(binary().unwrap());
        command.args(["generate", "ad-events", "--start", "2025-12-16T02:00:00", "--brokers", &shared().bootstrap(), "--topic", &format!("{}.in", self.name)]);
        command.args(options);
        Run::start(command, &self.folder.join("generate.log")).unwrap()
    }

    fn check(&self) -> Report {
        let topic = |what: &str| format!("{}.{what}", self.name);
        let (brokers, input, output, dead_letters) = (shared().bootstrap(), topic("in"), topic("out"), topic("dead"));
        let state_dir = self.state_dir();
        let places = Places { brokers: &brokers, input: &input, output: &output, dead_letters: &dead_letters, state_dir: &state_dir };
        let report = check_places(&places, &Rules { delay_us: MINUTE_US, window_us: MINUTE_US, mode: self.mode }).unwrap();
        let report = report.into_result().unwrap_or_else(|faults| panic!("{faults:#}\nsee `{}`", self.folder.display()));
        println!("{}: {report}", self.name);
        assert!(report.progress_is_whole, "an epoch was never told of; see `{}`", self.folder.display());
        report
    }

    fn die_at_every_failpoint(&self, records: &str, max_records: u32) -> Report {
        assert_eq!(self.generate(&["--rate", "0", "--count", records]).wait(PATIENCE).unwrap(), Ending::Finished);
        let host = self.host("available-now", max_records);
        for (point, pass) in DEATHS {
            host.die_at(Death { point, pass }, RESTART).unwrap_or_else(|error| panic!("{error:#}\nsee `{}`", self.folder.display()));
        }
        host.finish(PATIENCE).unwrap();
        self.check()
    }

    fn state_dir(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn clean_up(self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("`{variable}` is `{text}`, which is no number")))
}

#[test]
fn a_host_that_is_killed_at_random_moments_neither_loses_nor_doubles_a_row() {
    let trial = Trial::new("random", Mode::Update);
    let (kills, seed) = (number("WEIR_KILLS", 30), number("WEIR_SEED", 1));
    // A minute of events in a second, so that windows open and close between the kills.
    let traffic = trial.generate(&["--rate", "4000", "--speed", "60"]);
    let host = trial.host("asap", 1_000);
    let alive = Duration::from_millis(200)..Duration::from_millis(2_500);
    host.kill_at_random(&mut Random::new(seed), u32::try_from(kills).unwrap(), alive).unwrap();
    traffic.signal(libc::SIGINT).unwrap();
    assert_eq!(traffic.wait(PATIENCE).unwrap(), Ending::Finished);
    trial.host("available-now", 100_000).finish(PATIENCE).unwrap();
    let report = trial.check();
    assert!(report.late > 0 && report.dead > 0, "the input had nothing difficult: {report}");
    trial.clean_up();
}

/// Every point at least once; some in the recovery from the death before.
const DEATHS: [(&str, u32); 24] = [
    (LOCKED, 1),
    (FENCED, 1),
    (FIRST_MARKED, 1),
    (FIRST_WRITTEN, 1),
    (PLANNED, 1),
    (PLANNED, 3),
    (READ, 2),
    (PLUGIN_CALLED, 3),
    (STEPS_DONE, 2),
    (ROWS_SENT, 2),
    (STAGED, 2),
    (PREPARED, 2),
    // In the recovery that throws the prepared epoch away, and in the one after it.
    (DISCARDED, 1),
    (FENCED, 1),
    (MARKED, 2),
    (DISCARDED, 1),
    (COMMITTED, 2),
    // In the recovery that rolls the committed epoch forward, and in the one after it.
    (FENCED, 1),
    (APPLIED, 1),
    (FORWARDED, 1),
    (APPLIED, 2),
    (FORWARDED, 2),
    (TOLD, 2),
    (COMMITTED, 1),
];

/// Every epoch is small, and most deaths throw one away whose rows were sent already.
#[test]
fn a_host_that_dies_at_every_failpoint_neither_loses_nor_doubles_a_row() {
    assert_eq!(DEATHS.iter().map(|(point, _)| *point).collect::<BTreeSet<_>>(), ALL.iter().copied().collect(), "every failpoint is tried");
    let trial = Trial::new("update", Mode::Update);
    let report = trial.die_at_every_failpoint("40000", 500);
    // The test has teeth: whoever reads what the deaths left uncommitted counts rows twice.
    assert!(report.aborted_rows > 0 && report.doubled_uncommitted > 0, "{report}");
    trial.clean_up();
}

/// Every epoch closes windows.
#[test]
fn a_window_that_is_emitted_once_is_emitted_once_through_every_death() {
    let trial = Trial::new("append", Mode::Append);
    let report = trial.die_at_every_failpoint("300000", 4_000);
    assert!(report.aborted_rows > 0 && report.doubled_uncommitted > 0, "{report}");
    trial.clean_up();
}
