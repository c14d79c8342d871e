#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]

use std::collections::BTreeMap;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::*;
use crate::state::delta::Delta;

const CONFIG: StoreConfig<'_> = StoreConfig { pipeline: "ad-events", shards: ShardCount::DEFAULT, steps: &["count"] };

/// The state folder that a test gives to itself in another process.
const CHILD: &str = "WEIR_TEST_STATE_FOLDER";

fn open(folder: &Path) -> Store {
    Store::open(folder, &CONFIG).unwrap()
}

fn begin(store: &Store) {
    store.begin(&EpochRecord::beginning(store.lineage().to_string())).unwrap();
}

fn prepared(store: &Store, epoch: u64, value: &[u8]) -> Prepared {
    let mut delta = Delta::new();
    delta.push(Op::Put { key: b"key", value });
    let base = store.read().unwrap().committed.unwrap().identity;
    let record = EpochRecord { epoch, attempt: 0xABC, base, ..EpochRecord::beginning(store.lineage().to_string()) };
    Prepared::new(record, &BTreeMap::from([("count".to_owned(), delta)]), &[]).unwrap()
}

fn state(store: &Store) -> Option<Vec<u8>> {
    store.db.get_cf(store.db.cf_handle("step.count").unwrap(), b"key").unwrap()
}

/// The folder, if this is the other process; else none.
fn in_child() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// Runs the same test once more, in another process, with this folder.
fn run_child(test: &str, folder: &Path) -> Output {
    let module = module_path!().split_once("::").unwrap().1;
    let test = format!("{module}::{test}");
    Command::new(std::env::current_exe().unwrap()).args(["--exact", &test, "--nocapture"]).env(CHILD, folder).output().unwrap()
}

#[test]
fn a_new_folder_has_a_lineage_and_no_past() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder.path().join("var/ad-events"));
    let found = store.read().unwrap();
    assert_eq!(found.lineage, store.lineage());
    assert!(found.committed.is_none() && found.forwarded.is_none() && matches!(found.prepared, FoundPrepared::Absent));
    assert_eq!(store.shards(), ShardCount::DEFAULT);
}

#[test]
fn a_folder_keeps_its_lineage_and_its_shards_whatever_the_next_start_asks_for() {
    let folder = TempDir::new().unwrap();
    let lineage = open(folder.path()).lineage();
    let store = Store::open(folder.path(), &StoreConfig { shards: ShardCount::new(8).unwrap(), ..CONFIG }).unwrap();
    assert_eq!((store.lineage(), store.shards()), (lineage, ShardCount::DEFAULT));
}

#[test]
fn the_records_of_an_epoch_are_found_as_they_were_written() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    begin(&store);
    let beginning = format!("{}/0", store.lineage());
    let one = prepared(&store, 1, b"1");
    assert_eq!(one.record().base, beginning);
    store.prepare(&one).unwrap();
    let found = store.read().unwrap();
    assert_eq!(found.committed.unwrap().identity, beginning);
    assert!(matches!(&found.prepared, FoundPrepared::Whole(found) if **found == one));
    assert_eq!(state(&store), None, "not applied");

    store.apply(&one, Remaining::Parts).unwrap();
    store.apply(&one, Remaining::Parts).unwrap();
    let found = store.read().unwrap();
    assert_eq!(found.committed.unwrap(), Committed { identity: one.identity(), record: one.record().clone() });
    assert_eq!((found.forwarded, state(&store)), (None, Some(b"1".to_vec())));
    store.forwarded(&one.identity()).unwrap();
    assert_eq!(store.read().unwrap().forwarded, Some(one.identity()));

    let two = prepared(&store, 2, b"2");
    store.prepare(&two).unwrap();
    store.apply(&two, Remaining::Nothing).unwrap();
    assert_eq!(store.read().unwrap().forwarded, Some(two.identity()), "with COMMITTED in one write");

    store.prepare(&prepared(&store, 3, b"3")).unwrap();
    store.drop_prepared().unwrap();
    assert!(matches!(store.read().unwrap().prepared, FoundPrepared::Absent));
    assert_eq!(state(&store), Some(b"2".to_vec()));
}

#[test]
fn a_process_that_is_killed_loses_nothing_that_was_written() {
    if let Some(folder) = in_child() {
        let store = open(&folder);
        begin(&store);
        let one = prepared(&store, 1, b"1");
        store.prepare(&one).unwrap();
        store.apply(&one, Remaining::Nothing).unwrap();
        store.prepare(&prepared(&store, 2, b"2")).unwrap();
        std::process::abort();
    }
    let folder = TempDir::new().unwrap();
    let output = run_child("a_process_that_is_killed_loses_nothing_that_was_written", folder.path());
    assert!(!output.status.success());
    // The lock went with the process.
    let store = open(folder.path());
    let found = store.read().unwrap();
    let FoundPrepared::Whole(two) = found.prepared else { panic!("{:?}", found.prepared) };
    assert_eq!(two.record().epoch, 2);
    assert_eq!(found.committed.unwrap().identity, two.record().base);
    assert_eq!(found.forwarded, Some(two.record().base.clone()));
    assert_eq!(state(&store), Some(b"1".to_vec()));
}

#[test]
fn a_prepared_record_that_is_torn_is_found_as_damaged_and_the_rest_is_readable() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    begin(&store);
    let whole = prepared(&store, 1, b"1");
    let bytes = whole.as_bytes();
    store.db.put(PREPARED, &bytes[..bytes.len() / 2]).unwrap();
    let found = store.read().unwrap();
    assert!(matches!(found.prepared, FoundPrepared::Damaged(Damage { len, .. }) if len == bytes.len() / 2));
    assert!(found.committed.is_some());
    store.prepare(&whole).unwrap();
    assert!(matches!(store.read().unwrap().prepared, FoundPrepared::Whole(_)));
}

#[test]
fn a_second_process_is_refused_with_the_folder_and_the_pid_of_the_first() {
    if let Some(folder) = in_child() {
        println!("refused: {}", Store::open(&folder, &CONFIG).unwrap_err());
        return;
    }
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let said = |output: Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let refused = said(run_child("a_second_process_is_refused_with_the_folder_and_the_pid_of_the_first", folder.path()));
    let expected = format!(
        "refused: state folder `{}` is in use by process {}: stop that process, or give this pipeline its own `state_dir`",
        folder.path().display(),
        std::process::id()
    );
    assert!(refused.contains(&expected), "{refused}");
    // The refusal left the lock as it was.
    assert!(matches!(Store::open(folder.path(), &CONFIG), Err(StateError::Locked { holder, .. }) if holder == format!("process {}", std::process::id())));
    drop(store);
    open(folder.path());
}

/// A file size limit makes the log's next write fail, as a full disk would.
#[test]
fn a_write_that_fails_poisons_the_store_for_writes_and_for_reads() {
    if let Some(folder) = in_child() {
        let store = open(&folder);
        begin(&store);
        let (one, two) = (prepared(&store, 1, &[7; 1 << 20]), prepared(&store, 1, b"small"));
        let limit = libc::rlimit { rlim_cur: 64 << 10, rlim_max: 64 << 10 };
        // SAFETY: both calls change only this process, which has no other purpose, and `limit` outlives the call.
        let limited = unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) != libc::SIG_ERR && libc::setrlimit(libc::RLIMIT_FSIZE, &limit) == 0 };
        assert!(limited);
        let first = store.prepare(&one).unwrap_err();
        assert!(matches!(&first, StateError::Poisoned { during, .. } if during == "prepare epoch 1"), "{first}");
        for refused in [store.prepare(&two), store.apply(&two, Remaining::Nothing), store.forwarded("x"), store.read().map(drop)] {
            assert_eq!(refused.unwrap_err().to_string(), first.to_string(), "every later call says what went wrong first");
        }
        println!("poisoned: {first}");
        return;
    }
    let folder = TempDir::new().unwrap();
    let output = run_child("a_write_that_fails_poisons_the_store_for_writes_and_for_reads", folder.path());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("could not prepare epoch 1: IO error"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    // With the disk mended the folder is at its last durable moment.
    let found = open(folder.path()).read().unwrap();
    assert_eq!(found.committed.unwrap().record.epoch, 0);
    assert!(!matches!(found.prepared, FoundPrepared::Whole(_)));
}

#[test]
fn a_folder_of_another_pipeline_is_refused() {
    let folder = TempDir::new().unwrap();
    open(folder.path());
    let error = Store::open(folder.path(), &StoreConfig { pipeline: "reviews", ..CONFIG }).unwrap_err();
    let expected =
        format!("state folder `{}` belongs to pipeline `ad-events`, not to `reviews`: give each pipeline its own `state_dir`", folder.path().display());
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_folder_of_another_format_is_refused_before_its_database_is_touched() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("format"), "weir-state 2\n").unwrap();
    let error = Store::open(folder.path(), &CONFIG).unwrap_err();
    assert!(matches!(&error, StateError::OtherFormat { found, .. } if found == "weir-state 2"), "{error}");
    assert!(!folder.path().join("db").exists());
}

#[test]
fn a_database_without_its_format_file_is_refused() {
    let folder = TempDir::new().unwrap();
    open(folder.path());
    std::fs::remove_file(folder.path().join("format")).unwrap();
    let error = Store::open(folder.path(), &CONFIG).unwrap_err().to_string();
    assert!(error.ends_with("it is no state folder of weir, or not a whole copy of one"), "{error}");
}

#[test]
fn a_folder_that_has_lost_its_record_but_not_its_epochs_is_refused_and_not_given_a_new_lineage() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    begin(&store);
    store.db.delete(FOLDER).unwrap();
    drop(store);
    let error = Store::open(folder.path(), &CONFIG).unwrap_err().to_string();
    assert!(error.contains("has epochs but not the record `folder`"), "{error}");
}

#[test]
fn a_state_identity_keeps_its_number() {
    let folder = TempDir::new().unwrap();
    let identity = |version| StateIdentity { version, shape: "count(*)".to_owned() };
    let store = open(folder.path());
    let (one, two) = (store.intern(&identity(1)).unwrap(), store.intern(&identity(2)).unwrap());
    assert_eq!((one, two), (IdentityId(0), IdentityId(1)));
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.intern(&identity(2)).unwrap(), two);
    assert_eq!(store.identity(one), Some(identity(1)));
    assert_eq!(store.identity(IdentityId(2)), None);
}

#[test]
fn a_step_that_the_pipeline_has_no_more_keeps_its_states() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    begin(&store);
    let one = prepared(&store, 1, b"1");
    store.apply(&one, Remaining::Nothing).unwrap();
    drop(store);
    let store = Store::open(folder.path(), &StoreConfig { steps: &["default"], ..CONFIG }).unwrap();
    assert_eq!(state(&store), Some(b"1".to_vec()));
}
