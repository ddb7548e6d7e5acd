//! The fixed header: packet type, flags, remaining length (MQTT 5 §2.1).

use super::DecodeError;
use super::reader::{VarInt, var_int};
use crate::packet::{QoS, Version};

/// A fixed header that is complete and allowed.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) packet_type: PacketType,
    /// First byte and remaining length.
    pub(super) header_bytes: usize,
    /// The whole packet.
    pub(super) packet_bytes: usize,
    is_length_minimal: bool,
}

/// The packets that a client may send, with the flags of those that have some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PacketType {
    Connect,
    Publish { dup: bool, qos: QoS, retain: bool },
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    Unsubscribe,
    PingReq,
    Disconnect,
    Auth,
}

impl Header {
    /// `None`: it is not complete yet.
    pub(super) fn read(buf: &[u8], version: Option<Version>) -> Result<Option<Self>, DecodeError> {
        let Some((&first, rest)) = buf.split_first() else {
            return Ok(None);
        };
        let packet_type = PacketType::from_byte(first, version)?;
        let Some(VarInt { value, bytes, is_minimal }) = var_int(rest)? else {
            return Ok(None);
        };
        let header_bytes = 1 + bytes;
        let packet_bytes = header_bytes + value as usize;
        Ok(Some(Self { packet_type, header_bytes, packet_bytes, is_length_minimal: is_minimal }))
    }

    /// MQTT 5 asks for the shortest encoding of the remaining length (§1.5.5), 3.1.1 does not.
    pub(super) fn check_length_encoding(&self, version: Version) -> Result<(), DecodeError> {
        if version == Version::V5 && !self.is_length_minimal {
            return Err(DecodeError::malformed("remaining length in more bytes than needed"));
        }
        Ok(())
    }
}

impl PacketType {
    fn from_byte(first: u8, version: Option<Version>) -> Result<Self, DecodeError> {
        let (packet_type, flags_wanted) = match first >> 4 {
            1 => (Self::Connect, 0),
            3 => (Self::publish(first)?, first & 0x0F),
            4 => (Self::PubAck, 0),
            5 => (Self::PubRec, 0),
            6 => (Self::PubRel, 2),
            7 => (Self::PubComp, 0),
            8 => (Self::Subscribe, 2),
            10 => (Self::Unsubscribe, 2),
            12 => (Self::PingReq, 0),
            14 => (Self::Disconnect, 0),
            15 if version != Some(Version::V4) => (Self::Auth, 0),
            2 | 9 | 11 | 13 => {
                return Err(DecodeError::protocol("a packet type that only servers send"));
            }
            _ => return Err(DecodeError::malformed("reserved packet type")),
        };
        if first & 0x0F != flags_wanted {
            return Err(DecodeError::malformed("wrong flag bits in the first byte"));
        }
        match (version, packet_type) {
            (None, Self::Connect) => Ok(packet_type),
            (None, _) => Err(DecodeError::protocol("the first packet is not a connect")),
            (Some(_), Self::Connect) => Err(DecodeError::protocol("a second connect")),
            (Some(_), _) => Ok(packet_type),
        }
    }

    fn publish(first: u8) -> Result<Self, DecodeError> {
        let dup = first & 0x08 != 0;
        let Some(qos) = QoS::from_bits((first >> 1) & 3) else {
            return Err(DecodeError::malformed("publish with qos 3"));
        };
        if dup && qos == QoS::AtMostOnce {
            return Err(DecodeError::malformed("publish at qos 0 with the dup flag"));
        }
        Ok(Self::Publish { dup, qos, retain: first & 1 != 0 })
    }
}
