//! The payloads, as JSON. Source: docs/protocol.md.

mod error;
mod event;
mod message;
mod notices;
mod send;

pub(crate) use error::printable;

pub use error::PayloadError;
pub use event::Event;
pub use message::{Message, MessageRef};
pub use notices::{Presence, Receipt, ReceiptCount, Refusal, SendAck, Typing};
pub use send::{MENTIONS_MAX, SendJson, TTL_S_MAX};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::seq::Seq;

/// Bytes of a content type, at most.
pub const CONTENT_TYPE_BYTES_MAX: usize = 127;

/// Bytes of a reaction, at most: an emoji is a sequence of several characters.
pub const REACTION_BYTES_MAX: usize = 32;

/// Digits of the greatest `seq`.
const SEQ_DIGITS_MAX: usize = 20;

/// The type of a body whose sender does not say: `text/plain` where it is UTF-8, else
/// `application/octet-stream`.
#[must_use]
pub fn default_content_type(body: &[u8]) -> &'static str {
    match std::str::from_utf8(body) {
        Ok(_) => "text/plain",
        Err(_) => "application/octet-stream",
    }
}

/// Whether a sender may call his body so: 1 to [`CONTENT_TYPE_BYTES_MAX`] bytes, none of them a
/// control character. What the type means is the clients' affair.
///
/// # Errors
/// [`PayloadError::ContentType`].
pub fn check_content_type(content_type: &str) -> Result<(), PayloadError> {
    let length = (1..=CONTENT_TYPE_BYTES_MAX).contains(&content_type.len());
    if length && !content_type.contains(char::is_control) {
        Ok(())
    } else {
        Err(PayloadError::ContentType)
    }
}

/// Reads the payload of `chats/{chat}/read`: a `seq` as decimal text, no sign, no blanks.
/// Zero is one (nothing read), as watermarks only ever rise.
///
/// # Errors
/// [`PayloadError::Read`].
pub fn parse_read(payload: &[u8]) -> Result<Seq, PayloadError> {
    // `u64::from_str` alone would take a plus sign.
    let digits = payload.len() <= SEQ_DIGITS_MAX && payload.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(payload)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse().ok())
        .map(Seq)
        .ok_or(PayloadError::Read)
}

/// Reads the payload of `chats/{chat}/react/{seq}`: an emoji, or empty (`None`) to take the reaction
/// back. Which texts are emoji changes with every Unicode version: what is checked is that it is
/// text of at most [`REACTION_BYTES_MAX`] bytes without blanks and control characters.
///
/// # Errors
/// [`PayloadError::Reaction`].
pub fn parse_reaction(payload: &[u8]) -> Result<Option<&str>, PayloadError> {
    if payload.is_empty() {
        return Ok(None);
    }
    std::str::from_utf8(payload)
        .ok()
        .filter(|text| text.len() <= REACTION_BYTES_MAX)
        .filter(|text| !text.contains(|char: char| char.is_control() || char.is_whitespace()))
        .map(Some)
        .ok_or(PayloadError::Reaction)
}

/// Reads the payload of `chats/{chat}/typing`: `1` or `0`.
///
/// # Errors
/// [`PayloadError::Typing`].
pub fn parse_typing(payload: &[u8]) -> Result<bool, PayloadError> {
    match payload {
        b"1" => Ok(true),
        b"0" => Ok(false),
        _ => Err(PayloadError::Typing),
    }
}

/// For keys that stand there only if true.
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

/// Reads a JSON object. Left to itself, serde reads an array as the fields in their order.
pub(crate) fn from_object<T: DeserializeOwned>(json: &[u8]) -> Result<T, PayloadError> {
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(PayloadError::NoObject);
    }
    serde_json::from_slice(json).map_err(|error| PayloadError::json(&error))
}

/// Appends a value that always has a JSON form: texts, numbers, names, structs of them.
pub(crate) fn write_value<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("texts and numbers have a JSON form, memory takes it");
}

/// The body, from whichever of the two keys has it.
fn body_of(text: Option<&str>, base64: Option<&str>) -> Result<Option<Vec<u8>>, PayloadError> {
    match (text, base64) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(text.as_bytes().to_vec())),
        (None, Some(base64)) => STANDARD.decode(base64).map(Some).map_err(|_| PayloadError::Base64),
        (Some(_), Some(_)) => Err(PayloadError::TwoBodies),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_plain_digits() {
        for (text, seq) in [("0", 0), ("17", 17), ("007", 7), ("18446744073709551615", u64::MAX)] {
            assert_eq!(parse_read(text.as_bytes()), Ok(Seq(seq)), "{text}");
        }
        let long = "0".repeat(21);
        for bad in [
            "",
            " 1",
            "1 ",
            "1\n",
            "+1",
            "-1",
            "1.0",
            "0x1",
            "18446744073709551616",
            "x",
            "१",
            &long,
        ] {
            assert_eq!(parse_read(bad.as_bytes()), Err(PayloadError::Read), "{bad:?}");
        }
        assert_eq!(parse_read(b"\xff"), Err(PayloadError::Read));
    }

    #[test]
    fn a_reaction_is_short_and_printable() {
        assert_eq!(parse_reaction(b""), Ok(None));
        let longest = "a".repeat(REACTION_BYTES_MAX);
        for good in ["👍", "❤️", "👨‍👩‍👧‍👦", "+1", &longest] {
            assert_eq!(parse_reaction(good.as_bytes()), Ok(Some(good)));
        }
        let long = "a".repeat(REACTION_BYTES_MAX + 1);
        for bad in [" ", "👍 ", "\u{a0}", "a\nb", "\0", "\u{7f}", "\u{85}", &long] {
            assert_eq!(parse_reaction(bad.as_bytes()), Err(PayloadError::Reaction), "{bad:?}");
        }
        assert_eq!(parse_reaction(b"\xff"), Err(PayloadError::Reaction));
    }

    #[test]
    fn typing_is_one_digit() {
        assert_eq!(parse_typing(b"1"), Ok(true));
        assert_eq!(parse_typing(b"0"), Ok(false));
        for bad in ["", "2", "01", "1 ", "true", "\0"] {
            assert_eq!(parse_typing(bad.as_bytes()), Err(PayloadError::Typing), "{bad:?}");
        }
    }

    #[test]
    fn bodies_have_a_type() {
        assert_eq!(default_content_type(b""), "text/plain");
        assert_eq!(default_content_type("grüß 👋".as_bytes()), "text/plain");
        assert_eq!(default_content_type(b"\xff\xd8"), "application/octet-stream");
    }

    #[test]
    fn content_types_are_short_and_printable() {
        for good in ["a", "text/plain; charset=utf-8", &"t".repeat(CONTENT_TYPE_BYTES_MAX)] {
            assert_eq!(check_content_type(good), Ok(()));
        }
        for bad in ["", "text/plain\n", "\0", &"t".repeat(CONTENT_TYPE_BYTES_MAX + 1)] {
            assert_eq!(check_content_type(bad), Err(PayloadError::ContentType), "{bad:?}");
        }
    }
}
