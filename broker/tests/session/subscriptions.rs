//! SUBSCRIBE and UNSUBSCRIBE (MQTT 5 §3.8 to §3.11).

use std::sync::Arc;

use bluetick_broker::Message;
use bluetick_broker::host::HostEvent;
use bluetick_broker::packet::{PublishProperties, QoS, Reason, Version};

use crate::client::{puback, publish, subscribe, unsubscribe};
use crate::pair::Pair;

use Version::{V4, V5};

/// MQTT 5: [MQTT-2.2.1-6], [MQTT-3.8.4-1], [MQTT-3.8.4-2], [MQTT-3.8.4-5], [MQTT-3.8.4-6],
/// MQTT 5: [MQTT-3.8.4-7], [MQTT-3.9.3-1].
#[test]
fn a_suback_waits_for_the_host_and_has_a_code_for_each_filter_in_order() {
    let mut pair = Pair::online(V5);
    let filters = [("host/a", 1), ("plain/b", 2), ("host/c", 2), ("host/d", 0)];
    assert!(pair.exchange(subscribe(9, &filters)).is_empty());
    let asked: Vec<_> =
        pair.host.subscribes.iter().map(|(_, request, _)| &*request.filter).collect();
    assert_eq!(asked, ["host/a", "host/c", "host/d"]);
    pair.decide(2, Reason(0));
    pair.decide(0, Reason::NOT_AUTHORIZED);
    assert!(pair.receive().is_empty());
    pair.decide(1, Reason(1));
    assert_eq!(pair.receive(), ["SUBACK #9 87 02 01 00"]);
}

/// What follows may depend on it: an UNSUBSCRIBE does, and who has its SUBACK hears what comes next.
#[test]
fn what_follows_a_request_waits_for_its_answer() {
    let mut pair = Pair::online_with(V5, |_, connect| connect.keep_alive_s = 10);
    pair.send(subscribe(1, &[("host/a", 1)]));
    pair.send(unsubscribe(2, &["host/a"]));
    pair.send(publish(1, 3, "x"));
    assert!(pair.host.unsubscribes.is_empty() && pair.host.published.is_empty());
    // A silence of the server's is not one of the client.
    pair.advance(1_000_000);
    assert!(pair.is_online());
    pair.decide(0, Reason(1));
    assert_eq!(pair.receive(), ["SUBACK #1 01"]);
    let token = pair.host.unsubscribes[0].0;
    pair.event(HostEvent::Unsubscribed { token, reason: Reason::SUCCESS });
    assert_eq!(pair.receive(), ["UNSUBACK #2 00"]);
    pair.answer(0, Reason::SUCCESS);
    assert_eq!(pair.receive(), ["PUBACK #3"]);
}

/// MQTT 3.1.1 §3.9.3 has one code for refusals.
/// MQTT 3.1.1: [MQTT-2.3.1-7], [MQTT-3.8.4-1], [MQTT-3.8.4-2], [MQTT-3.8.4-4], [MQTT-3.8.4-5],
/// MQTT 3.1.1: [MQTT-3.9.3-1].
#[test]
fn refusals_of_v4_are_0x80() {
    let mut pair = Pair::online(V4);
    let filters = [("$share/g", 1), ("a/#/b", 1), ("host/a", 1), ("plain/b", 2)];
    pair.send(subscribe(1, &filters));
    pair.decide(0, Reason::NOT_AUTHORIZED);
    assert_eq!(pair.receive(), ["SUBACK #1 80 80 80 02"]);
}

/// MQTT 5: [MQTT-4.8.2-1], [MQTT-4.8.2-2].
#[test]
fn filters_that_cannot_be_had_are_refused_without_asking_the_host() {
    let deep = "a/".repeat(32);
    let long = "a".repeat(1025);
    for (filter, code) in [
        ("$share/", "8f"),
        ("$share//a", "8f"),
        ("$share/g", "8f"),
        ("$share/g/", "8f"),
        ("$share/g#/a", "8f"),
        ("$share/+/a", "8f"),
        ("a/#/b", "8f"),
        ("a+", "8f"),
        (&*deep, "8f"),
        (&*long, "8f"),
    ] {
        let mut pair = Pair::online(V5);
        assert_eq!(pair.exchange(subscribe(1, &[(filter, 1)])), [format!("SUBACK #1 {code}")]);
        assert!(pair.host.subscribes.is_empty(), "{filter}");
    }
}

/// MQTT 5: [MQTT-3.8.4-3].
#[test]
fn one_subscription_too_many_is_refused_and_a_renewed_one_is_none() {
    let mut pair = Pair::online(V5);
    let filters = [("plain/a", 0), ("plain/b", 0), ("plain/c", 0)];
    assert_eq!(pair.exchange(subscribe(1, &filters)), ["SUBACK #1 00 00 00"]);
    let filters = [("plain/d", 0), ("plain/e", 0), ("plain/a", 2)];
    assert_eq!(pair.exchange(subscribe(2, &filters)), ["SUBACK #2 00 97 02"]);
    assert_eq!(pair.exchange(subscribe(3, &[("plain/f", 0)])), ["SUBACK #3 97"]);
    assert_eq!(pair.session().plain_filters().len(), 4);
    pair.send(unsubscribe(4, &["plain/a"]));
    assert_eq!(pair.receive(), ["UNSUBACK #4 00"]);
    assert_eq!(pair.exchange(subscribe(5, &[("plain/f", 0)])), ["SUBACK #5 00"]);
}

#[test]
fn a_request_cannot_exceed_the_limit_either() {
    let mut pair = Pair::online(V5);
    let filters: Vec<String> = (0..6).map(|no| format!("host/{no}")).collect();
    let filters: Vec<_> = filters.iter().map(|filter| (&**filter, 0)).collect();
    pair.send(subscribe(1, &filters));
    for at in 0..4 {
        pair.decide(at, if at == 0 { Reason::NOT_AUTHORIZED } else { Reason(0) });
    }
    assert_eq!(pair.receive(), ["SUBACK #1 87 00 00 00 97 97"]);
    // A refused one makes room.
    pair.send(subscribe(2, &[("host/5", 0)]));
    pair.decide(4, Reason(0));
    assert_eq!(pair.receive(), ["SUBACK #2 00"]);
}

/// MQTT 5: [MQTT-3.8.4-3].
#[test]
fn the_host_is_told_that_a_filter_is_renewed() {
    let mut pair = Pair::online(V5);
    pair.send(subscribe(1, &[("host/a", 0)]));
    pair.decide(0, Reason(0));
    pair.send(subscribe(2, &[("host/a", 1), ("host/b", 1)]));
    let renewed: Vec<bool> = pair.host.subscribes.iter().map(|(_, _, renewed)| *renewed).collect();
    assert_eq!(renewed, [false, true, false]);
}

#[test]
fn a_refused_subscription_is_none() {
    let mut pair = Pair::online(V5);
    pair.send(subscribe(1, &[("host/a", 0)]));
    pair.decide(0, Reason::NOT_AUTHORIZED);
    pair.receive();
    assert_eq!(pair.exchange(unsubscribe(2, &["host/a"])), ["UNSUBACK #2 11"]);
    assert!(pair.host.unsubscribes.is_empty());
}

/// MQTT 5: [MQTT-2.2.1-6], [MQTT-3.10.4-4], [MQTT-3.10.4-5], [MQTT-3.10.4-6], [MQTT-3.11.3-1].
/// MQTT 3.1.1: [MQTT-2.3.1-7], [MQTT-3.10.4-4], [MQTT-3.10.4-5], [MQTT-3.10.4-6].
#[test]
fn an_unsuback_waits_for_the_host_and_has_a_code_for_each_filter_in_v5() {
    for version in [V4, V5] {
        let mut pair = Pair::online(version);
        pair.send(subscribe(1, &[("host/a", 0), ("plain/b", 0)]));
        pair.decide(0, Reason(0));
        pair.receive();
        let filters = ["host/none", "host/a", "plain/b", "a/#/b"];
        assert!(pair.exchange(unsubscribe(2, &filters)).is_empty());
        let token = pair.host.unsubscribes[0].0;
        pair.event(HostEvent::Unsubscribed { token, reason: Reason::SUCCESS });
        match version {
            V4 => assert_eq!(pair.receive(), ["UNSUBACK #2"]),
            V5 => assert_eq!(pair.receive(), ["UNSUBACK #2 11 00 00 8f"]),
        }
    }
}

#[test]
fn an_answer_to_a_subscribe_of_an_earlier_connection_is_void() {
    let mut pair = Pair::online(V5);
    pair.send(subscribe(1, &[("host/a", 0)]));
    pair.reconnect();
    pair.send(subscribe(1, &[("host/a", 0)]));
    pair.decide(0, Reason(0));
    assert!(pair.receive().is_empty());
    pair.decide(1, Reason(0));
    assert_eq!(pair.receive(), ["SUBACK #1 00"]);
}

fn notice() -> Option<Arc<Message>> {
    let properties = PublishProperties::default();
    Some(Arc::new(Message::new("me/acks".into(), "stored".into(), &properties, false)))
}

/// Publishes, and has the host answer with a notice.
fn publish_for_notice(pair: &mut Pair, packet_id: u16) {
    pair.send(publish(1, packet_id, "a"));
    let token = pair.host.published.last().expect("it was read").token;
    let (reason, properties) = (Reason::SUCCESS, None);
    pair.event(HostEvent::Published { token, reason, properties, notice: notice() });
}

#[test]
fn a_notice_follows_its_acknowledgement_for_those_who_subscribe_to_its_topic() {
    for (granted, told) in [(None, None), (Some(0), Some("q0")), (Some(2), Some("q1 #1"))] {
        let mut pair = Pair::online(V5);
        if let Some(qos) = granted {
            pair.send(subscribe(1, &[("me/acks", qos)]));
            pair.decide(0, Reason(QoS::from_bits(qos).expect("a level") as u8));
            pair.receive();
        }
        publish_for_notice(&mut pair, 1);
        let mut expected = vec!["PUBACK #1".to_owned()];
        expected.extend(told.map(|told| format!("PUBLISH {told} stored")));
        assert_eq!(pair.receive(), expected);
    }
}

/// Were it not read, it could never acknowledge what it has, in this connection or a later one.
#[test]
fn a_client_that_publishes_before_it_acknowledges_is_read_and_loses_notices_beyond_the_queue() {
    for version in [V4, V5] {
        let mut pair = Pair::online_with(version, |limits, _| limits.queued_messages_max = 10);
        pair.send(subscribe(1, &[("me/acks", 1)]));
        pair.decide(0, Reason(1));
        for id in 1..=40 {
            publish_for_notice(&mut pair, id);
        }
        pair.receive();
        let again = |id: u16| format!("PUBLISH q1 #{id} dup stored");
        let mut expected = vec!["CONNACK present".to_owned()];
        expected.extend((1..=4).map(again));
        assert_eq!(pair.session().take_notices_dropped(), 26);
        assert_eq!(pair.reconnect(), expected);
        for id in 1..=10 {
            assert_eq!(pair.exchange(puback(id)), [format!("PUBLISH q1 #{} stored", id + 4)]);
        }
        assert!(pair.exchange(puback(11)).is_empty(), "4 in flight and 10 in the queue");
    }
}

/// MQTT 5 §3.8.3.1.
#[test]
fn no_local_on_a_shared_subscription_is_a_protocol_error() {
    let mut pair = Pair::online(V5);
    pair.send_bytes(b"\x82\x10\x00\x01\x00\x00\x0A$share/g/a\x05");
    assert_eq!(pair.closed.expect("closed").reason, Reason::PROTOCOL_ERROR);
}
