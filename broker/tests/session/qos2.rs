//! QoS 2, both ways (MQTT 5 §4.3.3).

use bluetick_broker::packet::{Ack, Packet, Reason, Version};

use crate::client::{puback, pubcomp, publish, pubrec, pubrel};
use crate::pair::Pair;

use Version::{V4, V5};

fn again(id: u16, text: &str) -> bluetick_broker::packet::Publish {
    let mut again = publish(2, id, text);
    again.dup = true;
    again
}

/// MQTT 5: [MQTT-2.2.1-5], [MQTT-3.3.4-1], [MQTT-4.3.3-8], [MQTT-4.3.3-11], [MQTT-4.3.3-12].
/// MQTT 3.1.1: [MQTT-2.3.1-6], [MQTT-3.3.4-1], [MQTT-4.3.3-2].
#[test]
fn from_the_client_the_host_gets_it_once() {
    for version in [V4, V5] {
        let mut pair = Pair::online(version);
        pair.send(publish(2, 1, "a"));
        pair.answer(0, Reason::SUCCESS);
        assert_eq!(pair.receive(), ["PUBREC #1"]);
        assert_eq!(pair.exchange(pubrel(1)), ["PUBCOMP #1"]);
        assert_eq!(pair.host.texts(), ["a"]);
        // The id is free: the next message under it is another one.
        pair.send(publish(2, 1, "b"));
        pair.answer(1, Reason::SUCCESS);
        assert_eq!(pair.receive(), ["PUBREC #1"]);
        assert_eq!(pair.host.texts(), ["a", "b"]);
    }
}

/// MQTT 5: [MQTT-4.3.3-10].
#[test]
fn a_repeat_of_what_is_received_gets_a_pubrec_and_is_not_published_again() {
    let mut pair = Pair::online(V5);
    pair.send(publish(2, 1, "a"));
    pair.answer(0, Reason::SUCCESS);
    assert_eq!(pair.receive(), ["PUBREC #1"]);
    assert_eq!(pair.exchange(again(1, "a")), ["PUBREC #1"]);
    // The PUBREC was lost with the connection.
    assert_eq!(pair.reconnect(), ["CONNACK present"]);
    assert_eq!(pair.exchange(again(1, "a")), ["PUBREC #1"]);
    assert_eq!(pair.host.texts(), ["a"]);
    assert_eq!(pair.exchange(pubrel(1)), ["PUBCOMP #1"]);
}

/// MQTT 5 §4.6: PUBRECs go out in the order of the PUBLISHes, also of those that are known.
/// MQTT 5: [MQTT-4.6.0-3].
/// MQTT 3.1.1: [MQTT-4.6.0-3].
#[test]
fn the_pubrec_of_a_repeat_waits_for_those_before_it() {
    let mut pair = Pair::online(V5);
    pair.send(publish(2, 1, "a"));
    pair.send(publish(2, 2, "b"));
    pair.answer(0, Reason::QUOTA_EXCEEDED);
    pair.answer(1, Reason::SUCCESS);
    pair.reconnect();
    pair.send(again(1, "a"));
    assert!(pair.exchange(again(2, "b")).is_empty());
    pair.answer(2, Reason::SUCCESS);
    assert_eq!(pair.receive(), ["PUBREC #1", "PUBREC #2"]);
    assert_eq!(pair.host.texts(), ["a", "b", "a"]);
    assert_eq!(pair.exchange(pubrel(2)), ["PUBCOMP #2"]);
    assert_eq!(pair.exchange(pubrel(2)), ["PUBCOMP #2 0x92"], "it was noted once");
}

#[test]
fn a_repeat_of_what_got_no_pubrec_is_published_again() {
    let mut pair = Pair::online(V5);
    pair.send(publish(2, 1, "a"));
    pair.reconnect();
    assert!(pair.exchange(again(1, "a")).is_empty(), "the host has not answered");
    assert!(pair.host.published[1].dup, "the host is told that it may know it");
    pair.answer(1, Reason::SUCCESS);
    assert_eq!(pair.receive(), ["PUBREC #1"]);
}

#[test]
fn pubrel_after_a_reconnect_ends_the_exchange() {
    for version in [V4, V5] {
        let mut pair = Pair::online(version);
        pair.send(publish(2, 1, "a"));
        pair.answer(0, Reason::SUCCESS);
        pair.reconnect();
        assert_eq!(pair.exchange(pubrel(1)), ["PUBCOMP #1"]);
        pair.send(publish(2, 1, "b"));
        assert_eq!(pair.host.texts(), ["a", "b"]);
    }
}

/// The PUBCOMP was lost, or the server has restarted: 3.1.1 has no word for it.
/// MQTT 5: [MQTT-3.7.2-1].
#[test]
fn pubrel_of_an_unknown_id_gets_0x92_in_v5() {
    assert_eq!(Pair::online(V5).exchange(pubrel(1)), ["PUBCOMP #1 0x92"]);
    assert_eq!(Pair::online(V4).exchange(pubrel(1)), ["PUBCOMP #1"]);
}

/// MQTT 5: [MQTT-3.5.2-1], [MQTT-4.3.3-9].
/// MQTT 3.1.1: [MQTT-3.3.5-2], [MQTT-4.3.3-2].
#[test]
fn a_refusing_pubrec_ends_the_exchange_in_v5_and_v4_never_refuses() {
    let mut pair = Pair::online(V5);
    pair.send(publish(2, 1, "a"));
    pair.answer(0, Reason::QUOTA_EXCEEDED);
    assert_eq!(pair.receive(), ["PUBREC #1 0x97"]);
    pair.send(publish(2, 1, "b"));
    assert_eq!(pair.host.texts(), ["a", "b"]);

    let mut pair = Pair::online(V4);
    pair.send(publish(2, 1, "a"));
    pair.answer(0, Reason::QUOTA_EXCEEDED);
    assert_eq!(pair.receive(), ["PUBREC #1"]);
    assert_eq!(pair.exchange(again(1, "a")), ["PUBREC #1"]);
    assert_eq!(pair.exchange(pubrel(1)), ["PUBCOMP #1"]);
    assert_eq!(pair.host.texts(), ["a"]);
}

/// MQTT 5: [MQTT-2.2.1-5], [MQTT-4.3.3-4], [MQTT-4.9.0-2].
#[test]
fn to_the_client_the_host_is_told_at_pubrec_and_the_window_opens_at_pubcomp() {
    let mut pair = Pair::online_with(V5, |_, connect| connect.receive_maximum = Some(1));
    pair.offer(2);
    pair.offer(2);
    assert_eq!(pair.receive(), ["PUBLISH q2 #1 1"]);
    assert!(pair.host.acked.is_empty());
    assert_eq!(pair.exchange(pubrec(1)), ["PUBREL #1"]);
    assert_eq!(pair.host.acked, [1]);
    assert_eq!(pair.exchange(pubcomp(1)), ["PUBLISH q2 #2 2"]);
    assert_eq!(pair.host.acked, [1]);
}

#[test]
fn a_second_pubrec_gets_a_pubrel_and_tells_the_host_nothing() {
    let mut pair = Pair::online(V5);
    pair.offer(2);
    assert_eq!(pair.receive(), ["PUBLISH q2 #1 1"]);
    assert_eq!(pair.exchange(pubrec(1)), ["PUBREL #1"]);
    assert_eq!(pair.exchange(pubrec(1)), ["PUBREL #1"]);
    assert!(pair.exchange(pubcomp(1)).is_empty());
    assert_eq!(pair.host.acked, [1]);
}

/// MQTT 5: [MQTT-3.6.2-1].
#[test]
fn pubrec_of_an_unknown_id_gets_a_pubrel_with_0x92_in_v5() {
    assert_eq!(Pair::online(V5).exchange(pubrec(1)), ["PUBREL #1 0x92"]);
    assert_eq!(Pair::online(V4).exchange(pubrec(1)), ["PUBREL #1"]);
}

/// MQTT 5 §4.3.3: after a PUBREC of 0x80 and above the message is done with, without PUBREL.
/// MQTT 5: [MQTT-4.3.3-4], [MQTT-4.4.0-2].
#[test]
fn a_refusing_pubrec_of_the_client_frees_the_window_and_is_an_acknowledgement() {
    let mut pair = Pair::online_with(V5, |_, connect| connect.receive_maximum = Some(1));
    pair.offer(2);
    pair.offer(1);
    assert_eq!(pair.receive(), ["PUBLISH q2 #1 1"]);
    let refused = Packet::PubRec(Ack { packet_id: 1, reason: Reason::QUOTA_EXCEEDED });
    assert_eq!(pair.exchange(refused), ["PUBLISH q1 #2 2"]);
    assert_eq!(pair.host.acked, [1]);
}

#[test]
fn an_acknowledgement_of_the_wrong_kind_ends_nothing() {
    let mut pair = Pair::online(V5);
    pair.offer(2);
    pair.offer(1);
    assert_eq!(pair.receive(), ["PUBLISH q2 #1 1", "PUBLISH q1 #2 2"]);
    assert!(pair.exchange(puback(1)).is_empty(), "PUBACK for QoS 2");
    assert!(pair.exchange(pubcomp(1)).is_empty(), "PUBCOMP before PUBREC");
    assert!(pair.exchange(pubcomp(2)).is_empty(), "PUBCOMP for QoS 1");
    assert_eq!(pair.exchange(pubrec(2)), ["PUBREL #2 0x92"], "PUBREC for QoS 1");
    assert!(pair.host.acked.is_empty());
    assert_eq!(pair.reconnect(), ["CONNACK present", "PUBLISH q2 #1 dup 1", "PUBLISH q1 #2 dup 2"]);
}

/// A restart must find it as the client has it: PUBREL lets the client forget the packet id.
#[test]
fn a_pubrel_waits_until_it_is_kept_that_the_client_has_the_message() {
    let mut pair = Pair::online(V5);
    pair.kept(2, 9, 0x8005);
    assert_eq!(pair.receive(), ["PUBLISH q2 #32773 9"]);
    assert!(pair.exchange(pubrec(0x8005)).is_empty());
    assert!(pair.exchange(pubrec(0x8005)).is_empty());
    // The answer to a connection that has ended is void: it is asked again.
    assert_eq!(pair.reconnect(), ["CONNACK present"]);
    pair.stored();
    assert_eq!(pair.receive(), ["PUBREL #32773"]);
    assert!(pair.host.finished.is_empty());
    pair.send(pubcomp(0x8005));
    assert_eq!(pair.host.finished, [9]);
}

#[test]
fn a_kept_message_is_finished_once_its_client_is_done_with_it() {
    let mut pair = Pair::online(V5);
    pair.kept(1, 1, 0);
    pair.kept(2, 2, 0x8000);
    assert_eq!(pair.receive(), ["PUBLISH q1 #1 1", "PUBLISH q2 #32768 2"]);
    assert_eq!(pair.reconnect()[1..], ["PUBLISH q1 #1 dup 1", "PUBLISH q2 #32768 dup 2"]);
    pair.send(puback(1));
    let refused = Ack { packet_id: 0x8000, reason: Reason::QUOTA_EXCEEDED };
    pair.send(Packet::PubRec(refused));
    assert_eq!(pair.host.finished, [1, 2]);
}
