//! The server's topics: what a client may publish and subscribe to.

use crate::names::{ChatId, MessageId, NameError, UserId};

/// Where a session is told what became of its sends.
pub const ACKS_TOPIC: &str = "me/acks";

/// Where a session is told what was refused.
pub const ERRORS_TOPIC: &str = "me/errors";

/// The messages of all chats of a user, those he joins later included.
pub const ALL_MESSAGES_FILTER: &str = "chats/+/messages";

/// The receipts of all chats of a user.
pub const ALL_RECEIPTS_FILTER: &str = "chats/+/receipts";

/// Whether a topic or filter belongs to the server, by its first level.
#[must_use]
pub fn is_reserved(topic_or_filter: &str) -> bool {
    let first = topic_or_filter.split('/').next().unwrap_or_default();
    matches!(first, "chats" | "c" | "users" | "me" | "rpc") || first.starts_with('$')
}

/// Why a topic or filter is none of the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// A name in it is malformed.
    #[error("{0}")]
    Name(#[from] NameError),
    /// There is no such form.
    #[error("there is no such topic; see the list in docs/protocol.md")]
    Unknown,
}

impl TopicError {
    /// The MQTT reason code: topic name invalid.
    #[must_use]
    pub const fn code(&self) -> u8 {
        0x90
    }
}

/// To whom a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To a chat by its name.
    Chat(ChatId),
    /// To the direct chat with a user.
    User(UserId),
}

/// A topic that a client publishes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishTopic {
    /// `chats/{chat}/send[/{id}]`, `users/{user}/send[/{id}]`
    Send {
        /// To whom.
        to: Target,
        /// The idempotency key, if the topic has it.
        id: Option<MessageId>,
    },
    /// `chats/{chat}/send.json`
    SendJson {
        /// To whom.
        to: Target,
    },
    /// `chats/{chat}/read`
    Read {
        /// Where.
        chat: ChatId,
    },
}

impl PublishTopic {
    /// Reads a topic name.
    ///
    /// # Errors
    /// [`TopicError`]: it has none of the forms above.
    pub fn parse(topic: &str) -> Result<Self, TopicError> {
        let mut levels = topic.split('/');
        let (first, name, verb) = (levels.next(), levels.next(), levels.next());
        let rest = (levels.next(), levels.next());
        let to = match (first, name) {
            (Some("chats"), Some(chat)) => Target::Chat(ChatId::try_from(chat)?),
            (Some("users"), Some(user)) => Target::User(UserId::try_from(user)?),
            _ => return Err(TopicError::Unknown),
        };
        match (verb, rest, to) {
            (Some("send"), (None, _), to) => Ok(Self::Send { to, id: None }),
            (Some("send"), (Some(id), None), to) => {
                Ok(Self::Send { to, id: Some(MessageId::try_from(id)?) })
            }
            (Some("send.json"), (None, _), to @ Target::Chat(_)) => Ok(Self::SendJson { to }),
            (Some("read"), (None, _), Target::Chat(chat)) => Ok(Self::Read { chat }),
            _ => Err(TopicError::Unknown),
        }
    }
}

/// Which chats a subscription is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of the user's.
    All,
    /// One.
    Chat(ChatId),
}

/// A filter that a client subscribes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// `chats/+/messages`, `chats/{chat}/messages`
    Messages(Scope),
    /// `chats/+/receipts`, `chats/{chat}/receipts`
    Receipts(Scope),
    /// `me/acks`
    Acks,
    /// `me/errors`
    Errors,
}

impl Filter {
    /// Reads a topic filter.
    ///
    /// # Errors
    /// [`TopicError`]: it has none of the forms above.
    pub fn parse(filter: &str) -> Result<Self, TopicError> {
        match filter {
            ACKS_TOPIC => return Ok(Self::Acks),
            ERRORS_TOPIC => return Ok(Self::Errors),
            _ => {}
        }
        let rest = filter.strip_prefix("chats/").ok_or(TopicError::Unknown)?;
        let (name, what) = rest.split_once('/').ok_or(TopicError::Unknown)?;
        let scope = match name {
            "+" => Scope::All,
            chat => Scope::Chat(ChatId::try_from(chat)?),
        };
        match what {
            "messages" => Ok(Self::Messages(scope)),
            "receipts" => Ok(Self::Receipts(scope)),
            _ => Err(TopicError::Unknown),
        }
    }
}

/// Where a chat's messages arrive.
#[must_use]
pub fn messages_topic(chat: &ChatId) -> String {
    format!("chats/{chat}/messages")
}

/// Where a chat's receipts arrive.
#[must_use]
pub fn receipts_topic(chat: &ChatId) -> String {
    format!("chats/{chat}/receipts")
}

/// Where to say what one has read.
#[must_use]
pub fn read_topic(chat: &ChatId) -> String {
    format!("chats/{chat}/read")
}

/// Where to send.
#[must_use]
pub fn send_topic(chat: &ChatId, id: Option<MessageId>) -> String {
    match id {
        Some(id) => format!("chats/{chat}/send/{id}"),
        None => format!("chats/{chat}/send"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_by_first_level() {
        for topic in
            ["chats", "chats/x", "c/x", "users/", "me/acks", "rpc/x", "$SYS/#", "$share/g/x"]
        {
            assert!(is_reserved(topic), "{topic}");
        }
        for topic in ["", "#", "+/x/messages", "chat/x", "Chats/x", "/chats", "car/x"] {
            assert!(!is_reserved(topic), "{topic}");
        }
    }

    #[test]
    fn publish_topics() {
        let chat = ChatId::try_from("alice~bob").expect("a chat");
        let id = MessageId::try_from("0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00").expect("an id");
        for id in [None, Some(id)] {
            assert_eq!(
                PublishTopic::parse(&send_topic(&chat, id)),
                Ok(PublishTopic::Send { to: Target::Chat(chat.clone()), id })
            );
        }
        assert_eq!(PublishTopic::parse(&read_topic(&chat)), Ok(PublishTopic::Read { chat }));
        for (topic, error) in [
            ("chats/bob~alice/send", TopicError::Name(NameError::Chat)),
            ("users/Bob/send", TopicError::Name(NameError::User)),
            ("users/bob/send/7", TopicError::Name(NameError::Message)),
            ("chats/alice~bob/send/", TopicError::Name(NameError::Message)),
            ("users/bob/read", TopicError::Unknown),
            ("users/bob/send.json", TopicError::Unknown),
            ("chats/alice~bob/read/1", TopicError::Unknown),
            ("chats/alice~bob", TopicError::Unknown),
            ("me/acks", TopicError::Unknown),
            ("$SYS/x", TopicError::Unknown),
        ] {
            assert_eq!(PublishTopic::parse(topic), Err(error), "{topic}");
        }
    }

    #[test]
    fn filters() {
        let chat = ChatId::try_from("alice~bob").expect("a chat");
        assert_eq!(Filter::parse(ALL_MESSAGES_FILTER), Ok(Filter::Messages(Scope::All)));
        assert_eq!(Filter::parse(ALL_RECEIPTS_FILTER), Ok(Filter::Receipts(Scope::All)));
        assert_eq!(Filter::parse(&messages_topic(&chat)), Ok(Filter::Messages(Scope::Chat(chat))));
        for filter in
            ["chats/#", "chats/+/+", "chats/+/messages/#", "chats/+/send", "me/#", "$SYS/#"]
        {
            assert_eq!(Filter::parse(filter), Err(TopicError::Unknown), "{filter}");
        }
    }
}
