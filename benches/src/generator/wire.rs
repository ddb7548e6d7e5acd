//! The few MQTT packets a load generator needs, on byte buffers: encoders append to a `Vec`, the decoder
//! borrows from what was read. Nothing of the server's code is used, so a fault there cannot hide here.
//!
//! Source: MQTT 3.1.1 and MQTT 5.0, chapter 3.

use crate::error::Error;

/// Which MQTT the generator speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.0.
    V5,
}

/// What a server may send to the generator.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The answer to CONNECT.
    ConnAck {
        /// 0 is accepted.
        code: u8,
        /// Unacknowledged PUBLISHes the server takes; 3.1.1 cannot say.
        receive_max: u16,
    },
    /// A message.
    Publish {
        /// Where it was published.
        topic: &'a [u8],
        /// 0 to 2.
        qos: u8,
        /// The packet id at QoS 1 and 2, else 0.
        packet_id: u16,
        /// The body.
        payload: &'a [u8],
    },
    /// The acknowledgement of a message sent at QoS 1.
    PubAck {
        /// Of which.
        packet_id: u16,
        /// 0 is success; 3.1.1 cannot say otherwise.
        reason: u8,
    },
    /// QoS 2: the message sent is there.
    PubRec {
        /// Which.
        packet_id: u16,
        /// 0 is success; 3.1.1 cannot say otherwise.
        reason: u8,
    },
    /// QoS 2: the message received may be given on, and its packet id is free again.
    PubRel {
        /// Which.
        packet_id: u16,
    },
    /// QoS 2: the packet id of the message sent is free again.
    PubComp {
        /// Which.
        packet_id: u16,
    },
    /// The answer to SUBSCRIBE.
    SubAck {
        /// The granted QoS per filter, or 0x80 and above.
        codes: &'a [u8],
    },
    /// The server says goodbye (MQTT 5).
    Disconnect {
        /// Why.
        reason: u8,
    },
}

/// Seconds of keep-alive: longer than any run, so that no PINGREQ disturbs a figure.
const KEEP_ALIVE_S: u16 = 3600;
/// Seconds that a persistent session of MQTT 5 outlives its connection: longer than any run as well.
const SESSION_EXPIRY_S: u32 = 3600;

/// Appends a CONNECT: user name (if it is not empty) without password, `window` as the receive maximum of MQTT 5; a clean session,
/// or one that outlives the connection.
pub fn put_connect(
    out: &mut Vec<u8>,
    version: Version,
    client_id: &str,
    user: &str,
    window: u16,
    persistent: bool,
) {
    let mut body = Vec::with_capacity(64);
    put_str(&mut body, b"MQTT");
    body.push(if version == Version::V5 { 5 } else { 4 });
    let with_user = if user.is_empty() { 0 } else { 0x80 };
    body.push(with_user | if persistent { 0 } else { 2 });
    body.extend_from_slice(&KEEP_ALIVE_S.to_be_bytes());
    if version == Version::V5 {
        let expiry_s = if persistent { SESSION_EXPIRY_S } else { 0 };
        body.extend_from_slice(&[8, 0x11]);
        body.extend_from_slice(&expiry_s.to_be_bytes());
        body.push(0x21);
        body.extend_from_slice(&window.to_be_bytes());
    }
    put_str(&mut body, client_id.as_bytes());
    if !user.is_empty() {
        put_str(&mut body, user.as_bytes());
    }
    put_frame(out, 0x10, &body);
}

/// Appends a SUBSCRIBE at QoS 1 to every filter.
pub fn put_subscribe(out: &mut Vec<u8>, version: Version, packet_id: u16, filters: &[String]) {
    put_subscribe_at(out, version, 1, packet_id, filters);
}

/// Appends a SUBSCRIBE at this QoS to every filter.
pub fn put_subscribe_at(
    out: &mut Vec<u8>,
    version: Version,
    qos: u8,
    packet_id: u16,
    filters: &[String],
) {
    let mut body = Vec::with_capacity(64);
    body.extend_from_slice(&packet_id.to_be_bytes());
    if version == Version::V5 {
        body.push(0);
    }
    for filter in filters {
        put_str(&mut body, filter.as_bytes());
        body.push(qos);
    }
    put_frame(out, 0x82, &body);
}

/// Appends a PUBLISH at QoS 1, or at QoS 0 with a packet id of 0.
pub fn put_publish(
    out: &mut Vec<u8>,
    version: Version,
    topic: &[u8],
    packet_id: u16,
    payload: &[u8],
) {
    put_publish_at(out, version, u8::from(packet_id != 0), topic, packet_id, payload);
}

/// Appends a PUBLISH at this QoS; `packet_id` counts for nothing at QoS 0.
pub fn put_publish_at(
    out: &mut Vec<u8>,
    version: Version,
    qos: u8,
    topic: &[u8],
    packet_id: u16,
    payload: &[u8],
) {
    let properties = usize::from(version == Version::V5);
    let id_bytes = packet_id.to_be_bytes();
    let id_bytes = if qos == 0 { &[][..] } else { &id_bytes };
    out.push(0x30 | (qos << 1));
    put_length(out, 2 + topic.len() + id_bytes.len() + properties + payload.len());
    put_str(out, topic);
    out.extend_from_slice(id_bytes);
    if version == Version::V5 {
        out.push(0);
    }
    out.extend_from_slice(payload);
}

/// Appends a PUBACK that says success, the same in both versions.
pub fn put_puback(out: &mut Vec<u8>, packet_id: u16) {
    put_acknowledgement(out, 0x40, packet_id);
}

/// Appends a PUBREC, likewise.
pub fn put_pubrec(out: &mut Vec<u8>, packet_id: u16) {
    put_acknowledgement(out, 0x50, packet_id);
}

/// Appends a PUBREL, likewise.
pub fn put_pubrel(out: &mut Vec<u8>, packet_id: u16) {
    put_acknowledgement(out, 0x62, packet_id);
}

/// Appends a PUBCOMP, likewise.
pub fn put_pubcomp(out: &mut Vec<u8>, packet_id: u16) {
    put_acknowledgement(out, 0x70, packet_id);
}

fn put_acknowledgement(out: &mut Vec<u8>, first: u8, packet_id: u16) {
    let [high, low] = packet_id.to_be_bytes();
    out.extend_from_slice(&[first, 2, high, low]);
}

/// Appends a DISCONNECT, the same in both versions.
pub fn put_disconnect(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xE0, 0]);
}

/// Decodes the first packet of `bytes` and how many it took, or `None` if it is not all there yet.
///
/// # Errors
/// [`Error::Wrong`] for a packet that is malformed or that the generator never asked for.
pub fn take_packet(bytes: &[u8], version: Version) -> Result<Option<(Packet<'_>, usize)>, Error> {
    let mut reader = Reader(bytes);
    let Some(first) = reader.u8() else {
        return Ok(None);
    };
    let Some(length) = reader.length()? else {
        return Ok(None);
    };
    let Some(body) = reader.bytes(length) else {
        return Ok(None);
    };
    let taken = bytes.len() - reader.0.len();
    let packet = decode(first, body, version)
        .ok_or_else(|| Error::Wrong(format!("malformed packet, first byte {first:#04x}")))?;
    Ok(Some((packet, taken)))
}

fn decode(first: u8, body: &[u8], version: Version) -> Option<Packet<'_>> {
    let v5 = version == Version::V5;
    let mut reader = Reader(body);
    match first >> 4 {
        2 => {
            let _session_present = reader.u8()?;
            let code = reader.u8()?;
            let receive_max =
                if v5 { receive_max(reader.properties()?).unwrap_or(u16::MAX) } else { u16::MAX };
            Some(Packet::ConnAck { code, receive_max })
        }
        3 => {
            let topic_length = reader.u16()?;
            let topic = reader.bytes(usize::from(topic_length))?;
            let qos = (first >> 1) & 3;
            let packet_id = match qos {
                0 => 0,
                1 | 2 => reader.u16()?,
                _ => return None,
            };
            if v5 {
                reader.properties()?;
            }
            Some(Packet::Publish { topic, qos, packet_id, payload: reader.0 })
        }
        4 => Some(Packet::PubAck { packet_id: reader.u16()?, reason: reader.u8().unwrap_or(0) }),
        5 => Some(Packet::PubRec { packet_id: reader.u16()?, reason: reader.u8().unwrap_or(0) }),
        6 => Some(Packet::PubRel { packet_id: reader.u16()? }),
        7 => Some(Packet::PubComp { packet_id: reader.u16()? }),
        9 => {
            let _packet_id = reader.u16()?;
            if v5 {
                reader.properties()?;
            }
            Some(Packet::SubAck { codes: reader.0 })
        }
        14 => Some(Packet::Disconnect { reason: reader.u8().unwrap_or(0) }),
        _ => None,
    }
}

/// Finds the receive maximum among the properties of a CONNACK; skips the others by their known sizes.
fn receive_max(properties: &[u8]) -> Option<u16> {
    let mut reader = Reader(properties);
    while let Some(id) = reader.u8() {
        match id {
            0x21 => return reader.u16(),
            0x24 | 0x25 | 0x28 | 0x29 | 0x2A => drop(reader.bytes(1)?),
            0x13 | 0x22 => drop(reader.bytes(2)?),
            0x11 | 0x27 => drop(reader.bytes(4)?),
            0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => drop(reader.string()?),
            0x26 => {
                reader.string()?;
                reader.string()?;
            }
            _ => return None,
        }
    }
    None
}

pub(crate) fn put_frame(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    put_length(out, body.len());
    out.extend_from_slice(body);
}

pub(crate) fn put_str(out: &mut Vec<u8>, text: &[u8]) {
    let length = u16::try_from(text.len()).expect("the generator's strings are short");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text);
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = (length & 0x7F) as u8;
        length >>= 7;
        if length == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Takes from the front of what a server sent; `None` where there is too little.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn u16(&mut self) -> Option<u16> {
        let (first, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*first))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.bytes(usize::from(length))
    }

    fn properties(&mut self) -> Option<&'a [u8]> {
        let length = self.length().ok()??;
        self.bytes(length)
    }

    /// A variable byte integer: `None` if it is not all there, an error if it is longer than four bytes.
    fn length(&mut self) -> Result<Option<usize>, Error> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let Some(byte) = self.u8() else {
                return Ok(None);
            };
            value |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(Some(value));
            }
        }
        Err(Error::Wrong("a length of more than four bytes".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_comes_back_from_every_cut() {
        for version in [Version::V311, Version::V5] {
            let mut bytes = Vec::new();
            put_publish(&mut bytes, version, b"t/1", 7, &[b'x'; 200]);
            let whole = bytes.len();
            put_puback(&mut bytes, 9);
            for cut in 0..whole {
                assert!(take_packet(&bytes[..cut], version).unwrap().is_none());
            }
            let (packet, taken) = take_packet(&bytes, version).unwrap().unwrap();
            assert_eq!(taken, whole);
            assert_eq!(
                packet,
                Packet::Publish { topic: b"t/1", qos: 1, packet_id: 7, payload: &[b'x'; 200] }
            );
            let (packet, _) = take_packet(&bytes[taken..], version).unwrap().unwrap();
            let expected = Packet::PubAck { packet_id: 9, reason: 0 };
            assert_eq!(packet, expected);
        }
    }

    #[test]
    fn every_step_of_qos_2_is_known() {
        for version in [Version::V311, Version::V5] {
            let mut bytes = Vec::new();
            put_publish_at(&mut bytes, version, 2, b"t", 7, b"x");
            put_pubrec(&mut bytes, 7);
            put_pubrel(&mut bytes, 7);
            put_pubcomp(&mut bytes, 7);
            let expected = [
                Packet::Publish { topic: b"t", qos: 2, packet_id: 7, payload: b"x" },
                Packet::PubRec { packet_id: 7, reason: 0 },
                Packet::PubRel { packet_id: 7 },
                Packet::PubComp { packet_id: 7 },
            ];
            let mut rest = &bytes[..];
            for expected in expected {
                let (packet, taken) = take_packet(rest, version).unwrap().unwrap();
                assert_eq!(packet, expected);
                rest = &rest[taken..];
            }
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn connack_5_tells_the_receive_maximum_behind_other_properties() {
        let bytes = [0x20, 14, 0, 0, 11, 0x22, 0, 10, 0x12, 0, 2, b'i', b'd', 0x21, 0, 99];
        let (packet, _) = take_packet(&bytes, Version::V5).unwrap().unwrap();
        let expected = Packet::ConnAck { code: 0, receive_max: 99 };
        assert_eq!(packet, expected);
    }

    #[test]
    fn an_endless_length_is_refused() {
        assert!(take_packet(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1], Version::V311).is_err());
    }
}
