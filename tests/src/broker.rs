//! Brokers for tests: a real Apache Kafka, or the embedded broker, each started once for a test run. Tests that stop the broker start one of their own.

mod apache;
mod embedded;

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use weir_broker::RunningBroker;

use self::apache::Apache;
pub use self::apache::User;

/// Which broker a test runs on. What holds on one holds on the other; where they differ, Apache Kafka is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The oracle, in a process of its own.
    Apache,
    /// Ours, in this process.
    Embedded,
}

/// A running broker.
#[derive(Debug)]
pub struct Broker(Running);

#[derive(Debug)]
enum Running {
    Apache(Apache),
    Embedded(RunningBroker),
}

/// The broker that all tests of this process share which do not say of which kind: Apache Kafka, or the embedded broker with `WEIR_TEST_BROKER=embedded`.
pub fn shared() -> &'static Broker {
    match std::env::var("WEIR_TEST_BROKER").as_deref() {
        Ok("embedded") => shared_of(Kind::Embedded),
        Ok("apache") | Err(_) => shared_of(Kind::Apache),
        Ok(other) => panic!("WEIR_TEST_BROKER is `{other}`: expected `apache` or `embedded`"),
    }
}

/// The broker of this kind that all tests of this process share.
pub fn shared_of(kind: Kind) -> &'static Broker {
    static APACHE: LazyLock<Broker> = LazyLock::new(|| Broker::start_of(Kind::Apache).unwrap_or_else(|error| panic!("{error:#}")));
    static EMBEDDED: LazyLock<Broker> = LazyLock::new(|| Broker::start_of(Kind::Embedded).unwrap_or_else(|error| panic!("{error:#}")));
    match kind {
        Kind::Apache => &APACHE,
        Kind::Embedded => &EMBEDDED,
    }
}

impl Broker {
    /// Starts an Apache Kafka of its own, with an empty data folder, and waits until it is ready.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_of(Kind::Apache)
    }

    /// Starts an empty broker of this kind, and waits until it is ready.
    pub fn start_of(kind: Kind) -> anyhow::Result<Self> {
        Ok(Self(match kind {
            Kind::Apache => Running::Apache(Apache::start(None)?),
            Kind::Embedded => Running::Embedded(embedded::start()?),
        }))
    }

    /// Starts an Apache Kafka of its own that has a second listener, with SASL_SSL, for this user.
    pub fn start_secure(user: User) -> anyhow::Result<Self> {
        Ok(Self(Running::Apache(Apache::start(Some(user))?)))
    }

    /// What a client of the listener with SASL_SSL is to be given, and the file with the certificate authority that it is to trust.
    pub fn secure(&self) -> anyhow::Result<(String, PathBuf)> {
        self.process()?.secure()
    }

    /// What a client is to be given.
    pub fn bootstrap(&self) -> String {
        match &self.0 {
            Running::Apache(broker) => broker.bootstrap(),
            Running::Embedded(broker) => broker.address().to_string(),
        }
    }

    /// Stops it as an operator does; what it holds stays.
    pub fn stop(&self) -> anyhow::Result<()> {
        self.process()?.stop()
    }

    /// Starts it again with what it holds, on the same port.
    pub fn start_again(&self) -> anyhow::Result<()> {
        self.process()?.start_again()
    }

    /// Sends the broker's process a signal, such as `STOP` or `CONT`.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        self.process()?.signal(name)
    }

    fn process(&self) -> anyhow::Result<&Apache> {
        match &self.0 {
            Running::Apache(broker) => Ok(broker),
            Running::Embedded(_) => anyhow::bail!("the embedded broker is no process of its own, and holds nothing over a restart"),
        }
    }
}

/// Waits until `done` gives something, and fails with `what` after 30 seconds.
#[expect(clippy::disallowed_methods, reason = "the broker lives by the wall clock")]
pub fn eventually<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = done() {
            return value;
        }
        if Instant::now() >= deadline {
            panic!("not within 30 s: {what}");
        }
    }
}

/// Waits for a future; the client's admin calls are nothing more.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        thread::park();
    }
}
