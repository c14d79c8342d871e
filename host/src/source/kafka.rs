//! Records from Kafka. The source assigns itself all partitions of its topics: no group protocol stands between a restart and the first record, and a second
//! process is fenced by its transaction, not here. It fetches ahead within a bound, reads exactly the ranges it is told, and keeps no position beyond its own life.
//!
//! Each partition has its own queue in librdkafka, so that one that has reached its planned end is left alone while the others go on. All queues write to one
//! eventfd, which `wait` sleeps on.

mod client;
mod cluster;
mod denial;
mod discovery;
mod headers;
mod message;
mod partition;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::{Offset as ListOffset, TopicPartitionList};

pub(crate) use self::client::{Consumer, Context, SOCKET_TIMEOUT, Secrets, Wake, configure, create, log_line, now, refused};
pub(crate) use self::denial::{ask, denial};
use self::discovery::{KnownTopic, Question};
use self::message::Runs;
use self::partition::{Progress, Reader};
use crate::source::{Cut, Offer, Offset, OffsetRange, Partition, Positions, Records, Source, SourceError};

/// The version of librdkafka, with which Kafka is read and written.
#[must_use]
pub fn client_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}

/// What a Kafka source is made of.
#[derive(Debug, Clone)]
pub struct KafkaSourceOptions {
    /// The source's id in the pipeline.
    pub id: String,
    /// The brokers to begin with, `host:port,..`.
    pub brokers: String,
    /// The topics.
    pub topics: Vec<String>,
    /// Where a new pipeline begins.
    pub starting_offsets: StartingOffsets,
    /// What to do when records are gone that were not read yet.
    pub on_data_loss: OnDataLoss,
    /// Whether the records' keys are wanted.
    pub want_keys: bool,
    /// Whether the records' headers are wanted.
    pub want_headers: bool,
    /// Settings for librdkafka.
    pub properties: Vec<(String, String)>,
    /// The group that the pipeline's positions are committed under. The source never joins it.
    pub group: String,
}

/// Where a new pipeline begins. A partition that is found later begins at its earliest record, so that nothing is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartingOffsets {
    /// At the earliest record.
    Earliest,
    /// After the last record, as of the first offer.
    Latest,
    /// For each partition on its own; those that are not named begin at the earliest record.
    PerPartition(BTreeMap<Partition, StartingOffset>),
}

/// Where one partition begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartingOffset {
    /// At its earliest record (-2 in Spark's JSON).
    Earliest,
    /// After its last record (-1 in Spark's JSON).
    Latest,
    /// At this offset.
    At(Offset),
}

/// What to do when records are gone that were not read yet: deleted by retention or by hand, or with their topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDataLoss {
    /// Stop with [`SourceError::DataLoss`].
    Fail,
    /// Go on from what exists, with a warning that names the lost range.
    Skip,
}

/// A source that reads topics of a Kafka cluster.
pub struct KafkaSource {
    options: KafkaSourceOptions,
    topics: Vec<Arc<str>>,
    client: Arc<Consumer>,
    /// How many partitions the client's queues are sized for.
    sized_for: usize,
    wake: Arc<Wake>,
    readers: BTreeMap<Partition, Reader>,
    known: BTreeMap<Arc<str>, KnownTopic>,
    /// Where to go on, as the last [`Source::seek`] has said.
    positions: Positions,
    started: bool,
    ends: Question,
    layout: Question,
    /// A loss that the pipeline does not accept: it stays until the source is told to go on elsewhere.
    loss: Option<Loss>,
}

/// Records that are gone.
#[derive(Debug, Clone)]
struct Loss {
    partition: String,
    position: Offset,
    reason: String,
}

/// How old an answer about a partition's end may be for an offer to be `confirmed`, and how long a topic may have changed unseen. Longer delays the discovery
/// of partitions, whose records may then be late; shorter costs the broker two small requests each time.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// A broker that does not answer a question for this long is unreachable.
const PATIENCE: Duration = Duration::from_secs(5);
/// A planned range that brings no record for this long has lost its leader.
const READ_PATIENCE: Duration = Duration::from_secs(20);
/// How soon a read gives up when it is known that no broker answers: the pipeline is to say so, not to hang.
const DOWN_PATIENCE: Duration = Duration::from_millis(500);

/// What records fetched ahead may take over all partitions, and what fetches that are on their way may, compressed: in memory they are five to ten times as
/// large. Smaller costs throughput with many partitions, larger only memory.
const QUEUE_BYTES: usize = 8 << 20;
const FETCH_BYTES: usize = 2 << 20;
/// A partition's queue never needs to be larger: a fetch brings one megabyte.
const MAX_QUEUE_BYTES: usize = 4 << 20;
/// What most topics have at most; with more, the queues are made smaller.
const USUAL_PARTITIONS: usize = 8;

impl KafkaSource {
    /// Makes the client. Nothing is asked of the brokers yet; settings that librdkafka does not take are refused.
    pub fn new(options: KafkaSourceOptions) -> anyhow::Result<Self> {
        let topics = options.topics.iter().map(|topic| topic.as_str().into()).collect();
        let wake = Arc::new(Wake::new()?);
        let client = connect(&options, USUAL_PARTITIONS)?;
        Ok(Self {
            topics,
            ends: Question::new(&client, &wake)?,
            layout: Question::new(&client, &wake)?,
            client,
            sized_for: USUAL_PARTITIONS,
            wake,
            readers: BTreeMap::new(),
            known: BTreeMap::new(),
            positions: Positions::new(),
            started: false,
            loss: None,
            options,
        })
    }

    /// The id of the cluster: positions can join a transaction only within one cluster.
    pub fn cluster_id(&self, timeout: Duration) -> Option<String> {
        self.client.client().fetch_cluster_id(timeout)
    }

    /// Serves the client's events: errors and log lines.
    fn poll(&self) {
        // NOTE: an outage brings them by the hundred; the rest waits for the next call.
        for _ in 0..100 {
            if self.client.poll(Duration::ZERO).is_none() {
                return;
            }
        }
    }

    fn unreachable(&self, reason: impl Into<String>) -> SourceError {
        SourceError::Unreachable { source_id: self.options.id.clone(), reason: reason.into() }
    }

    /// Why there is nothing to wait for: the brokers turn the client away.
    fn check_denied(&self) -> Result<(), SourceError> {
        match self.client.context().denied() {
            None => Ok(()),
            Some(reason) => Err(self.failed(anyhow!("`{}`: {reason}", self.options.brokers))),
        }
    }

    fn failed(&self, error: anyhow::Error) -> SourceError {
        SourceError::Failed(error.context(format!("source `{}`", self.options.id)))
    }

    /// Restarts the fetcher of these partitions where their readers want to go on.
    fn assign(&mut self, partitions: &[Partition]) -> Result<(), SourceError> {
        let (mut stop, mut start) = (TopicPartitionList::new(), TopicPartitionList::new());
        let assigned = self.client.assignment().map_err(|error| self.failed(error.into()))?;
        for partition in partitions {
            let Some(reader) = self.readers.get(partition) else { continue };
            if assigned.find_partition(&partition.topic, partition.number).is_some() {
                stop.add_partition(&partition.topic, partition.number);
            }
            let at = ListOffset::Offset(reader.reached().0);
            start.add_partition_offset(&partition.topic, partition.number, at).map_err(|error| self.failed(error.into()))?;
        }
        let unassigned = if stop.count() > 0 { self.client.incremental_unassign(&stop) } else { Ok(()) };
        unassigned.and_then(|()| self.client.incremental_assign(&start)).map_err(|error| self.failed(error.into()))
    }

    /// Takes what has arrived of one partition, so that the offer knows of it.
    fn look(&mut self, partition: &Partition) -> Result<(), SourceError> {
        let Some(reader) = self.readers.get_mut(partition) else { return Ok(()) };
        match reader.look() {
            Ok(true) => self.client.context().answered(),
            Ok(false) => {}
            Err(trouble) => self.resolve(partition, trouble)?,
        }
        Ok(())
    }

    /// Reads of one planned range what has arrived.
    fn read_on(&mut self, range: &OffsetRange, runs: &mut Runs) -> Result<Progress, SourceError> {
        let Some(reader) = self.readers.get_mut(&range.partition) else {
            // Its topic was deleted, and the pipeline has chosen to go on.
            return Ok(Progress::Done);
        };
        match reader.read(range.to, runs) {
            Ok(progress) => Ok(progress),
            Err(trouble) => {
                let next = reader.next();
                self.resolve(&range.partition, trouble)?;
                // After an accepted loss the partition may go on anywhere; of a log that began anew, this range is no more.
                let next_now = self.readers.get(&range.partition).map(Reader::next);
                Ok(if next_now.is_none_or(|now| now < next || now >= range.to) { Progress::Done } else { Progress::Some })
            }
        }
    }
}

impl Source for KafkaSource {
    fn seek(&mut self, positions: &Positions) -> Result<(), SourceError> {
        self.positions.clone_from(positions);
        self.loss = None;
        let mut moved = Vec::new();
        for (partition, reader) in &mut self.readers {
            let at = positions.get(partition).copied().unwrap_or_else(|| reader.start());
            if reader.next() != at {
                reader.move_to(at);
                moved.push(partition.clone());
            }
        }
        if moved.is_empty() { Ok(()) } else { self.assign(&moved) }
    }

    fn offer(&mut self) -> Result<Vec<Offer>, SourceError> {
        self.wake.clear();
        self.poll();
        self.check_loss()?;
        if !self.started {
            self.start()?;
        }
        self.take_answers()?;
        for partition in self.readers.keys().cloned().collect::<Vec<_>>() {
            self.look(&partition)?;
        }
        self.ask_again()?;
        self.check_denied()?;
        if let Some(reason) = self.client.context().down() {
            return Err(self.unreachable(reason));
        }
        Ok(self.readers.values().map(|reader| reader.offer(2 * CHECK_INTERVAL)).collect())
    }

    fn read_each(&mut self, ranges: &[OffsetRange], cut: Cut, each: &mut dyn FnMut(Arc<Records>)) -> Result<(), SourceError> {
        self.check_loss()?;
        let mut moved = Vec::new();
        for range in ranges {
            let Some(reader) = self.readers.get_mut(&range.partition) else { continue };
            if reader.next() != range.from {
                reader.move_to(range.from);
                moved.push(range.partition.clone());
            }
        }
        if !moved.is_empty() {
            self.assign(&moved)?;
        }
        let mut open: Vec<_> = ranges.iter().map(|range| (range, self.runs(range, cut), false)).collect();
        let mut waiting_since = None;
        loop {
            self.wake.clear();
            let (mut all_done, mut any_progress) = (true, false);
            for (range, runs, done) in &mut open {
                if !*done {
                    let progress = self.read_on(range, runs)?;
                    *done = progress == Progress::Done;
                    any_progress |= progress != Progress::Nothing;
                    if *done {
                        runs.close();
                    }
                    runs.take().for_each(&mut *each);
                }
                all_done &= *done;
            }
            if all_done {
                return Ok(());
            }
            if any_progress {
                self.client.context().answered();
                waiting_since = None;
            } else {
                self.wait_for_records(*waiting_since.get_or_insert_with(now))?;
            }
        }
    }

    fn wait(&mut self, timeout: Duration) {
        // A check that is due is something new: its answer decides whether a partition is idle.
        self.wake.wait(timeout.min(self.ends.due_in(CHECK_INTERVAL)));
    }

    fn has_topics(&self) -> bool {
        true
    }

    fn description(&self) -> String {
        format!("KafkaV2[Subscribe[{}]]", self.options.topics.join(", "))
    }
}

impl KafkaSource {
    fn runs(&self, range: &OffsetRange, cut: Cut) -> Runs {
        let record_bytes = self.readers.get(&range.partition).map_or(0, Reader::record_bytes);
        Runs::new(range.partition.clone(), self.options.want_keys, self.options.want_headers, cut, record_bytes)
    }

    /// Waits for the records of a planned range, until it is clear that none come.
    fn wait_for_records(&mut self, since: Instant) -> Result<(), SourceError> {
        const SLICE: Duration = Duration::from_millis(50);
        self.poll();
        self.check_denied()?;
        match self.client.context().down() {
            Some(reason) if since.elapsed() > DOWN_PATIENCE => return Err(self.unreachable(reason)),
            None if since.elapsed() > READ_PATIENCE => {
                return Err(self.unreachable(format!("no record of a planned range has come for {} s", READ_PATIENCE.as_secs())));
            }
            _ => {}
        }
        self.take_answers()?;
        self.ask_again()?;
        self.wake.wait(SLICE);
        Ok(())
    }
}

/// A consumer whose queues, all together, stay within [`QUEUE_BYTES`].
fn connect(options: &KafkaSourceOptions, partitions: usize) -> anyhow::Result<Arc<Consumer>> {
    let share_bytes = (QUEUE_BYTES / partitions.max(1)).min(MAX_QUEUE_BYTES);
    let queued_kbytes = (share_bytes >> 10).max(64).to_string();
    // A queued record takes about 500 bytes beside its own.
    let queued_records = (share_bytes / 500).max(500).to_string();
    let socket_timeout_ms = SOCKET_TIMEOUT.as_millis().to_string();
    let fetch_bytes = (FETCH_BYTES / partitions.max(1)).clamp(32 << 10, 1 << 20).to_string();
    let all_fetch_bytes = FETCH_BYTES.to_string();
    let defaults = [
        ("client.id", "weir"),
        ("queued.max.messages.kbytes", queued_kbytes.as_str()),
        ("queued.min.messages", &queued_records),
        ("fetch.message.max.bytes", &fetch_bytes),
        ("fetch.max.bytes", &all_fetch_bytes),
        // The default of a second makes the fetcher sleep whenever its small queue is full.
        ("fetch.queue.backoff.ms", "5"),
        // How long a fetch waits at the broker for a record of any partition. A partition that is ready again only then waits as long for its turn.
        ("fetch.wait.max.ms", "50"),
        ("check.crcs", "true"),
        ("topic.metadata.refresh.interval.ms", "5000"),
        ("reconnect.backoff.max.ms", "500"),
        ("socket.timeout.ms", &socket_timeout_ms),
    ];
    let fixed = [
        ("group.id", options.group.as_str()),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        // A position that is gone is for us to judge.
        ("auto.offset.reset", "error"),
        ("enable.partition.eof", "true"),
        ("isolation.level", "read_committed"),
        ("allow.auto.create.topics", "false"),
    ];
    let client = create(&options.id, &options.brokers, &defaults, &options.properties, &fixed).with_context(|| format!("source `{}`", options.id))?;
    Ok(Arc::new(client))
}
