//! The compact dialect: the same chat in fewer bytes, for narrow lines and small devices.
//! The contract in words is docs/compact.md.
//!
//! - [`PublishTopic`], [`Filter`], [`DeliveryTopic`]: the topics, `c/…`.
//! - [`SendRef`], [`Message`], [`TypingNotice`], [`MessageRef`](crate::MessageRef)'s `write_compact`, and of a
//!   [`Receipt`](crate::Receipt) `write_compact` and `from_compact`: the payloads, maps of CBOR
//!   (RFC 8949) with small integers as keys.
//! - [`Differences`], `write_difference` of [`MessageRef`](crate::MessageRef) and [`Receipt`](crate::Receipt): the
//!   same as the difference to the last one on the topic, in a few bytes, and their other end.
//!
//! What is written is deterministic: shortest integers, definite lengths, keys that rise. What is
//! read may have its keys in any order and its integers in any length, nothing else.
//!
//! What the topic and the reader's own name tell is left out; so both have to be given to those
//! who write and to those who read what the server publishes.

mod cbor;
mod difference;
mod error;
mod event;
mod key;
mod lasts;
mod message;
mod notices;
mod send;
mod topics;
mod who;

pub use difference::{LastMessage, LastReceipt};
pub use error::Error;
pub use lasts::{Differences, LASTS_MAX, Recent};
pub use message::Message;
pub use notices::{TypingNotice, parse_read, parse_typing, read_payload, typing_payload};
pub use send::SendRef;
pub use topics::{
    ALL_MESSAGE_DIFFERENCES_FILTER, ALL_MESSAGES_FILTER, ALL_RECEIPT_DIFFERENCES_FILTER,
    ALL_RECEIPTS_FILTER, ALL_TYPING_FILTER, DeliveryTopic, Filter, PublishTopic,
    message_differences_topic, messages_topic, read_topic, receipt_differences_topic,
    receipts_topic, send_topic, typing_topic,
};

/// The type of a text string that has none beside it.
const TEXT_TYPE: &str = "text/plain";

/// The type of a byte string that has none beside it.
const BYTES_TYPE: &str = "application/octet-stream";

/// A body as it is written: as a text string where its type is `text/…` and it is UTF-8, else as
/// a byte string. Which of the two it is tells the most usual type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> Body<'a> {
    fn new(body: &'a [u8], content_type: &str) -> Self {
        let text = content_type.starts_with("text/").then(|| std::str::from_utf8(body).ok());
        text.flatten().map_or(Self::Bytes(body), Self::Text)
    }

    fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// The type that need not be written.
    fn implied_type(self) -> &'static str {
        match self {
            Self::Text(_) => TEXT_TYPE,
            Self::Bytes(_) => BYTES_TYPE,
        }
    }
}
