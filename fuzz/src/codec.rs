//! Packets of clients: ours and another codec read the same, what is read can be written again,
//! and nothing is read that is not there.

use bluetick_broker::codec::{
    PublishHeader, PublishParts, decode, encode_publish_properties, publish_len, write_publish,
};
use bluetick_broker::packet::{Packet, Publish, Version};

use crate::other_codec::{self, Frame};

/// Larger than what a fuzzer makes.
const PACKET_BYTES_MAX: usize = 1 << 20;

/// A packet of 3.1.1; CONNECT where it begins as one.
pub(crate) fn v4(data: &[u8]) {
    check(data, Version::V4);
}

/// A packet of MQTT 5; CONNECT where it begins as one.
pub(crate) fn v5(data: &[u8]) {
    check(data, Version::V5);
}

fn check(data: &[u8], version: Version) {
    // Before its CONNECT a connection has no version.
    let version = (data.first() != Some(&0x10)).then_some(version);
    let decoded = decode(data, version, PACKET_BYTES_MAX);
    let frame = Frame::split(data);
    match decoded {
        Ok(None) => assert!(frame.is_none(), "it is all there"),
        Ok(Some((packet, used))) => {
            let (frame, rest) = frame.expect("a whole packet");
            assert_eq!(used, data.len() - rest.len());
            // What follows the packet has no part in it.
            let alone = decode(&data[..used], version, used);
            assert_eq!(alone, Ok(Some((packet.clone(), used))));
            assert_eq!(decode(&data[..used - 1], version, used), Ok(None));
            let version = match &packet {
                Packet::Connect(connect) => connect.version,
                _ => version.expect("all but CONNECT"),
            };
            other_codec::agrees(version, &frame, &packet);
            if let Packet::Publish(publish) = &packet {
                round_trip(version, publish);
            }
        }
        Err(error) => {
            assert!(!error.detail.contains("the decoder"), "the guard knows all: {error}");
            if let (Some(version), Some((frame, _))) = (version, frame)
                && other_codec::accepts(version, &frame)
            {
                let known = STRICTER.iter().any(|known| error.detail.contains(known));
                assert!(known, "only ours refuses it: {error}: {data:02x?}");
            }
        }
    }
}

/// What ours refuses and the other codec (0.7.9) does not, by words of our errors. Each is a
/// statement of the specification, or ours to refuse (a client's subscription id); a refusal that
/// is not here would be a packet that we do not take and should.
const STRICTER: &[&str] = &[
    "packet id 0",
    "an empty topic filter",
    "a string has a nul character",
    "publish without a topic",
    "bytes after the content of the packet",
    "publish to a topic with wildcards",
    "a requested qos other than 0, 1 and 2",
    "a response topic that cannot be published to",
    "the packet ends",
    "is unknown or not for this packet",
    "a client's publish with a subscription id",
    "more than once",
    "no local on a shared subscription",
    "in more bytes than needed",
    "publish at qos 0 with the dup flag",
];

/// Writes `publish` and reads it back.
fn round_trip(version: Version, publish: &Publish) {
    let properties = encode_publish_properties(&publish.properties);
    let parts =
        PublishParts { topic: &publish.topic, properties: &properties, payload: &publish.payload };
    let header = PublishHeader {
        qos: publish.qos,
        dup: publish.dup,
        retain: publish.retain,
        packet_id: publish.packet_id,
        message_expiry_s: publish.properties.message_expiry_s,
        subscription_ids: &[],
        topic_alias: publish.topic_alias,
        omit_topic: publish.topic.is_empty(),
    };
    let mut written = Vec::new();
    write_publish(&mut written, version, &parts, &header);
    assert_eq!(written.len(), publish_len(version, &parts, &header));
    let read = decode(&written, Some(version), PACKET_BYTES_MAX).expect("valid").expect("whole");
    assert_eq!(read, (Packet::Publish(Box::new(publish.clone())), written.len()));
}
