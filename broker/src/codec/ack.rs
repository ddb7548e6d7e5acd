//! PUBACK, PUBREC, PUBREL, PUBCOMP (MQTT 5 §3.4 to §3.7): one shape, four packet types.

use super::DecodeError;
use super::property::{Allowed, Properties, REASON_STRING, USER_PROPERTY};
use super::reader::Reader;
use super::wire::{clip, put_text, put_u16, put_var_int, var_int_len};
use crate::packet::{Ack, AckProperties, Reason, Version};

const PROPERTIES: Allowed = Allowed::of(&[REASON_STRING, USER_PROPERTY]);

/// Which acknowledgement [`write_ack`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckKind {
    /// Of a QoS 1 PUBLISH.
    PubAck,
    /// The first of QoS 2.
    PubRec,
    /// The second of QoS 2.
    PubRel,
    /// The last of QoS 2.
    PubComp,
}

impl AckKind {
    const fn first_byte(self) -> u8 {
        match self {
            Self::PubAck => 0x40,
            Self::PubRec => 0x50,
            Self::PubRel => 0x62,
            Self::PubComp => 0x70,
        }
    }

    /// MQTT 5 §3.4.2.1 to §3.7.2.1.
    const fn reason(self, reason: Reason) -> Reason {
        match (self, reason.0) {
            (Self::PubAck | Self::PubRec, 0x10 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99)
            | (_, 0) => reason,
            (Self::PubAck | Self::PubRec, 0x80..) => Reason::UNSPECIFIED,
            (Self::PubRel | Self::PubComp, 0x80..) => Reason::PACKET_ID_NOT_FOUND,
            _ => Reason::SUCCESS,
        }
    }
}

pub(super) fn decode(version: Version, body: &[u8]) -> Result<Ack, DecodeError> {
    let mut reader = Reader::new(body);
    let packet_id = reader.packet_id()?;
    let mut reason = Reason::SUCCESS;
    if version == Version::V5 && !reader.is_empty() {
        reason = Reason(reader.u8()?);
        if !reader.is_empty() {
            Properties::check(&mut reader, PROPERTIES)?;
        }
    }
    reader.finish()?;
    Ok(Ack { packet_id, reason })
}

/// Writes an acknowledgement, in the shortest form that says all of it.
///
/// 3.1.1: `reason` and `properties` cannot be said and are left out. In MQTT 5 a refusal that is
/// not one of the packet's goes out as 0x80 (PUBACK, PUBREC) or 0x92. Strings longer than 65,535 bytes
/// are cut.
pub fn write_ack(
    out: &mut Vec<u8>,
    version: Version,
    kind: AckKind,
    packet_id: u16,
    reason: Reason,
    properties: Option<&AckProperties>,
) {
    out.push(kind.first_byte());
    let reason = kind.reason(reason);
    let properties_bytes = properties.map_or(0, properties_len);
    if version == Version::V4 || (reason == Reason::SUCCESS && properties_bytes == 0) {
        out.push(2);
        put_u16(out, packet_id);
        return;
    }
    let Some(properties) = properties.filter(|_| properties_bytes > 0) else {
        out.push(3);
        put_u16(out, packet_id);
        out.push(reason.0);
        return;
    };
    put_var_int(out, 3 + var_int_len(properties_bytes) + properties_bytes);
    put_u16(out, packet_id);
    out.push(reason.0);
    put_var_int(out, properties_bytes);
    if let Some(text) = &properties.reason_string {
        out.push(REASON_STRING);
        put_text(out, text);
    }
    for (name, value) in &properties.user_properties {
        out.push(USER_PROPERTY);
        put_text(out, name);
        put_text(out, value);
    }
}

fn properties_len(properties: &AckProperties) -> usize {
    let reason_string = properties.reason_string.as_ref().map_or(0, |text| 3 + clip(text).len());
    let pair = |(name, value): &(String, String)| 5 + clip(name).len() + clip(value).len();
    reason_string + properties.user_properties.iter().map(pair).sum::<usize>()
}
