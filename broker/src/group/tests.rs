#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "tests")]

use std::collections::HashMap;

use bytes::Bytes;
use tokio::sync::oneshot::Receiver;

use super::*;

/// A group, and a clock that goes by hand.
struct Trial {
    group: Group,
    now: Instant,
    count: u32,
}

type Joining = Receiver<JoinGroupResponse>;

impl Trial {
    fn new() -> Self {
        Self { group: Group::default(), now: Instant::now(), count: 0 }
    }

    fn after(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.group.tick(self.now);
    }

    fn request(&mut self, member_id: &str, instance: Option<&str>) -> Join {
        self.count += 1;
        let address = "127.0.0.1:1".parse().unwrap();
        Join {
            member_id: member_id.into(),
            instance_id: instance.map(str::to_owned),
            fresh_id: format!("m{}", self.count),
            protocol_type: "consumer".into(),
            protocols: vec![("range".into(), Bytes::from_static(b"r")), ("roundrobin".into(), Bytes::from_static(b"rr"))],
            session_timeout: Duration::from_secs(10),
            rebalance_timeout: Duration::from_secs(60),
            client: Client { id: "c".into(), address, reached: address },
            must_know_its_id: false,
            can_skip_assignment: false,
            initial_delay: Duration::ZERO,
        }
    }

    fn enter(&mut self, join: Join) -> Joining {
        let (reply, receiver) = oneshot::channel();
        self.group.join(join, reply, self.now);
        receiver
    }

    fn join(&mut self, member_id: &str, instance: Option<&str>) -> Joining {
        let join = self.request(member_id, instance);
        self.enter(join)
    }

    fn claim<'a>(&self, member_id: &'a str, instance_id: Option<&'a str>) -> Claim<'a> {
        Claim { member_id, instance_id, generation: self.group.generation }
    }

    fn sync(&mut self, member_id: &str, assignments: &[(&str, &'static str)]) -> Receiver<SyncGroupResponse> {
        let (reply, receiver) = oneshot::channel();
        let assignments: HashMap<_, _> = assignments.iter().map(|(id, text)| ((*id).to_owned(), Bytes::from_static(text.as_bytes()))).collect();
        let claim = self.claim(member_id, None);
        self.group.sync(claim, (None, None), assignments, reply, self.now);
        receiver
    }

    /// Two members, m1 and m2, each with its part.
    fn stable() -> Self {
        let mut trial = Self::new();
        trial.join("", None).try_recv().unwrap();
        let second = trial.join("", None);
        trial.join("m1", None).try_recv().unwrap();
        drop(second);
        trial.sync("m2", &[]);
        trial.sync("m1", &[("m1", "one"), ("m2", "two")]).try_recv().unwrap();
        assert_eq!((trial.group.state_name(), trial.group.generation), ("Stable", 2));
        trial
    }
}

#[test]
fn a_generation_begins_when_all_have_joined_and_the_leader_hears_of_everybody() {
    let mut trial = Trial::new();
    let alone = trial.join("", None).try_recv().unwrap();
    assert_eq!((alone.generation_id, alone.leader, alone.members.len()), (1, "m1".into(), 1));
    let mut second = trial.join("", None);
    assert!(second.try_recv().is_err(), "the first must join again");
    let first = trial.join("m1", None).try_recv().unwrap();
    let second = second.try_recv().unwrap();
    assert_eq!((first.generation_id, first.members.len(), second.members.len()), (2, 2, 0));
    assert_eq!((second.leader.as_str(), second.protocol_name.as_deref()), ("m1", Some("range")));
}

#[test]
fn assignments_come_from_the_leader_whoever_asks_first() {
    let mut trial = Trial::new();
    trial.join("", None).try_recv().unwrap();
    let _second = trial.join("", None);
    trial.join("m1", None).try_recv().unwrap();
    let mut second = trial.sync("m2", &[("m2", "not yours to say")]);
    assert!(second.try_recv().is_err());
    assert_eq!(trial.sync("m1", &[("m1", "one"), ("m2", "two")]).try_recv().unwrap().assignment, "one");
    assert_eq!(second.try_recv().unwrap().assignment, "two");
    // And later again.
    assert_eq!(trial.sync("m2", &[]).try_recv().unwrap().assignment, "two");
}

#[test]
fn heartbeats_tell_of_a_rebalance_and_of_an_old_generation() {
    let mut trial = Trial::stable();
    let heartbeat = |trial: &mut Trial, id: &str, generation| {
        let now = trial.now;
        trial.group.heartbeat(Claim { member_id: id, instance_id: None, generation }, now)
    };
    assert_eq!(heartbeat(&mut trial, "m2", 2), Ok(()));
    assert_eq!(heartbeat(&mut trial, "m2", 1), Err(ErrorCode::IllegalGeneration));
    assert_eq!(heartbeat(&mut trial, "m9", 2), Err(ErrorCode::UnknownMemberId));
    let _third = trial.join("", None);
    assert_eq!(heartbeat(&mut trial, "m2", 2), Err(ErrorCode::RebalanceInProgress));
}

#[test]
fn whoever_is_silent_for_its_session_is_out_and_the_others_share_anew() {
    let mut trial = Trial::stable();
    trial.after(8);
    let claim = trial.claim("m1", None);
    trial.group.heartbeat(claim, trial.now).unwrap();
    trial.after(8);
    assert_eq!((trial.group.state_name(), trial.group.members.len()), ("PreparingRebalance", 1));
    assert_eq!(trial.join("m1", None).try_recv().unwrap().members.len(), 1);
}

#[test]
fn whoever_leaves_makes_the_others_share_anew_and_the_last_one_leaves_an_empty_group() {
    let mut trial = Trial::stable();
    trial.group.leave("m2", None, trial.now).unwrap();
    assert_eq!(trial.group.leave("m2", None, trial.now), Err(ErrorCode::UnknownMemberId));
    assert_eq!(trial.group.state_name(), "PreparingRebalance");
    trial.group.leave("m1", None, trial.now).unwrap();
    assert_eq!((trial.group.state_name(), trial.group.is_unused()), ("Empty", true));
}

#[test]
fn a_member_that_does_not_join_again_in_time_is_left_behind() {
    let mut trial = Trial::stable();
    let mut third = trial.join("", None);
    let mut second = trial.join("m2", None);
    for _ in 0..10 {
        trial.after(7);
        // It lives, and does not join.
        let claim = Claim { member_id: "m1", instance_id: None, generation: 2 };
        if trial.group.heartbeat(claim, trial.now) == Err(ErrorCode::UnknownMemberId) {
            break;
        }
    }
    assert!(third.try_recv().is_ok() && second.try_recv().is_ok());
    assert_eq!(trial.group.members.len(), 2);
}

#[test]
fn a_member_that_never_asks_for_its_assignment_does_not_hold_the_others_for_ever() {
    let mut trial = Trial::new();
    trial.join("", None).try_recv().unwrap();
    let _second = trial.join("", None);
    trial.join("m1", None).try_recv().unwrap();
    // The leader is silent; the other waits.
    let mut waiting = trial.sync("m2", &[]);
    trial.after(11);
    assert_eq!(waiting.try_recv().unwrap().error, ErrorCode::RebalanceInProgress);
    assert_eq!(trial.join("m2", None).try_recv().unwrap().leader, "m2");
}

#[test]
fn a_new_member_must_come_again_with_the_id_that_it_is_given() {
    let mut trial = Trial::new();
    let join = Join { must_know_its_id: true, ..trial.request("", None) };
    let response = trial.enter(join).try_recv().unwrap();
    assert_eq!((response.error, response.member_id.as_str()), (ErrorCode::MemberIdRequired, "m1"));
    assert_eq!(trial.join("m1", None).try_recv().unwrap().error, ErrorCode::None);
    assert_eq!(trial.join("made-up", None).try_recv().unwrap().error, ErrorCode::UnknownMemberId);
}

#[test]
fn an_id_that_nobody_comes_back_with_is_waited_for_no_longer_than_a_session() {
    let mut trial = Trial::stable();
    let join = Join { must_know_its_id: true, ..trial.request("", None) };
    trial.enter(join).try_recv().unwrap();
    trial.group.leave("m2", None, trial.now).unwrap();
    let mut first = trial.join("m1", None);
    assert!(first.try_recv().is_err());
    trial.after(11);
    assert_eq!(first.try_recv().unwrap().members.len(), 1);
}

#[test]
fn a_join_with_no_protocol_in_common_is_refused() {
    let mut trial = Trial::stable();
    let other = Join { protocols: vec![("own".into(), Bytes::new())], ..trial.request("", None) };
    assert_eq!(trial.enter(other).try_recv().unwrap().error, ErrorCode::InconsistentGroupProtocol);
    let connect = Join { protocol_type: "connect".into(), ..trial.request("", None) };
    assert_eq!(trial.enter(connect).try_recv().unwrap().error, ErrorCode::InconsistentGroupProtocol);
    let none = Join { protocols: vec![], ..trial.request("", None) };
    assert_eq!(trial.enter(none).try_recv().unwrap().error, ErrorCode::InconsistentGroupProtocol);
    assert_eq!(trial.group.state_name(), "Stable");
}

/// m1 is instance "a" and leads.
fn with_static_members() -> Trial {
    let mut trial = Trial::new();
    trial.join("", Some("a")).try_recv().unwrap();
    let _second = trial.join("", Some("b"));
    trial.join("m1", Some("a")).try_recv().unwrap();
    trial.sync_static("m1", "a");
    trial
}

impl Trial {
    fn sync_static(&mut self, id: &str, instance: &str) {
        let (reply, _receiver) = oneshot::channel();
        let claim = self.claim(id, Some(instance));
        let assignments = HashMap::from([("m1".to_owned(), Bytes::from_static(b"one")), ("m2".to_owned(), Bytes::from_static(b"two"))]);
        self.group.sync(claim, (None, None), assignments, reply, self.now);
    }
}

/// Regression: all of them were told that they are unknown, and joined again instead of stopping.
#[test]
fn a_static_member_that_was_replaced_is_fenced_wherever_it_shows_up() {
    let mut trial = with_static_members();
    let again = trial.join("", Some("b")).try_recv().unwrap();
    assert_eq!((again.generation_id, again.error, trial.group.state_name()), (2, ErrorCode::None, "Stable"));
    let new_id = again.member_id;
    let old = trial.claim("m2", Some("b"));
    assert_eq!(trial.group.heartbeat(old, trial.now), Err(ErrorCode::FencedInstanceId));
    assert_eq!(trial.group.may_commit(old, false), Err(ErrorCode::FencedInstanceId));
    assert_eq!(trial.group.may_commit(old, true), Err(ErrorCode::FencedInstanceId));
    assert_eq!(trial.group.leave("m2", Some("b"), trial.now), Err(ErrorCode::FencedInstanceId));
    assert_eq!(trial.join("m2", Some("b")).try_recv().unwrap().error, ErrorCode::FencedInstanceId);
    let (reply, mut synced) = oneshot::channel();
    trial.group.sync(old, (None, None), HashMap::new(), reply, trial.now);
    assert_eq!(synced.try_recv().unwrap().error, ErrorCode::FencedInstanceId);
    // It has its predecessor's part.
    assert_eq!(trial.sync(&new_id, &[]).try_recv().unwrap().assignment, "two");
}

#[test]
fn a_leader_that_comes_back_is_not_asked_to_assign_again() {
    let mut trial = with_static_members();
    let old_client = trial.join("", Some("a")).try_recv().unwrap();
    assert_eq!((old_client.leader.as_str(), old_client.members.len()), ("m1", 0));
    let request = Join { can_skip_assignment: true, ..trial.request("", Some("a")) };
    let new_client = trial.enter(request).try_recv().unwrap();
    assert!(new_client.skip_assignment && new_client.leader == new_client.member_id && new_client.members.len() == 2);
    assert_eq!(trial.group.state_name(), "Stable");
}

#[test]
fn a_static_member_that_waits_is_told_when_it_is_replaced() {
    let mut trial = with_static_members();
    let _third = trial.join("", None);
    let mut waiting = trial.join("m2", Some("b"));
    assert!(waiting.try_recv().is_err());
    let _successor = trial.join("", Some("b"));
    assert_eq!(waiting.try_recv().unwrap().error, ErrorCode::FencedInstanceId);
}

#[test]
fn offsets_are_taken_from_members_and_from_anybody_while_there_are_none() {
    let anonymous = Claim { member_id: "", instance_id: None, generation: -1 };
    assert_eq!(Group::default().may_commit(anonymous, false), Ok(()));
    let trial = Trial::stable();
    assert_eq!(trial.group.may_commit(anonymous, false), Err(ErrorCode::UnknownMemberId));
    assert_eq!(trial.group.may_commit(anonymous, true), Ok(()), "a transaction has a fence of its own");
    assert_eq!(trial.group.may_commit(trial.claim("m1", None), false), Ok(()));
    assert_eq!(trial.group.may_commit(Claim { generation: 1, ..trial.claim("m1", None) }, true), Err(ErrorCode::IllegalGeneration));
    assert_eq!(trial.group.may_commit(trial.claim("m9", None), true), Err(ErrorCode::UnknownMemberId));
}
