//! Promise 4: good histories that look suspicious, and broken ones.

use bluetick_checker::Promise;

use crate::script::Script;

/// Bob is away while alice sends 3; she has got it herself.
fn away() -> Script {
    let script = Script::two().exchange(1..=2).disconnect("bob/phone").send("alice/phone", 3);
    script.acked("alice/phone", 3, 3, false).delivered("alice/phone", 3, "alice", 3)
}

#[test]
fn good_if_delivered_on_coming_back() {
    away().settled().is_good();
    let back = away().connect("bob/phone", true, true).delivered("bob/phone", 3, "alice", 3);
    back.receipt("alice/phone", "bob", 3, 0).settled().is_good();
}

#[test]
fn broken_if_it_does_not_come() {
    away()
        .connect("bob/phone", true, true)
        .settled()
        .breaks(Promise::Kept, "seq 3 of g-1 never reached bob");
    // Nor to a new session, nor to one that the server forgot.
    let other =
        away().connect("bob/tv", false, false).subscribe("bob/tv", 1, false, false).settled();
    other.breaks(Promise::Kept, "seq 3 of g-1 never reached bob");
    let forgotten =
        away().connect("bob/phone", false, true).subscribe("bob/phone", 1, false, false);
    forgotten.settled().breaks(Promise::Kept, "seq 3 of g-1 never reached bob");
}

#[test]
fn broken_if_received_but_not_acknowledged_on_another_device() {
    let script = away().connect("bob/tv", false, false).subscribe("bob/tv", 1, false, false);
    let script = script.got("bob/tv", 3, "alice", 3).disconnect("bob/tv");
    let script =
        script.connect("bob/tv", false, false).subscribe("bob/tv", 1, false, false).settled();
    script.breaks(Promise::Kept, "seq 3 of g-1 never reached bob");
}

#[test]
fn broken_if_a_tail_swallows_it() {
    let script = away().connect("bob/tv", false, false).subscribe("bob/tv", 0, false, false);
    let script = script.got("bob/tv", 3, "alice", 3).connect("bob/phone", true, true).settled();
    script.breaks(Promise::Kept, "seq 3 of g-1 never reached bob");
}

#[test]
fn broken_if_one_device_takes_it_from_another() {
    let script = away().connect("bob/tv", false, false).subscribe("bob/tv", 1, false, false);
    let script = script.delivered("bob/tv", 3, "alice", 3).receipt("alice/phone", "bob", 3, 0);
    script.clone().settled().is_good();
    let script = script.connect("bob/phone", true, true).settled();
    script.breaks(Promise::Kept, "seq 3 of g-1 never reached bob/phone");
}

#[test]
fn a_device_is_owed_all_since_it_subscribed() {
    // Both of bob's devices wait for 3; that it came to the phone does not take it from the tablet.
    let script = Script::two().exchange(1..=2).online("bob/tablet").send("alice/phone", 3);
    let script =
        script.delivered("alice/phone", 3, "alice", 3).delivered("bob/phone", 3, "alice", 3);
    let script = script.receipt("alice/phone", "bob", 3, 0);
    let got = script.clone().delivered("bob/tablet", 3, "alice", 3).settled();
    got.is_good();
    script.clone().settled().breaks(Promise::Kept, "seq 3 of g-1 never reached bob/tablet");
    script.disconnect("bob/tablet").end_session("bob/tablet").settled().is_good();
}

#[test]
fn a_late_member_is_owed_all_since_his_first_entry() {
    let script = Script::two().exchange(1..=2).members(&["carol"]).online("carol/phone");
    let script = script.received("carol/phone", 3, "alice", Some("ev"), Some("added carol"), None);
    let script = script.received("alice/phone", 3, "alice", Some("ev"), Some("added carol"), None);
    let script = script.received("bob/phone", 3, "alice", Some("ev"), Some("added carol"), None);
    script.clone().settled().is_good();
    let script = script.send("alice/phone", 4).acked("alice/phone", 4, 4, false);
    let script = script.got("alice/phone", 4, "alice", 4).got("bob/phone", 4, "alice", 4).settled();
    script.breaks(Promise::Kept, "seq 4 of g-1 never reached carol");
}

#[test]
fn good_if_its_own_messages_pass_a_device_by() {
    let script = Script::default().members(&["alice", "bob"]).online("bob/phone");
    let script =
        script.connect("alice/phone", false, true).subscribe("alice/phone", 1, false, true);
    let script = script.send("alice/phone", 1).acked("alice/phone", 1, 1, false);
    let script = script.delivered("bob/phone", 1, "alice", 1);
    script.clone().settled().is_good();
    let script =
        script.send("bob/phone", 2).acked("bob/phone", 2, 2, false).got("bob/phone", 2, "bob", 2);
    let script = script.got_after("alice/phone", 2, "bob", 2, Some(0)).ack_back("alice/phone", 2);
    script.receipt("bob/phone", "alice", 2, 0).settled().is_good();
}

/// Bob is excused from a message without an id that alice sends in two sessions; she sees it at `seq`.
fn sent_in_two_sessions(seq: u64) -> Script {
    let script = Script::two().exchange(1..=2).excuse("bob", 3);
    let script = script.attempt("alice/phone", 3, None, 1, 5).reconnect("alice/phone");
    let script = script.attempt("alice/phone", 3, None, 2, 5).acked("alice/phone", 3, seq, false);
    let (id, body) = (Some("by-the-server"), Some("body 3"));
    let script = script.received("alice/phone", seq, "alice", id, body, Some(2));
    script.ack_back("alice/phone", seq).settled()
}

#[test]
fn good_if_what_one_is_excused_from_stands_once_a_session() {
    sent_in_two_sessions(4).is_good();
}

#[test]
fn broken_if_it_cannot_stand_at_every_hole() {
    sent_in_two_sessions(5).breaks(Promise::Kept, "seq 4 of g-1 never reached bob");
}
