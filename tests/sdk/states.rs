//! States of the connection that wait for somebody.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bluetick_client::Connection;

use crate::peer::{Peer, builder};
use crate::proxy::{Fate, Passing, Proxy, Way};
use crate::support::{Server, bluetick};

#[tokio::test]
async fn a_takeover_is_told_and_not_fought_over() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let proxy = Proxy::start(Some(server.address()), |_| Fate::Pass).await;
    let mut first = Peer::connect(proxy.address(), "alice").await;
    first.online().await;
    let second = Peer::connect(server.address(), "alice").await;
    first.state(|state| *state == Connection::TakenOver).await;
    second.online().await;
    assert!(!first.client.connection().recovers());
    // A second of it, with waits of some milliseconds: it does not come back.
    let none = tokio::time::timeout(Duration::from_secs(1), first.events.next()).await;
    assert!(none.is_err(), "{none:?}");
    assert_eq!((proxy.connections(), second.client.connection().is_online()), (1, true));
    second.client.close().await;
    // What was queued meanwhile waits, and goes out when somebody says so.
    let pending = first.with("bob").send("hi").await.expect("queued");
    first.client.reconnect().await.expect("told");
    crate::peer::soon("sent", pending).await.expect("sent");
}

#[tokio::test]
async fn a_connection_that_comes_twice_doubles_nothing() {
    const MESSAGES: u64 = 10;
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    // After the fifth message: CONNECT, SUBSCRIBE and the messages are said again by somebody else.
    let rule = |it: Passing| match it.connection == 0 && it.way == Way::ToServer && it.no == 6 {
        true => Fate::Twice,
        false => Fate::Pass,
    };
    let proxy = Proxy::start(Some(server.address()), rule).await;
    let mut bob = Peer::connect(server.address(), "bob").await;
    bob.online().await;
    let mut alice = Peer::connect(proxy.address(), "alice").await;
    let mut all = Vec::new();
    for count in 1..=MESSAGES {
        all.push(alice.with("bob").send(count.to_string()).await.expect("queued"));
    }
    alice.state(|state| *state == Connection::TakenOver).await;
    alice.client.reconnect().await.expect("told");
    for (count, pending) in (1..).zip(all) {
        let sent = crate::peer::soon("sent", pending).await.expect("sent");
        assert_eq!(sent.seq.0, count);
        assert_eq!(bob.message().await.text(), Some(count.to_string().as_str()));
    }
}

fn set_password(data: &Path, user: &str, password: &str) {
    let mut command = bluetick();
    command.args(["user", "add", user, "--data-dir"]).arg(data).stdin(Stdio::piped());
    let mut child = command.spawn().expect("started");
    child.stdin.take().expect("piped").write_all(password.as_bytes()).expect("written");
    assert!(child.wait().expect("ended").success());
}

#[tokio::test]
async fn a_wrong_password_waits_for_another_one() {
    let dir = tempfile::tempdir().expect("a folder");
    set_password(dir.path(), "alice", "right");
    let server = Server::start_with(dir.path(), &["--mqtt", "127.0.0.1:0"]);
    let proxy = Proxy::start(Some(server.address()), |_| Fate::Pass).await;
    let mut alice = Peer::build(builder(proxy.address(), "alice").password("wrong")).await;
    alice.state(|state| *state == Connection::CredentialsRefused).await;
    let none = tokio::time::timeout(Duration::from_secs(1), alice.events.next()).await;
    assert!(none.is_err() && proxy.connections() == 1, "no storm: {none:?}");
    alice.client.set_password("right");
    alice.online().await;
}

#[tokio::test]
async fn all_handles_gone_is_goodbye() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let watcher = builder(server.address(), "bob").presence(true);
    let mut bob = Peer::build(watcher).await;
    let alice = Peer::connect(server.address(), "alice").await;
    let sent = alice.with("bob").send("hi").await.expect("queued");
    crate::peer::soon("sent", sent).await.expect("sent");
    let online = |wanted| {
        move |event| match event {
            bluetick_client::Event::Presence(presence) if presence.online == wanted => {
                Some(presence)
            }
            _ => None,
        }
    };
    bob.find("alice", online(true)).await;
    let Peer { client, mut events } = alice;
    drop(client);
    // Whoever only listens needs no handle.
    let sent = bob.with("alice").send("still there?").await.expect("queued");
    crate::peer::soon("sent", sent).await.expect("sent");
    let heard = async {
        while let Some(event) = events.next().await {
            if event.message().is_some_and(|message| message.text() == Some("still there?")) {
                return true;
            }
        }
        false
    };
    assert!(crate::peer::soon("a message", heard).await);
    drop(events);
    // DISCONNECT, rather than a loss: it is told at once, with the time.
    assert!(bob.find("her goodbye", online(false)).await.last_seen_ms.is_some());
}

/// A program that only sends and asks takes no message: none counts as delivered for it.
#[tokio::test]
async fn whoever_wants_no_messages_gets_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let alice = Peer::connect(server.address(), "alice").await;
    let sent = alice.with("bob").send("hi").await.expect("queued");
    let sent = crate::peer::soon("sent", sent).await.expect("sent");
    // The device had subscribed to messages in an earlier run.
    let earlier = crate::peer::builder(server.address(), "bob").manual_acks(true);
    let earlier = Peer::build(earlier).await;
    earlier.online().await;
    earlier.client.close().await;
    let asks = Peer::build(crate::peer::builder(server.address(), "bob").messages(false)).await;
    let history = asks.with("alice").history(bluetick_client::Page::Newest, 9).await;
    assert_eq!(history.expect("an answer").len(), 1);
    let answer = asks.with("alice").send("I only send").await.expect("queued");
    crate::peer::soon("sent", answer).await.expect("sent");
    let info = alice.with("bob").info().await.expect("an answer");
    let bob = info.members.iter().find(|member| member.user.as_str() == "bob").expect("a member");
    assert!(bob.delivered < sent.seq, "{bob:?}");
    asks.client.close().await;
    let mut bob = Peer::connect(server.address(), "bob").await;
    bob.find("the message", |event| (event.message()?.seq == sent.seq).then_some(())).await;
}
