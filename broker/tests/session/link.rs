//! What belongs to the connection: keep-alive, topic aliases, DISCONNECT, packets out of place.

use std::sync::Arc;

use bluetick_broker::host::HostEvent;
use bluetick_broker::packet::{Packet, Publish, PublishProperties, QoS, Reason, Version, Will};
use bytes::Bytes;

use crate::client::{Got, connect, disconnect, publish};
use crate::pair::Pair;

use Version::{V4, V5};

/// MQTT 5 §3.1.2.10: after one and a half times the keep-alive.
/// MQTT 5: [MQTT-3.1.2-22].
/// MQTT 3.1.1: [MQTT-3.1.2-24].
#[test]
fn a_silent_client_is_disconnected_after_one_and_a_half_times_its_keep_alive() {
    for version in [V4, V5] {
        let mut pair = Pair::online_with(version, |_, connect| connect.keep_alive_s = 10);
        pair.advance(14_999);
        assert!(pair.is_online());
        pair.advance(1);
        assert!(!pair.is_online());
        assert_eq!(pair.closed.as_ref().expect("closed").reason, Reason::KEEP_ALIVE_TIMEOUT);
        match version {
            V4 => assert!(pair.receive().is_empty()),
            V5 => assert_eq!(pair.receive(), ["DISCONNECT 0x8d"]),
        }
    }
}

/// MQTT 5: [MQTT-3.12.4-1].
#[test]
fn any_packet_pushes_the_keep_alive() {
    let mut pair = Pair::online_with(V5, |_, connect| connect.keep_alive_s = 10);
    for packet in [Packet::PingReq, Packet::Publish(Box::new(publish(0, 0, "a")))] {
        pair.advance(14_000);
        pair.send(packet);
        let now = pair.now;
        assert_eq!(pair.session().poll_timeout(), Some(now + 15_000));
    }
    assert_eq!(pair.receive(), ["PINGRESP"]);
    // What the server sends is no sign of the client.
    pair.advance(14_000);
    pair.offer(1);
    pair.advance(1_000);
    assert!(!pair.is_online());
}

#[test]
fn without_a_keep_alive_nothing_is_due() {
    let mut pair = Pair::online(V5);
    assert_eq!(pair.session().poll_timeout(), None);
    pair.advance(u64::MAX / 2);
    assert!(pair.is_online());
}

#[test]
fn a_new_connection_has_its_whole_keep_alive() {
    let mut pair = Pair::online_with(V5, |_, connect| connect.keep_alive_s = 10);
    pair.lose();
    pair.now += 1_000_000;
    pair.connect();
    pair.advance(14_999);
    assert!(pair.is_online());
}

/// MQTT 5 §3.2.2.3.14: told where it differs; 3.1.1 cannot be told and keeps its own.
/// MQTT 5: [MQTT-3.2.2-22].
#[test]
fn the_keep_alive_is_capped_and_told() {
    for (asked, told, due_ms) in
        [(0, Some(20), 30_000), (60, Some(20), 30_000), (20, None, 30_000), (10, None, 15_000)]
    {
        let mut pair = Pair::offline(V5, |limits, connect| {
            limits.keep_alive_s_max = 20;
            connect.keep_alive_s = asked;
        });
        pair.open();
        let Some(Got::ConnAck { properties, .. }) = pair.receive_one() else {
            panic!("no CONNACK")
        };
        let found = properties.into_iter().find(|(id, _)| *id == 0x13).map(|(_, value)| value);
        assert_eq!(found, told.map(|seconds: u16| seconds.to_be_bytes().to_vec()), "{asked} s");
        let now = pair.now;
        assert_eq!(pair.session().poll_timeout(), Some(now + due_ms), "{asked} s");
    }
    let mut pair = Pair::online_with(V4, |limits, connect| {
        limits.keep_alive_s_max = 20;
        connect.keep_alive_s = 60;
    });
    let now = pair.now;
    assert_eq!(pair.session().poll_timeout(), Some(now + 90_000));
}

fn with_alias(topic: &str, alias: u16) -> Publish {
    Publish { topic: Arc::from(topic), topic_alias: Some(alias), ..publish(0, 0, "a") }
}

fn topics(pair: &Pair) -> Vec<&str> {
    pair.host.published.iter().map(|publish| &*publish.topic).collect()
}

/// MQTT 5 §3.3.2.3.4.
/// MQTT 5: [MQTT-3.3.2-12].
#[test]
fn a_topic_alias_stands_for_the_topic_it_was_last_set_to() {
    let mut pair = Pair::online(V5);
    for (topic, alias) in [("a", 2), ("", 2), ("b", 1), ("", 2), ("c", 2), ("", 2), ("", 1)] {
        pair.send(with_alias(topic, alias));
    }
    assert_eq!(topics(&pair), ["a", "a", "b", "a", "c", "c", "b"]);
}

/// MQTT 5: [MQTT-3.3.2-8].
#[test]
fn a_topic_alias_above_the_maximum_ends_the_connection() {
    let mut pair = Pair::online(V5);
    assert_eq!(pair.exchange(with_alias("a", 3)), ["DISCONNECT 0x94"]);
    let mut pair = Pair::online_with(V5, |limits, _| limits.topic_aliases_max = 0);
    assert_eq!(pair.exchange(with_alias("a", 1)), ["DISCONNECT 0x94"]);
    let mut pair = Pair::online(V5);
    let bytes = b"\x30\x08\x00\x01a\x03\x23\x00\x00b";
    pair.send_bytes(bytes);
    assert_eq!(pair.receive(), ["DISCONNECT 0x94"], "nor is there an alias 0");
}

#[test]
fn an_unknown_topic_alias_ends_the_connection() {
    let mut pair = Pair::online(V5);
    pair.send(with_alias("a", 2));
    assert_eq!(pair.exchange(with_alias("", 1)), ["DISCONNECT 0x82"]);
    assert_eq!(topics(&pair), ["a"]);
}

/// MQTT 5: [MQTT-3.3.2-7].
#[test]
fn topic_aliases_end_with_the_connection() {
    let mut pair = Pair::online(V5);
    pair.send(with_alias("a", 1));
    assert_eq!(pair.reconnect(), ["CONNACK present"]);
    assert_eq!(pair.exchange(with_alias("", 1)), ["DISCONNECT 0x82"]);
}

/// MQTT 5: [MQTT-3.1.0-2], [MQTT-3.2.0-2].
#[test]
fn a_second_connect_ends_the_connection() {
    let mut pair = Pair::online(V5);
    pair.send_bytes(b"\x10\x0E\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c");
    assert_eq!(pair.receive(), ["DISCONNECT 0x82"]);
    // The codec stops it; a caller with another codec meets the session's own rule.
    let mut pair = Pair::online(V5);
    let now = pair.now;
    let close = pair.session().handle_packet(Packet::Connect(Box::new(connect(V5))), now);
    assert_eq!(close.expect_err("refused").reason, Reason::PROTOCOL_ERROR);
}

/// MQTT 3.1.1: [MQTT-4.8.0-1].
#[test]
fn packets_that_only_servers_send_end_the_connection() {
    for bytes in [
        &b"\x20\x03\x00\x00\x00"[..],
        b"\x90\x04\x00\x01\x00\x00",
        b"\xB0\x04\x00\x01\x00\x00",
        b"\xD0\x00",
    ] {
        let mut pair = Pair::online(V5);
        pair.send_bytes(bytes);
        assert_eq!(pair.receive(), ["DISCONNECT 0x82"], "{bytes:02x?}");
        let mut pair = Pair::online(V4);
        pair.send_bytes(bytes);
        assert!(!pair.is_online() && pair.receive().is_empty(), "{bytes:02x?}");
    }
}

#[test]
fn auth_without_an_authentication_method_ends_the_connection() {
    assert_eq!(Pair::online(V5).exchange(Packet::Auth), ["DISCONNECT 0x82"]);
}

#[test]
fn what_follows_an_error_is_not_looked_at() {
    let mut pair = Pair::online(V5);
    pair.queue(publish(1, 1, "a"));
    pair.queue(Packet::Auth);
    pair.queue(publish(1, 2, "b"));
    pair.drive();
    assert_eq!(pair.host.texts(), ["a"]);
}

fn with_will(version: Version) -> Pair {
    Pair::online_with(version, |_, connect| {
        connect.will = Some(Box::new(Will {
            topic: "w".to_owned(),
            payload: Bytes::from_static(b"gone"),
            qos: QoS::AtMostOnce,
            retain: false,
            delay_s: 0,
            properties: PublishProperties::default(),
        }));
    })
}

/// MQTT 5 §3.14.4: reason 0x00 takes the will back, and nothing else does.
/// MQTT 5: [MQTT-3.1.2-10], [MQTT-3.14.4-3].
/// MQTT 3.1.1: [MQTT-3.1.2-10], [MQTT-3.14.4-3].
#[test]
fn only_a_normal_disconnect_takes_the_will_back() {
    for (reason, left) in [
        (Reason::SUCCESS, false),
        (Reason::DISCONNECT_WITH_WILL, true),
        (Reason::UNSPECIFIED, true),
        (Reason::PACKET_TOO_LARGE, true),
    ] {
        let mut pair = with_will(V5);
        assert!(pair.exchange(disconnect(reason, None)).is_empty());
        let close = pair.closed.as_ref().expect("closed");
        assert!(close.by_client && close.reason == reason);
        assert_eq!(pair.will.is_some(), left, "{reason:?}");
    }
    let mut pair = with_will(V4);
    pair.send(disconnect(Reason::SUCCESS, None));
    assert!(pair.will.is_none());
}

/// MQTT 3.1.1: [MQTT-3.1.2-8].
#[test]
fn a_connection_that_ends_without_disconnect_leaves_the_will() {
    for version in [V4, V5] {
        let mut pair = with_will(version);
        pair.lose();
        assert!(pair.will.is_some());
        let mut pair = with_will(version);
        pair.send_bytes(&[0xFF, 0xFF]);
        assert!(pair.closed.is_some() && pair.will.is_some());
    }
}

#[test]
fn disconnect_changes_the_session_expiry() {
    let mut pair = Pair::online(V5);
    pair.send(disconnect(Reason::SUCCESS, Some(0)));
    assert!(pair.parked.is_none(), "0 ends it");
    let mut pair = Pair::online_with(V5, |limits, _| limits.session_expiry_s_max = 4000);
    pair.send(disconnect(Reason::SUCCESS, Some(9000)));
    assert_eq!(pair.parked.as_ref().expect("kept").expiry_s(), 4000, "the cap holds");
    let mut pair = Pair::online(V5);
    pair.send(disconnect(Reason::SUCCESS, None));
    assert_eq!(pair.parked.as_ref().expect("kept").expiry_s(), 3600);
}

/// MQTT 5 §3.14.2.2.2.
#[test]
fn disconnect_cannot_give_an_expiry_to_a_session_without() {
    let mut pair = Pair::online_with(V5, |_, connect| connect.session_expiry_s = None);
    assert_eq!(pair.exchange(disconnect(Reason::SUCCESS, Some(1))), ["DISCONNECT 0x82"]);
    assert!(pair.parked.is_none());
    let mut pair = Pair::online_with(V5, |_, connect| connect.session_expiry_s = None);
    assert!(pair.exchange(disconnect(Reason::SUCCESS, Some(0))).is_empty());
}

/// MQTT 3.1.1: [MQTT-4.8.0-2].
#[test]
fn the_host_may_end_the_connection() {
    let mut pair = Pair::online(V5);
    pair.event(HostEvent::Close(Reason::SERVER_UNAVAILABLE));
    assert_eq!(pair.receive(), ["DISCONNECT 0x88"]);
    assert!(pair.parked.is_some());
    let mut pair = Pair::online(V4);
    pair.event(HostEvent::Close(Reason::SERVER_UNAVAILABLE));
    assert!(pair.receive().is_empty());
}

fn disconnect_properties(adjust: impl FnOnce(&mut bluetick_broker::packet::Connect)) -> usize {
    let mut pair = Pair::online_with(V5, |_, connect| adjust(connect));
    pair.send(Packet::Auth);
    match pair.receive_one() {
        Some(Got::Disconnect { reason: 0x82, properties }) => properties.len(),
        other => panic!("{other:?}"),
    }
}

/// MQTT 5: [MQTT-3.1.2-29], [MQTT-3.14.2-3].
#[test]
fn the_reason_string_of_a_disconnect_is_for_clients_that_want_and_take_it() {
    assert_eq!(disconnect_properties(|_| {}), 1);
    assert_eq!(disconnect_properties(|connect| connect.max_packet_bytes = Some(20)), 0);
    assert_eq!(disconnect_properties(|connect| connect.request_problem_info = false), 0);
}
