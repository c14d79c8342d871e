//! A group of consumers: who its members are, which generation they have agreed on, and what it has committed. Pure but for the answers: a member that must wait for
//! the others is answered through its channel.
//!
//! ```text
//!            join                    all have joined            the leader has assigned
//!   Empty ─────────► Preparing ─────────────────► Completing ─────────────────► Stable
//!     ▲                 ▲  │ nobody is left            │ join, leave, silence      │
//!     └─────────────────┼──┘                           │                           │
//!                       └──────────────────────────────┴───────────────────────────┘
//! ```

mod join;
mod member;
pub(crate) mod offsets;
mod sync;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

pub(crate) use join::Join;
pub(crate) use member::{Client, Member};
use offsets::Offsets;

use crate::wire::ErrorCode;
use crate::wire::messages::{JoinGroupResponse, SyncGroupResponse};

/// Who waits for an answer.
pub(crate) type Reply<T> = oneshot::Sender<T>;

/// A group by the classic protocol, or only a name that offsets are kept under.
#[derive(Debug, Default)]
pub(crate) struct Group {
    phase: Phase,
    generation: i32,
    protocol_type: String,
    protocol: String,
    leader: String,
    members: BTreeMap<String, Member>,
    /// Ids that were given out and not used yet, with the time up to which a join waits for them.
    expected: BTreeMap<String, Instant>,
    pub(crate) offsets: Offsets,
}

/// How far the members have agreed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Empty,
    /// Members join; not complete before `earliest`, and without those that are missing after `latest`.
    Preparing {
        earliest: Instant,
        latest: Instant,
    },
    /// The leader assigns. Whoever has not asked for its assignment by then is out.
    Completing {
        latest: Instant,
    },
    Stable,
}

/// Whom a request claims to be from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) member_id: &'a str,
    pub(crate) instance_id: Option<&'a str>,
    pub(crate) generation: i32,
}

impl Group {
    pub(crate) fn state_name(&self) -> &'static str {
        match self.phase {
            Phase::Empty => "Empty",
            Phase::Preparing { .. } => "PreparingRebalance",
            Phase::Completing { .. } => "CompletingRebalance",
            Phase::Stable => "Stable",
        }
    }

    pub(crate) fn protocol_type(&self) -> &str {
        &self.protocol_type
    }

    pub(crate) fn protocol(&self) -> &str {
        &self.protocol
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.members.iter().map(|(id, member)| (id.as_str(), member))
    }

    pub(crate) fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    /// Whether it is only a name.
    pub(crate) fn is_unused(&self) -> bool {
        self.members.is_empty() && self.expected.is_empty() && self.offsets.is_empty()
    }

    /// Members, and those that are expected.
    pub(crate) fn seats(&self) -> usize {
        self.members.len() + self.expected.len()
    }

    pub(crate) fn heartbeat(&mut self, claim: Claim<'_>, now: Instant) -> Result<(), ErrorCode> {
        self.check_generation(claim)?;
        if let Some(member) = self.members.get_mut(claim.member_id) {
            member.last_seen = now;
        }
        match self.phase {
            Phase::Empty => Err(ErrorCode::UnknownMemberId),
            Phase::Preparing { .. } => Err(ErrorCode::RebalanceInProgress),
            Phase::Completing { .. } | Phase::Stable => Ok(()),
        }
    }

    /// A member goes by itself; an instance can be sent away by its name alone.
    pub(crate) fn leave(&mut self, member_id: &str, instance_id: Option<&str>, now: Instant) -> Result<(), ErrorCode> {
        let id = match instance_id.filter(|_| member_id.is_empty()) {
            Some(instance) => self.member_of(instance).ok_or(ErrorCode::UnknownMemberId)?.to_owned(),
            None => {
                if self.expected.remove(member_id).is_some() {
                    self.try_complete(now);
                    return Ok(());
                }
                self.check_member(member_id, instance_id)?;
                member_id.to_owned()
            }
        };
        self.remove(&id, ErrorCode::UnknownMemberId);
        self.rebalance_without(now);
        Ok(())
    }

    /// Whether offsets may be committed. A transaction is fenced by its producer; a group's commit only by the group.
    pub(crate) fn may_commit(&self, claim: Claim<'_>, is_transactional: bool) -> Result<(), ErrorCode> {
        let is_anonymous = claim.generation < 0 && claim.member_id.is_empty() && claim.instance_id.is_none();
        if claim.generation < 0 && self.phase == Phase::Empty {
            return Ok(());
        }
        if !is_anonymous {
            self.check_generation(claim)?;
        } else if !is_transactional && self.phase != Phase::Empty {
            return Err(ErrorCode::UnknownMemberId);
        }
        if !is_transactional && matches!(self.phase, Phase::Completing { .. }) {
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// A commit is a sign of life.
    pub(crate) fn seen(&mut self, member_id: &str, now: Instant) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.last_seen = now;
        }
    }

    /// Whether a member reads this topic. Of members that speak another language than consumers do, it is taken for granted.
    pub(crate) fn reads(&self, topic: &str) -> bool {
        self.members.values().any(|member| self.protocol_type != "consumer" || member.subscribes_to(&self.protocol, topic))
    }

    /// Sends members away that have been silent for too long, and goes on without them.
    pub(crate) fn tick(&mut self, now: Instant) {
        let expected = self.expected.len();
        self.expected.retain(|_, until| *until > now);
        let is_late = |member: &Member| match self.phase {
            Phase::Completing { latest } => now >= latest && !member.is_waiting(),
            _ => false,
        };
        let silent: Vec<String> = self.members.iter().filter(|(_, member)| member.is_silent(now) || is_late(member)).map(|(id, _)| id.clone()).collect();
        for id in &silent {
            self.remove(id, ErrorCode::UnknownMemberId);
        }
        if !silent.is_empty() {
            self.rebalance_without(now);
        } else if matches!(self.phase, Phase::Preparing { .. }) || expected != self.expected.len() {
            self.try_complete(now);
        }
    }

    fn check_generation(&self, claim: Claim<'_>) -> Result<(), ErrorCode> {
        self.check_member(claim.member_id, claim.instance_id)?;
        if claim.generation == self.generation { Ok(()) } else { Err(ErrorCode::IllegalGeneration) }
    }

    fn check_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance) = instance_id {
            let current = self.member_of(instance).ok_or(ErrorCode::UnknownMemberId)?;
            if current != member_id {
                return Err(ErrorCode::FencedInstanceId);
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// The member that an instance is at present.
    fn member_of(&self, instance_id: &str) -> Option<&str> {
        self.members.iter().find(|(_, member)| member.instance_id.as_deref() == Some(instance_id)).map(|(id, _)| id.as_str())
    }

    /// Takes a member out; if it waits for something, it is told why it waits in vain.
    fn remove(&mut self, id: &str, why: ErrorCode) -> Option<Member> {
        let mut member = self.members.remove(id)?;
        member.dismiss(why, id);
        Some(member)
    }

    fn rebalance_without(&mut self, now: Instant) {
        if self.phase != Phase::Empty {
            self.prepare(Duration::ZERO, now);
            self.try_complete(now);
        }
    }
}

/// Sends an answer. Whoever has gone needs none.
fn answer<T>(reply: Option<Reply<T>>, response: impl FnOnce() -> T) {
    if let Some(reply) = reply {
        drop(reply.send(response()));
    }
}

fn join_failed(error: ErrorCode, member_id: &str) -> JoinGroupResponse {
    JoinGroupResponse { error, member_id: member_id.to_owned(), ..JoinGroupResponse::default() }
}

fn sync_failed(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error, ..SyncGroupResponse::default() }
}

#[cfg(test)]
mod tests;
