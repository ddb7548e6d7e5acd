//! Edits, deletions and reactions: good histories that look suspicious, and broken ones.

use bluetick_checker::{Amends, Event, Promise};

use crate::script::{CHAT, Script};

/// Alice's message 1 has been delivered to herself; she deletes it, as entry 2.
fn deleted() -> Script {
    let script = Script::two().send("alice/phone", 1).acked("alice/phone", 1, 1, false);
    let script = script.delivered("alice/phone", 1, "alice", 1);
    let script = script.amend("alice/phone", 2, Amends::Delete(1));
    script.acked("alice/phone", 2, 2, false)
}

fn got(device: &str, seq: u64, tag: u64, body: Option<&str>, amends: Option<Amends>) -> Event {
    let (user, device) = device.split_once('/').expect("user/device");
    Event::Received {
        user: user.into(),
        device: device.into(),
        chat: CHAT.into(),
        seq,
        id: Some(format!("id-{tag}")),
        from: "alice".into(),
        body: body.map(Into::into),
        amends,
        deleted: body.is_none() && amends.is_none(),
        after: None,
        qos: 1,
    }
}

fn deletion(device: &str) -> Event {
    got(device, 2, 2, None, Some(Amends::Delete(1)))
}

#[test]
fn good_if_what_is_deleted_comes_without_its_body() {
    let script = deleted().push(got("bob/phone", 1, 1, None, None)).push(deletion("bob/phone"));
    script.push(deletion("alice/phone")).settled().is_good();
}

#[test]
fn good_if_a_deleted_body_was_on_its_way() {
    let script = deleted().got("bob/phone", 1, "alice", 1).push(deletion("bob/phone"));
    script.push(deletion("alice/phone")).settled().is_good();
    // His answer is to what he sent before.
    let script = Script::two().send("bob/phone", 9).send("alice/phone", 1);
    let script = script.acked("alice/phone", 1, 1, false);
    let script = script.amend("alice/phone", 2, Amends::Delete(1));
    let script = script.acked("alice/phone", 2, 2, false).acked("bob/phone", 9, 3, false);
    script.got("bob/phone", 1, "alice", 1).is_good();
}

#[test]
fn good_if_a_deletion_was_refused_once() {
    let script = Script::two().send("alice/phone", 1).acked("alice/phone", 1, 1, false);
    let script = script.amend("alice/phone", 2, Amends::Delete(1)).disconnect("alice/phone");
    let script = script.connect("alice/phone", false, true);
    let script = script.amend("alice/phone", 2, Amends::Delete(1)).refused("alice/phone", 2);
    script.push(got("bob/phone", 1, 1, None, None)).is_good();
}

#[test]
fn broken_if_a_deleted_body_comes() {
    let script = deleted().reconnect("bob/phone").got("bob/phone", 1, "alice", 1);
    script.breaks(Promise::Private, "got \"body 1\" of g-1, seq 1 having been deleted");
    let script = deleted().send("bob/phone", 9).acked("bob/phone", 9, 3, false);
    let script = script.got("bob/phone", 1, "alice", 1);
    script.breaks(Promise::Private, "seq 1 having been deleted");
}

#[test]
fn broken_if_an_edit_of_a_deleted_body_comes() {
    let script = Script::two().send("alice/phone", 1).acked("alice/phone", 1, 1, false);
    let script = script.amend("alice/phone", 2, Amends::Edit(1)).acked("alice/phone", 2, 2, false);
    let script = script.amend("alice/phone", 3, Amends::Delete(1));
    let script = script.acked("alice/phone", 3, 3, false).reconnect("bob/phone");
    let script = script.push(got("bob/phone", 1, 1, None, None));
    let edit = got("bob/phone", 2, 2, Some("body 2"), Some(Amends::Edit(1)));
    script.push(edit).breaks(Promise::Private, "got \"body 2\" of g-1, seq 1 having been deleted");
}

#[test]
fn broken_if_a_body_is_gone_that_nobody_deleted() {
    let script = Script::two().send("alice/phone", 1).acked("alice/phone", 1, 1, false);
    let gone = got("bob/phone", 1, 1, None, None);
    let what = "bob/phone got seq 1 of g-1 as deleted, which nobody did";
    script.clone().push(gone.clone()).breaks(Promise::Kept, what);
    let refused = script.amend("bob/phone", 2, Amends::Delete(1)).refused("bob/phone", 2);
    refused.push(gone).breaks(Promise::Kept, what);
}

#[test]
fn broken_if_an_amendment_changes_what_it_amends() {
    let script = deleted().got("bob/phone", 1, "alice", 1);
    let other = got("bob/phone", 2, 2, None, Some(Amends::Delete(7)));
    script.push(other).breaks_among_others(Promise::Sent, "message 2 of alice");
}
