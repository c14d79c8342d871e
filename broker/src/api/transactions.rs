//! Producer ids and transactions, and what an administrator sees of them.

use std::time::Duration;

use super::{distinct, group_offsets};
use crate::clock::Now;
use crate::group::Claim;
use crate::group::offsets::CommittedOffset;
use crate::log::Log;
use crate::node::Node;
use crate::topic::TopicPartition;
use crate::transaction::{Producer, Transaction, Work};
use crate::wire::ErrorCode;
use crate::wire::messages::*;

/// The first version whose clients know `PRODUCER_FENCED`; older ones know the epoch's error.
const FENCED_SINCE: i16 = 2;

pub(super) fn init_producer_id(node: &mut Node, request: InitProducerIdRequest, now: Now) -> InitProducerIdResponse {
    let known = (request.producer_id >= 0).then_some(Producer { id: request.producer_id, epoch: request.producer_epoch });
    let timeout = Duration::from_millis(u64::try_from(request.transaction_timeout_ms).unwrap_or(0));
    let outcome = match &request.transactional_id {
        Some(id) => node.transactions.init(id, timeout, known, now),
        None => Ok(node.transactions.fresh_producer()),
    };
    // The transaction that was open may have to be marked right now.
    node.finish_transactions(now);
    match outcome {
        Ok(producer) => InitProducerIdResponse { producer_id: producer.id, producer_epoch: producer.epoch, ..InitProducerIdResponse::default() },
        Err(error) => InitProducerIdResponse { error, ..InitProducerIdResponse::default() },
    }
}

/// All partitions or none.
pub(super) fn add_partitions(node: &mut Node, request: AddPartitionsToTxnRequest, version: i16, now: Now) -> AddPartitionsToTxnResponse {
    let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
    let places = |topic: &TransactionTopic| {
        let name = topic.name.clone();
        topic.partitions.clone().into_iter().map(move |partition| TopicPartition { topic: name.clone(), partition })
    };
    let exists = |node: &Node, place: &TopicPartition| node.topics.log(&place.topic, place.partition).is_ok();
    let outcome = if !request.topics.iter().flat_map(places).all(|place| exists(node, &place)) {
        Err(ErrorCode::OperationNotAttempted)
    } else if !node.has_room_for_partitions(request.topics.iter().map(|topic| topic.partitions.len()).sum()) {
        Err(ErrorCode::PolicyViolation)
    } else {
        let work = node.transactions.work(&request.transactional_id, producer, now);
        work.map(|work| work.partitions.extend(request.topics.iter().flat_map(places)))
    };
    let error = ErrorCode::of(&outcome.map_err(|error| fenced(error, version)));
    let topics = request.topics.iter().map(|topic| {
        let one = |place: TopicPartition| PartitionError {
            index: place.partition,
            error: if exists(node, &place) { error } else { ErrorCode::UnknownTopicOrPartition },
        };
        PartitionErrors { name: topic.name.clone(), partitions: places(topic).map(one).collect() }
    });
    AddPartitionsToTxnResponse { topics: topics.collect(), ..AddPartitionsToTxnResponse::default() }
}

pub(super) fn add_offsets(node: &mut Node, request: AddOffsetsToTxnRequest, version: i16, now: Now) -> AddOffsetsToTxnResponse {
    let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
    let work = node.transactions.work(&request.transactional_id, producer, now);
    let outcome = work.and_then(|work| {
        // A transaction with many groups is a mistake, and they are kept.
        const MAX_GROUPS: usize = 100;
        if work.offsets.len() >= MAX_GROUPS && !work.offsets.contains_key(&request.group_id) {
            return Err(ErrorCode::PolicyViolation);
        }
        work.offsets.entry(request.group_id.clone()).or_default();
        Ok(())
    });
    AddOffsetsToTxnResponse { error: ErrorCode::of(&outcome.map_err(|error| fenced(error, version))), ..AddOffsetsToTxnResponse::default() }
}

pub(super) fn commit_offsets(node: &mut Node, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
    let claim = Claim { member_id: &request.member_id, instance_id: request.group_instance_id.as_deref(), generation: request.generation_id };
    let has_room = group_offsets::has_room(node, request.topics.iter().map(|topic| topic.partitions.len()));
    let allowed = has_room.and_then(|()| group_offsets::may_commit(node, &request.group_id, claim, true));
    node.forget_unused_groups();
    let mut commit_one = |topic: &str, partition: TxnOffsetCommitPartition| {
        allowed?;
        node.topics.log(topic, partition.index)?;
        let offset = CommittedOffset::new(partition.offset, partition.leader_epoch, partition.metadata)?;
        let work: &mut Work = node.transactions.open_work(&request.transactional_id, producer)?;
        let offsets = work.offsets.get_mut(&request.group_id).ok_or(ErrorCode::InvalidTxnState)?;
        offsets.insert(TopicPartition { topic: topic.to_owned(), partition: partition.index }, offset);
        Ok(())
    };
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            let index = partition.index;
            PartitionError { index, error: ErrorCode::of(&commit_one(&topic.name, partition)) }
        });
        PartitionErrors { partitions: partitions.collect(), name: topic.name.clone() }
    });
    TxnOffsetCommitResponse { topics: topics.collect(), ..TxnOffsetCommitResponse::default() }
}

pub(super) fn end(node: &mut Node, request: EndTxnRequest, version: i16, now: Now) -> EndTxnResponse {
    let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
    let outcome = node.transactions.end(&request.transactional_id, producer, request.committed, now);
    node.finish_transactions(now);
    EndTxnResponse { error: ErrorCode::of(&outcome.map_err(|error| fenced(error, version))), ..EndTxnResponse::default() }
}

pub(super) fn list(node: &Node, request: ListTransactionsRequest, now: Now) -> ListTransactionsResponse {
    let is_wanted = |transaction: &Transaction| {
        let in_state = request.states.is_empty() || request.states.iter().any(|state| state == transaction.state_name());
        let of_producer = request.producer_ids.is_empty() || request.producer_ids.contains(&transaction.producer.id);
        let open_for = transaction.work().map_or(-1, |work| now.ms - work.began.ms);
        in_state && of_producer && (request.duration_ms < 0 || open_for >= request.duration_ms)
    };
    let listed = node.transactions.iter().filter(|(_, transaction)| is_wanted(transaction)).map(|(id, transaction)| ListedTransaction {
        transactional_id: id.to_owned(),
        producer_id: transaction.producer.id,
        state: transaction.state_name().to_owned(),
    });
    ListTransactionsResponse { transactions: listed.collect(), ..ListTransactionsResponse::default() }
}

pub(super) fn describe(node: &Node, request: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let described = distinct(request.transactional_ids, String::clone).map(|id| match node.transactions.get(&id) {
        Some(transaction) => DescribedTransaction {
            transactional_id: id,
            state: transaction.state_name().to_owned(),
            timeout_ms: i32::try_from(transaction.timeout.as_millis()).unwrap_or(i32::MAX),
            start_time_ms: transaction.work().map_or(-1, |work| work.began.ms),
            producer_id: transaction.producer.id,
            producer_epoch: transaction.producer.epoch,
            topics: transaction.work().map(touched).unwrap_or_default(),
            ..DescribedTransaction::default()
        },
        None => DescribedTransaction { error: ErrorCode::TransactionalIdNotFound, transactional_id: id, ..DescribedTransaction::default() },
    });
    DescribeTransactionsResponse { transactions: described.collect(), ..DescribeTransactionsResponse::default() }
}

pub(super) fn describe_producers(node: &Node, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let topics = distinct(request.topics, |topic| topic.name.clone()).map(|topic| {
        let partitions = distinct(topic.partitions, |index| *index).map(|index| match node.topics.log(&topic.name, index) {
            Ok(log) => DescribedProducers { index, producers: producers(log), ..DescribedProducers::default() },
            Err(error) => DescribedProducers { index, error, ..DescribedProducers::default() },
        });
        DescribedProducersTopic { partitions: partitions.collect(), name: topic.name.clone() }
    });
    DescribeProducersResponse { topics: topics.collect(), ..DescribeProducersResponse::default() }
}

fn producers(log: &Log) -> Vec<ActiveProducer> {
    let active = log.producers.iter().map(|(producer_id, producer)| ActiveProducer {
        producer_id,
        producer_epoch: producer.epoch.into(),
        last_sequence: producer.last_sequence(),
        last_timestamp: producer.last_timestamp,
        coordinator_epoch: 0,
        current_txn_start_offset: log.transactions.open_offset(producer_id).unwrap_or(-1),
    });
    active.collect()
}

fn touched(work: &Work) -> Vec<TransactionTopic> {
    let mut topics: Vec<TransactionTopic> = Vec::new();
    // In order, so that a topic's partitions follow each other.
    for place in &work.partitions {
        match topics.last_mut().filter(|topic| topic.name == place.topic) {
            Some(topic) => topic.partitions.push(place.partition),
            None => topics.push(TransactionTopic { name: place.topic.clone(), partitions: vec![place.partition] }),
        }
    }
    topics
}

fn fenced(error: ErrorCode, version: i16) -> ErrorCode {
    if error == ErrorCode::ProducerFenced && version < FENCED_SINCE { ErrorCode::InvalidProducerEpoch } else { error }
}
