//! The client's end: writes what clients send, reads what servers send.
//!
//! What the server sends is taken apart here by hand, so that a mistake of the codec does not
//! cancel itself out.

use std::fmt;
use std::sync::Arc;

use bluetick_broker::codec::{
    AckKind, PublishHeader, PublishParts, encode_publish_properties, write_ack, write_publish,
};
use bluetick_broker::packet::{
    Ack, Connect, Disconnect, FilterRequest, Packet, Publish, PublishProperties, QoS, Reason,
    Subscribe, Unsubscribe, Version,
};
use bytes::Bytes;

/// A packet of the server. Its `Display` is the notation of these tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Got {
    ConnAck {
        session_present: bool,
        code: u8,
        properties: Vec<Property>,
    },
    Publish {
        qos: u8,
        dup: bool,
        packet_id: u16,
        topic: String,
        alias: Option<u8>,
        text: String,
        subscription_ids: Vec<u8>,
    },
    Ack {
        kind: AckKind,
        packet_id: u16,
        reason: u8,
        properties: Vec<Property>,
    },
    SubAck {
        packet_id: u16,
        codes: Vec<u8>,
    },
    UnsubAck {
        packet_id: u16,
        codes: Vec<u8>,
    },
    PingResp,
    Disconnect {
        reason: u8,
        properties: Vec<Property>,
    },
}

/// Identifier and bytes of a property.
pub(crate) type Property = (u8, Vec<u8>);

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = |reason: &u8| match reason {
            0 => String::new(),
            reason => format!(" 0x{reason:02x}"),
        };
        let codes = |codes: &[u8]| -> String {
            codes.iter().map(|reason| format!(" {reason:02x}")).collect()
        };
        match self {
            Self::ConnAck { session_present, code: reason, .. } => {
                let present = if *session_present { " present" } else { "" };
                write!(f, "CONNACK{present}{}", code(reason))
            }
            Self::Publish { qos: 0, text, .. } => write!(f, "PUBLISH q0 {text}"),
            Self::Publish { qos, dup, packet_id, text, .. } => {
                let dup = if *dup { " dup" } else { "" };
                write!(f, "PUBLISH q{qos} #{packet_id}{dup} {text}")
            }
            Self::Ack { kind, packet_id, reason, .. } => {
                let name = format!("{kind:?}").to_uppercase();
                write!(f, "{name} #{packet_id}{}", code(reason))
            }
            Self::SubAck { packet_id, codes: all } => {
                write!(f, "SUBACK #{packet_id}{}", codes(all))
            }
            Self::UnsubAck { packet_id, codes: all } => {
                write!(f, "UNSUBACK #{packet_id}{}", codes(all))
            }
            Self::PingResp => write!(f, "PINGRESP"),
            Self::Disconnect { reason, .. } => write!(f, "DISCONNECT{}", code(reason)),
        }
    }
}

/// A CONNECT that keeps its session for an hour and has no keep-alive.
pub(crate) fn connect(version: Version) -> Connect {
    Connect {
        version,
        clean_start: false,
        keep_alive_s: 0,
        client_id: "client".to_owned(),
        user_name: None,
        password: None,
        will: None,
        session_expiry_s: (version == Version::V5).then_some(3600),
        receive_maximum: None,
        max_packet_bytes: None,
        topic_alias_maximum: 0,
        request_response_info: false,
        request_problem_info: true,
        user_properties: Vec::new(),
        authentication_method: None,
    }
}

/// A PUBLISH to a topic of the host; at QoS 0 the id is 0.
pub(crate) fn publish(qos: u8, packet_id: u16, text: &str) -> Publish {
    Publish {
        dup: false,
        qos: QoS::from_bits(qos).expect("a level"),
        retain: false,
        topic: Arc::from("host/t"),
        packet_id,
        topic_alias: None,
        properties: PublishProperties::default(),
        payload: Bytes::copy_from_slice(text.as_bytes()),
    }
}

pub(crate) fn puback(packet_id: u16) -> Packet {
    Packet::PubAck(Ack { packet_id, reason: Reason::SUCCESS })
}

pub(crate) fn pubrec(packet_id: u16) -> Packet {
    Packet::PubRec(Ack { packet_id, reason: Reason::SUCCESS })
}

pub(crate) fn pubrel(packet_id: u16) -> Packet {
    Packet::PubRel(Ack { packet_id, reason: Reason::SUCCESS })
}

pub(crate) fn pubcomp(packet_id: u16) -> Packet {
    Packet::PubComp(Ack { packet_id, reason: Reason::SUCCESS })
}

pub(crate) fn subscribe(packet_id: u16, filters: &[(&str, u8)]) -> Subscribe {
    let request = |(filter, qos): &(&str, u8)| FilterRequest {
        filter: Arc::from(*filter),
        qos: QoS::from_bits(*qos).expect("a level"),
        no_local: false,
        retain_as_published: false,
        retain_handling: 0,
    };
    Subscribe { packet_id, subscription_id: None, filters: filters.iter().map(request).collect() }
}

pub(crate) fn unsubscribe(packet_id: u16, filters: &[&str]) -> Packet {
    let filters = filters.iter().map(|filter| Arc::from(*filter)).collect();
    Packet::Unsubscribe(Box::new(Unsubscribe { packet_id, filters }))
}

pub(crate) fn disconnect(reason: Reason, session_expiry_s: Option<u32>) -> Packet {
    Packet::Disconnect(Disconnect { reason, session_expiry_s })
}

/// The bytes of a client's packet.
pub(crate) fn encode(version: Version, packet: &Packet) -> Vec<u8> {
    let ack = |kind: AckKind, ack: &Ack| {
        let mut out = Vec::new();
        write_ack(&mut out, version, kind, ack.packet_id, ack.reason, None);
        out
    };
    match packet {
        Packet::Publish(publish) => encode_publish(version, publish),
        Packet::PubAck(it) => ack(AckKind::PubAck, it),
        Packet::PubRec(it) => ack(AckKind::PubRec, it),
        Packet::PubRel(it) => ack(AckKind::PubRel, it),
        Packet::PubComp(it) => ack(AckKind::PubComp, it),
        Packet::Subscribe(subscribe) => {
            let mut body = subscribe.packet_id.to_be_bytes().to_vec();
            if version == Version::V5 {
                match subscribe.subscription_id {
                    Some(id) => body.extend([2, 0x0B, u8::try_from(id).expect("a short id")]),
                    None => body.push(0),
                }
            }
            for request in &subscribe.filters {
                put_text(&mut body, &request.filter);
                body.push(request.qos as u8);
            }
            framed(0x82, &body)
        }
        Packet::Unsubscribe(unsubscribe) => {
            let mut body = unsubscribe.packet_id.to_be_bytes().to_vec();
            if version == Version::V5 {
                body.push(0);
            }
            for filter in &unsubscribe.filters {
                put_text(&mut body, filter);
            }
            framed(0xA2, &body)
        }
        Packet::PingReq => vec![0xC0, 0],
        Packet::Disconnect(disconnect) if version == Version::V5 => {
            let mut body = vec![disconnect.reason.0];
            if let Some(expiry_s) = disconnect.session_expiry_s {
                body.extend([5, 0x11]);
                body.extend(expiry_s.to_be_bytes());
            }
            framed(0xE0, &body)
        }
        Packet::Disconnect(_) => vec![0xE0, 0],
        Packet::Auth => vec![0xF0, 0],
        Packet::Connect(_) => panic!("a connection begins with Pair::connect"),
    }
}

fn encode_publish(version: Version, publish: &Publish) -> Vec<u8> {
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
    let mut out = Vec::new();
    write_publish(&mut out, version, &parts, &header);
    out
}

fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut rest = body.len();
    while rest >= 0x80 {
        out.push((rest & 0x7F) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out.extend_from_slice(body);
    out
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend(u16::try_from(text.len()).expect("a short text").to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Takes one packet of the server off the front of `bytes`.
pub(crate) fn decode(version: Version, bytes: &mut Vec<u8>) -> Option<Got> {
    let first = *bytes.first()?;
    let mut rest = Reader(&bytes[1..]);
    let length = rest.var_int();
    let header_bytes = bytes.len() - rest.0.len();
    let packet: Vec<u8> = bytes.drain(..header_bytes + length).collect();
    let mut body = Reader(&packet[header_bytes..]);
    let v5 = version == Version::V5;
    let got = match first {
        0x20 => Got::ConnAck {
            session_present: body.u8() == 1,
            code: body.u8(),
            properties: if v5 { body.properties() } else { Vec::new() },
        },
        0x30..=0x3F => body.publish(first, v5),
        0x40 => body.ack(AckKind::PubAck, v5),
        0x50 => body.ack(AckKind::PubRec, v5),
        0x62 => body.ack(AckKind::PubRel, v5),
        0x70 => body.ack(AckKind::PubComp, v5),
        0x90 | 0xB0 => {
            let packet_id = body.u16();
            if v5 {
                body.properties();
            }
            let codes = std::mem::take(&mut body.0).to_vec();
            match first {
                0x90 => Got::SubAck { packet_id, codes },
                _ => Got::UnsubAck { packet_id, codes },
            }
        }
        0xD0 => Got::PingResp,
        0xE0 if v5 => Got::Disconnect {
            reason: if body.0.is_empty() { 0 } else { body.u8() },
            properties: if body.0.is_empty() { Vec::new() } else { body.properties() },
        },
        _ => panic!("not a packet of a server: {packet:02x?}"),
    };
    assert!(body.0.is_empty(), "bytes left over in {packet:02x?}");
    Some(got)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn u16(&mut self) -> u16 {
        u16::from(self.u8()) << 8 | u16::from(self.u8())
    }

    fn var_int(&mut self) -> usize {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.u8();
            value |= usize::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }

    fn text(&mut self) -> &'a [u8] {
        let len = self.u16();
        self.take(usize::from(len))
    }

    /// MQTT 5 §2.2.2.2.
    fn properties(&mut self) -> Vec<Property> {
        let len = self.var_int();
        let mut inside = Reader(self.take(len));
        let mut found = Vec::new();
        while !inside.0.is_empty() {
            let id = inside.u8();
            let value = match id {
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => inside.take(1).to_vec(),
                0x13 | 0x21 | 0x22 | 0x23 => inside.take(2).to_vec(),
                0x02 | 0x11 | 0x18 | 0x27 => inside.take(4).to_vec(),
                // The tests use ids that fit one byte.
                0x0B => vec![u8::try_from(inside.var_int()).expect("a short id")],
                0x26 => [inside.text(), inside.text()].concat(),
                _ => inside.text().to_vec(),
            };
            found.push((id, value));
        }
        found
    }

    fn publish(&mut self, first: u8, v5: bool) -> Got {
        let qos = first >> 1 & 3;
        let topic = String::from_utf8_lossy(self.text()).into_owned();
        let packet_id = if qos == 0 { 0 } else { self.u16() };
        let properties = if v5 { self.properties() } else { Vec::new() };
        let ids = properties.iter().filter(|(id, _)| *id == 0x0B);
        let alias = properties.iter().find(|(id, _)| *id == 0x23).map(|(_, value)| value[1]);
        let text = std::mem::take(&mut self.0);
        Got::Publish {
            qos,
            dup: first & 8 != 0,
            packet_id,
            topic,
            alias,
            text: String::from_utf8(text.to_vec()).expect("a text"),
            subscription_ids: ids.map(|(_, value)| value[0]).collect(),
        }
    }

    /// Reason and properties are there only if they say something (MQTT 5 §3.4.2.1).
    fn ack(&mut self, kind: AckKind, v5: bool) -> Got {
        let packet_id = self.u16();
        let reason = if v5 && !self.0.is_empty() { self.u8() } else { 0 };
        let properties = if v5 && !self.0.is_empty() { self.properties() } else { Vec::new() };
        Got::Ack { kind, packet_id, reason, properties }
    }
}
