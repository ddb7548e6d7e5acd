//! CONNACK, SUBACK, UNSUBACK, written by rumqttd, and PINGRESP.

use rumqttd::protocol::{
    self, ConnAckProperties, ConnectReturnCode, SubAck, SubAckProperties, SubscribeReasonCode,
    UnsubAck, UnsubAckReason,
};

use super::backend::write;
use super::wire::{clip, var_int_len};
use crate::packet::{ConnAck, Reason, Version};

/// Writes a CONNACK.
///
/// A refusal never says that there is a session. 3.1.1 has five codes for refusals; where none
/// comes near `ack.reason` (a malformed packet, say), nothing is written and the connection is
/// to be closed, as §3.2.2.3 of 3.1.1 demands. In MQTT 5 a reason that is not one of a CONNACK's
/// goes out as 0x80, or 0x88 where the server is about to stop.
pub fn write_connack(out: &mut Vec<u8>, version: Version, ack: &ConnAck) {
    let reason = ack.reason.0;
    let code = match version {
        Version::V4 => connack_code_v4(reason),
        Version::V5 => Some(connack_code_v5(reason)),
    };
    let Some(code) = code else { return };
    let properties = (version == Version::V5).then(|| connack_properties(ack));
    let session_present = ack.session_present && !reason.is_error();
    let connack = protocol::ConnAck { session_present, code };
    write(out, version, protocol::Packet::ConnAck(connack, properties));
}

/// Writes a SUBACK with a code for each filter: the QoS granted, or why not.
///
/// 3.1.1 has one code for refusals, 0x80. In MQTT 5 a reason that is not one of a SUBACK's goes
/// out as 0x80. `reason_string` is for MQTT 5.
pub fn write_suback(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: u16,
    codes: &[Reason],
    reason_string: Option<&str>,
) {
    let code = |&reason| match version {
        Version::V4 => suback_code_v4(reason),
        Version::V5 => suback_code_v5(reason),
    };
    let suback = SubAck { pkid: packet_id, return_codes: codes.iter().map(code).collect() };
    let properties = reason_string.filter(|_| version == Version::V5).map(|text| {
        let reason_string = Some(clip(text).to_owned());
        SubAckProperties { reason_string, user_properties: Vec::new() }
    });
    write(out, version, protocol::Packet::SubAck(suback, properties));
}

/// How many bytes a SUBACK without properties has, and an UNSUBACK no more.
#[must_use]
pub fn suback_len(version: Version, filters: usize) -> usize {
    let body_bytes = 2 + usize::from(version == Version::V5) + filters;
    1 + var_int_len(body_bytes) + body_bytes
}

/// Writes an UNSUBACK with a code for each filter; 3.1.1 has none. A reason that is not one of
/// an UNSUBACK's goes out as 0x80.
pub fn write_unsuback(out: &mut Vec<u8>, version: Version, packet_id: u16, codes: &[Reason]) {
    let reasons = codes.iter().map(|&reason| unsuback_code(reason)).collect();
    let unsuback = UnsubAck { pkid: packet_id, reasons };
    write(out, version, protocol::Packet::UnsubAck(unsuback, None));
}

/// Writes a PINGRESP.
pub fn write_pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xD0, 0]);
}

fn connack_properties(ack: &ConnAck) -> ConnAckProperties {
    let text = |text: &Option<String>| text.as_deref().map(|text| clip(text).to_owned());
    let unless_available = |available: bool| (!available).then_some(0);
    ConnAckProperties {
        session_expiry_interval: ack.session_expiry_s,
        receive_max: ack.receive_maximum,
        max_packet_size: ack.max_packet_bytes,
        assigned_client_identifier: text(&ack.assigned_client_id),
        topic_alias_max: (ack.topic_alias_maximum > 0).then_some(ack.topic_alias_maximum),
        retain_available: unless_available(ack.retain_available),
        shared_subscription_available: unless_available(ack.shared_subscriptions_available),
        server_keep_alive: ack.server_keep_alive_s,
        response_information: text(&ack.response_information),
        server_reference: text(&ack.server_reference),
        reason_string: text(&ack.reason_string),
        ..ConnAckProperties::default()
    }
}

/// MQTT 3.1.1 §3.2.2.3.
fn connack_code_v4(reason: Reason) -> Option<ConnectReturnCode> {
    Some(match reason.0 {
        0x00..=0x7F => ConnectReturnCode::Success,
        0x84 => ConnectReturnCode::RefusedProtocolVersion,
        0x85 => ConnectReturnCode::ClientIdentifierNotValid,
        0x80 | 0x83 | 0x88 | 0x89 | 0x8B | 0x97 | 0x9C | 0x9D | 0x9F => {
            ConnectReturnCode::ServiceUnavailable
        }
        0x86 | 0x8C => ConnectReturnCode::BadUserNamePassword,
        0x87 | 0x8A | 0x98 => ConnectReturnCode::NotAuthorized,
        _ => return None,
    })
}

/// MQTT 5 §3.2.2.2.
fn connack_code_v5(reason: Reason) -> ConnectReturnCode {
    match reason.0 {
        0x00..=0x7F => ConnectReturnCode::Success,
        0x81 => ConnectReturnCode::MalformedPacket,
        0x82 => ConnectReturnCode::ProtocolError,
        0x83 => ConnectReturnCode::ImplementationSpecificError,
        0x84 => ConnectReturnCode::UnsupportedProtocolVersion,
        0x85 => ConnectReturnCode::ClientIdentifierNotValid,
        0x86 => ConnectReturnCode::BadUserNamePassword,
        0x87 => ConnectReturnCode::NotAuthorized,
        0x88 | 0x8B => ConnectReturnCode::ServerUnavailable,
        0x89 => ConnectReturnCode::ServerBusy,
        0x8A => ConnectReturnCode::Banned,
        0x8C => ConnectReturnCode::BadAuthenticationMethod,
        0x90 => ConnectReturnCode::TopicNameInvalid,
        0x95 => ConnectReturnCode::PacketTooLarge,
        0x97 => ConnectReturnCode::QuotaExceeded,
        0x99 => ConnectReturnCode::PayloadFormatInvalid,
        0x9A => ConnectReturnCode::RetainNotSupported,
        0x9B => ConnectReturnCode::QoSNotSupported,
        0x9C => ConnectReturnCode::UseAnotherServer,
        0x9D => ConnectReturnCode::ServerMoved,
        0x9F => ConnectReturnCode::ConnectionRateExceeded,
        _ => ConnectReturnCode::UnspecifiedError,
    }
}

/// MQTT 3.1.1 §3.9.3.
const fn suback_code_v4(reason: Reason) -> SubscribeReasonCode {
    match reason.0 {
        0 => SubscribeReasonCode::QoS0,
        1 => SubscribeReasonCode::QoS1,
        2 => SubscribeReasonCode::QoS2,
        _ => SubscribeReasonCode::Failure,
    }
}

/// MQTT 5 §3.9.3.
const fn suback_code_v5(reason: Reason) -> SubscribeReasonCode {
    match reason.0 {
        0 => SubscribeReasonCode::QoS0,
        1 => SubscribeReasonCode::QoS1,
        2 => SubscribeReasonCode::QoS2,
        0x83 => SubscribeReasonCode::ImplementationSpecific,
        0x87 => SubscribeReasonCode::NotAuthorized,
        0x8F => SubscribeReasonCode::TopicFilterInvalid,
        0x91 => SubscribeReasonCode::PkidInUse,
        0x97 => SubscribeReasonCode::QuotaExceeded,
        0x9E => SubscribeReasonCode::SharedSubscriptionsNotSupported,
        0xA1 => SubscribeReasonCode::SubscriptionIdNotSupported,
        0xA2 => SubscribeReasonCode::WildcardSubscriptionsNotSupported,
        _ => SubscribeReasonCode::Unspecified,
    }
}

/// MQTT 5 §3.11.3.
const fn unsuback_code(reason: Reason) -> UnsubAckReason {
    match reason.0 {
        0x00 => UnsubAckReason::Success,
        0x11 => UnsubAckReason::NoSubscriptionExisted,
        0x83 => UnsubAckReason::ImplementationSpecificError,
        0x87 => UnsubAckReason::NotAuthorized,
        0x8F => UnsubAckReason::TopicFilterInvalid,
        0x91 => UnsubAckReason::PacketIdentifierInUse,
        _ => UnsubAckReason::UnspecifiedError,
    }
}
