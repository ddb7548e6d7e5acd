//! What a client that is let in is told: what it gets where that differs from what it asked for.

use super::EXPIRY_NEVER;
use crate::codec;
use crate::limits::Limits;
use crate::packet::{ConnAck, Connect, Version};

/// What topics for responses begin with, for clients that ask (MQTT 5 §3.1.2.11.7).
const RESPONSE_INFORMATION: &str = "me/replies/";

/// The answer to a client that is let in; `assigned`: the id it got, where it brought none. What is
/// only good to know is left out where the client does not take so large a packet.
pub(crate) fn connack(connect: &Connect, limits: &Limits, assigned: Option<&str>) -> ConnAck {
    let expiry_s = granted_expiry_s(connect, limits);
    let keep_alive_s = effective_keep_alive_s(connect, limits);
    let ack = ConnAck {
        session_expiry_s: (expiry_s != requested_expiry_s(connect)).then_some(expiry_s),
        receive_maximum: Some(limits.inflight_in_max),
        max_packet_bytes: u32::try_from(limits.packet_bytes_max).ok(),
        assigned_client_id: assigned.map(ToOwned::to_owned),
        topic_alias_maximum: limits.topic_aliases_max,
        retain_available: limits.retained_messages_max > 0,
        shared_subscriptions_available: true,
        server_keep_alive_s: (keep_alive_s != connect.keep_alive_s).then_some(keep_alive_s),
        response_information: connect
            .request_response_info
            .then(|| RESPONSE_INFORMATION.to_owned()),
        ..ConnAck::default()
    };
    if fits(connect, &ack) { ack } else { ConnAck { response_information: None, ..ack } }
}

/// Whether a client that is let in can be told so: its maximum packet size has room for a CONNACK
/// with what it must know (MQTT 5 §3.1.2.11.4). All other packets that are not its own doing are smaller.
pub(crate) fn connack_fits(connect: &Connect, limits: &Limits, assigned: Option<&str>) -> bool {
    fits(connect, &connack(connect, limits, assigned))
}

fn fits(connect: &Connect, ack: &ConnAck) -> bool {
    connect.max_packet_bytes.is_none_or(|max_bytes| {
        let mut packet = Vec::new();
        codec::write_connack(&mut packet, connect.version, ack);
        packet.len() <= max_bytes as usize
    })
}

/// How long the session may outlive its connection.
pub(super) fn granted_expiry_s(connect: &Connect, limits: &Limits) -> u32 {
    requested_expiry_s(connect).min(match limits.session_expiry_s_max {
        0 => EXPIRY_NEVER,
        max => max,
    })
}

/// What the client asks for; 3.1.1 knows only "ends with the connection" and "for ever".
fn requested_expiry_s(connect: &Connect) -> u32 {
    match connect.version {
        Version::V5 => connect.session_expiry_s.unwrap_or(0),
        Version::V4 if connect.clean_start => 0,
        Version::V4 => EXPIRY_NEVER,
    }
}

pub(super) fn effective_keep_alive_s(connect: &Connect, limits: &Limits) -> u16 {
    match (connect.keep_alive_s, limits.keep_alive_s_max) {
        (asked, 0) => asked,
        // A client of 3.1.1 cannot be told another value than its own.
        (asked, _) if connect.version == Version::V4 => asked,
        (0, max) => max,
        (asked, max) => asked.min(max),
    }
}
