//! Lines of text from a TCP socket, as Spark's `socket` source: for trying things out with `nc -lk 9999`. A socket can't be asked again, so what it has sent and no epoch
//! has committed when the process ends is lost: at most once. Within a run an epoch that is made again reads the same lines: they are kept until the next one begins.
//!
//! ```text
//!  server ─► thread: bytes ─► lines ─► Buffer (bounded; full: the thread stops reading, and the server stops sending) ─► read
//! ```

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;

use super::runs::Runs;
use super::{Cut, Now, Offer, Offset, OffsetRange, Partition, Positions, Records, Source, SourceError};

/// What a source is made with.
#[derive(Debug, Clone)]
pub struct SocketOptions {
    /// The source's id.
    pub id: String,
    /// The server's name or address.
    pub host: String,
    /// The server's port.
    pub port: u16,
}

/// A source that reads lines from a server.
pub struct SocketSource {
    options: SocketOptions,
    partition: Partition,
    position: Offset,
    shared: Arc<Shared>,
    /// The reader, once it has been started.
    now: Option<Now>,
    /// The end that was last offered.
    offered: Offset,
}

/// What the thread and the source share.
#[derive(Debug, Default)]
struct Shared {
    buffer: Mutex<Buffer>,
    /// Something has changed: lines came, lines went, or it is over.
    changed: Condvar,
}

/// The lines that are held.
#[derive(Debug, Default)]
struct Buffer {
    /// The offset of the first one.
    first: i64,
    lines: VecDeque<Line>,
    bytes: usize,
    connected: bool,
    /// Why nothing more will come.
    broken: Option<String>,
    /// The source is gone.
    closed: bool,
}

#[derive(Debug)]
struct Line {
    bytes: Vec<u8>,
    timestamp_ms: i64,
}

/// Bytes of lines that are held at most, and one line more: those of an epoch and those that wait for the next.
const MAX_BUFFER_BYTES: usize = 32 << 20;
/// What a line costs besides its bytes.
const LINE_COST: usize = size_of::<Line>();
/// A longer line is no line: a server that sends no newline must not fill the memory.
const MAX_LINE_BYTES: usize = 1 << 20;
/// How long the thread waits for bytes before it looks whether it is still needed.
const READ_SLICE: Duration = Duration::from_millis(200);
/// How long it waits before it tries a server again that does not answer or has closed.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// How long a server may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl SocketSource {
    /// A source that connects when it is first asked. `now` stamps the lines.
    #[must_use]
    pub fn new(options: SocketOptions, now: Now) -> Self {
        let partition = Partition { topic: options.id.as_str().into(), number: 0 };
        Self { options, partition, position: Offset(0), shared: Arc::default(), now: Some(now), offered: Offset(0) }
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let Some(now) = self.now.take() else { return Ok(()) };
        // Lines are numbered on from where an earlier process has stopped: there were others then.
        self.shared.lock().first = self.position.0;
        let reader = Reader { options: self.options.clone(), shared: Arc::clone(&self.shared), now };
        std::thread::Builder::new().name(format!("socket-{}", self.options.id)).spawn(move || reader.run()).context("start the thread that reads a socket")?;
        Ok(())
    }
}

impl Source for SocketSource {
    fn seek(&mut self, positions: &Positions) -> Result<(), SourceError> {
        self.position = positions.get(&self.partition).copied().unwrap_or_default();
        Ok(())
    }

    fn offer(&mut self) -> Result<Vec<Offer>, SourceError> {
        self.start()?;
        let buffer = self.shared.lock();
        let end = Offset(buffer.end()).max(self.position);
        if let Some(reason) = buffer.broken.as_ref().filter(|_| end == self.position) {
            return Err(anyhow::anyhow!("source `{}`: {reason}", self.options.id).into());
        }
        let mean_record_bytes = u32::try_from(buffer.bytes / buffer.lines.len().max(1)).unwrap_or(u32::MAX);
        let confirmed = buffer.connected;
        drop(buffer);
        self.offered = end;
        Ok(vec![Offer { partition: self.partition.clone(), position: self.position, end, confirmed, mean_record_bytes }])
    }

    fn read_each(&mut self, ranges: &[OffsetRange], cut: Cut, each: &mut dyn FnMut(Arc<Records>)) -> Result<(), SourceError> {
        let Some(range) = ranges.first() else { return Ok(()) };
        let mut buffer = self.shared.lock();
        // What is before the range has been committed, so no epoch asks for it again.
        buffer.forget_before(range.from.0);
        self.shared.changed.notify_all();
        let skipped = usize::try_from(range.from.0 - buffer.first).context("lines that are gone were asked for: this is a defect")?;
        let mut runs = Runs::new(&range.partition, cut, each);
        for (offset, line) in (range.from.0..range.to.0).zip(buffer.lines.iter().skip(skipped)) {
            runs.push(offset, line.timestamp_ms, Some(&line.bytes));
        }
        runs.finish();
        drop(buffer);
        self.position = range.to;
        Ok(())
    }

    fn wait(&mut self, timeout: Duration) {
        let offered = self.offered.0;
        let nothing_new = |buffer: &mut Buffer| buffer.end() <= offered && buffer.broken.is_none();
        drop(self.shared.changed.wait_timeout_while(self.shared.lock(), timeout, nothing_new));
    }

    fn description(&self) -> String {
        format!("TextSocketV2[host: {}, port: {}]", self.options.host, self.options.port)
    }

    fn replayable(&self) -> bool {
        false
    }
}

impl Drop for SocketSource {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    fn end(&self) -> i64 {
        self.first + i64::try_from(self.lines.len()).unwrap_or(i64::MAX)
    }

    fn forget_before(&mut self, offset: i64) {
        while self.first < offset
            && let Some(line) = self.lines.pop_front()
        {
            self.first += 1;
            self.bytes -= line.bytes.len() + LINE_COST;
        }
    }
}

/// The thread that reads.
struct Reader {
    options: SocketOptions,
    shared: Arc<Shared>,
    now: Now,
}

/// How a connection ended.
enum Ended {
    /// The server, or the network, has closed it.
    Closed(String),
    /// What came can't be lines.
    Broken(String),
    /// The source is gone.
    Unneeded,
}

impl Reader {
    fn run(&self) {
        let SocketOptions { id, host, port } = &self.options;
        loop {
            let ended = match self.connect() {
                Ok(stream) => {
                    tracing::info!(source = id, host, port, "connected");
                    self.shared.lock().connected = true;
                    self.lines(stream)
                }
                Err(error) => Ended::Closed(format!("{error:#}")),
            };
            self.shared.lock().connected = false;
            match ended {
                Ended::Closed(reason) => {
                    tracing::warn!(source = id, host, port, reason, "no connection; trying again, and what the server sends meanwhile is lost")
                }
                Ended::Broken(reason) => {
                    self.shared.lock().broken = Some(reason);
                    self.shared.changed.notify_all();
                    return;
                }
                Ended::Unneeded => return,
            }
            let open = |buffer: &mut Buffer| !buffer.closed;
            let (buffer, _) = self.shared.changed.wait_timeout_while(self.shared.lock(), RECONNECT_PAUSE, open).unwrap_or_else(PoisonError::into_inner);
            if buffer.closed {
                return;
            }
        }
    }

    fn connect(&self) -> anyhow::Result<TcpStream> {
        let SocketOptions { host, port, .. } = &self.options;
        let mut last = anyhow::anyhow!("`{host}` has no address");
        for address in (host.as_str(), *port).to_socket_addrs().with_context(|| format!("look up `{host}`"))? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(READ_SLICE))?;
                    return Ok(stream);
                }
                Err(error) => last = anyhow::Error::from(error).context(format!("connect to {address}")),
            }
        }
        Err(last)
    }

    fn lines(&self, mut stream: TcpStream) -> Ended {
        let mut block = vec![0; 64 << 10];
        let mut line = Vec::new();
        loop {
            let read = match stream.read(&mut block) {
                Ok(0) => {
                    // A last line without its end is one, too.
                    if !line.is_empty() && !self.push(std::mem::take(&mut line)) {
                        return Ended::Unneeded;
                    }
                    return Ended::Closed("the server has closed the connection".to_owned());
                }
                Ok(read) => block.get(..read).unwrap_or_default(),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => &[],
                Err(error) => return Ended::Closed(error.to_string()),
            };
            let mut pieces = read.split(|byte| *byte == b'\n').peekable();
            while let Some(piece) = pieces.next() {
                line.extend_from_slice(piece);
                if line.len() > MAX_LINE_BYTES {
                    return Ended::Broken(format!("a line is longer than {MAX_LINE_BYTES} bytes: expected lines of text"));
                }
                if pieces.peek().is_some() && !self.push(std::mem::take(&mut line)) {
                    return Ended::Unneeded;
                }
            }
            if self.shared.lock().closed {
                return Ended::Unneeded;
            }
        }
    }

    /// Hands a line on, as soon as there is room. False: nobody wants it.
    fn push(&self, mut bytes: Vec<u8>) -> bool {
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        let timestamp_ms = i64::try_from((self.now)().as_millis()).unwrap_or(i64::MAX);
        let full = |buffer: &mut Buffer| buffer.bytes >= MAX_BUFFER_BYTES && !buffer.closed;
        let mut buffer = self.shared.changed.wait_while(self.shared.lock(), full).unwrap_or_else(PoisonError::into_inner);
        buffer.bytes += bytes.len() + LINE_COST;
        buffer.lines.push_back(Line { bytes, timestamp_ms });
        let wanted = !buffer.closed;
        drop(buffer);
        self.shared.changed.notify_all();
        wanted
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    fn listen() -> (TcpListener, SocketSource) {
        let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        let options = SocketOptions { id: "lines".to_owned(), host: "127.0.0.1".to_owned(), port };
        (server, SocketSource::new(options, Box::new(|| Duration::from_millis(1_765_850_400_000))))
    }

    /// Waits until so many lines are offered.
    fn offered(source: &mut SocketSource, lines: i64) -> OffsetRange {
        loop {
            let offer = source.offer().unwrap().remove(0);
            if offer.end.0 - offer.position.0 >= lines {
                return OffsetRange { partition: offer.partition, from: offer.position, to: offer.end };
            }
            source.wait(Duration::from_secs(10));
        }
    }

    fn read(source: &mut SocketSource, range: &OffsetRange) -> Vec<String> {
        let runs = source.read(std::slice::from_ref(range), Cut::default()).unwrap();
        runs.iter().flat_map(|run| (0..run.len()).map(|i| String::from_utf8(run.values.get(i).unwrap().to_vec()).unwrap())).collect()
    }

    #[test]
    fn lines_come_in_order_without_their_ends_and_again_when_an_epoch_is_made_again() {
        let (server, mut source) = listen();
        source.seek(&Positions::new()).unwrap();
        source.offer().unwrap();
        let mut client = server.accept().unwrap().0;
        client.write_all(b"one\r\ntwo\n\nlast").unwrap();
        let range = offered(&mut source, 3);
        assert_eq!(read(&mut source, &range), ["one", "two", ""]);
        source.seek(&Positions::new()).unwrap();
        assert_eq!(read(&mut source, &range), ["one", "two", ""]);
        drop(client);
        let range = offered(&mut source, 1);
        assert_eq!((range.from, read(&mut source, &range)), (Offset(3), vec!["last".to_owned()]));
    }

    #[test]
    fn a_restart_counts_on_and_does_not_wait_for_what_is_lost() {
        let (server, mut source) = listen();
        source.seek(&Positions::from([(Partition { topic: "lines".into(), number: 0 }, Offset(57))])).unwrap();
        source.offer().unwrap();
        server.accept().unwrap().0.write_all(b"new\n").unwrap();
        let range = offered(&mut source, 1);
        assert_eq!((range.from, read(&mut source, &range)), (Offset(57), vec!["new".to_owned()]));
        assert!(!source.replayable());
    }

    #[test]
    fn a_server_that_comes_back_is_read_again() {
        let (server, mut source) = listen();
        source.offer().unwrap();
        server.accept().unwrap().0.write_all(b"before\n").unwrap();
        let range = offered(&mut source, 1);
        assert_eq!(read(&mut source, &range), ["before"]);
        server.accept().unwrap().0.write_all(b"after\n").unwrap();
        let range = offered(&mut source, 1);
        assert_eq!(read(&mut source, &range), ["after"]);
    }

    #[test]
    fn a_server_that_sends_faster_than_epochs_are_made_has_to_wait() {
        let (server, mut source) = listen();
        source.offer().unwrap();
        let mut client = server.accept().unwrap().0;
        client.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let line = [vec![b'x'; 1 << 16], vec![b'\n']].concat();
        let mut sent = 0;
        while client.write_all(&line).is_ok() {
            sent += line.len();
            assert!(sent < 2 * MAX_BUFFER_BYTES, "nothing holds it back");
        }
        assert!(source.shared.lock().bytes <= MAX_BUFFER_BYTES + line.len() + LINE_COST);
        // An epoch takes them, and the next one lets them go.
        let range = offered(&mut source, 1);
        read(&mut source, &range);
        let next = OffsetRange { from: range.to, to: range.to, ..range };
        read(&mut source, &next);
        assert!(client.write_all(&line).is_ok());
    }

    #[test]
    fn a_line_without_end_stops_the_pipeline_and_not_the_machine() {
        let (server, mut source) = listen();
        source.offer().unwrap();
        let mut client = server.accept().unwrap().0;
        // The reader closes while this is still being written.
        drop(client.write_all(&vec![b'x'; 2 * MAX_LINE_BYTES]));
        let error = loop {
            match source.offer() {
                Ok(_) => source.wait(Duration::from_secs(10)),
                Err(error) => break error.to_string(),
            }
        };
        assert_eq!(error, "source `lines`: a line is longer than 1048576 bytes: expected lines of text");
    }
}
