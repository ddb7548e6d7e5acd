//! Promise 5: good histories that look suspicious, and broken ones.

use bluetick_checker::Promise;

use crate::script::Script;

#[test]
fn good_if_coalesced_and_late() {
    let script = Script::two().exchange(1..=1).disconnect("alice/phone");
    let script = script.read_said("bob/phone", 1).read_acked("bob/phone", 1);
    let script = script.connect("alice/phone", true, true);
    script.receipt("alice/phone", "bob", 1, 1).settled().is_good();
}

#[test]
fn good_if_the_acknowledgement_may_be_lost() {
    let script = Script::two().send("alice/phone", 1).delivered("alice/phone", 1, "alice", 1);
    let script = script.delivered("bob/phone", 1, "alice", 1);
    script.clone().disconnect("bob/phone").settled().is_good();
    script.settled().breaks(Promise::Receipts, "not told that his message seq 1 is delivered");
}

#[test]
fn good_if_another_device_of_the_author_was_told() {
    let script = Script::two().exchange(1..=1).disconnect("alice/phone").online("alice/laptop");
    script.settled().is_good();
}

#[test]
fn broken_if_only_another_device_is_told_of_what_is_new() {
    let script = Script::two().online("alice/laptop").exchange(1..=1);
    let script = script.delivered("alice/laptop", 1, "alice", 1).settled();
    script.breaks(
        Promise::Receipts,
        "alice/laptop in g-1 of bob: not told that his message seq 1 is delivered",
    );
}

#[test]
fn broken_if_delivered_is_untrue() {
    let script =
        Script::two().exchange(1..=1).send("alice/phone", 2).got("bob/phone", 2, "alice", 2);
    script.clone().is_good();
    let script = script.receipt("alice/phone", "bob", 2, 0);
    script.breaks(Promise::Receipts, "told delivered 2, not acknowledged by any device");
}

#[test]
fn broken_if_read_is_untrue() {
    let script =
        Script::two().exchange(1..=2).read_said("bob/phone", 1).receipt("alice/phone", "bob", 2, 2);
    script.breaks(Promise::Receipts, "told read 2, which was not said");
    let script =
        Script::two().exchange(1..=2).read_said("bob/phone", 3).receipt("alice/phone", "bob", 2, 3);
    script.breaks(Promise::Receipts, "told read 3 beyond delivered 2");
}

#[test]
fn broken_if_it_falls() {
    let crash = |script: Script| {
        script.crash(&["alice/phone", "bob/phone"]).connect("alice/phone", true, true)
    };
    let script = crash(Script::two().exchange(1..=3)).receipt("alice/phone", "bob", 2, 0);
    script.breaks(Promise::Receipts, "told delivered 2 after 3");
    let script =
        Script::two().exchange(1..=3).read_said("bob/phone", 2).receipt("alice/phone", "bob", 3, 2);
    crash(script)
        .receipt("alice/phone", "bob", 3, 0)
        .breaks(Promise::Receipts, "told read 0 after 2");
}

#[test]
fn broken_if_an_acknowledged_read_is_not_told() {
    let script = Script::two().exchange(1..=3).read_said("bob/phone", 2);
    script.clone().settled().is_good();
    let script = script.read_acked("bob/phone", 2).settled();
    script.breaks(Promise::Receipts, "not told that his message seq 2 is read");
}
