//! The broker as something that runs: a listener, a thread with its own small runtime, connections ([`connection`]), and a clock that ticks.

mod connection;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{self, Runtime};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::MissedTickBehavior;

use crate::clock::Now;
use crate::config::Config;
use crate::node::Node;

/// A broker that listens, and does not serve yet.
#[derive(Debug)]
pub struct Broker {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// A broker that serves in a thread of its own, until it is shut down or dropped.
#[derive(Debug)]
pub struct RunningBroker {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a broker holds at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of batches that are kept, with what a batch costs besides its own.
    pub kept_bytes: u64,
    /// Bytes of batches that retention has dropped since the start.
    pub dropped_bytes: u64,
    /// Open connections.
    pub connections: usize,
}

/// What connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    node: Mutex<Node>,
    /// Something was appended, or a transaction has ended: readers look again.
    change: Notify,
    /// Kilobytes of requests that may still be read.
    room: Semaphore,
    connections: AtomicUsize,
    max_connections: usize,
    max_request_bytes: usize,
    request_timeout: Duration,
}

/// The unit in which requests take room.
const ROOM_UNIT: usize = 1024;

/// How long the listener rests when connections can't be accepted, for want of file descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often timeouts are looked at.
const TICK: Duration = Duration::from_millis(10);

impl Broker {
    /// Takes the address. From here on clients can connect; they are answered when the broker runs.
    pub fn bind(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind(&config.listen)?;
        listener.set_nonblocking(true)?;
        let room = config.max_bytes_in_flight.max(config.max_request_bytes).div_ceil(ROOM_UNIT).min(Semaphore::MAX_PERMITS);
        let shared = Shared {
            change: Notify::new(),
            room: Semaphore::new(room + 1),
            connections: AtomicUsize::new(0),
            max_connections: config.max_connections,
            max_request_bytes: config.max_request_bytes,
            request_timeout: config.request_timeout,
            node: Mutex::new(Node::new(config)),
        };
        Ok(Self { address: listener.local_addr()?, listener, shared: Arc::new(shared) })
    }

    /// Where it listens, with the port that was free.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves in this thread, and for as long as the process lives.
    pub fn run(self) -> io::Result<()> {
        let runtime = runtime()?;
        runtime.block_on(serve(self.listener, self.shared))
    }

    /// Serves in a thread of its own.
    pub fn spawn(self) -> io::Result<RunningBroker> {
        let (stop, stopped) = oneshot::channel();
        let (runtime, shared, listener) = (runtime()?, Arc::clone(&self.shared), self.listener);
        let serve_until_stopped = move || {
            runtime.spawn(serve(listener, shared));
            // A handle that is gone without a word has the same meaning.
            runtime.block_on(stopped).unwrap_or_default();
        };
        let thread = std::thread::Builder::new().name("weir-broker".into()).spawn(serve_until_stopped)?;
        Ok(RunningBroker { address: self.address, shared: self.shared, stop: Some(stop), thread: Some(thread) })
    }
}

impl RunningBroker {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it holds now.
    pub fn stats(&self) -> Stats {
        let node = self.shared.node();
        Stats { kept_bytes: node.kept_bytes(), dropped_bytes: node.dropped_bytes(), connections: self.shared.connections.load(Ordering::Relaxed) }
    }

    /// Closes all connections and forgets everything.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for RunningBroker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked serves no more: that is what is wanted.
            drop(thread.join());
        }
    }
}

impl Shared {
    pub(crate) fn node(&self) -> MutexGuard<'_, Node> {
        // A handler that panicked has left the state between two requests' changes at worst; other clients go on.
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Readers that wait look again.
    pub(crate) fn changed(&self) {
        self.change.notify_waiters();
    }

    /// The next change from now on, even if it is waited for later.
    pub(crate) fn next_change(&self) -> Notified<'_> {
        self.change.notified()
    }
}

/// One thread: what a broker does for a request takes microseconds, and what takes long is done by the kernel.
fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_io().enable_time().build()
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::spawn(tick(Arc::clone(&shared)));
    let mut is_said = false;
    loop {
        match listener.accept().await {
            Ok((socket, _)) if shared.connections.load(Ordering::Relaxed) >= shared.max_connections => {
                if !std::mem::replace(&mut is_said, true) {
                    tracing::warn!(max_connections = shared.max_connections, "there are too many connections: new ones are closed");
                }
                drop(socket);
            }
            Ok((socket, peer)) => {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(connection::serve(socket, peer, Arc::clone(&shared)));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection can't be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn tick(shared: Arc<Shared>) {
    let marker_delay = shared.node().config.marker_delay;
    let period = if marker_delay.is_zero() { TICK } else { TICK.min(marker_delay).max(Duration::from_millis(1)) };
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_said = false;
    loop {
        ticks.tick().await;
        let (has_changed, dropped_bytes, kept_bytes) = {
            let mut node = shared.node();
            (node.tick(Now::read()), node.dropped_bytes(), node.kept_bytes())
        };
        if has_changed {
            shared.changed();
        }
        if dropped_bytes > 0 && !std::mem::replace(&mut is_said, true) {
            tracing::warn!(dropped_bytes, kept_bytes, "retention drops the oldest records from now on; this is said once");
        }
    }
}
