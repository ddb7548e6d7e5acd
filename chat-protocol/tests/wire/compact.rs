//! The compact dialect: what is written is read back and is deterministic CBOR; nothing that a
//! peer sends panics; docs/compact.md shows the bytes as they are.

use bluetick_protocol::compact::{
    DeliveryTopic, Filter, Message, PublishTopic, SendRef, TypingNotice, parse_read, parse_typing,
    read_payload, typing_payload,
};
use bluetick_protocol::{
    ChatId, Event, MENTIONS_MAX, MessageId, MessageRef, Receipt, ReceiptCount, Seq, TTL_S_MAX,
    UserId,
};
use fastrand::Rng;

use crate::for_each_seed;
use crate::generate::{body, chat, event, maybe, message_id, number, text, user, users};

pub(crate) const DOCUMENT: &str = include_str!("../../../docs/compact.md");

const TYPES: [&str; 5] =
    ["text/plain", "text/markdown", "application/octet-stream", "image/png", "x"];

/// What a message borrows.
pub(crate) struct Parts {
    pub(crate) chat: ChatId,
    pub(crate) from: UserId,
    reader: UserId,
    content_type: &'static str,
    body: Option<Vec<u8>>,
    mentions: Vec<UserId>,
    event: Option<Event>,
}

impl Parts {
    /// Who reads is the author as often as not; a direct chat is mostly theirs.
    fn new(rng: &mut Rng) -> Self {
        let reader = user(rng);
        Self::of(rng, &reader)
    }

    pub(crate) fn of(rng: &mut Rng, reader: &UserId) -> Self {
        let reader = reader.clone();
        let from = if rng.bool() { reader.clone() } else { user(rng) };
        let chat = match rng.u8(..3) {
            0 => chat(rng),
            _ => ChatId::direct(&from, &if reader == from { user(rng) } else { reader.clone() }),
        };
        let content_type = TYPES[rng.usize(..TYPES.len())];
        let (body, mentions) = (maybe(rng, body), users(rng, 4));
        Self { chat, from, reader, content_type, body, mentions, event: maybe(rng, event) }
    }

    pub(crate) fn message(&self, rng: &mut Rng) -> MessageRef<'_> {
        let seq = |rng: &mut Rng| maybe(rng, number).map(Seq);
        MessageRef {
            chat: &self.chat,
            seq: Seq(number(rng)),
            id: message_id(rng),
            from: &self.from,
            at_ms: number(rng),
            content_type: self.content_type,
            body: self.body.as_deref(),
            reply_to: seq(rng),
            mentions: &self.mentions,
            expires_at_ms: maybe(rng, number),
            after: seq(rng),
            omitted_bytes: maybe(rng, number),
            deleted: rng.bool(),
            edit_of: seq(rng),
            delete_of: seq(rng),
            react_to: seq(rng),
            event: self.event.as_ref(),
        }
    }
}

pub(crate) fn owned(message: &MessageRef<'_>, reader: &UserId) -> Message {
    Message {
        chat: message.chat.clone(),
        seq: message.seq,
        id: (message.from == reader).then_some(message.id),
        from: message.from.clone(),
        at_ms: message.at_ms,
        content_type: message.content_type.to_owned(),
        body: message.body.map(<[u8]>::to_vec),
        reply_to: message.reply_to,
        mentions: message.mentions.to_vec(),
        expires_at_ms: message.expires_at_ms,
        after: message.after,
        omitted_bytes: message.omitted_bytes,
        deleted: message.deleted,
        edit_of: message.edit_of,
        delete_of: message.delete_of,
        react_to: message.react_to,
        event: message.event.cloned(),
    }
}

fn message(rng: &mut Rng) -> (ChatId, UserId, Vec<u8>) {
    let parts = Parts::new(rng);
    let mut out = Vec::new();
    parts.message(rng).write_compact(&parts.reader, &mut out);
    (parts.chat, parts.reader, out)
}

fn send<'a>(rng: &mut Rng, body: &'a [u8]) -> SendRef<'a> {
    SendRef {
        id: maybe(rng, message_id),
        reply_to: maybe(rng, |rng| Seq(number(rng).max(1))),
        mentions: if rng.bool() { users(rng, MENTIONS_MAX) } else { Vec::new() },
        ttl_s: maybe(rng, |rng| rng.u32(1..=TTL_S_MAX)),
        ..SendRef::new(body, TYPES[rng.usize(..TYPES.len())])
    }
}

fn receipt(rng: &mut Rng) -> (UserId, Receipt) {
    let Parts { chat, from, reader, .. } = Parts::new(rng);
    let delivered = number(rng);
    let read = Seq(delivered.saturating_sub(number(rng)));
    (reader, Receipt { chat, user: from, delivered: Seq(delivered), read, at_ms: number(rng) })
}

#[test]
fn a_message_comes_back() {
    for_each_seed(4000, |rng| {
        let parts = Parts::new(rng);
        let message = parts.message(rng);
        let mut out = Vec::new();
        message.write_compact(&parts.reader, &mut out);
        assert_deterministic(&out);
        let read = Message::from_compact(&parts.chat, &parts.reader, &out);
        assert_eq!(read, Ok(owned(&message, &parts.reader)));
    });
}

#[test]
fn a_send_comes_back() {
    for_each_seed(2000, |rng| {
        let body = body(rng);
        let send = send(rng, &body);
        let payload = send.to_compact();
        assert_deterministic(&payload);
        assert_eq!(SendRef::from_compact(&payload), Ok(send));
    });
}

#[test]
fn notices_come_back() {
    for_each_seed(2000, |rng| {
        let (reader, receipt) = receipt(rng);
        let mut out = Vec::new();
        receipt.write_compact(&reader, &mut out);
        assert_deterministic(&out);
        assert_eq!(Receipt::from_compact(&receipt.chat, &reader, &out), Ok(receipt.clone()));

        let notice = TypingNotice { chat: receipt.chat, user: receipt.user, typing: rng.bool() };
        out.clear();
        notice.write_compact(&reader, &mut out);
        assert_deterministic(&out);
        assert_eq!(TypingNotice::from_compact(&notice.chat, &reader, &out), Ok(notice));

        let seq = Seq(number(rng));
        assert_deterministic(&read_payload(seq));
        assert_eq!(parse_read(&read_payload(seq)), Ok(seq));
    });
}

/// Reads it as everything that there is. What is taken reads the same when it is written again.
/// Returns how many took it.
fn read_as_everything(chat: &ChatId, reader: &UserId, bytes: &[u8]) -> u32 {
    let mut taken = 0;
    let mut out = Vec::new();
    if let Ok(send) = SendRef::from_compact(bytes) {
        taken += 1;
        assert!(send.mentions.len() <= MENTIONS_MAX && send.reply_to != Some(Seq::ZERO));
        assert!(send.ttl_s.is_none_or(|ttl_s| (1..=TTL_S_MAX).contains(&ttl_s)));
        assert_eq!(SendRef::from_compact(&send.to_compact()), Ok(send));
    }
    // That it does not panic is all: its id may be there or not, whatever the author.
    taken += u32::from(Message::from_compact(chat, reader, bytes).is_ok());
    if let Ok(receipt) = Receipt::from_compact(chat, reader, bytes) {
        taken += 1;
        assert!(receipt.read <= receipt.delivered);
        receipt.write_compact(reader, &mut out);
        assert_eq!(Receipt::from_compact(chat, reader, &out), Ok(receipt));
    }
    if let Ok(notice) = TypingNotice::from_compact(chat, reader, bytes) {
        taken += 1;
        out.clear();
        notice.write_compact(reader, &mut out);
        assert_eq!(TypingNotice::from_compact(chat, reader, &out), Ok(notice));
    }
    if let Ok(seq) = parse_read(bytes) {
        taken += 1;
        assert_eq!(parse_read(&read_payload(seq)), Ok(seq));
    }
    if let Ok(typing) = parse_typing(bytes) {
        taken += 1;
        assert_eq!(typing_payload(typing), bytes);
    }
    taken
}

/// A valid payload of any kind, with the chat and the reader that belong to it.
fn payload(rng: &mut Rng) -> (ChatId, UserId, Vec<u8>) {
    match rng.u8(..4) {
        0 => {
            let body = body(rng);
            // Few mentions: else hardly a change is elsewhere.
            let send = SendRef { mentions: users(rng, 2), ..send(rng, &body) };
            (chat(rng), user(rng), send.to_compact())
        }
        1 | 2 => message(rng),
        _ => {
            let (reader, receipt) = receipt(rng);
            let mut out = Vec::new();
            receipt.write_compact(&reader, &mut out);
            (receipt.chat, reader, out)
        }
    }
}

#[test]
fn random_bytes_never_panic() {
    for_each_seed(20_000, |rng| {
        let (chat, reader) = (chat(rng), user(rng));
        let mut bytes = vec![0; rng.usize(..80)];
        rng.fill(&mut bytes);
        read_as_everything(&chat, &reader, &bytes);
        // The beginning of a map of which more may be taken.
        if let [head, key, ..] = &mut bytes[..] {
            (*head, *key) = (0xa0 | rng.u8(..6), rng.u8(..20));
        }
        read_as_everything(&chat, &reader, &bytes);
        let text = text(rng, 40);
        assert!(PublishTopic::parse(&text).is_err() && DeliveryTopic::parse(&text).is_err());
        assert!(Filter::parse(&text).is_err());
    });
}

#[test]
fn nothing_cut_off_is_taken() {
    for_each_seed(500, |rng| {
        let (chat, reader, payload) = payload(rng);
        assert!(read_as_everything(&chat, &reader, &payload) > 0, "whole");
        for length in 0..payload.len() {
            let cut = &payload[..length];
            assert_eq!(read_as_everything(&chat, &reader, cut), 0, "{length} of {payload:x?}");
        }
        let longer = [&payload[..], &[rng.u8(..)]].concat();
        assert_eq!(read_as_everything(&chat, &reader, &longer), 0, "a byte too many");
    });
}

#[test]
fn a_bit_gone_wrong_never_panics() {
    let (mut whole, mut taken) = (0, 0);
    for seed in 0..500 {
        let (chat, reader, mut payload) = payload(&mut Rng::with_seed(seed));
        for bit in 0..payload.len() * 8 {
            payload[bit / 8] ^= 1 << (bit % 8);
            taken += u32::from(read_as_everything(&chat, &reader, &payload) > 0);
            whole += 1;
            payload[bit / 8] ^= 1 << (bit % 8);
        }
    }
    // Readers have to look: a good part passes (it is in bodies and numbers), a good part not.
    assert!((whole / 10..whole * 9 / 10).contains(&taken), "{taken} of {whole}");
}

/// One item, as RFC 8949 §4.2.1 wants it: by one who knows CBOR and nothing of this dialect.
pub(crate) fn assert_deterministic(bytes: &[u8]) {
    let rest = item(bytes);
    assert!(rest.is_empty(), "more than one item: {bytes:x?}");
}

/// Checks one item, and returns what follows it.
pub(crate) fn item(bytes: &[u8]) -> &[u8] {
    let (kind, small) = (bytes[0] >> 5, bytes[0] & 0x1f);
    let width = match small {
        0..=23 => 0,
        24..=27 => 1 << (small - 24),
        _ => panic!("of indefinite length, or no CBOR: {bytes:x?}"),
    };
    let (digits, mut rest) = bytes[1..].split_at(width);
    let number = digits.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let number = if width == 0 { u64::from(small) } else { number };
    let at_least = [0, 24, 1 << 8, 0, 1 << 16, 0, 0, 0, 1 << 32][width];
    assert!(number >= at_least || kind == 7, "longer than need be: {bytes:x?}");
    let length = || usize::try_from(number).expect("memory holds it");
    match kind {
        0 => rest,
        2 => &rest[length()..],
        3 => {
            let (text, rest) = rest.split_at(length());
            std::str::from_utf8(text).expect("a text string is UTF-8");
            rest
        }
        4 => {
            for _ in 0..number {
                rest = item(rest);
            }
            rest
        }
        5 => {
            let mut last: Option<&[u8]> = None;
            for _ in 0..number {
                let after_key = item(rest);
                let key = &rest[..rest.len() - after_key.len()];
                assert!(key.len() == 1 && key[0] < 24, "a key of one byte");
                assert!(last < Some(key), "keys rise: {bytes:x?}");
                last = Some(key);
                rest = item(after_key);
            }
            rest
        }
        7 => {
            assert!(matches!(bytes[0], 0xf4 | 0xf5), "no simple value but a boolean");
            rest
        }
        _ => panic!("no negative integers, no tags: {bytes:x?}"),
    }
}

// What docs/compact.md shows.

const AT_MS: u64 = 1_764_000_000_000;

pub(crate) const BODY: &str = "See you at the lake!";

pub(crate) fn names() -> (UserId, UserId, ChatId, MessageId) {
    let (alice, bob) = ("alice".parse().expect("a user"), "bob".parse().expect("a user"));
    let id = "0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00".parse().expect("an id");
    let chat = ChatId::direct(&alice, &bob);
    (alice, bob, chat, id)
}

/// The payload of a message of alice's, as `reader` gets it.
fn delivery(seq: u64, reader: &UserId, body: &str) -> Vec<u8> {
    let (from, _, chat, id) = names();
    let message = MessageRef {
        chat: &chat,
        seq: Seq(seq),
        id,
        from: &from,
        at_ms: AT_MS,
        content_type: "text/plain",
        body: Some(body.as_bytes()),
        reply_to: None,
        mentions: &[],
        expires_at_ms: None,
        after: None,
        omitted_bytes: None,
        deleted: false,
        edit_of: None,
        delete_of: None,
        react_to: None,
        event: None,
    };
    let mut out = Vec::new();
    message.write_compact(reader, &mut out);
    out
}

/// The payload of a receipt of bob's, as alice gets it.
fn ticks(delivered: u64, read: u64) -> Vec<u8> {
    let (alice, user, chat, _) = names();
    let (delivered, read) = (Seq(delivered), Seq(read));
    let mut out = Vec::new();
    Receipt { chat, user, delivered, read, at_ms: AT_MS }.write_compact(&alice, &mut out);
    out
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the document shows byte by byte, without the words beside it: the hexadecimal digits that
/// begin each line of its blocks in this language.
pub(crate) fn shown_in(language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    for block in DOCUMENT.split(&format!("```{language}\n")).skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        let digits = |line: &str| line.split("  ").next().unwrap_or_default().replace(' ', "");
        blocks.push(block.lines().map(digits).collect());
    }
    blocks
}

#[test]
fn the_document_shows_the_bytes_as_they_are() {
    let (alice, bob, _, id) = names();
    let with_id = SendRef { id: Some(id), ..SendRef::text("hi") };
    let full = SendRef {
        reply_to: Some(Seq(3)),
        mentions: vec![bob.clone()],
        ttl_s: Some(3600),
        ..SendRef::new(b"*hi*", "text/markdown")
    };
    let (_, user, ..) = names();
    let group: ChatId = "g-7k2m9x4q1zrt".parse().expect("a group");
    let mut count = Vec::new();
    ReceiptCount { chat: group.clone(), seq: Seq(7), delivered_by: 900, read_by: 12 }
        .write_compact(&mut count);
    let mut typing = Vec::new();
    TypingNotice { chat: group, user, typing: true }.write_compact(&alice, &mut typing);
    let expected = [
        SendRef::text("hi").to_compact(),
        with_id.to_compact(),
        full.to_compact(),
        delivery(7, &bob, "hi"),
        delivery(7, &alice, "hi"),
        read_payload(Seq(7)),
        ticks(7, 6),
        ticks(7, 7),
        count,
        typing_payload(true),
        typing,
    ];
    assert_eq!(shown_in("cbor"), expected.map(|bytes| hex(&bytes)));
}

/// Bytes of a PUBLISH of MQTT 5 at QoS 1 without its payload: fixed header, empty topic, packet
/// id, length of the properties, topic alias.
pub(crate) const PUBLISH_HEAD: usize = 2 + 2 + 2 + 1 + 3;

pub(crate) fn publish(payload_bytes: usize) -> usize {
    assert!(PUBLISH_HEAD - 2 + payload_bytes < 128, "a remaining length of one byte");
    PUBLISH_HEAD + payload_bytes
}

/// Bytes of a PUBACK without reason code and properties.
pub(crate) const PUBACK: usize = 4;

/// One message of 20 characters sent, delivered and read, to its last PUBACK, on both lines: its
/// payloads in the order of the document's table.
fn conversation(seq: u64, id: Option<MessageId>) -> [(&'static str, usize); 5] {
    let (_, bob, ..) = names();
    let send = SendRef { id, ..SendRef::text(BODY) };
    [
        ("alice sends", send.to_compact().len()),
        ("bob receives", delivery(seq, &bob, BODY).len()),
        ("alice learns: delivered", ticks(seq, seq - 1).len()),
        ("bob reads", read_payload(Seq(seq)).len()),
        ("alice learns: read", ticks(seq, seq).len()),
    ]
}

fn sum(seq: u64, id: Option<MessageId>) -> usize {
    conversation(seq, id).iter().map(|(_, payload_bytes)| publish(*payload_bytes) + PUBACK).sum()
}

#[test]
fn a_message_sent_delivered_and_read_takes_160_bytes_at_most() {
    assert_eq!(BODY.chars().count(), 20);
    let (.., id) = names();
    let mut rows = Vec::new();
    for (what, bytes) in conversation(7, None) {
        let together = publish(bytes) + PUBACK;
        rows.push(format!("| {what} | {PUBLISH_HEAD} | {bytes} | {PUBACK} | {together} |"));
    }
    rows.push(format!("**{}**", sum(7, None)));
    for seq in [7, 100, 1000, 100_000] {
        let (without, with) = (sum(seq, None), sum(seq, Some(id)));
        println!("seq {seq}: {without} bytes, with a message id {with}");
        rows.push(format!("| {seq} | {without} | {with} |"));
    }
    for row in rows {
        assert!(DOCUMENT.contains(&row), "docs/compact.md lacks: {row}");
    }
    for seq in 1..256 {
        assert!(sum(seq, None) <= 160, "seq {seq}");
    }
}
