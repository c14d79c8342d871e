//! A connection: requests come in, one is answered after the other. What is no request closes it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{ROOM_UNIT, Shared};
use crate::api;
use crate::group::Client;
use crate::wire::Malformed;

/// A client that is connected. Dropping it makes room for another.
struct Connection {
    socket: TcpStream,
    client: Client,
    shared: Arc<Shared>,
    buffer: BytesMut,
}

/// Why a connection ends, other than by its client's wish.
#[derive(Debug)]
enum Closed {
    Io(io::Error),
    Malformed(Malformed),
}

/// Fits the requests of a consumer or an administrator in one read.
const READ_BUFFER: usize = 16 << 10;

const LENGTH_BYTES: usize = 4;

pub(super) async fn serve(socket: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let reached = socket.local_addr().unwrap_or(peer);
    let client = Client { id: String::new(), address: peer, reached };
    let mut connection = Connection { socket, client, shared, buffer: BytesMut::with_capacity(READ_BUFFER) };
    match connection.answer_all().await {
        Ok(()) => tracing::debug!(%peer, "a client has gone"),
        Err(Closed::Io(error)) => tracing::debug!(%peer, %error, "a connection broke"),
        Err(Closed::Malformed(why)) => tracing::info!(%peer, client = connection.client.id, "a request is refused and its connection closed: {why}"),
    }
}

impl Connection {
    async fn answer_all(&mut self) -> Result<(), Closed> {
        // Answers are short and waited for.
        self.socket.set_nodelay(true)?;
        while let Some(length) = self.next_length().await? {
            let shared = Arc::clone(&self.shared);
            let units = u32::try_from(length.div_ceil(ROOM_UNIT)).unwrap_or(u32::MAX);
            let room = shared.room.acquire_many(units).await.map_err(|_| Malformed("the broker stops"))?;
            let request = timeout(shared.request_timeout, self.body(length)).await.map_err(|_| Malformed("it did not come in time"))??;
            let answer = api::answer(&shared, &mut self.client, request).await?;
            drop(room);
            if let Some(mut frame) = answer {
                self.socket.write_all_buf(&mut frame).await?;
            }
        }
        Ok(())
    }

    /// The length of the next request; none: the client has gone.
    async fn next_length(&mut self) -> Result<Option<usize>, Closed> {
        if self.buffer.is_empty() && self.read().await? == 0 {
            return Ok(None);
        }
        let request_timeout = self.shared.request_timeout;
        timeout(request_timeout, self.fill(LENGTH_BYTES)).await.map_err(|_| Malformed("it did not come in time"))??;
        let length = usize::try_from(self.buffer.get_i32()).map_err(|_| Malformed("its length is negative"))?;
        if length > self.shared.max_request_bytes {
            return Err(Malformed("it is longer than requests may be").into());
        }
        Ok(Some(length))
    }

    async fn body(&mut self, length: usize) -> Result<Bytes, Closed> {
        if length <= READ_BUFFER {
            self.fill(length).await?;
            return Ok(self.buffer.split_to(length).freeze());
        }
        // A long one has memory of its own, of just its length, which does not stay with the connection.
        let mut request = BytesMut::with_capacity(length);
        request.extend_from_slice(&self.buffer.split_to(length.min(self.buffer.len())));
        while request.len() < length {
            let mut rest = (&mut self.socket).take((length - request.len()) as u64);
            if rest.read_buf(&mut request).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
        Ok(request.freeze())
    }

    /// Reads until there are so many bytes.
    async fn fill(&mut self, length: usize) -> Result<(), Closed> {
        self.buffer.reserve(length.saturating_sub(self.buffer.len()));
        while self.buffer.len() < length {
            if self.read().await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<usize, Closed> {
        Ok(self.socket.read_buf(&mut self.buffer).await?)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Malformed> for Closed {
    fn from(why: Malformed) -> Self {
        Self::Malformed(why)
    }
}
