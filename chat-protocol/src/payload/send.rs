//! A message that says more than its body: `chats/{chat}/send.json`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::{PayloadError, body_of, check_content_type, from_object, write_value};
use crate::message_id::MessageId;
use crate::names::UserId;
use crate::seq::Seq;

/// Users that a message can mention.
pub const MENTIONS_MAX: usize = 64;

/// Seconds that a message can be told to live: ten years.
pub const TTL_S_MAX: u32 = 10 * 365 * 24 * 3600;

/// The payload of `chats/{chat}/send.json`; all but the body is optional.
///
/// JSON: `{"id","type","body" or "body_base64","reply_to","mentions","ttl_s"}`; a key whose value
/// is null counts as left out. The body is as large as the server takes a packet.
/// Source: docs/protocol.md "Sending".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendJson {
    /// The idempotency key.
    pub id: Option<MessageId>,
    /// What the body is, as [`check_content_type`] allows; `None` is
    /// [`default_content_type`](crate::default_content_type). JSON `type`.
    pub content_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
    /// The entry it answers, 1 or greater.
    pub reply_to: Option<Seq>,
    /// Whom it mentions, at most [`MENTIONS_MAX`].
    pub mentions: Vec<UserId>,
    /// Seconds of life, 1 to [`TTL_S_MAX`].
    pub ttl_s: Option<u32>,
}

impl SendJson {
    /// Reads and checks the JSON. A key it does not know is an error: what it asks for would not
    /// be done.
    ///
    /// # Errors
    /// [`PayloadError`] names the key, and says what its value has to be.
    pub fn from_json(json: &[u8]) -> Result<Self, PayloadError> {
        let raw: Incoming = from_object(json)?;
        let body = body_of(raw.body.as_deref(), raw.body_base64.as_deref())?;
        if let Some(content_type) = &raw.content_type {
            check_content_type(content_type)?;
        }
        if raw.reply_to == Some(Seq::ZERO) {
            return Err(PayloadError::ReplyTo);
        }
        let ttl_s = raw.ttl_s.as_ref().map(read_ttl).transpose()?;
        Ok(Self {
            id: raw.id,
            content_type: raw.content_type,
            body: body.ok_or(PayloadError::NoBody)?,
            reply_to: raw.reply_to,
            mentions: raw.mentions,
            ttl_s,
        })
    }

    /// The JSON, for senders: keys in the contract's order, those that are not set left out.
    ///
    /// Checks nothing: what [`SendJson::from_json`] would not take, the server refuses.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let text = std::str::from_utf8(&self.body).ok();
        let outgoing = Outgoing {
            id: self.id,
            content_type: self.content_type.as_deref(),
            body: text,
            body_base64: text.is_none().then(|| STANDARD.encode(&self.body)),
            reply_to: self.reply_to,
            mentions: &self.mentions,
            ttl_s: self.ttl_s,
        };
        let mut out = Vec::with_capacity(self.body.len() + 128);
        write_value(&mut out, &outgoing);
        out
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Incoming {
    id: Option<MessageId>,
    #[serde(rename = "type")]
    content_type: Option<String>,
    body: Option<String>,
    body_base64: Option<String>,
    reply_to: Option<Seq>,
    #[serde(default, deserialize_with = "mentions")]
    mentions: Vec<UserId>,
    // Any number, so that one out of bounds gets the answer that names them.
    ttl_s: Option<Number>,
}

#[derive(Serialize)]
struct Outgoing<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<MessageId>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<Seq>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    mentions: &'a [UserId],
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_s: Option<u32>,
}

fn read_ttl(number: &Number) -> Result<u32, PayloadError> {
    number
        .as_u64()
        .and_then(|ttl_s| u32::try_from(ttl_s).ok())
        .filter(|ttl_s| (1..=TTL_S_MAX).contains(ttl_s))
        .ok_or(PayloadError::Ttl)
}

/// Reads a list of users, and stops at the bound rather than after the packet.
fn mentions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<UserId>, D::Error> {
    struct Mentions;

    impl<'de> Visitor<'de> for Mentions {
        type Value = Vec<UserId>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("'mentions' to be a list of user names")
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut users = Vec::new();
            while let Some(user) = list.next_element()? {
                if users.len() == MENTIONS_MAX {
                    let text = format!("'mentions' holds at most {MENTIONS_MAX} users");
                    return Err(A::Error::custom(text));
                }
                users.push(user);
            }
            Ok(users)
        }
    }

    deserializer.deserialize_any(Mentions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<SendJson, PayloadError> {
        SendJson::from_json(json.as_bytes())
    }

    fn users(count: usize) -> Vec<UserId> {
        (0..count).map(|no| UserId::try_from(format!("u{no}")).expect("a user")).collect()
    }

    fn bare(body: &[u8]) -> SendJson {
        let body = body.to_vec();
        SendJson {
            id: None,
            content_type: None,
            body,
            reply_to: None,
            mentions: vec![],
            ttl_s: None,
        }
    }

    #[test]
    fn is_read_and_written_as_the_contract_says() {
        let json = concat!(
            r#"{"id":"0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00","type":"text/markdown","body":"*hi*","#,
            r#""reply_to":3,"mentions":["u0","u1"],"ttl_s":60}"#
        );
        let send = SendJson {
            id: "0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00".parse().ok(),
            content_type: Some("text/markdown".to_owned()),
            reply_to: Some(Seq(3)),
            mentions: users(2),
            ttl_s: Some(60),
            ..bare(b"*hi*")
        };
        assert_eq!(read(json), Ok(send.clone()));
        assert_eq!(String::from_utf8_lossy(&send.to_json()), json);
        assert_eq!(read(r#"{"body_base64":"/9j/4A=="}"#), Ok(bare(b"\xff\xd8\xff\xe0")));
        assert_eq!(bare(b"\xff\xd8\xff\xe0").to_json(), br#"{"body_base64":"/9j/4A=="}"#);
        assert_eq!(read(r#"{"body":""}"#), Ok(bare(b"")));
        // In another order, with blanks, and with nulls.
        assert_eq!(
            read(" { \"ttl_s\" : null, \"mentions\":null,\n\"id\":null, \"body\" : \"x\" } "),
            Ok(bare(b"x"))
        );
    }

    #[test]
    fn bounds_are_taken_and_what_is_beyond_is_refused() {
        for ttl_s in [1, TTL_S_MAX] {
            let send = SendJson { ttl_s: Some(ttl_s), ..bare(b"x") };
            assert_eq!(SendJson::from_json(&send.to_json()), Ok(send));
        }
        for ttl_s in ["0", "-1", "315360001", "4294967297", "18446744073709551615"] {
            let json = format!(r#"{{"body":"x","ttl_s":{ttl_s}}}"#);
            assert_eq!(read(&json), Err(PayloadError::Ttl), "{ttl_s}");
        }
        let send = SendJson { mentions: users(MENTIONS_MAX), ..bare(b"x") };
        assert_eq!(SendJson::from_json(&send.to_json()), Ok(send));
        let send = SendJson { mentions: users(MENTIONS_MAX + 1), ..bare(b"x") };
        let error = SendJson::from_json(&send.to_json()).expect_err("too many").to_string();
        assert!(error.contains("at most 64"), "{error}");
    }

    #[test]
    fn errors_say_what_would_be_right() {
        let long = format!(r#"{{"body":"a","type":"{}"}}"#, "t".repeat(128));
        for (json, what) in [
            ("", "JSON object"),
            ("null", "JSON object"),
            (r#"[null,null,"a"]"#, "JSON object"),
            ("{}", "exactly one of"),
            (r#"{"body":null}"#, "exactly one of"),
            (r#"{"body":"a","body_base64":""}"#, "exactly one of"),
            (r#"{"body":"a","colour":1}"#, "colour"),
            (r#"{"body":"a","body":"b"}"#, "duplicate field `body`"),
            (r#"{"body":"a""#, "EOF"),
            (r#"{"body":"a"} x"#, "trailing"),
            (r#"{"body":7}"#, "expected a string"),
            (r#"{"body":"a","id":"7"}"#, "UUID"),
            (r#"{"body":"a","type":""}"#, "content type"),
            (&long, "127"),
            (r#"{"body":"a","reply_to":0}"#, "reply_to"),
            (r#"{"body":"a","ttl_s":1.5}"#, "1 to 315360000 seconds"),
            (r#"{"body":"a","ttl_s":"60"}"#, "a JSON number"),
            (r#"{"body_base64":"?"}"#, "standard alphabet"),
            (r#"{"body_base64":"eA"}"#, "padding"),
            (r#"{"body":"a","mentions":["Bob"]}"#, "user name"),
            (r#"{"body":"a","mentions":"bob"}"#, "mentions"),
        ] {
            let error = read(json).expect_err(json).to_string();
            assert!(error.contains(what), "{json}: {error}");
        }
        assert!(SendJson::from_json(b"{\"body\":\"\xff\"}").is_err(), "not UTF-8");
    }
}
