//! Random values, all of them valid.

use bluetick_protocol::{ChatId, Event, MENTIONS_MAX, MessageId, SendJson, Seq, TTL_S_MAX, UserId};
use fastrand::Rng;

pub(crate) fn user(rng: &mut Rng) -> UserId {
    const FIRST: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    const REST: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789._-";
    let mut name = String::from(char::from(FIRST[rng.usize(..FIRST.len())]));
    for _ in 0..rng.usize(..64) {
        name.push(char::from(REST[rng.usize(..REST.len())]));
    }
    UserId::try_from(name).expect("of the alphabet")
}

pub(crate) fn chat(rng: &mut Rng) -> ChatId {
    if rng.bool() {
        return ChatId::direct(&user(rng), &user(rng));
    }
    let length = rng.usize(12..=64);
    let name = std::iter::repeat_with(|| rng.digit(36)).take(length).collect::<String>();
    ChatId::try_from(format!("g-{name}")).expect("of the alphabet")
}

pub(crate) fn message_id(rng: &mut Rng) -> MessageId {
    MessageId::from_bytes(rng.u128(1..).to_be_bytes()).expect("not nil")
}

/// Small and greatest numbers are as likely as those between.
pub(crate) fn number(rng: &mut Rng) -> u64 {
    rng.u64(..) >> rng.u32(..64)
}

pub(crate) fn maybe<T>(rng: &mut Rng, value: impl FnOnce(&mut Rng) -> T) -> Option<T> {
    rng.bool().then(|| value(rng))
}

pub(crate) fn users(rng: &mut Rng, max: usize) -> Vec<UserId> {
    (0..rng.usize(..=max)).map(|_| user(rng)).collect()
}

/// Text of which a good part has to be escaped, or is of several bytes.
pub(crate) fn text(rng: &mut Rng, chars_max: usize) -> String {
    const ODD: [char; 14] = [
        '"', '\\', '/', '\0', '\n', '\r', '\t', '\u{8}', '\u{c}', '\u{1f}', '\u{7f}', '\u{2028}',
        '\u{feff}', '😀',
    ];
    (0..rng.usize(..=chars_max))
        .map(|_| match rng.u8(..3) {
            0 => ODD[rng.usize(..ODD.len())],
            1 => char::from(rng.u8(b' '..=b'~')),
            _ => rng.char(..),
        })
        .collect()
}

/// UTF-8, bytes of any kind, or UTF-8 with one byte gone wrong.
pub(crate) fn body(rng: &mut Rng) -> Vec<u8> {
    let mut body = text(rng, 100).into_bytes();
    match rng.u8(..3) {
        0 => {}
        1 => rng.fill(&mut body),
        _ => {
            if let Some(at) = (!body.is_empty()).then(|| rng.usize(..body.len())) {
                body[at] = rng.u8(..);
            }
        }
    }
    body
}

pub(crate) fn event(rng: &mut Rng) -> Event {
    match rng.u8(..4) {
        0 => Event::Created { members: users(rng, 5), title: maybe(rng, |rng| text(rng, 20)) },
        1 => Event::Added { members: users(rng, 5) },
        2 => Event::Removed { members: users(rng, 5) },
        _ => Event::Left,
    }
}

pub(crate) fn send_json(rng: &mut Rng) -> SendJson {
    const TYPES: [&str; 3] = ["text/plain", "application/x;a=\"\\é\"", "t"];
    SendJson {
        id: maybe(rng, message_id),
        content_type: maybe(rng, |rng| TYPES[rng.usize(..TYPES.len())].to_owned()),
        body: body(rng),
        reply_to: maybe(rng, |rng| Seq(number(rng).max(1))),
        mentions: users(rng, MENTIONS_MAX),
        ttl_s: maybe(rng, |rng| rng.u32(1..=TTL_S_MAX)),
    }
}
