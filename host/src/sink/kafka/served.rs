//! A producer's client with a thread that takes its events, failed deliveries above all, as they come. Not rdkafka's `ThreadedProducer`: waiting in slices, with what is
//! left of a slice rounded down, it is busy for a millisecond of every hundred, which is the whole budget of an idle pipeline.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::bindings as sys;
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};

use crate::source::kafka::Wake;

/// How long the thread sleeps when nothing wakes it.
const NAP: Duration = Duration::from_secs(1);
/// How long it takes events at a time: rdkafka does not say whether there are more.
const SERVING: Duration = Duration::from_millis(1);

/// A client that is served.
pub(super) struct Served<C: ProducerContext + 'static> {
    client: Arc<BaseProducer<C>>,
    wake: Arc<Wake>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<C: ProducerContext + Send + Sync + 'static> Served<C> {
    /// Serves a client from now on.
    pub(super) fn new(client: BaseProducer<C>) -> anyhow::Result<Self> {
        let (client, wake, stop) = (Arc::new(client), Arc::new(Wake::new()?), Arc::new(AtomicBool::new(false)));
        let mut served = Self { client: Arc::clone(&client), wake: Arc::clone(&wake), stop: Arc::clone(&stop), thread: None };
        served.signal(Some(&wake));
        let serve = move || {
            while !stop.load(Ordering::Acquire) {
                wake.wait(NAP);
                wake.clear();
                client.poll(SERVING);
            }
        };
        served.thread = Some(thread::Builder::new().name("producer".to_owned()).spawn(serve).context("start the thread that serves the producer")?);
        Ok(served)
    }
}

impl<C: ProducerContext> Served<C> {
    /// Where deliveries are told.
    pub(super) fn context(&self) -> &C {
        self.client.context()
    }

    /// The raw client, valid as long as `self`.
    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_t {
        self.client.client().native_ptr()
    }

    /// Has the client's queue of events write to `wake` when it is no longer empty, or to nobody.
    fn signal(&self, wake: Option<&Wake>) {
        static ONE: u64 = 1;
        // SAFETY: the client is alive, and the handle is let go once. The payload is copied; a descriptor is open for as long as `self`, which takes it away again.
        unsafe {
            let queue = sys::rd_kafka_queue_get_main(self.as_ptr());
            match wake {
                Some(wake) => sys::rd_kafka_queue_io_event_enable(queue, wake.descriptor(), (&raw const ONE).cast::<c_void>(), size_of::<u64>()),
                None => sys::rd_kafka_queue_io_event_enable(queue, -1, ptr::null(), 0),
            }
            sys::rd_kafka_queue_destroy(queue);
        }
    }
}

impl<C: ProducerContext> Drop for Served<C> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.wake.set();
        // A thread that has panicked has nothing left to serve.
        drop(self.thread.take().map(JoinHandle::join));
        self.signal(None);
    }
}
