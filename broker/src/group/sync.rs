//! The second half of a rebalance: the leader says who does what, and everybody hears of it.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;

use super::{Claim, Group, Phase, Reply, answer, sync_failed};
use crate::wire::ErrorCode;
use crate::wire::messages::SyncGroupResponse;

impl Group {
    /// A member asks for its assignment; the leader brings all of them.
    pub(crate) fn sync(
        &mut self,
        claim: Claim<'_>,
        protocol: (Option<&str>, Option<&str>),
        mut assignments: HashMap<String, Bytes>,
        reply: Reply<SyncGroupResponse>,
        now: Instant,
    ) {
        if let Err(error) = self.may_sync(claim, protocol) {
            return answer(Some(reply), || sync_failed(error));
        }
        if let Some(member) = self.members.get_mut(claim.member_id) {
            member.last_seen = now;
            member.syncing = Some(reply);
        }
        if self.phase != Phase::Stable && claim.member_id != self.leader {
            return;
        }
        if self.phase != Phase::Stable {
            self.phase = Phase::Stable;
            for (id, member) in &mut self.members {
                member.assignment = assignments.remove(id).unwrap_or_default();
            }
        }
        for member in self.members.values_mut() {
            let (protocol_type, protocol, assignment) = (&self.protocol_type, &self.protocol, &member.assignment);
            if member.syncing.is_some() {
                member.last_seen = now;
            }
            answer(member.syncing.take(), || SyncGroupResponse {
                protocol_type: Some(protocol_type.clone()),
                protocol_name: Some(protocol.clone()),
                assignment: assignment.clone(),
                ..SyncGroupResponse::default()
            });
        }
    }

    fn may_sync(&self, claim: Claim<'_>, (protocol_type, protocol): (Option<&str>, Option<&str>)) -> Result<(), ErrorCode> {
        self.check_generation(claim)?;
        if protocol_type.is_some_and(|name| name != self.protocol_type) || protocol.is_some_and(|name| name != self.protocol) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match self.phase {
            Phase::Empty => Err(ErrorCode::UnknownMemberId),
            Phase::Preparing { .. } => Err(ErrorCode::RebalanceInProgress),
            Phase::Completing { .. } | Phase::Stable => Ok(()),
        }
    }
}
