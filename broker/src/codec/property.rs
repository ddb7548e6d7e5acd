//! The properties of MQTT 5 (§2.2.2): which may be where, how often, with what values.

use super::DecodeError;
use super::reader::Reader;
use crate::packet::Reason;

pub(super) const PAYLOAD_FORMAT: u8 = 0x01;
pub(super) const MESSAGE_EXPIRY: u8 = 0x02;
pub(super) const CONTENT_TYPE: u8 = 0x03;
pub(super) const RESPONSE_TOPIC: u8 = 0x08;
pub(super) const CORRELATION_DATA: u8 = 0x09;
pub(super) const SUBSCRIPTION_ID: u8 = 0x0B;
pub(super) const SESSION_EXPIRY: u8 = 0x11;
pub(super) const AUTH_METHOD: u8 = 0x15;
pub(super) const AUTH_DATA: u8 = 0x16;
pub(super) const REQUEST_PROBLEM_INFO: u8 = 0x17;
pub(super) const WILL_DELAY: u8 = 0x18;
pub(super) const REQUEST_RESPONSE_INFO: u8 = 0x19;
pub(super) const SERVER_REFERENCE: u8 = 0x1C;
pub(super) const REASON_STRING: u8 = 0x1F;
pub(super) const RECEIVE_MAXIMUM: u8 = 0x21;
pub(super) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
pub(super) const TOPIC_ALIAS: u8 = 0x23;
pub(super) const USER_PROPERTY: u8 = 0x26;
pub(super) const MAXIMUM_PACKET_SIZE: u8 = 0x27;

/// The properties that one packet may have: bit n stands for identifier n.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowed(u64);

impl Allowed {
    pub(super) const fn of(ids: &[u8]) -> Self {
        let mut set = 0;
        let mut index = 0;
        while index < ids.len() {
            set |= 1 << ids[index];
            index += 1;
        }
        Self(set)
    }

    const fn has(self, id: u8) -> bool {
        id < 64 && self.0 & (1 << id) != 0
    }
}

/// A property as it was found; its type follows from its identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Flag(bool),
    U16(u16),
    U32(u32),
    Text(&'a str),
    Binary(&'a [u8]),
    Pair(&'a str, &'a str),
}

/// The properties of one packet, each of them checked.
///
/// Unknown ones and those that are not for this packet are malformed; a repeated one (other than
/// a user property) and a value that its own section of the specification forbids are protocol
/// errors.
#[derive(Debug)]
pub(super) struct Properties<'a> {
    section: Reader<'a>,
    allowed: Allowed,
    seen: u64,
}

impl<'a> Properties<'a> {
    /// Takes the length and as many bytes from `reader`.
    pub(super) fn read(reader: &mut Reader<'a>, allowed: Allowed) -> Result<Self, DecodeError> {
        let len = reader.var_int()?;
        let section = Reader::new(reader.take(len as usize)?);
        Ok(Self { section, allowed, seen: 0 })
    }

    /// Takes the section from `reader` and checks it; returns whether `AUTH_DATA` and the like
    /// are there, for rules between properties.
    pub(super) fn check(reader: &mut Reader<'a>, allowed: Allowed) -> Result<Seen, DecodeError> {
        let mut properties = Self::read(reader, allowed)?;
        while properties.next()?.is_some() {}
        Ok(Seen(properties.seen))
    }

    /// The next property with its identifier.
    pub(super) fn next(&mut self) -> Result<Option<(u8, Value<'a>)>, DecodeError> {
        if self.section.is_empty() {
            return Ok(None);
        }
        let id = self.section.u8()?;
        if !self.allowed.has(id) {
            return Err(DecodeError::malformed(format!(
                "property 0x{id:02x} is unknown or not for this packet"
            )));
        }
        let bit = 1_u64 << id;
        if id != USER_PROPERTY && self.seen & bit != 0 {
            return Err(DecodeError::protocol(format!("property 0x{id:02x} more than once")));
        }
        self.seen |= bit;
        self.value(id).map(|value| Some((id, value)))
    }

    fn value(&mut self, id: u8) -> Result<Value<'a>, DecodeError> {
        let section = &mut self.section;
        let value = match id {
            PAYLOAD_FORMAT | REQUEST_PROBLEM_INFO | REQUEST_RESPONSE_INFO => match section.u8()? {
                0 => Value::Flag(false),
                1 => Value::Flag(true),
                _ => {
                    let detail = format!("property 0x{id:02x} is neither 0 nor 1");
                    return Err(DecodeError::protocol(detail));
                }
            },
            RECEIVE_MAXIMUM | TOPIC_ALIAS_MAXIMUM | TOPIC_ALIAS => Value::U16(section.u16()?),
            MESSAGE_EXPIRY | SESSION_EXPIRY | WILL_DELAY | MAXIMUM_PACKET_SIZE => {
                Value::U32(section.u32()?)
            }
            SUBSCRIPTION_ID => Value::U32(section.var_int()?),
            CONTENT_TYPE | RESPONSE_TOPIC | AUTH_METHOD | REASON_STRING => {
                Value::Text(section.text()?)
            }
            CORRELATION_DATA | AUTH_DATA => Value::Binary(section.binary()?),
            USER_PROPERTY => Value::Pair(section.text()?, section.text()?),
            _ => {
                return Err(DecodeError::malformed(format!("unknown property 0x{id:02x}")));
            }
        };
        check_value(id, value)?;
        Ok(value)
    }
}

/// Which properties a packet had.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen(u64);

impl Seen {
    pub(super) const fn has(self, id: u8) -> bool {
        Allowed(self.0).has(id)
    }
}

fn check_value(id: u8, value: Value<'_>) -> Result<(), DecodeError> {
    match (id, value) {
        (TOPIC_ALIAS, Value::U16(0)) => {
            Err(DecodeError::new(Reason::TOPIC_ALIAS_INVALID, "topic alias 0"))
        }
        (RECEIVE_MAXIMUM, Value::U16(0)) => Err(DecodeError::protocol("receive maximum 0")),
        (MAXIMUM_PACKET_SIZE, Value::U32(0)) => Err(DecodeError::protocol("maximum packet size 0")),
        (SUBSCRIPTION_ID, Value::U32(0)) => Err(DecodeError::protocol("subscription id 0")),
        (RESPONSE_TOPIC, Value::Text(topic)) if !crate::topic::is_valid_name(topic) => {
            Err(DecodeError::protocol("a response topic that cannot be published to"))
        }
        _ => Ok(()),
    }
}
