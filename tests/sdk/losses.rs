//! Connections that are lost: at every packet, again and again, and the promises over all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bluetick_checker::{Event as Seen, History, Scope, check};
use bluetick_client::{Connection, Event, Seq};

use crate::peer::{Peer, builder, soon};
use crate::proxy::{Fate, PUBLISH, Passing, Proxy, Way};
use crate::support::Server;

/// Packets of each way at which the connection is cut, one connection each: a conversation has no more.
const PACKETS: usize = 12;

/// Messages of a conversation that is cut once.
const FEW: usize = 3;

#[tokio::test]
async fn a_cut_at_every_packet_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    for way in [Way::ToServer, Way::ToClient] {
        for fate in [Fate::CutBefore, Fate::CutWithin, Fate::CutAfter] {
            let conversations = (0..PACKETS).map(|no| cut_once(&server, way, fate, no));
            futures(conversations).await;
        }
    }
}

/// All at once.
async fn futures(all: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|one| one.as_mut().poll(context).is_pending());
        match all.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}

/// A conversation both ways, whose first connection is cut there.
async fn cut_once(server: &Server, way: Way, fate: Fate, no: usize) {
    let rule = move |it: Passing| match it.connection == 0 && it.way == way && it.no == no {
        true => fate,
        false => Fate::Pass,
    };
    let proxy = Proxy::start(Some(server.address()), rule).await;
    let run = format!("{way:?}-{fate:?}-{no}").to_lowercase();
    let [ann, ben] = ["ann", "ben"].map(|name| format!("{name}-{run}"));
    let mut ben_peer = Peer::connect(server.address(), &ben).await;
    let mut ann_peer = Peer::connect(proxy.address(), &ann).await;
    let mut pending = Vec::new();
    for count in 0..FEW {
        let body = format!("{run} {count}");
        pending.push(ann_peer.with(&ben).send(body).await.expect("queued"));
    }
    for (at, pending) in (1..).zip(pending) {
        let sent = soon("sent", pending).await.expect("sent");
        assert_eq!(sent.seq, Seq(at), "{run}");
    }
    for count in 0..FEW {
        let message = ben_peer.message().await;
        let expected = (Seq(count as u64 + 1), Some(format!("{run} {count}")));
        assert_eq!((message.seq, message.text().map(str::to_owned)), expected, "{run}");
        let chat = ben_peer.client.chat(&message.chat);
        let _queued = chat.send(format!("re {}", message.seq)).await.expect("queued");
    }
    // Her own come back to her, and his answers.
    let mut seen = Vec::new();
    for _ in 0..2 * FEW {
        seen.push(ann_peer.message().await.seq.0);
    }
    assert_eq!(seen, (1..=2 * FEW as u64).collect::<Vec<_>>(), "{run}");
    ann_peer.client.close().await;
    while let Some(event) = ann_peer.events.next().await {
        assert!(event.message().is_none(), "{run}: twice {event:?}");
    }
}

#[tokio::test]
async fn a_thousand_messages_through_fifty_disconnections() {
    const MESSAGES: usize = 1000;
    const CUTS: usize = 50;
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let history = Arc::new(Mutex::new(History::default()));
    let mut proxies = Vec::new();
    for seed in [1, 2] {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut cuts = 0;
        let rule = move |it: Passing| {
            // Some packets into a connection, at any of them, on either way.
            if cuts < CUTS && it.no > 4 && random.usize(..20) == 0 {
                cuts += 1;
                return random
                    .choice([Fate::CutBefore, Fate::CutWithin, Fate::CutAfter])
                    .expect("one of three");
            }
            match random.usize(..50) {
                0 => Fate::Delay(Duration::from_millis(random.u64(..5))),
                _ => Fate::Pass,
            }
        };
        proxies.push(Proxy::start(Some(server.address()), rule).await);
    }
    for user in ["alice", "bob"] {
        record(&history, Seen::Member { chat: "alice~bob".into(), user: user.into() });
    }
    let outbox = dir.path().join("outbox");
    let sender =
        Peer::build(builder(proxies[0].address(), "alice").outbox(outbox).own_messages(false))
            .await;
    let receiver = Peer::build(builder(proxies[1].address(), "bob")).await;
    let chat = sender.with("bob");
    let sending = async {
        let mut pending = Vec::new();
        for tag in 0..MESSAGES {
            let body = format!("message {tag}");
            let queued = chat.send(body.as_str()).await.expect("queued");
            record(&history, send(tag as u64, tag as u64, queued.id().to_string(), body));
            pending.push(queued);
        }
        for (tag, pending) in pending.into_iter().enumerate() {
            let sent = pending.await.expect("sent");
            let (seq, duplicate) = (Some(sent.seq.0), Some(sent.duplicate));
            if sent.duplicate {
                // The SDK does not tell of each attempt; that there was another one is what this says.
                let (id, body) = (sent.id.to_string(), format!("message {tag}"));
                record(&history, send(MESSAGES as u64 + tag as u64, tag as u64, id, body));
            }
            let (user, device) = ("alice".to_owned(), "alice-sdk".to_owned());
            record(&history, Seen::Acked { user, device, tag: tag as u64, seq, duplicate });
            assert_eq!(sent.seq.0, tag as u64 + 1, "in order");
        }
    };
    let receiving = watch(receiver, &history, MESSAGES);
    let (receiver, ()) =
        soon("a thousand messages", async { tokio::join!(receiving, sending) }).await;
    record(&history, Seen::Settled {});
    let history = history.lock().expect("whole").clone();
    let violations = check(&history);
    assert_eq!(violations, [], "{} events", history.len());
    let connections: usize = proxies.iter().map(Proxy::connections).sum();
    assert!(connections > 2 * CUTS, "{connections} connections");
    drop((sender, receiver));
}

fn record(history: &Mutex<History>, seen: Seen) {
    history.lock().expect("whole").push(seen);
}

fn send(session: u64, tag: u64, id: String, body: String) -> Seen {
    Seen::Send {
        user: "alice".into(),
        device: "alice-sdk".into(),
        // Without DUP, each attempt is one of its own.
        session,
        version: 5,
        chat: "alice~bob".into(),
        id: Some(id),
        body,
        amends: None,
        tag,
    }
}

/// Takes events and records them, until so many messages have come: bodies in their order.
async fn watch(mut peer: Peer, history: &Mutex<History>, messages: usize) -> Peer {
    let (user, device) = (peer.client.user().to_string(), "bob-sdk".to_owned());
    let mut online = false;
    let mut taken = 0;
    while taken < messages {
        match peer.events.next().await.expect("the client lives") {
            Event::Connection(Connection::Online { session_present }) => {
                let (user, device) = (user.clone(), device.clone());
                if std::mem::replace(&mut online, true) {
                    record(
                        history,
                        Seen::Disconnected { user: user.clone(), device: device.clone() },
                    );
                }
                record(
                    history,
                    Seen::Connected {
                        user: user.clone(),
                        device: device.clone(),
                        session_present,
                        persistent: true,
                    },
                );
                if !session_present {
                    for receipts in [false, true] {
                        let (user, device) = (user.clone(), device.clone());
                        record(
                            history,
                            Seen::Subscribed {
                                user,
                                device,
                                chats: Scope::All,
                                qos: 1,
                                receipts,
                                no_local: false,
                            },
                        );
                    }
                }
            }
            Event::Connection(_) if online => {
                online = false;
                record(history, Seen::Disconnected { user: user.clone(), device: device.clone() });
            }
            Event::Message(message) => {
                assert!(!message.repaired, "no hole");
                assert_eq!(message.text(), Some(format!("message {taken}").as_str()));
                taken += 1;
                let (chat, seq) = (message.chat.to_string(), message.seq.0);
                record(
                    history,
                    Seen::Received {
                        user: user.clone(),
                        device: device.clone(),
                        chat: chat.clone(),
                        seq,
                        id: message.id.map(|id| id.to_string()),
                        from: message.from.to_string(),
                        body: message.text().map(str::to_owned),
                        amends: None,
                        deleted: false,
                        after: None,
                        qos: 1,
                    },
                );
                // The task that acknowledges runs when this one waits for the next.
                record(
                    history,
                    Seen::AckedBack { user: user.clone(), device: device.clone(), chat, seq },
                );
            }
            Event::Missed { .. } | Event::NotSent { .. } => panic!("a loss"),
            _ => {}
        }
    }
    peer
}

#[tokio::test]
async fn a_hole_is_closed_from_history_before_what_follows() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    // The third message to bob is lost on the way, as no server and no network should.
    let mut published = 0;
    let rule = move |it: Passing| {
        let is_publish = it.way == Way::ToClient && it.kind == PUBLISH;
        published += usize::from(is_publish);
        if is_publish && published == 3 { Fate::Swallow } else { Fate::Pass }
    };
    let proxy = Proxy::start(Some(server.address()), rule).await;
    let mut bob = Peer::connect(proxy.address(), "bob").await;
    bob.online().await;
    let alice = Peer::connect(server.address(), "alice").await;
    let chat = alice.with("bob");
    for count in 1..=5 {
        soon("sent", chat.send(count.to_string()).await.expect("queued")).await.expect("sent");
    }
    let mut seen = HashMap::new();
    for count in 1..=5 {
        let message = bob.message().await;
        assert_eq!((message.seq, message.text()), (Seq(count), Some(count.to_string().as_str())));
        seen.insert(count, message.repaired);
    }
    let repaired: Vec<_> = (1..=5).filter(|count| seen[count]).collect();
    assert_eq!(repaired, [3]);
}

#[tokio::test]
async fn a_server_that_is_down_at_the_start_and_restarted_later() {
    let dir = tempfile::tempdir().expect("a folder");
    let proxy = Proxy::start(None, |_| Fate::Pass).await;
    let mut alice = Peer::connect(proxy.address(), "alice").await;
    alice.state(|state| matches!(state, Connection::Offline { .. })).await;
    assert!(alice.client.last_loss().is_some());
    let first = alice.with("bob").send("first").await.expect("queued");
    assert_eq!(alice.client.queued_len(), 1);
    let mut server = Server::start(dir.path());
    proxy.set_server(server.address());
    assert_eq!(soon("sent", first).await.expect("sent").seq, Seq(1));
    server.kill();
    let second = alice.with("bob").send("second").await.expect("queued");
    let server = Server::start(dir.path());
    proxy.set_server(server.address());
    assert_eq!(soon("sent", second).await.expect("sent").seq, Seq(2));
    soon("an empty outbox", alice.client.flush()).await;
    // SIGTERM sends away with 0x8B: the client is back as soon as there is a server.
    assert_eq!(server.terminate(), Some(0));
    alice.state(|state| matches!(state, Connection::Offline { .. })).await;
    let server = Server::start(dir.path());
    proxy.set_server(server.address());
    alice.online().await;
}
