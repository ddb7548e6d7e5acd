//! DISCONNECT (MQTT 5 §3.14) and AUTH (§3.15).

use super::DecodeError;
use super::property::{
    AUTH_DATA, AUTH_METHOD, Allowed, Properties, REASON_STRING, SERVER_REFERENCE, SESSION_EXPIRY,
    USER_PROPERTY, Value,
};
use super::reader::Reader;
use super::wire::{clip, put_text, put_var_int, var_int_len};
use crate::packet::{Disconnect, Packet, Reason, Version};

/// A server reference is for servers to send, and so malformed here.
const PROPERTIES: Allowed = Allowed::of(&[SESSION_EXPIRY, REASON_STRING, USER_PROPERTY]);

const AUTH_PROPERTIES: Allowed =
    Allowed::of(&[AUTH_METHOD, AUTH_DATA, REASON_STRING, USER_PROPERTY]);

pub(super) fn decode(version: Version, body: &[u8]) -> Result<Disconnect, DecodeError> {
    let mut disconnect = Disconnect { reason: Reason::SUCCESS, session_expiry_s: None };
    let mut reader = Reader::new(body);
    if version == Version::V5 && !reader.is_empty() {
        disconnect.reason = Reason(reader.u8()?);
        if !reader.is_empty() {
            let mut properties = Properties::read(&mut reader, PROPERTIES)?;
            while let Some(property) = properties.next()? {
                if let (SESSION_EXPIRY, Value::U32(seconds)) = property {
                    disconnect.session_expiry_s = Some(seconds);
                }
            }
        }
    }
    reader.finish()?;
    Ok(disconnect)
}

/// Only its shape matters: this server never asked for it.
pub(super) fn decode_auth(body: &[u8]) -> Result<Packet, DecodeError> {
    let mut reader = Reader::new(body);
    if !reader.is_empty() {
        reader.u8()?;
        if !reader.is_empty() {
            Properties::check(&mut reader, AUTH_PROPERTIES)?;
        }
    }
    reader.finish()?;
    Ok(Packet::Auth)
}

/// Writes a DISCONNECT with what there is to say: why, in words, and where to go instead. Only for
/// MQTT 5: in 3.1.1 a server just closes the connection.
pub fn write_disconnect(
    out: &mut Vec<u8>,
    reason: Reason,
    reason_string: Option<&str>,
    server_reference: Option<&str>,
) {
    out.push(0xE0);
    let texts = [(REASON_STRING, reason_string), (SERVER_REFERENCE, server_reference)];
    let texts = texts.map(|(id, text)| (id, text.map_or("", clip)));
    let properties = texts.iter().filter(|(_, text)| !text.is_empty());
    match properties.clone().map(|(_, text)| 3 + text.len()).sum::<usize>() {
        0 if reason == Reason::SUCCESS => out.push(0),
        0 => out.extend_from_slice(&[1, reason.0]),
        properties_bytes => {
            put_var_int(out, 1 + var_int_len(properties_bytes) + properties_bytes);
            out.push(reason.0);
            put_var_int(out, properties_bytes);
            for (id, text) in properties {
                out.push(*id);
                put_text(out, text);
            }
        }
    }
}
