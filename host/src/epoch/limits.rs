//! How far an epoch reads. Pure: what the sources offer and the limits come in, offset ranges come out, with the name of the limit that bound.

use crate::source::{Offer, Offset, OffsetRange, Positions};

/// The limits of an epoch. The byte limit always holds; it is what keeps memory flat whatever the backlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of record values, over all sources. An epoch passes it by at most what its records are larger than those before them.
    pub max_epoch_bytes: u64,
    /// Records, over all sources; counted as offsets, so gaps count.
    pub max_records: Option<u64>,
}

/// Which limit made an epoch smaller than what was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// `max_epoch_bytes`.
    MaxEpochBytes,
    /// `max_records`.
    MaxRecords,
}

/// What an epoch reads of one source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cut {
    /// For every offered partition, the range to read; it may be empty.
    pub ranges: Vec<OffsetRange>,
    /// The limit that bound, if one did.
    pub bound: Option<Bound>,
}

/// A guess at a record's size before any was seen.
const UNKNOWN_RECORD_BYTES: u64 = 1 << 10;

/// Cuts what one source offers to the limits. `frozen`: an end past which this run never reads (`available-now`).
///
/// Every partition gets a share in proportion to what it has, as Spark's `maxOffsetsPerTrigger` gives it, and at least one record, so that none starves.
#[must_use]
pub fn cut(offers: &[Offer], frozen: Option<&Positions>, limits: &Limits) -> Cut {
    let end_of = |offer: &Offer| match frozen {
        None => offer.end,
        Some(frozen) => frozen.get(&offer.partition).copied().unwrap_or(offer.position).min(offer.end),
    };
    let sizes: Vec<u64> = offers.iter().map(|offer| u64::try_from(end_of(offer).0 - offer.position.0).unwrap_or(0)).collect();
    let total: u64 = sizes.iter().sum();
    let bytes_each = |offer: &Offer| u64::from(offer.mean_record_bytes).max(1);
    let known = offers.iter().any(|offer| offer.mean_record_bytes > 0);
    let bytes: u64 = offers
        .iter()
        .zip(&sizes)
        .map(|(offer, size)| size.saturating_mul(if known { bytes_each(offer) } else { UNKNOWN_RECORD_BYTES }))
        .fold(0, u64::saturating_add);
    let by_bytes = u64::try_from(u128::from(total) * u128::from(limits.max_epoch_bytes) / u128::from(bytes.max(1))).unwrap_or(u64::MAX);
    let by_records = limits.max_records.unwrap_or(u64::MAX);
    let allowed = by_bytes.min(by_records).max(1);
    let bound = (allowed < total).then_some(if by_records <= by_bytes { Bound::MaxRecords } else { Bound::MaxEpochBytes });
    let ranges = offers.iter().zip(&sizes).map(|(offer, size)| {
        let share = if allowed >= total { *size } else { u64::try_from(u128::from(*size) * u128::from(allowed) / u128::from(total)).unwrap_or(*size) };
        let take = share.max(u64::from(*size > 0)).min(*size);
        let to = Offset(offer.position.0.saturating_add(i64::try_from(take).unwrap_or(i64::MAX)));
        OffsetRange { partition: offer.partition.clone(), from: offer.position, to }
    });
    Cut { ranges: ranges.collect(), bound }
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

    const ROOMY: Limits = Limits { max_epoch_bytes: 64 << 20, max_records: None };

    #[test]
    fn without_a_backlog_everything_is_read_and_nothing_binds() {
        let cut = cut(&[offer(0, 5, 10, 200), offer(1, 7, 7, 200)], None, &ROOMY);
        assert_eq!(taken(&cut), [5, 0]);
        assert_eq!(cut.bound, None);
    }

    #[test]
    fn the_byte_limit_shares_by_backlog() {
        let limits = Limits { max_epoch_bytes: 2_000, max_records: None };
        let cut = cut(&[offer(0, 0, 300, 10), offer(1, 0, 100, 10)], None, &limits);
        assert_eq!(taken(&cut), [150, 50]);
        assert_eq!(cut.bound, Some(Bound::MaxEpochBytes));
    }

    #[test]
    fn before_any_record_was_seen_the_byte_limit_still_holds() {
        let cut = cut(&[offer(0, 0, 1_000_000, 0)], None, &Limits { max_epoch_bytes: 1 << 20, max_records: None });
        assert_eq!(taken(&cut), [1 << 10]);
    }

    #[test]
    fn the_record_limit_binds_and_is_named() {
        let limits = Limits { max_records: Some(40), ..ROOMY };
        let cut = cut(&[offer(0, 0, 300, 10), offer(1, 0, 100, 10)], None, &limits);
        assert_eq!(taken(&cut), [30, 10]);
        assert_eq!(cut.bound, Some(Bound::MaxRecords));
    }

    #[test]
    fn a_small_partition_is_not_starved_by_a_large_one() {
        let limits = Limits { max_records: Some(10), ..ROOMY };
        assert_eq!(taken(&cut(&[offer(0, 0, 1_000_000, 10), offer(1, 0, 1, 10)], None, &limits))[1], 1);
    }

    #[test]
    fn a_frozen_end_holds_whatever_comes_later() {
        let frozen = Positions::from([(Partition { topic: "t".into(), number: 0 }, Offset(8))]);
        assert_eq!(taken(&cut(&[offer(0, 5, 10, 200), offer(1, 0, 3, 200)], Some(&frozen), &ROOMY)), [3, 0]);
    }
}
