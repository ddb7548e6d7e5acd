//! What the server sends, byte by byte.

use bluetick_broker::codec::{
    AckKind, PublishHeader, PublishParts, encode_publish_properties, publish_len, suback_len,
    write_ack, write_connack, write_disconnect, write_pingresp, write_publish, write_suback,
    write_unsuback,
};
use bluetick_broker::packet::{
    AckProperties, ConnAck, ConnAckReason, PublishProperties, QoS, Reason, Version,
};
use bytes::Bytes;

use crate::notation::bytes;

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    // What is there stays there.
    let mut out = vec![0xAA];
    write(&mut out);
    assert_eq!(out.remove(0), 0xAA);
    out
}

fn accepted() -> ConnAck {
    ConnAck { retain_available: true, shared_subscriptions_available: true, ..ConnAck::default() }
}

/// MQTT 5: [MQTT-2.2.2-1], [MQTT-3.2.2-1].
#[test]
fn connack() {
    let present = ConnAck { session_present: true, ..accepted() };
    let connack = |version, ack: &ConnAck| written(|out| write_connack(out, version, ack));
    assert_eq!(connack(Version::V4, &accepted()), bytes("20 02 00 00"));
    assert_eq!(connack(Version::V4, &present), bytes("20 02 01 00"));
    assert_eq!(connack(Version::V5, &accepted()), bytes("20 03 00 00 00"));
    assert_eq!(connack(Version::V5, &present), bytes("20 03 01 00 00"));
    let full = ConnAck {
        session_expiry_s: Some(10),
        receive_maximum: Some(20),
        max_packet_bytes: Some(256),
        assigned_client_id: Some("id".to_owned()),
        topic_alias_maximum: 5,
        retain_available: false,
        shared_subscriptions_available: false,
        server_keep_alive_s: Some(30),
        response_information: Some("me".to_owned()),
        server_reference: Some("there".to_owned()),
        reason_string: Some("ok".to_owned()),
        ..accepted()
    };
    let expected = "20 31 00 00 2e 11 0000000a 21 0014 25 00 27 00000100 12 'id' 22 0005 1f 'ok'
        2a 00 13 001e 1a 'me' 1c 'there'";
    assert_eq!(connack(Version::V5, &full), bytes(expected));
    assert_eq!(connack(Version::V4, &full), bytes("20 02 00 00"));
}

/// Every reason code: the byte that goes out in 5, and in 3.1.1 the one that comes near, if any.
/// MQTT 5: [MQTT-3.2.2-6], [MQTT-3.2.2-8].
/// MQTT 3.1.1: [MQTT-3.2.2-4], [MQTT-3.2.2-6].
#[test]
fn connack_refusals() {
    let known_v5 = bytes("80 81 82 83 84 85 86 87 88 89 8a 8c 90 95 97 99 9a 9b 9c 9d 9f");
    for code in 0x80..=0xFF {
        let ack =
            ConnAck { session_present: true, reason: ConnAckReason(Reason(code)), ..accepted() };
        let expected = match code {
            0x8B => 0x88,
            code if known_v5.contains(&code) => code,
            _ => 0x80,
        };
        let connack = written(|out| write_connack(out, Version::V5, &ack));
        assert_eq!(connack, [0x20, 3, 0, expected, 0], "0x{code:02x}");

        let expected = match code {
            0x84 => vec![0x20, 2, 0, 1],
            0x85 => vec![0x20, 2, 0, 2],
            0x80 | 0x83 | 0x88 | 0x89 | 0x8B | 0x97 | 0x9C | 0x9D | 0x9F => vec![0x20, 2, 0, 3],
            0x86 | 0x8C => vec![0x20, 2, 0, 4],
            0x87 | 0x8A | 0x98 => vec![0x20, 2, 0, 5],
            _ => vec![],
        };
        assert_eq!(written(|out| write_connack(out, Version::V4, &ack)), expected, "0x{code:02x}");
    }
}

/// MQTT 5: [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1].
#[test]
fn acknowledgements() {
    let properties = AckProperties {
        reason_string: Some("no".to_owned()),
        user_properties: vec![("seq".to_owned(), "7".to_owned())],
    };
    let empty = AckProperties::default();
    let of_publish = bytes("00 10 80 83 87 90 91 97 99");
    let kinds = [
        (AckKind::PubAck, "40", 0x97, &*of_publish, 0x80),
        (AckKind::PubRec, "50", 0x97, &*of_publish, 0x80),
        (AckKind::PubRel, "62", 0x92, &[0, 0x92], 0x92),
        (AckKind::PubComp, "70", 0x92, &[0, 0x92], 0x92),
    ];
    for (kind, first, code, codes, others) in kinds {
        let ack = |version, reason, properties| {
            written(|out| write_ack(out, version, kind, 0x1234, Reason(reason), properties))
        };
        let expect = |rest: &str| bytes(&format!("{first} {rest}"));
        assert_eq!(ack(Version::V4, code, Some(&properties)), expect("02 1234"));
        assert_eq!(ack(Version::V5, 0, None), expect("02 1234"));
        assert_eq!(ack(Version::V5, 0, Some(&empty)), expect("02 1234"));
        assert_eq!(ack(Version::V5, code, None), expect(&format!("03 1234 {code:02x}")));
        assert_eq!(ack(Version::V5, code, Some(&empty)), expect(&format!("03 1234 {code:02x}")));
        let full = expect("12 1234 00 0e 1f 'no' 26 'seq' '7'");
        assert_eq!(ack(Version::V5, 0, Some(&properties)), full);
        for code in 0x80..=0xFF {
            let sent = if codes.contains(&code) { code } else { others };
            assert_eq!(ack(Version::V5, code, None), expect(&format!("03 1234 {sent:02x}")));
        }
    }
}

/// MQTT 5: [MQTT-3.9.3-2].
/// MQTT 3.1.1: [MQTT-3.9.3-2].
#[test]
fn suback() {
    let codes = bytes("00 01 02 80 83 87 8f 91 97 9e a1 a2 8b");
    let codes: Vec<Reason> = codes.into_iter().map(Reason).collect();
    let suback = |version| written(|out| write_suback(out, version, 10, &codes, None));
    assert!([Version::V4, Version::V5].iter().all(|of| suback_len(*of, 13) == suback(*of).len()));
    let expected = "90 0f 000a 00 01 02 80 80 80 80 80 80 80 80 80 80";
    assert_eq!(suback(Version::V4), bytes(expected));
    let expected = "90 10 000a 00 00 01 02 80 83 87 8f 91 97 9e a1 a2 80";
    assert_eq!(suback(Version::V5), bytes(expected));
    let why =
        |version| written(|out| write_suback(out, version, 10, &[Reason(0x87)], Some("because")));
    assert_eq!(why(Version::V4), bytes("90 03 000a 80"));
    assert_eq!(why(Version::V5), bytes("90 0e 000a 0a 1f 'because' 87"));
}

/// MQTT 5: [MQTT-3.11.3-2].
#[test]
fn unsuback() {
    let codes = bytes("00 11 80 83 87 8f 91 97");
    let codes: Vec<Reason> = codes.into_iter().map(Reason).collect();
    let unsuback = |version| written(|out| write_unsuback(out, version, 10, &codes));
    assert_eq!(unsuback(Version::V4), bytes("b0 02 000a"));
    assert_eq!(unsuback(Version::V5), bytes("b0 0b 000a 00 00 11 80 83 87 8f 91 80"));
}

#[test]
fn an_answer_of_more_than_127_bytes() {
    let codes = vec![Reason::SUCCESS; 200];
    let suback = written(|out| write_suback(out, Version::V5, 1, &codes, None));
    assert_eq!(suback.len(), suback_len(Version::V5, 200));
    assert_eq!(suback[..6], bytes("90 cb01 0001 00"));
    assert_eq!(suback.len(), 6 + 200);
}

#[test]
fn pingresp() {
    assert_eq!(written(write_pingresp), bytes("d0 00"));
}

#[test]
fn disconnect() {
    let disconnect =
        |reason, text| written(|out| write_disconnect(out, Reason(reason), text, None));
    assert_eq!(disconnect(0, None), bytes("e0 00"));
    assert_eq!(disconnect(0x8E, None), bytes("e0 01 8e"));
    assert_eq!(disconnect(0x8E, Some("")), bytes("e0 01 8e"));
    assert_eq!(disconnect(0x8E, Some("why")), bytes("e0 08 8e 06 1f 'why'"));
    let moved = |why| written(|out| write_disconnect(out, Reason(0x9C), why, Some("there")));
    assert_eq!(moved(None), bytes("e0 0a 9c 08 1c 'there'"));
    assert_eq!(moved(Some("why")), bytes("e0 10 9c 0e 1f 'why' 1c 'there'"));
    let long = disconnect(0x8E, Some(&"é".repeat(40_000)));
    assert_eq!(long[..11], bytes("e0 85 80 04 8e 81 80 04 1f fffe"));
    assert_eq!(long.len(), 11 + 65_534);
}

/// MQTT 5: [MQTT-2.2.1-2], [MQTT-2.2.2-1], [MQTT-3.3.1-2].
/// MQTT 3.1.1: [MQTT-2.3.1-5], [MQTT-3.3.1-2].
#[test]
fn publish() {
    let properties = encode_publish_properties(&PublishProperties {
        payload_format_utf8: true,
        message_expiry_s: Some(9),
        content_type: Some("t".to_owned()),
        response_topic: Some("r".to_owned()),
        correlation_data: Some(Bytes::from_static(b"c")),
        user_properties: vec![("k".to_owned(), "v".to_owned())],
    });
    assert_eq!(properties, bytes("01 01 03 't' 08 'r' 09 'c' 26 'k' 'v'"));

    let parts = PublishParts { topic: "a/b", properties: &properties, payload: b"hi" };
    let bare = PublishHeader {
        qos: QoS::AtMostOnce,
        dup: false,
        retain: false,
        packet_id: 0,
        message_expiry_s: None,
        subscription_ids: &[],
        topic_alias: None,
        omit_topic: false,
    };
    let full = PublishHeader {
        qos: QoS::ExactlyOnce,
        dup: true,
        retain: true,
        packet_id: 0x1234,
        message_expiry_s: Some(8),
        subscription_ids: &[1, 200],
        topic_alias: Some(3),
        omit_topic: false,
    };
    let publish = |version, header: &PublishHeader<'_>| {
        let packet = written(|out| write_publish(out, version, &parts, header));
        assert_eq!(packet.len(), publish_len(version, &parts, header));
        packet
    };
    let shared = "01 01 03 't' 08 'r' 09 'c' 26 'k' 'v'";
    assert_eq!(publish(Version::V4, &bare), bytes("30 07 'a/b' 6869"));
    assert_eq!(publish(Version::V4, &full), bytes("3d 09 'a/b' 1234 6869"));
    assert_eq!(publish(Version::V5, &bare), bytes(&format!("30 1d 'a/b' 15 {shared} 6869")));
    // DUP belongs to a repeat, and QoS 0 has none.
    let repeat = PublishHeader { dup: true, ..bare };
    assert_eq!(publish(Version::V4, &repeat), bytes("30 07 'a/b' 6869"));
    let own = "23 0003 02 00000008 0b 01 0b c801";
    let expected = format!("3d 2c 'a/b' 1234 22 {own} {shared} 6869");
    assert_eq!(publish(Version::V5, &full), bytes(&expected));
    let omitted = PublishHeader { omit_topic: true, ..full };
    let expected = format!("3d 29 '' 1234 22 {own} {shared} 6869");
    assert_eq!(publish(Version::V5, &omitted), bytes(&expected));
    assert_eq!(publish(Version::V4, &omitted), bytes("3d 09 'a/b' 1234 6869"));
}

/// The length itself grows at 128, 16,384 and 2,097,152.
/// MQTT 5: [MQTT-1.5.5-1].
#[test]
fn publish_len_at_the_edges() {
    let payload = vec![0; 2_200_000];
    let header = PublishHeader {
        qos: QoS::AtLeastOnce,
        dup: false,
        retain: false,
        packet_id: 1,
        message_expiry_s: None,
        subscription_ids: &[],
        topic_alias: None,
        omit_topic: false,
    };
    for edge in [128_usize, 16_384, 2_097_152] {
        for len in edge - 16..edge + 4 {
            let parts = PublishParts { topic: "t", properties: &[], payload: &payload[..len] };
            for version in [Version::V4, Version::V5] {
                let packet = written(|out| write_publish(out, version, &parts, &header));
                assert_eq!(packet.len(), publish_len(version, &parts, &header), "{len}");
            }
        }
    }
}
