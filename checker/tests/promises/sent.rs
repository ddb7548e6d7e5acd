//! Promise 1: good histories that look suspicious, and broken ones.

use bluetick_checker::Promise;

use crate::script::Script;

#[test]
fn good_if_all_got_it() {
    Script::two().exchange(1..=3).settled().is_good();
}

#[test]
fn good_if_nobody_was_due_it() {
    let offline = Script::two().disconnect("bob/phone").disconnect("alice/phone");
    let online = offline.connect("alice/laptop", false, false);
    online.send("alice/laptop", 1).acked("alice/laptop", 1, 1, false).settled().is_good();
}

#[test]
fn good_if_it_was_read_unseen() {
    // Who says that he has read up to 1 is not due 1 any more; alice sent with no local.
    let script = Script::default().members(&["alice", "bob"]).connect("alice/phone", false, true);
    let script = script.subscribe("alice/phone", 1, false, true).send("alice/phone", 1);
    let script = script.acked("alice/phone", 1, 1, false).connect("bob/phone", false, true);
    script.read_said("bob/phone", 9).subscribe("bob/phone", 1, false, false).settled().is_good();
}

#[test]
fn broken_if_nobody_got_it() {
    let script = Script::two().exchange(1..=2).send("alice/phone", 3);
    script.clone().settled().is_good();
    let acked = script.acked("alice/phone", 3, 3, false).settled();
    acked.breaks(
        Promise::Sent,
        "message 3 of alice in g-1 was acknowledged at seq 3 and never seen",
    );
}

#[test]
fn broken_if_nobody_got_what_was_sent_over_3_1_1() {
    let script = Script::two().exchange(1..=2).attempt("alice/phone", 3, None, 1, 4);
    let script = script.answered("alice/phone", 3, None, None).settled();
    script.breaks(Promise::Sent, "message 3 of alice in g-1 was acknowledged and never seen");
}

#[test]
fn good_if_refused_over_3_1_1() {
    let script = Script::two().exchange(1..=2).attempt("alice/phone", 3, None, 1, 4);
    script.answered("alice/phone", 3, None, None).refused("alice/phone", 3).settled().is_good();
}

#[test]
fn broken_if_a_place_is_told_twice() {
    let script = Script::two().disconnect("bob/phone").disconnect("alice/phone");
    let script = script.send("alice/phone", 1).send("alice/phone", 2);
    let script = script.acked("alice/phone", 1, 1, false).acked("alice/phone", 2, 1, false);
    script.breaks(
        Promise::Sent,
        "message 1 of alice in g-1 and message 2 of alice in g-1 were both told seq 1",
    );
}

#[test]
fn broken_if_a_crash_gives_the_place_away() {
    let script = Script::two().send("alice/phone", 1).acked("alice/phone", 1, 1, false);
    let script = script.crash(&["alice/phone", "bob/phone"]).connect("bob/phone", true, true);
    let script = script.send("bob/phone", 2).got("bob/phone", 1, "bob", 2);
    script.breaks(
        Promise::Sent,
        "message 1 of alice in g-1 stands at seq 1, but bob/phone got \"body 2\" of bob",
    );
}

#[test]
fn broken_if_the_answer_comes_after_another_stood_there() {
    let script = Script::two().send("bob/phone", 2).got("bob/phone", 1, "bob", 2);
    let script = script.send("alice/phone", 1).acked("alice/phone", 1, 1, false);
    script.breaks(Promise::Sent, "was told seq 1, but there stands \"body 2\" of bob");
}

#[test]
fn broken_if_the_body_was_altered() {
    let script = Script::two().send("alice/phone", 1);
    let script = script.received("bob/phone", 1, "alice", Some("ID-1"), Some("body 9"), None);
    script.breaks(Promise::Sent, "bob/phone got \"body 9\" of alice there");
}
