//! The producer behind `weir generate`. It knows records as bytes, and nothing of what they say.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};

use weir::generate::Record;

/// How long a broker may take to answer before the verb gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open topic.
pub(in crate::cli) struct Topic {
    name: String,
    producer: BaseProducer<Deliveries>,
    unserved: u32,
}

/// Records that the broker did not take.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Failed {
    /// How many.
    pub(in crate::cli) records: u64,
    /// Why the first was not taken.
    pub(in crate::cli) first: KafkaError,
}

impl Topic {
    /// Makes the topic unless it is there. A record may wait for `linger` until more go with it.
    pub(in crate::cli) fn open(brokers: &str, name: &str, partitions: i32, linger: Duration) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers);
        let admin: AdminClient<DefaultClientContext> = config.create().context("make a Kafka client")?;
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(-1));
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let made = block_on(admin.create_topics([&topic], &options)).with_context(|| format!("ask `{brokers}` for topic `{name}`"))?;
        for result in made {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => bail!("make topic `{topic}` with {partitions} partitions: {code}"),
            }
        }
        // The partitioner is the Java clients' own, so that other keyed topics line up. The queue holds a second of a fast stream, so that `send` seldom waits.
        config.set("partitioner", "murmur2_random").set("enable.idempotence", "true").set("compression.type", "lz4");
        config.set("linger.ms", linger.as_millis().to_string()).set("batch.size", "1000000").set("queue.buffering.max.messages", "500000");
        let producer = config.create_with_context(Deliveries::default()).context("make a Kafka producer")?;
        Ok(Self { name: name.to_owned(), producer, unserved: 0 })
    }

    /// Sends a record; waits while the client's queue is full, until `stop` says otherwise.
    pub(in crate::cli) fn send(&mut self, record: &Record, stop: &AtomicBool) -> anyhow::Result<()> {
        let mut to_send = BaseRecord::to(&self.name).key(&record.key).payload(&record.value);
        loop {
            match self.producer.send(to_send) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent)) if !stop.load(Ordering::Relaxed) => {
                    self.producer.poll(Duration::from_millis(100));
                    to_send = unsent;
                }
                Err((error, _)) => return Err(error).with_context(|| format!("send to `{}`", self.name)),
            }
        }
        // Each poll takes a lock: seldom is enough, as long as reports do not pile up.
        self.unserved += 1;
        if self.unserved == 1_000 {
            self.serve(Duration::ZERO);
        }
        Ok(())
    }

    /// Takes delivery reports for up to `time`.
    pub(in crate::cli) fn serve(&mut self, time: Duration) {
        self.unserved = 0;
        self.producer.poll(time);
    }

    /// Waits until every record is delivered or has failed.
    pub(in crate::cli) fn close(self) -> anyhow::Result<Option<Failed>> {
        self.producer.flush(PATIENCE).with_context(|| format!("wait {PATIENCE:?} for `{}` to take the last records", self.name))?;
        Ok(self.producer.context().failed.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

#[derive(Default)]
struct Deliveries {
    failed: Mutex<Option<Failed>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert_with(|| Failed { records: 0, first: error.clone() }).records += 1;
        }
    }
}

/// Drives a future of the client's, whose work is done on the client's own thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut TaskContext::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
