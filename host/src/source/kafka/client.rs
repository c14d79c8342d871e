//! What every Kafka client of the host shares: how it is configured, what it does with errors and log lines, and its handles on librdkafka's queues.
//! No value of a property leaves this module, neither in an error nor in a log line.

use std::ffi::{CString, c_int};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use rdkafka::bindings as sys;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaConfRes;

use super::denial::denial;
use crate::source::Partition;

/// A consumer whose errors and log lines come to us.
pub(crate) type Consumer = BaseConsumer<Context>;

/// Properties as a user gives them.
pub(crate) type Properties = [(String, String)];

/// A broker that does not answer a request for this long is given up, and the next one tried. librdkafka's own minute is long for a pipeline that looks hung;
/// much shorter, and a broker's long pause costs the connection.
pub(crate) const SOCKET_TIMEOUT: Duration = Duration::from_secs(10);

/// The receiver of a client's errors and log lines. It knows whether the cluster can be reached.
#[derive(Debug)]
pub(crate) struct Context {
    /// Who the client belongs to, for log lines.
    owner: String,
    secrets: Secrets,
    trouble: Mutex<Trouble>,
}

/// The values that must never be shown.
#[derive(Debug, Clone)]
pub(crate) struct Secrets(Vec<String>);

#[derive(Debug, Default)]
struct Trouble {
    /// How many times the client has said that no broker answers, since one last did.
    all_down: u64,
    /// The last thing it said about a broker.
    reason: String,
    /// Why the brokers turn it away, and what to do.
    denied: Option<String>,
}

/// One of librdkafka's queues. It keeps the client alive, because librdkafka wants its queues released first.
pub(crate) struct Queue {
    queue: NonNull<sys::rd_kafka_queue_t>,
    client: Arc<Consumer>,
    /// What it writes to; kept, so that it is never written to after it is closed.
    wake: Option<Arc<Wake>>,
}

/// An eventfd that librdkafka writes to when something arrives in a queue.
pub(crate) struct Wake(OwnedFd);

/// Creates a client. Of the settings, `defaults` give way to the user's `properties`, and those to what is `fixed`.
pub(crate) fn create<T: FromClientConfigAndContext<Context>>(
    owner: &str,
    brokers: &str,
    defaults: &[(&str, &str)],
    properties: &Properties,
    fixed: &[(&str, &str)],
) -> anyhow::Result<T> {
    let secrets = Secrets::of(properties);
    let context = Context { owner: owner.to_owned(), secrets: secrets.clone(), trouble: Mutex::default() };
    configure(brokers, defaults, properties, fixed).create_with_context(context).map_err(|error| refused(&error, &secrets))
}

/// The configuration that [`create`] uses, for clients with a context of their own.
pub(crate) fn configure(brokers: &str, defaults: &[(&str, &str)], properties: &Properties, fixed: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in defaults {
        config.set(*key, *value);
    }
    for (key, value) in properties {
        config.set(key, value);
    }
    for (key, value) in fixed {
        config.set(*key, *value);
    }
    config.set("bootstrap.servers", brokers);
    config.set_log_level(RDKafkaLogLevel::Info);
    config
}

/// Why a client could not be made, without any value.
pub(crate) fn refused(error: &KafkaError, secrets: &Secrets) -> anyhow::Error {
    match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, key, _) => {
            anyhow!("`{key}` is no setting of librdkafka: see its CONFIGURATION.md for the names in `properties`")
        }
        KafkaError::ClientConfig(_, _, key, _) => {
            anyhow!("the value of `{key}` is not one that librdkafka takes, or this build lacks the feature: see its CONFIGURATION.md")
        }
        KafkaError::ClientCreation(reason) => anyhow!("the Kafka client can't be made: {}", secrets.redact(reason)),
        error => anyhow!("the Kafka client can't be made: {}", secrets.redact(&error.to_string())),
    }
}

/// The time that answers are waited by. It decides nothing that an epoch keeps.
#[expect(clippy::disallowed_methods, reason = "the brokers' answers are late by the wall clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

impl Context {
    /// Why the cluster can't be reached; none: it can, as far as is known.
    pub(crate) fn down(&self) -> Option<String> {
        let trouble = self.lock();
        (trouble.all_down > 0).then(|| trouble.reason.clone())
    }

    /// Why the brokers turn the client away, and what to do; none: they don't, as far as is known. Waiting does not mend it.
    pub(crate) fn denied(&self) -> Option<String> {
        self.lock().denied.clone()
    }

    /// A broker has answered.
    pub(crate) fn answered(&self) {
        let mut trouble = self.lock();
        trouble.denied = None;
        if trouble.all_down > 0 {
            tracing::info!(client = self.owner, attempts = trouble.all_down, "the brokers answer again");
            *trouble = Trouble::default();
        }
    }

    /// `text` without the values of properties.
    pub(crate) fn redact(&self, text: &str) -> String {
        self.secrets.redact(text)
    }

    fn lock(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(&self.owner, level, facility, &self.redact(message));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let mut trouble = self.lock();
        // NOTE: librdkafka repeats `AllBrokersDown` at every attempt to connect, hundreds of times in an outage: one line is enough.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            trouble.all_down += 1;
            if trouble.all_down == 1 {
                tracing::warn!(client = self.owner, reason = trouble.reason, "no broker answers; the client goes on trying");
            }
        } else if let Some(code) = error.rdkafka_error_code().filter(|code| *code != RDKafkaErrorCode::PartitionEOF) {
            trouble.reason = self.redact(reason);
            if let Some(denied) = denial(code, &trouble.reason) {
                trouble.denied = Some(denied);
            }
        }
    }

    fn stats_raw(&self, _: &[u8]) {}
}

impl ConsumerContext for Context {}

/// Writes a line of librdkafka to the host's log. A lost connection is an error to librdkafka and a fact of life to us: what matters arrives as an error event.
pub(crate) fn log_line(owner: &str, level: RDKafkaLogLevel, facility: &str, message: &str) {
    if matches!(level, RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical) {
        tracing::error!(client = owner, facility, "{message}");
    } else {
        tracing::debug!(client = owner, facility, "{message}");
    }
}

const PROTOCOLS: &[&str] = &["PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI"];

impl Secrets {
    /// The values of `properties`; those of three letters and less are no secrets, and are in every text. Neither are the names of protocols, which explain an error.
    pub(crate) fn of(properties: &Properties) -> Self {
        let mut values: Vec<_> = properties.iter().map(|(_, value)| value.clone()).filter(|value| value.len() > 3 && !PROTOCOLS.contains(&&**value)).collect();
        // The longest first, so that no part of one is left when another is a piece of it.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self(values)
    }

    /// `text` without them.
    pub(crate) fn redact(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

// SAFETY: librdkafka's queues are internally locked.
unsafe impl Send for Queue {}

impl Queue {
    /// A queue of our own, for answers.
    pub(crate) fn new(client: &Arc<Consumer>) -> anyhow::Result<Self> {
        // SAFETY: the client is alive; the new queue belongs to us.
        let queue = unsafe { sys::rd_kafka_queue_new(client.client().native_ptr()) };
        Self::from_raw(queue, client)
    }

    /// The queue that fetched records of a partition go to.
    ///
    /// IMPORTANT: to be called before the partition is assigned: from then on librdkafka leaves the queue to us and no record of it takes the way through the
    /// consumer's common queue.
    pub(crate) fn of_partition(client: &Arc<Consumer>, partition: &Partition) -> anyhow::Result<Self> {
        let topic = CString::new(&*partition.topic)?;
        // SAFETY: the client is alive, the topic ends with a zero; the handle belongs to us, the queue behind it to librdkafka.
        let queue = unsafe { sys::rd_kafka_queue_get_partition(client.client().native_ptr(), topic.as_ptr(), partition.number) };
        let queue = Self::from_raw(queue, client)?;
        // SAFETY: both are what the call wants: a queue, and null for "to nobody".
        unsafe { sys::rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut()) };
        Ok(queue)
    }

    /// Writes to `wake` when something arrives after the queue was last looked at and found empty.
    pub(crate) fn wakes(&mut self, wake: &Arc<Wake>) {
        static ONE: u64 = 1;
        self.wake = Some(Arc::clone(wake));
        // SAFETY: the payload is copied; the descriptor is open for as long as `self` keeps it.
        unsafe { sys::rd_kafka_queue_io_event_enable(self.as_ptr(), wake.0.as_raw_fd(), (&raw const ONE).cast(), size_of::<u64>()) };
    }

    /// The raw queue, valid as long as `self`.
    pub(crate) fn as_ptr(&self) -> *mut sys::rd_kafka_queue_t {
        self.queue.as_ptr()
    }

    /// The client that it belongs to.
    pub(crate) fn client(&self) -> &Arc<Consumer> {
        &self.client
    }

    fn from_raw(queue: *mut sys::rd_kafka_queue_t, client: &Arc<Consumer>) -> anyhow::Result<Self> {
        match NonNull::new(queue) {
            Some(queue) => Ok(Self { queue, client: Arc::clone(client), wake: None }),
            None => bail!("librdkafka gives no queue"),
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and used nowhere else; a descriptor of -1 takes the event away before the descriptor is let go.
        unsafe {
            if self.wake.is_some() {
                sys::rd_kafka_queue_io_event_enable(self.as_ptr(), -1, ptr::null(), 0);
            }
            sys::rd_kafka_queue_destroy(self.as_ptr());
        }
    }
}

impl Wake {
    /// A new one, not set.
    pub(crate) fn new() -> anyhow::Result<Self> {
        // SAFETY: a plain system call.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        // SAFETY: the descriptor is new and ours.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// What it is to the operating system; open as long as `self`.
    pub(crate) fn descriptor(&self) -> c_int {
        self.0.as_raw_fd()
    }

    /// Something has happened.
    pub(crate) fn set(&self) {
        let one = 1_u64;
        // SAFETY: writes eight bytes of eight. That it is set already is no error.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
    }

    /// Forgets what has happened so far. To be called before looking, so that nothing falls between.
    pub(crate) fn clear(&self) {
        let mut count = 0_u64;
        // SAFETY: reads eight bytes into eight bytes. That there was nothing to read is no error.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
    }

    /// Waits until something has happened since the last [`Wake::clear`], at most `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let timeout = libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(timeout.subsec_nanos()),
        };
        // SAFETY: one descriptor, alive; no signal mask. A signal ends the wait early, which the caller expects.
        unsafe { libc::ppoll(&raw mut poll, 1, &raw const timeout, ptr::null()) };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn client(properties: &[(&str, &str)]) -> anyhow::Result<Consumer> {
        let properties: Vec<_> = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        create("test", "localhost:1", &[], &properties, &[])
    }

    #[test]
    fn an_unknown_setting_is_named_without_its_value() {
        let error = client(&[("sasl.pasword", "hunter2")]).err().unwrap().to_string();
        assert!(error.contains("`sasl.pasword`") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_wrong_value_is_not_shown() {
        let error = client(&[("security.protocol", "hunter2")]).err().unwrap().to_string();
        assert!(error.contains("`security.protocol`") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_value_that_the_client_quotes_when_it_refuses_to_start_is_not_shown() {
        let error = client(&[("ssl.ca.location", "/hunter2.pem"), ("security.protocol", "ssl")]).err().unwrap();
        let shown = format!("{error:?}");
        assert!(shown.contains("ssl.ca.location") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn what_is_fixed_cannot_be_changed_by_a_property() {
        let properties = [("enable.auto.commit".to_owned(), "true".to_owned())];
        let config = configure("b:1", &[("fetch.wait.max.ms", "1")], &properties, &[("enable.auto.commit", "false")]);
        assert_eq!((config.get("enable.auto.commit"), config.get("fetch.wait.max.ms")), (Some("false"), Some("1")));
    }

    #[test]
    fn a_secret_within_a_secret_leaves_nothing_behind() {
        let secrets = Secrets::of(&[("a".into(), "pass".into()), ("b".into(), "password".into())]);
        assert_eq!(secrets.redact("a password and a pass"), "a *** and a ***");
    }
}
