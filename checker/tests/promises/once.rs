//! Promise 2: good histories that look suspicious, and broken ones.

use bluetick_checker::Promise;

use crate::script::Script;

#[test]
fn good_if_a_retry_is_answered_with_the_first_seq() {
    // The first answer was lost; the repeat comes from another device, its id in another form.
    let script = Script::two().send("alice/phone", 1).disconnect("alice/phone");
    let script = script.connect("alice/laptop", false, false);
    let script =
        script.attempt("alice/laptop", 1, Some("ID-1"), 7, 5).acked("alice/laptop", 1, 1, true);
    let script = script.delivered("bob/phone", 1, "alice", 1).connect("alice/phone", true, true);
    script
        .delivered("alice/phone", 1, "alice", 1)
        .receipt("alice/phone", "bob", 1, 0)
        .settled()
        .is_good();
}

#[test]
fn good_if_answers_cross() {
    let script = Script::two().send("alice/phone", 1).send("alice/laptop", 1);
    script.acked("alice/laptop", 1, 1, true).acked("alice/phone", 1, 1, false).is_good();
}

#[test]
fn good_if_the_library_sent_again_by_itself() {
    let script = Script::two().send("alice/phone", 1).reconnect("alice/phone");
    script.acked("alice/phone", 1, 1, true).is_good();
}

#[test]
fn broken_if_an_id_stands_twice() {
    let script = Script::two().exchange(1..=1).got("bob/phone", 2, "alice", 1);
    script.breaks_among_others(
        Promise::Once,
        "message 1 of alice in g-1 stands at seq 1 and at seq 2",
    );
}

#[test]
fn broken_if_different_members_see_it_at_different_places() {
    let script = Script::two().send("alice/phone", 1).got("bob/phone", 1, "alice", 1);
    let script = script.received("alice/phone", 1, "bob", Some("x"), Some("x"), None);
    script
        .got("alice/phone", 2, "alice", 1)
        .breaks_among_others(Promise::Once, "stands at seq 1 and at seq 2");
}

#[test]
fn broken_if_the_id_of_the_server_stands_twice() {
    let script = Script::two().received("bob/phone", 1, "alice", Some("srv"), Some("one"), None);
    let script = script.received("bob/phone", 2, "alice", Some("srv"), Some("two"), None);
    script.breaks(Promise::Once, "id srv of alice in g-1 stands at seq 1 and at seq 2");
}

fn without_id(session: u64) -> Script {
    let script = Script::two().attempt("alice/phone", 1, None, 1, 5).reconnect("alice/phone");
    let script =
        script.attempt("alice/phone", 1, None, session, 5).acked("alice/phone", 1, 2, false);
    let script = script.received("bob/phone", 1, "alice", Some("srv-1"), Some("body 1"), None);
    script.received("bob/phone", 2, "alice", Some("srv-2"), Some("body 1"), None)
}

#[test]
fn good_without_id_in_two_sessions() {
    without_id(2).is_good();
}

#[test]
fn broken_without_id_in_one_session() {
    without_id(1).breaks(Promise::Once, "message 1 of alice in g-1 stands at seq 2 and at seq 1");
}

#[test]
fn broken_if_answers_differ() {
    let script = Script::two().send("alice/phone", 1).acked("alice/phone", 1, 1, false);
    let script = script.send("alice/phone", 1).acked("alice/phone", 1, 2, true);
    script.breaks_among_others(Promise::Once, "was told seq 1 and seq 2");
}

#[test]
fn broken_if_a_repeat_is_told_new() {
    let script = Script::two().send("alice/phone", 1).acked("alice/phone", 1, 1, true);
    script.breaks(Promise::Once, "was sent once, and told that it is a repeat");
    let script = Script::two().send("alice/phone", 1).answered("alice/phone", 1, Some(1), None);
    let script = script.send("alice/phone", 1).acked("alice/phone", 1, 1, false);
    script.breaks(Promise::Once, "was sent again after an answer, and told that it is no repeat");
    let script = Script::two().send("alice/phone", 1).send("alice/laptop", 1);
    let script = script.acked("alice/phone", 1, 1, false).acked("alice/laptop", 1, 1, false);
    script.breaks(Promise::Once, "was told twice that it is no repeat");
}
