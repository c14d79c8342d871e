//! Topics: names, partitions, settings. Pure.

mod settings;

use std::collections::BTreeMap;

use uuid::Uuid;

pub(crate) use settings::{Setting, Settings, defaults};

use crate::log::Log;
use crate::wire::ErrorCode;

/// A partition's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TopicPartition {
    pub(crate) topic: String,
    pub(crate) partition: i32,
}

/// All topics.
#[derive(Debug)]
pub(crate) struct Topics {
    by_name: BTreeMap<String, Topic>,
    max_partitions: usize,
}

/// A topic and its logs.
#[derive(Debug)]
pub(crate) struct Topic {
    /// Another one each time that a topic of this name is made.
    pub(crate) id: Uuid,
    pub(crate) settings: Settings,
    pub(crate) partitions: Vec<Log>,
}

impl Topics {
    pub(crate) fn new(max_partitions: usize) -> Self {
        Self { by_name: BTreeMap::new(), max_partitions }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Topic> {
        self.by_name.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Topic> {
        self.by_name.get_mut(name)
    }

    pub(crate) fn name_of(&self, id: Uuid) -> Option<&str> {
        self.by_name.iter().find(|(_, topic)| topic.id == id).map(|(name, _)| name.as_str())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Topic)> {
        self.by_name.iter().map(|(name, topic)| (name.as_str(), topic))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Topic)> {
        self.by_name.iter_mut().map(|(name, topic)| (name.as_str(), topic))
    }

    pub(crate) fn log(&self, topic: &str, partition: i32) -> Result<&Log, ErrorCode> {
        self.get(topic).and_then(|topic| topic.log(partition)).ok_or(ErrorCode::UnknownTopicOrPartition)
    }

    pub(crate) fn log_mut(&mut self, topic: &str, partition: i32) -> Result<&mut Log, ErrorCode> {
        let index = usize::try_from(partition).map_err(|_| ErrorCode::UnknownTopicOrPartition)?;
        self.get_mut(topic).and_then(|topic| topic.partitions.get_mut(index)).ok_or(ErrorCode::UnknownTopicOrPartition)
    }

    /// Makes a topic, if it may be made.
    pub(crate) fn create(&mut self, name: &str, partitions: i32, settings: Settings) -> Result<&Topic, ErrorCode> {
        let partitions = self.may_create(name, partitions)?;
        let topic = Topic { id: Uuid::new_v4(), settings, partitions: std::iter::repeat_with(Log::default).take(partitions).collect() };
        Ok(self.by_name.entry(name.to_owned()).or_insert(topic))
    }

    /// Whether a topic may be made, and with how many partitions.
    pub(crate) fn may_create(&self, name: &str, partitions: i32) -> Result<usize, ErrorCode> {
        if !is_name(name) {
            return Err(ErrorCode::InvalidTopic);
        }
        if self.by_name.contains_key(name) {
            return Err(ErrorCode::TopicAlreadyExists);
        }
        let count = usize::try_from(partitions).ok().filter(|count| *count > 0).ok_or(ErrorCode::InvalidPartitions)?;
        self.check_room(count).map(|()| count)
    }

    /// Whether a topic may have `count` partitions, which must be more than it has.
    pub(crate) fn may_grow(&self, name: &str, count: i32) -> Result<usize, ErrorCode> {
        let topic = self.get(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let count = usize::try_from(count).unwrap_or(0);
        let more = count.checked_sub(topic.partitions.len()).filter(|more| *more > 0).ok_or(ErrorCode::InvalidPartitions)?;
        self.check_room(more).map(|()| count)
    }

    pub(crate) fn grow(&mut self, name: &str, count: i32) -> Result<(), ErrorCode> {
        let count = self.may_grow(name, count)?;
        if let Some(topic) = self.get_mut(name) {
            topic.partitions.resize_with(count, Log::default);
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Topic> {
        self.by_name.remove(name)
    }

    fn check_room(&self, more: usize) -> Result<(), ErrorCode> {
        let count: usize = self.by_name.values().map(|topic| topic.partitions.len()).sum();
        if count.saturating_add(more) > self.max_partitions { Err(ErrorCode::PolicyViolation) } else { Ok(()) }
    }
}

impl Topic {
    pub(crate) fn log(&self, partition: i32) -> Option<&Log> {
        self.partitions.get(usize::try_from(partition).ok()?)
    }
}

/// The names that Apache Kafka allows.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || [b'.', b'_', b'-'].contains(&byte);
    (1..=249).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_topic_has_a_name_partitions_and_an_id_of_its_own() {
        let mut topics = Topics::new(10);
        let first = topics.create("a.b_c-D9", 3, Settings::default()).unwrap().id;
        assert_eq!(topics.create("a.b_c-D9", 3, Settings::default()).unwrap_err(), ErrorCode::TopicAlreadyExists);
        for name in ["", ".", "..", "a b", "ä", "a/b", &"x".repeat(250)] {
            assert_eq!(topics.may_create(name, 1), Err(ErrorCode::InvalidTopic), "{name}");
        }
        assert_eq!(topics.may_create("b", 0), Err(ErrorCode::InvalidPartitions));
        topics.remove("a.b_c-D9").unwrap();
        assert_ne!(topics.create("a.b_c-D9", 1, Settings::default()).unwrap().id, first);
    }

    #[test]
    fn partitions_only_become_more_and_never_too_many() {
        let mut topics = Topics::new(10);
        topics.create("a", 3, Settings::default()).unwrap();
        assert_eq!(topics.grow("a", 3), Err(ErrorCode::InvalidPartitions));
        assert_eq!(topics.grow("a", -1), Err(ErrorCode::InvalidPartitions));
        assert_eq!(topics.grow("b", 4), Err(ErrorCode::UnknownTopicOrPartition));
        assert_eq!(topics.grow("a", 11), Err(ErrorCode::PolicyViolation));
        topics.grow("a", 10).unwrap();
        assert_eq!(topics.may_create("b", 1), Err(ErrorCode::PolicyViolation));
        assert!(topics.log("a", 9).is_ok() && topics.log("a", 10).is_err() && topics.log("a", -1).is_err());
    }
}
