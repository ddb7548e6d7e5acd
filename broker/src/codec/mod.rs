//! Packets ⇄ bytes, for MQTT 3.1.1 and 5.
//!
//! The codec of CONNECT, SUBSCRIBE, UNSUBSCRIBE, CONNACK, SUBACK and UNSUBACK is
//! [`rumqttd::protocol`]. It trusts its input more than a server may, so every packet passes a
//! guard first, which checks the shape of the whole packet: flag bits, lengths, UTF-8, the
//! properties that are allowed, reserved bits, bytes left over. What the guard lets pass,
//! rumqttd decodes without a panic and without loss.
//!
//! Our own code does what rumqttd 0.20 does not do or cannot express:
//!
//! - PUBLISH: its packet id, QoS and DUP are private there. It is the hot path anyway: encoded
//!   once, shared by its receivers. The same goes for PUBACK, PUBREC, PUBREL and PUBCOMP.
//! - User name and password of a CONNECT: a password is any bytes, and an empty one is not the
//!   same as none. They are the end of the packet; rumqttd gets it without them.
//! - DISCONNECT: rumqttd takes `E0 01 04` for incomplete, after it consumed it; it refuses reason
//!   codes that it does not know; and it writes one byte too many.
//! - AUTH, which it does not have.
//!
//! Nothing here keeps state: the version is an argument, the topic alias is the session's.

mod ack;
mod answer;
mod backend;
mod connect;
mod disconnect;
mod error;
mod header;
mod property;
mod publish;
mod reader;
mod subscribe;
mod wire;

pub use ack::{AckKind, write_ack};
pub use answer::{suback_len, write_connack, write_pingresp, write_suback, write_unsuback};
pub use disconnect::write_disconnect;
pub use error::DecodeError;
pub use publish::{
    PublishHeader, PublishParts, encode_publish_properties, publish_len, write_publish,
};
pub use wire::PACKET_BYTES_MAX;

use crate::packet::{Packet, Reason, Version};
use header::{Header, PacketType};

/// The packets that were written to `buf`, one after the other: each with its first byte and what
/// follows its fixed header.
pub(crate) fn written(mut buf: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&first, rest) = buf.split_first()?;
        // What this module writes is whole.
        let length = reader::var_int(rest).ok().flatten()?;
        let (body, next) = rest.get(length.bytes..)?.split_at_checked(length.value as usize)?;
        buf = next;
        Some((first, body))
    })
}

/// Decodes one packet from the front of `buf`; returns it with its length in bytes.
///
/// `version` is what the connection's CONNECT said. `None`: only CONNECT is accepted, and its
/// protocol name and level tell the version. `Ok(None)`: more bytes are needed, none is consumed.
///
/// A packet longer than `max_packet_bytes` (header included) is refused as soon as its length is
/// known, and what its first byte forbids as soon as that is there. Nothing panics, whatever the
/// bytes; nothing is allocated before the packet is complete, and then in proportion to it.
///
/// # Errors
/// The connection cannot go on: the stream may be out of step. See [`DecodeError`] for what to
/// tell the client.
pub fn decode(
    buf: &[u8],
    version: Option<Version>,
    max_packet_bytes: usize,
) -> Result<Option<(Packet, usize)>, DecodeError> {
    frame(buf, version, max_packet_bytes).map_err(|error| error.in_version(version))
}

fn frame(
    buf: &[u8],
    version: Option<Version>,
    max_packet_bytes: usize,
) -> Result<Option<(Packet, usize)>, DecodeError> {
    let Some(header) = Header::read(buf, version)? else {
        return Ok(None);
    };
    if header.packet_bytes > max_packet_bytes {
        let detail = format!(
            "a packet of {} bytes, at most {max_packet_bytes} are taken",
            header.packet_bytes
        );
        // Of a CONNECT, what has come may say how to tell it.
        let begun = buf.get(header.header_bytes..).unwrap_or_default();
        let of = version.or_else(|| connect::version(begun));
        return Err(DecodeError::new(Reason::PACKET_TOO_LARGE, detail).in_version(of));
    }
    let Some(body) = buf.get(header.header_bytes..header.packet_bytes) else {
        return Ok(None);
    };
    let packet = match version {
        None => connect::decode(&header, body)?,
        Some(version) => {
            header.check_length_encoding(version)?;
            decode_body(&header, version, body)?
        }
    };
    Ok(Some((packet, header.packet_bytes)))
}

fn decode_body(header: &Header, version: Version, body: &[u8]) -> Result<Packet, DecodeError> {
    match header.packet_type {
        PacketType::Connect => Err(DecodeError::protocol("a second connect")),
        PacketType::Publish { dup, qos, retain } => {
            publish::decode(version, dup, qos, retain, body)
        }
        PacketType::PubAck => ack::decode(version, body).map(Packet::PubAck),
        PacketType::PubRec => ack::decode(version, body).map(Packet::PubRec),
        PacketType::PubRel => ack::decode(version, body).map(Packet::PubRel),
        PacketType::PubComp => ack::decode(version, body).map(Packet::PubComp),
        PacketType::Subscribe => subscribe::decode_subscribe(version, body),
        PacketType::Unsubscribe => subscribe::decode_unsubscribe(version, body),
        PacketType::PingReq if body.is_empty() => Ok(Packet::PingReq),
        PacketType::PingReq => Err(DecodeError::malformed("a ping request with content")),
        PacketType::Disconnect => disconnect::decode(version, body).map(Packet::Disconnect),
        PacketType::Auth => disconnect::decode_auth(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_taken_apart_again() {
        let mut buf = Vec::new();
        write_pingresp(&mut buf);
        write_ack(&mut buf, Version::V5, AckKind::PubAck, 0x1234, Reason(0x87), None);
        let found: Vec<_> = written(&buf).map(|(first, body)| (first, body.to_vec())).collect();
        assert_eq!(found, [(0xD0, vec![]), (0x40, vec![0x12, 0x34, 0x87])]);
        let mut long = vec![0x30, 0x80, 0x01];
        long.extend([7; 128]);
        assert_eq!(written(&long).map(|(_, body)| body.len()).collect::<Vec<_>>(), [128]);
        // Never more than there is.
        assert_eq!(written(&long[..100]).count(), 0);
    }
}
