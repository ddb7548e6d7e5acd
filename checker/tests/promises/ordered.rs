//! Promise 3: good histories that look suspicious, and broken ones.

use bluetick_checker::Promise;

use crate::script::Script;

#[test]
fn good_if_redelivered() {
    let script = Script::two().send("alice/phone", 1).send("alice/phone", 2).send("alice/phone", 3);
    let script = script.delivered("bob/phone", 1, "alice", 1).got("bob/phone", 2, "alice", 2);
    let script = script.reconnect("bob/phone").got("bob/phone", 2, "alice", 2).got(
        "bob/phone",
        3,
        "alice",
        3,
    );
    // After a crash that forgot the cursor, from further back.
    let script = script.crash(&["bob/phone", "alice/phone"]).connect("bob/phone", true, true);
    let script = script.got("bob/phone", 1, "alice", 1).got("bob/phone", 2, "alice", 2);
    script.received("bob/phone", 3, "alice", None, None, None).is_good();
}

#[test]
fn good_if_a_tail_skips() {
    let script =
        Script::two().exchange(1..=2).disconnect("bob/phone").connect("bob/tv", false, false);
    let script = script.subscribe("bob/tv", 0, false, false).got("bob/tv", 2, "alice", 2);
    script.got("bob/tv", 5, "alice", 5).is_good();
}

#[test]
fn good_if_a_message_comes_before_the_suback() {
    let script = Script::two().exchange(1..=2).connect("bob/tv", false, false);
    let script = script.got("bob/tv", 3, "alice", 3).subscribe("bob/tv", 1, false, false);
    script.got("bob/tv", 4, "alice", 4).is_good();
}

#[test]
fn good_if_the_explained_is_excused() {
    let script = Script::two().exchange(1..=2).excuse("bob", 3).send("alice/phone", 3);
    let script = script.acked("alice/phone", 3, 3, false).delivered("alice/phone", 3, "alice", 3);
    let script = script.send("alice/phone", 4).delivered("alice/phone", 4, "alice", 4);
    let script = script.got_after("bob/phone", 4, "alice", 4, Some(2)).ack_back("bob/phone", 4);
    script.receipt("alice/phone", "bob", 4, 0).settled().is_good();
}

#[test]
fn broken_by_a_hole() {
    let script = Script::two().exchange(1..=2).got("bob/phone", 4, "alice", 4);
    script.breaks(Promise::Ordered, "bob/phone in g-1: seq 4 came behind seq 2, unexplained");
}

#[test]
fn broken_by_a_hole_after_reconnecting() {
    let script =
        Script::two().exchange(1..=2).reconnect("bob/phone").got("bob/phone", 4, "alice", 4);
    script.breaks(Promise::Ordered, "seq 4 came behind seq 2, unexplained");
}

#[test]
fn broken_by_going_back() {
    let script = Script::two().exchange(1..=2).got("bob/phone", 1, "alice", 1);
    script.breaks(Promise::Ordered, "seq 1 came behind seq 2 in one connection");
    let script = Script::two().exchange(1..=2).got("bob/phone", 2, "alice", 2);
    script.breaks(Promise::Ordered, "seq 2 came behind seq 2 in one connection");
}

#[test]
fn broken_by_a_tail_that_goes_back() {
    let script = Script::two().connect("bob/tv", false, false).subscribe("bob/tv", 0, false, false);
    let script = script.got("bob/tv", 3, "alice", 3).got("bob/tv", 2, "alice", 2);
    script.breaks(Promise::Ordered, "bob/tv in g-1: seq 2 came behind seq 3 in one connection");
}

#[test]
fn broken_by_an_untrue_explanation() {
    let script =
        Script::two().exchange(1..=2).send("alice/phone", 3).got("alice/phone", 3, "alice", 3);
    let script = script.got_after("bob/phone", 4, "alice", 4, Some(2));
    script.breaks(Promise::Ordered, "seq 4 with after 2 passes over seq 3");
    let script = Script::two().exchange(1..=2).got_after("bob/phone", 4, "alice", 4, Some(1));
    script.breaks(Promise::Ordered, "seq 4 with after 1 passes over seq 2");
    let script = Script::two().exchange(1..=2).got_after("bob/phone", 3, "alice", 3, Some(3));
    script.breaks(Promise::Ordered, "seq 3 came after 3");
}

#[test]
fn broken_if_a_new_session_starts_beyond_the_delivered() {
    let script = Script::two().exchange(1..=2).connect("bob/tv", false, false);
    let script = script.subscribe("bob/tv", 1, false, false);
    script.clone().got("bob/tv", 2, "alice", 2).is_good();
    script.clone().got("bob/tv", 3, "alice", 3).is_good();
    let beyond = script.got("bob/tv", 4, "alice", 4);
    beyond.breaks(Promise::Ordered, "the session started at seq 4, beyond what had been delivered");
}

#[test]
fn broken_if_a_place_changes() {
    let script = Script::two().exchange(1..=2).reconnect("bob/phone");
    let script = script.received("bob/phone", 2, "alice", Some("other"), Some("other"), None);
    script.breaks_among_others(
        Promise::Ordered,
        "seq 2 is \"other\" of alice, but was \"body 2\" of alice",
    );
}

#[test]
fn broken_by_seq_0() {
    let script = Script::two().got("bob/phone", 0, "alice", 1);
    script.breaks(Promise::Ordered, "seq 0 came");
}
