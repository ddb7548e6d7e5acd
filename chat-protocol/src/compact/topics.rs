//! The topics of the compact dialect: `c/{chat}/` and one letter, or two: `/d`, as differences.
//! Source: docs/compact.md "Topics".

use crate::names::ChatId;
use crate::topics::{Scope, TopicError};

/// The messages of all chats of a user, those he joins later included.
pub const ALL_MESSAGES_FILTER: &str = "c/+/m";

/// The receipts of all chats of a user.
pub const ALL_RECEIPTS_FILTER: &str = "c/+/r";

/// The messages of all chats of a user, as differences.
pub const ALL_MESSAGE_DIFFERENCES_FILTER: &str = "c/+/m/d";

/// The receipts of all chats of a user, as differences.
pub const ALL_RECEIPT_DIFFERENCES_FILTER: &str = "c/+/r/d";

/// Who is typing, in all chats of a user.
pub const ALL_TYPING_FILTER: &str = "c/+/t";

/// A topic that a client publishes to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PublishTopic {
    /// `c/{chat}/s`: the payload is a [`SendRef`](super::SendRef).
    Send {
        /// To where.
        chat: ChatId,
    },
    /// `c/{chat}/d`: the payload is for [`parse_read`](super::parse_read), or empty: up to the last message that
    /// this device has acknowledged in this connection.
    Read {
        /// Where.
        chat: ChatId,
    },
    /// `c/{chat}/t`: the payload is for [`parse_typing`](super::parse_typing).
    Typing {
        /// Where.
        chat: ChatId,
    },
}

impl PublishTopic {
    /// Reads a topic name.
    ///
    /// # Errors
    /// [`TopicError`]: it has none of the forms above, or the name in it is malformed.
    pub fn parse(topic: &str) -> Result<Self, TopicError> {
        let (chat, letter) = split(topic)?;
        let of: fn(ChatId) -> Self = match letter {
            "s" => |chat| Self::Send { chat },
            "d" => |chat| Self::Read { chat },
            "t" => |chat| Self::Typing { chat },
            _ => return Err(TopicError::Unknown),
        };
        Ok(of(ChatId::try_from(chat)?))
    }
}

/// A filter that a client subscribes to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Filter {
    /// `c/+/m`, `c/{chat}/m`
    Messages(Scope),
    /// `c/+/r`, `c/{chat}/r`
    Receipts(Scope),
    /// `c/+/m/d`, `c/{chat}/m/d`
    MessageDifferences(Scope),
    /// `c/+/r/d`, `c/{chat}/r/d`
    ReceiptDifferences(Scope),
    /// `c/+/t`, `c/{chat}/t`
    Typing(Scope),
}

impl Filter {
    /// Reads a topic filter.
    ///
    /// # Errors
    /// [`TopicError`]: it has none of the forms above, or the name in it is malformed.
    pub fn parse(filter: &str) -> Result<Self, TopicError> {
        let (name, letter) = split(filter)?;
        let of: fn(Scope) -> Self = match letter {
            "m" => Self::Messages,
            "r" => Self::Receipts,
            "m/d" => Self::MessageDifferences,
            "r/d" => Self::ReceiptDifferences,
            "t" => Self::Typing,
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

/// A topic that the server publishes to: what the payload is, and of which chat.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DeliveryTopic {
    /// `c/{chat}/m`: the payload is a [`Message`](super::Message).
    Message {
        /// Where.
        chat: ChatId,
    },
    /// `c/{chat}/r`: the payload is a [`Receipt`](crate::Receipt).
    Receipt {
        /// Where.
        chat: ChatId,
    },
    /// `c/{chat}/m/d`: the payload is for [`Differences::message`](super::Differences::message).
    MessageDifference {
        /// Where.
        chat: ChatId,
    },
    /// `c/{chat}/r/d`: the payload is for [`Differences::receipt`](super::Differences::receipt).
    ReceiptDifference {
        /// Where.
        chat: ChatId,
    },
    /// `c/{chat}/t`: the payload is a [`TypingNotice`](super::TypingNotice).
    Typing {
        /// Where.
        chat: ChatId,
    },
}

impl DeliveryTopic {
    /// Reads a topic name.
    ///
    /// # Errors
    /// [`TopicError`]: it has none of the forms above, or the name in it is malformed.
    pub fn parse(topic: &str) -> Result<Self, TopicError> {
        let (chat, letter) = split(topic)?;
        let of: fn(ChatId) -> Self = match letter {
            "m" => |chat| Self::Message { chat },
            "r" => |chat| Self::Receipt { chat },
            "m/d" => |chat| Self::MessageDifference { chat },
            "r/d" => |chat| Self::ReceiptDifference { chat },
            "t" => |chat| Self::Typing { chat },
            _ => return Err(TopicError::Unknown),
        };
        Ok(of(ChatId::try_from(chat)?))
    }
}

/// The middle level and what follows it.
fn split(topic: &str) -> Result<(&str, &str), TopicError> {
    topic.strip_prefix("c/").and_then(|rest| rest.split_once('/')).ok_or(TopicError::Unknown)
}

/// Where a chat's messages arrive; as a filter, those of one chat.
#[must_use]
pub fn messages_topic(chat: &ChatId) -> String {
    format!("c/{chat}/m")
}

/// Where a chat's receipts arrive; as a filter, those of one chat.
#[must_use]
pub fn receipts_topic(chat: &ChatId) -> String {
    format!("c/{chat}/r")
}

/// Where a chat's messages arrive as differences; as a filter, those of one chat.
#[must_use]
pub fn message_differences_topic(chat: &ChatId) -> String {
    format!("c/{chat}/m/d")
}

/// Where a chat's receipts arrive as differences; as a filter, those of one chat.
#[must_use]
pub fn receipt_differences_topic(chat: &ChatId) -> String {
    format!("c/{chat}/r/d")
}

/// Where to send a [`SendRef`](super::SendRef).
#[must_use]
pub fn send_topic(chat: &ChatId) -> String {
    format!("c/{chat}/s")
}

/// Where to say up to which `seq` one has read.
#[must_use]
pub fn read_topic(chat: &ChatId) -> String {
    format!("c/{chat}/d")
}

/// Where to say that one is typing, and where one is told that another is.
#[must_use]
pub fn typing_topic(chat: &ChatId) -> String {
    format!("c/{chat}/t")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::NameError;

    #[test]
    fn what_is_written_is_read() {
        for name in ["alice~bob", "g-7k2m9x4q1zrt"] {
            let chat = ChatId::try_from(name).expect("a chat");
            let of = || chat.clone();
            let published = [
                (send_topic(&chat), PublishTopic::Send { chat: of() }),
                (read_topic(&chat), PublishTopic::Read { chat: of() }),
                (typing_topic(&chat), PublishTopic::Typing { chat: of() }),
            ];
            for (topic, parsed) in published {
                assert_eq!(PublishTopic::parse(&topic), Ok(parsed), "{topic}");
            }
            let received = [
                (
                    messages_topic(&chat),
                    DeliveryTopic::Message { chat: of() },
                    Filter::Messages(Scope::Chat(of())),
                ),
                (
                    receipts_topic(&chat),
                    DeliveryTopic::Receipt { chat: of() },
                    Filter::Receipts(Scope::Chat(of())),
                ),
                (
                    message_differences_topic(&chat),
                    DeliveryTopic::MessageDifference { chat: of() },
                    Filter::MessageDifferences(Scope::Chat(of())),
                ),
                (
                    receipt_differences_topic(&chat),
                    DeliveryTopic::ReceiptDifference { chat: of() },
                    Filter::ReceiptDifferences(Scope::Chat(of())),
                ),
                (
                    typing_topic(&chat),
                    DeliveryTopic::Typing { chat: of() },
                    Filter::Typing(Scope::Chat(of())),
                ),
            ];
            for (topic, delivery, filter) in received {
                assert_eq!(DeliveryTopic::parse(&topic), Ok(delivery), "{topic}");
                assert_eq!(Filter::parse(&topic), Ok(filter), "{topic}");
            }
        }
        assert_eq!(Filter::parse(ALL_MESSAGES_FILTER), Ok(Filter::Messages(Scope::All)));
        assert_eq!(Filter::parse(ALL_RECEIPTS_FILTER), Ok(Filter::Receipts(Scope::All)));
        let all = Filter::MessageDifferences(Scope::All);
        assert_eq!(Filter::parse(ALL_MESSAGE_DIFFERENCES_FILTER), Ok(all));
        let all = Filter::ReceiptDifferences(Scope::All);
        assert_eq!(Filter::parse(ALL_RECEIPT_DIFFERENCES_FILTER), Ok(all));
        assert_eq!(Filter::parse(ALL_TYPING_FILTER), Ok(Filter::Typing(Scope::All)));
        assert_eq!(send_topic(&ChatId::try_from("a~b").expect("a chat")), "c/a~b/s");
    }

    #[test]
    fn topics_that_are_none() {
        for (topic, error) in [
            ("c/bob~alice/s", TopicError::Name(NameError::ChatOrder)),
            ("c/bob/s", TopicError::Name(NameError::Chat)),
            ("c//s", TopicError::Name(NameError::Chat)),
            ("c/+/s", TopicError::Name(NameError::Chat)),
            ("c/alice~bob/m", TopicError::Unknown),
            ("c/alice~bob/r", TopicError::Unknown),
            ("c/alice~bob/s/", TopicError::Unknown),
            ("c/alice~bob/s/0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00", TopicError::Unknown),
            ("c/alice~bob/", TopicError::Unknown),
            ("c/alice~bob", TopicError::Unknown),
            ("c/", TopicError::Unknown),
            ("c", TopicError::Unknown),
            ("C/alice~bob/s", TopicError::Unknown),
            ("chats/alice~bob/s", TopicError::Unknown),
            ("", TopicError::Unknown),
        ] {
            assert_eq!(PublishTopic::parse(topic), Err(error), "{topic}");
        }
        for topic in ["c/alice~bob/s", "c/alice~bob/d", "c/alice~bob/m/x", "c/alice~bob/t/d"] {
            assert_eq!(DeliveryTopic::parse(topic), Err(TopicError::Unknown), "{topic}");
        }
    }

    #[test]
    fn filters_that_are_none() {
        for filter in [
            "c/#",
            "c/+/#",
            "c/+/+",
            "c/#/m",
            "c/+/m/#",
            "c/+/m/",
            "c/+/m/+",
            "c/+/t/d",
            "c/+/m/d/d",
            "c/+/s",
            "c/+/d",
            "c/+",
            "c",
            "+/+/m",
            "#",
            "",
        ] {
            assert_eq!(Filter::parse(filter), Err(TopicError::Unknown), "{filter}");
        }
        for (filter, name) in
            [("c/bob~alice/m", NameError::ChatOrder), ("c/bob/r", NameError::Chat)]
        {
            assert_eq!(Filter::parse(filter), Err(TopicError::Name(name)), "{filter}");
        }
    }
}
