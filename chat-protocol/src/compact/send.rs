//! A message on its way to the server: `c/{chat}/s`.

use minicbor::data::Type;

use super::cbor::{Reader, Seen, write_bytes, write_map, write_text};
use super::error::Error;
use super::key::Key;
use super::notices::required;
use super::{Body, TEXT_TYPE};
use crate::message_id::MessageId;
use crate::names::UserId;
use crate::payload::{MENTIONS_MAX, PayloadError, SendJson, TTL_S_MAX, check_content_type};
use crate::seq::Seq;

/// The payload of `c/{chat}/s`: a map, or the bare body if that is all that there is to say.
///
/// Borrows the body and its type from what was read, so that nothing of it is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendRef<'a> {
    /// The idempotency key.
    pub id: Option<MessageId>,
    /// What the body is, as [`check_content_type`] allows. Left out, it is `text/plain` for a text
    /// string and `application/octet-stream` for a byte string.
    pub content_type: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// The entry it answers, 1 or greater.
    pub reply_to: Option<Seq>,
    /// Whom it mentions, at most [`MENTIONS_MAX`].
    pub mentions: Vec<UserId>,
    /// Seconds of life, 1 to [`TTL_S_MAX`].
    pub ttl_s: Option<u32>,
}

impl<'a> SendRef<'a> {
    /// A body and its type.
    #[must_use]
    pub fn new(body: &'a [u8], content_type: &'a str) -> Self {
        Self { id: None, content_type, body, reply_to: None, mentions: Vec::new(), ttl_s: None }
    }

    /// A text, `text/plain`.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Self::new(text.as_bytes(), TEXT_TYPE)
    }

    /// The CBOR, for senders.
    ///
    /// Checks nothing: what [`SendRef::from_compact`] would not take, the server refuses.
    #[must_use]
    pub fn to_compact(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body.len() + 32);
        let body = Body::new(self.body, self.content_type);
        let is_implied = self.content_type == body.implied_type();
        if self.is_bare() && is_implied {
            match body {
                Body::Text(text) => write_text(&mut out, text),
                Body::Bytes(bytes) => write_bytes(&mut out, bytes),
            }
            return out;
        }
        write_map(&mut out, |map| {
            map.body(body);
            if !is_implied {
                map.text(Key::Type, self.content_type);
            }
            if let Some(id) = &self.id {
                map.bytes(Key::Id, id.as_bytes());
            }
            map.maybe_number(Key::ReplyTo, self.reply_to.map(|seq| seq.0));
            map.users(Key::Mentions, &self.mentions);
            map.maybe_number(Key::TtlS, self.ttl_s.map(u64::from));
        });
        out
    }

    /// Reads and checks the CBOR. A key it does not know is an error: what it asks for would not
    /// be done.
    ///
    /// # Errors
    /// [`Error`] names the key, and says what its value has to be.
    pub fn from_compact(payload: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(payload);
        let send = match reader.kind()? {
            Type::Map => Self::read_map(&mut reader)?,
            Type::String => Self::text(reader.text("the payload")?),
            Type::Bytes => {
                let body = Body::Bytes(reader.bytes("the payload")?);
                Self::new(body.as_bytes(), body.implied_type())
            }
            _ => {
                let expected = "a text string, a byte string or a map of definite length";
                return Err(reader.wrong_kind("the payload", expected));
            }
        };
        reader.finish().map(|()| send)
    }

    fn read_map(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let (mut body, mut content_type) = (None, None);
        let mut send = Self::new(&[], TEXT_TYPE);
        let mut seen = Seen::default();
        for _ in 0..reader.map("the payload")? {
            let number = reader.key(&mut seen)?;
            match Key::of(number) {
                Some(Key::Body) => body = Some(reader.body()?),
                Some(key @ Key::Type) => {
                    let text = reader.text(key)?;
                    check_content_type(text)?;
                    content_type = Some(text);
                }
                Some(Key::Id) => send.id = Some(reader.id()?),
                Some(key @ Key::ReplyTo) => send.reply_to = Some(read_reply_to(reader, key)?),
                Some(Key::Mentions) => send.mentions = reader.mentions()?,
                Some(key @ Key::TtlS) => send.ttl_s = Some(read_ttl(reader, key)?),
                _ => return Err(Error::UnknownKey { key: number }),
            }
        }
        let body = required(body, Key::Body)?;
        send.body = body.as_bytes();
        send.content_type = content_type.unwrap_or(body.implied_type());
        Ok(send)
    }

    fn is_bare(&self) -> bool {
        let Self { id, content_type: _, body: _, reply_to, mentions, ttl_s } = self;
        id.is_none() && reply_to.is_none() && mentions.is_empty() && ttl_s.is_none()
    }
}

/// The same as the other dialect says it.
impl From<SendRef<'_>> for SendJson {
    fn from(send: SendRef<'_>) -> Self {
        let SendRef { id, content_type, body, reply_to, mentions, ttl_s } = send;
        let (content_type, body) = (Some(content_type.to_owned()), body.to_vec());
        Self { id, content_type, body, reply_to, mentions, ttl_s }
    }
}

fn read_reply_to(reader: &mut Reader<'_>, key: Key) -> Result<Seq, Error> {
    match reader.number(key)? {
        0 => Err(PayloadError::ReplyTo.into()),
        seq => Ok(Seq(seq)),
    }
}

fn read_ttl(reader: &mut Reader<'_>, key: Key) -> Result<u32, Error> {
    let ttl_s = u32::try_from(reader.number(key)?).ok();
    let in_bounds = ttl_s.filter(|ttl_s| (1..=TTL_S_MAX).contains(ttl_s));
    in_bounds.ok_or_else(|| PayloadError::Ttl.into())
}

/// The values that a send and a message have in common.
impl<'b> Reader<'b> {
    pub(super) fn body(&mut self) -> Result<Body<'b>, Error> {
        match self.kind()? {
            Type::String => self.text(Key::Body).map(Body::Text),
            Type::Bytes => self.bytes(Key::Body).map(Body::Bytes),
            _ => Err(self.wrong_kind(Key::Body, "a text string or a byte string")),
        }
    }

    pub(super) fn id(&mut self) -> Result<MessageId, Error> {
        let bytes = self.bytes(Key::Id)?;
        bytes.try_into().ok().and_then(MessageId::from_bytes).ok_or(Error::Id)
    }

    /// Stops at the bound rather than after the packet.
    pub(super) fn mentions(&mut self) -> Result<Vec<UserId>, Error> {
        let count = self.array(Key::Mentions)?;
        if count > MENTIONS_MAX as u64 {
            return Err(Error::Mentions);
        }
        (0..count).map(|_| self.user(Key::Mentions)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::BYTES_TYPE;
    use super::*;

    const ID: &str = "0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00";

    fn users(count: usize) -> Vec<UserId> {
        (0..count).map(|no| UserId::try_from(format!("u{no}")).expect("a user")).collect()
    }

    #[test]
    fn a_body_alone_is_bare() {
        for (send, payload) in [
            (SendRef::text("hi"), &b"\x62hi"[..]),
            (SendRef::text(""), b"\x60"),
            (SendRef::new(b"\xff\xd8", BYTES_TYPE), b"\x42\xff\xd8"),
            // A ciphertext may happen to be UTF-8; its type is kept all the same.
            (SendRef::new(b"hi", BYTES_TYPE), b"\x42hi"),
        ] {
            assert_eq!(send.to_compact(), payload);
            assert_eq!(SendRef::from_compact(payload), Ok(send));
        }
    }

    #[test]
    fn all_else_is_a_map() {
        let id = MessageId::try_from(ID).expect("an id");
        let full = SendRef {
            id: Some(id),
            reply_to: Some(Seq(3)),
            mentions: users(2),
            ttl_s: Some(3600),
            ..SendRef::new(b"*hi*", "text/markdown")
        };
        let id_bytes = id.as_bytes().as_slice();
        for (send, payload) in [
            (
                full,
                [
                    b"\xa6\x02\x64*hi*\x04\x6dtext/markdown\x05\x50",
                    id_bytes,
                    b"\x06\x03\x07\x82\x62u0\x62u1\x08\x19\x0e\x10",
                ]
                .concat(),
            ),
            (
                SendRef { id: Some(id), ..SendRef::text("hi") },
                [b"\xa2\x02\x62hi\x05\x50", id_bytes].concat(),
            ),
            (SendRef::new(b"\xff", "text/plain"), b"\xa2\x02\x41\xff\x04\x6atext/plain".to_vec()),
            (SendRef::new(b"<>", "image/svg"), b"\xa2\x02\x42<>\x04\x69image/svg".to_vec()),
        ] {
            assert_eq!(send.to_compact(), payload, "{send:?}");
            assert_eq!(SendRef::from_compact(&payload), Ok(send));
        }
        // A map need not have more than the body, and its keys may stand in any order.
        assert_eq!(SendRef::from_compact(b"\xa1\x02\x62hi"), Ok(SendRef::text("hi")));
        let turned = SendRef { reply_to: Some(Seq(3)), ..SendRef::text("hi") };
        assert_eq!(SendRef::from_compact(b"\xa2\x06\x03\x02\x62hi"), Ok(turned));
    }

    #[test]
    fn is_what_the_other_dialect_says() {
        let send = SendRef { ttl_s: Some(60), ..SendRef::new(b"*hi*", "text/markdown") };
        let json = br#"{"type":"text/markdown","body":"*hi*","ttl_s":60}"#;
        assert_eq!(Ok(SendJson::from(send)), SendJson::from_json(json));
    }

    #[test]
    fn bounds_are_taken_and_what_is_beyond_is_refused() {
        for ttl_s in [1, TTL_S_MAX] {
            let send = SendRef { ttl_s: Some(ttl_s), ..SendRef::text("x") };
            assert_eq!(SendRef::from_compact(&send.to_compact()), Ok(send));
        }
        let send = SendRef { ttl_s: Some(TTL_S_MAX + 1), ..SendRef::text("x") };
        assert_eq!(SendRef::from_compact(&send.to_compact()), Err(PayloadError::Ttl.into()));
        let send = SendRef { mentions: users(MENTIONS_MAX), ..SendRef::text("x") };
        assert_eq!(SendRef::from_compact(&send.to_compact()), Ok(send));
        let send = SendRef { mentions: users(MENTIONS_MAX + 1), ..SendRef::text("x") };
        assert_eq!(SendRef::from_compact(&send.to_compact()), Err(Error::Mentions));
    }

    #[test]
    fn errors_say_what_would_be_right() {
        let long = [&b"\xa2\x02\x61a\x04\x78\x80"[..], &[b't'; 128]].concat();
        let nil = [&b"\xa2\x02\x61a\x05\x50"[..], &[0; 16]].concat();
        for (payload, what) in [
            (&b""[..], "it breaks off at byte 0"),
            (b"\xa1\x02\x62h", "it breaks off at byte 3"),
            (b"\x62h\xff", "the payload is a text string and has to be UTF-8"),
            (b"\x61a\x61b", "it ends at byte 2, and more follows"),
            (b"\x07", "a text string, a byte string or a map of definite length, not an unsigned"),
            (b"\x7f\x61a\xff", "not a string of indefinite length"),
            (b"\xbf\x02\x61a\xff", "not a map of indefinite length"),
            (b"\xd9\xd9\xf7\x61a", "not a tagged item"),
            (b"{\"body\":\"a\"}", "it breaks off"),
            (b"\xa0", "'body' (key 2) is missing"),
            (b"\xa1\x02\x07", "'body' (key 2) has to be a text string or a byte string, not an"),
            (b"\xa1\x02\xf6", "not null"),
            (b"\xa2\x02\x61a\x02\x61b", "key 2 is in the map twice"),
            (b"\xa2\x02\x61a\x00\x01", "no key 0 in a send"),
            (b"\xa2\x02\x61a\x18\xc8\x01", "no key 200 in a send"),
            (b"\xa2\x02\x61a\x64body\x61b", "a key of the map has to be an unsigned integer"),
            (b"\xa2\x02\x61a\x20\x61b", "not a negative integer"),
            (b"\xa2\x02\x61a\x04\x60", "a content type has"),
            (&long, "1 to 127 bytes"),
            (b"\xa2\x02\x61a\x04\x01", "'type' (key 4) has to be a text string"),
            (b"\xa2\x02\x61a\x05\x41\x01", "16 bytes of a UUID"),
            (&nil, "not all of them zero"),
            (b"\xa2\x02\x61a\x05\x01", "'id' (key 5) has to be a byte string"),
            (b"\xa2\x02\x61a\x06\x00", "1 or greater"),
            (b"\xa2\x02\x61a\x06\x61\x33", "'reply_to' (key 6) has to be an unsigned integer"),
            (b"\xa2\x02\x61a\x07\x63bob", "'mentions' (key 7) has to be an array"),
            (b"\xa2\x02\x61a\x07\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "at most 64"),
            (b"\xa2\x02\x61a\x07\x81\x63Bob", "'mentions' (key 7): a user name has"),
            (b"\xa2\x02\x61a\x07\x81\x01", "'mentions' (key 7) has to be a text string"),
            (b"\xa2\x02\x61a\x08\x00", "1 to 315360000 seconds"),
            (b"\xa2\x02\x61a\x08\xf9\x3e\x00", "'ttl_s' (key 8) has to be an unsigned integer"),
            (b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff\x02\x61a", "it breaks off at byte 12"),
        ] {
            let error = SendRef::from_compact(payload).expect_err(what);
            assert_eq!(error.code(), 0x99);
            assert!(error.to_string().contains(what), "{what}: {error}");
        }
    }
}
