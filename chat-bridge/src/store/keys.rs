//! Every key, in one place. All start with the partition, so that a partition is one range of
//! each table; numbers are big-endian, so that they sort.
//!
//! | table | key after the partition (2 bytes) | value |
//! |---|---|---|
//! | state | `a` | when the server was last known to be alive |
//! | state | `c` chat(8) | chat record |
//! | state | `e` time(8) chat(8) seq(8) | (empty): a message whose time is over then |
//! | state | `i` chat(8) | what is said of a chat |
//! | state | `k` | counters |
//! | state | `l` user | when he was last seen |
//! | state | `m` chat(8) page(4) | member page |
//! | state | `n` name | chat number, where the name does not make it |
//! | state | `p` user | what is kept of him |
//! | state | `q` user 0 hash(16) | answer to a request |
//! | state | `s` user 0 device | session |
//! | state | `u` user 0 chat(8) | (empty) |
//! | state | `x` chat(8) seq(8) | what was done to a message |
//! | state | `y` user | what his messages take |
//! | log | chat(8) seq(8) | entry |
//! | ids | chat(8) author(4) `a` id(16) | seq: a message whose id came out of order |
//! | ids | chat(8) author(4) `o` id(16) | seq: one of those whose ids came in order |
//!
//! Plain topics have a table of their own, without partitions: `plain.rs`.
//!
//! The schema record has the partition number 0xFFFF, which no partition has. Names of users
//! contain no zero byte.

pub(super) mod plain;

use bluetick_protocol::{ChatId, MessageId, Seq, UserId};

use super::kv::StoreError;
use crate::engine::{ChatNo, PartitionNo, RequestKey, SessionKey};

const ALIVE: u8 = b'a';
const CHAT: u8 = b'c';
const EXPIRING: u8 = b'e';
const CHAT_INFO: u8 = b'i';
const COUNTERS: u8 = b'k';
const SEEN: u8 = b'l';
const MEMBER_PAGE: u8 = b'm';
const CHAT_NAME: u8 = b'n';
const USER: u8 = b'p';
const ANSWER: u8 = b'q';
const SESSION: u8 = b's';
const CHAT_OF_USER: u8 = b'u';
const AMENDMENTS: u8 = b'x';
const STORED: u8 = b'y';

/// In the table of ids.
const ID_ALONE: u8 = b'a';
const ID_IN_ORDER: u8 = b'o';

const TRUNCATED: StoreError = StoreError::Corrupt("a key is too short");

/// A range of keys: from, and up to but not including.
pub(super) type Range = (Vec<u8>, Vec<u8>);

pub(super) fn schema() -> Vec<u8> {
    vec![0xFF, 0xFF, b'v']
}

pub(super) fn alive(partition: PartitionNo) -> Vec<u8> {
    key(partition, ALIVE, &[])
}

pub(super) fn user(partition: PartitionNo, id: &UserId) -> Vec<u8> {
    key(partition, USER, &[id.as_str().as_bytes()])
}

pub(super) fn stored(partition: PartitionNo, user: &UserId) -> Vec<u8> {
    key(partition, STORED, &[user.as_str().as_bytes()])
}

pub(super) fn seen(partition: PartitionNo, user: &UserId) -> Vec<u8> {
    key(partition, SEEN, &[user.as_str().as_bytes()])
}

pub(super) fn all_seen(partition: PartitionNo) -> Range {
    (key(partition, SEEN, &[]), key(partition, SEEN + 1, &[]))
}

pub(super) fn seen_user(key: &[u8]) -> Result<UserId, StoreError> {
    let name = key.get(3..).and_then(|name| std::str::from_utf8(name).ok());
    let user = name.and_then(|name| UserId::try_from(name).ok());
    user.ok_or(StoreError::Corrupt("a key does not name a user"))
}

pub(super) fn expiring(partition: PartitionNo, at_ms: u64, chat: ChatNo, seq: Seq) -> Vec<u8> {
    let parts = [at_ms, chat.0, seq.0].map(u64::to_be_bytes);
    key(partition, EXPIRING, &parts.each_ref().map(<[u8; 8]>::as_slice))
}

/// Those whose time is over at `now`.
pub(super) fn expired(partition: PartitionNo, now: u64) -> Range {
    let next = now.saturating_add(1).to_be_bytes();
    (key(partition, EXPIRING, &[]), key(partition, EXPIRING, &[&next]))
}

/// Chat and place of an expiring message.
pub(super) fn expiring_place(key: &[u8]) -> Result<(ChatNo, Seq), StoreError> {
    let (rest, _) = key.split_last_chunk::<8>().ok_or(TRUNCATED)?;
    Ok((trailing_chat_no(rest)?, trailing_seq(key)?))
}

pub(super) fn chat(partition: PartitionNo, no: ChatNo) -> Vec<u8> {
    key(partition, CHAT, &[&no.0.to_be_bytes()])
}

pub(super) fn chats(partition: PartitionNo) -> Range {
    (key(partition, CHAT, &[]), key(partition, CHAT + 1, &[]))
}

pub(super) fn chat_info(partition: PartitionNo, no: ChatNo) -> Vec<u8> {
    key(partition, CHAT_INFO, &[&no.0.to_be_bytes()])
}

pub(super) fn counters(partition: PartitionNo) -> Vec<u8> {
    key(partition, COUNTERS, &[])
}

pub(super) fn member_page(partition: PartitionNo, no: ChatNo, page: u32) -> Vec<u8> {
    key(partition, MEMBER_PAGE, &[&no.0.to_be_bytes(), &page.to_be_bytes()])
}

pub(super) fn member_pages(partition: PartitionNo, no: ChatNo) -> Range {
    let next = ChatNo(no.0.saturating_add(1));
    (member_page(partition, no, 0), member_page(partition, next, 0))
}

pub(super) fn chat_name(partition: PartitionNo, id: &ChatId) -> Vec<u8> {
    key(partition, CHAT_NAME, &[id.as_str().as_bytes()])
}

pub(super) fn chat_of_user(partition: PartitionNo, user: &UserId, no: ChatNo) -> Vec<u8> {
    key(partition, CHAT_OF_USER, &[user.as_str().as_bytes(), &[0], &no.0.to_be_bytes()])
}

pub(super) fn chats_of_user(partition: PartitionNo, user: &UserId) -> Range {
    let user = user.as_str().as_bytes();
    (key(partition, CHAT_OF_USER, &[user, &[0]]), key(partition, CHAT_OF_USER, &[user, &[1]]))
}

pub(super) fn amendments(partition: PartitionNo, chat: ChatNo, seq: Seq) -> Vec<u8> {
    key(partition, AMENDMENTS, &[&chat.0.to_be_bytes(), &seq.0.to_be_bytes()])
}

pub(super) fn answer(partition: PartitionNo, of: &RequestKey) -> Vec<u8> {
    key(partition, ANSWER, &[of.user.as_str().as_bytes(), &[0], &of.hash.to_be_bytes()])
}

pub(super) fn answers(partition: PartitionNo) -> Range {
    (key(partition, ANSWER, &[]), key(partition, ANSWER + 1, &[]))
}

pub(super) fn answer_key(key: &[u8]) -> Result<RequestKey, StoreError> {
    let (user, hash) = key.get(3..).and_then(|rest| rest.split_last_chunk()).ok_or(TRUNCATED)?;
    let user = user.strip_suffix(&[0]).ok_or(TRUNCATED)?;
    let user = std::str::from_utf8(user).ok().and_then(|user| UserId::try_from(user).ok());
    let user = user.ok_or(StoreError::Corrupt("the key of an answer does not name a user"))?;
    Ok(RequestKey { user, hash: u128::from_be_bytes(*hash) })
}

pub(super) fn session(partition: PartitionNo, of: &SessionKey) -> Vec<u8> {
    key(partition, SESSION, &[of.user.as_str().as_bytes(), &[0], of.device.as_bytes()])
}

pub(super) fn sessions(partition: PartitionNo) -> Range {
    (key(partition, SESSION, &[]), key(partition, SESSION + 1, &[]))
}

pub(super) fn sessions_of(partition: PartitionNo, user: &UserId) -> Range {
    let user = user.as_str().as_bytes();
    (key(partition, SESSION, &[user, &[0]]), key(partition, SESSION, &[user, &[1]]))
}

pub(super) fn session_key(key: &[u8]) -> Result<SessionKey, StoreError> {
    let text = key.get(3..).ok_or(TRUNCATED)?;
    let text = std::str::from_utf8(text)
        .map_err(|_| StoreError::Corrupt("the key of a session is not text"))?;
    let (user, device) = text.split_once('\0').ok_or(TRUNCATED)?;
    let user = UserId::try_from(user)
        .map_err(|_| StoreError::Corrupt("the key of a session does not start with a user"))?;
    Ok(SessionKey { user, device: device.into() })
}

pub(super) fn entry(partition: PartitionNo, chat: ChatNo, seq: Seq) -> [u8; 18] {
    let mut key = [0; 18];
    key[..2].copy_from_slice(&partition.0.to_be_bytes());
    key[2..10].copy_from_slice(&chat.0.to_be_bytes());
    key[10..].copy_from_slice(&seq.0.to_be_bytes());
    key
}

/// Of a message of its own, or of one among those of an author whose ids came in order.
pub(super) fn id(
    partition: PartitionNo,
    chat: ChatNo,
    author: u32,
    in_order: bool,
    id: MessageId,
) -> [u8; 31] {
    let mut key = [0; 31];
    key[..2].copy_from_slice(&partition.0.to_be_bytes());
    key[2..10].copy_from_slice(&chat.0.to_be_bytes());
    key[10..14].copy_from_slice(&author.to_be_bytes());
    key[14] = if in_order { ID_IN_ORDER } else { ID_ALONE };
    key[15..].copy_from_slice(id.as_bytes());
    key
}

/// Those of an author whose ids came in order, from `id` on.
pub(super) fn ids_in_order(
    partition: PartitionNo,
    chat: ChatNo,
    author: u32,
    from: MessageId,
) -> ([u8; 31], [u8; 15]) {
    let start = id(partition, chat, author, true, from);
    let mut end = [0; 15];
    end.copy_from_slice(&start[..15]);
    end[14] += 1;
    (start, end)
}

pub(super) fn trailing_chat_no(key: &[u8]) -> Result<ChatNo, StoreError> {
    Ok(ChatNo(trailing_u64(key)?))
}

pub(super) fn trailing_seq(key: &[u8]) -> Result<Seq, StoreError> {
    Ok(Seq(trailing_u64(key)?))
}

fn trailing_u64(key: &[u8]) -> Result<u64, StoreError> {
    key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes)).ok_or(TRUNCATED)
}

fn key(partition: PartitionNo, kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(3 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.extend_from_slice(&partition.0.to_be_bytes());
    key.push(kind);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}
