//! rumqttd's codec, called with whole packets: what it reads has passed a guard, what it writes
//! fits.

use bytes::{Bytes, BytesMut};
use rumqttd::protocol::v4::V4;
use rumqttd::protocol::v5::V5;
use rumqttd::protocol::{self, Protocol};

use super::DecodeError;
use super::wire::put_var_int;
use crate::packet::{QoS, Version};

/// Has rumqttd decode a packet that the guard let pass; its header is written anew.
pub(super) fn read(
    version: Version,
    first_byte: u8,
    body: &[u8],
) -> Result<protocol::Packet, DecodeError> {
    let mut packet = Vec::with_capacity(5 + body.len());
    packet.push(first_byte);
    put_var_int(&mut packet, body.len());
    packet.extend_from_slice(body);
    let mut packet = BytesMut::from(Bytes::from(packet));
    let read = match version {
        Version::V4 => V4.read_mut(&mut packet, body.len()),
        Version::V5 => V5.read_mut(&mut packet, body.len()),
    };
    read.map_err(|error| DecodeError::refused(&error))
}

/// Appends an answer.
pub(super) fn write(out: &mut Vec<u8>, version: Version, packet: protocol::Packet) {
    let mut bytes = BytesMut::new();
    let written = match version {
        Version::V4 => V4.write(packet, &mut bytes),
        Version::V5 => V5.write(packet, &mut bytes),
    };
    // The only failure is a packet of more than 256 MB: these have a byte for each filter of one
    // packet, or three strings of 64 KB.
    written.expect("an answer fits a packet");
    out.extend_from_slice(&bytes);
}

pub(super) const fn qos(qos: protocol::QoS) -> QoS {
    match qos {
        protocol::QoS::AtMostOnce => QoS::AtMostOnce,
        protocol::QoS::AtLeastOnce => QoS::AtLeastOnce,
        protocol::QoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}
