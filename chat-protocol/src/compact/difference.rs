//! Messages and receipts as the difference to the last one on their topic: `c/{chat}/m/d`, `c/{chat}/r/d`.
//!
//! A payload of these topics is a map as on `c/{chat}/m` and `c/{chat}/r`, or a difference: a sequence of CBOR
//! items (RFC 8742) that begins with an integer. Source: docs/compact.md "Differences".

use minicbor::data::Type;

use super::cbor::{Reader, Seen, write_integer, write_map, write_number};
use super::error::Error;
use super::key::Key;
use super::message::{Fields, Message, Part, body_bare};
use super::who::Reading;
use crate::names::{ChatId, UserId};
use crate::payload::{MessageRef, Receipt};
use crate::seq::Seq;

const TIME: &str = "the first item, how much time has passed,";
const STEP: &str = "the second item, how many places further,";
const DELIVERED: &str = "the second item, how far 'delivered' has risen,";
const READ: &str = "the third item, how far 'read' has risen,";

const MS_PER_S: u64 = 1000;

/// What of the last message on a topic the difference of the next one leans on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastMessage {
    seq: Seq,
    at_s: u64,
}

impl LastMessage {
    /// Of a message at this place, stored at this time, Unix milliseconds.
    #[must_use]
    pub const fn new(seq: Seq, at_ms: u64) -> Self {
        Self { seq, at_s: at_ms / MS_PER_S }
    }
}

/// What of the last receipt of a user on a topic the difference of the next one leans on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastReceipt {
    delivered: Seq,
    read: Seq,
    at_s: u64,
}

impl LastReceipt {
    /// Of this receipt.
    #[must_use]
    pub const fn of(receipt: &Receipt) -> Self {
        let Receipt { delivered, read, at_ms, .. } = receipt;
        Self { delivered: *delivered, read: *read, at_s: *at_ms / MS_PER_S }
    }
}

/// Seconds from one time to another; in a difference a time is told to the second.
fn passed_s(from_s: u64, to_ms: u64) -> i64 {
    let seconds = i128::from(to_ms / MS_PER_S) - i128::from(from_s);
    i64::try_from(seconds).expect("thousandths of u64::MAX are far from it")
}

/// The time so many seconds after another, Unix milliseconds.
fn later(from_s: u64, seconds: i64) -> Result<u64, Error> {
    let at_s = from_s.checked_add_signed(seconds);
    at_s.and_then(|at_s| at_s.checked_mul(MS_PER_S)).ok_or(Error::Beyond)
}

fn beyond(seq: Seq, by: u64) -> Result<Seq, Error> {
    seq.0.checked_add(by).map(Seq).ok_or(Error::Beyond)
}

impl MessageRef<'_> {
    /// Appends the difference to `last`, for `reader`'s devices; [`Message::from_difference`] is its
    /// other end. `false`: it cannot be told as one, and nothing is appended. Then a map says it.
    pub fn write_difference(&self, last: LastMessage, reader: &UserId, out: &mut Vec<u8>) -> bool {
        // A step says that what lies between is not for this device.
        let step = self.seq.0.saturating_sub(last.seq.0);
        let explained = match step {
            0 => return false,
            1 => None,
            _ => Some(last.seq),
        };
        if self.after != explained {
            return false;
        }
        write_integer(out, passed_s(last.at_s, self.at_ms));
        if step > 1 {
            write_number(out, step);
        }
        let rest = out.len();
        self.write(Part::Rest, reader, out);
        body_bare(out, rest);
        true
    }
}

impl Message {
    /// Reads a payload of `c/{chat}/m/d`: a map, or a difference to `last`, the last message on this
    /// topic in this connection. The time of a difference is told to the second.
    ///
    /// # Errors
    /// [`Error`]: it is no message, or a difference to what is not known here.
    pub fn from_difference(
        chat: &ChatId,
        reader: &UserId,
        last: Option<LastMessage>,
        payload: &[u8],
    ) -> Result<Self, Error> {
        let mut input = Reader::new(payload);
        if input.kind()? == Type::Map {
            return Self::from_compact(chat, reader, payload);
        }
        let passed_s = input.integer(TIME)?;
        let step = match input.is_number() {
            true => Some(input.number(STEP)?),
            false => None,
        };
        let reading = Reading { chat, reader };
        let mut fields = Fields::default();
        if input.kind()? == Type::Map {
            fields.read_map(&mut input, reading)?;
        } else {
            fields.read(&mut input, u64::from(Key::Body.number()), reading)?;
        }
        input.finish()?;
        let last = last.ok_or(Error::NoLast)?;
        let after = match step {
            None => None,
            Some(0 | 1) => return Err(Error::Step),
            Some(_) => Some(last.seq),
        };
        let seq = beyond(last.seq, step.unwrap_or(1))?;
        fields.place(seq, later(last.at_s, passed_s)?, after)?;
        fields.into_message(reading)
    }
}

impl Receipt {
    /// Appends the difference to `last`, the last receipt of the same user on this topic, for
    /// `reader`'s devices; [`Receipt::from_difference`] is its other end. `false`: it cannot be told
    /// as one, and nothing is appended. Then a map says it.
    pub fn write_difference(&self, last: LastReceipt, reader: &UserId, out: &mut Vec<u8>) -> bool {
        let passed_s = passed_s(last.at_s, self.at_ms);
        let delivered = self.delivered.0.checked_sub(last.delivered.0);
        let read = self.read.0.checked_sub(last.read.0);
        let (Some(delivered), Some(read), 0..) = (delivered, read, passed_s) else { return false };
        match (delivered, read) {
            (1, 0) => write_integer(out, passed_s),
            (0, 1..) if self.read == self.delivered => write_integer(out, -1 - passed_s),
            (_, 0) => {
                write_integer(out, passed_s);
                write_number(out, delivered);
            }
            _ => {
                write_integer(out, passed_s);
                write_number(out, delivered);
                write_number(out, read);
            }
        }
        let reading = Reading { chat: &self.chat, reader };
        if !reading.is_implied(&self.user) {
            write_map(out, |map| reading.write(map, &self.user));
        }
        true
    }

    /// Reads a payload of `c/{chat}/r/d`: a map, or a difference to what `last` gives, the last
    /// receipt of that user on this topic in this connection. The time of a difference is told to
    /// the second.
    ///
    /// # Errors
    /// [`Error`]: it is no receipt, or a difference to what is not known here.
    pub fn from_difference(
        chat: &ChatId,
        reader: &UserId,
        last: impl FnOnce(&UserId) -> Option<LastReceipt>,
        payload: &[u8],
    ) -> Result<Self, Error> {
        let mut input = Reader::new(payload);
        if input.kind()? == Type::Map {
            return Self::from_compact(chat, reader, payload);
        }
        let reading = Reading { chat, reader };
        let first = input.integer(TIME)?;
        let mut rises = (None, None);
        if input.is_number() {
            rises.0 = Some(input.number(DELIVERED)?);
            if input.is_number() {
                rises.1 = Some(input.number(READ)?);
            }
        }
        let user = if input.is_at_end() { None } else { user_of(&mut input, reading)? };
        input.finish()?;
        let user = user.map_or_else(|| reading.implied(), Ok)?;
        let last = last(&user).ok_or(Error::NoLast)?;
        let caught_up = first < 0;
        if caught_up && rises.0.is_some() {
            return Err(Error::Backwards);
        }
        let passed_s = if caught_up { -1 - first } else { first };
        let delivered = rises.0.unwrap_or(u64::from(!caught_up));
        let delivered = beyond(last.delivered, delivered)?;
        let read = if caught_up { delivered } else { beyond(last.read, rises.1.unwrap_or(0))? };
        if read > delivered {
            return Err(Error::Ahead);
        }
        let at_ms = later(last.at_s, passed_s)?;
        Ok(Self { chat: chat.clone(), user, delivered, read, at_ms })
    }
}

/// The map at the end of a receipt's difference, whose one key is the user.
fn user_of(input: &mut Reader<'_>, reading: Reading<'_>) -> Result<Option<UserId>, Error> {
    let mut user = None;
    let mut seen = Seen::default();
    for _ in 0..input.map("what follows the integers")? {
        let Some(key) = input.key_or_skip(&mut seen)? else { continue };
        match Key::of(key) {
            Some(Key::From) => user = Some(reading.read(input)?),
            Some(key @ (Key::At | Key::Delivered | Key::Unread)) => {
                return Err(Error::InDifference { what: key.to_string() });
            }
            _ => input.skip()?,
        }
    }
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_MS: u64 = 1_764_000_000_000;

    fn user(name: &str) -> UserId {
        UserId::try_from(name).expect("a user")
    }

    fn chat(name: &str) -> ChatId {
        ChatId::try_from(name).expect("a chat")
    }

    fn id() -> crate::MessageId {
        crate::MessageId::from_bytes([7; 16]).expect("an id")
    }

    /// The difference, or nothing where a map has to say it.
    fn of_message(message: &MessageRef<'_>, last: LastMessage, reader: &str) -> Option<Vec<u8>> {
        // Appended: what is there stays, also where there is no difference.
        let mut out = b">".to_vec();
        let told = message.write_difference(last, &user(reader), &mut out);
        assert_eq!((out.remove(0), told), (b'>', !out.is_empty()));
        told.then_some(out)
    }

    #[test]
    fn the_usual_message_is_its_time_and_its_body() {
        let (chat, alice) = (chat("alice~bob"), user("alice"));
        let last = LastMessage::new(Seq(99_999), AT_MS + 999);
        let after = Some(Seq(99_999));
        let message = |seq, at_ms| MessageRef {
            body: Some(b"hi"),
            ..MessageRef::new(&chat, Seq(seq), id(), &alice, at_ms, "text/plain")
        };
        for (message, expected) in [
            (message(100_000, AT_MS + 999), Some(&b"\x00\x62hi"[..])),
            // A second has begun, though it has not passed.
            (message(100_000, AT_MS + 1000), Some(b"\x01\x62hi")),
            (message(100_000, AT_MS + 23_999), Some(b"\x17\x62hi")),
            (message(100_000, AT_MS + 255_000), Some(b"\x18\xff\x62hi")),
            (message(100_000, AT_MS + 65_535_000), Some(b"\x19\xff\xff\x62hi")),
            (message(100_000, AT_MS - 1), Some(b"\x20\x62hi")),
            // What lies between is not for this device: the step says so.
            (MessageRef { after, ..message(100_001, AT_MS) }, Some(b"\x00\x02\x62hi")),
            (message(100_001, AT_MS), None),
            (MessageRef { after, ..message(100_000, AT_MS) }, None),
            (MessageRef { after: Some(Seq(7)), ..message(100_001, AT_MS) }, None),
            (message(99_999, AT_MS), None),
            (message(7, AT_MS), None),
        ] {
            let payload = of_message(&message, last, "bob");
            assert_eq!(payload.as_deref(), expected, "{message:?}");
            let Some(payload) = payload else { continue };
            let read = Message::from_difference(&chat, &user("bob"), Some(last), &payload);
            let read = read.expect("a message");
            assert_eq!((read.seq, read.after), (message.seq, message.after));
            assert_eq!(read.at_ms, message.at_ms / 1000 * 1000, "to the second");
            assert_eq!((read.from, read.body.as_deref()), (alice.clone(), message.body));
        }
    }

    #[test]
    fn what_else_a_message_says_is_in_a_map() {
        let (direct, group) = (chat("alice~bob"), chat("g-7k2m9x4q1zrt"));
        let alice = user("alice");
        let last = LastMessage::new(Seq(6), AT_MS);
        let plain = |chat| MessageRef {
            body: Some(b"hi"),
            ..MessageRef::new(chat, Seq(7), id(), &alice, AT_MS, "text/plain")
        };
        let own = [&b"\x00\xa3\x02\x62hi\x03\x00\x05\x50"[..], &[7; 16]].concat();
        for (message, reader, expected) in [
            (plain(&group), "bob", &b"\x00\xa2\x02\x62hi\x03\x65alice"[..]),
            (plain(&direct), "alice", &own),
            (
                MessageRef { reply_to: Some(Seq(3)), ..plain(&direct) },
                "bob",
                b"\x00\xa2\x02\x62hi\x06\x03",
            ),
            (
                MessageRef { deleted: true, body: None, ..plain(&direct) },
                "bob",
                b"\x00\xa1\x0c\xf5",
            ),
            (MessageRef { body: None, ..plain(&direct) }, "bob", b"\x00\xa0"),
            (
                MessageRef { content_type: "x", ..plain(&direct) },
                "bob",
                b"\x00\xa2\x02\x42hi\x04\x61x",
            ),
            (
                MessageRef {
                    body: Some(b"\xff"),
                    content_type: "application/octet-stream",
                    ..plain(&direct)
                },
                "bob",
                b"\x00\x41\xff",
            ),
        ] {
            let payload = of_message(&message, last, reader).expect("a difference");
            assert_eq!(payload, expected, "{message:?}");
            let chat = message.chat;
            let read = Message::from_difference(chat, &user(reader), Some(last), &payload);
            let mut whole = Vec::new();
            message.write_compact(&user(reader), &mut whole);
            assert_eq!(read, Message::from_compact(chat, &user(reader), &whole));
        }
    }

    #[test]
    fn a_difference_that_is_none_is_an_error() {
        let (direct, bob) = (chat("alice~bob"), user("bob"));
        let last = LastMessage::new(Seq(6), AT_MS);
        let read = |payload: &[u8]| Message::from_difference(&direct, &bob, Some(last), payload);
        assert_eq!(read(b"\x00\x18\x02\x62hi").expect("longer than need be").seq, Seq(8));
        assert_eq!(read(b"\x00\xa2\x02\x60\x18\x1e\x80").expect("a key to come").seq, Seq(7));
        for (payload, what) in [
            (&b""[..], "byte 0"),
            (b"\x00", "byte 1"),
            (b"\x00\x02", "byte 2"),
            (b"\x62hi", "the first item, how much time has passed, has to be an integer"),
            (b"\x00\xf5", "'body' (key 2)"),
            (b"\x00\x00\x62hi", "has to be 2 or more"),
            (b"\x00\x01\x62hi", "has to be 2 or more"),
            (b"\x00\x21\x62hi", "not a negative integer"),
            (b"\x00\x62hi\x00", "more follows"),
            (b"\x00\xa1\x00\x07", "'seq' (key 0) has no place in a difference"),
            (b"\x00\xa1\x01\x07", "'at' (key 1) has no place in a difference"),
            (b"\x00\xa1\x0a\x07", "'after' (key 10) has no place in a difference"),
            (b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff\x62hi", "beyond the numbers"),
            (b"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff\x62hi", "beyond the numbers"),
            (b"\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x62hi", "beyond the numbers"),
            (b"\x00\x1b\xff\xff\xff\xff\xff\xff\xff\xff\x62hi", "beyond the numbers"),
        ] {
            let error = read(payload).expect_err(what).to_string();
            assert!(error.contains(what), "{what}: {error}");
        }
        let unknown = Message::from_difference(&direct, &bob, None, b"\x00\x62hi");
        assert_eq!(unknown, Err(Error::NoLast));
    }

    #[test]
    fn a_receipt_is_its_time_and_what_has_risen() {
        let last = LastReceipt { delivered: Seq(1000), read: Seq(990), at_s: AT_MS / 1000 };
        let receipt = |chat_of: &str, delivered, read, at_ms| Receipt {
            chat: chat(chat_of),
            user: user("bob"),
            delivered: Seq(delivered),
            read: Seq(read),
            at_ms,
        };
        let (direct, group) = ("alice~bob", "g-7k2m9x4q1zrt");
        for (receipt, reader, expected) in [
            (receipt(direct, 1001, 990, AT_MS), "alice", Some(&b"\x00"[..])),
            (receipt(direct, 1001, 990, AT_MS + 30_000), "alice", Some(b"\x18\x1e")),
            (receipt(direct, 1000, 1000, AT_MS), "alice", Some(b"\x20")),
            (receipt(direct, 1000, 1000, AT_MS + 23_999), "alice", Some(b"\x37")),
            (receipt(direct, 1000, 1000, AT_MS + 24_000), "alice", Some(b"\x38\x18")),
            (receipt(direct, 1003, 990, AT_MS), "alice", Some(b"\x00\x03")),
            (receipt(direct, 1000, 990, AT_MS), "alice", Some(b"\x00\x00")),
            (receipt(direct, 1000, 995, AT_MS), "alice", Some(b"\x00\x00\x05")),
            (receipt(direct, 1001, 1001, AT_MS), "alice", Some(b"\x00\x01\x0b")),
            (receipt(direct, 1001, 990, AT_MS), "bob", Some(b"\x00\xa1\x03\x00")),
            (receipt(group, 1000, 1000, AT_MS), "alice", Some(b"\x20\xa1\x03\x63bob")),
            // The clock was set back, and what never falls has fallen.
            (receipt(direct, 1001, 990, AT_MS - 1), "alice", None),
            (receipt(direct, 999, 990, AT_MS), "alice", None),
            (receipt(direct, 1001, 0, AT_MS), "alice", None),
        ] {
            let mut out = Vec::new();
            let told = receipt.write_difference(last, &user(reader), &mut out);
            assert_eq!(told.then_some(&out[..]), expected, "{receipt:?}");
            assert_eq!(told, !out.is_empty());
            let known = |of: &UserId| Some(last).filter(|_| *of == user("bob"));
            let read = Receipt::from_difference(&receipt.chat, &user(reader), known, &out);
            let to_the_second = receipt.at_ms / 1000 * 1000;
            assert_eq!(read.ok(), told.then_some(Receipt { at_ms: to_the_second, ..receipt }));
        }
    }

    #[test]
    fn a_receipt_that_is_none_is_an_error() {
        let (direct, alice) = (chat("alice~bob"), user("alice"));
        let last = LastReceipt { delivered: Seq(10), read: Seq(5), at_s: AT_MS / 1000 };
        let known = |of: &UserId| Some(last).filter(|_| *of == user("bob"));
        let read = |payload: &[u8]| {
            let receipt = Receipt::from_difference(&direct, &alice, known, payload);
            receipt.map_err(|error| error.to_string())
        };
        assert!(read(b"\x00\xa2\x03\x63bob\x18\x1e\x80").is_ok(), "a key to come");
        for (payload, what) in [
            (&b""[..], "byte 0"),
            (b"\x61x", "has to be an integer, not a text string"),
            (b"\x00\x01\x01\x01", "has to be a map"),
            (b"\x00\x01\x20", "has to be a map, not a negative integer"),
            (b"\x00\xa0\x00", "more follows"),
            (b"\x20\x01", "has to be 0 or more"),
            (b"\x00\x00\x06", "'read' has to be at most"),
            (b"\x00\xa1\x01\x00", "'at' (key 1) has no place"),
            (b"\x00\xa1\x11\x00", "'delivered' (key 17) has no place"),
            (b"\x00\xa1\x12\x00", "'unread' (key 18) has no place"),
            (b"\x00\xa1\x03\x00", "has to follow a map"),
            (b"\x00\xa1\x03\x65carol", "has to follow a map"),
            (b"\x00\x1b\xff\xff\xff\xff\xff\xff\xff\xff", "beyond the numbers"),
            (b"\x00\x00\x1b\xff\xff\xff\xff\xff\xff\xff\xff", "beyond the numbers"),
            (b"\x1b\x7f\xff\xff\xff\xff\xff\xff\xff", "beyond the numbers"),
            (b"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff", "beyond the numbers"),
            (b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff", "beyond the numbers"),
        ] {
            let error = read(payload).expect_err(what);
            assert!(error.contains(what), "{what}: {error}");
        }
    }
}
