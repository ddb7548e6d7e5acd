//! The payloads, as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::names::{ChatId, MessageId, Seq, UserId};

/// Users that a message can mention.
pub const MENTIONS_MAX: usize = 64;

/// Bytes of a content type.
pub const CONTENT_TYPE_BYTES_MAX: usize = 127;

/// Seconds that a message can be told to live: ten years.
pub const TTL_S_MAX: u32 = 10 * 365 * 24 * 3600;

/// Why a payload is not what its topic says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PayloadError(String);

/// Reads a JSON object. (Left to itself, `serde` reads an array as the fields in order.)
fn from_object<T: DeserializeOwned>(json: &[u8]) -> Result<T, PayloadError> {
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(PayloadError("a JSON object is needed".to_owned()));
    }
    serde_json::from_slice(json).map_err(|error| PayloadError(error.to_string()))
}

/// What the type of a body is if the sender does not say.
#[must_use]
pub fn default_content_type(body: &[u8]) -> &'static str {
    if std::str::from_utf8(body).is_ok() { "text/plain" } else { "application/octet-stream" }
}

/// Something that happened in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Event {
    /// It was made.
    Created {
        /// Its first members, the owner among them.
        members: Vec<UserId>,
        /// Its title.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
    },
    /// Members joined.
    Added {
        /// Who.
        members: Vec<UserId>,
    },
    /// Members were removed.
    Removed {
        /// Who.
        members: Vec<UserId>,
    },
    /// A member left.
    Left,
}

/// A message as a member gets it, borrowed for encoding.
#[derive(Debug, Clone, Copy)]
pub struct MessageRef<'a> {
    /// Which chat.
    pub chat: &'a ChatId,
    /// Its place.
    pub seq: Seq,
    /// Its id.
    pub id: MessageId,
    /// Its author.
    pub from: &'a UserId,
    /// When it was stored, Unix milliseconds.
    pub at_ms: u64,
    /// What the body is.
    pub content_type: &'a str,
    /// The body; `None` where it is left out.
    pub body: Option<&'a [u8]>,
    /// Which entry it answers.
    pub reply_to: Option<Seq>,
    /// Whom it mentions.
    pub mentions: &'a [UserId],
    /// When it ends, Unix milliseconds.
    pub expires_at_ms: Option<u64>,
    /// Something that happened in the group.
    pub event: Option<&'a Event>,
    /// The body has so many bytes and does not fit the device's packets.
    pub omitted_bytes: Option<u64>,
    /// What is between this place and this message is not for the device.
    pub after: Option<Seq>,
}

impl MessageRef<'_> {
    /// Appends the JSON: keys in the contract's order, no spaces.
    ///
    /// Written by hand because it is done for every message; escaping is `serde_json`'s.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"chat\":\"");
        out.extend_from_slice(self.chat.as_str().as_bytes());
        out.extend_from_slice(b"\",\"seq\":");
        number(out, self.seq.0);
        out.extend_from_slice(b",\"id\":\"");
        let mut id = [0; uuid::fmt::Hyphenated::LENGTH];
        out.extend_from_slice(self.id.as_uuid().as_hyphenated().encode_lower(&mut id).as_bytes());
        out.extend_from_slice(b"\",\"from\":\"");
        out.extend_from_slice(self.from.as_str().as_bytes());
        out.extend_from_slice(b"\",\"at\":");
        number(out, self.at_ms);
        out.extend_from_slice(b",\"type\":");
        value(out, &self.content_type);
        if let Some(body) = self.body {
            match std::str::from_utf8(body) {
                Ok(text) => {
                    out.extend_from_slice(b",\"body\":");
                    value(out, &text);
                }
                Err(_) => {
                    out.extend_from_slice(b",\"body_base64\":\"");
                    out.extend_from_slice(STANDARD.encode(body).as_bytes());
                    out.push(b'"');
                }
            }
        }
        if let Some(seq) = self.reply_to {
            out.extend_from_slice(b",\"reply_to\":");
            number(out, seq.0);
        }
        if !self.mentions.is_empty() {
            out.extend_from_slice(b",\"mentions\":");
            value(out, &self.mentions);
        }
        if let Some(at_ms) = self.expires_at_ms {
            out.extend_from_slice(b",\"expires_at\":");
            number(out, at_ms);
        }
        if let Some(event) = self.event {
            out.extend_from_slice(b",\"event\":");
            value(out, event);
        }
        if let Some(bytes) = self.omitted_bytes {
            out.extend_from_slice(b",\"omitted\":");
            number(out, bytes);
        }
        if let Some(seq) = self.after {
            out.extend_from_slice(b",\"after\":");
            number(out, seq.0);
        }
        out.push(b'}');
    }
}

fn value<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("names, texts and numbers have a JSON form");
}

fn number(out: &mut Vec<u8>, number: u64) {
    value(out, &number);
}

/// A message as a member gets it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Message {
    /// Which chat.
    pub chat: ChatId,
    /// Its place.
    pub seq: Seq,
    /// Its id.
    pub id: MessageId,
    /// Its author.
    pub from: UserId,
    /// When it was stored, Unix milliseconds.
    #[serde(rename = "at")]
    pub at_ms: u64,
    /// What the body is.
    #[serde(rename = "type")]
    pub content_type: String,
    /// The body as text; see [`Message::body`].
    #[serde(default, rename = "body")]
    pub body_text: Option<String>,
    /// The body in base 64; see [`Message::body`].
    #[serde(default)]
    pub body_base64: Option<String>,
    /// Which entry it answers.
    #[serde(default)]
    pub reply_to: Option<Seq>,
    /// Whom it mentions.
    #[serde(default)]
    pub mentions: Vec<UserId>,
    /// When it ends, Unix milliseconds.
    #[serde(default, rename = "expires_at")]
    pub expires_at_ms: Option<u64>,
    /// Something that happened in the group.
    #[serde(default)]
    pub event: Option<Event>,
    /// The body has so many bytes and did not fit.
    #[serde(default, rename = "omitted")]
    pub omitted_bytes: Option<u64>,
    /// What is between this place and this message is not for the device.
    #[serde(default)]
    pub after: Option<Seq>,
}

impl Message {
    /// Reads the JSON; keys it does not know are passed over.
    ///
    /// # Errors
    /// [`PayloadError`]: it is not a message.
    pub fn from_json(json: &[u8]) -> Result<Self, PayloadError> {
        from_object(json)
    }

    /// The body; `None` where it was left out.
    ///
    /// # Errors
    /// [`PayloadError`]: what should be base 64 is not.
    pub fn body(&self) -> Result<Option<Vec<u8>>, PayloadError> {
        body_of(self.body_text.as_deref(), self.body_base64.as_deref())
    }
}

fn body_of(text: Option<&str>, base64: Option<&str>) -> Result<Option<Vec<u8>>, PayloadError> {
    match (text, base64) {
        (Some(text), _) => Ok(Some(text.as_bytes().to_vec())),
        (None, Some(base64)) => STANDARD
            .decode(base64)
            .map(Some)
            .map_err(|error| PayloadError(format!("body_base64 is not base 64: {error}"))),
        (None, None) => Ok(None),
    }
}

macro_rules! json {
    ($($name:ident)*) => { $(
        impl $name {
            /// As JSON: keys in the contract's order, no spaces.
            #[must_use]
            pub fn to_json(&self) -> Vec<u8> {
                let mut out = Vec::new();
                value(&mut out, self);
                out
            }

            /// Reads the JSON; keys it does not know are passed over.
            ///
            /// # Errors
            /// [`PayloadError`]: it is not what it should be.
            pub fn from_json(json: &[u8]) -> Result<Self, PayloadError> {
                from_object(json)
            }
        }
    )* };
}

json!(Receipt SendAck Refusal);

/// How far a member got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// In which chat.
    pub chat: ChatId,
    /// Who.
    pub user: UserId,
    /// A device of his has acknowledged up to here.
    pub delivered: Seq,
    /// He has said that he read up to here.
    pub read: Seq,
    /// When that last changed, Unix milliseconds.
    #[serde(rename = "at")]
    pub at_ms: u64,
}

/// What became of a message that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendAck {
    /// In which chat.
    pub chat: ChatId,
    /// Its id, the server's where the sender gave none.
    pub id: MessageId,
    /// Its place.
    pub seq: Seq,
    /// When it was stored, Unix milliseconds.
    #[serde(rename = "at")]
    pub at_ms: u64,
    /// It was stored before.
    pub duplicate: bool,
}

/// What was refused, for those whom MQTT cannot tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Published to what.
    pub topic: String,
    /// Under which packet id; 0 at QoS 0.
    pub packet_id: u16,
    /// The MQTT reason code.
    pub code: u8,
    /// What to do about it.
    pub message: String,
}

/// The payload of `chats/{chat}/send.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendJson {
    /// The idempotency key.
    pub id: Option<MessageId>,
    /// What the body is.
    pub content_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
    /// Which entry it answers.
    pub reply_to: Option<Seq>,
    /// Whom it mentions, at most [`MENTIONS_MAX`].
    pub mentions: Vec<UserId>,
    /// Seconds of life, 1 to [`TTL_S_MAX`].
    pub ttl_s: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSend {
    #[serde(default)]
    id: Option<MessageId>,
    #[serde(default, rename = "type")]
    content_type: Option<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    body_base64: Option<String>,
    #[serde(default)]
    reply_to: Option<Seq>,
    #[serde(default)]
    mentions: Vec<UserId>,
    #[serde(default)]
    ttl_s: Option<u32>,
}

impl SendJson {
    /// Reads the JSON. A key it does not know is a mistake: what it asks for would not be done.
    ///
    /// # Errors
    /// [`PayloadError`] says what is wrong.
    pub fn from_json(json: &[u8]) -> Result<Self, PayloadError> {
        let raw: RawSend = from_object(json)?;
        if raw.body.is_some() == raw.body_base64.is_some() {
            return Err(PayloadError("exactly one of body and body_base64 is needed".to_owned()));
        }
        if raw.mentions.len() > MENTIONS_MAX {
            return Err(PayloadError(format!("mentions holds at most {MENTIONS_MAX} users")));
        }
        if raw.ttl_s.is_some_and(|ttl_s| !(1..=TTL_S_MAX).contains(&ttl_s)) {
            return Err(PayloadError(format!("ttl_s is 1 to {TTL_S_MAX} seconds")));
        }
        let body = body_of(raw.body.as_deref(), raw.body_base64.as_deref())?.unwrap_or_default();
        Ok(Self {
            id: raw.id,
            content_type: raw.content_type,
            body,
            reply_to: raw.reply_to,
            mentions: raw.mentions,
            ttl_s: raw.ttl_s,
        })
    }
}

/// Reads the payload of `chats/{chat}/read`: a place as decimal text.
///
/// # Errors
/// [`PayloadError`]: it is something else.
pub fn parse_read(payload: &[u8]) -> Result<Seq, PayloadError> {
    let digits = !payload.is_empty() && payload.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(payload).ok().filter(|_| digits);
    text.and_then(|text| text.parse().ok())
        .map(Seq)
        .ok_or_else(|| PayloadError("a seq in decimal digits is needed".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::try_from(name).expect("a name")
    }

    #[test]
    fn a_message_is_written_as_the_contract_shows_it() {
        let chat = ChatId::direct(&user("alice"), &user("bob"));
        let id = MessageId::try_from("0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00").expect("an id");
        let mentions = [user("bob")];
        let from = user("alice");
        let mut message = MessageRef {
            chat: &chat,
            seq: Seq(7),
            id,
            from: &from,
            at_ms: 1_764_000_000_000,
            content_type: "text/plain",
            body: Some(b"hi"),
            reply_to: None,
            mentions: &[],
            expires_at_ms: None,
            event: None,
            omitted_bytes: None,
            after: None,
        };
        let head = concat!(
            r#"{"chat":"alice~bob","seq":7,"id":"0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00","#,
            r#""from":"alice","at":1764000000000,"type":"text/plain""#
        );
        let mut out = Vec::new();
        message.write_json(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), format!(r#"{head},"body":"hi"}}"#));
        message.body = None;
        message.reply_to = Some(Seq(3));
        message.mentions = &mentions;
        message.expires_at_ms = Some(5);
        message.omitted_bytes = Some(70_000);
        message.after = Some(Seq(4));
        out.clear();
        message.write_json(&mut out);
        let tail = r#","reply_to":3,"mentions":["bob"],"expires_at":5,"omitted":70000,"after":4}"#;
        assert_eq!(String::from_utf8_lossy(&out), format!("{head}{tail}"));
    }

    #[test]
    fn any_body_comes_back() {
        let mut random = fastrand::Rng::with_seed(7);
        let (alice, bob) = (user("alice"), user("bob"));
        let chat = ChatId::direct(&alice, &bob);
        for _ in 0..2000 {
            let length = random.usize(..60);
            let body: Vec<u8> = if random.bool() {
                (0..length).map(|_| random.u8(..)).collect()
            } else {
                (0..length).map(|_| random.char(..)).collect::<String>().into_bytes()
            };
            let id = MessageId::from_bytes(random.u128(1..).to_be_bytes()).expect("not nil");
            let kind: String = (0..random.usize(..9)).map(|_| random.char(..)).collect();
            let message = MessageRef {
                chat: &chat,
                seq: Seq(random.u64(..)),
                id,
                from: &bob,
                at_ms: random.u64(..),
                content_type: &kind,
                body: Some(&body),
                reply_to: None,
                mentions: &[],
                expires_at_ms: None,
                event: None,
                omitted_bytes: None,
                after: None,
            };
            let mut out = Vec::new();
            message.write_json(&mut out);
            let read = Message::from_json(&out).expect("valid JSON");
            assert_eq!(read.body(), Ok(Some(body.clone())));
            assert_eq!((read.seq, read.id, read.content_type), (message.seq, id, kind));
        }
    }

    #[test]
    fn send_json_says_what_is_wrong() {
        let send = SendJson::from_json(br#"{"body":"hi","ttl_s":60,"mentions":["bob"]}"#);
        assert_eq!(send.map(|send| (send.body, send.ttl_s)), Ok((b"hi".to_vec(), Some(60))));
        for (json, what) in [
            ("", "object"),
            ("[]", "object"),
            ("{}", "exactly one"),
            (r#"{"body":"a","body_base64":""}"#, "exactly one"),
            (r#"{"body":"a","colour":1}"#, "colour"),
            (r#"{"body":"a","id":"7"}"#, "UUID"),
            (r#"{"body":"a","ttl_s":0}"#, "ttl_s"),
            (r#"{"body_base64":"?"}"#, "base 64"),
            (r#"{"body":"a","mentions":["Bob"]}"#, "user name"),
        ] {
            let error = SendJson::from_json(json.as_bytes()).expect_err(json).to_string();
            assert!(error.contains(what), "{json}: {error}");
        }
    }

    #[test]
    fn a_read_is_plain_digits() {
        assert_eq!(parse_read(b"17"), Ok(Seq(17)));
        for bad in ["", " 1", "+1", "-1", "1.0", "99999999999999999999", "x"] {
            assert!(parse_read(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn nothing_a_peer_sends_panics() {
        let mut random = fastrand::Rng::with_seed(8);
        let seeds = [
            r#"{"chat":"a~b","seq":1,"id":"0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00","from":"a","at":1,"type":"t","body":"x"}"#,
            r#"{"body":"hi","reply_to":1,"mentions":["a"],"ttl_s":5}"#,
        ];
        let mut accepted = 0;
        for _ in 0..20_000 {
            let mut json = seeds[random.usize(..seeds.len())].as_bytes().to_vec();
            for _ in 0..random.usize(..4) {
                let at = random.usize(..json.len());
                json[at] = random.u8(..);
            }
            accepted += u32::from(Message::from_json(&json).is_ok());
            accepted += u32::from(SendJson::from_json(&json).is_ok());
            accepted += u32::from(Receipt::from_json(&json).is_ok());
        }
        assert!(accepted > 1000, "most mutations change nothing that matters: {accepted}");
    }
}
