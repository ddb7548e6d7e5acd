//! What waits in the outbox, and its form on disk.

use bluetick_protocol::{ChatId, MessageId, Seq};
use serde::{Deserialize, Serialize};

use crate::draft::Header;

/// The first byte of a record: the version of what follows.
const VERSION: u8 = 1;

/// Bytes of the length of a record's head.
const LENGTH_BYTES: usize = 4;

/// What an entry takes beside its body, about.
const OVERHEAD_BYTES: usize = 256;

/// A message, or a change of one, that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

/// All of an entry but its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) id: MessageId,
    pub(crate) chat: ChatId,
    pub(crate) verb: Verb,
    pub(crate) header: Header,
    /// When it was queued, Unix milliseconds.
    pub(crate) at_ms: u64,
    /// When it is given up, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) give_up_ms: Option<u64>,
}

/// What the body is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verb {
    Send,
    Edit(Seq),
    Delete(Seq),
    React(Seq),
}

impl Entry {
    /// What it counts for in the outbox.
    pub(crate) fn bytes(&self) -> usize {
        self.body.len() + OVERHEAD_BYTES
    }

    /// The record: version, length of the head (4 bytes, big-endian), head (JSON), body.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let head = serde_json::to_vec(&self.head).expect("names and numbers have a JSON form");
        let length = u32::try_from(head.len()).expect("a head has some hundred bytes");
        [&[VERSION][..], &length.to_be_bytes(), &head, &self.body].concat()
    }

    /// `None`: it is no record of this version.
    pub(crate) fn decode(record: &[u8]) -> Option<Self> {
        let (version, rest) = record.split_first()?;
        let (length, rest) = rest.split_first_chunk::<LENGTH_BYTES>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (head, body) = rest.split_at_checked(length)?;
        let head = serde_json::from_slice(head).ok()?;
        (*version == VERSION).then(|| Self { head, body: body.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_no_part_of_it_is_one() {
        let head = Head {
            id: "0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00".parse().expect("an id"),
            chat: ChatId::try_from("alice~bob").expect("a chat"),
            verb: Verb::React(Seq(7)),
            header: Header { ttl_s: Some(5), ..Header::default() },
            at_ms: 1,
            give_up_ms: Some(2),
        };
        let entry = Entry { head, body: b"\xff\0x".to_vec() };
        let record = entry.encode();
        assert_eq!(Entry::decode(&record), Some(entry.clone()));
        let head_end = record.len() - entry.body.len();
        for end in 0..head_end {
            assert_eq!(Entry::decode(&record[..end]), None, "{end}");
        }
        let mut later = record;
        later[0] = VERSION + 1;
        assert_eq!(Entry::decode(&later), None);
    }
}
