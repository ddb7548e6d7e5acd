//! Members who come and go: good histories that look suspicious, and broken ones.

use bluetick_checker::{Event, Promise};

use crate::script::{CHAT, Script};

/// Bob is removed at 2 and added again at 4; alice's phone gets all of it, bob's what is his.
fn away() -> Script {
    Script::two()
        .exchange(1..=1)
        .removed("bob", 2)
        .added("bob", 4)
        .got_event("alice/phone", 2, None)
        .ack_back("alice/phone", 2)
        .send("alice/phone", 3)
        .acked("alice/phone", 3, 3, false)
        .delivered("alice/phone", 3, "alice", 3)
        .got_event("alice/phone", 4, None)
        .ack_back("alice/phone", 4)
}

fn answered(request: u64, users: Option<&[&str]>) -> Event {
    let users = users.map(|users| users.iter().map(|user| (*user).into()).collect());
    Event::Answered { chat: CHAT.into(), request, users }
}

#[test]
fn good_if_an_absence_is_explained() {
    let script = away().got_event("bob/phone", 2, None).got_event("bob/phone", 4, Some(2));
    script.settled().is_good();
    // A new session starts behind what his user has, and that may be the absence.
    let script = away().got_event("bob/phone", 2, None).ack_back("bob/phone", 2);
    script.online("bob/tv").got_event("bob/tv", 4, Some(2)).is_good();
}

#[test]
fn good_if_a_stranger_is_added_and_gets_all_since() {
    let script = Script::two().exchange(1..=2).added("carol", 3).online("carol/phone");
    let script = script.got_event("carol/phone", 3, None).ack_back("carol/phone", 3);
    // What was before counts as delivered and read.
    let script = script.receipt("alice/phone", "carol", 3, 2);
    script.got_event("alice/phone", 3, None).got_event("bob/phone", 3, None).settled().is_good();
}

#[test]
fn good_if_a_message_of_one_who_was_removed_is_refused() {
    let script = away().send("bob/phone", 9).refused("bob/phone", 9);
    // Over 3.1.1 a refusal is acknowledged.
    script.attempt("bob/phone", 10, None, 1, 4).answered("bob/phone", 10, None, None).is_good();
}

#[test]
fn broken_if_one_who_was_removed_reads_on() {
    let script = away().got_event("bob/phone", 2, None).got("bob/phone", 3, "alice", 3);
    script.breaks(Promise::Private, "bob/phone got seq 3 of g-1, his membership ended at 2");
}

#[test]
fn broken_if_a_new_member_gets_what_was_before() {
    let script = Script::two().exchange(1..=2).added("carol", 3).online("carol/phone");
    script
        .got("carol/phone", 2, "alice", 2)
        .breaks(Promise::Private, "carol/phone got seq 2 of g-1 from before he was a member");
}

#[test]
fn broken_if_one_who_was_removed_writes_or_learns() {
    let script = Script::two().exchange(1..=1).removed("bob", 2);
    let wrote = script.clone().send("bob/phone", 3).acked("bob/phone", 3, 3, false);
    wrote.breaks(Promise::Private, "message 3 of bob/phone in g-1 was acknowledged");
    let shown = script.clone().got("alice/phone", 3, "bob", 3);
    shown.breaks_among_others(Promise::Private, "of bob, who is no member");
    let learnt = script.ack_back("alice/phone", 5).receipt("bob/phone", "alice", 5, 0);
    learnt.breaks(Promise::Private, "bob/phone was told of alice at seq 5");
}

#[test]
fn broken_if_a_removal_never_comes() {
    away().settled().breaks(Promise::Kept, "seq 2 of g-1 never reached bob");
    let skipped = away().got_event("bob/phone", 4, Some(1));
    skipped.breaks(Promise::Ordered, "seq 4 with after 1 passes over seq 2");
}

#[test]
fn broken_if_what_came_since_he_joined_is_lost() {
    let script = Script::two().online("carol/phone").exchange(1..=2).added("carol", 3);
    let script = script.got_event("alice/phone", 3, None).got_event("bob/phone", 3, None);
    script.settled().breaks(Promise::Kept, "seq 3 of g-1 never reached carol");
}

#[test]
fn broken_if_an_absence_is_a_hole_or_explained_wrongly() {
    let script = away().got_event("bob/phone", 2, None);
    let hole = script.clone().got_event("bob/phone", 4, None);
    hole.breaks(Promise::Ordered, "seq 4 came behind seq 2, unexplained");
    let wrong = script.got_event("bob/phone", 4, Some(3));
    wrong.breaks(Promise::Ordered, "seq 4 came behind seq 2, with after 3");
}

#[test]
fn broken_if_a_repeat_of_a_request_has_another_answer() {
    let same = Script::two().push(answered(1, Some(&["bob"]))).push(answered(1, Some(&["bob"])));
    same.is_good();
    same.push(answered(1, None)).breaks(Promise::Once, "request 1 in g-1 was answered");
}
