//! The idempotency key of a message.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use uuid::fmt::Hyphenated;
use uuid::{Uuid, Variant};

use crate::names::NameError;

/// The idempotency key of a message: a UUID that is not nil, chosen by the sender; version 7 is
/// recommended.
///
/// As text: 36 characters with hyphens, read in any case, written in lower case. Ordered by
/// bytes, so ids of version 7 are ordered by their time. Source: docs/protocol.md "Names",
/// RFC 9562.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Uuid);

impl MessageId {
    /// Characters of the text form.
    pub const TEXT_LENGTH: usize = Hyphenated::LENGTH;

    /// `None` for the nil UUID.
    #[must_use]
    pub fn from_uuid(uuid: Uuid) -> Option<Self> {
        (!uuid.is_nil()).then_some(Self(uuid))
    }

    /// `None` for zeros.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        Self::from_uuid(Uuid::from_bytes(bytes))
    }

    /// The UUID.
    #[must_use]
    pub fn as_uuid(&self) -> Uuid {
        self.0
    }

    /// The 16 bytes, which sort like the ids.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Whether it begins with the time (version 7), so that later ones are greater.
    #[must_use]
    pub fn is_v7(&self) -> bool {
        self.0.get_version_num() == 7 && self.0.get_variant() == Variant::RFC4122
    }

    /// The text form, written into `buffer`: for those who must not allocate.
    #[must_use]
    pub fn encode<'a>(&self, buffer: &'a mut [u8; Self::TEXT_LENGTH]) -> &'a str {
        self.0.as_hyphenated().encode_lower(buffer)
    }
}

impl TryFrom<&str> for MessageId {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        // The uuid crate also reads braces, URNs and bare digits; the contract has one form.
        if text.len() != Self::TEXT_LENGTH {
            return Err(NameError::Message);
        }
        let uuid = Uuid::try_parse(text).map_err(|_| NameError::Message)?;
        Self::from_uuid(uuid).ok_or(NameError::Message)
    }
}

impl FromStr for MessageId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text)
    }
}

impl TryFrom<String> for MessageId {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::try_from(text.as_str())
    }
}

impl From<MessageId> for String {
    fn from(id: MessageId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.encode(&mut [0; Self::TEXT_LENGTH]))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.encode(&mut [0; Self::TEXT_LENGTH]))
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = MessageId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message id")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<MessageId, E> {
                MessageId::try_from(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00";

    fn id(text: &str) -> MessageId {
        MessageId::try_from(text).expect("a message id")
    }

    #[test]
    fn is_read_in_any_case_and_written_in_lower() {
        for text in [TEXT, &TEXT.to_uppercase(), "0193A5f0-1c2B-7d3e-8F4a-5b6C7d8E9f00"] {
            assert_eq!(id(text), id(TEXT));
            assert_eq!(id(text).to_string(), TEXT);
            assert_eq!(text.parse(), Ok(id(TEXT)));
        }
        let json = serde_json::to_string(&id(TEXT)).expect("text");
        assert_eq!(json, format!("\"{TEXT}\""));
        assert_eq!(serde_json::from_str::<MessageId>(&json).expect("an id"), id(TEXT));
    }

    #[test]
    fn has_one_form() {
        for bad in [
            "",
            "7",
            "00000000-0000-0000-0000-000000000000",
            "0193a5f01c2b7d3e8f4a5b6c7d8e9f00",
            "{0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00}",
            "urn:uuid:0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00",
            "0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f0g",
            "0193a5f01-c2b-7d3e-8f4a-5b6c7d8e9f00",
            "0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9fé",
            " 193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00",
        ] {
            assert_eq!(MessageId::try_from(bad), Err(NameError::Message), "{bad:?}");
        }
    }

    #[test]
    fn bytes_and_uuid_come_back_and_are_never_nil() {
        let id = id(TEXT);
        assert_eq!(MessageId::from_bytes(*id.as_bytes()), Some(id));
        assert_eq!(MessageId::from_uuid(id.as_uuid()), Some(id));
        assert_eq!(MessageId::from_bytes([0; 16]), None);
        assert_eq!(MessageId::from_uuid(Uuid::nil()), None);
    }

    #[test]
    fn knows_version_7() {
        assert!(id(TEXT).is_v7());
        assert!(!id("0193a5f0-1c2b-4d3e-8f4a-5b6c7d8e9f00").is_v7(), "version 4");
        assert!(!id("0193a5f0-1c2b-7d3e-cf4a-5b6c7d8e9f00").is_v7(), "another variant");
        assert!(
            id("0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00") < id("0193a5f0-1c2c-7000-8000-000000000000")
        );
    }
}
