//! Deliveries to the client: their window, their packet ids, and what is too large.

use bluetick_broker::packet::{Ack, Packet, Reason, Version};

use crate::client::{Got, puback, subscribe};
use crate::pair::Pair;

use Version::{V4, V5};

/// MQTT 5 §3.1.2.11.3.
/// MQTT 5: [MQTT-3.3.4-9], [MQTT-4.9.0-1], [MQTT-4.9.0-2].
#[test]
fn the_clients_receive_maximum_bounds_what_is_in_flight() {
    let mut pair = Pair::online_with(V5, |_, connect| connect.receive_maximum = Some(2));
    for _ in 0..5 {
        pair.offer(1);
    }
    assert_eq!(pair.receive(), ["PUBLISH q1 #1 1", "PUBLISH q1 #2 2"]);
    assert_eq!(pair.exchange(puback(2)), ["PUBLISH q1 #3 3"]);
    assert_eq!(pair.exchange(puback(1)), ["PUBLISH q1 #4 4"]);
    assert_eq!(pair.host.acked, [2, 1], "in the order of the client");
}

#[test]
fn the_servers_own_window_bounds_clients_that_set_none() {
    for version in [V4, V5] {
        let mut pair = Pair::online(version);
        for _ in 0..6 {
            pair.offer(1);
        }
        assert_eq!(pair.receive().len(), 4);
        assert_eq!(pair.exchange(puback(1)), ["PUBLISH q1 #5 5"]);
    }
}

#[test]
fn plain_messages_and_those_of_the_host_share_the_window() {
    let mut pair = Pair::online_with(V5, |_, connect| connect.receive_maximum = Some(2));
    pair.plain(1, "a");
    pair.plain(2, "b");
    pair.plain(1, "c");
    pair.offer(1);
    assert_eq!(pair.receive(), ["PUBLISH q1 #1 a", "PUBLISH q2 #2 b"]);
    assert_eq!(pair.exchange(puback(1)), ["PUBLISH q1 #3 c"]);
    assert_eq!(pair.exchange(puback(3)), ["PUBLISH q1 #4 1"]);
}

/// MQTT 5 §3.3.4: the receive maximum is not for QoS 0.
#[test]
fn qos_0_passes_a_full_window() {
    let mut pair = Pair::online_with(V5, |_, connect| connect.receive_maximum = Some(1));
    pair.plain(1, "a");
    pair.plain(0, "b");
    assert_eq!(pair.receive(), ["PUBLISH q1 #1 a", "PUBLISH q0 b"]);
    assert!(pair.session().plain_room() > 0);
}

/// MQTT 5: [MQTT-4.6.0-5], [MQTT-4.6.0-6].
/// MQTT 3.1.1: [MQTT-4.6.0-5], [MQTT-4.6.0-6].
#[test]
fn plain_messages_keep_their_order_whatever_their_qos() {
    for version in [V4, V5] {
        let mut pair = Pair::online_with(version, |limits, _| limits.inflight_out_max = 1);
        for (qos, text) in [(1, "a"), (1, "b"), (0, "c")] {
            pair.plain(qos, text);
        }
        assert_eq!(pair.receive(), ["PUBLISH q1 #1 a"]);
        assert_eq!(pair.exchange(puback(1)), ["PUBLISH q1 #2 b", "PUBLISH q0 c"]);
    }
}

#[test]
fn a_client_that_does_not_acknowledge_is_offered_a_bounded_queue() {
    let mut pair = Pair::online_with(V5, |_, connect| connect.receive_maximum = Some(1));
    for round in 0.. {
        let room = pair.session().plain_room();
        if room == 0 {
            break;
        }
        assert!(round < 100, "the queue has no end");
        pair.plain(1, "a");
    }
    assert_eq!(pair.receive(), ["PUBLISH q1 #1 a"]);
}

#[test]
fn a_client_with_a_full_queue_is_read_or_it_could_not_make_room() {
    let mut pair = Pair::online_with(V5, |limits, _| limits.queued_messages_max = 2);
    for text in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        pair.plain(1, text);
    }
    assert_eq!(pair.receive().len(), 4);
    assert_eq!(pair.exchange(puback(1)), ["PUBLISH q1 #5 e"]);
}

/// MQTT 5 §4.4 has no way to ask for a message again: a refusal is an acknowledgement.
/// MQTT 5: [MQTT-4.4.0-2].
#[test]
fn a_refusing_puback_frees_the_window_and_is_an_acknowledgement() {
    let mut pair = Pair::online_with(V5, |_, connect| connect.receive_maximum = Some(1));
    pair.offer(1);
    pair.offer(1);
    pair.receive();
    let refused = Packet::PubAck(Ack { packet_id: 1, reason: Reason::UNSPECIFIED });
    assert_eq!(pair.exchange(refused), ["PUBLISH q1 #2 2"]);
    assert_eq!(pair.host.acked, [1]);
    assert_eq!(pair.reconnect(), ["CONNACK present", "PUBLISH q1 #2 dup 2"]);
}

#[test]
fn an_acknowledgement_of_an_unknown_id_is_ignored() {
    let mut pair = Pair::online_with(V5, |_, connect| connect.receive_maximum = Some(1));
    pair.offer(1);
    pair.offer(1);
    pair.receive();
    assert!(pair.exchange(puback(77)).is_empty());
    assert_eq!(pair.exchange(puback(1)), ["PUBLISH q1 #2 2"]);
    assert!(pair.exchange(puback(1)).is_empty(), "the same one twice");
    assert_eq!(pair.host.acked, [1]);
}

/// MQTT 5 §2.2.1.
/// MQTT 5: [MQTT-2.2.1-4], [MQTT-4.3.2-1], [MQTT-4.3.3-1].
/// MQTT 3.1.1: [MQTT-2.3.1-4], [MQTT-4.3.2-1], [MQTT-4.3.3-1].
#[test]
fn packet_ids_wrap_around_past_0_and_past_those_in_use() {
    let mut pair = Pair::online_with(V5, |_, connect| connect.receive_maximum = Some(3));
    // 1 and 3 stay in use while all others come and go.
    for _ in 0..3 {
        pair.offer(1);
    }
    assert_eq!(pair.receive(), ["PUBLISH q1 #1 1", "PUBLISH q1 #2 2", "PUBLISH q1 #3 3"]);
    pair.send(puback(2));
    for id in 4..0x8000 {
        pair.offer(1);
        let Some(Got::Publish { packet_id, .. }) = pair.receive_one() else { panic!("no PUBLISH") };
        assert_eq!(packet_id, id);
        pair.send(puback(id));
    }
    for id in [2, 4] {
        pair.offer(1);
        let Some(Got::Publish { packet_id, .. }) = pair.receive_one() else { panic!("no PUBLISH") };
        assert_eq!(packet_id, id, "0, 1 and 3 are not free");
        pair.send(puback(id));
    }
}

#[test]
fn packet_ids_go_on_after_a_reconnect() {
    let mut pair = Pair::online(V5);
    pair.offer(1);
    pair.offer(1);
    pair.receive();
    pair.send(puback(1));
    assert_eq!(pair.reconnect(), ["CONNACK present", "PUBLISH q1 #2 dup 2"]);
    pair.offer(1);
    assert_eq!(pair.receive(), ["PUBLISH q1 #3 3"]);
}

/// MQTT 5 §3.1.2.11.4: what is larger than the client takes is dropped as if it had been sent.
/// MQTT 5: [MQTT-3.1.2-24].
#[test]
fn a_message_larger_than_the_client_takes_is_not_sent() {
    let mut pair = Pair::online_with(V5, |_, connect| connect.max_packet_bytes = Some(40));
    // 2 of the header, 9 of the topic, 2 of the id, 1 for no properties.
    let fits = "a".repeat(40 - 14);
    let large = "a".repeat(40 - 13);
    pair.plain(1, &large);
    pair.plain(1, &fits);
    let got = pair.receive();
    assert_eq!(got.len(), 1);
    assert!(got[0].starts_with("PUBLISH q1 #"), "{got:?}");
    assert!(got[0].ends_with(&format!(" {fits}")), "{got:?}");
    pair.plain(0, &format!("{large}{large}"));
    assert!(pair.receive().is_empty());
}

/// MQTT 5: [MQTT-3.1.2-25].
#[test]
fn a_message_of_the_host_that_is_too_large_counts_as_acknowledged() {
    let mut pair = Pair::online_with(V5, |_, connect| connect.max_packet_bytes = Some(12));
    pair.offer(1);
    assert!(pair.receive().is_empty());
    assert_eq!(pair.host.acked, [1], "it holds up nothing");
}

#[test]
fn nothing_is_pulled_for_a_client_that_does_not_read() {
    let mut pair = Pair::online_with(V5, |limits, _| limits.pending_bytes_max = 10);
    pair.client_reads = false;
    for _ in 0..3 {
        pair.offer(1);
    }
    let pending = pair.session().transmit.len();
    assert!(pending < 2 * 16, "{pending} bytes: more than the first message");
    assert_eq!(pair.session().plain_room(), 0);
    pair.client_reads = true;
    pair.drive();
    pair.drive();
    pair.drive();
    assert_eq!(pair.receive(), ["PUBLISH q1 #1 1", "PUBLISH q1 #2 2", "PUBLISH q1 #3 3"]);
}

/// MQTT 5 §3.3.4: the identifiers of all subscriptions that match.
/// MQTT 5: [MQTT-3.3.4-3], [MQTT-3.3.4-4].
#[test]
fn deliveries_of_the_host_carry_the_ids_of_the_matching_subscriptions() {
    let mut pair = Pair::online(V5);
    for (at, (filter, id)) in [("host/#", 7), ("host/t", 9), ("host/u", 8)].iter().enumerate() {
        let mut subscribe = subscribe(1, &[(filter, 1)]);
        subscribe.subscription_id = Some(*id);
        pair.send(subscribe);
        pair.decide(at, Reason(1));
    }
    pair.receive();
    pair.offer(1);
    let Some(Got::Publish { subscription_ids, .. }) = pair.receive_one() else {
        panic!("no PUBLISH")
    };
    assert_eq!(subscription_ids, [7, 9]);
    pair.lose();
    pair.open();
    pair.receive_one();
    let Some(Got::Publish { subscription_ids, dup: true, .. }) = pair.receive_one() else {
        panic!("no PUBLISH")
    };
    assert_eq!(subscription_ids, [7, 9], "also when it is sent again");
}

/// MQTT 5 §3.3.2.3.4.
/// MQTT 5: [MQTT-3.1.2-26], [MQTT-3.1.2-27], [MQTT-3.3.2-7], [MQTT-3.3.2-8], [MQTT-3.3.2-11].
#[test]
fn a_topic_goes_out_once_and_then_its_alias_as_far_as_the_client_takes_them() {
    let aliases = |pair: &mut Pair, topics: &[&str]| -> Vec<(String, Option<u8>)> {
        for topic in topics {
            pair.plain_on(topic, 0, "x");
        }
        let got = pair.receive_packets().into_iter().filter_map(|packet| match packet {
            Got::Publish { topic, alias, .. } => Some((topic, alias)),
            _ => None,
        });
        got.collect()
    };
    let told = |topic: &str, alias| (topic.to_owned(), alias);
    let mut pair = Pair::online_with(V5, |_, connect| {
        connect.topic_alias_maximum = 9;
        connect.session_expiry_s = Some(100);
    });
    // The server's limit is 2.
    assert_eq!(
        aliases(&mut pair, &["a", "b", "a", "c", "b", "c"]),
        [
            told("a", Some(1)),
            told("b", Some(2)),
            told("", Some(1)),
            told("c", None),
            told("", Some(2)),
            told("c", None),
        ]
    );
    // They end with the connection.
    pair.reconnect();
    assert_eq!(aliases(&mut pair, &["b", "b"]), [told("b", Some(1)), told("", Some(1))]);
    for mut pair in [Pair::online(V4), Pair::online(V5)] {
        assert_eq!(aliases(&mut pair, &["a", "a"]), [told("a", None), told("a", None)]);
    }
}

#[test]
fn an_alias_that_makes_a_packet_too_large_is_not_set() {
    // 2 header, 3 topic, 1 property length, 3 alias: 9 with it and 6 without, and a byte of text.
    let mut pair = Pair::online_with(V5, |_, connect| {
        connect.topic_alias_maximum = 9;
        connect.max_packet_bytes = Some(9);
    });
    for (text, expected) in
        [("xx", None), ("xxxx", None), ("", Some(1)), ("x", Some(1)), ("xxx", None)]
    {
        pair.plain_on("a", 0, text);
        let got = pair.receive_one();
        match got {
            Some(Got::Publish { alias, text: got, .. }) => {
                assert_eq!((alias, &*got), (expected, text))
            }
            None => assert_eq!(text, "xxxx", "it does not fit either way"),
            other => panic!("{other:?}"),
        }
    }
}
