//! Settings of topics: their names, defaults and limits are Apache Kafka's. All are kept and shown; those that mean something to a log in memory have an accessor.

use std::collections::BTreeMap;

use crate::wire::ErrorCode;

/// What was set for a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    set: BTreeMap<String, String>,
}

/// A setting that exists.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    pub(crate) kind: Kind,
}

/// What a value must look like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Boolean,
    /// From the smallest to the largest value.
    Integer(i64, i64),
    /// Between 0 and 1.
    Ratio,
    OneOf(&'static [&'static str]),
    /// Some of these, with commas between them.
    ListOf(&'static [&'static str]),
    Text,
}

const fn integer(name: &'static str, default: &'static str, min: i64) -> Setting {
    Setting { name, default, kind: Kind::Integer(min, i64::MAX) }
}

const MAX_INT: i64 = i32::MAX as i64;

/// All settings, in the order of their names.
const SETTINGS: &[Setting] = &[
    Setting { name: "cleanup.policy", default: "delete", kind: Kind::ListOf(&["compact", "delete"]) },
    Setting { name: "compression.type", default: "producer", kind: Kind::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]) },
    integer("delete.retention.ms", "86400000", 0),
    integer("file.delete.delay.ms", "60000", 0),
    integer("flush.messages", "9223372036854775807", 1),
    integer("flush.ms", "9223372036854775807", 0),
    Setting { name: "index.interval.bytes", default: "4096", kind: Kind::Integer(0, MAX_INT) },
    integer("max.compaction.lag.ms", "9223372036854775807", 1),
    Setting { name: "max.message.bytes", default: "1048588", kind: Kind::Integer(0, MAX_INT) },
    integer("message.timestamp.after.max.ms", "3600000", 0),
    integer("message.timestamp.before.max.ms", "9223372036854775807", 0),
    Setting { name: "message.timestamp.type", default: "CreateTime", kind: Kind::OneOf(&["CreateTime", "LogAppendTime"]) },
    Setting { name: "min.cleanable.dirty.ratio", default: "0.5", kind: Kind::Ratio },
    integer("min.compaction.lag.ms", "0", 0),
    Setting { name: "min.insync.replicas", default: "1", kind: Kind::Integer(1, MAX_INT) },
    Setting { name: "preallocate", default: "false", kind: Kind::Boolean },
    integer("retention.bytes", "-1", i64::MIN),
    integer("retention.ms", "604800000", -1),
    Setting { name: "segment.bytes", default: "1073741824", kind: Kind::Integer(1 << 20, MAX_INT) },
    Setting { name: "segment.index.bytes", default: "10485760", kind: Kind::Integer(4, MAX_INT) },
    integer("segment.jitter.ms", "0", 0),
    integer("segment.ms", "604800000", 1),
    Setting { name: "unclean.leader.election.enable", default: "false", kind: Kind::Boolean },
    Setting { name: "leader.replication.throttled.replicas", default: "", kind: Kind::Text },
    Setting { name: "follower.replication.throttled.replicas", default: "", kind: Kind::Text },
];

/// Every setting with its default.
pub(crate) fn defaults() -> &'static [Setting] {
    SETTINGS
}

impl Settings {
    /// Checks and takes what a client has set; a value that is null or a name that does not exist is an error.
    pub(crate) fn of(values: impl IntoIterator<Item = (String, Option<String>)>) -> Result<Self, ErrorCode> {
        let mut settings = Self::default();
        for (name, value) in values {
            settings.set(&name, value.as_deref().ok_or(ErrorCode::InvalidConfig)?)?;
        }
        Ok(settings)
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), ErrorCode> {
        let setting = find(name).ok_or(ErrorCode::InvalidConfig)?;
        if !setting.kind.allows(value) {
            return Err(ErrorCode::InvalidConfig);
        }
        self.set.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// Back to the default.
    pub(crate) fn unset(&mut self, name: &str) -> Result<(), ErrorCode> {
        find(name).ok_or(ErrorCode::InvalidConfig)?;
        self.set.remove(name);
        Ok(())
    }

    /// Adds to a list, or takes from it.
    pub(crate) fn change_list(&mut self, name: &str, items: &str, is_append: bool) -> Result<(), ErrorCode> {
        let setting = find(name).filter(|setting| matches!(setting.kind, Kind::ListOf(_))).ok_or(ErrorCode::InvalidConfig)?;
        let mut list: Vec<&str> = self.get(name).unwrap_or(setting.default).split(',').filter(|item| !item.is_empty()).collect();
        list.retain(|item| !items.split(',').any(|changed| changed == *item));
        if is_append {
            list.extend(items.split(','));
        }
        let list = list.join(",");
        self.set(name, &list)
    }

    /// What was set; none: the default holds.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.set.get(name).map(String::as_str)
    }

    /// What was set, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.set.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn is_compacted(&self) -> bool {
        self.get("cleanup.policy").is_some_and(|policy| policy.split(',').any(|item| item == "compact"))
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.get("cleanup.policy").is_none_or(|policy| policy.split(',').any(|item| item == "delete"))
    }

    pub(crate) fn has_append_time(&self) -> bool {
        self.get("message.timestamp.type") == Some("LogAppendTime")
    }

    pub(crate) fn max_message_bytes(&self) -> usize {
        usize::try_from(self.number("max.message.bytes")).unwrap_or(usize::MAX)
    }

    /// How far ahead of the broker's clock a record's time may be, in ms.
    pub(crate) fn max_ms_after_now(&self) -> i64 {
        self.number("message.timestamp.after.max.ms")
    }

    /// How far behind it may be.
    pub(crate) fn max_ms_before_now(&self) -> i64 {
        self.number("message.timestamp.before.max.ms")
    }

    /// None: it was not set, or set to "as many as there are".
    pub(crate) fn retention_bytes(&self) -> Option<u64> {
        self.get("retention.bytes").and_then(|value| value.parse().ok())
    }

    fn number(&self, name: &str) -> i64 {
        let value = self.get(name).or_else(|| find(name).map(|setting| setting.default));
        value.and_then(|value| value.parse().ok()).unwrap_or(i64::MAX)
    }
}

impl Kind {
    fn allows(self, value: &str) -> bool {
        match self {
            Kind::Boolean => ["true", "false"].contains(&value),
            Kind::Integer(min, max) => value.parse().is_ok_and(|number: i64| (min..=max).contains(&number)),
            Kind::Ratio => value.parse().is_ok_and(|number: f64| (0.0..=1.0).contains(&number)),
            Kind::OneOf(values) => values.contains(&value),
            Kind::ListOf(values) => value.split(',').all(|item| values.contains(&item)),
            Kind::Text => value.len() <= 1024,
        }
    }

    /// The number that the protocol has for it.
    pub(crate) fn code(self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::Text | Kind::OneOf(_) => 2,
            Kind::Integer(..) => 5,
            Kind::Ratio => 6,
            Kind::ListOf(_) => 7,
        }
    }
}

fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn defaults_are_values_that_could_be_set() {
        for setting in SETTINGS {
            assert!(setting.kind.allows(setting.default) || setting.default == "-1", "{}", setting.name);
        }
    }

    #[test]
    fn what_is_no_setting_or_no_value_of_it_is_refused() {
        let mut settings = Settings::default();
        for (name, value) in [
            ("no.such.setting", "1"),
            ("segment.bytes", "1000"),
            ("max.message.bytes", "a"),
            ("max.message.bytes", "-1"),
            ("cleanup.policy", "squeeze"),
            ("cleanup.policy", ""),
            ("message.timestamp.type", "logappendtime"),
            ("min.cleanable.dirty.ratio", "2"),
            ("preallocate", "yes"),
        ] {
            assert_eq!(settings.set(name, value), Err(ErrorCode::InvalidConfig), "{name} = {value}");
        }
        assert_eq!(Settings::of([("retention.ms".to_owned(), None)]), Err(ErrorCode::InvalidConfig));
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn what_is_set_counts_and_what_is_not_has_kafkas_default() {
        let mut settings = Settings::default();
        assert_eq!((settings.max_message_bytes(), settings.max_ms_after_now(), settings.retention_bytes()), (1_048_588, 3_600_000, None));
        assert!(!settings.is_compacted() && settings.is_deleted() && !settings.has_append_time());
        settings.set("max.message.bytes", "100").unwrap();
        settings.set("retention.bytes", "5000").unwrap();
        settings.change_list("cleanup.policy", "compact", true).unwrap();
        assert!(settings.is_compacted() && settings.is_deleted());
        settings.change_list("cleanup.policy", "delete", false).unwrap();
        assert!(settings.is_compacted() && !settings.is_deleted());
        assert_eq!((settings.max_message_bytes(), settings.retention_bytes()), (100, Some(5_000)));
        settings.unset("max.message.bytes").unwrap();
        assert_eq!(settings.max_message_bytes(), 1_048_588);
    }
}
