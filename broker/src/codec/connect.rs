//! CONNECT (MQTT 5 §3.1): guarded here, decoded by rumqttd but for user name and password.

use bytes::Bytes;
use rumqttd::protocol;

use super::DecodeError;
use super::backend::{qos, read};
use super::header::Header;
use super::property::{
    AUTH_DATA, AUTH_METHOD, Allowed, CONTENT_TYPE, CORRELATION_DATA, MAXIMUM_PACKET_SIZE,
    MESSAGE_EXPIRY, PAYLOAD_FORMAT, Properties, RECEIVE_MAXIMUM, REQUEST_PROBLEM_INFO,
    REQUEST_RESPONSE_INFO, RESPONSE_TOPIC, SESSION_EXPIRY, TOPIC_ALIAS_MAXIMUM, USER_PROPERTY,
    WILL_DELAY,
};
use super::reader::Reader;
use crate::packet::{Connect, Packet, PublishProperties, Reason, Version, Will};
use crate::topic::is_valid_name;

const PROPERTIES: Allowed = Allowed::of(&[
    SESSION_EXPIRY,
    RECEIVE_MAXIMUM,
    MAXIMUM_PACKET_SIZE,
    TOPIC_ALIAS_MAXIMUM,
    REQUEST_RESPONSE_INFO,
    REQUEST_PROBLEM_INFO,
    USER_PROPERTY,
    AUTH_METHOD,
    AUTH_DATA,
]);

const WILL_PROPERTIES: Allowed = Allowed::of(&[
    WILL_DELAY,
    PAYLOAD_FORMAT,
    MESSAGE_EXPIRY,
    CONTENT_TYPE,
    RESPONSE_TOPIC,
    CORRELATION_DATA,
    USER_PROPERTY,
]);

/// Where the connect flags are, in both versions: after `00 04 "MQTT"` and the level.
const FLAGS_AT: usize = 7;

const FLAG_RESERVED: u8 = 0x01;
const FLAG_CLEAN: u8 = 0x02;
const FLAG_WILL: u8 = 0x04;
const FLAGS_WILL_QOS: u8 = 0x18;
const FLAG_WILL_RETAIN: u8 = 0x20;
const FLAG_PASSWORD: u8 = 0x40;
const FLAG_USER_NAME: u8 = 0x80;

pub(super) fn decode(header: &Header, body: &[u8]) -> Result<Packet, DecodeError> {
    let mut reader = Reader::new(body);
    let version = sniff(&mut reader)?;
    header
        .check_length_encoding(version)
        .and_then(|()| decode_version(version, reader, body))
        .map_err(|error| error.in_version(Some(version)))
}

/// The version of a CONNECT of which this is the beginning, if it is there and one of ours.
pub(super) fn version(begun: &[u8]) -> Option<Version> {
    sniff(&mut Reader::new(begun)).ok()
}

/// The version, from protocol name and level.
fn sniff(reader: &mut Reader<'_>) -> Result<Version, DecodeError> {
    let name = reader.binary()?;
    let level = reader.u8()?;
    match (name, level) {
        (b"MQTT", 4) => Ok(Version::V4),
        (b"MQTT", 5) => Ok(Version::V5),
        (b"MQTT" | b"MQIsdp", _) => Err(DecodeError::new(
            Reason::UNSUPPORTED_VERSION,
            format!("protocol level {level}, only 4 (3.1.1) and 5 are spoken here"),
        )),
        _ => Err(DecodeError::new(Reason::UNSUPPORTED_VERSION, "the protocol name is not MQTT")),
    }
}

fn decode_version(
    version: Version,
    reader: Reader<'_>,
    body: &[u8],
) -> Result<Packet, DecodeError> {
    let login = guard(version, reader)?;
    let mut anonymous = body.get(..body.len() - login.bytes).unwrap_or_default().to_vec();
    if let Some(flags) = anonymous.get_mut(FLAGS_AT) {
        *flags &= !(FLAG_USER_NAME | FLAG_PASSWORD);
    }
    let protocol::Packet::Connect(connect, properties, will, will_properties, _) =
        read(version, 0x10, &anonymous)?
    else {
        return Err(DecodeError::malformed("not a connect"));
    };
    let will = will.map(|will| convert_will(will, will_properties)).transpose()?;
    Ok(Packet::Connect(Box::new(convert(version, connect, properties, will, login))))
}

/// What rumqttd cannot express.
struct Login<'a> {
    user_name: Option<&'a str>,
    password: Option<&'a [u8]>,
    /// The bytes it takes at the end of the packet.
    bytes: usize,
}

/// Checks everything that follows the protocol level.
fn guard(version: Version, mut reader: Reader<'_>) -> Result<Login<'_>, DecodeError> {
    let flags = reader.u8()?;
    guard_flags(version, flags)?;
    reader.u16()?; // keep alive: any value
    if version == Version::V5 {
        let seen = Properties::check(&mut reader, PROPERTIES)?;
        if seen.has(AUTH_DATA) && !seen.has(AUTH_METHOD) {
            return Err(DecodeError::protocol("authentication data without a method"));
        }
    }
    let client_id = reader.text()?;
    if version == Version::V4 && client_id.is_empty() && flags & FLAG_CLEAN == 0 {
        // MQTT 3.1.1 §3.1.3.1.
        let detail = "an empty client id needs a clean session";
        return Err(DecodeError::new(Reason::CLIENT_ID_NOT_VALID, detail));
    }
    if flags & FLAG_WILL != 0 {
        guard_will(version, &mut reader)?;
    }
    guard_login(flags, reader)
}

fn guard_flags(version: Version, flags: u8) -> Result<(), DecodeError> {
    if flags & FLAG_RESERVED != 0 {
        return Err(DecodeError::malformed("the reserved connect flag is set"));
    }
    if flags & FLAG_WILL == 0 && flags & (FLAGS_WILL_QOS | FLAG_WILL_RETAIN) != 0 {
        return Err(DecodeError::malformed("will qos or will retain without a will"));
    }
    if flags & FLAGS_WILL_QOS == FLAGS_WILL_QOS {
        return Err(DecodeError::malformed("a will with qos 3"));
    }
    // MQTT 3.1.1 §3.1.2.9; MQTT 5 allows it.
    if version == Version::V4 && flags & (FLAG_USER_NAME | FLAG_PASSWORD) == FLAG_PASSWORD {
        return Err(DecodeError::malformed("a password without a user name"));
    }
    Ok(())
}

fn guard_will(version: Version, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    if version == Version::V5 {
        Properties::check(reader, WILL_PROPERTIES)?;
    }
    if !is_valid_name(reader.text()?) {
        let detail = "a will for a topic that cannot be published to";
        return Err(DecodeError::new(Reason::TOPIC_NAME_INVALID, detail));
    }
    reader.binary()?;
    Ok(())
}

fn guard_login(flags: u8, mut reader: Reader<'_>) -> Result<Login<'_>, DecodeError> {
    let bytes = reader.len();
    let user_name = (flags & FLAG_USER_NAME != 0).then(|| reader.text()).transpose()?;
    let password = (flags & FLAG_PASSWORD != 0).then(|| reader.binary()).transpose()?;
    reader.finish()?;
    Ok(Login { user_name, password, bytes })
}

fn convert(
    version: Version,
    connect: protocol::Connect,
    properties: Option<protocol::ConnectProperties>,
    will: Option<Will>,
    login: Login<'_>,
) -> Connect {
    let mut converted = Connect {
        version,
        clean_start: connect.clean_session,
        keep_alive_s: connect.keep_alive,
        client_id: connect.client_id,
        user_name: login.user_name.map(str::to_owned),
        password: login.password.map(Bytes::copy_from_slice),
        will: will.map(Box::new),
        session_expiry_s: None,
        receive_maximum: None,
        max_packet_bytes: None,
        topic_alias_maximum: 0,
        request_response_info: false,
        request_problem_info: true,
        user_properties: Vec::new(),
        authentication_method: None,
    };
    if let Some(properties) = properties {
        converted.session_expiry_s = properties.session_expiry_interval;
        converted.receive_maximum = properties.receive_maximum;
        converted.max_packet_bytes = properties.max_packet_size;
        converted.topic_alias_maximum = properties.topic_alias_max.unwrap_or(0);
        converted.request_response_info = properties.request_response_info == Some(1);
        converted.request_problem_info = properties.request_problem_info != Some(0);
        converted.user_properties = properties.user_properties;
        converted.authentication_method = properties.authentication_method;
    }
    converted
}

fn convert_will(
    will: protocol::LastWill,
    properties: Option<protocol::LastWillProperties>,
) -> Result<Will, DecodeError> {
    let Ok(topic) = String::from_utf8(will.topic.into()) else {
        return Err(DecodeError::malformed("a will topic is not utf-8"));
    };
    let mut converted = Will {
        topic,
        payload: will.message,
        qos: qos(will.qos),
        retain: will.retain,
        delay_s: 0,
        properties: PublishProperties::default(),
    };
    if let Some(properties) = properties {
        converted.delay_s = properties.delay_interval.unwrap_or(0);
        converted.properties = PublishProperties {
            payload_format_utf8: properties.payload_format_indicator == Some(1),
            message_expiry_s: properties.message_expiry_interval,
            content_type: properties.content_type,
            response_topic: properties.response_topic,
            correlation_data: properties.correlation_data,
            user_properties: properties.user_properties,
        };
    }
    Ok(converted)
}
