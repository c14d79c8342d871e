//! Groups without a window. With a `ttl` they lie in buckets by when they were last touched, a quarter of the `ttl` wide, so that forgetting is closing a bucket: a group
//! is kept for at least the `ttl`, and at most a quarter longer.

use super::OutputMode;
use super::fold::{Emitted, ShardWork, Touched, get};
use super::shelf::Shelf;
use crate::time::EventTime;

/// Into how many buckets a `ttl` is cut. More: more places to look a group up in. Fewer: groups stay longer than they need to.
const BUCKETS: i64 = 4;

impl ShardWork<'_> {
    /// O-7: an aggregate of everything gives its row in each epoch, touched or not.
    pub(super) fn run_untouched(&self, shard: &mut Shelf<'_>) -> anyhow::Result<Vec<Emitted>> {
        match self.mode {
            OutputMode::Append => Ok(Vec::new()),
            OutputMode::Update | OutputMode::Complete => self.stored(shard, i64::MAX),
        }
    }

    pub(super) fn run_with_ttl(&self, shard: &mut Shelf<'_>, groups: Touched<'_>, ttl_us: i64) -> anyhow::Result<Vec<Emitted>> {
        let now_us = self.time.clock.0;
        let bucket = EventTime(bucket_end(now_us, ttl_us));
        shard.close(now_us);
        // Whatever the `ttl` was when a group was touched, its bucket is one of those that are there.
        let mut buckets: Vec<EventTime> = shard.groups.ends().into_iter().filter(|end| *end > now_us).map(EventTime).collect();
        buckets.retain(|end| *end != bucket);
        let mut moved = Vec::new();
        for end in &buckets {
            let (keys, stored) = get(shard.groups, groups.keys().map(|(_, key)| (*end, *key)))?;
            for (((_, key), place), state) in groups.keys().zip(keys.iter()).zip(stored.iter()) {
                if let Some(state) = state {
                    moved.push((key.to_vec(), place.to_vec(), state.to_vec()));
                }
            }
        }
        for (key, from, state) in moved {
            let (to, _) = get(shard.groups, std::iter::once((bucket, key.as_slice())))?;
            shard.groups.delete(&from)?;
            to.iter().try_for_each(|to| shard.groups.put(to, &state))?;
        }
        let touched = groups.into_iter().map(|((_, key), states)| ((bucket, key), states)).collect();
        let emitted = self.update(shard, touched)?;
        match self.mode {
            OutputMode::Complete => self.stored(shard, i64::MAX),
            OutputMode::Append | OutputMode::Update => Ok(emitted),
        }
    }
}

/// The end of the bucket for what is touched now.
fn bucket_end(now_us: i64, ttl_us: i64) -> i64 {
    let width = (ttl_us / BUCKETS).max(1);
    now_us.div_euclid(width).saturating_add(1).saturating_mul(width).saturating_add(ttl_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_kept_for_its_ttl_and_at_most_a_quarter_longer() {
        for now_us in [0, 1, 249, 250, 999, 1_000, -1] {
            let kept = bucket_end(now_us, 1_000) - now_us;
            assert!((1_000..=1_250).contains(&kept), "{now_us}: {kept}");
        }
    }
}
