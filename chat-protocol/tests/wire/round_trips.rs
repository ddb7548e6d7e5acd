//! What is written is read back as the same.

use std::fmt;

use bluetick_protocol::rpc::{Method, Request};
use bluetick_protocol::{
    ChatId, Message, MessageId, MessageRef, Receipt, Refusal, SendAck, SendJson, Seq, UserId,
    parse_read,
};
use fastrand::Rng;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Value, json};

use crate::for_each_seed;
use crate::generate::{
    body, chat, event, maybe, message_id, number, request, send_json, text, user, users,
};

#[test]
fn a_message_comes_back() {
    const ORDER: [&str; 18] = [
        "chat",
        "seq",
        "id",
        "from",
        "at",
        "type",
        "body",
        "body_base64",
        "reply_to",
        "mentions",
        "expires_at",
        "edit_of",
        "delete_of",
        "react_to",
        "event",
        "deleted",
        "omitted",
        "after",
    ];
    for_each_seed(4000, |rng| {
        let (chat, from) = (chat(rng), user(rng));
        let (content_type, mentions) = (text(rng, 12), users(rng, 4));
        let (body, event) = (maybe(rng, body), maybe(rng, event));
        let message = MessageRef {
            chat: &chat,
            seq: Seq(number(rng)),
            id: message_id(rng),
            from: &from,
            at_ms: number(rng),
            content_type: &content_type,
            body: body.as_deref(),
            reply_to: maybe(rng, number).map(Seq),
            mentions: &mentions,
            expires_at_ms: maybe(rng, number),
            edit_of: maybe(rng, number).map(Seq),
            delete_of: maybe(rng, number).map(Seq),
            react_to: maybe(rng, number).map(Seq),
            event: event.as_ref(),
            deleted: rng.bool(),
            omitted_bytes: maybe(rng, number),
            after: maybe(rng, number).map(Seq),
        };
        let mut out = Vec::new();
        message.write_json(&mut out);
        assert_no_spaces(&out);

        let keys = keys(&out);
        let places = keys.iter().map(|key| ORDER.iter().position(|known| known == key));
        let places: Vec<usize> =
            places.map(|place| place.expect("a key of the contract")).collect();
        assert!(places.is_sorted_by(|a, b| a < b), "{keys:?}");

        // As read by one who knows JSON and nothing else: the same values, and no key besides.
        let value: Value = serde_json::from_slice(&out).expect("JSON");
        let mut expected = json!({
            "chat": chat.as_str(), "seq": message.seq.0, "id": message.id.to_string(),
            "from": from.as_str(), "at": message.at_ms, "type": content_type,
        });
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                expected[key] = value;
            }
        };
        if let Some(body) = &body {
            match std::str::from_utf8(body) {
                Ok(text) => set("body", Some(json!(text))),
                // Whether it is the right base64 is seen below, where it is decoded.
                Err(_) => set("body_base64", value.get("body_base64").cloned()),
            }
        }
        set("reply_to", message.reply_to.map(|seq| json!(seq.0)));
        set("mentions", (!mentions.is_empty()).then(|| json!(mentions)));
        set("expires_at", message.expires_at_ms.map(|at_ms| json!(at_ms)));
        set("edit_of", message.edit_of.map(|seq| json!(seq.0)));
        set("delete_of", message.delete_of.map(|seq| json!(seq.0)));
        set("react_to", message.react_to.map(|seq| json!(seq.0)));
        set("deleted", message.deleted.then_some(json!(true)));
        set("omitted", message.omitted_bytes.map(|bytes| json!(bytes)));
        set("after", message.after.map(|seq| json!(seq.0)));
        set("event", event.as_ref().map(|event| json!(event)));
        assert_eq!(value, expected);

        let read = Message::from_json(&out).expect("a message");
        assert_eq!(read.body(), Ok(body.clone()));
        let is_text = body.as_ref().map(|body| std::str::from_utf8(body).is_ok());
        assert_eq!(read.body_text.is_some(), is_text == Some(true));
        assert_eq!(read.body_base64.is_some(), is_text == Some(false));
        let expected = Message {
            chat: chat.clone(),
            seq: message.seq,
            id: message.id,
            from: from.clone(),
            at_ms: message.at_ms,
            content_type: content_type.clone(),
            body_text: read.body_text.clone(),
            body_base64: read.body_base64.clone(),
            reply_to: message.reply_to,
            mentions: mentions.clone(),
            expires_at_ms: message.expires_at_ms,
            edit_of: message.edit_of,
            delete_of: message.delete_of,
            react_to: message.react_to,
            event: event.clone(),
            deleted: message.deleted,
            omitted_bytes: message.omitted_bytes,
            after: message.after,
        };
        assert_eq!(read, expected);
        assert_eq!(Message::from(&message), expected);
        assert_eq!(serde_json::to_vec(&expected).expect("an object"), out);
    });
}

#[test]
fn a_send_comes_back() {
    for_each_seed(1000, |rng| {
        let send = send_json(rng);
        let json = send.to_json();
        assert_no_spaces(&json);
        assert_eq!(SendJson::from_json(&json), Ok(send));
    });
}

#[test]
fn notices_come_back() {
    for_each_seed(1000, |rng| {
        let receipt = Receipt {
            chat: chat(rng),
            user: user(rng),
            delivered: Seq(number(rng)),
            read: Seq(number(rng)),
            at_ms: number(rng),
        };
        assert_eq!(Receipt::from_json(&receipt.to_json()), Ok(receipt));
        let ack = SendAck {
            chat: chat(rng),
            id: message_id(rng),
            seq: Seq(number(rng)),
            at_ms: number(rng),
            duplicate: rng.bool(),
        };
        assert_eq!(SendAck::from_json(&ack.to_json()), Ok(ack));
        let refusal = Refusal {
            topic: text(rng, 40),
            packet_id: rng.u16(..),
            code: rng.u8(..),
            message: text(rng, 40),
        };
        assert_eq!(Refusal::from_json(&refusal.to_json()), Ok(refusal));
    });
}

#[test]
fn requests_come_back() {
    let mut seen = Vec::new();
    for seed in 0..4000 {
        let request = request(&mut Rng::with_seed(seed));
        let json = request.to_json();
        assert_no_spaces(&json);
        let method = request.method();
        assert_eq!(Request::parse(method.as_str(), &json), Ok(request), "seed {seed}");
        if !seen.contains(&method) {
            seen.push(method);
        }
    }
    assert_eq!(seen.len(), Method::ALL.len());
}

#[test]
fn names_come_back() {
    for_each_seed(1000, |rng| {
        let (user, chat, id) = (user(rng), chat(rng), message_id(rng));
        assert_eq!(user.as_str().parse(), Ok(user.clone()));
        assert_eq!(chat.as_str().parse(), Ok(chat.clone()));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        let json = serde_json::to_vec(&(&user, &chat, id)).expect("texts");
        let read: (UserId, ChatId, MessageId) = serde_json::from_slice(&json).expect("names");
        assert_eq!(read, (user, chat.clone(), id));
        if let Some((a, b)) = chat.direct_members() {
            assert!(a <= b && chat.names(&a) && chat.names(&b));
            assert_eq!(ChatId::direct(&b, &a), chat);
        }
        let seq = Seq(number(rng));
        assert_eq!(parse_read(seq.to_string().as_bytes()), Ok(seq));
    });
}

#[test]
fn the_order_of_ids_is_that_of_their_bytes_and_text() {
    for_each_seed(1000, |rng| {
        let (a, b) = (message_id(rng), message_id(rng));
        assert_eq!(a.cmp(&b), a.as_bytes().cmp(b.as_bytes()));
        assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
    });
}

/// The keys of a JSON object in the order in which they stand.
fn keys(json: &[u8]) -> Vec<String> {
    struct Keys;

    impl<'de> Visitor<'de> for Keys {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
            let mut keys = Vec::new();
            while let Some((key, IgnoredAny)) = map.next_entry()? {
                keys.push(key);
            }
            Ok(keys)
        }
    }

    serde_json::Deserializer::from_slice(json).deserialize_map(Keys).expect("an object")
}

/// Blanks stand nowhere but inside strings.
fn assert_no_spaces(json: &[u8]) {
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        assert!(in_string || !byte.is_ascii_whitespace(), "{}", String::from_utf8_lossy(json));
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ => {}
        }
    }
}
