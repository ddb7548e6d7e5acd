//! The server's topics: what a client may publish to and subscribe to.
//! Source: docs/protocol.md "Sending", "Receiving", "Receipts", "Presence and typing", "Requests".

mod write;

pub use write::{
    delete_topic, edit_topic, messages_topic, presence_topic, react_topic, read_topic,
    receipts_topic, reply_topic, rpc_topic, send_json_topic, send_topic, typing_topic,
    user_send_topic,
};

use crate::message_id::MessageId;
use crate::names::{ChatId, NameError, RequestId, UserId};
use crate::seq::Seq;

/// Where a device is told what became of its sends.
pub const ACKS_TOPIC: &str = "me/acks";

/// Where a device is told what was refused.
pub const ERRORS_TOPIC: &str = "me/errors";

/// The messages of all chats of a user, those he joins later included.
pub const ALL_MESSAGES_FILTER: &str = "chats/+/messages";

/// The receipts of all chats of a user.
pub const ALL_RECEIPTS_FILTER: &str = "chats/+/receipts";

/// Who types, in all chats of a user.
pub const ALL_TYPING_FILTER: &str = "chats/+/typing";

/// The presence of all with whom a user shares a chat.
pub const ALL_PRESENCE_FILTER: &str = "users/+/presence";

/// The answers to all requests of a device.
pub const ALL_REPLIES_FILTER: &str = "me/replies/+";

/// What a response topic begins with.
const REPLIES_PREFIX: &str = "me/replies/";

/// Whether the first level belongs to the server: `chats`, `c`, `users`, `me`, `rpc`, or one that
/// starts with `$`. All other topics are plain MQTT.
///
/// A filter that starts with a wildcard is not the server's and never reaches into its topics.
#[must_use]
pub fn is_reserved(topic_or_filter: &str) -> bool {
    let first = topic_or_filter.split('/').next().unwrap_or_default();
    matches!(first, "chats" | "c" | "users" | "me" | "rpc") || first.starts_with('$')
}

/// Whether a topic has the form of those that messages are sent to, in either dialect. Looks at the
/// form alone: the names in it may be none.
#[must_use]
pub fn is_send(topic: &str) -> bool {
    let mut levels = topic.split('/');
    match (levels.next(), levels.nth(1)) {
        (Some("chats" | "users"), Some(verb)) => matches!(verb, "send" | "send.json"),
        (Some("c"), Some(verb)) => verb == "s",
        _ => false,
    }
}

/// Why a topic or filter is none of the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The user, chat or request id in it is malformed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The level after `send/` is not a [`MessageId`].
    #[error("after 'send/' stands the message id: {}", NameError::Message)]
    BadId,
    /// The level after `edit/`, `delete/` or `react/` is not a `seq`.
    #[error(
        "after 'edit/', 'delete/' and 'react/' stands the seq of a message in decimal digits, \
         without leading zeros, such as 17"
    )]
    BadSeq,
    /// A response topic is not one of the caller's own.
    #[error("a response topic is 'me/replies/' and a request id; {}", NameError::Request)]
    Response,
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
    /// `chats/{chat}/edit/{seq}`: the payload is the new body.
    Edit {
        /// Where.
        chat: ChatId,
        /// Which message, 1 or greater.
        seq: Seq,
    },
    /// `chats/{chat}/delete/{seq}`: the payload is empty.
    Delete {
        /// Where.
        chat: ChatId,
        /// Which message, 1 or greater.
        seq: Seq,
    },
    /// `chats/{chat}/react/{seq}`: the payload is for
    /// [`parse_reaction`](crate::parse_reaction).
    React {
        /// Where.
        chat: ChatId,
        /// To which message, 1 or greater.
        seq: Seq,
    },
    /// `chats/{chat}/typing`: the payload is for [`parse_typing`](crate::parse_typing).
    Typing {
        /// Where.
        chat: ChatId,
    },
    /// `rpc/{method}[/{request}]`: the payload is for [`Request::parse`](crate::rpc::Request::parse).
    Rpc {
        /// The method's name as it stands there: one that does not exist gets an answer, as the
        /// topic says where to.
        method: Box<str>,
        /// The request's id; without one the PUBLISH has to have a response topic.
        request: Option<RequestId>,
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
            (Some("rpc"), Some(method)) => return rpc(method, levels.next(), levels.next()),
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
            ((Some("edit"), Some(seq), None), Target::Chat(chat)) => {
                Ok(Self::Edit { chat, seq: seq_level(seq)? })
            }
            ((Some("delete"), Some(seq), None), Target::Chat(chat)) => {
                Ok(Self::Delete { chat, seq: seq_level(seq)? })
            }
            ((Some("react"), Some(seq), None), Target::Chat(chat)) => {
                Ok(Self::React { chat, seq: seq_level(seq)? })
            }
            ((Some("typing"), None, _), Target::Chat(chat)) => Ok(Self::Typing { chat }),
            _ => Err(TopicError::Unknown),
        }
    }
}

fn rpc(
    method: &str,
    request: Option<&str>,
    beyond: Option<&str>,
) -> Result<PublishTopic, TopicError> {
    if method.is_empty() || beyond.is_some() {
        return Err(TopicError::Unknown);
    }
    let request = request.map(RequestId::try_from).transpose()?;
    Ok(PublishTopic::Rpc { method: method.into(), request })
}

/// A place has one form, so that a topic can be compared as text: no sign, no leading zeros.
fn seq_level(level: &str) -> Result<Seq, TopicError> {
    let digits = level.bytes().all(|byte| byte.is_ascii_digit()) && !level.starts_with('0');
    level.parse().ok().filter(|_| digits).map(Seq).ok_or(TopicError::BadSeq)
}

/// Reads an MQTT 5 response topic, which has to be one of the caller's own:
/// `me/replies/{request}`.
///
/// # Errors
/// [`TopicError::Response`].
pub fn parse_response_topic(topic: &str) -> Result<RequestId, TopicError> {
    topic
        .strip_prefix(REPLIES_PREFIX)
        .and_then(|request| RequestId::try_from(request).ok())
        .ok_or(TopicError::Response)
}

/// Which chats a subscription is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All of the user's, those he joins later included.
    All,
    /// One.
    Chat(ChatId),
}

/// Which users a subscription is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UserScope {
    /// All with whom the user shares a chat.
    All,
    /// One.
    User(UserId),
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
    /// `me/replies/+` (`None`), `me/replies/{request}`
    Replies(Option<RequestId>),
    /// `users/+/presence`, `users/{user}/presence`
    Presence(UserScope),
    /// `chats/+/typing`, `chats/{chat}/typing`
    Typing(Scope),
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
        if let Some(request) = filter.strip_prefix(REPLIES_PREFIX) {
            return match request {
                "+" => Ok(Self::Replies(None)),
                "#" => Err(TopicError::Unknown),
                request => Ok(Self::Replies(Some(RequestId::try_from(request)?))),
            };
        }
        let (first, rest) = filter.split_once('/').ok_or(TopicError::Unknown)?;
        let (name, what) = rest.split_once('/').ok_or(TopicError::Unknown)?;
        let of: fn(Scope) -> Self = match (first, what) {
            ("chats", "messages") => Self::Messages,
            ("chats", "receipts") => Self::Receipts,
            ("chats", "typing") => Self::Typing,
            ("users", "presence") => return Ok(Self::Presence(user_scope(name)?)),
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

fn user_scope(name: &str) -> Result<UserScope, TopicError> {
    match name {
        "+" => Ok(UserScope::All),
        "#" => Err(TopicError::Unknown),
        user => Ok(UserScope::User(UserId::try_from(user)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::Method;

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
    fn sends_are_known_by_their_form() {
        let id = MessageId::try_from("0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00").expect("an id");
        let bob = UserId::try_from("bob").expect("a user");
        let compact = crate::compact::send_topic(&chat());
        let json = send_json_topic(&chat());
        for topic in [&send_topic(&chat(), Some(id)), &user_send_topic(&bob, None), &compact, &json]
        {
            assert!(is_send(topic), "{topic}");
        }
        let typing = crate::compact::typing_topic(&chat());
        for topic in [&*read_topic(&chat()), &typing, "rpc/send", "rpc/x/send", "send", "a/b/send"]
        {
            assert!(!is_send(topic), "{topic}");
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
    fn changes_to_messages_name_them_by_their_place() {
        for seq in [1, 17, 100, u64::MAX].map(Seq) {
            for (topic, expected) in [
                (edit_topic(&chat(), seq), PublishTopic::Edit { chat: chat(), seq }),
                (delete_topic(&chat(), seq), PublishTopic::Delete { chat: chat(), seq }),
                (react_topic(&chat(), seq), PublishTopic::React { chat: chat(), seq }),
            ] {
                assert_eq!(PublishTopic::parse(&topic), Ok(expected), "{topic}");
            }
        }
        for what in ["edit", "delete", "react"] {
            for bad in ["", "0", "017", "+1", "-1", " 1", "1 ", "1.0", "x", "+", "१"] {
                let topic = format!("chats/alice~bob/{what}/{bad}");
                assert_eq!(PublishTopic::parse(&topic), Err(TopicError::BadSeq), "{topic}");
            }
            let beyond = format!("chats/alice~bob/{what}/18446744073709551616");
            assert_eq!(PublishTopic::parse(&beyond), Err(TopicError::BadSeq));
            for topic in [
                format!("chats/alice~bob/{what}"),
                format!("chats/alice~bob/{what}/1/2"),
                format!("users/bob/{what}/1"),
            ] {
                assert_eq!(PublishTopic::parse(&topic), Err(TopicError::Unknown), "{topic}");
            }
        }
    }

    #[test]
    fn requests_and_their_answers() {
        let request = RequestId::try_from("7.a_B-9").expect("a request id");
        for id in [None, Some(&request)] {
            let topic = rpc_topic(Method::GroupsSetRole, id);
            let method = "groups.set_role".into();
            let expected = PublishTopic::Rpc { method, request: id.cloned() };
            assert_eq!(PublishTopic::parse(&topic), Ok(expected), "{topic}");
        }
        // Answered, not refused: the topic is well-formed.
        let expected = PublishTopic::Rpc { method: "no such".into(), request: None };
        assert_eq!(PublishTopic::parse("rpc/no such"), Ok(expected));
        let long = format!("rpc/x/{}", "a".repeat(65));
        for topic in ["rpc/x/", "rpc/x/a b", "rpc/x/ä", "rpc/x/+", &long] {
            let error = TopicError::Name(NameError::Request);
            assert_eq!(PublishTopic::parse(topic), Err(error), "{topic}");
        }
        for topic in ["rpc", "rpc/", "rpc//1", "rpc/x/1/2", "rpc/x/1/", "rpc///"] {
            assert_eq!(PublishTopic::parse(topic), Err(TopicError::Unknown), "{topic}");
        }
        let topic = reply_topic(&request);
        assert_eq!(parse_response_topic(&topic), Ok(request.clone()));
        assert_eq!(Filter::parse(&topic), Ok(Filter::Replies(Some(request))));
        assert_eq!(Filter::parse(ALL_REPLIES_FILTER), Ok(Filter::Replies(None)));
        for bad in [
            "",
            "me/replies",
            "me/replies/",
            "me/replies/+",
            "me/replies/a/b",
            "/me/replies/a",
            "x",
        ] {
            assert_eq!(parse_response_topic(bad), Err(TopicError::Response), "{bad}");
        }
    }

    #[test]
    fn presence_and_typing() {
        let bob = UserId::try_from("bob").expect("a user");
        assert_eq!(
            PublishTopic::parse(&typing_topic(&chat())),
            Ok(PublishTopic::Typing { chat: chat() })
        );
        assert_eq!(Filter::parse(&typing_topic(&chat())), Ok(Filter::Typing(Scope::Chat(chat()))));
        assert_eq!(Filter::parse(ALL_TYPING_FILTER), Ok(Filter::Typing(Scope::All)));
        assert_eq!(
            Filter::parse(&presence_topic(&bob)),
            Ok(Filter::Presence(UserScope::User(bob.clone())))
        );
        assert_eq!(Filter::parse(ALL_PRESENCE_FILTER), Ok(Filter::Presence(UserScope::All)));
        // The server alone tells of presence.
        assert_eq!(PublishTopic::parse(&presence_topic(&bob)), Err(TopicError::Unknown));
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
            ("chats/alice~bob/typing/1", TopicError::Unknown),
            ("users/bob/typing", TopicError::Unknown),
            ("me/replies/1", TopicError::Unknown),
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
            "me/replies",
            "me/replies/#",
            "users/#",
            "users/+",
            "users/#/presence",
            "users/+/presence/",
            "users/+/messages",
            "users/+/#",
            "chats/+/presence",
            "chats/+/edit/+",
            "rpc/+",
            "rpc/chats.list/1",
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
            ("chats/bob/typing", NameError::Chat),
            ("users/Bob/presence", NameError::User),
            ("users//presence", NameError::User),
            ("me/replies/", NameError::Request),
            ("me/replies/a/b", NameError::Request),
            ("me/replies/+/+", NameError::Request),
        ] {
            assert_eq!(Filter::parse(filter), Err(TopicError::Name(name)), "{filter}");
        }
        assert_eq!(TopicError::Unknown.filter_code(), 0x8F);
    }

    #[test]
    fn errors_say_what_would_be_right() {
        let text = TopicError::BadId.to_string();
        assert!(text.contains("UUID") && text.contains("send/"), "{text}");
        let text = TopicError::BadSeq.to_string();
        assert!(text.contains("decimal digits") && text.contains("edit/"), "{text}");
        let text = TopicError::Response.to_string();
        assert!(text.contains("me/replies/") && text.contains("1 to 64"), "{text}");
        assert_eq!(TopicError::Name(NameError::User).to_string(), NameError::User.to_string());
    }
}
