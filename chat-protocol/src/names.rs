//! Names of users, chats and messages, each valid by construction.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Characters of a user's name, at most.
pub const USER_CHARS_MAX: usize = 64;

/// Characters of a group's name after `g-`.
const GROUP_CHARS: std::ops::RangeInclusive<usize> = 12..=64;

/// Why a name is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a user.
    #[error(
        "a user name has 1 to 64 of a-z, 0-9, '.', '_' and '-', and starts with a letter or digit"
    )]
    User,
    /// Not a chat.
    #[error(
        "a chat is two user names in order, joined by '~', or a group: 'g-' and 12 to 64 of a-z and 0-9"
    )]
    Chat,
    /// Not a message id.
    #[error("a message id is a UUID in text form with hyphens, and not nil")]
    Message,
}

/// A user: `[a-z0-9][a-z0-9._-]{0,63}`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(Arc<str>);

impl UserId {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_user(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.len() <= USER_CHARS_MAX
        && bytes.first().is_some_and(|first| plain(*first))
        && bytes.iter().all(|byte| plain(*byte) || b"._-".contains(byte))
}

impl TryFrom<&str> for UserId {
    type Error = NameError;

    fn try_from(name: &str) -> Result<Self, NameError> {
        if is_user(name) { Ok(Self(name.into())) } else { Err(NameError::User) }
    }
}

/// What a chat is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatKind {
    /// Of two users, or of one with himself.
    Direct,
    /// Of named members.
    Group,
}

/// A chat: `alice~bob` or `g-7k2m9x4q1zrt`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChatId(Arc<str>);

impl ChatId {
    /// The direct chat of two users, in either order; of one with himself: his notes.
    #[must_use]
    pub fn direct(a: &UserId, b: &UserId) -> Self {
        let (first, second) = if a <= b { (a, b) } else { (b, a) };
        Self(format!("{first}~{second}").into())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> ChatKind {
        if self.0.contains('~') { ChatKind::Direct } else { ChatKind::Group }
    }

    /// The two users of a direct chat.
    #[must_use]
    pub fn direct_members(&self) -> Option<(UserId, UserId)> {
        let (first, second) = self.0.split_once('~')?;
        Some((UserId(first.into()), UserId(second.into())))
    }

    /// Whether it is a direct chat of this user.
    #[must_use]
    pub fn names(&self, user: &UserId) -> bool {
        self.0
            .split_once('~')
            .is_some_and(|(first, second)| first == user.as_str() || second == user.as_str())
    }
}

impl TryFrom<&str> for ChatId {
    type Error = NameError;

    fn try_from(name: &str) -> Result<Self, NameError> {
        let valid = match name.split_once('~') {
            Some((first, second)) => is_user(first) && is_user(second) && first <= second,
            None => name.strip_prefix("g-").is_some_and(|rest| {
                GROUP_CHARS.contains(&rest.len())
                    && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            }),
        };
        if valid { Ok(Self(name.into())) } else { Err(NameError::Chat) }
    }
}

/// The idempotency key of a message: a UUID that is not nil.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageId(Uuid);

impl MessageId {
    /// `None` for the nil UUID.
    #[must_use]
    pub fn from_uuid(uuid: Uuid) -> Option<Self> {
        (!uuid.is_nil()).then_some(Self(uuid))
    }

    /// `None` for zeros.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        Self::from_uuid(Uuid::from_bytes(bytes))
    }

    /// As a UUID.
    #[must_use]
    pub fn as_uuid(&self) -> Uuid {
        self.0
    }

    /// As bytes, which sort like the ids.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Whether it begins with the time (version 7), so that later ones are greater.
    #[must_use]
    pub fn is_v7(&self) -> bool {
        self.0.get_version_num() == 7
    }
}

impl TryFrom<&str> for MessageId {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        // The crate also reads braces, URNs and bare digits: the contract has one form.
        if text.len() != uuid::fmt::Hyphenated::LENGTH {
            return Err(NameError::Message);
        }
        let uuid = Uuid::try_parse(text).map_err(|_| NameError::Message)?;
        Self::from_uuid(uuid).ok_or(NameError::Message)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// A place in a chat: 1, 2, 3 …; zero stands before the first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first.
    pub const ZERO: Self = Self(0);

    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! name_traits {
    ($($name:ident)*) => { $(
        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                Self::try_from(name.as_str())
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::try_from(name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )* };
}

name_traits!(UserId ChatId MessageId);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ChatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users() {
        for good in ["a", "0", "alice", "a.b_c-d", "0x", &"a".repeat(64)] {
            assert_eq!(UserId::try_from(good).map(String::from).as_deref(), Ok(good));
        }
        for bad in ["", ".a", "-a", "_a", "Alice", "a~b", "a/b", "a b", "ä", &"a".repeat(65)] {
            assert_eq!(UserId::try_from(bad), Err(NameError::User), "{bad:?}");
        }
    }

    #[test]
    fn chats() {
        let user = |name| UserId::try_from(name).expect("a name");
        let chat = ChatId::direct(&user("bob"), &user("alice"));
        assert_eq!(chat.as_str(), "alice~bob");
        assert_eq!(chat.direct_members(), Some((user("alice"), user("bob"))));
        assert!(chat.names(&user("bob")) && !chat.names(&user("bo")));
        for good in ["a~a", "a~b", "a~a.b", "g-7k2m9x4q1zrt"] {
            assert!(ChatId::try_from(good).is_ok(), "{good:?}");
        }
        for bad in ["b~a", "a~", "~a", "a~b~c", "g-short", "g-7K2m9x4q1zrt", "a", "", "a~B"] {
            assert_eq!(ChatId::try_from(bad), Err(NameError::Chat), "{bad:?}");
        }
        assert_eq!(ChatId::try_from("g-7k2m9x4q1zrt").map(|chat| chat.kind()), Ok(ChatKind::Group));
        // A user may be called like a group's beginning; the '~' tells.
        assert_eq!(ChatId::try_from("g-a~g-b").map(|chat| chat.kind()), Ok(ChatKind::Direct));
    }

    #[test]
    fn message_ids() {
        let upper = MessageId::try_from("0193A5F0-1C2B-7D3E-8F4A-5B6C7D8E9F00").expect("an id");
        assert_eq!(upper.to_string(), "0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00");
        assert!(upper.is_v7());
        for bad in [
            "",
            "00000000-0000-0000-0000-000000000000",
            "0193a5f01c2b7d3e8f4a5b6c7d8e9f00",
            "{0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00}",
            "0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f0g",
        ] {
            assert_eq!(MessageId::try_from(bad), Err(NameError::Message), "{bad:?}");
        }
    }
}
