//! Statements of the specification that no story of the other files comes by.

use bluetick_broker::codec::AckKind;
use bluetick_broker::packet::{AckProperties, Packet, PublishProperties, Reason, Version};

use crate::client::{
    Got, disconnect, puback, pubcomp, publish, pubrec, pubrel, subscribe, unsubscribe,
};
use crate::pair::Pair;

use Version::{V4, V5};

/// MQTT 5: [MQTT-3.1.2-28].
#[test]
fn response_information_is_for_clients_that_ask() {
    for asked in [false, true] {
        let mut pair = Pair::offline(V5, |_, connect| connect.request_response_info = asked);
        pair.open();
        let Some(Got::ConnAck { properties, .. }) = pair.receive_one() else {
            panic!("no CONNACK")
        };
        assert_eq!(properties.iter().any(|(id, _)| *id == 0x1A), asked);
    }
}

/// MQTT 5: [MQTT-3.3.4-10], [MQTT-4.9.0-3].
#[test]
fn a_full_window_holds_up_no_other_packet() {
    let mut pair = Pair::online_with(V5, |_, connect| connect.receive_maximum = Some(1));
    pair.offer(2);
    pair.offer(1);
    assert_eq!(pair.receive(), ["PUBLISH q2 #1 1"]);
    assert_eq!(pair.exchange(Packet::PingReq), ["PINGRESP"]);
    assert_eq!(pair.exchange(subscribe(5, &[("plain/t", 0)])), ["SUBACK #5 00"]);
    assert_eq!(pair.exchange(unsubscribe(6, &["plain/t"])), ["UNSUBACK #6 00"]);
    pair.send(publish(1, 7, "a"));
    pair.answer(0, Reason::SUCCESS);
    assert_eq!(pair.receive(), ["PUBACK #7"]);
    pair.send(publish(2, 8, "b"));
    pair.answer(1, Reason::SUCCESS);
    assert_eq!(pair.receive(), ["PUBREC #8"]);
    assert_eq!(pair.exchange(pubrel(8)), ["PUBCOMP #8"]);
    assert_eq!(pair.exchange(pubrec(1)), ["PUBREL #1"], "the window is still full");
    assert_eq!(pair.exchange(pubcomp(1)), ["PUBLISH q1 #2 2"]);
}

/// MQTT 5: [MQTT-3.4.2-2], [MQTT-3.4.2-3], [MQTT-3.5.2-2], [MQTT-3.5.2-3].
#[test]
fn what_makes_an_acknowledgement_too_large_is_left_out() {
    let reason_string =
        AckProperties { reason_string: Some("no".repeat(40)), user_properties: Vec::new() };
    let user_property = AckProperties {
        reason_string: None,
        user_properties: vec![("why".to_owned(), "no".repeat(40))],
    };
    for (qos, expected) in [(1, AckKind::PubAck), (2, AckKind::PubRec)] {
        for properties in [&reason_string, &user_property] {
            for (max_bytes, told) in [(200, 1), (60, 0)] {
                let mut pair =
                    Pair::online_with(V5, |_, connect| connect.max_packet_bytes = Some(max_bytes));
                pair.send(publish(qos, 1, "a"));
                pair.answer_with(0, Reason::NOT_AUTHORIZED, Some(Box::new(properties.clone())));
                match pair.receive_one() {
                    Some(Got::Ack { kind, reason: 0x87, properties, .. }) => {
                        assert_eq!((kind, properties.len()), (expected, told), "{max_bytes} bytes");
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

/// MQTT 5: [MQTT-3.10.4-1].
/// MQTT 3.1.1: [MQTT-3.10.4-1].
#[test]
fn unsubscribe_compares_filters_character_by_character() {
    for version in [V4, V5] {
        let mut pair = Pair::online(version);
        let filters = [("plain/a", 1), ("plain/+", 1), ("plain/caf\u{e9}", 1)];
        assert_eq!(pair.exchange(subscribe(1, &filters)), ["SUBACK #1 01 01 01"]);
        // Each would match, be matched by, or look like one that is there.
        let others = ["plain/#", "plain/b", "Plain/a", "plain/a/", "plain/cafe\u{301}"];
        let codes = if version == V5 { " 11 11 11 11 11" } else { "" };
        let answer = format!("UNSUBACK #2{codes}");
        assert_eq!(pair.exchange(unsubscribe(2, &others)), [answer]);
        assert_eq!(pair.session().plain_filters().len(), 3);
        pair.send(unsubscribe(3, &["plain/+"]));
        assert_eq!(pair.session().plain_filters(), ["plain/a".into(), "plain/caf\u{e9}".into()]);
    }
}

/// MQTT 5: [MQTT-3.10.4-3].
/// MQTT 3.1.1: [MQTT-3.10.4-3].
#[test]
fn an_unsubscribe_leaves_deliveries_that_have_begun() {
    for version in [V4, V5] {
        let mut pair = Pair::online(version);
        pair.send(subscribe(9, &[("plain/t", 2)]));
        pair.receive();
        pair.plain(1, "a");
        pair.plain(2, "b");
        assert_eq!(pair.receive(), ["PUBLISH q1 #1 a", "PUBLISH q2 #2 b"]);
        pair.send(unsubscribe(10, &["plain/t"]));
        pair.receive();
        assert_eq!(
            pair.reconnect(),
            ["CONNACK present", "PUBLISH q1 #1 dup a", "PUBLISH q2 #2 dup b"]
        );
        assert!(pair.exchange(puback(1)).is_empty());
        assert_eq!(pair.exchange(pubrec(2)), ["PUBREL #2"]);
        assert!(pair.exchange(pubcomp(2)).is_empty());
        assert_eq!(pair.reconnect(), ["CONNACK present"]);
    }
}

/// MQTT 5: [MQTT-3.14.2-2].
#[test]
fn a_disconnect_of_the_server_says_nothing_of_the_sessions_expiry() {
    let mut pair = Pair::online(V5);
    pair.send(Packet::Auth);
    match pair.receive_one() {
        Some(Got::Disconnect { properties, .. }) => {
            assert!(properties.iter().all(|(id, _)| *id != 0x11), "{properties:?}");
        }
        other => panic!("{other:?}"),
    }
}

/// MQTT 5: [MQTT-3.3.1-2], [MQTT-4.3.1-1], [MQTT-4.3.2-2], [MQTT-4.3.3-2].
/// MQTT 3.1.1: [MQTT-3.3.1-2], [MQTT-4.3.1-1], [MQTT-4.3.2-1], [MQTT-4.3.3-1].
#[test]
fn dup_is_0_at_first_and_always_at_qos_0() {
    for version in [V4, V5] {
        let mut pair = Pair::online(version);
        for qos in 0..=2 {
            pair.plain(qos, "a");
        }
        let dups = |pair: &mut Pair| -> Vec<(u8, bool)> {
            let publishes = pair.receive_packets().into_iter().filter_map(|got| match got {
                Got::Publish { qos, dup, .. } => Some((qos, dup)),
                _ => None,
            });
            publishes.collect()
        };
        assert_eq!(dups(&mut pair), [(0, false), (1, false), (2, false)]);
        pair.lose();
        pair.open();
        pair.plain(0, "b");
        assert_eq!(dups(&mut pair), [(1, true), (2, true), (0, false)]);
    }
}

/// MQTT 5: [MQTT-4.4.0-1].
/// MQTT 3.1.1: [MQTT-4.1.0-2].
#[test]
fn nothing_is_sent_again_while_the_connection_lasts() {
    for version in [V4, V5] {
        let mut pair = Pair::online(version);
        pair.offer(1);
        pair.offer(2);
        pair.offer(2);
        pair.send(pubrec(3));
        assert_eq!(pair.receive().len(), 4);
        pair.advance(1_000_000_000);
        pair.drive();
        assert_eq!(pair.exchange(Packet::PingReq), ["PINGRESP"]);
    }
}

/// MQTT 5: [MQTT-4.6.0-4].
/// MQTT 3.1.1: [MQTT-4.6.0-4].
#[test]
fn pubrels_go_out_in_the_order_of_the_pubrecs() {
    for version in [V4, V5] {
        let mut pair = Pair::online(version);
        for _ in 0..3 {
            pair.offer(2);
        }
        pair.receive();
        for id in [2, 3, 1] {
            pair.queue(pubrec(id));
        }
        pair.drive();
        assert_eq!(pair.receive(), ["PUBREL #2", "PUBREL #3", "PUBREL #1"]);
    }
}

/// MQTT 5: [MQTT-4.3.3-13].
#[test]
fn an_expired_message_completes_its_exchange() {
    let mut pair = Pair::online(V5);
    let mut expiring = publish(2, 1, "a");
    expiring.properties =
        PublishProperties { message_expiry_s: Some(1), ..PublishProperties::default() };
    pair.send(expiring.clone());
    pair.advance(10_000);
    pair.answer(0, Reason::SUCCESS);
    assert_eq!(pair.receive(), ["PUBREC #1"]);
    pair.advance(10_000);
    expiring.dup = true;
    assert_eq!(pair.exchange(expiring), ["PUBREC #1"]);
    assert_eq!(pair.exchange(pubrel(1)), ["PUBCOMP #1"]);
    assert_eq!(pair.host.texts(), ["a"]);
}

/// MQTT 5: [MQTT-4.3.2-5].
/// MQTT 3.1.1: [MQTT-4.3.2-2].
#[test]
fn a_packet_id_is_free_after_puback_whatever_dup_says() {
    let mut pair = Pair::online(V4);
    pair.send(publish(1, 1, "a"));
    pair.answer(0, Reason::SUCCESS);
    let mut second = publish(1, 1, "b");
    second.dup = true;
    pair.send(second);
    assert_eq!(pair.host.texts(), ["a", "b"], "a new message");
}

/// MQTT 3.1.1: [MQTT-3.1.0-2].
#[test]
fn a_second_connect_of_3_1_1_ends_the_connection() {
    let mut pair = Pair::online(V4);
    pair.send_bytes(b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x00\x00\x01c");
    assert!(!pair.is_online() && pair.receive().is_empty());
}

/// MQTT 5: [MQTT-3.14.4-1].
#[test]
fn nothing_follows_a_disconnect() {
    let mut pair = Pair::online(V5);
    pair.offer(1);
    pair.queue(Packet::PingReq);
    pair.queue(Packet::Auth);
    pair.queue(Packet::PingReq);
    pair.drive();
    assert_eq!(pair.receive(), ["PUBLISH q1 #1 1", "PINGRESP", "DISCONNECT 0x82"]);
    let mut pair = Pair::online(V5);
    pair.queue(disconnect(Reason::SUCCESS, None));
    pair.queue(Packet::PingReq);
    pair.drive();
    assert!(pair.receive().is_empty());
}
