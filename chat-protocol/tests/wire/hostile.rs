//! Nothing a peer sends panics, and what is taken of it is valid.

use bluetick_protocol::rpc::{Answer, History, Method, Request, RpcError};
use bluetick_protocol::{
    ChatId, Filter, MENTIONS_MAX, Message, MessageId, MessageRef, Presence, PublishTopic, Receipt,
    Refusal, RequestId, SendAck, SendJson, Seq, TTL_S_MAX, Target, UserId, delete_topic,
    edit_topic, messages_topic, parse_reaction, parse_read, parse_response_topic, parse_typing,
    react_topic, read_topic, receipts_topic, reply_topic, send_json_topic, send_topic,
    typing_topic, user_send_topic,
};
use fastrand::Rng;

use crate::for_each_seed;
use crate::generate::{
    body, chat, event, maybe, message_id, number, request, send_json, text, user, users,
};

/// Some bytes replaced, removed, doubled or cut off.
fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    const USEFUL: &[u8] = b"\"\\{}[],:0-9~/+#$u\0\xff\x80a";
    for _ in 0..rng.usize(..4) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.usize(..bytes.len());
        match rng.u8(..5) {
            0 => bytes[at] = rng.u8(..),
            1 => bytes[at] = USEFUL[rng.usize(..USEFUL.len())],
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, bytes[at]),
            _ => bytes.truncate(at),
        }
    }
}

/// Reads it as everything. What is taken must be what its own writer writes, or read the same
/// when written again. Returns how many took it.
fn read_as_everything(bytes: &[u8]) -> u32 {
    let mut taken = 0;
    if let Ok(send) = SendJson::from_json(bytes) {
        taken += 1;
        assert!(send.mentions.len() <= MENTIONS_MAX && send.reply_to != Some(Seq::ZERO));
        assert!(send.ttl_s.is_none_or(|ttl_s| (1..=TTL_S_MAX).contains(&ttl_s)));
        assert_eq!(SendJson::from_json(&send.to_json()), Ok(send));
    }
    if let Ok(message) = Message::from_json(bytes) {
        taken += 1;
        // Either is fine, a panic is not.
        let _ = message.body();
    }
    if let Ok(receipt) = Receipt::from_json(bytes) {
        taken += 1;
        assert_eq!(Receipt::from_json(&receipt.to_json()), Ok(receipt));
    }
    if let Ok(ack) = SendAck::from_json(bytes) {
        taken += 1;
        assert_eq!(SendAck::from_json(&ack.to_json()), Ok(ack));
    }
    if let Ok(refusal) = Refusal::from_json(bytes) {
        taken += 1;
        assert_eq!(Refusal::from_json(&refusal.to_json()), Ok(refusal));
    }
    taken += u32::from(parse_read(bytes).is_ok());
    let text = String::from_utf8_lossy(bytes);
    if let Ok(user) = UserId::try_from(&*text) {
        taken += 1;
        assert_eq!(user.as_str(), text);
    }
    if let Ok(chat) = ChatId::try_from(&*text) {
        taken += 1;
        assert_eq!(chat.as_str(), text);
    }
    if let Ok(id) = MessageId::try_from(&*text) {
        taken += 1;
        assert_eq!(id.to_string(), text.to_lowercase());
    }
    if let Ok(topic) = PublishTopic::parse(&text) {
        taken += 1;
        let written = match topic {
            PublishTopic::Send { to: Target::Chat(chat), id } => send_topic(&chat, id),
            PublishTopic::Send { to: Target::User(user), id } => user_send_topic(&user, id),
            PublishTopic::SendJson { to: Target::Chat(chat) } => send_json_topic(&chat),
            PublishTopic::SendJson { to: Target::User(_) } => panic!("there is no such topic"),
            PublishTopic::Read { chat } => read_topic(&chat),
            PublishTopic::Edit { chat, seq } => edit_topic(&chat, seq),
            PublishTopic::Delete { chat, seq } => delete_topic(&chat, seq),
            PublishTopic::React { chat, seq } => react_topic(&chat, seq),
            PublishTopic::Typing { chat } => typing_topic(&chat),
            PublishTopic::Rpc { method, request } => match request {
                Some(request) => format!("rpc/{method}/{request}"),
                None => format!("rpc/{method}"),
            },
        };
        // A message id may have come in upper case.
        assert_eq!(written.to_lowercase(), text.to_lowercase());
    }
    if let Ok(request) = parse_response_topic(&text) {
        taken += 1;
        assert_eq!(reply_topic(&request), text);
    }
    for method in Method::ALL {
        match Request::parse(method.as_str(), bytes) {
            Ok(request) => {
                taken += 1;
                assert_eq!(request.method(), *method);
                assert_eq!(Request::parse(method.as_str(), &request.to_json()), Ok(request));
            }
            Err(error) => {
                assert_eq!(error.code, RpcError::ARGUMENTS);
                let bounded = error.message.len() < 300;
                assert!(bounded && !error.message.contains(char::is_control), "{error}");
            }
        }
    }
    if let Ok(answer) = Answer::<History>::from_json(bytes) {
        taken += 1;
        assert_eq!(Answer::from_json(&answer.to_json()), Ok(answer));
    }
    taken += u32::from(parse_reaction(bytes).is_ok_and(|reaction| reaction.is_some()));
    taken += u32::from(parse_typing(bytes).is_ok());
    taken += u32::from(Presence::from_json(bytes).is_ok());
    taken += u32::from(Filter::parse(&text).is_ok());
    taken
}

#[test]
fn random_bytes_never_panic() {
    for_each_seed(20_000, |rng| {
        let mut bytes = vec![0; rng.usize(..80)];
        rng.fill(&mut bytes);
        read_as_everything(&bytes);
        read_as_everything(text(rng, 40).as_bytes());
    });
}

#[test]
fn damaged_values_never_panic() {
    let (mut whole, mut taken) = (0, 0);
    for seed in 0..20_000 {
        let rng = &mut Rng::with_seed(seed);
        let mut bytes = match rng.u8(..12) {
            0 => SendJson { mentions: users(rng, 2), ..send_json(rng) }.to_json(),
            1 => {
                let (chat, from, body, event) = (chat(rng), user(rng), body(rng), event(rng));
                let (seq, id, at_ms) = (Seq(number(rng)), message_id(rng), number(rng));
                let message = MessageRef {
                    body: Some(&body),
                    reply_to: Some(Seq(number(rng))),
                    event: Some(&event),
                    ..MessageRef::new(&chat, seq, id, &from, at_ms, "text/plain")
                };
                let mut out = Vec::new();
                message.write_json(&mut out);
                out
            }
            2 => {
                let (chat, user) = (chat(rng), user(rng));
                let [delivered, read] = [number(rng), number(rng)].map(Seq);
                Receipt { chat, user, delivered, read, at_ms: number(rng) }.to_json()
            }
            3 => send_topic(&chat(rng), maybe(rng, message_id)).into_bytes(),
            4 => user_send_topic(&user(rng), maybe(rng, message_id)).into_bytes(),
            5 => messages_topic(&chat(rng)).into_bytes(),
            6 => receipts_topic(&chat(rng)).into_bytes(),
            7 => request(rng).to_json(),
            8 => edit_topic(&chat(rng), Seq(number(rng).max(1))).into_bytes(),
            9 => reply_topic(&RequestId::try_from(message_id(rng).to_string()).expect("one"))
                .into_bytes(),
            10 => message_id(rng).to_string().into_bytes(),
            _ => number(rng).to_string().into_bytes(),
        };
        assert!(read_as_everything(&bytes) > 0, "seed {seed}: whole, and taken by no reader");
        whole += 1;
        mutate(rng, &mut bytes);
        taken += u32::from(read_as_everything(&bytes) > 0);
    }
    // The damage is such that readers have to look: a good part passes, a good part does not.
    assert!((whole / 5..whole * 4 / 5).contains(&taken), "{taken} of {whole}");
}
