//! Records of a chat's log: entries, and what was done to them.

use bincode::{BorrowDecode, Decode, Encode};
use bluetick_protocol::{Event, Seq, UserId};
use bytes::Bytes;

use super::{RoleRecord, borrow_decode, decode, encode, message_id, role, role_record, user};
use crate::engine::{Amendments, Amends, ContentType, Derived, Entry};
use crate::store::kv::StoreError;

#[derive(Encode, BorrowDecode)]
struct EntryRecord<'a> {
    id: [u8; 16],
    author: u32,
    /// How far back it is, which is short; zero: there is none.
    previous_behind: u64,
    /// Likewise.
    previous_named_behind: u64,
    at_ms: u64,
    content_type: TypeRecord<'a>,
    body: &'a [u8],
    reply_to: Option<u64>,
    mentions: Vec<&'a str>,
    expires_at_ms: Option<u64>,
    fingerprint: Option<u64>,
    event: Option<EventRecord>,
    origin: u32,
    amends: Option<AmendsRecord>,
    flags: u8,
}

/// Of [`EntryRecord::flags`].
const DELETED: u8 = 1;
const HIDDEN: u8 = 2;

#[derive(Encode, Decode)]
enum AmendsRecord {
    Edit(u64),
    Delete(u64),
    React(u64),
}

#[derive(Encode, Decode)]
struct AmendmentsRecord {
    edits: Vec<u64>,
    reactions: Vec<(u32, u64)>,
}

#[derive(Encode, BorrowDecode)]
enum TypeRecord<'a> {
    Text,
    Binary,
    Other(&'a str),
}

// The bytes hold the variant's number: new ones stand at the end.
#[derive(Encode, Decode)]
enum EventRecord {
    Created {
        members: Vec<String>,
        title: Option<String>,
    },
    Added {
        members: Vec<String>,
    },
    Removed {
        members: Vec<String>,
    },
    Left,
    Role {
        user: String,
        role: RoleRecord,
    },
    Updated {
        title: Option<String>,
        description: Option<String>,
        picture: Option<String>,
        admins_only: Option<bool>,
        ttl_s: Option<u32>,
    },
}

pub(in crate::store) fn encode_entry(entry: &Entry, out: &mut Vec<u8>) {
    let record = EntryRecord {
        id: *entry.id.as_bytes(),
        author: entry.author,
        previous_behind: behind(entry.seq, entry.previous),
        previous_named_behind: behind(entry.seq, entry.previous_named),
        at_ms: entry.at_ms,
        content_type: match &entry.content_type {
            ContentType::Text => TypeRecord::Text,
            ContentType::Binary => TypeRecord::Binary,
            ContentType::Other(other) => TypeRecord::Other(other),
        },
        body: &entry.body,
        reply_to: entry.reply_to.map(|seq| seq.0),
        mentions: entry.mentions.iter().map(UserId::as_str).collect(),
        expires_at_ms: entry.expires_at_ms,
        fingerprint: entry.fingerprint,
        event: entry.event.as_ref().map(event_record),
        origin: entry.origin,
        amends: entry.amends.map(|amends| match amends {
            Amends::Edit(seq) => AmendsRecord::Edit(seq.0),
            Amends::Delete(seq) => AmendsRecord::Delete(seq.0),
            Amends::React(seq) => AmendsRecord::React(seq.0),
        }),
        flags: u8::from(entry.deleted) * DELETED + u8::from(entry.hidden) * HIDDEN,
    };
    encode(&record, out);
}

pub(in crate::store) fn decode_entry(seq: Seq, bytes: &[u8]) -> Result<Entry, StoreError> {
    let record: EntryRecord<'_> = borrow_decode(bytes)?;
    entry(seq, record)
}

/// As [`decode_entry`], without its body.
pub(in crate::store) fn decode_entry_head(seq: Seq, bytes: &[u8]) -> Result<Entry, StoreError> {
    let record: EntryRecord<'_> = borrow_decode(bytes)?;
    entry(seq, EntryRecord { body: &[], ..record })
}

/// How far `earlier` is behind `seq`; zero where there is none.
fn behind(seq: Seq, earlier: Seq) -> u64 {
    if earlier == Seq::ZERO { 0 } else { seq.0.saturating_sub(earlier.0) }
}

fn before(seq: Seq, behind: u64) -> Result<Seq, StoreError> {
    match behind {
        0 => Ok(Seq::ZERO),
        _ => seq
            .0
            .checked_sub(behind)
            .map(Seq)
            .ok_or(StoreError::Corrupt("an entry refers to one before the first")),
    }
}

fn entry(seq: Seq, record: EntryRecord<'_>) -> Result<Entry, StoreError> {
    Ok(Entry {
        seq,
        id: message_id(record.id)?,
        author: record.author,
        previous: before(seq, record.previous_behind)?,
        previous_named: before(seq, record.previous_named_behind)?,
        at_ms: record.at_ms,
        content_type: match record.content_type {
            TypeRecord::Text => ContentType::Text,
            TypeRecord::Binary => ContentType::Binary,
            TypeRecord::Other(other) => ContentType::Other(other.into()),
        },
        body: Bytes::copy_from_slice(record.body),
        reply_to: record.reply_to.map(Seq),
        mentions: record.mentions.iter().map(|name| user(name)).collect::<Result<_, _>>()?,
        expires_at_ms: record.expires_at_ms,
        fingerprint: record.fingerprint,
        event: record.event.map(event).transpose()?,
        origin: record.origin,
        amends: record.amends.map(|amends| match amends {
            AmendsRecord::Edit(seq) => Amends::Edit(Seq(seq)),
            AmendsRecord::Delete(seq) => Amends::Delete(Seq(seq)),
            AmendsRecord::React(seq) => Amends::React(Seq(seq)),
        }),
        deleted: record.flags & DELETED != 0,
        hidden: record.flags & HIDDEN != 0,
        derived: Derived::default(),
    })
}

pub(in crate::store) fn encode_amendments(amendments: &Amendments, out: &mut Vec<u8>) {
    let record = AmendmentsRecord {
        edits: amendments.edits.iter().map(|seq| seq.0).collect(),
        reactions: amendments.reactions.iter().map(|(of, seq)| (*of, seq.0)).collect(),
    };
    encode(&record, out);
}

pub(in crate::store) fn decode_amendments(bytes: &[u8]) -> Result<Amendments, StoreError> {
    let AmendmentsRecord { edits, reactions } = decode(bytes)?;
    Ok(Amendments {
        edits: edits.into_iter().map(Seq).collect(),
        reactions: reactions.into_iter().map(|(of, seq)| (of, Seq(seq))).collect(),
    })
}

fn event_record(event: &Event) -> EventRecord {
    let names = |users: &[UserId]| users.iter().map(ToString::to_string).collect();
    match event {
        Event::Created { members, title } => {
            EventRecord::Created { members: names(members), title: title.clone() }
        }
        Event::Added { members } => EventRecord::Added { members: names(members) },
        Event::Removed { members } => EventRecord::Removed { members: names(members) },
        Event::Left => EventRecord::Left,
        Event::Role { user, role } => {
            EventRecord::Role { user: user.as_str().to_owned(), role: role_record(*role) }
        }
        Event::Updated { title, description, picture, admins_only, ttl_s } => {
            EventRecord::Updated {
                title: title.clone(),
                description: description.clone(),
                picture: picture.clone(),
                admins_only: *admins_only,
                ttl_s: *ttl_s,
            }
        }
    }
}

fn event(record: EventRecord) -> Result<Event, StoreError> {
    let users = |names: Vec<String>| names.iter().map(|name| user(name)).collect::<Result<_, _>>();
    Ok(match record {
        EventRecord::Created { members, title } => {
            Event::Created { members: users(members)?, title }
        }
        EventRecord::Added { members } => Event::Added { members: users(members)? },
        EventRecord::Removed { members } => Event::Removed { members: users(members)? },
        EventRecord::Left => Event::Left,
        EventRecord::Role { user: name, role: of } => {
            Event::Role { user: user(&name)?, role: role(of) }
        }
        EventRecord::Updated { title, description, picture, admins_only, ttl_s } => {
            Event::Updated { title, description, picture, admins_only, ttl_s }
        }
    })
}

#[cfg(test)]
mod tests {
    use bluetick_protocol::Role;

    use super::*;

    /// `golden.txt` has no events: their bytes are held here.
    #[test]
    fn events_keep_their_bytes() {
        let bob = || UserId::try_from("bob").expect("a user");
        let members = vec![bob()];
        let updated = |title: Option<&str>, admins_only, ttl_s| Event::Updated {
            title: title.map(str::to_owned),
            description: None,
            picture: None,
            admins_only,
            ttl_s,
        };
        for (given, bytes) in [
            (
                Event::Created { members: members.clone(), title: Some("T".to_owned()) },
                &b"\x01\0\x01\x03bob\x01\x01T"[..],
            ),
            (Event::Added { members: members.clone() }, b"\x01\x01\x01\x03bob"),
            (Event::Removed { members }, b"\x01\x02\x01\x03bob"),
            (Event::Left, b"\x01\x03"),
            (Event::Role { user: bob(), role: Role::Owner }, b"\x01\x04\x03bob\0"),
            (Event::Role { user: bob(), role: Role::Member }, b"\x01\x04\x03bob\x02"),
            (updated(Some("T"), Some(true), None), b"\x01\x05\x01\x01T\0\0\x01\x01\0"),
            (updated(None, None, Some(60)), b"\x01\x05\0\0\0\0\x01\x3c"),
        ] {
            let mut out = Vec::new();
            encode(&event_record(&given), &mut out);
            assert_eq!(out, bytes, "{given:?}");
            let read = decode(&out).and_then(event).expect("an event");
            assert_eq!(read, given);
        }
    }
}
