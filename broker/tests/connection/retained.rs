//! Retained messages (MQTT 5 §3.3.1.3) and the life of a message (§3.3.2.3.3).

use std::time::Duration;

use bluetick_broker::{Broker, Limits};

use crate::client::Client;
use crate::host::{Anybody, dial};
use crate::wire::{V4, V5, closed_after, next, publish, send};

const RETAIN: u8 = 0x31;
const RETAIN_QOS_1: u8 = 0x33;
const RETAIN_AS_PUBLISHED: u8 = 0x08;
const RETAIN_HANDLING_1: u8 = 0x10;
const RETAIN_HANDLING_2: u8 = 0x20;

/// What somebody hears who subscribes to `t`.
async fn found(broker: &Broker<Anybody>, version: u8, qos: u8) -> Option<String> {
    let mut client = Client::connect_as(broker, version, "found").await;
    client.subscribe("t", qos).await;
    client.send(b"\xC0\x00").await;
    let packet = client.next().await;
    let found = (packet[0] != 0xD0).then(|| client.read(&packet).to_string());
    client.leave(broker).await;
    found
}

/// MQTT 5: [MQTT-3.3.1-5], [MQTT-3.3.1-6], [MQTT-3.3.1-7], [MQTT-3.3.1-8].
/// MQTT 3.1.1: [MQTT-3.3.1-5], [MQTT-3.3.1-6], [MQTT-3.3.1-7], [MQTT-3.3.1-8], [MQTT-3.3.1-9],
/// MQTT 3.1.1: [MQTT-3.3.1-10], [MQTT-3.3.1-11], [MQTT-3.3.1-12].
#[tokio::test]
async fn the_newest_of_a_topic_is_retained_until_an_empty_one_comes() {
    for version in [V4, V5] {
        let broker = Anybody::broker();
        let mut alice = Client::connect_as(&broker, version, "alice").await;
        let mut there = Client::connect_as(&broker, version, "there").await;
        there.subscribe("t", 2).await;
        let look = async |qos| found(&broker, version, qos).await;

        alice.publish(RETAIN_QOS_1, "t", 1, "one").await;
        alice.next().await;
        assert_eq!(there.hear().await.to_string(), "q1 t=one", "as it was published");
        assert_eq!(look(2).await.as_deref(), Some("q1 retain t=one"), "with its QoS");
        alice.publish(0x30, "t", 0, "passing").await;
        assert_eq!(there.hear().await.to_string(), "q0 t=passing");
        assert_eq!(look(0).await.as_deref(), Some("q0 retain t=one"));
        alice.publish(RETAIN, "t", 0, "two").await;
        assert_eq!(there.hear().await.to_string(), "q0 t=two");
        assert_eq!(look(2).await.as_deref(), Some("q0 retain t=two"), "also at QoS 0");
        alice.publish(RETAIN, "t", 0, "").await;
        assert_eq!(there.hear().await.to_string(), "q0 t=", "an empty one is delivered");
        assert_eq!(look(2).await, None);
    }
}

/// MQTT 3.1.1: [MQTT-3.1.2-7].
#[tokio::test]
async fn what_is_retained_is_no_part_of_a_session() {
    let broker = Anybody::broker();
    let mut alice = Client::connect(&broker, "alice").await;
    alice.publish(RETAIN, "t", 0, "stays").await;
    alice.end(&broker).await;
    assert_eq!(found(&broker, V4, 0).await.as_deref(), Some("q0 retain t=stays"));
}

/// MQTT 5: [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11], [MQTT-3.8.4-4].
/// MQTT 3.1.1: [MQTT-3.8.4-3].
#[tokio::test]
async fn who_gets_what_is_retained() {
    let broker = Anybody::broker();
    let mut alice = Client::connect(&broker, "alice").await;
    alice.publish(RETAIN, "t", 0, "x").await;
    alice.is_silent().await;
    for version in [V4, V5] {
        let mut each_time = Client::connect_as(&broker, version, "each time").await;
        for qos in [0, 1] {
            each_time.subscribe("t", qos).await;
            assert_eq!(each_time.hear().await.to_string(), "q0 retain t=x");
        }
        alice.publish(0x32, "t", 1, "more").await;
        alice.next().await;
        assert_eq!(each_time.hear().await.to_string(), "q1 t=more", "once, as granted last");
        each_time.is_silent().await;
    }

    let mut if_new = Client::connect(&broker, "if new").await;
    if_new.subscribe("t", RETAIN_HANDLING_1).await;
    assert_eq!(if_new.hear().await.to_string(), "q0 retain t=x");
    if_new.subscribe("t", RETAIN_HANDLING_1 | 1).await;
    if_new.is_silent().await;
    let mut never = Client::connect(&broker, "never").await;
    never.subscribe("t", RETAIN_HANDLING_2).await;
    never.is_silent().await;
}

/// MQTT 5: [MQTT-3.3.1-12], [MQTT-3.3.1-13].
#[tokio::test]
async fn the_flag_is_passed_on_if_asked_for() {
    let broker = Anybody::broker();
    let mut alice = Client::connect(&broker, "alice").await;
    let mut cleared = Client::connect(&broker, "cleared").await;
    let mut as_published = Client::connect(&broker, "as published").await;
    cleared.subscribe("t", 0).await;
    as_published.subscribe("t", RETAIN_AS_PUBLISHED).await;
    alice.publish(RETAIN, "t", 0, "x").await;
    alice.publish(0x30, "t", 0, "y").await;
    assert_eq!(cleared.hear().await.to_string(), "q0 t=x");
    assert_eq!(as_published.hear().await.to_string(), "q0 retain t=x");
    assert_eq!(as_published.hear().await.to_string(), "q0 t=y");
}

/// MQTT 5: [MQTT-3.3.2-5], [MQTT-3.3.2-6].
#[tokio::test(start_paused = true)]
async fn life_is_counted_down_and_ends() {
    let broker = Broker::new(Anybody::default(), Limits::default());
    let mut bob = Client::connect(&broker, "bob").await;
    bob.subscribe("t", 1).await;
    bob.lose(&broker).await;
    let mut alice = Client::connect(&broker, "alice").await;
    for (id, life) in [(1, b"\x02\x00\x00\x00\x0A"), (2, b"\x02\x00\x00\x00\x1E")] {
        alice.publish_with(RETAIN_QOS_1, "t", id, life, &id.to_string()).await;
        alice.next().await;
    }
    tokio::time::sleep(Duration::from_secs(12)).await;
    let mut bob = Client::connect(&broker, "bob").await;
    assert_eq!(bob.hear().await.to_string(), "q1 18s t=2", "the first one is over");
    bob.is_silent().await;
    assert_eq!(found(&broker, V5, 0).await.as_deref(), Some("q0 retain 18s t=2"));
    tokio::time::sleep(Duration::from_secs(19)).await;
    assert_eq!(found(&broker, V5, 0).await, None);
}

/// MQTT 5: [MQTT-4.3.3-7].
#[tokio::test(start_paused = true)]
async fn what_was_sent_at_qos_2_does_not_end() {
    let broker = Broker::new(Anybody::default(), Limits::default());
    let mut bob = Client::connect(&broker, "bob").await;
    bob.subscribe("t", 2).await;
    let mut alice = Client::connect(&broker, "alice").await;
    alice.publish_with(0x34, "t", 1, b"\x02\x00\x00\x00\x05", "x").await;
    alice.next().await;
    let sent = bob.hear().await;
    assert_eq!(sent.to_string(), "q2 5s t=x");
    bob.lose(&broker).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut bob = Client::connect(&broker, "bob").await;
    let again = bob.hear().await;
    assert_eq!((again.to_string().as_str(), again.packet_id), ("q2 dup 1s t=x", sent.packet_id));
}

/// MQTT 5: [MQTT-3.3.4-2], [MQTT-3.8.3-3].
/// MQTT 3.1.1: [MQTT-3.3.5-1].
#[tokio::test]
async fn overlapping_subscriptions_make_one_message_at_the_highest_qos() {
    for version in [V4, V5] {
        let broker = Anybody::broker();
        let mut bob = Client::connect_as(&broker, version, "bob").await;
        for (filter, qos) in [("a/#", 0), ("a/+", 2), ("+/b", 1)] {
            bob.subscribe(filter, qos).await;
        }
        let mut alice = Client::connect_as(&broker, version, "alice").await;
        alice.publish(0x34, "a/b", 1, "x").await;
        assert_eq!(bob.hear().await.to_string(), "q2 a/b=x");
        bob.is_silent().await;
        // Not his own, where he does not want that.
        if version == V5 {
            bob.subscribe("own", 0x04).await;
            bob.publish(0x30, "own", 0, "mine").await;
            alice.publish(0x30, "own", 0, "hers").await;
            assert_eq!(bob.hear().await.to_string(), "q0 own=hers");
        }
    }
}

/// MQTT 5: [MQTT-3.2.2-13].
#[tokio::test]
async fn a_broker_that_retains_nothing_says_so() {
    let limits = Limits { retained_messages_max: 0, ..Limits::default() };
    let broker = Broker::new(Anybody::default(), limits);
    let mut stream = dial(&broker);
    send(&mut stream, b"\x10\x0D\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00").await;
    let (_, connack) = next(&mut stream).await;
    assert!(connack.windows(2).any(|pair| pair == b"\x25\x00"), "{connack:?}");
    send(&mut stream, &publish(V5, RETAIN, 0, "t", b"")).await;
    assert_eq!(closed_after(&mut stream).await[2], 0x9A);

    let mut will = dial(&broker);
    let properties = b"\x10\x14\x00\x04MQTT\x05\x26\x00\x00\x00\x00\x00\x00\x00\x01t\x00\x01x";
    send(&mut will, properties).await;
    assert_eq!(closed_after(&mut will).await[3], 0x9A);

    // 3.1.1 has no word for it: delivered, not retained.
    let mut bob = Client::connect_as(&broker, V4, "bob").await;
    bob.subscribe("t", 0).await;
    bob.publish(RETAIN, "t", 0, "x").await;
    assert_eq!(bob.hear().await.to_string(), "q0 t=x");
    assert_eq!(found(&broker, V5, 0).await, None);
}
