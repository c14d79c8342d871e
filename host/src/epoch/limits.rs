//! How far an epoch reads. Pure: what the sources offer, the limits and the pace come in; offset ranges come out, with what each limit would have allowed and the name
//! of the one that bound.

use std::collections::BTreeMap;

use crate::source::{Offer, Offset, OffsetRange, Positions};

/// The limits of an epoch. The byte limit always holds; it is what keeps memory flat whatever the backlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of record values, over all sources. An epoch passes it by at most what its records are larger than those before them.
    pub max_epoch_bytes: u64,
    /// Records, over all sources; counted as offsets, so gaps count.
    pub max_records: Option<u64>,
    /// Records a second, of each partition.
    pub max_rate_per_partition: Option<u64>,
}

/// What rates are multiplied with: how fast, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pace {
    /// Records a second that the pipeline can take, over all sources; none: nobody knows yet, or backpressure is off.
    pub rate: Option<f64>,
    /// The seconds of work that an epoch should be.
    pub work_seconds: f64,
    /// The seconds of records that an epoch stands for: what a fixed rate has let through since the epoch before.
    pub elapsed_seconds: f64,
    /// Every partition gets at least one record from a fixed rate, however short an epoch is (P-4). Where epochs follow each other without an interval, a rate could
    /// not hold that way: there, a partition waits until it has one.
    pub at_least_one: bool,
}

/// A limit, in the order in which they are applied (semantics: a fixed rate first, then the estimated one, then the sizes of an epoch).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// `max_rate_per_partition`.
    MaxRatePerPartition,
    /// `backpressure`.
    Backpressure,
    /// `max_records`.
    MaxRecords,
    /// `max_epoch_bytes`.
    MaxEpochBytes,
}

impl Bound {
    /// The key of a document that sets it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxRatePerPartition => "max_rate_per_partition",
            Self::Backpressure => "backpressure",
            Self::MaxRecords => "max_records",
            Self::MaxEpochBytes => "max_epoch_bytes",
        }
    }
}

impl serde::Serialize for Bound {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What an epoch reads of one source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cut {
    /// For every offered partition, the range to read; it may be empty.
    pub ranges: Vec<OffsetRange>,
    /// Records that each limit would have allowed by itself.
    pub allowed: BTreeMap<Bound, u64>,
    /// The limit that bound, if one did: of those that allow less than there was, the one that allows the least.
    pub bound: Option<Bound>,
}

/// A guess at a record's size before any was seen.
const UNKNOWN_RECORD_BYTES: u64 = 1 << 10;

/// How many offsets a source offers, up to its frozen ends.
#[must_use]
pub fn lag(offers: &[Offer], frozen: Option<&Positions>) -> u64 {
    sizes(offers, frozen).iter().sum()
}

/// Cuts what one source offers to the limits. `frozen`: an end past which this run never reads (`available-now`).
///
/// A fixed rate cuts each partition by itself; the estimated one is shared by lag (P-4). What is left shares records and bytes in proportion, as Spark's
/// `maxOffsetsPerTrigger` does. Of what it has, every partition gets at least one record, so that none starves.
#[must_use]
pub fn cut(offers: &[Offer], frozen: Option<&Positions>, limits: &Limits, pace: &Pace) -> Cut {
    let sizes = sizes(offers, frozen);
    let total: u64 = sizes.iter().sum();
    let fixed = limits.max_rate_per_partition.map(|rate| by_fixed_rate(&sizes, rate, pace));
    let estimated = pace.rate.map(|rate| by_estimate(&sizes, total, rate * pace.work_seconds));
    let mut takes = sizes;
    for rated in [&fixed, &estimated].into_iter().flatten() {
        takes.iter_mut().zip(rated).for_each(|(take, rated)| *take = (*take).min(*rated));
    }
    let by_bytes = by_bytes(offers, &takes, limits.max_epoch_bytes);
    let of = |rated: &Option<Vec<u64>>| rated.as_ref().map(|rated| rated.iter().sum());
    let allowed = [
        (Bound::MaxRatePerPartition, of(&fixed)),
        (Bound::Backpressure, of(&estimated)),
        (Bound::MaxRecords, limits.max_records),
        (Bound::MaxEpochBytes, Some(by_bytes)),
    ];
    let allowed: BTreeMap<Bound, u64> = allowed.into_iter().filter_map(|(bound, allowed)| Some((bound, allowed?))).collect();
    let bound = allowed.iter().filter(|(_, allowed)| **allowed < total).min_by_key(|(_, allowed)| **allowed).map(|(bound, _)| *bound);
    let takes = share(&takes, by_bytes.min(limits.max_records.unwrap_or(u64::MAX)));
    let ranges = offers.iter().zip(takes).map(|(offer, take)| {
        let to = Offset(offer.position.0.saturating_add(i64::try_from(take).unwrap_or(i64::MAX)));
        OffsetRange { partition: offer.partition.clone(), from: offer.position, to }
    });
    Cut { ranges: ranges.collect(), allowed, bound }
}

/// How many offsets each partition has to read.
fn sizes(offers: &[Offer], frozen: Option<&Positions>) -> Vec<u64> {
    let end_of = |offer: &Offer| match frozen {
        None => offer.end,
        Some(frozen) => frozen.get(&offer.partition).copied().unwrap_or(offer.position).min(offer.end),
    };
    offers.iter().map(|offer| u64::try_from(end_of(offer).0 - offer.position.0).unwrap_or(0)).collect()
}

/// So many records a second of each partition.
#[expect(clippy::cast_precision_loss, reason = "a rate is no count")]
fn by_fixed_rate(sizes: &[u64], rate: u64, pace: &Pace) -> Vec<u64> {
    let each = whole(rate as f64 * pace.elapsed_seconds).max(u64::from(pace.at_least_one));
    sizes.iter().map(|size| each.min(*size)).collect()
}

/// So many records of all, shared by lag (P-4).
#[expect(clippy::cast_precision_loss, reason = "a rate is no count")]
fn by_estimate(sizes: &[u64], total: u64, records: f64) -> Vec<u64> {
    let share = |size: u64| whole(records * size as f64 / total.max(1) as f64).max(1).min(size);
    sizes.iter().map(|size| share(*size)).collect()
}

/// How many records of the partitions, taken in these proportions, come to so many bytes.
fn by_bytes(offers: &[Offer], takes: &[u64], max_bytes: u64) -> u64 {
    let known = offers.iter().any(|offer| offer.mean_record_bytes > 0);
    let bytes_each = |offer: &Offer| if known { u64::from(offer.mean_record_bytes).max(1) } else { UNKNOWN_RECORD_BYTES };
    let bytes = offers.iter().zip(takes).map(|(offer, take)| take.saturating_mul(bytes_each(offer))).fold(0, u64::saturating_add);
    let total: u64 = takes.iter().sum();
    u64::try_from(u128::from(total) * u128::from(max_bytes) / u128::from(bytes.max(1))).unwrap_or(u64::MAX)
}

/// At most `allowed` of these, in proportion.
fn share(takes: &[u64], allowed: u64) -> Vec<u64> {
    let total: u64 = takes.iter().sum();
    let allowed = allowed.max(1);
    let part = |take: u64| match allowed < total {
        true => u64::try_from(u128::from(take) * u128::from(allowed) / u128::from(total)).unwrap_or(take).max(u64::from(take > 0)),
        false => take,
    };
    takes.iter().map(|take| part(*take)).collect()
}

/// Records, rounded down.
fn whole(records: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what does not fit is the largest, and what is negative is none")]
    let whole = records as u64;
    whole
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::source::Partition;

    fn offer(number: i32, position: i64, end: i64, mean_record_bytes: u32) -> Offer {
        Offer { partition: Partition { topic: "t".into(), number }, position: Offset(position), end: Offset(end), confirmed: true, mean_record_bytes }
    }

    fn taken(cut: &Cut) -> Vec<i64> {
        cut.ranges.iter().map(|range| range.to.0 - range.from.0).collect()
    }

    const ROOMY: Limits = Limits { max_epoch_bytes: 64 << 20, max_records: None, max_rate_per_partition: None };
    /// Epochs of 10 s.
    const TEN: Pace = Pace { rate: None, work_seconds: 10.0, elapsed_seconds: 10.0, at_least_one: true };

    #[test]
    fn without_a_backlog_everything_is_read_and_nothing_binds() {
        let cut = cut(&[offer(0, 5, 10, 200), offer(1, 7, 7, 200)], None, &ROOMY, &TEN);
        assert_eq!(taken(&cut), [5, 0]);
        assert_eq!(cut.bound, None);
    }

    #[test]
    fn the_byte_limit_shares_by_backlog() {
        let limits = Limits { max_epoch_bytes: 2_000, ..ROOMY };
        let cut = cut(&[offer(0, 0, 300, 10), offer(1, 0, 100, 10)], None, &limits, &TEN);
        assert_eq!(taken(&cut), [150, 50]);
        assert_eq!(cut.bound, Some(Bound::MaxEpochBytes));
    }

    #[test]
    fn before_any_record_was_seen_the_byte_limit_still_holds() {
        let cut = cut(&[offer(0, 0, 1_000_000, 0)], None, &Limits { max_epoch_bytes: 1 << 20, ..ROOMY }, &TEN);
        assert_eq!(taken(&cut), [1 << 10]);
    }

    #[test]
    fn the_record_limit_binds_and_is_named() {
        let limits = Limits { max_records: Some(40), ..ROOMY };
        let cut = cut(&[offer(0, 0, 300, 10), offer(1, 0, 100, 10)], None, &limits, &TEN);
        assert_eq!(taken(&cut), [30, 10]);
        assert_eq!(cut.bound, Some(Bound::MaxRecords));
    }

    #[test]
    fn a_small_partition_is_not_starved_by_a_large_one() {
        let limits = Limits { max_records: Some(10), ..ROOMY };
        assert_eq!(taken(&cut(&[offer(0, 0, 1_000_000, 10), offer(1, 0, 1, 10)], None, &limits, &TEN))[1], 1);
    }

    #[test]
    fn a_frozen_end_holds_whatever_comes_later() {
        let frozen = Positions::from([(Partition { topic: "t".into(), number: 0 }, Offset(8))]);
        assert_eq!(taken(&cut(&[offer(0, 5, 10, 200), offer(1, 0, 3, 200)], Some(&frozen), &ROOMY, &TEN)), [3, 0]);
    }

    #[test]
    fn a_fixed_rate_cuts_each_partition_by_itself() {
        let limits = Limits { max_rate_per_partition: Some(4), ..ROOMY };
        let cut = cut(&[offer(0, 0, 300, 10), offer(1, 0, 30, 10)], None, &limits, &TEN);
        assert_eq!(taken(&cut), [40, 30]);
        assert_eq!((cut.bound, &cut.allowed[&Bound::MaxRatePerPartition]), (Some(Bound::MaxRatePerPartition), &70));
    }

    #[test]
    fn a_fixed_rate_holds_where_epochs_follow_each_other_and_starves_none_where_they_have_an_interval() {
        let limits = Limits { max_rate_per_partition: Some(10), ..ROOMY };
        let at_once = Pace { rate: None, work_seconds: 1.0, elapsed_seconds: 0.05, at_least_one: false };
        assert_eq!(taken(&cut(&[offer(0, 0, 300, 10)], None, &limits, &at_once)), [0], "half a record");
        assert_eq!(taken(&cut(&[offer(0, 0, 300, 10)], None, &limits, &Pace { elapsed_seconds: 0.1, ..at_once })), [1]);
        assert_eq!(taken(&cut(&[offer(0, 0, 300, 10)], None, &limits, &Pace { at_least_one: true, ..at_once })), [1]);
    }

    #[test]
    fn an_estimated_rate_is_shared_by_lag_and_starves_no_partition() {
        let pace = Pace { rate: Some(20.0), ..TEN };
        let cut = cut(&[offer(0, 0, 300, 10), offer(1, 0, 100, 10), offer(2, 0, 1, 10), offer(3, 0, 0, 10)], None, &ROOMY, &pace);
        assert_eq!(taken(&cut), [149, 49, 1, 0]);
        assert_eq!(cut.bound, Some(Bound::Backpressure));
    }

    #[test]
    fn the_fixed_rate_caps_a_share_of_the_estimated_one() {
        let limits = Limits { max_rate_per_partition: Some(12), ..ROOMY };
        let cut = cut(&[offer(0, 0, 300, 10), offer(1, 0, 100, 10)], None, &limits, &Pace { rate: Some(20.0), ..TEN });
        assert_eq!(taken(&cut), [120, 50]);
        assert_eq!(cut.bound, Some(Bound::Backpressure), "alone it allows 200, and the fixed rate 220");
    }

    #[test]
    fn of_several_limits_the_tightest_bound_and_each_says_what_it_allowed() {
        let limits = Limits { max_epoch_bytes: 900, max_records: Some(150), max_rate_per_partition: Some(12) };
        let cut = cut(&[offer(0, 0, 300, 10), offer(1, 0, 100, 10)], None, &limits, &Pace { rate: Some(20.0), ..TEN });
        assert_eq!(taken(&cut), [63, 26]);
        assert_eq!(cut.bound, Some(Bound::MaxEpochBytes));
        let allowed: Vec<_> = cut.allowed.into_iter().collect();
        assert_eq!(allowed, [(Bound::MaxRatePerPartition, 220), (Bound::Backpressure, 200), (Bound::MaxRecords, 150), (Bound::MaxEpochBytes, 90)]);
    }

    #[test]
    fn the_lag_ends_at_the_frozen_end() {
        let frozen = Positions::from([(Partition { topic: "t".into(), number: 0 }, Offset(8))]);
        let offers = [offer(0, 5, 10, 200), offer(1, 0, 3, 200)];
        assert_eq!((lag(&offers, None), lag(&offers, Some(&frozen))), (8, 3));
    }
}
