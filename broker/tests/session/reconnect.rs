//! What outlives a connection, and what is sent again (MQTT 5 §4.1, §4.4).

use bluetick_broker::packet::{Reason, Version};
use bluetick_broker::session::EXPIRY_NEVER;

use crate::client::{Got, disconnect, puback, pubcomp, publish, pubrec, pubrel, subscribe};
use crate::pair::Pair;

use Version::{V4, V5};

/// MQTT 5: [MQTT-3.1.2-5], [MQTT-3.2.0-1], [MQTT-3.2.2-3], [MQTT-3.3.1-1], [MQTT-4.3.2-3],
/// MQTT 5: [MQTT-4.3.3-3], [MQTT-4.3.3-5], [MQTT-4.3.3-6], [MQTT-4.4.0-1], [MQTT-4.6.0-1].
/// MQTT 3.1.1: [MQTT-3.1.2-4], [MQTT-3.2.0-1], [MQTT-3.2.2-2], [MQTT-3.3.1-1], [MQTT-4.1.0-1],
/// MQTT 3.1.1: [MQTT-4.3.2-1], [MQTT-4.3.3-1], [MQTT-4.4.0-1], [MQTT-4.6.0-1].
#[test]
fn what_is_not_acknowledged_is_sent_again_in_the_original_order() {
    for version in [V4, V5] {
        let mut pair = Pair::online(version);
        pair.offer(1);
        pair.plain(1, "a");
        pair.offer(2);
        pair.plain(2, "b");
        assert_eq!(
            pair.receive(),
            ["PUBLISH q1 #1 1", "PUBLISH q1 #2 a", "PUBLISH q2 #3 2", "PUBLISH q2 #4 b"]
        );
        let again = [
            "CONNACK present",
            "PUBLISH q1 #1 dup 1",
            "PUBLISH q1 #2 dup a",
            "PUBLISH q2 #3 dup 2",
            "PUBLISH q2 #4 dup b",
        ];
        assert_eq!(pair.reconnect(), again);
        assert_eq!(pair.reconnect(), again, "as often as it takes");
        pair.send(puback(2));
        pair.send(pubrec(3));
        assert_eq!(pair.receive(), ["PUBREL #3"]);
        assert_eq!(
            pair.reconnect(),
            ["CONNACK present", "PUBLISH q1 #1 dup 1", "PUBREL #3", "PUBLISH q2 #4 dup b"],
            "past PUBREC only PUBREL is sent again"
        );
        assert!(pair.exchange(pubcomp(3)).is_empty());
        assert_eq!(
            pair.reconnect(),
            ["CONNACK present", "PUBLISH q1 #1 dup 1", "PUBLISH q2 #4 dup b"]
        );
    }
}

#[test]
fn a_released_delivery_needs_no_message_of_the_host() {
    let mut pair = Pair::online(V5);
    pair.offer(2);
    pair.send(pubrec(1));
    pair.lose();
    assert_eq!(pair.parked.as_ref().expect("kept").inflight(), []);
    assert_eq!(pair.connect(), ["CONNACK present", "PUBREL #1"]);
}

#[test]
fn nothing_overtakes_what_is_fetched_again() {
    let mut pair = Pair::online(V5);
    pair.plain(1, "a");
    pair.offer(1);
    pair.receive();
    pair.host.holds_fetches = true;
    assert_eq!(pair.reconnect(), ["CONNACK present"]);
    pair.plain(1, "b");
    pair.plain(0, "c");
    pair.offer(1);
    assert!(pair.receive().is_empty());
    pair.answer_fetch();
    assert_eq!(
        pair.receive(),
        [
            "PUBLISH q1 #1 dup a",
            "PUBLISH q1 #2 dup 1",
            "PUBLISH q1 #3 b",
            "PUBLISH q0 c",
            "PUBLISH q1 #4 2"
        ]
    );
}

#[test]
fn a_connection_that_ends_while_fetching_changes_nothing() {
    let mut pair = Pair::online(V5);
    pair.offer(1);
    pair.offer(1);
    pair.receive();
    pair.host.holds_fetches = true;
    pair.reconnect();
    pair.host.holds_fetches = false;
    assert_eq!(pair.reconnect(), ["CONNACK present", "PUBLISH q1 #1 dup 1", "PUBLISH q1 #2 dup 2"]);
}

#[test]
fn an_acknowledgement_that_comes_while_fetching_counts() {
    let mut pair = Pair::online(V5);
    pair.offer(1);
    pair.offer(1);
    pair.receive();
    pair.host.holds_fetches = true;
    pair.reconnect();
    assert!(pair.exchange(puback(1)).is_empty());
    assert_eq!(pair.host.acked, [1]);
    pair.event(bluetick_broker::host::HostEvent::Fetched(Vec::new()));
    assert!(pair.is_online());
}

/// What is acknowledged the host need not keep; the exchange goes on all the same.
/// MQTT 5: [MQTT-4.3.3-5].
#[test]
fn a_pubrec_that_comes_while_fetching_leaves_its_exchange_open() {
    for version in [V4, V5] {
        let mut pair = Pair::online(version);
        pair.offer(2);
        pair.receive();
        pair.host.holds_fetches = true;
        pair.reconnect();
        assert_eq!(pair.exchange(pubrec(1)), ["PUBREL #1"]);
        pair.host.withdrawn.insert(1);
        pair.answer_fetch();
        assert_eq!(pair.host.acked, [1], "once");
        assert_eq!(pair.reconnect(), ["CONNACK present", "PUBREL #1"]);
        assert!(pair.exchange(pubcomp(1)).is_empty());
        assert_eq!(pair.reconnect(), ["CONNACK present"]);
    }
}

#[test]
fn what_the_host_has_withdrawn_is_not_sent_again() {
    let mut pair = Pair::online(V5);
    for _ in 0..3 {
        pair.offer(1);
    }
    pair.receive();
    pair.host.withdrawn.insert(2);
    assert_eq!(pair.reconnect(), ["CONNACK present", "PUBLISH q1 #1 dup 1", "PUBLISH q1 #3 dup 3"]);
    assert_eq!(pair.host.acked, [2], "the host need not keep it");
}

/// At QoS 2 the client may have it and wait for the end of the exchange: a message that used its
/// number before would pass for a repeat.
#[test]
fn what_was_withdrawn_at_qos_2_is_brought_to_its_end() {
    for version in [V4, V5] {
        let mut pair = Pair::online(version);
        pair.offer(2);
        pair.offer(2);
        pair.receive();
        pair.host.withdrawn.insert(1);
        assert_eq!(pair.reconnect(), ["CONNACK present", "PUBREL #1", "PUBLISH q2 #2 dup 2"]);
        assert_eq!(pair.host.acked, [1]);
        pair.offer(2);
        assert_eq!(pair.receive(), ["PUBLISH q2 #3 3"]);
        assert!(pair.exchange(pubcomp(1)).is_empty());
    }
}

/// MQTT 5: [MQTT-3.3.4-9].
#[test]
fn a_smaller_window_holds_for_what_is_sent_again() {
    let mut pair = Pair::online(V5);
    for _ in 0..4 {
        pair.offer(1);
    }
    pair.receive();
    pair.offer(1);
    pair.plain(0, "a");
    assert_eq!(pair.receive(), ["PUBLISH q0 a"]);
    pair.connect.receive_maximum = Some(2);
    assert_eq!(pair.reconnect(), ["CONNACK present", "PUBLISH q1 #1 dup 1", "PUBLISH q1 #2 dup 2"]);
    assert_eq!(pair.exchange(puback(1)), ["PUBLISH q1 #3 dup 3"]);
    assert_eq!(pair.exchange(puback(2)), ["PUBLISH q1 #4 dup 4"]);
    assert_eq!(pair.exchange(puback(3)), ["PUBLISH q1 #5 5"]);
}

/// MQTT 5 §3.1.2.11.4: the maximum is the connection's, and a message that it forbids is done with.
/// MQTT 5: [MQTT-3.1.2-24].
#[test]
fn a_smaller_maximum_packet_size_holds_for_what_is_sent_again() {
    let mut pair = Pair::online(V5);
    let large = "a".repeat(50);
    pair.plain(1, &large);
    pair.plain(2, &large);
    pair.offer(1);
    pair.offer(2);
    assert_eq!(pair.receive().len(), 4);
    pair.connect.max_packet_bytes = Some(40);
    assert_eq!(
        pair.reconnect(),
        ["CONNACK present", "PUBREL #2", "PUBLISH q1 #3 dup 1", "PUBLISH q2 #4 dup 2"]
    );
    pair.connect.max_packet_bytes = Some(12);
    assert_eq!(pair.reconnect(), ["CONNACK present", "PUBREL #2", "PUBREL #4"]);
    assert_eq!(pair.host.acked, [1, 2]);
    pair.send(pubcomp(2));
    pair.send(pubcomp(4));
    assert_eq!(pair.reconnect(), ["CONNACK present"]);
}

#[test]
fn a_plain_message_at_qos_0_does_not_outlive_the_connection() {
    let mut pair = Pair::online_with(V5, |_, connect| connect.receive_maximum = Some(1));
    for (qos, text) in [(1, "a"), (1, "b"), (0, "c")] {
        pair.plain(qos, text);
    }
    pair.receive();
    assert_eq!(pair.reconnect(), ["CONNACK present", "PUBLISH q1 #1 dup a"]);
    assert_eq!(pair.exchange(puback(1)), ["PUBLISH q1 #2 b"]);
}

/// MQTT 5: [MQTT-3.1.2-4], [MQTT-3.1.4-4], [MQTT-3.2.2-2].
/// MQTT 3.1.1: [MQTT-3.1.2-6], [MQTT-3.1.4-3], [MQTT-3.2.2-1].
#[test]
fn a_clean_start_drops_everything() {
    for version in [V4, V5] {
        let mut pair = Pair::online(version);
        pair.send(publish(2, 5, "a"));
        pair.answer(0, Reason::SUCCESS);
        pair.send(subscribe(1, &[("plain/t", 1)]));
        pair.offer(1);
        pair.plain(1, "b");
        pair.receive();
        assert_eq!(pair.session().plain_filters().len(), 1);
        pair.connect.clean_start = true;
        assert_eq!(pair.reconnect(), ["CONNACK"], "no session present, nothing sent again");
        assert!(pair.session().plain_filters().is_empty());
        // The exchange is forgotten too: the same id is a new message.
        pair.send(publish(2, 5, "c"));
        assert_eq!(pair.host.texts(), ["a", "c"]);
    }
}

/// MQTT 5: [MQTT-3.1.2-23].
#[test]
fn subscriptions_outlive_the_connection() {
    let mut pair = Pair::online(V5);
    pair.send(subscribe(1, &[("plain/t", 1)]));
    pair.lose();
    let parked = pair.parked.as_ref().expect("kept");
    assert_eq!(parked.plain_filters(), ["plain/t".into()]);
    pair.connect();
    assert_eq!(pair.session().plain_filters(), ["plain/t".into()]);
}

/// MQTT 5 §3.1.2.11.2; 3.1.1 §3.1.2.4.
/// MQTT 3.1.1: [MQTT-3.1.2-6].
#[test]
fn a_session_without_expiry_ends_with_its_connection() {
    let mut v5 = Pair::online_with(V5, |_, connect| connect.session_expiry_s = Some(0));
    let mut v5_default = Pair::online_with(V5, |_, connect| connect.session_expiry_s = None);
    let mut v4 = Pair::online_with(V4, |_, connect| connect.clean_start = true);
    for pair in [&mut v5, &mut v5_default, &mut v4] {
        pair.offer(1);
        pair.lose();
        assert!(pair.parked.is_none());
        assert_eq!(pair.connect(), ["CONNACK"]);
    }
}

fn told_expiry(pair: &mut Pair) -> Option<Vec<u8>> {
    pair.open();
    let Some(Got::ConnAck { properties, .. }) = pair.receive_one() else { panic!("no CONNACK") };
    properties.into_iter().find(|(id, _)| *id == 0x11).map(|(_, value)| value)
}

/// MQTT 5 §3.2.2.3.2: told where it differs from what was asked for.
#[test]
fn the_session_expiry_is_capped_and_told() {
    let mut pair = Pair::offline(V5, |limits, _| limits.session_expiry_s_max = 60);
    assert_eq!(told_expiry(&mut pair), Some(60_u32.to_be_bytes().to_vec()));
    pair.lose();
    assert_eq!(pair.parked.as_ref().expect("kept").expiry_s(), 60);
    pair.connect.session_expiry_s = Some(60);
    assert_eq!(told_expiry(&mut pair), None);

    let mut pair = Pair::online_with(V4, |limits, _| limits.session_expiry_s_max = 0);
    assert_eq!(pair.session().expiry_s(), EXPIRY_NEVER, "3.1.1: for ever, if there is no cap");
    let mut pair = Pair::online(V4);
    assert_eq!(pair.session().expiry_s(), 30 * 24 * 3600, "else the cap");
}

#[test]
fn what_came_before_a_disconnect_in_the_same_bytes_is_carried_out() {
    let mut pair = Pair::online(V5);
    pair.offer(1);
    assert_eq!(pair.receive(), ["PUBLISH q1 #1 1"]);
    pair.queue(puback(1));
    pair.queue(publish(0, 0, "a"));
    pair.send(disconnect(Reason::SUCCESS, None));
    assert!(pair.closed.as_ref().expect("closed").by_client);
    assert_eq!(pair.host.acked, [1]);
    assert_eq!(pair.host.texts(), ["a"]);
    assert_eq!(pair.connect(), ["CONNACK present"], "acknowledged: not sent again");
}

#[test]
fn a_session_may_change_its_protocol_version_between_connections() {
    let mut pair = Pair::online(V5);
    pair.offer(1);
    pair.send(publish(2, 1, "a"));
    pair.answer(0, Reason::SUCCESS);
    pair.receive();
    pair.lose();
    pair.connect = crate::client::connect(V4);
    assert_eq!(pair.connect(), ["CONNACK present", "PUBLISH q1 #1 dup 1"]);
    assert_eq!(pair.exchange(pubrel(1)), ["PUBCOMP #1"]);
}

/// What is sent again to one who does not read is prepared in the same measure as what is new.
#[test]
fn what_is_sent_again_waits_for_room_as_well() {
    let mut pair = Pair::online_with(V5, |limits, _| {
        limits.pending_bytes_max = 100;
        limits.inflight_out_max = 8;
    });
    for _ in 0..8 {
        pair.plain(1, &"x".repeat(40));
        pair.receive();
    }
    let first = pair.reconnect().len();
    assert!((2..=4).contains(&first), "CONNACK and a few messages: {first}");
    // The driver writes, and asks again whether there is more.
    let mut again = first;
    while pair.session().has_more(false) {
        pair.drive();
        again += pair.receive().len();
    }
    assert_eq!(again, 1 + 8);
}
