//! One fetched record in librdkafka's memory, and how it gets into ours.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use rdkafka::bindings as sys;
use rdkafka::error::RDKafkaErrorCode;

use super::client::Queue;
use crate::source::{Cut, Partition, Records};

/// How many records are taken from a queue in one call. Fewer cost more calls; more are held when a plan ends in the middle of them.
const BATCH: usize = 1_000;

/// A record, or an error, that librdkafka has fetched. It holds the memory of the whole response that it came in.
pub(super) struct Message(NonNull<sys::rd_kafka_message_t>);

/// The runs of records that are read of one partition.
pub(super) struct Runs {
    cut: Cut,
    open: Records,
    done: Vec<Arc<Records>>,
    bytes_expected: usize,
    scratch: Vec<u8>,
}

// SAFETY: a message belongs to whoever holds it; librdkafka counts the references to what it shares atomically.
unsafe impl Send for Message {}

/// Takes what has arrived in `queue`, at most one batch, without waiting.
pub(super) fn take_batch(queue: &Queue, mut each: impl FnMut(Message)) -> usize {
    let mut batch = [ptr::null_mut(); BATCH];
    // SAFETY: the queue is alive and the array has room for `BATCH` pointers, of which the call fills as many as it says; each message is ours to destroy.
    let taken = unsafe { sys::rd_kafka_consume_batch_queue(queue.as_ptr(), 0, batch.as_mut_ptr(), BATCH) };
    let taken = usize::try_from(taken).unwrap_or(0);
    batch.iter().take(taken).filter_map(|message| NonNull::new(*message)).for_each(|message| each(Message(message)));
    taken
}

impl Message {
    /// What is wrong; none: it is a record.
    pub(super) fn error(&self) -> Option<RDKafkaErrorCode> {
        match self.raw().err {
            sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => None,
            error => Some(error.into()),
        }
    }

    /// The client's words for it.
    pub(super) fn error_text(&self) -> String {
        // SAFETY: the message is alive, and the text ends with a zero and lives as long.
        let text = unsafe { sys::rd_kafka_message_errstr(self.0.as_ptr()) };
        if text.is_null() {
            return String::new();
        }
        // SAFETY: as above.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }

    /// The record's offset, or the offset that the error is about.
    pub(super) fn offset(&self) -> i64 {
        self.raw().offset
    }

    /// The value; none: null.
    pub(super) fn value(&self) -> Option<&[u8]> {
        // SAFETY: librdkafka's pointer and length, which live as long as the message.
        unsafe { bytes(self.raw().payload, self.raw().len) }
    }

    fn key(&self) -> Option<&[u8]> {
        // SAFETY: as for the value.
        unsafe { bytes(self.raw().key, self.raw().key_len) }
    }

    fn timestamp_ms(&self) -> i64 {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive.
        unsafe { sys::rd_kafka_message_timestamp(self.0.as_ptr(), &raw mut kind) }
    }

    /// Writes the headers as a JSON array; false: there are none, which is null, as in Spark.
    fn write_headers(&self, json: &mut Vec<u8>) -> bool {
        let mut headers = ptr::null_mut();
        json.clear();
        json.push(b'[');
        // SAFETY: the message is alive, and so are its headers.
        let found = unsafe { sys::rd_kafka_message_headers(self.0.as_ptr(), &raw mut headers) };
        if found == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            // SAFETY: `headers` was set by the call above.
            for (key, value) in unsafe { each_header(headers) } {
                if json.len() > 1 {
                    json.push(b',');
                }
                super::headers::write(json, &key, value);
            }
        }
        json.push(b']');
        json.len() > 2
    }

    fn raw(&self) -> &sys::rd_kafka_message_t {
        // SAFETY: alive until `drop`, and changed by nobody.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once.
        unsafe { sys::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

impl Runs {
    /// Empty runs of `partition`, whose records have about `record_bytes` bytes.
    pub(super) fn new(partition: Partition, keys: bool, headers: bool, cut: Cut, record_bytes: u32) -> Self {
        // A little more than the mean, so that most runs never grow; never more than the cut allows.
        let bytes_expected = cut.records.saturating_mul(record_bytes as usize).saturating_mul(9).div_euclid(8).min(cut.bytes);
        Self { cut, open: Records::new(partition, keys, headers), done: Vec::new(), bytes_expected, scratch: Vec::new() }
    }

    /// Copies a record; returns the bytes of its value.
    pub(super) fn push(&mut self, message: &Message) -> usize {
        let value = message.value();
        let bytes = value.map_or(0, <[u8]>::len);
        if self.open.len() >= self.cut.records || self.open.values.data.len() + bytes > self.cut.bytes {
            self.close();
        }
        let open = &mut self.open;
        if open.is_empty() {
            open.values.data.reserve(self.bytes_expected);
            open.values.offsets.reserve(self.cut.records.min(BATCH));
            open.offsets.reserve(self.cut.records.min(BATCH));
            open.timestamps_ms.reserve(self.cut.records.min(BATCH));
        }
        open.offsets.push(message.offset());
        open.timestamps_ms.push(message.timestamp_ms());
        open.values.push(value);
        if let Some(keys) = &mut open.keys {
            keys.push(message.key());
        }
        if let Some(headers) = &mut open.headers {
            let any = message.write_headers(&mut self.scratch);
            headers.push(any.then_some(&self.scratch));
        }
        bytes
    }

    /// The runs that are complete by now.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Arc<Records>> {
        self.done.drain(..)
    }

    /// Completes the run that is open.
    pub(super) fn close(&mut self) {
        if !self.open.is_empty() {
            let next = Records::new(self.open.partition.clone(), self.open.keys.is_some(), self.open.headers.is_some());
            self.done.push(Arc::new(std::mem::replace(&mut self.open, next)));
        }
    }
}

/// The headers' keys and values, in order.
///
/// # Safety
/// `headers` is alive for as long as the iterator and what it gives.
unsafe fn each_header<'a>(headers: *const sys::rd_kafka_headers_t) -> impl Iterator<Item = (String, Option<&'a [u8]>)> {
    let mut index = 0;
    std::iter::from_fn(move || {
        let (mut key, mut value, mut size): (*const c_char, *const c_void, usize) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the headers are alive; past the last one the call says so and sets nothing.
        let found = unsafe { sys::rd_kafka_header_get_all(headers, index, &raw mut key, &raw mut value, &raw mut size) };
        if found != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        index += 1;
        // SAFETY: what the call has set: a text that ends with a zero, and a value of `size` bytes.
        unsafe { Some((CStr::from_ptr(key).to_string_lossy().into_owned(), bytes(value, size))) }
    })
}

/// The bytes at `start`; none: null.
///
/// # Safety
/// `start` is null, or `len` bytes live there for as long as the result.
unsafe fn bytes<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    if start.is_null() {
        return None;
    }
    // SAFETY: as promised by the caller.
    Some(unsafe { std::slice::from_raw_parts(start.cast(), len) })
}
