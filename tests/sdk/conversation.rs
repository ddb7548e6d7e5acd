//! What one does in chats, in both dialects.

use bluetick_client::{
    Dialect, Draft, ErrorKind, Event, GroupEvent, GroupUpdate, LastSeen, Page, Profile, Role, Seq,
};

use crate::peer::{Peer, builder, soon, user};
use crate::support::Server;

#[tokio::test]
async fn three_ticks_in_json() {
    three_ticks(Dialect::Json).await;
}

#[tokio::test]
async fn three_ticks_in_the_compact_dialect() {
    three_ticks(Dialect::Compact).await;
}

async fn three_ticks(dialect: Dialect) {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let of = |name| builder(server.address(), name).dialect(dialect).typing(true).presence(true);
    let (mut alice, mut bob) = (Peer::build(of("alice")).await, Peer::build(of("bob")).await);
    bob.online().await;
    let draft = Draft::text("*hello*").content_type("text/markdown").mention(user("bob"));
    let pending = alice.with("bob").send(draft).await.expect("queued");
    let id = pending.id();
    let sent = soon("one tick", pending).await.expect("sent");
    assert_eq!((sent.id, sent.seq, sent.duplicate), (id, Seq(1), false));
    let got = bob.message().await;
    assert_eq!((got.seq, got.text(), got.at_ms), (sent.seq, Some("*hello*"), sent.at_ms));
    assert_eq!(
        (got.content_type.as_str(), got.mentions.as_slice()),
        ("text/markdown", &[user("bob")][..])
    );
    let receipt = |at| {
        move |event| match event {
            Event::Receipt(receipt) if receipt.user == user("bob") && receipt.delivered >= at => {
                Some(receipt)
            }
            _ => None,
        }
    };
    alice.find("two ticks", receipt(sent.seq)).await;
    let chat = bob.client.chat(&got.chat);
    soon("the mark", chat.read(got.seq)).await.expect("heard");
    let read = move |event| receipt(sent.seq)(event).filter(|receipt| receipt.read >= sent.seq);
    alice.find("blue ticks", read).await;

    chat.typing(true).await.expect("said");
    let typing = |event| match event {
        Event::Typing(typing) => Some(typing),
        _ => None,
    };
    let typing = alice.find("typing", typing).await;
    assert_eq!((typing.user, typing.typing), (user("bob"), true));

    let answer = Draft::bytes([0xff, 0]).reply_to(sent.seq);
    soon("an answer", chat.send(answer).await.expect("queued")).await.expect("sent");
    let found = |event| match event {
        Event::Message(message) if message.from == user("bob") => Some(message),
        _ => None,
    };
    let got = alice.find("the answer", found).await;
    assert_eq!((got.body.as_deref(), got.reply_to), (Some(&[0xff, 0][..]), Some(sent.seq)));
}

#[tokio::test]
async fn what_was_said_changes() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let mut bob = Peer::connect(server.address(), "bob").await;
    let alice = Peer::connect(server.address(), "alice").await;
    let chat = alice.with("bob");
    let of = soon("sent", chat.send("helo").await.expect("queued")).await.expect("sent").seq;
    soon("edited", chat.edit(of, "hello").await.expect("queued")).await.expect("sent");
    soon("reacted", chat.react(of, "👍").await.expect("queued")).await.expect("sent");
    soon("deleted", chat.delete(of).await.expect("queued")).await.expect("sent");
    let edit = |event| match event {
        Event::Edited { of, by } => Some((of, by.text().map(str::to_owned))),
        _ => None,
    };
    assert_eq!(bob.find("the edit", edit).await, (of, Some("hello".to_owned())));
    let reaction = |event| match event {
        Event::Reaction { to, by } => Some((to, by.text().map(str::to_owned))),
        _ => None,
    };
    assert_eq!(bob.find("the reaction", reaction).await, (of, Some("👍".to_owned())));
    let deleted = |event| match event {
        Event::Deleted { of: seq, by } => Some((seq, by.seq)),
        _ => None,
    };
    assert_eq!(bob.find("the deletion", deleted).await, (of, Seq(4)));
    let history = soon("history", chat.history(Page::Newest, 10)).await.expect("answered");
    assert!(history[0].deleted && history[0].body.is_none());
    assert_eq!(history.iter().map(|entry| entry.seq.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let error = chat.react(of, "two words").await.expect_err("no emoji");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let again = soon("refused", chat.edit(of, "x").await.expect("queued")).await;
    let error = again.expect_err("it is deleted");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Refused, Some(0x87)));
}

#[tokio::test]
async fn a_group_from_its_creation_to_its_last_member() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let mut rosa = Peer::connect(server.address(), "rosa").await;
    let pia = Peer::connect(server.address(), "pia").await;
    // `--dev`: who has connected exists.
    rosa.online().await;
    let group = pia.client.create_group("Run", [user("rosa")]);
    let group = soon("a group", group).await.expect("made");
    let created = |event| match event {
        Event::Membership { what: GroupEvent::Created { members, .. }, by } => Some((members, by)),
        _ => None,
    };
    let (members, by) = rosa.find("the group", created).await;
    assert_eq!((members.len(), by.from, by.chat), (2, user("pia"), group.id().clone()));
    let added = soon("added", group.add([user("sven"), user("rosa")])).await.expect("added");
    assert_eq!(added, [user("sven")]);
    soon("role", group.set_role(&user("rosa"), Role::Admin)).await.expect("given");
    let update = GroupUpdate { title: Some("Ride".to_owned()), ..GroupUpdate::default() };
    soon("update", group.update(update)).await.expect("changed");
    soon("ttl", group.set_ttl(Some(std::time::Duration::from_secs(60)))).await.expect("set");
    let removed = soon("removed", group.remove([user("sven")])).await.expect("removed");
    assert_eq!(removed, [user("sven")]);
    let info = soon("info", group.info()).await.expect("told");
    assert_eq!((info.title.as_deref(), info.ttl_s, info.members.len()), (Some("Ride"), 60, 2));
    soon("left", group.leave()).await.expect("left");
    let refused = soon("info", group.info()).await.expect_err("no member any more");
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Refused, Some(0x87)));
    let owner = |event| match event {
        Event::Membership { what: GroupEvent::Role { user, role: Role::Owner }, .. } => Some(user),
        _ => None,
    };
    assert_eq!(rosa.find("the new owner", owner).await, user("rosa"));
    let left = |event| match event {
        Event::Membership { what: GroupEvent::Left, by } => Some(by.from),
        _ => None,
    };
    assert_eq!(rosa.find("who left", left).await, user("pia"));
}

#[tokio::test]
async fn requests_about_oneself_and_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let zeno = Peer::build(builder(server.address(), "zeno").program("a test 1")).await;
    let mut yara = Peer::connect(server.address(), "yara").await;
    let chat = yara.with("zeno");
    soon("sent", chat.send("hi").await.expect("queued")).await.expect("sent");
    let profile = Profile { name: Some("Zeno".to_owned()), ..Profile::default() };
    soon("profile", zeno.client.set_profile(profile.clone())).await.expect("set");
    assert_eq!(soon("profile", yara.client.profile(&user("zeno"))).await, Ok(profile));
    let chats = soon("chats", zeno.client.chats(None)).await.expect("told").chats;
    assert_eq!((&chats[0].chat, chats[0].unread), (chat.id(), 1));
    let of_zeno = zeno.client.chat(chat.id());
    soon("mute", of_zeno.mute(1_999_999_999_999)).await.expect("muted");
    let muted = soon("chats", zeno.client.chats(None)).await.expect("told").chats;
    assert_eq!(muted[0].muted_until_ms, Some(1_999_999_999_999));
    soon("unmute", of_zeno.unmute()).await.expect("unmuted");
    soon("block", zeno.client.block(&user("yara"))).await.expect("blocked");
    soon("unblock", zeno.client.unblock(&user("yara"))).await.expect("unblocked");
    soon("privacy", zeno.client.set_last_seen(LastSeen::Nobody)).await.expect("set");
    soon("privacy", zeno.client.set_read_receipts(false)).await.expect("set");
    let devices = soon("devices", zeno.client.devices()).await.expect("told");
    let device = (devices[0].device.as_str(), devices[0].client.as_deref());
    assert_eq!(device, ("zeno-sdk", Some("a test 1, MQTT 5")));
    let gone = soon("removed", zeno.client.remove_device("tablet")).await.expect_err("none");
    assert_eq!(gone.kind(), ErrorKind::Refused);
    // A stranger and nobody are the same.
    let error = soon("profile", yara.client.profile(&user("nobody"))).await.expect_err("nobody");
    assert_eq!(error.code(), Some(0x87));
    soon("removed", yara.client.remove_device("yara-sdk")).await.ok();
    yara.state(|state| *state == bluetick_client::Connection::TakenOver).await;
}
