//! What is decoded from a PUBLISH and written again decodes to the same.

use bluetick_broker::codec::{
    PublishHeader, PublishParts, decode, encode_publish_properties, publish_len, write_publish,
};
use bluetick_broker::packet::{Packet, Publish, Version};

use crate::notation::LIMIT_BYTES;

/// Writes `publish` and reads it back; fails if anything is lost.
pub(crate) fn check(version: Version, publish: &Publish) {
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
    assert_eq!(written.len(), publish_len(version, &parts, &header), "{publish:?}");
    let read = decode(&written, Some(version), LIMIT_BYTES).expect("valid").expect("complete");
    assert_eq!(read, (Packet::Publish(Box::new(publish.clone())), written.len()));
}

mod random {
    use std::sync::Arc;

    use bluetick_broker::packet::{Publish, PublishProperties, QoS, Version};
    use bytes::Bytes;
    use fastrand::Rng;

    fn text(rng: &mut Rng, len_max: usize) -> String {
        let len = rng.usize(1..=len_max);
        (0..len)
            .map(|_| *rng.choice(&['a', '/', '$', 'é', '\u{10FFFF}', ' ']).unwrap_or(&'a'))
            .collect()
    }

    fn some<T>(rng: &mut Rng, make: impl FnOnce(&mut Rng) -> T) -> Option<T> {
        rng.bool().then(|| make(rng))
    }

    fn data(rng: &mut Rng, len_max: usize) -> Bytes {
        let len = rng.usize(..len_max);
        (0..len).map(|_| rng.u8(..)).collect()
    }

    fn properties(rng: &mut Rng) -> PublishProperties {
        PublishProperties {
            payload_format_utf8: rng.bool(),
            message_expiry_s: some(rng, |rng| rng.u32(..)),
            content_type: some(rng, |rng| text(rng, 60)),
            response_topic: some(rng, |rng| text(rng, 60)),
            correlation_data: some(rng, |rng| data(rng, 60)),
            user_properties: (0..rng.usize(..4)).map(|_| (text(rng, 9), text(rng, 9))).collect(),
        }
    }

    #[test]
    fn publish() {
        let mut rng = Rng::with_seed(5);
        for _ in 0..20_000 {
            let version = if rng.bool() { Version::V4 } else { Version::V5 };
            let qos = QoS::from_bits(rng.u8(..3)).unwrap_or(QoS::AtMostOnce);
            let mut publish = Publish {
                dup: qos != QoS::AtMostOnce && rng.bool(),
                qos,
                retain: rng.bool(),
                topic: Arc::from(text(&mut rng, 40)),
                packet_id: if qos == QoS::AtMostOnce { 0 } else { rng.u16(1..) },
                topic_alias: None,
                properties: PublishProperties::default(),
                payload: data(&mut rng, 300),
            };
            if version == Version::V5 {
                publish.properties = properties(&mut rng);
                publish.topic_alias = some(&mut rng, |rng| rng.u16(1..));
                if publish.topic_alias.is_some() && rng.bool() {
                    publish.topic = Arc::from("");
                }
            }
            super::check(version, &publish);
        }
    }
}
