//! Why a payload is not what its topic says.

use crate::payload::send::TTL_S_MAX;
use crate::payload::{CONTENT_TYPE_BYTES_MAX, REACTION_BYTES_MAX};

/// Bytes of a [`PayloadError::Json`]'s text, at most (about): it goes into an MQTT reason string,
/// and may quote the peer.
const DETAIL_BYTES_MAX: usize = 240;

/// Why a payload is not what its topic says. The text says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// Something else than `{…}`.
    #[error("the payload has to be a JSON object")]
    NoObject,
    /// Malformed JSON, an unknown or missing key, a value of another kind; the text names key or
    /// place. No control characters, bounded length.
    #[error("{0}")]
    Json(String),
    /// Neither `body` nor `body_base64`.
    #[error("a body is missing: give exactly one of 'body' and 'body_base64'")]
    NoBody,
    /// Both `body` and `body_base64`.
    #[error("there are two bodies: give exactly one of 'body' and 'body_base64'")]
    TwoBodies,
    /// `body_base64` is something else.
    #[error("'body_base64' has to be base64 in the standard alphabet, with padding")]
    Base64,
    /// `type` is empty, too long, or not printable.
    #[error(
        "a content type has 1 to {CONTENT_TYPE_BYTES_MAX} bytes, none of them a control character"
    )]
    ContentType,
    /// `reply_to` is zero.
    #[error("'reply_to' has to be the seq of a message: 1 or greater")]
    ReplyTo,
    /// `ttl_s` is out of bounds.
    #[error("'ttl_s' has to be 1 to {TTL_S_MAX} seconds; leave it out for no expiry")]
    Ttl,
    /// Not a `seq` in decimal digits.
    #[error("the payload has to be a seq in decimal digits, such as 17")]
    Read,
    /// Not a reaction.
    #[error(
        "a reaction is an emoji of at most {REACTION_BYTES_MAX} bytes, without blanks and control \
         characters, or empty to take it back"
    )]
    Reaction,
    /// Neither `1` nor `0`.
    #[error("the payload has to be 1 for typing, or 0 for no longer")]
    Typing,
}

impl PayloadError {
    /// The MQTT 5 reason code: 0x99, payload format invalid.
    #[must_use]
    pub const fn code(&self) -> u8 {
        0x99
    }

    pub(super) fn json(error: &serde_json::Error) -> Self {
        Self::Json(printable(&error.to_string()))
    }
}

/// A text that may quote the peer, as it can stand in an MQTT string and in a line of a log:
/// quoted keys may be of any length, and NUL is not allowed.
pub(crate) fn printable(text: &str) -> String {
    let mut detail = String::new();
    for char in text.chars() {
        if detail.len() >= DETAIL_BYTES_MAX {
            detail.push('…');
            break;
        }
        if char.is_control() {
            detail.extend(char.escape_default());
        } else {
            detail.push(char);
        }
    }
    detail
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::SendJson;

    #[test]
    fn a_quoted_key_is_cut_and_cannot_break_a_line() {
        let long = format!(r#"{{"body":"a","{}":1}}"#, "ключ".repeat(10_000));
        let text = SendJson::from_json(long.as_bytes()).expect_err("unknown key").to_string();
        assert!(text.contains("ключ") && text.len() < DETAIL_BYTES_MAX + 16, "{text}");
        let odd = r#"{"body":"a","x\u0000\ny":1}"#;
        let text = SendJson::from_json(odd.as_bytes()).expect_err("unknown key").to_string();
        assert!(text.contains(r"x\u{0}\ny") && !text.contains(char::is_control), "{text}");
    }

    #[test]
    fn all_are_payload_format_invalid() {
        for error in
            [PayloadError::NoObject, PayloadError::Json(String::new()), PayloadError::Typing]
        {
            assert_eq!(error.code(), 0x99);
        }
    }
}
