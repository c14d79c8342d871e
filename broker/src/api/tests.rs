#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use super::*;
use crate::batch::tests::client_batch;
use crate::config::Config;
use crate::node::Node;

/// In the batch's attributes.
const TRANSACTIONAL: i16 = 0x10;

/// A node with a topic `t`, and a producer whose transaction has partition 0 and group `g`.
struct Trial {
    node: Node,
    now: Now,
    producer: (i64, i16),
    sequence: i32,
}

impl Trial {
    fn new(marker_delay: Duration) -> Self {
        let mut node = Node::new(Config { marker_delay, ..Config::default() });
        node.create_on_demand("t").unwrap();
        let mut trial = Self { node, now: Now::read(), producer: (-1, -1), sequence: 0 };
        let owner = trial.init();
        trial.producer = (owner.producer_id, owner.producer_epoch);
        assert_eq!(trial.add_partition(), ErrorCode::None);
        assert_eq!(trial.add_group(), ErrorCode::None);
        trial
    }

    fn init(&mut self) -> InitProducerIdResponse {
        let request = InitProducerIdRequest { transactional_id: Some("id".into()), transaction_timeout_ms: 60_000, ..Default::default() };
        transactions::init_producer_id(&mut self.node, request, self.now)
    }

    fn add_partition(&mut self) -> ErrorCode {
        let topics = vec![TransactionTopic { name: "t".into(), partitions: vec![0] }];
        let request = AddPartitionsToTxnRequest { transactional_id: "id".into(), producer_id: self.producer.0, producer_epoch: self.producer.1, topics };
        transactions::add_partitions(&mut self.node, request, 3, self.now).topics[0].partitions[0].error
    }

    fn add_group(&mut self) -> ErrorCode {
        let (producer_id, producer_epoch) = self.producer;
        let request = AddOffsetsToTxnRequest { transactional_id: "id".into(), producer_id, producer_epoch, group_id: "g".into() };
        transactions::add_offsets(&mut self.node, request, 3, self.now).error
    }

    fn produce(&mut self) -> ErrorCode {
        let (producer_id, producer_epoch) = self.producer;
        let records = client_batch((producer_id, producer_epoch, self.sequence), TRANSACTIONAL, &[(self.now.ms, None)]);
        self.sequence += 1;
        let partitions = vec![ProducePartition { index: 0, records: Some(records) }];
        let topics = vec![ProduceTopic { name: "t".into(), partitions }];
        let request = ProduceRequest { transactional_id: Some("id".into()), acks: -1, timeout_ms: 0, topics };
        produce::produce(&mut self.node, request, 9, self.now).topics[0].partitions[0].error
    }

    fn commit_offset(&mut self) -> ErrorCode {
        let partitions = vec![TxnOffsetCommitPartition { index: 0, offset: 7, ..Default::default() }];
        let request = TxnOffsetCommitRequest {
            transactional_id: "id".into(),
            group_id: "g".into(),
            producer_id: self.producer.0,
            producer_epoch: self.producer.1,
            topics: vec![TxnOffsetCommitTopic { name: "t".into(), partitions }],
            ..Default::default()
        };
        transactions::commit_offsets(&mut self.node, request).topics[0].partitions[0].error
    }

    fn end(&mut self, committed: bool) -> ErrorCode {
        let (producer_id, producer_epoch) = self.producer;
        let request = EndTxnRequest { transactional_id: "id".into(), producer_id, producer_epoch, committed };
        transactions::end(&mut self.node, request, 3, self.now).error
    }

    fn stable_offset(&self) -> (i64, ErrorCode) {
        let topics = Some(vec![OffsetFetchTopic { name: "t".into(), partitions: vec![0] }]);
        let request = OffsetFetchRequest { group_id: "g".into(), topics, require_stable: true, ..Default::default() };
        let fetched = group_offsets::fetch(&self.node, request, 7).topics.remove(0).partitions.remove(0);
        (fetched.offset, fetched.error)
    }
}

#[test]
fn a_commit_is_answered_before_its_markers_and_the_next_transaction_waits_for_them() {
    let mut trial = Trial::new(Duration::from_millis(5));
    assert_eq!((trial.produce(), trial.commit_offset()), (ErrorCode::None, ErrorCode::None));
    assert_eq!(trial.end(true), ErrorCode::None);
    assert_eq!(trial.node.topics.log("t", 0).unwrap().last_stable_offset(), 0);
    assert_eq!(trial.stable_offset(), (-1, ErrorCode::UnstableOffsetCommit));
    let wait = ErrorCode::ConcurrentTransactions;
    assert_eq!((trial.add_partition(), trial.add_group(), trial.init().error), (wait, wait, wait));
    trial.now.at += Duration::from_millis(5);
    assert!(trial.node.tick(trial.now));
    assert_eq!(trial.node.topics.log("t", 0).unwrap().last_stable_offset(), 2);
    assert_eq!(trial.stable_offset(), (7, ErrorCode::None));
    assert_eq!(trial.add_partition(), ErrorCode::None);
}

#[test]
fn without_a_delay_the_markers_are_there_when_the_commit_is_answered() {
    let mut trial = Trial::new(Duration::ZERO);
    trial.produce();
    assert_eq!(trial.end(false), ErrorCode::None);
    assert_eq!(trial.node.topics.log("t", 0).unwrap().last_stable_offset(), 2);
}

/// Regression: what a client had sent again after its commit landed outside of any transaction.
#[test]
fn records_and_offsets_that_come_after_the_end_are_refused() {
    let mut trial = Trial::new(Duration::ZERO);
    assert_eq!((trial.produce(), trial.commit_offset(), trial.end(true)), (ErrorCode::None, ErrorCode::None, ErrorCode::None));
    assert_eq!((trial.produce(), trial.commit_offset()), (ErrorCode::InvalidTxnState, ErrorCode::InvalidTxnState));
    // And in a new transaction that has not announced them.
    assert_eq!(trial.add_group(), ErrorCode::None);
    assert_eq!((trial.produce(), trial.commit_offset()), (ErrorCode::InvalidTxnState, ErrorCode::None));
}

#[test]
fn a_fenced_producer_can_do_nothing_more() {
    let mut trial = Trial::new(Duration::ZERO);
    trial.produce();
    assert_eq!(trial.init().error, ErrorCode::ConcurrentTransactions, "the open transaction is aborted first");
    let successor = trial.init();
    assert_eq!((successor.error, successor.producer_id), (ErrorCode::None, trial.producer.0));
    let fenced = ErrorCode::ProducerFenced;
    assert_eq!((trial.add_partition(), trial.add_group(), trial.end(true)), (fenced, fenced, fenced));
    assert_eq!((trial.produce(), trial.commit_offset()), (ErrorCode::InvalidProducerEpoch, ErrorCode::InvalidProducerEpoch));
    assert_eq!(trial.node.topics.log("t", 0).unwrap().transactions.aborted_within(0, 9).count(), 1);
}
