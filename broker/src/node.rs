//! Everything that a broker knows, in one place and under one lock: topics, groups, transactions. Here is what concerns more than one of them: deleting a topic,
//! ending a transaction, keeping the bounds. Pure: told the time, and silent; what is to be logged is given back.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::clock::Now;
use crate::config::Config;
use crate::group::Group;
use crate::log::Log;
use crate::topic::{Settings, Topics};
use crate::transaction::{Coordinator, Ended};
use crate::wire::ErrorCode;

/// The state of a broker.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) config: Config,
    /// Another one for each broker: clients tell clusters apart by it.
    pub(crate) cluster_id: String,
    pub(crate) topics: Topics,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) transactions: Coordinator,
    next_member: u64,
    kept_bytes: u64,
    dropped_bytes: u64,
}

/// The only broker of the cluster.
pub(crate) const NODE_ID: i32 = 1;

impl Node {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            cluster_id: Uuid::new_v4().simple().to_string(),
            topics: Topics::new(config.max_partitions),
            transactions: Coordinator::new(config.max_transactional_ids, config.marker_delay),
            groups: BTreeMap::new(),
            next_member: 0,
            kept_bytes: 0,
            dropped_bytes: 0,
            config,
        }
    }

    /// Bytes of batches that are kept.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.kept_bytes
    }

    /// Bytes of batches that retention has dropped.
    pub(crate) fn dropped_bytes(&self) -> u64 {
        self.dropped_bytes
    }

    /// Makes a topic that somebody asked for, if that is how topics are made here.
    pub(crate) fn create_on_demand(&mut self, name: &str) -> Result<(), ErrorCode> {
        match self.topics.create(name, self.config.default_partitions, Settings::default()) {
            Ok(_) | Err(ErrorCode::TopicAlreadyExists) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes a topic with all that refers to it: a new topic of this name begins at offset 0.
    pub(crate) fn delete_topic(&mut self, name: &str) -> Result<(), ErrorCode> {
        let topic = self.topics.remove(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        self.kept_bytes -= topic.partitions.iter().map(|log| log.bytes()).sum::<u64>();
        self.transactions.forget_topic(name);
        for group in self.groups.values_mut() {
            group.offsets.retain(|partition, _| partition.topic != name);
        }
        self.forget_unused_groups();
        Ok(())
    }

    /// Changes a log, and keeps the bounds: the partition's first, then the broker's.
    pub(crate) fn change_log<T>(&mut self, topic: &str, partition: i32, change: impl FnOnce(&mut Log) -> Result<T, ErrorCode>) -> Result<T, ErrorCode> {
        let settings = self.topics.get(topic).map(|topic| &topic.settings);
        let limit = settings.and_then(Settings::retention_bytes).or(self.config.partition_retention_bytes);
        let log = self.topics.log_mut(topic, partition)?;
        let before = log.bytes();
        let outcome = change(log);
        let dropped = limit.map_or(0, |limit| log.shrink_to(limit));
        let after = log.bytes();
        self.dropped_bytes += dropped;
        self.kept_bytes = (self.kept_bytes + after).saturating_sub(before);
        self.shrink();
        outcome
    }

    /// Ends what is due, and sends away who has been silent. To be called every few milliseconds. True: readers may see more than before.
    pub(crate) fn tick(&mut self, now: Now) -> bool {
        self.transactions.expire(now);
        let has_ended = self.finish_transactions(now);
        for group in self.groups.values_mut() {
            group.tick(now.at);
        }
        self.forget_unused_groups();
        has_ended
    }

    /// Writes the markers of transactions that have ended, and commits their offsets.
    pub(crate) fn finish_transactions(&mut self, now: Now) -> bool {
        let due = self.transactions.take_due(now.at);
        let any = !due.is_empty();
        for Ended { producer, is_commit, work } in due {
            for partition in &work.partitions {
                let end = |log: &mut Log| {
                    log.end_transaction(producer.id, producer.epoch, is_commit, now.ms);
                    Ok(())
                };
                // A partition that is gone needs no marker.
                self.change_log(&partition.topic, partition.partition, end).unwrap_or_default();
            }
            for (group, offsets) in work.offsets.into_iter().filter(|(_, offsets)| is_commit && !offsets.is_empty()) {
                self.groups.entry(group).or_default().offsets.extend(offsets);
            }
        }
        any
    }

    /// A group, made if there is room.
    pub(crate) fn group_mut(&mut self, id: &str) -> Result<&mut Group, ErrorCode> {
        if !self.groups.contains_key(id) && self.groups.len() >= self.config.max_groups {
            return Err(ErrorCode::PolicyViolation);
        }
        Ok(self.groups.entry(id.to_owned()).or_default())
    }

    /// Groups that are only a name.
    pub(crate) fn forget_unused_groups(&mut self) {
        self.groups.retain(|_, group| !group.is_unused());
    }

    /// Whether this many more offsets can be kept.
    pub(crate) fn has_room_for_offsets(&self, more: usize) -> bool {
        let committed: usize = self.groups.values().map(|group| group.offsets.len()).sum();
        committed + self.transactions.count_pending() + more <= self.config.max_offsets
    }

    /// Whether open transactions can touch this many more partitions.
    pub(crate) fn has_room_for_partitions(&self, more: usize) -> bool {
        self.transactions.count_touched() + more <= self.config.max_offsets
    }

    /// Whether one more member can be kept.
    pub(crate) fn has_room_for_a_member(&self) -> bool {
        self.groups.values().map(Group::seats).sum::<usize>() < self.config.max_members
    }

    /// A member's id that no other member has had.
    pub(crate) fn fresh_member_id(&mut self, name: &str) -> String {
        self.next_member += 1;
        let name: String = name.chars().take(100).collect();
        format!("{name}-{}", self.next_member)
    }

    /// The largest partition gives its oldest batches, so that a busy topic does not push out a quiet one.
    fn shrink(&mut self) {
        while let Some(excess) = self.kept_bytes.checked_sub(self.config.retention_bytes).filter(|excess| *excess > 0) {
            let logs = self.topics.iter_mut().flat_map(|(_, topic)| &mut topic.partitions);
            let Some(largest) = logs.max_by_key(|log| log.bytes()) else { return };
            let dropped = largest.shrink_to(largest.bytes().saturating_sub(excess));
            if dropped == 0 {
                return;
            }
            self.kept_bytes = self.kept_bytes.saturating_sub(dropped);
            self.dropped_bytes += dropped;
        }
    }
}

#[cfg(test)]
mod tests;
