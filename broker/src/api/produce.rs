//! Produce: the checks that a topic's settings and a transaction ask for, then the log.

use bytes::Bytes;

use crate::batch::{Batch, records};
use crate::clock::Now;
use crate::log::Appended;
use crate::node::Node;
use crate::topic::{Settings, TopicPartition};
use crate::transaction::Producer;
use crate::wire::ErrorCode;
use crate::wire::messages::*;

/// The first version whose clients know zstd.
const ZSTD_SINCE: i16 = 7;

/// What is the same for all batches of a request.
struct Context<'a> {
    transactional_id: Option<&'a str>,
    version: i16,
    now: Now,
}

struct Produced {
    offset: i64,
    append_time_ms: i64,
    log_start: i64,
}

pub(super) fn produce(node: &mut Node, request: ProduceRequest, version: i16, now: Now) -> ProduceResponse {
    let context = Context { transactional_id: request.transactional_id.as_deref(), version, now };
    let acks_are_known = (-1..=1).contains(&request.acks);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut produce_one = |partition: ProducePartition| {
            let records = partition.records.unwrap_or_default();
            let outcome = if acks_are_known { append(node, &topic.name, partition.index, &records, &context) } else { Err(ErrorCode::InvalidRequiredAcks) };
            produced(partition.index, outcome)
        };
        let partitions = topic.partitions.into_iter().map(&mut produce_one).collect();
        topics.push(ProducedTopic { name: topic.name, partitions });
    }
    ProduceResponse { topics, ..ProduceResponse::default() }
}

fn append(node: &mut Node, topic: &str, partition: i32, records: &Bytes, context: &Context<'_>) -> Result<Produced, ErrorCode> {
    node.topics.log(topic, partition)?;
    let settings = &node.topics.get(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?.settings;
    if records.len() > settings.max_message_bytes() {
        return Err(ErrorCode::MessageTooLarge);
    }
    let mut batch = Batch::of_client(records)?;
    if batch.header.is_zstd() && context.version < ZSTD_SINCE {
        return Err(ErrorCode::UnsupportedCompressionType);
    }
    check(&batch, settings, context.now.ms)?;
    let append_time_ms = if settings.has_append_time() { context.now.ms } else { -1 };
    if settings.has_append_time() {
        batch.stamp(context.now.ms);
    }
    if batch.header.is_transactional() {
        let id = context.transactional_id.ok_or(ErrorCode::TransactionalIdAuthorizationFailed)?;
        let producer = Producer { id: batch.header.producer_id, epoch: batch.header.producer_epoch };
        let work = node.transactions.open_work(id, producer)?;
        if !work.partitions.contains(&TopicPartition { topic: topic.to_owned(), partition }) {
            return Err(ErrorCode::InvalidTxnState);
        }
    }
    node.change_log(topic, partition, |log| {
        let (Appended::At(offset) | Appended::Before(offset)) = log.append(batch)?;
        Ok(Produced { offset, append_time_ms, log_start: log.start() })
    })
}

/// What the topic's settings ask of a batch.
fn check(batch: &Batch, settings: &Settings, now_ms: i64) -> Result<(), ErrorCode> {
    let ahead = batch.header.max_timestamp.saturating_sub(now_ms);
    let behind = now_ms.saturating_sub(batch.header.base_timestamp);
    if !settings.has_append_time() && (ahead > settings.max_ms_after_now() || behind > settings.max_ms_before_now()) {
        return Err(ErrorCode::InvalidTimestamp);
    }
    if settings.is_compacted() {
        let opened = batch.opened_records().ok_or(ErrorCode::CorruptMessage)?;
        if records::walk(&opened).any(|record| !record.has_key) {
            return Err(ErrorCode::InvalidRecord);
        }
    }
    Ok(())
}

fn produced(index: i32, outcome: Result<Produced, ErrorCode>) -> ProducedPartition {
    match outcome {
        Ok(Produced { offset, append_time_ms, log_start }) => {
            ProducedPartition { index, base_offset: offset, log_append_time_ms: append_time_ms, log_start_offset: log_start, ..ProducedPartition::default() }
        }
        Err(error) => ProducedPartition { index, error, ..ProducedPartition::default() },
    }
}
