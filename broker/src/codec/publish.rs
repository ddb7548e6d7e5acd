//! PUBLISH (MQTT 5 §3.3): encoded once, written for each receiver with his own header.

use std::sync::Arc;

use bytes::Bytes;

use super::DecodeError;
use super::property::{
    Allowed, CONTENT_TYPE, CORRELATION_DATA, MESSAGE_EXPIRY, PAYLOAD_FORMAT, Properties,
    RESPONSE_TOPIC, SUBSCRIPTION_ID, TOPIC_ALIAS, USER_PROPERTY, Value,
};
use super::reader::Reader;
use super::wire::{clip, put_binary, put_text, put_u16, put_u32, put_var_int, var_int_len};
use crate::packet::{Packet, Publish, PublishProperties, QoS, Reason, Version};

const PROPERTIES: Allowed = Allowed::of(&[
    PAYLOAD_FORMAT,
    MESSAGE_EXPIRY,
    CONTENT_TYPE,
    RESPONSE_TOPIC,
    CORRELATION_DATA,
    SUBSCRIPTION_ID,
    TOPIC_ALIAS,
    USER_PROPERTY,
]);

/// What is the same for every receiver of a message.
#[derive(Debug, Clone, Copy)]
pub struct PublishParts<'a> {
    /// A valid topic name.
    pub topic: &'a str,
    /// From [`encode_publish_properties`]; not looked at in 3.1.1.
    pub properties: &'a [u8],
    /// The body.
    pub payload: &'a [u8],
}

/// What differs from receiver to receiver. All but the first four fields are for MQTT 5 and not
/// looked at in 3.1.1.
#[derive(Debug, Clone, Copy)]
pub struct PublishHeader<'a> {
    /// The level of this delivery.
    pub qos: QoS,
    /// Whether this delivery is a repeat; not at QoS 0.
    pub dup: bool,
    /// Whether the message is a retained one.
    pub retain: bool,
    /// Not looked at at QoS 0.
    pub packet_id: u16,
    /// What is left of the message's life, in seconds.
    pub message_expiry_s: Option<u32>,
    /// Those of the receiver's subscriptions that match; each 1 to 268,435,455.
    pub subscription_ids: &'a [u32],
    /// Never 0, never more than the receiver's maximum.
    pub topic_alias: Option<u16>,
    /// Send the alias alone: the receiver has the topic from an earlier packet. Needs an alias.
    pub omit_topic: bool,
}

pub(super) fn decode(
    version: Version,
    dup: bool,
    qos: QoS,
    retain: bool,
    body: &[u8],
) -> Result<Packet, DecodeError> {
    let mut reader = Reader::new(body);
    let topic = reader.text()?;
    if topic.contains(['+', '#']) {
        return Err(DecodeError::new(
            Reason::TOPIC_NAME_INVALID,
            "publish to a topic with wildcards",
        ));
    }
    let packet_id = if qos == QoS::AtMostOnce { 0 } else { reader.packet_id()? };
    let mut topic_alias = None;
    let mut properties = PublishProperties::default();
    if version == Version::V5 {
        (properties, topic_alias) = decode_properties(&mut reader)?;
    }
    if topic.is_empty() && topic_alias.is_none() {
        return Err(DecodeError::protocol("publish without a topic"));
    }
    Ok(Packet::Publish(Box::new(Publish {
        dup,
        qos,
        retain,
        topic: Arc::from(topic),
        packet_id,
        topic_alias,
        properties,
        payload: Bytes::copy_from_slice(reader.rest()),
    })))
}

fn decode_properties(
    reader: &mut Reader<'_>,
) -> Result<(PublishProperties, Option<u16>), DecodeError> {
    let mut topic_alias = None;
    let mut found = PublishProperties::default();
    let mut properties = Properties::read(reader, PROPERTIES)?;
    while let Some(property) = properties.next()? {
        match property {
            (PAYLOAD_FORMAT, Value::Flag(flag)) => found.payload_format_utf8 = flag,
            (MESSAGE_EXPIRY, Value::U32(seconds)) => found.message_expiry_s = Some(seconds),
            (CONTENT_TYPE, Value::Text(text)) => found.content_type = Some(text.to_owned()),
            (RESPONSE_TOPIC, Value::Text(text)) => found.response_topic = Some(text.to_owned()),
            (CORRELATION_DATA, Value::Binary(data)) => {
                found.correlation_data = Some(Bytes::copy_from_slice(data));
            }
            (TOPIC_ALIAS, Value::U16(alias)) => topic_alias = Some(alias),
            (USER_PROPERTY, Value::Pair(name, value)) => {
                found.user_properties.push((name.to_owned(), value.to_owned()));
            }
            _ => {
                return Err(DecodeError::protocol("a client's publish with a subscription id"));
            }
        }
    }
    Ok((found, topic_alias))
}

/// Encodes, without their length, the properties that are the same for every receiver: all but
/// the message expiry. Strings and data longer than 65,535 bytes are cut.
#[must_use]
pub fn encode_publish_properties(p: &PublishProperties) -> Bytes {
    let mut out = Vec::new();
    if p.payload_format_utf8 {
        out.extend_from_slice(&[PAYLOAD_FORMAT, 1]);
    }
    if let Some(text) = &p.content_type {
        out.push(CONTENT_TYPE);
        put_text(&mut out, text);
    }
    if let Some(text) = &p.response_topic {
        out.push(RESPONSE_TOPIC);
        put_text(&mut out, text);
    }
    if let Some(data) = &p.correlation_data {
        out.push(CORRELATION_DATA);
        put_binary(&mut out, data);
    }
    for (name, value) in &p.user_properties {
        out.push(USER_PROPERTY);
        put_text(&mut out, name);
        put_text(&mut out, value);
    }
    out.into()
}

/// Appends a PUBLISH to `out`.
///
/// # Panics
/// If the packet is longer than [`super::PACKET_BYTES_MAX`]: check [`publish_len`] against what
/// the receiver takes before.
pub fn write_publish(
    out: &mut Vec<u8>,
    version: Version,
    parts: &PublishParts<'_>,
    header: &PublishHeader<'_>,
) {
    debug_assert!(header.qos == QoS::AtMostOnce || header.packet_id != 0, "a packet id is never 0");
    debug_assert!(!header.omit_topic || header.topic_alias.is_some(), "no topic needs an alias");
    let remaining_bytes = remaining_len(version, parts, header);
    out.reserve(1 + var_int_len(remaining_bytes) + remaining_bytes);
    out.push(first_byte(header));
    put_var_int(out, remaining_bytes);
    put_text(out, topic_on_wire(version, parts, header));
    if header.qos != QoS::AtMostOnce {
        put_u16(out, header.packet_id);
    }
    if version == Version::V5 {
        put_var_int(out, properties_len(parts, header));
        if let Some(alias) = header.topic_alias {
            out.push(TOPIC_ALIAS);
            put_u16(out, alias);
        }
        if let Some(seconds) = header.message_expiry_s {
            out.push(MESSAGE_EXPIRY);
            put_u32(out, seconds);
        }
        for &id in header.subscription_ids {
            out.push(SUBSCRIPTION_ID);
            put_var_int(out, id as usize);
        }
        out.extend_from_slice(parts.properties);
    }
    out.extend_from_slice(parts.payload);
}

/// The length in bytes of the whole packet that [`write_publish`] would write.
#[must_use]
pub fn publish_len(
    version: Version,
    parts: &PublishParts<'_>,
    header: &PublishHeader<'_>,
) -> usize {
    let remaining_bytes = remaining_len(version, parts, header);
    1 + var_int_len(remaining_bytes) + remaining_bytes
}

fn first_byte(header: &PublishHeader<'_>) -> u8 {
    let dup = header.dup && header.qos != QoS::AtMostOnce;
    0x30 | u8::from(dup) << 3 | (header.qos as u8) << 1 | u8::from(header.retain)
}

fn topic_on_wire<'a>(
    version: Version,
    parts: &PublishParts<'a>,
    header: &PublishHeader<'_>,
) -> &'a str {
    if version == Version::V5 && header.omit_topic { "" } else { clip(parts.topic) }
}

fn remaining_len(version: Version, parts: &PublishParts<'_>, header: &PublishHeader<'_>) -> usize {
    let topic_bytes = 2 + topic_on_wire(version, parts, header).len();
    let packet_id_bytes = if header.qos == QoS::AtMostOnce { 0 } else { 2 };
    let properties_bytes = match version {
        Version::V4 => 0,
        Version::V5 => {
            let len = properties_len(parts, header);
            var_int_len(len) + len
        }
    };
    topic_bytes + packet_id_bytes + properties_bytes + parts.payload.len()
}

fn properties_len(parts: &PublishParts<'_>, header: &PublishHeader<'_>) -> usize {
    let alias_bytes = if header.topic_alias.is_some() { 3 } else { 0 };
    let expiry_bytes = if header.message_expiry_s.is_some() { 5 } else { 0 };
    let ids = header.subscription_ids.iter();
    let id_bytes: usize = ids.map(|&id| 1 + var_int_len(id as usize)).sum();
    alias_bytes + expiry_bytes + id_bytes + parts.properties.len()
}
