//! Every stored value, in one place: a version byte, then bincode.
//!
//! The records are types of their own and not the engine's: the engine may change, what is on
//! disk may not. `tests/golden.rs` holds the bytes still.

use bincode::config::{Configuration, standard};
use bincode::{BorrowDecode, Decode, Encode};
use bluetick_protocol::{ChatId, Event, MessageId, Role, Seq, UserId};
use bytes::Bytes;

use super::kv::StoreError;
use crate::engine::{
    Amendments, Amends, Answer, Chat, ChatNo, ContentType, Counters, Cursor, Derived, Entry, Info,
    Member, Refused, SavedSession, SavedSubscription, Watermarks,
};

/// The version of the whole layout; a database with another one is not opened.
pub const SCHEMA_VERSION: u32 = 2;

const RECORD_VERSION: u8 = 1;
const CONFIG: Configuration = standard();

#[derive(Encode, BorrowDecode)]
struct EntryRecord<'a> {
    id: [u8; 16],
    author: u32,
    previous: u64,
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
    deleted: bool,
}

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

#[derive(Encode, Decode)]
struct ChatRecord {
    id: String,
    head: u64,
    version: u64,
    last_at_ms: u64,
    member_count: u32,
    has_info: bool,
    members: Vec<MemberRecord>,
}

#[derive(Encode, Decode)]
struct InfoRecord {
    title: Option<String>,
    description: Option<String>,
    picture: Option<String>,
    admins_only: bool,
    ttl_s: u32,
}

#[derive(Encode, Decode)]
struct AnswerRecord {
    at_ms: u64,
    result: Result<Vec<String>, RefusedRecord>,
}

// As with events: new ones stand at the end.
#[derive(Encode, Decode)]
enum RefusedRecord {
    NotAMember,
    Exists,
    AdminsOnly,
    OwnersOnly,
    Owner,
    LastOwner,
    TooManyMembers,
    Direct,
    TooManyEdits,
    NoReaction,
}

#[derive(Encode, Decode)]
struct MemberRecord {
    user: String,
    role: RoleRecord,
    since: u64,
    joined_tick: u64,
    until: Option<u64>,
    past: Vec<(u64, u64)>,
    delivered: u64,
    read: u64,
    at_ms: u64,
    version: u64,
    read_version: u64,
    news: u64,
    receipts_told: u64,
    newest_id: Option<[u8; 16]>,
    last_sent: u64,
    cursors: Vec<CursorRecord>,
}

#[derive(Encode, Decode)]
enum RoleRecord {
    Owner,
    Admin,
    Member,
}

#[derive(Encode, Decode)]
struct CursorRecord {
    device: String,
    epoch: u64,
    seq: Option<u64>,
    receipts: Option<u64>,
}

#[derive(Encode, Decode)]
struct SessionRecord {
    epoch: u64,
    expiry_s: u32,
    disconnected_at_ms: Option<u64>,
    subscriptions: Vec<SubscriptionRecord>,
}

#[derive(Encode, Decode)]
struct SubscriptionRecord {
    filter: String,
    qos: u8,
    no_local: bool,
    id: Option<u32>,
    ticks: Vec<u64>,
}

#[derive(Encode, Decode)]
struct CountersRecord {
    next_chat: u64,
    tick: u64,
}

#[derive(Encode, Decode)]
struct SchemaRecord {
    version: u32,
    partitions: u16,
}

pub(super) fn encode_entry(entry: &Entry, out: &mut Vec<u8>) {
    let record = EntryRecord {
        id: *entry.id.as_bytes(),
        author: entry.author,
        previous: entry.previous.0,
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
        deleted: entry.deleted,
    };
    encode(&record, out);
}

pub(super) fn decode_entry(seq: Seq, bytes: &[u8]) -> Result<Entry, StoreError> {
    let record: EntryRecord<'_> = borrow_decode(bytes)?;
    Ok(Entry {
        seq,
        id: message_id(record.id)?,
        author: record.author,
        previous: Seq(record.previous),
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
        deleted: record.deleted,
        derived: Derived::default(),
    })
}

/// What a chat's record is made of.
pub(super) struct ChatFields<'a> {
    pub(super) id: &'a ChatId,
    pub(super) head: Seq,
    pub(super) version: u64,
    pub(super) last_at_ms: u64,
    pub(super) member_count: u32,
    pub(super) has_info: bool,
    pub(super) members: &'a [Member],
}

pub(super) fn encode_chat(chat: &ChatFields<'_>, out: &mut Vec<u8>) {
    let record = ChatRecord {
        id: chat.id.as_str().to_owned(),
        head: chat.head.0,
        version: chat.version,
        last_at_ms: chat.last_at_ms,
        member_count: chat.member_count,
        has_info: chat.has_info,
        members: chat.members.iter().map(member_record).collect(),
    };
    encode(&record, out);
}

/// The chat with the members of its first page, how many members it has in all, and whether there
/// is a record of what is said of it.
pub(super) fn decode_chat(no: ChatNo, bytes: &[u8]) -> Result<(Chat, u32, bool), StoreError> {
    let record: ChatRecord = decode(bytes)?;
    let id = ChatId::try_from(record.id.as_str())
        .map_err(|_| StoreError::Corrupt("a chat's name is none"))?;
    let mut chat = Chat::new(no, id, Seq(record.head), record.version, record.last_at_ms);
    chat.extend_members(members(record.members)?);
    Ok((chat, record.member_count, record.has_info))
}

pub(super) fn encode_info(info: &Info, out: &mut Vec<u8>) {
    let record = InfoRecord {
        title: info.title.clone(),
        description: info.description.clone(),
        picture: info.picture.clone(),
        admins_only: info.admins_only,
        ttl_s: info.ttl_s,
    };
    encode(&record, out);
}

pub(super) fn decode_info(bytes: &[u8]) -> Result<Info, StoreError> {
    let InfoRecord { title, description, picture, admins_only, ttl_s } = decode(bytes)?;
    Ok(Info { title, description, picture, admins_only, ttl_s })
}

pub(super) fn encode_amendments(amendments: &Amendments, out: &mut Vec<u8>) {
    let record = AmendmentsRecord {
        edits: amendments.edits.iter().map(|seq| seq.0).collect(),
        reactions: amendments.reactions.iter().map(|(of, seq)| (*of, seq.0)).collect(),
    };
    encode(&record, out);
}

pub(super) fn decode_amendments(bytes: &[u8]) -> Result<Amendments, StoreError> {
    let AmendmentsRecord { edits, reactions } = decode(bytes)?;
    Ok(Amendments {
        edits: edits.into_iter().map(Seq).collect(),
        reactions: reactions.into_iter().map(|(of, seq)| (of, Seq(seq))).collect(),
    })
}

pub(super) fn encode_answer(answer: &Answer, out: &mut Vec<u8>) {
    let names = |users: &Vec<UserId>| users.iter().map(|user| user.as_str().to_owned()).collect();
    let result = answer.result.as_ref().map(names).map_err(|refused| match refused {
        Refused::NotAMember => RefusedRecord::NotAMember,
        Refused::Exists => RefusedRecord::Exists,
        Refused::AdminsOnly => RefusedRecord::AdminsOnly,
        Refused::OwnersOnly => RefusedRecord::OwnersOnly,
        Refused::Owner => RefusedRecord::Owner,
        Refused::LastOwner => RefusedRecord::LastOwner,
        Refused::TooManyMembers => RefusedRecord::TooManyMembers,
        Refused::Direct => RefusedRecord::Direct,
        Refused::TooManyEdits => RefusedRecord::TooManyEdits,
        Refused::NoReaction => RefusedRecord::NoReaction,
    });
    encode(&AnswerRecord { at_ms: answer.at_ms, result }, out);
}

pub(super) fn decode_answer(bytes: &[u8]) -> Result<Answer, StoreError> {
    let record: AnswerRecord = decode(bytes)?;
    let result = match record.result {
        Ok(names) => Ok(names.iter().map(|name| user(name)).collect::<Result<_, _>>()?),
        Err(RefusedRecord::NotAMember) => Err(Refused::NotAMember),
        Err(RefusedRecord::Exists) => Err(Refused::Exists),
        Err(RefusedRecord::AdminsOnly) => Err(Refused::AdminsOnly),
        Err(RefusedRecord::OwnersOnly) => Err(Refused::OwnersOnly),
        Err(RefusedRecord::Owner) => Err(Refused::Owner),
        Err(RefusedRecord::LastOwner) => Err(Refused::LastOwner),
        Err(RefusedRecord::TooManyMembers) => Err(Refused::TooManyMembers),
        Err(RefusedRecord::Direct) => Err(Refused::Direct),
        Err(RefusedRecord::TooManyEdits) => Err(Refused::TooManyEdits),
        Err(RefusedRecord::NoReaction) => Err(Refused::NoReaction),
    };
    Ok(Answer { at_ms: record.at_ms, result })
}

pub(super) fn encode_members(members: &[Member], out: &mut Vec<u8>) {
    encode(&members.iter().map(member_record).collect::<Vec<_>>(), out);
}

pub(super) fn decode_members(bytes: &[u8]) -> Result<Vec<Member>, StoreError> {
    members(decode(bytes)?)
}

pub(super) fn encode_id(seq: Seq, out: &mut Vec<u8>) {
    encode(&seq.0, out);
}

pub(super) fn decode_id(bytes: &[u8]) -> Result<Seq, StoreError> {
    decode(bytes).map(Seq)
}

pub(super) fn encode_chat_no(no: ChatNo, out: &mut Vec<u8>) {
    encode(&no.0, out);
}

pub(super) fn decode_chat_no(bytes: &[u8]) -> Result<ChatNo, StoreError> {
    decode(bytes).map(ChatNo)
}

pub(super) fn encode_session(session: &SavedSession, out: &mut Vec<u8>) {
    let subscriptions = session.subscriptions.iter().map(|subscription| SubscriptionRecord {
        filter: subscription.filter.to_string(),
        qos: subscription.qos,
        no_local: subscription.no_local,
        id: subscription.id,
        ticks: subscription.ticks.clone(),
    });
    let record = SessionRecord {
        epoch: session.epoch,
        expiry_s: session.expiry_s,
        disconnected_at_ms: session.disconnected_at_ms,
        subscriptions: subscriptions.collect(),
    };
    encode(&record, out);
}

pub(super) fn decode_session(bytes: &[u8]) -> Result<SavedSession, StoreError> {
    let record: SessionRecord = decode(bytes)?;
    let subscriptions = record.subscriptions.into_iter().map(|subscription| SavedSubscription {
        filter: subscription.filter.into(),
        qos: subscription.qos,
        no_local: subscription.no_local,
        id: subscription.id,
        ticks: subscription.ticks,
    });
    Ok(SavedSession {
        epoch: record.epoch,
        expiry_s: record.expiry_s,
        disconnected_at_ms: record.disconnected_at_ms,
        subscriptions: subscriptions.collect(),
    })
}

pub(super) fn encode_counters(counters: &Counters, out: &mut Vec<u8>) {
    encode(&CountersRecord { next_chat: counters.next_chat, tick: counters.tick }, out);
}

pub(super) fn decode_counters(bytes: &[u8]) -> Result<Counters, StoreError> {
    let record: CountersRecord = decode(bytes)?;
    Ok(Counters { next_chat: record.next_chat, tick: record.tick })
}

pub(super) fn encode_schema(partitions: u16, out: &mut Vec<u8>) {
    encode(&SchemaRecord { version: SCHEMA_VERSION, partitions }, out);
}

/// The schema version and the number of partitions.
pub(super) fn decode_schema(bytes: &[u8]) -> Result<(u32, u16), StoreError> {
    let record: SchemaRecord = decode(bytes)?;
    Ok((record.version, record.partitions))
}

fn encode(record: &impl Encode, out: &mut Vec<u8>) {
    out.push(RECORD_VERSION);
    bincode::encode_into_std_write(record, out, CONFIG).expect("a Vec takes every record");
}

fn content(bytes: &[u8]) -> Result<&[u8], StoreError> {
    match bytes.split_first() {
        Some((&RECORD_VERSION, content)) => Ok(content),
        Some(_) => Err(StoreError::Corrupt("a record has a version this program does not know")),
        None => Err(StoreError::Corrupt("a record is empty")),
    }
}

fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, StoreError> {
    let (record, read) = bincode::decode_from_slice(content(bytes)?, CONFIG)
        .map_err(|_| StoreError::Corrupt("a record cannot be decoded"))?;
    whole(record, read, bytes)
}

fn borrow_decode<'a, T: BorrowDecode<'a, ()>>(bytes: &'a [u8]) -> Result<T, StoreError> {
    let (record, read) = bincode::borrow_decode_from_slice(content(bytes)?, CONFIG)
        .map_err(|_| StoreError::Corrupt("a record cannot be decoded"))?;
    whole(record, read, bytes)
}

fn whole<T>(record: T, read: usize, bytes: &[u8]) -> Result<T, StoreError> {
    if read + 1 == bytes.len() {
        Ok(record)
    } else {
        Err(StoreError::Corrupt("a record has more bytes than it should"))
    }
}

fn member_record(member: &Member) -> MemberRecord {
    MemberRecord {
        user: member.user.as_str().to_owned(),
        role: role_record(member.role),
        since: member.since.0,
        joined_tick: member.joined_tick,
        until: member.until.map(|seq| seq.0),
        past: member.past.iter().map(|(first, last)| (first.0, last.0)).collect(),
        delivered: member.marks.delivered.0,
        read: member.marks.read.0,
        at_ms: member.marks.at_ms,
        version: member.marks.version,
        read_version: member.marks.read_version,
        news: member.marks.news,
        receipts_told: member.receipts_told,
        newest_id: member.newest_id.map(|id| *id.as_bytes()),
        last_sent: member.last_sent.0,
        cursors: member.cursors.iter().map(cursor_record).collect(),
    }
}

fn members(records: Vec<MemberRecord>) -> Result<Vec<Member>, StoreError> {
    records.into_iter().map(member).collect()
}

fn member(record: MemberRecord) -> Result<Member, StoreError> {
    let user = user(&record.user)?;
    let mut member = Member::new(user, role(record.role), Seq(record.since), record.joined_tick);
    member.until = record.until.map(Seq);
    member.past = record.past.into_iter().map(|(first, last)| (Seq(first), Seq(last))).collect();
    member.marks = Watermarks {
        delivered: Seq(record.delivered),
        read: Seq(record.read),
        at_ms: record.at_ms,
        version: record.version,
        read_version: record.read_version,
        news: record.news,
    };
    member.receipts_told = record.receipts_told;
    member.newest_id = record.newest_id.map(message_id).transpose()?;
    member.last_sent = Seq(record.last_sent);
    member.cursors = record
        .cursors
        .into_iter()
        .map(|cursor| Cursor {
            device: cursor.device.into(),
            epoch: cursor.epoch,
            seq: cursor.seq.map(Seq),
            receipts: cursor.receipts,
        })
        .collect();
    Ok(member)
}

fn cursor_record(cursor: &Cursor) -> CursorRecord {
    CursorRecord {
        device: cursor.device.to_string(),
        epoch: cursor.epoch,
        seq: cursor.seq.map(|seq| seq.0),
        receipts: cursor.receipts,
    }
}

fn role_record(role: Role) -> RoleRecord {
    match role {
        Role::Owner => RoleRecord::Owner,
        Role::Admin => RoleRecord::Admin,
        Role::Member => RoleRecord::Member,
    }
}

fn role(record: RoleRecord) -> Role {
    match record {
        RoleRecord::Owner => Role::Owner,
        RoleRecord::Admin => Role::Admin,
        RoleRecord::Member => Role::Member,
    }
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

fn user(name: &str) -> Result<UserId, StoreError> {
    UserId::try_from(name).map_err(|_| StoreError::Corrupt("a user's name is none"))
}

fn message_id(bytes: [u8; 16]) -> Result<MessageId, StoreError> {
    MessageId::from_bytes(bytes).ok_or(StoreError::Corrupt("a message id is nil"))
}

#[cfg(test)]
mod tests {
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
