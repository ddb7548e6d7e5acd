//! The small payloads: how far one has read, receipts, who is typing.

use minicbor::data::Type;

use super::cbor::{Reader, Seen, write_bool, write_map, write_number};
use super::error::Error;
use super::key::Key;
use super::who::Reading;
use crate::names::{ChatId, UserId};
use crate::payload::{Receipt, ReceiptCount};
use crate::seq::Seq;

const PAYLOAD: &str = "the payload";

/// The payload of `c/{chat}/d`: up to here one has read.
#[must_use]
pub fn read_payload(seq: Seq) -> Vec<u8> {
    let mut out = Vec::new();
    write_number(&mut out, seq.0);
    out
}

/// Reads the payload of `c/{chat}/d`: an unsigned integer.
///
/// # Errors
/// [`Error`]: it is something else.
pub fn parse_read(payload: &[u8]) -> Result<Seq, Error> {
    let mut reader = Reader::new(payload);
    let seq = reader.number(PAYLOAD)?;
    reader.finish().map(|()| Seq(seq))
}

/// The payload of `c/{chat}/t`: whether one is typing.
#[must_use]
pub fn typing_payload(typing: bool) -> Vec<u8> {
    let mut out = Vec::new();
    write_bool(&mut out, typing);
    out
}

/// Reads the payload of `c/{chat}/t` as a client publishes it: a boolean.
///
/// # Errors
/// [`Error`]: it is something else.
pub fn parse_typing(payload: &[u8]) -> Result<bool, Error> {
    let mut reader = Reader::new(payload);
    let typing = reader.bool(PAYLOAD)?;
    reader.finish().map(|()| typing)
}

/// The payload of `c/{chat}/r`: a map of user, delivered, unread and at.
impl Receipt {
    /// Appends the CBOR, for `reader`'s devices.
    pub fn write_compact(&self, reader: &UserId, out: &mut Vec<u8>) {
        let reading = Reading { chat: &self.chat, reader };
        // In place of `read`: nothing where all is read, else most often a single byte.
        let unread = self.delivered.0.saturating_sub(self.read.0);
        write_map(out, |map| {
            map.number(Key::At, self.at_ms);
            reading.write(map, &self.user);
            map.number(Key::Delivered, self.delivered.0);
            if unread > 0 {
                map.number(Key::Unread, unread);
            }
        });
    }

    /// Reads the CBOR: `chat` is the topic's, `reader` he who has subscribed. Keys it does not
    /// know are passed over: a later server may add some.
    ///
    /// # Errors
    /// [`Error`]: it is something else.
    pub fn from_compact(chat: &ChatId, reader: &UserId, payload: &[u8]) -> Result<Self, Error> {
        let reading = Reading { chat, reader };
        let mut input = Reader::new(payload);
        let (mut at_ms, mut user, mut delivered, mut unread) = (None, None, None, 0);
        let mut seen = Seen::default();
        for _ in 0..input.map(PAYLOAD)? {
            let Some(key) = input.key_or_skip(&mut seen)? else { continue };
            match Key::of(key) {
                Some(key @ Key::At) => at_ms = Some(input.number(key)?),
                Some(Key::From) => user = Some(reading.read(&mut input)?),
                Some(key @ Key::Delivered) => delivered = Some(input.number(key)?),
                Some(key @ Key::Unread) => unread = input.number(key)?,
                _ => input.skip()?,
            }
        }
        input.finish()?;
        let delivered = required(delivered, Key::Delivered)?;
        Ok(Self {
            chat: chat.clone(),
            user: user.map_or_else(|| reading.implied(), Ok)?,
            delivered: Seq(delivered),
            read: delivered.checked_sub(unread).map(Seq).ok_or(Error::Unread)?,
            at_ms: required(at_ms, Key::At)?,
        })
    }
}

/// The other payload of `c/{chat}/r`, told from a receipt by its keys: a map of seq, delivered_by
/// and read_by.
impl ReceiptCount {
    /// Appends the CBOR.
    pub fn write_compact(&self, out: &mut Vec<u8>) {
        write_map(out, |map| {
            map.number(Key::Seq, self.seq.0);
            map.number(Key::DeliveredBy, self.delivered_by);
            map.number(Key::ReadBy, self.read_by);
        });
    }

    /// Reads the CBOR: `chat` is the topic's. Keys it does not know are passed over: a later server
    /// may add some.
    ///
    /// # Errors
    /// [`Error`]: it is something else.
    pub fn from_compact(chat: &ChatId, payload: &[u8]) -> Result<Self, Error> {
        let mut input = Reader::new(payload);
        let (mut seq, mut delivered_by, mut read_by) = (None, None, None);
        let mut seen = Seen::default();
        for _ in 0..input.map(PAYLOAD)? {
            let Some(key) = input.key_or_skip(&mut seen)? else { continue };
            match Key::of(key) {
                Some(key @ Key::Seq) => seq = Some(input.number(key)?),
                Some(key @ Key::DeliveredBy) => delivered_by = Some(input.number(key)?),
                Some(key @ Key::ReadBy) => read_by = Some(input.number(key)?),
                _ => input.skip()?,
            }
        }
        input.finish()?;
        Ok(Self {
            chat: chat.clone(),
            seq: Seq(required(seq, Key::Seq)?),
            delivered_by: required(delivered_by, Key::DeliveredBy)?,
            read_by: required(read_by, Key::ReadBy)?,
        })
    }
}

/// That a member is typing, or no longer: what the server publishes to `c/{chat}/t`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypingNotice {
    /// In which chat.
    pub chat: ChatId,
    /// Who.
    pub user: UserId,
    /// Whether he is.
    pub typing: bool,
}

impl TypingNotice {
    /// Appends the CBOR, for `reader`'s devices: the bare boolean where it is the other of a
    /// direct chat, else a map.
    pub fn write_compact(&self, reader: &UserId, out: &mut Vec<u8>) {
        let reading = Reading { chat: &self.chat, reader };
        if reading.is_implied(&self.user) {
            return write_bool(out, self.typing);
        }
        write_map(out, |map| {
            reading.write(map, &self.user);
            write_bool(map.key(Key::Typing.number()), self.typing);
        });
    }

    /// Reads the CBOR: `chat` is the topic's, `reader` he who has subscribed. Keys it does not
    /// know are passed over: a later server may add some.
    ///
    /// # Errors
    /// [`Error`]: it is something else.
    pub fn from_compact(chat: &ChatId, reader: &UserId, payload: &[u8]) -> Result<Self, Error> {
        let reading = Reading { chat, reader };
        let mut input = Reader::new(payload);
        let (mut user, mut typing) = (None, None);
        if input.kind()? == Type::Map {
            let mut seen = Seen::default();
            for _ in 0..input.map(PAYLOAD)? {
                let Some(key) = input.key_or_skip(&mut seen)? else { continue };
                match Key::of(key) {
                    Some(Key::From) => user = Some(reading.read(&mut input)?),
                    Some(key @ Key::Typing) => typing = Some(input.bool(key)?),
                    _ => input.skip()?,
                }
            }
        } else {
            typing = Some(input.bool(PAYLOAD)?);
        }
        input.finish()?;
        Ok(Self {
            chat: chat.clone(),
            user: user.map_or_else(|| reading.implied(), Ok)?,
            typing: required(typing, Key::Typing)?,
        })
    }
}

/// What a map has to have.
pub(super) fn required<T>(value: Option<T>, key: Key) -> Result<T, Error> {
    value.ok_or_else(|| Error::Missing { what: key.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::try_from(name).expect("a user")
    }

    fn receipt(chat: &str, delivered: u64, read: u64) -> Receipt {
        Receipt {
            chat: ChatId::try_from(chat).expect("a chat"),
            user: user("bob"),
            delivered: Seq(delivered),
            read: Seq(read),
            at_ms: 1_764_000_000_000,
        }
    }

    #[test]
    fn a_receipt_is_told_in_few_bytes() {
        let at = b"\x01\x1b\x00\x00\x01\x9a\xb6\x97\xe8\x00";
        let (direct, group) = ("alice~bob", "g-7k2m9x4q1zrt");
        for (receipt, reader, head, rest) in [
            (receipt(direct, 17, 15), "alice", 0xa3, &b"\x11\x11\x12\x02"[..]),
            (receipt(direct, 17, 17), "alice", 0xa2, b"\x11\x11"),
            (receipt(direct, 17, 0), "bob", 0xa4, b"\x03\x00\x11\x11\x12\x11"),
            (receipt(group, 300, 300), "alice", 0xa3, b"\x03\x63bob\x11\x19\x01\x2c"),
            (receipt(group, 0, 0), "bob", 0xa3, b"\x03\x00\x11\x00"),
        ] {
            let mut out = Vec::new();
            receipt.write_compact(&user(reader), &mut out);
            assert_eq!(out, [&[head], &at[..], rest].concat(), "{receipt:?}");
            assert_eq!(Receipt::from_compact(&receipt.chat, &user(reader), &out), Ok(receipt));
        }
    }

    #[test]
    fn a_count_is_told_in_few_bytes() {
        let chat = ChatId::try_from("g-7k2m9x4q1zrt").expect("a chat");
        let count =
            ReceiptCount { chat: chat.clone(), seq: Seq(7), delivered_by: 900, read_by: 12 };
        let mut out = Vec::new();
        count.write_compact(&mut out);
        assert_eq!(out, b"\xa3\x00\x07\x14\x19\x03\x84\x15\x0c");
        assert_eq!(ReceiptCount::from_compact(&chat, &out), Ok(count));
        // The two share a topic, and are told apart by their keys.
        let alice = UserId::try_from("alice").expect("a user");
        assert!(Receipt::from_compact(&chat, &alice, &out).is_err());
        assert!(ReceiptCount::from_compact(&chat, &out[..8]).is_err());
    }

    #[test]
    fn a_receipt_that_is_none_is_an_error() {
        let chat = ChatId::try_from("alice~bob").expect("a chat");
        let read = |payload: &[u8]| {
            let receipt = Receipt::from_compact(&chat, &user("alice"), payload);
            receipt.map_err(|error| error.to_string())
        };
        assert!(read(b"\xa3\x01\x05\x11\x11\x18\x63\x80").is_ok(), "a key to come");
        assert!(read(b"\xa3\x01\x05\x11\x11\x61x\x80").is_ok(), "a key of another kind to come");
        for (payload, what) in [
            (&b"\xa2\x01\x05\x12\x01"[..], "'delivered' (key 17) is missing"),
            (b"\xa1\x11\x01", "'at' (key 1) is missing"),
            (b"\xa3\x01\x05\x11\x01\x12\x02", "'unread'"),
            (b"\xa3\x01\x05\x11\x01\x11\x01", "key 17 is in the map twice"),
            (b"\xa3\x01\x05\x03\x01\x11\x01", "0 for the reader"),
            (b"\xa3\x01\x05\x03\x63Bob\x11\x01", "a-z"),
            (b"\xa2\x01\x05\x11\x20", "an unsigned integer, not a negative integer"),
            (b"\xa2\x01\x05\x11\x01\x00", "more follows"),
            (b"\xbf\x01\x05\x11\x01\xff", "not a map of indefinite length"),
            (b"\x81\x01", "has to be a map, not an array"),
            (b"", "byte 0"),
        ] {
            let error = read(payload).expect_err(what);
            assert!(error.contains(what), "{what}: {error}");
        }
        // One who is not of the chat cannot know who is meant.
        assert!(Receipt::from_compact(&chat, &user("carol"), b"\xa2\x01\x05\x11\x01").is_err());
    }

    #[test]
    fn a_read_is_a_bare_number() {
        for (seq, payload) in [
            (0, &b"\x00"[..]),
            (23, b"\x17"),
            (24, b"\x18\x18"),
            (300, b"\x19\x01\x2c"),
            (u64::MAX, b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff"),
        ] {
            assert_eq!(read_payload(Seq(seq)), payload);
            assert_eq!(parse_read(payload), Ok(Seq(seq)));
        }
        assert_eq!(parse_read(b"\x19\x00\x07"), Ok(Seq(7)), "longer than need be");
        for bad in [&b""[..], b"7", b"\x18", b"\x07\x07", b"\x20", b"\xf5", b"\xc2\x41\x07"] {
            assert!(parse_read(bad).is_err(), "{bad:x?}");
        }
        // What the other dialect writes there: '1' and '7' are negative integers of CBOR.
        let error = parse_read(b"17").expect_err("text").to_string();
        assert_eq!(error, "the payload has to be an unsigned integer, not a negative integer");
    }

    #[test]
    fn typing_is_a_bare_boolean_where_the_topic_tells_who() {
        for (typing, byte) in [(false, b"\xf4"), (true, b"\xf5")] {
            assert_eq!(typing_payload(typing), byte);
            assert_eq!(parse_typing(byte), Ok(typing));
        }
        for bad in [&b""[..], b"1", b"\x01", b"\xf6", b"\xf5\xf5"] {
            assert!(parse_typing(bad).is_err(), "{bad:x?}");
        }
        for (chat, reader, payload) in [
            ("alice~bob", "alice", &b"\xf5"[..]),
            ("alice~bob", "bob", b"\xa2\x03\x00\x13\xf5"),
            ("g-7k2m9x4q1zrt", "alice", b"\xa2\x03\x63bob\x13\xf5"),
        ] {
            let chat = ChatId::try_from(chat).expect("a chat");
            let notice = TypingNotice { chat: chat.clone(), user: user("bob"), typing: true };
            let mut out = Vec::new();
            notice.write_compact(&user(reader), &mut out);
            assert_eq!(out, payload, "{notice:?}");
            assert_eq!(TypingNotice::from_compact(&chat, &user(reader), payload), Ok(notice));
        }
        let group = ChatId::try_from("g-7k2m9x4q1zrt").expect("a chat");
        for bad in [&b"\xf5"[..], b"\xa1\x03\x63bob", b"\x01"] {
            assert!(TypingNotice::from_compact(&group, &user("alice"), bad).is_err(), "{bad:x?}");
        }
    }
}
