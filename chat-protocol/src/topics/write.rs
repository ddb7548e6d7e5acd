//! Topics and filters, written; the tests beside their reader read them back.

use super::REPLIES_PREFIX;
use crate::message_id::MessageId;
use crate::names::{ChatId, RequestId, UserId};
use crate::rpc::Method;
use crate::seq::Seq;

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

/// Where to publish the new body of a message.
#[must_use]
pub fn edit_topic(chat: &ChatId, seq: Seq) -> String {
    format!("chats/{chat}/edit/{seq}")
}

/// Where to delete a message.
#[must_use]
pub fn delete_topic(chat: &ChatId, seq: Seq) -> String {
    format!("chats/{chat}/delete/{seq}")
}

/// Where to react to a message.
#[must_use]
pub fn react_topic(chat: &ChatId, seq: Seq) -> String {
    format!("chats/{chat}/react/{seq}")
}

/// Where to say that one types, and where to hear who does; as a filter, in one chat.
#[must_use]
pub fn typing_topic(chat: &ChatId) -> String {
    format!("chats/{chat}/typing")
}

/// Where a user's presence arrives; as a filter, that of one user.
#[must_use]
pub fn presence_topic(user: &UserId) -> String {
    format!("users/{user}/presence")
}

/// Where to make a request; with an id, so that the answer is found and a repeat is recognised.
#[must_use]
pub fn rpc_topic(method: Method, request: Option<&RequestId>) -> String {
    match request {
        Some(request) => format!("rpc/{method}/{request}"),
        None => format!("rpc/{method}"),
    }
}

/// Where a request's answer arrives; as a filter, that of one request; an MQTT 5 response topic.
#[must_use]
pub fn reply_topic(request: &RequestId) -> String {
    format!("{REPLIES_PREFIX}{request}")
}

fn with_id(topic: String, id: Option<MessageId>) -> String {
    match id {
        Some(id) => format!("{topic}/{id}"),
        None => topic,
    }
}
