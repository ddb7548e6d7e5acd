//! One entry of a chat's log.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bluetick_protocol::{Event, MessageId, Seq, UserId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Millis;

/// What a message counts against its author's quota beside its body.
pub const MESSAGE_BYTES: i64 = 100;

/// About what the encoding of an entry takes beside its body: keys, names, times, topic.
const ENCODED_BYTES: usize = 256;

/// What a chat's log holds at one `seq`: a message, or an event of the group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the chat.
    pub seq: Seq,
    /// The idempotency key: the sender's, or made by the server.
    pub id: MessageId,
    /// The place of its author in the list of members.
    pub author: u32,
    /// The author's entry before this one; zero for his first.
    pub previous: Seq,
    /// Set where its id is above all that its author had used here before: the place of the message
    /// that has the greatest of those, zero for the first. See [`Member::newest_id`](super::Member).
    pub previous_named: Seq,
    /// When the server took it; never falls within a chat.
    pub at_ms: Millis,
    /// What the body is.
    pub content_type: ContentType,
    /// The body, as it came.
    pub body: Bytes,
    /// Which entry it answers.
    pub reply_to: Option<Seq>,
    /// Whom it mentions.
    pub mentions: Vec<UserId>,
    /// When it is no longer to be delivered.
    pub expires_at_ms: Option<Millis>,
    /// Recognises a retransmission of a message without an id: see [`super::Send::fingerprint`].
    pub fingerprint: Option<u64>,
    /// Set where the entry is an event.
    pub event: Option<Event>,
    /// Set where the entry changes an earlier one.
    pub amends: Option<Amends>,
    /// Its body is deleted, here and in the store.
    pub deleted: bool,
    /// Its author was blocked: nobody but himself gets it, ever.
    pub hidden: bool,
    /// A hash of the author's device: a subscription without its own messages skips by it. Two
    /// devices of one user with the same hash are one in four thousand million.
    pub origin: u32,
    /// What readers derive from the entry once and share, such as its encoding.
    #[serde(skip)]
    pub derived: Derived,
}

/// What an entry does to an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Amends {
    /// Its body is the new one.
    Edit(Seq),
    /// That one is no more.
    Delete(Seq),
    /// Its body is an emoji, or empty to take it back.
    React(Seq),
}

impl Amends {
    /// The earlier one.
    #[must_use]
    pub fn target(self) -> Seq {
        match self {
            Self::Edit(seq) | Self::Delete(seq) | Self::React(seq) => seq,
        }
    }
}

/// What later entries have done to a message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amendments {
    /// Its edits, the newest last.
    pub edits: Vec<Seq>,
    /// Who reacts, by his place, and with which entry. One each.
    pub reactions: Vec<(u32, Seq)>,
}

/// Room for one value that is derived from an entry on first use. Not part of the entry: equal to
/// any other, and not copied along.
#[derive(Default)]
pub struct Derived(OnceLock<Arc<dyn Any + Send + Sync>>);

impl Derived {
    /// The value, made by `make` the first time. All callers must derive the same type.
    pub fn get_or_init<T: Any + Send + Sync>(&self, make: impl Fn() -> Arc<T>) -> Arc<T> {
        let shared = self.0.get_or_init(|| make());
        shared.clone().downcast().unwrap_or_else(|_| make())
    }
}

impl Clone for Derived {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Derived {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Derived")
    }
}

impl Entry {
    /// Whether it is a message, rather than something that happened or that changes one.
    #[must_use]
    pub fn is_message(&self) -> bool {
        self.event.is_none() && self.amends.is_none()
    }

    /// What is left of it when it is deleted: its place.
    #[must_use]
    pub fn erased(&self) -> Self {
        Self {
            content_type: ContentType::Text,
            body: Bytes::new(),
            reply_to: None,
            mentions: Vec::new(),
            deleted: true,
            ..self.clone()
        }
    }

    /// What it takes of its author's quota, bytes; nothing once its body is erased.
    #[must_use]
    pub fn stored_bytes(&self) -> i64 {
        if self.deleted || self.event.is_some() {
            return 0;
        }
        i64::try_from(self.body.len()).unwrap_or(i64::MAX).saturating_add(MESSAGE_BYTES)
    }

    /// About what it takes in memory, bytes: itself, its body, and its body once more as it goes
    /// out.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + 2 * self.body.len() + ENCODED_BYTES
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_expired(&self, now: Millis) -> bool {
        self.expires_at_ms.is_some_and(|at| at <= now)
    }
}

/// A content type; the two defaults take a byte in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContentType {
    /// `text/plain`, the default of a body that is UTF-8.
    Text,
    /// `application/octet-stream`, the default of any other.
    Binary,
    /// As the sender said.
    Other(Box<str>),
}

impl ContentType {
    /// The type a sender gave, or the default for `body`.
    #[must_use]
    pub fn of(given: Option<&str>, body: &[u8]) -> Self {
        match given {
            Some("text/plain") => Self::Text,
            Some("application/octet-stream") => Self::Binary,
            Some(other) => Self::Other(other.into()),
            None if std::str::from_utf8(body).is_ok() => Self::Text,
            None => Self::Binary,
        }
    }

    /// As it goes out.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text => "text/plain",
            Self::Binary => "application/octet-stream",
            Self::Other(other) => other,
        }
    }
}
