//! The server's topics: what a client may publish to and subscribe to.
//! Source: docs/protocol.md "Sending", "Receiving", "Receipts".

use crate::message_id::MessageId;
use crate::names::{ChatId, NameError, UserId};

/// Where a device is told what became of its sends.
pub const ACKS_TOPIC: &str = "me/acks";

/// Where a device is told what was refused.
pub const ERRORS_TOPIC: &str = "me/errors";

/// The messages of all chats of a user, those he joins later included.
pub const ALL_MESSAGES_FILTER: &str = "chats/+/messages";

/// The receipts of all chats of a user.
pub const ALL_RECEIPTS_FILTER: &str = "chats/+/receipts";

/// Whether the first level belongs to the server: `chats`, `c`, `users`, `me`, `rpc`, or one that
/// starts with `$`. All other topics are plain MQTT.
///
/// A filter that starts with a wildcard is not the server's and never reaches into its topics.
#[must_use]
pub fn is_reserved(topic_or_filter: &str) -> bool {
    let first = topic_or_filter.split('/').next().unwrap_or_default();
    matches!(first, "chats" | "c" | "users" | "me" | "rpc") || first.starts_with('$')
}

/// Why a topic or filter is none of the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The user or chat in it is malformed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The level after `send/` is not a [`MessageId`].
    #[error("after 'send/' stands the message id: {}", NameError::Message)]
    BadId,
    /// There is no such form.
    #[error("there is no such topic; docs/protocol.md lists them all")]
    Unknown,
}

impl TopicError {
    /// The MQTT 5 reason code of the PUBACK: 0x90, topic name invalid.
    #[must_use]
    pub const fn code(&self) -> u8 {
        0x90
    }

    /// The MQTT 5 reason code where it was a filter: 0x8F, topic filter invalid. A SUBACK has no
    /// 0x90 (MQTT 5.0 §3.9.3).
    #[must_use]
    pub const fn filter_code(&self) -> u8 {
        0x8F
    }
}

/// To whom a message goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// To a chat, by its name.
    Chat(ChatId),
    /// To the direct chat of the sender with a user.
    User(UserId),
}

/// A topic that a client publishes to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PublishTopic {
    /// `chats/{chat}/send[/{id}]`, `users/{user}/send[/{id}]`: the payload is the body.
    Send {
        /// To whom.
        to: Target,
        /// The idempotency key, if the topic has it.
        id: Option<MessageId>,
    },
    /// `chats/{chat}/send.json`: the payload is a [`SendJson`](crate::SendJson).
    SendJson {
        /// To whom; from a topic always [`Target::Chat`].
        to: Target,
    },
    /// `chats/{chat}/read`: the payload is for [`parse_read`](crate::parse_read).
    Read {
        /// Where.
        chat: ChatId,
    },
}

impl PublishTopic {
    /// Reads a topic name.
    ///
    /// # Errors
    /// [`TopicError`]: it has none of the forms above, or a name in it is malformed.
    pub fn parse(topic: &str) -> Result<Self, TopicError> {
        let mut levels = topic.split('/');
        let to = match (levels.next(), levels.next()) {
            (Some("chats"), Some(chat)) => Target::Chat(ChatId::try_from(chat)?),
            (Some("users"), Some(user)) => Target::User(UserId::try_from(user)?),
            _ => return Err(TopicError::Unknown),
        };
        let rest = (levels.next(), levels.next(), levels.next());
        match (rest, to) {
            ((Some("send"), None, _), to) => Ok(Self::Send { to, id: None }),
            ((Some("send"), Some(id), None), to) => match MessageId::try_from(id) {
                Ok(id) => Ok(Self::Send { to, id: Some(id) }),
                Err(_) => Err(TopicError::BadId),
            },
            ((Some("send.json"), None, _), to @ Target::Chat(_)) => Ok(Self::SendJson { to }),
            ((Some("read"), None, _), Target::Chat(chat)) => Ok(Self::Read { chat }),
            _ => Err(TopicError::Unknown),
        }
    }
}

/// Which chats a subscription is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All of the user's, those he joins later included.
    All,
    /// One.
    Chat(ChatId),
}

/// A filter that a client subscribes to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
    /// [`TopicError`]: it has none of the forms above, or a name in it is malformed.
    pub fn parse(filter: &str) -> Result<Self, TopicError> {
        match filter {
            ACKS_TOPIC => return Ok(Self::Acks),
            ERRORS_TOPIC => return Ok(Self::Errors),
            _ => {}
        }
        let rest = filter.strip_prefix("chats/").ok_or(TopicError::Unknown)?;
        let (name, what) = rest.split_once('/').ok_or(TopicError::Unknown)?;
        let of: fn(Scope) -> Self = match what {
            "messages" => Self::Messages,
            "receipts" => Self::Receipts,
            _ => return Err(TopicError::Unknown),
        };
        match name {
            "+" => Ok(of(Scope::All)),
            // A wildcard elsewhere is a form that does not exist, rather than a bad name.
            "#" => Err(TopicError::Unknown),
            chat => Ok(of(Scope::Chat(ChatId::try_from(chat)?))),
        }
    }
}

/// Where a chat's messages arrive; as a filter, those of one chat.
#[must_use]
pub fn messages_topic(chat: &ChatId) -> String {
    format!("chats/{chat}/messages")
}

/// Where a chat's receipts arrive; as a filter, those of one chat.
#[must_use]
pub fn receipts_topic(chat: &ChatId) -> String {
    format!("chats/{chat}/receipts")
}

/// Where to say up to which `seq` one has read.
#[must_use]
pub fn read_topic(chat: &ChatId) -> String {
    format!("chats/{chat}/read")
}

/// Where to send a body; with an id, so that a repeat is recognised.
#[must_use]
pub fn send_topic(chat: &ChatId, id: Option<MessageId>) -> String {
    with_id(format!("chats/{chat}/send"), id)
}

/// Where to send a body to the direct chat with a user.
#[must_use]
pub fn user_send_topic(user: &UserId, id: Option<MessageId>) -> String {
    with_id(format!("users/{user}/send"), id)
}

/// Where to send a [`SendJson`](crate::SendJson).
#[must_use]
pub fn send_json_topic(chat: &ChatId) -> String {
    format!("chats/{chat}/send.json")
}

fn with_id(topic: String, id: Option<MessageId>) -> String {
    match id {
        Some(id) => format!("{topic}/{id}"),
        None => topic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat() -> ChatId {
        ChatId::try_from("alice~bob").expect("a chat")
    }

    #[test]
    fn reserved_by_first_level() {
        for topic in [
            "chats",
            "chats/x",
            "chats/#",
            "c/x",
            "c",
            "users/",
            "me/acks",
            "rpc/x",
            "$SYS/#",
            "$share/g/x",
            "$",
        ] {
            assert!(is_reserved(topic), "{topic}");
        }
        for topic in
            ["", "#", "+", "+/x/messages", "chat/x", "Chats/x", "/chats", "car/x", "a/$x", "chats#"]
        {
            assert!(!is_reserved(topic), "{topic}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let id = MessageId::try_from("0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00").expect("an id");
        let bob = UserId::try_from("bob").expect("a user");
        for id in [None, Some(id)] {
            let to = Target::Chat(chat());
            assert_eq!(
                PublishTopic::parse(&send_topic(&chat(), id)),
                Ok(PublishTopic::Send { to, id })
            );
            let to = Target::User(bob.clone());
            assert_eq!(
                PublishTopic::parse(&user_send_topic(&bob, id)),
                Ok(PublishTopic::Send { to, id })
            );
        }
        assert_eq!(
            PublishTopic::parse(&send_json_topic(&chat())),
            Ok(PublishTopic::SendJson { to: Target::Chat(chat()) })
        );
        assert_eq!(
            PublishTopic::parse(&read_topic(&chat())),
            Ok(PublishTopic::Read { chat: chat() })
        );
        assert_eq!(
            Filter::parse(&messages_topic(&chat())),
            Ok(Filter::Messages(Scope::Chat(chat())))
        );
        assert_eq!(
            Filter::parse(&receipts_topic(&chat())),
            Ok(Filter::Receipts(Scope::Chat(chat())))
        );
        assert_eq!(Filter::parse(ALL_MESSAGES_FILTER), Ok(Filter::Messages(Scope::All)));
        assert_eq!(Filter::parse(ALL_RECEIPTS_FILTER), Ok(Filter::Receipts(Scope::All)));
        assert_eq!(Filter::parse(ACKS_TOPIC), Ok(Filter::Acks));
        assert_eq!(Filter::parse(ERRORS_TOPIC), Ok(Filter::Errors));
    }

    #[test]
    fn topics_that_are_none() {
        for (topic, error) in [
            ("chats/bob~alice/send", TopicError::Name(NameError::ChatOrder)),
            ("chats/bob/send", TopicError::Name(NameError::Chat)),
            ("chats//send", TopicError::Name(NameError::Chat)),
            ("users/Bob/send", TopicError::Name(NameError::User)),
            ("users/bob/send/7", TopicError::BadId),
            ("chats/alice~bob/send/", TopicError::BadId),
            ("chats/alice~bob/send/7/8", TopicError::Unknown),
            ("users/bob/read", TopicError::Unknown),
            ("users/bob/send.json", TopicError::Unknown),
            ("chats/alice~bob/send.json/", TopicError::Unknown),
            ("chats/alice~bob/read/1", TopicError::Unknown),
            ("chats/alice~bob/messages", TopicError::Unknown),
            ("chats/alice~bob", TopicError::Unknown),
            ("chats", TopicError::Unknown),
            ("me/acks", TopicError::Unknown),
            ("$SYS/x", TopicError::Unknown),
            ("", TopicError::Unknown),
        ] {
            assert_eq!(PublishTopic::parse(topic), Err(error), "{topic}");
            assert_eq!(error.code(), 0x90);
        }
    }

    #[test]
    fn filters_that_are_none() {
        for filter in [
            "chats/#",
            "chats/+/+",
            "chats/+/#",
            "chats/#/messages",
            "chats/+/messages/#",
            "chats/+/messages/",
            "chats/+/send",
            "chats/+",
            "chats",
            "me/#",
            "me/+",
            "me/acks/",
            "$SYS/#",
            "+/+/messages",
            "#",
            "",
        ] {
            assert_eq!(Filter::parse(filter), Err(TopicError::Unknown), "{filter}");
        }
        for (filter, name) in [
            ("chats/bob~alice/messages", NameError::ChatOrder),
            ("chats/bob/receipts", NameError::Chat),
        ] {
            assert_eq!(Filter::parse(filter), Err(TopicError::Name(name)), "{filter}");
        }
        assert_eq!(TopicError::Unknown.filter_code(), 0x8F);
    }

    #[test]
    fn errors_say_what_would_be_right() {
        let text = TopicError::BadId.to_string();
        assert!(text.contains("UUID") && text.contains("send/"), "{text}");
        assert_eq!(TopicError::Name(NameError::User).to_string(), NameError::User.to_string());
    }
}
