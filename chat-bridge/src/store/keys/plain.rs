//! Keys of plain topics.
//!
//! | key | value |
//! |---|---|
//! | `r` topic | retained message |
//! | `s` user 0 client 0 epoch(8) `a` | session |
//! | `s` user 0 client 0 epoch(8) `f` filter | subscription |
//! | `s` user 0 client 0 epoch(8) `p` packet id(2) | (empty): received at QoS 2, not released |
//! | `s` user 0 client 0 epoch(8) `q` seq(8) | message in the session's queue |
//!
//! A session is one range. Neither users nor clients have a zero byte in their names.

use std::sync::Arc;

use bluetick_broker::host::SessionKey;
use bluetick_broker::keep::SessionRef;

use super::{Range, TRUNCATED};
use crate::store::kv::StoreError;

const RETAINED: u8 = b'r';
const SESSION: u8 = b's';

const ITSELF: u8 = b'a';
const SUBSCRIPTION: u8 = b'f';
const RECEIVED: u8 = b'p';
const QUEUED: u8 = b'q';

/// What a key of a session is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Part {
    Itself,
    Subscription(Arc<str>),
    Received(u16),
    Queued(u64),
}

pub(in crate::store) fn retained(topic: &str) -> Vec<u8> {
    [&[RETAINED], topic.as_bytes()].concat()
}

pub(in crate::store) fn all_retained() -> Range {
    (vec![RETAINED], vec![RETAINED + 1])
}

pub(in crate::store) fn retained_topic(key: &[u8]) -> Result<Arc<str>, StoreError> {
    text(key.get(1..).ok_or(TRUNCATED)?)
}

pub(in crate::store) fn session(of: &SessionRef, part: &Part) -> Vec<u8> {
    let mut key = of_client(&of.key, 0);
    key.extend_from_slice(&of.epoch.to_be_bytes());
    match part {
        Part::Itself => key.push(ITSELF),
        Part::Subscription(filter) => {
            key.push(SUBSCRIPTION);
            key.extend_from_slice(filter.as_bytes());
        }
        Part::Received(packet_id) => {
            key.push(RECEIVED);
            key.extend_from_slice(&packet_id.to_be_bytes());
        }
        Part::Queued(seq) => {
            key.push(QUEUED);
            key.extend_from_slice(&seq.to_be_bytes());
        }
    }
    key
}

/// All sessions of a client, whatever their epoch.
pub(in crate::store) fn sessions_of(key: &SessionKey) -> Range {
    (of_client(key, 0), of_client(key, 1))
}

pub(in crate::store) fn all_sessions() -> Range {
    (vec![SESSION], vec![SESSION + 1])
}

pub(in crate::store) fn session_part(key: &[u8]) -> Result<(SessionRef, Part), StoreError> {
    let mut names = key.get(1..).ok_or(TRUNCATED)?.splitn(3, |byte| *byte == 0);
    let mut next = || names.next().ok_or(TRUNCATED);
    let (user, client_id, rest) = (text(next()?)?, text(next()?)?, next()?);
    let (epoch, rest) = rest.split_first_chunk::<8>().ok_or(TRUNCATED)?;
    let (kind, rest) = rest.split_first().ok_or(TRUNCATED)?;
    let part = match *kind {
        ITSELF => Part::Itself,
        SUBSCRIPTION => Part::Subscription(text(rest)?),
        RECEIVED => Part::Received(u16::from_be_bytes(rest.try_into().map_err(|_| TRUNCATED)?)),
        QUEUED => Part::Queued(u64::from_be_bytes(rest.try_into().map_err(|_| TRUNCATED)?)),
        _ => return Err(StoreError::Corrupt("a key of a session is of no known kind")),
    };
    let key = SessionKey { user, client_id };
    Ok((SessionRef { key, epoch: u64::from_be_bytes(*epoch) }, part))
}

fn of_client(key: &SessionKey, end: u8) -> Vec<u8> {
    let SessionKey { user, client_id } = key;
    [&[SESSION], user.as_bytes(), &[0], client_id.as_bytes(), &[end]].concat()
}

fn text(bytes: &[u8]) -> Result<Arc<str>, StoreError> {
    let text = std::str::from_utf8(bytes);
    text.map(Into::into).map_err(|_| StoreError::Corrupt("a key is not text"))
}
