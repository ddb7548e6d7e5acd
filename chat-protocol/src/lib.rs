//! Names, topics and payloads of the bluetick chat protocol: what both ends of the wire must
//! agree on. The contract in words is docs/protocol.md.
//!
//! - [`UserId`], [`ChatId`], [`MessageId`], [`Seq`]: valid by construction, cheap to clone.
//! - [`PublishTopic`], [`Filter`]: what a client may publish to and subscribe to.
//! - [`MessageRef`], [`Message`], [`Receipt`], [`SendAck`], [`Refusal`], [`SendJson`]: the JSON.
//!
//! No I/O, no clock, no randomness. Nothing a peer sends makes a function of this crate panic;
//! errors say what a valid value looks like and how MQTT answers ([`TopicError::code`],
//! [`PayloadError::code`]).

mod message_id;
mod names;
mod payload;
mod seq;
mod topics;

pub use message_id::MessageId;
pub use names::{CHAT_BYTES_MAX, ChatId, ChatKind, NameError, USER_CHARS_MAX, UserId};
pub use payload::{
    CONTENT_TYPE_BYTES_MAX, Event, MENTIONS_MAX, Message, MessageRef, PayloadError, Receipt,
    Refusal, SendAck, SendJson, TTL_S_MAX, check_content_type, default_content_type, parse_read,
};
pub use seq::Seq;
pub use topics::{
    ACKS_TOPIC, ALL_MESSAGES_FILTER, ALL_RECEIPTS_FILTER, ERRORS_TOPIC, Filter, PublishTopic,
    Scope, Target, TopicError, is_reserved, messages_topic, read_topic, receipts_topic,
    send_json_topic, send_topic, user_send_topic,
};
