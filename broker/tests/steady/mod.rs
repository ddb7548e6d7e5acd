//! Packets as clients send them, and a session that goes on for ever: what the micro benches time and the
//! budgets count.

use std::sync::Arc;

use bluetick_broker::codec::{
    self, AckKind, PublishHeader, PublishParts, encode_publish_properties, write_ack, write_publish,
};
use bluetick_broker::host::{Delivery, DeliveryId, HostEvent, SessionKey};
use bluetick_broker::packet::{Ack, Packet, PublishProperties, QoS, Reason, Version};
use bluetick_broker::session::{Call, Session};
use bluetick_broker::{Limits, Message};

/// A send to a direct chat with an id, as the SDK's.
pub(crate) const TOPIC: &str = "chats/alice~bob/send/0199c7a0-5f00-7000-8000-000000000001";

pub(crate) const PAYLOAD: [u8; 100] = [b'x'; 100];

/// The client id and user name of [`connect`].
const CLIENT: &[u8] = b"\x00\x05phone\x00\x05alice";

/// Decodes the one packet that `bytes` are.
pub(crate) fn decode(version: Option<Version>, bytes: &[u8]) -> Packet {
    let decoded = codec::decode(bytes, version, 1 << 20).expect("a valid packet");
    let (packet, length) = decoded.expect("a whole packet");
    assert_eq!(length, bytes.len());
    packet
}

/// CONNECT with a user name.
pub(crate) fn connect(version: Version) -> Vec<u8> {
    let (level, properties): (u8, &[u8]) = match version {
        Version::V4 => (4, &[]),
        // Session expiry and receive maximum.
        Version::V5 => (5, &[8, 0x11, 0, 0, 0x0E, 0x10, 0x21, 0, 100]),
    };
    let body = [b"\x00\x04MQTT".as_slice(), &[level, 0x82, 0, 60], properties, CLIENT].concat();
    frame(0x10, &body)
}

/// SUBSCRIBE to all messages and receipts of a user.
pub(crate) fn subscribe(version: Version) -> Vec<u8> {
    let mut body = vec![0, 1];
    if version == Version::V5 {
        body.push(0);
    }
    for filter in ["chats/+/messages", "chats/+/receipts"] {
        body.extend([0, filter.len() as u8]);
        body.extend(filter.as_bytes());
        body.push(1);
    }
    frame(0x82, &body)
}

/// Appends a PUBLISH of [`PAYLOAD`] at QoS 1.
pub(crate) fn put_publish(out: &mut Vec<u8>, version: Version, packet_id: u16) {
    let parts = PublishParts { topic: TOPIC, properties: &[], payload: &PAYLOAD };
    let header = PublishHeader {
        qos: QoS::AtLeastOnce,
        dup: false,
        retain: false,
        packet_id,
        message_expiry_s: None,
        subscription_ids: &[],
        topic_alias: None,
        omit_topic: false,
    };
    write_publish(out, version, &parts, &header);
}

/// The same as a packet of its own.
pub(crate) fn publish(version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    put_publish(&mut out, version, 7);
    out
}

/// Appends a PUBACK.
pub(crate) fn put_puback(out: &mut Vec<u8>, version: Version, packet_id: u16) {
    write_ack(out, version, AckKind::PubAck, packet_id, Reason::SUCCESS, None);
}

fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).expect("less than 128 bytes");
    [&[first, length], body].concat()
}

/// A session on line whose host answers at once.
pub(crate) struct Online {
    session: Session,
    message: Arc<Message>,
    delivered: u64,
}

impl Online {
    pub(crate) fn new(version: Version) -> Self {
        let Packet::Connect(connect) = decode(None, &connect(version)) else { unreachable!() };
        let key = SessionKey { user: "alice".into(), client_id: "phone".into() };
        let mut session = Session::new(key, &connect, Arc::new(Limits::default()), 0);
        session.handle_opened(1, &connect, false, false);
        let properties = PublishProperties::default();
        assert!(encode_publish_properties(&properties).is_empty());
        let payload = bytes::Bytes::from_static(&PAYLOAD);
        let message = Arc::new(Message::new(TOPIC.into(), payload, &properties, false));
        let mut online = Self { session, message, delivered: 0 };
        online.carry_out();
        online.session.transmit.clear();
        online
    }

    /// A PUBLISH comes in and is answered; the PUBACK is written.
    pub(crate) fn publish(&mut self, packet: Packet) {
        self.session.handle_packet(packet, 1).expect("a session that goes on");
        self.carry_out();
        assert!(!self.session.transmit.is_empty(), "a PUBACK");
        self.session.transmit.clear();
    }

    /// A message of the host goes out, and its PUBACK comes in.
    pub(crate) fn deliver(&mut self) {
        self.session.handle_news();
        self.carry_out();
        // After the first byte, a length of two bytes, and the topic with its own.
        let id = self.session.transmit.get(5 + TOPIC.len()..).and_then(<[u8]>::first_chunk);
        let packet_id = u16::from_be_bytes(*id.expect("a PUBLISH"));
        self.session.transmit.clear();
        let puback = Packet::PubAck(Ack { packet_id, reason: Reason::SUCCESS });
        self.session.handle_packet(puback, 1).expect("a session that goes on");
        assert!(self.carry_out(), "it was acknowledged");
    }

    /// Does what the session wants done; whether a delivery was acknowledged.
    fn carry_out(&mut self) -> bool {
        let mut acked = false;
        let mut news = true;
        while let Some(call) = self.session.poll_call() {
            match call {
                Call::Publish(publish) => {
                    let answer = HostEvent::Published {
                        token: publish.token,
                        reason: Reason::SUCCESS,
                        properties: None,
                        notice: None,
                    };
                    self.session.handle_event(answer).expect("a session that goes on");
                }
                Call::Pull(room) => {
                    let mut deliveries = Vec::new();
                    if std::mem::take(&mut news) && !acked {
                        self.delivered += 1;
                        let id = DeliveryId(0, 0, self.delivered);
                        let message = self.message.clone();
                        deliveries.push(Delivery { id, qos: QoS::AtLeastOnce, message });
                    }
                    self.session.handle_deliveries(deliveries, room.messages);
                }
                Call::Acked(_) => acked = true,
                call => unreachable!("{call:?} was not asked for"),
            }
        }
        acked
    }
}
