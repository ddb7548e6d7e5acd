//! Publishes of the client at QoS 0 and 1, and what bounds them.

use std::sync::Arc;

use bluetick_broker::codec;
use bluetick_broker::packet::{AckProperties, Reason, Version};

use crate::client::{Got, puback, publish, pubrel};
use crate::pair::Pair;

use Version::{V4, V5};

/// MQTT 5 §4.6: "MUST send PUBACK packets in the order in which the corresponding PUBLISH packets
/// were received".
/// MQTT 5: [MQTT-2.2.1-5], [MQTT-3.3.4-1], [MQTT-4.3.2-4], [MQTT-4.6.0-2].
/// MQTT 3.1.1: [MQTT-2.3.1-6], [MQTT-3.3.4-1], [MQTT-4.3.2-2], [MQTT-4.6.0-2].
#[test]
fn pubacks_go_out_in_the_order_of_the_publishes() {
    for version in [V4, V5] {
        let mut pair = Pair::online(version);
        for (id, text) in [(7, "a"), (3, "b"), (5, "c")] {
            assert!(pair.exchange(publish(1, id, text)).is_empty());
        }
        assert_eq!(pair.host.texts(), ["a", "b", "c"]);
        pair.answer(2, Reason::SUCCESS);
        assert!(pair.receive().is_empty(), "the first two are not done with");
        pair.answer(0, Reason::SUCCESS);
        assert_eq!(pair.receive(), ["PUBACK #7"]);
        pair.answer(1, Reason::SUCCESS);
        assert_eq!(pair.receive(), ["PUBACK #3", "PUBACK #5"]);
    }
}

/// A publish without payload may be about what was acknowledged before it, in the same bytes.
#[test]
fn the_host_is_told_what_was_acknowledged_before_an_empty_publish_and_nothing_later() {
    for version in [V4, V5] {
        let mut pair = Pair::online(version);
        for _ in 0..3 {
            pair.offer(1);
        }
        assert_eq!(pair.receive().len(), 3);
        pair.queue(puback(1));
        pair.queue(publish(1, 7, ""));
        pair.queue(puback(2));
        pair.queue(publish(1, 8, ""));
        pair.queue(puback(3));
        pair.drive();
        assert_eq!(
            (&pair.host.acked_before[..], &pair.host.acked[..]),
            (&[1, 2][..], &[1, 2, 3][..])
        );
    }
}

/// MQTT 5: [MQTT-4.6.0-3].
/// MQTT 3.1.1: [MQTT-4.6.0-3].
#[test]
fn pubacks_and_pubrecs_keep_one_order() {
    for (version, refused) in [(V4, "PUBACK #2"), (V5, "PUBACK #2 0x87")] {
        let mut pair = Pair::online(version);
        pair.send(publish(2, 1, "a"));
        pair.send(publish(1, 2, "b"));
        pair.send(publish(2, 3, "c"));
        pair.answer(2, Reason::SUCCESS);
        pair.answer(1, Reason::NOT_AUTHORIZED);
        assert!(pair.receive().is_empty());
        pair.answer(0, Reason::SUCCESS);
        assert_eq!(pair.receive(), ["PUBREC #1", refused, "PUBREC #3"]);
    }
}

/// MQTT 5: [MQTT-3.3.4-1].
#[test]
fn a_publish_at_qos_0_is_not_answered_and_does_not_count() {
    let mut pair = Pair::online(V5);
    for _ in 0..10 {
        pair.send(publish(0, 0, "a"));
    }
    assert_eq!(pair.host.published.len(), 10);
    pair.answer(0, Reason::SUCCESS);
    assert!(pair.receive().is_empty());
    assert!(pair.is_online());
}

/// MQTT 5 §3.3.4: one more than the Receive Maximum ends the connection with 0x93.
#[test]
fn a_v5_client_that_exceeds_the_receive_maximum_is_disconnected() {
    for qos in [1, 2] {
        let mut pair = Pair::online(V5);
        for id in 1..=4 {
            assert!(pair.exchange(publish(qos, id, "a")).is_empty());
        }
        assert!(pair.session().wants_read(), "it may send other packets");
        assert_eq!(pair.exchange(publish(qos, 5, "b")), ["DISCONNECT 0x93"]);
        assert_eq!(pair.host.published.len(), 4, "what came too much is not published");
    }
}

#[test]
fn an_acknowledgement_makes_room_in_the_receive_maximum() {
    let mut pair = Pair::online(V5);
    for id in 1..=4 {
        pair.send(publish(1, id, "a"));
    }
    pair.answer(0, Reason::SUCCESS);
    assert_eq!(pair.receive(), ["PUBACK #1"]);
    assert!(pair.exchange(publish(1, 1, "b")).is_empty(), "and the packet id is free again");
    assert!(pair.is_online());
}

/// MQTT 5 §4.9: at QoS 2 the quota comes back with PUBCOMP, or with a PUBREC that refuses.
#[test]
fn at_qos_2_the_receive_maximum_counts_until_pubrel() {
    let mut pair = Pair::online(V5);
    for id in 1..=4 {
        pair.send(publish(2, id, "a"));
        pair.answer(usize::from(id) - 1, Reason::SUCCESS);
    }
    assert_eq!(pair.receive().len(), 4);
    assert_eq!(pair.exchange(pubrel(2)), ["PUBCOMP #2"]);
    assert!(pair.exchange(publish(2, 5, "b")).is_empty());
    assert_eq!(pair.exchange(publish(2, 6, "c")), ["DISCONNECT 0x93"]);
}

#[test]
fn a_v4_client_is_not_read_on_while_too_many_publishes_wait_and_then_goes_on() {
    let mut pair = Pair::online(V4);
    for id in 1..=10 {
        pair.queue(publish(1, id, &id.to_string()));
    }
    pair.drive();
    assert!(!pair.session().wants_read());
    let taken = pair.host.published.len();
    assert!((4..=5).contains(&taken), "{taken} publishes at once");
    assert!(pair.unread() > 0);
    for at in 0..10 {
        pair.answer(at, Reason::SUCCESS);
        assert_eq!(pair.receive(), [format!("PUBACK #{}", at + 1)]);
    }
    assert_eq!(pair.unread(), 0);
    assert!(pair.session().wants_read());
    assert_eq!(pair.host.texts(), (1..=10).map(|id| id.to_string()).collect::<Vec<_>>());
}

/// A client of 3.1.1 has no receive maximum: how many exchanges it has open is its own choice,
/// and only reading on brings the PUBREL that ends them.
#[test]
fn a_v4_client_may_have_many_unreleased_qos_2_publishes() {
    let mut pair = Pair::online(V4);
    for id in 1..=20 {
        pair.queue(publish(2, id, "a"));
    }
    pair.drive();
    for at in 0..20 {
        pair.answer(at, Reason::SUCCESS);
    }
    assert_eq!(pair.receive().len(), 20);
    assert!(pair.session().wants_read());
    for id in 1..=20 {
        assert_eq!(pair.exchange(pubrel(id)), [format!("PUBCOMP #{id}")]);
    }
    // The same across a loss: else the session could never be used again.
    for id in 1..=20 {
        pair.send(publish(2, id, "b"));
        pair.answer(usize::from(id) + 19, Reason::SUCCESS);
    }
    assert_eq!(pair.reconnect(), ["CONNACK present"]);
    assert_eq!(pair.exchange(pubrel(20)), ["PUBCOMP #20"]);
}

/// MQTT 5: [MQTT-4.3.2-5].
#[test]
fn a_packet_id_in_use_is_an_error_and_free_again_after_the_acknowledgement() {
    let mut pair = Pair::online(V5);
    pair.send(publish(1, 9, "a"));
    pair.answer(0, Reason::SUCCESS);
    assert_eq!(pair.receive(), ["PUBACK #9"]);
    assert!(pair.exchange(publish(1, 9, "b")).is_empty());
    assert_eq!(pair.exchange(publish(1, 9, "c")), ["DISCONNECT 0x82"]);
    assert_eq!(pair.host.texts(), ["a", "b"]);
}

/// MQTT 5 §2.2.1: a packet id is never 0.
#[test]
fn packet_id_0_ends_the_connection() {
    for (version, bytes) in [
        (V4, &b"\x32\x09\x00\x03a/b\x00\x00hi"[..]),
        (V5, &b"\x32\x0A\x00\x03a/b\x00\x00\x00hi"[..]),
    ] {
        let mut pair = Pair::online(version);
        pair.send_bytes(bytes);
        assert!(!pair.is_online());
        assert!(pair.host.published.is_empty());
        let told = pair.receive();
        match version {
            V4 => assert!(told.is_empty(), "3.1.1 has no DISCONNECT of the server: {told:?}"),
            V5 => assert_eq!(told, ["DISCONNECT 0x82"]),
        }
    }
}

fn refusal() -> Option<Box<AckProperties>> {
    let reason_string = Some("not a member".to_owned());
    Some(Box::new(AckProperties { reason_string, user_properties: Vec::new() }))
}

/// MQTT 5: [MQTT-3.4.2-1].
/// MQTT 3.1.1: [MQTT-3.3.5-2].
#[test]
fn a_refusal_has_reason_and_properties_in_v5_and_neither_in_v4() {
    let mut pair = Pair::online(V5);
    pair.send(publish(1, 1, "a"));
    pair.answer_with(0, Reason::NOT_AUTHORIZED, refusal());
    let Some(Got::Ack { reason, properties, .. }) = pair.receive_one() else { panic!("no PUBACK") };
    assert_eq!((reason, properties), (0x87, vec![(0x1F, b"not a member".to_vec())]));

    let mut pair = Pair::online(V4);
    pair.send(publish(1, 1, "a"));
    pair.answer_with(0, Reason::NOT_AUTHORIZED, refusal());
    // As long as a PUBACK of 3.1.1 can be: the reader of the tests takes nothing more.
    assert_eq!(pair.receive(), ["PUBACK #1"]);
}

/// MQTT 5 §3.1.2.11.7.
/// MQTT 5: [MQTT-3.1.2-29].
#[test]
fn a_client_that_wants_no_problem_information_gets_the_reason_alone() {
    let mut pair = Pair::online_with(V5, |_, connect| connect.request_problem_info = false);
    pair.send(publish(1, 1, "a"));
    pair.answer_with(0, Reason::NOT_AUTHORIZED, refusal());
    let Some(Got::Ack { reason, properties, .. }) = pair.receive_one() else { panic!("no PUBACK") };
    assert_eq!((reason, properties), (0x87, Vec::new()));
}

/// MQTT 5 §3.4.2.2.2: properties are left out where the packet would be larger than the client takes.
#[test]
fn a_refusal_that_would_be_too_large_for_the_client_has_no_properties() {
    // Type and length, 2 of the id, 1 of the reason, 1 of the length, 3 + 12 of the string.
    for (max_bytes, count) in [(21, 1), (20, 0)] {
        let mut pair =
            Pair::online_with(V5, |_, connect| connect.max_packet_bytes = Some(max_bytes));
        pair.send(publish(1, 1, "a"));
        pair.answer_with(0, Reason::NOT_AUTHORIZED, refusal());
        let Some(Got::Ack { reason, properties, .. }) = pair.receive_one() else {
            panic!("no PUBACK")
        };
        assert_eq!((reason, properties.len()), (0x87, count), "{max_bytes} bytes");
    }
}

#[test]
fn a_topic_that_is_too_long_or_too_deep_is_refused_without_asking_the_host() {
    let deep = "a/".repeat(32);
    let long = "a".repeat(1025);
    for topic in [deep, long] {
        let mut pair = Pair::online(V5);
        let mut too_much = publish(1, 1, "a");
        too_much.topic = Arc::from(topic);
        assert_eq!(pair.exchange(too_much.clone()), ["PUBACK #1 0x90"]);
        (too_much.qos, too_much.packet_id) = (publish(2, 1, "a").qos, 2);
        assert_eq!(pair.exchange(too_much.clone()), ["PUBREC #2 0x90"]);
        assert_eq!(pair.exchange(pubrel(2)), ["PUBCOMP #2 0x92"], "the exchange had ended");
        (too_much.qos, too_much.packet_id) = (publish(0, 0, "a").qos, 0);
        assert!(pair.exchange(too_much).is_empty());
        assert!(pair.is_online() && pair.host.published.is_empty());
    }
}

#[test]
fn too_many_user_properties_end_the_connection() {
    let mut pair = Pair::online_with(V5, |limits, _| limits.user_properties_max = 2);
    let mut publish = publish(1, 1, "a");
    publish.properties.user_properties = vec![("a".to_owned(), "b".to_owned()); 2];
    assert!(pair.exchange(publish.clone()).is_empty());
    publish.packet_id = 2;
    publish.properties.user_properties.push(("a".to_owned(), "b".to_owned()));
    assert_eq!(pair.exchange(publish), ["DISCONNECT 0x97"]);
}

/// MQTT 5 §4.4: the client sends again what was not acknowledged, and only that exchange counts.
#[test]
fn an_answer_to_a_publish_of_an_earlier_connection_is_void() {
    let mut pair = Pair::online(V5);
    pair.send(publish(1, 1, "a"));
    assert_eq!(pair.reconnect(), ["CONNACK present"]);
    let mut again = publish(1, 1, "a");
    again.dup = true;
    pair.send(again);
    assert!(pair.host.published[1].dup);
    pair.answer(0, Reason::SUCCESS);
    assert!(pair.receive().is_empty(), "the new one is not done with");
    pair.answer(1, Reason::SUCCESS);
    assert_eq!(pair.receive(), ["PUBACK #1"]);
}

/// MQTT 5 §4.9: the quota is not kept over connections.
#[test]
fn a_new_connection_has_the_whole_receive_maximum() {
    let mut pair = Pair::online(V5);
    for id in 1..=4 {
        pair.send(publish(1, id, "a"));
    }
    pair.reconnect();
    for id in 11..=14 {
        assert!(pair.exchange(publish(1, id, "b")).is_empty());
    }
    assert!(pair.is_online());
}

/// MQTT 3.1.1: [MQTT-3.12.4-1].
#[test]
fn a_client_that_does_not_read_is_not_read() {
    let mut pair = Pair::online_with(V4, |limits, _| limits.pending_bytes_max = 10);
    pair.client_reads = false;
    let mut ping = Vec::new();
    codec::write_pingresp(&mut ping);
    for _ in 0..10 {
        pair.send_bytes(&[0xC0, 0]);
    }
    assert!(!pair.session().wants_read());
    assert_eq!(pair.session().transmit, ping.repeat(5), "five fill the bound");
    assert_eq!(pair.unread(), 2 * 5);
    pair.client_reads = true;
    pair.drive();
    assert_eq!(pair.receive(), ["PINGRESP"; 10]);
}
