//! Names, topics and payloads of the bluetick chat protocol: what both ends of the wire must
//! agree on. The contract in words is docs/protocol.md.
//!
//! - [`UserId`], [`ChatId`], [`MessageId`], [`RequestId`], [`Seq`]: valid by construction, cheap to
//!   clone.
//! - [`PublishTopic`], [`Filter`]: what a client may publish to and subscribe to.
//! - [`MessageRef`], [`Message`], [`Receipt`], [`SendAck`], [`Refusal`], [`SendJson`]: the JSON.
//! - [`rpc`]: requests and their answers.
//! - [`compact`]: the same in fewer bytes, topics and CBOR.
//!
//! No I/O, no clock, no randomness. Nothing a peer sends makes a function of this crate panic;
//! errors say what a valid value looks like and how MQTT answers ([`TopicError::code`],
//! [`PayloadError::code`], [`rpc::RpcError::code`], [`compact::Error::code`]).

pub mod compact;
mod message_id;
mod names;
mod payload;
mod role;
pub mod rpc;
mod seq;
mod topics;

pub use message_id::MessageId;
pub use names::{
    CHAT_BYTES_MAX, ChatId, ChatKind, NameError, REQUEST_CHARS_MAX, RequestId, USER_CHARS_MAX,
    UserId,
};
pub use payload::{
    CONTENT_TYPE_BYTES_MAX, Event, MENTIONS_MAX, Message, MessageRef, PayloadError, Presence,
    REACTION_BYTES_MAX, Receipt, ReceiptCount, Refusal, SendAck, SendJson, TTL_S_MAX, Typing,
    check_content_type, default_content_type, parse_reaction, parse_read, parse_typing,
};
pub use role::Role;
pub use seq::Seq;
pub use topics::{
    ACKS_TOPIC, ALL_MESSAGES_FILTER, ALL_PRESENCE_FILTER, ALL_RECEIPTS_FILTER, ALL_REPLIES_FILTER,
    ALL_TYPING_FILTER, ERRORS_TOPIC, Filter, PublishTopic, Scope, Target, TopicError, UserScope,
    delete_topic, edit_topic, is_reserved, is_send, messages_topic, parse_response_topic,
    presence_topic, react_topic, read_topic, receipts_topic, reply_topic, rpc_topic,
    send_json_topic, send_topic, typing_topic, user_send_topic,
};
