//! Plain topics over connections in memory, with a keeper that says when it has kept.

use bluetick_broker::keep::{KeptPlace, MemoryKeeper};
use bluetick_broker::{Broker, Limits, Rechecked};
use std::sync::Arc;
use tokio::io::AsyncReadExt;

use crate::client::{Client, body};
use crate::host::Anybody;

fn broker(keeper: &MemoryKeeper, limits: Limits) -> Broker<Anybody> {
    let kept = keeper.kept();
    Broker::with_keeper(Anybody::default(), limits, Arc::new(keeper.clone()), kept)
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
    bob.stream.read_to_end(&mut Vec::new()).await.expect("closed");
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

#[tokio::test]
async fn rules_that_change_silence_subscriptions_that_stand_and_give_them_back() {
    let keeper = MemoryKeeper::default();
    let broker = broker(&keeper, Limits::default());
    let mut bob = Client::connect(&broker, "bob").await;
    let mut carol = Client::connect(&broker, "carol").await;
    let mut alice = Client::connect(&broker, "alice").await;
    bob.subscribe("a/+", 0).await;
    bob.subscribe("b", 0).await;
    carol.subscribe("$share/g/a/#", 0).await;

    broker.host().deny("a/+");
    assert_eq!(broker.recheck_access(), Rechecked { silenced: 1, restored: 0 });
    alice.publish(0x30, "b", 0, "other").await;
    assert_eq!(body(&bob.next().await), "other");
    broker.host().deny("a/#");
    assert_eq!(broker.recheck_access(), Rechecked { silenced: 1, restored: 1 });
    alice.publish(0x30, "a/1", 0, "own").await;
    assert_eq!(body(&bob.next().await), "own");
    // Nobody of the share may have it.
    carol.is_silent().await;
    bob.is_silent().await;

    broker.host().deny("b");
    assert_eq!(broker.recheck_access(), Rechecked { silenced: 1, restored: 1 });
    assert_eq!(broker.recheck_access(), Rechecked::default());
    alice.publish(0x30, "b", 0, "denied").await;
    alice.publish(0x30, "a/2", 0, "back").await;
    assert_eq!(body(&bob.next().await), "back");
    // Asked for anew, it is refused, or had from then on.
    assert_eq!(bob.subscribe("b", 0).await, 0x87);

    // Rules that changed while the server was down count as well.
    let stopped = keeper.kept();
    let host = Anybody::default();
    host.deny("b");
    let broker = Broker::with_keeper(host, Limits::default(), Arc::new(keeper.clone()), stopped);
    assert_eq!(broker.recheck_access(), Rechecked::default());
    broker.host().deny("nothing");
    assert_eq!(broker.recheck_access(), Rechecked { silenced: 0, restored: 1 });
}
