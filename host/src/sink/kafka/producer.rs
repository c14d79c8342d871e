//! One transactional producer: a client with a thread that serves it, and the calls of a transaction. librdkafka's own calls are used where rdkafka's wait in
//! slices of 100 ms.

use std::collections::HashMap;
use std::ffi::{CString, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::bindings as sys;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, ProducerContext};
use rdkafka::topic_partition_list::{Offset as ListOffset, TopicPartitionList};

use super::error::{CallError, check};
use super::served::Served;
use super::{Batching, KafkaTransactionOptions, positions_group};
use crate::sink::{Encoded, TransactionError, Undeliverable};
use crate::source::Positions;
use crate::source::kafka::{SOCKET_TIMEOUT, Secrets, configure, denial, log_line, now, refused};

/// A producer that is, or was, the only one of its transactional id.
pub(super) struct Producer {
    // IMPORTANT: the topics' handles are let go before the client is.
    topics: HashMap<String, Topic>,
    client: Served<Deliveries>,
    secrets: Secrets,
    batching: Batching,
    /// When the last transaction ended.
    ended: Option<Instant>,
    batches: usize,
    /// Records that the client itself has refused in this transaction.
    too_large: Vec<(Place, RDKafkaErrorCode)>,
}

/// What came of the records of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// The brokers have all of them.
    Delivered,
    /// They never take these.
    Refused(Vec<Undeliverable>),
    /// They have refused some batches, and did not say for which record.
    Unclear {
        /// How many records were in them.
        records: usize,
        /// The broker's word.
        code: RDKafkaErrorCode,
    },
}

/// Takes what could not be delivered. What was, is not reported at all.
struct Deliveries {
    owner: String,
    secrets: Secrets,
    failed: Mutex<Vec<(Place, RDKafkaErrorCode)>>,
    /// Why the brokers turn the client away.
    denied: Mutex<Option<String>>,
}

/// A handle on a topic, for sending.
struct Topic(NonNull<sys::rd_kafka_topic_t>);

/// A record within a transaction, in the one word that librdkafka carries along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    batch: u32,
    record: u32,
}

/// The broker answers a commit before it has written the markers of the transaction, and refuses the next one meanwhile. librdkafka then tries again after 20 ms:
/// a pause of this length before the first record is the shorter one, and an epoch that has read and decoded its records meanwhile does not notice it.
const MARKERS: Duration = Duration::from_millis(5);

// SAFETY: librdkafka's topics are internally locked.
unsafe impl Send for Topic {}

impl Producer {
    /// Whether a producer can be made with these options.
    pub(super) fn check(options: &KafkaTransactionOptions) -> anyhow::Result<()> {
        config(options, Batching::Full, 1_000).create_native_config().map(drop).map_err(|error| refused(&error, &Secrets::of(&options.properties)))
    }

    /// A new producer, not yet introduced to the brokers.
    pub(super) fn new(options: &KafkaTransactionOptions, batching: Batching, max_batch_bytes: u32) -> anyhow::Result<Self> {
        let secrets = Secrets::of(&options.properties);
        let context = Deliveries { owner: options.pipeline.clone(), secrets: secrets.clone(), failed: Mutex::default(), denied: Mutex::default() };
        let client: BaseProducer<_> = config(options, batching, max_batch_bytes).create_with_context(context).map_err(|error| refused(&error, &secrets))?;
        Ok(Self { topics: HashMap::new(), client: Served::new(client)?, secrets, batching, ended: None, batches: 0, too_large: Vec::new() })
    }

    /// How it puts records together.
    pub(super) fn batching(&self) -> Batching {
        self.batching
    }

    /// Fences every older producer and ends its transaction.
    pub(super) fn init(&self, timeout: Duration) -> Result<(), TransactionError> {
        // SAFETY: the client is alive; the error is ours.
        self.answered(unsafe { check(sys::rd_kafka_init_transactions(self.as_ptr(), millis(timeout)), &self.secrets) })
    }

    /// What a call came to that the brokers answer: when they turn the client away, that is why.
    fn answered(&self, called: Result<(), CallError>) -> Result<(), TransactionError> {
        let mut denied = self.client.context().denied();
        match (called.map_err(TransactionError::from), &*denied) {
            (Ok(()), _) => {
                *denied = None;
                Ok(())
            }
            (Err(TransactionError::Fenced { reason }), _) => Err(TransactionError::Fenced { reason }),
            (Err(_), Some(reason)) => Err(TransactionError::Denied { reason: reason.clone() }),
            (Err(error), None) => Err(error),
        }
    }

    /// Opens a transaction. The broker hears of it with the first record or offset.
    pub(super) fn begin(&mut self) -> Result<(), TransactionError> {
        self.batches = 0;
        self.too_large.clear();
        self.client.context().take_failed();
        // SAFETY: the client is alive; the error is ours.
        Ok(unsafe { check(sys::rd_kafka_begin_transaction(self.as_ptr()), &self.secrets) }?)
    }

    /// Waits until the broker has probably written the markers of the last transaction.
    #[expect(clippy::disallowed_methods, reason = "there is nothing to wait for: the broker does not say when it has written its markers")]
    fn await_markers(&mut self) {
        if let Some(ended) = self.ended.take() {
            std::thread::sleep(MARKERS.saturating_sub(ended.elapsed()));
        }
    }

    /// Sends records; waits while the queue is full. Returns the batch's number.
    pub(super) fn send(&mut self, topic: &str, records: &Encoded) -> Result<usize, TransactionError> {
        self.await_markers();
        let batch = self.batches;
        self.batches += 1;
        let topic = self.topic(topic)?;
        let headers = records.headers.iter().map(|(name, values)| Ok((CString::new(name.as_str())?, values))).collect::<Result<Vec<_>, std::ffi::NulError>>();
        let headers = headers.map_err(|_| TransactionError::Failed { reason: "the name of a header has a zero byte in it".to_owned() })?;
        // The same arguments for every record but for its own, which are the last ones.
        let mut arguments = vec![argument(Kind::RD_KAFKA_VTYPE_RKT, Value { rkt: topic }), argument(Kind::RD_KAFKA_VTYPE_MSGFLAGS, Value { i: COPY | BLOCK })];
        let fixed = arguments.len();
        for record in 0..records.values.len() {
            let place = Place { batch: u32::try_from(batch).unwrap_or(u32::MAX), record: u32::try_from(record).unwrap_or(u32::MAX) };
            arguments.truncate(fixed);
            arguments.push(argument(Kind::RD_KAFKA_VTYPE_VALUE, Value { mem: memory(records.values.get(record)) }));
            arguments.push(argument(Kind::RD_KAFKA_VTYPE_OPAQUE, Value { ptr: place.to_word() as *mut c_void }));
            if let Some(keys) = &records.keys {
                arguments.push(argument(Kind::RD_KAFKA_VTYPE_KEY, Value { mem: memory(keys.get(record)) }));
            }
            arguments.extend(headers.iter().map(|(name, values)| {
                let value = values.get(record);
                // A size of -1 is librdkafka's "as long as the text"; of a null there is no text.
                let size = value.map_or(0, |value| isize::try_from(value.len()).unwrap_or(isize::MAX));
                let val = value.map_or(ptr::null(), |value| value.as_ptr().cast());
                argument(Kind::RD_KAFKA_VTYPE_HEADER, Value { header: Header { name: name.as_ptr(), val, size } })
            }));
            if let Some(timestamp) = records.timestamps_ms.as_ref().and_then(|timestamps| timestamps.get(record)).filter(|timestamp| **timestamp >= 0) {
                arguments.push(argument(Kind::RD_KAFKA_VTYPE_TIMESTAMP, Value { i64_: *timestamp }));
            }
            // SAFETY: each argument holds the field of the union that its kind says; values, keys and headers are copied; the topic is of this client.
            let sent = unsafe { check(sys::rd_kafka_produceva(self.as_ptr(), arguments.as_ptr(), arguments.len()), &self.secrets) };
            match sent {
                Ok(()) => {}
                Err(error) if undeliverable(error.code) => self.too_large.push((place, error.code)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(batch)
    }

    /// Waits until the brokers have every record, or have refused one for good: after that the client sends nothing more in this transaction.
    pub(super) fn flush(&mut self, timeout: Duration) -> Result<Flushed, TransactionError> {
        const SLICE: Duration = Duration::from_millis(50);
        let deadline = now() + timeout;
        let mut failed_before = 0;
        loop {
            let left = deadline.saturating_duration_since(now());
            // SAFETY: the client is alive. Its own thread serves the reports meanwhile.
            let code: RDKafkaErrorCode = unsafe { sys::rd_kafka_flush(self.as_ptr(), millis(left.min(SLICE))) }.into();
            if code == RDKafkaErrorCode::NoError {
                break;
            }
            if let Some(reason) = self.client.context().denied().clone() {
                return Err(TransactionError::Denied { reason });
            }
            let failed = self.client.context().lock().len();
            // The reports of a batch come one by one: all are there when no more have come for a while.
            if failed > 0 && failed == failed_before {
                break;
            }
            if left.is_zero() {
                return Err(TransactionError::Retriable { reason: format!("records are not acknowledged after {timeout:?}") });
            }
            failed_before = failed;
        }
        self.judge()
    }

    /// What the reports that have come add up to.
    fn judge(&mut self) -> Result<Flushed, TransactionError> {
        let (refused, lost): (Vec<_>, Vec<_>) = self.client.context().take_failed().into_iter().partition(|(_, code)| undeliverable(*code));
        match (refused.as_slice(), lost.first()) {
            // One alone is the culprit of its batch, wherever the broker has put the blame.
            ([_, _, ..], _) if self.batching == Batching::Full => Ok(Flushed::Unclear { records: refused.len(), code: first_code(&refused) }),
            ([], Some((_, code))) if self.too_large.is_empty() => {
                Err(TransactionError::MustAbort { reason: format!("{} records were not delivered: {code}", lost.len()) })
            }
            _ => {
                let mut refused = [refused, std::mem::take(&mut self.too_large)].concat();
                refused.sort_by_key(|(place, _)| place.to_word());
                Ok(if refused.is_empty() { Flushed::Delivered } else { Flushed::Refused(refused.iter().map(name).collect()) })
            }
        }
    }

    /// Puts offsets of a group into the transaction.
    pub(super) fn add_offsets(&mut self, group: &super::Group, offsets: &Positions, metadata: &str, deadline: Instant) -> Result<(), TransactionError> {
        self.await_markers();
        let list = list_of(offsets, metadata).map_err(|error| TransactionError::Failed { reason: self.secrets.redact(&error.to_string()) })?;
        loop {
            let left = deadline.saturating_duration_since(now());
            // SAFETY: client, list and group are alive; the error is ours. NOTE: the call heeds its timeout only once a request has failed.
            let added = unsafe { check(sys::rd_kafka_send_offsets_to_transaction(self.as_ptr(), list.ptr(), group.as_ptr(), millis(left)), &self.secrets) };
            match self.answered(added) {
                // Nothing is committed by this call, so the outcome is known: after the time is up, what is left is an abort.
                Err(TransactionError::Retriable { reason }) if now() >= deadline => return Err(TransactionError::MustAbort { reason }),
                Err(TransactionError::Retriable { .. }) => {}
                done => return done,
            }
        }
    }

    /// Commits, or goes on committing.
    pub(super) fn commit(&mut self, timeout: Duration) -> Result<(), TransactionError> {
        // SAFETY: the client is alive; the error is ours. Not rdkafka's call, which flushes in slices of 100 ms first.
        self.answered(unsafe { check(sys::rd_kafka_commit_transaction(self.as_ptr(), millis(timeout)), &self.secrets) })?;
        self.ended = Some(now());
        Ok(())
    }

    /// Aborts; records that are still in the queue are dropped.
    pub(super) fn abort(&mut self, timeout: Duration) -> Result<(), TransactionError> {
        // SAFETY: the client is alive; the error is ours.
        self.answered(unsafe { check(sys::rd_kafka_abort_transaction(self.as_ptr(), millis(timeout)), &self.secrets) })?;
        self.ended = Some(now());
        Ok(())
    }

    fn topic(&mut self, name: &str) -> Result<*mut sys::rd_kafka_topic_t, TransactionError> {
        if let Some(topic) = self.topics.get(name) {
            return Ok(topic.0.as_ptr());
        }
        let failed = || TransactionError::Failed { reason: format!("`{name}` is no name of a topic") };
        let c_name = CString::new(name).map_err(|_| failed())?;
        // SAFETY: the client is alive, the name is copied, null stands for the client's own settings of a topic.
        let topic = unsafe { sys::rd_kafka_topic_new(self.as_ptr(), c_name.as_ptr(), ptr::null_mut()) };
        let topic = Topic(NonNull::new(topic).ok_or_else(failed)?);
        Ok(self.topics.entry(name.to_owned()).or_insert(topic).0.as_ptr())
    }

    fn as_ptr(&self) -> *mut sys::rd_kafka_t {
        self.client.as_ptr()
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: ours, let go once.
        unsafe { sys::rd_kafka_topic_destroy(self.0.as_ptr()) }
    }
}

impl Deliveries {
    fn take_failed(&self) -> Vec<(Place, RDKafkaErrorCode)> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Place, RDKafkaErrorCode)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn denied(&self) -> MutexGuard<'_, Option<String>> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(&self.owner, level, facility, &self.secrets.redact(message));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let reason = self.secrets.redact(reason);
        // What else matters comes back from the call that it concerns.
        tracing::debug!(client = self.owner, %error, reason, "producer");
        if let Some(denied) = error.rdkafka_error_code().and_then(|code| denial(code, &reason)) {
            *self.denied() = Some(denied);
        }
    }

    fn stats_raw(&self, _: &[u8]) {}
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, place: usize) {
        if let Err((error, _)) = result {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            self.lock().push((Place::from_word(place), code));
        }
    }
}

impl Place {
    fn to_word(self) -> usize {
        (self.batch as usize) << 32 | self.record as usize
    }

    #[expect(clippy::cast_possible_truncation, reason = "takes apart what `to_word` has put together")]
    fn from_word(word: usize) -> Self {
        Self { batch: (word >> 32) as u32, record: word as u32 }
    }
}

type Kind = sys::rd_kafka_vtype_t;
type Value = sys::rd_kafka_vu_s__bindgen_ty_1;
type Memory = sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1;
type Header = sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_2;

const COPY: c_int = sys::RD_KAFKA_MSG_F_COPY as c_int;
const BLOCK: c_int = sys::RD_KAFKA_MSG_F_BLOCK as c_int;

fn argument(vtype: Kind, u: Value) -> sys::rd_kafka_vu_t {
    sys::rd_kafka_vu_t { vtype, u }
}

/// Bytes as an argument. Null and empty are different things to Kafka.
fn memory(bytes: Option<&[u8]>) -> Memory {
    bytes.map_or(Memory { ptr: ptr::null_mut(), size: 0 }, |bytes| Memory { ptr: bytes.as_ptr().cast_mut().cast(), size: bytes.len() })
}

fn config(options: &KafkaTransactionOptions, batching: Batching, max_batch_bytes: u32) -> ClientConfig {
    let id = positions_group(&options.pipeline);
    let timeout_ms = options.timeout.as_millis().to_string();
    let batch_bytes = max_batch_bytes.to_string();
    // Some calls of a transaction heed this one instead of their own timeout. librdkafka wants it below the transaction's.
    let socket_timeout_ms = options.timeout.as_millis().min(SOCKET_TIMEOUT.as_millis()).to_string();
    let defaults = [
        ("client.id", "weir"),
        ("compression.type", "lz4"),
        // Small epochs go out while their record becomes durable; large ones fill their batches all the same.
        ("linger.ms", "1"),
        ("batch.size", &batch_bytes),
        // As Java clients do, so that topics can be joined by key.
        ("partitioner", "murmur2_random"),
        // The bound of what is on its way; `send` waits when it is reached.
        ("queue.buffering.max.kbytes", "65536"),
        ("queue.buffering.max.messages", "500000"),
        ("reconnect.backoff.max.ms", "500"),
        ("socket.timeout.ms", &socket_timeout_ms),
    ];
    let fixed =
        [("transactional.id", id.as_str()), ("transaction.timeout.ms", &timeout_ms), ("enable.idempotence", "true"), ("delivery.report.only.error", "true")];
    let mut config = configure(&options.brokers, &defaults, &options.properties, &fixed);
    if batching == Batching::Single {
        config.set("batch.num.messages", "1");
    }
    config
}

fn name((place, code): &(Place, RDKafkaErrorCode)) -> Undeliverable {
    Undeliverable { batch: place.batch as usize, record: place.record as usize, code: format!("{code:?}") }
}

fn first_code(failed: &[(Place, RDKafkaErrorCode)]) -> RDKafkaErrorCode {
    failed.first().map_or(RDKafkaErrorCode::Unknown, |(_, code)| *code)
}

/// Refusals that the same record gets every time.
fn undeliverable(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::MessageSizeTooLarge | Code::InvalidTimestamp | Code::InvalidRecord | Code::InvalidMessageSize | Code::MessageBatchTooLarge)
}

fn list_of(offsets: &Positions, metadata: &str) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (partition, offset) in offsets {
        let mut element = list.add_partition(&partition.topic, partition.number);
        element.set_offset(ListOffset::Offset(offset.0))?;
        if !metadata.is_empty() {
            element.set_metadata(metadata);
        }
    }
    Ok(list)
}

fn millis(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX)
}
