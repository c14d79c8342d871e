//! A member of a group.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Reply, answer, join_failed, sync_failed};
use crate::wire::messages::{JoinGroupResponse, SyncGroupResponse};
use crate::wire::{ErrorCode, Reader, Wire as _};

/// A consumer, or another client with the same needs.
#[derive(Debug)]
pub(crate) struct Member {
    /// The name that a static member keeps over restarts.
    pub(crate) instance_id: Option<String>,
    pub(crate) client: Client,
    /// Ways to share the work, the preferred first, each with what the leader must know.
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) last_seen: Instant,
    pub(crate) assignment: Bytes,
    pub(crate) joining: Option<Reply<JoinGroupResponse>>,
    pub(crate) syncing: Option<Reply<SyncGroupResponse>>,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) address: SocketAddr,
    /// The address under which it has found this broker, and will find it again.
    pub(crate) reached: SocketAddr,
}

impl Member {
    /// Whether it waits for the others, and is still there to wait.
    pub(crate) fn is_waiting(&self) -> bool {
        self.has_joined() || self.syncing.as_ref().is_some_and(|reply| !reply.is_closed())
    }

    pub(crate) fn has_joined(&self) -> bool {
        self.joining.as_ref().is_some_and(|reply| !reply.is_closed())
    }

    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        !self.is_waiting() && now.saturating_duration_since(self.last_seen) > self.session_timeout
    }

    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols.iter().find(|(name, _)| name == protocol).map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    pub(crate) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// Whether a consumer's metadata names the topic; what can't be read may name it.
    pub(crate) fn subscribes_to(&self, protocol: &str, topic: &str) -> bool {
        // A version, then the topics.
        let mut reader = Reader::new(self.metadata(protocol), 0, false);
        let topics = i16::read(&mut reader).and_then(|_| Vec::<String>::read(&mut reader));
        topics.map_or(true, |topics| topics.iter().any(|name| name == topic))
    }

    /// Answers whatever it waits for with an error.
    pub(crate) fn dismiss(&mut self, why: ErrorCode, id: &str) {
        answer(self.joining.take(), || join_failed(why, id));
        answer(self.syncing.take(), || sync_failed(why));
    }
}
