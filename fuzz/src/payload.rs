//! JSON, CBOR and requests: what is read can be written, and reads as the same again.

use std::fmt::Debug;

use bluetick_protocol::rpc::{Answer, ChatInfo, ChatList, History, Method, Request};
use bluetick_protocol::{
    ChatId, Filter, Message, Presence, PublishTopic, Receipt, ReceiptCount, Refusal, SendAck,
    SendJson, Seq, Typing, UserId, compact, is_reserved, parse_reaction, parse_read,
    parse_response_topic, parse_typing,
};

use crate::input::Input;

/// What is read off `bytes`, written and read again is the same.
fn round_trip<T: PartialEq + Debug, E: Debug>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<T, E>,
    write: impl Fn(&T) -> Vec<u8>,
) {
    let Ok(first) = read(bytes) else { return };
    let written = write(&first);
    let second = read(&written);
    let second =
        second.unwrap_or_else(|error| panic!("{first:?} is written unreadably: {error:?}"));
    assert_eq!(first, second);
}

pub(crate) fn json(data: &[u8]) {
    round_trip(data, SendJson::from_json, SendJson::to_json);
    round_trip(data, Receipt::from_json, Receipt::to_json);
    round_trip(data, SendAck::from_json, SendAck::to_json);
    round_trip(data, Refusal::from_json, Refusal::to_json);
    round_trip(data, ReceiptCount::from_json, ReceiptCount::to_json);
    round_trip(data, Presence::from_json, Presence::to_json);
    round_trip(data, Typing::from_json, Typing::to_json);
    if let Ok(message) = Message::from_json(data) {
        let _body = message.body();
    }
    let _ = (parse_read(data), parse_reaction(data), parse_typing(data));
}

pub(crate) fn cbor(data: &[u8]) {
    let mut input = Input(data);
    let chats = ["alice~bob", "g-7k2m9x4q1zrt"];
    let chat = chats[usize::from(input.u8().unwrap_or_default() & 1)];
    let chat = ChatId::try_from(chat).expect("the name of a chat");
    let reader = UserId::try_from("alice").expect("the name of a user");
    let payload = input.0;
    if let Ok(first) = compact::SendRef::from_compact(payload) {
        let written = first.to_compact();
        assert_eq!(compact::SendRef::from_compact(&written).as_ref(), Ok(&first));
        // Deterministic: what is written from the same is the same.
        assert_eq!(first.to_compact(), written);
    }
    let _message = compact::Message::from_compact(&chat, &reader, payload);
    round_trip(
        payload,
        |bytes| Receipt::from_compact(&chat, &reader, bytes),
        |receipt| {
            let mut out = Vec::new();
            receipt.write_compact(&reader, &mut out);
            out
        },
    );
    round_trip(
        payload,
        |bytes| ReceiptCount::from_compact(&chat, bytes),
        |count| {
            let mut out = Vec::new();
            count.write_compact(&mut out);
            out
        },
    );
    differences(&chat, &reader, payload);
    round_trip(payload, compact::parse_read, |seq| compact::read_payload(*seq));
    round_trip(payload, compact::parse_typing, |typing| compact::typing_payload(*typing));
}

/// What follows a map; and of a receipt, that it says the same when it is written again.
fn differences(chat: &ChatId, reader: &UserId, payload: &[u8]) {
    let last = compact::LastMessage::new(Seq(1000), 1_764_000_000_000);
    let _message = compact::Message::from_difference(chat, reader, Some(last), payload);
    let last = compact::LastReceipt::of(&Receipt {
        chat: chat.clone(),
        user: reader.clone(),
        delivered: Seq(1000),
        read: Seq(990),
        at_ms: 1_764_000_000_000,
    });
    let read = |bytes: &[u8]| Receipt::from_difference(chat, reader, |_| Some(last), bytes);
    round_trip(payload, read, |receipt| {
        let mut out = Vec::new();
        if !receipt.write_difference(last, reader, &mut out) {
            receipt.write_compact(reader, &mut out);
        }
        out
    });
}

pub(crate) fn rpc(data: &[u8]) {
    let mut input = Input(data);
    let method = Method::ALL[usize::from(input.u8().unwrap_or_default()) % Method::ALL.len()];
    let read = |bytes: &[u8]| Request::parse(method.as_str(), bytes);
    round_trip(input.0, read, Request::to_json);
    round_trip(input.0, Answer::<History>::from_json, Answer::to_json);
    round_trip(input.0, Answer::<ChatInfo>::from_json, Answer::to_json);
    round_trip(input.0, Answer::<ChatList>::from_json, Answer::to_json);
    if let Ok(topic) = std::str::from_utf8(data) {
        if PublishTopic::parse(topic).is_ok() || Filter::parse(topic).is_ok() {
            assert!(is_reserved(topic), "{topic:?} is of the host and yet plain");
        }
        let _compact = (compact::PublishTopic::parse(topic), compact::Filter::parse(topic));
        let _reply = parse_response_topic(topic);
    }
}
