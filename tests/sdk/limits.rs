//! Too much, too fast, too large, too slow.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use bluetick_client::{ErrorKind, Event, Seq};

use crate::peer::{Peer, builder, soon, user};
use crate::proxy::{Fate, Proxy};
use crate::support::Server;

#[tokio::test]
async fn a_slow_application_holds_little_and_the_server_keeps_the_rest() {
    const MESSAGES: u64 = 200;
    const AHEAD: u16 = 8;
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let proxy = Proxy::start(Some(server.address()), |_| Fate::Pass).await;
    let slow = builder(proxy.address(), "bob").unacked_max(AHEAD);
    let mut bob = Peer::build(slow).await;
    bob.online().await;
    let alice = Peer::connect(server.address(), "alice").await;
    let chat = alice.with("bob");
    for count in 1..=MESSAGES {
        let _queued = chat.send(count.to_string()).await.expect("queued");
    }
    soon("all sent", alice.client.flush()).await;
    // Requests are answered though he takes nothing: he learns that nothing is delivered to him.
    let info = soon("info", bob.client.chat(chat.id()).info()).await.expect("told");
    let of_bob = info.members.iter().find(|member| member.user == user("bob")).expect("a member");
    assert_eq!(of_bob.delivered, Seq::ZERO);
    // The answer is one more.
    assert!(proxy.published() <= usize::from(AHEAD) + 1, "{} sent ahead", proxy.published());
    for count in 1..=MESSAGES {
        assert_eq!(bob.message().await.seq, Seq(count));
    }
    let all = |event| match event {
        Event::Receipt(receipt) if receipt.delivered == Seq(MESSAGES) => Some(()),
        _ => None,
    };
    let mut alice = alice;
    alice.find("all delivered", all).await;
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let of_bob = || builder(server.address(), "bob").manual_acks(true);
    let mut bob = Peer::build(of_bob()).await;
    bob.online().await;
    let alice = Peer::connect(server.address(), "alice").await;
    let chat = alice.with("bob");
    for body in ["one", "two", "three"] {
        soon("sent", chat.send(body).await.expect("queued")).await.expect("sent");
    }
    let first = bob.message().await;
    let (second, third) = (bob.message().await, bob.message().await);
    bob.events.ack(&first);
    // Not before the second is: its PUBACK waits for that of the one before.
    bob.events.ack(&third);
    let mut alice = alice;
    delivered(&mut alice, Seq(1)).await;
    bob.client.close().await;
    let mut bob = Peer::build(of_bob()).await;
    assert_eq!((bob.message().await, bob.message().await), (second.clone(), third.clone()));
    bob.events.ack(&second);
    bob.events.ack(&third);
    delivered(&mut alice, Seq(3)).await;
    bob.client.close().await;
    let mut bob = Peer::build(of_bob()).await;
    soon("sent", chat.send("four").await.expect("queued")).await.expect("sent");
    assert_eq!(bob.message().await.text(), Some("four"));
}

/// Waits until the author is told so: a PUBACK is on its way until then, and may come too late for a device
/// that is back at once.
async fn delivered(author: &mut Peer, seq: Seq) {
    let found = |event| match event {
        Event::Receipt(receipt) if receipt.delivered >= seq => Some(receipt.delivered),
        _ => None,
    };
    assert_eq!(author.find("a receipt", found).await, seq);
}

#[tokio::test]
async fn too_large_is_said_of_the_one_that_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let alice = Peer::connect(server.address(), "alice").await;
    let chat = alice.with("bob");
    let before = chat.send("before").await.expect("queued");
    // More than the server takes as a body, and more than it takes as a packet.
    let large = chat.send(vec![b'x'; 300_000]).await.expect("queued");
    let huge = chat.send(vec![b'x'; 2_000_000]).await.expect("queued");
    let after = chat.send("after").await.expect("queued");
    assert_eq!(soon("before", before).await.expect("sent").seq, Seq(1));
    for (too_large, code) in [(large, 0x83), (huge, 0x95)] {
        let error = soon("refused", too_large).await.expect_err("too large");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Refused, Some(code)));
    }
    assert_eq!(soon("after", after).await.expect("sent").seq, Seq(2));
}

#[tokio::test]
async fn what_is_too_much_at_once_is_sent_more_slowly() {
    const MESSAGES: u64 = 60;
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("bluetick.toml");
    fs::write(&config, "[quota]\nchat_messages_per_s = 5\n").expect("written");
    let config = config.to_str().expect("UTF-8");
    let flags = ["--dev", "--mqtt", "127.0.0.1:0", "--config", config];
    let server = Server::start_with(&dir.path().join("data"), &flags);
    let alice = Peer::connect(server.address(), "alice").await;
    let chat = alice.with("bob");
    let mut all = Vec::new();
    for count in 0..MESSAGES {
        all.push(chat.send(count.to_string()).await.expect("queued"));
    }
    let mut seqs = HashSet::new();
    for pending in all {
        seqs.insert(soon("sent in the end", pending).await.expect("sent").seq.0);
    }
    assert_eq!(seqs, (1..=MESSAGES).collect());
}

#[tokio::test]
async fn who_drops_a_pending_hears_of_a_refusal_all_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let mut alice = Peer::connect(server.address(), "alice").await;
    let strange = "g-000000000000".parse().expect("a name");
    let pending = alice.client.chat(&strange).send("hello?").await.expect("queued");
    let id = pending.id();
    drop(pending);
    let failed = |event| match event {
        Event::NotSent { chat, id, error } => Some((chat, id, error.code())),
        _ => None,
    };
    assert_eq!(alice.find("a refusal", failed).await, (strange, id, Some(0x87)));
    // And a request that takes too long is given up.
    let hasty = builder(server.address(), "hasty").request_timeout(Duration::ZERO);
    let error = Peer::build(hasty).await.client.devices().await.expect_err("no time");
    assert_eq!(error.kind(), ErrorKind::Timeout);
}
