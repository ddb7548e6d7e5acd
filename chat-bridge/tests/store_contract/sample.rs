//! Values to store: named ones, and random ones of every shape.

use std::sync::Arc;

use bluetick_bridge::engine::{
    Batch, Chat, ChatNo, ContentType, Cursor, Derived, Entry, MEMBERS_PER_PAGE, Member,
    PartitionNo, SavedSession, SavedSubscription, SessionKey, Watermarks, Write,
};
use bluetick_bridge::store::Store;
use bluetick_protocol::{ChatId, Event, MessageId, Role, Seq, UserId};
use fastrand::Rng;

pub(crate) const P: PartitionNo = PartitionNo(1);

pub(crate) fn user(name: &str) -> UserId {
    UserId::try_from(name).expect("a name")
}

pub(crate) fn group(number: u64) -> ChatId {
    ChatId::try_from(format!("g-{number:012}").as_str()).expect("a group")
}

pub(crate) fn id(number: u128) -> MessageId {
    MessageId::from_bytes(number.to_be_bytes()).expect("not nil")
}

/// Of version 7: greater numbers are later.
pub(crate) fn id_v7(number: u64) -> MessageId {
    id(0x0193_a5f0_1c2b_7000_8000_0000_0000_0000 | u128::from(number))
}

pub(crate) fn key(name: &str, device: &str) -> SessionKey {
    SessionKey { user: user(name), device: device.into() }
}

pub(crate) fn batch(writes: impl IntoIterator<Item = Write>) -> Batch {
    let mut batch = Batch::default();
    batch.writes.extend(writes);
    batch
}

pub(crate) fn commit(store: &Store, writes: impl IntoIterator<Item = Write>) {
    store.commit([(P, &batch(writes))]).expect("committed");
}

/// The writes of a chat as the engine makes them: the first members with the head, the others in
/// pages.
pub(crate) fn chat_writes(no: ChatNo, id: &ChatId, head: Seq, members: &[Member]) -> Vec<Write> {
    let first = members.chunks(MEMBERS_PER_PAGE).next().unwrap_or_default();
    let mut writes = vec![Write::Chat {
        no,
        id: id.clone(),
        head,
        version: head.0 + 1,
        last_at_ms: head.0 + 2,
        member_count: u32::try_from(members.len()).expect("not that many"),
        has_info: false,
        members: first.to_vec(),
    }];
    let pages = members.chunks(MEMBERS_PER_PAGE).zip(0..).skip(1);
    writes.extend(pages.map(|(members, page)| page_write(no, page, members)));
    writes
}

pub(crate) fn page_write(no: ChatNo, page: u32, members: &[Member]) -> Write {
    Write::MemberPage { no, page, members: members.to_vec() }
}

/// Asserts that a chat is what [`chat_writes`] wrote.
pub(crate) fn assert_chat(chat: &Chat, no: ChatNo, id: &ChatId, head: Seq, members: &[Member]) {
    assert_eq!((chat.no, &chat.id), (no, id));
    assert_eq!((chat.head, chat.version, chat.last_at_ms), (head, head.0 + 1, head.0 + 2));
    // What is stored is committed: others may see all of it.
    assert_eq!((chat.committed, chat.visible_version), (chat.head, chat.version));
    assert_eq!(chat.members.len(), members.len());
    for (found, member) in chat.members.iter().zip(members) {
        assert_eq!(found, member);
    }
}

/// `count` members, each different.
pub(crate) fn members(random: &mut Rng, count: usize) -> Vec<Member> {
    (0..count).map(|at| member(random, &format!("user{at}"))).collect()
}

pub(crate) fn member(random: &mut Rng, name: &str) -> Member {
    let role = [Role::Owner, Role::Admin, Role::Member][random.usize(..3)];
    let mut member = Member::new(user(name), role, Seq(number(random)), number(random));
    member.until = maybe(random, number).map(Seq);
    member.marks = watermarks(random);
    member.muted_until_ms = maybe(random, number);
    member.blocks = maybe(random, |random| Box::new(watermarks(random)));
    member.visible = member.marks;
    member.receipts_told = number(random);
    member.newest_id = maybe(random, |random| id(random.u128(1..)));
    member.newest_named = Seq(number(random));
    member.committed_named = member.newest_named;
    member.unindexed = random.u8(..16);
    member.last_sent = Seq(number(random));
    let cursors = random.usize(..3);
    member.cursors = (0..cursors).map(|_| cursor(random)).collect();
    member
}

fn watermarks(random: &mut Rng) -> Watermarks {
    Watermarks {
        delivered: Seq(number(random)),
        read: Seq(number(random)),
        read_told: Seq(number(random)),
        at_ms: number(random),
        version: number(random),
        delivered_version: number(random),
        read_version: number(random),
        news: number(random),
        delivered_news: number(random),
    }
}

fn cursor(random: &mut Rng) -> Cursor {
    Cursor {
        device: text(random, 20).into(),
        epoch: number(random),
        seq: maybe(random, number).map(Seq),
        receipts: maybe(random, number),
    }
}

/// A plain entry.
pub(crate) fn entry(seq: u64, body: &[u8]) -> Entry {
    Entry {
        seq: Seq(seq),
        id: id(u128::from(seq) + 1),
        author: 0,
        previous: Seq(seq.saturating_sub(1)),
        previous_named: Seq(seq.saturating_sub(1)),
        at_ms: seq,
        content_type: ContentType::Text,
        body: body.to_vec().into(),
        reply_to: None,
        mentions: Vec::new(),
        expires_at_ms: None,
        fingerprint: None,
        event: None,
        origin: 0,
        amends: None,
        deleted: false,
        hidden: false,
        derived: Derived::default(),
    }
}

/// An entry with everything that an entry may have.
pub(crate) fn any_entry(random: &mut Rng, seq: Seq) -> Entry {
    let bytes = random.usize(..200);
    Entry {
        seq,
        id: id(random.u128(1..)),
        author: random.u32(..),
        previous: Seq(random.u64(..seq.0)),
        previous_named: Seq(random.u64(..seq.0)),
        at_ms: number(random),
        content_type: match random.u8(..3) {
            0 => ContentType::Text,
            1 => ContentType::Binary,
            _ => ContentType::Other(text(random, 40).into()),
        },
        body: (0..bytes).map(|_| random.u8(..)).collect(),
        reply_to: maybe(random, number).map(Seq),
        mentions: users(random),
        expires_at_ms: maybe(random, number),
        fingerprint: maybe(random, number),
        event: maybe(random, event),
        origin: random.u32(..),
        amends: None,
        deleted: random.bool(),
        hidden: random.bool(),
        derived: Derived::default(),
    }
}

fn event(random: &mut Rng) -> Event {
    match random.u8(..4) {
        0 => Event::Created { members: users(random), title: maybe(random, |r| text(r, 60)) },
        1 => Event::Added { members: users(random) },
        2 => Event::Removed { members: users(random) },
        _ => Event::Left,
    }
}

pub(crate) fn session(random: &mut Rng) -> SavedSession {
    let subscriptions = random.usize(..4);
    SavedSession {
        epoch: number(random),
        expiry_s: random.u32(..),
        disconnected_at_ms: maybe(random, number),
        last_seen_ms: number(random),
        client: text(random, 20),
        subscriptions: (0..subscriptions)
            .map(|_| {
                let ticks = random.usize(..5);
                SavedSubscription {
                    filter: text(random, 60).into(),
                    qos: random.u8(..3),
                    no_local: random.bool(),
                    id: maybe(random, |random| random.u32(..)),
                    ticks: (0..ticks).map(|_| number(random)).collect(),
                }
            })
            .collect(),
    }
}

fn users(random: &mut Rng) -> Vec<UserId> {
    let count = random.usize(..4);
    (0..count).map(|_| user(&format!("user{}", random.u32(..)))).collect()
}

/// Small ones, large ones and those between: the stored form has a length for each size.
pub(crate) fn number(random: &mut Rng) -> u64 {
    random.u64(..) >> random.u32(..64)
}

fn maybe<T>(random: &mut Rng, make: impl Fn(&mut Rng) -> T) -> Option<T> {
    random.bool().then(|| make(random))
}

/// Also characters of several bytes, and none at all.
fn text(random: &mut Rng, chars_max: usize) -> String {
    let chars = random.usize(..=chars_max);
    (0..chars).map(|_| ['a', 'Z', '0', '/', '+', ' ', 'ß', '→', '🦀'][random.usize(..9)]).collect()
}

pub(crate) fn entry_write(chat: ChatNo, entry: Entry) -> Write {
    Write::Entry { chat, entry: Arc::new(entry) }
}
