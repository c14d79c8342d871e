//! Visits every world that can be reached, breadth first, so that the first broken promise has a shortest trace; then asks
//! whether the end can be reached from everywhere without further bad luck.

use std::hash::{Hash, Hasher};

use super::process::{self, Step};
use super::setup::Setup;
use super::surroundings;
use super::world::{FIRST_ATTEMPT, World};

/// What came of an exploration.
pub struct Report {
    /// Every world was visited and every promise kept.
    pub verdict: Verdict,
    /// Worlds visited.
    pub states: usize,
    /// Steps between them.
    pub steps: usize,
}

/// The answer.
pub enum Verdict {
    /// No promise can be broken.
    Holds,
    /// This one can, in this way.
    Broken(&'static str, Vec<String>),
    /// From here the end can't be reached any more.
    Stuck(Vec<String>),
    /// There are more worlds than were allowed.
    Unfinished,
}

/// Explores at most `limit` worlds.
#[must_use]
pub fn explore(setup: &Setup, limit: usize) -> Report {
    let mut search = Search::new();
    let mut level = vec![World::new()];
    search.visited.insert(fingerprint(&level[0]));
    search.parents.push(0);
    let mut id = 0;
    let mut steps = Vec::new();
    let mut taken = 0;
    while !level.is_empty() {
        let mut next_level = Vec::new();
        for world in &level {
            search.first_edge.push(search.edges.len());
            search.finished.push(world.is_finished(setup));
            search.obliged.push(world.must_be_able_to_finish(setup));
            successors(setup, world, &mut steps);
            for step in steps.drain(..) {
                taken += 1;
                if let Some(promise) = step.violation {
                    let trace = search.trace(setup, id, Some(&step));
                    return search.report(Verdict::Broken(promise, trace), taken);
                }
                let (to, new) = search.visited.insert(fingerprint(&step.world));
                if new {
                    search.parents.push(id);
                    next_level.push(step.world);
                }
                if !step.fault {
                    search.edges.push(to);
                }
            }
            id += 1;
        }
        level = next_level;
        if search.parents.len() > limit {
            return search.report(Verdict::Unfinished, taken);
        }
    }
    search.first_edge.push(search.edges.len());
    let verdict = match search.first_stuck() {
        Some(id) => Verdict::Stuck(search.trace(setup, id, None)),
        None => Verdict::Holds,
    };
    search.report(verdict, taken)
}

fn successors(setup: &Setup, world: &World, out: &mut Vec<Step>) {
    out.clear();
    process::steps(setup, world, 0, out);
    process::steps(setup, world, 1, out);
    surroundings::steps(setup, world, out);
}

/// The graph so far. Worlds are numbered in the order in which they are found; only their fingerprints are kept.
struct Search {
    visited: Visited,
    parents: Vec<u32>,
    /// Steps without bad luck: those of world `n` begin at `first_edge[n]`.
    edges: Vec<u32>,
    first_edge: Vec<usize>,
    finished: Vec<bool>,
    obliged: Vec<bool>,
}

impl Search {
    fn new() -> Self {
        Self { visited: Visited::new(), parents: Vec::new(), edges: Vec::new(), first_edge: Vec::new(), finished: Vec::new(), obliged: Vec::new() }
    }

    fn report(&self, verdict: Verdict, steps: usize) -> Report {
        Report { verdict, states: self.parents.len(), steps }
    }

    /// Walks backwards from the finished worlds; who is not met and should be is stuck.
    fn first_stuck(&self) -> Option<u32> {
        let worlds = self.parents.len();
        let mut first = vec![0_usize; worlds + 1];
        for &to in &self.edges {
            first[to as usize + 1] += 1;
        }
        for world in 0..worlds {
            first[world + 1] += first[world];
        }
        let mut filled = first.clone();
        let mut sources = vec![0_u32; self.edges.len()];
        for (from, range) in self.first_edge.windows(2).enumerate() {
            for &to in &self.edges[range[0]..range[1]] {
                sources[filled[to as usize]] = u32::try_from(from).unwrap_or(u32::MAX);
                filled[to as usize] += 1;
            }
        }
        let mut can_finish = self.finished.clone();
        let mut todo: Vec<usize> = (0..worlds).filter(|&world| can_finish[world]).collect();
        while let Some(world) = todo.pop() {
            for &from in &sources[first[world]..first[world + 1]] {
                if !std::mem::replace(&mut can_finish[from as usize], true) {
                    todo.push(from as usize);
                }
            }
        }
        (0..worlds).find(|&world| self.obliged[world] && !can_finish[world]).and_then(|world| u32::try_from(world).ok())
    }

    /// The way to a world, made again from the beginning.
    fn trace(&self, setup: &Setup, mut id: u32, last: Option<&Step>) -> Vec<String> {
        let mut path = Vec::new();
        while id != 0 {
            path.push(self.visited.fingerprints[id as usize]);
            id = self.parents[id as usize];
        }
        let mut world = World::new();
        let mut lines = Vec::new();
        let mut steps = Vec::new();
        for print in path.into_iter().rev() {
            successors(setup, &world, &mut steps);
            let Some(step) = steps.drain(..).find(|step| fingerprint(&step.world) == print) else { break };
            lines.push(line(&step));
            world = step.world;
        }
        lines.extend(last.map(line));
        lines
    }
}

fn line(step: &Step) -> String {
    let (action, what) = step.what;
    let comma = if action.is_empty() { "" } else { ": " };
    format!("{}: {action}{comma}{what}", step.who)
}

/// A set of fingerprints that numbers them.
struct Visited {
    fingerprints: Vec<u128>,
    table: Vec<u32>,
}

impl Visited {
    const FREE: u32 = u32::MAX;

    fn new() -> Self {
        Self { fingerprints: Vec::new(), table: vec![Self::FREE; 1 << 16] }
    }

    fn insert(&mut self, print: u128) -> (u32, bool) {
        if self.fingerprints.len() * 2 >= self.table.len() {
            self.table = vec![Self::FREE; self.table.len() * 2];
            for (id, &print) in (0..).zip(&self.fingerprints) {
                let place = Self::place(&self.table, &self.fingerprints, print);
                self.table[place] = id;
            }
        }
        let place = Self::place(&self.table, &self.fingerprints, print);
        if self.table[place] != Self::FREE {
            return (self.table[place], false);
        }
        let id = u32::try_from(self.fingerprints.len()).unwrap_or(Self::FREE);
        self.table[place] = id;
        self.fingerprints.push(print);
        (id, true)
    }

    /// Where it is, or where it would go.
    fn place(table: &[u32], fingerprints: &[u128], print: u128) -> usize {
        let mask = table.len() - 1;
        #[allow(clippy::cast_possible_truncation, reason = "the low bits choose the place")]
        let mut place = print as usize & mask;
        while table[place] != Self::FREE && fingerprints[table[place] as usize] != print {
            place = (place + 1) & mask;
        }
        place
    }
}

/// 128 bits stand for a world: at ten million worlds two share one with a chance of 1 to 10^24.
fn fingerprint(world: &World) -> u128 {
    let mut mixer = Mixer { state: (0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03), attempts: [0; MOST_ATTEMPTS], met: 0 };
    world.hash(&mut mixer);
    mixer.write_u64(0x2545_f491_4f6c_dd1d);
    u128::from(mixer.state.0) << 64 | u128::from(mixer.state.1)
}

/// Mixes a world into its fingerprint. Attempts count by the order in which they are met: they are random numbers, so two
/// worlds that differ only in them are one. Here, and not in the world, because those inside of a protocol can't be changed.
struct Mixer {
    state: (u64, u64),
    attempts: [u64; MOST_ATTEMPTS],
    met: usize,
}

/// More than identities fit into a world.
const MOST_ATTEMPTS: usize = 16;

impl Mixer {
    fn rename(&mut self, attempt: u64) -> u64 {
        let known = self.attempts[..self.met].iter().position(|met| *met == attempt);
        let number = known.unwrap_or_else(|| {
            self.attempts[self.met] = attempt;
            self.met += 1;
            self.met - 1
        });
        FIRST_ATTEMPT + number as u64
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.state.0 ^ self.state.1
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        let value = if value >= FIRST_ATTEMPT { self.rename(value) } else { value };
        let (a, b) = self.state;
        let b = (b.rotate_left(23) ^ value).wrapping_mul(0x9fb2_1c65_1e98_df25);
        self.state = ((a ^ value).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(31) ^ (b >> 32), b);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}
