//! Records of plain topics: retained messages, sessions and what waits for them.

use std::sync::Arc;

use bincode::{BorrowDecode, Decode, Encode};
use bluetick_broker::host::SessionKey;
use bluetick_broker::keep::{
    KeptDelivery, KeptMessage, KeptPlace, KeptRetained, KeptSession, KeptSubscription,
};
use bluetick_broker::packet::{FilterRequest, QoS};
use bytes::Bytes;

use super::{borrow_decode, decode, encode};
use crate::store::kv::StoreError;

#[derive(Encode, BorrowDecode)]
struct MessageRecord<'a> {
    /// As in a PUBLISH of MQTT 5, without length and expiry.
    properties: &'a [u8],
    payload: &'a [u8],
    expires_at_ms: Option<u64>,
    retain: bool,
}

#[derive(Encode, BorrowDecode)]
struct RetainedRecord<'a> {
    message: MessageRecord<'a>,
    qos: u8,
    user: &'a str,
    client_id: &'a str,
}

#[derive(Encode, Decode)]
struct SessionRecord {
    expiry_s: u32,
    offline_since_ms: Option<u64>,
}

#[derive(Encode, Decode)]
struct SubscriptionRecord {
    qos: u8,
    no_local: bool,
    retain_as_published: bool,
    retain_handling: u8,
    id: Option<u32>,
}

#[derive(Encode, BorrowDecode)]
enum PlaceRecord<'a> {
    Delivery(DeliveryRecord<'a>),
    Released(u16),
}

#[derive(Encode, BorrowDecode)]
struct DeliveryRecord<'a> {
    topic: &'a str,
    message: MessageRecord<'a>,
    qos: u8,
    retain: bool,
    subscription_ids: Vec<u32>,
    packet_id: u16,
    share: Option<&'a str>,
}

pub(in crate::store) fn encode_retained(retained: &KeptRetained, out: &mut Vec<u8>) {
    let SessionKey { user, client_id } = &retained.from;
    let (message, qos) = (message_record(&retained.message), retained.qos as u8);
    encode(&RetainedRecord { message, qos, user, client_id }, out);
}

pub(in crate::store) fn decode_retained(
    topic: Arc<str>,
    bytes: &[u8],
) -> Result<KeptRetained, StoreError> {
    let RetainedRecord { message, qos, user, client_id } = borrow_decode(bytes)?;
    let from = SessionKey { user: user.into(), client_id: client_id.into() };
    Ok(KeptRetained { message: kept_message(topic, &message), qos: level(qos)?, from })
}

pub(in crate::store) fn encode_session(session: KeptSession, out: &mut Vec<u8>) {
    let KeptSession { expiry_s, offline_since_ms } = session;
    encode(&SessionRecord { expiry_s, offline_since_ms }, out);
}

pub(in crate::store) fn decode_session(bytes: &[u8]) -> Result<KeptSession, StoreError> {
    let SessionRecord { expiry_s, offline_since_ms } = decode(bytes)?;
    Ok(KeptSession { expiry_s, offline_since_ms })
}

pub(in crate::store) fn encode_subscription(subscription: &KeptSubscription, out: &mut Vec<u8>) {
    let request = &subscription.request;
    let record = SubscriptionRecord {
        qos: request.qos as u8,
        no_local: request.no_local,
        retain_as_published: request.retain_as_published,
        retain_handling: request.retain_handling,
        id: subscription.id,
    };
    encode(&record, out);
}

pub(in crate::store) fn decode_subscription(
    filter: Arc<str>,
    bytes: &[u8],
) -> Result<KeptSubscription, StoreError> {
    let record: SubscriptionRecord = decode(bytes)?;
    let request = FilterRequest {
        filter,
        qos: level(record.qos)?,
        no_local: record.no_local,
        retain_as_published: record.retain_as_published,
        retain_handling: record.retain_handling,
    };
    Ok(KeptSubscription { request, id: record.id })
}

pub(in crate::store) fn encode_delivery(delivery: &KeptDelivery, out: &mut Vec<u8>) {
    let record = DeliveryRecord {
        topic: &delivery.message.topic,
        message: message_record(&delivery.message),
        qos: delivery.qos as u8,
        retain: delivery.retain,
        subscription_ids: delivery.subscription_ids.clone(),
        packet_id: delivery.packet_id,
        share: delivery.share.as_deref(),
    };
    encode(&PlaceRecord::Delivery(record), out);
}

pub(in crate::store) fn encode_released(packet_id: u16, out: &mut Vec<u8>) {
    encode(&PlaceRecord::Released(packet_id), out);
}

pub(in crate::store) fn decode_place(bytes: &[u8]) -> Result<KeptPlace, StoreError> {
    let record = match borrow_decode(bytes)? {
        PlaceRecord::Released(packet_id) => return Ok(KeptPlace::Released(packet_id)),
        PlaceRecord::Delivery(record) => record,
    };
    Ok(KeptPlace::Delivery(KeptDelivery {
        message: kept_message(record.topic.into(), &record.message),
        qos: level(record.qos)?,
        retain: record.retain,
        subscription_ids: record.subscription_ids,
        packet_id: record.packet_id,
        share: record.share.map(Into::into),
    }))
}

fn message_record(message: &KeptMessage) -> MessageRecord<'_> {
    MessageRecord {
        properties: &message.properties,
        payload: &message.payload,
        expires_at_ms: message.expires_at_ms,
        retain: message.retain,
    }
}

fn kept_message(topic: Arc<str>, record: &MessageRecord<'_>) -> KeptMessage {
    KeptMessage {
        topic,
        properties: Bytes::copy_from_slice(record.properties),
        payload: Bytes::copy_from_slice(record.payload),
        expires_at_ms: record.expires_at_ms,
        retain: record.retain,
    }
}

fn level(bits: u8) -> Result<QoS, StoreError> {
    QoS::from_bits(bits).ok_or(StoreError::Corrupt("a QoS is none"))
}
