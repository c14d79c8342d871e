//! Offsets of a group: a handle for the transaction that commits them, and the way back.

use std::ffi::CString;
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::{Offset as ListOffset, TopicPartitionList};

use super::KafkaTransactionOptions;
use super::error::of_query;
use crate::sink::TransactionError;
use crate::source::kafka::{Consumer, ask, create, now};
use crate::source::{Offset, Partition};

/// A group without members, as a transaction names it.
pub(super) struct Group(NonNull<sys::rd_kafka_consumer_group_metadata_t>);

impl Group {
    /// The group of this name.
    pub(super) fn new(name: &str) -> Result<Self, TransactionError> {
        let name = CString::new(name).map_err(|_| TransactionError::Failed { reason: format!("`{name}` is no name of a group") })?;
        // SAFETY: the name ends with a zero and is copied.
        let group = unsafe { sys::rd_kafka_consumer_group_metadata_new(name.as_ptr()) };
        NonNull::new(group).map(Self).ok_or_else(|| TransactionError::Failed { reason: "the client has no memory left".to_owned() })
    }

    /// The raw handle, valid as long as `self`.
    pub(super) fn as_ptr(&self) -> *const sys::rd_kafka_consumer_group_metadata_t {
        self.0.as_ptr()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) }
    }
}

/// What is committed for `partition` in `group`: offset and metadata. With read_committed it waits for a transaction that is about to commit there.
pub(super) fn committed(
    options: &KafkaTransactionOptions,
    group: &str,
    isolation: &str,
    partition: &Partition,
    timeout: Duration,
) -> Result<Option<(Offset, String)>, TransactionError> {
    const PAUSE: Duration = Duration::from_millis(50);
    let deadline = now() + timeout;
    let fixed = [("group.id", group), ("isolation.level", isolation), ("enable.auto.commit", "false")];
    let client: Consumer = create(&options.pipeline, &options.brokers, &[("client.id", "weir")], &options.properties, &fixed)
        .map_err(|error| TransactionError::Failed { reason: format!("{error:#}") })?;
    let mut list = TopicPartitionList::new();
    list.add_partition(&partition.topic, partition.number);
    let found = loop {
        let left = deadline.saturating_duration_since(now());
        let answer = ask(&client, deadline, |client, turn| client.committed_offsets(list.clone(), turn));
        match answer.map_err(|error| of_query(&error, &client)) {
            // A coordinator that is moving, or was just made, refuses at once: serving the client meanwhile is the pause between two attempts.
            Err(TransactionError::Retriable { .. }) if left > PAUSE => drop(client.poll(PAUSE)),
            found => break found?,
        }
    };
    Ok(found.find_partition(&partition.topic, partition.number).and_then(|element| match element.offset() {
        ListOffset::Offset(offset) => Some((Offset(offset), element.metadata().to_owned())),
        _ => None,
    }))
}
