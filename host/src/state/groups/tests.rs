#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::state::prepared::{EpochRecord, Prepared};
use crate::state::shard::{NEVER_US, ShardCount};
use crate::state::store::{FoundPrepared, Remaining, StoreConfig};

const EVERYWHERE: std::ops::RangeInclusive<i64> = i64::MIN..=i64::MAX;
const STEP: &str = "by_format";

/// A step on a real database in a folder of its own.
struct World {
    folder: TempDir,
    store: Option<Arc<Store>>,
    step: Option<StepState>,
    shards: u16,
    cache_bytes: usize,
    epoch: u64,
}

impl World {
    fn new(shards: u16, cache_bytes: usize) -> Self {
        let mut world = Self { folder: TempDir::new().unwrap(), store: None, step: None, shards, cache_bytes, epoch: 0 };
        world.reopen();
        world
    }

    /// What a restart does, recovery included: a PREPARED that was committed is applied.
    fn reopen(&mut self) {
        self.step = None;
        self.store = None;
        let config = StoreConfig { pipeline: "test", shards: ShardCount::new(self.shards).unwrap(), steps: &[STEP] };
        let store = Arc::new(Store::open(self.folder.path(), &config).unwrap());
        let found = store.read().unwrap();
        if let FoundPrepared::Whole(prepared) = found.prepared
            && found.committed.is_none_or(|committed| committed.record.epoch < prepared.record().epoch)
        {
            store.apply(&prepared, Remaining::Nothing).unwrap();
        }
        self.step = Some(StepState::open(&store, STEP, self.cache_bytes).unwrap());
        self.store = Some(store);
    }

    fn step(&mut self) -> &mut StepState {
        self.step.as_mut().unwrap()
    }

    fn prepare(&mut self) -> Prepared {
        self.epoch += 1;
        let store = self.store.as_ref().unwrap();
        let record = EpochRecord { epoch: self.epoch, attempt: self.epoch, ..EpochRecord::beginning(store.lineage().to_string()) };
        let deltas = BTreeMap::from([(STEP.to_owned(), self.step.as_ref().unwrap().delta())]);
        let prepared = Prepared::new(record, &deltas, &[]).unwrap();
        store.prepare(&prepared).unwrap();
        prepared
    }

    fn commit(&mut self) {
        let prepared = self.prepare();
        self.store.as_ref().unwrap().apply(&prepared, Remaining::Nothing).unwrap();
        self.step().applied();
    }

    fn key(&self, end_us: i64, group_key: &[u8]) -> (usize, Vec<u8>) {
        let shard = ShardCount::new(self.shards).unwrap().shard_of(group_key);
        let mut key = Vec::new();
        StateKey { shard, end_us, group_key }.write(&mut key);
        (usize::from(shard.0), key)
    }

    fn put(&mut self, end_us: i64, group_key: &[u8], state: &[u8]) {
        let (shard, key) = self.key(end_us, group_key);
        self.step().shards_mut()[shard].put(&key, state).unwrap();
    }

    fn delete(&mut self, end_us: i64, group_key: &[u8]) {
        let (shard, key) = self.key(end_us, group_key);
        self.step().shards_mut()[shard].delete(&key).unwrap();
    }

    fn get(&mut self, end_us: i64, group_key: &[u8]) -> Option<Vec<u8>> {
        let (shard, key) = self.key(end_us, group_key);
        let mut found = States::new();
        self.step().shards_mut()[shard].get_many(&[key.as_slice()].into_iter().collect(), &mut found).unwrap();
        assert_eq!(found.len(), 1);
        found.get(0).map(<[u8]>::to_vec)
    }

    fn close(&mut self, up_to_us: i64) {
        self.step().shards_mut().iter_mut().for_each(|shard| shard.close(up_to_us));
    }

    /// Every group that ends within `ends_us`, shard by shard, in the order of the scans.
    fn scan(&self, ends_us: RangeInclusive<i64>) -> Vec<(i64, Vec<u8>, Vec<u8>)> {
        let mut groups = Vec::new();
        for shard in self.step.as_ref().unwrap().shards() {
            let from = groups.len();
            let mut scan = shard.scan(ends_us.clone()).unwrap();
            while let Some(group) = scan.advance().unwrap() {
                groups.push((group.end_us, group.group_key.to_vec(), group.state.to_vec()));
            }
            assert!(groups[from..].is_sorted(), "by window end and then by group key");
        }
        groups
    }

    /// What counts and caches must be, counted anew.
    fn check_counts(&self, committed: &BTreeMap<(i64, Vec<u8>), Vec<u8>>) {
        let step = self.step.as_ref().unwrap();
        let totals = step.totals(EVERYWHERE.clone());
        assert_eq!(totals.groups, committed.len() as u64);
        assert_eq!(totals.bytes, committed.iter().map(|((_, key), state)| (10 + key.len() + state.len()) as u64).sum::<u64>());
        for shard in step.shards() {
            assert!(shard.cache.bytes() <= self.cache_bytes / usize::from(self.shards));
            let mut cached: BTreeMap<i64, u64> = BTreeMap::new();
            shard.cache.keys().for_each(|key| *cached.entry(StateKey::parse(key).unwrap().end_us).or_default() += 1);
            for (end_us, window) in shard.windows.iter() {
                assert!(window.groups > 0);
                assert_eq!(window.cached, cached.remove(&end_us).unwrap_or(0), "cached groups of window {end_us}");
            }
            assert!(cached.is_empty(), "in the cache, but of no window: {cached:?}");
        }
    }
}

#[test]
fn an_epoch_that_is_thrown_away_leaves_no_trace() {
    let mut world = World::new(4, 1 << 20);
    world.put(60, b"a", b"1");
    world.put(120, b"b", b"1");
    world.commit();
    let before = (world.scan(i64::MIN..=i64::MAX), world.step().totals(EVERYWHERE.clone()));

    world.put(60, b"a", b"2");
    world.put(60, b"new", b"2");
    world.delete(120, b"b");
    world.close(60);
    assert_eq!(world.get(60, b"a"), None);
    assert_eq!(world.step().changes(EVERYWHERE.clone()).removed, 2);
    world.step().abort();

    assert_eq!((world.scan(i64::MIN..=i64::MAX), world.step().totals(EVERYWHERE.clone())), before);
    assert_eq!(world.get(60, b"a").as_deref(), Some(b"1".as_slice()));
    assert_eq!(world.get(60, b"new"), None);
    assert!(world.step().delta().is_empty(), "nothing of it is in the next epoch");
}

#[test]
fn an_epoch_reads_its_own_changes_and_nobody_else_does_before_it_is_applied() {
    let mut world = World::new(4, 1 << 20);
    world.put(60, b"a", b"1");
    world.put(60, b"a", b"22");
    assert_eq!(world.get(60, b"a").as_deref(), Some(b"22".as_slice()));
    assert_eq!(world.step().totals(EVERYWHERE.clone()).groups, 0);
    world.prepare();
    // Killed before the commit point was known: the record is there, the states are not.
    world.step = None;
    let store = world.store.clone().unwrap();
    assert_eq!(StepState::open(&store, STEP, 1 << 20).unwrap().totals(EVERYWHERE.clone()).groups, 0);
    drop(store);
    // The next start finds that it was committed.
    world.reopen();
    assert_eq!(world.get(60, b"a").as_deref(), Some(b"22".as_slice()));
    assert_eq!(world.step().totals(EVERYWHERE.clone()).groups, 1);
}

#[test]
fn closed_windows_are_scanned_by_end_and_then_by_key_with_this_epochs_changes_and_then_gone() {
    let mut world = World::new(1, 1 << 20);
    for (end_us, key) in [(180, b"x"), (60, b"b"), (120, b"a"), (60, b"c"), (60, b"d"), (-60, b"z")] {
        world.put(end_us, key, b"old");
    }
    world.commit();
    world.put(60, b"a", b"new");
    world.put(60, b"c", b"changed");
    world.put(120, b"b", b"new");
    world.put(180, b"y", b"new");
    world.delete(60, b"d");

    let text: Vec<String> = (world.scan(i64::MIN..=120).iter())
        .map(|(end_us, key, state)| format!("{end_us} {} {}", String::from_utf8_lossy(key), String::from_utf8_lossy(state)))
        .collect();
    assert_eq!(text, ["-60 z old", "60 a new", "60 b old", "60 c changed", "120 a old", "120 b new"]);

    world.close(120);
    assert_eq!(world.scan(i64::MIN..=120), []);
    assert_eq!(
        world.step().changes(EVERYWHERE.clone()),
        EpochChanges { updated: 1, added: 1, removed: 5, pending_bytes: world.step().changes(EVERYWHERE.clone()).pending_bytes }
    );
    world.commit();
    world.reopen();
    let left: Vec<_> = world.scan(i64::MIN..=i64::MAX).into_iter().map(|(end_us, key, _)| (end_us, key)).collect();
    assert_eq!(left, [(180, b"x".to_vec()), (180, b"y".to_vec())]);
    assert_eq!(world.step().totals(EVERYWHERE.clone()).groups, 2);
}

#[test]
fn closing_windows_without_groups_writes_nothing() {
    let mut world = World::new(64, 1 << 20);
    world.put(NEVER_US, b"running", b"1");
    world.commit();
    world.close(1_000_000);
    assert!(world.step().delta().is_empty());
}

#[test]
fn a_window_that_loses_its_last_group_alone_is_forgotten_across_a_restart() {
    let mut world = World::new(1, 1 << 20);
    world.put(60, b"a", b"1");
    world.commit();
    world.delete(60, b"a");
    world.commit();
    assert_eq!(world.step().totals(EVERYWHERE.clone()).groups, 0);
    world.reopen();
    assert_eq!(world.step().totals(EVERYWHERE.clone()).groups, 0);
    world.close(60);
    assert!(world.step().delta().is_empty());
}

#[test]
fn the_ranges_of_one_closing_after_another_do_not_overlap() {
    let mut world = World::new(1, 1 << 20);
    let mut end_of_last: Option<Vec<u8>> = None;
    for end_us in [60, 120, 180] {
        world.put(end_us, b"a", b"1");
        world.put(end_us + 60, b"b", b"1");
        world.commit();
        world.close(end_us);
        let delta = world.step().delta();
        let range = delta.ops().flatten().find_map(|op| match op {
            Op::DeleteRange { from, to } => Some((from.to_vec(), to.to_vec())),
            _ => None,
        });
        let (from, to) = range.expect("one range a closing");
        assert!(end_of_last.is_none_or(|last| last <= from));
        end_of_last = Some(to);
        world.commit();
    }
}

#[test]
fn a_window_whose_groups_are_all_cached_is_not_looked_up_in_the_database() {
    let mut world = World::new(1, 1 << 20);
    world.put(60, b"a", b"1");
    world.commit();
    let shard = &world.step().shards()[0];
    assert!(!shard.windows.may_be_stored(60), "all its groups are in the cache");
    assert!(!shard.windows.may_be_stored(120), "it has no groups");
    world.reopen();
    assert!(world.step().shards()[0].windows.may_be_stored(60), "after a restart nothing is cached");
    assert_eq!(world.get(60, b"a").as_deref(), Some(b"1".as_slice()));
    assert!(!world.step().shards()[0].windows.may_be_stored(60), "and now all of it is");
}

#[test]
fn a_change_to_a_window_that_the_epoch_has_closed_is_refused() {
    let mut world = World::new(1, 1 << 20);
    world.close(60);
    let (_, key) = world.key(60, b"a");
    let error = world.step().shards_mut()[0].put(&key, b"1").unwrap_err().to_string();
    assert_eq!(error, "a group of the window that ends at 60 us was changed after the epoch had closed that window");
    world.put(61, b"a", b"1");
}

#[test]
fn a_key_of_another_shard_is_refused() {
    let mut world = World::new(2, 1 << 20);
    let (shard, key) = world.key(60, b"a");
    let error = world.step().shards_mut()[1 - shard].put(&key, b"1").unwrap_err().to_string();
    assert_eq!(error, format!("a key of 11 bytes is no state key of shard {}", 1 - shard));
}

#[test]
fn a_step_that_state_was_not_opened_with_is_refused_by_name() {
    let world = World::new(1, 0);
    let error = StepState::open(world.store.as_ref().unwrap(), "other", 0).unwrap_err().to_string();
    assert_eq!(error, "no states of `step.other`: state was not opened with that step");
}

#[derive(Debug, Clone)]
enum Act {
    Put { end_us: i64, key: u8, len: usize },
    Delete { end_us: i64, key: u8 },
    Get { end_us: i64, key: u8 },
    GetAll,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Commit,
    Abort,
    CommitThenRestart,
    /// After the commit point, before the states were applied.
    KilledBeforeApply,
    /// Nothing of the epoch is durable.
    KilledBeforePrepare,
}

/// What a scan of the windows that end at or before `up_to_us` gives, sorted.
fn groups(model: &BTreeMap<(i64, Vec<u8>), Vec<u8>>, up_to_us: i64) -> Vec<(i64, Vec<u8>, Vec<u8>)> {
    let groups = model.iter().filter(|((end_us, _), _)| *end_us <= up_to_us);
    groups.map(|((end_us, key), state)| (*end_us, key.clone(), state.clone())).collect()
}

/// Few windows and keys, so that changes meet. Ends are numbers of windows from the first that is open.
fn epoch() -> impl Strategy<Value = (Vec<Act>, Option<i64>, End)> {
    let end = || prop_oneof![4 => 0..3_i64, 1 => Just(NEVER_US)];
    let act = prop_oneof![
        4 => (end(), 0..8_u8, prop_oneof![Just(8_usize), 0..300_usize]).prop_map(|(end_us, key, len)| Act::Put { end_us, key, len }),
        1 => (end(), 0..8_u8).prop_map(|(end_us, key)| Act::Delete { end_us, key }),
        2 => (end(), 0..8_u8).prop_map(|(end_us, key)| Act::Get { end_us, key }),
        1 => Just(Act::GetAll),
    ];
    let outcome = prop_oneof![
        4 => Just(End::Commit),
        2 => Just(End::Abort),
        1 => Just(End::CommitThenRestart),
        1 => Just(End::KilledBeforeApply),
        1 => Just(End::KilledBeforePrepare),
    ];
    (prop::collection::vec(act, 0..25), prop::option::of(0..3_i64), outcome)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_epochs_with_any_ends_are_what_a_map_would_be(
        shards in prop_oneof![Just(1_u16), Just(3)],
        cache_bytes in prop_oneof![Just(0_usize), Just(1_500), Just(1 << 20)],
        epochs in prop::collection::vec(epoch(), 1..8),
    ) {
        let mut world = World::new(shards, cache_bytes);
        let mut committed: BTreeMap<(i64, Vec<u8>), Vec<u8>> = BTreeMap::new();
        let mut first_open = 0;
        for (number, (acts, close, end)) in epochs.into_iter().enumerate() {
            let mut running = committed.clone();
            let at = |end_us: i64| if end_us == NEVER_US { NEVER_US } else { first_open + end_us };
            let name = |key: u8| vec![key; usize::from(key)];
            for act in acts {
                match act {
                    Act::Put { end_us, key, len } => {
                        let state = vec![number as u8; len];
                        world.put(at(end_us), &name(key), &state);
                        running.insert((at(end_us), name(key)), state);
                    }
                    Act::Delete { end_us, key } => {
                        world.delete(at(end_us), &name(key));
                        running.remove(&(at(end_us), name(key)));
                    }
                    Act::Get { end_us, key } => {
                        prop_assert_eq!(world.get(at(end_us), &name(key)), running.get(&(at(end_us), name(key))).cloned());
                    }
                    Act::GetAll => for end_us in [0, 1, 2, NEVER_US] {
                        for key in 0..8 {
                            prop_assert_eq!(world.get(at(end_us), &name(key)), running.get(&(at(end_us), name(key))).cloned());
                        }
                    }
                }
            }
            let updated = running.iter().filter(|(group, state)| committed.get(*group) != Some(*state)).count() as u64;
            prop_assert!(world.step().changes(EVERYWHERE.clone()).updated >= updated, "at least what differs was updated");
            let closed = close.map(|end_us| first_open + end_us);
            if let Some(closed) = closed {
                let mut due = world.scan(i64::MIN..=closed);
                due.sort();
                prop_assert_eq!(due, groups(&running, closed));
                world.close(closed);
                running.retain(|(end_us, _), _| *end_us > closed);
            }
            let mut all = world.scan(i64::MIN..=i64::MAX);
            all.sort();
            prop_assert_eq!(all, groups(&running, i64::MAX));
            match end {
                End::Commit => world.commit(),
                End::Abort => world.step().abort(),
                End::CommitThenRestart => { world.commit(); world.reopen(); }
                End::KilledBeforeApply => { world.prepare(); world.reopen(); }
                End::KilledBeforePrepare => world.reopen(),
            }
            if matches!(end, End::Commit | End::CommitThenRestart | End::KilledBeforeApply) {
                committed = running;
                first_open = closed.map_or(first_open, |closed| closed + 1);
            }
            world.check_counts(&committed);
        }
    }
}

#[test]
#[ignore = "a measurement; run with --ignored --nocapture on an idle machine"]
fn nanoseconds_a_group() {
    const GROUPS: usize = 100_000;
    let mut world = World::new(64, 256 << 20);
    let mut keys: Vec<Keys> = vec![Keys::new(); 64];
    let mut absent = keys.clone();
    for i in 0..GROUPS as u64 {
        let name = format!("{:016x}", i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (shard, key) = world.key(60_000_000, name.as_bytes());
        keys[shard].push(&key);
        let (shard, key) = world.key(60_000_000, format!("{name}!").as_bytes());
        absent[shard].push(&key);
    }
    // The least of all rounds: what the work costs when nobody else has the core.
    let mut least: BTreeMap<&str, f64> = BTreeMap::new();
    let mut timed = |what: &'static str, world: &mut World, work: &mut dyn FnMut(&mut World)| {
        let start = std::time::Instant::now();
        work(world);
        let ns = start.elapsed().as_nanos() as f64 / GROUPS as f64;
        least.entry(what).and_modify(|least| *least = ns.min(*least)).or_insert(ns);
    };
    let mut found = States::new();
    let mut get = |world: &mut World, keys: &[Keys], present: bool| {
        for (shard, keys) in world.step().shards_mut().iter_mut().zip(keys) {
            shard.get_many(keys, &mut found).unwrap();
            assert!(found.iter().all(|state| state.is_some() == present));
        }
    };
    let put = |world: &mut World, byte: u8| {
        for (shard, keys) in world.step().shards_mut().iter_mut().zip(&keys) {
            keys.iter().for_each(|key| shard.put(key, &[byte; 64]).unwrap());
        }
    };
    for round in 0..8 {
        timed("1 get, new window", &mut world, &mut |world| get(world, &keys, false));
        timed("2 put, new group", &mut world, &mut |world| put(world, round));
        world.step().abort();
    }
    put(&mut world, 0);
    for round in 0..8 {
        let mut prepared = None;
        timed("6 delta and PREPARED, synced", &mut world, &mut |world| prepared = Some(world.prepare()));
        let prepared = prepared.unwrap();
        timed("7 apply, synced", &mut world, &mut |world| world.store.as_ref().unwrap().apply(&prepared, Remaining::Nothing).unwrap());
        timed("8 applied: into the cache", &mut world, &mut |world| world.step().applied());
        timed("3 get, cached", &mut world, &mut |world| get(world, &keys, true));
        timed("4 put, cached", &mut world, &mut |world| put(world, round));
        timed("5 get, changed in this epoch", &mut world, &mut |world| get(world, &keys, true));
    }
    world.commit();
    for _ in 0..4 {
        world.reopen();
        timed("9 scan", &mut world, &mut |world| assert_eq!(world.scan(i64::MIN..=i64::MAX).len(), GROUPS));
        timed("a get, stored and not cached", &mut world, &mut |world| get(world, &keys, true));
        world.reopen();
        timed("b get, absent from a window that is not cached", &mut world, &mut |world| get(world, &absent, false));
    }
    world.close(60_000_000);
    timed("c close", &mut world, &mut World::commit);
    for (what, ns) in least {
        println!("{what:<50} {ns:>6.0} ns a group");
    }
}
