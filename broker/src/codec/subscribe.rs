//! SUBSCRIBE and UNSUBSCRIBE (MQTT 5 §3.8, §3.10): guarded here, decoded by rumqttd.

use std::sync::Arc;

use rumqttd::protocol::{self, RetainForwardRule};

use super::DecodeError;
use super::backend::{qos, read};
use super::property::{Allowed, Properties, SUBSCRIPTION_ID, USER_PROPERTY};
use super::reader::Reader;
use crate::packet::{FilterRequest, Packet, Reason, Subscribe, Unsubscribe, Version};

const SUBSCRIBE_PROPERTIES: Allowed = Allowed::of(&[SUBSCRIPTION_ID, USER_PROPERTY]);

const UNSUBSCRIBE_PROPERTIES: Allowed = Allowed::of(&[USER_PROPERTY]);

pub(super) fn decode_subscribe(version: Version, body: &[u8]) -> Result<Packet, DecodeError> {
    guard_subscribe(version, body)?;
    let protocol::Packet::Subscribe(subscribe, properties) = read(version, 0x82, body)? else {
        return Err(DecodeError::malformed("not a subscribe"));
    };
    Ok(Packet::Subscribe(Box::new(Subscribe {
        packet_id: subscribe.pkid,
        subscription_id: properties
            .and_then(|properties| properties.id)
            .and_then(|id| u32::try_from(id).ok()),
        filters: subscribe.filters.into_iter().map(filter_request).collect(),
    })))
}

pub(super) fn decode_unsubscribe(version: Version, body: &[u8]) -> Result<Packet, DecodeError> {
    guard_unsubscribe(version, body)?;
    let protocol::Packet::Unsubscribe(unsubscribe, _) = read(version, 0xA2, body)? else {
        return Err(DecodeError::malformed("not an unsubscribe"));
    };
    Ok(Packet::Unsubscribe(Box::new(Unsubscribe {
        packet_id: unsubscribe.pkid,
        filters: unsubscribe.filters.into_iter().map(Arc::from).collect(),
    })))
}

fn guard_subscribe(version: Version, body: &[u8]) -> Result<(), DecodeError> {
    let mut reader = Reader::new(body);
    reader.packet_id()?;
    if version == Version::V5 {
        Properties::check(&mut reader, SUBSCRIBE_PROPERTIES)?;
    }
    if reader.is_empty() {
        return Err(DecodeError::protocol("subscribe without filters"));
    }
    while !reader.is_empty() {
        let filter = guard_filter(&mut reader)?;
        let options = reader.u8()?;
        match version {
            Version::V4 => guard_options_v4(options)?,
            Version::V5 => guard_options_v5(options, filter)?,
        }
    }
    Ok(())
}

fn guard_unsubscribe(version: Version, body: &[u8]) -> Result<(), DecodeError> {
    let mut reader = Reader::new(body);
    reader.packet_id()?;
    if version == Version::V5 {
        Properties::check(&mut reader, UNSUBSCRIBE_PROPERTIES)?;
    }
    if reader.is_empty() {
        return Err(DecodeError::protocol("unsubscribe without filters"));
    }
    while !reader.is_empty() {
        guard_filter(&mut reader)?;
    }
    Ok(())
}

fn guard_filter<'a>(reader: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    let filter = reader.text()?;
    if filter.is_empty() {
        return Err(DecodeError::new(Reason::TOPIC_FILTER_INVALID, "an empty topic filter"));
    }
    Ok(filter)
}

/// MQTT 3.1.1 §3.8.3.
fn guard_options_v4(options: u8) -> Result<(), DecodeError> {
    if options > 2 {
        return Err(DecodeError::malformed("a requested qos other than 0, 1 and 2"));
    }
    Ok(())
}

/// MQTT 5 §3.8.3.1.
fn guard_options_v5(options: u8, filter: &str) -> Result<(), DecodeError> {
    if options & 0xC0 != 0 {
        return Err(DecodeError::malformed("reserved bits in the subscription options"));
    }
    if options & 0x03 == 0x03 {
        return Err(DecodeError::protocol("a subscription with qos 3"));
    }
    if options & 0x30 == 0x30 {
        return Err(DecodeError::protocol("a subscription with retain handling 3"));
    }
    if options & 0x04 != 0 && filter.starts_with("$share/") {
        return Err(DecodeError::protocol("no local on a shared subscription"));
    }
    Ok(())
}

fn filter_request(filter: protocol::Filter) -> FilterRequest {
    FilterRequest {
        filter: Arc::from(filter.path),
        qos: qos(filter.qos),
        no_local: filter.nolocal,
        retain_as_published: filter.preserve_retain,
        retain_handling: match filter.retain_forward_rule {
            RetainForwardRule::OnEverySubscribe => 0,
            RetainForwardRule::OnNewSubscribe => 1,
            RetainForwardRule::Never => 2,
        },
    }
}
