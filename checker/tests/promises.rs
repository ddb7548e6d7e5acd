//! Hand-made histories: for each promise, good ones that look suspicious, and broken ones.

#[path = "script/mod.rs"]
mod script;

use bluetick_checker::{Event, Promise};
use script::{CHAT, Script};

mod sent {
    use super::{Promise, Script};

    #[test]
    fn good_if_all_got_it() {
        Script::two().exchange(1..=3).settled().is_good();
    }

    #[test]
    fn good_if_nobody_was_due_it() {
        let offline = Script::two()
            .disconnect("bob/phone")
            .disconnect("alice/phone");
        let online = offline.connect("alice/laptop", false, false);
        online
            .send("alice/laptop", 1)
            .acked("alice/laptop", 1, 1, false)
            .settled()
            .is_good();
    }

    #[test]
    fn good_if_it_was_read_unseen() {
        // Who says that he has read up to 1 is not due 1 any more; alice sent with no local.
        let script =
            Script::default()
                .members(&["alice", "bob"])
                .connect("alice/phone", false, true);
        let script = script
            .subscribe("alice/phone", 1, false, true)
            .send("alice/phone", 1);
        let script = script
            .acked("alice/phone", 1, 1, false)
            .connect("bob/phone", false, true);
        script
            .read_said("bob/phone", 9)
            .subscribe("bob/phone", 1, false, false)
            .settled()
            .is_good();
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
        let script = Script::two()
            .exchange(1..=2)
            .attempt("alice/phone", 3, None, 1, 4);
        let script = script.answered("alice/phone", 3, None, None).settled();
        script.breaks(
            Promise::Sent,
            "message 3 of alice in g-1 was acknowledged and never seen",
        );
    }

    #[test]
    fn good_if_refused_over_3_1_1() {
        let script = Script::two()
            .exchange(1..=2)
            .attempt("alice/phone", 3, None, 1, 4);
        script
            .answered("alice/phone", 3, None, None)
            .refused("alice/phone", 3)
            .settled()
            .is_good();
    }

    #[test]
    fn broken_if_a_place_is_told_twice() {
        let script = Script::two()
            .disconnect("bob/phone")
            .disconnect("alice/phone");
        let script = script.send("alice/phone", 1).send("alice/phone", 2);
        let script = script
            .acked("alice/phone", 1, 1, false)
            .acked("alice/phone", 2, 1, false);
        script.breaks(
            Promise::Sent,
            "message 1 of alice in g-1 and message 2 of alice in g-1 were both told seq 1",
        );
    }

    #[test]
    fn broken_if_a_crash_gives_the_place_away() {
        let script = Script::two()
            .send("alice/phone", 1)
            .acked("alice/phone", 1, 1, false);
        let script = script
            .crash(&["alice/phone", "bob/phone"])
            .connect("bob/phone", true, true);
        let script = script.send("bob/phone", 2).got("bob/phone", 1, "bob", 2);
        script.breaks(
            Promise::Sent,
            "message 1 of alice in g-1 stands at seq 1, but bob/phone got \"body 2\" of bob",
        );
    }

    #[test]
    fn broken_if_the_answer_comes_after_another_stood_there() {
        let script = Script::two()
            .send("bob/phone", 2)
            .got("bob/phone", 1, "bob", 2);
        let script = script
            .send("alice/phone", 1)
            .acked("alice/phone", 1, 1, false);
        script.breaks(
            Promise::Sent,
            "was told seq 1, but there stands \"body 2\" of bob",
        );
    }

    #[test]
    fn broken_if_the_body_was_altered() {
        let script = Script::two().send("alice/phone", 1);
        let script = script.received("bob/phone", 1, "alice", Some("ID-1"), Some("body 9"), None);
        script.breaks(Promise::Sent, "bob/phone got \"body 9\" of alice there");
    }
}

mod once {
    use super::{Promise, Script};

    #[test]
    fn good_if_a_retry_is_answered_with_the_first_seq() {
        // The first answer was lost; the repeat comes from another device, its id in another form.
        let script = Script::two()
            .send("alice/phone", 1)
            .disconnect("alice/phone");
        let script = script.connect("alice/laptop", false, false);
        let script =
            script
                .attempt("alice/laptop", 1, Some("ID-1"), 7, 5)
                .acked("alice/laptop", 1, 1, true);
        let script =
            script
                .delivered("bob/phone", 1, "alice", 1)
                .connect("alice/phone", true, true);
        script
            .delivered("alice/phone", 1, "alice", 1)
            .receipt("alice/phone", "bob", 1, 0)
            .settled()
            .is_good();
    }

    #[test]
    fn good_if_answers_cross() {
        let script = Script::two().send("alice/phone", 1).send("alice/laptop", 1);
        script
            .acked("alice/laptop", 1, 1, true)
            .acked("alice/phone", 1, 1, false)
            .is_good();
    }

    #[test]
    fn good_if_the_library_sent_again_by_itself() {
        let script = Script::two()
            .send("alice/phone", 1)
            .reconnect("alice/phone");
        script.acked("alice/phone", 1, 1, true).is_good();
    }

    #[test]
    fn broken_if_an_id_stands_twice() {
        let script = Script::two()
            .exchange(1..=1)
            .got("bob/phone", 2, "alice", 1);
        script.breaks_among_others(
            Promise::Once,
            "message 1 of alice in g-1 stands at seq 1 and at seq 2",
        );
    }

    #[test]
    fn broken_if_different_members_see_it_at_different_places() {
        let script = Script::two()
            .send("alice/phone", 1)
            .got("bob/phone", 1, "alice", 1);
        let script = script.received("alice/phone", 1, "bob", Some("x"), Some("x"), None);
        script
            .got("alice/phone", 2, "alice", 1)
            .breaks_among_others(Promise::Once, "stands at seq 1 and at seq 2");
    }

    #[test]
    fn broken_if_the_id_of_the_server_stands_twice() {
        let script =
            Script::two().received("bob/phone", 1, "alice", Some("srv"), Some("one"), None);
        let script = script.received("bob/phone", 2, "alice", Some("srv"), Some("two"), None);
        script.breaks(
            Promise::Once,
            "id srv of alice in g-1 stands at seq 1 and at seq 2",
        );
    }

    fn without_id(session: u64) -> Script {
        let script = Script::two()
            .attempt("alice/phone", 1, None, 1, 5)
            .reconnect("alice/phone");
        let script =
            script
                .attempt("alice/phone", 1, None, session, 5)
                .acked("alice/phone", 1, 2, false);
        let script = script.received("bob/phone", 1, "alice", Some("srv-1"), Some("body 1"), None);
        script.received("bob/phone", 2, "alice", Some("srv-2"), Some("body 1"), None)
    }

    #[test]
    fn good_without_id_in_two_sessions() {
        without_id(2).is_good();
    }

    #[test]
    fn broken_without_id_in_one_session() {
        without_id(1).breaks(
            Promise::Once,
            "message 1 of alice in g-1 stands at seq 2 and at seq 1",
        );
    }

    #[test]
    fn broken_if_answers_differ() {
        let script = Script::two()
            .send("alice/phone", 1)
            .acked("alice/phone", 1, 1, false);
        let script = script
            .send("alice/phone", 1)
            .acked("alice/phone", 1, 2, true);
        script.breaks_among_others(Promise::Once, "was told seq 1 and seq 2");
    }

    #[test]
    fn broken_if_a_repeat_is_told_new() {
        let script = Script::two()
            .send("alice/phone", 1)
            .acked("alice/phone", 1, 1, true);
        script.breaks(Promise::Once, "was sent once, and told that it is a repeat");
        let script = Script::two()
            .send("alice/phone", 1)
            .answered("alice/phone", 1, Some(1), None);
        let script = script
            .send("alice/phone", 1)
            .acked("alice/phone", 1, 1, false);
        script.breaks(
            Promise::Once,
            "was sent again after an answer, and told that it is no repeat",
        );
        let script = Script::two().send("alice/phone", 1).send("alice/laptop", 1);
        let script = script
            .acked("alice/phone", 1, 1, false)
            .acked("alice/laptop", 1, 1, false);
        script.breaks(Promise::Once, "was told twice that it is no repeat");
    }
}

mod ordered {
    use super::{Promise, Script};

    #[test]
    fn good_if_redelivered() {
        let script = Script::two()
            .send("alice/phone", 1)
            .send("alice/phone", 2)
            .send("alice/phone", 3);
        let script = script
            .delivered("bob/phone", 1, "alice", 1)
            .got("bob/phone", 2, "alice", 2);
        let script = script
            .reconnect("bob/phone")
            .got("bob/phone", 2, "alice", 2)
            .got("bob/phone", 3, "alice", 3);
        // After a crash that forgot the cursor, from further back.
        let script = script
            .crash(&["bob/phone", "alice/phone"])
            .connect("bob/phone", true, true);
        let script = script
            .got("bob/phone", 1, "alice", 1)
            .got("bob/phone", 2, "alice", 2);
        script
            .received("bob/phone", 3, "alice", None, None, None)
            .is_good();
    }

    #[test]
    fn good_if_a_tail_skips() {
        let script = Script::two()
            .exchange(1..=2)
            .disconnect("bob/phone")
            .connect("bob/tv", false, false);
        let script = script
            .subscribe("bob/tv", 0, false, false)
            .got("bob/tv", 2, "alice", 2);
        script.got("bob/tv", 5, "alice", 5).is_good();
    }

    #[test]
    fn good_if_a_message_comes_before_the_suback() {
        let script = Script::two()
            .exchange(1..=2)
            .connect("bob/tv", false, false);
        let script = script
            .got("bob/tv", 3, "alice", 3)
            .subscribe("bob/tv", 1, false, false);
        script.got("bob/tv", 4, "alice", 4).is_good();
    }

    #[test]
    fn good_if_the_explained_is_excused() {
        let script = Script::two()
            .exchange(1..=2)
            .excuse("bob", 3)
            .send("alice/phone", 3);
        let script =
            script
                .acked("alice/phone", 3, 3, false)
                .delivered("alice/phone", 3, "alice", 3);
        let script = script
            .send("alice/phone", 4)
            .delivered("alice/phone", 4, "alice", 4);
        let script = script
            .got_after("bob/phone", 4, "alice", 4, Some(2))
            .ack_back("bob/phone", 4);
        script
            .receipt("alice/phone", "bob", 4, 0)
            .settled()
            .is_good();
    }

    #[test]
    fn broken_by_a_hole() {
        let script = Script::two()
            .exchange(1..=2)
            .got("bob/phone", 4, "alice", 4);
        script.breaks(
            Promise::Ordered,
            "bob/phone in g-1: seq 4 came behind seq 2, unexplained",
        );
    }

    #[test]
    fn broken_by_a_hole_after_reconnecting() {
        let script =
            Script::two()
                .exchange(1..=2)
                .reconnect("bob/phone")
                .got("bob/phone", 4, "alice", 4);
        script.breaks(Promise::Ordered, "seq 4 came behind seq 2, unexplained");
    }

    #[test]
    fn broken_by_going_back() {
        let script = Script::two()
            .exchange(1..=2)
            .got("bob/phone", 1, "alice", 1);
        script.breaks(
            Promise::Ordered,
            "seq 1 came behind seq 2 in one connection",
        );
        let script = Script::two()
            .exchange(1..=2)
            .got("bob/phone", 2, "alice", 2);
        script.breaks(
            Promise::Ordered,
            "seq 2 came behind seq 2 in one connection",
        );
    }

    #[test]
    fn broken_by_a_tail_that_goes_back() {
        let script = Script::two()
            .connect("bob/tv", false, false)
            .subscribe("bob/tv", 0, false, false);
        let script = script
            .got("bob/tv", 3, "alice", 3)
            .got("bob/tv", 2, "alice", 2);
        script.breaks(
            Promise::Ordered,
            "bob/tv in g-1: seq 2 came behind seq 3 in one connection",
        );
    }

    #[test]
    fn broken_by_an_untrue_explanation() {
        let script =
            Script::two()
                .exchange(1..=2)
                .send("alice/phone", 3)
                .got("alice/phone", 3, "alice", 3);
        let script = script.got_after("bob/phone", 4, "alice", 4, Some(2));
        script.breaks(
            Promise::Ordered,
            "seq 4 with after 2 passes over message seq 3",
        );
        let script = Script::two()
            .exchange(1..=2)
            .got_after("bob/phone", 4, "alice", 4, Some(1));
        script.breaks(Promise::Ordered, "seq 4 came behind seq 2, with after 1");
        let script = Script::two()
            .exchange(1..=2)
            .got_after("bob/phone", 3, "alice", 3, Some(3));
        script.breaks(Promise::Ordered, "seq 3 came after 3");
    }

    #[test]
    fn broken_if_a_new_session_starts_beyond_the_delivered() {
        let script = Script::two()
            .exchange(1..=2)
            .connect("bob/tv", false, false);
        let script = script.subscribe("bob/tv", 1, false, false);
        script.clone().got("bob/tv", 2, "alice", 2).is_good();
        script.clone().got("bob/tv", 3, "alice", 3).is_good();
        let beyond = script.got("bob/tv", 4, "alice", 4);
        beyond.breaks(
            Promise::Ordered,
            "the session started at seq 4, beyond what had been delivered",
        );
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
}

mod kept {
    use super::{Promise, Script};

    /// Bob is away while alice sends 3; she has got it herself.
    fn away() -> Script {
        let script = Script::two()
            .exchange(1..=2)
            .disconnect("bob/phone")
            .send("alice/phone", 3);
        script
            .acked("alice/phone", 3, 3, false)
            .delivered("alice/phone", 3, "alice", 3)
    }

    #[test]
    fn good_if_delivered_on_coming_back() {
        away().settled().is_good();
        let back = away()
            .connect("bob/phone", true, true)
            .delivered("bob/phone", 3, "alice", 3);
        back.receipt("alice/phone", "bob", 3, 0).settled().is_good();
    }

    #[test]
    fn broken_if_it_does_not_come() {
        away()
            .connect("bob/phone", true, true)
            .settled()
            .breaks(Promise::Kept, "seq 3 of g-1 never reached bob");
        // Nor to a new session, nor to one that the server forgot.
        let other = away()
            .connect("bob/tv", false, false)
            .subscribe("bob/tv", 1, false, false)
            .settled();
        other.breaks(Promise::Kept, "seq 3 of g-1 never reached bob");
        let forgotten =
            away()
                .connect("bob/phone", false, true)
                .subscribe("bob/phone", 1, false, false);
        forgotten
            .settled()
            .breaks(Promise::Kept, "seq 3 of g-1 never reached bob");
    }

    #[test]
    fn broken_if_received_but_not_acknowledged_on_another_device() {
        let script = away()
            .connect("bob/tv", false, false)
            .subscribe("bob/tv", 1, false, false);
        let script = script.got("bob/tv", 3, "alice", 3).disconnect("bob/tv");
        let script = script
            .connect("bob/tv", false, false)
            .subscribe("bob/tv", 1, false, false)
            .settled();
        script.breaks(Promise::Kept, "seq 3 of g-1 never reached bob");
    }

    #[test]
    fn broken_if_a_tail_swallows_it() {
        let script = away()
            .connect("bob/tv", false, false)
            .subscribe("bob/tv", 0, false, false);
        let script = script
            .got("bob/tv", 3, "alice", 3)
            .connect("bob/phone", true, true)
            .settled();
        script.breaks(Promise::Kept, "seq 3 of g-1 never reached bob");
    }

    #[test]
    fn broken_if_one_device_takes_it_from_another() {
        let script = away()
            .connect("bob/tv", false, false)
            .subscribe("bob/tv", 1, false, false);
        let script = script
            .delivered("bob/tv", 3, "alice", 3)
            .receipt("alice/phone", "bob", 3, 0);
        script.clone().settled().is_good();
        let script = script.connect("bob/phone", true, true).settled();
        script.breaks(Promise::Kept, "seq 3 of g-1 never reached bob/phone");
    }

    #[test]
    fn a_device_is_owed_all_since_it_subscribed() {
        // Both of bob's devices wait for 3; that it came to the phone does not take it from the tablet.
        let script = Script::two()
            .exchange(1..=2)
            .online("bob/tablet")
            .send("alice/phone", 3);
        let script =
            script
                .delivered("alice/phone", 3, "alice", 3)
                .delivered("bob/phone", 3, "alice", 3);
        let script = script.receipt("alice/phone", "bob", 3, 0);
        let got = script
            .clone()
            .delivered("bob/tablet", 3, "alice", 3)
            .settled();
        got.is_good();
        script
            .clone()
            .settled()
            .breaks(Promise::Kept, "seq 3 of g-1 never reached bob/tablet");
        script
            .disconnect("bob/tablet")
            .end_session("bob/tablet")
            .settled()
            .is_good();
    }

    #[test]
    fn a_late_member_is_owed_all_since_his_first_entry() {
        let script = Script::two()
            .exchange(1..=2)
            .members(&["carol"])
            .online("carol/phone");
        let script = script.received(
            "carol/phone",
            3,
            "alice",
            Some("ev"),
            Some("added carol"),
            None,
        );
        let script = script.received(
            "alice/phone",
            3,
            "alice",
            Some("ev"),
            Some("added carol"),
            None,
        );
        let script = script.received(
            "bob/phone",
            3,
            "alice",
            Some("ev"),
            Some("added carol"),
            None,
        );
        script.clone().settled().is_good();
        let script = script
            .send("alice/phone", 4)
            .acked("alice/phone", 4, 4, false);
        let script = script
            .got("alice/phone", 4, "alice", 4)
            .got("bob/phone", 4, "alice", 4)
            .settled();
        script.breaks(Promise::Kept, "seq 4 of g-1 never reached carol");
    }

    #[test]
    fn good_if_its_own_messages_pass_a_device_by() {
        let script = Script::default()
            .members(&["alice", "bob"])
            .online("bob/phone");
        let script =
            script
                .connect("alice/phone", false, true)
                .subscribe("alice/phone", 1, false, true);
        let script = script
            .send("alice/phone", 1)
            .acked("alice/phone", 1, 1, false);
        let script = script.delivered("bob/phone", 1, "alice", 1);
        script.clone().settled().is_good();
        let script = script
            .send("bob/phone", 2)
            .acked("bob/phone", 2, 2, false)
            .got("bob/phone", 2, "bob", 2);
        let script = script
            .got_after("alice/phone", 2, "bob", 2, Some(0))
            .ack_back("alice/phone", 2);
        script
            .receipt("bob/phone", "alice", 2, 0)
            .settled()
            .is_good();
    }
}

mod receipts {
    use super::{Promise, Script};

    #[test]
    fn good_if_coalesced_and_late() {
        let script = Script::two().exchange(1..=1).disconnect("alice/phone");
        let script = script.read_said("bob/phone", 1).read_acked("bob/phone", 1);
        let script = script.connect("alice/phone", true, true);
        script
            .receipt("alice/phone", "bob", 1, 1)
            .settled()
            .is_good();
    }

    #[test]
    fn good_if_the_acknowledgement_may_be_lost() {
        let script = Script::two()
            .send("alice/phone", 1)
            .delivered("alice/phone", 1, "alice", 1);
        let script = script.delivered("bob/phone", 1, "alice", 1);
        script.clone().disconnect("bob/phone").settled().is_good();
        script.settled().breaks(
            Promise::Receipts,
            "not told that his message seq 1 is delivered",
        );
    }

    #[test]
    fn good_if_another_device_of_the_author_was_told() {
        let script = Script::two()
            .exchange(1..=1)
            .disconnect("alice/phone")
            .online("alice/laptop");
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
            Script::two()
                .exchange(1..=1)
                .send("alice/phone", 2)
                .got("bob/phone", 2, "alice", 2);
        script.clone().is_good();
        let script = script.receipt("alice/phone", "bob", 2, 0);
        script.breaks(
            Promise::Receipts,
            "told delivered 2, not acknowledged by any device",
        );
    }

    #[test]
    fn broken_if_read_is_untrue() {
        let script = Script::two()
            .exchange(1..=2)
            .read_said("bob/phone", 1)
            .receipt("alice/phone", "bob", 2, 2);
        script.breaks(Promise::Receipts, "told read 2, which was not said");
        let script = Script::two()
            .exchange(1..=2)
            .read_said("bob/phone", 3)
            .receipt("alice/phone", "bob", 2, 3);
        script.breaks(Promise::Receipts, "told read 3 beyond delivered 2");
    }

    #[test]
    fn broken_if_it_falls() {
        let crash = |script: Script| {
            script
                .crash(&["alice/phone", "bob/phone"])
                .connect("alice/phone", true, true)
        };
        let script = crash(Script::two().exchange(1..=3)).receipt("alice/phone", "bob", 2, 0);
        script.breaks(Promise::Receipts, "told delivered 2 after 3");
        let script = Script::two()
            .exchange(1..=3)
            .read_said("bob/phone", 2)
            .receipt("alice/phone", "bob", 3, 2);
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
}

mod private {
    use super::{CHAT, Event, Promise, Script};

    #[test]
    fn good_if_refused() {
        let script = Script::two()
            .exchange(1..=1)
            .send("mallory/pc", 2)
            .refused("mallory/pc", 2);
        let script =
            script
                .attempt("mallory/old", 3, None, 1, 4)
                .answered("mallory/old", 3, None, None);
        script.refused("mallory/old", 3).settled().is_good();
    }

    #[test]
    fn broken_if_a_stranger_reads() {
        let script =
            Script::two()
                .exchange(1..=1)
                .online("mallory/pc")
                .got("mallory/pc", 1, "alice", 1);
        script.breaks(
            Promise::Private,
            "mallory/pc got seq 1 of g-1 and is no member",
        );
    }

    #[test]
    fn broken_if_a_stranger_writes() {
        let acked = Script::two()
            .send("mallory/pc", 1)
            .acked("mallory/pc", 1, 1, false);
        acked.breaks(
            Promise::Private,
            "message 1 of mallory/pc in g-1 was acknowledged; he is no member",
        );
        let got = Script::two()
            .send("mallory/pc", 1)
            .refused("mallory/pc", 1)
            .got("bob/phone", 1, "mallory", 1);
        got.breaks(
            Promise::Private,
            "seq 1 of g-1 is \"body 1\" of mallory, who is no member",
        );
        let forged = Script::two()
            .attempt("mallory/old", 1, None, 1, 4)
            .answered("mallory/old", 1, None, None);
        let forged = forged.received("bob/phone", 1, "alice", Some("x"), Some("body 1"), None);
        forged.breaks(
            Promise::Private,
            "seq 1 of g-1 is message 1 of mallory, who is no member",
        );
    }

    #[test]
    fn broken_if_a_stranger_learns() {
        let script = Script::two()
            .exchange(1..=1)
            .receipt("mallory/pc", "bob", 1, 0);
        script.breaks(
            Promise::Private,
            "mallory/pc was told of bob in g-1 and is no member",
        );
        let script = Script::two()
            .exchange(1..=1)
            .ack_back("mallory/pc", 1)
            .receipt("alice/phone", "mallory", 1, 0);
        script.breaks(
            Promise::Private,
            "alice/phone was told of mallory in g-1, who is no member",
        );
    }

    #[test]
    fn broken_if_a_late_member_gets_what_was_before() {
        let script = Script::two()
            .exchange(1..=2)
            .members(&["carol"])
            .online("carol/phone");
        script
            .got("carol/phone", 2, "alice", 2)
            .breaks(Promise::Private, "from before he was a member");
    }

    #[test]
    fn broken_if_a_message_strays() {
        let other = |user: &str| Event::Member {
            chat: "alice~carol".into(),
            user: user.into(),
        };
        let script = Script::two().push(other("alice")).push(other("carol"));
        let script = script.push(Event::Send {
            user: "alice".into(),
            device: "phone".into(),
            session: 1,
            version: 5,
            chat: "alice~carol".into(),
            id: Some("id-1".into()),
            body: "body 1".into(),
            tag: 1,
        });
        let script = script.got("bob/phone", 1, "alice", 1);
        script.breaks(
            Promise::Private,
            &format!("seq 1 of {CHAT} is message 1 of alice~carol"),
        );
    }
}
