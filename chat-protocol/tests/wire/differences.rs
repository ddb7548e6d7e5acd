//! Differences: what is written is read back by one who has heard all before, whatever came between;
//! nothing that a peer sends panics; docs/compact.md shows the bytes and the sums as they are.

use bluetick_protocol::compact::{
    Differences, LASTS_MAX, LastMessage, LastReceipt, Message, Recent, SendRef,
};
use bluetick_protocol::{ChatId, MessageId, MessageRef, Receipt, Seq, UserId};
use fastrand::Rng;

use crate::compact::{
    BODY, DOCUMENT, PUBACK, PUBLISH_HEAD, Parts, assert_deterministic, hex, item, names, owned,
    publish, shown_in,
};
use crate::for_each_seed;
use crate::generate::{number, user};

const AT_MS: u64 = 1_764_000_000_000;

/// The server's end: what it has told in a connection.
#[derive(Default)]
struct Teller {
    messages: Recent<ChatId, LastMessage>,
    receipts: Recent<(ChatId, UserId), LastReceipt>,
}

impl Teller {
    fn message(&mut self, message: &MessageRef<'_>, reader: &UserId) -> Vec<u8> {
        let mut out = Vec::new();
        let last = self.messages.get(message.chat).copied();
        if !last.is_some_and(|last| message.write_difference(last, reader, &mut out)) {
            message.write_compact(reader, &mut out);
        }
        self.messages.put(message.chat.clone(), LastMessage::new(message.seq, message.at_ms));
        out
    }

    fn receipt(&mut self, receipt: &Receipt, reader: &UserId) -> Vec<u8> {
        let of = (receipt.chat.clone(), receipt.user.clone());
        let mut out = Vec::new();
        let last = self.receipts.get(&of).copied();
        if !last.is_some_and(|last| receipt.write_difference(last, reader, &mut out)) {
            receipt.write_compact(reader, &mut out);
        }
        self.receipts.put(of, LastReceipt::of(receipt));
        out
    }
}

fn is_map(payload: &[u8]) -> bool {
    payload.first().is_some_and(|first| first >> 5 == 5)
}

/// A time as a payload tells it: a map to the millisecond, a difference to the second.
fn told_at(at_ms: u64, payload: &[u8]) -> u64 {
    if is_map(payload) { at_ms } else { at_ms / 1000 * 1000 }
}

/// Each item of a sequence is deterministic by itself; only the first may be negative.
fn assert_sequence(payload: &[u8]) {
    if is_map(payload) {
        return assert_deterministic(payload);
    }
    let mut first = payload.to_vec();
    first[0] &= 0x1f;
    let mut rest = item(&first);
    while !rest.is_empty() {
        rest = item(rest);
    }
}

#[test]
fn a_connection_of_messages_comes_back() {
    let mut differences = 0;
    for_each_seed(300, |rng| {
        let reader = user(rng);
        let (mut teller, mut listener) = (Teller::default(), Differences::default());
        // More chats than are remembered, in some runs.
        let chats: Vec<_> =
            (0..rng.usize(1..2 * LASTS_MAX)).map(|_| Parts::of(rng, &reader)).collect();
        let mut places = vec![(number(rng) >> 1, number(rng) >> 1); chats.len()];
        for _ in 0..200 {
            let some = rng.usize(1..=chats.len());
            let at = rng.usize(..some);
            let (seq, at_ms) = places[at];
            let step = [1, 1, 1, 2, 300, 0][rng.usize(..6)];
            let after = match rng.u8(..8) {
                0 => Some(Seq(number(rng))),
                _ => (step > 1).then_some(Seq(seq)),
            };
            let passed_ms = number(rng) >> 20;
            places[at] = match rng.u8(..8) {
                0 => (seq + step, at_ms.saturating_sub(passed_ms)),
                _ => (seq + step, at_ms.saturating_add(passed_ms)),
            };
            let parts = &chats[at];
            let rest = parts.message(rng);
            let (seq, at_ms) = places[at];
            let message = MessageRef { seq: Seq(seq), at_ms, after, ..rest };
            let payload = teller.message(&message, &reader);
            assert_sequence(&payload);
            let read = listener.message(&parts.chat, &reader, &payload);
            let at_ms = told_at(at_ms, &payload);
            let heard = Message { at_ms, ..owned(&message, &reader) };
            assert_eq!(read, Ok(heard));
        }
    });
    let mut rng = Rng::with_seed(1);
    let reader = user(&mut rng);
    let parts = Parts::of(&mut rng, &reader);
    let mut teller = Teller::default();
    for seq in 1..=10 {
        let message = MessageRef { seq: Seq(seq), after: None, ..parts.message(&mut rng) };
        differences += u32::from(!is_map(&teller.message(&message, &reader)));
    }
    assert_eq!(differences, 9, "all but the first");
}

#[test]
fn a_connection_of_receipts_comes_back() {
    for_each_seed(300, |rng| {
        let reader = user(rng);
        let (mut teller, mut listener) = (Teller::default(), Differences::default());
        let parts = Parts::of(rng, &reader);
        let mut of: Vec<_> = [parts.from.clone(), reader.clone(), user(rng)]
            .map(|user| (user, number(rng) >> 1, 0, number(rng) >> 1))
            .to_vec();
        for _ in 0..100 {
            let (user, delivered, read, at_ms) = &mut of[rng.usize(..3)];
            *delivered += [0, 1, 1, number(rng) >> 32][rng.usize(..4)];
            let more = [0, *delivered - *read, number(rng)][rng.usize(..3)];
            *read += more.min(*delivered - *read);
            *at_ms = match rng.u8(..8) {
                0 => at_ms.saturating_sub(number(rng)),
                _ => at_ms.saturating_add(number(rng) >> 20),
            };
            let receipt = Receipt {
                chat: parts.chat.clone(),
                user: user.clone(),
                delivered: Seq(*delivered),
                read: Seq(*read),
                at_ms: *at_ms,
            };
            let payload = teller.receipt(&receipt, &reader);
            assert_sequence(&payload);
            let heard = Receipt { at_ms: told_at(*at_ms, &payload), ..receipt };
            assert_eq!(listener.receipt(&parts.chat, &reader, &payload), Ok(heard));
        }
    });
}

/// Reads it as what follows something; what is taken says the same when it is written again.
fn read_as_everything(chat: &ChatId, reader: &UserId, bytes: &[u8]) -> u32 {
    let mut taken = 0;
    for last in [None, Some(LastMessage::new(Seq(1000), AT_MS))] {
        taken += u32::from(Message::from_difference(chat, reader, last, bytes).is_ok());
    }
    let before = Receipt {
        chat: chat.clone(),
        user: reader.clone(),
        delivered: Seq(1000),
        read: Seq(990),
        at_ms: AT_MS,
    };
    let last = LastReceipt::of(&before);
    if let Ok(receipt) = Receipt::from_difference(chat, reader, |_| Some(last), bytes) {
        taken += 1;
        assert!(receipt.read <= receipt.delivered);
        let mut out = Vec::new();
        if receipt.write_difference(last, reader, &mut out) {
            let again = Receipt::from_difference(chat, reader, |_| Some(last), &out);
            let at_ms = told_at(receipt.at_ms, &out);
            assert_eq!(again, Ok(Receipt { at_ms, ..receipt }));
        }
    }
    taken
}

/// A difference, with the chat and the reader that belong to it.
fn difference(rng: &mut Rng) -> (ChatId, UserId, Vec<u8>) {
    let reader = user(rng);
    let parts = Parts::of(rng, &reader);
    let mut out = Vec::new();
    if rng.bool() {
        let last = LastMessage::new(Seq(1000), AT_MS);
        let step = rng.u64(1..4);
        let after = (step > 1).then_some(Seq(1000));
        let rest = parts.message(rng);
        let message = MessageRef { seq: Seq(1000 + step), after, ..rest };
        assert!(message.write_difference(last, &reader, &mut out));
    } else {
        let mut receipt = Receipt {
            chat: parts.chat.clone(),
            user: parts.from.clone(),
            delivered: Seq(1000),
            read: Seq(990),
            at_ms: AT_MS,
        };
        let last = LastReceipt::of(&receipt);
        receipt.delivered.0 += rng.u64(..3);
        receipt.read.0 += rng.u64(..=receipt.delivered.0 - 990);
        receipt.at_ms += number(rng) >> 24;
        assert!(receipt.write_difference(last, &reader, &mut out));
    }
    (parts.chat, reader, out)
}

#[test]
fn bytes_of_strangers_never_panic() {
    for_each_seed(20_000, |rng| {
        let reader = user(rng);
        let chat = Parts::of(rng, &reader).chat;
        let mut bytes = vec![0; rng.usize(..40)];
        rng.fill(&mut bytes);
        read_as_everything(&chat, &reader, &bytes);
        // Small integers in front, of which more is taken.
        for byte in bytes.iter_mut().take(rng.usize(..4)) {
            *byte &= 0x37;
        }
        read_as_everything(&chat, &reader, &bytes);
    });
    for_each_seed(500, |rng| {
        let (chat, reader, mut payload) = difference(rng);
        assert!(read_as_everything(&chat, &reader, &payload) > 0, "whole");
        for bit in 0..payload.len() * 8 {
            payload[bit / 8] ^= 1 << (bit % 8);
            read_as_everything(&chat, &reader, &payload);
            payload[bit / 8] ^= 1 << (bit % 8);
        }
        for length in 0..payload.len() {
            read_as_everything(&chat, &reader, &payload[..length]);
        }
    });
}

// What docs/compact.md shows.

/// Alice's message at this place and second, as `reader` gets it after the one at place 7.
fn message(seq: u64, second: u64, reader: &UserId, after: Option<Seq>) -> Vec<u8> {
    let (from, _, chat, id) = names();
    let message = MessageRef {
        body: Some(b"hi"),
        after,
        ..MessageRef::new(&chat, Seq(seq), id, &from, AT_MS + second * 1000, "text/plain")
    };
    let mut out = Vec::new();
    assert!(message.write_difference(LastMessage::new(Seq(7), AT_MS), reader, &mut out));
    out
}

/// Bob's receipt so many seconds later, as alice gets it after one that said this much.
fn ticks(before: (u64, u64), delivered: u64, read: u64, seconds: u64) -> Vec<u8> {
    let (reader, bob, chat, _) = names();
    let receipt = |(delivered, read), at_ms| {
        let (delivered, read) = (Seq(delivered), Seq(read));
        Receipt { chat: chat.clone(), user: bob.clone(), delivered, read, at_ms }
    };
    let last = LastReceipt::of(&receipt(before, AT_MS));
    let mut out = Vec::new();
    let now = receipt((delivered, read), AT_MS + seconds * 1000);
    assert!(now.write_difference(last, &reader, &mut out));
    out
}

#[test]
fn the_document_shows_the_bytes_as_they_are() {
    let (alice, bob, ..) = names();
    let expected = [
        message(8, 30, &bob, None),
        message(9, 30, &bob, Some(Seq(7))),
        message(8, 30, &alice, None),
        ticks((7, 7), 8, 7, 25),
        ticks((8, 7), 8, 8, 5),
        ticks((7, 7), 10, 8, 25),
    ];
    assert_eq!(shown_in("cbor-seq"), expected.map(|bytes| hex(&bytes)));
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Bytes of a message of 20 characters, sent so many seconds after the one before it, delivered at once
/// and read so many seconds later, as the one before it was: payloads in the order of the document's table.
fn conversation(seq: u64, gap_s: u64, read_s: u64) -> [(&'static str, usize); 5] {
    let (from, bob, chat, id) = names();
    let message = MessageRef {
        body: Some(BODY.as_bytes()),
        ..MessageRef::new(&chat, Seq(seq), id, &from, AT_MS + gap_s * 1000, "text/plain")
    };
    let mut out = Vec::new();
    let last = LastMessage::new(Seq(seq - 1), AT_MS);
    assert!(message.write_difference(last, &bob, &mut out));
    let delivered = ticks((seq - 1, seq - 1), seq, seq - 1, gap_s - read_s);
    let read = ticks((seq, seq - 1), seq, seq, read_s);
    [
        ("alice sends", BODY.len()),
        ("bob receives", out.len()),
        ("alice learns: delivered", delivered.len()),
        ("bob reads", 0),
        ("alice learns: read", read.len()),
    ]
}

fn sum(seq: u64, gap_s: u64, read_s: u64) -> usize {
    let all = conversation(seq, gap_s, read_s);
    all.iter().map(|(_, payload_bytes)| publish(*payload_bytes) + PUBACK).sum()
}

/// What a message id adds to a send: it is the map of the compact dialect in place of the bare body.
fn id_bytes(id: MessageId) -> usize {
    SendRef { id: Some(id), ..SendRef::text(BODY) }.to_compact().len() - BODY.len()
}

#[test]
fn a_message_sent_delivered_and_read_takes_120_bytes_at_most_within_18_hours() {
    let (.., id) = names();
    let mut rows = Vec::new();
    for (what, bytes) in conversation(100_000, 30, 5) {
        let together = publish(bytes) + PUBACK;
        rows.push(format!("| {what} | {PUBLISH_HEAD} | {bytes} | {PUBACK} | {together} |"));
    }
    rows.push(format!("| | | | | **{}** |", sum(100_000, 30, 5)));
    for (gap, gap_s, read, read_s) in [
        ("at once", 0, "at once", 0),
        ("30 s", 30, "5 s", 5),
        ("10 min", 10 * MINUTE, "20 s", 20),
        ("8 h", 8 * HOUR, "20 s", 20),
        ("8 h", 8 * HOUR, "10 min", 10 * MINUTE),
        ("3 days", 72 * HOUR, "20 s", 20),
        ("3 days", 72 * HOUR, "24 h", 24 * HOUR),
    ] {
        let bytes = sum(100_000, gap_s, read_s);
        println!("{gap}, read after {read}: {bytes} bytes");
        rows.push(format!("| {gap} | {read} | {bytes} | {} |", bytes + id_bytes(id)));
    }
    for row in rows {
        assert!(DOCUMENT.contains(&row), "docs/compact.md lacks: {row}");
    }
    let longest_s = 18 * HOUR;
    for seq in [7, 1000, 100_000] {
        assert_eq!(sum(seq, 0, 0), 114, "wherever in the chat");
        for gap_s in (0..=longest_s).step_by(13) {
            for read_s in [0, gap_s / 2, gap_s] {
                assert!(sum(seq, gap_s, read_s) <= 120, "{gap_s} s, read after {read_s} s");
            }
        }
    }
}
