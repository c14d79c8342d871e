//! Which partitions there are, where they begin, and what to do when they, or records of them, are gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::client::{Consumer, Wake, now};
use super::cluster::{self, Answer, Answers, End, Found, Topic};
use super::partition::{Reader, Trouble};
use super::{CHECK_INTERVAL, KafkaSource, Loss, OnDataLoss, PATIENCE, StartingOffset, StartingOffsets, connect};
use crate::source::{Offset, Partition, SourceError};

/// A topic as the cluster has last described it.
pub(super) struct KnownTopic {
    id: String,
    /// How often in a row the cluster has said that it does not exist. Once may be a broker that has just started.
    missed: u32,
}

/// A question that is asked again and again, one at a time.
pub(super) struct Question {
    answers: Answers,
    asked: Option<Instant>,
    in_flight: bool,
}

impl Question {
    /// A question that was never asked. Its answer sets `wake`.
    pub(super) fn new(client: &Arc<Consumer>, wake: &Arc<Wake>) -> anyhow::Result<Self> {
        let mut answers = Answers::new(client)?;
        answers.wakes(wake);
        Ok(Self { answers, asked: None, in_flight: false })
    }

    /// How long until it is to be asked again.
    pub(super) fn due_in(&self, interval: Duration) -> Duration {
        match self.asked {
            Some(asked) if !self.in_flight => interval.saturating_sub(asked.elapsed()),
            _ => interval,
        }
    }

    fn take(&mut self) -> anyhow::Result<Option<Answer>> {
        let answer = self.answers.take()?;
        self.in_flight &= answer.is_none();
        Ok(answer)
    }

    /// Makes it due.
    fn hurry(&mut self) {
        self.asked = self.asked.map(|_| now() - PATIENCE);
    }

    fn sent(&mut self) {
        self.asked = Some(now());
        self.in_flight = true;
    }
}

impl KafkaSource {
    /// Finds the topics and begins to fetch.
    pub(super) fn start(&mut self) -> Result<(), SourceError> {
        let topics = self.topics.clone();
        let answer = self.ask_and_wait(|answers| cluster::ask_topics(answers, &topics, PATIENCE))?;
        let Answer::Topics(found) = answer else { return Err(self.unreachable("no answer about the topics")) };
        let count: usize = found.iter().filter_map(|topic| topic.found.as_ref().ok()).map(|found| usize::try_from(found.partitions).unwrap_or(0)).sum();
        if count > self.sized_for {
            self.resize(count)?;
        }
        for topic in &found {
            if topic.found == Err(RDKafkaErrorCode::UnknownTopicOrPartition) {
                self.refuse_missing(topic)?;
            }
        }
        self.learn(found)?;
        self.layout.asked = Some(now());
        self.ends.asked = Some(now());
        self.started = true;
        Ok(())
    }

    /// Asks what is due: where the partitions end, and whether the topics are still what they were.
    pub(super) fn ask_again(&mut self) -> Result<(), SourceError> {
        /// While nobody answers, or records arrive faster than they are looked at, the next question follows the last answer.
        const SOON: Duration = Duration::from_millis(20);
        let urgent = self.client.context().down().is_some() || self.readers.values().any(Reader::may_reach_further);
        if !self.ends.in_flight && self.ends.due_in(if urgent { SOON } else { CHECK_INTERVAL }).is_zero() && !self.readers.is_empty() {
            cluster::ask_offsets(&self.ends.answers, self.readers.keys(), End::Latest, PATIENCE).map_err(|error| self.failed(error))?;
            self.readers.values_mut().for_each(Reader::end_asked);
            self.ends.sent();
        }
        if !self.layout.in_flight && self.layout.due_in(CHECK_INTERVAL).is_zero() {
            cluster::ask_topics(&self.layout.answers, &self.topics, PATIENCE).map_err(|error| self.failed(error))?;
            self.layout.sent();
        }
        Ok(())
    }

    /// Takes the answers that have come.
    pub(super) fn take_answers(&mut self) -> Result<(), SourceError> {
        if let Some(Answer::Offsets(ends)) = self.ends.take().map_err(|error| self.failed(error))? {
            for (partition, end) in ends {
                let (Some(reader), Ok(end)) = (self.readers.get_mut(&partition), end) else { continue };
                self.client.context().answered();
                if let Err(trouble) = reader.end_told(end) {
                    self.resolve(&partition, trouble)?;
                }
            }
        }
        if let Some(Answer::Topics(topics)) = self.layout.take().map_err(|error| self.failed(error))? {
            self.client.context().answered();
            self.learn(topics)?;
        }
        Ok(())
    }

    /// Deals with what stands in the way of reading a partition on.
    pub(super) fn resolve(&mut self, partition: &Partition, trouble: Trouble) -> Result<(), SourceError> {
        let Some(reader) = self.readers.get(partition) else { return Ok(()) };
        let reached = reader.reached();
        match trouble {
            Trouble::Unknown => {
                self.layout.hurry();
                Ok(())
            }
            Trouble::Refused(reason) => {
                self.assign(std::slice::from_ref(partition))?;
                Err(self.failed(anyhow!("`{partition}` can't be read on from offset {reached}: {}", self.client.context().redact(&reason))))
            }
            Trouble::OutOfRange | Trouble::Restarted { .. } => {
                let one = std::slice::from_ref(partition);
                let low = self.ends(one, End::Earliest)?.get(partition).copied();
                let high = self.ends(one, End::Latest)?.get(partition).copied();
                let (Some(low), Some(high)) = (low, high) else {
                    // The partition has no leader, or is no more: the topics will tell.
                    self.layout.hurry();
                    return self.assign(one);
                };
                self.go_on_within(partition, low, high, &trouble)
            }
        }
    }

    /// An unaccepted loss stays one.
    pub(super) fn check_loss(&self) -> Result<(), SourceError> {
        match self.loss.clone() {
            None => Ok(()),
            Some(Loss { partition, position, reason }) => Err(SourceError::DataLoss { source_id: self.options.id.clone(), partition, position, reason }),
        }
    }

    fn go_on_within(&mut self, partition: &Partition, low: Offset, high: Offset, trouble: &Trouble) -> Result<(), SourceError> {
        let Some(reader) = self.readers.get_mut(partition) else { return Ok(()) };
        let reached = reader.reached();
        if let Trouble::Restarted { found } = trouble {
            self.lose(partition, reached, format!("its offsets have begun again at {found}: the topic was deleted and made again, or its log was cut off"))?;
            self.readers.get_mut(partition).into_iter().for_each(|reader| reader.begin_again(low, high));
        } else if reached > high {
            self.lose(partition, reached, format!("it ends at offset {high}: the topic was deleted and made again, or its log was cut off"))?;
            self.readers.get_mut(partition).into_iter().for_each(|reader| reader.begin_again(low, high));
        } else if reached < low {
            self.lose(partition, reached, format!("its earliest record has offset {low}: retention, or somebody, has deleted what was before"))?;
            self.readers.get_mut(partition).into_iter().for_each(|reader| reader.pass_to(low));
        }
        self.assign(std::slice::from_ref(partition))
    }

    /// Records are gone: an error, or a warning.
    fn lose(&mut self, partition: &Partition, position: Offset, reason: String) -> Result<(), SourceError> {
        match self.options.on_data_loss {
            OnDataLoss::Fail => {
                self.loss = Some(Loss { partition: partition.to_string(), position, reason });
                self.check_loss()
            }
            OnDataLoss::Skip => {
                tracing::warn!(source_id = self.options.id, %partition, %position, reason, "records are lost; going on from what exists");
                Ok(())
            }
        }
    }

    /// Takes in what the cluster says about the topics: new ones, new partitions, deleted ones.
    fn learn(&mut self, topics: Vec<Topic>) -> Result<(), SourceError> {
        let mut added = Vec::new();
        for Topic { name, found } in topics {
            match found {
                Ok(Found { id, partitions }) => {
                    if self.known.get(&name).is_some_and(|known| known.id != id) {
                        self.forget(&name, "the topic was deleted and made again")?;
                    }
                    added.extend((0..partitions).map(|number| Partition { topic: Arc::clone(&name), number }));
                    self.known.insert(name, KnownTopic { id, missed: 0 });
                }
                Err(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                    let Some(known) = self.known.get_mut(&name) else { continue };
                    known.missed += 1;
                    if known.missed > 1 {
                        self.forget(&name, "the topic was deleted")?;
                    } else {
                        self.layout.hurry();
                    }
                }
                Err(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                    return Err(self.failed(anyhow!("topic `{name}` must not be read: the broker refuses it to this user")));
                }
                Err(code) => tracing::debug!(source_id = self.options.id, topic = &*name, %code, "no description of the topic"),
            }
        }
        added.retain(|partition| !self.readers.contains_key(partition));
        if added.is_empty() { Ok(()) } else { self.adopt(added) }
    }

    /// Drops the partitions of a topic that is no more.
    fn forget(&mut self, topic: &Arc<str>, reason: &str) -> Result<(), SourceError> {
        let gone: Vec<_> = self.readers.keys().filter(|partition| partition.topic == *topic).cloned().collect();
        let mut list = TopicPartitionList::new();
        for partition in &gone {
            let position = self.readers.get(partition).map_or(Offset(0), Reader::next);
            self.lose(partition, position, reason.to_owned())?;
            list.add_partition(&partition.topic, partition.number);
        }
        if list.count() > 0 {
            self.client.incremental_unassign(&list).map_err(|error| self.failed(error.into()))?;
        }
        for partition in &gone {
            self.readers.remove(partition);
            self.positions.remove(partition);
        }
        self.known.remove(topic);
        Ok(())
    }

    /// Begins to read partitions that were not known before. One without a leader, as a new one may be for a moment, is left for the next time; but a pipeline
    /// does not start without it.
    fn adopt(&mut self, mut partitions: Vec<Partition>) -> Result<(), SourceError> {
        let lows = self.ends(&partitions, End::Earliest)?;
        let highs = self.ends(&partitions, End::Latest)?;
        let has_leader = |partition: &Partition| lows.contains_key(partition) && highs.contains_key(partition);
        match partitions.iter().find(|partition| !has_leader(partition)) {
            Some(partition) if !self.started => return Err(self.unreachable(format!("`{partition}` has no leader"))),
            _ => partitions.retain(has_leader),
        }
        for partition in &partitions {
            let (Some(low), Some(high)) = (lows.get(partition).copied(), highs.get(partition).copied()) else { continue };
            let start = self.start_of(partition, low, high)?;
            let reader = Reader::new(&self.client, &self.wake, partition.clone(), start, high).map_err(|error| self.failed(error))?;
            self.readers.insert(partition.clone(), reader);
        }
        tracing::debug!(source_id = self.options.id, count = partitions.len(), "partitions assigned");
        self.assign(&partitions)
    }

    /// Where a partition begins that reaches from `low` to `high`.
    fn start_of(&mut self, partition: &Partition, low: Offset, high: Offset) -> Result<Offset, SourceError> {
        let first_start = !self.started && self.positions.is_empty();
        let wanted = match (self.positions.get(partition), &self.options.starting_offsets) {
            (Some(position), _) => *position,
            (None, StartingOffsets::Latest) if first_start => high,
            (None, StartingOffsets::PerPartition(offsets)) if first_start => match offsets.get(partition) {
                None | Some(StartingOffset::Earliest) => low,
                Some(StartingOffset::Latest) => high,
                Some(StartingOffset::At(offset)) => *offset,
            },
            _ => low,
        };
        if wanted < low {
            self.lose(partition, wanted, format!("its earliest record has offset {low}: retention, or somebody, has deleted what was before"))?;
            return Ok(low);
        }
        if wanted > high {
            self.lose(partition, wanted, format!("it ends at offset {high}: the topic was deleted and made again, or its log was cut off"))?;
            return Ok(low);
        }
        Ok(wanted)
    }

    /// A topic that does not exist at the start: never, when it was never read; a loss, when it was.
    fn refuse_missing(&mut self, topic: &Topic) -> Result<(), SourceError> {
        let name = &topic.name;
        let Some((partition, position)) = self.positions.iter().find(|(partition, _)| partition.topic == *name).map(|(p, at)| (p.clone(), *at)) else {
            return Err(self.failed(anyhow!("topic `{name}` does not exist at `{}`: create it, or correct `topics`", self.options.brokers)));
        };
        self.lose(&partition, position, "the topic was deleted".to_owned())
    }

    /// Makes the client anew with queues for `partitions` partitions.
    fn resize(&mut self, partitions: usize) -> Result<(), SourceError> {
        self.client = connect(&self.options, partitions).map_err(SourceError::Failed)?;
        self.sized_for = partitions;
        self.ends = Question::new(&self.client, &self.wake).map_err(|error| self.failed(error))?;
        self.layout = Question::new(&self.client, &self.wake).map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// One end of each of these partitions, as far as the cluster knows it now.
    fn ends(&self, partitions: &[Partition], end: End) -> Result<BTreeMap<Partition, Offset>, SourceError> {
        let answer = self.ask_and_wait(|answers| cluster::ask_offsets(answers, partitions, end, PATIENCE))?;
        let Answer::Offsets(offsets) = answer else { return Err(self.unreachable("no answer about the offsets")) };
        Ok(offsets.into_iter().filter_map(|(partition, offset)| Some((partition, offset.ok()?))).collect())
    }

    /// Asks and waits for the answer: at the start, and after a loss.
    fn ask_and_wait(&self, ask: impl FnOnce(&Answers) -> anyhow::Result<()>) -> Result<Answer, SourceError> {
        let answers = Answers::new(&self.client).map_err(|error| self.failed(error))?;
        ask(&answers).map_err(|error| self.failed(error))?;
        let give_up = || {
            self.poll();
            self.client.context().down().is_some() || self.client.context().denied().is_some()
        };
        let answer = answers.wait_until(now() + PATIENCE, give_up).map_err(|error| self.failed(error))?;
        if !matches!(answer, Some(Answer::Topics(_) | Answer::Offsets(_))) {
            self.check_denied()?;
        }
        match answer {
            Some(Answer::Failed { code, reason }) => Err(self.unreachable(format!("{} ({code})", self.client.context().redact(&reason)))),
            Some(answer) => {
                self.client.context().answered();
                Ok(answer)
            }
            None => {
                let reason = self.client.context().down();
                Err(self.unreachable(reason.unwrap_or_else(|| format!("`{}` does not answer", self.options.brokers))))
            }
        }
    }
}
