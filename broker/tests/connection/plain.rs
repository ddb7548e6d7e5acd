//! Plain topics over connections in memory, with a keeper that says when it has kept.

use bluetick_broker::keep::{KeptPlace, MemoryKeeper};
use bluetick_broker::{Broker, Limits};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::host::{Anybody, dial};

fn broker(keeper: &MemoryKeeper, limits: Limits) -> Broker<Anybody> {
    let kept = keeper.kept();
    Broker::with_keeper(Anybody::default(), limits, Arc::new(keeper.clone()), kept)
}

/// A client by hand.
struct Client(DuplexStream);

impl Client {
    /// Connects with MQTT 5 and a session that lives on for 1000 s.
    async fn connect(broker: &Broker<Anybody>, id: &str) -> Self {
        Self::connect_for(broker, id, 1000).await
    }

    async fn connect_for(broker: &Broker<Anybody>, id: &str, expiry_s: u32) -> Self {
        let mut client = Self(dial(broker));
        let mut body = b"\x00\x04MQTT\x05\x00\x00\x00\x05\x11".to_vec();
        body.extend_from_slice(&expiry_s.to_be_bytes());
        body.extend_from_slice(&[0, u8::try_from(id.len()).expect("short")]);
        body.extend_from_slice(id.as_bytes());
        client.send(&[&[0x10, u8::try_from(body.len()).expect("short")], &body[..]].concat()).await;
        assert_eq!(client.next().await[0], 0x20);
        client
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("taken");
    }

    /// The next packet: first byte and body.
    async fn next(&mut self) -> Vec<u8> {
        let mut header = [0; 2];
        self.0.read_exact(&mut header).await.expect("a packet");
        let mut body = vec![0; usize::from(header[1])];
        self.0.read_exact(&mut body).await.expect("all of it");
        [&header[..1], &body].concat()
    }

    /// Nothing but the answer to a PINGREQ is on its way.
    async fn is_silent(&mut self) {
        self.send(b"\xC0\x00").await;
        assert_eq!(self.next().await, b"\xD0");
    }

    async fn subscribe(&mut self, filter: &str, options: u8) -> u8 {
        let length = u8::try_from(filter.len()).expect("short");
        let header = [0x82, 6 + length, 0, 1, 0, 0, length];
        self.send(&[&header, filter.as_bytes(), &[options]].concat()).await;
        self.next().await[4]
    }

    /// At QoS 1 or 2 with this packet id, at QoS 0 with 0.
    async fn publish(&mut self, first: u8, topic: &str, packet_id: u8, body: &str) {
        let (topic_len, body_len) = (topic.len() as u8, body.len() as u8);
        let id: &[u8] = if packet_id == 0 { &[] } else { &[0, packet_id] };
        let length = 3 + topic_len + id.len() as u8 + body_len;
        let header = [first, length, 0, topic_len];
        self.send(&[&header, topic.as_bytes(), id, &[0], body.as_bytes()].concat()).await;
    }

    /// Leaves without a word, and waits until the broker has noticed.
    async fn lose(self, broker: &Broker<Anybody>) {
        let before = broker.sessions().0;
        drop(self);
        while broker.sessions().0 == before {
            tokio::task::yield_now().await;
        }
    }
}

fn body(publish: &[u8]) -> String {
    let text = publish.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric());
    let text: Vec<u8> = text.copied().collect();
    text.iter().rev().map(|byte| char::from(*byte)).collect()
}

#[tokio::test]
async fn a_puback_waits_until_what_waits_is_kept() {
    let keeper = MemoryKeeper::default();
    let broker = broker(&keeper, Limits::default());
    let mut bob = Client::connect(&broker, "bob").await;
    assert_eq!(bob.subscribe("t", 1).await, 1);
    bob.lose(&broker).await;
    let mut alice = Client::connect(&broker, "alice").await;
    keeper.hold();
    alice.publish(0x32, "t", 1, "waits").await;
    alice.is_silent().await;
    // Who is back meanwhile is not given what is not kept, nor what comes behind it.
    let mut bob = Client::connect(&broker, "bob").await;
    alice.publish(0x30, "t", 0, "behind").await;
    alice.is_silent().await;
    bob.is_silent().await;
    keeper.let_go();
    assert_eq!(alice.next().await, b"\x40\x00\x01");
    assert_eq!(body(&bob.next().await), "waits");
    assert_eq!(body(&bob.next().await), "behind");
}

#[tokio::test]
async fn what_reaches_only_those_on_line_is_not_kept() {
    let keeper = MemoryKeeper::default();
    let broker = broker(&keeper, Limits::default());
    let mut bob = Client::connect(&broker, "bob").await;
    bob.subscribe("t", 1).await;
    let mut alice = Client::connect(&broker, "alice").await;
    let commits = keeper.commits();
    alice.publish(0x32, "t", 1, "x").await;
    assert_eq!(alice.next().await, b"\x40\x00\x01");
    let got = bob.next().await;
    bob.send(&[0x40, 2, got[4], got[5]]).await;
    bob.is_silent().await;
    assert_eq!(keeper.commits(), commits);
    // What he has not acknowledged is kept when he is lost.
    alice.publish(0x32, "t", 2, "late").await;
    alice.next().await;
    bob.lose(&broker).await;
    let kept = keeper.kept().sessions;
    let KeptPlace::Delivery(delivery) = &kept[0].queue[0].1 else { panic!("{kept:?}") };
    assert_eq!(&delivery.message.payload[..], b"late");
}

#[tokio::test]
async fn a_publish_that_cannot_be_kept_is_not_acknowledged_and_leaves_nothing() {
    let keeper = MemoryKeeper::default();
    let broker = broker(&keeper, Limits::default());
    let mut bob = Client::connect(&broker, "bob").await;
    bob.subscribe("t", 2).await;
    bob.lose(&broker).await;
    for (first, packet_id) in [(0x32, 1), (0x34, 2)] {
        let mut alice = Client::connect(&broker, "alice").await;
        keeper.fail(true);
        alice.publish(first, "t", packet_id, "lost").await;
        let goodbye = alice.next().await;
        assert_eq!((goodbye[0], goodbye[1]), (0xE0, 0x88));
        keeper.fail(false);
    }
    let mut alice = Client::connect(&broker, "alice").await;
    alice.publish(0x3C, "t", 2, "again").await;
    assert_eq!(alice.next().await[..3], *b"\x50\x00\x02");
    let mut bob = Client::connect(&broker, "bob").await;
    assert_eq!(body(&bob.next().await), "again");
    bob.is_silent().await;
}

#[tokio::test]
async fn a_restart_finds_sessions_as_they_were() {
    let keeper = MemoryKeeper::default();
    let first = broker(&keeper, Limits::default());
    let mut bob = Client::connect(&first, "bob").await;
    bob.subscribe("t", 2).await;
    bob.lose(&first).await;
    let mut alice = Client::connect(&first, "alice").await;
    for (packet_id, text) in [(1, "one"), (2, "two")] {
        alice.publish(0x34, "t", packet_id, text).await;
        assert_eq!(alice.next().await[..3], [0x50, 0, packet_id]);
    }
    let second = broker(&keeper, Limits::default());
    let mut alice = Client::connect(&second, "alice").await;
    alice.publish(0x3C, "t", 2, "two").await;
    assert_eq!(alice.next().await[..3], [0x50, 0, 2], "it is here already");
    alice.send(b"\x62\x02\x00\x02").await;
    assert_eq!(alice.next().await[..3], [0x70, 0, 2]);
    alice.publish(0x34, "t", 2, "three").await;
    assert_eq!(alice.next().await[..3], [0x50, 0, 2], "and now it is another");
    let mut bob = Client::connect(&second, "bob").await;
    for text in ["one", "two", "three"] {
        assert_eq!(body(&bob.next().await), text);
    }
    bob.is_silent().await;
}

#[tokio::test]
async fn a_share_is_balanced_and_its_messages_find_another_member() {
    let keeper = MemoryKeeper::default();
    let broker = broker(&keeper, Limits::default());
    let mut members = Vec::new();
    for name in ["m1", "m2"] {
        let mut member = Client::connect(&broker, name).await;
        assert_eq!(member.subscribe("$share/g/t/#", 1).await, 1);
        members.push(member);
    }
    let mut alice = Client::connect(&broker, "alice").await;
    for number in 1..=6 {
        alice.publish(0x32, "t/a", number, &number.to_string()).await;
        alice.next().await;
    }
    let mut second = members.pop().expect("two members");
    let mut first = members.pop().expect("two members");
    let mut heard = Vec::new();
    for _ in 0..3 {
        let got = first.next().await;
        if heard.is_empty() {
            first.send(&[0x40, 2, got[6], got[7]]).await;
        }
        heard.push(body(&got));
    }
    first.is_silent().await;
    first.lose(&broker).await;
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(body(&second.next().await));
    }
    second.is_silent().await;
    others.push(heard[0].clone());
    others.sort_unstable();
    assert_eq!(others, ["1", "2", "3", "4", "5", "6"], "but for what he has acknowledged");
    // Those who are off line have their turn when nobody is there.
    second.lose(&broker).await;
    alice.publish(0x32, "t/a", 7, "7").await;
    assert_eq!(alice.next().await[0], 0x40);
    let waiting: usize = keeper.kept().sessions.iter().map(|all| all.queue.len()).sum();
    assert_eq!(waiting, 5 + 1);
}

#[tokio::test]
async fn more_is_retained_than_a_queue_holds() {
    let limits = Limits { queued_messages_max: 3, ..Limits::default() };
    let broker = broker(&MemoryKeeper::default(), limits);
    let mut alice = Client::connect(&broker, "alice").await;
    for number in 0..200_u8 {
        alice.publish(0x31, &format!("r/{number:03}"), 0, "x").await;
    }
    alice.is_silent().await;
    let mut bob = Client::connect(&broker, "bob").await;
    assert_eq!(bob.subscribe("r/+", 0).await, 0);
    for number in 0..200_u8 {
        let got = bob.next().await;
        assert_eq!((got[0], &got[3..8]), (0x31, format!("r/{number:03}").as_bytes()));
    }
    bob.is_silent().await;
}

#[tokio::test]
async fn overlapping_subscriptions_make_one_message_with_all_identifiers() {
    let broker = broker(&MemoryKeeper::default(), Limits::default());
    let mut bob = Client::connect(&broker, "bob").await;
    for (filter, id) in [("a/+", 3), ("a/b", 4)] {
        let header = [0x82, 11, 0, 1, 2, 0x0B, id, 0, 3];
        bob.send(&[&header, filter.as_bytes(), &[0]].concat()).await;
        bob.next().await;
    }
    let mut alice = Client::connect(&broker, "alice").await;
    alice.publish(0x30, "a/b", 0, "x").await;
    let got = bob.next().await;
    let mut ids = [got[8], got[10]];
    ids.sort_unstable();
    assert_eq!((got[6], got[7], got[9], ids), (4, 0x0B, 0x0B, [3, 4]), "{got:?}");
    bob.is_silent().await;
}

#[tokio::test]
async fn a_session_that_ends_leaves_nothing_behind() {
    let keeper = MemoryKeeper::default();
    let broker = broker(&keeper, Limits::default());
    let mut bob = Client::connect(&broker, "bob").await;
    bob.subscribe("t", 1).await;
    assert_eq!(keeper.kept().sessions.len(), 1);
    // DISCONNECT with an expiry of 0.
    bob.send(b"\xE0\x07\x00\x05\x11\x00\x00\x00\x00").await;
    bob.0.read_to_end(&mut Vec::new()).await.expect("closed");
    while broker.sessions().0 > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(keeper.kept().sessions, []);
    let mut brief = Client::connect_for(&broker, "brief", 0).await;
    brief.subscribe("t", 2).await;
    assert_eq!(keeper.kept().sessions, [], "a session that does not outlive its connection");
}

#[tokio::test]
async fn a_subscription_is_found_after_a_publish_that_reached_nobody() {
    let keeper = MemoryKeeper::default();
    let broker = broker(&keeper, Limits::default());
    let mut bob = Client::connect(&broker, "bob").await;
    bob.publish(0x34, "nobody", 1, "x").await;
    assert_eq!(bob.next().await, b"\x50\x00\x01\x10", "no matching subscribers");
    assert_eq!(keeper.commits(), 0);
    bob.subscribe("t", 1).await;
    assert_eq!(keeper.kept().sessions[0].subscriptions.len(), 1);
}
