//! Valid packets of every type, byte by byte.

use std::sync::Arc;

use bluetick_broker::codec::decode;
use bluetick_broker::packet::{
    Ack, Connect, Disconnect, FilterRequest, Packet, Publish, PublishProperties, QoS, Reason,
    Subscribe, Unsubscribe, Version, Will,
};
use bytes::Bytes;

use crate::notation::{LIMIT_BYTES, bytes, packet};

const V4: Option<Version> = Some(Version::V4);
const V5: Option<Version> = Some(Version::V5);

fn bare_connect(version: Version) -> Connect {
    Connect {
        version,
        clean_start: true,
        keep_alive_s: 60,
        client_id: "c".to_owned(),
        user_name: None,
        password: None,
        will: None,
        session_expiry_s: None,
        receive_maximum: None,
        max_packet_bytes: None,
        topic_alias_maximum: 0,
        request_response_info: false,
        request_problem_info: true,
        user_properties: Vec::new(),
        authentication_method: None,
    }
}

fn connect(text: &str) -> Connect {
    match packet(None, text) {
        Packet::Connect(connect) => *connect,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn connect_in_its_shortest_form() {
    assert_eq!(connect("10 0d 'MQTT' 04 02 003c 'c'"), bare_connect(Version::V4));
    assert_eq!(connect("10 0e 'MQTT' 05 02 003c 00 'c'"), bare_connect(Version::V5));
}

/// MQTT 3.1.1 §3.1, non-normative example of figure 3.6, with a payload.
/// MQTT 3.1.1: [MQTT-3.1.2-9], [MQTT-3.1.3-1].
#[test]
fn connect_of_3_1_1_with_everything() {
    let expected = Connect {
        keep_alive_s: 10,
        user_name: Some("u".to_owned()),
        password: Some(Bytes::from_static(b"pw")),
        will: Some(Box::new(Will {
            topic: "w/t".to_owned(),
            payload: Bytes::from_static(b"bye"),
            qos: QoS::AtLeastOnce,
            retain: false,
            delay_s: 0,
            properties: PublishProperties::default(),
        })),
        ..bare_connect(Version::V4)
    };
    assert_eq!(connect("10 1e 'MQTT' 04 ce 000a 'c' 'w/t' 'bye' 'u' 'pw'"), expected);
}

/// MQTT 5: [MQTT-3.1.2-9], [MQTT-3.1.3-1].
#[test]
fn connect_of_5_with_everything() {
    let text = "10 6c 'MQTT' 05 f6 000a
        2a 11 0000000a 21 0014 27 00000100 22 0005 19 01 17 00 26 'k' 'v' 26 'k' 'w' 15 'm' 16 'd'
        'c'
        22 18 00000003 01 01 02 00000004 03 't' 08 'r/t' 09 0002ff00 26 'a' 'b'
        'w/t' 'bye' 'u' 'pw'";
    let expected = Connect {
        keep_alive_s: 10,
        user_name: Some("u".to_owned()),
        password: Some(Bytes::from_static(b"pw")),
        will: Some(Box::new(Will {
            topic: "w/t".to_owned(),
            payload: Bytes::from_static(b"bye"),
            qos: QoS::ExactlyOnce,
            retain: true,
            delay_s: 3,
            properties: PublishProperties {
                payload_format_utf8: true,
                message_expiry_s: Some(4),
                content_type: Some("t".to_owned()),
                response_topic: Some("r/t".to_owned()),
                correlation_data: Some(Bytes::from_static(&[0xFF, 0])),
                user_properties: vec![("a".to_owned(), "b".to_owned())],
            },
        })),
        session_expiry_s: Some(10),
        receive_maximum: Some(20),
        max_packet_bytes: Some(256),
        topic_alias_maximum: 5,
        request_response_info: true,
        request_problem_info: false,
        user_properties: vec![("k".to_owned(), "v".to_owned()), ("k".to_owned(), "w".to_owned())],
        authentication_method: Some("m".to_owned()),
        ..bare_connect(Version::V5)
    };
    assert_eq!(connect(text), expected);
}

/// None, empty and not UTF-8 are three things.
#[test]
fn user_name_and_password_as_they_are() {
    let login = |text| {
        let connect = connect(text);
        (connect.user_name, connect.password)
    };
    let empty = Some(String::new());
    assert_eq!(login("10 0f 'MQTT' 04 82 003c 'c' ''"), (empty.clone(), None));
    assert_eq!(login("10 11 'MQTT' 04 c2 003c 'c' '' ''"), (empty, Some(Bytes::new())));
    assert_eq!(login("10 10 'MQTT' 05 42 003c 00 'c' ''"), (None, Some(Bytes::new())));
    let binary = Some(Bytes::from_static(&[0xFF, 0xFE, 0]));
    assert_eq!(login("10 13 'MQTT' 05 42 003c 00 'c' 0003fffe00"), (None, binary));
}

#[test]
fn an_empty_client_id() {
    assert_eq!(connect("10 0c 'MQTT' 04 02 003c ''").client_id, "");
    assert_eq!(connect("10 0d 'MQTT' 05 00 003c 00 ''").client_id, "");
}

fn publish() -> Publish {
    Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: Arc::from("a/b"),
        packet_id: 0,
        topic_alias: None,
        properties: PublishProperties::default(),
        payload: Bytes::new(),
    }
}

/// MQTT 3.1.1: [MQTT-3.3.2-1].
#[test]
fn publish_of_3_1_1() {
    assert_eq!(packet(V4, "30 05 'a/b'"), Packet::Publish(Box::new(publish())));
    let expected = Publish {
        dup: true,
        qos: QoS::AtLeastOnce,
        retain: true,
        packet_id: 10,
        payload: Bytes::from_static(b"\0\xff"),
        ..publish()
    };
    assert_eq!(packet(V4, "3b 09 'a/b' 000a 00ff"), Packet::Publish(Box::new(expected)));
}

/// MQTT 5: [MQTT-3.3.2-1].
#[test]
fn publish_of_5() {
    assert_eq!(packet(V5, "30 06 'a/b' 00"), Packet::Publish(Box::new(publish())));
    let expected = Publish {
        qos: QoS::ExactlyOnce,
        packet_id: 0xFFFF,
        topic_alias: Some(7),
        properties: PublishProperties {
            payload_format_utf8: true,
            message_expiry_s: Some(60),
            content_type: Some("t".to_owned()),
            response_topic: Some("r".to_owned()),
            correlation_data: Some(Bytes::from_static(b"c")),
            user_properties: vec![("k".to_owned(), String::new())],
        },
        payload: Bytes::from_static(b"hi"),
        ..publish()
    };
    let text = "34 26 'a/b' ffff 1c 01 01 02 0000003c 03 't' 08 'r' 09 'c' 23 0007 26 'k' '' 6869";
    assert_eq!(packet(V5, text), Packet::Publish(Box::new(expected)));
}

#[test]
fn publish_to_an_alias() {
    let expected = Publish { topic: Arc::from(""), topic_alias: Some(1), ..publish() };
    assert_eq!(packet(V5, "30 06 '' 03 23 0001"), Packet::Publish(Box::new(expected)));
}

type MakeAck = fn(Ack) -> Packet;

#[test]
fn acknowledgements() {
    let kinds: [(u8, MakeAck); 4] = [
        (0x40, Packet::PubAck),
        (0x50, Packet::PubRec),
        (0x62, Packet::PubRel),
        (0x70, Packet::PubComp),
    ];
    for (first, make) in kinds {
        let read = |version, rest: &str| packet(version, &format!("{first:02x} {rest}"));
        let ack = |reason| make(Ack { packet_id: 0x1234, reason: Reason(reason) });
        assert_eq!(read(V4, "02 1234"), ack(0));
        assert_eq!(read(V5, "02 1234"), ack(0));
        assert_eq!(read(V5, "03 1234 10"), ack(0x10));
        assert_eq!(read(V5, "04 1234 92 00"), ack(0x92));
        assert_eq!(read(V5, "0f 1234 97 0b 1f 'x' 26 'k' 'v'"), ack(0x97));
    }
}

#[test]
fn subscribe() {
    let request = |filter: &str, qos| FilterRequest {
        filter: Arc::from(filter),
        qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: 0,
    };
    // MQTT 3.1.1 §3.8.3, the example of figure 3.23.
    let expected = Subscribe {
        packet_id: 10,
        subscription_id: None,
        filters: vec![request("a/b", QoS::AtLeastOnce), request("c/d", QoS::ExactlyOnce)],
    };
    assert_eq!(packet(V4, "82 0e 000a 'a/b' 01 'c/d' 02"), Packet::Subscribe(Box::new(expected)));

    let expected = Subscribe {
        packet_id: 1,
        subscription_id: Some(268_435_455),
        filters: vec![
            FilterRequest {
                no_local: true,
                retain_as_published: true,
                retain_handling: 2,
                ..request("a", QoS::ExactlyOnce)
            },
            FilterRequest { retain_handling: 1, ..request("$share/g/#", QoS::AtMostOnce) },
        ],
    };
    // The user property stands after the subscription id, whose length rumqttd counts wrong.
    let text = "82 20 0001 0c 0b ffffff7f 26 'k' 'v' 'a' 2e '$share/g/#' 10";
    assert_eq!(packet(V5, text), Packet::Subscribe(Box::new(expected)));
}

#[test]
fn unsubscribe() {
    let expected = Unsubscribe { packet_id: 10, filters: vec![Arc::from("a/b"), Arc::from("c/d")] };
    let expected = Packet::Unsubscribe(Box::new(expected));
    assert_eq!(packet(V4, "a2 0c 000a 'a/b' 'c/d'"), expected);
    assert_eq!(packet(V5, "a2 0d 000a 00 'a/b' 'c/d'"), expected);
    assert_eq!(packet(V5, "a2 14 000a 07 26 'k' 'v' 'a/b' 'c/d'"), expected);
}

#[test]
fn ping() {
    assert_eq!(packet(V4, "c0 00"), Packet::PingReq);
    assert_eq!(packet(V5, "c0 00"), Packet::PingReq);
}

#[test]
fn disconnect() {
    let disconnect = |reason, session_expiry_s| {
        Packet::Disconnect(Disconnect { reason: Reason(reason), session_expiry_s })
    };
    assert_eq!(packet(V4, "e0 00"), disconnect(0, None));
    assert_eq!(packet(V5, "e0 00"), disconnect(0, None));
    assert_eq!(packet(V5, "e0 01 04"), disconnect(4, None));
    assert_eq!(packet(V5, "e0 02 04 00"), disconnect(4, None));
    assert_eq!(packet(V5, "e0 01 f0"), disconnect(0xF0, None));
    assert_eq!(packet(V5, "e0 0b 00 09 11 00000e10 1f 'x'"), disconnect(0, Some(3600)));
}

#[test]
fn auth() {
    assert_eq!(packet(V5, "f0 00"), Packet::Auth);
    assert_eq!(packet(V5, "f0 0a 18 08 15 'm' 16 'd'"), Packet::Auth);
}

/// 3.1.1 does not ask for the shortest remaining length, and some small clients do not send it.
#[test]
fn a_padded_length_in_3_1_1() {
    assert_eq!(packet(V4, "c0 80 00"), Packet::PingReq);
    assert_eq!(connect("10 8d 80 00 'MQTT' 04 02 003c 'c'"), bare_connect(Version::V4));
}

/// What follows a packet is not looked at.
#[test]
fn one_packet_at_a_time() {
    let stream = bytes("c0 00 40 02 0001 ff ff");
    let (first, used) = decode(&stream, V5, LIMIT_BYTES).expect("valid").expect("complete");
    assert_eq!((first, used), (Packet::PingReq, 2));
    let (second, used) =
        decode(&stream[used..], V5, LIMIT_BYTES).expect("valid").expect("complete");
    assert_eq!(second, Packet::PubAck(Ack { packet_id: 1, reason: Reason::SUCCESS }));
    assert_eq!(used, 4);
}
