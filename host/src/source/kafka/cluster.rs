//! Questions to the cluster whose answers come later: which topics there are, and where their partitions begin and end. They are asked without waiting, because
//! on the connection that fetches, an answer waits behind the fetch: asking and waiting would cost an idle pipeline its latency.

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use rdkafka::bindings as sys;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::{Offset as ListOffset, TopicPartitionList};

use super::client::{Consumer, Queue, Wake};
use crate::source::{Offset, Partition};

/// What came of a question.
#[derive(Debug)]
pub(super) enum Answer {
    /// The topics that were asked for.
    Topics(Vec<Topic>),
    /// One end of each partition that was asked for.
    Offsets(Vec<(Partition, Result<Offset, RDKafkaErrorCode>)>),
    /// None: the question was given up after its timeout, or the cluster refused it.
    Failed {
        /// The client's code.
        code: RDKafkaErrorCode,
        /// The client's words.
        reason: String,
    },
}

/// What the cluster says about a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Topic {
    /// Its name.
    pub(super) name: Arc<str>,
    /// Its id and how many partitions it has; or why there is no answer.
    pub(super) found: Result<Found, RDKafkaErrorCode>,
}

/// A topic that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The id: a topic that is deleted and made again gets another one.
    pub(super) id: String,
    /// How many partitions it has.
    pub(super) partitions: i32,
}

/// Which end of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The first record that is still there.
    Earliest,
    /// The offset after the last record that is stable: the last stable offset.
    Latest,
}

/// Where answers arrive.
pub(super) struct Answers {
    queue: Queue,
}

/// Asks for these topics.
pub(super) fn ask_topics(answers: &Answers, topics: &[Arc<str>], timeout: Duration) -> anyhow::Result<()> {
    let names = topics.iter().map(|topic| CString::new(&**topic)).collect::<Result<Vec<_>, _>>()?;
    let mut names: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let client = answers.queue.client().client().native_ptr();
    let options = Options::new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout)?;
    // SAFETY: the names end with zeros and live until the call returns, which copies them; the collection is destroyed once.
    unsafe {
        let collection = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        sys::rd_kafka_DescribeTopics(client, collection, options.0, answers.queue.as_ptr());
        sys::rd_kafka_TopicCollection_destroy(collection);
    }
    Ok(())
}

/// Asks where these partitions begin or end.
pub(super) fn ask_offsets<'a>(
    answers: &Answers,
    partitions: impl IntoIterator<Item = &'a Partition>,
    end: End,
    timeout: Duration,
) -> anyhow::Result<()> {
    let mut list = TopicPartitionList::new();
    let end = match end {
        End::Earliest => ListOffset::Beginning,
        End::Latest => ListOffset::End,
    };
    for partition in partitions {
        list.add_partition_offset(&partition.topic, partition.number, end)?;
    }
    let client = answers.queue.client().client().native_ptr();
    let options = Options::new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout)?;
    // SAFETY: the list lives until the call returns, which copies it; the options are of this call's kind.
    unsafe {
        let error = sys::rd_kafka_AdminOptions_set_isolation_level(options.0, sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED);
        if !error.is_null() {
            sys::rd_kafka_error_destroy(error);
            bail!("librdkafka takes no isolation level for `ListOffsets`");
        }
        sys::rd_kafka_ListOffsets(client, list.ptr(), options.0, answers.queue.as_ptr());
    }
    Ok(())
}

impl Answers {
    /// A place for answers to questions of `client`.
    pub(super) fn new(client: &Arc<Consumer>) -> anyhow::Result<Self> {
        Ok(Self { queue: Queue::new(client)? })
    }

    /// Sets `wake` when an answer comes.
    pub(super) fn wakes(&mut self, wake: &Arc<Wake>) {
        self.queue.wakes(wake);
    }

    /// The next answer, if one has come.
    pub(super) fn take(&self) -> anyhow::Result<Option<Answer>> {
        self.wait(Duration::ZERO)
    }

    /// The next answer, for which it waits until `deadline` at most; with `give_up` it stops as soon as no broker can be reached.
    pub(super) fn wait_until(&self, deadline: Instant, mut give_up: impl FnMut() -> bool) -> anyhow::Result<Option<Answer>> {
        const SLICE: Duration = Duration::from_millis(50);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(answer) = self.wait(left.min(SLICE))? {
                return Ok(Some(answer));
            }
            if left.is_zero() || give_up() {
                return Ok(None);
            }
        }
    }

    fn wait(&self, timeout: Duration) -> anyhow::Result<Option<Answer>> {
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive; the event is ours to destroy.
        let event = unsafe { sys::rd_kafka_queue_poll(self.queue.as_ptr(), timeout_ms) };
        if event.is_null() {
            return Ok(None);
        }
        // SAFETY: the event is alive until it is destroyed below, and `read` keeps nothing of it.
        unsafe {
            let answer = read(event);
            sys::rd_kafka_event_destroy(event);
            answer.map(Some)
        }
    }
}

/// Options of one question, destroyed after it was asked.
struct Options(*mut sys::rd_kafka_AdminOptions_t);

impl Options {
    fn new(client: *mut sys::rd_kafka_t, kind: sys::rd_kafka_admin_op_t, timeout: Duration) -> anyhow::Result<Self> {
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the client is alive; no text of the error is asked for.
        unsafe {
            let options = Self(sys::rd_kafka_AdminOptions_new(client, kind));
            let code = sys::rd_kafka_AdminOptions_set_request_timeout(options.0, timeout_ms, ptr::null_mut(), 0);
            if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                bail!("librdkafka takes no timeout of {timeout_ms} ms");
            }
            Ok(options)
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: made in `new`, destroyed once.
        unsafe { sys::rd_kafka_AdminOptions_destroy(self.0) }
    }
}

/// Reads an answer.
///
/// # Safety
/// `event` is alive, and an answer to one of the questions above.
unsafe fn read(event: *mut sys::rd_kafka_event_t) -> anyhow::Result<Answer> {
    // SAFETY: as promised by the caller; every pointer that is read belongs to the event, and what is kept of it is copied.
    unsafe {
        let code: RDKafkaErrorCode = sys::rd_kafka_event_error(event).into();
        if code != RDKafkaErrorCode::NoError {
            return Ok(Answer::Failed { code, reason: text(sys::rd_kafka_event_error_string(event)) });
        }
        match sys::rd_kafka_event_type(event) {
            sys::RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT => {
                let mut count = 0;
                let topics = sys::rd_kafka_DescribeTopics_result_topics(sys::rd_kafka_event_DescribeTopics_result(event), &raw mut count);
                Ok(Answer::Topics(slice(topics, count).iter().map(|topic| read_topic(*topic)).collect()))
            }
            sys::RD_KAFKA_EVENT_LISTOFFSETS_RESULT => {
                let mut count = 0;
                let infos = sys::rd_kafka_ListOffsets_result_infos(sys::rd_kafka_event_ListOffsets_result(event), &raw mut count);
                Ok(Answer::Offsets(slice(infos, count).iter().map(|info| read_offset(*info)).collect()))
            }
            kind => Err(anyhow!("librdkafka answers with event {kind}")),
        }
    }
}

unsafe fn read_topic(topic: *const sys::rd_kafka_TopicDescription_t) -> Topic {
    // SAFETY: a topic of a living answer.
    unsafe {
        let name = text(sys::rd_kafka_TopicDescription_name(topic)).into();
        let error = sys::rd_kafka_TopicDescription_error(topic);
        let code: RDKafkaErrorCode = if error.is_null() { RDKafkaErrorCode::NoError } else { sys::rd_kafka_error_code(error).into() };
        if code != RDKafkaErrorCode::NoError {
            return Topic { name, found: Err(code) };
        }
        let mut count = 0;
        sys::rd_kafka_TopicDescription_partitions(topic, &raw mut count);
        let id = text(sys::rd_kafka_Uuid_base64str(sys::rd_kafka_TopicDescription_topic_id(topic)));
        Topic { name, found: Ok(Found { id, partitions: i32::try_from(count).unwrap_or(i32::MAX) }) }
    }
}

unsafe fn read_offset(info: *const sys::rd_kafka_ListOffsetsResultInfo_t) -> (Partition, Result<Offset, RDKafkaErrorCode>) {
    // SAFETY: a partition of a living answer.
    unsafe {
        let found = &*sys::rd_kafka_ListOffsetsResultInfo_topic_partition(info);
        let partition = Partition { topic: text(found.topic).into(), number: found.partition };
        match RDKafkaErrorCode::from(found.err) {
            RDKafkaErrorCode::NoError => (partition, Ok(Offset(found.offset))),
            code => (partition, Err(code)),
        }
    }
}

/// The `count` pointers at `start`, which may be null when there are none.
unsafe fn slice<'a, T>(start: *const *const T, count: usize) -> &'a [*const T] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: librdkafka's arrays have as many elements as it says.
    unsafe { std::slice::from_raw_parts(start, count) }
}

unsafe fn text(chars: *const c_char) -> String {
    if chars.is_null() {
        return String::new();
    }
    // SAFETY: librdkafka's texts end with a zero.
    unsafe { CStr::from_ptr(chars) }.to_string_lossy().into_owned()
}
