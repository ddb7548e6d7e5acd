//! Why a payload of the compact dialect is not what its topic says.

use crate::names::NameError;
use crate::payload::{MENTIONS_MAX, PayloadError};

/// Why a payload of the compact dialect is not what its topic says. The text says what would be,
/// and quotes nothing of the peer's but numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Cut off, or not CBOR.
    #[error("the payload has to be one whole item of CBOR (RFC 8949); it breaks off at byte {at}")]
    Malformed {
        /// The place, from 0.
        at: usize,
    },
    /// Something stands after the payload's one item.
    #[error("the payload has to be one item of CBOR; it ends at byte {at}, and more follows")]
    Trailing {
        /// The place, from 0.
        at: usize,
    },
    /// An item of another kind.
    #[error("{what} has to be {expected}, not {found}")]
    Kind {
        /// Which item.
        what: String,
        /// The kind that would be right.
        expected: &'static str,
        /// The kind that it is.
        found: &'static str,
    },
    /// A text string that is not UTF-8.
    #[error("{what} is a text string and has to be UTF-8; other bytes go into a byte string")]
    Utf8 {
        /// Which item.
        what: String,
    },
    /// A key that a send does not have: what it asks for would not be done.
    #[error(
        "there is no key {key} in a send; its keys are 2 (body), 4 (type), 5 (id), 6 (reply_to), \
         7 (mentions) and 8 (ttl_s)"
    )]
    UnknownKey {
        /// The key.
        key: u64,
    },
    /// A key that is there twice.
    #[error("key {key} is in the map twice; each key stands once")]
    Twice {
        /// The key.
        key: u64,
    },
    /// A key that is not there.
    #[error("{what} is missing in the map")]
    Missing {
        /// Which.
        what: String,
    },
    /// Not a message id.
    #[error("'id' (key 5) has to be the 16 bytes of a UUID, not all of them zero")]
    Id,
    /// Not the name of a user.
    #[error("{what}: {error}")]
    Name {
        /// Which item.
        what: String,
        /// What a name is.
        error: NameError,
    },
    /// A number that stands for a user, other than zero.
    #[error("{what} has to be a user name, or 0 for the reader himself")]
    Who {
        /// Which item.
        what: String,
    },
    /// Too many users mentioned.
    #[error("'mentions' (key 7) has to be an array of at most {MENTIONS_MAX} user names")]
    Mentions,
    /// More unread than was delivered.
    #[error("'unread' (key 18) has to be at most 'delivered' (key 17)")]
    Unread,
    /// A difference to what is not known here.
    #[error("a difference has to follow a map on the same topic of the same connection")]
    NoLast,
    /// A key whose value a difference tells beforehand.
    #[error("{what} has no place in a difference, which begins with what is different")]
    InDifference {
        /// Which.
        what: String,
    },
    /// A message that is no further than the next place says how far.
    #[error("the second item, how many places further, has to be 2 or more")]
    Step,
    /// A receipt of which both watermarks are told, and whose time runs back.
    #[error("the first item, how much time has passed, has to be 0 or more where others follow it")]
    Backwards,
    /// A receipt whose `read` would be beyond its `delivered`.
    #[error("'read' has to be at most 'delivered'")]
    Ahead,
    /// A difference to a place or time that cannot be.
    #[error("the difference leads beyond the numbers there are")]
    Beyond,
    /// A value that JSON would not have either.
    #[error(transparent)]
    Value(#[from] PayloadError),
}

impl Error {
    /// The MQTT 5 reason code: 0x99, payload format invalid.
    #[must_use]
    pub const fn code(&self) -> u8 {
        0x99
    }
}
