//! Joining a group: who is let in, when all are there, and what they agree on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Client, Group, Member, Phase, Reply, answer, join_failed, sync_failed};
use crate::wire::ErrorCode;
use crate::wire::messages::{JoinGroupResponse, JoinedMember};

/// A request to join, checked as far as the request alone says.
#[derive(Debug)]
pub(crate) struct Join {
    /// Empty: it has none yet.
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    /// For a member that has none.
    pub(crate) fresh_id: String,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) client: Client,
    /// Whether a member must come again with the id that it is given. A client that gave up in between would otherwise be waited for.
    pub(crate) must_know_its_id: bool,
    /// Whether a leader can be told that there is nothing to assign.
    pub(crate) can_skip_assignment: bool,
    pub(crate) initial_delay: Duration,
}

impl Group {
    /// Lets a member in, or says why not. The answer comes when all have joined.
    pub(crate) fn join(&mut self, join: Join, reply: Reply<JoinGroupResponse>, now: Instant) {
        match self.admit(&join, now) {
            Ok(id) => self.enter(id, join, reply, now),
            Err((error, id)) => answer(Some(reply), || join_failed(error, &id)),
        }
        self.try_complete(now);
    }

    /// The id under which somebody may join.
    fn admit(&mut self, join: &Join, now: Instant) -> Result<String, (ErrorCode, String)> {
        let refused = |error| Err((error, join.member_id.clone()));
        if !self.agrees_with(join) {
            return refused(ErrorCode::InconsistentGroupProtocol);
        }
        match (join.member_id.as_str(), &join.instance_id) {
            ("", Some(_)) => Ok(join.fresh_id.clone()),
            ("", None) if join.must_know_its_id => {
                self.expected.insert(join.fresh_id.clone(), now + join.session_timeout);
                Err((ErrorCode::MemberIdRequired, join.fresh_id.clone()))
            }
            ("", None) => Ok(join.fresh_id.clone()),
            (id, None) if self.expected.remove(id).is_some() => Ok(id.to_owned()),
            (id, instance) => match self.check_member(id, instance.as_deref()) {
                Ok(()) => Ok(id.to_owned()),
                Err(error) => refused(error),
            },
        }
    }

    /// Whether all others can work in a way that this one can.
    fn agrees_with(&self, join: &Join) -> bool {
        let is_other = |(id, member): &(&String, &Member)| **id != join.member_id && (member.instance_id.is_none() || member.instance_id != join.instance_id);
        let others: Vec<&Member> = self.members.iter().filter(is_other).map(|(_, member)| member).collect();
        let same_type = others.is_empty() || join.protocol_type == self.protocol_type;
        let has_common = join.protocols.iter().any(|(name, _)| others.iter().all(|member| member.supports(name)));
        !join.protocol_type.is_empty() && same_type && has_common
    }

    fn enter(&mut self, id: String, join: Join, reply: Reply<JoinGroupResponse>, now: Instant) {
        let former = join.instance_id.as_deref().filter(|_| join.member_id.is_empty()).and_then(|instance| self.member_of(instance)).map(str::to_owned);
        let leader_before = self.leader.clone();
        let before = match &former {
            Some(former) => self.remove(former, ErrorCode::FencedInstanceId),
            None => self.members.remove(&id),
        };
        if former.as_ref() == Some(&self.leader) {
            self.leader.clone_from(&id);
        }
        let (can_skip, initial_delay) = (join.can_skip_assignment, join.initial_delay);
        let same_protocols = before.as_ref().is_some_and(|before| before.protocols == join.protocols);
        self.protocol_type.clone_from(&join.protocol_type);
        let mut member = Member {
            instance_id: join.instance_id,
            client: join.client,
            protocols: join.protocols,
            session_timeout: join.session_timeout,
            rebalance_timeout: join.rebalance_timeout,
            last_seen: now,
            assignment: before.map(|before| before.assignment).unwrap_or_default(),
            joining: None,
            syncing: None,
        };
        let is_leader_again = former.is_none() && self.leader == id;
        let goes_on = match self.phase {
            // A static member is back: nobody else notices. A leader that asks by itself wants to assign anew.
            Phase::Stable => same_protocols && !is_leader_again,
            // It did not hear the answer.
            Phase::Completing { .. } => same_protocols && former.is_none(),
            Phase::Empty | Phase::Preparing { .. } => false,
        };
        if !goes_on {
            member.joining = Some(reply);
            self.members.insert(id, member);
            self.prepare(initial_delay, now);
            return;
        }
        self.members.insert(id.clone(), member);
        let mut response = self.joined(&id);
        if former.is_some() && can_skip {
            response.skip_assignment = self.leader == id;
        } else if former.is_some() {
            // An older client would assign again if it were told that it leads. It is told its former id, which it is not any more.
            response.leader = leader_before;
            response.members.clear();
        }
        answer(Some(reply), || response);
    }

    /// All must join again.
    pub(super) fn prepare(&mut self, initial_delay: Duration, now: Instant) {
        let delay = match self.phase {
            Phase::Preparing { .. } => return,
            Phase::Empty => initial_delay,
            Phase::Completing { .. } | Phase::Stable => Duration::ZERO,
        };
        for member in self.members.values_mut() {
            answer(member.syncing.take(), || sync_failed(ErrorCode::RebalanceInProgress));
        }
        self.phase = Phase::Preparing { earliest: now + delay, latest: now + delay.max(self.patience()) };
    }

    /// Begins the next generation if everybody has joined, or has had the time to.
    pub(super) fn try_complete(&mut self, now: Instant) {
        let Phase::Preparing { earliest, latest } = self.phase else { return };
        let all_joined = self.expected.is_empty() && self.members.values().all(Member::has_joined);
        let is_deserted = self.members.is_empty() && self.expected.is_empty();
        if !(is_deserted || (all_joined && now >= earliest) || now >= latest) {
            return;
        }
        // A static member may be restarting: its session decides.
        self.members.retain(|_, member| member.has_joined() || member.instance_id.is_some());
        if self.members.is_empty() {
            self.generation += 1;
            self.phase = Phase::Empty;
            self.protocol.clear();
            self.leader.clear();
            return;
        }
        let Some(first) = self.members.iter().find(|(_, member)| member.has_joined()).map(|(id, _)| id.clone()) else {
            self.phase = Phase::Preparing { earliest, latest: now + self.patience() };
            return;
        };
        self.begin_generation(first, now);
    }

    fn begin_generation(&mut self, first: String, now: Instant) {
        self.generation += 1;
        if !self.members.get(&self.leader).is_some_and(Member::has_joined) {
            self.leader = first;
        }
        self.protocol = self.vote();
        self.phase = Phase::Completing { latest: now + self.patience() };
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let response = self.joined(&id);
            if let Some(member) = self.members.get_mut(&id) {
                member.last_seen = now;
                member.assignment = Bytes::new();
                answer(member.joining.take(), || response);
            }
        }
    }

    /// What a member is told about the generation. The leader hears of everybody.
    fn joined(&self, id: &str) -> JoinGroupResponse {
        let member = |(id, member): (&String, &Member)| JoinedMember {
            member_id: id.clone(),
            group_instance_id: member.instance_id.clone(),
            metadata: member.metadata(&self.protocol),
        };
        JoinGroupResponse {
            generation_id: self.generation,
            protocol_type: Some(self.protocol_type.clone()),
            protocol_name: Some(self.protocol.clone()),
            leader: self.leader.clone(),
            member_id: id.to_owned(),
            members: if self.leader == id { self.members.iter().map(member).collect() } else { Vec::new() },
            ..JoinGroupResponse::default()
        }
    }

    /// The protocol that all know and most prefer.
    fn vote(&self) -> String {
        let all_know = |name: &str| self.members.values().all(|member| member.supports(name));
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| all_know(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name.to_owned()).unwrap_or_default()
    }

    /// How long the slowest member may take.
    fn patience(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }
}
