//! A message as a member receives it: `c/{chat}/m`.

use super::cbor::{MAP_HEAD, Reader, Seen, write_bool, write_map};
use super::error::Error;
use super::event::{read_event, write_event};
use super::key::Key;
use super::notices::required;
use super::who::Reading;
use super::{Body, TEXT_TYPE};
use crate::message_id::MessageId;
use crate::names::{ChatId, UserId};
use crate::payload::{Event, MessageRef};
use crate::seq::Seq;

/// Bytes of the CBOR around the body in the usual case: what to reserve beforehand.
const ENVELOPE_BYTES: usize = 64;

/// The payload of `c/{chat}/m`.
impl MessageRef<'_> {
    /// Appends the CBOR, for `reader`'s devices: the same bytes for all members but the author.
    /// [`Message`] is its other end.
    pub fn write_compact(&self, reader: &UserId, out: &mut Vec<u8>) {
        self.write(Part::Whole, reader, out);
    }

    pub(super) fn write(&self, part: Part, reader: &UserId, out: &mut Vec<u8>) {
        out.reserve(ENVELOPE_BYTES + self.body.map_or(0, <[u8]>::len));
        let body = self.body.map(|body| Body::new(body, self.content_type));
        let seq = |seq: Option<Seq>| seq.map(|seq| seq.0);
        let whole = part == Part::Whole;
        write_map(out, |map| {
            if whole {
                map.number(Key::Seq, self.seq.0);
                map.number(Key::At, self.at_ms);
            }
            if let Some(body) = body {
                map.body(body);
            }
            Reading { chat: self.chat, reader }.write(map, self.from);
            if self.content_type != implied_type(body) {
                map.text(Key::Type, self.content_type);
            }
            if reader == self.from {
                map.bytes(Key::Id, self.id.as_bytes());
            }
            map.maybe_number(Key::ReplyTo, seq(self.reply_to));
            map.users(Key::Mentions, self.mentions);
            map.maybe_number(Key::ExpiresAt, self.expires_at_ms);
            map.maybe_number(Key::After, seq(self.after).filter(|_| whole));
            map.maybe_number(Key::Omitted, self.omitted_bytes);
            if self.deleted {
                write_bool(map.key(Key::Deleted.number()), true);
            }
            map.maybe_number(Key::EditOf, seq(self.edit_of));
            map.maybe_number(Key::DeleteOf, seq(self.delete_of));
            map.maybe_number(Key::ReactTo, seq(self.react_to));
            if let Some(event) = self.event {
                write_event(map.key(Key::Event.number()), event);
            }
        });
    }
}

/// How much of a message a map says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All.
    Whole,
    /// All but its place, its time and `after`: a difference tells these beforehand.
    Rest,
}

/// Has the map that begins at `at` and ends `out` say a body without being a map, if that is all it says.
pub(super) fn body_bare(out: &mut Vec<u8>, at: usize) {
    if out[at..].starts_with(&[MAP_HEAD | 1, Key::Body.number()]) {
        out.drain(at..at + 2);
    }
}

fn implied_type(body: Option<Body<'_>>) -> &'static str {
    body.map_or(TEXT_TYPE, Body::implied_type)
}

/// A message as a member receives it, owned; [`MessageRef::write_compact`] is its other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which chat.
    pub chat: ChatId,
    /// Its place.
    pub seq: Seq,
    /// Its id; told to its author alone.
    pub id: Option<MessageId>,
    /// Its author; of an event, who did it.
    pub from: UserId,
    /// When it was stored, Unix milliseconds.
    pub at_ms: u64,
    /// What the body is.
    pub content_type: String,
    /// The body; `None` where the entry has none, or it was left out.
    pub body: Option<Vec<u8>>,
    /// The entry it answers.
    pub reply_to: Option<Seq>,
    /// Whom it mentions.
    pub mentions: Vec<UserId>,
    /// When it ends, Unix milliseconds.
    pub expires_at_ms: Option<u64>,
    /// The entries between this place and this message have expired or are not for this user.
    pub after: Option<Seq>,
    /// The body has so many bytes and was left out to fit the device's packets.
    pub omitted_bytes: Option<u64>,
    /// The body was deleted before it could be delivered.
    pub deleted: bool,
    /// The entry whose body this one replaces.
    pub edit_of: Option<Seq>,
    /// The entry that this one deletes.
    pub delete_of: Option<Seq>,
    /// The entry to which the body is a reaction.
    pub react_to: Option<Seq>,
    /// What happened in the group; `None` also for a kind that this version does not know.
    pub event: Option<Event>,
}

impl Message {
    /// Reads the CBOR: `chat` is the topic's, `reader` he who has subscribed. Keys it does not
    /// know are passed over: a later server may add some.
    ///
    /// # Errors
    /// [`Error`]: it is not a message.
    pub fn from_compact(chat: &ChatId, reader: &UserId, payload: &[u8]) -> Result<Self, Error> {
        let mut input = Reader::new(payload);
        let mut fields = Fields::default();
        let reading = Reading { chat, reader };
        fields.read_map(&mut input, reading)?;
        input.finish()?;
        fields.into_message(reading)
    }
}

/// A message that is being read.
#[derive(Default)]
pub(super) struct Fields<'b> {
    seq: Option<Seq>,
    at_ms: Option<u64>,
    body: Option<Body<'b>>,
    from: Option<UserId>,
    content_type: Option<&'b str>,
    id: Option<MessageId>,
    reply_to: Option<Seq>,
    mentions: Vec<UserId>,
    expires_at_ms: Option<u64>,
    after: Option<Seq>,
    omitted_bytes: Option<u64>,
    deleted: bool,
    edit_of: Option<Seq>,
    delete_of: Option<Seq>,
    react_to: Option<Seq>,
    event: Option<Event>,
}

impl<'b> Fields<'b> {
    pub(super) fn read_map(
        &mut self,
        input: &mut Reader<'b>,
        reading: Reading<'_>,
    ) -> Result<(), Error> {
        let mut seen = Seen::default();
        for _ in 0..input.map("the payload")? {
            match input.key_or_skip(&mut seen)? {
                Some(key) => self.read(input, key, reading)?,
                None => continue,
            }
        }
        Ok(())
    }

    /// Sets what a difference tells beforehand; its map may not tell it again.
    pub(super) fn place(&mut self, seq: Seq, at_ms: u64, after: Option<Seq>) -> Result<(), Error> {
        let had = [
            (self.seq.is_some(), Key::Seq),
            (self.at_ms.is_some(), Key::At),
            (self.after.is_some(), Key::After),
        ];
        if let Some((_, key)) = had.into_iter().find(|(had, _)| *had) {
            return Err(Error::InDifference { what: key.to_string() });
        }
        (self.seq, self.at_ms, self.after) = (Some(seq), Some(at_ms), after);
        Ok(())
    }

    pub(super) fn read(
        &mut self,
        input: &mut Reader<'b>,
        number: u64,
        reading: Reading<'_>,
    ) -> Result<(), Error> {
        let Some(key) = Key::of(number) else { return input.skip() };
        match key {
            Key::Seq => self.seq = Some(Seq(input.number(key)?)),
            Key::At => self.at_ms = Some(input.number(key)?),
            Key::Body => self.body = Some(input.body()?),
            Key::From => self.from = Some(reading.read(input)?),
            Key::Type => self.content_type = Some(input.text(key)?),
            Key::Id => self.id = Some(input.id()?),
            Key::ReplyTo => self.reply_to = Some(Seq(input.number(key)?)),
            Key::Mentions => self.mentions = input.mentions()?,
            Key::ExpiresAt => self.expires_at_ms = Some(input.number(key)?),
            Key::After => self.after = Some(Seq(input.number(key)?)),
            Key::Omitted => self.omitted_bytes = Some(input.number(key)?),
            Key::Deleted => self.deleted = input.bool(key)?,
            Key::EditOf => self.edit_of = Some(Seq(input.number(key)?)),
            Key::DeleteOf => self.delete_of = Some(Seq(input.number(key)?)),
            Key::ReactTo => self.react_to = Some(Seq(input.number(key)?)),
            Key::Event => self.event = read_event(input)?,
            Key::TtlS
            | Key::Delivered
            | Key::Unread
            | Key::Typing
            | Key::DeliveredBy
            | Key::ReadBy => input.skip()?,
        }
        Ok(())
    }

    pub(super) fn into_message(self, reading: Reading<'_>) -> Result<Message, Error> {
        Ok(Message {
            chat: reading.chat.clone(),
            seq: required(self.seq, Key::Seq)?,
            id: self.id,
            from: self.from.map_or_else(|| reading.implied(), Ok)?,
            at_ms: required(self.at_ms, Key::At)?,
            content_type: self.content_type.unwrap_or(implied_type(self.body)).to_owned(),
            body: self.body.map(|body| body.as_bytes().to_vec()),
            reply_to: self.reply_to,
            mentions: self.mentions,
            expires_at_ms: self.expires_at_ms,
            after: self.after,
            omitted_bytes: self.omitted_bytes,
            deleted: self.deleted,
            edit_of: self.edit_of,
            delete_of: self.delete_of,
            react_to: self.react_to,
            event: self.event,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 1_764_000_000_000;

    /// `at` and its key.
    const AT_BYTES: &[u8] = b"\x01\x1b\x00\x00\x01\x9a\xb6\x97\xe8\x00";

    fn user(name: &str) -> UserId {
        UserId::try_from(name).expect("a user")
    }

    fn id() -> MessageId {
        MessageId::try_from("0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00").expect("an id")
    }

    fn plain<'a>(chat: &'a ChatId, from: &'a UserId) -> MessageRef<'a> {
        MessageRef {
            chat,
            seq: Seq(7),
            id: id(),
            from,
            at_ms: AT,
            content_type: "text/plain",
            body: Some(b"hi"),
            reply_to: None,
            mentions: &[],
            expires_at_ms: None,
            after: None,
            omitted_bytes: None,
            deleted: false,
            edit_of: None,
            delete_of: None,
            react_to: None,
            event: None,
        }
    }

    fn written(message: &MessageRef<'_>, reader: &str) -> Vec<u8> {
        // Appended: what is there stays.
        let mut out = b"> ".to_vec();
        message.write_compact(&user(reader), &mut out);
        out.split_off(2)
    }

    #[test]
    fn what_the_topic_tells_is_left_out() {
        let direct = ChatId::direct(&user("alice"), &user("bob"));
        let group = ChatId::try_from("g-7k2m9x4q1zrt").expect("a group");
        let notes = ChatId::direct(&user("alice"), &user("alice"));
        let (alice, zoe) = (user("alice"), user("zoe"));
        let own = [&b"\x03\x00\x05\x50"[..], id().as_bytes()].concat();
        let chats = [
            (&direct, &alice, "bob", 0xa3, &b""[..]),
            (&direct, &alice, "alice", 0xa5, &own),
            (&group, &alice, "bob", 0xa4, b"\x03\x65alice"),
            (&group, &alice, "alice", 0xa5, &own),
            (&notes, &alice, "alice", 0xa5, &own),
            // No member of the chat can be meant, so he is named.
            (&direct, &zoe, "bob", 0xa4, b"\x03\x63zoe"),
        ];
        for (chat, from, reader, head, rest) in chats {
            let message = plain(chat, from);
            let bytes = written(&message, reader);
            let expected = [&[head, 0, 7], AT_BYTES, b"\x02\x62hi", rest].concat();
            assert_eq!(bytes, expected, "{chat} for {reader}");
            let read = Message::from_compact(chat, &user(reader), &bytes).expect("a message");
            assert_eq!((&read.from, &read.chat), (from, chat));
            assert_eq!(read.id, (reader == from.as_str()).then(id));
            assert_eq!(read.content_type, "text/plain");
            assert_eq!(read.body.as_deref(), Some(&b"hi"[..]));
        }
    }

    #[test]
    fn a_body_is_text_or_bytes_and_that_tells_the_usual_type() {
        let (chat, alice) = (ChatId::direct(&user("alice"), &user("bob")), user("alice"));
        for (content_type, body, head, rest) in [
            ("text/plain", Some(&b""[..]), 0xa3, &b"\x02\x60"[..]),
            ("text/plain", Some(b"\xff"), 0xa4, b"\x02\x41\xff\x04\x6atext/plain"),
            ("text/html", Some(b"hi"), 0xa4, b"\x02\x62hi\x04\x69text/html"),
            ("application/octet-stream", Some(b"hi"), 0xa3, b"\x02\x42hi"),
            ("image/png", Some(b"\xff"), 0xa4, b"\x02\x41\xff\x04\x69image/png"),
            ("text/plain", None, 0xa2, b""),
            ("image/png", None, 0xa3, b"\x04\x69image/png"),
        ] {
            let message = MessageRef { content_type, body, ..plain(&chat, &alice) };
            let bytes = written(&message, "bob");
            assert_eq!(bytes, [&[head, 0, 7], AT_BYTES, rest].concat(), "{message:?}");
            let read = Message::from_compact(&chat, &user("bob"), &bytes).expect("a message");
            assert_eq!((read.content_type.as_str(), read.body.as_deref()), (content_type, body));
        }
    }

    #[test]
    fn all_keys_rise() {
        let (chat, alice) = (ChatId::direct(&user("alice"), &user("bob")), user("alice"));
        let mentions = [user("bob")];
        let message = MessageRef {
            reply_to: Some(Seq(3)),
            mentions: &mentions,
            expires_at_ms: Some(AT),
            after: Some(Seq(4)),
            omitted_bytes: Some(70_000),
            deleted: true,
            edit_of: Some(Seq(1)),
            delete_of: Some(Seq(2)),
            react_to: Some(Seq(300)),
            event: Some(&Event::Left),
            ..plain(&chat, &alice)
        };
        let tail = [
            b"\x06\x03\x07\x81\x63bob\x09",
            &AT_BYTES[1..],
            b"\x0a\x04\x0b\x1a\x00\x01\x11\x70\x0c\xf5\x0d\x01\x0e\x02\x0f\x19\x01\x2c",
            b"\x10\xa1\x00\x03",
        ]
        .concat();
        let bytes = written(&message, "bob");
        assert_eq!(bytes, [b"\xad\x00\x07", AT_BYTES, b"\x02\x62hi", &tail].concat());
    }

    #[test]
    fn is_read_with_keys_to_come_and_refused_where_it_is_none() {
        let chat = ChatId::direct(&user("alice"), &user("bob"));
        let read = |payload: &[u8]| Message::from_compact(&chat, &user("bob"), payload);
        // 30: {"x": [1]}, "y": null, and an event of a kind to come.
        let later =
            b"\xa5\x00\x01\x01\x02\x18\x1e\xa1\x61x\x81\x01\x61y\xf6\x10\xa2\x00\x09\x01\x05";
        let message = read(later).expect("a message");
        assert_eq!((message.event, message.body, message.seq), (None, None, Seq(1)));
        for (payload, what) in [
            (&b""[..], "byte 0"),
            (b"\xa0", "'seq' (key 0) is missing"),
            (b"\xa1\x00\x01", "'at' (key 1) is missing"),
            (b"\xa3\x00\x01\x01\x02\x00\x01", "key 0 is in the map twice"),
            (b"\xa2\x00\x01\x01\x02\x00", "more follows"),
            (b"\xa3\x00\x01\x01\x02\x0c\x01", "'deleted' (key 12) has to be true or false"),
            (b"\xa3\x00\x01\x01\x02\x03\x02", "0 for the reader"),
            (b"\xa3\x00\x01\x01\x02\x05\x40", "16 bytes"),
            (b"\x62hi", "has to be a map"),
        ] {
            let error = read(payload).expect_err(what).to_string();
            assert!(error.contains(what), "{what}: {error}");
        }
        let group = ChatId::try_from("g-7k2m9x4q1zrt").expect("a group");
        let error = Message::from_compact(&group, &user("bob"), b"\xa2\x00\x01\x01\x02");
        assert_eq!(error, Err(Error::Missing { what: "'from' (key 3)".to_owned() }));
    }
}
