//! Blocks, receipts off and other requests: good histories that look suspicious, and broken ones.

use bluetick_checker::{Amends, Ask, Event, Past, Promise};

use crate::script::{CHAT, Script};

impl Script {
    fn asked(self, user: &str, request: u64, ask: Ask) -> Self {
        self.push(Event::Asked { user: user.into(), request, ask })
    }

    fn done(self, request: u64) -> Self {
        self.push(Event::Answered { chat: CHAT.into(), request, users: Some(Vec::new()) })
    }

    fn block(self, user: &str, request: u64, blocks: bool) -> Self {
        let ask = Ask::Block { chat: CHAT.into(), blocks };
        self.asked(user, request, ask).done(request)
    }

    fn page(self, device: &str, entries: &[(u64, u64, &str)]) -> Self {
        let (user, device) = device.split_once('/').expect("user/device");
        let entries = entries.iter().map(|(seq, tag, body)| Past {
            seq: *seq,
            id: format!("id-{tag}"),
            from: "alice".into(),
            body: (!body.is_empty()).then(|| (*body).into()),
            amends: None,
        });
        let (user, device, entries) = (user.into(), device.into(), entries.collect());
        self.push(Event::History { user, device, chat: CHAT.into(), entries })
    }
}

/// Alice's message 2 is sent while bob blocks her, 3 after that.
fn blocked() -> Script {
    let script = Script::two().exchange(1..=1).block("bob", 1, true);
    let script = script.send("alice/phone", 2).acked("alice/phone", 2, 2, false);
    let script = script.delivered("alice/phone", 2, "alice", 2).block("bob", 2, false);
    script.send("alice/phone", 3).acked("alice/phone", 3, 3, false).delivered(
        "alice/phone",
        3,
        "alice",
        3,
    )
}

#[test]
fn good_if_what_was_sent_during_a_block_is_passed_over() {
    let script = blocked().got_after("bob/phone", 3, "alice", 3, Some(1));
    script.page("bob/phone", &[(1, 1, "body 1"), (3, 3, "body 3")]).settled().is_good();
}

#[test]
fn broken_if_what_was_sent_during_a_block_comes() {
    let what = "seq 2 of g-1, having blocked alice";
    blocked().got("bob/phone", 2, "alice", 2).breaks(Promise::Private, what);
    blocked().page("bob/phone", &[(2, 2, "body 2")]).breaks(Promise::Private, what);
}

#[test]
fn good_if_nobody_knows_whether_it_was_sent_during_a_block() {
    let ask = |blocks| Ask::Block { chat: CHAT.into(), blocks };
    // Sent before the block was answered.
    let script = Script::two().asked("bob", 1, ask(true)).send("alice/phone", 1).done(1);
    let script = script.acked("alice/phone", 1, 1, false).delivered("alice/phone", 1, "alice", 1);
    script.clone().got("bob/phone", 1, "alice", 1).settled().is_good();
    script.settled().is_good();
    // Acknowledged after the end of the block was asked for.
    let script = Script::two().block("bob", 1, true).send("alice/phone", 1);
    let script = script.asked("bob", 2, ask(false)).acked("alice/phone", 1, 1, false);
    script.got("bob/phone", 1, "alice", 1).is_good();
}

#[test]
fn broken_if_what_was_sent_after_a_block_is_passed_over() {
    let script = blocked().send("alice/phone", 4).acked("alice/phone", 4, 4, false);
    let script = script.delivered("alice/phone", 4, "alice", 4);
    script
        .got_after("bob/phone", 4, "alice", 4, Some(1))
        .breaks(Promise::Ordered, "seq 4 with after 1 passes over seq 3");
    blocked().settled().breaks(Promise::Kept, "seq 3 of g-1 never reached bob");
}

#[test]
fn broken_if_a_block_keeps_the_message_from_its_author() {
    let script = Script::two().exchange(1..=1).block("bob", 1, true);
    let script = script.send("alice/phone", 2).acked("alice/phone", 2, 2, false).settled();
    script.breaks(Promise::Sent, "message 2 of alice in g-1 was acknowledged at seq 2");
}

#[test]
fn broken_if_one_who_blocks_is_told_of() {
    let script = Script::two().exchange(1..=2).send("alice/phone", 3);
    let script = script.acked("alice/phone", 3, 3, false).got("bob/phone", 3, "alice", 3);
    let script = script.block("bob", 1, true).ack_back("bob/phone", 3);
    script.clone().receipt("alice/phone", "bob", 2, 0).is_good();
    script
        .receipt("alice/phone", "bob", 3, 0)
        .breaks(Promise::Receipts, "told delivered 3, having been blocked before");
}

#[test]
fn broken_if_what_is_read_is_told_with_receipts_off() {
    let off = |script: Script| script.asked("bob", 1, Ask::Reading { told: false }).done(1);
    let script = off(Script::two().exchange(1..=2)).read_said("bob/phone", 2);
    let script = script.read_acked("bob/phone", 2);
    script.clone().settled().is_good();
    script
        .receipt("alice/phone", "bob", 2, 2)
        .breaks(Promise::Receipts, "told read 2, which was not said");
    let script = Script::two().exchange(1..=2).send("bob/phone", 3);
    let script = off(script.acked("bob/phone", 3, 3, false)).read_said("alice/phone", 3);
    script.clone().receipt("bob/phone", "alice", 3, 3).is_good();
    let script = script.reconnect("bob/phone").receipt("bob/phone", "alice", 3, 3);
    script.breaks(Promise::Receipts, "told read 3, having receipts off");
}

#[test]
fn broken_if_a_request_takes_effect_twice() {
    let add = || Ask::Members { chat: CHAT.into(), adds: vec!["bob".into()], removes: Vec::new() };
    let answer = |script: Script| {
        let users = Some(vec!["bob".into()]);
        script.push(Event::Answered { chat: CHAT.into(), request: 1, users })
    };
    let remove = Ask::Members { chat: CHAT.into(), adds: Vec::new(), removes: vec!["bob".into()] };
    let script = Script::default().members(&["alice"]).asked("alice", 1, add()).added("bob", 2);
    let script = answer(script).asked("alice", 2, remove).removed("bob", 3);
    let script = answer(script.asked("alice", 1, add()));
    script.clone().settled().is_good();
    script
        .added("bob", 4)
        .settled()
        .breaks(Promise::Once, "bob was made a member of g-1 more often");
}

#[test]
fn good_if_a_page_has_the_latest_edit() {
    let script = Script::two().exchange(1..=1).amend("alice/phone", 2, Amends::Edit(1));
    script.page("bob/phone", &[(1, 1, "body 2")]).is_good();
}

#[test]
fn broken_if_a_page_is_not_the_log() {
    let script = Script::two().exchange(1..=3);
    let broken = |entries: &[(u64, u64, &str)], what: &str| {
        script.clone().page("bob/phone", entries).breaks(Promise::Ordered, what);
    };
    let one = (1, 1, "body 1");
    broken(&[(1, 1, "body 2")], "seq 1 is \"body 2\" of alice, but was \"body 1\"");
    broken(&[(1, 2, "body 1")], "seq 1 is");
    broken(&[one, (3, 3, "body 3")], "seq 3 behind seq 1 without seq 2");
    broken(&[one, one], "seq 1 behind seq 1");
}

#[test]
fn broken_if_a_page_has_what_was_before_or_is_deleted() {
    let script = Script::two().exchange(1..=2).added("carol", 3);
    let script = script.page("carol/phone", &[(2, 2, "body 2")]);
    script.breaks(Promise::Private, "carol/phone read seq 2 of g-1");
    let script = Script::two().exchange(1..=1).amend("alice/phone", 2, Amends::Delete(1));
    let script = script.acked("alice/phone", 2, 2, false).reconnect("bob/phone");
    script.clone().page("bob/phone", &[(1, 1, "")]).is_good();
    script
        .page("bob/phone", &[(1, 1, "body 1")])
        .breaks(Promise::Private, "read \"body 1\" of g-1, seq 1 having been deleted");
}
