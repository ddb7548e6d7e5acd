//! Promise 6: good histories that look suspicious, and broken ones.

use bluetick_checker::{Event, Promise};

use crate::script::{CHAT, Script};

#[test]
fn good_if_refused() {
    let script = Script::two().exchange(1..=1).send("mallory/pc", 2).refused("mallory/pc", 2);
    let script =
        script.attempt("mallory/old", 3, None, 1, 4).answered("mallory/old", 3, None, None);
    script.refused("mallory/old", 3).settled().is_good();
}

#[test]
fn broken_if_a_stranger_reads() {
    let script =
        Script::two().exchange(1..=1).online("mallory/pc").got("mallory/pc", 1, "alice", 1);
    script.breaks(Promise::Private, "mallory/pc got seq 1 of g-1 and is no member");
}

#[test]
fn broken_if_a_stranger_writes() {
    let acked = Script::two().send("mallory/pc", 1).acked("mallory/pc", 1, 1, false);
    acked.breaks(
        Promise::Private,
        "message 1 of mallory/pc in g-1 was acknowledged; he is no member",
    );
    let got = Script::two().send("mallory/pc", 1).refused("mallory/pc", 1).got(
        "bob/phone",
        1,
        "mallory",
        1,
    );
    got.breaks(Promise::Private, "seq 1 of g-1 is \"body 1\" of mallory, who is no member");
    let forged =
        Script::two().attempt("mallory/old", 1, None, 1, 4).answered("mallory/old", 1, None, None);
    let forged = forged.received("bob/phone", 1, "alice", Some("x"), Some("body 1"), None);
    forged.breaks(Promise::Private, "seq 1 of g-1 is message 1 of mallory, who is no member");
}

#[test]
fn broken_if_a_stranger_learns() {
    let script = Script::two().exchange(1..=1).receipt("mallory/pc", "bob", 1, 0);
    script.breaks(Promise::Private, "mallory/pc was told of bob in g-1 and is no member");
    let script = Script::two().exchange(1..=1).ack_back("mallory/pc", 1).receipt(
        "alice/phone",
        "mallory",
        1,
        0,
    );
    script.breaks(Promise::Private, "alice/phone was told of mallory in g-1, who is no member");
}

#[test]
fn broken_if_a_late_member_gets_what_was_before() {
    let script = Script::two().exchange(1..=2).members(&["carol"]).online("carol/phone");
    script
        .got("carol/phone", 2, "alice", 2)
        .breaks(Promise::Private, "from before he was a member");
}

#[test]
fn broken_if_an_answer_tells_a_chat_from_none() {
    let probed = |chat: &str, answer: &str| Event::Probed {
        user: "mallory".into(),
        chat: chat.into(),
        probe: "publish chats/{name}/send".into(),
        answer: answer.into(),
    };
    let script = Script::two().push(probed(CHAT, "0x87 no")).push(probed("g-none", "0x87 no"));
    script.is_good();
    let script = script.push(probed("g-other", "0x87 there is none"));
    script.breaks(Promise::Private, "mallory tried publish chats/{name}/send in g-other");
}

#[test]
fn broken_if_a_stranger_hears_something() {
    let (user, topic) = ("mallory".into(), "chats/g-1/typing".into());
    let script = Script::two().push(Event::Overheard { user, topic });
    script.breaks(Promise::Private, "mallory was told chats/g-1/typing");
}

#[test]
fn broken_if_a_message_strays() {
    let other = |user: &str| Event::Member { chat: "alice~carol".into(), user: user.into() };
    let script = Script::two().push(other("alice")).push(other("carol"));
    let script = script.push(Event::Send {
        user: "alice".into(),
        device: "phone".into(),
        session: 1,
        version: 5,
        chat: "alice~carol".into(),
        id: Some("id-1".into()),
        body: "body 1".into(),
        amends: None,
        tag: 1,
    });
    let script = script.got("bob/phone", 1, "alice", 1);
    script.breaks(Promise::Private, &format!("seq 1 of {CHAT} is message 1 of alice~carol"));
}
