//! Names of users and chats, each valid by construction.

use std::borrow::Borrow;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// Characters of a user's name, at most; all are ASCII, so these are bytes too.
pub const USER_CHARS_MAX: usize = 64;

/// Bytes of a chat's name, at most: two users and the `~` between them.
pub const CHAT_BYTES_MAX: usize = 2 * USER_CHARS_MAX + 1;

/// Characters of a request's id, at most; all are ASCII, so these are bytes too.
pub const REQUEST_CHARS_MAX: usize = 64;

/// Characters of a group's name after [`GROUP_PREFIX`].
const GROUP_CHARS: RangeInclusive<usize> = 12..=64;

const GROUP_PREFIX: &str = "g-";

/// Stands between the users of a direct chat; not in a user's alphabet.
const DIRECT_SEPARATOR: char = '~';

/// Why a name is none. Says what a valid one looks like, and nothing of the one given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a [`UserId`].
    #[error(
        "a user name has 1 to 64 of a-z, 0-9, '.', '_' and '-', and starts with a letter or digit"
    )]
    User,
    /// Not a [`ChatId`].
    #[error("a chat is two user names joined by '~', or a group: 'g-' and 12 to 64 of a-z and 0-9")]
    Chat,
    /// A direct chat with its users the wrong way round. Not put right silently: one chat has
    /// one name, so that topics and filters can be compared as text.
    #[error("the two users of a direct chat stand in byte order: 'alice~bob', not 'bob~alice'")]
    ChatOrder,
    /// Not a [`MessageId`](crate::MessageId).
    #[error(
        "a message id is a UUID in text form with hyphens, not nil, \
         such as '0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00'"
    )]
    Message,
    /// Not a [`RequestId`].
    #[error("a request id has 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'")]
    Request,
}

/// A user: `[a-z0-9][a-z0-9._-]{0,63}`; the MQTT user name.
///
/// Cheap to clone. Ordered by bytes. Source: docs/protocol.md "Names".
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Arc<str>);

impl UserId {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn check(name: &str) -> Result<(), NameError> {
        let bytes = name.as_bytes();
        let valid = bytes.len() <= USER_CHARS_MAX
            && bytes.first().is_some_and(|first| is_plain(*first))
            && bytes.iter().all(|byte| is_plain(*byte) || b"._-".contains(byte));
        if valid { Ok(()) } else { Err(NameError::User) }
    }
}

/// What a chat is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChatKind {
    /// Of two users, or of one with himself.
    Direct,
    /// Of members whom the server keeps.
    Group,
}

/// A chat: direct, `alice~bob` (the users in byte order), or a group, `g-7k2m9x4q1zrt`.
///
/// Cheap to clone. Ordered by bytes. At most [`CHAT_BYTES_MAX`] bytes.
/// Source: docs/protocol.md "Names".
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChatId(Arc<str>);

impl ChatId {
    /// The direct chat of two users, given in either order; of one with himself: his notes.
    #[must_use]
    pub fn direct(a: &UserId, b: &UserId) -> Self {
        let (first, second) = if a <= b { (a, b) } else { (b, a) };
        Self(format!("{first}{DIRECT_SEPARATOR}{second}").into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is, told by the name alone.
    #[must_use]
    pub fn kind(&self) -> ChatKind {
        match self.pair() {
            Some(_) => ChatKind::Direct,
            None => ChatKind::Group,
        }
    }

    /// The two users of a direct chat, in byte order; `None` for a group.
    #[must_use]
    pub fn direct_members(&self) -> Option<(UserId, UserId)> {
        let (first, second) = self.pair()?;
        Some((UserId(first.into()), UserId(second.into())))
    }

    /// The other one of a direct chat of `user`, or himself of his notes; `None` for a group and for a chat
    /// that is not his.
    #[must_use]
    pub fn peer_of(&self, user: &UserId) -> Option<UserId> {
        let (first, second) = self.pair()?;
        let peer = match user.as_str() {
            name if name == first => second,
            name if name == second => first,
            _ => return None,
        };
        Some(UserId(peer.into()))
    }

    /// Whether it is a direct chat that names `user`. Of a group the name tells nothing: `false`.
    #[must_use]
    pub fn names(&self, user: &UserId) -> bool {
        self.pair().is_some_and(|(first, second)| first == user.as_str() || second == user.as_str())
    }

    fn pair(&self) -> Option<(&str, &str)> {
        self.0.split_once(DIRECT_SEPARATOR)
    }

    fn check(name: &str) -> Result<(), NameError> {
        if let Some((first, second)) = name.split_once(DIRECT_SEPARATOR) {
            UserId::check(first).and_then(|()| UserId::check(second)).or(Err(NameError::Chat))?;
            return if first <= second { Ok(()) } else { Err(NameError::ChatOrder) };
        }
        let group = name
            .strip_prefix(GROUP_PREFIX)
            .is_some_and(|rest| GROUP_CHARS.contains(&rest.len()) && rest.bytes().all(is_plain));
        if group { Ok(()) } else { Err(NameError::Chat) }
    }
}

/// A request's id, chosen by the one who makes it: `[A-Za-z0-9._-]{1,64}`. A repeat under the same
/// id gets the first answer.
///
/// Cheap to clone. Source: docs/protocol.md "Requests".
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn check(id: &str) -> Result<(), NameError> {
        let valid = (1..=REQUEST_CHARS_MAX).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if valid { Ok(()) } else { Err(NameError::Request) }
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// What these have in common: they are checked text behind an `Arc`.
macro_rules! text_name {
    ($name:ident, $expecting:literal) => {
        impl TryFrom<&str> for $name {
            type Error = NameError;

            fn try_from(name: &str) -> Result<Self, NameError> {
                Self::check(name).map(|()| Self(name.into()))
            }
        }

        /// Shares the text.
        impl TryFrom<Arc<str>> for $name {
            type Error = NameError;

            fn try_from(name: Arc<str>) -> Result<Self, NameError> {
                Self::check(&name).map(|()| Self(name))
            }
        }

        /// Shares the text.
        impl From<$name> for Arc<str> {
            fn from(name: $name) -> Self {
                name.0
            }
        }

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
                name.as_str().to_owned()
            }
        }

        // Maps can be asked by text: equality, order and hash are those of the text.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        // As short as Display: a valid name needs no quotes, and logs are read by people.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: de::Error>(self, name: &str) -> Result<$name, E> {
                        $name::try_from(name).map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }
    };
}

text_name!(UserId, "a user name");
text_name!(ChatId, "the name of a chat");
text_name!(RequestId, "a request id");

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn user(name: &str) -> UserId {
        UserId::try_from(name).expect("a user name")
    }

    #[test]
    fn users() {
        for good in ["a", "0", "alice", "a.b_c-d", "0x", "g-a", &"a".repeat(64)] {
            assert_eq!(user(good).as_str(), good);
            assert_eq!(user(good).to_string(), good);
            assert_eq!(good.parse(), Ok(user(good)));
        }
        let long = "a".repeat(65);
        for bad in
            ["", ".a", "-a", "_a", "Alice", "a~b", "a/b", "a+", "#", "a b", "ä", "a\0", &long]
        {
            assert_eq!(UserId::try_from(bad), Err(NameError::User), "{bad:?}");
        }
    }

    #[test]
    fn requests() {
        for good in ["1", "A.b_c-D", ".", "-", &"a".repeat(REQUEST_CHARS_MAX)] {
            assert_eq!(RequestId::try_from(good).expect("a request id").as_str(), good);
        }
        let long = "a".repeat(REQUEST_CHARS_MAX + 1);
        for bad in ["", " ", "a/b", "+", "#", "a~b", "ä", "a\0", "$", &long] {
            assert_eq!(RequestId::try_from(bad), Err(NameError::Request), "{bad:?}");
        }
    }

    #[test]
    fn chats() {
        let longest = format!("{}~{}", "a".repeat(64), "a".repeat(64));
        assert_eq!(longest.len(), CHAT_BYTES_MAX);
        let groups = [format!("g-{}", "a".repeat(12)), format!("g-{}", "0".repeat(64))];
        for good in ["a~a", "a~b", "a~a.b", "a-~a.", "alice~bob", &longest] {
            assert_eq!(ChatId::try_from(good).map(|chat| chat.kind()), Ok(ChatKind::Direct));
        }
        for good in groups.iter().map(String::as_str).chain(["g-7k2m9x4q1zrt"]) {
            let chat = ChatId::try_from(good).expect("a group");
            assert_eq!((chat.kind(), chat.direct_members()), (ChatKind::Group, None));
        }
        // A user may be called like the beginning of a group; the '~' tells them apart.
        assert_eq!(ChatId::try_from("g-a~g-b").map(|chat| chat.kind()), Ok(ChatKind::Direct));
        let (short, long) = (format!("g-{}", "a".repeat(11)), format!("g-{}", "a".repeat(65)));
        for bad in [
            "a~",
            "~a",
            "~",
            "a~b~c",
            "a~B",
            "g-7K2m9x4q1zrt",
            "g-7k2m9x4q1z.t",
            "a",
            "",
            "+",
            &short,
            &long,
        ] {
            assert_eq!(ChatId::try_from(bad), Err(NameError::Chat), "{bad:?}");
        }
        for bad in ["bob~alice", "b~a", "ab~a"] {
            assert_eq!(ChatId::try_from(bad), Err(NameError::ChatOrder), "{bad:?}");
        }
    }

    #[test]
    fn a_direct_chat_has_one_name() {
        let (alice, bob) = (user("alice"), user("bob"));
        let chat = ChatId::direct(&bob, &alice);
        assert_eq!(chat, ChatId::direct(&alice, &bob));
        assert_eq!(ChatId::try_from("alice~bob"), Ok(chat.clone()));
        assert_eq!(chat.direct_members(), Some((alice.clone(), bob.clone())));
        assert!(chat.names(&alice) && chat.names(&bob));
        assert_eq!(chat.peer_of(&alice), Some(bob.clone()));
        assert_eq!(chat.peer_of(&bob), Some(alice.clone()));
        for stranger in ["bo", "alic", "b", "lice", "carol"] {
            assert!(!chat.names(&user(stranger)), "{stranger}");
            assert_eq!(chat.peer_of(&user(stranger)), None, "{stranger}");
        }
        let notes = ChatId::direct(&alice, &alice);
        assert_eq!(notes.as_str(), "alice~alice");
        assert_eq!(notes.direct_members(), Some((alice.clone(), alice.clone())));
        assert_eq!(notes.peer_of(&alice), Some(alice.clone()));
        let group = ChatId::try_from("g-7k2m9x4q1zrt").expect("a group");
        assert!(!group.names(&alice));
        assert_eq!(group.peer_of(&alice), None);
    }

    #[test]
    fn json_is_the_text() {
        let names = [user("alice"), user("bob")];
        let json = serde_json::to_string(&names).expect("text");
        assert_eq!(json, r#"["alice","bob"]"#);
        assert_eq!(serde_json::from_str::<[UserId; 2]>(&json).expect("names"), names);
        // Also where the text is escaped and cannot be borrowed.
        assert_eq!(serde_json::from_str::<UserId>(r#""\u0061""#).expect("a name"), user("a"));
        let error = serde_json::from_str::<UserId>("\"Alice\"").expect_err("upper case");
        assert!(error.to_string().starts_with(&NameError::User.to_string()), "{error}");
        let error = serde_json::from_str::<ChatId>("\"b~a\"").expect_err("order");
        assert!(error.to_string().starts_with(&NameError::ChatOrder.to_string()), "{error}");
        assert!(serde_json::from_str::<UserId>("7").is_err());
    }

    #[test]
    fn maps_can_be_asked_by_text() {
        let map = HashMap::from([(user("alice"), 1), (user("bob"), 2)]);
        assert_eq!(map.get("bob"), Some(&2));
    }
}
