//! Fetch: batches as they are in the log, and a wait for more while there are too few. Without sessions: a client is told that there is none, and asks for all its
//! partitions each time.

use std::time::{Duration, Instant};

use crate::clock::Now;
use crate::log::{Log, ReadLimit};
use crate::node::Node;
use crate::server::Shared;
use crate::wire::messages::*;
use crate::wire::{ErrorCode, Records};

const READ_COMMITTED: i8 = 1;

/// A client that waits longer asks again.
const MAX_WAIT: Duration = Duration::from_secs(60);

pub(super) async fn fetch(shared: &Shared, request: FetchRequest, now: Now) -> FetchResponse {
    if request.session_id != 0 {
        return FetchResponse { error: ErrorCode::FetchSessionIdNotFound, ..FetchResponse::default() };
    }
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(MAX_WAIT);
    let deadline: Instant = now.at + wait;
    loop {
        // Whoever appends between the look and the wait must not be missed.
        let change = shared.next_change();
        let (response, is_enough) = look(&shared.node(), &request);
        if is_enough || tokio::time::timeout_at(deadline.into(), change).await.is_err() {
            return response;
        }
    }
}

/// What is there now, and whether the client need not wait for more.
fn look(node: &Node, request: &FetchRequest) -> (FetchResponse, bool) {
    let mut left = usize::try_from(request.max_bytes).unwrap_or(0).min(node.config.max_fetch_bytes);
    let (mut bytes, mut has_error) = (0, false);
    let mut fetch_one = |topic: &str, partition: &FetchPartition| {
        let wanted = Wanted { partition, is_committed: request.isolation_level == READ_COMMITTED, left, is_first: bytes == 0 };
        match node.topics.log(topic, partition.index).and_then(|log| wanted.read(log)) {
            Ok((fetched, found)) => {
                bytes += found;
                left = left.saturating_sub(found);
                fetched
            }
            Err(error) => {
                has_error = true;
                failed(node, topic, partition.index, error)
            }
        }
    };
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let partitions = topic.partitions.iter().map(|partition| fetch_one(&topic.name, partition)).collect();
        topics.push(FetchedTopic { name: topic.name.clone(), partitions });
    }
    let is_enough = has_error || bytes >= usize::try_from(request.min_bytes).unwrap_or(0);
    (FetchResponse { topics, ..FetchResponse::default() }, is_enough)
}

/// What is wanted of a partition.
struct Wanted<'a> {
    partition: &'a FetchPartition,
    is_committed: bool,
    /// Bytes that the answer may still take.
    left: usize,
    /// Whether the answer has nothing yet.
    is_first: bool,
}

impl Wanted<'_> {
    fn read(&self, log: &Log) -> Result<(FetchedPartition, usize), ErrorCode> {
        let from = self.partition.fetch_offset;
        if self.partition.current_leader_epoch > 0 {
            return Err(ErrorCode::UnknownLeaderEpoch);
        }
        if !(log.start()..=log.end()).contains(&from) {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let until = if self.is_committed { log.last_stable_offset() } else { log.end() };
        let max_bytes = usize::try_from(self.partition.max_bytes).unwrap_or(0).min(self.left);
        let found = log.read(from, ReadLimit { until, max_bytes, at_least_one: self.is_first });
        let aborted = log.transactions.aborted_within(from, found.next);
        let aborted = aborted.map(|aborted| AbortedTransaction { producer_id: aborted.producer_id, first_offset: aborted.first });
        let aborted: Option<Vec<_>> = self.is_committed.then(|| aborted.collect());
        let bytes = found.bytes + aborted.as_ref().map_or(0, |aborted| aborted.len() * size_of::<AbortedTransaction>());
        let fetched = FetchedPartition {
            index: self.partition.index,
            high_watermark: log.end(),
            last_stable_offset: log.last_stable_offset(),
            log_start_offset: log.start(),
            aborted_transactions: aborted,
            records: Records(found.batches),
            ..FetchedPartition::default()
        };
        Ok((fetched, bytes))
    }
}

fn failed(node: &Node, topic: &str, index: i32, error: ErrorCode) -> FetchedPartition {
    let log = node.topics.log(topic, index).ok();
    FetchedPartition {
        index,
        error,
        high_watermark: log.map_or(-1, Log::end),
        last_stable_offset: log.map_or(-1, Log::last_stable_offset),
        log_start_offset: log.map_or(-1, Log::start),
        ..FetchedPartition::default()
    }
}
