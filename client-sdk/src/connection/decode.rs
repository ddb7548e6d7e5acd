//! What comes: topics and payloads. What is none of it is no error: a later server may say more.

use bluetick_protocol::{
    self as protocol, ChatId, Presence, Receipt, ReceiptCount, RequestId, Typing, UserId, compact,
};

use crate::event::Event;
use crate::message::Message;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Entry(Box<Message>),
    /// Something else for the application.
    Event(Box<Event>),
    /// The answer to a request.
    Reply(RequestId),
    /// Nothing that this version knows; why.
    Unknown(String),
}

/// Reads what the server has published, for `user`'s device.
pub(super) fn decode(topic: &str, payload: &[u8], user: &UserId) -> Incoming {
    let mut levels = topic.splitn(3, '/');
    let levels = (levels.next(), levels.next().unwrap_or_default(), levels.next());
    let read = match levels {
        (Some("me"), "replies", Some(request)) => {
            RequestId::try_from(request).map(Incoming::Reply).map_err(|error| error.to_string())
        }
        (Some("chats"), _, Some("messages")) => {
            let message = protocol::Message::from_json(payload).map_err(|error| error.to_string());
            message.map(|message| Incoming::Entry(Box::new(message.into())))
        }
        (Some("chats"), _, Some("receipts")) => receipt(payload),
        (Some("chats"), _, Some("typing")) => {
            let typing = Typing::from_json(payload).map_err(|error| error.to_string());
            typing.map(|typing| Incoming::Event(Box::new(Event::Typing(typing))))
        }
        (Some("users"), _, Some("presence")) => {
            let presence = Presence::from_json(payload).map_err(|error| error.to_string());
            presence.map(|presence| Incoming::Event(Box::new(Event::Presence(presence))))
        }
        (Some("c"), chat, Some(letter)) => in_compact(chat, letter, payload, user),
        _ => Err("no such topic".to_owned()),
    };
    read.unwrap_or_else(Incoming::Unknown)
}

fn receipt(payload: &[u8]) -> Result<Incoming, String> {
    if let Ok(receipt) = Receipt::from_json(payload) {
        return Ok(Incoming::Event(Box::new(Event::Receipt(receipt))));
    }
    let count = ReceiptCount::from_json(payload).map_err(|error| error.to_string())?;
    Ok(Incoming::Event(Box::new(Event::ReceiptCount(count))))
}

fn in_compact(chat: &str, letter: &str, payload: &[u8], user: &UserId) -> Result<Incoming, String> {
    let chat = ChatId::try_from(chat).map_err(|error| error.to_string())?;
    let text = |error: compact::Error| error.to_string();
    let event = match letter {
        "m" => {
            let message = compact::Message::from_compact(&chat, user, payload).map_err(text)?;
            return Ok(Incoming::Entry(Box::new(Message::from_compact(message))));
        }
        "r" => match Receipt::from_compact(&chat, user, payload) {
            Ok(receipt) => Event::Receipt(receipt),
            Err(_) => {
                Event::ReceiptCount(ReceiptCount::from_compact(&chat, payload).map_err(text)?)
            }
        },
        "t" => {
            let notice = compact::TypingNotice::from_compact(&chat, user, payload).map_err(text)?;
            Event::Typing(Typing { chat: notice.chat, user: notice.user, typing: notice.typing })
        }
        _ => return Err("no such topic".to_owned()),
    };
    Ok(Incoming::Event(Box::new(event)))
}
